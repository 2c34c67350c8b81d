/* loops.h - what the tests of the loop share: loops that end with the test, streams with a plain
 * descriptor at their other end, and pulling with bounded patience.
 *
 * Every loop takes its memory from an allocator that counts. When the loop is destroyed, it must
 * have given back all memory, and must never have asked for memory from another thread. A loop is
 * destroyed after its test, passed or failed, and then support.h's count of descriptors must be as
 * before. */
#ifndef LOOPS_H
#define LOOPS_H

#include "support.h"

/* A loop over the running test's backend, with the default options, or with the given options,
 * whose size, backend and allocator are filled in. */
sluice_loop *make_loop(void);
sluice_loop *make_loop_with(sluice_options options);
/* A loop with libc's memory, whose bounds the sanitizers know. It ends with the test. */
sluice_loop *make_plain_loop(void);
/* Destroys a loop of make_loop now, and checks that nothing of it is left. */
void end_loop(sluice_loop *loop);
/* sluice_take_over: from here on the loop and its allocator belong to the calling thread. */
int take_over(sluice_loop *loop);
/* Bytes that a loop's allocator has handed out. Posts are not among them. */
size_t loop_memory(const sluice_loop *loop);

/* The next event, which must come in time. With expect_event it must have that kind, and with
 * expect_event_of also that handle. */
sluice_event next_event(sluice_loop *loop);
sluice_event expect_event(sluice_loop *loop, enum sluice_event_kind kind);
sluice_event expect_event_of(sluice_loop *loop, enum sluice_event_kind kind, sluice_id id);
/* CLOSED of `id` with this error and count, after which the id is stale. */
void expect_closed(sluice_loop *loop, sluice_id id, int error, size_t unsent);
/* DATA of `id`, which may come in several pieces, is this text. */
void expect_text(sluice_loop *loop, sluice_id id, const char *text);
/* There is no event, and none comes in a few turns. */
void expect_no_event(sluice_loop *loop);
/* Whether there is an event now. It pulls without waiting, and does not change *event if there is
 * none. */
bool pull_now(sluice_loop *loop, sluice_event *event);

/* A stream of the loop and its peer, kept for the test. */
struct line {
    sluice_id id;
    int peer;
};
struct line unix_line(sluice_loop *loop);
struct line tcp_line(sluice_loop *loop);
struct line line_of(sluice_loop *loop, struct pair pair, const sluice_stream_options *options);

/* The events of a stream: how much DATA it gave, whether that is the pattern, and its other events.
 */
struct story {
    size_t length;
    unsigned char bytes[64]; /* the first of them */
    bool is_pattern;         /* all of them are, from place 0 on */
    bool has_last;           /* SLUICE_LAST */
    unsigned connected, data, eof, drained, closed;
    int error; /* of CLOSED, like the next two */
    size_t unsent;
    bool input_ended;
};

struct story new_story(void);
/* Adds one event. It must not come after CLOSED. DATA must not come after EOF or SLUICE_LAST. */
void add_to_story(struct story *story, const sluice_event *event);
/* Adds the events that come without waiting. Every event must be of `id`. A pull has up to
 * `capacity` events. */
void hear_now(sluice_loop *loop, sluice_id id, struct story *story, int capacity);
/* The same until CLOSED comes, which it must. Then the id is stale, and nothing follows. */
void hear_out(sluice_loop *loop, sluice_id id, struct story *story, int capacity);
bool story_is(const struct story *story, const char *text);

/* Writes the bytes, which the stream must take. */
void write_all(sluice_loop *loop, sluice_id id, const void *bytes, size_t length);

/* Options with their size set. */
sluice_stream_options stream_options(uint32_t flags);
sluice_listen_options listen_options(void);
sluice_statistics stats_of(const sluice_loop *loop);

/* A listener at a free port of the loopback, and its address. */
sluice_id make_listener(sluice_loop *loop, const sluice_listen_options *options, char *address);
/* A plain socket, kept for the test, on its way to an address. */
int dial(const char *address);

/* All three work on a plain descriptor, and do not pull: put_text writes the text, take_text reads
 * it, and expect_end reads the end. */
void put_text(int fd, const char *text);
void take_text(int fd, const char *text);
void expect_end(int fd);
/* Reads what is there now, at most `length` bytes, and returns how many. 0 if there is nothing,
 * also at the end. */
size_t take_some(int fd, void *bytes, size_t length);
/* Waits until the kernel has as many bytes for whoever reads `fd`. */
void await_bytes(int fd, size_t length);
/* Waits until the kernel knows of the peer's end, or of the end of both directions (a reset, or a
 * close). */
void await_end(int fd);
void await_hang_up(int fd);
/* Ends a TCP connection with a reset. */
void reset_connection(int fd);

/* Closes a number of the test, or a number of the loop behind its back. It is the next number that
 * the kernel gives. A client must have connected before, because it takes a number too. */
void close_number(int number);
/* The next number that the kernel gives. */
int lowest_number(void);
/* From here on no number is free. After the test, or after free_descriptors, as many are free as
 * before. */
void use_up_descriptors(void);
void free_descriptors(void);

/* Time is simulated for the rest of the test: see simulate_time. */
void make_up_time(void);

/* Bytes that differ from place to place. The first function gives the byte at `place` of a stream.
 */
unsigned char pattern_at(size_t place);
void make_pattern(unsigned char *bytes, size_t place, size_t length);
void check_pattern(const unsigned char *bytes, size_t place, size_t length);

/* A number from a generator that begins the same in each program. */
uint32_t random_below(uint32_t limit);

#endif

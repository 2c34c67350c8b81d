/* loop_states.h - one stream that is driven into any state by any input, for test_loop_states.c:
 * the stream, its peer, another stream that it may be forwarded to, and what must be true whatever
 * is done.
 *
 * All bytes are words of four bytes. A word says who sent it, and its number. So wherever a word
 * comes out (an event, the peer, the other's peer), the test knows whether it is the next word, and
 * whether it has come out before. Sockets are unix pairs, in which the kernel does everything at
 * once: what a step has caused is there when the step returns. Time is simulated. */
#ifndef LOOP_STATES_H
#define LOOP_STATES_H

#include "loops.h"

enum { MOST_WORDS = 65536, RUN_HIGH = 4096, RUN_LOW = 1024 };

/* Where words come out, in order. */
struct sink {
    unsigned char part[4]; /* of a word that has not come whole */
    size_t part_length;
    uint32_t own;      /* words that were written to the stream whose peer this is */
    int64_t last_sent; /* the last word of our peer's that came out here, or -1 */
};

/* One run: a stream from its beginning to its CLOSED. */
struct run {
    const char *what; /* for a failure's message */
    sluice_loop *loop;
    sluice_id id;
    int peer; /* -1 if it has closed */
    sluice_id other;
    int other_peer; /* -1 if there is no other */
    bool half_open;
    bool holds;   /* everything that comes, as long as it is not much */
    int capacity; /* events a pull */

    uint32_t written;       /* words that the stream has taken */
    uint32_t other_written; /* words that the other has taken */
    uint32_t sent;          /* words of the peer */
    uint32_t sent_at_fail;  /* how many of these were there when the output failed */
    bool output_failed;     /* a call has said so, with -EPIPE */
    bool peer_finished;     /* it sends no more */
    bool peer_shut;         /* it takes no more */
    bool closing;           /* sluice_close was called */
    bool aborted;           /* sluice_abort was */
    bool forwarded;         /* at some time */
    bool timed;             /* limits have passed */
    bool paused;
    uint64_t bytes_before; /* stats.bytes_sent when it began */

    bool closed;
    int error;
    size_t unsent;
    bool eof;
    uint32_t taken; /* words of DATA, up to the end of the last word that was not held */
    uint32_t held;  /* words that come again */
    struct sink peer_sink;
    struct sink other_sink;
    unsigned char seen[MOST_WORDS]; /* words of the peer that have come out */
};

/* Fails the test, saying what was done. */
void run_check(const struct run *run, bool holds, const char *what);

void begin_run(struct run *run, sluice_loop *loop, uint32_t flags);
bool run_lives(const struct run *run);
/* Pulls until there is nothing more, and checks each event. */
void run_pull(struct run *run);
/* Brings the stream to its end, whatever its state, and checks what must be true then. */
void end_run(struct run *run);

/* What the caller does. */
void run_write(struct run *run, uint32_t words);
void run_writev(struct run *run);
void run_flush(struct run *run);
void run_shutdown(struct run *run);
void run_pause(struct run *run);
void run_resume(struct run *run);
void run_hold(struct run *run);
void run_forward(struct run *run);
void run_forward_to_itself(struct run *run);
void run_forward_nowhere(struct run *run);
void run_close(struct run *run);
void run_abort(struct run *run);
/* Writes until the kernel takes no more and the queue is over its mark. */
void run_fill(struct run *run);
/* Makes the other stream, if there is none, and fills its queue. */
void run_fill_other(struct run *run);

/* What the kernel brings. */
void run_peer_sends(struct run *run, uint32_t words);
void run_peer_reads(struct run *run);
void run_peer_finishes(struct run *run);
void run_peer_stops_reading(struct run *run);
void run_peer_closes(struct run *run); /* a reset if it has unread bytes */
void run_other_reads(struct run *run);
void run_other_closes(struct run *run);
void run_time_passes(struct run *run);

#endif

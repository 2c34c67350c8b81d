/* loop.h - what a loop is, for the files that make it up.
 *
 * loop.c pulls; streams.c, output.c, listeners.c, watches.c and signals.c each look after a kind of
 * handle. They speak to the kernel through the engine alone.
 */
#ifndef SLUICE_LOOP_H
#define SLUICE_LOOP_H

#include "base/platform.h"

#include <assert.h>
#include <signal.h>

#include "base/slots.h"
#include "bytes/queue.h"
#include "engines/engine.h"
#include "loop/posts.h"
#include "network/socket_file.h"
#include "timers/timers.h"

#pragma GCC visibility push(hidden)

#define SLUICE_SIGNAL_COUNT 65 /* the highest signal's number and one */

struct sluice_watch {
    struct sluice_slot slot;
    int fd;
};

struct sluice_signal {
    struct sluice_slot slot;
    int signo;
    bool was_blocked; /* before the handle was made */
};

struct sluice_listener {
    struct sluice_slot slot;
    int fd;
    bool stopped;                   /* accepting has stopped, and OVERLOADED has been given */
    bool is_local;                  /* its connections are unix sockets */
    struct sluice_socket_file file; /* goes with the listener, but in a fork's child */
    uint32_t connections;           /* of its streams, those that are open */
    uint32_t connection_limit;
    uint32_t flags; /* its streams', and so on */
    uint32_t keepalive_seconds;
    uint32_t idle_ms;
    uint32_t linger_ms;
};

/* What a stream's state is made of. */
enum {
    STREAM_CONNECTING = 1 << 0,
    STREAM_SOCKET = 1 << 1,      /* can be shut down in one direction */
    STREAM_HALF_OPEN = 1 << 2,   /* does not close by itself after EOF */
    STREAM_PAUSED = 1 << 3,      /* by the caller */
    STREAM_THROTTLED = 1 << 4,   /* its own output is over the high mark */
    STREAM_HELD_BACK = 1 << 5,   /* the output of the one it is forwarded to is */
    STREAM_ENDED_INPUT = 1 << 6, /* the peer's end has been received */
    STREAM_SHUTTING = 1 << 7,    /* the peer is to be told of our end once all is sent */
    STREAM_SHUT = 1 << 8,        /* it has been */
    STREAM_CLOSING = 1 << 9,     /* the caller wants no more of it */
    STREAM_ENDED = 1 << 10,      /* nothing is left but its CLOSED */
    STREAM_BLOCKED = 1 << 11,    /* the engine says when to send on */
    STREAM_TO_FLUSH = 1 << 12,   /* in the loop's list of those */
    STREAM_TO_NOTIFY = 1 << 13,  /* in the loop's list of those */
    STREAM_CLOSE_NEXT = 1 << 14, /* EOF has been pulled: close at the next pull */
    STREAM_REHELD = 1 << 15,     /* the caller holds bytes of the data that was pulled last */

    /* Events that wait to be pulled, in this order. */
    NOTICE_CONNECTED = 1 << 16,
    NOTICE_HELD = 1 << 17, /* DATA with what was held, at the end of the input */
    NOTICE_EOF = 1 << 18,
    NOTICE_DRAINED = 1 << 19,
    NOTICE_CLOSED = 1 << 20,
    NOTICES = 0x1f << 16,

    STREAM_OWES_EOF = 1 << 21, /* the end of the input went to another stream, not to the caller */
    STREAM_WRITE_ONLY = 1 << 22, /* a pipe's writing end, of which nothing comes but its end */
    STREAM_TIMED = 1 << 23,      /* has an idle timeout */
    STREAM_EXTRAS = 1 << 24,     /* `extras` is not NULL */

    /* With any of these, what is received is more than an event. */
    STREAM_APART = STREAM_CLOSING | STREAM_TIMED | STREAM_EXTRAS
};

/* What few streams have: bytes that are held, and a forward. */
struct sluice_extras {
    sluice_id forward_to;  /* 0 for none */
    uint32_t forward_from; /* the first of those that are forwarded here; or SLUICE_NO_SLOT */
    uint32_t forward_next; /* of those that are forwarded to the same, the next */
    size_t held;           /* bytes that come again */
    size_t held_capacity;
    unsigned char *held_bytes;
};

/* Kept small: 10,000 idle ones are what a server has most of. Invariants:
 * - ENDED: `fd` is closed, `output` has no chunks, and the unions hold error and unsent;
 * - TO_FLUSH, TO_NOTIFY: it is in that list of the loop, and only then;
 * - THROTTLED: its output was over the high mark and has not fallen to the low one since;
 * - slot.own is its place among loop->lent, where that names it. */
struct sluice_stream {
    struct sluice_slot slot;
    struct sluice_bytes output;
    union {
        struct sluice_extras *extras; /* NULL while it needs none */
        size_t unsent;
    };
    union {
        int fd;
        int error;
    };
    uint32_t state;
    uint32_t idle_ms;
    uint32_t linger_ms;
    uint32_t deadline; /* of connecting, idling or lingering: 1 + its index in loop->deadlines */
    uint32_t listener; /* 1 + its index; 0 for none */
    uint32_t next_to_flush;
    uint32_t next_to_notify;
};

static_assert(sizeof(struct sluice_stream) == 80, "an idle connection costs little");

/* The data of a DATA event that has been pulled and is still valid. */
struct sluice_lent {
    sluice_id id; /* 0 where the stream has ended that held these bytes, which are freed then */
    const unsigned char *bytes;
    size_t length;
};

/* A list of streams, linked through one of their members. */
struct sluice_stream_list {
    uint32_t first; /* SLUICE_NO_SLOT where it is empty */
    uint32_t last;
};

/* What there is to do before the loop waits again, in the order in which it is done. */
enum {
    TODO_FLUSH = 1 << 0,      /* to_flush is not empty */
    TODO_NOTICES = 1 << 1,    /* to_notify is not empty */
    TODO_OVERLOADED = 1 << 2, /* `overloaded` is set */
    TODO_TIMERS = 1 << 3,     /* these four are a turn's */
    TODO_DEADLINES = 1 << 4,
    TODO_POSTS = 1 << 5,
    TODO_COMPLETIONS = 1 << 6
};

struct sluice_loop {
    struct sluice_allocator allocator;
    struct sluice_engine *engine;
    uintptr_t thread; /* sluice_thread() of the one that it belongs to */
    int64_t now;
    uint32_t todo; /* of TODO_... */

    struct sluice_slots watches;
    struct sluice_slots signals;
    struct sluice_slots listeners;
    struct sluice_slots streams;
    struct sluice_timers timers;    /* the caller's */
    uint32_t living_timers;         /* the caller's */
    struct sluice_timers deadlines; /* the streams'; their user word is an id */
    struct sluice_posts posts;

    struct sluice_chunk_pool pool;
    struct sluice_stream_list to_flush;
    struct sluice_stream_list to_notify;
    size_t high_mark;
    size_t low_mark;
    size_t hard_limit;
    size_t memory_limit;
    size_t held_memory;
    uint32_t handle_limit;

    unsigned char *receive_bytes;
    size_t receive_size;
    size_t receive_used; /* by events of this pull */
    /* The stream of the event pulled last, where that is DATA in all of [0, receive_used) and of a
     * stream without extras: what most writes answer. Else the id is 0, and such data is lent. */
    const struct sluice_stream *answerable_stream;
    sluice_id answerable;
    struct sluice_lent *lent;
    uint32_t lent_count;
    uint32_t lent_capacity;
    bool lent_of_held; /* one of them is of a stream that holds, or has held, bytes */

    /* A write of bytes that are lent, which stay valid until they are sent at the next pull: it is
     * put off and not copied. No length where there is none. */
    const unsigned char *put_off_bytes;
    size_t put_off_length;
    sluice_id put_off_id; /* the stream's, whose queue is empty */
    int put_off_fd;

    int signal_fd; /* -1 until there is a signal */
    sigset_t signal_set;
    uint32_t signal_index[SLUICE_SIGNAL_COUNT]; /* SLUICE_NO_SLOT where there is none */

    sluice_id overloaded; /* a listener whose last ACCEPTED reached its limit; or 0 */
    int64_t accept_again; /* when listeners that stopped for an error try again; or INT64_MAX */
    int reserve_fd;       /* given up to turn a caller away when there are no others; or -1 */

    sluice_statistics stats;
};

/* ---- Ids ------------------------------------------------------------------------------------ */

static inline sluice_id sluice_id_of(enum sluice_kind kind, uint32_t index, uint32_t generation) {
    return (uint64_t)generation << 32 | (uint64_t)kind << SLUICE_INDEX_BITS | index;
}

static inline uint32_t sluice_id_index(sluice_id id) {
    return (uint32_t)id & (SLUICE_INDEX_LIMIT - 1);
}

static inline uint32_t sluice_id_kind(sluice_id id) {
    return (uint32_t)id >> SLUICE_INDEX_BITS;
}

static inline uint32_t sluice_id_generation(sluice_id id) {
    return (uint32_t)(id >> 32);
}

/* 0, or SLUICE_ENULL or SLUICE_ETHREAD. */
static inline int sluice_loop_check(const sluice_loop *loop) {
    if (!loop)
        return SLUICE_ENULL;
    return loop->thread == sluice_thread() ? 0 : SLUICE_ETHREAD;
}

/* The kind of a living handle, or SLUICE_ESTALE. */
int sluice_handle_kind(const sluice_loop *loop, sluice_id id);

/* Why `id` is not a handle of the kind that was looked for. */
static inline int sluice_id_refusal(const sluice_loop *loop, sluice_id id) {
    return sluice_handle_kind(loop, id) < 0 ? SLUICE_ESTALE : SLUICE_EKIND;
}

static inline void *sluice_find(const struct sluice_slots *slots, enum sluice_kind kind,
                                sluice_id id) {
    if (sluice_id_kind(id) != (uint32_t)kind)
        return NULL;
    return sluice_slots_find(slots, sluice_id_index(id), sluice_id_generation(id));
}

static inline sluice_id sluice_stream_id(const sluice_loop *loop,
                                         const struct sluice_stream *stream) {
    /* The size as a constant, which makes the division a multiplication. */
    size_t offset = (size_t)((const unsigned char *)stream - loop->streams.records);
    return sluice_id_of(SLUICE_KIND_STREAM, (uint32_t)(offset / sizeof *stream),
                        stream->slot.generation);
}

static inline struct sluice_stream *sluice_stream_at(const sluice_loop *loop, uint32_t index) {
    /* The size as a constant, as above. */
    return (struct sluice_stream *)(void *)loop->streams.records + index;
}

/* A stream that has not ended, or NULL. */
static inline struct sluice_stream *sluice_find_stream(const sluice_loop *loop, sluice_id id) {
    struct sluice_stream *stream = sluice_find(&loop->streams, SLUICE_KIND_STREAM, id);
    return stream && !(stream->state & STREAM_ENDED) ? stream : NULL;
}

/* ---- Deadlines ------------------------------------------------------------------------------ */

/* `now` and `after_ns`, without overflow. */
static inline int64_t sluice_moment(const sluice_loop *loop, int64_t after_ns) {
    return after_ns > INT64_MAX - loop->now ? INT64_MAX : loop->now + after_ns;
}

/* Sets, moves or, for INT64_MAX, cancels the deadline that *place names (1 + its index, or 0).
 * 0 or SLUICE_ENOMEM. */
int sluice_deadline_set(sluice_loop *loop, uint32_t *place, sluice_id id, int64_t after_ns);

/* What memory_limit is about: the bytes that the chunks in use have room for, and those held. */
static inline size_t sluice_loop_memory(const sluice_loop *loop) {
    return loop->held_memory + sluice_chunk_pool_in_use(&loop->pool) * SLUICE_CHUNK_ROOM;
}

/* ---- Streams -------------------------------------------------------------------------------- */

struct sluice_stream_start {
    int fd;
    enum sluice_role role;
    bool has_no_input; /* a pipe's writing end */
    uint32_t flags;    /* enum sluice_stream_flag */
    uint32_t idle_ms;
    uint32_t linger_ms;
    int64_t connect_timeout_ns; /* INT64_MAX for none */
    uint32_t listener;          /* as in the stream */
    uint64_t user;
};

/* Makes a stream of start->fd, which stays the caller's on failure. */
int sluice_stream_begin(sluice_loop *loop, const struct sluice_stream_start *start, sluice_id *id);

/* Ends a stream: closes its descriptor and has CLOSED given. */
void sluice_stream_end(sluice_loop *loop, struct sluice_stream *stream, int error);

/* Begins, or goes on with, an orderly close. */
void sluice_stream_close(sluice_loop *loop, struct sluice_stream *stream);

/* Tells the peer that no more comes, where that can be told: 0, or why the stream has ended. */
int sluice_stream_finish_sending(const struct sluice_stream *stream);

/* Has the engine receive or not, as the state demands. */
void sluice_stream_want(sluice_loop *loop, struct sluice_stream *stream);

/* Has the events of `notices` given. */
void sluice_stream_notify(sluice_loop *loop, struct sluice_stream *stream, uint32_t notices);

/* The next event of the list, or false. */
bool sluice_stream_notice(sluice_loop *loop, sluice_event *event);

void sluice_stream_deadline(sluice_loop *loop, struct sluice_stream *stream);
/* A byte has come or gone. */
void sluice_stream_postpone_idle(sluice_loop *loop, struct sluice_stream *stream);
static inline void sluice_stream_active(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_TIMED)
        sluice_stream_postpone_idle(loop, stream);
}
/* What the engine has completed, told in *event: whether that is an event. */
bool sluice_stream_complete(sluice_loop *loop, struct sluice_stream *stream,
                            enum sluice_operation operation, sluice_event *event);

/* Its extras, made where it has none; NULL where memory ran out. */
struct sluice_extras *sluice_stream_extras(sluice_loop *loop, struct sluice_stream *stream);

/* Checks the options and copies them into *start; 0 or an error. NULL gives the defaults. */
int sluice_stream_options_check(const sluice_stream_options *options,
                                struct sluice_stream_start *start, uint32_t *keepalive_seconds);

/* Sets on a TCP socket, or a listener that its connections inherit from, what the options say. */
int sluice_stream_configure(int fd, uint32_t flags, uint32_t keepalive_seconds);

/* output.c: what is queued and how it goes out. Each may end the stream. */
int sluice_output_send(sluice_loop *loop, struct sluice_stream *stream);
/* What was put off has been offered to the engine, and not all of it `sent`. */
void sluice_output_send_put_off(sluice_loop *loop, ptrdiff_t sent);
/* How many bytes of `stream` are put off. */
static inline size_t sluice_output_put_off(const sluice_loop *loop,
                                           const struct sluice_stream *stream) {
    return loop->put_off_length > 0 &&
                   stream == sluice_stream_at(loop, sluice_id_index(loop->put_off_id))
               ? loop->put_off_length
               : 0;
}
/* Queues the write that was put off, if it is that of `stream`: 0; SLUICE_ENOMEM or SLUICE_EFULL,
 * and it is still put off; or SLUICE_ESTALE where that has ended the stream. */
int sluice_output_settle(sluice_loop *loop, struct sluice_stream *stream);
void sluice_output_flush_all(sluice_loop *loop);
void sluice_output_sent(sluice_loop *loop, struct sluice_stream *stream, size_t sent);
void sluice_output_queue_flush(sluice_loop *loop, struct sluice_stream *stream);
int sluice_output_write(sluice_loop *loop, struct sluice_stream *stream, const void *bytes,
                        size_t length);

/* held.c: bytes that come again. */
int sluice_held_append(sluice_loop *loop, struct sluice_stream *stream, const unsigned char *bytes,
                       size_t length);
void sluice_held_release(sluice_loop *loop, struct sluice_stream *stream);
/* The stream ends: the bytes that it holds go too, once they are not lent any more. */
void sluice_held_end(sluice_loop *loop, struct sluice_stream *stream);
/* Those that come again, `extras->held` of them. */
const unsigned char *sluice_held_again(const sluice_loop *loop, const struct sluice_stream *stream);
/* Makes a DATA event of bytes that stay valid until the next pull. */
void sluice_lend(sluice_loop *loop, struct sluice_stream *stream, const unsigned char *bytes,
                 size_t length, sluice_event *event);
void sluice_lent_take_back(sluice_loop *loop);
/* Notes the event that is answerable as lent, which is left out as long as nobody needs it. */
void sluice_lend_answerable(sluice_loop *loop);

/* forward.c: what one stream receives is another's output. */

/* False where `from` is not forwarded, or to one that takes no more: then it is the caller's. */
bool sluice_forward_pass(sluice_loop *loop, struct sluice_stream *from, const unsigned char *bytes,
                         size_t length);
bool sluice_forward_end_of_input(sluice_loop *loop, struct sluice_stream *from);
/* The output of `to` has come over its high mark, or to its low one. */
void sluice_forward_room(sluice_loop *loop, struct sluice_stream *to, bool is_over);
/* Ends the forwards from and to a stream that ends. */
void sluice_forward_end(sluice_loop *loop, struct sluice_stream *stream);

/* ---- Listeners, watches, signals ------------------------------------------------------------ */

bool sluice_listener_complete(sluice_loop *loop, struct sluice_listener *listener,
                              sluice_event *event);
/* The OVERLOADED of loop->overloaded, where it still holds. */
bool sluice_listener_notice(sluice_loop *loop, sluice_event *event);
/* Begins to accept again, where that may be. */
void sluice_listener_resume(sluice_loop *loop, struct sluice_listener *listener);
/* A stream has ended and its descriptor is free; `place` is its `listener`. */
void sluice_listeners_heed_end(sluice_loop *loop, uint32_t place);
void sluice_listener_end(sluice_loop *loop, struct sluice_listener *listener);
void sluice_listeners_after_fork(sluice_loop *loop);

void sluice_watch_end(sluice_loop *loop, struct sluice_watch *watch);

bool sluice_signals_complete(sluice_loop *loop, sluice_event *event);
void sluice_signal_end(sluice_loop *loop, struct sluice_signal *signal);
/* Blocks the loop's signals in the calling thread, which has become the loop's. */
void sluice_signals_block(sluice_loop *loop);
/* In the child of a fork, once the engine shares nothing with the parent: 0; or an error, and then
 * it may be called again. */
int sluice_signals_after_fork(sluice_loop *loop);
/* The id that the engine has for the loop's signal descriptor. It is no handle's. */
#define SLUICE_SIGNALS_ID (sluice_id_of(SLUICE_KIND_SIGNAL, 0, 0))

#pragma GCC visibility pop

#endif

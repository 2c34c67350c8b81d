/* loop.h - what a loop is, for the files of this folder.
 *
 * pull.c pulls, turn by turn. Each kind of handle has a file that looks after it: watches.c (timers
 * too), signals.c, listeners.c, resolve.c, and for streams those that stream.h names. Transfers of
 * streams go through the engine; sockets are made and asked by network/.
 */
#ifndef SLUICE_LOOP_H
#define SLUICE_LOOP_H

#include "base/platform.h"

#include <signal.h>
#include <string.h>

#include "base/atomics.h"
#include "base/slots.h"
#include "bytes/queue.h"
#include "engines/engine.h"
#include "loop/lookups.h"
#include "loop/posts.h"
#include "loop/stream.h"
#include "network/socket_file.h"
#include "timers/timers.h"

/* As many bytes as fit are put off as a copy: see output.c. */
#define SLUICE_SMALL_WRITE 4096

#define SLUICE_SIGNAL_COUNT 65 /* the highest signal's number and one */

/* slot.fd is -1 where it was closed behind our back, and has another file by now. */
struct sluice_watch {
    struct sluice_slot slot;
};

struct sluice_signal {
    struct sluice_slot slot;
    int signo;
    bool was_blocked; /* before the handle was made */
};

/* Linked through `next` and `previous`. */
struct sluice_listener_list {
    uint32_t first; /* SLUICE_NO_SLOT where it is empty */
    uint32_t last;
};

/* Invariants:
 * - the engine does not accept from one that `drains`; it is in loop->draining, except while it has
 *   stopped;
 * - one is in loop->waiting if it has stopped for an error, or since there were too many streams in
 *   all, and only then; and not while it is at its own limit, too. */
struct sluice_listener {
    struct sluice_slot slot;
    int fd;
    bool stopped;                   /* accepting has stopped, and OVERLOADED has been given */
    bool drains;                    /* no more callers come: it ends when none waits */
    bool is_local;                  /* its connections are unix sockets */
    struct sluice_socket_file file; /* goes with the listener, but in a fork's child */
    uint32_t cohort;                /* its streams', which counts them */
    uint32_t connection_limit;
    uint32_t accept_batch;
    struct sluice_listener_list *in; /* the list that it is in, or NULL */
    uint32_t next;                   /* these two are in that list */
    uint32_t previous;
};

/* A name that is looked up by itself; it ends with its RESOLVED. */
struct sluice_resolve {
    struct sluice_slot slot;
    struct sluice_query *query;
};

/* The data of an event that has been pulled and is still valid. */
struct sluice_lent {
    sluice_id id; /* 0 where these bytes are nobody's any more, and are freed then */
    const unsigned char *bytes;
    size_t length;
    bool kept;     /* the caller has kept them */
    bool returned; /* and given them back, where they were a block of the stream's: freed then */
};

/* A receive buffer. The first two are for those of which bytes have been kept. The bytes begin at a
 * multiple of 256. What the kernel copies into them mostly begins a page, and where they begin 64
 * bytes behind one, the processor takes each load of the copy for one of what it has just stored: a
 * receive then takes half as long again (AMD Zen). What an allocator gives is such a place by
 * chance. */
struct sluice_buffer {
    struct sluice_buffer *next; /* of a spare one */
    size_t references;          /* by bytes that are kept, and by events that are still valid */
    unsigned char *bytes;       /* in the same block */
};

/* One with room for receive_size bytes, or NULL. */
SLUICE_INTERNAL struct sluice_buffer *sluice_make_buffer(const sluice_loop *loop);

/* Bytes that the caller keeps. slot.own is their place among loop->lent, where that has them. */
struct sluice_kept {
    struct sluice_slot slot;
    struct sluice_buffer *buffer; /* which they lie in; or NULL, */
    unsigned char *block;         /* and they are in this, which was the stream's */
    size_t size;                  /* of that */
};

/* keep.c, as a loop names it once bytes are kept: a program that keeps none goes without. */
struct sluice_keep_operations {
    /* The events of a pull are over, those lent[0, count): what the caller has kept of them is its
     * alone, and what it has given back goes. */
    void (*end_events)(sluice_loop *loop, uint32_t count);
    /* Frees all that is kept, and the spare buffers. */
    void (*deinit)(sluice_loop *loop);
};

/* What there is to do before the loop waits again, in the order in which it is done. */
enum {
    PART_AGENDA,     /* `agenda` is not empty */
    PART_NOTICES,    /* `notices` is not empty */
    PART_OVERLOADED, /* `overloaded` is set */
    PART_TIMERS,     /* this and what follows are a turn's */
    PART_POSTS,
    PART_ANSWERS, /* names that have been looked up */
    PART_DRAINING,
    PART_COMPLETIONS,
    PART_DEADLINES, /* what came in time is seen to before */
    PART_RESUMED    /* `resumed` is not empty: what came is joined with what was held */
};

/* The same as bits of `todo`. */
#define TODO(part) (UINT32_C(1) << PART_##part)
#define TODO_OF_TURN (2 * TODO(RESUMED) - 1)
#define TODO_TAKE_BACK (UINT32_C(1) << 16) /* no part of a turn: `lent_count` is not 0 */
#define TODO_TRACED (UINT32_C(1) << 17)    /* the same: what is pulled is written down, too */

/* How long the pull under way may still wait. It stands in the loop, so that the pulls that need
 * not wait keep it in no register. */
struct sluice_patience {
    int64_t timeout_ns; /* what is left of it; or less than 0: no other turn begins */
    int64_t deadline;   /* -1 before the first wait */
    int code;           /* what the last wait has failed with, or 0 */
};

struct sluice_loop {
    struct sluice_allocator allocator;
    struct sluice_engine *engine;
    uintptr_t thread; /* sluice_thread() of the one that it belongs to */
    int64_t now;
    int64_t waited; /* when the last wait ended; `now` may have been updated since */
    uint32_t todo;  /* of TODO(...) */
    int trace_fd;   /* where the trace goes; or -1 */
    struct sluice_patience patience;

    struct sluice_slots watches;
    struct sluice_slots signals;
    struct sluice_slots listeners;
    struct sluice_slots streams;
    struct sluice_slots cohorts;    /* the first is the default */
    uint32_t newest_cohort;         /* of those that are not a listener's */
    struct sluice_timers timers;    /* the caller's */
    uint32_t living_timers;         /* the caller's */
    struct sluice_timers deadlines; /* the streams'; their user word is an id */
    struct sluice_posts posts;

    struct sluice_slots resolves;
    const struct sluice_lookup_operations *lookups; /* NULL until a name is asked for */
    struct sluice_query_list asked;
    struct sluice_query_list answered; /* and not told yet */

    struct sluice_chunk_pool pool;
    struct sluice_stream_list agenda;
    struct sluice_stream_list notices;       /* of this turn */
    struct sluice_stream_list later_notices; /* of the next */
    struct sluice_stream_list resumed;       /* of this turn's end */
    size_t high_mark;
    size_t low_mark;
    size_t hard_limit;
    size_t memory_limit;
    size_t held_memory; /* also of what is kept */
    uint32_t handle_limit;

    unsigned char *receive_bytes; /* those of `receiving` */
    size_t receive_size;
    size_t receive_used; /* by events of this pull */
    /* The stream of the event pulled last, where that is DATA and of a stream without extras: what
     * most writes answer. Else the id is 0, and such data is lent. */
    const struct sluice_stream *answerable_stream; /* or `no_stream` */
    struct sluice_stream no_stream;                /* takes no writes */
    sluice_id answerable;
    const unsigned char *answerable_bytes; /* this and its length: until the next pull */
    size_t answerable_length;
    struct sluice_lent *lent;
    uint32_t lent_count;
    uint32_t lent_capacity;
    bool tells_resumed; /* the turn is at its end: those of `resumed` are among `notices` */
    bool lent_of_held;  /* one of them is of a stream that holds, or has held, bytes; or a block; or
                         * is kept */
    sluice_atomic_bool has_answers; /* the helper thread sets it: of `asked`, the first is answered;
                                     * or of `answered` some are the next turn's */

    /* A write that is put off until the next pull, by itself and without a queue: of bytes that are
     * lent, which stay valid until then, or of a few others. No length where there is none. */
    const unsigned char *put_off_bytes; /* lent, or in `small_write` */
    size_t put_off_length;
    sluice_id put_off_id; /* the stream's, whose queue is empty */
    /* Up to so many bytes are put off as a copy; no more than any stream's high mark. */
    size_t small_most;
    int put_off_fd;

    int signal_fd; /* -1 until there is a signal */
    sigset_t signal_set;
    uint32_t signal_index[SLUICE_SIGNAL_COUNT]; /* SLUICE_NO_SLOT where there is none */

    sluice_id overloaded; /* a listener whose last ACCEPTED reached its limit; or 0 */
    struct sluice_listener_list waiting;  /* see struct sluice_listener */
    int64_t accept_again;                 /* when those try again; or INT64_MAX */
    struct sluice_listener_list draining; /* those that drain, and can go on */
    uint32_t drains_left;                 /* accepts that this turn may still have of them */
    int reserve_fd; /* given up to turn a caller away when there are no others; or -1 */

    sluice_id problem_id; /* the stream by name whose CLOSED was pulled last, and what was said */
    const char *problem;  /* of its name: a static string */

    struct sluice_buffer *receiving;
    const struct sluice_keep_operations *keeping; /* NULL until bytes are kept; so are these: */
    struct sluice_buffer *kept_buffer; /* where bytes of this pull are kept: the one they lie in */
    struct sluice_buffer *spare;       /* the first of `spares` that were kept and given back */
    uint32_t spares;
    struct sluice_slots kept;
    uint64_t trace_lost; /* lines of the trace since the last that went */

    sluice_statistics stats;
    unsigned char small_write[SLUICE_SMALL_WRITE];
};

/* Copies a struct that says its own size, as far as the caller knows it: whether that is a size
 * that ends with one of its members. None of them crosses a boundary of eight bytes. */
static inline bool sluice_take_struct(void *to, size_t known, const void *from, size_t size) {
    if (size < sizeof size || size > known || size % 8 != 0)
        return false;
    memcpy(to, from, size);
    return true;
}

/* ---- Ids ------------------------------------------------------------------------------------ */

static_assert((int)SLUICE_SLOT_BITS == SLUICE_INDEX_BITS, "as the header says");

static inline sluice_id sluice_id_of(uint32_t kind, uint32_t index, uint32_t generation) {
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

/* The kind in an id by which the engine, and loop->deadlines, name an attempt to connect a stream
 * by name. It is no handle's. The index is the stream's, and the generation says which attempt. */
#define SLUICE_KIND_ATTEMPT UINT32_C(15)

/* 0, or SLUICE_ENULL or SLUICE_ETHREAD. */
static inline int sluice_loop_check(const sluice_loop *loop) {
    if (!loop)
        return SLUICE_ENULL;
    return loop->thread == sluice_thread() ? 0 : SLUICE_ETHREAD;
}

/* What the loop's engine does. In one file the compiler sees that there is one engine, and may put
 * the code of its functions where they are called. */
static inline const struct sluice_engine_operations *sluice_operations(const sluice_loop *loop) {
#ifdef SLUICE_ONE_FILE
    (void)loop;
    return &sluice_readiness_engine;
#else
    return loop->engine->operations;
#endif
}

/* Why `id` is not a handle of the kind that was looked for: SLUICE_ESTALE, or SLUICE_EKIND. */
SLUICE_INTERNAL int sluice_id_refusal(const sluice_loop *loop, sluice_id id);

static inline void *sluice_find(const struct sluice_slots *slots, enum sluice_kind kind,
                                sluice_id id) {
    if (sluice_id_kind(id) != (uint32_t)kind)
        return NULL;
    return sluice_slots_find(slots, sluice_id_index(id), sluice_id_generation(id));
}

static inline uint32_t sluice_stream_index(const sluice_loop *loop,
                                           const struct sluice_stream *stream) {
    /* The size as a constant, which makes the division a multiplication. */
    size_t offset = (size_t)((const unsigned char *)stream - loop->streams.records);
    return (uint32_t)(offset / sizeof *stream);
}

static inline sluice_id sluice_stream_id(const sluice_loop *loop,
                                         const struct sluice_stream *stream) {
    return sluice_id_of(SLUICE_KIND_STREAM, sluice_stream_index(loop, stream),
                        stream->slot.generation);
}

static inline struct sluice_stream *sluice_stream_at(const sluice_loop *loop, uint32_t index) {
    /* The size as a constant, as above. */
    return (struct sluice_stream *)(void *)loop->streams.records + index;
}

static inline struct sluice_watch *sluice_watch_at(const sluice_loop *loop, uint32_t index) {
    return (struct sluice_watch *)(void *)loop->watches.records + index;
}

/* A stream that has not ended, or NULL. */
static inline struct sluice_stream *sluice_find_stream(const sluice_loop *loop, sluice_id id) {
    struct sluice_stream *stream =
        (struct sluice_stream *)sluice_find(&loop->streams, SLUICE_KIND_STREAM, id);
    return stream && !(stream->state & STREAM_ENDED) ? stream : NULL;
}

/* Those of the other kinds, which are not found as often. */
static inline struct sluice_signal *sluice_signal_at(const sluice_loop *loop, uint32_t index) {
    return (struct sluice_signal *)sluice_slots_at(&loop->signals, index);
}

static inline struct sluice_listener *sluice_listener_at(const sluice_loop *loop, uint32_t index) {
    return (struct sluice_listener *)sluice_slots_at(&loop->listeners, index);
}

static inline struct sluice_resolve *sluice_resolve_at(const sluice_loop *loop, uint32_t index) {
    return (struct sluice_resolve *)sluice_slots_at(&loop->resolves, index);
}

static inline struct sluice_watch *sluice_find_watch(const sluice_loop *loop, sluice_id id) {
    return (struct sluice_watch *)sluice_find(&loop->watches, SLUICE_KIND_WATCH, id);
}

static inline struct sluice_listener *sluice_find_listener(const sluice_loop *loop, sluice_id id) {
    return (struct sluice_listener *)sluice_find(&loop->listeners, SLUICE_KIND_LISTENER, id);
}

static inline struct sluice_cohort *sluice_cohort_at(const sluice_loop *loop, uint32_t index) {
    return (struct sluice_cohort *)(void *)loop->cohorts.records + index;
}

/* One of its users has gone: a stream, or its listener. */
static inline void sluice_cohort_leave(sluice_loop *loop, uint32_t cohort) {
    if (--sluice_cohort_at(loop, cohort)->users == 0)
        sluice_cohort_end(loop, cohort);
}

/* What a call of the caller's begins with: the stream, or NULL and *code says why. */
static inline struct sluice_stream *sluice_called_stream(const sluice_loop *loop, sluice_id id,
                                                         int *code) {
    *code = sluice_loop_check(loop);
    if (*code < 0)
        return NULL;
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        *code = sluice_id_refusal(loop, id);
    return stream;
}

/* No event is answerable any more; bytes that are lent still are. */
static inline void sluice_nothing_answerable(sluice_loop *loop) {
    loop->answerable = 0;
    loop->answerable_stream = &loop->no_stream;
}

/* How many bytes of `stream` are put off. */
static inline size_t sluice_output_put_off(const sluice_loop *loop,
                                           const struct sluice_stream *stream) {
    return loop->put_off_length > 0 &&
                   stream == sluice_stream_at(loop, sluice_id_index(loop->put_off_id))
               ? loop->put_off_length
               : 0;
}

/* What memory_limit is about: the bytes that the chunks in use have room for, and those held or
 * kept. */
static inline size_t sluice_loop_memory(const sluice_loop *loop) {
    return loop->held_memory + sluice_chunk_pool_in_use(&loop->pool) * SLUICE_CHUNK_ROOM;
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* The first moment at which something is due by the clock, or INT64_MAX. */
SLUICE_INTERNAL int64_t sluice_loop_deadline(sluice_loop *loop);

/* `from` and `after_ns`, without overflow. */
static inline int64_t sluice_after(int64_t from, int64_t after_ns) {
    int64_t moment;
    return __builtin_add_overflow(from, after_ns, &moment) ? INT64_MAX : moment;
}

/* The same from sluice_now. */
static inline int64_t sluice_moment(const sluice_loop *loop, int64_t after_ns) {
    return sluice_after(loop->now, after_ns);
}

/* Sets the deadline of a stream to so long from this moment, by a fresh clock, or moves it there: 0
 * or SLUICE_ENOMEM, with nothing changed. The second only moves one that is there. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_deadline_set(sluice_loop *loop, struct sluice_stream *stream, int64_t after_ns);
SLUICE_INTERNAL void sluice_deadline_move(sluice_loop *loop, struct sluice_stream *stream,
                                          int64_t after_ns);
SLUICE_INTERNAL void sluice_deadline_cancel(sluice_loop *loop, struct sluice_stream *stream);

/* ---- Listeners, watches, signals ------------------------------------------------------------ */

/* The same where the number is attached already. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_attach_instead(sluice_loop *loop, int fd, sluice_id id,
                                                         enum sluice_role role, uint32_t detail);

/* Tells the engine of a descriptor that the kernel has just given to the loop. Where a handle still
 * has that number, it was closed behind our back, and the handle loses it. */
static inline SLUICE_CHECKED int sluice_attach(sluice_loop *loop, int fd, sluice_id id,
                                               enum sluice_role role, uint32_t detail) {
    int code = sluice_operations(loop)->attach(loop->engine, fd, id, role, detail);
    return sluice_likely(code != SLUICE_EEXIST) ? code
                                                : sluice_attach_instead(loop, fd, id, role, detail);
}

struct sluice_listener_start {
    int fd;
    bool is_given;                  /* the caller's so far; else the kernel has just made it */
    struct sluice_socket_file file; /* which goes with the listener */
    const sluice_listen_options *options; /* checked and completed, as the settings are */
    const struct sluice_stream_settings *settings;
};

/* Makes a listener of start->fd, which stays the caller's on failure, and its file too. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_listener_begin(sluice_loop *loop, const struct sluice_listener_start *start, sluice_id *id);
/* Ends the listener; its descriptor stays open, and its file stays. */
SLUICE_INTERNAL void sluice_listener_let_go(sluice_loop *loop, struct sluice_listener *listener);

SLUICE_INTERNAL bool sluice_listener_complete(sluice_loop *loop, struct sluice_listener *listener,
                                              sluice_event *event);
/* The OVERLOADED of loop->overloaded, where it still holds. */
SLUICE_INTERNAL bool sluice_listener_notice(sluice_loop *loop, sluice_event *event);
/* Begins to drain a listener: see sluice_shutdown. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_listener_drain(sluice_loop *loop,
                                                         struct sluice_listener *listener);
/* A turn begins in which there are some that drain: what it may have of them. */
SLUICE_INTERNAL void sluice_draining_turn(sluice_loop *loop);
/* The turn's next event of one that drains, or false. */
SLUICE_INTERNAL bool sluice_draining_next(sluice_loop *loop, sluice_event *event);
/* A stream of the cohort has ended, and its descriptor is free: its listener, or one that stopped
 * for want of a descriptor, may go on. O(1). */
SLUICE_INTERNAL void sluice_listeners_heed_end(sluice_loop *loop, uint32_t cohort);
/* There is room for another descriptor, or for another stream: the first that waits for it goes on.
 */
SLUICE_INTERNAL void sluice_listeners_heed_room(sluice_loop *loop);
SLUICE_INTERNAL void sluice_listener_lose_descriptor(sluice_loop *loop,
                                                     struct sluice_listener *listener);
/* All that stopped for an error try again. */
SLUICE_INTERNAL void sluice_listeners_try_again(sluice_loop *loop);
SLUICE_INTERNAL void sluice_listener_end(sluice_loop *loop, struct sluice_listener *listener);
SLUICE_INTERNAL void sluice_listeners_after_fork(sluice_loop *loop);

/* Traces the loop from now on, where the environment says so. */
SLUICE_INTERNAL void sluice_trace_open(sluice_loop *loop);
/* What a pull has given: so many events; or, for `code` <= 0, none. */
SLUICE_INTERNAL void sluice_trace(sluice_loop *loop, const sluice_event *events, int code);

SLUICE_INTERNAL void sluice_watch_end(sluice_loop *loop, struct sluice_watch *watch);

/* Makes a stream that connects to a name. On failure nothing has changed. */
struct sluice_endpoint;
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_connect_by_name(sluice_loop *loop, const struct sluice_stream_settings *settings,
                       const struct sluice_endpoint *endpoint, sluice_id *id);

SLUICE_INTERNAL bool sluice_signals_complete(sluice_loop *loop, sluice_event *event);
SLUICE_INTERNAL void sluice_signal_end(sluice_loop *loop, struct sluice_signal *signal);
/* Blocks the loop's signals in the calling thread, which has become the loop's. */
SLUICE_INTERNAL void sluice_signals_block(sluice_loop *loop);
/* In the child of a fork, once the engine shares nothing with the parent: 0; or an error, and then
 * it may be called again. */
SLUICE_INTERNAL int sluice_signals_after_fork(sluice_loop *loop);

#endif

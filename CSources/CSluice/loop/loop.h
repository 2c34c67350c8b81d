/* loop.h - what a loop is, for the files of this folder.
 *
 * pull.c pulls, turn by turn. Each kind of handle has a file that looks after it: watches.c (timers
 * too), signals.c, listeners.c, resolve.c, and for streams the files that stream.h names. Transfers
 * of streams go through the engine. network/ makes sockets and asks them.
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

/* A write of up to this many bytes is put off as a copy: see output.c. */
#define SLUICE_SMALL_WRITE 4096

#define SLUICE_SIGNAL_COUNT 65 /* one more than the highest signal's number */

/* slot.fd is -1 if it was closed behind our back, and names another file by now. */
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
    uint32_t first; /* SLUICE_NO_SLOT if it is empty */
    uint32_t last;
};

/* Invariants:
 * - the engine does not accept from a listener that `drains`. Such a listener is in loop->draining,
 *   except while it has stopped;
 * - a listener is in loop->waiting only if it has stopped for an error, or because there were too
 *   many streams in all. It is not there while it is at its own limit, too. */
struct sluice_listener {
    struct sluice_slot slot;
    int fd;
    bool stopped;                   /* accepting has stopped, and OVERLOADED has been given */
    bool drains;                    /* no more callers come in: it ends when none waits */
    bool is_local;                  /* its connections are unix sockets */
    struct sluice_socket_file file; /* removed with the listener, except in a fork's child */
    uint32_t cohort;                /* the cohort of its streams, which counts them */
    uint32_t connection_limit;
    uint32_t accept_batch;
    struct sluice_listener_list *in; /* the list that it is in, or NULL */
    uint32_t next;                   /* these two are in that list */
    uint32_t previous;
};

/* A name that is looked up for its own sake. The handle ends with its RESOLVED. */
struct sluice_resolve {
    struct sluice_slot slot;
    struct sluice_query *query;
};

/* The data of an event that has been pulled and is still valid. */
struct sluice_lent {
    sluice_id id; /* 0 if these bytes are nobody's any more: they are freed then */
    const unsigned char *bytes;
    size_t length;
    bool kept;     /* the caller has kept them */
    bool returned; /* the caller has given them back, and they were a block of the stream: freed
                    * then */
};

/* A receive buffer. The first two members are for buffers of which bytes have been kept. The bytes
 * begin at a multiple of 256. The source of the kernel's copy into them mostly begins at a page. If
 * the bytes began 64 bytes behind a page, the processor would take each load of the copy for a load
 * of what it has just stored, and a receive would take half as long again (AMD Zen). An allocator
 * gives such a place by chance. */
struct sluice_buffer {
    struct sluice_buffer *next; /* of a spare buffer: the next one */
    size_t references;          /* from bytes that are kept, and from events that are still valid */
    unsigned char *bytes;       /* in the same block */
};

/* Makes a buffer with room for receive_size bytes, or returns NULL. */
SLUICE_INTERNAL struct sluice_buffer *sluice_make_buffer(const sluice_loop *loop);

/* Bytes that the caller keeps. slot.own is their place in loop->lent, if they are there. */
struct sluice_kept {
    struct sluice_slot slot;
    struct sluice_buffer *buffer; /* in which they lie; or NULL, */
    unsigned char *block;         /* and they are in this, which was the stream's */
    size_t size;                  /* of that */
};

/* What the loop calls in keep.c. It is set once bytes are kept, so a program that keeps none can be
 * linked without keep.c. */
struct sluice_keep_operations {
    /* The events of a pull, lent[0, count), are over. What the caller has kept of them is now the
     * caller's alone, and what it has given back is freed. */
    void (*end_events)(sluice_loop *loop, uint32_t count);
    /* Frees all that is kept, and the spare buffers. */
    void (*deinit)(sluice_loop *loop);
};

/* What there is to do before the loop waits again, in this order. */
enum {
    PART_AGENDA,     /* `agenda` is not empty */
    PART_NOTICES,    /* `notices` is not empty */
    PART_OVERLOADED, /* `overloaded` is set */
    PART_TIMERS,     /* from here on: what each turn has */
    PART_POSTS,
    PART_ANSWERS, /* names that have been looked up */
    PART_DRAINING,
    PART_COMPLETIONS,
    PART_DEADLINES, /* what came in time is dealt with before */
    PART_RESUMED    /* `resumed` is not empty: what came is joined with what was held */
};

/* The same as bits of `todo`. */
#define TODO(part) (UINT32_C(1) << PART_##part)
#define TODO_OF_TURN (2 * TODO(RESUMED) - 1)
#define TODO_TAKE_BACK (UINT32_C(1) << 16) /* not a part of a turn: `lent_count` is not 0 */
#define TODO_TRACED (UINT32_C(1) << 17)    /* not a part either: what is pulled is traced */

/* How long the current pull may still wait. It stands in the loop, so that pulls that need not wait
 * do not keep it in a register. */
struct sluice_patience {
    int64_t timeout_ns; /* what is left of it; less than 0: no other turn begins */
    int64_t deadline;   /* -1 before the first wait */
    int code;           /* what the last wait has failed with, or 0 */
};

struct sluice_loop {
    struct sluice_allocator allocator;
    struct sluice_engine *engine;
    uintptr_t thread; /* sluice_thread() of the thread that it belongs to */
    int64_t now;
    int64_t waited; /* when the last wait ended; `now` may have been updated since then */
    uint32_t todo;  /* of TODO(...) */
    int trace_fd;   /* where the trace goes; or -1 */
    struct sluice_patience patience;

    struct sluice_slots watches;
    struct sluice_slots signals;
    struct sluice_slots listeners;
    struct sluice_slots streams;
    struct sluice_slots cohorts;    /* the first is the default */
    uint32_t newest_cohort;         /* of the cohorts that are not a listener's */
    struct sluice_timers timers;    /* the caller's */
    uint32_t living_timers;         /* the caller's */
    struct sluice_timers deadlines; /* the streams'; their user word is an id */
    struct sluice_posts posts;

    struct sluice_slots resolves;
    const struct sluice_lookup_operations *lookups; /* NULL until a name is asked for */
    struct sluice_query_list asked;
    struct sluice_query_list answered; /* and not given to the caller yet */

    struct sluice_chunk_pool pool;
    struct sluice_stream_list agenda;
    struct sluice_stream_list notices;       /* of this turn */
    struct sluice_stream_list later_notices; /* of the next */
    struct sluice_stream_list resumed;       /* of this turn's end */
    size_t high_mark;
    size_t low_mark;
    size_t hard_limit;
    size_t memory_limit;
    size_t held_memory; /* and kept memory */
    uint32_t handle_limit;

    unsigned char *receive_bytes; /* the bytes of `receiving` */
    size_t receive_size;
    size_t receive_used; /* how many of them are used by events of this pull */
    /* The stream of the event pulled last, if that is DATA of a stream without extras: most writes
     * answer such an event. Otherwise the id is 0, and the data is lent. */
    const struct sluice_stream *answerable_stream; /* or `no_stream` */
    struct sluice_stream no_stream;                /* takes no writes */
    sluice_id answerable;
    const unsigned char *answerable_bytes; /* this and its length: until the next pull */
    size_t answerable_length;
    struct sluice_lent *lent;
    uint32_t lent_count;
    uint32_t lent_capacity;
    bool tells_resumed; /* the turn is at its end: the streams of `resumed` are in `notices` */
    bool lent_of_held;  /* one of them belongs to a stream that holds or has held bytes, or is a
                         * block, or is kept */
    sluice_atomic_bool has_answers; /* the helper thread sets it: the first of `asked` is answered;
                                     * or some of `answered` are for the next turn */

    /* A write that is put off until the next pull, without a queue. Its bytes are lent ones, which
     * stay valid until then, or a copy of a few others. The length is 0 if there is no such
     * write. */
    const unsigned char *put_off_bytes; /* lent, or in `small_write` */
    size_t put_off_length;
    sluice_id put_off_id; /* the stream's, whose queue is empty */
    /* Up to this many bytes are put off as a copy. It is no more than any stream's high mark. */
    size_t small_most;
    int put_off_fd;

    int signal_fd; /* -1 until there is a signal */
    sigset_t signal_set;
    uint32_t signal_index[SLUICE_SIGNAL_COUNT]; /* SLUICE_NO_SLOT if there is none */

    sluice_id overloaded; /* a listener whose last ACCEPTED reached its limit; or 0 */
    struct sluice_listener_list waiting;  /* see struct sluice_listener */
    int64_t accept_again;                 /* when the waiting ones try again; or INT64_MAX */
    struct sluice_listener_list draining; /* listeners that drain and can go on */
    uint32_t drains_left;                 /* how many accepts this turn may still have from them */
    int reserve_fd; /* given up to turn a caller away when there are no other descriptors; or -1 */

    sluice_id problem_id; /* the stream by name whose CLOSED was pulled last; and what the resolver
                           * said */
    const char *problem;  /* about its name: a static string */

    struct sluice_buffer *receiving;
    const struct sluice_keep_operations *keeping; /* NULL until bytes are kept, and so are these: */
    struct sluice_buffer *kept_buffer; /* if bytes of this pull are kept: the buffer that they lie
                                        * in */
    struct sluice_buffer *spare;       /* the first of `spares` buffers that were kept and given
                                        * back */
    uint32_t spares;
    struct sluice_slots kept;
    uint64_t trace_lost; /* lines of the trace that were lost since the last one that went */

    sluice_statistics stats;
    unsigned char small_write[SLUICE_SMALL_WRITE];
};

/* Copies a struct that says its own size, as far as the caller knows it. Returns whether that size
 * ends with one of its members. No member crosses a boundary of eight bytes. */
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

/* The kind in an id by which the engine and loop->deadlines name an attempt to connect a stream by
 * name. No handle has this kind. The index is the stream's, and the generation says which
 * attempt. */
#define SLUICE_KIND_ATTEMPT UINT32_C(15)

/* Returns 0, or SLUICE_ENULL or SLUICE_ETHREAD. */
static inline int sluice_loop_check(const sluice_loop *loop) {
    if (!loop)
        return SLUICE_ENULL;
    return loop->thread == sluice_thread() ? 0 : SLUICE_ETHREAD;
}

/* What the loop's engine does. In one file the compiler sees that there is only one engine, and can
 * inline its functions. */
static inline const struct sluice_engine_operations *sluice_operations(const sluice_loop *loop) {
#ifdef SLUICE_ONE_FILE
    (void)loop;
    return &sluice_readiness_engine;
#else
    return loop->engine->operations;
#endif
}

/* Why `id` is not a handle of the kind that was looked for: SLUICE_ESTALE or SLUICE_EKIND. */
SLUICE_INTERNAL int sluice_id_refusal(const sluice_loop *loop, sluice_id id);

static inline void *sluice_find(const struct sluice_slots *slots, enum sluice_kind kind,
                                sluice_id id) {
    if (sluice_id_kind(id) != (uint32_t)kind)
        return NULL;
    return sluice_slots_find(slots, sluice_id_index(id), sluice_id_generation(id));
}

static inline uint32_t sluice_stream_index(const sluice_loop *loop,
                                           const struct sluice_stream *stream) {
    /* The size is a constant here, which makes the division a multiplication. */
    size_t offset = (size_t)((const unsigned char *)stream - loop->streams.records);
    return (uint32_t)(offset / sizeof *stream);
}

static inline sluice_id sluice_stream_id(const sluice_loop *loop,
                                         const struct sluice_stream *stream) {
    return sluice_id_of(SLUICE_KIND_STREAM, sluice_stream_index(loop, stream),
                        stream->slot.generation);
}

static inline struct sluice_stream *sluice_stream_at(const sluice_loop *loop, uint32_t index) {
    /* The size is a constant here too. */
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

/* Handles of the other kinds, which are not looked up as often. */
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

/* One of the cohort's users has gone: a stream, or its listener. */
static inline void sluice_cohort_leave(sluice_loop *loop, uint32_t cohort) {
    if (--sluice_cohort_at(loop, cohort)->users == 0)
        sluice_cohort_end(loop, cohort);
}

/* A public call begins with this. Returns the stream, or NULL, and *code says why. */
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

/* No event is answerable any more. Bytes that are lent stay lent. */
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

/* What counts in memory_limit: the bytes for which the chunks in use have room, and the bytes that
 * are held or kept. */
static inline size_t sluice_loop_memory(const sluice_loop *loop) {
    return loop->held_memory + sluice_chunk_pool_in_use(&loop->pool) * SLUICE_CHUNK_ROOM;
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* The first moment at which the clock makes something due, or INT64_MAX. */
SLUICE_INTERNAL int64_t sluice_loop_deadline(sluice_loop *loop);

/* `from` plus `after_ns`, without overflow. */
static inline int64_t sluice_after(int64_t from, int64_t after_ns) {
    int64_t moment;
    return __builtin_add_overflow(from, after_ns, &moment) ? INT64_MAX : moment;
}

/* The same from sluice_now. */
static inline int64_t sluice_moment(const sluice_loop *loop, int64_t after_ns) {
    return sluice_after(loop->now, after_ns);
}

/* Sets the deadline of a stream to `after_ns` from this moment, by a fresh clock, or moves it
 * there. Returns 0, or SLUICE_ENOMEM with nothing changed. The second call only moves a deadline
 * that is there. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_deadline_set(sluice_loop *loop, struct sluice_stream *stream, int64_t after_ns);
SLUICE_INTERNAL void sluice_deadline_move(sluice_loop *loop, struct sluice_stream *stream,
                                          int64_t after_ns);
SLUICE_INTERNAL void sluice_deadline_cancel(sluice_loop *loop, struct sluice_stream *stream);

/* ---- Listeners, watches, signals ------------------------------------------------------------ */

/* sluice_attach for a number that is attached already. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_attach_instead(sluice_loop *loop, int fd, sluice_id id,
                                                         enum sluice_role role, uint32_t detail);

/* Tells the engine of a descriptor that the kernel has just given to the loop. If a handle still
 * has that number, it was closed behind our back, and the handle loses it. */
static inline SLUICE_CHECKED int sluice_attach(sluice_loop *loop, int fd, sluice_id id,
                                               enum sluice_role role, uint32_t detail) {
    int code = sluice_operations(loop)->attach(loop->engine, fd, id, role, detail);
    return sluice_likely(code != SLUICE_EEXIST) ? code
                                                : sluice_attach_instead(loop, fd, id, role, detail);
}

struct sluice_listener_start {
    int fd;
    bool is_given;                  /* it was the caller's so far; otherwise the kernel has just
                                     * made it */
    struct sluice_socket_file file; /* removed with the listener */
    const sluice_listen_options *options; /* checked and completed, as the settings are */
    const struct sluice_stream_settings *settings;
};

/* Makes a listener of start->fd. On failure the descriptor and its file stay the caller's. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_listener_begin(sluice_loop *loop, const struct sluice_listener_start *start, sluice_id *id);
/* Ends the listener. Its descriptor stays open, and its file stays. */
SLUICE_INTERNAL void sluice_listener_let_go(sluice_loop *loop, struct sluice_listener *listener);

SLUICE_INTERNAL bool sluice_listener_complete(sluice_loop *loop, struct sluice_listener *listener,
                                              sluice_event *event);
/* The OVERLOADED of loop->overloaded, if it is still so. */
SLUICE_INTERNAL bool sluice_listener_notice(sluice_loop *loop, sluice_event *event);
/* Begins to drain a listener: see sluice_shutdown. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_listener_drain(sluice_loop *loop,
                                                         struct sluice_listener *listener);
/* A turn begins in which some listeners drain: sets how many accepts it may have from them. */
SLUICE_INTERNAL void sluice_draining_turn(sluice_loop *loop);
/* The turn's next event of a listener that drains, or false. */
SLUICE_INTERNAL bool sluice_draining_next(sluice_loop *loop, sluice_event *event);
/* A stream of the cohort has ended, and its descriptor is free. Its listener, or one that stopped
 * for lack of a descriptor, may go on. O(1). */
SLUICE_INTERNAL void sluice_listeners_heed_end(sluice_loop *loop, uint32_t cohort);
/* There is room for another descriptor, or for another stream: the first listener that waits for it
 * goes on. */
SLUICE_INTERNAL void sluice_listeners_heed_room(sluice_loop *loop);
SLUICE_INTERNAL void sluice_listener_lose_descriptor(sluice_loop *loop,
                                                     struct sluice_listener *listener);
/* All listeners that stopped for an error try again. */
SLUICE_INTERNAL void sluice_listeners_try_again(sluice_loop *loop);
SLUICE_INTERNAL void sluice_listener_end(sluice_loop *loop, struct sluice_listener *listener);
SLUICE_INTERNAL void sluice_listeners_after_fork(sluice_loop *loop);

/* Traces the loop from now on, if the environment says so. */
SLUICE_INTERNAL void sluice_trace_open(sluice_loop *loop);
/* Traces what a pull has given: `code` events, or none if `code` <= 0. */
SLUICE_INTERNAL void sluice_trace(sluice_loop *loop, const sluice_event *events, int code);

SLUICE_INTERNAL void sluice_watch_end(sluice_loop *loop, struct sluice_watch *watch);

/* Makes a stream that connects to a name. On failure nothing has changed. */
struct sluice_endpoint;
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_connect_by_name(sluice_loop *loop, const struct sluice_stream_settings *settings,
                       const struct sluice_endpoint *endpoint, sluice_id *id);

SLUICE_INTERNAL bool sluice_signals_complete(sluice_loop *loop, sluice_event *event);
SLUICE_INTERNAL void sluice_signal_end(sluice_loop *loop, struct sluice_signal *signal);
/* Blocks the loop's signals in the calling thread, which has become the loop's thread. */
SLUICE_INTERNAL void sluice_signals_block(sluice_loop *loop);
/* For the child of a fork, once the engine shares nothing with the parent. Returns 0; or an error,
 * and then it may be called again. */
SLUICE_INTERNAL int sluice_signals_after_fork(sluice_loop *loop);

#endif

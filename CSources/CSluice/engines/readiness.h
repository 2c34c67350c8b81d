/* readiness.h - the engine over a poller: what its three files share. readiness.c has the
 * descriptors and what is wanted of them. completions.c has what comes of that. bulk.c has the
 * streams that wait for their turn.
 */
#ifndef SLUICE_READINESS_H
#define SLUICE_READINESS_H

#include "base/platform.h"

#include "engines/engine.h"
#include "readiness/poller.h"

#define NO_FD (-1)

/* A stream becomes a bulk stream when this many receives in a row have filled their buffer. */
#define BULK 4

/* What is known of a descriptor. The bits above that are the operations that are wanted of it or,
 * for a watch, the directions that it is interested in. */
enum {
    CAN_RECEIVE = SLUICE_READ, /* these two are as the poller says them */
    CAN_SEND = SLUICE_WRITE,
    BROKEN = 2,      /* an error or a hang-up of both directions has been told */
    STOPS_SHORT = 8, /* a short receive does not say that there is no more */
    QUEUED = 16,
    ATTACHED = 32,
    IS_SOCKET = 64,
    BY_ROLE = 128, /* is received from as its role needs: anything but a TCP socket */
    WANTED_SHIFT = 8,
    NO_INPUT = 1 << 14, /* a stream that can only be written to */
    IN_BULK = 1 << 15   /* together with QUEUED: it is in the list `bulk` */
};
#define WANTED(operations) ((uint32_t)(operations) << WANTED_SHIFT)
#define OPERATIONS ((uint32_t)0x3f) /* all that can be wanted */
#define ALL_WANTED WANTED(OPERATIONS)

/* Invariants: a number is in one of the engine's lists while it is QUEUED, and only then does
 * `next` mean something. A number that is detached keeps its place. That is passed over, or becomes
 * the place of the number's next descriptor. */
struct source {
    sluice_id id;
    int next;
    uint16_t state;
    uint8_t role; /* enum sluice_role */
    /* For a listener, as powers of two: how many accepts this turn may have, and how many any turn
     * may have. For a stream, `burst` is how many receives in a row have filled their buffer, up to
     * BULK. */
    uint8_t burst : 4;
    uint8_t most : 4;
};

struct list {
    int first; /* NO_FD if it is empty */
    int last;
};

struct readiness_engine {
    struct sluice_engine engine;
    const sluice_ready *ready; /* this turn's events that have not been dealt with */
    const sluice_ready *ready_end;
    const sluice_ready *ready_then; /* where `ready` goes on after what was put back */
    int put_back;                   /* the descriptor whose packet waits for an empty buffer */
    struct source *sources;
    bool changed; /* since the events were gathered: an event may be about what is gone or not
                   * wanted */
    bool edges;
    int limit; /* how many sources there are, and room for */
    int capacity;
    sluice_poller *poller;
    struct list now;   /* of this turn */
    struct list later; /* of the next */
    struct list bulk;  /* each turn has a run of the first */
    int running;       /* the bulk stream that has this turn's run, */
    int run_left;      /* and how many receives it may still have */
    int accepting;     /* the listener that `accepts_left` is about */
    int accepts_left;
    struct sluice_allocator allocator;
    size_t receive_size;
    sluice_ready *events;
    int batch; /* for how many there is room */
    int attached;
};

/* The public engine is the first member of ours. */
static inline struct readiness_engine *ours(struct sluice_engine *engine) {
    return (struct readiness_engine *)(void *)engine;
}

static inline enum sluice_role source_role(const struct source *source) {
    return (enum sluice_role)source->role;
}

static inline uint32_t wanted_of(const struct source *source) {
    return (uint32_t)source->state >> WANTED_SHIFT & OPERATIONS;
}

static inline void set_state(struct source *source, uint32_t clear, uint32_t set) {
    source->state = (uint16_t)((source->state & ~clear) | set);
}

/* Whether only its readiness is reported. */
static inline bool is_reported(enum sluice_role role) {
    return role == SLUICE_ROLE_WATCH || role == SLUICE_ROLE_SIGNALS;
}

/* Whether a receive is wanted and possible. */
static inline bool is_due(const struct source *source) {
    const uint32_t due = CAN_RECEIVE | WANTED(SLUICE_OP_RECEIVE);
    return (source->state & due) == due;
}

static inline bool is_bulk(const struct source *source) {
    return source->burst == BULK && is_due(source);
}

/* ---- readiness.c ------------------------------------------------------------------------------
 */

/* Sets what is wanted of a descriptor from now on. The poller is told if it does not look for
 * everything. Returns 0 or an error, and then what was wanted is still wanted. */
SLUICE_INTERNAL int sluice_source_set_wanted(struct readiness_engine *engine, int fd,
                                             uint32_t wanted);
/* The half of that which makes the poller look for what is wanted. */
SLUICE_INTERNAL int sluice_source_follow_wanted(struct readiness_engine *engine, int fd,
                                                uint32_t wanted);

/* ---- bulk.c -----------------------------------------------------------------------------------
 */

/* Puts a descriptor into a list, unless it is in one. */
SLUICE_INTERNAL void sluice_source_push(struct readiness_engine *engine, struct list *list, int fd);
/* Takes the first out of a list. NO_FD if the list is empty. */
SLUICE_INTERNAL int sluice_source_pop(struct readiness_engine *engine, struct list *list);
/* More can be received from it, but others come first. `full`: it has just filled a buffer. */
SLUICE_INTERNAL void sluice_source_wait_for_more(struct readiness_engine *engine, int fd,
                                                 bool full);
/* A turn begins in which the first bulk stream has a run. */
SLUICE_INTERNAL void sluice_bulk_begin_run(struct readiness_engine *engine);
/* The run's next completion, or NONE. */
SLUICE_INTERNAL enum sluice_operation sluice_bulk_next(struct readiness_engine *engine,
                                                       sluice_event *event, unsigned char *bytes,
                                                       size_t size);

/* ---- completions.c ----------------------------------------------------------------------------
 */

/* The engine's `next`. */
SLUICE_INTERNAL SLUICE_MERGED enum sluice_operation
sluice_readiness_next(struct sluice_engine *base, sluice_event *event, unsigned char *bytes,
                      size_t size);
/* Receives once from a descriptor that may have something. Returns RECEIVE, END, or NONE. */
SLUICE_INTERNAL enum sluice_operation sluice_source_receive(struct readiness_engine *engine, int fd,
                                                            sluice_event *event,
                                                            unsigned char *bytes, size_t size);

#endif

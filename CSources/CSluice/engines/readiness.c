/* readiness.c - an engine over any poller: learns that an operation is possible, and does it when
 * its completion is pulled.
 *
 * What it keeps for a descriptor stands in an array indexed by number, as the poller's own does:
 * which operations are wanted, and which are possible as far as is known.
 *
 * Where the poller has edges, a stream is registered once, for both directions, and the kernel is
 * not spoken to again: it tells of changes, and what it told is remembered here until an operation
 * finds it no longer true. A receive that brings less than was asked for has drained a TCP or a
 * unix socket, so that the one that would find nothing is saved. Nothing else is drained by a short
 * read (receive.h), and neither is a socket after a hang-up, when the end or the error is still to
 * be fetched, or after urgent bytes or passed descriptors, which a receive stops short of. What is
 * known to be possible and had to wait its turn (a receive filled the buffer, a stream was resumed)
 * is kept in a list, and is seen to in the next turn.
 *
 * Bulk streams fill one receive after the other. They have a list of their own, and each turn has a
 * run of the first: as many receives as there are bulk streams, up to RUN_BYTES. So a turn is never
 * longer than if each had one, and a stream goes on while what it moves is still in the cache:
 * measured beside receives in turn, four streams that echo took a tenth less CPU time. Decided
 * against: a longer run while nobody else has anything due (who comes meanwhile would wait for it,
 * and the waits that it saves were not to be measured).
 *
 * Where the poller has none, or cannot tell a hang-up, the interest follows what is wanted, and
 * nothing is remembered: what is still possible is told again.
 *
 * Listeners and watches are level-triggered on every poller.
 *
 * This is one long file, since the short way of a receive runs through all of it.
 */
#include "base/platform.h"

#include "engines/engine.h"
#include "engines/receive.h"

#include "network/socket.h"
#include "readiness/poller.h"

#define FIRST_BATCH 256 /* events of one wait */
#define NO_FD (-1)

/* So many receives in a row that fill their buffer make a stream a bulk stream, and a run of one is
 * so many bytes at most, or one receive. */
#define BULK 4
#define RUN_BYTES ((size_t)256 * 1024)

/* What is known of a descriptor, and above that the operations that are wanted of it: of a watch,
 * the directions that it is interested in. */
enum {
    CAN_RECEIVE = SLUICE_READ, /* these two as the poller says them */
    CAN_SEND = SLUICE_WRITE,
    BROKEN = 2,      /* an error or a hang-up of both directions has been told */
    STOPS_SHORT = 8, /* a short receive does not say that there is no more */
    QUEUED = 16,
    ATTACHED = 32,
    IS_SOCKET = 64,
    BY_ROLE = 128, /* is received from as its role wants: anything but a TCP socket */
    WANTED_SHIFT = 8,
    NO_INPUT = 1 << 14, /* of a stream: it can only be written to */
    IN_BULK = 1 << 15   /* and QUEUED: the list that it is in is `bulk` */
};
#define WANTED(operations) ((uint32_t)(operations) << WANTED_SHIFT)
#define OPERATIONS ((uint32_t)0x3f) /* all that can be wanted */
#define ALL_WANTED WANTED(OPERATIONS)
#define RECEIVE_OR_HANGUP (SLUICE_OP_RECEIVE | SLUICE_OP_HANGUP)

/* Of a stream whose next receive is like most: one that is in no list, and has nothing else due nor
 * anything to learn from an event but that bytes have come. */
#define LIKE_MOST (WANTED(SLUICE_OP_RECEIVE) | IS_SOCKET | CAN_SEND)
#define TELLS_FROM_MOST                                                                            \
    (LIKE_MOST | WANTED(SLUICE_OP_SEND | SLUICE_OP_CONNECT) | CAN_RECEIVE | STOPS_SHORT | QUEUED | \
     BY_ROLE)

/* Invariants: a number is in one of the engine's lists while it is QUEUED, and only then does
 * `next` mean something. One that is detached keeps its place, which is passed over, or is that of
 * the number's next descriptor. */
struct source {
    sluice_id id;
    int next;
    uint16_t state;
    uint8_t role; /* enum sluice_role */
    /* Of a listener, as powers of two: how many accepts this turn may have, and any turn. Of a
     * stream `burst` is how many receives in a row have filled their buffer, up to BULK. */
    uint8_t burst : 4;
    uint8_t most : 4;
};

struct list {
    int first; /* NO_FD where it is empty */
    int last;
};

struct readiness_engine {
    struct sluice_engine engine;
    const sluice_ready *ready; /* this turn's events that have not been seen to */
    const sluice_ready *ready_end;
    const sluice_ready *ready_then; /* where `ready` goes on after what was put back */
    int put_back;                   /* the descriptor whose packet waits for a whole buffer */
    struct source *sources;
    bool detached; /* since the events were gathered: one may be of what is gone */
    bool edges;
    int limit; /* how many sources there are, and room for */
    int capacity;
    sluice_poller *poller;
    struct list now;   /* of this turn */
    struct list later; /* of the next */
    struct list bulk;  /* each turn has a run of the first */
    int running;       /* the bulk stream that this turn's run is of, */
    int run_left;      /* and receives that it may still have */
    int accepting;     /* the listener that `accepts_left` is of */
    int accepts_left;
    struct sluice_allocator allocator;
    size_t receive_size;
    sluice_ready *events;
    int batch; /* how many there is room for */
    int attached;
};

/* The engine is the first member of ours. */
static struct readiness_engine *ours(struct sluice_engine *engine) {
    return (struct readiness_engine *)(void *)engine;
}

static enum sluice_role source_role(const struct source *source) {
    return (enum sluice_role)source->role;
}

static uint32_t wanted_of(const struct source *source) {
    return (uint32_t)source->state >> WANTED_SHIFT & OPERATIONS;
}

static void set_state(struct source *source, uint32_t clear, uint32_t set) {
    source->state = (uint16_t)((source->state & ~clear) | set);
}

/* Whether it is to receive, and can. */
static bool is_due(const struct source *source) {
    const uint32_t due = CAN_RECEIVE | WANTED(SLUICE_OP_RECEIVE);
    return (source->state & due) == due;
}

static bool is_bulk(const struct source *source) {
    return source->burst == BULK && is_due(source);
}

static void append_source(struct readiness_engine *engine, struct list *list, int fd,
                          uint32_t place) {
    struct source *source = &engine->sources[fd];
    set_state(source, 0, place);
    source->next = NO_FD;
    if (list->first == NO_FD)
        list->first = fd;
    else
        engine->sources[list->last].next = fd;
    list->last = fd;
}

static int pop(struct readiness_engine *engine, struct list *list) {
    int fd = list->first;
    if (fd != NO_FD) {
        list->first = engine->sources[fd].next;
        set_state(&engine->sources[fd], QUEUED | IN_BULK, 0);
    }
    return fd;
}

/* Takes one out of the middle of the list of bulk streams, by a walk: this is rare. */
static SLUICE_NOINLINE void leave_bulk(struct readiness_engine *engine, int fd) {
    struct list others = {NO_FD, NO_FD};
    for (int each = pop(engine, &engine->bulk); each != NO_FD; each = pop(engine, &engine->bulk))
        if (each != fd)
            append_source(engine, &others, each, QUEUED | IN_BULK);
    engine->bulk = others;
}

/* Puts a descriptor into a list, unless it is in one. A place among the bulk streams, which may be
 * its predecessor's, is given up: those wait longer. */
static void push(struct readiness_engine *engine, struct list *list, int fd) {
    const struct source *source = &engine->sources[fd];
    if ((source->state & IN_BULK) && source->burst < BULK)
        leave_bulk(engine, fd);
    if (!(source->state & QUEUED))
        append_source(engine, list, fd, QUEUED);
}

static int make_poller(struct readiness_engine *engine,
                       const struct sluice_engine_options *options) {
    int code = sluice_poller_create_with(&engine->poller, options->backend, options->allocator);
    if (code < 0 || !options->interruptible)
        return code;
    code = sluice_poller_set_flags(engine->poller, SLUICE_INTERRUPTIBLE);
    if (code < 0)
        sluice_poller_destroy(engine->poller);
    return code;
}

static SLUICE_COLD int create(struct sluice_engine **result,
                              const struct sluice_engine_options *options) {
    const struct sluice_allocator *allocator = options->allocator;
    struct readiness_engine *engine = SLUICE_NEW(allocator, 1, struct readiness_engine);
    if (!engine)
        return SLUICE_ENOMEM;
    *engine = (struct readiness_engine){.put_back = NO_FD,
                                        .now = {NO_FD, NO_FD},
                                        .later = {NO_FD, NO_FD},
                                        .bulk = {NO_FD, NO_FD},
                                        .accepting = NO_FD,
                                        .allocator = *allocator,
                                        .receive_size = options->receive_size,
                                        .batch = FIRST_BATCH};
    engine->events = SLUICE_NEW(allocator, FIRST_BATCH, sluice_ready);
    int code = engine->events ? make_poller(engine, options) : SLUICE_ENOMEM;
    if (code < 0) {
        sluice_free(allocator, engine->events);
        sluice_free(allocator, engine);
        return code;
    }
    /* An edge is told once, and so has to say whether there is more to be learnt than bytes. */
    const uint32_t needed = SLUICE_FEATURE_EDGE | SLUICE_FEATURE_CONDITIONS;
    engine->edges = (sluice_poller_features(engine->poller) & needed) == needed;
    *result = &engine->engine;
    return 0;
}

static SLUICE_COLD void destroy(struct sluice_engine *base) {
    struct readiness_engine *engine = ours(base);
    struct sluice_allocator allocator = engine->allocator;
    sluice_poller_destroy(engine->poller);
    sluice_free(&allocator, engine->sources);
    sluice_free(&allocator, engine->events);
    sluice_free(&allocator, engine);
}

static SLUICE_NOINLINE SLUICE_COLD int grow_sources(struct readiness_engine *engine, int fd) {
    if (fd >= engine->capacity) {
        size_t capacity = sluice_room_for((size_t)fd + 1, sizeof *engine->sources);
        struct source *grown = SLUICE_RESIZE(&engine->allocator, engine->sources, capacity);
        if (!grown)
            return SLUICE_ENOMEM;
        engine->sources = grown;
        engine->capacity = (int)capacity;
    }
    while (engine->limit <= fd)
        engine->sources[engine->limit++] = (struct source){.id = 0};
    return 0;
}

static inline int make_room_for_source(struct readiness_engine *engine, int fd) {
    return fd < engine->limit ? 0 : grow_sources(engine, fd);
}

/* What tells of a hang-up alone: nothing does, where the poller has no conditions; but that the
 * writing end of a pipe can be read from says that its reader has gone, since no bytes come. */
static uint32_t hangup_interest(const struct readiness_engine *engine, enum sluice_role role,
                                uint32_t state) {
    if (sluice_poller_features(engine->poller) & SLUICE_FEATURE_CONDITIONS)
        return SLUICE_HANGUP;
    return role == SLUICE_ROLE_PIPE && (state & NO_INPUT) ? SLUICE_READ : SLUICE_NONE;
}

/* Of what is wanted, where the poller is not to look for all there is. */
static uint32_t interest_of_wanted(const struct readiness_engine *engine, enum sluice_role role,
                                   uint32_t state) {
    uint32_t interest = SLUICE_NONE;
    if (state & WANTED(SLUICE_OP_HANGUP))
        interest |= hangup_interest(engine, role, state);
    if (state & WANTED(SLUICE_OP_RECEIVE | SLUICE_OP_ACCEPT))
        interest |= SLUICE_READ;
    if (state & WANTED(SLUICE_OP_SEND | SLUICE_OP_CONNECT))
        interest |= SLUICE_WRITE;
    return interest;
}

/* What the poller is to look for, of anything but a watch. */
static inline uint32_t interest_of(const struct readiness_engine *engine, enum sluice_role role,
                                   uint32_t state) {
    if (engine->edges && role != SLUICE_ROLE_LISTENER)
        /* And for urgent bytes, which a receive stops short of: see `learn`. */
        return SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY | SLUICE_EDGE;
    return interest_of_wanted(engine, role, state);
}

static unsigned log2_of(uint32_t count) {
    unsigned log2 = 0;
    while (log2 < 15 && (UINT32_C(2) << log2) <= count)
        log2++;
    return log2;
}

/* What is known of a descriptor at first, by role. To send is tried at once: a connected socket has
 * room. */
static const uint16_t state_by_role[] = {
    ATTACHED,                                  /* a watch */
    ATTACHED,                                  /* a listener */
    ATTACHED | BY_ROLE,                        /* connecting */
    ATTACHED | CAN_SEND | IS_SOCKET,           /* a TCP socket */
    ATTACHED | CAN_SEND | IS_SOCKET | BY_ROLE, /* local */
    ATTACHED | CAN_SEND | IS_SOCKET | BY_ROLE, /* of packets */
    ATTACHED | CAN_SEND | BY_ROLE,             /* a pipe */
    ATTACHED | CAN_SEND | BY_ROLE              /* another file */
};

/* That and what is wanted, which of a listener is nothing at first. */
static uint32_t first_source_state(enum sluice_role role, uint32_t detail) {
    uint32_t state = state_by_role[role];
    if (role == SLUICE_ROLE_LISTENER)
        return state;
    if (detail & SLUICE_OP_HANGUP)
        state |= NO_INPUT;
    return state | WANTED(role == SLUICE_ROLE_WATCH ? detail & SLUICE_WAITED_FOR : detail);
}

static int attach_source(struct sluice_engine *base, int fd, sluice_id id, enum sluice_role role,
                         uint32_t detail) {
    struct readiness_engine *engine = ours(base);
    uint32_t state = first_source_state(role, detail);
    uint32_t interest = role == SLUICE_ROLE_WATCH ? detail : interest_of(engine, role, state);
    int code = sluice_poller_add(engine->poller, fd, interest, 0);
    if (code < 0)
        return code;
    code = make_room_for_source(engine, fd);
    if (code < 0) {
        sluice_poller_remove(engine->poller, fd);
        return code;
    }
    /* A predecessor of this number may still be in a list, and its place there is then ours. */
    struct source *source = &engine->sources[fd];
    source->id = id;
    source->state = (uint16_t)(state | (source->state & (QUEUED | IN_BULK)));
    source->role = (uint8_t)role;
    source->burst = 0;
    if (role == SLUICE_ROLE_LISTENER)
        source->most = log2_of(detail) & 15;
    engine->attached++;
    return 0;
}

static void detach_source(struct sluice_engine *base, int fd) {
    struct readiness_engine *engine = ours(base);
    sluice_poller_remove(engine->poller, fd);
    engine->sources[fd].state &= QUEUED | IN_BULK;
    engine->detached = true;
    engine->attached--;
}

static SLUICE_COLD sluice_id evict(struct sluice_engine *base, int fd) {
    const struct readiness_engine *engine = ours(base);
    if (fd >= engine->limit || !(engine->sources[fd].state & ATTACHED))
        return 0;
    sluice_id id = engine->sources[fd].id;
    detach_source(base, fd);
    return id;
}

static void rename_source(struct sluice_engine *base, int fd, sluice_id id) {
    ours(base)->sources[fd].id = id;
}

static int rewatch(struct sluice_engine *base, int fd, uint32_t interest) {
    struct readiness_engine *engine = ours(base);
    int code = sluice_poller_modify(engine->poller, fd, interest, 0);
    if (code == 0)
        set_state(&engine->sources[fd], ALL_WANTED, WANTED(interest & SLUICE_WAITED_FOR));
    return code;
}

/* Has the poller look for what is wanted. */
static SLUICE_NOINLINE int follow_wanted(struct readiness_engine *engine, int fd, uint32_t wanted) {
    const struct source *source = &engine->sources[fd];
    uint32_t rest = source->state & ~ALL_WANTED;
    uint32_t before = interest_of(engine, source_role(source), source->state);
    uint32_t after = interest_of(engine, source_role(source), rest | WANTED(wanted));
    return before == after ? 0 : sluice_poller_modify(engine->poller, fd, after, 0);
}

/* The poller is told where it does not look for all there is. */
static int set_wanted(struct readiness_engine *engine, int fd, uint32_t wanted) {
    struct source *source = &engine->sources[fd];
    if (!engine->edges || source->role == SLUICE_ROLE_LISTENER) {
        int code = follow_wanted(engine, fd, wanted);
        if (code < 0)
            return code;
    }
    set_state(source, ALL_WANTED, WANTED(wanted));
    return 0;
}

static int want(struct sluice_engine *base, int fd, uint32_t operations) {
    struct readiness_engine *engine = ours(base);
    struct source *source = &engine->sources[fd];
    int code = set_wanted(engine, fd, operations | (wanted_of(source) & SLUICE_OP_SEND));
    bool waits = ((operations & SLUICE_OP_RECEIVE) && (source->state & CAN_RECEIVE)) ||
                 ((operations & SLUICE_OP_HANGUP) && (source->state & BROKEN));
    if (code == 0 && waits)
        push(engine, &engine->later, fd);
    return code;
}

static ptrdiff_t send_slices(struct sluice_engine *base, int fd, const struct iovec *iov,
                             int count) {
    uint32_t state = ours(base)->sources[fd].state;
    if (!(state & CAN_SEND))
        return SLUICE_EAGAIN;
    if (!(state & IS_SOCKET))
        return sluice_file_send_slices(fd, iov, count);
    return count == 1 ? sluice_send_some(fd, iov[0].iov_base, iov[0].iov_len)
                      : sluice_socket_send_slices(fd, iov, count);
}

static SLUICE_INLINE ptrdiff_t send_bytes(struct sluice_engine *engine, int fd, const void *bytes,
                                          size_t length) {
    (void)engine;
    return sluice_send_once(fd, bytes, length);
}

static size_t send_file(struct sluice_engine *base, int fd, int file, int64_t offset, size_t length,
                        int *stopped) {
    *stopped = SLUICE_EAGAIN;
    return ours(base)->sources[fd].state & CAN_SEND
               ? sluice_send_file_some(fd, file, offset, length, stopped)
               : 0;
}

static int await_source_room(struct sluice_engine *base, int fd) {
    struct readiness_engine *engine = ours(base);
    struct source *source = &engine->sources[fd];
    set_state(source, CAN_SEND, 0);
    return set_wanted(engine, fd, wanted_of(source) | SLUICE_OP_SEND);
}

/* Where each wait looks at every registration, one is to bring all that are ready, and not the next
 * few of them; without the memory for that it brings a few. */
static void make_room_for_events(struct readiness_engine *engine) {
    if (engine->edges || engine->attached <= engine->batch)
        return;
    size_t batch = (size_t)engine->batch * 2;
    sluice_ready *events = SLUICE_RESIZE(&engine->allocator, engine->events, batch);
    if (!events)
        return;
    engine->events = events;
    engine->batch = (int)batch;
}

/* The first bulk stream has a run in this turn. One that was paused meanwhile, or whose number
 * others have taken, is none any more. A run is as many receives as all bulk streams would have
 * together if each had one, so that nobody waits longer for the turn to end. */
static SLUICE_NOINLINE void begin_run(struct readiness_engine *engine) {
    while (engine->bulk.first != NO_FD && !is_bulk(&engine->sources[engine->bulk.first]))
        pop(engine, &engine->bulk);
    int most = engine->receive_size < RUN_BYTES ? (int)(RUN_BYTES / engine->receive_size) : 1;
    int fd = engine->running = engine->bulk.first;
    for (int i = 0; i < most && fd != NO_FD; i++, fd = engine->sources[fd].next)
        engine->run_left += is_bulk(&engine->sources[fd]);
}

static int wait_for_ready(struct sluice_engine *base, int64_t timeout_ns) {
    struct readiness_engine *engine = ours(base);
    /* What is left of this turn begins the next. */
    if (engine->now.first == NO_FD) {
        engine->now = engine->later;
        engine->later = (struct list){NO_FD, NO_FD};
    }
    if (engine->now.first != NO_FD || engine->bulk.first != NO_FD)
        timeout_ns = 0;
    engine->run_left = 0;
    engine->engine.in_run = false;
    make_room_for_events(engine);
    engine->ready = engine->ready_end = engine->events;
    engine->put_back = NO_FD;
    engine->detached = false;
    engine->accepting = NO_FD;
    int count = sluice_poller_wait(engine->poller, engine->events, engine->batch, timeout_ns);
    if (count < 0)
        return count;
    engine->ready_end += count;
    if (engine->bulk.first != NO_FD)
        begin_run(engine);
    return 0;
}

static enum sluice_operation complete_as(const struct source *source,
                                         enum sluice_operation operation, int error, uint64_t value,
                                         sluice_event *event) {
    *event = (sluice_event){.error = error, .id = source->id, .value = value};
    return operation;
}

/* The event before engine->ready is of a listener. A turn has at first one accept, so that a quiet
 * listener costs no accept that finds nobody, and twice as many each time that all of them found
 * somebody. */
static enum sluice_operation accept_next(struct readiness_engine *engine, sluice_event *event) {
    int fd = engine->ready[-1].fd;
    struct source *source = &engine->sources[fd];
    if (!(source->state & WANTED(SLUICE_OP_ACCEPT)))
        return SLUICE_OP_NONE;
    if (engine->accepting != fd) {
        engine->accepting = fd;
        engine->accepts_left = 1 << source->burst;
    }
    int result = sluice_accept_some(fd);
    if (sluice_unlikely(result == SLUICE_EAGAIN)) {
        source->burst = 0;
        return SLUICE_OP_NONE;
    }
    if (sluice_unlikely(result < 0))
        return complete_as(source, SLUICE_OP_ACCEPT, result, 0, event);
    if (--engine->accepts_left > 0)
        engine->ready--; /* the same event again */
    else if (source->burst < source->most)
        source->burst = (source->burst + 1) & 15;
    return complete_as(source, SLUICE_OP_ACCEPT, 0, (uint64_t)result, event);
}

static inline void begin_receive(const struct source *source, const unsigned char *bytes,
                                 sluice_event *event) {
    event->error = 0;
    event->id = source->id;
    event->data = bytes;
    event->value = 0;
}

/* The end of what is received, or an error. */
static enum sluice_operation end_of_input(struct readiness_engine *engine, int fd, ptrdiff_t error,
                                          sluice_event *event) {
    struct source *source = &engine->sources[fd];
    int code = 0;
    if (sluice_unlikely(!engine->edges))
        code = follow_wanted(engine, fd, wanted_of(source) & ~(uint32_t)SLUICE_OP_RECEIVE);
    set_state(source, CAN_RECEIVE | WANTED(SLUICE_OP_RECEIVE), 0);
    return complete_as(source, SLUICE_OP_END, code < 0 ? code : (int)error, 0, event);
}

/* A packet does not fit what this pull has left of its buffer. The turn stops here. It goes on with
 * the packet, and so in the next pull, which has the whole buffer. */
static enum sluice_operation put_back(struct readiness_engine *engine, int fd) {
    engine->put_back = fd;
    engine->ready_then = engine->ready;
    engine->ready = engine->ready_end;
    return SLUICE_OP_NONE;
}

/* More can be received, and others come first. */
static void wait_for_more(struct readiness_engine *engine, int fd, bool full) {
    struct source *source = &engine->sources[fd];
    if (!full)
        source->burst = 0;
    else if (source->burst < BULK)
        source->burst++;
    if (source->burst < BULK)
        push(engine, &engine->later, fd);
    else if (!(source->state & QUEUED))
        append_source(engine, &engine->bulk, fd, QUEUED | IN_BULK);
}

/* What a receive of up to `size` bytes comes to. */
static enum sluice_operation received(struct readiness_engine *engine, int fd,
                                      struct sluice_received received, size_t size,
                                      sluice_event *event) {
    struct source *source = &engine->sources[fd];
    bool over = received.count == SLUICE_EAGAIN;
    if (received.no_room)
        return put_back(engine, fd);
    if (received.count <= 0 && !over)
        return end_of_input(engine, fd, received.count, event);
    bool full = !over && (size_t)received.count == size && !received.more;
    bool drained = !over && !full && !received.more && !(source->state & STOPS_SHORT);
    /* Where there are no edges, what is left is told again. */
    if (!engine->edges || drained || (over && !received.again)) {
        set_state(source, CAN_RECEIVE, 0);
        source->burst = 0;
    } else {
        set_state(source, 0, CAN_RECEIVE);
        wait_for_more(engine, fd, full);
    }
    if (over)
        return SLUICE_OP_NONE;
    event->length = (size_t)received.count;
    return SLUICE_OP_RECEIVE;
}

static enum sluice_operation receive(struct readiness_engine *engine, int fd, sluice_event *event,
                                     unsigned char *bytes, size_t size) {
    const struct source *source = &engine->sources[fd];
    begin_receive(source, bytes, event);
    return received(engine, fd,
                    sluice_receive(fd, source_role(source), bytes, size, engine->receive_size),
                    size, event);
}

/* Something has been told of a descriptor that nothing is received from: whether that has broken
 * the connection. Where it has not, bytes wait, or a hang-up that is none of the peer's doing, and
 * it is not asked again: a receive will tell. */
static enum sluice_operation look_for_hangup(struct readiness_engine *engine, int fd,
                                             sluice_event *event) {
    struct source *source = &engine->sources[fd];
    int error = sluice_hangup_error(fd, source_role(source), !(source->state & NO_INPUT));
    /* An edge comes once. Where bytes come first, it is looked for again when it is wanted next. */
    if (error <= 0)
        set_state(source, BROKEN, 0);
    int code = set_wanted(engine, fd, wanted_of(source) & ~(uint32_t)SLUICE_OP_HANGUP);
    if (code < 0)
        error = code;
    return error < 0 ? complete_as(source, SLUICE_OP_HANGUP, error, 0, event) : SLUICE_OP_NONE;
}

/* A connect is done, or the output may go on. */
static enum sluice_operation complete_output(struct readiness_engine *engine, int fd,
                                             sluice_event *event) {
    struct source *source = &engine->sources[fd];
    uint32_t wanted = wanted_of(source);
    bool connects = (wanted & SLUICE_OP_CONNECT) != 0;
    int error = connects ? sluice_socket_error(fd) : 0;
    if (connects) {
        bool is_tcp = sluice_socket_is_tcp(fd);
        source->role = is_tcp ? SLUICE_ROLE_SOCKET : SLUICE_ROLE_LOCAL;
        set_state(source, is_tcp ? BY_ROLE : 0, IS_SOCKET);
    }
    int code = set_wanted(engine, fd, wanted & ~(uint32_t)(SLUICE_OP_SEND | SLUICE_OP_CONNECT));
    if (source->state & CAN_RECEIVE)
        push(engine, &engine->now, fd);
    return complete_as(source, connects ? SLUICE_OP_CONNECT : SLUICE_OP_SEND,
                       code < 0 ? code : error, 0, event);
}

/* The next completion of a stream that is none of a receive, or 0. */
static enum sluice_operation serve_but_receive(struct readiness_engine *engine, int fd,
                                               sluice_event *event) {
    const struct source *source = &engine->sources[fd];
    uint32_t wanted = wanted_of(source);
    if ((wanted & (SLUICE_OP_SEND | SLUICE_OP_CONNECT)) && (source->state & CAN_SEND))
        return complete_output(engine, fd, event);
    if ((wanted & SLUICE_OP_HANGUP) && (source->state & BROKEN))
        return look_for_hangup(engine, fd, event);
    return SLUICE_OP_NONE;
}

/* The next completion of a stream, or 0 where there is none now. */
static enum sluice_operation serve(struct readiness_engine *engine, int fd, sluice_event *event,
                                   unsigned char *bytes, size_t size) {
    enum sluice_operation operation = serve_but_receive(engine, fd, event);
    if (operation || !is_due(&engine->sources[fd]))
        return operation;
    return receive(engine, fd, event, bytes, size);
}

/* What was left over from the turn before. */
static enum sluice_operation next_left_over(struct readiness_engine *engine, sluice_event *event,
                                            unsigned char *bytes, size_t size) {
    for (int fd = pop(engine, &engine->now); fd != NO_FD; fd = pop(engine, &engine->now)) {
        if (!(engine->sources[fd].state & ATTACHED))
            continue;
        enum sluice_operation operation = serve(engine, fd, event, bytes, size);
        if (operation || engine->put_back != NO_FD)
            return operation;
    }
    return SLUICE_OP_NONE;
}

/* Of the run: its stream receives several times in a row. Where that is drained, or was paused
 * since the turn began, the run is over. The next stream's is the next turn's: it may have become a
 * bulk stream by what it received in this one. */
static enum sluice_operation next_of_run(struct readiness_engine *engine, sluice_event *event,
                                         unsigned char *bytes, size_t size) {
    enum sluice_operation operation = SLUICE_OP_NONE;
    int fd = engine->running;
    while (!operation && engine->run_left > 0) {
        bool goes_on = engine->bulk.first == fd && is_bulk(&engine->sources[fd]);
        if (goes_on) {
            operation = receive(engine, fd, event, bytes, size);
            engine->run_left--;
        }
        if (!goes_on || !is_bulk(&engine->sources[fd]))
            engine->run_left = 0;
        if (engine->run_left == 0 && engine->bulk.first == fd) {
            pop(engine, &engine->bulk);
            if (is_bulk(&engine->sources[fd]))
                append_source(engine, &engine->bulk, fd, QUEUED | IN_BULK);
        }
        engine->engine.in_run = engine->run_left > 0;
    }
    return operation;
}

static enum sluice_operation next_put_back(struct readiness_engine *engine, sluice_event *event,
                                           unsigned char *bytes, size_t size) {
    int fd = engine->put_back;
    engine->put_back = NO_FD;
    engine->ready = engine->ready_then;
    bool stands = (engine->sources[fd].state & ATTACHED) &&
                  (wanted_of(&engine->sources[fd]) & SLUICE_OP_RECEIVE);
    return stands ? receive(engine, fd, event, bytes, size) : SLUICE_OP_NONE;
}

/* Of a watch. Its interest may have changed since the event was gathered. */
static inline enum sluice_operation complete_watch(const struct source *source, uint32_t flags,
                                                   sluice_event *event) {
    uint32_t wanted = wanted_of(source);
    flags &= wanted | ~SLUICE_DIRECTIONS;
    return wanted && flags ? complete_as(source, SLUICE_OP_WATCH, 0, flags, event) : SLUICE_OP_NONE;
}

/* Remembers what an event says of a stream. After a hang-up, or urgent bytes, no receive that is
 * short says that there is no more. */
static void learn(struct source *source, uint32_t flags) {
    uint32_t news = flags & (CAN_RECEIVE | CAN_SEND);
    if (flags & ~(uint32_t)(CAN_RECEIVE | CAN_SEND))
        news |= STOPS_SHORT;
    if (flags & (SLUICE_ERROR | SLUICE_HANGUP))
        news |= BROKEN;
    if (flags & SLUICE_ERROR)
        news |= CAN_SEND;
    /* Of the writing end of a pipe nothing else can come: see hangup_interest. */
    if (source->role == SLUICE_ROLE_PIPE && (source->state & NO_INPUT) && (flags & SLUICE_READ))
        news |= BROKEN;
    set_state(source, 0, news);
}

static enum sluice_operation see_to(struct readiness_engine *engine, const sluice_ready *ready,
                                    sluice_event *event, unsigned char *bytes, size_t size) {
    struct source *source = &engine->sources[ready->fd];
    if (source->role == SLUICE_ROLE_LISTENER)
        return accept_next(engine, event);
    if (source->role == SLUICE_ROLE_WATCH)
        return complete_watch(source, ready->flags, event);
    learn(source, ready->flags);
    /* A receive waits for its place; but not for that of the number's descriptor before. */
    bool waits = (source->state & QUEUED) && (!(source->state & IN_BULK) || source->burst == BULK);
    return waits ? serve_but_receive(engine, ready->fd, event)
                 : serve(engine, ready->fd, event, bytes, size);
}

static SLUICE_NOINLINE enum sluice_operation next_of_any(struct readiness_engine *engine,
                                                         sluice_event *event, unsigned char *bytes,
                                                         size_t size) {
    enum sluice_operation operation = SLUICE_OP_NONE;
    if (engine->put_back != NO_FD)
        operation = next_put_back(engine, event, bytes, size);
    while (!operation && engine->ready != engine->ready_end) {
        const sluice_ready *ready = engine->ready++;
        if (sluice_poller_stands(engine->poller, ready))
            operation = see_to(engine, ready, event, bytes, size);
    }
    /* What is left over waits for the events, which it learns from: served before, it would
     * receive twice in a turn. */
    if (!operation && engine->put_back == NO_FD)
        operation = next_left_over(engine, event, bytes, size);
    if (!operation && engine->put_back == NO_FD)
        operation = next_of_run(engine, event, bytes, size);
    return operation;
}

/* The read(2) that was tried of the event before engine->ready, of what is like most, found the
 * end, an error, or as much as fits, and perhaps more; or there is more to learn than bytes. */
static SLUICE_NOINLINE enum sluice_operation next_after_receive(struct readiness_engine *engine,
                                                                sluice_event *event,
                                                                ptrdiff_t result, size_t size) {
    int fd = engine->ready[-1].fd;
    unsigned char *bytes = (unsigned char *)(uintptr_t)event->data;
    struct sluice_received answer = {.count = result < 0 ? -errno : result};
    enum sluice_operation operation = answer.count == -EINTR
                                          ? receive(engine, fd, event, bytes, size)
                                          : received(engine, fd, answer, size, event);
    return operation ? operation : next_of_any(engine, event, bytes, size);
}

/* The next event is of what is like most, and says that the peer has ended. Nearly always no bytes
 * come before that. */
static SLUICE_NOINLINE enum sluice_operation
next_end(struct readiness_engine *engine, sluice_event *event, unsigned char *bytes, size_t size) {
    int fd = engine->ready++->fd;
    ptrdiff_t result = read(fd, bytes, size);
    if (sluice_likely(result == 0))
        return end_of_input(engine, fd, 0, event);
    struct source *source = &engine->sources[fd];
    set_state(source, 0, CAN_RECEIVE | STOPS_SHORT);
    begin_receive(source, bytes, event);
    return next_after_receive(engine, event, result, size);
}

/* Nearly all that a server does is this: bytes have come on a socket that is waited on for bytes,
 * and fit the buffer. */
static inline enum sluice_operation next_bytes(struct readiness_engine *engine, sluice_event *event,
                                               unsigned char *bytes, size_t size) {
    const sluice_ready *ready = engine->ready++;
    begin_receive(&engine->sources[ready->fd], bytes, event);
    ptrdiff_t result = read(ready->fd, bytes, size);
    if (sluice_unlikely((size_t)result - 1 >= size - 1)) /* less than 1, or no less than `size` */
        return next_after_receive(engine, event, result, size);
    event->length = (size_t)result;
    return SLUICE_OP_RECEIVE;
}

/* The next event is of what is not like most, or tells of more than bytes. Whether it stands is
 * asked of a watch alone, which would be reported: a number that is detached is like nothing here,
 * and where it was attached again since, a stream or a listener is tried by its own right. */
static SLUICE_NOINLINE enum sluice_operation
next_otherwise(struct readiness_engine *engine, sluice_event *event, unsigned char *bytes,
               size_t size, const sluice_ready *ready, const struct source *source) {
    const uint32_t end = CAN_RECEIVE | CAN_SEND | SLUICE_READ_CLOSED;
    if (source->role == SLUICE_ROLE_LISTENER) {
        engine->ready = ready + 1;
        enum sluice_operation operation = accept_next(engine, event);
        return operation ? operation : next_of_any(engine, event, bytes, size);
    }
    if (source->role != SLUICE_ROLE_WATCH) {
        bool is_end = (source->state & TELLS_FROM_MOST) == LIKE_MOST &&
                      (ready->flags | CAN_RECEIVE | CAN_SEND) == end;
        return is_end ? next_end(engine, event, bytes, size)
                      : next_of_any(engine, event, bytes, size);
    }
    if ((engine->detached && !sluice_poller_stands(engine->poller, ready)) ||
        !complete_watch(source, ready->flags, event))
        return next_of_any(engine, event, bytes, size);
    engine->ready = ready + 1;
    return SLUICE_OP_WATCH;
}

static SLUICE_INLINE enum sluice_operation next_completion(struct sluice_engine *base,
                                                           sluice_event *event,
                                                           unsigned char *bytes, size_t size) {
    struct readiness_engine *engine = ours(base);
    const sluice_ready *ready = engine->ready;
    if (ready == engine->ready_end)
        return next_of_any(engine, event, bytes, size);
    const struct source *source = &engine->sources[ready->fd];
    if (sluice_likely((source->state & TELLS_FROM_MOST) == LIKE_MOST &&
                      (ready->flags | CAN_SEND) == (CAN_RECEIVE | CAN_SEND)))
        return next_bytes(engine, event, bytes, size);
    return next_otherwise(engine, event, bytes, size, ready, source);
}

static bool has_left_over(const struct sluice_engine *base) {
    const struct readiness_engine *engine = (const struct readiness_engine *)(const void *)base;
    return engine->now.first != NO_FD || engine->later.first != NO_FD ||
           engine->bulk.first != NO_FD;
}

static int wake(struct sluice_engine *engine) {
    return sluice_poller_wake(ours(engine)->poller);
}

static int backend_fd(struct sluice_engine *engine) {
    return sluice_poller_backend_fd(ours(engine)->poller);
}

static int after_engine_fork(struct sluice_engine *engine) {
    return sluice_poller_after_fork(ours(engine)->poller);
}

SLUICE_INTERNAL const struct sluice_engine_operations sluice_readiness_engine = {
    .create = create,
    .destroy = destroy,
    .attach = attach_source,
    .detach = detach_source,
    .evict = evict,
    .rename = rename_source,
    .rewatch = rewatch,
    .want = want,
    .send_slices = send_slices,
    .await_room = await_source_room,
    .send = send_bytes,
    .send_file = send_file,
    .wait = wait_for_ready,
    .next = next_completion,
    .has_left_over = has_left_over,
    .wake = wake,
    .backend_fd = backend_fd,
    .after_fork = after_engine_fork,
};

/* readiness.c - an engine over any poller. It learns that an operation is possible, and does it
 * when its completion is pulled (completions.c).
 *
 * What it keeps for a descriptor stands in an array indexed by number, as in the poller: which
 * operations are wanted, and which are possible as far as it knows.
 *
 * If the poller has edges, a stream is registered once, for both directions, and its registration
 * never changes. The kernel reports changes. What it reported is remembered here until an operation
 * finds that it is no longer true. What is known to be possible and had to wait is kept in a list
 * (bulk.c).
 *
 * If the poller has no edges, or cannot tell a hang-up, the interest follows what is wanted, and
 * nothing is remembered: what is still possible is reported again.
 *
 * Listeners and watches are level-triggered on every poller.
 */
#include "base/platform.h"

#include "engines/readiness.h"

#include "network/socket.h"

#define FIRST_BATCH 256 /* events of one wait */

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
    /* An edge is reported once, so it has to say whether there is more to learn than bytes. */
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

/* The interest that reports only a hang-up. If the poller has no conditions, there is none, except
 * for the writing end of a pipe. If that can be read from, its reader has gone, since no bytes can
 * come. */
static uint32_t hangup_interest(const struct readiness_engine *engine, enum sluice_role role,
                                uint32_t state) {
    if (sluice_poller_features(engine->poller) & SLUICE_FEATURE_CONDITIONS)
        return SLUICE_HANGUP;
    return role == SLUICE_ROLE_PIPE && (state & NO_INPUT) ? SLUICE_READ : SLUICE_NONE;
}

/* The interest for what is wanted, if the poller does not look for everything. */
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

/* What the poller should look for. Not for a watch. */
static inline uint32_t interest_of(const struct readiness_engine *engine, enum sluice_role role,
                                   uint32_t state) {
    if (engine->edges && role != SLUICE_ROLE_LISTENER)
        /* Also for urgent bytes, before which a receive stops short: see `learn`. */
        return SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY | SLUICE_EDGE;
    return interest_of_wanted(engine, role, state);
}

static unsigned log2_of(uint32_t count) {
    unsigned log2 = 0;
    while (log2 < 15 && (UINT32_C(2) << log2) <= count)
        log2++;
    return log2;
}

/* What is known of a descriptor at first, by role. A send is tried at once, since a connected
 * socket has room. */
static const uint16_t state_by_role[] = {
    ATTACHED,                                  /* a watch */
    ATTACHED,                                  /* signals */
    ATTACHED,                                  /* a listener */
    ATTACHED | BY_ROLE,                        /* connecting */
    ATTACHED | CAN_SEND | IS_SOCKET,           /* a TCP socket */
    ATTACHED | CAN_SEND | IS_SOCKET | BY_ROLE, /* local */
    ATTACHED | CAN_SEND | IS_SOCKET | BY_ROLE, /* of packets */
    ATTACHED | CAN_SEND | BY_ROLE,             /* a pipe */
    ATTACHED | CAN_SEND | BY_ROLE              /* another file */
};

/* That, and what is wanted. For a listener that is nothing at first. */
static uint32_t first_source_state(enum sluice_role role, uint32_t detail) {
    uint32_t state = state_by_role[role];
    if (role == SLUICE_ROLE_LISTENER)
        return state;
    if (detail & SLUICE_OP_HANGUP)
        state |= NO_INPUT;
    return state | WANTED(is_reported(role) ? detail & SLUICE_WAITED_FOR : detail);
}

static int attach_source(struct sluice_engine *base, int fd, sluice_id id, enum sluice_role role,
                         uint32_t detail) {
    struct readiness_engine *engine = ours(base);
    uint32_t state = first_source_state(role, detail);
    uint32_t interest = is_reported(role) ? detail : interest_of(engine, role, state);
    int code = sluice_poller_add(engine->poller, fd, interest, 0);
    if (code < 0)
        return code;
    code = make_room_for_source(engine, fd);
    if (code < 0) {
        sluice_poller_remove(engine->poller, fd);
        return code;
    }
    /* A predecessor of this number may still be in a list. Then its place there is ours. */
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
    engine->changed = true;
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
    if (code < 0)
        return code;
    set_state(&engine->sources[fd], ALL_WANTED, WANTED(interest & SLUICE_WAITED_FOR));
    engine->changed = true;
    return 0;
}

/* Makes the poller look for what is wanted. */
int sluice_source_follow_wanted(struct readiness_engine *engine, int fd, uint32_t wanted) {
    const struct source *source = &engine->sources[fd];
    uint32_t rest = source->state & ~ALL_WANTED;
    uint32_t before = interest_of(engine, source_role(source), source->state);
    uint32_t after = interest_of(engine, source_role(source), rest | WANTED(wanted));
    return before == after ? 0 : sluice_poller_modify(engine->poller, fd, after, 0);
}

/* The poller is told if it does not look for everything. */
int sluice_source_set_wanted(struct readiness_engine *engine, int fd, uint32_t wanted) {
    struct source *source = &engine->sources[fd];
    if (!engine->edges || source->role == SLUICE_ROLE_LISTENER) {
        int code = sluice_source_follow_wanted(engine, fd, wanted);
        if (code < 0)
            return code;
    }
    set_state(source, ALL_WANTED, WANTED(wanted));
    return 0;
}

static int want(struct sluice_engine *base, int fd, uint32_t operations) {
    struct readiness_engine *engine = ours(base);
    struct source *source = &engine->sources[fd];
    int code =
        sluice_source_set_wanted(engine, fd, operations | (wanted_of(source) & SLUICE_OP_SEND));
    bool waits = ((operations & SLUICE_OP_RECEIVE) && (source->state & CAN_RECEIVE)) ||
                 ((operations & SLUICE_OP_HANGUP) && (source->state & BROKEN));
    if (code == 0 && waits)
        sluice_source_push(engine, &engine->later, fd);
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
    return send(fd, bytes, length, MSG_NOSIGNAL);
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
    return sluice_source_set_wanted(engine, fd, wanted_of(source) | SLUICE_OP_SEND);
}

/* If each wait looks at every registration, a wait should bring all that are ready, and not the
 * next few of them. Without the memory for that it brings a few. */
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
    engine->changed = false;
    engine->accepting = NO_FD;
    int count = sluice_poller_wait(engine->poller, engine->events, engine->batch, timeout_ns);
    if (count < 0)
        return count;
    engine->ready_end += count;
    if (engine->bulk.first != NO_FD)
        sluice_bulk_begin_run(engine);
    return 0;
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
    .next = sluice_readiness_next,
    .has_left_over = has_left_over,
    .wake = wake,
    .backend_fd = backend_fd,
    .after_fork = after_engine_fork,
};

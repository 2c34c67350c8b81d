/* readiness.c - an engine over any poller: learns that an operation is possible, and does it when
 * its completion is pulled.
 *
 * What it keeps for a descriptor stands in an array indexed by number, as the poller's own does:
 * which operations are wanted, and which are possible as far as is known.
 *
 * Where the poller has edges, a stream is registered once, for both directions, and the kernel is
 * not spoken to again: it tells of changes, and what it told is remembered here until an operation
 * finds it no longer true. A receive that brings less than was asked for has drained a socket or
 * pipe, so that the one that would find nothing is saved; not so on a terminal, which gives a line
 * at a time, and not after a hang-up, when the end or the error is still to be fetched, or after
 * urgent bytes, which a receive stops short of.
 * What is known to be possible and had to wait its turn (a receive filled the buffer, a stream was
 * resumed) is kept in a list, and the next turn begins with it.
 *
 * Where the poller has none, the interest follows what is wanted, and nothing is remembered: what
 * is still possible is told again.
 *
 * Listeners and watches are level-triggered on every poller.
 */
#include "../platform.h"

#include "../engine.h"

#include <string.h>

#include "../poller.h"
#include "../socket.h"

#define BATCH 256
#define FIRST_LIMIT 64
#define NO_FD (-1)

enum {
    CAN_RECEIVE = SLUICE_READ, /* these two as the poller says them */
    CAN_SEND = SLUICE_WRITE,
    HUNG_UP = 8,
    QUEUED = 16,
    ATTACHED = 32
};

/* Invariants: a number is in one of the engine's lists while it is QUEUED, and only then does
 * `next` mean something. One that is detached keeps its place, which is passed over, or is that of
 * the number's next descriptor. */
struct source {
    sluice_id id;
    int next;
    uint8_t role;   /* enum sluice_role */
    uint8_t wanted; /* of enum sluice_operation; a watch's, of what it is interested in */
    uint8_t state;
    /* Of a listener, as powers of two: how many accepts this turn may have, and any turn. */
    uint8_t burst : 4;
    uint8_t most : 4;
};

struct list {
    int first; /* NO_FD where it is empty */
    int last;
};

struct readiness_engine {
    struct sluice_engine engine;
    struct sluice_allocator allocator;
    sluice_poller *poller;
    struct source *sources;
    int limit;
    bool edges;
    struct list now;   /* of this turn */
    struct list later; /* of the next */
    int accepting;     /* the listener that `accepts_left` is of */
    int accepts_left;
    int count; /* events of this turn, and the next of them to be seen to */
    int at;
    sluice_ready events[BATCH];
};

/* The engine is the first member of ours. */
static struct readiness_engine *ours(struct sluice_engine *engine) {
    return (struct readiness_engine *)(void *)engine;
}

static void push(struct readiness_engine *engine, struct list *list, int fd) {
    struct source *source = &engine->sources[fd];
    if (source->state & QUEUED)
        return;
    source->state |= QUEUED;
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
        engine->sources[fd].state &= (uint8_t)~QUEUED;
    }
    return fd;
}

static int create(struct sluice_engine **result, const char *backend,
                  const struct sluice_allocator *allocator) {
    struct readiness_engine *engine = sluice_resize(allocator, NULL, 1, sizeof *engine);
    if (!engine)
        return SLUICE_ENOMEM;
    *engine = (struct readiness_engine){.engine.operations = &sluice_readiness_engine,
                                        .allocator = *allocator,
                                        .now = {NO_FD, NO_FD},
                                        .later = {NO_FD, NO_FD},
                                        .accepting = NO_FD};
    int code = sluice_poller_create_with(&engine->poller, backend, allocator);
    if (code < 0) {
        sluice_free(allocator, engine);
        return code;
    }
    engine->edges = (sluice_poller_features(engine->poller) & SLUICE_FEATURE_EDGE) != 0;
    *result = &engine->engine;
    return 0;
}

static void destroy(struct sluice_engine *base) {
    struct readiness_engine *engine = ours(base);
    struct sluice_allocator allocator = engine->allocator;
    sluice_poller_destroy(engine->poller);
    sluice_free(&allocator, engine->sources);
    sluice_free(&allocator, engine);
}

static int make_room(struct readiness_engine *engine, int fd) {
    if (fd < engine->limit)
        return 0;
    size_t limit = engine->limit > 0 ? (size_t)engine->limit : FIRST_LIMIT;
    while (limit <= (size_t)fd)
        limit *= 2;
    struct source *grown = sluice_resize(&engine->allocator, engine->sources, limit, sizeof *grown);
    if (!grown)
        return SLUICE_ENOMEM;
    memset(grown + engine->limit, 0, (limit - (size_t)engine->limit) * sizeof *grown);
    engine->sources = grown;
    engine->limit = (int)limit;
    return 0;
}

/* What the poller is to look for, by role and by what is wanted. */
static uint32_t interest_of(const struct readiness_engine *engine, enum sluice_role role,
                            uint32_t wanted) {
    if (engine->edges && role != SLUICE_ROLE_LISTENER)
        /* And for urgent bytes, which a receive stops short of: see `learn`. */
        return SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY | SLUICE_EDGE;
    uint32_t interest = SLUICE_NONE;
    if (wanted & (SLUICE_OP_RECEIVE | SLUICE_OP_ACCEPT))
        interest |= SLUICE_READ;
    if (wanted & (SLUICE_OP_SEND | SLUICE_OP_CONNECT))
        interest |= SLUICE_WRITE;
    return interest;
}

static unsigned log2_of(uint32_t count) {
    unsigned log2 = 0;
    while (log2 < 15 && (UINT32_C(2) << log2) <= count)
        log2++;
    return log2;
}

static int attach(struct sluice_engine *base, int fd, sluice_id id, enum sluice_role role,
                  uint32_t detail) {
    struct readiness_engine *engine = ours(base);
    uint32_t interest = role == SLUICE_ROLE_WATCH ? detail : interest_of(engine, role, 0);
    int code = sluice_poller_add(engine->poller, fd, interest, 0);
    if (code < 0)
        return code;
    code = make_room(engine, fd);
    if (code < 0) {
        sluice_poller_remove(engine->poller, fd);
        return code;
    }
    struct source *source = &engine->sources[fd];
    /* A predecessor of this number may still be in a list, and its place there is then ours. */
    *source = (struct source){
        .id = id,
        .next = source->next,
        .role = (uint8_t)role,
        .wanted = (uint8_t)(role == SLUICE_ROLE_WATCH ? detail & SLUICE_DIRECTIONS : 0),
        .state = (source->state & QUEUED) | ATTACHED,
        .most = log2_of(role == SLUICE_ROLE_LISTENER ? detail : 1) & 15};
    /* To send is tried at once: a connected socket has room. */
    if (role >= SLUICE_ROLE_SOCKET)
        source->state |= CAN_SEND;
    return 0;
}

static void detach(struct sluice_engine *base, int fd) {
    struct readiness_engine *engine = ours(base);
    if (engine->sources[fd].role == SLUICE_ROLE_WATCH)
        sluice_poller_remove(engine->poller, fd);
    else
        sluice_poller_remove_closing(engine->poller, fd);
    engine->sources[fd].wanted = 0;
    engine->sources[fd].state &= QUEUED;
}

static int rewatch(struct sluice_engine *base, int fd, uint32_t interest) {
    struct readiness_engine *engine = ours(base);
    int code = sluice_poller_modify(engine->poller, fd, interest, 0);
    if (code == 0)
        engine->sources[fd].wanted = (uint8_t)(interest & SLUICE_DIRECTIONS);
    return code;
}

/* Has the poller look for what is wanted, where it does not look for all there is. */
static int set_wanted(struct readiness_engine *engine, int fd, uint32_t wanted) {
    struct source *source = &engine->sources[fd];
    uint32_t before = interest_of(engine, source->role, source->wanted);
    uint32_t after = interest_of(engine, source->role, wanted);
    if (before != after) {
        int code = sluice_poller_modify(engine->poller, fd, after, 0);
        if (code < 0)
            return code;
    }
    source->wanted = (uint8_t)wanted;
    return 0;
}

static int want(struct sluice_engine *base, int fd, uint32_t operations) {
    struct readiness_engine *engine = ours(base);
    struct source *source = &engine->sources[fd];
    int code = set_wanted(engine, fd, operations | (source->wanted & SLUICE_OP_SEND));
    if (code == 0 && (operations & SLUICE_OP_RECEIVE) && (source->state & CAN_RECEIVE))
        push(engine, &engine->later, fd);
    return code;
}

static inline ptrdiff_t hand_over(const struct source *source, int fd, const struct iovec *iov,
                                  int count) {
    if (source->role != SLUICE_ROLE_SOCKET)
        return sluice_file_send_slices(fd, iov, count);
    if (count == 1)
        return sluice_send_some(fd, iov[0].iov_base, iov[0].iov_len);
    return sluice_socket_send_slices(fd, iov, count);
}

static ptrdiff_t send_some(struct sluice_engine *base, int fd, const struct iovec *iov, int count) {
    struct readiness_engine *engine = ours(base);
    struct source *source = &engine->sources[fd];
    bool can_send = (source->state & CAN_SEND) || !engine->edges;
    ptrdiff_t sent = can_send ? hand_over(source, fd, iov, count) : SLUICE_EAGAIN;
    size_t length = iov[0].iov_len;
    for (int i = 1; i < count; i++)
        length += iov[i].iov_len;
    if ((size_t)sent == length)
        return sent;
    if (sent == SLUICE_EAGAIN)
        sent = 0;
    if (sent < 0)
        return sent;
    source->state &= (uint8_t)~CAN_SEND;
    int code = set_wanted(engine, fd, source->wanted | SLUICE_OP_SEND);
    return code < 0 ? code : sent;
}

static int wait(struct sluice_engine *base, int64_t timeout_ns) {
    struct readiness_engine *engine = ours(base);
    /* What is left of this turn begins the next. */
    if (engine->now.first == NO_FD) {
        engine->now = engine->later;
        engine->later = (struct list){NO_FD, NO_FD};
    }
    if (engine->now.first != NO_FD)
        timeout_ns = 0;
    engine->at = 0;
    engine->count = 0;
    engine->accepting = NO_FD;
    int count = sluice_poller_wait(engine->poller, engine->events, BATCH, timeout_ns);
    if (count < 0)
        return count;
    engine->count = count;
    return 0;
}

static void complete(struct sluice_completion *completion, const struct source *source,
                     enum sluice_operation operation, ptrdiff_t result) {
    *completion = (struct sluice_completion){
        .id = source->id, .operation = operation, .result = result, .bytes = NULL};
}

/* A turn has at first one accept, so that a quiet listener costs no accept that finds nobody, and
 * twice as many each time that all of them found somebody. */
static int accept_one(struct readiness_engine *engine, int fd,
                      struct sluice_completion *completion) {
    struct source *source = &engine->sources[fd];
    if (engine->accepting != fd) {
        engine->accepting = fd;
        engine->accepts_left = 1 << source->burst;
    }
    int result = sluice_socket_accept(fd);
    if (result == SLUICE_EAGAIN) {
        source->burst = 0;
        return 0;
    }
    if (result >= 0 && --engine->accepts_left > 0)
        engine->at--; /* the same event again */
    else if (result >= 0 && source->burst < source->most)
        source->burst = (source->burst + 1) & 15;
    complete(completion, source, SLUICE_OP_ACCEPT, result);
    return 1;
}

/* Whether the receive has taken all that there was, as far as can be told. */
static bool is_drained(const struct source *source, size_t received, size_t size) {
    return received < size && !(source->state & HUNG_UP) && source->role != SLUICE_ROLE_TERMINAL;
}

static inline int receive(struct readiness_engine *engine, struct source *source, int fd,
                          struct sluice_completion *completion, unsigned char *bytes, size_t size) {
    ptrdiff_t result = sluice_receive_some(fd, bytes, size);
    if (result == SLUICE_EAGAIN) {
        source->state &= (uint8_t)~CAN_RECEIVE;
        return 0;
    }
    /* A pipe's writing end is ready to be read from only once its reader has gone. */
    if (result == SLUICE_EBADF && source->role == SLUICE_ROLE_PIPE)
        result = -EPIPE;
    if (!engine->edges || result <= 0 || is_drained(source, (size_t)result, size))
        source->state &= (uint8_t)~CAN_RECEIVE;
    else
        push(engine, &engine->later, fd);
    completion->id = source->id;
    completion->operation = SLUICE_OP_RECEIVE;
    completion->result = result;
    completion->bytes = bytes;
    return 1;
}

/* A connect is done, or the output may go on. */
static int complete_output(struct readiness_engine *engine, struct source *source, int fd,
                           struct sluice_completion *completion) {
    bool connects = (source->wanted & SLUICE_OP_CONNECT) != 0;
    ptrdiff_t result = connects ? sluice_socket_error(fd) : 0;
    if (connects)
        source->role = SLUICE_ROLE_SOCKET;
    uint32_t rest = source->wanted & ~(uint32_t)(SLUICE_OP_SEND | SLUICE_OP_CONNECT);
    int code = set_wanted(engine, fd, rest);
    complete(completion, source, connects ? SLUICE_OP_CONNECT : SLUICE_OP_SEND,
             code < 0 ? code : result);
    if (source->state & CAN_RECEIVE)
        push(engine, &engine->now, fd);
    return 1;
}

/* The next completion of a stream, or 0 where there is none now. */
static inline int serve(struct readiness_engine *engine, struct source *source, int fd,
                        struct sluice_completion *completion, unsigned char *bytes, size_t size) {
    if ((source->wanted & (SLUICE_OP_SEND | SLUICE_OP_CONNECT)) && (source->state & CAN_SEND))
        return complete_output(engine, source, fd, completion);
    if ((source->wanted & SLUICE_OP_RECEIVE) && (source->state & CAN_RECEIVE))
        return receive(engine, source, fd, completion, bytes, size);
    return 0;
}

/* What was left over from the turn before. */
static int next_left_over(struct readiness_engine *engine, struct sluice_completion *completion,
                          unsigned char *bytes, size_t size) {
    for (int fd = pop(engine, &engine->now); fd != NO_FD; fd = pop(engine, &engine->now)) {
        struct source *source = &engine->sources[fd];
        if ((source->state & ATTACHED) && serve(engine, source, fd, completion, bytes, size))
            return 1;
    }
    return 0;
}

/* Of a watch or a listener. */
static int complete_other(struct readiness_engine *engine, struct source *source,
                          const sluice_ready *event, struct sluice_completion *completion) {
    if (source->role == SLUICE_ROLE_LISTENER)
        return (source->wanted & SLUICE_OP_ACCEPT) && accept_one(engine, event->fd, completion);
    /* The interest may have changed since the event was gathered. */
    uint32_t flags = event->flags & (source->wanted | ~SLUICE_DIRECTIONS);
    complete(completion, source, SLUICE_OP_WATCH, (ptrdiff_t)flags);
    return source->wanted != 0 && flags != 0;
}

/* Remembers what an event says of a stream. After a hang-up, or urgent bytes, no receive that is
 * short says that there is no more. */
static inline void learn(struct source *source, uint32_t flags) {
    source->state |= (uint8_t)(flags & (CAN_RECEIVE | CAN_SEND));
    if (flags & ~(uint32_t)(CAN_RECEIVE | CAN_SEND))
        source->state |= flags & SLUICE_ERROR ? HUNG_UP | CAN_SEND : HUNG_UP;
}

static int next(struct sluice_engine *base, struct sluice_completion *completion,
                unsigned char *bytes, size_t size) {
    struct readiness_engine *engine = ours(base);
    for (;;) {
        /* What is left over waits for the events, which it learns from: served before, it would
         * receive twice in a turn. */
        if (engine->at == engine->count)
            return engine->now.first != NO_FD && next_left_over(engine, completion, bytes, size);
        const sluice_ready *event = &engine->events[engine->at++];
        if (!sluice_poller_stands(engine->poller, event))
            continue;
        struct source *source = &engine->sources[event->fd];
        if (source->role <= SLUICE_ROLE_LISTENER) {
            if (complete_other(engine, source, event, completion))
                return 1;
            continue;
        }
        learn(source, event->flags);
        if (!(source->state & QUEUED) && serve(engine, source, event->fd, completion, bytes, size))
            return 1;
    }
}

static bool has_left_over(const struct sluice_engine *base) {
    const struct readiness_engine *engine = (const struct readiness_engine *)(const void *)base;
    return engine->now.first != NO_FD || engine->later.first != NO_FD;
}

static int wake(struct sluice_engine *engine) {
    return sluice_poller_wake(ours(engine)->poller);
}

static int backend_fd(const struct sluice_engine *engine) {
    return sluice_poller_backend_fd(
        ((const struct readiness_engine *)(const void *)engine)->poller);
}

static int after_fork(struct sluice_engine *engine) {
    return sluice_poller_after_fork(ours(engine)->poller);
}

const struct sluice_engine_operations sluice_readiness_engine = {
    .create = create,
    .destroy = destroy,
    .attach = attach,
    .detach = detach,
    .rewatch = rewatch,
    .want = want,
    .send = send_some,
    .wait = wait,
    .next = next,
    .has_left_over = has_left_over,
    .wake = wake,
    .backend_fd = backend_fd,
    .after_fork = after_fork,
};

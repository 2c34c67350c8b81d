/* completions.c - operations that are wanted and possible. Each is done when its completion is
 * pulled.
 *
 * A turn first has the events of its wait, one by one. Then comes what the turn before left over,
 * and then the run of a bulk stream.
 *
 * A receive that brings less than was asked for has drained a TCP or a unix socket. That saves the
 * receive that would find nothing. A short read drains nothing else (receive.h). It does not drain
 * a socket after a hang-up either, when the end or the error still has to be fetched. And it does
 * not after urgent bytes or passed descriptors, where a receive stops short.
 */
#include "base/platform.h"

#include "engines/readiness.h"

#include "engines/receive.h"
#include "network/socket.h"

/* The state of a stream whose next receive is like most. The stream is in no list, nothing else is
 * due for it, and there is nothing to learn from an event except that bytes have come. */
#define LIKE_MOST (WANTED(SLUICE_OP_RECEIVE) | IS_SOCKET | CAN_SEND)
#define TELLS_FROM_MOST                                                                            \
    (LIKE_MOST | WANTED(SLUICE_OP_SEND | SLUICE_OP_CONNECT) | CAN_RECEIVE | STOPS_SHORT | QUEUED | \
     BY_ROLE)

static enum sluice_operation complete_as(const struct source *source,
                                         enum sluice_operation operation, int error, uint64_t value,
                                         sluice_event *event) {
    *event = (sluice_event){.error = error, .id = source->id, .value = value};
    return operation;
}

/* The event before engine->ready is a listener's. At first a turn has one accept, so that a quiet
 * listener costs no accept that finds nobody. After each time that all of them found somebody, it
 * has twice as many. */
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

/* Until it is known how many bytes have come, event->length is for how many there is room. */
static inline void begin_receive(const struct source *source, const unsigned char *bytes,
                                 size_t size, sluice_event *event) {
    event->id = source->id;
    event->data = bytes;
    event->length = size;
    event->value = 0;
}

/* The end of what is received, or an error. */
static enum sluice_operation end_of_input(struct readiness_engine *engine, int fd, ptrdiff_t error,
                                          sluice_event *event) {
    struct source *source = &engine->sources[fd];
    int code = 0;
    if (sluice_unlikely(!engine->edges))
        code = sluice_source_follow_wanted(engine, fd,
                                           wanted_of(source) & ~(uint32_t)SLUICE_OP_RECEIVE);
    set_state(source, CAN_RECEIVE | WANTED(SLUICE_OP_RECEIVE), 0);
    return complete_as(source, SLUICE_OP_END, code < 0 ? code : (int)error, 0, event);
}

/* A packet does not fit into what this pull has left of its buffer. The turn stops here. It goes on
 * with the packet in the next pull, which has the whole buffer. */
static SLUICE_COLD enum sluice_operation put_back(struct readiness_engine *engine, int fd) {
    engine->put_back = fd;
    engine->ready_then = engine->ready;
    engine->ready = engine->ready_end;
    return SLUICE_OP_NONE;
}

/* What comes of a receive of up to `size` bytes. */
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
    /* Without edges, what is left is reported again. */
    if (!engine->edges || drained || (over && !received.again)) {
        set_state(source, CAN_RECEIVE, 0);
        source->burst = 0;
    } else {
        set_state(source, 0, CAN_RECEIVE);
        sluice_source_wait_for_more(engine, fd, full);
    }
    if (over)
        return SLUICE_OP_NONE;
    event->length = (size_t)received.count;
    return SLUICE_OP_RECEIVE;
}

enum sluice_operation sluice_source_receive(struct readiness_engine *engine, int fd,
                                            sluice_event *event, unsigned char *bytes,
                                            size_t size) {
    const struct source *source = &engine->sources[fd];
    begin_receive(source, bytes, size, event);
    return received(engine, fd,
                    sluice_receive(fd, source_role(source), bytes, size, engine->receive_size),
                    size, event);
}

/* Something was reported for a descriptor from which nothing is received. Finds out whether it has
 * broken the connection. If not, bytes wait, or there was a hang-up that the peer did not cause. It
 * is not asked again: a receive will tell. */
static SLUICE_COLD enum sluice_operation look_for_hangup(struct readiness_engine *engine, int fd,
                                                         sluice_event *event) {
    struct source *source = &engine->sources[fd];
    bool has_ended = false;
    int error =
        sluice_hangup_error(fd, source_role(source), !(source->state & NO_INPUT), &has_ended);
    /* An edge comes once. If bytes come first, the hang-up is looked for again when it is wanted
     * next. */
    if (error <= 0)
        set_state(source, BROKEN, 0);
    int code =
        sluice_source_set_wanted(engine, fd, wanted_of(source) & ~(uint32_t)SLUICE_OP_HANGUP);
    if (code < 0)
        error = code;
    return error < 0 ? complete_as(source, SLUICE_OP_HANGUP, error, has_ended, event)
                     : SLUICE_OP_NONE;
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
    int code = sluice_source_set_wanted(engine, fd,
                                        wanted & ~(uint32_t)(SLUICE_OP_SEND | SLUICE_OP_CONNECT));
    if (source->state & CAN_RECEIVE)
        sluice_source_push(engine, &engine->now, fd);
    return complete_as(source, connects ? SLUICE_OP_CONNECT : SLUICE_OP_SEND,
                       code < 0 ? code : error, 0, event);
}

/* The next completion of a stream that is not a receive, or 0. */
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

/* The next completion of a stream, or 0 if there is none now. */
static enum sluice_operation serve(struct readiness_engine *engine, int fd, sluice_event *event,
                                   unsigned char *bytes, size_t size) {
    enum sluice_operation operation = serve_but_receive(engine, fd, event);
    if (operation || !is_due(&engine->sources[fd]))
        return operation;
    return sluice_source_receive(engine, fd, event, bytes, size);
}

/* What was left over from the turn before. */
static enum sluice_operation next_left_over(struct readiness_engine *engine, sluice_event *event,
                                            unsigned char *bytes, size_t size) {
    for (int fd = sluice_source_pop(engine, &engine->now); fd != NO_FD;
         fd = sluice_source_pop(engine, &engine->now)) {
        if (!(engine->sources[fd].state & ATTACHED))
            continue;
        enum sluice_operation operation = serve(engine, fd, event, bytes, size);
        if (operation || engine->put_back != NO_FD)
            return operation;
    }
    return SLUICE_OP_NONE;
}

static SLUICE_COLD enum sluice_operation next_put_back(struct readiness_engine *engine,
                                                       sluice_event *event, unsigned char *bytes,
                                                       size_t size) {
    int fd = engine->put_back;
    engine->put_back = NO_FD;
    engine->ready = engine->ready_then;
    bool stands = (engine->sources[fd].state & ATTACHED) &&
                  (wanted_of(&engine->sources[fd]) & SLUICE_OP_RECEIVE);
    return stands ? sluice_source_receive(engine, fd, event, bytes, size) : SLUICE_OP_NONE;
}

static inline enum sluice_operation complete_watch(const struct source *source, uint32_t flags,
                                                   sluice_event *event) {
    event->id = source->id;
    event->value = flags;
    return SLUICE_OP_WATCH;
}

/* For a watch whose interest may have changed since the event was gathered. */
static enum sluice_operation complete_changed_watch(const struct source *source, uint32_t flags,
                                                    sluice_event *event) {
    uint32_t wanted = wanted_of(source);
    flags &= wanted | ~SLUICE_DIRECTIONS;
    if (!wanted || !flags)
        return SLUICE_OP_NONE;
    return source->role == SLUICE_ROLE_WATCH ? complete_watch(source, flags, event)
                                             : SLUICE_OP_SIGNALS;
}

/* Remembers what an event says about a stream. After a hang-up or urgent bytes, a short receive
 * does not say that there is no more. */
static void learn(struct source *source, uint32_t flags) {
    uint32_t news = flags & (CAN_RECEIVE | CAN_SEND);
    if (flags & ~(uint32_t)(CAN_RECEIVE | CAN_SEND))
        news |= STOPS_SHORT;
    if (flags & (SLUICE_ERROR | SLUICE_HANGUP))
        news |= BROKEN;
    if (flags & SLUICE_ERROR)
        news |= CAN_SEND;
    /* Nothing else can come from the writing end of a pipe: see hangup_interest. */
    if (source->role == SLUICE_ROLE_PIPE && (source->state & NO_INPUT) && (flags & SLUICE_READ))
        news |= BROKEN;
    set_state(source, 0, news);
}

static enum sluice_operation see_to(struct readiness_engine *engine, const sluice_ready *ready,
                                    sluice_event *event, unsigned char *bytes, size_t size) {
    struct source *source = &engine->sources[ready->fd];
    if (source->role == SLUICE_ROLE_LISTENER)
        return accept_next(engine, event);
    if (is_reported(source_role(source)))
        return complete_changed_watch(source, ready->flags, event);
    learn(source, ready->flags);
    /* A receive waits for its place in the list. But a place that the number's former descriptor
     * had does not count. */
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
    /* What is left over comes after the events, since it learns from them. If it came before, it
     * would receive twice in a turn. */
    if (!operation && engine->put_back == NO_FD)
        operation = next_left_over(engine, event, bytes, size);
    if (!operation && engine->put_back == NO_FD && engine->run_left > 0)
        operation = sluice_bulk_next(engine, event, bytes, size);
    return operation;
}

/* For the event before engine->ready, which is of a stream that is like most, a read(2) was tried.
 * It found the end, an error, or as much as fits and perhaps more. Or there is more to learn than
 * bytes. */
static SLUICE_NOINLINE enum sluice_operation
next_after_receive(struct readiness_engine *engine, sluice_event *event, ptrdiff_t result) {
    const size_t size = event->length;
    int fd = engine->ready[-1].fd;
    unsigned char *bytes = (unsigned char *)(uintptr_t)event->data;
    struct sluice_received answer = {.count = result < 0 ? -errno : result};
    enum sluice_operation operation = answer.count == -EINTR
                                          ? sluice_source_receive(engine, fd, event, bytes, size)
                                          : received(engine, fd, answer, size, event);
    return operation ? operation : next_of_any(engine, event, bytes, size);
}

/* The next event is of a stream that is like most, and says that the peer has ended. Nearly always
 * no bytes come before that. */
static SLUICE_NOINLINE enum sluice_operation
next_end(struct readiness_engine *engine, sluice_event *event, unsigned char *bytes, size_t size) {
    int fd = engine->ready++->fd;
    ptrdiff_t result = read(fd, bytes, size);
    if (sluice_likely(result == 0))
        return end_of_input(engine, fd, 0, event);
    struct source *source = &engine->sources[fd];
    set_state(source, 0, CAN_RECEIVE | STOPS_SHORT);
    begin_receive(source, bytes, size, event);
    return next_after_receive(engine, event, result);
}

/* This is nearly all that a server does: bytes have come on a socket that waits for bytes, and they
 * fit into the buffer. */
static SLUICE_MERGED enum sluice_operation next_bytes(struct readiness_engine *engine,
                                                      sluice_event *event, unsigned char *bytes,
                                                      size_t size, const sluice_ready *ready,
                                                      const struct source *source) {
    engine->ready = ready + 1;
    begin_receive(source, bytes, size, event);
    ptrdiff_t result = read(ready->fd, bytes, size);
    if (sluice_unlikely(result <= 0 || (size_t)result >= event->length))
        return next_after_receive(engine, event, result);
    event->length = (size_t)result;
    return SLUICE_OP_RECEIVE;
}

/* The next event is of something that is not like most, or tells of more than bytes. A watch is
 * left to next_of_any, which asks whether its event still stands. For others that is not asked. A
 * number that is detached matches nothing here. If it was attached again since, trying the new
 * stream or listener does no harm. */
static SLUICE_NOINLINE enum sluice_operation next_otherwise(struct readiness_engine *engine,
                                                            sluice_event *event,
                                                            unsigned char *bytes, size_t size,
                                                            const sluice_ready *ready) {
    const struct source *source = &engine->sources[ready->fd];
    const uint32_t end = CAN_RECEIVE | CAN_SEND | SLUICE_READ_CLOSED;
    enum sluice_operation operation = SLUICE_OP_NONE;
    if (source->role == SLUICE_ROLE_LISTENER) {
        engine->ready = ready + 1;
        operation = accept_next(engine, event);
    } else if ((source->state & TELLS_FROM_MOST) == LIKE_MOST &&
               (ready->flags | CAN_RECEIVE | CAN_SEND) == end) {
        return next_end(engine, event, bytes, size);
    }
    return operation ? operation : next_of_any(engine, event, bytes, size);
}

SLUICE_MERGED enum sluice_operation sluice_readiness_next(struct sluice_engine *base,
                                                          sluice_event *event, unsigned char *bytes,
                                                          size_t size) {
    struct readiness_engine *engine = ours(base);
    const sluice_ready *ready = engine->ready;
    if (ready == engine->ready_end)
        return next_of_any(engine, event, bytes, size);
    const struct source *source = &engine->sources[ready->fd];
    if (sluice_likely((source->state & TELLS_FROM_MOST) == LIKE_MOST &&
                      (ready->flags | CAN_SEND) == (CAN_RECEIVE | CAN_SEND)))
        return next_bytes(engine, event, bytes, size, ready, source);
    if (source->role == SLUICE_ROLE_WATCH && !engine->changed) {
        engine->ready = ready + 1;
        return complete_watch(source, ready->flags, event);
    }
    return next_otherwise(engine, event, bytes, size, ready);
}

/* listeners.c - accepting, and what to do when one cannot.
 *
 * When there are no more descriptors, accept fails, the caller stays in the queue and the listener
 * stays ready. Asking again at once would spin, and not asking would leave the caller waiting
 * without a word. So the loop keeps one descriptor in reserve. It is given up, the caller is
 * accepted with it and turned away, and it is taken back. Then accepting stops, and OVERLOADED says
 * so. Listeners that have stopped in this way stand in a list. The first of them goes on when a
 * stream of the loop has ended, since that gave one descriptor back. All of them go on after a
 * tenth of a second, since others may have given one back.
 *
 * At the limit of connections accepting stops as well, and callers wait in the kernel's queue.
 *
 * If a listener drains, the loop itself accepts from it, and not the engine. The listener ends with
 * an accept that finds nobody, and an engine does not report that. Each turn has a batch from one
 * of them. It stops and goes on like any other.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/deadline.h"
#include "network/socket.h"

#define RETRY_NS (100 * NS_PER_MILLISECOND)

/* ---- Lists of them --------------------------------------------------------------------------- */

static SLUICE_COLD void enter(sluice_loop *loop, struct sluice_listener_list *list,
                              struct sluice_listener *listener) {
    uint32_t index = sluice_slots_index(&loop->listeners, listener);
    listener->in = list;
    listener->next = SLUICE_NO_SLOT;
    listener->previous = list->last;
    if (list->last == SLUICE_NO_SLOT)
        list->first = index;
    else
        sluice_listener_at(loop, list->last)->next = index;
    list->last = index;
}

static SLUICE_COLD void leave(sluice_loop *loop, struct sluice_listener *listener) {
    struct sluice_listener_list *list = listener->in;
    if (!list)
        return;
    listener->in = NULL;
    if (listener->previous == SLUICE_NO_SLOT)
        list->first = listener->next;
    else
        sluice_listener_at(loop, listener->previous)->next = listener->next;
    if (listener->next == SLUICE_NO_SLOT)
        list->last = listener->previous;
    else
        sluice_listener_at(loop, listener->next)->previous = listener->previous;
}

/* ---- Listening ------------------------------------------------------------------------------ */

static int want_accepts(sluice_loop *loop, const struct sluice_listener *listener, bool wanted) {
    return sluice_operations(loop)->want(loop->engine, listener->fd, wanted ? SLUICE_OP_ACCEPT : 0);
}

static uint32_t connections(const sluice_loop *loop, const struct sluice_listener *listener) {
    return sluice_cohort_at(loop, listener->cohort)->users - 1;
}

/* Whether one more stream would be too many. */
static bool are_too_many(const sluice_loop *loop) {
    return loop->streams.living >= loop->handle_limit;
}

/* Whether one more connection would be too many of this listener's own. */
static bool is_at_limit(const sluice_loop *loop, const struct sluice_listener *listener) {
    return listener->connection_limit && connections(loop, listener) >= listener->connection_limit;
}

static bool is_full(const sluice_loop *loop, const struct sluice_listener *listener) {
    return are_too_many(loop) || is_at_limit(loop, listener);
}

/* Makes the engine accept. */
static SLUICE_COLD int attach_listener(sluice_loop *loop, struct sluice_listener *listener,
                                       sluice_id id, bool is_given) {
    const struct sluice_engine_operations *engine = sluice_operations(loop);
    uint32_t batch = listener->accept_batch;
    int code = is_given
                   ? engine->attach(loop->engine, listener->fd, id, SLUICE_ROLE_LISTENER, batch)
                   : sluice_attach(loop, listener->fd, id, SLUICE_ROLE_LISTENER, batch);
    if (code < 0)
        return code;
    code = want_accepts(loop, listener, true);
    if (code < 0)
        engine->detach(loop->engine, listener->fd);
    return code;
}

SLUICE_COLD int sluice_listener_begin(sluice_loop *loop, const struct sluice_listener_start *start,
                                      sluice_id *id) {
    int code;
    uint32_t index = sluice_slots_begin(&loop->listeners, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    struct sluice_listener *listener = sluice_listener_at(loop, index);
    *listener = (struct sluice_listener){.slot = listener->slot,
                                         .fd = start->fd,
                                         .is_local = !sluice_socket_is_tcp(start->fd),
                                         .connection_limit = start->options->connection_limit,
                                         .accept_batch = start->options->accept_batch};
    sluice_id made = sluice_id_of(SLUICE_KIND_LISTENER, index, listener->slot.generation);
    code = sluice_cohort_join(loop, start->settings, index + 1, &listener->cohort);
    if (code == 0) {
        code = attach_listener(loop, listener, made, start->is_given);
        if (code < 0)
            sluice_cohort_leave(loop, listener->cohort);
    }
    if (code < 0) {
        sluice_slots_end(&loop->listeners, index);
        return code;
    }
    listener->file = start->file; /* it stays the caller's until nothing can fail any more */
    *id = made;
    return 0;
}

SLUICE_COLD void sluice_listener_let_go(sluice_loop *loop, struct sluice_listener *listener) {
    leave(loop, listener);
    sluice_cohort_at(loop, listener->cohort)->listener = 0;
    sluice_cohort_leave(loop, listener->cohort);
    if (listener->fd >= 0)
        sluice_operations(loop)->detach(loop->engine, listener->fd);
    sluice_slots_end(&loop->listeners, sluice_slots_index(&loop->listeners, listener));
}

void sluice_listener_end(sluice_loop *loop, struct sluice_listener *listener) {
    int fd = listener->fd;
    struct sluice_socket_file file = listener->file;
    sluice_listener_let_go(loop, listener);
    if (fd < 0) {
        sluice_socket_file_forget(&file); /* its name cannot be asked for any more */
        return;
    }
    sluice_socket_file_remove(&file, fd);
    close(fd);
}

SLUICE_COLD void sluice_listener_lose_descriptor(sluice_loop *loop,
                                                 struct sluice_listener *listener) {
    leave(loop, listener);
    listener->fd = -1;
    /* A listener that drains still owes its CLOSED. */
    if (listener->drains)
        enter(loop, &loop->draining, listener);
}

/* The files stay the parent's, which still listens there. */
void sluice_listeners_after_fork(sluice_loop *loop) {
    for (uint32_t i = 0; i < loop->listeners.used; i++) {
        struct sluice_listener *listener = sluice_listener_at(loop, i);
        if (sluice_slot_lives(&listener->slot))
            sluice_socket_file_forget(&listener->file);
    }
}

/* ---- Accepting ------------------------------------------------------------------------------ */

/* Puts it behind the others that wait for room. */
static SLUICE_COLD void stand_in_line(sluice_loop *loop, struct sluice_listener *listener) {
    leave(loop, listener);
    enter(loop, &loop->waiting, listener);
    /* This is not a deadline of its own, since there may be no memory for one. */
    loop->accept_again = sluice_moment(loop, RETRY_NS);
}

/* Stops accepting, and reports that with the error. It is tried again later. */
static SLUICE_COLD bool stop(sluice_loop *loop, struct sluice_listener *listener, sluice_id id,
                             int error, sluice_event *event) {
    if (listener->stopped)
        return false;
    listener->stopped = true;
    (void)want_accepts(loop, listener, false);
    stand_in_line(loop, listener);
    *event = (sluice_event){
        .kind = SLUICE_OVERLOADED, .error = error, .id = id, .user = listener->slot.user};
    return true;
}

/* Whether the result of an accept says that nobody waits in the queue. */
static SLUICE_COLD bool says_nobody(const struct sluice_listener *listener, int code) {
    return code == SLUICE_EAGAIN || (code == -EINVAL && listener->drains);
}

/* Turns a caller away with the descriptor in reserve. False if nobody is waiting: accept(2) wants a
 * number before it looks for a caller, so it may have failed although there was none. */
static SLUICE_COLD bool turn_away(sluice_loop *loop, const struct sluice_listener *listener) {
    if (loop->reserve_fd < 0)
        return true;
    close(loop->reserve_fd);
    int connection = sluice_socket_accept(listener->fd);
    if (connection >= 0)
        close(connection);
    loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return !says_nobody(listener, connection);
}

/* An accept has failed, or what it gave could not be made a stream. */
static SLUICE_NOINLINE SLUICE_COLD bool
accept_failed(sluice_loop *loop, struct sluice_listener *listener, int error, sluice_event *event) {
    if ((error == -EMFILE || error == -ENFILE) && !turn_away(loop, listener))
        return false;
    return stop(loop, listener, event->id, error, event);
}

/* The last that there is room for has been accepted. */
static SLUICE_NOINLINE SLUICE_COLD void heed_full(sluice_loop *loop,
                                                  struct sluice_listener *listener, sluice_id id) {
    listener->stopped = true;
    leave(loop, listener);
    (void)want_accepts(loop, listener, false);
    /* The end of any stream gives this listener room, unless it is at its own limit, too. Then,
     * standing in the list, it would only take the turn of those behind it. */
    if (!is_at_limit(loop, listener))
        stand_in_line(loop, listener);
    loop->overloaded = id;
    loop->todo |= TODO(OVERLOADED);
}

bool sluice_listener_complete(sluice_loop *loop, struct sluice_listener *listener,
                              sluice_event *event) {
    loop->stats.accepts++;
    if (event->error < 0)
        return accept_failed(loop, listener, event->error, event);
    const struct sluice_stream_start start = {.fd = (int)event->value,
                                              .role = listener->is_local ? SLUICE_ROLE_LOCAL
                                                                         : SLUICE_ROLE_SOCKET,
                                              .cohort = listener->cohort,
                                              .connect_timeout_ns = INT64_MAX,
                                              .user = listener->slot.user};
    sluice_id stream_id;
    int code = sluice_stream_begin(loop, &start, &stream_id);
    if (code < 0) {
        close(start.fd);
        return stop(loop, listener, event->id, code, event);
    }
    sluice_cohort_at(loop, listener->cohort)->users++;
    if (sluice_unlikely(is_full(loop, listener)))
        heed_full(loop, listener, event->id);
    event->kind = SLUICE_ACCEPTED;
    event->user = listener->slot.user;
    event->value = event->id;
    event->id = stream_id;
    return true;
}

SLUICE_COLD bool sluice_listener_notice(sluice_loop *loop, sluice_event *event) {
    sluice_id id = loop->overloaded;
    loop->overloaded = 0;
    loop->todo &= ~TODO(OVERLOADED);
    const struct sluice_listener *listener = sluice_find_listener(loop, id);
    if (!listener || !listener->stopped)
        return false;
    *event = (sluice_event){
        .kind = SLUICE_OVERLOADED, .error = SLUICE_EFULL, .id = id, .user = listener->slot.user};
    return true;
}

/* Makes a listener that has stopped accept again. If that fails, it waits in the list. */
static SLUICE_COLD void go_on_accepting(sluice_loop *loop, struct sluice_listener *listener) {
    if (!listener->drains && want_accepts(loop, listener, true) < 0) {
        loop->accept_again = sluice_moment(loop, RETRY_NS);
        if (!listener->in)
            enter(loop, &loop->waiting, listener);
        return;
    }
    listener->stopped = false;
    leave(loop, listener);
    if (listener->drains)
        enter(loop, &loop->draining, listener);
}

/* Begins to accept again, if that is possible. If there are too many streams in all, it waits in
 * the list for the end of any of them. */
static SLUICE_COLD void resume(sluice_loop *loop, struct sluice_listener *listener) {
    if (!listener->stopped || listener->fd < 0 || is_at_limit(loop, listener))
        return;
    if (!are_too_many(loop))
        go_on_accepting(loop, listener);
    else if (listener->in != &loop->waiting)
        stand_in_line(loop, listener);
}

static void take_reserve(sluice_loop *loop) {
    if (loop->reserve_fd < 0)
        loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void sluice_listeners_heed_end(sluice_loop *loop, uint32_t cohort) {
    uint32_t place = sluice_cohort_at(loop, cohort)->listener;
    sluice_cohort_leave(loop, cohort);
    take_reserve(loop);
    /* A listener that waits for a descriptor keeps its place in the list. */
    struct sluice_listener *listener = place ? sluice_listener_at(loop, place - 1) : NULL;
    if (listener && listener->stopped && listener->in != &loop->waiting)
        resume(loop, listener);
    sluice_listeners_heed_room(loop);
}

void sluice_listeners_heed_room(sluice_loop *loop) {
    if (loop->waiting.first != SLUICE_NO_SLOT)
        resume(loop, sluice_listener_at(loop, loop->waiting.first));
}

SLUICE_COLD void sluice_listeners_try_again(sluice_loop *loop) {
    take_reserve(loop);
    uint32_t index = loop->waiting.first;
    while (index != SLUICE_NO_SLOT) {
        struct sluice_listener *listener = sluice_listener_at(loop, index);
        index = listener->next;
        resume(loop, listener);
    }
    /* Room that becomes free goes to the first, which may have no caller. */
    if (loop->waiting.first != loop->waiting.last)
        loop->accept_again = sluice_moment(loop, RETRY_NS);
}

/* ---- Draining -------------------------------------------------------------------------------- */

int sluice_listener_drain(sluice_loop *loop, struct sluice_listener *listener) {
    if (listener->drains)
        return 0;
    if (listener->fd < 0)
        return SLUICE_EBADF;
    int code = listener->stopped ? 0 : want_accepts(loop, listener, false);
    if (code < 0)
        return code;
    code = sluice_socket_let_no_more_in(listener->fd, !listener->is_local);
    if (code < 0) {
        /* The listener goes on as it was. If that fails, accepting begins again as soon as it
         * can. */
        if (!listener->stopped) {
            listener->stopped = true;
            go_on_accepting(loop, listener);
        }
        return code;
    }
    listener->drains = true;
    sluice_socket_file_remove(&listener->file, listener->fd);
    if (!listener->stopped)
        enter(loop, &loop->draining, listener);
    return 0;
}

/* A listener that has drained ends, and its CLOSED says so. */
static bool drained(sluice_loop *loop, struct sluice_listener *listener, sluice_id id, int error,
                    sluice_event *event) {
    *event = (sluice_event){
        .kind = SLUICE_CLOSED, .error = error, .id = id, .user = listener->slot.user};
    sluice_listener_end(loop, listener);
    return true;
}

static bool is_readable(int fd) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 0) == 1;
}

/* Accepts one caller, or ends the listener if there is none. Returns whether that is an event. */
static bool drain_one(sluice_loop *loop, struct sluice_listener *listener, sluice_event *event) {
    uint32_t index = sluice_slots_index(&loop->listeners, listener);
    sluice_id id = sluice_id_of(SLUICE_KIND_LISTENER, index, listener->slot.generation);
    if (listener->fd < 0)
        return drained(loop, listener, id, SLUICE_EBADF, event);
    /* Streams that connect may have taken the room meanwhile, and a caller accepted now would be
     * reset. */
    if (is_full(loop, listener))
        return stop(loop, listener, id, SLUICE_EFULL, event);
    /* This is asked first, since the number may be that of another socket by now, and accept on
     * that one might block. A unix socket that is shut down can always be read from. */
    if (!listener->is_local && !is_readable(listener->fd))
        return drained(loop, listener, id, 0, event);
    int code = sluice_socket_accept(listener->fd);
    if (code == SLUICE_EBADF)
        return drained(loop, listener, id, code, event);
    if (!says_nobody(listener, code)) {
        *event = (sluice_event){.error = code < 0 ? code : 0, .id = id, .value = (uint64_t)code};
        if (sluice_listener_complete(loop, listener, event))
            return true;
    }
    /* Nobody waits; or, over TCP, many in a row have failed. */
    return listener->is_local && drained(loop, listener, id, 0, event);
}

SLUICE_COLD void sluice_draining_turn(sluice_loop *loop) {
    loop->drains_left = sluice_listener_at(loop, loop->draining.first)->accept_batch;
}

SLUICE_COLD bool sluice_draining_next(sluice_loop *loop, sluice_event *event) {
    while (loop->draining.first != SLUICE_NO_SLOT && loop->drains_left > 0) {
        loop->drains_left--;
        if (drain_one(loop, sluice_listener_at(loop, loop->draining.first), event))
            return true;
    }
    /* The next turn belongs to another listener. */
    if (loop->draining.first != SLUICE_NO_SLOT) {
        struct sluice_listener *listener = sluice_listener_at(loop, loop->draining.first);
        leave(loop, listener);
        enter(loop, &loop->draining, listener);
    }
    return false;
}

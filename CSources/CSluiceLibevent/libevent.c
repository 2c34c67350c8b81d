/* libevent.c - libevent 2.1 as a backend, over each of its methods on Linux.
 *
 * How it works: each registration is a libevent event of its own, persistent and without a timeout.
 * A wait runs libevent's loop once. libevent calls back for each event that is active, and the
 * callback writes it to the batch. The memory of an event is kept with its number, so that neither
 * a wait nor a change allocates.
 *
 * libevent has no limit on how many events it calls back for. What does not fit into the batch is
 * queued. The next wait asks libevent again, and then serves the queue first. A level-triggered
 * event that is not ready any more is dropped from the queue. An edge is kept.
 *
 * What is so because of libevent, and stays so (docs/readiness.md has the rows):
 * - It has no event for out-of-band data, so PRIORITY is refused. It does not tell errors and
 *   hang-ups apart from anything else that makes a read or a write return.
 * - Its poll reports a closed number as ready. Its select cannot take numbers from FD_SETSIZE on:
 *   if it was built with _FORTIFY_SOURCE, as distributions do, it would end the process.
 * - It names what epoll reports only by number. epoll.c learns from the token of an event that an
 *   entry has outlived its number. Here that has to be foreseen. fstat(2) tells which file a number
 *   was registered for. If it is another file, or none, at the next call, all registrations move to
 *   a new base. Files without an inode of their own (eventfds, timerfds) cannot be told apart.
 * - Its epoll refuses files that are always ready, and prints a complaint. So epoll is asked first
 *   about everything that is not a socket or a pipe, and the files that it refuses are kept in a
 *   list here.
 * - With epoll, a timeout may end some milliseconds late, but never early. Its clock is coarse,
 *   unless it may make one more system call in each wait.
 * - If it cannot get the descriptors that it needs when it starts, it ends the process. So we try
 *   first whether they can be had. Between that and its own attempt another thread can still take
 *   them.
 *
 * Decided against: libevent's one-shot events, which are used up even if they do not fit into the
 * batch; its priorities and limits on callbacks, with which an event is reported when it is no
 * longer so; its changelist, with which an error shows only in the wait; two events for each
 * number, one for each direction, which would save a call in some changes and need two callbacks
 * for one report; and more files than this one. It is long, but only those read it who want to know
 * what libevent takes.
 */
#include "readiness/poller.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluice_libevent.h"

#define FIRST_LIMIT 64
#define NO_FD (-1)

enum state {
    SILENT, /* libevent does not know of it */
    ARMED,  /* libevent looks for it */
    ALWAYS  /* in the list of files that are always ready */
};

/* What is kept for a number, registered or not. Invariants: a number is in the queue while it is
 * `queued`, and only then does `next` mean something. A number with nothing `pending` is passed
 * over in the queue. `event` is pending with libevent while the state is ARMED. */
struct watch {
    struct event *event; /* behind this, in the same block */
    dev_t device;        /* these two: which file was registered */
    ino_t inode;
    uint32_t pending;  /* flags gathered and not reported yet */
    uint16_t interest; /* for which it was armed */
    int next;
    enum state state;
    bool queued;
};

/* Invariants: always[i] is a number whose slot is i, for i below always_count, and there is room
 * for all numbers below `limit`. */
struct libevent_state {
    struct event_base *base;
    struct event *timer;
    struct watch **watches; /* by number; NULL if there never was one */
    int *always;
    int limit;
    int always_count;
    int first; /* of the queue; NO_FD if it is empty */
    int last;
    sluice_ready *at; /* of the batch under way: where the next event goes, and the end */
    sluice_ready *end;
    pid_t process; /* whose base it is */
    bool stale;    /* epoll may hold an entry that nobody can delete */
};

static const struct sluice_poller_backend libevent_epoll;
static const struct sluice_poller_backend libevent_poll;
static const struct sluice_poller_backend libevent_select;

static const struct sluice_poller_backend *const backends[] = {
    &libevent_epoll,
    &libevent_poll,
    &libevent_select,
};

#define BACKENDS (sizeof backends / sizeof backends[0])

/* libevent's name for a backend's method. */
static const char *method_of(const struct sluice_poller_backend *backend) {
    return strchr(backend->name, ':') + 1;
}

static struct libevent_state *state_of(sluice_poller *poller) {
    return sluice_poller_state(poller);
}

/* The errno that a call of libevent left, or out of memory if it left none. */
static int failure(void) {
    return errno != 0 ? -errno : SLUICE_ENOMEM;
}

/* ---- The base -------------------------------------------------------------------------------- */

/* Whether the descriptors that a base needs can be had: two of a pipe and one of epoll. */
static int try_descriptors(void) {
    int fds[3] = {-1, -1, -1};
    int code = pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
    if (code == 0 && (fds[2] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0)) < 0)
        code = -errno;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return code;
}

/* A base over the backend's method, whatever the environment says. One thread at a time uses it,
 * and nobody uses its cache of the time. */
static struct event_base *new_base(const struct sluice_poller_backend *backend) {
    const char *method = method_of(backend);
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    int flags = EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NO_CACHE_TIME;
    if (backend != &libevent_epoll)
        flags |= EVENT_BASE_FLAG_PRECISE_TIMER;
    int code = event_config_set_flag(config, flags);
    for (size_t i = 0; i < BACKENDS; i++)
        if (strcmp(method_of(backends[i]), method) != 0)
            code |= event_config_avoid_method(config, method_of(backends[i]));
    struct event_base *base = code == 0 ? event_base_new_with_config(config) : NULL;
    event_config_free(config);
    return base;
}

/* event_reinit, which ends the process if it gets no descriptors. */
static int reinit(const struct libevent_state *state) {
    int code = try_descriptors();
    if (code < 0)
        return code;
    errno = 0;
    return event_reinit(state->base) < 0 ? failure() : 0;
}

static int make_base(const struct sluice_poller_backend *backend, struct event_base **base) {
    int code = try_descriptors();
    if (code < 0)
        return code;
    errno = 0;
    *base = new_base(backend);
    if (!*base)
        return failure();
    if (strcmp(event_base_get_method(*base), method_of(backend)) == 0)
        return 0;
    event_base_free(*base); /* this libevent was built without the method */
    return SLUICE_EBACKEND;
}

static void on_time(evutil_socket_t fd, short what, void *argument) {
    (void)fd;
    (void)what;
    (void)argument;
}

/* Adds the timer once, so that libevent has room for it from now on. */
static int assign_timer(struct event *timer, struct event_base *base) {
    const struct timeval age = {.tv_sec = 1};
    errno = 0;
    if (event_assign(timer, base, -1, 0, on_time, NULL) < 0 || event_add(timer, &age) < 0)
        return failure();
    event_del(timer);
    return 0;
}

static int init(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    state->first = NO_FD;
    state->process = getpid();
    state->timer = sluice_resize(&poller->allocator, NULL, 1, event_get_struct_event_size());
    if (!state->timer)
        return SLUICE_ENOMEM;
    int code = make_base(poller->backend, &state->base);
    if (code == 0) {
        code = assign_timer(state->timer, state->base);
        if (code < 0)
            event_base_free(state->base);
    }
    if (code < 0)
        sluice_free(&poller->allocator, state->timer);
    return code;
}

static void deinit(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    /* In the child of a fork, libevent would take the parent's registrations out of epoll. If it
     * cannot be made to forget them, its base is left as it is: better to lose that than the
     * parent's registrations. */
    if (state->process == getpid() || reinit(state) == 0)
        event_base_free(state->base);
    event_debug_unassign(state->timer);
    sluice_free(&poller->allocator, state->timer);
    for (int fd = 0; fd < state->limit; fd++) {
        if (!state->watches[fd])
            continue;
        event_debug_unassign(state->watches[fd]->event);
        sluice_free(&poller->allocator, state->watches[fd]);
    }
    sluice_free(&poller->allocator, state->watches);
    sluice_free(&poller->allocator, state->always);
}

/* ---- The queue, and the batch ---------------------------------------------------------------- */

static void enqueue(struct libevent_state *state, int fd, uint32_t flags) {
    struct watch *watch = state->watches[fd];
    watch->pending |= flags;
    if (watch->queued)
        return;
    watch->queued = true;
    watch->next = NO_FD;
    if (state->first == NO_FD)
        state->first = fd;
    else
        state->watches[state->last]->next = fd;
    state->last = fd;
}

static void always_erase(sluice_poller *poller, int fd) {
    struct libevent_state *state = state_of(poller);
    int slot = poller->registrations[fd].slot;
    int last = state->always[--state->always_count];
    state->always[slot] = last;
    poller->registrations[last].slot = slot;
    poller->registrations[fd].slot = SLUICE_SLOT_NONE;
}

static void silence(sluice_poller *poller, int fd) {
    struct watch *watch = state_of(poller)->watches[fd];
    if (watch->state == ARMED)
        event_del(watch->event);
    else if (watch->state == ALWAYS)
        always_erase(poller, fd);
    watch->state = SILENT;
}

/* One-shots are reported once. So are files that are always ready and were registered with an
 * edge. */
static void report(sluice_poller *poller, int fd, uint32_t flags) {
    struct libevent_state *state = state_of(poller);
    uint32_t interest = poller->registrations[fd].interest;
    if ((interest & SLUICE_ONE_SHOT) ||
        ((interest & SLUICE_EDGE) && state->watches[fd]->state == ALWAYS))
        silence(poller, fd);
    sluice_poller_report(poller, &state->at, fd, flags);
}

/* Puts it into the batch while there is room and nothing is queued. A wake takes no room. */
static void gather(sluice_poller *poller, int fd, uint32_t flags) {
    struct libevent_state *state = state_of(poller);
    if (fd == poller->wake_fd)
        poller->woken = true;
    else if (state->first == NO_FD && state->at < state->end)
        report(poller, fd, flags);
    else
        enqueue(state, fd, flags);
}

static_assert(EV_READ == SLUICE_READ << 1 && EV_WRITE == (int)SLUICE_WRITE &&
                  EV_CLOSED << 6 == SLUICE_READ_CLOSED,
              "flags_of relies on it");

static inline uint32_t flags_of(short what) {
    uint32_t bits = (uint32_t)(unsigned short)what;
    return (bits & EV_READ) >> 1 | (bits & EV_WRITE) | (bits & EV_CLOSED) << 6;
}

/* Most events are level-triggered and fit. This is written out, so that nothing is called for
 * them. */
static void on_ready(evutil_socket_t fd, short what, void *argument) {
    sluice_poller *poller = argument;
    struct libevent_state *state = state_of(poller);
    bool is_level = !(poller->registrations[fd].interest & (SLUICE_ONE_SHOT | SLUICE_EDGE));
    if (is_level && fd != poller->wake_fd && state->first == NO_FD && state->at < state->end)
        sluice_poller_report(poller, &state->at, fd, flags_of(what));
    else
        gather(poller, fd, flags_of(what));
}

/* Forgets what was left over and may no longer be so. Returns whether an edge is left. */
static bool keep_edges(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    bool kept = false;
    for (int fd = state->first; fd != NO_FD; fd = state->watches[fd]->next) {
        if (!(poller->registrations[fd].interest & SLUICE_EDGE))
            state->watches[fd]->pending = 0;
        kept |= state->watches[fd]->pending != 0;
    }
    return kept;
}

static void report_queue(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    while (state->first != NO_FD) {
        int fd = state->first;
        struct watch *watch = state->watches[fd];
        if (watch->pending != 0 && state->at == state->end)
            return;
        state->first = watch->next;
        watch->queued = false;
        if (watch->pending != 0)
            report(poller, fd, watch->pending);
        watch->pending = 0;
    }
}

/* Reports the files that epoll refuses, since they are always ready. */
static void gather_always(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    for (int i = 0; i < state->always_count;) {
        int fd = state->always[i];
        gather(poller, fd,
               poller->registrations[fd].interest & (uint32_t)(SLUICE_READ | SLUICE_WRITE));
        /* If it was one that is reported once, the last has taken its place. */
        i += i < state->always_count && state->always[i] == fd;
    }
}

/* ---- Registrations --------------------------------------------------------------------------- */

static short libevent_events(const sluice_poller *poller, uint32_t interest) {
    int events = EV_PERSIST;
    if (interest & SLUICE_READ)
        events |= EV_READ;
    if ((interest & SLUICE_READ) && poller->backend != &libevent_select)
        events |= EV_CLOSED;
    if (interest & SLUICE_WRITE)
        events |= EV_WRITE;
    if (interest & SLUICE_EDGE)
        events |= EV_ET;
    return (short)events;
}

/* Hands the number to `base` with its registration's interest. */
static int tell_libevent(sluice_poller *poller, struct event_base *base, int fd,
                         uint32_t interest) {
    struct event *event = state_of(poller)->watches[fd]->event;
    errno = 0;
    if (event_assign(event, base, fd, libevent_events(poller, interest), on_ready, poller) < 0 ||
        event_add(event, NULL) < 0)
        return failure();
    return 0;
}

static int make_room(sluice_poller *poller, int fd) {
    struct libevent_state *state = state_of(poller);
    if (fd < state->limit)
        return 0;
    size_t limit = state->limit > 0 ? (size_t)state->limit : FIRST_LIMIT;
    while (limit <= (size_t)fd)
        limit *= 2;
    int *always = sluice_resize(&poller->allocator, state->always, limit, sizeof *always);
    if (!always)
        return SLUICE_ENOMEM;
    state->always = always;
    struct watch **watches =
        sluice_resize(&poller->allocator, state->watches, limit, sizeof(struct watch *));
    if (!watches)
        return SLUICE_ENOMEM;
    for (size_t i = (size_t)state->limit; i < limit; i++)
        watches[i] = NULL;
    state->watches = watches;
    state->limit = (int)limit;
    return 0;
}

static int make_watch(sluice_poller *poller, int fd) {
    struct libevent_state *state = state_of(poller);
    int code = make_room(poller, fd);
    if (code < 0 || state->watches[fd])
        return code;
    size_t size = sizeof(struct watch) + event_get_struct_event_size();
    struct watch *watch = sluice_resize(&poller->allocator, NULL, 1, size);
    if (!watch)
        return SLUICE_ENOMEM;
    memset(watch, 0, size);
    watch->event = (struct event *)(void *)(watch + 1);
    state->watches[fd] = watch;
    return 0;
}

/* Whether the number can be waited on at all. It is for methods other than epoll, which refuses
 * numbers by itself. */
static int check_number(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    return flags & O_PATH ? SLUICE_EBADF : 0;
}

/* Whether epoll takes the file. This asks an epoll instance of its own: libevent prints what it is
 * refused, and its own instance cannot be had. */
static int ask_epoll(int fd, const struct stat *file) {
    if (S_ISSOCK(file->st_mode) || S_ISFIFO(file->st_mode))
        return 0;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return -errno;
    struct epoll_event event = {.events = 0};
    int code = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
    close(epoll_fd);
    return code;
}

/* Notes that the number names another file than the one that was registered, or none. The old
 * file's entry may live on in epoll. It is then reported under this number, and cannot be deleted
 * by it. */
static void compare_file(sluice_poller *poller, int fd, const struct stat *file) {
    struct libevent_state *state = state_of(poller);
    const struct watch *watch = state->watches[fd];
    if (poller->backend != &libevent_epoll || watch->state != ARMED)
        return;
    if (!file || file->st_dev != watch->device || file->st_ino != watch->inode)
        state->stale = true;
}

/* Arms the number, which is silent by now. The kernel may refuse it. */
static int arm(sluice_poller *poller, int fd, uint32_t interest, bool always) {
    struct libevent_state *state = state_of(poller);
    if (!(interest & SLUICE_DIRECTIONS))
        return 0;
    if (!always) {
        int code = tell_libevent(poller, state->base, fd, interest);
        if (code == 0)
            state->watches[fd]->state = ARMED;
        return code;
    }
    poller->registrations[fd].slot = state->always_count;
    state->always[state->always_count++] = fd;
    state->watches[fd]->state = ALWAYS;
    return 0;
}

static int set(sluice_poller *poller, int fd, uint32_t interest) {
    struct libevent_state *state = state_of(poller);
    struct stat file = {0};
    bool over_epoll = poller->backend == &libevent_epoll;
    if (over_epoll && fstat(fd, &file) < 0)
        return -errno;
    int code =
        over_epoll && (interest & SLUICE_DIRECTIONS) ? ask_epoll(fd, &file) : check_number(fd);
    bool always = code == -EPERM;
    if (code < 0 && !always)
        return code;
    if (poller->backend == &libevent_select && fd >= FD_SETSIZE)
        return SLUICE_ENOTSUP;
    code = make_watch(poller, fd);
    if (code < 0)
        return code;
    compare_file(poller, fd, &file);
    struct watch *watch = state->watches[fd];
    bool was_armed = watch->state == ARMED;
    uint32_t before = was_armed ? watch->interest : SLUICE_NONE;
    silence(poller, fd);
    code = arm(poller, fd, interest, always);
    if (code < 0) {
        /* What was just given up can be had again. If not, the next wait tries once more. */
        if (arm(poller, fd, before, false) < 0) {
            watch->state = ARMED;
            state->stale = true;
        }
        return code;
    }
    watch->device = file.st_dev;
    watch->inode = file.st_ino;
    watch->interest = (uint16_t)interest;
    watch->pending = 0;
    return 0;
}

static void remove_fd(sluice_poller *poller, int fd) {
    struct stat file;
    struct watch *watch = state_of(poller)->watches[fd];
    if (poller->backend == &libevent_epoll && watch->state == ARMED)
        compare_file(poller, fd, fstat(fd, &file) < 0 ? NULL : &file);
    silence(poller, fd);
    watch->pending = 0;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Nanoseconds for Sluice become microseconds for libevent, rounded up. */
static struct timeval timeval_of(int64_t timeout_ns) {
    int64_t us = timeout_ns / 1000 + (timeout_ns % 1000 != 0);
    return (struct timeval){.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};
}

static int run(struct libevent_state *state, int64_t timeout_ns) {
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
    bool timed = timeout_ns != SLUICE_FOREVER && timeout_ns != 0;
    errno = 0;
    if (timed) {
        const struct timeval timeout = timeval_of(timeout_ns);
        if (event_add(state->timer, &timeout) < 0)
            return failure();
    } else if (timeout_ns == 0) {
        flags |= EVLOOP_NONBLOCK;
    }
    int code = event_base_loop(state->base, flags) < 0 ? failure() : 0;
    if (timed)
        event_del(state->timer);
    return code;
}

/* If one number is closed, select(2) refuses them all and does not say which one it was. Numbers
 * that were closed without a remove fall silent here, as they do on epoll. False if none was
 * found. */
static bool silence_closed(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    struct stat file;
    bool found = false;
    for (int fd = 0; fd < state->limit; fd++)
        if (state->watches[fd] && state->watches[fd]->state == ARMED && fstat(fd, &file) < 0) {
            silence(poller, fd);
            found = true;
        }
    return found;
}

/* Moves the armed registrations to a new base. The old base ends, and epoll's stale entries with
 * it. That there are such entries is only a suspicion. So if a new base cannot be had, the old one
 * is used meanwhile. A registration that cannot be moved is tried again by the next wait. Numbers
 * that were closed are silenced before the new base can be given one of them. */
static void move_to_new_base(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    struct event_base *base;
    (void)silence_closed(poller);
    if (make_base(poller->backend, &base) < 0)
        return;
    bool moved = assign_timer(state->timer, base) == 0;
    for (int fd = 0; fd < state->limit; fd++) {
        struct watch *watch = state->watches[fd];
        if (!watch || watch->state != ARMED)
            continue;
        event_del(watch->event);
        int told = tell_libevent(poller, base, fd, watch->interest);
        if (told == SLUICE_ENOMEM || told == -ENOSPC)
            moved = false;
        else if (told < 0)
            watch->state = SILENT; /* it names another file by now */
    }
    event_base_free(state->base);
    state->base = base;
    state->stale = !moved;
}

static int wait(sluice_poller *poller, sluice_ready *events, int capacity, int64_t timeout_ns) {
    struct libevent_state *state = state_of(poller);
    if (state->stale)
        move_to_new_base(poller);
    /* In a wait, libevent would spin for an event that is nobody's. The poller sleeps instead. */
    if (state->stale)
        timeout_ns = 0;
    state->at = events;
    state->end = events + capacity;
    if (keep_edges(poller) || state->always_count > 0)
        timeout_ns = 0;
    gather_always(poller);
    int code;
    do
        code = run(state, timeout_ns);
    while (code == SLUICE_EBADF && silence_closed(poller));
    report_queue(poller);
    int count = (int)(state->at - events);
    poller->noisy = state->stale && count == 0;
    return count > 0 ? count : code;
}

static int after_fork(sluice_poller *poller) {
    struct libevent_state *state = state_of(poller);
    struct stat file;
    /* libevent does not get past a number that was closed: if one fails, it leaves the rest. */
    for (int fd = 0; fd < state->limit; fd++)
        if (state->watches[fd] && state->watches[fd]->state == ARMED &&
            (fstat(fd, &file) < 0 ||
             (poller->backend == &libevent_epoll && ask_epoll(fd, &file) == -EPERM)))
            silence(poller, fd);
    int code = reinit(state);
    if (code < 0)
        return code;
    state->process = getpid();
    state->stale = false;
    return 0;
}

/* ---- The backends ---------------------------------------------------------------------------- */

#define BACKEND(method, feature_bits)                                                              \
    {                                                                                              \
        .name = "libevent:" method, .features = SLUICE_FEATURE_ONE_SHOT | (feature_bits),          \
        .state_size = sizeof(struct libevent_state), .init = init, .deinit = deinit, .set = set,   \
        .remove = remove_fd, .wait = wait, .after_fork = after_fork,                               \
    }

static const struct sluice_poller_backend libevent_epoll = BACKEND("epoll", SLUICE_FEATURE_EDGE);
static const struct sluice_poller_backend libevent_poll = BACKEND("poll", 0);
static const struct sluice_poller_backend libevent_select = BACKEND("select", 0);

static void drop_message(int severity, const char *message) {
    (void)severity;
    (void)message;
}

int sluice_libevent_register(void) {
    static atomic_flag has_log = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&has_log))
        event_set_log_callback(drop_message);
    int code = 0;
    for (size_t i = 0; i < BACKENDS && code == 0; i++)
        code = sluice_poller_register(backends[i]);
    return code;
}

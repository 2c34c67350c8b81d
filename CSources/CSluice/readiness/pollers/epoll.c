/* epoll.c - the epoll(7) backend: registering and waiting. The kernel's objects behind it are in
 * epoll_instance.c.
 *
 * How it works: the kernel keeps the registrations and hands back a token with each event. The
 * token is the number and the generation of the registration that it was made for.
 *
 * Two things in epoll need care:
 * - It watches open files, not numbers. When a number is closed without a remove while a duplicate
 *   of it lives on, its entry stays in the kernel and reports for ever. It cannot be deleted, since
 *   there is no number left to name it by. If an event's token is not that of the current
 *   registration, the event comes from such an entry. It is dropped, and the registrations move to
 *   a new epoll instance. If there is none to be had, the old one is used meanwhile. Such an entry
 *   then ends each wait at once, and the poller sleeps a little before it looks again, so that
 *   nothing spins. The move is tried again from time to time.
 * - It refuses files that are always ready (regular files, directories, /dev/null) with EPERM. They
 *   are kept in a list here, and each wait reports them and does not block.
 *
 * Decided against: keeping a silent registration in the kernel. The kernel reports ERROR and HANGUP
 * whether they are asked for or not, and the wait would spin.
 */
#include "base/platform.h"

#include "readiness/pollers/epoll.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/deadline.h"

/* How many events epoll_wait(2) can be asked for. */
#define MOST_AT_ONCE (INT_MAX / (int)sizeof(struct epoll_event))
#define FIRST_ALWAYS_CAPACITY 4

/* How long to wait after a failed move before the next one. */
#define MOVE_EVERY_NS (10 * NS_PER_MILLISECOND)

/* What a file that epoll refuses is always ready for. Such a file has no out-of-band data. */
#define ALWAYS_READY ((uint32_t)(SLUICE_READ | SLUICE_WRITE))

static_assert((int)EPOLLIN == SLUICE_READ && (int)EPOLLPRI == SLUICE_PRIORITY &&
                  (int)EPOLLOUT == SLUICE_WRITE && (int)EPOLLERR == SLUICE_ERROR &&
                  (int)EPOLLHUP == SLUICE_HANGUP && (int)EPOLLRDHUP == SLUICE_READ_CLOSED,
              "sluice_poller_flags and epoll_events rely on it");

static uint32_t epoll_events(uint32_t interest) {
    uint32_t events = interest & SLUICE_DIRECTIONS;
    if (interest & SLUICE_READ)
        events |= EPOLLRDHUP;
    if (interest & SLUICE_EDGE)
        events |= EPOLLET;
    if (interest & SLUICE_ONE_SHOT)
        events |= EPOLLONESHOT;
    return events;
}

/* What the kernel hands back with each event. It is laid out as in an event of ours, so that it is
 * copied there as it is. */
struct token {
    int fd;
    uint32_t generation;
};

/* This bit is set in the generation of a token if its registration has a bit of SLUICE_APART. So
 * its events look stale at first, and a wait needs one comparison to know the ordinary ones. A
 * generation has this bit by itself only after 2^30 registrations of one number. */
#define APART_TOKEN (UINT32_C(1) << 31)

static inline uint32_t generation_told(const struct sluice_registration *registration,
                                       uint32_t interest) {
    return registration->generation ^ (interest & SLUICE_APART ? APART_TOKEN : 0);
}

static_assert(sizeof(struct token) == sizeof(epoll_data_t) &&
                  offsetof(sluice_ready, generation) - offsetof(sluice_ready, fd) ==
                      offsetof(struct token, generation),
              "a token is copied whole");

/* It is read member by member. If it were read as a whole, the compiler would take each member out
 * of a register. */
static inline struct token token_at(const unsigned char *data) {
    struct token token;
    memcpy(&token.fd, data + offsetof(struct token, fd), sizeof token.fd);
    memcpy(&token.generation, data + offsetof(struct token, generation), sizeof token.generation);
    return token;
}

static inline int control_in(const sluice_poller *poller, int epoll_fd, int operation, int fd,
                             uint32_t interest) {
    struct epoll_event event = {.events = epoll_events(interest)};
    const struct token token = {fd, generation_told(&poller->registrations[fd], interest)};
    memcpy(&event.data, &token, sizeof token);
    return epoll_ctl(epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

SLUICE_NOINLINE int sluice_epoll_control(const sluice_poller *poller, int epoll_fd, int operation,
                                         int fd, uint32_t interest) {
    return control_in(poller, epoll_fd, operation, fd, interest);
}

static int control(sluice_poller *poller, int operation, int fd, uint32_t interest) {
    const struct epoll_state *state = epoll_state_of(poller);
    return sluice_epoll_control(poller, state->epoll_fd, operation, fd, interest);
}

static SLUICE_COLD void deinit_epoll(sluice_poller *poller) {
    struct epoll_state *state = epoll_state_of(poller);
    sluice_epoll_close(poller);
    sluice_free(&poller->allocator, state->always);
}

static int always_insert(sluice_poller *poller, int fd) {
    struct epoll_state *state = epoll_state_of(poller);
    if (state->always_count == state->always_capacity) {
        int capacity = state->always_capacity ? state->always_capacity * 2 : FIRST_ALWAYS_CAPACITY;
        int *grown = SLUICE_RESIZE(&poller->allocator, state->always, (size_t)capacity);
        if (!grown)
            return SLUICE_ENOMEM;
        state->always = grown;
        state->always_capacity = capacity;
    }
    int code = state->always_count == 0 ? sluice_epoll_front_ready(poller, true) : 0;
    if (code < 0)
        return code;
    poller->registrations[fd].slot = state->always_count;
    state->always[state->always_count++] = fd;
    return 0;
}

/* Takes `fd` out of the list, if it is there. */
static void always_erase(sluice_poller *poller, int fd) {
    struct epoll_state *state = epoll_state_of(poller);
    int slot = poller->registrations[fd].slot;
    if (slot < 0)
        return;
    int last = state->always[--state->always_count];
    state->always[slot] = last;
    poller->registrations[last].slot = slot;
    poller->registrations[fd].slot = SLOT_NONE;
    if (state->always_count == 0)
        (void)sluice_epoll_front_ready(poller, false);
}

static bool in_kernel(const struct sluice_registration *registration) {
    return registration->slot == SLOT_KERNEL || registration->slot == SLOT_DISARMED;
}

/* `code` is the result of a change to a registration in the kernel. Whether it says that the number
 * was closed and names another file by now: one that is unknown to the kernel, or one that it
 * refuses. */
static bool was_replaced(int code) {
    return code == -ENOENT || code == -EPERM;
}

/* Called if it was. The old file's entry may live on, and what that reports must not pass for
 * events of the new file. */
static SLUICE_COLD void disown(struct sluice_registration *registration) {
    registration->generation++;
    registration->slot = SLOT_NONE;
}

static int silence_epoll(sluice_poller *poller, int fd) {
    struct sluice_registration *registration = &poller->registrations[fd];
    int code =
        in_kernel(registration) ? control(poller, EPOLL_CTL_DEL, fd, 0) : sluice_fd_check(fd);
    if (was_replaced(code))
        disown(registration);
    else if (code < 0)
        return code;
    always_erase(poller, fd);
    registration->slot = SLOT_NONE;
    return 0;
}

static SLUICE_NOINLINE int modify_in_kernel(sluice_poller *poller, int fd, uint32_t interest) {
    int code = control(poller, EPOLL_CTL_MOD, fd, interest);
    if (!was_replaced(code))
        return code;
    disown(&poller->registrations[fd]);
    return control(poller, EPOLL_CTL_ADD, fd, interest);
}

/* Tells the kernel, by add or modify, whichever it accepts. A number that was closed and opened
 * again behind our back is new to the kernel. A number that was duplicated back onto itself is
 * not. */
static inline int tell_kernel(sluice_poller *poller, int fd, uint32_t interest) {
    struct sluice_registration *registration = &poller->registrations[fd];
    if (sluice_likely(!in_kernel(registration))) {
        const struct epoll_state *state = (const struct epoll_state *)sluice_poller_state(poller);
        int code = control_in(poller, state->epoll_fd, EPOLL_CTL_ADD, fd, interest);
        return code == -EEXIST ? control(poller, EPOLL_CTL_MOD, fd, interest) : code;
    }
    return modify_in_kernel(poller, fd, interest);
}

/* For a file that the kernel refuses, since it is always ready. */
static SLUICE_NOINLINE SLUICE_COLD int keep_refused(sluice_poller *poller, int fd,
                                                    uint32_t interest) {
    if (interest & ALWAYS_READY)
        return poller->registrations[fd].slot >= 0 ? 0 : always_insert(poller, fd);
    always_erase(poller, fd);
    return 0;
}

static int set_epoll(sluice_poller *poller, int fd, uint32_t interest) {
    struct sluice_registration *registration = &poller->registrations[fd];
    if (!(interest & SLUICE_WAITED_FOR))
        return silence_epoll(poller, fd);
    int code = tell_kernel(poller, fd, interest);
    if (sluice_unlikely(code < 0))
        return code == -EPERM ? keep_refused(poller, fd, interest) : code;
    if (registration->slot >= 0)
        always_erase(poller, fd);
    registration->slot = SLOT_KERNEL;
    return 0;
}

/* The entry is deleted, and not left to end with its file: a duplicate, or a child after a fork,
 * may keep the file open. The call fails if the number was closed before. */
static void remove_epoll(sluice_poller *poller, int fd) {
    const struct epoll_state *state = epoll_state_of(poller);
    struct sluice_registration *registration = &poller->registrations[fd];
    if (in_kernel(registration))
        (void)epoll_ctl(state->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    else
        always_erase(poller, fd);
    registration->slot = SLOT_NONE;
}

/* With EDGE or ONE_SHOT, a file that is always ready is reported once, until the next set. Such
 * files are taken out after the walk: taking one out moves another, which would then be met twice
 * or not at all. */
static SLUICE_COLD void report_always(sluice_poller *poller, sluice_ready **next,
                                      const sluice_ready *limit) {
    struct epoll_state *state = epoll_state_of(poller);
    const sluice_ready *first = *next;
    for (int left = state->always_count; left > 0 && *next < limit; left--) {
        if (state->always_next >= state->always_count)
            state->always_next = 0;
        int fd = state->always[state->always_next++];
        sluice_poller_report(poller, next, fd, poller->registrations[fd].interest & ALWAYS_READY);
    }
    for (const sluice_ready *event = first; event < *next; event++)
        if (poller->registrations[event->fd].interest & (SLUICE_EDGE | SLUICE_ONE_SHOT))
            always_erase(poller, event->fd);
}

/* An event that tells of more than bytes or room, or whose registration is not an ordinary one. */
static SLUICE_NOINLINE sluice_ready *report_one(sluice_poller *poller, sluice_ready *next,
                                                struct token token, uint32_t flags) {
    struct epoll_state *state = epoll_state_of(poller);
    int fd = token.fd;
    struct sluice_registration *registration = &poller->registrations[fd];
    if (generation_told(registration, registration->interest) != token.generation) {
        state->stale = true;
        return next;
    }
    if (registration->interest & SLUICE_ONE_SHOT)
        registration->slot = SLOT_DISARMED;
    sluice_poller_report(poller, &next, fd, sluice_poller_flags(flags, registration->interest));
    return next;
}

/* The kernel writes its events into the end of the caller's array. From the first on they are
 * turned into ours, which are written from `next` on. No event is overwritten before it is read:
 *
 * Let an event of the kernel have e bytes and one of ours r bytes, with e <= r. Let the array have
 * c places, of which the first k are taken. The kernel is asked for c - k events at most, so its
 * event number n, counted from 0, begins at byte r*c - e*(c - k) + e*n or behind that. Once it is
 * read, at most k + n + 1 of ours are written, which end at byte r*(k + n + 1). Between that and
 * where event n + 1 begins there are at least (r - e)*(c - (k + n + 1)) bytes. That is not
 * negative, since k + n + 1 <= c. */
static_assert(sizeof(struct epoll_event) <= sizeof(sluice_ready) &&
                  alignof(struct epoll_event) <= alignof(sluice_ready),
              "the kernel's events lie aligned in the caller's array, and end where it ends");

/* Waits, and reports from `next` on. *code is what the kernel's call returned. Returns the place
 * behind the last event. */
static sluice_ready *report_kernel(sluice_poller *poller, sluice_ready *next,
                                   const sluice_ready *limit, int64_t timeout_ns, int *code) {
    struct epoll_state *state = epoll_state_of(poller);
    const struct sluice_registration *registrations = poller->registrations;
    int room = limit - next < MOST_AT_ONCE ? (int)(limit - next) : MOST_AT_ONCE;
    unsigned char *at =
        (unsigned char *)(next + (limit - next)) - (size_t)room * sizeof(struct epoll_event);
    int ready = sluice_epoll_wait_ns(state->epoll_fd, (struct epoll_event *)(void *)at, room,
                                     timeout_ns, &state->coarse);
    *code = ready;
    for (; ready > 0; ready--, at += sizeof(struct epoll_event)) {
        const unsigned char *data = at + offsetof(struct epoll_event, data);
        const struct token token = token_at(data);
        uint32_t flags;
        memcpy(&flags, at + offsetof(struct epoll_event, events), sizeof flags);
        const struct sluice_registration *registration = &registrations[token.fd];
        if (sluice_unlikely(registration->generation != token.generation ||
                            (flags & (EPOLLERR | EPOLLHUP)))) {
            next = report_one(poller, next, token, flags);
            continue;
        }
        uint64_t whole;
        memcpy(&whole, data, sizeof whole);
        next->user = registration->user;
        memcpy((unsigned char *)next + offsetof(sluice_ready, fd), &whole, sizeof whole);
        next->flags = flags;
        next++;
    }
    return next;
}

static int wait_epoll(sluice_poller *poller, sluice_ready *events, int capacity,
                      int64_t timeout_ns);

/* Called at the end of a wait that has met a stale entry, with `count` events. */
static SLUICE_NOINLINE SLUICE_COLD int
wait_without_stale(sluice_poller *poller, sluice_ready *events, int capacity, int count) {
    struct epoll_state *state = epoll_state_of(poller);
    bool moved = false;
    int64_t now = sluice_clock_ns();
    if (now >= state->next_move_ns) {
        moved = sluice_epoll_move(poller) == 0;
        state->next_move_ns = moved ? 0 : now + MOVE_EVERY_NS;
    }
    state->stale = false;
    if (count > 0 || poller->woken)
        return count;
    /* There were only stale entries, which may have kept others out. */
    if (moved)
        return wait_epoll(poller, events, capacity, 0);
    poller->noisy = true;
    return 0;
}

static int wait_epoll(sluice_poller *poller, sluice_ready *events, int capacity,
                      int64_t timeout_ns) {
    struct epoll_state *state = epoll_state_of(poller);
    sluice_ready *next = events;
    const sluice_ready *limit = events + capacity;
    bool always = state->always_count > 0;
    if (always) {
        timeout_ns = 0;
        state->always_first = !state->always_first;
        if (state->always_first)
            report_always(poller, &next, limit);
        if (next == limit)
            return capacity;
    }
    int code;
    next = report_kernel(poller, next, limit, timeout_ns, &code);
    if (code < 0)
        return next > events ? (int)(next - events) : code;
    if (always && !state->always_first)
        report_always(poller, &next, limit);
    int count = (int)(next - events);
    return sluice_unlikely(state->stale) ? wait_without_stale(poller, events, capacity, count)
                                         : count;
}

SLUICE_INTERNAL const struct sluice_poller_backend sluice_epoll_backend = {
    .name = "epoll",
    .features = SLUICE_FEATURE_ONE_SHOT | SLUICE_FEATURE_EDGE | SLUICE_FEATURE_CONDITIONS |
                SLUICE_FEATURE_PRIORITY | SLUICE_FEATURE_INTERRUPTIBLE,
    .state_size = sizeof(struct epoll_state),
    .init = sluice_epoll_open,
    .deinit = deinit_epoll,
    .set = set_epoll,
    .remove = remove_epoll,
    .wait = wait_epoll,
    .backend_fd = sluice_epoll_backend_fd,
    .after_fork = sluice_epoll_after_fork,
};

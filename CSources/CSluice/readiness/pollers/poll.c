/* poll.c - the poll(2) backend, and the one to copy for a new backend.
 *
 * How it works: it keeps a dense array of pollfd, which is what the kernel takes, in ascending
 * order of number. A number is found by binary search. A number that comes or goes moves those
 * behind it, 8 bytes each. For a thousand of them that costs less than the system call that checks
 * whether the number is open. It always costs far less than ppoll(2), which looks at each. A silent
 * registration keeps its place, with its number turned negative: poll(2) passes over those.
 *
 * poll(2) says how many descriptors are ready and not which ones. So the array is walked until that
 * many were found: O(n) however few are ready. The walk begins at the first. But if the last walk
 * left something over for lack of room, it begins behind the last number reported, and goes round.
 * So a small capacity starves nobody.
 *
 * Decided against: an array in any order, in which a number keeps its place and is found at once.
 * Events would then come in the order of their registration, or in no order. Also decided against:
 * taking silent registrations out of the array. That saves the kernel a look, but moves the array
 * on every pause and resume.
 */
#include "readiness/poller.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/deadline.h"

#define FIRST_ENTRY_CAPACITY 16

/* Invariants: the first `count` of `capacity` elements are in use, and their numbers ascend. An
 * element belongs to number fd and holds fd or, while silent, silenced(fd). */
struct poll_state {
    struct pollfd *fds;
    size_t count;
    size_t capacity;
    int next; /* the number at which the next walk begins */
};

static struct poll_state *poll_state_of(sluice_poller *poller) {
    return (struct poll_state *)sluice_poller_state(poller);
}

/* Turns a number, also 0, into a negative one, and that one back into the number. */
static int silenced(int fd) {
    return -1 - fd;
}

/* The place of the first element for number `fd` or above. That is the place of `fd` if it has
 * one. */
static size_t place_of(const struct poll_state *state, int fd) {
    size_t first = 0;
    size_t end = state->count;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int number = state->fds[middle].fd;
        if ((number < 0 ? silenced(number) : number) < fd)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static void deinit_poll(sluice_poller *poller) {
    struct poll_state *state = poll_state_of(poller);
    sluice_free(&poller->allocator, state->fds);
}

static int make_room_for_entry(sluice_poller *poller) {
    struct poll_state *state = poll_state_of(poller);
    if (state->count < state->capacity)
        return 0;
    size_t capacity = state->capacity ? state->capacity * 2 : FIRST_ENTRY_CAPACITY;
    struct pollfd *grown = SLUICE_RESIZE(&poller->allocator, state->fds, capacity);
    if (!grown)
        return SLUICE_ENOMEM;
    state->fds = grown;
    state->capacity = capacity;
    return 0;
}

static_assert(POLLIN == SLUICE_READ && POLLPRI == SLUICE_PRIORITY && POLLOUT == SLUICE_WRITE &&
                  POLLERR == SLUICE_ERROR && POLLHUP == SLUICE_HANGUP &&
                  POLLRDHUP == SLUICE_READ_CLOSED,
              "poll_events and sluice_poller_flags rely on it");

static short poll_events(uint32_t interest) {
    uint32_t events = interest & SLUICE_DIRECTIONS;
    if (interest & SLUICE_READ)
        events |= POLLRDHUP;
    return (short)events;
}

static SLUICE_COLD int set_poll(sluice_poller *poller, int fd, uint32_t interest) {
    struct poll_state *state = poll_state_of(poller);
    int code = sluice_fd_check(fd);
    if (code < 0)
        return code;
    size_t at = place_of(state, fd);
    bool is_there =
        at < state->count && (state->fds[at].fd == fd || state->fds[at].fd == silenced(fd));
    if (!is_there) {
        code = make_room_for_entry(poller);
        if (code < 0)
            return code;
        memmove(state->fds + at + 1, state->fds + at, (state->count - at) * sizeof *state->fds);
        state->count++;
    }
    state->fds[at] = (struct pollfd){
        .fd = interest & SLUICE_WAITED_FOR ? fd : silenced(fd),
        .events = poll_events(interest),
    };
    return 0;
}

static SLUICE_COLD void remove_poll(sluice_poller *poller, int fd) {
    struct poll_state *state = poll_state_of(poller);
    size_t at = place_of(state, fd);
    state->count--;
    memmove(state->fds + at, state->fds + at + 1, (state->count - at) * sizeof *state->fds);
}

static int wait_poll(sluice_poller *poller, sluice_ready *events, int capacity,
                     int64_t timeout_ns) {
    struct poll_state *state = poll_state_of(poller);
    struct timespec timeout;
    int ready = ppoll(state->fds, state->count, timespec_of(timeout_ns, &timeout), NULL);
    if (ready < 0)
        return -errno;
    sluice_ready *next = events;
    size_t at = state->next > 0 ? place_of(state, state->next) : 0;
    if (at == state->count)
        at = 0;
    for (; ready > 0 && next < events + capacity; at = at + 1 < state->count ? at + 1 : 0) {
        struct pollfd *entry = &state->fds[at];
        if (!entry->revents)
            continue;
        ready--;
        int fd = entry->fd;
        /* A number that was closed without a remove falls silent, as it does on epoll. */
        if ((entry->revents & POLLNVAL) || (poller->registrations[fd].interest & SLUICE_ONE_SHOT))
            entry->fd = silenced(fd);
        if (!(entry->revents & POLLNVAL))
            sluice_poller_report(
                poller, &next, fd,
                sluice_poller_flags((uint16_t)entry->revents, (uint16_t)entry->events));
    }
    /* Some are left over only if the room was used up, and then there was at least one event. */
    state->next = ready > 0 ? next[-1].fd + 1 : 0;
    return (int)(next - events);
}

SLUICE_INTERNAL const struct sluice_poller_backend sluice_poll_backend = {
    .name = "poll",
    .features = SLUICE_FEATURE_ONE_SHOT | SLUICE_FEATURE_CONDITIONS | SLUICE_FEATURE_PRIORITY |
                SLUICE_FEATURE_INTERRUPTIBLE,
    .state_size = sizeof(struct poll_state),
    .deinit = deinit_poll,
    .set = set_poll,
    .remove = remove_poll,
    .wait = wait_poll,
};

/* select.c - the select(2) backend.
 *
 * How it works: three bit sets hold what is wanted, one bit for each number. Each wait copies them,
 * since the kernel overwrites what it is given with what is ready, and then walks the copies. Both
 * grow with the highest number, so there is no limit at FD_SETSIZE.
 *
 * A silent registration has no bit. In every wait the kernel and the walk look at one bit for each
 * number up to the highest, registered or not. That is what is wrong with select, and not a limit
 * on numbers. It also cannot tell an error or a hang-up from data. It says only that a read would
 * return at once, and that is so for all three.
 *
 * The walk begins at the lowest number. But if the last walk left something over for lack of room,
 * it begins behind the last number reported, and goes round. So a small capacity starves nobody.
 */
#include "readiness/poller.h"

#include <string.h>

#include "readiness/fdset.h"

enum { READING, WRITING, EXCEPTING, SET_COUNT };

/* Invariants: each of the sets has `words` words; all of them lie one after the other in one block,
 * which begins with wanted[0]; no bit of `wanted` is set at fd_count or above. */
struct select_state {
    fdset_word *wanted[SET_COUNT];
    fdset_word *ready[SET_COUNT];
    size_t words;
    int fd_count; /* one more than the highest number wanted */
    int next;     /* the number at which the next walk begins */
};

static struct select_state *select_state_of(sluice_poller *poller) {
    return (struct select_state *)sluice_poller_state(poller);
}

static SLUICE_COLD void deinit_select(sluice_poller *poller) {
    struct select_state *state = select_state_of(poller);
    sluice_free(&poller->allocator, state->wanted[0]);
}

static int make_room_in_sets(sluice_poller *poller, int fd) {
    struct select_state *state = select_state_of(poller);
    size_t words = state->words ? state->words : 1;
    while (words < fdset_words(fd + 1))
        words *= 2;
    if (words == state->words)
        return 0;
    size_t block_words = (size_t)2 * SET_COUNT * words;
    fdset_word *block = SLUICE_NEW(&poller->allocator, block_words, fdset_word);
    if (!block)
        return SLUICE_ENOMEM;
    memset(block, 0, block_words * sizeof *block);
    for (size_t i = 0; i < SET_COUNT && state->words; i++)
        memcpy(block + i * words, state->wanted[i], state->words * sizeof *block);
    sluice_free(&poller->allocator, state->wanted[0]);
    for (size_t i = 0; i < SET_COUNT; i++) {
        state->wanted[i] = block + i * words;
        state->ready[i] = block + (SET_COUNT + i) * words;
    }
    state->words = words;
    return 0;
}

static bool is_wanted(const struct select_state *state, int fd) {
    for (int i = 0; i < SET_COUNT; i++)
        if (fdset_contains(state->wanted[i], fd))
            return true;
    return false;
}

static SLUICE_COLD void silence_select(sluice_poller *poller, int fd) {
    struct select_state *state = select_state_of(poller);
    for (int i = 0; i < SET_COUNT; i++)
        fdset_erase(state->wanted[i], fd);
    while (state->fd_count > 0 && !is_wanted(state, state->fd_count - 1))
        state->fd_count--;
}

static SLUICE_COLD int set_select(sluice_poller *poller, int fd, uint32_t interest) {
    struct select_state *state = select_state_of(poller);
    int code = sluice_fd_check(fd);
    if (code < 0)
        return code;
    code = make_room_in_sets(poller, fd);
    if (code < 0)
        return code;
    silence_select(poller, fd);
    if (interest & SLUICE_READ)
        fdset_insert(state->wanted[READING], fd);
    if (interest & SLUICE_WRITE)
        fdset_insert(state->wanted[WRITING], fd);
    if (interest & SLUICE_PRIORITY)
        fdset_insert(state->wanted[EXCEPTING], fd);
    if ((interest & SLUICE_DIRECTIONS) && fd >= state->fd_count)
        state->fd_count = fd + 1;
    return 0;
}

/* If one number is closed, select(2) refuses them all and does not say which one it was. Numbers
 * that were closed without a remove fall silent here, as they do on epoll. False if none was
 * found. */
static SLUICE_COLD bool silence_closed(sluice_poller *poller) {
    const struct select_state *state = select_state_of(poller);
    bool found = false;
    for (int fd = state->fd_count - 1; fd >= 0; fd--)
        if (is_wanted(state, fd) && sluice_fd_check(fd) < 0) {
            silence_select(poller, fd);
            found = true;
        }
    return found;
}

static int select_once(struct select_state *state, int64_t timeout_ns) {
    size_t size = fdset_words(state->fd_count) * sizeof(fdset_word);
    for (int i = 0; i < SET_COUNT; i++)
        memcpy(state->ready[i], state->wanted[i], size);
    return fdset_select(state->fd_count, state->ready[READING], state->ready[WRITING],
                        state->ready[EXCEPTING], timeout_ns);
}

/* select(2) looks at no number above the end of the process's table of descriptors, and leaves the
 * bits there as they were. A number that was open once lies within the table. But in the child of a
 * fork a number that was closed may lie beyond it, since the child's table is only as large as its
 * open numbers need. Then more bits are set than the `ready` that the kernel counts, and those of
 * the highest number are among them. */
static bool has_bits_left(const struct select_state *state, int ready) {
    int highest = state->fd_count - 1;
    for (int i = 0; i < SET_COUNT; i++)
        if (fdset_contains(state->wanted[i], highest) && !fdset_contains(state->ready[i], highest))
            return false;
    int standing = 0;
    for (int i = 0; i < SET_COUNT; i++)
        for (size_t word = 0; word < fdset_words(state->fd_count); word++)
            standing += __builtin_popcountl(state->ready[i][word]);
    return standing > ready;
}

static uint32_t flags_of_select(const struct select_state *state, int fd) {
    uint32_t flags = 0;
    if (fdset_contains(state->ready[READING], fd))
        flags |= SLUICE_READ;
    if (fdset_contains(state->ready[WRITING], fd))
        flags |= SLUICE_WRITE;
    if (fdset_contains(state->ready[EXCEPTING], fd))
        flags |= SLUICE_PRIORITY;
    return flags;
}

/* The lowest ready number of [first, end), or `end`. */
static inline int next_ready(const struct select_state *state, int first, int end) {
    for (int fd = first; fd < end; fd += FDSET_WORD_BITS - fd % FDSET_WORD_BITS) {
        size_t word = (size_t)(fd / FDSET_WORD_BITS);
        fdset_word any = state->ready[READING][word] | state->ready[WRITING][word] |
                         state->ready[EXCEPTING][word];
        any >>= fd % FDSET_WORD_BITS;
        if (any) {
            fd += __builtin_ctzl(any);
            return fd < end ? fd : end;
        }
    }
    return end;
}

/* Reports the ready numbers of [first, end) in order, as long as there is room up to `limit`.
 * Returns the first number that is left over, or `end`. */
static int report_range(sluice_poller *poller, sluice_ready **next, const sluice_ready *limit,
                        int first, int end) {
    struct select_state *state = select_state_of(poller);
    int fd = next_ready(state, first, end);
    for (; fd < end && *next < limit; fd = next_ready(state, fd + 1, end)) {
        if (poller->registrations[fd].interest & SLUICE_ONE_SHOT)
            silence_select(poller, fd);
        sluice_poller_report(poller, next, fd, flags_of_select(state, fd));
    }
    return fd;
}

static int wait_select(sluice_poller *poller, sluice_ready *events, int capacity,
                       int64_t timeout_ns) {
    struct select_state *state = select_state_of(poller);
    int ready;
    do
        ready = select_once(state, timeout_ns);
    while ((ready == SLUICE_EBADF || (ready > 0 && has_bits_left(state, ready))) &&
           silence_closed(poller));
    if (ready <= 0)
        return ready;
    /* Silencing one-shot numbers below may lower fd_count, but the sets were filled up to this
     * one. */
    int fd_count = state->fd_count;
    int first = state->next < fd_count ? state->next : 0;
    sluice_ready *next = events;
    bool left_over = report_range(poller, &next, events + capacity, first, fd_count) < fd_count;
    left_over |= report_range(poller, &next, events + capacity, 0, first) < first;
    state->next = left_over ? next[-1].fd + 1 : 0;
    return (int)(next - events);
}

SLUICE_INTERNAL const struct sluice_poller_backend sluice_select_backend = {
    .name = "select",
    .features = SLUICE_FEATURE_ONE_SHOT | SLUICE_FEATURE_PRIORITY | SLUICE_FEATURE_INTERRUPTIBLE,
    .state_size = sizeof(struct select_state),
    .deinit = deinit_select,
    .set = set_select,
    .remove = silence_select,
    .wait = wait_select,
};

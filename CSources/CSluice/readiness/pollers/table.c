/* table.c - all backends, best first: those of the core, one line each, and behind them those that
 * were registered.
 *
 * The registered ones stand in an array that only grows. Each place is written once, so the array
 * is read without a lock. Decided against: a list through the backends, which then could not be
 * constant.
 */
#include "readiness/poller.h"

#include <string.h>

#define MOST_REGISTERED 8

static const struct sluice_poller_backend *const built_in[] = {
    &sluice_epoll_backend,
    &sluice_poll_backend,
    &sluice_select_backend,
};

#define BUILT_IN (sizeof built_in / sizeof built_in[0])

/* Invariant: behind the first NULL all are NULL. */
static struct {
    const struct sluice_poller_backend *value; /* atomic */
} registered[MOST_REGISTERED];

const struct sluice_poller_backend *sluice_poller_backend_at(size_t index) {
    if (index < BUILT_IN)
        return built_in[index];
    index -= BUILT_IN;
    return index < MOST_REGISTERED ? sluice_atomic_load(&registered[index]) : NULL;
}

int sluice_poller_register(const struct sluice_poller_backend *backend) {
    for (size_t i = 0; i < BUILT_IN + MOST_REGISTERED; i++) {
        const struct sluice_poller_backend *there = sluice_poller_backend_at(i);
        if (!there && sluice_atomic_replace(&registered[i - BUILT_IN], &there, backend))
            return 0;
        if (there == backend)
            return 0;
        if (strcmp(there->name, backend->name) == 0)
            return SLUICE_EEXIST;
    }
    return SLUICE_EFULL;
}

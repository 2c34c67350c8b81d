/* deadline.h - timeouts in nanoseconds, turned into what the kernel takes. Every conversion rounds
 * up and saturates: a wait may be split, and never ends early. */
#ifndef SLUICE_DEADLINE_H
#define SLUICE_DEADLINE_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

#include "base/platform.h"
#include "sluice.h"

#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_MILLISECOND INT64_C(1000000)

/* The moment `timeout_ns` from now. The clock is read only if the moment matters. A wait that does
 * not block, or that blocks for ever, does not need it. */
static inline int64_t deadline_after(int64_t timeout_ns) {
    if (timeout_ns == 0 || timeout_ns == SLUICE_FOREVER)
        return timeout_ns;
    int64_t now = sluice_clock_ns();
    return timeout_ns > SLUICE_FOREVER - now ? SLUICE_FOREVER : now + timeout_ns;
}

/* What is left of a timeout that ends at `deadline`. */
static inline int64_t deadline_remaining(int64_t deadline) {
    if (deadline == 0 || deadline == SLUICE_FOREVER)
        return deadline;
    int64_t now = sluice_clock_ns();
    return deadline > now ? deadline - now : 0;
}

/* For pselect, ppoll and epoll_pwait2, where NULL means for ever. */
static inline const struct timespec *timespec_of(int64_t timeout_ns, struct timespec *storage) {
    if (timeout_ns == SLUICE_FOREVER)
        return NULL;
    storage->tv_sec = (time_t)(timeout_ns / NS_PER_SECOND);
    storage->tv_nsec = (long)(timeout_ns % NS_PER_SECOND);
    return storage;
}

/* For epoll_wait, where -1 means for ever. */
static inline int milliseconds_of(int64_t timeout_ns) {
    if (timeout_ns == SLUICE_FOREVER)
        return -1;
    int64_t ms = timeout_ns / NS_PER_MILLISECOND + (timeout_ns % NS_PER_MILLISECOND != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

#endif

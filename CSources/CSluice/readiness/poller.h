/* poller.h - what a poller is, and the contract of a backend.
 *
 * poller.c owns the registrations, an array indexed by descriptor number, and checks every
 * argument. A backend tells the kernel about them and asks it what is ready. To add a backend, copy
 * pollers/poll.c, change the calls, add a line to pollers/table.c, and run the tests. They run the
 * readiness contract (docs/readiness.md) over every line of that table. A backend that needs more
 * than libc stands in a folder of its own and registers itself: see CSluiceLibevent.
 *
 * What a backend may take for granted:
 * - set, remove: `fd` lies within poller->registrations, and the registration holds the interest
 *   that was asked for. Nothing is asked for that the backend's features do not have;
 * - wait: `capacity` is at least 1 and `timeout_ns` is 0 or more, SLUICE_FOREVER included;
 * - one thread at a time.
 * What it must promise is said at each function below.
 */
#ifndef SLUICE_POLLER_H
#define SLUICE_POLLER_H

#include "base/platform.h"

#include <stdalign.h>
#include <stddef.h>

#include "base/allocator.h"
#include "base/atomics.h"
#include "sluice.h"

/* What can be waited for, without the two bits that say how: first what concerns a direction, then
 * everything. A registration with none of these is silent. */
#define SLUICE_DIRECTIONS ((uint32_t)(SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY))
#define SLUICE_WAITED_FOR (SLUICE_DIRECTIONS | (uint32_t)SLUICE_HANGUP)

/* SLUICE_WAKE is in a registration's interest beside the bits that can be asked for. It says that
 * the registration is the poller's own, for wakes. If the interest has a bit of SLUICE_APART, more
 * is done about its events than reporting them. */
#define SLUICE_WAKE ((uint32_t)0x8000)
#define SLUICE_APART (SLUICE_ONE_SHOT | SLUICE_WAKE)

/* Invariants: a number that is not registered has interest 0 and a slot of SLUICE_SLOT_NONE;
 * `generation` grows when a registration begins and when it ends, so that an event of an old
 * registration never passes for one of another. */
struct sluice_registration {
    uint64_t user;
    uint32_t generation;
    uint16_t interest;
    bool registered;
    int slot; /* the backend's own: where it keeps this number */
};

#define SLUICE_SLOT_NONE (-1)

struct sluice_poller_backend {
    const char *name;
    uint32_t features; /* of enum sluice_feature */
    size_t state_size; /* bytes of poller->state, zeroed before init */

    /* Acquires what the backend needs. After a failure deinit is not called. NULL if it needs
     * nothing before a first registration. */
    int (*init)(sluice_poller *poller);
    void (*deinit)(sluice_poller *poller);

    /* Makes the kernel look at `fd` for `interest`, armed, whatever it looked for before. If
     * `interest` has nothing of SLUICE_WAITED_FOR, nothing is reported for `fd`, not even a
     * hang-up. On every backend, -EBADF if `fd` is not open. On failure nothing has changed. */
    int (*set)(sluice_poller *poller, int fd, uint32_t interest);

    /* Forgets `fd`, which may be closed. Cannot fail. */
    void (*remove)(sluice_poller *poller, int fd);

    /* Waits once, by one system call and no allocation, and passes each ready descriptor to
     * sluice_poller_report, at most `capacity` of them. If it has to choose, it starts behind those
     * that it reported last. Returns how many events were written; 0 when the time is up, and
     * whenever there is nothing to report after all; or -errno with nothing consumed, also for
     * -EINTR. After its event a one-shot registration is silent until the next set. If the wait was
     * ended by something that is nobody's, and the next wait will be too, it returns 0 and sets
     * poller->noisy. */
    int (*wait)(sluice_poller *poller, sluice_ready *events, int capacity, int64_t timeout_ns);

    /* Returns a descriptor that is readable while something is ready, the same one each time; or an
     * error. NULL if the backend has none. */
    int (*backend_fd)(sluice_poller *poller);

    /* For the child of a fork. Stops sharing with the parent what the kernel keeps for the backend,
     * and leaves the parent's as it is. After a failure only deinit and another try may be called.
     * NULL if the kernel keeps nothing for the backend. */
    int (*after_fork)(sluice_poller *poller);
};

struct sluice_poller {
    const struct sluice_poller_backend *backend;
    struct sluice_allocator allocator;
    struct sluice_registration *registrations;
    int limit;          /* how many registrations there are: one more than the highest number ever
                         * added */
    int capacity;       /* for how many there is room */
    int wake_fd;        /* -1 in a child whose sluice_poller_after_fork has failed */
    bool interruptible; /* a signal ends a wait */
    bool noisy;         /* something that is nobody's has ended a wait; see `pause_between_waits` */
    bool woken;         /* the wait under way has seen wake_fd ready */
    sluice_atomic_bool wake_posted; /* wake_fd has been written to and no wait has seen it yet */
    alignas(max_align_t) unsigned char state[];
};

/* sluice_poller_create, with memory from elsewhere. */
SLUICE_INTERNAL int sluice_poller_create_with(sluice_poller **poller, const char *backend,
                                              const struct sluice_allocator *allocator);

/* For a descriptor that was just made for the poller itself: returns the same file under a number
 * that the caller has not registered, or an error. A number that was closed without being removed
 * is still registered, and the kernel gives it out again like any other. */
SLUICE_INTERNAL int sluice_poller_own(const sluice_poller *poller, int fd);

/* The backend at `index`, best first, NULL past the last. The backends of the core come first, and
 * behind them those that were registered. */
SLUICE_INTERNAL const struct sluice_poller_backend *sluice_poller_backend_at(size_t index);

/* Adds a backend from outside the core to those that can be chosen by name, for good. The struct
 * must stay where it is. A second call with the same backend does no harm. Any thread. This is the
 * only internal that libsluice.so exports: a backend in a library of its own registers by it.
 * Errors: SLUICE_EEXIST (another of that name), SLUICE_EFULL. */
#ifdef __cplusplus
extern "C" {
#endif
SLUICE_API int sluice_poller_register(const struct sluice_poller_backend *backend);
#ifdef __cplusplus
}
#endif

#ifndef SLUICE_ONE_FILE /* there their definitions come first */
SLUICE_INTERNAL extern const struct sluice_poller_backend sluice_epoll_backend;
SLUICE_INTERNAL extern const struct sluice_poller_backend sluice_poll_backend;
SLUICE_INTERNAL extern const struct sluice_poller_backend sluice_select_backend;
#endif

/* sluice_poller_is_current for an event that this poller reported: a removal changes the
 * generation. */
static inline bool sluice_poller_stands(const sluice_poller *poller, const sluice_ready *event) {
    return poller->registrations[event->fd].generation == event->generation;
}

static inline void *sluice_poller_state(sluice_poller *poller) {
    return poller->state;
}

/* What to report if poll(2) or epoll(7) has told these flags. They are the same as ours. READ and
 * WRITE follow the sets that select(2) uses, so that all backends agree: an error or a hang-up
 * makes a read return at once, and an error makes a write return at once. */
static inline uint32_t sluice_poller_flags(uint32_t told, uint32_t interest) {
    uint32_t flags = told;
    if (told & (SLUICE_ERROR | SLUICE_HANGUP))
        flags |= interest & SLUICE_READ;
    if (told & SLUICE_ERROR)
        flags |= interest & SLUICE_WRITE;
    return flags;
}

/* Writes one event to *next and moves *next behind it. A wake is noted and takes no room. */
static inline void sluice_poller_report(sluice_poller *poller, sluice_ready **next, int fd,
                                        uint32_t flags) {
    if (fd == poller->wake_fd) {
        poller->woken = true;
        return;
    }
    const struct sluice_registration *registration = &poller->registrations[fd];
    *(*next)++ = (sluice_ready){.user = registration->user,
                                .fd = fd,
                                .generation = registration->generation,
                                .flags = flags};
}

#endif

/* poller.h - what a poller is, and the contract of a backend.
 *
 * poller.c owns the registrations, an array indexed by descriptor number, and checks every
 * argument. A backend tells the kernel of them and asks it what is ready. To add one: copy
 * pollers/poll.c, change the calls, add a line to pollers/table.c, and run the tests, which
 * run the readiness contract (docs/readiness.md) over every line of that table. One that needs more
 * than libc stands in a folder of its own and registers itself: see CSluiceLibevent.
 *
 * What a backend may take for granted:
 * - set, remove: `fd` lies within poller->registrations, and the registration holds the interest
 *   that was asked for, and of it only what the backend's features have;
 * - wait: `capacity` is at least 1 and `timeout_ns` is 0 or more, SLUICE_FOREVER included;
 * - one thread at a time.
 * What it must keep is said with each function below.
 */
#ifndef SLUICE_POLLER_H
#define SLUICE_POLLER_H

#include "base/platform.h"

#include <stdalign.h>
#include <stddef.h>

#include "base/allocator.h"
#include "base/atomics.h"
#include "sluice.h"

/* What can be waited for, without the two bits that say how: what concerns a direction, and all. A
 * registration with none of these is silent. */
#define SLUICE_DIRECTIONS ((uint32_t)(SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY))
#define SLUICE_WAITED_FOR (SLUICE_DIRECTIONS | (uint32_t)SLUICE_HANGUP)

/* In a registration's interest beside those that can be asked for: it is the poller's own, for
 * wakes. One with a bit of SLUICE_APART has more done about its events than to be reported. */
#define SLUICE_WAKE ((uint32_t)0x8000)
#define SLUICE_APART (SLUICE_ONE_SHOT | SLUICE_WAKE)

/* Invariants: a number that is not registered has interest 0 and a slot of SLUICE_SLOT_NONE;
 * `generation` grows when a registration begins and when it ends, so that what was said of one that
 * is gone never passes for another. */
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

    /* Acquires what the backend needs. After a failure deinit is not called. NULL where it needs
     * nothing before a first registration. */
    int (*init)(sluice_poller *poller);
    void (*deinit)(sluice_poller *poller);

    /* Makes the kernel look at `fd` for `interest`, whatever it looked for before, armed. With
     * nothing of SLUICE_WAITED_FOR in `interest` nothing is reported for `fd`, not even a hang-up.
     * -EBADF where `fd` is not open, on every backend. On failure nothing has changed. */
    int (*set)(sluice_poller *poller, int fd, uint32_t interest);

    /* Forgets `fd`, which may be closed. Cannot fail. */
    void (*remove)(sluice_poller *poller, int fd);

    /* Waits once, by one system call and no allocation, and passes each ready descriptor to
     * sluice_poller_report, at most `capacity` of them, starting behind those it reported last
     * where it has to choose. Returns how many events were written; 0 when the time is up, and
     * whenever there is nothing to report after all; or -errno with nothing consumed, -EINTR
     * included. After an event of a one-shot registration it is silent until the next set. Where
     * something that is nobody's has ended it, and will end the next one as well, it returns 0 and
     * sets poller->noisy. */
    int (*wait)(sluice_poller *poller, sluice_ready *events, int capacity, int64_t timeout_ns);

    /* A descriptor that is readable while something is ready, the same each time; or an error. NULL
     * where the backend has none. */
    int (*backend_fd)(sluice_poller *poller);

    /* In the child of a fork: stops sharing with the parent what the kernel keeps for the backend,
     * and leaves the parent's as it is. After a failure, deinit and another try are what may be
     * called. NULL where it keeps nothing. */
    int (*after_fork)(sluice_poller *poller);
};

struct sluice_poller {
    const struct sluice_poller_backend *backend;
    struct sluice_allocator allocator;
    struct sluice_registration *registrations;
    int limit;    /* how many registrations there are: the highest number ever added, and one */
    int capacity; /* how many there is room for */
    int wake_fd;  /* -1 in a child whose sluice_poller_after_fork has failed */
    bool interruptible; /* a signal ends a wait */
    bool noisy;         /* a wait was ended by what is nobody's; see `pause_between_waits` */
    bool woken;         /* the wait under way has seen wake_fd ready */
    sluice_atomic_bool wake_posted; /* wake_fd has been written to and no wait has seen it yet */
    alignas(max_align_t) unsigned char state[];
};

/* sluice_poller_create, with memory from elsewhere. */
SLUICE_INTERNAL int sluice_poller_create_with(sluice_poller **poller, const char *backend,
                                              const struct sluice_allocator *allocator);

/* Of a descriptor that was just made for the poller itself: the same file under a number that the
 * caller has not registered, or an error. A number that was closed unremoved is still registered,
 * and the kernel gives it away like any other. */
SLUICE_INTERNAL int sluice_poller_own(const sluice_poller *poller, int fd);

/* The backend at `index`, best first, NULL past the last: those of the core, and behind them those
 * that were registered. */
SLUICE_INTERNAL const struct sluice_poller_backend *sluice_poller_backend_at(size_t index);

/* Adds a backend from outside the core to those that can be chosen by name, for good; it must stay
 * where it is. Done before, it is well too. Any thread. The one internal that libsluice.so exports:
 * what is in a library of its own registers by it.
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

/* sluice_poller_is_current, of an event that this poller reported: a removal changes the
 * generation. */
static inline bool sluice_poller_stands(const sluice_poller *poller, const sluice_ready *event) {
    return poller->registrations[event->fd].generation == event->generation;
}

static inline void *sluice_poller_state(sluice_poller *poller) {
    return poller->state;
}

/* What to report of what poll(2) or epoll(7) tells. Its flags are ours. READ and WRITE by the sets
 * that select(2) uses, so that the two agree: an error or a hang-up makes a read return at once, an
 * error a write. */
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

/* poller.c - the public poller: checks, registrations and the clock, over any backend.
 *
 * Registrations stand in an array indexed by descriptor number, as in the kernel. Finding one is an
 * addition. The kernel hands out the lowest free number, so the array is no larger than the most
 * descriptors that the program has had at once. Decided against: a hash table (slower and no
 * smaller) and asking the kernel whether a number is registered (select and poll have nothing to
 * ask).
 */
#include "base/platform.h"

#include "readiness/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"

/* How late an event may be seen while a backend is noisy. */
#define LONGEST_PAUSE_NS (10 * NS_PER_MILLISECOND)

#define INTEREST_BITS (SLUICE_WAITED_FOR | (uint32_t)(SLUICE_EDGE | SLUICE_ONE_SHOT))

/* A name is the name of one backend, or the part before a colon that several share. Then the best
 * of those is taken. */
static const struct sluice_poller_backend *find_backend(const char *name) {
    if (!name)
        name = getenv("SLUICE_BACKEND");
    if (!name || !*name)
        return sluice_poller_backend_at(0);
    size_t length = strlen(name);
    const struct sluice_poller_backend *backend;
    for (size_t i = 0; (backend = sluice_poller_backend_at(i)) != NULL; i++)
        if (strncmp(backend->name, name, length) == 0 &&
            (backend->name[length] == '\0' || backend->name[length] == ':'))
            break;
    return backend;
}

/* Makes room for the number `fd`. A number that is not open is refused before anything grows, so
 * that a wild one cannot ask for gigabytes. */
static SLUICE_NOINLINE SLUICE_COLD int make_room_for_fd(sluice_poller *poller, int fd) {
    int code = sluice_fd_check(fd);
    if (code < 0)
        return code;
    if (fd >= poller->capacity) {
        size_t capacity = sluice_room_for((size_t)fd + 1, sizeof *poller->registrations);
        struct sluice_registration *grown =
            SLUICE_RESIZE(&poller->allocator, poller->registrations, capacity);
        if (!grown)
            return SLUICE_ENOMEM;
        poller->registrations = grown;
        poller->capacity = (int)capacity;
    }
    while (poller->limit <= fd)
        poller->registrations[poller->limit++] =
            (struct sluice_registration){.slot = SLUICE_SLOT_NONE};
    return 0;
}

/* The caller's registration of `fd`, or NULL. The poller's own is not the caller's. */
static struct sluice_registration *find_registration(const sluice_poller *poller, int fd) {
    if (fd < 0 || fd >= poller->limit || fd == poller->wake_fd)
        return NULL;
    struct sluice_registration *registration = &poller->registrations[fd];
    return registration->registered ? registration : NULL;
}

static int check_interest(const sluice_poller *poller, uint32_t interest) {
    if (interest & ~INTEREST_BITS)
        return SLUICE_EINTEREST;
    uint32_t features = poller->backend->features;
    if ((interest & SLUICE_EDGE) && !(features & SLUICE_FEATURE_EDGE))
        return SLUICE_ENOTSUP;
    if ((interest & SLUICE_PRIORITY) && !(features & SLUICE_FEATURE_PRIORITY))
        return SLUICE_ENOTSUP;
    if ((interest & SLUICE_HANGUP) && !(features & SLUICE_FEATURE_CONDITIONS))
        return SLUICE_ENOTSUP;
    return 0;
}

static int add(sluice_poller *poller, int fd, uint32_t interest, uint64_t user) {
    if (fd < 0)
        return SLUICE_EBADF;
    int code = fd < poller->limit ? 0 : make_room_for_fd(poller, fd);
    if (code < 0)
        return code;
    struct sluice_registration *registration = &poller->registrations[fd];
    if (registration->registered)
        return SLUICE_EEXIST;
    /* The generation is part of what the backend tells the kernel. One that a failure leaves
     * unused does no harm. */
    registration->generation++;
    registration->interest = (uint16_t)interest;
    code = poller->backend->set(poller, fd, interest);
    if (code < 0) {
        registration->interest = SLUICE_NONE;
        return code;
    }
    registration->user = user;
    registration->registered = true;
    return 0;
}

SLUICE_COLD int sluice_poller_own(const sluice_poller *poller, int fd) {
    while (find_registration(poller, fd)) {
        int other = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
        int code = other < 0 ? -errno : other;
        close(fd);
        if (code < 0)
            return code;
        fd = other;
    }
    return fd;
}

/* With an edge the descriptor falls silent without being read. With a level it has to be read (see
 * absorb_wake). */
static SLUICE_COLD int watch_wake(sluice_poller *poller) {
    uint32_t interest = SLUICE_READ | SLUICE_WAKE;
    if (poller->backend->features & SLUICE_FEATURE_EDGE)
        interest |= SLUICE_EDGE;
    int fd = sluice_wake_open();
    fd = fd < 0 ? fd : sluice_poller_own(poller, fd);
    if (fd < 0)
        return fd;
    int code = add(poller, fd, interest, 0);
    if (code < 0) {
        close(fd);
        return code;
    }
    poller->wake_fd = fd;
    return 0;
}

int sluice_poller_create(sluice_poller **result, const char *backend_name) {
    return sluice_poller_create_with(result, backend_name, &sluice_libc_allocator);
}

SLUICE_COLD int sluice_poller_create_with(sluice_poller **result, const char *backend_name,
                                          const struct sluice_allocator *allocator) {
    if (!result)
        return SLUICE_ENULL;
    *result = NULL;
    const struct sluice_poller_backend *backend = find_backend(backend_name);
    if (!backend)
        return SLUICE_EBACKEND;
    size_t size = sizeof(sluice_poller) + backend->state_size;
    sluice_poller *poller = (sluice_poller *)sluice_resize(allocator, NULL, 1, size);
    if (!poller)
        return SLUICE_ENOMEM;
    memset(poller, 0, size);
    poller->backend = backend;
    poller->allocator = *allocator;
    poller->wake_fd = -1;
    int code = backend->init ? backend->init(poller) : 0;
    if (code < 0) {
        sluice_free(allocator, poller);
        return code;
    }
    code = watch_wake(poller);
    if (code < 0) {
        sluice_poller_destroy(poller);
        return code;
    }
    *result = poller;
    return 0;
}

SLUICE_COLD void sluice_poller_destroy(sluice_poller *poller) {
    if (!poller)
        return;
    poller->backend->deinit(poller);
    if (poller->wake_fd >= 0)
        close(poller->wake_fd);
    struct sluice_allocator allocator = poller->allocator;
    sluice_free(&allocator, poller->registrations);
    sluice_free(&allocator, poller);
}

int sluice_poller_add(sluice_poller *poller, int fd, uint32_t interest, uint64_t user) {
    if (!poller)
        return SLUICE_ENULL;
    int code = check_interest(poller, interest);
    return code < 0 ? code : add(poller, fd, interest, user);
}

int sluice_poller_modify(sluice_poller *poller, int fd, uint32_t interest, uint64_t user) {
    if (!poller)
        return SLUICE_ENULL;
    int code = check_interest(poller, interest);
    if (code < 0)
        return code;
    struct sluice_registration *registration = find_registration(poller, fd);
    if (!registration)
        return SLUICE_ENOENT;
    uint16_t before = registration->interest;
    registration->interest = (uint16_t)interest;
    code = poller->backend->set(poller, fd, interest);
    if (code < 0) {
        registration->interest = before;
        return code;
    }
    registration->user = user;
    return 0;
}

int sluice_poller_remove(sluice_poller *poller, int fd) {
    if (!poller)
        return SLUICE_ENULL;
    struct sluice_registration *registration = find_registration(poller, fd);
    if (!registration)
        return SLUICE_ENOENT;
    poller->backend->remove(poller, fd);
    registration->generation++;
    registration->registered = false;
    registration->interest = SLUICE_NONE;
    return 0;
}

/* Takes the wake that the wait has seen, and says whether there was one. wake_fd may also show a
 * wake that an earlier wait has taken: its waker may have written only afterwards, or the backend
 * may have begun to watch the descriptor anew. It is an exchange and not a store, so that what
 * every waker wrote before its call is visible here. It comes after the drain, so that no later
 * signal is drained unseen. */
static bool absorb_wake(sluice_poller *poller) {
    poller->woken = false;
    if (!(poller->backend->features & SLUICE_FEATURE_EDGE))
        sluice_wake_drain(poller->wake_fd);
    return sluice_atomic_exchange(&poller->wake_posted, false);
}

/* Called if the next wait would end at once and for nothing. Sleeps for at most `timeout_ns`, but
 * no longer than an event may be seen late. Returns 1 on a wake, 0, or -errno.
 *
 * poll(2) asks whether wake_fd can be read, and with edges nobody has read it. So it is drained
 * first. That may drain the word of a wake, but the wake is seen all the same: wake_posted is set
 * before the word is written. */
static int pause_between_waits(sluice_poller *poller, int64_t timeout_ns) {
    sluice_wake_drain(poller->wake_fd);
    if (sluice_atomic_exchange(&poller->wake_posted, false))
        return 1;
    struct pollfd entry = {.fd = poller->wake_fd, .events = POLLIN};
    struct timespec storage;
    int64_t pause_ns = timeout_ns < LONGEST_PAUSE_NS ? timeout_ns : LONGEST_PAUSE_NS;
    return ppoll(&entry, 1, timespec_of(pause_ns, &storage), NULL) < 0 ? -errno : 0;
}

int sluice_poller_wait(sluice_poller *poller, sluice_ready *events, int capacity,
                       int64_t timeout_ns) {
    if (!poller || !events)
        return SLUICE_ENULL;
    if (capacity < 1)
        return SLUICE_ECAPACITY;
    if (timeout_ns < 0)
        return SLUICE_ETIMEOUT;
    int64_t deadline = deadline_after(timeout_ns);
    int64_t remaining = timeout_ns;
    for (;;) {
        int count = poller->backend->wait(poller, events, capacity, remaining);
        if (poller->woken && absorb_wake(poller))
            return count;
        if (count > 0 || (count < 0 && (count != SLUICE_EINTR || poller->interruptible)))
            return count;
        bool noisy = poller->noisy;
        poller->noisy = false;
        remaining = deadline_remaining(deadline);
        if (remaining == 0 && count == 0)
            return 0;
        if (!noisy)
            continue;
        int code = pause_between_waits(poller, remaining);
        if (code == 1)
            return 0;
        if (code < 0 && (code != SLUICE_EINTR || poller->interruptible))
            return code;
        remaining = deadline_remaining(deadline);
    }
}

SLUICE_COLD int sluice_poller_set_flags(sluice_poller *poller, uint32_t flags) {
    if (!poller)
        return SLUICE_ENULL;
    if (flags & ~(uint32_t)SLUICE_INTERRUPTIBLE)
        return SLUICE_EOPTION;
    if (flags && !(poller->backend->features & SLUICE_FEATURE_INTERRUPTIBLE))
        return SLUICE_ENOTSUP;
    poller->interruptible = flags & SLUICE_INTERRUPTIBLE;
    return 0;
}

int sluice_poller_is_current(const sluice_poller *poller, const sluice_ready *event) {
    if (!poller || !event)
        return 0;
    const struct sluice_registration *registration = find_registration(poller, event->fd);
    return registration && registration->generation == event->generation;
}

int sluice_poller_wake(sluice_poller *poller) {
    if (!poller)
        return SLUICE_ENULL;
    if (sluice_atomic_exchange(&poller->wake_posted, true))
        return 0;
    return sluice_wake_signal(poller->wake_fd);
}

uint32_t sluice_poller_features(const sluice_poller *poller) {
    return poller ? poller->backend->features : 0;
}

const char *sluice_poller_backend_name(const sluice_poller *poller) {
    return poller ? poller->backend->name : NULL;
}

SLUICE_COLD int sluice_poller_backend_fd(sluice_poller *poller) {
    if (!poller)
        return SLUICE_ENULL;
    return poller->backend->backend_fd ? poller->backend->backend_fd(poller) : SLUICE_ENOTSUP;
}

/* The parent's wake descriptor is closed before the child gets its own: its number may be the only
 * one that is free. */
SLUICE_COLD int sluice_poller_after_fork(sluice_poller *poller) {
    if (!poller)
        return SLUICE_ENULL;
    int code = poller->backend->after_fork ? poller->backend->after_fork(poller) : 0;
    if (code < 0)
        return code;
    int shared = poller->wake_fd;
    if (shared >= 0) {
        poller->wake_fd = -1;
        (void)sluice_poller_remove(poller, shared);
        close(shared);
    }
    sluice_atomic_store(&poller->wake_posted, false);
    return watch_wake(poller);
}

const char *sluice_backend_name(size_t index) {
    const struct sluice_poller_backend *backend = sluice_poller_backend_at(index);
    return backend ? backend->name : NULL;
}

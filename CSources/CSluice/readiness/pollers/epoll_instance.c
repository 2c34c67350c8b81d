/* epoll_instance.c - the kernel's objects behind the epoll backend: the instance that waits, and
 * the front that others wait on.
 *
 * Moving. An entry that nobody can delete ends only with its instance. So the registrations move to
 * a new instance. That needs a descriptor and memory of the kernel, and there may be none. So the
 * new instance is made and filled beside the old one, and the old one is closed when the new one
 * has everything. If a step fails, the old one still has everything, and is as good as before. But
 * each wait on it ends at once (see epoll.c).
 *
 * The front. A program with a loop of another kind hands the backend descriptor to poll(2) or to an
 * epoll instance, and that knows files and not numbers. So the instance that waits, which may be
 * replaced, is not shown. In front of it stands another instance that never changes and holds the
 * first. The front cannot hold a file that epoll refuses because it is always ready. As long as
 * there are such files, the front holds an eventfd that is readable for ever. The front is made
 * when it is asked for.
 *
 * Decided against: closing the old instance before the new one is made, so that its number is free.
 * Another thread may take that number first, and then there is no instance at all. Also decided
 * against: dup2(2), which would keep the number. The file would still be another one.
 */
#include "base/platform.h"

#include "readiness/pollers/epoll.h"

#include <errno.h>
#include <unistd.h>

static void close_one(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int new_instance(const sluice_poller *poller) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : sluice_poller_own(poller, fd);
}

SLUICE_COLD int sluice_epoll_open(sluice_poller *poller) {
    struct epoll_state *state = epoll_state_of(poller);
    state->front_fd = state->ready_fd = -1;
    state->epoll_fd = new_instance(poller);
    return state->epoll_fd < 0 ? state->epoll_fd : 0;
}

void sluice_epoll_close(sluice_poller *poller) {
    struct epoll_state *state = epoll_state_of(poller);
    close_one(&state->front_fd);
    close_one(&state->ready_fd);
    close_one(&state->epoll_fd);
}

/* ---- The front --------------------------------------------------------------------------------
 */

/* Adds `fd` to the front, which is then readable while `fd` is, or deletes it. */
static int change_front(int front_fd, int operation, int fd) {
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(front_fd, operation, fd, &event) < 0 ? -errno : 0;
}

/* A descriptor that is readable, and stays so. */
static int new_ready_fd(const sluice_poller *poller) {
    int fd = sluice_wake_open();
    fd = fd < 0 ? fd : sluice_poller_own(poller, fd);
    if (fd >= 0)
        sluice_wake_signal(fd);
    return fd;
}

static int open_front(sluice_poller *poller) {
    struct epoll_state *state = epoll_state_of(poller);
    state->front_fd = new_instance(poller);
    if (state->front_fd < 0)
        return state->front_fd;
    state->ready_fd = new_ready_fd(poller);
    if (state->ready_fd < 0)
        return state->ready_fd;
    int code = change_front(state->front_fd, EPOLL_CTL_ADD, state->epoll_fd);
    return code == 0 && state->always_count > 0
               ? change_front(state->front_fd, EPOLL_CTL_ADD, state->ready_fd)
               : code;
}

SLUICE_COLD int sluice_epoll_backend_fd(sluice_poller *poller) {
    struct epoll_state *state = epoll_state_of(poller);
    if (state->front_fd >= 0)
        return state->front_fd;
    int code = open_front(poller);
    if (code < 0) {
        close_one(&state->front_fd);
        close_one(&state->ready_fd);
        return code;
    }
    return state->front_fd;
}

int sluice_epoll_front_ready(sluice_poller *poller, bool ready) {
    const struct epoll_state *state = epoll_state_of(poller);
    if (state->front_fd < 0)
        return 0;
    return change_front(state->front_fd, ready ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, state->ready_fd);
}

/* ---- Moving -----------------------------------------------------------------------------------
 */

/* Adds all that is armed to `epoll_fd`. A number that it refuses, and not for a shortage, was
 * closed without a remove, or names another file by now. */
static SLUICE_COLD int fill_instance(sluice_poller *poller, int epoll_fd) {
    for (int fd = 0; fd < poller->limit; fd++) {
        struct sluice_registration *registration = &poller->registrations[fd];
        if (registration->slot != SLOT_KERNEL)
            continue;
        int code =
            sluice_epoll_control(poller, epoll_fd, EPOLL_CTL_ADD, fd, registration->interest);
        if (code == SLUICE_ENOMEM || code == -ENOSPC)
            return code;
        if (code < 0)
            registration->slot = SLOT_REFUSED;
    }
    return 0;
}

/* After `fill_instance`: what the new instance refused is silent there, and so is what was
 * disarmed. In the old one everything is as it was. */
static void settle(sluice_poller *poller, bool moved) {
    for (int fd = 0; fd < poller->limit; fd++) {
        int *slot = &poller->registrations[fd].slot;
        if (*slot == SLOT_REFUSED)
            *slot = moved ? SLOT_NONE : SLOT_KERNEL;
        else if (*slot == SLOT_DISARMED && moved)
            *slot = SLOT_NONE;
    }
}

SLUICE_COLD int sluice_epoll_move(sluice_poller *poller) {
    struct epoll_state *state = epoll_state_of(poller);
    int epoll_fd = new_instance(poller);
    if (epoll_fd < 0)
        return epoll_fd;
    int code = fill_instance(poller, epoll_fd);
    if (code == 0 && state->front_fd >= 0)
        code = change_front(state->front_fd, EPOLL_CTL_ADD, epoll_fd);
    settle(poller, code == 0);
    if (code < 0) {
        close(epoll_fd);
        return code;
    }
    /* A forked child may keep the old one open. */
    if (state->front_fd >= 0)
        (void)change_front(state->front_fd, EPOLL_CTL_DEL, state->epoll_fd);
    close(state->epoll_fd);
    state->epoll_fd = epoll_fd;
    return 0;
}

/* The child shares the parent's objects. Closing its descriptors changes nothing in them, while any
 * other call would. So they are closed first. That also frees their numbers. */
SLUICE_COLD int sluice_epoll_after_fork(sluice_poller *poller) {
    struct epoll_state *state = epoll_state_of(poller);
    sluice_epoll_close(poller);
    int epoll_fd = new_instance(poller);
    if (epoll_fd < 0)
        return epoll_fd;
    int code = fill_instance(poller, epoll_fd);
    settle(poller, code == 0);
    if (code < 0) {
        close(epoll_fd);
        return code;
    }
    state->epoll_fd = epoll_fd;
    return 0;
}

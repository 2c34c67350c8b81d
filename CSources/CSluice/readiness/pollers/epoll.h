/* epoll.h - what the two files of the epoll backend share. epoll.c registers and waits.
 * epoll_instance.c has the kernel's objects and replaces them.
 */
#ifndef SLUICE_EPOLL_H
#define SLUICE_EPOLL_H

#include "readiness/poller.h"

#include <sys/epoll.h>

/* A registration's slot is its place in `always`, or one of: */
enum {
    SLOT_NONE = SLUICE_SLOT_NONE, /* silent, and unknown to the kernel */
    SLOT_KERNEL = -2,             /* in the kernel, armed */
    SLOT_DISARMED = -3,           /* in the kernel, silent since its one-shot event */
    SLOT_REFUSED = -4             /* during a move: armed, and refused by the new instance */
};

/* Invariants: always[i] is a number whose slot is i, for i below always_count; the interest of each
 * has a bit of ALWAYS_READY. If there is a front, it holds epoll_fd, and also ready_fd while
 * always_count is not 0. */
struct epoll_state {
    int epoll_fd;      /* -1 in a child whose sluice_poller_after_fork has failed */
    bool coarse;       /* see sluice_epoll_wait_ns */
    bool stale;        /* the wait under way has met an entry that nobody can delete */
    bool always_first; /* whose turn it is to fill the events first */
    int *always;       /* armed registrations of always-ready files */
    int always_count;
    int always_capacity;
    int always_next; /* where the next report begins */
    int front_fd;    /* the backend descriptor, or -1. With it, one that is always readable: */
    int ready_fd;
    int64_t next_move_ns; /* after a move that has failed: when to try again */
};

static inline struct epoll_state *epoll_state_of(sluice_poller *poller) {
    return (struct epoll_state *)sluice_poller_state(poller);
}

/* Makes the kernel do `operation` on a registration in this instance. Returns 0 or -errno. */
SLUICE_INTERNAL int sluice_epoll_control(const sluice_poller *poller, int epoll_fd, int operation,
                                         int fd, uint32_t interest);

SLUICE_INTERNAL int sluice_epoll_open(sluice_poller *poller);
SLUICE_INTERNAL void sluice_epoll_close(sluice_poller *poller);

/* Moves the armed registrations to a new instance. The old instance ends, and its stale entries
 * with it. On failure the old one stays in use and nothing has changed. */
SLUICE_INTERNAL int sluice_epoll_move(sluice_poller *poller);

/* Has the front always be readable, or no longer: before `always` gets its first number, and after
 * it has lost its last. 0 or an error. */
SLUICE_INTERNAL int sluice_epoll_front_ready(sluice_poller *poller, bool ready);

/* The backend's functions of these names. */
SLUICE_INTERNAL int sluice_epoll_backend_fd(sluice_poller *poller);
SLUICE_INTERNAL int sluice_epoll_after_fork(sluice_poller *poller);

#endif

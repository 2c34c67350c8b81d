/* rearm.c - see rearm.h. Also epoll_ctl, from which we learn of the entries. For each number we
 * keep the one that was made last. */
#include "real.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "plan.h"
#include "rearm.h"

enum { MOST_FDS = 1 << 16 };

static struct entry {
    int epoll_fd; /* 0 where there is none */
    struct epoll_event event;
} entries[MOST_FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void keep(int fd, struct entry entry) {
    if (fd < 0 || fd >= MOST_FDS)
        return;
    pthread_mutex_lock(&lock);
    entries[fd] = entry;
    pthread_mutex_unlock(&lock);
}

void forget(int fd) {
    keep(fd, (struct entry){0});
}

void tell_again(int fd) {
    int saved = errno;
    if (fd < 0 || fd >= MOST_FDS)
        return;
    pthread_mutex_lock(&lock);
    struct entry entry = entries[fd];
    if (entry.epoll_fd > 0 && (entry.event.events & EPOLLET) &&
        !(entry.event.events & EPOLLONESHOT))
        (void)real_epoll_ctl(entry.epoll_fd, EPOLL_CTL_MOD, fd, &entry.event);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event) {
    find_real();
    enum fault fault;
    if (operation == EPOLL_CTL_ADD && suffers(1u << FAULT_WATCH, &fault)) {
        note(fault);
        errno = below(2) ? ENOMEM : ENOSPC;
        return -1;
    }
    int result = real_epoll_ctl(epoll_fd, operation, fd, event);
    if (result == 0 && operation != EPOLL_CTL_DEL)
        keep(fd, (struct entry){epoll_fd, *event});
    else if (result == 0)
        forget(fd);
    return result;
}

/* platform.c - Linux. */
#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/deadline.h"

int64_t sluice_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

SLUICE_COLD int sluice_fd_check(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    return flags & O_PATH ? -EBADF : 0;
}

SLUICE_COLD bool sluice_same_open_file(int fd, int other) {
    struct stat first;
    struct stat second;
    if (fstat(fd, &first) < 0 || fstat(other, &second) < 0 || first.st_dev != second.st_dev ||
        first.st_ino != second.st_ino)
        return false;
    /* Called by number, since glibc has no wrapper. The kernel may lack it, or a seccomp filter may
     * refuse it. Source: kcmp(2). */
    long order = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, fd, other);
    return order <= 0; /* 0: the same; an error: the kernel does not tell */
}

SLUICE_COLD int sluice_wake_open(void) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int sluice_wake_signal(int fd) {
    /* A signal handler must leave errno as it found it. EAGAIN means that the counter is full. Then
     * the descriptor is readable, which is all that is wanted. */
    int saved = errno;
    const uint64_t one = 1;
    int code = 0;
    while (write(fd, &one, sizeof one) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            code = -errno;
        break;
    }
    errno = saved;
    return code;
}

void sluice_wake_drain(int fd) {
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

int sluice_epoll_wait_ns(int epoll_fd, struct epoll_event *events, int capacity, int64_t timeout_ns,
                         bool *coarse) {
    int count;
    if (!*coarse) {
        struct timespec timeout;
        /* Called by number: glibc has had a wrapper only since 2.35. The 8 is the size of the
         * kernel's signal set, which the kernel ignores when the set is NULL. */
        count = (int)syscall(SYS_epoll_pwait2, epoll_fd, events, capacity,
                             timespec_of(timeout_ns, &timeout), NULL, (size_t)8);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count < 0 ? -errno : count;
        *coarse = true;
    }
    count = epoll_wait(epoll_fd, events, capacity, milliseconds_of(timeout_ns));
    return count < 0 ? -errno : count;
}

const char *sluice_errno_name(int number) {
    return strerrorname_np(number);
}

const char *sluice_errno_message(int number) {
    return strerrordesc_np(number);
}

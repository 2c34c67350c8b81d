/* waits.c - the calls that wait, and the clock, interposed.
 *
 * A wait may be interrupted, or return late. An epoll wait may also bring one event of many: the
 * others stay in the kernel's list. Timeouts are handed on as they are.
 */
#include "real.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "plan.h"

#define MOST_DELAY_NS 2000000

/* In seconds, to either side. */
enum { MOST_JUMP = 3600 };

static void sleep_a_little(void) {
    struct timespec time = {.tv_nsec = (long)below(MOST_DELAY_NS)};
    (void)nanosleep(&time, NULL);
}

/* Whether a wait is interrupted. If not, it may make *capacity, in events, smaller. */
static bool is_interrupted_of(int *capacity) {
    find_real();
    begin_wait();
    enum fault fault;
    uint32_t kinds = 1u << FAULT_EINTR | 1u << FAULT_DELAY;
    if (*capacity > 1)
        kinds |= 1u << FAULT_SHORT;
    if (!suffers(kinds, &fault))
        return false;
    note(fault);
    if (fault == FAULT_SHORT)
        *capacity = 1;
    else if (fault == FAULT_DELAY)
        sleep_a_little();
    else
        errno = EINTR;
    return fault == FAULT_EINTR;
}

/* For a wait that has room for everything. */
static bool is_interrupted(void) {
    int capacity = 1;
    return is_interrupted_of(&capacity);
}

static int waited(int result, bool slept_if_none) {
    end_wait(result > 0 || (result == 0 && !slept_if_none));
    return result;
}

static bool takes_time(const struct timespec *timeout) {
    return !timeout || timeout->tv_sec > 0 || timeout->tv_nsec > 0;
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int timeout) {
    if (is_interrupted_of(&capacity))
        return -1;
    return waited(real_epoll_wait(epoll_fd, events, capacity, timeout), timeout != 0);
}

int epoll_pwait(int epoll_fd, struct epoll_event *events, int capacity, int timeout,
                const sigset_t *mask) {
    if (is_interrupted_of(&capacity))
        return -1;
    return waited(real_epoll_pwait(epoll_fd, events, capacity, timeout, mask), timeout != 0);
}

/* By number, as the core calls it. */
static long epoll_pwait2_by_number(long *words) {
    int capacity = (int)words[2];
    if (is_interrupted_of(&capacity))
        return -1;
    const struct timespec *timeout = (const struct timespec *)words[3];
    bool takes = takes_time(timeout);
    return waited((int)real_syscall(SYS_epoll_pwait2, words[0], words[1], (long)capacity, words[3],
                                    words[4], words[5]),
                  takes);
}

/* Passes on six words, as many as a system call has. The kernel ignores those that are not given.
 */
long syscall(long number, ...) {
    find_real();
    long words[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++)
        words[i] = va_arg(list, long); // NOLINT(clang-analyzer-valist.Uninitialized): it is not
    va_end(list);
    if (number == SYS_epoll_pwait2)
        return epoll_pwait2_by_number(words);
    return real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

int epoll_pwait2(int epoll_fd, struct epoll_event *events, int capacity,
                 const struct timespec *timeout, const sigset_t *mask) {
    find_real();
    long words[6] = {epoll_fd, (long)events, capacity, (long)timeout, (long)mask, 8};
    return (int)epoll_pwait2_by_number(words);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
    if (is_interrupted())
        return -1;
    return waited(real_poll(fds, count, timeout), timeout != 0);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
    if (is_interrupted())
        return -1;
    return waited(real_ppoll(fds, count, timeout, mask), takes_time(timeout));
}

int select(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
           struct timeval *timeout) {
    if (is_interrupted())
        return -1;
    bool takes = !timeout || timeout->tv_sec > 0 || timeout->tv_usec > 0;
    return waited(real_select(count, reading, writing, excepting, timeout), takes);
}

int pselect(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
            const struct timespec *timeout, const sigset_t *mask) {
    if (is_interrupted())
        return -1;
    return waited(real_pselect(count, reading, writing, excepting, timeout, mask),
                  takes_time(timeout));
}

/* ---- The real-time clock -------------------------------------------------------------------- */

/* How far it is off by now. */
static time_t jumped(void) {
    static _Atomic time_t offset;
    enum fault fault;
    if (suffers(1u << FAULT_CLOCK, &fault)) {
        note(fault);
        offset = (time_t)below(2 * MOST_JUMP) - MOST_JUMP;
    }
    return offset;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    find_real();
    int result = real_clock_gettime(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += jumped();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    find_real();
    int result = real_gettimeofday(now, zone);
    if (result == 0)
        now->tv_sec += jumped();
    return result;
}

time_t time(time_t *now) {
    find_real();
    time_t result = real_time(NULL) + jumped();
    if (now)
        *now = result;
    return result;
}

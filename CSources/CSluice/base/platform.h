/* platform.h - what differs between systems, behind plain names. It is the first include of every
 * file of the core, since it asks the C library for more than C11. Linux is the only system so far.
 * Another system needs other bodies for the functions below, and no conditional elsewhere. */
#ifndef SLUICE_PLATFORM_H
#define SLUICE_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* These are for the few functions that most of a program's work goes through. They say which path
 * is the usual one, and keep the rest out of line, so that the usual path saves no registers for
 * it. */
#define sluice_likely(condition) __builtin_expect(!!(condition), 1)
#define sluice_unlikely(condition) __builtin_expect(!!(condition), 0)
#define SLUICE_NOINLINE __attribute__((noinline))
#define SLUICE_INLINE inline __attribute__((always_inline))

/* A function that nearly all work goes through. As a function of its own it saves the registers
 * that it needs, so that its caller does not save them on its other paths. In one file it becomes
 * part of its caller. */
#ifdef SLUICE_ONE_FILE
#define SLUICE_MERGED SLUICE_INLINE
#else
#define SLUICE_MERGED SLUICE_NOINLINE
#endif

/* A function that is called once or seldom: it should be small. */
#define SLUICE_COLD __attribute__((cold))

/* A call whose result must be checked: the compiler refuses code that ignores it. */
#define SLUICE_CHECKED __attribute__((warn_unused_result))

/* A function or a constant that files of the core share, and that no library exports. If the whole
 * core is one file (Tools/amalgamate), it is static there. */
#ifdef SLUICE_ONE_FILE
#define SLUICE_INTERNAL static
#else
#define SLUICE_INTERNAL __attribute__((visibility("hidden")))
#endif

struct epoll_event;

/* Tells apart the threads that exist at the same time. */
static inline uintptr_t sluice_thread(void) {
#if defined(__has_builtin) && __has_builtin(__builtin_thread_pointer)
    return (uintptr_t)__builtin_thread_pointer();
#else
    return (uintptr_t)pthread_self();
#endif
}

/* CLOCK_MONOTONIC in nanoseconds. */
SLUICE_INTERNAL int64_t sluice_clock_ns(void);

/* 0 if `fd` is an open descriptor that can be waited on, -EBADF if not. A descriptor opened with
 * O_PATH only names a place in the file system, and no call except epoll_ctl(2) refuses it. */
SLUICE_INTERNAL int sluice_fd_check(int fd);

/* Whether two descriptors refer to one open file description, and so share its flags. If the kernel
 * does not tell, whether they refer to one file. */
SLUICE_INTERNAL bool sluice_same_open_file(int fd, int other);

/* A descriptor that sluice_wake_signal makes readable, until sluice_wake_drain; or -errno. */
SLUICE_INTERNAL int sluice_wake_open(void);
SLUICE_INTERNAL int sluice_wake_signal(int fd);
SLUICE_INTERNAL void sluice_wake_drain(int fd);

/* epoll_wait(2) with a timeout in nanoseconds, never early. *coarse is set once it turns out that
 * there is no epoll_pwait2 (before Linux 5.11, or kept out by a seccomp filter). From then on the
 * timeout is rounded up to milliseconds. */
SLUICE_INTERNAL int sluice_epoll_wait_ns(int epoll_fd, struct epoll_event *events, int capacity,
                                         int64_t timeout_ns, bool *coarse);

/* An errno's name and its sentence; NULL if the system knows none. Static strings. */
SLUICE_INTERNAL const char *sluice_errno_name(int number);
SLUICE_INTERNAL const char *sluice_errno_message(int number);

#endif

/* platform.h - what differs between systems, behind plain names. The first include of every file
 * of the core, since it asks the C library for more than C11. Linux is the only system so far;
 * another one is another body for the functions below, and no conditional elsewhere. */
#ifndef SLUICE_PLATFORM_H
#define SLUICE_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* For the few functions that most of a program's work goes through: which way is the usual one, and
 * what is kept out of line so that the usual one saves no registers for it. */
#define sluice_likely(condition) __builtin_expect(!!(condition), 1)
#define sluice_unlikely(condition) __builtin_expect(!!(condition), 0)
#define SLUICE_NOINLINE __attribute__((noinline))
#define SLUICE_INLINE inline __attribute__((always_inline))

/* A function on the way of nearly all work. By itself it saves the registers that it needs, which
 * its caller does not need on its other ways. In one file it becomes part of its caller. */
#ifdef SLUICE_ONE_FILE
#define SLUICE_MERGED SLUICE_INLINE
#else
#define SLUICE_MERGED SLUICE_NOINLINE
#endif

/* What is called once, or seldom, and is to be small. */
#define SLUICE_COLD __attribute__((cold))

/* A call whose result must be looked at: the compiler refuses to have it ignored. */
#define SLUICE_CHECKED __attribute__((warn_unused_result))

/* A function or a constant that files of the core share, and no library exports. Where the whole
 * core is one file (Tools/amalgamate), it is that file's own. */
#ifdef SLUICE_ONE_FILE
#define SLUICE_INTERNAL static
#else
#define SLUICE_INTERNAL __attribute__((visibility("hidden")))
#endif

struct epoll_event;

/* Tells apart the threads that there are at one time. */
static inline uintptr_t sluice_thread(void) {
#if defined(__has_builtin) && __has_builtin(__builtin_thread_pointer)
    return (uintptr_t)__builtin_thread_pointer();
#else
    return (uintptr_t)pthread_self();
#endif
}

/* CLOCK_MONOTONIC in nanoseconds. */
SLUICE_INTERNAL int64_t sluice_clock_ns(void);

/* 0 where `fd` is an open descriptor that can be waited on, -EBADF where not: one opened with
 * O_PATH names a place in the file system, and no call but epoll_ctl(2) refuses it. */
SLUICE_INTERNAL int sluice_fd_check(int fd);

/* Whether two descriptors are of one open file description, and so share its flags; where the
 * kernel does not tell, whether they are of one file. */
SLUICE_INTERNAL bool sluice_same_open_file(int fd, int other);

/* A descriptor that becomes readable by sluice_wake_signal and stays so until
 * sluice_wake_drain; or -errno. */
SLUICE_INTERNAL int sluice_wake_open(void);
SLUICE_INTERNAL int sluice_wake_signal(int fd);
SLUICE_INTERNAL void sluice_wake_drain(int fd);

/* epoll_wait(2) with a timeout in nanoseconds, never early. *coarse is set once the kernel is found
 * to have no epoll_pwait2 (before Linux 5.11, or kept out by a seccomp filter): from then on the
 * timeout is rounded up to milliseconds. */
SLUICE_INTERNAL int sluice_epoll_wait_ns(int epoll_fd, struct epoll_event *events, int capacity,
                                         int64_t timeout_ns, bool *coarse);

/* An errno's name and its sentence; NULL where the system knows none. Static strings. */
SLUICE_INTERNAL const char *sluice_errno_name(int number);
SLUICE_INTERNAL const char *sluice_errno_message(int number);

#endif

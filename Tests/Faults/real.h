/* real.h - libc's own versions of the calls that the interposer replaces: real_read and so on. */
#ifndef REAL_H
#define REAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* If a call takes an address, glibc declares it with a GNU union. */
#pragma GCC diagnostic ignored "-Wpedantic"

#define REAL_CALLS(X)                                                                              \
    X(read)                                                                                        \
    X(readv)                                                                                       \
    X(recv)                                                                                        \
    X(recvmsg)                                                                                     \
    X(write)                                                                                       \
    X(writev)                                                                                      \
    X(send)                                                                                        \
    X(sendmsg)                                                                                     \
    X(accept)                                                                                      \
    X(accept4)                                                                                     \
    X(connect)                                                                                     \
    X(close)                                                                                       \
    X(epoll_ctl)                                                                                   \
    X(epoll_wait)                                                                                  \
    X(epoll_pwait)                                                                                 \
    X(poll)                                                                                        \
    X(ppoll)                                                                                       \
    X(select)                                                                                      \
    X(pselect)                                                                                     \
    X(syscall)                                                                                     \
    X(clock_gettime)                                                                               \
    X(gettimeofday)                                                                                \
    X(time)

#define DECLARE(name) extern __typeof__(&(name)) real_##name;
REAL_CALLS(DECLARE)
#undef DECLARE

/* Looks them up. Call this first in each interposed call, because another library's constructor may
 * run before ours. */
void find_real(void);

#endif

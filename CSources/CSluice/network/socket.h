/* socket.h - what the core does with sockets besides the public calls. */
#ifndef SLUICE_SOCKET_H
#define SLUICE_SOCKET_H

#include "base/platform.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "network/socket_file.h"

/* One system call. Returns how many bytes, or -errno, which may be -EINTR. */
static inline ptrdiff_t sluice_receive_once(int fd, void *bytes, size_t length) {
    ptrdiff_t count = read(fd, bytes, length);
    return sluice_likely(count >= 0) ? count : -errno;
}

/* Like sluice_socket_receive and sluice_socket_send, for arguments that need no check. */
static inline ptrdiff_t sluice_receive_some(int fd, void *bytes, size_t length) {
    ptrdiff_t count;
    do
        count = sluice_receive_once(fd, bytes, length);
    while (count == -EINTR);
    return count;
}

static inline ptrdiff_t sluice_send_some(int fd, const void *bytes, size_t length) {
    ptrdiff_t count;
    do
        count = send(fd, bytes, length, MSG_NOSIGNAL);
    while (count < 0 && errno == EINTR);
    return sluice_likely(count >= 0) ? count : -errno;
}

/* How many callers with a failed connection one accept passes over. Then it says that nobody is
 * pending. A listener that is watched level-triggered is ready again at once. */
#define SLUICE_PASSED_OVER_MAX 64

/* Like sluice_receive_some, for a unix socket. There a receive stops where descriptors or
 * credentials were passed, although there may be more bytes. *stopped says whether it stopped so.
 * What was passed is dropped, since nobody asked for it. */
SLUICE_INTERNAL ptrdiff_t sluice_local_receive_some(int fd, void *bytes, size_t length,
                                                    bool *stopped);

/* accept(2) has failed with `error`. Returns another connection all the same, or an error as
 * sluice_socket_accept does. */
SLUICE_INTERNAL int sluice_accept_after(int fd, int error);

/* sluice_socket_accept. */
static inline int sluice_accept_some(int fd) {
    int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return sluice_likely(connection >= 0) ? connection : sluice_accept_after(fd, errno);
}

SLUICE_INTERNAL bool sluice_socket_is_tcp(int fd);

/* 0 for a stream socket that listens; SLUICE_ENOLISTEN, -ESOCKTNOSUPPORT (one that gives
 * packets), -ENOTSOCK or SLUICE_EBADF. */
SLUICE_INTERNAL int sluice_socket_check_listening(int fd);

/* Like sluice_socket_send, for `count` pieces, at least one and at most IOV_MAX. The second is for
 * pipes and terminals. Neither raises SIGPIPE. */
SLUICE_INTERNAL ptrdiff_t sluice_socket_send_slices(int fd, const struct iovec *iov, int count);
SLUICE_INTERNAL ptrdiff_t sluice_file_send_slices(int fd, const struct iovec *iov, int count);

/* Sends up to `length` bytes of a file, from `offset` on, to a socket or a pipe, and returns how
 * many went. *stopped is 0 if those are all of them, or all that the file has. Otherwise it says
 * why no more went: SLUICE_EAGAIN or -errno. It raises no SIGPIPE either. */
SLUICE_INTERNAL size_t sluice_send_file_some(int fd, int file, int64_t offset, size_t length,
                                             int *stopped);

/* Whether the kernel still has bytes that it took for sending and that have not reached the
 * peer. */
SLUICE_INTERNAL bool sluice_socket_has_unsent(int fd);
/* Makes close(2) reset the connection, over TCP. It has no effect on other sockets. */
SLUICE_INTERNAL void sluice_socket_reset_when_closed(int fd);

/* A non-blocking stream socket for this kind of address, or -errno. Over TCP it has TCP_NODELAY. */
SLUICE_INTERNAL int sluice_socket_open(const struct sluice_address *address);

/* How to listen. Zeros are the defaults, except for the backlog. */
struct sluice_socket_options {
    int backlog; /* at least 1 */
    bool reuse_port;
    bool only_ipv6; /* an IPv6 socket takes no IPv4 callers */
    bool has_mode;  /* a unix socket's file has `mode`, whatever the umask */
    mode_t mode;
};

/* sluice_socket_listen with options. A unix socket's file is noted in `file`, for the caller to
 * remove or to forget. For other sockets, and on failure, `file` is zeros. */
SLUICE_INTERNAL int sluice_socket_listen_with(const char *address,
                                              const struct sluice_socket_options *options,
                                              struct sluice_socket_file *file);

/* Lets no more callers into the queue of a listening socket. Those who wait there stay. If it
 * `is_tcp`, the packets of later callers are dropped. Otherwise later callers are refused, and an
 * accept that finds nobody gives -EINVAL. Returns 0 or -errno. */
SLUICE_INTERNAL int sluice_socket_let_no_more_in(int fd, bool is_tcp);

/* A connect has two steps, since they fail for different reasons. If the first fails, it is because
 * of the caller or the machine. If the second fails, it is because of the peer or the network.
 *
 * Makes a socket for a connect to `address` from `source`. `source` is a numeric address of this
 * machine, of the same family, whose port may be 0; or an abstract address of a unix socket; or
 * NULL, and the kernel chooses. SLUICE_EOPTION if it is none of these. */
SLUICE_INTERNAL int sluice_socket_open_from(const struct sluice_address *address,
                                            const char *source);
/* connect(2). Returns 0 if it is done or under way, or -errno. The socket stays the caller's. */
SLUICE_INTERNAL int sluice_socket_begin_connect(int fd, const struct sluice_address *address);

/* Both steps, for sluice_socket_connect. */
SLUICE_INTERNAL int sluice_socket_connect_with(const char *address, const char *source);

#endif

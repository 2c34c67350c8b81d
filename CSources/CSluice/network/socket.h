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

/* One system call: how many bytes, or -errno, which may be -EINTR. */
static inline ptrdiff_t sluice_receive_once(int fd, void *bytes, size_t length) {
    ptrdiff_t count = read(fd, bytes, length);
    return sluice_likely(count >= 0) ? count : -errno;
}

/* As the public calls of these names, for arguments that need no check. */
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

/* How many callers whose connection has failed one accept passes over. Then it says that nobody is
 * pending: a listener that is asked after by its level is ready again at once. */
#define SLUICE_PASSED_OVER_MAX 64

/* A receive from a unix socket stops where descriptors or credentials were passed, although more
 * may be there: *stopped says whether it did. They go, since nobody asked for them. */
SLUICE_INTERNAL ptrdiff_t sluice_local_receive_some(int fd, void *bytes, size_t length,
                                                    bool *stopped);

/* accept(2) has failed: another connection all the same, or an error, as sluice_socket_accept. */
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

/* As sluice_socket_send, for `count` pieces, at least one and at most IOV_MAX; the second for pipes
 * and terminals. Neither raises SIGPIPE. */
SLUICE_INTERNAL ptrdiff_t sluice_socket_send_slices(int fd, const struct iovec *iov, int count);
SLUICE_INTERNAL ptrdiff_t sluice_file_send_slices(int fd, const struct iovec *iov, int count);

/* Up to `length` bytes of a file, from `offset` on, to a socket or a pipe: how many went. *stopped
 * is 0 where those are all of them, or all that the file has; else why no more went, SLUICE_EAGAIN
 * or -errno. It raises no SIGPIPE either. */
SLUICE_INTERNAL size_t sluice_send_file_some(int fd, int file, int64_t offset, size_t length,
                                             int *stopped);

/* Whether the kernel still has bytes that it took and the peer has not. */
SLUICE_INTERNAL bool sluice_socket_has_unsent(int fd);
/* Has close(2) reset the connection, over TCP. Other sockets let it pass. */
SLUICE_INTERNAL void sluice_socket_reset_when_closed(int fd);

/* A non-blocking stream socket for such an address, over TCP with TCP_NODELAY; or -errno. */
SLUICE_INTERNAL int sluice_socket_open(const struct sluice_address *address);

/* How to listen, where zeros are the defaults, but for the backlog. */
struct sluice_socket_options {
    int backlog; /* at least 1 */
    bool reuse_port;
    bool only_ipv6; /* an IPv6 socket takes no IPv4 callers */
    bool has_mode;  /* of a unix socket's file: `mode`, whatever the umask */
    mode_t mode;
};

/* sluice_socket_listen with options. A unix socket's file is noted in `file`, for the caller to
 * remove or to forget; of other sockets, and on failure, `file` is zeros. */
SLUICE_INTERNAL int sluice_socket_listen_with(const char *address,
                                              const struct sluice_socket_options *options,
                                              struct sluice_socket_file *file);

/* Of a listening socket: those who wait in its queue stay, and no more come into it. `is_tcp`:
 * later callers' packets are dropped. Else they are refused, and an accept that finds nobody gives
 * -EINVAL. 0 or -errno. */
SLUICE_INTERNAL int sluice_socket_let_no_more_in(int fd, bool is_tcp);

/* A connect in two steps, since they fail for different reasons. What the first says is the
 * caller's or the machine's doing, what the second says the peer's or the network's.
 *
 * A socket for a connect to `address` that comes from `source`: a numeric address of this machine,
 * of the same family, whose port may be 0; or an abstract one of a unix socket. NULL: the kernel
 * chooses. SLUICE_EOPTION where it is none of these. */
SLUICE_INTERNAL int sluice_socket_open_from(const struct sluice_address *address,
                                            const char *source);
/* connect(2): 0 where it is done or under way, or -errno. The socket stays the caller's. */
SLUICE_INTERNAL int sluice_socket_begin_connect(int fd, const struct sluice_address *address);

/* Both, for sluice_socket_connect. */
SLUICE_INTERNAL int sluice_socket_connect_with(const char *address, const char *source);

#endif

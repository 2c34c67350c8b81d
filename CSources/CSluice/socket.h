/* socket.h - what the core does with sockets besides the public calls. */
#ifndef SLUICE_SOCKET_H
#define SLUICE_SOCKET_H

#include "platform.h"

#include <stddef.h>
#include <sys/uio.h>

#pragma GCC visibility push(hidden)

/* As sluice_socket_send, for `count` pieces, at least one and at most IOV_MAX; the second for pipes
 * and terminals. Neither raises SIGPIPE. */
ptrdiff_t sluice_socket_send_slices(int fd, const struct iovec *iov, int count);
ptrdiff_t sluice_file_send_slices(int fd, const struct iovec *iov, int count);

/* sluice_socket_listen, with SO_REUSEPORT where that is asked for, and for a unix path in the place
 * of a file that nobody listens at any more. */
int sluice_socket_listen_with(const char *address, int backlog, bool reuse_port);

/* Removes the file that a unix socket listens at, if it is one. */
void sluice_socket_remove_path(int fd);

#pragma GCC visibility pop

#endif

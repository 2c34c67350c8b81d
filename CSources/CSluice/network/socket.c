/* socket.c - non-blocking stream sockets: what a program needs besides a poller. */
#include "base/platform.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network/socket.h"

#include "network/address.h"
#include "sluice.h"

/* ---- Making ---------------------------------------------------------------------------------- */

/* TCP_NODELAY, because a program that multiplexes batches its writes itself, and small answers must
 * not wait 40 ms for an acknowledgement. A unix socket does not have that option, and does not need
 * it. */
SLUICE_COLD int sluice_socket_open(const struct sluice_address *address) {
    const int on = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (address->any.sa_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

/* Binds the address that a connect comes from. With port 0 the kernel chooses the port when it
 * knows the other end, so that one port can be used towards several. */
static int bind_source(int fd, const struct sluice_address *target, const char *text) {
    const int on = 1;
    struct sluice_address source;
    int code = sluice_address_parse(&source, text);
    if (code < 0)
        return code;
    if (source.any.sa_family != target->any.sa_family || sluice_address_has_path(&source))
        return SLUICE_EOPTION;
    bool has_port = source.any.sa_family != AF_UNIX && source.ipv4.sin_port != 0;
    if ((has_port && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        (!has_port && source.any.sa_family != AF_UNIX &&
         setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0) ||
        bind(fd, &source.any, source.length) < 0)
        return -errno;
    return 0;
}

int sluice_socket_open_from(const struct sluice_address *address, const char *source) {
    int fd = sluice_socket_open(address);
    if (fd < 0 || !source)
        return fd;
    int code = bind_source(fd, address, source);
    if (code < 0) {
        close(fd);
        return code;
    }
    return fd;
}

/* A connect that a signal interrupts goes on by itself, like one that is in progress. */
int sluice_socket_begin_connect(int fd, const struct sluice_address *address) {
    if (connect(fd, &address->any, address->length) < 0 && errno != EINPROGRESS && errno != EINTR)
        return -errno;
    return 0;
}

int sluice_socket_connect(const char *text) {
    return sluice_socket_connect_with(text, NULL);
}

int sluice_socket_connect_with(const char *text, const char *source) {
    struct sluice_address address;
    int code = sluice_address_parse(&address, text);
    if (code < 0)
        return code;
    int fd = sluice_socket_open_from(&address, source);
    if (fd < 0)
        return fd;
    code = sluice_socket_begin_connect(fd, &address);
    if (code < 0) {
        close(fd);
        return code;
    }
    return fd;
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static bool is_listening(int fd) {
    int listening = 0;
    socklen_t length = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening;
}

int sluice_socket_check_listening(int fd) {
    int type = 0;
    socklen_t length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
        return -errno;
    if (!is_listening(fd))
        return SLUICE_ENOLISTEN;
    return type == SOCK_STREAM ? 0 : -ESOCKTNOSUPPORT;
}

/* Whether what accept(2) said is about one caller, who is then gone from the queue. Source:
 * accept(2), "Error handling"; and from its list of errors EPERM, by which a firewall refuses, and
 * ETIMEDOUT. */
static SLUICE_COLD bool is_about_a_caller(int fd, int error) {
    switch (error) {
    case ECONNABORTED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EPERM:
    case EPROTO:
    case ETIMEDOUT:
        return true;
    case EOPNOTSUPP:
        return is_listening(fd); /* if not, it is about the descriptor */
    default:
        return false;
    }
}

SLUICE_COLD int sluice_accept_after(int fd, int error) {
    for (int passed_over = 0;; error = errno) {
        if (error != EINTR && !is_about_a_caller(fd, error))
            return -error;
        if (error != EINTR && ++passed_over == SLUICE_PASSED_OVER_MAX)
            return SLUICE_EAGAIN;
        int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection >= 0)
            return connection;
    }
}

int sluice_socket_accept(int fd) {
    return sluice_accept_some(fd);
}

/* ---- Sending and receiving ------------------------------------------------------------------- */

SLUICE_COLD int sluice_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        return -errno;
    return -error;
}

ptrdiff_t sluice_socket_receive(int fd, void *bytes, size_t length) {
    if (!bytes)
        return SLUICE_ENULL;
    if (length == 0)
        return SLUICE_ECAPACITY; /* 0 would read as the end of the stream */
    return sluice_receive_some(fd, bytes, length);
}

ptrdiff_t sluice_socket_send(int fd, const void *bytes, size_t length) {
    if (!bytes && length > 0)
        return SLUICE_ENULL;
    return sluice_send_some(fd, bytes, length);
}

ptrdiff_t sluice_local_receive_some(int fd, void *bytes, size_t length, bool *stopped) {
    struct iovec iov = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ptrdiff_t count;
    do
        count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    *stopped = count >= 0 && (message.msg_flags & MSG_CTRUNC);
    return count < 0 ? -errno : count;
}

SLUICE_COLD bool sluice_socket_is_tcp(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           (domain == AF_INET || domain == AF_INET6);
}

ptrdiff_t sluice_socket_send_slices(int fd, const struct iovec *iov, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                             .msg_iovlen = (size_t)count};
    ptrdiff_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int sluice_socket_finish_sending(int fd) {
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

/* ---- Resetting ------------------------------------------------------------------------------- */

bool sluice_socket_has_unsent(int fd) {
    int unsent = 0;
    return ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0;
}

SLUICE_COLD void sluice_socket_reset_when_closed(int fd) {
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

/* At an IPv6 socket that also takes IPv4 callers, the kernel gives those an address such as
 * ::ffff:192.0.2.1. */
static void to_ipv4(struct sluice_address *address) {
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = address->ipv6.sin6_port};
    memcpy(&ipv4.sin_addr, &address->ipv6.sin6_addr.s6_addr[12], sizeof ipv4.sin_addr);
    address->ipv4 = ipv4;
    address->length = sizeof ipv4;
}

typedef int name_call(int, struct sockaddr *, socklen_t *);

static int format_name(int fd, name_call *name_of, char *text, size_t capacity) {
    if (!text)
        return SLUICE_ENULL;
    struct sluice_address address;
    address.length = sizeof address.local;
    if (name_of(fd, &address.any, &address.length) < 0)
        return -errno;
    if (address.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address.ipv6.sin6_addr))
        to_ipv4(&address);
    return sluice_address_format(&address, text, capacity);
}

int sluice_socket_local_address(int fd, char *text, size_t capacity) {
    return format_name(fd, getsockname, text, capacity);
}

int sluice_socket_peer_address(int fd, char *text, size_t capacity) {
    return format_name(fd, getpeername, text, capacity);
}

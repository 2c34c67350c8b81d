/* socket.c - non-blocking stream sockets: what a program over a poller needs besides it. */
#include "base/platform.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network/socket.h"

#include "network/address.h"
#include "network/socket_file.h"
#include "sluice.h"

static int open_socket(const struct sluice_address *address) {
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

/* -errno, with `fd` closed. */
static int fail(int fd) {
    int code = -errno;
    close(fd);
    return code;
}

/* TCP_NODELAY: who multiplexes batches writes itself, and small answers must not wait 40 ms for an
 * acknowledgement. A unix socket knows neither option and needs neither. */
static int set_options(int fd, const struct sluice_address *address, bool listening) {
    const int on = 1;
    if (address->any.sa_family == AF_UNIX)
        return 0;
    if (listening && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int open_at(const char *text, struct sluice_address *address, bool listening) {
    if (!text)
        return SLUICE_ENULL;
    int code = sluice_address_parse(address, text);
    if (code < 0)
        return code;
    int fd = open_socket(address);
    if (fd >= 0 && set_options(fd, address, listening) < 0)
        return fail(fd);
    return fd;
}

int sluice_socket_listen(const char *text, int backlog) {
    struct sluice_socket_file file;
    int fd = sluice_socket_listen_with(text, backlog, false, &file);
    sluice_socket_file_forget(&file);
    return fd;
}

int sluice_socket_listen_with(const char *text, int backlog, bool reuse_port,
                              struct sluice_socket_file *file) {
    *file = (struct sluice_socket_file){.exists = false};
    if (backlog < 1)
        return SLUICE_ECAPACITY;
    struct sluice_address address;
    int fd = open_at(text, &address, true);
    if (fd < 0)
        return fd;
    const int on = 1;
    if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        return fail(fd);
    int code = 0;
    if (sluice_address_has_path(&address))
        code = sluice_socket_file_bind(file, fd, &address);
    else if (bind(fd, &address.any, address.length) < 0)
        code = -errno;
    if (code == 0 && listen(fd, backlog) < 0)
        code = -errno;
    if (code < 0) {
        sluice_socket_file_remove(file, fd);
        close(fd);
        return code;
    }
    return fd;
}

int sluice_socket_connect(const char *text) {
    struct sluice_address address;
    int fd = open_at(text, &address, false);
    if (fd < 0)
        return fd;
    /* A connect that a signal interrupts goes on by itself, as one that is in progress does. */
    if (connect(fd, &address.any, address.length) < 0 && errno != EINPROGRESS && errno != EINTR)
        return fail(fd);
    return fd;
}

static bool is_listening(int fd) {
    int listening = 0;
    socklen_t length = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening;
}

/* Whether what accept(2) said is about one caller, who is then gone from the queue. Source:
 * accept(2), "Error handling"; and of its list of errors EPERM, a firewall's word, and ETIMEDOUT.
 */
static bool is_about_a_caller(int fd, int error) {
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
        return is_listening(fd); /* or it is about the descriptor */
    default:
        return false;
    }
}

int sluice_socket_accept(int fd) {
    for (int passed_over = 0; passed_over < SLUICE_PASSED_OVER_MAX;) {
        int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (sluice_likely(connection >= 0))
            return connection;
        int error = errno;
        if (error == EINTR)
            continue;
        if (!is_about_a_caller(fd, error))
            return -error;
        passed_over++;
    }
    return SLUICE_EAGAIN;
}

int sluice_socket_error(int fd) {
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

bool sluice_socket_is_tcp(int fd) {
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

/* Only sockets can be told not to raise SIGPIPE. For others it is blocked meanwhile, and the one
 * that was raised is taken back, unless one was pending before. */
ptrdiff_t sluice_file_send_slices(int fd, const struct iovec *iov, int count) {
    sigset_t pipe_signal;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ptrdiff_t sent;
    do
        sent = writev(fd, iov, count);
    while (sent < 0 && errno == EINTR);
    int code = sent < 0 ? -errno : 0;
    if (code == -EPIPE && !sigismember(&pending, SIGPIPE)) {
        const struct timespec at_once = {0, 0};
        while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code < 0 ? code : sent;
}

int sluice_socket_finish_sending(int fd) {
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

typedef int name_call(int, struct sockaddr *, socklen_t *);

static int format_name(int fd, name_call *name_of, char *text, size_t capacity) {
    if (!text)
        return SLUICE_ENULL;
    struct sluice_address address;
    address.length = sizeof address.local;
    if (name_of(fd, &address.any, &address.length) < 0)
        return -errno;
    return sluice_address_format(&address, text, capacity);
}

int sluice_socket_local_address(int fd, char *text, size_t capacity) {
    return format_name(fd, getsockname, text, capacity);
}

int sluice_socket_peer_address(int fd, char *text, size_t capacity) {
    return format_name(fd, getpeername, text, capacity);
}

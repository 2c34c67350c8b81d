/* transfers.c - receiving and sending, interposed.
 *
 * Only non-blocking descriptors have faults, so that a program's own files are left alone. Short
 * counts happen on stream sockets and pipes. On a send to a pipe they happen only if there are more
 * than PIPE_BUF bytes, because fewer bytes go whole or not at all. A reset is a real one: a connect
 * to AF_UNSPEC ends a TCP connection with an RST, and then the error is pending.
 * A peek (MSG_PEEK) gets no EAGAIN: the library peeks where a connection has broken, and there all
 * that comes is there already. No kernel says EAGAIN then.
 */
#include "real.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include "plan.h"
#include "rearm.h"

enum direction { RECEIVING, SENDING, LOOKING };

static int option_of(int fd, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

static bool is_stream_socket(int fd) {
    return option_of(fd, SO_TYPE) == SOCK_STREAM;
}

static bool is_pipe(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

static bool never_blocks(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK);
}

static bool is_tcp(int fd) {
    int domain = option_of(fd, SO_DOMAIN);
    return (domain == AF_INET || domain == AF_INET6) && is_stream_socket(fd);
}

/* Whether there was a connection to reset. */
static bool reset(int fd) {
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    return is_tcp(fd) && getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
           real_connect(fd, &none, sizeof none) == 0;
}

/* Half of the lengths are 1, because that is where mistakes are. */
static size_t shortened(size_t length) {
    size_t most = length - 1 < 65536 ? length - 1 : 65536;
    return below(2) ? 1 : 1 + below((uint32_t)most);
}

static bool may_fall_short(int fd, enum direction direction, size_t length) {
    if (is_pipe(fd))
        return length > 1 && (direction == RECEIVING || length > PIPE_BUF);
    return length > 1 && is_stream_socket(fd);
}

/* Decides on a transfer of *length bytes. Returns true if it fails, and sets errno. Otherwise it
 * may make *length smaller. */
static bool fails(int fd, enum direction direction, size_t *length) {
    find_real();
    note_work();
    int saved = errno;
    enum fault fault;
    const uint32_t kinds =
        1u << FAULT_EINTR | 1u << FAULT_EAGAIN | 1u << FAULT_SHORT | 1u << FAULT_RESET;
    if (!suffers(kinds, &fault) || !never_blocks(fd))
        return false;
    bool can_run_dry = direction != LOOKING && (is_pipe(fd) || is_stream_socket(fd));
    if (fault == FAULT_EINTR) {
        saved = EINTR;
    } else if (fault == FAULT_EAGAIN && can_run_dry && *length > 0) {
        tell_again(fd);
        saved = EAGAIN;
    } else {
        if (fault == FAULT_SHORT && may_fall_short(fd, direction, *length)) {
            note(fault);
            *length = shortened(*length);
        } else if (fault == FAULT_RESET && reset(fd)) {
            note(fault);
        }
        errno = saved;
        return false;
    }
    note(fault);
    errno = saved;
    return true;
}

/* Call this after a transfer that had `length` bytes instead of `asked`. */
static ssize_t done(int fd, ssize_t count, size_t length, size_t asked) {
    if (length < asked && count == (ssize_t)length)
        tell_again(fd);
    return count;
}

ssize_t read(int fd, void *bytes, size_t asked) {
    size_t length = asked;
    if (fails(fd, RECEIVING, &length))
        return -1;
    return done(fd, real_read(fd, bytes, length), length, asked);
}

ssize_t recv(int fd, void *bytes, size_t asked, int flags) {
    size_t length = asked;
    if (fails(fd, flags & MSG_PEEK ? LOOKING : RECEIVING, &length))
        return -1;
    return done(fd, real_recv(fd, bytes, length, flags), length, asked);
}

ssize_t write(int fd, const void *bytes, size_t asked) {
    size_t length = asked;
    if (fails(fd, SENDING, &length))
        return -1;
    return done(fd, real_write(fd, bytes, length), length, asked);
}

ssize_t send(int fd, const void *bytes, size_t asked, int flags) {
    size_t length = asked;
    if (fails(fd, SENDING, &length))
        return -1;
    return done(fd, real_send(fd, bytes, length, flags), length, asked);
}

/* ---- In pieces ------------------------------------------------------------------------------ */

static size_t length_of(const struct iovec *pieces, size_t count) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += pieces[i].iov_len;
    return length;
}

/* Puts the first `length` bytes of `pieces` into `cut`, and returns how many pieces these are. */
static int cut_to(struct iovec *cut, const struct iovec *pieces, size_t length) {
    int count = 0;
    for (; length > 0; count++) {
        cut[count] = pieces[count];
        if (cut[count].iov_len > length)
            cut[count].iov_len = length;
        length -= cut[count].iov_len;
    }
    return count;
}

typedef ssize_t transfer_call(int fd, const struct iovec *pieces, int count);

static ssize_t transfer(transfer_call *call, int fd, enum direction direction,
                        const struct iovec *pieces, int count) {
    size_t asked = count > 0 && count <= IOV_MAX ? length_of(pieces, (size_t)count) : 0;
    size_t length = asked;
    if (fails(fd, direction, &length))
        return -1;
    if (length == asked)
        return call(fd, pieces, count);
    struct iovec cut[IOV_MAX];
    return done(fd, call(fd, cut, cut_to(cut, pieces, length)), length, asked);
}

ssize_t readv(int fd, const struct iovec *pieces, int count) {
    find_real();
    return transfer(real_readv, fd, RECEIVING, pieces, count);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    find_real();
    return transfer(real_writev, fd, SENDING, pieces, count);
}

/* `message` with its bytes cut to `length`. */
static struct msghdr cut_message(const struct msghdr *message, struct iovec *cut, size_t length) {
    struct msghdr shorter = *message;
    shorter.msg_iov = cut;
    shorter.msg_iovlen = (size_t)cut_to(cut, message->msg_iov, length);
    return shorter;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    size_t asked =
        message->msg_iovlen <= IOV_MAX ? length_of(message->msg_iov, message->msg_iovlen) : 0;
    size_t length = asked;
    if (fails(fd, SENDING, &length))
        return -1;
    if (length == asked)
        return real_sendmsg(fd, message, flags);
    struct iovec cut[IOV_MAX];
    struct msghdr shorter = cut_message(message, cut, length);
    return done(fd, real_sendmsg(fd, &shorter, flags), length, asked);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    size_t asked =
        message->msg_iovlen <= IOV_MAX ? length_of(message->msg_iov, message->msg_iovlen) : 0;
    size_t length = asked;
    if (fails(fd, RECEIVING, &length))
        return -1;
    if (length == asked)
        return real_recvmsg(fd, message, flags);
    struct iovec cut[IOV_MAX];
    struct msghdr shorter = cut_message(message, cut, length);
    ssize_t count = done(fd, real_recvmsg(fd, &shorter, flags), length, asked);
    message->msg_flags = shorter.msg_flags;
    message->msg_controllen = shorter.msg_controllen;
    message->msg_namelen = shorter.msg_namelen;
    return count;
}

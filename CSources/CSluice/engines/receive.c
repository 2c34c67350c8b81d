/* receive.c - see receive.h.
 *
 * - A receive from a unix socket stops short where descriptors were passed, although there may be
 *   more.
 * - A packet socket gives one packet for each receive, and cuts off what does not fit. So a packet
 *   is measured first. From a datagram socket 0 bytes are an empty packet, and not the end, unless
 *   its receiving side has been shut down.
 * - A pipe may be one of packets (O_DIRECT, pipe(2)), and its reading end does not say so. A short
 *   read may be one packet.
 * - A terminal with VMIN 0 answers 0 bytes if nothing was typed (termios(3)). The master of a
 *   pseudo-terminal answers EIO when the last program at it has ended: that is its end (pty(7)).
 */
#include "engines/receive.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>

#include "network/socket.h"

static struct sluice_received receive_local(int fd, unsigned char *bytes, size_t size) {
    struct sluice_received received = {.count = 0};
    received.count = sluice_local_receive_some(fd, bytes, size, &received.more);
    return received;
}

static ptrdiff_t receive_flagged(int fd, unsigned char *bytes, size_t size, int flags) {
    ptrdiff_t count;
    do
        count = recv(fd, bytes, size, flags | MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

static bool is_datagram(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

static bool has_ended(int fd) {
    struct pollfd ended = {.fd = fd, .events = POLLRDHUP};
    return poll(&ended, 1, 0) == 1;
}

static struct sluice_received receive_packet(int fd, unsigned char *bytes, size_t size,
                                             size_t most) {
    struct sluice_received received = {.more = true};
    ptrdiff_t length = receive_flagged(fd, bytes, 0, MSG_PEEK | MSG_TRUNC);
    if (length > 0 && (size_t)length > size) {
        received.no_room = (size_t)length <= most;
        received.count = received.no_room ? SLUICE_EAGAIN : -EMSGSIZE;
        return received;
    }
    received.count = length < 0 ? length : receive_flagged(fd, bytes, size, 0);
    if ((received.count == 0 || received.count == SLUICE_EAGAIN) && is_datagram(fd)) {
        bool ended = has_ended(fd);
        received.again = received.count == 0 && !ended;
        received.count = ended ? 0 : SLUICE_EAGAIN;
    }
    return received;
}

static bool answers_at_once(const struct termios *terminal) {
    return !(terminal->c_lflag & ICANON) && terminal->c_cc[VMIN] == 0;
}

static struct sluice_received receive_other(int fd, unsigned char *bytes, size_t size) {
    struct sluice_received received = {.count = sluice_receive_some(fd, bytes, size), .more = true};
    struct termios terminal;
    if ((received.count == 0 || received.count == -EIO) && tcgetattr(fd, &terminal) == 0) {
        if (received.count == -EIO)
            received.count = 0;
        else if (answers_at_once(&terminal))
            received.count = SLUICE_EAGAIN;
    }
    return received;
}

struct sluice_received sluice_receive(int fd, enum sluice_role role, unsigned char *bytes,
                                      size_t size, size_t most) {
    switch (role) {
    case SLUICE_ROLE_LOCAL:
        return receive_local(fd, bytes, size);
    case SLUICE_ROLE_PACKETS:
        return receive_packet(fd, bytes, size, most);
    case SLUICE_ROLE_OTHER:
        return receive_other(fd, bytes, size);
    default:
        return (struct sluice_received){.count = sluice_receive_some(fd, bytes, size),
                                        .more = role == SLUICE_ROLE_PIPE};
    }
}

/* A connection that is reset after its peer had ended has the error EPIPE (tcp(7)). */
static int reset_as_such(int code) {
    return code == -EPIPE ? -ECONNRESET : code;
}

SLUICE_COLD int sluice_hangup_error(int fd, enum sluice_role role, bool has_input,
                                    bool *has_ended) {
    bool is_socket =
        role == SLUICE_ROLE_SOCKET || role == SLUICE_ROLE_LOCAL || role == SLUICE_ROLE_PACKETS;
    if (!is_socket)
        return has_input ? 0 : -EPIPE; /* the reader of a pipe has gone */
    unsigned char byte;
    ptrdiff_t there = receive_flagged(fd, &byte, 1, MSG_PEEK);
    if (there > 0)
        return 1;
    if (there < 0 && there != SLUICE_EAGAIN)
        return reset_as_such((int)there);
    *has_ended = there == 0 && role != SLUICE_ROLE_PACKETS; /* from those it may be an empty
                                                             * packet */
    return reset_as_such(sluice_socket_error(fd));
}

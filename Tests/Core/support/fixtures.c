/* fixtures.c - descriptors to test with: pairs, files, and the bytes in them. All of them live as
 * long as the test that makes them (see support.h). Plain system calls make them, not the core. */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "faults.h"

static struct pair keep_pair(int near, int far) {
    return (struct pair){.near = keep(near), .far = keep(far)};
}

int move_fd(int fd, int to) {
    if (fd == to)
        return to;
    assert_int_equal(dup2(fd, to), to);
    drop(fd);
    return keep(to);
}

int duplicate(int fd, int lowest) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    if (copy < 0)
        fail_msg("no descriptor of %d or above: %s (raise RLIMIT_NOFILE)", lowest, strerror(errno));
    return keep(copy);
}

int closed_number(void) {
    int fd = keep(dup(STDIN_FILENO));
    drop(fd);
    return fd;
}

struct pair unix_pair_of(int type) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return keep_pair(fds[0], fds[1]);
}

struct pair unix_pair(void) {
    return unix_pair_of(SOCK_STREAM);
}

int readable(void) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    return pair.near;
}

struct pair pipe_pair(void) {
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    return keep_pair(fds[0], fds[1]);
}

struct pair pty_pair(void) {
    int master;
    int slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    struct pair pair = keep_pair(master, slave);
    /* Raw, so that a byte passes without a line's end, and unechoed. */
    struct termios raw;
    assert_int_equal(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
    return pair;
}

int regular_file(void) {
    return keep(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

int path_descriptor(const char *path) {
    return keep(open(path, O_PATH | O_CLOEXEC));
}

int tcp_bound(void) {
    int fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

int tcp_listener(int backlog) {
    int fd = tcp_bound();
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

int tcp_connect(int bound) {
    int fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    assert_int_equal(getsockname(bound, (struct sockaddr *)&address, &length), 0);
    int code = connect(fd, (struct sockaddr *)&address, length);
    assert_true(code == 0 || errno == EINPROGRESS);
    return fd;
}

struct pair tcp_pair(void) {
    int listener = tcp_listener(1);
    int near = tcp_connect(listener);
    await(listener, POLLIN);
    int far = keep(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    await(near, POLLOUT);
    drop(listener);
    return (struct pair){.near = near, .far = far};
}

struct pair udp_pair(void) {
    struct sockaddr_in addresses[2];
    int fds[2];
    for (int i = 0; i < 2; i++) {
        socklen_t size = sizeof addresses[i];
        fds[i] = keep(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET};
        addresses[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(bind(fds[i], (struct sockaddr *)&addresses[i], size), 0);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&addresses[i], &size), 0);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(connect(fds[i], (struct sockaddr *)&addresses[!i], sizeof addresses[!i]),
                         0);
    return (struct pair){.near = fds[0], .far = fds[1]};
}

void put_byte(int fd) {
    assert_int_equal(write(fd, "x", 1), 1);
}

void take_byte(int fd) {
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
}

void fill(int fd) {
    static const char bytes[65536];
    size_t size = sizeof bytes;
    /* Ever smaller pieces: a pipe refuses a piece that does not fit whole. */
    while (size > 0)
        if (write(fd, bytes, size) < 0) {
            assert_int_equal(errno, EAGAIN);
            size /= 2;
        }
}

void await(int fd, short events) {
    struct pollfd entry = {.fd = fd, .events = events};
    int ready = poll_for_real(&entry, 1, PATIENCE_MS);
    if (ready != 1 || !(entry.revents & events))
        fail_msg("awaited %#x of descriptor %d in vain", (unsigned)events, fd);
}

int wait_one(sluice_poller *poller, int64_t timeout_ns) {
    sluice_ready event;
    return sluice_poller_wait(poller, &event, 1, timeout_ns);
}

/* test_sockets_page.c - the C code of docs/sockets.md. Here is an exact copy. It compiles, and does
 * what the page says. */
#define PAGE "docs/sockets.md"

#include "support.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- As on the page -------------------------------------------------------------------------- */

/* clang-format off */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sluice.h>
#include <sys/socket.h>

int listen_fds(sluice_loop *loop) {
    const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!process || !count || atol(process) != getpid())
        return 0;
    const int end = 3 + atoi(count);
    unsetenv("LISTEN_PID"); /* they are not for our children, */
    unsetenv("LISTEN_FDS"); /* and `count` is gone now */
    for (int fd = 3; fd < end; fd++) {
        int code = sluice_listen_fd(loop, NULL, fd, NULL);
        if (code < 0)
            return code;
    }
    return end - 3;
}

int set_user_timeout(const sluice_loop *loop, sluice_id id, unsigned milliseconds) {
    return setsockopt(sluice_fd(loop, id), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds,
                      sizeof milliseconds) < 0 ? -errno : 0;
}

int set_keepalive(const sluice_loop *loop, sluice_id id, int idle, int interval, int count) {
    const int on = 1;
    int fd = sluice_fd(loop, id);
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count) < 0)
        return -errno;
    return 0;
}

int set_buffers(const sluice_loop *loop, sluice_id id, int send_bytes, int receive_bytes) {
    int fd = sluice_fd(loop, id);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes) < 0)
        return -errno;
    return 0;
}

int set_mark(const sluice_loop *loop, sluice_id id, unsigned mark) {
    return setsockopt(sluice_fd(loop, id), SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ? -errno
                                                                                        : 0;
}

int set_service_class(const sluice_loop *loop, sluice_id id, int dscp) {
    int value = dscp << 2, domain = 0;
    int fd = sluice_fd(loop, id);
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        setsockopt(fd, domain == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
                   domain == AF_INET6 ? IPV6_TCLASS : IP_TOS, &value, sizeof value) < 0)
        return -errno;
    return 0;
}

int set_defer_accept(const sluice_loop *loop, sluice_id listener, int seconds) {
    return setsockopt(sluice_fd(loop, listener), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
                      sizeof seconds) < 0 ? -errno : 0;
}

int get_peer(const sluice_loop *loop, sluice_id id, struct ucred *peer) {
    socklen_t size = sizeof *peer;
    return getsockopt(sluice_fd(loop, id), SOL_SOCKET, SO_PEERCRED, peer, &size) < 0 ? -errno : 0;
}

int get_round_trip_us(const sluice_loop *loop, sluice_id id) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(sluice_fd(loop, id), IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return -errno;
    return (int)info.tcpi_rtt;
}
/* clang-format on */

/* ---- What it does ---------------------------------------------------------------------------- */

static sluice_loop *loop;

static void end_loop(void *unused) {
    (void)unused;
    sluice_destroy(loop);
}

static void begin_loop(void) {
    assert_int_equal(sluice_open(&loop, NULL), 0);
    defer(end_loop, NULL);
}

static sluice_id adopt(struct pair pair) {
    sluice_id id;
    assert_int_equal(sluice_adopt(loop, &id, release(pair.near), NULL), 0);
    return id;
}

static int option_of(sluice_id id, int level, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    assert_int_equal(getsockopt(sluice_fd(loop, id), level, option, &value, &length), 0);
    return value;
}

static void options_of_a_stream(void) {
    begin_loop();
    sluice_id id = adopt(tcp_pair());
    assert_int_equal(set_user_timeout(loop, id, 30000), 0);
    assert_int_equal(option_of(id, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
    assert_int_equal(set_keepalive(loop, id, 60, 10, 3), 0);
    assert_int_equal(option_of(id, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(id, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(option_of(id, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option_of(id, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(set_buffers(loop, id, 20000, 30000), 0);
    assert_int_equal(option_of(id, SOL_SOCKET, SO_SNDBUF), 40000);
    assert_int_equal(option_of(id, SOL_SOCKET, SO_RCVBUF), 60000);
    assert_int_equal(set_service_class(loop, id, 46), 0);
    assert_int_equal(option_of(id, IPPROTO_IP, IP_TOS), 46 << 2);
    assert_true(get_round_trip_us(loop, id) > 0);
    int marked = set_mark(loop, id, 7);
    if (marked != -EPERM) {
        assert_int_equal(marked, 0);
        assert_int_equal(option_of(id, SOL_SOCKET, SO_MARK), 7);
    }
}

static void options_over_ipv6(void) {
    begin_loop();
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, "[::1]:0", NULL), 0);
    assert_int_equal(set_service_class(loop, id, 8), 0);
    assert_int_equal(option_of(id, IPPROTO_IPV6, IPV6_TCLASS), 8 << 2);
}

/* A stream that is accepted has what was set on its listener. */
static void options_of_a_listener(void) {
    begin_loop();
    sluice_id id;
    sluice_event event;
    char address[SLUICE_ADDRESS_MAX];
    assert_int_equal(sluice_listen(loop, &id, "127.0.0.1:0", NULL), 0);
    assert_true(sluice_local_address(loop, id, address, sizeof address) > 0);
    assert_int_equal(set_keepalive(loop, id, 60, 10, 3), 0);
    assert_int_equal(set_buffers(loop, id, 20000, 30000), 0);
    assert_int_equal(set_user_timeout(loop, id, 30000), 0);
    assert_int_equal(set_defer_accept(loop, id, 5), 0);
    int caller = keep(sluice_socket_connect(address));
    await(caller, POLLOUT);
    assert_int_equal(sluice_socket_send(caller, "x", 1), 1);
    assert_int_equal(sluice_next(loop, &event, PATIENCE_NS), 1);
    assert_int_equal(event.kind, SLUICE_ACCEPTED);
    assert_int_equal(option_of(event.id, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option_of(event.id, SOL_SOCKET, SO_SNDBUF), 40000);
    assert_int_equal(option_of(event.id, SOL_SOCKET, SO_RCVBUF), 60000);
    assert_int_equal(option_of(event.id, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
}

static void peer_of_a_unix_stream(void) {
    begin_loop();
    struct ucred peer;
    assert_int_equal(get_peer(loop, adopt(unix_pair()), &peer), 0);
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.uid, geteuid());
}

static void errors_are_told(void) {
    begin_loop();
    struct ucred peer;
    sluice_id id = adopt(unix_pair());
    assert_int_equal(set_user_timeout(loop, id, 1), -EOPNOTSUPP);
    assert_true(get_round_trip_us(loop, id) < 0);
    assert_int_equal(set_keepalive(loop, 0, 1, 1, 1), -EBADF);
    assert_int_equal(get_peer(loop, 0, &peer), -EBADF);
}

/* In a child, so that the number 3 and the environment are its own. */
static void sockets_that_are_given(void) {
    int fd = tcp_listener(8);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char process[16];
        snprintf(process, sizeof process, "%d", (int)getpid());
        bool works = dup2(fd, 3) == 3 && sluice_open(&loop, NULL) == 0 && listen_fds(loop) == 0 &&
                     setenv("LISTEN_PID", process, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0 &&
                     listen_fds(loop) == 1 && listen_fds(loop) == 0 && sluice_destroy(loop) == 0;
        _exit(works ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- The page -------------------------------------------------------------------------------- */

static char *read_all(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: not found; run from the repository's root", path);
    size_t length = fread(text, 1, size - 1, file);
    fclose(file);
    assert_true(length < size - 1);
    text[length] = '\0';
    return text;
}

static void page_shows_what_is_here(void) {
    static char page[65536];
    static char here[65536];
    read_all(PAGE, page, sizeof page);
    read_all(__FILE__, here, sizeof here);
    size_t blocks = 0;
    for (char *block = strstr(page, "```c\n"); block; block = strstr(block, "```c\n")) {
        block += strlen("```c\n");
        char *end = strstr(block, "```");
        assert_non_null(end);
        *end = '\0';
        if (!strstr(here, block))
            fail_msg("not in %s:\n%s", __FILE__, block);
        block = end + 1;
        blocks++;
    }
    assert_int_equal(blocks, 10);
}

int main(void) {
    static const struct test tests[] = {
        {"options of a stream", options_of_a_stream, NULL},
        {"options over IPv6", options_over_ipv6, NULL},
        {"options of a listener", options_of_a_listener, NULL},
        {"the peer of a unix stream", peer_of_a_unix_stream, NULL},
        {"sockets that are given", sockets_that_are_given, NULL},
        {"errors are told", errors_are_told, NULL},
        {PAGE " shows what is here", page_shows_what_is_here, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

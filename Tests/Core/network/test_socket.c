/* test_socket.c - stream sockets, by an address as text. */
#include "network/socket.h"

#include "faults.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const any_port[] = {"127.0.0.1:0", "[::1]:0", "unix:@sluice-test"};

struct ends {
    int listener;
    int client;
    int server;
};

/* What every descriptor of Sluice's is. */
static int expect_flags(int fd) {
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    return keep(fd);
}

static struct ends connect_over(const char *address) {
    struct ends ends;
    char text[SLUICE_ADDRESS_MAX];
    ends.listener = expect_flags(sluice_socket_listen(address, 4));
    assert_true(sluice_socket_local_address(ends.listener, text, sizeof text) > 0);
    ends.client = expect_flags(sluice_socket_connect(text));
    await(ends.listener, POLLIN);
    ends.server = expect_flags(sluice_socket_accept(ends.listener));
    await(ends.client, POLLOUT);
    assert_int_equal(sluice_socket_error(ends.client), 0);
    return ends;
}

static void conversation(void) {
    for (size_t i = 0; i < COUNT_OF(any_port); i++) {
        struct ends ends = connect_over(any_port[i]);
        char bytes[16];
        assert_int_equal(sluice_socket_receive(ends.server, bytes, sizeof bytes), SLUICE_EAGAIN);
        assert_int_equal(sluice_socket_accept(ends.listener), SLUICE_EAGAIN);
        assert_int_equal(sluice_socket_send(ends.client, "hello", 5), 5);
        await(ends.server, POLLIN);
        assert_int_equal(sluice_socket_receive(ends.server, bytes, sizeof bytes), 5);
        assert_memory_equal(bytes, "hello", 5);
        assert_int_equal(sluice_socket_finish_sending(ends.client), 0);
        await(ends.server, POLLRDHUP);
        assert_int_equal(sluice_socket_receive(ends.server, bytes, sizeof bytes), 0);
        assert_int_equal(sluice_socket_send(ends.server, "bye", 3), 3);
        await(ends.client, POLLIN);
        assert_int_equal(sluice_socket_receive(ends.client, bytes, sizeof bytes), 3);
        assert_int_equal(sluice_socket_send(ends.client, "x", 1), -EPIPE);
    }
}

static void addresses(void) {
    for (size_t i = 0; i < COUNT_OF(any_port); i++) {
        struct ends ends = connect_over(any_port[i]);
        char listening[SLUICE_ADDRESS_MAX];
        char text[SLUICE_ADDRESS_MAX];
        char other[SLUICE_ADDRESS_MAX];
        int length = sluice_socket_local_address(ends.listener, listening, sizeof listening);
        assert_int_equal(length, strlen(listening));
        assert_int_equal(sluice_socket_peer_address(ends.client, text, sizeof text), length);
        assert_string_equal(text, listening);
        assert_true(sluice_socket_local_address(ends.client, text, sizeof text) > 0);
        assert_true(sluice_socket_peer_address(ends.server, other, sizeof other) > 0);
        assert_string_equal(text, other);
        assert_int_equal(sluice_socket_local_address(ends.server, text, 3), SLUICE_ECAPACITY);
    }
}

static void unnamed_unix(void) {
    struct ends ends = connect_over("unix:@sluice-test");
    char text[SLUICE_ADDRESS_MAX];
    assert_int_equal(sluice_socket_local_address(ends.client, text, sizeof text), 5);
    assert_string_equal(text, "unix:");
}

static void unix_path(void) {
    char address[SLUICE_ADDRESS_MAX];
    snprintf(address, sizeof address, "unix:%s/socket", test_folder());
    int listener = sluice_socket_listen(address, 1);
    int second = sluice_socket_listen(address, 1);
    int client = sluice_socket_connect(address);
    unlink(address + strlen("unix:"));
    int late = sluice_socket_connect(address);
    keep(listener);
    keep(client);
    assert_int_equal(second, -EADDRINUSE);
    assert_int_equal(late, -ENOENT);
}

static void no_delay(void) {
    struct ends ends = connect_over("127.0.0.1:0");
    const int fds[] = {ends.client, ends.server};
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        int on = 0;
        socklen_t length = sizeof on;
        assert_int_equal(getsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
        assert_int_equal(on, 1);
    }
}

static void refused(void) {
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(tcp_bound(), text, sizeof text) > 0);
    int fd = keep(sluice_socket_connect(text));
    await(fd, POLLERR);
    assert_int_equal(sluice_socket_error(fd), -ECONNREFUSED);
    assert_int_equal(sluice_socket_error(fd), 0);
    assert_int_equal(sluice_socket_connect("unix:@sluice-nobody"), -ECONNREFUSED);
}

static void port_in_use(void) {
    char text[SLUICE_ADDRESS_MAX];
    int first = keep(sluice_socket_listen("127.0.0.1:0", 1));
    assert_true(sluice_socket_local_address(first, text, sizeof text) > 0);
    assert_int_equal(sluice_socket_listen(text, 1), -EADDRINUSE);
}

/* A server that restarts while connections of its last run linger. */
static void port_again(void) {
    struct ends ends = connect_over("127.0.0.1:0");
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(ends.listener, text, sizeof text) > 0);
    drop(ends.server);
    await(ends.client, POLLRDHUP);
    drop(ends.client);
    drop(ends.listener);
    keep(sluice_socket_listen(text, 1));
}

static void send_until_full(void) {
    static const char bytes[65536];
    struct ends ends = connect_over("unix:@sluice-test");
    ptrdiff_t count;
    size_t total = 0;
    while ((count = sluice_socket_send(ends.client, bytes, sizeof bytes)) > 0)
        total += (size_t)count;
    assert_int_equal(count, SLUICE_EAGAIN);
    assert_true(total > 0);
}

/* SIGPIPE, if it were raised, would end this program. */
static void peer_reset(void) {
    struct ends ends = connect_over("127.0.0.1:0");
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(ends.server, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    drop(ends.server);
    await(ends.client, POLLERR);
    assert_int_equal(sluice_socket_send(ends.client, "x", 1), -ECONNRESET);
    assert_int_equal(sluice_socket_send(ends.client, "x", 1), -EPIPE);
    char byte;
    assert_int_equal(sluice_socket_receive(ends.client, &byte, 1), 0);
}

static void receive_from_a_pipe(void) {
    struct pair pair = pipe_pair();
    char byte;
    assert_int_equal(sluice_socket_receive(pair.near, &byte, 1), SLUICE_EAGAIN);
    put_byte(pair.far);
    assert_int_equal(sluice_socket_receive(pair.near, &byte, 1), 1);
    drop(pair.far);
    assert_int_equal(sluice_socket_receive(pair.near, &byte, 1), 0);
}

static void no_descriptors_left(void) {
    struct ends ends = connect_over("127.0.0.1:0");
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(ends.listener, text, sizeof text) > 0);
    keep(sluice_socket_connect(text));
    await(ends.listener, POLLIN);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)closed_number(), .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    int accepted = sluice_socket_accept(ends.listener);
    int connected = sluice_socket_connect(text);
    int listening = sluice_socket_listen("127.0.0.1:0", 1);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(accepted, -EMFILE);
    assert_int_equal(connected, -EMFILE);
    assert_int_equal(listening, -EMFILE);
    keep(sluice_socket_accept(ends.listener));
}

static void failed_callers_are_passed_over(void) {
    static const int errors[] = {ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN,
                                 ENETUNREACH,  ENONET,    ENOPROTOOPT,  EOPNOTSUPP,
                                 EPERM,        EPROTO,    ETIMEDOUT,    EINTR};
    int listener = keep(sluice_socket_listen("127.0.0.1:0", 4));
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        tcp_connect(listener);
        await(listener, POLLIN);
        fail_accepts(errors[i], 3);
        keep(sluice_socket_accept(listener));
    }
    fail_accepts(EPROTO, 3);
    assert_int_equal(sluice_socket_accept(listener), SLUICE_EAGAIN);
}

/* With no end to them: not for ever, and not an error. */
static void failed_callers_without_end(void) {
    int listener = keep(sluice_socket_listen("127.0.0.1:0", 4));
    tcp_connect(listener);
    await(listener, POLLIN);
    fail_accepts(EPROTO, SLUICE_PASSED_OVER_MAX);
    assert_int_equal(sluice_socket_accept(listener), SLUICE_EAGAIN);
    keep(sluice_socket_accept(listener));
}

static void errors_of_the_listeners_are_told(void) {
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES};
    int listener = keep(sluice_socket_listen("127.0.0.1:0", 4));
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        fail_accepts(errors[i], 1);
        assert_int_equal(sluice_socket_accept(listener), -errors[i]);
    }
}

static void bad_arguments(void) {
    struct ends ends = connect_over("127.0.0.1:0");
    char bytes[8];
    assert_int_equal(sluice_socket_listen(NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_socket_listen("127.0.0.1:0", 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_socket_listen("127.0.0.1:0", -1), SLUICE_ECAPACITY);
    assert_int_equal(sluice_socket_listen("127.0.0.1", 1), SLUICE_EPORT);
    assert_int_equal(sluice_socket_listen("unix:", 1), SLUICE_EPATH);
    assert_int_equal(sluice_socket_listen("[fe80::1%nosuch0]:0", 1), SLUICE_ESCOPE);
    assert_int_equal(sluice_socket_listen("", 1), SLUICE_EADDRESS);
    assert_int_equal(sluice_socket_listen("203.0.113.1:0", 1), -EADDRNOTAVAIL);
    assert_int_equal(sluice_socket_connect(NULL), SLUICE_ENULL);
    assert_int_equal(sluice_socket_connect("127.0.0.1"), SLUICE_EPORT);
    assert_int_equal(sluice_socket_connect("localhost:80"), SLUICE_ENUMERIC);
    assert_int_equal(sluice_socket_connect(""), SLUICE_EADDRESS);
    assert_int_equal(sluice_socket_receive(ends.client, NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_socket_receive(ends.client, bytes, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_socket_send(ends.client, NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_socket_send(ends.client, NULL, 0), 0);
    assert_int_equal(sluice_socket_local_address(ends.client, NULL, 8), SLUICE_ENULL);
    assert_int_equal(sluice_socket_peer_address(ends.client, bytes, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_socket_peer_address(ends.listener, bytes, 8), -ENOTCONN);
}

static void bad_descriptors(void) {
    const int fds[] = {-1, closed_number()};
    char bytes[8];
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        assert_int_equal(sluice_socket_accept(fds[i]), SLUICE_EBADF);
        assert_int_equal(sluice_socket_error(fds[i]), SLUICE_EBADF);
        assert_int_equal(sluice_socket_receive(fds[i], bytes, 8), SLUICE_EBADF);
        assert_int_equal(sluice_socket_send(fds[i], bytes, 8), SLUICE_EBADF);
        assert_int_equal(sluice_socket_finish_sending(fds[i]), SLUICE_EBADF);
        assert_int_equal(sluice_socket_local_address(fds[i], bytes, 8), SLUICE_EBADF);
    }
    int file = regular_file();
    assert_int_equal(sluice_socket_accept(file), -ENOTSOCK);
    assert_int_equal(sluice_socket_error(file), -ENOTSOCK);
    assert_int_equal(sluice_socket_local_address(file, bytes, 8), -ENOTSOCK);
    assert_int_equal(sluice_socket_accept(unix_pair().near), -EINVAL);
    int datagrams = keep(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    assert_int_equal(sluice_socket_accept(datagrams), -EOPNOTSUPP);
}

int main(void) {
    static const struct test tests[] = {
        {"a conversation over each family", conversation, NULL},
        {"addresses of both ends", addresses, NULL},
        {"an unnamed unix socket", unnamed_unix, NULL},
        {"a unix socket at a path", unix_path, NULL},
        {"TCP_NODELAY, also on what is accepted", no_delay, NULL},
        {"connect refused", refused, NULL},
        {"port in use", port_in_use, NULL},
        {"a port that was in use", port_again, NULL},
        {"send until it is full", send_until_full, NULL},
        {"send to a peer that has reset", peer_reset, NULL},
        {"receive from a pipe", receive_from_a_pipe, NULL},
        {"callers whose connection has failed", failed_callers_are_passed_over, NULL},
        {"such callers without end", failed_callers_without_end, NULL},
        {"errors of the listener's", errors_of_the_listeners_are_told, NULL},
        {"no descriptors left", no_descriptors_left, NULL},
        {"bad arguments", bad_arguments, NULL},
        {"bad descriptors", bad_descriptors, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

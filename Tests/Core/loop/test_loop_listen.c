/* test_loop_listen.c - where a loop listens, and the properties of its listeners' sockets and
 * streams. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int socket_option(int fd, int level, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
    return value;
}

/* ---- Unix sockets --------------------------------------------------------------------------- */

/* A path in a folder of the test's own. */
static void make_path(char *address, size_t capacity, const char **path) {
    snprintf(address, capacity, "unix:%s/socket", test_folder());
    *path = address + strlen("unix:");
}

static bool exists(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

static void unix_path_goes_with_its_listener(void) {
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    sluice_loop *loop = make_loop();
    sluice_id id;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(sluice_listen(loop, &id, address, NULL), 0);
        assert_true(exists(path));
        int peer = dial(address);
        expect_event(loop, SLUICE_ACCEPTED);
        if (round < 2)
            assert_int_equal(sluice_close(loop, id), 0);
        else
            end_loop(loop);
        assert_false(exists(path));
        drop(peer);
        while (round < 2 && next_event(loop).kind != SLUICE_CLOSED) {
        }
    }
}

static void go_back(void *working) {
    int fd = *(int *)working;
    assert_int_equal(fchdir(fd), 0);
    close(fd);
}

static void unix_path_goes_after_chdir(void) {
    static int working_folder;
    char address[128];
    const char *folder = test_folder();
    snprintf(address, sizeof address, "unix:%s/socket", folder);
    const char *path = address + strlen("unix:");
    working_folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    defer(go_back, &working_folder);
    sluice_loop *loop = make_loop();
    sluice_id id;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(chdir(folder), 0);
        assert_int_equal(sluice_listen(loop, &id, "unix:socket", NULL), 0);
        assert_int_equal(chdir("/"), 0);
        assert_true(exists(path));
        if (round == 0)
            assert_int_equal(sluice_close(loop, id), 0);
        else
            end_loop(loop);
        assert_false(exists(path));
    }
}

static void unix_path_of_a_successor_is_left(void) {
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    sluice_loop *loop = make_loop();
    sluice_loop *successor = make_loop();
    sluice_id id;
    sluice_id next;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(sluice_listen(loop, &id, address, NULL), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(sluice_listen(successor, &next, address, NULL), 0);
        if (round == 0)
            assert_int_equal(sluice_close(loop, id), 0);
        else
            end_loop(loop);
        assert_true(exists(path));
        int peer = dial(address);
        expect_event(successor, SLUICE_ACCEPTED);
        drop(peer);
        expect_event(successor, SLUICE_EOF);
        expect_event(successor, SLUICE_CLOSED);
        assert_int_equal(sluice_close(successor, next), 0);
        assert_false(exists(path));
    }
}

/* In the child of a fork the loop lives on, or ends, and the file stays the parent's. */
static void unix_path_is_the_parents_after_a_fork(void) {
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    sluice_loop *loop = make_loop();
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, address, NULL), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool works = sluice_after_fork(loop) == 0 && sluice_destroy(loop) == 0;
        _exit(works ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(exists(path));
    dial(address);
    expect_event(loop, SLUICE_ACCEPTED);
    assert_int_equal(sluice_close(loop, id), 0);
    assert_false(exists(path));
}

/* Its number is closed behind the loop's back, and the kernel gives it to another listener. What
 * the first one keeps of its folder goes with it all the same. */
static void unix_path_of_a_lost_number(void) {
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    sluice_loop *loop = make_loop();
    sluice_id id;
    sluice_id other;
    assert_int_equal(sluice_listen(loop, &id, address, NULL), 0);
    int fd = sluice_fd(loop, id);
    close(fd);
    assert_int_equal(sluice_listen(loop, &other, "127.0.0.1:0", NULL), 0);
    assert_int_equal(sluice_fd(loop, other), fd);
    assert_int_equal(sluice_fd(loop, id), SLUICE_EBADF);
    assert_int_equal(sluice_close(loop, id), 0);
    assert_int_equal(sluice_fd(loop, other), fd);
}

static void unix_path_that_is_stale_is_replaced(void) {
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    int dead = sluice_socket_listen(address, 1);
    assert_true(dead >= 0);
    close(dead);
    assert_true(exists(path));
    sluice_loop *loop = make_loop();
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, address, NULL), 0);
    dial(address);
    expect_event(loop, SLUICE_ACCEPTED);
}

static void unix_path_that_is_listened_at_is_left(void) {
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    int living = keep(sluice_socket_listen(address, 1));
    sluice_loop *loop = make_loop();
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, address, NULL), -EADDRINUSE);
    assert_true(exists(path));
    /* Also where nobody more is let in. */
    for (int i = 0; i < 3; i++) {
        int fd = sluice_socket_connect(address);
        if (fd >= 0)
            keep(fd);
    }
    assert_int_equal(sluice_listen(loop, &id, address, NULL), -EADDRINUSE);
    assert_true(exists(path));
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_LISTENER], 0);
    (void)living;
}

static void unix_path_of_another_file_is_left(void) {
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    keep(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    sluice_loop *loop = make_loop();
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, address, NULL), -EADDRINUSE);
    assert_true(exists(path));
}

static mode_t mode_at(const char *path) {
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

static void unix_mode(void) {
    static const mode_t modes[] = {0600, 0660, 0777, 0}; /* the last: as the umask says */
    char address[128];
    const char *path;
    make_path(address, sizeof address, &path);
    sluice_loop *loop = make_loop();
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        sluice_listen_options options = listen_options();
        options.unix_mode = modes[i];
        sluice_id id;
        mode_t before = umask(0027);
        int code = sluice_listen(loop, &id, address, &options);
        umask(before);
        assert_int_equal(code, 0);
        assert_int_equal(mode_at(path), modes[i] ? modes[i] : 0750);
        assert_int_equal(sluice_close(loop, id), 0);
    }
    /* Of other sockets it says nothing. */
    sluice_listen_options options = listen_options();
    options.unix_mode = 0600;
    assert_int_equal(sluice_listen(loop, NULL, "127.0.0.1:0", &options), 0);
    assert_int_equal(sluice_listen(loop, NULL, "unix:@sluice-test-mode", &options), 0);
}

static void unix_abstract(void) {
    sluice_loop *loop = make_loop();
    char address[64];
    snprintf(address, sizeof address, "unix:@sluice-test-%d", (int)getpid());
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, address, NULL), 0);
    assert_int_equal(sluice_listen(loop, &id, address, NULL), -EADDRINUSE);
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_local_address(loop, id, text, sizeof text) > 0);
    assert_string_equal(text, address);
    int peer = dial(address);
    sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
    put_text(peer, "hello");
    expect_text(loop, event.id, "hello");
}

/* ---- TCP ------------------------------------------------------------------------------------ */

static void port_0_is_chosen_and_told(void) {
    sluice_loop *loop = make_loop();
    char text[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, text);
    assert_true(strncmp(text, "127.0.0.1:", 10) == 0 && atoi(text + 10) > 0);
    char small[4];
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, "127.0.0.1:0", NULL), 0);
    assert_int_equal(sluice_local_address(loop, id, small, sizeof small), SLUICE_ECAPACITY);
    assert_int_equal(sluice_peer_address(loop, id, text, sizeof text), -ENOTCONN);
}

static void ipv6(void) {
    sluice_loop *loop = make_loop();
    sluice_id id;
    int code = sluice_listen(loop, &id, "[::1]:0", NULL);
    if (code == -EADDRNOTAVAIL || code == -EAFNOSUPPORT)
        return; /* this machine has none */
    assert_int_equal(code, 0);
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_local_address(loop, id, text, sizeof text) > 0);
    assert_true(strncmp(text, "[::1]:", 6) == 0);
    int peer = dial(text);
    sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
    put_text(peer, "hello");
    expect_text(loop, event.id, "hello");
}

/* Callers over both families come to one listener. */
static void every_address(void) {
    static const char *const hosts[] = {"127.0.0.1", "[::1]"};
    sluice_loop *loop = make_loop();
    sluice_id id;
    char text[SLUICE_ADDRESS_MAX];
    assert_int_equal(sluice_listen(loop, &id, "*:0", NULL), 0);
    assert_true(sluice_local_address(loop, id, text, sizeof text) > 0);
    bool has_ipv6 = text[0] == '[';
    for (size_t i = 0; i < (has_ipv6 ? 2 : 1); i++) {
        char target[2 * SLUICE_ADDRESS_MAX];
        snprintf(target, sizeof target, "%s%s", hosts[i], strrchr(text, ':'));
        int peer = dial(target);
        sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
        char told[SLUICE_ADDRESS_MAX];
        assert_true(sluice_peer_address(loop, event.id, told, sizeof told) > 0);
        assert_true(strncmp(told, hosts[i], strlen(hosts[i])) == 0);
        put_text(peer, "hello");
        expect_text(loop, event.id, "hello");
    }
}

static void by_name(void) {
    sluice_loop *loop = make_loop();
    sluice_id id;
    char text[SLUICE_ADDRESS_MAX];
    assert_int_equal(sluice_listen(loop, &id, "localhost:0", NULL), 0);
    assert_true(sluice_local_address(loop, id, text, sizeof text) > 0);
    assert_true(strncmp(text, "127.0.0.1:", 10) == 0);
    dial(text);
    expect_event(loop, SLUICE_ACCEPTED);
}

static void only_ipv6(void) {
    static const char *const addresses[] = {"*:0", "[::]:0"};
    sluice_loop *loop = make_loop();
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        sluice_listen_options options = listen_options();
        options.flags = SLUICE_ONLY_IPV6;
        sluice_id id;
        int code = sluice_listen(loop, &id, addresses[i], &options);
        if (code == -EADDRNOTAVAIL || code == -EAFNOSUPPORT)
            return; /* this machine has none */
        assert_int_equal(code, 0);
        char text[SLUICE_ADDRESS_MAX];
        assert_true(sluice_local_address(loop, id, text, sizeof text) > 0);
        char target[2 * SLUICE_ADDRESS_MAX];
        snprintf(target, sizeof target, "127.0.0.1%s", strrchr(text, ':'));
        int caller = dial(target);
        await(caller, POLLERR);
        assert_int_equal(sluice_socket_error(caller), -ECONNREFUSED);
        snprintf(target, sizeof target, "[::1]%s", strrchr(text, ':'));
        dial(target);
        expect_event(loop, SLUICE_ACCEPTED);
    }
}

static void reuse_port(void) {
    sluice_loop *loops[] = {make_loop(), make_loop()};
    sluice_listen_options options = listen_options();
    options.flags = SLUICE_REUSE_PORT;
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loops[0], &options, address);
    sluice_id id;
    assert_int_equal(sluice_listen(loops[1], &id, address, NULL), -EADDRINUSE);
    assert_int_equal(sluice_listen(loops[1], &id, address, &options), 0);
    /* The kernel chooses who gets which caller. With so many callers, each gets some. */
    int accepted[2] = {0, 0};
    int64_t end = monotonic_ns() + PATIENCE_NS;
    for (int i = 0; i < 64; i++)
        dial(address);
    while (accepted[0] + accepted[1] < 64) {
        assert_true(monotonic_ns() < end);
        sluice_event event;
        for (int i = 0; i < 2; i++)
            while (pull_now(loops[i], &event))
                accepted[i] += event.kind == SLUICE_ACCEPTED;
    }
    assert_true(accepted[0] > 0 && accepted[1] > 0);
}

static void no_delay_and_keepalive(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    dial(address);
    int fd = sluice_fd(loop, expect_event(loop, SLUICE_ACCEPTED).id);
    assert_true(socket_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_int_equal(socket_option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    sluice_stream_options streams = stream_options(SLUICE_DELAY | SLUICE_KEEPALIVE);
    streams.keepalive_seconds = 77;
    sluice_listen_options options = listen_options();
    options.streams = &streams;
    make_listener(loop, &options, address);
    streams.flags = 0;
    dial(address);
    fd = sluice_fd(loop, expect_event(loop, SLUICE_ACCEPTED).id);
    assert_int_equal(socket_option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_true(socket_option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0);
    assert_int_equal(socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    /* The same of an adopted one. */
    fd = sluice_fd(loop, tcp_line(loop).id);
    assert_true(socket_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    streams.flags = SLUICE_DELAY | SLUICE_KEEPALIVE;
    fd = sluice_fd(loop, line_of(loop, tcp_pair(), &streams).id);
    assert_int_equal(socket_option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
}

static void addresses_that_are_none(void) {
    sluice_loop *loop = make_loop();
    sluice_id id = 77;
    static const struct {
        const char *text;
        int code;
    } refused[] = {{"", SLUICE_EADDRESS},       {"no address", SLUICE_EADDRESS},
                   {"127.0.0.1", SLUICE_EPORT}, {"1.2.3.4:99999", SLUICE_EPORT},
                   {"unix:", SLUICE_EPATH},     {"[::1%nosuch0]:1", SLUICE_ESCOPE}};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_int_equal(sluice_listen(loop, &id, refused[i].text, NULL), refused[i].code);
        assert_int_equal(sluice_connect(loop, &id, refused[i].text, NULL), refused[i].code);
    }
    assert_int_equal(sluice_connect(loop, &id, "*:80", NULL), SLUICE_ENUMERIC);
    assert_int_equal(sluice_listen(loop, &id, NULL, NULL), SLUICE_ENULL);
    assert_int_equal(sluice_connect(loop, &id, NULL, NULL), SLUICE_ENULL);
    assert_int_equal(sluice_listen(loop, &id, "192.0.2.1:0", NULL), -EADDRNOTAVAIL);
    assert_int_equal(sluice_listen(loop, NULL, "127.0.0.1:0", NULL), 0);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_LISTENER], 1);
}

int main(void) {
    static const struct test tests[] = {
        {"unix: the path goes with its listener", unix_path_goes_with_its_listener, NULL},
        {"unix: the path goes after chdir", unix_path_goes_after_chdir, NULL},
        {"unix: a successor's path is left", unix_path_of_a_successor_is_left, NULL},
        {"unix: the path is the parent's", unix_path_is_the_parents_after_a_fork, NULL},
        {"unix: a number that was lost leaks nothing", unix_path_of_a_lost_number, NULL},
        {"unix: a stale path is replaced", unix_path_that_is_stale_is_replaced, NULL},
        {"unix: one that is listened at is left", unix_path_that_is_listened_at_is_left, NULL},
        {"unix: another file is left", unix_path_of_another_file_is_left, NULL},
        {"unix: the mode of the file", unix_mode, NULL},
        {"unix: abstract", unix_abstract, NULL},
        {"port 0 is chosen and told", port_0_is_chosen_and_told, NULL},
        {"[::1]", ipv6, NULL},
        {"*: every address", every_address, NULL},
        {"a name", by_name, NULL},
        {"IPv6 only", only_ipv6, NULL},
        {"SO_REUSEPORT: two loops at one address", reuse_port, NULL},
        {"TCP_NODELAY and keepalive, inherited", no_delay_and_keepalive, NULL},
        {"what is no address is refused", addresses_that_are_none, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_listen_fd.c - listeners made from a socket that listens already: what such a listener
 * can do, what is refused and left as it was, and a socket from the service manager or from another
 * process.
 */
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
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Sockets that listen -------------------------------------------------------------------- */

/* As a service manager makes one: blocking, and not close-on-exec. */
static int plain_listener(int type) {
    int fd = keep(socket(AF_UNIX, type, 0));
    const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
    assert_int_equal(bind(fd, (const struct sockaddr *)&unnamed, sizeof unnamed.sun_family), 0);
    if (type != SOCK_DGRAM)
        assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int plain_tcp_listener(void) {
    int fd = keep(socket(AF_INET, SOCK_STREAM, 0));
    const struct sockaddr_in anywhere = {.sin_family = AF_INET,
                                         .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (const struct sockaddr *)&anywhere, sizeof anywhere), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static void address_of(int fd, char *address) {
    assert_true(sluice_socket_local_address(fd, address, SLUICE_ADDRESS_MAX) > 0);
}

static sluice_id listen_fd(sluice_loop *loop, int fd, const sluice_listen_options *options) {
    sluice_id id = 0;
    assert_int_equal(sluice_listen_fd(loop, &id, fd, options), 0);
    release(fd);
    return id;
}

static bool is_blocking(int fd) {
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static bool is_inherited(int fd) {
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
}

/* ---- What it is ----------------------------------------------------------------------------- */

static void accepts_as_any_listener(void) {
    sluice_loop *loop = make_loop();
    const int sockets[] = {plain_tcp_listener(), plain_listener(SOCK_STREAM)};
    for (size_t i = 0; i < COUNT_OF(sockets); i++) {
        char address[SLUICE_ADDRESS_MAX];
        address_of(sockets[i], address);
        int early = dial(address); /* waits in the queue already */
        sluice_id id = listen_fd(loop, sockets[i], NULL);
        assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_LISTENER);
        assert_int_equal(sluice_fd(loop, id), sockets[i]);
        assert_int_equal(sluice_set_user(loop, id, 7), 0);
        sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
        assert_int_equal(event.value, id);
        assert_int_equal(event.user, 7);
        put_text(early, "early");
        expect_text(loop, event.id, "early");
        int late = dial(address);
        event = expect_event(loop, SLUICE_ACCEPTED);
        put_text(late, "late");
        expect_text(loop, event.id, "late");
        assert_int_equal(sluice_close(loop, id), 0);
        assert_int_equal(sluice_kind_of(loop, id), SLUICE_ESTALE);
    }
    assert_int_equal(sluice_listen_fd(loop, NULL, release(plain_tcp_listener()), NULL), 0);
}

static void has_the_options_of_a_listener(void) {
    sluice_loop *loop = make_loop();
    int fd = plain_tcp_listener();
    char address[SLUICE_ADDRESS_MAX];
    address_of(fd, address);
    sluice_stream_options streams = stream_options(SLUICE_KEEPALIVE);
    sluice_listen_options options = listen_options();
    options.connection_limit = 1;
    options.streams = &streams;
    sluice_id listener = listen_fd(loop, fd, &options);
    dial(address);
    dial(address);
    sluice_id first = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    int value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(sluice_fd(loop, first), IPPROTO_TCP, TCP_NODELAY, &value, &size),
                     0);
    assert_true(value != 0);
    assert_int_equal(getsockopt(sluice_fd(loop, first), SOL_SOCKET, SO_KEEPALIVE, &value, &size),
                     0);
    assert_true(value != 0);
    assert_int_equal(sluice_abort(loop, first), 0);
    expect_closed(loop, first, -ECONNABORTED, 0);
    expect_event(loop, SLUICE_ACCEPTED);
}

static void is_made_non_blocking_and_close_on_exec(void) {
    sluice_loop *loop = make_loop();
    int fd = plain_tcp_listener();
    int shared = duplicate(fd, 3);
    sluice_id id = listen_fd(loop, fd, NULL);
    assert_false(is_blocking(fd));
    assert_false(is_inherited(fd));
    expect_no_event(loop); /* and so it does not wait for a caller */
    /* Whoever shares it may be in a loop, too: it does not begin to block there. */
    assert_int_equal(sluice_close(loop, id), 0);
    assert_false(is_blocking(shared));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void the_file_stays(void) {
    sluice_loop *loop = make_loop();
    const char *folder = test_folder();
    for (int round = 0; round < 2; round++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s/%d", folder, round);
        int fd = keep(socket(AF_UNIX, SOCK_STREAM, 0));
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(fd, 8), 0);
        sluice_id id = listen_fd(loop, fd, NULL);
        if (round == 0)
            assert_int_equal(sluice_close(loop, id), 0);
        else
            end_loop(loop);
        struct stat status;
        assert_int_equal(lstat(address.sun_path, &status), 0);
    }
}

/* ---- What is refused ------------------------------------------------------------------------ */

/* Refused with that code, and as it was: still the caller's, blocking, inherited. */
static void refuse(sluice_loop *loop, int fd, int code) {
    bool blocking = is_blocking(fd);
    bool inherited = is_inherited(fd);
    uint64_t before = stats_of(loop).handles[SLUICE_KIND_LISTENER];
    sluice_id id = 77;
    assert_int_equal(sluice_listen_fd(loop, &id, fd, NULL), code);
    assert_int_equal(id, 77);
    assert_int_equal(is_blocking(fd), blocking);
    assert_int_equal(is_inherited(fd), inherited);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_LISTENER], before);
}

static void what_is_no_listening_socket(void) {
    sluice_loop *loop = make_loop();
    refuse(loop, -1, SLUICE_EBADF);
    refuse(loop, closed_number(), SLUICE_EBADF);
    refuse(loop, path_descriptor("/tmp"), SLUICE_EBADF);
    refuse(loop, pipe_pair().near, -ENOTSOCK);
    refuse(loop, regular_file(), -ENOTSOCK);
    refuse(loop, tcp_pair().near, SLUICE_ENOLISTEN);
    refuse(loop, tcp_bound(), SLUICE_ENOLISTEN);
    refuse(loop, unix_pair().near, SLUICE_ENOLISTEN);
    refuse(loop, plain_listener(SOCK_DGRAM), SLUICE_ENOLISTEN);
    refuse(loop, plain_listener(SOCK_SEQPACKET), -ESOCKTNOSUPPORT);
}

static void what_is_attached_already(void) {
    sluice_loop *loop = make_loop();
    int watched = plain_tcp_listener();
    sluice_id id;
    assert_int_equal(sluice_watch(loop, &id, watched, SLUICE_READ, 0), 0);
    refuse(loop, watched, SLUICE_EEXIST);
    assert_int_equal(sluice_close(loop, id), 0);
    listen_fd(loop, watched, NULL);
    refuse(loop, watched, SLUICE_EEXIST);
    /* The one that has it goes on. */
    char address[SLUICE_ADDRESS_MAX];
    address_of(watched, address);
    dial(address);
    expect_event(loop, SLUICE_ACCEPTED);
}

static void options_out_of_range(void) {
    sluice_loop *loop = make_loop();
    int fd = plain_tcp_listener();
    sluice_listen_options options = {.size = 1};
    assert_int_equal(sluice_listen_fd(loop, NULL, fd, &options), SLUICE_EOPTION);
    sluice_stream_options streams = {.size = 1};
    options = listen_options();
    options.streams = &streams;
    assert_int_equal(sluice_listen_fd(loop, NULL, fd, &options), SLUICE_EOPTION);
    assert_int_equal(sluice_listen_fd(NULL, NULL, fd, NULL), SLUICE_ENULL);
    sluice_loop *small = make_loop_with((sluice_options){.handle_limit = 1});
    listen_fd(small, plain_tcp_listener(), NULL);
    refuse(small, fd, SLUICE_EFULL);
}

/* ---- Given by another process --------------------------------------------------------------- */

/* What sd_listen_fds(3) says a service does: how many descriptors there are, from 3 on. */
static int listen_fds(void) {
    const char *process = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    return process && count && atoi(process) == (int)getpid() ? atoi(count) : 0;
}

/* The service: accepts one caller, and sends back what it says. */
static int serve_one(const char *backend) {
    const sluice_options options = {.size = sizeof options, .backend = backend};
    sluice_loop *loop;
    sluice_event event;
    if (listen_fds() != 1 || sluice_open(&loop, &options) < 0 ||
        sluice_listen_fd(loop, NULL, 3, NULL) < 0)
        return 1;
    do
        if (sluice_next(loop, &event, PATIENCE_NS) < 1)
            return 2;
        else if (event.kind == SLUICE_DATA)
            sluice_write(loop, event.id, event.data, event.length);
    while (event.kind != SLUICE_CLOSED);
    return sluice_destroy(loop) == 0 ? event.error : 3;
}

/* As a service manager gives a socket: under the number 3, with the count and the process's id in
 * the environment. A caller who comes before the service runs is served by it. */
static void socket_activation(void) {
    int fd = plain_tcp_listener();
    char address[SLUICE_ADDRESS_MAX];
    address_of(fd, address);
    int peer = dial(address);
    put_text(peer, "are you there?");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char process[16];
        snprintf(process, sizeof process, "%d", (int)getpid());
        bool given = dup2(fd, 3) == 3 && setenv("LISTEN_PID", process, 1) == 0 &&
                     setenv("LISTEN_FDS", "1", 1) == 0;
        for (int other = 4; other < 256; other++)
            close(other);
        _exit(given ? serve_one(test_backend()) : 4);
    }
    take_text(peer, "are you there?");
    drop(peer);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* The manager has it as before, and can give it again. */
    dial(address);
    await(fd, POLLIN);
}

/* Two loops share a socket, as two versions of a server do. When the old one ends, nobody is lost:
 * who waits in the queue waits for the other. */
static void handover(void) {
    sluice_loop *old = make_loop();
    sluice_loop *new = make_loop();
    int fd = plain_tcp_listener();
    char address[SLUICE_ADDRESS_MAX];
    address_of(fd, address);
    int copy = duplicate(fd, 3);
    sluice_id before = listen_fd(old, fd, NULL);
    dial(address);
    sluice_id stream = expect_event(old, SLUICE_ACCEPTED).id;
    listen_fd(new, copy, NULL);
    int peer = dial(address);
    assert_int_equal(sluice_close(old, before), 0);
    sluice_event event = expect_event(new, SLUICE_ACCEPTED);
    put_text(peer, "hello");
    expect_text(new, event.id, "hello");
    assert_int_equal(sluice_kind_of(old, stream), SLUICE_KIND_STREAM);
}

int main(void) {
    static const struct test tests[] = {
        {"it accepts as any listener, over TCP and unix", accepts_as_any_listener, NULL},
        {"it has a listener's options", has_the_options_of_a_listener, NULL},
        {"non-blocking, also afterwards, and close-on-exec", is_made_non_blocking_and_close_on_exec,
         NULL},
        {"the file of a unix socket stays", the_file_stays, NULL},
        {"refused, as it was: what does not listen", what_is_no_listening_socket, NULL},
        {"refused, as it was: what is attached already", what_is_attached_already, NULL},
        {"options out of their range", options_out_of_range, NULL},
        {"socket activation: LISTEN_FDS", socket_activation, NULL},
        {"handover: who waits in the queue waits for the other", handover, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

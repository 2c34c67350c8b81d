/* test_loop_connect.c - connecting, its deadline, what is written before it is done, and the idle
 * timeout. */
#include "loops.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void address_of(int fd, char *text) {
    assert_true(sluice_socket_local_address(fd, text, SLUICE_ADDRESS_MAX) > 0);
}

/* An address at which a connect stays under way: a listener whose queue is full. */
static void make_silent_address(char *address) {
    int listener = tcp_listener(0);
    address_of(listener, address);
    for (int i = 0; i < 3; i++)
        dial(address);
}

static sluice_id connect_to(sluice_loop *loop, const char *address) {
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
    return id;
}

static void connects(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    address_of(listener, address);
    sluice_id id = connect_to(loop, address);
    assert_int_equal(sluice_set_user(loop, id, 9), 0);
    assert_int_equal(expect_event_of(loop, SLUICE_CONNECTED, id).user, 9);
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_peer_address(loop, id, text, sizeof text) > 0);
    assert_string_equal(text, address);
    int on = 0;
    socklen_t size = sizeof on;
    assert_int_equal(getsockopt(sluice_fd(loop, id), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    assert_true(on != 0);
    int peer = keep(accept(listener, NULL, NULL));
    put_text(peer, "hello");
    expect_text(loop, id, "hello");
    assert_int_equal(sluice_write(loop, id, "hello yourself", 14), 0);
    expect_no_event(loop);
    take_text(peer, "hello yourself");
    drop(peer);
    expect_event_of(loop, SLUICE_EOF, id);
    expect_closed(loop, id, 0, 0);
}

/* The peer speaks first, and has ended before CONNECTED is pulled. */
static void connects_to_one_that_speaks_and_ends(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    address_of(listener, address);
    sluice_id id = connect_to(loop, address);
    await(listener, POLLIN);
    int peer = keep(accept(listener, NULL, NULL));
    put_text(peer, "hello");
    drop(peer);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    expect_text(loop, id, "hello");
    expect_event_of(loop, SLUICE_EOF, id);
    expect_closed(loop, id, 0, 0);
}

static void refused(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    address_of(tcp_bound(), address);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
    assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
    expect_closed(loop, id, -ECONNREFUSED, 4);
    expect_no_event(loop);
}

static void deadline(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_silent_address(address);
    sluice_stream_options options = stream_options(0);
    options.connect_timeout_ns = 30 * NS_PER_MS;
    int64_t start = sluice_now(loop);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, &options), 0);
    assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
    expect_closed(loop, id, -ETIMEDOUT, 4);
    assert_true(monotonic_ns() - start >= 30 * NS_PER_MS);
    expect_no_event(loop);
}

/* The deadline is of connecting alone. */
static void deadline_ends_with_the_connect(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    address_of(tcp_listener(4), address);
    sluice_stream_options options = stream_options(0);
    options.connect_timeout_ns = 20 * NS_PER_MS;
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, &options), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 60 * NS_PER_MS), 0);
}

static void writes_before_connected(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    address_of(listener, address);
    sluice_id id = connect_to(loop, address);
    static unsigned char bytes[20000], taken[20000];
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(sluice_write(loop, id, bytes, 100), 0);
    assert_int_equal(sluice_flush(loop, id), 0);
    assert_int_equal(sluice_pending(loop, id), 100);
    assert_int_equal(sluice_write(loop, id, bytes + 100, sizeof bytes - 100), 0);
    assert_int_equal(sluice_shutdown(loop, id), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    int peer = keep(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    expect_no_event(loop);
    for (size_t at = 0; at < sizeof taken;) {
        await(peer, POLLIN);
        at += take_some(peer, taken + at, sizeof taken - at);
    }
    check_pattern(taken, 0, sizeof taken);
    expect_end(peer);
}

static void closed_before_connected(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    address_of(listener, address);
    sluice_id id = connect_to(loop, address);
    assert_int_equal(sluice_close(loop, id), 0);
    expect_closed(loop, id, 0, 0);
    id = connect_to(loop, address);
    assert_int_equal(sluice_abort(loop, id), 0);
    expect_closed(loop, id, -ECONNABORTED, 0);
    /* With something to say it says so first. */
    id = connect_to(loop, address);
    assert_int_equal(sluice_write(loop, id, "in passing", 10), 0);
    assert_int_equal(sluice_close(loop, id), 0);
    assert_int_equal(sluice_close(loop, id), 0);
    sluice_event event = {0};
    int peer = -1;
    while (peer < 0) { /* the two that went away are in the queue, too */
        await(listener, POLLIN);
        int one = keep(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
        expect_no_event(loop);
        await(one, POLLIN);
        char byte;
        if (recv(one, &byte, 1, MSG_PEEK) == 1)
            peer = one;
    }
    take_text(peer, "in passing");
    expect_end(peer);
    drop(peer);
    event = expect_event_of(loop, SLUICE_CLOSED, id);
    assert_int_equal(event.error, 0);
    expect_no_event(loop);
}

static void closed_while_under_way(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_silent_address(address);
    sluice_stream_options options = stream_options(0);
    options.linger_ns = 20 * NS_PER_MS;
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, &options), 0);
    assert_int_equal(sluice_pause(loop, id), 0);
    assert_int_equal(sluice_resume(loop, id), 0);
    assert_int_equal(sluice_write(loop, id, "never", 5), 0);
    assert_int_equal(sluice_close(loop, id), 0);
    expect_closed(loop, id, -ETIMEDOUT, 5);
}

static void unix_socket(void) {
    sluice_loop *loop = make_loop();
    char address[64];
    snprintf(address, sizeof address, "unix:@sluice-connect-%d", (int)getpid());
    expect_closed(loop, connect_to(loop, address), -ECONNREFUSED, 0);
    int listener = keep(sluice_socket_listen(address, 4));
    sluice_id id = connect_to(loop, address);
    assert_int_equal(sluice_write(loop, id, "hello", 5), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    int peer = keep(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    expect_no_event(loop);
    take_text(peer, "hello");
}

/* Two ends in one loop. */
static void to_itself(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    sluice_id client = connect_to(loop, address);
    sluice_id server = 0;
    for (int i = 0; i < 2; i++) {
        sluice_event event = next_event(loop);
        if (event.kind == SLUICE_ACCEPTED)
            server = event.id;
        else
            assert_int_equal(event.kind, SLUICE_CONNECTED);
    }
    assert_int_equal(sluice_write(loop, client, "ping", 4), 0);
    expect_text(loop, server, "ping");
    assert_int_equal(sluice_close(loop, client), 0);
    expect_event_of(loop, SLUICE_EOF, server);
    int closed = 0;
    for (; closed < 2; closed++)
        assert_int_equal(expect_event(loop, SLUICE_CLOSED).error, 0);
}

/* ---- Idling --------------------------------------------------------------------------------- */

static struct line idling_line(sluice_loop *loop, int64_t ns) {
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = ns;
    return line_of(loop, unix_pair(), &options);
}

static void idle_timeout(void) {
    sluice_loop *loop = make_loop();
    int64_t start = sluice_now(loop);
    struct line line = idling_line(loop, 30 * NS_PER_MS);
    expect_closed(loop, line.id, -ETIMEDOUT, 0);
    assert_true(monotonic_ns() - start >= 30 * NS_PER_MS);
    expect_no_event(loop);
}

/* A byte in or out postpones the limit. A timer of the loop stands for the time that passes. */
static void activity_postpones_the_idle_timeout(void) {
    sluice_loop *loop = make_loop();
    struct line line = idling_line(loop, 400 * NS_PER_MS);
    sluice_id timer;
    int64_t start = sluice_update_now(loop); /* from where its timers count */
    for (int round = 0; round < 6; round++) {
        assert_int_equal(sluice_timer(loop, &timer, 100 * NS_PER_MS, 0, 0), 0);
        expect_event_of(loop, SLUICE_TIMER, timer);
        if (round % 2 == 0) {
            put_text(line.peer, "in");
            expect_text(loop, line.id, "in");
        } else {
            assert_int_equal(sluice_write(loop, line.id, "out", 3), 0);
            expect_no_event(loop);
        }
    }
    assert_true(monotonic_ns() - start >= 600 * NS_PER_MS);
    expect_closed(loop, line.id, -ETIMEDOUT, 0);
}

static void idle_timeout_of_accepted_and_connected(void) {
    sluice_loop *loop = make_loop();
    sluice_stream_options streams = stream_options(0);
    streams.idle_timeout_ns = 20 * NS_PER_MS;
    sluice_listen_options options = listen_options();
    options.streams = &streams;
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, &options, address);
    dial(address);
    sluice_id id = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_closed(loop, id, -ETIMEDOUT, 0);
    address_of(tcp_listener(4), address);
    assert_int_equal(sluice_connect(loop, &id, address, &streams), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    expect_closed(loop, id, -ETIMEDOUT, 0);
}

static void source(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    char text[SLUICE_ADDRESS_MAX];
    address_of(tcp_listener(8), address);
    sluice_stream_options options = stream_options(0);
    options.source = "127.0.0.9:0";
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, &options), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    assert_true(sluice_local_address(loop, id, text, sizeof text) > 0);
    assert_true(strncmp(text, "127.0.0.9:", 10) == 0);
    static const struct {
        const char *source;
        int code;
    } refused[] = {{"203.0.113.1:0", -EADDRNOTAVAIL},
                   {"[::1]:0", SLUICE_EOPTION},
                   {"unix:@sluice-test", SLUICE_EOPTION},
                   {"127.0.0.1", SLUICE_EPORT}};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        options.source = refused[i].source;
        assert_int_equal(sluice_connect(loop, &id, address, &options), refused[i].code);
    }
    /* Of other streams it says nothing, and an older program does not know it. */
    line_of(loop, tcp_pair(), &options);
    options.size = offsetof(sluice_stream_options, source);
    assert_int_equal(sluice_connect(loop, &id, address, &options), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
}

int main(void) {
    static const struct test tests[] = {
        {"CONNECTED, and a stream as any other", connects, NULL},
        {"to one that speaks first and ends", connects_to_one_that_speaks_and_ends, NULL},
        {"refused: CLOSED alone", refused, NULL},
        {"connect deadline: -ETIMEDOUT", deadline, NULL},
        {"the deadline ends with the connect", deadline_ends_with_the_connect, NULL},
        {"what is written before CONNECTED is sent after it", writes_before_connected, NULL},
        {"closed before CONNECTED", closed_before_connected, NULL},
        {"closed while under way: the linger limit", closed_while_under_way, NULL},
        {"the address that it comes from", source, NULL},
        {"over a unix socket", unix_socket, NULL},
        {"to a listener of the same loop", to_itself, NULL},
        {"idle timeout: -ETIMEDOUT", idle_timeout, NULL},
        {"activity postpones the idle timeout", activity_postpones_the_idle_timeout, NULL},
        {"idle timeout of accepted and connected streams", idle_timeout_of_accepted_and_connected,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_faults.c - what the kernel and a peer may do, and seldom do: interrupted calls, accepts
 * that fail in every way, a peer that sends everything before it reads. */
#include "loops.h"

#include <errno.h>
#include <sys/socket.h>

#include "faults.h"

#define MIB ((size_t)1024 * 1024)

static unsigned char bytes[3 * 1024 * 1024];

static void interrupted_calls_are_not_seen(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    struct line local = unix_line(loop);
    make_pattern(bytes, 0, MIB);
    put_text(line.peer, "ping");
    interrupt_calls(true);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    assert_int_equal(sluice_write(loop, local.id, bytes, 100), 0);
    assert_int_equal(sluice_write(loop, local.id, bytes + 100, MIB - 100), 0);
    static unsigned char taken[65536];
    for (size_t at = 0; at < MIB;) {
        expect_no_event(loop);
        ptrdiff_t count = recv(local.peer, taken, sizeof taken, 0);
        if (count > 0) {
            check_pattern(taken, at, (size_t)count);
            at += (size_t)count;
        }
    }
    interrupt_calls(false);
    take_text(line.peer, "ping");
    expect_no_event(loop);
}

/* What befalls one caller is no error of the listener's, and costs the next no time. */
static void callers_whose_connection_has_failed(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    const int errors[] = {ECONNABORTED, EINTR,     EAGAIN,     EPROTO,     ENETDOWN,
                          EPERM,        ENONET,    EHOSTDOWN,  EOPNOTSUPP, EHOSTUNREACH,
                          ENETUNREACH,  ETIMEDOUT, ENOPROTOOPT};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        fail_accepts(errors[i], 1);
        dial(address);
        uint64_t turns = stats_of(loop).turns;
        expect_event(loop, SLUICE_ACCEPTED);
        assert_true(stats_of(loop).turns - turns < 4);
    }
    /* More than one accept passes over: the listener comes again, and is not stopped. */
    fail_accepts(EPROTO, 1000);
    dial(address);
    expect_event(loop, SLUICE_ACCEPTED);
}

/* Whatever fails, the listener lives, says so, does not spin, and goes on. */
static void failing_accepts_are_told_and_tried_again(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener = make_listener(loop, NULL, address);
    const int errors[] = {ENFILE, ENOBUFS, ENOMEM, EACCES};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        fail_accepts(errors[i], 1);
        dial(address);
        uint64_t turns = stats_of(loop).turns;
        sluice_event event = expect_event_of(loop, SLUICE_OVERLOADED, listener);
        assert_int_equal(event.error, -errors[i]);
        if (errors[i] == ENFILE)
            dial(address); /* the first was turned away */
        expect_event(loop, SLUICE_ACCEPTED);
        assert_true(stats_of(loop).turns - turns < 10);
    }
}

/* The peer reads nothing before it has sent everything, which is more than there is room for. */
static void close_towards_a_peer_that_sends_first(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 1);
    assert_int_equal(sluice_close(loop, line.id), 0);
    static unsigned char piece[65536];
    int64_t end = monotonic_ns() + 5000 * NS_PER_MS;
    for (size_t sent = 0; sent < 16 * MIB;) {
        assert_true(monotonic_ns() < end);
        ptrdiff_t count = sluice_socket_send(line.peer, piece, sizeof piece);
        sent += count > 0 ? (size_t)count : 0;
        expect_no_event(loop);
    }
    for (size_t at = 0; at < sizeof bytes;) {
        size_t count = take_some(line.peer, piece, sizeof piece);
        check_pattern(piece, at, count);
        at += count;
        expect_no_event(loop);
    }
    expect_end(line.peer);
    drop(line.peer);
    expect_closed(loop, line.id, 0, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"EINTR from read, send and sendmsg", interrupted_calls_are_not_seen, NULL},
        {"callers whose connection has failed", callers_whose_connection_has_failed, NULL},
        {"ENFILE and other failures of accept", failing_accepts_are_told_and_tried_again, NULL},
        {"close towards a peer that sends all first", close_towards_a_peer_that_sends_first, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

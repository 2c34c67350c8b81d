/* test_loop_reset.c - what the peer sees if an end is not orderly. If bytes to the peer or from the
 * peer are lost, it sees a reset. Otherwise it sees the end of what was sent. */
#include "loops.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

static unsigned char bytes[4 * 1024 * 1024];

/* Reads what came before it, and then a reset. */
static void expect_reset(int fd) {
    static char taken[65536];
    ptrdiff_t count;
    do {
        await(fd, POLLIN | POLLHUP);
        count = read(fd, taken, sizeof taken);
    } while (count > 0);
    if (count == 0)
        fail_msg("the peer sees an orderly end");
    assert_int_equal(errno, ECONNRESET);
}

static void abort_line(sluice_loop *loop, struct line line, size_t unsent) {
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_closed(loop, line.id, -ECONNABORTED, unsent);
}

static void abort_line_with(sluice_loop *loop, struct line line, int error, size_t unsent) {
    assert_int_equal(sluice_abort_with(loop, line.id, error), 0);
    assert_int_equal(sluice_abort_with(loop, line.id, error), SLUICE_ESTALE);
    expect_closed(loop, line.id, error, unsent);
}

/* ---- An abort ------------------------------------------------------------------------------- */

static void abort_with_bytes_queued(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    write_all(loop, line.id, "never sent", 10);
    abort_line(loop, line, 10);
    expect_reset(line.peer);
}

static void abort_with_an_echo_put_off(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    put_text(line.peer, "ping");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    write_all(loop, line.id, event.data, event.length);
    abort_line(loop, line, 4);
    expect_reset(line.peer);
}

static void abort_amid_a_close(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    write_all(loop, line.id, bytes, sizeof bytes);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop);
    abort_line(loop, line, (size_t)sluice_pending(loop, line.id));
    expect_reset(line.peer);
}

/* Nothing is queued here, but the kernel has bytes that the peer has no room for. */
static void abort_with_bytes_that_the_kernel_has(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    fill(sluice_fd(loop, line.id));
    int unsent = 0;
    assert_int_equal(ioctl(sluice_fd(loop, line.id), SIOCOUTQ, &unsent), 0);
    assert_true(unsent > 0);
    abort_line(loop, line, 0);
    expect_reset(line.peer);
}

static void abort_with_bytes_unread(void) {
    sluice_loop *loop = make_loop();
    const struct line lines[] = {tcp_line(loop), unix_line(loop)};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        put_text(lines[i].peer, "is anybody there?");
        await_bytes(sluice_fd(loop, lines[i].id), 17);
        abort_line(loop, lines[i], 0);
        expect_reset(lines[i].peer);
    }
}

/* All that was sent has arrived, and nothing was lost. */
static void abort_with_nothing_queued_or_unread(void) {
    sluice_loop *loop = make_loop();
    const struct line lines[] = {tcp_line(loop), unix_line(loop)};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        put_text(lines[i].peer, "hello");
        expect_text(loop, lines[i].id, "hello");
        write_all(loop, lines[i].id, "bye", 3);
        assert_int_equal(sluice_flush(loop, lines[i].id), 0);
        take_text(lines[i].peer, "bye");
        abort_line(loop, lines[i], 0);
        expect_end(lines[i].peer);
    }
}

/* A unix socket has no reset to send: the peer sees an end. */
static void abort_of_a_unix_socket_with_bytes_queued(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    write_all(loop, line.id, "never sent", 10);
    abort_line(loop, line, 10);
    expect_end(line.peer);
}

/* Where something has failed, what the peer has must not look whole, though nothing is lost. */
static void abort_with_a_reason(void) {
    sluice_loop *loop = make_loop();
    const int errors[] = {SLUICE_EFULL, -EPROTO, -ECONNRESET, -ECONNABORTED, -1, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        struct line line = tcp_line(loop);
        write_all(loop, line.id, "never sent", 10);
        abort_line_with(loop, line, errors[i], 10);
        expect_reset(line.peer);
        line = tcp_line(loop);
        fill(sluice_fd(loop, line.id));
        abort_line_with(loop, line, errors[i], 0);
        expect_reset(line.peer);
        line = tcp_line(loop);
        abort_line_with(loop, line, errors[i], 0);
        if (errors[i] == -ECONNABORTED)
            expect_end(line.peer);
        else
            expect_reset(line.peer);
    }
}

/* CLOSED has the caller's reason, even if a send had failed before. */
static void abort_with_a_reason_after_a_failure(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    put_text(line.peer, "unread");
    drop(line.peer);
    write_all(loop, line.id, "lost", 4);
    assert_int_equal(sluice_flush(loop, line.id), -EPIPE);
    abort_line_with(loop, line, SLUICE_EFULL, 4);
}

static void a_reason_that_is_none(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_abort_with(loop, line.id, 0), SLUICE_EOPTION);
    assert_int_equal(sluice_abort_with(loop, line.id, ECONNRESET), SLUICE_EOPTION);
    put_text(line.peer, "still there");
    expect_text(loop, line.id, "still there");
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
    assert_int_equal(sluice_abort_with(loop, timer, 1), SLUICE_EOPTION);
    assert_int_equal(sluice_abort_with(loop, timer, -EPROTO), 0);
    expect_no_event(loop);
}

/* ---- Other ends ----------------------------------------------------------------------------- */

static struct line timed_line(sluice_loop *loop) {
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = options.linger_ns = 20 * NS_PER_MS;
    return line_of(loop, tcp_pair(), &options);
}

static void idle_limit(void) {
    sluice_loop *loop = make_loop();
    struct line line = timed_line(loop);
    write_all(loop, line.id, bytes, sizeof bytes);
    size_t unsent = (size_t)sluice_pending(loop, line.id);
    expect_closed(loop, line.id, -ETIMEDOUT, unsent);
    expect_reset(line.peer);
    line = timed_line(loop);
    expect_closed(loop, line.id, -ETIMEDOUT, 0);
    expect_end(line.peer);
}

static void linger_limit(void) {
    sluice_loop *loop = make_loop();
    struct line line = timed_line(loop);
    write_all(loop, line.id, bytes, sizeof bytes);
    size_t unsent = (size_t)sluice_pending(loop, line.id);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_closed(loop, line.id, -ETIMEDOUT, unsent);
    expect_reset(line.peer);
}

/* The kernel has all that is left to send by then: that is an orderly end, and it goes on sending.
 */
static void linger_limit_where_the_kernel_has_all(void) {
    sluice_loop *loop = make_loop();
    struct line line = timed_line(loop);
    fill(sluice_fd(loop, line.id));
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_closed(loop, line.id, 0, 0);
    static char taken[65536];
    ptrdiff_t count;
    do {
        await(line.peer, POLLIN | POLLHUP);
        count = read(line.peer, taken, sizeof taken);
    } while (count > 0);
    assert_int_equal(count, 0);
}

/* It is no abort of ours, although the error is the same: what was sent goes on its way. */
static void a_receive_that_says_aborted(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    fill(sluice_fd(loop, line.id));
    fail_receives(ECONNABORTED, 1);
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    expect_closed(loop, line.id, -ECONNABORTED, 0);
    static char taken[65536];
    ptrdiff_t count;
    do {
        await(line.peer, POLLIN | POLLHUP);
        count = read(line.peer, taken, sizeof taken);
    } while (count > 0);
    assert_int_equal(count, 0);
}

/* A loop that ends offers what is queued, and closes. If not all goes, the peer sees an end. */
static void destroy_with_bytes_queued(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    write_all(loop, line.id, "last words", 10);
    end_loop(loop);
    take_text(line.peer, "last words");
    expect_end(line.peer);
}

int main(void) {
    static const struct test tests[] = {
        {"abort with bytes queued: a reset", abort_with_bytes_queued, NULL},
        {"abort with an echo that waits: a reset", abort_with_an_echo_put_off, NULL},
        {"abort amid a close: a reset", abort_amid_a_close, NULL},
        {"abort with bytes that the kernel has not sent: a reset",
         abort_with_bytes_that_the_kernel_has, NULL},
        {"abort with bytes unread: a reset", abort_with_bytes_unread, NULL},
        {"abort with nothing queued or unread: an end", abort_with_nothing_queued_or_unread, NULL},
        {"abort of a unix socket with bytes queued: an end",
         abort_of_a_unix_socket_with_bytes_queued, NULL},
        {"abort with a reason: CLOSED says it, and the peer sees a reset", abort_with_a_reason,
         NULL},
        {"abort with a reason after a failure: CLOSED says the reason",
         abort_with_a_reason_after_a_failure, NULL},
        {"abort with a reason that is none: refused", a_reason_that_is_none, NULL},
        {"a receive that says aborted: an end", a_receive_that_says_aborted, NULL},
        {"idle limit: a reset where bytes were queued", idle_limit, NULL},
        {"linger limit: a reset where bytes were queued", linger_limit, NULL},
        {"linger limit where the kernel has all: an end", linger_limit_where_the_kernel_has_all,
         NULL},
        {"a loop that ends: an end", destroy_with_bytes_queued, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

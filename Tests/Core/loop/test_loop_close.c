/* test_loop_close.c - how a stream ends: exactly one CLOSED that says why and how much was not
 * sent, and nothing after it. test_loop_eof.c tests what follows from the end of the input, and
 * test_loop_reset.c tests what the peer sees if an end is not orderly. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define MIB ((size_t)1024 * 1024)

static unsigned char bytes[4 * 1024 * 1024];

static void close_idle(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop); /* the peer is told, and has not ended */
    expect_end(line.peer);
    drop(line.peer);
    expect_closed(loop, line.id, 0, 0);
    expect_no_event(loop);
}

/* All that is queued goes first, and what the peer sends meanwhile resets nothing. */
static void close_sends_all_first(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    const size_t length = sizeof bytes;
    make_pattern(bytes, 0, length);
    assert_int_equal(sluice_write(loop, line.id, bytes, length), 0);
    assert_int_equal(sluice_close(loop, line.id), 0);
    assert_true(sluice_pending(loop, line.id) > 0);
    assert_int_equal(sluice_write(loop, line.id, "x", 1), -EPIPE);
    static unsigned char taken[65536];
    for (size_t at = 0; at < length;) {
        put_byte(line.peer);
        expect_no_event(loop);
        size_t count = take_some(line.peer, taken, sizeof taken);
        check_pattern(taken, at, count);
        at += count;
    }
    expect_no_event(loop);
    expect_end(line.peer);
    put_text(line.peer, "late");
    expect_no_event(loop);
    drop(line.peer);
    expect_closed(loop, line.id, 0, 0);
    expect_no_event(loop);
}

static void close_twice(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_write(loop, line.id, "last words", 10), 0);
    assert_int_equal(sluice_close(loop, line.id), 0);
    assert_int_equal(sluice_close(loop, line.id), 0);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    take_text(line.peer, "");
    expect_no_event(loop);
    assert_int_equal(sluice_close(loop, line.id), 0);
    take_text(line.peer, "last words");
    drop(line.peer);
    expect_closed(loop, line.id, 0, 0);
    assert_int_equal(sluice_close(loop, line.id), SLUICE_ESTALE);
    expect_no_event(loop);
}

/* The peer takes nothing, until the time for a close is over. */
static void linger_limit(void) {
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(0);
    options.linger_ns = 30 * NS_PER_MS;
    struct line line = line_of(loop, tcp_pair(), &options);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    int64_t start = sluice_now(loop);
    assert_int_equal(sluice_close(loop, line.id), 0);
    sluice_event event = expect_event_of(loop, SLUICE_CLOSED, line.id);
    assert_true(monotonic_ns() - start >= 30 * NS_PER_MS);
    assert_int_equal(event.error, -ETIMEDOUT);
    assert_true(event.length > 0);
    assert_int_equal(event.length, sizeof bytes - stats_of(loop).bytes_sent);
    expect_no_event(loop);
}

/* The peer has all, and does not end: that is its affair. */
static void linger_for_a_peer_that_stays(void) {
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(0);
    options.linger_ns = 30 * NS_PER_MS;
    struct line line = line_of(loop, tcp_pair(), &options);
    assert_int_equal(sluice_write(loop, line.id, "bye", 3), 0);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_closed(loop, line.id, 0, 0);
    take_text(line.peer, "bye");
    expect_end(line.peer);
}

static void abort_at_once(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_write(loop, line.id, "never sent", 10), 0);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_ESTALE);
    assert_int_equal(sluice_write(loop, line.id, "x", 1), SLUICE_ESTALE);
    assert_int_equal(sluice_abort(loop, line.id), SLUICE_ESTALE);
    expect_closed(loop, line.id, -ECONNABORTED, 10);
    expect_no_event(loop);
}

static void abort_counts_an_echo_that_waits(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    put_text(line.peer, "ping");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_closed(loop, line.id, -ECONNABORTED, 4);
}

static void abort_amid_a_close(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop);
    size_t pending = (size_t)sluice_pending(loop, line.id);
    assert_true(pending > 0);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_closed(loop, line.id, -ECONNABORTED, pending);
    expect_no_event(loop);
}

static void peer_resets(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    reset_connection(line.peer);
    expect_closed(loop, line.id, -ECONNRESET, 0);
    expect_no_event(loop);
}

static void peer_resets_with_output_queued(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    size_t sent = (size_t)stats_of(loop).bytes_sent;
    reset_connection(line.peer);
    sluice_event event = expect_event_of(loop, SLUICE_CLOSED, line.id);
    assert_true(event.error == -ECONNRESET || event.error == -EPIPE);
    assert_int_equal(event.length, sizeof bytes - sent);
    expect_no_event(loop);
}

/* The loop has not seen the reset yet when it is told to close, or to write much. */
static void close_after_a_reset_unseen(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    reset_connection(line.peer);
    assert_int_equal(sluice_close(loop, line.id), 0);
    sluice_event event = expect_event_of(loop, SLUICE_CLOSED, line.id);
    assert_true(event.error == -ECONNRESET || event.error == 0);
    expect_no_event(loop);
}

static void write_after_a_reset_unseen(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    reset_connection(line.peer);
    assert_int_equal(sluice_write(loop, line.id, bytes, MIB), -ECONNRESET);
    expect_closed(loop, line.id, -ECONNRESET, 0);
    expect_no_event(loop);
}

/* ---- Others of the same batch --------------------------------------------------------------- */

static void aborted_gives_no_event_gathered_already(void) {
    sluice_loop *loop = make_loop();
    struct line lines[8];
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i] = unix_line(loop);
        put_text(lines[i].peer, "data");
    }
    sluice_id first = expect_event(loop, SLUICE_DATA).id;
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        if (lines[i].id != first)
            assert_int_equal(sluice_abort(loop, lines[i].id), 0);
    for (size_t i = 1; i < COUNT_OF(lines); i++)
        assert_int_equal(expect_event(loop, SLUICE_CLOSED).error, -ECONNABORTED);
    expect_no_event(loop);
}

static void closed_gives_no_event_gathered_already(void) {
    sluice_loop *loop = make_loop();
    struct line lines[8];
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i] = unix_line(loop);
        put_text(lines[i].peer, "data");
        assert_int_equal(shutdown(lines[i].peer, SHUT_WR), 0);
    }
    expect_event(loop, SLUICE_DATA);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_int_equal(sluice_close(loop, lines[i].id), 0);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        sluice_event event = expect_event(loop, SLUICE_CLOSED);
        assert_int_equal(event.error, 0);
        assert_int_equal(event.length, 0);
    }
    expect_no_event(loop);
}

/* A number that one closes and the next connection gets: no event is taken for the other's. */
static void a_number_used_again_in_the_same_batch(void) {
    sluice_loop *loop = make_loop();
    struct line lines[4];
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i] = unix_line(loop);
        put_text(lines[i].peer, "old");
    }
    sluice_id first = expect_event(loop, SLUICE_DATA).id;
    struct line news[COUNT_OF(lines)];
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        if (lines[i].id != first)
            assert_int_equal(sluice_abort(loop, lines[i].id), 0);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        news[i] = unix_line(loop);
    for (size_t i = 1; i < COUNT_OF(lines); i++)
        expect_event(loop, SLUICE_CLOSED);
    expect_no_event(loop);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        put_text(news[i].peer, "new");
        expect_text(loop, news[i].id, "new");
    }
}

static void destroy_with_everything_alive(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
    while (next_event(loop).kind != SLUICE_ACCEPTED) {
    }
    struct line line = tcp_line(loop);
    struct line other = tcp_line(loop);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    assert_int_equal(sluice_forward(loop, other.id, line.id), 0);
    assert_int_equal(sluice_close(loop, tcp_line(loop).id), 0);
    assert_int_equal(sluice_abort(loop, tcp_line(loop).id), 0);
    struct line holding = unix_line(loop);
    put_text(holding.peer, "held");
    sluice_event event;
    do
        event = next_event(loop);
    while (event.kind != SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, event.id, 2), 0);
    assert_int_equal(sluice_timer(loop, &id, 0, NS_PER_MS, 0), 0);
    assert_int_equal(sluice_timer(loop, &id, NS_PER_MS * 10000, 0, 0), 0);
    assert_int_equal(sluice_watch(loop, &id, unix_pair().near, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_signal(loop, &id, SIGUSR1), 0);
    assert_int_equal(sluice_post(loop, 1), 0);
    end_loop(loop);
}

int main(void) {
    static const struct test tests[] = {
        {"close of an idle stream: one CLOSED, without error", close_idle, NULL},
        {"close sends all first, also while the peer sends", close_sends_all_first, NULL},
        {"close twice is close", close_twice, NULL},
        {"linger: -ETIMEDOUT and what was not sent", linger_limit, NULL},
        {"linger: no error where all was sent", linger_for_a_peer_that_stays, NULL},
        {"abort: at once, and says what was not sent", abort_at_once, NULL},
        {"abort counts an echo that waits", abort_counts_an_echo_that_waits, NULL},
        {"abort amid a close", abort_amid_a_close, NULL},
        {"reset by the peer", peer_resets, NULL},
        {"reset by the peer, with output queued", peer_resets_with_output_queued, NULL},
        {"close after a reset that was not seen", close_after_a_reset_unseen, NULL},
        {"write after a reset that was not seen", write_after_a_reset_unseen, NULL},
        {"aborted: no event gathered already", aborted_gives_no_event_gathered_already, NULL},
        {"closed: no event gathered already", closed_gives_no_event_gathered_already, NULL},
        {"a number used again in the same batch", a_number_used_again_in_the_same_batch, NULL},
        {"destroy with everything alive leaks nothing", destroy_with_everything_alive, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

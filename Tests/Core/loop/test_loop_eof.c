/* test_loop_eof.c - the end of a peer's output: EOF, and then an orderly close by itself, unless
 * the stream stays half-open. And the other direction: shutdown. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static unsigned char bytes[3 * 1024 * 1024];

static struct line half_open_line(sluice_loop *loop) {
    sluice_stream_options options = stream_options(SLUICE_HALF_OPEN);
    return line_of(loop, tcp_pair(), &options);
}

static void finish(int fd) {
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

/* Reads `length` bytes of the pattern at the peer, while the loop has no events but DRAINED. */
static void take_pattern(sluice_loop *loop, int fd, size_t length) {
    static unsigned char taken[65536];
    for (size_t at = 0; at < length;) {
        sluice_event event;
        if (pull_now(loop, &event))
            assert_int_equal(event.kind, SLUICE_DRAINED);
        size_t count = take_some(fd, taken, sizeof taken);
        check_pattern(taken, at, count);
        at += count;
    }
}

static void eof_then_closed(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    put_text(line.peer, "last");
    finish(line.peer);
    expect_text(loop, line.id, "last");
    expect_event_of(loop, SLUICE_EOF, line.id);
    assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_KIND_STREAM);
    expect_closed(loop, line.id, 0, 0);
    expect_end(line.peer);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 0);
}

static void answer_to_eof(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    finish(line.peer);
    expect_event_of(loop, SLUICE_EOF, line.id);
    assert_int_equal(sluice_write(loop, line.id, "goodbye", 7), 0);
    expect_closed(loop, line.id, 0, 0);
    take_text(line.peer, "goodbye");
    expect_end(line.peer);
}

static void queued_output_is_sent_after_eof(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    make_pattern(bytes, 0, sizeof bytes);
    finish(line.peer);
    expect_event_of(loop, SLUICE_EOF, line.id);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    static unsigned char taken[65536];
    sluice_event event = {0};
    for (size_t at = 0; at < sizeof bytes || event.kind != SLUICE_CLOSED;) {
        if (pull_now(loop, &event))
            assert_int_equal(event.kind, SLUICE_CLOSED);
        size_t count = take_some(line.peer, taken, sizeof taken);
        check_pattern(taken, at, count);
        at += count;
    }
    assert_int_equal(event.error, 0);
    assert_int_equal(event.length, 0);
    expect_end(line.peer);
}

/* The answer of the six lines: every byte comes back, whole, though the peer ended at once. */
static void echo_to_a_peer_that_ends_at_once(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    put_text(line.peer, "one breath");
    finish(line.peer);
    sluice_event event = {0};
    while (event.kind != SLUICE_CLOSED) {
        event = next_event(loop);
        if (event.kind == SLUICE_DATA)
            assert_int_equal(sluice_write(loop, event.id, event.data, event.length), 0);
    }
    take_text(line.peer, "one breath");
    expect_end(line.peer);
}

static void half_open_stays(void) {
    sluice_loop *loop = make_loop();
    struct line line = half_open_line(loop);
    finish(line.peer);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_no_event(loop);
    assert_int_equal(sluice_write(loop, line.id, "still here", 10), 0);
    expect_no_event(loop);
    take_text(line.peer, "still here");
    assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_KIND_STREAM);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    expect_closed(loop, line.id, 0, 0);
    expect_end(line.peer);
    expect_no_event(loop);
}

/* Over the high mark meanwhile: the end comes after the last byte all the same. */
static void half_open_shutdown_with_much_queued(void) {
    sluice_loop *loop = make_loop();
    struct line line = half_open_line(loop);
    finish(line.peer);
    expect_event_of(loop, SLUICE_EOF, line.id);
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    static unsigned char taken[65536];
    sluice_event event = {0};
    int64_t end = monotonic_ns() + PATIENCE_NS;
    for (size_t at = 0; event.kind != SLUICE_CLOSED;) {
        assert_true(monotonic_ns() < end);
        if (pull_now(loop, &event) && event.kind != SLUICE_CLOSED)
            assert_int_equal(event.kind, SLUICE_DRAINED);
        size_t count = take_some(line.peer, taken, sizeof taken);
        check_pattern(taken, at, count);
        at += count;
    }
    assert_int_equal(event.error, 0);
    assert_int_equal(event.length, 0);
    expect_no_event(loop);
}

/* One send brings the queue from over its high mark to nothing: no DRAINED keeps the end away. */
static void half_open_shutdown_as_it_drains(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 4096});
    struct line line = half_open_line(loop);
    finish(line.peer);
    expect_event_of(loop, SLUICE_EOF, line.id);
    assert_int_equal(sluice_write(loop, line.id, bytes, 5000), 1);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    expect_closed(loop, line.id, 0, 0);
}

static void shutdown_then_eof(void) {
    sluice_loop *loop = make_loop();
    struct line line = half_open_line(loop);
    assert_int_equal(sluice_write(loop, line.id, "question", 8), 0);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    assert_int_equal(sluice_write(loop, line.id, "x", 1), -EPIPE);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    expect_no_event(loop);
    take_text(line.peer, "question");
    expect_end(line.peer);
    put_text(line.peer, "answer");
    expect_text(loop, line.id, "answer");
    finish(line.peer);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
    expect_no_event(loop);
}

/* Shutdown tells the peer only after all that is queued. */
static void shutdown_sends_all_first(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    take_pattern(loop, line.peer, sizeof bytes);
    sluice_event event;
    while (pull_now(loop, &event))
        assert_int_equal(event.kind, SLUICE_DRAINED);
    expect_end(line.peer);
    put_text(line.peer, "and you?");
    expect_text(loop, line.id, "and you?");
}

static void shutdown_of_an_echo_that_waits(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    put_text(line.peer, "ping");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    expect_no_event(loop);
    take_text(line.peer, "ping");
    expect_end(line.peer);
}

/* ---- Pausing -------------------------------------------------------------------------------- */

static void pause_stops_data_and_eof(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    put_text(line.peer, "late");
    finish(line.peer);
    expect_no_event(loop);
    assert_int_equal(sluice_write(loop, line.id, "out", 3), 0);
    expect_no_event(loop);
    take_text(line.peer, "out");
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_text(loop, line.id, "late");
    assert_int_equal(sluice_pause(loop, line.id), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
}

static void pause_within_a_batch(void) {
    sluice_loop *loop = make_loop();
    struct line lines[6];
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i] = unix_line(loop);
        put_text(lines[i].peer, "data");
    }
    sluice_id first = expect_event(loop, SLUICE_DATA).id;
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_int_equal(sluice_pause(loop, lines[i].id), 0);
    expect_no_event(loop);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        assert_int_equal(sluice_resume(loop, lines[i].id), 0);
        if (lines[i].id != first)
            expect_text(loop, lines[i].id, "data");
    }
    expect_no_event(loop);
}

static void pause_does_not_keep_from_closing(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    put_text(line.peer, "unread");
    assert_int_equal(sluice_write(loop, line.id, "bye", 3), 0);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop);
    take_text(line.peer, "bye");
    expect_end(line.peer);
    drop(line.peer);
    expect_closed(loop, line.id, 0, 0);
}

/* A paused stream whose peer resets costs nothing while it is paused. */
static void pause_does_not_spin(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    put_text(line.peer, "unread");
    reset_connection(line.peer);
    sluice_event event;
    uint64_t before = stats_of(loop).turns;
    int code = sluice_next(loop, &event, 50 * NS_PER_MS);
    if (code == 1)
        assert_int_equal(event.kind, SLUICE_CLOSED);
    assert_true(stats_of(loop).turns - before <= 5);
}

int main(void) {
    static const struct test tests[] = {
        {"EOF, then an orderly close by itself", eof_then_closed, NULL},
        {"what is written upon EOF is sent", answer_to_eof, NULL},
        {"queued output is sent after EOF", queued_output_is_sent_after_eof, NULL},
        {"echo to a peer that ends at once", echo_to_a_peer_that_ends_at_once, NULL},
        {"half-open: stays after EOF, until the shutdown", half_open_stays, NULL},
        {"half-open: shutdown with much queued", half_open_shutdown_with_much_queued, NULL},
        {"half-open: shutdown as the queue drains", half_open_shutdown_as_it_drains, NULL},
        {"shutdown, then EOF, end the stream", shutdown_then_eof, NULL},
        {"shutdown sends all first", shutdown_sends_all_first, NULL},
        {"shutdown of an echo that waits", shutdown_of_an_echo_that_waits, NULL},
        {"pause stops DATA and EOF, resume brings them", pause_stops_data_and_eof, NULL},
        {"pause within a batch", pause_within_a_batch, NULL},
        {"pause does not keep a stream from closing", pause_does_not_keep_from_closing, NULL},
        {"pause does not spin", pause_does_not_spin, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

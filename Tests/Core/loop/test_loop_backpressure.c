/* test_loop_backpressure.c - queues that grow: marks, limits, DRAINED; and fairness. */
#include "loops.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static unsigned char bytes[2 * 1024 * 1024];

/* A stream that is throttled, as accepted ones are, and whose kernel buffer is small, so that its
 * queue empties in small steps. */
static struct line slow_line(sluice_loop *loop) {
    struct pair pair = unix_pair();
    const int size = 4096;
    assert_int_equal(setsockopt(pair.near, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    const sluice_stream_options options = stream_options(SLUICE_THROTTLED);
    return line_of(loop, pair, &options);
}

/* Takes at the peer until no more than `left` bytes are queued, pulling DRAINED alone: how many. */
static int drain_to(sluice_loop *loop, struct line line, int64_t left) {
    static unsigned char taken[4096];
    int drained = 0;
    int64_t end = monotonic_ns() + PATIENCE_NS;
    while (sluice_pending(loop, line.id) > left) {
        assert_true(monotonic_ns() < end);
        take_some(line.peer, taken, sizeof taken);
        sluice_event event;
        while (pull_now(loop, &event)) {
            assert_int_equal(event.kind, SLUICE_DRAINED);
            assert_int_equal(event.id, line.id);
            drained++;
        }
    }
    return drained;
}

static void not_read_from_above_the_high_mark(void) {
    sluice_loop *loop = make_loop();
    struct line line = slow_line(loop);
    assert_int_equal(sluice_write(loop, line.id, bytes, 2 * MIB), 1);
    put_text(line.peer, "question");
    expect_no_event(loop);
    /* Between the marks the loop does not read from it, and there is no event. */
    assert_int_equal(drain_to(loop, line, INT64_C(300) * 1024), 0);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).receives, 0);
    static unsigned char taken[4096];
    sluice_event event = {0};
    while (!pull_now(loop, &event))
        take_some(line.peer, taken, sizeof taken);
    assert_int_equal(event.kind, SLUICE_DRAINED);
    assert_in_range(sluice_pending(loop, line.id), 200 * 1024, 256 * 1024);
    expect_text(loop, line.id, "question");
    expect_no_event(loop);
}

static void drained_once(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 64 * KIB});
    struct line line = unix_line(loop);
    fill(sluice_fd(loop, line.id));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(sluice_write(loop, line.id, bytes, 64 * KIB), 0);
        expect_no_event(loop);
        assert_int_equal(sluice_write(loop, line.id, bytes, 1), 1);
        assert_int_equal(sluice_write(loop, line.id, bytes, 64 * KIB), 1);
        assert_int_equal(drain_to(loop, line, INT64_C(16) * 1024), 1);
        assert_int_equal(drain_to(loop, line, 0), 0);
        fill(sluice_fd(loop, line.id));
    }
}

/* Up and down between the marks is no reason to stop, and over the high one only a first. */
static void hysteresis(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.high_mark = 256 * KIB, .low_mark = 64 * KIB});
    struct line line = slow_line(loop);
    fill(sluice_fd(loop, line.id));
    assert_int_equal(sluice_write(loop, line.id, bytes, 250 * KIB), 0);
    assert_int_equal(drain_to(loop, line, INT64_C(40) * 1024), 0);
    assert_int_equal(sluice_write(loop, line.id, bytes, 250 * KIB), 1);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(drain_to(loop, line, INT64_C(160) * 1024), 0);
        assert_int_equal(sluice_write(loop, line.id, bytes, 120 * KIB), 1);
    }
    assert_int_equal(drain_to(loop, line, 0), 1);
}

static void echo_stops_reading_from_a_peer_that_does_not_read(void) {
    sluice_loop *loop = make_loop();
    const sluice_stream_options options = stream_options(SLUICE_THROTTLED);
    struct line line = line_of(loop, tcp_pair(), &options);
    size_t sent = 0;
    int64_t end = monotonic_ns() + PATIENCE_NS;
    /* Until a hundred rounds in a row have taken nothing of the peer's. */
    for (int idle = 0; idle < 100; idle++) {
        assert_true(monotonic_ns() < end);
        ptrdiff_t count = sluice_socket_send(line.peer, bytes, sizeof bytes);
        if (count > 0) {
            sent += (size_t)count;
            idle = 0;
        }
        sluice_event event;
        while (pull_now(loop, &event)) {
            idle = 0;
            assert_int_equal(event.kind, SLUICE_DATA);
            assert_true(sluice_write(loop, event.id, event.data, event.length) >= 0);
        }
    }
    assert_true(sluice_pending(loop, line.id) > (int64_t)MIB);
    assert_true(sluice_pending(loop, line.id) <= (int64_t)(MIB + 64 * KIB));
    assert_true(loop_memory(loop) < 3 * MIB);
    assert_true(sent > MIB);
}

static void full_at_the_hard_limit(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.high_mark = 64 * KIB, .hard_limit = 100 * KIB});
    struct line line = unix_line(loop);
    fill(sluice_fd(loop, line.id));
    assert_int_equal(sluice_write(loop, line.id, bytes, 100 * KIB), 1);
    assert_int_equal(sluice_write(loop, line.id, bytes, 1), SLUICE_EFULL);
    assert_int_equal(sluice_pending(loop, line.id), 100 * KIB);
    drain_to(loop, line, INT64_C(90) * 1024);
    int64_t pending = sluice_pending(loop, line.id);
    size_t room = 100 * KIB - (size_t)pending;
    assert_int_equal(sluice_write(loop, line.id, bytes, room + 1), SLUICE_EFULL);
    const sluice_slice slices[] = {{bytes, room}, {bytes, 1}};
    assert_int_equal(sluice_writev(loop, line.id, slices, 2), SLUICE_EFULL);
    assert_int_equal(sluice_pending(loop, line.id), pending);
    assert_int_equal(sluice_writev(loop, line.id, slices, 1), 1);
    assert_int_equal(sluice_write(loop, line.id, NULL, 0), 0);
    struct line other = unix_line(loop);
    assert_int_equal(sluice_write(loop, other.id, bytes, 100 * KIB + 1), SLUICE_EFULL);
    assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_KIND_STREAM);
}

/* All queues and what is held, together. */
static void memory_limit(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.memory_limit = 128 * KIB});
    struct line lines[4];
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i] = unix_line(loop);
        fill(sluice_fd(loop, lines[i].id));
    }
    size_t before = loop_memory(loop);
    int refused = 0;
    for (int i = 0; i < 100; i++) {
        int code = sluice_write(loop, lines[i % 4].id, bytes, 3000);
        assert_true(code == 0 || code == SLUICE_EFULL);
        refused += code < 0;
    }
    assert_in_range(refused, 40, 75);
    assert_true(loop_memory(loop) - before <= 129 * KIB);
    size_t pending = 0;
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        pending += (size_t)sluice_pending(loop, lines[i].id);
    assert_int_equal(pending, (size_t)(100 - refused) * 3000);
    assert_int_equal(sluice_write(loop, lines[0].id, bytes, MIB), SLUICE_EFULL);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        drain_to(loop, lines[i], 0);
    assert_int_equal(sluice_write(loop, lines[0].id, bytes, 100 * KIB), 0);
    assert_true(stats_of(loop).queue_memory <= 129 * KIB);
}

static void memory_limit_counts_what_is_held(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.memory_limit = 128 * KIB, .receive_size = 256 * KIB});
    struct line line = unix_line(loop);
    struct line other = unix_line(loop);
    fill(sluice_fd(loop, other.id));
    assert_int_equal(write(line.peer, bytes, 100 * KIB), 100 * KIB);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, 100 * KIB);
    assert_int_equal(sluice_hold(loop, line.id, event.length), 0);
    assert_int_equal(sluice_write(loop, other.id, bytes, 100 * KIB), SLUICE_EFULL);
    assert_int_equal(sluice_write(loop, other.id, bytes, 20 * KIB), 0);
    assert_int_equal(sluice_hold(loop, line.id, 0), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_write(loop, other.id, bytes, 100 * KIB), 0);
}

/* ---- Fairness ------------------------------------------------------------------------------- */

/* Streams whose peers always have more for them: nobody waits longer than a turn. */
static void endless_data_starves_nobody(void) {
    sluice_loop *loop = make_loop();
    struct line endless[3];
    for (size_t i = 0; i < COUNT_OF(endless); i++)
        endless[i] = unix_line(loop);
    struct line quiet = unix_line(loop);
    sluice_id timer;
    sluice_event event;
    bool seen[3] = {false, false, false};
    for (int pulls = 0; pulls < 60; pulls++) {
        for (size_t i = 0; i < COUNT_OF(endless); i++)
            (void)sluice_socket_send(endless[i].peer, bytes, sizeof bytes);
        if (pulls == 30) {
            put_text(quiet.peer, "me too");
            assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
            assert_int_equal(sluice_post(loop, 5), 0);
        }
        assert_true(pull_now(loop, &event));
        seen[0] |= event.id == quiet.id;
        seen[1] |= event.kind == SLUICE_TIMER;
        seen[2] |= event.kind == SLUICE_POSTED;
        if (pulls >= 30 + 3 * 4)
            assert_true(seen[0] && seen[1] && seen[2]);
    }
}

/* Less room for a receive than there is always available. The same for the receive buffer. */
static void endless_data_in_small_receives(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    struct line endless = unix_line(loop);
    struct line quiet = unix_line(loop);
    sluice_id timer;
    bool seen[2] = {false, false};
    for (int pulls = 0; pulls < 20; pulls++) {
        (void)sluice_socket_send(endless.peer, bytes, sizeof bytes);
        if (pulls == 10) {
            put_text(quiet.peer, "me too");
            assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
        }
        sluice_event event;
        assert_true(pull_now(loop, &event));
        assert_true(event.length <= 4096);
        seen[0] |= event.id == quiet.id;
        seen[1] |= event.kind == SLUICE_TIMER;
    }
    assert_true(seen[0] && seen[1]);
}

/* Timers that are always due keep no stream waiting. */
static void endless_timers_starve_nobody(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    sluice_id timer;
    put_text(line.peer, "and I?");
    assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
    for (int pulls = 0; pulls < 6; pulls++) {
        sluice_event event;
        assert_true(pull_now(loop, &event));
        if (event.kind == SLUICE_DATA)
            return;
        assert_int_equal(event.kind, SLUICE_TIMER);
        assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
        assert_int_equal(sluice_post(loop, 1), 0);
        assert_true(pull_now(loop, &event));
        if (event.kind == SLUICE_DATA)
            return;
    }
    fail_msg("the stream's data did not come");
}

int main(void) {
    static const struct test tests[] = {
        {"above the high mark a peer is not read from", not_read_from_above_the_high_mark, NULL},
        {"DRAINED comes once, at the low mark", drained_once, NULL},
        {"hysteresis: no flapping between the marks", hysteresis, NULL},
        {"an echo's peer that does not read is not read from",
         echo_stops_reading_from_a_peer_that_does_not_read, NULL},
        {"the hard limit refuses a write whole", full_at_the_hard_limit, NULL},
        {"memory_limit: all queues together", memory_limit, NULL},
        {"memory_limit counts what is held", memory_limit_counts_what_is_held, NULL},
        {"endless data starves nobody", endless_data_starves_nobody, NULL},
        {"endless data in small receives starves nobody", endless_data_in_small_receives, NULL},
        {"endless timers and posts starve nobody", endless_timers_starve_nobody, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

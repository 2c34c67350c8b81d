/* test_loop_hour.c - an hour of short idle timeouts, and storms of timer resets, in simulated time.
 * A wait in which nothing is ready takes no time, and puts the clock forward by its timeout. So an
 * hour is over in a moment, and every deadline can be checked to the nanosecond. */
#include "loops.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

#define SECOND (INT64_C(1000) * NS_PER_MS)

enum { CONNECTIONS = 60, TIMERS = 10000, RESETS = 1000000 };

/* What a wait may add: libevent rounds to milliseconds, the others nothing. */
#define LATE_NS NS_PER_MS

static void use_simulated_time(void) {
    simulate_time(true);
}

static void use_real_time(void *unused) {
    (void)unused;
    simulate_time(false);
}

/* ---- Idle timeouts -----------------------------------------------------------------------------
 */

/* The peer of an idle stream never sends anything. The peer of another sends when half the time is
 * over. */
struct connection {
    sluice_id stream;
    int peer;
    bool idles;
    int64_t timeout;
    int64_t deadline;
};

static struct connection connections[CONNECTIONS];

static void begin(sluice_loop *loop, size_t index) {
    struct connection *connection = &connections[index];
    sluice_stream_options options = {.size = sizeof options,
                                     .idle_timeout_ns = connection->timeout};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(sluice_adopt(loop, &connection->stream, fds[0], &options), 0);
    assert_int_equal(sluice_set_user(loop, connection->stream, index), 0);
    connection->peer = keep(fds[1]);
    connection->deadline = sluice_now(loop) + connection->timeout;
}

static void begin_all(sluice_loop *loop) {
    for (size_t i = 0; i < CONNECTIONS; i++) {
        connections[i].idles = i % 2 == 0;
        connections[i].timeout = (1 + (int64_t)random_below(10000)) * NS_PER_MS;
        begin(loop, i);
        if (connections[i].idles)
            continue;
        int64_t period = 1 + connections[i].timeout / 2;
        assert_int_equal(sluice_timer(loop, NULL, period, period, i), 0);
    }
}

/* Returns how many timeouts there were. */
static size_t live_until(sluice_loop *loop, int64_t end) {
    size_t timeouts = 0;
    while (sluice_now(loop) < end) {
        sluice_event event = next_event(loop);
        struct connection *connection = &connections[event.user];
        if (event.kind == SLUICE_TIMER) {
            put_byte(connection->peer);
        } else if (event.kind == SLUICE_DATA) {
            assert_false(connection->idles);
        } else {
            assert_int_equal(event.kind, SLUICE_CLOSED);
            assert_true(connection->idles);
            assert_int_equal(event.error, -ETIMEDOUT);
            assert_in_range(sluice_now(loop), connection->deadline, connection->deadline + LATE_NS);
            drop(connection->peer);
            begin(loop, event.user);
            timeouts++;
        }
    }
    return timeouts;
}

static void an_hour_of_idle_timeouts(void) {
    defer(use_real_time, NULL);
    int64_t real = monotonic_ns();
    use_simulated_time();
    sluice_loop *loop = make_loop();
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    begin_all(loop);
    size_t memory = loop_memory(loop);
    int64_t end = sluice_now(loop) + 3600 * SECOND;
    size_t timeouts = live_until(loop, end);
    assert_true(timeouts > 3600);
    assert_true(loop_memory(loop) <= 2 * memory);
    simulate_time(false);
    print_message("figure: %s, an hour of idle timeouts: %zu of them, none early, none later than"
                  " %lld ms, in %.1f s\n",
                  test_backend(), timeouts, (long long)(LATE_NS / NS_PER_MS),
                  (double)(monotonic_ns() - real) / 1e9);
}

/* ---- Resets ------------------------------------------------------------------------------------
 */

struct storm {
    sluice_id id;
    int64_t deadline;
};

static struct storm timers[TIMERS];

static void set_all(sluice_loop *loop) {
    for (size_t i = 0; i < TIMERS; i++) {
        timers[i].deadline = sluice_now(loop) + 10 * SECOND;
        assert_int_equal(sluice_timer(loop, &timers[i].id, 10 * SECOND, 0, i), 0);
    }
}

/* To between 5 and 15 seconds from now, so to earlier as well as to later. */
static void reset_at_random(sluice_loop *loop) {
    struct storm *timer = &timers[random_below(TIMERS)];
    int64_t after = 5 * SECOND + (int64_t)random_below(10000) * NS_PER_MS;
    assert_int_equal(sluice_timer_reset(loop, timer->id, after), 0);
    timer->deadline = sluice_now(loop) + after;
}

/* Between the resets time goes on by 4 ms in all for each thousand. */
static void a_storm_of_resets(void) {
    defer(use_real_time, NULL);
    use_simulated_time();
    sluice_loop *loop = make_loop();
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    set_all(loop);
    size_t memory = loop_memory(loop);
    int64_t cpu = cpu_ns();
    for (int i = 0; i < RESETS; i++) {
        reset_at_random(loop);
        if (i % 1000 == 999)
            assert_int_equal(sluice_next(loop, &event, 4 * NS_PER_MS), 0);
    }
    cpu = cpu_ns() - cpu;
    assert_int_equal(loop_memory(loop), memory);
    int64_t last = 0;
    for (int i = 0; i < TIMERS; i++) {
        event = expect_event(loop, SLUICE_TIMER);
        const struct storm *timer = &timers[event.user];
        assert_in_range(sluice_now(loop), timer->deadline, timer->deadline + LATE_NS);
        assert_true(timer->deadline >= last);
        last = timer->deadline;
    }
    expect_no_event(loop);
    print_message("figure: %s, a million resets of ten thousand timers: %.0f ns each; no memory\n",
                  test_backend(), (double)cpu / (double)RESETS);
}

int main(void) {
    static const struct test tests[] = {
        {"an hour of idle timeouts", an_hour_of_idle_timeouts, NULL},
        {"a storm of timer resets", a_storm_of_resets, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

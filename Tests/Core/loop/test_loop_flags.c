/* test_loop_flags.c - a loop's flags and defaults: pulls that end after a signal's handler, and how
 * much one receive brings. */
#include "loops.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms;

static void count_alarm(int signo) {
    (void)signo;
    alarms++;
}

static void ring_every_ms(bool on) {
    const struct sigaction action = {.sa_handler = on ? count_alarm : SIG_IGN,
                                     .sa_flags = SA_RESTART};
    const struct itimerval period = {.it_interval.tv_usec = on ? 1000 : 0,
                                     .it_value.tv_usec = on ? 1000 : 0};
    alarms = 0;
    assert_int_equal(setitimer(ITIMER_REAL, &period, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
}

static void stop_ringing(void *unused) {
    (void)unused;
    ring_every_ms(false);
}

/* NULL where the backend cannot do that, and then it says so. */
static sluice_loop *interruptible_loop(void) {
    sluice_options options = {
        .size = sizeof options, .backend = test_backend(), .flags = SLUICE_INTERRUPTIBLE};
    if (!over_libevent())
        return make_loop_with((sluice_options){.flags = SLUICE_INTERRUPTIBLE});
    sluice_loop *loop;
    assert_int_equal(sluice_open(&loop, &options), SLUICE_ENOTSUP);
    assert_null(loop);
    return NULL;
}

/* Before the first alarm the handler is there, and the pull is one that waits. */
static void a_signal_ends_a_pull(void) {
    sluice_loop *loop = interruptible_loop();
    if (!loop)
        return;
    struct line line = unix_line(loop);
    expect_no_event(loop);
    defer(stop_ringing, NULL);
    ring_every_ms(true);
    for (int round = 0; round < 5; round++) {
        sluice_event events[4] = {{.kind = SLUICE_DATA}};
        int code = round % 2 ? sluice_next_many(loop, events, 4, PATIENCE_NS)
                             : sluice_next(loop, events, PATIENCE_NS);
        assert_int_equal(code, SLUICE_EINTR);
    }
    assert_true(alarms > 0);
    ring_every_ms(false);
    put_text(line.peer, "it goes on");
    expect_text(loop, line.id, "it goes on");
}

/* What there is comes before, and nothing of it is lost. */
static void events_come_all_the_same(void) {
    sluice_loop *loop = interruptible_loop();
    if (!loop)
        return;
    struct line line = unix_line(loop);
    defer(stop_ringing, NULL);
    ring_every_ms(true);
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, 20 * NS_PER_MS, 0, 0), 0);
    assert_int_equal(sluice_post(loop, 7), 0);
    put_text(line.peer, "hello");
    bool seen[SLUICE_EVENT_KINDS] = {false};
    while (!seen[SLUICE_TIMER] || !seen[SLUICE_POSTED] || !seen[SLUICE_DATA]) {
        sluice_event event;
        int code = sluice_next(loop, &event, PATIENCE_NS);
        if (code == 1)
            seen[event.kind] = true;
        else
            assert_int_equal(code, SLUICE_EINTR);
    }
}

static void without_the_flag_a_signal_ends_nothing(void) {
    sluice_loop *loop = make_loop();
    defer(stop_ringing, NULL);
    ring_every_ms(true);
    sluice_event event;
    int64_t begun = monotonic_ns();
    assert_int_equal(sluice_next(loop, &event, 30 * NS_PER_MS), 0);
    assert_true(monotonic_ns() - begun >= 30 * NS_PER_MS);
    assert_true(alarms > 0);
}

static void flags_that_are_none(void) {
    sluice_options options = {.size = sizeof options, .backend = test_backend()};
    for (uint32_t bit = 2; bit != 0; bit <<= 1) {
        sluice_loop *loop;
        options.flags = bit;
        assert_int_equal(sluice_open(&loop, &options), SLUICE_EOPTION);
        assert_null(loop);
    }
}

static void a_receive_brings_64_kib_by_default(void) {
    enum { LENGTH = 100000, RECEIVE = 65536 };
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    static unsigned char bytes[LENGTH];
    make_pattern(bytes, 0, LENGTH);
    assert_int_equal(write(line.peer, bytes, LENGTH), LENGTH);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, RECEIVE);
    check_pattern(event.data, 0, RECEIVE);
    event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, LENGTH - RECEIVE);
    check_pattern(event.data, RECEIVE, LENGTH - RECEIVE);
}

int main(void) {
    static const struct test tests[] = {
        {"a signal ends a pull where that was asked for", a_signal_ends_a_pull, NULL},
        {"events come all the same", events_come_all_the_same, NULL},
        {"without the flag a signal ends nothing", without_the_flag_a_signal_ends_nothing, NULL},
        {"flags that are none are refused", flags_that_are_none, NULL},
        {"a receive brings 64 KiB by default", a_receive_brings_64_kib_by_default, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

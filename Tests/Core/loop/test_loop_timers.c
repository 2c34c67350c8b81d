/* test_loop_timers.c - timers of a loop: never early, in order, and never for an old deadline.
 * test_timers.c tests that they are cheap, and right in every corner. */
#include "loops.h"

#define MOST 200

static sluice_id add(sluice_loop *loop, int64_t first_ns, int64_t repeat_ns) {
    sluice_id id;
    assert_int_equal(sluice_timer(loop, &id, first_ns, repeat_ns, 0), 0);
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_TIMER);
    return id;
}

static void never_early_and_in_order(void) {
    sluice_loop *loop = make_loop();
    int64_t deadlines[MOST];
    for (size_t i = 0; i < MOST; i++) {
        int64_t after = (int64_t)random_below(40 * 1000 * 1000);
        deadlines[i] = sluice_now(loop) + after;
        sluice_id id = add(loop, after, 0);
        assert_int_equal(sluice_set_user(loop, id, i), 0);
    }
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_TIMER], MOST);
    int64_t last = 0;
    for (size_t i = 0; i < MOST; i++) {
        sluice_event event = expect_event(loop, SLUICE_TIMER);
        assert_in_range(event.user, 0, MOST - 1);
        int64_t deadline = deadlines[event.user];
        assert_true(monotonic_ns() >= deadline);
        assert_true(deadline >= last);
        last = deadline;
        assert_int_equal(sluice_kind_of(loop, event.id), SLUICE_ESTALE);
    }
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_TIMER], 0);
}

static void the_wait_lasts_to_the_deadline_and_not_beyond(void) {
    sluice_loop *loop = make_loop();
    add(loop, 30 * NS_PER_MS, 0);
    sluice_event event;
    uint64_t turns = stats_of(loop).turns;
    assert_int_equal(sluice_next(loop, &event, SLUICE_FOREVER), 1);
    assert_in_range(stats_of(loop).turns - turns, 1, 4);
    add(loop, PATIENCE_NS, 0);
    assert_int_equal(sluice_next(loop, &event, 5 * NS_PER_MS), 0);
    assert_int_equal(sluice_next(loop, &event, 0), 0);
}

static void cancelled_is_never_seen(void) {
    sluice_loop *loop = make_loop();
    sluice_id ids[10];
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        ids[i] = add(loop, 0, i % 2 ? 1 : 0);
    /* All are due, and the first is pulled. */
    sluice_id first = expect_event(loop, SLUICE_TIMER).id;
    assert_int_equal(first, ids[0]);
    for (size_t i = 1; i < COUNT_OF(ids); i++) {
        assert_int_equal(sluice_close(loop, ids[i]), 0);
        assert_int_equal(sluice_close(loop, ids[i]), SLUICE_ESTALE);
        assert_int_equal(sluice_timer_reset(loop, ids[i], 0), SLUICE_ESTALE);
    }
    expect_no_event(loop);
    sluice_id again = add(loop, 0, 0);
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        assert_true(again != ids[i]);
    expect_event_of(loop, SLUICE_TIMER, again);
}

static void reset_keeps_the_id_and_forgets_the_deadline(void) {
    sluice_loop *loop = make_loop();
    sluice_id moved = add(loop, 0, 0);
    sluice_id other = add(loop, 0, 0);
    sluice_event event = expect_event_of(loop, SLUICE_TIMER, moved);
    assert_int_equal(sluice_timer_reset(loop, moved, 0), SLUICE_ESTALE); /* was for once */
    /* Due and gathered, and moved all the same. */
    assert_int_equal(sluice_timer_reset(loop, other, 20 * NS_PER_MS), 0);
    int64_t start = sluice_now(loop);
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    expect_event_of(loop, SLUICE_TIMER, other);
    assert_true(monotonic_ns() - start >= 20 * NS_PER_MS);
    /* And to an earlier one. */
    sluice_id late = add(loop, PATIENCE_NS * 10, 0);
    assert_int_equal(sluice_timer_reset(loop, late, NS_PER_MS), 0);
    expect_event_of(loop, SLUICE_TIMER, late);
}

static void reset_again_and_again(void) {
    sluice_loop *loop = make_loop();
    sluice_id idle = add(loop, 400 * NS_PER_MS, 0);
    sluice_id tick = add(loop, 50 * NS_PER_MS, 50 * NS_PER_MS);
    int64_t last = 0;
    for (int ticks = 0; ticks < 12; ticks++) {
        expect_event_of(loop, SLUICE_TIMER, tick);
        assert_int_equal(sluice_timer_reset(loop, idle, 400 * NS_PER_MS), 0);
        last = sluice_now(loop);
    }
    assert_int_equal(sluice_close(loop, tick), 0);
    expect_event_of(loop, SLUICE_TIMER, idle);
    assert_true(monotonic_ns() - last >= 400 * NS_PER_MS);
}

/* Spins: time passes and nobody sleeps. */
static void let_pass(int64_t ns) {
    int64_t end = monotonic_ns() + ns;
    while (monotonic_ns() < end) {
    }
}

static void repeats_and_skips_what_was_missed(void) {
    sluice_loop *loop = make_loop();
    const int64_t period = 10 * NS_PER_MS;
    int64_t start = sluice_now(loop);
    sluice_id id = add(loop, period, period);
    for (int i = 1; i <= 3; i++) {
        expect_event_of(loop, SLUICE_TIMER, id);
        assert_true(monotonic_ns() - start >= i * period);
    }
    let_pass(5 * period);
    expect_event_of(loop, SLUICE_TIMER, id);
    sluice_event event;
    /* The periods that were missed are left out: the next is a whole one, at most. */
    if (sluice_next(loop, &event, 0) == 1)
        assert_int_equal(sluice_next(loop, &event, 0), 0);
    for (int i = 0; i < 2; i++) {
        expect_event_of(loop, SLUICE_TIMER, id);
        assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_TIMER);
    }
    assert_int_equal(sluice_timer_reset(loop, id, 0), 0);
    expect_event_of(loop, SLUICE_TIMER, id);
    assert_int_equal(sluice_close(loop, id), 0);
    assert_int_equal(sluice_next(loop, &event, 2 * period), 0);
}

static void closes_itself_and_others_in_its_event(void) {
    sluice_loop *loop = make_loop();
    sluice_id first = add(loop, 0, 1);
    sluice_id second = add(loop, 0, 1);
    expect_event_of(loop, SLUICE_TIMER, first);
    assert_int_equal(sluice_close(loop, first), 0);
    assert_int_equal(sluice_close(loop, second), 0);
    expect_no_event(loop);
}

static void far_away_and_never(void) {
    sluice_loop *loop = make_loop();
    sluice_id far = add(loop, INT64_MAX, 0);
    sluice_id farther = add(loop, INT64_MAX - 1, INT64_MAX);
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, NS_PER_MS), 0);
    assert_true(sluice_until_next(loop) > 1000 * PATIENCE_NS);
    assert_int_equal(sluice_timer_reset(loop, far, 0), 0);
    expect_event_of(loop, SLUICE_TIMER, far);
    assert_int_equal(sluice_close(loop, farther), 0);
    sluice_id id;
    assert_int_equal(sluice_timer(loop, &id, -1, 0, 0), SLUICE_ETIMEOUT);
    assert_int_equal(sluice_timer(loop, &id, 0, -1, 0), SLUICE_ETIMEOUT);
    id = add(loop, 1, 0);
    assert_int_equal(sluice_timer_reset(loop, id, -1), SLUICE_ETIMEOUT);
}

static void handle_limit(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 3});
    sluice_id ids[4];
    for (size_t i = 0; i < 3; i++)
        ids[i] = add(loop, 0, 0);
    assert_int_equal(sluice_timer(loop, &ids[3], 0, 0, 0), SLUICE_EFULL);
    assert_int_equal(sluice_close(loop, ids[1]), 0);
    add(loop, 0, 0);
    assert_int_equal(sluice_timer(loop, &ids[3], 0, 0, 0), SLUICE_EFULL);
    for (int i = 0; i < 3; i++)
        expect_event(loop, SLUICE_TIMER);
    add(loop, 0, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"never early, and in order of deadline", never_early_and_in_order, NULL},
        {"the wait lasts to the deadline, and not beyond",
         the_wait_lasts_to_the_deadline_and_not_beyond, NULL},
        {"cancelled: never seen, due or not", cancelled_is_never_seen, NULL},
        {"reset: the same id, and not the old deadline",
         reset_keeps_the_id_and_forgets_the_deadline, NULL},
        {"reset again and again postpones", reset_again_and_again, NULL},
        {"repeats, and leaves out what was missed", repeats_and_skips_what_was_missed, NULL},
        {"closes itself and others in its event", closes_itself_and_others_in_its_event, NULL},
        {"far away, never, and negative", far_away_and_never, NULL},
        {"handle_limit", handle_limit, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_timers.c - the timers of a loop, each promise by name. Random scripts over them are in
 * test_timers_model.c. The tests set the time. The file is long because there are many promises,
 * each with a few lines. */
#include "support.h"

#include <stdlib.h>

#include "checks.h"
#include "faults.h"
#include "timers/timers.h"

#define SECOND (1000 * NS_PER_MS)
#define YEAR (INT64_C(365) * 86400 * SECOND)
#define START (12345 * SECOND + 678)

/* One set of timers for each test. It is static, because a failing test leaves by longjmp. */
static struct sluice_timers timers;
static long allocations_before;

static void begin(int64_t now) {
    allocations_before = live_allocation_count();
    sluice_timers_init(&timers, &sluice_libc_allocator, now);
}

static void end(void) {
    const char *broken = check_timers(&timers);
    if (broken)
        fail_msg("%s", broken);
    sluice_timers_deinit(&timers);
    assert_int_equal(live_allocation_count(), allocations_before);
}

static uint32_t add(int64_t deadline, int64_t repeat, uint64_t user) {
    uint32_t index = sluice_timers_add(&timers, deadline, repeat, user);
    assert_int_not_equal(index, SLUICE_NO_TIMER);
    return index;
}

/* The next to fire in the turn of `now` is that of `user`. Returns its index. */
static uint32_t expect_fire(int64_t now, uint64_t user) {
    uint32_t index = sluice_timers_expire(&timers, now);
    assert_int_not_equal(index, SLUICE_NO_TIMER);
    assert_int_equal(sluice_timers_user(&timers, index), user);
    return index;
}

static void expect_turn_over(int64_t now) {
    assert_int_equal(sluice_timers_expire(&timers, now), SLUICE_NO_TIMER);
}

static void expect_next(int64_t deadline) {
    assert_int_equal(sluice_timers_next_deadline(&timers), deadline);
}

/* From 1 ns to years, around the ends of ticks and of slots of each level. */
static const int64_t delays[] = {1,
                                 2,
                                 8191,
                                 8192,
                                 8193,
                                 (INT64_C(1) << 25) - 1,
                                 INT64_C(1) << 25,
                                 100 * NS_PER_MS,
                                 SECOND,
                                 (INT64_C(1) << 37) - 1,
                                 INT64_C(1) << 37,
                                 86400 * SECOND,
                                 (INT64_C(1) << 49) + 1,
                                 YEAR,
                                 (INT64_C(1) << 61) + 1,
                                 INT64_MAX - 1 - START};

/* ---- Promises ---------------------------------------------------------------------------------
 */

static void never_early(void) {
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        begin(START);
        add(START + delays[i], 0, i);
        expect_next(START + delays[i]);
        expect_turn_over(START + delays[i] - 1);
        expect_next(START + delays[i]);
        expect_fire(START + delays[i], i);
        expect_turn_over(START + delays[i]);
        expect_next(INT64_MAX);
        end();
    }
}

/* Each loop that sleeps until next_deadline reports each timer to the nanosecond. */
static void never_late(void) {
    begin(START);
    for (size_t i = COUNT_OF(delays); i-- > 0;)
        add(START + delays[i], 0, i);
    for (size_t i = 0; i < COUNT_OF(delays);) {
        int64_t now = sluice_timers_next_deadline(&timers);
        assert_true(now <= START + delays[i]);
        uint32_t index;
        while ((index = sluice_timers_expire(&timers, now)) != SLUICE_NO_TIMER) {
            assert_int_equal(sluice_timers_user(&timers, index), i);
            assert_int_equal(now, START + delays[i]);
            i++;
        }
    }
    end();
}

static void in_order_of_deadline(void) {
    begin(START);
    for (size_t i = COUNT_OF(delays); i-- > 0;)
        add(START + delays[i], 0, i);
    for (size_t i = 0; i < COUNT_OF(delays); i++)
        expect_fire(INT64_MAX, i);
    expect_turn_over(INT64_MAX);
    end();
}

/* Also if some came by a reset, from slots of other levels, and if the count of sets wraps. */
static void ties_in_order_of_being_set(void) {
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        begin(START);
        timers.sequence = UINT32_MAX - 3;
        uint32_t late = add(START + delays[i] / 2, 0, 7);
        uint32_t later = add(START + delays[i] - 1, 0, 8);
        for (uint64_t user = 0; user < 3; user++)
            add(START + delays[i], 0, user);
        sluice_timers_reset(&timers, late, START + delays[i]);
        add(START + delays[i], 0, 9);
        sluice_timers_reset(&timers, later, START + delays[i]);
        const uint64_t expected[] = {0, 1, 2, 7, 9, 8};
        for (size_t at = 0; at < COUNT_OF(expected); at++)
            expect_fire(START + delays[i], expected[at]);
        expect_turn_over(START + delays[i]);
        end();
    }
}

static void cancelled_is_never_seen_again(void) {
    begin(START);
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        uint32_t index = add(START + delays[i], 0, i);
        uint32_t generation = sluice_timers_generation(&timers, index);
        assert_true(sluice_timers_alive(&timers, index, generation));
        sluice_timers_cancel(&timers, index);
        assert_false(sluice_timers_alive(&timers, index, generation));
    }
    expect_next(INT64_MAX);
    expect_turn_over(INT64_MAX);
    end();
}

/* Those that the turn under way has already gathered. */
static void cancelled_or_reset_while_due(void) {
    begin(START);
    add(START + 10, 0, 1);
    uint32_t cancelled = add(START + 10, 0, 2);
    uint32_t reset = add(START + 10, 0, 3);
    uint32_t back = add(START + 10, 0, 4);
    add(START + 20, 0, 5);
    expect_fire(START + 30, 1);
    sluice_timers_cancel(&timers, cancelled);
    sluice_timers_reset(&timers, reset, START + SECOND);
    sluice_timers_reset(&timers, back, START);
    expect_fire(START + 30, 5);
    expect_turn_over(START + 30);
    expect_next(START);
    expect_fire(START + 30, 4);
    expect_turn_over(START + 30);
    expect_next(START + SECOND);
    expect_fire(START + SECOND, 3);
    expect_turn_over(START + SECOND);
    end();
}

static void reset_to_later(void) {
    for (size_t i = 0; i + 1 < COUNT_OF(delays); i++) {
        begin(START);
        uint32_t index = add(START + delays[i], 0, i);
        sluice_timers_reset(&timers, index, START + delays[i + 1]);
        expect_next(START + delays[i + 1]);
        expect_turn_over(START + delays[i]);
        expect_turn_over(START + delays[i + 1] - 1);
        expect_fire(START + delays[i + 1], i);
        end();
    }
}

static void reset_to_earlier(void) {
    for (size_t i = 1; i < COUNT_OF(delays); i++) {
        begin(START);
        uint32_t index = add(START + delays[i], 0, i);
        sluice_timers_reset(&timers, index, START + delays[i - 1]);
        expect_next(START + delays[i - 1]);
        expect_turn_over(START + delays[i - 1] - 1);
        expect_fire(START + delays[i - 1], i);
        expect_turn_over(INT64_MAX);
        end();
    }
}

/* A connection's idle timeout: put off a thousand times before it comes. */
static void idle_timeout(void) {
    begin(START);
    int64_t now = START;
    uint32_t index = add(now + 60 * SECOND, 0, 1);
    for (int i = 0; i < 1000; i++) {
        now += 7 * SECOND;
        expect_turn_over(now);
        sluice_timers_reset(&timers, index, now + 60 * SECOND);
        expect_next(now + 60 * SECOND);
    }
    expect_turn_over(now + 60 * SECOND - 1);
    expect_fire(now + 60 * SECOND, 1);
    end();
}

/* ---- Turns ------------------------------------------------------------------------------------
 */

static void turn_ends_though_each_adds_one(void) {
    begin(START);
    int64_t now = START + SECOND;
    for (uint64_t i = 0; i < 100; i++)
        add(START + (int64_t)i * 10 * NS_PER_MS, 0, i);
    for (int turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < 100; i++) {
            expect_fire(now, i);
            add(now, 0, i);
        }
        expect_turn_over(now);
        expect_next(now);
    }
    end();
}

static void turn_ends_though_each_adds_one_between(void) {
    begin(START);
    add(START, 0, 1);
    add(START + SECOND, 0, 2);
    expect_fire(START + SECOND, 1);
    add(START + SECOND / 2, 0, 3);
    expect_fire(START + SECOND, 2);
    expect_turn_over(START + SECOND);
    expect_next(START + SECOND / 2);
    expect_fire(START + SECOND, 3);
    expect_turn_over(START + SECOND);
    end();
}

/* The turn keeps the `now` that it began with. */
static void now_moves_within_a_turn(void) {
    begin(START);
    add(START + 1, 0, 1);
    add(START + 2, 0, 2);
    expect_fire(START + 1, 1);
    expect_turn_over(START + 2);
    expect_fire(START + 2, 2);
    end();
}

static void now_moves_back(void) {
    begin(START);
    add(START + SECOND, 0, 1);
    expect_turn_over(START + SECOND - 1);
    expect_turn_over(START);
    add(START + 1, 0, 2);
    expect_turn_over(START);
    expect_fire(START + 1, 2);
    expect_turn_over(START + 1);
    expect_fire(START + SECOND, 1);
    end();
}

static void now_jumps_by_years(void) {
    begin(START);
    for (uint64_t i = 0; i < 200; i++)
        add(START + (int64_t)(i / 2 + 1) * YEAR, 0, i);
    for (uint64_t i = 0; i < 200; i++) {
        int64_t now = START + (int64_t)(i / 20 + 1) * 10 * YEAR;
        expect_fire(now, i);
        if (i % 20 == 19)
            expect_turn_over(now);
    }
    expect_next(INT64_MAX);
    end();
}

/* ---- Repeating --------------------------------------------------------------------------------
 */

static void repeats(void) {
    begin(START);
    uint32_t index = add(START + 5, SECOND, 1);
    for (int64_t i = 0; i < 10; i++) {
        expect_next(START + 5 + i * SECOND);
        assert_int_equal(expect_fire(START + 5 + i * SECOND, 1), index);
        expect_turn_over(START + 5 + i * SECOND);
    }
    sluice_timers_cancel(&timers, index);
    expect_next(INT64_MAX);
    end();
}

static void missed_periods_are_left_out(void) {
    begin(START);
    add(START + 5, 100, 1);
    expect_fire(START + 5 + 1042, 1);
    expect_turn_over(START + 5 + 1042);
    expect_next(START + 5 + 1100);
    expect_fire(START + 5 + 1100, 1);
    expect_turn_over(START + 5 + 1100);
    expect_next(START + 5 + 1200);
    end();
}

static void repeating_is_cancelled_or_reset_when_reported(void) {
    begin(START);
    uint32_t first = add(START + 1, 10, 1);
    uint32_t second = add(START + 2, 10, 2);
    assert_int_equal(expect_fire(START + 5, 1), first);
    assert_true(sluice_timers_alive(&timers, first, sluice_timers_generation(&timers, first)));
    sluice_timers_cancel(&timers, first);
    assert_int_equal(expect_fire(START + 5, 2), second);
    sluice_timers_reset(&timers, second, START + 100);
    expect_turn_over(START + 5);
    expect_next(START + 100);
    expect_fire(START + 100, 2);
    expect_turn_over(START + 100);
    expect_next(START + 110);
    end();
}

static void repeats_to_the_end_of_time(void) {
    begin(0);
    add(INT64_MIN, INT64_MAX, 1);
    add(INT64_MAX - 10, 4, 2);
    add(-5, 1, 3);
    expect_fire(INT64_MAX - 8, 1);
    expect_fire(INT64_MAX - 8, 3);
    expect_fire(INT64_MAX - 8, 2);
    expect_turn_over(INT64_MAX - 8);
    expect_next(INT64_MAX - 7);
    expect_fire(INT64_MAX, 3);
    expect_fire(INT64_MAX, 2);
    expect_fire(INT64_MAX, 1);
    expect_turn_over(INT64_MAX);
    expect_next(INT64_MAX);
    end();
}

/* ---- Extremes ---------------------------------------------------------------------------------
 */

static void the_past_and_the_end_of_time(void) {
    begin(START);
    const int64_t deadlines[] = {INT64_MIN, -1, 0, 1, START - 1, START};
    for (size_t i = COUNT_OF(deadlines); i-- > 0;)
        add(deadlines[i], 0, i);
    add(INT64_MAX, 0, 98);
    add(INT64_MAX - 1, 0, 97);
    expect_next(INT64_MIN);
    for (size_t i = 0; i < COUNT_OF(deadlines); i++)
        expect_fire(START, i);
    expect_turn_over(START);
    expect_next(INT64_MAX - 1);
    expect_turn_over(INT64_MAX - 2);
    expect_fire(INT64_MAX, 97);
    expect_turn_over(INT64_MAX);
    expect_next(INT64_MAX); /* which is never */
    end();
}

static void nothing_set(void) {
    begin(START);
    assert_int_equal(sluice_timers_expire(&timers, INT64_MAX), SLUICE_NO_TIMER);
    expect_next(INT64_MAX);
    assert_false(sluice_timers_alive(&timers, 0, 0));
    assert_false(sluice_timers_alive(&timers, 0, 1));
    assert_false(sluice_timers_alive(&timers, UINT32_MAX, 1));
    end();
}

static void million_at_one_instant(void) {
    enum { MILLION = 1000000 };
    begin(START);
    int64_t instant = START + 100 * SECOND + 1;
    for (uint64_t i = 0; i < MILLION; i++)
        add(instant, 0, i);
    int64_t now;
    int early = 0;
    while ((now = sluice_timers_next_deadline(&timers)) < instant) {
        expect_turn_over(now);
        early++;
    }
    assert_int_equal(now, instant);
    assert_in_range(early, 0, SLUICE_LEVELS);
    expect_turn_over(instant - 1);
    for (uint64_t i = 0; i < MILLION; i++)
        expect_fire(instant, i);
    expect_turn_over(instant);
    end();
}

/* In one tick and in any order, so that sorting is what there is. */
static void many_in_one_tick(void) {
    enum { MANY = 8000 };
    begin(0);
    for (int64_t i = 0; i < MANY; i++)
        add(SECOND - SECOND % 8192 + i * 4999 % MANY, 0, (uint64_t)(i * 4999 % MANY));
    for (uint64_t i = 0; i < MANY; i++)
        expect_fire(SECOND + 8192, i);
    expect_turn_over(SECOND + 8192);
    end();
}

/* ---- How often a loop wakes -------------------------------------------------------------------
 */

/* A loop that sleeps until next_deadline wakes once for each instant, and for a few full slots. */
static void few_wakes_too_early(void) {
    enum { MANY = 20000 };
    begin(START);
    uint64_t random = 88172645463325252;
    for (uint64_t i = 0; i < MANY; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        add(START + (int64_t)(random % (uint64_t)(100 * SECOND)), 0, i);
    }
    int early = 0;
    for (int fired = 0; fired < MANY;) {
        int64_t now = sluice_timers_next_deadline(&timers);
        int before = fired;
        uint32_t index;
        for (; (index = sluice_timers_expire(&timers, now)) != SLUICE_NO_TIMER; fired++)
            assert_int_equal(timers.records[index].deadline, now);
        early += before == fired;
    }
    assert_in_range(early, 0, MANY / SLUICE_TIMERS_WALK);
    end();
}

/* A deadline of its own for each connection, and all are always put off. */
static void few_wakes_for_what_is_put_off(void) {
    enum { CONNECTIONS = 1000, SECONDS = 300 };
    begin(START);
    int64_t now = START;
    uint32_t indices[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++)
        indices[i] = add(now + 60 * SECOND + i * NS_PER_MS, 0, (uint64_t)i);
    int wakes = 0;
    for (int second = 0; second < SECONDS; second++) {
        int64_t until = now + SECOND;
        for (; sluice_timers_next_deadline(&timers) < until; wakes++)
            expect_turn_over(sluice_timers_next_deadline(&timers));
        now = until;
        for (int i = 0; i < CONNECTIONS; i++)
            sluice_timers_reset(&timers, indices[i], now + 60 * SECOND + i * NS_PER_MS);
    }
    assert_in_range(wakes, 0, SECONDS * CONNECTIONS / 1000);
    end();
}

/* ---- Names and memory -------------------------------------------------------------------------
 */

static void an_ended_timer_is_told_from_its_successor(void) {
    begin(START);
    uint32_t index = add(START, 0, 1);
    uint32_t generation = sluice_timers_generation(&timers, index);
    expect_fire(START, 1);
    assert_false(sluice_timers_alive(&timers, index, generation));
    assert_int_equal(sluice_timers_generation(&timers, index), generation);
    expect_turn_over(START);
    assert_int_equal(add(START + 1, 0, 2), index);
    assert_false(sluice_timers_alive(&timers, index, generation));
    assert_true(sluice_timers_alive(&timers, index, generation + 1));
    sluice_timers_set_user(&timers, index, 4);
    expect_fire(START + 1, 4);
    end();
}

/* Its place is lost for good, and nothing else. */
static void a_record_without_generations_is_not_used_again(void) {
    begin(START);
    uint32_t worn = add(START + 1, 0, 1);
    timers.records[worn].generation = UINT32_MAX - 1;
    sluice_timers_cancel(&timers, worn);
    assert_int_equal(add(START + 1, 0, 2), worn);
    assert_true(sluice_timers_alive(&timers, worn, UINT32_MAX));
    expect_fire(START + 1, 2);
    for (uint64_t user = 3; user < 40; user++) {
        uint32_t index = add(START + 2, 0, user);
        assert_true(index != worn);
        for (uint32_t generation = 0; generation < 4; generation++)
            assert_false(sluice_timers_alive(&timers, worn, generation));
        assert_false(sluice_timers_alive(&timers, worn, UINT32_MAX));
        assert_null(check_timers(&timers));
        if (user % 2)
            sluice_timers_cancel(&timers, index);
    }
    end();
}

static void ended_timers_make_room(void) {
    begin(START);
    int64_t now = START;
    for (uint64_t i = 0; i < 100000; i++, now += NS_PER_MS) {
        uint32_t index = add(now + SECOND, 0, i);
        if (i % 2)
            sluice_timers_cancel(&timers, index);
        while (sluice_timers_expire(&timers, now) != SLUICE_NO_TIMER)
            ;
    }
    assert_in_range(timers.used, 500, 502);
    end();
}

static void every_allocation_can_fail(void) {
    enum { MANY = 3000 };
    bool failed = true;
    for (long nth = 1; failed; nth++) {
        begin(START);
        fail_allocation(nth);
        int refused = 0;
        for (uint64_t i = 0; i < MANY; i++) {
            if (sluice_timers_add(&timers, START + (int64_t)i * NS_PER_MS, 0, i) != SLUICE_NO_TIMER)
                continue;
            assert_null(check_timers(&timers));
            expect_next(i == 0 ? INT64_MAX : START);
            refused++;
            i--;
        }
        failed = allocation_has_failed();
        assert_int_equal(refused, failed);
        fail_allocation(0);
        for (uint64_t i = 0; i < MANY; i++)
            expect_fire(START + YEAR, i);
        expect_turn_over(START + YEAR);
        end();
    }
}

/* Firing, cancelling, resetting and looking ahead take no memory, so they cannot fail. */
static void only_add_allocates(void) {
    begin(START);
    uint32_t indices[1000];
    for (int64_t i = 0; i < 1000; i++)
        indices[i] = add(START + i * i * NS_PER_MS, i % 3 ? SECOND : 0, (uint64_t)i);
    long asked = allocation_count();
    for (size_t i = 0; i < 1000; i += 5)
        sluice_timers_reset(&timers, indices[i], START + (int64_t)(i * i * i) * NS_PER_MS);
    for (size_t i = 1; i < 1000; i += 5)
        sluice_timers_cancel(&timers, indices[i]);
    for (int turn = 0; turn < 10000; turn++) {
        int64_t now = sluice_timers_next_deadline(&timers);
        while (sluice_timers_expire(&timers, now) != SLUICE_NO_TIMER)
            ;
    }
    assert_int_equal(allocation_count(), asked);
    end();
}

int main(void) {
    static const struct test tests[] = {
        {"never early", never_early, NULL},
        {"never late", never_late, NULL},
        {"in order of deadline", in_order_of_deadline, NULL},
        {"ties in order of being set", ties_in_order_of_being_set, NULL},
        {"cancelled, never seen again", cancelled_is_never_seen_again, NULL},
        {"cancelled or reset while due", cancelled_or_reset_while_due, NULL},
        {"reset to later", reset_to_later, NULL},
        {"reset to earlier", reset_to_earlier, NULL},
        {"an idle timeout, put off", idle_timeout, NULL},
        {"a turn ends though each that fires sets one for now", turn_ends_though_each_adds_one,
         NULL},
        {"a turn ends though each that fires sets one before the rest",
         turn_ends_though_each_adds_one_between, NULL},
        {"now moves within a turn", now_moves_within_a_turn, NULL},
        {"now moves back", now_moves_back, NULL},
        {"now jumps by years", now_jumps_by_years, NULL},
        {"repeats", repeats, NULL},
        {"missed periods are left out", missed_periods_are_left_out, NULL},
        {"a repeating one cancelled or reset when reported",
         repeating_is_cancelled_or_reset_when_reported, NULL},
        {"repeats to the end of time", repeats_to_the_end_of_time, NULL},
        {"the past, and the end of time", the_past_and_the_end_of_time, NULL},
        {"nothing set", nothing_set, NULL},
        {"a million at one instant", million_at_one_instant, NULL},
        {"many in one tick", many_in_one_tick, NULL},
        {"few wakes too early", few_wakes_too_early, NULL},
        {"few wakes for what is put off", few_wakes_for_what_is_put_off, NULL},
        {"an ended timer is told from its successor", an_ended_timer_is_told_from_its_successor,
         NULL},
        {"a record without generations is not used again",
         a_record_without_generations_is_not_used_again, NULL},
        {"ended timers make room", ended_timers_make_room, NULL},
        {"every allocation can fail", every_allocation_can_fail, NULL},
        {"only add allocates", only_add_allocates, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

/* test_loop_fair.c - a turn handles each thing once. What the caller does between two pulls, and
 * what follows from it, keeps no other stream, timer or post waiting. A wait that fails does not
 * keep them waiting either. */
#include "loops.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

enum { PIECE = 4096, ROUNDS = 300 };

static unsigned char bytes[256 * 1024];

/* ---- A turn ---------------------------------------------------------------------------------- */

/* Others that have something to tell, once: each must be heard of within a few events. */
struct others {
    struct line quiet;
    sluice_id timer;
    bool timer_seen, post_seen, data_seen;
};

static struct others make_others(sluice_loop *loop) {
    return (struct others){.quiet = unix_line(loop)};
}

static void speak_up(sluice_loop *loop, struct others *others) {
    put_text(others->quiet.peer, "me too");
    assert_int_equal(sluice_timer(loop, &others->timer, 0, 0, 0), 0);
    assert_int_equal(sluice_post(loop, 1), 0);
    others->timer_seen = others->post_seen = others->data_seen = false;
}

/* Whether the event is one of theirs. */
static bool hear_others(struct others *others, const sluice_event *event) {
    bool is_data = event->kind == SLUICE_DATA && event->id == others->quiet.id;
    others->data_seen |= is_data;
    others->timer_seen |= event->kind == SLUICE_TIMER;
    others->post_seen |= event->kind == SLUICE_POSTED;
    return is_data || event->kind == SLUICE_TIMER || event->kind == SLUICE_POSTED;
}

static bool all_heard(const struct others *others) {
    return others->data_seen && others->timer_seen && others->post_seen;
}

/* ---- DRAINED, again and again ---------------------------------------------------------------- */

/* A producer fills the queue at each DRAINED, and the kernel takes all of it at once. */
struct producer {
    struct line line;
    bool flushes; /* in the call, and not at the next pull */
    uint64_t turn;
    uint64_t drained_of_turn;
};

static void fill_queue(sluice_loop *loop, struct producer *producer) {
    static unsigned char taken[sizeof bytes];
    while (take_some(producer->line.peer, taken, sizeof taken) > 0) {
    }
    while (sluice_pending(loop, producer->line.id) <= PIECE)
        write_all(loop, producer->line.id, bytes, PIECE / 2);
    if (producer->flushes)
        assert_int_equal(sluice_flush(loop, producer->line.id), 0);
}

/* One word of it a turn, at most. */
static void heed_drained(sluice_loop *loop, struct producer *producer) {
    uint64_t turn = stats_of(loop).turns;
    producer->drained_of_turn = turn == producer->turn ? producer->drained_of_turn + 1 : 1;
    producer->turn = turn;
    if (producer->drained_of_turn > 1)
        fail_msg("DRAINED comes %llu times in one turn",
                 (unsigned long long)producer->drained_of_turn);
    fill_queue(loop, producer);
}

static void produce(size_t producers, bool flushes, int capacity) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = PIECE, .low_mark = 1});
    struct producer all[8] = {{.flushes = flushes}};
    assert_in_range(producers, 1, COUNT_OF(all));
    struct others others = make_others(loop);
    for (size_t i = 0; i < producers; i++) {
        all[i] = (struct producer){.line = unix_line(loop), .flushes = flushes};
        assert_int_equal(sluice_set_user(loop, all[i].line.id, i), 0);
        fill_queue(loop, &all[i]);
    }
    size_t drained = 0;
    size_t since = 0;
    speak_up(loop, &others);
    for (int round = 0; round < ROUNDS; round++) {
        sluice_event events[64];
        int count = sluice_next_many(loop, events, capacity, PATIENCE_NS);
        assert_in_range(count, 1, capacity);
        for (int i = 0; i < count; i++, since++) {
            if (hear_others(&others, &events[i]))
                continue;
            assert_int_equal(events[i].kind, SLUICE_DRAINED);
            heed_drained(loop, &all[events[i].user]);
            drained++;
        }
        /* Two turns, in which each has one word. */
        if (since > 2 * (producers + 4) && !all_heard(&others))
            fail_msg("a timer, a post or a stream waits: %d %d %d", others.timer_seen,
                     others.post_seen, others.data_seen);
        if (all_heard(&others) && round % 20 == 19) {
            speak_up(loop, &others);
            since = 0;
        }
    }
    assert_true(drained > ROUNDS / 2);
}

static void a_stream_drained_again_and_again(void) {
    produce(1, false, 1);
}

static void a_stream_flushed_again_and_again(void) {
    produce(1, true, 1);
}

static void many_drained_again_and_again(void) {
    produce(8, false, 1);
    produce(8, true, 1);
}

static void drained_again_and_again_by_many(void) {
    produce(8, false, 64);
    produce(3, true, 16);
}

/* ---- Other notices that beget themselves ----------------------------------------------------- */

/* Each CLOSED is answered by another stream that is aborted. */
static void aborts_upon_aborts(void) {
    sluice_loop *loop = make_loop();
    struct others others = make_others(loop);
    struct line line = unix_line(loop);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    speak_up(loop, &others);
    uint64_t turn = stats_of(loop).turns;
    uint64_t of_turn = 0;
    for (int pulls = 0; pulls < 100; pulls++) {
        sluice_event event = next_event(loop);
        if (hear_others(&others, &event))
            continue;
        assert_int_equal(event.kind, SLUICE_CLOSED);
        of_turn = turn == stats_of(loop).turns ? of_turn + 1 : 1;
        turn = stats_of(loop).turns;
        assert_true(of_turn <= 2);
        assert_true(all_heard(&others) || pulls < 12);
        drop(line.peer);
        line = unix_line(loop);
        assert_int_equal(sluice_abort(loop, line.id), 0);
    }
    assert_true(all_heard(&others));
}

/* Held bytes come again with each piece, and before the end: a stream that holds all has no more
 * than its turn. */
static void holding_all_that_comes(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    struct others others = make_others(loop);
    struct line line = unix_line(loop);
    make_pattern(bytes, 0, 100000);
    assert_int_equal(write(line.peer, bytes, 100000), 100000);
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    speak_up(loop, &others);
    for (int pulls = 0;; pulls++) {
        sluice_event event = next_event(loop);
        if (hear_others(&others, &event))
            continue;
        if (event.kind != SLUICE_DATA)
            break;
        assert_true(all_heard(&others) || pulls < 12);
        check_pattern(event.data, 0, event.length);
        assert_int_equal(sluice_hold(loop, line.id, event.length), 0);
    }
    assert_true(all_heard(&others));
    expect_closed(loop, line.id, 0, 0);
}

/* Two that answer each other in one loop, each over its mark with every word. */
static void two_that_answer_each_other(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 1, .low_mark = 1});
    struct others others = make_others(loop);
    struct pair pair = unix_pair();
    sluice_id ids[2];
    assert_int_equal(sluice_adopt(loop, &ids[0], release(pair.near), NULL), 0);
    assert_int_equal(sluice_adopt(loop, &ids[1], release(pair.far), NULL), 0);
    write_all(loop, ids[0], "ping", 4);
    speak_up(loop, &others);
    for (int pulls = 0; pulls < 200; pulls++) {
        sluice_event event = next_event(loop);
        if (hear_others(&others, &event))
            continue;
        if (event.kind == SLUICE_DATA) {
            write_all(loop, event.id, event.data, event.length);
            assert_int_equal(sluice_flush(loop, event.id), 0);
        }
        assert_true(all_heard(&others) || pulls < 16);
    }
}

/* What a call has caused comes in the next turn at the latest. */
static void what_a_call_causes_comes_by_the_next_turn(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = PIECE, .low_mark = 1});
    struct line drained = unix_line(loop);
    struct line aborted = unix_line(loop);
    expect_no_event(loop);
    assert_int_equal(sluice_write(loop, drained.id, bytes, PIECE + 1), 1);
    assert_int_equal(sluice_flush(loop, drained.id), 0);
    assert_int_equal(sluice_abort(loop, aborted.id), 0);
    uint64_t turns = stats_of(loop).turns;
    bool drained_seen = false;
    for (int i = 0; i < 2; i++) {
        sluice_event event = next_event(loop);
        drained_seen |= event.kind == SLUICE_DRAINED && event.id == drained.id;
        if (event.kind != SLUICE_DRAINED)
            assert_int_equal(event.id, aborted.id);
    }
    assert_true(drained_seen);
    assert_true(stats_of(loop).turns - turns <= 1);
}

/* ---- Waits that fail ------------------------------------------------------------------------- */

struct seen {
    bool kinds[SLUICE_EVENT_KINDS];
    int failures;
};

static void pull_amid_failures(sluice_loop *loop, struct seen *seen, int pulls) {
    for (int i = 0; i < pulls; i++) {
        sluice_event event = {0};
        int code = sluice_next(loop, &event, NS_PER_MS);
        seen->failures += code < 0;
        if (code == 1)
            seen->kinds[event.kind] = true;
        if (code == 1 && event.kind == SLUICE_CLOSED)
            assert_true(event.error == -ECONNABORTED || event.error == -ETIMEDOUT);
        if (code < 0)
            assert_int_equal(code, SLUICE_ENOMEM);
    }
}

static void use_real_time(void *unused) {
    (void)unused;
    simulate_time(false);
}

static void a_wait_that_fails_keeps_nothing_waiting(void) {
    defer(use_real_time, NULL);
    simulate_time(true);
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = PIECE, .low_mark = 1});
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = 50 * NS_PER_MS;
    struct line idle = line_of(loop, unix_pair(), &options);
    struct line drained = unix_line(loop);
    struct line aborted = unix_line(loop);
    expect_no_event(loop);
    fail_waits(ENOMEM);
    struct seen seen = {.failures = 0};
    pull_amid_failures(loop, &seen, 3);
    assert_true(seen.failures > 0); /* and it is said */
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, NS_PER_MS, 0, 0), 0);
    assert_int_equal(sluice_post(loop, 5), 0);
    assert_int_equal(sluice_write(loop, drained.id, bytes, PIECE + 1), 1);
    assert_int_equal(sluice_abort(loop, aborted.id), 0);
    pass_time(10 * NS_PER_MS);
    pull_amid_failures(loop, &seen, 12);
    assert_true(seen.kinds[SLUICE_TIMER]);
    assert_true(seen.kinds[SLUICE_POSTED]);
    assert_true(seen.kinds[SLUICE_DRAINED]);
    assert_true(seen.kinds[SLUICE_CLOSED]);
    /* A deadline, too. */
    seen.kinds[SLUICE_CLOSED] = false;
    pass_time(100 * NS_PER_MS);
    pull_amid_failures(loop, &seen, 12);
    assert_true(seen.kinds[SLUICE_CLOSED]);
    assert_int_equal(sluice_kind_of(loop, idle.id), SLUICE_ESTALE);
    fail_waits(0);
    put_text(drained.peer, "all is well again");
    expect_text(loop, drained.id, "all is well again");
}

/* Output goes out, though nothing is heard. */
static void a_wait_that_fails_does_not_keep_output_back(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    expect_no_event(loop);
    fail_waits(ENOMEM);
    write_all(loop, line.id, "out", 3);
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 0), SLUICE_ENOMEM);
    fail_waits(0);
    take_text(line.peer, "out");
    put_text(line.peer, "in");
    expect_text(loop, line.id, "in");
}

int main(void) {
    static const struct test tests[] = {
        {"a stream drained again and again keeps nobody waiting", a_stream_drained_again_and_again,
         NULL},
        {"a stream flushed again and again keeps nobody waiting", a_stream_flushed_again_and_again,
         NULL},
        {"many streams drained again and again keep nobody waiting", many_drained_again_and_again,
         NULL},
        {"the same by several events a pull", drained_again_and_again_by_many, NULL},
        {"aborts upon aborts keep nobody waiting", aborts_upon_aborts, NULL},
        {"holding all that comes keeps nobody waiting", holding_all_that_comes, NULL},
        {"two that answer each other keep nobody waiting", two_that_answer_each_other, NULL},
        {"what a call causes comes by the next turn", what_a_call_causes_comes_by_the_next_turn,
         NULL},
        {"a wait that fails keeps nothing waiting", a_wait_that_fails_keeps_nothing_waiting, NULL},
        {"a wait that fails does not keep output back", a_wait_that_fails_does_not_keep_output_back,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

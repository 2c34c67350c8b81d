/* test_loop_small_writes.c - the first small write of an event goes out by itself at the next pull,
 * from a copy and without a queue. Otherwise it is like any other write.
 */
#include "loops.h"

#include <errno.h>
#include <string.h>

static void one_is_one_send_without_a_queue(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    char own[100];
    memset(own, 'a', sizeof own);
    assert_int_equal(sluice_write(loop, line.id, own, 60), 0);
    assert_int_equal(sluice_pending(loop, line.id), 60);
    assert_int_equal(stats_of(loop).queue_memory, 0);
    memset(own, 'b', sizeof own); /* it is a copy */
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).sends, 1);
    assert_int_equal(stats_of(loop).bytes_sent, 60);
    char echo[100];
    assert_int_equal(take_some(line.peer, echo, sizeof echo), 60);
    assert_int_equal(echo[0], 'a');
    assert_int_equal(echo[59], 'a');
}

static void the_same_in_pieces(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    const sluice_slice slices[] = {{"head ", 5}, {NULL, 0}, {"body", 4}};
    assert_int_equal(sluice_writev(loop, line.id, slices, 3), 0);
    assert_int_equal(stats_of(loop).queue_memory, 0);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).sends, 1);
    take_text(line.peer, "head body");
}

static void several_come_in_their_order(void) {
    sluice_loop *loop = make_loop();
    struct line one = unix_line(loop);
    struct line other = unix_line(loop);
    write_all(loop, one.id, "a", 1);
    write_all(loop, other.id, "1", 1);
    write_all(loop, one.id, "b", 1);
    write_all(loop, other.id, "2", 1);
    put_text(one.peer, "lent");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, one.id);
    write_all(loop, one.id, "c", 1);
    write_all(loop, one.id, event.data, event.length);
    write_all(loop, one.id, "d", 1);
    write_all(loop, other.id, event.data, event.length);
    expect_no_event(loop);
    take_text(one.peer, "abclentd");
    take_text(other.peer, "12lent");
}

static void what_there_is_no_room_for_is_queued(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    fill(sluice_fd(loop, line.id));
    write_all(loop, line.id, "rest", 4);
    expect_no_event(loop);
    assert_int_equal(sluice_pending(loop, line.id), 4);
    char taken[65536];
    size_t length = 0;
    while (length < 4 || memcmp(taken + length - 4, "rest", 4) != 0) {
        length = take_some(line.peer, taken, sizeof taken);
        expect_no_event(loop);
    }
    assert_int_equal(sluice_pending(loop, line.id), 0);
}

static void limits_hold_at_once(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.memory_limit = 4096});
    struct line line = unix_line(loop);
    char own[4096] = {0};
    assert_int_equal(sluice_write(loop, line.id, own, sizeof own), 0);
    assert_int_equal(sluice_write(loop, line.id, own, 4096), SLUICE_EFULL);
    loop = make_loop_with((sluice_options){.high_mark = 10, .low_mark = 1, .hard_limit = 20});
    line = unix_line(loop);
    assert_int_equal(sluice_write(loop, line.id, own, 11), 1);
    assert_int_equal(sluice_write(loop, line.id, own, 10), SLUICE_EFULL);
}

static void an_end_sends_it_first(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    write_all(loop, line.id, "bye", 3);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop);
    take_text(line.peer, "bye");
    expect_end(line.peer);
    line = unix_line(loop);
    write_all(loop, line.id, "gone", 4);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_closed(loop, line.id, -ECONNABORTED, 4);
    line = unix_line(loop);
    write_all(loop, line.id, "last", 4);
    end_loop(loop);
    take_text(line.peer, "last");
}

/* Also of bytes that are lent by another stream's event. */
static void it_counts_against_an_idle_limit(void) {
    make_up_time();
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = 100 * NS_PER_MS;
    struct line timed = line_of(loop, unix_pair(), &options);
    struct line other = unix_line(loop);
    for (int i = 0; i < 10; i++) {
        sluice_event event;
        assert_int_equal(sluice_next(loop, &event, 60 * NS_PER_MS), 0);
        if (i % 2 == 0) {
            write_all(loop, timed.id, "x", 1);
        } else {
            put_text(other.peer, "lent");
            event = expect_event_of(loop, SLUICE_DATA, other.id);
            write_all(loop, timed.id, event.data, event.length);
        }
    }
    expect_closed(loop, timed.id, -ETIMEDOUT, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"one small write: one send, without a queue", one_is_one_send_without_a_queue, NULL},
        {"a head and a body: the same", the_same_in_pieces, NULL},
        {"several come in their order", several_come_in_their_order, NULL},
        {"what there is no room for is queued", what_there_is_no_room_for_is_queued, NULL},
        {"limits hold at once", limits_hold_at_once, NULL},
        {"an end sends it first", an_end_sends_it_first, NULL},
        {"it counts against an idle limit", it_counts_against_an_idle_limit, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

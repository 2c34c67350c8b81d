/* test_loop_last_offer.c - a loop that ends offers what is queued to the kernel once more. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char bytes[1024 * 1024];

/* Checks that everything that the peer got is the pattern. Returns how much it was. */
static size_t take_pattern_to_the_end(int peer) {
    static unsigned char taken[65536];
    size_t at = 0;
    for (;;) {
        await(peer, POLLIN | POLLHUP);
        ptrdiff_t count = read(peer, taken, sizeof taken);
        assert_true(count >= 0);
        if (count == 0)
            return at;
        check_pattern(taken, at, (size_t)count);
        at += (size_t)count;
    }
}

static void what_is_queued_is_sent(void) {
    static const size_t lengths[] = {1, 8191, 60000};
    for (int how = 0; how < 2; how++)
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            sluice_loop *loop = make_loop();
            struct line line = how ? tcp_line(loop) : unix_line(loop);
            make_pattern(bytes, 0, lengths[i]);
            /* In small writes, which are queued. */
            for (size_t at = 0; at < lengths[i]; at += 5000) {
                size_t left = lengths[i] - at;
                write_all(loop, line.id, bytes + at, left < 5000 ? left : 5000);
            }
            assert_int_equal(sluice_pending(loop, line.id), lengths[i]);
            end_loop(loop);
            assert_int_equal(take_pattern_to_the_end(line.peer), lengths[i]);
        }
}

/* The answer of the six lines, after the last event. */
static void an_answer_that_was_put_off_is_sent(void) {
    for (int how = 0; how < 2; how++) {
        sluice_loop *loop = make_loop();
        struct line line = how ? tcp_line(loop) : unix_line(loop);
        make_pattern(bytes, 0, 5000);
        assert_int_equal(write(line.peer, bytes, 5000), 5000);
        await_bytes(sluice_fd(loop, line.id), 5000);
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(event.length, 5000);
        write_all(loop, line.id, event.data, event.length);
        end_loop(loop);
        assert_int_equal(take_pattern_to_the_end(line.peer), 5000);
    }
}

/* Answers to several events of one pull: one is put off, and others are queued. */
static void answers_of_one_pull_are_sent(void) {
    enum { LINES = 5 };
    sluice_loop *loop = make_loop();
    struct line lines[LINES];
    make_pattern(bytes, 0, 1000);
    for (size_t i = 0; i < LINES; i++) {
        lines[i] = unix_line(loop);
        assert_int_equal(write(lines[i].peer, bytes, 1000), 1000);
    }
    sluice_event events[LINES];
    assert_int_equal(sluice_next_many(loop, events, LINES, PATIENCE_NS), LINES);
    for (size_t i = 0; i < LINES; i++)
        write_all(loop, events[i].id, events[i].data, events[i].length);
    end_loop(loop);
    for (size_t i = 0; i < LINES; i++)
        assert_int_equal(take_pattern_to_the_end(lines[i].peer), 1000);
}

/* The kernel had no room, and has now. */
static void what_waited_for_room_is_sent(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    size_t written = 0;
    for (; sluice_pending(loop, line.id) == 0; written += 1000) {
        make_pattern(bytes, written, 1000);
        write_all(loop, line.id, bytes, 1000);
        assert_int_equal(sluice_flush(loop, line.id), 0);
    }
    expect_no_event(loop);
    static unsigned char taken[65536];
    size_t at = 0;
    for (size_t count = 1; count > 0; at += count) {
        count = take_some(line.peer, taken, sizeof taken);
        check_pattern(taken, at, count);
    }
    end_loop(loop);
    for (;;) {
        await(line.peer, POLLIN | POLLHUP);
        ptrdiff_t count = read(line.peer, taken, sizeof taken);
        if (count <= 0)
            break;
        check_pattern(taken, at, (size_t)count);
        at += (size_t)count;
    }
    assert_int_equal(at, written);
}

/* What there is no room for is not waited for. */
static void nothing_is_waited_for(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    make_pattern(bytes, 0, sizeof bytes);
    write_all(loop, line.id, bytes, sizeof bytes);
    assert_true(sluice_pending(loop, line.id) > 0);
    end_loop(loop);
    size_t sent = take_pattern_to_the_end(line.peer);
    assert_true(sent > 0 && sent < sizeof bytes);
}

/* A shutdown or a close that was under way is carried as far as it goes. */
static void ends_under_way(void) {
    for (int how = 0; how < 3; how++) {
        sluice_loop *loop = make_loop();
        sluice_stream_options options = stream_options(SLUICE_HALF_OPEN);
        struct line line = line_of(loop, tcp_pair(), &options);
        make_pattern(bytes, 0, 3000);
        write_all(loop, line.id, bytes, 3000);
        if (how == 0)
            assert_int_equal(sluice_shutdown(loop, line.id), 0);
        else if (how == 1)
            assert_int_equal(sluice_close(loop, line.id), 0);
        else
            assert_int_equal(sluice_pause(loop, line.id), 0);
        end_loop(loop);
        assert_int_equal(take_pattern_to_the_end(line.peer), 3000);
    }
}

/* What was forwarded, and stands in the target's queue. */
static void what_was_forwarded_is_sent(void) {
    sluice_loop *loop = make_loop();
    struct line from = unix_line(loop);
    struct line to = unix_line(loop);
    make_pattern(bytes, 0, 2000);
    assert_int_equal(write(from.peer, bytes, 2000), 2000);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, from.id);
    assert_int_equal(event.length, 2000);
    assert_int_equal(sluice_hold(loop, from.id, 2000), 0);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    end_loop(loop);
    assert_int_equal(take_pattern_to_the_end(to.peer), 2000);
}

static void to_a_file_and_a_pipe(void) {
    sluice_loop *loop = make_loop();
    char path[] = "/tmp/sluice-test-XXXXXX";
    int in = keep(mkstemp(path));
    int second = duplicate(in, 0);
    struct pair pipe = pipe_pair();
    sluice_id ids[2];
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sluice_adopt(loop, &ids[0], release(second), NULL), 0);
    assert_int_equal(sluice_pause(loop, ids[0]), 0);
    assert_int_equal(sluice_adopt(loop, &ids[1], release(pipe.far), NULL), 0);
    make_pattern(bytes, 0, 100);
    write_all(loop, ids[0], bytes, 100);
    write_all(loop, ids[1], bytes, 100);
    end_loop(loop);
    unsigned char taken[200];
    assert_int_equal(pread(in, taken, sizeof taken, 0), 100);
    check_pattern(taken, 0, 100);
    assert_int_equal(take_pattern_to_the_end(pipe.near), 100);
}

/* A peer that is gone, and one that is not connected yet, keep nobody from ending. */
static void to_nobody(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    drop(line.peer);
    write_all(loop, line.id, "to nobody", 9);
    int listener = tcp_listener(4);
    char address[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
    write_all(loop, id, "too early", 9);
    end_loop(loop);
}

int main(void) {
    static const struct test tests[] = {
        {"a loop that ends sends what is queued", what_is_queued_is_sent, NULL},
        {"a loop that ends sends an answer that was put off", an_answer_that_was_put_off_is_sent,
         NULL},
        {"a loop that ends sends all answers of one pull", answers_of_one_pull_are_sent, NULL},
        {"a loop that ends sends what waited for room", what_waited_for_room_is_sent, NULL},
        {"a loop that ends waits for nothing", nothing_is_waited_for, NULL},
        {"a loop that ends amid a shutdown or a close", ends_under_way, NULL},
        {"a loop that ends sends what was forwarded", what_was_forwarded_is_sent, NULL},
        {"a loop that ends sends to a file and a pipe", to_a_file_and_a_pipe, NULL},
        {"a loop that ends with output for nobody", to_nobody, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

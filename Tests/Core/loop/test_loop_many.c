/* test_loop_many.c - several events in one pull: their data together, and calls on one stream while
 * events of others are already there. */
#include "loops.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

#define MOST 64

static int pull_many(sluice_loop *loop, sluice_event *events, int capacity) {
    int count = sluice_next_many(loop, events, capacity, PATIENCE_NS);
    assert_in_range(count, 1, capacity);
    return count;
}

/* Streams that all have a word to say, of their own each. */
static void make_lines(sluice_loop *loop, struct line *lines, size_t count) {
    for (size_t i = 0; i < count; i++) {
        lines[i] = unix_line(loop);
        assert_int_equal(sluice_set_user(loop, lines[i].id, i), 0);
        char text[32];
        snprintf(text, sizeof text, "I am number %zu", i);
        put_text(lines[i].peer, text);
    }
}

static void data_of_all_is_valid_together(void) {
    sluice_loop *loop = make_loop();
    struct line lines[30];
    make_lines(loop, lines, COUNT_OF(lines));
    sluice_event events[MOST];
    int count = pull_many(loop, events, MOST);
    assert_int_equal(count, COUNT_OF(lines));
    for (int i = 0; i < count; i++) {
        assert_int_equal(events[i].kind, SLUICE_DATA);
        char text[32];
        snprintf(text, sizeof text, "I am number %u", (unsigned)events[i].user);
        assert_int_equal(events[i].length, strlen(text));
        assert_memory_equal(events[i].data, text, events[i].length);
        assert_int_equal(sluice_write(loop, events[i].id, events[i].data, events[i].length), 0);
    }
    long before = send_count();
    assert_int_equal(sluice_next_many(loop, events, MOST, 0), 0);
    assert_int_equal(send_count() - before, COUNT_OF(lines));
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char text[32];
        snprintf(text, sizeof text, "I am number %zu", i);
        take_text(lines[i].peer, text);
    }
    assert_int_equal(stats_of(loop).events[SLUICE_DATA], COUNT_OF(lines));
}

static void capacity(void) {
    sluice_loop *loop = make_loop();
    struct line lines[10];
    make_lines(loop, lines, COUNT_OF(lines));
    sluice_event events[MOST];
    bool seen[COUNT_OF(lines)] = {false};
    for (int taken = 0; taken < 10;) {
        int most = taken < 3 ? 1 : 4;
        int count = pull_many(loop, events, most);
        for (int i = 0; i < count; i++) {
            assert_false(seen[events[i].user]);
            seen[events[i].user] = true;
        }
        taken += count;
    }
    assert_int_equal(sluice_next_many(loop, events, 4, 0), 0);
    assert_int_equal(sluice_next_many(loop, events, 0, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_next_many(loop, events, -1, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_next_many(loop, NULL, 4, 0), SLUICE_ENULL);
    assert_int_equal(sluice_next_many(loop, events, 4, -1), SLUICE_ETIMEOUT);
}

/* More data than the receive buffer has room for comes by and by, and none is lost. */
static void bounded_by_the_receive_buffer(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 16384});
    static unsigned char bytes[60000];
    struct line lines[6];
    size_t places[6] = {0};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i] = unix_line(loop);
        assert_int_equal(sluice_set_user(loop, lines[i].id, i), 0);
        make_pattern(bytes, i, sizeof bytes);
        assert_int_equal(write(lines[i].peer, bytes, sizeof bytes), sizeof bytes);
    }
    sluice_event events[MOST];
    for (size_t left = 6 * sizeof bytes; left > 0;) {
        int count = pull_many(loop, events, MOST);
        size_t together = 0;
        for (int i = 0; i < count; i++) {
            assert_int_equal(events[i].kind, SLUICE_DATA);
            size_t *place = &places[events[i].user];
            check_pattern(events[i].data, events[i].user + *place, events[i].length);
            *place += events[i].length;
            together += events[i].length;
        }
        assert_true(together <= 16384);
        left -= together;
    }
}

static void posts_timers_and_streams_in_one(void) {
    sluice_loop *loop = make_loop();
    struct line lines[3];
    make_lines(loop, lines, COUNT_OF(lines));
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
    assert_int_equal(sluice_post(loop, 7), 0);
    sluice_event events[MOST];
    assert_int_equal(pull_many(loop, events, MOST), 5);
    assert_int_equal(events[0].kind, SLUICE_TIMER);
    assert_int_equal(events[1].kind, SLUICE_POSTED);
    for (int i = 2; i < 5; i++)
        assert_int_equal(events[i].kind, SLUICE_DATA);
}

/* Waits for the first alone. */
static void waits_for_the_first_alone(void) {
    sluice_loop *loop = make_loop();
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, 10 * NS_PER_MS, 0, 0), 0);
    assert_int_equal(sluice_timer(loop, &timer, 2 * PATIENCE_NS, 0, 0), 0);
    sluice_event events[MOST];
    assert_int_equal(pull_many(loop, events, MOST), 1);
    assert_int_equal(sluice_next_many(loop, events, MOST, NS_PER_MS), 0);
}

/* A stream at its end is open until the caller has had its chance to answer: the next pull. */
static void eof_can_be_answered(void) {
    sluice_loop *loop = make_loop();
    struct line lines[3];
    make_lines(loop, lines, COUNT_OF(lines));
    sluice_event events[MOST];
    assert_int_equal(pull_many(loop, events, MOST), 3);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_int_equal(shutdown(lines[i].peer, SHUT_WR), 0);
    int ends = 0;
    int closed = 0;
    while (closed < 3) {
        int count = pull_many(loop, events, MOST);
        for (int i = 0; i < count; i++) {
            if (events[i].kind == SLUICE_CLOSED) {
                closed++;
                continue;
            }
            assert_int_equal(events[i].kind, SLUICE_EOF);
            assert_int_equal(sluice_write(loop, events[i].id, "goodbye", 7), 0);
            ends++;
        }
    }
    assert_int_equal(ends, 3);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        take_text(lines[i].peer, "goodbye");
}

/* The same at once: the bytes that were held, the end, and only at the next pull CLOSED. */
static void held_and_eof_in_one(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "half a li");
    sluice_event events[MOST];
    assert_int_equal(pull_many(loop, events, MOST), 1);
    assert_int_equal(sluice_hold(loop, line.id, 9), 0);
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    uint32_t kinds[3];
    for (int taken = 0; taken < 3;) {
        int count = pull_many(loop, events, MOST);
        for (int i = 0; i < count && taken < 3; i++) {
            kinds[taken++] = events[i].kind;
            if (events[i].kind == SLUICE_DATA)
                assert_memory_equal(events[i].data, "half a li", 9);
            if (events[i].kind == SLUICE_EOF)
                assert_int_equal(sluice_write(loop, line.id, "so?", 3), 0);
        }
    }
    assert_int_equal(kinds[0], SLUICE_DATA);
    assert_int_equal(kinds[1], SLUICE_EOF);
    assert_int_equal(kinds[2], SLUICE_CLOSED);
    take_text(line.peer, "so?");
}

/* A packet is received whole or not at all. It needs the whole buffer, of which a stream that is
 * never silent takes a part in each pull. */
static void a_packet_that_needs_the_whole_buffer(void) {
    enum { PACKET = 60000, CHATTER = 10000 };
    static unsigned char bytes[PACKET];
    make_pattern(bytes, 0, PACKET);
    for (int capacity = 1; capacity <= 8; capacity++) {
        sluice_loop *loop = make_loop();
        struct line talker = unix_line(loop);
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        struct line packets =
            line_of(loop, (struct pair){.near = keep(fds[0]), .far = keep(fds[1])}, NULL);
        size_t received = 0;
        for (int pull = 0; received < PACKET; pull++) {
            if (pull == 20)
                fail_msg("%zu bytes of the packet in 20 pulls of %d", received, capacity);
            assert_true(sluice_socket_send(talker.peer, bytes, CHATTER) > 0);
            if (pull == 4)
                assert_int_equal(send(packets.peer, bytes, PACKET, 0), PACKET);
            sluice_event events[8];
            int count = pull_many(loop, events, capacity);
            for (int i = 0; i < count; i++) {
                assert_int_equal(events[i].kind, SLUICE_DATA);
                if (events[i].id != packets.id)
                    continue;
                check_pattern(events[i].data, received, events[i].length);
                received += events[i].length;
            }
        }
        end_loop(loop);
    }
}

static void hold_of_each(void) {
    sluice_loop *loop = make_loop();
    struct line lines[10];
    make_lines(loop, lines, COUNT_OF(lines));
    sluice_event events[MOST];
    for (int round = 0; round < 4; round++) {
        assert_int_equal(pull_many(loop, events, MOST), 10);
        for (int i = 0; i < 10; i++) {
            char text[32];
            snprintf(text, sizeof text, "I am number %u", (unsigned)events[i].user);
            size_t length = strlen(text);
            assert_int_equal(events[i].length, length + (size_t)(round > 0));
            assert_memory_equal(events[i].data, text, length);
        }
        /* In another order than they came. */
        for (int i = 9; i >= 0; i--) {
            assert_int_equal(sluice_hold(loop, events[i].id, events[i].length), 0);
            if (round > 0) {
                assert_int_equal(sluice_hold(loop, events[i].id, events[i].length - 1), 0);
                assert_int_equal(sluice_hold(loop, events[i].id, events[i].length), 0);
            }
        }
        if (round == 1)
            break;
        for (size_t i = 0; i < COUNT_OF(lines); i++)
            put_text(lines[i].peer, "+");
    }
    assert_int_equal(sluice_next_many(loop, events, MOST, 0), 0);
    assert_int_equal(sluice_hold(loop, lines[0].id, 1), SLUICE_ESTATE);
}

static void random_holds(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 8192});
    struct line lines[5];
    size_t sent[5] = {0}, received[5] = {0};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        lines[i] = unix_line(loop);
        assert_int_equal(sluice_set_user(loop, lines[i].id, i), 0);
    }
    static unsigned char bytes[20000];
    for (int round = 0; round < 300; round++) {
        size_t which = random_below(5);
        size_t piece = 1 + random_below(sizeof bytes);
        make_pattern(bytes, sent[which], piece);
        ptrdiff_t count = sluice_socket_send(lines[which].peer, bytes, piece);
        sent[which] += count > 0 ? (size_t)count : 0;
        sluice_event events[3];
        int pulled = sluice_next_many(loop, events, 3, 0);
        for (int i = 0; i < pulled; i++) {
            size_t *place = &received[events[i].user];
            check_pattern(events[i].data, *place, events[i].length);
            size_t held = random_below((uint32_t)events[i].length + 1);
            assert_int_equal(sluice_hold(loop, events[i].id, held), 0);
            *place += events[i].length - held;
        }
    }
}

int main(void) {
    static const struct test tests[] = {
        {"the data of all is valid together", data_of_all_is_valid_together, NULL},
        {"capacity, from 1", capacity, NULL},
        {"bounded by the receive buffer", bounded_by_the_receive_buffer, NULL},
        {"timers, posts and streams in one", posts_timers_and_streams_in_one, NULL},
        {"it waits for the first alone", waits_for_the_first_alone, NULL},
        {"EOF can be answered", eof_can_be_answered, NULL},
        {"held bytes, EOF, CLOSED, in this order", held_and_eof_in_one, NULL},
        {"a packet that needs the whole buffer comes soon", a_packet_that_needs_the_whole_buffer,
         NULL},
        {"hold of each", hold_of_each, NULL},
        {"random pieces, holds and capacities", random_holds, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

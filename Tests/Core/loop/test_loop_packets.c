/* test_loop_packets.c - streams over sockets of packets: how long a packet may be, and how such a
 * stream ends. test_loop_descriptors.c tests that every byte of them arrives. */
#include "loops.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVE_SIZE = 16384 };

static struct pair sequenced(void) {
    return unix_pair_of(SOCK_SEQPACKET);
}

static struct pair datagrams(void) {
    return unix_pair_of(SOCK_DGRAM);
}

static struct pair (*const kinds[])(void) = {sequenced, datagrams, udp_pair};

static void put_packet(int fd, size_t place, size_t length) {
    static unsigned char bytes[65536];
    assert_true(length <= sizeof bytes);
    make_pattern(bytes, place, length);
    assert_int_equal(send(fd, bytes, length, 0), length);
}

/* What several streams have told, in any order. */
struct told {
    struct line line;
    struct story story;
};

static int hear_all(sluice_loop *loop, struct told *told, size_t count, int capacity,
                    int64_t timeout_ns) {
    sluice_event events[16];
    int pulled = sluice_next_many(loop, events, capacity, timeout_ns);
    assert_in_range(pulled, 0, capacity);
    for (int i = 0; i < pulled; i++) {
        size_t of = 0;
        while (of < count && told[of].line.id != events[i].id)
            of++;
        assert_true(of < count);
        add_to_story(&told[of].story, &events[i]);
    }
    return pulled;
}

static struct told tell_of(sluice_loop *loop, struct pair pair) {
    return (struct told){.line = line_of(loop, pair, NULL), .story = new_story()};
}

/* The one that got it ends by that, and says so. Packets before it have come, and all of others. */
static void too_long(struct pair (*kind)(void), int capacity) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = RECEIVE_SIZE});
    struct told told[] = {tell_of(loop, kind()), tell_of(loop, kind()), tell_of(loop, unix_pair())};
    for (size_t i = 0; i < COUNT_OF(told); i++)
        put_packet(told[i].line.peer, 0, 6);
    put_packet(told[0].line.peer, 6, RECEIVE_SIZE); /* as long as may be */
    put_packet(told[0].line.peer, RECEIVE_SIZE + 6, RECEIVE_SIZE + 1);
    put_packet(told[0].line.peer, 0, 1);
    for (size_t i = 1; i < COUNT_OF(told); i++)
        put_packet(told[i].line.peer, 6, RECEIVE_SIZE);
    while (told[0].story.closed == 0)
        if (hear_all(loop, told, COUNT_OF(told), capacity, PATIENCE_NS) == 0)
            fail_msg("CLOSED was expected");
    put_packet(told[1].line.peer, RECEIVE_SIZE + 6, 10);
    put_packet(told[2].line.peer, RECEIVE_SIZE + 6, 10);
    while (told[1].story.length + told[2].story.length < (size_t)2 * (RECEIVE_SIZE + 16))
        if (hear_all(loop, told, COUNT_OF(told), capacity, PATIENCE_NS) == 0)
            fail_msg("DATA was expected");
    assert_int_equal(told[0].story.error, -EMSGSIZE);
    assert_int_equal(told[0].story.eof, 0);
    assert_int_equal(told[0].story.length, RECEIVE_SIZE + 6);
    for (size_t i = 0; i < COUNT_OF(told); i++)
        assert_true(told[i].story.is_pattern);
    assert_int_equal(told[1].story.closed + told[2].story.closed, 0);
    expect_no_event(loop);
    end_loop(loop);
}

static void a_packet_that_is_too_long(void) {
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        too_long(kinds[i], 1);
        too_long(kinds[i], 16);
    }
}

/* Whichever comes first leaves no room for another, and each is one event. */
static void no_room_left(struct pair (*kind)(void)) {
    enum { LENGTH = 10000 };
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = RECEIVE_SIZE});
    struct told told[3];
    for (size_t i = 0; i < COUNT_OF(told); i++) {
        told[i] = tell_of(loop, kind());
        put_packet(told[i].line.peer, 0, LENGTH);
        put_packet(told[i].line.peer, LENGTH, LENGTH);
    }
    for (size_t i = 0; i < 2 * COUNT_OF(told); i++)
        assert_int_equal(hear_all(loop, told, COUNT_OF(told), 16, PATIENCE_NS), 1);
    for (size_t i = 0; i < COUNT_OF(told); i++) {
        assert_int_equal(told[i].story.data, 2);
        assert_int_equal(told[i].story.length, 2 * LENGTH);
        assert_true(told[i].story.is_pattern);
    }
    expect_no_event(loop);
    end_loop(loop);
}

static void a_packet_longer_than_the_room_left(void) {
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        no_room_left(kinds[i]);
}

/* The room is what another leaves that has more each time. */
static void no_room_beside_a_busy_stream(struct pair (*kind)(void)) {
    enum { LENGTH = 12000, MORE = 6000 };
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = RECEIVE_SIZE});
    struct told told[3] = {tell_of(loop, unix_pair()), tell_of(loop, kind()),
                           tell_of(loop, unix_pair())};
    put_packet(told[1].line.peer, 0, LENGTH);
    for (size_t round = 0; told[1].story.data == 0; round++) {
        if (round == 8)
            fail_msg("the packet did not come in %zu pulls", round);
        for (size_t i = 0; i < COUNT_OF(told); i += 2)
            put_packet(told[i].line.peer, round * MORE, MORE);
        hear_all(loop, told, COUNT_OF(told), 16, PATIENCE_NS);
    }
    assert_int_equal(told[1].story.length, LENGTH);
    for (size_t i = 0; i < COUNT_OF(told); i++)
        assert_true(told[i].story.is_pattern);
    end_loop(loop);
}

static void a_packet_beside_a_busy_stream(void) {
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        no_room_beside_a_busy_stream(kinds[i]);
}

/* ---- Closing --------------------------------------------------------------------------------- */

/* A peer of datagrams can neither be told of an end nor tell of one. All is sent, what still comes
 * is dropped, and the linger time ends it. */
static void close_in_order(struct pair (*kind)(void)) {
    enum { PACKETS = 40, LENGTH = 1000 };
    static unsigned char bytes[PACKETS * LENGTH];
    static unsigned char got[sizeof bytes];
    sluice_loop *loop = make_loop();
    struct line line = line_of(loop, kind(), NULL);
    make_pattern(bytes, 0, sizeof bytes);
    for (size_t at = 0; at < sizeof bytes; at += LENGTH) {
        write_all(loop, line.id, bytes + at, LENGTH);
        assert_int_equal(sluice_flush(loop, line.id), 0);
    }
    put_text(line.peer, "unheard");
    const int64_t begin = sluice_update_now(loop);
    assert_int_equal(sluice_close(loop, line.id), 0);
    for (size_t at = 0; at < sizeof bytes;) {
        expect_no_event(loop);
        await(line.peer, POLLIN);
        at += take_some(line.peer, got + at, sizeof got - at);
    }
    check_pattern(got, 0, sizeof got);
    expect_no_event(loop);
    put_text(line.peer, "unheard");
    expect_no_event(loop);
    expect_closed(loop, line.id, 0, 0);
    assert_in_range(sluice_now(loop) - begin, 10000 * NS_PER_MS, 10001 * NS_PER_MS);
    expect_no_event(loop);
    end_loop(loop);
}

static void datagrams_are_closed_in_order(void) {
    make_up_time();
    close_in_order(datagrams);
    close_in_order(udp_pair);
}

/* One of sequenced packets can be told, and tells. */
static void sequenced_packets_are_closed_in_order(void) {
    sluice_loop *loop = make_loop();
    struct line line = line_of(loop, sequenced(), NULL);
    write_all(loop, line.id, "farewell", 8);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop);
    take_text(line.peer, "farewell");
    expect_end(line.peer);
    put_text(line.peer, "unheard");
    expect_no_event(loop);
    drop(line.peer);
    expect_closed(loop, line.id, 0, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"longer than a receive: -EMSGSIZE, and others lose nothing", a_packet_that_is_too_long,
         NULL},
        {"longer than the room left: whole, with the next pull", a_packet_longer_than_the_room_left,
         NULL},
        {"the same beside a stream that always has more", a_packet_beside_a_busy_stream, NULL},
        {"datagrams are closed in order", datagrams_are_closed_in_order, NULL},
        {"sequenced packets are closed in order", sequenced_packets_are_closed_in_order, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

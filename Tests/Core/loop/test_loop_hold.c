/* test_loop_hold.c - sluice_hold: bytes of an event that come again, joined with what follows. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES 300

static unsigned char *sent;
static size_t sent_length;

static void free_frames(void *unused) {
    (void)unused;
    free(sent);
}

/* Frames of random sizes: four bytes of length, and as many of the pattern. */
static void make_frames(void) {
    sent = malloc((size_t)FRAMES * (4 + 20000));
    assert_non_null(sent);
    defer(free_frames, NULL);
    sent_length = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        uint32_t length = random_below(10) == 0 ? random_below(20000) : random_below(60);
        memcpy(sent + sent_length, &length, 4);
        make_pattern(sent + sent_length + 4, i, length);
        sent_length += 4 + length;
    }
}

/* Takes the whole frames of an event, and says how many bytes are left behind them. */
static size_t take_frames(const sluice_event *event, uint32_t *frame) {
    const unsigned char *at = event->data;
    size_t left = event->length;
    while (left >= 4) {
        uint32_t length;
        memcpy(&length, at, 4);
        if (left - 4 < length)
            break;
        check_pattern(at + 4, (*frame)++, length);
        at += 4 + length;
        left -= 4 + length;
    }
    return left;
}

static void framing(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    make_frames();
    uint32_t frame = 0;
    for (size_t at = 0; at < sent_length;) {
        size_t piece = 1 + random_below(random_below(4) ? 50 : 9000);
        if (piece > sent_length - at)
            piece = sent_length - at;
        assert_int_equal(write(line.peer, sent + at, piece), piece);
        at += piece;
        if (random_below(3) == 0)
            continue; /* so that two come as one */
        sluice_event event;
        while (pull_now(loop, &event)) {
            assert_int_equal(event.kind, SLUICE_DATA);
            size_t left = take_frames(&event, &frame);
            assert_int_equal(sluice_hold(loop, line.id, left), 0);
        }
    }
    sluice_event event;
    while (pull_now(loop, &event))
        assert_int_equal(sluice_hold(loop, line.id, take_frames(&event, &frame)), 0);
    assert_int_equal(frame, FRAMES);
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

static void hold_all_until_enough(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    char text[201] = "";
    for (size_t i = 0; i < 200; i++) {
        text[i] = (char)('a' + (char)(i % 26));
        assert_int_equal(write(line.peer, text + i, 1), 1);
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(event.length, i + 1);
        assert_memory_equal(event.data, text, i + 1);
        assert_int_equal(sluice_hold(loop, line.id, event.length), 0);
        assert_memory_equal(event.data, text, i + 1);
    }
    expect_no_event(loop); /* by itself it does not come again */
}

static void hold_changed_within_the_event(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "0123456789");
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, line.id, 8), 0);
    assert_int_equal(sluice_hold(loop, line.id, 3), 0);
    put_text(line.peer, "ab");
    expect_text(loop, line.id, "789ab");
    assert_int_equal(sluice_hold(loop, line.id, 5), 0);
    assert_int_equal(sluice_hold(loop, line.id, 1), 0);
    assert_int_equal(sluice_hold(loop, line.id, 4), 0);
    put_text(line.peer, "c");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    assert_int_equal(event.length, 5);
    assert_memory_equal(event.data, "89abc", 5);
    assert_int_equal(sluice_hold(loop, line.id, 4), 0);
    assert_int_equal(sluice_hold(loop, line.id, 0), 0);
    assert_memory_equal(event.data, "89abc", 5);
    put_text(line.peer, "d");
    expect_text(loop, line.id, "d");
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

static void not_held_is_gone(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "abc");
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, line.id, 2), 0);
    put_text(line.peer, "d");
    expect_text(loop, line.id, "bcd");
    put_text(line.peer, "e");
    expect_text(loop, line.id, "e");
}

static void too_much_and_too_late(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 1024, .hard_limit = 4096});
    struct line line = unix_line(loop);
    struct line other = unix_line(loop);
    assert_int_equal(sluice_hold(loop, line.id, 0), SLUICE_ESTATE);
    put_text(line.peer, "abc");
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, line.id, 4), SLUICE_ECAPACITY);
    assert_int_equal(sluice_hold(loop, line.id, SIZE_MAX), SLUICE_ECAPACITY);
    assert_int_equal(sluice_hold(loop, other.id, 1), SLUICE_ESTATE);
    put_text(other.peer, "xyz");
    expect_event_of(loop, SLUICE_DATA, other.id);
    assert_int_equal(sluice_hold(loop, line.id, 1), SLUICE_ESTATE);
    static unsigned char bytes[5000];
    assert_int_equal(write(line.peer, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(expect_event(loop, SLUICE_DATA).length, 5000);
    assert_int_equal(sluice_hold(loop, line.id, 4097), SLUICE_EFULL);
    assert_int_equal(sluice_hold(loop, line.id, 4096), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_hold(loop, line.id, 0), SLUICE_ESTATE);
}

/* Nothing is held then, and the stream goes on. */
static void over_the_memory_limit(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.memory_limit = 8192});
    struct line line = unix_line(loop);
    static unsigned char bytes[20000];
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(write(line.peer, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(expect_event(loop, SLUICE_DATA).length, sizeof bytes);
    assert_int_equal(sluice_hold(loop, line.id, 8193), SLUICE_EFULL);
    assert_int_equal(stats_of(loop).queue_memory, 0);
    put_text(line.peer, "next");
    expect_text(loop, line.id, "next");
    assert_int_equal(sluice_hold(loop, line.id, 4), 0);
    put_text(line.peer, " one");
    expect_text(loop, line.id, "next one");
}

static void once_more_before_eof(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "unfinished");
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, line.id, 4), 0);
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, 4);
    assert_memory_equal(event.data, "shed", 4);
    assert_int_equal(event.value, 4 << 1 | SLUICE_LAST);
    assert_int_equal(sluice_hold(loop, line.id, 4), 0); /* in vain */
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
}

/* No other DATA has SLUICE_LAST: not one without held bytes, and not one that is joined with them.
 * That one says how much came before. */
static void only_the_last_says_so(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "first");
    assert_int_equal(expect_event_of(loop, SLUICE_DATA, line.id).value, 0);
    put_text(line.peer, "second");
    assert_int_equal(expect_event_of(loop, SLUICE_DATA, line.id).value, 0);
    assert_int_equal(sluice_hold(loop, line.id, 3), 0);
    put_text(line.peer, "third");
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    assert_int_equal(expect_event_of(loop, SLUICE_DATA, line.id).value, 3 << 1);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
}

/* To hold the last bytes again is in vain: they come no more, and cost nothing, although the stream
 * stays. A forward that is begun before the next pull still passes them on. */
static void the_last_are_dropped(void) {
    sluice_loop *loop = make_loop();
    const sluice_stream_options half_open = stream_options(SLUICE_HALF_OPEN);
    struct line other = unix_line(loop);
    for (int how = 0; how < 4; how++) {
        struct line line = line_of(loop, unix_pair(), &half_open);
        put_text(line.peer, "held");
        expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(sluice_hold(loop, line.id, 4), 0);
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        sluice_event events[2];
        int capacity = how == 0 ? 2 : 1;
        int count = sluice_next_many(loop, events, capacity, PATIENCE_NS);
        while (count == 0)
            count = sluice_next_many(loop, events, capacity, PATIENCE_NS);
        assert_int_equal(count, 1); /* before the end is told, they could be held for a resume */
        assert_int_equal(events[0].value, 4 << 1 | SLUICE_LAST);
        int code = how == 2 ? sluice_hold_until(loop, line.id, 2, 100)
                            : sluice_hold(loop, line.id, how < 2 ? 4 : 3);
        assert_int_equal(code, 0);
        assert_memory_equal(events[0].data, "held", 4);
        if (how == 3)
            assert_int_equal(sluice_forward(loop, line.id, other.id), 0);
        else
            expect_event_of(loop, SLUICE_EOF, line.id);
        expect_no_event(loop);
        assert_int_equal(stats_of(loop).queue_memory, 0);
        if (how == 3)
            take_text(other.peer, "eld");
        else
            assert_int_equal(sluice_forward(loop, line.id, other.id), 0);
        assert_int_equal(sluice_abort(loop, line.id), 0);
        expect_closed(loop, line.id, -ECONNABORTED, 0);
        if (how < 3)
            expect_end(other.peer);
        drop(other.peer);
        while (stats_of(loop).handles[SLUICE_KIND_STREAM] > 0)
            next_event(loop);
        other = unix_line(loop);
    }
}

/* The bytes once more and the end wait for the resume. */
static void once_more_after_a_pause(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "held");
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, line.id, 4), 0);
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    expect_text(loop, line.id, "held");
    assert_int_equal(sluice_pause(loop, line.id), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
}

/* What an event lends stays, even if its stream ends within it. */
static void data_outlives_the_stream(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 3; how++) {
        struct line line = unix_line(loop);
        put_text(line.peer, "first ");
        expect_event(loop, SLUICE_DATA);
        assert_int_equal(sluice_hold(loop, line.id, 6), 0);
        put_text(line.peer, "second");
        sluice_event event = expect_event(loop, SLUICE_DATA);
        if (how == 1)
            assert_int_equal(sluice_hold(loop, line.id, 6), 0);
        if (how < 2)
            assert_int_equal(sluice_abort(loop, line.id), 0);
        else
            assert_int_equal(sluice_close(loop, line.id), 0);
        assert_memory_equal(event.data, "first second", 12);
        assert_int_equal(sluice_hold(loop, line.id, 1), how < 2 ? SLUICE_ESTALE : 0);
        if (how < 2)
            expect_closed(loop, line.id, -ECONNABORTED, 0);
        drop(line.peer);
    }
    while (stats_of(loop).handles[SLUICE_KIND_STREAM] > 0)
        expect_event(loop, SLUICE_CLOSED);
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

/* A frame that comes in a thousand pieces is not copied a thousand times. */
static void memory_of_a_large_frame(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    static unsigned char piece[1000];
    size_t length = 0;
    for (int i = 0; i < 1000; i++) {
        make_pattern(piece, length, sizeof piece);
        assert_int_equal(write(line.peer, piece, sizeof piece), sizeof piece);
        sluice_event event = expect_event(loop, SLUICE_DATA);
        length += sizeof piece;
        assert_int_equal(event.length, length);
        if (i % 100 == 99)
            check_pattern(event.data, 0, length);
        assert_int_equal(sluice_hold(loop, line.id, length), 0);
    }
    assert_true(stats_of(loop).queue_memory <= 2 * length);
}

/* A stream may hold as much as a write may queue: the mark at which reading stops does not bound a
 * frame. */
static void up_to_the_hard_limit(void) {
    enum { HARD = 100000 };
    sluice_loop *loop = make_loop_with(
        (sluice_options){.high_mark = 1000, .hard_limit = HARD, .receive_size = 4096});
    struct line line = unix_line(loop);
    static unsigned char bytes[HARD + 1];
    make_pattern(bytes, 0, sizeof bytes);
    size_t offered = 0;
    size_t held = 0;
    for (size_t received = 0; received < sizeof bytes;) {
        ptrdiff_t count = offered < sizeof bytes ? sluice_socket_send(line.peer, bytes + offered,
                                                                      sizeof bytes - offered)
                                                 : 0;
        offered += count > 0 ? (size_t)count : 0;
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        received += event.length - held;
        check_pattern(event.data, received - event.length, event.length);
        held = event.length <= HARD ? event.length : HARD;
        if (held < event.length)
            assert_int_equal(sluice_hold(loop, line.id, event.length), SLUICE_EFULL);
        assert_int_equal(sluice_hold(loop, line.id, held), 0);
    }
    assert_int_equal(held, HARD);
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, HARD);
    check_pattern(event.data, sizeof bytes - event.length, event.length);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
}

/* A stream that holds, and is reset before more has come: one CLOSED, and no memory is left. */
static void reset_while_held(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 4; how++) {
        struct line line = tcp_line(loop);
        put_text(line.peer, "unfinished");
        expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(sluice_hold(loop, line.id, 10), 0);
        expect_no_event(loop);
        int fd = sluice_fd(loop, line.id);
        if (how & 1) {
            put_text(line.peer, " and more");
            await_bytes(fd, 9);
        }
        if (how & 2)
            assert_int_equal(sluice_pause(loop, line.id), 0);
        reset_connection(line.peer);
        await(fd, POLLHUP);
        if (how & 2)
            assert_int_equal(sluice_resume(loop, line.id), 0);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        if (how & 1)
            assert_true(story_is(&story, "unfinished and more"));
        assert_int_equal(story.eof, 0);
        assert_int_equal(story.error, -ECONNRESET);
        assert_int_equal(stats_of(loop).queue_memory, 0);
    }
}

/* Held bytes are joined with the bytes of their own stream, whatever was pulled from others in
 * between. Only the event pulled last can be held, even if the stream of an earlier one has nothing
 * held. */
static void another_is_pulled_while_one_holds(void) {
    sluice_loop *loop = make_loop();
    for (int capacity = 1; capacity <= 8; capacity += 7) {
        struct line one = tcp_line(loop);
        struct line other = tcp_line(loop);
        put_text(other.peer, "12");
        expect_text(loop, other.id, "12");
        assert_int_equal(sluice_hold(loop, other.id, 2), 0);
        expect_no_event(loop);
        put_text(one.peer, "aaaa");
        expect_text(loop, one.id, "aaaa");
        put_text(other.peer, "34");
        sluice_event events[8];
        assert_int_equal(sluice_next_many(loop, events, capacity, PATIENCE_NS), 1);
        const sluice_event event = events[0];
        assert_int_equal(event.id, other.id);
        assert_int_equal(event.length, 4);
        assert_int_equal(sluice_hold(loop, one.id, 3), SLUICE_ESTATE);
        assert_int_equal(sluice_hold(loop, other.id, 4), 0);
        assert_memory_equal(event.data, "1234", 4);
        put_text(one.peer, "bb");
        expect_text(loop, one.id, "bb");
        assert_int_equal(sluice_hold(loop, other.id, 1), SLUICE_ESTATE);
        put_text(other.peer, "5");
        expect_text(loop, other.id, "12345");
    }
}

int main(void) {
    static const struct test tests[] = {
        {"framing by a length before, whatever the splits", framing, NULL},
        {"hold all, a byte at a time", hold_all_until_enough, NULL},
        {"the last hold of an event counts", hold_changed_within_the_event, NULL},
        {"what is not held does not come again", not_held_is_gone, NULL},
        {"too much, or too late, is refused", too_much_and_too_late, NULL},
        {"over memory_limit: SLUICE_EFULL", over_the_memory_limit, NULL},
        {"once more before EOF", once_more_before_eof, NULL},
        {"only what comes once more is SLUICE_LAST", only_the_last_says_so, NULL},
        {"the last, held again, are dropped", the_last_are_dropped, NULL},
        {"EOF after it waits for a resume", once_more_after_a_pause, NULL},
        {"data outlives its stream until the next pull", data_outlives_the_stream, NULL},
        {"a frame in a thousand pieces", memory_of_a_large_frame, NULL},
        {"up to the hard limit", up_to_the_hard_limit, NULL},
        {"reset while bytes are held", reset_while_held, NULL},
        {"another is pulled while one holds", another_is_pulled_while_one_holds, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

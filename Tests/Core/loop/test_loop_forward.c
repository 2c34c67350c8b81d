/* test_loop_forward.c - sluice_forward: a proxy, its ends, and its memory. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* Two streams that are forwarded to each other. */
struct proxy {
    sluice_loop *loop;
    struct line a;
    struct line b;
};

static struct proxy make_proxy(void) {
    struct proxy proxy = {.loop = make_loop()};
    proxy.a = tcp_line(proxy.loop);
    proxy.b = tcp_line(proxy.loop);
    assert_int_equal(sluice_forward(proxy.loop, proxy.a.id, proxy.b.id), 0);
    assert_int_equal(sluice_forward(proxy.loop, proxy.b.id, proxy.a.id), 0);
    return proxy;
}

/* One direction of a load, between plain descriptors. */
struct load {
    int from;
    int to;
    size_t length;
    size_t sent;
    size_t taken;
    bool ended;
};

/* Sends what there is room for and then the end, and takes what has come. */
static void step(struct load *load) {
    static unsigned char bytes[100000];
    size_t piece = load->length - load->sent;
    if (piece > sizeof bytes)
        piece = 1 + random_below(sizeof bytes);
    make_pattern(bytes, load->sent, piece);
    ptrdiff_t count = piece > 0 ? sluice_socket_send(load->from, bytes, piece) : 0;
    if (count > 0 && (load->sent += (size_t)count) == load->length)
        assert_int_equal(shutdown(load->from, SHUT_WR), 0);
    ptrdiff_t taken = read(load->to, bytes, 1 + random_below(sizeof bytes));
    if (taken > 0) {
        check_pattern(bytes, load->taken, (size_t)taken);
        load->taken += (size_t)taken;
    }
    load->ended |= taken == 0;
}

static void both_ways_and_to_both_ends(void) {
    struct proxy proxy = make_proxy();
    struct load there = {.from = proxy.a.peer, .to = proxy.b.peer, .length = 8 * MIB};
    struct load back = {.from = proxy.b.peer, .to = proxy.a.peer, .length = 5 * MIB};
    int64_t end = monotonic_ns() + PATIENCE_NS;
    int closed = 0;
    while (!there.ended || !back.ended || closed < 2) {
        assert_true(monotonic_ns() < end);
        step(&there);
        step(&back);
        sluice_event event;
        while (pull_now(proxy.loop, &event)) {
            if (event.kind == SLUICE_DRAINED)
                continue;
            assert_int_equal(event.kind, SLUICE_CLOSED);
            assert_int_equal(event.error, 0);
            assert_int_equal(event.length, 0);
            closed++;
        }
        assert_true(loop_memory(proxy.loop) < 5 * MIB);
    }
    assert_int_equal(there.taken, there.length);
    assert_int_equal(back.taken, back.length);
    expect_no_event(proxy.loop);
}

/* The far peer's answer comes to the near one, and its end ends both. */
static void answer_and_end(struct proxy proxy) {
    put_text(proxy.b.peer, "answer");
    expect_no_event(proxy.loop);
    take_text(proxy.a.peer, "answer");
    drop(proxy.b.peer);
    for (int i = 0; i < 2; i++)
        assert_int_equal(expect_event(proxy.loop, SLUICE_CLOSED).error, 0);
    expect_end(proxy.a.peer);
}

static void half_close_is_passed_on(void) {
    struct proxy proxy = make_proxy();
    put_text(proxy.a.peer, "question");
    assert_int_equal(shutdown(proxy.a.peer, SHUT_WR), 0);
    expect_no_event(proxy.loop);
    take_text(proxy.b.peer, "question");
    expect_end(proxy.b.peer);
    answer_and_end(proxy);
    expect_no_event(proxy.loop);
}

/* The loop does not read for a target that does not read: what waits is bounded, and all of it
 * arrives. */
static void backpressure(void) {
    struct proxy proxy = make_proxy();
    struct load load = {.from = proxy.a.peer, .to = proxy.b.peer, .length = 32 * MIB};
    static unsigned char bytes[65536];
    sluice_event event;
    for (int idle = 0; idle < 50; idle++) {
        make_pattern(bytes, load.sent, sizeof bytes);
        ptrdiff_t count = sluice_socket_send(load.from, bytes, sizeof bytes);
        if (count > 0) {
            load.sent += (size_t)count;
            idle = 0;
        }
        assert_false(pull_now(proxy.loop, &event));
    }
    assert_true(load.sent < load.length);
    assert_true(sluice_pending(proxy.loop, proxy.b.id) > (int64_t)MIB);
    assert_true(sluice_pending(proxy.loop, proxy.b.id) <= (int64_t)(MIB + 256 * KIB));
    assert_int_equal(sluice_pending(proxy.loop, proxy.a.id), 0);
    int drained = 0;
    while (!load.ended) {
        step(&load);
        while (pull_now(proxy.loop, &event)) {
            assert_int_equal(event.kind, SLUICE_DRAINED);
            assert_int_equal(event.id, proxy.b.id);
            drained++;
        }
    }
    assert_int_equal(load.taken, load.length);
    assert_true(drained >= 1);
}

static void one_way_ends_with_its_source(void) {
    sluice_loop *loop = make_loop();
    struct line from = tcp_line(loop);
    struct line to = tcp_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    put_text(from.peer, "all there is");
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    expect_closed(loop, from.id, 0, 0);
    take_text(to.peer, "all there is");
    expect_end(to.peer);
    put_text(to.peer, "thanks");
    expect_text(loop, to.id, "thanks");
    assert_int_equal(sluice_write(loop, to.id, "x", 1), -EPIPE);
}

/* A half-open source stays, for the caller to write to, and owes its EOF until the target ends. */
static void one_way_half_open_stays(void) {
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(SLUICE_HALF_OPEN);
    struct line from = line_of(loop, tcp_pair(), &options);
    struct line to = tcp_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    put_text(from.peer, "all there is");
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    expect_no_event(loop);
    take_text(to.peer, "all there is");
    expect_end(to.peer);
    assert_int_equal(sluice_write(loop, from.id, "received", 8), 0);
    expect_no_event(loop);
    take_text(from.peer, "received");
    reset_connection(to.peer);
    expect_closed(loop, to.id, -ECONNRESET, 0);
    expect_event_of(loop, SLUICE_EOF, from.id);
    assert_int_equal(sluice_close(loop, from.id), 0);
    expect_closed(loop, from.id, 0, 0);
}

/* What was written to the target before comes before. */
static void behind_what_is_queued(void) {
    sluice_loop *loop = make_loop();
    struct line from = tcp_line(loop);
    struct line to = tcp_line(loop);
    put_text(from.peer, "0123456789");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_write(loop, to.id, event.data, 5), 0);
    assert_int_equal(sluice_hold(loop, from.id, 5), 0);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    put_text(from.peer, "abc");
    expect_no_event(loop);
    take_text(to.peer, "0123456789abc");
    assert_int_equal(sluice_write(loop, to.id, "mine", 4), 0);
    put_text(from.peer, "theirs");
    expect_no_event(loop);
    take_text(to.peer, "minetheirs");
}

/* Held bytes are forwarded too, but not those that an event has delivered. */
static void with_what_is_held(void) {
    sluice_loop *loop = make_loop();
    struct line from = tcp_line(loop);
    struct line to = tcp_line(loop);
    put_text(from.peer, "head");
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, from.id, 4), 0);
    put_text(from.peer, "er|body");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    assert_memory_equal(event.data, "header|body", 11);
    assert_int_equal(sluice_hold(loop, from.id, 4), 0);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    put_text(from.peer, " and more");
    expect_no_event(loop);
    take_text(to.peer, "body and more");
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

/* Each to the same, and each goes its own way when another's ends. */
static void several_to_one(void) {
    sluice_loop *loop = make_loop();
    struct line to = unix_line(loop);
    struct line from[3];
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        from[i] = unix_line(loop);
        assert_int_equal(sluice_forward(loop, from[i].id, to.id), 0);
    }
    for (size_t end = 0; end < COUNT_OF(from); end++) {
        for (size_t i = end; i < COUNT_OF(from); i++) {
            put_text(from[i].peer, "to the target");
            expect_no_event(loop);
            take_text(to.peer, "to the target");
        }
        assert_int_equal(sluice_forward(loop, from[end].id, 0), 0);
        for (size_t i = 0; i <= end; i++) {
            put_text(from[i].peer, "to the caller");
            expect_text(loop, from[i].id, "to the caller");
        }
    }
}

/* The stream is forwarded to itself: all comes back to its peer, and then its end. */
static void expect_echo(sluice_loop *loop, struct line line, size_t length) {
    assert_int_equal(sluice_forward(loop, line.id, line.id), 0);
    struct load load = {.from = line.peer, .to = line.peer, .length = length};
    sluice_event event = {0};
    const int64_t end = monotonic_ns() + PATIENCE_NS;
    while (!load.ended || event.kind != SLUICE_CLOSED) {
        assert_true(monotonic_ns() < end);
        step(&load);
        if (pull_now(loop, &event) && event.kind != SLUICE_DRAINED)
            assert_int_equal(event.kind, SLUICE_CLOSED);
    }
    assert_int_equal(load.taken, load.length);
    assert_int_equal(event.error, 0);
}

static void to_itself_is_an_echo(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    expect_echo(loop, line, 4 * MIB);
}

static void ended(void) {
    sluice_loop *loop = make_loop();
    struct line from = tcp_line(loop);
    struct line to = tcp_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, 0), 0);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    put_text(from.peer, "there");
    expect_no_event(loop);
    take_text(to.peer, "there");
    assert_int_equal(sluice_forward(loop, from.id, 0), 0);
    put_text(from.peer, "here");
    expect_text(loop, from.id, "here");
    struct line third = tcp_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    assert_int_equal(sluice_forward(loop, from.id, third.id), 0);
    put_text(from.peer, "elsewhere");
    expect_no_event(loop);
    take_text(third.peer, "elsewhere");
    assert_int_equal(sluice_shutdown(loop, to.id), 0);
    assert_int_equal(sluice_forward(loop, from.id, to.id), -EPIPE);
    assert_int_equal(sluice_abort(loop, to.id), 0);
    assert_int_equal(sluice_forward(loop, from.id, to.id), SLUICE_ESTALE);
    assert_int_equal(sluice_forward(loop, to.id, from.id), SLUICE_ESTALE);
}

static void target_ends_in_the_middle(void) {
    struct proxy proxy = make_proxy();
    static unsigned char bytes[65536];
    while (sluice_socket_send(proxy.a.peer, bytes, sizeof bytes) > 0)
        expect_no_event(proxy.loop);
    assert_true(sluice_pending(proxy.loop, proxy.b.id) > 0);
    reset_connection(proxy.b.peer);
    sluice_event event = expect_event_of(proxy.loop, SLUICE_CLOSED, proxy.b.id);
    assert_true(event.error < 0 && event.length > 0);
    /* The other gives DATA again. */
    expect_event_of(proxy.loop, SLUICE_DATA, proxy.a.id);
    assert_int_equal(sluice_abort(proxy.loop, proxy.a.id), 0);
    expect_closed(proxy.loop, proxy.a.id, -ECONNABORTED, 0);
}

static void source_ends_in_the_middle(void) {
    struct proxy proxy = make_proxy();
    put_text(proxy.a.peer, "half a sent");
    expect_no_event(proxy.loop);
    reset_connection(proxy.a.peer);
    expect_closed(proxy.loop, proxy.a.id, -ECONNRESET, 0);
    take_text(proxy.b.peer, "half a sent");
    put_text(proxy.b.peer, "what?");
    expect_text(proxy.loop, proxy.b.id, "what?");
}

/* The source has ended, and its end went to the target. Then the target ends, and nothing is left
 * waiting. */
static void target_ends_after_the_source_s_input(void) {
    struct proxy proxy = make_proxy();
    assert_int_equal(shutdown(proxy.a.peer, SHUT_WR), 0);
    expect_no_event(proxy.loop);
    expect_end(proxy.b.peer);
    reset_connection(proxy.b.peer);
    expect_closed(proxy.loop, proxy.b.id, -ECONNRESET, 0);
    expect_event_of(proxy.loop, SLUICE_EOF, proxy.a.id);
    expect_closed(proxy.loop, proxy.a.id, 0, 0);
    expect_end(proxy.a.peer);
}

static void ended_after_the_source_s_input(void) {
    struct proxy proxy = make_proxy();
    assert_int_equal(shutdown(proxy.a.peer, SHUT_WR), 0);
    expect_no_event(proxy.loop);
    assert_int_equal(sluice_forward(proxy.loop, proxy.a.id, 0), 0);
    expect_event_of(proxy.loop, SLUICE_EOF, proxy.a.id);
    expect_closed(proxy.loop, proxy.a.id, 0, 0);
}

/* What the target does not take goes to the caller, and so does the end of it. */
static void target_takes_no_more(void) {
    struct proxy proxy = make_proxy();
    assert_int_equal(sluice_shutdown(proxy.loop, proxy.b.id), 0);
    expect_no_event(proxy.loop);
    put_text(proxy.a.peer, "text");
    expect_text(proxy.loop, proxy.a.id, "text");
    assert_int_equal(shutdown(proxy.a.peer, SHUT_WR), 0);
    expect_event_of(proxy.loop, SLUICE_EOF, proxy.a.id);
    /* It stays for what the other says. */
    answer_and_end(proxy);
}

/* ---- Memory, and ends that go elsewhere ------------------------------------------------------ */

/* Holds all that the peer says, until it is so much. */
static void hold_head(sluice_loop *loop, struct line line, size_t length) {
    static unsigned char bytes[50000];
    size_t sent = 0;
    for (size_t held = 0; held < length;) {
        size_t piece = length - sent < sizeof bytes ? length - sent : sizeof bytes;
        make_pattern(bytes, sent, piece);
        ptrdiff_t count = piece > 0 ? sluice_socket_send(line.peer, bytes, piece) : 0;
        sent += count > 0 ? (size_t)count : 0;
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        held = event.length;
        assert_int_equal(sluice_hold(loop, line.id, held), 0);
    }
    expect_no_event(loop);
}

static void take_pattern(sluice_loop *loop, int fd, size_t length) {
    static unsigned char taken[65536];
    const int64_t end = monotonic_ns() + PATIENCE_NS;
    for (size_t at = 0; at < length;) {
        assert_true(monotonic_ns() < end);
        sluice_event event;
        if (pull_now(loop, &event))
            assert_int_equal(event.kind, SLUICE_DRAINED);
        size_t count = take_some(fd, taken, sizeof taken);
        check_pattern(taken, at, count);
        at += count;
        assert_true(at <= length);
    }
}

/* What was held is the target's from then on, and takes no memory of the source. */
static void held_bytes_are_released(void) {
    static const size_t lengths[] = {1, 5000, 200000};
    sluice_loop *loop = make_loop();
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct line from = unix_line(loop);
        struct line to = unix_line(loop);
        hold_head(loop, from, lengths[i]);
        assert_true(stats_of(loop).queue_memory >= lengths[i]);
        assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
        take_pattern(loop, to.peer, lengths[i]);
        expect_no_event(loop);
        assert_int_equal(sluice_pending(loop, to.id), 0);
        assert_int_equal(stats_of(loop).queue_memory, 0);
        put_text(from.peer, "and more");
        expect_no_event(loop);
        take_text(to.peer, "and more");
        assert_int_equal(stats_of(loop).queue_memory, 0);
    }
}

/* So there is room for another's. */
static void held_bytes_do_not_count_twice(void) {
    enum { LIMIT = 500000, HEAD = 200000 };
    sluice_loop *loop = make_loop_with((sluice_options){.memory_limit = LIMIT});
    struct line from = unix_line(loop);
    struct line to = unix_line(loop);
    struct line third = unix_line(loop);
    static unsigned char bytes[310000];
    hold_head(loop, from, HEAD);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    take_pattern(loop, to.peer, HEAD);
    expect_no_event(loop);
    write_all(loop, third.id, bytes, sizeof bytes);
}

/* The held bytes of an event that is still lent: they stay valid until the next pull. */
static void held_bytes_of_an_event_are_valid_until_the_next_pull(void) {
    sluice_loop *loop = make_loop();
    struct line from = unix_line(loop);
    struct line to = unix_line(loop);
    put_text(from.peer, "first ");
    expect_event_of(loop, SLUICE_DATA, from.id);
    assert_int_equal(sluice_hold(loop, from.id, 6), 0);
    put_text(from.peer, "second");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, from.id);
    assert_int_equal(sluice_hold(loop, from.id, 12), 0);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    assert_memory_equal(event.data, "first second", 12);
    expect_no_event(loop);
    take_text(to.peer, "first second");
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

static struct line half_open_unix_line(sluice_loop *loop) {
    sluice_stream_options options = stream_options(SLUICE_HALF_OPEN);
    return line_of(loop, unix_pair(), &options);
}

static void redirected_after_the_source_s_end(void) {
    sluice_loop *loop = make_loop();
    struct line from = half_open_unix_line(loop);
    struct line first = half_open_unix_line(loop);
    struct line second = half_open_unix_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, first.id), 0);
    put_text(from.peer, "last words");
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    expect_no_event(loop);
    take_text(first.peer, "last words");
    expect_end(first.peer);
    assert_int_equal(sluice_forward(loop, from.id, second.id), 0);
    expect_no_event(loop);
    expect_end(second.peer);
    /* The caller is told when the forward is over, once. */
    assert_int_equal(sluice_forward(loop, from.id, 0), 0);
    expect_event_of(loop, SLUICE_EOF, from.id);
    expect_no_event(loop);
}

/* The end has been received, and waits for its turn or for a resume: the target is told of it. */
static void begun_after_the_source_s_end(void) {
    sluice_loop *loop = make_loop();
    struct line from = half_open_unix_line(loop);
    struct line to = half_open_unix_line(loop);
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    expect_event_of(loop, SLUICE_EOF, from.id);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    expect_no_event(loop);
    expect_end(to.peer);
    put_text(to.peer, "still here");
    expect_text(loop, to.id, "still here");
}

static void redirected_and_back_amid_the_end(void) {
    sluice_loop *loop = make_loop();
    struct line from = half_open_unix_line(loop);
    struct line first = half_open_unix_line(loop);
    struct line second = half_open_unix_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, first.id), 0);
    put_text(from.peer, "end");
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    assert_int_equal(sluice_forward(loop, from.id, second.id), 0);
    expect_no_event(loop);
    take_text(second.peer, "end");
    expect_end(second.peer);
    put_text(first.peer, "nothing was said to me");
    expect_text(loop, first.id, "nothing was said to me");
    assert_int_equal(sluice_write(loop, first.id, "x", 1), 0);
    expect_no_event(loop);
    take_text(first.peer, "x");
}

/* ---- To itself ------------------------------------------------------------------------------- */

static void to_itself_with_what_is_held(void) {
    static const size_t lengths[] = {1, 20000, 200000};
    sluice_loop *loop = make_loop();
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct line line = unix_line(loop);
        hold_head(loop, line, lengths[i]);
        assert_int_equal(sluice_forward(loop, line.id, line.id), 0);
        take_pattern(loop, line.peer, lengths[i]);
        put_text(line.peer, "and this");
        expect_no_event(loop);
        take_text(line.peer, "and this");
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        expect_closed(loop, line.id, 0, 0);
        expect_end(line.peer);
        assert_int_equal(stats_of(loop).queue_memory, 0);
    }
}

/* The peer has reset meanwhile. The call may say so or not, and the end comes by itself. */
static void to_itself_after_a_reset(void) {
    static const size_t lengths[] = {1, 8191, 20000, 200000};
    sluice_loop *loop = make_loop();
    for (size_t i = 0; i < 2 * COUNT_OF(lengths); i++) {
        bool before = i % 2;
        struct line line = tcp_line(loop);
        hold_head(loop, line, lengths[i / 2]);
        int fd = sluice_fd(loop, line.id);
        if (before)
            assert_int_equal(sluice_forward(loop, line.id, line.id), 0);
        reset_connection(line.peer);
        await(fd, POLLHUP);
        if (!before)
            (void)sluice_forward(loop, line.id, line.id);
        assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_KIND_STREAM);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.eof, 0);
        assert_true(story.error == -ECONNRESET || story.error == -EPIPE);
        assert_true(story.is_pattern);
        assert_true(story.unsent <= lengths[i / 2]);
        assert_int_equal(stats_of(loop).queue_memory, 0);
    }
}

/* Over its mark with every byte, it goes on as the peer reads. */
static void to_itself_over_its_mark(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.high_mark = 1, .low_mark = 1, .receive_size = 4096});
    struct line line = unix_line(loop);
    expect_echo(loop, line, MIB);
}

int main(void) {
    static const struct test tests[] = {
        {"both ways, 8 MiB, to both ends", both_ways_and_to_both_ends, NULL},
        {"a half-close is passed on", half_close_is_passed_on, NULL},
        {"backpressure: what waits is bounded", backpressure, NULL},
        {"one way: ends with its source", one_way_ends_with_its_source, NULL},
        {"one way: a half-open source stays", one_way_half_open_stays, NULL},
        {"in order with what is written", behind_what_is_queued, NULL},
        {"with what is held", with_what_is_held, NULL},
        {"several to one, ended one by one", several_to_one, NULL},
        {"to itself: an echo", to_itself_is_an_echo, NULL},
        {"ended, and turned elsewhere", ended, NULL},
        {"the target ends in the middle", target_ends_in_the_middle, NULL},
        {"the source ends in the middle", source_ends_in_the_middle, NULL},
        {"the target ends after the source's input", target_ends_after_the_source_s_input, NULL},
        {"the target takes no more: DATA and EOF", target_takes_no_more, NULL},
        {"ended after the source's input: EOF", ended_after_the_source_s_input, NULL},
        {"held bytes are released when a forward begins", held_bytes_are_released, NULL},
        {"held bytes that were forwarded do not count any more", held_bytes_do_not_count_twice,
         NULL},
        {"held bytes of an event, forwarded, are valid until the next pull",
         held_bytes_of_an_event_are_valid_until_the_next_pull, NULL},
        {"redirected after its source has ended: the new target is told",
         redirected_after_the_source_s_end, NULL},
        {"begun after its source has ended: the target is told", begun_after_the_source_s_end,
         NULL},
        {"redirected before the end is seen: the new target alone is told",
         redirected_and_back_amid_the_end, NULL},
        {"to itself, with what is held", to_itself_with_what_is_held, NULL},
        {"to itself, after a reset: one CLOSED", to_itself_after_a_reset, NULL},
        {"to itself, over its mark", to_itself_over_its_mark, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

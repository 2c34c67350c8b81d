/* test_loop_directions.c - a stream's two directions fail separately: what the peer had sent before
 * a send failed still comes, then CLOSED says why and what was not sent. No call ends a stream
 * beneath its caller. A stream that does not receive also learns of its peer's reset. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE = 65536, REQUEST = 7, ANSWER = 13 };

static unsigned char bytes[3 * 1024 * 1024];

/* ---- Peers that answered and are gone -------------------------------------------------------- */

/* How a peer went. Its answer is in the kernel, and nothing more can be sent to it. */
enum end {
    UNIX_CLOSED,       /* all was read: an orderly end */
    UNIX_UNREAD,       /* the request was not read: a reset */
    TCP_RESET,         /* the same over TCP */
    TCP_END_THEN_RESET /* an orderly end, and what was sent after it was refused */
};

/* What a send to such a peer gives. */
static int send_error(enum end end) {
    return end == TCP_RESET ? -ECONNRESET : -EPIPE;
}

/* Whether the peer has ended its input before it went. Where a failed send has taken the reset's
 * error out of the socket, a receive finds an end, too: that is none of the peer's. */
static bool ended_input(enum end end) {
    return end == UNIX_CLOSED || end == TCP_END_THEN_RESET;
}

static void put_pattern(int fd, size_t place, size_t length) {
    assert_true(length <= sizeof bytes);
    make_pattern(bytes, place, length);
    assert_int_equal(write(fd, bytes, length), length);
}

/* A stream whose peer sent an answer and is gone. The loop has not looked yet. */
static struct line answered(sluice_loop *loop, enum end end, size_t length, uint32_t flags) {
    sluice_stream_options options = stream_options(flags);
    struct line line = line_of(loop, end <= UNIX_UNREAD ? unix_pair() : tcp_pair(), &options);
    int fd = sluice_fd(loop, line.id);
    expect_no_event(loop);
    if (end == UNIX_UNREAD || end == TCP_RESET) {
        write_all(loop, line.id, "request", REQUEST);
        expect_no_event(loop);
        await_bytes(line.peer, REQUEST);
    }
    put_pattern(line.peer, 0, length);
    await_bytes(fd, length);
    drop(line.peer);
    if (end == TCP_END_THEN_RESET) {
        await_end(fd);
        write_all(loop, line.id, "body", 4);
        assert_int_equal(sluice_flush(loop, line.id), 0);
    }
    await_hang_up(fd);
    return line;
}

/* ---- Calls that find it out ------------------------------------------------------------------ */

/* How many bytes a stream has taken from those that a call offered. */
static size_t taken(int code, size_t length) {
    return code >= 0 ? length : 0;
}

static size_t write_some(sluice_loop *loop, sluice_id id, size_t length) {
    return taken(sluice_write(loop, id, bytes, length), length);
}

static size_t write_one(sluice_loop *loop, sluice_id id) {
    return write_some(loop, id, 1);
}

static size_t write_small(sluice_loop *loop, sluice_id id) {
    return write_some(loop, id, 8191);
}

static size_t write_large(sluice_loop *loop, sluice_id id) {
    assert_true(sluice_write(loop, id, bytes, LARGE) < 0);
    return 0;
}

static size_t write_pieces(sluice_loop *loop, sluice_id id) {
    const sluice_slice slices[] = {{bytes, 1}, {bytes, 0}, {bytes, 2}};
    return taken(sluice_writev(loop, id, slices, 3), 3);
}

static size_t write_large_pieces(sluice_loop *loop, sluice_id id) {
    const sluice_slice slices[] = {{bytes, LARGE}, {bytes, LARGE}};
    return taken(sluice_writev(loop, id, slices, 2), (size_t)2 * LARGE);
}

static size_t write_and_flush(sluice_loop *loop, sluice_id id) {
    size_t length = write_some(loop, id, 5);
    assert_int_equal(length, 5);
    assert_true(sluice_flush(loop, id) < 0);
    return length;
}

static size_t write_again_and_again(sluice_loop *loop, sluice_id id) {
    size_t length = write_and_flush(loop, id);
    for (int i = 0; i < 3; i++) {
        length += write_some(loop, id, 3);
        length += taken(sluice_write(loop, id, bytes, LARGE), LARGE);
        (void)sluice_flush(loop, id);
    }
    return length;
}

static size_t write_and_shut_down(sluice_loop *loop, sluice_id id) {
    size_t length = write_some(loop, id, 5);
    (void)sluice_shutdown(loop, id);
    return length;
}

static size_t shut_down(sluice_loop *loop, sluice_id id) {
    (void)sluice_shutdown(loop, id);
    return 0;
}

static size_t write_pause_resume(sluice_loop *loop, sluice_id id) {
    size_t length = write_and_flush(loop, id);
    (void)sluice_pause(loop, id);
    expect_no_event(loop);
    (void)sluice_resume(loop, id);
    return length;
}

struct call {
    const char *name;
    size_t (*make)(sluice_loop *loop, sluice_id id); /* returns what the stream took */
};

static const struct call calls[] = {
    {"a byte", write_one},
    {"all but a large write", write_small},
    {"a large write", write_large},
    {"pieces", write_pieces},
    {"large pieces", write_large_pieces},
    {"a flush", write_and_flush},
    {"writes that go on", write_again_and_again},
    {"a write, then a shutdown", write_and_shut_down},
    {"a flush, a pause and a resume", write_pause_resume},
    {"a shutdown", shut_down},
};

/* The stream is still its caller's, whatever a call has said. */
static void expect_alive(const sluice_loop *loop, sluice_id id, int fd) {
    uint64_t user;
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_STREAM);
    assert_int_equal(sluice_fd(loop, id), fd);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    assert_true(sluice_pending(loop, id) >= 0);
    assert_int_equal(sluice_user(loop, id, &user), 0);
}

static void check_story(const struct story *story, enum end end, const struct call *call,
                        size_t length, size_t unsent) {
    bool sends = call->make != shut_down;
    bool fails = sends || end == UNIX_UNREAD || end >= TCP_RESET;
    int error = sends ? send_error(end) : end == UNIX_CLOSED ? 0 : -ECONNRESET;
    if (!sends && end == TCP_END_THEN_RESET)
        error = -EPIPE; /* so the kernel calls a reset that comes after the peer's end */
    if (story->length != length || !story->is_pattern || (story->input_ended && !ended_input(end)))
        fail_msg("end %d, %s: %zu of %zu bytes, %u EOF", end, call->name, story->length, length,
                 story->eof);
    if (story->error != error || story->unsent != unsent || (fails && story->error >= 0))
        fail_msg("end %d, %s: CLOSED says %d, %zu unsent; expected %d, %zu", end, call->name,
                 story->error, story->unsent, error, unsent);
}

static void every_call_over_every_end(size_t receive_size, int capacity) {
    static const size_t lengths[] = {1, ANSWER, 40000};
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = receive_size});
    for (int end = UNIX_CLOSED; end <= TCP_END_THEN_RESET; end++)
        for (size_t c = 0; c < COUNT_OF(calls); c++)
            for (size_t i = 0; i < 2 * COUNT_OF(lengths); i++) {
                size_t length = lengths[i / 2];
                struct line line =
                    answered(loop, (enum end)end, length, i % 2 ? SLUICE_HALF_OPEN : 0);
                int fd = sluice_fd(loop, line.id);
                size_t unsent = calls[c].make(loop, line.id);
                if (calls[c].make != write_pause_resume)
                    expect_alive(loop, line.id, fd);
                struct story story = new_story();
                hear_out(loop, line.id, &story, capacity);
                check_story(&story, (enum end)end, &calls[c], length, unsent);
            }
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

static void what_was_said_is_told(void) {
    every_call_over_every_end(0, 1);
}

static void what_was_said_is_told_in_small_receives(void) {
    every_call_over_every_end(4096, 1);
}

static void what_was_said_is_told_by_many(void) {
    every_call_over_every_end(4096, 16);
}

/* A close takes no more input: it ends at once, and says how much was not sent. */
static void a_close_that_cannot_send(void) {
    sluice_loop *loop = make_loop();
    for (int end = UNIX_CLOSED; end <= TCP_END_THEN_RESET; end++) {
        struct line line = answered(loop, (enum end)end, ANSWER, 0);
        write_all(loop, line.id, "goodbye", 7);
        assert_int_equal(sluice_close(loop, line.id), 0);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.length, 0);
        assert_int_equal(story.error, send_error((enum end)end));
        assert_int_equal(story.unsent, 7);
    }
}

/* ---- Acknowledgements ------------------------------------------------------------------------ */

/* Each piece of what a peer left behind is answered, and no answer arrives. */
static void acknowledge(struct pair pair, int capacity) {
    enum { RECORDS = 60000 };
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    struct line line = line_of(loop, pair, NULL);
    int fd = sluice_fd(loop, line.id);
    expect_no_event(loop);
    put_pattern(line.peer, 0, RECORDS);
    await_bytes(fd, RECORDS);
    drop(line.peer);
    await_end(fd);
    struct story story = new_story();
    size_t unsent = 0;
    while (story.closed == 0) {
        sluice_event events[8];
        int count = sluice_next_many(loop, events, capacity, PATIENCE_NS);
        assert_in_range(count, 1, capacity);
        for (int i = 0; i < count; i++) {
            add_to_story(&story, &events[i]);
            if (events[i].kind == SLUICE_DATA)
                unsent += taken(sluice_write(loop, line.id, "ok\n", 3), 3);
        }
    }
    assert_int_equal(story.length, RECORDS);
    assert_true(story.is_pattern);
    assert_true(story.error < 0);
    assert_true(story.unsent <= unsent);
    expect_no_event(loop);
}

static void acknowledged_over_a_unix_socket(void) {
    acknowledge(unix_pair(), 1);
    acknowledge(unix_pair(), 8);
}

static void acknowledged_over_tcp(void) {
    acknowledge(tcp_pair(), 1);
    acknowledge(tcp_pair(), 8);
}

/* An echo of what came: the answer waits until the next pull, and is refused there. */
static void an_echo_to_one_that_is_gone(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    struct line line = answered(loop, UNIX_CLOSED, 20000, 0);
    struct story story = new_story();
    while (story.closed == 0) {
        sluice_event event = next_event(loop);
        add_to_story(&story, &event);
        if (event.kind == SLUICE_DATA)
            (void)sluice_write(loop, line.id, event.data, event.length);
    }
    assert_int_equal(story.length, 20000);
    assert_true(story.is_pattern);
    assert_int_equal(story.error, -EPIPE);
    assert_int_equal(story.unsent, 4096); /* what was written after that was refused */
}

/* What is held when the output fails comes again, joined with what follows. */
static void held_when_the_output_fails(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    struct line line = answered(loop, UNIX_CLOSED, 20000, 0);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_hold(loop, line.id, event.length), 0);
    assert_true(sluice_write(loop, line.id, bytes, LARGE) < 0);
    assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_KIND_STREAM);
    size_t longest = 0;
    for (;;) {
        event = next_event(loop);
        if (event.kind != SLUICE_DATA)
            break;
        check_pattern(event.data, 0, event.length);
        assert_true(event.length >= longest);
        longest = event.length;
        if (event.length < 20000)
            assert_int_equal(sluice_hold(loop, line.id, event.length), 0);
    }
    assert_int_equal(longest, 20000);
    if (event.kind == SLUICE_EOF)
        event = next_event(loop);
    assert_int_equal(event.kind, SLUICE_CLOSED);
    assert_int_equal(event.error, -EPIPE);
    assert_int_equal(event.length, 0);
}

/* The peer ended in an orderly way, and that is told, too, before CLOSED says what failed. */
static void an_orderly_end_is_told_though_the_output_has_failed(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 4; how++) {
        struct line line = answered(loop, how & 1 ? TCP_END_THEN_RESET : UNIX_CLOSED, ANSWER,
                                    how & 2 ? SLUICE_HALF_OPEN : 0);
        write_all(loop, line.id, "unsent", 6);
        assert_int_equal(sluice_flush(loop, line.id), -EPIPE);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.length, ANSWER);
        assert_int_equal(story.eof, 1);
        assert_int_equal(story.error, -EPIPE);
        assert_int_equal(story.unsent, 6);
    }
}

/* ---- Proxies --------------------------------------------------------------------------------- */

/* Until nothing more comes but DRAINED. */
static void settle(sluice_loop *loop) {
    sluice_event event;
    for (int quiet = 0; quiet < 4; quiet++)
        if (pull_now(loop, &event)) {
            assert_int_equal(event.kind, SLUICE_DRAINED);
            quiet = 0;
        }
}

/* The upstream answers early and closes, while the client still sends. Which of the two streams is
 * seen to first hangs on the backend, on who spoke last, and on the descriptors' order. */
static void answer_through_a_proxy(struct pair (*pair)(void), size_t answer, int order,
                                   uint32_t flags, sluice_loop *loop) {
    sluice_stream_options options = stream_options(flags);
    struct pair pairs[] = {pair(), pair()};
    bool client_first = order & 1;
    struct line client = line_of(loop, pairs[!client_first], &options);
    struct line upstream = line_of(loop, pairs[client_first], &options);
    int client_fd = sluice_fd(loop, client.id);
    int upstream_fd = sluice_fd(loop, upstream.id);
    assert_int_equal(sluice_forward(loop, client.id, upstream.id), 0);
    assert_int_equal(sluice_forward(loop, upstream.id, client.id), 0);
    put_pattern(client.peer, 0, 1000);
    settle(loop);
    await_bytes(upstream.peer, 1000);
    if (order & 2) {
        put_text(upstream.peer, "go on");
        settle(loop);
        take_text(client.peer, "go on");
    }
    assert_true(write(client.peer, bytes, 200000) > 0);
    await_bytes(client_fd, 1);
    put_pattern(upstream.peer, 0, answer);
    await_bytes(upstream_fd, answer);
    drop(upstream.peer);
    await_hang_up(upstream_fd);
    static unsigned char got[65536];
    struct story ends = new_story();
    const int64_t end = monotonic_ns() + PATIENCE_NS;
    for (size_t at = 0; at < answer || ends.closed == 0;) {
        sluice_event event;
        assert_true(monotonic_ns() < end);
        if (pull_now(loop, &event) && event.id == upstream.id)
            add_to_story(&ends, &event);
        size_t count = take_some(client.peer, got, sizeof got);
        check_pattern(got, at, count);
        at += count;
        assert_true(at <= answer);
    }
    assert_int_equal(ends.data, 0);
    assert_true(ends.error < 0);
    (void)sluice_abort(loop, client.id);
    sluice_event event;
    while (pull_now(loop, &event)) {
    }
    drop(client.peer);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 0);
}

static void answers_through_proxies(struct pair (*pair)(void)) {
    static const size_t answers[] = {ANSWER, 40000};
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    sluice_loop *narrow = make_loop_with((sluice_options){.high_mark = 1, .low_mark = 1});
    for (int order = 0; order < 4; order++)
        for (size_t i = 0; i < 2 * COUNT_OF(answers); i++) {
            uint32_t flags = i % 2 ? SLUICE_HALF_OPEN : 0;
            answer_through_a_proxy(pair, answers[i / 2], order, flags, loop);
            answer_through_a_proxy(pair, answers[i / 2], order, flags, narrow);
        }
}

static void early_answer_through_a_proxy(void) {
    answers_through_proxies(unix_pair);
}

static void early_answer_through_a_proxy_over_tcp(void) {
    answers_through_proxies(tcp_pair);
}

/* ---- A peer that goes on sending ------------------------------------------------------------- */

static void a_peer_that_goes_on_sending(void) {
    enum { BEFORE = 10000, ROOM = 4096 };
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = ROOM});
    for (int how = 0; how < 3; how++) {
        struct line line = unix_line(loop);
        expect_no_event(loop);
        assert_int_equal(shutdown(line.peer, SHUT_RD), 0);
        put_pattern(line.peer, 0, BEFORE);
        size_t place = BEFORE;
        size_t unsent = 0;
        if (how == 0)
            assert_int_equal(sluice_write(loop, line.id, bytes, LARGE), -EPIPE);
        if (how > 0) {
            unsent = write_some(loop, line.id, 9);
            assert_int_equal(unsent, 9);
        }
        if (how == 1)
            assert_int_equal(sluice_flush(loop, line.id), -EPIPE);
        struct story story = new_story();
        for (int pulls = 0; story.closed == 0; pulls++) {
            assert_true(pulls < 100);
            sluice_event event;
            if (pull_now(loop, &event))
                add_to_story(&story, &event);
            make_pattern(bytes, place, 1000);
            ptrdiff_t count = write(line.peer, bytes, 1000);
            place += count > 0 ? (size_t)count : 0;
        }
        /* What came after the failure is read no further than the receive that it came in. */
        assert_in_range(story.length, BEFORE, BEFORE + ROOM);
        assert_true(story.is_pattern);
        assert_int_equal(story.eof, 0);
        assert_int_equal(story.error, -EPIPE);
        assert_int_equal(story.unsent, unsent);
        drop(line.peer);
    }
}

/* The same while it is forwarded: the other end gets what was sent before. */
static void a_forwarded_peer_that_goes_on_sending(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    struct line from = unix_line(loop);
    struct line to = unix_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    expect_no_event(loop);
    assert_int_equal(shutdown(from.peer, SHUT_RD), 0);
    put_text(from.peer, "what was sent before");
    assert_int_equal(sluice_write(loop, from.id, bytes, LARGE), -EPIPE);
    struct story story = new_story();
    for (int pulls = 0; story.closed == 0; pulls++) {
        assert_true(pulls < 100);
        sluice_event event;
        if (pull_now(loop, &event)) {
            assert_int_equal(event.id, from.id);
            add_to_story(&story, &event);
        }
        (void)!write(from.peer, "x", 1);
    }
    assert_int_equal(story.data, 0);
    assert_int_equal(story.error, -EPIPE);
    take_text(to.peer, "what was sent before");
    assert_int_equal(sluice_kind_of(loop, to.id), SLUICE_KIND_STREAM);
}

/* ---- Calls on what is broken ----------------------------------------------------------------- */

/* Whatever a call finds, the stream is there until the next pull. Then comes one CLOSED. */
static void no_call_ends_a_stream_beneath_its_caller(void) {
    sluice_loop *loop = make_loop();
    struct line other = unix_line(loop);
    for (int end = UNIX_CLOSED; end <= TCP_END_THEN_RESET; end++) {
        struct line line = answered(loop, (enum end)end, ANSWER, 0);
        int fd = sluice_fd(loop, line.id);
        write_all(loop, line.id, "unsent", 6);
        assert_int_equal(sluice_flush(loop, line.id), send_error((enum end)end));
        for (int round = 0; round < 3; round++) {
            const int codes[] = {
                sluice_flush(loop, line.id),
                sluice_pause(loop, line.id),
                sluice_resume(loop, line.id),
                sluice_forward(loop, line.id, 0),
                sluice_forward(loop, other.id, line.id),
                sluice_forward(loop, other.id, 0),
                sluice_shutdown(loop, line.id),
                sluice_hold(loop, line.id, 0),
            };
            for (size_t i = 0; i < COUNT_OF(codes); i++)
                assert_int_not_equal(codes[i], SLUICE_ESTALE);
            expect_alive(loop, line.id, fd);
        }
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.length, ANSWER);
        assert_int_equal(story.error, send_error((enum end)end));
        assert_int_equal(story.unsent, 6);
    }
    put_text(other.peer, "still here");
    expect_text(loop, other.id, "still here");
}

/* An abort is the caller's own end: at once, also of a stream that has failed. */
static void abort_of_a_stream_that_has_failed(void) {
    sluice_loop *loop = make_loop();
    struct line line = answered(loop, UNIX_CLOSED, ANSWER, 0);
    write_all(loop, line.id, "unsent", 6);
    assert_int_equal(sluice_flush(loop, line.id), -EPIPE);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_ESTALE);
    sluice_event event = expect_event_of(loop, SLUICE_CLOSED, line.id);
    assert_int_equal(event.length, 6);
    assert_true(event.error < 0);
    expect_no_event(loop);
}

/* A descriptor that was closed from outside: each call finds it or does not, and none is the end.
 */
static void closed_from_outside(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 1, .low_mark = 1});
    for (int how = 0; how < 8; how++) {
        struct line line = unix_line(loop);
        if (how % 2)
            assert_int_equal(sluice_forward(loop, line.id, line.id), 0);
        expect_no_event(loop);
        int fd = sluice_fd(loop, line.id);
        assert_int_equal(close(fd), 0);
        (void)sluice_pause(loop, line.id);
        if (how & 2)
            (void)sluice_resume(loop, line.id);
        if (how & 4)
            (void)sluice_forward(loop, line.id, how % 2 ? 0 : line.id);
        assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_KIND_STREAM);
        size_t unsent = write_some(loop, line.id, 2);
        (void)sluice_flush(loop, line.id);
        unsent += write_some(loop, line.id, 2);
        assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_KIND_STREAM);
        (void)sluice_resume(loop, line.id);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.error, -EBADF);
        assert_int_equal(story.unsent, unsent);
        drop(line.peer);
    }
}

/* ---- Resets that nobody receives ------------------------------------------------------------- */

/* If the end of file is there for good, neither select nor libevent can ask for only a reset. */
static bool tells_resets(void) {
    return backend_is("poll") || backend_is("epoll");
}

/* Nothing comes, and the loop waits for that. */
static void expect_rest(sluice_loop *loop) {
    sluice_event event;
    expect_no_event(loop);
    uint64_t before = stats_of(loop).turns;
    assert_int_equal(sluice_next(loop, &event, 20 * NS_PER_MS), 0);
    assert_true(stats_of(loop).turns - before <= 5);
}

/* A stream whose peer has not read what was sent to it: when that closes, it is a reset. */
static struct line unread_line(sluice_loop *loop, struct pair pair, uint32_t flags) {
    sluice_stream_options options = stream_options(flags);
    struct line line = line_of(loop, pair, &options);
    write_all(loop, line.id, "request", REQUEST);
    expect_no_event(loop);
    await_bytes(line.peer, REQUEST);
    return line;
}

static void reset_by(struct line line, int fd) {
    drop(line.peer);
    await(fd, POLLERR);
}

static void a_reset_reaches_a_paused_stream(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 4; how++) {
        struct line line =
            unread_line(loop, how & 1 ? tcp_pair() : unix_pair(), how & 2 ? SLUICE_HALF_OPEN : 0);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        expect_no_event(loop);
        reset_by(line, sluice_fd(loop, line.id));
        if (!tells_resets()) {
            expect_rest(loop);
            assert_int_equal(sluice_resume(loop, line.id), 0);
        }
        expect_closed(loop, line.id, -ECONNRESET, 0);
        expect_no_event(loop);
    }
}

/* Paused and reset before the loop has waited even once for it. */
static void a_reset_reaches_a_stream_that_was_paused_at_once(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    int fd = sluice_fd(loop, line.id);
    reset_connection(line.peer);
    await(fd, POLLERR);
    if (!tells_resets()) {
        expect_rest(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
    }
    expect_closed(loop, line.id, -ECONNRESET, 0);
}

static void bytes_before_a_reset_wait_for_the_resume(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    static const size_t lengths[] = {1, 4096, 30000};
    for (int how = 0; how < 2; how++)
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            struct line line = unread_line(loop, how ? tcp_pair() : unix_pair(), 0);
            int fd = sluice_fd(loop, line.id);
            assert_int_equal(sluice_pause(loop, line.id), 0);
            expect_no_event(loop);
            put_pattern(line.peer, 0, lengths[i]);
            await_bytes(fd, lengths[i]);
            reset_by(line, fd);
            expect_rest(loop);
            assert_int_equal(sluice_resume(loop, line.id), 0);
            struct story story = new_story();
            hear_out(loop, line.id, &story, 1);
            assert_int_equal(story.length, lengths[i]);
            assert_true(story.is_pattern);
            assert_int_equal(story.eof, 0);
            assert_int_equal(story.error, -ECONNRESET);
        }
}

/* Paused again in the middle of what came before the reset. */
static void bytes_before_a_reset_wait_for_each_resume(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    struct line line = unread_line(loop, tcp_pair(), 0);
    int fd = sluice_fd(loop, line.id);
    put_pattern(line.peer, 0, 30000);
    await_bytes(fd, 30000);
    reset_by(line, fd);
    struct story story = new_story();
    while (story.length < 30000) {
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        add_to_story(&story, &event);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        if (story.length < 30000)
            expect_no_event(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
    }
    assert_true(story.is_pattern);
    expect_closed(loop, line.id, -ECONNRESET, 0);
}

/* Half-open, its EOF is told, and nothing is written: then comes the reset. */
static void a_reset_reaches_a_half_open_stream_that_is_quiet(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 4; how++) {
        bool over_tcp = how & 1;
        struct line line = unread_line(loop, over_tcp ? tcp_pair() : unix_pair(), SLUICE_HALF_OPEN);
        int fd = sluice_fd(loop, line.id);
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        expect_event_of(loop, SLUICE_EOF, line.id);
        if (how & 2)
            assert_int_equal(sluice_pause(loop, line.id), 0);
        expect_rest(loop);
        reset_by(line, fd);
        if (!tells_resets()) {
            expect_rest(loop);
            write_all(loop, line.id, "x", 1);
        }
        sluice_event event = expect_event_of(loop, SLUICE_CLOSED, line.id);
        /* TCP calls it EPIPE after the peer's end: tcp(7), and the kernel's tcp_reset. */
        assert_true(event.error == -ECONNRESET || event.error == -EPIPE);
        assert_int_equal(event.length, tells_resets() ? 0 : 1);
        expect_no_event(loop);
    }
}

/* What was sent before the reset is told in its order, and then the reset. (A unix socket tells the
 * reset instead of the end.) */
static void an_end_before_a_reset_waits_for_the_resume(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 2; how++) {
        sluice_stream_options options = stream_options(SLUICE_HALF_OPEN);
        struct line line = how ? unread_line(loop, tcp_pair(), SLUICE_HALF_OPEN)
                               : line_of(loop, tcp_pair(), &options);
        int fd = sluice_fd(loop, line.id);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        expect_no_event(loop);
        put_text(line.peer, "x");
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        await_end(fd);
        expect_rest(loop);
        reset_connection(line.peer);
        await(fd, POLLERR);
        expect_rest(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
        expect_text(loop, line.id, "x");
        expect_event_of(loop, SLUICE_EOF, line.id);
        if (!tells_resets()) {
            expect_rest(loop);
            write_all(loop, line.id, "x", 1);
        }
        sluice_event event = {0};
        if (sluice_next(loop, &event, 1000 * NS_PER_MS) != 1)
            fail_msg("the reset is not told");
        assert_int_equal(event.kind, SLUICE_CLOSED);
        assert_true(event.error == -ECONNRESET || event.error == -EPIPE);
        assert_int_equal(event.length, tells_resets() ? 0 : 1);
        expect_no_event(loop);
    }
}

/* The stream has said that it sends no more, and the peer resets instead of an answer. */
static void a_reset_reaches_a_stream_that_was_shut_and_paused(void) {
    sluice_loop *loop = make_loop();
    struct line line = unread_line(loop, tcp_pair(), SLUICE_HALF_OPEN);
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    expect_no_event(loop);
    int fd = sluice_fd(loop, line.id);
    reset_connection(line.peer);
    await(fd, POLLERR);
    if (!tells_resets()) {
        expect_rest(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
    }
    expect_closed(loop, line.id, -ECONNRESET, 0);
}

/* A stream that waits for a reset does not spin: not if it is paused, not if it is half-open, and
 * not if the peer has closed. */
static void to_wait_for_a_reset_is_not_to_spin(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 4; how++) {
        sluice_stream_options options = stream_options(how & 1 ? SLUICE_HALF_OPEN : 0);
        struct line line = line_of(loop, how & 2 ? tcp_pair() : unix_pair(), &options);
        if (how & 1) {
            assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
            expect_event_of(loop, SLUICE_EOF, line.id);
            expect_rest(loop);
        }
        assert_int_equal(sluice_pause(loop, line.id), 0);
        expect_rest(loop);
        drop(line.peer); /* orderly: nothing is unread */
        await_end(sluice_fd(loop, line.id));
        expect_rest(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
        if (how & 1) {
            expect_rest(loop);
            assert_int_equal(sluice_abort(loop, line.id), 0);
            expect_closed(loop, line.id, -ECONNABORTED, 0);
        } else {
            expect_event_of(loop, SLUICE_EOF, line.id);
            expect_closed(loop, line.id, 0, 0);
        }
    }
}

/* Bytes and an orderly end of a paused stream: all of it comes only after the resume. */
static void an_orderly_end_waits_for_the_resume(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 4; how++) {
        struct line line = how & 2 ? tcp_line(loop) : unix_line(loop);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        if (how & 1)
            put_text(line.peer, "last");
        drop(line.peer);
        await_end(sluice_fd(loop, line.id));
        expect_rest(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
        if (how & 1)
            expect_text(loop, line.id, "last");
        expect_event_of(loop, SLUICE_EOF, line.id);
        expect_closed(loop, line.id, 0, 0);
    }
}

/* Output that is queued fails with the reset, though the stream is paused. */
static void a_paused_stream_says_what_was_not_sent(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 2; how++) {
        struct line line = how ? tcp_line(loop) : unix_line(loop);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        uint64_t sent_before = stats_of(loop).bytes_sent;
        size_t written = 0;
        for (; sluice_pending(loop, line.id) == 0; written += sizeof bytes) {
            write_all(loop, line.id, bytes, sizeof bytes);
            expect_no_event(loop);
        }
        uint64_t sent = stats_of(loop).bytes_sent - sent_before;
        if (how)
            reset_connection(line.peer);
        else
            drop(line.peer);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_true(story.error == -ECONNRESET || story.error == -EPIPE);
        assert_int_equal(story.unsent, written - sent);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"what the peer said is told, whatever finds that it is gone", what_was_said_is_told, NULL},
        {"the same in small receives", what_was_said_is_told_in_small_receives, NULL},
        {"the same by several events a pull", what_was_said_is_told_by_many, NULL},
        {"a close that cannot send says what was not sent", a_close_that_cannot_send, NULL},
        {"each piece acknowledged to one that is gone", acknowledged_over_a_unix_socket, NULL},
        {"the same over TCP", acknowledged_over_tcp, NULL},
        {"an echo to one that is gone: every byte is told", an_echo_to_one_that_is_gone, NULL},
        {"held when the output fails: comes again", held_when_the_output_fails, NULL},
        {"an orderly end is told though the output has failed",
         an_orderly_end_is_told_though_the_output_has_failed, NULL},
        {"a proxy passes an early answer on", early_answer_through_a_proxy, NULL},
        {"a proxy passes an early answer on, over TCP", early_answer_through_a_proxy_over_tcp,
         NULL},
        {"a peer that goes on sending is read no further", a_peer_that_goes_on_sending, NULL},
        {"the same while it is forwarded", a_forwarded_peer_that_goes_on_sending, NULL},
        {"no call ends a stream beneath its caller", no_call_ends_a_stream_beneath_its_caller,
         NULL},
        {"abort of a stream that has failed: at once", abort_of_a_stream_that_has_failed, NULL},
        {"a descriptor closed from outside: one CLOSED", closed_from_outside, NULL},
        {"a reset reaches a paused stream", a_reset_reaches_a_paused_stream, NULL},
        {"a reset reaches a stream that was paused at once",
         a_reset_reaches_a_stream_that_was_paused_at_once, NULL},
        {"bytes before a reset wait for the resume", bytes_before_a_reset_wait_for_the_resume,
         NULL},
        {"an end before a reset waits for the resume", an_end_before_a_reset_waits_for_the_resume,
         NULL},
        {"bytes before a reset wait for each resume", bytes_before_a_reset_wait_for_each_resume,
         NULL},
        {"a reset reaches a half-open stream that is quiet",
         a_reset_reaches_a_half_open_stream_that_is_quiet, NULL},
        {"a reset reaches a stream that was shut and paused",
         a_reset_reaches_a_stream_that_was_shut_and_paused, NULL},
        {"to wait for a reset is not to spin", to_wait_for_a_reset_is_not_to_spin, NULL},
        {"an orderly end waits for the resume", an_orderly_end_waits_for_the_resume, NULL},
        {"a paused stream says what was not sent", a_paused_stream_says_what_was_not_sent, NULL},
    };
    signal(SIGPIPE, SIG_IGN); /* the peers', whose streams may be gone */
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_throttle.c - marks: from which streams the loop does not read over their high mark,
 * what a write says about it, and marks of a stream's own. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* What the kernel takes of a queue in one step is less than lies between the two. */
enum { HIGH = 64 * 1024, LOW = 16 * 1024, STEP = 8 * 1024 };

static unsigned char bytes[4 * 1024 * 1024];

/* ---- Streams of each origin ------------------------------------------------------------------ */

enum origin { ADOPTED, ACCEPTED, CONNECTED, ORIGINS };

static void local_address(char *address) {
    snprintf(address, SLUICE_ADDRESS_MAX, "unix:@sluice-throttle-%d", (int)getpid());
}

static struct line accepted_line(sluice_loop *loop, const sluice_stream_options *options) {
    char address[SLUICE_ADDRESS_MAX];
    local_address(address);
    sluice_listen_options listening = listen_options();
    listening.streams = options;
    sluice_id listener;
    assert_int_equal(sluice_listen(loop, &listener, address, &listening), 0);
    struct line line = {.peer = dial(address)};
    line.id = expect_event(loop, SLUICE_ACCEPTED).id;
    assert_int_equal(sluice_close(loop, listener), 0);
    return line;
}

static struct line connected_line(sluice_loop *loop, const sluice_stream_options *options) {
    char address[SLUICE_ADDRESS_MAX];
    local_address(address);
    int listener = keep(sluice_socket_listen(address, 4));
    struct line line;
    assert_int_equal(sluice_connect(loop, &line.id, address, options), 0);
    expect_event_of(loop, SLUICE_CONNECTED, line.id);
    line.peer = keep(sluice_socket_accept(listener));
    drop(listener);
    return line;
}

/* Its kernel buffer is small and full. */
static struct line line_from(sluice_loop *loop, enum origin origin,
                             const sluice_stream_options *options) {
    struct line line = origin == ACCEPTED    ? accepted_line(loop, options)
                       : origin == CONNECTED ? connected_line(loop, options)
                                             : line_of(loop, unix_pair(), options);
    const int size = 4096;
    int fd = sluice_fd(loop, line.id);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    fill(fd);
    return line;
}

/* Takes at the peer until the stream has no more than so much queued. */
static void drain_to(sluice_loop *loop, struct line line, size_t left, unsigned *drained) {
    static unsigned char taken[512];
    const int64_t end = monotonic_ns() + PATIENCE_NS;
    while (sluice_pending(loop, line.id) > (int64_t)left) {
        assert_true(monotonic_ns() < end);
        take_some(line.peer, taken, sizeof taken);
        sluice_event event;
        while (pull_now(loop, &event)) {
            assert_int_equal(event.kind, SLUICE_DRAINED);
            assert_int_equal(event.id, line.id);
            ++*drained;
        }
    }
}

/* Over its mark: is it read from? And DRAINED comes, once, all the same. */
static void check_throttling(sluice_loop *loop, enum origin origin, uint32_t flags,
                             bool is_throttled) {
    sluice_stream_options options = stream_options(flags);
    struct line line = line_from(loop, origin, &options);
    assert_int_equal(sluice_write(loop, line.id, bytes, HIGH), 0);
    put_text(line.peer, "one");
    expect_text(loop, line.id, "one");
    assert_int_equal(sluice_write(loop, line.id, bytes, 1), 1);
    put_text(line.peer, "two");
    if (is_throttled)
        expect_no_event(loop);
    else
        expect_text(loop, line.id, "two");
    unsigned drained = 0;
    drain_to(loop, line, LOW + STEP, &drained);
    assert_int_equal(drained, 0);
    sluice_event event = {0};
    static unsigned char taken[512];
    while (!pull_now(loop, &event))
        take_some(line.peer, taken, sizeof taken);
    assert_int_equal(event.kind, SLUICE_DRAINED);
    assert_in_range(sluice_pending(loop, line.id), LOW - STEP, LOW);
    if (is_throttled)
        expect_text(loop, line.id, "two");
    put_text(line.peer, "three");
    expect_text(loop, line.id, "three");
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_event_of(loop, SLUICE_CLOSED, line.id);
    drop(line.peer);
}

static void who_is_read_from_over_the_mark(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = HIGH, .low_mark = LOW});
    for (int origin = 0; origin < ORIGINS; origin++) {
        check_throttling(loop, (enum origin)origin, 0, origin == ACCEPTED);
        check_throttling(loop, (enum origin)origin, SLUICE_THROTTLED, true);
        check_throttling(loop, (enum origin)origin, SLUICE_UNTHROTTLED, false);
        check_throttling(loop, (enum origin)origin, SLUICE_THROTTLED | SLUICE_HALF_OPEN, true);
    }
}

/* If it is over the mark and throttled, it does not see the peer's end before there is room.
 * Otherwise it does. */
static void an_end_over_the_mark(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = HIGH, .low_mark = LOW});
    for (int throttled = 0; throttled < 2; throttled++) {
        sluice_stream_options options =
            stream_options(SLUICE_HALF_OPEN | (throttled ? SLUICE_THROTTLED : 0));
        struct line line = line_from(loop, ADOPTED, &options);
        assert_int_equal(sluice_write(loop, line.id, bytes, HIGH + 1), 1);
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        if (throttled)
            expect_no_event(loop);
        else
            expect_event_of(loop, SLUICE_EOF, line.id);
        static unsigned char taken[65536];
        unsigned seen[SLUICE_EVENT_KINDS] = {0};
        const int64_t end = monotonic_ns() + PATIENCE_NS;
        while (sluice_pending(loop, line.id) > 0 || seen[SLUICE_DRAINED] == 0 ||
               (throttled && seen[SLUICE_EOF] == 0)) {
            assert_true(monotonic_ns() < end);
            take_some(line.peer, taken, sizeof taken);
            sluice_event event;
            while (pull_now(loop, &event))
                seen[event.kind]++;
        }
        assert_int_equal(seen[SLUICE_DRAINED], 1);
        assert_int_equal(seen[SLUICE_EOF], throttled);
        assert_int_equal(sluice_abort(loop, line.id), 0);
        expect_event_of(loop, SLUICE_CLOSED, line.id);
    }
}

static void both_flags_are_refused(void) {
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(SLUICE_THROTTLED | SLUICE_UNTHROTTLED);
    sluice_listen_options listening = listen_options();
    listening.streams = &options;
    sluice_id id;
    assert_int_equal(sluice_adopt(loop, &id, unix_pair().near, &options), SLUICE_EOPTION);
    assert_int_equal(sluice_connect(loop, &id, "127.0.0.1:1", &options), SLUICE_EOPTION);
    assert_int_equal(sluice_listen(loop, &id, "127.0.0.1:0", &listening), SLUICE_EOPTION);
}

/* ---- What a write says ----------------------------------------------------------------------- */

static void a_write_says_that_the_stream_is_over_its_mark(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = HIGH, .low_mark = LOW});
    struct line line = unix_line(loop);
    const sluice_slice slices[] = {{bytes, 10}, {NULL, 0}, {bytes, 10}};
    /* What the kernel has room for at once is not queued. */
    assert_int_equal(sluice_write(loop, line.id, bytes, 10000), 0);
    assert_int_equal(sluice_pending(loop, line.id), 0);
    expect_no_event(loop);
    fill(sluice_fd(loop, line.id));
    assert_int_equal(sluice_write(loop, line.id, bytes, HIGH - 20), 0);
    assert_int_equal(sluice_writev(loop, line.id, slices, 3), 0);
    assert_int_equal(sluice_pending(loop, line.id), HIGH);
    assert_int_equal(sluice_writev(loop, line.id, slices, 3), 1);
    assert_int_equal(sluice_write(loop, line.id, bytes, 1), 1);
    assert_int_equal(sluice_write(loop, line.id, bytes, 100000), 1);
    assert_int_equal(sluice_pending(loop, line.id), HIGH + 20 + 1 + 100000);
    /* A write that is refused says so. */
    assert_int_equal(sluice_shutdown(loop, line.id), 0);
    assert_int_equal(sluice_write(loop, line.id, bytes, 1), -EPIPE);
}

/* One large write of which the kernel takes a part. */
static void a_large_write_says_it_too(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = HIGH, .low_mark = LOW});
    struct line line = unix_line(loop);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 1);
    assert_true(sluice_pending(loop, line.id) > HIGH);
    assert_true(sluice_pending(loop, line.id) < (int64_t)sizeof bytes);
}

/* An answer that waits for the pull counts as fitting, and what it comes to is told by DRAINED. */
static void an_answer_that_is_put_off_counts_as_fitting(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 100, .low_mark = 10});
    struct line line = unix_line(loop);
    fill(sluice_fd(loop, line.id));
    make_pattern(bytes, 0, 5000);
    assert_int_equal(write(line.peer, bytes, 5000), 5000);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, 5000);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_pending(loop, line.id), 5000);
    assert_int_equal(sluice_write(loop, line.id, "x", 1), 1);
    unsigned drained = 0;
    drain_to(loop, line, 0, &drained);
    assert_int_equal(drained, 1);
}

/* ---- Marks of a stream's own ----------------------------------------------------------------- */

static void marks_of_its_own(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 100 * KIB});
    for (int origin = 0; origin < ORIGINS; origin++) {
        sluice_stream_options options = stream_options(0);
        options.high_mark = 40 * KIB;
        options.low_mark = 20 * KIB;
        struct line line = line_from(loop, (enum origin)origin, &options);
        struct line other = unix_line(loop); /* has the loop's */
        fill(sluice_fd(loop, other.id));
        assert_int_equal(sluice_write(loop, line.id, bytes, 40 * KIB), 0);
        assert_int_equal(sluice_write(loop, line.id, bytes, 1), 1);
        assert_int_equal(sluice_write(loop, other.id, bytes, 100 * KIB), 0);
        assert_int_equal(sluice_write(loop, other.id, bytes, 1), 1);
        put_text(line.peer, "hello");
        if (origin == ACCEPTED)
            expect_no_event(loop);
        else
            expect_text(loop, line.id, "hello");
        unsigned drained = 0;
        drain_to(loop, line, 20 * KIB + STEP, &drained);
        assert_int_equal(drained, 0);
        static unsigned char taken[512];
        sluice_event event = {0};
        while (!pull_now(loop, &event))
            take_some(line.peer, taken, sizeof taken);
        assert_int_equal(event.kind, SLUICE_DRAINED);
        assert_int_equal(event.id, line.id);
        if (origin == ACCEPTED)
            expect_text(loop, line.id, "hello");
        for (int i = 0; i < 2; i++) {
            sluice_id id = i ? other.id : line.id;
            assert_int_equal(sluice_abort(loop, id), 0);
            expect_event_of(loop, SLUICE_CLOSED, id);
        }
        drop(line.peer);
        drop(other.peer);
    }
}

/* A low mark that is not given is a quarter of the stream's high mark, and not the loop's. */
static void low_mark_by_default(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 100, .low_mark = 99});
    sluice_stream_options options = stream_options(0);
    options.high_mark = 80 * KIB;
    struct line line = line_from(loop, ADOPTED, &options);
    assert_int_equal(sluice_write(loop, line.id, bytes, 80 * KIB), 0);
    assert_int_equal(sluice_write(loop, line.id, bytes, 1), 1);
    unsigned drained = 0;
    drain_to(loop, line, 20 * KIB + STEP, &drained);
    assert_int_equal(drained, 0);
    drain_to(loop, line, 20 * KIB - STEP, &drained);
    assert_int_equal(drained, 1);
}

static int adopt_code(sluice_loop *loop, size_t high_mark, size_t low_mark) {
    sluice_stream_options options = stream_options(0);
    options.high_mark = high_mark;
    options.low_mark = low_mark;
    struct pair pair = unix_pair();
    sluice_id id;
    int code = sluice_adopt(loop, &id, pair.near, &options);
    if (code == 0) {
        release(pair.near);
        assert_int_equal(sluice_abort(loop, id), 0);
        expect_closed(loop, id, -ECONNABORTED, 0);
    }
    return code;
}

static void marks_out_of_order_are_refused(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.high_mark = 100, .low_mark = 10, .hard_limit = 1000});
    assert_int_equal(adopt_code(loop, 1000, 1000), 0);
    assert_int_equal(adopt_code(loop, 1, 1), 0);
    assert_int_equal(adopt_code(loop, 1, 0), 0); /* a quarter of it is nothing at all */
    assert_int_equal(adopt_code(loop, 1001, 1), SLUICE_EOPTION);
    assert_int_equal(adopt_code(loop, 50, 51), SLUICE_EOPTION);
    assert_int_equal(adopt_code(loop, SIZE_MAX, 1), SLUICE_EOPTION);
    assert_int_equal(adopt_code(loop, 0, SIZE_MAX), SLUICE_EOPTION);
    sluice_stream_options options = stream_options(0);
    options.high_mark = 1001;
    sluice_listen_options listening = listen_options();
    listening.streams = &options;
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, "127.0.0.1:0", &listening), SLUICE_EOPTION);
    assert_int_equal(sluice_connect(loop, &id, "127.0.0.1:1", &options), SLUICE_EOPTION);
}

/* Options of an older program, which ends before the marks: the loop's hold. */
static void options_without_marks(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = HIGH, .low_mark = LOW});
    sluice_stream_options options = stream_options(0);
    options.size = offsetof(sluice_stream_options, high_mark);
    options.high_mark = 1;
    struct line line = line_of(loop, unix_pair(), &options);
    fill(sluice_fd(loop, line.id));
    assert_int_equal(sluice_write(loop, line.id, bytes, HIGH), 0);
    assert_int_equal(sluice_write(loop, line.id, bytes, 1), 1);
}

/* The mark that holds a forward back is that of the stream that is written to. */
static void a_forward_heeds_its_target_s_marks(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    sluice_stream_options options = stream_options(0);
    options.high_mark = 2000;
    struct line from = unix_line(loop);
    struct line to = line_of(loop, unix_pair(), &options);
    fill(sluice_fd(loop, to.id));
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(write(from.peer, bytes, 4096), 4096);
        expect_no_event(loop);
    }
    assert_in_range(sluice_pending(loop, to.id), 2001, 2000 + 4096);
}

/* ---- Both ends of an echo in one loop -------------------------------------------------------- */

static void echo(sluice_options options, size_t length) {
    sluice_loop *loop = make_loop_with(options);
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    sluice_id client;
    sluice_id server = 0;
    assert_int_equal(sluice_connect(loop, &client, address, NULL), 0);
    unsigned char *sent = malloc(length);
    assert_non_null(sent);
    make_pattern(sent, 0, length);
    size_t back = 0;
    bool stalled = false;
    while (back < length && !stalled) {
        sluice_event event = {0};
        stalled = sluice_next(loop, &event, PATIENCE_NS / 4) != 1;
        if (event.kind == SLUICE_ACCEPTED)
            server = event.id;
        else if (event.kind == SLUICE_CONNECTED)
            write_all(loop, client, sent, length);
        else if (event.kind == SLUICE_DATA && event.id == server)
            write_all(loop, server, event.data, event.length);
        else if (event.kind == SLUICE_DATA) {
            check_pattern(event.data, back, event.length);
            back += event.length;
        }
    }
    free(sent);
    if (stalled)
        fail_msg("%zu of %zu bytes came back", back, length);
    end_loop(loop);
}

static void an_echo_through_one_loop_does_not_stall(void) {
    static const size_t lengths[] = {1, MIB, 8 * MIB, 32 * MIB};
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        echo((sluice_options){0}, lengths[i]);
    echo((sluice_options){.high_mark = 1, .low_mark = 1}, MIB);
    echo((sluice_options){.high_mark = 65536, .receive_size = 4096}, 8 * MIB);
}

int main(void) {
    static const struct test tests[] = {
        {"over its mark an accepted stream is not read from, others are",
         who_is_read_from_over_the_mark, NULL},
        {"an end over the mark", an_end_over_the_mark, NULL},
        {"throttled and unthrottled at once is refused", both_flags_are_refused, NULL},
        {"a write says that the stream is over its mark",
         a_write_says_that_the_stream_is_over_its_mark, NULL},
        {"a large write says it too", a_large_write_says_it_too, NULL},
        {"an answer that is put off counts as fitting", an_answer_that_is_put_off_counts_as_fitting,
         NULL},
        {"marks of a stream's own", marks_of_its_own, NULL},
        {"a low mark by default: a quarter of its high mark", low_mark_by_default, NULL},
        {"marks out of order are refused", marks_out_of_order_are_refused, NULL},
        {"options without marks: the loop's", options_without_marks, NULL},
        {"a forward heeds its target's marks", a_forward_heeds_its_target_s_marks, NULL},
        {"an echo of any size through one loop does not stall",
         an_echo_through_one_loop_does_not_stall, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

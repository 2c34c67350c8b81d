/* test_loop_streams.c - bytes through a stream: whole, in order and once, and what a write costs.
 */
#include "loops.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static struct line make_line(sluice_loop *loop) {
    return strcmp(test_data(), "tcp") == 0 ? tcp_line(loop) : unix_line(loop);
}

/* ---- Bytes ---------------------------------------------------------------------------------- */

/* A load through an echoing stream: what the peer sends comes back, and how far each way is. */
struct echo {
    size_t length;
    size_t sent;
    size_t returned;
};

/* One step of the plain peer: sends a piece of random size, and takes what has come. */
static void step_peer(int fd, struct echo *echo) {
    static unsigned char bytes[300 * 1024];
    size_t piece = 1 + random_below(random_below(8) == 0 ? sizeof bytes : 3000);
    if (piece > echo->length - echo->sent)
        piece = echo->length - echo->sent;
    make_pattern(bytes, echo->sent, piece);
    ptrdiff_t count = piece > 0 ? sluice_socket_send(fd, bytes, piece) : 0;
    if (count > 0)
        echo->sent += (size_t)count;
    size_t taken = take_some(fd, bytes, 1 + random_below(sizeof bytes));
    check_pattern(bytes, echo->returned, taken);
    echo->returned += taken;
}

static void bytes_whole_in_order_once(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    struct echo echo = {.length = 8 * MIB};
    int64_t end = monotonic_ns() + PATIENCE_NS;
    size_t received = 0;
    while (echo.returned < echo.length) {
        assert_true(monotonic_ns() < end);
        step_peer(line.peer, &echo);
        sluice_event event;
        while (pull_now(loop, &event)) {
            if (event.kind == SLUICE_DRAINED)
                continue;
            assert_int_equal(event.kind, SLUICE_DATA);
            assert_int_equal(event.id, line.id);
            check_pattern(event.data, received, event.length);
            received += event.length;
            assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
        }
    }
    assert_int_equal(received, echo.length);
    sluice_statistics stats = stats_of(loop);
    assert_int_equal(stats.bytes_received, echo.length);
    assert_int_equal(stats.bytes_sent, echo.length);
    expect_no_event(loop);
}

/* Sizes around the chunk's, and around what is large. */
static void writes_of_every_size(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    const size_t sizes[] = {1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 65536, 300 * KIB, 3 * MIB};
    unsigned char *bytes = malloc(3 * MIB);
    assert_non_null(bytes);
    size_t place = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        make_pattern(bytes, place, sizes[i]);
        assert_true(sluice_write(loop, line.id, bytes, sizes[i]) >= 0);
        memset(bytes, 0xEE, sizes[i]); /* the caller's again */
        for (size_t at = 0; at < sizes[i];) {
            sluice_event event;
            if (pull_now(loop, &event))
                assert_int_equal(event.kind, SLUICE_DRAINED);
            size_t count = take_some(line.peer, bytes, sizes[i] - at);
            check_pattern(bytes, place + at, count);
            at += count;
        }
        place += sizes[i];
        assert_int_equal(sluice_pending(loop, line.id), 0);
    }
    free(bytes);
}

static void data_valid_until_next_pull(void) {
    sluice_loop *loop = make_loop();
    struct line first = make_line(loop);
    struct line second = make_line(loop);
    put_text(first.peer, "first");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, first.id);
    put_text(first.peer, "other");
    put_text(second.peer, "third");
    assert_int_equal(sluice_write(loop, second.id, "answer", 6), 0);
    assert_int_equal(sluice_flush(loop, second.id), 0);
    assert_int_equal(sluice_abort(loop, first.id), 0);
    assert_int_equal(sluice_close(loop, second.id), 0);
    assert_int_equal(event.length, 5);
    assert_memory_equal(event.data, "first", 5);
}

/* ---- How writes go out ---------------------------------------------------------------------- */

static void writes_of_one_event_by_one_send(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    put_text(line.peer, "go");
    expect_text(loop, line.id, "go");
    long before = send_count();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sluice_write(loop, line.id, "0123456789", 10), 0);
    assert_int_equal(send_count(), before);
    assert_int_equal(sluice_pending(loop, line.id), 10000);
    expect_no_event(loop);
    assert_int_equal(send_count() - before, 1);
    assert_int_equal(stats_of(loop).sends, 1);
    assert_int_equal(sluice_pending(loop, line.id), 0);
    char bytes[10001];
    for (size_t at = 0; at < 10000;) {
        await(line.peer, POLLIN);
        at += take_some(line.peer, bytes + at, sizeof bytes - at);
    }
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(bytes[i], '0' + (char)(i % 10));
}

static void answers_to_many_by_one_send_each(void) {
    sluice_loop *loop = make_loop();
    struct line lines[20];
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        lines[i] = make_line(loop);
    long before = send_count();
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < COUNT_OF(lines); i++)
            assert_int_equal(sluice_write(loop, lines[i].id, "a word", 6), 0);
    expect_no_event(loop);
    assert_int_equal(send_count() - before, COUNT_OF(lines));
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        take_text(lines[i].peer, "a worda worda word");
}

/* A wait of poll or select looks at all descriptors, however few it reports. A wait of epoll does
 * not, and reports as many as it likes. */
static void one_wait_brings_all(void) {
    enum { LINES = 400 };
    static struct line lines[LINES];
    sluice_loop *loop = make_loop();
    for (int i = 0; i < LINES; i++) {
        lines[i] = unix_line(loop);
        put_text(lines[i].peer, "ready");
    }
    uint64_t turns = stats_of(loop).turns;
    for (int i = 0; i < LINES; i++)
        expect_event(loop, SLUICE_DATA);
    uint64_t most = strstr(test_backend(), "epoll") ? LINES : 1;
    assert_in_range(stats_of(loop).turns - turns, 1, most);
}

/* The bytes of the event, written by themselves, among others, in parts and to another stream. */
static void answers_of_the_event_s_own_bytes(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    struct line other = make_line(loop);
    put_text(line.peer, "ping");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    const char *data = event.data;
    long before = send_count();
    assert_int_equal(sluice_write(loop, line.id, data, 0), 0);
    assert_int_equal(sluice_write(loop, line.id, data + 1, 2), 0);
    assert_int_equal(sluice_pending(loop, line.id), 2);
    assert_int_equal(sluice_write(loop, other.id, data, 4), 0);
    assert_int_equal(sluice_write(loop, line.id, "-", 1), 0);
    assert_int_equal(sluice_write(loop, line.id, data, 4), 0);
    assert_int_equal(sluice_write(loop, other.id, data, 1), 0);
    assert_int_equal(sluice_pending(loop, line.id), 7);
    expect_no_event(loop);
    assert_int_equal(send_count() - before, 2);
    take_text(line.peer, "in-ping");
    take_text(other.peer, "pingp");
}

/* An echo that the kernel has no room for, and what comes behind it. */
static void answer_of_own_bytes_that_must_wait(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    fill(sluice_fd(loop, line.id));
    put_text(line.peer, "ping");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_pending(loop, line.id), 4);
    assert_int_equal(sluice_write(loop, line.id, "!", 1), 0);
    static char bytes[65536];
    size_t last = 0;
    while (sluice_pending(loop, line.id) > 0) {
        size_t count = take_some(line.peer, bytes, sizeof bytes);
        last = count > 0 ? count : last;
        expect_no_event(loop);
    }
    char tail[5] = {0};
    for (size_t count = last; count > 0; count = take_some(line.peer, bytes, sizeof bytes))
        for (size_t i = 0; i < count; i++) {
            memmove(tail, tail + 1, 4);
            tail[4] = bytes[i];
        }
    assert_memory_equal(tail, "ping!", 5);
}

static void flush_sends_now(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    assert_int_equal(sluice_write(loop, line.id, "now", 3), 0);
    assert_int_equal(sluice_flush(loop, line.id), 0);
    assert_int_equal(sluice_pending(loop, line.id), 0);
    take_text(line.peer, "now");
    put_text(line.peer, "echo");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    assert_int_equal(sluice_flush(loop, line.id), 0);
    take_text(line.peer, "echo");
    assert_int_equal(sluice_flush(loop, line.id), 0);
}

static void large_write_tries_the_kernel_first(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    static unsigned char bytes[64 * 1024];
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    assert_int_equal(stats_of(loop).sends, 1);
    assert_true(sluice_pending(loop, line.id) < (int64_t)sizeof bytes);
    assert_int_equal(stats_of(loop).bytes_sent + (uint64_t)sluice_pending(loop, line.id),
                     sizeof bytes);
    /* Not past what is queued already. */
    assert_int_equal(sluice_write(loop, line.id, "x", 1), 0);
    assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
    assert_int_equal(stats_of(loop).sends, 1);
}

/* What was made sure of for the copy and not needed goes back. */
static void large_write_leaves_no_memory_behind(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    size_t before = loop_memory(loop);
    static unsigned char bytes[2 * 1024 * 1024];
    assert_true(sluice_write(loop, line.id, bytes, sizeof bytes) >= 0);
    while (sluice_pending(loop, line.id) > 0) {
        sluice_event event;
        if (pull_now(loop, &event))
            assert_int_equal(event.kind, SLUICE_DRAINED);
        take_some(line.peer, bytes, sizeof bytes);
    }
    assert_true(loop_memory(loop) - before <= 512 * KIB);
}

static void writev_goes_together(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    const sluice_slice slices[] = {{"one ", 4}, {NULL, 0}, {"two ", 4}, {"three", 5}};
    assert_int_equal(sluice_writev(loop, line.id, slices, COUNT_OF(slices)), 0);
    assert_int_equal(sluice_writev(loop, line.id, slices, 0), 0);
    assert_int_equal(sluice_writev(loop, line.id, NULL, 0), 0);
    assert_int_equal(sluice_pending(loop, line.id), 13);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).sends, 1);
    take_text(line.peer, "one two three");
    const sluice_slice too_long[] = {{"x", SIZE_MAX}, {"y", 1}};
    assert_int_equal(sluice_writev(loop, line.id, too_long, 2), SLUICE_EFULL);
    const sluice_slice no_bytes = {NULL, 1};
    assert_int_equal(sluice_writev(loop, line.id, &no_bytes, 1), SLUICE_ENULL);
    assert_int_equal(sluice_writev(loop, line.id, slices, -1), SLUICE_ECAPACITY);
    assert_int_equal(sluice_writev(loop, line.id, NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_write(loop, line.id, NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_write(loop, line.id, NULL, 0), 0);
    assert_int_equal(sluice_pending(loop, line.id), 0);
}

/* More streams than there was room for, so that the existing ones move. */
static void make_many(sluice_loop *loop) {
    for (int i = 0; i < 100; i++)
        (void)make_line(loop);
}

static void answer_while_other_streams_are_made(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    put_text(line.peer, "first");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    make_many(loop);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    make_many(loop);
    assert_int_equal(sluice_pending(loop, line.id), 5);
    expect_no_event(loop);
    take_text(line.peer, "first");
    put_text(line.peer, "second");
    expect_event_of(loop, SLUICE_DATA, line.id);
    make_many(loop);
    assert_int_equal(sluice_hold(loop, line.id, 3), 0);
    put_text(line.peer, "!");
    expect_text(loop, line.id, "ond!");
}

static void answer_with_nothing(void) {
    sluice_loop *loop = make_loop();
    struct line line = make_line(loop);
    put_text(line.peer, "question");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_write(loop, line.id, event.data, 0), 0);
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    assert_int_equal(sluice_write(loop, line.id, event.data, 0), 0);
    assert_int_equal(sluice_pending(loop, line.id), 8);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).sends, 1);
    take_text(line.peer, "question");
}

#define BOTH(name, run)                                                                            \
    {"tcp: " name, run, "tcp"}, {                                                                  \
        "unix: " name, run, "unix"                                                                 \
    }

/* ---- A write that begins in an event's bytes --------------------------------------------------
 */

#define MOST_BLOCKS 64
#define BEHIND 4096

/* Blocks of a loop, each with memory of the caller's own behind it. */
static struct {
    unsigned char *start;
    size_t size;
} blocks[MOST_BLOCKS];

static void *reallocate_with_more_behind(void *unused, void *block, size_t size) {
    (void)unused;
    size_t at = 0;
    while (at < MOST_BLOCKS && blocks[at].start != block)
        at++;
    assert_true(at < MOST_BLOCKS);
    if (size == 0) {
        free(block);
        blocks[at].start = NULL;
        return NULL;
    }
    unsigned char *after = realloc(block, size + BEHIND);
    assert_non_null(after);
    memset(after + size, 'a', BEHIND);
    blocks[at].start = after;
    blocks[at].size = size;
    return after;
}

/* Where the block ends that these bytes are in. */
static unsigned char *end_of_block(const void *bytes) {
    uintptr_t place = (uintptr_t)bytes;
    for (size_t i = 0; i < MOST_BLOCKS; i++) {
        uintptr_t start = (uintptr_t)blocks[i].start;
        if (start && place >= start && place < start + blocks[i].size)
            return blocks[i].start + blocks[i].size;
    }
    fail_msg("the bytes are in no block");
    return NULL;
}

static void destroy_loop(void *loop) {
    sluice_destroy(loop);
}

/* What an event lends may be sent from where it is. The bytes behind it belong to the caller, who
 * may change them after the call. */
static void a_write_that_runs_past_the_event(void) {
    const sluice_options options = {.size = sizeof options,
                                    .backend = test_backend(),
                                    .reallocate = reallocate_with_more_behind,
                                    .receive_size = 4096};
    sluice_loop *loop;
    memset(blocks, 0, sizeof blocks);
    assert_int_equal(sluice_open(&loop, &options), 0);
    defer(destroy_loop, loop);
    struct line line = unix_line(loop);
    for (size_t behind = 1; behind < BEHIND; behind *= 8) {
        put_text(line.peer, "ab");
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        unsigned char *end = end_of_block(event.data);
        size_t length = (size_t)(end - (const unsigned char *)event.data) + behind;
        assert_true(length < 8192); /* more is offered to the kernel at once */
        unsigned char sent[8192];
        memcpy(sent, event.data, length);
        write_all(loop, line.id, event.data, length);
        memset(end, 'z', BEHIND);
        expect_no_event(loop);
        for (size_t at = 0; at < length;) {
            unsigned char taken[8192];
            await(line.peer, POLLIN);
            size_t count = take_some(line.peer, taken, sizeof taken);
            assert_in_range(count, 1, length - at);
            assert_memory_equal(taken, sent + at, count);
            at += count;
        }
        memset(end, 'a', BEHIND);
    }
}

int main(void) {
    static const struct test tests[] = {
        BOTH("bytes arrive whole, in order, once", bytes_whole_in_order_once),
        BOTH("writes of every size arrive as they were", writes_of_every_size),
        BOTH("data is valid until the next pull", data_valid_until_next_pull),
        BOTH("1,000 writes of one event go out by one send", writes_of_one_event_by_one_send),
        BOTH("writes to many streams go out by one send each", answers_to_many_by_one_send_each),
        {"one wait brings all that are ready", one_wait_brings_all, NULL},
        BOTH("the event's own bytes can be the answer", answers_of_the_event_s_own_bytes),
        BOTH("an answer and a hold stand while other streams are made",
             answer_while_other_streams_are_made),
        BOTH("an answer may be of no bytes", answer_with_nothing),
        {"unix: and may have to wait", answer_of_own_bytes_that_must_wait, "unix"},
        BOTH("flush sends now", flush_sends_now),
        BOTH("a large write tries the kernel first", large_write_tries_the_kernel_first),
        BOTH("a large write leaves no memory behind", large_write_leaves_no_memory_behind),
        BOTH("writev: the pieces go together or not at all", writev_goes_together),
        {"a write that runs past the event is copied at once", a_write_that_runs_past_the_event,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

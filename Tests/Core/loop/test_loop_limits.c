/* test_loop_limits.c - the time limits: connecting, idling, lingering. Each counts from the call
 * that sets it, however long ago the loop has waited. What came in time wins over a limit that is
 * seen late.
 *
 * Time is simulated (simulate_time). A busy program puts it forward with pass_time, and a wait puts
 * it forward by its timeout. So every limit is checked to the millisecond, and nothing depends on
 * how fast the machine is. If the kernel needs real time, the test waits for it.
 */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

#define LIMIT (100 * NS_PER_MS)
#define BUSY (300 * NS_PER_MS)
/* What a backend may add: libevent rounds to milliseconds. */
#define LATE (2 * NS_PER_MS)

static unsigned char bytes[1024 * 1024];

static void use_real_time(void *unused) {
    (void)unused;
    simulate_time(false);
}

/* A loop in made-up time that has waited once. */
static sluice_loop *timed_loop_with(sluice_options options) {
    defer(use_real_time, NULL);
    simulate_time(true);
    sluice_loop *loop = make_loop_with(options);
    expect_no_event(loop);
    return loop;
}

static sluice_loop *timed_loop(void) {
    return timed_loop_with((sluice_options){0});
}

static sluice_stream_options idling(void) {
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = LIMIT;
    return options;
}

static struct line idle_line(sluice_loop *loop, struct pair pair) {
    sluice_stream_options options = idling();
    return line_of(loop, pair, &options);
}

/* Nothing comes of so much time. */
static void expect_quiet(sluice_loop *loop, int64_t ns) {
    sluice_event event = {0};
    int64_t end = monotonic_ns() + ns;
    for (int64_t left = ns; left > 0; left = end - monotonic_ns()) {
        int code = sluice_next(loop, &event, left);
        if (code != 0)
            fail_msg("nothing was expected, and there came %d, event %u, error %d", code,
                     event.kind, event.error);
    }
}

/* CLOSED with -ETIMEDOUT when the limit, begun at `begun`, is over, and not before. */
static void expect_timeout(sluice_loop *loop, sluice_id id, int64_t begun, size_t unsent) {
    expect_closed(loop, id, -ETIMEDOUT, unsent);
    assert_in_range(monotonic_ns() - begun, LIMIT, LIMIT + LATE);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void address_of(int fd, char *text) {
    assert_true(sluice_socket_local_address(fd, text, SLUICE_ADDRESS_MAX) > 0);
}

static sluice_id connect_within_limit(sluice_loop *loop, int listener) {
    char address[SLUICE_ADDRESS_MAX];
    sluice_stream_options options = stream_options(0);
    options.connect_timeout_ns = LIMIT;
    address_of(listener, address);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, &options), 0);
    return id;
}

static void time_to_connect_counts_from_the_call(void) {
    sluice_loop *loop = timed_loop();
    int listener = tcp_listener(4);
    pass_time(BUSY);
    sluice_id id = connect_within_limit(loop, listener);
    await(sluice_fd(loop, id), POLLOUT);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    expect_quiet(loop, 10 * LIMIT);
}

/* A listener whose queue is full: a connect to it stays under way. */
static int full_listener(void) {
    int listener = tcp_listener(0);
    for (int i = 0; i < 3; i++)
        tcp_connect(listener);
    return listener;
}

static void a_connect_that_nobody_answers(void) {
    sluice_loop *loop = timed_loop();
    int listener = full_listener();
    for (int busy = 0; busy < 2; busy++) {
        pass_time(busy * BUSY);
        int64_t begun = monotonic_ns();
        sluice_id id = connect_within_limit(loop, listener);
        expect_timeout(loop, id, begun, 0);
    }
}

static void connected_in_time_and_seen_late(void) {
    sluice_loop *loop = timed_loop();
    int listener = tcp_listener(4);
    for (int written = 0; written < 2; written++) {
        sluice_id id = connect_within_limit(loop, listener);
        if (written)
            write_all(loop, id, "hello", 5);
        await(sluice_fd(loop, id), POLLOUT);
        pass_time(BUSY);
        expect_event_of(loop, SLUICE_CONNECTED, id);
        expect_quiet(loop, 10 * LIMIT);
        assert_int_equal(sluice_pending(loop, id), 0);
    }
}

/* What the kernel says of a connect wins over the limit, too. */
static void refused_in_time_and_seen_late(void) {
    sluice_loop *loop = timed_loop();
    sluice_id id = connect_within_limit(loop, tcp_bound());
    await(sluice_fd(loop, id), POLLERR);
    pass_time(BUSY);
    expect_closed(loop, id, -ECONNREFUSED, 0);
}

/* ---- Idling ---------------------------------------------------------------------------------- */

static void time_to_idle_counts_from_the_call(void) {
    sluice_loop *loop = timed_loop();
    for (int over_tcp = 0; over_tcp < 2; over_tcp++) {
        struct pair pair = over_tcp ? tcp_pair() : unix_pair();
        put_text(pair.far, "hello");
        await(pair.near, POLLIN);
        pass_time(BUSY);
        int64_t begun = monotonic_ns();
        struct line line = idle_line(loop, pair);
        expect_text(loop, line.id, "hello");
        assert_true(monotonic_ns() - begun < LIMIT);
        begun = monotonic_ns();
        expect_timeout(loop, line.id, begun, 0);
    }
}

/* Not early and not never, however busy the loop was before. */
static void a_silent_peer(void) {
    sluice_loop *loop = timed_loop();
    for (int busy = 0; busy < 2; busy++) {
        pass_time(busy * BUSY);
        int64_t begun = monotonic_ns();
        struct line line = idle_line(loop, unix_pair());
        expect_timeout(loop, line.id, begun, 0);
    }
}

static void idling_of_accepted_streams_counts_from_the_accept(void) {
    sluice_loop *loop = timed_loop();
    sluice_stream_options streams = idling();
    sluice_listen_options options = listen_options();
    options.streams = &streams;
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, &options, address);
    int peer = dial(address);
    await(peer, POLLOUT);
    pass_time(BUSY);
    sluice_id id = expect_event(loop, SLUICE_ACCEPTED).id;
    put_text(peer, "hello");
    await_bytes(sluice_fd(loop, id), 5);
    expect_text(loop, id, "hello");
    int64_t begun = monotonic_ns();
    expect_timeout(loop, id, begun, 0);
}

static void idling_of_connected_streams_counts_from_the_connect(void) {
    sluice_loop *loop = timed_loop();
    char address[SLUICE_ADDRESS_MAX];
    address_of(tcp_listener(4), address);
    sluice_stream_options options = idling();
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, &options), 0);
    await(sluice_fd(loop, id), POLLOUT);
    pass_time(BUSY);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    int64_t begun = monotonic_ns();
    expect_timeout(loop, id, begun, 0);
}

/* Where the call that a pull answers has taken long, the next pull looks before it ends anything.
 */
static void bytes_in_time_and_seen_late(void) {
    sluice_loop *loop = timed_loop();
    for (int how = 0; how < 4; how++) {
        struct line line = idle_line(loop, how & 1 ? tcp_pair() : unix_pair());
        expect_no_event(loop);
        put_text(line.peer, "in time");
        await_bytes(sluice_fd(loop, line.id), 7);
        pass_time(BUSY);
        if (how & 2) {
            sluice_event events[4];
            assert_int_equal(sluice_next_many(loop, events, 4, PATIENCE_NS), 1);
            assert_int_equal(events[0].kind, SLUICE_DATA);
        } else {
            expect_text(loop, line.id, "in time");
        }
        int64_t begun = monotonic_ns();
        expect_timeout(loop, line.id, begun, 0);
    }
}

/* Of many, each has its own bytes in time, and one has none. */
static void of_many_the_silent_one_ends_alone(void) {
    enum { LINES = 20 };
    sluice_loop *loop = timed_loop();
    struct line lines[LINES];
    for (size_t i = 0; i < LINES; i++)
        lines[i] = idle_line(loop, unix_pair());
    expect_no_event(loop);
    for (size_t i = 0; i < LINES; i++)
        if (i != 7)
            put_text(lines[i].peer, "in time");
    pass_time(BUSY);
    size_t told = 0;
    size_t closed = 0;
    while (told + closed < LINES) {
        sluice_event event = next_event(loop);
        told += event.kind == SLUICE_DATA;
        if (event.kind != SLUICE_CLOSED)
            continue;
        closed++;
        assert_int_equal(event.id, lines[7].id);
        assert_int_equal(event.error, -ETIMEDOUT);
    }
    assert_int_equal(told, LINES - 1);
}

static void an_end_in_time_and_seen_late(void) {
    sluice_loop *loop = timed_loop();
    struct line line = idle_line(loop, unix_pair());
    expect_no_event(loop);
    drop(line.peer);
    await_end(sluice_fd(loop, line.id));
    pass_time(BUSY);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
    line = idle_line(loop, tcp_pair());
    expect_no_event(loop);
    int fd = sluice_fd(loop, line.id);
    reset_connection(line.peer);
    await(fd, POLLERR);
    pass_time(BUSY);
    expect_closed(loop, line.id, -ECONNRESET, 0);
}

/* What goes out counts from when it goes. */
static void a_flush_after_work_postpones_the_idle_limit(void) {
    sluice_loop *loop = timed_loop();
    for (int how = 0; how < 3; how++) {
        struct line line = idle_line(loop, unix_pair());
        expect_no_event(loop);
        pass_time(LIMIT - NS_PER_MS);
        write_all(loop, line.id, bytes, how == 2 ? 10000 : 10); /* the large one goes at once */
        if (how == 1)
            assert_int_equal(sluice_flush(loop, line.id), 0);
        int64_t begun = monotonic_ns();
        expect_timeout(loop, line.id, begun, 0);
    }
}

static void an_echo_postpones_the_idle_limit(void) {
    sluice_loop *loop = timed_loop();
    struct line line = idle_line(loop, unix_pair());
    put_text(line.peer, "ping");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    int64_t begun = monotonic_ns();
    assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
    expect_timeout(loop, line.id, begun, 0);
}

/* ---- Idling while nobody reads --------------------------------------------------------------- */

static void no_idling_while_paused(void) {
    sluice_loop *loop = timed_loop();
    for (int said = 0; said < 2; said++) {
        struct line line = idle_line(loop, unix_pair());
        assert_int_equal(sluice_pause(loop, line.id), 0);
        if (said)
            put_text(line.peer, "hello");
        expect_quiet(loop, 10 * LIMIT);
        pass_time(BUSY);
        int64_t begun = monotonic_ns();
        assert_int_equal(sluice_resume(loop, line.id), 0);
        if (said) {
            expect_text(loop, line.id, "hello");
            begun = monotonic_ns();
        }
        expect_timeout(loop, line.id, begun, 0);
    }
}

/* Paused within the limit, many times over. */
static void idling_begins_anew_at_each_resume(void) {
    sluice_loop *loop = timed_loop();
    struct line line = idle_line(loop, unix_pair());
    for (int i = 0; i < 5; i++) {
        expect_quiet(loop, LIMIT / 2);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        expect_quiet(loop, 2 * LIMIT);
        assert_int_equal(sluice_resume(loop, line.id), 0);
    }
    int64_t begun = monotonic_ns();
    expect_timeout(loop, line.id, begun, 0);
}

/* Takes at the peer until the loop has nothing queued for it. */
static void drain(sluice_loop *loop, sluice_id id, int peer) {
    static unsigned char taken[65536];
    sluice_event event;
    for (int i = 0; sluice_pending(loop, id) > 0; i++) {
        assert_true(i < 10000);
        take_some(peer, taken, sizeof taken);
        if (pull_now(loop, &event))
            assert_int_equal(event.kind, SLUICE_DRAINED);
    }
    while (pull_now(loop, &event))
        assert_int_equal(event.kind, SLUICE_DRAINED);
    while (take_some(peer, taken, sizeof taken) > 0) {
    }
}

static void no_idling_while_throttled(void) {
    sluice_loop *loop = timed_loop_with((sluice_options){.high_mark = 50, .low_mark = 10});
    sluice_stream_options options = idling();
    options.flags = SLUICE_THROTTLED;
    struct line line = line_of(loop, unix_pair(), &options);
    fill(sluice_fd(loop, line.id));
    assert_int_equal(sluice_write(loop, line.id, bytes, 100), 1);
    expect_quiet(loop, 10 * LIMIT);
    drain(loop, line.id, line.peer);
    int64_t begun = monotonic_ns();
    expect_timeout(loop, line.id, begun, 0);
}

static void no_idling_while_held_back(void) {
    sluice_loop *loop = timed_loop_with((sluice_options){.high_mark = 50, .low_mark = 10});
    struct line from = idle_line(loop, unix_pair());
    struct line to = unix_line(loop);
    fill(sluice_fd(loop, to.id));
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    make_pattern(bytes, 0, 1000);
    for (size_t at = 0; at < 1000; at += 100)
        assert_int_equal(write(from.peer, bytes + at, 100), 100);
    expect_quiet(loop, 10 * LIMIT);
    assert_true(sluice_pending(loop, to.id) > 50);
    drain(loop, to.id, to.peer);
    int64_t begun = monotonic_ns();
    expect_timeout(loop, from.id, begun, 0);
    assert_int_equal(sluice_kind_of(loop, to.id), SLUICE_KIND_STREAM);
}

/* The other end reads, but slowly: its steady trickle is what the source waits for. */
static void no_idling_beside_a_slow_reader(void) {
    sluice_loop *loop =
        timed_loop_with((sluice_options){.high_mark = 65536, .receive_size = 16384});
    struct line from = idle_line(loop, unix_pair());
    struct pair pair = unix_pair();
    const int size = 4096;
    assert_int_equal(setsockopt(pair.near, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    struct line to = line_of(loop, pair, NULL);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    static unsigned char taken[1024];
    size_t got = 0;
    for (int i = 0; i < 200; i++) {
        (void)sluice_socket_send(from.peer, bytes, 32768);
        got += take_some(to.peer, taken, sizeof taken);
        sluice_event event;
        while (pull_now(loop, &event)) {
            assert_int_equal(event.kind, SLUICE_DRAINED);
            assert_int_equal(event.id, to.id);
        }
        expect_quiet(loop, LIMIT / 10);
    }
    assert_true(got > 0);
}

/* ---- Lingering ------------------------------------------------------------------------------- */

/* A stream with a short linger limit whose kernel buffer is small. */
static struct line lingering_line(sluice_loop *loop) {
    struct pair pair = unix_pair();
    const int size = 4096;
    assert_int_equal(setsockopt(pair.near, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    sluice_stream_options options = stream_options(0);
    options.linger_ns = LIMIT;
    return line_of(loop, pair, &options);
}

static size_t pending_of(sluice_loop *loop, sluice_id id) {
    int64_t pending = sluice_pending(loop, id);
    assert_true(pending > 0);
    return (size_t)pending;
}

static void lingering_counts_from_the_close(void) {
    sluice_loop *loop = timed_loop();
    struct line line = lingering_line(loop);
    write_all(loop, line.id, bytes, 65536);
    expect_no_event(loop);
    size_t pending = pending_of(loop, line.id);
    pass_time(BUSY);
    int64_t begun = monotonic_ns();
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_timeout(loop, line.id, begun, pending);
}

/* One that takes a little all the time may take as long as it likes. */
static void lingering_counts_from_the_last_progress(void) {
    sluice_loop *loop = timed_loop();
    struct line line = lingering_line(loop);
    write_all(loop, line.id, bytes, (size_t)512 * 1024);
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop);
    static unsigned char taken[16384];
    int64_t begun = monotonic_ns();
    for (int i = 0; i < 20; i++) {
        size_t before = pending_of(loop, line.id);
        expect_quiet(loop, LIMIT * 2 / 3);
        begun = monotonic_ns();
        for (size_t got = 0; got < sizeof taken / 2;) {
            size_t count = take_some(line.peer, taken, sizeof taken);
            got += count;
            expect_no_event(loop);
        }
        assert_true(pending_of(loop, line.id) < before);
    }
    expect_timeout(loop, line.id, begun, pending_of(loop, line.id));
}

/* The peer has made room in time, and one looks late. */
static void room_in_time_and_seen_late(void) {
    sluice_loop *loop = timed_loop();
    struct line line = lingering_line(loop);
    size_t written = 0;
    for (; sluice_pending(loop, line.id) == 0; written += 500) {
        make_pattern(bytes, written, 500);
        write_all(loop, line.id, bytes, 500);
        assert_int_equal(sluice_flush(loop, line.id), 0);
    }
    assert_int_equal(sluice_close(loop, line.id), 0);
    expect_no_event(loop);
    static unsigned char taken[65536];
    size_t got = take_some(line.peer, taken, sizeof taken);
    check_pattern(taken, 0, got);
    pass_time(BUSY);
    struct story story = new_story();
    hear_out(loop, line.id, &story, 1);
    assert_int_equal(story.error, 0);
    assert_int_equal(story.unsent, 0);
    for (size_t count = 1; count > 0; got += count) {
        count = take_some(line.peer, taken, sizeof taken);
        check_pattern(taken, got, count);
    }
    assert_int_equal(got, written);
}

/* All was sent, and the peer has ended in time. */
static void the_peer_s_end_in_time_and_seen_late(void) {
    sluice_loop *loop = timed_loop();
    for (int over_tcp = 0; over_tcp < 2; over_tcp++) {
        sluice_stream_options options = stream_options(0);
        options.linger_ns = LIMIT;
        struct line line = line_of(loop, over_tcp ? tcp_pair() : unix_pair(), &options);
        write_all(loop, line.id, "goodbye", 7);
        assert_int_equal(sluice_close(loop, line.id), 0);
        expect_no_event(loop);
        await_bytes(line.peer, 7);
        take_text(line.peer, "goodbye");
        drop(line.peer);
        await_end(sluice_fd(loop, line.id));
        pass_time(BUSY);
        expect_closed(loop, line.id, 0, 0);
    }
}

/* ---- The clock ------------------------------------------------------------------------------- */

static void the_clock_is_read_when_asked_for(void) {
    sluice_loop *loop = timed_loop();
    int64_t stale = sluice_now(loop);
    pass_time(BUSY);
    assert_int_equal(sluice_now(loop), stale);
    int64_t now = sluice_update_now(loop);
    assert_int_equal(now, monotonic_ns());
    assert_int_equal(sluice_now(loop), now);
    assert_true(now >= stale + BUSY);
    /* A timer counts from it. */
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, LIMIT, 0, 0), 0);
    expect_event_of(loop, SLUICE_TIMER, timer);
    assert_in_range(monotonic_ns() - now, LIMIT, LIMIT + LATE);
    assert_int_equal(sluice_update_now(NULL) > 0, false);
}

/* Timers that were due before stay in order of deadline. */
static void reading_the_clock_keeps_the_order_of_timers(void) {
    sluice_loop *loop = timed_loop();
    sluice_id timers[3];
    assert_int_equal(sluice_timer(loop, &timers[1], BUSY / 2, 0, 0), 0);
    assert_int_equal(sluice_timer(loop, &timers[0], BUSY / 4, 0, 0), 0);
    pass_time(BUSY);
    (void)sluice_update_now(loop);
    assert_int_equal(sluice_timer(loop, &timers[2], 0, 0, 0), 0);
    for (size_t i = 0; i < COUNT_OF(timers); i++)
        expect_event_of(loop, SLUICE_TIMER, timers[i]);
    expect_no_event(loop);
}

static sluice_loop *other_loop;

static void *read_its_clock(void *result) {
    *(int64_t *)result = sluice_update_now(other_loop);
    return NULL;
}

static void another_thread_does_not_move_the_clock(void) {
    other_loop = timed_loop();
    int64_t before = sluice_now(other_loop);
    int64_t read_there = 1;
    pass_time(BUSY);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_its_clock, &read_there), 0);
    pthread_join(thread, NULL);
    assert_true(read_there <= 0);
    assert_int_equal(sluice_now(other_loop), before);
}

/* Nobody can ask whether bytes came in time, and that is no answer. libevent's poll reports such a
 * number as readable, and a receive then finds it closed. */
static void a_descriptor_closed_from_outside(void) {
    sluice_loop *loop = timed_loop();
    struct line line = idle_line(loop, unix_pair());
    int64_t begun = monotonic_ns();
    expect_no_event(loop);
    assert_int_equal(close(sluice_fd(loop, line.id)), 0);
    sluice_event event = expect_event_of(loop, SLUICE_CLOSED, line.id);
    if (event.error != SLUICE_EBADF) {
        assert_int_equal(event.error, -ETIMEDOUT);
        assert_in_range(monotonic_ns() - begun, LIMIT, LIMIT + LATE);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"a descriptor closed from outside: the limit holds", a_descriptor_closed_from_outside,
         NULL},
        {"the time to connect counts from the call", time_to_connect_counts_from_the_call, NULL},
        {"a connect that nobody answers: not early, not never", a_connect_that_nobody_answers,
         NULL},
        {"connected in time, and seen late: CONNECTED", connected_in_time_and_seen_late, NULL},
        {"refused in time, and seen late: -ECONNREFUSED", refused_in_time_and_seen_late, NULL},
        {"the time to idle counts from the call", time_to_idle_counts_from_the_call, NULL},
        {"a silent peer: not early, not never", a_silent_peer, NULL},
        {"idling of accepted streams counts from the accept",
         idling_of_accepted_streams_counts_from_the_accept, NULL},
        {"idling of connected streams counts from the connect",
         idling_of_connected_streams_counts_from_the_connect, NULL},
        {"bytes in time, and seen late: DATA", bytes_in_time_and_seen_late, NULL},
        {"of many the silent one ends alone", of_many_the_silent_one_ends_alone, NULL},
        {"an end in time, and seen late: EOF, -ECONNRESET", an_end_in_time_and_seen_late, NULL},
        {"a flush after work postpones the idle limit", a_flush_after_work_postpones_the_idle_limit,
         NULL},
        {"an echo postpones the idle limit", an_echo_postpones_the_idle_limit, NULL},
        {"no idling while paused", no_idling_while_paused, NULL},
        {"idling begins anew at each resume", idling_begins_anew_at_each_resume, NULL},
        {"no idling while throttled", no_idling_while_throttled, NULL},
        {"no idling while a forward holds back", no_idling_while_held_back, NULL},
        {"no idling beside a slow reader", no_idling_beside_a_slow_reader, NULL},
        {"lingering counts from the close", lingering_counts_from_the_close, NULL},
        {"lingering counts from the last progress", lingering_counts_from_the_last_progress, NULL},
        {"room in time, and seen late: all is sent", room_in_time_and_seen_late, NULL},
        {"the peer's end in time, and seen late: no error", the_peer_s_end_in_time_and_seen_late,
         NULL},
        {"sluice_update_now reads the clock", the_clock_is_read_when_asked_for, NULL},
        {"sluice_update_now keeps the order of timers", reading_the_clock_keeps_the_order_of_timers,
         NULL},
        {"sluice_update_now from another thread changes nothing",
         another_thread_does_not_move_the_clock, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

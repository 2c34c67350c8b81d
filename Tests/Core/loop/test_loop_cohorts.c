/* test_loop_cohorts.c - options that many streams have in common: they are stored once, for as long
 * as one of the streams lives. */
#include "loops.h"

#include <errno.h>
#include <unistd.h>

#include "loop/loop.h"

enum { PAIRS = 500, MARK = 1000 };

static sluice_id adopt(sluice_loop *loop, int fd, const sluice_stream_options *options) {
    sluice_id id;
    assert_int_equal(sluice_adopt(loop, &id, fd, options), 0);
    release(fd);
    return id;
}

/* What 1,000 streams take of a loop's memory. */
static size_t memory_of(const sluice_stream_options *near, const sluice_stream_options *far) {
    sluice_loop *loop = make_loop();
    const size_t before = loop_memory(loop);
    for (int i = 0; i < PAIRS; i++) {
        struct pair pair = unix_pair();
        adopt(loop, pair.near, near);
        adopt(loop, pair.far, far);
    }
    const size_t memory = loop_memory(loop) - before;
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 2 * PAIRS);
    end_loop(loop);
    return memory;
}

static void the_same_options_are_kept_once(void) {
    const sluice_stream_options own = {.size = sizeof own, .high_mark = MARK};
    const size_t without = memory_of(NULL, NULL);
    /* A few may be made room for at once. */
    const size_t room = without + 8 * sizeof(struct sluice_cohort);
    assert_in_range(memory_of(&own, &own), without, room);
    assert_in_range(memory_of(&own, NULL), without, room);
}

static void options_go_with_their_last_stream(void) {
    sluice_loop *loop = make_loop();
    size_t memory = 0;
    for (size_t i = 0; i < (size_t)2 * PAIRS; i++) {
        sluice_stream_options options = stream_options(0);
        options.high_mark = MARK + i;
        struct line line = line_of(loop, unix_pair(), &options);
        assert_int_equal(sluice_abort(loop, line.id), 0);
        expect_closed(loop, line.id, -ECONNABORTED, 0);
        drop(line.peer);
        if (i == 10)
            memory = loop_memory(loop);
    }
    assert_int_equal(loop_memory(loop), memory);
}

/* ---- Of a listener that has been closed ------------------------------------------------------ */

struct caller {
    sluice_id id;
    int peer;
};

static struct caller call(sluice_loop *loop, const char *address) {
    struct caller caller = {.peer = dial(address)};
    caller.id = expect_event(loop, SLUICE_ACCEPTED).id;
    return caller;
}

static sluice_id listen_again(sluice_loop *loop, sluice_id listener,
                              const sluice_listen_options *options, char *address) {
    assert_int_equal(sluice_close(loop, listener), 0);
    sluice_id next = make_listener(loop, options, address);
    assert_int_equal(sluice_id_index(next), sluice_id_index(listener));
    return next;
}

/* More than `MARK`, which the peer does not read: whether that is over the stream's mark. */
static int write_more(sluice_loop *loop, sluice_id id) {
    static const unsigned char bytes[MARK + 1];
    return sluice_write(loop, id, bytes, sizeof bytes);
}

static void streams_outlive_their_listener(void) {
    make_up_time();
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_stream_options streams = stream_options(0);
    sluice_listen_options options = listen_options();
    options.streams = &streams;
    streams.idle_timeout_ns = 5000 * NS_PER_MS;
    streams.high_mark = MARK;
    sluice_id listener = make_listener(loop, &options, address);
    assert_int_equal(sluice_set_user(loop, listener, 42), 0);
    struct caller old = call(loop, address);
    listener = listen_again(loop, listener, NULL, address);
    assert_int_equal(sluice_set_user(loop, listener, 7), 0);
    struct caller new = call(loop, address);

    put_text(old.peer, "question");
    put_text(new.peer, "question");
    for (int i = 0; i < 2; i++) {
        sluice_event event = expect_event(loop, SLUICE_DATA);
        assert_int_equal(event.user, event.id == old.id ? 42 : 7);
    }
    assert_int_equal(write_more(loop, new.id), 0);
    assert_int_equal(write_more(loop, old.id), 1);
    assert_int_equal(expect_event_of(loop, SLUICE_DRAINED, old.id).user, 42);
    const int64_t begin = sluice_update_now(loop);
    expect_closed(loop, old.id, -ETIMEDOUT, 0);
    assert_in_range(sluice_now(loop) - begin, 5000 * NS_PER_MS, 5001 * NS_PER_MS);
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 60000 * NS_PER_MS), 0);
    put_text(new.peer, "still here");
    expect_text(loop, new.id, "still here");
}

/* The old one is full when it is closed, and its connections go on. */
static void connections_count_for_their_own_listener(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.connection_limit = 2;
    sluice_id listener = make_listener(loop, &options, address);
    struct caller old[2] = {call(loop, address), call(loop, address)};
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    listener = listen_again(loop, listener, &options, address);
    struct caller new[2] = {call(loop, address), call(loop, address)};
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    dial(address);
    for (size_t i = 0; i < COUNT_OF(old); i++) {
        assert_int_equal(sluice_abort(loop, old[i].id), 0);
        expect_closed(loop, old[i].id, -ECONNABORTED, 0);
    }
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, new[0].id), 0);
    expect_closed(loop, new[0].id, -ECONNABORTED, 0);
    assert_int_equal(expect_event(loop, SLUICE_ACCEPTED).value, listener);
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    put_text(new[1].peer, "still here");
    expect_text(loop, new[1].id, "still here");
}

/* The listener had stopped, and another handle has its number now. The end does not affect that
 * handle. */
static void no_listener_goes_on_that_is_closed(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.connection_limit = 2;
    sluice_id listener = make_listener(loop, &options, address);
    struct caller old[2] = {call(loop, address), call(loop, address)};
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    const int number = sluice_fd(loop, listener);
    assert_int_equal(sluice_close(loop, listener), 0);
    while (lowest_number() < number)
        keep(dup(STDIN_FILENO));
    struct line line = unix_line(loop);
    assert_int_equal(sluice_fd(loop, line.id), number);
    for (size_t i = 0; i < COUNT_OF(old); i++) {
        assert_int_equal(sluice_abort(loop, old[i].id), 0);
        expect_closed(loop, old[i].id, -ECONNABORTED, 0);
        put_text(line.peer, "still here");
        expect_text(loop, line.id, "still here");
    }
}

int main(void) {
    static const struct test tests[] = {
        {"1,000 streams with the same options: no more memory", the_same_options_are_kept_once,
         NULL},
        {"options go with their last stream", options_go_with_their_last_stream, NULL},
        {"streams outlive their listener, with its options", streams_outlive_their_listener, NULL},
        {"connections of a closed listener are no burden of the next",
         connections_count_for_their_own_listener, NULL},
        {"an end of a closed listener's stream bothers nobody", no_listener_goes_on_that_is_closed,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

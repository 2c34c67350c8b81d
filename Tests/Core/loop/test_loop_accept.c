/* test_loop_accept.c - listeners: accepting, limits, running out of descriptors, and addresses. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static void accepts_and_says_for_whom(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener = make_listener(loop, NULL, address);
    assert_int_equal(sluice_set_user(loop, listener, 42), 0);
    int peer = dial(address);
    sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
    assert_int_equal(event.value, listener);
    assert_int_equal(event.user, 42);
    assert_int_equal(sluice_kind_of(loop, event.id), SLUICE_KIND_STREAM);
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_local_address(loop, event.id, text, sizeof text) > 0);
    assert_string_equal(text, address);
    char far[SLUICE_ADDRESS_MAX];
    assert_true(sluice_peer_address(loop, event.id, text, sizeof text) > 0);
    assert_true(sluice_socket_local_address(peer, far, sizeof far) > 0);
    assert_string_equal(text, far);
    assert_int_equal(sluice_set_user(loop, event.id, 7), 0);
    put_text(peer, "hello");
    assert_int_equal(expect_event_of(loop, SLUICE_DATA, event.id).user, 7);
    drop(peer);
    assert_int_equal(expect_event_of(loop, SLUICE_EOF, event.id).user, 7);
    assert_int_equal(expect_event_of(loop, SLUICE_CLOSED, event.id).user, 7);
}

static void accepts_all_that_wait(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.accept_batch = 8;
    make_listener(loop, &options, address);
    for (int i = 0; i < 100; i++)
        dial(address);
    for (int i = 0; i < 100; i++)
        expect_event(loop, SLUICE_ACCEPTED);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 100);
}

static void accepting_leaves_room_for_others(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.accept_batch = 4;
    make_listener(loop, &options, address);
    struct line line = unix_line(loop);
    for (int i = 0; i < 60; i++)
        dial(address);
    for (int i = 0; i < 20; i++)
        expect_event(loop, SLUICE_ACCEPTED);
    put_text(line.peer, "me too");
    for (int i = 0; i < 2 * 4 + 1; i++)
        if (next_event(loop).kind == SLUICE_DATA)
            return;
    fail_msg("the stream had to wait");
}

static void closed_listener_gives_no_event(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener = make_listener(loop, NULL, address);
    for (int i = 0; i < 10; i++)
        dial(address);
    sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
    assert_int_equal(sluice_close(loop, listener), 0);
    assert_int_equal(sluice_kind_of(loop, listener), SLUICE_ESTALE);
    expect_no_event(loop);
    assert_int_equal(sluice_write(loop, event.id, "still here", 10), 0);
    int late = dial(address);
    await(late, POLLOUT);
    assert_int_equal(sluice_socket_error(late), -ECONNREFUSED);
}

/* ---- Limits --------------------------------------------------------------------------------- */

static void connection_limit(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.connection_limit = 2;
    sluice_id listener = make_listener(loop, &options, address);
    int peers[5];
    for (size_t i = 0; i < COUNT_OF(peers); i++)
        peers[i] = dial(address);
    sluice_id first = expect_event(loop, SLUICE_ACCEPTED).id;
    sluice_id second = expect_event(loop, SLUICE_ACCEPTED).id;
    sluice_event event = expect_event_of(loop, SLUICE_OVERLOADED, listener);
    assert_int_equal(event.error, SLUICE_EFULL);
    uint64_t turns = stats_of(loop).turns;
    assert_int_equal(sluice_next(loop, &event, 150 * NS_PER_MS), 0);
    assert_true(stats_of(loop).turns - turns <= 3);
    /* The others wait in the kernel, and what they sent meanwhile with them. */
    put_text(peers[2], "third");
    assert_int_equal(sluice_abort(loop, first), 0);
    expect_closed(loop, first, -ECONNABORTED, 0);
    sluice_id third = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    expect_text(loop, third, "third");
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, second), 0);
    expect_closed(loop, second, -ECONNABORTED, 0);
    expect_event(loop, SLUICE_ACCEPTED);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 2);
}

/* Streams of a listener that is closed are no burden of the one that takes its place. */
static void connection_limit_counts_its_own(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener = make_listener(loop, NULL, address);
    sluice_id old[3];
    for (size_t i = 0; i < COUNT_OF(old); i++) {
        dial(address);
        old[i] = expect_event(loop, SLUICE_ACCEPTED).id;
    }
    assert_int_equal(sluice_abort(loop, old[0]), 0);
    assert_int_equal(sluice_close(loop, listener), 0);
    sluice_listen_options options = listen_options();
    options.connection_limit = 1;
    listener = make_listener(loop, &options, address);
    expect_closed(loop, old[0], -ECONNABORTED, 0);
    dial(address);
    sluice_id only = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    for (size_t i = 1; i < COUNT_OF(old); i++) {
        assert_int_equal(sluice_abort(loop, old[i]), 0);
        expect_closed(loop, old[i], -ECONNABORTED, 0);
    }
    dial(address);
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, only), 0);
    expect_closed(loop, only, -ECONNABORTED, 0);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_event(loop, SLUICE_OVERLOADED);
}

/* Nobody of these is turned away, for longer than it takes to try again, and nothing spins. */
static void expect_all_to_wait(sluice_loop *loop, const int *peers, size_t count) {
    int64_t end = monotonic_ns() + 250 * NS_PER_MS;
    uint64_t turns = stats_of(loop).turns;
    sluice_event event;
    while (monotonic_ns() < end)
        if (sluice_next(loop, &event, 50 * NS_PER_MS) == 1)
            assert_int_equal(event.kind, SLUICE_OVERLOADED);
    assert_true(stats_of(loop).turns - turns <= 20);
    for (size_t i = 0; i < count; i++) {
        struct pollfd entry = {.fd = peers[i], .events = POLLIN | POLLRDHUP};
        if (poll(&entry, 1, 0) != 0)
            fail_msg("caller %zu of %zu is turned away", i, count);
    }
}

/* Whoever finds no handle free waits as whoever finds the listener at its limit. */
static void handle_limit(void) {
    enum { CALLERS = 6, LIMIT = 2 };
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = LIMIT});
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    int peers[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        peers[i] = dial(address);
        await(peers[i], POLLOUT);
    }
    sluice_id ids[LIMIT];
    for (size_t i = 0; i < LIMIT; i++)
        ids[i] = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_all_to_wait(loop, peers + LIMIT, CALLERS - LIMIT);
    /* Each comes in its turn, as the one that is served ends. */
    for (size_t i = 0; i < CALLERS; i++) {
        put_text(peers[i], "hello");
        sluice_id id = ids[i % LIMIT];
        sluice_event event = next_event(loop);
        while (event.kind == SLUICE_OVERLOADED)
            event = next_event(loop);
        assert_int_equal(event.kind, SLUICE_DATA);
        assert_int_equal(event.id, id);
        drop(peers[i]);
        bool closed = false;
        bool accepted = i + LIMIT >= CALLERS;
        while (!closed || !accepted) {
            event = next_event(loop);
            closed |= event.kind == SLUICE_CLOSED;
            if (event.kind == SLUICE_ACCEPTED) {
                ids[i % LIMIT] = event.id;
                accepted = true;
            }
        }
    }
    assert_int_equal(stats_of(loop).events[SLUICE_ACCEPTED], CALLERS);
}

static void out_of_descriptors(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener = make_listener(loop, NULL, address);
    int first = dial(address);
    int second = dial(address);
    int spare = keep(dup(0));
    use_up_descriptors();
    sluice_event event = expect_event_of(loop, SLUICE_OVERLOADED, listener);
    assert_int_equal(event.error, -EMFILE);
    expect_end(first); /* turned away, not left waiting */
    /* Nothing spins, and there is one more word at most for each time that it is tried again. */
    uint64_t turns = stats_of(loop).turns;
    int64_t end = monotonic_ns() + 350 * NS_PER_MS;
    int words = 0;
    while (monotonic_ns() < end)
        words += sluice_next(loop, &event, 50 * NS_PER_MS);
    assert_in_range(words, 1, 5);
    assert_true(stats_of(loop).turns - turns <= 30);
    expect_end(second);
    drop(spare);
    /* The listener is as good as before. */
    free_descriptors();
    dial(address);
    do
        event = next_event(loop);
    while (event.kind == SLUICE_OVERLOADED);
    assert_int_equal(event.kind, SLUICE_ACCEPTED);
}

/* A stream that ends frees a number, and accepting goes on at once. */
static void out_of_descriptors_until_a_stream_ends(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    dial(address);
    sluice_id id = expect_event(loop, SLUICE_ACCEPTED).id;
    dial(address);
    int waiting = dial(address);
    use_up_descriptors();
    expect_event(loop, SLUICE_OVERLOADED);
    assert_int_equal(sluice_abort(loop, id), 0);
    expect_closed(loop, id, -ECONNABORTED, 0);
    id = expect_event(loop, SLUICE_ACCEPTED).id;
    put_text(waiting, "hello");
    sluice_event event;
    do
        event = next_event(loop); /* there is no number for another, which may be said */
    while (event.kind == SLUICE_OVERLOADED);
    assert_int_equal(event.kind, SLUICE_DATA);
    assert_int_equal(event.id, id);
}

/* After one that was accepted the loop asks for a second in the same turn. */
static void last_descriptor_and_nobody_waiting(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    dial(address);
    expect_event(loop, SLUICE_ACCEPTED);
    dial(address);
    int last = keep(dup(0));
    use_up_descriptors();
    drop(last);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_no_event(loop);
}

int main(void) {
    static const struct test tests[] = {
        {"ACCEPTED: of which listener, with whose user word", accepts_and_says_for_whom, NULL},
        {"all that wait are accepted", accepts_all_that_wait, NULL},
        {"accepting leaves room for others", accepting_leaves_room_for_others, NULL},
        {"a closed listener gives no event", closed_listener_gives_no_event, NULL},
        {"connection_limit: callers wait, OVERLOADED, resume", connection_limit, NULL},
        {"handle_limit: callers wait, and are served as streams end", handle_limit, NULL},
        {"connection_limit counts a listener's own", connection_limit_counts_its_own, NULL},
        {"EMFILE: turned away, OVERLOADED, no spinning, resume", out_of_descriptors, NULL},
        {"EMFILE: resumes at once when a stream has ended", out_of_descriptors_until_a_stream_ends,
         NULL},
        {"EMFILE: no word where nobody is turned away", last_descriptor_and_nobody_waiting, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

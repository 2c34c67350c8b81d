/* test_loop_numbers.c - a descriptor is closed while it is watched, and its number comes back for a
 * connection of the loop's own: that is the connection's. The watch is silent from then on, and
 * what is done with it does the connection no harm. */
#include "loops.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* A watch of a number that has been closed since, and is the next that the kernel gives. */
struct stale {
    sluice_id watch;
    int number;
    int other; /* the other end of the pipe, or -1 */
};

/* The lowest number that is free. */
static int lowest_number(void) {
    int lowest = dup(STDIN_FILENO);
    assert_true(lowest >= 0);
    assert_int_equal(close(lowest), 0);
    return lowest;
}

/* A pipe's reading end that is watched; in a duplicate its file lives on, or does not. */
static struct stale watch_one(sluice_loop *loop, uint32_t interest, bool lives_on) {
    struct pair pipe = pipe_pair();
    struct stale stale = {.number = pipe.near, .other = pipe.far};
    assert_int_equal(sluice_watch(loop, &stale.watch, pipe.near, interest, 0), 0);
    expect_no_event(loop);
    if (lives_on)
        duplicate(pipe.near, 100);
    return stale;
}

/* From here on the next number that the kernel gives is this one. Whoever calls has to be there
 * before, since a caller takes a number too. */
static void close_number(int number) {
    while (lowest_number() < number)
        keep(dup(STDIN_FILENO));
    drop(number);
    assert_int_equal(lowest_number(), number);
}

/* The next connection. libevent may tell of the closed number before it has come back. */
static sluice_id expect_accepted(sluice_loop *loop, sluice_id watch) {
    sluice_event event = next_event(loop);
    while (over_libevent() && event.kind == SLUICE_READY && event.id == watch)
        event = next_event(loop);
    assert_int_equal(event.kind, SLUICE_ACCEPTED);
    return event.id;
}

static void expect_silent(sluice_loop *loop, struct stale stale) {
    assert_int_equal(sluice_kind_of(loop, stale.watch), SLUICE_KIND_WATCH);
    put_byte(stale.other);
    expect_no_event(loop);
}

/* The stream has the number, and works as any. */
static void expect_working(sluice_loop *loop, sluice_id id, int peer) {
    for (int i = 0; i < 3; i++) {
        put_text(peer, "question");
        expect_text(loop, id, "question");
        write_all(loop, id, "answer", 6);
        expect_no_event(loop);
        take_text(peer, "answer");
    }
    assert_true(fcntl(sluice_fd(loop, id), F_GETFD) >= 0);
}

static void accept_beside(bool lives_on, uint32_t interest) {
    enum { CALLERS = 3 };
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    struct stale stale = watch_one(loop, SLUICE_READ | interest, lives_on);
    int peers[CALLERS];
    for (size_t i = 0; i < CALLERS; i++)
        peers[i] = dial(address);
    close_number(stale.number);
    sluice_id ids[CALLERS] = {0};
    for (size_t i = 0; i < CALLERS; i++)
        ids[i] = expect_accepted(loop, stale.watch);
    expect_no_event(loop);
    assert_int_equal(sluice_fd(loop, ids[0]), stale.number);
    for (size_t i = 0; i < CALLERS; i++)
        expect_working(loop, ids[i], peers[i]);
    if (lives_on)
        expect_silent(loop, stale);
    assert_int_equal(sluice_rewatch(loop, stale.watch, SLUICE_READ), SLUICE_EBADF);
    expect_working(loop, ids[0], peers[0]);
    assert_int_equal(sluice_close(loop, stale.watch), 0);
    assert_int_equal(sluice_kind_of(loop, stale.watch), SLUICE_ESTALE);
    expect_working(loop, ids[0], peers[0]);
    drop(peers[0]);
    expect_event_of(loop, SLUICE_EOF, ids[0]);
    expect_closed(loop, ids[0], 0, 0);
}

static void accept_gives_a_watched_number(void) {
    accept_beside(false, 0);
}

static void accept_gives_the_number_of_a_file_that_lives_on(void) {
    accept_beside(true, 0);
}

static void accept_gives_a_number_watched_once(void) {
    accept_beside(false, SLUICE_ONE_SHOT);
    accept_beside(true, SLUICE_ONE_SHOT);
}

/* The accept comes within the same turn as the watch's own event. */
static void accept_gives_a_number_that_was_ready(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    struct pair pipe = pipe_pair();
    sluice_id watch;
    assert_int_equal(sluice_watch(loop, &watch, pipe.near, SLUICE_READ, 0), 0);
    put_byte(pipe.far);
    expect_event_of(loop, SLUICE_READY, watch);
    int number = pipe.near;
    int peer = dial(address);
    close_number(number);
    sluice_id id = expect_accepted(loop, watch);
    assert_int_equal(sluice_fd(loop, id), number);
    expect_working(loop, id, peer);
    assert_int_equal(sluice_close(loop, watch), 0);
    expect_working(loop, id, peer);
}

/* The connection ends before the old watch does, and the number comes back once more. */
static void the_number_comes_back_twice(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    struct stale stale = watch_one(loop, SLUICE_READ, false);
    int first = dial(address);
    int second = dial(address);
    close_number(stale.number);
    sluice_id ids[2];
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        ids[i] = expect_accepted(loop, stale.watch);
    assert_int_equal(sluice_fd(loop, ids[0]), stale.number);
    drop(first);
    expect_event_of(loop, SLUICE_EOF, ids[0]);
    expect_closed(loop, ids[0], 0, 0);
    assert_int_equal(sluice_kind_of(loop, stale.watch), SLUICE_KIND_WATCH);
    while (lowest_number() <= stale.number)
        keep(dup(STDIN_FILENO));
    first = dial(address);
    close_number(stale.number);
    sluice_id again = expect_event(loop, SLUICE_ACCEPTED).id;
    assert_int_equal(sluice_fd(loop, again), stale.number);
    expect_working(loop, again, first);
    expect_working(loop, ids[1], second);
    assert_int_equal(sluice_close(loop, stale.watch), 0);
    expect_working(loop, again, first);
    expect_working(loop, ids[1], second);
}

/* The old watch is ended first, as it should be: the number is as good as any. */
static void a_watch_that_was_ended_is_no_hindrance(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    struct stale stale = watch_one(loop, SLUICE_READ, true);
    int peer = dial(address);
    close_number(stale.number);
    assert_int_equal(sluice_close(loop, stale.watch), 0);
    while (lowest_number() < stale.number)
        keep(dup(STDIN_FILENO));
    sluice_id id = expect_event(loop, SLUICE_ACCEPTED).id;
    if (!over_libevent()) /* which may free a number of its own meanwhile */
        assert_int_equal(sluice_fd(loop, id), stale.number);
    expect_working(loop, id, peer);
    put_byte(stale.other);
    expect_no_event(loop);
}

/* A connect and a listener of the loop's own get such a number, too. */
static void connect_gives_a_watched_number(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    for (int lives_on = 0; lives_on < 2; lives_on++) {
        struct stale stale = watch_one(loop, SLUICE_READ, lives_on);
        close_number(stale.number);
        sluice_id id;
        assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
        assert_int_equal(sluice_fd(loop, id), stale.number);
        expect_event_of(loop, SLUICE_CONNECTED, id);
        await(listener, POLLIN);
        int peer = keep(sluice_socket_accept(listener));
        expect_working(loop, id, peer);
        assert_int_equal(sluice_close(loop, stale.watch), 0);
        expect_working(loop, id, peer);
    }
}

static void listen_gives_a_watched_number(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    struct stale stale = watch_one(loop, SLUICE_READ, false);
    close_number(stale.number);
    sluice_id listener = make_listener(loop, NULL, address);
    assert_int_equal(sluice_fd(loop, listener), stale.number);
    for (int i = 0; i < 2; i++) {
        int peer = dial(address);
        sluice_id id = expect_event(loop, SLUICE_ACCEPTED).id;
        expect_working(loop, id, peer);
        if (i == 0)
            assert_int_equal(sluice_close(loop, stale.watch), 0);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"accept gives a watched number: the connection's", accept_gives_a_watched_number, NULL},
        {"the same while the watched file lives on",
         accept_gives_the_number_of_a_file_that_lives_on, NULL},
        {"the same of a one-shot watch", accept_gives_a_number_watched_once, NULL},
        {"the same in the turn in which the watch was ready", accept_gives_a_number_that_was_ready,
         NULL},
        {"the number comes back twice", the_number_comes_back_twice, NULL},
        {"a watch that was ended is no hindrance", a_watch_that_was_ended_is_no_hindrance, NULL},
        {"connect gives a watched number: the connection's", connect_gives_a_watched_number, NULL},
        {"listen gives a watched number: the listener's", listen_gives_a_watched_number, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

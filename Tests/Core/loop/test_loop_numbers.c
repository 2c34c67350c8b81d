/* test_loop_numbers.c - a descriptor is closed while it is watched, and a connection of the loop
 * gets its number: the number belongs to the connection. The watch is silent from then on, and
 * calls on the watch do not harm the connection. The same is tested for a listener and for a stream
 * whose descriptor somebody has closed. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

/* A watch of a number that has been closed since. It is the next number that the kernel gives. */
struct stale {
    sluice_id watch;
    int number;
    int other; /* the other end of the pipe, or -1 */
};

/* The reading end of a pipe, watched. Its file lives on in a duplicate, or does not. */
static struct stale watch_one(sluice_loop *loop, uint32_t interest, bool lives_on) {
    struct pair pipe = pipe_pair();
    struct stale stale = {.number = pipe.near, .other = pipe.far};
    assert_int_equal(sluice_watch(loop, &stale.watch, pipe.near, interest, 0), 0);
    expect_no_event(loop);
    if (lives_on)
        duplicate(pipe.near, 100);
    return stale;
}

static void close_watched(int number) {
    release(number);
    close_number(number);
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
    close_watched(stale.number);
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
    close_watched(number);
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
    close_watched(stale.number);
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
    close_watched(stale.number);
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
    close_watched(stale.number);
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

/* A connect and a listener of the loop also get such a number. */
static void connect_gives_a_watched_number(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    for (int lives_on = 0; lives_on < 2; lives_on++) {
        struct stale stale = watch_one(loop, SLUICE_READ, lives_on);
        close_watched(stale.number);
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
    close_watched(stale.number);
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

/* ---- A listener's number --------------------------------------------------------------------- */

/* How a listener has stopped accepting. */
enum stop { AT_ITS_LIMIT, OUT_OF_DESCRIPTORS, STOPS };

/* A listener that has stopped, and the caller of the one stream that it has. */
struct stopped {
    sluice_id listener;
    sluice_id stream;
    int peer;
};

static struct stopped make_stopped(sluice_loop *loop, enum stop how) {
    struct stopped stopped;
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.connection_limit = how == AT_ITS_LIMIT ? 1 : 0;
    stopped.listener = make_listener(loop, &options, address);
    stopped.peer = dial(address);
    stopped.stream = expect_event(loop, SLUICE_ACCEPTED).id;
    if (how == OUT_OF_DESCRIPTORS) {
        await(dial(address), POLLOUT);
        fail_accepts(EMFILE, 1);
    }
    sluice_event event = expect_event_of(loop, SLUICE_OVERLOADED, stopped.listener);
    assert_int_equal(event.error, how == AT_ITS_LIMIT ? SLUICE_EFULL : -EMFILE);
    return stopped;
}

/* Somebody closes the handle's descriptor, and the next connect gets its number. Returns it, and
 * its peer. */
static struct line connect_in_place_of(sluice_loop *loop, sluice_id id) {
    struct line line;
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    int number = sluice_fd(loop, id);
    while (lowest_number() < number)
        keep(dup(STDIN_FILENO));
    assert_int_equal(close(number), 0);
    assert_int_equal(sluice_connect(loop, &line.id, address, NULL), 0);
    assert_int_equal(sluice_fd(loop, line.id), number);
    await(listener, POLLIN);
    line.peer = keep(sluice_socket_accept(listener));
    return line;
}

/* The next event but a word that there are no descriptors still. */
static sluice_event next_but_overloaded(sluice_loop *loop) {
    sluice_event event;
    do
        event = next_event(loop);
    while (event.kind == SLUICE_OVERLOADED);
    return event;
}

/* It should go on, and cannot. No harm is done, and another that waits behind it goes on. */
static void a_stopped_listener_s_number_comes_back(void) {
    for (int how = 0; how < 2 * STOPS; how++) {
        sluice_loop *loop = how < STOPS ? make_loop() : make_plain_loop();
        struct stopped lost = make_stopped(loop, (enum stop)(how % STOPS));
        char address[SLUICE_ADDRESS_MAX];
        make_listener(loop, NULL, address);
        await(dial(address), POLLOUT);
        fail_accepts(EMFILE, 1);
        expect_event(loop, SLUICE_OVERLOADED);
        struct line line = connect_in_place_of(loop, lost.listener);
        expect_event_of(loop, SLUICE_CONNECTED, line.id);
        drop(lost.peer);
        expect_event_of(loop, SLUICE_EOF, lost.stream);
        expect_closed(loop, lost.stream, 0, 0);
        expect_working(loop, line.id, line.peer);
        for (int i = 0; i < 2; i++) {
            int peer = dial(address);
            sluice_event event = next_but_overloaded(loop);
            assert_int_equal(event.kind, SLUICE_ACCEPTED);
            expect_working(loop, event.id, peer);
        }
        uint64_t turns = stats_of(loop).turns;
        sluice_event event;
        assert_int_equal(sluice_next(loop, &event, 250 * NS_PER_MS), 0);
        assert_true(stats_of(loop).turns - turns <= 10);
        assert_int_equal(sluice_close(loop, lost.listener), 0);
        assert_int_equal(sluice_kind_of(loop, lost.listener), SLUICE_ESTALE);
        expect_working(loop, line.id, line.peer);
    }
}

/* ---- A stream's number ----------------------------------------------------------------------- */

static int zeros(void) {
    return keep(open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static int silent(void) {
    return pipe_pair().near;
}

static bool is_same_file(int fd, int other) {
    struct stat one;
    struct stat two;
    return fstat(fd, &one) == 0 && fstat(other, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

/* epoll knows the file, and not only the number. */
static bool epoll_waits(void) {
    return backend_is("epoll") || backend_is("libevent:epoll");
}

/* Its limit ends it, or what the loop finds there, and only once. poll and select look at the
 * number, and take what can be read there for the stream's. So they are left out. */
static void an_idle_limit_holds_for_a_stream_whose_number_is_another_s(void) {
    int (*const files[])(void) = {silent, readable, regular_file, zeros};
    for (size_t i = 0; i < (epoll_waits() ? 4 : 1); i++)
        for (int how = 0; how < 4; how++) {
            sluice_loop *loop = make_loop();
            sluice_stream_options options = stream_options(0);
            options.idle_timeout_ns = 30 * NS_PER_MS;
            struct line line = line_of(loop, how & 1 ? tcp_pair() : unix_pair(), &options);
            if (how & 2)
                expect_no_event(loop);
            int number = sluice_fd(loop, line.id);
            int file = files[i]();
            assert_int_equal(dup2(file, number), number);
            sluice_event event = {0};
            uint64_t turns = stats_of(loop).turns;
            int code = sluice_next(loop, &event, 1000 * NS_PER_MS);
            uint64_t needed = stats_of(loop).turns - turns;
            if (code != 1 || event.kind != SLUICE_CLOSED || event.error == 0 || needed > 20)
                fail_msg("file %zu, way %d: code %d, event %u, error %d, %u turns", i, how, code,
                         event.kind, event.error, (unsigned)needed);
            assert_int_equal(event.id, line.id);
            assert_int_equal(sluice_kind_of(loop, line.id), SLUICE_ESTALE);
            expect_no_event(loop);
            if (is_same_file(number, file))
                keep(number);
            end_loop(loop);
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
        {"a stopped listener's number comes back: no harm is done",
         a_stopped_listener_s_number_comes_back, NULL},
        {"an idle limit holds for a stream whose number is another's",
         an_idle_limit_holds_for_a_stream_whose_number_is_another_s, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_embed.c - a loop inside another loop, a loop after a fork, and what a loop costs on
 * epoll. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define MIB ((size_t)1024 * 1024)

/* ---- Embedding ------------------------------------------------------------------------------ */

static bool is_readable(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    return poll(&entry, 1, 0) == 1;
}

static void backend_fd_tells_of_events(void) {
    sluice_loop *loop = make_loop();
    int fd = sluice_backend_fd(loop);
    if (strcmp(test_backend(), "epoll") != 0) {
        assert_int_equal(fd, SLUICE_ENOTSUP);
        return;
    }
    struct line line = unix_line(loop);
    expect_no_event(loop);
    assert_false(is_readable(fd));
    assert_true(sluice_until_next(loop) == SLUICE_FOREVER);
    put_text(line.peer, "hello");
    await(fd, POLLIN);
    expect_text(loop, line.id, "hello");
    expect_no_event(loop);
    assert_false(is_readable(fd));
    assert_int_equal(sluice_post(loop, 1), 0);
    await(fd, POLLIN);
    expect_event(loop, SLUICE_POSTED);
    expect_no_event(loop);
    assert_false(is_readable(fd));
}

static void until_next(void) {
    sluice_loop *loop = make_loop();
    assert_true(sluice_until_next(loop) == SLUICE_FOREVER);
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, PATIENCE_NS, 0, 0), 0);
    assert_in_range(sluice_until_next(loop), PATIENCE_NS / 2, PATIENCE_NS);
    assert_int_equal(sluice_timer_reset(loop, timer, 0), 0);
    assert_int_equal(sluice_until_next(loop), 0);
    expect_event_of(loop, SLUICE_TIMER, timer);
    struct line line = unix_line(loop);
    expect_no_event(loop);
    assert_true(sluice_until_next(loop) == SLUICE_FOREVER);
    /* Something is to be sent, or to be told. */
    assert_int_equal(sluice_write(loop, line.id, "x", 1), 0);
    assert_int_equal(sluice_until_next(loop), 0);
    expect_no_event(loop);
    assert_true(sluice_until_next(loop) == SLUICE_FOREVER);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    assert_int_equal(sluice_until_next(loop), 0);
    expect_closed(loop, line.id, -ECONNABORTED, 0);
}

/* The foreign loop sleeps when it is told to, and pulls until there is nothing: all arrives. */
static void foreign_loop(void) {
    sluice_loop *loop = make_loop();
    int fd = sluice_backend_fd(loop);
    if (fd < 0)
        return;
    struct line from = unix_line(loop);
    struct line to = unix_line(loop);
    struct line echo = unix_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    static unsigned char bytes[100000];
    size_t sent = 0, taken = 0, echoed = 0, returned = 0;
    while (taken < 4 * MIB || returned < 4 * MIB) {
        make_pattern(bytes, sent, sizeof bytes);
        ptrdiff_t count = sent < 4 * MIB ? sluice_socket_send(from.peer, bytes, sizeof bytes) : 0;
        sent += count > 0 ? (size_t)count : 0;
        count = echoed < 4 * MIB ? sluice_socket_send(echo.peer, bytes, sizeof bytes) : 0;
        echoed += count > 0 ? (size_t)count : 0;
        int64_t until = sluice_until_next(loop);
        struct pollfd entries[] = {{fd, POLLIN, 0}, {to.peer, POLLIN, 0}, {echo.peer, POLLIN, 0}};
        int ready = poll(entries, 3, until > PATIENCE_NS ? PATIENCE_MS : (int)(until / NS_PER_MS));
        assert_true(ready > 0 || until < PATIENCE_NS);
        sluice_event event;
        while (pull_now(loop, &event))
            if (event.kind == SLUICE_DATA)
                assert_int_equal(sluice_write(loop, event.id, event.data, event.length), 0);
        size_t some = take_some(to.peer, bytes, sizeof bytes);
        check_pattern(bytes, taken, some);
        taken += some;
        returned += take_some(echo.peer, bytes, sizeof bytes);
    }
}

/* ---- Forking -------------------------------------------------------------------------------- */

/* The child's part: 0 when all was well. */
static int be_the_child(sluice_loop *loop, struct line line, int from_parent) {
    sluice_event event;
    if (sluice_after_fork(loop) != 0)
        return 1;
    put_text(line.peer, "child");
    if (sluice_next(loop, &event, PATIENCE_NS) != 1 || event.kind != SLUICE_DATA)
        return 2;
    if (event.length != 5 || memcmp(event.data, "child", 5) != 0)
        return 3;
    sluice_id timer;
    if (sluice_timer(loop, &timer, 1, 0, 0) != 0 || sluice_post(loop, 3) != 0)
        return 4;
    bool seen[SLUICE_EVENT_KINDS] = {false};
    while (!seen[SLUICE_TIMER] || !seen[SLUICE_POSTED]) {
        if (sluice_next(loop, &event, PATIENCE_NS) != 1)
            return 5;
        seen[event.kind] = true;
    }
    if (seen[SLUICE_POSTED] && sluice_destroy(loop) != 0)
        return 6;
    char byte;
    return read(from_parent, &byte, 1) == 0 ? 0 : 7;
}

static void parent_and_child_have_a_loop_each(void) {
    char address[64];
    snprintf(address, sizeof address, "unix:%s/s", test_folder());
    sluice_loop *loop = make_loop();
    sluice_id listener;
    assert_int_equal(sluice_listen(loop, &listener, address, NULL), 0);
    struct line line = unix_line(loop);
    struct line other = unix_line(loop);
    assert_int_equal(sluice_post(loop, 1), 0);
    expect_event(loop, SLUICE_POSTED);
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        close(pipe_fds[1]);
        _exit(be_the_child(loop, line, pipe_fds[0]));
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* The parent's is as it was: its streams, its posts, and its listener with its path. */
    expect_no_event(loop);
    put_text(other.peer, "parent");
    expect_text(loop, other.id, "parent");
    put_text(line.peer, "both");
    expect_text(loop, line.id, "both");
    assert_int_equal(sluice_post(loop, 2), 0);
    assert_int_equal(expect_event(loop, SLUICE_POSTED).value, 2);
    int caller = sluice_socket_connect(address);
    assert_int_equal(sluice_close(loop, listener), 0);
    keep(caller);
}

/* ---- Costs ---------------------------------------------------------------------------------- */

/* A stream's whole life, with data both ways, output that has to wait, and both ends. */
static void two_epoll_ctls_for_a_stream_s_life(void) {
    if (strcmp(test_backend(), "epoll") != 0)
        return;
    sluice_loop *loop = make_loop();
    struct line other = unix_line(loop);
    put_text(other.peer, "x");
    expect_text(loop, other.id, "x");
    struct pair pair = tcp_pair();
    long before = epoll_ctl_count();
    struct line line = line_of(loop, pair, NULL);
    static unsigned char bytes[3 * 1024 * 1024];
    for (int round = 0; round < 3; round++) {
        put_text(line.peer, "question");
        expect_text(loop, line.id, "question");
        assert_int_equal(sluice_pause(loop, line.id), 0);
        expect_no_event(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
        assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 0);
        for (size_t at = 0; at < sizeof bytes;) {
            sluice_event event;
            pull_now(loop, &event);
            at += take_some(line.peer, bytes, sizeof bytes);
        }
    }
    sluice_event event;
    while (pull_now(loop, &event)) {
    }
    assert_int_equal(epoll_ctl_count() - before, 1);
    drop(line.peer);
    expect_event_of(loop, SLUICE_EOF, line.id);
    expect_closed(loop, line.id, 0, 0);
    assert_int_equal(epoll_ctl_count() - before, 2);
}

/* As a duplicate, or a child, keeps it open. What is not deleted before its number is closed never
 * can be, and is found only when it speaks. */
static void what_ends_leaves_no_entry_behind(void) {
    if (strcmp(test_backend(), "epoll") != 0)
        return;
    sluice_loop *loop = make_loop();
    struct line stream = unix_line(loop);
    (void)duplicate(sluice_fd(loop, stream.id), 0);
    assert_int_equal(sluice_abort(loop, stream.id), 0);
    expect_closed(loop, stream.id, -ECONNABORTED, 0);
    put_text(stream.peer, "x");
    long before = system_call_count();
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    assert_int_equal(system_call_count() - before, 1);
}

static void echo_costs_two_calls(void) {
    if (strcmp(test_backend(), "epoll") != 0)
        return;
    sluice_loop *loop = make_loop();
    struct line lines[100];
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        lines[i] = tcp_line(loop);
    expect_no_event(loop);
    long loops_calls = 0;
    long allocations = allocation_count();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT_OF(lines); i++)
            put_text(lines[i].peer, "ping");
        long before = system_call_count();
        for (size_t i = 0; i < COUNT_OF(lines); i++) {
            sluice_event event = expect_event(loop, SLUICE_DATA);
            assert_int_equal(sluice_write(loop, event.id, event.data, event.length), 0);
        }
        sluice_event event;
        assert_int_equal(sluice_next(loop, &event, 0), 0);
        loops_calls += system_call_count() - before;
        for (size_t i = 0; i < COUNT_OF(lines); i++)
            take_text(lines[i].peer, "ping");
    }
    assert_true(loops_calls * 100 <= 20L * 100 * 205);
    assert_int_equal(allocation_count(), allocations);
}

int main(void) {
    static const struct test tests[] = {
        {"backend_fd tells of events", backend_fd_tells_of_events, NULL},
        {"until_next", until_next, NULL},
        {"in a foreign loop all arrives", foreign_loop, NULL},
        {"fork: parent and child have a loop each", parent_and_child_have_a_loop_each, NULL},
        {"epoll: two epoll_ctls for a stream's life", two_epoll_ctls_for_a_stream_s_life, NULL},
        {"epoll: what ends leaves no entry behind", what_ends_leaves_no_entry_behind, NULL},
        {"epoll: an echo costs 2.05 calls at most, and no allocation", echo_costs_two_calls, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_fork.c - a loop and the child of a fork: what the child does with its copy harms
 * neither the parent nor the child's own files. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

/* What the child does with its copy of the loop. Returns 0 if all is well. */
typedef int child_part(sluice_loop *loop);

static void run_child(sluice_loop *loop, child_part *part) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(part(loop));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("the child's status is %#x", (unsigned)status);
}

static int takes_over_and_destroys(sluice_loop *loop) {
    if (sluice_after_fork(loop) != 0)
        return 1;
    return sluice_destroy(loop) == 0 ? 0 : 2;
}

static int takes_over_and_pulls(sluice_loop *loop) {
    sluice_event event;
    if (sluice_after_fork(loop) != 0 || sluice_next(loop, &event, 0) != 0)
        return 1;
    return sluice_destroy(loop) == 0 ? 0 : 2;
}

/* ---- What is shared -------------------------------------------------------------------------- */

/* O_NONBLOCK is the open file's, which parent and child share: while the parent has the stream, it
 * stays. */
static void a_child_that_destroys_leaves_streams_non_blocking(void) {
    for (int how = 0; how < 3; how++) {
        sluice_loop *loop = make_loop();
        struct pair pair = how == 0 ? unix_pair() : how == 1 ? tcp_pair() : pty_pair();
        assert_int_equal(fcntl(pair.near, F_SETFL, fcntl(pair.near, F_GETFL) & ~O_NONBLOCK), 0);
        struct line line = line_of(loop, pair, NULL);
        run_child(loop, takes_over_and_destroys);
        assert_true((fcntl(sluice_fd(loop, line.id), F_GETFL) & O_NONBLOCK) != 0);
        put_text(line.peer, "hello\n");
        expect_text(loop, line.id, "hello\n");
        end_loop(loop);
    }
}

/* What the parent has written is the parent's to send. */
static void queued_bytes_are_sent_once(child_part *part) {
    for (int how = 0; how < 4; how++) {
        sluice_loop *loop = make_loop();
        struct line line = how & 1 ? tcp_line(loop) : unix_line(loop);
        if (how & 2) {
            put_text(line.peer, "hello");
            sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
            assert_int_equal(event.length, 5);
            write_all(loop, line.id, event.data, event.length);
        } else {
            write_all(loop, line.id, "hello", 5);
        }
        run_child(loop, part);
        assert_int_equal(sluice_pending(loop, line.id), 5);
        assert_int_equal(sluice_close(loop, line.id), 0);
        expect_no_event(loop);
        take_text(line.peer, "hello");
        expect_end(line.peer);
        end_loop(loop);
    }
}

static void what_is_queued_is_sent_once_where_the_child_destroys(void) {
    queued_bytes_are_sent_once(takes_over_and_destroys);
}

static void what_is_queued_is_sent_once_where_the_child_pulls(void) {
    queued_bytes_are_sent_once(takes_over_and_pulls);
}

/* ---- The child's own files --------------------------------------------------------------------
 */

/* Two files with the lowest numbers. A listener had these numbers that has ended, or that never
 * began. */
static int files_of_its_own[2];

static int keeps_its_files(sluice_loop *loop) {
    if (sluice_after_fork(loop) != 0)
        return 1;
    for (size_t i = 0; i < COUNT_OF(files_of_its_own); i++)
        if (fcntl(files_of_its_own[i], F_GETFD) < 0)
            return 2;
    if (sluice_destroy(loop) != 0)
        return 3;
    for (size_t i = 0; i < COUNT_OF(files_of_its_own); i++)
        if (fcntl(files_of_its_own[i], F_GETFD) < 0)
            return 4;
    return 0;
}

static void expect_files_kept(sluice_loop *loop) {
    for (size_t i = 0; i < COUNT_OF(files_of_its_own); i++)
        files_of_its_own[i] = keep(open("/dev/null", O_RDONLY | O_CLOEXEC));
    run_child(loop, keeps_its_files);
    for (size_t i = 0; i < COUNT_OF(files_of_its_own); i++)
        drop(files_of_its_own[i]);
}

/* First come listeners that fail because memory runs out, at each point in turn. Last comes one
 * that did not fail, and has ended. */
static void after_a_listener_that_is_no_more(void) {
    char address[128];
    snprintf(address, sizeof address, "unix:%s/socket", test_folder());
    long nth = 1;
    for (bool failed = true; failed; nth++) {
        sluice_loop *loop = make_loop();
        sluice_id id;
        fail_allocation(nth);
        int code = sluice_listen(loop, &id, address, NULL);
        failed = allocation_has_failed();
        fail_allocation(0);
        if (code < 0)
            assert_int_equal(code, SLUICE_ENOMEM);
        else
            assert_int_equal(sluice_close(loop, id), 0);
        expect_files_kept(loop);
        end_loop(loop);
    }
    assert_true(nth > 2);
}

/* ---- Without descriptors ----------------------------------------------------------------------
 */

static int peer_of_the_line;

static void set_fd_limit(rlim_t limit) {
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) == 0) {
        now.rlim_cur = limit;
        setrlimit(RLIMIT_NOFILE, &now);
    }
}

/* Refused as often as it is tried without descriptors, and well with them. (A library that ends
 * the process does so with 1.) */
static int takes_over_without_descriptors(sluice_loop *loop) {
    struct rlimit before;
    int lowest = dup(STDIN_FILENO);
    if (lowest < 0 || close(lowest) != 0 || getrlimit(RLIMIT_NOFILE, &before) != 0)
        return 11;
    for (int more = -2; more < 8; more++) {
        set_fd_limit(more == -2 ? 3 : (rlim_t)(lowest + (more < 0 ? 0 : more)));
        int code = sluice_after_fork(loop);
        set_fd_limit(before.rlim_cur);
        if (code == 0)
            break;
        if (code != -EMFILE)
            return 12;
    }
    if (sluice_after_fork(loop) != 0)
        return 13;
    if (write(peer_of_the_line, "x", 1) != 1 || raise(SIGUSR1) != 0)
        return 14;
    bool seen[SLUICE_EVENT_KINDS] = {false};
    while (!seen[SLUICE_DATA] || !seen[SLUICE_SIGNAL]) {
        sluice_event event;
        if (sluice_next(loop, &event, PATIENCE_NS) != 1)
            return 15;
        seen[event.kind] = true;
    }
    return sluice_destroy(loop) == 0 ? 0 : 16;
}

static void after_fork_without_descriptors_can_be_tried_again(void) {
    sluice_loop *loop = make_loop();
    sluice_id id;
    assert_int_equal(sluice_signal(loop, &id, SIGUSR1), 0);
    struct line line = tcp_line(loop);
    expect_no_event(loop);
    peer_of_the_line = line.peer;
    run_child(loop, takes_over_without_descriptors);
    put_text(line.peer, "y");
    expect_text(loop, line.id, "y");
    assert_int_equal(raise(SIGUSR1), 0);
    expect_event_of(loop, SLUICE_SIGNAL, id);
}

/* Its own connection, which the parent does not have: an abort of it is a reset. */
static int aborts_a_caller(sluice_loop *loop) {
    sluice_event event;
    if (sluice_after_fork(loop) != 0 || sluice_next(loop, &event, SLUICE_FOREVER) != 1)
        return 1;
    if (event.kind != SLUICE_ACCEPTED || sluice_write(loop, event.id, "hello", 5) < 0)
        return 2;
    return sluice_abort(loop, event.id) == 0 ? 0 : 3;
}

static void a_child_resets_whom_it_has_accepted(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    int peer = dial(address);
    run_child(loop, aborts_a_caller);
    await(peer, POLLIN | POLLHUP);
    char byte;
    assert_int_equal(read(peer, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
}

int main(void) {
    static const struct test tests[] = {
        {"a child that destroys leaves streams non-blocking",
         a_child_that_destroys_leaves_streams_non_blocking, NULL},
        {"what is queued is sent once where the child destroys",
         what_is_queued_is_sent_once_where_the_child_destroys, NULL},
        {"what is queued is sent once where the child pulls",
         what_is_queued_is_sent_once_where_the_child_pulls, NULL},
        {"after a listener that is no more the child keeps its files",
         after_a_listener_that_is_no_more, NULL},
        {"a child resets whom it has accepted", a_child_resets_whom_it_has_accepted, NULL},
        {"after_fork without descriptors can be tried again",
         after_fork_without_descriptors_can_be_tried_again, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

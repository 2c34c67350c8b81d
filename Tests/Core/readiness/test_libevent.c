/* test_libevent.c - what only libevent has: its methods and registration, silence, the
 * descriptors it needs, and what it shares with a program that uses libevent itself. The other
 * tests run over libevent everything that all backends promise.
 *
 * The tests are linked with libevent's archive. So its allocations are counted and made to fail
 * like all others, in test_allocation.c and test_loop_allocation.c. One thing is left out: libevent
 * ends the process if it gets no descriptors when it starts. Sluice tries first whether there are
 * any, and only another thread can take them in between.
 */
#include "support.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "sluice_libevent.h"

static size_t backend_count(void) {
    size_t count = 0;
    while (sluice_backend_name(count))
        count++;
    return count;
}

/* ---- Registration ---------------------------------------------------------------------------- */

static void listed_last(void) {
    const char *const names[] = {"epoll",          "poll",          "select",
                                 "libevent:epoll", "libevent:poll", "libevent:select"};
    assert_int_equal(backend_count(), COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_string_equal(sluice_backend_name(i), names[i]);
}

static void *register_often(void *result) {
    for (int i = 0; i < 1000; i++)
        *(int *)result |= sluice_libevent_register();
    return NULL;
}

static void registered_again_from_threads(void) {
    pthread_t threads[4];
    int results[4] = {0};
    size_t before = backend_count();
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, register_often, &results[i]), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(results[i], 0);
    }
    assert_int_equal(backend_count(), before);
}

/* ---- A program that uses libevent, too --------------------------------------------------------
 */

static int messages;

static void count_message(int severity, const char *text) {
    (void)severity;
    (void)text;
    messages++;
}

/* If this is set, libevent says what it waits with, whatever its base is told. */
static void provoke_message(void) {
    setenv("EVENT_SHOW_METHOD", "1", 1);
    sluice_poller *poller = NULL;
    int code = sluice_poller_create(&poller, "libevent");
    sluice_poller_destroy(poller);
    unsetenv("EVENT_SHOW_METHOD");
    assert_int_equal(code, 0);
}

static void prints_nothing(void) {
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = keep(dup(STDERR_FILENO));
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    provoke_message();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long length = ftell(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(length, 0);
}

static void drop_message(int severity, const char *text) {
    (void)severity;
    (void)text;
}

static void the_programs_log_stays(void) {
    messages = 0;
    event_set_log_callback(count_message);
    int code = sluice_libevent_register();
    provoke_message();
    event_set_log_callback(drop_message);
    assert_int_equal(code, 0);
    assert_int_equal(messages, 1);
}

static void the_environment_does_not_choose(void) {
    setenv("EVENT_NOEPOLL", "1", 1);
    sluice_poller *poller = NULL;
    int code = sluice_poller_create(&poller, "libevent");
    unsetenv("EVENT_NOEPOLL");
    assert_int_equal(code, 0);
    assert_string_equal(sluice_poller_backend_name(poller), "libevent:epoll");
    sluice_poller_destroy(poller);
}

/* ---- Where libevent needs care ----------------------------------------------------------------
 */

/* An entry of epoll outlives its number. The new base that should have no such entry cannot be made
 * at once. */
static void a_new_base_that_must_wait_for_descriptors(void) {
    sluice_poller *poller = make_poller();
    int fd = readable();
    duplicate(fd, 0);
    int other = readable();
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, 1), 0);
    assert_int_equal(sluice_poller_add(poller, other, SLUICE_READ, 2), 0);
    drop(fd);
    assert_int_equal(sluice_poller_remove(poller, fd), 0);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit few = {.rlim_cur = (rlim_t)fd + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int meanwhile = wait_one(poller, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(meanwhile, 1);
    sluice_ready events[2];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sluice_poller_wait(poller, events, 2, 0), 1);
        assert_int_equal(events[0].user, 2);
    }
}

/* libevent gives up what it has before it asks for what it wants, and then gets neither. */
static void a_change_that_is_refused_and_what_was_before_too(void) {
    sluice_poller *poller = make_poller();
    if (strcmp(sluice_poller_backend_name(poller), "libevent:epoll") != 0)
        return;
    int fd = readable();
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, 1), 0);
    fail_epoll_adds(ENOSPC, 0);
    int code = sluice_poller_modify(poller, fd, SLUICE_READ | SLUICE_WRITE, 2);
    int meanwhile = wait_one(poller, 0);
    fail_epoll_adds(0, 0);
    assert_int_equal(code, -ENOSPC);
    assert_int_equal(meanwhile, 0);
    sluice_ready event;
    assert_int_equal(sluice_poller_wait(poller, &event, 1, PATIENCE_NS), 1);
    assert_int_equal(event.user, 1);
    assert_int_equal(event.flags & (SLUICE_READ | SLUICE_WRITE), SLUICE_READ);
    assert_int_equal(sluice_poller_modify(poller, fd, SLUICE_WRITE, 3), 0);
    assert_int_equal(wait_one(poller, 0), 1);
}

/* Closing before removing, again and again, with interest that changes. */
static void moves_to_new_bases(void) {
    sluice_poller *poller = make_poller();
    struct pair stays = unix_pair();
    assert_int_equal(sluice_poller_add(poller, stays.near, SLUICE_READ | SLUICE_ONE_SHOT, 7), 0);
    int file = regular_file();
    assert_int_equal(sluice_poller_add(poller, file, SLUICE_NONE, 8), 0);
    for (int i = 0; i < 20; i++) {
        int fd = readable();
        assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, 9), 0);
        drop(fd);
        assert_int_equal(sluice_poller_remove(poller, fd), 0);
        assert_int_equal(wait_one(poller, 0), 0);
        put_byte(stays.far);
        sluice_ready event = {0};
        assert_int_equal(sluice_poller_wait(poller, &event, 1, PATIENCE_NS), 1);
        assert_int_equal(event.user, 7);
        assert_int_equal(wait_one(poller, 0), 0);
        take_byte(stays.near);
        assert_int_equal(sluice_poller_modify(poller, stays.near, SLUICE_READ | SLUICE_ONE_SHOT, 7),
                         0);
    }
}

/* More than libevent is told of at first, and more than fit. */
static void many_in_small_batches(void) {
    enum { COUNT = 200 };
    sluice_poller *poller = make_poller();
    for (uint64_t i = 0; i < COUNT; i++)
        assert_int_equal(sluice_poller_add(poller, readable(), SLUICE_READ, i), 0);
    sluice_ready events[7];
    bool seen[COUNT] = {false};
    int left = COUNT;
    for (int waits = 0; left > 0; waits++) {
        assert_true(waits < COUNT);
        int count = sluice_poller_wait(poller, events, COUNT_OF(events), 0);
        assert_int_equal(count, COUNT_OF(events));
        for (int i = 0; i < count; i++) {
            left -= !seen[events[i].user];
            seen[events[i].user] = true;
        }
    }
}

/* What did not fit and was dealt with meanwhile is not reported. */
static void what_waited_in_the_queue_is_looked_at_anew(void) {
    sluice_poller *poller = make_poller();
    struct pair pairs[3];
    for (uint64_t i = 0; i < COUNT_OF(pairs); i++) {
        pairs[i] = unix_pair();
        put_byte(pairs[i].far);
        assert_int_equal(sluice_poller_add(poller, pairs[i].near, SLUICE_READ, i), 0);
    }
    assert_int_equal(wait_one(poller, 0), 1);
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        take_byte(pairs[i].near);
    assert_int_equal(wait_one(poller, 0), 0);
    put_byte(pairs[1].far);
    sluice_ready event = {0};
    assert_int_equal(sluice_poller_wait(poller, &event, 1, PATIENCE_NS), 1);
    assert_int_equal(event.user, 1);
}

/* libevent would take the parent's registrations out of the epoll that they share. */
static void a_child_that_only_destroys(void) {
    sluice_poller *poller = make_poller();
    struct pair pair = unix_pair();
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 0), 0);
    pid_t child = fork();
    if (child == 0) {
        sluice_poller_destroy(poller);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    put_byte(pair.far);
    assert_int_equal(wait_one(poller, PATIENCE_NS), 1);
}

/* libevent ends the process if it gets no descriptor. So it is not asked then. */
static int takes_over_without_descriptors(sluice_poller *poller, int far) {
    struct rlimit before;
    int lowest = dup(STDIN_FILENO);
    if (lowest < 0 || close(lowest) != 0 || getrlimit(RLIMIT_NOFILE, &before) != 0)
        return 11;
    for (int more = -2; more < 8; more++) {
        struct rlimit few = before;
        few.rlim_cur = more == -2 ? 3 : (rlim_t)(lowest + (more < 0 ? 0 : more));
        setrlimit(RLIMIT_NOFILE, &few);
        int code = sluice_poller_after_fork(poller);
        setrlimit(RLIMIT_NOFILE, &before);
        if (code == 0)
            break;
        if (code != -EMFILE)
            return 12;
    }
    if (sluice_poller_after_fork(poller) != 0)
        return 13;
    sluice_ready event;
    if (write(far, "x", 1) != 1 || sluice_poller_wait(poller, &event, 1, PATIENCE_NS) != 1)
        return 14;
    return event.user == 5 ? 0 : 15;
}

static void a_fork_without_descriptors(void) {
    sluice_poller *poller = make_poller();
    struct pair pair = unix_pair();
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 5), 0);
    assert_int_equal(wait_one(poller, 0), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(takes_over_without_descriptors(poller, pair.far));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("the child's status is %#x", (unsigned)status);
}

enum { OPEN = 1 };

/* libevent's re-making of a base fails for one number that is closed. */
static int be_the_child(sluice_loop *loop, int far) {
    sluice_event event;
    if (sluice_after_fork(loop) != 0)
        return 1;
    put_byte(far);
    /* poll and select take the regular file for ready, and libevent's poll the closed number. */
    do
        if (sluice_next(loop, &event, PATIENCE_NS) != 1 || event.kind != SLUICE_READY)
            return 2;
    while (event.user != OPEN);
    return sluice_destroy(loop) == 0 ? 0 : 3;
}

static void a_fork_amid_closed_numbers(void) {
    const sluice_options options = {.size = sizeof options, .backend = test_backend()};
    sluice_loop *loop;
    sluice_id id;
    assert_int_equal(sluice_open(&loop, &options), 0);
    /* Numbers for what the child opens, so that it gets none of the watched ones. */
    const int spare[] = {unix_pair().near, unix_pair().near, unix_pair().near, unix_pair().near};
    struct pair pair = unix_pair();
    int closed = unix_pair().near;
    int replaced = unix_pair().near;
    assert_int_equal(sluice_watch(loop, &id, closed, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_watch(loop, NULL, pair.near, SLUICE_READ, OPEN), 0);
    assert_int_equal(sluice_watch(loop, NULL, replaced, SLUICE_READ, 0), 0);
    for (size_t i = 0; i < COUNT_OF(spare); i++)
        drop(spare[i]);
    drop(closed);
    drop(replaced);
    move_fd(regular_file(), replaced);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(be_the_child(loop, pair.far));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(sluice_destroy(loop), 0);
    assert_int_equal(status, 0);
}

int main(void) {
    static const struct test once[] = {
        {"listed last", listed_last, NULL},
        {"registered again, from four threads", registered_again_from_threads, NULL},
        {"prints nothing", prints_nothing, NULL},
        {"the program's log stays the program's", the_programs_log_stays, NULL},
        {"the environment does not choose the method", the_environment_does_not_choose, NULL},
    };
    static const struct test over_backends[] = {
        {"a new base that must wait for descriptors", a_new_base_that_must_wait_for_descriptors,
         NULL},
        {"a change that is refused, and what was before too",
         a_change_that_is_refused_and_what_was_before_too, NULL},
        {"moves to new bases", moves_to_new_bases, NULL},
        {"many ready, in small batches", many_in_small_batches, NULL},
        {"what waited in the queue is looked at anew", what_waited_in_the_queue_is_looked_at_anew,
         NULL},
        {"a child that only destroys its poller", a_child_that_only_destroys, NULL},
        {"a fork without descriptors can be taken over later", a_fork_without_descriptors, NULL},
        {"a fork amid closed numbers", a_fork_amid_closed_numbers, NULL},
    };
    unsetenv("SLUICE_BACKEND");
    int first = run_once(once, COUNT_OF(once));
    int second = run_over_backends(over_backends, COUNT_OF(over_backends));
    return first != 0 ? first : second;
}

/* test_fork.c - pollers after a fork(2): what the child may do, and that the parent's poller stays
 * as it was. */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

/* Runs `child` in a child, which returns 0 when all was well, or the number of what was not. */
static void in_a_child(int (*child)(void *), void *argument) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(PATIENCE_MS / 1000);
        _exit(child(argument));
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

struct closed_high {
    sluice_poller *poller;
    int writable;
};

static int see_only_the_writable(void *argument) {
    const struct closed_high *scene = argument;
    sluice_ready events[4];
    for (int i = 0; i < 3; i++)
        if (sluice_poller_wait(scene->poller, events, 4, 0) != 1 ||
            events[0].fd != scene->writable || events[0].flags != SLUICE_WRITE)
            return 1;
    if (sluice_poller_modify(scene->poller, scene->writable, SLUICE_NONE, 0) != 0)
        return 2;
    return sluice_poller_wait(scene->poller, events, 4, NS_PER_MS) == 0 ? 0 : 3;
}

/* A child's table of descriptors is only as large as what is open. select(2) ignores numbers above
 * it, and leaves their bits as they were. */
static void closed_number_above_the_table(void) {
    if (!backend_is("select") && !backend_is("poll"))
        return; /* the others have more than memory, and need sluice_poller_after_fork first */
    const int numbers[] = {700, 767, 768, 900};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct closed_high scene = {.poller = make_poller(), .writable = unix_pair().near};
        int high = move_fd(unix_pair().near, numbers[i]);
        assert_int_equal(sluice_poller_add(scene.poller, high, SLUICE_READ, 0), 0);
        assert_int_equal(sluice_poller_add(scene.poller, scene.writable, SLUICE_WRITE, 0), 0);
        drop(high);
        in_a_child(see_only_the_writable, &scene);
        assert_int_equal(wait_one(scene.poller, 0), 1);
    }
}

/* ---- sluice_poller_after_fork ------------------------------------------------------------------
 */

struct family {
    sluice_poller *poller;
    struct pair shared; /* registered before the fork */
    int closed[3];      /* registered, and closed unremoved */
    int writable;
    int parent_fd; /* the parent's backend descriptor, or an error */
};

static struct family make_family(void) {
    struct family family = {.poller = make_poller(), .shared = unix_pair()};
    family.writable = unix_pair().near;
    assert_int_equal(sluice_poller_add(family.poller, family.shared.near, SLUICE_READ, 1), 0);
    assert_int_equal(sluice_poller_add(family.poller, family.writable, SLUICE_NONE, 2), 0);
    family.parent_fd = sluice_poller_backend_fd(family.poller);
    return family;
}

/* One event, with that user word. libevent's poll also reports closed numbers. */
static bool brings(sluice_poller *poller, uint64_t user) {
    sluice_ready events[8];
    int count = sluice_poller_wait(poller, events, 8, PATIENCE_NS);
    bool found = false;
    for (int i = 0; i < count; i++) {
        found |= events[i].user == user;
        if (events[i].user != user && !(over_libevent() && events[i].user == 9))
            return false;
    }
    return found;
}

static bool is_readable(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    return poll(&entry, 1, 0) == 1;
}

static int use_own(void *argument) {
    const struct family *family = argument;
    sluice_poller *poller = family->poller;
    if (sluice_poller_after_fork(poller) != 0)
        return 1;
    put_byte(family->shared.far);
    if (!brings(poller, 1))
        return 2;
    /* What follows would reach the parent's, were it shared. */
    if (sluice_poller_modify(poller, family->shared.near, SLUICE_NONE, 1) != 0 ||
        sluice_poller_modify(poller, family->writable, SLUICE_WRITE, 2) != 0 ||
        sluice_poller_add(poller, regular_file(), SLUICE_READ | SLUICE_ONE_SHOT, 3) != 0)
        return 3;
    int fd = sluice_poller_backend_fd(poller);
    if ((fd < 0) != (family->parent_fd < 0) || (fd >= 0 && !is_readable(fd)))
        return 4;
    if (sluice_poller_remove(poller, family->writable) != 0 || !brings(poller, 3))
        return 5;
    if (sluice_poller_wake(poller) != 0)
        return 6;
    for (int i = 0; i < 2 && !over_libevent(); i++)
        if (wait_one(poller, i == 0 ? SLUICE_FOREVER : 0) != 0)
            return 7;
    if (fd >= 0 && is_readable(fd))
        return 8;
    sluice_poller_destroy(poller);
    return 0;
}

static void parent_and_child_have_a_poller_each(void) {
    assert_int_equal(sluice_poller_after_fork(NULL), SLUICE_ENULL);
    struct family family = make_family();
    in_a_child(use_own, &family);
    /* The byte that the child has sent, and nothing of what else it did. */
    assert_true(brings(family.poller, 1));
    take_byte(family.shared.near);
    assert_int_equal(wait_one(family.poller, 0), 0);
    if (family.parent_fd >= 0)
        assert_false(is_readable(family.parent_fd));
    put_byte(family.shared.far);
    if (family.parent_fd >= 0)
        assert_true(is_readable(family.parent_fd));
    assert_true(brings(family.poller, 1));
    assert_int_equal(sluice_poller_wake(family.poller), 0);
    assert_int_equal(sluice_poller_backend_fd(family.poller), family.parent_fd);
}

static int make_closed_ones_anew(void *argument) {
    const struct family *family = argument;
    sluice_poller *poller = family->poller;
    if (sluice_poller_after_fork(poller) != 0)
        return 1;
    if (sluice_poller_wake(poller) != 0 || wait_one(poller, 0) < 0)
        return 2;
    put_byte(family->shared.far);
    if (!brings(poller, 1))
        return 3;
    for (size_t i = 0; i < COUNT_OF(family->closed) && !over_libevent(); i++) {
        if (sluice_poller_modify(poller, family->closed[i], SLUICE_READ, 9) != SLUICE_EBADF)
            return 4;
        if (sluice_poller_remove(poller, family->closed[i]) != 0)
            return 5;
    }
    return 0;
}

/* The descriptors that the child's poller makes get the lowest free numbers. Among these are
 * numbers that are registered and were closed. */
static void closed_numbers_are_not_the_child_s(void) {
    int low[3];
    for (size_t i = 0; i < COUNT_OF(low); i++)
        low[i] = unix_pair().near;
    struct family family = make_family();
    for (size_t i = 0; i < COUNT_OF(low); i++) {
        family.closed[i] = low[i];
        assert_int_equal(sluice_poller_add(family.poller, low[i], SLUICE_READ, 9), 0);
        drop(low[i]);
    }
    in_a_child(make_closed_ones_anew, &family);
    put_byte(family.shared.far);
    assert_true(brings(family.poller, 1));
}

static int use_at_the_limit(void *argument) {
    const struct family *family = argument;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1;
    limit.rlim_cur = (rlim_t)dup(STDIN_FILENO) + 1;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;
    int code = sluice_poller_after_fork(family->poller);
    if (code != 0)
        return over_libevent() ? 0 : 3; /* which asks for more than it gives back */
    put_byte(family->shared.far);
    return brings(family->poller, 1) && sluice_poller_wake(family->poller) == 0 ? 0 : 4;
}

static void no_descriptor_is_left(void) {
    struct family family = make_family();
    in_a_child(use_at_the_limit, &family);
}

static int fail_and_try_again(void *argument) {
    const struct family *family = argument;
    bool has_epoll = backend_is("epoll");
    fail_epoll_create(ENFILE);
    if (has_epoll && sluice_poller_after_fork(family->poller) != -ENFILE)
        return 1;
    fail_epoll_create(0);
    fail_epoll_adds(ENOSPC, 1);
    if (has_epoll && sluice_poller_after_fork(family->poller) != -ENOSPC)
        return 2;
    fail_epoll_adds(0, 0);
    fail_eventfd(EMFILE);
    if (sluice_poller_after_fork(family->poller) != -EMFILE)
        return 3;
    fail_eventfd(0);
    if (sluice_poller_after_fork(family->poller) != 0)
        return 4;
    put_byte(family->shared.far);
    if (!brings(family->poller, 1) || sluice_poller_wake(family->poller) != 0)
        return 5;
    sluice_poller_destroy(family->poller);
    return 0;
}

static int fail_and_destroy(void *argument) {
    const struct family *family = argument;
    fail_epoll_create(ENFILE);
    fail_eventfd(ENFILE);
    if (sluice_poller_after_fork(family->poller) == 0)
        return 1;
    sluice_poller_destroy(family->poller);
    return 0;
}

static void a_failure_can_be_tried_again(void) {
    struct family family = make_family();
    in_a_child(fail_and_try_again, &family);
    if (!over_libevent())
        in_a_child(fail_and_destroy, &family);
    assert_true(brings(family.poller, 1));
}

int main(void) {
    static const struct test tests[] = {
        {"a closed number above the child's table is silent", closed_number_above_the_table, NULL},
        {"parent and child have a poller each", parent_and_child_have_a_poller_each, NULL},
        {"closed numbers are not taken for the child's own", closed_numbers_are_not_the_child_s,
         NULL},
        {"no descriptor is left", no_descriptor_is_left, NULL},
        {"a failure can be tried again", a_failure_can_be_tried_again, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

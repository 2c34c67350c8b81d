/* test_fork.c - pollers after a fork(2): what the child may do, and that the parent's stays as it
 * was. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* A child's table of descriptors is only as large as what is open. select(2) looks at no number
 * above it, and leaves the bits there as they were. */
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

int main(void) {
    static const struct test tests[] = {
        {"a closed number above the child's table is silent", closed_number_above_the_table, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

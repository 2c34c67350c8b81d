/* support.c - running tests over each backend, and the descriptors that end with a test. The
 * fixtures themselves are in fixtures.c.
 *
 * What a test keeps is in two short arrays. They are static, because a failing test leaves by
 * longjmp, and there is one test at a time.
 */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "sluice_libevent.h"

#define MOST_KEPT 512
#define MOST_POLLERS 32
#define MOST_DEFERRED 32

static struct {
    const char *backend;
    const void *data;
    size_t fds_before;
    int fds[MOST_KEPT];
    size_t fd_count;
    sluice_poller *pollers[MOST_POLLERS];
    size_t poller_count;
    struct {
        void (*call)(void *);
        void *argument;
    } deferred[MOST_DEFERRED];
    size_t deferred_count;
} current;

/* A test and the backend it is to run over. */
struct job {
    const struct test *test;
    const char *backend;
};

/* Every test is over every backend that there is. */
__attribute__((constructor)) static void register_backends(void) {
    if (sluice_libevent_register() != 0)
        abort();
}

static size_t entries_of(const char *path) {
    DIR *directory = opendir(path);
    assert_non_null(directory);
    size_t count = 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

size_t open_fd_count(void) {
    return entries_of("/proc/self/fd");
}

size_t thread_count(void) {
    return entries_of("/proc/self/task");
}

void begin_test(const char *backend) {
    current.backend = backend;
    current.fd_count = 0;
    current.poller_count = 0;
    current.deferred_count = 0;
    current.fds_before = open_fd_count();
}

void end_test(void) {
    fail_allocation(0);
    fail_epoll_pwait2(0);
    fail_epoll_create(0);
    fail_eventfd(0);
    fail_epoll_adds(0, 0);
    fail_accepts(0, 0);
    before_unlink(NULL);
    before_flock(NULL);
    fail_threads(0);
    interrupt_calls(false);
    fail_callers(0, 0);
    fail_waits(0);
    while (current.deferred_count > 0) {
        current.deferred_count--;
        current.deferred[current.deferred_count].call(
            current.deferred[current.deferred_count].argument);
    }
    while (current.poller_count > 0)
        sluice_poller_destroy(current.pollers[--current.poller_count]);
    bool all_open = true;
    while (current.fd_count > 0)
        all_open &= close(current.fds[--current.fd_count]) == 0;
    assert_true(all_open);
    assert_int_equal(open_fd_count(), current.fds_before);
}

const char *test_backend(void) {
    return current.backend;
}

const void *test_data(void) {
    return current.data;
}

static int set_up(void **state) {
    const struct job *job = *state;
    begin_test(job->backend);
    current.data = job->test->data;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    end_test();
    return 0;
}

static void run_job(void **state) {
    const struct job *job = *state;
    job->test->run();
}

void raise_fd_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        perror("RLIMIT_NOFILE");
}

static int run_jobs(const struct test *tests, size_t count, const char *const *backends,
                    size_t backend_count) {
    raise_fd_limit();
    struct job *jobs = calloc(count * backend_count, sizeof *jobs);
    struct CMUnitTest *units = calloc(count * backend_count, sizeof *units);
    char(*names)[128] = calloc(count * backend_count, sizeof *names);
    if (!jobs || !units || !names)
        abort();
    size_t at = 0;
    for (size_t b = 0; b < backend_count; b++)
        for (size_t t = 0; t < count; t++, at++) {
            jobs[at] = (struct job){.test = &tests[t], .backend = backends[b]};
            snprintf(names[at], sizeof names[at], "%s%s%s", backends[b] ? backends[b] : "",
                     backends[b] ? ": " : "", tests[t].name);
            units[at] = (struct CMUnitTest){.name = names[at],
                                            .test_func = run_job,
                                            .setup_func = set_up,
                                            .teardown_func = tear_down,
                                            .initial_state = &jobs[at]};
        }
    int failed = _cmocka_run_group_tests("core", units, at, NULL, NULL);
    free(names);
    free(units);
    free(jobs);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_over_backends(const struct test *tests, size_t count) {
    const char *backends[16];
    size_t backend_count = 0;
    while (backend_count < COUNT_OF(backends) && sluice_backend_name(backend_count)) {
        backends[backend_count] = sluice_backend_name(backend_count);
        backend_count++;
    }
    return run_jobs(tests, count, backends, backend_count);
}

int run_once(const struct test *tests, size_t count) {
    const char *const none = NULL;
    return run_jobs(tests, count, &none, 1);
}

sluice_poller *make_poller(void) {
    sluice_poller *poller;
    assert_int_equal(sluice_poller_create(&poller, current.backend), 0);
    assert_true(current.poller_count < MOST_POLLERS);
    current.pollers[current.poller_count++] = poller;
    return poller;
}

bool poller_has(const sluice_poller *poller, enum sluice_feature feature) {
    return (sluice_poller_features(poller) & (uint32_t)feature) != 0;
}

bool backend_is(const char *name) {
    return current.backend && strcmp(current.backend, name) == 0;
}

bool over_libevent(void) {
    return current.backend && strncmp(current.backend, "libevent", strlen("libevent")) == 0;
}

int number_up_to(int wanted) {
    return backend_is("libevent:select") && wanted >= FD_SETSIZE ? FD_SETSIZE - 24 : wanted;
}

int keep(int fd) {
    assert_true(fd >= 0);
    assert_true(current.fd_count < MOST_KEPT);
    current.fds[current.fd_count++] = fd;
    return fd;
}

int release(int fd) {
    for (size_t i = 0; i < current.fd_count; i++)
        if (current.fds[i] == fd) {
            current.fds[i] = current.fds[--current.fd_count];
            return fd;
        }
    fail_msg("%d was not kept", fd);
    return -1;
}

void drop(int fd) {
    assert_int_equal(close(release(fd)), 0);
}

void defer(void (*call)(void *), void *argument) {
    assert_true(current.deferred_count < MOST_DEFERRED);
    current.deferred[current.deferred_count].call = call;
    current.deferred[current.deferred_count].argument = argument;
    current.deferred_count++;
}

int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

int64_t cpu_ns(void) {
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 * NS_PER_MS + used.tv_nsec;
}

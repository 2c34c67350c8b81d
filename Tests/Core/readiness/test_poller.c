/* test_poller.c - the poller's calls over every backend: wrong arguments, timeouts of all sizes,
 * signals, and the poller's own descriptors. The contract tests what readiness means. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "faults.h"

static volatile sig_atomic_t alarms;
static sluice_poller *poller_to_wake;

static void on_alarm(int number) {
    (void)number;
    alarms = alarms + 1;
    if (alarms >= 3 && poller_to_wake)
        sluice_poller_wake(poller_to_wake);
}

static void ring_every_ms(bool on) {
    struct sigaction action = {.sa_handler = on ? on_alarm : SIG_IGN};
    struct itimerval every = {{.tv_usec = on ? 1000 : 0}, {.tv_usec = on ? 1000 : 0}};
    if (on) {
        alarms = 0;
        sigaction(SIGALRM, &action, NULL);
    }
    setitimer(ITIMER_REAL, &every, NULL);
    if (!on)
        sigaction(SIGALRM, &action, NULL);
}

/* ---- Numbers that come again ------------------------------------------------------------------
 */

/* A duplicate keeps the file open under whose number epoll knows it still. */
static void closed_and_duplicated_back(void) {
    sluice_poller *poller = make_poller();
    struct pair pair = unix_pair();
    int copy = duplicate(pair.near, 0);
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 1), 0);
    drop(pair.near);
    assert_int_equal(sluice_poller_remove(poller, pair.near), 0);
    assert_int_equal(duplicate(copy, pair.near), pair.near);
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 2), 0);
    put_byte(pair.far);
    sluice_ready events[2];
    assert_int_equal(sluice_poller_wait(poller, events, COUNT_OF(events), 0), 1);
    assert_int_equal(events[0].fd, pair.near);
    assert_int_equal(events[0].user, 2);
}

/* When epoll gets a new instance, to be rid of an entry that cannot be deleted, a registration
 * whose number is closed at that moment keeps its place. */
static void closed_while_another_is_stale(void) {
    sluice_poller *poller = make_poller();
    struct pair closed = unix_pair();
    struct pair stale = unix_pair();
    int number = move_fd(closed.near, 200); /* which the new epoll instance does not take */
    assert_int_equal(sluice_poller_add(poller, number, SLUICE_READ, 1), 0);
    assert_int_equal(sluice_poller_add(poller, stale.near, SLUICE_READ, 2), 0);
    (void)duplicate(stale.near, 0);
    put_byte(stale.far);
    drop(stale.near);
    assert_int_equal(sluice_poller_remove(poller, stale.near), 0);
    drop(number);
    /* libevent's poll tells of a closed number as ready. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(wait_one(poller, 0), backend_is("libevent:poll"));
    assert_int_equal(sluice_poller_modify(poller, number, SLUICE_READ, 3), SLUICE_EBADF);
    int again = move_fd(readable(), number);
    assert_int_equal(sluice_poller_modify(poller, again, SLUICE_READ, 3), 0);
    sluice_ready event;
    assert_int_equal(sluice_poller_wait(poller, &event, 1, 0), 1);
    assert_int_equal(event.user, 3);
}

/* ---- Wrong arguments --------------------------------------------------------------------------
 */

static void no_such_number(void) {
    sluice_poller *poller = make_poller();
    const int numbers[] = {-1, INT_MIN, INT_MAX, closed_number()};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        assert_int_equal(sluice_poller_add(poller, numbers[i], SLUICE_READ, 0), SLUICE_EBADF);
        assert_int_equal(sluice_poller_add(poller, numbers[i], SLUICE_NONE, 0), SLUICE_EBADF);
        assert_int_equal(sluice_poller_modify(poller, numbers[i], SLUICE_READ, 0), SLUICE_ENOENT);
        assert_int_equal(sluice_poller_remove(poller, numbers[i]), SLUICE_ENOENT);
    }
}

static void unknown_interest(void) {
    sluice_poller *poller = make_poller();
    int fd = readable();
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, 1), 0);
    assert_int_equal(sluice_poller_modify(poller, fd, SLUICE_ERROR, 2), SLUICE_EINTEREST);
    assert_int_equal(sluice_poller_modify(poller, fd, UINT32_MAX, 2), SLUICE_EINTEREST);
    sluice_ready event;
    assert_int_equal(sluice_poller_wait(poller, &event, 1, 0), 1);
    assert_int_equal(event.user, 1);
    assert_int_equal(event.flags, SLUICE_READ);
}

static void priority_refused_changes_nothing(void) {
    sluice_poller *poller = make_poller();
    int fd = readable();
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, 1), 0);
    int code = sluice_poller_modify(poller, fd, SLUICE_PRIORITY, 2);
    bool has_it = poller_has(poller, SLUICE_FEATURE_PRIORITY);
    assert_int_equal(code, has_it ? 0 : SLUICE_ENOTSUP);
    sluice_ready event = {0};
    assert_int_equal(sluice_poller_wait(poller, &event, 1, 0), has_it ? 0 : 1);
    assert_int_equal(event.user, has_it ? 0 : 1);
}

static void edge_refused_changes_nothing(void) {
    sluice_poller *poller = make_poller();
    if (poller_has(poller, SLUICE_FEATURE_EDGE)) {
        assert_int_equal(sluice_poller_add(poller, readable(), SLUICE_READ | SLUICE_EDGE, 0), 0);
        return;
    }
    int fd = readable();
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ | SLUICE_EDGE, 0), SLUICE_ENOTSUP);
    assert_int_equal(sluice_poller_remove(poller, fd), SLUICE_ENOENT);
}

static void capacity_too_small(void) {
    sluice_poller *poller = make_poller();
    sluice_ready event;
    assert_int_equal(sluice_poller_wait(poller, &event, 0, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_poller_wait(poller, &event, -1, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_poller_wait(poller, &event, INT_MIN, 0), SLUICE_ECAPACITY);
}

static void negative_timeout(void) {
    sluice_poller *poller = make_poller();
    assert_int_equal(wait_one(poller, -1), SLUICE_ETIMEOUT);
    assert_int_equal(wait_one(poller, INT64_MIN), SLUICE_ETIMEOUT);
}

static void null_arguments(void) {
    sluice_poller *poller = make_poller();
    sluice_ready event = {0};
    assert_int_equal(sluice_poller_create(NULL, test_backend()), SLUICE_ENULL);
    assert_int_equal(sluice_poller_add(NULL, 0, SLUICE_READ, 0), SLUICE_ENULL);
    assert_int_equal(sluice_poller_modify(NULL, 0, SLUICE_READ, 0), SLUICE_ENULL);
    assert_int_equal(sluice_poller_remove(NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_poller_wait(NULL, &event, 1, 0), SLUICE_ENULL);
    assert_int_equal(sluice_poller_wait(poller, NULL, 1, 0), SLUICE_ENULL);
    assert_int_equal(sluice_poller_wake(NULL), SLUICE_ENULL);
    assert_int_equal(sluice_poller_is_current(NULL, &event), 0);
    assert_int_equal(sluice_poller_is_current(poller, NULL), 0);
    assert_int_equal(sluice_poller_features(NULL), 0);
    assert_null(sluice_poller_backend_name(NULL));
    sluice_poller_destroy(NULL);
}

static void flags_of_a_poller(void) {
    sluice_poller *poller = make_poller();
    assert_int_equal(sluice_poller_set_flags(NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_poller_set_flags(poller, 2), SLUICE_EOPTION);
    assert_int_equal(sluice_poller_set_flags(poller, UINT32_MAX), SLUICE_EOPTION);
    assert_int_equal(sluice_poller_set_flags(poller, 0), 0);
    assert_int_equal(sluice_poller_set_flags(poller, SLUICE_INTERRUPTIBLE),
                     poller_has(poller, SLUICE_FEATURE_INTERRUPTIBLE) ? 0 : SLUICE_ENOTSUP);
    assert_string_equal(sluice_error_name(-EINTR), "SLUICE_EINTR");
    assert_int_equal(SLUICE_EINTR, -EINTR);
}

/* A signal ends a wait only if there is nothing else to return. */
static void events_before_signals(void) {
    sluice_poller *poller = make_poller();
    if (!poller_has(poller, SLUICE_FEATURE_INTERRUPTIBLE))
        return;
    assert_int_equal(sluice_poller_set_flags(poller, SLUICE_INTERRUPTIBLE), 0);
    assert_int_equal(sluice_poller_add(poller, readable(), SLUICE_READ, 0), 0);
    assert_int_equal(sluice_poller_add(poller, regular_file(), SLUICE_READ, 0), 0);
    poller_to_wake = NULL;
    ring_every_ms(true);
    while (alarms < 3)
        assert_int_equal(wait_one(poller, SLUICE_FOREVER), 1);
    ring_every_ms(false);
}

static void made_up_event(void) {
    sluice_poller *poller = make_poller();
    const int numbers[] = {-1, INT_MIN, INT_MAX, 0};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        sluice_ready event = {.fd = numbers[i]};
        assert_int_equal(sluice_poller_is_current(poller, &event), 0);
    }
}

/* ---- What a poller is --------------------------------------------------------------------------
 */

static void says_its_name(void) {
    sluice_poller *poller = make_poller();
    assert_string_equal(sluice_poller_backend_name(poller), test_backend());
    assert_true(poller_has(poller, SLUICE_FEATURE_ONE_SHOT));
    assert_int_equal(poller_has(poller, SLUICE_FEATURE_EDGE),
                     strstr(test_backend(), "epoll") != NULL);
    assert_int_equal(poller_has(poller, SLUICE_FEATURE_CONDITIONS),
                     !backend_is("select") && !over_libevent());
    assert_int_equal(poller_has(poller, SLUICE_FEATURE_PRIORITY), !over_libevent());
    assert_int_equal(poller_has(poller, SLUICE_FEATURE_INTERRUPTIBLE), !over_libevent());
}

static void destroy_leaves_descriptors(void) {
    sluice_poller *poller;
    assert_int_equal(sluice_poller_create(&poller, test_backend()), 0);
    const int fds[] = {readable(), regular_file(), duplicate(STDIN_FILENO, number_up_to(1500))};
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        assert_int_equal(sluice_poller_add(poller, fds[i], SLUICE_READ, 0), 0);
    sluice_poller_destroy(poller);
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        assert_true(fcntl(fds[i], F_GETFD) >= 0);
}

/* What a poller opens are the numbers that are open with it and not without. */
static void own_descriptors(void) {
    bool open_before[256];
    for (int fd = 0; fd < (int)COUNT_OF(open_before); fd++)
        open_before[fd] = fcntl(fd, F_GETFD) >= 0;
    sluice_poller *poller = make_poller();
    int own = 0;
    for (int fd = 0; fd < (int)COUNT_OF(open_before); fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (open_before[fd] || flags < 0)
            continue;
        own++;
        assert_true(flags & FD_CLOEXEC);
        assert_int_equal(sluice_poller_modify(poller, fd, SLUICE_NONE, 0), SLUICE_ENOENT);
        assert_int_equal(sluice_poller_remove(poller, fd), SLUICE_ENOENT);
        sluice_ready event = {.fd = fd, .generation = 1};
        assert_int_equal(sluice_poller_is_current(poller, &event), 0);
        /* libevent's signal pipe is known to it alone. */
        if (sluice_poller_add(poller, fd, SLUICE_READ, 0) == 0) {
            assert_true(over_libevent());
            assert_int_equal(sluice_poller_remove(poller, fd), 0);
        }
    }
    assert_true(own >= 1);
    assert_int_equal(sluice_poller_wake(poller), 0);
    assert_int_equal(wait_one(poller, SLUICE_FOREVER), 0);
}

static void two_pollers_one_descriptor(void) {
    sluice_poller *one = make_poller();
    sluice_poller *other = make_poller();
    int fd = readable();
    assert_int_equal(sluice_poller_add(one, fd, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_poller_add(other, fd, SLUICE_READ | SLUICE_ONE_SHOT, 0), 0);
    assert_int_equal(wait_one(other, 0), 1);
    assert_int_equal(wait_one(other, 0), 0);
    assert_int_equal(wait_one(one, 0), 1);
    assert_int_equal(sluice_poller_remove(other, fd), 0);
    assert_int_equal(wait_one(one, 0), 1);
}

static void refused_for_want_of_descriptors(void) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)closed_number(), .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sluice_poller *poller = (sluice_poller *)&limit;
    int code = sluice_poller_create(&poller, test_backend());
    none.rlim_cur++;
    setrlimit(RLIMIT_NOFILE, &none);
    sluice_poller *second = NULL;
    int second_code = sluice_poller_create(&second, test_backend());
    setrlimit(RLIMIT_NOFILE, &limit);
    sluice_poller_destroy(second);
    assert_int_equal(code, -EMFILE);
    assert_null(poller);
    /* One descriptor is enough for poll and select. The others must then give it back. */
    bool is_enough = !backend_is("epoll") && !over_libevent();
    assert_int_equal(second_code, is_enough ? 0 : -EMFILE);
}

/* ---- Timeouts ----------------------------------------------------------------------------------
 */

static void never_early(void) {
    sluice_poller *poller = make_poller();
    assert_int_equal(sluice_poller_add(poller, unix_pair().near, SLUICE_READ, 0), 0);
    const int64_t timeouts[] = {
        1, 100, 999, 100 * NS_PER_US, 999999, 1500 * NS_PER_US, 3 * NS_PER_MS + 1};
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        int64_t began = monotonic_ns();
        assert_int_equal(wait_one(poller, timeouts[i]), 0);
        assert_true(monotonic_ns() - began >= timeouts[i]);
    }
}

static const int64_t huge[] = {SLUICE_FOREVER, SLUICE_FOREVER - 1, INT64_MAX / 2,
                               (int64_t)INT_MAX *NS_PER_MS, (int64_t)INT_MAX *NS_PER_MS + 1};

static void huge_timeout_with_event(void) {
    sluice_poller *poller = make_poller();
    assert_int_equal(sluice_poller_add(poller, readable(), SLUICE_READ, 0), 0);
    for (size_t i = 0; i < COUNT_OF(huge); i++)
        assert_int_equal(wait_one(poller, huge[i]), 1);
}

static void huge_timeout_with_wake(void) {
    sluice_poller *poller = make_poller();
    for (size_t i = 0; i < COUNT_OF(huge); i++) {
        sluice_poller_wake(poller);
        assert_int_equal(wait_one(poller, huge[i]), 0);
    }
}

/* ---- Signals ------------------------------------------------------------------------------------
 */

static void signals_do_not_shorten(void) {
    sluice_poller *poller = make_poller();
    assert_int_equal(sluice_poller_add(poller, unix_pair().near, SLUICE_READ, 0), 0);
    poller_to_wake = NULL;
    ring_every_ms(true);
    /* On a busy machine several alarms of a wait may come as one. */
    do {
        int64_t began = monotonic_ns();
        assert_int_equal(wait_one(poller, 30 * NS_PER_MS), 0);
        assert_true(monotonic_ns() - began >= 30 * NS_PER_MS);
    } while (alarms < 2);
    ring_every_ms(false);
}

/* The signal ends the system call, and the remaining time is computed again. */
static void signals_and_huge_timeouts(void) {
    for (size_t i = 0; i < COUNT_OF(huge); i++) {
        poller_to_wake = make_poller();
        ring_every_ms(true);
        int count = wait_one(poller_to_wake, huge[i]);
        ring_every_ms(false);
        assert_int_equal(count, 0);
        assert_true(alarms >= 3);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"closed and duplicated back", closed_and_duplicated_back, NULL},
        {"closed while another is stale", closed_while_another_is_stale, NULL},
        {"a number that is not open", no_such_number, NULL},
        {"unknown interest bits", unknown_interest, NULL},
        {"edge, where it is refused, changes nothing", edge_refused_changes_nothing, NULL},
        {"priority, where it is refused, changes nothing", priority_refused_changes_nothing, NULL},
        {"capacity under 1", capacity_too_small, NULL},
        {"negative timeout", negative_timeout, NULL},
        {"NULL for each pointer", null_arguments, NULL},
        {"flags", flags_of_a_poller, NULL},
        {"interruptible: events come before signals", events_before_signals, NULL},
        {"a made-up event is not current", made_up_event, NULL},
        {"name and features", says_its_name, NULL},
        {"destroy leaves descriptors open", destroy_leaves_descriptors, NULL},
        {"its own descriptors are not the caller's", own_descriptors, NULL},
        {"one descriptor in two pollers", two_pollers_one_descriptor, NULL},
        {"no descriptors left", refused_for_want_of_descriptors, NULL},
        {"a wait is never early", never_early, NULL},
        {"huge timeouts and an event", huge_timeout_with_event, NULL},
        {"huge timeouts and a wake", huge_timeout_with_wake, NULL},
        {"signals do not shorten a wait", signals_do_not_shorten, NULL},
        {"signals and huge timeouts", signals_and_huge_timeouts, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

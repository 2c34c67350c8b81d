/* test_backends.c - choosing a backend, adding one, and epoll on a kernel that lacks a part of it.
 */
#include "support.h"

#include "readiness/poller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

/* ---- Choosing ----------------------------------------------------------------------------------
 */

/* The name of the backend that is chosen for `argument` while SLUICE_BACKEND is `variable`, or the
 * error's. */
static const char *chosen(const char *argument, const char *variable) {
    const char *before = getenv("SLUICE_BACKEND");
    char saved[64] = "";
    if (before)
        strncpy(saved, before, sizeof saved - 1);
    if (variable)
        setenv("SLUICE_BACKEND", variable, 1);
    else
        unsetenv("SLUICE_BACKEND");
    sluice_poller *poller = (sluice_poller *)saved;
    int code = sluice_poller_create(&poller, argument);
    if (before)
        setenv("SLUICE_BACKEND", saved, 1);
    else
        unsetenv("SLUICE_BACKEND");
    if (code < 0) {
        assert_null(poller);
        return sluice_error_name(code);
    }
    const char *name = sluice_poller_backend_name(poller);
    sluice_poller_destroy(poller);
    return name;
}

static void by_argument(void) {
    assert_string_equal(chosen("select", NULL), "select");
    assert_string_equal(chosen("poll", NULL), "poll");
    assert_string_equal(chosen("epoll", NULL), "epoll");
    assert_string_equal(chosen("poll", "select"), "poll");
    assert_string_equal(chosen("libevent:poll", NULL), "libevent:poll");
}

static void by_the_name_before_the_colon(void) {
    assert_string_equal(chosen("libevent", NULL), "libevent:epoll");
    assert_string_equal(chosen(NULL, "libevent"), "libevent:epoll");
}

static void by_environment(void) {
    for (size_t i = 0; sluice_backend_name(i); i++)
        assert_string_equal(chosen(NULL, sluice_backend_name(i)), sluice_backend_name(i));
}

static void best_by_default(void) {
    assert_string_equal(chosen(NULL, NULL), sluice_backend_name(0));
    assert_string_equal(chosen(NULL, ""), sluice_backend_name(0));
    assert_string_equal(sluice_backend_name(0), "epoll");
}

static void unknown(void) {
    assert_string_equal(chosen("kqueue", NULL), "SLUICE_EBACKEND");
    assert_string_equal(chosen("EPOLL", NULL), "SLUICE_EBACKEND");
    assert_string_equal(chosen("epol", NULL), "SLUICE_EBACKEND");
    assert_string_equal(chosen(NULL, "kqueue"), "SLUICE_EBACKEND");
    assert_string_equal(chosen("libevent:kqueue", NULL), "SLUICE_EBACKEND");
    assert_string_equal(chosen("libevent:", NULL), "SLUICE_EBACKEND");
    assert_string_equal(chosen("libev", NULL), "SLUICE_EBACKEND");
    assert_string_equal(chosen("epoll:", NULL), "SLUICE_EBACKEND");
    assert_string_equal(chosen("poll", "kqueue"), "poll");
}

static void names_end(void) {
    size_t count = 0;
    while (sluice_backend_name(count))
        count++;
    assert_true(count >= 3);
    assert_null(sluice_backend_name(count + 1));
    assert_null(sluice_backend_name(SIZE_MAX));
}

/* ---- Adding ------------------------------------------------------------------------------------
 */

/* The last test, since what is added stays. */
static void adding(void) {
    enum { MOST = 16 };
    static struct sluice_poller_backend added[MOST];
    static char names[MOST][16];
    size_t before = 0;
    while (sluice_backend_name(before))
        before++;
    struct sluice_poller_backend imposter = sluice_poll_backend;
    assert_int_equal(sluice_poller_register(&imposter), SLUICE_EEXIST);
    assert_int_equal(sluice_poller_register(&sluice_poll_backend), 0);
    int code = 0;
    size_t count = 0;
    for (; count < MOST; count++) {
        snprintf(names[count], sizeof names[count], "mine:%zu", count);
        added[count] = sluice_poll_backend;
        added[count].name = names[count];
        code = sluice_poller_register(&added[count]);
        if (code != 0)
            break;
        assert_int_equal(sluice_poller_register(&added[count]), 0);
        assert_string_equal(sluice_backend_name(before + count), names[count]);
        assert_null(sluice_backend_name(before + count + 1));
        assert_string_equal(chosen(names[count], NULL), names[count]);
    }
    assert_int_equal(code, SLUICE_EFULL);
    assert_in_range(count, 4, MOST - 1);
    assert_string_equal(chosen("mine", NULL), "mine:0");
    assert_string_equal(chosen(NULL, NULL), "epoll");
}

/* ---- epoll without epoll_pwait2 ----------------------------------------------------------------
 */

/* As on kernels before 5.11 (ENOSYS), and under seccomp filters that do not know the call (EPERM).
 */
static void without_pwait2(int error) {
    sluice_poller *poller = make_poller();
    struct pair pair = unix_pair();
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 0), 0);
    fail_epoll_pwait2(error);
    const int64_t timeouts[] = {0, 1, 100, 999999, 1500 * NS_PER_US};
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        int64_t began = monotonic_ns();
        long calls = system_call_count();
        assert_int_equal(wait_one(poller, timeouts[i]), 0);
        assert_true(monotonic_ns() - began >= timeouts[i]);
        /* Rounded up, so that the rest of a millisecond is slept and not spun away. The first wait
         * finds out that the call is not there. */
        assert_int_equal(system_call_count() - calls, i == 0 ? 2 : 1);
    }
    sluice_poller_wake(poller);
    assert_int_equal(wait_one(poller, SLUICE_FOREVER), 0);
    put_byte(pair.far);
    assert_int_equal(wait_one(poller, SLUICE_FOREVER), 1);
    assert_int_equal(wait_one(poller, SLUICE_FOREVER - 1), 1);
    assert_int_equal(wait_one(poller, 1), 1);
    /* It does not ask again. */
    fail_epoll_pwait2(EINVAL);
    int code = wait_one(poller, 0);
    fail_epoll_pwait2(0);
    assert_int_equal(code, 1);
}

static void pwait2_not_there(void) {
    without_pwait2(ENOSYS);
}

static void pwait2_forbidden(void) {
    without_pwait2(EPERM);
}

static void pwait2_error_is_passed_on(void) {
    sluice_poller *poller = make_poller();
    fail_epoll_pwait2(EINVAL);
    int code = wait_one(poller, 0);
    fail_epoll_pwait2(0);
    assert_int_equal(code, -EINVAL);
    assert_int_equal(wait_one(poller, 0), 0);
}

int main(void) {
    static const struct test tests[] = {
        {"by argument", by_argument, NULL},
        {"by the name before the colon", by_the_name_before_the_colon, NULL},
        {"by SLUICE_BACKEND", by_environment, NULL},
        {"the best by default", best_by_default, NULL},
        {"unknown names", unknown, NULL},
        {"the list of names ends", names_end, NULL},
        {"epoll: epoll_pwait2 gives ENOSYS", pwait2_not_there, NULL},
        {"epoll: epoll_pwait2 gives EPERM", pwait2_forbidden, NULL},
        {"epoll: another error is the caller's", pwait2_error_is_passed_on, NULL},
        {"adding", adding, NULL},
    };
    unsetenv("SLUICE_BACKEND"); /* make_poller's best is to be epoll */
    return run_once(tests, COUNT_OF(tests));
}

/* test_select.c - select in one call. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 8, UNTOUCHED = 99 };

/* A list over `fds`. Its room for the answer is filled with something that is no answer. */
struct list {
    sluice_fd_list list;
    int ready[ROOM];
};

static sluice_fd_list *make_list(struct list *list, const int *fds, size_t count) {
    for (size_t i = 0; i < ROOM; i++)
        list->ready[i] = UNTOUCHED;
    list->list = (sluice_fd_list){fds, count, list->ready, UNTOUCHED};
    return &list->list;
}

static void expect_ready(const sluice_fd_list *list, const int *fds, size_t count) {
    assert_int_equal(list->ready_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list->ready[i], fds[i]);
}

static void expect_untouched(const struct list *list) {
    assert_int_equal(list->list.ready_count, UNTOUCHED);
    for (size_t i = 0; i < ROOM; i++)
        assert_int_equal(list->ready[i], UNTOUCHED);
}

static void three_lists(void) {
    struct pair urgent = tcp_pair();
    assert_int_equal(send(urgent.far, "!", 1, MSG_OOB), 1);
    await(urgent.near, POLLPRI);
    struct pair full = unix_pair();
    fill(full.near);
    const int fds[] = {readable(), urgent.near, full.near, full.far};
    struct list reading, writing, excepting;
    int count = sluice_select(make_list(&reading, fds, 4), make_list(&writing, fds, 4),
                              make_list(&excepting, fds, 4), SLUICE_FOREVER);
    assert_int_equal(count, 6);
    expect_ready(&reading.list, (int[]){fds[0], fds[3]}, 2);
    expect_ready(&writing.list, (int[]){fds[0], fds[1], fds[3]}, 3);
    expect_ready(&excepting.list, (int[]){fds[1]}, 1);
}

static void each_list_alone(void) {
    int fd = readable();
    struct list list;
    assert_int_equal(sluice_select(make_list(&list, &fd, 1), NULL, NULL, 0), 1);
    expect_ready(&list.list, &fd, 1);
    assert_int_equal(sluice_select(NULL, make_list(&list, &fd, 1), NULL, 0), 1);
    expect_ready(&list.list, &fd, 1);
    assert_int_equal(sluice_select(NULL, NULL, make_list(&list, &fd, 1), 0), 0);
    expect_ready(&list.list, NULL, 0);
}

static void same_list_again(void) {
    struct pair pair = unix_pair();
    const int fds[] = {readable(), pair.near};
    struct list list;
    make_list(&list, fds, 2);
    assert_int_equal(sluice_select(&list.list, NULL, NULL, 0), 1);
    put_byte(pair.far);
    assert_int_equal(sluice_select(&list.list, NULL, NULL, 0), 2);
    expect_ready(&list.list, fds, 2);
    take_byte(fds[0]);
    assert_int_equal(sluice_select(&list.list, NULL, NULL, 0), 1);
    expect_ready(&list.list, &fds[1], 1);
}

static void duplicates(void) {
    int fd = readable();
    const int fds[] = {fd, unix_pair().near, fd};
    struct list list;
    assert_int_equal(sluice_select(make_list(&list, fds, 3), NULL, NULL, 0), 2);
    expect_ready(&list.list, (int[]){fd, fd}, 2);
}

static void order_is_the_callers(void) {
    const int fds[] = {duplicate(readable(), 200), readable(), duplicate(readable(), 100)};
    struct list list;
    assert_int_equal(sluice_select(make_list(&list, fds, 3), NULL, NULL, 0), 3);
    expect_ready(&list.list, fds, 3);
}

static void high_numbers(void) {
    const int lowest[] = {62, 63, 64, 1022, 1023, 1024, 1025, 5001};
    for (size_t i = 0; i < COUNT_OF(lowest); i++) {
        int fd = duplicate(readable(), lowest[i]);
        struct list reading, writing;
        assert_int_equal(sluice_select(make_list(&reading, &fd, 1), make_list(&writing, &fd, 1),
                                       NULL, SLUICE_FOREVER),
                         2);
        expect_ready(&reading.list, &fd, 1);
        expect_ready(&writing.list, &fd, 1);
        drop(fd);
    }
}

static void regular(void) {
    int fd = regular_file();
    struct list reading, writing;
    assert_int_equal(sluice_select(make_list(&reading, &fd, 1), make_list(&writing, &fd, 1), NULL,
                                   SLUICE_FOREVER),
                     2);
}

/* ---- Nothing to look at, and time -------------------------------------------------------------
 */

static void expect_sleep(sluice_fd_list *list, int64_t timeout_ns) {
    int64_t began = monotonic_ns();
    assert_int_equal(sluice_select(list, list, list, timeout_ns), 0);
    assert_true(monotonic_ns() - began >= timeout_ns);
}

static void sleeps(void) {
    struct list empty;
    sluice_fd_list without_arrays = {NULL, 0, NULL, UNTOUCHED};
    expect_sleep(NULL, 0);
    expect_sleep(NULL, 100);
    expect_sleep(NULL, 1500 * NS_PER_US);
    expect_sleep(make_list(&empty, NULL, 0), NS_PER_MS);
    assert_int_equal(empty.list.ready_count, 0);
    expect_sleep(&without_arrays, NS_PER_MS);
    assert_int_equal(without_arrays.ready_count, 0);
}

static void time_up(void) {
    int fd = unix_pair().near;
    struct list list;
    int64_t began = monotonic_ns();
    assert_int_equal(sluice_select(make_list(&list, &fd, 1), NULL, NULL, NS_PER_MS + 1), 0);
    assert_true(monotonic_ns() - began >= NS_PER_MS + 1);
    expect_ready(&list.list, NULL, 0);
}

static void huge_timeouts(void) {
    const int64_t huge[] = {SLUICE_FOREVER, SLUICE_FOREVER - 1, INT64_MAX / 2};
    int fd = readable();
    for (size_t i = 0; i < COUNT_OF(huge); i++) {
        struct list list;
        assert_int_equal(sluice_select(make_list(&list, &fd, 1), NULL, NULL, huge[i]), 1);
    }
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number) {
    (void)number;
    alarms = alarms + 1;
}

static void signals(void) {
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval every = {{.tv_usec = 1000}, {.tv_usec = 1000}};
    const struct itimerval never = {{0}, {0}};
    int fd = unix_pair().near;
    struct list list;
    make_list(&list, &fd, 1);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    /* On a busy machine several alarms of a wait may come as one. */
    do {
        int64_t began = monotonic_ns();
        assert_int_equal(sluice_select(&list.list, NULL, NULL, 30 * NS_PER_MS), 0);
        assert_true(monotonic_ns() - began >= 30 * NS_PER_MS);
    } while (alarms < 2);
    setitimer(ITIMER_REAL, &never, NULL);
}

/* ---- Refusals ----------------------------------------------------------------------------------
 */

/* `bad` beside a good one, in each list: refused, and no list touched. */
static void expect_refused(int good_fd, int bad) {
    const int fds[] = {good_fd, bad};
    for (int i = 0; i < 3; i++) {
        struct list good, other;
        sluice_fd_list *lists[3] = {make_list(&good, fds, 1), &good.list, &good.list};
        lists[i] = make_list(&other, fds, 2);
        assert_int_equal(sluice_select(lists[0], lists[1], lists[2], 0), SLUICE_EBADF);
        expect_untouched(&good);
        expect_untouched(&other);
    }
}

static void bad_numbers(void) {
    int good = readable();
    int high = duplicate(good, 3000);
    drop(high);
    const int bad[] = {-1, INT_MIN, INT_MAX, high, closed_number()};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect_refused(good, bad[i]);
}

/* Not the highest number, so that it is the kernel that sees it. */
static void closed_below_open(void) {
    int high = duplicate(readable(), 1500);
    const int fds[] = {closed_number(), high};
    struct list list;
    assert_int_equal(sluice_select(make_list(&list, fds, 2), NULL, NULL, 0), SLUICE_EBADF);
    expect_untouched(&list);
}

/* The kernel's table of descriptors reaches to 63 at first, and grows with the numbers in use. */
static void closed_above_the_table(void) {
    const int numbers[] = {63, 64, 200, 255, 256, 777, 1023, 1024, 5000};
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_MS / 1000);
        /* A child's table is as small as its descriptors allow. */
        int fds[] = {readable(), 0};
        struct list list;
        int code = 0;
        for (size_t i = 0; i < COUNT_OF(numbers); i++) {
            fds[1] = numbers[i];
            make_list(&list, fds, 2);
            code |= sluice_select(&list.list, NULL, NULL, 0) != SLUICE_EBADF;
            code |= list.list.ready_count != UNTOUCHED;
            code |= sluice_select(NULL, &list.list, NULL, SLUICE_FOREVER) != SLUICE_EBADF;
            fds[0] = unix_pair().near; /* nothing to read */
            code |= sluice_select(&list.list, NULL, NULL, SLUICE_FOREVER) != SLUICE_EBADF;
        }
        _exit(code);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void path_descriptors(void) {
    int good = readable();
    expect_refused(good, path_descriptor("/tmp"));
    expect_refused(good, duplicate(path_descriptor("/tmp"), 3000));
    struct list alone;
    int fd = path_descriptor("/");
    make_list(&alone, &fd, 1);
    assert_int_equal(sluice_select(&alone.list, NULL, NULL, SLUICE_FOREVER), SLUICE_EBADF);
    expect_untouched(&alone);
}

/* How an O_PATH descriptor is found must not end a wait for somebody else's urgent byte. */
static void urgent_byte_not_asked_about(void) {
    struct pair urgent = tcp_pair();
    assert_int_equal(send(urgent.far, "!", 1, MSG_OOB), 1);
    await(urgent.near, POLLPRI);
    struct list reading, excepting;
    int64_t began = monotonic_ns();
    int64_t used = cpu_ns();
    assert_int_equal(
        sluice_select(make_list(&reading, &urgent.near, 1), NULL, NULL, 30 * NS_PER_MS), 0);
    assert_true(monotonic_ns() - began >= 30 * NS_PER_MS);
    assert_true(cpu_ns() - used < 20 * NS_PER_MS);
    expect_ready(&reading.list, NULL, 0);
    const int fds[] = {urgent.near, readable()};
    assert_int_equal(sluice_select(make_list(&reading, fds, 2), NULL, NULL, SLUICE_FOREVER), 1);
    expect_ready(&reading.list, &fds[1], 1);
    assert_int_equal(sluice_select(make_list(&reading, fds, 1), NULL, make_list(&excepting, fds, 1),
                                   SLUICE_FOREVER),
                     1);
    expect_ready(&reading.list, NULL, 0);
    expect_ready(&excepting.list, fds, 1);
}

static void bad_timeout(void) {
    int fd = readable();
    struct list list;
    make_list(&list, &fd, 1);
    assert_int_equal(sluice_select(&list.list, NULL, NULL, -1), SLUICE_ETIMEOUT);
    assert_int_equal(sluice_select(&list.list, NULL, NULL, INT64_MIN), SLUICE_ETIMEOUT);
    expect_untouched(&list);
}

static void missing_arrays(void) {
    int fd = readable();
    int ready[1];
    sluice_fd_list no_fds = {NULL, 1, ready, 0};
    sluice_fd_list no_room = {&fd, 1, NULL, 0};
    struct list good;
    make_list(&good, &fd, 1);
    assert_int_equal(sluice_select(&good.list, &no_fds, NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_select(&good.list, NULL, &no_room, 0), SLUICE_ENULL);
    expect_untouched(&good);
}

int main(void) {
    static const struct test tests[] = {
        {"three lists", three_lists, NULL},
        {"each list alone", each_list_alone, NULL},
        {"the same list again", same_list_again, NULL},
        {"a number twice in a list", duplicates, NULL},
        {"the answer has the order of the question", order_is_the_callers, NULL},
        {"numbers at the ends of words, and above 1,024 and 5,000", high_numbers, NULL},
        {"a regular file is ready", regular, NULL},
        {"nothing to look at: sleeps", sleeps, NULL},
        {"time up", time_up, NULL},
        {"huge timeouts", huge_timeouts, NULL},
        {"signals do not shorten it", signals, NULL},
        {"numbers that are not open", bad_numbers, NULL},
        {"a closed number below an open one", closed_below_open, NULL},
        {"closed numbers above the table of descriptors", closed_above_the_table, NULL},
        {"O_PATH descriptors", path_descriptors, NULL},
        {"an urgent byte that was not asked about", urgent_byte_not_asked_about, NULL},
        {"negative timeout", bad_timeout, NULL},
        {"lists without their arrays", missing_arrays, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

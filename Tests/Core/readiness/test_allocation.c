/* test_allocation.c - memory runs out at every point. A scenario that makes everything grow is run
 * with its first allocation failing, then with its second, and so on until it has no failure. Each
 * step that fails must say so, leave nothing behind, and succeed when tried again. */
#include "support.h"

#include "faults.h"

enum { SOCKETS = 100, FILES = 10, HIGH_NUMBER = 3000 };

/* The descriptors are the same in each run, so that the runs allocate alike. */
static int fds[SOCKETS + FILES + 1];

static void make_descriptors(void) {
    size_t at = 0;
    while (at < SOCKETS) {
        struct pair pair = unix_pair();
        put_byte(pair.far);
        put_byte(pair.near);
        fds[at++] = pair.near;
        fds[at++] = pair.far;
    }
    while (at < SOCKETS + FILES)
        fds[at++] = regular_file();
    fds[at] = duplicate(fds[0], number_up_to(HIGH_NUMBER));
}

static sluice_poller *create(void) {
    sluice_poller *poller = (sluice_poller *)fds;
    size_t open_before = open_fd_count();
    long live_before = live_allocation_count();
    int code = sluice_poller_create(&poller, test_backend());
    if (code != 0) {
        assert_int_equal(code, SLUICE_ENOMEM);
        assert_null(poller);
        assert_int_equal(open_fd_count(), open_before);
        assert_int_equal(live_allocation_count(), live_before);
        assert_int_equal(sluice_poller_create(&poller, test_backend()), 0);
    }
    return poller;
}

static void add(sluice_poller *poller, int fd, uint64_t user) {
    int code = sluice_poller_add(poller, fd, SLUICE_READ, user);
    if (code != 0) {
        assert_int_equal(code, SLUICE_ENOMEM);
        assert_int_equal(sluice_poller_modify(poller, fd, SLUICE_READ, user), SLUICE_ENOENT);
        assert_int_equal(sluice_poller_remove(poller, fd), SLUICE_ENOENT);
        assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, user), 0);
    }
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, user), SLUICE_EEXIST);
}

/* A registration whose modify fails keeps its interest and its user word. */
static void modify(sluice_poller *poller, int fd, uint32_t interest, uint64_t user) {
    int code = sluice_poller_modify(poller, fd, interest, user);
    if (code != 0) {
        assert_int_equal(code, SLUICE_ENOMEM);
        assert_int_equal(sluice_poller_modify(poller, fd, interest, user), 0);
    }
}

/* In one wait. libevent's epoll has room for few events in its first wait, and for twice as many in
 * each next one. Its select may need memory in a wait. */
static void expect_all(sluice_poller *poller, uint64_t first_user) {
    static sluice_ready events[COUNT_OF(fds) + 1];
    bool seen[COUNT_OF(fds)] = {false};
    size_t left = COUNT_OF(fds);
    for (int waits = 0; left > 0 && waits < (over_libevent() ? 4 : 1); waits++) {
        int count = sluice_poller_wait(poller, events, COUNT_OF(events), 0);
        if (count == SLUICE_ENOMEM && over_libevent() && allocation_has_failed())
            continue;
        assert_in_range(count, 1, COUNT_OF(fds));
        for (int i = 0; i < count; i++) {
            size_t at = (size_t)(events[i].user - first_user);
            assert_true(at < COUNT_OF(fds) && events[i].fd == fds[at]);
            left -= !seen[at];
            seen[at] = true;
        }
    }
    assert_int_equal(left, 0);
}

static void use_poller(void) {
    sluice_poller *poller = create();
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        add(poller, fds[i], i);
    expect_all(poller, 0);
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        modify(poller, fds[i], SLUICE_NONE, i);
    for (size_t i = COUNT_OF(fds); i-- > 0;)
        modify(poller, fds[i], SLUICE_READ, 1000 + i);
    expect_all(poller, 1000);
    for (size_t i = 0; i < COUNT_OF(fds); i += 2)
        assert_int_equal(sluice_poller_remove(poller, fds[i]), 0);
    sluice_poller_destroy(poller);
}

static void use_select(void) {
    int ready[COUNT_OF(fds)] = {-1};
    sluice_fd_list reading = {fds, COUNT_OF(fds), ready, 77};
    int code = sluice_select(&reading, NULL, NULL, 0);
    if (code < 0) {
        assert_int_equal(code, SLUICE_ENOMEM);
        assert_int_equal(reading.ready_count, 77);
        assert_int_equal(ready[0], -1);
        code = sluice_select(&reading, NULL, NULL, 0);
    }
    assert_int_equal(code, COUNT_OF(fds));
}

/* Runs `scenario` with each of its allocations failing in turn. There are at least `least`. */
static void fail_each(void (*scenario)(void), long least) {
    make_descriptors();
    long nth = 0;
    do {
        long live_before = live_allocation_count();
        size_t open_before = open_fd_count();
        fail_allocation(++nth);
        scenario();
        assert_int_equal(live_allocation_count(), live_before);
        assert_int_equal(open_fd_count(), open_before);
    } while (allocation_has_failed());
    assert_true(nth - 1 >= least);
}

/* The poller, its registrations growing past 64 and to HIGH_NUMBER, and what the backend has. */
static void poller(void) {
    fail_each(use_poller, 5);
}

static void high_select(void) {
    fail_each(use_select, 1);
}

static void ready_file_modified(void) {
    sluice_poller *made = make_poller();
    int fd = unix_pair().near;
    assert_int_equal(sluice_poller_add(made, fd, SLUICE_READ, 7), 0);
    int file = regular_file();
    assert_int_equal(sluice_poller_add(made, file, SLUICE_NONE, 1), 0);
    fail_allocation(1);
    int code = sluice_poller_modify(made, file, SLUICE_READ, 2);
    bool failed = allocation_has_failed();
    fail_allocation(0);
    /* Only epoll needs memory for it, and libevent. */
    assert_int_equal(code, failed ? SLUICE_ENOMEM : 0);
    sluice_ready event;
    assert_int_equal(sluice_poller_wait(made, &event, 1, 0), failed ? 0 : 1);
    assert_int_equal(sluice_poller_modify(made, file, SLUICE_READ, 3), 0);
    assert_int_equal(sluice_poller_wait(made, &event, 1, 0), 1);
    assert_int_equal(event.user, 3);
}

int main(void) {
    static const struct test over_backends[] = {
        {"each allocation of a poller fails", poller, NULL},
        {"no memory for a file that is always ready", ready_file_modified, NULL},
    };
    static const struct test once[] = {{"each allocation of select fails", high_select, NULL}};
    int first = run_over_backends(over_backends, COUNT_OF(over_backends));
    int second = run_once(once, COUNT_OF(once));
    return first != 0 ? first : second;
}

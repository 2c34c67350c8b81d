/* test_stale.c - a watched number is closed without a remove, and a duplicate keeps its file open.
 * Then epoll has an entry that nothing can delete, and that reports for ever. A poller gets rid of
 * it with a new epoll instance. Here the kernel gives no new instance. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "faults.h"

/* What there is too little of: who then refuses what. */
struct shortage {
    int create_error;
    int add_error;
    int good_adds;
};

static const struct shortage shortages[] = {
    {.create_error = EMFILE},
    {.create_error = ENFILE},
    {.create_error = ENOMEM},
    {.add_error = ENOSPC},
    {.add_error = ENOMEM, .good_adds = 1},
    {.add_error = ENOSPC, .good_adds = 2},
};

static void begin_shortage(const struct shortage *shortage) {
    fail_epoll_create(shortage->create_error);
    fail_epoll_adds(shortage->add_error, shortage->good_adds);
}

static void end_shortage(void) {
    fail_epoll_create(0);
    fail_epoll_adds(0, 0);
}

/* libevent moves its registrations one by one, and is short only of what makes a base. */
static bool can_be_short(const struct shortage *shortage) {
    return shortage->create_error != 0 || !over_libevent();
}

/* The number is closed before it is removed: nobody owns what its file reports. Then another file
 * has the number. libevent knows only the number, and would take one file for the other meanwhile.
 */
static void leave_stale_entry(sluice_poller *poller) {
    struct pair pair = unix_pair();
    struct pair next = unix_pair();
    (void)duplicate(pair.near, 0);
    put_byte(pair.far);
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 1), 0);
    drop(pair.near);
    assert_int_equal(sluice_poller_remove(poller, pair.near), 0);
    move_fd(next.near, pair.near);
    if (over_libevent())
        return;
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 2), 0);
}

/* The next event, which must be of that user word. */
static void expect_event_of(sluice_poller *poller, uint64_t user) {
    sluice_ready event = {0};
    assert_int_equal(sluice_poller_wait(poller, &event, 1, PATIENCE_NS), 1);
    assert_int_equal(event.user, user);
}

static void others_go_on(void) {
    for (size_t i = 0; i < COUNT_OF(shortages); i++) {
        if (!can_be_short(&shortages[i]))
            continue;
        sluice_poller *poller = make_poller();
        struct pair pair = unix_pair();
        leave_stale_entry(poller);
        assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 7), 0);
        begin_shortage(&shortages[i]);
        for (int round = 0; round < 5; round++) {
            put_byte(pair.far);
            expect_event_of(poller, 7);
            take_byte(pair.near);
        }
        end_shortage();
        put_byte(pair.far);
        expect_event_of(poller, 7);
    }
}

static void nothing_spins_and_time_ends(void) {
    for (size_t i = 0; i < COUNT_OF(shortages); i++) {
        if (!can_be_short(&shortages[i]))
            continue;
        sluice_poller *poller = make_poller();
        leave_stale_entry(poller);
        assert_int_equal(sluice_poller_add(poller, unix_pair().near, SLUICE_READ, 7), 0);
        begin_shortage(&shortages[i]);
        int64_t began = monotonic_ns();
        int64_t used = cpu_ns();
        long calls = system_call_count();
        assert_int_equal(wait_one(poller, 50 * NS_PER_MS), 0);
        assert_true(monotonic_ns() - began >= 50 * NS_PER_MS);
        assert_true(cpu_ns() - used < 25 * NS_PER_MS);
        /* libevent asks for a few descriptors each time. */
        assert_true(system_call_count() - calls < 300);
        assert_int_equal(wait_one(poller, 0), 0);
        assert_int_equal(wait_one(poller, 1), 0);
        end_shortage();
    }
}

/* As soon as there is enough again, nothing is left of it. */
static void it_ends_with_the_shortage(void) {
    for (size_t i = 0; i < COUNT_OF(shortages); i++) {
        if (!can_be_short(&shortages[i]))
            continue;
        sluice_poller *poller = make_poller();
        leave_stale_entry(poller);
        begin_shortage(&shortages[i]);
        assert_int_equal(wait_one(poller, NS_PER_MS), 0);
        end_shortage();
        assert_int_equal(wait_one(poller, 40 * NS_PER_MS), 0);
        long calls = system_call_count();
        assert_int_equal(wait_one(poller, 0), 0);
        assert_int_equal(system_call_count() - calls, 1);
    }
}

static void *wake_it(void *poller) {
    sluice_poller_wake(poller);
    return NULL;
}

static void wakes_get_through(void) {
    sluice_poller *poller = make_poller();
    leave_stale_entry(poller);
    begin_shortage(&shortages[0]);
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_it, poller), 0);
        int64_t began = monotonic_ns();
        int count = wait_one(poller, PATIENCE_NS);
        pthread_join(thread, NULL);
        assert_int_equal(count, 0);
        assert_true(monotonic_ns() - began < PATIENCE_NS);
        /* A wake is one wait's. */
        began = monotonic_ns();
        assert_int_equal(wait_one(poller, NS_PER_MS), 0);
        assert_true(monotonic_ns() - began >= NS_PER_MS);
    }
}

static void modes_stay_as_they_are(void) {
    if (!backend_is("epoll"))
        return;
    for (size_t i = 0; i < COUNT_OF(shortages); i++) {
        sluice_poller *poller = make_poller();
        struct pair once = unix_pair();
        struct pair edge = unix_pair();
        struct pair closed = unix_pair();
        put_byte(once.far);
        put_byte(edge.far);
        int number = move_fd(closed.near, 300 + (int)i);
        assert_int_equal(sluice_poller_add(poller, once.near, SLUICE_READ | SLUICE_ONE_SHOT, 3), 0);
        assert_int_equal(sluice_poller_add(poller, edge.near, SLUICE_READ | SLUICE_EDGE, 4), 0);
        assert_int_equal(sluice_poller_add(poller, number, SLUICE_READ, 5), 0);
        sluice_ready events[4];
        assert_int_equal(sluice_poller_wait(poller, events, 4, 0), 2);
        drop(number);
        leave_stale_entry(poller);
        begin_shortage(&shortages[i]);
        for (int round = 0; round < 3; round++)
            assert_int_equal(wait_one(poller, 12 * NS_PER_MS), 0);
        assert_true(sluice_poller_is_current(poller, &events[0]));
        assert_true(sluice_poller_is_current(poller, &events[1]));
        put_byte(edge.far);
        expect_event_of(poller, 4);
        assert_int_equal(sluice_poller_modify(poller, once.near, SLUICE_READ | SLUICE_ONE_SHOT, 3),
                         0);
        expect_event_of(poller, 3);
        assert_int_equal(sluice_poller_modify(poller, number, SLUICE_READ, 5), SLUICE_EBADF);
        end_shortage();
        /* An edge may be told again. */
        while (sluice_poller_wait(poller, events, 4, 12 * NS_PER_MS) > 0)
            assert_int_equal(events[0].user, 4);
        int again = move_fd(readable(), number);
        assert_int_equal(sluice_poller_modify(poller, again, SLUICE_READ, 6), 0);
        expect_event_of(poller, 6);
        assert_int_equal(sluice_poller_remove(poller, again), 0);
        assert_int_equal(sluice_poller_modify(poller, once.near, SLUICE_READ | SLUICE_ONE_SHOT, 3),
                         0);
        expect_event_of(poller, 3);
    }
}

/* Really none is left, in a process of one thread. */
static void at_the_limit_of_descriptors(void) {
    sluice_poller *poller = make_poller();
    struct pair pair = unix_pair();
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 7), 0);
    leave_stale_entry(poller);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)closed_number(), .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    put_byte(pair.far);
    sluice_ready event = {0};
    int count = sluice_poller_wait(poller, &event, 1, PATIENCE_NS);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(count, 1);
    assert_int_equal(event.user, 7);
}

/* The new instance gets the lowest number that is free: that of a registration. */
static void the_new_instance_takes_a_watched_number(void) {
    sluice_poller *poller = make_poller();
    int low = unix_pair().near;
    struct pair pair = unix_pair();
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 7), 0);
    assert_int_equal(sluice_poller_add(poller, low, SLUICE_READ, 8), 0);
    leave_stale_entry(poller);
    int later = readable();
    drop(low);
    sluice_ready events[8];
    /* libevent's poll tells of a closed number as ready, and libevent of an old file. */
    for (int i = 0; i < 3; i++) {
        int count = sluice_poller_wait(poller, events, 8, 0);
        assert_true(over_libevent() || count == 0);
    }
    put_byte(pair.far);
    bool found = false;
    for (int i = 0; i < 3; i++) {
        int count = sluice_poller_wait(poller, events, 8, PATIENCE_NS);
        assert_true(count > 0);
        while (count-- > 0)
            found |= events[count].user == 7;
    }
    assert_true(found);
    if (over_libevent())
        return; /* which has the number now */
    assert_int_equal(sluice_poller_modify(poller, low, SLUICE_READ, 8), SLUICE_EBADF);
    int again = move_fd(later, low);
    assert_int_equal(sluice_poller_modify(poller, again, SLUICE_READ | SLUICE_ONE_SHOT, 9), 0);
    take_byte(pair.near);
    expect_event_of(poller, 9);
}

int main(void) {
    static const struct test tests[] = {
        {"short of anything: other registrations go on", others_go_on, NULL},
        {"short of anything: nothing spins, and time ends", nothing_spins_and_time_ends, NULL},
        {"short of anything: it ends with the shortage", it_ends_with_the_shortage, NULL},
        {"short of descriptors: wakes get through", wakes_get_through, NULL},
        {"short of anything: modes stay as they are", modes_stay_as_they_are, NULL},
        {"at the limit of descriptors", at_the_limit_of_descriptors, NULL},
        {"the new instance would take a watched number", the_new_instance_takes_a_watched_number,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_cost.c - what the calls promise to cost: system calls and allocations. The linker puts a
 * counter in front of these (see faults.h). libevent is linked in, so its own calls count, too.
 */
#include "support.h"

#include "faults.h"

struct cost {
    long system_calls;
    long allocations;
};

static struct cost now(void) {
    return (struct cost){system_call_count(), allocation_count()};
}

static void expect_cost(struct cost before, long system_calls) {
    struct cost after = now();
    assert_int_equal(after.system_calls - before.system_calls, system_calls);
    assert_int_equal(after.allocations - before.allocations, 0);
}

/* 30 sockets, of which `ready` have data, at most every other one. And one wait, in which
 * libevent's select takes its memory. */
static sluice_poller *make_poller_with(int ready, uint32_t interest) {
    sluice_poller *poller = make_poller();
    struct pair pairs[15];
    sluice_ready event;
    for (int i = 0; i < 15; i++) {
        pairs[i] = unix_pair();
        assert_int_equal(sluice_poller_add(poller, pairs[i].near, SLUICE_READ, 0), 0);
        assert_int_equal(sluice_poller_add(poller, pairs[i].far, SLUICE_READ, 0), 0);
    }
    assert_int_equal(sluice_poller_wait(poller, &event, 1, 0), 0);
    for (int i = 0; i < 15; i++) {
        if (i < ready)
            put_byte(pairs[i].far);
        assert_int_equal(sluice_poller_modify(poller, pairs[i].near, interest, 0), 0);
        assert_int_equal(sluice_poller_modify(poller, pairs[i].far, interest, 0), 0);
    }
    return poller;
}

static sluice_poller *make_busy_poller(uint32_t interest) {
    return make_poller_with(15, interest);
}

static void expect_wait(sluice_poller *poller, int64_t timeout_ns, int events, long system_calls) {
    sluice_ready room[64];
    struct cost before = now();
    int count = sluice_poller_wait(poller, room, COUNT_OF(room), timeout_ns);
    expect_cost(before, system_calls);
    assert_int_equal(count, events);
}

static void wait_with_events(void) {
    sluice_poller *poller = make_busy_poller(SLUICE_READ);
    expect_wait(poller, 0, 15, 1);
    expect_wait(poller, NS_PER_MS, 15, 1);
    expect_wait(poller, SLUICE_FOREVER, 15, 1);
}

static void wait_without_events(void) {
    sluice_poller *poller = make_poller_with(0, SLUICE_READ);
    expect_wait(poller, 0, 0, 1);
    /* libevent's clock may stand still meanwhile, and it sleeps on. */
    if (!backend_is("libevent:epoll"))
        expect_wait(poller, NS_PER_MS, 0, 1);
}

static void wait_one_shot(void) {
    sluice_poller *poller = make_busy_poller(SLUICE_READ | SLUICE_ONE_SHOT);
    /* libevent cannot disarm what it keeps in epoll, and takes each entry out. */
    expect_wait(poller, 0, 15, backend_is("libevent:epoll") ? 1 + 15 : 1);
    expect_wait(poller, 0, 0, 1);
}

static void wait_beside_files(void) {
    sluice_poller *poller = make_busy_poller(SLUICE_READ);
    assert_int_equal(sluice_poller_add(poller, regular_file(), SLUICE_READ, 0), 0);
    expect_wait(poller, SLUICE_FOREVER, 16, 1);
    expect_wait(poller, SLUICE_FOREVER, 16, 1);
}

static void wakes(void) {
    sluice_poller *poller = make_poller_with(0, SLUICE_READ);
    /* A level has to be read away; an edge falls silent by itself. */
    long wait = poller_has(poller, SLUICE_FEATURE_EDGE) ? 1 : 2;
    for (int round = 0; round < 3; round++) {
        struct cost before = now();
        sluice_poller_wake(poller);
        expect_cost(before, 1);
        sluice_poller_wake(poller);
        expect_cost(before, 1);
        expect_wait(poller, SLUICE_FOREVER, 0, wait);
        expect_wait(poller, 0, 0, 1);
    }
}

/* One call tells the kernel, or sees that the descriptor is open. A removal asks only epoll.
 * libevent's epoll gets more calls: to forget, and to look again. */
static void changes(void) {
    sluice_poller *poller = make_busy_poller(SLUICE_READ);
    int fd = unix_pair().near;
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, 0), 0);
    struct cost before = now();
    assert_int_equal(sluice_poller_modify(poller, fd, SLUICE_WRITE, 0), 0);
    expect_cost(before, backend_is("libevent:epoll") ? 3 : 1);
    before = now();
    assert_int_equal(sluice_poller_remove(poller, fd), 0);
    assert_int_equal(system_call_count() - before.system_calls, backend_is("libevent:epoll") ? 2
                                                                : backend_is("epoll")        ? 1
                                                                                             : 0);
    before = now();
    assert_int_equal(sluice_poller_add(poller, fd, SLUICE_READ, 0), 0);
    expect_cost(before, backend_is("libevent:epoll") ? 2 : 1);
}

static void select_in_one_call(void) {
    int ready[1];
    int fd = unix_pair().near;
    sluice_fd_list writing = {&fd, 1, ready, 0};
    struct cost before = now();
    assert_int_equal(sluice_select(NULL, &writing, NULL, SLUICE_FOREVER), 1);
    expect_cost(before, 1);
}

int main(void) {
    static const struct test over_backends[] = {
        {"a wait with events: one call", wait_with_events, NULL},
        {"a wait without events: one call", wait_without_events, NULL},
        {"a wait on one-shots: one call", wait_one_shot, NULL},
        {"a wait beside a regular file: one call", wait_beside_files, NULL},
        {"wakes: one call between them, and a read where level-triggered", wakes, NULL},
        {"add, modify and remove: one call", changes, NULL},
    };
    static const struct test once[] = {{"select: one call", select_in_one_call, NULL}};
    int first = run_over_backends(over_backends, COUNT_OF(over_backends));
    int second = run_once(once, COUNT_OF(once));
    return first != 0 ? first : second;
}

/* test_loop_accept_errors.c - accept(2) fails because of one caller: the caller is gone from the
 * queue, and nothing is wrong with the listener. The next caller is accepted at once. */
#include "loops.h"

#include <errno.h>
#include <poll.h>

#include "faults.h"

/* accept(2): errors of the network, and of a firewall, that are the caller's. */
static const int errors[] = {ECONNABORTED, EPROTO,    EPERM,        ENETDOWN,
                             ENETUNREACH,  EHOSTDOWN, EHOSTUNREACH, ENOPROTOOPT,
                             EOPNOTSUPP,   ENONET,    ETIMEDOUT};

static void put_in_queue(const char *address) {
    await(dial(address), POLLOUT);
}

static void the_next_is_accepted_at_once(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        for (int failing = 1; failing <= 3; failing++) {
            for (int caller = 0; caller <= failing; caller++)
                put_in_queue(address);
            fail_callers(errors[i], failing);
            uint64_t turns = stats_of(loop).turns;
            expect_event(loop, SLUICE_ACCEPTED);
            assert_true(stats_of(loop).turns - turns <= (uint64_t)failing + 1);
            expect_no_event(loop);
        }
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 3 * COUNT_OF(errors));
}

/* Nobody is left: nothing comes, nothing spins, and one that calls later is accepted. */
static void the_last_in_the_queue(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        put_in_queue(address);
        fail_callers(errors[i], 1);
        expect_no_event(loop);
        uint64_t turns = stats_of(loop).turns;
        sluice_event event;
        assert_int_equal(sluice_next(loop, &event, 2 * NS_PER_MS), 0);
        assert_true(stats_of(loop).turns - turns <= 3);
        put_in_queue(address);
        expect_event(loop, SLUICE_ACCEPTED);
    }
}

/* Some callers fail among others. All others are accepted, also with many events a pull. */
static void amid_others(void) {
    enum { CALLERS = 40, FAILING = 25 };
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.accept_batch = 8;
    make_listener(loop, &options, address);
    for (int i = 0; i < CALLERS; i++)
        put_in_queue(address);
    fail_callers(EPROTO, FAILING);
    sluice_event events[16];
    int accepted = 0;
    while (accepted < CALLERS - FAILING) {
        int count = sluice_next_many(loop, events, 16, PATIENCE_NS);
        assert_in_range(count, 1, 16);
        for (int i = 0; i < count; i++)
            assert_int_equal(events[i].kind, SLUICE_ACCEPTED);
        accepted += count;
    }
    assert_int_equal(accepted, CALLERS - FAILING);
    expect_no_event(loop);
}

/* By itself, too. */
static void sluice_socket_accept_passes_over(void) {
    int listener = tcp_listener(8);
    char address[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    assert_int_equal(sluice_socket_error(listener), 0);
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        put_in_queue(address);
        put_in_queue(address);
        fail_callers(errors[i], 1);
        keep(sluice_socket_accept(listener));
        fail_callers(errors[i], 1);
        put_in_queue(address);
        assert_int_equal(sluice_socket_accept(listener), SLUICE_EAGAIN);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"a caller that failed: the next is accepted at once", the_next_is_accepted_at_once, NULL},
        {"a caller that failed was the last", the_last_in_the_queue, NULL},
        {"callers that failed, amid others", amid_others, NULL},
        {"sluice_socket_accept passes over callers that failed", sluice_socket_accept_passes_over,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_batches.c - what one wait reports, and in which order. The contract tests small batches, and
 * that they starve nobody. */
#include "support.h"

#include <fcntl.h>
#include <unistd.h>

/* epoll has a queue of what became ready, and libevent begins where it likes. */
static bool reports_in_order(void) {
    return backend_is("poll") || backend_is("select");
}

/* Checks that the `count` next events are those of fds[first] and on, of `total`, and then from
 * fds[0]. */
static void expect_in_order(sluice_poller *poller, int capacity, const int *fds, int total,
                            int first, int count) {
    sluice_ready events[64];
    assert_true(capacity <= (int)COUNT_OF(events));
    assert_int_equal(sluice_poller_wait(poller, events, capacity, 0), count);
    for (int i = 0; i < count; i++)
        assert_int_equal(events[i].fd, fds[(first + i) % total]);
}

/* Sockets with ascending numbers, added in a mixed order. Then some are removed, and some of those
 * are added again. */
static sluice_poller *make_muddled_poller(int *fds, int count) {
    sluice_poller *poller = make_poller();
    fds[0] = readable();
    for (int i = 1; i < count; i++) {
        fds[i] = readable();
        assert_true(fds[i] > fds[i - 1]);
    }
    for (int i = 0; i < count; i++)
        assert_int_equal(sluice_poller_add(poller, fds[i * 7 % count], SLUICE_READ, 0), 0);
    for (int i = 0; i < count; i += 3)
        assert_int_equal(sluice_poller_remove(poller, fds[i]), 0);
    for (int i = count / 3 * 3; i >= 0; i -= 3)
        if (i < count)
            assert_int_equal(sluice_poller_add(poller, fds[i], SLUICE_READ, 0), 0);
    assert_int_equal(sluice_poller_modify(poller, fds[count / 2], SLUICE_NONE, 0), 0);
    assert_int_equal(sluice_poller_modify(poller, fds[count / 2], SLUICE_READ, 0), 0);
    return poller;
}

static void events_in_ascending_order(void) {
    int fds[20];
    if (!reports_in_order())
        return;
    sluice_poller *poller = make_muddled_poller(fds, COUNT_OF(fds));
    for (int i = 0; i < 3; i++)
        expect_in_order(poller, 64, fds, 20, 0, 20);
    expect_in_order(poller, 20, fds, 20, 0, 20);
    expect_in_order(poller, 20, fds, 20, 0, 20);
}

/* If nothing was left over, what came before says nothing about where the next wait begins. */
static void order_after_a_single_event(void) {
    sluice_poller *poller = make_poller();
    struct pair pairs[3];
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        pairs[i] = unix_pair();
        assert_int_equal(sluice_poller_add(poller, pairs[i].near, SLUICE_READ, 0), 0);
    }
    if (!reports_in_order())
        return;
    put_byte(pairs[0].far);
    const int fds[] = {pairs[0].near, pairs[1].near, pairs[2].near};
    expect_in_order(poller, 8, fds, 3, 0, 1);
    for (size_t i = 1; i < COUNT_OF(pairs); i++)
        put_byte(pairs[i].far);
    expect_in_order(poller, 8, fds, 3, 0, 3);
    expect_in_order(poller, 3, fds, 3, 0, 3);
    expect_in_order(poller, 3, fds, 3, 0, 3);
}

static void order_where_not_all_fit(void) {
    int fds[20];
    if (!reports_in_order())
        return;
    sluice_poller *poller = make_muddled_poller(fds, COUNT_OF(fds));
    expect_in_order(poller, 7, fds, 20, 0, 7);
    expect_in_order(poller, 7, fds, 20, 7, 7);
    expect_in_order(poller, 7, fds, 20, 14, 7);
    /* The last left something over, and so this begins behind it. Then nothing is left over. */
    expect_in_order(poller, 20, fds, 20, 1, 20);
    expect_in_order(poller, 20, fds, 20, 0, 20);
    /* What the walk is to begin with may be gone. */
    expect_in_order(poller, 19, fds, 20, 0, 19);
    assert_int_equal(sluice_poller_remove(poller, fds[19]), 0);
    expect_in_order(poller, 20, fds, 19, 0, 19);
}

/* As many as there are, each once, whatever the backend handles at a time. */
static void all_that_fit_in_one_batch(void) {
    enum { MANY = 1500 };
    static sluice_ready events[2 * MANY];
    static bool seen[MANY];
    if (backend_is("libevent:select"))
        return; /* below FD_SETSIZE there are not as many */
    sluice_poller *poller = make_poller();
    int fd = unix_pair().near;
    int fds[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        assert_int_equal(sluice_poller_add(poller, fds[i], SLUICE_WRITE, i), 0);
        seen[i] = false;
    }
    /* libevent's epoll is told of more in each wait than in the one before. */
    for (int i = 0; i < 8 && over_libevent(); i++)
        sluice_poller_wait(poller, events, COUNT_OF(events), 0);
    const int capacities[] = {COUNT_OF(events), MANY, MANY + 1};
    int counts[COUNT_OF(capacities)];
    for (size_t i = 0; i < COUNT_OF(capacities); i++)
        counts[i] = sluice_poller_wait(poller, events, capacities[i], 0);
    int twice = 0;
    for (int i = 0; i < MANY; i++) {
        twice += seen[events[i].user];
        seen[events[i].user] = true;
    }
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    for (size_t i = 0; i < COUNT_OF(capacities); i++)
        assert_int_equal(counts[i], MANY);
    assert_int_equal(twice, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"poll, select: events in ascending order", events_in_ascending_order, NULL},
        {"poll, select: order after a single event", order_after_a_single_event, NULL},
        {"poll, select: order where not all fit", order_where_not_all_fit, NULL},
        {"all that are ready and fit come in one batch", all_that_fit_in_one_batch, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

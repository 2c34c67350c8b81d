/* test_wake.c - wakes from other threads and from signal handlers: none is lost, and what was
 * written before a wake can be read after it. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

enum { WAKERS = 4, WAKES = 2000 };

struct waker {
    sluice_poller *poller;
    atomic_int written; /* relaxed: it orders nothing, the wake has to */
    pthread_t thread;
};

/* Each waker writes how far it is, wakes, and goes on without waiting for anybody. */
static void *wake_often(void *argument) {
    struct waker *waker = argument;
    for (int i = 1; i <= WAKES; i++) {
        atomic_store_explicit(&waker->written, i, memory_order_relaxed);
        sluice_poller_wake(waker->poller);
    }
    return NULL;
}

/* If one wake were lost, the wait for the last of them would not return. */
static void none_is_lost(void) {
    static struct waker wakers[WAKERS];
    sluice_poller *poller = make_poller();
    for (int i = 0; i < WAKERS; i++) {
        wakers[i].poller = poller;
        atomic_init(&wakers[i].written, 0);
        assert_int_equal(pthread_create(&wakers[i].thread, NULL, wake_often, &wakers[i]), 0);
    }
    int finished = 0;
    int waits = 0;
    bool lost = false;
    while (finished < WAKERS && !lost) {
        int64_t began = monotonic_ns();
        lost = wait_one(poller, PATIENCE_NS) != 0 || monotonic_ns() - began >= PATIENCE_NS;
        waits++;
        finished = 0;
        for (int i = 0; i < WAKERS; i++)
            finished += atomic_load_explicit(&wakers[i].written, memory_order_relaxed) == WAKES;
    }
    for (int i = 0; i < WAKERS; i++)
        pthread_join(wakers[i].thread, NULL);
    assert_false(lost);
    assert_true(waits <= WAKERS * WAKES);
}

/* A plain word, handed over by nothing but a wake, and back by nothing but a wake of the other
 * poller. ThreadSanitizer sees whether the wakes order it. */
struct exchange {
    sluice_poller *there;
    sluice_poller *back;
    long word;
};

static void *answer(void *argument) {
    struct exchange *exchange = argument;
    for (int i = 0; i < WAKES; i++) {
        if (wait_one(exchange->there, PATIENCE_NS) != 0)
            return NULL;
        exchange->word++;
        sluice_poller_wake(exchange->back);
    }
    return NULL;
}

static void what_was_written_is_seen(void) {
    struct exchange exchange = {.there = make_poller(), .back = make_poller()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer, &exchange), 0);
    bool in_order = true;
    for (long i = 0; i < WAKES && in_order; i++) {
        in_order = exchange.word == 2 * i;
        exchange.word++;
        sluice_poller_wake(exchange.there);
        in_order &= wait_one(exchange.back, PATIENCE_NS) == 0;
    }
    pthread_join(thread, NULL);
    assert_true(in_order);
    assert_int_equal(exchange.word, 2 * WAKES);
}

/* Two wakes that count as one: the second does nothing but find the first, and yet hands over what
 * was written before it. The turns are relaxed, so that nothing but the wakes orders the words. */
struct relay {
    sluice_poller *poller;
    atomic_int turn;
    long words[2];
};

static void *write_then_wake(void *argument) {
    struct relay *relay = argument;
    int mine = atomic_load_explicit(&relay->turn, memory_order_relaxed);
    relay->words[mine] = mine + 1;
    sluice_poller_wake(relay->poller);
    atomic_store_explicit(&relay->turn, mine + 1, memory_order_relaxed);
    return NULL;
}

static void both_of_two_wakes_hand_over(void) {
    for (int round = 0; round < 20; round++) {
        struct relay relay = {.poller = make_poller()};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, write_then_wake, &relay), 0);
            while (atomic_load_explicit(&relay.turn, memory_order_relaxed) == i)
                sched_yield();
        }
        int count = wait_one(relay.poller, SLUICE_FOREVER);
        long sum = relay.words[0] + relay.words[1];
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(count, 0);
        assert_int_equal(sum, 3);
    }
}

static void wakes_do_not_hide_events(void) {
    sluice_poller *poller = make_poller();
    struct pair pair = unix_pair();
    put_byte(pair.far);
    assert_int_equal(sluice_poller_add(poller, pair.near, SLUICE_READ, 0), 0);
    int events = 0;
    for (int i = 0; i < 10; i++) {
        sluice_poller_wake(poller);
        int count = wait_one(poller, SLUICE_FOREVER);
        assert_true(count >= 0);
        events += count;
    }
    assert_true(events >= 5);
}

static sluice_poller *poller_to_wake;

static void on_signal(int number) {
    (void)number;
    sluice_poller_wake(poller_to_wake);
}

static void from_signal_handler(void) {
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    poller_to_wake = make_poller();
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    errno = EDOM;
    raise(SIGUSR1);
    int seen = errno;
    int count = wait_one(poller_to_wake, SLUICE_FOREVER);
    sigaction(SIGUSR1, &before, NULL);
    assert_int_equal(seen, EDOM);
    assert_int_equal(count, 0);
}

static void *signal_thread(void *thread) {
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}

static void from_handler_during_wait(void) {
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    poller_to_wake = make_poller();
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    pthread_t self = pthread_self();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, signal_thread, &self), 0);
    int count = wait_one(poller_to_wake, SLUICE_FOREVER);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    assert_int_equal(count, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"of four threads' wakes none is lost", none_is_lost, NULL},
        {"what was written before a wake is seen", what_was_written_is_seen, NULL},
        {"both of two wakes hand over", both_of_two_wakes_hand_over, NULL},
        {"wakes do not hide events", wakes_do_not_hide_events, NULL},
        {"from a signal handler, errno left alone", from_signal_handler, NULL},
        {"from a signal handler during the wait", from_handler_during_wait, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

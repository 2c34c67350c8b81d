/* contract_waits.c - the contract's rows on waiting: batches, fairness, wakes and timeouts. */
#include "contract.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

static void removal_in_batch(struct stage *stage) {
    const int fds[] = {readable(), readable(), readable()};
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        add(stage, fds[i], FIRST + i);
    sluice_ready batch[COUNT_OF(fds)];
    assert_int_equal(sluice_poller_wait(stage->poller, batch, COUNT_OF(batch), 0), 3);
    assert_int_equal(sluice_poller_remove(stage->poller, fds[1]), 0);
    assert_int_equal(sluice_poller_remove(stage->poller, fds[2]), 0);
    add(stage, fds[2], THIRD);
    int current[USER_WORD_COUNT] = {0};
    for (size_t i = 0; i < COUNT_OF(batch); i++)
        current[batch[i].user] = sluice_poller_is_current(stage->poller, &batch[i]);
    note(stage, "untouched %d; removed %d; added anew %d", current[FIRST], current[SECOND],
         current[THIRD]);
}

static void modified_in_batch(struct stage *stage) {
    int fd = readable();
    add(stage, fd, FIRST);
    sluice_ready event;
    assert_int_equal(sluice_poller_wait(stage->poller, &event, 1, 0), 1);
    sluice_poller_modify(stage->poller, fd, SLUICE_NONE, SECOND);
    sluice_poller_modify(stage->poller, fd, SLUICE_READ, SECOND);
    note(stage, "current %d", sluice_poller_is_current(stage->poller, &event));
}

/* How many waits of capacity 1 it takes until `count` user words, from FIRST, have been seen. */
static void note_turns(struct stage *stage, int count, int most) {
    bool seen[USER_WORD_COUNT] = {false};
    int left = count;
    int waits = 0;
    while (left > 0 && waits < most) {
        sluice_ready event;
        waits++;
        if (sluice_poller_wait(stage->poller, &event, 1, 0) != 1)
            break;
        left -= !seen[event.user];
        seen[event.user] = true;
    }
    note(stage, "%d of %d within %d waits", count - left, count, most);
}

static void fair(struct stage *stage) {
    for (uint64_t user = FIRST; user <= THIRD; user++)
        add(stage, readable(), user);
    note_turns(stage, 3, 3);
    note_turns(stage, 3, 3);
}

static void fair_once(struct stage *stage) {
    for (uint64_t user = FIRST; user <= THIRD; user++)
        if (!add_if_supported(stage, readable(), user))
            return;
    note_turns(stage, 3, 3);
    note_turns(stage, 3, 3);
}

static void fair_beside_regular(struct stage *stage) {
    add(stage, readable(), FIRST);
    add(stage, regular_file(), SECOND);
    add(stage, readable(), THIRD);
    note_turns(stage, 3, 4);
    note_turns(stage, 3, 4);
}

static void fair_among_regular(struct stage *stage) {
    for (uint64_t user = FIRST; user <= THIRD; user++)
        add(stage, regular_file(), user);
    note_turns(stage, 3, 6);
    note_turns(stage, 3, 6);
}

/* The walk over ready files begins in the middle, and one of them is removed on the way. */
static void once_in_batch(struct stage *stage) {
    int first = regular_file();
    add(stage, first, FIRST);
    add(stage, regular_file(), SECOND);
    add(stage, regular_file(), THIRD);
    add(stage, regular_file(), OLD);
    sluice_ready two[2];
    assert_int_equal(sluice_poller_wait(stage->poller, two, 2, 0), 2);
    sluice_poller_modify(stage->poller, first, SLUICE_READ | SLUICE_ONE_SHOT, FIRST);
    note_events(stage);
    note_events(stage);
}

static void regular_does_not_sleep(struct stage *stage) {
    add(stage, unix_pair().near, FIRST);
    add(stage, regular_file(), SECOND);
    note(stage, "%d event", wait_one(stage->poller, SLUICE_FOREVER));
}

/* A wait for ever that nothing but a wake can end. */
static void note_wake(struct stage *stage) {
    note(stage, "%s", wait_one(stage->poller, SLUICE_FOREVER) == 0 ? "woken" : "not woken");
}

static void wake_before_wait(struct stage *stage) {
    add(stage, unix_pair().near, UNNAMED);
    note_code(stage, sluice_poller_wake(stage->poller));
    note_wake(stage);
}

static void *wake_it(void *poller) {
    sluice_poller_wake(poller);
    return NULL;
}

static void wake_from_thread(struct stage *stage) {
    add(stage, unix_pair().near, UNNAMED);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_it, stage->poller), 0);
    note_wake(stage);
    pthread_join(thread, NULL);
}

static void note_time_up(struct stage *stage, int64_t timeout_ns) {
    int64_t began = monotonic_ns();
    int count = wait_one(stage->poller, timeout_ns);
    bool in_time = monotonic_ns() - began >= timeout_ns;
    note(stage, "%s", count != 0 ? "an event" : in_time ? "time up" : "too early");
}

static void wakes_count_as_one(struct stage *stage) {
    for (int i = 0; i < 3; i++)
        sluice_poller_wake(stage->poller);
    note_wake(stage);
    note_time_up(stage, 2 * NS_PER_MS);
}

static void wake_beside_event(struct stage *stage) {
    add(stage, readable(), UNNAMED);
    sluice_poller_wake(stage->poller);
    note_events(stage);
    note_events(stage);
}

static void time_up(struct stage *stage) {
    add(stage, unix_pair().near, UNNAMED);
    note_time_up(stage, 0);
    note_time_up(stage, 1);
    note_time_up(stage, 1500 * NS_PER_US);
}

static void no_registration(struct stage *stage) {
    note_time_up(stage, NS_PER_MS);
}

static void on_alarm(int number) {
    (void)number;
}

/* A wait amid signals that a handler takes. */
static void note_wait_amid_signals(struct stage *stage, int64_t timeout_ns) {
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    const struct itimerval every = {{.tv_usec = 2000}, {.tv_usec = 2000}};
    const struct itimerval never = {{0}, {0}};
    struct sigaction before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    setitimer(ITIMER_REAL, &every, NULL);
    int64_t began = monotonic_ns();
    int count = wait_one(stage->poller, timeout_ns);
    bool is_early = monotonic_ns() - began < timeout_ns;
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    note(stage, "%s",
         count < 0   ? sluice_error_name(count)
         : count > 0 ? "an event"
         : is_early  ? "too early"
                     : "time up");
}

static void uninterrupted(struct stage *stage) {
    add(stage, unix_pair().near, UNNAMED);
    note_wait_amid_signals(stage, 10 * NS_PER_MS);
}

static void interrupted(struct stage *stage) {
    add(stage, unix_pair().near, UNNAMED);
    int code = sluice_poller_set_flags(stage->poller, SLUICE_INTERRUPTIBLE);
    note_code(stage, code);
    if (code != 0)
        return;
    note_wait_amid_signals(stage, SLUICE_FOREVER);
    note_wait_amid_signals(stage, PATIENCE_NS);
    note_code(stage, sluice_poller_set_flags(stage->poller, 0));
    note_wait_amid_signals(stage, 10 * NS_PER_MS);
}

static const struct contract_row rows[] = {
    {"removal while a batch is read: is it current?", SLUICE_READ, removal_in_batch,
     .expected = "untouched 1; removed 0; added anew 0"},
    {"pause and resume while a batch is read", SLUICE_READ, modified_in_batch,
     .expected = "current 1"},
    {"capacity 1, three sockets ready, twice", SLUICE_READ, fair,
     .expected = "3 of 3 within 3 waits, then 3 of 3 within 3 waits"},
    {"capacity 1, three one-shots ready, twice", SLUICE_READ | SLUICE_ONE_SHOT, fair_once,
     .expected = "3 of 3 within 3 waits, then 0 of 3 within 3 waits"},
    {"capacity 1, three edges, twice", SLUICE_READ | SLUICE_EDGE, fair_once,
     .expected = "3 of 3 within 3 waits, then 0 of 3 within 3 waits", NO_EDGE},
    {"capacity 1, two sockets and a file, twice", SLUICE_READ, fair_beside_regular,
     .expected = "3 of 3 within 4 waits, then 3 of 3 within 4 waits"},
    {"capacity 1, three files, twice", SLUICE_READ, fair_among_regular,
     .expected = "3 of 3 within 6 waits, then 3 of 3 within 6 waits"},
    {"four files, one of them one-shot", SLUICE_READ, once_in_batch,
     .expected = "first READ + second READ + third READ + old READ, "
                 "then second READ + third READ + old READ"},
    {"for ever, a regular file beside a silent socket", SLUICE_READ, regular_does_not_sleep,
     .expected = "1 event"},
    {"wake, then wait for ever", SLUICE_READ, wake_before_wait, .expected = "OK, then woken"},
    {"wake from another thread", SLUICE_READ, wake_from_thread, .expected = "woken"},
    {"three wakes, then two waits", SLUICE_READ, wakes_count_as_one,
     .expected = "woken, then time up"},
    {"wake beside an event", SLUICE_READ, wake_beside_event, .expected = "READ, then READ"},
    {"timeouts of 0, 1 ns and 1.5 ms", SLUICE_READ, time_up,
     .expected = "time up, then time up, then time up"},
    {"signals during a wait", SLUICE_READ, uninterrupted, .expected = "time up"},
    {"signals during waits, SLUICE_INTERRUPTIBLE, then not", SLUICE_READ, interrupted,
     .expected = "OK, then SLUICE_EINTR, then SLUICE_EINTR, then OK, then time up",
     .on_libevent = "SLUICE_ENOTSUP",
     .why_libevent = "libevent waits on after a signal: ask sluice_poller_features"},
    {"a poller without registrations", SLUICE_READ, no_registration, .expected = "time up"},
};

const struct contract_section contract_waits = {"Waiting", rows, COUNT_OF(rows)};

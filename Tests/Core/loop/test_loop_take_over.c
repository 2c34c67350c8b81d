/* test_loop_take_over.c - sluice_take_over: a loop goes from one thread to another, and back from a
 * thread that has ended. */
#include "loops.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 100 };

static void change_mask(int how, int signo) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    pthread_sigmask(how, &set, NULL);
}

static bool is_blocked(int signo) {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, signo) == 1;
}

static void unblock_in_this_thread(void *unused) {
    (void)unused;
    change_mask(SIG_UNBLOCK, SIGUSR1);
}

/* A thread that takes a loop over, and the results of its calls. The test makes the assertions,
 * because those of another thread would not end it. */
struct taker {
    sluice_loop *loop;
    pthread_t thread;
    sem_t taken;  /* it has the loop */
    sem_t pulled; /* one more event */
    int refused;  /* its pull before that */
    int code;
    bool was_blocked; /* SIGUSR1 in it, before and after */
    bool is_blocked;
    const void *question; /* an event's data of before, and its stream */
    sluice_id line;
    bool is_whole;
    int written;
    sluice_event posted[ROUNDS];
    sluice_event signal;
};

static int pull_one(struct taker *taker, sluice_event *event) {
    int code = sluice_next(taker->loop, event, PATIENCE_NS);
    sem_post(&taker->pulled);
    return code;
}

static void *take_and_pull(void *argument) {
    struct taker *taker = argument;
    sluice_event event;
    change_mask(SIG_UNBLOCK, SIGUSR1);
    taker->refused = sluice_next(taker->loop, &event, 0);
    taker->was_blocked = is_blocked(SIGUSR1);
    taker->code = take_over(taker->loop);
    taker->is_blocked = is_blocked(SIGUSR1);
    taker->is_whole = memcmp(taker->question, "question", 8) == 0;
    taker->written = sluice_write(taker->loop, taker->line, taker->question, 8);
    sem_post(&taker->taken);
    for (int i = 0; i < ROUNDS; i++)
        if (pull_one(taker, &taker->posted[i]) != 1)
            return NULL;
    (void)pull_one(taker, &taker->signal);
    return NULL;
}

static void expect_refused(sluice_loop *loop, sluice_id line) {
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 0), SLUICE_ETHREAD);
    assert_int_equal(sluice_next_many(loop, &event, 1, 0), SLUICE_ETHREAD);
    assert_int_equal(sluice_write(loop, line, "x", 1), SLUICE_ETHREAD);
    assert_int_equal(sluice_close(loop, line), SLUICE_ETHREAD);
    assert_int_equal(sluice_kind_of(loop, line), SLUICE_ETHREAD);
    assert_int_equal(sluice_destroy(loop), SLUICE_ETHREAD);
}

/* Each post comes after the one before has been pulled, so that nearly all find the loop asleep. */
static void expect_posts_to_wake(struct taker *taker) {
    for (uint64_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(sluice_post(taker->loop, i), 0);
        assert_int_equal(sem_wait(&taker->pulled), 0);
        assert_int_equal(taker->posted[i].kind, SLUICE_POSTED);
        assert_int_equal(taker->posted[i].value, i);
    }
}

/* The first thread goes on living, and then has the loop again, whose thread has ended. */
static void there_and_back(void) {
    sluice_loop *loop = make_loop();
    struct taker taker = {.loop = loop};
    struct line line = unix_line(loop);
    sluice_id signal_id;
    defer(unblock_in_this_thread, NULL);
    assert_int_equal(sluice_signal(loop, &signal_id, SIGUSR1), 0);
    assert_int_equal(sem_init(&taker.taken, 0, 0), 0);
    assert_int_equal(sem_init(&taker.pulled, 0, 0), 0);
    put_text(line.peer, "question");
    taker.line = line.id;
    taker.question = expect_event_of(loop, SLUICE_DATA, line.id).data;

    assert_int_equal(pthread_create(&taker.thread, NULL, take_and_pull, &taker), 0);
    assert_int_equal(sem_wait(&taker.taken), 0);
    assert_int_equal(taker.refused, SLUICE_ETHREAD);
    assert_int_equal(taker.code, 0);
    assert_false(taker.was_blocked);
    assert_true(taker.is_blocked);
    assert_true(taker.is_whole);
    assert_int_equal(taker.written, 0);
    expect_refused(loop, line.id);
    expect_posts_to_wake(&taker);
    take_text(line.peer, "question");
    /* Blocked here as before, so that it is the loop's to hear. */
    assert_true(is_blocked(SIGUSR1));
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_int_equal(pthread_join(taker.thread, NULL), 0);
    assert_int_equal(taker.signal.kind, SLUICE_SIGNAL);
    assert_int_equal(taker.signal.id, signal_id);

    expect_refused(loop, line.id);
    assert_int_equal(take_over(loop), 0);
    assert_int_equal(sluice_post(loop, 7), 0);
    assert_int_equal(expect_event(loop, SLUICE_POSTED).value, 7);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    expect_event_of(loop, SLUICE_SIGNAL, signal_id);
    put_text(line.peer, "still here");
    expect_text(loop, line.id, "still here");
    assert_int_equal(sluice_close(loop, signal_id), 0);
    assert_false(is_blocked(SIGUSR1));
    sem_destroy(&taker.taken);
    sem_destroy(&taker.pulled);
}

/* By the thread that has it: nothing changes. */
static void one_s_own(void) {
    sluice_loop *loop = make_loop();
    sluice_id id;
    assert_int_equal(sluice_take_over(NULL), SLUICE_ENULL);
    assert_int_equal(sluice_signal(loop, &id, SIGUSR1), 0);
    assert_int_equal(take_over(loop), 0);
    assert_true(is_blocked(SIGUSR1));
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    expect_event_of(loop, SLUICE_SIGNAL, id);
    assert_int_equal(sluice_close(loop, id), 0);
    assert_false(is_blocked(SIGUSR1));
}

int main(void) {
    static const struct test tests[] = {
        {"taken over, and back from a thread that has ended", there_and_back, NULL},
        {"to take over one's own loop changes nothing", one_s_own, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

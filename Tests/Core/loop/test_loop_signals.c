/* test_loop_signals.c - signals as events, the mask they leave behind, and what no call may show:
 * EINTR and SIGPIPE. */
#include "loops.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_blocked(int signo) {
    sigset_t mask;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    return sigismember(&mask, signo) == 1;
}

static sluice_id add(sluice_loop *loop, int signo) {
    sluice_id id;
    assert_int_equal(sluice_signal(loop, &id, signo), 0);
    return id;
}

static void comes_as_an_event(void) {
    sluice_loop *loop = make_loop();
    sluice_id first = add(loop, SIGUSR1);
    sluice_id second = add(loop, SIGUSR2);
    assert_int_equal(sluice_set_user(loop, second, 22), 0);
    assert_int_equal(raise(SIGUSR2), 0);
    sluice_event event = expect_event_of(loop, SLUICE_SIGNAL, second);
    assert_int_equal(event.value, SIGUSR2);
    assert_int_equal(event.user, 22);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        assert_int_equal(expect_event_of(loop, SLUICE_SIGNAL, first).value, SIGUSR1);
    }
    expect_no_event(loop);
}

/* Two at once, and a real-time signal as often as it was sent. */
static void none_is_lost(void) {
    sluice_loop *loop = make_loop();
    add(loop, SIGUSR1);
    add(loop, SIGRTMIN);
    for (int i = 0; i < 5; i++)
        assert_int_equal(kill(getpid(), SIGRTMIN), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    int count[2] = {0, 0};
    for (int i = 0; i < 6; i++)
        count[expect_event(loop, SLUICE_SIGNAL).value == SIGUSR1]++;
    assert_int_equal(count[0], 5);
    assert_int_equal(count[1], 1);
    expect_no_event(loop);
}

static void closed_gives_no_event_and_restores_the_mask(void) {
    sluice_loop *loop = make_loop();
    assert_false(is_blocked(SIGUSR1));
    sluice_id id = add(loop, SIGUSR1);
    sluice_id other = add(loop, SIGUSR2);
    assert_true(is_blocked(SIGUSR1));
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR2), 0);
    sluice_event event = expect_event(loop, SLUICE_SIGNAL);
    /* The other is pending, and would end the process if it were let loose. */
    sluice_id left = event.id == id ? other : id;
    assert_int_equal(sluice_close(loop, left), 0);
    assert_int_equal(sluice_kind_of(loop, left), SLUICE_ESTALE);
    expect_no_event(loop);
    assert_int_equal(sluice_close(loop, event.id), 0);
    assert_false(is_blocked(SIGUSR1));
    assert_false(is_blocked(SIGUSR2));
    id = add(loop, SIGUSR1);
    assert_int_equal(raise(SIGUSR1), 0);
    expect_event_of(loop, SLUICE_SIGNAL, id);
    end_loop(loop);
    assert_false(is_blocked(SIGUSR1));
}

static void one_that_was_blocked_stays_so(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sluice_loop *loop = make_loop();
    sluice_id id = add(loop, SIGUSR1);
    assert_int_equal(sluice_close(loop, id), 0);
    bool blocked = is_blocked(SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    assert_true(blocked);
}

static void refused(void) {
    sluice_loop *loop = make_loop();
    sluice_id id;
    const int none[] = {0, -1, SIGKILL, SIGSTOP, 65, 1000, 32};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        assert_int_equal(sluice_signal(loop, &id, none[i]), -EINVAL);
    add(loop, SIGUSR1);
    assert_int_equal(sluice_signal(loop, &id, SIGUSR1), SLUICE_EEXIST);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_SIGNAL], 1);
}

/* ---- After a fork --------------------------------------------------------------------------- */

struct forked {
    sluice_loop *loop;
    sluice_id first, second; /* of SIGUSR1 and SIGUSR2 */
};

static struct forked make_forked(void) {
    struct forked forked = {.loop = make_loop()};
    forked.first = add(forked.loop, SIGUSR1);
    forked.second = add(forked.loop, SIGUSR2);
    expect_no_event(forked.loop);
    return forked;
}

/* Whether the loop of this process hears that signal of its own, and no other. */
static bool hears(sluice_loop *loop, sluice_id id, int signo) {
    sluice_event event;
    return kill(getpid(), signo) == 0 && sluice_next(loop, &event, PATIENCE_NS) == 1 &&
           event.kind == SLUICE_SIGNAL && event.id == id && event.value == (uint64_t)signo &&
           sluice_next(loop, &event, 0) == 0;
}

/* What a child does: whether it went well. */
typedef bool child_part(struct forked *forked);

static bool destroys(struct forked *forked) {
    return sluice_destroy(forked->loop) == 0 && !is_blocked(SIGUSR1);
}

static bool closes_one(struct forked *forked) {
    return sluice_close(forked->loop, forked->first) == 0 && !is_blocked(SIGUSR1) &&
           hears(forked->loop, forked->second, SIGUSR2);
}

static bool adds_one(struct forked *forked) {
    sluice_id id;
    return sluice_signal(forked->loop, &id, SIGHUP) == 0 && hears(forked->loop, id, SIGHUP) &&
           hears(forked->loop, forked->first, SIGUSR1);
}

static bool hears_its_own(struct forked *forked) {
    return hears(forked->loop, forked->first, SIGUSR1) &&
           hears(forked->loop, forked->second, SIGUSR2);
}

static bool forks_again(struct forked *forked) {
    pid_t child = fork();
    if (child == 0)
        _exit(sluice_after_fork(forked->loop) == 0 && hears_its_own(forked) && destroys(forked)
                  ? 0
                  : 1);
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0 && hears_its_own(forked);
}

/* The exit status of a child that has made the loop its own and done its part. */
static int run_child(struct forked *forked, child_part *part) {
    pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_MS / 1000);
        _exit(sluice_after_fork(forked->loop) < 0 ? 1 : part(forked) ? 0 : 2);
    }
    int status = -1;
    return waitpid(child, &status, 0) == child ? status : -1;
}

static void parent_and_child_hear_each_its_own(void) {
    static child_part *const parts[] = {destroys, closes_one, adds_one, hears_its_own, forks_again};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct forked forked = make_forked();
        int status = run_child(&forked, parts[i]);
        if (status != 0)
            fail_msg("part %zu of the child: status %#x", i, (unsigned)status);
        /* Nothing came from the child's signals, and nothing has changed for the parent's signals.
         */
        expect_no_event(forked.loop);
        assert_true(hears(forked.loop, forked.first, SIGUSR1));
        assert_true(hears(forked.loop, forked.second, SIGUSR2));
        end_loop(forked.loop);
    }
}

/* What waits for the parent at the fork is the parent's. */
static void a_signal_that_was_pending_stays_the_parent_s(void) {
    struct forked forked = make_forked();
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_int_equal(run_child(&forked, hears_its_own), 0);
    expect_event_of(forked.loop, SLUICE_SIGNAL, forked.first);
    expect_no_event(forked.loop);
}

/* A child without a signal of its own when it is forked can have one later. */
static bool adds_its_first(struct forked *forked) {
    return sluice_signal(forked->loop, &forked->first, SIGUSR1) == 0 &&
           hears(forked->loop, forked->first, SIGUSR1);
}

static void a_child_may_be_the_first_to_have_a_signal(void) {
    struct forked forked = {.loop = make_loop()};
    assert_int_equal(run_child(&forked, adds_its_first), 0);
    assert_true(adds_its_first(&forked));
}

/* No descriptor is free at first. */
static int be_a_child_that_tries_again(struct forked *forked) {
    struct rlimit before;
    int lowest_free = dup(0);
    close(lowest_free);
    getrlimit(RLIMIT_NOFILE, &before);
    const struct rlimit none_free = {(rlim_t)lowest_free, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none_free);
    int refused = sluice_after_fork(forked->loop);
    setrlimit(RLIMIT_NOFILE, &before);
    if (refused != -EMFILE)
        return 1;
    return sluice_after_fork(forked->loop) == 0 && hears_its_own(forked) ? 0 : 2;
}

static void out_of_descriptors_after_a_fork(void) {
    struct forked forked = make_forked();
    pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_MS / 1000);
        _exit(be_a_child_that_tries_again(&forked));
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(hears(forked.loop, forked.first, SIGUSR1));
}

struct forker {
    struct forked *forked;
    child_part *part;
    int status;
};

/* The signals are not blocked in this thread. */
static void *fork_from_here(void *argument) {
    struct forker *forker = argument;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    forker->status = run_child(forker->forked, forker->part);
    return NULL;
}

static bool hears_and_restores_the_mask(struct forked *forked) {
    return is_blocked(SIGUSR1) && hears_its_own(forked) &&
           sluice_close(forked->loop, forked->first) == 0 && !is_blocked(SIGUSR1);
}

static void forked_by_another_thread(void) {
    struct forked forked = make_forked();
    struct forker forker = {&forked, hears_and_restores_the_mask, -1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fork_from_here, &forker), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(forker.status, 0);
    assert_true(hears(forked.loop, forked.first, SIGUSR1));
}

/* ---- Those that stay out of sight ----------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void catch (int signo) {
    (void)signo;
    caught++;
}

static void stop_storm(void *unused) {
    (void)unused;
    const struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    signal(SIGALRM, SIG_DFL);
}

/* A signal every half a millisecond, whose handler interrupts what can be interrupted. */
static void start_storm(void) {
    const struct sigaction action = {.sa_handler = catch};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    const struct itimerval often = {{0, 500}, {0, 500}};
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    defer(stop_storm, NULL);
}

static void signal_storm(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    struct line line = tcp_line(loop);
    static unsigned char bytes[256 * 1024];
    size_t sent = 0, received = 0;
    start_storm();
    caught = 0;
    sluice_id timer;
    for (int round = 0; caught < 100; round++) {
        assert_int_equal(sluice_timer(loop, &timer, NS_PER_MS, 0, 0), 0);
        int code = sluice_write(loop, line.id, bytes, 100000);
        assert_true(code == 0 || code == SLUICE_EFULL);
        sent += code == 0 ? 100000 : 0;
        sluice_id id;
        if (round % 16 == 0)
            assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
        sluice_event event = {0};
        while (event.kind != SLUICE_TIMER) {
            event = next_event(loop);
            assert_int_equal(event.error, 0);
        }
        for (size_t count = 1; count > 0; received += count)
            count = take_some(line.peer, bytes, sizeof bytes);
    }
    stop_storm(NULL);
    while (received < sent) {
        sluice_event event;
        pull_now(loop, &event);
        received += take_some(line.peer, bytes, sizeof bytes);
    }
    assert_int_equal(received, sent);
}

/* The signal does not end the wait early, and does not prolong it without end. */
static void waits_as_long_as_told_amid_signals(void) {
    sluice_loop *loop = make_loop();
    start_storm();
    sluice_event event;
    int64_t start = monotonic_ns();
    assert_int_equal(sluice_next(loop, &event, 50 * NS_PER_MS), 0);
    assert_true(monotonic_ns() - start >= 50 * NS_PER_MS);
}

static void restore_sigpipe(void *unused) {
    (void)unused;
    signal(SIGPIPE, SIG_DFL);
}

static void no_sigpipe(void) {
    sluice_loop *loop = make_loop();
    const struct sigaction action = {.sa_handler = catch};
    assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
    defer(restore_sigpipe, NULL);
    caught = 0;
    static unsigned char bytes[100000];
    for (int large = 0; large < 2; large++) {
        struct line socket = unix_line(loop);
        struct pair pipe = pipe_pair();
        sluice_id writer;
        assert_int_equal(sluice_adopt(loop, &writer, pipe.far, NULL), 0);
        release(pipe.far);
        drop(socket.peer);
        drop(pipe.near);
        size_t length = large ? sizeof bytes : 10;
        assert_int_equal(sluice_write(loop, socket.id, bytes, length), large ? -EPIPE : 0);
        assert_int_equal(sluice_write(loop, writer, bytes, length), large ? -EPIPE : 0);
        for (int i = 0; i < 2; i++) {
            sluice_event event = next_event(loop);
            if (event.kind == SLUICE_EOF) /* of the socket, whose peer has ended in order */
                event = next_event(loop);
            assert_int_equal(event.kind, SLUICE_CLOSED);
            assert_true(event.id == socket.id || event.id == writer);
            assert_true(event.error == -EPIPE || event.error == -ECONNRESET);
            assert_int_equal(event.length, large ? 0 : length);
        }
    }
    assert_false(is_blocked(SIGPIPE));
    sigset_t pending;
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGPIPE));
    assert_int_equal(caught, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"a signal comes as an event", comes_as_an_event, NULL},
        {"none is lost", none_is_lost, NULL},
        {"closed: no event, and the mask as it was", closed_gives_no_event_and_restores_the_mask,
         NULL},
        {"one that was blocked stays blocked", one_that_was_blocked_stays_so, NULL},
        {"what is no signal, or has a handle, is refused", refused, NULL},
        {"fork: parent and child hear each its own", parent_and_child_hear_each_its_own, NULL},
        {"fork: a signal that was pending stays the parent's",
         a_signal_that_was_pending_stays_the_parent_s, NULL},
        {"fork: a child may be the first to have a signal",
         a_child_may_be_the_first_to_have_a_signal, NULL},
        {"fork: out of descriptors, and tried again", out_of_descriptors_after_a_fork, NULL},
        {"fork: by another thread", forked_by_another_thread, NULL},
        {"EINTR and EAGAIN are never seen", signal_storm, NULL},
        {"a wait is as long as told amid signals", waits_as_long_as_told_amid_signals, NULL},
        {"SIGPIPE is never raised", no_sigpipe, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

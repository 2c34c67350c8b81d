/* test_loop_posts.c - posts and wakes from other threads, and what other threads may not do. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/loop.h"

#define THREADS 4
#define POSTS 20000

struct poster {
    sluice_loop *loop;
    uint64_t number;
    pthread_t thread;
    int refused;
};

static void *post_many(void *argument) {
    struct poster *poster = argument;
    for (uint64_t i = 0; i < POSTS; i++)
        poster->refused += sluice_post(poster->loop, poster->number << 32 | i) < 0;
    return NULL;
}

static void exactly_once_and_in_order_for_each_thread(void) {
    sluice_loop *loop = make_loop();
    struct poster posters[THREADS];
    for (uint64_t i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){.loop = loop, .number = i};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    uint64_t next[THREADS] = {0};
    bool in_order = true;
    for (int i = 0; i < THREADS * POSTS; i++) {
        sluice_event event = expect_event(loop, SLUICE_POSTED);
        in_order &= event.id == 0 && event.value >> 32 < THREADS;
        in_order &= (uint32_t)event.value == next[event.value >> 32 & 3]++;
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_int_equal(posters[i].refused, 0);
        assert_int_equal(next[i], POSTS);
    }
    assert_true(in_order);
    expect_no_event(loop);
}

/* Bytes that there is room for. */
static size_t room_for_posts(const sluice_loop *loop) {
    return (loop->posts.incoming.capacity + loop->posts.taken.capacity) * sizeof(uint64_t);
}

/* The room for a burst is not kept for the next. */
static void a_burst_leaves_no_memory(void) {
    sluice_loop *loop = make_loop();
    enum { BURST = 100000 };
    size_t most = 0;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < BURST; i++)
            assert_int_equal(sluice_post(loop, i), 0);
        for (uint64_t i = 0; i < BURST; i++)
            assert_int_equal(expect_event(loop, SLUICE_POSTED).value, i);
        if (room_for_posts(loop) > most)
            most = room_for_posts(loop);
    }
    assert_true(most >= BURST * sizeof(uint64_t));
    /* Two turns with a post each give back the room of both. */
    for (int round = 0; round < 2; round++) {
        assert_int_equal(sluice_post(loop, 1), 0);
        expect_event(loop, SLUICE_POSTED);
    }
    assert_in_range(room_for_posts(loop), 0, 4096);
}

/* What the loop's allocator must not hear of: make_loop's says so in the end. Here both threads are
 * at it at once. */
static void posts_ask_no_allocator_of_the_loop(void) {
    sluice_loop *loop = make_loop();
    struct poster poster = {.loop = loop};
    assert_int_equal(pthread_create(&poster.thread, NULL, post_many, &poster), 0);
    for (int posted = 0; posted < POSTS;) {
        struct line line = unix_line(loop);
        assert_int_equal(sluice_write(loop, line.id, "x", 1), 0);
        assert_int_equal(sluice_abort(loop, line.id), 0);
        sluice_event event;
        while (pull_now(loop, &event))
            posted += event.kind == SLUICE_POSTED;
        drop(line.peer);
    }
    assert_int_equal(pthread_join(poster.thread, NULL), 0);
    assert_int_equal(poster.refused, 0);
    size_t before = loop_memory(loop);
    for (uint64_t i = 0; i < POSTS; i++)
        assert_int_equal(sluice_post(loop, i), 0);
    assert_int_equal(loop_memory(loop), before);
}

struct answering {
    sluice_loop *loop;
    atomic_long asked;
    atomic_bool done;
};

/* Posts as soon as the loop is about to sleep, ever again. */
static void *answer(void *argument) {
    struct answering *answering = argument;
    for (long answered = 0; !answering->done;)
        if (answering->asked > answered)
            sluice_post(answering->loop, (uint64_t)++answered);
    return NULL;
}

static void wakes_a_loop_that_sleeps(void) {
    sluice_loop *loop = make_loop();
    struct answering answering = {.loop = loop};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer, &answering), 0);
    for (uint64_t i = 1; i <= 3000; i++) {
        answering.asked++;
        assert_int_equal(expect_event(loop, SLUICE_POSTED).value, i);
    }
    answering.done = true;
    pthread_join(thread, NULL);
    expect_no_event(loop);
}

static void from_the_loop_s_own_thread(void) {
    sluice_loop *loop = make_loop();
    assert_int_equal(sluice_post(loop, UINT64_MAX), 0);
    assert_int_equal(sluice_post(loop, 0), 0);
    sluice_event event = expect_event(loop, SLUICE_POSTED);
    assert_int_equal(event.value, UINT64_MAX);
    assert_int_equal(sluice_post(loop, 3), 0);
    assert_int_equal(expect_event(loop, SLUICE_POSTED).value, 0);
    assert_int_equal(expect_event(loop, SLUICE_POSTED).value, 3);
    expect_no_event(loop);
    assert_int_equal(sluice_post(NULL, 1), SLUICE_ENULL);
}

/* Posts that are answered by posts leave room for the others. */
static void endless_posts_starve_nobody(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "and I?");
    assert_int_equal(sluice_post(loop, 0), 0);
    for (int i = 0; i < 4; i++) {
        sluice_event event = next_event(loop);
        if (event.kind == SLUICE_DATA)
            return;
        assert_int_equal(sluice_post(loop, 0), 0);
    }
    fail_msg("the stream's data did not come");
}

static void post_limit(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.post_limit = 100});
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(sluice_post(loop, i), 0);
    assert_int_equal(sluice_post(loop, 100), SLUICE_EFULL);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(expect_event(loop, SLUICE_POSTED).value, i);
    expect_no_event(loop);
    assert_int_equal(sluice_post(loop, 100), 0);
    assert_int_equal(expect_event(loop, SLUICE_POSTED).value, 100);
}

/* Posts that the loop has taken over and not given yet still wait to be pulled. */
static void post_limit_counts_all_that_wait(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.post_limit = 100});
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(sluice_post(loop, i), 0);
    expect_event(loop, SLUICE_POSTED);
    assert_int_equal(sluice_post(loop, 100), 0);
    assert_int_equal(sluice_post(loop, 101), SLUICE_EFULL);
    for (uint64_t i = 1; i <= 100; i++)
        assert_int_equal(expect_event(loop, SLUICE_POSTED).value, i);
}

/* ---- Wakes ---------------------------------------------------------------------------------- */

/* The next pull returns without an event long before its time is up. */
static void expect_woken(sluice_loop *loop) {
    sluice_event event = {.kind = SLUICE_DATA};
    assert_int_equal(sluice_next(loop, &event, SLUICE_FOREVER), 0);
    assert_int_equal(event.kind, 0);
}

/* A pull waits for as long as it was told to. */
static void expect_not_woken(sluice_loop *loop) {
    sluice_event event;
    int64_t start = monotonic_ns();
    assert_int_equal(sluice_next(loop, &event, 2 * NS_PER_MS), 0);
    assert_true(monotonic_ns() - start >= 2 * NS_PER_MS);
}

static void *wake_when_asked(void *argument) {
    struct answering *answering = argument;
    for (long answered = 0; !answering->done;)
        if (answering->asked > answered) {
            answered++;
            sluice_wake(answering->loop);
        }
    return NULL;
}

static void a_wake_ends_the_pull_under_way(void) {
    sluice_loop *loop = make_loop();
    struct answering answering = {.loop = loop};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_when_asked, &answering), 0);
    for (uint64_t i = 1; i <= 3000; i++) {
        answering.asked++;
        expect_woken(loop);
    }
    answering.done = true;
    pthread_join(thread, NULL);
    expect_not_woken(loop);
    assert_int_equal(sluice_wake(NULL), SLUICE_ENULL);
}

static void a_wake_before_a_pull_ends_that(void) {
    sluice_loop *loop = make_loop();
    for (int i = 0; i < 3; i++)
        assert_int_equal(sluice_wake(loop), 0); /* they count as one */
    expect_woken(loop);
    expect_not_woken(loop);
    sluice_event events[4];
    assert_int_equal(sluice_wake(loop), 0);
    assert_int_equal(sluice_next_many(loop, events, 4, SLUICE_FOREVER), 0);
    expect_not_woken(loop);
    /* One that did not mean to wait is ended too. */
    assert_int_equal(sluice_wake(loop), 0);
    assert_int_equal(sluice_next(loop, &events[0], 0), 0);
    expect_not_woken(loop);
}

/* In whichever turn the engine hears of the wake. */
static void a_wake_is_not_lost_beside_events(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    for (int when = 0; when < 4; when++) {
        if (when == 0)
            assert_int_equal(sluice_wake(loop), 0);
        put_text(line.peer, "x");
        if (when == 1)
            assert_int_equal(sluice_wake(loop), 0);
        assert_int_equal(sluice_post(loop, 1), 0);
        if (when == 2)
            assert_int_equal(sluice_wake(loop), 0);
        for (int i = 0; i < 2; i++) {
            next_event(loop);
            if (when == 3 && i == 0)
                assert_int_equal(sluice_wake(loop), 0);
        }
        expect_woken(loop);
        expect_not_woken(loop);
    }
}

/* Pulled like an embedded loop: the outer loop sees the wake, and the pull takes it. */
static void a_wake_shows_on_the_backend_fd(void) {
    sluice_loop *loop = make_loop();
    struct pollfd entry = {.fd = sluice_backend_fd(loop), .events = POLLIN};
    if (entry.fd < 0)
        return;
    expect_no_event(loop);
    assert_int_equal(poll(&entry, 1, 0), 0);
    assert_int_equal(sluice_wake(loop), 0);
    assert_int_equal(poll(&entry, 1, PATIENCE_MS), 1);
    expect_no_event(loop);
    assert_int_equal(poll(&entry, 1, 0), 0);
    expect_not_woken(loop);
}

static void a_wake_before_a_fork_is_the_parent_s(void) {
    sluice_loop *loop = make_loop();
    assert_int_equal(sluice_wake(loop), 0);
    pid_t child = fork();
    if (child == 0) {
        sluice_event event;
        int64_t start = monotonic_ns();
        bool right = sluice_after_fork(loop) == 0 && sluice_next(loop, &event, NS_PER_MS) == 0 &&
                     monotonic_ns() - start >= NS_PER_MS;
        right = right && sluice_wake(loop) == 0 && sluice_next(loop, &event, PATIENCE_NS) == 0 &&
                monotonic_ns() - start < PATIENCE_NS;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_woken(loop);
    expect_not_woken(loop);
}

/* ---- In a signal handler -------------------------------------------------------------------- */

static sluice_loop *woken_loop;
static volatile sig_atomic_t wakes;
static volatile sig_atomic_t wrong;

static void wake_from_handler(int signo) {
    (void)signo;
    int before = errno;
    errno = 12345;
    wrong |= sluice_wake(woken_loop) != 0 || errno != 12345;
    errno = before;
    wakes++;
}

static void stop_alarms(void *unused) {
    (void)unused;
    const struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    signal(SIGALRM, SIG_DFL);
}

/* Wherever the loop's own thread is when the signal comes: asleep, or about to sleep. */
static void a_wake_in_a_signal_handler(void) {
    woken_loop = make_loop();
    wakes = wrong = 0;
    const struct sigaction action = {.sa_handler = wake_from_handler};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    const struct itimerval often = {{0, 200}, {0, 200}};
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    defer(stop_alarms, NULL);
    int ended = 0;
    while (ended < 300) {
        expect_woken(woken_loop);
        ended++;
    }
    stop_alarms(NULL);
    assert_true(wakes >= ended);
    assert_int_equal(wrong, 0);
}

/* ---- The other thread ----------------------------------------------------------------------- */

struct stranger {
    sluice_loop *loop;
    sluice_id stream;
    sluice_id timer;
    sluice_id watch;
    int fd;
    int codes[40];
    size_t count;
    int64_t now;
};

static void call_all(struct stranger *s) {
    sluice_loop *loop = s->loop;
    sluice_id id;
    sluice_event event;
    uint64_t user;
    void *kept;
    char text[SLUICE_ADDRESS_MAX];
    sluice_statistics stats = {.size = sizeof stats};
    const sluice_slice slice = {"x", 1};
    const int codes[] = {
        sluice_destroy(loop),
        sluice_next(loop, &event, 0),
        sluice_next_many(loop, &event, 1, 0),
        sluice_backend_fd(loop),
        (int)sluice_until_next(loop),
        sluice_stats(loop, &stats),
        sluice_close(loop, s->stream),
        sluice_abort(loop, s->stream),
        sluice_abort_with(loop, s->stream, -EPROTO),
        sluice_user(loop, s->stream, &user),
        sluice_set_user(loop, s->stream, 1),
        sluice_fd(loop, s->stream),
        sluice_kind_of(loop, s->stream),
        sluice_watch(loop, &id, s->fd, SLUICE_READ, 0),
        sluice_rewatch(loop, s->watch, SLUICE_READ),
        sluice_timer(loop, &id, 0, 0, 0),
        sluice_timer_reset(loop, s->timer, 0),
        sluice_signal(loop, &id, 10),
        sluice_listen(loop, &id, "127.0.0.1:0", NULL),
        sluice_connect(loop, &id, "127.0.0.1:1", NULL),
        sluice_adopt(loop, &id, s->fd, NULL),
        sluice_local_address(loop, s->stream, text, sizeof text),
        sluice_peer_address(loop, s->stream, text, sizeof text),
        sluice_write(loop, s->stream, "x", 1),
        sluice_writev(loop, s->stream, &slice, 1),
        (int)sluice_send_file(loop, s->stream, s->fd, 0, 1),
        sluice_flush(loop, s->stream),
        sluice_shutdown(loop, s->stream),
        sluice_pause(loop, s->stream),
        sluice_resume(loop, s->stream),
        sluice_hold(loop, s->stream, 0),
        sluice_hold_until(loop, s->stream, 0, 1),
        sluice_keep(loop, s->stream, &kept),
        sluice_return(loop, &kept),
        (int)sluice_pending(loop, s->stream),
        sluice_forward(loop, s->stream, s->stream),
        sluice_forward(loop, s->stream, 0),
    };
    memcpy(s->codes, codes, sizeof codes);
    s->count = COUNT_OF(codes);
    s->now = sluice_now(loop);
}

static void *be_a_stranger(void *argument) {
    call_all(argument);
    return NULL;
}

static void refused_from_another_thread(void) {
    sluice_loop *loop = make_loop();
    struct stranger stranger = {
        .loop = loop, .stream = unix_line(loop).id, .fd = unix_pair().near, .now = 1};
    assert_int_equal(sluice_timer(loop, &stranger.timer, PATIENCE_NS, 0, 0), 0);
    assert_int_equal(sluice_watch(loop, &stranger.watch, unix_pair().near, SLUICE_READ, 0), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, be_a_stranger, &stranger), 0);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < stranger.count; i++)
        if (stranger.codes[i] != SLUICE_ETHREAD)
            fail_msg("call %zu: %s", i, sluice_error_name(stranger.codes[i]));
    assert_int_equal(stranger.now, SLUICE_ETHREAD);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 1);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_LISTENER], 0);
}

/* A caller may ask the event alone, as the program of the first page does. */
static void a_pull_that_brings_nothing_leaves_no_event(void) {
    sluice_loop *loop = make_loop();
    sluice_event event = {.kind = SLUICE_DATA};
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    assert_int_equal(event.kind, 0);
    event.kind = SLUICE_DATA;
    assert_int_equal(sluice_next(loop, &event, 1000), 0);
    assert_int_equal(event.kind, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"exactly once, and in order for each of 4 threads",
         exactly_once_and_in_order_for_each_thread, NULL},
        {"a post wakes a loop that sleeps", wakes_a_loop_that_sleeps, NULL},
        {"from the loop's own thread", from_the_loop_s_own_thread, NULL},
        {"endless posts starve nobody", endless_posts_starve_nobody, NULL},
        {"a burst leaves no memory", a_burst_leaves_no_memory, NULL},
        {"posts ask no allocator of the loop's", posts_ask_no_allocator_of_the_loop, NULL},
        {"post_limit: SLUICE_EFULL", post_limit, NULL},
        {"post_limit counts all that wait", post_limit_counts_all_that_wait, NULL},
        {"a wake ends the pull under way", a_wake_ends_the_pull_under_way, NULL},
        {"a wake before a pull ends that", a_wake_before_a_pull_ends_that, NULL},
        {"a wake is not lost beside events", a_wake_is_not_lost_beside_events, NULL},
        {"a wake shows on the backend_fd", a_wake_shows_on_the_backend_fd, NULL},
        {"a wake before a fork is the parent's", a_wake_before_a_fork_is_the_parent_s, NULL},
        {"a wake in a signal handler", a_wake_in_a_signal_handler, NULL},
        {"a pull that brings nothing leaves no event", a_pull_that_brings_nothing_leaves_no_event,
         NULL},
        {"any other call from another thread: SLUICE_ETHREAD", refused_from_another_thread, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_abuse.c - somebody makes a loop do too much: bytes, events, posts or children. The
 * tests count what this costs the others, print it for docs/reliability.md, and have bounds for it.
 */
#include "loops.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

/* The sanitizers' counting makes everything some ten times as slow. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif

/* ---- A slow reader -----------------------------------------------------------------------------
 */

#define TOTAL ((size_t)1024 * MIB / SLOWER)
#define PIECE (256 * KIB)
#define TAKEN (192 * KIB)

/* What a queue costs in addition to its bytes: the ends of chunks, and chunks kept for reuse. */
#define OVERHEAD (MIB + 64 * MIB / 64)

/* Noise that repeats itself at a distance that no buffer has. */
enum { NOISE = 65521 };
static unsigned char noise[NOISE + PIECE];

static void fill_noise(void) {
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = i < NOISE ? (unsigned char)random_below(256) : noise[i - NOISE];
}

static size_t write_until_full(sluice_loop *loop, sluice_id id, size_t written) {
    for (;;) {
        int code = sluice_write(loop, id, noise + written % NOISE, PIECE);
        if (code == SLUICE_EFULL)
            return written;
        assert_true(code >= 0);
        written += PIECE;
    }
}

static size_t read_some(int peer, size_t read_so_far) {
    static unsigned char taken[TAKEN];
    size_t count = take_some(peer, taken, sizeof taken);
    assert_memory_equal(taken, noise + read_so_far % NOISE, count);
    return read_so_far + count;
}

static void a_slow_reader_costs_no_more_than_the_hard_limit(void) {
    fill_noise();
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    size_t before = loop_memory(loop);
    size_t most = 0;
    size_t written = 0;
    size_t refusals = 0;
    sluice_event event;
    for (size_t read_so_far = 0; read_so_far < TOTAL;) {
        size_t accepted = write_until_full(loop, line.id, written);
        refusals += accepted == written;
        written = accepted;
        if (loop_memory(loop) - before > most)
            most = loop_memory(loop) - before;
        assert_true(sluice_pending(loop, line.id) <= (int64_t)(64 * MIB));
        read_so_far = read_some(line.peer, read_so_far);
        (void)pull_now(loop, &event);
    }
    assert_true(refusals > 0);
    assert_in_range(most, 63 * MIB, 64 * MIB + OVERHEAD);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_event_of(loop, SLUICE_CLOSED, line.id);
    assert_true(loop_memory(loop) - before < OVERHEAD);
    print_message("figure: a slow reader of %zu MiB: at most %zu KiB for it, and %zu KiB after\n",
                  TOTAL / MIB, most / KIB, (loop_memory(loop) - before) / KIB);
}

/* ---- A busy stream -----------------------------------------------------------------------------
 */

enum { QUIET = 100 };

struct busy {
    sluice_loop *loop;
    struct line line;
    struct line quiet[QUIET];
    int asked; /* of the quiet, or -1 */
    uint64_t asked_at;
    int64_t asked_ns;
    uint64_t answers;
    uint64_t most_between;
    int64_t most_ns;
    uint64_t events; /* of the busy one */
};

/* The peer of a quiet stream sends something now and then. The busy stream always has more. */
static void keep_busy(struct busy *busy) {
    static const unsigned char bytes[256 * KIB];
    if (busy->events % 32 == 0)
        (void)!send(busy->line.peer, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (busy->asked < 0 && busy->events % 64 == 0) {
        busy->asked = (int)random_below(QUIET);
        busy->asked_at = busy->events;
        busy->asked_ns = monotonic_ns();
        put_byte(busy->quiet[busy->asked].peer);
    }
}

static void note_answer(struct busy *busy) {
    uint64_t between = busy->events - busy->asked_at;
    int64_t took = monotonic_ns() - busy->asked_ns;
    if (between > busy->most_between)
        busy->most_between = between;
    if (took > busy->most_ns)
        busy->most_ns = took;
    busy->asked = -1;
    busy->answers++;
}

/* A turn receives once from each stream that is ready. So between a quiet stream's byte and its
 * event there is what was left of one turn, and at most one event of the next. */
static void a_busy_stream_keeps_no_other_waiting(void) {
    /* poll and select look at all of them for each event. */
    const uint64_t all = strcmp(test_backend(), "epoll") == 0 ? 1000000 : 100000;
    const uint64_t events = all / SLOWER;
    static struct busy busy;
    busy = (struct busy){.asked = -1};
    busy.loop = make_loop_with((sluice_options){.receive_size = 4 * KIB});
    busy.line = unix_line(busy.loop);
    for (int i = 0; i < QUIET; i++)
        busy.quiet[i] = unix_line(busy.loop);
    int64_t cpu = cpu_ns();
    while (busy.events < events) {
        keep_busy(&busy);
        sluice_event event = next_event(busy.loop);
        assert_int_equal(event.kind, SLUICE_DATA);
        if (event.id == busy.line.id)
            busy.events++;
        else
            note_answer(&busy);
    }
    cpu = cpu_ns() - cpu;
    assert_true(busy.answers >= events / 128);
    assert_true(busy.most_between <= 2);
    print_message(
        "figure: %s, a stream with %llu events beside 100 quiet ones: at most %llu of them"
        " before a quiet one's, %.2f ms; %.1f us of CPU an event, the peer's share with it\n",
        test_backend(), (unsigned long long)events, (unsigned long long)busy.most_between,
        (double)busy.most_ns / 1e6, (double)cpu / 1e3 / (double)events);
}

/* ---- Posts -------------------------------------------------------------------------------------
 */

enum { THREADS = 8 };

static sluice_loop *posted_to;
static uint64_t posts; /* of each thread */
static _Atomic uint64_t refused;

static void *post_many(void *argument) {
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    for (uint64_t i = 1; i <= posts;) {
        int code = sluice_post(posted_to, thread << 32 | i);
        if (code == 0)
            i++;
        else if (code == SLUICE_EFULL)
            refused++;
        else
            return (void *)"a post was refused otherwise";
    }
    return NULL;
}

static void pull_posts(sluice_loop *loop) {
    uint64_t last[THREADS] = {0};
    for (size_t count = 0; count < THREADS * posts; count++) {
        sluice_event event = expect_event(loop, SLUICE_POSTED);
        uint64_t thread = event.value >> 32;
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(event.value & UINT32_MAX, last[thread] + 1);
        last[thread]++;
    }
}

static void storm_of_posts(uint64_t posts_each, size_t limit) {
    pthread_t threads[THREADS];
    refused = 0;
    posts = posts_each / SLOWER;
    posted_to = make_loop_with((sluice_options){.post_limit = limit});
    int64_t begin = monotonic_ns();
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, (void *)i), 0);
    /* Where they are too many, the loop begins when it is full, and not before. */
    while (limit < THREADS * posts && refused == 0)
        sched_yield();
    pull_posts(posted_to);
    int64_t took = monotonic_ns() - begin;
    for (size_t i = 0; i < THREADS; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        if (problem)
            fail_msg("%s", (const char *)problem);
    }
    expect_no_event(posted_to);
    print_message(
        "figure: %s, %llu posts of 8 threads, of which %zu may wait: %.0f ns each, in %llu"
        " turns\n",
        test_backend(), THREADS * (unsigned long long)posts, limit,
        (double)took / (double)(THREADS * posts), (unsigned long long)stats_of(posted_to).turns);
}

static void a_storm_of_posts(void) {
    storm_of_posts(100000, 1000000);
}

static void a_storm_of_posts_over_the_limit(void) {
    storm_of_posts(10000, 1000);
}

/* ---- Children ----------------------------------------------------------------------------------
 */

enum { CHILDREN = 8, FAMILY = 50 };

/* In a child. It lets go of what belongs to the parent, and this sends and reports nothing. Then it
 * has the loop for itself. */
static int be_a_child(sluice_loop *loop, const struct line *lines) {
    struct pair pair = unix_pair();
    sluice_id id;
    sluice_event event;
    size_t closed = 0;
    if (sluice_after_fork(loop) != 0)
        return 1;
    for (size_t i = 0; i < FAMILY; i++)
        if (sluice_abort(loop, lines[i].id) != 0)
            return 2;
    if (sluice_adopt(loop, &id, release(pair.near), NULL) != 0 || sluice_post(loop, 7) != 0)
        return 3;
    put_byte(pair.far);
    for (bool posted = false, data = false; !posted || !data || closed < FAMILY;) {
        if (sluice_next(loop, &event, PATIENCE_NS) != 1)
            return 4;
        posted |= event.kind == SLUICE_POSTED && event.value == 7;
        data |= event.kind == SLUICE_DATA && event.id == id;
        closed += event.kind == SLUICE_CLOSED;
    }
    return sluice_destroy(loop) == 0 ? 0 : 5;
}

static void exchange_with_all(sluice_loop *loop, const struct line *lines) {
    for (size_t i = 0; i < FAMILY; i++) {
        put_text(lines[i].peer, "to you");
        expect_text(loop, lines[i].id, "to you");
        assert_int_equal(sluice_write(loop, lines[i].id, "to me", 5), 0);
        expect_no_event(loop);
        take_text(lines[i].peer, "to me");
    }
}

/* Each is forked while the ones before are at work. */
static void children_leave_the_parents_loop_alone(void) {
    sluice_loop *loop = make_loop();
    struct line lines[FAMILY];
    for (size_t i = 0; i < FAMILY; i++)
        lines[i] = unix_line(loop);
    exchange_with_all(loop, lines);
    pid_t children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(be_a_child(loop, lines));
    }
    for (size_t i = 0; i < CHILDREN; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
        exchange_with_all(loop, lines);
    }
}

int main(void) {
    static const struct test once[] = {
        {"a slow reader costs no more than the hard limit",
         a_slow_reader_costs_no_more_than_the_hard_limit, NULL},
    };
    static const struct test tests[] = {
        {"a busy stream keeps no other waiting", a_busy_stream_keeps_no_other_waiting, NULL},
        {"a storm of posts from 8 threads", a_storm_of_posts, NULL},
        {"a storm of posts over the limit", a_storm_of_posts_over_the_limit, NULL},
        {"children leave the parent's loop alone", children_leave_the_parents_loop_alone, NULL},
    };
    int failed = run_once(once, COUNT_OF(once));
    return failed + run_over_backends(tests, COUNT_OF(tests));
}

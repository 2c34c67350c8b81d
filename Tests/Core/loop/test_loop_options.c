/* test_loop_options.c - opening a loop: options and their ranges, statistics, and which descriptors
 * it makes. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int open_with(sluice_options options) {
    if (options.size == 0)
        options.size = sizeof options;
    options.backend = test_backend();
    sluice_loop *loop = (sluice_loop *)&options;
    int code = sluice_open(&loop, &options);
    if (code < 0)
        assert_null(loop);
    assert_int_equal(sluice_destroy(loop), 0);
    return code;
}

static void defaults(void) {
    sluice_loop *loop;
    assert_int_equal(sluice_open(&loop, NULL), 0);
    assert_int_equal(sluice_destroy(loop), 0);
    assert_int_equal(open_with((sluice_options){0}), 0);
    assert_int_equal(open_with((sluice_options){.hard_limit = 1}), 0); /* the marks follow it */
    assert_int_equal(sluice_open(NULL, NULL), SLUICE_ENULL);
    assert_int_equal(sluice_destroy(NULL), 0);
    /* One of an older program, with fewer members. */
    sluice_options options = {.size = offsetof(sluice_options, receive_size)};
    options.backend = test_backend();
    options.receive_size = 1;
    assert_int_equal(sluice_open(&loop, &options), 0);
    assert_int_equal(sluice_destroy(loop), 0);
}

static void out_of_range(void) {
    const sluice_options bad[] = {
        {.size = 1},
        {.size = sizeof(sluice_options) + 8},
        {.size = offsetof(sluice_options, backend) + 3}, /* half a pointer */
        {.high_mark = 10, .low_mark = 11},
        {.high_mark = 100, .hard_limit = 99},
        {.low_mark = (size_t)1 << 21},
        {.high_mark = (size_t)1 << 27},
        {.hard_limit = 1, .high_mark = 2},
        {.hard_limit = SIZE_MAX},
        {.receive_size = 1},
        {.receive_size = SIZE_MAX},
        {.handle_limit = UINT32_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (open_with(bad[i]) != SLUICE_EOPTION)
            fail_msg("options %zu", i);
    sluice_options options = {.size = sizeof options, .backend = "kqueue"};
    sluice_loop *loop;
    assert_int_equal(sluice_open(&loop, &options), SLUICE_EBACKEND);
    assert_null(loop);
}

/* The default marks follow a hard limit that is below them. */
static void hard_limit_alone(void) {
    static const size_t limits[] = {1, 1000, 65536, (1 << 20) - 1, 1 << 20};
    static unsigned char bytes[(1 << 20) + 1];
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        assert_int_equal(open_with((sluice_options){.hard_limit = limits[i]}), 0);
        sluice_loop *loop = make_loop_with((sluice_options){.hard_limit = limits[i]});
        struct line line = unix_line(loop);
        fill(sluice_fd(loop, line.id));
        assert_int_equal(sluice_write(loop, line.id, bytes, limits[i] + 1), SLUICE_EFULL);
        write_all(loop, line.id, bytes, limits[i]);
        assert_int_equal(sluice_pending(loop, line.id), limits[i]);
        assert_int_equal(sluice_write(loop, line.id, bytes, 1), SLUICE_EFULL);
        end_loop(loop);
    }
    assert_int_equal(open_with((sluice_options){.hard_limit = 1000, .low_mark = 1001}),
                     SLUICE_EOPTION);
    assert_int_equal(open_with((sluice_options){.hard_limit = 1000, .low_mark = 1000}), 0);
}

struct member {
    size_t offset;
    size_t size;
};

#define MEMBER(type, name)                                                                         \
    { offsetof(type, name), sizeof(((type *)NULL)->name) /* NOLINT(bugprone-sizeof-expression) */ }

/* Whether a struct of this size ends inside one of its members. */
static bool cuts(const struct member *members, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++)
        if (size > members[i].offset && size < members[i].offset + members[i].size)
            return true;
    return false;
}

/* No compiler makes a struct that ends so: half a pointer or a number would be taken for a whole.
 */
static void a_size_that_ends_inside_a_member(void) {
    static const struct member of_loops[] = {
        MEMBER(sluice_options, size),         MEMBER(sluice_options, backend),
        MEMBER(sluice_options, reallocate),   MEMBER(sluice_options, allocation_context),
        MEMBER(sluice_options, receive_size), MEMBER(sluice_options, high_mark),
        MEMBER(sluice_options, low_mark),     MEMBER(sluice_options, hard_limit),
        MEMBER(sluice_options, memory_limit), MEMBER(sluice_options, post_limit),
        MEMBER(sluice_options, handle_limit), MEMBER(sluice_options, flags)};
    const sluice_options options = {.backend = test_backend(),
                                    .receive_size = 65536,
                                    .high_mark = 1 << 20,
                                    .low_mark = 1 << 18,
                                    .hard_limit = 1 << 26,
                                    .memory_limit = 1 << 30,
                                    .post_limit = 1 << 20,
                                    .handle_limit = 1 << 20};
    for (size_t size = 0; size < sizeof options; size++) {
        if (!cuts(of_loops, COUNT_OF(of_loops), size))
            continue;
        sluice_options part = options;
        part.size = size;
        sluice_loop *loop = NULL;
        if (sluice_open(&loop, &part) != SLUICE_EOPTION)
            fail_msg("sluice_options of %zu bytes", size);
        assert_null(loop);
    }
}

static void a_size_that_ends_inside_a_member_of_others(void) {
    static const struct member of_streams[] = {MEMBER(sluice_stream_options, size),
                                               MEMBER(sluice_stream_options, flags),
                                               MEMBER(sluice_stream_options, keepalive_seconds),
                                               MEMBER(sluice_stream_options, idle_timeout_ns),
                                               MEMBER(sluice_stream_options, linger_ns),
                                               MEMBER(sluice_stream_options, connect_timeout_ns),
                                               MEMBER(sluice_stream_options, high_mark),
                                               MEMBER(sluice_stream_options, low_mark),
                                               MEMBER(sluice_stream_options, source)};
    static const struct member of_listeners[] = {MEMBER(sluice_listen_options, size),
                                                 MEMBER(sluice_listen_options, flags),
                                                 MEMBER(sluice_listen_options, backlog),
                                                 MEMBER(sluice_listen_options, accept_batch),
                                                 MEMBER(sluice_listen_options, connection_limit),
                                                 MEMBER(sluice_listen_options, streams),
                                                 MEMBER(sluice_listen_options, unix_mode)};
    sluice_loop *loop = make_loop();
    int fd = unix_pair().near;
    sluice_id id;
    sluice_stream_options streams = stream_options(0);
    streams.idle_timeout_ns = streams.linger_ns = streams.connect_timeout_ns = PATIENCE_NS;
    streams.keepalive_seconds = 10;
    streams.high_mark = streams.low_mark = 1000;
    streams.source = "127.0.0.1:0";
    for (size_t size = 0; size < sizeof streams; size++) {
        if (!cuts(of_streams, COUNT_OF(of_streams), size))
            continue;
        streams.size = size;
        sluice_listen_options listening = listen_options();
        listening.streams = &streams;
        if (sluice_adopt(loop, &id, fd, &streams) != SLUICE_EOPTION ||
            sluice_connect(loop, &id, "127.0.0.1:1", &streams) != SLUICE_EOPTION ||
            sluice_listen(loop, &id, "127.0.0.1:0", &listening) != SLUICE_EOPTION)
            fail_msg("sluice_stream_options of %zu bytes", size);
    }
    streams = stream_options(0);
    sluice_listen_options options = {.streams = &streams, .unix_mode = 0700, .backlog = 10};
    for (options.size = 0; options.size < sizeof options; options.size++)
        if (cuts(of_listeners, COUNT_OF(of_listeners), options.size) &&
            sluice_listen(loop, &id, "127.0.0.1:0", &options) != SLUICE_EOPTION)
            fail_msg("sluice_listen_options of %zu bytes", options.size);
    sluice_statistics stats;
    for (size_t size = 0; size < sizeof stats; size++) {
        stats.size = size;
        if (size % sizeof(uint64_t) != 0 && sluice_stats(loop, &stats) != SLUICE_EOPTION)
            fail_msg("sluice_statistics of %zu bytes", size);
    }
}

static void stream_and_listen_options_out_of_range(void) {
    sluice_loop *loop = make_loop();
    int fd = unix_pair().near;
    sluice_id id;
    const sluice_stream_options bad[] = {
        {.size = 0},
        {.size = sizeof(sluice_stream_options) + 8},
        {.size = sizeof(sluice_stream_options), .flags = 32},
        {.size = sizeof(sluice_stream_options), .flags = SLUICE_THROTTLED | SLUICE_UNTHROTTLED},
        {.size = sizeof(sluice_stream_options), .high_mark = 10, .low_mark = 11},
        {.size = sizeof(sluice_stream_options), .high_mark = SIZE_MAX},
        {.size = sizeof(sluice_stream_options), .idle_timeout_ns = -1},
        {.size = sizeof(sluice_stream_options), .linger_ns = -1},
        {.size = sizeof(sluice_stream_options), .connect_timeout_ns = -1},
        {.size = sizeof(sluice_stream_options), .keepalive_seconds = 40000},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(sluice_adopt(loop, &id, fd, &bad[i]), SLUICE_EOPTION);
        assert_int_equal(sluice_connect(loop, &id, "127.0.0.1:1", &bad[i]), SLUICE_EOPTION);
        sluice_listen_options options = listen_options();
        options.streams = &bad[i];
        assert_int_equal(sluice_listen(loop, &id, "127.0.0.1:0", &options), SLUICE_EOPTION);
    }
    const sluice_listen_options bad_listen[] = {
        {.size = 1},
        {.size = sizeof(sluice_listen_options) + 8},
        {.size = sizeof(sluice_listen_options), .flags = 4},
        {.size = sizeof(sluice_listen_options), .unix_mode = 01000},
        {.size = sizeof(sluice_listen_options), .backlog = UINT32_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(bad_listen); i++)
        assert_int_equal(sluice_listen(loop, &id, "127.0.0.1:0", &bad_listen[i]), SLUICE_EOPTION);
    assert_int_equal(sluice_adopt(loop, NULL, fd, NULL), SLUICE_ENULL);
    assert_int_equal(sluice_connect(loop, NULL, "127.0.0.1:1", NULL), SLUICE_ENULL);
}

/* The longest time: more than the clock can count means never. */
static void timeouts_beyond_measure(void) {
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = INT64_MAX;
    options.linger_ns = INT64_MAX;
    options.connect_timeout_ns = INT64_MAX;
    struct line line = line_of(loop, unix_pair(), &options);
    put_text(line.peer, "x");
    expect_text(loop, line.id, "x");
    assert_int_equal(sluice_close(loop, line.id), 0);
    drop(line.peer);
    expect_closed(loop, line.id, 0, 0);
}

static void null_loop(void) {
    sluice_event event;
    sluice_id id;
    assert_int_equal(sluice_next(NULL, &event, 0), SLUICE_ENULL);
    assert_int_equal(sluice_next_many(NULL, &event, 1, 0), SLUICE_ENULL);
    assert_int_equal(sluice_post(NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_now(NULL), SLUICE_ENULL);
    assert_int_equal(sluice_backend_fd(NULL), SLUICE_ENULL);
    assert_int_equal(sluice_until_next(NULL), SLUICE_ENULL);
    assert_int_equal(sluice_after_fork(NULL), SLUICE_ENULL);
    assert_int_equal(sluice_close(NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_timer(NULL, &id, 0, 0, 0), SLUICE_ENULL);
    assert_int_equal(sluice_listen(NULL, &id, "127.0.0.1:0", NULL), SLUICE_ENULL);
    assert_int_equal(sluice_write(NULL, 1, "x", 1), SLUICE_ENULL);
    assert_int_equal(sluice_pending(NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_stats(NULL, NULL), SLUICE_ENULL);
    sluice_loop *loop = make_loop();
    assert_int_equal(sluice_next(loop, NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_next(loop, &event, -1), SLUICE_ETIMEOUT);
    assert_int_equal(sluice_next(loop, &event, INT64_MIN), SLUICE_ETIMEOUT);
    assert_int_equal(sluice_stats(loop, NULL), SLUICE_ENULL);
}

/* ---- Statistics ----------------------------------------------------------------------------- */

static void statistics(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    int peer = dial(address);
    sluice_id id = expect_event(loop, SLUICE_ACCEPTED).id;
    put_text(peer, "12345");
    sluice_event event = expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_write(loop, id, event.data, 3), 0);
    expect_no_event(loop);
    sluice_statistics stats = stats_of(loop);
    assert_int_equal(stats.events[SLUICE_ACCEPTED], 1);
    assert_int_equal(stats.events[SLUICE_DATA], 1);
    assert_int_equal(stats.handles[SLUICE_KIND_LISTENER], 1);
    assert_int_equal(stats.handles[SLUICE_KIND_STREAM], 1);
    assert_int_equal(stats.bytes_received, 5);
    assert_int_equal(stats.bytes_sent, 3);
    assert_int_equal(stats.receives, 1);
    assert_int_equal(stats.sends, 1);
    assert_int_equal(stats.accepts, 1);
    assert_int_equal(stats.queue_memory, 0);
    assert_true(stats.turns >= 3);
    fill(sluice_fd(loop, id));
    assert_int_equal(sluice_write(loop, id, "x", 1), 0);
    assert_int_equal(sluice_flush(loop, id), 0); /* it waits in the queue now */
    assert_true(stats_of(loop).queue_memory >= 4096);
    sluice_statistics part = {.size = offsetof(sluice_statistics, events), .bytes_sent = 77};
    assert_int_equal(sluice_stats(loop, &part), 0);
    assert_true(part.turns > 0);
    assert_int_equal(part.bytes_sent, 77);
    part.size = sizeof part + 8;
    assert_int_equal(sluice_stats(loop, &part), SLUICE_EOPTION);
    part.size = 1;
    assert_int_equal(sluice_stats(loop, &part), SLUICE_EOPTION);
}

/* Between two waits the caller has the thread: the longest time of that, and not of sleeping. */
static void longest_gap(void) {
    sluice_loop *loop = make_loop();
    sluice_event event;
    for (int i = 0; i < 3; i++)
        assert_int_equal(sluice_next(loop, &event, 300 * NS_PER_MS), 0);
    assert_true(stats_of(loop).longest_gap_ns < 200 * NS_PER_MS);
    int64_t end = monotonic_ns() + 250 * NS_PER_MS;
    while (monotonic_ns() < end) {
    }
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    assert_true(stats_of(loop).longest_gap_ns >= 250 * NS_PER_MS);
}

/* ---- Descriptors ---------------------------------------------------------------------------- */

static void every_descriptor_is_close_on_exec(void) {
    bool before[1024];
    for (int fd = 0; fd < 1024; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
    assert_int_equal(sluice_signal(loop, &id, 10), 0);
    for (int i = 0; i < 2; i++)
        next_event(loop);
    int made = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int flags = before[fd] ? -1 : fcntl(fd, F_GETFD);
        made += flags >= 0;
        if (flags >= 0 && !(flags & FD_CLOEXEC))
            fail_msg("descriptor %d", fd);
    }
    assert_true(made >= 5);
}

static void restore_limit(void *limit) {
    setrlimit(RLIMIT_NOFILE, limit);
}

/* Descriptors run out at each one that an open makes: it is refused, and no descriptor leaks. */
static void open_without_descriptors(void) {
    static struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    defer(restore_limit, &before);
    int lowest = keep(dup(0));
    drop(lowest);
    int refused = 0;
    for (rlim_t more = 0; more < 8; more++) {
        struct rlimit tight = before;
        tight.rlim_cur = (rlim_t)lowest + more;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        int code = open_with((sluice_options){0});
        assert_true(code == 0 || code == -EMFILE);
        refused += code < 0;
        if (code == 0)
            break;
    }
    assert_true(refused >= 2);
}

int main(void) {
    static const struct test tests[] = {
        {"defaults", defaults, NULL},
        {"options out of range: SLUICE_EOPTION", out_of_range, NULL},
        {"hard_limit alone, below the default marks", hard_limit_alone, NULL},
        {"a size that ends inside a member: SLUICE_EOPTION", a_size_that_ends_inside_a_member,
         NULL},
        {"the same of streams, listeners and statistics",
         a_size_that_ends_inside_a_member_of_others, NULL},
        {"those of streams and listeners", stream_and_listen_options_out_of_range, NULL},
        {"timeouts beyond measure", timeouts_beyond_measure, NULL},
        {"NULL is refused", null_loop, NULL},
        {"statistics", statistics, NULL},
        {"the longest gap is the caller's", longest_gap, NULL},
        {"every descriptor is close-on-exec", every_descriptor_is_close_on_exec, NULL},
        {"open without descriptors", open_without_descriptors, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

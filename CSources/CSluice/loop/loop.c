/* loop.c - a loop is opened, asked, embedded in another and ended here. pull.c pulls it. */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"
#include "network/socket.h"

#define KIB ((size_t)1024)
#define LEAST_RECEIVE_SIZE (4 * KIB)
#define DEFAULT_RECEIVE_SIZE (64 * KIB) /* so much stays in a second-level cache */
#define DEFAULT_HIGH_MARK (1024 * KIB)
#define DEFAULT_HARD_LIMIT (65536 * KIB)
#define DEFAULT_POST_LIMIT (1024 * KIB)
#define DEFAULT_HANDLE_LIMIT (UINT32_C(1) << 24)
#define CHUNKS_RETAINED 64
#define BUFFER_ALIGNMENT ((size_t)256)

/* ---- Opening and ending --------------------------------------------------------------------- */

/* Copies `given`, as far as it goes, with defaults for what is 0; or returns an error. */
static int complete_loop_options(const sluice_options *given, sluice_options *options) {
    *options = (sluice_options){.size = sizeof *options};
    if (given && !sluice_take_struct(options, sizeof *options, given, given->size))
        return SLUICE_EOPTION;
    if (options->receive_size == 0)
        options->receive_size = DEFAULT_RECEIVE_SIZE;
    if (options->hard_limit == 0)
        options->hard_limit = DEFAULT_HARD_LIMIT;
    if (options->high_mark == 0)
        options->high_mark =
            options->hard_limit < DEFAULT_HIGH_MARK ? options->hard_limit : DEFAULT_HIGH_MARK;
    if (options->low_mark == 0)
        options->low_mark = options->high_mark / 4;
    if (options->post_limit == 0)
        options->post_limit = DEFAULT_POST_LIMIT;
    if (options->handle_limit == 0)
        options->handle_limit = DEFAULT_HANDLE_LIMIT;
    if (options->low_mark > options->high_mark || options->high_mark > options->hard_limit ||
        options->hard_limit > PTRDIFF_MAX || options->receive_size < LEAST_RECEIVE_SIZE ||
        options->receive_size > PTRDIFF_MAX || options->handle_limit >= SLUICE_INDEX_LIMIT ||
        (options->flags & ~(uint32_t)SLUICE_INTERRUPTIBLE))
        return SLUICE_EOPTION;
    return 0;
}

static void init_handles(sluice_loop *loop, uint32_t limit) {
    sluice_slots_init(&loop->watches, sizeof(struct sluice_watch), limit);
    sluice_slots_init(&loop->signals, sizeof(struct sluice_signal), limit);
    sluice_slots_init(&loop->listeners, sizeof(struct sluice_listener), limit);
    sluice_slots_init(&loop->streams, sizeof(struct sluice_stream), limit);
    sluice_slots_init(&loop->resolves, sizeof(struct sluice_resolve), limit);
    sluice_slots_init(&loop->cohorts, sizeof(struct sluice_cohort), SLUICE_INDEX_LIMIT);
    sluice_timers_init(&loop->timers, &loop->allocator, loop->now);
    sluice_timers_init(&loop->deadlines, &loop->allocator, loop->now);
    sigemptyset(&loop->signal_set);
    for (size_t i = 0; i < SLUICE_SIGNAL_COUNT; i++)
        loop->signal_index[i] = SLUICE_NO_SLOT;
}

/* The cohort of streams without options of their own. It stays. */
static int make_default_cohort(sluice_loop *loop) {
    struct sluice_stream_settings settings;
    uint32_t cohort;
    int code = sluice_stream_settings_of(loop, NULL, false, &settings);
    return code < 0 ? code : sluice_cohort_join(loop, &settings, 0, &cohort);
}

SLUICE_COLD struct sluice_buffer *sluice_make_buffer(const sluice_loop *loop) {
    const size_t besides = sizeof(struct sluice_buffer) + BUFFER_ALIGNMENT - 1;
    if (loop->receive_size > PTRDIFF_MAX - besides)
        return NULL;
    struct sluice_buffer *buffer = (struct sluice_buffer *)sluice_resize(
        &loop->allocator, NULL, 1, besides + loop->receive_size);
    if (!buffer)
        return NULL;
    unsigned char *bytes = (unsigned char *)(buffer + 1);
    buffer->bytes = bytes + (-(uintptr_t)bytes & (BUFFER_ALIGNMENT - 1));
    return buffer;
}

static int open_parts(sluice_loop *loop, const sluice_options *options) {
    int code = sluice_posts_init(&loop->posts, options->post_limit);
    if (code == 0)
        code = make_default_cohort(loop);
    if (code < 0)
        return code;
    loop->receiving = sluice_make_buffer(loop);
    loop->lent = SLUICE_NEW(&loop->allocator, 1, struct sluice_lent);
    loop->lent_capacity = 1;
    if (!loop->receiving || !loop->lent)
        return SLUICE_ENOMEM;
    loop->receive_bytes = loop->receiving->bytes;
    const struct sluice_engine_options engine = {.backend = options->backend,
                                                 .allocator = &loop->allocator,
                                                 .receive_size = loop->receive_size,
                                                 .interruptible =
                                                     (options->flags & SLUICE_INTERRUPTIBLE) != 0};
    code = sluice_readiness_engine.create(&loop->engine, &engine);
    if (code < 0)
        return code;
    loop->engine->operations = &sluice_readiness_engine;
    loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return loop->reserve_fd < 0 ? -errno : 0;
}

static SLUICE_COLD void free_loop(sluice_loop *loop) {
    struct sluice_allocator allocator = loop->allocator;
    if (loop->engine)
        sluice_operations(loop)->destroy(loop->engine);
    if (loop->reserve_fd >= 0)
        close(loop->reserve_fd);
    if (loop->trace_fd >= 0)
        close(loop->trace_fd);
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    sluice_timers_deinit(&loop->timers);
    sluice_timers_deinit(&loop->deadlines);
    sluice_slots_deinit(&loop->watches, &allocator);
    sluice_slots_deinit(&loop->signals, &allocator);
    sluice_slots_deinit(&loop->listeners, &allocator);
    sluice_slots_deinit(&loop->streams, &allocator);
    sluice_slots_deinit(&loop->resolves, &allocator);
    sluice_slots_deinit(&loop->cohorts, &allocator);
    sluice_posts_deinit(&loop->posts);
    sluice_chunk_pool_deinit(&loop->pool);
    if (loop->keeping)
        loop->keeping->deinit(loop);
    sluice_free(&allocator, loop->receiving);
    sluice_free(&allocator, loop->lent);
    sluice_free(&allocator, loop);
}

SLUICE_COLD int sluice_open(sluice_loop **result, const sluice_options *given) {
    if (!result)
        return SLUICE_ENULL;
    *result = NULL;
    sluice_options options;
    int code = complete_loop_options(given, &options);
    if (code < 0)
        return code;
    struct sluice_allocator allocator = sluice_libc_allocator;
    if (options.reallocate)
        allocator = (struct sluice_allocator){options.reallocate, options.allocation_context};
    sluice_loop *loop = SLUICE_NEW(&allocator, 1, sluice_loop);
    if (!loop)
        return SLUICE_ENOMEM;
    *loop = (sluice_loop){.allocator = allocator,
                          .thread = sluice_thread(),
                          .now = sluice_clock_ns(),
                          .trace_fd = -1,
                          .newest_cohort = SLUICE_NO_SLOT,
                          .agenda = SLUICE_EMPTY_LIST,
                          .notices = SLUICE_EMPTY_LIST,
                          .later_notices = SLUICE_EMPTY_LIST,
                          .resumed = SLUICE_EMPTY_LIST,
                          .high_mark = options.high_mark,
                          .low_mark = options.low_mark,
                          .hard_limit = options.hard_limit,
                          .memory_limit = options.memory_limit ? options.memory_limit : SIZE_MAX,
                          .receive_size = options.receive_size,
                          .no_stream = {.state = STREAM_ENDED},
                          .signal_fd = -1,
                          .waiting = {SLUICE_NO_SLOT, SLUICE_NO_SLOT},
                          .accept_again = INT64_MAX,
                          .draining = {SLUICE_NO_SLOT, SLUICE_NO_SLOT},
                          .reserve_fd = -1};
    sluice_nothing_answerable(loop);
    init_handles(loop, options.handle_limit);
    loop->handle_limit = options.handle_limit;
    sluice_chunk_pool_init(&loop->pool, &allocator, options.memory_limit, CHUNKS_RETAINED);
    /* With a limit on memory, each write must at once be refused or be sure of its room. */
    loop->small_most = options.memory_limit ? 0 : SLUICE_SMALL_WRITE;
    sluice_trace_open(loop);
    code = open_parts(loop, &options);
    if (code < 0) {
        free_loop(loop);
        return code;
    }
    *result = loop;
    return 0;
}

/* Offers what is queued to the kernel once more, whatever the engine knows about room. */
static void offer(sluice_loop *loop, struct sluice_stream *stream) {
    if ((stream->state & (STREAM_CONNECTING | OUTPUT_FAILED)) ||
        sluice_output_settle(loop, stream) < 0)
        return;
    while (stream->output.length > 0) {
        struct iovec iov[64];
        int count = sluice_bytes_peek(&stream->output, iov, 64, SIZE_MAX);
        ptrdiff_t sent = stream->state & STREAM_NO_SOCKET
                             ? sluice_file_send_slices(stream->fd, iov, count)
                             : sluice_socket_send_slices(stream->fd, iov, count);
        if (sent <= 0)
            break;
        sluice_bytes_consume(&loop->pool, &stream->output, (size_t)sent);
    }
}

int sluice_destroy(sluice_loop *loop) {
    if (!loop)
        return 0;
    if (sluice_loop_check(loop) < 0)
        return SLUICE_ETHREAD;
    for (uint32_t i = 0; i < loop->streams.used; i++) {
        struct sluice_stream *stream = sluice_stream_at(loop, i);
        if (!sluice_slot_lives(&stream->slot))
            continue;
        if (!(stream->state & STREAM_ENDED)) {
            offer(loop, stream);
            sluice_stream_end(loop, stream);
        }
        sluice_stream_told_end(loop, stream);
    }
    for (uint32_t i = 0; i < loop->resolves.used; i++) {
        struct sluice_resolve *resolve = sluice_resolve_at(loop, i);
        if (sluice_slot_lives(&resolve->slot))
            loop->lookups->end_resolve(loop, resolve);
    }
    for (uint32_t i = 0; i < loop->listeners.used; i++) {
        struct sluice_listener *listener = sluice_listener_at(loop, i);
        if (sluice_slot_lives(&listener->slot))
            sluice_listener_end(loop, listener);
    }
    for (uint32_t i = 0; i < loop->signals.used; i++) {
        struct sluice_signal *signal = sluice_signal_at(loop, i);
        if (sluice_slot_lives(&signal->slot))
            sluice_signal_end(loop, signal);
    }
    sluice_lent_take_back(loop);
    free_loop(loop);
    return 0;
}

/* ---- From elsewhere ------------------------------------------------------------------------- */

int sluice_post(sluice_loop *loop, uint64_t value) {
    if (!loop)
        return SLUICE_ENULL;
    int code = sluice_posts_add(&loop->posts, value);
    return code > 0 ? sluice_operations(loop)->wake(loop->engine) : code;
}

int sluice_wake(sluice_loop *loop) {
    if (!loop)
        return SLUICE_ENULL;
    sluice_posts_wake(&loop->posts);
    return sluice_operations(loop)->wake(loop->engine);
}

int64_t sluice_now(const sluice_loop *loop) {
    int code = sluice_loop_check(loop);
    return code < 0 ? code : loop->now;
}

int64_t sluice_update_now(sluice_loop *loop) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    loop->now = sluice_clock_ns();
    return loop->now;
}

int sluice_take_over(sluice_loop *loop) {
    if (!loop)
        return SLUICE_ENULL;
    loop->thread = sluice_thread();
    sluice_signals_block(loop);
    return 0;
}

int sluice_backend_fd(sluice_loop *loop) {
    int code = sluice_loop_check(loop);
    return code < 0 ? code : sluice_operations(loop)->backend_fd(loop->engine);
}

int64_t sluice_until_next(sluice_loop *loop) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if ((loop->todo & TODO_OF_TURN) || loop->put_off_length > 0 ||
        loop->later_notices.first != SLUICE_NO_SLOT || loop->draining.first != SLUICE_NO_SLOT ||
        sluice_atomic_load(&loop->has_answers) ||
        sluice_operations(loop)->has_left_over(loop->engine))
        return 0;
    int64_t first = sluice_loop_deadline(loop);
    if (first == INT64_MAX)
        return SLUICE_FOREVER;
    int64_t now = sluice_clock_ns();
    return first > now ? first - now : 0;
}

int sluice_after_fork(sluice_loop *loop) {
    if (!loop)
        return SLUICE_ENULL;
    loop->thread = sluice_thread();
    sluice_posts_after_fork(&loop->posts);
    sluice_streams_after_fork(loop);
    sluice_listeners_after_fork(loop);
    int code = sluice_operations(loop)->after_fork(loop->engine);
    if (code == 0)
        code = sluice_signals_after_fork(loop);
    return code < 0 || !loop->lookups ? code : loop->lookups->after_fork(loop);
}

int sluice_stats(const sluice_loop *loop, sluice_statistics *stats) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!stats)
        return SLUICE_ENULL;
    sluice_statistics now = loop->stats;
    now.handles[SLUICE_KIND_WATCH] = loop->watches.living;
    now.handles[SLUICE_KIND_TIMER] = loop->living_timers;
    now.handles[SLUICE_KIND_SIGNAL] = loop->signals.living;
    now.handles[SLUICE_KIND_LISTENER] = loop->listeners.living;
    now.handles[SLUICE_KIND_STREAM] = loop->streams.living;
    now.handles[SLUICE_KIND_RESOLVE] = loop->resolves.living;
    now.queue_memory =
        sluice_chunk_pool_in_use(&loop->pool) * sizeof(struct sluice_chunk) + loop->held_memory;
    now.size = stats->size;
    return sluice_take_struct(stats, sizeof *stats, &now, now.size) ? 0 : SLUICE_EOPTION;
}

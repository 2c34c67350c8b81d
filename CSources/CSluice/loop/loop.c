/* loop.c - the loop: opened, pulled, embedded, ended.
 *
 * A pull first sends what the caller wrote since the last one. Then it goes on with the turn: due
 * timers, posts, and the engine's completions, each of which gives an event, or changes a stream so
 * that events of its own wait (notices), which come before anything else. When a turn has no more
 * to give, the loop waits, and the next turn begins.
 *
 * That order is what keeps it fair: a turn has each timer, post and descriptor at most once.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"

#define KIB ((size_t)1024)
#define DEFAULT_RECEIVE_SIZE (256 * KIB)
#define DEFAULT_HIGH_MARK (1024 * KIB)
#define DEFAULT_HARD_LIMIT (65536 * KIB)
#define DEFAULT_POST_LIMIT (1024 * KIB)
#define DEFAULT_HANDLE_LIMIT (UINT32_C(1) << 24)
#define CHUNKS_RETAINED 64
/* Less room than this is not worth a receive: the rest waits for the next pull. */
#define LEAST_RECEIVE (4 * KIB)

/* ---- Opening and ending --------------------------------------------------------------------- */

/* `given` as far as it goes, with defaults for what is 0; or an error. */
static int complete_options(const sluice_options *given, sluice_options *options) {
    *options = (sluice_options){.size = sizeof *options};
    if (given) {
        if (given->size < sizeof given->size || given->size > sizeof *options)
            return SLUICE_EOPTION;
        memcpy(options, given, given->size);
    }
    if (options->receive_size == 0)
        options->receive_size = DEFAULT_RECEIVE_SIZE;
    if (options->high_mark == 0)
        options->high_mark = DEFAULT_HIGH_MARK;
    if (options->low_mark == 0)
        options->low_mark = options->high_mark / 4;
    if (options->hard_limit == 0)
        options->hard_limit = DEFAULT_HARD_LIMIT;
    if (options->post_limit == 0)
        options->post_limit = DEFAULT_POST_LIMIT;
    if (options->handle_limit == 0)
        options->handle_limit = DEFAULT_HANDLE_LIMIT;
    if (options->low_mark > options->high_mark || options->high_mark > options->hard_limit ||
        options->hard_limit > PTRDIFF_MAX || options->receive_size < LEAST_RECEIVE ||
        options->receive_size > PTRDIFF_MAX || options->handle_limit >= SLUICE_INDEX_LIMIT)
        return SLUICE_EOPTION;
    return 0;
}

static void init_handles(sluice_loop *loop, uint32_t limit) {
    sluice_slots_init(&loop->watches, sizeof(struct sluice_watch), limit);
    sluice_slots_init(&loop->signals, sizeof(struct sluice_signal), limit);
    sluice_slots_init(&loop->listeners, sizeof(struct sluice_listener), limit);
    sluice_slots_init(&loop->streams, sizeof(struct sluice_stream), limit);
    sluice_timers_init(&loop->timers, &loop->allocator, loop->now);
    sluice_timers_init(&loop->deadlines, &loop->allocator, loop->now);
    sigemptyset(&loop->signal_set);
    for (size_t i = 0; i < SLUICE_SIGNAL_COUNT; i++)
        loop->signal_index[i] = SLUICE_NO_SLOT;
}

static int open_parts(sluice_loop *loop, const sluice_options *options) {
    int code = sluice_posts_init(&loop->posts, options->post_limit);
    if (code < 0)
        return code;
    loop->receive_bytes = sluice_resize(&loop->allocator, NULL, 1, loop->receive_size);
    loop->lent = sluice_resize(&loop->allocator, NULL, 1, sizeof *loop->lent);
    loop->lent_capacity = 1;
    if (!loop->receive_bytes || !loop->lent)
        return SLUICE_ENOMEM;
    code = sluice_readiness_engine.create(&loop->engine, options->backend, &loop->allocator);
    if (code < 0)
        return code;
    loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return loop->reserve_fd < 0 ? -errno : 0;
}

static void free_loop(sluice_loop *loop) {
    struct sluice_allocator allocator = loop->allocator;
    if (loop->engine)
        loop->engine->operations->destroy(loop->engine);
    if (loop->reserve_fd >= 0)
        close(loop->reserve_fd);
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    sluice_timers_deinit(&loop->timers);
    sluice_timers_deinit(&loop->deadlines);
    sluice_slots_deinit(&loop->watches, &allocator);
    sluice_slots_deinit(&loop->signals, &allocator);
    sluice_slots_deinit(&loop->listeners, &allocator);
    sluice_slots_deinit(&loop->streams, &allocator);
    sluice_posts_deinit(&loop->posts);
    sluice_chunk_pool_deinit(&loop->pool);
    sluice_free(&allocator, loop->receive_bytes);
    sluice_free(&allocator, loop->lent);
    sluice_free(&allocator, loop);
}

int sluice_open(sluice_loop **result, const sluice_options *given) {
    if (!result)
        return SLUICE_ENULL;
    *result = NULL;
    sluice_options options;
    int code = complete_options(given, &options);
    if (code < 0)
        return code;
    struct sluice_allocator allocator = SLUICE_LIBC_ALLOCATOR;
    if (options.reallocate)
        allocator = (struct sluice_allocator){options.reallocate, options.allocation_context};
    sluice_loop *loop = sluice_resize(&allocator, NULL, 1, sizeof *loop);
    if (!loop)
        return SLUICE_ENOMEM;
    *loop = (sluice_loop){.allocator = allocator,
                          .thread = sluice_thread(),
                          .now = sluice_clock_ns(),
                          .accept_again = INT64_MAX,
                          .to_flush = {SLUICE_NO_SLOT, SLUICE_NO_SLOT},
                          .to_notify = {SLUICE_NO_SLOT, SLUICE_NO_SLOT},
                          .high_mark = options.high_mark,
                          .low_mark = options.low_mark,
                          .hard_limit = options.hard_limit,
                          .memory_limit = options.memory_limit ? options.memory_limit : SIZE_MAX,
                          .receive_size = options.receive_size,
                          .signal_fd = -1,
                          .reserve_fd = -1};
    init_handles(loop, options.handle_limit);
    loop->handle_limit = options.handle_limit;
    sluice_chunk_pool_init(&loop->pool, &allocator, options.memory_limit, CHUNKS_RETAINED);
    code = open_parts(loop, &options);
    if (code < 0) {
        free_loop(loop);
        return code;
    }
    *result = loop;
    return 0;
}

int sluice_destroy(sluice_loop *loop) {
    if (!loop)
        return 0;
    if (sluice_loop_check(loop) < 0)
        return SLUICE_ETHREAD;
    sluice_lent_take_back(loop);
    for (uint32_t i = 0; i < loop->streams.used; i++) {
        struct sluice_stream *stream = sluice_slots_at(&loop->streams, i);
        if (stream->slot.generation % 2 == 1 && !(stream->state & STREAM_ENDED))
            sluice_stream_end(loop, stream, 0);
    }
    for (uint32_t i = 0; i < loop->listeners.used; i++) {
        struct sluice_listener *listener = sluice_slots_at(&loop->listeners, i);
        if (listener->slot.generation % 2 == 1)
            sluice_listener_end(loop, listener);
    }
    for (uint32_t i = 0; i < loop->signals.used; i++) {
        struct sluice_signal *signal = sluice_slots_at(&loop->signals, i);
        if (signal->slot.generation % 2 == 1)
            sluice_signal_end(loop, signal);
    }
    free_loop(loop);
    return 0;
}

/* ---- Pulling -------------------------------------------------------------------------------- */

/* What has been done of what there is to do. */
enum progress { OVER, AN_EVENT, NO_EVENT };

static enum progress progress_of(bool is_event) {
    return is_event ? AN_EVENT : NO_EVENT;
}

/* What the engine has completed, told in *event: nothing more for OVER. */
static SLUICE_NOINLINE enum progress complete(sluice_loop *loop, sluice_event *event,
                                              enum sluice_operation operation) {
    if (!operation)
        return OVER;
    sluice_id id = event->id;
    if (sluice_id_kind(id) == SLUICE_KIND_STREAM) {
        struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(id));
        return progress_of(sluice_stream_complete(loop, stream, operation, event));
    }
    if (sluice_id_kind(id) == SLUICE_KIND_LISTENER) {
        struct sluice_listener *listener = sluice_slots_at(&loop->listeners, sluice_id_index(id));
        return progress_of(sluice_listener_complete(loop, listener, event));
    }
    if (id == SLUICE_SIGNALS_ID)
        return progress_of(sluice_signals_complete(loop, event));
    const struct sluice_watch *watch = sluice_slots_at(&loop->watches, sluice_id_index(id));
    event->kind = SLUICE_READY;
    event->user = watch->slot.user;
    return AN_EVENT;
}

/* Behind the bytes of others, where a pull takes many. */
static SLUICE_NOINLINE enum progress take_behind(sluice_loop *loop, sluice_event *event) {
    size_t room = loop->receive_size - loop->receive_used;
    if (room < LEAST_RECEIVE)
        return OVER;
    return complete(loop, event,
                    loop->engine->operations->next(loop->engine, event,
                                                   loop->receive_bytes + loop->receive_used, room));
}

/* Has the engine complete something: whether that is bytes of a stream that has nothing else due,
 * which then are the event. */
static inline bool take_bytes(sluice_loop *loop, sluice_event *event,
                              enum sluice_operation *operation) {
    *operation = loop->engine->operations->next(loop->engine, event, loop->receive_bytes,
                                                loop->receive_size);
    if (sluice_unlikely(*operation != SLUICE_OP_RECEIVE))
        return false;
    const struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(event->id));
    if (sluice_unlikely(stream->state & STREAM_APART))
        return false;
    event->kind = SLUICE_DATA;
    event->user = stream->slot.user;
    loop->stats.receives++;
    loop->stats.bytes_received += event->length;
    loop->receive_used = event->length;
    loop->answerable = event->id;
    loop->answerable_stream = stream;
    return true;
}

static enum progress take_completion(sluice_loop *loop, sluice_event *event) {
    enum sluice_operation operation;
    if (loop->receive_used > 0)
        return take_behind(loop, event);
    return take_bytes(loop, event, &operation) ? AN_EVENT : complete(loop, event, operation);
}

static enum progress take_timer(sluice_loop *loop, sluice_event *event) {
    uint32_t index;
    if (!sluice_timers_expire(&loop->timers, loop->now, &index))
        return OVER;
    uint32_t generation = sluice_timers_generation(&loop->timers, index);
    if (!sluice_timers_alive(&loop->timers, index, generation))
        loop->living_timers--;
    *event = (sluice_event){.kind = SLUICE_TIMER,
                            .id = sluice_id_of(SLUICE_KIND_TIMER, index, generation),
                            .user = sluice_timers_user(&loop->timers, index)};
    return AN_EVENT;
}

/* Sees to one deadline that is due. */
static enum progress take_deadline(sluice_loop *loop) {
    if (loop->accept_again <= loop->now) {
        loop->accept_again = INT64_MAX;
        sluice_listeners_heed_end(loop, 0);
    }
    uint32_t index;
    if (!sluice_timers_expire(&loop->deadlines, loop->now, &index))
        return OVER;
    sluice_id id = sluice_timers_user(&loop->deadlines, index);
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    stream->deadline = 0;
    sluice_stream_deadline(loop, stream);
    return NO_EVENT;
}

static enum progress take_post(sluice_loop *loop, sluice_event *event) {
    *event = (sluice_event){.kind = SLUICE_POSTED};
    return sluice_posts_next(&loop->posts, &event->value) ? AN_EVENT : OVER;
}

/* Does a part of `what`, which is the first of what there is to do. */
static enum progress take_part(sluice_loop *loop, sluice_event *event, uint32_t what) {
    switch (what) {
    case TODO_FLUSH:
        sluice_output_flush_all(loop);
        return OVER;
    case TODO_NOTICES:
        return sluice_stream_notice(loop, event) ? AN_EVENT : OVER;
    case TODO_OVERLOADED:
        return sluice_listener_notice(loop, event) ? AN_EVENT : OVER;
    case TODO_TIMERS:
        return take_timer(loop, event);
    case TODO_DEADLINES:
        return take_deadline(loop);
    case TODO_POSTS:
        return take_post(loop, event);
    default:
        return take_completion(loop, event);
    }
}

/* The next event of what there is to do, or false. */
static bool take(sluice_loop *loop, sluice_event *event) {
    while (loop->todo) {
        uint32_t what = loop->todo & -loop->todo;
        enum progress progress = take_part(loop, event, what);
        if (progress == AN_EVENT)
            return true;
        /* Where the receive buffer is full, the turn may not be over. */
        if (progress == OVER && what == TODO_COMPLETIONS && loop->receive_used > 0)
            return false;
        if (progress == OVER)
            loop->todo &= ~what;
    }
    return false;
}

static int64_t next_deadline(sluice_loop *loop) {
    int64_t timers = sluice_timers_next_deadline(&loop->timers);
    int64_t deadlines = sluice_timers_next_deadline(&loop->deadlines);
    int64_t first = timers < deadlines ? timers : deadlines;
    return first < loop->accept_again ? first : loop->accept_again;
}

/* What a turn has to see to. Timers also where none is due, so that their wheel goes with the time.
 */
static uint32_t turns_todo(const sluice_loop *loop) {
    uint32_t todo = TODO_COMPLETIONS;
    if (sluice_timers_used(&loop->timers))
        todo |= TODO_TIMERS;
    if (sluice_timers_used(&loop->deadlines) || loop->accept_again <= loop->now)
        todo |= TODO_DEADLINES;
    if (sluice_posts_left(&loop->posts))
        todo |= TODO_POSTS;
    return todo;
}

/* Waits for at most `timeout_ns`, and begins a turn. */
static int begin_turn(sluice_loop *loop, int64_t timeout_ns) {
    int64_t first = next_deadline(loop);
    int64_t now = sluice_clock_ns();
    if (loop->stats.turns++ > 0 && now - loop->now > loop->stats.longest_gap_ns)
        loop->stats.longest_gap_ns = now - loop->now;
    if (first != INT64_MAX) {
        int64_t until = first > now ? first - now : 0;
        if (until < timeout_ns)
            timeout_ns = until;
    }
    if (sluice_posts_pending(&loop->posts))
        timeout_ns = 0;
    int code = loop->engine->operations->wait(loop->engine, timeout_ns);
    loop->now = sluice_clock_ns();
    if (code < 0)
        return code;
    sluice_posts_take(&loop->posts);
    loop->todo |= turns_todo(loop);
    return 0;
}

/* Turn after turn, until one has an event, the loop is woken, or the time is up. */
static int wait_for(sluice_loop *loop, sluice_event *event, int64_t timeout_ns) {
    int64_t deadline = deadline_after(timeout_ns);
    for (int64_t remaining = timeout_ns;; remaining = deadline_remaining(deadline)) {
        int code = begin_turn(loop, remaining);
        if (code < 0)
            return code;
        if (take(loop, event))
            return 1;
        if (sluice_posts_take_wake(&loop->posts) || remaining == 0)
            return 0;
    }
}

/* Sends what the last event was answered with, and takes back the bytes that were lent with it. */
static inline void end_event(sluice_loop *loop) {
    if (loop->put_off_length > 0) {
        ptrdiff_t sent = loop->engine->operations->send(loop->engine, loop->put_off_fd,
                                                        loop->put_off_bytes, loop->put_off_length);
        if (sluice_likely((size_t)sent == loop->put_off_length)) {
            /* It idles from when the bytes came, which was in this same turn. */
            loop->stats.sends++;
            loop->stats.bytes_sent += (size_t)sent;
            loop->put_off_length = 0;
        } else {
            sluice_output_send_put_off(loop, sent);
        }
    }
    if (loop->lent_count > 0)
        sluice_lent_take_back(loop);
}

static inline bool can_pull(const sluice_loop *loop, const sluice_event *events,
                            int64_t timeout_ns) {
    return loop && loop->thread == sluice_thread() && events && timeout_ns >= 0;
}

/* Why not. */
static SLUICE_NOINLINE int refuse_pull(const sluice_loop *loop, const sluice_event *events) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    return events ? SLUICE_ETIMEOUT : SLUICE_ENULL;
}

/* 1 with an event, or what a wait gives. `operation` has been completed already, or is 0. */
static SLUICE_NOINLINE int pull(sluice_loop *loop, sluice_event *event, int64_t timeout_ns,
                                enum sluice_operation operation) {
    loop->answerable = 0;
    loop->receive_used = 0;
    bool is_event = complete(loop, event, operation) == AN_EVENT || take(loop, event);
    if (!is_event) {
        int code = wait_for(loop, event, timeout_ns);
        if (code <= 0) {
            event->kind = 0; /* whatever was tried to be an event */
            return code;
        }
    }
    loop->stats.events[event->kind]++;
    return 1;
}

int sluice_next(sluice_loop *loop, sluice_event *event, int64_t timeout_ns) {
    if (sluice_unlikely(!can_pull(loop, event, timeout_ns)))
        return refuse_pull(loop, event);
    end_event(loop);
    enum sluice_operation operation = 0;
    /* Nearly all pulls are this, and no more is asked then. */
    if (sluice_likely(loop->todo == TODO_COMPLETIONS && take_bytes(loop, event, &operation))) {
        loop->stats.events[SLUICE_DATA]++;
        return 1;
    }
    return pull(loop, event, timeout_ns, operation);
}

int sluice_next_many(sluice_loop *loop, sluice_event *events, int capacity, int64_t timeout_ns) {
    if (!can_pull(loop, events, timeout_ns))
        return refuse_pull(loop, events);
    if (capacity < 1)
        return SLUICE_ECAPACITY;
    end_event(loop);
    if ((uint32_t)capacity > loop->lent_capacity) {
        struct sluice_lent *lent =
            sluice_resize(&loop->allocator, loop->lent, (size_t)capacity, sizeof *lent);
        if (!lent)
            return SLUICE_ENOMEM;
        loop->lent = lent;
        loop->lent_capacity = (uint32_t)capacity;
    }
    int code = pull(loop, events, timeout_ns, 0);
    if (code <= 0)
        return code;
    sluice_lend_answerable(loop);
    int count = 1;
    /* No further than to an EOF: to go on would be to close that stream before it is answered. */
    while (count < capacity && events[count - 1].kind != SLUICE_EOF && take(loop, &events[count])) {
        sluice_lend_answerable(loop);
        loop->stats.events[events[count++].kind]++;
    }
    return count;
}

/* ---- From elsewhere ------------------------------------------------------------------------- */

int sluice_post(sluice_loop *loop, uint64_t value) {
    if (!loop)
        return SLUICE_ENULL;
    int code = sluice_posts_add(&loop->posts, value);
    return code > 0 ? loop->engine->operations->wake(loop->engine) : code;
}

int sluice_wake(sluice_loop *loop) {
    if (!loop)
        return SLUICE_ENULL;
    sluice_posts_wake(&loop->posts);
    return loop->engine->operations->wake(loop->engine);
}

int64_t sluice_now(const sluice_loop *loop) {
    return sluice_loop_check(loop) < 0 ? 0 : loop->now;
}

int sluice_backend_fd(const sluice_loop *loop) {
    int code = sluice_loop_check(loop);
    return code < 0 ? code : loop->engine->operations->backend_fd(loop->engine);
}

int64_t sluice_until_next(sluice_loop *loop) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (loop->todo || loop->put_off_length > 0 ||
        loop->engine->operations->has_left_over(loop->engine))
        return 0;
    int64_t first = next_deadline(loop);
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
    sluice_listeners_after_fork(loop);
    int code = loop->engine->operations->after_fork(loop->engine);
    return code < 0 ? code : sluice_signals_after_fork(loop);
}

int sluice_stats(const sluice_loop *loop, sluice_statistics *stats) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!stats)
        return SLUICE_ENULL;
    if (stats->size < sizeof stats->size || stats->size > sizeof *stats)
        return SLUICE_EOPTION;
    sluice_statistics now = loop->stats;
    now.size = stats->size;
    now.handles[SLUICE_KIND_WATCH] = loop->watches.living;
    now.handles[SLUICE_KIND_TIMER] = loop->living_timers;
    now.handles[SLUICE_KIND_SIGNAL] = loop->signals.living;
    now.handles[SLUICE_KIND_LISTENER] = loop->listeners.living;
    now.handles[SLUICE_KIND_STREAM] = loop->streams.living;
    now.queue_memory =
        sluice_chunk_pool_in_use(&loop->pool) * sizeof(struct sluice_chunk) + loop->held_memory;
    memcpy(stats, &now, stats->size);
    return 0;
}

/* pull.c - pulling: the next event, turn by turn.
 *
 * A pull first sends what the caller wrote since the last one. Then it goes on with the turn: due
 * timers, posts, answers of names, the engine's completions, and last the deadlines of streams, so
 * that what came in time wins. Each of these gives an event, or changes a stream and puts it on the
 * agenda. The agenda, and the events that come of it (notices.c), are dealt with before anything
 * else. When a turn has no more to give, the loop waits, and the next turn begins.
 *
 * That order is what keeps it fair. A turn has each timer, post and descriptor at most once. It has
 * each notice that was there when it began, or that its own completions bring. What the caller's
 * calls bring belongs to the next turn.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <string.h>

#include "base/deadline.h"

/* With less room than this a receive is not worth it: the rest waits for the next pull. */
#define LEAST_RECEIVE ((size_t)4096)

/* ---- Parts of a turn ------------------------------------------------------------------------- */

/* What came of doing a part. */
enum progress { OVER, AN_EVENT, NO_EVENT };

static enum progress progress_of(bool is_event) {
    return is_event ? AN_EVENT : NO_EVENT;
}

static inline void count_received(sluice_loop *loop, const sluice_event *event) {
    loop->stats.receives++;
    loop->stats.bytes_received += event->length;
}

/* The one place where received bytes become an event, wherever the engine has put them. */
static inline void make_data(sluice_loop *loop, const struct sluice_stream *stream,
                             sluice_event *event) {
    event->kind = SLUICE_DATA;
    event->error = 0;
    event->user = stream->slot.user;
    loop->answerable = event->id;
    loop->answerable_stream = stream;
    loop->answerable_bytes = (const unsigned char *)event->data;
    loop->answerable_length = event->length;
}

/* Takes bytes if they are an event as they are. Returns whether that is so. */
static inline bool take_plain_data(sluice_loop *loop, sluice_event *event) {
    const struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(event->id));
    if (sluice_unlikely(stream->state & STREAM_APART))
        return false;
    count_received(loop, event);
    make_data(loop, stream, event);
    return true;
}

/* Takes bytes of any stream. */
static enum progress take_data(sluice_loop *loop, struct sluice_stream *stream,
                               sluice_event *event) {
    count_received(loop, event);
    if (stream->state & STREAM_APART) {
        enum sluice_received_as as = sluice_stream_received(loop, stream, event);
        if (as != SLUICE_RECEIVED_BYTES)
            return progress_of(as == SLUICE_RECEIVED_MORE);
    }
    loop->receive_used += event->length;
    make_data(loop, stream, event);
    return AN_EVENT;
}

/* Takes the end of what a stream receives. For most streams it is an event as it is: nothing else
 * of the stream waits to be given, and nothing comes before it in the turn. */
static inline enum progress take_end(sluice_loop *loop, struct sluice_stream *stream,
                                     sluice_event *event) {
    const uint32_t otherwise = STREAM_APART | STREAM_PAUSED | STREAM_TO_NOTIFY;
    if (event->error < 0 || (stream->state & otherwise)) {
        sluice_stream_complete(loop, stream, SLUICE_OP_END, event);
        return NO_EVENT;
    }
    loop->stats.receives++;
    stream->state |= INPUT_ENDED;
    event->kind = SLUICE_EOF;
    event->user = stream->slot.user;
    sluice_stream_told_eof(loop, stream, sluice_id_index(event->id));
    return AN_EVENT;
}

static SLUICE_NOINLINE enum progress complete_of_stream(sluice_loop *loop, sluice_event *event,
                                                        enum sluice_operation operation) {
    struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(event->id));
    if (operation == SLUICE_OP_RECEIVE)
        return take_data(loop, stream, event);
    sluice_stream_complete(loop, stream, operation, event);
    return NO_EVENT;
}

/* A watch is ready. event->value says for what. */
static inline void make_ready(const sluice_loop *loop, sluice_event *event) {
    event->kind = SLUICE_READY;
    event->error = 0;
    event->user = sluice_watch_at(loop, sluice_id_index(event->id))->slot.user;
    event->data = NULL;
    event->length = 0;
}

/* Takes anything else that the engine has completed. *event tells it. OVER: there is nothing
 * more. */
static inline enum progress complete(sluice_loop *loop, sluice_event *event,
                                     enum sluice_operation operation) {
    if (operation == SLUICE_OP_WATCH) {
        make_ready(loop, event);
        return AN_EVENT;
    }
    if (operation == SLUICE_OP_NONE)
        return OVER;
    uint32_t index = sluice_id_index(event->id);
    if (operation == SLUICE_OP_ACCEPT)
        return progress_of(sluice_listener_complete(loop, sluice_listener_at(loop, index), event));
    if (operation == SLUICE_OP_END)
        return take_end(loop, sluice_stream_at(loop, index), event);
    if (operation == SLUICE_OP_SIGNALS)
        return progress_of(sluice_signals_complete(loop, event));
    return complete_of_stream(loop, event, operation);
}

static enum progress take_completion(sluice_loop *loop, sluice_event *event) {
    size_t room = loop->receive_size - loop->receive_used;
    if (room < LEAST_RECEIVE)
        return OVER;
    unsigned char *bytes = loop->receive_bytes + loop->receive_used;
    return complete(loop, event, sluice_operations(loop)->next(loop->engine, event, bytes, room));
}

static inline enum progress take_timer(sluice_loop *loop, sluice_event *event) {
    uint32_t index = sluice_timers_expire(&loop->timers, loop->now);
    if (index == SLUICE_NO_TIMER)
        return OVER;
    uint32_t generation = sluice_timers_generation(&loop->timers, index);
    loop->living_timers -= !sluice_timers_repeats(&loop->timers, index);
    *event = (sluice_event){.kind = SLUICE_TIMER,
                            .id = sluice_id_of(SLUICE_KIND_TIMER, index, generation),
                            .user = sluice_timers_user(&loop->timers, index)};
    return AN_EVENT;
}

/* Deals with one deadline that is due. */
static SLUICE_COLD enum progress take_deadline(sluice_loop *loop) {
    if (loop->accept_again <= loop->now) {
        loop->accept_again = INT64_MAX;
        sluice_listeners_try_again(loop);
    }
    uint32_t index = sluice_timers_expire(&loop->deadlines, loop->now);
    if (index == SLUICE_NO_TIMER)
        return OVER;
    sluice_id id = sluice_timers_user(&loop->deadlines, index);
    struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(id));
    if (sluice_id_kind(id) == SLUICE_KIND_ATTEMPT) {
        sluice_stream_on_agenda(loop, stream);
        return NO_EVENT;
    }
    stream->deadline = 0;
    sluice_stream_deadline(loop, stream);
    return NO_EVENT;
}

static enum progress take_post(sluice_loop *loop, sluice_event *event) {
    *event = (sluice_event){.kind = SLUICE_POSTED};
    return sluice_posts_next(&loop->posts, &event->value) ? AN_EVENT : OVER;
}

/* Does one step of the part `what`, the first that there is to do. */
static inline enum progress take_part(sluice_loop *loop, sluice_event *event, int what) {
    switch (what) {
    case PART_AGENDA:
        return progress_of(sluice_streams_follow(loop, event));
    case PART_NOTICES:
        return progress_of(sluice_stream_notice(loop, event));
    case PART_OVERLOADED:
        return sluice_listener_notice(loop, event) ? AN_EVENT : OVER;
    case PART_TIMERS:
        return take_timer(loop, event);
    case PART_POSTS:
        return take_post(loop, event);
    case PART_ANSWERS:
        return loop->lookups->next(loop, event) ? AN_EVENT : OVER;
    case PART_DRAINING:
        return sluice_draining_next(loop, event) ? AN_EVENT : OVER;
    case PART_COMPLETIONS:
        return take_completion(loop, event);
    case PART_RESUMED:
        sluice_stream_tell_resumed(loop);
        return OVER;
    default:
        return take_deadline(loop);
    }
}

static uint32_t deadlines_todo(const sluice_loop *loop) {
    bool any = sluice_timers_used(&loop->deadlines) || loop->accept_again <= loop->now;
    return any ? TODO(DEADLINES) : 0;
}

/* The engine has no more completions in this turn. What came in time has been dealt with, and
 * deadlines follow. */
static inline void end_completions(sluice_loop *loop) {
    loop->todo = (loop->todo & ~TODO(COMPLETIONS)) | deadlines_todo(loop);
}

/* Does what there is to do, up to the next event. False if there is no event. */
static inline bool take(sluice_loop *loop, sluice_event *event) {
    uint32_t todo;
    while ((todo = loop->todo & TODO_OF_TURN) != 0) {
        int what = __builtin_ctz(todo);
        enum progress progress = take_part(loop, event, what);
        if (progress == AN_EVENT)
            return true;
        if (progress == NO_EVENT)
            continue;
        /* If the receive buffer is full, the turn may not be over. */
        if (what == PART_COMPLETIONS && loop->receive_used > 0)
            return false;
        if (what == PART_COMPLETIONS)
            end_completions(loop);
        else
            loop->todo &= ~(UINT32_C(1) << what);
    }
    return false;
}

/* ---- Turns ----------------------------------------------------------------------------------- */

static inline int64_t first_deadline(struct sluice_timers *timers) {
    return sluice_timers_used(timers) ? sluice_timers_next_deadline(timers) : INT64_MAX;
}

int64_t sluice_loop_deadline(sluice_loop *loop) {
    int64_t timers = first_deadline(&loop->timers);
    int64_t deadlines = first_deadline(&loop->deadlines);
    int64_t first = timers < deadlines ? timers : deadlines;
    return first < loop->accept_again ? first : loop->accept_again;
}

/* What a turn has to do. Timers are among it even if none is due, so that their wheel keeps up with
 * the time. A turn whose wait has failed has no completions. */
static uint32_t turns_todo(sluice_loop *loop, bool waited) {
    uint32_t todo = waited ? TODO(COMPLETIONS) : deadlines_todo(loop);
    if (loop->notices.first != SLUICE_NO_SLOT)
        todo |= TODO(NOTICES);
    if (sluice_timers_used(&loop->timers))
        todo |= TODO(TIMERS);
    if (sluice_posts_left(&loop->posts))
        todo |= TODO(POSTS);
    if (loop->draining.first != SLUICE_NO_SLOT) {
        sluice_draining_turn(loop);
        todo |= TODO(DRAINING);
    }
    return todo;
}

static bool has_more_to_give(sluice_loop *loop) {
    return sluice_posts_pending(&loop->posts) || loop->later_notices.first != SLUICE_NO_SLOT ||
           loop->draining.first != SLUICE_NO_SLOT;
}

/* Waits for at most `timeout_ns`, and begins a turn. Returns 0, or the error of the wait. */
static int begin_turn(sluice_loop *loop, int64_t timeout_ns) {
    int64_t first = sluice_loop_deadline(loop);
    int64_t now = sluice_clock_ns();
    if (loop->stats.turns++ > 0 && now - loop->waited > loop->stats.longest_gap_ns)
        loop->stats.longest_gap_ns = now - loop->waited;
    if (first != INT64_MAX) {
        int64_t until = first > now ? first - now : 0;
        if (until < timeout_ns)
            timeout_ns = until;
    }
    if (has_more_to_give(loop))
        timeout_ns = 0;
    int code = sluice_operations(loop)->wait(loop->engine, timeout_ns);
    loop->now = loop->waited = sluice_clock_ns();
    loop->notices = loop->later_notices;
    loop->later_notices = SLUICE_EMPTY_LIST;
    loop->tells_resumed = false;
    sluice_posts_take(&loop->posts);
    loop->todo |= turns_todo(loop, code == 0);
    if (sluice_atomic_load_relaxed(&loop->has_answers))
        loop->lookups->begin_turn(loop);
    return code;
}

/* As a timeout: do not even begin another turn. */
#define AT_ONCE ((int64_t)-1)

/* Nothing is left of this turn: begins the next one. Returns 1, or what the pull ends with: 0 if
 * the time is up, or an error. */
static SLUICE_NOINLINE int next_turn(sluice_loop *loop) {
    struct sluice_patience *patience = &loop->patience;
    if (patience->timeout_ns == AT_ONCE || patience->code < 0)
        return patience->code;
    if (patience->deadline < 0)
        patience->deadline = deadline_after(patience->timeout_ns);
    else if (loop->later_notices.first == SLUICE_NO_SLOT &&
             (sluice_posts_take_wake(&loop->posts) || patience->timeout_ns == 0))
        return 0;
    else
        patience->timeout_ns = deadline_remaining(patience->deadline);
    patience->code = begin_turn(loop, patience->timeout_ns);
    return 1;
}

/* ---- Pulling --------------------------------------------------------------------------------- */

/* Sends the answer to the last event. */
static inline void send_put_off(sluice_loop *loop) {
    ptrdiff_t sent = sluice_operations(loop)->send(loop->engine, loop->put_off_fd,
                                                   loop->put_off_bytes, loop->put_off_length);
    if (sluice_likely((size_t)sent == loop->put_off_length)) {
        /* Its idle limit counts from when the bytes came, which was in this same turn. */
        loop->stats.sends++;
        loop->stats.bytes_sent += (size_t)sent;
        loop->put_off_length = 0;
    } else {
        sluice_output_send_put_off(loop, sent);
    }
}

static inline bool can_pull(const sluice_loop *loop, const sluice_event *events,
                            int64_t timeout_ns) {
    return loop && loop->thread == sluice_thread() && events && timeout_ns >= 0;
}

/* Returns why it cannot be pulled. */
static SLUICE_NOINLINE int refuse_pull(const sluice_loop *loop, const sluice_event *events) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    return events ? SLUICE_ETIMEOUT : SLUICE_ENULL;
}

/* Clears what the last event has left behind. */
static inline void begin_pull(sluice_loop *loop) {
    if (loop->answerable_length == 0)
        return;
    sluice_nothing_answerable(loop);
    loop->answerable_length = 0;
    loop->receive_used = 0;
}

/* Returns 1 with an event, or what a wait gives. */
static SLUICE_NOINLINE int pull(sluice_loop *loop, sluice_event *event) {
    loop->patience.deadline = -1;
    loop->patience.code = 0;
    while (!take(loop, event)) {
        int code = next_turn(loop);
        if (code <= 0) {
            event->kind = 0; /* something may have been tried as an event */
            return code;
        }
    }
    loop->stats.events[event->kind]++;
    return 1;
}

/* What is dealt with before timers, and the timers. */
#define UNTIL_TIMERS ((uint32_t)(2 * TODO(TIMERS) - 1) | TODO_TAKE_BACK | TODO_TRACED)

/* A pull with something else to be done first or afterwards. */
static SLUICE_NOINLINE int next_with_more(sluice_loop *loop, sluice_event *event) {
    uint32_t traced = loop->todo & TODO_TRACED;
    if (loop->todo & TODO_TAKE_BACK)
        sluice_lent_take_back(loop);
    loop->todo &= ~TODO_TRACED;
    /* It is now like any other. */
    int code = sluice_next(loop, event, loop->patience.timeout_ns);
    loop->todo |= traced;
    if (traced)
        sluice_trace(loop, event, code);
    return code;
}

int sluice_next(sluice_loop *loop, sluice_event *event, int64_t timeout_ns) {
    if (sluice_unlikely(!can_pull(loop, event, timeout_ns)))
        return refuse_pull(loop, event);
    loop->patience.timeout_ns = timeout_ns;
    if (sluice_likely(loop->put_off_length > 0))
        send_put_off(loop);
    /* Nearly all pulls are this one, and nothing more is asked then: bytes of a stream that has
     * nothing else due. How much of the receive buffer is used matters only to a pull of several
     * events. */
    if (sluice_likely(loop->todo == TODO(COMPLETIONS))) {
        enum sluice_operation operation = sluice_operations(loop)->next(
            loop->engine, event, loop->receive_bytes, loop->receive_size);
        if (sluice_likely(operation == SLUICE_OP_RECEIVE && take_plain_data(loop, event))) {
            loop->stats.events[SLUICE_DATA]++;
            return 1;
        }
        begin_pull(loop);
        if (sluice_likely(operation == SLUICE_OP_WATCH)) {
            make_ready(loop, event);
            loop->stats.events[SLUICE_READY]++;
            return 1;
        }
        enum progress progress = complete(loop, event, operation);
        if (progress == AN_EVENT) {
            loop->stats.events[event->kind]++;
            return 1;
        }
        if (progress == OVER)
            end_completions(loop);
        return pull(loop, event);
    }
    if ((loop->todo & UNTIL_TIMERS) == TODO(TIMERS)) {
        begin_pull(loop);
        if (take_timer(loop, event) == AN_EVENT) {
            loop->stats.events[SLUICE_TIMER]++;
            return 1;
        }
        loop->todo &= ~TODO(TIMERS);
    }
    if (loop->todo & (TODO_TAKE_BACK | TODO_TRACED))
        return next_with_more(loop, event);
    begin_pull(loop);
    return pull(loop, event);
}

static int make_room_to_lend(sluice_loop *loop, int capacity) {
    if ((uint32_t)capacity <= loop->lent_capacity)
        return 0;
    struct sluice_lent *lent = SLUICE_RESIZE(&loop->allocator, loop->lent, (size_t)capacity);
    if (!lent)
        return SLUICE_ENOMEM;
    loop->lent = lent;
    loop->lent_capacity = (uint32_t)capacity;
    return 0;
}

/* Whether a pull of several events ends with this one. Going on after an EOF would close that
 * stream before the caller can answer. After the last bytes before an EOF, the caller may want to
 * hold some. In a run of receives the next event may be of the same stream, and a stream has only
 * one in a pull. */
static bool ends_batch(const sluice_loop *loop, const sluice_event *event) {
    return event->kind == SLUICE_EOF || loop->engine->in_run ||
           (event->kind == SLUICE_DATA && (event->value & SLUICE_LAST));
}

int sluice_next_many(sluice_loop *loop, sluice_event *events, int capacity, int64_t timeout_ns) {
    if (!can_pull(loop, events, timeout_ns))
        return refuse_pull(loop, events);
    if (capacity < 1)
        return SLUICE_ECAPACITY;
    if (loop->put_off_length > 0)
        send_put_off(loop);
    sluice_lent_take_back(loop);
    begin_pull(loop);
    loop->patience.timeout_ns = timeout_ns;
    int count = 0;
    int code = make_room_to_lend(loop, capacity);
    if (code == 0)
        code = pull(loop, events);
    loop->patience.timeout_ns = AT_ONCE;
    while (code > 0) {
        sluice_lend_answerable(loop);
        count++;
        bool goes_on = count < capacity && !ends_batch(loop, &events[count - 1]);
        code = goes_on ? pull(loop, &events[count]) : 0;
    }
    if (count > 0)
        code = count;
    if (loop->todo & TODO_TRACED)
        sluice_trace(loop, events, code);
    return code;
}

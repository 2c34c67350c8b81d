/* stream.c - a stream's life: begun, changed by what the engine completes, followed, ended.
 *
 * stream.h has the machine. What may change a stream changes a direction and puts the stream on the
 * agenda; sluice_stream_follow, and nothing else, says what comes of it.
 *
 * An orderly close has three steps: all is sent, the peer is told (shutdown), and its end is waited
 * for. What it sends meanwhile is received and dropped: to close with input unread would be to
 * reset the connection, which can take back what the peer has not read yet, and a peer that sends
 * all before it reads would never come to reading.
 *
 * Once the output has failed, the input goes on to what the peer had sent by then, and no further:
 * a peer that reads nothing could otherwise have us read for ever.
 */
#include "base/platform.h"

#include "loop/lookups.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/deadline.h"
#include "network/socket.h"

#define GRACE_NS (20 * NS_PER_MILLISECOND)

static const struct sluice_cohort *cohort_of(const sluice_loop *loop,
                                             const struct sluice_stream *stream) {
    return sluice_cohort_at(loop, stream->cohort);
}

/* ---- The agenda ------------------------------------------------------------------------------ */

void sluice_stream_on_agenda(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_ON_AGENDA)
        return;
    uint32_t index = sluice_stream_index(loop, stream);
    stream->state |= STREAM_ON_AGENDA;
    stream->next_on_agenda = SLUICE_NO_SLOT;
    if (loop->agenda.first == SLUICE_NO_SLOT)
        loop->agenda.first = index;
    else
        sluice_stream_at(loop, loop->agenda.last)->next_on_agenda = index;
    loop->agenda.last = index;
    loop->todo |= TODO_AGENDA;
}

/* ---- Beginning ------------------------------------------------------------------------------- */

static bool is_socket(enum sluice_role role) {
    return role == SLUICE_ROLE_CONNECTING || role == SLUICE_ROLE_SOCKET ||
           role == SLUICE_ROLE_LOCAL || role == SLUICE_ROLE_PACKETS;
}

static uint32_t first_state(const struct sluice_stream_start *start,
                            const struct sluice_cohort *cohort) {
    uint32_t state = start->traits;
    if (start->role == SLUICE_ROLE_CONNECTING)
        state |= STREAM_CONNECTING;
    if (is_socket(start->role))
        state |= STREAM_SOCKET;
    if (cohort->idle_ms)
        state |= STREAM_TIMED;
    if (cohort->flags & SLUICE_HALF_OPEN)
        state |= STREAM_HALF_OPEN;
    if (cohort->flags & SLUICE_THROTTLED)
        state |= STREAM_THROTTLES;
    return state;
}

static uint32_t first_wanted(const struct sluice_stream *stream) {
    if (stream->state & STREAM_CONNECTING)
        return SLUICE_OP_CONNECT;
    return stream->state & STREAM_NO_INPUT ? SLUICE_OP_HANGUP : SLUICE_OP_RECEIVE;
}

int sluice_stream_begin(sluice_loop *loop, const struct sluice_stream_start *start, sluice_id *id) {
    sluice_lend_answerable(loop); /* streams may move to make room */
    int code;
    uint32_t index = sluice_slots_begin(&loop->streams, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    struct sluice_stream *stream = sluice_stream_at(loop, index);
    struct sluice_cohort *cohort = sluice_cohort_at(loop, start->cohort);
    stream->slot.user = start->user;
    stream->fd = start->fd;
    stream->cohort = start->cohort;
    stream->state = first_state(start, cohort);
    *id = sluice_stream_id(loop, stream);
    int64_t limit = INT64_MAX;
    if (stream->state & STREAM_CONNECTING)
        limit = start->connect_timeout_ns;
    else if (stream->state & STREAM_TIMED)
        limit = cohort->idle_ms * NS_PER_MILLISECOND;
    code = limit == INT64_MAX ? 0 : sluice_deadline_set(loop, stream, limit);
    uint32_t wanted = first_wanted(stream);
    if (wanted == SLUICE_OP_RECEIVE)
        stream->state |= STREAM_RECEIVES;
    const struct sluice_engine_operations *engine = loop->engine->operations;
    if (code == 0 && start->origin != SLUICE_ORIGIN_NONE)
        code = engine->attach(loop->engine, start->fd, *id, start->role, wanted);
    if (code == SLUICE_EEXIST && start->origin == SLUICE_ORIGIN_KERNEL)
        code = sluice_attach_anew(loop, start->fd, *id, start->role, wanted);
    if (code < 0)
        sluice_stream_forget(loop, stream);
    return code;
}

void sluice_stream_forget(sluice_loop *loop, struct sluice_stream *stream) {
    sluice_deadline_cancel(loop, stream);
    sluice_free(&loop->allocator, stream->extras);
    sluice_slots_end(&loop->streams, sluice_stream_index(loop, stream));
}

struct sluice_extras *sluice_stream_extras(sluice_loop *loop, struct sluice_stream *stream) {
    if (!stream->extras) {
        struct sluice_extras *extras = sluice_resize(&loop->allocator, NULL, 1, sizeof *extras);
        if (!extras)
            return NULL;
        *extras =
            (struct sluice_extras){.forward_from = SLUICE_NO_SLOT, .forward_next = SLUICE_NO_SLOT};
        stream->extras = extras;
        stream->state |= STREAM_EXTRAS;
    }
    return stream->extras;
}

static void free_extras(sluice_loop *loop, struct sluice_stream *stream) {
    sluice_free(&loop->allocator, stream->extras);
    stream->extras = NULL;
    stream->state &= ~(uint32_t)STREAM_EXTRAS;
}

void sluice_stream_spare_extras(sluice_loop *loop, struct sluice_stream *stream) {
    const struct sluice_extras *extras = stream->extras;
    if (!extras->connecting && !extras->forward_to && extras->forward_from == SLUICE_NO_SLOT &&
        !extras->held_bytes)
        free_extras(loop, stream);
}

static bool connects_by_name(const struct sluice_stream *stream) {
    return stream->extras && stream->extras->connecting;
}

/* ---- Failing --------------------------------------------------------------------------------- */

static void fail(sluice_loop *loop, struct sluice_stream *stream, uint32_t direction, int error) {
    if (!stream->error)
        stream->error = error;
    stream->state |= direction;
    sluice_stream_on_agenda(loop, stream);
}

void sluice_input_fail(sluice_loop *loop, struct sluice_stream *stream, int error) {
    fail(loop, stream, INPUT_FAILED, error);
}

/* How much may still be received: what the peer has sent by now, or, where it has ended, to its
 * end. That is not waited for where the caller has paused the stream and no bytes are there. */
static uint32_t still_to_receive(const struct sluice_stream *stream) {
    struct pollfd ended = {.fd = stream->fd, .events = POLLRDHUP};
    int there = 0;
    bool has_ended = poll(&ended, 1, 0) == 1 && !(ended.revents & POLLNVAL);
    if (ioctl(stream->fd, FIONREAD, &there) < 0 || there < 0)
        there = 0;
    if (has_ended && (there > 0 || !(stream->state & STREAM_PAUSED)))
        return UINT32_MAX;
    return (uint32_t)there;
}

void sluice_output_fail(sluice_loop *loop, struct sluice_stream *stream, int error) {
    if (stream->state & OUTPUT_FAILED)
        return;
    stream->state &= ~(uint32_t)(OUTPUT_OVER | STREAM_BLOCKED);
    fail(loop, stream, OUTPUT_FAILED, error);
    sluice_output_drop(loop, stream);
    stream->remaining = still_to_receive(stream);
}

void sluice_stream_lose_descriptor(sluice_loop *loop, struct sluice_stream *stream) {
    stream->fd = -1;
    sluice_input_fail(loop, stream, SLUICE_EBADF);
    sluice_output_fail(loop, stream, SLUICE_EBADF);
}

/* ---- What the engine has completed ------------------------------------------------------------
 */

void sluice_stream_connected(sluice_loop *loop, struct sluice_stream *stream, int error) {
    stream->state &= ~(uint32_t)(STREAM_CONNECTING | STREAM_GRACE);
    if (error < 0) {
        sluice_input_fail(loop, stream, error);
        return;
    }
    sluice_stream_on_agenda(loop, stream);
    if (stream->state & STREAM_CLOSING)
        return;
    /* The deadline of connecting becomes that of idling: see heed_idleness. */
    sluice_deadline_cancel(loop, stream);
    sluice_stream_notify(loop, stream, NOTICE_CONNECTED, false);
}

static void received_end(sluice_loop *loop, struct sluice_stream *stream) {
    stream->state |= INPUT_ENDED;
    bool passed_on = !(stream->state & STREAM_CLOSING) && stream->extras &&
                     sluice_forward_end_of_input(loop, stream);
    if (passed_on)
        stream->state |= STREAM_OWES_EOF;
    if (passed_on || (stream->state & STREAM_CLOSING)) {
        sluice_stream_on_agenda(loop, stream);
        return;
    }
    /* After a reset a receive finds the end, where a send has taken the error: that is no EOF. */
    uint32_t notices = stream->error == -ECONNRESET ? 0 : NOTICE_EOF;
    if (stream->extras && stream->extras->held > 0)
        notices |= NOTICE_HELD;
    if (notices)
        sluice_stream_notify(loop, stream, notices, false);
    /* Nothing follows until that has been told, but that a reset is looked for. */
    if (!notices || (stream->state & STREAM_HALF_OPEN))
        sluice_stream_on_agenda(loop, stream);
}

/* The connection is broken, and nothing is left to receive. */
static void hung_up(sluice_loop *loop, struct sluice_stream *stream, int error) {
    if (stream->state & (INPUT_ENDED | STREAM_NO_INPUT))
        sluice_output_fail(loop, stream, error);
    else
        sluice_input_fail(loop, stream, error);
}

enum sluice_received_as sluice_stream_received(sluice_loop *loop, struct sluice_stream *stream,
                                               sluice_event *event) {
    if (stream->state & STREAM_TIMED)
        sluice_stream_postpone_idle(loop, stream);
    if (stream->state & OUTPUT_FAILED) {
        bool is_last = event->length >= stream->remaining;
        stream->remaining -= is_last ? stream->remaining : (uint32_t)event->length;
        sluice_stream_on_agenda(loop, stream);
    }
    if (stream->state & STREAM_CLOSING)
        return SLUICE_RECEIVED_NOTHING;
    struct sluice_extras *extras = stream->extras;
    if (extras && extras->forward_to &&
        sluice_forward_pass(loop, stream, event->data, event->length))
        return SLUICE_RECEIVED_NOTHING;
    if (!extras || extras->held == 0)
        return SLUICE_RECEIVED_BYTES;
    int code = sluice_held_append(loop, stream, event->data, event->length);
    if (code < 0) {
        sluice_input_fail(loop, stream, code);
        return SLUICE_RECEIVED_NOTHING;
    }
    sluice_lend(loop, stream, extras->held_bytes, extras->held, event);
    return SLUICE_RECEIVED_MORE;
}

void sluice_stream_complete(sluice_loop *loop, struct sluice_stream *stream,
                            enum sluice_operation operation, const sluice_event *event) {
    int error = event->error;
    switch (operation) {
    case SLUICE_OP_END:
        loop->stats.receives++;
        if (error < 0)
            sluice_input_fail(loop, stream, error);
        else
            received_end(loop, stream);
        break;
    case SLUICE_OP_SEND:
        if (error < 0)
            sluice_output_fail(loop, stream, error);
        else
            sluice_output_sent(loop, stream, event->length);
        break;
    case SLUICE_OP_HANGUP:
        hung_up(loop, stream, error);
        break;
    default:
        if (sluice_id_kind(event->id) == SLUICE_KIND_ATTEMPT)
            loop->lookups->attempted(loop, stream, sluice_id_generation(event->id), error);
        else
            sluice_stream_connected(loop, stream, error);
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static bool has_obstacle(const struct sluice_stream *stream) {
    const uint32_t over = STREAM_OVER_MARK | STREAM_THROTTLES;
    return (stream->state & (STREAM_PAUSED | STREAM_HELD_BACK)) || (stream->state & over) == over;
}

void sluice_stream_postpone_idle(sluice_loop *loop, struct sluice_stream *stream) {
    stream->state &= ~(uint32_t)STREAM_GRACE;
    if (!(stream->state & STREAM_CLOSING))
        sluice_deadline_move(loop, stream, cohort_of(loop, stream)->idle_ms * NS_PER_MILLISECOND);
}

/* An idle limit does not run while it is us who do not read. */
static int heed_idleness(sluice_loop *loop, struct sluice_stream *stream) {
    if (!(stream->state & INPUT_OVER) && has_obstacle(stream)) {
        sluice_deadline_cancel(loop, stream);
        return 0;
    }
    return stream->deadline
               ? 0
               : sluice_deadline_set(loop, stream,
                                     cohort_of(loop, stream)->idle_ms * NS_PER_MILLISECOND);
}

/* Bounds how long a close may take. */
static int begin_to_linger(sluice_loop *loop, struct sluice_stream *stream) {
    return sluice_deadline_set(loop, stream,
                               cohort_of(loop, stream)->linger_ms * NS_PER_MILLISECOND);
}

static bool is_ready(int fd, short events) {
    struct pollfd ready = {.fd = fd, .events = events};
    return poll(&ready, 1, 0) == 1 && !(ready.revents & POLLNVAL);
}

/* What came in time wins. It may not have been seen yet, where a wait brought only some of what was
 * ready. So the kernel is asked, and the deadline comes again a little later, once: a number that
 * names another file by now may be ready for ever. */
static bool came_in_time(const sluice_loop *loop, const struct sluice_stream *stream) {
    if (stream->state & STREAM_CLOSING)
        return false;
    if (stream->state & STREAM_CONNECTING)
        return connects_by_name(stream) ? loop->lookups->has_outcome(stream)
                                        : is_ready(stream->fd, POLLOUT);
    return !(stream->state & (INPUT_OVER | STREAM_NO_INPUT)) && is_ready(stream->fd, POLLIN);
}

void sluice_stream_deadline(sluice_loop *loop, struct sluice_stream *stream) {
    if (!(stream->state & STREAM_GRACE) && came_in_time(loop, stream) &&
        sluice_deadline_set(loop, stream, GRACE_NS) == 0) {
        stream->state |= STREAM_GRACE;
        return;
    }
    /* All was handed to the kernel by the time the linger limit comes, or it was not: that decides
     * whether the end was an orderly one. */
    bool orderly = (stream->state & STREAM_CLOSING) && stream->output.length == 0;
    if (orderly)
        received_end(loop, stream);
    else
        sluice_input_fail(loop, stream, -ETIMEDOUT);
}

/* ---- What follows ---------------------------------------------------------------------------- */

static int finish_sending(const struct sluice_stream *stream) {
    if (!(stream->state & STREAM_SOCKET))
        return 0;
    int code = sluice_socket_finish_sending(stream->fd);
    if (code != -ENOTCONN)
        return code;
    /* No longer connected: the error that has ended it is still to be fetched. */
    code = sluice_socket_error(stream->fd);
    return code < 0 ? code : -ECONNRESET;
}

/* All is sent that was to be, and the peer can be told. */
static void finish(sluice_loop *loop, struct sluice_stream *stream) {
    /* An output that is no socket's has its end with the descriptor's. */
    int code = finish_sending(stream);
    if (code < 0) {
        sluice_output_fail(loop, stream, code);
        return;
    }
    stream->state &= ~(uint32_t)OUTPUT_FINISHING;
    stream->state |= OUTPUT_FINISHED;
}

/* Nobody wants the input any more, and the peer is to be told of the end once all is sent. */
static void begin_closing(struct sluice_stream *stream) {
    stream->state |= STREAM_CLOSING;
    stream->state &= ~(uint32_t)(NOTICES & ~NOTICE_CONNECTED);
    if (!(stream->state & OUTPUT_OVER))
        stream->state |= OUTPUT_FINISHING;
}

/* Whether nothing is left to wait for: the table of ARCHITECTURE.md, read from the top. */
static bool is_over(const struct sluice_stream *stream) {
    uint32_t state = stream->state;
    bool told = !(state & NOTICES_OF_INPUT); /* of all that came */
    if (state & INPUT_FAILED)
        return true;
    if (state & STREAM_CONNECTING)
        return (state & STREAM_CLOSING) && stream->output.length == 0;
    if (state & STREAM_CLOSING) {
        bool alone = (state & (INPUT_ENDED | STREAM_NO_INPUT)) || !(state & STREAM_SOCKET);
        return (state & OUTPUT_FAILED) || (alone && stream->output.length == 0);
    }
    if (state & STREAM_NO_INPUT)
        return (state & (OUTPUT_FINISHED | OUTPUT_FAILED)) != 0;
    if (state & INPUT_ENDED)
        return (state & (OUTPUT_FINISHED | OUTPUT_FAILED)) && told;
    return (state & OUTPUT_FAILED) && stream->remaining == 0;
}

static bool wants_input(const struct sluice_stream *stream) {
    if (stream->state & (INPUT_OVER | STREAM_NO_INPUT))
        return false;
    return (stream->state & STREAM_CLOSING) || !has_obstacle(stream);
}

/* Has the engine receive, or look for a hang-up alone. Between its end and its close nothing is to
 * be looked for. */
static int heed_wants(sluice_loop *loop, struct sluice_stream *stream) {
    bool receives = wants_input(stream);
    if (receives == ((stream->state & STREAM_RECEIVES) != 0))
        return 0;
    stream->state ^= STREAM_RECEIVES;
    if ((stream->state & INPUT_ENDED) && !(stream->state & STREAM_HALF_OPEN))
        return 0;
    return loop->engine->operations->want(loop->engine, stream->fd,
                                          receives ? SLUICE_OP_RECEIVE : SLUICE_OP_HANGUP);
}

/* What is still to be done by a stream that is not over. */
static void go_on(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_CONNECTING) {
        if (connects_by_name(stream))
            loop->lookups->go_on(loop, stream);
        return;
    }
    int code = heed_wants(loop, stream);
    if (code == 0 && (stream->state & STREAM_CLOSING))
        code = stream->deadline ? 0 : begin_to_linger(loop, stream);
    else if (code == 0 && (stream->state & STREAM_TIMED))
        code = heed_idleness(loop, stream);
    if (code < 0)
        sluice_input_fail(loop, stream, code);
}

/* The one place that says what follows from the state of the two directions. */
static void follow(sluice_loop *loop, struct sluice_stream *stream) {
    if ((stream->state & (STREAM_CLOSE_NEXT | STREAM_CLOSING)) == STREAM_CLOSE_NEXT) {
        sluice_deadline_cancel(loop, stream);
        begin_closing(stream);
    }
    bool sends = !(stream->state & (STREAM_CONNECTING | OUTPUT_FAILED | OUTPUT_FINISHED));
    if (sends && stream->output.length > 0)
        sends = sluice_output_send(loop, stream, true) == 0;
    bool over = is_over(stream);
    if (!over && sends && (stream->state & OUTPUT_FINISHING) && stream->output.length == 0) {
        finish(loop, stream);
        over = is_over(stream);
    }
    if (over)
        sluice_stream_end(loop, stream, 0);
    else
        go_on(loop, stream);
}

void sluice_streams_follow(sluice_loop *loop) {
    /* Those that are put on the agenda meanwhile come behind, and each is in it once. */
    while (loop->agenda.first != SLUICE_NO_SLOT) {
        struct sluice_stream *stream = sluice_stream_at(loop, loop->agenda.first);
        loop->agenda.first = stream->next_on_agenda;
        stream->state &= ~(uint32_t)STREAM_ON_AGENDA;
        if (!(stream->state & STREAM_ENDED))
            follow(loop, stream);
    }
}

/* ---- Ending ---------------------------------------------------------------------------------- */

int sluice_stream_close(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_CLOSING)
        return 0;
    int code = begin_to_linger(loop, stream);
    if (code < 0)
        return code;
    begin_closing(stream);
    sluice_stream_on_agenda(loop, stream);
    return 0;
}

/* Whether bytes are lost by this end that the peer would wait for. What the kernel has taken it
 * goes on sending after a close, and what it has that nobody read makes it reset by itself. So only
 * an abort takes back what is on its way. */
static bool loses_output(const sluice_loop *loop, const struct sluice_stream *stream) {
    if (cohort_of(loop, stream)->is_inherited)
        return false; /* the connection goes on, and the parent has it */
    if (!stream->error || !(stream->state & STREAM_SOCKET))
        return false;
    return stream->output.length > 0 ||
           (stream->error == -ECONNABORTED && sluice_socket_has_unsent(stream->fd));
}

/* Another living stream of the same open file, whose being non-blocking the two share; or NULL.
 * O(streams), of what was adopted and is no socket. */
static struct sluice_stream *sharer_of(const sluice_loop *loop,
                                       const struct sluice_stream *stream) {
    for (uint32_t i = 0; i < loop->streams.used; i++) {
        struct sluice_stream *other = sluice_stream_at(loop, i);
        if (other != stream && sluice_slot_lives(&other->slot) && other->fd >= 0 &&
            !(other->state & STREAM_SOCKET) && sluice_same_open_file(stream->fd, other->fd))
            return other;
    }
    return NULL;
}

/* Undoes what adopting has done to an open file that others may share: the last of our own does. */
static void restore(const sluice_loop *loop, const struct sluice_stream *stream) {
    struct sluice_stream *sharer = sharer_of(loop, stream);
    if (sharer) {
        sharer->state |= STREAM_UNBLOCKED;
        return;
    }
    int flags = fcntl(stream->fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(stream->fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* Gives the descriptor back to the kernel. */
static void release(const sluice_loop *loop, const struct sluice_stream *stream) {
    if (stream->fd < 0)
        return;
    if (stream->state & STREAM_UNBLOCKED)
        restore(loop, stream);
    if (loses_output(loop, stream))
        sluice_socket_reset_when_closed(stream->fd);
    close(stream->fd);
}

static void end_extras(sluice_loop *loop, struct sluice_stream *stream) {
    struct sluice_extras *extras = stream->extras;
    if (extras->connecting)
        extras->problem = loop->lookups->end_connecting(loop, stream);
    sluice_forward_end(loop, stream);
    sluice_held_release(loop, stream);
    if (!extras->problem)
        free_extras(loop, stream);
}

void sluice_stream_told_end(sluice_loop *loop, struct sluice_stream *stream) {
    if (!stream->extras)
        return;
    loop->problem_id = sluice_stream_id(loop, stream);
    loop->problem = stream->extras->problem;
    free_extras(loop, stream);
}

void sluice_stream_end(sluice_loop *loop, struct sluice_stream *stream, int error) {
    if (!stream->error)
        stream->error = error;
    if (stream->fd >= 0)
        loop->engine->operations->detach(loop->engine, stream->fd);
    sluice_output_drop(loop, stream);
    release(loop, stream);
    stream->fd = -1;
    sluice_deadline_cancel(loop, stream);
    if (stream->extras)
        end_extras(loop, stream);
    bool by_call = (stream->state & (STREAM_CLOSING | STREAM_CLOSE_NEXT)) == STREAM_CLOSING;
    stream->state &= ~(uint32_t)NOTICES;
    stream->state |= STREAM_ENDED;
    sluice_stream_notify(loop, stream, NOTICE_CLOSED, by_call);
    sluice_listeners_heed_end(loop, stream->cohort);
}

void sluice_stream_abort(sluice_loop *loop, struct sluice_stream *stream) {
    stream->state &= ~(uint32_t)STREAM_CLOSE_NEXT;
    stream->state |= STREAM_CLOSING;
    stream->error = -ECONNABORTED;
    sluice_stream_end(loop, stream, 0);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

int sluice_pause(sluice_loop *loop, sluice_id id) {
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    stream->state |= STREAM_PAUSED;
    sluice_stream_on_agenda(loop, stream);
    return 0;
}

int sluice_resume(sluice_loop *loop, sluice_id id) {
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    stream->state &= ~(uint32_t)STREAM_PAUSED;
    if (stream->state & NOTICES)
        sluice_stream_notify(loop, stream, 0, false);
    sluice_stream_on_agenda(loop, stream);
    return 0;
}

/* ---- After a fork ---------------------------------------------------------------------------- */

void sluice_streams_after_fork(sluice_loop *loop) {
    for (uint32_t i = 0; i < loop->cohorts.used; i++)
        sluice_cohort_at(loop, i)->is_inherited = true;
    loop->put_off_length = 0;
    for (uint32_t i = 0; i < loop->streams.used; i++) {
        struct sluice_stream *stream = sluice_stream_at(loop, i);
        if (!sluice_slot_lives(&stream->slot) || (stream->state & STREAM_ENDED))
            continue;
        stream->state &= ~(uint32_t)STREAM_UNBLOCKED;
        sluice_bytes_clear(&loop->pool, &stream->output);
        sluice_output_heed_marks(loop, stream, true);
    }
}

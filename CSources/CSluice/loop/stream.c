/* stream.c - a stream's life: begun, noted as failed, followed.
 *
 * stream.h has the machine. A call, a completion (input.c, output.c) or a time limit (limits.c) may
 * change a stream. It changes a direction and puts the stream on the agenda. Only `follow` below
 * says what comes of that, and end.c carries out an end.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/deadline.h"
#include "loop/lookups.h"
#include "network/socket.h"

/* ---- The agenda ------------------------------------------------------------------------------ */

static inline void append(sluice_loop *loop, struct sluice_stream *stream, uint32_t index) {
    stream->state |= STREAM_ON_AGENDA;
    stream->next_on_agenda = SLUICE_NO_SLOT;
    if (loop->agenda.first == SLUICE_NO_SLOT)
        loop->agenda.first = index;
    else
        sluice_stream_at(loop, loop->agenda.last)->next_on_agenda = index;
    loop->agenda.last = index;
    loop->todo |= TODO(AGENDA);
}

void sluice_stream_on_agenda(sluice_loop *loop, struct sluice_stream *stream) {
    if (!(stream->state & STREAM_ON_AGENDA))
        append(loop, stream, sluice_stream_index(loop, stream));
}

void sluice_stream_told_eof(sluice_loop *loop, struct sluice_stream *stream, uint32_t index) {
    if (!(stream->state & STREAM_HALF_OPEN) && !sluice_forward_is_mutual(loop, stream))
        stream->state |= STREAM_CLOSE_NEXT;
    if (!(stream->state & STREAM_ON_AGENDA))
        append(loop, stream, index);
}

/* ---- Beginning ------------------------------------------------------------------------------- */

static bool is_socket(enum sluice_role role) {
    return role == SLUICE_ROLE_CONNECTING || role == SLUICE_ROLE_SOCKET ||
           role == SLUICE_ROLE_LOCAL || role == SLUICE_ROLE_PACKETS;
}

static uint32_t first_stream_state(const struct sluice_stream_start *start,
                                   const struct sluice_cohort *cohort) {
    uint32_t state = start->traits | cohort->traits;
    if (start->role == SLUICE_ROLE_CONNECTING)
        state |= STREAM_CONNECTING;
    if (!is_socket(start->role))
        state |= STREAM_NO_SOCKET;
    return state;
}

static uint32_t first_wanted(uint32_t state) {
    if (state & STREAM_CONNECTING)
        return SLUICE_OP_CONNECT;
    return state & STREAM_NO_INPUT ? SLUICE_OP_HANGUP : SLUICE_OP_RECEIVE;
}

/* Sets the limit of connecting or, if the stream does not connect, of idling. */
static int set_first_deadline(sluice_loop *loop, struct sluice_stream *stream,
                              int64_t connect_timeout_ns) {
    int64_t limit = connect_timeout_ns;
    if (!(stream->state & STREAM_CONNECTING))
        limit = sluice_cohort_at(loop, stream->cohort)->idle_ms * NS_PER_MILLISECOND;
    return limit == INT64_MAX ? 0 : sluice_deadline_set(loop, stream, limit);
}

/* Sets its first time limit, and has the engine look after its descriptor. */
static inline int start_stream(sluice_loop *loop, struct sluice_stream *stream,
                               const struct sluice_stream_start *start, sluice_id id,
                               uint32_t wanted) {
    if (stream->state & (STREAM_CONNECTING | STREAM_TIMED)) {
        int code = set_first_deadline(loop, stream, start->connect_timeout_ns);
        if (code < 0 || start->origin == SLUICE_ORIGIN_NONE)
            return code;
    }
    return start->origin == SLUICE_ORIGIN_KERNEL
               ? sluice_attach(loop, start->fd, id, start->role, wanted)
               : sluice_operations(loop)->attach(loop->engine, start->fd, id, start->role, wanted);
}

int sluice_stream_begin(sluice_loop *loop, const struct sluice_stream_start *start, sluice_id *id) {
    if (loop->answerable)
        sluice_lend_answerable(loop); /* streams may move to make room */
    int code = sluice_slots_prepare(&loop->streams, &loop->allocator);
    if (code < 0)
        return code;
    uint32_t index = loop->streams.free;
    struct sluice_stream *stream = sluice_stream_at(loop, index);
    sluice_slots_take(&loop->streams, &stream->slot);
    uint32_t state = first_stream_state(start, sluice_cohort_at(loop, start->cohort));
    uint32_t wanted = first_wanted(state);
    if (wanted == SLUICE_OP_RECEIVE)
        state |= STREAM_RECEIVES;
    *stream =
        (struct sluice_stream){.slot = {.user = start->user, .generation = stream->slot.generation},
                               .fd = start->fd,
                               .state = state,
                               .cohort = start->cohort};
    sluice_id made = sluice_id_of(SLUICE_KIND_STREAM, index, stream->slot.generation);
    code = start_stream(loop, stream, start, made, wanted);
    if (code < 0)
        sluice_stream_forget(loop, stream);
    else
        *id = made;
    return code;
}

SLUICE_COLD void sluice_stream_forget(sluice_loop *loop, struct sluice_stream *stream) {
    sluice_deadline_cancel(loop, stream);
    sluice_free(&loop->allocator, stream->extras);
    sluice_slots_end(&loop->streams, sluice_stream_index(loop, stream));
}

struct sluice_extras *sluice_stream_extras(sluice_loop *loop, struct sluice_stream *stream) {
    if (!stream->extras) {
        struct sluice_extras *extras = SLUICE_NEW(&loop->allocator, 1, struct sluice_extras);
        if (!extras)
            return NULL;
        *extras =
            (struct sluice_extras){.forward_from = SLUICE_NO_SLOT, .forward_next = SLUICE_NO_SLOT};
        stream->extras = extras;
        stream->state |= STREAM_EXTRAS;
    }
    return stream->extras;
}

void sluice_stream_free_extras(sluice_loop *loop, struct sluice_stream *stream) {
    sluice_free(&loop->allocator, stream->extras);
    stream->extras = NULL;
    stream->state &= ~(uint32_t)STREAM_EXTRAS;
}

void sluice_stream_spare_extras(sluice_loop *loop, struct sluice_stream *stream) {
    const struct sluice_extras *extras = stream->extras;
    if (!extras->connecting && !extras->forward_to && extras->forward_from == SLUICE_NO_SLOT &&
        !extras->held_bytes && !extras->cut_off)
        sluice_stream_free_extras(loop, stream);
}

/* ---- Failing --------------------------------------------------------------------------------- */

static void fail(sluice_loop *loop, struct sluice_stream *stream, uint32_t direction, int error) {
    if (!stream->error)
        stream->error = error;
    stream->state |= direction;
    sluice_stream_on_agenda(loop, stream);
}

SLUICE_COLD void sluice_input_fail(sluice_loop *loop, struct sluice_stream *stream, int error) {
    fail(loop, stream, INPUT_FAILED, error);
}

/* How many bytes have come and were not received; at least. FIONREAD counts up to an urgent byte,
 * behind which more may be. */
static uint32_t unreceived(const struct sluice_stream *stream) {
    unsigned char byte;
    int there = 0;
    if (ioctl(stream->fd, FIONREAD, &there) < 0 || there < 0)
        there = 0;
    if (there == 0 && !(stream->state & STREAM_NO_SOCKET) &&
        recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        there = 1;
    return (uint32_t)there;
}

/* The output has failed. What may still be received is what the peer has sent by now or, if the
 * peer has ended, everything up to its end. If no bytes are there, and an obstacle keeps us from
 * receiving, the end is not waited for: the error says whether it is the peer's (see is_broken). */
static void limit_input(sluice_loop *loop, struct sluice_stream *stream) {
    struct pollfd ended = {.fd = stream->fd, .events = POLLRDHUP};
    bool has_ended = poll(&ended, 1, 0) == 1 && !(ended.revents & POLLNVAL);
    uint32_t there = unreceived(stream);
    bool waits = there > 0 || !sluice_stream_has_obstacle(stream);
    stream->remaining = has_ended && waits ? UINT32_MAX : there;
    bool is_peers = (ended.revents & POLLRDHUP) && stream->error == -EPIPE;
    if (has_ended && !waits && is_peers && !(stream->state & (INPUT_OVER | STREAM_NO_INPUT)))
        sluice_input_ended_unseen(loop, stream);
}

SLUICE_COLD void sluice_output_fail(sluice_loop *loop, struct sluice_stream *stream, int error) {
    if (stream->state & OUTPUT_FAILED)
        return;
    stream->state &= ~(uint32_t)(OUTPUT_OVER | STREAM_BLOCKED);
    fail(loop, stream, OUTPUT_FAILED, error);
    sluice_output_drop(loop, stream);
    limit_input(loop, stream);
}

SLUICE_COLD void sluice_stream_lose_descriptor(sluice_loop *loop, struct sluice_stream *stream) {
    stream->fd = -1;
    sluice_input_fail(loop, stream, SLUICE_EBADF);
    sluice_output_fail(loop, stream, SLUICE_EBADF);
}

/* ---- What follows ---------------------------------------------------------------------------- */

static int finish_sending(const struct sluice_stream *stream) {
    if (stream->state & STREAM_NO_SOCKET)
        return 0;
    int code = sluice_socket_finish_sending(stream->fd);
    if (code != -ENOTCONN)
        return code;
    /* It is no longer connected. The error that has ended the connection still has to be
     * fetched. */
    code = sluice_socket_error(stream->fd);
    return code < 0 ? code : -ECONNRESET;
}

/* All that was to be sent is sent, and the peer can be told. */
static void finish(sluice_loop *loop, struct sluice_stream *stream) {
    /* If it is no socket, its output ends when its descriptor is closed. */
    int code = finish_sending(stream);
    if (code < 0) {
        sluice_output_fail(loop, stream, code);
        return;
    }
    stream->state &= ~(uint32_t)OUTPUT_FINISHING;
    stream->state |= OUTPUT_FINISHED;
}

/* Whether nothing is left to wait for. It is the table of ARCHITECTURE.md, read from the top. */
static inline bool is_over(const struct sluice_stream *stream) {
    uint32_t state = stream->state;
    bool told = !(state & NOTICES_OF_INPUT); /* the caller knows of all that came */
    if (state & INPUT_FAILED)
        return true;
    if (state & STREAM_CONNECTING)
        return (state & STREAM_CLOSING) && stream->output.length == 0;
    if (state & STREAM_CLOSING) {
        bool alone = (state & (INPUT_ENDED | STREAM_NO_INPUT | STREAM_NO_SOCKET)) != 0;
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
    return (stream->state & STREAM_CLOSING) || !sluice_stream_has_obstacle(stream);
}

/* Whether its input has ended, and its close comes next. It does not where the stream is half-open,
 * or where another is forwarded to it that its end went to, or that does not take it: then it goes
 * on with what that one says. */
static bool closes_soon(const sluice_loop *loop, const struct sluice_stream *stream) {
    if (!(stream->state & INPUT_ENDED) || (stream->state & STREAM_HALF_OPEN))
        return false;
    return (stream->state & STREAM_CLOSING) || !stream->extras ||
           !(stream->extras->owes_eof || sluice_forward_is_mutual(loop, stream));
}

/* Makes the engine receive, or look only for a hang-up. Between the stream's end and its close
 * there is nothing to look for. */
static int heed_wants(sluice_loop *loop, struct sluice_stream *stream) {
    bool receives = wants_input(stream);
    if (receives == ((stream->state & STREAM_RECEIVES) != 0))
        return 0;
    stream->state ^= STREAM_RECEIVES;
    if (closes_soon(loop, stream))
        return 0;
    return sluice_operations(loop)->want(loop->engine, stream->fd,
                                         receives ? SLUICE_OP_RECEIVE : SLUICE_OP_HANGUP);
}

/* Does what is due for a stream that is not over. */
static void go_on_with_stream(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_CONNECTING) {
        if (sluice_stream_connects_by_name(stream))
            loop->lookups->go_on(loop, stream);
        return;
    }
    int code = heed_wants(loop, stream);
    if (code == 0 && (stream->state & STREAM_CLOSING))
        code = stream->deadline ? 0 : sluice_stream_linger(loop, stream);
    else if (code == 0 && (stream->state & STREAM_TIMED))
        code = sluice_stream_heed_idleness(loop, stream);
    if (code < 0)
        sluice_input_fail(loop, stream, code);
}

/* If an end comes while bytes wait for more, and they have been in no DATA, they are given to the
 * caller before the end. So the input is over, and a paused stream keeps the bytes for its
 * resume. */
static bool tells_held_first(sluice_loop *loop, struct sluice_stream *stream) {
    if ((stream->state & STREAM_CLOSING) || !stream->extras ||
        stream->extras->held == stream->extras->told)
        return false;
    stream->state |= INPUT_FAILED;
    if (stream->fd >= 0)
        (void)heed_wants(loop, stream);
    sluice_stream_notify(loop, stream, NOTICE_HELD, false);
    return true;
}

/* Ends the stream. CLOSED is given at once if nothing has to be told before it and no call has
 * brought it. Returns whether that is so. */
static bool end_stream(sluice_loop *loop, struct sluice_stream *stream, uint32_t index,
                       sluice_event *event) {
    bool by_call = (stream->state & (STREAM_CLOSING | STREAM_CLOSE_NEXT)) == STREAM_CLOSING;
    sluice_stream_end(loop, stream);
    bool waits = by_call || (stream->state & (STREAM_TO_NOTIFY | STREAM_EXTRAS)) ||
                 loop->agenda.first != SLUICE_NO_SLOT || loop->notices.first != SLUICE_NO_SLOT;
    if (waits)
        sluice_stream_notify(loop, stream, NOTICE_CLOSED, by_call);
    else
        sluice_stream_tell_closed(loop, stream, index, event);
    return !waits;
}

/* The one place that says what follows from the state of the two directions. */
static bool follow(sluice_loop *loop, struct sluice_stream *stream, uint32_t index,
                   sluice_event *event) {
    if ((stream->state & (STREAM_CLOSE_NEXT | STREAM_CLOSING)) == STREAM_CLOSE_NEXT) {
        if (stream->deadline)
            sluice_deadline_cancel(loop, stream);
        sluice_stream_begin_closing(stream);
    }
    bool sends = !(stream->state & (STREAM_CONNECTING | OUTPUT_FAILED | OUTPUT_FINISHED));
    if (sends && (stream->output.length > 0 || (stream->state & STREAM_FILE_WAITS)))
        sends = sluice_output_send(loop, stream, true) == 0;
    bool over = is_over(stream);
    if (!over && sends && (stream->state & OUTPUT_FINISHING) && stream->output.length == 0) {
        finish(loop, stream);
        over = is_over(stream);
    }
    if (!over)
        go_on_with_stream(loop, stream);
    return over && !tells_held_first(loop, stream) && end_stream(loop, stream, index, event);
}

bool sluice_streams_follow(sluice_loop *loop, sluice_event *event) {
    bool is_event = false;
    /* Streams that are put on the agenda meanwhile come behind the others, and each is in it only
     * once. */
    while (!is_event && loop->agenda.first != SLUICE_NO_SLOT) {
        uint32_t index = loop->agenda.first;
        struct sluice_stream *stream = sluice_stream_at(loop, index);
        loop->agenda.first = stream->next_on_agenda;
        stream->state &= ~(uint32_t)STREAM_ON_AGENDA;
        if (!(stream->state & STREAM_ENDED))
            is_event = follow(loop, stream, index, event);
    }
    if (loop->agenda.first == SLUICE_NO_SLOT)
        loop->todo &= ~TODO(AGENDA);
    return is_event;
}

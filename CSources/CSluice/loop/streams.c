/* streams.c - a stream's life: begun, received from, ended.
 *
 * What a stream does is in its state bits; every change that bears on receiving ends in
 * sluice_stream_want. Events that do not come straight from a completion are bits as well
 * (notices), and the stream then stands in a list until they have been pulled.
 *
 * An orderly close has three steps: all is sent, the peer is told (shutdown), and its end is waited
 * for. What it sends meanwhile is received and dropped: to close with input unread would be to
 * reset the connection, which can take back what the peer has not read yet, and a peer that sends
 * all before it reads would never come to reading.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "network/socket.h"

/* ---- Lists ---------------------------------------------------------------------------------- */

void sluice_stream_notify(sluice_loop *loop, struct sluice_stream *stream, uint32_t notices) {
    stream->state |= notices;
    if (stream->state & STREAM_TO_NOTIFY)
        return;
    uint32_t index = sluice_id_index(sluice_stream_id(loop, stream));
    stream->state |= STREAM_TO_NOTIFY;
    stream->next_to_notify = SLUICE_NO_SLOT;
    if (loop->to_notify.first == SLUICE_NO_SLOT)
        loop->to_notify.first = index;
    else
        sluice_stream_at(loop, loop->to_notify.last)->next_to_notify = index;
    loop->to_notify.last = index;
    loop->todo |= TODO_NOTICES;
}

static void closed(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event) {
    event->kind = SLUICE_CLOSED;
    event->error = stream->error;
    event->length = stream->unsent;
    sluice_slots_end(&loop->streams, sluice_id_index(event->id));
}

/* Those that may be given now: a paused stream's input, and its end, wait for the resume. */
static uint32_t due_notices(const struct sluice_stream *stream) {
    uint32_t notices = stream->state & NOTICES;
    return stream->state & STREAM_PAUSED ? notices & ~(uint32_t)(NOTICE_HELD | NOTICE_EOF)
                                         : notices;
}

/* The stream's first notice, as an event. */
static void give_notice(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event) {
    uint32_t notices = due_notices(stream);
    uint32_t notice = notices & -notices;
    stream->state &= ~notice;
    switch (notice) {
    case NOTICE_CONNECTED:
        event->kind = SLUICE_CONNECTED;
        break;
    case NOTICE_HELD:
        sluice_lend(loop, stream, stream->extras->held_bytes, stream->extras->held, event);
        break;
    case NOTICE_EOF:
        event->kind = SLUICE_EOF;
        if (!(stream->state & STREAM_HALF_OPEN) || (stream->state & STREAM_SHUT)) {
            stream->state |= STREAM_CLOSE_NEXT;
            sluice_output_queue_flush(loop, stream);
        }
        break;
    case NOTICE_DRAINED:
        event->kind = SLUICE_DRAINED;
        break;
    default:
        closed(loop, stream, event);
    }
}

bool sluice_stream_notice(sluice_loop *loop, sluice_event *event) {
    while (loop->to_notify.first != SLUICE_NO_SLOT) {
        struct sluice_stream *stream = sluice_stream_at(loop, loop->to_notify.first);
        uint32_t notices = due_notices(stream);
        if ((notices & (notices - 1)) == 0) {
            stream->state &= ~(uint32_t)STREAM_TO_NOTIFY;
            loop->to_notify.first = stream->next_to_notify;
        }
        if (notices == 0)
            continue;
        *event = (sluice_event){.id = sluice_stream_id(loop, stream), .user = stream->slot.user};
        give_notice(loop, stream, event);
        return true;
    }
    loop->todo &= ~(uint32_t)TODO_NOTICES;
    return false;
}

/* ---- Beginning ------------------------------------------------------------------------------ */

static bool is_socket(enum sluice_role role) {
    return role == SLUICE_ROLE_CONNECTING || role == SLUICE_ROLE_SOCKET ||
           role == SLUICE_ROLE_LOCAL;
}

int sluice_stream_begin(sluice_loop *loop, const struct sluice_stream_start *start, sluice_id *id) {
    sluice_lend_answerable(loop); /* streams may move to make room */
    int code;
    uint32_t index = sluice_slots_begin(&loop->streams, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    struct sluice_stream *stream = sluice_stream_at(loop, index);
    stream->slot.user = start->user;
    stream->fd = start->fd;
    stream->idle_ms = start->idle_ms;
    stream->linger_ms = start->linger_ms;
    if (start->idle_ms)
        stream->state |= STREAM_TIMED;
    stream->listener = start->listener;
    if (start->flags & SLUICE_HALF_OPEN)
        stream->state |= STREAM_HALF_OPEN;
    bool connecting = start->role == SLUICE_ROLE_CONNECTING;
    if (connecting)
        stream->state |= STREAM_CONNECTING;
    if (is_socket(start->role))
        stream->state |= STREAM_SOCKET;
    if (start->has_no_input)
        stream->state |= STREAM_WRITE_ONLY;
    *id = sluice_stream_id(loop, stream);
    int64_t deadline = connecting       ? start->connect_timeout_ns
                       : start->idle_ms ? start->idle_ms * NS_PER_MILLISECOND
                                        : INT64_MAX;
    code = deadline == INT64_MAX ? 0 : sluice_deadline_set(loop, &stream->deadline, *id, deadline);
    if (code == 0) {
        const struct sluice_engine_operations *engine = loop->engine->operations;
        uint32_t wanted = connecting ? SLUICE_OP_CONNECT : SLUICE_OP_RECEIVE;
        code = engine->attach(loop->engine, start->fd, *id, start->role, wanted);
    }
    if (code < 0) {
        sluice_deadline_set(loop, &stream->deadline, *id, INT64_MAX);
        sluice_slots_end(&loop->streams, index);
    }
    return code;
}

static enum sluice_role role_of(int fd) {
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
        return sluice_socket_is_tcp(fd) ? SLUICE_ROLE_SOCKET : SLUICE_ROLE_LOCAL;
    return isatty(fd) ? SLUICE_ROLE_TERMINAL : SLUICE_ROLE_PIPE;
}

int sluice_adopt(sluice_loop *loop, sluice_id *id, int fd, const sluice_stream_options *options) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!id)
        return SLUICE_ENULL;
    struct sluice_stream_start start;
    uint32_t keepalive_seconds;
    code = sluice_stream_options_check(options, &start, &keepalive_seconds);
    if (code < 0)
        return code;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    start.fd = fd;
    start.role = role_of(fd);
    start.has_no_input = !is_socket(start.role) && (flags & O_ACCMODE) == O_WRONLY;
    code = is_socket(start.role) ? sluice_stream_configure(fd, start.flags, keepalive_seconds) : 0;
    return code < 0 ? code : sluice_stream_begin(loop, &start, id);
}

int sluice_connect(sluice_loop *loop, sluice_id *id, const char *address,
                   const sluice_stream_options *options) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!id)
        return SLUICE_ENULL;
    struct sluice_stream_start start;
    uint32_t keepalive_seconds;
    code = sluice_stream_options_check(options, &start, &keepalive_seconds);
    if (code < 0)
        return code;
    start.fd = sluice_socket_connect(address);
    if (start.fd < 0)
        return start.fd;
    start.role = SLUICE_ROLE_CONNECTING;
    code = sluice_stream_configure(start.fd, start.flags, keepalive_seconds);
    if (code == 0)
        code = sluice_stream_begin(loop, &start, id);
    if (code < 0)
        close(start.fd);
    return code;
}

/* ---- Receiving ------------------------------------------------------------------------------ */

void sluice_stream_want(sluice_loop *loop, struct sluice_stream *stream) {
    const uint32_t not_now =
        STREAM_CONNECTING | STREAM_ENDED_INPUT | STREAM_THROTTLED | STREAM_HELD_BACK;
    bool receives = !(stream->state & not_now);
    if (stream->state & STREAM_CLOSING)
        receives = !(stream->state & STREAM_ENDED_INPUT);
    else if (stream->state & STREAM_PAUSED)
        receives = false;
    if (stream->state & STREAM_CONNECTING)
        return;
    int code =
        loop->engine->operations->want(loop->engine, stream->fd, receives ? SLUICE_OP_RECEIVE : 0);
    if (code < 0)
        sluice_stream_end(loop, stream, code);
}

int sluice_pause(sluice_loop *loop, sluice_id id) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        return sluice_id_refusal(loop, id);
    stream->state |= STREAM_PAUSED;
    sluice_stream_want(loop, stream);
    return 0;
}

int sluice_resume(sluice_loop *loop, sluice_id id) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        return sluice_id_refusal(loop, id);
    stream->state &= ~(uint32_t)STREAM_PAUSED;
    if (stream->state & NOTICES)
        sluice_stream_notify(loop, stream, 0);
    sluice_stream_want(loop, stream);
    return 0;
}

void sluice_stream_postpone_idle(sluice_loop *loop, struct sluice_stream *stream) {
    if (!(stream->state & STREAM_CLOSING))
        sluice_timers_reset(&loop->deadlines, stream->deadline - 1,
                            sluice_moment(loop, stream->idle_ms * NS_PER_MILLISECOND));
}

static void connected(sluice_loop *loop, struct sluice_stream *stream, int result) {
    if (result < 0) {
        sluice_stream_end(loop, stream, result);
        return;
    }
    stream->state &= ~(uint32_t)STREAM_CONNECTING;
    if (stream->state & STREAM_CLOSING) {
        sluice_stream_close(loop, stream);
        return;
    }
    /* The deadline of connecting becomes that of idling; it is there, or never was. */
    int64_t idle = stream->idle_ms ? stream->idle_ms * NS_PER_MILLISECOND : INT64_MAX;
    sluice_id id = sluice_stream_id(loop, stream);
    int code = sluice_deadline_set(loop, &stream->deadline, id, idle);
    if (code < 0) {
        sluice_stream_end(loop, stream, code);
        return;
    }
    sluice_stream_notify(loop, stream, NOTICE_CONNECTED);
    if (stream->output.length > 0 || (stream->state & STREAM_SHUTTING))
        sluice_output_queue_flush(loop, stream);
    sluice_stream_want(loop, stream);
}

static void received_end(sluice_loop *loop, struct sluice_stream *stream) {
    stream->state |= STREAM_ENDED_INPUT;
    if (stream->state & STREAM_CLOSING) {
        sluice_stream_close(loop, stream);
        return;
    }
    if (stream->extras && sluice_forward_end_of_input(loop, stream))
        return;
    bool held = stream->extras && stream->extras->held > 0;
    sluice_stream_notify(loop, stream, held ? NOTICE_HELD | NOTICE_EOF : NOTICE_EOF);
}

/* What was received by a stream that holds or forwards: whether it is an event. */
static bool received_by_extras(sluice_loop *loop, struct sluice_stream *stream,
                               sluice_event *event) {
    struct sluice_extras *extras = stream->extras;
    if (extras->forward_to && sluice_forward_pass(loop, stream, event->data, event->length))
        return false;
    if (extras->held == 0) {
        loop->receive_used += event->length;
        sluice_lend(loop, stream, event->data, event->length, event);
        return true;
    }
    int code = sluice_held_append(loop, stream, event->data, event->length);
    if (code < 0) {
        sluice_stream_end(loop, stream, code);
        return false;
    }
    sluice_lend(loop, stream, extras->held_bytes, extras->held, event);
    return true;
}

static bool received(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event) {
    loop->stats.bytes_received += event->length;
    sluice_stream_active(loop, stream);
    if (stream->state & STREAM_CLOSING)
        return false;
    event->user = stream->slot.user;
    if (stream->extras)
        return received_by_extras(loop, stream, event);
    loop->receive_used += event->length;
    sluice_lend(loop, stream, event->data, event->length, event);
    return true;
}

bool sluice_stream_complete(sluice_loop *loop, struct sluice_stream *stream,
                            enum sluice_operation operation, sluice_event *event) {
    int error = event->error;
    switch (operation) {
    case SLUICE_OP_RECEIVE:
        loop->stats.receives++;
        return received(loop, stream, event);
    case SLUICE_OP_END:
        loop->stats.receives++;
        if (error < 0)
            sluice_stream_end(loop, stream, error);
        else
            received_end(loop, stream);
        return false;
    case SLUICE_OP_SEND:
        stream->state &= ~(uint32_t)STREAM_BLOCKED;
        if (error < 0)
            sluice_stream_end(loop, stream, error);
        else
            sluice_output_sent(loop, stream, event->length);
        return false;
    default:
        connected(loop, stream, error);
        return false;
    }
}

/* ---- Ending --------------------------------------------------------------------------------- */

void sluice_stream_end(sluice_loop *loop, struct sluice_stream *stream, int error) {
    sluice_id id = sluice_stream_id(loop, stream);
    int fd = stream->fd;
    size_t put_off = sluice_output_put_off(loop, stream);
    size_t unsent = stream->output.length + put_off;
    loop->put_off_length -= put_off;
    loop->engine->operations->detach(loop->engine, fd);
    close(fd);
    if (stream->deadline)
        sluice_deadline_set(loop, &stream->deadline, id, INT64_MAX);
    sluice_bytes_clear(&loop->pool, &stream->output);
    if (stream->extras) {
        sluice_forward_end(loop, stream);
        sluice_held_end(loop, stream);
        sluice_free(&loop->allocator, stream->extras);
    }
    stream->state &= ~(uint32_t)NOTICES;
    stream->state |= STREAM_ENDED;
    stream->unsent = unsent;
    stream->error = error;
    sluice_stream_notify(loop, stream, NOTICE_CLOSED);
    uint32_t listener = stream->listener;
    stream->listener = 0; /* which may end, and its place be taken, before CLOSED is pulled */
    sluice_listeners_heed_end(loop, listener);
}

int sluice_stream_finish_sending(const struct sluice_stream *stream) {
    if (!(stream->state & STREAM_SOCKET))
        return 0;
    int code = sluice_socket_finish_sending(stream->fd);
    if (code != -ENOTCONN)
        return code;
    /* No longer connected: the error that has ended it is still to be fetched. */
    code = sluice_socket_error(stream->fd);
    return code < 0 ? code : -ECONNRESET;
}

/* What a close does next: whether there is something to wait for, or the stream has ended. */
static bool go_on_closing(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->output.length > 0) {
        sluice_output_queue_flush(loop, stream);
        return true;
    }
    int code = 0;
    bool over = (stream->state & (STREAM_CONNECTING | STREAM_ENDED_INPUT)) ||
                !(stream->state & STREAM_SOCKET);
    if (!over && !(stream->state & STREAM_SHUT)) {
        stream->state |= STREAM_SHUT;
        code = sluice_stream_finish_sending(stream);
    }
    if (over || code < 0)
        sluice_stream_end(loop, stream, code);
    return !over && code == 0;
}

void sluice_stream_close(sluice_loop *loop, struct sluice_stream *stream) {
    bool begins = !(stream->state & STREAM_CLOSING);
    stream->state |= STREAM_CLOSING | STREAM_SHUTTING;
    if (begins)
        stream->state &= ~(uint32_t)(NOTICES & ~NOTICE_CONNECTED);
    if (!go_on_closing(loop, stream))
        return;
    int code = 0;
    if (begins)
        code = sluice_deadline_set(loop, &stream->deadline, sluice_stream_id(loop, stream),
                                   stream->linger_ms * NS_PER_MILLISECOND);
    if (code < 0)
        sluice_stream_end(loop, stream, code);
    else
        sluice_stream_want(loop, stream);
}

/* All was handed to the kernel by the time the linger limit comes, or it was not: that decides
 * whether the end was an orderly one. */
void sluice_stream_deadline(sluice_loop *loop, struct sluice_stream *stream) {
    bool orderly = (stream->state & STREAM_CLOSING) && stream->output.length == 0;
    sluice_stream_end(loop, stream, orderly ? 0 : -ETIMEDOUT);
}

struct sluice_extras *sluice_stream_extras(sluice_loop *loop, struct sluice_stream *stream) {
    if (!stream->extras) {
        struct sluice_extras *extras = sluice_resize(&loop->allocator, NULL, 1, sizeof *extras);
        if (extras)
            *extras = (struct sluice_extras){.forward_from = SLUICE_NO_SLOT,
                                             .forward_next = SLUICE_NO_SLOT};
        stream->extras = extras;
        if (extras)
            stream->state |= STREAM_EXTRAS;
    }
    return stream->extras;
}

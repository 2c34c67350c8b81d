/* output.c - what a stream has queued, and how it goes out.
 *
 * A write of bytes that the loop has lent, such as an echo's, is neither copied nor queued: they
 * stay where they are until the next pull, which sends them first.
 *
 * Other writes are appended to the stream's queue, and the stream to the loop's list of those to
 * flush; the next pull sends each queue by one call. A large write whose queue is empty is offered
 * to the kernel first, and only what that does not take is copied; the room for it is made sure of
 * before, so that a write still goes whole or not at all.
 *
 * Over the high mark a stream is not received from until its queue has fallen to the low mark: the
 * distance between the two keeps it from stopping and starting with each byte.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>

#include "network/socket.h"

#define LARGE_WRITE 8192
#define SLICES 64

/* ---- Sending -------------------------------------------------------------------------------- */

void sluice_output_queue_flush(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_TO_FLUSH)
        return;
    uint32_t index = sluice_id_index(sluice_stream_id(loop, stream));
    stream->state |= STREAM_TO_FLUSH;
    stream->next_to_flush = SLUICE_NO_SLOT;
    if (loop->to_flush.first == SLUICE_NO_SLOT)
        loop->to_flush.first = index;
    else
        sluice_stream_at(loop, loop->to_flush.last)->next_to_flush = index;
    loop->to_flush.last = index;
    loop->todo |= TODO_FLUSH;
}

/* Takes note of bytes that the kernel took. */
static void count_sent(sluice_loop *loop, struct sluice_stream *stream, size_t sent) {
    loop->stats.sends++;
    loop->stats.bytes_sent += sent;
    if (sent > 0)
        sluice_stream_active(loop, stream);
}

/* The queue has changed: may the stream, and those that are forwarded to it, be received from? */
static void heed_marks(sluice_loop *loop, struct sluice_stream *stream) {
    bool throttled = (stream->state & STREAM_THROTTLED) != 0;
    if (!throttled && stream->output.length > loop->high_mark) {
        stream->state |= STREAM_THROTTLED;
        sluice_forward_room(loop, stream, true);
        sluice_stream_want(loop, stream);
    } else if (throttled && stream->output.length <= loop->low_mark) {
        stream->state &= ~(uint32_t)STREAM_THROTTLED;
        sluice_forward_room(loop, stream, false);
        if (!(stream->state & STREAM_CLOSING))
            sluice_stream_notify(loop, stream, NOTICE_DRAINED);
        sluice_stream_want(loop, stream);
    }
}

/* Nothing is queued any more: what was to come after it? */
static void drained(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_CLOSING) {
        sluice_stream_close(loop, stream);
    } else if ((stream->state & (STREAM_SHUTTING | STREAM_SHUT)) == STREAM_SHUTTING) {
        stream->state |= STREAM_SHUT;
        int code = sluice_stream_finish_sending(stream);
        /* Both directions have ended, and the caller knows: so has the stream. */
        bool over = (stream->state & (STREAM_ENDED_INPUT | STREAM_WRITE_ONLY)) &&
                    !(stream->state & (NOTICE_HELD | NOTICE_EOF));
        if (code < 0 || over)
            sluice_stream_end(loop, stream, code);
    }
}

/* After an attempt to send `offered` bytes that are not counted among the output any more than they
 * were before: how many went, or the error that has ended the stream. Where a signal cut it short
 * it is tried again by whoever sends next; otherwise what is left waits for room. */
static ptrdiff_t heed_sent(sluice_loop *loop, struct sluice_stream *stream, ptrdiff_t sent,
                           size_t offered) {
    if (sent == -EINTR)
        return 0;
    if (sent == SLUICE_EAGAIN)
        sent = 0;
    if (sent >= 0 && (size_t)sent < offered) {
        int code = loop->engine->operations->await_room(loop->engine, stream->fd);
        if (code == 0)
            stream->state |= STREAM_BLOCKED;
        else
            sent = code;
    }
    if (sent < 0)
        sluice_stream_end(loop, stream, (int)sent);
    else
        count_sent(loop, stream, (size_t)sent);
    return sent;
}

/* 0, or the error that has ended the stream. */
static int send_queue(sluice_loop *loop, struct sluice_stream *stream) {
    while (stream->output.length > 0 && !(stream->state & (STREAM_BLOCKED | STREAM_CONNECTING))) {
        struct iovec iov[SLICES];
        int count = sluice_bytes_peek(&stream->output, iov, SLICES, SIZE_MAX);
        size_t offered = 0;
        for (int i = 0; i < count; i++)
            offered += iov[i].iov_len;
        ptrdiff_t sent =
            loop->engine->operations->send_slices(loop->engine, stream->fd, iov, count);
        sent = heed_sent(loop, stream, sent, offered);
        if (sent < 0)
            return (int)sent;
        sluice_bytes_consume(&loop->pool, &stream->output, (size_t)sent);
    }
    return 0;
}

int sluice_output_send(sluice_loop *loop, struct sluice_stream *stream) {
    int code = send_queue(loop, stream);
    if (code < 0)
        return code;
    if (stream->state & STREAM_THROTTLED)
        heed_marks(loop, stream);
    if (stream->output.length == 0 && (stream->state & STREAM_SHUTTING) &&
        !(stream->state & (STREAM_CONNECTING | STREAM_ENDED)))
        drained(loop, stream);
    return 0;
}

void sluice_output_sent(sluice_loop *loop, struct sluice_stream *stream, size_t sent) {
    if (sent > 0) {
        count_sent(loop, stream, sent);
        sluice_bytes_consume(&loop->pool, &stream->output, sent);
    }
    (void)sluice_output_send(loop, stream);
}

void sluice_output_flush_all(sluice_loop *loop) {
    while (loop->to_flush.first != SLUICE_NO_SLOT) {
        struct sluice_stream *stream = sluice_stream_at(loop, loop->to_flush.first);
        loop->to_flush.first = stream->next_to_flush;
        stream->state &= ~(uint32_t)STREAM_TO_FLUSH;
        if (stream->state & STREAM_ENDED)
            continue;
        if (sluice_output_send(loop, stream) < 0 || (stream->state & STREAM_ENDED))
            continue;
        if (stream->state & STREAM_CLOSE_NEXT) {
            stream->state &= ~(uint32_t)STREAM_CLOSE_NEXT;
            sluice_stream_close(loop, stream);
        }
    }
    loop->todo &= ~(uint32_t)TODO_FLUSH;
}

/* ---- Writes that are put off ---------------------------------------------------------------- */

static int queue_put_off(sluice_loop *loop, struct sluice_stream *stream) {
    int code = sluice_bytes_append(&loop->pool, &stream->output, loop->put_off_bytes,
                                   loop->put_off_length);
    if (code < 0)
        return code;
    loop->put_off_length = 0;
    sluice_output_queue_flush(loop, stream);
    if (stream->output.length > loop->high_mark)
        heed_marks(loop, stream);
    return stream->state & STREAM_ENDED ? SLUICE_ESTALE : 0;
}

int sluice_output_settle(sluice_loop *loop, struct sluice_stream *stream) {
    return sluice_output_put_off(loop, stream) > 0 ? queue_put_off(loop, stream) : 0;
}

void sluice_output_send_put_off(sluice_loop *loop, ptrdiff_t sent) {
    struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(loop->put_off_id));
    sent = heed_sent(loop, stream, sent, loop->put_off_length);
    if (sent < 0)
        return;
    loop->put_off_bytes += sent;
    loop->put_off_length -= (size_t)sent;
    int code = queue_put_off(loop, stream);
    if (code < 0 && !(stream->state & STREAM_ENDED))
        sluice_stream_end(loop, stream, code);
}

/* With any of these, no write is put off. */
#define PUTS_NOTHING_OFF                                                                           \
    (STREAM_CONNECTING | STREAM_BLOCKED | STREAM_SHUTTING | STREAM_CLOSING | STREAM_ENDED)

/* The write waits for the next pull, as the bytes do. */
static inline int put_off(sluice_loop *loop, const struct sluice_stream *stream, sluice_id id,
                          const void *bytes, size_t length) {
    loop->put_off_bytes = bytes;
    loop->put_off_length = length;
    loop->put_off_id = id;
    loop->put_off_fd = stream->fd;
    return 0;
}

/* Whether a write can be put off: of bytes that are lent, and the only one of this event. */
static bool can_put_off(const sluice_loop *loop, const struct sluice_stream *stream,
                        const void *bytes, size_t length) {
    return (uintptr_t)bytes - (uintptr_t)loop->receive_bytes < loop->receive_used &&
           loop->put_off_length == 0 && length <= loop->hard_limit && stream->output.length == 0 &&
           !(stream->state & PUTS_NOTHING_OFF);
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* The pool keeps its chunks within the memory limit by itself, but what is held counts as well. */
static int check_memory(const sluice_loop *loop, size_t length) {
    if (loop->held_memory == 0)
        return 0;
    size_t used = sluice_loop_memory(loop);
    return used > loop->memory_limit || length > loop->memory_limit - used ? SLUICE_EFULL : 0;
}

/* Whether `length` more bytes may be queued. */
static int check_room(const sluice_loop *loop, const struct sluice_stream *stream, size_t length) {
    if (stream->state & (STREAM_SHUTTING | STREAM_CLOSING))
        return -EPIPE;
    /* A forward may have queued more than that. */
    if (stream->output.length > loop->hard_limit ||
        length > loop->hard_limit - stream->output.length)
        return SLUICE_EFULL;
    return check_memory(loop, length);
}

/* Offers a large write to the kernel before anything is copied: how many bytes went, or an error.
 */
static ptrdiff_t send_directly(sluice_loop *loop, struct sluice_stream *stream, const void *bytes,
                               size_t length) {
    if (length < LARGE_WRITE || stream->output.length > 0 ||
        (stream->state & (STREAM_BLOCKED | STREAM_CONNECTING)))
        return 0;
    /* Made sure of before anything goes: what the kernel does not take can be queued. */
    int code = sluice_chunk_pool_prepare(&loop->pool, length);
    if (code < 0)
        return code;
    ptrdiff_t sent = loop->engine->operations->send(loop->engine, stream->fd, bytes, length);
    sent = heed_sent(loop, stream, sent, length);
    if (sent >= 0)
        return sent;
    /* The stream is at its end, and says so by itself; this write is lost with it. */
    stream->unsent += length;
    return (ptrdiff_t)length;
}

int sluice_output_write(sluice_loop *loop, struct sluice_stream *stream, const void *bytes,
                        size_t length) {
    ptrdiff_t sent = send_directly(loop, stream, bytes, length);
    if (sent < 0)
        return (int)sent;
    int code = 0;
    if ((size_t)sent < length)
        code = sluice_bytes_append(&loop->pool, &stream->output, (const char *)bytes + sent,
                                   length - (size_t)sent);
    if (sent > 0)
        sluice_chunk_pool_trim(&loop->pool); /* of what was prepared and not needed */
    if ((size_t)sent == length)
        return 0;
    if (code < 0)
        return code;
    sluice_output_queue_flush(loop, stream);
    if (stream->output.length > loop->high_mark)
        heed_marks(loop, stream);
    return 0;
}

static SLUICE_NOINLINE int write_any(sluice_loop *loop, sluice_id id, const void *bytes,
                                     size_t length) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        return sluice_id_refusal(loop, id);
    if (can_put_off(loop, stream, bytes, length))
        return put_off(loop, stream, id, bytes, length);
    if (!bytes && length > 0)
        return SLUICE_ENULL;
    code = sluice_output_settle(loop, stream);
    if (code == 0)
        code = check_room(loop, stream, length);
    return code < 0 || length == 0 ? code : sluice_output_write(loop, stream, bytes, length);
}

/* Most writes answer the event that was pulled last with bytes out of it: those are put off, on
 * fewer questions than others need. */
int sluice_write(sluice_loop *loop, sluice_id id, const void *bytes, size_t length) {
    if (sluice_likely(loop && loop->thread == sluice_thread() && id == loop->answerable &&
                      bytes == loop->receive_bytes && length <= loop->hard_limit)) {
        const struct sluice_stream *stream = loop->answerable_stream;
        if (sluice_likely(!(stream->state & PUTS_NOTHING_OFF) && stream->output.length == 0 &&
                          loop->put_off_length == 0))
            return put_off(loop, stream, id, bytes, length);
    }
    return write_any(loop, id, bytes, length);
}

int sluice_writev(sluice_loop *loop, sluice_id id, const sluice_slice *slices, int count) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        return sluice_id_refusal(loop, id);
    if (count < 0)
        return SLUICE_ECAPACITY;
    if (!slices && count > 0)
        return SLUICE_ENULL;
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        if (!slices[i].bytes && slices[i].length > 0)
            return SLUICE_ENULL;
        if (__builtin_add_overflow(length, slices[i].length, &length))
            return SLUICE_EFULL;
    }
    code = sluice_output_settle(loop, stream);
    if (code == 0)
        code = check_room(loop, stream, length);
    if (code == 0 && length > 0)
        code = sluice_chunk_pool_prepare(&loop->pool, length);
    for (int i = 0; i < count && code == 0 && length > 0; i++)
        code = sluice_bytes_append(&loop->pool, &stream->output, slices[i].bytes, slices[i].length);
    if (code < 0 || length == 0)
        return code;
    sluice_output_queue_flush(loop, stream);
    heed_marks(loop, stream);
    return 0;
}

int sluice_flush(sluice_loop *loop, sluice_id id) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        return sluice_id_refusal(loop, id);
    code = sluice_output_settle(loop, stream);
    return code < 0 ? code : sluice_output_send(loop, stream);
}

int sluice_shutdown(sluice_loop *loop, sluice_id id) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        return sluice_id_refusal(loop, id);
    code = sluice_output_settle(loop, stream);
    if (code < 0)
        return code;
    stream->state |= STREAM_SHUTTING;
    sluice_output_queue_flush(loop, stream);
    return 0;
}

int64_t sluice_pending(const sluice_loop *loop, sluice_id id) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    const struct sluice_stream *stream = sluice_find_stream(loop, id);
    if (!stream)
        return sluice_id_refusal(loop, id);
    return (int64_t)(stream->output.length + sluice_output_put_off(loop, stream));
}

/* output.c - what a stream has queued, and how it goes out.
 *
 * A write of bytes that the loop has lent, such as that of an echo, is neither copied nor queued.
 * The bytes stay where they are until the next pull, which sends them first. The first small write
 * of other bytes is put off in the same way, as a copy for which the loop has room. It needs no
 * chunk and no list.
 *
 * Other writes are appended to the stream's queue, and the stream goes on the agenda. The next pull
 * sends each queue by one call. If the queue is empty, a large write is offered to the kernel
 * first, and only what the kernel does not take is copied. Before that the loop makes sure that
 * there is room for all of it, so that a write still goes whole or not at all.
 *
 * If a stream that throttles is over its high mark, it is not received from until its queue has
 * fallen to the low mark. The distance between the two marks keeps it from stopping and starting
 * with each byte.
 *
 * If a send fails, only the output has failed: what the peer has sent is still received (stream.c).
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <string.h>

#include "base/deadline.h"
#include "network/socket.h"

#define LARGE_WRITE 8192
#define SLICES 64

/* ---- Sending -------------------------------------------------------------------------------- */

void sluice_output_count_sent(sluice_loop *loop, struct sluice_stream *stream, size_t sent) {
    loop->stats.sends++;
    loop->stats.bytes_sent += sent;
    if (sent == 0)
        return;
    if (stream->state & STREAM_CLOSING)
        sluice_deadline_move(
            loop, stream, sluice_cohort_at(loop, stream->cohort)->linger_ms * NS_PER_MILLISECOND);
    else if (stream->state & STREAM_TIMED)
        sluice_stream_postpone_idle(loop, stream);
}

static bool has_drained(const struct sluice_stream *stream, const struct sluice_cohort *cohort) {
    if (stream->state & STREAM_FILE_WAITS)
        return stream->output.length == 0 &&
               !(stream->state & (STREAM_BLOCKED | STREAM_CONNECTING));
    return stream->output.length <= cohort->low_mark;
}

void sluice_output_heed_marks(sluice_loop *loop, struct sluice_stream *stream, bool by_call) {
    const struct sluice_cohort *cohort = sluice_cohort_at(loop, stream->cohort);
    bool was_over = (stream->state & STREAM_OVER_MARK) != 0;
    if (!was_over && stream->output.length > cohort->high_mark) {
        stream->state |= STREAM_OVER_MARK;
        sluice_forward_hold_back(loop, stream, true);
        sluice_stream_on_agenda(loop, stream);
    } else if (was_over && has_drained(stream, cohort)) {
        stream->state &= ~(uint32_t)(STREAM_OVER_MARK | STREAM_FILE_WAITS);
        sluice_forward_hold_back(loop, stream, false);
        if (!(stream->state & STREAM_CLOSING))
            sluice_stream_notify(loop, stream, NOTICE_DRAINED, by_call);
        sluice_stream_on_agenda(loop, stream);
    }
}

/* Something was queued. Returns whether the queue is over the high mark now, so that sluice_write
 * can say so. */
static int heed_queued(sluice_loop *loop, struct sluice_stream *stream) {
    sluice_stream_on_agenda(loop, stream);
    if (stream->output.length <= sluice_cohort_at(loop, stream->cohort)->high_mark)
        return 0;
    sluice_output_heed_marks(loop, stream, true);
    return 1;
}

SLUICE_COLD void sluice_output_drop(sluice_loop *loop, struct sluice_stream *stream) {
    size_t put_off = sluice_output_put_off(loop, stream);
    size_t unsent = stream->output.length + put_off;
    loop->put_off_length -= put_off;
    sluice_bytes_clear(&loop->pool, &stream->output);
    stream->output.length = unsent;
    if (stream->state & STREAM_OVER_MARK) {
        stream->state &= ~(uint32_t)(STREAM_OVER_MARK | STREAM_FILE_WAITS);
        sluice_forward_hold_back(loop, stream, false);
    }
}

/* Called after an attempt to send `offered` bytes. Returns how many went, or the error that has
 * failed the output. If a signal cut the attempt short, whoever sends next tries again. Otherwise
 * what is left waits for room. */
static ptrdiff_t heed_sent(sluice_loop *loop, struct sluice_stream *stream, ptrdiff_t sent,
                           size_t offered) {
    if (sent == -EINTR)
        return 0;
    if (sent == SLUICE_EAGAIN)
        sent = 0;
    if (sent >= 0 && (size_t)sent < offered) {
        int code = sluice_operations(loop)->await_room(loop->engine, stream->fd);
        if (code == 0)
            stream->state |= STREAM_BLOCKED;
        else
            sent = code;
    }
    if (sent >= 0)
        sluice_output_count_sent(loop, stream, (size_t)sent);
    return sent;
}

int sluice_output_send(sluice_loop *loop, struct sluice_stream *stream, bool by_call) {
    const uint32_t not_now = STREAM_BLOCKED | STREAM_CONNECTING | OUTPUT_FAILED;
    while (stream->output.length > 0 && !(stream->state & not_now)) {
        struct iovec iov[SLICES];
        int count = sluice_bytes_peek(&stream->output, iov, SLICES, SIZE_MAX);
        size_t offered = 0;
        for (int i = 0; i < count; i++)
            offered += iov[i].iov_len;
        ptrdiff_t sent = sluice_operations(loop)->send_slices(loop->engine, stream->fd, iov, count);
        sent = heed_sent(loop, stream, sent, offered);
        if (sent < 0) {
            sluice_output_fail(loop, stream, (int)sent);
            return (int)sent;
        }
        sluice_bytes_consume(&loop->pool, &stream->output, (size_t)sent);
    }
    if (stream->state & STREAM_OVER_MARK)
        sluice_output_heed_marks(loop, stream, by_call);
    return 0;
}

void sluice_output_sent(sluice_loop *loop, struct sluice_stream *stream, size_t sent) {
    stream->state &= ~(uint32_t)STREAM_BLOCKED;
    if (sent > 0) {
        sluice_output_count_sent(loop, stream, sent);
        sluice_bytes_consume(&loop->pool, &stream->output, sent);
    }
    /* If the send fails, that puts the stream on the agenda. */
    if (sluice_output_send(loop, stream, false) == 0)
        sluice_stream_on_agenda(loop, stream);
}

/* ---- Writes that are put off ---------------------------------------------------------------- */

/* Queues what is put off. Returns 0, or an error, and then it is still put off. */
static int queue_put_off(sluice_loop *loop, struct sluice_stream *stream) {
    int code = sluice_bytes_append(&loop->pool, &stream->output, loop->put_off_bytes,
                                   loop->put_off_length);
    if (code < 0)
        return code;
    loop->put_off_length = 0;
    (void)heed_queued(loop, stream);
    return 0;
}

int sluice_output_settle(sluice_loop *loop, struct sluice_stream *stream) {
    return sluice_output_put_off(loop, stream) > 0 ? queue_put_off(loop, stream) : 0;
}

/* Bytes that are not sent and cannot be queued are lost. Then the output has failed. */
void sluice_output_send_put_off(sluice_loop *loop, ptrdiff_t sent) {
    struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(loop->put_off_id));
    sent = heed_sent(loop, stream, sent < 0 ? -errno : sent, loop->put_off_length);
    int code = sent < 0 ? (int)sent : 0;
    if (code == 0) {
        loop->put_off_bytes += sent;
        loop->put_off_length -= (size_t)sent;
        code = queue_put_off(loop, stream);
    }
    if (code < 0)
        sluice_output_fail(loop, stream, code);
}

/* With any of these, no write is put off. */
#define PUTS_NOTHING_OFF                                                                           \
    (TAKES_NO_WRITE | STREAM_CONNECTING | STREAM_BLOCKED | STREAM_ENDED | STREAM_NO_SOCKET)

/* Whether a write to this stream can wait for the next pull without being queued. The bytes must be
 * those of the event that was pulled last, it must be the only such write so far, and nothing may
 * be queued before it. */
static inline bool can_wait(const sluice_loop *loop, const struct sluice_stream *stream,
                            size_t length) {
    return length <= loop->hard_limit && !(stream->state & PUTS_NOTHING_OFF) &&
           stream->output.length == 0 && loop->put_off_length == 0;
}

/* Whether all of these bytes are bytes of that event. */
static bool are_lent(const sluice_loop *loop, const void *bytes, size_t length) {
    size_t from = (uintptr_t)bytes - (uintptr_t)loop->answerable_bytes;
    return from < loop->answerable_length && length <= loop->answerable_length - from;
}

/* Whether the send at the next pull need not postpone an idle limit. Either there is no limit, or
 * the bytes that are being answered have just postponed it. */
static inline bool idles_by_itself(const sluice_loop *loop, const struct sluice_stream *stream,
                                   sluice_id id) {
    return !(stream->state & STREAM_TIMED) || id == loop->answerable;
}

/* The same for a write of other bytes: it must be a small one. */
static inline bool can_wait_as_copy(const sluice_loop *loop, const struct sluice_stream *stream,
                                    sluice_id id, size_t length) {
    return length - 1 < loop->small_most && can_wait(loop, stream, length) &&
           idles_by_itself(loop, stream, id);
}

static inline int put_off(sluice_loop *loop, const struct sluice_stream *stream, sluice_id id,
                          const void *bytes, size_t length) {
    loop->put_off_bytes = (const unsigned char *)bytes;
    loop->put_off_length = length;
    loop->put_off_id = id;
    loop->put_off_fd = stream->fd;
    return 0;
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* The pool by itself keeps its chunks within the memory limit, but what is held counts as well. */
static int check_memory(const sluice_loop *loop, size_t length) {
    if (loop->held_memory == 0)
        return 0;
    size_t used = sluice_loop_memory(loop);
    return used > loop->memory_limit || length > loop->memory_limit - used ? SLUICE_EFULL : 0;
}

/* Whether `length` more bytes may be queued. */
static int check_room(const sluice_loop *loop, const struct sluice_stream *stream, size_t length) {
    if (stream->state & TAKES_NO_WRITE)
        return -EPIPE;
    /* A forward may have queued more than the limit. */
    if (stream->output.length > loop->hard_limit ||
        length > loop->hard_limit - stream->output.length)
        return SLUICE_EFULL;
    return check_memory(loop, length);
}

/* Offers a large write to the kernel before anything is copied. Returns how many bytes went, or an
 * error. */
static ptrdiff_t send_directly(sluice_loop *loop, struct sluice_stream *stream, const void *bytes,
                               size_t length) {
    if (length < LARGE_WRITE || stream->output.length > 0 ||
        (stream->state & (STREAM_BLOCKED | STREAM_CONNECTING)))
        return 0;
    /* Make sure, before anything goes, that what the kernel does not take can be queued. */
    int code = sluice_chunk_pool_prepare(&loop->pool, length);
    if (code < 0)
        return code;
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    ptrdiff_t sent = sluice_operations(loop)->send_slices(loop->engine, stream->fd, &iov, 1);
    sent = heed_sent(loop, stream, sent, length);
    if (sent < 0) {
        sluice_chunk_pool_trim(&loop->pool);
        sluice_output_fail(loop, stream, (int)sent);
    }
    return sent;
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
        sluice_chunk_pool_trim(&loop->pool); /* gives up what was prepared and not needed */
    if ((size_t)sent == length || code < 0)
        return code;
    return heed_queued(loop, stream);
}

static SLUICE_NOINLINE int write_queued(sluice_loop *loop, sluice_id id, const void *bytes,
                                        size_t length) {
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    if (are_lent(loop, bytes, length) && can_wait(loop, stream, length) &&
        idles_by_itself(loop, stream, id))
        return put_off(loop, stream, id, bytes, length);
    if (!bytes && length > 0)
        return SLUICE_ENULL;
    if (can_wait_as_copy(loop, stream, id, length))
        return put_off(loop, stream, id, memcpy(loop->small_write, bytes, length), length);
    code = sluice_output_settle(loop, stream);
    if (code == 0)
        code = check_room(loop, stream, length);
    return code < 0 || length == 0 ? code : sluice_output_write(loop, stream, bytes, length);
}

/* Whether the event that was pulled last is this stream's. Then the stream need not be looked
 * up. */
static inline bool is_answer(const sluice_loop *loop, sluice_id id) {
    return loop && loop->thread == sluice_thread() && id == loop->answerable;
}

/* It is out of line so that an echo saves no registers. */
static SLUICE_NOINLINE int write_other(sluice_loop *loop, sluice_id id, const void *bytes,
                                       size_t length) {
    if (is_answer(loop, id) && bytes && length - 1 < loop->small_most &&
        can_wait(loop, loop->answerable_stream, length))
        return put_off(loop, loop->answerable_stream, id, memcpy(loop->small_write, bytes, length),
                       length);
    return write_queued(loop, id, bytes, length);
}

/* Most writes answer the event that was pulled last: with its bytes, from the first on, or with a
 * few others. */
int sluice_write(sluice_loop *loop, sluice_id id, const void *bytes, size_t length) {
    if (sluice_likely(is_answer(loop, id) && bytes == loop->answerable_bytes &&
                      length <= loop->answerable_length &&
                      can_wait(loop, loop->answerable_stream, length)))
        return put_off(loop, loop->answerable_stream, id, bytes, length);
    return write_other(loop, id, bytes, length);
}

/* How many bytes all pieces have together, or an error. */
static int measure(const sluice_slice *slices, int count, size_t *length) {
    *length = 0;
    if (count < 0)
        return SLUICE_ECAPACITY;
    if (!slices && count > 0)
        return SLUICE_ENULL;
    for (int i = 0; i < count; i++) {
        if (!slices[i].bytes && slices[i].length > 0)
            return SLUICE_ENULL;
        if (__builtin_add_overflow(*length, slices[i].length, length))
            return SLUICE_EFULL;
    }
    return 0;
}

/* Copies all pieces one after the other to `to`, and returns `to`. */
static const void *gather(unsigned char *to, const sluice_slice *slices, int count) {
    unsigned char *end = to;
    for (int i = 0; i < count; i++) {
        if (slices[i].length > 0)
            memcpy(end, slices[i].bytes, slices[i].length);
        end += slices[i].length;
    }
    return to;
}

static SLUICE_NOINLINE int writev_queued(sluice_loop *loop, sluice_id id,
                                         const sluice_slice *slices, int count, size_t length) {
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    if (can_wait_as_copy(loop, stream, id, length))
        return put_off(loop, stream, id, gather(loop->small_write, slices, count), length);
    code = sluice_output_settle(loop, stream);
    if (code == 0)
        code = check_room(loop, stream, length);
    if (code == 0 && length > 0)
        code = sluice_chunk_pool_prepare(&loop->pool, length);
    for (int i = 0; i < count && code == 0 && length > 0; i++)
        code = sluice_bytes_append(&loop->pool, &stream->output, slices[i].bytes, slices[i].length);
    return code < 0 || length == 0 ? code : heed_queued(loop, stream);
}

int sluice_writev(sluice_loop *loop, sluice_id id, const sluice_slice *slices, int count) {
    size_t length;
    int code = measure(slices, count, &length);
    if (code == 0 && is_answer(loop, id) &&
        can_wait_as_copy(loop, loop->answerable_stream, id, length))
        return put_off(loop, loop->answerable_stream, id, gather(loop->small_write, slices, count),
                       length);
    if (code == 0)
        return writev_queued(loop, id, slices, count, length);
    /* If something is wrong with the stream, that is reported first. */
    int of_stream;
    return sluice_called_stream(loop, id, &of_stream) ? code : of_stream;
}

int sluice_flush(sluice_loop *loop, sluice_id id) {
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    if (stream->state & OUTPUT_FAILED)
        return -EPIPE;
    code = sluice_output_settle(loop, stream);
    return code < 0 ? code : sluice_output_send(loop, stream, true);
}

int sluice_output_shutdown(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & OUTPUT_FAILED)
        return -EPIPE;
    int code = sluice_output_settle(loop, stream);
    if (code < 0 || (stream->state & OUTPUT_OVER))
        return code;
    stream->state |= OUTPUT_FINISHING;
    sluice_stream_on_agenda(loop, stream);
    return 0;
}

int64_t sluice_pending(const sluice_loop *loop, sluice_id id) {
    int code;
    const struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    return (int64_t)(stream->output.length + sluice_output_put_off(loop, stream));
}

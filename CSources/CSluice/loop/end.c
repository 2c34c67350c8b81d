/* end.c - a stream's end: closing, aborting, and giving back what it had.
 *
 * An orderly close has three steps: everything is sent, the peer is told (shutdown), and the peer's
 * end is waited for. What the peer sends meanwhile is received and dropped. A close with unread
 * input would reset the connection, and that can take back what the peer has not read yet. And if
 * nothing were received, a peer that sends everything before it reads would never get to read.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <fcntl.h>
#include <unistd.h>

#include "loop/lookups.h"
#include "network/socket.h"

int sluice_stream_close(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_CLOSING)
        return 0;
    int code = sluice_stream_linger(loop, stream);
    if (code < 0)
        return code;
    sluice_stream_begin_closing(stream);
    sluice_stream_on_agenda(loop, stream);
    return 0;
}

/* If the stream's end loses bytes that the peer would wait for, the peer must see a reset. */
static SLUICE_COLD void reset_when_closed(const struct sluice_stream *stream) {
    bool lives_on = (stream->state & STREAM_INHERITED) != 0; /* in the parent */
    if (!(stream->state & STREAM_NO_SOCKET) && !lives_on)
        sluice_socket_reset_when_closed(stream->fd);
}

/* Another living stream of the same open file, or NULL. Both share whether it is non-blocking.
 * O(streams), for what was adopted and is no socket. */
static struct sluice_stream *sharer_of(const sluice_loop *loop,
                                       const struct sluice_stream *stream) {
    for (uint32_t i = 0; i < loop->streams.used; i++) {
        struct sluice_stream *other = sluice_stream_at(loop, i);
        if (other != stream && sluice_slot_lives(&other->slot) && other->fd >= 0 &&
            (other->state & STREAM_NO_SOCKET) && sluice_same_open_file(stream->fd, other->fd))
            return other;
    }
    return NULL;
}

/* Undoes what adopting has done to an open file that others may share. The last stream of ours that
 * has the file does it. */
static SLUICE_COLD void restore(const sluice_loop *loop, const struct sluice_stream *stream) {
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
static void release(sluice_loop *loop, struct sluice_stream *stream) {
    sluice_operations(loop)->detach(loop->engine, stream->fd);
    if (stream->state & STREAM_UNBLOCKED)
        restore(loop, stream);
    if (stream->error && stream->output.length > 0)
        reset_when_closed(stream);
    close(stream->fd);
    stream->fd = -1;
}

static void end_extras(sluice_loop *loop, struct sluice_stream *stream) {
    struct sluice_extras *extras = stream->extras;
    if (extras->connecting)
        extras->problem = loop->lookups->end_connecting(loop, stream);
    sluice_forward_end(loop, stream);
    sluice_held_release(loop, stream);
    if (!extras->problem)
        sluice_stream_free_extras(loop, stream);
}

void sluice_stream_told_end(sluice_loop *loop, struct sluice_stream *stream) {
    if (!stream->extras)
        return;
    loop->problem_id = sluice_stream_id(loop, stream);
    loop->problem = stream->extras->problem;
    sluice_stream_free_extras(loop, stream);
}

void sluice_stream_end(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->output.length > 0 || loop->put_off_length > 0)
        sluice_output_drop(loop, stream);
    if (stream->fd >= 0)
        release(loop, stream);
    if (stream->deadline)
        sluice_deadline_cancel(loop, stream);
    if (stream->extras)
        end_extras(loop, stream);
    stream->state = (stream->state & ~(uint32_t)NOTICES) | STREAM_ENDED;
    sluice_listeners_heed_end(loop, stream->cohort);
}

void sluice_stream_abort(sluice_loop *loop, struct sluice_stream *stream, int error) {
    stream->state &= ~(uint32_t)STREAM_CLOSE_NEXT;
    stream->state |= STREAM_CLOSING;
    stream->error = error;
    /* After a close the kernel goes on sending what it has taken. If it has bytes that nobody read,
     * it resets by itself. So only an abort takes back what is on its way. If the peer has only a
     * part of something, an orderly end would make that look whole. This is so if a stream that was
     * forwarded to this one has failed, or if the caller says that something has failed. */
    bool is_part = error != -ECONNABORTED || (stream->extras && stream->extras->cut_off);
    if (stream->fd >= 0 && (is_part || sluice_socket_has_unsent(stream->fd)))
        reset_when_closed(stream);
    sluice_stream_end(loop, stream);
    sluice_stream_notify(loop, stream, NOTICE_CLOSED, true);
}

/* ---- After a fork ---------------------------------------------------------------------------- */

SLUICE_COLD void sluice_streams_after_fork(sluice_loop *loop) {
    loop->put_off_length = 0;
    for (uint32_t i = 0; i < loop->streams.used; i++) {
        struct sluice_stream *stream = sluice_stream_at(loop, i);
        if (!sluice_slot_lives(&stream->slot) || (stream->state & STREAM_ENDED))
            continue;
        stream->state &= ~(uint32_t)STREAM_UNBLOCKED;
        stream->state |= STREAM_INHERITED;
        sluice_bytes_clear(&loop->pool, &stream->output);
        sluice_output_heed_marks(loop, stream, true);
    }
}

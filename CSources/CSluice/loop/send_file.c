/* send_file.c - bytes of a file that the kernel sends without a copy in this process.
 *
 * They go when the call is made, behind all that was written before, as far as the kernel takes
 * them and up to the high mark. None of them is queued. What did not go is left to the caller, and
 * DRAINED says when to go on. Until then the stream counts as over its mark, however little it has
 * queued, as if the rest of the file were queued.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>

/* Whether an error is about the connection. All others are about the file or the machine. */
static bool is_of_connection(int code) {
    switch (-code) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

/* DRAINED comes when nothing is queued and there is room: see sluice_output_heed_marks. */
static void await_room_for_file(sluice_loop *loop, struct sluice_stream *stream) {
    stream->state |= STREAM_FILE_WAITS;
    if (stream->state & STREAM_OVER_MARK)
        return;
    stream->state |= STREAM_OVER_MARK;
    sluice_forward_hold_back(loop, stream, true);
    sluice_stream_on_agenda(loop, stream);
}

static ptrdiff_t send_now(sluice_loop *loop, struct sluice_stream *stream, int fd, int64_t offset,
                          size_t length) {
    size_t high_mark = sluice_cohort_at(loop, stream->cohort)->high_mark;
    int stopped;
    size_t sent = sluice_operations(loop)->send_file(
        loop->engine, stream->fd, fd, offset, length < high_mark ? length : high_mark, &stopped);
    int code = is_of_connection(stopped) ? stopped : 0;
    bool is_full = stopped == SLUICE_EAGAIN;
    if (is_full)
        code = sluice_operations(loop)->await_room(loop->engine, stream->fd);
    sluice_output_count_sent(loop, stream, sent);
    if (code < 0) {
        sluice_output_fail(loop, stream, code);
        return code;
    }
    if (is_full) {
        stream->state |= STREAM_BLOCKED;
        await_room_for_file(loop, stream);
    } else if (sent == 0) {
        return stopped < 0 ? stopped : -ENODATA;
    } else if (sent < length) {
        sluice_stream_notify(loop, stream, NOTICE_DRAINED, true); /* now it is the turn of others */
    }
    return (ptrdiff_t)sent;
}

ptrdiff_t sluice_send_file(sluice_loop *loop, sluice_id id, int fd, int64_t offset, size_t length) {
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    if (stream->state & TAKES_NO_WRITE)
        return -EPIPE;
    if (offset < 0)
        return -EINVAL;
    if (length == 0)
        return 0;
    code = sluice_output_settle(loop, stream);
    if (code == 0)
        code = sluice_output_send(loop, stream, true);
    if (code < 0)
        return code;
    if (stream->output.length == 0 && !(stream->state & (STREAM_BLOCKED | STREAM_CONNECTING)))
        return send_now(loop, stream, fd, offset, length);
    await_room_for_file(loop, stream);
    return 0;
}

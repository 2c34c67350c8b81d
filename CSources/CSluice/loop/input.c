/* input.c - what a stream receives (bytes, its end, a reset), and pausing and resuming that.
 *
 * What happens here changes the input, and puts the stream on the agenda: see stream.h. Once the
 * output has failed, the input goes on only as far as the peer had sent by then. Otherwise a peer
 * that reads nothing could make us read for ever.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>

void sluice_stream_connected(sluice_loop *loop, struct sluice_stream *stream, int error) {
    stream->state &= ~(uint32_t)(STREAM_CONNECTING | STREAM_GRACE);
    if (error < 0) {
        sluice_input_fail(loop, stream, error);
        return;
    }
    sluice_stream_on_agenda(loop, stream);
    if (stream->state & STREAM_CLOSING)
        return;
    /* The deadline of connecting becomes the one of idling: see sluice_stream_heed_idleness. */
    sluice_deadline_cancel(loop, stream);
    sluice_stream_notify(loop, stream, NOTICE_CONNECTED, false);
}

/* The stream is not put on the agenda, since that is dealt with in this same turn. If it were, a
 * caller who answers each CLOSED with another connect would keep the turn from ending. */
void sluice_stream_failed_to_connect(sluice_loop *loop, struct sluice_stream *stream, int error) {
    stream->error = error;
    sluice_stream_notify(loop, stream, NOTICE_CONNECTED, true);
}

/* Whether the connection is broken and a failed send has taken the error that says so. A receive
 * then finds an end that is not the peer's. EPIPE is no such error: the kernel gives it if the peer
 * had ended before. */
static bool is_broken(const struct sluice_stream *stream) {
    return (stream->state & OUTPUT_FAILED) && !(stream->state & STREAM_NO_SOCKET) &&
           stream->error != -EPIPE;
}

void sluice_stream_received_end(sluice_loop *loop, struct sluice_stream *stream) {
    if (is_broken(stream)) {
        sluice_input_fail(loop, stream, stream->error);
        return;
    }
    stream->state |= INPUT_ENDED;
    bool passed_on = !(stream->state & STREAM_CLOSING) && stream->extras &&
                     sluice_forward_end_of_input(loop, stream);
    if (passed_on)
        stream->extras->owes_eof = true;
    if (passed_on || (stream->state & STREAM_CLOSING)) {
        sluice_stream_on_agenda(loop, stream);
        return;
    }
    uint32_t notices = NOTICE_EOF;
    if (stream->extras && stream->extras->held > 0)
        notices |= NOTICE_HELD;
    sluice_stream_notify(loop, stream, notices, false);
    /* Nothing follows until the caller has got these, except that a reset is looked for. */
    if (stream->state & STREAM_HALF_OPEN)
        sluice_stream_on_agenda(loop, stream);
}

SLUICE_COLD void sluice_input_ended_unseen(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->state & STREAM_PAUSED)
        stream->state |= INPUT_ENDED;
    else
        sluice_stream_received_end(loop, stream);
}

/* The connection is broken, and no bytes are left to receive. */
static void hung_up(sluice_loop *loop, struct sluice_stream *stream, int error, bool has_ended) {
    if (has_ended && !(stream->state & (INPUT_OVER | STREAM_NO_INPUT)))
        sluice_input_ended_unseen(loop, stream);
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
    const struct sluice_extras *extras = stream->extras;
    if (extras && extras->forward_to &&
        sluice_forward_pass(loop, stream, (const unsigned char *)event->data, event->length))
        return SLUICE_RECEIVED_NOTHING;
    return extras ? sluice_held_receive(loop, stream, event) : SLUICE_RECEIVED_BYTES;
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
            sluice_stream_received_end(loop, stream);
        break;
    case SLUICE_OP_SEND:
        if (error < 0)
            sluice_output_fail(loop, stream, error);
        else
            sluice_output_sent(loop, stream, event->length);
        break;
    case SLUICE_OP_HANGUP:
        hung_up(loop, stream, error, event->value != 0);
        break;
    default:
        if (sluice_id_kind(event->id) == SLUICE_KIND_ATTEMPT)
            loop->lookups->attempted(loop, stream, sluice_id_generation(event->id), error);
        else
            sluice_stream_connected(loop, stream, error);
    }
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
    if (!(stream->state & STREAM_PAUSED))
        return 0;
    stream->state &= ~(uint32_t)STREAM_PAUSED;
    sluice_held_resume(loop, stream);
    if (stream->state & NOTICES)
        sluice_stream_notify(loop, stream, 0, false);
    sluice_stream_on_agenda(loop, stream);
    return 0;
}

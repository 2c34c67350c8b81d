/* forward.c - a proxy's core: what one stream receives is written to another.
 *
 * The bytes go from the loop's receive buffer straight to the kernel where the other stream has
 * nothing queued, and into its queue where it has: nothing is copied while the receiver keeps up.
 * A stream that is forwarded stands in a list of the one that it is forwarded to, so that neither
 * outlives the other's end unawares.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>

static struct sluice_stream *target_of(const sluice_loop *loop, const struct sluice_stream *from) {
    if (!from->extras || !from->extras->forward_to)
        return NULL;
    return sluice_find_stream(loop, from->extras->forward_to);
}

bool sluice_forward_pass(sluice_loop *loop, struct sluice_stream *from, const unsigned char *bytes,
                         size_t length) {
    struct sluice_stream *to = target_of(loop, from);
    if (!to || (to->state & (STREAM_SHUTTING | STREAM_CLOSING)))
        return false;
    int code = sluice_output_write(loop, to, bytes, length);
    if (code < 0)
        sluice_stream_end(loop, from, code);
    return true;
}

bool sluice_forward_end_of_input(sluice_loop *loop, struct sluice_stream *from) {
    struct sluice_stream *to = target_of(loop, from);
    /* The caller's, as the bytes are, where the other takes no more. */
    if (!to || (to->state & (STREAM_SHUTTING | STREAM_CLOSING)))
        return false;
    from->state |= STREAM_OWES_EOF;
    to->state |= STREAM_SHUTTING;
    sluice_output_queue_flush(loop, to);
    /* What is forwarded here may go on, and so may what the caller writes where that is half-open;
     * else, or where all of that has gone, there is no more to do. */
    bool goes_on = from->extras->forward_from != SLUICE_NO_SLOT || (from->state & STREAM_HALF_OPEN);
    if (!goes_on || (from->state & STREAM_SHUT)) {
        from->state |= STREAM_CLOSE_NEXT;
        sluice_output_queue_flush(loop, from);
    }
    return true;
}

static void hold_back(sluice_loop *loop, struct sluice_stream *from, bool back) {
    if (back)
        from->state |= STREAM_HELD_BACK;
    else
        from->state &= ~(uint32_t)STREAM_HELD_BACK;
    sluice_stream_want(loop, from);
}

void sluice_forward_room(sluice_loop *loop, struct sluice_stream *to, bool is_over) {
    uint32_t index = to->extras ? to->extras->forward_from : SLUICE_NO_SLOT;
    while (index != SLUICE_NO_SLOT) {
        struct sluice_stream *from = sluice_stream_at(loop, index);
        index = from->extras->forward_next; /* before the call, which may end `from` */
        hold_back(loop, from, is_over);
    }
}

/* Takes `from` out of the list of the one that it is forwarded to. */
static void unlink_from(sluice_loop *loop, struct sluice_stream *from) {
    uint32_t self = sluice_id_index(sluice_stream_id(loop, from));
    struct sluice_stream *to = target_of(loop, from);
    from->extras->forward_to = 0;
    from->state &= ~(uint32_t)STREAM_HELD_BACK;
    if (!to)
        return;
    uint32_t *link = &to->extras->forward_from;
    while (*link != self)
        link = &sluice_stream_at(loop, *link)->extras->forward_next;
    *link = from->extras->forward_next;
}

/* `from` is the caller's again: its data, or the end that the caller has not been told of. */
static void give_back(sluice_loop *loop, struct sluice_stream *from) {
    hold_back(loop, from, false);
    if ((from->state & (STREAM_OWES_EOF | STREAM_CLOSING | STREAM_ENDED)) == STREAM_OWES_EOF) {
        from->state &= ~(uint32_t)STREAM_OWES_EOF;
        sluice_stream_notify(loop, from, NOTICE_EOF);
    }
}

void sluice_forward_end(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->extras->forward_to)
        unlink_from(loop, stream);
    while (stream->extras->forward_from != SLUICE_NO_SLOT) {
        struct sluice_stream *from = sluice_stream_at(loop, stream->extras->forward_from);
        stream->extras->forward_from = from->extras->forward_next;
        from->extras->forward_to = 0;
        give_back(loop, from);
    }
}

/* What is held comes again to the other stream. */
static int pass_held(sluice_loop *loop, struct sluice_stream *from, struct sluice_stream *to) {
    const unsigned char *held = sluice_held_again(loop, from);
    if (!held)
        return 0;
    int code = sluice_output_write(loop, to, held, from->extras->held);
    if (code < 0)
        return code;
    from->state &= ~(uint32_t)STREAM_REHELD;
    from->extras->held = 0;
    return 0;
}

int sluice_forward(sluice_loop *loop, sluice_id from_id, sluice_id to_id) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_stream *from = sluice_find_stream(loop, from_id);
    if (!from)
        return sluice_id_refusal(loop, from_id);
    struct sluice_stream *to = to_id ? sluice_find_stream(loop, to_id) : NULL;
    if (to_id && !to)
        return sluice_id_refusal(loop, to_id);
    if (to && (to->state & (STREAM_SHUTTING | STREAM_CLOSING)))
        return -EPIPE;
    if (!to) {
        if (from->extras && from->extras->forward_to) {
            unlink_from(loop, from);
            give_back(loop, from);
        }
        return 0;
    }
    code = sluice_output_settle(loop, to);
    if (code < 0)
        return code;
    if (!sluice_stream_extras(loop, from) || !sluice_stream_extras(loop, to))
        return SLUICE_ENOMEM;
    code = pass_held(loop, from, to);
    if (code < 0 || (to->state & STREAM_ENDED))
        return code; /* what has ended gives its CLOSED, and `from` its DATA */
    if (from->extras->forward_to)
        unlink_from(loop, from);
    from->extras->forward_to = to_id;
    from->extras->forward_next = to->extras->forward_from;
    to->extras->forward_from = sluice_id_index(from_id);
    hold_back(loop, from, (to->state & STREAM_THROTTLED) != 0);
    return 0;
}

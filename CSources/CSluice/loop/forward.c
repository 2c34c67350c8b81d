/* forward.c - a proxy's core: what one stream receives is written to another.
 *
 * If the other stream has nothing queued, the bytes go from the loop's receive buffer straight to
 * the kernel. If it has, they go into its queue. So nothing is copied while the receiver keeps up.
 * A stream that is forwarded stands in a list of the stream that it is forwarded to, so that each
 * learns of the other's end.
 *
 * When the other stream takes no more, what comes is the caller's again: bytes come as DATA, and
 * the end as EOF.
 *
 * Decided against: splice(2), which moves pages instead of copying bytes. For large amounts of data
 * it takes two thirds of the CPU time, or less (Benchmarks/report, "Much data"). But each direction
 * needs a pipe: two more descriptors, and up to 64 KiB of kernel memory that no limit of the loop
 * counts. The kernel makes these pipes smaller once a user has some 1,000. For messages it costs
 * one more system call. A program that only moves bulk data can watch its two sockets, and call
 * splice by itself.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>

static struct sluice_stream *target_of(const sluice_loop *loop, const struct sluice_stream *from) {
    if (!from->extras || !from->extras->forward_to)
        return NULL;
    return sluice_find_stream(loop, from->extras->forward_to);
}

bool sluice_forward_is_mutual(const sluice_loop *loop, const struct sluice_stream *stream) {
    const struct sluice_stream *to = target_of(loop, stream);
    return to && to->extras->forward_to == sluice_stream_id(loop, stream);
}

static bool takes_more(const struct sluice_stream *to) {
    return to && !(to->state & TAKES_NO_WRITE);
}

bool sluice_forward_pass(sluice_loop *loop, struct sluice_stream *from, const unsigned char *bytes,
                         size_t length) {
    struct sluice_stream *to = target_of(loop, from);
    if (!takes_more(to))
        return false;
    int code = sluice_output_write(loop, to, bytes, length);
    if (code >= 0)
        return true;
    /* If a send failed, that is the other stream's failure, and the bytes are the caller's. */
    if (to->state & OUTPUT_FAILED)
        return false;
    sluice_input_fail(loop, from, code);
    return true;
}

SLUICE_COLD bool sluice_forward_end_of_input(sluice_loop *loop, struct sluice_stream *from) {
    struct sluice_stream *to = target_of(loop, from);
    if (!takes_more(to))
        return false;
    to->state |= OUTPUT_FINISHING;
    sluice_stream_on_agenda(loop, to);
    /* What is forwarded to this stream may go on. So may what the caller writes, if the stream is
     * half-open. Otherwise there is no more to do. */
    if (from->extras->forward_from == SLUICE_NO_SLOT && !(from->state & STREAM_HALF_OPEN))
        from->state |= STREAM_CLOSE_NEXT;
    sluice_stream_on_agenda(loop, from);
    return true;
}

static void hold_back(sluice_loop *loop, struct sluice_stream *from, bool back) {
    if (back)
        from->state |= STREAM_HELD_BACK;
    else
        from->state &= ~(uint32_t)STREAM_HELD_BACK;
    sluice_stream_on_agenda(loop, from);
}

void sluice_forward_hold_back(sluice_loop *loop, struct sluice_stream *to, bool back) {
    uint32_t index = to->extras ? to->extras->forward_from : SLUICE_NO_SLOT;
    while (index != SLUICE_NO_SLOT) {
        struct sluice_stream *from = sluice_stream_at(loop, index);
        hold_back(loop, from, back);
        index = from->extras->forward_next;
    }
}

/* Nothing more comes to `to`, whose EOF was told, and which only stayed for that. Where what came
 * was a part, its end is the caller's to choose. */
static void close_what_stayed(sluice_loop *loop, struct sluice_stream *to) {
    bool told = (to->state & INPUT_ENDED) && !(to->state & NOTICE_EOF) && !to->extras->owes_eof;
    if (!told || to->extras->cut_off || to->extras->forward_from != SLUICE_NO_SLOT ||
        (to->state & (STREAM_HALF_OPEN | STREAM_ENDED)))
        return;
    to->state |= STREAM_CLOSE_NEXT;
    sluice_stream_on_agenda(loop, to);
}

/* Takes `from` out of the list of the stream that it is forwarded to. */
static void unlink_from(sluice_loop *loop, struct sluice_stream *from) {
    uint32_t self = sluice_stream_index(loop, from);
    struct sluice_stream *to = target_of(loop, from);
    from->extras->forward_to = 0;
    if (!to)
        return;
    uint32_t *link = &to->extras->forward_from;
    while (*link != self)
        link = &sluice_stream_at(loop, *link)->extras->forward_next;
    *link = from->extras->forward_next;
    if (to != from)
        close_what_stayed(loop, to);
}

/* `from` is the caller's again. The caller gets its data, or the end that it does not know of yet.
 * If the output ends too, CLOSED reports both. If the target has ended, that is reported first: an
 * EOF makes the loop close `from` in order, and its peer may have got only a part from that
 * target. */
static void give_back(sluice_loop *loop, struct sluice_stream *from, bool target_has_ended) {
    hold_back(loop, from, false);
    bool owed = from->extras->owes_eof;
    from->extras->owes_eof = false;
    if (!owed || (from->state & (OUTPUT_OVER | STREAM_CLOSING | STREAM_ENDED)))
        return;
    if (target_has_ended && (from->state & STREAM_TO_NOTIFY))
        from->extras->resumed = true; /* it may be in the list of this turn */
    sluice_stream_notify(loop, from, NOTICE_EOF, target_has_ended);
}

/* If `from` ends with an error, and not after its peer's end, what the other was sent is only a
 * part. */
static void cut_off(const sluice_loop *loop, const struct sluice_stream *from) {
    const struct sluice_stream *to = target_of(loop, from);
    if (to && from->error && !(from->state & INPUT_ENDED))
        to->extras->cut_off = true;
}

SLUICE_COLD void sluice_forward_end(sluice_loop *loop, struct sluice_stream *stream) {
    cut_off(loop, stream);
    if (stream->extras->forward_to)
        unlink_from(loop, stream);
    while (stream->extras->forward_from != SLUICE_NO_SLOT) {
        struct sluice_stream *from = sluice_stream_at(loop, stream->extras->forward_from);
        stream->extras->forward_from = from->extras->forward_next;
        from->extras->forward_to = 0;
        give_back(loop, from, true);
    }
}

/* What is held goes to the other stream, and its memory is freed. */
static int pass_held(sluice_loop *loop, struct sluice_stream *from, struct sluice_stream *to) {
    const unsigned char *held = sluice_held_again(loop, from);
    if (held) {
        int code = sluice_output_write(loop, to, held, from->extras->held);
        if (code < 0)
            return code;
    }
    sluice_held_release(loop, from);
    from->extras->awaited = 0;
    return 0;
}

static void forward_to_nobody(sluice_loop *loop, struct sluice_stream *from) {
    if (!from->extras || !from->extras->forward_to)
        return;
    unlink_from(loop, from);
    give_back(loop, from, false);
}

static void link_to(sluice_loop *loop, struct sluice_stream *from, struct sluice_stream *to) {
    if (from->extras->forward_to)
        unlink_from(loop, from);
    from->extras->forward_to = sluice_stream_id(loop, to);
    from->extras->forward_next = to->extras->forward_from;
    to->extras->forward_from = sluice_stream_index(loop, from);
    hold_back(loop, from, (to->state & STREAM_OVER_MARK) != 0);
    /* If the end has come before, it is passed on now, whether the caller knows of it or not. */
    if (!(from->state & INPUT_ENDED))
        return;
    if (from->state & NOTICE_EOF)
        from->extras->owes_eof = true;
    from->state &= ~(uint32_t)NOTICES_OF_INPUT;
    (void)sluice_forward_end_of_input(loop, from);
}

int sluice_forward(sluice_loop *loop, sluice_id from_id, sluice_id to_id) {
    int code;
    struct sluice_stream *from = sluice_called_stream(loop, from_id, &code);
    if (!from)
        return code;
    if (!to_id) {
        forward_to_nobody(loop, from);
        return 0;
    }
    struct sluice_stream *to = sluice_called_stream(loop, to_id, &code);
    if (!to)
        return code;
    if (!takes_more(to))
        return -EPIPE;
    code = sluice_output_settle(loop, to);
    if (code < 0)
        return code;
    if (!sluice_stream_extras(loop, from) || !sluice_stream_extras(loop, to))
        return SLUICE_ENOMEM;
    code = pass_held(loop, from, to);
    if (code == 0)
        link_to(loop, from, to);
    return code;
}

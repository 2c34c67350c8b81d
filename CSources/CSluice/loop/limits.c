/* limits.c - time limits: of connecting, idling, lingering. A stream has at most one deadline.
 *
 * Each limit counts from the call that sets it, by a fresh clock, and what came in time wins.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <poll.h>

#include "base/deadline.h"
#include "loop/lookups.h"

#define GRACE_NS (20 * NS_PER_MILLISECOND)

void sluice_stream_postpone_idle(sluice_loop *loop, struct sluice_stream *stream) {
    stream->state &= ~(uint32_t)STREAM_GRACE;
    if (!(stream->state & STREAM_CLOSING))
        sluice_deadline_move(loop, stream,
                             sluice_cohort_at(loop, stream->cohort)->idle_ms * NS_PER_MILLISECOND);
}

int sluice_stream_heed_idleness(sluice_loop *loop, struct sluice_stream *stream) {
    if (!(stream->state & INPUT_OVER) && sluice_stream_has_obstacle(stream)) {
        sluice_deadline_cancel(loop, stream);
        return 0;
    }
    return stream->deadline ? 0
                            : sluice_deadline_set(loop, stream,
                                                  sluice_cohort_at(loop, stream->cohort)->idle_ms *
                                                      NS_PER_MILLISECOND);
}

SLUICE_COLD int sluice_stream_linger(sluice_loop *loop, struct sluice_stream *stream) {
    return sluice_deadline_set(
        loop, stream, sluice_cohort_at(loop, stream->cohort)->linger_ms * NS_PER_MILLISECOND);
}

static bool is_ready(int fd, short events) {
    struct pollfd ready = {.fd = fd, .events = events};
    return poll(&ready, 1, 0) == 1 && !(ready.revents & POLLNVAL);
}

/* What came in time wins. It may not have been seen yet, if a wait brought only some of what was
 * ready. So the kernel is asked, and then the deadline comes again a little later. It does so only
 * once, since a number that names another file by now may be ready for ever. */
static bool came_in_time(const sluice_loop *loop, const struct sluice_stream *stream) {
    if (stream->state & STREAM_CLOSING)
        return false;
    if (stream->state & STREAM_CONNECTING)
        return sluice_stream_connects_by_name(stream) ? loop->lookups->has_outcome(stream)
                                                      : is_ready(stream->fd, POLLOUT);
    return !(stream->state & (INPUT_OVER | STREAM_NO_INPUT)) && is_ready(stream->fd, POLLIN);
}

SLUICE_COLD void sluice_stream_deadline(sluice_loop *loop, struct sluice_stream *stream) {
    if (!(stream->state & STREAM_GRACE) && came_in_time(loop, stream) &&
        sluice_deadline_set(loop, stream, GRACE_NS) == 0) {
        stream->state |= STREAM_GRACE;
        return;
    }
    /* When the linger limit comes, all has been handed to the kernel, or not. That decides whether
     * the end was an orderly one. */
    bool orderly = (stream->state & STREAM_CLOSING) && stream->output.length == 0;
    if (orderly)
        sluice_stream_received_end(loop, stream);
    else
        sluice_input_fail(loop, stream, -ETIMEDOUT);
}

SLUICE_COLD int sluice_deadline_set(sluice_loop *loop, struct sluice_stream *stream,
                                    int64_t after_ns) {
    if (stream->deadline) {
        sluice_deadline_move(loop, stream, after_ns);
        return 0;
    }
    uint32_t index = sluice_timers_add(&loop->deadlines, sluice_after(sluice_clock_ns(), after_ns),
                                       0, sluice_stream_id(loop, stream));
    if (index == SLUICE_NO_TIMER)
        return SLUICE_ENOMEM;
    stream->deadline = index + 1;
    return 0;
}

void sluice_deadline_move(sluice_loop *loop, struct sluice_stream *stream, int64_t after_ns) {
    if (!stream->deadline)
        return;
    sluice_timers_reset(&loop->deadlines, stream->deadline - 1,
                        sluice_after(sluice_clock_ns(), after_ns));
}

void sluice_deadline_cancel(sluice_loop *loop, struct sluice_stream *stream) {
    if (stream->deadline)
        sluice_timers_cancel(&loop->deadlines, stream->deadline - 1);
    stream->deadline = 0;
}

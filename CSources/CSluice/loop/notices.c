/* notices.c - events that do not come straight from a completion: CONNECTED, EOF, DRAINED, CLOSED,
 * and the DATA of held bytes at the end of the input, or at a resume.
 *
 * Each is a bit in its stream's state, and the stream stands in a list, so that an event that must
 * not be lost needs no memory when it arises. There are two lists. An event that comes from the
 * kernel is given in the turn that brought it. An event that comes from a call of the caller's,
 * such as the DRAINED of a queue that was written full and flushed, is given in the next turn. So a
 * caller who answers each DRAINED with more to send cannot keep a turn from ending.
 *
 * What a resumed stream holds is given at the end of that turn. So it comes joined with what the
 * kernel has, if it has any. If it were given at the beginning, the caller might hold it and pause
 * again before anything was received, and so on for ever.
 */
#include "base/platform.h"

#include "loop/loop.h"

static void append_stream(sluice_loop *loop, struct sluice_stream_list *list,
                          struct sluice_stream *stream) {
    uint32_t index = sluice_stream_index(loop, stream);
    stream->next_to_notify = SLUICE_NO_SLOT;
    if (list->first == SLUICE_NO_SLOT)
        list->first = index;
    else
        sluice_stream_at(loop, list->last)->next_to_notify = index;
    list->last = index;
}

void sluice_stream_notify(sluice_loop *loop, struct sluice_stream *stream, uint32_t notices,
                          bool later) {
    stream->state |= notices;
    if (stream->state & STREAM_TO_NOTIFY)
        return;
    stream->state |= STREAM_TO_NOTIFY;
    append_stream(loop, later ? &loop->later_notices : &loop->notices, stream);
    if (!later)
        loop->todo |= TODO(NOTICES);
}

void sluice_stream_tell_closed(sluice_loop *loop, struct sluice_stream *stream, uint32_t index,
                               sluice_event *event) {
    *event = (sluice_event){.kind = SLUICE_CLOSED,
                            .error = stream->error,
                            .id = sluice_id_of(SLUICE_KIND_STREAM, index, stream->slot.generation),
                            .user = stream->slot.user,
                            .length = stream->output.length,
                            .value = stream->state & INPUT_ENDED};
    if (stream->extras)
        sluice_stream_told_end(loop, stream);
    sluice_slots_give_back(&loop->streams, index, &stream->slot);
    if (loop->streams.living + 1 == loop->handle_limit) /* until now there was no handle for a
                                                         * caller */
        sluice_listeners_heed_room(loop);
}

/* Gives the stream's first notice, which is not CLOSED. */
static void give(sluice_loop *loop, struct sluice_stream *stream, uint32_t notice,
                 sluice_event *event) {
    stream->state &= ~notice;
    switch (notice) {
    case NOTICE_CONNECTED:
        event->kind = SLUICE_CONNECTED;
        break;
    case NOTICE_HELD:
        sluice_held_tell(loop, stream, event);
        event->value |= stream->state & INPUT_OVER ? SLUICE_LAST : 0;
        sluice_stream_on_agenda(loop, stream);
        break;
    case NOTICE_EOF:
        event->kind = SLUICE_EOF;
        sluice_stream_told_eof(loop, stream, sluice_id_index(event->id));
        break;
    default:
        event->kind = SLUICE_DRAINED;
    }
}

/* Deals with a connect that has failed in the call that began it: CLOSED follows. Returns whether
 * this is one. */
static SLUICE_COLD bool take_failed_connect(sluice_loop *loop, struct sluice_stream *stream,
                                            uint32_t notice) {
    if (notice != NOTICE_CONNECTED || !(stream->state & STREAM_CONNECTING))
        return false;
    stream->state &= ~(uint32_t)NOTICE_CONNECTED;
    sluice_input_fail(loop, stream, stream->error);
    return true;
}

/* The notices that may be given now. The input of a paused stream, and its end, wait for the
 * resume. */
static uint32_t due_notices(const struct sluice_stream *stream) {
    uint32_t notices = stream->state & NOTICES;
    return stream->state & STREAM_PAUSED ? notices & ~(uint32_t)NOTICES_OF_INPUT : notices;
}

/* Takes the first stream out of the list. */
static void take_out_first(sluice_loop *loop, struct sluice_stream *stream) {
    stream->state &= ~(uint32_t)STREAM_TO_NOTIFY;
    loop->notices.first = stream->next_to_notify;
}

/* The bytes that were to come again may have been forwarded since, or more may be waited for by
 * now. */
static void heed_held(sluice_loop *loop, struct sluice_stream *stream) {
    if (!(stream->state & NOTICE_HELD) || sluice_held_is_due(stream))
        return;
    stream->state &= ~(uint32_t)NOTICE_HELD;
    sluice_stream_on_agenda(loop, stream);
}

/* The first notice, or 0, of the first stream, which has extras and so may hold bytes. What is held
 * comes at the end of the turn, unless the input is over. If the stream was resumed within this
 * turn, it comes in the next one, and the end of the input behind it. */
static SLUICE_NOINLINE uint32_t notice_of_holder(sluice_loop *loop, struct sluice_stream *stream) {
    struct sluice_extras *extras = stream->extras;
    heed_held(loop, stream);
    uint32_t notices = due_notices(stream);
    bool to_end = !loop->tells_resumed && !(stream->state & INPUT_OVER) && !extras->resumed &&
                  (notices & NOTICE_HELD);
    if (extras->resumed)
        notices &= ~(uint32_t)NOTICES_OF_INPUT;
    else if (to_end)
        notices &= ~(uint32_t)NOTICE_HELD;
    if ((notices & (notices - 1)) != 0)
        return notices & -notices;
    take_out_first(loop, stream);
    if (extras->resumed) {
        extras->resumed = false;
        sluice_stream_notify(loop, stream, sluice_held_is_due(stream) ? NOTICE_HELD : 0, true);
    } else if (to_end) {
        stream->state |= STREAM_TO_NOTIFY;
        append_stream(loop, &loop->resumed, stream);
        loop->todo |= TODO(RESUMED);
    }
    return notices;
}

SLUICE_COLD void sluice_stream_tell_resumed(sluice_loop *loop) {
    loop->notices = loop->resumed; /* these are no longer in `resumed` */
    loop->resumed = SLUICE_EMPTY_LIST;
    loop->tells_resumed = true;
    loop->todo |= TODO(NOTICES);
}

/* Deals with the first stream. Returns whether that gives an event. */
static bool notice_of_first(sluice_loop *loop, sluice_event *event) {
    uint32_t index = loop->notices.first;
    struct sluice_stream *stream = sluice_stream_at(loop, index);
    uint32_t notice;
    if (stream->state & STREAM_EXTRAS) {
        notice = notice_of_holder(loop, stream);
    } else {
        uint32_t notices = due_notices(stream);
        notice = notices & -notices;
        if (notice == notices)
            take_out_first(loop, stream);
    }
    if (notice == 0 || take_failed_connect(loop, stream, notice))
        return false;
    if (notice == NOTICE_CLOSED) {
        sluice_stream_tell_closed(loop, stream, index, event);
        return true;
    }
    *event = (sluice_event){.id = sluice_stream_id(loop, stream), .user = stream->slot.user};
    give(loop, stream, notice, event);
    return true;
}

bool sluice_stream_notice(sluice_loop *loop, sluice_event *event) {
    bool is_event = false;
    while (!is_event && loop->notices.first != SLUICE_NO_SLOT)
        is_event = notice_of_first(loop, event);
    if (loop->notices.first == SLUICE_NO_SLOT)
        loop->todo &= ~TODO(NOTICES);
    return is_event;
}

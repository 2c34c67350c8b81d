/* held.c - data that is lent to the caller for one pull, and bytes that it wants again.
 *
 * Data is lent from the loop's receive buffer. What the caller holds of it is copied into a block
 * of the stream's own. What comes next is received as always and appended there, and then the block
 * is what is lent. The block grows by doubling, so a frame that arrives in a thousand pieces is
 * copied twice and not a thousand times. It is freed as soon as nothing is held.
 *
 * A caller may know how many bytes it waits for. Until they are there no event is made of them, so
 * that a large frame is looked at once and not after each receive. If the input fails while some of
 * them have been in no event, they are given to the caller before the failure (stream.c).
 *
 * A caller that has no room for its answers holds the bytes and pauses the stream. When it resumes
 * the stream, the bytes come again. They come as a notice (notices.c) in the next turn. If they
 * came in the same turn, a caller who always does this would keep the turn from ending.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <string.h>

static void note_lent(sluice_loop *loop, struct sluice_stream *stream, sluice_id id,
                      const unsigned char *bytes, size_t length) {
    stream->slot.own = loop->lent_count;
    loop->todo |= TODO_TAKE_BACK;
    loop->lent[loop->lent_count++] =
        (struct sluice_lent){.id = id, .bytes = bytes, .length = length};
}

void sluice_held_tell(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event) {
    struct sluice_extras *extras = stream->extras;
    event->kind = SLUICE_DATA;
    event->error = 0;
    event->data = extras->held_bytes;
    event->length = extras->held;
    event->user = stream->slot.user;
    event->value = (uint64_t)extras->told << 1;
    extras->awaited = 0;
    extras->told = extras->held;
    extras->resumed = false;
    stream->state &= ~(uint32_t)NOTICE_HELD;
    loop->lent_of_held = true;
    note_lent(loop, stream, event->id, extras->held_bytes, extras->held);
}

bool sluice_held_is_due(const struct sluice_stream *stream) {
    const struct sluice_extras *extras = stream->extras;
    if (!extras || extras->held == 0 || (stream->state & STREAM_CLOSING))
        return false;
    return (stream->state & INPUT_OVER) || extras->held >= extras->awaited;
}

void sluice_held_resume(sluice_loop *loop, struct sluice_stream *stream) {
    if ((stream->state & NOTICE_HELD) || !sluice_held_is_due(stream) ||
        !sluice_held_again(loop, stream))
        return;
    if (stream->state & STREAM_TO_NOTIFY)
        stream->extras->resumed = true; /* it may be in the list of this turn */
    else
        sluice_stream_notify(loop, stream, NOTICE_HELD, true);
}

void sluice_lend_block(sluice_loop *loop, void *block, size_t length) {
    loop->lent_of_held = true;
    loop->todo |= TODO_TAKE_BACK;
    loop->lent[loop->lent_count++] =
        (struct sluice_lent){.bytes = (const unsigned char *)block, .length = length};
}

void sluice_lend_answerable(sluice_loop *loop) {
    if (!loop->answerable)
        return;
    struct sluice_stream *stream = sluice_stream_at(loop, sluice_id_index(loop->answerable));
    note_lent(loop, stream, loop->answerable, loop->answerable_bytes, loop->answerable_length);
    sluice_nothing_answerable(loop);
}

/* What the caller does not hold again is dropped. What it holds again moves to the front of its
 * block. After the last event of an input that is over nothing comes again, except at the resume
 * from a pause. */
static void take_back(sluice_loop *loop, struct sluice_stream *stream,
                      const struct sluice_lent *lent) {
    struct sluice_extras *extras = stream->extras;
    bool comes_again = (stream->state & (NOTICE_HELD | STREAM_PAUSED)) || extras->resumed;
    bool was_last = (stream->state & INPUT_OVER) && !comes_again;
    if (!(stream->state & STREAM_REHELD) || was_last) /* what is waited for is waited for still */
        sluice_held_release(loop, stream);
    else if (lent->bytes == extras->held_bytes)
        memmove(extras->held_bytes, extras->held_bytes + (lent->length - extras->held),
                extras->held);
    stream->state &= ~(uint32_t)STREAM_REHELD;
}

void sluice_lent_take_back(sluice_loop *loop) {
    uint32_t count = loop->lent_count;
    loop->lent_count = 0;
    loop->todo &= ~TODO_TAKE_BACK;
    if (!loop->lent_of_held)
        return;
    loop->lent_of_held = false;
    for (uint32_t i = 0; i < count; i++) {
        if (loop->lent[i].id == 0) {
            sluice_free(&loop->allocator, (void *)(uintptr_t)loop->lent[i].bytes);
            continue;
        }
        struct sluice_stream *stream = sluice_find_stream(loop, loop->lent[i].id);
        if (stream && stream->extras)
            take_back(loop, stream, &loop->lent[i]);
    }
    if (loop->keeping)
        loop->keeping->end_events(loop, count);
}

struct sluice_lent *sluice_lent_by(const sluice_loop *loop, const struct sluice_stream *stream) {
    if (stream->slot.own >= loop->lent_count)
        return NULL;
    struct sluice_lent *lent = &loop->lent[stream->slot.own];
    return lent->id == sluice_stream_id(loop, stream) ? lent : NULL;
}

bool sluice_lent_is_held(const struct sluice_stream *stream, const struct sluice_lent *lent) {
    return stream->extras && lent->bytes == stream->extras->held_bytes;
}

void sluice_held_release(sluice_loop *loop, struct sluice_stream *stream) {
    struct sluice_extras *extras = stream->extras;
    struct sluice_lent *lent = sluice_lent_by(loop, stream);
    loop->held_memory -= extras->held_capacity;
    if (lent && extras->held_bytes && lent->bytes == extras->held_bytes)
        lent->id = 0; /* freed when it is taken back */
    else
        sluice_free(&loop->allocator, extras->held_bytes);
    extras->held_bytes = NULL;
    extras->held_capacity = 0;
    extras->held = 0;
    extras->told = 0;
    extras->resumed = false;
    stream->state &= ~(uint32_t)(STREAM_REHELD | NOTICE_HELD);
}

const unsigned char *sluice_held_again(const sluice_loop *loop,
                                       const struct sluice_stream *stream) {
    const struct sluice_extras *extras = stream->extras;
    const struct sluice_lent *lent = sluice_lent_by(loop, stream);
    if (extras->held == 0)
        return NULL;
    if (!lent || lent->bytes != extras->held_bytes)
        return extras->held_bytes;
    /* They are in the event, and belong to the caller, except those that it holds again. */
    if (!(stream->state & STREAM_REHELD))
        return NULL;
    return lent->bytes + (lent->length - extras->held);
}

/* The capacity for `length` bytes: twice as much as before, but no more than the bytes that are
 * waited for and what can come together with the last of them. */
static size_t next_capacity(const sluice_loop *loop, const struct sluice_extras *extras,
                            size_t length) {
    size_t capacity = extras->held_capacity * 2 > length ? extras->held_capacity * 2 : length;
    size_t most = extras->awaited + loop->receive_size;
    return extras->awaited > 0 && most >= length && most < capacity ? most : capacity;
}

static SLUICE_COLD int make_room_to_hold(sluice_loop *loop, struct sluice_extras *extras,
                                         size_t length) {
    if (length == 0 || (extras->held_bytes && length <= extras->held_capacity))
        return 0;
    size_t capacity = next_capacity(loop, extras, length);
    size_t growth = capacity - extras->held_capacity;
    size_t used = sluice_loop_memory(loop);
    if (used > loop->memory_limit || growth > loop->memory_limit - used)
        return SLUICE_EFULL;
    unsigned char *grown = SLUICE_RESIZE(&loop->allocator, extras->held_bytes, capacity);
    if (!grown)
        return SLUICE_ENOMEM;
    extras->held_bytes = grown;
    extras->held_capacity = capacity;
    loop->held_memory += growth;
    return 0;
}

enum sluice_received_as sluice_held_receive(sluice_loop *loop, struct sluice_stream *stream,
                                            sluice_event *event) {
    struct sluice_extras *extras = stream->extras;
    if (extras->held == 0 && event->length >= extras->awaited) {
        extras->awaited = 0;
        return SLUICE_RECEIVED_BYTES;
    }
    int code = make_room_to_hold(loop, extras, extras->held + event->length);
    if (code < 0) {
        sluice_input_fail(loop, stream, code);
        return SLUICE_RECEIVED_NOTHING;
    }
    memcpy(extras->held_bytes + extras->held, event->data, event->length);
    extras->held += event->length;
    if (extras->held < extras->awaited)
        return SLUICE_RECEIVED_NOTHING;
    sluice_held_tell(loop, stream, event);
    return SLUICE_RECEIVED_MORE;
}

int sluice_held_give(sluice_loop *loop, struct sluice_stream *stream,
                     const struct sluice_lent *lent, size_t *size) {
    struct sluice_extras *extras = stream->extras;
    unsigned char *given = extras->held_bytes;
    size_t again = stream->state & STREAM_REHELD ? extras->held : 0;
    *size = extras->held_capacity;
    extras->held_bytes = NULL;
    extras->held_capacity = 0;
    if (again == 0) {
        extras->held = extras->told = 0;
        return 0;
    }
    int code = make_room_to_hold(loop, extras, again);
    if (code < 0) {
        extras->held_bytes = given;
        extras->held_capacity = *size;
        return code;
    }
    memcpy(extras->held_bytes, lent->bytes + (lent->length - again), again);
    return 0;
}

int sluice_hold(sluice_loop *loop, sluice_id id, size_t length) {
    return sluice_hold_until(loop, id, length, 0);
}

int sluice_hold_until(sluice_loop *loop, sluice_id id, size_t length, size_t total) {
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    sluice_lend_answerable(loop);
    const struct sluice_lent *lent = sluice_lent_by(loop, stream);
    if (!lent)
        return SLUICE_ESTATE;
    if (length > lent->length)
        return SLUICE_ECAPACITY;
    if (length > loop->hard_limit || total > loop->hard_limit)
        return SLUICE_EFULL;
    struct sluice_extras *extras = sluice_stream_extras(loop, stream);
    if (!extras)
        return SLUICE_ENOMEM;
    /* Bytes that are held already move to the front at the next pull. Until then they are the
     * event's data, too. */
    if (!extras->held_bytes || lent->bytes != extras->held_bytes) {
        code = make_room_to_hold(loop, extras, length);
        if (code < 0)
            return code;
        if (length > 0)
            memcpy(extras->held_bytes, lent->bytes + (lent->length - length), length);
    }
    extras->held = extras->told = length;
    extras->awaited = total > length ? total : 0;
    loop->lent_of_held = true;
    if (length > 0)
        stream->state |= STREAM_REHELD;
    else
        stream->state &= ~(uint32_t)STREAM_REHELD;
    return 0;
}

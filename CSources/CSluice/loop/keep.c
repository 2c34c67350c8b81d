/* keep.c - bytes of an event that the caller keeps, where they lie, beyond the next pull.
 *
 * They are not copied. The receive buffer that they lie in is left to the caller, and the loop goes
 * on with another. The events of one pull share a buffer, so it is reference-counted: one reference
 * for each event that is kept, and one for all events of the pull until the next pull. By then a
 * write of the bytes that was put off (output.c) has been sent. With the last reference the buffer
 * is freed, or put with a few spare ones, so that keeping and returning in turn allocate nothing.
 * Bytes that were joined with held ones are in a block of their stream (held.c), and that block
 * becomes the caller's.
 *
 * What the caller is given is not an address, but a slot and a generation, as in an id. So
 * something that was returned before, or was never kept, is refused without a look at memory that
 * may not be there.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <limits.h>

#define MOST_SPARES 8

/* The lower half of a name's bits is the slot, the upper half the generation. */
#define HALF_OF_NAME (sizeof(uintptr_t) * CHAR_BIT / 2)
#define SLOT_OF_NAME (UINTPTR_MAX >> HALF_OF_NAME)
#define MOST_KEPT (SLOT_OF_NAME < SLUICE_INDEX_LIMIT ? (uint32_t)SLOT_OF_NAME : SLUICE_INDEX_LIMIT)

/* ---- Receive buffers ------------------------------------------------------------------------- */

static struct sluice_kept *kept_at(const sluice_loop *loop, uint32_t index) {
    return (struct sluice_kept *)sluice_slots_at(&loop->kept, index);
}

/* The buffer stays as it is for the events of this pull, and the next receive goes into another
 * one. */
static int change_buffer(sluice_loop *loop) {
    size_t used = sluice_loop_memory(loop);
    if (used > loop->memory_limit || loop->receive_size > loop->memory_limit - used)
        return SLUICE_EFULL;
    struct sluice_buffer *buffer = loop->spare ? loop->spare : sluice_make_buffer(loop);
    if (!buffer)
        return SLUICE_ENOMEM;
    if (buffer == loop->spare) {
        loop->spare = buffer->next;
        loop->spares--;
    }
    loop->held_memory += loop->receive_size;
    loop->kept_buffer = loop->receiving;
    loop->kept_buffer->references = 1;
    loop->receiving = buffer;
    loop->receive_bytes = buffer->bytes;
    return 0;
}

static void let_go_of_buffer(sluice_loop *loop, struct sluice_buffer *buffer) {
    if (--buffer->references > 0)
        return;
    loop->held_memory -= loop->receive_size;
    if (loop->spares == MOST_SPARES) {
        sluice_free(&loop->allocator, buffer);
        return;
    }
    buffer->next = loop->spare;
    loop->spare = buffer;
    loop->spares++;
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static uintptr_t name_of(const sluice_loop *loop, const struct sluice_kept *kept) {
    return (uintptr_t)kept->slot.generation << HALF_OF_NAME | sluice_slots_index(&loop->kept, kept);
}

/* The kept bytes that have this name and have not been returned, or NULL. */
static struct sluice_kept *find_kept(const sluice_loop *loop, uintptr_t name) {
    uintptr_t index = name & SLOT_OF_NAME;
    if (index >= loop->kept.used)
        return NULL;
    struct sluice_kept *kept = kept_at(loop, (uint32_t)index);
    return sluice_slot_lives(&kept->slot) && name_of(loop, kept) == name ? kept : NULL;
}

static int keep_buffer(sluice_loop *loop, struct sluice_kept *kept) {
    int code = loop->kept_buffer ? 0 : change_buffer(loop);
    if (code < 0)
        return code;
    kept->buffer = loop->kept_buffer;
    kept->buffer->references++;
    return 0;
}

static int keep_block(sluice_loop *loop, struct sluice_stream *stream,
                      const struct sluice_lent *lent, struct sluice_kept *kept) {
    kept->block = stream->extras->held_bytes;
    kept->slot.own = (uint32_t)(lent - loop->lent);
    return sluice_held_give(loop, stream, lent, &kept->size);
}

/* If the event of a block is still valid, the block is freed when the event ends. */
static void return_block(sluice_loop *loop, const struct sluice_kept *kept) {
    loop->held_memory -= kept->size;
    uint32_t place = kept->slot.own;
    if (place < loop->lent_count && loop->lent[place].bytes == kept->block)
        loop->lent[place].returned = true;
    else
        sluice_free(&loop->allocator, kept->block);
}

static void end_kept(sluice_loop *loop, struct sluice_kept *kept) {
    if (kept->buffer)
        let_go_of_buffer(loop, kept->buffer);
    else
        return_block(loop, kept);
    sluice_slots_end(&loop->kept, sluice_slots_index(&loop->kept, kept));
}

static void end_events(sluice_loop *loop, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (loop->lent[i].returned)
            sluice_free(&loop->allocator, (void *)(uintptr_t)loop->lent[i].bytes);
    if (loop->kept_buffer)
        let_go_of_buffer(loop, loop->kept_buffer);
    loop->kept_buffer = NULL;
}

static void deinit_keeping(sluice_loop *loop) {
    for (uint32_t i = 0; i < loop->kept.used; i++) {
        struct sluice_kept *kept = kept_at(loop, i);
        if (sluice_slot_lives(&kept->slot))
            end_kept(loop, kept);
    }
    sluice_slots_deinit(&loop->kept, &loop->allocator);
    while (loop->spare) {
        struct sluice_buffer *spare = loop->spare;
        loop->spare = spare->next;
        sluice_free(&loop->allocator, spare);
    }
}

static const struct sluice_keep_operations operations = {.end_events = end_events,
                                                         .deinit = deinit_keeping};

/* ---- Calls ----------------------------------------------------------------------------------- */

int sluice_keep(sluice_loop *loop, sluice_id id, void **name) {
    if (name)
        *name = NULL;
    int code;
    struct sluice_stream *stream = sluice_called_stream(loop, id, &code);
    if (!stream)
        return code;
    if (!name)
        return SLUICE_ENULL;
    sluice_lend_answerable(loop);
    struct sluice_lent *lent = sluice_lent_by(loop, stream);
    if (!lent || lent->kept)
        return SLUICE_ESTATE;
    if (!loop->keeping) {
        sluice_slots_init(&loop->kept, sizeof(struct sluice_kept), MOST_KEPT);
        loop->keeping = &operations;
    }
    uint32_t index = sluice_slots_begin(&loop->kept, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    struct sluice_kept *kept = kept_at(loop, index);
    *kept = (struct sluice_kept){.slot = kept->slot};
    code = sluice_lent_is_held(stream, lent) ? keep_block(loop, stream, lent, kept)
                                             : keep_buffer(loop, kept);
    if (code < 0) {
        sluice_slots_end(&loop->kept, index);
        return code;
    }
    lent->kept = true;
    loop->lent_of_held = true;
    *name = (void *)name_of(loop, kept);
    return 0;
}

int sluice_return(sluice_loop *loop, void *name) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!name)
        return SLUICE_ENULL;
    struct sluice_kept *kept = find_kept(loop, (uintptr_t)name);
    if (!kept)
        return SLUICE_ESTALE;
    end_kept(loop, kept);
    return 0;
}

/* queue_public.c - the byte queue of queue.h for the caller's own use, with its arguments checked.
 *
 * Each public queue has a pool of its own. A move hands chunks from one account to the other.
 * Nothing is locked or reference-counted, and each queue keeps to its own limit. Decided against
 * one pool for all: it would be a global, and one queue could use up another's limit.
 */
#include "base/platform.h"

#include <sys/uio.h>

#include "bytes/queue.h"

/* How many chunks, 64 KiB in all, are kept while a queue is emptied and filled again. */
#define RETAINED 16

static_assert(SLUICE_QUEUE_RESERVE_MAX <= SLUICE_CHUNK_ROOM, "what is promised fits in a chunk");

/* A caller may hand slices to writev(2). */
static_assert(sizeof(sluice_slice) == sizeof(struct iovec), "a slice is an iovec");
static_assert(offsetof(sluice_slice, bytes) == offsetof(struct iovec, iov_base), "a slice is one");
static_assert(offsetof(sluice_slice, length) == offsetof(struct iovec, iov_len), "a slice is one");

int sluice_queue_init(sluice_queue **result, size_t limit) {
    if (!result)
        return SLUICE_ENULL;
    sluice_queue *queue = SLUICE_NEW(&sluice_libc_allocator, 1, sluice_queue);
    *result = queue;
    if (!queue)
        return SLUICE_ENOMEM;
    *queue = (sluice_queue){.reserved = 0};
    sluice_chunk_pool_init(&queue->pool, &sluice_libc_allocator, limit, RETAINED);
    return 0;
}

void sluice_queue_destroy(sluice_queue *queue) {
    if (!queue)
        return;
    sluice_bytes_clear(&queue->pool, &queue->bytes);
    sluice_chunk_pool_deinit(&queue->pool);
    sluice_free(&sluice_libc_allocator, queue);
}

int sluice_queue_append(sluice_queue *queue, const void *bytes, size_t length) {
    if (!queue || (!bytes && length > 0))
        return SLUICE_ENULL;
    queue->reserved = 0;
    return sluice_bytes_append(&queue->pool, &queue->bytes, bytes, length);
}

int sluice_queue_reserve(sluice_queue *queue, size_t at_least, void **bytes, size_t *room) {
    if (!queue || !bytes || !room)
        return SLUICE_ENULL;
    *bytes = NULL;
    *room = 0;
    queue->reserved = 0;
    if (at_least < 1 || at_least > SLUICE_QUEUE_RESERVE_MAX)
        return SLUICE_ECAPACITY;
    int code = sluice_bytes_reserve(&queue->pool, &queue->bytes, at_least, bytes, room);
    queue->reserved = *room;
    return code;
}

int sluice_queue_commit(sluice_queue *queue, size_t length) {
    if (!queue)
        return SLUICE_ENULL;
    if (length > queue->reserved)
        return SLUICE_ECAPACITY;
    sluice_bytes_commit(&queue->bytes, length);
    queue->reserved = 0;
    return 0;
}

int sluice_queue_peek(const sluice_queue *queue, sluice_slice *slices, int count) {
    if (!queue || !slices)
        return SLUICE_ENULL;
    if (count < 1)
        return SLUICE_ECAPACITY;
    int filled = 0;
    size_t left = queue->bytes.length;
    for (const struct sluice_chunk *chunk = queue->bytes.first; left > 0 && filled < count;
         chunk = chunk->next) {
        size_t length = sluice_chunk_held(chunk);
        slices[filled++] = (sluice_slice){chunk->bytes + chunk->begin, length};
        left -= length;
    }
    return filled;
}

int sluice_queue_consume(sluice_queue *queue, size_t length) {
    if (!queue)
        return SLUICE_ENULL;
    if (length > queue->bytes.length)
        return SLUICE_ECAPACITY;
    queue->reserved = 0;
    sluice_bytes_consume(&queue->pool, &queue->bytes, length);
    return 0;
}

/* The chunks that go whole are counted as those of `to` first. If they then stay after all, they
 * are counted back. It is a function of its own so that the move of a whole chain saves no
 * registers. */
static SLUICE_NOINLINE ptrdiff_t move_part(sluice_queue *to, sluice_queue *from, size_t most) {
    size_t whole = sluice_bytes_whole_chunks(&from->bytes, most);
    if (!sluice_chunk_pool_adopt(&to->pool, &from->pool, whole))
        return SLUICE_EFULL;
    ptrdiff_t moved = sluice_bytes_move_part(&to->pool, &to->bytes, &from->bytes, most);
    if (moved < 0)
        (void)sluice_chunk_pool_adopt(&from->pool, &to->pool, whole);
    return moved;
}

ptrdiff_t sluice_queue_move(sluice_queue *to, sluice_queue *from, size_t most) {
    if (!to || !from)
        return SLUICE_ENULL;
    if (to == from || from->bytes.length == 0)
        return 0;
    to->reserved = 0;
    from->reserved = 0;
    if (most < from->bytes.length)
        return move_part(to, from, most);
    if (!sluice_chunk_pool_adopt(&to->pool, &from->pool, sluice_chunk_pool_in_use(&from->pool)))
        return SLUICE_EFULL;
    return sluice_bytes_join(&to->pool, &to->bytes, &from->bytes);
}

size_t sluice_queue_length(const sluice_queue *queue) {
    return queue ? queue->bytes.length : 0;
}

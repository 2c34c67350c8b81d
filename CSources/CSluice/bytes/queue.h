/* queue.h - a queue of bytes: a chain of chunks, filled at its end and emptied at its beginning.
 *
 * The functions take the pool that the queue's chunks come from and go to. So a queue is no more
 * than 24 bytes, and an empty one holds no chunk. The functions trust their arguments: what a
 * caller can get wrong is checked in queue_public.c. What a stream does for each event is inline.
 */
#ifndef SLUICE_QUEUE_H
#define SLUICE_QUEUE_H

#include "base/platform.h"

#include <assert.h>
#include <string.h>
#include <sys/uio.h>

#include "bytes/chunks.h"

/* Invariants: first and last are both NULL or both not, and last->next is NULL. `length` is what
 * the chunks hold together. No chunk is empty, except that the last one may be, if a reservation
 * put it there; it then begins at 0. All zeros is an empty queue. */
struct sluice_bytes {
    struct sluice_chunk *first;
    struct sluice_chunk *last;
    size_t length;
};

static_assert(sizeof(struct sluice_bytes) <= 24, "each stream has one");

/* Room behind the last byte, in its chunk. */
static inline size_t sluice_bytes_room(const struct sluice_bytes *queue) {
    return queue->last ? SLUICE_CHUNK_ROOM - queue->last->end : 0;
}

/* The append that needs another chunk, or that appends nothing. */
SLUICE_INTERNAL int sluice_bytes_append_long(struct sluice_chunk_pool *pool,
                                             struct sluice_bytes *queue, const void *source,
                                             size_t length);

/* Copies `length` bytes behind the others. They may be the queue's own. Returns 0; or SLUICE_EFULL
 * if the pool's limit has no room for them all, or SLUICE_ENOMEM, and the queue is unchanged. */
static inline int sluice_bytes_append(struct sluice_chunk_pool *pool, struct sluice_bytes *queue,
                                      const void *bytes, size_t length) {
    struct sluice_chunk *last = queue->last;
    /* A length of 0 wraps, and goes the long way too. */
    if (!last || length - 1 >= SLUICE_CHUNK_ROOM - last->end)
        return sluice_bytes_append_long(pool, queue, bytes, length);
    unsigned char *room = last->bytes + last->end;
    last->end += (uint32_t)length;
    queue->length += length;
    memcpy(room, bytes, length);
    return 0;
}

/* Reserves room behind the bytes, in one piece, for the caller to write into and commit. That is
 * *room bytes at *bytes, `at_least` or more; `at_least` is 1 to SLUICE_CHUNK_ROOM. The reservation
 * stands until the next call that changes the queue. If it is not used, the queue may be left with
 * an empty chunk, which sluice_bytes_clear gives back. Errors: those of sluice_bytes_append. */
SLUICE_INTERNAL int sluice_bytes_reserve(struct sluice_chunk_pool *pool, struct sluice_bytes *queue,
                                         size_t at_least, void **bytes, size_t *room);

/* Appends the first `length` bytes of the room that was reserved last, and no more than was
 * reserved. */
static inline void sluice_bytes_commit(struct sluice_bytes *queue, size_t length) {
    if (length > 0) {
        queue->last->end += (uint32_t)length;
        queue->length += length;
    }
}

/* Points at most `count` elements, from iov[0] on, to at most `most` of the first bytes (0 for
 * none, SIZE_MAX for all). Returns how many elements were filled; none is empty. They are valid
 * until bytes are consumed or moved. */
SLUICE_INTERNAL int sluice_bytes_peek(const struct sluice_bytes *queue, struct iovec *iov,
                                      int count, size_t most);

/* Takes away all bytes. */
SLUICE_INTERNAL void sluice_bytes_clear(struct sluice_chunk_pool *pool, struct sluice_bytes *queue);

/* Takes away the first `length` bytes, or all if there are fewer. */
static inline void sluice_bytes_consume(struct sluice_chunk_pool *pool, struct sluice_bytes *queue,
                                        size_t length) {
    if (length >= queue->length) {
        sluice_bytes_clear(pool, queue);
        return;
    }
    struct sluice_chunk *first = queue->first;
    struct sluice_chunk *chunk = first;
    struct sluice_chunk *drained = NULL;
    size_t count = 0;
    queue->length -= length;
    for (; length >= sluice_chunk_held(chunk); chunk = chunk->next) {
        length -= sluice_chunk_held(chunk);
        drained = chunk;
        count++;
    }
    chunk->begin += (uint32_t)length;
    queue->first = chunk;
    if (drained)
        sluice_chunk_give_chain(pool, first, drained, count);
}

/* Move the first bytes of `from` behind those of `to`, and return how many. sluice_bytes_join moves
 * all of them, and `from` must not be empty. sluice_bytes_move_part moves `most` bytes, fewer than
 * there are. Whole chunks change hands. Bytes are copied in two places only. If a chunk goes in
 * part, the bytes that go are copied. The bytes of the first chunk are copied if they are few and
 * fit behind the last byte of `to`, since forwarding small messages must not take a chunk for each.
 * Moving all bytes is O(1), a part O(chunks). `to` and `from` may have their chunks from two pools.
 * Then the caller has made `pool`, which is the pool of `to`, adopt the whole chunks before.
 * Errors: SLUICE_EFULL or SLUICE_ENOMEM, only if a part of a chunk goes, and then nothing has
 * moved. */
SLUICE_INTERNAL ptrdiff_t sluice_bytes_join(struct sluice_chunk_pool *pool, struct sluice_bytes *to,
                                            struct sluice_bytes *from);
SLUICE_INTERNAL ptrdiff_t sluice_bytes_move_part(struct sluice_chunk_pool *pool,
                                                 struct sluice_bytes *to, struct sluice_bytes *from,
                                                 size_t most);

/* How many chunks go whole when the first `most` bytes are moved. O(that number). */
SLUICE_INTERNAL size_t sluice_bytes_whole_chunks(const struct sluice_bytes *queue, size_t most);

/* What a public queue is. Invariant: `reserved` is no more than the room behind the last byte, and
 * 0 unless the last call that changed the queue was a reservation. */
struct sluice_queue {
    struct sluice_chunk_pool pool;
    struct sluice_bytes bytes;
    size_t reserved;
};

#endif

/* queue.h - a queue of bytes: a chain of chunks, filled at its end and emptied at its beginning.
 *
 * The functions take the pool that the queue's chunks come from and go to, so that a queue is no
 * more than 24 bytes, and an empty one holds no chunk. They trust their arguments: what a caller
 * can get wrong is checked in queue_public.c. What a stream does for each event is inline.
 */
#ifndef SLUICE_QUEUE_H
#define SLUICE_QUEUE_H

#include "base/platform.h"

#include <assert.h>
#include <string.h>
#include <sys/uio.h>

#include "bytes/chunks.h"

/* Invariants: first and last are both NULL or both not, and last->next is NULL; `length` is what
 * the chunks hold together; none of them is empty, save that the last may be, and then begins at 0,
 * where a reservation put it there. All zeros is an empty queue. */
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

/* The append that needs another chunk; or of nothing. */
SLUICE_INTERNAL int sluice_bytes_append_long(struct sluice_chunk_pool *pool,
                                             struct sluice_bytes *queue, const void *source,
                                             size_t length);

/* Copies `length` bytes behind the others; they may be the queue's own. 0; or SLUICE_EFULL where
 * the pool's limit has no room for them all, or SLUICE_ENOMEM, and the queue is unchanged. */
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

/* Room behind the bytes in one piece, for the caller to write into and commit: *room bytes at
 * *bytes, `at_least` or more, which is 1 to SLUICE_CHUNK_ROOM. It stands until the next call that
 * changes the queue. A reservation that comes to nothing may leave the queue holding an empty
 * chunk, which sluice_bytes_clear gives back. Errors as of sluice_bytes_append. */
SLUICE_INTERNAL int sluice_bytes_reserve(struct sluice_chunk_pool *pool, struct sluice_bytes *queue,
                                         size_t at_least, void **bytes, size_t *room);

/* Appends the first `length` bytes of the room reserved last; no more than that was. */
static inline void sluice_bytes_commit(struct sluice_bytes *queue, size_t length) {
    if (length > 0) {
        queue->last->end += (uint32_t)length;
        queue->length += length;
    }
}

/* Points iov[0] and on, `count` of them at most, to the first bytes, `most` of them at most (0 for
 * none, SIZE_MAX for all). Returns how many were filled; none is empty. They stand until bytes are
 * consumed or moved. */
SLUICE_INTERNAL int sluice_bytes_peek(const struct sluice_bytes *queue, struct iovec *iov,
                                      int count, size_t most);

/* Takes away all. */
SLUICE_INTERNAL void sluice_bytes_clear(struct sluice_chunk_pool *pool, struct sluice_bytes *queue);

/* Takes away the first `length` bytes; no more than there are. */
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

/* Move the first bytes of `from` behind those of another queue, and return how many: all of them,
 * where there are any, or `most`, fewer than there are. Whole chunks change hands; copied are the
 * bytes of a chunk that stays behind with others of its bytes, and those of the first chunk where
 * they are few and fit behind the last byte of `to`, since forwarding small messages must not take
 * a chunk for each. All of them go in O(1), a part in O(chunks). `to` and `from` may have their
 * chunks from two pools; then the caller has had `pool`, which is that of `to`, adopt the whole
 * chunks. SLUICE_EFULL or SLUICE_ENOMEM, only where a part of a chunk goes, and then nothing has
 * moved. */
SLUICE_INTERNAL ptrdiff_t sluice_bytes_join(struct sluice_chunk_pool *pool, struct sluice_bytes *to,
                                            struct sluice_bytes *from);
SLUICE_INTERNAL ptrdiff_t sluice_bytes_move_part(struct sluice_chunk_pool *pool,
                                                 struct sluice_bytes *to, struct sluice_bytes *from,
                                                 size_t most);

/* How many chunks go whole when the first `most` bytes are moved. O(that). */
SLUICE_INTERNAL size_t sluice_bytes_whole_chunks(const struct sluice_bytes *queue, size_t most);

/* What a public queue is. Invariant: `reserved` is no more than the room behind the last byte, and
 * 0 unless the last call that changed the queue was a reservation. */
struct sluice_queue {
    struct sluice_chunk_pool pool;
    struct sluice_bytes bytes;
    size_t reserved;
};

#endif

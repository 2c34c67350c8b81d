/* chunks.h - equal pieces of memory for byte queues, from a bounded pool.
 *
 * A chunk has room for 4 KiB behind a header of 16 bytes. Measured: handing 64 KiB to the kernel in
 * 16 pieces of 4 KiB costs the same as in one piece over TCP, and 9 % more over a unix socket (in 4
 * pieces of 16 KiB, 5 % more). On the other hand, a peer that has 64 bytes waiting holds a whole
 * chunk, whatever its size: 10,000 slow peers take 40 MB and not 160 MB. The header comes on top of
 * the 4 KiB. So blocks of a power of two fill chunks without a rest, and a block of 4 KiB is one
 * piece and not two.
 *
 * Chunks that come back are kept for the next taker, last in first out, so that it finds them in
 * the cache. Beyond `retained` of them they go back to the allocator. A chunk does not know its
 * pool. It may be taken from one pool and given to another one over the same allocator;
 * sluice_chunk_pool_adopt then moves the accounting.
 *
 * Decided against: one block per queue, doubled as it fills (a move would copy, and an idle queue
 * would keep its largest size); and chunks of several sizes (a free list for each size, and memory
 * that the other sizes cannot use).
 */
#ifndef SLUICE_CHUNKS_H
#define SLUICE_CHUNKS_H

#include "base/platform.h"

#include <stddef.h>

#include "base/allocator.h"

#define SLUICE_CHUNK_ROOM 4096

/* Invariant: begin <= end <= SLUICE_CHUNK_ROOM; the bytes held lie from begin up to end. */
struct sluice_chunk {
    struct sluice_chunk *next;
    uint32_t begin;
    uint32_t end;
    unsigned char bytes[SLUICE_CHUNK_ROOM];
};

/* Invariants: `free` is a list of free_count chunks; free_count <= allocated <= limit. Also
 * free_count <= retained, except between a prepare and the next give or trim. The chunks that are
 * allocated and not free are in use. */
struct sluice_chunk_pool {
    struct sluice_allocator allocator;
    struct sluice_chunk *free;
    size_t free_count;
    size_t retained;  /* the most to keep free */
    size_t allocated; /* in use and free */
    size_t limit;     /* the most to allocate */
};

/* Makes a pool whose chunks never have room for more than `limit_bytes` together, except that one
 * chunk is always allowed. 0 sets no limit. Headers come on top: 0.4 %. At most `retained` chunks
 * are kept for reuse. */
SLUICE_INTERNAL void sluice_chunk_pool_init(struct sluice_chunk_pool *pool,
                                            const struct sluice_allocator *allocator,
                                            size_t limit_bytes, size_t retained);

/* Frees the free chunks. Those in use must have been given back. */
SLUICE_INTERNAL void sluice_chunk_pool_deinit(struct sluice_chunk_pool *pool);

static inline size_t sluice_chunk_pool_in_use(const struct sluice_chunk_pool *pool) {
    return pool->allocated - pool->free_count;
}

static inline size_t sluice_chunk_held(const struct sluice_chunk *chunk) {
    return chunk->end - chunk->begin;
}

/* How many chunks can be taken before the limit is reached. */
static inline size_t sluice_chunk_pool_left(const struct sluice_chunk_pool *pool) {
    return pool->limit - sluice_chunk_pool_in_use(pool);
}

/* Makes sure that appends of `length` bytes in all, to one queue, cannot fail as long as nothing
 * else is taken or given back. Returns 0; or SLUICE_EFULL or SLUICE_ENOMEM, and nothing has
 * changed. O(1) if as many chunks are free. A trim gives up what is not taken after all. */
SLUICE_INTERNAL int sluice_chunk_pool_prepare(struct sluice_chunk_pool *pool, size_t length);

/* Brings the free chunks down to what `retained` and the limit allow. */
SLUICE_INTERNAL void sluice_chunk_pool_trim(struct sluice_chunk_pool *pool);

/* What a take does if no chunk is free. */
SLUICE_INTERNAL struct sluice_chunk *sluice_chunk_allocate(struct sluice_chunk_pool *pool);

/* An empty chunk with no next one. It is the caller's until it is given back. NULL at the limit, or
 * if memory ran out. */
static inline struct sluice_chunk *sluice_chunk_take(struct sluice_chunk_pool *pool) {
    struct sluice_chunk *chunk = pool->free;
    if (chunk) {
        pool->free = chunk->next;
        pool->free_count--;
    } else {
        chunk = sluice_chunk_allocate(pool);
        if (!chunk)
            return NULL;
    }
    chunk->next = NULL;
    chunk->begin = 0;
    chunk->end = 0;
    return chunk;
}

/* Gives back a chain of `count` chunks, from `first` to `last`. */
static inline void sluice_chunk_give_chain(struct sluice_chunk_pool *pool,
                                           struct sluice_chunk *first, struct sluice_chunk *last,
                                           size_t count) {
    last->next = pool->free;
    pool->free = first;
    pool->free_count += count;
    if (pool->free_count > pool->retained)
        sluice_chunk_pool_trim(pool);
}

static inline void sluice_chunk_give(struct sluice_chunk_pool *pool, struct sluice_chunk *chunk) {
    sluice_chunk_give_chain(pool, chunk, chunk, 1);
}

/* Counts `count` chunks that are in use in `from` as chunks of `to`. The two pools have the same
 * allocator. Returns false, and nothing has changed, if they would exceed the limit of `to`. */
static inline bool sluice_chunk_pool_adopt(struct sluice_chunk_pool *to,
                                           struct sluice_chunk_pool *from, size_t count) {
    if (count > sluice_chunk_pool_left(to))
        return false;
    to->allocated += count;
    from->allocated -= count;
    if (to->allocated > to->limit)
        sluice_chunk_pool_trim(to);
    return true;
}

#endif

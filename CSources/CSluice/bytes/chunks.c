/* chunks.c - where chunks come from and go to when the free list has none, or enough. */
#include "base/platform.h"

#include "bytes/chunks.h"

SLUICE_COLD void sluice_chunk_pool_init(struct sluice_chunk_pool *pool,
                                        const struct sluice_allocator *allocator,
                                        size_t limit_bytes, size_t retained) {
    size_t limit = (limit_bytes > 0 ? limit_bytes : SIZE_MAX) / SLUICE_CHUNK_ROOM;
    *pool = (struct sluice_chunk_pool){
        .allocator = *allocator, .retained = retained, .limit = limit > 0 ? limit : 1};
}

static void free_one(struct sluice_chunk_pool *pool) {
    struct sluice_chunk *chunk = pool->free;
    pool->free = chunk->next;
    pool->free_count--;
    pool->allocated--;
    sluice_free(&pool->allocator, chunk);
}

SLUICE_COLD void sluice_chunk_pool_deinit(struct sluice_chunk_pool *pool) {
    while (pool->free)
        free_one(pool);
}

struct sluice_chunk *sluice_chunk_allocate(struct sluice_chunk_pool *pool) {
    if (pool->allocated >= pool->limit)
        return NULL;
    struct sluice_chunk *chunk = SLUICE_NEW(&pool->allocator, 1, struct sluice_chunk);
    if (chunk)
        pool->allocated++;
    return chunk;
}

void sluice_chunk_pool_trim(struct sluice_chunk_pool *pool) {
    while (pool->free_count > pool->retained || pool->allocated > pool->limit)
        free_one(pool);
}

int sluice_chunk_pool_prepare(struct sluice_chunk_pool *pool, size_t length) {
    if (length > PTRDIFF_MAX)
        return SLUICE_ENOMEM;
    size_t count = (length + SLUICE_CHUNK_ROOM - 1) / SLUICE_CHUNK_ROOM;
    if (count > sluice_chunk_pool_left(pool))
        return SLUICE_EFULL;
    while (pool->free_count < count) {
        struct sluice_chunk *chunk = sluice_chunk_allocate(pool);
        if (!chunk) {
            sluice_chunk_pool_trim(pool);
            return SLUICE_ENOMEM;
        }
        chunk->next = pool->free;
        pool->free = chunk;
        pool->free_count++;
    }
    return 0;
}

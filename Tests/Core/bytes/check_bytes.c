/* check_bytes.c - the walk over the invariants of a queue and of its pool. */
#include "checks.h"

bool check_bytes(const struct sluice_bytes *queue) {
    size_t length = 0;
    const struct sluice_chunk *last = NULL;
    for (const struct sluice_chunk *chunk = queue->first; chunk; chunk = chunk->next) {
        if (chunk->begin > chunk->end || chunk->end > SLUICE_CHUNK_ROOM)
            return false;
        if (sluice_chunk_held(chunk) == 0 && (chunk->next || chunk->begin > 0))
            return false;
        length += sluice_chunk_held(chunk);
        last = chunk;
    }
    return last == queue->last && length == queue->length;
}

bool check_chunk_pool(const struct sluice_chunk_pool *pool) {
    size_t count = 0;
    for (const struct sluice_chunk *chunk = pool->free; chunk; chunk = chunk->next)
        count++;
    return count == pool->free_count && count <= pool->allocated && pool->allocated <= pool->limit;
}

bool check_queue(const sluice_queue *queue) {
    size_t count = 0;
    for (const struct sluice_chunk *chunk = queue->bytes.first; chunk; chunk = chunk->next)
        count++;
    return check_bytes(&queue->bytes) && check_chunk_pool(&queue->pool) &&
           count == sluice_chunk_pool_in_use(&queue->pool) &&
           queue->reserved <= sluice_bytes_room(&queue->bytes);
}

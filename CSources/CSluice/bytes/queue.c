/* queue.c - the byte queue that each stream has. queue_public.c makes the public queue out of it.
 *
 * Bytes are copied in once and read where they lie. Whole chunks change queues by their links.
 * Chunks stay dense. An append fills the last one before it takes another. A move copies the first
 * chunk if it holds COALESCED_MOST bytes or fewer and they fit. So of two neighbours that moves
 * have made, either the second holds more than COALESCED_MOST, or both together hold more than one
 * has room for.
 *
 * Decided against: filling up chunks on every move (up to 4 KiB copied each time), and a separate
 * place for a reserved chunk (a word more in each idle stream).
 */
#include "base/platform.h"

#include "bytes/queue.h"

#include <string.h>

/* A quarter of a chunk. Copying that much costs about what it costs to take, send and give back one
 * more chunk. */
#define COALESCED_MOST (SLUICE_CHUNK_ROOM / 4)

/* Copies as many of the bytes as the chunk has room for, and returns how many. */
static size_t copy_in(struct sluice_chunk *chunk, const void *bytes, size_t length) {
    size_t room = SLUICE_CHUNK_ROOM - chunk->end;
    if (length > room)
        length = room;
    memcpy(chunk->bytes + chunk->end, bytes, length);
    chunk->end += (uint32_t)length;
    return length;
}

/* ---- The queue of chunks -----------------------------------------------------------------------
 */

static void give_all(struct sluice_chunk_pool *pool, struct sluice_chunk *first) {
    size_t count = 0;
    struct sluice_chunk *last = NULL;
    for (struct sluice_chunk *chunk = first; chunk; chunk = chunk->next) {
        last = chunk;
        count++;
    }
    if (last)
        sluice_chunk_give_chain(pool, first, last, count);
}

/* Takes as many empty chunks, linked, as have room for `length` bytes, 1 to PTRDIFF_MAX; or
 * none. */
static inline int take_chain(struct sluice_chunk_pool *pool, size_t length,
                             struct sluice_chunk **chain) {
    /* What the limit forbids is refused before anything is taken. */
    if ((length - 1) / SLUICE_CHUNK_ROOM >= sluice_chunk_pool_left(pool))
        return SLUICE_EFULL;
    struct sluice_chunk **end = chain;
    for (size_t room = 0; room < length; room += SLUICE_CHUNK_ROOM) {
        *end = sluice_chunk_take(pool);
        if (!*end) {
            give_all(pool, *chain);
            return SLUICE_ENOMEM;
        }
        end = &(*end)->next;
    }
    return 0;
}

static void link_behind(struct sluice_bytes *queue, struct sluice_chunk *chain) {
    if (queue->last)
        queue->last->next = chain;
    else
        queue->first = chain;
}

/* The append that needs chunks: takes them all, and only then copies. */
int sluice_bytes_append_long(struct sluice_chunk_pool *pool, struct sluice_bytes *queue,
                             const void *source, size_t length) {
    if (length == 0)
        return 0;
    if (length > PTRDIFF_MAX)
        return SLUICE_ENOMEM;
    size_t room = sluice_bytes_room(queue);
    struct sluice_chunk *chain = NULL;
    int code = take_chain(pool, length - room, &chain);
    if (code < 0)
        return code;
    struct sluice_chunk *chunk = room > 0 ? queue->last : chain;
    link_behind(queue, chain);
    queue->length += length;
    for (const unsigned char *bytes = (const unsigned char *)source; chunk; chunk = chunk->next) {
        size_t copied = copy_in(chunk, bytes, length);
        bytes += copied;
        length -= copied;
        queue->last = chunk;
    }
    return 0;
}

int sluice_bytes_reserve(struct sluice_chunk_pool *pool, struct sluice_bytes *queue,
                         size_t at_least, void **bytes, size_t *room) {
    if (at_least > sluice_bytes_room(queue)) {
        struct sluice_chunk *chunk;
        int code = take_chain(pool, at_least, &chunk);
        if (code < 0)
            return code;
        link_behind(queue, chunk);
        queue->last = chunk;
    }
    *bytes = queue->last->bytes + queue->last->end;
    *room = sluice_bytes_room(queue);
    return 0;
}

int sluice_bytes_peek(const struct sluice_bytes *queue, struct iovec *iov, int count, size_t most) {
    int filled = 0;
    if (most > queue->length)
        most = queue->length;
    for (struct sluice_chunk *chunk = queue->first; filled < count && most > 0;
         chunk = chunk->next) {
        size_t length = sluice_chunk_held(chunk) < most ? sluice_chunk_held(chunk) : most;
        iov[filled++] = (struct iovec){chunk->bytes + chunk->begin, length};
        most -= length;
    }
    return filled;
}

void sluice_bytes_clear(struct sluice_chunk_pool *pool, struct sluice_bytes *queue) {
    struct sluice_chunk *first = queue->first;
    *queue = (struct sluice_bytes){NULL, NULL, 0};
    give_all(pool, first);
}

/* ---- From queue to queue -----------------------------------------------------------------------
 */

static ptrdiff_t link_all(struct sluice_bytes *to, struct sluice_bytes *from) {
    size_t length = from->length;
    if (from->first) {
        link_behind(to, from->first);
        to->last = from->last;
        to->length += length;
    }
    *from = (struct sluice_bytes){NULL, NULL, 0};
    return (ptrdiff_t)length;
}

/* Copies the first chunk of `from` behind the bytes of `to`, where they fit, and links the rest. It
 * is a function of its own so that the move of a chain saves no registers. */
static SLUICE_NOINLINE ptrdiff_t copy_one(struct sluice_chunk_pool *pool, struct sluice_bytes *to,
                                          struct sluice_bytes *from) {
    struct sluice_chunk *head = from->first;
    size_t length = copy_in(to->last, head->bytes + head->begin, sluice_chunk_held(head));
    to->length += length;
    from->first = head->next;
    from->length -= length;
    sluice_chunk_give(pool, head);
    return (ptrdiff_t)length + link_all(to, from);
}

/* If `to` ends with a reserved, empty chunk, that chunk is filled however much the first chunk of
 * `from` holds, since an empty chunk may not stand between others. */
ptrdiff_t sluice_bytes_join(struct sluice_chunk_pool *pool, struct sluice_bytes *to,
                            struct sluice_bytes *from) {
    size_t length = sluice_chunk_held(from->first);
    if (length <= sluice_bytes_room(to) &&
        (length <= COALESCED_MOST || sluice_chunk_held(to->last) == 0))
        return copy_one(pool, to, from);
    return link_all(to, from);
}

/* What may fail comes first. */
ptrdiff_t sluice_bytes_move_part(struct sluice_chunk_pool *pool, struct sluice_bytes *to,
                                 struct sluice_bytes *from, size_t most) {
    struct sluice_bytes whole = {NULL, NULL, 0};
    struct sluice_chunk *chunk = from->first;
    for (; most - whole.length >= sluice_chunk_held(chunk); chunk = chunk->next) {
        whole.first = from->first;
        whole.last = chunk;
        whole.length += sluice_chunk_held(chunk);
    }
    struct sluice_chunk *cut = whole.last;
    size_t rest = most - whole.length;
    if (cut)
        cut->next = NULL;
    int code = sluice_bytes_append(pool, cut ? &whole : to, chunk->bytes + chunk->begin, rest);
    if (code < 0) {
        if (cut)
            cut->next = chunk;
        return code;
    }
    chunk->begin += (uint32_t)rest;
    from->first = chunk;
    from->length -= most;
    if (cut)
        (void)sluice_bytes_join(pool, to, &whole);
    return (ptrdiff_t)most;
}

size_t sluice_bytes_whole_chunks(const struct sluice_bytes *queue, size_t most) {
    size_t count = 0;
    for (struct sluice_chunk *chunk = queue->first; chunk && most >= sluice_chunk_held(chunk);
         chunk = chunk->next) {
        most -= sluice_chunk_held(chunk);
        count++;
    }
    return count;
}

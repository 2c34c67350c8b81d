/* allocator.h - where memory comes from: libc, or the function that a loop's options name.
 *
 * One function does everything, as realloc(3) does. So a caller who replaces it replaces all of it.
 */
#ifndef SLUICE_ALLOCATOR_H
#define SLUICE_ALLOCATOR_H

#include "base/platform.h"

#include <stddef.h>
#include <stdlib.h>

#include "sluice.h"

/* Invariant: `reallocate` is never NULL. */
struct sluice_allocator {
    sluice_reallocate *reallocate;
    void *context;
};

static inline void *sluice_reallocate_by_libc(void *context, void *block, size_t size) {
    (void)context;
    if (size > 0)
        return realloc(block, size);
    free(block);
    return NULL;
}

static const struct sluice_allocator sluice_libc_allocator = {sluice_reallocate_by_libc, NULL};

/* Resizes `block` to `count` elements of `size` bytes, keeping its contents. Returns NULL, with
 * `block` untouched, if memory ran out or the product overflows. */
static inline void *sluice_resize(const struct sluice_allocator *allocator, void *block,
                                  size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes == 0)
        return NULL;
    return allocator->reallocate(allocator->context, block, bytes);
}

/* The same with the result cast to the right type, as C++ wants it. SLUICE_RESIZE resizes the array
 * whose first element `block` points to. SLUICE_NEW makes `count` new elements of a type. */
#define SLUICE_RESIZE(allocator, block, count)                                                     \
    ((__typeof__(block))sluice_resize(allocator, block, count, sizeof *(block)))
#define SLUICE_NEW(allocator, count, type)                                                         \
    ((type *)sluice_resize(allocator, NULL, count, sizeof(type)))

/* For how many elements of `size` bytes to make room in an array that must hold `count` of them.
 * That is a power of two. But if the block is past 4 KiB, it is at once as many as make libc map
 * the block by itself (M_MMAP_THRESHOLD, mallopt(3)). Such a block grows where it is, and its pages
 * cost nothing until they are touched. Blocks of the sizes in between would leave holes behind. */
static inline size_t sluice_room_for(size_t count, size_t size) {
    const size_t small = 4096;
    const size_t mapped = (size_t)128 * 1024;
    size_t room = 16;
    while (room < count)
        room *= 2;
    return room * size > small && room * size < mapped ? mapped / size + 1 : room;
}

/* NULL is allowed. */
static inline void sluice_free(const struct sluice_allocator *allocator, void *block) {
    if (block)
        allocator->reallocate(allocator->context, block, 0);
}

#endif

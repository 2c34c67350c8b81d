/* allocator.h - where memory comes from: libc, or the function that a loop's options name.
 *
 * One function does it all, as realloc(3) does, so that a caller who brings one brings it whole.
 */
#ifndef SLUICE_ALLOCATOR_H
#define SLUICE_ALLOCATOR_H

#include "platform.h"

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

#define SLUICE_LIBC_ALLOCATOR ((struct sluice_allocator){sluice_reallocate_by_libc, NULL})

/* A block of `count` elements of `size` bytes in place of `block`, whose contents it keeps; NULL,
 * with `block` untouched, where memory ran out or the product overflows. */
static inline void *sluice_resize(const struct sluice_allocator *allocator, void *block,
                                  size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes == 0)
        return NULL;
    return allocator->reallocate(allocator->context, block, bytes);
}

/* NULL is let pass. */
static inline void sluice_free(const struct sluice_allocator *allocator, void *block) {
    if (block)
        allocator->reallocate(allocator->context, block, 0);
}

#endif

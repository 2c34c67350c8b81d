/* slots.h - a table of records of one kind, whose names go stale when they end.
 *
 * A record begins with a struct sluice_slot. Its generation grows when the record begins and again
 * when its name ends. So a living record has an odd generation, and no two records of a slot have
 * the same. A slot whose generations have run out is never used again: after 2^31 uses it costs the
 * memory of one record.
 * Records lie in one block that grows: a pointer to one is good until the next begin.
 */
#ifndef SLUICE_SLOTS_H
#define SLUICE_SLOTS_H

#include "base/platform.h"

#include <stddef.h>
#include <string.h>

#include "base/allocator.h"

struct sluice_slot {
    uint64_t user;
    uint32_t generation;
    union {
        uint32_t next_free; /* of a free one: the next, or SLUICE_NO_SLOT */
        uint32_t own;       /* of a living or retired one: for its kind to use */
    };
};

/* An id has this many bits for the index. */
#define SLUICE_INDEX_BITS 28
#define SLUICE_INDEX_LIMIT (UINT32_C(1) << SLUICE_INDEX_BITS)

#define SLUICE_NO_SLOT UINT32_MAX

/* Invariants: records [0, used) have been begun at least once. Each of them lives, or its name is
 * retired, or it is in the list that starts at `free`, or its generation is 0 and it is never used
 * again. `living` is how many live, at most `limit`; used <= capacity <= SLUICE_INDEX_LIMIT. */
struct sluice_slots {
    unsigned char *records;
    size_t record_size;
    uint32_t used;
    uint32_t capacity;
    uint32_t limit;
    uint32_t free;
    uint32_t living;
};

SLUICE_INTERNAL void sluice_slots_init(struct sluice_slots *slots, size_t record_size,
                                       uint32_t limit);
SLUICE_INTERNAL void sluice_slots_deinit(struct sluice_slots *slots,
                                         const struct sluice_allocator *allocator);

/* The index of a record, of which the slot is set and the rest means nothing; or SLUICE_NO_SLOT
 * with *code SLUICE_ENOMEM, or SLUICE_EFULL where `limit` live already. O(1), amortised. */
SLUICE_INTERNAL uint32_t sluice_slots_begin(struct sluice_slots *slots,
                                            const struct sluice_allocator *allocator, int *code);

/* Ends a living record in two steps, for a kind that others still refer to by its index. From the
 * first step on nothing finds the record by its name. It stays where it is, with its contents, and
 * its slot is not used for another before the second step. O(1). */
SLUICE_INTERNAL void sluice_slots_retire_name(struct sluice_slots *slots, uint32_t index);
SLUICE_INTERNAL void sluice_slots_free(struct sluice_slots *slots, uint32_t index);

/* Both at once. */
SLUICE_INTERNAL void sluice_slots_end(struct sluice_slots *slots, uint32_t index);

static inline bool sluice_slot_lives(const struct sluice_slot *slot) {
    return slot->generation % 2 == 1;
}

static inline void *sluice_slots_at(const struct sluice_slots *slots, uint32_t index) {
    return slots->records + (size_t)index * slots->record_size;
}

static inline uint32_t sluice_slots_index(const struct sluice_slots *slots, const void *record) {
    size_t offset = (size_t)((const unsigned char *)record - slots->records);
    return (uint32_t)(offset / slots->record_size);
}

/* The living record of that name, or NULL. */
static inline void *sluice_slots_find(const struct sluice_slots *slots, uint32_t index,
                                      uint32_t generation) {
    if (index >= slots->used)
        return NULL;
    struct sluice_slot *slot = (struct sluice_slot *)sluice_slots_at(slots, index);
    return slot->generation == generation && sluice_slot_lives(slot) ? slot : NULL;
}

#endif

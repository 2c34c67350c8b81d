/* slots.h - a table of records of one kind, whose names go stale when they end.
 *
 * A record begins with a struct sluice_slot. Its generation grows when it begins and again when it
 * ends, so an odd one is living, and a name that carries it is that record's and no other's.
 * Records lie in one block that grows: a pointer to one is good until the next begin.
 */
#ifndef SLUICE_SLOTS_H
#define SLUICE_SLOTS_H

#include "base/platform.h"

#include <stddef.h>
#include <string.h>

#include "base/allocator.h"

#pragma GCC visibility push(hidden)

struct sluice_slot {
    uint64_t user;
    uint32_t generation;
    union {
        uint32_t next_free; /* of an ended one: the next, or SLUICE_NO_SLOT */
        uint32_t own;       /* of a living one: for its kind to use */
    };
};

#define SLUICE_NO_SLOT UINT32_MAX

/* Invariants: records [0, used) have been begun at least once; those of them that are not living
 * are in the list that starts at `free`; `living` is how many are; used <= capacity <= limit. */
struct sluice_slots {
    unsigned char *records;
    size_t record_size;
    uint32_t used;
    uint32_t capacity;
    uint32_t limit;
    uint32_t free;
    uint32_t living;
};

void sluice_slots_init(struct sluice_slots *slots, size_t record_size, uint32_t limit);
void sluice_slots_deinit(struct sluice_slots *slots, const struct sluice_allocator *allocator);

/* The index of a record that is all zeros but for its slot; or SLUICE_NO_SLOT with *code
 * SLUICE_ENOMEM, or SLUICE_EFULL at the limit. O(1), amortised. */
uint32_t sluice_slots_begin(struct sluice_slots *slots, const struct sluice_allocator *allocator,
                            int *code);

/* Ends a living record. */
void sluice_slots_end(struct sluice_slots *slots, uint32_t index);

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
    struct sluice_slot *slot = sluice_slots_at(slots, index);
    return slot->generation == generation && generation % 2 == 1 ? slot : NULL;
}

#pragma GCC visibility pop

#endif

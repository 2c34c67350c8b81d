/* slots.h - a table of records of one kind, whose names go stale when they end.
 *
 * A record begins with a struct sluice_slot. Its generation grows when the record begins and again
 * when its name ends. So a living record has an odd generation, and no two records of a slot have
 * the same. A slot whose generations have run out is never used again: after 2^31 uses it costs the
 * memory of one record.
 * Records lie in one block that grows: a pointer to a record is valid until the next begin.
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
        uint32_t next_free; /* of a free record: the next free one, or SLUICE_NO_SLOT */
        uint32_t own;       /* of a living record: for its kind to use */
        int fd;             /* the same, if that is a descriptor */
    };
};

/* An id has this many bits for the index. */
#define SLUICE_INDEX_BITS 28
#define SLUICE_INDEX_LIMIT (UINT32_C(1) << SLUICE_INDEX_BITS)

#define SLUICE_NO_SLOT UINT32_MAX

/* Invariants: records [0, used) have been begun at least once. Each of them lives, or
 * is in the list that starts at `free`, or its generation is 0 and it is never used again. `living`
 * is how many live, at most `limit`; used <= capacity <= SLUICE_INDEX_LIMIT. */
struct sluice_slots {
    unsigned char *records;
    size_t record_size;
    uint32_t living;
    uint32_t used;
    uint32_t capacity;
    uint32_t limit;
    uint32_t free;
};

SLUICE_INTERNAL void sluice_slots_init(struct sluice_slots *slots, size_t record_size,
                                       uint32_t limit);
SLUICE_INTERNAL void sluice_slots_deinit(struct sluice_slots *slots,
                                         const struct sluice_allocator *allocator);

/* Adds a record, and makes it the first free one. Returns 0, SLUICE_ENOMEM or SLUICE_EFULL. */
SLUICE_INTERNAL int sluice_slots_make_free(struct sluice_slots *slots,
                                           const struct sluice_allocator *allocator);

/* Makes sure that a record is free. Returns 0, or SLUICE_ENOMEM, or SLUICE_EFULL if `limit` records
 * live already. `free` is then the index of the next record. O(1), amortised. */
static inline int sluice_slots_prepare(struct sluice_slots *slots,
                                       const struct sluice_allocator *allocator) {
    if (slots->living >= slots->limit)
        return SLUICE_EFULL;
    return slots->free == SLUICE_NO_SLOT ? sluice_slots_make_free(slots, allocator) : 0;
}

/* Begins that record, whose slot is given. The slot is set, and the rest of the record means
 * nothing yet. */
static inline void sluice_slots_take(struct sluice_slots *slots, struct sluice_slot *slot) {
    slots->free = slot->next_free;
    slots->living++;
    *slot = (struct sluice_slot){.generation = slot->generation + 1};
}

/* Does both. Returns the index of the record, or SLUICE_NO_SLOT with *code from
 * sluice_slots_prepare. */
SLUICE_INTERNAL uint32_t sluice_slots_begin(struct sluice_slots *slots,
                                            const struct sluice_allocator *allocator, int *code);

/* Ends a living record: its name is stale from then on. O(1). */
static inline void sluice_slots_give_back(struct sluice_slots *slots, uint32_t index,
                                          struct sluice_slot *slot) {
    slots->living--;
    if (++slot->generation == 0)
        return; /* it has wrapped: a new record here would get an old name again */
    slot->next_free = slots->free;
    slots->free = index;
}

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

/* The living record that has this name, or NULL. */
static inline void *sluice_slots_find(const struct sluice_slots *slots, uint32_t index,
                                      uint32_t generation) {
    if (index >= slots->used)
        return NULL;
    struct sluice_slot *slot = (struct sluice_slot *)sluice_slots_at(slots, index);
    return slot->generation == generation && sluice_slot_lives(slot) ? slot : NULL;
}

#endif

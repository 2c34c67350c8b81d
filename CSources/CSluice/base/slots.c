/* slots.c - see slots.h. */
#include "base/platform.h"

#include "base/slots.h"

void sluice_slots_init(struct sluice_slots *slots, size_t record_size, uint32_t limit) {
    *slots =
        (struct sluice_slots){.record_size = record_size, .limit = limit, .free = SLUICE_NO_SLOT};
}

void sluice_slots_deinit(struct sluice_slots *slots, const struct sluice_allocator *allocator) {
    sluice_free(allocator, slots->records);
    slots->records = NULL;
}

static struct sluice_slot *slot_at(const struct sluice_slots *slots, uint32_t index) {
    return (struct sluice_slot *)sluice_slots_at(slots, index);
}

SLUICE_COLD int sluice_slots_make_free(struct sluice_slots *slots,
                                       const struct sluice_allocator *allocator) {
    if (slots->used == SLUICE_INDEX_LIMIT)
        return SLUICE_EFULL;
    if (slots->used == slots->capacity) {
        size_t capacity = sluice_room_for((size_t)slots->used + 1, slots->record_size);
        void *records = sluice_resize(allocator, slots->records, capacity, slots->record_size);
        if (!records)
            return SLUICE_ENOMEM;
        slots->records = (unsigned char *)records;
        slots->capacity = (uint32_t)capacity;
    }
    slots->free = slots->used++;
    struct sluice_slot *slot = slot_at(slots, slots->free);
    slot->generation = 0;
    slot->next_free = SLUICE_NO_SLOT;
    return 0;
}

uint32_t sluice_slots_begin(struct sluice_slots *slots, const struct sluice_allocator *allocator,
                            int *code) {
    *code = sluice_slots_prepare(slots, allocator);
    if (*code < 0)
        return SLUICE_NO_SLOT;
    uint32_t index = slots->free;
    sluice_slots_take(slots, slot_at(slots, index));
    return index;
}

void sluice_slots_end(struct sluice_slots *slots, uint32_t index) {
    sluice_slots_give_back(slots, index, (struct sluice_slot *)sluice_slots_at(slots, index));
}

/* check_timers.c - the walk over every invariant of the timers. */
#include "checks.h"

#include "timers/timers_wheel.h"

#define WORDS (SLUICE_WHEEL_SLOTS / 64 + 1)

/* Walks the list of a slot. Each of its records is live, lies in no earlier tick than `begin`, and
 * is linked both ways. Counts them. */
static const char *check_list(const struct sluice_timers *timers, uint32_t slot, int64_t begin,
                              uint32_t *count) {
    uint32_t end = slot | SLUICE_LINK_SLOT;
    uint32_t before = end;
    uint32_t at = timers->slots[slot].first;
    for (; at < timers->used; at = timers->records[at].next) {
        const struct sluice_timer *timer = &timers->records[at];
        if (timer->previous != before)
            return "a record's link back is not to the one before it";
        if (++*count > timers->used)
            return "a list goes round, or a record is in two";
        if (timer->generation == 0)
            return "a generation is 0";
        if (tick_of(timer->deadline) < begin)
            return "a slot holds a deadline before it";
        before = at;
    }
    if (at != end || timers->slots[slot].last != before)
        return "a list does not end with its slot";
    return NULL;
}

static const char *check_wheel(const struct sluice_timers *timers, uint32_t *count) {
    const char *broken = NULL;
    for (uint32_t word = 0; word < WORDS && !broken; word++) {
        uint64_t bits = timers->words[word];
        if ((bits != 0) != ((timers->summary[word / SLUICE_LEVEL_WORDS] & BIT(word)) != 0))
            return "a summary is not that of its words";
        for (; bits != 0 && !broken; bits &= bits - 1) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            int64_t begin = slot_begin(timers, slot);
            if (slot >= SLUICE_WHEEL_SLOTS || begin <= timers->tick)
                return "a slot that is not ahead is not empty";
            if (is_slot(timers->slots[slot].first))
                return "an empty slot is marked";
            broken = check_list(timers, slot, begin, count);
        }
    }
    return broken;
}

static const char *check_near(const struct sluice_timers *timers) {
    const struct sluice_timer *records = timers->records;
    uint32_t at = timers->slots[SLUICE_FRESH].first;
    for (; !is_slot(at); at = records[at].next)
        if (tick_of(records[at].deadline) > timers->horizon)
            return "FRESH holds a deadline behind the horizon";
    at = timers->slots[SLUICE_DUE].first;
    for (; !is_slot(at); at = records[at].next) {
        if (tick_of(records[at].deadline) > timers->tick)
            return "DUE holds a deadline behind its tick";
        uint32_t next = records[at].next;
        if (!is_slot(next) && sluice_timer_before(&records[next], &records[at]))
            return "DUE is out of order";
    }
    return NULL;
}

const char *check_timers(const struct sluice_timers *timers) {
    if (timers->used > timers->capacity)
        return "more records than room";
    if (timers->in_turn ? timers->horizon < timers->tick : timers->horizon != timers->tick)
        return "the horizon is not that of the turn";
    if (!timers->slots)
        return timers->used == 0 ? NULL : "records without slots";
    uint32_t count = 0;
    const char *broken = check_wheel(timers, &count);
    for (uint32_t slot = SLUICE_FRESH; slot <= SLUICE_DUE && !broken; slot++)
        broken = check_list(timers, slot, INT64_MIN, &count);
    if (!broken)
        broken = check_near(timers);
    if (broken)
        return broken;
    for (uint32_t at = timers->free; at != NONE; at = timers->records[at].next)
        if (at >= timers->used || timers->records[at].previous != SLUICE_LINK_FREE ||
            ++count > timers->used)
            return "the free list holds what is not free";
    for (uint32_t at = 0; at < timers->used; at++)
        if (timers->records[at].generation == 0)
            count++;
    return count == timers->used ? NULL : "a record is in no list";
}

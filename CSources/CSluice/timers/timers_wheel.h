/* timers_wheel.h - the lists of the timers and where a timer belongs, for timers.c and the files
 * beside it. At its end are the steps of setting a timer, for the loop's own timers. These few
 * steps are inline, since they are most of what a timer costs. */
#ifndef SLUICE_TIMERS_WHEEL_H
#define SLUICE_TIMERS_WHEEL_H

#include "base/platform.h"

#include "timers/timers.h"

#define NONE SLUICE_LINK_FREE
#define BIT(n) (UINT64_C(1) << (n) % 64)

static inline bool is_slot(uint32_t link) {
    return (link & SLUICE_LINK_SLOT) != 0;
}

/* The shift is arithmetic: negative times lie before every tick. */
static inline int64_t tick_of(int64_t ns) {
    return ns >> SLUICE_TICK_BITS;
}

/* The slot of the wheel for a tick that is later than the current one. Its level is that of the
 * highest digit in which the two differ. So one tick is always in one slot, and a slot of a lower
 * level comes before any slot of a higher one. */
static inline size_t slot_for(const struct sluice_timers *timers, int64_t tick) {
    uint64_t digits = (uint64_t)tick;
    uint64_t differing = digits ^ (uint64_t)timers->tick;
    size_t level_begin = 0;
    for (; differing >= SLUICE_LEVEL_SLOTS; differing >>= SLUICE_DIGIT_BITS) {
        digits >>= SLUICE_DIGIT_BITS;
        level_begin += SLUICE_LEVEL_SLOTS;
    }
    return level_begin | (digits & (SLUICE_LEVEL_SLOTS - 1));
}

/* The first tick of a slot of the wheel. */
static inline int64_t slot_begin(const struct sluice_timers *timers, uint32_t slot) {
    uint32_t shift = slot / SLUICE_LEVEL_SLOTS * SLUICE_DIGIT_BITS;
    int64_t digit = slot % SLUICE_LEVEL_SLOTS;
    int64_t above = timers->tick >> (shift + SLUICE_DIGIT_BITS);
    return (above << SLUICE_DIGIT_BITS | digit) << shift;
}

/* The earliest slot of the wheel that is not empty, or SLUICE_WHEEL_SLOTS. */
static inline uint32_t first_slot(const struct sluice_timers *timers) {
    for (uint32_t level = 0; level < SLUICE_LEVELS; level++)
        if (timers->summary[level] != 0) {
            uint32_t word =
                level * SLUICE_LEVEL_WORDS + (uint32_t)__builtin_ctzll(timers->summary[level]);
            return word * 64 + (uint32_t)__builtin_ctzll(timers->words[word]);
        }
    return SLUICE_WHEEL_SLOTS;
}

static inline void mark_empty(struct sluice_timers *timers, uint32_t slot) {
    uint64_t word = timers->words[slot / 64] & ~BIT(slot);
    timers->words[slot / 64] = word;
    if (word == 0)
        timers->summary[slot / SLUICE_LEVEL_SLOTS] &= ~BIT(slot / 64);
}

/* Empties FRESH or DUE. */
static inline void clear(struct sluice_timers *timers, uint32_t slot) {
    timers->slots[slot].first = timers->slots[slot].last = slot | SLUICE_LINK_SLOT;
}

/* Puts a record behind those of FRESH or DUE. */
static inline void append_timer(struct sluice_timers *timers, uint32_t slot, uint32_t index) {
    uint32_t last = timers->slots[slot].last;
    timers->records[index].next = slot | SLUICE_LINK_SLOT;
    timers->records[index].previous = last;
    timers->slots[slot].last = index;
    if (is_slot(last))
        timers->slots[slot].first = index;
    else
        timers->records[last].next = index;
}

/* Puts a record behind those of a slot of the wheel. */
static inline void file(struct sluice_timers *timers, size_t slot, uint32_t index) {
    struct sluice_timer *timer = &timers->records[index];
    struct sluice_timer_slot *list = &timers->slots[slot];
    uint32_t end = (uint32_t)slot | SLUICE_LINK_SLOT;
    uint64_t *word = &timers->words[slot / 64];
    timer->next = end;
    if (*word & BIT(slot)) {
        timer->previous = list->last;
        timers->records[list->last].next = index;
    } else {
        if (*word == 0)
            timers->summary[slot / SLUICE_LEVEL_SLOTS] |= BIT(slot / 64);
        *word |= BIT(slot);
        timer->previous = end;
        list->first = index;
    }
    list->last = index;
}

/* Puts a record into the list that its deadline belongs to, from the next turn on. */
static inline void place(struct sluice_timers *timers, uint32_t index) {
    int64_t tick = tick_of(timers->records[index].deadline);
    if (tick > timers->horizon)
        file(timers, slot_for(timers, tick), index);
    else
        append_timer(timers, SLUICE_FRESH, index);
}

/* The same, out of line. */
SLUICE_INTERNAL void sluice_timers_place(struct sluice_timers *timers, uint32_t index);

/* The deadline of a timer that is set, or set anew; then the record has to be placed. */
static inline void set_deadline(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    timers->records[index].deadline = deadline;
    timers->records[index].sequence = timers->sequence++;
}

/* Takes a record out of the slot that it is in. Only the ends of a list know which slot that is. */
static inline void unlink_record(struct sluice_timers *timers, uint32_t index) {
    uint32_t next = timers->records[index].next;
    uint32_t previous = timers->records[index].previous;
    if (is_slot(next & previous)) {
        uint32_t slot = next & ~SLUICE_LINK_SLOT;
        if (slot < SLUICE_WHEEL_SLOTS)
            mark_empty(timers, slot);
        else
            clear(timers, slot);
        return;
    }
    if (is_slot(next))
        timers->slots[next & ~SLUICE_LINK_SLOT].last = previous;
    else
        timers->records[next].previous = previous;
    if (is_slot(previous))
        timers->slots[previous & ~SLUICE_LINK_SLOT].first = next;
    else
        timers->records[previous].next = next;
}

/* Deals a record of the current tick into its part. */
static inline void deal(struct sluice_timer *records, uint32_t index,
                        struct sluice_timer_parts *parts) {
    uint64_t part = ((uint64_t)records[index].deadline >> (SLUICE_TICK_BITS - 8)) % SLUICE_PARTS;
    uint64_t *filled = &parts->filled[part / 64];
    if (*filled & BIT(part))
        records[parts->last[part]].next = index;
    else
        parts->first[part] = index;
    *filled |= BIT(part);
    parts->last[part] = index;
}

static inline void end_record(struct sluice_timers *timers, uint32_t index) {
    timers->records[index].previous = SLUICE_LINK_FREE;
    timers->records[index].next = timers->free;
    timers->free = index;
}

/* ---- For the loop's own timers ----------------------------------------------------------------
 */

/* Makes a record free if there is none. Returns false if memory ran out. */
SLUICE_INTERNAL bool sluice_timers_make_free(struct sluice_timers *timers);

static inline bool has_free_record(const struct sluice_timers *timers) {
    return timers->free == NONE ? timers->used < timers->capacity
                                : timers->records[timers->free].generation != UINT32_MAX;
}

static inline uint32_t take_free_record(struct sluice_timers *timers) {
    uint32_t index = timers->free;
    if (index == NONE) {
        index = timers->used++;
        timers->records[index].generation = 1;
    } else {
        timers->free = timers->records[index].next;
        timers->records[index].generation++;
    }
    return index;
}

/* Sets a record that was taken, and files it. */
static inline void begin_timer(struct sluice_timers *timers, uint32_t index, int64_t deadline,
                               int64_t repeat, uint64_t user) {
    timers->records[index].user = user;
    timers->records[index].repeat = repeat;
    set_deadline(timers, index, deadline);
    place(timers, index);
}

static inline void cancel_timer(struct sluice_timers *timers, uint32_t index) {
    unlink_record(timers, index);
    end_record(timers, index);
}

/* The half of a reset that takes the timer to another slot. */
SLUICE_INTERNAL void sluice_timers_move(struct sluice_timers *timers, uint32_t index,
                                        int64_t deadline);

/* sluice_timers_reset. */
static inline void reset_timer(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    struct sluice_timer *timer = &timers->records[index];
    if (deadline < timer->deadline || tick_of(timer->deadline) <= timers->horizon) {
        sluice_timers_move(timers, index, deadline);
        return;
    }
    /* Its slot in the wheel is reached early enough, and the timer is filed anew then. */
    set_deadline(timers, index, deadline);
}

#endif

#include "platform.h"

#include "timers.h"

#include <assert.h>
#include <stddef.h>

static_assert(sizeof(struct sluice_timer) == 40, "a timer is 40 bytes");
static_assert(SLUICE_TICK_BITS + SLUICE_LEVELS * SLUICE_DIGIT_BITS == 63, "every deadline");
static_assert(SLUICE_LEVEL_WORDS == 64, "a summary has a bit for each word of its level");

#define FIRST_CAPACITY UINT32_C(16)
#define MOST_TIMERS UINT32_C(0x7FFFFFFF)
#define LATEST_NOW (INT64_MAX - 1)
#define NONE SLUICE_LINK_FREE
#define BIT(n) (UINT64_C(1) << (n) % 64)

/* ---- Slots ------------------------------------------------------------------------------------
 */

static bool is_slot(uint32_t link) {
    return (link & SLUICE_LINK_SLOT) != 0;
}

/* An arithmetic shift: what is negative lies before every tick. */
static int64_t tick_of(int64_t ns) {
    return ns >> SLUICE_TICK_BITS;
}

/* The slot of the wheel for a later tick than the current one. Its level is that of the highest
 * digit in which the two differ, so that one tick is always in one slot, and a slot of a lower level
 * before any of a higher one. */
static uint32_t slot_for(const struct sluice_timers *timers, int64_t tick) {
    uint64_t digits = (uint64_t)tick;
    uint64_t differing = digits ^ (uint64_t)timers->tick;
    uint32_t level_begin = 0;
    for (; differing >= SLUICE_LEVEL_SLOTS; differing >>= SLUICE_DIGIT_BITS) {
        digits >>= SLUICE_DIGIT_BITS;
        level_begin += SLUICE_LEVEL_SLOTS;
    }
    return level_begin | (uint32_t)(digits & (SLUICE_LEVEL_SLOTS - 1));
}

/* The first tick of a slot of the wheel, and the number of its ticks as a shift. */
static int64_t slot_begin(const struct sluice_timers *timers, uint32_t slot) {
    uint32_t shift = slot / SLUICE_LEVEL_SLOTS * SLUICE_DIGIT_BITS;
    int64_t digit = slot % SLUICE_LEVEL_SLOTS;
    int64_t above = timers->tick >> (shift + SLUICE_DIGIT_BITS);
    return (above << SLUICE_DIGIT_BITS | digit) << shift;
}

/* The earliest slot of the wheel that is not empty, or SLUICE_WHEEL_SLOTS. */
static uint32_t first_slot(const struct sluice_timers *timers) {
    for (uint32_t level = 0; level < SLUICE_LEVELS; level++)
        if (timers->summary[level] != 0) {
            uint32_t word = level * SLUICE_LEVEL_WORDS +
                            (uint32_t)__builtin_ctzll(timers->summary[level]);
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

/* Of FRESH or DUE. */
static void clear(struct sluice_timers *timers, uint32_t slot) {
    timers->slots[slot].first = timers->slots[slot].last = slot | SLUICE_LINK_SLOT;
}

/* Puts a record behind those of a slot that is not empty, or of FRESH or DUE. */
static inline void append(struct sluice_timers *timers, uint32_t slot, uint32_t index) {
    uint32_t last = timers->slots[slot].last;
    timers->records[index].next = slot | SLUICE_LINK_SLOT;
    timers->records[index].previous = last;
    timers->slots[slot].last = index;
    if (is_slot(last))
        timers->slots[slot].first = index;
    else
        timers->records[last].next = index;
}

/* Into the wheel. */
static inline void file(struct sluice_timers *timers, uint32_t index, int64_t tick) {
    uint32_t slot = slot_for(timers, tick);
    struct sluice_timer *timer = &timers->records[index];
    uint32_t end = slot | SLUICE_LINK_SLOT;
    uint64_t word = timers->words[slot / 64];
    timer->next = end;
    if (word & BIT(slot)) {
        uint32_t last = timers->slots[slot].last;
        timer->previous = last;
        timers->records[last].next = index;
    } else {
        timers->words[slot / 64] = word | BIT(slot);
        if (word == 0)
            timers->summary[slot / SLUICE_LEVEL_SLOTS] |= BIT(slot / 64);
        timer->previous = end;
        timers->slots[slot].first = index;
    }
    timers->slots[slot].last = index;
}

/* Where a timer goes that the caller sets. */
static inline void set(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    struct sluice_timer *timer = &timers->records[index];
    timer->deadline = deadline;
    timer->sequence = timers->sequence++;
    if (tick_of(deadline) > timers->horizon)
        file(timers, index, tick_of(deadline));
    else
        append(timers, SLUICE_FRESH, index);
}

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

/* ---- Records ----------------------------------------------------------------------------------
 */

void sluice_timers_init(struct sluice_timers *timers, const struct sluice_allocator *allocator,
                        int64_t now) {
    *timers = (struct sluice_timers){.allocator = *allocator, .free = NONE, .turn = now};
    timers->tick = timers->horizon = now > 0 ? tick_of(now) : 0;
}

void sluice_timers_deinit(struct sluice_timers *timers) {
    sluice_free(&timers->allocator, timers->records);
    sluice_free(&timers->allocator, timers->slots);
    timers->records = NULL;
    timers->slots = NULL;
    timers->capacity = timers->used = 0;
}

/* The slots are not cleared, so that their pages cost nothing until they are used. */
static int make_slots(struct sluice_timers *timers) {
    timers->slots = sluice_resize(&timers->allocator, NULL, SLUICE_SLOTS, sizeof *timers->slots);
    if (!timers->slots)
        return SLUICE_ENOMEM;
    clear(timers, SLUICE_FRESH);
    clear(timers, SLUICE_DUE);
    return 0;
}

/* By an eighth, so that no more than that lies idle. */
__attribute__((noinline)) static int grow(struct sluice_timers *timers) {
    if (!timers->slots && make_slots(timers) < 0)
        return SLUICE_ENOMEM;
    if (timers->capacity == MOST_TIMERS)
        return SLUICE_ENOMEM;
    uint32_t capacity = timers->capacity + timers->capacity / 8 + FIRST_CAPACITY;
    if (capacity > MOST_TIMERS)
        capacity = MOST_TIMERS;
    struct sluice_timer *grown =
        sluice_resize(&timers->allocator, timers->records, capacity, sizeof *grown);
    if (!grown)
        return SLUICE_ENOMEM;
    timers->records = grown;
    timers->capacity = capacity;
    return 0;
}

int sluice_timers_add(struct sluice_timers *timers, int64_t deadline, int64_t repeat, uint64_t user,
                      uint32_t *index) {
    uint32_t taken = timers->free;
    uint32_t generation = 0;
    if (taken != NONE) {
        timers->free = timers->records[taken].next;
        generation = timers->records[taken].generation;
    } else {
        if (timers->used == timers->capacity && grow(timers) < 0)
            return SLUICE_ENOMEM;
        taken = timers->used++;
    }
    struct sluice_timer *timer = &timers->records[taken];
    timer->user = user;
    timer->repeat = repeat;
    timer->generation = generation == UINT32_MAX ? 1 : generation + 1;
    *index = taken;
    set(timers, taken, deadline);
    return 0;
}

static inline void end_record(struct sluice_timers *timers, uint32_t index) {
    timers->records[index].previous = SLUICE_LINK_FREE;
    timers->records[index].next = timers->free;
    timers->free = index;
}

void sluice_timers_cancel(struct sluice_timers *timers, uint32_t index) {
    unlink_record(timers, index);
    end_record(timers, index);
}

void sluice_timers_reset(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    struct sluice_timer *timer = &timers->records[index];
    if (deadline >= timer->deadline && tick_of(timer->deadline) > timers->horizon) {
        /* Its slot in the wheel comes up no later than it must, and it is filed anew then. */
        timer->deadline = deadline;
        timer->sequence = timers->sequence++;
        return;
    }
    unlink_record(timers, index);
    set(timers, index, deadline);
}

/* ---- Time -------------------------------------------------------------------------------------
 */

/* Sorts a chain into DUE. The walk passes only those that come before one of the chain. */
static void merge_into_due(struct sluice_timers *timers, uint32_t chain) {
    struct sluice_timer *records = timers->records;
    struct sluice_timer_slot *due = &timers->slots[SLUICE_DUE];
    uint32_t at = due->first;
    chain = sluice_timers_sort(records, chain);
    while (chain != NONE) {
        uint32_t index = chain;
        chain = records[index].next;
        while (!is_slot(at) && !sluice_timer_before(&records[index], &records[at]))
            at = records[at].next;
        if (is_slot(at)) {
            append(timers, SLUICE_DUE, index);
            continue;
        }
        uint32_t previous = records[at].previous;
        records[index].next = at;
        records[index].previous = previous;
        records[at].previous = index;
        if (is_slot(previous))
            due->first = index;
        else
            records[previous].next = index;
    }
}

static void merge_fresh(struct sluice_timers *timers) {
    uint32_t first = timers->slots[SLUICE_FRESH].first;
    if (is_slot(first))
        return;
    clear(timers, SLUICE_FRESH);
    merge_into_due(timers, first);
}

/* Empties the earliest slot of the wheel while DUE is empty: what is of its first tick becomes due,
 * the rest moves to lower levels, or wherever it has been reset to. */
__attribute__((noinline)) static void open_slot(struct sluice_timers *timers, uint32_t slot, int64_t begin) {
    struct sluice_timer *records = timers->records;
    uint32_t chain = NONE;
    uint32_t *end = &chain;
    uint32_t at = timers->slots[slot].first;
    timers->tick = begin;
    mark_empty(timers, slot);
    while (!is_slot(at)) {
        uint32_t index = at;
        int64_t tick = tick_of(records[index].deadline);
        at = records[index].next;
        if (tick > begin) {
            file(timers, index, tick);
            continue;
        }
        *end = index;
        end = &records[index].next;
    }
    *end = NONE;
    merge_into_due(timers, chain);
}

/* The earliest that is due, or NONE and the end of the turn. */
static inline uint32_t take_due(struct sluice_timers *timers) {
    uint32_t first;
    while (is_slot(first = timers->slots[SLUICE_DUE].first)) {
        uint32_t slot = first_slot(timers);
        int64_t begin = slot_begin(timers, slot);
        if (slot == SLUICE_WHEEL_SLOTS || begin > timers->horizon)
            return NONE;
        first = timers->slots[slot].first;
        int64_t deadline = timers->records[first].deadline;
        /* One alone goes past DUE. */
        if (first == timers->slots[slot].last && tick_of(deadline) == begin &&
            deadline <= timers->turn) {
            timers->tick = begin;
            mark_empty(timers, slot);
            return first;
        }
        open_slot(timers, slot, begin);
    }
    if (timers->records[first].deadline > timers->turn)
        return NONE;
    unlink_record(timers, first);
    return first;
}

/* The first multiple of the period behind the turn's `now`. */
static int64_t next_period(const struct sluice_timers *timers, const struct sluice_timer *timer) {
    uint64_t period = (uint64_t)timer->repeat;
    uint64_t late = (uint64_t)timers->turn - (uint64_t)timer->deadline;
    int64_t last = (int64_t)((uint64_t)timers->turn - late % period);
    int64_t next;
    return __builtin_add_overflow(last, timer->repeat, &next) ? INT64_MAX : next;
}

__attribute__((noinline)) static void begin_turn(struct sluice_timers *timers, int64_t now) {
    timers->in_turn = true;
    timers->turn = now < LATEST_NOW ? now : LATEST_NOW;
    if (tick_of(timers->turn) > timers->horizon)
        timers->horizon = tick_of(timers->turn);
    merge_fresh(timers);
}

int sluice_timers_expire(struct sluice_timers *timers, int64_t now, uint32_t *index) {
    if (!timers->in_turn) {
        if (!timers->slots)
            return 0;
        begin_turn(timers, now);
    }
    uint32_t taken = take_due(timers);
    if (taken == NONE) {
        timers->in_turn = false;
        timers->tick = timers->horizon;
        return 0;
    }
    *index = taken;
    if (timers->records[taken].repeat == 0)
        end_record(timers, taken);
    else
        set(timers, taken, next_period(timers, &timers->records[taken]));
    return 1;
}

/* The earliest deadline in a slot of the wheel, or the slot's beginning where it is long; INT64_MAX
 * where it is empty. Files anew what has been reset to behind the slot, since that says nothing of
 * what is earliest. */
static int64_t earliest_in(struct sluice_timers *timers, uint32_t slot) {
    int64_t begin = slot_begin(timers, slot);
    int64_t end = begin + (INT64_C(1) << slot / SLUICE_LEVEL_SLOTS * SLUICE_DIGIT_BITS);
    int64_t earliest = INT64_MAX;
    uint32_t at = timers->slots[slot].first;
    for (int walked = 0; !is_slot(at); walked++) {
        if (walked == SLUICE_TIMERS_WALK)
            return begin << SLUICE_TICK_BITS;
        uint32_t index = at;
        int64_t deadline = timers->records[index].deadline;
        at = timers->records[index].next;
        if (tick_of(deadline) >= end) {
            unlink_record(timers, index);
            file(timers, index, tick_of(deadline));
        } else if (deadline < earliest) {
            earliest = deadline;
        }
    }
    return earliest;
}

int64_t sluice_timers_next_deadline(struct sluice_timers *timers) {
    if (!timers->slots)
        return INT64_MAX;
    if (timers->in_turn)
        return timers->turn;
    merge_fresh(timers);
    uint32_t due = timers->slots[SLUICE_DUE].first;
    if (!is_slot(due))
        return timers->records[due].deadline;
    for (;;) {
        uint32_t slot = first_slot(timers);
        if (slot == SLUICE_WHEEL_SLOTS)
            return INT64_MAX;
        int64_t earliest = earliest_in(timers, slot);
        if (timers->words[slot / 64] & BIT(slot))
            return earliest;
    }
}

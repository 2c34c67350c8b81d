/* timers_turn.c - turns: what is due, in order, and when the next turn must be.
 *
 * A turn opens the slots of the wheel one by one, up to the slot of its `now`, the horizon. The
 * next tick is looked for only when everything due in the current one has been reported. DUE holds
 * the rest of the current tick, sorted. A timer that the caller sets meanwhile for a moment before
 * the horizon would get in the way. So it waits in FRESH for the next turn, which begins by sorting
 * FRESH into DUE. Therefore a turn reports what was set before it, in order, and nothing else.
 *
 * A list that is in order already becomes DUE as it is. This is so for a timer that is alone in its
 * tick, and for any number of timers with one deadline.
 */
#include "base/platform.h"

#include "timers/timers.h"

#include <stddef.h>
#include <string.h>

#include "timers/timers_wheel.h"

#define LATEST_NOW (INT64_MAX - 1)

/* Merges a sorted chain into DUE. The walk passes only records that come before one of the
 * chain. */
static void merge_into_due(struct sluice_timers *timers, uint32_t chain) {
    struct sluice_timer *records = timers->records;
    struct sluice_timer_slot *due = &timers->slots[SLUICE_DUE];
    uint32_t at = due->first;
    while (chain != NONE) {
        uint32_t index = chain;
        chain = records[index].next;
        while (!is_slot(at) && !sluice_timer_before(&records[index], &records[at]))
            at = records[at].next;
        if (is_slot(at)) {
            append_timer(timers, SLUICE_DUE, index);
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
    merge_into_due(timers, sluice_timers_sort(timers->records, first));
}

/* Whether a slot of one tick needs neither sorting nor filing. */
static bool is_in_order(const struct sluice_timers *timers, uint32_t slot, int64_t tick) {
    const struct sluice_timer *records = timers->records;
    uint32_t at = timers->slots[slot].first;
    const struct sluice_timer *before = &records[at];
    for (; !is_slot(at); at = before->next) {
        const struct sluice_timer *timer = &records[at];
        if (tick_of(timer->deadline) != tick || sluice_timer_before(timer, before))
            return false;
        before = timer;
    }
    return true;
}

/* Makes a slot's list that of DUE, which is empty. */
static void move_to_due(struct sluice_timers *timers, uint32_t slot) {
    struct sluice_timer_slot list = timers->slots[slot];
    timers->records[list.first].previous = SLUICE_DUE | SLUICE_LINK_SLOT;
    timers->records[list.last].next = SLUICE_DUE | SLUICE_LINK_SLOT;
    timers->slots[SLUICE_DUE] = list;
}

/* Empties the earliest slot of the wheel while DUE is empty. What belongs to the slot's first tick
 * becomes due. The rest moves to lower levels, or wherever it has been reset to. */
static void open_slot(struct sluice_timers *timers, uint32_t slot, int64_t begin) {
    struct sluice_timer *records = timers->records;
    struct sluice_timer_parts parts;
    uint32_t at = timers->slots[slot].first;
    timers->tick = begin;
    mark_empty(timers, slot);
    if (slot < SLUICE_LEVEL_SLOTS && is_in_order(timers, slot, begin)) {
        move_to_due(timers, slot);
        return;
    }
    memset(parts.filled, 0, sizeof parts.filled);
    while (!is_slot(at)) {
        uint32_t index = at;
        int64_t tick = tick_of(records[index].deadline);
        uint64_t differing = (uint64_t)tick ^ (uint64_t)begin;
        at = records[index].next;
        if (differing == 0)
            deal(records, index, &parts);
        else if (differing < SLUICE_LEVEL_SLOTS)
            file(timers, (size_t)tick & (SLUICE_LEVEL_SLOTS - 1), index);
        else
            file(timers, slot_for(timers, tick), index);
    }
    sluice_timers_collect(timers, &parts);
}

/* Takes the first of DUE, which is not empty; NONE if it is not due yet. */
static inline uint32_t take_due(struct sluice_timers *timers) {
    uint32_t first = timers->slots[SLUICE_DUE].first;
    struct sluice_timer *timer = &timers->records[first];
    uint32_t next = timer->next;
    if (timer->deadline > timers->turn)
        return NONE;
    timers->slots[SLUICE_DUE].first = next;
    if (is_slot(next))
        timers->slots[SLUICE_DUE].last = next;
    else
        timers->records[next].previous = SLUICE_DUE | SLUICE_LINK_SLOT;
    return first;
}

/* While DUE is empty: takes the first timer of the wheel, if it is alone in its slot of the lowest
 * level, as nearly all are. NONE if it is not alone, or not due. */
static inline uint32_t take_lone(struct sluice_timers *timers) {
    uint64_t summary = timers->summary[0];
    if (summary == 0)
        return NONE;
    uint32_t word = (uint32_t)__builtin_ctzll(summary);
    uint64_t bits = timers->words[word];
    uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
    uint32_t first = timers->slots[slot].first;
    int64_t deadline = timers->records[first].deadline;
    int64_t tick = (timers->tick & -SLUICE_LEVEL_SLOTS) | slot;
    if (first != timers->slots[slot].last || deadline > timers->turn || tick_of(deadline) != tick)
        return NONE;
    timers->tick = tick;
    timers->words[word] = bits & (bits - 1);
    if (timers->words[word] == 0)
        timers->summary[0] = summary & (summary - 1);
    return first;
}

/* The same from any slot. */
static uint32_t take_from_wheel(struct sluice_timers *timers) {
    do {
        uint32_t slot = first_slot(timers);
        int64_t begin = slot_begin(timers, slot);
        if (slot == SLUICE_WHEEL_SLOTS || begin > timers->horizon)
            return NONE;
        open_slot(timers, slot, begin);
    } while (is_slot(timers->slots[SLUICE_DUE].first));
    return take_due(timers);
}

/* The first multiple of the period after the turn's `now`. */
static int64_t next_period(const struct sluice_timers *timers, const struct sluice_timer *timer) {
    uint64_t period = (uint64_t)timer->repeat;
    uint64_t late = (uint64_t)timers->turn - (uint64_t)timer->deadline;
    int64_t last = (int64_t)((uint64_t)timers->turn - late % period);
    int64_t next;
    return __builtin_add_overflow(last, timer->repeat, &next) ? INT64_MAX : next;
}

static void begin_timers_turn(struct sluice_timers *timers, int64_t now) {
    timers->in_turn = true;
    timers->turn = now < LATEST_NOW ? now : LATEST_NOW;
    if (tick_of(timers->turn) > timers->horizon)
        timers->horizon = tick_of(timers->turn);
    merge_fresh(timers);
}

static uint32_t end_turn(struct sluice_timers *timers) {
    timers->in_turn = false;
    timers->tick = timers->horizon;
    return NONE;
}

static SLUICE_NOINLINE uint32_t rearm(struct sluice_timers *timers, uint32_t index) {
    set_deadline(timers, index, next_period(timers, &timers->records[index]));
    sluice_timers_place(timers, index);
    return index;
}

static inline uint32_t report(struct sluice_timers *timers, uint32_t index) {
    if (timers->records[index].repeat != 0)
        return rearm(timers, index);
    end_record(timers, index);
    return index;
}

static SLUICE_NOINLINE uint32_t expire_from_wheel(struct sluice_timers *timers) {
    uint32_t taken = take_from_wheel(timers);
    return taken == NONE ? end_turn(timers) : report(timers, taken);
}

static SLUICE_NOINLINE uint32_t expire_first(struct sluice_timers *timers, int64_t now) {
    if (!timers->slots)
        return NONE;
    begin_timers_turn(timers, now);
    return sluice_timers_expire(timers, now);
}

uint32_t sluice_timers_expire(struct sluice_timers *timers, int64_t now) {
    if (!timers->in_turn)
        return expire_first(timers, now);
    uint32_t taken;
    if (!is_slot(timers->slots[SLUICE_DUE].first)) {
        taken = take_due(timers);
        return taken == NONE ? end_turn(timers) : report(timers, taken);
    }
    taken = take_lone(timers);
    return taken == NONE ? expire_from_wheel(timers) : report(timers, taken);
}

/* Files a timer that has been reset to a moment behind the slot that it is in. */
static SLUICE_NOINLINE void file_anew(struct sluice_timers *timers, uint32_t index) {
    unlink_record(timers, index);
    sluice_timers_place(timers, index);
}

/* The earliest deadline in a slot of the wheel, or the slot's beginning if the list is long;
 * INT64_MAX if it is empty. Files timers anew that have been reset to a moment behind the slot,
 * since those say nothing about what is earliest. */
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
        if (tick_of(deadline) >= end)
            file_anew(timers, index);
        else if (deadline < earliest)
            earliest = deadline;
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

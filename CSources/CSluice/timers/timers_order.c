/* timers_order.c - the order of the timers of one tick.
 *
 * The sort is a merge sort of the runs that are there. A list that is in order, such as a million
 * timers of one instant, takes one pass. Any other list takes n log n. None takes memory. First the
 * timers of one tick are dealt into 256 parts of the tick, of 32 ns each, and most are alone in
 * their part. With 80 timers in a tick, each costs 51 instructions that way, and 152 by merging
 * alone.
 */
#include "base/platform.h"

#include "timers/timers.h"

#include <stddef.h>

#include "timers/timers_wheel.h"

/* Bin n holds 2^n merged runs, or none. There are fewer than 2^31 runs. */
#define BINS 32

/* Ends the run that begins at `first`, and returns what comes behind it. */
static uint32_t cut_run(struct sluice_timer *records, uint32_t first) {
    uint32_t at = first;
    uint32_t next = records[at].next;
    while (!is_slot(next) && !sluice_timer_before(&records[next], &records[at])) {
        at = next;
        next = records[at].next;
    }
    records[at].next = NONE;
    return is_slot(next) ? NONE : next;
}

static uint32_t merge(struct sluice_timer *records, uint32_t left, uint32_t right) {
    uint32_t first;
    uint32_t *end = &first;
    while (left != NONE && right != NONE) {
        uint32_t *from = sluice_timer_before(&records[right], &records[left]) ? &right : &left;
        *end = *from;
        end = &records[*from].next;
        *from = *end;
    }
    *end = left != NONE ? left : right;
    return first;
}

static SLUICE_NOINLINE uint32_t sort_runs(struct sluice_timer *records, uint32_t first) {
    uint32_t bins[BINS];
    size_t count = 0;
    while (first != NONE) {
        uint32_t run = first;
        first = cut_run(records, run);
        if (first == NONE && count == 0)
            return run;
        size_t bin = 0;
        for (; bin < count && bins[bin] != NONE; bin++) {
            run = merge(records, bins[bin], run);
            bins[bin] = NONE;
        }
        if (bin == count)
            count++;
        bins[bin] = run;
    }
    uint32_t sorted = NONE;
    for (size_t bin = 0; bin < count; bin++)
        if (bins[bin] != NONE)
            sorted = merge(records, bins[bin], sorted);
    return sorted;
}

/* If a part of a tick has several timers, it mostly has two. Puts two in order. Returns whether
 * there were just two. */
static inline bool sort_two(struct sluice_timer *records, uint32_t *first) {
    uint32_t other = records[*first].next;
    if (is_slot(other) || !is_slot(records[other].next))
        return false;
    records[other].next = NONE;
    if (sluice_timer_before(&records[other], &records[*first])) {
        records[other].next = *first;
        records[*first].next = NONE;
        *first = other;
    }
    return true;
}

uint32_t sluice_timers_sort(struct sluice_timer *records, uint32_t first) {
    if (sort_two(records, &first))
        return first;
    return sort_runs(records, first);
}

/* Puts a record behind those of DUE. `last` is the last of them, or the link to its slot. */
static inline uint32_t follow_on(struct sluice_timers *timers, uint32_t last, uint32_t index) {
    if (is_slot(last))
        timers->slots[SLUICE_DUE].first = index;
    else
        timers->records[last].next = index;
    timers->records[index].previous = last;
    return index;
}

/* The same for a part with several, from `first` to `end`, which it sorts. */
static SLUICE_NOINLINE uint32_t follow_on_sorted(struct sluice_timers *timers, uint32_t last,
                                                 uint32_t first, uint32_t end) {
    timers->records[end].next = NONE;
    for (uint32_t at = sluice_timers_sort(timers->records, first); at != NONE;) {
        uint32_t next = timers->records[at].next;
        last = follow_on(timers, last, at);
        at = next;
    }
    return last;
}

void sluice_timers_collect(struct sluice_timers *timers, struct sluice_timer_parts *parts) {
    const uint32_t ends = SLUICE_DUE | SLUICE_LINK_SLOT;
    uint32_t last = ends;
    for (size_t word = 0; word < SLUICE_PARTS / 64; word++)
        for (uint64_t bits = parts->filled[word]; bits != 0; bits &= bits - 1) {
            size_t part = word * 64 + (size_t)__builtin_ctzll(bits);
            uint32_t first = parts->first[part];
            uint32_t end = parts->last[part];
            last = first == end ? follow_on(timers, last, first)
                                : follow_on_sorted(timers, last, first, end);
        }
    if (last == ends)
        timers->slots[SLUICE_DUE].first = ends;
    else
        timers->records[last].next = ends;
    timers->slots[SLUICE_DUE].last = last;
}

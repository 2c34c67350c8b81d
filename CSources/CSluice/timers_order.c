/* timers_order.c - the order of the timers of one tick, and the walk over every invariant.
 *
 * The sort is a merge sort of the runs that are there: a list in order, such as a million timers
 * of one instant, takes one pass, any other n log n, and none takes memory.
 */
#include "platform.h"

#include "timers.h"

#include <stddef.h>

/* Bin n holds 2^n runs, merged, or none; there are fewer than 2^31 runs. */
#define BINS 32
#define NONE SLUICE_LINK_FREE

static bool is_slot(uint32_t link) {
    return (link & SLUICE_LINK_SLOT) != 0;
}

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

uint32_t sluice_timers_sort(struct sluice_timer *records, uint32_t first) {
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

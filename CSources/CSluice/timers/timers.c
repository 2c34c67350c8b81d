/* timers.c - timers: a hierarchical wheel of doubly linked lists, sorted within a tick.
 *
 * Records stand in one array and link to each other by index, so that a timer is 40 bytes wherever
 * it is. The wheel has five levels. A slot of the lowest is one tick of 8.2 us, one of the next
 * level all 4,096 of the lowest, 33.6 ms, then 137 s, 6.5 days and 73 years, which is to the end of
 * int64. A timer lies where the highest digit is in which its tick and the current one differ, and
 * moves down when its slot is reached: one that is set for up to two minutes moves once. Bits say
 * which slots are not empty, so that time passes over nothing. Within a tick the list is sorted;
 * nearly always it has one timer, and then it is reported straight from its slot. Turns and their
 * order are in timers_turn.c.
 *
 * Resetting to a later moment only stores it: the record is filed anew when its old slot is
 * reached, or when it would hide the next deadline. That is the idle timeout, put off with each
 * byte.
 *
 * The next deadline is not kept but looked for in the first slot that is not empty. There are
 * rarely more than a few timers there; where there are, the loop is woken at the slot's beginning
 * to spread them, at most once for each level and eight timers (test "few wakes too early").
 *
 * Chosen by counting user instructions, the program's own loop included, at a million timers from
 * 1 ms to 100 s and a few of years, with a turn each millisecond (Benchmarks/wheel):
 *
 * - In all: add 72 (of which the program 10), cancel 29, reset 43, fire 114. A million timers of
 *   one instant fire in 87 each.
 * - Digits: with 12 bits firing cost 124; with 10 bits 167 and with 8 bits 176, since a timer then
 *   moves twice. The slots are 131 KB for it, of which pages that are not used are never touched.
 * - The tick: 2^12 ns 131, 2^13 121, 2^14 130, 2^15 147, 2^16 175, 2^17 212, 2^18 242 (all in one
 *   turn, and before the last refinements). A timer alone in its tick costs less than sorting two.
 * - Of the 114, finding and reporting a timer that is alone are 57, and the program 9. The rest is
 *   moving it down a level, sorting where two share a tick, and a turn for each ten.
 *
 * Decided against:
 *
 * - a plain heap: libev's, of four children, costs 94 to cancel and 439 to fire, and memory beside
 *   the record;
 * - a plain wheel: it fires in any order within its tick, or wakes at each tick;
 * - a red-black tree: its three links do not fit into 40 bytes with all else;
 * - a heap for what is near: it would have to grow when a million timers come due at one instant,
 *   and firing could fail. Lists are sorted in place;
 * - the earliest deadline kept with each slot, to wake exactly also for full ones: twice the slots
 *   and more to do for each add, for less than one wake in eight timers.
 *
 * The array grows by an eighth and never shrinks. What is beyond the records in use is not touched.
 */
#include "base/platform.h"

#include "timers/timers.h"

#include <assert.h>
#include <stddef.h>

#include "base/slots.h"
#include "timers/timers_wheel.h"

#define FIRST_TIMER_CAPACITY UINT32_C(16)
#define MOST_TIMERS SLUICE_INDEX_LIMIT

static_assert(sizeof(struct sluice_timer) == 40, "a timer is 40 bytes");
static_assert(SLUICE_LEVEL_WORDS == 64, "a summary has a bit for each word of its level");
static_assert(SLUICE_TOP_SLOTS <= 64, "the top level has one word");

SLUICE_COLD void sluice_timers_init(struct sluice_timers *timers,
                                    const struct sluice_allocator *allocator, int64_t now) {
    *timers = (struct sluice_timers){.allocator = *allocator, .free = NONE, .turn = now};
    timers->tick = timers->horizon = now > 0 ? tick_of(now) : 0;
}

SLUICE_COLD void sluice_timers_deinit(struct sluice_timers *timers) {
    sluice_free(&timers->allocator, timers->records);
    sluice_free(&timers->allocator, timers->slots);
    timers->records = NULL;
    timers->slots = NULL;
    timers->capacity = timers->used = 0;
}

/* The slots are not cleared, so that their pages cost nothing until they are used. */
static bool make_slots(struct sluice_timers *timers) {
    timers->slots = SLUICE_NEW(&timers->allocator, SLUICE_SLOTS, struct sluice_timer_slot);
    if (!timers->slots)
        return false;
    clear(timers, SLUICE_FRESH);
    clear(timers, SLUICE_DUE);
    return true;
}

/* By an eighth, so that no more than that lies idle. */
static bool grow_timers(struct sluice_timers *timers) {
    if (timers->capacity == MOST_TIMERS || (!timers->slots && !make_slots(timers)))
        return false;
    uint32_t capacity = timers->capacity + timers->capacity / 8 + FIRST_TIMER_CAPACITY;
    if (capacity > MOST_TIMERS)
        capacity = MOST_TIMERS;
    struct sluice_timer *grown = SLUICE_RESIZE(&timers->allocator, timers->records, capacity);
    if (!grown)
        return false;
    timers->records = grown;
    timers->capacity = capacity;
    return true;
}

/* A record whose generations have run out is in no list, and is never used again. */
SLUICE_COLD bool sluice_timers_make_free(struct sluice_timers *timers) {
    while (timers->free != NONE && timers->records[timers->free].generation == UINT32_MAX) {
        struct sluice_timer *worn = &timers->records[timers->free];
        worn->generation = 0;
        timers->free = worn->next;
    }
    return timers->free != NONE || timers->used < timers->capacity || grow_timers(timers);
}

static SLUICE_NOINLINE uint32_t make_free_and_add(struct sluice_timers *timers, int64_t deadline,
                                                  int64_t repeat, uint64_t user) {
    return sluice_timers_make_free(timers) ? sluice_timers_add(timers, deadline, repeat, user)
                                           : SLUICE_NO_TIMER;
}

uint32_t sluice_timers_add(struct sluice_timers *timers, int64_t deadline, int64_t repeat,
                           uint64_t user) {
    if (sluice_unlikely(!has_free_record(timers)))
        return make_free_and_add(timers, deadline, repeat, user);
    uint32_t index = take_free_record(timers);
    begin_timer(timers, index, deadline, repeat, user);
    place(timers, index);
    return index;
}

SLUICE_NOINLINE void sluice_timers_place(struct sluice_timers *timers, uint32_t index) {
    place(timers, index);
}

void sluice_timers_cancel(struct sluice_timers *timers, uint32_t index) {
    unlink_record(timers, index);
    end_record(timers, index);
}

void sluice_timers_move(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    unlink_record(timers, index);
    set_deadline(timers, index, deadline);
    sluice_timers_place(timers, index);
}

void sluice_timers_reset(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    reset_timer(timers, index, deadline);
}

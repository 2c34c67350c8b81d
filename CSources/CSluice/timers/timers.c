/* timers.c - timers: a hierarchical wheel of doubly linked lists, sorted within a tick.
 *
 * Records stand in one array and link to each other by index, so that a timer is 40 bytes wherever
 * it is. The wheel has five levels. A slot of the lowest level is one tick of 8.2 us. A slot of the
 * next level covers all 4,096 ticks of the lowest, 33.6 ms. Then come 137 s, 6.5 days, and 73
 * years, which reaches to the end of int64. The level of a timer is the highest digit in which its
 * tick and the current one differ. The timer moves down when its slot is reached: if it is set for
 * up to two minutes, it moves once. Bits say which slots are not empty, so that empty ones cost no
 * time. Within a tick the list is sorted. Nearly always it has one timer, which is then reported
 * straight from its slot. Turns and their order are in timers_turn.c.
 *
 * A reset to a later moment only stores the moment. The record is filed anew when its old slot is
 * reached, or when it would hide the next deadline. This is for idle timeouts, which are put off
 * with each byte.
 *
 * The next deadline is not kept. It is looked for in the first slot that is not empty. There are
 * rarely more than a few timers in it. If there are more, the loop is woken at the slot's beginning
 * to spread them, at most once for each level and eight timers (test "few wakes too early").
 *
 * All this was chosen by counting user instructions, including those of the program's own loop,
 * with a million timers from 1 ms to 100 s and a few of years, and a turn each millisecond
 * (Benchmarks/wheel):
 *
 * - In all: add 72 (10 of them are the program's), cancel 29, reset 43, fire 114. A million timers
 *   of one instant fire in 87 each.
 * - Digits: with 12 bits firing cost 124; with 10 bits 167 and with 8 bits 176, since a timer then
 *   moves twice. For that the slots take 131 KB, but pages that are not used are never touched.
 * - The tick: 2^12 ns 131, 2^13 121, 2^14 130, 2^15 147, 2^16 175, 2^17 212, 2^18 242 (all in one
 *   turn, and before the last refinements). A timer that is alone in its tick costs less than
 *   sorting two.
 * - Of the 114, 57 are finding and reporting a timer that is alone, and 9 are the program's. The
 *   rest is moving it down a level, sorting if two share a tick, and a turn for each ten.
 *
 * Decided against:
 *
 * - a plain heap: libev's heap, with four children, costs 94 to cancel and 439 to fire, and memory
 *   beside the record;
 * - a plain wheel: it fires in any order within its tick, or wakes at each tick;
 * - a red-black tree: its three links do not fit into 40 bytes with everything else;
 * - a heap for what is near: it would have to grow when a million timers come due at one instant,
 *   and firing could fail. Lists are sorted in place;
 * - keeping the earliest deadline with each slot, so that the loop wakes exactly for full slots
 *   too: it needs twice the memory for slots and more work for each add, and saves less than one
 *   wake in eight timers.
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

/* It grows by an eighth, so that no more than that lies idle. */
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
    return index;
}

SLUICE_NOINLINE void sluice_timers_place(struct sluice_timers *timers, uint32_t index) {
    place(timers, index);
}

void sluice_timers_cancel(struct sluice_timers *timers, uint32_t index) {
    cancel_timer(timers, index);
}

void sluice_timers_move(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    unlink_record(timers, index);
    set_deadline(timers, index, deadline);
    sluice_timers_place(timers, index);
}

void sluice_timers_reset(struct sluice_timers *timers, uint32_t index, int64_t deadline) {
    reset_timer(timers, index, deadline);
}

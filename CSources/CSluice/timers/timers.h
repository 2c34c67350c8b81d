/* timers.h - the timers of a loop: up to 2^28, each 40 bytes, named by an index and a generation.
 *
 * What is promised:
 * - a timer never fires early: expire reports it only where its deadline is at or before `now`;
 * - within a turn, timers fire in order of deadline, and where deadlines are equal in the order in
 *   which they were set (added, reset, or armed again), as long as fewer than 2^31 were set
 *   between;
 * - one that was cancelled or reset is never seen again for its old deadline, due or not;
 * - a turn ends. It begins with the first call of expire after one that returned none (or after
 * init) and takes that call's `now`. What is set before its end counts from the next turn on,
 * however early its deadline, so that a caller who sets a timer of 0 ns for each that fires gets
 * out.
 *
 * A deadline is a moment of CLOCK_MONOTONIC in nanoseconds. One in the past is due at once, a
 * negative one too. INT64_MAX is never. One thread at a time. */
#ifndef SLUICE_TIMERS_H
#define SLUICE_TIMERS_H

#include "base/platform.h"

#include "base/allocator.h"

/* A tick is 2^13 ns, 8.2 us. Four digits of twelve bits and one of two make up every tick. */
enum {
    SLUICE_TICK_BITS = 13,
    SLUICE_DIGIT_BITS = 12,
    SLUICE_LEVELS = 5,
    SLUICE_LEVEL_SLOTS = 1 << SLUICE_DIGIT_BITS,
    SLUICE_LEVEL_WORDS = SLUICE_LEVEL_SLOTS / 64,
    SLUICE_TOP_SLOTS = 1 << (63 - SLUICE_TICK_BITS - 4 * SLUICE_DIGIT_BITS),
    SLUICE_WHEEL_SLOTS = 4 * SLUICE_LEVEL_SLOTS + SLUICE_TOP_SLOTS,
    SLUICE_FRESH = SLUICE_WHEEL_SLOTS, /* these two lists lie behind the wheel */
    SLUICE_DUE,
    SLUICE_SLOTS
};

/* A link is the index of a record or, at both ends of a slot's list, the slot's number with
 * SLUICE_LINK_SLOT. A free record has SLUICE_LINK_FREE for `previous`. */
#define SLUICE_LINK_SLOT UINT32_C(0x80000000)
#define SLUICE_LINK_FREE UINT32_C(0xFFFFFFFF)

struct sluice_timer {
    uint64_t user;
    int64_t deadline;
    int64_t repeat;      /* 0 for once */
    uint32_t generation; /* 0 once all have been used */
    uint32_t sequence;   /* grows from set to set, and wraps */
    uint32_t next;       /* of a free one, the next free one or SLUICE_LINK_FREE */
    uint32_t previous;
};

/* What an empty slot of the wheel holds means nothing; FRESH and DUE, empty, hold their own link.
 */
struct sluice_timer_slot {
    uint32_t first;
    uint32_t last;
};

/* Invariants, which the tests walk:
 * - a live record is in exactly one slot, and any other in the free list, or it has generation 0
 *   and is never used again;
 * - the slots of the wheel that are not empty have their bit in `words`, and the words that are not
 *   0 theirs in `summary`;
 * - `horizon` is `tick`, or in a turn the tick of the turn's `now` where that is later;
 * - the wheel holds records that were filed for their deadline, or for an earlier one before they
 *   were reset: a slot begins after `tick` and not after the deadlines in it;
 * - DUE holds deadlines of at most `tick`, in order; FRESH of at most `horizon`, in any order. */
struct sluice_timers {
    struct sluice_allocator allocator;
    struct sluice_timer *records;
    struct sluice_timer_slot *slots; /* NULL until the first timer */
    uint32_t capacity;
    uint32_t used; /* records that have ever been live */
    uint32_t free; /* the first of the free list */
    uint32_t sequence;
    int64_t tick;
    int64_t horizon;
    int64_t turn; /* the turn's `now` */
    bool in_turn;
    uint64_t summary[SLUICE_LEVELS];
    uint64_t words[SLUICE_WHEEL_SLOTS / 64 + 1];
};

/* Allocates nothing yet. */
SLUICE_INTERNAL void sluice_timers_init(struct sluice_timers *timers,
                                        const struct sluice_allocator *allocator, int64_t now);
SLUICE_INTERNAL void sluice_timers_deinit(struct sluice_timers *timers);

#define SLUICE_NO_TIMER SLUICE_LINK_FREE

/* Sets a timer for `deadline`, and from then on every `repeat` ns, or once where that is 0. Its
 * index; or SLUICE_NO_TIMER, with nothing changed, where memory ran out. */
SLUICE_INTERNAL uint32_t sluice_timers_add(struct sluice_timers *timers, int64_t deadline,
                                           int64_t repeat, uint64_t user);

/* Whether there has ever been a timer: as long as not, nothing else needs to be called. */
static inline bool sluice_timers_used(const struct sluice_timers *timers) {
    return timers->slots != NULL;
}

/* Of a live timer. In constant time, as are reset, and add but for the growth of the array. */
SLUICE_INTERNAL void sluice_timers_cancel(struct sluice_timers *timers, uint32_t index);

/* Of a live timer, also of the one just reported where it repeats, whose period then counts from
 * here. A later deadline costs hardly more than storing it. */
SLUICE_INTERNAL void sluice_timers_reset(struct sluice_timers *timers, uint32_t index,
                                         int64_t deadline);

/* Between turns: when to call expire next, the earliest deadline; INT64_MAX where there is none. It
 * is exact where the slot of the earliest holds at most SLUICE_TIMERS_WALK timers. Of a fuller one
 * it is the slot's beginning, once, and expire then spreads it: see the opening comment of
 * timers.c. Never late. Once expire has returned none it lies behind that turn's `now`, unless the
 * caller has set a timer that does not. */
SLUICE_INTERNAL int64_t sluice_timers_next_deadline(struct sluice_timers *timers);
#define SLUICE_TIMERS_WALK 8

/* The earliest timer that is due, or SLUICE_NO_TIMER at the end of the turn, whose `now` is that of
 * its first call. A timer set for once has ended when it is reported; its words can be read until
 * the next add. One that repeats is live and already set again, for the first multiple of its
 * period after `now`: a period that was missed is left out. */
SLUICE_INTERNAL uint32_t sluice_timers_expire(struct sluice_timers *timers, int64_t now);

/* The list of `first`, linked by `next` and ended by any link to a slot, in order. Returns its
 * first, and its last's `next` is SLUICE_LINK_FREE; `previous` is not kept. */
SLUICE_INTERNAL uint32_t sluice_timers_sort(struct sluice_timer *records, uint32_t first);

/* The timers of a tick, dealt into parts of it: each a list, whose last's `next` means nothing. */
enum { SLUICE_PARTS = 256 };
struct sluice_timer_parts {
    uint64_t
        filled[SLUICE_PARTS / 64]; /* a bit for each that is not empty: else it means nothing */
    uint32_t first[SLUICE_PARTS];
    uint32_t last[SLUICE_PARTS];
};

/* Makes them, sorted, the list of DUE, which is empty. */
SLUICE_INTERNAL void sluice_timers_collect(struct sluice_timers *timers,
                                           struct sluice_timer_parts *parts);

/* Whether `left` fires before `right`. */
static inline bool sluice_timer_before(const struct sluice_timer *left,
                                       const struct sluice_timer *right) {
    if (left->deadline != right->deadline)
        return left->deadline < right->deadline;
    return left->sequence - right->sequence >= SLUICE_LINK_SLOT;
}

/* Any index and generation may be asked for. */
static inline bool sluice_timers_alive(const struct sluice_timers *timers, uint32_t index,
                                       uint32_t generation) {
    if (index >= timers->used)
        return false;
    const struct sluice_timer *timer = &timers->records[index];
    return timer->generation == generation && timer->previous != SLUICE_LINK_FREE;
}

/* Of a live timer, or of the one just reported. */
static inline uint32_t sluice_timers_generation(const struct sluice_timers *timers,
                                                uint32_t index) {
    return timers->records[index].generation;
}

static inline uint64_t sluice_timers_user(const struct sluice_timers *timers, uint32_t index) {
    return timers->records[index].user;
}

static inline bool sluice_timers_repeats(const struct sluice_timers *timers, uint32_t index) {
    return timers->records[index].repeat != 0;
}

static inline void sluice_timers_set_user(struct sluice_timers *timers, uint32_t index,
                                          uint64_t user) {
    timers->records[index].user = user;
}

#endif

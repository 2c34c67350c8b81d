/* timers.h - the timers of a loop: up to 2^28, each 40 bytes, named by an index and a generation.
 *
 * What is promised:
 * - a timer never fires early: expire reports it only if its deadline is at or before `now`;
 * - within a turn, timers fire in order of deadline. If deadlines are equal, they fire in the order
 *   in which they were set (added, reset, or armed again), as long as fewer than 2^31 were set
 *   between;
 * - a timer that was cancelled or reset is never seen again for its old deadline, due or not;
 * - a turn ends. It begins with the first call of expire after one that returned none (or after
 *   init), and takes that call's `now`. A timer that is set before its end counts from the next
 *   turn on, however early its deadline. So a caller who sets a timer of 0 ns for each one that
 *   fires gets out of the turn.
 *
 * A deadline is a moment of CLOCK_MONOTONIC in nanoseconds. A deadline in the past is due at once,
 * and so is a negative one. INT64_MAX is never. One thread at a time. */
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
    SLUICE_FRESH = SLUICE_WHEEL_SLOTS, /* these two lists come behind the wheel */
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
    int64_t repeat;      /* 0 if it fires once */
    uint32_t generation; /* 0 once all have been used */
    uint32_t sequence;   /* grows from set to set, and wraps */
    uint32_t next;       /* of a free record: the next free one, or SLUICE_LINK_FREE */
    uint32_t previous;
};

/* In an empty slot of the wheel both mean nothing. FRESH and DUE, if empty, hold their own link. */
struct sluice_timer_slot {
    uint32_t first;
    uint32_t last;
};

/* Invariants, which the tests walk:
 * - a live record is in exactly one slot. Any other record is in the free list, or has generation 0
 *   and is never used again;
 * - the slots of the wheel that are not empty have their bit in `words`, and the words that are not
 *   0 have theirs in `summary`;
 * - `horizon` is `tick`, or in a turn the tick of the turn's `now` if that is later;
 * - the wheel holds records that were filed for their deadline, or for an earlier one before they
 *   were reset: a slot begins after `tick` and not after the deadlines in it;
 * - DUE holds deadlines of at most `tick`, in order. FRESH holds deadlines of at most `horizon`, in
 *   any order. */
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

/* Sets a timer for `deadline`, and from then on every `repeat` ns, or once if `repeat` is 0.
 * Returns its index; or SLUICE_NO_TIMER, with nothing changed, if memory ran out. */
SLUICE_INTERNAL uint32_t sluice_timers_add(struct sluice_timers *timers, int64_t deadline,
                                           int64_t repeat, uint64_t user);

/* Whether there has ever been a timer. As long as there has been none, nothing else needs to be
 * called. */
static inline bool sluice_timers_used(const struct sluice_timers *timers) {
    return timers->slots != NULL;
}

/* Cancels a live timer, in constant time. A reset takes constant time too, and so does an add,
 * except when the array grows. */
SLUICE_INTERNAL void sluice_timers_cancel(struct sluice_timers *timers, uint32_t index);

/* Resets a live timer. That may be the one just reported, if it repeats: its period then counts
 * from here. A later deadline costs hardly more than storing it. */
SLUICE_INTERNAL void sluice_timers_reset(struct sluice_timers *timers, uint32_t index,
                                         int64_t deadline);

/* Between turns: when to call expire next. That is the earliest deadline, or INT64_MAX if there is
 * none. It is exact if the slot of the earliest timer holds at most SLUICE_TIMERS_WALK timers. For
 * a fuller slot it is the slot's beginning, once, and expire then spreads the slot: see the opening
 * comment of timers.c. It is never late. Once expire has returned none, it is after that turn's
 * `now`, unless the caller has set a timer for an earlier moment. */
SLUICE_INTERNAL int64_t sluice_timers_next_deadline(struct sluice_timers *timers);
#define SLUICE_TIMERS_WALK 8

/* The earliest timer that is due, or SLUICE_NO_TIMER at the end of the turn. The turn's `now` is
 * that of its first call. A timer that fires once has ended when it is reported. Its user word and
 * generation can be read until the next add. A timer that repeats is live and already set again,
 * for the first multiple of its period after `now`: a period that was missed is left out. */
SLUICE_INTERNAL uint32_t sluice_timers_expire(struct sluice_timers *timers, int64_t now);

/* Sorts the list that begins with `first`, is linked by `next` and ends with any link to a slot.
 * Returns its first. The `next` of its last is SLUICE_LINK_FREE. `previous` is not kept. */
SLUICE_INTERNAL uint32_t sluice_timers_sort(struct sluice_timer *records, uint32_t first);

/* The timers of a tick, dealt into parts of the tick. Each part is a list. The `next` of its last
 * means nothing. */
enum { SLUICE_PARTS = 256 };
struct sluice_timer_parts {
    uint64_t filled[SLUICE_PARTS / 64]; /* a bit for each part that is not empty: the others mean
                                         * nothing */
    uint32_t first[SLUICE_PARTS];
    uint32_t last[SLUICE_PARTS];
};

/* Makes the parts, sorted, the list of DUE, which is empty before. */
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

/* For a live timer, or the one just reported. */
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

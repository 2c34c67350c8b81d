/* wheel.c - the timers of the core by themselves. LIVE are set, and then OPERATION is done TIMES
 * times to them.
 *
 * The cost of one is the difference between two runs of different TIMES, divided by the difference
 * in times: what setting up costs falls out. Under callgrind that is instructions; the program
 * itself prints the nanoseconds, and the bytes that were asked for. The program's own loop is
 * included. The core's names are hidden, so this is built with its files and not with the library.
 *
 *   add       more timers
 *   cancel    of LIVE, in random order; at most LIVE
 *   reset     any, to a minute from now, which moves on by 1 us
 *   earlier   any, to a random deadline, which is an earlier one in every second case
 *   fire      at most LIVE; a turn each ms, and those of years at their deadlines
 *   exact     the same, a turn at each deadline, as a loop that sleeps until then
 *   jump      the same, all in one turn
 *   instant   the same, and all have one deadline
 *
 * Deadlines are random, from 1 ms to 100 s, but for one in a thousand, of up to ten years. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timers/timers.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define YEAR (INT64_C(365) * 86400 * SECOND)

enum { MOST = 4000000, SPARE = 1 << 20 };

/* Made in advance, and the same for any number of times, so that what is counted is the timers. */
struct plan {
    int64_t *deadlines; /* of those set first, then SPARE for those set later, in turn */
    uint32_t *order;    /* of the indices that are live, each once */
    long live;
    long times;
};

/* What is asked for; blocks are never freed but at the end. */
static void *counted(void *context, void *block, size_t size) {
    size_t *allocated = context;
    *allocated += size - (block ? malloc_usable_size(block) : 0);
    return sluice_reallocate_by_libc(NULL, block, size);
}

static uint64_t any(void) {
    static uint64_t state = 0x9E3779B97F4A7C15;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545F4914F6CDD1D) >> 1;
}

static struct plan make_plan(long live, long times) {
    struct plan plan = {.live = live, .times = times};
    plan.deadlines = calloc((size_t)(live + SPARE), sizeof *plan.deadlines);
    plan.order = calloc((size_t)live, sizeof *plan.order);
    if (!plan.deadlines || !plan.order)
        abort();
    for (long i = 0; i < live + SPARE; i++)
        plan.deadlines[i] =
            (int64_t)(any() % 1000 ? any() % (100 * SECOND) : any() % (10 * YEAR)) + MS;
    for (long i = 0; i < live; i++) {
        long with = (long)(any() % (uint64_t)(i + 1));
        plan.order[i] = plan.order[with];
        plan.order[with] = (uint32_t)i;
    }
    return plan;
}

static void add(struct sluice_timers *timers, const int64_t *deadlines, long count) {
    for (long i = 0; i < count; i++)
        if (sluice_timers_add(timers, deadlines[i], 0, (uint64_t)i) == SLUICE_NO_TIMER)
            abort();
}

static void cancel(struct sluice_timers *timers, const struct plan *plan) {
    for (long i = 0; i < plan->times; i++)
        sluice_timers_cancel(timers, plan->order[i]);
}

static void reset(struct sluice_timers *timers, const struct plan *plan, bool earlier) {
    const int64_t *deadlines = plan->deadlines + plan->live;
    long at = 0;
    for (long i = 0; i < plan->times; i++) {
        sluice_timers_reset(timers, plan->order[at],
                            earlier ? deadlines[i % SPARE] : 60 * SECOND + i * 1000);
        if (++at == plan->live)
            at = 0;
    }
}

/* Returns how many turns it took. */
static long fire(struct sluice_timers *timers, long times, int64_t step, bool exact) {
    long turns = 0;
    int64_t now = 0;
    for (long fired = 0; fired < times; turns++) {
        now = exact || now > 100 * SECOND ? sluice_timers_next_deadline(timers) : now + step;
        while (sluice_timers_expire(timers, now) != SLUICE_NO_TIMER)
            fired++;
    }
    return turns;
}

static long run(struct sluice_timers *timers, const struct plan *plan, const char *operation) {
    if (strcmp(operation, "add") == 0)
        add(timers, plan->deadlines + plan->live, plan->times);
    else if (strcmp(operation, "cancel") == 0)
        cancel(timers, plan);
    else if (strcmp(operation, "reset") == 0)
        reset(timers, plan, false);
    else if (strcmp(operation, "earlier") == 0)
        reset(timers, plan, true);
    else if (strcmp(operation, "exact") == 0)
        return fire(timers, plan->times, 0, true);
    else
        return fire(timers, plan->times, strcmp(operation, "fire") == 0 ? MS : 20 * YEAR, false);
    return 0;
}

int main(int argc, char **argv) {
    long live = argc == 4 ? atol(argv[2]) : 0;
    long times = argc == 4 ? atol(argv[3]) : 0;
    if (live < 1 || live > MOST || times < 0 || (strcmp(argv[1], "add") == 0 && times > SPARE)) {
        fprintf(stderr, "usage: wheel OPERATION LIVE TIMES\n");
        return 2;
    }
    struct plan plan = make_plan(live, times);
    if (strcmp(argv[1], "instant") == 0)
        for (long i = 0; i < live; i++)
            plan.deadlines[i] = 100 * SECOND;
    size_t allocated = 0;
    struct sluice_timers *timers = malloc(sizeof *timers);
    if (!timers)
        return 1;
    sluice_timers_init(timers, &(struct sluice_allocator){counted, &allocated}, 0);
    add(timers, plan.deadlines, live);
    int64_t began = sluice_clock_ns();
    long turns = run(timers, &plan, argv[1]);
    int64_t took = sluice_clock_ns() - began;
    printf("%s: %.1f ns each, %ld turns, %.2f bytes a timer\n", argv[1],
           (double)took / (double)(times > 0 ? times : 1), turns,
           (double)(allocated + sizeof *timers) / (double)timers->used);
    sluice_timers_deinit(timers);
    free(timers);
    free(plan.order);
    free(plan.deadlines);
    return 0;
}

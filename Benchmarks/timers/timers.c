/* timers.c - what timers cost by a library's public calls.
 *
 *     timers-LIBRARY add|cancel|fire|reset LIVE TIMES
 *
 *   add     TIMES are set, LIVE of them before
 *   cancel  TIMES of LIVE, in random order
 *   fire    LIVE that are due, whatever TIMES says, after a wait of a fifth of a second
 *   reset   TIMES, of LIVE in turn, to a minute
 *
 * Deadlines are random, from 1 ms to 100 s; those that are to fire, to 100 ms. Prints the CPU
 * nanoseconds of one, and the bytes that malloc gave for each, the caller's own structures
 * included. callgrind counts what `measured` executes. One program for each library. */
#define _GNU_SOURCE
#include "timers.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

enum { MOST = 4000000 };

struct plan {
    int64_t *deadlines;
    long *order;
    long live, times;
};

static long fired;

void on_fired(void) {
    fired++;
}

static uint64_t any(void) {
    static uint64_t state = 0x9E3779B97F4A7C15;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545F4914F6CDD1D) >> 1;
}

static struct plan make_plan(long live, long times, int64_t longest) {
    struct plan plan = {.live = live, .times = times};
    plan.deadlines = calloc((size_t)(live + times), sizeof *plan.deadlines);
    plan.order = calloc((size_t)(live + 1), sizeof *plan.order);
    if (!plan.deadlines || !plan.order)
        exit(1);
    for (long i = 0; i < live + times; i++)
        plan.deadlines[i] = MS + (int64_t)(any() % (uint64_t)longest);
    for (long i = 0; i < live; i++) {
        long with = (long)(any() % (uint64_t)(i + 1));
        plan.order[i] = plan.order[with];
        plan.order[with] = i;
    }
    return plan;
}

/* The only function whose cost counts. */
static __attribute__((noinline)) void measured(const struct plan *plan, char operation) {
    switch (operation) {
    case 'a':
        for (long i = plan->live; i < plan->live + plan->times; i++)
            timers_add(i, plan->deadlines[i]);
        break;
    case 'c':
        for (long i = 0; i < plan->times; i++)
            timers_cancel(plan->order[i]);
        break;
    case 'r':
        for (long i = 0, at = 0; i < plan->times; i++) {
            timers_reset(at, 60 * SECOND);
            if (++at == plan->live)
                at = 0;
        }
        break;
    default:
        while (fired < plan->live)
            timers_fire();
    }
}

static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double allocated(void) {
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
}

/* The operation's letter, or 0 where the arguments are wrong. */
static char parse(int argc, char **argv, long *live, long *times) {
    if (argc != 4)
        return 0;
    const char *operation = strchr("acfr", argv[1][0]);
    *live = atol(argv[2]);
    *times = atol(argv[3]);
    if (!operation || *live < 0 || *times < 0 || *live + *times > MOST ||
        (*operation != 'a' && *live == 0) || (*operation == 'c' && *times > *live))
        return 0;
    return *operation;
}

int main(int argc, char **argv) {
    long live = 0;
    long times = 0;
    char operation = parse(argc, argv, &live, &times);
    if (!operation) {
        fprintf(stderr, "usage: timers add|cancel|fire|reset LIVE TIMES\n");
        return 2;
    }
    struct plan plan = make_plan(live, times, operation == 'f' ? 100 * MS : 100 * SECOND);
    long count = operation == 'a' ? live + times : live;
    double before = allocated();
    if (!timers_open(count))
        exit(1);
    for (long i = 0; i < live; i++)
        timers_add(i, plan.deadlines[i]);
    if (operation == 'f')
        nanosleep(&(struct timespec){.tv_nsec = 200 * MS}, NULL);
    double began = cpu_ns();
    measured(&plan, operation);
    double took = cpu_ns() - began;
    long done = operation == 'f' ? live : times;
    printf("%.1f %.1f\n", took / (double)(done > 0 ? done : 1),
           (allocated() - before) / (double)count);
    free(plan.deadlines);
    free(plan.order);
    return 0;
}

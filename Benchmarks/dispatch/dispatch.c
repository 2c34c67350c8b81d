/* dispatch.c - what it costs to be told that a descriptor is ready.
 *
 *     dispatch-LIBRARY cascade|wide COUNT ACTIVE EVENTS [BACKEND]
 *     dispatch-LIBRARY ready COUNT ROUNDS [BACKEND]
 *
 *   cascade  COUNT pipes in a ring and ACTIVE bytes that go round it, EVENTS times: the classic
 *            measurement. Prints the CPU nanoseconds of an event, its read and write included; in
 *            each of 5 repetitions, of which the first warms up
 *   wide     the same with eventfds, of which each counts how often it was written to: one
 *            descriptor instead of two, so that there can be more
 *   ready    COUNT descriptors that are ready always, and ROUNDS waits. Under callgrind an event's
 *            instructions are the difference of two runs, divided by the difference in events
 *
 * One program for each library, and this file in each. */
#define _GNU_SOURCE
#include "dispatch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>

enum { REPETITIONS = 5 };

struct cascade cascade;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int open_pipe(int ends[2]) {
    if (cascade.unit == 1)
        return pipe(ends);
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    return ends[0];
}

static void open_pipes(int count) {
    cascade.pipes = calloc((size_t)count, sizeof *cascade.pipes);
    if (!cascade.pipes)
        fail("calloc");
    for (int i = 0; i < count; i++)
        if (open_pipe(cascade.pipes[i]) < 0 || !dispatch_watch(cascade.pipes[i][0], i))
            fail("a pipe");
}

static void go_round(int active, long events) {
    const uint64_t once = 1;
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
        cascade.seen = 0;
        cascade.left = events - active;
        double began = cpu_ns();
        for (int i = 0; i < active; i++)
            if (write(cascade.pipes[(long)i * cascade.count / active][1], &once, cascade.unit) < 0)
                fail("write");
        while (cascade.seen < events)
            dispatch_wait();
        if (repetition > 0)
            printf("%.1f\n", (cpu_ns() - began) / (double)events);
    }
}

static void stay_ready(long rounds) {
    for (int i = 0; i < cascade.count; i++)
        if (!dispatch_watch(eventfd(1, EFD_CLOEXEC), i))
            fail("an eventfd");
    while (cascade.seen < rounds * cascade.count)
        dispatch_wait();
}

int main(int argc, char **argv) {
    int wide = argc >= 2 && strcmp(argv[1], "wide") == 0;
    int cascading = argc >= 5 && (wide || strcmp(argv[1], "cascade") == 0);
    cascade.unit = wide ? sizeof(uint64_t) : 1;
    cascade.count = argc >= 4 ? atoi(argv[2]) : 0;
    int active = cascading ? atoi(argv[3]) : 1;
    if (cascade.count < 1 || active < 1 || active > cascade.count ||
        (!cascading && strcmp(argv[1], "ready") != 0)) {
        fprintf(stderr, "usage: dispatch cascade|wide COUNT ACTIVE EVENTS [BACKEND]\n"
                        "       dispatch ready COUNT ROUNDS [BACKEND]\n");
        return 2;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!dispatch_open(argv[cascading ? 5 : 4], cascade.count)) {
        fprintf(stderr, "dispatch: no such backend\n");
        return 1;
    }
    if (cascading) {
        open_pipes(cascade.count);
        go_round(active, atol(argv[4]));
    } else {
        stay_ready(atol(argv[3]));
    }
    return 0;
}

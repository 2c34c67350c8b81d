/* libuv.c - the timers of libuv, which have milliseconds. */
#define _GNU_SOURCE
#include "timers.h"

#include <stdlib.h>
#include <uv.h>

static uv_timer_t *timers;

static void on_timeout(uv_timer_t *timer) {
    (void)timer;
    on_fired();
}

int timers_open(long count) {
    timers = calloc((size_t)count, sizeof *timers);
    for (long i = 0; timers && i < count; i++)
        uv_timer_init(uv_default_loop(), &timers[i]);
    return timers != NULL;
}

void timers_add(long index, int64_t ns) {
    if (uv_timer_start(&timers[index], on_timeout, (uint64_t)ns / 1000000, 0) < 0)
        exit(1);
}

void timers_cancel(long index) {
    uv_timer_stop(&timers[index]);
}

void timers_reset(long index, int64_t ns) {
    timers_add(index, ns);
}

void timers_fire(void) {
    uv_run(uv_default_loop(), UV_RUN_NOWAIT);
}

/* libev.c - the timers of libev. */
#include "timers.h"

#include <ev.h>
#include <stdlib.h>

static struct ev_loop *loop;
static ev_timer *timers;

static void on_timeout(struct ev_loop *of, ev_timer *timer, int what) {
    (void)of;
    (void)timer;
    (void)what;
    on_fired();
}

int timers_open(long count) {
    timers = calloc((size_t)count, sizeof *timers);
    loop = ev_loop_new(EVBACKEND_EPOLL);
    return timers && loop;
}

void timers_add(long index, int64_t ns) {
    ev_timer_init(&timers[index], on_timeout, (double)ns / 1e9, 0);
    ev_timer_start(loop, &timers[index]);
}

void timers_cancel(long index) {
    ev_timer_stop(loop, &timers[index]);
}

void timers_reset(long index, int64_t ns) {
    timers[index].repeat = (double)ns / 1e9;
    ev_timer_again(loop, &timers[index]);
}

void timers_fire(void) {
    ev_run(loop, EVRUN_NOWAIT);
}

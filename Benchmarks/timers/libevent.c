/* libevent.c - the timers of libevent. The base's time is cached, as it is within a callback. */
#include "timers.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

static struct event_base *base;
static struct event *events;

static void on_timeout(int fd, short what, void *argument) {
    (void)fd;
    (void)what;
    (void)argument;
    on_fired();
}

int timers_open(long count) {
    events = calloc((size_t)count, sizeof *events);
    base = event_base_new();
    return events && base && event_base_update_cache_time(base) == 0;
}

static struct timeval in(int64_t ns) {
    return (struct timeval){.tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000};
}

void timers_add(long index, int64_t ns) {
    struct timeval after = in(ns);
    evtimer_assign(&events[index], base, on_timeout, NULL);
    if (evtimer_add(&events[index], &after) < 0)
        exit(1);
}

void timers_cancel(long index) {
    evtimer_del(&events[index]);
}

void timers_reset(long index, int64_t ns) {
    struct timeval after = in(ns);
    evtimer_add(&events[index], &after);
}

void timers_fire(void) {
    event_base_loop(base, EVLOOP_NONBLOCK);
}

/* sluice.c - the timers of a Sluice loop. */
#include "timers.h"

#include <stdlib.h>

#include "sluice.h"

static sluice_loop *loop;
static sluice_id *ids;

int timers_open(long count) {
    ids = calloc((size_t)count, sizeof *ids);
    return ids && sluice_open(&loop, NULL) >= 0;
}

void timers_add(long index, int64_t ns) {
    if (sluice_timer(loop, &ids[index], ns, 0, 0) < 0)
        exit(1);
}

void timers_cancel(long index) {
    sluice_close(loop, ids[index]);
}

void timers_reset(long index, int64_t ns) {
    sluice_timer_reset(loop, ids[index], ns);
}

void timers_fire(void) {
    sluice_event event;
    while (sluice_next(loop, &event, 0) > 0)
        on_fired();
}

/* poller.c - dispatch by Sluice's poller. */
#include "dispatch.h"

#include <stdlib.h>

#include "sluice.h"
#ifdef WITH_LIBEVENT
#include "sluice_libevent.h"
#endif

static sluice_poller *poller;
static sluice_ready *events;
static int capacity;

int dispatch_open(const char *backend, int count) {
#ifdef WITH_LIBEVENT
    if (sluice_libevent_register() < 0)
        return 0;
#endif
    capacity = count;
    events = calloc((size_t)count, sizeof *events);
    return events && sluice_poller_create(&poller, backend) >= 0;
}

int dispatch_watch(int fd, int index) {
    return sluice_poller_add(poller, fd, SLUICE_READ, (uint64_t)index) >= 0;
}

void dispatch_wait(void) {
    int count = sluice_poller_wait(poller, events, capacity, SLUICE_FOREVER);
    for (int i = 0; i < count; i++)
        on_ready((int)events[i].user);
}

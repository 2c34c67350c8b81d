/* loop.c - dispatch by the watches of a Sluice loop. */
#include "dispatch.h"

#include "sluice.h"

static sluice_loop *loop;

int dispatch_open(const char *backend, int count) {
    (void)count;
    return sluice_open(&loop,
                       &(sluice_options){.size = sizeof(sluice_options), .backend = backend}) >= 0;
}

int dispatch_watch(int fd, int index) {
    return sluice_watch(loop, NULL, fd, SLUICE_READ, (uint64_t)index) >= 0;
}

void dispatch_wait(void) {
    sluice_event event;
    if (sluice_next(loop, &event, SLUICE_FOREVER) > 0)
        on_ready((int)event.user);
}

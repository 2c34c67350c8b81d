/* libev.c - dispatch by libev's io watchers, over its epoll, poll or select. */
#include "dispatch.h"

#include <ev.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct ev_loop *loop;

static void on_event(struct ev_loop *of, ev_io *watcher, int what) {
    (void)of;
    (void)what;
    on_ready((int)(intptr_t)watcher->data);
}

int dispatch_open(const char *backend, int count) {
    (void)count;
    unsigned flags = EVBACKEND_EPOLL;
    if (backend && strcmp(backend, "epoll") != 0)
        flags = strcmp(backend, "poll") == 0 ? EVBACKEND_POLL : EVBACKEND_SELECT;
    loop = ev_loop_new(flags);
    return loop && ev_backend(loop) == flags;
}

int dispatch_watch(int fd, int index) {
    ev_io *watcher = malloc(sizeof *watcher);
    if (!watcher)
        return 0;
    ev_io_init(watcher, on_event, fd, EV_READ);
    watcher->data = (void *)(intptr_t)index;
    ev_io_start(loop, watcher);
    return 1;
}

void dispatch_wait(void) {
    ev_run(loop, EVRUN_ONCE);
}

/* libev.c - an echo server on libev: readiness by callback, and the I/O by hand. */
#define _GNU_SOURCE
#include "peer.h"

#include <ev.h>

static void on_ready(struct ev_loop *loop, ev_io *watcher, int what) {
    int fd = watcher->fd;
    enum wanted was = what & EV_WRITE ? WRITING : READING;
    enum wanted wanted = go_on(fd);
    if (wanted == was)
        return;
    ev_io_stop(loop, watcher);
    if (wanted == ENDED) {
        free(watcher);
        return;
    }
    ev_io_set(watcher, fd, wanted == WRITING ? EV_WRITE : EV_READ);
    ev_io_start(loop, watcher);
}

static void on_connection(struct ev_loop *loop, ev_io *listening, int what) {
    (void)what;
    for (int fd; (fd = accept_at(listening->fd)) >= 0;) {
        ev_io *watcher = malloc(sizeof *watcher);
        if (!watcher)
            fail("malloc");
        ev_io_init(watcher, on_ready, fd, EV_READ);
        ev_io_start(loop, watcher);
    }
}

int main(int argc, char **argv) {
    allow_many_descriptors();
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
    if (!loop)
        fail("ev_loop_new");
    ev_io listening;
    ev_io_init(&listening, on_connection, listen_at(argc, argv), EV_READ);
    ev_io_start(loop, &listening);
    ev_run(loop, 0);
    return 0;
}

/* libevent_event.c - an echo server on libevent's event: readiness by callback, and the I/O by
 * hand. */
#define _GNU_SOURCE
#include "peer.h"

#include <event2/event.h>
#include <event2/event_struct.h>

static struct event_base *base;

static void on_ready(int fd, short what, void *argument) {
    struct event *event = argument;
    enum wanted was = what & EV_WRITE ? WRITING : READING;
    enum wanted wanted = go_on(fd);
    if (wanted == was)
        return;
    event_del(event);
    if (wanted == ENDED) {
        free(event);
        return;
    }
    event_assign(event, base, fd, (short)(EV_PERSIST | (wanted == WRITING ? EV_WRITE : EV_READ)),
                 on_ready, event);
    event_add(event, NULL);
}

static void on_connection(int listener, short what, void *argument) {
    (void)what;
    (void)argument;
    for (int fd; (fd = accept_at(listener)) >= 0;) {
        struct event *event = malloc(sizeof *event);
        if (!event)
            fail("malloc");
        event_assign(event, base, fd, EV_READ | EV_PERSIST, on_ready, event);
        event_add(event, NULL);
    }
}

int main(int argc, char **argv) {
    allow_many_descriptors();
    base = event_base_new();
    if (!base)
        fail("event_base_new");
    struct event *listening =
        event_new(base, listen_at(argc, argv), EV_READ | EV_PERSIST, on_connection, NULL);
    event_add(listening, NULL);
    return event_base_dispatch(base) < 0;
}

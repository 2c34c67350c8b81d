/* libevent.c - dispatch by libevent's event, over its epoll, poll or select. */
#include "dispatch.h"

#include <event2/event.h>
#include <stdint.h>
#include <string.h>

static struct event_base *base;

static void on_event(int fd, short what, void *argument) {
    (void)fd;
    (void)what;
    on_ready((int)(intptr_t)argument);
}

int dispatch_open(const char *backend, int count) {
    static const char *const methods[] = {"epoll", "poll", "select"};
    (void)count;
    struct event_config *config = event_config_new();
    for (size_t i = 0; backend && i < sizeof methods / sizeof *methods; i++)
        if (strcmp(backend, methods[i]) != 0)
            event_config_avoid_method(config, methods[i]);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base && (!backend || strcmp(event_base_get_method(base), backend) == 0);
}

int dispatch_watch(int fd, int index) {
    struct event *event =
        event_new(base, fd, EV_READ | EV_PERSIST, on_event, (void *)(intptr_t)index);
    return event && event_add(event, NULL) == 0;
}

void dispatch_wait(void) {
    event_base_loop(base, EVLOOP_ONCE);
}

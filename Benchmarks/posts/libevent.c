/* libevent.c - event_active from another thread, with libevent's locks on: posts coalesce. */
#define _GNU_SOURCE
#include "posts.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <stdlib.h>

const int mailbox_counts = 0;

struct mailbox {
    struct event_base *base;
    struct event *event;
    long seen;
};

static void on_post(int fd, short what, void *argument) {
    (void)fd;
    (void)what;
    ((struct mailbox *)argument)->seen++;
}

struct mailbox *mailbox_open(void) {
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox || evthread_use_pthreads() < 0)
        exit(1);
    mailbox->base = event_base_new();
    mailbox->event = event_new(mailbox->base, -1, EV_PERSIST, on_post, mailbox);
    if (!mailbox->event)
        exit(1);
    return mailbox;
}

void mailbox_post(struct mailbox *mailbox) {
    event_active(mailbox->event, EV_READ, 0);
}

long mailbox_turn(struct mailbox *mailbox) {
    mailbox->seen = 0;
    while (mailbox->seen == 0)
        event_base_loop(mailbox->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
    return mailbox->seen;
}

/* libev.c - ev_async_send: posts coalesce, and carry nothing. */
#define _GNU_SOURCE
#include "posts.h"

#include <ev.h>
#include <stdlib.h>

const int mailbox_counts = 0;

struct mailbox {
    struct ev_loop *loop;
    ev_async async;
    long seen;
};

static void on_post(struct ev_loop *loop, ev_async *async, int what) {
    (void)loop;
    (void)what;
    ((struct mailbox *)async->data)->seen++;
}

struct mailbox *mailbox_open(void) {
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox)
        exit(1);
    mailbox->loop = ev_loop_new(EVBACKEND_EPOLL);
    ev_async_init(&mailbox->async, on_post);
    mailbox->async.data = mailbox;
    ev_async_start(mailbox->loop, &mailbox->async);
    return mailbox;
}

void mailbox_post(struct mailbox *mailbox) {
    ev_async_send(mailbox->loop, &mailbox->async);
}

long mailbox_turn(struct mailbox *mailbox) {
    mailbox->seen = 0;
    while (mailbox->seen == 0)
        ev_run(mailbox->loop, EVRUN_ONCE);
    return mailbox->seen;
}

/* libuv.c - uv_async_send: posts coalesce, and carry nothing. */
#define _GNU_SOURCE
#include "posts.h"

#include <stdlib.h>
#include <uv.h>

const int mailbox_counts = 0;

struct mailbox {
    uv_loop_t loop;
    uv_async_t async;
    long seen;
};

static void on_post(uv_async_t *async) {
    ((struct mailbox *)async->data)->seen++;
}

struct mailbox *mailbox_open(void) {
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox || uv_loop_init(&mailbox->loop) < 0 ||
        uv_async_init(&mailbox->loop, &mailbox->async, on_post) < 0)
        exit(1);
    mailbox->async.data = mailbox;
    return mailbox;
}

void mailbox_post(struct mailbox *mailbox) {
    uv_async_send(&mailbox->async);
}

long mailbox_turn(struct mailbox *mailbox) {
    mailbox->seen = 0;
    while (mailbox->seen == 0)
        uv_run(&mailbox->loop, UV_RUN_ONCE);
    return mailbox->seen;
}

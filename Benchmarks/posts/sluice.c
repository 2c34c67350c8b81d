/* sluice.c - sluice_post: each is delivered, with its word. */
#include "posts.h"

#include <stdlib.h>

#include "sluice.h"

const int mailbox_counts = 1;

enum { BATCH = 256 };

struct mailbox *mailbox_open(void) {
    sluice_loop *loop;
    if (sluice_open(&loop, NULL) < 0)
        exit(1);
    return (struct mailbox *)loop;
}

void mailbox_post(struct mailbox *mailbox) {
    while (sluice_post((sluice_loop *)mailbox, 1) == SLUICE_EFULL) {
    }
}

long mailbox_turn(struct mailbox *mailbox) {
    static _Thread_local sluice_event events[BATCH];
    return sluice_next_many((sluice_loop *)mailbox, events, BATCH, SLUICE_FOREVER);
}

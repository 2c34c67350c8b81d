/* posts.h - how a library's loop is told something by another thread, as posts.c sees it. */
#ifndef POSTS_H
#define POSTS_H

struct mailbox;

/* A loop and what posts to it, for the calling thread to turn; or the end of the program. */
struct mailbox *mailbox_open(void);

/* Posts once. Any thread. */
void mailbox_post(struct mailbox *mailbox);

/* Whether each post is seen; else many that come together stand as one. */
extern const int mailbox_counts;

/* Waits for what was posted, and returns how many posts the loop was told of, at
 * least one. */
long mailbox_turn(struct mailbox *mailbox);

#endif

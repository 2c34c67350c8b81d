/* queue.h - a library's byte queue, as queue.c sees it. All return 0 where something is wrong. */
#ifndef QUEUE_H
#define QUEUE_H

#include <stddef.h>

void *queue_open(void);
int queue_append(void *queue, const void *bytes, size_t length);

/* Looks at the first `length` bytes where they lie, and takes them. */
int queue_take(void *queue, size_t length);

/* Moves everything from one to the other, and takes it there. */
int queue_move(void *to, void *from);
int queue_drop(void *queue, size_t length);

#endif

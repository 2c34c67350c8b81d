/* sluice.c - Sluice's byte queue. */
#include "queue.h"

#include <stdint.h>

#include "sluice.h"

void *queue_open(void) {
    sluice_queue *queue;
    return sluice_queue_init(&queue, 0) < 0 ? NULL : queue;
}

int queue_append(void *queue, const void *bytes, size_t length) {
    return sluice_queue_append(queue, bytes, length) == 0;
}

int queue_take(void *queue, size_t length) {
    sluice_slice slices[2];
    return sluice_queue_peek(queue, slices, 2) > 0 && sluice_queue_consume(queue, length) == 0;
}

int queue_move(void *to, void *from) {
    return sluice_queue_move(to, from, SIZE_MAX) > 0;
}

int queue_drop(void *queue, size_t length) {
    return sluice_queue_consume(queue, length) == 0;
}

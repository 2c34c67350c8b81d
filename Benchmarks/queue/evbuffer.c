/* evbuffer.c - libevent's byte queue. */
#include "queue.h"

#include <event2/buffer.h>

void *queue_open(void) {
    return evbuffer_new();
}

int queue_append(void *queue, const void *bytes, size_t length) {
    return evbuffer_add(queue, bytes, length) == 0;
}

int queue_take(void *queue, size_t length) {
    struct evbuffer_iovec slices[2];
    return evbuffer_peek(queue, (ev_ssize_t)length, NULL, slices, 2) > 0 &&
           evbuffer_drain(queue, length) == 0;
}

int queue_move(void *to, void *from) {
    return evbuffer_add_buffer(to, from) == 0;
}

int queue_drop(void *queue, size_t length) {
    return evbuffer_drain(queue, length) == 0;
}

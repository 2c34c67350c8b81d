/* libuv.c - dispatch by libuv's poll handles; it has epoll only. */
#define _GNU_SOURCE
#include "dispatch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static void on_event(uv_poll_t *handle, int status, int what) {
    (void)status;
    (void)what;
    on_ready((int)(intptr_t)handle->data);
}

int dispatch_open(const char *backend, int count) {
    (void)count;
    return !backend || strcmp(backend, "epoll") == 0;
}

int dispatch_watch(int fd, int index) {
    uv_poll_t *handle = malloc(sizeof *handle);
    if (!handle || uv_poll_init(uv_default_loop(), handle, fd) < 0)
        return 0;
    handle->data = (void *)(intptr_t)index;
    return uv_poll_start(handle, UV_READABLE, on_event) == 0;
}

void dispatch_wait(void) {
    uv_run(uv_default_loop(), UV_RUN_ONCE);
}

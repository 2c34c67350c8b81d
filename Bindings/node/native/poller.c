/* poller.c - readiness by itself. A poller's life, and what other threads say to it, are in loop.c.
 */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>

enum { MOST = 1024 };

/* One that is ready, as JavaScript reads it. */
struct ready {
    int32_t fd;
    uint32_t flags;
};

/* (backend): the poller, or a code. */
static napi_value create(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    char backend[64];
    bool has_backend = take_text(&call, backend, sizeof backend);
    if (call.failed)
        return NULL;
    struct box *box = calloc(1, sizeof *box);
    if (!box)
        return number(&call, SLUICE_ENOMEM);
    /* A text with a NUL is no backend, and "" would be the default. */
    int code = sluice_poller_create(&box->poller, !has_backend ? NULL : backend[0] ? backend : "?");
    if (code < 0) {
        free(box);
        return number(&call, code);
    }
    return box_value(env, box);
}

/* (poller, fd, interest) */
static napi_value add(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int fd = take_int(&call);
    uint32_t interest = take_bits(&call);
    return call.failed ? NULL : number(&call, sluice_poller_add(call.box->poller, fd, interest, 0));
}

static napi_value modify(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int fd = take_int(&call);
    uint32_t interest = take_bits(&call);
    return call.failed ? NULL
                       : number(&call, sluice_poller_modify(call.box->poller, fd, interest, 0));
}

/* (poller, fd) */
static napi_value drop(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int fd = take_int(&call);
    return call.failed ? NULL : number(&call, sluice_poller_remove(call.box->poller, fd));
}

/* (poller, timeout, a BigUint64Array with a word for each event): how many, or a code. */
static napi_value wait_for(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int64_t timeout = take_time(&call);
    void *room = NULL;
    size_t capacity = take_room(&call, &room);
    if (call.failed || capacity == 0 || capacity > MOST)
        return NULL;
    sluice_ready events[MOST];
    int count = is_cancelled(call.box)
                    ? -ECANCELED
                    : sluice_poller_wait(call.box->poller, events, (int)capacity, timeout);
    if (count == 0 && is_cancelled(call.box))
        count = -ECANCELED;
    struct ready *ready = room;
    for (int i = 0; i < count; i++)
        ready[i] = (struct ready){events[i].fd, events[i].flags};
    return number(&call, count);
}

/* undefined where it has ended */
static napi_value backend(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    const char *name = call.failed ? NULL : sluice_poller_backend_name(call.box->poller);
    return name ? text(&call, name) : NULL;
}

static napi_value features(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, sluice_poller_features(call.box->poller));
}

static napi_value backend_fd(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, sluice_poller_backend_fd(call.box->poller));
}

/* (index): the name of a backend, or undefined past the last. */
static napi_value backend_name(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    size_t index = take_size(&call);
    const char *name = call.failed ? NULL : sluice_backend_name(index);
    return name ? text(&call, name) : NULL;
}

const struct export exports_of_poller[] = {
    {"pollerCreate", create},      {"pollerAdd", add},
    {"pollerModify", modify},      {"pollerRemove", drop},
    {"pollerWait", wait_for},      {"pollerBackend", backend},
    {"pollerFeatures", features},  {"pollerBackendFd", backend_fd},
    {"backendName", backend_name}, {0},
};

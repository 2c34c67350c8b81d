/* loop.c - a loop's life, its pulls, and what other threads say to it.
 *
 * Worker threads share no objects. So a thread names the loop of another one by a token, a number
 * that is never used again. The living loops are in a list, under a lock, which is held while
 * somebody posts: a loop cannot end meanwhile. A pull does not hold it. This list is all that the
 * threads share.
 *
 * Decided against: a pointer as the token. One that was kept too long would be followed. */
#include "addon.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct box *living;
static uint64_t last_token;

/* Begins with the time, since another copy of this addon has tokens of its own. */
static void register_box(struct box *box) {
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t nanoseconds = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    pthread_mutex_lock(&lock);
    last_token = nanoseconds > last_token ? nanoseconds : last_token + 1;
    box->token = last_token;
    box->next = living;
    living = box;
    pthread_mutex_unlock(&lock);
}

/* After that no thread finds the loop any more, and none is in a call of it. */
static void unregister_box(const struct box *box) {
    pthread_mutex_lock(&lock);
    struct box **at = &living;
    while (*at && *at != box)
        at = &(*at)->next;
    if (*at)
        *at = box->next;
    pthread_mutex_unlock(&lock);
}

static int end(struct box *box) {
    if (!box->loop)
        return 0;
    unregister_box(box);
    int code = sluice_destroy(box->loop);
    box->loop = NULL;
    return code;
}

/* A loop that nobody refers to any more, or whose environment ends. */
static void finalize(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    end(data);
    free(data);
}

static sluice_options options_of(const double *numbers) {
    return (sluice_options){
        .size = sizeof(sluice_options),
        .receive_size = (size_t)numbers[0],
        .high_mark = (size_t)numbers[1],
        .low_mark = (size_t)numbers[2],
        .hard_limit = (size_t)numbers[3],
        .memory_limit = (size_t)numbers[4],
        .post_limit = (size_t)numbers[5],
        .handle_limit = (uint32_t)numbers[6],
    };
}

/* (numbers, backend): the loop, or a code. */
static napi_value open_loop(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    double numbers[7];
    char backend[64];
    take_numbers(&call, numbers, 7);
    bool has_backend = take_text(&call, backend, sizeof backend);
    if (call.failed)
        return NULL;
    sluice_options options = options_of(numbers);
    /* A text with a NUL is no backend, and "" would be the default. */
    options.backend = !has_backend ? NULL : backend[0] ? backend : "?";
    struct box *box = calloc(1, sizeof *box);
    if (!box)
        return number(&call, SLUICE_ENOMEM);
    int code = sluice_open(&box->loop, &options);
    if (code < 0) {
        free(box);
        return number(&call, code);
    }
    box->env = env;
    register_box(box);
    napi_value result = NULL;
    if (napi_create_external(env, box, finalize, NULL, &result) != napi_ok)
        finalize(env, box, NULL);
    return result;
}

static napi_value destroy(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, end(call.box));
}

static bool is_cancelled(const struct box *box) {
    pthread_mutex_lock(&lock);
    bool is_cancelled = box->is_cancelled;
    pthread_mutex_unlock(&lock);
    return is_cancelled;
}

/* What JavaScript reads of an event, by views of one ArrayBuffer. */
struct header {
    uint32_t kind;
    int32_t error;
    uint64_t id;
    uint64_t value;
    double length;
};

/* Where there is no memory for them, the bytes of a stream are held, and come again. */
static napi_value bytes_of(const struct call *call, const sluice_event *event) {
    napi_value result = NULL;
    bool is_thrown = false;
    if (napi_create_buffer_copy(call->env, event->length, event->data, NULL, &result) == napi_ok)
        return result;
    if (event->kind == SLUICE_DATA)
        sluice_hold(call->box->loop, event->id, event->length);
    napi_is_exception_pending(call->env, &is_thrown);
    return is_thrown ? NULL : number(call, SLUICE_ENOMEM);
}

/* (loop, timeout, a BigUint64Array of 4): a code, 0 for nothing, 1 for an event; its bytes, if it
 * has some, as a copy, since JavaScript cannot be kept from using the loop's own later. */
static napi_value next(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int64_t timeout = take_time(&call);
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void *room = NULL;
    if (call.failed ||
        napi_get_typedarray_info(env, take_any(&call), &type, &length, &room, NULL, NULL) !=
            napi_ok ||
        type != napi_biguint64_array || length * sizeof(uint64_t) != sizeof(struct header))
        return NULL;
    if (is_cancelled(call.box))
        return number(&call, -ECANCELED);
    sluice_event event;
    int code = sluice_next(call.box->loop, &event, timeout);
    if (code == 0 && is_cancelled(call.box))
        return number(&call, -ECANCELED);
    if (code <= 0)
        return number(&call, code);
    struct header header = {event.kind, event.error, event.id, event.value, (double)event.length};
    memcpy(room, &header, sizeof header);
    return event.data && event.length > 0 ? bytes_of(&call, &event) : number(&call, code);
}

static napi_value token(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL
                       : id_or_code(&call, call.box->loop ? 0 : SLUICE_ENULL, &call.box->token);
}

/* Under the lock: the loop that a token names, or NULL. */
static sluice_loop *named(uint64_t token) {
    const struct box *box = living;
    while (box && box->token != token)
        box = box->next;
    return box ? box->loop : NULL;
}

/* (token, value) */
static napi_value post(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    uint64_t token = take_word(&call), value = take_word(&call);
    if (call.failed)
        return NULL;
    pthread_mutex_lock(&lock);
    int code = sluice_post(named(token), value);
    pthread_mutex_unlock(&lock);
    return number(&call, code);
}

/* (token) */
static napi_value wake(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    uint64_t token = take_word(&call);
    if (call.failed)
        return NULL;
    pthread_mutex_lock(&lock);
    int code = sluice_wake(named(token));
    pthread_mutex_unlock(&lock);
    return number(&call, code);
}

/* Ends the pulls of all other threads, for good. When the process ends, Node.js waits for its
 * workers, and cannot stop one that is in a pull. */
static napi_value cancel_others(napi_env env, napi_callback_info info) {
    (void)info;
    pthread_mutex_lock(&lock);
    for (struct box *box = living; box; box = box->next)
        if (box->env != env) {
            box->is_cancelled = true;
            sluice_wake(box->loop);
        }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static napi_value now(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, (double)sluice_now(call.box->loop));
}

static napi_value update_now(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, (double)sluice_update_now(call.box->loop));
}

static napi_value backend_fd(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, sluice_backend_fd(call.box->loop));
}

static napi_value until_next(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, (double)sluice_until_next(call.box->loop));
}

/* (loop, a Float64Array of 32): the members in their order. */
static napi_value stats(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void *room = NULL;
    if (call.failed ||
        napi_get_typedarray_info(env, take_any(&call), &type, &length, &room, NULL, NULL) !=
            napi_ok ||
        type != napi_float64_array || length != 32)
        return NULL;
    sluice_statistics statistics = {.size = sizeof statistics};
    int code = sluice_stats(call.box->loop, &statistics);
    double *at = room;
    *at++ = (double)statistics.turns;
    for (size_t i = 0; i < 16; i++)
        *at++ = (double)statistics.events[i];
    for (size_t i = 0; i < 8; i++)
        *at++ = (double)statistics.handles[i];
    *at++ = (double)statistics.bytes_received;
    *at++ = (double)statistics.bytes_sent;
    *at++ = (double)statistics.receives;
    *at++ = (double)statistics.sends;
    *at++ = (double)statistics.accepts;
    *at++ = (double)statistics.queue_memory;
    *at = (double)statistics.longest_gap_ns;
    return number(&call, code);
}

const struct export exports_of_loop[] = {
    {"open", open_loop},
    {"destroy", destroy},
    {"next", next},
    {"token", token},
    {"post", post},
    {"wake", wake},
    {"cancelOthers", cancel_others},
    {"now", now},
    {"updateNow", update_now},
    {"backendFd", backend_fd},
    {"untilNext", until_next},
    {"stats", stats},
    {0},
};

/* loop.c - a loop's life, its pulls, and what other threads say to it.
 *
 * Worker threads share no objects. So a thread names the loop of another one by a token, a number
 * that is never used again. The living loops, and pollers, are in a list, under a lock, which is
 * held while somebody posts: a loop cannot end meanwhile. A pull does not hold it. This list is all
 * that the threads share.
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
    if (!box->loop && !box->poller)
        return 0;
    unregister_box(box);
    give_signals_back(box, 0);
    int code = box->loop ? sluice_destroy(box->loop) : 0;
    sluice_poller_destroy(box->poller);
    box->loop = NULL;
    box->poller = NULL;
    return code;
}

/* A loop or a poller that nobody refers to any more, or whose environment ends. */
static void finalize(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    end(data);
    free(data);
}

napi_value box_value(napi_env env, struct box *box) {
    box->env = env;
    register_box(box);
    napi_value result = NULL;
    if (napi_create_external(env, box, finalize, NULL, &result) != napi_ok)
        finalize(env, box, NULL);
    return result;
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
    return box_value(env, box);
}

static napi_value destroy(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    return call.failed ? NULL : number(&call, end(call.box));
}

bool is_cancelled(const struct box *box) {
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

enum { HEADER_WORDS = sizeof(struct header) / sizeof(uint64_t), MOST = 1024 };

static void write_header(struct header *header, const sluice_event *event) {
    *header =
        (struct header){event->kind, event->error, event->id, event->value, (double)event->length};
}

/* Pulls, unless the process is about to end. */
static int pulled(const struct box *box, sluice_event *events, int capacity, int64_t timeout) {
    if (is_cancelled(box))
        return -ECANCELED;
    int code = capacity == 1 ? sluice_next(box->loop, events, timeout)
                             : sluice_next_many(box->loop, events, capacity, timeout);
    return code == 0 && is_cancelled(box) ? -ECANCELED : code;
}

/* (loop, timeout, a BigUint64Array of 4): a code, 0 for nothing, 1 for an event; its bytes, if it
 * has some, as a copy, since JavaScript cannot be kept from using the loop's own later. */
static napi_value next(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int64_t timeout = take_time(&call);
    void *room = NULL;
    if (take_room(&call, &room) != HEADER_WORDS || call.failed)
        return NULL;
    sluice_event event;
    int code = pulled(call.box, &event, 1, timeout);
    if (code <= 0)
        return number(&call, code);
    write_header(room, &event);
    return event.data && event.length > 0 ? bytes_of(&call, &event) : number(&call, code);
}

/* The bytes of an event among several. Only those of the last one could be held. So where there is
 * no memory for them, their stream ends, as its CLOSED will say, and the event becomes none. */
static napi_value bytes_of_one(const struct call *call, const sluice_event *event,
                               struct header *header) {
    napi_value result = NULL, thrown = NULL;
    if (napi_create_buffer_copy(call->env, event->length, event->data, NULL, &result) == napi_ok)
        return result;
    napi_get_and_clear_last_exception(call->env, &thrown);
    if (event->kind == SLUICE_DATA) {
        sluice_abort_with(call->box->loop, event->id, SLUICE_ENOMEM);
        header->kind = 0;
    }
    return NULL;
}

/* (loop, timeout, a BigUint64Array of 4 for each event): a code, 0 for nothing; or an array, as
 * long as there are events, with the bytes of those that have some. */
static napi_value next_many(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int64_t timeout = take_time(&call);
    void *room = NULL;
    size_t capacity = take_room(&call, &room) / HEADER_WORDS;
    if (call.failed || capacity < 2 || capacity > MOST)
        return NULL;
    sluice_event events[MOST];
    struct header *headers = room;
    napi_value result = NULL;
    /* Made before anything is pulled, so that nothing is lost where there is no memory for it. */
    if (napi_create_array_with_length(env, capacity, &result) != napi_ok)
        return NULL;
    int count = pulled(call.box, events, (int)capacity, timeout);
    if (count <= 0)
        return number(&call, count);
    for (int i = 0; i < count; i++) {
        write_header(&headers[i], &events[i]);
        napi_value bytes = events[i].data && events[i].length > 0
                               ? bytes_of_one(&call, &events[i], &headers[i])
                               : NULL;
        if (bytes)
            napi_set_element(env, result, (uint32_t)i, bytes);
    }
    napi_value length = number(&call, count);
    return length && napi_set_named_property(env, result, "length", length) == napi_ok ? result
                                                                                       : NULL;
}

static napi_value token(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    if (call.failed)
        return NULL;
    bool is_living = call.box->loop || call.box->poller;
    return id_or_code(&call, is_living ? 0 : SLUICE_ENULL, &call.box->token);
}

/* Under the lock: what a token names, or an empty box. */
static const struct box *named(uint64_t token) {
    static const struct box none;
    const struct box *box = living;
    while (box && box->token != token)
        box = box->next;
    return box ? box : &none;
}

static int wake_box(const struct box *box) {
    return box->poller ? sluice_poller_wake(box->poller) : sluice_wake(box->loop);
}

/* (token, value) */
static napi_value post(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    uint64_t token = take_word(&call), value = take_word(&call);
    if (call.failed)
        return NULL;
    pthread_mutex_lock(&lock);
    const struct box *box = named(token);
    int code = box->poller ? SLUICE_EKIND : sluice_post(box->loop, value);
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
    int code = wake_box(named(token));
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
            wake_box(box);
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
    {"nextMany", next_many},
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

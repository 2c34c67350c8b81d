/* handles.c - what is made, and what holds for every kind of handle. */
#include "addon.h"

#include <stdbool.h>

/* More than any address has. A text that is cut off here is refused for its length. */
enum { ADDRESS_ROOM = 1024 };

/* The layout of both is that of lib/options.js. */
enum { STREAM_NUMBERS = 7, LISTEN_NUMBERS = 12 };

static sluice_stream_options stream_options_of(const double *numbers, const char *source) {
    return (sluice_stream_options){
        .size = sizeof(sluice_stream_options),
        .flags = (uint32_t)numbers[0],
        .keepalive_seconds = (uint32_t)numbers[1],
        .idle_timeout_ns = (int64_t)numbers[2],
        .linger_ns = (int64_t)numbers[3],
        .connect_timeout_ns = (int64_t)numbers[4],
        .high_mark = (size_t)numbers[5],
        .low_mark = (size_t)numbers[6],
        .source = source,
    };
}

static sluice_listen_options listen_options_of(const double *numbers,
                                               const sluice_stream_options *streams) {
    return (sluice_listen_options){
        .size = sizeof(sluice_listen_options),
        .flags = (uint32_t)numbers[7],
        .backlog = (uint32_t)numbers[8],
        .accept_batch = (uint32_t)numbers[9],
        .connection_limit = (uint32_t)numbers[10],
        .streams = streams,
        .unix_mode = (uint32_t)numbers[11],
    };
}

/* (loop, address, numbers) */
static napi_value listen_at(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    char address[ADDRESS_ROOM];
    double numbers[LISTEN_NUMBERS];
    take_text(&call, address, sizeof address);
    take_numbers(&call, numbers, LISTEN_NUMBERS);
    if (call.failed)
        return NULL;
    sluice_stream_options streams = stream_options_of(numbers, NULL);
    sluice_listen_options options = listen_options_of(numbers, &streams);
    sluice_id id = 0;
    return id_or_code(&call, sluice_listen(call.box->loop, &id, address, &options), &id);
}

/* (loop, fd, numbers) */
static napi_value listen_fd(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    double numbers[LISTEN_NUMBERS];
    int fd = take_int(&call);
    take_numbers(&call, numbers, LISTEN_NUMBERS);
    if (call.failed)
        return NULL;
    sluice_stream_options streams = stream_options_of(numbers, NULL);
    sluice_listen_options options = listen_options_of(numbers, &streams);
    sluice_id id = 0;
    return id_or_code(&call, sluice_listen_fd(call.box->loop, &id, fd, &options), &id);
}

/* (loop, address, numbers, source) */
static napi_value connect_to(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    char address[ADDRESS_ROOM], source[ADDRESS_ROOM];
    double numbers[STREAM_NUMBERS];
    take_text(&call, address, sizeof address);
    take_numbers(&call, numbers, STREAM_NUMBERS);
    bool has_source = take_text(&call, source, sizeof source);
    if (call.failed)
        return NULL;
    sluice_stream_options options = stream_options_of(numbers, has_source ? source : NULL);
    sluice_id id = 0;
    return id_or_code(&call, sluice_connect(call.box->loop, &id, address, &options), &id);
}

/* (loop, fd, numbers) */
static napi_value adopt(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    double numbers[STREAM_NUMBERS];
    int fd = take_int(&call);
    take_numbers(&call, numbers, STREAM_NUMBERS);
    if (call.failed)
        return NULL;
    sluice_stream_options options = stream_options_of(numbers, NULL);
    sluice_id id = 0;
    return id_or_code(&call, sluice_adopt(call.box->loop, &id, fd, &options), &id);
}

/* (loop, address, family) */
static napi_value resolve(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    char address[ADDRESS_ROOM];
    take_text(&call, address, sizeof address);
    uint32_t family = take_bits(&call);
    sluice_id id = 0;
    if (call.failed)
        return NULL;
    return id_or_code(&call, sluice_resolve(call.box->loop, &id, address, family, 0), &id);
}

/* (loop, fd, interest) */
static napi_value watch(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int fd = take_int(&call);
    uint32_t interest = take_bits(&call);
    sluice_id id = 0;
    if (call.failed)
        return NULL;
    return id_or_code(&call, sluice_watch(call.box->loop, &id, fd, interest, 0), &id);
}

static napi_value rewatch(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    uint32_t interest = take_bits(&call);
    return call.failed ? NULL : number(&call, sluice_rewatch(call.box->loop, id, interest));
}

/* (loop, first, repeat) */
static napi_value timer(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int64_t first = take_time(&call), repeat = take_time(&call);
    sluice_id id = 0;
    if (call.failed)
        return NULL;
    return id_or_code(&call, sluice_timer(call.box->loop, &id, first, repeat, 0), &id);
}

static napi_value timer_reset(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    int64_t first = take_time(&call);
    return call.failed ? NULL : number(&call, sluice_timer_reset(call.box->loop, id, first));
}

static napi_value end_by(napi_env env, napi_callback_info info,
                         int (*function)(sluice_loop *loop, sluice_id id)) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    if (call.failed)
        return NULL;
    if (id)
        give_signals_back(call.box, id);
    return number(&call, function(call.box->loop, id));
}

static napi_value close_handle(napi_env env, napi_callback_info info) {
    return end_by(env, info, sluice_close);
}

static napi_value abort_handle(napi_env env, napi_callback_info info) {
    return end_by(env, info, sluice_abort);
}

/* (loop, id, code) */
static napi_value abort_with(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    int code = take_int(&call);
    if (call.failed)
        return NULL;
    if (id && code < 0)
        give_signals_back(call.box, id);
    return number(&call, sluice_abort_with(call.box->loop, id, code));
}

static napi_value fd_of(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    return call.failed ? NULL : number(&call, sluice_fd(call.box->loop, id));
}

static napi_value kind_of(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    return call.failed ? NULL : number(&call, sluice_kind_of(call.box->loop, id));
}

static napi_value address_or_code(const struct call *call, int code, const char *address) {
    return code < 0 ? number(call, code) : text(call, address);
}

static napi_value local_address(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    char address[SLUICE_ADDRESS_MAX];
    if (call.failed)
        return NULL;
    int code = sluice_local_address(call.box->loop, id, address, sizeof address);
    return address_or_code(&call, code, address);
}

static napi_value peer_address(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    char address[SLUICE_ADDRESS_MAX];
    if (call.failed)
        return NULL;
    int code = sluice_peer_address(call.box->loop, id, address, sizeof address);
    return address_or_code(&call, code, address);
}

/* A text, or undefined. */
static napi_value name_problem(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    const char *words = call.failed ? NULL : sluice_name_problem(call.box->loop, id);
    return words ? text(&call, words) : NULL;
}

const struct export exports_of_handles[] = {
    {"listen", listen_at},
    {"listenFd", listen_fd},
    {"connect", connect_to},
    {"adopt", adopt},
    {"resolve", resolve},
    {"watch", watch},
    {"rewatch", rewatch},
    {"timer", timer},
    {"timerReset", timer_reset},
    {"close", close_handle},
    {"abort", abort_handle},
    {"abortWith", abort_with},
    {"fd", fd_of},
    {"kindOf", kind_of},
    {"localAddress", local_address},
    {"peerAddress", peer_address},
    {"nameProblem", name_problem},
    {0},
};

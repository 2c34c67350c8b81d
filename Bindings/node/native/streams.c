/* streams.c - what a stream is asked for. */
#include "addon.h"

/* (loop, id, bytes) */
static napi_value write_bytes(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    const void *bytes;
    size_t length;
    take_bytes(&call, &bytes, &length);
    return call.failed ? NULL : number(&call, sluice_write(call.box->loop, id, bytes, length));
}

/* (loop, id, fd, offset, length) */
static napi_value send_file(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    int fd = take_int(&call);
    size_t offset = take_size(&call), length = take_size(&call);
    if (call.failed)
        return NULL;
    /* The kernel refuses what no file can have. */
    int64_t from = offset > INT64_MAX ? INT64_MAX : (int64_t)offset;
    return number(&call, (double)sluice_send_file(call.box->loop, id, fd, from, length));
}

static napi_value flush(napi_env env, napi_callback_info info) {
    return number_by_id(env, info, sluice_flush);
}

static napi_value shutdown_handle(napi_env env, napi_callback_info info) {
    return number_by_id(env, info, sluice_shutdown);
}

static napi_value pause_stream(napi_env env, napi_callback_info info) {
    return number_by_id(env, info, sluice_pause);
}

static napi_value resume_stream(napi_env env, napi_callback_info info) {
    return number_by_id(env, info, sluice_resume);
}

/* (loop, id, length) */
static napi_value hold(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    size_t length = take_size(&call);
    return call.failed ? NULL : number(&call, sluice_hold(call.box->loop, id, length));
}

/* (loop, id, length, total) */
static napi_value hold_until(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    size_t length = take_size(&call), total = take_size(&call);
    return call.failed ? NULL : number(&call, sluice_hold_until(call.box->loop, id, length, total));
}

static napi_value pending(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    return call.failed ? NULL : number(&call, (double)sluice_pending(call.box->loop, id));
}

/* (loop, from, to) */
static napi_value forward(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    sluice_id from = take_word(&call), to = take_word(&call);
    return call.failed ? NULL : number(&call, sluice_forward(call.box->loop, from, to));
}

const struct export exports_of_streams[] = {
    {"write", write_bytes},
    {"sendFile", send_file},
    {"flush", flush},
    {"shutdown", shutdown_handle},
    {"pause", pause_stream},
    {"resume", resume_stream},
    {"hold", hold},
    {"holdUntil", hold_until},
    {"pending", pending},
    {"forward", forward},
    {0},
};

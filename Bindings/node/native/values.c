/* values.c - arguments from JavaScript, and results for it. Every argument is read before the loop
 * is used. Reading one never runs JavaScript, so no other call can come in between. */
#include "addon.h"

#include <float.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* 2^53 - 1, the highest integer that every double below it is exact for. */
#define SAFE_INTEGER 9007199254740991.0

static void fail(struct call *call, bool is_type, const char *message) {
    if (call->failed)
        return;
    call->failed = true;
    if (is_type)
        napi_throw_type_error(call->env, "ERR_INVALID_ARG_TYPE", message);
    else
        napi_throw_range_error(call->env, "ERR_OUT_OF_RANGE", message);
}

struct call begin_without_loop(napi_env env, napi_callback_info info) {
    struct call call = {.env = env};
    size_t count = COUNT(call.arguments); /* the rest become undefined */
    if (napi_get_cb_info(env, info, &count, call.arguments, NULL, NULL) != napi_ok)
        fail(&call, true, "the call has no arguments");
    return call;
}

struct call begin(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    void *box = NULL;
    if (!call.failed && napi_get_value_external(env, take_any(&call), &box) != napi_ok)
        fail(&call, true, "not a loop");
    call.box = box;
    return call;
}

napi_value take_any(struct call *call) {
    return call->arguments[call->at++];
}

static double take_double(struct call *call) {
    double value = 0;
    if (napi_get_value_double(call->env, take_any(call), &value) != napi_ok)
        fail(call, true, "a number is needed");
    else if (value != value)
        fail(call, false, "NaN is not a number that can be used");
    return value;
}

/* An integer from `least` to `most`, or 0 where it is none. */
static double take_integer(struct call *call, double least, double most) {
    double value = take_double(call);
    bool is_integer = value >= least && value <= most && (double)(int64_t)value == value;
    if (!is_integer)
        fail(call, false, "the number is not an integer, or out of its range");
    return is_integer ? value : 0;
}

int take_int(struct call *call) {
    return (int)take_integer(call, INT32_MIN, INT32_MAX);
}

uint32_t take_bits(struct call *call) {
    return (uint32_t)take_integer(call, 0, UINT32_MAX);
}

size_t take_size(struct call *call) {
    double value = take_double(call);
    if (value > DBL_MAX)
        return SIZE_MAX;
    call->at--;
    return (size_t)take_integer(call, 0, SAFE_INTEGER);
}

/* Rounded up, so that a timer is never early. */
int64_t take_time(struct call *call) {
    double value = take_double(call) * 1e6;
    if (value >= (double)INT64_MAX)
        return INT64_MAX;
    if (value < 0)
        return -1;
    int64_t whole = (int64_t)value;
    return whole + ((double)whole < value);
}

uint64_t take_word(struct call *call) {
    uint64_t value = 0;
    bool is_whole = false;
    if (napi_get_value_bigint_uint64(call->env, take_any(call), &value, &is_whole) != napi_ok)
        fail(call, true, "a BigInt is needed");
    else if (!is_whole)
        fail(call, false, "the BigInt is negative, or has more than 64 bits");
    return value;
}

void take_bytes(struct call *call, const void **bytes, size_t *length) {
    napi_value value = take_any(call);
    bool is_buffer = false;
    void *data = NULL;
    *bytes = NULL;
    *length = 0;
    if (napi_is_buffer(call->env, value, &is_buffer) != napi_ok || !is_buffer ||
        napi_get_buffer_info(call->env, value, &data, length) != napi_ok)
        fail(call, true, "bytes are needed: a Buffer, an Uint8Array or a string");
    *bytes = data;
}

bool take_text(struct call *call, char *text, size_t capacity) {
    napi_value value = take_any(call);
    napi_valuetype type = napi_undefined;
    size_t length = 0;
    text[0] = 0;
    if (napi_typeof(call->env, value, &type) == napi_ok && type == napi_undefined)
        return false;
    if (napi_get_value_string_utf8(call->env, value, text, capacity, &length) != napi_ok)
        fail(call, true, "a string is needed");
    else if (strlen(text) != length)
        text[0] = 0;
    return true;
}

void take_numbers(struct call *call, double *numbers, size_t count) {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void *data = NULL;
    memset(numbers, 0, count * sizeof *numbers);
    if (napi_get_typedarray_info(call->env, take_any(call), &type, &length, &data, NULL, NULL) !=
            napi_ok ||
        type != napi_float64_array || length != count)
        fail(call, true, "options are needed");
    else
        memcpy(numbers, data, count * sizeof *numbers);
}

size_t take_room(struct call *call, void **room) {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    bool is_room = napi_get_typedarray_info(call->env, take_any(call), &type, &length, room, NULL,
                                            NULL) == napi_ok &&
                   type == napi_biguint64_array;
    if (!is_room)
        fail(call, true, "room for the result is needed");
    return is_room ? length : 0;
}

napi_value number(const struct call *call, double value) {
    napi_value result = NULL;
    napi_create_double(call->env, value, &result);
    return result;
}

napi_value number_by_id(napi_env env, napi_callback_info info,
                        int (*function)(sluice_loop *loop, sluice_id id)) {
    struct call call = begin(env, info);
    sluice_id id = take_word(&call);
    return call.failed ? NULL : number(&call, function(call.box->loop, id));
}

napi_value text(const struct call *call, const char *value) {
    napi_value result = NULL;
    napi_create_string_utf8(call->env, value, NAPI_AUTO_LENGTH, &result);
    return result;
}

napi_value id_or_code(const struct call *call, int code, const sluice_id *id) {
    if (code < 0)
        return number(call, code);
    napi_value result = NULL;
    napi_create_bigint_uint64(call->env, *id, &result);
    return result;
}

/* addon.c - what Node.js loads. It is loaded once for the process and initialised once for each
 * thread that requires it. Nothing is kept between the two but the list in loop.c. */
#include "addon.h"

#define EXPORTED __attribute__((visibility("default")))

/* (code): its name, its message, and the errno that is nearest. */
static napi_value describe(napi_env env, napi_callback_info info) {
    struct call call = begin_without_loop(env, info);
    int code = take_int(&call);
    napi_value result = NULL;
    if (call.failed || napi_create_array_with_length(env, 3, &result) != napi_ok ||
        napi_set_element(env, result, 0, text(&call, sluice_error_name(code))) != napi_ok ||
        napi_set_element(env, result, 1, text(&call, sluice_error_message(code))) != napi_ok ||
        napi_set_element(env, result, 2, number(&call, sluice_error_errno(code))) != napi_ok)
        return NULL;
    return result;
}

static bool export_all(napi_env env, napi_value exports, const struct export *export) {
    for (; export->name; export ++) {
        napi_value function;
        if (napi_create_function(env, export->name, NAPI_AUTO_LENGTH, export->function, NULL,
                                 &function) != napi_ok ||
            napi_set_named_property(env, exports, export->name, function) != napi_ok)
            return false;
    }
    return true;
}

/* The names and the signatures are Node-API's. */
EXPORTED int32_t node_api_module_get_api_version_v1(void);
EXPORTED napi_value napi_register_module_v1(napi_env env, napi_value exports);

int32_t node_api_module_get_api_version_v1(void) {
    return NAPI_VERSION;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    static const struct export own[] = {{"describe", describe}, {0}};
    bool is_done = export_all(env, exports, own) && export_all(env, exports, exports_of_loop) &&
                   export_all(env, exports, exports_of_handles) &&
                   export_all(env, exports, exports_of_streams) &&
                   export_all(env, exports, exports_of_poller) &&
                   export_all(env, exports, exports_of_signals);
    if (!is_done)
        napi_throw_error(env, NULL, "the addon cannot be initialised");
    return exports;
}

/* options.c - keyword arguments as the structs of options that C takes. 0 is a default there, and
 * so nothing that can be asked for here; None is the default.
 */
#include "core.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define ROW(kind, name, type, member)                                                              \
    { #name, type, offsetof(kind, member), 0, 0 }
#define LOOP(name, type) ROW(sluice_options, name, type, name)
#define STREAM(name, type, member) ROW(sluice_stream_options, name, type, member)
#define LISTEN(name, type) ROW(sluice_listen_options, name, type, name)
#define FLAG(kind, name, on, off)                                                                  \
    { #name, OPTION_FLAG, offsetof(kind, flags), on, off }
#define END                                                                                        \
    { NULL, 0, 0, 0, 0 }

const struct core_option core_loop_options[] = {
    LOOP(backend, OPTION_TEXT),    LOOP(receive_size, OPTION_SIZE), LOOP(high_mark, OPTION_SIZE),
    LOOP(low_mark, OPTION_SIZE),   LOOP(hard_limit, OPTION_SIZE),   LOOP(memory_limit, OPTION_SIZE),
    LOOP(post_limit, OPTION_SIZE), LOOP(handle_limit, OPTION_U32),  END};

#define STREAM_ROWS                                                                                \
    STREAM(high_mark, OPTION_SIZE, high_mark), STREAM(low_mark, OPTION_SIZE, low_mark),            \
        STREAM(keepalive_after, OPTION_SECONDS, keepalive_seconds),                                \
        STREAM(idle_timeout, OPTION_NS, idle_timeout_ns), STREAM(linger, OPTION_NS, linger_ns),    \
        FLAG(sluice_stream_options, half_open, SLUICE_HALF_OPEN, 0),                               \
        FLAG(sluice_stream_options, delay, SLUICE_DELAY, 0),                                       \
        FLAG(sluice_stream_options, keepalive, SLUICE_KEEPALIVE, 0),                               \
        FLAG(sluice_stream_options, throttled, SLUICE_THROTTLED, SLUICE_UNTHROTTLED)

const struct core_option core_stream_options[] = {STREAM_ROWS, END};

const struct core_option core_connect_options[] = {
    STREAM_ROWS, STREAM(connect_timeout, OPTION_NS, connect_timeout_ns),
    STREAM(source, OPTION_TEXT, source), END};

const struct core_option core_listen_options[] = {
    LISTEN(backlog, OPTION_U32),
    LISTEN(accept_batch, OPTION_U32),
    LISTEN(connection_limit, OPTION_U32),
    LISTEN(unix_mode, OPTION_U32),
    FLAG(sluice_listen_options, reuse_port, SLUICE_REUSE_PORT, 0),
    FLAG(sluice_listen_options, only_ipv6, SLUICE_ONLY_IPV6, 0),
    END};

static bool out_of_range(PyObject *name, PyObject *value) {
    PyErr_Clear();
    core_raise_with(SLUICE_EOPTION, PyUnicode_FromFormat("%U=%R is out of its range", name, value));
    return false;
}

static bool take_number(void *to, bool is_size, PyObject *name, PyObject *value) {
    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%U=%R: it takes a whole number", name, value);
        return false;
    }
    uint64_t number;
    if (!core_word(value, &number) || number == 0 || (!is_size && number > UINT32_MAX))
        return out_of_range(name, value);
    if (is_size)
        *(size_t *)to = number;
    else
        *(uint32_t *)to = (uint32_t)number;
    return true;
}

static bool take_time(void *to, bool is_ns, PyObject *name, PyObject *value) {
    double seconds = PyFloat_AsDouble(value);
    if (seconds == -1 && PyErr_Occurred())
        return false;
    if (!(seconds > 0))
        return out_of_range(name, value);
    if (is_ns)
        *(int64_t *)to = seconds < 9e9 ? (int64_t)ceil(seconds * 1e9) : SLUICE_FOREVER;
    else if (seconds > INT16_MAX)
        return out_of_range(name, value);
    else
        *(uint32_t *)to = (uint32_t)ceil(seconds);
    return true;
}

static bool take_text(const char **to, PyObject *name, PyObject *value, PyObject **holders) {
    PyObject *bytes = PyUnicode_Check(value) ? PyUnicode_EncodeFSDefault(value) : NULL;
    if (!bytes) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "%U=%R: it takes a str", name, value);
        return false;
    }
    bool kept = (*holders || (*holders = PyList_New(0))) && PyList_Append(*holders, bytes) == 0;
    *to = PyBytes_AsString(bytes);
    size_t length = (size_t)PyBytes_Size(bytes);
    Py_DECREF(bytes);
    if (kept && strlen(*to) != length)
        return out_of_range(name, value);
    return kept;
}

static bool take(const struct core_option *option, void *options, PyObject *name, PyObject *value,
                 PyObject **holders) {
    void *to = (char *)options + option->offset;
    switch (option->type) {
    case OPTION_SIZE:
    case OPTION_U32:
        return take_number(to, option->type == OPTION_SIZE, name, value);
    case OPTION_NS:
    case OPTION_SECONDS:
        return take_time(to, option->type == OPTION_NS, name, value);
    case OPTION_TEXT:
        return take_text(to, name, value, holders);
    case OPTION_FLAG:
    default: {
        int on = PyObject_IsTrue(value);
        if (on < 0)
            return false;
        *(uint32_t *)to |= on ? option->when_true : option->when_false;
        return true;
    }
    }
}

static const struct core_option *find(const struct core_option *table, PyObject *name) {
    for (; table && table->name; table++)
        if (PyUnicode_CompareWithASCIIString(name, table->name) == 0)
            return table;
    return NULL;
}

bool core_take_options(PyObject *given, PyObject **holders, const struct core_option *table,
                       void *options, const struct core_option *other, void *others) {
    Py_ssize_t position = 0;
    PyObject *name, *value;
    while (PyDict_Next(given, &position, &name, &value)) {
        if (value == Py_None)
            continue;
        const struct core_option *option = find(table, name);
        void *to = options;
        if (!option) {
            option = find(other, name);
            to = others;
        }
        if (!option) {
            PyErr_Format(PyExc_TypeError, "%U=%R: there is no such option here", name, value);
            return false;
        }
        if (!take(option, to, name, value, holders))
            return false;
    }
    return true;
}

PyObject *core_raise_options(int code, PyObject *given) {
    PyObject *words = PyUnicode_FromString(sluice_error_message(code));
    Py_ssize_t position = 0;
    PyObject *name, *value;
    const char *before = " (with";
    while (words && PyDict_Next(given, &position, &name, &value)) {
        core_replace(&words, PyUnicode_FromFormat("%U%s %U=%R", words, before, name, value));
        before = ",";
    }
    if (words && *before == ',')
        core_replace(&words, PyUnicode_FromFormat("%U)", words));
    return core_raise_with(code, words);
}

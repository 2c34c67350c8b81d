/* loop_make.c - the making of the loop's handles. Options come as a dict: see options.c. */
#include "loop.h"

/* The id is read after the call that `code` is the result of: hence a pointer to it. */
static PyObject *made(int code, const sluice_id *id) {
    return code < 0 ? core_raise(code) : PyLong_FromUnsignedLongLong(*id);
}

static PyObject *loop_watch(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    size_t interest;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "watch takes a descriptor and an interest");
    int fd = PyObject_AsFileDescriptor(arguments[0]);
    if (fd < 0 || !core_size(arguments[1], &interest))
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    sluice_id id = 0;
    return loop ? made(sluice_watch(loop, &id, fd, (uint32_t)interest, 0), &id) : NULL;
}

static PyObject *loop_rewatch(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    sluice_id id;
    size_t interest;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "rewatch takes a watch and an interest");
    if (!core_id(arguments[0], &id) || !core_size(arguments[1], &interest))
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    return loop ? core_none_or(sluice_rewatch(loop, id, (uint32_t)interest)) : NULL;
}

static PyObject *loop_timer(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    int64_t first, repeat = 0;
    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "timer takes the first time, and a period");
    if (!core_nanoseconds(arguments[0], &first) ||
        (count == 2 && !core_nanoseconds(arguments[1], &repeat)))
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    sluice_id id = 0;
    return loop ? made(sluice_timer(loop, &id, first, repeat, 0), &id) : NULL;
}

static PyObject *loop_timer_reset(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    sluice_id id;
    int64_t first;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "timer_reset takes a timer and a time");
    if (!core_id(arguments[0], &id) || !core_nanoseconds(arguments[1], &first))
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    return loop ? core_none_or(sluice_timer_reset(loop, id, first)) : NULL;
}

static PyObject *loop_signal(PyObject *object, PyObject *signal) {
    long number = PyLong_AsLong(signal);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    sluice_id id = 0;
    bool fits = number > 0 && number < 1024;
    return loop ? made(fits ? sluice_signal(loop, &id, (int)number) : -EINVAL, &id) : NULL;
}

/* Of calls with options: their result, with the options named in an error. */
static PyObject *made_with(int code, const sluice_id *id, PyObject *given) {
    if (code >= 0)
        return PyLong_FromUnsignedLongLong(*id);
    return PyDict_Size(given) > 0 ? core_raise_options(code, given) : core_raise(code);
}

/* listen(address or fd, options) */
static PyObject *loop_listen(PyObject *object, PyObject *arguments) {
    PyObject *at, *given, *holders = NULL, *holder = NULL;
    if (!PyArg_ParseTuple(arguments, "OO!", &at, &PyDict_Type, &given))
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    bool is_fd = !PyUnicode_Check(at);
    sluice_stream_options streams = {.size = sizeof streams};
    sluice_listen_options options = {.size = sizeof options, .streams = &streams};
    int fd = loop && is_fd ? PyObject_AsFileDescriptor(at) : -1;
    const char *address = loop && !is_fd ? core_text(at, &holder) : NULL;
    sluice_id id = 0;
    PyObject *result = NULL;
    if ((fd >= 0 || address) && core_take_options(given, &holders, core_listen_options, &options,
                                                  core_stream_options, &streams))
        result = made_with(is_fd ? sluice_listen_fd(loop, &id, fd, &options)
                                 : sluice_listen(loop, &id, address, &options),
                           &id, given);
    Py_XDECREF(holders);
    Py_XDECREF(holder);
    return result;
}

/* connect(address, options), adopt(fd, options) */
static PyObject *begin(PyObject *object, PyObject *arguments, bool adopts) {
    PyObject *at, *given, *holders = NULL, *holder = NULL;
    if (!PyArg_ParseTuple(arguments, "OO!", &at, &PyDict_Type, &given))
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    sluice_stream_options options = {.size = sizeof options};
    int fd = loop && adopts ? PyObject_AsFileDescriptor(at) : -1;
    const char *address = loop && !adopts ? core_text(at, &holder) : NULL;
    sluice_id id = 0;
    PyObject *result = NULL;
    if ((fd >= 0 || address) &&
        core_take_options(given, &holders, adopts ? core_stream_options : core_connect_options,
                          &options, NULL, NULL))
        result = made_with(adopts ? sluice_adopt(loop, &id, fd, &options)
                                  : sluice_connect(loop, &id, address, &options),
                           &id, given);
    Py_XDECREF(holders);
    Py_XDECREF(holder);
    return result;
}

static PyObject *loop_connect(PyObject *object, PyObject *arguments) {
    return begin(object, arguments, false);
}

static PyObject *loop_adopt(PyObject *object, PyObject *arguments) {
    return begin(object, arguments, true);
}

static PyObject *loop_resolve(PyObject *object, PyObject *arguments) {
    PyObject *name, *holder;
    unsigned family;
    if (!PyArg_ParseTuple(arguments, "OI", &name, &family))
        return NULL;
    const char *text = core_text(name, &holder);
    sluice_loop *loop = text ? loop_living((struct loop *)object) : NULL;
    sluice_id id = 0;
    PyObject *result = loop ? made(sluice_resolve(loop, &id, text, family, 0), &id) : NULL;
    Py_XDECREF(holder);
    return result;
}

PyMethodDef loop_make_methods[] = {
    {"_listen", loop_listen, METH_VARARGS, NULL},
    {"_connect", loop_connect, METH_VARARGS, NULL},
    {"_adopt", loop_adopt, METH_VARARGS, NULL},
    {"_resolve", loop_resolve, METH_VARARGS, NULL},
    {"_signal", loop_signal, METH_O, NULL},
    {"watch", CORE_FAST(loop_watch), DOC_Loop_watch},
    {"rewatch", CORE_FAST(loop_rewatch), DOC_Loop_rewatch},
    {"timer", CORE_FAST(loop_timer), DOC_Loop_timer},
    {"timer_reset", CORE_FAST(loop_timer_reset), DOC_Loop_timer_reset},
    {NULL, NULL, 0, NULL}};

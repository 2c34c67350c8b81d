/* module.c - sluiceio._core: the module, and the turning of arguments and errors from Python to C
 * and back.
 */
#include "core.h"
#include "docs.h"
#include "engine.h"
#include "scheduler.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

PyObject *core_error_of, *core_ready;
PyObject *core_kinds[SLUICE_EVENT_KINDS], *core_written[WRITTEN];
unsigned core_forks;

/* ---- Errors --------------------------------------------------------------------------------- */

static PyObject *error_object(int code, PyObject *words) {
    PyObject *number = PyLong_FromLong(code);
    if (!number)
        return NULL;
    PyObject *error = PyObject_CallFunctionObjArgs(core_error_of, number, words, NULL);
    Py_DECREF(number);
    return error;
}

PyObject *core_error(int code, const char *words) {
    PyObject *text =
        PyUnicode_DecodeFSDefault(words && *words ? words : sluice_error_message(code));
    PyObject *error = text ? error_object(code, text) : NULL;
    Py_XDECREF(text);
    return error;
}

PyObject *core_raise_with(int code, PyObject *words) {
    PyObject *error = words ? error_object(code, words) : NULL;
    Py_XDECREF(words);
    if (error)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    return NULL;
}

PyObject *core_raise(int code) {
    return core_raise_with(code, PyUnicode_FromString(sluice_error_message(code)));
}

PyObject *core_none_or(int code) {
    if (code < 0)
        return core_raise(code);
    Py_RETURN_NONE;
}

PyObject *core_take_exception(void) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace)
        PyException_SetTraceback(value, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
}

/* ---- Calls and names ------------------------------------------------------------------------ */

PyObject *core_call(PyObject *callable, PyObject *argument) {
    PyObject *arguments[] = {NULL, argument};
    return PyObject_Vectorcall(callable, arguments + 1,
                               (argument ? 1 : 0) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

PyObject *core_call_method(PyObject *object, PyObject *name, PyObject *argument) {
    PyObject *arguments[] = {NULL, object, argument};
    return PyObject_VectorcallMethod(name, arguments + 1,
                                     (argument ? 2 : 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

bool core_intern(PyObject **name, const char *text) {
    return *name || (*name = PyUnicode_InternFromString(text));
}

bool core_keep_attribute(PyObject **place, PyObject *of, const char *name) {
    PyObject *attribute = PyObject_GetAttrString(of, name);
    core_replace(place, attribute);
    return attribute != NULL;
}

void core_join_methods(PyMethodDef *all, PyMethodDef *const *tables, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (const PyMethodDef *row = tables[i]; row->ml_name; row++)
            *all++ = *row;
}

int64_t core_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- Arguments ------------------------------------------------------------------------------ */

/* An id has more than one digit of Python's. The short way takes those below 2^63, with their sign.
 */
bool core_word(PyObject *object, uint64_t *word) {
    int over = 1;
    if (PyLong_Check(object)) {
        long number = PyLong_AsLongAndOverflow(object, &over);
        *word = (uint64_t)number;
        if (!over && number >= 0)
            return true;
    }
    *word = PyLong_AsUnsignedLongLong(object);
    return *word != UINT64_MAX || !PyErr_Occurred();
}

bool core_id(PyObject *object, sluice_id *id) {
    return core_word(object, id);
}

bool core_size(PyObject *object, size_t *size) {
    *size = PyLong_AsSize_t(object);
    return *size != SIZE_MAX || !PyErr_Occurred();
}

bool core_nanoseconds(PyObject *object, int64_t *ns) {
    *ns = SLUICE_FOREVER;
    if (object == Py_None)
        return true;
    double seconds = PyFloat_AsDouble(object);
    if (seconds == -1 && PyErr_Occurred())
        return false;
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "a time that is no number");
        return false;
    }
    if (seconds < 0)
        *ns = -1; /* which every call refuses */
    else if (seconds < 9e9)
        *ns = (int64_t)ceil(seconds * 1e9);
    return true;
}

const char *core_text(PyObject *object, PyObject **holder) {
    *holder = NULL;
    if (PyUnicode_Check(object))
        *holder = PyUnicode_EncodeFSDefault(object);
    else
        PyErr_Format(PyExc_TypeError, "an address is a str or a tuple, not %R", Py_TYPE(object));
    char *text = NULL;
    Py_ssize_t length;
    if (!*holder || PyBytes_AsStringAndSize(*holder, &text, &length) < 0)
        text = NULL;
    else if (strlen(text) != (size_t)length) {
        core_raise_with(SLUICE_EADDRESS, PyUnicode_FromFormat("%R has a 0 byte", object));
        text = NULL;
    }
    if (!text)
        Py_CLEAR(*holder);
    return text;
}

/* A class of bytes may have a length of its own, so only bytes themselves are taken by theirs. What
 * does not lie in one piece is copied. */
bool core_bytes_of(PyObject *object, struct core_bytes *bytes) {
    bytes->holder = NULL;
    bytes->view.obj = NULL;
    if (PyBytes_CheckExact(object)) {
        bytes->start = PyBytes_AsString(object);
        bytes->length = (size_t)PyBytes_Size(object);
        return true;
    }
    if (PyObject_GetBuffer(object, &bytes->view, PyBUF_SIMPLE) < 0) {
        bytes->view.obj = NULL;
        if (!PyErr_ExceptionMatches(PyExc_BufferError))
            return false;
        PyErr_Clear();
        bytes->holder = PyBytes_FromObject(object);
        if (!bytes->holder)
            return false;
        bytes->start = PyBytes_AsString(bytes->holder);
        bytes->length = (size_t)PyBytes_Size(bytes->holder);
        return true;
    }
    bytes->start = bytes->view.buf;
    bytes->length = (size_t)bytes->view.len;
    return true;
}

void core_bytes_done(struct core_bytes *bytes) {
    if (bytes->view.obj)
        PyBuffer_Release(&bytes->view);
    Py_XDECREF(bytes->holder);
}

/* ---- The module ----------------------------------------------------------------------------- */

static PyObject *backends(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    PyObject *list = PyList_New(0);
    for (size_t index = 0; list && sluice_backend_name(index); index++) {
        PyObject *name = PyUnicode_FromString(sluice_backend_name(index));
        if (!name || PyList_Append(list, name) < 0)
            Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static PyObject *error_errno(PyObject *module, PyObject *code) {
    (void)module;
    long number = PyLong_AsLong(code);
    return number == -1 && PyErr_Occurred() ? NULL
                                            : PyLong_FromLong(sluice_error_errno((int)number));
}

static PyObject *address_problem(PyObject *module, PyObject *address) {
    (void)module;
    PyObject *holder;
    const char *text = core_text(address, &holder);
    if (!text)
        return NULL;
    char problem[SLUICE_PROBLEM_MAX];
    int code = sluice_address_problem(text, problem, sizeof problem);
    Py_DECREF(holder);
    return code < 0 ? core_raise(code) : PyUnicode_DecodeFSDefault(problem);
}

static bool keep_items(PyObject *from, PyObject **to, int count) {
    for (int i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(from, i);
        if (!item)
            return false;
        core_replace(&to[i], item);
    }
    return true;
}

/* Types and what they use are the process's. So one interpreter has them, the first that asks. */
static bool is_for_this_interpreter(void) {
    static int64_t owner = -1;
    int64_t interpreter = PyInterpreterState_GetID(PyInterpreterState_Get());
    if (owner < 0)
        owner = interpreter;
    if (owner != interpreter)
        PyErr_SetString(PyExc_ImportError, "sluiceio is loaded by another interpreter already");
    return owner == interpreter;
}

/* _setup(error_of, kinds, written, ready) */
static PyObject *setup(PyObject *module, PyObject *arguments) {
    (void)module;
    if (!is_for_this_interpreter())
        return NULL;
    PyObject *error_of, *kinds, *written, *ready;
    if (!PyArg_ParseTuple(arguments, "OOOO", &error_of, &kinds, &written, &ready) ||
        !keep_items(kinds, core_kinds, SLUICE_EVENT_KINDS) ||
        !keep_items(written, core_written, WRITTEN))
        return NULL;
    core_replace(&core_error_of, Py_NewRef(error_of));
    core_replace(&core_ready, Py_NewRef(ready));
    Py_RETURN_NONE;
}

static PyObject *number_of(PyObject *module, PyObject *object) {
    (void)module;
    int fd = PyObject_AsFileDescriptor(object);
    return fd < 0 ? NULL : PyLong_FromLong(fd);
}

static PyMethodDef functions[] = {{"_setup", setup, METH_VARARGS, NULL},
                                  {"backends", backends, METH_NOARGS, DOC_backends},
                                  {"error_errno", error_errno, METH_O, NULL},
                                  {"address_problem", address_problem, METH_O, DOC_address_problem},
                                  {"fileno", number_of, METH_O, NULL},
                                  {"_transport_type", transport_make_type, METH_VARARGS, NULL},
                                  {"_asyncio", scheduler_setup, METH_VARARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "sluiceio._core",
                                        .m_size = -1, .m_methods = functions};

static void count_fork(void) {
    core_forks++;
}

PyMODINIT_FUNC PyInit__core(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    if (pthread_atfork(NULL, NULL, count_fork) != 0 || core_add_event(module) < 0 ||
        core_add_loop(module) < 0 || core_add_poller(module) < 0 || core_add_engine(module) < 0 ||
        core_add_scheduler(module) < 0)
        Py_CLEAR(module);
    return module;
}

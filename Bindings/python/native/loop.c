/* loop.c - the loop: its beginning, its end, its type, and the calls from other threads. The others
 * are in the files that loop.h names.
 *
 * While a pull waits, other threads run, and they may post and wake; any other call the core
 * refuses there. So each call asks the core first, and changes nothing here where it is refused.
 *
 * A child of fork has a loop of its own from its first call on. Until then it touches nothing that
 * is the parent's.
 */
#include "loop.h"

/* ---- Whether a call may go on --------------------------------------------------------------- */

sluice_loop *loop_living(struct loop *self) {
    if (!self->loop) {
        core_raise_with(SLUICE_ENULL, PyUnicode_FromString("the loop is closed"));
        return NULL;
    }
    if (self->forks != core_forks && !self->pulling) {
        int code = sluice_after_fork(self->loop);
        if (code < 0) {
            core_raise(code);
            return NULL;
        }
        self->forks = core_forks;
    }
    return self->loop;
}

/* The same, for what changes something here before it asks the core. */
sluice_loop *loop_owned(struct loop *self) {
    sluice_loop *loop = loop_living(self);
    int64_t now = loop ? sluice_now(loop) : 0;
    if (now < 0) {
        core_raise((int)now);
        return NULL;
    }
    return loop;
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

static PyObject *loop_open(PyObject *object, PyObject *arguments) {
    struct loop *self = (struct loop *)object;
    PyObject *given, *holders = NULL;
    int batch, views;
    sluice_options options = {.size = sizeof options, .flags = SLUICE_INTERRUPTIBLE};
    if (!PyArg_ParseTuple(arguments, "O!ip", &PyDict_Type, &given, &batch, &views))
        return NULL;
    if (self->loop)
        return core_raise(SLUICE_ESTATE);
    if (batch < 1 || batch > 65536)
        return core_raise_with(SLUICE_EOPTION,
                               PyUnicode_FromFormat("batch=%d is out of its range", batch));
    if (!core_take_options(given, &holders, core_loop_options, &options, NULL, NULL)) {
        Py_XDECREF(holders);
        return NULL;
    }
    int code = sluice_open(&self->loop, &options);
    Py_XDECREF(holders);
    if (code < 0)
        return core_raise_options(code, given);
    self->batch = batch;
    self->views = views;
    self->forks = core_forks;
    Py_RETURN_NONE;
}

static PyObject *loop_close(PyObject *object, PyObject *unused) {
    (void)unused;
    struct loop *self = (struct loop *)object;
    if (!self->loop)
        Py_RETURN_NONE;
    if (!loop_owned(self) || !loop_gives_nothing(self) || !loop_release_views(self))
        return NULL;
    sluice_loop *loop = self->loop; /* out of reach before it is gone */
    self->loop = NULL;
    if (loop)
        sluice_destroy(loop);
    Py_CLEAR(self->users);
    Py_RETURN_NONE;
}

static PyObject *loop_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(!((struct loop *)object)->loop);
}

static int loop_traverse(PyObject *object, visitproc visit, void *arg) {
    struct loop *self = (struct loop *)object;
    Py_VISIT(self->users);
    Py_VISIT(self->taken);
    Py_VISIT(self->lent);
    Py_VISIT((PyObject *)self->spare[0]);
    Py_VISIT((PyObject *)self->spare[1]);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int loop_clear(PyObject *object) {
    struct loop *self = (struct loop *)object;
    Py_CLEAR(self->users);
    Py_CLEAR(self->taken);
    Py_CLEAR(self->lent);
    Py_CLEAR(self->spare[0]);
    Py_CLEAR(self->spare[1]);
    loop_drop_numbers(self);
    return 0;
}

/* Called for those of a class of Python's, as sluiceio.Loop is. */
static void loop_finalize(PyObject *object) {
    struct loop *self = (struct loop *)object;
    if (!self->loop || self->forks != core_forks)
        return;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (PyErr_ResourceWarning(object, 1, "unclosed loop %R", object) < 0)
        PyErr_WriteUnraisable(object);
    PyErr_Restore(type, value, trace);
}

/* Nobody has it any more, so its thread makes no call of it. */
static void loop_dealloc(PyObject *object) {
    struct loop *self = (struct loop *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    loop_clear(object);
    if (self->loop && self->forks != core_forks && sluice_after_fork(self->loop) < 0)
        self->loop = NULL; /* what it has is the parent's */
    if (self->loop) {
        sluice_take_over(self->loop);
        sluice_destroy(self->loop);
    }
    self->loop = NULL;
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* ---- From other threads --------------------------------------------------------------------- */

/* The lock of the interpreter is held, so no close comes between, and no handler of a signal: those
 * run between two calls. */
static PyObject *loop_post(PyObject *object, PyObject *value) {
    uint64_t word;
    sluice_loop *loop = core_word(value, &word) ? loop_living((struct loop *)object) : NULL;
    return loop ? core_none_or(sluice_post(loop, word)) : NULL;
}

static PyObject *loop_wake(PyObject *object, PyObject *unused) {
    (void)unused;
    struct loop *self = (struct loop *)object;
    sluice_loop *loop = loop_living(self);
    if (loop)
        self->woken = true;
    return loop ? core_none_or(sluice_wake(loop)) : NULL;
}

static PyObject *loop_take_over(PyObject *object, PyObject *unused) {
    (void)unused;
    struct loop *self = (struct loop *)object;
    sluice_loop *loop = loop_living(self);
    if (loop && self->pulling)
        return core_raise_with(SLUICE_ETHREAD, PyUnicode_FromString("another thread is pulling"));
    return loop ? core_none_or(sluice_take_over(loop)) : NULL;
}

static PyObject *seconds_or(int64_t ns) {
    return ns < 0 ? core_raise((int)ns) : PyFloat_FromDouble((double)ns / 1e9);
}

static PyObject *loop_now(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = loop_living((struct loop *)object);
    return loop ? seconds_or(sluice_now(loop)) : NULL;
}

static PyObject *loop_update_now(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = loop_living((struct loop *)object);
    return loop ? seconds_or(sluice_update_now(loop)) : NULL;
}

static PyObject *loop_backend_fd(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = loop_living((struct loop *)object);
    int fd = loop ? sluice_backend_fd(loop) : 0;
    return !loop ? NULL : fd < 0 ? core_raise(fd) : PyLong_FromLong(fd);
}

static PyObject *loop_until_next(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = loop_living((struct loop *)object);
    int64_t ns = loop ? sluice_until_next(loop) : 0;
    if (ns == SLUICE_FOREVER)
        Py_RETURN_NONE;
    return loop ? seconds_or(ns) : NULL;
}

static PyObject *numbers(const uint64_t *values, int count) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < count; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(values[i]);
        if (!number || PyList_Append(list, number) < 0)
            Py_CLEAR(list);
        Py_XDECREF(number);
    }
    return list;
}

static PyObject *loop_stats(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = loop_living((struct loop *)object);
    sluice_statistics stats = {.size = sizeof stats};
    int code = loop ? sluice_stats(loop, &stats) : 0;
    if (!loop || code < 0)
        return loop ? core_raise(code) : NULL;
    PyObject *events = numbers(stats.events, SLUICE_EVENT_KINDS);
    PyObject *handles = numbers(stats.handles, SLUICE_KINDS);
    if (!events || !handles) {
        Py_XDECREF(events);
        Py_XDECREF(handles);
        return NULL;
    }
    return Py_BuildValue(
        "{sK sN sN sK sK sK sK sK sK sd}", "turns", (unsigned long long)stats.turns, "events",
        events, "handles", handles, "bytes_received", (unsigned long long)stats.bytes_received,
        "bytes_sent", (unsigned long long)stats.bytes_sent, "receives",
        (unsigned long long)stats.receives, "sends", (unsigned long long)stats.sends, "accepts",
        (unsigned long long)stats.accepts, "queue_memory", (unsigned long long)stats.queue_memory,
        "longest_gap", (double)stats.longest_gap_ns / 1e9);
}

/* ---- The type ------------------------------------------------------------------------------- */

static PyMethodDef own_methods[] = {
    {"_open", loop_open, METH_VARARGS, NULL},
    {"_close", loop_close, METH_NOARGS, NULL},
    {"_stats", loop_stats, METH_NOARGS, NULL},
    {"post", loop_post, METH_O, DOC_Loop_post},
    {"wake", loop_wake, METH_NOARGS, DOC_Loop_wake},
    {"take_over", loop_take_over, METH_NOARGS, DOC_Loop_take_over},
    {"now", loop_now, METH_NOARGS, DOC_Loop_now},
    {"update_now", loop_update_now, METH_NOARGS, DOC_Loop_update_now},
    {"backend_fd", loop_backend_fd, METH_NOARGS, DOC_Loop_backend_fd},
    {"until_next", loop_until_next, METH_NOARGS, DOC_Loop_until_next},
    {NULL, NULL, 0, NULL}};

/* Those of all files, one behind the other. The last one stays empty. */
static PyMethodDef methods[64];

static PyGetSetDef computed[] = {{"closed", loop_closed, NULL, DOC_Loop_closed, NULL},
                                 {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_dealloc, loop_dealloc},
                              {Py_tp_finalize, loop_finalize},
                              {Py_tp_traverse, loop_traverse},
                              {Py_tp_clear, loop_clear},
                              {Py_tp_iter, loop_iter},
                              {Py_tp_iternext, loop_next},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, computed},
                              {Py_tp_new, PyType_GenericNew},
                              {Py_tp_doc, DOC_Loop},
                              {0, NULL}};

static PyType_Spec spec = {.name = "sluiceio._core.Loop",
                           .basicsize = sizeof(struct loop),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                           .slots = slots};

int core_add_loop(PyObject *module) {
    PyMethodDef *tables[] = {own_methods, loop_pull_methods, loop_call_methods, loop_make_methods};
    core_join_methods(methods, tables, sizeof tables / sizeof *tables);
    PyObject *type = loop_make_lender_type() == 0 ? PyType_FromSpec(&spec) : NULL;
    int code = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return code;
}

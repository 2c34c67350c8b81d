/* poller.c - the poller.
 *
 * A signal ends the wait, Python's handlers run, and where none of them raises the wait goes on
 * with the time that is left.
 *
 * While a wait is under way, other threads run. A call of theirs on the same poller is refused.
 */
#include "core.h"
#include "docs.h"

#include <limits.h>

struct poller {
    PyObject base;
    sluice_poller *poller; /* NULL once it is closed */
    bool waiting;
    unsigned forks;
};

static sluice_poller *living(struct poller *self) {
    if (!self->poller) {
        PyErr_SetString(PyExc_ValueError, "I/O operation on closed poller");
        return NULL;
    }
    if (self->waiting) {
        PyErr_SetString(PyExc_RuntimeError, "another thread waits on this poller");
        return NULL;
    }
    int code = self->forks == core_forks ? 0 : sluice_poller_after_fork(self->poller);
    if (code < 0) {
        core_raise(code);
        return NULL;
    }
    self->forks = core_forks;
    return self->poller;
}

static PyObject *poller_open(PyObject *object, PyObject *name) {
    struct poller *self = (struct poller *)object;
    PyObject *holder = NULL;
    const char *text = name == Py_None ? NULL : core_text(name, &holder);
    if (self->poller || PyErr_Occurred())
        return PyErr_Occurred() ? NULL : core_raise(SLUICE_ESTATE);
    int code = sluice_poller_create(&self->poller, text);
    Py_XDECREF(holder);
    if (code == 0)
        code = sluice_poller_set_flags(self->poller, SLUICE_INTERRUPTIBLE);
    self->forks = core_forks;
    return core_none_or(code);
}

static PyObject *poller_close(PyObject *object, PyObject *unused) {
    (void)unused;
    struct poller *self = (struct poller *)object;
    if (self->poller && !living(self))
        return NULL;
    sluice_poller_destroy(self->poller);
    self->poller = NULL;
    Py_RETURN_NONE;
}

static PyObject *change(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
                        int (*call)(sluice_poller *, int, uint32_t, uint64_t)) {
    size_t interest;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "takes a descriptor and an interest");
    int fd = PyObject_AsFileDescriptor(arguments[0]);
    if (fd < 0 || !core_size(arguments[1], &interest))
        return NULL;
    sluice_poller *poller = living((struct poller *)object);
    return poller ? core_none_or(call(poller, fd, (uint32_t)interest, 0)) : NULL;
}

static PyObject *poller_add(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    return change(object, arguments, count, sluice_poller_add);
}

static PyObject *poller_modify(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    return change(object, arguments, count, sluice_poller_modify);
}

static PyObject *poller_remove(PyObject *object, PyObject *descriptor) {
    int fd = PyObject_AsFileDescriptor(descriptor);
    sluice_poller *poller = fd < 0 ? NULL : living((struct poller *)object);
    return poller ? core_none_or(sluice_poller_remove(poller, fd)) : NULL;
}

static PyObject *poller_fileno(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_poller *poller = living((struct poller *)object);
    int fd = poller ? sluice_poller_backend_fd(poller) : 0;
    return !poller ? NULL : fd < 0 ? core_raise(fd) : PyLong_FromLong(fd);
}

/* How many are ready, or -1 with an exception. */
static int wait_on(sluice_poller *poller, bool *waiting, sluice_ready *ready, int capacity,
                   int64_t timeout_ns) {
    bool limited = timeout_ns > 0 && timeout_ns < SLUICE_FOREVER;
    int64_t until = limited ? core_now_ns() + timeout_ns : 0;
    for (;;) {
        int count;
        *waiting = true;
        Py_BEGIN_ALLOW_THREADS count = sluice_poller_wait(poller, ready, capacity, timeout_ns);
        Py_END_ALLOW_THREADS int raised = count == SLUICE_EINTR ? PyErr_CheckSignals() : 0;
        *waiting = false;
        if (raised < 0)
            return -1;
        if (count >= 0)
            return count;
        if (count != SLUICE_EINTR) {
            core_raise(count);
            return -1;
        }
        if (limited)
            timeout_ns = until > core_now_ns() ? until - core_now_ns() : 0;
    }
}

/* wait(timeout, most): a list of pairs, a descriptor and its flags. */
static PyObject *poller_wait(PyObject *object, PyObject *arguments) {
    struct poller *self = (struct poller *)object;
    PyObject *timeout;
    int most;
    int64_t timeout_ns;
    if (!PyArg_ParseTuple(arguments, "Oi", &timeout, &most) ||
        !core_nanoseconds(timeout, &timeout_ns) || !living(self))
        return NULL;
    if (most < 1 || most > INT_MAX / (int)sizeof(sluice_ready))
        return core_raise(SLUICE_ECAPACITY);
    sluice_ready *ready = PyMem_Malloc((size_t)most * sizeof *ready);
    if (!ready)
        return PyErr_NoMemory();
    int count = wait_on(self->poller, &self->waiting, ready, most, timeout_ns);
    PyObject *list = count < 0 ? NULL : PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *pair = Py_BuildValue("(iI)", (int)ready[i].fd, (unsigned)ready[i].flags);
        if (!pair || PyList_SetItem(list, i, pair) < 0)
            Py_CLEAR(list);
    }
    PyMem_Free(ready);
    return list;
}

/* Without the lock: only what the kernel has of it goes. */
static void poller_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    sluice_poller_destroy(((struct poller *)object)->poller);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *poller_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(!((struct poller *)object)->poller);
}

/* ---- The type ------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {{"_open", poller_open, METH_O, NULL},
                                {"close", poller_close, METH_NOARGS, DOC_Poller_close},
                                {"add", CORE_FAST(poller_add), DOC_Poller_add},
                                {"modify", CORE_FAST(poller_modify), DOC_Poller_modify},
                                {"remove", poller_remove, METH_O, DOC_Poller_remove},
                                {"wait", poller_wait, METH_VARARGS, DOC_Poller_wait},
                                {"fileno", poller_fileno, METH_NOARGS, DOC_Poller_fileno},
                                {NULL, NULL, 0, NULL}};

static PyGetSetDef computed[] = {{"closed", poller_closed, NULL, DOC_Poller_closed, NULL},
                                 {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_dealloc, poller_dealloc}, {Py_tp_methods, methods},
                              {Py_tp_getset, computed},        {Py_tp_new, PyType_GenericNew},
                              {Py_tp_doc, DOC_Poller},         {0, NULL}};

static PyType_Spec spec = {.name = "sluiceio._core.Poller",
                           .basicsize = sizeof(struct poller),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                           .slots = slots};

int core_add_poller(PyObject *module) {
    PyObject *type = PyType_FromSpec(&spec);
    int code = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return code;
}

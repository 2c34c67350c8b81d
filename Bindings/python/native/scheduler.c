/* scheduler.c - what asyncio's event loop does for each callback: call_soon, call_at, and the
 * handles. turn.c runs them.
 *
 * EventLoop derives from this type first, and then from asyncio's loop, which is in Python. What is
 * here takes the place of asyncio's methods, and its attributes that of the instance's. What is not
 * here finds them under the same names: `_ready` is asyncio's own deque, and `_scheduled` its heap.
 *
 * In debug mode asyncio's own methods are called: they check more, and keep the place of each call.
 * So they are where a call is not of the usual shape, since they say best what is wrong with it.
 * Handles of either kind may be in the queue and in the heap.
 */
#include "scheduler.h"

#include "docs.h"
#include "handle.h"

#include <string.h>

PyTypeObject *scheduler_type;

/* Of asyncio: its own methods, and what else it is made of. */
static PyObject *own_call_soon, *own_call_soon_with, *own_call_at;
static PyObject *future_class, *copy_context, *heap_push;
/* Names of attributes, and of arguments. */
static PyObject *context_name, *loop_names, *append_name, *popleft_name;

/* ---- call_soon and call_at ------------------------------------------------------------------ */

/* The same call of asyncio's own method. */
static PyObject *by_asyncio(PyObject *method, PyObject *loop, PyObject *const *arguments,
                            Py_ssize_t count, PyObject *names) {
    Py_ssize_t all = count + (names ? PyTuple_Size(names) : 0);
    PyObject **with_loop = PyMem_Malloc((size_t)(all + 1) * sizeof *with_loop);
    if (!with_loop)
        return PyErr_NoMemory();
    with_loop[0] = loop;
    if (all > 0)
        memcpy(with_loop + 1, arguments, (size_t)all * sizeof *with_loop);
    PyObject *result = PyObject_Vectorcall(method, with_loop, (size_t)(count + 1), names);
    PyMem_Free(with_loop);
    return result;
}

/* Whether a call has `least` arguments and none by name but the context, on a loop that is open and
 * not in debug mode. */
static bool is_usual(const struct scheduler *self, Py_ssize_t count, Py_ssize_t least,
                     PyObject *names) {
    if (self->debug || !self->open || !self->append || count < least)
        return false;
    if (!names || PyTuple_Size(names) == 0)
        return true;
    PyObject *name = PyTuple_GetItem(names, 0);
    return PyTuple_Size(names) == 1 &&
           (name == context_name || PyUnicode_Compare(name, context_name) == 0);
}

static PyObject *tuple_of(PyObject *const *items, Py_ssize_t count) {
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; i++)
        PyTuple_SetItem(tuple, i, Py_NewRef(items[i]));
    return tuple;
}

/* A handle of callback(*args), in the context, or else in a copy of the current one. NULL for
 * `args` is no memory for them. */
static PyObject *make_handle(PyTypeObject *type, PyObject *loop, PyObject *callback, PyObject *args,
                             PyObject *context) {
    PyObject *copy = NULL;
    if (!args)
        return NULL;
    if (!context || context == Py_None) {
        context = copy = core_call(copy_context, NULL);
        if (!copy) {
            Py_DECREF(args);
            return NULL;
        }
    }
    PyObject *handle = handle_new(type, loop, callback, args, context);
    Py_XDECREF(copy);
    return handle;
}

PyObject *scheduler_append(struct scheduler *self, PyObject *handle) {
    PyObject *done = handle ? core_call(self->append, handle) : NULL;
    if (!done) {
        Py_XDECREF(handle);
        return NULL;
    }
    Py_DECREF(done);
    return handle;
}

/* call_soon(callback, *args, context=None) */
static PyObject *call_soon(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
                           PyObject *names) {
    struct scheduler *self = (struct scheduler *)object;
    if (!is_usual(self, count, 1, names))
        return by_asyncio(own_call_soon, object, arguments, count, names);
    return scheduler_append(self, make_handle(handle_type, object, arguments[0],
                                              tuple_of(arguments + 1, count - 1),
                                              names ? arguments[count] : NULL));
}

/* _call_soon(callback, args, context): what call_soon_threadsafe has in common with it. In debug
 * mode each of asyncio's callers takes its own place off the traceback. */
static PyObject *call_soon_with(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    struct scheduler *self = (struct scheduler *)object;
    if (count != 3 || !PyTuple_Check(arguments[1]) || self->debug || !self->append)
        return by_asyncio(own_call_soon_with, object, arguments, count, NULL);
    return scheduler_append(self, make_handle(handle_type, object, arguments[0],
                                              Py_NewRef(arguments[1]), arguments[2]));
}

/* call_at(when, callback, *args, context=None) */
static PyObject *call_at(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
                         PyObject *names) {
    struct scheduler *self = (struct scheduler *)object;
    if (!is_usual(self, count, 2, names) || !self->scheduled || arguments[0] == Py_None)
        return by_asyncio(own_call_at, object, arguments, count, names);
    PyObject *timer =
        make_handle(timer_type, object, arguments[1], tuple_of(arguments + 2, count - 2),
                    names ? arguments[count] : NULL);
    if (!timer)
        return NULL;
    struct handle *part = handle_part(timer);
    part->when = Py_NewRef(arguments[0]);
    PyObject *done = PyObject_CallFunctionObjArgs(heap_push, self->scheduled, timer, NULL);
    if (!done) {
        Py_DECREF(timer);
        return NULL;
    }
    Py_DECREF(done);
    part->scheduled = 1;
    return timer;
}

static PyObject *create_future(PyObject *object, PyObject *unused) {
    (void)unused;
    PyObject *arguments[] = {NULL, object};
    return PyObject_Vectorcall(future_class, arguments + 1, PY_VECTORCALL_ARGUMENTS_OFFSET,
                               loop_names);
}

static PyObject *get_debug(PyObject *object, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(((struct scheduler *)object)->debug);
}

/* ---- The type ------------------------------------------------------------------------------- */

static PyObject *get_flag(PyObject *object, void *offset) {
    return PyBool_FromLong(*((char *)object + (size_t)offset));
}

static int set_flag(PyObject *object, PyObject *value, void *offset) {
    int is = value ? PyObject_IsTrue(value) : 0;
    if (is >= 0)
        *((char *)object + (size_t)offset) = (char)is;
    return is < 0 ? -1 : 0;
}

static PyObject *get_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(!((struct scheduler *)object)->open);
}

static int set_closed(PyObject *object, PyObject *value, void *unused) {
    (void)unused;
    int is = value ? PyObject_IsTrue(value) : 1;
    if (is >= 0)
        ((struct scheduler *)object)->open = !is;
    return is < 0 ? -1 : 0;
}

static PyObject *get_ready(PyObject *object, void *unused) {
    (void)unused;
    PyObject *ready = ((struct scheduler *)object)->ready;
    return Py_NewRef(ready ? ready : Py_None);
}

static int set_ready(PyObject *object, PyObject *ready, void *unused) {
    (void)unused;
    struct scheduler *self = (struct scheduler *)object;
    if (!ready)
        PyErr_SetString(PyExc_AttributeError, "an event loop cannot be without a queue");
    PyObject *append = ready ? PyObject_GetAttr(ready, append_name) : NULL;
    PyObject *popleft = append ? PyObject_GetAttr(ready, popleft_name) : NULL;
    if (!popleft) {
        Py_XDECREF(append);
        return -1;
    }
    core_replace(&self->ready, Py_NewRef(ready));
    core_replace(&self->append, append);
    core_replace(&self->popleft, popleft);
    return 0;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
    struct scheduler *self = (struct scheduler *)object;
    Py_VISIT(self->ready);
    Py_VISIT(self->append);
    Py_VISIT(self->popleft);
    Py_VISIT(self->scheduled);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int clear(PyObject *object) {
    struct scheduler *self = (struct scheduler *)object;
    Py_CLEAR(self->append);
    Py_CLEAR(self->popleft);
    Py_CLEAR(self->ready);
    Py_CLEAR(self->scheduled);
    return 0;
}

static void dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    clear(object);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"call_soon", CORE_FAST(call_soon) | METH_KEYWORDS, DOC_Scheduler_call_soon},
    {"_call_soon", CORE_FAST(call_soon_with), NULL},
    {"call_at", CORE_FAST(call_at) | METH_KEYWORDS, DOC_Scheduler_call_at},
    {"create_future", create_future, METH_NOARGS, DOC_Scheduler_create_future},
    {"get_debug", get_debug, METH_NOARGS, DOC_Scheduler_get_debug},
    {"_run_once", scheduler_run_once, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

static PyMemberDef members[] = {
    {"_scheduled", T_OBJECT, offsetof(struct scheduler, scheduled), 0, NULL},
    {"_timer_cancelled_count", T_PYSSIZET, offsetof(struct scheduler, cancelled_timers), 0, NULL},
    {NULL, 0, 0, 0, NULL}};

#define FLAG(member) (void *)offsetof(struct scheduler, member)
static PyGetSetDef computed[] = {{"_ready", get_ready, set_ready, NULL, NULL},
                                 {"_closed", get_closed, set_closed, NULL, NULL},
                                 {"_stopping", get_flag, set_flag, NULL, FLAG(stopping)},
                                 {"_debug", get_flag, set_flag, NULL, FLAG(debug)},
                                 {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc},       {Py_tp_traverse, traverse}, {Py_tp_clear, clear},
    {Py_tp_methods, methods},       {Py_tp_members, members},   {Py_tp_getset, computed},
    {Py_tp_new, PyType_GenericNew}, {Py_tp_doc, DOC_Scheduler}, {0, NULL}};

static PyType_Spec spec = {.name = "sluiceio._core.Scheduler",
                           .basicsize = sizeof(struct scheduler),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                           .slots = slots};

int core_add_scheduler(PyObject *module) {
    scheduler_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return scheduler_type ? PyModule_AddType(module, scheduler_type) : -1;
}

/* ---- What is asyncio's ---------------------------------------------------------------------- */

PyObject *scheduler_setup(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *loop, *future, *context, *copy, *heap, *failed;
    PyTypeObject *handle, *timer;
    if (!PyArg_ParseTuple(arguments, "OO!O!OOOOO", &loop, &PyType_Type, &handle, &PyType_Type,
                          &timer, &future, &context, &copy, &heap, &failed) ||
        !core_intern(&context_name, "context") || !core_intern(&append_name, "append") ||
        !core_intern(&popleft_name, "popleft") || handle_make_types(handle, timer) < 0 ||
        !scheduler_setup_turns(loop, heap) ||
        !core_keep_attribute(&own_call_soon, loop, "call_soon") ||
        !core_keep_attribute(&own_call_soon_with, loop, "_call_soon") ||
        !core_keep_attribute(&own_call_at, loop, "call_at") ||
        !core_keep_attribute(&heap_push, heap, "heappush") ||
        !core_keep_attribute(&handle_context_run, context, "run"))
        return NULL;
    if (!loop_names && !(loop_names = Py_BuildValue("(s)", "loop")))
        return NULL;
    core_replace(&future_class, Py_NewRef(future));
    core_replace(&copy_context, Py_NewRef(copy));
    core_replace(&handle_failed, Py_NewRef(failed));
    return Py_BuildValue("(OO)", handle_type, timer_type);
}

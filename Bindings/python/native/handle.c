/* handle.c - asyncio's Handle and TimerHandle, for the callbacks of an event loop of Sluice's.
 *
 * The types derive from asyncio's, which are in Python, and so are instances of them. Those have
 * slots of their own, which are left empty. Ours lie behind, under the same names. So all that is
 * not here, such as the repr and what debug mode asks for, is asyncio's, and finds what it looks
 * for.
 *
 * Only what each callback needs is in C: the making, the run and the cancel.
 */
#include "handle.h"

#include "docs.h"
#include "scheduler.h"

#include <string.h>

PyTypeObject *handle_type, *timer_type;
PyObject *handle_context_run, *handle_failed;

static PyTypeObject *base_type, *base_timer_type;
static size_t part_offset;

struct handle *handle_part(PyObject *handle) {
    return (struct handle *)(void *)((char *)handle + part_offset);
}

PyObject *handle_new(PyTypeObject *type, PyObject *loop, PyObject *callback, PyObject *args,
                     PyObject *context) {
    PyObject *handle = PyType_GenericAlloc(type, 0);
    if (!handle) {
        Py_DECREF(args);
        return NULL;
    }
    struct handle *part = handle_part(handle);
    part->callback = Py_NewRef(callback);
    part->args = args;
    part->context = Py_NewRef(context);
    part->loop = Py_NewRef(loop);
    return handle;
}

/* ---- Running -------------------------------------------------------------------------------- */

/* The call fails by what it raises, and so does a loop's exception handler. */
static int tell_failure(PyObject *handle) {
    if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        return -1;
    PyObject *error = core_take_exception();
    PyObject *done = PyObject_CallFunctionObjArgs(handle_failed, handle, error, NULL);
    Py_XDECREF(error);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* NULL is no argument of a call. */
static PyObject *or_none(PyObject *object) {
    return Py_NewRef(object ? object : Py_None);
}

/* context.run(callback, *args). The handle may be cancelled meanwhile, and lose what it has. */
static PyObject *call(const struct handle *part) {
    enum { FEW = 6 };
    PyObject *few[1 + 2 + FEW], **stack = few;
    PyObject *args = part->args ? PySequence_Tuple(part->args) : NULL; /* mostly itself */
    if (part->args && !args)
        return NULL;
    Py_ssize_t count = args ? PyTuple_Size(args) : 0;
    if (count > FEW && !(stack = PyMem_Malloc((size_t)(1 + 2 + count) * sizeof *stack))) {
        Py_DECREF(args);
        return PyErr_NoMemory();
    }
    stack[1] = or_none(part->context);
    stack[2] = or_none(part->callback);
    for (Py_ssize_t i = 0; i < count; i++)
        stack[3 + i] = PyTuple_GetItem(args, i);
    PyObject *result = PyObject_Vectorcall(
        handle_context_run, stack + 1, (size_t)(2 + count) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(stack[1]);
    Py_DECREF(stack[2]);
    Py_XDECREF(args);
    if (stack != few)
        PyMem_Free(stack);
    return result;
}

int handle_run(PyObject *handle) {
    PyObject *result = call(handle_part(handle));
    if (!result)
        return tell_failure(handle);
    Py_DECREF(result);
    return 0;
}

/* ---- Cancelling ----------------------------------------------------------------------------- */

/* asyncio's own does more where the loop is in debug mode, or is another's. */
static PyObject *cancel(PyObject *handle, PyObject *unused) {
    (void)unused;
    struct handle *part = handle_part(handle);
    if (part->cancelled)
        Py_RETURN_NONE;
    struct scheduler *loop = scheduler_of(part->loop);
    bool is_timer = PyObject_TypeCheck(handle, timer_type);
    if (!loop || loop->debug) {
        PyTypeObject *base = is_timer ? base_timer_type : base_type;
        return PyObject_CallMethod((PyObject *)base, "cancel", "O", handle);
    }
    if (is_timer && part->scheduled)
        loop->cancelled_timers++;
    part->cancelled = 1;
    Py_CLEAR(part->callback);
    Py_CLEAR(part->args);
    Py_RETURN_NONE;
}

static PyObject *cancelled(PyObject *handle, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(handle_part(handle)->cancelled);
}

/* Timers are in a heap, which compares them by this. */
static PyObject *is_less(PyObject *handle, PyObject *other) {
    if (!PyObject_TypeCheck(other, base_timer_type))
        Py_RETURN_NOTIMPLEMENTED;
    PyObject *when = handle_part(handle)->when;
    if (Py_TYPE(other) == timer_type && when && handle_part(other)->when)
        return PyObject_RichCompare(when, handle_part(other)->when, Py_LT);
    return PyObject_CallMethod((PyObject *)base_timer_type, "__lt__", "OO", handle, other);
}

/* ---- The types ------------------------------------------------------------------------------ */

static int traverse(PyObject *handle, visitproc visit, void *arg) {
    struct handle *part = handle_part(handle);
    Py_VISIT(part->callback);
    Py_VISIT(part->args);
    Py_VISIT(part->context);
    Py_VISIT(part->loop);
    Py_VISIT(part->source_traceback);
    Py_VISIT(part->representation);
    Py_VISIT(part->when);
    Py_VISIT(Py_TYPE(handle));
    return 0;
}

static int clear(PyObject *handle) {
    struct handle *part = handle_part(handle);
    Py_CLEAR(part->callback);
    Py_CLEAR(part->args);
    Py_CLEAR(part->context);
    Py_CLEAR(part->loop);
    Py_CLEAR(part->source_traceback);
    Py_CLEAR(part->representation);
    Py_CLEAR(part->when);
    return 0;
}

static void end(PyObject *handle) {
    PyTypeObject *type = Py_TYPE(handle);
    PyObject_ClearWeakRefs(handle);
    clear(handle);
    PyObject_GC_Del(handle);
    Py_DECREF(type);
}

/* A handle whose callback is a method of another handle, and so on: the end of each is within that
 * of the one before. What is too deep waits in a list, whose links are where the repr was. */
static void dealloc(PyObject *handle) {
    enum { DEEP = 50 };
    static int depth;
    static PyObject *waiting;
    PyObject_GC_UnTrack(handle);
    if (depth == DEEP) {
        Py_CLEAR(handle_part(handle)->representation);
        handle_part(handle)->representation = waiting;
        waiting = handle;
        return;
    }
    depth++;
    end(handle);
    while ((handle = waiting) != NULL) {
        waiting = handle_part(handle)->representation;
        handle_part(handle)->representation = NULL;
        end(handle);
    }
    depth--;
}

/* Offsets within the part. */
#define OBJECT(name, member)                                                                       \
    { name, T_OBJECT, offsetof(struct handle, member), 0, NULL }
#define TRUTH(name, member)                                                                        \
    { name, T_BOOL, offsetof(struct handle, member), 0, NULL }
static const PyMemberDef part_members[] = {OBJECT("_callback", callback),
                                           OBJECT("_args", args),
                                           OBJECT("_context", context),
                                           OBJECT("_loop", loop),
                                           OBJECT("_source_traceback", source_traceback),
                                           OBJECT("_repr", representation),
                                           TRUTH("_cancelled", cancelled),
                                           OBJECT("_when", when),
                                           TRUTH("_scheduled", scheduled)};
enum { MEMBERS = sizeof part_members / sizeof *part_members, OF_TIMERS = 2 };

/* What all have, and before it what timers have, too. */
static PyMethodDef methods[] = {{"__lt__", is_less, METH_O | METH_COEXIST, NULL},
                                {"cancel", cancel, METH_NOARGS, DOC_Handle_cancel},
                                {"cancelled", cancelled, METH_NOARGS, DOC_Handle_cancelled},
                                {NULL, NULL, 0, NULL}};

static PyTypeObject *make_type(const char *name, PyTypeObject *base, bool is_timer) {
    PyMemberDef members[MEMBERS + 1];
    size_t count = is_timer ? MEMBERS : MEMBERS - OF_TIMERS;
    memset(members, 0, sizeof members);
    memcpy(members, part_members, count * sizeof *members);
    for (size_t i = 0; i < count; i++)
        members[i].offset += (Py_ssize_t)part_offset;
    PyType_Slot slots[] = {{Py_tp_dealloc, dealloc},
                           {Py_tp_traverse, traverse},
                           {Py_tp_clear, clear},
                           {Py_tp_methods, is_timer ? methods : methods + 1},
                           {Py_tp_members, members},
                           {Py_tp_doc, is_timer ? DOC_TimerHandle : DOC_Handle},
                           {0, NULL}};
    PyType_Spec spec = {.name = name,
                        .basicsize = (int)(part_offset + sizeof(struct handle)),
                        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                        .slots = slots};
    return (PyTypeObject *)PyType_FromSpecWithBases(&spec, (PyObject *)base);
}

int handle_make_types(PyTypeObject *handle, PyTypeObject *timer) {
    PyObject *size = PyObject_GetAttrString((PyObject *)timer, "__basicsize__");
    if (!size)
        return -1;
    part_offset = (PyLong_AsSize_t(size) + 7) & ~(size_t)7; /* a timer has the larger one */
    Py_DECREF(size);
    base_type = (PyTypeObject *)Py_NewRef((PyObject *)handle);
    base_timer_type = (PyTypeObject *)Py_NewRef((PyObject *)timer);
    handle_type = make_type("sluiceio._core.Handle", handle, false);
    timer_type = make_type("sluiceio._core.TimerHandle", timer, true);
    return handle_type && timer_type ? 0 : -1;
}

/* event.c - an event, as Python sees it. */
#include "event.h"

#include "docs.h"

PyTypeObject *core_event_type;

static int traverse(PyObject *object, visitproc visit, void *arg) {
    struct event *event = (struct event *)object;
    Py_VISIT(event->data);
    Py_VISIT(event->error);
    Py_VISIT(event->user);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int clear(PyObject *object) {
    struct event *event = (struct event *)object;
    Py_CLEAR(event->kind);
    Py_CLEAR(event->id);
    Py_CLEAR(event->data);
    Py_CLEAR(event->error);
    Py_CLEAR(event->user);
    return 0;
}

/* What is attached to a handle may be the event before, and to that one's the one before it. Each
 * is let go of here, and not within the other: so many would take too much of the stack. */
static void dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    PyObject *user = ((struct event *)object)->user;
    ((struct event *)object)->user = NULL;
    clear(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
    while (user && Py_TYPE(user) == core_event_type && Py_REFCNT(user) == 1) {
        PyObject *next = ((struct event *)user)->user;
        ((struct event *)user)->user = NULL;
        Py_DECREF(user);
        user = next;
    }
    Py_XDECREF(user);
}

static PyObject *get_seen(PyObject *object, void *unused) {
    (void)unused;
    struct event *event = (struct event *)object;
    return PyLong_FromUnsignedLongLong(event->number == SLUICE_DATA ? event->value >> 1 : 0);
}

static PyObject *get_is_last(PyObject *object, void *unused) {
    (void)unused;
    struct event *event = (struct event *)object;
    return PyBool_FromLong(event->number == SLUICE_DATA && (event->value & SLUICE_LAST));
}

static PyObject *get_input_ended(PyObject *object, void *unused) {
    (void)unused;
    struct event *event = (struct event *)object;
    bool ended = event->number == SLUICE_CLOSED && event->value == SLUICE_INPUT_ENDED;
    return PyBool_FromLong(ended);
}

static PyObject *get_flags(PyObject *object, void *unused) {
    (void)unused;
    struct event *event = (struct event *)object;
    PyObject *value = PyLong_FromUnsignedLongLong(event->number == SLUICE_READY ? event->value : 0);
    PyObject *flags = value ? PyObject_CallFunctionObjArgs(core_ready, value, NULL) : NULL;
    Py_XDECREF(value);
    return flags;
}

static PyObject *represent(PyObject *object) {
    struct event *event = (struct event *)object;
    return PyUnicode_FromFormat("<Event %S id=%S data=%.60R error=%R>", event->kind, event->id,
                                event->data, event->error);
}

static PyMemberDef members[] = {
    {"kind", T_OBJECT_EX, offsetof(struct event, kind), READONLY, DOC_Event_kind},
    {"id", T_OBJECT_EX, offsetof(struct event, id), READONLY, DOC_Event_id},
    {"data", T_OBJECT_EX, offsetof(struct event, data), READONLY, DOC_Event_data},
    {"error", T_OBJECT_EX, offsetof(struct event, error), READONLY, DOC_Event_error},
    {"user", T_OBJECT_EX, offsetof(struct event, user), READONLY, DOC_Event_user},
    {"length", T_ULONGLONG, offsetof(struct event, length), READONLY, DOC_Event_length},
    {"value", T_ULONGLONG, offsetof(struct event, value), READONLY, DOC_Event_value},
    {NULL, 0, 0, 0, NULL}};

static PyGetSetDef computed[] = {
    {"seen", get_seen, NULL, DOC_Event_seen, NULL},
    {"is_last", get_is_last, NULL, DOC_Event_is_last, NULL},
    {"input_ended", get_input_ended, NULL, DOC_Event_input_ended, NULL},
    {"flags", get_flags, NULL, DOC_Event_flags, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_dealloc, dealloc}, {Py_tp_traverse, traverse},
                              {Py_tp_clear, clear},     {Py_tp_members, members},
                              {Py_tp_getset, computed}, {Py_tp_repr, represent},
                              {Py_tp_doc, DOC_Event},   {0, NULL}};

static PyType_Spec spec = {.name = "sluiceio.Event",
                           .basicsize = sizeof(struct event),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                    Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                           .slots = slots};

struct event *core_new_event(void) {
    struct event *event = PyObject_GC_New(struct event, core_event_type);
    if (event) {
        event->kind = event->id = event->data = event->error = event->user = NULL;
        event->length = event->value = 0;
        event->number = 0;
        PyObject_GC_Track((PyObject *)event);
    }
    return event;
}

int core_add_event(PyObject *module) {
    core_event_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return core_event_type ? PyModule_AddType(module, core_event_type) : -1;
}

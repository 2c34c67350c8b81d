/* transport.c - asyncio's transport, over a stream of the loop: the type, its beginning and its
 * end.
 *
 * The type derives from asyncio.Transport, as programs expect. That has a slot of its own, which is
 * left empty. Behind it lies what is ours, at an offset that is known when the type is made.
 *
 * Whatever ends a transport, `connection_lost` is called by `call_soon`, and so never within a
 * call.
 */
#include "transport.h"

size_t transport_offset;
static PyTypeObject *base_type, *buffered_type;
static PyObject *lost_name;

/* ---- Calling the protocol ------------------------------------------------------------------- */

/* The call may be the transport's own, and another protocol take its place meanwhile. */
PyObject *transport_run(const struct transport_part *part, PyObject *call, PyObject *argument) {
    PyObject *arguments[] = {NULL, Py_NewRef(call), argument};
    PyObject *result = PyObject_Vectorcall(
        part->run, arguments + 1, (argument ? 2 : 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(call);
    return result;
}

PyObject *transport_run_method(const struct transport_part *part, PyObject *name,
                               PyObject *argument) {
    PyObject *call = PyObject_GetAttr(part->protocol, name);
    PyObject *result = call ? transport_run(part, call, argument) : NULL;
    Py_XDECREF(call);
    return result;
}

int transport_tell(PyObject *transport, PyObject *name, const char *message) {
    if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        return -1;
    PyObject *error = core_take_exception();
    PyObject *text = PyUnicode_FromString(message);
    PyObject *done = text ? PyObject_CallMethodObjArgs(transport, name, error, text, NULL) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(error);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int transport_call_soon(PyObject *transport, const char *method) {
    PyObject *call = PyObject_GetAttrString(transport, method);
    PyObject *call_soon = transport_part(transport)->engine->call_soon;
    PyObject *done = call ? PyObject_CallFunctionObjArgs(call_soon, call, NULL) : NULL;
    Py_XDECREF(call);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int transport_lose(PyObject *transport, PyObject *error, bool in_context) {
    struct transport_part *part = transport_part(transport);
    part->state |= STATE_CLOSING | STATE_LOST;
    if (!part->engine || !part->engine->call_soon)
        return 0; /* it has not begun, or its event loop is closed */
    PyObject *call = PyObject_GetAttr(transport, lost_name);
    PyObject *arguments[] = {NULL, part->engine->call_soon, call, error};
    PyObject *done = NULL;
    if (call)
        done = in_context ? PyObject_Vectorcall(part->run, arguments + 1,
                                                3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
                          : PyObject_Vectorcall(part->engine->call_soon, arguments + 2,
                                                2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    engine_remove(part->engine, part->id);
    Py_XDECREF(call);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int transport_closed(PyObject *transport, const sluice_event *event) {
    struct transport_part *part = transport_part(transport);
    if (part->state & STATE_LOST)
        return 0;
    PyObject *error = event->error ? core_error(event->error, NULL) : Py_NewRef(Py_None);
    int code = error ? transport_lose(transport, error, true) : -1;
    Py_XDECREF(error);
    return code;
}

/* ---- Beginning ------------------------------------------------------------------------------ */

/* An attribute, or NULL without an exception where there is none. */
static bool find(PyObject *object, const char *name, PyObject **found) {
    *found = PyObject_GetAttrString(object, name);
    if (!*found && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return false;
    PyErr_Clear();
    return true;
}

/* One that has both ways is what its class says. A protocol with neither does not read, or fails
 * when it does. */
static int take_protocol(struct transport_part *part, PyObject *protocol) {
    PyObject *received = NULL, *buffer = NULL;
    int buffered = PyObject_IsInstance(protocol, (PyObject *)buffered_type);
    if (buffered < 0 || (!buffered && !find(protocol, "data_received", &received)))
        return -1;
    if (!received) {
        if (!find(protocol, "get_buffer", &buffer) ||
            (buffer && !find(protocol, "buffer_updated", &received))) {
            Py_XDECREF(buffer);
            return -1;
        }
        buffered = received != NULL;
        if (!received)
            Py_CLEAR(buffer);
    }
    part->state &= ~(uint32_t)STATE_BUFFERED;
    part->state |= buffered ? STATE_BUFFERED : 0;
    core_replace(&part->protocol, Py_NewRef(protocol));
    core_replace(&part->received, received ? received : Py_NewRef(Py_None));
    core_replace(&part->buffer, buffer);
    return 0;
}

static PyObject *transport_set_protocol(PyObject *transport, PyObject *protocol) {
    return transport_none_or(take_protocol(transport_part(transport), protocol));
}

/* _begin(engine, protocol, fd, id, run, server, sock, extra): of a connected descriptor, which is
 * the core's from now on, or of a stream where fd is -1. */
static PyObject *transport_begin(PyObject *transport, PyObject *arguments) {
    struct transport_part *part = transport_part(transport);
    PyObject *engine, *protocol, *context_run, *server, *sock, *extra;
    int fd;
    unsigned long long stream;
    if (!PyArg_ParseTuple(arguments, "OOiKOOOO", &engine, &protocol, &fd, &stream, &context_run,
                          &server, &sock, &extra))
        return NULL;
    sluice_id id = stream;
    struct engine *owner = (struct engine *)engine;
    if (part->engine || !owner->loop) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return NULL;
    }
    part->high = HIGH_MARK;
    part->low = LOW_MARK;
    if (take_protocol(part, protocol) < 0)
        return NULL;
    part->run = Py_NewRef(context_run);
    part->server = server == Py_None ? NULL : Py_NewRef(server);
    part->extra = extra == Py_None ? NULL : Py_NewRef(extra);
    if (fd >= 0) {
        sluice_stream_options options = engine_stream_options();
        int code = sluice_adopt(owner->loop, &id, fd, &options);
        if (code < 0)
            return core_raise(code);
        part->state |= STATE_STARTING;
        sluice_pause(owner->loop, id);
    }
    part->sock = sock == Py_None ? NULL : Py_NewRef(sock);
    part->engine = (struct engine *)Py_NewRef(engine);
    part->id = id;
    return transport_none_or(engine_add(owner, transport, id));
}

/* ---- For Python's part of it ---------------------------------------------------------------- */

static PyObject *transport_is_closing(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    return PyBool_FromLong(part->state & (STATE_CLOSING | STATE_FAILED));
}

static PyObject *transport_fileno(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    bool has = transport_loop(part) && !(part->state & STATE_LOST);
    int fd = has ? sluice_fd(transport_loop(part), part->id) : -1;
    return PyLong_FromLong(fd < 0 ? -1 : fd);
}

/* _release(): it is over. */
static PyObject *transport_release(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    part->state |= STATE_CLOSING | STATE_LOST;
    Py_CLEAR(part->protocol);
    Py_CLEAR(part->received);
    Py_CLEAR(part->buffer);
    Py_CLEAR(part->server);
    Py_CLEAR(part->sock);
    Py_RETURN_NONE;
}

static PyObject *transport_state(PyObject *transport, void *bit) {
    return PyBool_FromLong(transport_part(transport)->state & (uint32_t)(uintptr_t)bit);
}

static PyObject **place(PyObject *transport, void *which) {
    return (PyObject **)(void *)((char *)transport_part(transport) + (size_t)which);
}

static PyObject *get_object(PyObject *transport, void *which) {
    PyObject *object = *place(transport, which);
    return Py_NewRef(object ? object : Py_None);
}

static int set_object(PyObject *transport, PyObject *value, void *which) {
    core_replace(place(transport, which), value && value != Py_None ? Py_NewRef(value) : NULL);
    return 0;
}

static int traverse(PyObject *transport, visitproc visit, void *arg) {
    struct transport_part *part = transport_part(transport);
    Py_VISIT((PyObject *)part->engine);
    Py_VISIT(part->protocol);
    Py_VISIT(part->received);
    Py_VISIT(part->buffer);
    Py_VISIT(part->run);
    Py_VISIT(part->server);
    Py_VISIT(part->sock);
    Py_VISIT(part->extra);
    Py_VISIT(part->waiter);
    Py_VISIT(Py_TYPE(transport));
    return 0;
}

static int clear(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    PyObject *engine = (PyObject *)part->engine;
    part->engine = NULL;
    part->state |= STATE_CLOSING | STATE_LOST;
    Py_XDECREF(engine);
    Py_CLEAR(part->protocol);
    Py_CLEAR(part->received);
    Py_CLEAR(part->buffer);
    Py_CLEAR(part->run);
    Py_CLEAR(part->server);
    Py_CLEAR(part->sock);
    Py_CLEAR(part->extra);
    Py_CLEAR(part->waiter);
    return 0;
}

static void dealloc(PyObject *transport) {
    PyTypeObject *type = Py_TYPE(transport);
    PyObject_GC_UnTrack(transport);
    clear(transport);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(transport);
    Py_DECREF(type);
}

/* Not the base's, which wants an event loop. */
static int init(PyObject *transport, PyObject *arguments, PyObject *names) {
    (void)transport;
    (void)arguments;
    (void)names;
    return 0;
}

#define OBJECT(member) (void *)offsetof(struct transport_part, member)
#define BIT(state) (void *)(uintptr_t)(state)
static PyGetSetDef computed[] = {
    {"_protocol", get_object, NULL, NULL, OBJECT(protocol)},
    {"_server", get_object, NULL, NULL, OBJECT(server)},
    {"_sock", get_object, set_object, NULL, OBJECT(sock)},
    {"_extra", get_object, set_object, NULL, OBJECT(extra)},
    {"_waiter", get_object, set_object, NULL, OBJECT(waiter)},
    {"_engine", get_object, NULL, NULL, OBJECT(engine)},
    {"_protocol_paused", transport_state, NULL, NULL, BIT(STATE_PROTOCOL_PAUSED)},
    {"_paused", transport_state, NULL, NULL, BIT(STATE_PAUSED)},
    {"_closing", transport_state, NULL, NULL, BIT(STATE_CLOSING)},
    {"_lost", transport_state, NULL, NULL, BIT(STATE_LOST)},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef own_methods[] = {
    {"_begin", transport_begin, METH_VARARGS, NULL},
    {"_release", transport_release, METH_NOARGS, NULL},
    {"_fileno", transport_fileno, METH_NOARGS, NULL},
    {"is_closing", transport_is_closing, METH_NOARGS, DOC_Transport_is_closing},
    {"set_protocol", transport_set_protocol, METH_O, DOC_Transport_set_protocol},
    {NULL, NULL, 0, NULL}};

/* Those of all files, one behind the other. The last one stays empty. */
static PyMethodDef methods[32];

static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc}, {Py_tp_traverse, traverse}, {Py_tp_clear, clear},
    {Py_tp_methods, methods}, {Py_tp_getset, computed},   {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, init},       {Py_tp_doc, DOC_Transport}, {0, NULL}};

/* _transport_type(asyncio.Transport, asyncio.BufferedProtocol) */
PyObject *transport_make_type(PyObject *module, PyObject *arguments) {
    (void)module;
    PyTypeObject *base, *buffered;
    if (!PyArg_ParseTuple(arguments, "O!O!", &PyType_Type, &base, &PyType_Type, &buffered) ||
        !core_intern(&lost_name, "_connection_lost") || !transport_setup_writing() ||
        !transport_setup_reading())
        return NULL;
    PyObject *size = PyObject_GetAttrString((PyObject *)base, "__basicsize__");
    if (!size)
        return NULL;
    transport_offset = (PyLong_AsSize_t(size) + 7) & ~(size_t)7;
    Py_DECREF(size);
    base_type = (PyTypeObject *)Py_NewRef((PyObject *)base);
    buffered_type = (PyTypeObject *)Py_NewRef((PyObject *)buffered);
    PyMethodDef *tables[] = {own_methods, transport_write_methods, transport_read_methods};
    core_join_methods(methods, tables, sizeof tables / sizeof *tables);
    PyType_Spec spec = {.name = "sluiceio._core.Transport",
                        .basicsize = (int)(transport_offset + sizeof(struct transport_part)),
                        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                        .slots = slots};
    return PyType_FromSpecWithBases(&spec, (PyObject *)base);
}

/* engine.c - what asyncio's event loop waits with: watches, as a selector has them, and streams,
 * whose events it gives to their transports by itself.
 *
 * The event loop is asyncio's own, with this in the place of its selector. A select pulls as many
 * events as there are. Those of watches it returns. Those of streams are seen to before it returns,
 * each in its connection's context: no handle is made for them, and none is queued.
 *
 * A transport is found by its stream's id, and not by a pointer that the event brings: of events
 * that are pulled together, one may end the stream of another.
 */
#include "engine.h"

#include "docs.h"

#include <poll.h>

#define BATCH 256

static PyObject *thread_name;

/* A call from another thread than the last. An event loop is often made by one thread and run by
 * another: it is that one's while it runs, and else whose who calls. False with an exception. */
static bool take_over(struct engine *engine) {
    PyObject *thread = PyObject_GetAttr(engine->asyncio_loop, thread_name);
    bool is_free = thread == Py_None, is_own = false;
    if (thread && !is_free)
        is_own = PyLong_AsUnsignedLong(thread) == PyThread_get_thread_ident();
    Py_XDECREF(thread);
    if (PyErr_Occurred())
        return false;
    if (engine->selecting || !(is_free || is_own))
        return core_raise(SLUICE_ETHREAD), false;
    return sluice_take_over(engine->loop) == 0;
}

sluice_loop *engine_living(struct engine *engine) {
    if (!engine->loop) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return NULL;
    }
    if (engine->forks != core_forks && !engine->selecting) {
        int code = sluice_after_fork(engine->loop);
        if (code < 0) {
            core_raise(code);
            return NULL;
        }
        engine->forks = core_forks;
    }
    return sluice_now(engine->loop) >= 0 || take_over(engine) ? engine->loop : NULL;
}

/* ---- Transports ----------------------------------------------------------------------------- */

static size_t slot_of(sluice_id id) {
    return id & (((sluice_id)1 << SLUICE_SLOT_BITS) - 1);
}

int engine_add(struct engine *engine, PyObject *transport, sluice_id id) {
    size_t slot = slot_of(id), slots = engine->slots ? engine->slots : 64;
    while (slots <= slot)
        slots *= 2;
    if (slots > engine->slots) {
        struct transport **grown =
            PyMem_Realloc(engine->transports, slots * sizeof *engine->transports);
        if (!grown)
            return PyErr_NoMemory(), -1;
        for (size_t i = engine->slots; i < slots; i++)
            grown[i] = NULL;
        engine->transports = grown;
        engine->slots = slots;
    }
    PyObject *before = (PyObject *)engine->transports[slot];
    engine->transports[slot] = (struct transport *)Py_NewRef(transport);
    Py_XDECREF(before);
    return 0;
}

PyObject *engine_transport_at(const struct engine *engine, sluice_id id) {
    size_t slot = slot_of(id);
    PyObject *transport = slot < engine->slots ? (PyObject *)engine->transports[slot] : NULL;
    return transport && transport_part(transport)->id == id ? transport : NULL;
}

void engine_remove(struct engine *engine, sluice_id id) {
    PyObject *transport = engine_transport_at(engine, id);
    if (transport) {
        engine->transports[slot_of(id)] = NULL;
        Py_DECREF(transport);
    }
}

static PyObject *engine_transports(PyObject *object, PyObject *unused) {
    (void)unused;
    struct engine *engine = (struct engine *)object;
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < engine->slots; i++)
        if (engine->transports[i] && PyList_Append(list, (PyObject *)engine->transports[i]) < 0)
            Py_CLEAR(list);
    return list;
}

sluice_stream_options engine_stream_options(void) {
    /* A protocol says by eof_received whether it stays. What it does not read, it does not get:
     * that is its own to ask for. A connection whose bytes have gone is closed without a wait for
     * the peer, as asyncio does it: there is a close for a transport only then. */
    return (sluice_stream_options){.size = sizeof(sluice_stream_options),
                                   .flags = SLUICE_HALF_OPEN | SLUICE_UNTHROTTLED,
                                   .high_mark = HIGH_MARK,
                                   .low_mark = LOW_MARK,
                                   .linger_ns = 1};
}

/* ---- Watches -------------------------------------------------------------------------------- */

static bool has_room_for(struct engine *engine, int fd) {
    size_t wanted = (size_t)(fd < 0 ? 0 : fd) + 1, numbers = engine->numbers;
    if (wanted <= numbers)
        return true;
    wanted += wanted / 2 + 64;
    unsigned *grown = PyMem_Realloc(engine->reported, wanted * sizeof *grown);
    if (!grown)
        return PyErr_NoMemory(), false;
    for (size_t i = numbers; i < wanted; i++)
        grown[i] = engine->batch - 1;
    engine->reported = grown;
    engine->numbers = wanted;
    return true;
}

static PyObject *engine_watch(PyObject *object, PyObject *arguments) {
    int fd;
    unsigned interest;
    if (!PyArg_ParseTuple(arguments, "iI", &fd, &interest))
        return NULL;
    struct engine *engine = (struct engine *)object;
    sluice_loop *loop = has_room_for(engine, fd) ? engine_living(engine) : NULL;
    sluice_id id = 0;
    int code = loop ? sluice_watch(loop, &id, fd, interest, (uint64_t)fd) : 0;
    return !loop ? NULL : code < 0 ? core_raise(code) : PyLong_FromUnsignedLongLong(id);
}

static PyObject *engine_rewatch(PyObject *object, PyObject *arguments) {
    unsigned long long id;
    unsigned interest;
    if (!PyArg_ParseTuple(arguments, "KI", &id, &interest))
        return NULL;
    sluice_loop *loop = engine_living((struct engine *)object);
    return loop ? core_none_or(sluice_rewatch(loop, id, interest)) : NULL;
}

/* Ends a watch or a listener, unless it has ended. */
static PyObject *engine_end(PyObject *object, PyObject *handle) {
    struct engine *engine = (struct engine *)object;
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? engine_living(engine) : NULL;
    int code = loop ? sluice_close(loop, id) : 0;
    if (loop && PyDict_DelItem(engine->listeners, handle) < 0)
        PyErr_Clear();
    return !loop ? NULL : core_none_or(code == SLUICE_ESTALE ? 0 : code);
}

/* The transport that has a descriptor, or None. O(n): for those who are about to misuse one. */
static PyObject *engine_transport_of(PyObject *object, PyObject *number) {
    struct engine *engine = (struct engine *)object;
    long fd = PyLong_AsLong(number);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    for (size_t i = 0; i < engine->slots; i++) {
        PyObject *transport = (PyObject *)engine->transports[i];
        if (transport && engine->loop &&
            sluice_fd(engine->loop, transport_part(transport)->id) == fd)
            return Py_NewRef(transport);
    }
    Py_RETURN_NONE;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* 1 where it is there already: a watch reports for as long as its descriptor is ready, so this is
 * another turn's event, and comes again. */
static int add_ready(struct engine *engine, const sluice_event *event) {
    unsigned *reported = &engine->reported[event->user];
    if (*reported == engine->batch)
        return 1;
    *reported = engine->batch;
    PyObject *pair = Py_BuildValue("(iI)", (int)event->user, (unsigned)event->value);
    int code = pair ? PyList_Append(engine->ready, pair) : -1;
    Py_XDECREF(pair);
    return code;
}

/* What dispatch has found of watches: callbacks have run since, and may have read what was there.
 */
static int check_ready(struct engine *engine) {
    for (Py_ssize_t i = PyList_Size(engine->ready); i-- > 0;) {
        int fd;
        unsigned flags;
        if (!PyArg_ParseTuple(PyList_GetItem(engine->ready, i), "iI", &fd, &flags))
            return -1;
        struct pollfd now = {.fd = fd, .events = (short)(flags & 0x7fff)};
        int count = poll(&now, 1, 0);
        if ((count <= 0 || !((unsigned)now.revents & flags)) &&
            PySequence_DelItem(engine->ready, i) < 0)
            return -1;
    }
    return 0;
}

/* Sees to a stream's event: 1 where it is another turn's, since its stream has had bytes in this
 * one. */
static int see_to(struct engine *engine, const sluice_event *event) {
    if (event->kind == SLUICE_ACCEPTED)
        return engine_accept(engine, event);
    PyObject *transport = engine_transport_at(engine, event->id);
    if (!transport)
        return 0;
    Py_INCREF(transport);
    struct transport_part *part = transport_part(transport);
    bool again = event->kind == SLUICE_DATA && part->turn == engine->turn;
    part->turn = engine->turn;
    int code = event->kind == SLUICE_DATA      ? transport_data(transport, event)
               : event->kind == SLUICE_EOF     ? transport_eof(transport)
               : event->kind == SLUICE_DRAINED ? transport_drained(transport)
               : event->kind == SLUICE_CLOSED  ? transport_closed(transport, event)
                                               : 0;
    Py_DECREF(transport);
    return code < 0 ? code : again;
}

static int raise_for(int code) {
    if (code == SLUICE_EINTR)
        return PyErr_CheckSignals(); /* what they have asked for is seen to in the next turn */
    core_raise(code);
    return -1;
}

/* The next event: 1, or 0 without one, or -1 with an exception. */
static int pull(struct engine *engine, sluice_event *event, int64_t timeout_ns) {
    /* For what does not wait the lock is not worth giving up. And who waits looks first: that sends
     * what was put off, which takes long enough for a signal to come, and Python is asked once
     * more. */
    int count = sluice_next(engine->loop, event, 0);
    if (count == 0 && timeout_ns != 0) {
        if (PyErr_CheckSignals() < 0 || !engine_living(engine))
            return -1;
        if (engine->woken) /* by a handler */
            return 0;
        engine->selecting = true;
        Py_BEGIN_ALLOW_THREADS count = sluice_next(engine->loop, event, timeout_ns);
        Py_END_ALLOW_THREADS engine->selecting = false;
    }
    return count < 0 ? raise_for(count) : count;
}

/* Pulls until there is an event of a stream, and nothing of a watch before it. */
static int gather(struct engine *engine, int64_t timeout_ns) {
    sluice_event event;
    for (int i = 0; i < BATCH; i++) {
        int count = pull(engine, &event, i == 0 ? timeout_ns : 0);
        if (count <= 0)
            return count;
        if (event.kind != SLUICE_READY) {
            engine->event = event;
            return 0;
        }
        int code = add_ready(engine, &event);
        if (code != 0)
            return code < 0 ? -1 : 0;
    }
    return 0;
}

/* select(timeout): a list of pairs, a watched descriptor and its flags. The event of a stream is
 * for `dispatch`, before the next select. */
static PyObject *engine_select(PyObject *object, PyObject *timeout) {
    struct engine *engine = (struct engine *)object;
    int64_t timeout_ns;
    if (!core_nanoseconds(timeout, &timeout_ns) || !engine_living(engine))
        return NULL;
    PyObject *none = PyList_New(0);
    if (!none)
        return NULL;
    if (timeout_ns < 0 || engine->woken || PyList_Size(engine->ready) > 0)
        timeout_ns = 0;
    if (PyList_Size(engine->ready) > 0 && check_ready(engine) < 0) {
        Py_DECREF(none);
        return NULL;
    }
    bool looks = timeout_ns > 0 || !engine->looked || engine->woken;
    engine->looked = engine->woken = false;
    if (engine->event.kind == 0 && looks && gather(engine, timeout_ns) < 0) {
        Py_DECREF(none);
        return NULL;
    }
    PyObject *ready = engine->ready;
    engine->ready = none;
    engine->batch++;
    return ready;
}

/* dispatch(): gives streams' events to their transports: as many as there are, and no stream's
 * bytes twice. Those of watches are the next select's. Where the last one found nothing behind so
 * many events, it is not worth a look; now and then it is, since there may be more by now. */
static PyObject *engine_dispatch(PyObject *object, PyObject *unused) {
    (void)unused;
    struct engine *engine = (struct engine *)object;
    unsigned seen = 0;
    engine->turn++;
    bool looks_on = (++engine->dispatches & 15) == 0;
    while (engine->loop && seen < BATCH) {
        sluice_event event = engine->event;
        engine->event.kind = 0;
        if (event.kind == 0) {
            if (seen >= engine->usual && !looks_on)
                Py_RETURN_NONE;
            int count = pull(engine, &event, 0);
            if (count < 0)
                return NULL;
            engine->looked = count == 0;
            if (count == 0)
                break;
        }
        seen++;
        int code = event.kind == SLUICE_READY ? add_ready(engine, &event) : see_to(engine, &event);
        if (code < 0)
            return NULL;
        if (code > 0)
            break;
    }
    engine->usual = seen;
    Py_RETURN_NONE;
}

static PyObject *engine_waiting(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(((struct engine *)object)->event.kind != 0);
}

static PyObject *engine_wake(PyObject *object, PyObject *unused) {
    (void)unused;
    struct engine *engine = (struct engine *)object;
    engine->woken = true;
    return core_none_or(engine->loop ? sluice_wake(engine->loop) : 0);
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

/* _open(loop, empty_file) */
static PyObject *engine_open(PyObject *object, PyObject *arguments) {
    struct engine *engine = (struct engine *)object;
    PyObject *loop;
    int empty_file;
    if (!PyArg_ParseTuple(arguments, "Oi", &loop, &empty_file) || engine->loop ||
        !core_intern(&thread_name, "_thread_id"))
        return NULL;
    /* asyncio has no limit on what is queued: a protocol that does not heed pause_writing has its
     * way. */
    sluice_options options = {
        .size = sizeof options, .flags = SLUICE_INTERRUPTIBLE, .hard_limit = SIZE_MAX / 4};
    engine->listeners = PyDict_New();
    engine->ready = PyList_New(0);
    if (!engine->listeners || !engine->ready)
        return NULL;
    int code = sluice_open(&engine->loop, &options);
    engine->empty_file = empty_file;
    engine->forks = core_forks;
    if (code < 0)
        return core_raise(code);
    engine->call_soon = PyObject_GetAttrString(loop, "call_soon");
    engine->asyncio_loop = Py_NewRef(loop);
    if (!engine->call_soon)
        return NULL;
    Py_RETURN_NONE;
}

static int engine_clear(PyObject *object) {
    struct engine *engine = (struct engine *)object;
    Py_CLEAR(engine->asyncio_loop);
    Py_CLEAR(engine->call_soon);
    Py_CLEAR(engine->listeners);
    Py_CLEAR(engine->ready);
    for (size_t i = 0; i < engine->slots; i++) {
        PyObject *transport = (PyObject *)engine->transports[i];
        engine->transports[i] = NULL;
        Py_XDECREF(transport);
    }
    return 0;
}

static void end(struct engine *engine) {
    sluice_loop *loop = engine->loop;
    engine->loop = NULL;
    engine->event.kind = 0;
    if (loop && engine->forks != core_forks && sluice_after_fork(loop) < 0)
        return; /* what it has is the parent's */
    sluice_take_over(loop);
    sluice_destroy(loop);
}

static PyObject *engine_close(PyObject *object, PyObject *unused) {
    (void)unused;
    struct engine *engine = (struct engine *)object;
    if (engine->selecting) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
        return NULL;
    }
    end(engine);
    engine_clear(object);
    Py_RETURN_NONE;
}

static int engine_traverse(PyObject *object, visitproc visit, void *arg) {
    struct engine *engine = (struct engine *)object;
    Py_VISIT(engine->asyncio_loop);
    Py_VISIT(engine->call_soon);
    Py_VISIT(engine->listeners);
    Py_VISIT(engine->ready);
    for (size_t i = 0; i < engine->slots; i++)
        Py_VISIT((PyObject *)engine->transports[i]);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static void engine_dealloc(PyObject *object) {
    struct engine *engine = (struct engine *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    end(engine);
    engine_clear(object);
    PyMem_Free(engine->transports);
    PyMem_Free(engine->reported);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef own_methods[] = {{"_open", engine_open, METH_VARARGS, NULL},
                                    {"close", engine_close, METH_NOARGS, NULL},
                                    {"watch", engine_watch, METH_VARARGS, NULL},
                                    {"rewatch", engine_rewatch, METH_VARARGS, NULL},
                                    {"end", engine_end, METH_O, NULL},
                                    {"transport_of", engine_transport_of, METH_O, NULL},
                                    {"select", engine_select, METH_O, NULL},
                                    {"dispatch", engine_dispatch, METH_NOARGS, NULL},
                                    {"wake", engine_wake, METH_NOARGS, NULL},
                                    {"transports", engine_transports, METH_NOARGS, NULL},
                                    {NULL, NULL, 0, NULL}};

/* Those of both files, one behind the other. The last one stays empty. */
static PyMethodDef methods[32];

static PyMemberDef members[] = {
    {"loop", T_OBJECT, offsetof(struct engine, asyncio_loop), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyGetSetDef computed[] = {{"waiting", engine_waiting, NULL, NULL, NULL},
                                 {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, engine_dealloc}, {Py_tp_traverse, engine_traverse}, {Py_tp_clear, engine_clear},
    {Py_tp_methods, methods},        {Py_tp_members, members},          {Py_tp_getset, computed},
    {Py_tp_new, PyType_GenericNew},  {Py_tp_doc, DOC_Engine},           {0, NULL}};

static PyType_Spec spec = {.name = "sluiceio._core.Engine",
                           .basicsize = sizeof(struct engine),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                           .slots = slots};

int core_add_engine(PyObject *module) {
    PyMethodDef *tables[] = {own_methods, engine_listen_methods};
    core_join_methods(methods, tables, sizeof tables / sizeof *tables);
    PyObject *type = PyType_FromSpec(&spec);
    int code = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return code;
}

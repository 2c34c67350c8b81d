/* transport.c - asyncio's transport, over a stream of the loop.
 *
 * The type derives from asyncio.Transport, as programs expect. That has a slot of its own, which is
 * left empty. Behind it lies what is ours, at an offset that is known when the type is made.
 *
 * The core's queue is the transport's buffer. Its marks are those that asyncio has by default:
 * DRAINED then says when to resume. For other marks, and for a close or a write_eof that wait until
 * all is sent, the core is asked to send a file, which is empty: where something is queued it takes
 * nothing of it, and gives DRAINED as soon as the queue is empty. A close is a stream's close from
 * then on, which waits for the peer. For the protocol the connection is lost at once, as with
 * asyncio.
 *
 * Whatever ends a transport, `connection_lost` is called by `call_soon`, and so never within a
 * call.
 */
#include "docs.h"
#include "engine.h"

#include <errno.h>
#include <string.h>

static size_t part_offset;
static PyTypeObject *base_type, *buffered_type;
static PyObject *lost_name, *fatal_name, *pause_name, *resume_name, *eof_name, *warn_name,
    *failed_name, *sent_name;

struct transport_part *transport_part(PyObject *transport) {
    return (struct transport_part *)(void *)((char *)transport + part_offset);
}

static sluice_loop *loop_of(const struct transport_part *part) {
    return part->engine ? part->engine->loop : NULL;
}

/* ---- Calling the protocol ------------------------------------------------------------------- */

/* run(call, argument), in the context of this connection. */
static PyObject *run(const struct transport_part *part, PyObject *call, PyObject *argument) {
    PyObject *arguments[] = {NULL, call, argument};
    return PyObject_Vectorcall(part->run, arguments + 1,
                               (argument ? 2 : 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static PyObject *run_method(const struct transport_part *part, PyObject *name, PyObject *argument) {
    PyObject *call = PyObject_GetAttr(part->protocol, name);
    PyObject *result = call ? run(part, call, argument) : NULL;
    Py_XDECREF(call);
    return result;
}

/* After a call of the protocol has raised: what ends a program does so, and else the method of this
 * name is called with the exception. */
static int tell(PyObject *transport, PyObject *name, const char *message) {
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

/* Has connection_lost be called soon. The stream is no transport's from now on. */
static int lose(PyObject *transport, PyObject *error, bool in_context) {
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

/* ---- Writing and ending --------------------------------------------------------------------- */

/* Has DRAINED come when nothing is queued: 1 where that is so already, and none comes. */
static int await_empty(const struct transport_part *part) {
    ptrdiff_t sent = sluice_send_file(loop_of(part), part->id, part->engine->empty_file, 0, 1);
    return sent < 0;
}

static size_t queued(const struct transport_part *part) {
    int64_t pending = loop_of(part) ? sluice_pending(loop_of(part), part->id) : 0;
    return pending < 0 || (part->state & STATE_LOST) ? 0 : (size_t)pending;
}

/* Nothing is queued, or nothing of it can be sent any more. */
static int finish_close(PyObject *transport, bool in_context) {
    struct transport_part *part = transport_part(transport);
    if (loop_of(part))
        sluice_close(loop_of(part), part->id);
    return lose(transport, Py_None, in_context);
}

static int close_orderly(PyObject *transport, bool in_context) {
    struct transport_part *part = transport_part(transport);
    if (part->state & STATE_CLOSING)
        return 0;
    part->state |= STATE_CLOSING;
    if (loop_of(part) && !(part->state & STATE_SHUT)) {
        int code = sluice_flush(loop_of(part), part->id);
        if (code < 0 && code != SLUICE_ENOMEM && code != SLUICE_EFULL)
            return 0; /* it is broken: CLOSED comes, and says why */
        /* A protocol that was told to pause has its turn to write the rest, as TLS does. */
        bool paused = (part->state & STATE_PROTOCOL_PAUSED) != 0;
        if ((queued(part) > 0 && !await_empty(part)) || paused) {
            sluice_pause(loop_of(part), part->id);
            return 0;
        }
    }
    return finish_close(transport, in_context);
}

static int pause_protocol(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    if ((part->state & STATE_PROTOCOL_PAUSED) || queued(part) <= part->high)
        return 0;
    part->state |= STATE_PROTOCOL_PAUSED;
    if (part->state & STATE_OWN_MARKS)
        await_empty(part);
    PyObject *done = PyObject_CallMethodObjArgs(part->protocol, pause_name, NULL);
    Py_XDECREF(done);
    return done ? 0 : tell(transport, failed_name, "protocol.pause_writing() failed");
}

static int resume_protocol(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    part->state &= ~(uint32_t)STATE_PROTOCOL_PAUSED;
    PyObject *done = run_method(part, resume_name, NULL);
    Py_XDECREF(done);
    return done ? 0 : tell(transport, failed_name, "protocol.resume_writing() failed");
}

/* For who writes on while paused, and so leaves the core no moment to say that nothing is queued.
 */
static int look_again(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    const uint32_t paused = STATE_PROTOCOL_PAUSED | STATE_OWN_MARKS;
    if ((part->state & (paused | STATE_RESUMES)) != paused || queued(part) > part->low)
        return 0;
    part->state |= STATE_RESUMES;
    PyObject *call = PyObject_GetAttrString(transport, "_look_again");
    PyObject *done =
        call ? PyObject_CallFunctionObjArgs(part->engine->call_soon, call, NULL) : NULL;
    Py_XDECREF(call);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* A stream that takes no more says so by its CLOSED, and what is written until then is lost. It is
 * closing meanwhile: who writes on and on would else leave the loop no moment to pull CLOSED. */
static PyObject *transport_write(PyObject *transport, PyObject *data) {
    struct transport_part *part = transport_part(transport);
    struct core_bytes bytes;
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
        PyObject *name = PyType_GetName(Py_TYPE(data));
        PyErr_Format(PyExc_TypeError, "data argument must be a bytes-like object, not %R", name);
        Py_XDECREF(name);
        return NULL;
    }
    if (part->state & STATE_EOF) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot call write() after write_eof()");
        return NULL;
    }
    if (part->waiter) {
        PyErr_SetString(PyExc_RuntimeError, "unable to write; sendfile is in progress");
        return NULL;
    }
    if (!core_bytes_of(data, &bytes))
        return NULL;
    int code = 0;
    bool writes = bytes.length > 0 && loop_of(part) && !(part->state & STATE_LOST);
    bool lost = bytes.length > 0 && !writes;
    if (writes && look_again(transport) < 0) {
        core_bytes_done(&bytes);
        return NULL;
    }
    if (writes)
        code = sluice_write(loop_of(part), part->id, bytes.start, bytes.length);
    core_bytes_done(&bytes);
    if (lost) {
        if (part->lost_writes++ >= 5)
            return PyObject_CallMethodObjArgs(transport, warn_name, NULL);
        Py_RETURN_NONE;
    }
    if (code == SLUICE_ENOMEM || code == SLUICE_EFULL || code == SLUICE_ETHREAD)
        return core_raise(code);
    /* Who asks is_closing() then lets the loop go on, as StreamWriter.drain does, and is told. */
    if (code < 0)
        part->state |= STATE_FAILED;
    if ((code > 0 || (part->state & STATE_OWN_MARKS)) && writes && pause_protocol(transport) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *none_or(int code) {
    if (code < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *transport_close(PyObject *transport, PyObject *unused) {
    (void)unused;
    return none_or(close_orderly(transport, false));
}

static int shut(struct transport_part *part) {
    part->state |= STATE_SHUT;
    int code = sluice_shutdown(loop_of(part), part->id);
    return code == SLUICE_ENOMEM ? core_raise(code), -1 : 0;
}

static PyObject *transport_write_eof(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if ((part->state & (STATE_CLOSING | STATE_EOF)) || !loop_of(part))
        Py_RETURN_NONE;
    part->state |= STATE_EOF;
    sluice_flush(loop_of(part), part->id);
    return none_or(queued(part) == 0 || await_empty(part) ? shut(part) : 0);
}

/* _force_close(error) */
static PyObject *transport_force_close(PyObject *transport, PyObject *error) {
    struct transport_part *part = transport_part(transport);
    if ((part->state & STATE_LOST) || !part->engine)
        Py_RETURN_NONE;
    if (loop_of(part))
        sluice_abort(loop_of(part), part->id);
    return none_or(lose(transport, error, false));
}

static PyObject *transport_abort(PyObject *transport, PyObject *unused) {
    (void)unused;
    return transport_force_close(transport, Py_None);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static PyObject *transport_pause(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if (!(part->state & (STATE_CLOSING | STATE_PAUSED)) && loop_of(part)) {
        part->state |= STATE_PAUSED;
        sluice_pause(loop_of(part), part->id);
    }
    Py_RETURN_NONE;
}

/* Reads, unless it is not to; and says an end that came while paused. */
static int read_on(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    if ((part->state & (STATE_CLOSING | STATE_PAUSED | STATE_STARTING)) || !loop_of(part))
        return 0;
    sluice_resume(loop_of(part), part->id);
    if (!(part->state & STATE_EOF_WAITS))
        return 0;
    part->state &= ~(uint32_t)STATE_EOF_WAITS;
    PyObject *call = PyObject_GetAttrString(transport, "_end_of_input");
    PyObject *done =
        call ? PyObject_CallFunctionObjArgs(part->engine->call_soon, call, NULL) : NULL;
    Py_XDECREF(call);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static PyObject *transport_resume(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if (!(part->state & STATE_PAUSED))
        Py_RETURN_NONE;
    part->state &= ~(uint32_t)STATE_PAUSED;
    return none_or(read_on(transport));
}

/* _start(): connection_made has been called. */
static PyObject *transport_start(PyObject *transport, PyObject *unused) {
    (void)unused;
    transport_part(transport)->state &= ~(uint32_t)STATE_STARTING;
    return none_or(read_on(transport));
}

/* Bytes that a protocol does not want now come again at the resume. */
static bool keeps_back(const struct transport_part *part, size_t length) {
    if (part->state & STATE_PAUSED)
        sluice_hold(loop_of(part), part->id, length);
    return (part->state & (STATE_PAUSED | STATE_CLOSING)) != 0;
}

/* One piece into the protocol's buffer: how much went, or 0 with an exception. */
static size_t fill(const struct transport_part *part, const char *bytes, size_t length) {
    Py_buffer view;
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *buffer = hint ? run(part, part->buffer, hint) : NULL;
    Py_XDECREF(hint);
    if (!buffer)
        return 0;
    int code = PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE);
    Py_DECREF(buffer);
    if (code < 0)
        return 0;
    size_t room = (size_t)view.len < length ? (size_t)view.len : length;
    if (room > 0)
        memcpy(view.buf, bytes, room);
    else
        PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
    PyBuffer_Release(&view);
    return room;
}

static int buffer_data(PyObject *transport, const char *bytes, size_t length) {
    struct transport_part *part = transport_part(transport);
    while (length > 0 && !keeps_back(part, length)) {
        if (!(part->state & STATE_BUFFERED)) { /* it is another protocol by now */
            PyObject *rest = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)length);
            PyObject *done = rest ? run(part, part->received, rest) : NULL;
            Py_XDECREF(rest);
            Py_XDECREF(done);
            return done ? 0
                        : tell(transport, fatal_name,
                               "Fatal error: protocol.data_received() call failed.");
        }
        size_t filled = fill(part, bytes, length);
        if (filled == 0)
            return tell(transport, fatal_name, "Fatal error: protocol.get_buffer() call failed.");
        PyObject *count = PyLong_FromSize_t(filled);
        PyObject *done = count ? run(part, part->received, count) : NULL;
        Py_XDECREF(count);
        Py_XDECREF(done);
        if (!done)
            return tell(transport, fatal_name,
                        "Fatal error: protocol.buffer_updated() call failed.");
        bytes += filled;
        length -= filled;
    }
    return 0;
}

int transport_data(PyObject *transport, const sluice_event *event) {
    struct transport_part *part = transport_part(transport);
    if (part->state & STATE_BUFFERED)
        return buffer_data(transport, event->data, event->length);
    if (keeps_back(part, event->length))
        return 0;
    PyObject *data = PyBytes_FromStringAndSize(event->data, (Py_ssize_t)event->length);
    PyObject *done = data ? run(part, part->received, data) : NULL;
    Py_XDECREF(data);
    if (!done)
        return tell(transport, fatal_name, "Fatal error: protocol.data_received() call failed.");
    Py_DECREF(done);
    return 0;
}

int transport_eof(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    if (part->state & STATE_CLOSING)
        return 0;
    if (part->state & STATE_PAUSED) {
        part->state |= STATE_EOF_WAITS;
        return 0;
    }
    PyObject *stays = run_method(part, eof_name, NULL);
    int code = stays ? PyObject_IsTrue(stays) : -1;
    Py_XDECREF(stays);
    if (code < 0)
        return tell(transport, fatal_name, "Fatal error: protocol.eof_received() call failed.");
    return code ? 0 : close_orderly(transport, true);
}

static PyObject *transport_look_again(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    part->state &= ~(uint32_t)STATE_RESUMES;
    return none_or(part->state & STATE_LOST ? 0 : transport_drained(transport));
}

static PyObject *transport_end_of_input(PyObject *transport, PyObject *unused) {
    (void)unused;
    return none_or(transport_eof(transport));
}

/* A protocol that resumes may write more before anything else is looked at. */
int transport_drained(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    if (part->waiter) {
        PyObject *done = PyObject_CallMethodObjArgs(transport, sent_name, NULL);
        Py_XDECREF(done);
        if (!done)
            return -1;
    }
    if ((part->state & STATE_PROTOCOL_PAUSED) && queued(part) <= part->low &&
        resume_protocol(transport) < 0)
        return -1;
    if ((part->state & STATE_LOST) || !loop_of(part))
        return 0;
    const uint32_t ends = part->state & (STATE_CLOSING | STATE_EOF | STATE_SHUT);
    bool waits = ends == STATE_EOF || (ends & STATE_CLOSING) ||
                 (part->state & (STATE_PROTOCOL_PAUSED | STATE_OWN_MARKS)) ==
                     (STATE_PROTOCOL_PAUSED | STATE_OWN_MARKS);
    if (!waits || (queued(part) > 0 && !await_empty(part)))
        return 0;
    if (ends & STATE_CLOSING)
        return finish_close(transport, true);
    return ends == STATE_EOF ? shut(part) : 0;
}

int transport_closed(PyObject *transport, const sluice_event *event) {
    struct transport_part *part = transport_part(transport);
    if (part->state & STATE_LOST)
        return 0;
    PyObject *error = event->error ? core_error(event->error, NULL) : Py_NewRef(Py_None);
    int code = error ? lose(transport, error, true) : -1;
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
    return none_or(take_protocol(transport_part(transport), protocol));
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
    return none_or(engine_add(owner, transport, id));
}

/* ---- For Python's part of it ---------------------------------------------------------------- */

static PyObject *transport_is_closing(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    return PyBool_FromLong(part->state & (STATE_CLOSING | STATE_FAILED));
}

static PyObject *transport_is_reading(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    return PyBool_FromLong(!(part->state & (STATE_CLOSING | STATE_PAUSED)));
}

static PyObject *transport_buffer_size(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if (queued(part) > 0)
        sluice_flush(loop_of(part), part->id);
    return PyLong_FromSize_t(queued(part));
}

static PyObject *transport_set_marks(PyObject *transport, PyObject *arguments) {
    struct transport_part *part = transport_part(transport);
    Py_ssize_t high, low;
    if (!PyArg_ParseTuple(arguments, "nn", &high, &low))
        return NULL;
    part->high = (size_t)high;
    part->low = (size_t)low;
    part->state |= STATE_OWN_MARKS;
    return none_or(loop_of(part) && !(part->state & STATE_LOST) ? pause_protocol(transport) : 0);
}

static PyObject *transport_marks(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    return Py_BuildValue("(nn)", (Py_ssize_t)part->low, (Py_ssize_t)part->high);
}

static PyObject *transport_fileno(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    bool has = loop_of(part) && !(part->state & STATE_LOST);
    int fd = has ? sluice_fd(loop_of(part), part->id) : -1;
    return PyLong_FromLong(fd < 0 ? -1 : fd);
}

/* _send_file(fd, offset, count): how many bytes went. */
static PyObject *transport_send_file(PyObject *transport, PyObject *arguments) {
    struct transport_part *part = transport_part(transport);
    int fd;
    long long offset;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(arguments, "iLn", &fd, &offset, &count))
        return NULL;
    if (!loop_of(part) || (part->state & STATE_LOST)) {
        PyErr_SetString(PyExc_ConnectionError, "Connection is closed by peer");
        return NULL;
    }
    ptrdiff_t sent = sluice_send_file(loop_of(part), part->id, fd, offset, (size_t)count);
    if (sent == SLUICE_ESTALE) { /* its CLOSED is still to come */
        PyErr_SetString(PyExc_ConnectionError, "Connection is closed by peer");
        return NULL;
    }
    return sent < 0 ? core_raise((int)sent) : PyLong_FromSsize_t(sent);
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
    {"_lost", transport_state, NULL, NULL, BIT(STATE_LOST)},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef methods[] = {
    {"_begin", transport_begin, METH_VARARGS, NULL},
    {"_start", transport_start, METH_NOARGS, NULL},
    {"_end_of_input", transport_end_of_input, METH_NOARGS, NULL},
    {"_look_again", transport_look_again, METH_NOARGS, NULL},
    {"_force_close", transport_force_close, METH_O, NULL},
    {"_set_marks", transport_set_marks, METH_VARARGS, NULL},
    {"_send_file", transport_send_file, METH_VARARGS, NULL},
    {"_release", transport_release, METH_NOARGS, NULL},
    {"_fileno", transport_fileno, METH_NOARGS, NULL},
    {"write", transport_write, METH_O, DOC_Transport_write},
    {"write_eof", transport_write_eof, METH_NOARGS, DOC_Transport_write_eof},
    {"close", transport_close, METH_NOARGS, DOC_Transport_close},
    {"abort", transport_abort, METH_NOARGS, DOC_Transport_abort},
    {"pause_reading", transport_pause, METH_NOARGS, DOC_Transport_pause_reading},
    {"resume_reading", transport_resume, METH_NOARGS, DOC_Transport_resume_reading},
    {"is_closing", transport_is_closing, METH_NOARGS, DOC_Transport_is_closing},
    {"is_reading", transport_is_reading, METH_NOARGS, DOC_Transport_is_reading},
    {"set_protocol", transport_set_protocol, METH_O, DOC_Transport_set_protocol},
    {"get_write_buffer_size", transport_buffer_size, METH_NOARGS,
     DOC_Transport_get_write_buffer_size},
    {"get_write_buffer_limits", transport_marks, METH_NOARGS,
     DOC_Transport_get_write_buffer_limits},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc}, {Py_tp_traverse, traverse}, {Py_tp_clear, clear},
    {Py_tp_methods, methods}, {Py_tp_getset, computed},   {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, init},       {Py_tp_doc, DOC_Transport}, {0, NULL}};

/* _transport_type(asyncio.Transport, asyncio.BufferedProtocol) */
PyObject *transport_make_type(PyObject *module, PyObject *arguments) {
    (void)module;
    PyTypeObject *base, *buffered;
    if (!PyArg_ParseTuple(arguments, "O!O!", &PyType_Type, &base, &PyType_Type, &buffered) ||
        !core_intern(&lost_name, "_connection_lost") || !core_intern(&fatal_name, "_fatal_error") ||
        !core_intern(&pause_name, "pause_writing") ||
        !core_intern(&resume_name, "resume_writing") || !core_intern(&eof_name, "eof_received") ||
        !core_intern(&warn_name, "_warn_lost") || !core_intern(&failed_name, "_protocol_failed") ||
        !core_intern(&sent_name, "_sent"))
        return NULL;
    PyObject *size = PyObject_GetAttrString((PyObject *)base, "__basicsize__");
    if (!size)
        return NULL;
    part_offset = (PyLong_AsSize_t(size) + 7) & ~(size_t)7;
    Py_DECREF(size);
    base_type = (PyTypeObject *)Py_NewRef((PyObject *)base);
    buffered_type = (PyTypeObject *)Py_NewRef((PyObject *)buffered);
    PyType_Spec spec = {.name = "sluiceio._core.Transport",
                        .basicsize = (int)(part_offset + sizeof(struct transport_part)),
                        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                        .slots = slots};
    return PyType_FromSpecWithBases(&spec, (PyObject *)base);
}

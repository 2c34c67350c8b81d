/* transport_write.c - what a transport writes, and its closing.
 *
 * The core's queue is the transport's buffer. Its marks are those that asyncio has by default:
 * DRAINED then says when to resume. For other marks, and for a close or a write_eof that wait until
 * all is sent, the core is asked to send a file, which is empty: where something is queued it takes
 * nothing of it, and gives DRAINED as soon as the queue is empty. A close is a stream's close from
 * then on, which waits for the peer. For the protocol the connection is lost at once, as with
 * asyncio.
 */
#include "transport.h"

static PyObject *pause_name, *resume_name, *warn_name, *failed_name, *sent_name;

bool transport_setup_writing(void) {
    return core_intern(&pause_name, "pause_writing") &&
           core_intern(&resume_name, "resume_writing") && core_intern(&warn_name, "_warn_lost") &&
           core_intern(&failed_name, "_protocol_failed") && core_intern(&sent_name, "_sent");
}

/* ---- Writing and ending --------------------------------------------------------------------- */

/* Has DRAINED come when nothing is queued: 1 where that is so already, and none comes. */
static int await_empty(const struct transport_part *part) {
    ptrdiff_t sent =
        sluice_send_file(transport_loop(part), part->id, part->engine->empty_file, 0, 1);
    return sent < 0;
}

static size_t queued(const struct transport_part *part) {
    int64_t pending = transport_loop(part) ? sluice_pending(transport_loop(part), part->id) : 0;
    return pending < 0 || (part->state & STATE_LOST) ? 0 : (size_t)pending;
}

/* Nothing is queued, or nothing of it can be sent any more. */
static int finish_close(PyObject *transport, bool in_context) {
    struct transport_part *part = transport_part(transport);
    if (transport_loop(part))
        sluice_close(transport_loop(part), part->id);
    return transport_lose(transport, Py_None, in_context);
}

int transport_close_orderly(PyObject *transport, bool in_context) {
    struct transport_part *part = transport_part(transport);
    if (part->state & STATE_CLOSING)
        return 0;
    part->state |= STATE_CLOSING;
    if (transport_loop(part) && !(part->state & STATE_SHUT)) {
        int code = sluice_flush(transport_loop(part), part->id);
        if (code < 0 && code != SLUICE_ENOMEM && code != SLUICE_EFULL)
            return 0; /* it is broken: CLOSED comes, and says why */
        /* A protocol that was told to pause has its turn to write the rest, as TLS does. */
        bool paused = (part->state & STATE_PROTOCOL_PAUSED) != 0;
        if ((queued(part) > 0 && !await_empty(part)) || paused) {
            sluice_pause(transport_loop(part), part->id);
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
    PyObject *protocol = Py_NewRef(part->protocol);
    PyObject *done = PyObject_CallMethodObjArgs(protocol, pause_name, NULL);
    Py_DECREF(protocol);
    Py_XDECREF(done);
    return done ? 0 : transport_tell(transport, failed_name, "protocol.pause_writing() failed");
}

static int resume_protocol(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    part->state &= ~(uint32_t)STATE_PROTOCOL_PAUSED;
    PyObject *done = transport_run_method(part, resume_name, NULL);
    Py_XDECREF(done);
    return done ? 0 : transport_tell(transport, failed_name, "protocol.resume_writing() failed");
}

/* For who writes on while paused, and so leaves the core no moment to say that nothing is queued.
 */
static int look_again(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    const uint32_t paused = STATE_PROTOCOL_PAUSED | STATE_OWN_MARKS;
    if ((part->state & (paused | STATE_RESUMES)) != paused || queued(part) > part->low)
        return 0;
    part->state |= STATE_RESUMES;
    return transport_call_soon(transport, "_look_again");
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
    if (!transport_may(part) || !core_bytes_of(data, &bytes))
        return NULL;
    int code = 0;
    bool writes = bytes.length > 0 && transport_loop(part) && !(part->state & STATE_LOST);
    bool lost = bytes.length > 0 && !writes;
    if (writes && look_again(transport) < 0) {
        core_bytes_done(&bytes);
        return NULL;
    }
    if (writes)
        code = sluice_write(transport_loop(part), part->id, bytes.start, bytes.length);
    core_bytes_done(&bytes);
    if (lost) {
        if (part->lost_writes++ >= 5)
            return PyObject_CallMethodObjArgs(transport, warn_name, NULL);
        Py_RETURN_NONE;
    }
    if (code == SLUICE_ENOMEM || code == SLUICE_EFULL)
        return core_raise(code);
    /* Who asks is_closing() then lets the loop go on, as StreamWriter.drain does, and is told. */
    if (code < 0)
        part->state |= STATE_FAILED;
    if ((code > 0 || (part->state & STATE_OWN_MARKS)) && writes && pause_protocol(transport) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *transport_close(PyObject *transport, PyObject *unused) {
    (void)unused;
    return transport_may(transport_part(transport))
               ? transport_none_or(transport_close_orderly(transport, false))
               : NULL;
}

static int shut(struct transport_part *part) {
    part->state |= STATE_SHUT;
    int code = sluice_shutdown(transport_loop(part), part->id);
    return code == SLUICE_ENOMEM ? core_raise(code), -1 : 0;
}

static PyObject *transport_write_eof(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if (!transport_may(part))
        return NULL;
    if ((part->state & (STATE_CLOSING | STATE_EOF)) || !transport_loop(part))
        Py_RETURN_NONE;
    part->state |= STATE_EOF;
    sluice_flush(transport_loop(part), part->id);
    return transport_none_or(queued(part) == 0 || await_empty(part) ? shut(part) : 0);
}

/* _force_close(error). With asyncio what was written before has gone by now, and the peer reads it,
 * and then an end. So it does here, unless something has to be thrown away: that is a reset. */
static PyObject *transport_force_close(PyObject *transport, PyObject *error) {
    struct transport_part *part = transport_part(transport);
    if (!transport_may(part))
        return NULL;
    if ((part->state & STATE_LOST) || !part->engine)
        Py_RETURN_NONE;
    sluice_loop *loop = transport_loop(part);
    if (loop && sluice_flush(loop, part->id) >= 0 && queued(part) == 0)
        sluice_close(loop, part->id);
    else if (loop)
        sluice_abort(loop, part->id);
    return transport_none_or(transport_lose(transport, error, false));
}

static PyObject *transport_abort(PyObject *transport, PyObject *unused) {
    (void)unused;
    return transport_force_close(transport, Py_None);
}

static PyObject *transport_look_again(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    part->state &= ~(uint32_t)STATE_RESUMES;
    return transport_none_or(part->state & STATE_LOST ? 0 : transport_drained(transport));
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
    if ((part->state & STATE_LOST) || !transport_loop(part))
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

/* ---- The queue, and files ------------------------------------------------------------------- */

static PyObject *transport_buffer_size(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if (queued(part) > 0)
        sluice_flush(transport_loop(part), part->id);
    return PyLong_FromSize_t(queued(part));
}

static PyObject *transport_set_marks(PyObject *transport, PyObject *arguments) {
    struct transport_part *part = transport_part(transport);
    Py_ssize_t high, low;
    if (!PyArg_ParseTuple(arguments, "nn", &high, &low) || !transport_may(part))
        return NULL;
    part->high = (size_t)high;
    part->low = (size_t)low;
    part->state |= STATE_OWN_MARKS;
    return transport_none_or(
        transport_loop(part) && !(part->state & STATE_LOST) ? pause_protocol(transport) : 0);
}

static PyObject *transport_marks(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    return Py_BuildValue("(nn)", (Py_ssize_t)part->low, (Py_ssize_t)part->high);
}

/* _send_file(fd, offset, count): how many bytes went. */
static PyObject *transport_send_file(PyObject *transport, PyObject *arguments) {
    struct transport_part *part = transport_part(transport);
    int fd;
    long long offset;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(arguments, "iLn", &fd, &offset, &count) || !transport_may(part))
        return NULL;
    if (!transport_loop(part) || (part->state & STATE_LOST)) {
        PyErr_SetString(PyExc_ConnectionError, "Connection is closed by peer");
        return NULL;
    }
    ptrdiff_t sent = sluice_send_file(transport_loop(part), part->id, fd, offset, (size_t)count);
    if (sent == SLUICE_ESTALE) { /* its CLOSED is still to come */
        PyErr_SetString(PyExc_ConnectionError, "Connection is closed by peer");
        return NULL;
    }
    return sent < 0 ? core_raise((int)sent) : PyLong_FromSsize_t(sent);
}

PyMethodDef transport_write_methods[] = {
    {"_look_again", transport_look_again, METH_NOARGS, NULL},
    {"_force_close", transport_force_close, METH_O, NULL},
    {"_set_marks", transport_set_marks, METH_VARARGS, NULL},
    {"_send_file", transport_send_file, METH_VARARGS, NULL},
    {"write", transport_write, METH_O, DOC_Transport_write},
    {"write_eof", transport_write_eof, METH_NOARGS, DOC_Transport_write_eof},
    {"close", transport_close, METH_NOARGS, DOC_Transport_close},
    {"abort", transport_abort, METH_NOARGS, DOC_Transport_abort},
    {"get_write_buffer_size", transport_buffer_size, METH_NOARGS,
     DOC_Transport_get_write_buffer_size},
    {"get_write_buffer_limits", transport_marks, METH_NOARGS,
     DOC_Transport_get_write_buffer_limits},
    {NULL, NULL, 0, NULL}};

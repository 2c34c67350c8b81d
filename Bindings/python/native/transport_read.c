/* transport_read.c - what a transport reads, and gives to its protocol.
 *
 * Bytes that a protocol does not want, since it has paused, the core holds, and they come again
 * when it resumes. A protocol may pause, close, or make another one take its place within each
 * call.
 */
#include "transport.h"

#include <string.h>

static PyObject *fatal_name, *eof_name;

bool transport_setup_reading(void) {
    return core_intern(&fatal_name, "_fatal_error") && core_intern(&eof_name, "eof_received");
}

static PyObject *transport_pause(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if (!transport_may(part))
        return NULL;
    if (!(part->state & (STATE_CLOSING | STATE_PAUSED)) && transport_loop(part)) {
        part->state |= STATE_PAUSED;
        sluice_pause(transport_loop(part), part->id);
    }
    Py_RETURN_NONE;
}

/* Reads, unless it is not to; and says an end that came while paused. */
static int read_on(PyObject *transport) {
    struct transport_part *part = transport_part(transport);
    if ((part->state & (STATE_CLOSING | STATE_PAUSED | STATE_STARTING)) || !transport_loop(part))
        return 0;
    sluice_resume(transport_loop(part), part->id);
    if (!(part->state & STATE_EOF_WAITS))
        return 0;
    part->state &= ~(uint32_t)STATE_EOF_WAITS;
    return transport_call_soon(transport, "_end_of_input");
}

static PyObject *transport_resume(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    if (!transport_may(part))
        return NULL;
    if (!(part->state & STATE_PAUSED))
        Py_RETURN_NONE;
    part->state &= ~(uint32_t)STATE_PAUSED;
    return transport_none_or(read_on(transport));
}

/* _start(): connection_made has been called. */
static PyObject *transport_start(PyObject *transport, PyObject *unused) {
    (void)unused;
    transport_part(transport)->state &= ~(uint32_t)STATE_STARTING;
    return transport_none_or(read_on(transport));
}

/* Bytes that a protocol does not want now come again at the resume. */
static bool keeps_back(const struct transport_part *part, size_t length) {
    if (part->state & STATE_PAUSED)
        sluice_hold(transport_loop(part), part->id, length);
    return (part->state & (STATE_PAUSED | STATE_CLOSING)) != 0;
}

/* One piece into the protocol's buffer: how much went, or 0 with an exception. */
static size_t fill(const struct transport_part *part, const char *bytes, size_t length) {
    Py_buffer view;
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *buffer = hint ? transport_run(part, part->buffer, hint) : NULL;
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
            PyObject *done = rest ? transport_run(part, part->received, rest) : NULL;
            Py_XDECREF(rest);
            Py_XDECREF(done);
            return done ? 0
                        : transport_tell(transport, fatal_name,
                                         "Fatal error: protocol.data_received() call failed.");
        }
        PyObject *received = Py_NewRef(part->received); /* of who gives the buffer */
        size_t filled = fill(part, bytes, length);
        PyObject *count = filled ? PyLong_FromSize_t(filled) : NULL;
        PyObject *done = count ? transport_run(part, received, count) : NULL;
        Py_DECREF(received);
        Py_XDECREF(count);
        Py_XDECREF(done);
        if (filled == 0)
            return transport_tell(transport, fatal_name,
                                  "Fatal error: protocol.get_buffer() call failed.");
        if (!done)
            return transport_tell(transport, fatal_name,
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
    PyObject *done = data ? transport_run(part, part->received, data) : NULL;
    Py_XDECREF(data);
    if (!done)
        return transport_tell(transport, fatal_name,
                              "Fatal error: protocol.data_received() call failed.");
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
    PyObject *stays = transport_run_method(part, eof_name, NULL);
    int code = stays ? PyObject_IsTrue(stays) : -1;
    Py_XDECREF(stays);
    if (code < 0)
        return transport_tell(transport, fatal_name,
                              "Fatal error: protocol.eof_received() call failed.");
    return code ? 0 : transport_close_orderly(transport, true);
}

static PyObject *transport_end_of_input(PyObject *transport, PyObject *unused) {
    (void)unused;
    return transport_none_or(transport_loop(transport_part(transport)) ? transport_eof(transport)
                                                                       : 0);
}

static PyObject *transport_is_reading(PyObject *transport, PyObject *unused) {
    (void)unused;
    struct transport_part *part = transport_part(transport);
    return PyBool_FromLong(!(part->state & (STATE_CLOSING | STATE_PAUSED)));
}

PyMethodDef transport_read_methods[] = {
    {"_start", transport_start, METH_NOARGS, NULL},
    {"_end_of_input", transport_end_of_input, METH_NOARGS, NULL},
    {"pause_reading", transport_pause, METH_NOARGS, DOC_Transport_pause_reading},
    {"resume_reading", transport_resume, METH_NOARGS, DOC_Transport_resume_reading},
    {"is_reading", transport_is_reading, METH_NOARGS, DOC_Transport_is_reading},
    {NULL, NULL, 0, NULL}};

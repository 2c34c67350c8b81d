/* loop_calls.c - the loop's calls of handles and streams.
 *
 * What befalls a connection is no fault of the call in hand. A stream that is gone makes it False,
 * or GONE, and one that goes over a limit is ended here, so that its CLOSED says FULL.
 */
#include "loop.h"

/* What a call of a stream says that is no fault of the caller's; -1 with an exception for others.
 */
static int told(int code) {
    if (code >= 0)
        return code > 0 ? OVER_HIGH_MARK : QUEUED;
    if (code == SLUICE_EFULL)
        return FULL;
    if (code == SLUICE_ESTALE || (code > -10000 && code != SLUICE_ENOMEM))
        return GONE; /* it has ended, or is broken: in the kernel's words */
    core_raise(code);
    return -1;
}

static void forget_ended(struct loop *self, sluice_id id) {
    if (self->users && sluice_kind_of(self->loop, id) == SLUICE_ESTALE)
        loop_detach(self, id);
}

static PyObject *end_by(struct loop *self, sluice_id id, int code) {
    if (told(code) < 0)
        return NULL;
    forget_ended(self, id);
    Py_RETURN_NONE;
}

static PyObject *loop_close_handle(PyObject *object, PyObject *handle) {
    struct loop *self = (struct loop *)object;
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_owned(self) : NULL;
    return loop ? end_by(self, id, sluice_close(loop, id)) : NULL;
}

/* abort(handle, code) */
static PyObject *loop_abort(PyObject *object, PyObject *arguments) {
    struct loop *self = (struct loop *)object;
    unsigned long long id;
    int code;
    if (!PyArg_ParseTuple(arguments, "Ki", &id, &code))
        return NULL;
    sluice_loop *loop = loop_owned(self);
    return loop ? end_by(self, id, sluice_abort_with(loop, id, code)) : NULL;
}

/* Whether a stream goes on, after a call whose bytes are lost where they are too many: then it
 * ends. */
static int end_where_full(struct loop *self, sluice_id id, int result) {
    if (result != FULL)
        return result;
    sluice_abort_with(self->loop, id, SLUICE_EFULL);
    return FULL;
}

static PyObject *goes_on(struct loop *self, sluice_id id, int code) {
    int result = end_where_full(self, id, told(code));
    return result < 0 ? NULL : PyBool_FromLong(result < GONE);
}

static PyObject *stream_call(PyObject *object, PyObject *handle,
                             int (*call)(sluice_loop *, sluice_id)) {
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_living((struct loop *)object) : NULL;
    return loop ? goes_on((struct loop *)object, id, call(loop, id)) : NULL;
}

static PyObject *loop_flush(PyObject *object, PyObject *handle) {
    return stream_call(object, handle, sluice_flush);
}

static PyObject *loop_pause(PyObject *object, PyObject *handle) {
    return stream_call(object, handle, sluice_pause);
}

static PyObject *loop_resume(PyObject *object, PyObject *handle) {
    return stream_call(object, handle, sluice_resume);
}

static PyObject *loop_shutdown(PyObject *object, PyObject *handle) {
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_living((struct loop *)object) : NULL;
    if (!loop)
        return NULL;
    int code = sluice_shutdown(loop, id);
    if (code > -10000 && code < 0 && code != -EPIPE)
        return core_raise(code); /* a listener's: no stream says so */
    return goes_on((struct loop *)object, id, code);
}

static PyObject *try_write(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
                           bool ends) {
    struct loop *self = (struct loop *)object;
    sluice_id id;
    struct core_bytes bytes;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "a write takes a stream and bytes");
    if (!loop_stream_of(self, arguments[0], &id) || !core_bytes_of(arguments[1], &bytes))
        return NULL;
    sluice_loop *loop = loop_living(self);
    int result = loop ? told(sluice_write(loop, id, bytes.start, bytes.length)) : -1;
    core_bytes_done(&bytes);
    if (result == FULL && ends)
        result = end_where_full(self, id, result);
    return result < 0 ? NULL : Py_NewRef(core_written[result]);
}

static PyObject *loop_write(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    return try_write(object, arguments, count, true);
}

static PyObject *loop_try_write(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    return try_write(object, arguments, count, false);
}

static PyObject *loop_hold(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    struct loop *self = (struct loop *)object;
    sluice_id id;
    size_t length, total = 0;
    if (count < 2 || count > 3)
        return PyErr_Format(PyExc_TypeError, "hold takes a stream, a length and a total");
    if (!core_id(arguments[0], &id) || !core_size(arguments[1], &length) ||
        (count == 3 && !core_size(arguments[2], &total)))
        return NULL;
    sluice_loop *loop = loop_living(self);
    if (!loop)
        return NULL;
    return goes_on(self, id,
                   count == 3 ? sluice_hold_until(loop, id, length, total)
                              : sluice_hold(loop, id, length));
}

static PyObject *loop_forward(PyObject *object, PyObject *arguments) {
    unsigned long long from, to;
    if (!PyArg_ParseTuple(arguments, "KK", &from, &to))
        return NULL;
    sluice_loop *loop = loop_living((struct loop *)object);
    return loop ? goes_on((struct loop *)object, from, sluice_forward(loop, from, to)) : NULL;
}

/* send_file(stream, fd, offset, length): how many bytes went, or None of a stream that is gone. */
static PyObject *loop_send_file(PyObject *object, PyObject *arguments) {
    struct loop *self = (struct loop *)object;
    unsigned long long id;
    PyObject *file;
    long long offset;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(arguments, "KOLn", &id, &file, &offset, &length))
        return NULL;
    int fd = PyLong_Check(file) ? (int)PyLong_AsLong(file) : PyObject_AsFileDescriptor(file);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    sluice_loop *loop = loop_living(self);
    if (!loop)
        return NULL;
    ptrdiff_t sent = sluice_send_file(loop, id, fd, offset, length < 0 ? 0 : (size_t)length);
    if (sent >= 0)
        return PyLong_FromSsize_t(sent);
    if (sent > -10000 && told(sluice_write(loop, id, "", 0)) != GONE)
        return core_raise((int)sent); /* it is the file's, and the stream goes on */
    int result = end_where_full(self, id, told((int)sent));
    if (result < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *loop_pending(PyObject *object, PyObject *handle) {
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_living((struct loop *)object) : NULL;
    int64_t pending = loop ? sluice_pending(loop, id) : 0;
    return !loop ? NULL : pending < 0 ? core_raise((int)pending) : PyLong_FromLongLong(pending);
}

static PyObject *loop_fileno(PyObject *object, PyObject *handle) {
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_living((struct loop *)object) : NULL;
    int fd = loop ? sluice_fd(loop, id) : 0;
    return !loop ? NULL : fd < 0 ? core_raise(fd) : PyLong_FromLong(fd);
}

static PyObject *loop_kind_of(PyObject *object, PyObject *handle) {
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_living((struct loop *)object) : NULL;
    int kind = loop ? sluice_kind_of(loop, id) : 0;
    return !loop ? NULL : kind < 0 ? core_raise(kind) : PyLong_FromLong(kind);
}

static PyObject *address_by(PyObject *object, PyObject *handle,
                            int (*call)(const sluice_loop *, sluice_id, char *, size_t)) {
    char text[SLUICE_ADDRESS_MAX];
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_living((struct loop *)object) : NULL;
    int code = loop ? call(loop, id, text, sizeof text) : 0;
    return !loop ? NULL : code < 0 ? core_raise(code) : PyUnicode_DecodeFSDefault(text);
}

static PyObject *loop_local_address(PyObject *object, PyObject *handle) {
    return address_by(object, handle, sluice_local_address);
}

static PyObject *loop_peer_address(PyObject *object, PyObject *handle) {
    return address_by(object, handle, sluice_peer_address);
}

static PyObject *loop_user(PyObject *object, PyObject *handle) {
    struct loop *self = (struct loop *)object;
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? loop_living(self) : NULL;
    int kind = loop ? sluice_kind_of(loop, id) : 0;
    if (!loop || kind < 0)
        return loop ? core_raise(kind) : NULL;
    PyObject *user = loop_attached(self, id);
    return user || PyErr_Occurred() ? Py_XNewRef(user) : Py_NewRef(Py_None);
}

static PyObject *loop_set_user(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    struct loop *self = (struct loop *)object;
    sluice_id id;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "set_user takes a handle and an object");
    sluice_loop *loop = core_id(arguments[0], &id) ? loop_living(self) : NULL;
    int kind = loop ? sluice_kind_of(loop, id) : 0;
    if (!loop || kind < 0)
        return loop ? core_raise(kind) : NULL;
    loop_detach(self, id);
    if (loop_attach(self, id, arguments[1]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyMethodDef loop_call_methods[] = {
    {"_close_handle", loop_close_handle, METH_O, NULL},
    {"_abort", loop_abort, METH_VARARGS, NULL},
    {"_forward", loop_forward, METH_VARARGS, NULL},
    {"_send_file", loop_send_file, METH_VARARGS, NULL},
    {"_hold", CORE_FAST(loop_hold), NULL},
    {"_kind_of", loop_kind_of, METH_O, NULL},
    {"write", CORE_FAST(loop_write), DOC_Loop_write},
    {"try_write", CORE_FAST(loop_try_write), DOC_Loop_try_write},
    {"flush", loop_flush, METH_O, DOC_Loop_flush},
    {"pause", loop_pause, METH_O, DOC_Loop_pause},
    {"resume", loop_resume, METH_O, DOC_Loop_resume},
    {"shutdown", loop_shutdown, METH_O, DOC_Loop_shutdown},
    {"pending", loop_pending, METH_O, DOC_Loop_pending},
    {"fileno_of", loop_fileno, METH_O, DOC_Loop_fileno_of},
    {"local_address", loop_local_address, METH_O, DOC_Loop_local_address},
    {"peer_address", loop_peer_address, METH_O, DOC_Loop_peer_address},
    {"user", loop_user, METH_O, DOC_Loop_user},
    {"set_user", CORE_FAST(loop_set_user), DOC_Loop_set_user},
    {NULL, NULL, 0, NULL}};

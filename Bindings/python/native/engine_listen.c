/* engine_listen.c - the listeners of asyncio's event loop, and the streams that they accept.
 *
 * The callback of a listener makes the transport of a new stream. Until then the stream is named by
 * its id, so that what asyncio asks of a socket, such as who the peer is, is asked by the id here.
 */
#include "engine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* listen(fd, accepted): accepted(id) is called with each new stream. */
static PyObject *engine_listen(PyObject *object, PyObject *arguments) {
    struct engine *engine = (struct engine *)object;
    int fd;
    PyObject *accepted;
    if (!PyArg_ParseTuple(arguments, "iO", &fd, &accepted))
        return NULL;
    sluice_loop *loop = engine_living(engine);
    sluice_stream_options streams = engine_stream_options();
    sluice_listen_options options = {.size = sizeof options, .streams = &streams};
    sluice_id id = 0;
    int code = loop ? sluice_listen_fd(loop, &id, fd, &options) : 0;
    if (!loop || code < 0)
        return loop ? core_raise(code) : NULL;
    PyObject *key = PyLong_FromUnsignedLongLong(id);
    if (key && PyDict_SetItem(engine->listeners, key, accepted) < 0)
        Py_CLEAR(key);
    return key;
}

int engine_accept(struct engine *engine, const sluice_event *event) {
    PyObject *key = PyLong_FromUnsignedLongLong(event->value);
    PyObject *accepted = key ? PyDict_GetItemWithError(engine->listeners, key) : NULL;
    Py_XDECREF(key);
    if (!accepted) {
        sluice_abort(engine->loop, event->id); /* nobody serves any more */
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_INCREF(accepted);
    PyObject *id = PyLong_FromUnsignedLongLong(event->id);
    PyObject *done = id ? PyObject_CallFunctionObjArgs(accepted, id, NULL) : NULL;
    Py_XDECREF(id);
    Py_DECREF(accepted);
    Py_XDECREF(done);
    /* A KeyboardInterrupt may come before a transport has the stream, as in the protocol's factory.
     */
    if (!done && engine->loop && !engine_transport_at(engine, event->id))
        sluice_abort(engine->loop, event->id);
    return done ? 0 : -1;
}

/* peername(stream): as socket.getpeername() gives it, or None. */
static PyObject *engine_peername(PyObject *object, PyObject *stream) {
    sluice_id id;
    sluice_loop *loop = core_id(stream, &id) ? engine_living((struct engine *)object) : NULL;
    if (!loop)
        return NULL;
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
        struct sockaddr_un local;
    } address;
    socklen_t length = sizeof address;
    char text[INET6_ADDRSTRLEN];
    int fd = sluice_fd(loop, id);
    if (fd < 0 || getpeername(fd, &address.any, &length) < 0)
        Py_RETURN_NONE;
    if (address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address.ip4.sin_addr, text, sizeof text);
        return Py_BuildValue("(si)", text, ntohs(address.ip4.sin_port));
    }
    if (address.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address.ip6.sin6_addr, text, sizeof text);
        return Py_BuildValue("(siII)", text, ntohs(address.ip6.sin6_port),
                             ntohl(address.ip6.sin6_flowinfo), address.ip6.sin6_scope_id);
    }
    size_t path = length - offsetof(struct sockaddr_un, sun_path);
    if (path > 0 && address.local.sun_path[0] == 0)
        return PyBytes_FromStringAndSize(address.local.sun_path, (Py_ssize_t)path);
    return PyUnicode_DecodeFSDefault(path > 0 ? address.local.sun_path : "");
}

/* abort(stream): of a connection that nobody serves. */
static PyObject *engine_abort(PyObject *object, PyObject *stream) {
    sluice_id id;
    sluice_loop *loop = core_id(stream, &id) ? engine_living((struct engine *)object) : NULL;
    int code = loop ? sluice_abort(loop, id) : 0;
    return loop ? core_none_or(code == SLUICE_ESTALE ? 0 : code) : NULL;
}

PyMethodDef engine_listen_methods[] = {{"listen", engine_listen, METH_VARARGS, NULL},
                                       {"peername", engine_peername, METH_O, NULL},
                                       {"abort", engine_abort, METH_O, NULL},
                                       {NULL, NULL, 0, NULL}};

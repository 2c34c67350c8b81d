/* transport.h - what the files of a transport have in common: transport.c is the type, its
 * beginning and its end, transport_write.c the writing and the closing, transport_read.c the
 * reading.
 */
#ifndef SLUICEIO_TRANSPORT_H
#define SLUICEIO_TRANSPORT_H

#include "docs.h"
#include "engine.h"

/* The loop that has the stream; NULL before it has begun, and once the event loop is closed. */
static inline sluice_loop *transport_loop(const struct transport_part *part) {
    return part->engine ? part->engine->loop : NULL;
}

/* Whether a call may go on, or false with an exception: of a stream, only on its loop's thread. */
static inline bool transport_may(const struct transport_part *part) {
    return !transport_loop(part) || engine_living(part->engine);
}

/* transport_run(call, argument), in the context of this connection. */
PyObject *transport_run(const struct transport_part *part, PyObject *call, PyObject *argument);
PyObject *transport_run_method(const struct transport_part *part, PyObject *name,
                               PyObject *argument);

/* After a call of the protocol has raised: what ends a program does so, and else the method of this
 * name is called with the exception. */
int transport_tell(PyObject *transport, PyObject *name, const char *message);

/* Has a method of the transport's own be called soon. */
int transport_call_soon(PyObject *transport, const char *method);

/* Has connection_lost be called soon. The stream is no transport's from now on. */
int transport_lose(PyObject *transport, PyObject *error, bool in_context);

/* A close after all that is queued has been sent. */
int transport_close_orderly(PyObject *transport, bool in_context);

/* None; or NULL where a call has set an exception. */
static inline PyObject *transport_none_or(int code) {
    return code < 0 ? NULL : Py_NewRef(Py_None);
}

/* Each file's methods, and what it looks up by name. */
extern PyMethodDef transport_write_methods[], transport_read_methods[];
bool transport_setup_writing(void);
bool transport_setup_reading(void);

#endif

/* handle.h - asyncio's handles: see handle.c. */
#ifndef SLUICEIO_HANDLE_H
#define SLUICEIO_HANDLE_H

#include "core.h"

/* Each object is NULL where asyncio's handle has None. */
struct handle {
    PyObject *callback, *args, *context, *loop, *source_traceback, *representation;
    PyObject *when; /* of a TimerHandle */
    char cancelled, scheduled;
};

/* What asyncio has for it, in Python: see _asyncio of scheduler.c. */
extern PyTypeObject *handle_type, *timer_type;
extern PyObject *handle_context_run, *handle_failed;

struct handle *handle_part(PyObject *handle);

/* Whether it is of exactly one of our two types, so that it has a part. */
static inline bool handle_is_ours(PyObject *handle) {
    PyTypeObject *type = Py_TYPE(handle);
    return type == handle_type || type == timer_type;
}

/* A new handle. It takes the reference to `args`, also where it fails. */
PyObject *handle_new(PyTypeObject *type, PyObject *loop, PyObject *callback, PyObject *args,
                     PyObject *context);

/* Calls it. -1 with an exception that ends the loop; what else a callback raises goes to the loop's
 * exception handler. */
int handle_run(PyObject *handle);

/* Makes the types, over asyncio's. */
int handle_make_types(PyTypeObject *handle, PyTypeObject *timer);

#endif

/* scheduler.h - what asyncio's event loop does for each callback: see scheduler.c. */
#ifndef SLUICEIO_SCHEDULER_H
#define SLUICEIO_SCHEDULER_H

#include "core.h"

/* The attributes that asyncio's event loop in Python has under the same names. Objects are NULL
 * before its __init__ has set them. Invariant: `append` and `popleft` are methods of `ready`. */
struct scheduler {
    PyObject base;
    PyObject *ready; /* a deque of handles */
    PyObject *append, *popleft;
    PyObject *scheduled;         /* a list: a heap of timers */
    Py_ssize_t cancelled_timers; /* of those in it */
    bool debug, stopping, open;
};

extern PyTypeObject *scheduler_type;

/* NULL for what is another's event loop. */
static inline struct scheduler *scheduler_of(PyObject *loop) {
    return loop && PyObject_TypeCheck(loop, scheduler_type) ? (struct scheduler *)loop : NULL;
}

/* Puts a handle, whose reference it takes, in the queue. The handle, or NULL. */
PyObject *scheduler_append(struct scheduler *self, PyObject *handle);
/* The method `_run_once`: see turn.c. */
PyObject *scheduler_run_once(PyObject *object, PyObject *unused);
bool scheduler_setup_turns(PyObject *loop, PyObject *heap);

/* _asyncio(BaseEventLoop, Handle, TimerHandle, Future, Context, copy_context, heapq, failed): what
 * the scheduler and the handles have of asyncio. Gives the two types of handles. */
PyObject *scheduler_setup(PyObject *module, PyObject *arguments);
int core_add_scheduler(PyObject *module);

#endif

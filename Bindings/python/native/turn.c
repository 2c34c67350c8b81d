/* turn.c - a turn of asyncio's event loop: it waits, and runs the handles that are ready.
 *
 * It does what asyncio's `_run_once` does, by the same attributes, and by the loop's own methods
 * `time` and `_process_events`, which a class may have replaced. A turn in debug mode is asyncio's,
 * and one that has to make the heap of timers anew, since many were cancelled.
 */
#include "handle.h"
#include "scheduler.h"

static PyObject *own_run_once, *heap_pop; /* asyncio's own turn, and heapq.heappop */
static PyObject *time_name, *select_name, *selector_name, *process_name, *resolution_name,
    *cancelled_name, *run_name, *when_name, *scheduled_name;

bool scheduler_setup_turns(PyObject *loop, PyObject *heap) {
    return core_intern(&time_name, "time") && core_intern(&select_name, "select") &&
           core_intern(&selector_name, "_selector") &&
           core_intern(&process_name, "_process_events") &&
           core_intern(&resolution_name, "_clock_resolution") &&
           core_intern(&cancelled_name, "_cancelled") && core_intern(&run_name, "_run") &&
           core_intern(&when_name, "_when") && core_intern(&scheduled_name, "_scheduled") &&
           core_keep_attribute(&own_run_once, loop, "_run_once") &&
           core_keep_attribute(&heap_pop, heap, "heappop");
}

/* 1 or 0, or -1 with an exception. */
static int is_true(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    int code = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return code;
}

static int is_cancelled(PyObject *handle) {
    return handle_is_ours(handle) ? handle_part(handle)->cancelled
                                  : is_true(handle, cancelled_name);
}

/* A new reference. */
static PyObject *when_of(PyObject *timer) {
    return handle_is_ours(timer) && handle_part(timer)->when ? Py_NewRef(handle_part(timer)->when)
                                                             : PyObject_GetAttr(timer, when_name);
}

/* Takes the first timer from the heap: a new reference. */
static PyObject *pop_timer(struct scheduler *self) {
    PyObject *timer = core_call(heap_pop, self->scheduled);
    if (timer && handle_is_ours(timer))
        handle_part(timer)->scheduled = 0;
    else if (timer && PyObject_SetAttr(timer, scheduled_name, Py_False) < 0)
        Py_CLEAR(timer);
    return timer;
}

static int drop_cancelled_timers(struct scheduler *self) {
    while (PyList_Size(self->scheduled) > 0) {
        int is = is_cancelled(PyList_GetItem(self->scheduled, 0));
        if (is <= 0)
            return is;
        self->cancelled_timers--;
        PyObject *timer = pop_timer(self);
        if (!timer)
            return -1;
        Py_DECREF(timer);
    }
    return 0;
}

/* The time, by the loop's own method, with a number added to it. */
static int time_of(PyObject *loop, PyObject *more, double *seconds) {
    PyObject *time = core_call_method(loop, time_name, NULL);
    *seconds = time ? PyFloat_AsDouble(time) : -1;
    Py_XDECREF(time);
    if (*seconds != -1 && more)
        *seconds += PyFloat_AsDouble(more);
    return PyErr_Occurred() ? -1 : 0;
}

/* When the first timer is due. */
static int first_due(const struct scheduler *self, double *seconds) {
    PyObject *when = when_of(PyList_GetItem(self->scheduled, 0));
    *seconds = when ? PyFloat_AsDouble(when) : -1;
    Py_XDECREF(when);
    return *seconds == -1 && PyErr_Occurred() ? -1 : 0;
}

/* How long a select may take: a float, or None; a new reference. asyncio waits for a day at most,
 * and not at all for what is no number. */
static PyObject *timeout_of(struct scheduler *self) {
    const double day = 24 * 3600;
    double now, due;
    if (PyObject_Size(self->ready) > 0 || self->stopping)
        return PyLong_FromLong(0);
    if (PyList_Size(self->scheduled) == 0)
        return Py_NewRef(Py_None);
    if (first_due(self, &due) < 0 || time_of((PyObject *)self, NULL, &now) < 0)
        return NULL;
    return PyFloat_FromDouble(!(due > now) ? 0 : due - now < day ? due - now : day);
}

/* Waits, and has what is ready be added to the queue. */
static int select_events(struct scheduler *self) {
    PyObject *timeout = timeout_of(self);
    PyObject *selector = timeout ? PyObject_GetAttr((PyObject *)self, selector_name) : NULL;
    PyObject *events = selector ? core_call_method(selector, select_name, timeout) : NULL;
    PyObject *done = events ? core_call_method((PyObject *)self, process_name, events) : NULL;
    Py_XDECREF(timeout);
    Py_XDECREF(selector);
    Py_XDECREF(events);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Adds the timers that are due to the queue. */
static int add_due_timers(struct scheduler *self) {
    double now, due;
    if (PyList_Size(self->scheduled) == 0)
        return 0;
    PyObject *resolution = PyObject_GetAttr((PyObject *)self, resolution_name);
    int code = resolution ? time_of((PyObject *)self, resolution, &now) : -1;
    Py_XDECREF(resolution);
    while (code == 0 && PyList_Size(self->scheduled) > 0) {
        if (first_due(self, &due) < 0)
            return -1;
        if (due >= now)
            return 0;
        PyObject *timer = scheduler_append(self, pop_timer(self));
        code = timer ? 0 : -1;
        Py_XDECREF(timer);
    }
    return code;
}

static int run_one(PyObject *handle) {
    int is = is_cancelled(handle);
    if (is != 0)
        return is < 0 ? -1 : 0;
    if (handle_is_ours(handle))
        return handle_run(handle);
    PyObject *done = core_call_method(handle, run_name, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Runs those that are in the queue now. What they add is the next turn's. */
static int run_ready(struct scheduler *self) {
    for (Py_ssize_t left = PyObject_Size(self->ready); left > 0; left--) {
        PyObject *handle = core_call(self->popleft, NULL);
        int code = handle ? run_one(handle) : -1;
        Py_XDECREF(handle);
        if (code < 0)
            return -1;
    }
    return 0;
}

/* asyncio's own does the turn where many of the timers are cancelled, too: it makes the heap anew.
 */
PyObject *scheduler_run_once(PyObject *object, PyObject *unused) {
    (void)unused;
    struct scheduler *self = (struct scheduler *)object;
    Py_ssize_t timers = self->scheduled ? PyList_Size(self->scheduled) : -1;
    if (self->debug || timers < 0 || !self->append ||
        (timers > 100 && self->cancelled_timers > timers / 2)) {
        PyErr_Clear();
        return core_call(own_run_once, object);
    }
    if (drop_cancelled_timers(self) < 0 || select_events(self) < 0 || add_due_timers(self) < 0 ||
        run_ready(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

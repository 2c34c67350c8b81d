/* loop_pull.c - what is pulled: events, and what a program has attached to their handles.
 *
 * Iteration pulls one event at a time: so nothing is gathered that a `for` could leave behind, and
 * the core sends an answer by the shortest way. `pull` brings as many as there are, in a list.
 *
 * A pull that may wait gives up the interpreter's lock, which costs as much as the pull. So one
 * that follows an event first looks without waiting, and with the lock. A wake is noted here, too,
 * since a look may be what it ends.
 *
 * A signal ends the wait, Python's handlers run, and where none of them raises the wait goes on.
 */
#include "loop.h"

/* ---- What is attached to handles ------------------------------------------------------------ */

PyObject *loop_attached(struct loop *self, sluice_id id) {
    PyObject *key = self->users ? PyLong_FromUnsignedLongLong(id) : NULL;
    PyObject *user = key ? PyDict_GetItemWithError(self->users, key) : NULL;
    Py_XDECREF(key);
    return user;
}

int loop_attach(struct loop *self, sluice_id id, PyObject *user) {
    if (user == Py_None)
        return 0;
    if (!self->users && !(self->users = PyDict_New()))
        return -1;
    PyObject *key = PyLong_FromUnsignedLongLong(id);
    int code = key ? PyDict_SetItem(self->users, key, user) : -1;
    Py_XDECREF(key);
    return code;
}

void loop_detach(struct loop *self, sluice_id id) {
    PyObject *key = self->users ? PyLong_FromUnsignedLongLong(id) : NULL;
    if (key && PyDict_DelItem(self->users, key) < 0)
        PyErr_Clear();
    Py_XDECREF(key);
}

/* A new connection has what its listener has, and what has ended has nothing any more. Returns a
 * new reference. */
static PyObject *user_of(struct loop *self, const sluice_event *event) {
    if (!self->users)
        return Py_NewRef(Py_None);
    sluice_id id = event->kind == SLUICE_ACCEPTED ? event->value : event->id;
    PyObject *user = loop_attached(self, id);
    if (!user && PyErr_Occurred())
        return NULL;
    user = Py_NewRef(user ? user : Py_None);
    if (event->kind == SLUICE_ACCEPTED && loop_attach(self, event->id, user) < 0)
        Py_CLEAR(user);
    else if (event->kind == SLUICE_CLOSED || event->kind == SLUICE_RESOLVED ||
             (event->kind == SLUICE_TIMER && sluice_kind_of(self->loop, id) < 0))
        loop_detach(self, id);
    return user;
}

/* ---- Events --------------------------------------------------------------------------------- */

static PyObject *addresses(const sluice_event *event) {
    PyObject *text = PyUnicode_DecodeFSDefaultAndSize(event->data, (Py_ssize_t)event->length);
    PyObject *lines = text ? PyUnicode_Splitlines(text, 0) : NULL;
    Py_XDECREF(text);
    return lines;
}

static PyObject *data_of(struct loop *self, const sluice_event *event) {
    if (event->kind == SLUICE_DATA)
        return self->views ? loop_view_of(self, event)
                           : PyBytes_FromStringAndSize(event->data, (Py_ssize_t)event->length);
    if (event->kind == SLUICE_RESOLVED)
        return event->error == 0 ? addresses(event) : PyList_New(0);
    return Py_NewRef(Py_None);
}

static PyObject *error_of(struct loop *self, const sluice_event *event) {
    if (event->error == 0)
        return Py_NewRef(Py_None);
    const char *words = event->kind == SLUICE_RESOLVED ? event->data : NULL;
    if (event->kind == SLUICE_CLOSED)
        words = sluice_name_problem(self->loop, event->id);
    return core_error(event->error, words);
}

/* An event that nobody else has any more, or a new one. A `for` has the last when it asks for the
 * next: hence two. */
static struct event *blank(struct loop *self) {
    struct event *event = self->spare[0];
    self->spare[0] = self->spare[1];
    self->spare[1] = event;
    if (event && Py_REFCNT((PyObject *)event) == 1)
        return (struct event *)Py_NewRef((PyObject *)event);
    event = core_new_event();
    if (event) {
        struct event *before = self->spare[1];
        self->spare[1] = (struct event *)Py_NewRef((PyObject *)event);
        Py_XDECREF((PyObject *)before);
    }
    return event;
}

/* A new reference to an id's number. */
static PyObject *number_of(struct loop *self, sluice_id id) {
    struct cached_id *cached = &self->ids[id % CACHED_IDS];
    if (cached->id != id || !cached->number) {
        PyObject *number = PyLong_FromUnsignedLongLong(id), *before = cached->number;
        self->latest = NULL;
        cached->number = number;
        cached->id = id;
        Py_XDECREF(before);
    }
    self->latest = cached->number;
    self->last_id = id;
    return Py_XNewRef(cached->number);
}

void loop_drop_numbers(struct loop *self) {
    self->latest = NULL;
    for (int i = 0; i < CACHED_IDS; i++)
        Py_CLEAR(self->ids[i].number);
}

/* Of a stream whose event is being dealt with, as most are. */
bool loop_stream_of(const struct loop *self, PyObject *number, sluice_id *id) {
    if (number != self->latest)
        return core_id(number, id);
    *id = self->last_id;
    return true;
}

static PyObject *event_of(struct loop *self, const sluice_event *from) {
    struct event *event = blank(self);
    if (!event)
        return NULL;
    PyObject *data = data_of(self, from);
    PyObject *error = data ? error_of(self, from) : NULL;
    PyObject *user = error ? user_of(self, from) : NULL;
    PyObject *id = user ? number_of(self, from->id) : NULL;
    core_replace(&event->kind, Py_NewRef(core_kinds[from->kind]));
    core_replace(&event->data, data);
    core_replace(&event->error, error);
    core_replace(&event->user, user);
    core_replace(&event->id, id);
    event->number = from->kind;
    event->length = from->length;
    event->value = from->value;
    if (!id)
        Py_CLEAR(event);
    return (PyObject *)event;
}

/* Up to `capacity` events: how many, or a code. */
static int take_events(sluice_loop *loop, sluice_event *events, int capacity, int64_t timeout_ns) {
    return capacity == 1 ? sluice_next(loop, events, timeout_ns)
                         : sluice_next_many(loop, events, capacity, timeout_ns);
}

static int take_waiting(struct loop *self, sluice_event *events, int capacity, int64_t timeout_ns) {
    int count;
    self->pulling = true;
    Py_BEGIN_ALLOW_THREADS count = take_events(self->loop, events, capacity, timeout_ns);
    Py_END_ALLOW_THREADS self->pulling = false;
    self->has_pulled = false;
    return count;
}

bool loop_gives_nothing(const struct loop *self) {
    if (self->giving)
        core_raise_with(SLUICE_ESTATE, PyUnicode_FromString("a pull is not done yet"));
    return !self->giving;
}

/* Of a loop that is `owned`. How many events there are, 0 when the time is up or after a wake, or
 * -1 with an exception. */
static int pull(struct loop *self, sluice_event *events, int capacity, int64_t timeout_ns) {
    if (!loop_gives_nothing(self))
        return -1;
    if (self->lent && (!loop_release_views(self) || !loop_living(self)))
        return -1;
    bool waits = timeout_ns > 0 && timeout_ns < SLUICE_FOREVER;
    int64_t until = waits ? core_now_ns() + timeout_ns : 0;
    bool looks = timeout_ns == 0 || self->has_pulled;
    for (;;) {
        int count = looks ? take_events(self->loop, events, capacity, 0)
                          : take_waiting(self, events, capacity, timeout_ns);
        if (count > 0) {
            self->has_pulled = true;
            return count;
        }
        if (count < 0 && count != SLUICE_EINTR)
            return core_raise(count), -1;
        /* What was put off is sent, and that takes long enough for a signal to come: Python is
         * asked once more before the loop waits. */
        if (looks && timeout_ns != 0 && count == 0 && !self->woken) {
            looks = false;
            if (PyErr_CheckSignals() < 0 || !loop_living(self))
                return -1;
            looks = self->woken; /* by a handler: what it ends is a look */
            continue;
        }
        if (count == 0) {
            self->woken = false;
            return 0;
        }
        if (PyErr_CheckSignals() < 0 || !loop_living(self))
            return -1;
        if (waits)
            timeout_ns = until > core_now_ns() ? until - core_now_ns() : 0;
    }
}

PyObject *loop_iter(PyObject *self) {
    return Py_NewRef(self);
}

static PyObject *next_within(struct loop *self, int64_t timeout_ns) {
    sluice_event from;
    int count = loop_owned(self) ? pull(self, &from, 1, timeout_ns) : -1;
    if (count <= 0)
        return count < 0 ? NULL : Py_NewRef(Py_None);
    self->giving = true;
    PyObject *event = event_of(self, &from);
    self->giving = false;
    return event;
}

/* A wake gives no event, and so ends nothing here. */
PyObject *loop_next(PyObject *object) {
    for (;;) {
        PyObject *event = next_within((struct loop *)object, SLUICE_FOREVER);
        if (event != Py_None)
            return event;
        Py_DECREF(event);
    }
}

static PyObject *loop_next_event(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    int64_t timeout_ns;
    if (count > 1)
        return PyErr_Format(PyExc_TypeError, "next takes a timeout at most");
    if (!core_nanoseconds(count ? arguments[0] : Py_None, &timeout_ns))
        return NULL;
    return next_within((struct loop *)object, timeout_ns);
}

static PyObject *list_of(struct loop *self, const sluice_event *events, int count) {
    self->giving = true;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < count; i++) {
        PyObject *event = event_of(self, &events[i]);
        if (!event || PyList_Append(list, event) < 0)
            Py_CLEAR(list);
        Py_XDECREF(event);
    }
    self->giving = false;
    return list;
}

static PyObject *loop_pull(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    struct loop *self = (struct loop *)object;
    int64_t timeout_ns;
    if (count > 1)
        return PyErr_Format(PyExc_TypeError, "pull takes a timeout at most");
    if (!core_nanoseconds(count ? arguments[0] : Py_None, &timeout_ns) || !loop_owned(self))
        return NULL;
    sluice_event *events = PyMem_Malloc((size_t)self->batch * sizeof *events);
    if (!events)
        return PyErr_NoMemory();
    int pulled = pull(self, events, self->batch, timeout_ns);
    PyObject *list = pulled < 0 ? NULL : list_of(self, events, pulled);
    PyMem_Free(events);
    return list;
}

PyMethodDef loop_pull_methods[] = {{"pull", CORE_FAST(loop_pull), DOC_Loop_pull},
                                   {"next", CORE_FAST(loop_next_event), DOC_Loop_next},
                                   {NULL, NULL, 0, NULL}};

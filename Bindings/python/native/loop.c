/* loop.c - the loop: what is pulled, and the calls of handles and streams.
 *
 * Iteration pulls one event at a time: so nothing is gathered that a `for` could leave behind, and
 * the core sends an answer by the shortest way. `pull` brings as many as there are, in a list.
 *
 * A pull that may wait gives up the interpreter's lock, which costs as much as the pull. So one
 * that follows an event first looks without waiting, and with the lock. A wake is noted here, too,
 * since a look may be what it ends.
 *
 * While a pull waits, other threads run, and they may post and wake; any other call the core
 * refuses there. So each call asks the core first, and changes nothing here where it is refused. A
 * signal ends the wait, Python's handlers run, and where none of them raises the wait goes on.
 *
 * With views, the bytes of an event are those of the core's own buffer, which the next pull fills
 * anew. The view is released then. Views that were made of it cannot be, and while there is one a
 * pull raises BufferError. Such a view keeps its loop.
 *
 * A child of fork has a loop of its own from its first call on. Until then it touches nothing that
 * is the parent's.
 */
#include "event.h"

#include <string.h>
#include <time.h>

/* The numbers of ids, as Python has them, by their last bits: most events are of a few streams. */
#define CACHED_IDS 256
struct cached_id {
    sluice_id id; /* 0 where there is none */
    PyObject *number;
};

/* Invariants: `latest` is NULL, or the number of the last event's id, and is in `ids`. */
struct loop {
    PyObject base;
    sluice_loop *loop; /* NULL once it is closed */
    int batch;
    bool views, pulling, woken;
    bool has_pulled;        /* an event, since the last wait */
    unsigned forks;         /* core_forks as of this loop's process */
    PyObject *users;        /* NULL, or what is attached, by id */
    PyObject *lent, *taken; /* NULL, or lists: the lenders, and the view of each */
    struct event *spare[2]; /* NULL, or events that were given, to be used again */
    PyObject *latest;
    sluice_id last_id; /* which `latest` is of */
    struct cached_id ids[CACHED_IDS];
};

/* ---- Views ---------------------------------------------------------------------------------- */

struct lender {
    PyObject base;
    const void *bytes;
    Py_ssize_t length, exports;
    PyObject *owner;
};

static PyTypeObject *lender_type;

static int lend(PyObject *object, Py_buffer *view, int flags) {
    struct lender *lender = (struct lender *)object;
    if (PyBuffer_FillInfo(view, object, (void *)(uintptr_t)lender->bytes, lender->length, 1,
                          flags) < 0)
        return -1;
    lender->exports++;
    return 0;
}

static void take_back(PyObject *object, Py_buffer *view) {
    (void)view;
    ((struct lender *)object)->exports--;
}

static int lender_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((struct lender *)object)->owner);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int lender_clear(PyObject *object) {
    Py_CLEAR(((struct lender *)object)->owner);
    return 0;
}

static void lender_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    lender_clear(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyType_Slot lender_slots[] = {
    {Py_bf_getbuffer, lend},         {Py_bf_releasebuffer, take_back},
    {Py_tp_dealloc, lender_dealloc}, {Py_tp_traverse, lender_traverse},
    {Py_tp_clear, lender_clear},     {0, NULL}};

static PyType_Spec lender_spec = {.name = "sluiceio._core.Lender",
                                  .basicsize = sizeof(struct lender),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                           Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                  .slots = lender_slots};

static PyObject *view_of(struct loop *self, const sluice_event *event) {
    if (!self->lent) {
        self->taken = PyList_New(0);
        self->lent = self->taken ? PyList_New(0) : NULL;
        if (!self->lent)
            return NULL;
    }
    struct lender *lender = PyObject_GC_New(struct lender, lender_type);
    if (!lender)
        return NULL;
    lender->bytes = event->data;
    lender->length = (Py_ssize_t)event->length;
    lender->exports = 0;
    lender->owner = Py_NewRef((PyObject *)self);
    PyObject_GC_Track((PyObject *)lender);
    PyObject *view = PyMemoryView_FromObject((PyObject *)lender);
    if (view && PyList_Append(self->taken, view) == 0 &&
        PyList_Append(self->lent, (PyObject *)lender) < 0)
        Py_CLEAR(view);
    Py_DECREF(lender);
    return view;
}

/* Lets go of those that nobody has any more; how many are left. */
static Py_ssize_t drop_lenders(struct loop *self) {
    for (Py_ssize_t i = PyList_Size(self->lent); i-- > 0;)
        if (((struct lender *)PyList_GetItem(self->lent, i))->exports == 0)
            PySequence_DelItem(self->lent, i);
    return PyList_Size(self->lent);
}

static bool release_views(struct loop *self) {
    if (!self->lent || PyList_Size(self->lent) == 0)
        return true;
    for (Py_ssize_t i = 0; i < PyList_Size(self->taken); i++) {
        PyObject *done = PyObject_CallMethod(PyList_GetItem(self->taken, i), "release", NULL);
        if (!done)
            PyErr_Clear();
        Py_XDECREF(done);
    }
    PyList_SetSlice(self->taken, 0, PyList_Size(self->taken), NULL);
    if (drop_lenders(self) == 0)
        return true;
    PyGC_Collect();
    if (!self->lent || drop_lenders(self) == 0)
        return true;
    PyErr_SetString(PyExc_BufferError,
                    "a part of an event's view is kept past a pull: copy it with bytes()");
    return false;
}

/* ---- Whether a call may go on --------------------------------------------------------------- */

static sluice_loop *living(struct loop *self) {
    if (!self->loop) {
        core_raise_with(SLUICE_ENULL, PyUnicode_FromString("the loop is closed"));
        return NULL;
    }
    if (self->forks != core_forks && !self->pulling) {
        int code = sluice_after_fork(self->loop);
        if (code < 0) {
            core_raise(code);
            return NULL;
        }
        self->forks = core_forks;
    }
    return self->loop;
}

/* The same, for what changes something here before it asks the core. */
static sluice_loop *owned(struct loop *self) {
    sluice_loop *loop = living(self);
    int64_t now = loop ? sluice_now(loop) : 0;
    if (now < 0) {
        core_raise((int)now);
        return NULL;
    }
    return loop;
}

/* ---- What is attached to handles ------------------------------------------------------------ */

static PyObject *attached(struct loop *self, sluice_id id) {
    PyObject *key = self->users ? PyLong_FromUnsignedLongLong(id) : NULL;
    PyObject *user = key ? PyDict_GetItemWithError(self->users, key) : NULL;
    Py_XDECREF(key);
    return user;
}

static int attach(struct loop *self, sluice_id id, PyObject *user) {
    if (user == Py_None)
        return 0;
    if (!self->users && !(self->users = PyDict_New()))
        return -1;
    PyObject *key = PyLong_FromUnsignedLongLong(id);
    int code = key ? PyDict_SetItem(self->users, key, user) : -1;
    Py_XDECREF(key);
    return code;
}

static void detach(struct loop *self, sluice_id id) {
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
    PyObject *user = attached(self, id);
    if (!user && PyErr_Occurred())
        return NULL;
    user = Py_NewRef(user ? user : Py_None);
    if (event->kind == SLUICE_ACCEPTED && attach(self, event->id, user) < 0)
        Py_CLEAR(user);
    else if (event->kind == SLUICE_CLOSED || event->kind == SLUICE_RESOLVED ||
             (event->kind == SLUICE_TIMER && sluice_kind_of(self->loop, id) < 0))
        detach(self, id);
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
        return self->views ? view_of(self, event)
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

static void drop_numbers(struct loop *self) {
    self->latest = NULL;
    for (int i = 0; i < CACHED_IDS; i++)
        Py_CLEAR(self->ids[i].number);
}

/* Of a stream whose event is being dealt with, as most are. */
static bool stream_of(const struct loop *self, PyObject *number, sluice_id *id) {
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

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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

/* Of a loop that is `owned`. How many events there are, 0 when the time is up or after a wake, or
 * -1 with an exception. */
static int pull(struct loop *self, sluice_event *events, int capacity, int64_t timeout_ns) {
    if (self->lent && (!release_views(self) || !living(self)))
        return -1;
    bool waits = timeout_ns > 0 && timeout_ns < SLUICE_FOREVER;
    int64_t until = waits ? now_ns() + timeout_ns : 0;
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
            if (PyErr_CheckSignals() < 0 || !living(self))
                return -1;
            looks = self->woken; /* by a handler: what it ends is a look */
            continue;
        }
        if (count == 0) {
            self->woken = false;
            return 0;
        }
        if (PyErr_CheckSignals() < 0 || !living(self))
            return -1;
        if (waits)
            timeout_ns = until > now_ns() ? until - now_ns() : 0;
    }
}

static PyObject *loop_iter(PyObject *self) {
    return Py_NewRef(self);
}

static PyObject *next_within(struct loop *self, int64_t timeout_ns) {
    sluice_event event;
    int count = owned(self) ? pull(self, &event, 1, timeout_ns) : -1;
    return count < 0 ? NULL : count > 0 ? event_of(self, &event) : Py_NewRef(Py_None);
}

/* A wake gives no event, and so ends nothing here. */
static PyObject *loop_next(PyObject *object) {
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
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < count; i++) {
        PyObject *event = event_of(self, &events[i]);
        if (!event || PyList_Append(list, event) < 0)
            Py_CLEAR(list);
        Py_XDECREF(event);
    }
    return list;
}

static PyObject *loop_pull(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    struct loop *self = (struct loop *)object;
    int64_t timeout_ns;
    if (count > 1)
        return PyErr_Format(PyExc_TypeError, "pull takes a timeout at most");
    if (!core_nanoseconds(count ? arguments[0] : Py_None, &timeout_ns) || !owned(self))
        return NULL;
    sluice_event *events = PyMem_Malloc((size_t)self->batch * sizeof *events);
    if (!events)
        return PyErr_NoMemory();
    int pulled = pull(self, events, self->batch, timeout_ns);
    PyObject *list = pulled < 0 ? NULL : list_of(self, events, pulled);
    PyMem_Free(events);
    return list;
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

static PyObject *loop_open(PyObject *object, PyObject *arguments) {
    struct loop *self = (struct loop *)object;
    PyObject *given, *holders = NULL;
    int batch, views;
    sluice_options options = {.size = sizeof options, .flags = SLUICE_INTERRUPTIBLE};
    if (!PyArg_ParseTuple(arguments, "O!ip", &PyDict_Type, &given, &batch, &views))
        return NULL;
    if (self->loop)
        return core_raise(SLUICE_ESTATE);
    if (batch < 1 || batch > 65536)
        return core_raise_with(SLUICE_EOPTION,
                               PyUnicode_FromFormat("batch=%d is out of its range", batch));
    if (!core_take_options(given, &holders, core_loop_options, &options, NULL, NULL)) {
        Py_XDECREF(holders);
        return NULL;
    }
    int code = sluice_open(&self->loop, &options);
    Py_XDECREF(holders);
    if (code < 0)
        return core_raise_options(code, given);
    self->batch = batch;
    self->views = views;
    self->forks = core_forks;
    Py_RETURN_NONE;
}

static PyObject *loop_close(PyObject *object, PyObject *unused) {
    (void)unused;
    struct loop *self = (struct loop *)object;
    if (!self->loop)
        Py_RETURN_NONE;
    if (!owned(self) || !release_views(self))
        return NULL;
    sluice_loop *loop = self->loop; /* out of reach before it is gone */
    self->loop = NULL;
    if (loop)
        sluice_destroy(loop);
    Py_CLEAR(self->users);
    Py_RETURN_NONE;
}

static PyObject *loop_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(!((struct loop *)object)->loop);
}

static int loop_traverse(PyObject *object, visitproc visit, void *arg) {
    struct loop *self = (struct loop *)object;
    Py_VISIT(self->users);
    Py_VISIT(self->taken);
    Py_VISIT(self->lent);
    Py_VISIT((PyObject *)self->spare[0]);
    Py_VISIT((PyObject *)self->spare[1]);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int loop_clear(PyObject *object) {
    struct loop *self = (struct loop *)object;
    Py_CLEAR(self->users);
    Py_CLEAR(self->taken);
    Py_CLEAR(self->lent);
    Py_CLEAR(self->spare[0]);
    Py_CLEAR(self->spare[1]);
    drop_numbers(self);
    return 0;
}

/* Called for those of a class of Python's, as sluiceio.Loop is. */
static void loop_finalize(PyObject *object) {
    struct loop *self = (struct loop *)object;
    if (!self->loop || self->forks != core_forks)
        return;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (PyErr_ResourceWarning(object, 1, "unclosed loop %R", object) < 0)
        PyErr_WriteUnraisable(object);
    PyErr_Restore(type, value, trace);
}

/* Nobody has it any more, so its thread makes no call of it. */
static void loop_dealloc(PyObject *object) {
    struct loop *self = (struct loop *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    loop_clear(object);
    if (self->loop && self->forks != core_forks && sluice_after_fork(self->loop) < 0)
        self->loop = NULL; /* what it has is the parent's */
    if (self->loop) {
        sluice_take_over(self->loop);
        sluice_destroy(self->loop);
    }
    self->loop = NULL;
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* ---- From other threads --------------------------------------------------------------------- */

static PyObject *nothing_or(int code) {
    if (code < 0)
        return core_raise(code);
    Py_RETURN_NONE;
}

/* The lock of the interpreter is held, so no close comes between, and no handler of a signal: those
 * run between two calls. */
static PyObject *loop_post(PyObject *object, PyObject *value) {
    uint64_t word;
    sluice_loop *loop = core_word(value, &word) ? living((struct loop *)object) : NULL;
    return loop ? nothing_or(sluice_post(loop, word)) : NULL;
}

static PyObject *loop_wake(PyObject *object, PyObject *unused) {
    (void)unused;
    struct loop *self = (struct loop *)object;
    sluice_loop *loop = living(self);
    if (loop)
        self->woken = true;
    return loop ? nothing_or(sluice_wake(loop)) : NULL;
}

static PyObject *loop_take_over(PyObject *object, PyObject *unused) {
    (void)unused;
    struct loop *self = (struct loop *)object;
    sluice_loop *loop = living(self);
    if (loop && self->pulling)
        return core_raise_with(SLUICE_ETHREAD, PyUnicode_FromString("another thread is pulling"));
    return loop ? nothing_or(sluice_take_over(loop)) : NULL;
}

static PyObject *seconds_or(int64_t ns) {
    return ns < 0 ? core_raise((int)ns) : PyFloat_FromDouble((double)ns / 1e9);
}

static PyObject *loop_now(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = living((struct loop *)object);
    return loop ? seconds_or(sluice_now(loop)) : NULL;
}

static PyObject *loop_update_now(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = living((struct loop *)object);
    return loop ? seconds_or(sluice_update_now(loop)) : NULL;
}

static PyObject *loop_backend_fd(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = living((struct loop *)object);
    int fd = loop ? sluice_backend_fd(loop) : 0;
    return !loop ? NULL : fd < 0 ? core_raise(fd) : PyLong_FromLong(fd);
}

static PyObject *loop_until_next(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = living((struct loop *)object);
    int64_t ns = loop ? sluice_until_next(loop) : 0;
    if (ns == SLUICE_FOREVER)
        Py_RETURN_NONE;
    return loop ? seconds_or(ns) : NULL;
}

static PyObject *numbers(const uint64_t *values, int count) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < count; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(values[i]);
        if (!number || PyList_Append(list, number) < 0)
            Py_CLEAR(list);
        Py_XDECREF(number);
    }
    return list;
}

static PyObject *loop_stats(PyObject *object, PyObject *unused) {
    (void)unused;
    sluice_loop *loop = living((struct loop *)object);
    sluice_statistics stats = {.size = sizeof stats};
    int code = loop ? sluice_stats(loop, &stats) : 0;
    if (!loop || code < 0)
        return loop ? core_raise(code) : NULL;
    PyObject *events = numbers(stats.events, SLUICE_EVENT_KINDS);
    PyObject *handles = numbers(stats.handles, SLUICE_KINDS);
    if (!events || !handles) {
        Py_XDECREF(events);
        Py_XDECREF(handles);
        return NULL;
    }
    return Py_BuildValue(
        "{sK sN sN sK sK sK sK sK sK sd}", "turns", (unsigned long long)stats.turns, "events",
        events, "handles", handles, "bytes_received", (unsigned long long)stats.bytes_received,
        "bytes_sent", (unsigned long long)stats.bytes_sent, "receives",
        (unsigned long long)stats.receives, "sends", (unsigned long long)stats.sends, "accepts",
        (unsigned long long)stats.accepts, "queue_memory", (unsigned long long)stats.queue_memory,
        "longest_gap", (double)stats.longest_gap_ns / 1e9);
}

/* ---- Handles -------------------------------------------------------------------------------- */

/* The id is read after the call that `code` is the result of: hence a pointer to it. */
static PyObject *made(int code, const sluice_id *id) {
    return code < 0 ? core_raise(code) : PyLong_FromUnsignedLongLong(*id);
}

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
        detach(self, id);
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
    sluice_loop *loop = core_id(handle, &id) ? owned(self) : NULL;
    return loop ? end_by(self, id, sluice_close(loop, id)) : NULL;
}

/* abort(handle, code) */
static PyObject *loop_abort(PyObject *object, PyObject *arguments) {
    struct loop *self = (struct loop *)object;
    unsigned long long id;
    int code;
    if (!PyArg_ParseTuple(arguments, "Ki", &id, &code))
        return NULL;
    sluice_loop *loop = owned(self);
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
    sluice_loop *loop = core_id(handle, &id) ? living((struct loop *)object) : NULL;
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
    sluice_loop *loop = core_id(handle, &id) ? living((struct loop *)object) : NULL;
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
    if (!stream_of(self, arguments[0], &id) || !core_bytes_of(arguments[1], &bytes))
        return NULL;
    sluice_loop *loop = living(self);
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
    sluice_loop *loop = living(self);
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
    sluice_loop *loop = living((struct loop *)object);
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
    sluice_loop *loop = living(self);
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
    sluice_loop *loop = core_id(handle, &id) ? living((struct loop *)object) : NULL;
    int64_t pending = loop ? sluice_pending(loop, id) : 0;
    return !loop ? NULL : pending < 0 ? core_raise((int)pending) : PyLong_FromLongLong(pending);
}

static PyObject *loop_fileno(PyObject *object, PyObject *handle) {
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? living((struct loop *)object) : NULL;
    int fd = loop ? sluice_fd(loop, id) : 0;
    return !loop ? NULL : fd < 0 ? core_raise(fd) : PyLong_FromLong(fd);
}

static PyObject *loop_kind_of(PyObject *object, PyObject *handle) {
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? living((struct loop *)object) : NULL;
    int kind = loop ? sluice_kind_of(loop, id) : 0;
    return !loop ? NULL : kind < 0 ? core_raise(kind) : PyLong_FromLong(kind);
}

static PyObject *address_by(PyObject *object, PyObject *handle,
                            int (*call)(const sluice_loop *, sluice_id, char *, size_t)) {
    char text[SLUICE_ADDRESS_MAX];
    sluice_id id;
    sluice_loop *loop = core_id(handle, &id) ? living((struct loop *)object) : NULL;
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
    sluice_loop *loop = core_id(handle, &id) ? living(self) : NULL;
    int kind = loop ? sluice_kind_of(loop, id) : 0;
    if (!loop || kind < 0)
        return loop ? core_raise(kind) : NULL;
    PyObject *user = attached(self, id);
    return user || PyErr_Occurred() ? Py_XNewRef(user) : Py_NewRef(Py_None);
}

static PyObject *loop_set_user(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    struct loop *self = (struct loop *)object;
    sluice_id id;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "set_user takes a handle and an object");
    sluice_loop *loop = core_id(arguments[0], &id) ? living(self) : NULL;
    int kind = loop ? sluice_kind_of(loop, id) : 0;
    if (!loop || kind < 0)
        return loop ? core_raise(kind) : NULL;
    detach(self, id);
    if (attach(self, id, arguments[1]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- Making handles ------------------------------------------------------------------------- */

static PyObject *loop_watch(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    size_t interest;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "watch takes a descriptor and an interest");
    int fd = PyObject_AsFileDescriptor(arguments[0]);
    if (fd < 0 || !core_size(arguments[1], &interest))
        return NULL;
    sluice_loop *loop = living((struct loop *)object);
    sluice_id id = 0;
    return loop ? made(sluice_watch(loop, &id, fd, (uint32_t)interest, 0), &id) : NULL;
}

static PyObject *loop_rewatch(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    sluice_id id;
    size_t interest;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "rewatch takes a watch and an interest");
    if (!core_id(arguments[0], &id) || !core_size(arguments[1], &interest))
        return NULL;
    sluice_loop *loop = living((struct loop *)object);
    return loop ? nothing_or(sluice_rewatch(loop, id, (uint32_t)interest)) : NULL;
}

static PyObject *loop_timer(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    int64_t first, repeat = 0;
    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "timer takes the first time, and a period");
    if (!core_nanoseconds(arguments[0], &first) ||
        (count == 2 && !core_nanoseconds(arguments[1], &repeat)))
        return NULL;
    sluice_loop *loop = living((struct loop *)object);
    sluice_id id = 0;
    return loop ? made(sluice_timer(loop, &id, first, repeat, 0), &id) : NULL;
}

static PyObject *loop_timer_reset(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    sluice_id id;
    int64_t first;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "timer_reset takes a timer and a time");
    if (!core_id(arguments[0], &id) || !core_nanoseconds(arguments[1], &first))
        return NULL;
    sluice_loop *loop = living((struct loop *)object);
    return loop ? nothing_or(sluice_timer_reset(loop, id, first)) : NULL;
}

static PyObject *loop_signal(PyObject *object, PyObject *signal) {
    long number = PyLong_AsLong(signal);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    sluice_loop *loop = living((struct loop *)object);
    sluice_id id = 0;
    bool fits = number > 0 && number < 1024;
    return loop ? made(fits ? sluice_signal(loop, &id, (int)number) : -EINVAL, &id) : NULL;
}

/* Of calls with options: their result, with the options named in an error. */
static PyObject *made_with(int code, const sluice_id *id, PyObject *given) {
    if (code >= 0)
        return PyLong_FromUnsignedLongLong(*id);
    return PyDict_Size(given) > 0 ? core_raise_options(code, given) : core_raise(code);
}

/* listen(address or fd, options) */
static PyObject *loop_listen(PyObject *object, PyObject *arguments) {
    PyObject *at, *given, *holders = NULL, *holder = NULL;
    if (!PyArg_ParseTuple(arguments, "OO!", &at, &PyDict_Type, &given))
        return NULL;
    sluice_loop *loop = living((struct loop *)object);
    bool is_fd = !PyUnicode_Check(at);
    sluice_stream_options streams = {.size = sizeof streams};
    sluice_listen_options options = {.size = sizeof options, .streams = &streams};
    int fd = loop && is_fd ? PyObject_AsFileDescriptor(at) : -1;
    const char *address = loop && !is_fd ? core_text(at, &holder) : NULL;
    sluice_id id = 0;
    PyObject *result = NULL;
    if ((fd >= 0 || address) && core_take_options(given, &holders, core_listen_options, &options,
                                                  core_stream_options, &streams))
        result = made_with(is_fd ? sluice_listen_fd(loop, &id, fd, &options)
                                 : sluice_listen(loop, &id, address, &options),
                           &id, given);
    Py_XDECREF(holders);
    Py_XDECREF(holder);
    return result;
}

/* connect(address, options), adopt(fd, options) */
static PyObject *begin(PyObject *object, PyObject *arguments, bool adopts) {
    PyObject *at, *given, *holders = NULL, *holder = NULL;
    if (!PyArg_ParseTuple(arguments, "OO!", &at, &PyDict_Type, &given))
        return NULL;
    sluice_loop *loop = living((struct loop *)object);
    sluice_stream_options options = {.size = sizeof options};
    int fd = loop && adopts ? PyObject_AsFileDescriptor(at) : -1;
    const char *address = loop && !adopts ? core_text(at, &holder) : NULL;
    sluice_id id = 0;
    PyObject *result = NULL;
    if ((fd >= 0 || address) &&
        core_take_options(given, &holders, adopts ? core_stream_options : core_connect_options,
                          &options, NULL, NULL))
        result = made_with(adopts ? sluice_adopt(loop, &id, fd, &options)
                                  : sluice_connect(loop, &id, address, &options),
                           &id, given);
    Py_XDECREF(holders);
    Py_XDECREF(holder);
    return result;
}

static PyObject *loop_connect(PyObject *object, PyObject *arguments) {
    return begin(object, arguments, false);
}

static PyObject *loop_adopt(PyObject *object, PyObject *arguments) {
    return begin(object, arguments, true);
}

static PyObject *loop_resolve(PyObject *object, PyObject *arguments) {
    PyObject *name, *holder;
    unsigned family;
    if (!PyArg_ParseTuple(arguments, "OI", &name, &family))
        return NULL;
    const char *text = core_text(name, &holder);
    sluice_loop *loop = text ? living((struct loop *)object) : NULL;
    sluice_id id = 0;
    PyObject *result = loop ? made(sluice_resolve(loop, &id, text, family, 0), &id) : NULL;
    Py_XDECREF(holder);
    return result;
}

/* ---- The type ------------------------------------------------------------------------------- */

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL, NULL
static PyMethodDef methods[] = {{"_open", loop_open, METH_VARARGS, NULL},
                                {"_close", loop_close, METH_NOARGS, NULL},
                                {"_close_handle", loop_close_handle, METH_O, NULL},
                                {"_abort", loop_abort, METH_VARARGS, NULL},
                                {"_listen", loop_listen, METH_VARARGS, NULL},
                                {"_connect", loop_connect, METH_VARARGS, NULL},
                                {"_adopt", loop_adopt, METH_VARARGS, NULL},
                                {"_resolve", loop_resolve, METH_VARARGS, NULL},
                                {"_forward", loop_forward, METH_VARARGS, NULL},
                                {"_send_file", loop_send_file, METH_VARARGS, NULL},
                                {"_stats", loop_stats, METH_NOARGS, NULL},
                                {"_hold", FAST(loop_hold)},
                                {"_signal", loop_signal, METH_O, NULL},
                                {"_kind_of", loop_kind_of, METH_O, NULL},
                                {"pull", FAST(loop_pull)},
                                {"next", FAST(loop_next_event)},
                                {"write", FAST(loop_write)},
                                {"try_write", FAST(loop_try_write)},
                                {"flush", loop_flush, METH_O, NULL},
                                {"pause", loop_pause, METH_O, NULL},
                                {"resume", loop_resume, METH_O, NULL},
                                {"shutdown", loop_shutdown, METH_O, NULL},
                                {"pending", loop_pending, METH_O, NULL},
                                {"fileno_of", loop_fileno, METH_O, NULL},
                                {"local_address", loop_local_address, METH_O, NULL},
                                {"peer_address", loop_peer_address, METH_O, NULL},
                                {"user", loop_user, METH_O, NULL},
                                {"set_user", FAST(loop_set_user)},
                                {"watch", FAST(loop_watch)},
                                {"rewatch", FAST(loop_rewatch)},
                                {"timer", FAST(loop_timer)},
                                {"timer_reset", FAST(loop_timer_reset)},
                                {"post", loop_post, METH_O, NULL},
                                {"wake", loop_wake, METH_NOARGS, NULL},
                                {"take_over", loop_take_over, METH_NOARGS, NULL},
                                {"now", loop_now, METH_NOARGS, NULL},
                                {"update_now", loop_update_now, METH_NOARGS, NULL},
                                {"backend_fd", loop_backend_fd, METH_NOARGS, NULL},
                                {"until_next", loop_until_next, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static PyGetSetDef computed[] = {{"closed", loop_closed, NULL, NULL, NULL},
                                 {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_dealloc, loop_dealloc},   {Py_tp_finalize, loop_finalize},
                              {Py_tp_traverse, loop_traverse}, {Py_tp_clear, loop_clear},
                              {Py_tp_iter, loop_iter},         {Py_tp_iternext, loop_next},
                              {Py_tp_methods, methods},        {Py_tp_getset, computed},
                              {Py_tp_new, PyType_GenericNew},  {0, NULL}};

static PyType_Spec spec = {.name = "sluiceio._core.Loop",
                           .basicsize = sizeof(struct loop),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                           .slots = slots};

int core_add_loop(PyObject *module) {
    lender_type = (PyTypeObject *)PyType_FromSpec(&lender_spec);
    PyObject *type = lender_type ? PyType_FromSpec(&spec) : NULL;
    int code = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return code;
}

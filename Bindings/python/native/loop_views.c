/* loop_views.c - the bytes of an event as a memoryview of the core's own buffer, which the next
 * pull fills anew.
 *
 * The view is released then. Views that were made of it cannot be, and while there is one a pull
 * raises BufferError. So each view is of an object of its own here, a lender, that counts what is
 * made of it, and has the loop.
 */
#include "loop.h"

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

PyObject *loop_view_of(struct loop *self, const sluice_event *event) {
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

bool loop_release_views(struct loop *self) {
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

int loop_make_lender_type(void) {
    lender_type = (PyTypeObject *)PyType_FromSpec(&lender_spec);
    return lender_type ? 0 : -1;
}

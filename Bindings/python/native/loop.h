/* loop.h - what the files of the loop have in common: loop.c is its beginning, its end and the
 * type, loop_pull.c what is pulled, loop_views.c the views of an event's bytes, loop_calls.c the
 * calls of handles and streams, loop_make.c the making of handles.
 */
#ifndef SLUICEIO_LOOP_H
#define SLUICEIO_LOOP_H

#include "docs.h"
#include "event.h"

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
    bool giving;            /* events are being made of what was pulled, whose bytes must stay */
    bool has_pulled;        /* an event, since the last wait */
    unsigned forks;         /* core_forks as of this loop's process */
    PyObject *users;        /* NULL, or what is attached, by id */
    PyObject *lent, *taken; /* NULL, or lists: the lenders, and the view of each */
    struct event *spare[2]; /* NULL, or events that were given, to be used again */
    PyObject *latest;
    sluice_id last_id; /* which `latest` is of */
    struct cached_id ids[CACHED_IDS];
};

/* Whether a call may go on: the core's loop, or NULL with an exception. */
sluice_loop *loop_living(struct loop *self);
/* The same, for what changes something here before it asks the core: it must be the loop's thread.
 */
sluice_loop *loop_owned(struct loop *self);

/* Whether a pull or a close may go on, or false with an exception: not in a __del__ that runs while
 * events are made of what was pulled. */
bool loop_gives_nothing(const struct loop *self);

/* A view of an event's bytes; and the end of all there are. */
int loop_make_lender_type(void);
PyObject *loop_view_of(struct loop *self, const sluice_event *event);
bool loop_release_views(struct loop *self);

/* What is attached to a handle: a borrowed reference, or NULL. */
PyObject *loop_attached(struct loop *self, sluice_id id);
int loop_attach(struct loop *self, sluice_id id, PyObject *user);
void loop_detach(struct loop *self, sluice_id id);

/* Takes a stream's id, most often that of the last event. */
bool loop_stream_of(const struct loop *self, PyObject *number, sluice_id *id);
void loop_drop_numbers(struct loop *self);

PyObject *loop_iter(PyObject *self);
PyObject *loop_next(PyObject *object);

extern PyMethodDef loop_pull_methods[], loop_call_methods[], loop_make_methods[];

#endif

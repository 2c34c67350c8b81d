/* event.h - see event.c. */
#ifndef SLUICEIO_EVENT_H
#define SLUICEIO_EVENT_H

#include "core.h"

struct event {
    PyObject base;
    PyObject *kind;  /* one of core_kinds */
    PyObject *id;    /* an int */
    PyObject *data;  /* DATA: bytes or a memoryview; RESOLVED: a list of str; else None */
    PyObject *error; /* an exception, or None */
    PyObject *user;  /* what set_user has attached, or None */
    unsigned long long length, value;
    uint32_t number; /* the kind */
};

/* One with nothing in it yet. */
struct event *core_new_event(void);

#endif

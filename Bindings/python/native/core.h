/* core.h - what the files of sluiceio._core have in common.
 *
 * The module is built by the limited API, so that one binary serves every CPython from 3.11 on.
 * What is hot is here: the loop, events, the poller, and asyncio's transports. What is not, and
 * what speaks of types, is in Python. It tells this module by `_setup` which exceptions and which
 * enums it is to use.
 *
 * The state of the module is the process's: it is loaded once, and by one interpreter.
 */
#ifndef SLUICEIO_CORE_H
#define SLUICEIO_CORE_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>

#include "sluice.h"

/* Every CPython from 3.11 on exports these two. The limited API has them from 3.12 on. */
#if Py_LIMITED_API < 0x030c0000
PyAPI_FUNC(PyObject *) PyObject_Vectorcall(PyObject *callable, PyObject *const *arguments,
                                           size_t count, PyObject *names);
PyAPI_FUNC(PyObject *) PyObject_VectorcallMethod(PyObject *name, PyObject *const *arguments,
                                                 size_t count, PyObject *names);
#define PY_VECTORCALL_ARGUMENTS_OFFSET ((size_t)1 << (8 * sizeof(size_t) - 1))
#endif

/* What `_setup` is given. */
enum written { QUEUED, OVER_HIGH_MARK, GONE, FULL, WRITTEN };
extern PyObject *core_error_of; /* (code, words or None) gives an exception */
extern PyObject *core_kinds[SLUICE_EVENT_KINDS];
extern PyObject *core_written[WRITTEN];
extern PyObject *core_ready; /* the enum of READY's flags */

/* How many forks lie between this process and the one that has loaded the module. What was made
 * under another number is a parent's. */
extern unsigned core_forks;

/* Raises what stands for a negative code, in better words where there are some. Returns NULL. */
PyObject *core_raise(int code);
PyObject *core_raise_with(int code, PyObject *words);
/* None; or NULL, with what stands for a negative code raised. */
PyObject *core_none_or(int code);
/* The exception that is set, with its traceback, and set no more. */
PyObject *core_take_exception(void);
/* The exception itself, for an event; NULL with an exception set. */
PyObject *core_error(int code, const char *words);

/* Puts a reference, which it takes, in the place of another, which it lets go. */
static inline void core_replace(PyObject **place, PyObject *by) {
    PyObject *before = *place;
    *place = by;
    Py_XDECREF(before);
}

/* A call with an argument, or without one where it is NULL. */
PyObject *core_call(PyObject *callable, PyObject *argument);
PyObject *core_call_method(PyObject *object, PyObject *name, PyObject *argument);
/* For what is set up once: a name to look up by, and an attribute to keep. False with an exception
 * set. */
bool core_intern(PyObject **name, const char *text);
bool core_keep_attribute(PyObject **place, PyObject *of, const char *name);

/* Arguments. Each returns false with an exception set. */
bool core_id(PyObject *object, sluice_id *id);
bool core_size(PyObject *object, size_t *size);
bool core_word(PyObject *object, uint64_t *word);
/* Seconds as nanoseconds: None is for ever, and what is too much for 64 bits is, too. */
bool core_nanoseconds(PyObject *object, int64_t *ns);
/* An address or a name as C takes it; the bytes are in *holder, which is the caller's. */
const char *core_text(PyObject *object, PyObject **holder);

/* Bytes of an object, in one piece. */
struct core_bytes {
    const void *start;
    size_t length;
    PyObject *holder; /* NULL, or whose they are */
    Py_buffer view;   /* with an obj, where it is to be released */
};
bool core_bytes_of(PyObject *object, struct core_bytes *bytes);
void core_bytes_done(struct core_bytes *bytes);

/* A method that takes its arguments as an array, in a table of methods. */
#define CORE_FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

/* Puts tables of methods one behind the other into `all`, which is empty, and has room for them. */
void core_join_methods(PyMethodDef *all, PyMethodDef *const *tables, size_t count);

/* The monotonic clock. */
int64_t core_now_ns(void);

/* Options by name, each a row of a table. */
struct core_option {
    const char *name;
    enum { OPTION_SIZE, OPTION_U32, OPTION_NS, OPTION_SECONDS, OPTION_FLAG, OPTION_TEXT } type;
    size_t offset;
    uint32_t when_true, when_false;
};
extern const struct core_option core_loop_options[], core_stream_options[], core_connect_options[],
    core_listen_options[];
/* Takes what the tables have; NULL-terminated pairs of a table and its struct. A name that is in
 * none is a TypeError. *holders keeps texts alive, and is the caller's. */
bool core_take_options(PyObject *given, PyObject **holders, const struct core_option *table,
                       void *options, const struct core_option *other, void *others);
/* Raises for a code of a call that was given options, and names them. */
PyObject *core_raise_options(int code, PyObject *given);

/* The types; each adds itself to the module. */
extern PyTypeObject *core_event_type;
int core_add_event(PyObject *module);
int core_add_loop(PyObject *module);
int core_add_poller(PyObject *module);
int core_add_engine(PyObject *module);

#endif

/* addon.h - what the files of the addon share.
 *
 * The addon is a thin layer over sluice.h for lib/ alone. Its functions take the loop first, read
 * the other arguments, and return what C returned, as a number. What a code means, and which of
 * them is thrown, is decided in JavaScript. An argument of another type is a TypeError or a
 * RangeError here, so nothing that a program passes can do harm.
 *
 * Only Node-API is used, whose binary interface is stable: one binary serves every Node.js. */
#ifndef SLUICE_NODE_ADDON_H
#define SLUICE_NODE_ADDON_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "sluice.h"

/* A loop or a poller, or what is left of one.
 *
 * One of `loop` and `poller` is set. It is NULL once it has ended; every call of sluice.h refuses
 * that. It changes only in its own thread, and under the lock of loop.c, which other threads hold
 * while they post. */
struct box {
    sluice_loop *loop;
    sluice_poller *poller;
    uint64_t token;    /* by which other threads name it */
    napi_env env;      /* whose it is */
    int signal_count;  /* that it has; see signals.c */
    bool is_cancelled; /* no more pulls: the process is about to end. Under the lock */
    struct box *next;  /* the next living one. Under the lock */
};

/* A call from JavaScript. The arguments are read one after another. Once one of them was refused,
 * an exception is pending and `failed` is set; the call must then do nothing and return NULL. */
struct call {
    napi_env env;
    struct box *box;
    napi_value arguments[5];
    size_t at;
    bool failed;
};

/* Begins a call whose first argument is a loop or a poller, or one without. */
struct call begin(napi_env env, napi_callback_info info);
struct call begin_without_loop(napi_env env, napi_callback_info info);

napi_value take_any(struct call *call);
int take_int(struct call *call);       /* a code, a descriptor, a number of a signal */
uint32_t take_bits(struct call *call); /* a set of flags */
size_t take_size(struct call *call);   /* from 0; Infinity is the most there can be */
int64_t take_time(struct call *call);  /* milliseconds, as nanoseconds; Infinity is for ever */
uint64_t take_word(struct call *call); /* a BigInt: an id, or what is posted */
void take_bytes(struct call *call, const void **bytes, size_t *length);

/* A text of less than `capacity` bytes, and true; false for undefined. A longer text is cut off, a
 * text with a NUL in it gives "": neither is an address or a backend then. */
bool take_text(struct call *call, char *text, size_t capacity);

/* So many numbers, which JavaScript has looked at: each is from 0 to 2^63. */
void take_numbers(struct call *call, double *numbers, size_t count);

/* The words of a typed array of 64-bit words that JavaScript has made for results: how many, or 0
 * where it is something else. */
size_t take_room(struct call *call, void **room);

/* Results. NULL, with an exception pending, where there is no memory. */
napi_value number(const struct call *call, double value);
/* Of (loop, id): what a call that takes no more returns. */
napi_value number_by_id(napi_env env, napi_callback_info info,
                        int (*function)(sluice_loop *loop, sluice_id id));
napi_value text(const struct call *call, const char *value);

/* The id that a call has made, or the code with which it failed. By its address, since the call
 * that makes it may stand beside it. */
napi_value id_or_code(const struct call *call, int code, const sluice_id *id);

/* A box as an external value, which owns it from then on; also where it fails. Another thread can
 * end its pulls: is_cancelled then. */
napi_value box_value(napi_env env, struct box *box);
bool is_cancelled(const struct box *box);

/* To be called before a handle ends, or, for id 0, a loop: its signals are what they were before.
 */
void give_signals_back(struct box *box, sluice_id id);

/* The functions of each file, to be exported: name, function, and so on. */
struct export {
    const char *name;
    napi_callback function;
};
extern const struct export exports_of_loop[], exports_of_handles[], exports_of_streams[],
    exports_of_poller[], exports_of_signals[];

#endif

/* trace.c - what a program pulls from its loops, and what it asks of them, a line each on standard
 * error:
 *
 *     SLUICE_TRACE=events LD_PRELOAD=build/libsluice-trace.so PROGRAM
 *     SLUICE_TRACE=calls  LD_PRELOAD=build/libsluice-trace.so PROGRAM      events and calls
 *
 * It is a library of its own, which the dynamic linker puts in front of libsluice.so: each function
 * here has the name of one of the library's, calls that one, and says what came of it. So the core
 * has no line for it, prints nothing, and costs nothing when nobody traces.
 *
 * A program that has the library linked into it (libsluice.a, Swift), or that looks its functions
 * up by itself (Python's ctypes), is not seen. Decided against: a hook in the core. It would be a
 * comparison in each pull, for everybody.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice.h"

static const char *const kinds[SLUICE_EVENT_KINDS] = {
    [SLUICE_READY] = "READY",
    [SLUICE_TIMER] = "TIMER",
    [SLUICE_SIGNAL] = "SIGNAL",
    [SLUICE_POSTED] = "POSTED",
    [SLUICE_ACCEPTED] = "ACCEPTED",
    [SLUICE_CONNECTED] = "CONNECTED",
    [SLUICE_DATA] = "DATA",
    [SLUICE_EOF] = "EOF",
    [SLUICE_DRAINED] = "DRAINED",
    [SLUICE_CLOSED] = "CLOSED",
    [SLUICE_OVERLOADED] = "OVERLOADED",
    [SLUICE_RESOLVED] = "RESOLVED",
};

static int traces(const char *what) {
    const char *wanted = getenv("SLUICE_TRACE");
    return wanted && (strcmp(wanted, what) == 0 || strcmp(wanted, "calls") == 0);
}

/* The library's own function of this name. */
static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        dprintf(2, "sluice-trace: the program has no %s of its own; is it linked dynamically?\n",
                name);
        abort();
    }
    return function;
}

/* A handle as slot/generation, which is shorter to read than the number. */
static const char *handle(sluice_id id, char text[40]) {
    snprintf(text, 40, "%" PRIu64 "/%" PRIu64, id & ((1U << SLUICE_SLOT_BITS) - 1), id >> 32);
    return text;
}

static void say_event(const sluice_event *event) {
    char id[40];
    const char *kind = event->kind < SLUICE_EVENT_KINDS ? kinds[event->kind] : "?";
    dprintf(2, "sluice: %s %s user %" PRIu64 " length %zu value %" PRIu64 " %s\n", kind,
            handle(event->id, id), event->user, event->length, event->value,
            event->error ? sluice_error_name(event->error) : "");
}

/* ---- Pulls ----------------------------------------------------------------------------------- */

SLUICE_API int sluice_next(sluice_loop *loop, sluice_event *event, int64_t timeout_ns) {
    static int (*next)(sluice_loop *, sluice_event *, int64_t);
    if (!next)
        *(void **)&next = real("sluice_next");
    int result = next(loop, event, timeout_ns);
    if (!traces("events"))
        return result;
    if (result == 1)
        say_event(event);
    else
        dprintf(2, "sluice: no event: %s\n",
                result == 0 ? "time or wake" : sluice_error_name(result));
    return result;
}

SLUICE_API int sluice_next_many(sluice_loop *loop, sluice_event *events, int capacity,
                                int64_t timeout_ns) {
    static int (*next_many)(sluice_loop *, sluice_event *, int, int64_t);
    if (!next_many)
        *(void **)&next_many = real("sluice_next_many");
    int result = next_many(loop, events, capacity, timeout_ns);
    if (traces("events"))
        for (int i = 0; i < result; i++)
            say_event(&events[i]);
    return result;
}

/* ---- Calls on a handle ----------------------------------------------------------------------- */

static void say_call(const char *name, sluice_id id, int64_t argument, int code) {
    char text[40];
    if (traces("calls"))
        dprintf(2, "sluice:   %s %s %" PRId64 ": %s\n", name, handle(id, text), argument,
                code > 0 ? "over its mark" : sluice_error_name(code));
}

/* A call of a loop and a handle, with `...` further parameters, of which `argument` is shown. */
#define CALL(name, parameters, arguments, argument)                                                \
    SLUICE_API int sluice_##name parameters {                                                      \
        static int(*function) parameters;                                                          \
        if (!function)                                                                             \
            *(void **)&function = real("sluice_" #name);                                           \
        int code = function arguments;                                                             \
        say_call(#name, id, (int64_t)(argument), code);                                            \
        return code;                                                                               \
    }

CALL(close, (sluice_loop * loop, sluice_id id), (loop, id), 0)
CALL(abort, (sluice_loop * loop, sluice_id id), (loop, id), 0)
CALL(abort_with, (sluice_loop * loop, sluice_id id, int error), (loop, id, error), error)
CALL(shutdown, (sluice_loop * loop, sluice_id id), (loop, id), 0)
CALL(pause, (sluice_loop * loop, sluice_id id), (loop, id), 0)
CALL(resume, (sluice_loop * loop, sluice_id id), (loop, id), 0)
CALL(flush, (sluice_loop * loop, sluice_id id), (loop, id), 0)
CALL(hold, (sluice_loop * loop, sluice_id id, size_t length), (loop, id, length), length)
CALL(hold_until, (sluice_loop * loop, sluice_id id, size_t length, size_t total),
     (loop, id, length, total), total)
CALL(forward, (sluice_loop * loop, sluice_id id, sluice_id to), (loop, id, to),
     to &((1U << SLUICE_SLOT_BITS) - 1))
CALL(write, (sluice_loop * loop, sluice_id id, const void *bytes, size_t length),
     (loop, id, bytes, length), length)
CALL(writev, (sluice_loop * loop, sluice_id id, const sluice_slice *slices, int count),
     (loop, id, slices, count), count)
CALL(rewatch, (sluice_loop * loop, sluice_id id, uint32_t interest), (loop, id, interest), interest)
CALL(timer_reset, (sluice_loop * loop, sluice_id id, int64_t first_ns), (loop, id, first_ns),
     first_ns)

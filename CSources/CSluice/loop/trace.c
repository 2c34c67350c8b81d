/* trace.c - what a loop gives, a line each, for a person who looks for a lost event.
 *
 * Only where the environment has SLUICE_TRACE=events when the loop is opened; else nothing is ever
 * written. A traced loop has a bit in `todo` all the time, which no short way of a pull allows. So
 * it costs nothing where it is off.
 *
 * The lines go to a duplicate of what standard error was then. The number 2 may be a socket of
 * somebody's later.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names, not pointers to them: so they need no relocation. */
static const char event_kinds[][12] = {"NONE",     "READY",      "TIMER",   "SIGNAL", "POSTED",
                                       "ACCEPTED", "CONNECTED",  "DATA",    "EOF",    "DRAINED",
                                       "CLOSED",   "OVERLOADED", "RESOLVED"};
static_assert(sizeof event_kinds / sizeof *event_kinds == SLUICE_EVENT_KINDS, "one for each");

SLUICE_COLD void sluice_trace_open(sluice_loop *loop) {
    const char *what = getenv("SLUICE_TRACE");
    if (!what || strcmp(what, "events") != 0)
        return;
    loop->trace_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (loop->trace_fd >= 0)
        loop->todo |= TODO_TRACED;
}

/* A line is one write, so that those of several threads stay apart. A handle is its slot and its
 * generation, which is shorter to read than the number. An error is its number: its name would
 * bring the table of all messages into each program. */
static SLUICE_COLD void write_line(const sluice_loop *loop, const sluice_event *event) {
    char line[256];
    int length = snprintf(line, sizeof line,
                          "sluice[%ld]: %s %" PRIu64 "/%" PRIu64 " user %" PRIu64
                          " length %zu value %" PRIu64 " error %d\n",
                          (long)syscall(SYS_gettid), event_kinds[event->kind],
                          event->id & ((1U << SLUICE_SLOT_BITS) - 1), event->id >> 32, event->user,
                          event->length, event->value, event->error);
    (void)!write(loop->trace_fd, line, (size_t)length);
}

SLUICE_COLD void sluice_trace(const sluice_loop *loop, const sluice_event *events, int code) {
    const sluice_event none = {.error = code};
    if (code <= 0) {
        events = &none;
        code = 1;
    }
    int saved = errno;
    for (; code > 0; code--, events++)
        write_line(loop, events);
    errno = saved;
}

/* trace.c - one line for each event that a loop gives, for a person who looks for a lost event.
 *
 * The trace is written only if the environment has SLUICE_TRACE=events when the loop is opened. A
 * traced loop has a bit in `todo` all the time, and no short path of a pull is taken with that bit.
 * So the trace costs nothing when it is off.
 *
 * The lines go to a duplicate of what standard error was then. Later the number 2 may be somebody's
 * socket. The duplicate is made before the loop opens anything: if standard error is closed, the
 * number 2 would be a descriptor of the loop's own.
 *
 * A line that does not fit into a non-blocking pipe or terminal is lost, and the next one says so.
 * If standard error blocks, the program waits, as for any line that it writes there itself.
 *
 * If a program has more rights than whoever starts it, that one does not say where it writes: see
 * secure_getenv(3).
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

#include "network/socket.h"

/* The table has the names themselves and not pointers to them, so it needs no relocation. */
static const char event_kinds[][12] = {"NONE",     "READY",      "TIMER",   "SIGNAL", "POSTED",
                                       "ACCEPTED", "CONNECTED",  "DATA",    "EOF",    "DRAINED",
                                       "CLOSED",   "OVERLOADED", "RESOLVED"};
static_assert(sizeof event_kinds / sizeof *event_kinds == SLUICE_EVENT_KINDS, "one for each");

SLUICE_COLD void sluice_trace_open(sluice_loop *loop) {
    const char *what = secure_getenv("SLUICE_TRACE");
    if (!what || strcmp(what, "events") != 0)
        return;
    loop->trace_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (loop->trace_fd >= 0)
        loop->todo |= TODO_TRACED;
}

/* A line is one write, so that the lines of several threads stay apart. A handle is shown as its
 * slot and its generation, which are shorter to read than the id. An error is shown as its number:
 * its name would bring the table of all messages into each program. */
static SLUICE_COLD void write_line(sluice_loop *loop, const sluice_event *event) {
    char line[256];
    char lost[48] = "";
    if (loop->trace_lost > 0)
        (void)snprintf(lost, sizeof lost, " (%" PRIu64 " lines before are lost)", loop->trace_lost);
    int length = snprintf(line, sizeof line,
                          "sluice[%ld]: %s %" PRIu64 "/%" PRIu64 " user %" PRIu64
                          " length %zu value %" PRIu64 " error %d%s\n",
                          (long)syscall(SYS_gettid), event_kinds[event->kind],
                          event->id & ((1U << SLUICE_SLOT_BITS) - 1), event->id >> 32, event->user,
                          event->length, event->value, event->error, lost);
    const struct iovec iov = {.iov_base = line, .iov_len = (size_t)length};
    if (sluice_file_send_slices(loop->trace_fd, &iov, 1) > 0)
        loop->trace_lost = 0;
    else
        loop->trace_lost++;
}

SLUICE_COLD void sluice_trace(sluice_loop *loop, const sluice_event *events, int code) {
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

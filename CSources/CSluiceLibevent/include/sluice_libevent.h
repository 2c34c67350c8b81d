/* sluice_libevent.h - libevent as a backend of Sluice's pollers and loops. */
#ifndef SLUICE_LIBEVENT_H
#define SLUICE_LIBEVENT_H

#include <sluice.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes "libevent" a backend, to be chosen by name wherever one is: behind those of the core, and
 * for good. "libevent:epoll", "libevent:poll" and "libevent:select" choose libevent's own method,
 * and are what sluice_backend_name and sluice_poller_backend_name say; "libevent" is the first.
 *
 * To be called once, before the first use; again does no harm. Any thread.
 * Errors: SLUICE_EFULL (too many backends were registered).
 *
 * Sluice prints nothing, and libevent prints its warnings unless it is given a function that takes
 * them. The first call gives it one that drops them. A program that uses libevent itself calls
 * event_set_log_callback after this, and its own stays. No other setting of libevent's that is the
 * process's is touched. libevent's own memory is what event_set_mem_functions says, whatever a
 * loop's options do. */
SLUICE_API int sluice_libevent_register(void);

#ifdef __cplusplus
}
#endif

#endif

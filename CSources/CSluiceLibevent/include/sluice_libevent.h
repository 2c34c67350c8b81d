/* sluice_libevent.h - libevent as a backend of Sluice's pollers and loops. */
#ifndef SLUICE_LIBEVENT_H
#define SLUICE_LIBEVENT_H

#include <sluice.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes "libevent" a backend for good. It can be chosen by name wherever a backend can. In the
 * order of backends it comes after those of the core. "libevent:epoll", "libevent:poll" and
 * "libevent:select" choose libevent's own method. These three are what sluice_backend_name and
 * sluice_poller_backend_name say. "libevent" is the first of them.
 *
 * Call it once, before the first use. A second call does no harm. Any thread.
 * Errors: SLUICE_EFULL (too many backends were registered).
 *
 * Sluice prints nothing. libevent prints its warnings unless it is given a function that takes
 * them. The first call gives it a function that drops them. A program that uses libevent itself
 * calls event_set_log_callback after this call, and its own function stays. No other process-wide
 * setting of libevent is touched. libevent's own memory comes from where event_set_mem_functions
 * says, whatever a loop's options say. */
SLUICE_API int sluice_libevent_register(void);

#ifdef __cplusplus
}
#endif

#endif

/* sluice_source.h - several libraries on one loop: whose event is it?
 *
 * A loop has one user word for each handle, and one program pulls its events. When libraries share
 * a loop, each has to find its own events. The convention is this: the user word of a handle is 0,
 * or points to a sluice_source, which says who deals with the handle's events. A library puts a
 * sluice_source first in a struct of its own. Whoever pulls hands each event over:
 *
 *     while (sluice_next(loop, &event, SLUICE_FOREVER) >= 0)
 *         if (!sluice_source_dispatch(&event))
 *             ...; // one of the program's own, whose user word is 0
 *
 * Nothing here is needed to use Sluice, and the core knows nothing of it. Examples/c/hiredis and
 * Examples/c/curl are adapters that follow the convention.
 *
 * What a library promises:
 * - its source lives as long as its handles: until the CLOSED of a stream has been handed over, or
 *   until sluice_close for any other handle. An accepted stream begins with its listener's source;
 * - `dispatch` does not pull. It may end any handle, and free its own source.
 * Whoever pulls uses sluice_next. With sluice_next_many, an event may belong to a handle that has
 * ended since, and whose source is gone. So ask sluice_kind_of before you hand over each event.
 *
 * Timers count from the last wait. A library that sets a timer outside its `dispatch` calls
 * sluice_update_now first.
 */
#ifndef SLUICE_SOURCE_H
#define SLUICE_SOURCE_H

#include "sluice.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sluice_source sluice_source;

struct sluice_source {
    void (*dispatch)(sluice_source *source, const sluice_event *event);
};

/* What to give as a handle's user word. */
static inline uint64_t sluice_source_user(sluice_source *source) {
    return (uint64_t)(uintptr_t)source;
}

/* Hands an event to its source. Returns 1, or 0 if it has no source. */
static inline int sluice_source_dispatch(const sluice_event *event) {
    sluice_source *source = (sluice_source *)(uintptr_t)event->user;
    if (!source)
        return 0;
    source->dispatch(source, event);
    return 1;
}

#ifdef __cplusplus
}
#endif

#endif

/* sluice_source.h - several libraries on one loop: whose event is it?
 *
 * A loop has one user word for each handle, and one program pulls its events. Where libraries share
 * a loop, each has to find its own among them. The convention: the user word of a handle is 0, or
 * points to a sluice_source, which says who deals with its events. A library puts one first in a
 * struct of its own, and whoever pulls hands each event over:
 *
 *     while (sluice_next(loop, &event, SLUICE_FOREVER) >= 0)
 *         if (!sluice_source_dispatch(&event))
 *             ...; // one of the program's own, whose user word is 0
 *
 * Nothing here is needed to use Sluice, and the core knows nothing of it. Examples/c/hiredis and
 * Examples/c/curl are adapters that keep to it.
 *
 * What a library promises:
 * - its source lives as long as its handles: until a stream's CLOSED has been handed over, and of
 *   any other handle until sluice_close. An accepted stream begins with its listener's;
 * - `dispatch` does not pull. It may end any handle, and free its own source.
 * Whoever pulls uses sluice_next. With sluice_next_many an event may be of a handle that has ended
 * since, and whose source is gone: ask sluice_kind_of before each is handed over.
 *
 * Timers count from the last wait. A library that is called from elsewhere than its `dispatch`, and
 * then sets a timer, calls sluice_update_now before.
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

/* Hands an event to its source: 1, or 0 where it has none. */
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

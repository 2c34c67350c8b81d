/* timers.h - a library's timers, as timers.c sees them. All are called on one thread. */
#ifndef TIMERS_H
#define TIMERS_H

#include <stdint.h>

/* Makes room for `count` timers, numbered from 0. 0 where it cannot. */
int timers_open(long count);

/* Sets timer `index`, which is not set, to go off in so many nanoseconds. */
void timers_add(long index, int64_t ns);

/* Takes timer `index` back before it has gone off. */
void timers_cancel(long index);

/* Sets timer `index`, which is set, anew. */
void timers_reset(long index, int64_t ns);

/* Runs those that are due, calling on_fired for each. */
void timers_fire(void);

void on_fired(void);

#endif

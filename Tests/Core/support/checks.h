/* checks.h - whether what stands with a struct of the core, as its invariants, holds. Each walks
 * everything. */
#ifndef CHECKS_H
#define CHECKS_H

#include "bytes/queue.h"
#include "timers/timers.h"

/* The first broken invariant in words, or NULL. */
const char *check_timers(const struct sluice_timers *timers);

bool check_bytes(const struct sluice_bytes *queue);
/* But for `retained`. */
bool check_chunk_pool(const struct sluice_chunk_pool *pool);
/* Of a public queue, and those of its pool. */
bool check_queue(const sluice_queue *queue);

#endif

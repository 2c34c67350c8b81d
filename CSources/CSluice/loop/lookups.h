/* lookups.h - host names that a loop has looked up: by handles of their own (resolve.c), and for
 * streams that connect by name (connect.c).
 *
 * The loop itself reaches all this through loop->lookups, which is NULL until a name is asked for.
 * So a program that calls neither sluice_connect nor sluice_resolve can be linked without it, and
 * without the helper thread (--gc-sections).
 */
#ifndef SLUICE_LOOKUPS_H
#define SLUICE_LOOKUPS_H

#include "base/platform.h"

#include "network/names.h"
#include "sluice.h"

struct sluice_resolve;
struct sluice_stream;

/* A name that is asked for. Invariants:
 * - `list` is loop->asked or, from the turn on that finds it answered, loop->answered; NULL where
 * it is in neither;
 * - in a list, `lookup` is NULL only where the answer is `text`, which needed none. */
struct sluice_query {
    struct sluice_query *next;
    struct sluice_query *previous;
    struct sluice_query_list *list;
    struct sluice_lookup *lookup;
    char *text;
    sluice_id id;  /* the resolve handle's, or the stream's, that asks */
    uint64_t turn; /* it is answered in a later turn than this */
};

struct sluice_query_list {
    struct sluice_query *first;
    struct sluice_query *last;
};

/* What the loop does about names. */
struct sluice_lookup_operations {
    /* At the beginning of a turn, where loop->has_answers is set. */
    void (*begin_turn)(sluice_loop *loop);
    /* Takes the turn's next answers: true with a RESOLVED event, false where none is left. */
    bool (*next)(sluice_loop *loop, sluice_event *event);
    void (*end_resolve)(sluice_loop *loop, struct sluice_resolve *resolve);
    /* In the child of a fork: 0; or an error, and it may be called again. */
    int (*after_fork)(sluice_loop *loop);

    /* These are of a stream that connects by name. Begins the attempts that are due. */
    void (*go_on)(sluice_loop *loop, struct sluice_stream *stream);
    /* One of its attempts has connected or, with an `error`, failed. */
    void (*attempted)(sluice_loop *loop, struct sluice_stream *stream, uint32_t attempt, int error);
    /* The number of one was closed behind our back, and has another file by now. */
    void (*lose_attempt)(sluice_loop *loop, struct sluice_stream *stream, uint32_t attempt);
    /* Whether one has an outcome that has not been seen yet. */
    bool (*has_outcome)(const struct sluice_stream *stream);
    /* Ends the lookup and the attempts. Returns what the resolver said, or NULL. */
    const char *(*end_connecting)(sluice_loop *loop, struct sluice_stream *stream);
};

/* Sets loop->lookups. */
SLUICE_INTERNAL void sluice_lookups_begin(sluice_loop *loop);

/* Begins to ask for `host` for the handle `id`: 0, or an error of sluice_lookup_begin. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_query_begin(sluice_loop *loop, struct sluice_query *query,
                                                      sluice_id id, const char *host, uint16_t port,
                                                      int family);
/* Forgets it, answered or not. */
SLUICE_INTERNAL void sluice_query_end(struct sluice_query *query);

/* The name that `stream` connects by has been answered. */
SLUICE_INTERNAL void sluice_connecting_answered(sluice_loop *loop, struct sluice_stream *stream);

/* Those of connect.c. */
SLUICE_INTERNAL void sluice_connecting_go_on(sluice_loop *loop, struct sluice_stream *stream);
SLUICE_INTERNAL void sluice_connecting_attempted(sluice_loop *loop, struct sluice_stream *stream,
                                                 uint32_t attempt, int error);
SLUICE_INTERNAL void sluice_connecting_lose_attempt(sluice_loop *loop, struct sluice_stream *stream,
                                                    uint32_t attempt);
SLUICE_INTERNAL bool sluice_connecting_has_outcome(const struct sluice_stream *stream);
SLUICE_INTERNAL const char *sluice_connecting_end(sluice_loop *loop, struct sluice_stream *stream);

#endif

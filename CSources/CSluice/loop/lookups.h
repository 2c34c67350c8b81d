/* lookups.h - host names that are looked up for a loop: by handles of their own (resolve.c), and
 * for streams that connect by name (connect.c).
 *
 * The loop itself reaches all this through loop->lookups, which is NULL until a name is asked for.
 * So a program that calls neither sluice_connect nor sluice_resolve can be linked without this
 * code, and without the helper thread (--gc-sections).
 */
#ifndef SLUICE_LOOKUPS_H
#define SLUICE_LOOKUPS_H

#include "base/platform.h"

#include "network/names.h"
#include "sluice.h"

struct sluice_resolve;
struct sluice_stream;

/* A name that is asked for. Invariants:
 * - `list` is loop->asked or, from the turn on that finds the answer, loop->answered. It is NULL if
 *   the query is in neither;
 * - in a list, `lookup` is NULL only if the answer is `text`, which needed no lookup. */
struct sluice_query {
    struct sluice_query *next;
    struct sluice_query *previous;
    struct sluice_query_list *list;
    struct sluice_lookup *lookup;
    char *text;
    sluice_id id;  /* of the resolve handle, or the stream, that asks */
    uint64_t turn; /* the answer comes in a later turn than this one */
};

struct sluice_query_list {
    struct sluice_query *first;
    struct sluice_query *last;
};

/* What the loop does about names. */
struct sluice_lookup_operations {
    /* Called at the beginning of a turn if loop->has_answers is set. */
    void (*begin_turn)(sluice_loop *loop);
    /* Takes the turn's next answers. Returns true with a RESOLVED event, or false if none is
     * left. */
    bool (*next)(sluice_loop *loop, sluice_event *event);
    void (*end_resolve)(sluice_loop *loop, struct sluice_resolve *resolve);
    /* For the child of a fork. Returns 0; or an error, and it may be called again. */
    int (*after_fork)(sluice_loop *loop);

    /* These are for a stream that connects by name. Begins the attempts that are due. */
    void (*go_on)(sluice_loop *loop, struct sluice_stream *stream);
    /* One of its attempts has connected or, with an `error`, failed. */
    void (*attempted)(sluice_loop *loop, struct sluice_stream *stream, uint32_t attempt, int error);
    /* The number of an attempt was closed behind our back, and names another file by now. */
    void (*lose_attempt)(sluice_loop *loop, struct sluice_stream *stream, uint32_t attempt);
    /* Whether an attempt has an outcome that has not been seen yet. */
    bool (*has_outcome)(const struct sluice_stream *stream);
    /* Ends the lookup and the attempts. Returns what the resolver said, or NULL. */
    const char *(*end_connecting)(sluice_loop *loop, struct sluice_stream *stream);
};

/* Sets loop->lookups. */
SLUICE_INTERNAL void sluice_lookups_begin(sluice_loop *loop);

/* Begins to ask for `host` for the handle `id`. Returns 0, or an error of sluice_lookup_begin. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_query_begin(sluice_loop *loop, struct sluice_query *query,
                                                      sluice_id id, const char *host, uint16_t port,
                                                      int family);
/* Forgets the query, answered or not. */
SLUICE_INTERNAL void sluice_query_end(struct sluice_query *query);

/* The name that `stream` connects by has been answered. */
SLUICE_INTERNAL void sluice_connecting_answered(sluice_loop *loop, struct sluice_stream *stream);

/* The operations that are in connect.c. */
SLUICE_INTERNAL void sluice_connecting_go_on(sluice_loop *loop, struct sluice_stream *stream);
SLUICE_INTERNAL void sluice_connecting_attempted(sluice_loop *loop, struct sluice_stream *stream,
                                                 uint32_t attempt, int error);
SLUICE_INTERNAL void sluice_connecting_lose_attempt(sluice_loop *loop, struct sluice_stream *stream,
                                                    uint32_t attempt);
SLUICE_INTERNAL bool sluice_connecting_has_outcome(const struct sluice_stream *stream);
SLUICE_INTERNAL const char *sluice_connecting_end(sluice_loop *loop, struct sluice_stream *stream);

#endif

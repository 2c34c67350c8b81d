/* torture.h - the two loops of test_loop_torture.c, each in a thread of its own, and what both do:
 * count posts, check timers, and note what goes wrong. If a check fails in a thread, it cannot end
 * the test there. The first failure is kept, and asserted after the threads have ended. */
#ifndef TORTURE_H
#define TORTURE_H

#include "loop_model.h"

enum { MOST_CONNECTIONS = 2000, POSTS = 10000 };

enum { POSTERS = 4, CLOCKS = 50, TAME = 1, WILD = 2, BATCH_MOST = 64 };

/* User words of timers: a clock, or a connection to go on with. */
#define CLOCK_USER (UINT64_C(1) << 32)
#define STOP_WORD UINT64_MAX

#define MOST_SENT ((size_t)64 * 1024)

/* One end of a connection. A wild one may end in any way at any time. A tame one echoes everything.
 */
struct connection {
    sluice_id id;
    bool wild;
    bool alive; /* its CLOSED has not come */
    bool aborted;
    bool closing;
    bool connected;
    bool eof;
    size_t total; /* of a client: how much it will send */
    size_t written;
    size_t received;
};

struct clock {
    sluice_id id;
    int64_t deadline;
    int64_t repeat;
};

struct side {
    sluice_loop *loop;
    const char *problem; /* the first one, or NULL */
    uint64_t random;
    size_t count; /* connections that there have been */
    size_t closed;
    size_t unsent;
    struct connection connections[MOST_CONNECTIONS];
    struct clock clocks[CLOCKS];
    uint64_t posts[POSTERS]; /* the last post that came from each thread */
    uint64_t post_count;
    uint64_t fired;
    bool stopped; /* STOP_WORD came */
};

/* If the condition is false, notes a problem, unless there is one already. */
#define EXPECT(side, condition)                                                                    \
    do {                                                                                           \
        if (!(condition) && !(side)->problem)                                                      \
            (side)->problem = #condition;                                                          \
    } while (0)

uint32_t side_below(struct side *side, uint32_t end);
void side_open(struct side *side, uint64_t seed, const sluice_options *options);
/* Pulls one event or several. Events that both sides handle alike are handled here, and the others
 * go to `handle`. */
void side_pull(struct side *side, void (*handle)(struct side *, const sluice_event *));
/* Ends the clocks and the loop. Its counts must agree with what was seen. */
void side_close(struct side *side);

/* Checks the code of a call on a connection. */
void side_call(struct side *side, const struct connection *connection, int code);
void side_end(struct side *side, struct connection *connection);
void side_closed(struct side *side, struct connection *connection, const sluice_event *event);

#endif

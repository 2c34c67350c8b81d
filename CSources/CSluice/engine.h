/* engine.h - what the loop asks to do I/O: the contract of an engine.
 *
 * The line is drawn at the operation: accept, receive, send, connect, watch. An engine is told of
 * descriptors, which operations are wanted on each, and what to send; the loop then pulls
 * completions, one after the other. Whether the engine learns that a receive is possible and does
 * it when the completion is pulled (engines/readiness.c), or handed the kernel the request
 * beforehand and only passes the result on (as one over io_uring would), the loop cannot tell.
 *
 * Descriptors are named by number and belong to the loop. Everything is called on the loop's
 * thread, but `wake`. An engine never closes a descriptor that it was told of.
 */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include "platform.h"

#include <stddef.h>
#include <sys/uio.h>

#include "allocator.h"
#include "sluice.h"

#pragma GCC visibility push(hidden)

/* What can be wanted on a descriptor, and what a completion is of. */
enum sluice_operation {
    SLUICE_OP_WATCH = 1,   /* result: the flags that are ready */
    SLUICE_OP_ACCEPT = 2,  /* result: a connection's number, the loop's from then on, or an error */
    SLUICE_OP_RECEIVE = 4, /* result: how many bytes, 0 at the end, or an error */
    SLUICE_OP_SEND = 8, /* result: how many more bytes have gone, or an error; the rest may go on */
    SLUICE_OP_CONNECT = 16 /* result: 0 or an error */
};

struct sluice_completion {
    sluice_id id; /* as attached */
    enum sluice_operation operation;
    ptrdiff_t result;
    const unsigned char *bytes; /* of a receive; good until the next call of `next` */
};

/* What a descriptor is to the engine. */
enum sluice_role {
    SLUICE_ROLE_WATCH, /* somebody else's: its readiness is reported and no more */
    SLUICE_ROLE_LISTENER,
    SLUICE_ROLE_CONNECTING, /* a socket under way to be a stream */
    SLUICE_ROLE_SOCKET,     /* a connected one */
    SLUICE_ROLE_PIPE,       /* a pipe, or what else is not one of these */
    SLUICE_ROLE_TERMINAL    /* what may give less than it has */
};

struct sluice_engine {
    const struct sluice_engine_operations *operations;
};

struct sluice_engine_operations {
    int (*create)(struct sluice_engine **engine, const char *backend,
                  const struct sluice_allocator *allocator);
    void (*destroy)(struct sluice_engine *engine);

    /* Begins to look after `fd`, with nothing wanted; completions carry `id`. For a watch `detail`
     * is the interest, for a listener how many accepts one turn may have at most. On failure
     * nothing has changed. */
    int (*attach)(struct sluice_engine *engine, int fd, sluice_id id, enum sluice_role role,
                  uint32_t detail);

    /* Ends that: no completion for `fd` comes any more, also none that was gathered. What is not a
     * watch's the loop closes next. */
    void (*detach)(struct sluice_engine *engine, int fd);

    /* A watch's new interest; and from then on it is armed again. */
    int (*rewatch)(struct sluice_engine *engine, int fd, uint32_t interest);

    /* Of accept, receive and connect, those that are wanted from now on, until they are not. A
     * connect is wanted once. On failure what was wanted still is. */
    int (*want)(struct sluice_engine *engine, int fd, uint32_t operations);

    /* Sends as much as can be sent now: how many bytes, or an error. Where that is fewer than there
     * are, a completion of SEND says when to go on; until then it is not called again. */
    ptrdiff_t (*send)(struct sluice_engine *engine, int fd, const struct iovec *iov, int count);

    /* Begins a turn: waits until there are completions, `wake` is called, or the time is up.
     * Does not wait while there are some left over. 0 or an error, with nothing lost. */
    int (*wait)(struct sluice_engine *engine, int64_t timeout_ns);

    /* The turn's next completion, with what was received at bytes[0, size) or elsewhere: 1, or 0 at
     * the end of the turn. At most one receive for each descriptor in a turn. */
    int (*next)(struct sluice_engine *engine, struct sluice_completion *completion,
                unsigned char *bytes, size_t size);

    /* Whether something is left over for the next turn, which the kernel need not tell of again. */
    bool (*has_left_over)(const struct sluice_engine *engine);

    /* Any thread: ends the wait that is under way, or else the next one. */
    int (*wake)(struct sluice_engine *engine);

    /* What sluice_backend_fd returns. */
    int (*backend_fd)(const struct sluice_engine *engine);

    /* In the child of a fork: leaves alone what is shared with the parent. */
    int (*after_fork)(struct sluice_engine *engine);
};

/* The one that sluice_open takes. */
extern const struct sluice_engine_operations sluice_readiness_engine;

#pragma GCC visibility pop

#endif

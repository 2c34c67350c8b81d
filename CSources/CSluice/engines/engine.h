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

#include "base/platform.h"

#include <stddef.h>
#include <sys/uio.h>

#include "base/allocator.h"
#include "sluice.h"

/* What can be wanted on a descriptor, and what a completion is of. A completion is told in the
 * event that the loop may make of it: `id` as attached, and the members named here. Where `error`
 * is named, it is 0 or a negative code. */
enum sluice_operation {
    SLUICE_OP_NONE = 0,     /* no completion */
    SLUICE_OP_WATCH = 1,    /* value: the flags that are ready */
    SLUICE_OP_ACCEPT = 2,   /* error, or value: a connection's number, the loop's from then on */
    SLUICE_OP_RECEIVE = 4,  /* data, length: what came; value is 0 */
    SLUICE_OP_SEND = 8,     /* error, or length: bytes that have gone since; the rest may go on */
    SLUICE_OP_CONNECT = 16, /* error */
    SLUICE_OP_HANGUP = 32,  /* error: the connection is broken, and no bytes are left to receive;
                             * value: 1 where the peer's end is, which came before */
    SLUICE_OP_END = 64,     /* of what is received: error, or 0 where the peer has ended */
    SLUICE_OP_SIGNALS = 128 /* no id, nor anything else: see SLUICE_ROLE_SIGNALS */
};

/* What a descriptor is to the engine. */
enum sluice_role {
    SLUICE_ROLE_WATCH,   /* somebody else's: its readiness is reported and no more */
    SLUICE_ROLE_SIGNALS, /* the loop's own, for signals: the same, by another operation */
    SLUICE_ROLE_LISTENER,
    SLUICE_ROLE_CONNECTING, /* a socket under way to be a stream */
    SLUICE_ROLE_SOCKET,     /* a connected one, over TCP */
    SLUICE_ROLE_LOCAL,      /* a connected unix socket, where descriptors can be passed */
    SLUICE_ROLE_PACKETS,    /* a connected socket that gives a packet at a time */
    SLUICE_ROLE_PIPE,
    SLUICE_ROLE_OTHER /* a terminal, a file, and what else there is */
};

struct sluice_engine {
    const struct sluice_engine_operations *operations;
    bool in_run; /* see `next` */
};

struct sluice_engine_options {
    const char *backend; /* as sluice_poller_create takes it */
    const struct sluice_allocator *allocator;
    size_t receive_size; /* the most that `next` is ever given room for */
    bool interruptible;  /* a signal ends a wait with SLUICE_EINTR */
};

struct sluice_engine_operations {
    /* Whoever creates an engine sets its `operations` afterwards. */
    int (*create)(struct sluice_engine **engine, const struct sluice_engine_options *options);
    void (*destroy)(struct sluice_engine *engine);

    /* Begins to look after `fd`; completions carry `id`. For a watch, and for signals, `detail` is
     * the interest, for a listener how many accepts one turn may have at most, with none wanted
     * yet, and for a stream what is wanted, as of `want`. A stream that is attached with HANGUP
     * wanted and not RECEIVE has no input at all. On failure nothing has changed: SLUICE_EEXIST
     * where the number is attached already. */
    int (*attach)(struct sluice_engine *engine, int fd, sluice_id id, enum sluice_role role,
                  uint32_t detail);

    /* Ends that: no completion for `fd` comes any more, also none that was gathered. */
    void (*detach)(struct sluice_engine *engine, int fd);

    /* Where `fd` is attached although a new file has that number by now: it was closed behind our
     * back. Detaches it, and returns the id that it was attached with, or 0. */
    sluice_id (*evict)(struct sluice_engine *engine, int fd);

    /* Completions for `fd` carry this id from now on, also one that was gathered. */
    void (*rename)(struct sluice_engine *engine, int fd, sluice_id id);

    /* A watch's new interest; and from then on it is armed again. */
    int (*rewatch)(struct sluice_engine *engine, int fd, uint32_t interest);

    /* Of accept, receive, connect and hang-up, those that are wanted from now on, until they are
     * not. A connect is wanted once, a hang-up is told once, and nothing is received any more after
     * an END. A receive tells of a hang-up too, as an END. Not every engine can tell of a hang-up
     * by itself. On failure what was wanted still is. */
    int (*want)(struct sluice_engine *engine, int fd, uint32_t operations);

    /* Tries once to send: how many bytes went, or an error, of which SLUICE_EAGAIN says that none
     * can go now, and -EINTR nothing. Where fewer went than there are, and the rest is to wait for
     * room, the loop calls `await_room`; a completion of SEND then says when to go on. */
    ptrdiff_t (*send_slices)(struct sluice_engine *engine, int fd, const struct iovec *iov,
                             int count);
    int (*await_room)(struct sluice_engine *engine, int fd);

    /* The same of one piece, to a connected socket for which no room is awaited. For an error it is
     * -1, and errno says which, as of send(2): nearly always all goes, and no more is asked. */
    ptrdiff_t (*send)(struct sluice_engine *engine, int fd, const void *bytes, size_t length);

    /* The same of up to `length` bytes of a file, from `offset` on: how many went. *stopped is 0
     * where those are all of them, or all that the file has; else what kept the rest: SLUICE_EAGAIN
     * as above, or an error, which may be the file's. */
    size_t (*send_file)(struct sluice_engine *engine, int fd, int file, int64_t offset,
                        size_t length, int *stopped);

    /* Begins a turn: waits until there are completions, `wake` is called, or the time is up.
     * Does not wait while there are some left over. 0 or an error, with nothing lost; the turn then
     * has no completions. */
    int (*wait)(struct sluice_engine *engine, int64_t timeout_ns);

    /* The turn's next completion, of the operation returned; NONE at the end of the turn. What was
     * received lies at the beginning of bytes[0, size), or elsewhere and then stays valid until the
     * next wait; of what lies elsewhere, keep.c can keep nothing yet. At most one receive for each
     * descriptor in a turn, but for a run of several of one, which ends the turn and is no longer
     * than what it is taken from: one receive for each of those that have more than one receive
     * brings. `in_run` says that the run may go on. */
    enum sluice_operation (*next)(struct sluice_engine *engine, sluice_event *event,
                                  unsigned char *bytes, size_t size);

    /* Whether something is left over for the next turn, which the kernel need not tell of again. */
    bool (*has_left_over)(const struct sluice_engine *engine);

    /* Any thread: ends the wait that is under way, or else the next one. */
    int (*wake)(struct sluice_engine *engine);

    /* What sluice_backend_fd returns. */
    int (*backend_fd)(struct sluice_engine *engine);

    /* In the child of a fork: leaves alone what is shared with the parent. */
    int (*after_fork)(struct sluice_engine *engine);
};

/* The one that sluice_open takes. */
#ifndef SLUICE_ONE_FILE /* there its definition comes first */
SLUICE_INTERNAL extern const struct sluice_engine_operations sluice_readiness_engine;
#endif

#endif

/* engine.h - what the loop asks to do I/O: the contract of an engine.
 *
 * The line is drawn at the operation: accept, receive, send, connect, watch. An engine is told the
 * descriptors, which operations are wanted on each, and what to send. The loop then pulls
 * completions, one after the other. An engine may learn that a receive is possible, and do it when
 * the completion is pulled (engines/readiness.c). Or it may have handed the request to the kernel
 * before, and only pass on the result, as an engine over io_uring would. The loop cannot tell the
 * two apart.
 *
 * Descriptors are named by number and belong to the loop. Everything except `wake` is called on the
 * loop's thread. An engine never closes a descriptor that it was told of.
 */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include "base/platform.h"

#include <stddef.h>
#include <sys/uio.h>

#include "base/allocator.h"
#include "sluice.h"

/* What can be wanted on a descriptor, and what a completion is about. A completion is told in the
 * event that the loop may make of it: `id` as attached, and the members named here. If `error` is
 * named, it is 0 or a negative code. */
enum sluice_operation {
    SLUICE_OP_NONE = 0,     /* no completion */
    SLUICE_OP_WATCH = 1,    /* value: the flags that are ready */
    SLUICE_OP_ACCEPT = 2,   /* error, or value: a connection's number, which is the loop's from then
                             * on */
    SLUICE_OP_RECEIVE = 4,  /* data, length: what came; value is 0 */
    SLUICE_OP_SEND = 8,     /* error, or length: bytes sent since; the rest may go on */
    SLUICE_OP_CONNECT = 16, /* error */
    SLUICE_OP_HANGUP = 32,  /* error: the connection is broken, and no bytes are left to receive;
                             * value: 1 if the peer's end is left, which came before */
    SLUICE_OP_END = 64,     /* of what is received: error, or 0 if the peer has ended */
    SLUICE_OP_SIGNALS = 128 /* no id, and nothing else: see SLUICE_ROLE_SIGNALS */
};

/* What a descriptor is to the engine. */
enum sluice_role {
    SLUICE_ROLE_WATCH,   /* somebody else's: only its readiness is reported */
    SLUICE_ROLE_SIGNALS, /* the loop's own, for signals: likewise, by another operation */
    SLUICE_ROLE_LISTENER,
    SLUICE_ROLE_CONNECTING, /* a socket that is connecting, to become a stream */
    SLUICE_ROLE_SOCKET,     /* a connected TCP socket */
    SLUICE_ROLE_LOCAL,      /* a connected unix socket, where descriptors can be passed */
    SLUICE_ROLE_PACKETS,    /* a connected socket that gives one packet at a time */
    SLUICE_ROLE_PIPE,
    SLUICE_ROLE_OTHER /* a terminal, a file, or anything else */
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

    /* Begins to look after `fd`. Completions carry `id`. `detail` depends on the role. For a watch,
     * and for signals, it is the interest. For a listener it is how many accepts one turn may have
     * at most; none are wanted yet. For a stream it is what is wanted, as for `want`. A stream that
     * is attached with HANGUP wanted and not RECEIVE has no input at all. On failure nothing has
     * changed: SLUICE_EEXIST if the number is attached already. */
    int (*attach)(struct sluice_engine *engine, int fd, sluice_id id, enum sluice_role role,
                  uint32_t detail);

    /* Ends that. No completion for `fd` comes any more, not even one that was gathered already. */
    void (*detach)(struct sluice_engine *engine, int fd);

    /* Called if `fd` is attached although a new file has that number by now: it was closed behind
     * our back. Detaches it, and returns the id that it was attached with, or 0. */
    sluice_id (*evict)(struct sluice_engine *engine, int fd);

    /* Completions for `fd` carry this id from now on, even one that was gathered already. */
    void (*rename)(struct sluice_engine *engine, int fd, sluice_id id);

    /* Sets a watch's new interest, and arms it again. */
    int (*rewatch)(struct sluice_engine *engine, int fd, uint32_t interest);

    /* Says which of accept, receive, connect and hang-up are wanted from now on, until the next
     * call. A connect is wanted once, a hang-up is told once, and nothing is received any more
     * after an END. A receive reports a hang-up too, as an END. Not every engine can report a
     * hang-up by itself. On failure what was wanted is still wanted. */
    int (*want)(struct sluice_engine *engine, int fd, uint32_t operations);

    /* Tries once to send. Returns how many bytes went, or an error. SLUICE_EAGAIN says that none
     * can go now. -EINTR says nothing. If fewer bytes went than there are, and the rest must wait
     * for room, the loop calls `await_room`. A completion of SEND then says when to go on. */
    ptrdiff_t (*send_slices)(struct sluice_engine *engine, int fd, const struct iovec *iov,
                             int count);
    int (*await_room)(struct sluice_engine *engine, int fd);

    /* The same for one piece, to a connected socket for which no room is awaited. On an error it
     * returns -1 and sets errno, as send(2) does: nearly always all goes, and nothing more is
     * asked. */
    ptrdiff_t (*send)(struct sluice_engine *engine, int fd, const void *bytes, size_t length);

    /* The same for up to `length` bytes of a file, from `offset` on. Returns how many went.
     * *stopped is 0 if those are all of them, or all that the file has. Otherwise it says what kept
     * the rest: SLUICE_EAGAIN as above, or an error, which may be about the file. */
    size_t (*send_file)(struct sluice_engine *engine, int fd, int file, int64_t offset,
                        size_t length, int *stopped);

    /* Begins a turn: waits until there are completions, `wake` is called, or the time is up. Does
     * not wait while completions are left over. Returns 0, or an error with nothing lost, and then
     * the turn has no completions. */
    int (*wait)(struct sluice_engine *engine, int64_t timeout_ns);

    /* The turn's next completion, of the operation returned; NONE at the end of the turn. What was
     * received lies at the beginning of bytes[0, size). Or it lies elsewhere and then stays valid
     * until the next wait; keep.c cannot keep such bytes yet. Each descriptor has at most one
     * receive in a turn, except in a run. A run is several receives of one descriptor, and ends the
     * turn. It is no longer than one receive for each descriptor that has more than one receive
     * brings. `in_run` says that the run may go on. */
    enum sluice_operation (*next)(struct sluice_engine *engine, sluice_event *event,
                                  unsigned char *bytes, size_t size);

    /* Whether something is left over for the next turn that the kernel may not report again. */
    bool (*has_left_over)(const struct sluice_engine *engine);

    /* Any thread: ends the wait that is under way, or else the next one. */
    int (*wake)(struct sluice_engine *engine);

    /* What sluice_backend_fd returns. */
    int (*backend_fd)(struct sluice_engine *engine);

    /* For the child of a fork. Leaves alone what is shared with the parent. */
    int (*after_fork)(struct sluice_engine *engine);
};

/* The engine that sluice_open takes. */
#ifndef SLUICE_ONE_FILE /* there its definition comes first */
SLUICE_INTERNAL extern const struct sluice_engine_operations sluice_readiness_engine;
#endif

#endif

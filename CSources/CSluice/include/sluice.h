/* sluice.h - I/O multiplexing: which descriptors are ready, asked of select, poll or epoll.
 *
 * Read from the top: errors, readiness flags, the poller, select in one call, the byte queue,
 * sockets.
 *
 * Every call returns 0 or a count, or a negative code from `enum sluice_error`. A code that the
 * kernel gave is its errno, negated. Nothing is printed, nothing aborts, SIGPIPE is never raised,
 * EINTR never reaches the caller, and every descriptor that a call makes is close-on-exec.
 *
 * Sizes and lifetimes stand with each call. "O(n)" speaks of Sluice's own work, n the number of
 * descriptors registered, unless it says otherwise.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SLUICE_API __attribute__((visibility("default")))
#else
#define SLUICE_API
#endif

/* ---- Errors --------------------------------------------------------------------------------- */

/* The codes that Sluice itself gives. Any other negative code is an errno, negated. */
enum sluice_error {
    SLUICE_ENOMEM = -ENOMEM,   /* out of memory; nothing was changed */
    SLUICE_EBADF = -EBADF,     /* not an open descriptor */
    SLUICE_EEXIST = -EEXIST,   /* registered already: modify it, or remove it first */
    SLUICE_ENOENT = -ENOENT,   /* not registered: add it first */
    SLUICE_EAGAIN = -EAGAIN,   /* would block: wait until it is ready */
    SLUICE_ENOTSUP = -10001,   /* this backend cannot do that; see sluice_poller_features */
    SLUICE_EBACKEND = -10002,  /* no backend of that name */
    SLUICE_EINTEREST = -10003, /* an interest with bits that cannot be asked for */
    SLUICE_ETIMEOUT = -10004,  /* a negative timeout */
    SLUICE_ECAPACITY = -10005, /* a capacity or count that is too small */
    SLUICE_ENULL = -10006,     /* NULL where something is needed */
    SLUICE_EADDRESS = -10007,  /* a text that is no numeric address */
    SLUICE_EFULL = -10008      /* over the limit; nothing was taken */
};

/* The code's name, such as "SLUICE_ENOTSUP" or "ECONNREFUSED", or "OK" for a count.
 * A static string. Any thread. */
SLUICE_API const char *sluice_error_name(int code);

/* One sentence: what happened and, for Sluice's own codes, what to do about it.
 * A static string, never NULL. Any thread. */
SLUICE_API const char *sluice_error_message(int code);

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Where memory comes from, for those who want it from elsewhere than libc: realloc(3) with a
 * context, but that a `size` of 0 frees `block` and returns NULL. Blocks are aligned for any type.
 * NULL for a `size` above 0 says that memory ran out, and leaves `block` as it was. */
typedef void *sluice_reallocate(void *context, void *block, size_t size);

/* ---- Readiness ------------------------------------------------------------------------------ */

/* A timeout that never comes. Timeouts are nanoseconds; 0 looks and does not wait. */
#define SLUICE_FOREVER INT64_MAX

/* Interest: what to wait for. SLUICE_NONE keeps a registration and silences it. */
enum sluice_interest {
    SLUICE_NONE = 0,
    SLUICE_READ = 1,        /* a read would not block: bytes, end of file, an error, a caller */
    SLUICE_PRIORITY = 2,    /* out-of-band data: what select(2) calls exceptional */
    SLUICE_WRITE = 4,       /* a write would not block: room, or an error */
    SLUICE_EDGE = 0x100,    /* report a change of readiness, not the state (edge-triggered) */
    SLUICE_ONE_SHOT = 0x200 /* silence the registration after one event; modify arms it again */
};

/* What an event may say besides READ, PRIORITY and WRITE, and whether asked for or not. select(2)
 * cannot tell these and reports only the three above, which are the same on every backend. */
enum sluice_condition {
    SLUICE_ERROR = 8,           /* an error is pending (SO_ERROR), or a pipe's reader is gone */
    SLUICE_HANGUP = 16,         /* both directions are shut */
    SLUICE_READ_CLOSED = 0x2000 /* the peer will send no more (half-close) */
};

/* One descriptor that is ready. */
typedef struct sluice_ready {
    uint64_t user;       /* the registration's user word */
    int32_t fd;          /* the registered number */
    uint32_t generation; /* which registration of that number: see sluice_poller_is_current */
    uint32_t flags;      /* of enum sluice_interest and enum sluice_condition */
} sluice_ready;

/* ---- The poller ----------------------------------------------------------------------------- */

/* A set of registrations and the kernel call that waits on them. One thread at a time may use a
 * poller; only sluice_poller_wake may be called from any thread. The descriptors stay the
 * caller's: remove one before closing it. What each backend answers to what is written down in
 * docs/readiness.md. */
typedef struct sluice_poller sluice_poller;

enum sluice_feature {
    SLUICE_FEATURE_ONE_SHOT = 1,  /* SLUICE_ONE_SHOT: every backend has it */
    SLUICE_FEATURE_EDGE = 2,      /* SLUICE_EDGE: epoll has it */
    SLUICE_FEATURE_CONDITIONS = 4 /* ERROR, HANGUP and READ_CLOSED are told apart: not by select */
};

/* The name of the backend at `index`, from 0, best first; NULL past the last. A static string. */
SLUICE_API const char *sluice_backend_name(size_t index);

/* Makes a poller over the backend named, or, for NULL, over the one that SLUICE_BACKEND names in
 * the environment, or, where that is unset or empty, over the best there is. On success *poller is
 * the caller's, to end with sluice_poller_destroy; on failure it is NULL.
 * Errors: SLUICE_EBACKEND, SLUICE_ENULL, SLUICE_ENOMEM, -EMFILE, -ENFILE. */
SLUICE_API int sluice_poller_create(sluice_poller **poller, const char *backend);

/* Frees the poller and what it holds of the kernel, registrations or not. Their descriptors stay
 * open. NULL is let pass. O(1). */
SLUICE_API void sluice_poller_destroy(sluice_poller *poller);

/* Registers `fd`. `interest` is of enum sluice_interest; `user` comes back with each event.
 * One number can be registered once. O(1), and no allocation but when `fd` is the highest yet.
 * Errors: SLUICE_EBADF, SLUICE_EEXIST, SLUICE_EINTEREST, SLUICE_ENOTSUP (edge, where the backend
 * has none), SLUICE_ENULL, SLUICE_ENOMEM, -ENOSPC (fs.epoll.max_user_watches). */
SLUICE_API int sluice_poller_add(sluice_poller *poller, int fd, uint32_t interest, uint64_t user);

/* Replaces the interest and the user word of a registration, and arms it again after a one-shot
 * event. It speaks of the file that the number names now. O(1).
 * Errors: SLUICE_ENOENT, and those of sluice_poller_add but SLUICE_EEXIST. */
SLUICE_API int sluice_poller_modify(sluice_poller *poller, int fd, uint32_t interest,
                                    uint64_t user);

/* Ends a registration, whether its descriptor is still open or not: no later wait reports it.
 * O(1). Errors: SLUICE_ENOENT, SLUICE_ENULL. */
SLUICE_API int sluice_poller_remove(sluice_poller *poller, int fd);

/* Waits until a registration is ready, sluice_poller_wake is called or `timeout_ns` has passed,
 * and writes up to `capacity` events; a registration has at most one in a batch. Returns how many:
 * 0 when the time is up or on a wake. Where more are ready than fit, later waits bring the rest,
 * and none is starved. One system call (and one more after a wake on a level-triggered backend),
 * no allocation. A signal neither ends the wait nor prolongs it.
 * O(events) on epoll, O(n) on poll, O(highest fd) on select.
 * Errors: SLUICE_ECAPACITY (under 1), SLUICE_ETIMEOUT (negative), SLUICE_ENULL. */
SLUICE_API int sluice_poller_wait(sluice_poller *poller, sluice_ready *events, int capacity,
                                  int64_t timeout_ns);

/* 1 while the registration that `event` speaks of stands, 0 when it was removed since, also when
 * its number has been registered anew. For a batch in which one event's handling may end another's
 * registration. O(1). */
SLUICE_API int sluice_poller_is_current(const sluice_poller *poller, const sluice_ready *event);

/* Makes the wait that is under way return, or else the next one. Calls made before that wait
 * returns count as one. What the caller wrote before is visible to the thread that waited.
 * Any thread, and safe in a signal handler (errno is left alone), while the poller lives. */
SLUICE_API int sluice_poller_wake(sluice_poller *poller);

/* A set of enum sluice_feature; 0 for NULL. */
SLUICE_API uint32_t sluice_poller_features(const sluice_poller *poller);

/* The backend's name; NULL for NULL. A static string. */
SLUICE_API const char *sluice_poller_backend_name(const sluice_poller *poller);

/* ---- select in one call --------------------------------------------------------------------- */

/* One of select's three lists. What is asked and what is answered are kept apart, so the same list
 * can be given again; select(2) overwrites what it was asked. */
typedef struct sluice_fd_list {
    const int *fds;     /* the descriptors to look at, `count` of them */
    size_t count;       /*                                             */
    int *ready;         /* room for `count`: those that are ready, in the order of `fds` */
    size_t ready_count; /* how many those are */
} sluice_fd_list;

/* select(2) itself, with no limit on descriptor numbers. Any list may be NULL. Returns how many
 * entries are ready in all three together, 0 when the time is up. On an error no list is touched.
 * Any thread. O(count + highest fd); numbers above 1,023 cost an allocation.
 * Errors: SLUICE_EBADF, SLUICE_ETIMEOUT, SLUICE_ENULL (a list without its arrays), SLUICE_ENOMEM.
 * Source: select(2). */
SLUICE_API int sluice_select(sluice_fd_list *reading, sluice_fd_list *writing,
                             sluice_fd_list *excepting, int64_t timeout_ns);

/* ---- The byte queue ------------------------------------------------------------------------- */

/* Bytes in order, for what a program gathers, holds back or passes on: appended at the end, read
 * where they lie, taken from the beginning, and moved from queue to queue without a copy. They lie
 * in chunks of 4 KiB. One thread at a time may use a queue, and for a move both. Below, n is the
 * number of chunks that a call fills, shows or takes. */
typedef struct sluice_queue sluice_queue;

/* A piece of bytes. Laid out as struct iovec, so that an array of them can be cast for writev(2) or
 * sendmsg(2). */
typedef struct sluice_slice {
    const void *bytes;
    size_t length;
} sluice_slice;

/* The most bytes in one piece that can be asked of sluice_queue_reserve. */
#define SLUICE_QUEUE_RESERVE_MAX 4096

/* Makes an empty queue. `limit` is the most memory, in bytes, that its chunks may take, in whole
 * chunks and one at least; 0 sets no limit. A queue keeps up to 64 KiB of its chunks for reuse
 * within that limit, and has none before it is used. *queue is the caller's, to end with
 * sluice_queue_destroy; on failure it is NULL. Errors: SLUICE_ENULL, SLUICE_ENOMEM. */
SLUICE_API int sluice_queue_init(sluice_queue **queue, size_t limit);

/* Frees the queue and the bytes in it. NULL is let pass. O(n). */
SLUICE_API void sluice_queue_destroy(sluice_queue *queue);

/* Copies `length` bytes behind those in the queue, all or none. O(length), an allocation for each
 * chunk at most. `bytes` may be NULL where `length` is 0, and may lie in the same queue.
 * Errors: SLUICE_EFULL (the limit has no room for all of them: consume first), SLUICE_ENOMEM,
 * SLUICE_ENULL. */
SLUICE_API int sluice_queue_append(sluice_queue *queue, const void *bytes, size_t length);

/* Room behind the bytes in the queue, in one piece, for the caller to write into: `at_least` bytes,
 * 1 to SLUICE_QUEUE_RESERVE_MAX, or more. *room says how many, at *bytes. They are no part of the
 * queue until they are committed, and stay valid until the next call that changes the queue. On
 * failure *bytes is NULL and *room 0. O(1).
 * Errors: SLUICE_ECAPACITY, SLUICE_EFULL, SLUICE_ENOMEM, SLUICE_ENULL. */
SLUICE_API int sluice_queue_reserve(sluice_queue *queue, size_t at_least, void **bytes,
                                    size_t *room);

/* Appends the first `length` bytes of what was reserved, 0 to give it up. Ends the reservation.
 * O(1). Errors: SLUICE_ECAPACITY (more than was reserved, or another call has ended the
 * reservation; nothing is appended, and one that stands goes on), SLUICE_ENULL. */
SLUICE_API int sluice_queue_commit(sluice_queue *queue, size_t length);

/* Points up to `count` slices to the bytes of the queue, from the first on, and returns how many:
 * 0 for an empty queue, and never an empty slice. The bytes stay the queue's, and where they are
 * until they are consumed or moved, or the queue is destroyed. O(n), no allocation.
 * Errors: SLUICE_ECAPACITY (count under 1), SLUICE_ENULL. */
SLUICE_API int sluice_queue_peek(const sluice_queue *queue, sluice_slice *slices, int count);

/* Takes the first `length` bytes from the queue. O(n).
 * Errors: SLUICE_ECAPACITY (more than there are; none is taken), SLUICE_ENULL. */
SLUICE_API int sluice_queue_consume(sluice_queue *queue, size_t length);

/* Moves the first `most` bytes of `from`, or all where it has no more (SIZE_MAX: all), behind those
 * of `to`, and returns how many; a queue moved to itself stays as it is, for 0. Whole chunks change
 * hands; copied are at most the bytes of a part of one chunk, and those of one that fit behind the
 * last byte of `to`. Everything in O(1), a part in O(n). The limit of `to` holds for what it gets,
 * and a chunk counts whole.
 * Errors, and nothing has moved: SLUICE_EFULL, SLUICE_ENOMEM (a part of a chunk), SLUICE_ENULL. */
SLUICE_API ptrdiff_t sluice_queue_move(sluice_queue *to, sluice_queue *from, size_t most);

/* How many bytes are in the queue; 0 for NULL. O(1). */
SLUICE_API size_t sluice_queue_length(const sluice_queue *queue);

/* ---- Sockets -------------------------------------------------------------------------------- */

/* Enough for any address as text, its terminator included. */
#define SLUICE_ADDRESS_MAX 160

/* Non-blocking stream sockets by textual address: "127.0.0.1:9999", "[::1]:9999",
 * "[fe80::1%eth0]:9999", "unix:/run/echo.sock", "unix:@abstract". Names are not resolved. Port 0
 * lets the kernel choose. A socket that these return is the caller's to close. Any thread. */

/* A listening socket, with SO_REUSEADDR and, over TCP, TCP_NODELAY, which its connections inherit.
 * `backlog` is at least 1. Errors: SLUICE_EADDRESS, SLUICE_ECAPACITY, and those of bind(2). */
SLUICE_API int sluice_socket_listen(const char *address, int backlog);

/* A socket that is connecting or connected. Wait for SLUICE_WRITE, then ask sluice_socket_error.
 * Errors: SLUICE_EADDRESS, and those of connect(2) that show at once. */
SLUICE_API int sluice_socket_connect(const char *address);

/* The next pending connection. A caller that gave up in the queue is passed over.
 * Errors: SLUICE_EAGAIN (none is pending), -EMFILE and others of accept(2). */
SLUICE_API int sluice_socket_accept(int fd);

/* How a connect ended, or what a SLUICE_ERROR is about: 0, or the negated error, which is thereby
 * cleared. Source: SO_ERROR, socket(7). */
SLUICE_API int sluice_socket_error(int fd);

/* Up to `length` bytes into `bytes`: how many, 0 at the end of the stream. Any descriptor will do.
 * Errors: SLUICE_EAGAIN (none there yet), SLUICE_ECAPACITY (length 0), those of read(2). */
SLUICE_API ptrdiff_t sluice_socket_receive(int fd, void *bytes, size_t length);

/* As many of the `length` bytes as fit: how many. Errors: SLUICE_EAGAIN (none fits: wait for
 * SLUICE_WRITE), -EPIPE or -ECONNRESET (the peer is gone), others of send(2). */
SLUICE_API ptrdiff_t sluice_socket_send(int fd, const void *bytes, size_t length);

/* Says to the peer that no more will be sent (half-close); receiving goes on. Source: shutdown(2).
 */
SLUICE_API int sluice_socket_finish_sending(int fd);

/* This end's or the other end's address into `text`; SLUICE_ADDRESS_MAX is always enough. An
 * unnamed unix socket is "unix:". Returns the text's length.
 * Errors: SLUICE_ECAPACITY, -ENOTCONN, -ENOTSOCK. */
SLUICE_API int sluice_socket_local_address(int fd, char *text, size_t capacity);
SLUICE_API int sluice_socket_peer_address(int fd, char *text, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif

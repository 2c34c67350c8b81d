/* sluice.h - I/O multiplexing over select, poll or epoll.
 *
 * Read it from the top: errors, memory, the loop with its handles, timers, listeners and streams.
 * Below it are parts that can be used by themselves: readiness, the poller, select in one call, the
 * byte queue, sockets.
 *
 * Every call returns 0 or a count, or a negative code from `enum sluice_error`. A code that the
 * kernel gave is its errno, negated. Nothing is printed, except the trace that sluice_open can be
 * asked for. Nothing aborts, and SIGPIPE is never raised. EINTR is returned only if it was asked
 * for. Every descriptor that a call makes is close-on-exec.
 *
 * No macro is needed. If a macro stands for a value, its comment gives the value. No function is
 * inline.
 *
 * Each call says its sizes and lifetimes. "O(n)" is Sluice's own work. n is the number of
 * registered descriptors, unless the call says otherwise. */
#ifndef SLUICE_H
#define SLUICE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(SLUICE_API)
/* Define it when you build Sluice into a library of your own that should export less. */
#elif defined(__GNUC__)
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
    SLUICE_EINTR = -EINTR,     /* a signal ended the wait, as SLUICE_INTERRUPTIBLE asks */
    SLUICE_ENOTSUP = -10001,   /* this backend cannot do that; see sluice_poller_features */
    SLUICE_EBACKEND = -10002,  /* no backend of that name */
    SLUICE_EINTEREST = -10003, /* an interest with bits that cannot be asked for */
    SLUICE_ETIMEOUT = -10004,  /* a negative timeout */
    SLUICE_ECAPACITY = -10005, /* a capacity or count that is too small */
    SLUICE_ENULL = -10006,     /* NULL where something is needed */
    SLUICE_EADDRESS = -10007,  /* the text is not an address */
    SLUICE_EFULL = -10008,     /* over the limit; nothing was taken */
    SLUICE_ESTALE = -10009,    /* the handle has ended */
    SLUICE_EKIND = -10010,     /* the handle is of another kind */
    SLUICE_ETHREAD = -10011,   /* called from a thread that is not the loop's */
    SLUICE_ESTATE = -10012,    /* not now: see the call */
    SLUICE_EOPTION = -10013,   /* an option out of its range */
    SLUICE_ENAME = -10014,     /* a host name could not be looked up */
    SLUICE_ELISTENS = -10015,  /* a listening socket cannot be a stream */
    SLUICE_ENOLISTEN = -10016, /* a socket that does not listen */
    SLUICE_EPORT = -10020,     /* the port is missing, or is not a port */
    SLUICE_EPATH = -10021,     /* a unix path that is empty or too long */
    SLUICE_ESCOPE = -10022,    /* the interface of an IPv6 address does not exist */
    SLUICE_ENUMERIC = -10023   /* a connect to *, or a host name where only a number is taken */
};

/* The code's name, such as "SLUICE_ENOTSUP" or "ECONNREFUSED", or "OK" for a count.
 * A static string. Any thread. */
SLUICE_API const char *sluice_error_name(int code);

/* One sentence: what happened and, for Sluice's own codes, what to do about it.
 * A static string, never NULL. Any thread. */
SLUICE_API const char *sluice_error_message(int code);

/* The nearest errno, for languages whose exceptions carry an errno. 0 for a count. If the kernel
 * gave the code, it is that errno. Sluice's own codes become:
 *
 *     EINVAL    EBACKEND, EINTEREST, ETIMEOUT, EADDRESS, EKIND, EOPTION, ENOLISTEN, EPORT, EPATH,
 *               ENUMERIC
 *     ENOTSUP   ENOTSUP                  ESTALE    ESTALE
 *     EFAULT    ENULL                    ERANGE    ECAPACITY, as getcwd(3) says it
 *     ENOBUFS   EFULL                    EPERM     ETHREAD, as pthread_mutex_unlock(3) says it
 *     EBADFD    ESTATE                   ENXIO     ENAME
 *     ENODEV    ESCOPE                   ENOTCONN  ELISTENS
 *     EIO       an unknown code
 *
 * Any thread. */
SLUICE_API int sluice_error_errno(int code);

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Where memory comes from, if not from libc. It works like realloc(3) with a context, except that a
 * `size` of 0 frees `block` and returns NULL. Blocks are aligned for any type. NULL for a `size`
 * above 0 says that memory ran out, and leaves `block` as it was. A loop calls it only in its own
 * thread. What other threads post is kept in memory from libc. */
typedef void *sluice_reallocate(void *context, void *block, size_t size);

/* ---- The loop ------------------------------------------------------------------------------- */

/* A loop looks after handles (watches, timers, signals, listeners, streams, names to look up) and
 * is pulled: the caller asks for the next event, deals with it, and asks again.
 *
 *     while (sluice_next(loop, &event, SLUICE_FOREVER) >= 0)
 *         if (event.kind == SLUICE_DATA)
 *             sluice_write(loop, event.id, event.data, event.length);
 *
 * There are no callbacks. Anything may be closed at any time. A loop belongs to the thread that
 * opened it. Only sluice_post and sluice_wake may be called from another thread. There, any other
 * call is refused with SLUICE_ETHREAD. NULL for a loop is refused with SLUICE_ENULL. */
typedef struct sluice_loop sluice_loop;

/* The name of a handle: its slot and generation. 0 is never an id. An id whose handle has ended is
 * recognised, however often the slot was used since: a call on it returns SLUICE_ESTALE. A call on
 * the wrong kind of handle returns SLUICE_EKIND. Every call that takes an id is O(1) and may return
 * either code.
 *
 * The lowest SLUICE_SLOT_BITS bits are the slot: a small number that no other living handle of the
 * same kind has. Use it as an index into a table of your own. The next four bits are the kind. */
typedef uint64_t sluice_id;

enum sluice_id_layout { SLUICE_SLOT_BITS = 28 };

enum sluice_kind {
    SLUICE_KIND_WATCH = 1,
    SLUICE_KIND_TIMER,
    SLUICE_KIND_SIGNAL,
    SLUICE_KIND_LISTENER,
    SLUICE_KIND_STREAM,
    SLUICE_KIND_RESOLVE,
    SLUICE_KINDS /* one more than the last */
};

enum sluice_event_kind {
    SLUICE_READY = 1,  /* a watched descriptor is ready: value has the flags */
    SLUICE_TIMER,      /* a timer's time has come */
    SLUICE_SIGNAL,     /* a signal came: value is its number */
    SLUICE_POSTED,     /* value is the word that was posted; id is 0 */
    SLUICE_ACCEPTED,   /* id is the new stream, value the listener's id */
    SLUICE_CONNECTED,  /* a connect is done; one that failed is a CLOSED instead */
    SLUICE_DATA,       /* data, length: what the stream received */
    SLUICE_EOF,        /* the peer will send no more */
    SLUICE_DRAINED,    /* a stream's queue was over its high mark, and has fallen to its low mark;
                        * or a file can go on: see sluice_send_file */
    SLUICE_CLOSED,     /* a stream's last event: error says why, length how much was not sent, value
                        * whether the peer had ended. Also the last event of a listener after
                        * sluice_shutdown */
    SLUICE_OVERLOADED, /* a listener had to stop accepting; it resumes by itself; error says why */
    SLUICE_RESOLVED,   /* data, length: a name's addresses; or error, and in words why */
    SLUICE_EVENT_KINDS /* one more than the last */
};

typedef struct sluice_event {
    uint32_t kind;    /* enum sluice_event_kind */
    int32_t error;    /* CLOSED, OVERLOADED, RESOLVED: a negative code; 0 for an orderly end */
    sluice_id id;     /* whose event it is */
    uint64_t user;    /* the handle's user word */
    const void *data; /* DATA, RESOLVED: the bytes, valid until the next pull on this loop */
    size_t length;    /* of data; CLOSED: how many queued bytes the kernel did not take */
    uint64_t value;   /* depends on the kind */
} sluice_event;

/* The lowest bit of a DATA event's value. It says that the bytes were held, or that more of them
 * were waited for, when the input ended. They come once more, and only EOF or CLOSED follows. So a
 * parser can tell a last line without its newline from a line whose rest is on its way. Its value
 * is 1, for languages without macros. The bits above it, value >> 1, say how many of the first
 * bytes were in an earlier event already. A search can skip those. */
#define SLUICE_LAST 1

/* The value of a stream's CLOSED if the peer had ended its sending side before. Then all that it
 * wanted to send has come, whatever the error says. If it had not, the value of CLOSED is 0, and
 * what came may be only a part. sluice_forward gives no EOF, so its caller learns of the end here.
 * The constant's value is 1. */
#define SLUICE_INPUT_ENDED 1

/* The options of a loop. Begin with zeros and `size = sizeof(sluice_options)`: 0 or NULL means a
 * member's default, which stands behind the semicolon. */
typedef struct sluice_options {
    size_t size;
    const char *backend;           /* as sluice_poller_create takes it */
    sluice_reallocate *reallocate; /* where memory comes from; libc */
    void *allocation_context;
    size_t receive_size;   /* the most bytes that one receive brings; 64 KiB */
    size_t high_mark;      /* with more queued bytes than this, wait for DRAINED; 1 MiB */
    size_t low_mark;       /* queued bytes at which DRAINED comes; a quarter of the high mark */
    size_t hard_limit;     /* the most queued bytes: a write that exceeds it is refused; 64 MiB */
    size_t memory_limit;   /* the most bytes of all queues, held and kept data together; none */
    size_t post_limit;     /* the most posts that wait to be pulled; 1,048,576 */
    uint32_t handle_limit; /* the most handles of each kind; 16,777,216 */
    uint32_t flags;        /* enum sluice_poller_flag: SLUICE_INTERRUPTIBLE */
} sluice_options;

/* Opens a loop. *loop is the caller's: end it with sluice_destroy. On failure *loop is NULL. With
 * SLUICE_TRACE=events in the environment, the loop writes a line to standard error for each event
 * that is pulled. That is for a person who looks for a lost event.
 * Errors: SLUICE_EBACKEND, SLUICE_EOPTION (the marks are not in order), SLUICE_ENOMEM, -EMFILE. */
SLUICE_API int sluice_open(sluice_loop **loop, const sluice_options *options);

/* Ends all handles without an event and frees the loop. What streams have queued is offered to the
 * kernel once more, without waiting. The descriptors of streams and listeners are closed. The
 * descriptors of watches stay the caller's. Bytes that are kept (sluice_keep) are freed. NULL is
 * allowed. With SLUICE_ETHREAD nothing has changed. */
SLUICE_API int sluice_destroy(sluice_loop *loop);

/* Pulls the next event. Returns 1 with an event; 0 when `timeout_ns` has passed without one, or
 * sluice_wake was called (event->kind is 0 then); or a negative code. What was written while the
 * last event was handled is sent first. One stream's data, however much, does not keep others,
 * timers or posts waiting. Errors: SLUICE_ETIMEOUT (negative), SLUICE_ENOMEM, others that a wait
 * gives. The loop goes on after any of them. */
SLUICE_API int sluice_next(sluice_loop *loop, sluice_event *event, int64_t timeout_ns);

/* Pulls as many events as there are, up to `capacity`, and waits only for the first. It is for
 * languages in which a call is expensive. It stops after an EOF, and after DATA with SLUICE_LAST.
 * The data of each event is valid until the next pull. Returns how many events it pulled. */
SLUICE_API int sluice_next_many(sluice_loop *loop, sluice_event *events, int capacity,
                                int64_t timeout_ns);

/* Delivers `value` as a POSTED event, once, in order for each posting thread, and wakes the loop.
 * Any thread while the loop lives: sluice_destroy must not begin before each call has returned. Do
 * not call it in a signal handler: the handler may have interrupted a post, and would wait for that
 * post for ever. There, set a flag and call sluice_wake. A post that waits takes 8 bytes of libc's
 * memory, whatever allocator the loop has.
 * O(1), amortised. Errors: SLUICE_EFULL (post_limit), SLUICE_ENOMEM. */
SLUICE_API int sluice_post(sluice_loop *loop, uint64_t value);

/* Makes the pull that is under way, or else the next one, return 0 without an event and without
 * waiting any longer. Events that are already there are pulled first. So look after each pull for
 * what the wake was about. Several wakes count as one until a pull has returned 0. The loop's
 * thread then sees what the caller has written to memory before.
 * Any thread while the loop lives, and safe in a signal handler: two atomic exchanges, and write(2)
 * at most; errno is left alone. In the child of a fork, call sluice_after_fork first. O(1). */
SLUICE_API int sluice_wake(sluice_loop *loop);

/* CLOCK_MONOTONIC in nanoseconds, as it was at the last wait. Timers count from it. Errors:
 * SLUICE_ENULL, SLUICE_ETHREAD. */
SLUICE_API int64_t sluice_now(const sluice_loop *loop);

/* Reads the clock again and returns it, for a timer that should count from this moment and not from
 * the last wait. One system call at most. Errors: SLUICE_ENULL, SLUICE_ETHREAD. */
SLUICE_API int64_t sluice_update_now(sluice_loop *loop);

/* Makes the calling thread the loop's thread. The thread that the loop belonged to must have ended,
 * or must not use the loop any more. The caller makes sure of that, by a join or a lock. The bytes
 * of an event stay valid. Signals that are handles are blocked in this thread, and stay blocked in
 * the previous one. */
SLUICE_API int sluice_take_over(sluice_loop *loop);

/* These two are for embedding the loop in another loop. sluice_backend_fd returns a descriptor that
 * is readable when there are events to pull with a timeout of 0. If it has not become readable
 * after sluice_until_next nanoseconds, pull then: there may be an event, too. The descriptor stays
 * the loop's.
 * Errors: SLUICE_ENOTSUP (only epoll has one). */
SLUICE_API int sluice_backend_fd(sluice_loop *loop);
SLUICE_API int64_t sluice_until_next(sluice_loop *loop);

/* Call it in the child after fork(2), before anything else on the loop, in the thread that forked.
 * Parent and child then each have a loop. The descriptors of streams, listeners and watches are
 * shared, as fork leaves them; signals are not: see sluice_signal. The parent sends what streams
 * have queued; the child drops it. An abort in the child resets no connection that the parent has
 * too.
 * Errors: SLUICE_ENOMEM, -EMFILE, -ENFILE, -ENOSPC; SLUICE_EAGAIN, SLUICE_EFULL (names are to be
 * looked up, and no thread could be started, or too many names wait). After an error the loop may
 * still be the parent's: call this again, or do not use the loop. */
SLUICE_API int sluice_after_fork(sluice_loop *loop);

/* Counted since the loop was opened, except where it says "now". */
typedef struct sluice_statistics {
    size_t size;                         /* set by the caller: sizeof(sluice_statistics) */
    uint64_t turns;                      /* waits */
    uint64_t events[16];                 /* pulled, by enum sluice_event_kind */
    uint64_t handles[8];                 /* now, by enum sluice_kind */
    uint64_t bytes_received, bytes_sent; /* by streams */
    uint64_t receives, sends, accepts;   /* system calls */
    uint64_t queue_memory;               /* bytes of chunks in use now, and of held and kept data */
    int64_t longest_gap_ns;              /* the longest time from one wait to the next */
} sluice_statistics;

SLUICE_API int sluice_stats(const sluice_loop *loop, sluice_statistics *stats);

/* ---- Handles -------------------------------------------------------------------------------- */

/* A stream sends what is queued and tells the peer. It then drops what still comes, until the peer
 * ends too or the linger time is over, and gives CLOSED. A handle of any other kind ends at once
 * and gives no further event, not even one that was gathered already. The descriptor of a watch
 * stays the caller's. Errors: SLUICE_ENOMEM, with nothing changed. */
SLUICE_API int sluice_close(sluice_loop *loop, sluice_id id);

/* Ends a stream at once. CLOSED comes in the next turn, with the error -ECONNABORTED, and says how
 * much was not sent. A handle of any other kind ends as by sluice_close.
 *
 * Over TCP the peer sees a reset if
 * - bytes were queued here,
 * - the kernel had bytes that the peer had not acknowledged, or that nobody here had read,
 * - or a stream that was forwarded to this one has ended with an error.
 * Otherwise the peer sees an orderly end. Over a unix socket it sees a reset only if bytes were
 * unread. */
SLUICE_API int sluice_abort(sluice_loop *loop, sluice_id id);

/* Like sluice_abort, except that CLOSED has the error `error`, a negative code that the caller
 * chooses: an errno negated, or one of Sluice's, such as SLUICE_EFULL for a message that is too
 * long. Over TCP the peer always sees a reset (RFC 9293, 3.10.5), unless the error is
 * -ECONNABORTED: something has failed, so what the peer has must not look complete. Errors:
 * SLUICE_EOPTION (not negative), with nothing changed. */
SLUICE_API int sluice_abort_with(sluice_loop *loop, sluice_id id, int error);

/* The user word comes with each event. At first it is the word that the handle was made with. A new
 * connection has its listener's. Any other handle has 0. */
SLUICE_API int sluice_user(const sluice_loop *loop, sluice_id id, uint64_t *user);
SLUICE_API int sluice_set_user(sluice_loop *loop, sluice_id id, uint64_t user);

/* The descriptor of a watch, listener or stream. It stays the loop's; the descriptor of a watch
 * stays the caller's. Errors: SLUICE_ESTATE (a stream that connects by name has none yet, and one
 * whose connect has failed has none any more), SLUICE_EBADF (another file has the number by
 * now). */
SLUICE_API int sluice_fd(const sluice_loop *loop, sluice_id id);

/* enum sluice_kind. */
SLUICE_API int sluice_kind_of(const sluice_loop *loop, sluice_id id);

/* ---- Watches, timers, signals --------------------------------------------------------------- */

/* In the calls that make a watch, a timer or a signal, `id` may be NULL, since each event carries
 * its handle's id. A call that fails leaves *id unchanged. `user` is the handle's user word. */

/* Reports READY for any descriptor. The descriptor stays the caller's: close the watch before it.
 * `interest` is as for a poller. O(1), amortised. Errors: those of sluice_poller_add,
 * SLUICE_EFULL. */
SLUICE_API int sluice_watch(sluice_loop *loop, sluice_id *id, int fd, uint32_t interest,
                            uint64_t user);
SLUICE_API int sluice_rewatch(sluice_loop *loop, sluice_id id, uint32_t interest);

/* Reports TIMER once after `first_ns` and, if `repeat_ns` is not 0, every repeat_ns after that.
 * Periods that were missed are left out. Timers never fire early, and fire in order of deadline.
 * Both times count from sluice_now. A one-shot timer ends with its event. O(1), amortised. Errors:
 * SLUICE_ETIMEOUT (negative), SLUICE_ENOMEM, SLUICE_EFULL. */
SLUICE_API int sluice_timer(sluice_loop *loop, sluice_id *id, int64_t first_ns, int64_t repeat_ns,
                            uint64_t user);

/* Starts the timer again: the next TIMER comes `first_ns` after sluice_now. O(1): it is made for
 * idle timeouts, which every byte resets. */
SLUICE_API int sluice_timer_reset(sluice_loop *loop, sluice_id id, int64_t first_ns);

/* Reports SIGNAL each time that `signo` comes. Standard signals may coalesce in the kernel. The
 * signal is blocked in the loop's thread while the handle lives. Block it in other threads before
 * they start. Only one loop of a process may have a signal.
 *
 * After fork(2) and sluice_after_fork the child has the same handles, and parent and child each
 * report the signals that are sent to them. A signal that is pending for the parent at the fork
 * stays the parent's. A signal to the whole process group, such as Ctrl-C, comes to both. A child
 * that uses the loop without sluice_after_fork changes the parent's signals.
 * A blocked signal stays blocked in a program that is executed: close the handle, or unblock the
 * signal, between fork(2) and execve(2).
 *
 * O(1). Errors: -EINVAL (no such signal, or one that cannot be caught), SLUICE_EEXIST (this loop
 * has it), SLUICE_ENOMEM, SLUICE_EFULL, -EMFILE. Source: signalfd(2), signal(7). */
SLUICE_API int sluice_signal(sluice_loop *loop, sluice_id *id, int signo);

/* ---- Network -------------------------------------------------------------------------------- */

enum sluice_stream_flag {
    SLUICE_HALF_OPEN = 1,   /* do not close by itself when the peer has ended */
    SLUICE_DELAY = 2,       /* leave Nagle's algorithm on: TCP_NODELAY is set otherwise */
    SLUICE_KEEPALIVE = 4,   /* SO_KEEPALIVE */
    SLUICE_THROTTLED = 8,   /* do not read while over the high mark: the default of accepted
                             * streams */
    SLUICE_UNTHROTTLED = 16 /* read all the same: the default of connected and adopted streams,
                             * since two ends that both wait for room would wait for ever */
};

/* How streams behave. Begin with zeros and `size = sizeof(sluice_stream_options)`. */
typedef struct sluice_stream_options {
    size_t size;
    uint32_t flags;             /* enum sluice_stream_flag */
    uint32_t keepalive_seconds; /* idle seconds before the first probe; the system's */
    int64_t idle_timeout_ns;    /* ends with -ETIMEDOUT after this time without a byte in or out,
                                 * while the loop reads; never */
    int64_t linger_ns;          /* how long a close may take after the last byte went; 10 s */
    int64_t connect_timeout_ns; /* sluice_connect only: ends with -ETIMEDOUT; never */
    size_t high_mark;           /* as in sluice_options, for these streams; the loop's */
    size_t low_mark;            /* a quarter of this high mark, or the loop's if that is 0 */
    const char *source;         /* sluice_connect only: the address to connect from, numeric or
                                 * unix:@name. Port 0 is any port. Copied. For a name, addresses of
                                 * another family are passed over; the kernel chooses */
} sluice_stream_options;

enum sluice_listen_flag {
    SLUICE_REUSE_PORT = 1, /* several loops accept at one address */
    SLUICE_ONLY_IPV6 = 2   /* an IPv6 socket takes no IPv4 callers, and "*" takes none either */
};

/* How a listener behaves, and its streams. Begin with zeros and
 * `size = sizeof(sluice_listen_options)`. */
typedef struct sluice_listen_options {
    size_t size;
    uint32_t flags;                       /* enum sluice_listen_flag */
    uint32_t backlog;                     /* 1,024 */
    uint32_t accept_batch;                /* connections accepted in one turn: rounded down to a
                                           * power of two, at most 32,768; 64 */
    uint32_t connection_limit;            /* connections open at once, at which accepting stops;
                                           * none */
    const sluice_stream_options *streams; /* copied */
    uint32_t unix_mode; /* who may connect at a unix path: 1 to 0777, whatever the umask; as the
                         * umask says */
} sluice_listen_options;

/* Listens at an address, in each form that sluice_socket_listen takes. That may be a name
 * ("localhost:9999") or every address ("*:9999"). A name is looked up, which may block for seconds:
 * do that before the loop has work. At a unix path, the file of a socket at which nobody listens is
 * replaced, and the new file is removed when the listener ends. Connections come as ACCEPTED. O(1),
 * amortised. Errors: those of sluice_socket_listen, SLUICE_EOPTION, SLUICE_ENOMEM, SLUICE_EFULL. */
SLUICE_API int sluice_listen(sluice_loop *loop, sluice_id *id, const char *address,
                             const sluice_listen_options *options);

/* Makes a listener of a stream socket that listens already: one of LISTEN_FDS (socket activation),
 * or one that another version of the server hands over. The socket belongs to the loop from then
 * on, and is closed with the listener. It is made close-on-exec and non-blocking, and stays
 * non-blocking afterwards. Other processes that share it must leave it non-blocking. The file of a
 * unix socket is not removed. `options` are as for sluice_listen, except that `flags`, `backlog`
 * and `unix_mode` have no effect. On failure the socket stays the caller's, as it was. O(1),
 * amortised. Errors: SLUICE_ENOLISTEN, -ENOTSOCK, -ESOCKTNOSUPPORT (it gives packets),
 * SLUICE_EBADF, SLUICE_EEXIST (this loop has that number), SLUICE_EOPTION, SLUICE_ENOMEM,
 * SLUICE_EFULL. Source: sd_listen_fds(3). */
SLUICE_API int sluice_listen_fd(sluice_loop *loop, sluice_id *id, int fd,
                                const sluice_listen_options *options);

/* Connects to an address, or to a name such as "example.com:443". Never blocks. CONNECTED or CLOSED
 * tells how it went. Writes are queued until then.
 *
 * What connect(2) says is never an error of this call. It is always CLOSED's error, even if it
 * shows at once: -ECONNREFUSED or -ENOENT (nobody is at a unix socket), SLUICE_EAGAIN (its
 * listener's queue is full: try again later), -ENETUNREACH, -EADDRNOTAVAIL (no port is left). If no
 * descriptor is left, CLOSED says that too: -EMFILE or -ENFILE. Such a CLOSED comes in the next
 * turn.
 *
 * A name is looked up as by sluice_resolve. Its addresses are tried as RFC 8305 says: the families
 * take turns, and the next attempt begins after 250 ms, or as soon as one fails. The first that
 * connects is the stream, and the others are closed. At most 64 addresses are tried, with at most 8
 * attempts in flight: before a ninth begins, the oldest is given up. Until CONNECTED the stream has
 * no descriptor: sluice_fd says SLUICE_ESTATE. connect_timeout_ns is the limit for all of this
 * together, including the lookup.
 *
 * CLOSED has the error of the last attempt that failed, or SLUICE_ENAME if no address was found.
 * Then sluice_name_problem says more.
 *
 * Errors: those of an address (see sluice_address_problem); SLUICE_ENUMERIC ("*"); SLUICE_EOPTION;
 * those of bind(2) for the options' source, such as -EADDRNOTAVAIL and -EADDRINUSE (if the address
 * is a name, CLOSED has them); others of socket(2), such as -EAFNOSUPPORT; SLUICE_EAGAIN (no thread
 * could be started for a name: try again later); SLUICE_ENOMEM; SLUICE_EFULL (too many handles, or
 * 1,024 names of the process wait to be looked up). */
SLUICE_API int sluice_connect(sluice_loop *loop, sluice_id *id, const char *address,
                              const sluice_stream_options *options);

/* What getaddrinfo(3) said of the name of a stream that has ended with SLUICE_ENAME, such as "Name
 * or service not known": a static string. It is there before CLOSED is pulled, and after that until
 * the CLOSED of another name is pulled. NULL if there is nothing to say, or in another thread.
 * O(1). */
SLUICE_API const char *sluice_name_problem(const sluice_loop *loop, sluice_id id);

/* Which addresses of a name are asked for. */
enum sluice_family { SLUICE_ANY_FAMILY = 0, SLUICE_IPV4 = 4, SLUICE_IPV6 = 6 };

/* Looks up a name, such as "example.com:443", by getaddrinfo(3). Never blocks. `family` is of enum
 * sluice_family, `user` the handle's user word, and `id` may be NULL.
 *
 * RESOLVED tells the answer, and ends the handle. Its data are the addresses as text, one in each
 * line, as sluice_connect takes them, in the order in which sluice_connect would try them; at most
 * 64. A 0 byte follows the `length` bytes. If there is no address, `error` is SLUICE_ENAME, and
 * data says why in getaddrinfo's words. With SLUICE_ENOMEM data may be NULL. An address that is
 * numeric, or a unix socket's, is its own answer, in the next turn. sluice_close gives up the
 * lookup.
 *
 * One thread of the process asks for one name after the other. It is there only while names are
 * looked up, and all signals are blocked in it. A slow name keeps later ones waiting. A library
 * that contains Sluice must not be unloaded (dlclose) while a name is looked up, or just after it.
 * In the child of a fork, sluice_after_fork asks again for the names that had no answer.
 *
 * O(1). Errors: those of an address (see sluice_address_problem); SLUICE_ENUMERIC ("*");
 * -EAFNOSUPPORT (no such family, or an address of another family); SLUICE_EAGAIN (no thread could
 * be started); SLUICE_ENOMEM; SLUICE_EFULL (too many handles, or 1,024 names of the process
 * wait). */
SLUICE_API int sluice_resolve(sluice_loop *loop, sluice_id *id, const char *address,
                              uint32_t family, uint64_t user);

/* Makes a stream of a descriptor: a connected socket, a pipe, a terminal, a file, or anything else
 * that can be read from or written to. The descriptor belongs to the loop from then on, and is made
 * non-blocking. For a pipe, a terminal and a file this is undone when the stream ends, since others
 * may share it. On failure the descriptor stays the caller's, as it was. Every byte arrives, and
 * then the end. The boundaries of packets are lost: if they matter, watch the descriptor instead. A
 * regular file is always ready. A descriptor that is write-only has no input. One that is read-only
 * refuses writes with -EPIPE. Errors: SLUICE_ELISTENS (a listening socket), -ENOTCONN (a socket
 * without a connection), -EISDIR, SLUICE_EBADF (also O_PATH), SLUICE_EEXIST (watched, or adopted
 * already), SLUICE_EOPTION, SLUICE_EFULL (handle_limit), SLUICE_ENOMEM. */
SLUICE_API int sluice_adopt(sluice_loop *loop, sluice_id *id, int fd,
                            const sluice_stream_options *options);

/* Like sluice_socket_local_address and sluice_socket_peer_address. */
SLUICE_API int sluice_local_address(const sluice_loop *loop, sluice_id id, char *text,
                                    size_t capacity);
SLUICE_API int sluice_peer_address(const sluice_loop *loop, sluice_id id, char *text,
                                   size_t capacity);

/* ---- Streams -------------------------------------------------------------------------------- */

/* A stream has two directions, and they fail apart. If a send fails, what the peer had sent before
 * still comes as DATA, and then CLOSED says the error of the send. No call of this group ends a
 * stream. A call that finds it broken says so by its code, and CLOSED comes with a later pull. */

/* Queues the bytes, all or none. They are sent when the next event is pulled, together with all
 * else that was written during this event. A write of 8 KiB or more is offered to the kernel at
 * once, and only the rest is copied. Returns 0, or 1 if the stream is over its high mark now: wait
 * for DRAINED before you write more.
 * O(length). Errors, with nothing taken: SLUICE_EFULL (over hard_limit or memory_limit), -EPIPE
 * (after a shutdown, a close or a failed send), SLUICE_ENOMEM, those of send(2). */
SLUICE_API int sluice_write(sluice_loop *loop, sluice_id id, const void *bytes, size_t length);

/* Like sluice_write, for several pieces: all of them or none. struct sluice_slice is declared with
 * sluice_queue_peek. */
typedef struct sluice_slice sluice_slice;
SLUICE_API int sluice_writev(sluice_loop *loop, sluice_id id, const sluice_slice *slices,
                             int count);

/* Makes the kernel send `length` bytes of the file `fd`, from `offset` on. They are not copied into
 * this process. All that was written before goes first. Returns how many bytes went, which may be
 * any number up to `length`. That is as many as the socket has room for, and no more than the high
 * mark in one call, so that a large file keeps no other stream waiting. It is 0 if there is no
 * room, if the stream is still connecting, or if what was written before does not go out at once.
 *
 * If it is less than `length`, DRAINED comes: call again then with the rest. DRAINED comes when
 * nothing is queued and the kernel says that there is room, or, if the high mark was reached, in
 * the next turn. While the stream waits for room, it counts as over its high mark: an accepted one
 * is not read from. The rest is not queued. You need not call again: a close sends what went. If
 * the file is shorter, what there is goes.
 *
 * The file stays the caller's, its position is as it was, and it may be closed after the call. The
 * kernel may read the file only when it sends: if the file is written to meanwhile, either content
 * may arrive. A read from a disk takes as long as the disk does, and the loop waits for it.
 *
 * O(bytes), by the kernel. Errors: those of sluice_write. With the following ones nothing was sent,
 * and the stream goes on as before: -ENODATA (the file ends at or before `offset`), -EINVAL (a
 * negative offset; a file that cannot be mapped, such as a folder; on older kernels a stream that
 * is a pipe), -ESPIPE (a pipe or a socket for a file), SLUICE_EBADF (`fd` is not open for reading),
 * -EIO, -EOVERFLOW. Source: sendfile(2). */
SLUICE_API ptrdiff_t sluice_send_file(sluice_loop *loop, sluice_id id, int fd, int64_t offset,
                                      size_t length);

/* Sends now what is queued, as far as the kernel takes it. Errors: SLUICE_EFULL (memory_limit) and
 * SLUICE_ENOMEM, with nothing changed; -EPIPE and others of send(2), which CLOSED repeats. */
SLUICE_API int sluice_flush(sluice_loop *loop, sluice_id id);

/* A stream: half-close. Sends what is queued, then tells the peer that no more comes. Receiving
 * goes on. A second call does nothing. Errors: SLUICE_EFULL (memory_limit) and SLUICE_ENOMEM, with
 * nothing changed; -EPIPE (a send has failed). Source: shutdown(2).
 *
 * A listener: lets no more callers in, accepts those who already wait in its queue, then ends with
 * a CLOSED of its id. Its limits hold: when one is reached, it goes on once streams end. Its
 * streams live on. The file of a unix socket is removed at once. Later callers of a unix socket are
 * refused at once. Over TCP their packets are dropped until the listener has ended. They try again
 * by themselves, first after a second, and then reach whoever listens there, or are refused. A
 * caller whose handshake is under way at the call may be reset. All this is done to the socket: if
 * other processes share it, use sluice_close. Errors: those of shutdown(2), or of SO_ATTACH_FILTER
 * in socket(7); the listener goes on then. */
SLUICE_API int sluice_shutdown(sluice_loop *loop, sluice_id id);

/* Stops and resumes DATA and EOF. They do not nest. On epoll and poll, a reset still reaches a
 * paused stream, as CLOSED. If bytes wait unread, they come first, after the resume. An idle limit
 * does not run while the stream is paused.
 *
 * The bytes that the stream holds at its resume come as DATA by the next turn, joined with what has
 * arrived. They come even if nothing has arrived: `value >> 1` is then all of them. So a program
 * that has no room for more answers holds the requests that are left, pauses, and gets them again
 * at the resume. If sluice_hold_until waits for more bytes than there are, the bytes go on waiting.
 * A resume of a stream that is not paused changes nothing. */
SLUICE_API int sluice_pause(sluice_loop *loop, sluice_id id);
SLUICE_API int sluice_resume(sluice_loop *loop, sluice_id id);

/* Framing without a buffer of your own: the last `length` bytes of this stream's DATA event come
 * again, joined with what follows. The event must be the one that was pulled last. At the end of
 * the stream the bytes come once more, as DATA with SLUICE_LAST, before EOF. These cannot be held
 * again: the next pull drops them. But if the stream is paused by then, its resume brings them
 * again. See sluice_resume. O(length). Errors: SLUICE_ECAPACITY (more than the event had),
 * SLUICE_EFULL (over hard_limit, or memory_limit), SLUICE_ENOMEM, SLUICE_ESTATE (no such event). */
SLUICE_API int sluice_hold(sluice_loop *loop, sluice_id id, size_t length);

/* Like sluice_hold, and DATA does not come before `total` bytes are there, counting those that are
 * held. It is for the rest of a message whose length is known. `length` may be 0. If `total` is no
 * more than `length`, it is the same as sluice_hold. What arrives meanwhile is kept, without an
 * event. Its memory grows by doubling as the bytes arrive, whatever `total` says, and counts in
 * memory_limit. When that limit is reached, the stream ends with SLUICE_EFULL. If the input ends
 * first, the bytes come all the same before EOF, with SLUICE_LAST. If the input fails first, they
 * come in the same way before CLOSED, if some of them had been in no DATA yet. sluice_forward
 * passes them on. O(length), and O(total) for all that arrives until then.
 * Errors: those of sluice_hold; SLUICE_EFULL also for a `total` over hard_limit. */
SLUICE_API int sluice_hold_until(sluice_loop *loop, sluice_id id, size_t length, size_t total);

/* Keeps bytes that cannot be dealt with at once, without a copy. The bytes of this stream's DATA
 * event stay where they are until *kept is given to sluice_return. The event must be the one that
 * was pulled last, or one of those pulled together. *kept is a name, not an address. It is NULL on
 * failure.
 *
 * The bytes can be read in any thread, whatever becomes of the stream, until the loop ends. They
 * cost a whole receive buffer, of receive_size bytes, and the loop goes on with another buffer. The
 * bytes of events that were pulled together share one buffer, which goes with the last of them.
 * Bytes that were joined with held ones cost the memory in which they were held. All this counts in
 * memory_limit. Returned bytes count until their event is over. Up to 8 returned buffers are left
 * ready for the next time, and do not count.
 *
 * An event's bytes can be kept only once. They can be held too, before or after, and are then
 * copied. A write of them before the next pull copies nothing, as always. A later write is like any
 * other. The child of a fork has the bytes too, and returns its own.
 *
 * O(1), and no allocation if a buffer is ready. For joined bytes it is O(those that are held
 * again). Errors, with nothing changed: SLUICE_ESTATE (no such event; or its bytes are kept
 * already; or they were joined, and sluice_forward has taken them), SLUICE_EFULL (memory_limit),
 * SLUICE_ENOMEM, SLUICE_ENULL. */
SLUICE_API int sluice_keep(sluice_loop *loop, sluice_id id, void **kept);

/* Gives back what was kept. Its bytes are gone then, or at the next pull if their event is the last
 * one. Call it in the loop's thread: another thread can ask for that by sluice_post. O(1).
 * Errors: SLUICE_ESTALE (it was returned already, or was never kept), SLUICE_ENULL. */
SLUICE_API int sluice_return(sluice_loop *loop, void *kept);

/* How many bytes are queued to be sent. */
SLUICE_API int64_t sluice_pending(const sluice_loop *loop, sluice_id id);

/* A proxy: what `from` receives is written to `to`, without an event. `from`'s end is passed on as
 * a shutdown, even if it came before. What `from` holds is passed on first. `from` is not read from
 * while `to` is over its high mark. 0 for `to` ends the forwarding. When `to` takes no more, `from`
 * gives DATA again, and EOF if its end had already gone to `to`.
 *
 * While two streams are forwarded to each other, neither closes by itself at its EOF: the answer
 * may still be coming. A stream that gives CLOSED leaves the other one open. If the error is 0, or
 * the value is SLUICE_INPUT_ENDED, close the other one: what it has got may still be queued.
 * Otherwise abort it: it has got only a part. A stream may be forwarded to itself: an echo. O(1),
 * and the bytes that are held. Errors: -EPIPE (`to` takes no more), SLUICE_ENOMEM, and those of a
 * write of what is held. */
SLUICE_API int sluice_forward(sluice_loop *loop, sluice_id from, sluice_id to);

/* ---- Readiness ------------------------------------------------------------------------------ */

/* A timeout that never comes. Timeouts are in nanoseconds. With 0 a call looks and does not wait.
 * For languages without macros: it is 9,223,372,036,854,775,807. */
#define SLUICE_FOREVER INT64_MAX

/* Interest: what to wait for. SLUICE_NONE keeps a registration and silences it. SLUICE_HANGUP,
 * which is also a condition, can be asked for, too. It reports an error, or a hang-up of both
 * directions, and nothing else. Use it alone for a stream that is not read from at the moment, or
 * together with others. */
enum sluice_interest {
    SLUICE_NONE = 0,
    SLUICE_READ = 1,        /* a read would not block: bytes, end of file, an error, a caller */
    SLUICE_PRIORITY = 2,    /* out-of-band data: what select(2) calls exceptional */
    SLUICE_WRITE = 4,       /* a write would not block: room, or an error */
    SLUICE_EDGE = 0x100,    /* report a change of readiness, not the state (edge-triggered) */
    SLUICE_ONE_SHOT = 0x200 /* silence the registration after one event; modify arms it again */
};

/* What an event may say besides READ, PRIORITY and WRITE. ERROR and HANGUP come whatever was asked
 * for. READ_CLOSED comes with READ. select(2) cannot tell them apart. It reports only READ,
 * PRIORITY and WRITE, which are the same on every backend. */
enum sluice_condition {
    SLUICE_ERROR = 8,           /* an error is pending (SO_ERROR), or a pipe's reader is gone */
    SLUICE_HANGUP = 16,         /* both directions are shut */
    SLUICE_READ_CLOSED = 0x2000 /* the peer will send no more (half-close) */
};

/* How a poller or a loop waits: see sluice_poller_set_flags. */
enum sluice_poller_flag {
    SLUICE_INTERRUPTIBLE = 1 /* a signal whose handler ran ends the wait with SLUICE_EINTR */
};

/* One descriptor that is ready. */
typedef struct sluice_ready {
    uint64_t user;       /* the registration's user word */
    int32_t fd;          /* the registered number */
    uint32_t generation; /* which registration of that number: see sluice_poller_is_current */
    uint32_t flags;      /* of enum sluice_interest and enum sluice_condition */
} sluice_ready;

/* ---- The poller ----------------------------------------------------------------------------- */

/* A set of registrations, and the kernel call that waits for them. One thread at a time may use a
 * poller. Only sluice_poller_wake may be called from any thread. The descriptors stay the caller's:
 * remove one before closing it. docs/readiness.md says what each backend reports in each
 * situation. */
typedef struct sluice_poller sluice_poller;

enum sluice_feature {
    SLUICE_FEATURE_ONE_SHOT = 1,   /* SLUICE_ONE_SHOT: every backend has it */
    SLUICE_FEATURE_EDGE = 2,       /* SLUICE_EDGE: epoll has it */
    SLUICE_FEATURE_CONDITIONS = 4, /* ERROR, HANGUP and READ_CLOSED are told apart, and HANGUP can
                                    * be asked for: epoll and poll have it */
    SLUICE_FEATURE_PRIORITY = 8,   /* SLUICE_PRIORITY: all but libevent have it */
    SLUICE_FEATURE_INTERRUPTIBLE = 16 /* SLUICE_INTERRUPTIBLE: all but libevent have it */
};

/* The name of the backend at `index`, from 0, best first; NULL past the last. A static string. */
SLUICE_API const char *sluice_backend_name(size_t index);

/* Makes a poller over the named backend. For NULL it takes the one that SLUICE_BACKEND names in the
 * environment. If that is unset or empty, it takes the best there is. On success *poller is the
 * caller's: end it with sluice_poller_destroy. On failure it is NULL.
 * Errors: SLUICE_EBACKEND, SLUICE_ENULL, SLUICE_ENOMEM, -EMFILE, -ENFILE. */
SLUICE_API int sluice_poller_create(sluice_poller **poller, const char *backend);

/* Frees the poller and its kernel objects, with its registrations. Their descriptors stay open.
 * NULL is allowed. O(1). */
SLUICE_API void sluice_poller_destroy(sluice_poller *poller);

/* Registers `fd`. `interest` is of enum sluice_interest; `user` comes back with each event. One
 * number can be registered once. O(1). On poll the array is kept in order, which moves 8 bytes for
 * each higher number. The call allocates only if `fd` is the highest number so far or, over
 * libevent, is used for the first time.
 * Errors: SLUICE_EBADF (not open, or opened with O_PATH), SLUICE_EEXIST, SLUICE_EINTEREST,
 * SLUICE_ENOTSUP (what the backend lacks: see enum sluice_feature), SLUICE_ENULL, SLUICE_ENOMEM,
 * -ENOSPC (fs.epoll.max_user_watches). */
SLUICE_API int sluice_poller_add(sluice_poller *poller, int fd, uint32_t interest, uint64_t user);

/* Replaces the interest and the user word of a registration, and arms it again after a one-shot
 * event. It is about the file that the number names now. O(1).
 * Errors: SLUICE_ENOENT, and those of sluice_poller_add except SLUICE_EEXIST. */
SLUICE_API int sluice_poller_modify(sluice_poller *poller, int fd, uint32_t interest,
                                    uint64_t user);

/* Ends a registration, whether its descriptor is still open or not: no later wait reports it. Call
 * it before the descriptor is closed: a duplicate, or a child after a fork, may keep the file open.
 * O(1), except on poll: see sluice_poller_add. Errors: SLUICE_ENOENT, SLUICE_ENULL. */
SLUICE_API int sluice_poller_remove(sluice_poller *poller, int fd);

/* Waits until a registration is ready, sluice_poller_wake is called or `timeout_ns` has passed.
 * Writes up to `capacity` events: as many as are ready and fit, each registration at most once. The
 * rest of the array may be overwritten. Returns how many there are: 0 when the time is up or after
 * a wake. If more are ready than fit, the next waits bring the rest first. poll and select report
 * in ascending order of `fd`. After a wait that did not have room for all, they begin behind the
 * last one that was reported. One system call (and one more after a wake on a level-triggered
 * backend), no allocation. A signal neither ends the wait nor prolongs it, unless
 * sluice_poller_set_flags asks for that.
 * O(events) on epoll, O(n) on poll, O(highest fd) on select.
 * Errors: SLUICE_ECAPACITY (under 1), SLUICE_ETIMEOUT (negative), SLUICE_EINTR (only if it was
 * asked for), SLUICE_ENULL. */
SLUICE_API int sluice_poller_wait(sluice_poller *poller, sluice_ready *events, int capacity,
                                  int64_t timeout_ns);

/* Replaces the poller's flags: a set of enum sluice_poller_flag, none at first.
 *
 * With SLUICE_INTERRUPTIBLE, a signal whose handler ran during a wait ends it with SLUICE_EINTR, if
 * the wait has brought no event. It is for a program that checks after each wait what its handlers
 * have noted. A signal that comes before the wait has begun does not end it. A handler that calls
 * sluice_poller_wake ends it in any case. Without the flag a signal neither ends nor prolongs a
 * wait. O(1). Errors: SLUICE_EOPTION (unknown flags), SLUICE_ENOTSUP (the backend cannot: see enum
 * sluice_feature), SLUICE_ENULL. The flags are then as before. */
SLUICE_API int sluice_poller_set_flags(sluice_poller *poller, uint32_t flags);

/* 1 while the registration of `event` stands, 0 if it was removed since, even if its number has
 * been registered again. Use it for a batch in which the handling of one event may end the
 * registration of another. O(1). */
SLUICE_API int sluice_poller_is_current(const sluice_poller *poller, const sluice_ready *event);

/* Makes the wait that is under way return, or else the next one. Calls made before that wait
 * returns count as one. The thread that waited then sees what the caller has written to memory
 * before.
 * Any thread, and safe in a signal handler (errno is left alone), while the poller lives. */
SLUICE_API int sluice_poller_wake(sluice_poller *poller);

/* Returns a descriptor by which a loop of another kind can wait for the poller. poll(2) or an epoll
 * instance finds it readable while a wait here, with a timeout of 0, would bring an event or end by
 * a wake. After a wait that has left nothing over, it is not readable until there is something new.
 * It may once be readable for nothing.
 * The first call makes it, with two descriptors, and it stays the same as long as the poller lives.
 * It is the poller's: take it out of the other loop before sluice_poller_destroy, and do not read
 * from it.
 * The poller's thread. O(1).
 * Errors: SLUICE_ENOTSUP (only epoll has one), SLUICE_ENULL, SLUICE_ENOMEM, -EMFILE, -ENFILE,
 * -ENOSPC (fs.epoll.max_user_watches). */
SLUICE_API int sluice_poller_backend_fd(sluice_poller *poller);

/* Call it in the child after fork(2), before anything else on the poller except
 * sluice_poller_destroy. The child's poller then has the same registrations, and shares nothing
 * with the parent's. Both can be used, and neither sees what the other does. (The registered
 * descriptors are shared, as fork leaves them.) Wakes that have not been waited for are the
 * parent's. A backend descriptor is the parent's, too: the child asks for its own. A number that
 * was closed without being removed stays registered, and is silent. O(n).
 * Errors: SLUICE_ENULL, SLUICE_ENOMEM, -EMFILE, -ENFILE, -ENOSPC. The call can be tried again. */
SLUICE_API int sluice_poller_after_fork(sluice_poller *poller);

/* A set of enum sluice_feature; 0 for NULL. */
SLUICE_API uint32_t sluice_poller_features(const sluice_poller *poller);

/* The backend's name; NULL for NULL. A static string. */
SLUICE_API const char *sluice_poller_backend_name(const sluice_poller *poller);

/* ---- select in one call --------------------------------------------------------------------- */

/* One of select's three lists. Question and answer are kept apart, so the same list can be given
 * again. select(2) overwrites what it was asked. */
typedef struct sluice_fd_list {
    const int *fds;     /* the descriptors to look at, `count` of them */
    size_t count;       /*                                             */
    int *ready;         /* room for `count`: those that are ready, in the order of `fds` */
    size_t ready_count; /* how many those are */
} sluice_fd_list;

/* select(2) itself, with no limit on descriptor numbers. Any list may be NULL. Returns how many
 * entries are ready in all three together, or 0 when the time is up. On an error no list is
 * changed.
 * Any thread. O(count + highest fd). One system call, and one more if a number is above 63. Numbers
 * above 1,023 cost an allocation.
 * Errors: SLUICE_EBADF (not open, or opened with O_PATH), SLUICE_ETIMEOUT (negative), SLUICE_ENULL
 * (a list without its arrays), SLUICE_ENOMEM. Source: select(2). */
SLUICE_API int sluice_select(sluice_fd_list *reading, sluice_fd_list *writing,
                             sluice_fd_list *excepting, int64_t timeout_ns);

/* ---- The byte queue ------------------------------------------------------------------------- */

/* Bytes in order, for what a program gathers, holds back or passes on. They are appended at the
 * end, read where they lie, taken from the beginning, and moved from queue to queue without a copy.
 * They lie in chunks of 4 KiB. One thread at a time may use a queue; a move uses both queues.
 * In this group n is the number of chunks that a call fills, shows or takes. */
typedef struct sluice_queue sluice_queue;

/* A piece of bytes. It is laid out like struct iovec, so that an array of them can be cast for
 * writev(2) or sendmsg(2). */
struct sluice_slice {
    const void *bytes;
    size_t length;
};

/* The most bytes in one piece that sluice_queue_reserve can be asked for. */
#define SLUICE_QUEUE_RESERVE_MAX 4096

/* Makes an empty queue. `limit` is the most memory, in bytes, that its chunks may take. It is
 * counted in whole chunks, at least one. 0 sets no limit. A queue keeps up to 64 KiB of its chunks
 * for reuse within that limit, and has none before it is used. *queue is the caller's: end it with
 * sluice_queue_destroy. On failure it is NULL. Errors: SLUICE_ENULL, SLUICE_ENOMEM. */
SLUICE_API int sluice_queue_init(sluice_queue **queue, size_t limit);

/* Frees the queue and the bytes in it. NULL is allowed. O(n). */
SLUICE_API void sluice_queue_destroy(sluice_queue *queue);

/* Copies `length` bytes behind those in the queue, all or none. O(length), with at most one
 * allocation for each chunk. `bytes` may be NULL if `length` is 0, and may lie in the same queue.
 * Errors: SLUICE_EFULL (the limit has no room for all of them: consume first), SLUICE_ENOMEM,
 * SLUICE_ENULL. */
SLUICE_API int sluice_queue_append(sluice_queue *queue, const void *bytes, size_t length);

/* Reserves room behind the bytes in the queue, in one piece, for the caller to write into. *bytes
 * points to it, and *room is its length: `at_least` bytes or more. `at_least` is 1 to
 * SLUICE_QUEUE_RESERVE_MAX. The room is no part of the queue until it is committed, and stays valid
 * until the next call that changes the queue. On failure *bytes is NULL and *room is 0. O(1).
 * Errors: SLUICE_ECAPACITY, SLUICE_EFULL, SLUICE_ENOMEM, SLUICE_ENULL. */
SLUICE_API int sluice_queue_reserve(sluice_queue *queue, size_t at_least, void **bytes,
                                    size_t *room);

/* Appends the first `length` bytes of what was reserved, and ends the reservation. 0 gives it up.
 * O(1). Errors: SLUICE_ECAPACITY (more than was reserved, or another call has ended the
 * reservation; nothing is appended, and a reservation that stands goes on), SLUICE_ENULL. */
SLUICE_API int sluice_queue_commit(sluice_queue *queue, size_t length);

/* Points up to `count` slices to the bytes of the queue, from the first byte on. Returns how many
 * slices that took: 0 for an empty queue. No slice is empty. The bytes stay the queue's. They stay
 * where they are until they are consumed or moved, or the queue is destroyed. O(n), no allocation.
 * Errors: SLUICE_ECAPACITY (count under 1), SLUICE_ENULL. */
SLUICE_API int sluice_queue_peek(const sluice_queue *queue, sluice_slice *slices, int count);

/* Takes the first `length` bytes from the queue. O(n).
 * Errors: SLUICE_ECAPACITY (more than there are; none is taken), SLUICE_ENULL. */
SLUICE_API int sluice_queue_consume(sluice_queue *queue, size_t length);

/* Moves the first `most` bytes of `from` behind those of `to`, and returns how many. If `from` has
 * fewer, all of them go, so SIZE_MAX moves all. A queue that is moved to itself stays as it is, and
 * the call returns 0. Whole chunks change hands. Copied are at most a part of one chunk, and the
 * bytes of one chunk that fit behind the last byte of `to`. Moving everything is O(1), a part O(n).
 * The limit of `to` holds for what it gets, and each chunk counts as a whole one.
 * Errors, and nothing has moved: SLUICE_EFULL, SLUICE_ENOMEM (a part of a chunk), SLUICE_ENULL. */
SLUICE_API ptrdiff_t sluice_queue_move(sluice_queue *to, sluice_queue *from, size_t most);

/* How many bytes are in the queue; 0 for NULL. O(1). */
SLUICE_API size_t sluice_queue_length(const sluice_queue *queue);

/* ---- Sockets -------------------------------------------------------------------------------- */

/* Non-blocking stream sockets by textual address. A socket that these return is the caller's to
 * close. Any thread. The forms of an address:
 *
 *     127.0.0.1:9999  [::1]:9999  [fe80::1%eth0]:9999    numeric; port 0 lets the kernel choose
 *     unix:/run/echo.sock  unix:@abstract                a unix socket
 *     localhost:9999  example.com:443                    a name, to be looked up
 *     *:9999                                             to listen at every address there is
 *
 * A text that is not an address is refused with SLUICE_EADDRESS. If only a part of it is wrong, the
 * code is SLUICE_EPORT, SLUICE_EPATH or SLUICE_ESCOPE. docs/sockets.md has more. */

/* Enough for any numeric or unix address as text, with its terminator. */
#define SLUICE_ADDRESS_MAX 160

/* Enough for what sluice_address_problem says, with its terminator. */
#define SLUICE_PROBLEM_MAX 256

/* Says what is wrong with an address, to the person who wrote it. It writes one sentence into
 * `text`, with the wrong value, and without a full stop ("the port 99999 is out of range: 65535 is
 * the highest"). For a unix path it also says what is wrong in the file system now: no folder, no
 * permission, a file in the way. No name is looked up, and no connection is made.
 * Returns the sentence's length. If there is nothing to say, it returns 0, and `text` is "".
 * Errors: SLUICE_ENULL, SLUICE_ECAPACITY. Any thread. O(length of the address). */
SLUICE_API int sluice_address_problem(const char *address, char *text, size_t capacity);

/* A listening socket, with SO_REUSEADDR and, over TCP, TCP_NODELAY, which its connections inherit.
 * `backlog` is at least 1.
 *
 * A name is looked up by getaddrinfo(3), which may block for seconds; a numeric address never does.
 * The first of its addresses that this machine has is taken, IPv4 before IPv6, so that localhost is
 * 127.0.0.1. "*" is one socket for IPv6 and IPv4, whose address reads "[::]:port". On a machine
 * without IPv6, it is 0.0.0.0.
 *
 * At a unix path the call makes a file. The caller removes it by unlink(2), before the socket is
 * closed. A file that stays behind does no harm: the next listen at its path replaces it, as it
 * replaces any socket's file that no living socket is bound to.
 *
 * Errors: those of an address (see sluice_address_problem); SLUICE_ENAME; SLUICE_ECAPACITY (the
 * backlog); -EADDRINUSE (at a unix path: another socket is bound there or about to be, or a file
 * that is no socket is in the way); others of socket(2), bind(2) and listen(2). */
SLUICE_API int sluice_socket_listen(const char *address, int backlog);

/* A socket that is connecting or connected. Wait for SLUICE_WRITE, then ask sluice_socket_error.
 * The address is numeric or a unix socket's. The call does not block, so it looks up no name.
 * Errors: those of an address (see sluice_address_problem); SLUICE_ENUMERIC (a name, or "*"); those
 * of connect(2) that show at once, such as SLUICE_EAGAIN (a unix listener's queue is full). */
SLUICE_API int sluice_socket_connect(const char *address);

/* The next pending connection. A caller whose connection has failed is passed over: one who gave up
 * in the queue, one whom a firewall turned away, or one who cannot be reached any more.
 * Errors: SLUICE_EAGAIN (none is pending, or 64 in a row have failed: wait for SLUICE_READ,
 * level-triggered), -EMFILE and others of accept(2). Source: "Error handling" in accept(2). */
SLUICE_API int sluice_socket_accept(int fd);

/* How a connect ended, or what a SLUICE_ERROR is about: 0, or the negated error, which the call
 * clears. Source: SO_ERROR, socket(7). */
SLUICE_API int sluice_socket_error(int fd);

/* Receives up to `length` bytes into `bytes`. Returns how many, 0 at the end of the stream. Any
 * descriptor will do. Errors: SLUICE_EAGAIN (none there yet), SLUICE_ECAPACITY (length 0), those of
 * read(2). */
SLUICE_API ptrdiff_t sluice_socket_receive(int fd, void *bytes, size_t length);

/* Sends as many of the `length` bytes as fit, and returns how many. Errors: SLUICE_EAGAIN (none
 * fits: wait for SLUICE_WRITE), -EPIPE or -ECONNRESET (the peer is gone), others of send(2). */
SLUICE_API ptrdiff_t sluice_socket_send(int fd, const void *bytes, size_t length);

/* Tells the peer that no more will be sent (half-close). Receiving goes on. Source: shutdown(2). */
SLUICE_API int sluice_socket_finish_sending(int fd);

/* Writes the address of this end, or of the other end, into `text`. SLUICE_ADDRESS_MAX is always
 * enough. An unnamed unix socket is "unix:". A caller over IPv4 has an IPv4 address, even at an
 * IPv6 socket.
 * Returns the text's length.
 * Errors: SLUICE_ECAPACITY, -ENOTCONN, -ENOTSOCK. */
SLUICE_API int sluice_socket_local_address(int fd, char *text, size_t capacity);
SLUICE_API int sluice_socket_peer_address(int fd, char *text, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif

/* stream.h - what a stream is: two directions, each a small state machine, and one place that says
 * what follows from the two.
 *
 * The machine (ARCHITECTURE.md has it as a table):
 *
 *     input:   open -> ended     the peer's end has been received
 *                   -> failed    a receive, a connect or a time limit has failed
 *     output:  open -> finishing the peer is to be told of our end once all is sent
 *                   -> finished  it has been told, or there is no output
 *              any  -> failed    a send has failed: what is queued will not go
 *
 * An open input may have obstacles. The caller has paused it. Its own output is over the high mark.
 * Or it is held back, since the output of the stream that it is forwarded to is over the high mark.
 *
 * No call, and no completion, ends a stream. They change a direction, note the first error, and put
 * the stream on the agenda. Between two events sluice_streams_follow takes each stream on the
 * agenda and does what its state asks for: send, tell the peer, receive or not, or end.
 */
#ifndef SLUICE_STREAM_H
#define SLUICE_STREAM_H

#include "base/platform.h"

#include <assert.h>

#include "base/slots.h"
#include "bytes/queue.h"
#include "engines/engine.h"
#include "sluice.h"

struct sluice_lent;

enum {
    /* The input. It is open if neither is set. */
    INPUT_ENDED = 1 << 0,
    INPUT_FAILED = 1 << 1,
    INPUT_OVER = INPUT_ENDED | INPUT_FAILED,

    /* The output. It is open if none is set; otherwise one of them is set. */
    OUTPUT_FINISHING = 1 << 2,
    OUTPUT_FINISHED = 1 << 3,
    OUTPUT_FAILED = 1 << 4,
    OUTPUT_OVER = OUTPUT_FINISHING | OUTPUT_FINISHED | OUTPUT_FAILED,

    /* Obstacles. Being over its mark is one only if the stream THROTTLES. */
    STREAM_PAUSED = 1 << 5,
    STREAM_HELD_BACK = 1 << 6,
    STREAM_OVER_MARK = 1 << 7,

    STREAM_CONNECTING = 1 << 8,
    STREAM_CLOSING = 1 << 9,     /* nobody wants its input any more */
    STREAM_CLOSE_NEXT = 1 << 10, /* EOF has been pulled: the loop closes it by itself */
    STREAM_ENDED = 1 << 11,      /* nothing is left but its CLOSED */
    STREAM_BLOCKED = 1 << 12,    /* the engine says when to send on */
    STREAM_FILE_WAITS = 1 << 14, /* over its mark until nothing is queued, and there is room */
    STREAM_REHELD = 1 << 13,     /* the caller holds bytes of the data that was pulled last */

    STREAM_ON_AGENDA = 1 << 15, /* in the loop's list of such streams; so is the next one */
    STREAM_TO_NOTIFY = 1 << 16,
    STREAM_RECEIVES = 1 << 29, /* what the engine has been told */
    STREAM_GRACE = 1 << 30, /* its deadline has been put off once, since something came in time */

    /* What it is, for its whole life. */
    STREAM_NO_SOCKET = 1 << 17, /* a pipe, a terminal: cannot be shut down in one direction */
    STREAM_HALF_OPEN = 1 << 18,
    STREAM_THROTTLES = 1 << 19,
    STREAM_NO_INPUT = 1 << 20,  /* write-only: nothing comes from it except its end */
    STREAM_TIMED = 1 << 21,     /* has an idle timeout */
    STREAM_UNBLOCKED = 1 << 22, /* was blocking before it was adopted */
    STREAM_EXTRAS = 1 << 23,    /* `extras` is not NULL */

    /* Events that wait to be pulled, in this order. */
    NOTICE_CONNECTED = 1 << 24, /* while CONNECTING: the connect has failed, and this is no event */
    NOTICE_HELD = 1 << 25,      /* DATA with what is held: the input is over, or resumed */
    NOTICE_EOF = 1 << 26,
    NOTICE_DRAINED = 1 << 27,
    NOTICE_CLOSED = 1 << 28,
    NOTICES = 0x1f << 24,
    NOTICES_OF_INPUT = NOTICE_HELD | NOTICE_EOF,

    /* With any of these, no write is taken. */
    TAKES_NO_WRITE = OUTPUT_OVER | STREAM_CLOSING,

    /* With any of these, more is to be done about received bytes than to make an event of them. */
    STREAM_APART = STREAM_CLOSING | STREAM_TIMED | STREAM_EXTRAS | OUTPUT_FAILED
};

/* The child of a fork has the stream from its parent, which has the connection too. An enum has no
 * room for this bit. */
#define STREAM_INHERITED (UINT32_C(1) << 31)

/* Streams that behave alike: those of one listener, or those that were made with the same options.
 * Invariant: `users` is how many streams are in the cohort, and one more if it belongs to a
 * listener or is the loop's default. The cohort ends with the last of them. */
struct sluice_cohort {
    struct sluice_slot slot;
    uint32_t users;
    uint32_t listener; /* 1 + its index; 0 if there is none, or none any more */
    uint32_t flags;    /* enum sluice_stream_flag */
    uint32_t traits;   /* these flags as bits of a stream's state */
    uint32_t idle_ms;
    uint32_t linger_ms;
    size_t high_mark;
    size_t low_mark;
};

/* What few streams have: bytes that are held, a forward, and a name that they connect by. */
struct sluice_extras {
    struct sluice_connecting *connecting; /* connect.c's; NULL for none */
    const char *problem;   /* what the resolver said of its name, until CLOSED is pulled; or NULL */
    sluice_id forward_to;  /* 0 for none */
    uint32_t forward_from; /* the first stream that is forwarded here; or SLUICE_NO_SLOT */
    uint32_t forward_next; /* the next stream that is forwarded to the same one */
    bool owes_eof;         /* the end of the input went to another stream */
    bool cut_off;          /* a stream forwarded here has failed: the peer has only a part */
    bool resumed;          /* NOTICE_HELD is to be set for the next turn; no input comes before
                            * it */
    size_t held;           /* bytes that come again */
    size_t held_capacity;
    unsigned char *held_bytes;
    size_t awaited; /* DATA waits until this many bytes are there; 0 if it does not wait */
    size_t told;    /* how many of the held bytes have been in a DATA before; the others wait */
};

/* It is kept small, since idle streams are what a server has most of: 10,000 of them, say.
 * Invariants:
 * - `fd` is -1 if it is closed, by us or, behind our back, by others. It is -1 in an ENDED stream.
 *   While CONNECTING, it is -1 if the stream connects by name, or if its connect failed in the
 *   call;
 * - `error` is the first thing that went wrong in either direction, or 0;
 * - OUTPUT_FAILED or ENDED: `output` has no chunks, and its length is what was not sent;
 * - `remaining` is how many bytes more may be received once the output has failed;
 * - ON_AGENDA, TO_NOTIFY: it is in that list of the loop if the bit is set, and only then;
 * - OVER_MARK: its output was over the high mark and has not fallen to the low one since; or
 *   FILE_WAITS is set, which never stands without OVER_MARK;
 * - slot.own is its place in loop->lent, if it is there. */
struct sluice_stream {
    struct sluice_slot slot;
    struct sluice_bytes output;
    struct sluice_extras *extras; /* NULL as long as it needs none */
    int fd;
    int error;
    uint32_t state;
    uint32_t cohort;   /* its index */
    uint32_t deadline; /* of connecting, idling or lingering: 1 + its index in loop->deadlines */
    uint32_t remaining;
    uint32_t next_on_agenda;
    uint32_t next_to_notify;
};

static_assert(sizeof(struct sluice_stream) == 80, "an idle connection costs little");

/* A list of streams, linked through one of their members. */
struct sluice_stream_list {
    uint32_t first; /* SLUICE_NO_SLOT if it is empty */
    uint32_t last;
};

#define SLUICE_EMPTY_LIST ((struct sluice_stream_list){SLUICE_NO_SLOT, SLUICE_NO_SLOT})

/* ---- A stream's life: stream.c --------------------------------------------------------------- */

enum sluice_origin {
    SLUICE_ORIGIN_KERNEL, /* the descriptor has just been given to the loop */
    SLUICE_ORIGIN_CALLER, /* it was the caller's so far */
    SLUICE_ORIGIN_NONE    /* there is none yet */
};

struct sluice_stream_start {
    int fd; /* -1 for none */
    enum sluice_role role;
    uint32_t cohort;
    enum sluice_origin origin;
    uint32_t traits; /* of the state: NO_INPUT, UNBLOCKED, or OUTPUT_FINISHED if it is read-only */
    int64_t connect_timeout_ns; /* INT64_MAX for none */
    uint64_t user;
};

/* Makes a stream of start->fd. On failure the descriptor stays the caller's. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_begin(sluice_loop *loop, const struct sluice_stream_start *start, sluice_id *id);

/* Undoes that, for a stream that has no descriptor and that nobody has heard of. */
SLUICE_INTERNAL void sluice_stream_forget(sluice_loop *loop, struct sluice_stream *stream);

/* Makes sluice_streams_follow deal with the stream before the next event. */
SLUICE_INTERNAL void sluice_stream_on_agenda(sluice_loop *loop, struct sluice_stream *stream);

/* For the child of a fork. The parent sends what is queued, and restores what the two share. */
SLUICE_INTERNAL void sluice_streams_after_fork(sluice_loop *loop);

/* Deals with each stream on the agenda once. Returns true with an event, the CLOSED of the stream
 * that it dealt with last. */
SLUICE_INTERNAL bool sluice_streams_follow(sluice_loop *loop, sluice_event *event);

/* Ends a stream: closes its descriptor. Its CLOSED must be given next. Only what carries out ends
 * calls it: sluice_streams_follow, sluice_abort, by which the caller ends it, and
 * sluice_destroy. */
SLUICE_INTERNAL void sluice_stream_end(sluice_loop *loop, struct sluice_stream *stream);
SLUICE_INTERNAL void sluice_stream_abort(sluice_loop *loop, struct sluice_stream *stream,
                                         int error);

/* Notes that the input, or the output, has failed with `error`. */
SLUICE_INTERNAL void sluice_input_fail(sluice_loop *loop, struct sluice_stream *stream, int error);
SLUICE_INTERNAL void sluice_output_fail(sluice_loop *loop, struct sluice_stream *stream, int error);

/* The number was closed behind our back, and has another file by now. */
SLUICE_INTERNAL void sluice_stream_lose_descriptor(sluice_loop *loop, struct sluice_stream *stream);

/* Begins an orderly close: 0, or SLUICE_ENOMEM with nothing changed. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_stream_close(sluice_loop *loop,
                                                       struct sluice_stream *stream);

/* The stream's deadline has come, and it has none any more. */
SLUICE_INTERNAL void sluice_stream_deadline(sluice_loop *loop, struct sluice_stream *stream);
/* For a stream that is TIMED: a byte has come or gone. */
SLUICE_INTERNAL void sluice_stream_postpone_idle(sluice_loop *loop, struct sluice_stream *stream);

/* What becomes of bytes that the engine has received. */
enum sluice_received_as {
    SLUICE_RECEIVED_NOTHING, /* they are dropped, or go to another stream */
    SLUICE_RECEIVED_BYTES,   /* they are an event as they are */
    SLUICE_RECEIVED_MORE     /* an event has been made of them and the held bytes */
};

/* For a stream with a bit of STREAM_APART. */
SLUICE_INTERNAL enum sluice_received_as
sluice_stream_received(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event);

/* Takes note of anything else that the engine has completed. *event tells it. */
SLUICE_INTERNAL void sluice_stream_complete(sluice_loop *loop, struct sluice_stream *stream,
                                            enum sluice_operation operation,
                                            const sluice_event *event);

/* Its connect has been completed, or has failed with `error`. */
SLUICE_INTERNAL void sluice_stream_connected(sluice_loop *loop, struct sluice_stream *stream,
                                             int error);
/* For a stream that was just made, without a descriptor: its connect has failed in the call that
 * began it. It goes on like a connect under way, and fails in the next turn. */
SLUICE_INTERNAL void sluice_stream_failed_to_connect(sluice_loop *loop,
                                                     struct sluice_stream *stream, int error);

/* Its CLOSED is being pulled. What was said of its name can still be asked for by its id. */
SLUICE_INTERNAL void sluice_stream_told_end(sluice_loop *loop, struct sluice_stream *stream);

/* The stream's extras. They are made if it has none. NULL if memory ran out. */
SLUICE_INTERNAL struct sluice_extras *sluice_stream_extras(sluice_loop *loop,
                                                           struct sluice_stream *stream);
/* Frees them if nothing is in them any more: a stream with extras takes a longer way. */
SLUICE_INTERNAL void sluice_stream_spare_extras(sluice_loop *loop, struct sluice_stream *stream);

static inline bool sluice_stream_has_obstacle(const struct sluice_stream *stream) {
    const uint32_t over = STREAM_OVER_MARK | STREAM_THROTTLES;
    return (stream->state & (STREAM_PAUSED | STREAM_HELD_BACK)) || (stream->state & over) == over;
}

static inline bool sluice_stream_connects_by_name(const struct sluice_stream *stream) {
    return stream->extras && stream->extras->connecting;
}

SLUICE_INTERNAL void sluice_stream_free_extras(sluice_loop *loop, struct sluice_stream *stream);
/* The peer's end has been received, or is not waited for any longer. */
SLUICE_INTERNAL void sluice_stream_received_end(sluice_loop *loop, struct sluice_stream *stream);
/* The connection is broken, and the peer had ended before: only its end is left to receive. If the
 * caller has paused the stream, only CLOSED reports it, since EOF would wait for the resume. */
SLUICE_INTERNAL void sluice_input_ended_unseen(sluice_loop *loop, struct sluice_stream *stream);
/* Nobody wants the input any more, and the peer will be told of the end once all is sent. */
static inline void sluice_stream_begin_closing(struct sluice_stream *stream) {
    stream->state |= STREAM_CLOSING;
    stream->state &= ~(uint32_t)(NOTICES & ~NOTICE_CONNECTED);
    if (!(stream->state & OUTPUT_OVER))
        stream->state |= OUTPUT_FINISHING;
}
/* Starts or stops the idle limit. It does not run while it is we who do not read. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_stream_heed_idleness(sluice_loop *loop,
                                                               struct sluice_stream *stream);
/* Bounds how long a close may take. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_stream_linger(sluice_loop *loop,
                                                        struct sluice_stream *stream);

/* ---- What waits to be told: notices.c -------------------------------------------------------- */

/* Has the events of `notices` given, in this turn. If they come from a call of the caller's,
 * `later` is set, and they are given in the next turn. */
SLUICE_INTERNAL void sluice_stream_notify(sluice_loop *loop, struct sluice_stream *stream,
                                          uint32_t notices, bool later);

/* Makes its CLOSED an event. After that the stream is gone. */
SLUICE_INTERNAL void sluice_stream_tell_closed(sluice_loop *loop, struct sluice_stream *stream,
                                               uint32_t index, sluice_event *event);

/* Its EOF is being pulled. The loop closes the stream next, unless it is to stay half-open. */
SLUICE_INTERNAL void sluice_stream_told_eof(sluice_loop *loop, struct sluice_stream *stream,
                                            uint32_t index);

/* The turn's next event of these, or false if none is due. `todo` says whether some are left. */
SLUICE_INTERNAL bool sluice_stream_notice(sluice_loop *loop, sluice_event *event);
/* The turn's end has come. The events of resumed streams come now. */
SLUICE_INTERNAL void sluice_stream_tell_resumed(sluice_loop *loop);

/* ---- How streams behave: cohorts.c ----------------------------------------------------------- */

/* What a sluice_stream_options asks for, checked and completed. */
struct sluice_stream_settings {
    uint32_t flags; /* enum sluice_stream_flag; THROTTLED alone says whether it is throttled */
    uint32_t idle_ms;
    uint32_t linger_ms;
    uint32_t keepalive_seconds;
    int64_t connect_timeout_ns; /* INT64_MAX for none */
    size_t high_mark;
    size_t low_mark;
    const char *source; /* from the options, and so the caller's */
};

/* Returns 0 or SLUICE_EOPTION. NULL gives the defaults. Streams that a listener accepts have other
 * defaults. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_settings_of(const sluice_loop *loop, const sluice_stream_options *options,
                          bool accepted, struct sluice_stream_settings *settings);

/* Applies the settings to a TCP socket, or to a listener, from which its connections inherit
 * them. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_configure(int fd, const struct sluice_stream_settings *settings);

/* A socket for a connect to `address`, made as the settings say; or an error. */
struct sluice_address;
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_socket(const struct sluice_address *address,
                     const struct sluice_stream_settings *settings);

/* Joins a cohort with these settings. It may be one that is there already. But a `listener` (1 +
 * its index; 0 for none) gets a new one, since its streams are counted. The cohort then has one
 * more user, who must leave it again. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_cohort_join(sluice_loop *loop,
                                                      const struct sluice_stream_settings *settings,
                                                      uint32_t listener, uint32_t *cohort);
/* The cohort's last user has gone. */
SLUICE_INTERNAL void sluice_cohort_end(sluice_loop *loop, uint32_t cohort);

/* ---- Output: output.c ------------------------------------------------------------------------ */

/* Sends what is queued, as far as that goes. Returns 0, or the error that has failed the output.
 * `by_call`: it is sent because the caller has written since the last pull, and not because the
 * kernel has made room. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_send(sluice_loop *loop,
                                                      struct sluice_stream *stream, bool by_call);
/* What was put off has been offered to the engine, and not all of it was `sent`. */
SLUICE_INTERNAL void sluice_output_send_put_off(sluice_loop *loop, ptrdiff_t sent);
/* Queues the write that was put off, if it belongs to `stream`. Returns 0; or SLUICE_ENOMEM or
 * SLUICE_EFULL, and the write is still put off. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_settle(sluice_loop *loop,
                                                        struct sluice_stream *stream);
/* The engine has `sent` this much since, or there is room again. */
SLUICE_INTERNAL void sluice_output_sent(sluice_loop *loop, struct sluice_stream *stream,
                                        size_t sent);
/* Writes all the bytes or none. Returns 0, 1 if the queue is over the high mark then, or an
 * error. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_write(sluice_loop *loop,
                                                       struct sluice_stream *stream,
                                                       const void *bytes, size_t length);
/* Takes note of bytes that the kernel took. A linger limit counts from the last of them. */
SLUICE_INTERNAL void sluice_output_count_sent(sluice_loop *loop, struct sluice_stream *stream,
                                              size_t sent);
/* Has the peer told that no more comes, once all is sent. Returns 0, -EPIPE, or an error of
 * sluice_output_settle. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_shutdown(sluice_loop *loop,
                                                          struct sluice_stream *stream);
/* The queue has changed: does that take it over its high mark, or down to its low one? */
SLUICE_INTERNAL void sluice_output_heed_marks(sluice_loop *loop, struct sluice_stream *stream,
                                              bool by_call);
/* Nothing more will go. Forgets what is queued, but not how much it was. */
SLUICE_INTERNAL void sluice_output_drop(sluice_loop *loop, struct sluice_stream *stream);

/* ---- Bytes that come again: held.c ----------------------------------------------------------- */

/* Decides what becomes of the bytes of *event if some are held or waited for, or may be. */
SLUICE_INTERNAL enum sluice_received_as
sluice_held_receive(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event);
/* Whether the bytes that come again may come now, by themselves. */
SLUICE_INTERNAL bool sluice_held_is_due(const struct sluice_stream *stream);
/* A pause has ended: the held bytes come in the next turn. */
SLUICE_INTERNAL void sluice_held_resume(sluice_loop *loop, struct sluice_stream *stream);
/* Makes a DATA event of the bytes that come again. */
SLUICE_INTERNAL void sluice_held_tell(sluice_loop *loop, struct sluice_stream *stream,
                                      sluice_event *event);
/* Drops what is held, once it is not lent any more. */
SLUICE_INTERNAL void sluice_held_release(sluice_loop *loop, struct sluice_stream *stream);
/* The bytes that come again, `extras->held` of them; NULL if there are none. */
SLUICE_INTERNAL const unsigned char *sluice_held_again(const sluice_loop *loop,
                                                       const struct sluice_stream *stream);
/* Notes a block of memory that is in an event and belongs to nobody. It is freed at the next
 * pull. */
SLUICE_INTERNAL void sluice_lend_block(sluice_loop *loop, void *block, size_t length);
SLUICE_INTERNAL void sluice_lent_take_back(sluice_loop *loop);
/* Notes the answerable event as lent. That is left out as long as nobody needs it. */
SLUICE_INTERNAL void sluice_lend_answerable(sluice_loop *loop);
/* The bytes of the stream's event, if that is still valid; or NULL. */
SLUICE_INTERNAL struct sluice_lent *sluice_lent_by(const sluice_loop *loop,
                                                   const struct sluice_stream *stream);
/* Whether those bytes are the block of what the stream holds. */
SLUICE_INTERNAL bool sluice_lent_is_held(const struct sluice_stream *stream,
                                         const struct sluice_lent *lent);
/* If so, this gives that block to the caller. *size is what it counts for. Those of its bytes that
 * come again are copied. Returns 0, or SLUICE_ENOMEM or SLUICE_EFULL with nothing changed. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_held_give(sluice_loop *loop, struct sluice_stream *stream,
                                                    const struct sluice_lent *lent, size_t *size);

/* ---- What one stream receives is another's output: forward.c ----------------------------------
 */

/* Passes on what came. False if `from` is not forwarded, or the other stream takes no more. Then
 * what came is the caller's. */
SLUICE_INTERNAL bool sluice_forward_pass(sluice_loop *loop, struct sluice_stream *from,
                                         const unsigned char *bytes, size_t length);
SLUICE_INTERNAL bool sluice_forward_end_of_input(sluice_loop *loop, struct sluice_stream *from);
/* Whether it is forwarded to a stream that is forwarded to it. */
SLUICE_INTERNAL bool sluice_forward_is_mutual(const sluice_loop *loop,
                                              const struct sluice_stream *stream);
/* The output of `to` has come over its high mark, or is over it no longer. */
SLUICE_INTERNAL void sluice_forward_hold_back(sluice_loop *loop, struct sluice_stream *to,
                                              bool back);
/* Ends the forwarding from and to a stream that ends. */
SLUICE_INTERNAL void sluice_forward_end(sluice_loop *loop, struct sluice_stream *stream);

#endif

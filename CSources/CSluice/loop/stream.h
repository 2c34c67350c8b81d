/* stream.h - what a stream is: two directions, each a small machine of its own, and one place that
 * says what follows from the two.
 *
 * The machine (ARCHITECTURE.md has it as a table):
 *
 *     input:   open -> ended     the peer's end has been received
 *                   -> failed    a receive, a connect or a time limit has failed
 *     output:  open -> finishing the peer is to be told of our end once all is sent
 *                   -> finished  it has been told, or there is no output
 *              any  -> failed    a send has failed: what is queued will not go
 *
 * An open input may have obstacles: paused by the caller, its own output over the high mark, or
 * held back, since the output of the stream that it is forwarded to is.
 *
 * No call, and no completion, ends a stream. They change a direction, note the first error, and put
 * the stream on the agenda. Between two events sluice_stream_follow takes each stream on the agenda
 * and does what its state asks for: send, tell the peer, receive or not, or end.
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
    /* The input; open where neither is set. */
    INPUT_ENDED = 1 << 0,
    INPUT_FAILED = 1 << 1,
    INPUT_OVER = INPUT_ENDED | INPUT_FAILED,

    /* The output; open where none is set, else one of them. */
    OUTPUT_FINISHING = 1 << 2,
    OUTPUT_FINISHED = 1 << 3,
    OUTPUT_FAILED = 1 << 4,
    OUTPUT_OVER = OUTPUT_FINISHING | OUTPUT_FINISHED | OUTPUT_FAILED,

    /* Obstacles; a stream that is over its mark has one where it THROTTLES. */
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

    STREAM_ON_AGENDA = 1 << 15, /* in the loop's list of those, and so below */
    STREAM_TO_NOTIFY = 1 << 16,
    STREAM_RECEIVES = 1 << 29, /* what the engine has been told */
    STREAM_GRACE = 1 << 30, /* its deadline has been put off once, since something came in time */

    /* What it is, for its whole life. */
    STREAM_NO_SOCKET = 1 << 17, /* a pipe, a terminal: cannot be shut down in one direction */
    STREAM_HALF_OPEN = 1 << 18,
    STREAM_THROTTLES = 1 << 19,
    STREAM_NO_INPUT = 1 << 20,  /* write-only: of it comes nothing but its end */
    STREAM_TIMED = 1 << 21,     /* has an idle timeout */
    STREAM_UNBLOCKED = 1 << 22, /* was blocking before it was adopted */
    STREAM_EXTRAS = 1 << 23,    /* `extras` is not NULL */

    /* Events that wait to be pulled, in this order. */
    NOTICE_CONNECTED = 1 << 24, /* while CONNECTING: it has failed, which is no event */
    NOTICE_HELD = 1 << 25,      /* DATA with what is held: its input is over, or it is resumed */
    NOTICE_EOF = 1 << 26,
    NOTICE_DRAINED = 1 << 27,
    NOTICE_CLOSED = 1 << 28,
    NOTICES = 0x1f << 24,
    NOTICES_OF_INPUT = NOTICE_HELD | NOTICE_EOF,

    /* With any of these, no write is taken. */
    TAKES_NO_WRITE = OUTPUT_OVER | STREAM_CLOSING,

    /* With any of these, what is received is more than an event. */
    STREAM_APART = STREAM_CLOSING | STREAM_TIMED | STREAM_EXTRAS | OUTPUT_FAILED
};

/* A fork's child has it from its parent, which has the connection too. An enum has no room for it.
 */
#define STREAM_INHERITED (UINT32_C(1) << 31)

/* Streams that behave alike: those of one listener, or those that were made with the same options.
 * Invariant: `users` is how many streams are of it, and one more where it is a listener's or the
 * loop's default; it ends with the last of them. */
struct sluice_cohort {
    struct sluice_slot slot;
    uint32_t users;
    uint32_t listener; /* 1 + its index; 0 where there is none, or none any more */
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
    uint32_t forward_from; /* the first of those that are forwarded here; or SLUICE_NO_SLOT */
    uint32_t forward_next; /* of those that are forwarded to the same, the next */
    bool owes_eof;         /* the end of the input went to another stream */
    bool cut_off;          /* one that was forwarded here has failed: the peer has a part */
    bool resumed;          /* NOTICE_HELD is to be set for the next turn; no input comes before */
    size_t held;           /* bytes that come again */
    size_t held_capacity;
    unsigned char *held_bytes;
    size_t awaited; /* DATA waits until so many bytes are there; 0 where it does not wait */
    size_t told;    /* how many of those held have been in a DATA before; the others wait, too */
};

/* Kept small: 10,000 idle ones are what a server has most of. Invariants:
 * - `fd` is -1 where it is closed, by us or, behind our back, by others; an ENDED stream's is, and
 *   while CONNECTING that of one that connects by name, or whose connect failed at the call;
 * - `error` is the first thing that went wrong in either direction, or 0;
 * - OUTPUT_FAILED or ENDED: `output` has no chunks, and its length is what was not sent;
 * - `remaining` is how many bytes more may be received once the output has failed;
 * - ON_AGENDA, TO_NOTIFY: it is in that list of the loop, and only then;
 * - OVER_MARK: its output was over the high mark and has not fallen to the low one since; or
 *   FILE_WAITS, which is never without it;
 * - slot.own is its place among loop->lent, where that names it. */
struct sluice_stream {
    struct sluice_slot slot;
    struct sluice_bytes output;
    struct sluice_extras *extras; /* NULL while it needs none */
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
    uint32_t first; /* SLUICE_NO_SLOT where it is empty */
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
    uint32_t traits; /* of the state: NO_INPUT, UNBLOCKED, OUTPUT_FINISHED where it is read-only */
    int64_t connect_timeout_ns; /* INT64_MAX for none */
    uint64_t user;
};

/* Makes a stream of start->fd, which stays the caller's on failure. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_begin(sluice_loop *loop, const struct sluice_stream_start *start, sluice_id *id);

/* Takes that back, of a stream without a descriptor that nobody has heard of. */
SLUICE_INTERNAL void sluice_stream_forget(sluice_loop *loop, struct sluice_stream *stream);

/* Has sluice_stream_follow see to the stream before the next event. */
SLUICE_INTERNAL void sluice_stream_on_agenda(sluice_loop *loop, struct sluice_stream *stream);

/* In the child of a fork: what is queued is the parent's to send, and so is the restoring of what
 * the two share. */
SLUICE_INTERNAL void sluice_streams_after_fork(sluice_loop *loop);

/* Sees to each stream on the agenda, once: true with an event, which is the CLOSED of the last. */
SLUICE_INTERNAL bool sluice_streams_follow(sluice_loop *loop, sluice_event *event);

/* Ends a stream: closes its descriptor; its CLOSED is then to be given. Only what carries ends out
 * calls it: sluice_streams_follow, sluice_abort, which is the caller's own end, and sluice_destroy.
 */
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

/* Its deadline has come, and is none any more. */
SLUICE_INTERNAL void sluice_stream_deadline(sluice_loop *loop, struct sluice_stream *stream);
/* Of a stream that is TIMED: a byte has come or gone. */
SLUICE_INTERNAL void sluice_stream_postpone_idle(sluice_loop *loop, struct sluice_stream *stream);

/* What bytes that the engine has received are to the caller. */
enum sluice_received_as {
    SLUICE_RECEIVED_NOTHING, /* they are dropped, or another stream's */
    SLUICE_RECEIVED_BYTES,   /* an event as they are */
    SLUICE_RECEIVED_MORE     /* an event together with those held, which has been made of them */
};

/* Of a stream with a bit of STREAM_APART. */
SLUICE_INTERNAL enum sluice_received_as
sluice_stream_received(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event);

/* What else the engine has completed, told in *event. */
SLUICE_INTERNAL void sluice_stream_complete(sluice_loop *loop, struct sluice_stream *stream,
                                            enum sluice_operation operation,
                                            const sluice_event *event);

/* Its connect has been completed, or has failed with `error`. */
SLUICE_INTERNAL void sluice_stream_connected(sluice_loop *loop, struct sluice_stream *stream,
                                             int error);
/* Of a stream just made, without a descriptor: its connect has failed in the call that began it. It
 * goes on as one under way, and fails in the next turn. */
SLUICE_INTERNAL void sluice_stream_failed_to_connect(sluice_loop *loop,
                                                     struct sluice_stream *stream, int error);

/* Its CLOSED is being pulled: what was said of its name can still be asked for by its id. */
SLUICE_INTERNAL void sluice_stream_told_end(sluice_loop *loop, struct sluice_stream *stream);

/* Its extras, made where it has none; NULL where memory ran out. */
SLUICE_INTERNAL struct sluice_extras *sluice_stream_extras(sluice_loop *loop,
                                                           struct sluice_stream *stream);
/* Frees them where nothing is in them any more: a stream with some takes a longer way. */
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
/* The connection is broken, and the peer had ended before: only its end is left to receive. Where
 * the caller has paused the stream, CLOSED alone tells of it. EOF would wait for the resume. */
SLUICE_INTERNAL void sluice_input_ended_unseen(sluice_loop *loop, struct sluice_stream *stream);
/* Nobody wants the input any more, and the peer is to be told of the end once all is sent. */
static inline void sluice_stream_begin_closing(struct sluice_stream *stream) {
    stream->state |= STREAM_CLOSING;
    stream->state &= ~(uint32_t)(NOTICES & ~NOTICE_CONNECTED);
    if (!(stream->state & OUTPUT_OVER))
        stream->state |= OUTPUT_FINISHING;
}
/* An idle limit does not run while it is us who do not read: starts or stops it. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_stream_heed_idleness(sluice_loop *loop,
                                                               struct sluice_stream *stream);
/* Bounds how long a close may take. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_stream_linger(sluice_loop *loop,
                                                        struct sluice_stream *stream);

/* ---- What waits to be told: notices.c -------------------------------------------------------- */

/* Has the events of `notices` given: in this turn, or `later`, in the next one, where it is a call
 * of the caller's that they come of. */
SLUICE_INTERNAL void sluice_stream_notify(sluice_loop *loop, struct sluice_stream *stream,
                                          uint32_t notices, bool later);

/* Makes its CLOSED an event, by which it is gone. */
SLUICE_INTERNAL void sluice_stream_tell_closed(sluice_loop *loop, struct sluice_stream *stream,
                                               uint32_t index, sluice_event *event);

/* Its EOF is being pulled: the loop closes it next, but where it is to stay half-open. */
SLUICE_INTERNAL void sluice_stream_told_eof(sluice_loop *loop, struct sluice_stream *stream,
                                            uint32_t index);

/* The turn's next of these events, or false where none is due. `todo` says whether some are left.
 */
SLUICE_INTERNAL bool sluice_stream_notice(sluice_loop *loop, sluice_event *event);
/* The turn's end has come: so do those of streams that are resumed. */
SLUICE_INTERNAL void sluice_stream_tell_resumed(sluice_loop *loop);

/* ---- How streams behave: cohorts.c ----------------------------------------------------------- */

/* What a sluice_stream_options asks for, checked and completed. */
struct sluice_stream_settings {
    uint32_t
        flags; /* enum sluice_stream_flag; THROTTLED says whether it is, and UNTHROTTLED goes */
    uint32_t idle_ms;
    uint32_t linger_ms;
    uint32_t keepalive_seconds;
    int64_t connect_timeout_ns; /* INT64_MAX for none */
    size_t high_mark;
    size_t low_mark;
    const char *source; /* of the options, and so the caller's */
};

/* 0 or SLUICE_EOPTION. NULL gives the defaults, which for what a listener accepts are others. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_settings_of(const sluice_loop *loop, const sluice_stream_options *options,
                          bool accepted, struct sluice_stream_settings *settings);

/* Sets on a TCP socket, or a listener that its connections inherit from, what they say. */
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_configure(int fd, const struct sluice_stream_settings *settings);

/* A socket that is yet to connect to `address`, made as they say; or an error. */
struct sluice_address;
SLUICE_INTERNAL SLUICE_CHECKED int
sluice_stream_socket(const struct sluice_address *address,
                     const struct sluice_stream_settings *settings);

/* A cohort with these settings: one that is there already, but for a `listener` (1 + its index; 0
 * for none), whose streams are counted. It has one more user then, to be let go of. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_cohort_join(sluice_loop *loop,
                                                      const struct sluice_stream_settings *settings,
                                                      uint32_t listener, uint32_t *cohort);
/* The last of them has gone. */
SLUICE_INTERNAL void sluice_cohort_end(sluice_loop *loop, uint32_t cohort);

/* ---- Output: output.c ------------------------------------------------------------------------ */

/* Sends what is queued, as far as that goes; 0, or the error that has failed the output. `by_call`:
 * what the caller wrote since the last pull, and not what the kernel has made room for. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_send(sluice_loop *loop,
                                                      struct sluice_stream *stream, bool by_call);
/* What was put off has been offered to the engine, and not all of it `sent`. */
SLUICE_INTERNAL void sluice_output_send_put_off(sluice_loop *loop, ptrdiff_t sent);
/* Queues the write that was put off, if it is that of `stream`: 0; or SLUICE_ENOMEM or
 * SLUICE_EFULL, and it is still put off. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_settle(sluice_loop *loop,
                                                        struct sluice_stream *stream);
/* The engine has sent so much since, or there is room again. */
SLUICE_INTERNAL void sluice_output_sent(sluice_loop *loop, struct sluice_stream *stream,
                                        size_t sent);
/* Writes, whole or not at all: 0, 1 where the queue is over the high mark then, or an error. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_write(sluice_loop *loop,
                                                       struct sluice_stream *stream,
                                                       const void *bytes, size_t length);
/* Takes note of bytes that the kernel took: a linger limit counts from the last of them. */
SLUICE_INTERNAL void sluice_output_count_sent(sluice_loop *loop, struct sluice_stream *stream,
                                              size_t sent);
/* Has the peer told that no more comes, once all is sent: 0, -EPIPE, or as of sluice_output_settle.
 */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_output_shutdown(sluice_loop *loop,
                                                          struct sluice_stream *stream);
/* The queue has changed: does that take it over its high mark, or down to its low one? */
SLUICE_INTERNAL void sluice_output_heed_marks(sluice_loop *loop, struct sluice_stream *stream,
                                              bool by_call);
/* Nothing more will go: forgets what is queued, but for how much it was. */
SLUICE_INTERNAL void sluice_output_drop(sluice_loop *loop, struct sluice_stream *stream);

/* ---- Bytes that come again: held.c ----------------------------------------------------------- */

/* What the bytes of *event are to the caller, where some are held or waited for, or may be. */
SLUICE_INTERNAL enum sluice_received_as
sluice_held_receive(sluice_loop *loop, struct sluice_stream *stream, sluice_event *event);
/* Whether those that come again may come now, by themselves. */
SLUICE_INTERNAL bool sluice_held_is_due(const struct sluice_stream *stream);
/* A pause has ended: they come in the next turn. */
SLUICE_INTERNAL void sluice_held_resume(sluice_loop *loop, struct sluice_stream *stream);
/* Makes a DATA event of those that come again. */
SLUICE_INTERNAL void sluice_held_tell(sluice_loop *loop, struct sluice_stream *stream,
                                      sluice_event *event);
/* What is held goes, once it is not lent any more. */
SLUICE_INTERNAL void sluice_held_release(sluice_loop *loop, struct sluice_stream *stream);
/* Those that come again, `extras->held` of them; NULL where there are none. */
SLUICE_INTERNAL const unsigned char *sluice_held_again(const sluice_loop *loop,
                                                       const struct sluice_stream *stream);
/* Notes a block of memory that is nobody's, and in an event: it is freed at the next pull. */
SLUICE_INTERNAL void sluice_lend_block(sluice_loop *loop, void *block, size_t length);
SLUICE_INTERNAL void sluice_lent_take_back(sluice_loop *loop);
/* Notes the event that is answerable as lent, which is left out as long as nobody needs it. */
SLUICE_INTERNAL void sluice_lend_answerable(sluice_loop *loop);
/* The bytes of the stream's event, where that is still valid; or NULL. */
SLUICE_INTERNAL struct sluice_lent *sluice_lent_by(const sluice_loop *loop,
                                                   const struct sluice_stream *stream);
/* Whether they are the block of what the stream holds. */
SLUICE_INTERNAL bool sluice_lent_is_held(const struct sluice_stream *stream,
                                         const struct sluice_lent *lent);
/* Then that block is the caller's from now on, and *size what it counts for; those of its bytes
 * that come again are copied. 0, or SLUICE_ENOMEM or SLUICE_EFULL with nothing changed. */
SLUICE_INTERNAL SLUICE_CHECKED int sluice_held_give(sluice_loop *loop, struct sluice_stream *stream,
                                                    const struct sluice_lent *lent, size_t *size);

/* ---- What one stream receives is another's output: forward.c ----------------------------------
 */

/* False where `from` is not forwarded, or to one that takes no more: then it is the caller's. */
SLUICE_INTERNAL bool sluice_forward_pass(sluice_loop *loop, struct sluice_stream *from,
                                         const unsigned char *bytes, size_t length);
SLUICE_INTERNAL bool sluice_forward_end_of_input(sluice_loop *loop, struct sluice_stream *from);
/* Whether it is forwarded to a stream that is forwarded to it. */
SLUICE_INTERNAL bool sluice_forward_is_mutual(const sluice_loop *loop,
                                              const struct sluice_stream *stream);
/* The output of `to` has come over its high mark, or not any longer. */
SLUICE_INTERNAL void sluice_forward_hold_back(sluice_loop *loop, struct sluice_stream *to,
                                              bool back);
/* Ends the forwards from and to a stream that ends. */
SLUICE_INTERNAL void sluice_forward_end(sluice_loop *loop, struct sluice_stream *stream);

#endif

/* loop_model.h - a plain model of one loop and the peers of its streams, for loop_model_script.c.
 *
 * For each stream the model keeps what was written to it and what its peer wrote, and so what may
 * come. It checks each event when it is pulled. It also checks each pull that finds nothing: then
 * nothing may be left that should have come. Bytes are a function of a salt and a position. So a
 * few pieces describe what is in flight, and the bytes need not be kept.
 *
 * There is one model at a time. A check that fails names the seed of the script.
 */
#ifndef LOOP_MODEL_H
#define LOOP_MODEL_H

#include "differential.h"

enum { STREAMS = 6, TIMERS = 6, WATCHES = 3, MOST_EVENTS = 8, PIECES = 64, WAITING = 4, KEPT = 12 };

/* The most bytes that one call of a script moves. */
#define MOST_BYTES ((size_t)100 * 1024)

enum means { SOCKET_PAIR, TCP, PIPE_IN, PIPE_OUT };

/* Bytes that are on their way: the bytes of `salt` from `begin` on. */
struct piece {
    uint64_t salt;
    size_t begin;
    size_t length;
};

struct stream {
    bool used;
    bool known; /* it has an id. It has none while the peer waits to be accepted */
    sluice_id id;
    uint64_t user;
    enum means means;
    int peer; /* -1 if there is none any more */
    bool half_open;
    bool throttles; /* over its high mark, the loop does not read from it */
    size_t high_mark;
    size_t low_mark;
    bool connecting;
    bool refused;
    bool paused;
    bool resumed; /* and it held bytes then, which come again */
    bool shut;    /* it takes no more writes */
    bool closing; /* by the script, or by itself after EOF */
    bool aborted;
    bool ended; /* only its CLOSED may come */

    /* To the peer. */
    uint64_t salt;
    size_t written;
    struct piece pieces[PIECES];
    size_t piece_count;
    size_t accepted; /* the length of all pieces so far */
    size_t arrived;
    bool may_drain; /* it has been over its high mark since the last DRAINED */
    bool put_off;   /* it has an answer of lent bytes, which may be queued at the pull */
    int reason;     /* the reason that it was aborted with */
    int64_t unsent; /* when it was aborted */
    bool uncertain; /* it is not known how much of the last piece was passed on */

    /* From the peer. */
    uint64_t peer_salt;
    size_t sent;
    size_t taken; /* by DATA, without held bytes */
    size_t held;
    bool told_last;  /* SLUICE_LAST */
    size_t awaited;  /* DATA waits until so many bytes are there; 0 for any */
    size_t lent_end; /* where the DATA of this pull ended, and which pull it was */
    uint64_t lent_at;
    size_t lent_length;
    bool finished; /* the peer has ended its output */
    bool gone;     /* the peer is closed: what is on its way may be lost */
    bool deaf;     /* the peer reads no more, and may go on sending */
    bool robbed;   /* its descriptor was closed from outside */
    size_t due; /* what must come at least if a send fails: it was sent before a send could fail */
    bool eof;

    struct stream *forward_to;
    bool was_forwarded;
    bool is_target; /* it gets bytes of others, so the script writes none of its own */
};

/* What has been kept of an event, until it is returned. */
struct kept {
    void *name; /* NULL if there is none */
    const unsigned char *data;
    struct piece bytes;
};

struct timer {
    sluice_id id; /* 0 if there is none */
    uint64_t user;
    int64_t deadline;
    int64_t repeat;
    uint64_t order; /* of setting */
    uint64_t turn;  /* in which it was set */
};

struct watch {
    sluice_id id;
    uint64_t user;
    uint32_t interest;
    int near;
    int far;
    uint64_t turn; /* in which its interest was changed */
};

struct model {
    struct choices *choices;
    const char *backend;
    /* Other models do the same over other backends, and are compared with this one. Then the script
     * does nothing whose result depends on time or on the order of descriptors that are ready. */
    bool in_lockstep;
    int step;
    uint64_t pull; /* how many pulls there were */
    sluice_loop *loop;
    size_t high_mark;
    size_t low_mark;
    size_t hard_limit;
    uint64_t last_user;
    uint64_t last_salt;
    bool forwarded; /* somewhere in this script */
    uint64_t total_accepted;
    uint64_t total_unsent;

    struct stream streams[STREAMS];
    sluice_id listener; /* 0 for none */
    sluice_stream_options listener_streams;
    uint64_t listener_user;
    char address[SLUICE_ADDRESS_MAX];
    struct stream *waiting[WAITING]; /* to be accepted, in order */
    size_t waiting_count;

    struct timer timers[TIMERS];
    uint64_t last_order;
    int64_t last_fired; /* of this turn */
    uint64_t last_fired_turn;
    struct watch watches[WATCHES];
    uint64_t posted;
    uint64_t posts_seen;

    sluice_event events[MOST_EVENTS]; /* of the last pull */
    struct piece event_bytes[MOST_EVENTS];
    bool event_was_kept[MOST_EVENTS];
    int event_count;
    struct kept kept[KEPT];
};

extern struct model model;

void check(bool holds, const char *what);
uint32_t below(uint32_t end);
bool one_in(uint32_t n);

/* Bytes of a salt, from a position on. The caller may read MOST_EVENTS times MOST_BYTES of them. */
const unsigned char *pattern(uint64_t salt, size_t position);
void fill_noise(void);

/* A place for a new stream with its peer, or NULL. */
struct stream *new_stream(enum means means, int peer);
struct stream *stream_of(sluice_id id);
/* Its place, which is its name in messages. */
int place_of(const struct stream *stream);

/* Notes how the stream will behave. */
void note_options(struct stream *stream, const sluice_stream_options *options, bool accepted);
/* Whether a send to its peer may fail. */
bool may_fail_to_send(const struct stream *stream);

/* What is queued. Or -1 if the stream has ended meanwhile, which is noted. */
int64_t pending_of(struct stream *stream);
/* Notes what was written by a successful call. */
void note_written(struct stream *stream, uint64_t salt, size_t begin, size_t length);

/* The peer reads at most `most` bytes. Returns how many, 0 at the end, or -errno. */
ptrdiff_t peer_read(struct stream *stream, size_t most);
void peer_close(struct stream *stream);

/* Pulls once and checks what came. If nothing came, it checks that nothing should have come. */
void pull(int capacity, int64_t timeout_ns);

/* Ends a stream's forward in the model. */
void note_forward_end(struct stream *from);
/* Notes what has been forwarded so far. `data` bytes of what was received were events. */
void note_forwarded(struct stream *from, size_t data);

/* loop_model_script.c: begins with a loop over `backend`, takes any step, and ends. settle_model
 * first brings every stream to its end, and fails if a stream is left. end_model does not wait. */
void begin_model(struct choices *choices, const char *backend, bool in_lockstep);
void take_model_step(void);
void settle_model(void);
void end_model(void);

/* loop_model_calls.c: each function chooses a stream, or none. */
void write_some(bool in_pieces);
void answer(void);
void answer_event(int e); /* by its own stream, with all of it */
void flush(void);
void shut_down(void);
void pause_or_resume(void);
void hold(void);
void hold_event(int e, size_t length, size_t total);
void keep_event(void);
void answer_kept(void);
void return_kept(void);
void return_all(void);
void forward(void);
void close_one(struct stream *stream);
void end_one(void);
void peer_writes(void);
void peer_reads(void);
void peer_ends(void);
/* Closes a stream's descriptor behind the loop's back: the stream must come to its end. */
void rob_one(void);

/* loop_model_others.c */
uint64_t turn(void);
void timer_event(const sluice_event *event);
void watch_event(const sluice_event *event);
void posted_event(const sluice_event *event);
void check_others_idle(int64_t pulled_at, uint64_t turn_before);
void set_timer(void);
void reset_timer(void);
void cancel_timer(void);
void start_watch(void);
void change_watch(void);
void end_watch(struct watch *watch);
void post_some(void);

#endif

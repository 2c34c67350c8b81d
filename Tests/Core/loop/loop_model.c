/* loop_model.c - the streams of the model: see loop_model.h. */
#include "loop_model.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

#define NOISE 65521
#define NOISE_TAIL ((size_t)1024 * 1024)

struct model model;
static unsigned char noise[NOISE + NOISE_TAIL];

void check(bool holds, const char *what) {
    check_choices(model.choices, model.step, holds, what);
}

uint32_t below(uint32_t end) {
    return choose_below(model.choices, end);
}

bool one_in(uint32_t n) {
    return below(n) == 0;
}

void fill_noise(void) {
    static bool done;
    if (done)
        return;
    done = true;
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1664525 + 1013904223;
        noise[i] = i < NOISE ? (unsigned char)(state >> 24) : noise[i - NOISE];
    }
}

const unsigned char *pattern(uint64_t salt, size_t position) {
    return &noise[(salt * 7919 + position) % NOISE];
}

/* ---- Streams -----------------------------------------------------------------------------------
 */

struct stream *new_stream(enum means means, int peer) {
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &model.streams[i];
        if (stream->used)
            continue;
        *stream = (struct stream){.used = true, .means = means, .peer = peer};
        stream->salt = ++model.last_salt;
        stream->peer_salt = ++model.last_salt;
        return stream;
    }
    return NULL;
}

struct stream *stream_of(sluice_id id) {
    for (size_t i = 0; i < STREAMS; i++)
        if (model.streams[i].known && model.streams[i].id == id)
            return &model.streams[i];
    check(false, "an event of a stream that is none");
    return NULL;
}

void note_options(struct stream *stream, const sluice_stream_options *options, bool accepted) {
    stream->half_open = (options->flags & SLUICE_HALF_OPEN) != 0;
    stream->throttles =
        (options->flags & SLUICE_THROTTLED) || (accepted && !(options->flags & SLUICE_UNTHROTTLED));
    stream->high_mark = options->high_mark ? options->high_mark : model.high_mark;
    stream->low_mark = options->low_mark    ? options->low_mark
                       : options->high_mark ? options->high_mark / 4
                                            : model.low_mark;
}

bool may_fail_to_send(const struct stream *stream) {
    return stream->gone || stream->deaf || stream->robbed;
}

int place_of(const struct stream *stream) {
    return (int)(stream - model.streams);
}

int64_t pending_of(struct stream *stream) {
    int64_t pending = sluice_pending(model.loop, stream->id);
    if (pending >= 0) {
        check(!stream->ended, "a stream lives that had ended");
        if (!stream->uncertain && !stream->is_target)
            check((size_t)pending <= stream->accepted - stream->arrived, "too much is pending");
        return pending;
    }
    check(pending == SLUICE_ESTALE, "pending");
    stream->ended = true;
    return -1;
}

void note_written(struct stream *stream, uint64_t salt, size_t begin, size_t length) {
    struct piece *last = stream->piece_count ? &stream->pieces[stream->piece_count - 1] : NULL;
    stream->accepted += length;
    model.total_accepted += length;
    if (last && last->salt == salt && last->begin + last->length == begin) {
        last->length += length;
        return;
    }
    check(stream->piece_count < PIECES, "too many pieces for the model");
    stream->pieces[stream->piece_count++] = (struct piece){salt, begin, length};
}

/* Takes bytes that the peer has read from the pieces. */
static void arrive(struct stream *stream, const unsigned char *bytes, size_t length) {
    stream->arrived += length;
    while (length > 0) {
        check(stream->piece_count > 0, "the peer received more than was written");
        struct piece *first = &stream->pieces[0];
        size_t part = first->length < length ? first->length : length;
        check(memcmp(bytes, pattern(first->salt, first->begin), part) == 0,
              "the peer received other bytes");
        first->begin += part;
        first->length -= part;
        bytes += part;
        length -= part;
        if (first->length == 0) {
            stream->piece_count--;
            memmove(first, first + 1, stream->piece_count * sizeof *first);
        }
    }
}

ptrdiff_t peer_read(struct stream *stream, size_t most) {
    static unsigned char bytes[MOST_BYTES];
    ptrdiff_t count = read(stream->peer, bytes, most < sizeof bytes ? most : sizeof bytes);
    if (count < 0)
        return -errno;
    arrive(stream, bytes, (size_t)count);
    return count;
}

void peer_close(struct stream *stream) {
    if (stream->peer >= 0)
        close(stream->peer);
    stream->peer = -1;
    if (!stream->deaf)
        stream->due = stream->sent;
    stream->gone = stream->finished = true;
}

/* ---- Forwards ----------------------------------------------------------------------------------
 */

void note_forward_end(struct stream *from) {
    from->forward_to = NULL;
}

void note_forwarded(struct stream *from, size_t data) {
    struct stream *to = from->forward_to;
    int unread = 0;
    int fd = sluice_fd(model.loop, from->id);
    size_t consumed = from->sent;
    if (fd >= 0) {
        check(ioctl(fd, FIONREAD, &unread) == 0, "FIONREAD");
        consumed -= (size_t)unread;
    } else {
        check(fd == SLUICE_ESTALE, "fd");
        from->ended = true;
        to->uncertain |= !from->finished || from->gone;
        to->is_target = true;
        note_forward_end(from);
        data = 0;
    }
    check(consumed >= from->taken + data, "bytes were received that were not there");
    size_t passed = consumed - from->taken - data;
    if (passed > 0)
        note_written(to, from->peer_salt, from->taken, passed);
    from->taken += passed;
}

/* ---- Events ------------------------------------------------------------------------------------
 */

static void check_data(const sluice_event *event, struct stream *stream, struct piece *bytes) {
    check(!stream->ended && !stream->eof && !stream->closing && !stream->connecting,
          "DATA out of its time");
    check(!stream->paused, "DATA of a paused stream");
    /* This pull may have sent what was queued, and may report that later. A queue that cannot be
     * sent is no reason to wait. */
    check(!stream->throttles || !stream->may_drain || may_fail_to_send(stream) ||
              sluice_pending(model.loop, stream->id) <= (int64_t)stream->low_mark,
          "DATA of a stream over its high mark");
    const struct stream *to = stream->forward_to;
    check(!to || to->shut || to->closing || to->ended || may_fail_to_send(to),
          "DATA of a forwarded stream");
    bool again = stream->resumed && event->length == stream->held;
    check(event->length > stream->held || again ||
              (stream->finished && event->length == stream->held),
          "DATA without new bytes");
    check(event->length >= stream->awaited || stream->finished || may_fail_to_send(stream),
          "DATA before all that it waits for");
    bool is_last =
        stream->awaited > 0 ? event->length < stream->awaited : event->length == stream->held;
    if (again && !stream->told_last && !(event->value & SLUICE_LAST))
        is_last = false;
    check(!is_last || stream->finished || may_fail_to_send(stream), "the last before the end");
    check((!stream->told_last || again) &&
              event->value == (stream->held << 1 | (is_last ? SLUICE_LAST : 0)),
          "what DATA says of its bytes");
    stream->told_last = is_last;
    check(event->length > 0 && stream->taken + event->length <= stream->sent,
          "more DATA than was sent");
    *bytes = (struct piece){stream->peer_salt, stream->taken, event->length};
    check(memcmp(event->data, pattern(bytes->salt, bytes->begin), bytes->length) == 0,
          "other bytes in DATA");
    stream->taken += event->length;
    stream->held = stream->awaited = 0;
    stream->resumed = false;
    stream->lent_end = stream->taken;
    stream->lent_length = event->length;
    stream->lent_at = model.pull;
}

static void check_eof(struct stream *stream) {
    check(!stream->ended && !stream->eof && !stream->closing && !stream->connecting,
          "EOF out of its time");
    check(!stream->paused, "EOF of a paused stream");
    check(stream->finished, "EOF before the peer's end");
    check(stream->taken + stream->held == stream->sent, "EOF before all DATA");
    stream->eof = true;
}

/* Reads what is on its way to the peer of a closed stream, and compares it. */
static void finish_peer(struct stream *stream, bool orderly) {
    while (stream->peer >= 0 && stream->means != PIPE_IN) {
        ptrdiff_t count = peer_read(stream, MOST_BYTES);
        if (count == 0 || (count < 0 && count != -EAGAIN)) {
            check(count == 0 || !orderly, "the peer saw an error at an orderly end");
            break;
        }
        struct pollfd look = {.fd = stream->peer, .events = POLLIN};
        check(count > 0 || poll(&look, 1, PATIENCE_MS) > 0, "the peer saw no end");
    }
    bool complete = orderly && stream->peer >= 0 && stream->means != PIPE_IN;
    check(!complete || stream->uncertain || stream->arrived == stream->accepted,
          "an orderly end lost bytes");
}

/* What the peer had sent before a send failed has been told by now. Over TCP a reset takes along
 * what had not arrived. */
static void check_told(const struct stream *stream) {
    bool ends_input = stream->closing || stream->aborted || stream->robbed || stream->connecting ||
                      stream->was_forwarded || stream->means == TCP || stream->means == PIPE_OUT;
    check(ends_input || stream->taken + stream->held >= stream->due,
          "CLOSED before what the peer had sent was told");
}

static void check_closed(const sluice_event *event, struct stream *stream) {
    /* After EOF a stream closes by itself at the next pull. This has been noted as closing. */
    bool by_itself = (stream->was_forwarded && stream->finished) ||
                     (stream->is_target && (stream->eof || stream->means == PIPE_OUT));
    check_told(stream);
    bool input_ended = event->value == SLUICE_INPUT_ENDED;
    check(input_ended || event->value == 0, "the value of CLOSED");
    check(stream->finished || !input_ended, "CLOSED says that an input has ended that has not");
    check(input_ended || !stream->eof, "CLOSED does not say that the input has ended");
    switch (event->error) {
    case 0:
        check(stream->closing || by_itself, "CLOSED without a reason");
        check(event->length == 0, "an orderly CLOSED with bytes unsent");
        break;
    case -ECONNABORTED:
    case SLUICE_EFULL:
        check(stream->aborted && (int64_t)event->length == stream->unsent, "CLOSED of an abort");
        break;
    case -ECONNREFUSED:
        check(stream->refused, "CLOSED as refused");
        break;
    default:
        check((event->error == -ECONNRESET || event->error == -EPIPE ||
               (event->error == -EBADF && stream->robbed)) &&
                  may_fail_to_send(stream),
              "CLOSED with another error");
    }
    check(!stream->aborted || event->error == stream->reason, "an abort ended otherwise");
    check(!stream->aborted || (int64_t)event->length == stream->unsent, "the count of an abort");
    check(stream->uncertain || event->length <= stream->accepted - stream->arrived,
          "more is unsent than was written");
    model.total_unsent += event->length;
    finish_peer(stream, event->error == 0 && !stream->connecting);
    check(stream->uncertain || stream->arrived + event->length <= stream->accepted,
          "unsent bytes arrived");
    check(sluice_kind_of(model.loop, stream->id) == SLUICE_ESTALE, "the id of a CLOSED stream");
    for (size_t i = 0; i < STREAMS; i++)
        if (model.streams[i].forward_to == stream)
            note_forward_end(&model.streams[i]);
    peer_close(stream);
    *stream = (struct stream){.used = false};
}

static void check_accepted(const sluice_event *event) {
    check(model.waiting_count > 0 && event->value == model.listener, "ACCEPTED of nobody");
    check(event->user == model.listener_user, "the user word of ACCEPTED");
    struct stream *stream = model.waiting[0];
    model.waiting_count--;
    memmove(model.waiting, model.waiting + 1, model.waiting_count * sizeof(struct stream *));
    stream->known = true;
    stream->id = event->id;
    stream->user = event->user;
    check(sluice_kind_of(model.loop, event->id) == SLUICE_KIND_STREAM, "the kind of a stream");
}

static void check_event(const sluice_event *event, struct piece *bytes) {
    switch (event->kind) {
    case SLUICE_TIMER:
        timer_event(event);
        return;
    case SLUICE_READY:
        watch_event(event);
        return;
    case SLUICE_POSTED:
        posted_event(event);
        return;
    case SLUICE_ACCEPTED:
        check_accepted(event);
        return;
    default:
        break;
    }
    struct stream *stream = stream_of(event->id);
    check(event->user == stream->user, "another user word");
    if (event->kind == SLUICE_CONNECTED) {
        check(stream->connecting && !stream->refused, "CONNECTED twice, or in vain");
        stream->connecting = false;
    } else if (event->kind == SLUICE_DATA) {
        check_data(event, stream, bytes);
    } else if (event->kind == SLUICE_EOF) {
        check_eof(stream);
    } else if (event->kind == SLUICE_DRAINED) {
        /* The model says that a pipe that was shut down is closing. It ends only when all is sent.
         */
        check((stream->may_drain || stream->put_off || stream->is_target) &&
                  (!stream->closing || stream->means == PIPE_OUT),
              "DRAINED though it was not over its mark");
        stream->may_drain = stream->put_off = false;
    } else {
        check(event->kind == SLUICE_CLOSED, "an event of no kind");
        check_closed(event, stream);
    }
}

/* ---- Pulling -----------------------------------------------------------------------------------
 */

/* Within a pull a queue can go over its mark and back below it: if an answer had been put off, or
 * if a fault cuts a send short. */
static bool may_be_over_mark(const struct stream *stream) {
    return stream->may_drain ||
           ((stream->put_off || has_interposer()) &&
            sluice_pending(model.loop, stream->id) > (int64_t)stream->low_mark);
}

/* If the end of file is there for good, neither select nor libevent can wait for only a reset. */
static bool tells_resets(void) {
    return strcmp(model.backend, "poll") == 0 || strcmp(model.backend, "epoll") == 0;
}

static bool is_flowing(const struct stream *stream) {
    return !stream->paused && !(stream->throttles && may_be_over_mark(stream)) &&
           !stream->closing && !stream->eof && !stream->robbed && !stream->connecting &&
           stream->means != PIPE_OUT &&
           (!stream->forward_to || !may_be_over_mark(stream->forward_to));
}

/* Nothing should come, so nothing must have been left out. TCP may still be at work in the kernel.
 */
static void check_stream_idle(struct stream *stream) {
    check(!stream->ended, "CLOSED did not come");
    int64_t pending = pending_of(stream);
    check(pending >= 0, "a stream ended without CLOSED");
    bool fails = may_fail_to_send(stream);
    check(!stream->may_drain || stream->closing || pending > (int64_t)stream->low_mark || fails,
          "DRAINED did not come");
    if (stream->robbed)
        return;
    struct pollfd look = {.fd = sluice_fd(model.loop, stream->id), .events = POLLOUT};
    check(look.fd >= 0, "fd");
    if (stream->means == TCP || stream->connecting)
        return;
    check(pending == 0 || fails || poll(&look, 1, 0) == 0, "there is room, and bytes are pending");
    int unread = 0;
    check(ioctl(look.fd, FIONREAD, &unread) == 0, "FIONREAD");
    look.events = 0;
    /* Where the send was what has found it out, the turn after comes to the rest. And a hang-up
     * that was told before, without an error, hides one that comes later. */
    check(!tells_resets() || pending > 0 || stream->deaf || stream->means != SOCKET_PAIR ||
              unread > 0 || poll(&look, 1, 0) == 0 || !(look.revents & POLLERR),
          "there was a reset, and no CLOSED");
    check(unread == 0 || !is_flowing(stream), "there are bytes, and no DATA");
    check(stream->awaited == 0 || stream->taken + stream->awaited > stream->sent ||
              !is_flowing(stream) || fails,
          "there is all that DATA waits for, and no DATA");
    bool over =
        stream->finished && (stream->taken + stream->held == stream->sent || stream->awaited > 0);
    check(!over || stream->was_forwarded || !is_flowing(stream), "there was an end, and no EOF");
    check(!stream->resumed || !is_flowing(stream) || fails, "there is a resume, and no DATA");
    check(!stream->closing || (pending > 0 && !stream->gone) ||
              (stream->means == SOCKET_PAIR && !stream->finished),
          "a close did not end");
}

static void check_idle(int64_t pulled_at, uint64_t turn_before) {
    uint64_t streams = 0;
    uint64_t pending = 0;
    for (size_t i = 0; i < STREAMS; i++)
        if (model.streams[i].known) {
            check_stream_idle(&model.streams[i]);
            pending += (uint64_t)pending_of(&model.streams[i]);
            streams++;
        }
    sluice_statistics stats = {.size = sizeof stats};
    check(sluice_stats(model.loop, &stats) == 0, "stats");
    check(stats.handles[SLUICE_KIND_STREAM] == streams, "the number of streams");
    check(model.forwarded ||
              model.total_accepted == stats.bytes_sent + pending + model.total_unsent,
          "the number of bytes sent");
    check_others_idle(pulled_at, turn_before);
}

static void note_forwards(void) {
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *from = &model.streams[i];
        if (!from->forward_to)
            continue;
        size_t data = 0;
        for (int e = 0; e < model.event_count; e++)
            if (model.events[e].kind == SLUICE_DATA && model.events[e].id == from->id)
                data += model.events[e].length;
        note_forwarded(from, data);
    }
}

/* What becomes of streams between two pulls: what was pulled is done, and an end closes. */
static void begin_pull(void) {
    for (int e = 0; e < model.event_count; e++)
        if (model.events[e].kind == SLUICE_DATA)
            check(memcmp(model.events[e].data,
                         pattern(model.event_bytes[e].salt, model.event_bytes[e].begin),
                         model.event_bytes[e].length) == 0,
                  "DATA changed before the next pull");
    for (size_t i = 0; i < KEPT; i++) {
        const struct kept *kept = &model.kept[i];
        check(!kept->name || memcmp(kept->data, pattern(kept->bytes.salt, kept->bytes.begin),
                                    kept->bytes.length) == 0,
              "kept bytes changed");
    }
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &model.streams[i];
        /* Of a pipe nothing is left then. */
        if (stream->eof && (!stream->half_open || stream->shut || stream->means == PIPE_IN))
            stream->closing = true;
        if (stream->held == 0 || stream->held < stream->awaited)
            stream->resumed = false;
        /* The last are held in vain, but for a pause. */
        if (stream->told_last && !stream->paused && !stream->resumed) {
            stream->taken += stream->held;
            stream->held = 0;
        }
    }
    model.pull++;
}

static uint64_t receive_count(void) {
    sluice_statistics stats = {.size = sizeof stats};
    check(sluice_stats(model.loop, &stats) == 0, "stats");
    return stats.receives;
}

/* What the loop forwards or drops gives no event, and may take more turns than one pull has. Who
 * embeds the loop must be able to tell. */
static void check_until_next(void) {
    struct pollfd look = {.fd = sluice_backend_fd(model.loop), .events = POLLIN};
    for (size_t i = 0; i < STREAMS && look.fd >= 0; i++) {
        const struct stream *stream = &model.streams[i];
        int unread = 0;
        if (!stream->forward_to || stream->ended || !is_flowing(stream))
            continue;
        check(ioctl(sluice_fd(model.loop, stream->id), FIONREAD, &unread) == 0, "FIONREAD");
        check(unread == 0 || sluice_until_next(model.loop) == 0 || poll(&look, 1, 0) == 1,
              "there is more to do, and no telling");
    }
}

static int pull_events(int capacity, int64_t timeout_ns) {
    int count = capacity == 1 ? sluice_next(model.loop, model.events, timeout_ns)
                              : sluice_next_many(model.loop, model.events, capacity, timeout_ns);
    check(count >= 0 && count <= capacity, "next");
    return count;
}

void pull(int capacity, int64_t timeout_ns) {
    begin_pull();
    uint64_t receives_before = receive_count();
    int64_t pulled_at = monotonic_ns();
    uint64_t turn_before = turn();
    inject_faults(true);
    model.event_count = pull_events(capacity, timeout_ns);
    inject_faults(false);
    /* What a fault has put off must be told of again. */
    if (model.event_count == 0 && has_interposer())
        model.event_count = pull_events(capacity, 0);
    note_forwards();
    for (int e = 0; e < model.event_count; e++) {
        check_event(&model.events[e], &model.event_bytes[e]);
        model.event_was_kept[e] = false;
    }
    /* What was put off has gone out or is queued now, and may be over the high mark. */
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &model.streams[i];
        if (stream->known && !stream->ended && pending_of(stream) > (int64_t)stream->high_mark)
            stream->may_drain = true;
    }
    if (model.event_count > 0)
        return;
    if (receive_count() == receives_before)
        check_idle(pulled_at, turn_before);
    else
        check_until_next();
}

/* loop_model_calls.c - what the scripts do with streams, and their peers: see loop_model.h. */
#include "loop_model.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

/* ---- What is done with streams -----------------------------------------------------------------
 */

static struct stream *any_stream(void) {
    struct stream *stream = &model.streams[below(STREAMS)];
    return stream->used && stream->known ? stream : NULL;
}

static size_t any_length(void) {
    uint32_t most[] = {10, 1000, 9000, MOST_BYTES - 1};
    return 1 + below(most[below(COUNT_OF(most))]);
}

/* What a write of `length` should return if `pending` bytes are queued. -1 for an end. */
static int expected_code(const struct stream *stream, int64_t pending, size_t length) {
    if (pending < 0)
        return SLUICE_ESTALE;
    if (stream->shut || stream->closing || stream->means == PIPE_IN)
        return -EPIPE;
    return length > model.hard_limit || (size_t)pending > model.hard_limit - length ? SLUICE_EFULL
                                                                                    : 0;
}

/* A send that fails says so, and then takes nothing. */
static bool is_code_of_send(const struct stream *stream, int code) {
    return may_fail_to_send(stream) &&
           (code == -EPIPE || code == -ECONNRESET || (code == -EBADF && stream->robbed));
}

static void after_write(struct stream *stream, int code, int64_t before, uint64_t salt,
                        size_t begin, size_t length, bool may_wait) {
    tell("write %zu bytes to stream %d: %s", length, place_of(stream), sluice_error_name(code));
    /* One that forwards closes by itself when its peer has ended. */
    bool closes = code == -EPIPE && stream->was_forwarded && stream->finished;
    check(closes || is_code_of_send(stream, code) ||
              (code > 0 ? 0 : code) == expected_code(stream, before, length),
          "the code of a write");
    if (code < 0)
        return;
    note_written(stream, salt, begin, length);
    int64_t after = pending_of(stream);
    check(after <= before + (int64_t)length, "a write queued more than it was given");
    if (length < 4096 && after >= 0)
        check(after == before + (int64_t)length, "a small write was not queued");
    bool over = after > (int64_t)stream->high_mark;
    /* What waits for the pull counts as fitting. */
    check(length == 0 || code == over || (may_wait && code == 0), "a write that says too much");
    if (over)
        stream->may_drain = true;
}

static bool is_writable(const struct stream *stream) {
    return stream && !stream->is_target && stream->means != PIPE_IN && stream->piece_count < PIECES;
}

void write_some(bool in_pieces) {
    struct stream *stream = any_stream();
    if (stream && stream->means == PIPE_IN && pending_of(stream) >= 0)
        check(sluice_write(model.loop, stream->id, "x", 1) == -EPIPE, "a write to no output");
    if (!is_writable(stream))
        return;
    size_t length = any_length();
    int64_t before = pending_of(stream);
    int code;
    inject_faults(true);
    if (!in_pieces) {
        code = sluice_write(model.loop, stream->id, pattern(stream->salt, stream->written), length);
    } else {
        sluice_slice slices[100];
        size_t at = 0;
        int count = 0;
        for (; count < 99 && at < length && one_in(2) + one_in(2) + one_in(2); count++) {
            size_t part = one_in(8) ? 0 : 1 + below((uint32_t)(length - at));
            slices[count] = (sluice_slice){pattern(stream->salt, stream->written + at), part};
            at += part;
        }
        length = at;
        code = sluice_writev(model.loop, stream->id, slices, count);
    }
    inject_faults(false);
    after_write(stream, code, before, stream->salt, stream->written, length, false);
    if (code >= 0)
        stream->written += length;
}

/* With bytes of an event, from `begin` on. */
static void answer_with(struct stream *stream, const unsigned char *data, struct piece bytes,
                        size_t begin) {
    size_t length = bytes.length - begin;
    int64_t before = pending_of(stream);
    bool throttled = stream->may_drain;
    int code = sluice_write(model.loop, stream->id, data + begin, length);
    after_write(stream, code, before, bytes.salt, bytes.begin + begin, length, true);
    /* Whether it was put off, and is over the mark only when it is queued, cannot be seen. */
    stream->put_off |= code >= 0;
    if (before == 0)
        stream->may_drain = throttled;
}

/* Writes bytes of an event that has been pulled, to its stream or another. */
void answer(void) {
    struct stream *stream = any_stream();
    if (!is_writable(stream) || model.event_count == 0)
        return;
    int e = (int)below((uint32_t)model.event_count);
    if (model.events[e].kind == SLUICE_DATA)
        answer_with(stream, model.events[e].data, model.event_bytes[e],
                    one_in(2) ? 0 : below((uint32_t)model.events[e].length));
}

void answer_event(int e) {
    struct stream *stream = stream_of(model.events[e].id);
    if (is_writable(stream))
        answer_with(stream, model.events[e].data, model.event_bytes[e], 0);
}

void flush(void) {
    struct stream *stream = any_stream();
    if (!stream)
        return;
    int64_t before = pending_of(stream);
    inject_faults(true);
    int code = sluice_flush(model.loop, stream->id);
    inject_faults(false);
    tell("flush stream %d: %s", place_of(stream), sluice_error_name(code));
    int64_t after = pending_of(stream);
    check(before >= 0 ? code == 0 || is_code_of_send(stream, code) : code == SLUICE_ESTALE,
          "the code of a flush");
    check((before < 0) == (after < 0), "a flush ended the stream beneath its caller");
    check(after <= before, "a flush queued more");
}

void shut_down(void) {
    struct stream *stream = any_stream();
    if (!stream)
        return;
    int64_t before = pending_of(stream);
    tell("shut down stream %d", place_of(stream));
    int code = sluice_shutdown(model.loop, stream->id);
    check(code == (before < 0 ? SLUICE_ESTALE : 0) ||
              (before >= 0 && is_code_of_send(stream, code)) ||
              (stream->means == PIPE_IN && code == -EPIPE),
          "shutdown");
    check((before < 0) == (pending_of(stream) < 0), "a shutdown ended the stream");
    stream->shut = true;
    /* A pipe cannot say that no more comes but by ending. */
    if (stream->means == PIPE_OUT)
        stream->closing = true;
}

void pause_or_resume(void) {
    struct stream *stream = any_stream();
    if (!stream)
        return;
    bool pauses = one_in(2);
    int expected = pending_of(stream) < 0 ? SLUICE_ESTALE : 0;
    tell("%s stream %d", pauses ? "pause" : "resume", place_of(stream));
    int code =
        pauses ? sluice_pause(model.loop, stream->id) : sluice_resume(model.loop, stream->id);
    check(code == expected, "pause or resume");
    check((expected == 0) == (pending_of(stream) >= 0), "a pause or resume ended the stream");
    if (stream->paused && !pauses && stream->held > 0 && stream->held >= stream->awaited)
        stream->resumed = true;
    stream->paused = pauses;
}

void hold_event(int e, size_t length, size_t total) {
    const sluice_event *event = &model.events[e];
    struct stream *stream = stream_of(event->id);
    if (stream->forward_to)
        return;
    int expected = pending_of(stream) < 0      ? SLUICE_ESTALE
                   : length > event->length    ? SLUICE_ECAPACITY
                   : length > model.hard_limit ? SLUICE_EFULL
                   : total > model.hard_limit  ? SLUICE_EFULL
                                               : 0;
    tell("hold %zu bytes of stream %d until there are %zu", length, place_of(stream), total);
    int code = total == 0 ? sluice_hold(model.loop, event->id, length)
                          : sluice_hold_until(model.loop, event->id, length, total);
    check(code == expected, "hold");
    if (expected == 0) {
        stream->awaited = total > length && !stream->told_last ? total : 0;
        stream->held = length;
        stream->taken = stream->lent_end - length;
    }
}

void hold(void) {
    if (model.event_count == 0)
        return;
    int e = (int)below((uint32_t)model.event_count);
    const sluice_event *event = &model.events[e];
    if (event->kind == SLUICE_DATA && sluice_kind_of(model.loop, event->id) >= 0)
        hold_event(e, below((uint32_t)event->length + 2), one_in(3) ? any_length() : 0);
}

static struct kept *any_kept(void) {
    struct kept *kept = &model.kept[below(KEPT)];
    return kept->name ? kept : NULL;
}

void keep_event(void) {
    struct kept *kept = &model.kept[below(KEPT)];
    if (kept->name || model.event_count == 0)
        return;
    int e = (int)below((uint32_t)model.event_count);
    const sluice_event *event = &model.events[e];
    if (event->kind != SLUICE_DATA || sluice_kind_of(model.loop, event->id) < 0)
        return;
    struct stream *stream = stream_of(event->id);
    int code = sluice_keep(model.loop, event->id, &kept->name);
    tell("keep %zu bytes of stream %d: %s", event->length, place_of(stream),
         sluice_error_name(code));
    /* A forward takes what was held. */
    check(code == (pending_of(stream) < 0    ? SLUICE_ESTALE
                   : model.event_was_kept[e] ? SLUICE_ESTATE
                                             : 0) ||
              (stream->was_forwarded && code == SLUICE_ESTATE),
          "keep");
    if (code < 0)
        return;
    kept->data = event->data;
    kept->bytes = model.event_bytes[e];
    model.event_was_kept[e] = true;
}

/* In the same pull, or in a later one. */
void answer_kept(void) {
    struct stream *stream = any_stream();
    const struct kept *kept = any_kept();
    if (is_writable(stream) && kept)
        answer_with(stream, kept->data, kept->bytes, below((uint32_t)kept->bytes.length));
}

void return_kept(void) {
    struct kept *kept = any_kept();
    if (!kept)
        return;
    tell("return %zu bytes", kept->bytes.length);
    check(sluice_return(model.loop, kept->name) == 0, "return");
    check(sluice_return(model.loop, kept->name) == SLUICE_ESTALE, "return twice");
    kept->name = NULL;
}

void return_all(void) {
    for (size_t i = 0; i < KEPT; i++)
        if (model.kept[i].name) {
            check(sluice_return(model.loop, model.kept[i].name) == 0, "return of all");
            model.kept[i].name = NULL;
        }
}

/* What has been held becomes the other's at once. */
void forward(void) {
    struct stream *from = any_stream();
    struct stream *to = any_stream();
    /* Now and then to itself, which is an echo. */
    if (one_in(6))
        to = from;
    if (!from || !to || from->means != SOCKET_PAIR || from->connecting || pending_of(from) < 0 ||
        pending_of(to) < 0 || from->closing || from->finished)
        return;
    if (from->forward_to && one_in(2)) {
        to = from->forward_to;
        tell("end the forward of stream %d", place_of(from));
        note_forwarded(from, 0);
        check(sluice_forward(model.loop, from->id, 0) == 0, "the end of a forward");
        note_forward_end(from);
        to->is_target = from->finished;
        return;
    }
    if (from->forward_to || !is_writable(to) || to->piece_count > PIECES / 2 || to->deaf)
        return;
    /* If two streams pass on at the same time, their order is the order in which they are ready. */
    for (size_t i = 0; i < STREAMS && model.in_lockstep; i++)
        if (model.streams[i].forward_to == to)
            return;
    int code = sluice_forward(model.loop, from->id, to->id);
    tell("forward stream %d to %d: %s", place_of(from), place_of(to), sluice_error_name(code));
    check(code == (to->shut || to->closing ? -EPIPE : 0) || is_code_of_send(to, code), "forward");
    check(sluice_kind_of(model.loop, from->id) >= 0 && sluice_kind_of(model.loop, to->id) >= 0,
          "a forward ended a stream");
    if (code < 0)
        return;
    model.forwarded = from->was_forwarded = to->is_target = true;
    from->forward_to = to;
    if (from->held > 0)
        note_written(to, from->peer_salt, from->taken, from->held);
    from->taken += from->held;
    from->held = from->awaited = 0;
    from->resumed = false;
    if (pending_of(to) > (int64_t)to->high_mark)
        to->may_drain = true;
}

void close_one(struct stream *stream) {
    bool lives = pending_of(stream) >= 0;
    tell("close stream %d", place_of(stream));
    check(sluice_close(model.loop, stream->id) == (lives ? 0 : SLUICE_ESTALE), "close");
    stream->closing = true;
    note_forward_end(stream);
}

static void abort_one(struct stream *stream) {
    int64_t pending = pending_of(stream);
    tell("abort stream %d", place_of(stream));
    int reason = one_in(2) ? -ECONNABORTED : SLUICE_EFULL;
    int code = reason == -ECONNABORTED ? sluice_abort(model.loop, stream->id)
                                       : sluice_abort_with(model.loop, stream->id, reason);
    check(code == (pending < 0 ? SLUICE_ESTALE : 0), "abort");
    note_forward_end(stream);
    if (pending < 0)
        return;
    stream->aborted = stream->ended = true;
    stream->reason = reason;
    stream->unsent = pending;
    check(sluice_write(model.loop, stream->id, "x", 1) == SLUICE_ESTALE, "a write after an abort");
}

void end_one(void) {
    struct stream *stream = any_stream();
    if (!stream)
        return;
    if (stream->forward_to)
        note_forwarded(stream, 0);
    if (one_in(2))
        close_one(stream);
    else
        abort_one(stream);
}

/* ---- What the peers do -------------------------------------------------------------------------
 */

void peer_writes(void) {
    struct stream *stream = &model.streams[below(STREAMS)];
    if (!stream->used || stream->finished || stream->peer < 0 || stream->means == PIPE_OUT)
        return;
    ptrdiff_t count = write(stream->peer, pattern(stream->peer_salt, stream->sent), any_length());
    tell("the peer of stream %d writes: %td", place_of(stream), count);
    if (count > 0)
        stream->sent += (size_t)count;
}

void peer_reads(void) {
    struct stream *stream = &model.streams[below(STREAMS)];
    if (!stream->used || stream->peer < 0 || stream->means == PIPE_IN)
        return;
    /* What was forwarded since is accounted for by the last pull. */
    ptrdiff_t count = peer_read(stream, any_length());
    tell("the peer of stream %d reads: %td", place_of(stream), count);
    check(count > 0 || count == -EAGAIN || stream->shut || stream->closing || stream->ended ||
              stream->is_target || stream->deaf,
          "the peer saw an end that was none");
}

void peer_ends(void) {
    struct stream *stream = &model.streams[below(STREAMS)];
    if (!stream->used || stream->peer < 0)
        return;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    uint32_t choice = below(6);
    /* It cannot be known here how much of what is passed on to such a stream is lost. And if the
     * peer has ended before, and bytes wait for room, only over libevent are they tried. */
    if (choice == 5 && stream->means == SOCKET_PAIR && !stream->connecting && !stream->deaf &&
        !stream->is_target && !(model.in_lockstep && stream->finished)) {
        tell("the peer of stream %d reads no more", place_of(stream));
        (void)shutdown(stream->peer, SHUT_RD);
        stream->deaf = true;
        stream->due = stream->sent;
        return;
    }
    if (choice < 3 && stream->means == SOCKET_PAIR + (stream->means == TCP)) {
        tell("the peer of stream %d sends no more", place_of(stream));
        (void)shutdown(stream->peer, SHUT_WR);
        stream->finished = true;
        return;
    }
    if (choice == 3 && stream->means == TCP)
        setsockopt(stream->peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    else if (choice < 3 && stream->means != PIPE_IN)
        return;
    /* Only poll and epoll report a reset of a stream that the loop does not read from. If all
     * backends must report the same, there are no resets. */
    while (model.in_lockstep && stream->means == SOCKET_PAIR && peer_read(stream, MOST_BYTES) > 0) {
    }
    tell("the peer of stream %d closes", place_of(stream));
    peer_close(stream);
}

/* Nothing may be opened before it has ended, because that would get the number. */
void rob_one(void) {
    struct stream *stream = any_stream();
    if (!stream || model.in_lockstep || stream->connecting || stream->closing || stream->shut ||
        stream->is_target || stream->forward_to || stream->means == PIPE_IN ||
        pending_of(stream) != 0)
        return; /* what waits for room would wait for ever */
    for (size_t i = 0; i < STREAMS; i++)
        if (model.streams[i].forward_to == stream)
            return;
    tell("the descriptor of stream %d is closed from outside", place_of(stream));
    check(close(sluice_fd(model.loop, stream->id)) == 0, "close");
    stream->robbed = true;
    sluice_id id = stream->id;
    int code = sluice_write(model.loop, id, "x", 1);
    check(code == 0 || code == 1 || is_code_of_send(stream, code) || code == SLUICE_EFULL,
          "a write to a closed descriptor");
    if (code >= 0) {
        note_written(stream, stream->salt, stream->written, 1);
        stream->written++;
    }
    code = sluice_flush(model.loop, id);
    check(code == 0 || is_code_of_send(stream, code), "a flush to a closed descriptor");
    check(sluice_kind_of(model.loop, id) == SLUICE_KIND_STREAM, "a call ended the stream");
    for (int pulls = 0; stream->used && stream->id == id; pulls++) {
        check(pulls < 1000, "a stream without a descriptor does not end");
        pull(1, 0);
    }
}

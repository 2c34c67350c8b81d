/* loop_states.c - see loop_states.h. */
#include "loop_states.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

/* Whose a word is. */
#define PEERS 0u
#define OURS 0x40000000u
#define OTHERS 0x80000000u
#define WHOSE 0xc0000000u

static uint32_t words_of[MOST_WORDS];

void run_check(const struct run *run, bool holds, const char *what) {
    if (!holds)
        fail_msg("%s: %s", run->what, what);
}

/* `count` words from the `first` on. Valid until the next. */
static const void *make_words(uint32_t whose, uint32_t first, uint32_t count) {
    assert_true(count <= MOST_WORDS);
    for (uint32_t i = 0; i < count; i++)
        words_of[i] = whose | (first + i);
    return words_of;
}

/* ---- Beginning ------------------------------------------------------------------------------- */

static struct pair narrow_pair(void) {
    struct pair pair = unix_pair();
    const int size = 4096;
    assert_int_equal(setsockopt(pair.near, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    return pair;
}

void begin_run(struct run *run, sluice_loop *loop, uint32_t flags) {
    sluice_stream_options options = stream_options(flags);
    options.idle_timeout_ns = 1000 * NS_PER_MS;
    options.linger_ns = 1000 * NS_PER_MS;
    *run = (struct run){.what = run->what,
                        .loop = loop,
                        .other_peer = -1,
                        .half_open = (flags & SLUICE_HALF_OPEN) != 0,
                        .capacity = run->capacity,
                        .bytes_before = stats_of(loop).bytes_sent};
    run->peer_sink.last_sent = run->other_sink.last_sent = -1;
    struct line line = line_of(loop, narrow_pair(), &options);
    run->id = line.id;
    run->peer = line.peer;
}

bool run_lives(const struct run *run) {
    return sluice_kind_of(run->loop, run->id) == SLUICE_KIND_STREAM;
}

/* ---- Words that come out --------------------------------------------------------------------- */

static void see_word(struct run *run, uint32_t word) {
    run_check(run, word < run->sent, "a word came that was not sent");
    run_check(run, !run->seen[word], "a word came twice");
    run->seen[word] = 1;
}

/* A word that comes out at a peer: one written to its stream, or one passed on. */
static void sink_word(struct run *run, struct sink *sink, uint32_t whose, uint32_t word) {
    if ((word & WHOSE) == whose) {
        run_check(run, (word & ~WHOSE) == sink->own, "what was written arrived in another order");
        sink->own++;
        return;
    }
    run_check(run, (word & WHOSE) == PEERS && (int64_t)word > sink->last_sent,
              "what was passed on arrived in another order");
    sink->last_sent = word;
    see_word(run, word);
}

static void sink_bytes(struct run *run, struct sink *sink, uint32_t whose,
                       const unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        sink->part[sink->part_length++] = bytes[i];
        if (sink->part_length < sizeof sink->part)
            continue;
        uint32_t word;
        memcpy(&word, sink->part, sizeof word);
        sink->part_length = 0;
        sink_word(run, sink, whose, word);
    }
}

static void read_all(struct run *run, int fd, struct sink *sink, uint32_t whose) {
    static unsigned char bytes[65536];
    ptrdiff_t count;
    while ((count = read(fd, bytes, sizeof bytes)) > 0)
        sink_bytes(run, sink, whose, bytes, (size_t)count);
}

/* ---- Events ---------------------------------------------------------------------------------- */

/* DATA begins with what was held of the last. */
static void heed_data(struct run *run, const sluice_event *event) {
    run_check(run, !run->eof && !run->closing, "DATA out of its time");
    run_check(run, !run->paused, "DATA of a paused stream");
    run_check(run, event->length > 0 && event->length % 4 == 0, "DATA of half a word");
    uint32_t count = (uint32_t)(event->length / 4);
    run_check(run, count >= run->held, "DATA without what was held");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const unsigned char *)event->data + (size_t)4 * i, sizeof word);
        if (i >= run->held)
            see_word(run, word);
        run_check(run, i == 0 || i == run->held || word > run->taken, "DATA came in another order");
        run->taken = word;
    }
    run->held = 0;
    if (!run->holds || count > 64)
        return;
    if (sluice_hold(run->loop, run->id, event->length) == 0)
        run->held = count;
}

static void heed_closed(struct run *run, const sluice_event *event) {
    run->closed = true;
    run->error = event->error;
    run->unsent = event->length;
    run_check(run, sluice_kind_of(run->loop, run->id) == SLUICE_ESTALE, "CLOSED, and still there");
}

static void heed_event(struct run *run, const sluice_event *event) {
    if (event->id == run->other) {
        if (event->kind == SLUICE_CLOSED)
            run->other = 0;
        return;
    }
    run_check(run, event->id == run->id && !run->closed, "an event after CLOSED, or of no stream");
    switch (event->kind) {
    case SLUICE_DATA:
        heed_data(run, event);
        break;
    case SLUICE_EOF:
        run_check(run, !run->eof && !run->paused && !run->closing && run->peer_finished,
                  "EOF out of its time");
        run->eof = true;
        break;
    case SLUICE_DRAINED:
        run_check(run, !run->closing, "DRAINED of a stream that closes");
        break;
    case SLUICE_CLOSED:
        heed_closed(run, event);
        break;
    default:
        run_check(run, false, "an event of another kind");
    }
}

void run_pull(struct run *run) {
    for (int quiet = 0, turns = 0; quiet < 3; turns++) {
        sluice_event events[16];
        int count = sluice_next_many(run->loop, events, run->capacity, 0);
        run_check(run, count >= 0, "a pull failed");
        for (int i = 0; i < count; i++)
            heed_event(run, &events[i]);
        quiet = count > 0 ? 0 : quiet + 1;
        run_check(run, turns < 10000, "events without end");
    }
}

/* ---- What the caller does -------------------------------------------------------------------- */

/* A call that is no abort leaves the stream there, if it was. */
static int called(struct run *run, bool lived, int code) {
    run_check(run, run_lives(run) == lived, "a call ended the stream beneath its caller");
    run_check(run, lived ? code != SLUICE_ESTALE : code == SLUICE_ESTALE, "the code of a call");
    if (code < 0 && lived && !run->output_failed && (code == -EPIPE || code == -ECONNRESET))
        run->sent_at_fail = run->sent;
    return code;
}

static void note_code_of_send(struct run *run, int code) {
    bool sends = !run->closing && run_lives(run);
    if (sends && code == -EPIPE && run->peer_shut)
        run->output_failed = true;
}

void run_write(struct run *run, uint32_t words) {
    bool lived = run_lives(run);
    int code = called(
        run, lived,
        sluice_write(run->loop, run->id, make_words(OURS, run->written, words), (size_t)4 * words));
    run_check(run, code <= 1, "a write says more than 1");
    if (code >= 0)
        run->written += words;
}

void run_writev(struct run *run) {
    bool lived = run_lives(run);
    const unsigned char *bytes = make_words(OURS, run->written, 3);
    const sluice_slice slices[] = {{bytes, 2}, {NULL, 0}, {bytes + 2, 10}};
    int code = called(run, lived, sluice_writev(run->loop, run->id, slices, 3));
    if (code >= 0)
        run->written += 3;
}

void run_flush(struct run *run) {
    bool lived = run_lives(run);
    note_code_of_send(run, called(run, lived, sluice_flush(run->loop, run->id)));
}

void run_shutdown(struct run *run) {
    bool lived = run_lives(run);
    called(run, lived, sluice_shutdown(run->loop, run->id));
}

void run_pause(struct run *run) {
    bool lived = run_lives(run);
    if (called(run, lived, sluice_pause(run->loop, run->id)) == 0)
        run->paused = true;
}

void run_resume(struct run *run) {
    bool lived = run_lives(run);
    called(run, lived, sluice_resume(run->loop, run->id));
    run->paused = false;
}

/* Of an event that is over, or was never there. */
void run_hold(struct run *run) {
    bool lived = run_lives(run);
    int code = called(run, lived, sluice_hold(run->loop, run->id, 4));
    run_check(run, code < 0, "bytes were held of no event");
}

static void make_other(struct run *run) {
    if (run->other_peer >= 0)
        return;
    sluice_stream_options options = stream_options(SLUICE_HALF_OPEN);
    struct line line = line_of(run->loop, narrow_pair(), &options);
    run->other = line.id;
    run->other_peer = line.peer;
}

/* Held words have been seen once, and must come out once more. */
static void unsee_held(struct run *run) {
    for (uint32_t i = 0; i < run->held; i++)
        run->seen[run->taken - i] = 0;
}

static void see_held_again(struct run *run) {
    for (uint32_t i = 0; i < run->held; i++)
        run->seen[run->taken - i] = 1;
}

/* What is held goes to the target. */
static void forward_to(struct run *run, sluice_id to) {
    bool lived = run_lives(run);
    unsee_held(run);
    int code = sluice_forward(run->loop, run->id, to);
    run_check(run, run_lives(run) == lived, "a forward ended the stream beneath its caller");
    run_check(run, (code == SLUICE_ESTALE) == !lived, "the code of a forward");
    run->forwarded = true;
    if (code == 0)
        run->held = 0;
    else
        see_held_again(run);
}

void run_forward(struct run *run) {
    make_other(run);
    if (run->other && sluice_kind_of(run->loop, run->other) >= 0)
        forward_to(run, run->other);
}

void run_forward_to_itself(struct run *run) {
    forward_to(run, run->id);
}

void run_forward_nowhere(struct run *run) {
    bool lived = run_lives(run);
    called(run, lived, sluice_forward(run->loop, run->id, 0));
}

void run_close(struct run *run) {
    bool lived = run_lives(run);
    if (called(run, lived, sluice_close(run->loop, run->id)) == 0)
        run->closing = true;
}

void run_abort(struct run *run) {
    bool lived = run_lives(run);
    int code = sluice_abort(run->loop, run->id);
    run_check(run, code == (lived ? 0 : SLUICE_ESTALE), "the code of an abort");
    run_check(run, !run_lives(run), "an abort that is not at once");
    run->aborted |= lived;
}

void run_fill(struct run *run) {
    while (sluice_pending(run->loop, run->id) <= RUN_HIGH) {
        run_write(run, 100);
        run_flush(run);
    }
}

void run_fill_other(struct run *run) {
    make_other(run);
    while (sluice_pending(run->loop, run->other) <= RUN_HIGH) {
        write_all(run->loop, run->other, make_words(OTHERS, run->other_written, 100), 400);
        assert_int_equal(sluice_flush(run->loop, run->other), 0);
        run->other_written += 100;
    }
}

/* ---- What the kernel brings ------------------------------------------------------------------ */

void run_peer_sends(struct run *run, uint32_t words) {
    if (run->peer < 0 || run->peer_finished || run->sent + words > MOST_WORDS)
        return;
    ptrdiff_t count = write(run->peer, make_words(PEERS, run->sent, words), (size_t)4 * words);
    run_check(run, count < 0 || count % 4 == 0, "the kernel took half a word");
    run->sent += count > 0 ? (uint32_t)count / 4 : 0;
}

void run_peer_reads(struct run *run) {
    if (run->peer >= 0)
        read_all(run, run->peer, &run->peer_sink, OURS);
}

void run_peer_finishes(struct run *run) {
    if (run->peer < 0)
        return;
    (void)shutdown(run->peer, SHUT_WR);
    run->peer_finished = true;
}

void run_peer_stops_reading(struct run *run) {
    if (run->peer < 0)
        return;
    (void)shutdown(run->peer, SHUT_RD);
    run->peer_shut = true;
}

void run_peer_closes(struct run *run) {
    if (run->peer < 0)
        return;
    drop(run->peer);
    run->peer = -1;
    run->peer_finished = run->peer_shut = true;
}

void run_other_reads(struct run *run) {
    if (run->other_peer >= 0)
        read_all(run, run->other_peer, &run->other_sink, OTHERS);
}

void run_other_closes(struct run *run) {
    if (run->other && sluice_kind_of(run->loop, run->other) >= 0) {
        run->forwarded = true; /* what stands in its queue comes nowhere */
        assert_int_equal(sluice_abort(run->loop, run->other), 0);
    }
}

void run_time_passes(struct run *run) {
    pass_time(10000 * NS_PER_MS);
    run->timed = true;
    run_pull(run);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* What the stream must have delivered by now: all that its peer sent, as far as nothing has ended
 * it that ends the input, too. */
static void check_delivered(const struct run *run) {
    if (run->closing || run->aborted || run->timed || run->forwarded)
        return;
    uint32_t due = run->output_failed || run->peer_shut ? run->sent_at_fail : run->sent;
    if (!run->output_failed && run->peer < 0)
        due = run->sent; /* nothing more could come after it */
    for (uint32_t i = 0; i < due; i++)
        run_check(run, run->seen[i], "what the peer had said was not told");
}

static void check_error(const struct run *run) {
    run_check(run, run->error <= 0, "CLOSED with a count");
    run_check(run, run->error < 0 || run->unsent == 0, "an orderly CLOSED with bytes unsent");
    bool fails = run->peer_shut || run->timed || run->aborted;
    run_check(run, fails || run->error == 0, "CLOSED with an error, and nothing had failed");
    if (run->output_failed && !run->timed && !run->aborted)
        run_check(run, run->error == -EPIPE, "CLOSED without the first error, the send's");
    if (run->aborted && !run->peer_shut && !run->timed)
        run_check(run, run->error == -ECONNABORTED, "CLOSED of an abort");
    run_check(run, run->error != -ETIMEDOUT || run->timed, "CLOSED as late, and it was not");
    run_check(run, run->error != -ECONNABORTED || run->aborted, "CLOSED as aborted");
}

/* Bytes that were written have gone to the kernel, or are told as unsent. */
static void check_unsent(const struct run *run) {
    size_t written = (size_t)4 * run->written;
    if (run->forwarded || run->other_peer >= 0)
        return;
    uint64_t sent = stats_of(run->loop).bytes_sent - run->bytes_before;
    run_check(run, written == sent + run->unsent, "the count of what was not sent");
}

static void end_other(struct run *run) {
    run_other_reads(run);
    if (run->other && sluice_kind_of(run->loop, run->other) >= 0)
        assert_int_equal(sluice_abort(run->loop, run->other), 0);
    run_pull(run);
    if (run->other_peer >= 0)
        drop(run->other_peer);
    run->other_peer = -1;
}

/* Each side reads or resumes, `rounds` times. */
static void help(struct run *run, int rounds) {
    for (int i = 0; i < rounds && !run->closed; i++) {
        if (run_lives(run) && run->paused)
            run_resume(run);
        run_peer_reads(run);
        run_other_reads(run);
        run_pull(run);
    }
}

static void help_to_the_end(struct run *run) {
    run->holds = false;
    help(run, 20);
    check_delivered(run);
    run_peer_finishes(run);
    help(run, 20);
    if (run_lives(run))
        run_close(run);
    help(run, 160);
    run_check(run, run->closed, "it does not come to its end");
}

void end_run(struct run *run) {
    run_pull(run);
    help_to_the_end(run);
    run_peer_reads(run);
    check_error(run);
    check_unsent(run);
    if (run->error == 0 && run->peer >= 0)
        run_check(run, run->peer_sink.own == run->written, "an orderly end lost bytes");
    end_other(run);
    if (run->peer >= 0)
        drop(run->peer);
    run->peer = -1;
    sluice_statistics stats = stats_of(run->loop);
    run_check(run, stats.handles[SLUICE_KIND_STREAM] == 0, "a stream is left");
    run_check(run, stats.queue_memory == 0, "memory is left");
}

/* test_loop_differential.c - random scripts on loops over all backends at once, in lockstep.
 *
 * Each loop has its own streams and peers, and its own model (loop_model.h), which checks the
 * loop's events as in test_loop_model.c. After each step every loop is pulled until it gives
 * nothing more. Then all loops must have had the same events for each handle, in the same order,
 * and must be in the same state. Bytes may come in several pieces, so only their number is
 * compared. The models check the bytes themselves. There is no promised order between handles.
 *
 * The test leaves out what depends on time, or on the order of descriptors that are ready at once:
 * TCP's delivery, timers that are neither due at once nor never, two forwards to one target. The
 * models' own test has all of this.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "differential.h"
#include "loop_model.h"
#include "readiness/poller.h"

enum { LOOP_STEPS = 60, SCRIPTS = 500, MOST_BACKENDS = 16, MOST_NOTES = 512 };

/* What a loop has reported on a handle, named by its user word. DATA after DATA is one note. So is
 * a watch that is ready again and again. */
struct note {
    uint64_t user;
    uint32_t kind;
    int32_t error;
    uint64_t value;
};

struct side {
    const char *backend;
    struct model model;
    size_t note_count;
    struct note notes[MOST_NOTES];
};

static struct side sides[MOST_BACKENDS];
static size_t side_count;
static size_t turn_of; /* whose turn it is */

static const char *kind_name(uint32_t kind) {
    static const char *const names[] = {"",       "READY",    "TIMER",     "SIGNAL",
                                        "POSTED", "ACCEPTED", "CONNECTED", "DATA",
                                        "EOF",    "DRAINED",  "CLOSED",    "OVERLOADED"};
    return kind < COUNT_OF(names) ? names[kind] : "an event of no kind";
}

/* ---- What a loop tells -------------------------------------------------------------------------
 */

static struct note note_of(const sluice_event *event) {
    struct note note = {event->user, event->kind, event->error, 0};
    switch (event->kind) {
    case SLUICE_DATA:
    case SLUICE_CLOSED:
        note.value = event->length;
        break;
    case SLUICE_READY: /* what every backend can tell */
        note.value = event->value & (SLUICE_READ | SLUICE_WRITE);
        break;
    case SLUICE_POSTED:
        note.value = event->value;
        break;
    default:
        break;
    }
    return note;
}

static void add_note(struct side *side, const sluice_event *event) {
    struct note note = note_of(event);
    for (size_t i = side->note_count; i-- > 0;) {
        struct note *last = &side->notes[i];
        if (last->user != note.user)
            continue;
        if (last->kind == SLUICE_DATA && note.kind == SLUICE_DATA) {
            last->value += note.value;
            return;
        }
        if (last->kind == SLUICE_READY && note.kind == SLUICE_READY && last->value == note.value)
            return;
        break;
    }
    if (side->note_count == MOST_NOTES)
        disagree("%s: more events than a script has", side->backend);
    side->notes[side->note_count++] = note;
    tell("  %s of handle %llu, length %zu", kind_name(event->kind), (unsigned long long)event->user,
         event->length);
}

/* What the caller does at once. Which streams are answered, and which are held, depends on nothing
 * that may differ. */
static void heed_event(struct side *side, int e) {
    const sluice_event *event = &model.events[e];
    add_note(side, event);
    if (event->kind != SLUICE_DATA)
        return;
    if (event->user % 3 == 0)
        answer_event(e);
    else if (event->user % 3 == 1)
        hold_event(e, event->length % 5, event->length % 3 ? 0 : event->length % 1000);
}

/* The one thing here that the kernel takes time for. */
static void await_refusals(void) {
    for (size_t i = 0; i < STREAMS; i++) {
        const struct stream *stream = &model.streams[i];
        struct pollfd look = {.fd = -1};
        if (stream->used && stream->refused)
            look.fd = sluice_fd(model.loop, stream->id);
        check(look.fd < 0 || poll(&look, 1, PATIENCE_MS) == 1, "a connect is not refused");
    }
}

static sluice_statistics statistics(void) {
    sluice_statistics stats = {.size = sizeof stats};
    check(sluice_stats(model.loop, &stats) == 0, "stats");
    return stats;
}

/* Until whole turns bring nothing and move nothing. What a watch reports again and again counts as
 * nothing. */
static void pull_all(struct side *side) {
    uint64_t calls = 0;
    uint64_t quiet_since = turn();
    await_refusals();
    for (int pulls = 0;; pulls++) {
        check(pulls < 100000, "a loop does not come to rest");
        pull(1, 0);
        bool is_quiet = model.event_count == 0 || model.events[0].kind == SLUICE_READY;
        if (model.event_count > 0)
            heed_event(side, 0);
        sluice_statistics stats = statistics();
        if (!is_quiet || calls != stats.receives + stats.sends + stats.accepts)
            quiet_since = stats.turns;
        calls = stats.receives + stats.sends + stats.accepts;
        if (stats.turns > quiet_since + 3)
            break;
    }
    /* The rest of that turn, so that nothing of it comes in the next step. */
    pull(MOST_EVENTS, 0);
    for (int e = 0; e < model.event_count; e++)
        heed_event(side, e);
}

/* ---- Comparing ---------------------------------------------------------------------------------
 */

/* Sorts by handle and keeps the order within each. */
static void sort_notes(struct side *side) {
    for (size_t i = 1; i < side->note_count; i++) {
        struct note note = side->notes[i];
        size_t at = i;
        for (; at > 0 && side->notes[at - 1].user > note.user; at--)
            side->notes[at] = side->notes[at - 1];
        side->notes[at] = note;
    }
}

static bool notes_equal(const struct note *left, const struct note *right) {
    return left->user == right->user && left->kind == right->kind && left->error == right->error &&
           left->value == right->value;
}

static const char *word_note(const struct side *side, size_t at, char *text, size_t size) {
    if (at >= side->note_count)
        return "nothing more";
    const struct note *note = &side->notes[at];
    snprintf(text, size, "%s of handle %llu, error %d, value %llu", kind_name(note->kind),
             (unsigned long long)note->user, note->error, (unsigned long long)note->value);
    return text;
}

static void compare_notes(const struct side *side, const struct side *first) {
    for (size_t i = 0; i < side->note_count || i < first->note_count; i++) {
        if (i < side->note_count && i < first->note_count &&
            notes_equal(&side->notes[i], &first->notes[i]))
            continue;
        char left[128];
        char right[128];
        disagree("%s gives %s, and %s %s", side->backend, word_note(side, i, left, sizeof left),
                 first->backend, word_note(first, i, right, sizeof right));
    }
}

static void compare_figure(const struct side *side, const struct side *first, size_t stream,
                           const char *what, uint64_t figure, uint64_t expected) {
    if (figure != expected)
        disagree("%s has %llu %s in stream %zu, and %s %llu", side->backend,
                 (unsigned long long)figure, what, stream, first->backend,
                 (unsigned long long)expected);
}

static void compare_streams(const struct side *side, const struct side *first) {
    for (size_t i = 0; i < STREAMS; i++) {
        const struct stream *ours = &side->model.streams[i];
        const struct stream *theirs = &first->model.streams[i];
        compare_figure(side, first, i, "uses", ours->used, theirs->used);
        compare_figure(side, first, i, "bytes sent by its peer", ours->sent, theirs->sent);
        compare_figure(side, first, i, "bytes taken", ours->taken, theirs->taken);
        compare_figure(side, first, i, "bytes held", ours->held, theirs->held);
        compare_figure(side, first, i, "bytes written", ours->accepted, theirs->accepted);
        compare_figure(side, first, i, "bytes arrived", ours->arrived, theirs->arrived);
        if (ours->used && ours->known)
            compare_figure(side, first, i, "bytes pending",
                           (uint64_t)sluice_pending(side->model.loop, ours->id),
                           (uint64_t)sluice_pending(first->model.loop, theirs->id));
    }
}

/* ---- Scripts -----------------------------------------------------------------------------------
 */

/* The model's functions work on `model`: each side has it in turn. */
static void enter(size_t i) {
    turn_of = i;
    model = sides[i].model;
}

static void leave(void) {
    sides[turn_of].model = model;
}

static void check_failed(const char *what) {
    disagree("%s: %s", sides[turn_of].backend, what);
}

static void begin(struct choices *choices) {
    on_failed_check = check_failed;
    for (size_t i = 0; sluice_backend_name(i); i++) {
        struct choices same = *choices;
        sides[i].backend = sluice_backend_name(i);
        sides[i].note_count = 0;
        memset(&sides[i].model, 0, sizeof sides[i].model);
        turn_of = i;
        side_count = i + 1;
        begin_model(&same, sides[i].backend, true);
        leave();
    }
}

static void take_step(struct choices *choices) {
    for (size_t i = 0; i < side_count; i++) {
        struct choices same = *choices;
        enter(i);
        keep_quiet(i > 0);
        model.choices = &same;
        sides[i].note_count = 0;
        take_model_step();
        pull_all(&sides[i]);
        leave();
        sort_notes(&sides[i]);
        compare_notes(&sides[i], &sides[0]);
        compare_streams(&sides[i], &sides[0]);
    }
}

/* Where a step left in the middle, `model` is ahead of its side. */
static void end(void) {
    leave();
    on_failed_check = NULL;
    for (size_t i = 0; i < side_count; i++) {
        enter(i);
        if (model.loop)
            end_model();
    }
    side_count = 0;
}

static void loops_agree(void) {
    static const struct player player = {LOOP_STEPS, begin, take_step, end};
    play_scripts(&player, SCRIPTS);
}

/* ---- That it finds what is wrong ---------------------------------------------------------------
 */

/* As poll, but that it is silent on a descriptor whose peer has ended. */
static int wait_without_ends(sluice_poller *poller, sluice_ready *events, int capacity,
                             int64_t timeout_ns) {
    int count = sluice_poll_backend.wait(poller, events, capacity, timeout_ns);
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (!(events[i].flags & (SLUICE_READ_CLOSED | SLUICE_HANGUP)))
            events[kept++] = events[i];
    return count > 0 ? kept : count;
}

/* From here on there is one backend more, so that this is the last test. */
static void a_lost_end_is_found(void) {
    static const struct player player = {LOOP_STEPS, begin, take_step, end};
    static struct sluice_poller_backend broken;
    broken = sluice_poll_backend;
    broken.name = "poll without ends";
    broken.wait = wait_without_ends;
    assert_int_equal(sluice_poller_register(&broken), 0);
    expect_found(&player, 5);
}

int main(void) {
    static const struct test tests[] = {
        {"random scripts: a loop gives the same over every backend", loops_agree, NULL},
        {"a backend that drops a peer's end is found, in at most 5 steps", a_lost_end_is_found,
         NULL},
    };
    signal(SIGPIPE, SIG_IGN); /* the peers', whose streams may be gone */
    return run_once(tests, COUNT_OF(tests));
}

/* test_poller_differential.c - random scripts over every backend at once, and over a plain model.
 *
 * All pollers watch the same descriptors (places.h) and get the same calls. What each call returns,
 * and what each wait reports, must be the same. Beside them there is a model. It keeps an array of
 * what is registered, and asks poll(2) about one descriptor at a time.
 *
 * What may differ comes from the readiness contract and the backends' features: which flags a
 * backend can report, and which interests it refuses. Backends also differ by nature on a number
 * that was closed without a remove. Until it is removed or modified, it is adrift, and reports on
 * it say nothing. But they must have the number and the user word that it was registered with.
 * After that it is compared again. Some files have no inode of their own, and libevent's epoll
 * cannot tell one from another. So the script removes those in time.
 *
 * If a wait asks for fewer events than there are, the backend decides which of them come first.
 * Then waits are repeated until each event must have come.
 */
#include "places.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

#include "contract.h"
#include "differential.h"

enum { STEPS = 40, SCRIPTS = 2000, MOST_BACKENDS = 16 };

typedef int wait_function(sluice_poller *, sluice_ready *, int, int64_t);

/* What a poller has been told of a place, as long as it has not refused. */
struct registration {
    bool registered;
    bool armed;
    bool adrift;
    uint32_t interest;
    uint64_t user;
};

struct backend {
    const char *name;
    wait_function *wait;
    sluice_poller *poller;
    uint32_t flags; /* that it can tell */
    bool low_only;  /* refuses numbers from FD_SETSIZE on */
    bool by_inode;  /* knows files by their inode only */
    struct registration places[PLACES];
};

static struct backend backends[MOST_BACKENDS];
static size_t backend_count;
static uint64_t last_user;
static bool closed_unremoved; /* a number, in this script */

/* ---- Telling -----------------------------------------------------------------------------------
 */

static const char *words_of(uint32_t flags) {
    static const char *const names[] = {"READ",   "PRIORITY", "WRITE",    "ERROR",
                                        "HANGUP", "EDGE",     "ONE_SHOT", "READ_CLOSED"};
    static const uint32_t bits[] = {SLUICE_READ,     SLUICE_PRIORITY,   SLUICE_WRITE,
                                    SLUICE_ERROR,    SLUICE_HANGUP,     SLUICE_EDGE,
                                    SLUICE_ONE_SHOT, SLUICE_READ_CLOSED};
    static char texts[4][96];
    static size_t next;
    char *text = texts[next++ % COUNT_OF(texts)];
    text[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(bits); i++)
        if (flags & bits[i])
            snprintf(text + strlen(text), sizeof texts[0] - strlen(text), "%s%s", *text ? " " : "",
                     names[i]);
    return *text ? text : "nothing";
}

static void check_code(const struct backend *backend, int code, int expected, const char *call,
                       size_t place) {
    if (code != expected)
        disagree("%s: %s of %d returned %s, and should %s", backend->name, call,
                 place_number(place), sluice_error_name(code), sluice_error_name(expected));
}

/* ---- Registering -------------------------------------------------------------------------------
 */

/* What `backend` refuses before it looks at the number. */
static bool refuses(const struct backend *backend, uint32_t interest) {
    uint32_t features = sluice_poller_features(backend->poller);
    return ((interest & SLUICE_EDGE) && !(features & SLUICE_FEATURE_EDGE)) ||
           ((interest & SLUICE_HANGUP) && !(features & SLUICE_FEATURE_CONDITIONS)) ||
           (interest & SLUICE_PRIORITY & ~backend->flags);
}

static int expected_code(const struct backend *backend, size_t place, uint32_t interest,
                         bool modifies) {
    if (refuses(backend, interest))
        return SLUICE_ENOTSUP;
    if (backend->places[place].registered != modifies)
        return modifies ? SLUICE_ENOENT : SLUICE_EEXIST;
    if (!place_is_open(place))
        return SLUICE_EBADF;
    return backend->low_only && place_number(place) >= FD_SETSIZE ? SLUICE_ENOTSUP : 0;
}

static void tell_backend(struct backend *backend, size_t place, uint32_t interest, bool modifies) {
    int number = place_number(place);
    int expected = expected_code(backend, place, interest, modifies);
    int code = modifies ? sluice_poller_modify(backend->poller, number, interest, last_user)
                        : sluice_poller_add(backend->poller, number, interest, last_user);
    check_code(backend, code, expected, modifies ? "modify" : "add", place);
    if (code == 0)
        backend->places[place] = (struct registration){
            .registered = true, .armed = true, .interest = interest, .user = last_user};
}

static uint32_t any_interest(struct choices *choices) {
    uint32_t interest = choose_below(choices, 8); /* of the three directions */
    if (choose_below(choices, 2))
        interest &= ~(uint32_t)SLUICE_PRIORITY;
    if (choose_below(choices, 4) == 0)
        interest |= SLUICE_ONE_SHOT;
    if (choose_below(choices, 8) == 0)
        interest |= SLUICE_EDGE;
    if (choose_below(choices, 8) == 0)
        interest |= SLUICE_HANGUP;
    return interest;
}

/* Adds or modifies, also a number that is not there, or that is there already. */
static void register_one(struct choices *choices, bool modifies) {
    size_t place = choose_below(choices, PLACES);
    uint32_t interest = any_interest(choices);
    last_user++;
    tell("%s %d for %s", modifies ? "modify" : "add", place_number(place), words_of(interest));
    for (size_t i = 0; i < backend_count; i++)
        tell_backend(&backends[i], place, interest, modifies);
}

static void add_one(struct choices *choices) {
    register_one(choices, false);
}

static void modify_one(struct choices *choices) {
    register_one(choices, true);
}

static void remove_from(struct backend *backend, size_t place) {
    int code = sluice_poller_remove(backend->poller, place_number(place));
    int expected = backend->places[place].registered ? 0 : SLUICE_ENOENT;
    check_code(backend, code, expected, "remove", place);
    backend->places[place] = (struct registration){0};
}

static void remove_at(size_t place) {
    tell("remove %d", place_number(place));
    for (size_t i = 0; i < backend_count; i++)
        remove_from(&backends[i], place);
}

static void remove_one(struct choices *choices) {
    remove_at(choose_below(choices, PLACES));
}

static void close_removed(struct choices *choices) {
    size_t place = choose_below(choices, PLACES);
    if (!place_is_open(place))
        return;
    remove_at(place);
    close_place(place, choose_below(choices, 2));
}

static void close_registered(struct choices *choices) {
    size_t place = choose_below(choices, PLACES);
    closed_unremoved |= place_is_open(place);
    for (size_t i = 0; i < backend_count; i++) {
        backends[i].places[place].adrift = true; /* means nothing where it is not registered */
        if (backends[i].by_inode && place_shares_inode(place))
            remove_from(&backends[i], place);
    }
    close_place(place, choose_below(choices, 2));
}

/* ---- Waiting -----------------------------------------------------------------------------------
 */

/* What was reported of each place. */
struct report {
    uint32_t flags[PLACES];
};

static size_t place_of(const struct backend *backend, const sluice_ready *event) {
    for (size_t place = 0; place < PLACES; place++)
        if (place_number(place) == event->fd) {
            const struct registration *registration = &backend->places[place];
            if (!registration->registered || registration->user != event->user)
                disagree("%s: an event of %d, with another user word or unregistered",
                         backend->name, event->fd);
            return place;
        }
    disagree("%s: an event of %d, which is none of ours", backend->name, event->fd);
}

static void note_event(struct backend *backend, const sluice_ready *event, struct report *batch,
                       struct report *report) {
    size_t place = place_of(backend, event);
    if (event->flags == 0 || batch->flags[place])
        disagree("%s: %s of %d in a batch", backend->name, event->flags ? "two events" : "no flag",
                 event->fd);
    if (!sluice_poller_is_current(backend->poller, event))
        disagree("%s: an event of %d that is not current", backend->name, event->fd);
    struct registration *registration = &backend->places[place];
    bool once = (registration->interest & SLUICE_ONE_SHOT) && !registration->adrift;
    if (once && !registration->armed)
        disagree("%s: a one-shot of %d that has fired: %s", backend->name, event->fd,
                 words_of(event->flags));
    batch->flags[place] = event->flags;
    report->flags[place] |= event->flags;
    registration->armed &= !once;
}

/* Waits `times` over, and notes all events. */
static struct report wait_on(struct backend *backend, int capacity, int times, int64_t timeout_ns) {
    struct report report = {{0}};
    for (; times > 0; times--) {
        sluice_ready events[PLACES + 1];
        struct report batch = {{0}};
        int count = backend->wait(backend->poller, events, capacity, timeout_ns);
        if (count < 0 || count > capacity)
            disagree("%s: a wait for %d returned %d", backend->name, capacity, count);
        for (int i = 0; i < count; i++)
            note_event(backend, &events[i], &batch, &report);
    }
    return report;
}

/* libevent's poll also takes a hang-up for room to write. So does its epoll, unless the peer's end
 * was asked for and comes with it. And beside an error it reports no end. */
static uint32_t libevents_flags(const struct backend *backend, short state, uint32_t interest,
                                uint32_t flags) {
    bool is_epoll = strcmp(backend->name, "libevent:epoll") == 0;
    if (!is_epoll && strcmp(backend->name, "libevent:poll") != 0)
        return flags;
    bool tells_end = is_epoll && (state & POLLRDHUP) && (interest & SLUICE_READ);
    if ((state & POLLHUP) && !tells_end)
        flags |= interest & SLUICE_WRITE;
    if (is_epoll && (state & POLLERR))
        flags &= ~(uint32_t)SLUICE_READ_CLOSED;
    return flags;
}

/* What the contract says that a wait reports of `place`. */
static uint32_t modelled_flags(const struct backend *backend, size_t place, uint32_t interest) {
    short state = place_state(place);
    uint32_t flags = 0;
    if (!(interest & (SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY | SLUICE_HANGUP)))
        return 0;
    if (state & (POLLIN | POLLHUP | POLLERR))
        flags |= interest & SLUICE_READ;
    if (state & (POLLOUT | POLLERR))
        flags |= interest & SLUICE_WRITE;
    if (state & POLLPRI)
        flags |= interest & SLUICE_PRIORITY;
    if (state & POLLERR)
        flags |= SLUICE_ERROR;
    if (state & POLLHUP)
        flags |= SLUICE_HANGUP;
    if ((state & POLLRDHUP) && (interest & SLUICE_READ))
        flags |= SLUICE_READ_CLOSED;
    return libevents_flags(backend, state, interest, flags);
}

static void compare(const struct backend *backend, size_t place, uint32_t reported,
                    uint32_t expected, uint32_t known, const char *by) {
    if ((reported & known) != (expected & known))
        disagree("%s reports %s of %d, and %s %s", backend->name, words_of(reported & known),
                 place_number(place), by, words_of(expected & known));
}

/* The model cannot know what came before an edge. It only checks that what is reported is true.
 * Whether an edge is reported is compared among backends, with three exceptions: TCP, where the
 * kernel's own work makes edges at any time; ends, which libevent reports in its own way; and a
 * backend that may have had to start again with a new instance, which reports edges again. */
static void compare_edges(const struct report *reports, size_t place, size_t which) {
    const struct backend *backend = &backends[which];
    uint32_t interest = backend->places[place].interest;
    uint32_t reported = reports[which].flags[place];
    uint32_t ready = modelled_flags(backend, place, interest) & backend->flags;
    if (reported & ~ready)
        disagree("%s reports an edge of %d, %s, and ready is %s", backend->name,
                 place_number(place), words_of(reported), words_of(ready));
    if (place_is_tcp(place) || (place_state(place) & (POLLERR | POLLHUP)) || closed_unremoved)
        return;
    for (size_t i = 0; i < which; i++) {
        const struct registration *other = &backends[i].places[place];
        if (other->registered && other->interest == interest) {
            compare(backend, place, reported, reports[i].flags[place],
                    backend->flags & backends[i].flags, backends[i].name);
            return;
        }
    }
}

static void wait_and_compare(int capacity, int times, int64_t timeout_ns) {
    struct report reports[MOST_BACKENDS];
    for (size_t i = 0; i < backend_count; i++) {
        struct backend *backend = &backends[i];
        struct registration before[PLACES];
        memcpy(before, backend->places, sizeof before);
        /* It would sleep for milliseconds. */
        bool sleeps_long =
            timeout_ns < SLUICE_FOREVER && strcmp(backend->name, "libevent:epoll") == 0;
        reports[i] = wait_on(backend, capacity, times, sleeps_long ? 0 : timeout_ns);
        for (size_t place = 0; place < PLACES; place++) {
            const struct registration *registration = &before[place];
            if (!registration->registered || registration->adrift)
                continue;
            if (registration->interest & SLUICE_EDGE)
                compare_edges(reports, place, i);
            else
                compare(backend, place, reports[i].flags[place],
                        registration->armed ? modelled_flags(backend, place, registration->interest)
                                            : 0,
                        backend->flags, "the model");
        }
    }
}

static void look(struct choices *choices) {
    if (choose_below(choices, 4)) {
        wait_and_compare(PLACES + 1, 1, choose_below(choices, 8) ? 0 : 20 * NS_PER_US);
        return;
    }
    int capacity = 1 + (int)choose_below(choices, 3);
    tell("wait for %d at a time", capacity);
    /* Files that are always ready take turns with others. And a wake takes a place. */
    wait_and_compare(capacity, 2 * (PLACES / capacity) + 3, 0);
}

/* Ends a wait that would not end. */
static void wake(struct choices *choices) {
    uint32_t count = 1 + choose_below(choices, 3);
    bool waits = choose_below(choices, 2);
    tell("%u wakes%s", count, waits ? ", and a wait for ever" : "");
    for (size_t i = 0; i < backend_count; i++)
        for (uint32_t n = 0; n < count; n++)
            check_code(&backends[i], sluice_poller_wake(backends[i].poller), 0, "wake", 0);
    if (waits)
        wait_and_compare(PLACES + 1, 1, SLUICE_FOREVER);
}

/* ---- Scripts -----------------------------------------------------------------------------------
 */

static void use_backend(const char *name, wait_function *wait, const char *as) {
    struct backend *backend = &backends[backend_count++];
    *backend = (struct backend){.name = as, .wait = wait};
    /* The contract is about the real ones. */
    backend->flags = contract_flags(name);
    backend->low_only = contract_says("number above 1,024", name, "SLUICE_ENOTSUP");
    backend->by_inode = contract_says("duplicate open: an eventfd, by another unremoved", name,
                                      "an event, then early");
    int code = sluice_poller_create(&backend->poller, name);
    if (code < 0)
        disagree("%s: no poller: %s", name, sluice_error_name(code));
}

static void begin(struct choices *choices) {
    (void)choices;
    closed_unremoved = false;
    for (size_t i = 0; sluice_backend_name(i); i++)
        use_backend(sluice_backend_name(i), sluice_poller_wait, sluice_backend_name(i));
}

static void take_step(struct choices *choices) {
    static const struct {
        uint32_t weight;
        void (*step)(struct choices *choices);
    } steps[] = {
        {14, open_some},  {5, duplicate_one}, {5, close_removed}, {3, close_registered},
        {26, add_one},    {16, modify_one},   {4, remove_one},    {20, move_bytes},
        {3, send_urgent}, {5, finish_one},    {4, set_clock},     {3, wake},
    };
    uint32_t total = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        total += steps[i].weight;
    uint32_t choice = choose_below(choices, total);
    size_t i = 0;
    for (; choice >= steps[i].weight; i++)
        choice -= steps[i].weight;
    steps[i].step(choices);
    look(choices);
}

static void end(void) {
    for (size_t i = 0; i < backend_count; i++)
        sluice_poller_destroy(backends[i].poller);
    backend_count = 0;
    close_all_places();
}

static void backends_agree(void) {
    static const struct player player = {STEPS, begin, take_step, end};
    play_scripts(&player, SCRIPTS);
}

/* ---- That it finds what is wrong ---------------------------------------------------------------
 */

static int wait_without_hangups(sluice_poller *poller, sluice_ready *events, int capacity,
                                int64_t timeout_ns) {
    int count = sluice_poller_wait(poller, events, capacity, timeout_ns);
    for (int i = 0; i < count; i++)
        events[i].flags &= ~(uint32_t)SLUICE_HANGUP;
    return count;
}

static sluice_ready last;
static const sluice_poller *last_of;

/* Reports what it reported before where there is nothing else. */
static int wait_with_echoes(sluice_poller *poller, sluice_ready *events, int capacity,
                            int64_t timeout_ns) {
    int count = sluice_poller_wait(poller, events, capacity, timeout_ns);
    if (count > 0) {
        last = events[0];
        last_of = poller;
    } else if (last_of == poller) {
        events[0] = last;
        last_of = NULL;
        count = 1;
    }
    return count;
}

static void begin_without_hangups(struct choices *choices) {
    begin(choices);
    use_backend("poll", wait_without_hangups, "poll without hang-ups");
}

static void begin_with_echoes(struct choices *choices) {
    last_of = NULL;
    begin(choices);
    use_backend("poll", wait_with_echoes, "poll with echoes");
}

static void a_lost_hangup_is_found(void) {
    static const struct player player = {STEPS, begin_without_hangups, take_step, end};
    expect_found(&player, 6);
}

static void an_event_too_many_is_found(void) {
    static const struct player player = {STEPS, begin_with_echoes, take_step, end};
    expect_found(&player, 6);
}

int main(void) {
    static const struct test tests[] = {
        {"a poller that drops HANGUP is found, in at most 6 steps", a_lost_hangup_is_found, NULL},
        {"a poller that repeats an event is found, in at most 6 steps", an_event_too_many_is_found,
         NULL},
        {"random scripts: every backend answers alike", backends_agree, NULL},
    };
    signal(SIGPIPE, SIG_IGN); /* scripts write to pipes without readers */
    return run_once(tests, COUNT_OF(tests));
}

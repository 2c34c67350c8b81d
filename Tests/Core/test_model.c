/* test_model.c - random scripts over each backend, compared with a plain model.
 *
 * A script opens, duplicates, closes, writes and reads descriptors, and adds, modifies and removes
 * them, rightly and wrongly. The model is an array of what is registered; what is ready it asks
 * poll(2), one descriptor at a time, and words by the contract. After each step a wait must report
 * what the model says, all of it where the capacity allows.
 *
 * Scripts remove before they close, as a program should: what happens otherwise differs by nature,
 * and has its rows in the contract. A failure names the script's seed; SLUICE_SEED=<seed> plays
 * that script first.
 */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRIPTS = 2000, STEPS = 40, PLACES = 10 };

/* A descriptor that a script has open, and the registration that it should have. */
struct place {
    int fd; /* -1 where the place is free */
    bool registered;
    bool armed;
    uint32_t interest;
    uint64_t user;
};

struct script {
    uint64_t seed;
    uint64_t random;
    int step;
    sluice_poller *poller;
    bool tells_conditions;
    bool woken; /* a wake is pending, and may take an event's room in a batch */
    uint64_t last_user;
    struct place places[PLACES];
};

static void check(const struct script *script, bool holds, const char *what) {
    if (!holds)
        fail_msg("SLUICE_SEED=%llu, step %d: %s", (unsigned long long)script->seed, script->step,
                 what);
}

/* xorshift64*: small, and the same everywhere. */
static uint32_t below(struct script *script, uint32_t end) {
    script->random ^= script->random >> 12;
    script->random ^= script->random << 25;
    script->random ^= script->random >> 27;
    return (uint32_t)((script->random * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % end;
}

static struct place *any_place(struct script *script) {
    return &script->places[below(script, PLACES)];
}

static struct place *free_place(struct script *script) {
    for (size_t i = 0; i < PLACES; i++)
        if (script->places[i].fd < 0)
            return &script->places[i];
    return NULL;
}

static void occupy(struct script *script, int fd) {
    struct place *place = free_place(script);
    if (fd < 0 || !place)
        close(fd);
    else
        *place = (struct place){.fd = fd};
}

/* ---- Steps -------------------------------------------------------------------------------------
 */

static void open_some(struct script *script) {
    int fds[2] = {-1, -1};
    switch (below(script, 5)) {
    case 0:
        check(script, pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0, "pipe2");
        break;
    case 1:
        fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
        break;
    default:
        check(script, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
              "socketpair");
    }
    occupy(script, fds[0]);
    occupy(script, fds[1]);
}

static void duplicate_one(struct script *script) {
    int fd = any_place(script)->fd;
    if (fd >= 0 && free_place(script))
        occupy(script, fcntl(fd, F_DUPFD_CLOEXEC, below(script, 4) ? 0 : 1100));
}

static void remove_one(struct script *script, struct place *place) {
    int code = sluice_poller_remove(script->poller, place->fd);
    check(script, code == (place->registered ? 0 : SLUICE_ENOENT), "remove");
    place->registered = false;
}

static void close_one(struct script *script) {
    struct place *place = any_place(script);
    if (place->fd < 0)
        return;
    remove_one(script, place);
    close(place->fd);
    place->fd = -1;
}

static uint32_t any_interest(struct script *script) {
    uint32_t interest = below(script, 8); /* of the three directions */
    return below(script, 4) ? interest : interest | SLUICE_ONE_SHOT;
}

/* Adds or modifies, and expects a refusal where the model says so. */
static void register_one(struct script *script, bool modify) {
    struct place *place = any_place(script);
    uint32_t interest = any_interest(script);
    uint64_t user = ++script->last_user;
    int code = modify ? sluice_poller_modify(script->poller, place->fd, interest, user)
                      : sluice_poller_add(script->poller, place->fd, interest, user);
    int expected = 0;
    if (place->fd < 0)
        expected = modify ? SLUICE_ENOENT : SLUICE_EBADF;
    else if (place->registered != modify)
        expected = modify ? SLUICE_ENOENT : SLUICE_EEXIST;
    check(script, code == expected, modify ? "modify" : "add");
    if (code == 0) {
        place->registered = place->armed = true;
        place->interest = interest;
        place->user = user;
    }
}

static void move_bytes(struct script *script) {
    static char bytes[300000];
    int fd = any_place(script)->fd;
    size_t size = below(script, 3) ? 1 : sizeof bytes;
    /* Refusals are welcome: what a descriptor cannot do is part of what it is ready for. */
    if (below(script, 2))
        (void)!read(fd, bytes, size);
    else if (send(fd, bytes, size, MSG_NOSIGNAL) < 0)
        (void)!write(fd, bytes, size);
}

static void finish_one(struct script *script) {
    int fd = any_place(script)->fd;
    if (fd >= 0)
        (void)shutdown(fd, below(script, 2) ? SHUT_WR : SHUT_RD);
}

static void wake(struct script *script) {
    check(script, sluice_poller_wake(script->poller) == 0, "wake");
    script->woken = true;
}

static void take_step(struct script *script) {
    uint32_t choice = below(script, 100);
    if (choice < 12)
        open_some(script);
    else if (choice < 17)
        duplicate_one(script);
    else if (choice < 24)
        close_one(script);
    else if (choice < 48)
        register_one(script, false);
    else if (choice < 66)
        register_one(script, true);
    else if (choice < 71)
        remove_one(script, any_place(script));
    else if (choice < 92)
        move_bytes(script);
    else if (choice < 97)
        finish_one(script);
    else
        wake(script);
}

/* ---- The model ---------------------------------------------------------------------------------
 */

/* The flags that a wait is to report for `place`, by the contract. */
static uint32_t expected_flags(const struct script *script, const struct place *place) {
    uint32_t asked = place->interest & (SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY);
    if (place->fd < 0 || !place->registered || !place->armed || asked == 0)
        return 0;
    struct pollfd look = {.fd = place->fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    poll(&look, 1, 0);
    uint32_t flags = 0;
    if (look.revents & (POLLIN | POLLHUP | POLLERR))
        flags |= asked & SLUICE_READ;
    if (look.revents & (POLLOUT | POLLERR))
        flags |= asked & SLUICE_WRITE;
    if (look.revents & POLLPRI)
        flags |= asked & SLUICE_PRIORITY;
    if (!script->tells_conditions)
        return flags;
    if (look.revents & POLLERR)
        flags |= SLUICE_ERROR;
    if (look.revents & POLLHUP)
        flags |= SLUICE_HANGUP;
    if ((look.revents & POLLRDHUP) && (asked & SLUICE_READ))
        flags |= SLUICE_READ_CLOSED;
    return flags;
}

static struct place *place_of(struct script *script, const sluice_ready *event) {
    for (size_t i = 0; i < PLACES; i++)
        if (script->places[i].fd == event->fd && script->places[i].user == event->user)
            return &script->places[i];
    check(script, false, "an event of nothing that is registered");
    return NULL;
}

static void compare(struct script *script) {
    uint32_t expected[PLACES];
    int ready = 0;
    for (size_t i = 0; i < PLACES; i++) {
        expected[i] = expected_flags(script, &script->places[i]);
        ready += expected[i] != 0;
    }
    sluice_ready events[PLACES + 1];
    int capacity = (int)(below(script, 3) ? COUNT_OF(events) : 1 + below(script, 3));
    int count = sluice_poller_wait(script->poller, events, capacity, 0);
    int fits = ready < capacity ? ready : capacity;
    check(script, count <= fits, "more events than are ready");
    check(script, count >= fits - script->woken, "fewer events than are ready");
    if (count < capacity)
        script->woken = false; /* a full batch may not have come to it */
    for (int i = 0; i < count; i++) {
        struct place *place = place_of(script, &events[i]);
        size_t at = (size_t)(place - script->places);
        check(script, events[i].flags == expected[at], "other flags");
        check(script, sluice_poller_is_current(script->poller, &events[i]), "not current");
        expected[at] = 0; /* and so not twice */
        if (place->interest & SLUICE_ONE_SHOT)
            place->armed = false;
    }
}

/* ---- Scripts -----------------------------------------------------------------------------------
 */

static void play(uint64_t seed) {
    struct script script = {.seed = seed, .random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    if (sluice_poller_create(&script.poller, test_backend()) < 0)
        fail_msg("no poller");
    script.tells_conditions = poller_has(script.poller, SLUICE_FEATURE_CONDITIONS);
    for (size_t i = 0; i < PLACES; i++)
        script.places[i].fd = -1;
    for (script.step = 0; script.step < STEPS; script.step++) {
        take_step(&script);
        compare(&script);
    }
    sluice_poller_destroy(script.poller);
    for (size_t i = 0; i < PLACES; i++)
        if (script.places[i].fd >= 0)
            close(script.places[i].fd);
}

static void scripts(void) {
    const char *variable = getenv("SLUICE_SEED");
    uint64_t first = variable ? strtoull(variable, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + SCRIPTS; seed++)
        play(seed);
}

int main(void) {
    static const struct test tests[] = {{"random scripts", scripts, NULL}};
    signal(SIGPIPE, SIG_IGN); /* scripts write to pipes without readers */
    return run_over_backends(tests, COUNT_OF(tests));
}

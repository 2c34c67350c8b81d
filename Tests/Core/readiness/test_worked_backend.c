/* test_worked_backend.c - an example of a backend from outside the core, and the readiness contract
 * over it. Read it beside the contract of a backend in readiness/poller.h.
 *
 * It waits with poll(2), in the simplest way: an array in which the number of a descriptor is its
 * place. The place of a number that is not watched has -1, which poll(2) ignores. So nothing is
 * searched and nothing is moved. But each wait looks at every number up to the highest. That is why
 * pollers/poll.c works in another way.
 */
#include "contract.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/deadline.h"
#include "readiness/poller.h"

/* ---- The backend ------------------------------------------------------------------------------
 */

/* Lives in poller->state, and is zeroed before init. Invariant: entries[fd].fd is fd or -1. */
struct worked {
    struct pollfd *entries;
    int count;
    int next; /* where the next walk begins */
};

static struct worked *worked_of(sluice_poller *poller) {
    return (struct worked *)sluice_poller_state(poller);
}

static int init(sluice_poller *poller) {
    (void)poller; /* nothing is needed of the kernel */
    return 0;
}

static void deinit(sluice_poller *poller) {
    sluice_free(&poller->allocator, worked_of(poller)->entries);
}

/* "On failure nothing has changed": what can fail comes first. */
static int set(sluice_poller *poller, int fd, uint32_t interest) {
    struct worked *worked = worked_of(poller);
    int code = sluice_fd_check(fd); /* -EBADF where it is not open */
    if (code < 0)
        return code;
    if (fd >= worked->count) {
        struct pollfd *grown = SLUICE_RESIZE(&poller->allocator, worked->entries, (size_t)fd + 1);
        if (!grown)
            return SLUICE_ENOMEM;
        worked->entries = grown;
        while (worked->count <= fd)
            worked->entries[worked->count++] = (struct pollfd){.fd = -1};
    }
    int events = (interest & SLUICE_READ ? POLLIN | POLLRDHUP : 0) |
                 (interest & SLUICE_WRITE ? POLLOUT : 0) |
                 (interest & SLUICE_PRIORITY ? POLLPRI : 0);
    /* "With nothing of SLUICE_WAITED_FOR nothing is reported, not even a hang-up." */
    worked->entries[fd] =
        (struct pollfd){.fd = interest & SLUICE_WAITED_FOR ? fd : -1, .events = (short)events};
    return 0;
}

/* "Forgets fd, which may be closed. Cannot fail." */
static void forget(sluice_poller *poller, int fd) {
    worked_of(poller)->entries[fd].fd = -1;
}

/* What the kernel reported, in the contract's flags: READ if a read would return, even with an
 * error. */
static uint32_t flags_of(short events, short revents) {
    return ((events & POLLIN) && (revents & (POLLIN | POLLHUP | POLLERR)) ? SLUICE_READ : 0u) |
           ((events & POLLOUT) && (revents & (POLLOUT | POLLERR)) ? SLUICE_WRITE : 0u) |
           (revents & POLLPRI ? SLUICE_PRIORITY : 0u) | (revents & POLLERR ? SLUICE_ERROR : 0u) |
           (revents & POLLHUP ? SLUICE_HANGUP : 0u) |
           (revents & POLLRDHUP ? SLUICE_READ_CLOSED : 0u);
}

/* One system call. At most `capacity` events, beginning after those that were reported last. */
static int wait_once(sluice_poller *poller, sluice_ready *events, int capacity,
                     int64_t timeout_ns) {
    struct worked *worked = worked_of(poller);
    struct timespec timeout;
    int left =
        ppoll(worked->entries, (nfds_t)worked->count, timespec_of(timeout_ns, &timeout), NULL);
    if (left < 0)
        return -errno; /* poller.c goes on after EINTR */
    sluice_ready *next = events;
    int fd = worked->next < worked->count ? worked->next : 0;
    for (; left > 0 && next < events + capacity; fd = fd + 1 < worked->count ? fd + 1 : 0) {
        struct pollfd *entry = &worked->entries[fd];
        if (entry->fd < 0 || !entry->revents)
            continue;
        left--;
        /* A number that was closed without a remove falls silent. So does a one-shot after its
         * event. */
        bool is_closed = entry->revents & POLLNVAL;
        if (is_closed || (poller->registrations[fd].interest & SLUICE_ONE_SHOT))
            entry->fd = -1;
        if (!is_closed)
            sluice_poller_report(poller, &next, fd, flags_of(entry->events, entry->revents));
    }
    worked->next = left > 0 ? fd : 0;
    return (int)(next - events);
}

static const struct sluice_poller_backend worked_backend = {
    .name = "worked",
    .features = SLUICE_FEATURE_ONE_SHOT | SLUICE_FEATURE_CONDITIONS | SLUICE_FEATURE_PRIORITY |
                SLUICE_FEATURE_INTERRUPTIBLE,
    .state_size = sizeof(struct worked),
    .init = init,
    .deinit = deinit,
    .set = set,
    .remove = forget,
    .wait = wait_once,
};

/* ---- The contract over it -----------------------------------------------------------------------
 */

/* What waits by poll(2) answers as poll does. */
static void row_holds(void) {
    const struct contract_row *row = test_data();
    char expected[CONTRACT_TEXT_SIZE];
    char observed[CONTRACT_TEXT_SIZE];
    contract_expect(row, "poll", expected);
    contract_observe(row, observed);
    assert_string_equal(observed, expected);
}

static void it_is_chosen_by_name(void) {
    assert_string_equal(sluice_poller_backend_name(make_poller()), "worked");
}

/* A loop knows no backend by name, and so runs over this one as over any. */
static void a_loop_runs_over_it(void) {
    sluice_loop *loop;
    sluice_id id;
    sluice_event event;
    struct pair pair = unix_pair();
    assert_int_equal(sluice_open(&loop, NULL), 0);
    int near = fcntl(pair.near, F_DUPFD_CLOEXEC, 0); /* the loop closes what it adopts */
    assert_int_equal(sluice_adopt(loop, &id, near, NULL), 0);
    assert_int_equal(send(pair.far, "hello", 5, 0), 5);
    assert_int_equal(sluice_next(loop, &event, SLUICE_FOREVER), 1);
    assert_int_equal(event.kind, SLUICE_DATA);
    assert_int_equal(sluice_write(loop, id, event.data, event.length), 0);
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    char echo[8];
    assert_int_equal(recv(pair.far, echo, sizeof echo, 0), 5);
    assert_memory_equal(echo, "hello", 5);
    assert_int_equal(sluice_destroy(loop), 0);
}

int main(void) {
    static const struct test own[] = {
        {"it is chosen by name", it_is_chosen_by_name, NULL},
        {"a loop runs over it", a_loop_runs_over_it, NULL},
    };
    static struct test rows[256];
    size_t count = 0;
    for (size_t s = 0; contract_sections[s]; s++)
        for (size_t i = 0; i < contract_sections[s]->count && count < COUNT_OF(rows); i++) {
            const struct contract_row *row = &contract_sections[s]->rows[i];
            rows[count++] = (struct test){.name = row->name, .run = row_holds, .data = row};
        }
    /* The two steps by which a program has it: register once, and choose by name. */
    if (sluice_poller_register(&worked_backend) < 0 || setenv("SLUICE_BACKEND", "worked", 1) < 0)
        return EXIT_FAILURE;
    int code = run_once(own, COUNT_OF(own));
    int row_code = run_once(rows, count);
    return code != EXIT_SUCCESS ? code : row_code;
}

/* contract_numbers.c - the contract's rows on numbers and the files behind them: closing, reusing,
 * duplicating. select and poll look at numbers; epoll looks at files. */
#include "contract.h"

#include <sys/eventfd.h>

static void reconsider(struct stage *stage, int fd, uint32_t interest, uint64_t user) {
    assert_int_equal(sluice_poller_modify(stage->poller, fd, interest, user), 0);
}

static struct pair pair_with_byte(void) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    return pair;
}

static void remove_then_close(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, UNNAMED);
    note_code(stage, sluice_poller_remove(stage->poller, fd));
    drop(fd);
    note_events(stage);
}

static void closed(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, UNNAMED);
    drop(fd);
    note_events(stage);
}

static void closed_beside_open(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, FIRST);
    add(stage, pair_with_byte().near, SECOND);
    drop(fd);
    note_events(stage);
}

static void closed_and_modified(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, UNNAMED);
    drop(fd);
    note_code(stage, sluice_poller_modify(stage->poller, fd, SLUICE_READ, UNNAMED));
    note_code(stage, sluice_poller_modify(stage->poller, fd, SLUICE_NONE, UNNAMED));
}

static void closed_and_removed(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, UNNAMED);
    drop(fd);
    note_code(stage, sluice_poller_remove(stage->poller, fd));
    note_code(stage, sluice_poller_remove(stage->poller, fd));
}

static void regular_closed(struct stage *stage) {
    int fd = regular_file();
    add(stage, fd, UNNAMED);
    drop(fd);
    note_events(stage);
}

/* Registers a file, closes it unremoved, and puts under its number another that has data. */
static int reuse(struct stage *stage, int old) {
    add(stage, old, OLD);
    drop(old);
    return move_fd(pair_with_byte().near, old);
}

static void reused(struct stage *stage) {
    reuse(stage, unix_pair().near);
    note_events(stage);
}

static void reused_after_wait(struct stage *stage) {
    int fd = unix_pair().near;
    add(stage, fd, OLD);
    drop(fd);
    note_events(stage);
    move_fd(pair_with_byte().near, fd);
    note_events(stage);
    reconsider(stage, fd, stage->interest, NEW);
    note_events(stage);
}

static void reused_and_modified(struct stage *stage) {
    int fd = reuse(stage, unix_pair().near);
    reconsider(stage, fd, stage->interest, NEW);
    note_events(stage);
}

static void reused_by_regular(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, OLD);
    drop(fd);
    move_fd(regular_file(), fd);
    reconsider(stage, fd, stage->interest, NEW);
    note_events(stage);
}

static void reused_by_regular_paused(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, OLD);
    drop(fd);
    move_fd(regular_file(), fd);
    note_code(stage, sluice_poller_modify(stage->poller, fd, SLUICE_NONE, NEW));
    note_events(stage);
}

static void regular_reused(struct stage *stage) {
    int fd = regular_file();
    add(stage, fd, OLD);
    drop(fd);
    move_fd(unix_pair().near, fd);
    note_events(stage);
    reconsider(stage, fd, stage->interest, NEW);
    note_events(stage);
}

static void removed_and_added(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, OLD);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    drop(fd);
    struct pair pair = unix_pair();
    move_fd(pair.near, fd);
    add(stage, fd, NEW);
    note_events(stage);
    put_byte(pair.far);
    note_events(stage);
}

static void two_numbers(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, FIRST);
    add(stage, duplicate(fd, 0), SECOND);
    note_events(stage);
}

static void two_numbers_one_removed(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, FIRST);
    add(stage, duplicate(fd, 0), SECOND);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    drop(fd);
    note_events(stage);
}

static void two_numbers_one_closed(struct stage *stage) {
    int fd = pair_with_byte().near;
    add(stage, fd, FIRST);
    add(stage, duplicate(fd, 0), SECOND);
    drop(fd);
    note_events(stage);
}

static void duplicate_keeps_open(struct stage *stage) {
    int fd = pair_with_byte().near;
    duplicate(fd, 0);
    add(stage, fd, OLD);
    drop(fd);
    note_events(stage);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    note_events(stage);
}

/* An entry that epoll keeps for ever must not be seen, and must not keep the wait from sleeping. */
static void note_sleep(struct stage *stage) {
    sluice_ready event;
    int64_t began = monotonic_ns();
    int64_t used = cpu_ns();
    int count = sluice_poller_wait(stage->poller, &event, 1, 50 * NS_PER_MS);
    used = cpu_ns() - used;
    note(stage, "%s", count == 0 ? "nothing" : "an event");
    note(stage, "%s", monotonic_ns() - began >= 50 * NS_PER_MS ? "50 ms later" : "early");
    if (used > 25 * NS_PER_MS)
        note(stage, "spinning");
}

/* Leaves in epoll an entry of a file with data, under the number that is returned. */
static int leave_stale_entry(struct stage *stage) {
    int fd = pair_with_byte().near;
    duplicate(fd, 0);
    add(stage, fd, OLD);
    drop(fd);
    return fd;
}

static void stale_and_reused(struct stage *stage) {
    int fd = leave_stale_entry(stage);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    move_fd(unix_pair().near, fd);
    add(stage, fd, NEW);
    note_sleep(stage);
}

/* Of one mode, and the next of the other. */
static void stale_and_reused_otherwise(struct stage *stage) {
    int fd = leave_stale_entry(stage);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    move_fd(unix_pair().near, fd);
    stage->interest ^= SLUICE_ONE_SHOT;
    add(stage, fd, NEW);
    note_sleep(stage);
}

/* Files that share one inode. */
static void stale_eventfd_and_reused(struct stage *stage) {
    int fd = keep(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    duplicate(fd, 0);
    add(stage, fd, OLD);
    drop(fd);
    move_fd(keep(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), fd);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    add(stage, fd, NEW);
    note_sleep(stage);
}

static void stale_and_modified(struct stage *stage) {
    int fd = leave_stale_entry(stage);
    move_fd(unix_pair().near, fd);
    reconsider(stage, fd, stage->interest, NEW);
    note_sleep(stage);
}

static void stale_and_paused(struct stage *stage) {
    int fd = leave_stale_entry(stage);
    move_fd(unix_pair().near, fd);
    reconsider(stage, fd, SLUICE_NONE, NEW);
    reconsider(stage, fd, stage->interest, NEW);
    note_sleep(stage);
}

static void stale_and_regular_between(struct stage *stage) {
    int fd = leave_stale_entry(stage);
    move_fd(regular_file(), fd);
    reconsider(stage, fd, stage->interest, NEW);
    drop(fd);
    move_fd(unix_pair().near, fd);
    reconsider(stage, fd, stage->interest, NEW);
    note_sleep(stage);
}

static void stale_after_wake(struct stage *stage) {
    sluice_ready event;
    sluice_poller_wake(stage->poller);
    assert_int_equal(sluice_poller_wait(stage->poller, &event, 1, SLUICE_FOREVER), 0);
    stale_and_reused(stage);
}

/* With room for one event, the entry that nobody hears must not take it. */
static void stale_and_no_room(struct stage *stage) {
    int fd = leave_stale_entry(stage);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    add(stage, pair_with_byte().near, NEW);
    sluice_ready event;
    int count = sluice_poller_wait(stage->poller, &event, 1, 0);
    note(stage, "%s", count == 1 && event.user == NEW ? "new READ" : "nothing");
}

static void one_shot_beside_stale(struct stage *stage) {
    int other = pair_with_byte().near;
    add(stage, other, FIRST);
    note_events(stage);
    int fd = leave_stale_entry(stage);
    assert_int_equal(sluice_poller_remove(stage->poller, fd), 0);
    note_events(stage);
    reconsider(stage, other, stage->interest, FIRST);
    note_events(stage);
}

static void above(struct stage *stage, int lowest) {
    struct pair pair = pair_with_byte();
    watch(stage, duplicate(pair.near, lowest));
}

static void above_1024(struct stage *stage) {
    above(stage, 1025);
}

static void above_5000(struct stage *stage) {
    above(stage, 5001);
}

#define FILES_NOT_NUMBERS "select and poll look at the number, epoll at the file it named"
#define POLL_TELLS_CLOSED "libevent's poll reports a closed number as ready, again and again"
#define BELOW_1024 "libevent's select ends the process at numbers from FD_SETSIZE on"

static const struct contract_row rows[] = {
    {"removed, then closed", SLUICE_READ, remove_then_close, .expected = "OK, then nothing"},
    {"closed while watched", SLUICE_READ, closed, .expected = "nothing", .on_libevent_poll = "READ",
     .why_libevent = POLL_TELLS_CLOSED},
    {"closed while watched, beside another", SLUICE_READ, closed_beside_open,
     .expected = "second READ", .on_libevent_poll = "first READ + second READ",
     .why_libevent = POLL_TELLS_CLOSED},
    {"closed, then modified, also to none", SLUICE_READ, closed_and_modified,
     .expected = "SLUICE_EBADF, then SLUICE_EBADF"},
    {"closed, then removed twice", SLUICE_READ, closed_and_removed,
     .expected = "OK, then SLUICE_ENOENT"},
    {"regular file closed while watched", SLUICE_READ, regular_closed, .expected = "nothing",
     .on_epoll = "READ", .why = "epoll refuses regular files; Sluice reports them itself, unasked",
     .on_libevent_poll = "READ", .why_libevent = POLL_TELLS_CLOSED},
    {"number reused unremoved", SLUICE_READ, reused, .expected = "old READ", .on_epoll = "nothing",
     .why = FILES_NOT_NUMBERS},
    {"number reused unremoved, after a wait", SLUICE_READ, reused_after_wait,
     .expected = "nothing, then nothing, then new READ",
     .on_libevent_poll = "old READ, then old READ, then new READ",
     .why_libevent = POLL_TELLS_CLOSED},
    {"number reused, then modified", SLUICE_READ, reused_and_modified, .expected = "new READ"},
    {"number reused by a regular file, then modified", SLUICE_READ, reused_by_regular,
     .expected = "new READ"},
    {"number reused by a regular file, then paused", SLUICE_READ, reused_by_regular_paused,
     .expected = "OK, then nothing"},
    {"regular file's number reused, then modified", SLUICE_READ, regular_reused,
     .expected = "nothing, then nothing", .on_epoll = "old READ, then nothing",
     .why = "epoll refuses regular files; Sluice reports them itself, unasked"},
    {"number removed, reused, added, then data", SLUICE_READ, removed_and_added,
     .expected = "nothing, then new READ"},
    {"one file, two numbers", SLUICE_READ, two_numbers, .expected = "first READ + second READ"},
    {"one file, two numbers, first removed and closed", SLUICE_READ, two_numbers_one_removed,
     .expected = "second READ"},
    {"one file, two numbers, first closed", SLUICE_READ, two_numbers_one_closed,
     .expected = "second READ", .on_epoll = "first READ + second READ", .why = FILES_NOT_NUMBERS,
     .on_libevent_poll = "first READ + second READ", .why_libevent = POLL_TELLS_CLOSED},
    {"duplicate open: closed, then removed", SLUICE_READ, duplicate_keeps_open,
     .expected = "nothing, then nothing", .on_epoll = "old READ, then nothing",
     .why = FILES_NOT_NUMBERS, .on_libevent_poll = "old READ, then nothing",
     .why_libevent = POLL_TELLS_CLOSED},
    {"duplicate open: number reused and added", SLUICE_READ, stale_and_reused,
     .expected = "nothing, then 50 ms later"},
    {"duplicate open: a one-shot's, reused and added", SLUICE_READ | SLUICE_ONE_SHOT,
     stale_and_reused, .expected = "nothing, then 50 ms later"},
    {"duplicate open: a one-shot's, reused by none", SLUICE_READ | SLUICE_ONE_SHOT,
     stale_and_reused_otherwise, .expected = "nothing, then 50 ms later"},
    {"duplicate open: reused by a one-shot", SLUICE_READ, stale_and_reused_otherwise,
     .expected = "nothing, then 50 ms later"},
    {"duplicate open: an eventfd, by another unremoved", SLUICE_READ, stale_eventfd_and_reused,
     .expected = "nothing, then 50 ms later", .on_libevent_epoll = "an event, then early",
     .why_libevent = "libevent knows numbers only, and Sluice inodes, which eventfds share"},
    {"duplicate open: reused and modified unremoved", SLUICE_READ, stale_and_modified,
     .expected = "nothing, then 50 ms later"},
    {"duplicate open: reused, paused and resumed unremoved", SLUICE_READ, stale_and_paused,
     .expected = "nothing, then 50 ms later"},
    {"duplicate open: reused twice, a regular file between", SLUICE_READ, stale_and_regular_between,
     .expected = "nothing, then 50 ms later"},
    {"duplicate open: after an earlier wake", SLUICE_READ, stale_after_wake,
     .expected = "nothing, then 50 ms later"},
    {"duplicate open: removed, and room for one event", SLUICE_READ, stale_and_no_room,
     .expected = "new READ"},
    {"duplicate open: beside a one-shot that has fired", SLUICE_READ | SLUICE_ONE_SHOT,
     one_shot_beside_stale, .expected = "first READ, then nothing, then first READ"},
    {"number above 1,024", SLUICE_READ, above_1024, .expected = "READ",
     .on_libevent_select = "SLUICE_ENOTSUP", .why_libevent = BELOW_1024},
    {"number above 5,000", SLUICE_READ, above_5000, .expected = "READ",
     .on_libevent_select = "SLUICE_ENOTSUP", .why_libevent = BELOW_1024},
};

const struct contract_section contract_numbers = {"Numbers and files", rows, COUNT_OF(rows)};

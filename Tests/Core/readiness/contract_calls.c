/* contract_calls.c - the contract's rows on what a caller may ask for: descriptors, interests, and
 * the order of calls. */
#include "contract.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void note_add(struct stage *stage, int fd) {
    note_code(stage, sluice_poller_add(stage->poller, fd, stage->interest, UNNAMED));
}

static void add_negative(struct stage *stage) {
    note_add(stage, -1);
}

static void add_closed(struct stage *stage) {
    note_add(stage, closed_number());
}

static void add_above_limit(struct stage *stage) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    note_add(stage, (int)limit.rlim_cur);
    note_add(stage, INT_MAX);
}

/* Opened with O_PATH: it names a place in the file system and cannot be read or written. */
static void add_path(struct stage *stage) {
    note_add(stage, path_descriptor("/tmp"));
    char fifo[] = "/tmp/sluice-test-XXXXXX";
    assert_non_null(mkdtemp(fifo));
    assert_int_equal(rmdir(fifo), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = path_descriptor(fifo);
    assert_int_equal(unlink(fifo), 0);
    note_add(stage, fd);
}

static void modify_path(struct stage *stage) {
    int fd = unix_pair().near;
    add(stage, fd, UNNAMED);
    drop(fd);
    move_fd(path_descriptor("/tmp"), fd);
    note_code(stage, sluice_poller_modify(stage->poller, fd, stage->interest, UNNAMED));
    note_code(stage, sluice_poller_modify(stage->poller, fd, SLUICE_NONE, UNNAMED));
}

static void add_twice(struct stage *stage) {
    int fd = unix_pair().near;
    note_add(stage, fd);
    note_add(stage, fd);
}

static void add_removed(struct stage *stage) {
    int fd = unix_pair().near;
    note_add(stage, fd);
    note_code(stage, sluice_poller_remove(stage->poller, fd));
    note_add(stage, fd);
    note_events(stage);
}

static void modify_absent(struct stage *stage) {
    note_code(stage,
              sluice_poller_modify(stage->poller, unix_pair().near, stage->interest, UNNAMED));
}

static void remove_absent(struct stage *stage) {
    note_code(stage, sluice_poller_remove(stage->poller, unix_pair().near));
}

static void unknown_bits(struct stage *stage) {
    int fd = unix_pair().near;
    const uint32_t unknown[] = {SLUICE_ERROR, 32, SLUICE_READ_CLOSED, 0x400, 1U << 31};
    int refused = 0;
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        refused += sluice_poller_add(stage->poller, fd, stage->interest | unknown[i], UNNAMED) ==
                   SLUICE_EINTEREST;
    note(stage, "%d of %zu refused", refused, COUNT_OF(unknown));
    note_add(stage, fd);
}

static void modify_user(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    add(stage, pair.near, FIRST);
    note_events(stage);
    sluice_poller_modify(stage->poller, pair.near, stage->interest, SECOND);
    note_events(stage);
}

static void modify_interest(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
    sluice_poller_modify(stage->poller, pair.near, SLUICE_WRITE, UNNAMED);
    note_events(stage);
}

static int hung_up(void) {
    struct pair pair = unix_pair();
    drop(pair.far);
    return pair.near;
}

static void none_of_hung_up(struct stage *stage) {
    watch(stage, hung_up());
}

static void none_then_read(struct stage *stage) {
    int fd = hung_up();
    watch(stage, fd);
    sluice_poller_modify(stage->poller, fd, SLUICE_READ, UNNAMED);
    note_events(stage);
    sluice_poller_modify(stage->poller, fd, SLUICE_NONE, UNNAMED);
    note_events(stage);
}

static void none_twice(struct stage *stage) {
    int fd = hung_up();
    note_add(stage, fd);
    note_add(stage, fd);
    note_code(stage, sluice_poller_remove(stage->poller, fd));
}

static void none_of_closed(struct stage *stage) {
    note_add(stage, closed_number());
}

static const struct contract_row rows[] = {
    {"add -1", SLUICE_READ, add_negative, .expected = "SLUICE_EBADF"},
    {"add a closed number", SLUICE_READ, add_closed, .expected = "SLUICE_EBADF"},
    {"add a closed number, silent", SLUICE_NONE, none_of_closed, .expected = "SLUICE_EBADF"},
    {"add numbers above the limit", SLUICE_READ, add_above_limit,
     .expected = "SLUICE_EBADF, then SLUICE_EBADF"},
    {"add an O_PATH descriptor, of a directory and of a FIFO", SLUICE_READ | SLUICE_WRITE, add_path,
     .expected = "SLUICE_EBADF, then SLUICE_EBADF"},
    {"add an O_PATH descriptor, silent", SLUICE_NONE, add_path,
     .expected = "SLUICE_EBADF, then SLUICE_EBADF"},
    {"number reused by an O_PATH descriptor, then modified", SLUICE_READ, modify_path,
     .expected = "SLUICE_EBADF, then SLUICE_EBADF"},
    {"add twice", SLUICE_READ, add_twice, .expected = "OK, then SLUICE_EEXIST"},
    {"add twice, silent, then remove", SLUICE_NONE, none_twice,
     .expected = "OK, then SLUICE_EEXIST, then OK"},
    {"add, remove, add", SLUICE_WRITE, add_removed, .expected = "OK, then OK, then OK, then WRITE"},
    {"modify what is not there", SLUICE_READ, modify_absent, .expected = "SLUICE_ENOENT"},
    {"remove what is not there", SLUICE_READ, remove_absent, .expected = "SLUICE_ENOENT"},
    {"unknown interest bits, then known ones", SLUICE_READ, unknown_bits,
     .expected = "5 of 5 refused, then OK"},
    {"modify the user word", SLUICE_READ, modify_user, .expected = "first READ, then second READ"},
    {"modify the interest to WRITE", SLUICE_READ, modify_interest, .expected = "READ, then WRITE"},
    {"interest none, hung up", SLUICE_NONE, none_of_hung_up, .expected = "nothing"},
    {"only ONE_SHOT, hung up", SLUICE_ONE_SHOT, none_of_hung_up, .expected = "nothing"},
    {"interest none, then READ, then none", SLUICE_NONE, none_then_read,
     .expected = "nothing, then READ HANGUP READ_CLOSED, then nothing"},
};

const struct contract_section contract_calls = {"Calls", rows, COUNT_OF(rows)};

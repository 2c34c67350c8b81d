/* contract_modes.c - the contract's rows on level, edge and one-shot. */
#include "contract.h"

static void level(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
    note_events(stage);
    take_byte(pair.near);
    note_events(stage);
}

static void one_shot(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
    put_byte(pair.far);
    note_events(stage);
}

static void one_shot_not_yet(struct stage *stage) {
    struct pair pair = unix_pair();
    watch(stage, pair.near);
    put_byte(pair.far);
    note_events(stage);
    note_events(stage);
}

static void one_shot_hang_up(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
    drop(pair.far);
    note_events(stage);
}

static void rearm(struct stage *stage, int fd) {
    assert_int_equal(sluice_poller_modify(stage->poller, fd, stage->interest, UNNAMED), 0);
    note_events(stage);
}

static void one_shot_rearmed(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
    rearm(stage, pair.near);
    note_events(stage);
}

static void one_shot_added_anew(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
    assert_int_equal(sluice_poller_remove(stage->poller, pair.near), 0);
    watch(stage, pair.near);
    note_events(stage);
}

/* A paused stream: its bytes wait, and its end is learnt of. */
static void hang_up_of_paused(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    if (!add_if_supported(stage, pair.near, UNNAMED))
        return;
    note_events(stage);
    drop(pair.far);
    note_events(stage);
    note_events(stage);
    rearm(stage, pair.near);
}

static void read_then_hang_up(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    assert_int_equal(sluice_poller_add(stage->poller, pair.near, SLUICE_READ, UNNAMED), 0);
    note_events(stage);
    int code = sluice_poller_modify(stage->poller, pair.near, stage->interest, UNNAMED);
    if (code != 0)
        note_code(stage, code);
    note_events(stage);
    sluice_poller_modify(stage->poller, pair.near, SLUICE_NONE, UNNAMED);
    drop(pair.far);
    note_events(stage);
    sluice_poller_modify(stage->poller, pair.near, stage->interest, UNNAMED);
    note_events(stage);
}

static void edge(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    if (!add_if_supported(stage, pair.near, UNNAMED))
        return;
    note_events(stage);
    note_events(stage);
    put_byte(pair.far);
    note_events(stage);
    note_events(stage);
}

static void edge_rearmed(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    if (!add_if_supported(stage, pair.near, UNNAMED))
        return;
    note_events(stage);
    rearm(stage, pair.near);
}

static void edge_by_modify(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    assert_int_equal(sluice_poller_add(stage->poller, pair.near, SLUICE_READ, UNNAMED), 0);
    int code = sluice_poller_modify(stage->poller, pair.near, stage->interest, UNNAMED);
    if (code != 0)
        note_code(stage, code);
    note_events(stage);
    note_events(stage);
}

static void edge_one_shot(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    if (!add_if_supported(stage, pair.near, UNNAMED))
        return;
    note_events(stage);
    put_byte(pair.far);
    note_events(stage);
    rearm(stage, pair.near);
}

static void regular_file_mode(struct stage *stage) {
    int fd = regular_file();
    if (!add_if_supported(stage, fd, UNNAMED))
        return;
    note_events(stage);
    note_events(stage);
    rearm(stage, fd);
}

static const struct contract_row rows[] = {
    {"level: reported until read", SLUICE_READ, level, .expected = "READ, then READ, then nothing"},
    {"one-shot, new data", SLUICE_READ | SLUICE_ONE_SHOT, one_shot,
     .expected = "READ, then nothing"},
    {"one-shot, data only later", SLUICE_READ | SLUICE_ONE_SHOT, one_shot_not_yet,
     .expected = "nothing, then READ, then nothing"},
    {"one-shot, then a hang-up", SLUICE_READ | SLUICE_ONE_SHOT, one_shot_hang_up,
     .expected = "READ, then nothing"},
    {"one-shot, modified, waited on again", SLUICE_READ | SLUICE_ONE_SHOT, one_shot_rearmed,
     .expected = "READ, then READ, then nothing"},
    {"one-shot, removed, added", SLUICE_READ | SLUICE_ONE_SHOT, one_shot_added_anew,
     .expected = "READ, then READ, then nothing"},
    {"one-shot of a regular file, modified", SLUICE_READ | SLUICE_ONE_SHOT, regular_file_mode,
     .expected = "READ, then nothing, then READ"},
    {"level: HANGUP asked, data, then a hang-up, modified", SLUICE_HANGUP, hang_up_of_paused,
     .expected = "nothing, then HANGUP, then HANGUP, then HANGUP", NO_HANGUP},
    {"one-shot: HANGUP asked, data, then a hang-up, modified",
     (uint32_t)SLUICE_HANGUP | SLUICE_ONE_SHOT, hang_up_of_paused,
     .expected = "nothing, then HANGUP, then nothing, then HANGUP", NO_HANGUP},
    {"READ, then HANGUP asked, then none, hung up, then HANGUP", SLUICE_HANGUP, read_then_hang_up,
     .expected = "READ, then nothing, then nothing, then HANGUP",
     .on_select = "READ, then SLUICE_ENOTSUP, then READ, then nothing, then nothing",
     .why = "select tells no hang-up: ask sluice_poller_features",
     .on_libevent = "READ, then SLUICE_ENOTSUP, then READ, then nothing, then nothing",
     .why_libevent = "libevent tells no hang-up: ask sluice_poller_features"},
    {"edge, new data after two waits", SLUICE_READ | SLUICE_EDGE, edge,
     .expected = "READ, then nothing, then READ, then nothing", NO_EDGE},
    {"edge, modified", SLUICE_READ | SLUICE_EDGE, edge_rearmed, .expected = "READ, then READ",
     NO_EDGE},
    {"edge, by modifying a level", SLUICE_READ | SLUICE_EDGE, edge_by_modify,
     .expected = "READ, then nothing", .on_select = "SLUICE_ENOTSUP, then READ, then READ",
     .on_poll = "SLUICE_ENOTSUP, then READ, then READ", .why = EDGE_IS_EPOLLS},
    {"edge and one-shot, new data, modified", SLUICE_READ | SLUICE_EDGE | SLUICE_ONE_SHOT,
     edge_one_shot, .expected = "READ, then nothing, then READ", NO_EDGE},
    {"edge: HANGUP asked, data, then a hang-up, modified", (uint32_t)SLUICE_HANGUP | SLUICE_EDGE,
     hang_up_of_paused, .expected = "nothing, then HANGUP, then nothing, then HANGUP",
     .on_select = "SLUICE_ENOTSUP", .on_poll = "SLUICE_ENOTSUP", .why = EDGE_IS_EPOLLS,
     .on_libevent = "SLUICE_ENOTSUP",
     .why_libevent = "libevent tells no hang-up: ask sluice_poller_features"},
    {"edge of a regular file, modified", SLUICE_READ | SLUICE_EDGE, regular_file_mode,
     .expected = "READ, then nothing, then READ", NO_EDGE},
};

const struct contract_section contract_modes = {"Level, one-shot and edge", rows, COUNT_OF(rows)};

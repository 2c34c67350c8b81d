/* test_loop_bulk.c - streams that have more than a receive brings: on a backend with edges, each
 * turn has several receives of one of them in a row. Nobody waits longer than if each stream had
 * one receive, and no stream has more than its share. */
#include "loops.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVE = 4096, MOST = 16 };

struct bulk {
    sluice_loop *loop;
    size_t count;
    struct line lines[MOST];
    uint64_t received[MOST]; /* events */
};

static struct bulk make_bulk(size_t count) {
    struct bulk bulk = {.loop = make_loop_with((sluice_options){.receive_size = RECEIVE}),
                        .count = count};
    assert_in_range(count, 1, MOST);
    for (size_t i = 0; i < count; i++) {
        bulk.lines[i] = unix_line(bulk.loop);
        assert_int_equal(sluice_set_user(bulk.loop, bulk.lines[i].id, i), 0);
    }
    return bulk;
}

/* Each of them always has more. */
static void top_up(const struct bulk *bulk) {
    static const unsigned char bytes[16 * RECEIVE];
    for (size_t i = 0; i < bulk->count; i++)
        while (send(bulk->lines[i].peer, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        }
}

static bool has_runs(void) {
    return strcmp(test_backend(), "epoll") == 0;
}

/* The next event, which is DATA; and whose it is. */
static size_t next_of_bulk(struct bulk *bulk) {
    top_up(bulk);
    sluice_event event = expect_event(bulk->loop, SLUICE_DATA);
    assert_in_range(event.user, 0, bulk->count - 1);
    bulk->received[event.user]++;
    return (size_t)event.user;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static size_t longest_run(struct bulk *bulk, size_t events) {
    size_t longest = 0;
    size_t length = 0;
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < events; i++) {
        size_t whose = next_of_bulk(bulk);
        length = whose == last ? length + 1 : 1;
        last = whose;
        if (length > longest)
            longest = length;
    }
    return longest;
}

static void a_run_is_as_long_as_all_would_have(void) {
    for (size_t count = 2; count <= MOST; count *= 2) {
        struct bulk bulk = make_bulk(count);
        longest_run(&bulk, 8 * count); /* until all are known to have much */
        size_t longest = longest_run(&bulk, 8 * count * count);
        assert_in_range(longest, has_runs() ? count : 1, has_runs() ? count : 2);
    }
}

static void each_has_its_share(void) {
    struct bulk bulk = make_bulk(5);
    longest_run(&bulk, 40);
    memset(bulk.received, 0, sizeof bulk.received);
    longest_run(&bulk, (size_t)20 * 25);
    for (size_t i = 0; i < bulk.count; i++)
        assert_in_range(bulk.received[i], 95, 105);
}

/* ---- Who waits ------------------------------------------------------------------------------- */

/* How many events of bulk streams come before the event of a quiet stream that has sent something:
 * at most what is left of one turn and, if a backend differs, one of the next. */
static void nobody_waits_longer(size_t count) {
    struct bulk bulk = make_bulk(count);
    struct line quiet = unix_line(bulk.loop);
    for (int round = 0; round < 200; round++) {
        for (uint32_t i = random_below(20); i > 0; i--)
            next_of_bulk(&bulk);
        put_text(quiet.peer, "me too");
        size_t before = 0;
        for (; before < 1000; before++) {
            top_up(&bulk);
            sluice_event event = expect_event(bulk.loop, SLUICE_DATA);
            if (event.id == quiet.id)
                break;
        }
        assert_in_range(before, 0, has_runs() ? count : 2 * count);
    }
}

static void beside_one(void) {
    nobody_waits_longer(1);
}

static void beside_many(void) {
    nobody_waits_longer(2);
    nobody_waits_longer(4);
    nobody_waits_longer(MOST);
}

/* Nor does one that is resumed, or one whose message is a few receives long. */
static void a_resumed_one_does_not_wait(void) {
    struct bulk bulk = make_bulk(8);
    struct line paused = unix_line(bulk.loop);
    put_text(paused.peer, "and I");
    assert_int_equal(sluice_pause(bulk.loop, paused.id), 0);
    longest_run(&bulk, 200);
    assert_int_equal(sluice_resume(bulk.loop, paused.id), 0);
    size_t before = 0;
    for (; before < 1000; before++) {
        top_up(&bulk);
        if (expect_event(bulk.loop, SLUICE_DATA).id == paused.id)
            break;
    }
    assert_in_range(before, 0, 2 * bulk.count);
}

static void a_message_of_some_receives_does_not_wait(void) {
    struct bulk bulk = make_bulk(8);
    struct line quiet = unix_line(bulk.loop);
    longest_run(&bulk, 200);
    static const unsigned char message[3 * RECEIVE];
    assert_int_equal(send(quiet.peer, message, sizeof message, 0), sizeof message);
    size_t before = 0;
    for (size_t received = 0; received < sizeof message && before < 1000; before++) {
        top_up(&bulk);
        sluice_event event = expect_event(bulk.loop, SLUICE_DATA);
        received += event.id == quiet.id ? event.length : 0;
    }
    assert_in_range(before, 3, 3 + 3 * bulk.count);
}

/* Aborts a bulk stream, and adopts another descriptor by its number. */
static struct line take_number(struct bulk *bulk) {
    size_t whose = next_of_bulk(bulk);
    size_t other = (whose + 4) % bulk->count;
    struct pair pair = unix_pair();
    int number = sluice_fd(bulk->loop, bulk->lines[other].id);
    assert_int_equal(sluice_abort(bulk->loop, bulk->lines[other].id), 0);
    assert_int_equal(dup(pair.near), number);
    struct line heir = {.peer = pair.far};
    assert_int_equal(sluice_adopt(bulk->loop, &heir.id, number, NULL), 0);
    drop(pair.near);
    bulk->lines[other] = bulk->lines[whose];
    return heir;
}

/* A stream whose number was a bulk stream's is none. */
static void a_number_that_comes_back_does_not_wait(void) {
    struct bulk bulk = make_bulk(8);
    longest_run(&bulk, 200);
    struct line heir = take_number(&bulk);
    static const unsigned char message[3 * RECEIVE];
    assert_int_equal(send(heir.peer, message, sizeof message, 0), sizeof message);
    size_t before = 0;
    for (size_t received = 0; received < sizeof message && before < 1000; before++) {
        top_up(&bulk);
        sluice_event event = next_event(bulk.loop);
        received += event.id == heir.id ? event.length : 0;
    }
    assert_in_range(before, 3, 4 + 4 * bulk.count);
}

/* A stream gets the number of a bulk stream, and its output waits for room. What the peer sends at
 * the moment at which room comes is received all the same. */
static void an_heir_that_waits_for_room_is_received_from(void) {
    static unsigned char bytes[1024 * 1024];
    struct bulk bulk = make_bulk(8);
    longest_run(&bulk, 200);
    struct line heir = take_number(&bulk);
    assert_true(sluice_write(bulk.loop, heir.id, bytes, sizeof bytes) >= 0);
    assert_true(sluice_pending(bulk.loop, heir.id) > 0);
    put_text(heir.peer, "me too");
    (void)take_some(heir.peer, bytes, sizeof bytes);
    size_t before = 0;
    for (; before < 1000; before++) {
        top_up(&bulk);
        sluice_event event = next_event(bulk.loop);
        if (event.kind == SLUICE_DATA && event.id == heir.id)
            break;
    }
    assert_in_range(before, 0, 4 * bulk.count);
}

/* ---- What a run heeds ------------------------------------------------------------------------ */

/* The output of a bulk stream does not wait for its run. */
static void output_does_not_wait_for_a_run(void) {
    static unsigned char bytes[1024 * 1024];
    struct bulk bulk = make_bulk(8);
    longest_run(&bulk, 200);
    sluice_id id = bulk.lines[3].id;
    assert_true(sluice_write(bulk.loop, id, bytes, sizeof bytes) >= 0);
    next_of_bulk(&bulk);
    assert_true(sluice_pending(bulk.loop, id) > 0);
    for (int round = 0; round < 4; round++) {
        int64_t pending = sluice_pending(bulk.loop, id);
        while (take_some(bulk.lines[3].peer, bytes, sizeof bytes) > 0) {
        }
        for (size_t i = 0; i < 2 * bulk.count; i++)
            next_of_bulk(&bulk);
        assert_true(pending == 0 || sluice_pending(bulk.loop, id) < pending);
    }
}

static void a_pause_ends_a_run(void) {
    struct bulk bulk = make_bulk(8);
    longest_run(&bulk, 200);
    for (int round = 0; round < 50; round++) {
        size_t whose = next_of_bulk(&bulk);
        assert_int_equal(sluice_pause(bulk.loop, bulk.lines[whose].id), 0);
        for (size_t i = random_below(20); i > 0; i--)
            assert_true(next_of_bulk(&bulk) != whose);
        assert_int_equal(sluice_resume(bulk.loop, bulk.lines[whose].id), 0);
    }
}

static void an_abort_ends_a_run(void) {
    struct bulk bulk = make_bulk(8);
    longest_run(&bulk, 200);
    while (bulk.count > 1) {
        size_t whose = next_of_bulk(&bulk);
        assert_int_equal(sluice_abort(bulk.loop, bulk.lines[whose].id), 0);
        struct line last = bulk.lines[--bulk.count];
        if (whose < bulk.count) {
            bulk.lines[whose] = last;
            assert_int_equal(sluice_set_user(bulk.loop, last.id, whose), 0);
        }
        for (int closed = 0; closed == 0;) {
            top_up(&bulk);
            closed = next_event(bulk.loop).kind == SLUICE_CLOSED;
        }
    }
    next_of_bulk(&bulk);
}

/* In a pull of several events no stream has two, even if bytes are held and so are copied
 * elsewhere. */
static void a_stream_has_one_event_in_a_pull(void) {
    struct bulk bulk = make_bulk(6);
    sluice_event events[8];
    for (int pulls = 0; pulls < 300; pulls++) {
        top_up(&bulk);
        int count = sluice_next_many(bulk.loop, events, COUNT_OF(events), PATIENCE_NS);
        assert_in_range(count, 1, COUNT_OF(events));
        bool had[MOST] = {false};
        for (int i = 0; i < count; i++) {
            assert_int_equal(events[i].kind, SLUICE_DATA);
            assert_false(had[events[i].user]);
            had[events[i].user] = true;
            if (pulls % 3 > 0 && events[i].length < (size_t)10 * RECEIVE)
                assert_int_equal(
                    sluice_hold(bulk.loop, events[i].id, events[i].length < 100 ? 0 : 100), 0);
        }
    }
}

/* A stream that has just become a bulk stream does not have two events either, if the run belongs
 * to a stream that was paused. Its bytes are joined with held ones, and so take nothing of the
 * receive buffer. */
static void one_that_becomes_a_bulk_stream_has_one_event_in_a_pull(void) {
    for (int after = 1; after < 8; after++) {
        struct bulk bulk = make_bulk(2);
        assert_int_equal(sluice_pause(bulk.loop, bulk.lines[1].id), 0);
        longest_run(&bulk, 20);
        assert_int_equal(sluice_resume(bulk.loop, bulk.lines[1].id), 0);
        sluice_event events[8];
        bulk.received[1] = 0;
        for (int pulls = 0; pulls < 40; pulls++) {
            top_up(&bulk);
            int count = sluice_next_many(bulk.loop, events, COUNT_OF(events), PATIENCE_NS);
            unsigned had = 0;
            for (int i = 0; i < count; i++)
                if (events[i].user == 1) {
                    had++;
                    assert_int_equal(sluice_hold(bulk.loop, events[i].id, 100), 0);
                }
            assert_in_range(had, 0, 1);
            if (had > 0 && ++bulk.received[1] == (uint64_t)after)
                assert_int_equal(sluice_pause(bulk.loop, bulk.lines[0].id), 0);
        }
    }
}

/* The end comes behind all bytes of a run. */
static void all_of_it_comes(void) {
    enum { LENGTH = 40 * RECEIVE + 17 };
    static unsigned char bytes[LENGTH];
    make_pattern(bytes, 0, LENGTH);
    struct bulk bulk = make_bulk(4);
    struct story stories[4];
    for (size_t i = 0; i < bulk.count; i++) {
        stories[i] = new_story();
        assert_int_equal(send(bulk.lines[i].peer, bytes, LENGTH, 0), LENGTH);
        assert_int_equal(shutdown(bulk.lines[i].peer, SHUT_WR), 0);
    }
    for (size_t closed = 0; closed < bulk.count;) {
        sluice_event event = next_event(bulk.loop);
        add_to_story(&stories[event.user], &event);
        closed += event.kind == SLUICE_CLOSED;
        if (event.kind == SLUICE_EOF)
            drop(bulk.lines[event.user].peer);
    }
    for (size_t i = 0; i < bulk.count; i++) {
        assert_int_equal(stories[i].length, LENGTH);
        assert_true(stories[i].is_pattern);
        assert_int_equal(stories[i].eof, 1);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"a run is as long as all bulk streams would have", a_run_is_as_long_as_all_would_have,
         NULL},
        {"each bulk stream has its share", each_has_its_share, NULL},
        {"a bulk stream keeps nobody waiting for more than its turn", beside_one, NULL},
        {"bulk streams keep nobody waiting for more than one turn of each", beside_many, NULL},
        {"a resumed stream does not wait for runs", a_resumed_one_does_not_wait, NULL},
        {"a message of some receives does not wait for runs",
         a_message_of_some_receives_does_not_wait, NULL},
        {"a number that comes back does not wait for runs", a_number_that_comes_back_does_not_wait,
         NULL},
        {"the heir of a bulk stream's number is received from when it has room to send, too",
         an_heir_that_waits_for_room_is_received_from, NULL},
        {"output does not wait for a run", output_does_not_wait_for_a_run, NULL},
        {"a pause ends a run", a_pause_ends_a_run, NULL},
        {"an abort ends a run", an_abort_ends_a_run, NULL},
        {"a stream has one event in a pull of several", a_stream_has_one_event_in_a_pull, NULL},
        {"one that becomes a bulk stream has one event in a pull of several",
         one_that_becomes_a_bulk_stream_has_one_event_in_a_pull, NULL},
        {"all bytes of a run come, and the end behind them", all_of_it_comes, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_waiting_listeners.c - several listeners have stopped because no descriptor is free: who
 * goes on, and when. Time is simulated, so that the tenth of a second does not pass unnoticed. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { MOST = 3, CALLERS = 4 };

struct waiting {
    sluice_loop *loop;
    sluice_id ids[MOST]; /* the listeners, in the order in which they stopped */
    sluice_id spare[2];  /* streams, each of which has one descriptor */
    int files[2];        /* the same of descriptors that the loop knows nothing of */
};

/* Listeners at which callers are left waiting. */
static struct waiting stop_all(size_t count) {
    make_up_time();
    struct waiting waiting = {.loop = make_loop()};
    for (size_t i = 0; i < count; i++) {
        char address[SLUICE_ADDRESS_MAX];
        make_listener(waiting.loop, NULL, address);
        for (int caller = 0; caller < CALLERS; caller++)
            dial(address);
    }
    for (size_t i = 0; i < 2; i++) {
        waiting.spare[i] = unix_line(waiting.loop).id;
        waiting.files[i] = keep(dup(STDIN_FILENO));
    }
    use_up_descriptors();
    for (size_t i = 0; i < count; i++) {
        sluice_event event = expect_event(waiting.loop, SLUICE_OVERLOADED);
        assert_int_equal(event.error, -EMFILE);
        waiting.ids[i] = event.id;
    }
    expect_no_event(waiting.loop);
    return waiting;
}

/* A stream ends: the listener accepts one caller, finds no descriptor for the next, and stops. No
 * other does anything. */
static void expect_to_go_on(const struct waiting *waiting, sluice_id stream, sluice_id listener) {
    assert_int_equal(sluice_abort(waiting->loop, stream), 0);
    expect_closed(waiting->loop, stream, -ECONNABORTED, 0);
    assert_int_equal(expect_event(waiting->loop, SLUICE_ACCEPTED).value, listener);
    assert_int_equal(expect_event_of(waiting->loop, SLUICE_OVERLOADED, listener).error, -EMFILE);
    expect_no_event(waiting->loop);
}

static void first_goes_on(void) {
    struct waiting waiting = stop_all(2);
    expect_to_go_on(&waiting, waiting.spare[0], waiting.ids[0]);
    /* It is the last by now. */
    expect_to_go_on(&waiting, waiting.spare[1], waiting.ids[1]);
}

/* A stream of the one that stopped last ends: that one does not go before the others. */
static void first_goes_on_whose_ever_stream_ends(void) {
    make_up_time();
    sluice_loop *loop = make_loop();
    sluice_id streams[2];
    sluice_id of[2]; /* their listeners */
    char addresses[2][SLUICE_ADDRESS_MAX];
    for (size_t i = 0; i < COUNT_OF(of); i++) {
        of[i] = make_listener(loop, NULL, addresses[i]);
        dial(addresses[i]);
        streams[i] = expect_event(loop, SLUICE_ACCEPTED).id;
        expect_no_event(loop);
    }
    for (size_t i = 0; i < COUNT_OF(of); i++)
        for (int caller = 0; caller < CALLERS; caller++)
            dial(addresses[i]);
    use_up_descriptors();
    sluice_id first = expect_event(loop, SLUICE_OVERLOADED).id;
    sluice_id second = expect_event(loop, SLUICE_OVERLOADED).id;
    struct waiting waiting = {.loop = loop};
    expect_to_go_on(&waiting, streams[second == of[1]], first);
}

static void all_go_on_after_a_tenth_of_a_second(void) {
    struct waiting waiting = stop_all(2);
    for (size_t i = 0; i < 2; i++)
        drop(waiting.files[i]);
    expect_no_event(waiting.loop);
    const int64_t begin = sluice_update_now(waiting.loop);
    bool accepts[2] = {false, false};
    for (size_t i = 0; i < 2; i++) {
        sluice_event event = expect_event(waiting.loop, SLUICE_ACCEPTED);
        accepts[event.value == waiting.ids[1]] = true;
        assert_in_range(sluice_now(waiting.loop) - begin, 100 * NS_PER_MS, 101 * NS_PER_MS);
    }
    assert_true(accepts[0] && accepts[1]);
}

/* Nothing is free then: they stop again, and go on again. */
static void all_try_again_and_again(void) {
    struct waiting waiting = stop_all(2);
    const int64_t begin = sluice_update_now(waiting.loop);
    for (int again = 1; again < CALLERS; again++) {
        bool stops[2] = {false, false};
        for (size_t i = 0; i < 2; i++) {
            sluice_event event = expect_event(waiting.loop, SLUICE_OVERLOADED);
            assert_int_equal(event.error, -EMFILE);
            stops[event.id == waiting.ids[1]] = true;
        }
        assert_true(stops[0] && stops[1]);
        const int64_t due = NS_PER_MS * 100 * again;
        assert_in_range(sluice_now(waiting.loop) - begin, due, due + NS_PER_MS * again);
        expect_no_event(waiting.loop);
    }
}

/* The first, the middle or the last of three is closed, and the others keep their order. */
static void one_that_waits_is_closed(void) {
    for (size_t closed = 0; closed < MOST; closed++) {
        struct waiting waiting = stop_all(MOST);
        assert_int_equal(sluice_close(waiting.loop, waiting.ids[closed]), 0);
        keep(dup(STDIN_FILENO)); /* its descriptor is not free either */
        expect_no_event(waiting.loop);
        sluice_id first = waiting.ids[closed == 0 ? 1 : 0];
        sluice_id second = waiting.ids[closed == 2 ? 1 : 2];
        expect_to_go_on(&waiting, waiting.spare[0], first);
        expect_to_go_on(&waiting, waiting.spare[1], second);
        assert_int_equal(sluice_close(waiting.loop, first), 0);
        assert_int_equal(sluice_close(waiting.loop, second), 0);
        expect_no_event(waiting.loop);
        end_loop(waiting.loop);
        free_descriptors();
    }
}

/* The first in line has no caller, or a limit of its own that it has reached, and a stream ends:
 * the second has its caller accepted all the same, within a tenth of a second. */
static void room_is_not_lost_to_one_without_a_caller(void) {
    for (uint32_t limit = 0; limit < 2; limit++) {
        for (int drains = 0; drains < 2; drains++) {
            make_up_time();
            sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 2});
            struct line line = unix_line(loop);
            char addresses[2][SLUICE_ADDRESS_MAX];
            const sluice_listen_options options = {.size = sizeof options,
                                                   .connection_limit = limit};
            sluice_id first = make_listener(loop, &options, addresses[0]);
            sluice_id second = make_listener(loop, NULL, addresses[1]);
            dial(addresses[0]);
            expect_event(loop, SLUICE_ACCEPTED);
            expect_event_of(loop, SLUICE_OVERLOADED, first);
            dial(addresses[1]);
            expect_event_of(loop, SLUICE_OVERLOADED, second);
            await(dial(addresses[1]), POLLOUT);
            if (drains)
                assert_int_equal(sluice_shutdown(loop, second), 0);
            const int64_t over = sluice_update_now(loop) + 350 * NS_PER_MS;
            sluice_event event;
            while (sluice_now(loop) < over)
                assert_int_equal(sluice_next(loop, &event, over - sluice_now(loop)), 0);
            assert_int_equal(sluice_abort(loop, line.id), 0);
            expect_closed(loop, line.id, -ECONNABORTED, 0);
            assert_int_equal(expect_event(loop, SLUICE_ACCEPTED).value, second);
            assert_true(sluice_now(loop) - over < 101 * NS_PER_MS);
            end_loop(loop);
        }
    }
}

/* One that has reached its own limit, and whose stream ends while there are too many streams in
 * all: it goes on when there is room. So does one that drains. */
static void one_at_its_limit_goes_on_when_there_is_room(void) {
    for (int drains = 0; drains < 2; drains++) {
        make_up_time();
        sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 2});
        char address[SLUICE_ADDRESS_MAX];
        const sluice_listen_options options = {.size = sizeof options, .connection_limit = 1};
        sluice_id listener = make_listener(loop, &options, address);
        dial(address);
        sluice_id stream = expect_event(loop, SLUICE_ACCEPTED).id;
        expect_event_of(loop, SLUICE_OVERLOADED, listener);
        await(dial(address), POLLOUT);
        if (drains)
            assert_int_equal(sluice_shutdown(loop, listener), 0);
        unix_line(loop); /* the last that there is room for */
        expect_no_event(loop);
        assert_int_equal(sluice_abort(loop, stream), 0);
        expect_closed(loop, stream, -ECONNABORTED, 0);
        assert_int_equal(expect_event(loop, SLUICE_ACCEPTED).value, listener);
        end_loop(loop);
    }
}

/* Nor does one at its own limit keep another waiting for what it cannot use itself. */
static void one_at_its_limit_is_not_first_in_line(void) {
    make_up_time();
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 2});
    char addresses[2][SLUICE_ADDRESS_MAX];
    const sluice_listen_options options = {.size = sizeof options, .connection_limit = 1};
    struct line line = unix_line(loop);
    sluice_id first = make_listener(loop, &options, addresses[0]);
    sluice_id second = make_listener(loop, NULL, addresses[1]);
    dial(addresses[0]);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_event_of(loop, SLUICE_OVERLOADED, first);
    /* The first of them is turned away. */
    for (int caller = 0; caller <= CALLERS; caller++)
        await(dial(addresses[1]), POLLOUT);
    expect_event_of(loop, SLUICE_OVERLOADED, second);
    const int64_t begin = sluice_update_now(loop);
    sluice_id last = line.id;
    for (int caller = 0; caller < CALLERS; caller++) {
        assert_int_equal(sluice_abort(loop, last), 0);
        expect_closed(loop, last, -ECONNABORTED, 0);
        sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
        assert_int_equal(event.value, second);
        last = event.id;
        expect_event_of(loop, SLUICE_OVERLOADED, second);
    }
    assert_in_range(sluice_update_now(loop) - begin, 0, 10 * NS_PER_MS);
}

int main(void) {
    static const struct test tests[] = {
        {"EMFILE: of several the first to have stopped goes on", first_goes_on, NULL},
        {"EMFILE: the first goes on, whose ever stream ends", first_goes_on_whose_ever_stream_ends,
         NULL},
        {"EMFILE: all go on after a tenth of a second", all_go_on_after_a_tenth_of_a_second, NULL},
        {"EMFILE: all try again and again", all_try_again_and_again, NULL},
        {"handle_limit: room is not lost to one without a caller",
         room_is_not_lost_to_one_without_a_caller, NULL},
        {"handle_limit: one at its own limit goes on when there is room",
         one_at_its_limit_goes_on_when_there_is_room, NULL},
        {"handle_limit: one at its own limit is not first in line",
         one_at_its_limit_is_not_first_in_line, NULL},
        {"EMFILE: one of several that wait is closed", one_that_waits_is_closed, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

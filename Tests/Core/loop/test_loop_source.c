/* test_loop_source.c - sluice_source.h: each event goes to its source, and an event without a
 * source is reported. */
#include "loops.h"

#include "sluice_source.h"

#include <unistd.h>

struct counter {
    sluice_source source; /* first, so that it is found from it */
    int events;
    uint32_t last;
};

static void count(sluice_source *source, const sluice_event *event) {
    struct counter *counter = (struct counter *)(void *)source;
    counter->events++;
    counter->last = event->kind;
}

static int dispatch_next(sluice_loop *loop) {
    sluice_event event = next_event(loop);
    return sluice_source_dispatch(&event);
}

static void each_event_comes_to_its_source(void) {
    sluice_loop *loop = make_loop();
    struct counter one = {.source = {count}};
    struct counter other = {.source = {count}};
    sluice_id id;
    int fd = readable();
    assert_int_equal(sluice_watch(loop, &id, fd, SLUICE_READ, sluice_source_user(&one.source)), 0);
    assert_int_equal(dispatch_next(loop), 1);
    assert_int_equal(one.last, SLUICE_READY);
    assert_int_equal(sluice_close(loop, id), 0);
    assert_int_equal(sluice_timer(loop, &id, 0, 0, sluice_source_user(&other.source)), 0);
    assert_int_equal(dispatch_next(loop), 1);
    assert_int_equal(other.last, SLUICE_TIMER);
    assert_int_equal(one.events, 1);
    assert_int_equal(other.events, 1);
}

/* An accepted stream's events come to its listener's source, to its last. */
static void a_stream_begins_with_its_listeners(void) {
    sluice_loop *loop = make_loop();
    struct counter counter = {.source = {count}};
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make_listener(loop, NULL, address);
    assert_int_equal(sluice_set_user(loop, id, sluice_source_user(&counter.source)), 0);
    drop(dial(address));
    static const uint32_t kinds[] = {SLUICE_ACCEPTED, SLUICE_EOF, SLUICE_CLOSED};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        assert_int_equal(dispatch_next(loop), 1);
        assert_int_equal(counter.last, kinds[i]);
    }
}

static void what_has_no_source_is_said(void) {
    sluice_loop *loop = make_loop();
    assert_int_equal(sluice_post(loop, 7), 0);
    assert_int_equal(dispatch_next(loop), 0);
    assert_int_equal(sluice_timer(loop, NULL, 0, 0, 0), 0);
    assert_int_equal(dispatch_next(loop), 0);
}

int main(void) {
    static const struct test tests[] = {
        {"each event comes to its source", each_event_comes_to_its_source, NULL},
        {"an accepted stream begins with its listener's", a_stream_begins_with_its_listeners, NULL},
        {"what has no source is said", what_has_no_source_is_said, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

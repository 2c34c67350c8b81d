/* test_loop_drain.c - a listener that is shut down: it accepts the callers who wait in its queue,
 * and nobody else, and then it ends. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

static bool is_unix(void) {
    return test_data() != NULL;
}

/* A listener over TCP, or at a unix path in a folder of the test's own, by the test's data. */
static sluice_id make(sluice_loop *loop, const sluice_listen_options *options, char *address) {
    if (!is_unix())
        return make_listener(loop, options, address);
    snprintf(address, SLUICE_ADDRESS_MAX, "unix:%s/socket", test_folder());
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, address, options), 0);
    return id;
}

static void shut_down(sluice_loop *loop, sluice_id id) {
    assert_int_equal(sluice_shutdown(loop, id), 0);
}

static void expect_drained(sluice_loop *loop, sluice_id id) {
    expect_closed(loop, id, 0, 0);
    assert_int_equal(sluice_shutdown(loop, id), SLUICE_ESTALE);
    expect_no_event(loop);
}

/* ---- Who waits ------------------------------------------------------------------------------ */

static void who_waits_is_accepted(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    assert_int_equal(sluice_set_user(loop, id, 42), 0);
    int peers[20];
    for (size_t i = 0; i < COUNT_OF(peers); i++) {
        peers[i] = dial(address);
        put_text(peers[i], "hello");
    }
    expect_event(loop, SLUICE_ACCEPTED); /* and more are gathered already */
    shut_down(loop, id);
    shut_down(loop, id);
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_LISTENER);
    size_t accepted = 1;
    size_t texts = 0;
    sluice_event event;
    do {
        event = next_event(loop);
        accepted += event.kind == SLUICE_ACCEPTED && event.value == id;
        texts += event.kind == SLUICE_DATA;
    } while (event.kind != SLUICE_CLOSED);
    assert_int_equal(event.id, id);
    assert_int_equal(event.user, 42);
    assert_int_equal(event.error, 0);
    assert_int_equal(accepted, COUNT_OF(peers));
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_ESTALE);
    /* The streams live on. */
    while (texts < COUNT_OF(peers)) {
        event = expect_event(loop, SLUICE_DATA);
        write_all(loop, event.id, event.data, event.length);
        texts++;
    }
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], COUNT_OF(peers));
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_LISTENER], 0);
}

static void nobody_waits(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    shut_down(loop, id);
    assert_int_equal(sluice_until_next(loop), 0);
    expect_drained(loop, id);
    assert_int_equal(sluice_until_next(loop), SLUICE_FOREVER);
}

static void two_at_once(void) {
    sluice_loop *loop = make_loop();
    char addresses[2][SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.accept_batch = 2;
    sluice_id ids[] = {make_listener(loop, &options, addresses[0]),
                       make(loop, &options, addresses[1])};
    for (int i = 0; i < 12; i++)
        dial(addresses[i % 2]);
    shut_down(loop, ids[0]);
    shut_down(loop, ids[1]);
    int accepted[2] = {0, 0};
    for (int ended = 0; ended < 2;) {
        sluice_event event = next_event(loop);
        if (event.kind == SLUICE_ACCEPTED)
            accepted[event.value == ids[1]]++;
        else
            ended += event.kind == SLUICE_CLOSED;
        assert_in_range(abs(accepted[0] - accepted[1]), 0, 2); /* in turn */
    }
    assert_int_equal(accepted[0], 6);
    assert_int_equal(accepted[1], 6);
    expect_no_event(loop);
}

static void draining_leaves_room_for_others(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.accept_batch = 4;
    sluice_id id = make(loop, &options, address);
    struct line line = unix_line(loop);
    for (int i = 0; i < 60; i++)
        dial(address);
    shut_down(loop, id);
    for (int i = 0; i < 20; i++)
        expect_event(loop, SLUICE_ACCEPTED);
    put_text(line.peer, "me too");
    for (int i = 0; i < 2 * 4 + 1; i++)
        if (next_event(loop).kind == SLUICE_DATA)
            return;
    fail_msg("the stream had to wait");
}

/* ---- Limits --------------------------------------------------------------------------------- */

static void goes_on_as_streams_end(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.connection_limit = 2;
    sluice_id id = make(loop, &options, address);
    for (int i = 0; i < 4; i++)
        dial(address);
    shut_down(loop, id);
    sluice_id streams[4];
    for (int i = 0; i < 2; i++)
        streams[i] = expect_event(loop, SLUICE_ACCEPTED).id;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(expect_event_of(loop, SLUICE_OVERLOADED, id).error, SLUICE_EFULL);
        uint64_t turns = stats_of(loop).turns;
        sluice_event event;
        assert_int_equal(sluice_next(loop, &event, 30 * NS_PER_MS), 0);
        assert_true(stats_of(loop).turns - turns <= 3); /* it does not spin */
        assert_int_equal(sluice_abort(loop, streams[i]), 0);
        expect_closed(loop, streams[i], -ECONNABORTED, 0);
        streams[i + 2] = expect_event(loop, SLUICE_ACCEPTED).id;
    }
    expect_event_of(loop, SLUICE_OVERLOADED, id);
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, streams[3]), 0);
    expect_closed(loop, streams[3], -ECONNABORTED, 0);
    expect_drained(loop, id);
    assert_int_equal(sluice_kind_of(loop, streams[2]), SLUICE_KIND_STREAM);
}

/* It had stopped when it was shut down. */
static void begun_over_the_limit(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.connection_limit = 1;
    sluice_id id = make(loop, &options, address);
    dial(address);
    dial(address);
    sluice_id first = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_event_of(loop, SLUICE_OVERLOADED, id);
    shut_down(loop, id);
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, first), 0);
    expect_closed(loop, first, -ECONNABORTED, 0);
    sluice_id second = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_event_of(loop, SLUICE_OVERLOADED, id);
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, second), 0);
    expect_closed(loop, second, -ECONNABORTED, 0);
    expect_drained(loop, id);
}

static void goes_on_when_there_is_room_among_all_streams(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 1});
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    dial(address);
    dial(address);
    shut_down(loop, id);
    for (int i = 0; i < 2; i++) {
        sluice_id stream = expect_event(loop, SLUICE_ACCEPTED).id;
        assert_int_equal(expect_event_of(loop, SLUICE_OVERLOADED, id).error, SLUICE_EFULL);
        expect_no_event(loop);
        assert_int_equal(sluice_abort(loop, stream), 0);
        expect_closed(loop, stream, -ECONNABORTED, 0);
    }
    expect_drained(loop, id);
}

/* Whoever was accepted then would be reset. */
static void others_have_taken_the_room(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 1});
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    dial(address);
    shut_down(loop, id);
    struct line line = unix_line(loop);
    assert_int_equal(expect_event_of(loop, SLUICE_OVERLOADED, id).error, SLUICE_EFULL);
    expect_no_event(loop);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_closed(loop, line.id, -ECONNABORTED, 0);
    sluice_id stream = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_event_of(loop, SLUICE_OVERLOADED, id);
    assert_int_equal(sluice_abort(loop, stream), 0);
    expect_closed(loop, stream, -ECONNABORTED, 0);
    expect_drained(loop, id);
}

static void out_of_descriptors(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    int first = dial(address);
    shut_down(loop, id); /* which gives back the folder's of a unix path */
    use_up_descriptors();
    assert_int_equal(expect_event_of(loop, SLUICE_OVERLOADED, id).error, -EMFILE);
    expect_end(first); /* turned away, not left waiting */
    /* There is still no number, and nobody is waiting. */
    expect_drained(loop, id);
}

static void callers_that_have_failed(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    for (int i = 0; i < 70; i++)
        dial(address);
    fail_callers(ECONNABORTED, 69);
    shut_down(loop, id);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_drained(loop, id);
}

/* ---- Who calls later ------------------------------------------------------------------------ */

static void who_calls_later_is_refused_at_a_unix_socket(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    dial(address);
    shut_down(loop, id);
    assert_int_equal(sluice_socket_connect(address), -ENOENT);
    /* Another can listen there at once. */
    sluice_loop *successor = make_loop();
    sluice_id next;
    assert_int_equal(sluice_listen(successor, &next, address, NULL), 0);
    dial(address);
    expect_event(successor, SLUICE_ACCEPTED);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_drained(loop, id);
    /* And its file stays. */
    dial(address);
    expect_event(successor, SLUICE_ACCEPTED);
}

static void who_calls_later_is_refused_at_an_abstract_name(void) {
    sluice_loop *loop = make_loop();
    char address[64];
    snprintf(address, sizeof address, "unix:@sluice-test-drain-%d", (int)getpid());
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, address, NULL), 0);
    dial(address);
    shut_down(loop, id);
    assert_int_equal(sluice_socket_connect(address), -ECONNREFUSED);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_drained(loop, id);
}

/* Over TCP the caller is neither accepted nor reset, and comes to the listener that listens there
 * by then. */
static void who_calls_later_comes_to_the_next(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make_listener(loop, NULL, address);
    dial(address);
    shut_down(loop, id);
    int late = dial(address);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_drained(loop, id);
    sluice_id next;
    assert_int_equal(sluice_listen(loop, &next, address, NULL), 0);
    sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
    assert_int_equal(event.value, next);
    put_text(late, "at last");
    expect_text(loop, event.id, "at last");
}

static void who_calls_later_is_refused_where_nobody_listens(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make_listener(loop, NULL, address);
    shut_down(loop, id);
    int late = dial(address);
    expect_drained(loop, id);
    await(late, POLLOUT);
    assert_int_equal(sluice_socket_error(late), -ECONNREFUSED);
}

/* ---- Other ends ----------------------------------------------------------------------------- */

static void closed_while_it_drains(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = make(loop, NULL, address);
    for (int i = 0; i < 10; i++)
        dial(address);
    shut_down(loop, id);
    expect_event(loop, SLUICE_ACCEPTED);
    assert_int_equal(sluice_close(loop, id), 0);
    expect_no_event(loop);
    id = make_listener(loop, NULL, address);
    dial(address);
    shut_down(loop, id);
    end_loop(loop);
}

static void lost_descriptor(void) {
    sluice_loop *loop = make_loop();
    sluice_id ids[3];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(sluice_listen(loop, &ids[i], "127.0.0.1:0", NULL), 0);
    shut_down(loop, ids[0]);
    for (size_t i = 0; i < 2; i++)
        close(sluice_fd(loop, ids[i]));
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(sluice_listen(loop, &ids[2], "127.0.0.1:0", NULL), 0);
    expect_closed(loop, ids[0], SLUICE_EBADF, 0);
    assert_int_equal(sluice_shutdown(loop, ids[1]), SLUICE_EBADF);
}

/* Over its limit it is in no list. Its CLOSED must come all the same. */
/* Nobody has noticed: no file has the number by now, or another socket that listens and blocks. */
static void lost_descriptor_unnoticed(void) {
    for (int reused = 0; reused < 2; reused++) {
        sluice_loop *loop = make_loop();
        char address[SLUICE_ADDRESS_MAX];
        sluice_id id = make(loop, NULL, address);
        shut_down(loop, id);
        int number = sluice_fd(loop, id);
        int other = reused ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
        close(number);
        if (reused) {
            assert_int_equal(listen(other, 1), 0);
            assert_int_equal(dup2(other, number), number);
            close(other);
        }
        sluice_event event = expect_event_of(loop, SLUICE_CLOSED, id);
        assert_int_equal(event.error, reused ? 0 : SLUICE_EBADF);
        expect_no_event(loop);
        end_loop(loop);
    }
}

static void lost_descriptor_over_the_limit(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_listen_options options = listen_options();
    options.connection_limit = 1;
    sluice_id id = make_listener(loop, &options, address);
    dial(address);
    expect_event(loop, SLUICE_ACCEPTED);
    expect_event_of(loop, SLUICE_OVERLOADED, id);
    shut_down(loop, id);
    expect_no_event(loop);
    close(sluice_fd(loop, id));
    sluice_id other;
    assert_int_equal(sluice_listen(loop, &other, "127.0.0.1:0", NULL), 0);
    expect_closed(loop, id, SLUICE_EBADF, 0);
    assert_int_equal(sluice_kind_of(loop, other), SLUICE_KIND_LISTENER);
}

static void other_handles(void) {
    sluice_loop *loop = make_loop();
    sluice_id id;
    assert_int_equal(sluice_timer(loop, &id, PATIENCE_NS, 0, 0), 0);
    assert_int_equal(sluice_shutdown(loop, id), SLUICE_EKIND);
    assert_int_equal(sluice_watch(loop, &id, unix_pair().near, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_shutdown(loop, id), SLUICE_EKIND);
    assert_int_equal(sluice_shutdown(loop, 0), SLUICE_ESTALE);
    assert_int_equal(sluice_shutdown(NULL, id), SLUICE_ENULL);
}

int main(void) {
    static const char at_a_path[] = "unix";
    static const struct test tests[] = {
        {"who waits is accepted, then CLOSED", who_waits_is_accepted, NULL},
        {"who waits is accepted, then CLOSED (unix)", who_waits_is_accepted, at_a_path},
        {"nobody waits: CLOSED", nobody_waits, NULL},
        {"nobody waits: CLOSED (unix)", nobody_waits, at_a_path},
        {"two at once, in turn", two_at_once, NULL},
        {"two at once, in turn (unix)", two_at_once, at_a_path},
        {"it leaves room for others", draining_leaves_room_for_others, NULL},
        {"it leaves room for others (unix)", draining_leaves_room_for_others, at_a_path},
        {"connection_limit: it goes on as streams end", goes_on_as_streams_end, NULL},
        {"connection_limit: it goes on as streams end (unix)", goes_on_as_streams_end, at_a_path},
        {"connection_limit: over it from the first", begun_over_the_limit, NULL},
        {"connection_limit: over it from the first (unix)", begun_over_the_limit, at_a_path},
        {"handle_limit: it goes on as streams end", goes_on_when_there_is_room_among_all_streams,
         NULL},
        {"handle_limit: it goes on as streams end (unix)",
         goes_on_when_there_is_room_among_all_streams, at_a_path},
        {"handle_limit: others have taken the room", others_have_taken_the_room, NULL},
        {"handle_limit: others have taken the room (unix)", others_have_taken_the_room, at_a_path},
        {"EMFILE: turned away, and it ends", out_of_descriptors, NULL},
        {"EMFILE: turned away, and it ends (unix)", out_of_descriptors, at_a_path},
        {"callers that have failed", callers_that_have_failed, NULL},
        {"unix: who calls later is refused, and the path is free",
         who_calls_later_is_refused_at_a_unix_socket, at_a_path},
        {"unix, abstract: who calls later is refused",
         who_calls_later_is_refused_at_an_abstract_name, NULL},
        {"closed while it drains: no event", closed_while_it_drains, NULL},
        {"closed while it drains: no event (unix)", closed_while_it_drains, at_a_path},
        {"its number was closed: SLUICE_EBADF", lost_descriptor, NULL},
        {"its number was closed, unnoticed", lost_descriptor_unnoticed, NULL},
        {"its number was closed, over the limit: SLUICE_EBADF", lost_descriptor_over_the_limit,
         NULL},
        {"other handles: SLUICE_EKIND", other_handles, NULL},
    };
    /* The kernel tries again after a second: once, and not over every backend. */
    static const struct test slow[] = {
        {"TCP: who calls later comes to the next listener", who_calls_later_comes_to_the_next,
         NULL},
        {"TCP: who calls later is refused where nobody listens",
         who_calls_later_is_refused_where_nobody_listens, NULL},
    };
    int failed = run_over_backends(tests, COUNT_OF(tests));
    return failed ? failed : run_once(slow, COUNT_OF(slow));
}

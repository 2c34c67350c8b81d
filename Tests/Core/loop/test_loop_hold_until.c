/* test_loop_hold_until.c - sluice_hold_until: no DATA before the given number of bytes is there. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define MIB ((size_t)1024 * 1024)

/* A line whose stream has been sent `text`, holds its last `length` bytes, and waits for `total`.
 */
static void begin_waiting(sluice_loop *loop, struct line line, const char *text, size_t length,
                          size_t total) {
    put_text(line.peer, text);
    expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_hold_until(loop, line.id, length, total), 0);
    expect_no_event(loop);
}

/* The same, and more of it has come, but not all. */
static void begin_halfway(sluice_loop *loop, struct line line) {
    begin_waiting(loop, line, "head", 4, 100);
    put_text(line.peer, " and a part");
    expect_no_event(loop);
}

#define HALFWAY "head and a part"

static struct story story_to_the_end(sluice_loop *loop, sluice_id id) {
    struct story story = new_story();
    hear_out(loop, id, &story, 1);
    assert_int_equal(stats_of(loop).queue_memory, 0);
    return story;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static void waits_for_all_of_it(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_waiting(loop, line, "0123456789", 3, 8);
    put_text(line.peer, "ab");
    expect_no_event(loop);
    put_text(line.peer, "cd");
    expect_no_event(loop);
    put_text(line.peer, "e");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, 8);
    assert_memory_equal(event.data, "789abcde", 8);
    put_text(line.peer, "f"); /* nothing is held or waited for any more */
    expect_text(loop, line.id, "f");
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

static void nothing_held(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_waiting(loop, line, "frame", 0, 4);
    assert_int_equal(stats_of(loop).queue_memory, 0);
    put_text(line.peer, "abc");
    expect_no_event(loop);
    put_text(line.peer, "def");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(event.length, 6);
    assert_memory_equal(event.data, "abcdef", 6);
    assert_int_equal(sluice_hold_until(loop, line.id, 0, 4), 0);
    put_text(line.peer, "at once");
    expect_text(loop, line.id, "at once");
    put_text(line.peer, "x");
    expect_text(loop, line.id, "x");
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

static void a_total_that_is_there_already(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    for (size_t total = 0; total <= 3; total++) {
        begin_waiting(loop, line, "abc", 3, total);
        put_text(line.peer, "d");
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(event.length, 4);
        assert_memory_equal(event.data, "abcd", 4);
    }
}

static void the_last_of_an_event_counts(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_waiting(loop, line, "abc", 3, 100);
    put_text(line.peer, "d");
    expect_no_event(loop);
    assert_int_equal(sluice_hold(loop, line.id, 1), SLUICE_ESTATE); /* its event has gone */
    drop(line.peer);
    story_to_the_end(loop, line.id);
    line = unix_line(loop);
    put_text(line.peer, "abc");
    expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_hold_until(loop, line.id, 3, 100), 0);
    assert_int_equal(sluice_hold(loop, line.id, 2), 0);
    put_text(line.peer, "d");
    expect_text(loop, line.id, "bcd");
    assert_int_equal(sluice_hold_until(loop, line.id, 1, 2), 0);
    assert_int_equal(sluice_hold_until(loop, line.id, 2, 4), 0);
    put_text(line.peer, "e");
    expect_no_event(loop);
    put_text(line.peer, "f");
    expect_text(loop, line.id, "cdef");
}

static void refused(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 1024, .hard_limit = 4096});
    struct line line = unix_line(loop);
    assert_int_equal(sluice_hold_until(loop, line.id, 0, 1), SLUICE_ESTATE);
    put_text(line.peer, "abc");
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold(loop, line.id, 2), 0);
    assert_int_equal(sluice_hold_until(loop, line.id, 4, 5), SLUICE_ECAPACITY);
    assert_int_equal(sluice_hold_until(loop, line.id, 3, 4097), SLUICE_EFULL);
    assert_int_equal(sluice_hold_until(loop, line.id, 3, SIZE_MAX), SLUICE_EFULL);
    put_text(line.peer, "d"); /* and the hold before stands */
    expect_text(loop, line.id, "bcd");
    assert_int_equal(sluice_hold_until(loop, line.id, 3, 4096), 0);
    expect_no_event(loop);
}

static void paused(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_waiting(loop, line, "abc", 3, 5);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    put_text(line.peer, "de");
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_text(loop, line.id, "abcde");
}

/* Several events a pull, of which each can be held while it is the last. */
static void several_events_a_pull(void) {
    sluice_loop *loop = make_loop();
    struct line one = unix_line(loop);
    struct line other = unix_line(loop);
    begin_waiting(loop, one, "abc", 3, 6);
    put_text(one.peer, "de");
    put_text(other.peer, "other");
    sluice_event events[8];
    assert_int_equal(sluice_next_many(loop, events, 8, PATIENCE_NS), 1);
    assert_int_equal(events[0].id, other.id);
    assert_int_equal(sluice_hold_until(loop, other.id, 5, 6), 0);
    put_text(one.peer, "f");
    put_text(other.peer, "s");
    struct story stories[2] = {new_story(), new_story()};
    while (stories[0].length < 6 || stories[1].length < 6) {
        int count = sluice_next_many(loop, events, 8, PATIENCE_NS);
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            add_to_story(&stories[events[i].id == other.id], &events[i]);
    }
    assert_true(story_is(&stories[0], "abcdef") && story_is(&stories[1], "others"));
    assert_int_equal(stories[0].data + stories[1].data, 2);
}

/* ---- Ends before all is there --------------------------------------------------------------- */

static void the_end_before(void) {
    sluice_loop *loop = make_loop();
    for (int capacity = 1; capacity <= 8; capacity += 7) {
        struct line line = unix_line(loop);
        begin_halfway(loop, line);
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        struct story story = new_story();
        hear_out(loop, line.id, &story, capacity);
        assert_true(story_is(&story, HALFWAY) && story.has_last);
        assert_int_equal(story.data, 1);
        assert_int_equal(story.eof, 1);
        assert_int_equal(story.error, 0);
    }
}

/* Also where it is paused: not before the resume then. */
static void a_reset_before(void) {
    sluice_loop *loop = make_loop();
    for (int pauses = 0; pauses < 2; pauses++) {
        struct line line = tcp_line(loop);
        begin_halfway(loop, line);
        if (pauses) {
            assert_int_equal(sluice_pause(loop, line.id), 0);
            expect_no_event(loop);
        }
        int fd = sluice_fd(loop, line.id);
        reset_connection(line.peer);
        await(fd, POLLHUP);
        if (pauses) {
            expect_no_event(loop);
            assert_int_equal(sluice_resume(loop, line.id), 0);
        }
        struct story story = story_to_the_end(loop, line.id);
        assert_true(story_is(&story, HALFWAY) && story.has_last);
        assert_int_equal(story.data, 1);
        assert_int_equal(story.eof, 0);
        assert_int_equal(story.error, -ECONNRESET);
    }
}

/* What was in an event before does not come again of a failure: as of a hold. */
static void a_reset_when_nothing_has_come(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    begin_waiting(loop, line, "head", 4, 100);
    reset_connection(line.peer);
    struct story story = story_to_the_end(loop, line.id);
    assert_int_equal(story.data, 0);
    assert_int_equal(story.error, -ECONNRESET);
}

/* A byte that is waited with counts as one that came. */
static void an_idle_limit_before(void) {
    sluice_loop *loop = make_loop();
    make_up_time();
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = 1000 * NS_PER_MS;
    struct line line = line_of(loop, unix_pair(), &options);
    begin_waiting(loop, line, "head", 4, 100);
    pass_time(600 * NS_PER_MS);
    put_text(line.peer, " and a part");
    expect_no_event(loop);
    pass_time(600 * NS_PER_MS);
    expect_no_event(loop);
    struct story story = story_to_the_end(loop, line.id);
    assert_true(story_is(&story, HALFWAY) && story.has_last);
    assert_int_equal(story.data, 1);
    assert_int_equal(story.error, -ETIMEDOUT);
}

static void a_failed_send_before(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_halfway(loop, line);
    assert_int_equal(shutdown(line.peer, SHUT_RD), 0);
    write_all(loop, line.id, "lost", 4);
    assert_int_equal(sluice_flush(loop, line.id), -EPIPE);
    struct story story = story_to_the_end(loop, line.id);
    assert_true(story_is(&story, HALFWAY) && story.has_last);
    assert_int_equal(story.data, 1);
    assert_int_equal(story.error, -EPIPE);
    assert_int_equal(story.unsent, 4);
}

/* The peer goes on sending: it is not read from any more. */
static void a_failed_send_while_paused(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_halfway(loop, line);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    assert_int_equal(shutdown(line.peer, SHUT_RD), 0);
    write_all(loop, line.id, "lost", 4);
    assert_int_equal(sluice_flush(loop, line.id), -EPIPE);
    expect_no_event(loop);
    put_text(line.peer, "too late");
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    struct story story = story_to_the_end(loop, line.id);
    assert_true(story_is(&story, HALFWAY) && story.has_last);
    assert_int_equal(story.error, -EPIPE);
}

static void over_the_memory_limit(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.memory_limit = 8192, .receive_size = 4096});
    struct line line = unix_line(loop);
    static unsigned char bytes[20000];
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(write(line.peer, bytes, 100), 100);
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_hold_until(loop, line.id, 100, 1000000), 0);
    assert_int_equal(write(line.peer, bytes + 100, sizeof bytes - 100), sizeof bytes - 100);
    struct story story = story_to_the_end(loop, line.id);
    assert_true(story.is_pattern && story.length > 100 && story.length <= 8192 && story.has_last);
    assert_int_equal(story.data, 1);
    assert_int_equal(story.error, SLUICE_EFULL);
}

/* The number is given to the socket of a connect, and the stream has lost it. */
static void a_lost_descriptor_before(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_halfway(loop, line);
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    int number = sluice_fd(loop, line.id);
    close_number(number);
    sluice_id other;
    assert_int_equal(sluice_connect(loop, &other, address, NULL), 0);
    assert_int_equal(sluice_fd(loop, other), number);
    struct story story = new_story();
    while (story.closed == 0) {
        sluice_event event = next_event(loop);
        if (event.id == line.id)
            add_to_story(&story, &event);
    }
    assert_true(story_is(&story, HALFWAY) && story.has_last);
    assert_int_equal(story.error, SLUICE_EBADF);
}

static void ended_by_the_caller(void) {
    sluice_loop *loop = make_loop();
    for (int aborts = 0; aborts < 2; aborts++) {
        struct line line = unix_line(loop);
        begin_halfway(loop, line);
        int code = aborts ? sluice_abort(loop, line.id) : sluice_close(loop, line.id);
        assert_int_equal(code, 0);
        drop(line.peer);
        struct story story = story_to_the_end(loop, line.id);
        assert_int_equal(story.data, 0);
        assert_int_equal(story.error, aborts ? -ECONNABORTED : 0);
    }
}

/* ---- Others --------------------------------------------------------------------------------- */

static void forwarded(void) {
    sluice_loop *loop = make_loop();
    struct line from = unix_line(loop);
    struct line to = unix_line(loop);
    begin_halfway(loop, from);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    expect_no_event(loop);
    take_text(to.peer, HALFWAY);
    put_text(from.peer, "the rest");
    expect_no_event(loop);
    take_text(to.peer, "the rest");
    assert_int_equal(stats_of(loop).queue_memory, 0);
    assert_int_equal(sluice_forward(loop, from.id, 0), 0);
    put_text(from.peer, "not waited for"); /* any more */
    expect_text(loop, from.id, "not waited for");
}

static void waits_in_the_child(sluice_loop *loop, struct line line) {
    struct story story = new_story();
    if (sluice_after_fork(loop) < 0)
        _exit(1);
    put_text(line.peer, ", the rest");
    while (story.length < 25) {
        sluice_event event;
        if (sluice_next(loop, &event, PATIENCE_NS) != 1)
            _exit(2);
        add_to_story(&story, &event);
    }
    _exit(story.data == 1 && story_is(&story, HALFWAY ", the rest") ? 0 : 3);
}

static void forked(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_waiting(loop, line, "head", 4, 25);
    put_text(line.peer, " and a part");
    expect_no_event(loop);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        waits_in_the_child(loop, line);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    put_text(line.peer, " and more.");
    expect_text(loop, line.id, HALFWAY " and more.");
}

/* ---- A large frame -------------------------------------------------------------------------- */

/* Sends the next of a frame of `total`, as much as fits. */
static size_t send_next(int fd, size_t sent, size_t total) {
    static unsigned char piece[100000];
    size_t length = 1 + random_below(sizeof piece - 1);
    length = length < total - sent ? length : total - sent;
    if (length == 0)
        return 0;
    make_pattern(piece, sent, length);
    ptrdiff_t count = sluice_socket_send(fd, piece, length);
    return count > 0 ? (size_t)count : 0;
}

/* How many events a frame comes in, at default options. */
static unsigned receive_frame(bool waits, size_t total) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    unsigned events = 0;
    size_t sent = 0;
    for (size_t length = 0; length < total;) {
        sent += send_next(line.peer, sent, total);
        sluice_event event;
        if (!pull_now(loop, &event))
            continue;
        assert_int_equal(event.kind, SLUICE_DATA);
        events++;
        length = event.length;
        if (length == total)
            check_pattern(event.data, 0, length);
        else if (waits)
            assert_int_equal(sluice_hold_until(loop, line.id, length, total), 0);
        else
            assert_int_equal(sluice_hold(loop, line.id, length), 0);
        assert_true(stats_of(loop).queue_memory <= (waits ? total + 65536 : 2 * total));
    }
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).queue_memory, 0);
    return events;
}

static void a_frame_of_48_mib(void) {
    assert_true(receive_frame(false, 48 * MIB) >= 48 * MIB / 65536);
    assert_int_equal(receive_frame(true, 48 * MIB), 2);
}

static void a_frame_of_the_hard_limit(void) {
    assert_int_equal(receive_frame(true, 64 * MIB), 2);
}

int main(void) {
    static const struct test tests[] = {
        {"no DATA before all that is waited for", waits_for_all_of_it, NULL},
        {"nothing is held, and so many are waited for", nothing_held, NULL},
        {"a total that is there already is a hold", a_total_that_is_there_already, NULL},
        {"the last hold of an event counts", the_last_of_an_event_counts, NULL},
        {"refused: too late, too much, over the hard limit", refused, NULL},
        {"no DATA while paused", paused, NULL},
        {"several events a pull", several_events_a_pull, NULL},
        {"the end before: what is there, then EOF", the_end_before, NULL},
        {"a reset before: what is there, then CLOSED", a_reset_before, NULL},
        {"a reset when nothing has come: CLOSED alone", a_reset_when_nothing_has_come, NULL},
        {"an idle limit before: what is there, then CLOSED", an_idle_limit_before, NULL},
        {"a failed send before: what is there, then CLOSED", a_failed_send_before, NULL},
        {"a failed send while paused: after the resume", a_failed_send_while_paused, NULL},
        {"over memory_limit: what is there, then CLOSED", over_the_memory_limit, NULL},
        {"its number is lost before: what is there, then CLOSED", a_lost_descriptor_before, NULL},
        {"close and abort drop it", ended_by_the_caller, NULL},
        {"a forward passes on what is there", forwarded, NULL},
        {"a fork's child waits for the same", forked, NULL},
        {"a frame of 48 MiB, at default options", a_frame_of_48_mib, NULL},
        {"a frame as long as the hard limit", a_frame_of_the_hard_limit, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

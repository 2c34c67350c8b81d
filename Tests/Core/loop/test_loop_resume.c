/* test_loop_resume.c - sluice_resume of a stream that holds bytes: they come again, even if no new
 * bytes come. */
#include "loops.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A stream that was sent `text`, holds its last `length` bytes, and is paused. */
static void begin_paused(sluice_loop *loop, struct line line, const char *text, size_t length) {
    put_text(line.peer, text);
    expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_hold(loop, line.id, length), 0);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    expect_no_event(loop);
}

/* DATA of all these bytes at once, of which `told` were in an event before. */
static void expect_data(sluice_loop *loop, sluice_id id, const char *text, size_t told, bool last) {
    sluice_event event = expect_event_of(loop, SLUICE_DATA, id);
    assert_int_equal(event.length, strlen(text));
    assert_memory_equal(event.data, text, event.length);
    assert_int_equal(event.value, told << 1 | (last ? SLUICE_LAST : 0));
}

static void comes_again(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_paused(loop, line, "one two", 3);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    assert_int_equal(sluice_until_next(loop), 0);
    expect_data(loop, line.id, "two", 3, false);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).queue_memory, 0);
    put_text(line.peer, "three");
    expect_data(loop, line.id, "three", 0, false);
}

/* Requests that were sent together are answered one at a time, as there is room. */
static void one_by_one(void) {
    static const char *const requests = "abcdefgh";
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_paused(loop, line, requests, 7);
    for (size_t at = 1; at < 8; at++) {
        assert_int_equal(sluice_resume(loop, line.id), 0);
        expect_data(loop, line.id, requests + at, 8 - at, false);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        assert_int_equal(sluice_hold(loop, line.id, 7 - at), 0);
        expect_no_event(loop);
    }
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

/* Held in the very event of the pause and the resume. */
static void all_in_one_event(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "0123456789");
    expect_event_of(loop, SLUICE_DATA, line.id);
    for (size_t length = 6; length > 0; length -= 2) {
        assert_int_equal(sluice_hold(loop, line.id, length), 0);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        assert_int_equal(sluice_resume(loop, line.id), 0);
        expect_data(loop, line.id, &"0123456789"[10 - length], length, false);
    }
    assert_int_equal(sluice_hold(loop, line.id, 2), 0);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    assert_int_equal(sluice_hold(loop, line.id, 0), 0); /* which takes it back */
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).queue_memory, 0);
}

static void not_paused(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "held");
    expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_hold(loop, line.id, 4), 0);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_no_event(loop);
    put_text(line.peer, " on");
    expect_data(loop, line.id, "held on", 4, false);
}

static void nothing_held(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_paused(loop, line, "all taken", 0);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_no_event(loop);
}

/* Joined with what came meanwhile, or before it: no byte is lost or doubled. */
static void with_new_bytes(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_paused(loop, line, "old", 3);
    put_text(line.peer, " and new");
    await_bytes(sluice_fd(loop, line.id), 8);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_data(loop, line.id, "old and new", 3, false);
    expect_no_event(loop);
}

/* Who pauses at each event and resumes a little later is told of what comes all the same. */
static void paused_at_each_event(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_paused(loop, line, "a", 1);
    const char *const steps[] = {"a", "ab", "ab", "abc"};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (i % 2 == 1)
            put_text(line.peer, i == 1 ? "b" : "c");
        assert_int_equal(sluice_resume(loop, line.id), 0);
        expect_data(loop, line.id, steps[i], i == 0 ? 1 : strlen(steps[i - 1]), false);
        assert_int_equal(sluice_hold(loop, line.id, strlen(steps[i])), 0);
        assert_int_equal(sluice_pause(loop, line.id), 0);
    }
    assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_data(loop, line.id, "abc", 3, true);
    expect_event_of(loop, SLUICE_EOF, line.id);
}

static void too_few_wait(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "head");
    expect_event_of(loop, SLUICE_DATA, line.id);
    assert_int_equal(sluice_hold_until(loop, line.id, 4, 8), 0);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_no_event(loop);
    put_text(line.peer, "abc");
    expect_no_event(loop);
    assert_int_equal(sluice_pause(loop, line.id), 0);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_no_event(loop);
    put_text(line.peer, "d");
    expect_text(loop, line.id, "headabcd");
}

static void paused_again(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_paused(loop, line, "held", 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sluice_resume(loop, line.id), 0);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        expect_no_event(loop);
    }
    assert_int_equal(sluice_resume(loop, line.id), 0);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    expect_data(loop, line.id, "held", 4, false);
    expect_no_event(loop);
}

/* ---- At the end of the input ------------------------------------------------------------------
 */

static void the_end_comes_after(void) {
    for (int half_open = 0; half_open < 2; half_open++) {
        sluice_loop *loop = make_loop();
        sluice_stream_options options = stream_options(half_open ? SLUICE_HALF_OPEN : 0);
        struct line line = line_of(loop, unix_pair(), &options);
        begin_paused(loop, line, "last", 4);
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        await_end(sluice_fd(loop, line.id));
        expect_no_event(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(event.value, 4 << 1 | SLUICE_LAST);
        assert_int_equal(event.length, 4);
        expect_event_of(loop, SLUICE_EOF, line.id);
        assert_int_equal(sluice_close(loop, line.id), 0);
        drop(line.peer);
        expect_closed(loop, line.id, 0, 0);
    }
}

/* The client has sent all its requests and its end, and is answered as there is room. */
static void the_last_can_wait(void) {
    static const char *const requests = "abcdefgh";
    for (int capacity = 1; capacity <= 4; capacity += 3) {
        sluice_loop *loop = make_loop();
        struct line line = unix_line(loop);
        put_text(line.peer, requests);
        expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(sluice_hold(loop, line.id, 8), 0);
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        for (size_t at = 0; at < 8; at++) {
            sluice_event events[4];
            assert_int_equal(sluice_next_many(loop, events, capacity, PATIENCE_NS), 1);
            assert_int_equal(events[0].kind, SLUICE_DATA);
            assert_int_equal(events[0].length, 8 - at);
            assert_memory_equal(events[0].data, requests + at, 8 - at);
            assert_int_equal(events[0].value, (8 - at) << 1 | SLUICE_LAST);
            assert_int_equal(sluice_hold(loop, line.id, 7 - at), 0);
            assert_int_equal(sluice_pause(loop, line.id), 0);
            if (at % 2)
                expect_no_event(loop);
            assert_int_equal(sluice_write(loop, line.id, requests + at, 1), 0);
            assert_int_equal(sluice_resume(loop, line.id), 0);
        }
        expect_event_of(loop, SLUICE_EOF, line.id);
        expect_closed(loop, line.id, 0, 0);
        take_text(line.peer, requests);
    }
}

/* A connection that is broken is: nothing holds its CLOSED back. */
static void a_reset_meanwhile(void) {
    for (int resumed = 0; resumed < 2; resumed++) {
        sluice_loop *loop = make_loop();
        struct line line = tcp_line(loop);
        begin_paused(loop, line, "held", 4);
        int fd = sluice_fd(loop, line.id);
        if (resumed)
            assert_int_equal(sluice_resume(loop, line.id), 0);
        reset_connection(line.peer);
        await_hang_up(fd);
        struct story story = new_story();
        if (!resumed)
            assert_int_equal(sluice_resume(loop, line.id), 0);
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.error, -ECONNRESET);
        assert_int_equal(story.eof, 0);
        assert_int_equal(stats_of(loop).queue_memory, 0);
    }
}

/* ---- Other calls ------------------------------------------------------------------------------
 */

static void ended_before(void) {
    sluice_loop *loop = make_loop();
    for (int aborts = 0; aborts < 2; aborts++)
        for (int others = 0; others < 2; others++) {
            struct line line = unix_line(loop);
            begin_paused(loop, line, "held", 4);
            if (others) { /* a notice of another kind waits, too */
                static const unsigned char bytes[2 << 20];
                assert_int_equal(sluice_write(loop, line.id, bytes, sizeof bytes), 1);
            }
            assert_int_equal(sluice_resume(loop, line.id), 0);
            assert_int_equal(aborts ? sluice_abort(loop, line.id) : sluice_close(loop, line.id), 0);
            drop(line.peer);
            assert_int_equal(next_event(loop).kind, SLUICE_CLOSED);
            expect_no_event(loop);
            assert_int_equal(stats_of(loop).queue_memory, 0);
        }
}

static void forwarded(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    struct line other = unix_line(loop);
    begin_paused(loop, line, "held", 4);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    assert_int_equal(sluice_forward(loop, line.id, other.id), 0);
    expect_no_event(loop);
    take_text(other.peer, "held");
    assert_int_equal(sluice_forward(loop, line.id, 0), 0);
    expect_no_event(loop);
    put_text(line.peer, "next");
    expect_data(loop, line.id, "next", 0, false);
}

/* Several events a pull: one DATA of a stream at most, so that it can be held. */
static void several_events_a_pull(void) {
    sluice_loop *loop = make_loop();
    struct line lines[3];
    for (int i = 0; i < 3; i++) {
        lines[i] = unix_line(loop);
        begin_paused(loop, lines[i], "held", 4);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sluice_resume(loop, lines[i].id), 0);
        put_text(lines[i].peer, " more");
    }
    size_t length[3] = {0, 0, 0};
    for (int pulls = 0; pulls < 20; pulls++) {
        sluice_event events[8];
        bool seen[3] = {false, false, false};
        int count = sluice_next_many(loop, events, 8, 0);
        for (int e = 0; e < count; e++) {
            int i = events[e].id == lines[0].id ? 0 : events[e].id == lines[1].id ? 1 : 2;
            assert_int_equal(events[e].kind, SLUICE_DATA);
            assert_false(seen[i]);
            seen[i] = true;
            assert_memory_equal(events[e].data, "held more", events[e].length);
            length[i] = events[e].length;
            assert_int_equal(sluice_hold(loop, events[e].id, events[e].length), 0);
        }
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(length[i], 9);
}

/* If a caller holds everything and resumes at each event, neither other streams nor the stream's
 * other events wait. */
static void keeps_nobody_waiting(void) {
    for (int ended = 0; ended < 2; ended++) {
        sluice_loop *loop = make_loop();
        struct line line = unix_line(loop);
        struct line other = unix_line(loop);
        static unsigned char bytes[8192];
        put_text(line.peer, "held");
        expect_event_of(loop, SLUICE_DATA, line.id);
        assert_int_equal(sluice_hold(loop, line.id, 4), 0);
        if (ended)
            assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        else
            assert_int_equal(sluice_pause(loop, line.id), 0);
        if (!ended)
            assert_int_equal(sluice_resume(loop, line.id), 0);
        expect_event_of(loop, SLUICE_DATA, line.id);
        sluice_id timer;
        assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
        assert_int_equal(sluice_post(loop, 1), 0);
        put_text(other.peer, "other");
        while (sluice_write(loop, line.id, bytes, sizeof bytes) == 0)
            continue;
        unsigned others = 0;
        bool drained = false;
        for (int i = 0; i < 40 && (others < 3 || !drained); i++) {
            assert_int_equal(sluice_hold(loop, line.id, 4), 0);
            assert_int_equal(sluice_pause(loop, line.id), 0);
            assert_int_equal(sluice_resume(loop, line.id), 0);
            for (sluice_event event = next_event(loop);
                 event.id != line.id || event.kind != SLUICE_DATA; event = next_event(loop)) {
                assert_int_not_equal(event.kind, SLUICE_EOF);
                if (event.kind == SLUICE_DRAINED)
                    drained = true;
                else
                    others++;
            }
            static unsigned char drain[1 << 20];
            take_some(line.peer, drain, sizeof drain);
        }
        assert_int_equal(others, 3);
        assert_true(drained);
    }
}

static int in_child(sluice_loop *loop, sluice_id id) {
    sluice_event event;
    if (sluice_after_fork(loop) < 0)
        return 1;
    if (sluice_next(loop, &event, PATIENCE_NS) != 1 || event.kind != SLUICE_DATA)
        return 2;
    return event.id == id && event.length == 4 && event.value == 4 << 1 ? 0 : 3;
}

/* Parent and child have a copy of what is held, each. */
static void forked_before(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    begin_paused(loop, line, "held", 4);
    assert_int_equal(sluice_resume(loop, line.id), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(in_child(loop, line.id));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    expect_data(loop, line.id, "held", 4, false);
}

int main(void) {
    static const struct test tests[] = {
        {"what is held comes again at the resume", comes_again, NULL},
        {"one request at a time, as there is room", one_by_one, NULL},
        {"held, paused and resumed in one event", all_in_one_event, NULL},
        {"a resume of what was not paused changes nothing", not_paused, NULL},
        {"nothing held: nothing comes", nothing_held, NULL},
        {"what came meanwhile is joined, once", with_new_bytes, NULL},
        {"who pauses at each event is told of what comes", paused_at_each_event, NULL},
        {"fewer than are waited for go on waiting", too_few_wait, NULL},
        {"paused again before it came", paused_again, NULL},
        {"the end comes after what is held", the_end_comes_after, NULL},
        {"the last bytes can wait for a resume", the_last_can_wait, NULL},
        {"a reset meanwhile", a_reset_meanwhile, NULL},
        {"closed or aborted before it came", ended_before, NULL},
        {"forwarded before it came", forwarded, NULL},
        {"several events a pull: one DATA of each stream", several_events_a_pull, NULL},
        {"a resume at each event keeps nobody waiting", keeps_nobody_waiting, NULL},
        {"forked before it came: both have it", forked_before, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

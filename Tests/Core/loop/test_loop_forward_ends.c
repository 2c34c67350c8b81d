/* test_loop_forward_ends.c - who gets an end: if a forward begins when the end has come already,
 * and if one of several sources ends. */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct line half_open_line(sluice_loop *loop) {
    sluice_stream_options options = stream_options(SLUICE_HALF_OPEN);
    return line_of(loop, unix_pair(), &options);
}

/* EOF has been noted and not been pulled: what was held comes before it. */
static struct line line_that_has_ended(sluice_loop *loop, bool half_open) {
    struct line from = half_open ? half_open_line(loop) : unix_line(loop);
    put_text(from.peer, "head");
    expect_text(loop, from.id, "head");
    assert_int_equal(sluice_hold(loop, from.id, 4), 0);
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    expect_text(loop, from.id, "head");
    return from;
}

static void begun_before_eof_is_pulled(void) {
    sluice_loop *loop = make_loop();
    struct line from = line_that_has_ended(loop, false);
    struct line to = unix_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    expect_closed(loop, from.id, 0, 0);
    expect_end(to.peer);
    put_text(to.peer, "answer");
    expect_text(loop, to.id, "answer");
    expect_no_event(loop);
}

/* The caller is told when the forward is over, and once. */
static void ended_again_before_eof_is_pulled(void) {
    sluice_loop *loop = make_loop();
    struct line from = line_that_has_ended(loop, true);
    struct line to = unix_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    expect_no_event(loop);
    expect_end(to.peer);
    assert_int_equal(sluice_forward(loop, from.id, 0), 0);
    expect_event_of(loop, SLUICE_EOF, from.id);
    expect_no_event(loop);
    write_all(loop, from.id, "still here", 10);
    expect_no_event(loop);
    take_text(from.peer, "still here");
}

/* The caller paused the stream when EOF was due, which therefore waits. */
static void begun_while_eof_waits_for_the_resume(void) {
    sluice_loop *loop = make_loop();
    struct line from = half_open_line(loop);
    struct line first = unix_line(loop);
    struct line second = unix_line(loop);
    assert_int_equal(sluice_forward(loop, from.id, first.id), 0);
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    expect_no_event(loop);
    expect_end(first.peer);
    assert_int_equal(sluice_forward(loop, from.id, 0), 0);
    assert_int_equal(sluice_pause(loop, from.id), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_forward(loop, from.id, second.id), 0);
    expect_no_event(loop);
    expect_end(second.peer);
    assert_int_equal(sluice_resume(loop, from.id), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_forward(loop, from.id, 0), 0);
    expect_event_of(loop, SLUICE_EOF, from.id);
    expect_no_event(loop);
}

/* What the peer said, and its end, wait in the kernel. */
static void begun_while_paused(void) {
    sluice_loop *loop = make_loop();
    struct line from = unix_line(loop);
    struct line to = unix_line(loop);
    assert_int_equal(sluice_pause(loop, from.id), 0);
    put_text(from.peer, "last words");
    assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, from.id), 0);
    expect_closed(loop, from.id, 0, 0);
    take_text(to.peer, "last words");
    expect_end(to.peer);
    expect_no_event(loop);
}

/* ---- Two into one ---------------------------------------------------------------------------- */

static void first_end_shuts_the_target(void) {
    sluice_loop *loop = make_loop();
    struct line to = unix_line(loop);
    struct line from[2];
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        from[i] = unix_line(loop);
        assert_int_equal(sluice_forward(loop, from[i].id, to.id), 0);
        put_text(from[i].peer, "to the target");
        expect_no_event(loop);
        take_text(to.peer, "to the target");
    }
    assert_int_equal(shutdown(from[0].peer, SHUT_WR), 0);
    expect_closed(loop, from[0].id, 0, 0);
    expect_end(to.peer);
    put_text(from[1].peer, "to the caller");
    expect_text(loop, from[1].id, "to the caller");
    put_text(to.peer, "answer");
    expect_text(loop, to.id, "answer");
    drop(from[1].peer);
    expect_event_of(loop, SLUICE_EOF, from[1].id);
    expect_closed(loop, from[1].id, 0, 0);
    drop(to.peer);
    expect_event_of(loop, SLUICE_EOF, to.id);
    expect_closed(loop, to.id, 0, 0);
    expect_no_event(loop);
}

/* Both ends come in one turn: one goes to the target, and the other is the caller's. */
static void both_end_at_once(void) {
    sluice_loop *loop = make_loop();
    struct line to = unix_line(loop);
    struct line from[2];
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        from[i] = unix_line(loop);
        assert_int_equal(sluice_forward(loop, from[i].id, to.id), 0);
    }
    for (size_t i = 0; i < COUNT_OF(from); i++)
        assert_int_equal(shutdown(from[i].peer, SHUT_WR), 0);
    unsigned eof = 0;
    for (unsigned closed = 0; closed < COUNT_OF(from);) {
        sluice_event event = next_event(loop);
        assert_true(event.id == from[0].id || event.id == from[1].id);
        assert_int_equal(event.error, 0);
        eof += event.kind == SLUICE_EOF;
        closed += event.kind == SLUICE_CLOSED;
    }
    assert_int_equal(eof, 1);
    expect_end(to.peer);
    put_text(to.peer, "answer");
    expect_text(loop, to.id, "answer");
}

/* ---- An end that is none ----------------------------------------------------------------------
 */

/* What the peer of `line` sees at its end: 0 or an errno. */
static int end_seen(struct line line) {
    char byte;
    await(line.peer, POLLIN | POLLHUP);
    ssize_t count = read(line.peer, &byte, 1);
    assert_true(count <= 0);
    return count < 0 ? errno : 0;
}

/* The kernel has all of the part, and the peer, too: that alone would be an orderly end. */
static void a_part_does_not_look_whole(void) {
    static const unsigned char large[65536];
    enum { RESET, HEARD_BY_A_SEND, ORDERLY, BEHIND_ITS_END, CLOSED_BY_CALL, HOWS };
    for (int how = 0; how < HOWS; how++) {
        sluice_loop *loop = make_loop();
        struct line from = tcp_line(loop);
        struct line to = tcp_line(loop);
        assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
        assert_int_equal(sluice_forward(loop, to.id, from.id), 0);
        put_text(from.peer, "a part");
        expect_no_event(loop);
        take_text(to.peer, "a part");
        if (how == BEHIND_ITS_END) {
            assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
            expect_no_event(loop);
            expect_end(to.peer);
        }
        if (how == CLOSED_BY_CALL) {
            assert_int_equal(sluice_close(loop, from.id), 0);
            drop(from.peer);
        } else if (how == ORDERLY) {
            assert_int_equal(shutdown(to.peer, SHUT_WR), 0);
            drop(from.peer);
        } else {
            reset_connection(from.peer);
        }
        if (how == HEARD_BY_A_SEND) { /* which takes the error: a receive finds an end behind it */
            await(sluice_fd(loop, from.id), POLLERR);
            assert_int_equal(sluice_write(loop, from.id, large, sizeof large), -ECONNRESET);
        }
        if (how == BEHIND_ITS_END) /* it is heard by a send */
            put_text(to.peer, "an answer");
        sluice_event event = next_event(loop);
        while (event.kind != SLUICE_CLOSED || event.id != from.id)
            event = next_event(loop);
        bool is_part = how == RESET || how == HEARD_BY_A_SEND;
        assert_true(is_part || how == BEHIND_ITS_END ? event.error < 0 : event.error == 0);
        assert_int_equal(event.value, is_part ? 0 : SLUICE_INPUT_ENDED);
        (void)sluice_abort(loop, to.id); /* which may have ended, too */
        assert_int_equal(end_seen(to), is_part ? ECONNRESET : 0);
    }
}

/* A client asks and ends, and its server is cut off in the middle of the answer. An EOF that is
 * owed would have the loop close the client in order, before its CLOSED says that. */
static void a_part_behind_the_question_s_end(void) {
    for (int how = 0; how < 4; how++) {
        sluice_loop *loop = make_loop();
        sluice_stream_options options = stream_options(0);
        options.high_mark = 1000;
        struct line client = line_of(loop, tcp_pair(), &options);
        struct line server = tcp_line(loop);
        assert_int_equal(sluice_forward(loop, client.id, server.id), 0);
        assert_int_equal(sluice_forward(loop, server.id, client.id), 0);
        put_text(client.peer, "question");
        assert_int_equal(shutdown(client.peer, SHUT_WR), 0);
        expect_no_event(loop);
        take_text(server.peer, "question");
        put_text(server.peer, "a part");
        if (how & 1)
            expect_no_event(loop);
        if (how & 2) { /* a DRAINED is to be told, too */
            static const unsigned char bytes[4096];
            assert_int_equal(sluice_write(loop, client.id, bytes, sizeof bytes), 1);
            assert_int_equal(sluice_flush(loop, client.id), 0);
        }
        reset_connection(server.peer);
        await(sluice_fd(loop, server.id), POLLERR);
        sluice_event event;
        while ((event = next_event(loop)).kind != SLUICE_CLOSED)
            assert_int_equal(event.kind, SLUICE_DRAINED);
        assert_true(event.id == server.id && event.error == -ECONNRESET && event.value == 0);
        assert_int_equal(sluice_abort(loop, client.id), 0);
        char bytes[8192];
        ssize_t count;
        await(client.peer, POLLERR);
        while ((count = read(client.peer, bytes, sizeof bytes)) > 0) {
        }
        assert_true(count < 0 && errno == ECONNRESET);
        end_loop(loop);
    }
}

/* Reads all that the client is sent, while the loop goes on: how much it is. */
static size_t read_to_end(sluice_loop *loop, int fd) {
    static unsigned char bytes[65536];
    const int64_t end = monotonic_ns() + PATIENCE_NS;
    size_t taken = 0;
    for (;;) {
        sluice_event event;
        (void)pull_now(loop, &event);
        ssize_t count = read(fd, bytes, sizeof bytes);
        assert_true(count >= 0 || errno == EAGAIN);
        assert_true(monotonic_ns() < end);
        if (count == 0)
            return taken;
        if (count > 0)
            check_pattern(bytes, taken, (size_t)count);
        taken += count > 0 ? (size_t)count : 0;
    }
}

/* A server answers much, ends, and resets. A part of the answer waits in the kernel, since the
 * client reads slowly. What the client asks meanwhile goes nowhere, and neither does its end. */
static void the_question_s_end_does_not_cut_the_answer_off(void) {
    static unsigned char bytes[65536];
    sluice_loop *loop = make_loop();
    struct line client = tcp_line(loop);
    struct line server = tcp_line(loop);
    assert_int_equal(sluice_forward(loop, client.id, server.id), 0);
    assert_int_equal(sluice_forward(loop, server.id, client.id), 0);
    size_t sent = 0;
    sluice_event event;
    while (sluice_pending(loop, client.id) <= 1 << 20) {
        make_pattern(bytes, sent, sizeof bytes);
        ptrdiff_t count = sluice_socket_send(server.peer, bytes, sizeof bytes);
        sent += count > 0 ? (size_t)count : 0;
        assert_false(pull_now(loop, &event));
    }
    make_pattern(bytes, sent, sizeof bytes);
    assert_int_equal(sluice_socket_send(server.peer, bytes, 1000), 1000);
    sent += 1000;
    assert_int_equal(shutdown(server.peer, SHUT_WR), 0);
    await_end(sluice_fd(loop, server.id));
    reset_connection(server.peer);
    put_text(client.peer, "a question that goes on");
    while (pull_now(loop, &event))
        assert_int_equal(event.kind, SLUICE_DATA);
    assert_int_equal(shutdown(client.peer, SHUT_WR), 0);
    expect_event_of(loop, SLUICE_EOF, client.id);
    expect_no_event(loop);
    assert_int_equal(read_to_end(loop, client.peer), sent);
    assert_int_equal(sluice_kind_of(loop, server.id), SLUICE_ESTALE);
    assert_int_equal(sluice_kind_of(loop, client.id), SLUICE_ESTALE);
}

/* Nothing is forwarded any more to a stream whose EOF was told: it closes, as ever. */
static void a_stream_that_stayed_for_a_forward_closes(void) {
    sluice_loop *loop = make_loop();
    struct line client = tcp_line(loop);
    struct line server = tcp_line(loop);
    assert_int_equal(sluice_forward(loop, client.id, server.id), 0);
    assert_int_equal(sluice_forward(loop, server.id, client.id), 0);
    assert_int_equal(sluice_shutdown(loop, server.id), 0);
    assert_int_equal(shutdown(client.peer, SHUT_WR), 0);
    expect_event_of(loop, SLUICE_EOF, client.id);
    put_text(server.peer, "an answer");
    expect_no_event(loop);
    take_text(client.peer, "an answer");
    assert_int_equal(sluice_forward(loop, server.id, 0), 0);
    expect_closed(loop, client.id, 0, 0);
    expect_end(client.peer);
}

/* select tells no hang-up, and libevent's backends none. */
static bool tells_resets(void) {
    return strcmp(test_backend(), "epoll") == 0 || strcmp(test_backend(), "poll") == 0;
}

/* A proxy whose client has ended waits for the server's answer. The client resets meanwhile. */
static void a_reset_behind_an_end_that_was_passed_on(void) {
    for (int how = 0; how < 4; how++) {
        sluice_loop *loop = make_loop();
        sluice_stream_options options = stream_options(how & 1 ? SLUICE_HALF_OPEN : 0);
        struct line client = line_of(loop, tcp_pair(), &options);
        struct line server = tcp_line(loop);
        if (how & 2)
            assert_int_equal(sluice_pause(loop, server.id), 0);
        assert_int_equal(sluice_forward(loop, client.id, server.id), 0);
        assert_int_equal(sluice_forward(loop, server.id, client.id), 0);
        assert_int_equal(shutdown(client.peer, SHUT_WR), 0);
        expect_no_event(loop);
        expect_end(server.peer);
        int fd = sluice_fd(loop, client.id);
        reset_connection(client.peer);
        await(fd, POLLERR);
        if (!tells_resets()) {
            expect_no_event(loop);
            write_all(loop, client.id, "x", 1);
        }
        sluice_event event = expect_event_of(loop, SLUICE_CLOSED, client.id);
        assert_true(event.error == -ECONNRESET || event.error == -EPIPE);
        assert_int_equal(sluice_resume(loop, server.id), 0);
        put_text(server.peer, "answer");
        expect_text(loop, server.id, "answer");
        end_loop(loop);
    }
}

/* Its peer has ended, and resets then, while nothing is received from it: what it said was whole.
 */
static void a_reset_behind_an_end_that_was_not_received(void) {
    static const unsigned char much[16 << 20];
    enum { HELD_BACK, PAUSED, HELD_BACK_AND_WRITTEN_TO, PAUSED_AND_WRITTEN_TO, HOWS };
    for (int how = 0; how < HOWS; how++) {
        bool paused = how & 1;
        sluice_loop *loop = make_loop();
        struct line from = tcp_line(loop);
        struct line to = tcp_line(loop);
        assert_int_equal(sluice_forward(loop, from.id, to.id), 0);
        put_text(from.peer, "answer");
        expect_no_event(loop);
        take_text(to.peer, "answer");
        if (paused) {
            assert_int_equal(sluice_pause(loop, from.id), 0);
        } else {
            assert_int_equal(sluice_write(loop, to.id, much, sizeof much), 1);
        }
        expect_no_event(loop);
        int fd = sluice_fd(loop, from.id);
        assert_int_equal(shutdown(from.peer, SHUT_WR), 0);
        await_end(fd);
        expect_no_event(loop);
        reset_connection(from.peer);
        await(fd, POLLERR);
        if (how & 2 || !tells_resets())
            (void)!sluice_write(loop, from.id, "question", 8);
        sluice_event event = expect_event_of(loop, SLUICE_CLOSED, from.id);
        assert_true(event.error == -ECONNRESET || event.error == -EPIPE);
        assert_int_equal(event.value, SLUICE_INPUT_ENDED);
        end_loop(loop);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"begun before EOF is pulled: the target is told, and the caller is not",
         begun_before_eof_is_pulled, NULL},
        {"begun before EOF is pulled, and ended again: EOF", ended_again_before_eof_is_pulled,
         NULL},
        {"begun while EOF waits for the resume: the target is told",
         begun_while_eof_waits_for_the_resume, NULL},
        {"begun while paused, behind the peer's end", begun_while_paused, NULL},
        {"two into one: the first end shuts the target, the other's bytes are the caller's",
         first_end_shuts_the_target, NULL},
        {"aborted after its source has failed: a reset, though all was sent",
         a_part_does_not_look_whole, NULL},
        {"the question's end does not cut the answer off",
         the_question_s_end_does_not_cut_the_answer_off, NULL},
        {"a stream that stayed for a forward closes behind it",
         a_stream_that_stayed_for_a_forward_closes, NULL},
        {"a part behind the question's end does not look whole, either",
         a_part_behind_the_question_s_end, NULL},
        {"a reset behind an end that was passed on: CLOSED",
         a_reset_behind_an_end_that_was_passed_on, NULL},
        {"a reset behind an end that was not received: what was said is whole",
         a_reset_behind_an_end_that_was_not_received, NULL},
        {"two into one: of two ends at once one is the caller's", both_end_at_once, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

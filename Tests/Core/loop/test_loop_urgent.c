/* test_loop_urgent.c - an urgent byte is outside the stream. A receive stops short of it even if
 * more has come. So a short receive does not mean that nothing is left.
 */
#include "loops.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

static void what_follows_an_urgent_byte_is_received(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    put_text(line.peer, "before");
    expect_text(loop, line.id, "before");
    for (int i = 0; i < 3; i++) {
        /* All of it is there before the loop looks. */
        put_text(line.peer, "one");
        assert_int_equal(send(line.peer, "!", 1, MSG_OOB), 1);
        put_text(line.peer, "two");
        expect_text(loop, line.id, "onetwo");
        expect_no_event(loop);
    }
}

/* The kernel counts what is there up to an urgent byte (FIONREAD), and that may be nothing. */
static void what_follows_an_urgent_byte_waits_for_the_resume(void) {
    for (int ends = 0; ends < 2; ends++) {
        sluice_loop *loop = make_loop();
        struct line line = tcp_line(loop);
        assert_int_equal(sluice_pause(loop, line.id), 0);
        assert_int_equal(send(line.peer, "!", 1, MSG_OOB), 1);
        put_text(line.peer, "last words");
        expect_no_event(loop);
        if (ends)
            assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        int fd = sluice_fd(loop, line.id);
        reset_connection(line.peer);
        await(fd, POLLERR);
        assert_int_equal(sluice_write(loop, line.id, "x", 1), 0);
        assert_int_equal(sluice_flush(loop, line.id), ends ? -EPIPE : -ECONNRESET);
        expect_no_event(loop);
        assert_int_equal(sluice_resume(loop, line.id), 0);
        expect_text(loop, line.id, "last words");
        if (ends)
            expect_event_of(loop, SLUICE_EOF, line.id);
        sluice_event event = expect_event_of(loop, SLUICE_CLOSED, line.id);
        assert_int_equal(event.error, ends ? -EPIPE : -ECONNRESET);
        assert_int_equal(event.value, ends ? SLUICE_INPUT_ENDED : 0);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"what follows an urgent byte is received", what_follows_an_urgent_byte_is_received, NULL},
        {"after a failed send it waits for the resume",
         what_follows_an_urgent_byte_waits_for_the_resume, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

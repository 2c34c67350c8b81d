/* test_loop_urgent.c - an urgent byte is outside the stream. A receive stops short of it even if
 * more has come. So a short receive does not mean that nothing is left.
 */
#include "loops.h"

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

int main(void) {
    static const struct test tests[] = {
        {"what follows an urgent byte is received", what_follows_an_urgent_byte_is_received, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_adopt.c - streams of descriptors that are not TCP sockets: pairs, pipes, terminals; and
 * what cannot be adopted. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

static sluice_id adopt(sluice_loop *loop, int fd) {
    sluice_id id;
    assert_int_equal(sluice_adopt(loop, &id, fd, NULL), 0);
    release(fd);
    return id;
}

static void is_the_loop_s_and_does_not_block(void) {
    sluice_loop *loop = make_loop();
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    keep(fds[0]);
    sluice_id id;
    assert_int_equal(sluice_adopt(loop, &id, fds[1], NULL), 0);
    assert_int_equal(sluice_fd(loop, id), fds[1]);
    assert_true((fcntl(fds[1], F_GETFL) & O_NONBLOCK) != 0);
    put_text(fds[0], "hello");
    expect_text(loop, id, "hello");
    assert_int_equal(sluice_abort(loop, id), 0);
    assert_int_equal(fcntl(fds[1], F_GETFD), -1);
}

static void refused_and_still_the_caller_s(void) {
    sluice_loop *loop = make_loop();
    sluice_id id;
    const int none[] = {-1, closed_number()};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        assert_int_equal(sluice_adopt(loop, &id, none[i], NULL), -EBADF);
    struct pair pair = unix_pair();
    sluice_id watch;
    assert_int_equal(sluice_watch(loop, &watch, pair.near, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_adopt(loop, &id, pair.near, NULL), SLUICE_EEXIST);
    put_byte(pair.far);
    expect_event_of(loop, SLUICE_READY, watch);
    take_byte(pair.near);
    assert_int_equal(sluice_close(loop, watch), 0);
    id = adopt(loop, pair.near);
    sluice_id twice;
    assert_int_equal(sluice_adopt(loop, &twice, pair.near, NULL), SLUICE_EEXIST);
    put_text(pair.far, "x");
    expect_text(loop, id, "x");
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 1);
}

/* ---- One open file under two numbers ---------------------------------------------------------
 */

static volatile sig_atomic_t has_blocked;
static volatile sig_atomic_t must_not_block;

/* A call that blocks goes on, and is remembered. */
static void end_the_blocking(int signo) {
    (void)signo;
    has_blocked = 1;
    (void)fcntl(must_not_block, F_SETFL, fcntl(must_not_block, F_GETFL) | O_NONBLOCK);
}

static void forget_alarm(void *unused) {
    (void)unused;
    alarm(0);
    signal(SIGALRM, SIG_DFL);
}

/* From here on no call may block at `fd`: one that does is ended after two seconds. */
static void watch_for_blocking(int fd) {
    const struct sigaction action = {.sa_handler = end_the_blocking};
    has_blocked = 0;
    must_not_block = fd;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    defer(forget_alarm, NULL);
    alarm(2);
}

static void make_blocking(int fd) {
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

/* Writes more than the kernel takes: the rest waits, and the loop does not. Returns how much waits.
 */
static size_t write_much(sluice_loop *loop, sluice_id id) {
    static unsigned char bytes[4 << 20];
    watch_for_blocking(sluice_fd(loop, id));
    write_all(loop, id, bytes, sizeof bytes);
    expect_no_event(loop);
    assert_int_equal(has_blocked, 0);
    return (size_t)sluice_pending(loop, id);
}

/* The end of a pair to write to. */
static struct pair pipe_to_write_to(void) {
    struct pair pipe = pipe_pair();
    return (struct pair){.near = pipe.far, .far = pipe.near};
}

/* Like standard input and output of a terminal. The end of the first stream leaves the second as it
 * is. The end of the second makes the file what it was. */
static void two_streams_of_one_open_file(void) {
    struct pair (*const kinds[])(void) = {unix_pair, tcp_pair, pty_pair, pipe_to_write_to};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        for (int how = 0; how < 2; how++) {
            sluice_loop *loop = make_loop();
            struct pair pair = kinds[i]();
            make_blocking(pair.near);
            int copy = duplicate(pair.near, 0);
            int own = duplicate(pair.near, 0);
            sluice_id first = adopt(loop, how ? copy : pair.near);
            sluice_id second = adopt(loop, how ? pair.near : copy);
            expect_no_event(loop);
            assert_int_equal(sluice_abort(loop, first), 0);
            expect_closed(loop, first, -ECONNABORTED, 0);
            assert_true(write_much(loop, second) > 0);
            end_loop(loop);
            if (kinds[i] == pty_pair || kinds[i] == pipe_to_write_to) /* a socket stays so */
                assert_int_equal(fcntl(own, F_GETFL) & O_NONBLOCK, 0);
        }
}

/* ---- Pipes ---------------------------------------------------------------------------------- */

static void pipe_s_reading_end(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id id = adopt(loop, pipe.near);
    put_text(pipe.far, "through the pipe");
    expect_text(loop, id, "through the pipe");
    put_text(pipe.far, "the rest");
    drop(pipe.far);
    expect_text(loop, id, "the rest");
    expect_event_of(loop, SLUICE_EOF, id);
    expect_closed(loop, id, 0, 0);
    expect_no_event(loop);
}

static void pipe_s_writing_end(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id id = adopt(loop, pipe.far);
    static unsigned char bytes[300000], taken[65536];
    make_pattern(bytes, 0, sizeof bytes);
    assert_int_equal(sluice_write(loop, id, bytes, sizeof bytes), 0);
    assert_true(sluice_pending(loop, id) > 0);
    for (size_t at = 0; at < sizeof bytes;) {
        expect_no_event(loop);
        size_t count = take_some(pipe.near, taken, sizeof taken);
        check_pattern(taken, at, count);
        at += count;
    }
    assert_int_equal(sluice_write(loop, id, "end", 3), 0);
    assert_int_equal(sluice_close(loop, id), 0);
    expect_closed(loop, id, 0, 0);
    take_text(pipe.near, "end");
    expect_end(pipe.near);
}

static void pipe_s_reader_goes(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id id = adopt(loop, pipe.far);
    expect_no_event(loop);
    drop(pipe.near);
    /* Told by the kernel: nobody has to write first. */
    expect_closed(loop, id, -EPIPE, 0);
    expect_no_event(loop);
}

static void pipe_s_reader_goes_with_output_queued(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id id = adopt(loop, pipe.far);
    static unsigned char bytes[300000];
    assert_int_equal(sluice_write(loop, id, bytes, sizeof bytes), 0);
    expect_no_event(loop);
    size_t pending = (size_t)sluice_pending(loop, id);
    drop(pipe.near);
    expect_closed(loop, id, -EPIPE, pending);
}

/* Shutdown has nobody to tell but by closing, once all is sent. */
static void pipe_s_shutdown(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id id = adopt(loop, pipe.far);
    assert_int_equal(sluice_write(loop, id, "all", 3), 0);
    assert_int_equal(sluice_shutdown(loop, id), 0);
    expect_closed(loop, id, 0, 0);
    take_text(pipe.near, "all");
    expect_end(pipe.near);
}

/* A pipe into a socket, as a proxy does it. */
static void pipe_forwarded_to_a_socket(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id from = adopt(loop, pipe.near);
    struct line to = unix_line(loop);
    assert_int_equal(sluice_forward(loop, from, to.id), 0);
    put_text(pipe.far, "from the pipe");
    drop(pipe.far);
    expect_closed(loop, from, 0, 0);
    take_text(to.peer, "from the pipe");
    expect_end(to.peer);
}

/* ---- Terminals ------------------------------------------------------------------------------ */

static void terminal_both_ways(void) {
    sluice_loop *loop = make_loop();
    struct pair pty = pty_pair();
    sluice_id id = adopt(loop, pty.near);
    for (int i = 0; i < 3; i++) {
        put_text(pty.far, "to the master");
        expect_text(loop, id, "to the master");
        assert_int_equal(sluice_write(loop, id, "to the slave", 12), 0);
        expect_no_event(loop);
        take_text(pty.far, "to the slave");
    }
    expect_no_event(loop);
}

/* A terminal gives a line at a time: a short receive is not the last one. */
static void terminal_line_by_line(void) {
    sluice_loop *loop = make_loop();
    struct pair pty = pty_pair();
    struct termios cooked;
    assert_int_equal(tcgetattr(pty.far, &cooked), 0);
    cooked.c_lflag |= ICANON;
    assert_int_equal(tcsetattr(pty.far, TCSANOW, &cooked), 0);
    sluice_id id = adopt(loop, pty.far);
    put_text(pty.near, "one\ntwo\nthree\n");
    expect_text(loop, id, "one\ntwo\nthree\n");
    expect_no_event(loop);
    put_text(pty.near, "four\n");
    expect_text(loop, id, "four\n");
}

/* What the other end has left is read, and then the stream ends, as the kernel calls it. */
static void terminal_closed(void) {
    sluice_loop *loop = make_loop();
    struct pair pty = pty_pair();
    sluice_id id = adopt(loop, pty.near);
    put_text(pty.far, "last line");
    drop(pty.far);
    expect_text(loop, id, "last line");
    sluice_event event = next_event(loop);
    if (event.kind == SLUICE_EOF)
        event = next_event(loop);
    assert_int_equal(event.kind, SLUICE_CLOSED);
    assert_true(event.error == -EIO || event.error == 0);
    expect_no_event(loop);
}

static void terminal_closed_while_paused_does_not_spin(void) {
    sluice_loop *loop = make_loop();
    struct pair pty = pty_pair();
    sluice_id id = adopt(loop, pty.near);
    assert_int_equal(sluice_pause(loop, id), 0);
    drop(pty.far);
    uint64_t before = stats_of(loop).turns;
    sluice_event event;
    sluice_next(loop, &event, 30 * NS_PER_MS);
    assert_true(stats_of(loop).turns - before <= 4);
}

int main(void) {
    static const struct test tests[] = {
        {"two streams of one open file: neither blocks", two_streams_of_one_open_file, NULL},
        {"a pair: the loop's, and does not block", is_the_loop_s_and_does_not_block, NULL},
        {"refused: still the caller's", refused_and_still_the_caller_s, NULL},
        {"a pipe's reading end", pipe_s_reading_end, NULL},
        {"a pipe's writing end", pipe_s_writing_end, NULL},
        {"a pipe whose reader goes: -EPIPE", pipe_s_reader_goes, NULL},
        {"a pipe whose reader goes with output queued", pipe_s_reader_goes_with_output_queued,
         NULL},
        {"shutdown of a pipe's writing end", pipe_s_shutdown, NULL},
        {"a pipe forwarded to a socket", pipe_forwarded_to_a_socket, NULL},
        {"a terminal, both ways", terminal_both_ways, NULL},
        {"a terminal, line by line", terminal_line_by_line, NULL},
        {"a terminal whose other end closes", terminal_closed, NULL},
        {"the same while paused does not spin", terminal_closed_while_paused_does_not_spin, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

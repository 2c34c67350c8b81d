/* test_loop_send_file.c - sluice_send_file: bytes of a file, in order, as there is room. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* A file of so many bytes of the pattern. */
static int pattern_file(size_t length) {
    static unsigned char piece[65536];
    int file = regular_file();
    for (size_t at = 0; at < length; at += sizeof piece) {
        size_t part = length - at < sizeof piece ? length - at : sizeof piece;
        make_pattern(piece, at, part);
        assert_int_equal(write(file, piece, part), part);
    }
    return file;
}

/* What the peer reads now is the pattern from `at` on: how many bytes. */
static size_t take_pattern(int peer, size_t at, size_t most) {
    static unsigned char piece[65536];
    size_t count = take_some(peer, piece, most < sizeof piece ? most : sizeof piece);
    check_pattern(piece, at, count);
    return count;
}

static void take_whole_pattern(int peer, size_t at, size_t end) {
    while (at < end) {
        await(peer, POLLIN);
        at += take_pattern(peer, at, end - at);
    }
}

static void check_alive(sluice_loop *loop, struct line line) {
    write_all(loop, line.id, "pong", 4);
    put_text(line.peer, "ping");
    expect_text(loop, line.id, "ping");
    take_text(line.peer, "pong");
}

/* ---- What goes ------------------------------------------------------------------------------ */

static void behind_what_was_written(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    int file = pattern_file(1000);
    put_text(line.peer, "answer me");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
    write_all(loop, line.id, event.data, event.length); /* is put off */
    write_all(loop, line.id, ", head, ", 8);
    assert_int_equal(sluice_send_file(loop, line.id, file, 100, 900), 900);
    write_all(loop, line.id, "tail", 4);
    assert_int_equal(sluice_send_file(loop, line.id, file, 0, 10), 10);
    assert_int_equal(lseek(file, 0, SEEK_CUR), 1000); /* as it was */
    drop(file);
    expect_no_event(loop);
    take_text(line.peer, "answer me, head, ");
    take_whole_pattern(line.peer, 100, 1000);
    take_text(line.peer, "tail");
    take_whole_pattern(line.peer, 0, 10);
    sluice_statistics stats = stats_of(loop);
    assert_int_equal(stats.bytes_sent, 9 + 8 + 900 + 4 + 10);
    assert_int_equal(stats.sends, 4); /* of which two are of a file */
}

static struct line line_to_pipe(sluice_loop *loop) {
    struct pair pair = pipe_pair();
    return line_of(loop, (struct pair){.near = pair.far, .far = pair.near}, NULL);
}

static const struct way {
    struct line (*make)(sluice_loop *loop);
} ways[] = {{tcp_line}, {unix_line}, {line_to_pipe}};

/* 8 MiB to a peer that reads a little at a time. No more than the high mark goes at a time, nothing
 * is queued, and DRAINED is no reason to spin. */
static void large_file_to_a_slow_reader(void) {
    const struct way *way = test_data();
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 256 * KIB});
    struct line line = way->make(loop);
    int file = pattern_file(8 * MIB);
    size_t taken = 0;
    int empty_handed = 0; /* zeros in a row: there was room for just the high mark */
    ptrdiff_t count = sluice_send_file(loop, line.id, file, 0, 8 * MIB);
    if (count == -EINVAL && way->make == line_to_pipe)
        skip(); /* an older kernel */
    assert_in_range(count, 1, 256 * KIB);
    for (size_t sent = (size_t)count; taken < 8 * MIB;) {
        assert_int_equal(sluice_pending(loop, line.id), 0);
        sluice_event event;
        if (!pull_now(loop, &event)) {
            taken += take_pattern(line.peer, taken, 20000);
            continue;
        }
        assert_int_equal(event.kind, SLUICE_DRAINED);
        assert_true(sent < 8 * MIB);
        count = sluice_send_file(loop, line.id, file, (int64_t)sent, 8 * MIB - sent);
        assert_in_range(count, 0, 256 * KIB);
        empty_handed = count == 0 ? empty_handed + 1 : 0;
        assert_true(empty_handed < 2);
        sent += (size_t)count;
    }
    expect_no_event(loop);
    assert_int_equal(stats_of(loop).bytes_sent, 8 * MIB);
}

/* What is queued goes first: DRAINED comes when all of it has gone, and not at the low mark. */
static void not_before_the_queue(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    static unsigned char bytes[900 * 1024];
    make_pattern(bytes, 0, sizeof bytes);
    int file = pattern_file(sizeof bytes + 100);
    write_all(loop, line.id, bytes, sizeof bytes);
    assert_int_equal(sluice_send_file(loop, line.id, file, sizeof bytes, 100), 0);
    assert_int_equal(sluice_send_file(loop, line.id, file, sizeof bytes, 100), 0);
    assert_int_equal(sluice_flush(loop, line.id), 0);
    size_t taken = 0;
    sluice_event event;
    while (!pull_now(loop, &event)) {
        assert_true(sluice_pending(loop, line.id) > 0);
        taken += take_pattern(line.peer, taken, 4096);
    }
    assert_int_equal(event.kind, SLUICE_DRAINED);
    assert_int_equal(sluice_pending(loop, line.id), 0);
    while (taken < sizeof bytes)
        taken += take_pattern(line.peer, taken, sizeof bytes);
    assert_int_equal(sluice_send_file(loop, line.id, file, sizeof bytes, 100), 100);
    take_whole_pattern(line.peer, taken, sizeof bytes + 100);
    expect_no_event(loop);
}

static void while_connecting(void) {
    sluice_loop *loop = make_loop();
    int listener = tcp_listener(8);
    char address[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    int file = pattern_file(1000);
    for (int writes = 0; writes < 2; writes++) {
        sluice_id id;
        assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
        if (writes)
            write_all(loop, id, "head", 4);
        assert_int_equal(sluice_send_file(loop, id, file, 0, 1000), 0);
        await(listener, POLLIN);
        int peer = keep(sluice_socket_accept(listener));
        expect_event_of(loop, SLUICE_CONNECTED, id);
        expect_event_of(loop, SLUICE_DRAINED, id);
        assert_int_equal(sluice_send_file(loop, id, file, 0, 1000), 1000);
        if (writes)
            take_text(peer, "head");
        take_whole_pattern(peer, 0, 1000);
        expect_no_event(loop);
    }
}

/* Who asks for more than there is gets what there is, and learns of the end when it goes on. */
static void shorter_than_asked(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    int file = pattern_file(1000);
    assert_int_equal(sluice_send_file(loop, line.id, file, 200, 5000), 800);
    expect_event_of(loop, SLUICE_DRAINED, line.id);
    assert_int_equal(sluice_send_file(loop, line.id, file, 1000, 4200), -ENODATA);
    assert_int_equal(sluice_send_file(loop, line.id, file, 5000, 1), -ENODATA);
    assert_int_equal(sluice_send_file(loop, line.id, file, 5000, 0), 0);
    assert_int_equal(sluice_send_file(loop, line.id, file, 0, SIZE_MAX), 1000);
    expect_event_of(loop, SLUICE_DRAINED, line.id);
    expect_no_event(loop);
    take_whole_pattern(line.peer, 200, 1000);
    take_whole_pattern(line.peer, 0, 1000);
    check_alive(loop, line);
}

static void short_counts_and_interruptions(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    int file = pattern_file(1000);
    shorten_send_files(7);
    interrupt_calls(true);
    ptrdiff_t count = sluice_send_file(loop, line.id, file, 0, 1000);
    interrupt_calls(false);
    shorten_send_files(0);
    assert_int_equal(count, 1000);
    take_whole_pattern(line.peer, 0, 1000);
    expect_no_event(loop);
}

/* ---- Who does not go on --------------------------------------------------------------------- */

/* Sends of a large file what goes. */
static size_t begin_large(sluice_loop *loop, struct line line) {
    ptrdiff_t count = sluice_send_file(loop, line.id, pattern_file(16 * MIB), 0, 16 * MIB);
    assert_true(count > 0);
    size_t sent = (size_t)count;
    while (count > 0) {
        sluice_event event;
        if (!pull_now(loop, &event))
            break;
        assert_int_equal(event.kind, SLUICE_DRAINED);
        int file = pattern_file(16 * MIB);
        count = sluice_send_file(loop, line.id, file, (int64_t)sent, 16 * MIB - sent);
        drop(file);
        assert_true(count >= 0);
        sent += (size_t)count;
    }
    assert_true(sent < 16 * MIB);
    return sent;
}

static void close_sends_what_went(void) {
    sluice_loop *loop = make_loop();
    for (int shuts = 0; shuts < 2; shuts++) {
        struct line line = unix_line(loop);
        size_t sent = begin_large(loop, line);
        int code = shuts ? sluice_shutdown(loop, line.id) : sluice_close(loop, line.id);
        assert_int_equal(code, 0);
        assert_int_equal(sluice_send_file(loop, line.id, STDIN_FILENO, 0, 1), -EPIPE);
        expect_no_event(loop);
        take_whole_pattern(line.peer, 0, sent);
        expect_end(line.peer);
        drop(line.peer);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.error, 0);
        assert_int_equal(story.unsent, 0);
    }
}

static void one_drained_and_no_more(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    size_t sent = begin_large(loop, line);
    take_whole_pattern(line.peer, 0, sent);
    expect_event_of(loop, SLUICE_DRAINED, line.id);
    uint64_t turns = stats_of(loop).turns;
    expect_no_event(loop);
    assert_true(stats_of(loop).turns - turns < 10);
    check_alive(loop, line);
}

/* As over the high mark: an accepted stream is not read from, and no idle limit runs. */
static void throttled_meanwhile(void) {
    sluice_loop *loop = make_loop();
    make_up_time();
    sluice_stream_options options = stream_options(SLUICE_THROTTLED);
    options.idle_timeout_ns = 1000 * NS_PER_MS;
    struct line line = line_of(loop, unix_pair(), &options);
    size_t sent = begin_large(loop, line);
    put_text(line.peer, "another question");
    pass_time(5000 * NS_PER_MS);
    expect_no_event(loop);
    take_whole_pattern(line.peer, 0, sent);
    expect_event_of(loop, SLUICE_DRAINED, line.id);
    expect_text(loop, line.id, "another question");
}

static void postpones_the_idle_limit(void) {
    sluice_loop *loop = make_loop();
    make_up_time();
    sluice_stream_options options = stream_options(0);
    options.idle_timeout_ns = 1000 * NS_PER_MS;
    struct line line = line_of(loop, unix_pair(), &options);
    int file = pattern_file(1000);
    for (int i = 0; i < 5; i++) {
        pass_time(600 * NS_PER_MS);
        assert_int_equal(sluice_send_file(loop, line.id, file, 0, 1000), 1000);
        expect_no_event(loop);
    }
    expect_closed(loop, line.id, -ETIMEDOUT, 0);
}

/* A fast reader of a large file, beside a stream that has a little to say now and then. */
static void keeps_nobody_waiting(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.high_mark = 64 * KIB});
    struct line line = unix_line(loop);
    struct line other = unix_line(loop);
    int file = pattern_file(64 * KIB);
    for (int round = 0; round < 100; round++) {
        put_text(other.peer, "hello");
        bool heard = false;
        for (int events = 0; !heard; events++) {
            assert_true(events < 3);
            /* More than may go in a call: there is always a rest. */
            assert_true(sluice_send_file(loop, line.id, file, 0, 128 * KIB) >= 0);
            while (take_pattern(line.peer, 0, 64 * KIB) > 0) {
            }
            sluice_event event = next_event(loop);
            heard = event.id == other.id;
        }
    }
}

/* ---- Failures ------------------------------------------------------------------------------- */

/* A fault of the file is none of the stream's. */
static void faults_of_the_file(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    int file = pattern_file(1000);
    int write_only = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));
    int folder = keep(open("/", O_RDONLY | O_CLOEXEC));
    assert_int_equal(sluice_send_file(loop, line.id, closed_number(), 0, 1), SLUICE_EBADF);
    assert_int_equal(sluice_send_file(loop, line.id, -1, 0, 1), SLUICE_EBADF);
    assert_int_equal(sluice_send_file(loop, line.id, write_only, 0, 1), SLUICE_EBADF);
    assert_int_equal(sluice_send_file(loop, line.id, folder, 0, 1), -EINVAL);
    assert_int_equal(sluice_send_file(loop, line.id, pipe_pair().near, 0, 1), -ESPIPE);
    assert_int_equal(sluice_send_file(loop, line.id, line.peer, 0, 1), -ESPIPE);
    assert_int_equal(sluice_send_file(loop, line.id, file, -1, 1), -EINVAL);
    ptrdiff_t code = sluice_send_file(loop, line.id, file, INT64_MAX, 1);
    assert_true(code == -EINVAL || code == -EOVERFLOW);
    const int errors[] = {EIO, EINVAL, EOVERFLOW, ENOMEM};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        fail_send_file(errors[i], 0);
        assert_int_equal(sluice_send_file(loop, line.id, file, 0, 1000), -errors[i]);
        expect_no_event(loop);
        check_alive(loop, line);
    }
    assert_int_equal(sluice_send_file(loop, line.id, file, 0, 1000), 1000);
    take_whole_pattern(line.peer, 0, 1000);
}

/* What went before is told first, and the error when the caller goes on. */
static void a_fault_amid_the_file(void) {
    sluice_loop *loop = make_loop();
    struct line line = tcp_line(loop);
    int file = pattern_file(1000);
    shorten_send_files(300);
    fail_send_file(EIO, 2);
    ptrdiff_t count = sluice_send_file(loop, line.id, file, 0, 1000);
    shorten_send_files(0);
    assert_int_equal(count, 600);
    expect_event_of(loop, SLUICE_DRAINED, line.id);
    fail_send_file(EIO, 0);
    assert_int_equal(sluice_send_file(loop, line.id, file, 600, 400), -EIO);
    expect_no_event(loop);
    take_whole_pattern(line.peer, 0, 600);
    check_alive(loop, line);
}

static void a_broken_connection(void) {
    sluice_loop *loop = make_loop();
    int file = pattern_file(1000);
    signal(SIGPIPE, SIG_IGN); /* raised by the fault where there is no guard */
    const int errors[] = {EPIPE, ECONNRESET, ETIMEDOUT};
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        struct line line = unix_line(loop);
        put_text(line.peer, "last words");
        shorten_send_files(300);
        fail_send_file(errors[i], i == 0 ? 1 : 0);
        ptrdiff_t count = sluice_send_file(loop, line.id, file, 0, 1000);
        shorten_send_files(0);
        assert_int_equal(count, -errors[i]);
        assert_int_equal(sluice_send_file(loop, line.id, file, 0, 1000), -EPIPE);
        assert_int_equal(sluice_write(loop, line.id, "x", 1), -EPIPE);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_true(story_is(&story, "last words"));
        assert_int_equal(story.error, -errors[i]);
        assert_int_equal(story.unsent, 0);
        assert_int_equal(sluice_send_file(loop, line.id, file, 0, 1), SLUICE_ESTALE);
    }
}

static volatile sig_atomic_t caught;

static void catch_signal(int number) {
    caught = number;
}

static bool is_pending(int number) {
    sigset_t set;
    assert_int_equal(sigpending(&set), 0);
    return sigismember(&set, number);
}

static bool is_blocked(int number) {
    sigset_t set;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
    return sigismember(&set, number);
}

/* Sends to a peer that is gone, in each way, until the stream has failed. */
static void send_to_nobody(sluice_loop *loop) {
    int file = pattern_file(1000);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct line line = ways[i].make(loop);
        if (i == 0)
            reset_connection(line.peer);
        else
            drop(line.peer);
        ptrdiff_t count = sluice_send_file(loop, line.id, file, 0, 1000);
        if (count == -EINVAL && i == 2)
            sluice_abort(loop, line.id); /* an older kernel */
        else
            assert_true(count == -EPIPE || count == -ECONNRESET);
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
        assert_int_equal(story.error, count == -EINVAL ? -ECONNABORTED : count);
    }
}

/* SIGPIPE is raised neither with its default action, which ends the process, nor with a handler.
 * The mask is as before. */
static void no_sigpipe(void) {
    sluice_loop *loop = make_loop();
    signal(SIGPIPE, SIG_DFL);
    caught = 0;
    send_to_nobody(loop);
    const struct sigaction action = {.sa_handler = catch_signal};
    assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
    send_to_nobody(loop);
    assert_int_equal(caught, 0);
    assert_false(is_blocked(SIGPIPE) || is_pending(SIGPIPE));
    /* The kernel's error comes behind bytes that went, with its signal. */
    struct line line = tcp_line(loop);
    shorten_send_files(10);
    fail_send_file(EPIPE, 3);
    ptrdiff_t count = sluice_send_file(loop, line.id, pattern_file(1000), 0, 1000);
    shorten_send_files(0);
    assert_int_equal(count, -EPIPE);
    assert_int_equal(caught, 0);
    expect_closed(loop, line.id, -EPIPE, 0);
    signal(SIGPIPE, SIG_DFL);
}

/* A SIGPIPE of the program's own, which waits to be unblocked, is left alone. */
static void a_sigpipe_of_the_programs_own(void) {
    sluice_loop *loop = make_loop();
    const struct sigaction action = {.sa_handler = catch_signal};
    assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &before), 0);
    send_to_nobody(loop);
    assert_true(is_blocked(SIGPIPE));
    assert_false(is_pending(SIGPIPE));
    caught = 0;
    raise(SIGPIPE);
    send_to_nobody(loop);
    assert_true(is_pending(SIGPIPE));
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(caught, SIGPIPE);
    signal(SIGPIPE, SIG_DFL);
}

int main(void) {
    static const struct test tests[] = {
        {"in order, behind what was written", behind_what_was_written, NULL},
        {"a large file to a slow reader: TCP", large_file_to_a_slow_reader, &ways[0]},
        {"a large file to a slow reader: unix", large_file_to_a_slow_reader, &ways[1]},
        {"a large file to a slow reader: a pipe", large_file_to_a_slow_reader, &ways[2]},
        {"not before all that is queued has gone", not_before_the_queue, NULL},
        {"while connecting: DRAINED comes after CONNECTED", while_connecting, NULL},
        {"a file shorter than asked, and its end: -ENODATA", shorter_than_asked, NULL},
        {"short counts and EINTR do not show", short_counts_and_interruptions, NULL},
        {"a close sends what went", close_sends_what_went, NULL},
        {"who does not go on hears one DRAINED", one_drained_and_no_more, NULL},
        {"while a file waits, an accepted stream is not read from", throttled_meanwhile, NULL},
        {"it postpones the idle limit", postpones_the_idle_limit, NULL},
        {"a large file keeps nobody waiting", keeps_nobody_waiting, NULL},
        {"a fault of the file leaves the stream as it was", faults_of_the_file, NULL},
        {"a fault amid the file: what went, then the error", a_fault_amid_the_file, NULL},
        {"a broken connection: the code, and CLOSED says it", a_broken_connection, NULL},
        {"SIGPIPE is never raised", no_sigpipe, NULL},
        {"a SIGPIPE of the program's own is left alone", a_sigpipe_of_the_programs_own, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_descriptors.c - descriptors that may be adopted and are not stream sockets: packets,
 * files, terminals, devices. Every byte arrives, and then the end. What cannot be adopted is
 * refused, and left as it was.
 */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static unsigned char bytes[700 * 1024];

static sluice_id adopt_with(sluice_loop *loop, int fd, uint32_t flags) {
    sluice_stream_options options = stream_options(flags);
    sluice_id id;
    assert_int_equal(sluice_adopt(loop, &id, fd, &options), 0);
    release(fd);
    return id;
}

static sluice_id adopt(sluice_loop *loop, int fd) {
    return adopt_with(loop, fd, 0);
}

static void put_piece(int fd, size_t place, size_t length) {
    make_pattern(bytes, place, length);
    assert_int_equal(write(fd, bytes, length), length);
}

/* ---- Input ----------------------------------------------------------------------------------- */

/* A descriptor to adopt that has `length` bytes of the pattern for whoever reads it. */
struct source {
    int fd;
    int peer; /* -1 where there is none */
    size_t length;
    bool ends; /* when the peer is closed, or by itself */
};

static struct source packets(struct pair pair, bool ends) {
    static const size_t lengths[] = {3, 2, 1, 1000, 1, 4000, 10};
    struct source source = {.fd = pair.near, .peer = pair.far, .ends = ends};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        put_piece(pair.far, source.length, lengths[i]);
        source.length += lengths[i];
    }
    return source;
}

static struct source sequenced_packets(void) {
    return packets(unix_pair_of(SOCK_SEQPACKET), true);
}

static struct source datagrams(void) {
    return packets(unix_pair_of(SOCK_DGRAM), false);
}

static struct source udp_datagrams(void) {
    return packets(udp_pair(), false);
}

static struct source packet_pipe(void) {
    int fds[2];
    assert_int_equal(pipe2(fds, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
    return packets((struct pair){.near = keep(fds[0]), .far = keep(fds[1])}, true);
}

static struct source plain_pipe(void) {
    return packets(pipe_pair(), true);
}

static struct source unix_socket(void) {
    return packets(unix_pair(), true);
}

static struct source file_of(size_t length) {
    int fd = regular_file();
    if (length > 0)
        put_piece(fd, 0, length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return (struct source){.fd = fd, .peer = -1, .length = length, .ends = true};
}

static struct source empty_file(void) {
    return file_of(0);
}

static struct source small_file(void) {
    return file_of(10);
}

static struct source large_file(void) {
    return file_of((off_t)600 * 1024);
}

static struct source dev_null(void) {
    return (struct source){
        .fd = keep(open("/dev/null", O_RDONLY | O_CLOEXEC)), .peer = -1, .ends = true};
}

static struct source raw_terminal(void) {
    struct pair pty = pty_pair();
    return packets((struct pair){.near = pty.far, .far = pty.near}, false);
}

/* What a program wrote before it ended: the master's end is EIO. */
static struct source terminal_master(void) {
    struct pair pty = pty_pair();
    struct source source = {.fd = pty.near, .peer = pty.far, .length = 2000, .ends = true};
    put_piece(pty.far, 0, source.length);
    return source;
}

static const struct kind {
    const char *name;
    struct source (*make)(void);
} kinds[] = {
    {"a unix socket", unix_socket},
    {"sequenced packets", sequenced_packets},
    {"unix datagrams", datagrams},
    {"UDP datagrams", udp_datagrams},
    {"a pipe", plain_pipe},
    {"a pipe of packets", packet_pipe},
    {"an empty file", empty_file},
    {"a file of 10 bytes", small_file},
    {"a file of 600 KiB", large_file},
    {"/dev/null", dev_null},
    {"a terminal", raw_terminal},
    {"a terminal's master", terminal_master},
};

/* All of it, by whatever has to do with how it is read. */
static void hear_source(const struct kind *kind, sluice_loop *loop, int capacity,
                        bool waits_first) {
    struct source source = kind->make();
    sluice_id id = adopt(loop, source.fd);
    struct story story = new_story();
    if (waits_first)
        assert_int_equal(sluice_pause(loop, id), 0);
    if (source.ends && source.peer >= 0 && waits_first)
        drop(source.peer);
    if (waits_first) {
        hear_now(loop, id, &story, capacity);
        assert_int_equal(story.data + story.eof + story.closed, 0);
        assert_int_equal(sluice_resume(loop, id), 0);
    }
    const int64_t end = monotonic_ns() + PATIENCE_NS;
    while (story.length < source.length && monotonic_ns() < end)
        hear_now(loop, id, &story, capacity);
    if (story.length != source.length || !story.is_pattern)
        fail_msg("%s: %zu of %zu bytes", kind->name, story.length, source.length);
    if (!source.ends) {
        hear_now(loop, id, &story, capacity);
        assert_int_equal(story.eof + story.closed, 0);
        assert_int_equal(sluice_abort(loop, id), 0);
    } else if (source.peer >= 0 && !waits_first) {
        assert_int_equal(story.eof + story.closed, 0);
        drop(source.peer);
    }
    hear_out(loop, id, &story, capacity);
    if (source.ends && (story.eof != 1 || story.error != 0))
        fail_msg("%s: %u EOF, and CLOSED says %d", kind->name, story.eof, story.error);
}

static void every_byte_arrives_then_the_end(void) {
    sluice_loop *loop = make_loop();
    sluice_loop *narrow = make_loop_with((sluice_options){.receive_size = 4096});
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        for (int how = 0; how < 8; how++)
            hear_source(&kinds[i], how & 1 ? narrow : loop, how & 2 ? 16 : 1, how & 4);
}

/* With its turn among others: a file that always has more keeps nobody waiting. */
static void a_file_keeps_nobody_waiting(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    sluice_id file = adopt(loop, large_file().fd);
    struct line line = unix_line(loop);
    put_text(line.peer, "me too");
    for (int pulls = 0; pulls < 4; pulls++) {
        sluice_event event = expect_event(loop, SLUICE_DATA);
        if (event.id == line.id)
            return;
        assert_int_equal(event.id, file);
    }
    fail_msg("the stream's data did not come");
}

static void from_where_the_file_stands(void) {
    sluice_loop *loop = make_loop();
    int fd = file_of(1000).fd;
    assert_int_equal(lseek(fd, 400, SEEK_SET), 400);
    sluice_id id = adopt(loop, fd);
    sluice_event event = expect_event_of(loop, SLUICE_DATA, id);
    assert_int_equal(event.length, 600);
    check_pattern(event.data, 400, 600);
    expect_event_of(loop, SLUICE_EOF, id);
    expect_closed(loop, id, 0, 0);
}

/* Its length is said to be 0, and each read makes it anew. */
static void a_file_of_proc(void) {
    sluice_loop *loop = make_loop();
    static const char *const paths[] = {"/proc/self/status", "/proc/self/maps", "/proc/cpuinfo"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        sluice_id id = adopt(loop, keep(open(paths[i], O_RDONLY | O_CLOEXEC)));
        struct story story = new_story();
        hear_out(loop, id, &story, 1);
        assert_true(story.length > 100);
        assert_int_equal(story.eof, 1);
        assert_int_equal(story.error, 0);
    }
}

/* Held whole, whatever comes of a read. */
static void held_until_the_end(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096});
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct source source = kinds[i].make();
        if (source.length < 2) {
            drop(source.fd);
            continue;
        }
        sluice_id id = adopt(loop, source.fd);
        sluice_event event;
        do {
            event = expect_event_of(loop, SLUICE_DATA, id);
            check_pattern(event.data, 0, event.length);
            assert_int_equal(sluice_hold(loop, id, event.length), 0);
        } while (event.length < source.length);
        assert_int_equal(event.length, source.length);
        assert_int_equal(sluice_abort(loop, id), 0);
        expect_closed(loop, id, -ECONNABORTED, 0);
        if (source.peer >= 0)
            drop(source.peer);
    }
}

static void forwarded_to_a_socket(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.receive_size = 4096, .high_mark = 5000});
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct source source = kinds[i].make();
        struct line to = unix_line(loop);
        sluice_id id = adopt(loop, source.fd);
        assert_int_equal(sluice_forward(loop, id, to.id), 0);
        static unsigned char got[65536];
        const int64_t end = monotonic_ns() + PATIENCE_NS;
        sluice_event event;
        bool closed = false;
        for (size_t at = 0; at < source.length;) {
            if (monotonic_ns() > end)
                fail_msg("%s: %zu of %zu bytes", kinds[i].name, at, source.length);
            while (pull_now(loop, &event))
                closed |= event.kind == SLUICE_CLOSED;
            size_t count = take_some(to.peer, got, sizeof got);
            check_pattern(got, at, count);
            at += count;
        }
        if (source.peer >= 0)
            drop(source.peer);
        if (source.ends) {
            while (!closed)
                closed = next_event(loop).kind == SLUICE_CLOSED;
            expect_end(to.peer);
        } else {
            assert_int_equal(sluice_abort(loop, id), 0);
        }
        (void)sluice_abort(loop, to.id);
        while (pull_now(loop, &event)) {
        }
        drop(to.peer);
    }
}

/* A counter that gives 8 bytes a read, and has no end. */
static void a_semaphore(void) {
    sluice_loop *loop = make_loop();
    int fd = keep(eventfd(5, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC));
    int second = duplicate(fd, 0);
    sluice_id id = adopt(loop, fd);
    struct story story = new_story();
    const int64_t end = monotonic_ns() + PATIENCE_NS;
    while (story.length < (size_t)5 * 8 && monotonic_ns() < end)
        hear_now(loop, id, &story, 1);
    assert_int_equal(story.length, 5 * 8);
    uint64_t more = 2;
    assert_int_equal(write(second, &more, sizeof more), sizeof more);
    while (story.length < (size_t)7 * 8 && monotonic_ns() < end)
        hear_now(loop, id, &story, 1);
    assert_int_equal(story.length, 7 * 8);
    assert_int_equal(story.eof + story.closed, 0);
}

/* To send nothing is no end where packets have none. */
static void an_empty_datagram_is_no_end(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 2; how++) {
        struct pair pair = how ? udp_pair() : unix_pair_of(SOCK_DGRAM);
        struct line line = line_of(loop, pair, NULL);
        assert_int_equal(send(line.peer, "", 0, 0), 0);
        assert_int_equal(send(line.peer, "after", 5, 0), 5);
        expect_text(loop, line.id, "after");
        expect_no_event(loop);
        assert_int_equal(sluice_abort(loop, line.id), 0);
        expect_closed(loop, line.id, -ECONNABORTED, 0);
    }
}

/* ---- Terminals ------------------------------------------------------------------------------- */

static void put_lines(int fd) {
    for (int i = 0; i < 200; i++)
        dprintf(fd, "line %d of the program\n", i);
}

/* A terminal's master, when the program at it has ended: an orderly end, whatever the kernel calls
 * it. */
static void a_program_at_a_terminal_ends(void) {
    sluice_loop *loop = make_loop();
    int master = -1;
    pid_t child = forkpty(&master, NULL, NULL, NULL);
    if (child == 0) {
        put_lines(STDOUT_FILENO);
        _exit(0);
    }
    assert_true(child > 0);
    size_t length = 0;
    for (int i = 0; i < 200; i++)
        length += (size_t)snprintf(NULL, 0, "line %d of the program\r\n", i);
    sluice_id id = adopt(loop, keep(master));
    struct story story = new_story();
    hear_out(loop, id, &story, 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(story.length, length);
    assert_int_equal(story.eof, 1);
    assert_int_equal(story.error, 0);
}

/* VMIN 0: a read that brings nothing says only that nothing has been typed. */
static void a_terminal_that_gives_nothing_has_not_ended(void) {
    sluice_loop *loop = make_loop();
    struct pair pty = pty_pair();
    struct termios raw;
    assert_int_equal(tcgetattr(pty.far, &raw), 0);
    raw.c_cc[VMIN] = raw.c_cc[VTIME] = 0;
    assert_int_equal(tcsetattr(pty.far, TCSANOW, &raw), 0);
    sluice_id id = adopt(loop, pty.far);
    expect_no_event(loop);
    for (int i = 0; i < 3; i++) {
        put_text(pty.near, "a");
        expect_text(loop, id, "a");
        expect_no_event(loop);
    }
    uint64_t before = stats_of(loop).turns;
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 20 * NS_PER_MS), 0);
    assert_true(stats_of(loop).turns - before <= 5);
    drop(pty.near); /* but a hang-up is one */
    struct story story = new_story();
    hear_out(loop, id, &story, 1);
    assert_int_equal(story.length, 0);
    assert_int_equal(story.error, 0);
}

/* A terminal gives a line at a time, and the end-of-file character is the end. */
static void a_terminal_s_end_of_file(void) {
    sluice_loop *loop = make_loop();
    struct pair pty = pty_pair();
    struct termios cooked;
    assert_int_equal(tcgetattr(pty.far, &cooked), 0);
    cooked.c_lflag |= ICANON;
    cooked.c_cc[VEOF] = 4;
    assert_int_equal(tcsetattr(pty.far, TCSANOW, &cooked), 0);
    sluice_id id = adopt(loop, pty.far);
    put_text(pty.near, "one\ntwo\n\004");
    struct story story = new_story();
    hear_out(loop, id, &story, 1);
    assert_true(story_is(&story, "one\ntwo\n"));
    assert_int_equal(story.eof, 1);
    assert_int_equal(story.error, 0);
}

/* ---- Output ---------------------------------------------------------------------------------- */

static void write_lines(sluice_loop *loop, sluice_id id) {
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sluice_write(loop, id, "a line\n", 7), 0);
        if (i == 1)
            assert_int_equal(sluice_flush(loop, id), 0);
        expect_no_event(loop);
    }
    assert_int_equal(sluice_pending(loop, id), 0);
}

static void output_to_dev_null(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 2; how++) {
        sluice_id id = adopt(loop, keep(open("/dev/null", (how ? O_RDWR : O_WRONLY) | O_CLOEXEC)));
        if (how)
            assert_int_equal(sluice_pause(loop, id), 0); /* its input is at its end */
        write_lines(loop, id);
        write_all(loop, id, bytes, sizeof bytes);
        assert_int_equal(sluice_close(loop, id), 0);
        expect_closed(loop, id, 0, 0);
    }
}

static void output_to_a_file(void) {
    sluice_loop *loop = make_loop();
    char path[] = "/tmp/sluice-test-XXXXXX";
    int in = keep(mkstemp(path));
    const int modes[] = {O_WRONLY, O_WRONLY | O_APPEND};
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        assert_int_equal(ftruncate(in, 0), 0);
        sluice_id id = adopt(loop, keep(open(path, modes[i] | O_CLOEXEC)));
        write_lines(loop, id);
        make_pattern(bytes, 0, sizeof bytes);
        write_all(loop, id, bytes, sizeof bytes);
        assert_int_equal(sluice_close(loop, id), 0);
        expect_closed(loop, id, 0, 0);
        static unsigned char got[sizeof bytes + 21];
        assert_int_equal(pread(in, got, sizeof got, 0), sizeof got);
        assert_memory_equal(got, "a line\na line\na line\n", 21);
        check_pattern(got + 21, 0, sizeof bytes);
    }
    assert_int_equal(unlink(path), 0);
}

/* Someone types, which nobody reads there. */
static void output_to_a_terminal(void) {
    sluice_loop *loop = make_loop();
    struct pair pty = pty_pair();
    char *name = ptsname(pty.near);
    assert_non_null(name);
    sluice_id id = adopt(loop, keep(open(name, O_WRONLY | O_NOCTTY | O_CLOEXEC)));
    write_lines(loop, id);
    take_text(pty.near, "a line\na line\na line\n");
    put_text(pty.near, "typed\n");
    expect_no_event(loop);
    write_lines(loop, id);
    take_text(pty.near, "a line\na line\na line\n");
    uint64_t before = stats_of(loop).turns;
    sluice_event event;
    assert_int_equal(sluice_next(loop, &event, 20 * NS_PER_MS), 0);
    assert_true(stats_of(loop).turns - before <= 5);
    assert_int_equal(sluice_close(loop, id), 0);
    expect_closed(loop, id, 0, 0);
}

/* Each write may become a packet, or several, and all bytes arrive. */
static void output_in_packets(void) {
    sluice_loop *loop = make_loop();
    struct pair pairs[] = {unix_pair_of(SOCK_SEQPACKET), unix_pair_of(SOCK_DGRAM), udp_pair()};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct line line = line_of(loop, pairs[i], NULL);
        make_pattern(bytes, 0, 3000);
        for (size_t at = 0; at < 3000; at += 1000)
            assert_int_equal(sluice_write(loop, line.id, bytes + at, 1000), 0);
        expect_no_event(loop);
        static unsigned char got[3000];
        size_t at = 0;
        while (at < sizeof got) {
            await(line.peer, POLLIN);
            at += take_some(line.peer, got + at, sizeof got - at);
        }
        check_pattern(got, 0, sizeof got);
        assert_int_equal(sluice_abort(loop, line.id), 0);
        expect_closed(loop, line.id, -ECONNABORTED, 0);
    }
}

/* What can only be read from takes no bytes, and has nothing left to do after its end. */
static void read_only_descriptors(void) {
    sluice_loop *loop = make_loop();
    for (int how = 0; how < 6; how++) {
        struct source source = how < 2 ? plain_pipe() : how < 4 ? small_file() : dev_null();
        int fd = source.fd;
        if (how >= 2 && how < 4) { /* the same file, for reading alone */
            char path[32];
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            int second = keep(open(path, O_RDONLY | O_CLOEXEC));
            drop(fd);
            fd = second;
        }
        sluice_id id = adopt_with(loop, fd, how % 2 ? SLUICE_HALF_OPEN : 0);
        const sluice_slice slice = {"xy", 2};
        assert_int_equal(sluice_write(loop, id, "x", 1), -EPIPE);
        assert_int_equal(sluice_write(loop, id, bytes, sizeof bytes), -EPIPE);
        assert_int_equal(sluice_writev(loop, id, &slice, 1), -EPIPE);
        assert_int_equal(sluice_pending(loop, id), 0);
        if (source.peer >= 0)
            drop(source.peer);
        struct story story = new_story();
        hear_out(loop, id, &story, 1);
        assert_int_equal(story.length, source.length);
        assert_int_equal(story.eof, 1);
        assert_int_equal(story.error, 0);
        assert_int_equal(story.unsent, 0);
    }
}

/* The answer to what a read-only descriptor gave is refused too, though its bytes are lent. */
static void an_echo_to_a_read_only_descriptor(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id id = adopt(loop, pipe.near);
    put_text(pipe.far, "ping");
    sluice_event event = expect_event_of(loop, SLUICE_DATA, id);
    assert_int_equal(sluice_write(loop, id, event.data, event.length), -EPIPE);
    put_text(pipe.far, "pong");
    expect_text(loop, id, "pong");
    drop(pipe.far);
    expect_event_of(loop, SLUICE_EOF, id);
    expect_closed(loop, id, 0, 0);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

/* Refused, and open with the flags that it had. */
static void expect_refused(sluice_loop *loop, int fd, int expected) {
    for (int blocks = 0; blocks < 2; blocks++) {
        int flags = fcntl(fd, F_GETFL);
        if (!(flags & O_PATH)) {
            flags = blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
            assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
            flags = fcntl(fd, F_GETFL);
        }
        int descriptor_flags = fcntl(fd, F_GETFD);
        sluice_id id;
        assert_int_equal(sluice_adopt(loop, &id, fd, NULL), expected);
        assert_int_equal(fcntl(fd, F_GETFL), flags);
        assert_int_equal(fcntl(fd, F_GETFD), descriptor_flags);
    }
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 0);
}

static void refused_and_left_as_it_was(void) {
    sluice_loop *loop = make_loop();
    expect_refused(loop, tcp_listener(4), SLUICE_ELISTENS);
    char address[64];
    snprintf(address, sizeof address, "unix:@sluice-descriptors-%d", (int)getpid());
    expect_refused(loop, keep(sluice_socket_listen(address, 4)), SLUICE_ELISTENS);
    expect_refused(loop, tcp_bound(), -ENOTCONN);
    const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        expect_refused(loop, keep(socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0)), -ENOTCONN);
    expect_refused(loop, keep(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), -ENOTCONN);
    expect_refused(loop, keep(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), -ENOTCONN);
    expect_refused(loop, keep(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), -EISDIR);
    expect_refused(loop, keep(open("/tmp", O_PATH | O_CLOEXEC)), SLUICE_EBADF);
    expect_refused(loop, keep(open("/dev/null", O_PATH | O_CLOEXEC)), SLUICE_EBADF);
    expect_no_event(loop);
}

static void watched_or_attached_numbers_are_refused(void) {
    sluice_loop *loop = make_loop();
    struct pair pipe = pipe_pair();
    sluice_id watch;
    assert_int_equal(sluice_watch(loop, &watch, pipe.near, SLUICE_READ, 0), 0);
    expect_refused(loop, pipe.near, SLUICE_EEXIST);
    put_byte(pipe.far);
    expect_event_of(loop, SLUICE_READY, watch);
    take_byte(pipe.near);
    struct line line = unix_line(loop);
    int fd = sluice_fd(loop, line.id);
    sluice_id id;
    for (int i = 0; i < 2; i++)
        assert_int_equal(sluice_adopt(loop, &id, fd, NULL), SLUICE_EEXIST);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    put_text(line.peer, "still here");
    expect_text(loop, line.id, "still here");
}

/* An option that is refused changes nothing either. */
static void refused_for_its_options(void) {
    sluice_loop *loop = make_loop();
    struct pair pair = unix_pair();
    assert_int_equal(fcntl(pair.near, F_SETFL, 0), 0);
    sluice_stream_options options = stream_options(1u << 20);
    sluice_id id;
    assert_int_equal(sluice_adopt(loop, &id, pair.near, &options), SLUICE_EOPTION);
    assert_int_equal(fcntl(pair.near, F_GETFL) & O_NONBLOCK, 0);
}

/* ---- O_NONBLOCK ------------------------------------------------------------------------------ */

enum release { BY_EOF, BY_CLOSE, BY_ABORT, BY_DESTROY, RELEASES };

/* The flags of `file`, a duplicate, when its stream has ended: as they were when it began. */
static void released(enum release release, bool blocks) {
    sluice_loop *loop = make_loop();
    struct pair pair = pipe_pair();
    int file = duplicate(pair.near, 0);
    assert_int_equal(fcntl(file, F_SETFL, blocks ? 0 : O_NONBLOCK), 0);
    struct line line = line_of(loop, pair, NULL);
    expect_no_event(loop);
    assert_true((fcntl(file, F_GETFL) & O_NONBLOCK) != 0);
    if (release == BY_EOF)
        drop(line.peer);
    else if (release == BY_CLOSE)
        assert_int_equal(sluice_close(loop, line.id), 0);
    else if (release == BY_ABORT)
        assert_int_equal(sluice_abort(loop, line.id), 0);
    if (release != BY_DESTROY) {
        struct story story = new_story();
        hear_out(loop, line.id, &story, 1);
    }
    end_loop(loop);
    assert_int_equal((fcntl(file, F_GETFL) & O_NONBLOCK) == 0, blocks);
    drop(file);
}

static void o_nonblock_is_as_it_was(void) {
    for (int release = 0; release < RELEASES; release++) {
        released((enum release)release, true);
        released((enum release)release, false);
    }
}

/* Somebody who shares it has shut its receiving side: poll says for ever that it can be read. */
static void packets_that_are_received_no_more(void) {
    struct pair pairs[] = {unix_pair_of(SOCK_SEQPACKET), unix_pair_of(SOCK_DGRAM), udp_pair()};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        sluice_loop *loop = make_loop();
        int other = duplicate(pairs[i].near, 0);
        struct line line = line_of(loop, pairs[i], NULL);
        assert_int_equal(shutdown(other, SHUT_RD), 0);
        uint64_t turns = stats_of(loop).turns;
        int64_t end = monotonic_ns() + 50 * NS_PER_MS;
        struct story story = new_story();
        for (int64_t left = 1; left > 0 && story.closed == 0; left = end - monotonic_ns()) {
            sluice_event event;
            if (sluice_next(loop, &event, left) == 1)
                add_to_story(&story, &event);
        }
        assert_int_equal(story.data, 0);
        if (stats_of(loop).turns - turns > 20)
            fail_msg("pair %zu: %u turns", i, (unsigned)(stats_of(loop).turns - turns));
        if (story.closed == 0) {
            assert_int_equal(sluice_abort(loop, line.id), 0);
            expect_closed(loop, line.id, -ECONNABORTED, 0);
        }
        end_loop(loop);
    }
}

int main(void) {
    static const struct test tests[] = {
        {"every byte of any descriptor arrives, then the end", every_byte_arrives_then_the_end,
         NULL},
        {"a file keeps nobody waiting", a_file_keeps_nobody_waiting, NULL},
        {"a file from where it stands", from_where_the_file_stands, NULL},
        {"a file of /proc", a_file_of_proc, NULL},
        {"held until the end, whatever a read brings", held_until_the_end, NULL},
        {"any descriptor forwarded to a socket", forwarded_to_a_socket, NULL},
        {"an eventfd that gives one at a time", a_semaphore, NULL},
        {"an empty datagram is no end", an_empty_datagram_is_no_end, NULL},
        {"a program at a terminal ends: EOF", a_program_at_a_terminal_ends, NULL},
        {"VMIN 0: a terminal that gives nothing has not ended",
         a_terminal_that_gives_nothing_has_not_ended, NULL},
        {"a terminal's end of file", a_terminal_s_end_of_file, NULL},
        {"output to /dev/null", output_to_dev_null, NULL},
        {"output to a file, also behind its end", output_to_a_file, NULL},
        {"output to a terminal at which someone types", output_to_a_terminal, NULL},
        {"output in packets", output_in_packets, NULL},
        {"read-only: writes are refused, and EOF is the end", read_only_descriptors, NULL},
        {"read-only: an echo is refused", an_echo_to_a_read_only_descriptor, NULL},
        {"refused, and left as it was", refused_and_left_as_it_was, NULL},
        {"a watched or attached number is refused", watched_or_attached_numbers_are_refused, NULL},
        {"refused for its options, and left as it was", refused_for_its_options, NULL},
        {"O_NONBLOCK of a pipe is as it was when a stream has ended", o_nonblock_is_as_it_was,
         NULL},
        {"packets that are received no more: no spinning", packets_that_are_received_no_more, NULL},
    };
    signal(SIGPIPE, SIG_IGN);
    return run_over_backends(tests, COUNT_OF(tests));
}

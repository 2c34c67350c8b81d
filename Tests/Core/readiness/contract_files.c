/* contract_files.c - the contract's rows on what is not a socket. */
#include "contract.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void pipe_data(struct stage *stage) {
    struct pair pair = pipe_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
}

static void pipe_full(struct stage *stage) {
    struct pair pair = pipe_pair();
    fill(pair.far);
    watch(stage, pair.far);
}

static void pipe_writer_gone(struct stage *stage) {
    struct pair pair = pipe_pair();
    drop(pair.far);
    watch(stage, pair.near);
}

static void pipe_writer_gone_with_data(struct stage *stage) {
    struct pair pair = pipe_pair();
    put_byte(pair.far);
    drop(pair.far);
    watch(stage, pair.near);
}

static void pipe_reader_gone(struct stage *stage) {
    struct pair pair = pipe_pair();
    drop(pair.near);
    watch(stage, pair.far);
}

static void full_pipe_reader_gone(struct stage *stage) {
    struct pair pair = pipe_pair();
    fill(pair.far);
    drop(pair.near);
    watch(stage, pair.far);
}

static void pty_data(struct stage *stage) {
    struct pair pair = pty_pair();
    put_byte(pair.far);
    await(pair.near, POLLIN);
    watch(stage, pair.near);
}

static void pty_slave_closed(struct stage *stage) {
    struct pair pair = pty_pair();
    drop(pair.far);
    await(pair.near, POLLHUP);
    watch(stage, pair.near);
}

static void pty_master_closed(struct stage *stage) {
    struct pair pair = pty_pair();
    drop(pair.near);
    await(pair.far, POLLHUP);
    watch(stage, pair.far);
}

static void regular(struct stage *stage) {
    watch(stage, regular_file());
}

static void regular_and_paused(struct stage *stage) {
    int fd = regular_file();
    watch(stage, fd);
    sluice_poller_modify(stage->poller, fd, SLUICE_NONE, UNNAMED);
    note_events(stage);
    sluice_poller_modify(stage->poller, fd, SLUICE_WRITE, UNNAMED);
    note_events(stage);
}

static void device_null(struct stage *stage) {
    watch(stage, keep(open("/dev/null", O_RDWR | O_CLOEXEC)));
}

static void directory(struct stage *stage) {
    watch(stage, keep(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

static int event_counter(uint64_t count) {
    int fd = keep(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (count > 0)
        assert_int_equal(write(fd, &count, sizeof count), sizeof count);
    return fd;
}

static void eventfd_at_zero(struct stage *stage) {
    watch(stage, event_counter(0));
}

static void eventfd_raised(struct stage *stage) {
    watch(stage, event_counter(1));
}

static void eventfd_full(struct stage *stage) {
    watch(stage, event_counter(UINT64_MAX - 1));
}

static int timer_in(time_t seconds, long ns) {
    int fd = keep(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    const struct itimerspec when = {.it_value = {.tv_sec = seconds, .tv_nsec = ns}};
    assert_int_equal(timerfd_settime(fd, 0, &when, NULL), 0);
    return fd;
}

static void timerfd_running(struct stage *stage) {
    watch(stage, timer_in(3600, 0));
}

static void timerfd_expired(struct stage *stage) {
    int fd = timer_in(0, 1);
    await(fd, POLLIN);
    watch(stage, fd);
}

static const struct contract_row rows[] = {
    {"pipe with data", SLUICE_READ, pipe_data, .expected = "READ"},
    {"pipe that is full", SLUICE_WRITE, pipe_full, .expected = "nothing"},
    {"pipe, writer gone", SLUICE_READ, pipe_writer_gone, .expected = "READ HANGUP"},
    {"pipe, writer gone, data left", SLUICE_READ, pipe_writer_gone_with_data,
     .expected = "READ HANGUP"},
    {"pipe, writer gone, only PRIORITY asked", SLUICE_PRIORITY, pipe_writer_gone,
     .expected = "HANGUP", NO_PRIORITY},
    {"pipe to read from, writer gone, WRITE asked", SLUICE_WRITE, pipe_writer_gone,
     .expected = "HANGUP", .on_libevent_poll = "WRITE", .on_libevent_epoll = "WRITE",
     .why_libevent = "libevent takes a hang-up for room, too"},
    {"pipe, reader gone", SLUICE_WRITE, pipe_reader_gone, .expected = "WRITE ERROR"},
    {"pipe, reader gone, full", SLUICE_WRITE, full_pipe_reader_gone, .expected = "WRITE ERROR"},
    {"pipe, writer gone, only HANGUP asked", SLUICE_HANGUP, pipe_writer_gone, .expected = "HANGUP",
     NO_HANGUP},
    {"pipe, reader gone, only HANGUP asked", SLUICE_HANGUP, pipe_reader_gone, .expected = "ERROR",
     NO_HANGUP},
    {"pty, data from the slave", SLUICE_READ, pty_data, .expected = "READ"},
    {"pty master, slave closed", SLUICE_READ, pty_slave_closed, .expected = "READ HANGUP"},
    {"pty slave, master closed", SLUICE_READ | SLUICE_WRITE, pty_master_closed,
     .expected = "READ WRITE ERROR HANGUP"},
    {"regular file", SLUICE_READ | SLUICE_WRITE, regular, .expected = "READ WRITE"},
    {"regular file, PRIORITY asked", SLUICE_PRIORITY, regular, .expected = "nothing", NO_PRIORITY},
    {"regular file, paused, then asked for WRITE", SLUICE_READ, regular_and_paused,
     .expected = "READ, then nothing, then WRITE"},
    {"regular file, only HANGUP asked", SLUICE_HANGUP, regular, .expected = "nothing", NO_HANGUP},
    {"/dev/null", SLUICE_READ | SLUICE_WRITE, device_null, .expected = "READ WRITE"},
    {"directory", SLUICE_READ, directory, .expected = "READ"},
    {"eventfd at 0", SLUICE_READ | SLUICE_WRITE, eventfd_at_zero, .expected = "WRITE"},
    {"eventfd above 0", SLUICE_READ | SLUICE_WRITE, eventfd_raised, .expected = "READ WRITE"},
    {"eventfd at its highest", SLUICE_READ | SLUICE_WRITE, eventfd_full, .expected = "READ"},
    {"timerfd running", SLUICE_READ, timerfd_running, .expected = "nothing"},
    {"timerfd expired", SLUICE_READ, timerfd_expired, .expected = "READ"},
};

const struct contract_section contract_files = {"Pipes, terminals, files and others", rows,
                                                COUNT_OF(rows)};

/* contract_sockets.c - the contract's rows on sockets. */
#include "contract.h"

#include <poll.h>
#include <sys/socket.h>

static void data_there(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.far);
    watch(stage, pair.near);
}

static void nothing_there(struct stage *stage) {
    watch(stage, unix_pair().near);
}

static void send_queue_full(struct stage *stage) {
    struct pair pair = unix_pair();
    fill(pair.near);
    watch(stage, pair.near);
}

static void room_again(struct stage *stage) {
    struct pair pair = unix_pair();
    fill(pair.near);
    watch(stage, pair.near);
    char bytes[65536];
    while (recv(pair.far, bytes, sizeof bytes, 0) > 0) {
    }
    note_events(stage);
}

static void peer_finished(struct stage *stage) {
    struct pair pair = tcp_pair();
    shutdown(pair.far, SHUT_WR);
    await(pair.near, POLLRDHUP);
    watch(stage, pair.near);
}

static void peer_finished_with_data(struct stage *stage) {
    struct pair pair = tcp_pair();
    put_byte(pair.far);
    shutdown(pair.far, SHUT_WR);
    await(pair.near, POLLRDHUP);
    watch(stage, pair.near);
}

static void both_finished(struct stage *stage) {
    struct pair pair = tcp_pair();
    shutdown(pair.far, SHUT_WR);
    await(pair.near, POLLRDHUP);
    shutdown(pair.near, SHUT_WR);
    await(pair.near, POLLHUP);
    watch(stage, pair.near);
}

static void peer_reset(struct stage *stage) {
    struct pair pair = tcp_pair();
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(pair.far, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    drop(pair.far);
    await(pair.near, POLLHUP);
    watch(stage, pair.near);
}

static void unix_peer_closed(struct stage *stage) {
    struct pair pair = unix_pair();
    drop(pair.far);
    watch(stage, pair.near);
}

static void unix_peer_closed_unread(struct stage *stage) {
    struct pair pair = unix_pair();
    put_byte(pair.near);
    drop(pair.far);
    watch(stage, pair.near);
}

static void connect_refused(struct stage *stage) {
    int fd = tcp_connect(tcp_bound());
    await(fd, POLLERR);
    watch(stage, fd);
}

static void connect_done(struct stage *stage) {
    int fd = tcp_connect(tcp_listener(1));
    await(fd, POLLOUT);
    watch(stage, fd);
}

static void connect_under_way(struct stage *stage) {
    /* One connection fills a backlog of 0, and the kernel lets the next one wait. */
    int listener = tcp_listener(0);
    await(tcp_connect(listener), POLLOUT);
    await(listener, POLLIN);
    watch(stage, tcp_connect(listener));
}

static void never_connected(struct stage *stage) {
    watch(stage, keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
}

static void listener_idle(struct stage *stage) {
    watch(stage, tcp_listener(1));
}

static void listener_pending(struct stage *stage) {
    int listener = tcp_listener(1);
    tcp_connect(listener);
    await(listener, POLLIN);
    watch(stage, listener);
}

static void out_of_band(struct stage *stage) {
    struct pair pair = tcp_pair();
    assert_int_equal(send(pair.far, "!", 1, MSG_OOB), 1);
    await(pair.near, POLLPRI);
    watch(stage, pair.near);
}

static void out_of_band_behind_data(struct stage *stage) {
    struct pair pair = tcp_pair();
    put_byte(pair.far);
    assert_int_equal(send(pair.far, "!", 1, MSG_OOB), 1);
    await(pair.near, POLLPRI);
    watch(stage, pair.near);
}

static const struct contract_row rows[] = {
    {"data to read", SLUICE_READ, data_there, .expected = "READ"},
    {"data to read and room to write", SLUICE_READ | SLUICE_WRITE, data_there,
     .expected = "READ WRITE"},
    {"data to read, and not asked about", SLUICE_WRITE, data_there, .expected = "WRITE"},
    {"nothing to read", SLUICE_READ, nothing_there, .expected = "nothing"},
    {"room to write", SLUICE_WRITE, nothing_there, .expected = "WRITE"},
    {"no room to write", SLUICE_READ | SLUICE_WRITE, send_queue_full, .expected = "nothing"},
    {"no room, then room again", SLUICE_WRITE, room_again, .expected = "nothing, then WRITE"},
    {"peer's FIN", SLUICE_READ, peer_finished, .expected = "READ READ_CLOSED"},
    {"peer's FIN, data unread", SLUICE_READ, peer_finished_with_data,
     .expected = "READ READ_CLOSED"},
    {"peer's FIN, only WRITE asked", SLUICE_WRITE, peer_finished, .expected = "WRITE"},
    {"FIN both ways", SLUICE_READ | SLUICE_WRITE, both_finished,
     .expected = "READ WRITE HANGUP READ_CLOSED"},
    {"RST", SLUICE_READ | SLUICE_WRITE, peer_reset,
     .expected = "READ WRITE ERROR HANGUP READ_CLOSED", .on_libevent_epoll = "READ WRITE",
     .why_libevent = "over epoll libevent takes an error for room and data, and no more"},
    {"RST, only PRIORITY asked", SLUICE_PRIORITY, peer_reset, .expected = "ERROR HANGUP",
     NO_PRIORITY},
    {"RST, only HANGUP asked", SLUICE_HANGUP, peer_reset, .expected = "ERROR HANGUP", NO_HANGUP},
    {"FIN both ways, only HANGUP asked", SLUICE_HANGUP, both_finished, .expected = "HANGUP",
     NO_HANGUP},
    {"peer's FIN, data unread, only HANGUP asked", SLUICE_HANGUP, peer_finished_with_data,
     .expected = "nothing", NO_HANGUP},
    {"data and room, only HANGUP asked", SLUICE_HANGUP, data_there, .expected = "nothing",
     NO_HANGUP},
    {"data and room, READ and HANGUP asked", (uint32_t)SLUICE_READ | SLUICE_HANGUP, data_there,
     .expected = "READ", NO_HANGUP},
    {"connect refused, only HANGUP asked", SLUICE_HANGUP, connect_refused,
     .expected = "ERROR HANGUP", NO_HANGUP},
    {"unix socket, peer closed", SLUICE_READ | SLUICE_WRITE, unix_peer_closed,
     .expected = "READ WRITE HANGUP READ_CLOSED"},
    {"unix socket, peer closed without reading", SLUICE_READ | SLUICE_WRITE,
     unix_peer_closed_unread, .expected = "READ WRITE ERROR HANGUP READ_CLOSED",
     .on_libevent_epoll = "READ WRITE",
     .why_libevent = "over epoll libevent takes an error for room and data, and no more"},
    {"connect refused", SLUICE_WRITE, connect_refused, .expected = "WRITE ERROR HANGUP"},
    {"connect done", SLUICE_WRITE, connect_done, .expected = "WRITE"},
    {"connect under way", SLUICE_READ | SLUICE_WRITE, connect_under_way, .expected = "nothing"},
    {"socket never connected", SLUICE_READ | SLUICE_WRITE, never_connected,
     .expected = "READ WRITE HANGUP"},
    {"listener, nobody there", SLUICE_READ | SLUICE_WRITE, listener_idle, .expected = "nothing"},
    {"listener with a pending peer", SLUICE_READ | SLUICE_WRITE, listener_pending,
     .expected = "READ"},
    {"out-of-band byte", SLUICE_READ | SLUICE_PRIORITY, out_of_band, .expected = "PRIORITY",
     NO_PRIORITY},
    {"out-of-band byte behind data", SLUICE_READ | SLUICE_PRIORITY, out_of_band_behind_data,
     .expected = "READ PRIORITY", NO_PRIORITY},
    {"out-of-band byte, not asked about", SLUICE_READ, out_of_band, .expected = "nothing"},
};

const struct contract_section contract_sockets = {"Sockets", rows, COUNT_OF(rows)};

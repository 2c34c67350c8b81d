/* epoll_bulk.c - servers for much data on epoll(7) by hand, as fast as their author could make
 * them.
 *
 *     peer-epoll_bulk ADDRESS echo
 *                             sink             answers each MiB with a '+'
 *                             source           answers each byte with a MiB
 *                             proxy UPSTREAM   passes on, by reads and sends
 *                             splice UPSTREAM  passes on, by pipes in the kernel
 *
 * Each connection is registered once, for both directions and edge-triggered. It is served until it
 * has no more, or has had a MiB: others come in between, and it is taken up again afterwards. What
 * the kernel does not take is kept, and nothing more is received until it has gone. */
#define _GNU_SOURCE
#include "peer.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum {
    BATCH = 256,
    MIB = 1 << 20,
    PERIOD = 251,
    ROUNDS = 16 /* of 64 KiB */
};

enum mode { ECHO, SINK, SOURCE, PROXY, SPLICE };

struct peer {
    int fd;
    int other; /* where its bytes go: itself, for an echo */
    bool readable, writable, ended, queued;
    char *rest; /* of what it received, and the other did not take */
    size_t rest_begin, rest_end;
    int pipe[2];
    size_t in_pipe;
    size_t received;   /* of a sink: since the last answer; of a source: still to be sent */
    uint64_t position; /* of a source, in its pattern */
};

static struct peer *peers[MOST_FDS];
static int queue[MOST_FDS];
static int queued;
static int epoll;
static enum mode mode;
static struct sockaddr_in upstream;
static char pattern[RECEIVED_AT_ONCE + PERIOD];

static void add(int fd, int other) {
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        fail("calloc");
    *peer = (struct peer){.fd = fd, .other = other, .writable = true, .pipe = {-1, -1}};
    if (mode == SPLICE && pipe2(peer->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
        fail("pipe2");
    if (mode == SPLICE)
        fcntl(peer->pipe[1], F_SETPIPE_SZ, MIB);
    peers[fd] = peer;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

static void end(int fd) {
    struct peer *peer = peers[fd];
    if (!peer)
        return;
    int other = peer->other;
    peers[fd] = NULL;
    if (mode == SPLICE) {
        close(peer->pipe[0]);
        close(peer->pipe[1]);
    }
    close(fd);
    free(peer->rest);
    free(peer);
    if (other != fd)
        end(other);
}

static void again(struct peer *peer) {
    if (!peer->queued)
        queue[queued++] = peer->fd;
    peer->queued = true;
}

/* Whether there is room for more. */
static bool send_rest_of(struct peer *peer) {
    while (peer->rest_begin < peer->rest_end) {
        ssize_t sent = send(peer->other, peer->rest + peer->rest_begin,
                            peer->rest_end - peer->rest_begin, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            peer->ended = true;
        if (sent < 0)
            return false;
        peer->rest_begin += (size_t)sent;
    }
    return true;
}

/* Sends, and keeps the rest: whether there is none. */
static bool pass_on(struct peer *peer, const char *bytes, size_t length) {
    ssize_t sent = send(peer->other, bytes, length, MSG_NOSIGNAL);
    if (sent == (ssize_t)length)
        return true;
    if (sent < 0 && errno != EAGAIN)
        peer->ended = true;
    sent = sent < 0 ? 0 : sent;
    if (!peer->rest && !(peer->rest = malloc(RECEIVED_AT_ONCE)))
        fail("malloc");
    peer->rest_begin = 0;
    peer->rest_end = length - (size_t)sent;
    memcpy(peer->rest, bytes + sent, peer->rest_end);
    peers[peer->other]->writable = false;
    return false;
}

static void answer(struct peer *peer, size_t received) {
    peer->received += received;
    for (; peer->received >= MIB; peer->received -= MIB)
        if (send(peer->fd, "+", 1, MSG_NOSIGNAL) != 1)
            peer->ended = true;
}

/* Receives and passes on, until there is nothing, no room, or it has had its share. */
static void move_bytes(struct peer *peer) {
    if (mode != SINK && !send_rest_of(peer))
        return;
    for (int i = 0; i < ROUNDS; i++) {
        if (!peer->readable || peer->ended)
            return;
        ssize_t count = recv(peer->fd, buffer, sizeof buffer, 0);
        if (count <= 0) {
            peer->readable = false;
            peer->ended |= count == 0 || errno != EAGAIN;
            return;
        }
        peer->readable = count == sizeof buffer;
        if (mode == SINK)
            answer(peer, (size_t)count);
        else if (!pass_on(peer, buffer, (size_t)count))
            return;
    }
    again(peer);
}

static void splice_bytes(struct peer *peer) {
    for (int i = 0; i < ROUNDS; i++) {
        if (peer->in_pipe > 0) {
            ssize_t sent = splice(peer->pipe[0], NULL, peer->other, NULL, peer->in_pipe,
                                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (sent < 0) {
                peer->ended |= errno != EAGAIN;
                return;
            }
            peer->in_pipe -= (size_t)sent;
            continue;
        }
        if (!peer->readable || peer->ended)
            return;
        ssize_t count =
            splice(peer->fd, NULL, peer->pipe[1], NULL, MIB / 4, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (count <= 0) {
            peer->readable = false;
            peer->ended |= count == 0 || errno != EAGAIN;
            return;
        }
        peer->in_pipe = (size_t)count;
    }
    again(peer);
}

static void give(struct peer *peer) {
    if (peer->readable) {
        ssize_t count = recv(peer->fd, buffer, sizeof buffer, 0);
        peer->readable = count == sizeof buffer;
        peer->ended |= count == 0 || (count < 0 && errno != EAGAIN);
        peer->received += count > 0 ? (size_t)count * MIB : 0;
    }
    for (int i = 0; i < ROUNDS && peer->received > 0 && !peer->ended; i++) {
        size_t most = peer->received < RECEIVED_AT_ONCE ? peer->received : RECEIVED_AT_ONCE;
        ssize_t sent = send(peer->fd, pattern + peer->position % PERIOD, most, MSG_NOSIGNAL);
        if (sent < 0) {
            peer->ended |= errno != EAGAIN;
            return;
        }
        peer->received -= (size_t)sent;
        peer->position += (size_t)sent;
    }
    if (peer->received > 0)
        again(peer);
}

static void serve(int fd) {
    struct peer *peer = peers[fd];
    if (mode == SOURCE)
        give(peer);
    else if (mode == SPLICE)
        splice_bytes(peer);
    else
        move_bytes(peer);
    if (peer->ended)
        end(fd);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept_at(listener)) >= 0;) {
        if (mode < PROXY) {
            add(fd, fd);
            continue;
        }
        int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (other < 0 || connect(other, (struct sockaddr *)&upstream, sizeof upstream) < 0)
            fail("connect");
        setsockopt(other, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        fcntl(other, F_SETFL, O_NONBLOCK);
        add(fd, other);
        add(other, fd);
    }
}

static void parse(int argc, char **argv) {
    static const char *const modes[] = {"echo", "sink", "source", "proxy", "splice"};
    int found = 0;
    while (found < 5 && (argc < 3 || strcmp(argv[2], modes[found]) != 0))
        found++;
    char host[64];
    unsigned port = 0;
    if (found == 5 ||
        (found >= PROXY && (argc < 4 || sscanf(argv[3], "%63[0-9.]:%u", host, &port) != 2 ||
                            inet_pton(AF_INET, host, &upstream.sin_addr) != 1))) {
        fprintf(stderr, "usage: %s ADDRESS echo|sink|source|proxy UPSTREAM|splice UPSTREAM\n",
                argv[0]);
        exit(2);
    }
    mode = (enum mode)found;
    upstream.sin_family = AF_INET;
    upstream.sin_port = htons((uint16_t)port);
}

int main(int argc, char **argv) {
    parse(argc, argv);
    allow_many_descriptors();
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i % PERIOD);
    int listener = listen_at(argc, argv);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("epoll_ctl");
    static struct epoll_event events[BATCH];
    for (;;) {
        int count = epoll_wait(epoll, events, BATCH, queued > 0 ? 0 : -1);
        int left = queued;
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(listener);
                continue;
            }
            struct peer *peer = peers[fd];
            if (!peer)
                continue;
            peer->readable |= (events[i].events & ~(uint32_t)EPOLLOUT) != 0;
            peer->writable |= (events[i].events & EPOLLOUT) != 0;
            int from = peer->other;
            bool takes_up = (events[i].events & EPOLLOUT) && from != fd;
            if (events[i].events & EPOLLIN || from == fd)
                serve(fd);
            if (takes_up && peers[from] && peers[from]->other == fd)
                serve(from);
        }
        for (int i = 0; i < left; i++) {
            struct peer *peer = peers[queue[i]];
            if (peer)
                peer->queued = false;
        }
        static int now[MOST_FDS];
        memcpy(now, queue, (size_t)left * sizeof *now);
        memmove(queue, queue + left, (size_t)(queued - left) * sizeof *queue);
        queued -= left;
        for (int i = 0; i < left; i++)
            if (peers[now[i]])
                serve(now[i]);
    }
}

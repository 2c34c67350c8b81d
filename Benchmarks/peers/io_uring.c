/* io_uring.c - an echo server on io_uring(7) by hand: one accept, and one receive for each
 * connection, that go on until they end; buffers that the kernel takes from a ring; and one system
 * call for all that became ready. A buffer goes out as it came in, and then back into the ring. */
#define _GNU_SOURCE
#include "peer.h"

#include <liburing.h>

enum { SUBMITTED = 4096, COMPLETED = 65536, BUFFERS = 256, SIZE = RECEIVED_AT_ONCE / 2, NONE = -1 };
enum operation { ACCEPT, RECEIVE, SEND, CLOSE };

static struct io_uring ring;
static struct io_uring_buf_ring *given;
static char buffers[BUFFERS][SIZE];
static int buffers_left; /* in the ring, as far as completions say */

/* Of each buffer: how many bytes are to be sent for it, and the buffer that goes out after it. */
static struct {
    unsigned length;
    int next;
} queued[BUFFERS];

/* Of each connection: the buffers that go out in turn, of which the first is being sent; and the
 * next connection that waits for a buffer to receive into. */
static struct {
    int first, last, next_starved;
    int has_ended;
} connections[MOST_FDS];
static int starved = NONE;

static struct io_uring_sqe *next_entry(void) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    if (entry)
        return entry;
    io_uring_submit(&ring);
    return io_uring_get_sqe(&ring);
}

static void name(struct io_uring_sqe *entry, enum operation operation, int fd) {
    entry->user_data = (uint64_t)operation << 32 | (uint32_t)fd;
}

static void receive(int fd) {
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_recv(entry, fd, NULL, 0, 0);
    entry->ioprio |= IORING_RECV_MULTISHOT;
    entry->flags |= IOSQE_BUFFER_SELECT;
    name(entry, RECEIVE, fd);
}

static void send_first(int fd) {
    int buffer_id = connections[fd].first;
    struct io_uring_sqe *entry = next_entry();
    const char *bytes = answering ? answers : buffers[buffer_id];
    io_uring_prep_send(entry, fd, bytes, queued[buffer_id].length, MSG_NOSIGNAL | MSG_WAITALL);
    name(entry, SEND, fd);
}

static void accept_all(int listener) {
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    name(entry, ACCEPT, listener);
}

static void end(int fd) {
    begun[fd] = 0;
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_close(entry, fd);
    name(entry, CLOSE, fd);
}

static void give_back(int id) {
    io_uring_buf_ring_add(given, buffers[id], SIZE, (unsigned short)id, BUFFERS - 1, 0);
    io_uring_buf_ring_advance(given, 1);
    buffers_left++;
    if (starved == NONE)
        return;
    int fd = starved;
    starved = connections[fd].next_starved;
    receive(fd);
}

static void on_accepted(int listener, const struct io_uring_cqe *done) {
    if (done->res >= 0) {
        connections[done->res].first = NONE;
        connections[done->res].has_ended = 0;
        receive(done->res);
    }
    if (!(done->flags & IORING_CQE_F_MORE))
        accept_all(listener);
}

static void on_no_buffer(int fd) {
    if (buffers_left > 0) {
        receive(fd);
        return;
    }
    connections[fd].next_starved = starved;
    starved = fd;
}

static void on_received(int fd, const struct io_uring_cqe *done) {
    if (done->res == -ENOBUFS) {
        on_no_buffer(fd);
        return;
    }
    if (done->res <= 0) {
        connections[fd].has_ended = 1;
        if (connections[fd].first == NONE)
            end(fd);
        return;
    }
    int id = (int)(done->flags >> IORING_CQE_BUFFER_SHIFT);
    buffers_left--;
    queued[id].length = (unsigned)due(fd, (size_t)done->res);
    queued[id].next = NONE;
    if (!(done->flags & IORING_CQE_F_MORE))
        receive(fd);
    if (queued[id].length == 0) {
        give_back(id);
    } else if (connections[fd].first == NONE) {
        connections[fd].first = connections[fd].last = id;
        send_first(fd);
    } else {
        queued[connections[fd].last].next = id;
        connections[fd].last = id;
    }
}

static void on_sent(int fd, const struct io_uring_cqe *done) {
    int id = connections[fd].first;
    if (done->res != (int)queued[id].length)
        shutdown(fd, SHUT_RDWR); /* the receive ends, and the rest fails in turn */
    connections[fd].first = queued[id].next;
    give_back(id);
    if (connections[fd].first != NONE)
        send_first(fd);
    else if (connections[fd].has_ended)
        end(fd);
}

static void open_ring(void) {
    struct io_uring_params wanted = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN,
                                     .cq_entries = COMPLETED};
    size_t length = BUFFERS * sizeof(struct io_uring_buf);
    given = aligned_alloc(4096, length);
    if (!given)
        fail("aligned_alloc");
    memset(given, 0, length);
    struct io_uring_buf_reg group = {.ring_addr = (uintptr_t)given, .ring_entries = BUFFERS};
    errno = -io_uring_queue_init_params(SUBMITTED, &ring, &wanted);
    if (errno == 0)
        errno = -io_uring_register_buf_ring(&ring, &group, 0);
    if (errno != 0)
        fail("io_uring");
    for (int id = 0; id < BUFFERS; id++)
        give_back(id);
}

int main(int argc, char **argv) {
    allow_many_descriptors();
    open_ring();
    accept_all(listen_at(argc, argv));
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *done;
        unsigned head, count = 0;
        io_uring_for_each_cqe(&ring, head, done) {
            enum operation operation = (enum operation)(done->user_data >> 32);
            int fd = (int)(uint32_t)done->user_data;
            count++;
            if (operation == ACCEPT)
                on_accepted(fd, done);
            else if (operation == RECEIVE)
                on_received(fd, done);
            else if (operation == SEND)
                on_sent(fd, done);
        }
        io_uring_cq_advance(&ring, count);
    }
}

/* loop_model_script.c - random scripts of operations on one loop, compared with a plain model
 * (loop_model.h).
 *
 * The peers of a script's streams are plain non-blocking sockets in the same thread. So at each
 * step the script knows what the kernel has. Half of the scripts end in the middle of things, and
 * the other half end when every stream has ended.
 */
#include "loop_model.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"
#include "models.h"

enum { STEPS = 60 };

/* ---- Beginning streams -------------------------------------------------------------------------
 */

/* Not for TCP: the kernel looks at a full small buffer only every 200 ms. */
static void set_buffers(int fd) {
    int size = (int)(2048u << below(6));
    if (one_in(2))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (one_in(2))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static sluice_stream_options any_options(void) {
    static const uint32_t throttling[] = {0, 0, SLUICE_THROTTLED, SLUICE_UNTHROTTLED};
    sluice_stream_options options = {.size = sizeof options};
    options.flags = one_in(2) ? SLUICE_HALF_OPEN : 0;
    options.flags |= throttling[below(COUNT_OF(throttling))];
    if (one_in(4))
        options.idle_timeout_ns = INT64_C(60000) * NS_PER_MS;
    if (one_in(3)) {
        options.high_mark = 1 + below((uint32_t)model.hard_limit);
        options.low_mark = one_in(2) ? 0 : 1 + below((uint32_t)options.high_mark);
    }
    return options;
}

static void know(struct stream *stream, sluice_id id, const sluice_stream_options *options) {
    stream->known = true;
    stream->id = id;
    note_options(stream, options, false);
    stream->user = ++model.last_user;
    check(sluice_set_user(model.loop, id, stream->user) == 0, "set_user");
}

/* A connected pair that is not kept for the test, but closed by the loop and the model. */
static struct pair make_pair(enum means means) {
    int fds[2] = {-1, -1};
    if (means == SOCKET_PAIR) {
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0, "pair");
        set_buffers(fds[0]);
        set_buffers(fds[1]);
    } else if (means == TCP) {
        struct pair pair = tcp_pair();
        fds[0] = fcntl(pair.near, F_DUPFD_CLOEXEC, 0);
        fds[1] = fcntl(pair.far, F_DUPFD_CLOEXEC, 0);
        drop(pair.near);
        drop(pair.far);
    } else {
        check(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0, "pipe");
    }
    return means == PIPE_OUT ? (struct pair){fds[1], fds[0]} : (struct pair){fds[0], fds[1]};
}

static void adopt_one(void) {
    static const enum means all[] = {SOCKET_PAIR, SOCKET_PAIR, SOCKET_PAIR, TCP, PIPE_IN, PIPE_OUT};
    enum means means = all[below(COUNT_OF(all))];
    if (means == TCP && model.in_lockstep)
        means = SOCKET_PAIR; /* TCP takes its time */
    struct stream *stream = new_stream(means, -1);
    if (!stream)
        return;
    struct pair pair = make_pair(means);
    stream->peer = pair.far;
    sluice_stream_options options = any_options();
    sluice_id id;
    check(sluice_adopt(model.loop, &id, pair.near, &options) == 0, "adopt");
    check(sluice_fd(model.loop, id) == pair.near, "fd");
    static const char *const names[] = {"a socket pair", "a TCP connection", "a pipe to read from",
                                        "a pipe to write to"};
    tell("adopt %s as stream %d%s", names[means], place_of(stream),
         options.flags & SLUICE_HALF_OPEN ? ", half-open" : "");
    know(stream, id, &options);
}

static int accept_peer(int listener) {
    await(listener, POLLIN);
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    check(peer >= 0, "accept");
    return peer;
}

/* Over TCP, or to a unix socket. Now and then nobody listens there. Over TCP that shows later, and
 * over a unix socket at once. */
static void connect_one(void) {
    bool over_tcp = one_in(2);
    bool refused = one_in(4);
    bool takes_time = model.in_lockstep && !refused;
    struct stream *stream = new_stream(over_tcp && !takes_time ? TCP : SOCKET_PAIR, -1);
    if (!stream)
        return;
    char address[SLUICE_ADDRESS_MAX];
    snprintf(address, sizeof address, "unix:@sluice-model-%d", getpid());
    stream->refused = refused;
    int listener = stream->means == SOCKET_PAIR ? keep(sluice_socket_listen(address, 8))
                   : stream->refused            ? tcp_bound()
                                                : tcp_listener(8);
    check(sluice_socket_local_address(listener, address, sizeof address) > 0, "address");
    bool is_nobody = refused && stream->means == SOCKET_PAIR;
    if (is_nobody)
        drop(listener);
    sluice_stream_options options = any_options();
    sluice_id id;
    tell("connect stream %d%s", place_of(stream), refused ? " to where nobody listens" : "");
    check(sluice_connect(model.loop, &id, address, &options) == 0, "connect");
    stream->connecting = true;
    if (stream->refused)
        stream->gone = true;
    else
        stream->peer = accept_peer(listener);
    if (!is_nobody)
        drop(listener);
    know(stream, id, &options);
}

static void listen_one(void) {
    if (model.listener != 0)
        return;
    snprintf(model.address, sizeof model.address, "unix:@sluice-listen-%d-%s", getpid(),
             model.backend);
    const char *address = one_in(2) && !model.in_lockstep ? "127.0.0.1:0" : model.address;
    model.listener_streams = any_options();
    sluice_listen_options options = {.size = sizeof options, .streams = &model.listener_streams};
    tell("listen");
    check(sluice_listen(model.loop, &model.listener, address, &options) == 0, "listen");
    check(sluice_local_address(model.loop, model.listener, model.address, sizeof model.address) > 0,
          "local_address");
    model.listener_user = ++model.last_user;
    check(sluice_set_user(model.loop, model.listener, model.listener_user) == 0, "set_user");
}

/* A peer connects, to be accepted when the loop comes to it. */
static void call_one(void) {
    if (model.listener == 0 || model.waiting_count == WAITING)
        return;
    enum means means = model.address[0] == 'u' ? SOCKET_PAIR : TCP;
    struct stream *stream = new_stream(means, -1);
    if (!stream)
        return;
    tell("a peer connects, for stream %d", place_of(stream));
    stream->peer = sluice_socket_connect(model.address);
    check(stream->peer >= 0, "connect");
    await(stream->peer, POLLOUT);
    note_options(stream, &model.listener_streams, true);
    model.waiting[model.waiting_count++] = stream;
}

static void end_listener(void) {
    if (model.listener == 0)
        return;
    tell("close the listener");
    check(sluice_close(model.loop, model.listener) == 0, "close of a listener");
    check(sluice_kind_of(model.loop, model.listener) == SLUICE_ESTALE, "a listener that ended");
    while (model.waiting_count > 0) {
        struct stream *stream = model.waiting[--model.waiting_count];
        peer_close(stream);
        stream->used = false;
    }
    model.listener = 0;
}

/* ---- Scripts -----------------------------------------------------------------------------------
 */

static void stale_calls(void) {
    sluice_id none = one_in(2) ? 0 : (sluice_id)below(1u << 31) << 33;
    uint64_t user;
    check(sluice_write(model.loop, none, "x", 1) == SLUICE_ESTALE, "a write to nothing");
    check(sluice_user(model.loop, none, &user) == SLUICE_ESTALE, "the user word of nothing");
    check(sluice_close(model.loop, none) == SLUICE_ESTALE, "a close of nothing");
    if (model.timers[0].id)
        check(sluice_write(model.loop, model.timers[0].id, "x", 1) == SLUICE_EKIND, "a kind");
}

static void write_one(void) {
    write_some(false);
}

static void write_pieces(void) {
    write_some(true);
}

static void unwatch(void) {
    end_watch(&model.watches[below(WATCHES)]);
}

void take_model_step(void) {
    static const struct {
        uint32_t weight;
        void (*step)(void);
    } steps[] = {
        {7, adopt_one},   {2, connect_one},     {2, listen_one},   {3, call_one},
        {14, write_one},  {6, write_pieces},    {8, answer},       {4, flush},
        {2, shut_down},   {4, pause_or_resume}, {6, hold},         {3, forward},
        {3, end_one},     {16, peer_writes},    {12, peer_reads},  {4, peer_ends},
        {4, set_timer},   {2, reset_timer},     {1, cancel_timer}, {2, post_some},
        {1, start_watch}, {2, change_watch},    {1, unwatch},      {1, stale_calls},
        {1, rob_one},     {5, keep_event},      {3, return_kept},  {3, answer_kept},
    };
    uint32_t total = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        total += steps[i].weight;
    uint32_t choice = below(total);
    size_t i = 0;
    for (; choice >= steps[i].weight; i++)
        choice -= steps[i].weight;
    steps[i].step();
}

/* An allocator that moves every block that it is asked to resize, and leaves no sense in the old
 * one: who still looks there is found. */
static void *move_block(void *context, void *block, size_t size) {
    enum { HEADER = 16, POISON = 0xdb };
    (void)context;
    unsigned char *before = block ? (unsigned char *)block - HEADER : NULL;
    size_t old_size = 0;
    if (before)
        memcpy(&old_size, before, sizeof old_size);
    unsigned char *after = size > 0 ? malloc(size + HEADER) : NULL;
    if (size > 0 && !after)
        return NULL;
    if (after) {
        memcpy(after, &size, sizeof size);
        memset(after + HEADER, POISON, size);
        if (before)
            memcpy(after + HEADER, before + HEADER, old_size < size ? old_size : size);
    }
    if (before)
        memset(before, POISON, old_size + HEADER);
    free(before);
    return after ? after + HEADER : NULL;
}

void begin_model(struct choices *choices, const char *backend, bool in_lockstep) {
    memset(&model, 0, sizeof model);
    model.choices = choices;
    model.backend = backend;
    model.in_lockstep = in_lockstep;
    fill_noise();
    model.high_mark = (size_t)4096 << below(7);
    model.low_mark = one_in(2) ? model.high_mark / 4 : 1 + below((uint32_t)model.high_mark);
    model.hard_limit = model.high_mark << below(3);
    const sluice_options options = {.size = sizeof options,
                                    .backend = backend,
                                    .reallocate = one_in(2) ? move_block : NULL,
                                    .receive_size = (size_t)4096 << below(6),
                                    .high_mark = model.high_mark,
                                    .low_mark = model.low_mark,
                                    .hard_limit = model.hard_limit};
    check(sluice_open(&model.loop, &options) == 0, "open");
}

static bool any_left(void) {
    for (size_t i = 0; i < STREAMS; i++)
        if (model.streams[i].used)
            return true;
    return false;
}

/* Every peer reads and ends, every stream is closed: all must come to its CLOSED. */
void settle_model(void) {
    int64_t deadline = monotonic_ns() + PATIENCE_NS;
    for (size_t i = 0; i < TIMERS; i++)
        if (model.timers[i].id) {
            check(sluice_close(model.loop, model.timers[i].id) == 0, "cancel");
            model.timers[i].id = 0;
        }
    end_listener();
    for (size_t i = 0; i < WATCHES; i++)
        end_watch(&model.watches[i]);
    while (any_left()) {
        check(monotonic_ns() < deadline, "a stream did not come to its end");
        for (size_t i = 0; i < STREAMS; i++) {
            struct stream *stream = &model.streams[i];
            if (!stream->used)
                continue;
            if (!stream->closing) {
                if (stream->forward_to)
                    note_forwarded(stream, 0);
                close_one(stream);
            }
            while (stream->peer >= 0 && stream->means != PIPE_IN &&
                   peer_read(stream, MOST_BYTES) > 0) {
            }
            if (!stream->finished && stream->means <= TCP)
                (void)shutdown(stream->peer, SHUT_WR);
            stream->finished |= stream->means <= TCP;
        }
        pull(MOST_EVENTS, NS_PER_MS);
    }
    return_all();
    pull(1, 0);
    sluice_statistics stats = {.size = sizeof stats};
    check(sluice_stats(model.loop, &stats) == 0 && stats.queue_memory == 0, "memory is left");
}

void end_model(void) {
    for (size_t i = 0; i < WATCHES; i++)
        end_watch(&model.watches[i]);
    check(sluice_destroy(model.loop) == 0, "destroy");
    for (size_t i = 0; i < STREAMS; i++)
        if (model.streams[i].used)
            peer_close(&model.streams[i]);
}

void play_loop_script(struct choices *choices) {
    /* With epoll, libevent sleeps for milliseconds if microseconds are asked for. */
    uint32_t sleeps = backend_is("libevent:epoll") ? 100 : 8;
    long live_before = live_allocation_count();
    begin_model(choices, test_backend(), false);
    for (; model.step < STEPS && !choices_are_over(choices); model.step++) {
        take_model_step();
        if (!one_in(3))
            pull(one_in(2) ? 1 : 1 + (int)below(MOST_EVENTS), one_in(sleeps) ? 50 * NS_PER_US : 0);
    }
    if (one_in(2))
        settle_model();
    end_model();
    check(live_allocation_count() == live_before, "memory was not given back");
}

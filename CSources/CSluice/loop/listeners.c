/* listeners.c - accepting, and what to do when one cannot.
 *
 * Out of descriptors, accept fails, the caller stays in the queue and the listener stays ready: to
 * ask again would be to spin, and not to would leave the caller waiting without a word. The loop
 * keeps one descriptor in reserve: it is given up, the caller accepted with it and turned away, and
 * taken back. Then accepting stops, OVERLOADED says so, and it begins again when a stream of the
 * loop has ended, or after a tenth of a second, since others may have given some back.
 *
 * Over the limit of connections accepting stops as well, and callers wait in the kernel's queue.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"
#include "network/address.h"
#include "network/socket.h"

#define DEFAULT_BACKLOG 1024
#define DEFAULT_ACCEPT_BATCH 64
#define DEFAULT_LINGER_NS (10 * NS_PER_SECOND)
#define RETRY_NS (100 * NS_PER_MILLISECOND)

/* ---- Options -------------------------------------------------------------------------------- */

/* Milliseconds, rounded up; 49 days at most, which will do for never. */
static uint32_t to_ms(int64_t ns) {
    int64_t ms = ns / NS_PER_MILLISECOND + (ns % NS_PER_MILLISECOND != 0);
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

int sluice_stream_options_check(const sluice_stream_options *given,
                                struct sluice_stream_start *start, uint32_t *keepalive_seconds) {
    sluice_stream_options options = {.size = sizeof options};
    const uint32_t known = SLUICE_HALF_OPEN | SLUICE_DELAY | SLUICE_KEEPALIVE;
    if (given) {
        if (given->size < sizeof given->size || given->size > sizeof options)
            return SLUICE_EOPTION;
        memcpy(&options, given, given->size);
    }
    if ((options.flags & ~known) || options.idle_timeout_ns < 0 || options.linger_ns < 0 ||
        options.connect_timeout_ns < 0 || options.keepalive_seconds > INT16_MAX)
        return SLUICE_EOPTION;
    *start = (struct sluice_stream_start){
        .flags = options.flags,
        .idle_ms = to_ms(options.idle_timeout_ns),
        .linger_ms = to_ms(options.linger_ns ? options.linger_ns : DEFAULT_LINGER_NS),
        .connect_timeout_ns = options.connect_timeout_ns ? options.connect_timeout_ns : INT64_MAX,
    };
    *keepalive_seconds = options.keepalive_seconds;
    return 0;
}

int sluice_stream_configure(int fd, uint32_t flags, uint32_t keepalive_seconds) {
    if (!sluice_socket_is_tcp(fd))
        return 0;
    const int at_once = !(flags & SLUICE_DELAY);
    const int keep = (flags & SLUICE_KEEPALIVE) != 0;
    const int idle = (int)keepalive_seconds;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) < 0 ||
        (keep && setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep, sizeof keep) < 0) ||
        (keep && idle && setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) < 0))
        return -errno;
    return 0;
}

/* ---- Listening ------------------------------------------------------------------------------ */

static int complete_options(const sluice_listen_options *given, sluice_listen_options *options) {
    *options = (sluice_listen_options){.size = sizeof *options};
    if (given) {
        if (given->size < sizeof given->size || given->size > sizeof *options)
            return SLUICE_EOPTION;
        memcpy(options, given, given->size);
    }
    if (options->backlog == 0)
        options->backlog = DEFAULT_BACKLOG;
    if (options->accept_batch == 0)
        options->accept_batch = DEFAULT_ACCEPT_BATCH;
    if ((options->flags & ~(uint32_t)SLUICE_REUSE_PORT) || options->backlog > INT32_MAX)
        return SLUICE_EOPTION;
    return 0;
}

static int want_accepts(sluice_loop *loop, const struct sluice_listener *listener, bool wanted) {
    return loop->engine->operations->want(loop->engine, listener->fd,
                                          wanted ? SLUICE_OP_ACCEPT : 0);
}

/* Makes a handle of a listening socket. */
static int begin(sluice_loop *loop, sluice_id *id, int fd, const struct sluice_socket_file *file,
                 const sluice_listen_options *options, const struct sluice_stream_start *streams,
                 uint32_t keepalive_seconds) {
    int code;
    uint32_t index = sluice_slots_begin(&loop->listeners, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    struct sluice_listener *listener = sluice_slots_at(&loop->listeners, index);
    listener->fd = fd;
    listener->file = *file;
    listener->is_local = !sluice_socket_is_tcp(fd);
    listener->connection_limit = options->connection_limit;
    listener->flags = streams->flags;
    listener->keepalive_seconds = keepalive_seconds;
    listener->idle_ms = streams->idle_ms;
    listener->linger_ms = streams->linger_ms;
    *id = sluice_id_of(SLUICE_KIND_LISTENER, index, listener->slot.generation);
    code = loop->engine->operations->attach(loop->engine, fd, *id, SLUICE_ROLE_LISTENER,
                                            options->accept_batch);
    if (code == 0) {
        code = want_accepts(loop, listener, true);
        if (code < 0)
            loop->engine->operations->detach(loop->engine, fd);
    }
    if (code < 0)
        sluice_slots_end(&loop->listeners, index);
    return code;
}

int sluice_listen(sluice_loop *loop, sluice_id *id, const char *address,
                  const sluice_listen_options *given) {
    sluice_id unneeded;
    if (!id)
        id = &unneeded;
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    sluice_listen_options options;
    struct sluice_stream_start streams;
    uint32_t keepalive_seconds;
    code = complete_options(given, &options);
    if (code == 0)
        code = sluice_stream_options_check(options.streams, &streams, &keepalive_seconds);
    if (code < 0)
        return code;
    struct sluice_socket_file file;
    const struct sluice_socket_options socket_options = {
        .backlog = (int)options.backlog, .reuse_port = (options.flags & SLUICE_REUSE_PORT) != 0};
    int fd = sluice_socket_listen_with(address, &socket_options, &file);
    if (fd < 0)
        return fd;
    code = sluice_stream_configure(fd, streams.flags, keepalive_seconds);
    if (code == 0)
        code = begin(loop, id, fd, &file, &options, &streams, keepalive_seconds);
    if (code < 0) {
        sluice_socket_file_remove(&file, fd);
        close(fd);
    }
    return code;
}

void sluice_listener_end(sluice_loop *loop, struct sluice_listener *listener) {
    uint32_t index = sluice_slots_index(&loop->listeners, listener);
    for (uint32_t i = 0; i < loop->streams.used && listener->connections > 0; i++) {
        struct sluice_stream *stream = sluice_stream_at(loop, i);
        if (stream->slot.generation % 2 == 1 && stream->listener == index + 1) {
            stream->listener = 0;
            listener->connections--;
        }
    }
    loop->engine->operations->detach(loop->engine, listener->fd);
    sluice_socket_file_remove(&listener->file, listener->fd);
    close(listener->fd);
    sluice_slots_end(&loop->listeners, index);
}

/* The files stay the parent's, which still listens there. */
void sluice_listeners_after_fork(sluice_loop *loop) {
    for (uint32_t i = 0; i < loop->listeners.used; i++) {
        struct sluice_listener *listener = sluice_slots_at(&loop->listeners, i);
        sluice_socket_file_forget(&listener->file);
    }
}

/* ---- Accepting ------------------------------------------------------------------------------ */

/* Stops accepting, and says so; with an error to be tried again after. */
static bool stop(sluice_loop *loop, struct sluice_listener *listener, sluice_id id, int error,
                 sluice_event *event) {
    if (listener->stopped)
        return false;
    listener->stopped = true;
    (void)want_accepts(loop, listener, false);
    /* Not a deadline of its own, for which there may be no memory. */
    if (error < 0)
        loop->accept_again = sluice_moment(loop, RETRY_NS);
    *event = (sluice_event){
        .kind = SLUICE_OVERLOADED, .error = error, .id = id, .user = listener->slot.user};
    return true;
}

/* Turns a caller away with the descriptor in reserve: false where nobody is waiting, for accept(2)
 * wants a number before it looks for a caller. */
static bool turn_away(sluice_loop *loop, const struct sluice_listener *listener) {
    if (loop->reserve_fd < 0)
        return true;
    close(loop->reserve_fd);
    int connection = sluice_socket_accept(listener->fd);
    if (connection >= 0)
        close(connection);
    loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return connection != SLUICE_EAGAIN;
}

static int begin_connection(sluice_loop *loop, const struct sluice_listener *listener,
                            sluice_id listener_id, int fd, sluice_id *id) {
    struct sluice_stream_start start = {.fd = fd,
                                        .role = listener->is_local ? SLUICE_ROLE_LOCAL
                                                                   : SLUICE_ROLE_SOCKET,
                                        .flags = listener->flags,
                                        .idle_ms = listener->idle_ms,
                                        .linger_ms = listener->linger_ms,
                                        .connect_timeout_ns = INT64_MAX,
                                        .listener = 1 + sluice_id_index(listener_id),
                                        .user = listener->slot.user};
    return sluice_stream_begin(loop, &start, id);
}

bool sluice_listener_complete(sluice_loop *loop, struct sluice_listener *listener,
                              sluice_event *event) {
    sluice_id id = event->id;
    int error = event->error;
    loop->stats.accepts++;
    if (error < 0) {
        if ((error == -EMFILE || error == -ENFILE) && !turn_away(loop, listener))
            return false;
        return stop(loop, listener, id, error, event);
    }
    int connection = (int)event->value;
    sluice_id stream_id;
    int code = begin_connection(loop, listener, id, connection, &stream_id);
    if (code < 0) {
        close(connection);
        return stop(loop, listener, id, code, event);
    }
    listener->connections++;
    if (listener->connection_limit && listener->connections >= listener->connection_limit) {
        listener->stopped = true;
        (void)want_accepts(loop, listener, false);
        loop->overloaded = id;
        loop->todo |= TODO_OVERLOADED;
    }
    *event = (sluice_event){
        .kind = SLUICE_ACCEPTED, .id = stream_id, .user = listener->slot.user, .value = id};
    return true;
}

bool sluice_listener_notice(sluice_loop *loop, sluice_event *event) {
    sluice_id id = loop->overloaded;
    loop->overloaded = 0;
    loop->todo &= ~(uint32_t)TODO_OVERLOADED;
    const struct sluice_listener *listener =
        sluice_find(&loop->listeners, SLUICE_KIND_LISTENER, id);
    if (!listener || !listener->stopped)
        return false;
    *event = (sluice_event){
        .kind = SLUICE_OVERLOADED, .error = SLUICE_EFULL, .id = id, .user = listener->slot.user};
    return true;
}

void sluice_listener_resume(sluice_loop *loop, struct sluice_listener *listener) {
    if (!listener->stopped ||
        (listener->connection_limit && listener->connections >= listener->connection_limit))
        return;
    if (loop->reserve_fd < 0)
        loop->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (want_accepts(loop, listener, true) == 0)
        listener->stopped = false;
    else
        loop->accept_again = sluice_moment(loop, RETRY_NS);
}

void sluice_listeners_heed_end(sluice_loop *loop, uint32_t place) {
    if (place) {
        struct sluice_listener *listener = sluice_slots_at(&loop->listeners, place - 1);
        listener->connections--;
    }
    for (uint32_t i = 0; i < loop->listeners.used; i++) {
        struct sluice_listener *listener = sluice_slots_at(&loop->listeners, i);
        if (listener->slot.generation % 2 == 1)
            sluice_listener_resume(loop, listener);
    }
}

/* libuv.c - an echo server on libuv, which does the I/O. It tries to write at once, from the one
 * receive buffer; only what the kernel does not take is copied and queued. */
#define _GNU_SOURCE
#include "peer.h"

#include <uv.h>

struct connection {
    uv_tcp_t stream;
    unsigned char begun;
};

struct queued {
    uv_write_t request;
    char bytes[];
};

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

static void on_written(uv_write_t *request, int status) {
    uv_stream_t *stream = request->handle;
    free(request);
    if (status < 0 && !uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *into) {
    (void)handle;
    (void)suggested;
    *into = uv_buf_init(buffer, sizeof buffer);
}

static void queue(uv_stream_t *stream, const char *bytes, size_t length) {
    struct queued *queued = malloc(sizeof *queued + length);
    if (!queued)
        fail("malloc");
    memcpy(queued->bytes, bytes, length);
    uv_buf_t rest = uv_buf_init(queued->bytes, (unsigned)length);
    uv_write(&queued->request, stream, &rest, 1, on_written);
}

static void on_input(uv_stream_t *stream, ssize_t length, const uv_buf_t *from) {
    if (length < 0) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    if (length == 0)
        return;
    uv_buf_t all = uv_buf_init(from->base, (unsigned)length);
    if (answering) {
        struct connection *connection = (struct connection *)stream;
        all = uv_buf_init(answers, (unsigned)asked(&connection->begun, (size_t)length));
    }
    int written = uv_try_write(stream, &all, 1);
    if (written < 0 && written != UV_EAGAIN) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    written = written < 0 ? 0 : written;
    if ((size_t)written < all.len)
        queue(stream, all.base + written, all.len - (size_t)written);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (status < 0 || !connection)
        fail("libuv");
    uv_tcp_init(listener->loop, &connection->stream);
    if (uv_accept(listener, (uv_stream_t *)connection) < 0)
        fail("uv_accept");
    uv_read_start((uv_stream_t *)connection, give_buffer, on_input);
}

int main(int argc, char **argv) {
    allow_many_descriptors();
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    uv_tcp_init(loop, &listener);
    if (uv_tcp_open(&listener, listen_at(argc, argv)) < 0 ||
        uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection) < 0)
        fail("libuv");
    return uv_run(loop, UV_RUN_DEFAULT);
}

/* libevent_bufferevent.c - an echo server on libevent's bufferevent, which does the I/O and has
 * write queues: the nearest in what it does to a stream of Sluice's. */
#define _GNU_SOURCE
#include "peer.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

static void on_input(struct bufferevent *connection, void *argument) {
    (void)argument;
    struct evbuffer *input = bufferevent_get_input(connection);
    if (!answering) {
        evbuffer_add_buffer(bufferevent_get_output(connection), input);
        return;
    }
    for (; evbuffer_get_length(input) >= REQUEST; evbuffer_drain(input, REQUEST))
        bufferevent_write(connection, answers, ANSWER);
}

static void on_end(struct bufferevent *connection, short what, void *argument) {
    (void)argument;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        bufferevent_free(connection);
}

static void on_connection(struct evconnlistener *listener, int fd, struct sockaddr *peer,
                          int length, void *argument) {
    (void)peer;
    (void)length;
    (void)argument;
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!connection)
        fail("bufferevent_socket_new");
    bufferevent_setcb(connection, on_input, NULL, on_end, NULL);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
}

int main(int argc, char **argv) {
    allow_many_descriptors();
    struct event_base *base = event_base_new();
    if (!base || !evconnlistener_new(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 0,
                                     listen_at(argc, argv)))
        fail("libevent");
    return event_base_dispatch(base) < 0;
}

/* 09-backpressure.c - a client that sends and never reads its echo. */
#include <poll.h>

#include "tutorial.h"

enum { PIECE = 65536, HIGH_MARK = 256 << 10, STOP = 32 << 20 };

/* Returns how many bytes the server has queued when the client cannot send any more, or `STOP`. */
static size_t queued(int heeds_the_mark) {
    static char bytes[PIECE];
    int client, server;
    size_t queue = 0;
    connection(&client, &server);
    do_not_block(client);
    do_not_block(server);
    for (int quiet = 0; quiet < 3 && queue < STOP;) {
        ssize_t said = send(client, bytes, sizeof bytes, 0);

        /* [server] */
        int events = POLLIN;
        if (heeds_the_mark && queue > HIGH_MARK)
            events = 0; /* the server does not read from a client that does not read */
        if (queue > 0)
            events |= POLLOUT; /* asked only while there is something to send */
        struct pollfd one = {.fd = server, .events = (short)events};
        poll(&one, 1, 20);
        if (one.revents & POLLIN)
            queue += (size_t)recv(server, bytes, sizeof bytes, 0);
        if (one.revents & POLLOUT)
            queue -= (size_t)send(server, bytes, queue < PIECE ? queue : PIECE, 0);
        /* [end] */

        quiet = said < 0 && one.revents == 0 ? quiet + 1 : 0;
    }
    close(client);
    close(server);
    return queue;
}

int main(void) {
    /* [wrong] */
    size_t without = queued(0);
    printf("it reads on: the queue grows for ever: %s\n", yes(without >= STOP));
    /* [end] */

    /* [right] */
    size_t with = queued(1);
    printf("it stops reading at a mark: the queue stays below %d KiB: %s\n",
           (HIGH_MARK + PIECE) >> 10, yes(with <= HIGH_MARK + PIECE));
    printf("and the client cannot send any more: %s\n", yes(with > HIGH_MARK));
    /* [end] */
}

/* poll.c - an echo server on poll(2) by hand. */
#define _GNU_SOURCE
#include "peer.h"

#include <poll.h>

int main(int argc, char **argv) {
    allow_many_descriptors();
    static struct pollfd polled[MOST_FDS];
    polled[0] = (struct pollfd){.fd = listen_at(argc, argv), .events = POLLIN};
    nfds_t used = 1;
    for (;;) {
        int ready = poll(polled, used, -1);
        /* From the end, so that the last can take the place of one that ends. */
        for (nfds_t i = used - 1; ready > 0 && i > 0; i--) {
            if (polled[i].revents == 0)
                continue;
            ready--;
            enum wanted wanted = go_on(polled[i].fd);
            if (wanted == ENDED)
                polled[i] = polled[--used];
            else
                polled[i].events = wanted == WRITING ? POLLOUT : POLLIN;
        }
        if (polled[0].revents != 0)
            for (int fd; (fd = accept_at(polled[0].fd)) >= 0;)
                polled[used++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
}

/* epoll.c - an echo server on epoll(7) by hand: what every other one is compared with. */
#define _GNU_SOURCE
#include "peer.h"

#include <sys/epoll.h>

enum { BATCH = 256 };

static void watch(int epoll, int operation, int fd, enum wanted wanted) {
    struct epoll_event event = {.events = wanted == WRITING ? EPOLLOUT : EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, operation, fd, &event) < 0)
        fail("epoll_ctl");
}

int main(int argc, char **argv) {
    allow_many_descriptors();
    int listener = listen_at(argc, argv);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, EPOLL_CTL_ADD, listener, READING);
    struct epoll_event events[BATCH];
    for (;;) {
        int count = epoll_wait(epoll, events, BATCH, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept_at(listener)) >= 0)
                    watch(epoll, EPOLL_CTL_ADD, fd, READING);
                continue;
            }
            enum wanted was = rests[fd].bytes ? WRITING : READING;
            enum wanted wanted = go_on(fd);
            if (wanted != was && wanted != ENDED)
                watch(epoll, EPOLL_CTL_MOD, fd, wanted);
        }
    }
}

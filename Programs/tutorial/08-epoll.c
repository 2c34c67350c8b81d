/* 08-epoll.c - epoll keeps the list in the kernel. Level and edge, and the bug that everyone writes
 * with edge. */
#include <sys/epoll.h>

#include "tutorial.h"

/* Waits at most 100 ms, and returns how many are ready. */
static int ready(int epoll) {
    struct epoll_event events[10];
    return epoll_wait(epoll, events, 10, 100);
}

static int watch(int fd, unsigned flags) {
    int epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN | flags, .data.fd = fd};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    return epoll;
}

int main(void) {
    int client, server;
    char bytes[4]; /* too short for what will come */
    connection(&client, &server);
    do_not_block(server);

    /* [level] */
    int epoll = watch(server, 0);
    send(client, "eight by", 8, 0);
    printf("level: ready %d", ready(epoll));
    recv(server, bytes, sizeof bytes, 0);
    printf(", and after 4 of 8 bytes are read: %d", ready(epoll));
    recv(server, bytes, sizeof bytes, 0);
    printf(", and after all are read: %d\n", ready(epoll));
    /* [end] */
    close(epoll);

    /* [wrong] */
    epoll = watch(server, EPOLLET);
    send(client, "eight by", 8, 0);
    printf("edge: ready %d", ready(epoll));
    recv(server, bytes, sizeof bytes, 0); /* one read for each event: the bug */
    printf(", and after 4 of 8 bytes are read: %d\n", ready(epoll));
    printf("4 bytes lie there, and nobody is told\n");
    /* [end] */

    /* [right] */
    send(client, "eight by", 8, 0);
    int total = 0;
    if (ready(epoll) == 1)
        for (ssize_t count; (count = recv(server, bytes, sizeof bytes, 0)) > 0;)
            total += (int)count; /* until EAGAIN */
    printf("read until %s: %d bytes, those 4 too\n", strerrorname_np(errno), total);
    /* [end] */
}

/* tutorial.h - what the steps share, and what none of them is about: a TCP connection to try things
 * on, and a call that ends the program if something necessary fails. */
#ifndef TUTORIAL_H
#define TUTORIAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Ends the program if `result` is negative. */
static inline int must(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

/* A listening socket at a port that the kernel chooses. */
static inline int listener(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(bind(fd, (struct sockaddr *)&here, sizeof here), "bind");
    must(listen(fd, 16), "listen");
    return fd;
}

/* A client of that listener. */
static inline int client_of(int listening) {
    struct sockaddr_in there;
    socklen_t length = sizeof there;
    must(getsockname(listening, (struct sockaddr *)&there, &length), "getsockname");
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(fd, (struct sockaddr *)&there, sizeof there), "connect");
    return fd;
}

/* One TCP connection: *client and *server are its two ends. */
static inline void connection(int *client, int *server) {
    int listening = listener();
    *client = client_of(listening);
    *server = must(accept(listening, NULL, NULL), "accept");
    close(listening);
}

static inline void do_not_block(int fd) {
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), "fcntl");
}

/* Bounds a blocking call. Without it the call could wait for ever. With it, it waits `ms`. */
static inline void give_up_after(int fd, int ms) {
    struct timeval limit = {.tv_usec = ms * 1000};
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
    must(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "SO_SNDTIMEO");
}

/* Milliseconds of a clock that never goes back. */
static inline long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static inline const char *yes(int truth) {
    return truth ? "yes" : "no";
}

#endif

/* peer.h - what the plain echo servers share, so that each shows only how it waits.
 *
 *     peer-NAME ADDRESS [answer]
 *
 * A server listens, prints its address and never ends by itself. With "answer" it does not echo: it
 * answers each 64 bytes with 1 KiB of its own memory. Those that are only told of
 * readiness (by hand, libevent's event, libev) also share what to do then: one receive into one
 * buffer, one send, and where the kernel does not take all of it, the rest is kept and nothing
 * more is received until it has gone. */
#ifndef PEER_H
#define PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVED_AT_ONCE = 65536, BACKLOG = 1024, MOST_FDS = 65536, REQUEST = 64, ANSWER = 1024 };

static char buffer[RECEIVED_AT_ONCE];

/* Answers, as many as one receive may ask for; and the bytes of a request that has not come whole,
 * by descriptor. */
static int answering;
static char answers[RECEIVED_AT_ONCE / REQUEST * ANSWER];
static unsigned char begun[MOST_FDS];

static inline void fail(const char *what) {
    perror(what);
    exit(1);
}

/* How many bytes of `answers` are asked for by `length` bytes of requests. */
static inline size_t asked(unsigned char *begun_before, size_t length) {
    size_t all = *begun_before + length;
    *begun_before = (unsigned char)(all % REQUEST);
    return all / REQUEST * ANSWER;
}

/* The bytes that are due for `length` that came: as many, or of `answers`. */
static inline size_t due(int fd, size_t length) {
    return answering ? asked(&begun[fd], length) : length;
}

static inline void choose_answers(int argc, char **argv) {
    answering = argc > 2 && strcmp(argv[2], "answer") == 0;
    for (size_t i = 0; answering && i < sizeof answers; i++)
        answers[i] = (char)(i % ANSWER % 251);
}

/* A non-blocking listener at argv[1], 127.0.0.1:0 or so, whose connections inherit TCP_NODELAY.
 * Others may listen at the same address. */
static inline int listen_at(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    char host[64];
    unsigned port = 0;
    if (argc < 2 || sscanf(argv[1], "%63[0-9.]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "usage: %s ADDRESS [answer]; an ADDRESS is as 127.0.0.1:0\n", argv[0]);
        exit(2);
    }
    choose_answers(argc, argv);
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        fail("listening");
    printf("%s:%u\n", host, (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* The next connection, or -1 where none waits. */
static inline int accept_at(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
        fail("accept4");
    return fd;
}

enum wanted { ENDED, READING, WRITING };

/* What the kernel did not take yet, by descriptor. */
static struct rest {
    char *bytes;
    size_t length;
} rests[MOST_FDS];

static inline enum wanted end_connection(int fd) {
    free(rests[fd].bytes);
    rests[fd] = (struct rest){0};
    begun[fd] = 0;
    close(fd);
    return ENDED;
}

/* To be called when `fd` can be written to while a rest waits. Returns what to wait for next. */
static inline enum wanted send_rest(int fd) {
    struct rest *rest = &rests[fd];
    ssize_t sent = send(fd, rest->bytes, rest->length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return end_connection(fd);
    if (sent < 0)
        return WRITING;
    rest->length -= (size_t)sent;
    memmove(rest->bytes, rest->bytes + sent, rest->length);
    if (rest->length > 0)
        return WRITING;
    free(rest->bytes);
    *rest = (struct rest){0};
    return READING;
}

static inline enum wanted keep_rest(int fd, const char *bytes, size_t length) {
    char *copy = malloc(length);
    if (!copy)
        return end_connection(fd);
    memcpy(copy, bytes, length);
    rests[fd] = (struct rest){copy, length};
    return WRITING;
}

/* To be called when `fd` can be read. Returns what to wait for next. */
static inline enum wanted echo_once(int fd) {
    ssize_t received = recv(fd, buffer, sizeof buffer, 0);
    if (received < 0 && errno == EAGAIN)
        return READING;
    if (received <= 0)
        return end_connection(fd);
    const char *bytes = answering ? answers : buffer;
    size_t length = due(fd, (size_t)received);
    if (length == 0)
        return READING;
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent == (ssize_t)length)
        return READING;
    if (sent < 0 && errno != EAGAIN)
        return end_connection(fd);
    sent = sent < 0 ? 0 : sent;
    return keep_rest(fd, bytes + sent, length - (size_t)sent);
}

/* A connection that is ready for what it waits for. */
static inline enum wanted go_on(int fd) {
    return rests[fd].bytes ? send_rest(fd) : echo_once(fd);
}

static inline void allow_many_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < MOST_FDS ? limit.rlim_max : MOST_FDS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

#endif

/* load.c - what a server is loaded with, and what checks each byte that comes back.
 *
 *     load echo|lines|answer|churn|upload|download ADDRESS CONNECTIONS [SIZE [DEPTH [BUSY]]]
 *
 *   echo      CONNECTIONS stay open, BUSY of them with DEPTH messages of SIZE bytes under way each:
 *             all of them, if BUSY is not given; the others are idle
 *   lines     the same, and all that is sent is equal lines of 32 bytes
 *   answer    as echo, but a message is answered by 1 KiB, always the same
 *   churn     an operation is a connection: made, one message echoed, closed; CONNECTIONS at a time
 *   upload    as echo, but each message is answered by one byte, a '+'
 *   download  as echo, but each message is asked for by one byte
 *
 * No more than 64 KiB are written at a time.
 *
 * It sets up (for echo with one message echoed on each connection, for churn with one on one),
 * prints "ready", and then, for each line of standard input that has a number, does as many
 * operations and prints "done OPERATIONS SECONDS CPU_SECONDS". What measures a server can so look
 * at it before and after. It ends with its input.
 *
 * It is to cost no more than the fastest server, so it is plain epoll: each socket is registered
 * once, edge-triggered, and what is sent is never copied, since the bytes of all messages lie in
 * one pattern whose period no size divides. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 32,
    PERIOD = 251,
    ANSWER = 1024,
    RECEIVED_AT_ONCE = 1 << 18,
    SENT_AT_ONCE = 1 << 16,
    MOST_BYTES = 1 << 24, /* of all messages under way on a connection */
    BATCH = 1024,
    OPENED_AT_ONCE = 64, /* far fewer than any server's backlog */
    PATIENCE_MS = 30000
};

struct connection {
    int fd;
    uint64_t sent, received; /* bytes, ever */
    uint64_t to_send;        /* bytes that a full socket did not take yet */
};

struct load {
    struct sockaddr_in address;
    int epoll;
    int connections, busy;
    size_t depth;
    size_t size, answer; /* bytes of a message, each way */
    struct connection *all;
    long unsent, unanswered; /* operations */
};

static unsigned char pattern[RECEIVED_AT_ONCE + ANSWER]; /* and the longest period */
static size_t period = PERIOD;
static unsigned char buffer[RECEIVED_AT_ONCE];

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
    exit(1);
}

static const unsigned char *bytes_at(uint64_t position) {
    return pattern + position % period;
}

static void transmit(struct connection *connection) {
    while (connection->to_send > 0) {
        size_t most = connection->to_send < SENT_AT_ONCE ? connection->to_send : SENT_AT_ONCE;
        ssize_t count =
            send(connection->fd, bytes_at(connection->sent), most, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0)
            fail("send");
        connection->sent += (uint64_t)count;
        connection->to_send -= (uint64_t)count;
    }
}

/* Sends up to `count` messages more, as far as there are operations left to be done. */
static void begin(struct load *load, struct connection *connection, long count) {
    if (count > load->unsent)
        count = load->unsent;
    load->unsent -= count;
    connection->to_send += (uint64_t)count * load->size;
    transmit(connection);
}

/* What comes back is what was sent, or as much of the pattern as was asked for. Of bytes that
 * say that a message has come, each is the same. */
static int is_right(const struct load *load, const struct connection *connection, size_t count) {
    if (load->answer == 1 && load->size > 1) {
        for (size_t i = 0; i < count; i++)
            if (buffer[i] != '+')
                return 0;
        return 1;
    }
    uint64_t due = connection->sent / load->size * load->answer +
                   (load->answer == load->size ? connection->sent % load->size : 0);
    return connection->received + count <= due &&
           memcmp(buffer, bytes_at(connection->received), count) == 0;
}

/* Returns how many messages came back whole. */
static long receive(const struct load *load, struct connection *connection) {
    uint64_t before = connection->received;
    ssize_t count;
    do {
        count = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN)
            break;
        errno = count < 0 ? errno : 0;
        if (count <= 0)
            fail("the server ended a connection");
        if (!is_right(load, connection, (size_t)count))
            fail("the bytes that came back");
        connection->received += (uint64_t)count;
    } while ((size_t)count == sizeof buffer);
    return (long)(connection->received / load->answer - before / load->answer);
}

static void open_one(struct load *load, struct connection *connection) {
    /* The seed: that two connections' bytes are not the same. */
    uint64_t seed = (uint64_t)(connection - load->all) * load->size;
    if (load->size != load->answer)
        seed = 0;
    *connection = (struct connection){.sent = seed, .received = seed};
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        fail("socket");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(connection->fd, (struct sockaddr *)&load->address, sizeof load->address) < 0)
        fail("connect");
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                .data.u32 = (uint32_t)(connection - load->all)};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        fail("epoll_ctl");
}

/* Runs until every operation is done. */
static void run(struct load *load, int renew) {
    static struct epoll_event events[BATCH];
    while (load->unanswered > 0) {
        int count = epoll_wait(load->epoll, events, BATCH, PATIENCE_MS);
        errno = count < 0 ? errno : 0;
        if (count <= 0 && errno != EINTR)
            fail("waiting for an answer");
        for (int i = 0; i < count; i++) {
            struct connection *connection = load->all + events[i].data.u32;
            transmit(connection);
            long answered = events[i].events & EPOLLIN ? receive(load, connection) : 0;
            load->unanswered -= answered;
            if (answered > 0 && renew) {
                close(connection->fd);
                if (load->unsent == 0)
                    continue;
                open_one(load, connection);
            }
            begin(load, connection, answered);
        }
    }
}

static void set_up_echo(struct load *load) {
    for (int first = 0; first < load->connections; first += OPENED_AT_ONCE) {
        int last = first + OPENED_AT_ONCE;
        last = last < load->connections ? last : load->connections;
        load->unsent = load->unanswered = last - first;
        for (int i = first; i < last; i++) {
            open_one(load, load->all + i);
            begin(load, load->all + i, 1);
        }
        run(load, 0);
    }
}

static void echo(struct load *load, long operations) {
    load->unsent = load->unanswered = operations;
    for (long i = 0; i < load->busy; i++)
        begin(load, load->all + i * load->connections / load->busy, (long)load->depth);
    run(load, 0);
}

static void churn(struct load *load, long operations) {
    load->unsent = load->unanswered = operations;
    for (int i = 0; i < load->connections && load->unsent > 0; i++) {
        open_one(load, load->all + i);
        begin(load, load->all + i, 1);
    }
    run(load, 1);
}

static double seconds_of(struct timespec time) {
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return seconds_of(now);
}

/* Each answer begins with 0, and goes on as any pattern does. */
static void make_answers(void) {
    period = ANSWER;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)(i % ANSWER % PERIOD);
}

static void make_lines(void) {
    period = LINE;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % LINE == LINE - 1 ? '\n' : 'x';
}

static int is_kind(const char *word) {
    static const char *const kinds[] = {"echo", "lines", "answer", "churn", "upload", "download"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(word, kinds[i]) == 0)
            return 1;
    return 0;
}

static void parse(struct load *load, int argc, char **argv) {
    char host[64];
    unsigned port = 0;
    load->connections = argc >= 4 ? atoi(argv[3]) : 0;
    size_t size = argc >= 5 ? (size_t)atol(argv[4]) : 64;
    load->depth = argc >= 6 ? (size_t)atol(argv[5]) : 1;
    load->busy = argc >= 7 ? atoi(argv[6]) : load->connections;
    load->size = argc >= 2 && strcmp(argv[1], "download") == 0 ? 1 : size;
    load->answer = argc >= 2 && strcmp(argv[1], "upload") == 0 ? 1 : size;
    if (argc >= 2 && strcmp(argv[1], "answer") == 0)
        load->answer = ANSWER;
    if (argc < 4 || !is_kind(argv[1]) || sscanf(argv[2], "%63[0-9.]:%u", host, &port) != 2 ||
        port > 65535 || inet_pton(AF_INET, host, &load->address.sin_addr) != 1 ||
        load->connections < 1 || load->busy < 1 || load->busy > load->connections || size < 1 ||
        load->depth < 1 || size > MOST_BYTES / load->depth) {
        fprintf(stderr, "usage: load echo|lines|answer|churn|upload|download ADDRESS CONNECTIONS "
                        "[SIZE [DEPTH [BUSY]]]\nSIZE times DEPTH is at most 16 MiB\n");
        exit(2);
    }
    load->address.sin_family = AF_INET;
    load->address.sin_port = htons((uint16_t)port);
}

int main(int argc, char **argv) {
    struct load load = {0};
    parse(&load, argc, argv);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)(i % PERIOD);
    if (strcmp(argv[1], "lines") == 0)
        make_lines();
    if (strcmp(argv[1], "answer") == 0)
        make_answers();
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.all = calloc((size_t)load.connections, sizeof *load.all);
    if (load.epoll < 0 || !load.all)
        fail("setting up");
    int renew = strcmp(argv[1], "churn") == 0;
    if (renew)
        churn(&load, 1);
    else
        set_up_echo(&load);
    printf("ready\n");
    fflush(stdout);
    char line[32];
    while (fgets(line, sizeof line, stdin)) {
        long operations = atol(line);
        double began = read_clock(CLOCK_MONOTONIC);
        double used = read_clock(CLOCK_PROCESS_CPUTIME_ID);
        if (renew)
            churn(&load, operations);
        else
            echo(&load, operations);
        printf("done %ld %.6f %.6f\n", operations, read_clock(CLOCK_MONOTONIC) - began,
               read_clock(CLOCK_PROCESS_CPUTIME_ID) - used);
        fflush(stdout);
    }
    free(load.all);
    return 0;
}

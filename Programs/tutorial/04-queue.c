/* 04-queue.c - a client that does not read its answer, and another that waits for its own. */
#include "tutorial.h"

enum { LONG_ANSWER = 16 << 20 };

/* [queue] */
struct peer {
    int fd;
    char *queued; /* what the kernel had no room for yet */
    size_t length;
};

/* Takes all the bytes and never waits. Bytes that are queued already go first. */
static void answer(struct peer *peer, const char *bytes, size_t length) {
    ssize_t sent = peer->length ? 0 : send(peer->fd, bytes, length, MSG_NOSIGNAL);
    size_t rest = length - (size_t)(sent > 0 ? sent : 0);
    if (rest == 0)
        return;
    peer->queued = realloc(peer->queued, peer->length + rest);
    memcpy(peer->queued + peer->length, bytes + length - rest, rest);
    peer->length += rest;
}

/* Call this when select says that the peer can be written to. */
static void send_queued(struct peer *peer) {
    ssize_t sent = send(peer->fd, peer->queued, peer->length, MSG_NOSIGNAL);
    if (sent <= 0)
        return;
    peer->length -= (size_t)sent;
    memmove(peer->queued, peer->queued + sent, peer->length);
}
/* [end] */

static int heard(int client) {
    char bytes[10];
    return recv(client, bytes, sizeof bytes, MSG_DONTWAIT) > 0;
}

int main(void) {
    static char bytes[LONG_ANSWER];
    int slow, quick;
    struct peer to_slow = {0}, to_quick = {0};

    /* [wrong] */
    connection(&slow, &to_slow.fd);
    connection(&quick, &to_quick.fd);
    give_up_after(to_slow.fd, 200); /* without this line: for as long as the slow one likes */
    long long begin = now_ms();
    size_t sent = 0;
    for (ssize_t count; sent < LONG_ANSWER; sent += (size_t)count)
        if ((count = send(to_slow.fd, bytes + sent, LONG_ANSWER - sent, MSG_NOSIGNAL)) < 0)
            break;
    send(to_quick.fd, "hello", 5, 0);
    printf("sendall: the quick one waited for the slow one: %s\n", yes(now_ms() - begin >= 195));
    /* [end] */

    /* [right] */
    connection(&slow, &to_slow.fd);
    connection(&quick, &to_quick.fd);
    do_not_block(to_slow.fd);
    do_not_block(to_quick.fd);
    answer(&to_slow, bytes, sizeof bytes);
    answer(&to_quick, "hello", 5);
    printf("with queues: the quick one has its answer at once: %s\n", yes(heard(quick)));
    printf("for the slow one something is queued: %s\n", yes(to_slow.length > 0));
    size_t received = 0;
    while (received < LONG_ANSWER) { /* now it reads */
        ssize_t count = recv(slow, bytes, sizeof bytes, MSG_DONTWAIT);
        received += (size_t)(count > 0 ? count : 0);
        send_queued(&to_slow);
    }
    printf("in the end it has all %zu bytes, and %zu are queued\n", received, to_slow.length);
    /* [end] */
    free(to_slow.queued);
}

/* 04-answer.c - what a server writes while something is queued must go after it. */
#include "tutorial.h"

enum { LENGTH = 16 << 20 };

/* A server has 16 MiB of "A" to send, and then a "B". Returns whether they arrive in that order. */
static int in_order(int past_the_queue) {
    static char answer[LENGTH], got[65536];
    int client, server, said = 0;
    size_t sent = 0, received = 0;
    ssize_t count;
    connection(&client, &server);
    do_not_block(server);
    memset(answer, 'A', sizeof answer);
    while ((count = send(server, answer + sent, LENGTH - sent, 0)) > 0)
        sent += (size_t)count;
    for (;;) { /* the rest is queued; the client reads, so there is room again */
        if (past_the_queue && !said)
            said = send(server, "B", 1, 0) == 1;
        else if (sent < LENGTH && (count = send(server, answer + sent, LENGTH - sent, 0)) > 0)
            sent += (size_t)count;
        else if (sent == LENGTH && !said)
            said = send(server, "B", 1, 0) == 1;
        count = recv(client, got, sizeof got, MSG_DONTWAIT);
        for (ssize_t i = 0; i < count; i++, received++)
            if (got[i] == 'B')
                return received == LENGTH;
    }
}

int main(void) {
    printf("B past the queue: in order: %s\n", yes(in_order(1)));
    printf("B behind the queue: in order: %s\n", yes(in_order(0)));
}

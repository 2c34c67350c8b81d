/* 03-answer.c - a socket with room is always writable: a server that asks about it without need
 * never sleeps. */
#include <sys/select.h>

#include "tutorial.h"

int main(void) {
    int client, server, rounds = 0;
    fd_set writing;
    connection(&client, &server);
    long long begin = now_ms();
    while (now_ms() - begin < 50) {
        struct timeval limit = {.tv_sec = 1};
        FD_ZERO(&writing);
        FD_SET(server, &writing);
        select(server + 1, NULL, &writing, NULL, &limit);
        rounds++;
    }
    printf("it never slept: %s\n", yes(rounds > 5));
    struct timeval limit = {.tv_usec = 50000};
    begin = now_ms();
    select(0, NULL, NULL, NULL, &limit); /* nothing to send: it asks about nobody */
    printf("without that question it slept: %s\n", yes(now_ms() - begin >= 45));
}

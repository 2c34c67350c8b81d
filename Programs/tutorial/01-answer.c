/* 01-answer.c - how much the kernel takes from a sender whose peer does not read. */
#include "tutorial.h"

int main(void) {
    int client, server;
    static char bytes[65536];
    size_t taken = 0;
    ssize_t count;
    connection(&client, &server);
    do_not_block(client);
    while ((count = send(client, bytes, sizeof bytes, 0)) > 0)
        taken += (size_t)count;
    printf("it took more than 64 KiB: %s\n", yes(taken > 65536));
    printf("it took less than 64 MiB: %s\n", yes(taken < 64 << 20));
    printf("and then it said: %s\n", strerrorname_np(errno));
}

/* 05-answer.c - the urgent byte needs a read of its own, and the other bytes come as always. */
#include <poll.h>

#include "tutorial.h"

int main(void) {
    int client, server;
    char urgent, bytes[10];
    connection(&client, &server);
    send(client, "ab", 2, 0);
    send(client, "!", 1, MSG_OOB);
    struct pollfd one = {.fd = server, .events = POLLPRI};
    poll(&one, 1, 1000);
    must((int)recv(server, &urgent, 1, MSG_OOB), "recv");
    printf("urgent: %c\n", urgent);
    printf("others: %.*s\n", (int)recv(server, bytes, sizeof bytes, 0), bytes);
}

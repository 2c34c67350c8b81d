/* 10-half-close.c - a client sends everything, ends its side, and waits for the answer. */
#include "tutorial.h"

static void ask(int client) {
    send(client, "question", 8, 0);
    shutdown(client, SHUT_WR); /* the client sends no more, and waits for the answer */
}

int main(void) {
    int client, server;
    char bytes[100];

    /* [wrong] */
    connection(&client, &server);
    ask(client);
    while (recv(server, bytes, sizeof bytes, 0) > 0) {
    }
    close(server); /* "the client has left" */
    ssize_t count = recv(client, bytes, sizeof bytes, 0);
    printf("closed at the end of the input: the client gets %zd bytes\n", count);
    /* [end] */

    /* [right] */
    connection(&client, &server);
    ask(client);
    while (recv(server, bytes, sizeof bytes, 0) > 0) {
    }
    send(server, "answer", 6, 0); /* its other direction is open */
    close(server);
    count = recv(client, bytes, sizeof bytes, 0);
    printf("answered first, then closed: the client gets %zd bytes\n", count);
    /* [end] */
}

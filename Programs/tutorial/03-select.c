/* 03-select.c - select returns a number, and overwrites its sets. "Can be read" does not mean "has
 * bytes". */
#include <sys/select.h>

#include "tutorial.h"

int main(void) {
    int client, server;
    char bytes[100];
    struct timeval at_once = {0};
    fd_set list;
    connection(&client, &server);

    /* [overwritten] */
    FD_ZERO(&list);
    FD_SET(server, &list);
    select(server + 1, &list, NULL, NULL, &at_once);
    send(client, "hello", 5, 0);
    int count = select(server + 1, &list, NULL, NULL, &at_once);
    printf("asked again with the same set: %d\n", count);
    FD_SET(server, &list);
    count = select(server + 1, &list, NULL, NULL, NULL);
    printf("asked with a set that is filled anew: %d\n", count);
    /* [end] */

    /* [wrong] */
    recv(server, bytes, sizeof bytes, 0);
    close(client);
    int rounds = 0, received = 0;
    while (rounds < 1000) { /* without this bound: for ever, with the processor at 100 % */
        FD_SET(server, &list);
        select(server + 1, &list, NULL, NULL, NULL);
        received += (int)recv(server, bytes, sizeof bytes, 0);
        rounds++;
    }
    printf("the client has left: readable %d times, %d bytes\n", rounds, received);
    /* [end] */

    /* [right] */
    FD_SET(server, &list);
    select(server + 1, &list, NULL, NULL, NULL);
    if (recv(server, bytes, sizeof bytes, 0) == 0) {
        FD_CLR(server, &list);
        close(server);
        printf("a read of 0 bytes is the end: closed, and off the list\n");
    }
    /* [end] */
}

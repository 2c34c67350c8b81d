/* 07-poll.c - poll keeps the question and the answer apart, knows no limit, and says more. */
#include <poll.h>

#include "tutorial.h"

static const char *words(int flags) {
    static char text[100];
    snprintf(text, sizeof text, "%s%s%s%s", flags & POLLIN ? " POLLIN" : "",
             flags & POLLHUP ? " POLLHUP" : "", flags & POLLERR ? " POLLERR" : "",
             flags & POLLNVAL ? " POLLNVAL" : "");
    return *text ? text : " nothing";
}

int main(void) {
    int clients[2], servers[2];
    connection(&clients[0], &servers[0]);
    connection(&clients[1], &servers[1]);

    /* [poll] */
    struct pollfd list[2] = {
        {.fd = servers[0], .events = POLLIN},
        {.fd = servers[1], .events = POLLIN},
    };
    send(clients[1], "hello", 5, 0);
    printf("ready: %d\n", poll(list, 2, -1));
    printf("A:%s\n", words(list[0].revents));
    printf("B:%s\n", words(list[1].revents));
    printf("asked again, with the same list: %d\n", poll(list, 2, -1));
    /* [end] */

    /* [wrong] */
    close(servers[1]); /* but it stays on the list */
    int rounds = 0;
    while (rounds < 1000 && poll(list, 2, 1000) > 0)
        rounds++; /* without this bound: for ever */
    printf("closed, and still on the list: reported %d times, as%s\n", rounds,
           words(list[1].revents));
    /* [end] */

    /* [right] */
    list[1].fd = -1; /* poll ignores a negative number */
    printf("taken off the list: %d\n", poll(list, 2, 50));
    /* [end] */
}

/* 05-exceptional.c - the third list is not for errors: it is for an urgent byte. */
#include <sys/select.h>

#include "tutorial.h"

/* Says in which of select's lists `fd` is, within 100 ms. */
static void look(const char *what, int fd) {
    struct timeval limit = {.tv_usec = 100000};
    fd_set reading, excepting;
    FD_ZERO(&reading);
    FD_ZERO(&excepting);
    FD_SET(fd, &reading);
    FD_SET(fd, &excepting);
    select(fd + 1, &reading, NULL, &excepting, &limit);
    printf("%s: readable %s, exceptional %s\n", what, yes(FD_ISSET(fd, &reading)),
           yes(FD_ISSET(fd, &excepting)));
}

int main(void) {
    int client, server;
    char bytes[10];

    /* [wrong] */
    connection(&client, &server);
    struct linger reset = {.l_onoff = 1};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(client); /* by a reset, which is certainly an error */
    look("a reset", server);
    recv(server, bytes, sizeof bytes, 0);
    printf("and the read says: %s\n", strerrorname_np(errno));
    /* [end] */

    /* [right] */
    connection(&client, &server);
    send(client, "!", 1, MSG_OOB);
    look("an urgent byte", server);
    /* [end] */
}

/* 10-answer.c - a close with unread bytes resets the connection, and what was on its way is lost.
 * So shut down first, read the rest, and then close. */
#include "tutorial.h"

enum { ANSWER = 4 << 20 };

/* Returns whether the client has the whole answer. */
static int arrives(int in_order) {
    static char bytes[ANSWER];
    int client, server, size = 8 << 20;
    size_t received = 0;
    ssize_t count;
    connection(&client, &server);
    setsockopt(server, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    setsockopt(server, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    send(client, "a question, and more that is not read", 37, 0);
    recv(server, bytes, 10, 0);
    do_not_block(server);
    size_t taken = 0;
    while (taken < ANSWER && (count = send(server, bytes, ANSWER - taken, 0)) > 0)
        taken += (size_t)count; /* in the kernel, and not with the client yet */
    if (!in_order)
        close(server);
    else
        shutdown(server, SHUT_WR);
    while ((count = recv(client, bytes, sizeof bytes, 0)) > 0)
        received += (size_t)count;
    if (in_order) {
        shutdown(client, SHUT_WR);
        fcntl(server, F_SETFL, 0);
        while (recv(server, bytes, sizeof bytes, 0) > 0) {
        }
        close(server);
    }
    close(client);
    return count == 0 && received == taken;
}

int main(void) {
    printf("closed at once: all of the answer arrives: %s\n", yes(arrives(0)));
    printf("end, rest, close: all of the answer arrives: %s\n", yes(arrives(1)));
}

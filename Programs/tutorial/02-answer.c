/* 02-answer.c - the listening socket is on the same list. If it can be read, a client is waiting
 * to be accepted. */
#include <sys/select.h>

#include "tutorial.h"

int main(void) {
    int listening = listener();
    fd_set list;
    FD_ZERO(&list);
    FD_SET(listening, &list);
    struct timeval at_once = {0};
    printf("before a client comes: %d\n", select(listening + 1, &list, NULL, NULL, &at_once));
    int client = client_of(listening);
    FD_SET(listening, &list);
    printf("after it has come: %d\n", select(listening + 1, &list, NULL, NULL, NULL));
    int server = must(accept(listening, NULL, NULL), "accept");
    FD_SET(listening, &list);
    printf("after the accept: %d\n", select(listening + 1, &list, NULL, NULL, &at_once));
    close(server);
    close(client);
}

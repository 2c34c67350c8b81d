/* 02-list.c - three clients. The first one sends nothing. */
#include <sys/select.h>

#include "tutorial.h"

int main(void) {
    int clients[3], servers[3];
    char bytes[100];
    for (int i = 0; i < 3; i++)
        connection(&clients[i], &servers[i]);

    /* [wrong] */
    long long begin = now_ms();
    send(clients[1], "from B", 6, 0);
    for (int i = 0; i < 2; i++) {
        give_up_after(servers[i], 200); /* without this line B is never heard */
        ssize_t count = recv(servers[i], bytes, sizeof bytes, 0);
        printf("%c: %.*s\n", 'A' + i, (int)(count > 0 ? count : 7), count > 0 ? bytes : "nothing");
    }
    printf("B waited for A: %s\n", yes(now_ms() - begin >= 195));
    /* [end] */

    /* [right] */
    send(clients[1], "from B", 6, 0);
    send(clients[2], "from C", 6, 0);
    fd_set list;
    FD_ZERO(&list);
    for (int i = 0; i < 3; i++)
        FD_SET(servers[i], &list);
    int count = select(servers[2] + 1, &list, NULL, NULL, NULL);
    printf("select says that %d can be read:\n", count);
    for (int i = 0; i < 3; i++)
        if (FD_ISSET(servers[i], &list))
            printf("%c: %.*s\n", 'A' + i, (int)recv(servers[i], bytes, sizeof bytes, 0), bytes);
    /* [end] */
}

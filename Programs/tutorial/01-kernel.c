/* 01-kernel.c - the kernel keeps the bytes of a connection until the program reads them. */
#include <sys/ioctl.h>

#include "tutorial.h"

static int waiting(int fd) {
    int count = 0;
    must(ioctl(fd, FIONREAD, &count), "FIONREAD");
    return count;
}

int main(void) {
    int client, server;
    char bytes[100];
    connection(&client, &server);

    /* [kernel] */
    send(client, "hello", 5, 0);
    printf("in the kernel: %d bytes\n", waiting(server));
    ssize_t count = recv(server, bytes, sizeof bytes, 0);
    printf("read: %zd bytes, and %d are left\n", count, waiting(server));
    /* [end] */

    /* [wrong] */
    give_up_after(server, 200); /* without this line: for ever */
    long long begin = now_ms();
    count = recv(server, bytes, sizeof bytes, 0);
    printf("a read of nothing slept all 200 ms: %s\n", yes(now_ms() - begin >= 195));
    /* [end] */

    /* [right] */
    do_not_block(server);
    count = recv(server, bytes, sizeof bytes, 0);
    printf("a read that does not block: %s\n", strerrorname_np(errno));
    /* [end] */
}

/* 11-loop.c - callbacks, and an event of a connection that is gone. Then the same with a loop that
 * is pulled. */
#include <poll.h>
#include <sluice.h>

#include "tutorial.h"

static int fds[2], stranger;

/* [wrong] */
static void on_b(int fd) {
    char bytes[100];
    printf("B's callback reads: %.*s\n", (int)recv(fd, bytes, sizeof bytes, 0), bytes);
}

static void on_a(int fd) {
    (void)fd;
    printf("A's callback closes B\n");
    close(fds[1]);
    dup(stranger); /* somebody is accepted, and the kernel gives them B's number */
}

static void dispatch(void) {
    void (*callbacks[2])(int) = {on_a, on_b};
    struct pollfd list[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
    poll(list, 2, 1000);
    for (int i = 0; i < 2; i++)
        if (list[i].revents) /* gathered before B was closed */
            callbacks[i](fds[i]);
}
/* [end] */

/* [right] */
static void pull(sluice_loop *loop, const sluice_id ids[2]) {
    sluice_event event;
    while (sluice_next(loop, &event, 100000000) > 0) {
        int is_b = event.id == ids[1];
        if (event.kind == SLUICE_DATA && !is_b) {
            printf("DATA of A: close B\n");
            sluice_abort(loop, ids[1]);
        } else {
            printf("%s of %c\n", event.kind == SLUICE_CLOSED ? "CLOSED" : "DATA", is_b ? 'B' : 'A');
        }
    }
}
/* [end] */

int main(void) {
    int a, b, c;
    connection(&a, &fds[0]);
    connection(&b, &fds[1]);
    connection(&c, &stranger);
    send(a, "from A", 6, 0);
    send(b, "from B", 6, 0);
    send(c, "from a stranger", 15, 0);
    must(dup(a), "dup"); /* so that B's number will be the lowest free one */
    dispatch();

    sluice_loop *loop;
    sluice_id ids[2];
    int servers[2];
    connection(&a, &servers[0]);
    connection(&b, &servers[1]);
    must(sluice_open(&loop, NULL), "sluice_open");
    for (int i = 0; i < 2; i++)
        must(sluice_adopt(loop, &ids[i], servers[i], NULL), "sluice_adopt");
    send(a, "from A", 6, 0);
    send(b, "from B", 6, 0);
    pull(loop, ids);
    sluice_destroy(loop);
}

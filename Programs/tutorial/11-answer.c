/* 11-answer.c - Sluice recognises an id whose handle has ended, even if another handle has the
 * number of its descriptor. */
#include <sluice.h>

#include "tutorial.h"

int main(void) {
    int client, server;
    sluice_loop *loop;
    sluice_id old, id;
    sluice_event event;
    must(sluice_open(&loop, NULL), "sluice_open");
    connection(&client, &server);
    must(sluice_adopt(loop, &old, server, NULL), "sluice_adopt");
    must(dup(client), "dup"); /* so that the server's number will be the lowest free one */
    sluice_abort(loop, old);
    while (sluice_next(loop, &event, 100000000) > 0) {
    }
    int again = must(dup(client), "dup"); /* the lowest free number */
    printf("the number came back: %s\n", yes(again == server));
    must(sluice_adopt(loop, &id, again, NULL), "sluice_adopt");
    printf("the id did not: %s\n", yes(id != old));
    printf("a write by the old id: %s\n", sluice_error_name(sluice_write(loop, old, "x", 1)));
    sluice_destroy(loop);
}

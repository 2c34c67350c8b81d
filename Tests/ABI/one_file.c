/* one_file.c - a program with sluice.c and sluice.h beside it, as C and as C++: a client talks to a
 * server in one loop, over each backend. */
#include "sluice.h"

#include <stdio.h>
#include <string.h>

static const char word[] = "over one file";

/* The first event of that kind that comes within a second, or 0. */
static sluice_id wait_for(sluice_loop *loop, uint32_t kind, sluice_event *event) {
    while (sluice_next(loop, event, INT64_C(1000000000)) > 0)
        if (event->kind == kind)
            return event->id;
    return 0;
}

static int talk(sluice_loop *loop) {
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener;
    sluice_id client;
    sluice_event event;
    if (sluice_listen(loop, &listener, "127.0.0.1:0", NULL) < 0 ||
        sluice_local_address(loop, listener, address, sizeof address) < 0 ||
        sluice_connect(loop, &client, address, NULL) < 0 ||
        sluice_write(loop, client, word, sizeof word) < 0)
        return 0;
    sluice_id server = wait_for(loop, SLUICE_DATA, &event);
    if (server == 0 || server == client || sluice_write(loop, server, event.data, event.length) < 0)
        return 0;
    if (wait_for(loop, SLUICE_DATA, &event) != client || event.length != sizeof word ||
        memcmp(event.data, word, sizeof word) != 0)
        return 0;
    if (sluice_close(loop, client) < 0 || wait_for(loop, SLUICE_CLOSED, &event) == 0)
        return 0;
    return sluice_post(loop, 7) == 0 && wait_for(loop, SLUICE_POSTED, &event) == 0 &&
           event.value == 7;
}

int main(void) {
    for (size_t i = 0; sluice_backend_name(i); i++) {
        sluice_options options;
        sluice_loop *loop;
        memset(&options, 0, sizeof options);
        options.size = sizeof options;
        options.backend = sluice_backend_name(i);
        if (sluice_open(&loop, &options) < 0 || !talk(loop) || sluice_destroy(loop) < 0) {
            printf("%s: failed\n", options.backend);
            return 1;
        }
    }
    puts("well");
    return 0;
}

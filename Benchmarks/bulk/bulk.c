/* bulk.c - Sluice under much data: the servers of peers/epoll_bulk.c, but for its echo.
 *
 *     bulk-c ADDRESS sink [BACKEND]             answers each MiB with a '+'
 *                    source [BACKEND]           answers each byte with a MiB
 *                    proxy UPSTREAM [BACKEND]   passes on
 *
 * Prints the address that it listens at, and ends with SIGTERM. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sluice.h"

enum { MIB = 1 << 20, AT_ONCE = 1 << 16, PERIOD = 251 };

static char pattern[AT_ONCE + PERIOD];

/* The user word of a source's stream: how much is still to be sent, in the lower half; and where in
 * the pattern it is. */
static void give(sluice_loop *loop, sluice_id id, uint64_t asked) {
    uint64_t user = 0;
    (void)sluice_user(loop, id, &user);
    uint64_t left = (user & UINT32_MAX) + asked, position = user >> 32;
    for (int code = 0; code == 0 && left > 0;) {
        size_t most = left < AT_ONCE ? (size_t)left : AT_ONCE;
        code = sluice_write(loop, id, pattern + position, most);
        left -= most;
        position = (position + most) % PERIOD;
    }
    (void)sluice_set_user(loop, id, position << 32 | left);
}

static void be_source(sluice_loop *loop, const sluice_event *event) {
    if (event->kind == SLUICE_DATA)
        give(loop, event->id, (uint64_t)event->length * MIB);
    else if (event->kind == SLUICE_DRAINED)
        give(loop, event->id, 0);
}

static void be_sink(sluice_loop *loop, const sluice_event *event) {
    if (event->kind != SLUICE_DATA)
        return;
    uint64_t received = event->user + event->length;
    for (; received >= MIB; received -= MIB)
        (void)sluice_write(loop, event->id, "+", 1);
    (void)sluice_set_user(loop, event->id, received);
}

static void be_proxy(sluice_loop *loop, const sluice_event *event, const char *upstream) {
    if (event->kind != SLUICE_ACCEPTED)
        return;
    sluice_id other;
    const sluice_stream_options options = {.size = sizeof options, .flags = SLUICE_THROTTLED};
    if (sluice_connect(loop, &other, upstream, &options) < 0 ||
        sluice_forward(loop, event->id, other) < 0 || sluice_forward(loop, other, event->id) < 0)
        (void)sluice_abort(loop, event->id);
}

int main(int argc, char **argv) {
    bool is_proxy = argc >= 4 && strcmp(argv[2], "proxy") == 0;
    int before = is_proxy ? 4 : 3;
    if (argc < before || argc > before + 1) {
        fprintf(stderr, "usage: bulk-c ADDRESS sink|source|proxy UPSTREAM [BACKEND]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i % PERIOD);
    sluice_options options = {.size = sizeof options, .backend = argv[before]};
    char address[SLUICE_ADDRESS_MAX];
    sluice_loop *loop;
    sluice_id id;
    int code = sluice_open(&loop, &options);
    if (code >= 0)
        code = sluice_signal(loop, &id, SIGTERM);
    if (code >= 0)
        code = sluice_listen(loop, &id, argv[1], NULL);
    if (code >= 0)
        code = sluice_local_address(loop, id, address, sizeof address);
    if (code < 0) {
        fprintf(stderr, "bulk-c: %s\n", sluice_error_message(code));
        return 1;
    }
    puts(address);
    fflush(stdout);
    sluice_event event;
    while (sluice_next(loop, &event, SLUICE_FOREVER) >= 0 && event.kind != SLUICE_SIGNAL) {
        if (is_proxy)
            be_proxy(loop, &event, argv[3]);
        else if (strcmp(argv[2], "sink") == 0)
            be_sink(loop, &event);
        else
            be_source(loop, &event);
    }
    return sluice_destroy(loop) < 0;
}

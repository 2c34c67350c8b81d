/* echo.c - Examples/c/echo.c with an address and a backend to choose, and an end: the server that
 * is measured. Prints the address that it listens at.
 *
 * With "own" it answers with bytes of its own memory, and with "parts" with a head and a body, as
 * most servers do. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sluice.h"
#ifdef WITH_LIBEVENT
#include "sluice_libevent.h"
#endif

static char own[1 << 16]; /* as much as one receive brings */

static bool pull(sluice_loop *loop, sluice_event *event) {
    return sluice_next(loop, event, SLUICE_FOREVER) >= 0 && event->kind != SLUICE_SIGNAL;
}

static void echo(sluice_loop *loop) {
    sluice_event event;
    while (pull(loop, &event))
        if (event.kind == SLUICE_DATA)
            sluice_write(loop, event.id, event.data, event.length);
}

static void answer(sluice_loop *loop) {
    sluice_event event;
    while (pull(loop, &event)) {
        if (event.kind != SLUICE_DATA)
            continue;
        memcpy(own, event.data, event.length);
        sluice_write(loop, event.id, own, event.length);
    }
}

static void answer_in_parts(sluice_loop *loop) {
    sluice_event event;
    while (pull(loop, &event)) {
        if (event.kind != SLUICE_DATA)
            continue;
        memcpy(own, event.data, event.length);
        size_t head = event.length / 4;
        const sluice_slice parts[] = {{own, head}, {own + head, event.length - head}};
        sluice_writev(loop, event.id, parts, 2);
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: echo ADDRESS [BACKEND [own|parts]]\n");
        return 2;
    }
    sluice_options options = {.size = sizeof options, .backend = argv[2]};
    char address[SLUICE_ADDRESS_MAX];
    sluice_loop *loop;
    sluice_id id;
    int code = 0;
#ifdef WITH_LIBEVENT
    code = sluice_libevent_register();
#endif
    if (code >= 0)
        code = sluice_open(&loop, &options);
    if (code >= 0)
        code = sluice_signal(loop, &id, SIGTERM);
    if (code >= 0)
        code = sluice_listen(loop, &id, argv[1], NULL);
    if (code >= 0)
        code = sluice_local_address(loop, id, address, sizeof address);
    if (code < 0) {
        fprintf(stderr, "echo: %s\n", sluice_error_message(code));
        return 1;
    }
    puts(address);
    fflush(stdout);
    if (argc < 4)
        echo(loop);
    else if (strcmp(argv[3], "own") == 0)
        answer(loop);
    else
        answer_in_parts(loop);
    return sluice_destroy(loop) < 0;
}

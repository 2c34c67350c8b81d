/* echo.c - Examples/c/echo.c with an address and a backend to choose, and an end: the server that
 * is measured. Prints the address that it listens at.
 *
 * With "own" it answers with bytes of its own memory, and with "parts" with a head and a body, as
 * most servers do. With "answer" each 64 bytes are answered with 1 KiB: what has come of the next
 * 64 is the stream's user word. With "shared" others may listen at the same address. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sluice.h"
#ifdef WITH_LIBEVENT
#include "sluice_libevent.h"
#endif

enum { RECEIVED_AT_ONCE = 1 << 16, REQUEST = 64, ANSWER = 1024 };

static char own[RECEIVED_AT_ONCE / REQUEST * ANSWER]; /* as much as one receive may ask for */

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

static void answer_requests(sluice_loop *loop) {
    for (size_t i = 0; i < sizeof own; i++)
        own[i] = (char)(i % ANSWER % 251);
    sluice_event event;
    while (pull(loop, &event)) {
        if (event.kind != SLUICE_DATA)
            continue;
        size_t length = (size_t)event.user + event.length;
        sluice_write(loop, event.id, own, length / REQUEST * ANSWER);
        if (length % REQUEST != event.user)
            sluice_set_user(loop, event.id, length % REQUEST);
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
        fprintf(stderr, "usage: echo ADDRESS [BACKEND [own|parts|answer|shared]]\n");
        return 2;
    }
    sluice_options options = {.size = sizeof options, .backend = argv[2]};
    const char *mode = argc > 3 ? argv[3] : "";
    sluice_listen_options listening = {.size = sizeof listening};
    if (strcmp(mode, "shared") == 0)
        listening.flags = SLUICE_REUSE_PORT;
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
        code = sluice_listen(loop, &id, argv[1], &listening);
    if (code >= 0)
        code = sluice_local_address(loop, id, address, sizeof address);
    if (code < 0) {
        fprintf(stderr, "echo: %s\n", sluice_error_message(code));
        return 1;
    }
    puts(address);
    fflush(stdout);
    if (strcmp(mode, "own") == 0)
        answer(loop);
    else if (strcmp(mode, "parts") == 0)
        answer_in_parts(loop);
    else if (strcmp(mode, "answer") == 0)
        answer_requests(loop);
    else
        echo(loop);
    return sluice_destroy(loop) < 0;
}

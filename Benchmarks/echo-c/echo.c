/* echo.c - Examples/c/echo.c with an address and a backend to choose, and an end: the server that
 * is measured. Prints the address that it listens at. */
#include <signal.h>
#include <stdio.h>

#include "sluice.h"
#ifdef WITH_LIBEVENT
#include "sluice_libevent.h"
#endif

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: echo ADDRESS [BACKEND]\n");
        return 2;
    }
    sluice_options options = {.size = sizeof options, .backend = argv[2]};
    char address[SLUICE_ADDRESS_MAX];
    sluice_loop *loop;
    sluice_event event;
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
    while (sluice_next(loop, &event, SLUICE_FOREVER) >= 0 && event.kind != SLUICE_SIGNAL)
        if (event.kind == SLUICE_DATA)
            sluice_write(loop, event.id, event.data, event.length);
    return sluice_destroy(loop) < 0;
}

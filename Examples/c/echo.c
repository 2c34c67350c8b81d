/* echo.c - a whole echo server, with write queues, backpressure and clean-up. */
#include <sluice.h>
#include <stdio.h>

int main(void) {
    sluice_loop *loop;
    sluice_event event;
    int code = sluice_open(&loop, NULL);
    if (code >= 0)
        code = sluice_listen(loop, NULL, "127.0.0.1:9999", NULL);
    while (code >= 0 && (code = sluice_next(loop, &event, SLUICE_FOREVER)) >= 0)
        if (event.kind == SLUICE_DATA)
            sluice_write(loop, event.id, event.data, event.length);
    fprintf(stderr, "echo: %s\n", sluice_error_message(code));
    return 1;
}

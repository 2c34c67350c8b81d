/* smallest.c - the smallest echo server, for its size: Examples/c/echo.c without its message, which
 * brings in the sentences of all errors. */
#include <sluice.h>

int main(void) {
    sluice_loop *loop;
    sluice_event event;
    if (sluice_open(&loop, NULL) < 0 || sluice_listen(loop, NULL, "127.0.0.1:9999", NULL) < 0)
        return 1;
    while (sluice_next(loop, &event, SLUICE_FOREVER) >= 0)
        if (event.kind == SLUICE_DATA)
            sluice_write(loop, event.id, event.data, event.length);
}

/* names.c - connects to localhost by name, again and again, and also only looks it up: for the runs
 * under faults. Each connection sends some bytes, a listener of the same loop echoes them, and the
 * connection is closed. Prints how many names were resolved, how many connections had their echo,
 * and how many ended with an error instead. */
#include <sluice.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 8
#define LENGTH 3000

static sluice_loop *loop;
static char address[SLUICE_ADDRESS_MAX];
static unsigned char bytes[LENGTH];
static size_t received[AT_ONCE];
static int begun, resolved, echoed, failed;

/* Our own connections have a user word: 1 + their place. Accepted ones have 0. */
static int begin(uint64_t place) {
    sluice_id id;
    begun++;
    received[place] = 0;
    if (sluice_resolve(loop, NULL, address, SLUICE_ANY_FAMILY, 0) < 0 ||
        sluice_connect(loop, &id, address, NULL) < 0 || sluice_set_user(loop, id, place + 1) < 0)
        return -1;
    return sluice_write(loop, id, bytes, sizeof bytes);
}

static void take(const sluice_event *event) {
    size_t *have = event->user ? &received[event->user - 1] : NULL;
    if (!have) {
        (void)sluice_write(loop, event->id, event->data, event->length);
        return;
    }
    if (event->length > LENGTH - *have || memcmp(event->data, bytes + *have, event->length) != 0)
        exit(2);
    *have += event->length;
    if (*have == LENGTH)
        (void)sluice_close(loop, event->id);
}

static void end(const sluice_event *event, int count) {
    if (!event->user)
        return;
    if (event->error == 0 && received[event->user - 1] == LENGTH)
        echoed++;
    else
        failed++;
    if (begun < count && begin(event->user - 1) < 0)
        exit(3);
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 100;
    char numeric[SLUICE_ADDRESS_MAX];
    sluice_id listener;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    if (sluice_open(&loop, NULL) < 0 || sluice_listen(loop, &listener, "127.0.0.1:0", NULL) < 0 ||
        sluice_local_address(loop, listener, numeric, sizeof numeric) < 0)
        return 1;
    snprintf(address, sizeof address, "localhost%s", strrchr(numeric, ':'));
    for (uint64_t place = 0; place < AT_ONCE; place++)
        if (begin(place) < 0)
            return 3;
    while (echoed + failed < begun || resolved < begun) {
        sluice_event event;
        if (sluice_next(loop, &event, SLUICE_FOREVER) < 0)
            continue;
        if (event.kind == SLUICE_RESOLVED)
            resolved += event.error == 0;
        else if (event.kind == SLUICE_DATA)
            take(&event);
        else if (event.kind == SLUICE_CLOSED)
            end(&event, count);
    }
    sluice_destroy(loop);
    printf("%d %d %d\n", resolved, echoed, failed);
}

/* ready.c - ROUNDS waits of a poller on which COUNT descriptors are always ready.
 *
 * The cost of one event is the difference between two runs of different ROUNDS, divided by the
 * difference in events: what starting costs falls out. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "sluice.h"

enum { MOST = 4096 };

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: ready BACKEND COUNT ROUNDS\n");
        return 2;
    }
    int count = atoi(argv[2]);
    long rounds = atol(argv[3]);
    if (count < 1 || count > MOST) {
        fprintf(stderr, "ready: COUNT is %d; it must be 1 to %d\n", count, MOST);
        return 2;
    }
    static sluice_ready events[MOST];
    sluice_poller *poller;
    int code = sluice_poller_create(&poller, argv[1]);
    for (int i = 0; i < count && code >= 0; i++)
        code = sluice_poller_add(poller, eventfd(1, EFD_CLOEXEC), SLUICE_READ, (uint64_t)i);
    uint64_t sum = 0;
    for (long round = 0; round < rounds && code >= 0; round++) {
        code = sluice_poller_wait(poller, events, count, SLUICE_FOREVER);
        for (int i = 0; i < code; i++)
            sum += events[i].user;
    }
    if (code < 0) {
        fprintf(stderr, "ready: %s\n", sluice_error_message(code));
        return 1;
    }
    sluice_poller_destroy(poller);
    printf("%llu\n", (unsigned long long)sum);
    return 0;
}

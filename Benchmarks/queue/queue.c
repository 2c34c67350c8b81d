/* queue.c - ROUNDS times one thing done to a byte queue, and undone again:
 *
 *     queue-LIBRARY append|take|move ROUNDS
 *
 *   append  1 KiB at a time, 64 of them to a queue that is then emptied
 *   take    4 KiB by a look and a removal, 16 times from a queue of 64 KiB
 *   move    64 KiB, whole, from one queue to another
 *
 * Counted by callgrind, and only within the library's calls in question (--toggle-collect), as the
 * difference of two runs of different ROUNDS, divided by the difference in calls: what starting
 * costs falls out, and so does the undoing. One program for each library. */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { APPENDED = 1024, TAKEN = 4096, FULL = 65536 };

static const char block[FULL];

static int append(void *queue, void *other) {
    (void)other;
    int good = 1;
    for (int i = 0; i < FULL / APPENDED && good; i++)
        good = queue_append(queue, block, APPENDED);
    return good && queue_drop(queue, FULL);
}

static int take(void *queue, void *other) {
    (void)other;
    int good = queue_append(queue, block, FULL);
    for (int i = 0; i < FULL / TAKEN && good; i++)
        good = queue_take(queue, TAKEN);
    return good;
}

static int move(void *queue, void *other) {
    return queue_append(queue, block, FULL) && queue_move(other, queue) && queue_drop(other, FULL);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(void *queue, void *other);
    } modes[] = {{"append", append}, {"take", take}, {"move", move}};
    size_t mode = 0;
    while (argc == 3 && mode < 3 && strcmp(argv[1], modes[mode].name) != 0)
        mode++;
    if (argc != 3 || mode == 3) {
        fprintf(stderr, "usage: queue append|take|move ROUNDS\n");
        return 2;
    }
    void *queue = queue_open();
    void *other = queue_open();
    int good = queue && other;
    for (long round = atol(argv[2]); round > 0 && good; round--)
        good = modes[mode].run(queue, other);
    return good ? 0 : 1;
}

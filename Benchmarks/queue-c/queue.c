/* queue.c - ROUNDS times one thing done to a public byte queue, and undone again:
 *
 *   append  1 KiB at a time, 64 of them to a queue that is then emptied
 *   take    4 KiB by a peek and a consume, 16 times from a queue of 64 KiB
 *   move    64 KiB, whole, from one queue to another
 *
 * Counted by callgrind, and only within the calls in question (--toggle-collect), as the difference
 * of two runs of different ROUNDS, divided by the difference in calls: what starting costs falls
 * out, and so does the undoing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice.h"

enum { APPENDED = 1024, TAKEN = 4096, FULL = 65536 };

static const char block[FULL];

static int append(sluice_queue *queue, sluice_queue *other) {
    (void)other;
    int code = 0;
    for (int i = 0; i < FULL / APPENDED && code == 0; i++)
        code = sluice_queue_append(queue, block, APPENDED);
    return code < 0 ? code : sluice_queue_consume(queue, FULL);
}

static int take(sluice_queue *queue, sluice_queue *other) {
    (void)other;
    sluice_slice slices[2];
    int code = sluice_queue_append(queue, block, FULL);
    for (int i = 0; i < FULL / TAKEN && code == 0; i++) {
        int count = sluice_queue_peek(queue, slices, 2);
        code = count < 0 ? count : sluice_queue_consume(queue, TAKEN);
    }
    return code;
}

static int move(sluice_queue *queue, sluice_queue *other) {
    int code = sluice_queue_append(queue, block, FULL);
    if (code < 0)
        return code;
    ptrdiff_t moved = sluice_queue_move(other, queue, SIZE_MAX);
    return moved < 0 ? (int)moved : sluice_queue_consume(other, FULL);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(sluice_queue *queue, sluice_queue *other);
    } modes[] = {{"append", append}, {"take", take}, {"move", move}};
    size_t mode = 0;
    while (argc == 3 && mode < 3 && strcmp(argv[1], modes[mode].name) != 0)
        mode++;
    if (argc != 3 || mode == 3) {
        fprintf(stderr, "usage: queue append|take|move ROUNDS\n");
        return 2;
    }
    sluice_queue *queue;
    sluice_queue *other = NULL;
    int code = sluice_queue_init(&queue, 0);
    if (code == 0)
        code = sluice_queue_init(&other, 0);
    for (long round = atol(argv[2]); round > 0 && code == 0; round--)
        code = modes[mode].run(queue, other);
    if (code < 0)
        fprintf(stderr, "queue: %s\n", sluice_error_message(code));
    sluice_queue_destroy(other);
    sluice_queue_destroy(queue);
    return code < 0 ? 1 : 0;
}

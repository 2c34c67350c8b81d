/* 09-answer.c - with one mark, a server starts and stops reading at each piece. With two, it seldom
 * does. */
#include "tutorial.h"

/* The queue gets a piece of 10 whenever the server reads, and the client takes 1 a turn. Returns
 * how often the server stops reading in 10,000 turns. */
static int stops(int high, int low) {
    int queue = 0, reads = 1, count = 0;
    for (int turn = 0; turn < 10000; turn++) {
        if (reads)
            queue += 10;
        if (reads && queue > high)
            reads = 0, count++;
        if (queue > 0)
            queue--;
        if (!reads && queue <= low)
            reads = 1;
    }
    return count;
}

int main(void) {
    printf("one mark, of 1,000: it stops %d times\n", stops(1000, 1000));
    printf("two marks, of 1,000 and 250: it stops %d times\n", stops(1000, 250));
}

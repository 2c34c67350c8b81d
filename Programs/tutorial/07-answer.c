/* 07-answer.c - poll looks at each entry at each call: the same event costs more among many quiet
 * descriptors. */
#include <poll.h>
#include <sys/resource.h>

#include "tutorial.h"

enum { MANY = 400, ROUNDS = 2000 };

static long long nanoseconds(struct pollfd *list, nfds_t count) {
    struct timespec begin, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (int i = 0; i < ROUNDS; i++)
        poll(list, count, -1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec;
}

int main(void) {
    struct pollfd list[MANY + 1];
    for (int i = 0; i <= MANY; i++) {
        int ends[2];
        must(pipe(ends), "pipe");
        list[i] = (struct pollfd){.fd = ends[0], .events = POLLIN};
        if (i == 0)
            must((int)write(ends[1], "x", 1), "write");
    }
    long long few = nanoseconds(list, 1), many = nanoseconds(list, MANY + 1);
    printf("one ready, and %d that say nothing: over 4 times dearer: %s\n", MANY,
           yes(many > 4 * few));
}

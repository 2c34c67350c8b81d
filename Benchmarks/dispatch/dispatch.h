/* dispatch.h - what waits, as dispatch.c sees it: a few functions that each library's file has. */
#ifndef DISPATCH_H
#define DISPATCH_H

#include <stddef.h>
#include <unistd.h>

/* Makes what waits, for `count` descriptors; `backend` may be NULL. 0 where it cannot. */
int dispatch_open(const char *backend, int count);

/* Begins to wait for `fd`, the one numbered `index`, to be readable. 0 where it cannot. */
int dispatch_watch(int fd, int index);

/* Waits once, and calls on_ready for each that is ready. */
void dispatch_wait(void);

/* A cascade: who is ready reads its byte and writes one to its neighbour, while any are left.
 * Without pipes nothing is read, and all are ready always. */
struct cascade {
    int (*pipes)[2]; /* what each reads from, and what is written to for it */
    size_t unit;     /* bytes that are read or written at a time: of a pipe 1, of an eventfd 8 */
    int count;
    long left; /* bytes still to be written */
    long seen; /* events */
};

extern struct cascade cascade;

/* Out of line, so that without a cascade an event costs no registers saved for it. */
static __attribute__((noinline)) void pass_on(int index) {
    char bytes[8];
    ssize_t unit = (ssize_t)cascade.unit;
    if (read(cascade.pipes[index][0], bytes, cascade.unit) != unit)
        return;
    if (cascade.left > 0) {
        cascade.left--;
        int next = index + 1 < cascade.count ? index + 1 : 0;
        if (write(cascade.pipes[next][1], bytes, cascade.unit) != unit)
            _exit(1);
    }
}

static inline void on_ready(int index) {
    cascade.seen++;
    if (cascade.pipes)
        pass_on(index);
}

#endif

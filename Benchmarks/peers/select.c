/* select.c - an echo server on select(2) by hand. Its sets are longer than FD_SETSIZE: the kernel
 * takes any length, and only libc's fd_set ends at 1,024. */
#define _GNU_SOURCE
#include "peer.h"

#include <stdint.h>
#include <sys/select.h>

enum { WORDS = MOST_FDS / 64 };

struct set {
    uint64_t words[WORDS];
};

static void change(struct set *set, int fd, int in) {
    uint64_t bit = UINT64_C(1) << (fd % 64);
    if (in)
        set->words[fd / 64] |= bit;
    else
        set->words[fd / 64] &= ~bit;
}

static struct set reading, writing; /* what is asked */
static int highest;

static void want(int fd, enum wanted wanted) {
    change(&reading, fd, wanted == READING);
    change(&writing, fd, wanted == WRITING);
    if (fd > highest && wanted != ENDED)
        highest = fd;
}

static void serve(int fd, int listener) {
    if (fd != listener)
        want(fd, go_on(fd));
    else
        while ((fd = accept_at(listener)) >= 0)
            want(fd, READING);
}

int main(int argc, char **argv) {
    allow_many_descriptors();
    int listener = listen_at(argc, argv);
    want(listener, READING);
    for (;;) {
        static struct set readable, writable; /* and what is answered */
        int words = highest / 64 + 1;
        memcpy(&readable, &reading, (size_t)words * sizeof readable.words[0]);
        memcpy(&writable, &writing, (size_t)words * sizeof writable.words[0]);
        select(highest + 1, (fd_set *)&readable, (fd_set *)&writable, NULL, NULL);
        for (int word = 0; word < words; word++)
            for (uint64_t bits = readable.words[word] | writable.words[word]; bits != 0;
                 bits &= bits - 1)
                serve(word * 64 + __builtin_ctzll(bits), listener);
    }
}

/* 06-fdsetsize.c - an fd_set is 1,024 bits, and FD_SET does not look where it writes. */
#include <sys/resource.h>
#include <sys/select.h>

#include "tutorial.h"

/* A descriptor with a number of at least `least`. */
static int high(int fd, int least) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return must(fcntl(fd, F_DUPFD_CLOEXEC, least), "F_DUPFD");
}

int main(void) {
    int client, server;
    connection(&client, &server);
    int fd = high(server, 2000);

    /* [wrong] */
    union {
        fd_set set;
        unsigned char bytes[1024]; /* so that we can see what lies behind the set */
    } memory = {0};
    memory.bytes[fd / 8] |= (unsigned char)(1 << fd % 8); /* what FD_SET(fd, &memory.set) does */
    printf("an fd_set has %zu bytes, for the numbers 0 to %d\n", sizeof(fd_set), FD_SETSIZE - 1);
    printf("the bit of number %d is in byte %d: behind it\n", fd, fd / 8);
    /* [end] */

    /* [right] */
    size_t words = (size_t)fd / (8 * sizeof(long)) + 1;
    long *bits = calloc(words, sizeof *bits); /* one bit for each number */
    bits[(size_t)fd / (8 * sizeof(long))] |= 1L << (size_t)fd % (8 * sizeof(long));
    send(client, "hello", 5, 0);
    int count = select(fd + 1, (fd_set *)(void *)bits, NULL, NULL, NULL);
    printf("the kernel takes a longer set: %d can be read\n", count);
    /* [end] */
    free(bits);
}

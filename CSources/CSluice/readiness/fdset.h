/* fdset.h - the bit sets that select(2) takes, without fd_set's end at FD_SETSIZE. The kernel reads
 * as many words as the highest number needs. Only the C library's fd_set stops at 1,024. */
#ifndef SLUICE_FDSET_H
#define SLUICE_FDSET_H

#include "base/platform.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/select.h>

#include "base/deadline.h"

typedef unsigned long fdset_word;
#define FDSET_WORD_BITS ((int)(sizeof(fdset_word) * CHAR_BIT))

static inline size_t fdset_words(int fd_count) {
    return ((size_t)fd_count + (size_t)FDSET_WORD_BITS - 1) / (size_t)FDSET_WORD_BITS;
}

static inline fdset_word fdset_bit(int fd) {
    return (fdset_word)1 << (fd % FDSET_WORD_BITS);
}

static inline void fdset_insert(fdset_word *set, int fd) {
    set[fd / FDSET_WORD_BITS] |= fdset_bit(fd);
}

static inline void fdset_erase(fdset_word *set, int fd) {
    set[fd / FDSET_WORD_BITS] &= ~fdset_bit(fd);
}

static inline bool fdset_contains(const fdset_word *set, int fd) {
    return (set[fd / FDSET_WORD_BITS] & fdset_bit(fd)) != 0;
}

/* select(2). Returns how many bits are left in the three sets, or -errno. It calls pselect, which
 * takes nanoseconds. */
static inline int fdset_select(int fd_count, fdset_word *reading, fdset_word *writing,
                               fdset_word *excepting, int64_t timeout_ns) {
    struct timespec timeout;
    int ready = pselect(fd_count, (fd_set *)reading, (fd_set *)writing, (fd_set *)excepting,
                        timespec_of(timeout_ns, &timeout), NULL);
    return ready < 0 ? -errno : ready;
}

#endif

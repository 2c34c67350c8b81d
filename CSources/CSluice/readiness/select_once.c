/* select_once.c - select(2) in one call: sets built from lists, waited on, read back into lists.
 *
 * The sets of an ordinary program stand on the stack; only numbers above FD_SETSIZE ask for memory.
 */
#include "base/platform.h"

#include <stdlib.h>
#include <string.h>

#include "readiness/fdset.h"
#include "sluice.h"

enum { LIST_COUNT = 3, STACK_WORDS = FD_SETSIZE / (sizeof(fdset_word) * CHAR_BIT) };

/* How many numbers the sets must hold for `list`, or an error. */
static int fd_count_of(const sluice_fd_list *list) {
    if (!list || list->count == 0)
        return 0;
    if (!list->fds || !list->ready)
        return SLUICE_ENULL;
    int highest = -1;
    for (size_t i = 0; i < list->count; i++) {
        if (list->fds[i] < 0)
            return SLUICE_EBADF;
        if (list->fds[i] > highest)
            highest = list->fds[i];
    }
    if (highest < FD_SETSIZE)
        return highest + 1;
    /* A wild number must not ask for memory. One that asks for none select(2) itself refuses. */
    int code = sluice_fd_check(highest);
    return code < 0 ? code : highest + 1;
}

static void fill(fdset_word *set, size_t words, const sluice_fd_list *list) {
    memset(set, 0, words * sizeof *set);
    for (size_t i = 0; list && i < list->count; i++)
        fdset_insert(set, list->fds[i]);
}

static int collect(const fdset_word *set, sluice_fd_list *list) {
    if (!list)
        return 0;
    list->ready_count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (fdset_contains(set, list->fds[i]))
            list->ready[list->ready_count++] = list->fds[i];
    return (int)list->ready_count;
}

/* `sets` has room for three sets of `words` words. */
static int select_over(fdset_word *sets, size_t words, int fd_count,
                       sluice_fd_list *const lists[LIST_COUNT], int64_t timeout_ns) {
    int64_t deadline = deadline_after(timeout_ns);
    int code;
    do {
        for (size_t i = 0; i < LIST_COUNT; i++)
            fill(sets + i * words, words, lists[i]);
        code = fdset_select(fd_count, sets, sets + words, sets + 2 * words,
                            deadline_remaining(deadline));
    } while (code == -EINTR);
    if (code < 0)
        return code;
    int total = 0;
    for (size_t i = 0; i < LIST_COUNT; i++)
        total += collect(sets + i * words, lists[i]);
    return total;
}

int sluice_select(sluice_fd_list *reading, sluice_fd_list *writing, sluice_fd_list *excepting,
                  int64_t timeout_ns) {
    if (timeout_ns < 0)
        return SLUICE_ETIMEOUT;
    sluice_fd_list *const lists[LIST_COUNT] = {reading, writing, excepting};
    int fd_count = 0;
    for (size_t i = 0; i < LIST_COUNT; i++) {
        int needed = fd_count_of(lists[i]);
        if (needed < 0)
            return needed;
        if (needed > fd_count)
            fd_count = needed;
    }
    size_t words = fdset_words(fd_count);
    if (words <= STACK_WORDS) {
        fdset_word sets[LIST_COUNT * STACK_WORDS];
        return select_over(sets, words, fd_count, lists, timeout_ns);
    }
    fdset_word *sets = malloc(LIST_COUNT * words * sizeof *sets);
    if (!sets)
        return SLUICE_ENOMEM;
    int total = select_over(sets, words, fd_count, lists, timeout_ns);
    free(sets);
    return total;
}

/* select_once.c - select(2) in one call: sets built from lists, waited on, read back into lists.
 *
 * The sets of an ordinary program stand on the stack. Only numbers above FD_SETSIZE take memory.
 *
 * select(2) does not refuse everything that cannot be waited on:
 * - It looks at no number above the end of the process's table of descriptors, and leaves the bits
 *   there as they were. Every open number is in the table. So the highest number is checked first,
 *   unless it is so low that every table has it.
 * - It reports a descriptor opened with O_PATH as ready for all that was asked. So each number also
 *   stands in the third set. Otherwise only urgent data shows there, so each number that does show
 *   is checked. If nobody asked about its urgent data, it is then left out of the third set, and
 *   does not end the wait.
 *
 * Decided against: checking each number before the wait, which costs a system call for each.
 */
#include "base/platform.h"

#include <stdlib.h>
#include <string.h>

#include "readiness/fdset.h"
#include "sluice.h"

enum { LIST_COUNT = 3, ALL_SETS, STACK_WORDS = FD_SETSIZE / (sizeof(fdset_word) * CHAR_BIT) };

/* Raises *highest to the highest number in `list`; or an error. */
static int find_highest(const sluice_fd_list *list, int *highest) {
    if (!list || list->count == 0)
        return 0;
    if (!list->fds || !list->ready)
        return SLUICE_ENULL;
    for (size_t i = 0; i < list->count; i++) {
        if (list->fds[i] < 0)
            return SLUICE_EBADF;
        if (list->fds[i] > *highest)
            *highest = list->fds[i];
    }
    return 0;
}

static void insert_all(fdset_word *set, const sluice_fd_list *list) {
    for (size_t i = 0; list && i < list->count; i++)
        fdset_insert(set, list->fds[i]);
}

static void fill_set(fdset_word *set, size_t words, const sluice_fd_list *list) {
    memset(set, 0, words * sizeof *set);
    insert_all(set, list);
}

/* Checks the numbers of `list` that show in the third set, and takes them out of `watched`. Returns
 * how many there are, or SLUICE_EBADF. */
static int check_shown(const fdset_word *third, fdset_word *watched, const sluice_fd_list *list) {
    int count = 0;
    for (size_t i = 0; list && i < list->count; i++) {
        int fd = list->fds[i];
        if (!fdset_contains(third, fd) || !fdset_contains(watched, fd))
            continue;
        int code = sluice_fd_check(fd);
        if (code < 0)
            return code;
        fdset_erase(watched, fd);
        count++;
    }
    return count;
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

/* After a wait: returns how many numbers show in the third set although nobody asked about them
 * there, or an error. They are out of `watched` from now on. */
static int leave_out_unasked(const fdset_word *third, fdset_word *watched,
                             sluice_fd_list *const lists[LIST_COUNT]) {
    int unasked = 0;
    int asked = check_shown(third, watched, lists[2]);
    for (size_t i = 0; i < 2 && asked >= 0 && unasked >= 0; i++) {
        int count = check_shown(third, watched, lists[i]);
        unasked = count < 0 ? count : unasked + count;
    }
    insert_all(watched, lists[2]);
    return asked < 0 ? asked : unasked;
}

/* `sets` has room for four sets of `words` words. */
static int select_over(fdset_word *sets, size_t words, int fd_count,
                       sluice_fd_list *const lists[LIST_COUNT], int64_t timeout_ns) {
    fdset_word *third = sets + 2 * words;
    fdset_word *watched = sets + 3 * words; /* what the third set is filled with */
    int64_t deadline = deadline_after(timeout_ns);
    int ready;
    int unasked = 0;
    fill_set(watched, words, lists[0]);
    insert_all(watched, lists[1]);
    insert_all(watched, lists[2]);
    do {
        fill_set(sets, words, lists[0]);
        fill_set(sets + words, words, lists[1]);
        memcpy(third, watched, words * sizeof *third);
        ready = fdset_select(fd_count, sets, sets + words, third, deadline_remaining(deadline));
        if (ready > 0)
            unasked = leave_out_unasked(third, watched, lists);
        if (unasked < 0)
            return unasked;
    } while (ready == -EINTR || (ready > 0 && ready == unasked));
    if (ready < 0)
        return ready;
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
    int highest = -1;
    for (size_t i = 0; i < LIST_COUNT; i++) {
        int code = find_highest(lists[i], &highest);
        if (code < 0)
            return code;
    }
    /* A wild number must not ask for memory either. */
    int code = highest < FDSET_WORD_BITS ? 0 : sluice_fd_check(highest);
    if (code < 0)
        return code;
    int fd_count = highest + 1;
    size_t words = fdset_words(fd_count);
    if (words <= STACK_WORDS) {
        fdset_word sets[ALL_SETS * STACK_WORDS];
        return select_over(sets, words, fd_count, lists, timeout_ns);
    }
    fdset_word *sets = (fdset_word *)malloc(ALL_SETS * words * sizeof *sets);
    if (!sets)
        return SLUICE_ENOMEM;
    int total = select_over(sets, words, fd_count, lists, timeout_ns);
    free(sets);
    return total;
}

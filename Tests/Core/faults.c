/* faults.c - the wrappers that the linker puts before the program's own calls. The counters are
 * atomic, since a test with threads goes through them too. */
#include "faults.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
long __real_syscall(long number, ...);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
long __wrap_syscall(long number, ...);

static atomic_long asked;   /* allocations so far */
static atomic_long failing; /* the value of `asked` that fails; 0 for none */
static atomic_bool failed;  /* it was asked for */
static atomic_int pwait2_error;

void fail_allocation(long nth) {
    failed = false;
    failing = nth > 0 ? asked + nth : 0;
}

bool allocation_has_failed(void) {
    return failed;
}

long allocation_count(void) {
    return asked;
}

void fail_epoll_pwait2(int error) {
    pwait2_error = error;
}

static bool allocation_fails(void) {
    if (atomic_fetch_add(&asked, 1) + 1 != failing)
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size) {
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return allocation_fails() ? NULL : __real_realloc(block, size);
}

/* Passes on six words, as many as a system call has; those that were not given are not looked at.
 */
long __wrap_syscall(long number, ...) {
    if (number == SYS_epoll_pwait2 && pwait2_error != 0) {
        errno = pwait2_error;
        return -1;
    }
    long words[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++)
        words[i] = va_arg(list, long);
    va_end(list);
    return __real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

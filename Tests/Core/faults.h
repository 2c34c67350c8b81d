/* faults.h - calls that the tests make fail, or count. The linker turns the program's own calls of
 * these to the wrappers here (ld --wrap); a library's inner calls go past them. Every wrapper
 * passes through until it is told otherwise.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>

/* The `nth` allocation from now fails, from 1; 0 lets all succeed. */
void fail_allocation(long nth);

/* Whether the one told to fail was asked for. */
bool allocation_has_failed(void);

/* Allocations asked for since the program began. */
long allocation_count(void);

/* epoll_pwait2 fails with this errno from now on; 0 passes it through. */
void fail_epoll_pwait2(int error);

#endif

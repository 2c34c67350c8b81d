/* faults.h - calls that the tests make fail, or count. The linker turns the program's own calls
 * into calls of the wrappers here (ld --wrap). Calls inside a library do not go through them. Every
 * wrapper only passes the call on until a test tells it otherwise.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The `nth` allocation from now fails, from 1; 0 lets all succeed. */
void fail_allocation(long nth);

/* Whether the one told to fail was asked for. */
bool allocation_has_failed(void);

/* Since the program began: allocations asked for, and those that have not been freed. */
long allocation_count(void);
long live_allocation_count(void);

/* System calls since the program began, of those that the core makes while it runs: what creates
 * and ends a poller, and the sockets, are not counted. */
long system_call_count(void);

/* Of these, calls of send, sendmsg and sendfile, and of epoll_ctl. */
long send_count(void);
long epoll_ctl_count(void);

/* epoll_pwait2 fails with this errno from now on; 0 passes it through. */
void fail_epoll_pwait2(int error);

/* epoll_create1 and epoll_create fail with this errno from now on, or eventfd does, or every
 * EPOLL_CTL_ADD but the next `after`; 0 passes them through. */
void fail_epoll_create(int error);
void fail_eventfd(int error);
void fail_epoll_adds(int error, int after);

/* The next `count` calls of accept4 fail with this errno. */
void fail_accepts(int error, int count);

/* socket fails with this errno from now on; 0 passes it through. */
void fail_sockets(int error);

/* `call` is made once, before the next unlinkat or flock: what another process does at that moment.
 * NULL takes it back. */
void before_unlink(void (*call)(void));
void before_flock(void (*call)(void));
/* pthread_create fails with this errno from now on; 0 passes it through. */
void fail_threads(int error);

/* Of sendfile, the call after the next `after` fails with this errno, once; where that is EPIPE it
 * raises the signal as the kernel does. */
void fail_send_file(int error, int after);
/* It moves no more than so many bytes at a time from now on; 0 for as many as go. */
void shorten_send_files(size_t most);

/* Every other call of read, send, sendmsg and sendfile fails with EINTR from now on, or none. */
void interrupt_calls(bool every_other);

/* The next `count` calls of read and recvmsg fail with this errno. */
void fail_receives(int error, int count);

/* The next `count` callers that accept4 finds are gone: it takes each out of the queue and fails
 * with this errno, as the kernel does for an error of the network. */
void fail_callers(int error, int count);

/* Whatever waits (epoll, poll, select) fails with this errno from now on; 0 passes it through. */
void fail_waits(int error);

/* Time that is made up: from now on CLOCK_MONOTONIC stands still, but that a wait in which nothing
 * is ready puts it forward by its timeout and returns. One without a timeout waits as ever. */
void simulate_time(bool on);

/* Time that a program spends on something else: made-up time goes on by so much. */
void pass_time(int64_t ns);

/* poll(2) as it is, where time is made up and waits fail, too. */
struct pollfd;
int poll_for_real(struct pollfd *fds, size_t count, int timeout_ms);

/* Under the interposer of Tests/Faults: whether it is there, and whether its faults happen to this
 * thread. They do not until they are asked for. */
bool has_interposer(void);
void inject_faults(bool on);

#endif

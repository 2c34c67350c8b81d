/* faults.h - calls that the tests make fail, or count. The linker turns the program's own calls
 * into calls of the wrappers here (ld --wrap). Calls inside a library do not go through them. Every
 * wrapper only passes the call on until a test tells it otherwise.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The `nth` allocation from now fails, counted from 1. With 0, all succeed. */
void fail_allocation(long nth);

/* Whether the allocation that was to fail has been asked for. */
bool allocation_has_failed(void);

/* How many allocations there were since the program began, and how many have not been freed. */
long allocation_count(void);
long live_allocation_count(void);

/* How many system calls the core has made since the program began. Calls that create and end a
 * poller, and calls for sockets, are not counted. */
long system_call_count(void);

/* How many of these were calls of send, sendmsg and sendfile, and how many of epoll_ctl. */
long send_count(void);
long epoll_ctl_count(void);

/* epoll_pwait2 fails with this errno from now on. With 0 it works again. */
void fail_epoll_pwait2(int error);

/* From now on these fail with this errno: epoll_create1 and epoll_create; eventfd; every
 * EPOLL_CTL_ADD except the next `after`. With 0 they work again. */
void fail_epoll_create(int error);
void fail_eventfd(int error);
void fail_epoll_adds(int error, int after);

/* The program has more rights than who started it, whose environment is not to be trusted then
 * (secure_getenv(3)). */
void pretend_more_rights(bool on);

/* The next `count` calls of accept4 fail with this errno. */
void fail_accepts(int error, int count);

/* socket fails with this errno from now on. With 0 it works again. */
void fail_sockets(int error);

/* `call` is made once, before the next unlinkat or flock, as if another process did something at
 * that moment. NULL takes it back. */
void before_unlink(void (*call)(void));
void before_flock(void (*call)(void));
/* pthread_create fails with this errno from now on. With 0 it works again. */
void fail_threads(int error);

/* The call of sendfile after the next `after` calls fails with this errno, once. With EPIPE it
 * raises the signal, as the kernel does. */
void fail_send_file(int error, int after);
/* sendfile moves at most `most` bytes at a time from now on. With 0, as many as go. */
void shorten_send_files(size_t most);

/* From now on every other call of read, send, sendmsg and sendfile fails with EINTR, or none. */
void interrupt_calls(bool every_other);

/* The next `count` calls of read and recvmsg fail with this errno. */
void fail_receives(int error, int count);

/* The next `count` callers that accept4 finds are gone: it takes each out of the queue and fails
 * with this errno, as the kernel does for an error of the network. */
void fail_callers(int error, int count);

/* Every wait (epoll, poll, select) fails with this errno from now on. With 0 waits work again. */
void fail_waits(int error);

/* Simulates time: from now on CLOCK_MONOTONIC stands still. If nothing is ready, a wait puts the
 * clock forward by its timeout and returns. A wait without a timeout waits as always. */
void simulate_time(bool on);

/* Puts simulated time forward, as if the program spent so much time on something else. */
void pass_time(int64_t ns);

/* The real poll(2), even if time is simulated and waits fail. */
struct pollfd;
int poll_for_real(struct pollfd *fds, size_t count, int timeout_ms);

/* Whether the interposer of Tests/Faults is there, and whether its faults happen to this thread.
 * They do not happen until a program asks for them. */
bool has_interposer(void);
void inject_faults(bool on);

#endif

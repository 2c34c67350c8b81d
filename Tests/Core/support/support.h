/* support.h - what the tests of the core share: running a test over each backend, descriptors and
 * pollers that end with the test, and waiting for what will come.
 *
 * A test is a function without arguments. Whatever it makes through make_poller, keep and the
 * pairs is given back after it, passed or failed. Then as many descriptors must be open as before.
 * So a test that leaks a descriptor fails, and so does a test whose descriptor the core has closed.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)

/* How long to wait for what must come. A test that passes does not wait so long. */
#define PATIENCE_MS 20000
#define PATIENCE_NS (PATIENCE_MS * NS_PER_MS)

struct test {
    const char *name;
    void (*run)(void);
    const void *data;
};

/* The body of main: runs the tests, over every backend as "<backend>: <name>", or once. Returns
 * main's result. */
int run_over_backends(const struct test *tests, size_t count);
int run_once(const struct test *tests, size_t count);

/* The running test's backend (NULL under run_once) and data. */
const char *test_backend(void);
const void *test_data(void);

/* What the functions above do for each test, for a program that plays a test without cmocka. Tests
 * use descriptors above FD_SETSIZE, which the usual soft limit does not allow. */
void raise_fd_limit(void);
void begin_test(const char *backend);
void end_test(void);

/* A poller over the running test's backend. */
sluice_poller *make_poller(void);
bool poller_has(const sluice_poller *poller, enum sluice_feature feature);

/* Whether the running test's backend is this one, or is libevent with any of its methods. */
bool backend_is(const char *name);
bool over_libevent(void);
/* `wanted`, or one of the highest numbers that the backend takes. */
int number_up_to(int wanted);

/* Returns `fd`, which must be a descriptor. It is closed after the test. drop closes it now. */
int keep(int fd);
void drop(int fd);
/* `fd` is no longer the test's: somebody else closes it. Returns it. */
int release(int fd);

/* Makes `call(argument)` after the test, passed or failed, before descriptors are closed. The last
 * one is called first. */
void defer(void (*call)(void *), void *argument);

/* The path of an empty folder of the test's own. It is removed after the test, with everything in
 * it. With enter_test_folder it is the working directory meanwhile. */
const char *test_folder(void);
const char *enter_test_folder(void);

/* Moves the file from the number `fd` to the number `to`. Returns `to`. */
int move_fd(int fd, int to);
/* A duplicate of `fd`, at `lowest` or above. */
int duplicate(int fd, int lowest);
/* A number that is not open. */
int closed_number(void);

/* What is written to `far` can be read from `near`. In a pipe `near` is the reading end, and in a
 * pty it is the master. All are non-blocking. */
struct pair {
    int near;
    int far;
};
struct pair unix_pair(void);
/* Of SOCK_SEQPACKET, SOCK_DGRAM or SOCK_STREAM. */
struct pair unix_pair_of(int type);
struct pair pipe_pair(void);
struct pair tcp_pair(void);
/* Two sockets on the loopback that are connected to each other. */
struct pair udp_pair(void);
struct pair pty_pair(void);
int regular_file(void);
/* Opened with O_PATH. */
int path_descriptor(const char *path);
/* A socket with a byte to read. */
int readable(void);

/* TCP over the loopback: a socket that has a port and refuses, a socket that listens, and a
 * connection on its way to one of them. */
int tcp_bound(void);
int tcp_listener(int backlog);
int tcp_connect(int bound);

void put_byte(int fd);
void take_byte(int fd);
/* Writes until nothing more fits. */
void fill(int fd);

/* Waits, by poll(2), until `fd` shows one of `events`. */
void await(int fd, short events);

/* Waits for one event, and returns what sluice_poller_wait returns. */
int wait_one(sluice_poller *poller, int64_t timeout_ns);

int64_t monotonic_ns(void);
int64_t cpu_ns(void);
size_t open_fd_count(void);
/* How many threads this process has, plus a constant. */
size_t thread_count(void);

#endif

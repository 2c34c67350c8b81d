/* faults.c - the wrappers that the linker puts in front of the program's own calls. The counters
 * are atomic, because a test with threads uses them too. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "faults.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "hosts.h"

/* What the linker makes of a wrapped name: calls go to the first, and it calls the second. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
long __real_syscall(long number, ...);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);
void __real_free(void *block);
char *__wrap_strdup(const char *text);
char *__real_strdup(const char *text);
long __wrap_syscall(long number, ...);
int __wrap_fcntl(int fd, int command, ...);
int __real_fcntl(int fd, int command, ...);
ssize_t __wrap_read(int fd, void *bytes, size_t length);
ssize_t __real_read(int fd, void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);
ssize_t __real_write(int fd, const void *bytes, size_t length);
int __wrap_fstat(int fd, struct stat *status);
int __real_fstat(int fd, struct stat *status);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_select(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
                  struct timeval *timeout);
int __real_select(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
                  struct timeval *timeout);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __wrap_pselect(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
                   const struct timespec *timeout, const sigset_t *mask);
int __real_pselect(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
                   const struct timespec *timeout, const sigset_t *mask);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int timeout);
int __real_epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int timeout);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __real_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendfile(int to, int from, off_t *offset, size_t length);
ssize_t __real_sendfile(int to, int from, off_t *offset, size_t length);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_socket(int domain, int type, int protocol);
int __real_socket(int domain, int type, int protocol);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __real_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **list);
int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **list);
void __wrap_freeaddrinfo(struct addrinfo *list);
void __real_freeaddrinfo(struct addrinfo *list);
int __wrap_epoll_create1(int flags);
int __real_epoll_create1(int flags);
int __wrap_epoll_create(int size);
int __real_epoll_create(int size);
char *__wrap_secure_getenv(const char *name);
char *__real_secure_getenv(const char *name);
int __wrap_eventfd(unsigned count, int flags);
int __real_eventfd(unsigned count, int flags);

int __wrap_unlinkat(int folder, const char *path, int flags);
int __real_unlinkat(int folder, const char *path, int flags);
int __wrap_flock(int fd, int operation);
int __real_flock(int fd, int operation);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_clock_gettime(clockid_t clock, struct timespec *now);

static atomic_long asked;   /* allocations so far */
static atomic_long failing; /* the value of `asked` that fails; 0 for none */
static atomic_bool failed;  /* it was asked for */
static atomic_long live;
static atomic_long system_calls;
static atomic_long sends;
static atomic_long epoll_ctls;
static atomic_int pwait2_error;
static atomic_int create_error;
static atomic_int eventfd_error;
static atomic_int add_error;
static atomic_int good_adds; /* that still succeed before those that fail */
static atomic_int accept_error;
static atomic_int failing_accepts;
static atomic_int socket_error;
static void (*_Atomic unlink_call)(void);
static void (*_Atomic flock_call)(void);
static atomic_int thread_error;
static atomic_llong simulated_ns; /* 0 where time is real */
static atomic_bool interrupting;
static atomic_long interruptible; /* calls that may be interrupted */
static atomic_int caller_error;
static atomic_int failing_callers;
static atomic_int wait_error;
static atomic_int send_file_error;
static atomic_int good_send_files;
static atomic_size_t most_of_a_file;
static atomic_int receive_error;
static atomic_int failing_receives;

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

long live_allocation_count(void) {
    return live;
}

long system_call_count(void) {
    return system_calls;
}

long send_count(void) {
    return sends;
}

long epoll_ctl_count(void) {
    return epoll_ctls;
}

void fail_epoll_pwait2(int error) {
    pwait2_error = error;
}

void fail_epoll_create(int error) {
    create_error = error;
}

void fail_eventfd(int error) {
    eventfd_error = error;
}

void fail_epoll_adds(int error, int after) {
    good_adds = after;
    add_error = error;
}

void fail_accepts(int error, int count) {
    accept_error = error;
    failing_accepts = count;
}

void fail_sockets(int error) {
    socket_error = error;
}

void before_unlink(void (*call)(void)) {
    unlink_call = call;
}

void before_flock(void (*call)(void)) {
    flock_call = call;
}

void fail_threads(int error) {
    thread_error = error;
}

void interrupt_calls(bool every_other) {
    interrupting = every_other;
}

/* Whether a signal is said to have come before anything was done. */
static bool is_interrupted(void) {
    atomic_fetch_add(&system_calls, 1);
    if (!interrupting || atomic_fetch_add(&interruptible, 1) % 2 == 1)
        return false;
    errno = EINTR;
    return true;
}

void fail_send_file(int error, int after) {
    good_send_files = after;
    send_file_error = error;
}

void shorten_send_files(size_t most) {
    most_of_a_file = most;
}

void fail_receives(int error, int count) {
    receive_error = error;
    failing_receives = count;
}

static bool receive_fails(void) {
    if (is_interrupted())
        return true;
    if (failing_receives == 0)
        return false;
    failing_receives--;
    errno = receive_error;
    return true;
}

void fail_callers(int error, int count) {
    caller_error = error;
    failing_callers = count;
}

void fail_waits(int error) {
    wait_error = error;
}

static bool wait_fails(void) {
    if (wait_error == 0)
        return false;
    errno = wait_error;
    return true;
}

/* From Tests/Faults/plan.h. It exists if the interposer is loaded. */
extern void faults_inject(int on) __attribute__((weak));

bool has_interposer(void) {
    return faults_inject != NULL;
}

void inject_faults(bool on) {
    if (has_interposer())
        faults_inject(on);
}

static bool allocation_fails(void) {
    if (atomic_fetch_add(&asked, 1) + 1 != failing)
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

static void *count_live(void *block) {
    if (block)
        atomic_fetch_add(&live, 1);
    return block;
}

void *__wrap_malloc(size_t size) {
    return allocation_fails() ? NULL : count_live(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return allocation_fails() ? NULL : count_live(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size) {
    if (allocation_fails())
        return NULL;
    bool is_new = !block;
    void *grown = __real_realloc(block, size);
    return is_new ? count_live(grown) : grown;
}

char *__wrap_strdup(const char *text) {
    return allocation_fails() ? NULL : count_live(__real_strdup(text));
}

void __wrap_free(void *block) {
    if (block)
        atomic_fetch_sub(&live, 1);
    __real_free(block);
}

void simulate_time(bool on) {
    struct timespec now;
    __real_clock_gettime(CLOCK_MONOTONIC, &now);
    simulated_ns = on ? (long long)now.tv_sec * 1000000000 + now.tv_nsec : 0;
}

void pass_time(int64_t ns) {
    simulated_ns += ns;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
    bool is_monotonic = clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE;
    if (!is_monotonic || simulated_ns == 0)
        return __real_clock_gettime(clock, now);
    *now = (struct timespec){.tv_sec = (time_t)(simulated_ns / 1000000000),
                             .tv_nsec = (long)(simulated_ns % 1000000000)};
    return 0;
}

static const struct timespec no_time = {0, 0};

static bool skips_time(const struct timespec *timeout) {
    return simulated_ns != 0 && timeout != NULL;
}

/* After a wait that was not let wait: the time that it would have taken. */
static void skip_time(const struct timespec *timeout, long result) {
    if (result == 0)
        simulated_ns += (long long)timeout->tv_sec * 1000000000 + timeout->tv_nsec;
}

static struct timespec timespec_of_ms(int timeout) {
    return (struct timespec){.tv_sec = timeout / 1000, .tv_nsec = (long)(timeout % 1000) * 1000000};
}

/* Passes on six words, as many as a system call has. The kernel ignores those that are not given.
 */
long __wrap_syscall(long number, ...) {
    atomic_fetch_add(&system_calls, 1);
    if (number == SYS_epoll_pwait2 && pwait2_error != 0) {
        errno = pwait2_error;
        return -1;
    }
    if (number == SYS_epoll_pwait2 && wait_fails())
        return -1;
    long words[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++)
        words[i] = va_arg(list, long); // NOLINT(clang-analyzer-valist.Uninitialized): it is not
    va_end(list);
    const struct timespec *timeout = (const struct timespec *)words[3];
    if (number == SYS_epoll_pwait2 && skips_time(timeout)) {
        long result =
            __real_syscall(number, words[0], words[1], words[2], &no_time, words[4], words[5]);
        skip_time(timeout, result);
        return result;
    }
    return __real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

int __wrap_fcntl(int fd, int command, ...) {
    atomic_fetch_add(&system_calls, 1);
    va_list list;
    va_start(list, command);
    long word = va_arg(list, long);
    va_end(list);
    return __real_fcntl(fd, command, word);
}

ssize_t __wrap_read(int fd, void *bytes, size_t length) {
    return receive_fails() ? -1 : __real_read(fd, bytes, length);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    return receive_fails() ? -1 : __real_recvmsg(fd, message, flags);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t length) {
    atomic_fetch_add(&system_calls, 1);
    return __real_write(fd, bytes, length);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags) {
    atomic_fetch_add(&sends, 1);
    return is_interrupted() ? -1 : __real_send(fd, bytes, length, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    atomic_fetch_add(&sends, 1);
    return is_interrupted() ? -1 : __real_sendmsg(fd, message, flags);
}

ssize_t __wrap_sendfile(int to, int from, off_t *offset, size_t length) {
    atomic_fetch_add(&sends, 1);
    if (is_interrupted())
        return -1;
    if (send_file_error != 0 && good_send_files-- <= 0) {
        int error = atomic_exchange(&send_file_error, 0);
        if (error == EPIPE)
            raise(SIGPIPE);
        errno = error;
        return -1;
    }
    size_t most = most_of_a_file;
    return __real_sendfile(to, from, offset, most > 0 && most < length ? most : length);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    if (failing_accepts > 0) {
        failing_accepts--;
        errno = accept_error;
        return -1;
    }
    int caller = __real_accept4(fd, address, length, flags);
    if (failing_callers == 0 || caller < 0)
        return caller;
    failing_callers--;
    close(caller);
    errno = caller_error;
    return -1;
}

int __wrap_socket(int domain, int type, int protocol) {
    if (socket_error == 0)
        return __real_socket(domain, type, protocol);
    errno = socket_error;
    return -1;
}

int __wrap_unlinkat(int folder, const char *path, int flags) {
    void (*call)(void) = atomic_exchange(&unlink_call, NULL);
    if (call)
        call();
    return __real_unlinkat(folder, path, flags);
}

int __wrap_flock(int fd, int operation) {
    void (*call)(void) = atomic_exchange(&flock_call, NULL);
    if (call)
        call();
    return __real_flock(fd, operation);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) {
    return thread_error ? thread_error : __real_pthread_create(thread, attributes, run, argument);
}

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **list) {
    int error;
    return hosts_answer(host, hints, list, &error) ? error
                                                   : __real_getaddrinfo(host, service, hints, list);
}

void __wrap_freeaddrinfo(struct addrinfo *list) {
    if (!hosts_free(list))
        __real_freeaddrinfo(list);
}

int __wrap_fstat(int fd, struct stat *status) {
    atomic_fetch_add(&system_calls, 1);
    return __real_fstat(fd, status);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout) {
    atomic_fetch_add(&system_calls, 1);
    if (wait_fails())
        return -1;
    const struct timespec time = timespec_of_ms(timeout);
    bool skips = skips_time(timeout < 0 ? NULL : &time);
    int result = __real_poll(fds, count, skips ? 0 : timeout);
    if (skips)
        skip_time(&time, result);
    return result;
}

int poll_for_real(struct pollfd *fds, size_t count, int timeout_ms) {
    return __real_poll(fds, (nfds_t)count, timeout_ms);
}

int __wrap_select(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
                  struct timeval *timeout) {
    atomic_fetch_add(&system_calls, 1);
    if (wait_fails())
        return -1;
    if (!timeout || simulated_ns == 0)
        return __real_select(count, reading, writing, excepting, timeout);
    const struct timespec time = {.tv_sec = timeout->tv_sec, .tv_nsec = timeout->tv_usec * 1000};
    *timeout = (struct timeval){0, 0};
    int result = __real_select(count, reading, writing, excepting, timeout);
    skip_time(&time, result);
    return result;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask) {
    atomic_fetch_add(&system_calls, 1);
    if (wait_fails())
        return -1;
    bool skips = skips_time(timeout);
    int result = __real_ppoll(fds, count, skips ? &no_time : timeout, mask);
    if (skips)
        skip_time(timeout, result);
    return result;
}

int __wrap_pselect(int count, fd_set *reading, fd_set *writing, fd_set *excepting,
                   const struct timespec *timeout, const sigset_t *mask) {
    atomic_fetch_add(&system_calls, 1);
    if (wait_fails())
        return -1;
    bool skips = skips_time(timeout);
    int result =
        __real_pselect(count, reading, writing, excepting, skips ? &no_time : timeout, mask);
    if (skips)
        skip_time(timeout, result);
    return result;
}

int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int timeout) {
    atomic_fetch_add(&system_calls, 1);
    if (wait_fails())
        return -1;
    const struct timespec time = timespec_of_ms(timeout);
    bool skips = skips_time(timeout < 0 ? NULL : &time);
    int result = __real_epoll_wait(epoll_fd, events, capacity, skips ? 0 : timeout);
    if (skips)
        skip_time(&time, result);
    return result;
}

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event) {
    atomic_fetch_add(&system_calls, 1);
    atomic_fetch_add(&epoll_ctls, 1);
    if (operation == EPOLL_CTL_ADD && add_error != 0 && atomic_fetch_sub(&good_adds, 1) <= 0) {
        good_adds = 0;
        errno = add_error;
        return -1;
    }
    return __real_epoll_ctl(epoll_fd, operation, fd, event);
}

static bool fails(int error) {
    if (error != 0)
        errno = error;
    return error != 0;
}

int __wrap_epoll_create1(int flags) {
    return fails(create_error) ? -1 : __real_epoll_create1(flags);
}

int __wrap_epoll_create(int size) {
    return fails(create_error) ? -1 : __real_epoll_create(size);
}

static bool has_more_rights;

void pretend_more_rights(bool on) {
    has_more_rights = on;
}

char *__wrap_secure_getenv(const char *name) {
    return has_more_rights ? NULL : __real_secure_getenv(name);
}

int __wrap_eventfd(unsigned count, int flags) {
    return fails(eventfd_error) ? -1 : __real_eventfd(count, flags);
}

/* test_loop_allocation.c - a loop runs out of memory at every point. A scenario that uses every
 * call is run with its first allocation failing, then with its second, and so on until it has no
 * failure. This is done once with libc's allocator, and once with an allocator of the caller's.
 * Everything except the memory of posts must then come from the caller's allocator.
 *
 * A call that fails must say so, change nothing, and succeed when tried again. If no call is the
 * cause, a stream may end with that error, and a listener may be OVERLOADED with it. The scenario
 * then goes on, and at its end an echo works.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"
#include "hosts.h"

#define BIG ((size_t)300 * 1024)
#define HIGH_NUMBER 3000

static sluice_loop *loop;
static unsigned char bytes[BIG];

/* ---- The caller's allocator --------------------------------------------------------------------
 */

static struct {
    bool used;
    long asked;
    long failing; /* the one that fails; 0 for none */
    bool all_fail;
    bool has_failed;
    long libc_calls;
    long live;
} own;

static void *reallocate(void *context, void *block, size_t size) {
    assert_ptr_equal(context, &own);
    if (size == 0) {
        own.live--;
        free(block);
        return NULL;
    }
    if (++own.asked == own.failing || own.all_fail) {
        own.has_failed = true;
        return NULL;
    }
    own.libc_calls++;
    own.live += !block;
    return realloc(block, size);
}

static bool has_failed(void) {
    return own.used ? own.has_failed : allocation_has_failed();
}

/* ---- Calls that may fail once ------------------------------------------------------------------
 */

static uint64_t handle_count(void) {
    sluice_statistics stats = {.size = sizeof stats};
    assert_int_equal(sluice_stats(loop, &stats), 0);
    uint64_t count = 0;
    for (size_t kind = 0; kind < SLUICE_KINDS; kind++)
        count += stats.handles[kind];
    return count;
}

#define MUST(call)                                                                                 \
    do {                                                                                           \
        uint64_t before_call = handle_count();                                                     \
        int code = (call);                                                                         \
        if (code == SLUICE_ENOMEM) {                                                               \
            assert_true(has_failed());                                                             \
            assert_int_equal(handle_count(), before_call);                                         \
            code = (call);                                                                         \
        }                                                                                          \
        assert_true(code >= 0);                                                                    \
    } while (0)

/* Pulls until an event of that kind and handle comes (0 for any). Returns false if its stream ended
 * because there was no memory, or if a listener turned a caller away. */
static bool pull_for(uint32_t kind, sluice_id id, sluice_event *event) {
    int64_t deadline = monotonic_ns() + PATIENCE_NS;
    while (monotonic_ns() < deadline) {
        int code = sluice_next(loop, event, 50 * NS_PER_MS);
        assert_true(code >= 0 || (code == SLUICE_ENOMEM && has_failed()));
        if (code <= 0)
            continue;
        bool concerned = id == 0 || event->id == id;
        if (event->kind == kind && concerned)
            return true;
        if (event->kind == SLUICE_CLOSED || event->kind == SLUICE_OVERLOADED) {
            assert_true(event->error == SLUICE_ENOMEM && has_failed());
            return false;
        }
    }
    fail_msg("event %u did not come", kind);
    return false;
}

struct line {
    sluice_id id;
    int peer;
};

static struct line make_line(const sluice_stream_options *options) {
    struct line line;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    line.peer = fds[1];
    MUST(sluice_adopt(loop, &line.id, fds[0], options));
    return line;
}

/* Ends it at once, unless it has ended already. */
static void end_line(struct line line) {
    sluice_event event;
    if (sluice_kind_of(loop, line.id) > 0) {
        assert_int_equal(sluice_abort(loop, line.id), 0);
        do
            assert_int_equal(sluice_next(loop, &event, PATIENCE_NS), 1);
        while (event.kind != SLUICE_CLOSED || event.id != line.id);
        assert_int_equal(event.error, -ECONNABORTED);
    }
    close(line.peer);
}

static void put(int fd, size_t begin, size_t length) {
    assert_int_equal(write(fd, bytes + begin, length), length);
}

/* Reads bytes [begin, end) at the peer while the loop sends them. Returns false if the stream
 * ended. */
static bool take(struct line line, size_t begin, size_t end) {
    static unsigned char read_bytes[BIG];
    int64_t deadline = monotonic_ns() + PATIENCE_NS;
    while (begin < end && monotonic_ns() < deadline) {
        ssize_t count = read(line.peer, read_bytes, end - begin);
        if (count > 0) {
            assert_memory_equal(read_bytes, bytes + begin, (size_t)count);
            begin += (size_t)count;
            continue;
        }
        sluice_event event;
        int code = sluice_next(loop, &event, 0);
        assert_true(code >= 0);
        if (code == 1 && event.kind == SLUICE_CLOSED) {
            assert_true(event.error == SLUICE_ENOMEM && has_failed());
            assert_true(event.length > 0);
            return false;
        }
    }
    assert_int_equal(begin, end);
    return true;
}

/* ---- The scenario ------------------------------------------------------------------------------
 */

static void use_timers(void) {
    sluice_id ids[40];
    sluice_event event;
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        MUST(sluice_timer(loop, &ids[i], PATIENCE_NS, 0, 0));
    MUST(sluice_timer_reset(loop, ids[0], 0));
    assert_true(pull_for(SLUICE_TIMER, ids[0], &event));
    for (size_t i = 1; i < COUNT_OF(ids); i++)
        MUST(sluice_timer_reset(loop, ids[i], 0));
    for (size_t i = 1; i < COUNT_OF(ids); i++)
        assert_int_equal(sluice_close(loop, ids[i]), 0);
}

static void use_watches(void) {
    sluice_id ids[20];
    int fds[20][2];
    sluice_event event;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        assert_int_equal(pipe2(fds[i], O_CLOEXEC | O_NONBLOCK), 0);
        MUST(sluice_watch(loop, &ids[i], fds[i][0], SLUICE_NONE, 0));
    }
    MUST(sluice_rewatch(loop, ids[3], SLUICE_READ));
    put(fds[3][1], 0, 1);
    assert_true(pull_for(SLUICE_READY, ids[3], &event));
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        assert_int_equal(sluice_close(loop, ids[i]), 0);
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

static void use_signals(void) {
    sluice_id id;
    sluice_event event;
    MUST(sluice_signal(loop, &id, SIGUSR1));
    assert_int_equal(raise(SIGUSR1), 0);
    assert_true(pull_for(SLUICE_SIGNAL, id, &event));
    assert_int_equal(sluice_close(loop, id), 0);
}

/* Posts are in libc's memory whatever the loop's allocator is. */
static void use_posts(void) {
    sluice_event event;
    long before = allocation_count();
    for (uint64_t word = 0; word < 200; word++)
        MUST(sluice_post(loop, word));
    own.libc_calls += allocation_count() - before;
    for (uint64_t word = 0; word < 200; word++) {
        assert_true(pull_for(SLUICE_POSTED, 0, &event));
        assert_int_equal(event.value, word);
    }
}

/* Answers out of the event's own bytes, and others after them. */
static bool answer(struct line line) {
    sluice_event event;
    int small = 4096;
    assert_int_equal(
        setsockopt(sluice_fd(loop, line.id), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    put(line.peer, 0, 60000);
    for (size_t at = 0; at < 60000; at += event.length) {
        if (!pull_for(SLUICE_DATA, line.id, &event))
            return false;
        assert_memory_equal(event.data, bytes + at, event.length);
        MUST(sluice_write(loop, line.id, event.data, event.length));
    }
    if (!take(line, 0, 60000))
        return false;
    put(line.peer, 0, 100);
    if (!pull_for(SLUICE_DATA, line.id, &event))
        return false;
    const sluice_slice slices[] = {{bytes + 100, 9900}, {bytes + 10000, 20000}};
    MUST(sluice_write(loop, line.id, event.data, event.length));
    MUST(sluice_writev(loop, line.id, slices, 2));
    MUST(sluice_flush(loop, line.id));
    MUST(sluice_write(loop, line.id, bytes + 30000, BIG - 30000));
    assert_true(sluice_pending(loop, line.id) > 0);
    return take(line, 0, BIG);
}

static bool hold_some(struct line line) {
    sluice_event event;
    put(line.peer, 0, 3000);
    if (!pull_for(SLUICE_DATA, line.id, &event))
        return false;
    MUST(sluice_hold(loop, line.id, 1000));
    MUST(sluice_hold(loop, line.id, 2000));
    put(line.peer, 3000, 9000);
    if (!pull_for(SLUICE_DATA, line.id, &event))
        return false;
    assert_int_equal(event.length, 11000);
    assert_memory_equal(event.data, bytes + 1000, 11000);
    return true;
}

/* An answer from the receive buffer, and then one with held bytes, some of which come again. */
static bool keep_some(struct line line) {
    sluice_event events[3];
    void *kept[COUNT_OF(events)];
    put(line.peer, 0, 3000);
    if (!pull_for(SLUICE_DATA, line.id, &events[0]))
        return false;
    MUST(sluice_keep(loop, line.id, &kept[0]));
    MUST(sluice_hold(loop, line.id, 1000));
    put(line.peer, 3000, 9000);
    if (!pull_for(SLUICE_DATA, line.id, &events[1]))
        return false;
    MUST(sluice_hold(loop, line.id, 500));
    MUST(sluice_keep(loop, line.id, &kept[1]));
    put(line.peer, 12000, 1000);
    if (!pull_for(SLUICE_DATA, line.id, &events[2]))
        return false;
    MUST(sluice_keep(loop, line.id, &kept[2]));
    assert_memory_equal(events[0].data, bytes, 3000);
    assert_memory_equal(events[1].data, bytes + 2000, 10000);
    assert_int_equal(events[2].length, 1500);
    assert_memory_equal(events[2].data, bytes + 11500, 1500);
    MUST(sluice_return(loop, kept[1])); /* the end of the loop has the others */
    return true;
}

static bool forward_some(struct line from, struct line to) {
    sluice_event event;
    put(from.peer, 0, 10);
    if (!pull_for(SLUICE_DATA, from.id, &event))
        return false;
    MUST(sluice_hold(loop, from.id, 10));
    MUST(sluice_forward(loop, from.id, to.id));
    put(from.peer, 10, 5000);
    put(from.peer, 5010, 60000);
    if (!take(to, 0, 65010))
        return false;
    return sluice_kind_of(loop, from.id) > 0;
}

static void use_streams(void) {
    const sluice_stream_options options = {.size = sizeof options, .idle_timeout_ns = PATIENCE_NS};
    struct line line = make_line(&options);
    struct line other = make_line(NULL);
    (void)answer(line);
    (void)hold_some(other);
    end_line(line);
    end_line(other);
    line = make_line(NULL);
    (void)keep_some(line);
    end_line(line);
    line = make_line(&options);
    other = make_line(NULL);
    (void)forward_some(line, other);
    end_line(line);
    end_line(other);
}

/* More streams than there is room for at first, one of them with a high number. All of their events
 * are pulled together. */
static void use_many(void) {
    struct line lines[40];
    sluice_event events[40];
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        lines[i] = make_line(NULL);
    int low = sluice_fd(loop, lines[0].id);
    int high = fcntl(low, F_DUPFD_CLOEXEC, number_up_to(HIGH_NUMBER));
    sluice_id id;
    assert_true(high >= number_up_to(HIGH_NUMBER));
    MUST(sluice_adopt(loop, &id, high, NULL));
    for (size_t i = 1; i < COUNT_OF(lines); i++)
        put(lines[i].peer, 0, 10);
    for (int pulled = 0; pulled < (int)COUNT_OF(lines) - 1;) {
        int count = sluice_next_many(loop, events, COUNT_OF(events), PATIENCE_NS);
        if (count == SLUICE_ENOMEM && has_failed())
            continue;
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            assert_int_equal(events[i].kind, SLUICE_DATA);
        pulled += count;
    }
    end_line((struct line){id, dup(lines[0].peer)});
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        end_line(lines[i]);
}

static void use_listener(void) {
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener;
    sluice_event event;
    MUST(sluice_listen(loop, &listener, "127.0.0.1:0", NULL));
    MUST(sluice_local_address(loop, listener, address, sizeof address));
    int peer = sluice_socket_connect(address);
    if (!pull_for(SLUICE_ACCEPTED, 0, &event)) {
        /* That caller was turned away; accepting resumes by itself. */
        await(peer, POLLIN);
        char byte;
        assert_true(read(peer, &byte, 1) <= 0);
        close(peer);
        peer = sluice_socket_connect(address);
        assert_true(pull_for(SLUICE_ACCEPTED, 0, &event));
    }
    assert_int_equal(event.value, listener);
    end_line((struct line){event.id, peer});
    assert_int_equal(sluice_close(loop, listener), 0);
}

/* At an abstract name, since ports are few. */
static void use_listener_that_ends(void) {
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener;
    sluice_event event;
    snprintf(address, sizeof address, "unix:@sluice-test-allocation-%d", (int)getpid());
    int given = sluice_socket_listen(address, 1);
    assert_true(given >= 0);
    MUST(sluice_listen_fd(loop, &listener, given, NULL));
    int peer = sluice_socket_connect(address);
    MUST(sluice_shutdown(loop, listener));
    bool accepted = pull_for(SLUICE_ACCEPTED, 0, &event); /* or turned away */
    sluice_id stream = event.id;
    assert_true(pull_for(SLUICE_CLOSED, listener, &event));
    if (accepted)
        end_line((struct line){stream, peer});
    else
        close(peer);
}

/* The connection of an attempt that failed comes first, and has ended. */
static int accept_living(int listener) {
    char byte;
    for (;;) {
        await(listener, POLLIN);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (recv(fd, &byte, 1, MSG_PEEK) != 0)
            return fd;
        assert_true(has_failed());
        close(fd);
    }
}

static void use_connect(void) {
    char address[SLUICE_ADDRESS_MAX];
    sluice_event event;
    struct line line;
    int listener = tcp_listener(4);
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    const sluice_stream_options options = {.size = sizeof options, .idle_timeout_ns = PATIENCE_NS};
    MUST(sluice_connect(loop, &line.id, address, &options));
    line.peer = accept_living(listener);
    drop(listener);
    MUST(sluice_write(loop, line.id, bytes, 10000));
    if (pull_for(SLUICE_CONNECTED, line.id, &event) && take(line, 0, 10000)) {
        MUST(sluice_shutdown(loop, line.id));
        MUST(sluice_close(loop, line.id));
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        assert_true(pull_for(SLUICE_CLOSED, line.id, &event));
        assert_true(event.error == 0 || (event.error == SLUICE_ENOMEM && has_failed()));
    }
    end_line(line);
}

/* It fails at once, which CLOSED says: nobody listens there. */
static void use_connect_in_vain(void) {
    sluice_id id;
    sluice_event event;
    MUST(sluice_connect(loop, &id, "unix:@sluice-allocation-nobody", NULL));
    MUST(sluice_write(loop, id, bytes, 10000));
    assert_true(pull_for(SLUICE_CLOSED, id, &event));
    assert_int_equal(event.error, -ECONNREFUSED);
    assert_int_equal(event.length, 10000);
}

/* A lookup is in libc's memory whatever the loop's allocator is: the helper thread may free it. */
#define MUST_LOOK_UP(call)                                                                         \
    do {                                                                                           \
        long others = allocation_count() - own.libc_calls;                                         \
        MUST(call);                                                                                \
        own.libc_calls = allocation_count() - others;                                              \
    } while (0)

static void expect_resolved(sluice_id id) {
    sluice_event event;
    assert_true(pull_for(SLUICE_RESOLVED, id, &event));
    assert_true(event.error == 0 || (event.error == SLUICE_ENOMEM && has_failed()));
    assert_true(event.error == 0 || !event.data);
}

static void use_names(void) {
    char address[SLUICE_ADDRESS_MAX];
    char name[SLUICE_ADDRESS_MAX + 8];
    sluice_id id;
    sluice_event event;
    MUST_LOOK_UP(sluice_resolve(loop, &id, "two:443", SLUICE_ANY_FAMILY, 0));
    expect_resolved(id);
    MUST(sluice_resolve(loop, &id, "192.0.2.1:443", SLUICE_ANY_FAMILY, 0));
    expect_resolved(id);
    int listener = tcp_listener(4);
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    snprintf(name, sizeof name, "two%s", strrchr(address, ':'));
    struct line line;
    MUST_LOOK_UP(sluice_connect(loop, &line.id, name, NULL));
    MUST(sluice_write(loop, line.id, bytes, 10000));
    line.peer = -1;
    if (pull_for(SLUICE_CONNECTED, line.id, &event)) {
        line.peer = accept_living(listener);
        (void)take(line, 0, 10000);
    }
    drop(listener);
    end_line(line);
}

/* Whether an echo went through: nothing is broken for good. */
static bool echo_once(void) {
    sluice_event event;
    struct line line = make_line(NULL);
    put(line.peer, 0, 1000);
    bool works = pull_for(SLUICE_DATA, line.id, &event);
    if (works) {
        assert_int_equal(event.length, 1000);
        MUST(sluice_write(loop, line.id, event.data, event.length));
        works = take(line, 0, 1000);
    }
    end_line(line);
    return works;
}

static void open_loop(void) {
    const sluice_options options = {.size = sizeof options,
                                    .backend = test_backend(),
                                    .reallocate = own.used ? reallocate : NULL,
                                    .allocation_context = &own};
    loop = (sluice_loop *)bytes;
    size_t open_before = open_fd_count();
    int code = sluice_open(&loop, &options);
    if (code < 0) {
        assert_int_equal(code, SLUICE_ENOMEM);
        assert_true(has_failed());
        assert_null(loop);
        assert_int_equal(open_fd_count(), open_before);
        code = sluice_open(&loop, &options);
    }
    assert_int_equal(code, 0);
}

static void scenario(void) {
    open_loop();
    use_timers();
    use_watches();
    use_signals();
    use_posts();
    use_streams();
    use_many();
    use_listener();
    use_listener_that_ends();
    use_connect();
    use_connect_in_vain();
    use_names();
    bool failed_before = has_failed();
    bool works = echo_once();
    assert_true(works || !failed_before);
    assert_true(works || echo_once());
    assert_int_equal(sluice_destroy(loop), 0);
}

/* ---- Tests -------------------------------------------------------------------------------------
 */

static void begin_bytes(bool uses_own) {
    static const struct host hosts[] = {{"two", {"127.0.0.77", "127.0.0.1"}, 0, 0, false}};
    make_up_hosts(hosts, COUNT_OF(hosts));
    memset(&own, 0, sizeof own);
    own.used = uses_own;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
}

/* There are more than 30 allocations, whatever the backend. */
static void fail_each_of_libc(void) {
    begin_bytes(false);
    long nth = 0;
    do {
        long live_before = live_allocation_count();
        size_t open_before = open_fd_count();
        fail_allocation(++nth);
        scenario();
        assert_int_equal(live_allocation_count(), live_before);
        assert_int_equal(open_fd_count(), open_before);
    } while (allocation_has_failed());
    assert_true(nth > 30);
}

static void fail_each_of_own(void) {
    begin_bytes(true);
    long nth = 0;
    do {
        long live_before = live_allocation_count();
        long libc_before = allocation_count();
        size_t open_before = open_fd_count();
        own.asked = own.libc_calls = own.live = 0;
        own.has_failed = false;
        own.failing = ++nth;
        scenario();
        assert_int_equal(own.live, 0);
        assert_int_equal(live_allocation_count(), live_before);
        /* libevent's own memory is libc's, whatever the loop's is. */
        if (!over_libevent())
            assert_int_equal(allocation_count() - libc_before, own.libc_calls);
        assert_int_equal(open_fd_count(), open_before);
    } while (own.has_failed);
    assert_true(nth > 30);
}

/* Not even the memory to remember that it is to try again. */
static void listener_without_memory(void) {
    begin_bytes(true);
    open_loop();
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener;
    sluice_event event;
    assert_int_equal(sluice_listen(loop, &listener, "127.0.0.1:0", NULL), 0);
    assert_true(sluice_local_address(loop, listener, address, sizeof address) > 0);
    own.all_fail = true;
    int first = keep(sluice_socket_connect(address));
    assert_int_equal(sluice_next(loop, &event, PATIENCE_NS), 1);
    assert_int_equal(event.kind, SLUICE_OVERLOADED);
    assert_int_equal(event.error, SLUICE_ENOMEM);
    await(first, POLLIN);
    own.all_fail = false;
    int second = keep(sluice_socket_connect(address));
    assert_int_equal(sluice_next(loop, &event, 5000 * NS_PER_MS), 1);
    assert_int_equal(event.kind, SLUICE_ACCEPTED);
    await(second, POLLOUT);
    assert_int_equal(sluice_destroy(loop), 0);
    assert_int_equal(own.live, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"each allocation of a loop fails", fail_each_of_libc, NULL},
        {"each allocation from the caller's allocator fails", fail_each_of_own, NULL},
        {"a listener accepts again after it had no memory at all", listener_without_memory, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_names.c - sluice_connect by name: the lookup, the attempts, and everything that may
 * happen to a stream before it has a descriptor. The hosts are made up, and their addresses are on
 * the loopback. */
#include "loops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "hosts.h"

/* ThreadSanitizer ends a child of a fork that starts a thread, unless it is told not to. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

#define MAKE_UP(...)                                                                               \
    static const struct host hosts[] = {__VA_ARGS__};                                              \
    make_up_hosts(hosts, COUNT_OF(hosts))

/* ---- Places ----------------------------------------------------------------------------------
 */

/* A port for all addresses of a test. Only the listeners below listen at it. */
static int choose_port(void) {
    char text[SLUICE_ADDRESS_MAX];
    int anchor = keep(sluice_socket_listen("127.0.0.200:0", 1));
    assert_true(sluice_socket_local_address(anchor, text, sizeof text) > 0);
    return atoi(strrchr(text, ':') + 1);
}

static const char *with_port(const char *host, int port) {
    static char text[SLUICE_ADDRESS_MAX];
    snprintf(text, sizeof text, "%s:%d", host, port);
    return text;
}

/* One that accepts, at 127.0.0.`host`. */
static int place(int host, int port) {
    char text[32];
    snprintf(text, sizeof text, "127.0.0.%d", host);
    return keep(sluice_socket_listen(with_port(text, port), 8));
}

/* One that does not answer: its queue is full. */
static void silent_place(int host, int port) {
    char text[32];
    snprintf(text, sizeof text, "127.0.0.%d", host);
    int listener = place(host, port);
    assert_int_equal(listen(listener, 0), 0);
    for (int i = 0; i < 3; i++)
        dial(with_port(text, port));
}

static sluice_id connect_with(sluice_loop *loop, const char *host, int port,
                              const sluice_stream_options *options) {
    sluice_id id = 0;
    assert_int_equal(sluice_connect(loop, &id, with_port(host, port), options), 0);
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_STREAM);
    return id;
}

static sluice_id connect_to(sluice_loop *loop, const char *host, int port) {
    return connect_with(loop, host, port, NULL);
}

static void expect_peer(sluice_loop *loop, sluice_id id, const char *host, int port) {
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_peer_address(loop, id, text, sizeof text) > 0);
    assert_string_equal(text, with_port(host, port));
}

/* Until the helper thread has told the loop of an answer. */
static void await_answer(sluice_loop *loop) {
    int64_t until = monotonic_ns() + PATIENCE_NS;
    while (sluice_until_next(loop) != 0 && monotonic_ns() < until)
        sched_yield();
    assert_int_equal(sluice_until_next(loop), 0);
}

/* Until the helper thread has seen to all that it was asked for. */
static void await_helper(void) {
    sluice_loop *loop = make_loop();
    assert_int_equal(sluice_resolve(loop, NULL, "last:1", SLUICE_ANY_FAMILY, 0), 0);
    expect_event(loop, SLUICE_RESOLVED);
    end_loop(loop);
}

static int accept_one(int listener) {
    await(listener, POLLIN);
    return keep(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

/* Pulls until so many descriptors more than `before` are open: attempts are in flight. */
static void await_attempts(sluice_loop *loop, size_t before, size_t count) {
    sluice_event event;
    int64_t until = monotonic_ns() + PATIENCE_NS;
    while (open_fd_count() != before + count && monotonic_ns() < until)
        assert_int_equal(sluice_next(loop, &event, NS_PER_MS), 0);
    assert_int_equal(open_fd_count(), before + count);
}

/* ---- Connecting ------------------------------------------------------------------------------
 */

/* By libc itself. Where ::1 is tried, nobody listens there. */
static void to_localhost(void) {
    sluice_loop *loop = make_loop();
    int port = 0;
    int listener = -1;
    for (int tries = 0; tries < 50 && listener < 0; tries++) { /* others are at 127.0.0.1, too */
        port = choose_port();
        listener = sluice_socket_listen(with_port("127.0.0.1", port), 8);
    }
    keep(listener);
    sluice_id id = connect_to(loop, "localhost", port);
    assert_int_equal(sluice_set_user(loop, id, 9), 0);
    assert_int_equal(sluice_write(loop, id, "hello", 5), 0);
    assert_int_equal(expect_event_of(loop, SLUICE_CONNECTED, id).user, 9);
    expect_peer(loop, id, "127.0.0.1", port);
    int peer = accept_one(listener);
    expect_no_event(loop);
    take_text(peer, "hello");
    put_text(peer, "hello yourself");
    expect_text(loop, id, "hello yourself");
    assert_int_equal(sluice_write(loop, id, "bye", 3), 0);
    expect_no_event(loop);
    take_text(peer, "bye");
    drop(peer);
    expect_event_of(loop, SLUICE_EOF, id);
    expect_closed(loop, id, 0, 0);
    assert_null(sluice_name_problem(loop, id));
    expect_no_event(loop);
}

static void the_next_after_one_that_refuses(void) {
    MAKE_UP({"name", {"::1", "127.0.0.2", "127.0.0.3"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(3, port);
    int64_t start = monotonic_ns();
    sluice_id id = connect_to(loop, "name", port);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    expect_peer(loop, id, "127.0.0.3", port);
    assert_true(monotonic_ns() - start < 200 * NS_PER_MS);
}

/* The text is the caller's again after the call, and another family's addresses are passed over. */
static void each_attempt_comes_from_the_source(void) {
    MAKE_UP({"name", {"::1", "127.0.0.2", "127.0.0.3"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(3, port);
    char source[] = "127.0.0.77:0";
    sluice_stream_options options = stream_options(0);
    options.source = source;
    sluice_id id = connect_with(loop, "name", port, &options);
    memset(source, 'x', sizeof source - 1);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    expect_peer(loop, id, "127.0.0.3", port);
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_local_address(loop, id, text, sizeof text) > 0);
    assert_true(strncmp(text, "127.0.0.77:", 11) == 0);
    sluice_id refused;
    assert_int_equal(sluice_connect(loop, &refused, "name:1", &options), SLUICE_EPORT);
}

/* An address that is refused, or one of another family than the source, in any order. */
static void what_is_passed_over_is_not_the_error(void) {
    MAKE_UP({"last", {"127.0.0.2", "::1"}, 0, 0, false},
            {"first", {"::1", "127.0.0.2"}, 0, 0, false}, {"only", {"::1"}, 0, 0, false});
    static const struct {
        const char *name;
        int error;
    } cases[] = {{"last", -ECONNREFUSED}, {"first", -ECONNREFUSED}, {"only", SLUICE_EOPTION}};
    sluice_loop *loop = make_loop();
    int port = choose_port();
    sluice_stream_options options = stream_options(0);
    options.source = "127.0.0.77:0";
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_closed(loop, connect_with(loop, cases[i].name, port, &options), cases[i].error, 0);
}

static void the_next_after_250_ms(void) {
    MAKE_UP({"name", {"127.0.0.2", "127.0.0.3"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    silent_place(2, port);
    place(3, port);
    size_t before = open_fd_count();
    int64_t start = monotonic_ns();
    sluice_id id = connect_to(loop, "name", port);
    await_attempts(loop, before, 1);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    assert_true(monotonic_ns() - start >= 250 * NS_PER_MS);
    expect_peer(loop, id, "127.0.0.3", port);
    assert_int_equal(open_fd_count(), before + 1); /* the other has been closed */
    expect_no_event(loop);
}

/* Time is simulated: eight attempts are in flight when the ninth begins, and the oldest is given up
 * for it. */
static void ten_addresses_of_which_the_ninth_answers(void) {
    MAKE_UP({"name",
             {"127.0.0.21", "127.0.0.22", "127.0.0.23", "127.0.0.24", "127.0.0.25", "127.0.0.26",
              "127.0.0.27", "127.0.0.28", "127.0.0.29", "127.0.0.30"},
             0,
             0,
             false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    for (int host = 21; host <= 30; host++) {
        if (host == 29)
            place(host, port);
        else
            silent_place(host, port);
    }
    size_t before = open_fd_count();
    sluice_id id = connect_to(loop, "name", port);
    await_answer(loop);
    simulate_time(true);
    int64_t start = monotonic_ns();
    sluice_event event = {0};
    size_t most = 0;
    for (int turns = 0; turns < 1000 && event.kind == 0; turns++) {
        assert_in_range(sluice_next(loop, &event, 50 * NS_PER_MS), 0, 1);
        most = open_fd_count() > most ? open_fd_count() : most;
    }
    int64_t took = monotonic_ns() - start;
    simulate_time(false);
    assert_int_equal(event.kind, SLUICE_CONNECTED);
    assert_int_equal(event.id, id);
    expect_peer(loop, id, "127.0.0.29", port);
    assert_in_range(took, 2000 * NS_PER_MS, 2200 * NS_PER_MS);
    assert_int_equal(most, before + 8);
    assert_int_equal(open_fd_count(), before + 1);
}

static void options_hold_for_the_stream(void) {
    MAKE_UP({"name", {"127.0.0.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(2, port);
    sluice_stream_options options = stream_options(SLUICE_DELAY | SLUICE_KEEPALIVE);
    options.idle_timeout_ns = 20 * NS_PER_MS;
    sluice_id id = connect_with(loop, "name", port, &options);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    int on = 7;
    socklen_t size = sizeof on;
    assert_int_equal(getsockopt(sluice_fd(loop, id), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    assert_int_equal(on, 0);
    assert_int_equal(getsockopt(sluice_fd(loop, id), SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
    assert_true(on != 0);
    expect_closed(loop, id, -ETIMEDOUT, 0);
}

static void writes_before_are_queued(void) {
    MAKE_UP({"slow", {"127.0.0.2"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    int listener = place(2, port);
    static unsigned char bytes[20000], taken[20000];
    make_pattern(bytes, 0, sizeof bytes);
    sluice_id id = connect_to(loop, "slow", port);
    assert_int_equal(sluice_write(loop, id, bytes, 100), 0);
    assert_int_equal(sluice_flush(loop, id), 0);
    await_question();
    expect_no_event(loop);
    assert_int_equal(sluice_write(loop, id, bytes + 100, sizeof bytes - 100), 0);
    assert_int_equal(sluice_pending(loop, id), sizeof bytes);
    assert_int_equal(sluice_shutdown(loop, id), 0);
    let_host_answer();
    expect_event_of(loop, SLUICE_CONNECTED, id);
    int peer = accept_one(listener);
    expect_no_event(loop);
    for (size_t at = 0; at < sizeof taken;) {
        await(peer, POLLIN);
        at += take_some(peer, taken + at, sizeof taken - at);
    }
    check_pattern(taken, 0, sizeof taken);
    expect_end(peer);
}

static size_t memory_of_one(sluice_loop *loop, const char *host, int port) {
    sluice_id id = connect_to(loop, host, port);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    size_t memory = loop_memory(loop);
    assert_int_equal(sluice_abort(loop, id), 0);
    expect_closed(loop, id, -ECONNABORTED, 0);
    return memory;
}

/* A stream that has connected is like any other: nothing is left of its name. */
static void nothing_is_left_of_the_name(void) {
    MAKE_UP({"name", {"127.0.0.2", "127.0.0.3"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(3, port);
    (void)memory_of_one(loop, "name", port); /* the timers have their first room then */
    size_t memory = memory_of_one(loop, "127.0.0.3", port);
    assert_int_equal(memory_of_one(loop, "name", port), memory);
}

/* What is done to a stream before it has connected holds after it. */
static void paused_and_forwarded_to_meanwhile(void) {
    MAKE_UP({"slow", {"127.0.0.2"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    int listener = place(2, port);
    struct line line = unix_line(loop);
    sluice_id id = connect_to(loop, "slow", port);
    assert_int_equal(sluice_forward(loop, line.id, id), 0);
    assert_int_equal(sluice_pause(loop, id), 0);
    put_text(line.peer, "early");
    expect_no_event(loop);
    let_host_answer();
    expect_event_of(loop, SLUICE_CONNECTED, id);
    int peer = accept_one(listener);
    put_text(line.peer, ", and late");
    expect_no_event(loop);
    take_text(peer, "early, and late");
    put_text(peer, "paused");
    expect_no_event(loop);
    assert_int_equal(sluice_resume(loop, id), 0);
    expect_text(loop, id, "paused");
}

/* ---- Failing ---------------------------------------------------------------------------------
 */

static void the_last_error(void) {
    MAKE_UP({"refuse", {"127.0.0.2", "127.0.0.3"}, 0, 0, false},
            {"mixed", {"255.255.255.255", "127.0.0.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    sluice_id id = connect_to(loop, "refuse", port);
    assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
    expect_closed(loop, id, -ECONNREFUSED, 4);
    assert_null(sluice_name_problem(loop, id));
    id = connect_to(loop, "mixed", port);
    expect_closed(loop, id, -ECONNREFUSED, 0);
    expect_no_event(loop);
}

static void expect_problem(sluice_loop *loop, const char *host, int error, const char *words) {
    sluice_id id = connect_to(loop, host, 1);
    assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
    assert_null(sluice_name_problem(loop, id));
    expect_closed(loop, id, error, 4);
    assert_string_equal(sluice_name_problem(loop, id), words);
    assert_null(sluice_name_problem(loop, id + (UINT64_C(1) << 32)));
}

static void a_name_that_is_not_found(void) {
    MAKE_UP({"again", {0}, EAI_AGAIN, 0, false}, {"system", {0}, EAI_SYSTEM, EMFILE, false},
            {"memory", {0}, EAI_MEMORY, 0, false}, {"name", {"127.0.0.1"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    expect_problem(loop, "again", SLUICE_ENAME, gai_strerror(EAI_AGAIN));
    expect_problem(loop, "unknown", SLUICE_ENAME, gai_strerror(EAI_NONAME));
    expect_problem(loop, "system", SLUICE_ENAME, strerror(EMFILE));
    expect_problem(loop, "memory", SLUICE_ENOMEM, gai_strerror(EAI_MEMORY));
    expect_no_event(loop);
}

/* Both streams have ended when the first CLOSED is pulled. */
static void how_long_the_words_are_there(void) {
    MAKE_UP({"unknown", {0}, EAI_NONAME, 0, false});
    sluice_loop *loop = make_loop();
    sluice_id first = connect_to(loop, "unknown", 1);
    sluice_id second = connect_to(loop, "unknown", 2);
    assert_null(sluice_name_problem(loop, first));
    await_helper();
    expect_closed(loop, first, SLUICE_ENAME, 0);
    assert_string_equal(sluice_name_problem(loop, second), gai_strerror(EAI_NONAME));
    assert_string_equal(sluice_name_problem(loop, first), gai_strerror(EAI_NONAME));
    expect_closed(loop, second, SLUICE_ENAME, 0);
    assert_string_equal(sluice_name_problem(loop, second), gai_strerror(EAI_NONAME));
    assert_null(sluice_name_problem(loop, first)); /* another name's end has been pulled since */
    struct line line = unix_line(loop);            /* these have the places of the two */
    unix_line(loop);
    assert_string_equal(sluice_name_problem(loop, second), gai_strerror(EAI_NONAME));
    assert_null(sluice_name_problem(loop, line.id));
    assert_null(sluice_name_problem(loop, 0));
    assert_null(sluice_name_problem(NULL, first));
}

static void what_is_refused(void) {
    static const struct {
        const char *address;
        int code;
    } rows[] = {{NULL, SLUICE_ENULL},          {"name", SLUICE_EPORT},
                {"name:x", SLUICE_EPORT},      {"256.1.1.1:80", SLUICE_EADDRESS},
                {"127.1:80", SLUICE_EADDRESS}, {"a b:80", SLUICE_EADDRESS},
                {"*:80", SLUICE_ENUMERIC}};
    sluice_loop *loop = make_loop();
    size_t memory = loop_memory(loop);
    sluice_id id = 7;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(sluice_connect(loop, &id, rows[i].address, NULL), rows[i].code);
    assert_int_equal(sluice_connect(loop, NULL, "name:80", NULL), SLUICE_ENULL);
    assert_int_equal(id, 7);
    assert_int_equal(loop_memory(loop), memory);
    expect_no_event(loop);
}

/* And nobody is asked for the name. */
static void too_many_handles(void) {
    MAKE_UP({"name", {0}, EAI_NONAME, 0, false});
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 1});
    struct line line = unix_line(loop);
    sluice_id id = 7;
    assert_int_equal(sluice_connect(loop, &id, "name:1", NULL), SLUICE_EFULL);
    assert_int_equal(id, 7);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_closed(loop, line.id, -ECONNABORTED, 0);
    expect_closed(loop, connect_to(loop, "name", 1), SLUICE_ENAME, 0);
    assert_int_equal(question_count(), 1);
}

/* Once the threads that other tests have left are gone. */
static void no_thread_can_be_started(void) {
    MAKE_UP({"name", {0}, EAI_NONAME, 0, false});
    sluice_loop *loop = make_loop();
    sluice_id id;
    int code;
    fail_threads(EAGAIN);
    while ((code = sluice_connect(loop, &id, "name:1", NULL)) == 0) {
        assert_int_equal(sluice_abort(loop, id), 0);
        expect_closed(loop, id, -ECONNABORTED, 0);
    }
    fail_threads(0);
    assert_int_equal(code, SLUICE_EAGAIN);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_STREAM], 0);
    expect_no_event(loop);
}

/* Each attempt wants one, and none is left. */
static void out_of_descriptors(void) {
    MAKE_UP({"name", {"127.0.0.2", "127.0.0.3"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(2, port);
    connect_to(loop, "name", port);
    await_answer(loop);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sluice_event event = {0};
    int pulled = sluice_next(loop, &event, 100 * NS_PER_MS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(pulled, 1);
    assert_int_equal(event.kind, SLUICE_CLOSED);
    assert_int_equal(event.error, -EMFILE);
    sluice_id id = connect_to(loop, "name", port);
    expect_event_of(loop, SLUICE_CONNECTED, id);
}

/* An attempt's number is closed by somebody else, and the loop gets it for a new file. */
static void an_attempt_loses_its_descriptor(void) {
    MAKE_UP({"name", {"127.0.0.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    silent_place(2, port);
    place(3, port);
    int next = dup(0);
    close(next);
    size_t before = open_fd_count();
    sluice_id id = connect_to(loop, "name", port);
    await_attempts(loop, before, 1);
    close(next); /* the lowest that was free: the attempt's */
    assert_int_equal(open_fd_count(), before);
    sluice_id other = connect_to(loop, "127.0.0.3", port);
    assert_int_equal(sluice_fd(loop, other), next);
    sluice_event first = next_event(loop);
    sluice_event second = next_event(loop);
    sluice_event lost = first.id == id ? first : second;
    sluice_event good = first.id == id ? second : first;
    assert_int_equal(lost.kind, SLUICE_CLOSED);
    assert_int_equal(lost.error, SLUICE_EBADF);
    assert_int_equal(good.kind, SLUICE_CONNECTED);
    assert_int_equal(good.id, other);
}

/* ---- Time ------------------------------------------------------------------------------------
 */

static void the_limit_holds_for_the_lookup(void) {
    MAKE_UP({"slow", {"127.0.0.2"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(0);
    options.connect_timeout_ns = 30 * NS_PER_MS;
    int64_t start = monotonic_ns();
    sluice_id id = connect_with(loop, "slow", 1, &options);
    assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
    expect_closed(loop, id, -ETIMEDOUT, 4);
    assert_true(monotonic_ns() - start >= 30 * NS_PER_MS);
    await_question();
    let_host_answer();
    await_helper();
    expect_no_event(loop);
}

static void the_limit_holds_for_all_attempts(void) {
    MAKE_UP({"name", {"127.0.0.2", "127.0.0.3", "127.0.0.4"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    for (int host = 2; host <= 4; host++)
        silent_place(host, port);
    sluice_stream_options options = stream_options(0);
    options.connect_timeout_ns = 400 * NS_PER_MS;
    int64_t start = monotonic_ns();
    size_t before = open_fd_count();
    sluice_id id = connect_with(loop, "name", port, &options);
    await_attempts(loop, before, 2);
    expect_closed(loop, id, -ETIMEDOUT, 0);
    assert_in_range(monotonic_ns() - start, 400 * NS_PER_MS, 500 * NS_PER_MS);
    assert_int_equal(open_fd_count(), before);
    expect_no_event(loop);
}

static void a_connect_that_came_in_time_wins(void) {
    MAKE_UP({"name", {"127.0.0.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(2, port);
    simulate_time(true);
    sluice_stream_options options = stream_options(0);
    options.connect_timeout_ns = 30 * NS_PER_MS;
    sluice_id id = connect_with(loop, "name", port, &options);
    while (question_count() == 0 || sluice_until_next(loop) != 0)
        sched_yield();
    pass_time(31 * NS_PER_MS);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    simulate_time(false);
    expect_no_event(loop);
}

/* ---- Ended before --------------------------------------------------------------------------- */

enum moment { LOOKING_UP, WAITING, ANSWERED, IN_FLIGHT, MOMENTS };

/* A connect that is in that state. The name has one silent address, so that it stays in flight. */
static sluice_id connect_until(sluice_loop *loop, enum moment moment, int port) {
    const char *name = moment == LOOKING_UP ? "slow" : moment == WAITING ? "behind" : "name";
    size_t before = open_fd_count();
    if (moment == WAITING)
        assert_int_equal(sluice_resolve(loop, NULL, "slow:1", 0, 0), 0);
    sluice_id id = connect_to(loop, name, port);
    if (moment == LOOKING_UP || moment == WAITING)
        await_question();
    else
        await_answer(loop);
    if (moment == IN_FLIGHT)
        await_attempts(loop, before, 1);
    return id;
}

static void leave(enum moment moment) {
    if (moment == LOOKING_UP || moment == WAITING)
        let_host_answer();
}

static const struct host silent_hosts[] = {{"slow", {"127.0.0.2"}, 0, 0, true},
                                           {"behind", {"127.0.0.2"}, 0, 0, false},
                                           {"name", {"127.0.0.2"}, 0, 0, false}};

static void ended_in_each_state(void) {
    for (enum moment moment = LOOKING_UP; moment < MOMENTS; moment++) {
        make_up_hosts(silent_hosts, COUNT_OF(silent_hosts));
        sluice_loop *loop = make_loop();
        int port = choose_port();
        silent_place(2, port);
        size_t before = open_fd_count();
        sluice_id id = connect_until(loop, moment, port);
        assert_int_equal(sluice_fd(loop, id), SLUICE_ESTATE);
        char text[SLUICE_ADDRESS_MAX];
        assert_int_equal(sluice_peer_address(loop, id, text, sizeof text), SLUICE_ESTATE);
        assert_int_equal(sluice_close(loop, id), 0);
        expect_closed(loop, id, 0, 0);
        assert_int_equal(open_fd_count(), before);
        leave(moment);
        if (moment == WAITING)
            expect_event(loop, SLUICE_RESOLVED);
        id = connect_until(loop, moment, port);
        assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
        assert_int_equal(sluice_abort(loop, id), 0);
        assert_int_equal(open_fd_count(), before);
        expect_closed(loop, id, -ECONNABORTED, 4);
        leave(moment);
        if (moment == WAITING)
            expect_event(loop, SLUICE_RESOLVED);
        expect_no_event(loop);
        end_loop(loop);
        await_helper();
    }
}

/* Sanitizers see who touches what. */
static void the_loop_ends_in_each_state(void) {
    for (enum moment moment = LOOKING_UP; moment < MOMENTS; moment++) {
        make_up_hosts(silent_hosts, COUNT_OF(silent_hosts));
        sluice_loop *loop = make_loop();
        int port = choose_port();
        silent_place(2, port);
        sluice_id id = connect_until(loop, moment, port);
        assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
        end_loop(loop);
        leave(moment);
        await_helper();
    }
}

static void a_loop_ends_with_closed_unpulled(void) {
    MAKE_UP({"unknown", {0}, EAI_NONAME, 0, false});
    sluice_loop *loop = make_loop();
    connect_to(loop, "unknown", 1);
    connect_to(loop, "unknown", 2);
    await_helper();
    expect_event(loop, SLUICE_CLOSED);
    end_loop(loop);
}

/* With something to say it says so first. */
static void closed_with_something_to_say(void) {
    MAKE_UP({"slow", {"127.0.0.3", "127.0.0.2"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    int listener = place(2, port);
    sluice_id id = connect_to(loop, "slow", port);
    assert_int_equal(sluice_write(loop, id, "in passing", 10), 0);
    assert_int_equal(sluice_close(loop, id), 0);
    expect_no_event(loop);
    let_host_answer();
    sluice_event event;
    struct pollfd caller = {.fd = listener, .events = POLLIN};
    int64_t until = monotonic_ns() + PATIENCE_NS;
    while (poll_for_real(&caller, 1, 0) != 1 && monotonic_ns() < until)
        assert_int_equal(sluice_next(loop, &event, NS_PER_MS), 0);
    int peer = accept_one(listener);
    expect_no_event(loop);
    take_text(peer, "in passing");
    expect_end(peer);
    drop(peer);
    expect_closed(loop, id, 0, 0);
}

/* ---- The thread, and forks ------------------------------------------------------------------- */

static void no_thread_without_a_name(void) {
    MAKE_UP({"name", {0}, EAI_NONAME, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(2, port);
    size_t before = thread_count();
    sluice_id id = connect_to(loop, "127.0.0.2", port);
    assert_true(sluice_fd(loop, id) >= 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    assert_int_equal(question_count(), 0);
    assert_true(thread_count() <= before); /* one of another test may have ended */
}

static int in_child(sluice_loop *loop, sluice_id id, int port) {
    sluice_event event;
    char text[SLUICE_ADDRESS_MAX];
    if (sluice_after_fork(loop) != 0)
        return 1;
    let_host_answer();
    if (sluice_next(loop, &event, PATIENCE_NS) != 1)
        return 2;
    if (event.kind != SLUICE_CONNECTED || event.id != id)
        return 3;
    if (sluice_peer_address(loop, id, text, sizeof text) < 0)
        return 4;
    return strcmp(text, with_port("127.0.0.2", port)) == 0 ? 0 : 5;
}

static void the_child_of_a_fork_asks_anew(void) {
    MAKE_UP({"slow", {"127.0.0.2"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    place(2, port);
    sluice_id id = connect_to(loop, "slow", port);
    await_question();
    pid_t child = fork();
    if (child == 0)
        _exit(in_child(loop, id, port));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    let_host_answer();
    expect_event_of(loop, SLUICE_CONNECTED, id);
}

/* Many at once, each of which has its own outcome. */
static void many_names_at_once(void) {
    MAKE_UP({"good", {"127.0.0.3", "127.0.0.2"}, 0, 0, false},
            {"refuse", {"127.0.0.3"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    int port = choose_port();
    int listener = place(2, port);
    assert_int_equal(listen(listener, 256), 0);
    static const char *const names[] = {"good", "refuse", "unknown"};
    static const int errors[] = {0, -ECONNREFUSED, SLUICE_ENAME};
    sluice_id ids[120];
    size_t told[3] = {0};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        ids[i] = connect_to(loop, names[i % 3], port);
        assert_int_equal(sluice_set_user(loop, ids[i], i % 3), 0);
    }
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        sluice_event event = next_event(loop);
        assert_int_equal(event.kind, event.user == 0 ? SLUICE_CONNECTED : SLUICE_CLOSED);
        assert_int_equal(event.error, errors[event.user]);
        told[event.user]++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(told[i], COUNT_OF(ids) / 3);
    expect_no_event(loop);
}

int main(void) {
    static const struct test tests[] = {
        {"localhost, with a listener at 127.0.0.1 alone", to_localhost, NULL},
        {"the next address after one that refuses", the_next_after_one_that_refuses, NULL},
        {"each attempt comes from the source", each_attempt_comes_from_the_source, NULL},
        {"what is passed over is not the error", what_is_passed_over_is_not_the_error, NULL},
        {"the next address after 250 ms", the_next_after_250_ms, NULL},
        {"ten addresses of which the ninth answers", ten_addresses_of_which_the_ninth_answers,
         NULL},
        {"options hold for the stream", options_hold_for_the_stream, NULL},
        {"writes before are queued", writes_before_are_queued, NULL},
        {"nothing is left of the name", nothing_is_left_of_the_name, NULL},
        {"paused and forwarded to meanwhile", paused_and_forwarded_to_meanwhile, NULL},
        {"CLOSED says the last error", the_last_error, NULL},
        {"a name that is not found: SLUICE_ENAME and words", a_name_that_is_not_found, NULL},
        {"how long the words are there", how_long_the_words_are_there, NULL},
        {"what is refused, and leaves nothing behind", what_is_refused, NULL},
        {"too many handles", too_many_handles, NULL},
        {"no thread can be started", no_thread_can_be_started, NULL},
        {"out of descriptors", out_of_descriptors, NULL},
        {"an attempt loses its descriptor", an_attempt_loses_its_descriptor, NULL},
        {"the limit holds for the lookup", the_limit_holds_for_the_lookup, NULL},
        {"the limit holds for all attempts", the_limit_holds_for_all_attempts, NULL},
        {"a connect that came in time wins", a_connect_that_came_in_time_wins, NULL},
        {"ended in each state", ended_in_each_state, NULL},
        {"the loop ends in each state", the_loop_ends_in_each_state, NULL},
        {"the loop ends with CLOSED unpulled", a_loop_ends_with_closed_unpulled, NULL},
        {"closed with something to say: it says so first", closed_with_something_to_say, NULL},
        {"no thread without a name", no_thread_without_a_name, NULL},
        {"the child of a fork asks anew", the_child_of_a_fork_asks_anew, NULL},
        {"many names at once", many_names_at_once, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

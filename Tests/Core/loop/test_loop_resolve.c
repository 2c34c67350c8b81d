/* test_loop_resolve.c - sluice_resolve: names looked up by a loop, without a network. */
#include "loops.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
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

static sluice_id resolve(sluice_loop *loop, const char *address, uint32_t family) {
    sluice_id id = 0;
    assert_int_equal(sluice_resolve(loop, &id, address, family, 5), 0);
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_RESOLVE);
    return id;
}

/* RESOLVED of `id` with this text, after which the id is stale. */
static void expect_resolved(sluice_loop *loop, sluice_id id, int error, const char *text) {
    sluice_event event = expect_event_of(loop, SLUICE_RESOLVED, id);
    assert_int_equal(event.error, error);
    assert_int_equal(event.user, 5);
    assert_string_equal(event.data, text);
    assert_int_equal(event.length, strlen(text));
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_ESTALE);
    assert_int_equal(sluice_close(loop, id), SLUICE_ESTALE);
}

/* Until the helper thread has told the loop of an answer. */
static void await_answer(sluice_loop *loop) {
    int64_t until = monotonic_ns() + PATIENCE_NS;
    while (sluice_until_next(loop) != 0 && monotonic_ns() < until)
        sched_yield();
    assert_int_equal(sluice_until_next(loop), 0);
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* By libc itself. */
static void a_name_of_etc_hosts(void) {
    sluice_loop *loop = make_loop();
    expect_resolved(loop, resolve(loop, "localhost:443", SLUICE_IPV4), 0, "127.0.0.1:443");
    sluice_id id = resolve(loop, "localhost:443", SLUICE_ANY_FAMILY);
    sluice_event event = expect_event_of(loop, SLUICE_RESOLVED, id);
    assert_int_equal(event.error, 0);
    assert_non_null(strstr(event.data, ":443"));
    expect_no_event(loop);
}

static void one_address_a_line(void) {
    MAKE_UP({"both", {"2001:db8::1", "2001:db8::2", "192.0.2.1"}, 0, 0, false},
            {"one", {"192.0.2.7"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    expect_resolved(loop, resolve(loop, "both:80", SLUICE_ANY_FAMILY), 0,
                    "[2001:db8::1]:80\n192.0.2.1:80\n[2001:db8::2]:80");
    expect_resolved(loop, resolve(loop, "one:65535", SLUICE_ANY_FAMILY), 0, "192.0.2.7:65535");
}

static void the_family_is_asked_for(void) {
    MAKE_UP({"name", {"192.0.2.7"}, 0, 0, false});
    static const struct {
        uint32_t family;
        int asked;
    } rows[] = {{SLUICE_ANY_FAMILY, AF_UNSPEC}, {SLUICE_IPV4, AF_INET}, {SLUICE_IPV6, AF_INET6}};
    sluice_loop *loop = make_loop();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_resolved(loop, resolve(loop, "name:1", rows[i].family), 0, "192.0.2.7:1");
        assert_int_equal(last_question().hints.ai_family, rows[i].asked);
    }
}

static void failures_in_getaddrinfos_words(void) {
    MAKE_UP({"again", {0}, EAI_AGAIN, 0, false}, {"system", {0}, EAI_SYSTEM, EMFILE, false},
            {"memory", {0}, EAI_MEMORY, 0, false});
    sluice_loop *loop = make_loop();
    expect_resolved(loop, resolve(loop, "again:1", 0), SLUICE_ENAME, gai_strerror(EAI_AGAIN));
    expect_resolved(loop, resolve(loop, "system:1", 0), SLUICE_ENAME, strerror(EMFILE));
    expect_resolved(loop, resolve(loop, "unknown:1", 0), SLUICE_ENAME, gai_strerror(EAI_NONAME));
    expect_resolved(loop, resolve(loop, "memory:1", 0), SLUICE_ENOMEM, gai_strerror(EAI_MEMORY));
}

/* No thread is started for it. */
static void an_address_is_its_own_answer(void) {
    static const char *const addresses[] = {"127.0.0.1:80", "[::1]:80", "unix:/run/a b",
                                            "unix:@name"};
    sluice_loop *loop = make_loop();
    fail_threads(EAGAIN);
    for (size_t i = 0; i < COUNT_OF(addresses); i++)
        expect_resolved(loop, resolve(loop, addresses[i], SLUICE_ANY_FAMILY), 0, addresses[i]);
    expect_resolved(loop, resolve(loop, "[0:0::1]:080", SLUICE_IPV6), 0, "[::1]:80");
    fail_threads(0);
    expect_no_event(loop);
}

/* Each has its own. */
static void many_in_one_pull(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"one", {"192.0.2.2"}, 0, 0, false},
            {"two", {"192.0.2.3", "192.0.2.4"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    sluice_id ids[5] = {resolve(loop, "slow:1", 0), resolve(loop, "one:2", 0),
                        resolve(loop, "none:2", 0), resolve(loop, "two:3", 0),
                        resolve(loop, "1.2.3.4:5", 0)};
    const char *texts[] = {"192.0.2.1:1", "192.0.2.2:2", gai_strerror(EAI_NONAME),
                           "192.0.2.3:3\n192.0.2.4:3"};
    sluice_event events[4];
    expect_resolved(loop, ids[4], 0, "1.2.3.4:5"); /* waits for no other */
    let_host_answer();
    int told = 0;
    while (told < 4) {
        int pulled = sluice_next_many(loop, events, 4, PATIENCE_NS);
        assert_in_range(pulled, 1, 4 - told);
        for (int i = 0; i < pulled; i++, told++) {
            assert_int_equal(events[i].kind, SLUICE_RESOLVED);
            assert_int_equal(events[i].id, ids[told]); /* in the order in which they were asked */
            assert_string_equal(events[i].data, texts[told]);
        }
    }
    expect_no_event(loop);
}

/* ---- Given up ------------------------------------------------------------------------------- */

static void closed_in_each_state(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    sluice_id at_work = resolve(loop, "slow:1", 0);
    await_question();
    sluice_id waiting = resolve(loop, "name:1", 0);
    sluice_id answered = resolve(loop, "1.2.3.4:1", 0);
    assert_int_equal(sluice_close(loop, waiting), 0);
    assert_int_equal(sluice_close(loop, at_work), 0);
    assert_int_equal(sluice_abort(loop, answered), 0);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_RESOLVE], 0);
    let_host_answer();
    expect_resolved(loop, resolve(loop, "name:3", 0), 0, "192.0.2.2:3");
    assert_int_equal(question_count(), 2);
    /* One whose answer has been told to the loop. */
    sluice_id told = resolve(loop, "name:4", 0);
    await_answer(loop);
    assert_int_equal(sluice_close(loop, told), 0);
    expect_no_event(loop);
}

static void the_middle_of_those_that_wait(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    sluice_id ids[6];
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        ids[i] = resolve(loop, i == 0 ? "slow:1" : "name:1", 0);
    assert_int_equal(sluice_close(loop, ids[2]), 0);
    assert_int_equal(sluice_close(loop, ids[5]), 0);
    assert_int_equal(sluice_close(loop, ids[4]), 0);
    let_host_answer();
    expect_resolved(loop, ids[0], 0, "192.0.2.1:1");
    expect_resolved(loop, ids[1], 0, "192.0.2.2:1");
    expect_resolved(loop, ids[3], 0, "192.0.2.2:1");
    expect_no_event(loop);
}

/* Sanitizers see who touches what. */
static void an_answer_after_the_loop_has_gone(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    resolve(loop, "slow:1", 0);
    await_question();
    resolve(loop, "name:1", 0);
    resolve(loop, "1.2.3.4:1", 0);
    end_loop(loop);
    loop = make_loop();
    sluice_id id = resolve(loop, "name:2", 0);
    let_host_answer();
    expect_resolved(loop, id, 0, "192.0.2.2:2");
    resolve(loop, "name:2", 0);
    await_answer(loop);
    end_loop(loop);
}

/* ---- Refused -------------------------------------------------------------------------------- */

/* A thread that another lookup has started may still be there for a moment. */
static void expect_no_thread(sluice_loop *loop) {
    sluice_id id;
    int code;
    int64_t until = monotonic_ns() + PATIENCE_NS;
    fail_threads(EAGAIN);
    while ((code = sluice_resolve(loop, &id, "name:1", 0, 0)) == 0 && monotonic_ns() < until) {
        assert_int_equal(sluice_close(loop, id), 0);
        sched_yield();
    }
    fail_threads(0);
    assert_int_equal(code, SLUICE_EAGAIN);
}

static void what_is_refused(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    static const struct {
        const char *address;
        uint32_t family;
        int code;
    } rows[] = {
        {NULL, 0, SLUICE_ENULL},
        {"", 0, SLUICE_EADDRESS},
        {"localhost", 0, SLUICE_EPORT},
        {"localhost:99999", 0, SLUICE_EPORT},
        {"256.1.1.1:80", 0, SLUICE_EADDRESS},
        {"*:80", 0, SLUICE_ENUMERIC},
        {"localhost:80", 1, -EAFNOSUPPORT},
        {"127.0.0.1:80", SLUICE_IPV6, -EAFNOSUPPORT},
        {"[::1]:80", SLUICE_IPV4, -EAFNOSUPPORT},
        {"unix:/run/a", SLUICE_IPV4, -EAFNOSUPPORT},
    };
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 1});
    size_t memory = loop_memory(loop);
    sluice_id id = 7;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(sluice_resolve(loop, &id, rows[i].address, rows[i].family, 0),
                         rows[i].code);
    assert_int_equal(sluice_resolve(NULL, &id, "a:1", 0, 0), SLUICE_ENULL);
    assert_int_equal(id, 7);
    expect_no_thread(loop);
    assert_int_equal(sluice_resolve(loop, NULL, "slow:1", 0, 0), 0);
    assert_int_equal(sluice_resolve(loop, &id, "name:1", 0, 0), SLUICE_EFULL);
    assert_int_equal(id, 7);
    let_host_answer();
    expect_event(loop, SLUICE_RESOLVED);
    expect_no_event(loop);
    assert_in_range(loop_memory(loop), memory, memory + 512); /* the table's first room */
}

static void *resolve_elsewhere(void *loop) {
    sluice_id id;
    assert_int_equal(sluice_resolve(loop, &id, "a:1", 0, 0), SLUICE_ETHREAD);
    assert_null(sluice_name_problem(loop, id = 1));
    return NULL;
}

static void handles_like_any_other(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    sluice_id id = resolve(loop, "slow:1", 0);
    uint64_t user = 0;
    char text[SLUICE_ADDRESS_MAX];
    assert_int_equal(sluice_user(loop, id, &user), 0);
    assert_int_equal(user, 5);
    assert_int_equal(sluice_set_user(loop, id, 6), 0);
    assert_int_equal(sluice_fd(loop, id), SLUICE_EKIND);
    assert_int_equal(sluice_peer_address(loop, id, text, sizeof text), SLUICE_EKIND);
    assert_int_equal(sluice_write(loop, id, "x", 1), SLUICE_EKIND);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_RESOLVE], 1);
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, resolve_elsewhere, loop), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    let_host_answer();
    assert_int_equal(expect_event_of(loop, SLUICE_RESOLVED, id).user, 6);
    assert_int_equal(stats_of(loop).events[SLUICE_RESOLVED], 1);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_RESOLVE], 0);
}

/* ---- Turns ---------------------------------------------------------------------------------- */

static void an_answer_ends_a_wait(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    sluice_event event;
    sluice_id id = resolve(loop, "slow:1", 0);
    assert_int_equal(sluice_next(loop, &event, 0), 0);
    assert_int_equal(sluice_until_next(loop), SLUICE_FOREVER);
    await_question();
    let_host_answer();
    expect_resolved(loop, id, 0, "192.0.2.1:1");
}

static void an_answer_shows_in_an_outer_loop(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    static const char *const addresses[] = {"slow:1", "1.2.3.4:1"};
    sluice_loop *loop = make_loop();
    int fd = sluice_backend_fd(loop);
    if (fd == SLUICE_ENOTSUP)
        return;
    let_host_answer();
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        expect_no_event(loop);
        sluice_id id = resolve(loop, addresses[i], 0);
        await(fd, POLLIN);
        sluice_event event = {0};
        assert_true(pull_now(loop, &event));
        assert_int_equal(event.kind, SLUICE_RESOLVED);
        assert_int_equal(event.id, id);
    }
}

/* Whether a program asks for numbers or for names, a timer has its turn. */
static void each_answer_asks_for_the_next(void) {
    MAKE_UP({"name", {"192.0.2.1"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    static const char *const addresses[] = {"name:1", "1.2.3.4:5"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        sluice_id timer;
        assert_int_equal(sluice_timer(loop, &timer, 10 * NS_PER_MS, 0, 0), 0);
        sluice_event event;
        sluice_id id = resolve(loop, addresses[i], 0);
        int64_t until = monotonic_ns() + PATIENCE_NS;
        do {
            event = next_event(loop);
            if (event.kind == SLUICE_RESOLVED)
                id = resolve(loop, addresses[i], 0);
        } while (event.kind != SLUICE_TIMER && monotonic_ns() < until);
        assert_int_equal(event.kind, SLUICE_TIMER);
        assert_int_equal(sluice_close(loop, id), 0);
    }
}

/* ---- Threads -------------------------------------------------------------------------------- */

/* Asks, hears some answers, gives others up, and ends while some are under way. */
static void *use_a_loop(void *backend) {
    const sluice_options options = {.size = sizeof options, .backend = backend};
    sluice_loop *loop;
    for (int round = 0; round < 20; round++) {
        assert_int_equal(sluice_open(&loop, &options), 0);
        for (int i = 0; i < 12; i++) {
            sluice_id id;
            sluice_event event;
            const char *name = i % 3 == 0 ? "unknown:1" : "name:1";
            assert_int_equal(sluice_resolve(loop, &id, name, 0, 0), 0);
            assert_int_equal(sluice_connect(loop, &id, name, NULL), 0);
            if (i % 4 == 3)
                assert_int_equal(sluice_abort(loop, id), 0);
            assert_in_range(sluice_next(loop, &event, i < 8 ? PATIENCE_NS : 0), 0, 1);
        }
        assert_int_equal(sluice_destroy(loop), 0);
    }
    return NULL;
}

/* ThreadSanitizer sees who touches what. */
static void loops_of_several_threads(void) {
    MAKE_UP({"name", {"127.0.0.2"}, 0, 0, false});
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, use_a_loop, (void *)(uintptr_t)test_backend()), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    sluice_loop *loop = make_loop(); /* whose answer comes after all that is under way */
    expect_resolved(loop, resolve(loop, "name:1", 0), 0, "127.0.0.2:1");
}

/* ---- Fork ----------------------------------------------------------------------------------- */

static int in_child(sluice_loop *loop, const sluice_id *ids) {
    if (sluice_after_fork(loop) != 0)
        return 1;
    let_host_answer();
    let_host_answer();
    for (size_t i = 0; i < 3; i++) {
        sluice_event event;
        if (sluice_next(loop, &event, PATIENCE_NS) != 1 || event.kind != SLUICE_RESOLVED ||
            event.id != ids[i] || event.error != 0)
            return 2 + (int)i;
    }
    return 0;
}

/* Answers that are there, one that the thread is at, and one that waits. */
static void the_child_of_a_fork_asks_anew(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    sluice_id ids[3];
    ids[0] = resolve(loop, "name:1", 0);
    await_answer(loop);
    ids[1] = resolve(loop, "slow:1", 0);
    await_question();
    ids[2] = resolve(loop, "slow:2", 0);
    pid_t child = fork();
    if (child == 0)
        _exit(in_child(loop, ids));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    let_host_answer();
    let_host_answer();
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(expect_event_of(loop, SLUICE_RESOLVED, ids[i]).error, 0);
}

/* One that the parent has been told of and has not pulled is the child's, too. */
static void an_answer_that_is_there_at_a_fork(void) {
    MAKE_UP({"name", {"192.0.2.2"}, 0, 0, false});
    sluice_loop *loop = make_loop();
    sluice_id id = resolve(loop, "name:1", 0);
    await_answer(loop);
    pid_t child = fork();
    if (child == 0) {
        sluice_event event = {0};
        bool told = sluice_after_fork(loop) == 0 && sluice_next(loop, &event, PATIENCE_NS) == 1;
        _exit(told && event.kind == SLUICE_RESOLVED && event.id == id ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    expect_resolved(loop, id, 0, "192.0.2.2:1");
}

static int in_child_without_threads(sluice_loop *loop, const sluice_id *ids) {
    fail_threads(EAGAIN);
    if (sluice_after_fork(loop) != SLUICE_EAGAIN)
        return 1;
    fail_threads(0);
    return in_child(loop, ids);
}

static void after_fork_without_a_thread_can_be_tried_again(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    sluice_loop *loop = make_loop();
    sluice_id ids[3];
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        ids[i] = resolve(loop, "slow:1", 0);
    await_question();
    pid_t child = fork();
    if (child == 0) {
        let_host_answer();
        _exit(in_child_without_threads(loop, ids));
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        let_host_answer();
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        expect_resolved(loop, ids[i], 0, "192.0.2.1:1");
}

int main(void) {
    static const struct test tests[] = {
        {"a name of /etc/hosts", a_name_of_etc_hosts, NULL},
        {"one address a line, in the order of RFC 8305", one_address_a_line, NULL},
        {"the family is asked for", the_family_is_asked_for, NULL},
        {"failures in getaddrinfo's words", failures_in_getaddrinfos_words, NULL},
        {"an address is its own answer", an_address_is_its_own_answer, NULL},
        {"many in one pull, each with its own text", many_in_one_pull, NULL},
        {"closed in each state: no event", closed_in_each_state, NULL},
        {"the middle of those that wait is given up", the_middle_of_those_that_wait, NULL},
        {"an answer after the loop has gone", an_answer_after_the_loop_has_gone, NULL},
        {"what is refused, and leaves nothing behind", what_is_refused, NULL},
        {"a handle like any other", handles_like_any_other, NULL},
        {"an answer ends a wait", an_answer_ends_a_wait, NULL},
        {"an answer shows in an outer loop", an_answer_shows_in_an_outer_loop, NULL},
        {"loops of several threads", loops_of_several_threads, NULL},
        {"each answer asks for the next, and a timer has its turn", each_answer_asks_for_the_next,
         NULL},
        {"the child of a fork asks anew", the_child_of_a_fork_asks_anew, NULL},
        {"an answer that is there at a fork", an_answer_that_is_there_at_a_fork, NULL},
        {"after_fork without a thread can be tried again",
         after_fork_without_a_thread_can_be_tried_again, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

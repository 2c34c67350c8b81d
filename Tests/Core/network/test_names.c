/* test_names.c - host names looked up on the helper thread. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "hosts.h"
#include "network/attempts.h"
#include "network/names.h"

/* ThreadSanitizer ends a child of a fork that starts a thread, unless it is told not to. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

/* A program may have more of this than a small stack has room for. */
static _Thread_local volatile char storage[(size_t)1024 * 1024];

/* ---- A lookup, and who waits for it --------------------------------------------------------- */

struct asker {
    struct sluice_lookup *lookup;
    sem_t answered;
    atomic_int calls;
    struct sluice_address addresses[SLUICE_ATTEMPTS_MOST];
};

static void answer(void *context) {
    struct asker *asker = context;
    asker->calls++;
    sem_post(&asker->answered);
}

static int ask_for(struct asker *asker, const char *host, int family) {
    sem_init(&asker->answered, 0, 0);
    asker->calls = 0;
    return sluice_lookup_begin(&asker->lookup, host, 443, family, answer, asker);
}

static void end(struct asker *asker) {
    sluice_lookup_end(asker->lookup);
    asker->lookup = NULL;
}

static void await_answer(struct asker *asker) {
    while (sem_wait(&asker->answered) < 0 && errno == EINTR) {
    }
}

/* Asks and waits: what sluice_lookup_addresses returns. */
static int look_up(struct asker *asker, const char *host, int family) {
    assert_int_equal(ask_for(asker, host, family), 0);
    await_answer(asker);
    return sluice_lookup_addresses(asker->lookup, asker->addresses, COUNT_OF(asker->addresses));
}

static void expect_address(const struct asker *asker, size_t index, const char *expected) {
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_address_format(&asker->addresses[index], text, sizeof text) > 0);
    assert_string_equal(text, expected);
}

/* The helper ends by itself once it has nothing to do. This waits until there are so many threads.
 */
static void await_threads(size_t count) {
    int64_t until = monotonic_ns() + PATIENCE_NS;
    while (thread_count() != count && monotonic_ns() < until)
        sched_yield();
    assert_int_equal(thread_count(), count);
}

static void await_allocations(long live) {
    int64_t until = monotonic_ns() + PATIENCE_NS;
    while (live_allocation_count() != live && monotonic_ns() < until)
        sched_yield();
    assert_int_equal(live_allocation_count(), live);
}

#define MAKE_UP(...)                                                                               \
    static const struct host hosts[] = {__VA_ARGS__};                                              \
    make_up_hosts(hosts, COUNT_OF(hosts))

/* ---- Answers -------------------------------------------------------------------------------- */

/* By libc itself. */
static void a_name_of_etc_hosts(void) {
    struct asker asker;
    int count = look_up(&asker, "localhost", AF_UNSPEC);
    assert_true(count >= 1);
    for (int i = 0; i < count; i++) {
        char text[SLUICE_ADDRESS_MAX];
        assert_true(sluice_address_format(&asker.addresses[i], text, sizeof text) > 0);
        assert_true(strcmp(text, "127.0.0.1:443") == 0 || strcmp(text, "[::1]:443") == 0);
    }
    assert_null(sluice_lookup_words(asker.lookup));
    end(&asker);
    assert_int_equal(look_up(&asker, "localhost", AF_INET), 1);
    expect_address(&asker, 0, "127.0.0.1:443");
    end(&asker);
}

static void addresses_in_the_order_of_rfc_8305(void) {
    MAKE_UP({"both", {"2001:db8::1", "2001:db8::1", "2001:db8::2", "192.0.2.1"}, 0, 0, false});
    struct asker asker;
    assert_int_equal(look_up(&asker, "both", AF_UNSPEC), 3);
    expect_address(&asker, 0, "[2001:db8::1]:443");
    expect_address(&asker, 1, "192.0.2.1:443");
    expect_address(&asker, 2, "[2001:db8::2]:443");
    /* As often as one likes, and as many as one likes. */
    assert_int_equal(sluice_lookup_addresses(asker.lookup, asker.addresses, 2), 2);
    end(&asker);
}

/* Every machine can be asked for every family, also one that has the loopback alone. */
static void what_getaddrinfo_is_asked(void) {
    MAKE_UP({"name", {"192.0.2.1"}, 0, 0, false});
    const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        struct asker asker;
        look_up(&asker, "name", families[i]);
        struct host_question question = last_question();
        assert_int_equal(question.hints.ai_family, families[i]);
        assert_int_equal(question.hints.ai_socktype, SOCK_STREAM);
        assert_int_equal(question.hints.ai_flags, 0);
        assert_true(question.signals_are_blocked);
        end(&asker);
    }
    assert_int_equal(question_count(), 3);
}

static void failures_in_getaddrinfos_words(void) {
    MAKE_UP({"again", {0}, EAI_AGAIN, 0, false}, {"fail", {0}, EAI_FAIL, 0, false},
            {"system", {0}, EAI_SYSTEM, EMFILE, false}, {"nothing", {0}, 0, 0, false},
            {"odd", {0}, EAI_SYSTEM, 99999, false});
    const struct {
        const char *host;
        const char *words;
    } rows[] = {
        {"again", gai_strerror(EAI_AGAIN)},    {"fail", gai_strerror(EAI_FAIL)},
        {"unknown", gai_strerror(EAI_NONAME)}, {"nothing", gai_strerror(EAI_NONAME)},
        {"system", strerror(EMFILE)},          {"odd", gai_strerror(EAI_SYSTEM)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct asker asker;
        assert_int_equal(look_up(&asker, rows[i].host, AF_UNSPEC), SLUICE_ENAME);
        const char *words = sluice_lookup_words(asker.lookup);
        end(&asker);
        assert_string_equal(words, rows[i].words); /* which outlive the lookup */
    }
}

static void no_memory_for_the_answer(void) {
    MAKE_UP({"memory", {0}, EAI_MEMORY, 0, false});
    struct asker asker;
    assert_int_equal(look_up(&asker, "memory", AF_UNSPEC), SLUICE_ENOMEM);
    end(&asker);
}

static void no_answer_yet(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    struct asker asker;
    assert_int_equal(ask_for(&asker, "slow", AF_UNSPEC), 0);
    await_question();
    assert_int_equal(sluice_lookup_addresses(asker.lookup, asker.addresses, 1), SLUICE_EAGAIN);
    assert_null(sluice_lookup_words(asker.lookup));
    let_host_answer();
    await_answer(&asker);
    assert_int_equal(sluice_lookup_addresses(asker.lookup, asker.addresses, 1), 1);
    end(&asker);
    assert_int_equal(asker.calls, 1);
}

static void the_name_is_copied(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    char name[] = "name";
    struct asker first;
    struct asker second;
    assert_int_equal(ask_for(&first, "slow", AF_UNSPEC), 0);
    await_question();
    assert_int_equal(ask_for(&second, name, AF_UNSPEC), 0);
    memset(name, 'x', sizeof name);
    let_host_answer();
    await_answer(&second);
    assert_int_equal(sluice_lookup_addresses(second.lookup, second.addresses, 1), 1);
    expect_address(&second, 0, "192.0.2.2:443");
    end(&first);
    end(&second);
}

static void one_after_the_other(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    struct asker askers[8];
    for (size_t i = 0; i < COUNT_OF(askers); i++)
        assert_int_equal(ask_for(&askers[i], i == 0 ? "slow" : "name", AF_UNSPEC), 0);
    await_question();
    assert_int_equal(question_count(), 1);
    let_host_answer();
    for (size_t i = COUNT_OF(askers); i-- > 0;) {
        await_answer(&askers[i]);
        if (i > 0) /* the one before was answered before it */
            assert_int_equal(
                sluice_lookup_addresses(askers[i - 1].lookup, askers[i - 1].addresses, 1), 1);
    }
    for (size_t i = 0; i < COUNT_OF(askers); i++)
        end(&askers[i]);
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void what_cannot_be_a_name(void) {
    MAKE_UP({"good", {"192.0.2.1"}, 0, 0, false});
    static const char *const bad[] = {
        "",        ".",         "a b",     "a:b",   "::1",   "[::1]",      "user@host",
        "http://", "a/b",       "a%eth0",  "a\n",   "1",     "127.1",      "256.1.1.1",
        "1.2.3.4", "127.0.0.1", "0x7f.1.", "0x7f1", "a.b.0", "2130706433", "a.0x1F",
        "..",      "*",         "0x",      "a.1.",  "0177.1"};
    static const char *const good[] = {"a",    "a.",           "a-b_c.d",   "1.a",  "3com.example",
                                       "a.1b", "xn--nxasmq6b", "m\xc3\xbc", "0x7g", "7a.0xg"};
    struct asker asker;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(ask_for(&asker, bad[i], AF_UNSPEC), SLUICE_EADDRESS);
        assert_null(asker.lookup);
    }
    char longest[SLUICE_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[SLUICE_NAME_MAX + 1] = '\0';
    assert_int_equal(ask_for(&asker, longest, AF_UNSPEC), SLUICE_EADDRESS);
    assert_int_equal(ask_for(&asker, "a", AF_UNIX), -EAFNOSUPPORT);
    assert_int_equal(question_count(), 0);
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(look_up(&asker, good[i], AF_UNSPEC), SLUICE_ENAME);
        end(&asker);
    }
    longest[SLUICE_NAME_MAX] = '\0';
    assert_int_equal(look_up(&asker, longest, AF_UNSPEC), SLUICE_ENAME);
    end(&asker);
}

/* Those that wait are ended, and the one at work too. */
static void the_queue_is_bounded(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    static struct asker askers[SLUICE_LOOKUPS_WAITING_MAX];
    struct asker slow;
    struct asker more;
    assert_int_equal(ask_for(&slow, "slow", AF_UNSPEC), 0);
    await_question();
    for (size_t i = 0; i < COUNT_OF(askers); i++)
        assert_int_equal(ask_for(&askers[i], "name", AF_UNSPEC), 0);
    long live = live_allocation_count();
    assert_int_equal(ask_for(&more, "name", AF_UNSPEC), SLUICE_EFULL);
    assert_null(more.lookup);
    assert_int_equal(live_allocation_count(), live);
    /* The last of the queue, one in the middle, and the first. */
    end(&askers[COUNT_OF(askers) - 1]);
    assert_int_equal(ask_for(&more, "name", AF_UNSPEC), 0);
    end(&askers[500]);
    end(&askers[0]);
    let_host_answer();
    await_answer(&more);
    assert_int_equal(question_count(), 1 + COUNT_OF(askers) - 3 + 1);
    end(&slow);
    end(&more);
    for (size_t i = 0; i < COUNT_OF(askers); i++)
        end(&askers[i]);
}

static void no_thread_can_be_started(void) {
    MAKE_UP({"name", {"192.0.2.2"}, 0, 0, false});
    struct asker asker;
    long live = live_allocation_count();
    fail_threads(EAGAIN);
    assert_int_equal(ask_for(&asker, "name", AF_UNSPEC), SLUICE_EAGAIN);
    assert_null(asker.lookup);
    assert_int_equal(live_allocation_count(), live);
    fail_threads(0);
    assert_int_equal(look_up(&asker, "name", AF_UNSPEC), 1);
    end(&asker);
}

static void no_memory(void) {
    MAKE_UP({"name", {"192.0.2.2"}, 0, 0, false});
    struct asker asker;
    long live = live_allocation_count();
    int code = SLUICE_ENOMEM;
    for (long nth = 1; code < 0; nth++) {
        fail_allocation(nth);
        code = ask_for(&asker, "name", AF_UNSPEC);
        fail_allocation(0);
        assert_true(code == 0 || code == SLUICE_ENOMEM);
        if (nth == 1)
            assert_int_equal(code, SLUICE_ENOMEM);
    }
    await_answer(&asker);
    assert_int_equal(sluice_lookup_addresses(asker.lookup, asker.addresses, 1), 1);
    end(&asker);
    assert_int_equal(live_allocation_count(), live);
}

/* ---- The thread ----------------------------------------------------------------------------- */

static void *do_nothing(void *unused) {
    return unused;
}

static void a_thread_while_there_is_something_to_look_up(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    struct asker first;
    struct asker second;
    pthread_t other;
    /* A sanitizer starts one of its own with the first that there is. */
    assert_int_equal(pthread_create(&other, NULL, do_nothing, NULL), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    size_t before = thread_count();
    assert_int_equal(ask_for(&first, "", AF_UNSPEC), SLUICE_EADDRESS);
    assert_int_equal(thread_count(), before);
    assert_int_equal(ask_for(&first, "slow", AF_UNSPEC), 0);
    await_question();
    assert_int_equal(thread_count(), before + 1);
    assert_int_equal(ask_for(&second, "slow", AF_UNSPEC), 0);
    assert_int_equal(thread_count(), before + 1);
    let_host_answer();
    let_host_answer();
    await_answer(&second);
    end(&first);
    end(&second);
    await_threads(before);
}

static void the_callers_signals_are_left_alone(void) {
    MAKE_UP({"name", {"192.0.2.1"}, 0, 0, false});
    sigset_t one;
    sigset_t before;
    sigset_t after;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &one, &before);
    struct asker asker;
    look_up(&asker, "name", AF_UNSPEC);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    end(&asker);
    for (int signo = 1; signo < 32; signo++)
        assert_int_equal(sigismember(&after, signo), signo == SIGUSR1);
}

static void much_thread_local_storage(void) {
    storage[0] = 1;
    struct asker asker;
    assert_true(look_up(&asker, "localhost", AF_UNSPEC) >= 1);
    end(&asker);
}

/* ---- Ended ---------------------------------------------------------------------------------- */

static void ended_while_it_waits(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    struct asker slow;
    struct asker waiting;
    assert_int_equal(ask_for(&slow, "slow", AF_UNSPEC), 0);
    await_question();
    assert_int_equal(ask_for(&waiting, "name", AF_UNSPEC), 0);
    end(&waiting);
    let_host_answer();
    await_answer(&slow);
    end(&slow);
    assert_int_equal(look_up(&slow, "name", AF_UNSPEC), 1);
    end(&slow);
    assert_int_equal(question_count(), 2);
    assert_int_equal(waiting.calls, 0);
}

/* The answer comes when nobody is there any more: sanitizers see who touches what. */
static void ended_while_the_thread_is_at_it(void) {
    MAKE_UP({"slow", {"192.0.2.1", "192.0.2.2"}, 0, 0, true}, {"name", {"192.0.2.3"}, 0, 0, false});
    long live = live_allocation_count();
    struct asker *gone = malloc(sizeof *gone);
    assert_non_null(gone);
    assert_int_equal(ask_for(gone, "slow", AF_UNSPEC), 0);
    await_question();
    end(gone);
    free(gone);
    struct asker asker;
    assert_int_equal(ask_for(&asker, "name", AF_UNSPEC), 0);
    let_host_answer();
    await_answer(&asker);
    end(&asker);
    await_allocations(live);
}

static void nothing_to_end(void) {
    sluice_lookup_end(NULL);
}

enum { ASKING_THREADS = 4, ROUNDS = 400 };

/* Begins and ends at all moments. Telling somebody after the end would write to freed memory. */
static void *begin_and_end(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        struct asker *asker = malloc(sizeof *asker);
        if (!asker || ask_for(asker, "name", AF_UNSPEC) != 0)
            abort();
        seed = seed * 1103515245 + 12345;
        unsigned choice = seed >> 16 & 3;
        if (choice == 0)
            await_answer(asker);
        for (unsigned i = 0; i < choice; i++)
            sched_yield();
        end(asker);
        free(asker);
    }
    return NULL;
}

static void ended_at_any_moment(void) {
    MAKE_UP({"name", {"192.0.2.1"}, 0, 0, false});
    pthread_t threads[ASKING_THREADS];
    long live = live_allocation_count();
    for (uintptr_t i = 0; i < ASKING_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, begin_and_end, (void *)i), 0);
    for (size_t i = 0; i < ASKING_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    await_allocations(live);
}

/* ---- Fork ----------------------------------------------------------------------------------- */

/* Whether the child ends by 0, and in time. */
static void expect_good_child(pid_t child) {
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* What a child finds wrong, as a line number; 0 for nothing. */
#define CHILD_EXPECTS(condition)                                                                   \
    if (!(condition))                                                                              \
    _exit(1 + __LINE__ % 250)

static void a_fork_while_the_thread_is_at_work(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    struct asker first;
    struct asker second;
    struct asker third;
    assert_int_equal(ask_for(&first, "slow", AF_UNSPEC), 0);
    await_question();
    assert_int_equal(ask_for(&second, "name", AF_UNSPEC), 0);
    assert_int_equal(ask_for(&third, "name", AF_UNSPEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_MS / 1000);
        /* One is asked for anew, twice told; the others are given up. */
        CHILD_EXPECTS(sluice_lookup_addresses(first.lookup, first.addresses, 1) == SLUICE_EAGAIN);
        CHILD_EXPECTS(sluice_lookup_after_fork(second.lookup) == 0);
        CHILD_EXPECTS(sluice_lookup_after_fork(second.lookup) == 0);
        await_answer(&second);
        CHILD_EXPECTS(sluice_lookup_after_fork(second.lookup) == 0);
        CHILD_EXPECTS(sluice_lookup_addresses(second.lookup, second.addresses, 1) == 1);
        end(&first);
        end(&second);
        end(&third);
        CHILD_EXPECTS(first.calls == 0 && second.calls == 1 && third.calls == 0);
        CHILD_EXPECTS(ask_for(&third, "slow", AF_UNSPEC) == 0);
        let_host_answer();
        await_answer(&third);
        CHILD_EXPECTS(sluice_lookup_addresses(third.lookup, third.addresses, 1) == 1);
        end(&third);
        _exit(0);
    }
    expect_good_child(child);
    /* The parent's go on as if nothing had happened. */
    assert_int_equal(sluice_lookup_after_fork(first.lookup), 0);
    let_host_answer();
    await_answer(&third);
    assert_int_equal(sluice_lookup_addresses(first.lookup, first.addresses, 1), 1);
    end(&first);
    end(&second);
    end(&third);
    assert_int_equal(question_count(), 3);
}

/* What was at work was given up before the fork: nobody is there to free it in the child. */
static void a_fork_after_an_end(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    struct asker asker;
    long live = live_allocation_count();
    assert_int_equal(ask_for(&asker, "slow", AF_UNSPEC), 0);
    await_question();
    end(&asker);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_MS / 1000);
        CHILD_EXPECTS(live_allocation_count() == live);
        CHILD_EXPECTS(ask_for(&asker, "name", AF_UNSPEC) == 0);
        await_answer(&asker);
        end(&asker);
        CHILD_EXPECTS(live_allocation_count() == live);
        _exit(0);
    }
    expect_good_child(child);
    let_host_answer();
    await_allocations(live);
}

/* Of the two that a child can not: start the thread, and start it later. */
static void a_child_without_a_thread(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true});
    struct asker asker;
    assert_int_equal(ask_for(&asker, "slow", AF_UNSPEC), 0);
    await_question();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_MS / 1000);
        fail_threads(EAGAIN);
        CHILD_EXPECTS(sluice_lookup_after_fork(asker.lookup) == SLUICE_EAGAIN);
        fail_threads(0);
        CHILD_EXPECTS(sluice_lookup_after_fork(asker.lookup) == 0);
        let_host_answer();
        await_answer(&asker);
        CHILD_EXPECTS(sluice_lookup_addresses(asker.lookup, asker.addresses, 1) == 1);
        end(&asker);
        _exit(0);
    }
    expect_good_child(child);
    let_host_answer();
    await_answer(&asker);
    end(&asker);
}

static atomic_bool stop;

static void *take_the_lock(void *argument) {
    struct sluice_lookup *waiting = argument;
    struct sluice_address address;
    while (!stop)
        if (sluice_lookup_addresses(waiting, &address, 1) != SLUICE_EAGAIN)
            abort();
    return NULL;
}

/* Another thread has the lock at any moment: no child hangs because of it. The other threads
 * allocate nothing, because a sanitizer's allocator does not survive that. */
static void a_fork_while_the_lock_is_taken(void) {
    MAKE_UP({"slow", {"192.0.2.1"}, 0, 0, true}, {"name", {"192.0.2.2"}, 0, 0, false});
    struct asker slow;
    struct asker waiting;
    assert_int_equal(ask_for(&slow, "slow", AF_UNSPEC), 0);
    await_question();
    assert_int_equal(ask_for(&waiting, "name", AF_UNSPEC), 0);
    pthread_t threads[2];
    stop = false;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_the_lock, waiting.lookup), 0);
    int bad = 0;
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(PATIENCE_MS / 1000);
            CHILD_EXPECTS(sluice_lookup_after_fork(waiting.lookup) == 0);
            await_answer(&waiting);
            CHILD_EXPECTS(sluice_lookup_addresses(waiting.lookup, waiting.addresses, 1) == 1);
            end(&waiting);
            end(&slow);
            _exit(0);
        }
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            bad++;
    }
    stop = true;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    let_host_answer();
    await_answer(&waiting);
    end(&waiting);
    end(&slow);
    assert_int_equal(bad, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"a thread while there is something to look up",
         a_thread_while_there_is_something_to_look_up, NULL},
        {"a name of /etc/hosts", a_name_of_etc_hosts, NULL},
        {"addresses in the order of RFC 8305", addresses_in_the_order_of_rfc_8305, NULL},
        {"what getaddrinfo is asked", what_getaddrinfo_is_asked, NULL},
        {"failures in getaddrinfo's words", failures_in_getaddrinfos_words, NULL},
        {"no memory for the answer", no_memory_for_the_answer, NULL},
        {"no answer yet", no_answer_yet, NULL},
        {"the name is copied", the_name_is_copied, NULL},
        {"one after the other", one_after_the_other, NULL},
        {"what cannot be a name", what_cannot_be_a_name, NULL},
        {"the queue is bounded", the_queue_is_bounded, NULL},
        {"no thread can be started", no_thread_can_be_started, NULL},
        {"no memory", no_memory, NULL},
        {"the caller's signals are left alone", the_callers_signals_are_left_alone, NULL},
        {"much thread-local storage", much_thread_local_storage, NULL},
        {"ended while it waits", ended_while_it_waits, NULL},
        {"ended while the thread is at it", ended_while_the_thread_is_at_it, NULL},
        {"nothing to end", nothing_to_end, NULL},
        {"ended at any moment", ended_at_any_moment, NULL},
        {"a fork while the thread is at work", a_fork_while_the_thread_is_at_work, NULL},
        {"a fork after an end", a_fork_after_an_end, NULL},
        {"a child without a thread", a_child_without_a_thread, NULL},
        {"a fork while the lock is taken", a_fork_while_the_lock_is_taken, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

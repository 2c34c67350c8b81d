/* test_loop_threads.c - every call on a loop, from a thread that is not the loop's, and without a
 * loop: each returns a code, and never a number that could be taken for a result. */
#include "loops.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct {
    const char *name;
    int64_t code;
} answers[64];
static size_t answer_count;

/* What the calls are of, none of which is to be touched. */
static sluice_loop *loop;
static sluice_id id;
static int fd;
static sluice_id made;

#define CALL(called, arguments)                                                                    \
    answers[answer_count].name = "sluice_" #called;                                                \
    answers[answer_count++].code = sluice_##called arguments

static void *call_all(void *unused) {
    char text[SLUICE_ADDRESS_MAX];
    uint64_t word;
    sluice_event event;
    sluice_statistics stats = {.size = sizeof stats};
    const sluice_slice slice = {"x", 1};
    void *kept;
    answer_count = 0;
    CALL(next, (loop, &event, 0));
    CALL(next_many, (loop, &event, 1, 0));
    CALL(now, (loop));
    CALL(update_now, (loop));
    CALL(backend_fd, (loop));
    CALL(until_next, (loop));
    CALL(stats, (loop, &stats));
    CALL(close, (loop, id));
    CALL(abort, (loop, id));
    CALL(abort_with, (loop, id, -1));
    CALL(user, (loop, id, &word));
    CALL(set_user, (loop, id, 1));
    CALL(fd, (loop, id));
    CALL(kind_of, (loop, id));
    CALL(watch, (loop, &made, fd, SLUICE_READ, 0));
    CALL(rewatch, (loop, id, SLUICE_READ));
    CALL(timer, (loop, &made, 0, 0, 0));
    CALL(timer_reset, (loop, id, 0));
    CALL(signal, (loop, &made, 10));
    CALL(listen, (loop, &made, "127.0.0.1:0", NULL));
    CALL(listen_fd, (loop, &made, fd, NULL));
    CALL(connect, (loop, &made, "127.0.0.1:1", NULL));
    CALL(resolve, (loop, &made, "127.0.0.1:1", 0, 0));
    CALL(adopt, (loop, &made, fd, NULL));
    CALL(local_address, (loop, id, text, sizeof text));
    CALL(peer_address, (loop, id, text, sizeof text));
    CALL(write, (loop, id, "x", 1));
    CALL(writev, (loop, id, &slice, 1));
    CALL(send_file, (loop, id, fd, 0, 1));
    CALL(flush, (loop, id));
    CALL(shutdown, (loop, id));
    CALL(pause, (loop, id));
    CALL(resume, (loop, id));
    CALL(hold, (loop, id, 0));
    CALL(hold_until, (loop, id, 0, 1));
    CALL(keep, (loop, id, &kept));
    CALL(return, (loop, &word));
    CALL(pending, (loop, id));
    CALL(forward, (loop, id, id));
    return unused;
}

static void expect_all(int code) {
    for (size_t i = 0; i < answer_count; i++)
        if (answers[i].code != code)
            fail_msg("%s answers %lld", answers[i].name, (long long)answers[i].code);
    assert_int_equal(made, 0);
}

static void on_another_thread(void) {
    loop = make_loop();
    struct line line = tcp_line(loop);
    id = line.id;
    fd = unix_pair().near;
    put_text(line.peer, "a line");
    sluice_event before = expect_event_of(loop, SLUICE_DATA, line.id);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_all, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_all(SLUICE_ETHREAD);
    assert_memory_equal(before.data, "a line", 6);
    expect_no_event(loop);
}

static void without_a_loop(void) {
    loop = NULL;
    id = 1;
    fd = 0;
    call_all(NULL);
    expect_all(SLUICE_ENULL);
}

/* Each call of sluice.h is above, except those whose comments say otherwise there. */
static void none_is_left_out(void) {
    static const char *const others[] = {
        "sluice_open",      "sluice_destroy",    "sluice_post",        "sluice_wake",
        "sluice_take_over", "sluice_after_fork", "sluice_name_problem"};
    FILE *header = fopen("CSources/CSluice/include/sluice.h", "r");
    assert_non_null(header);
    char line[256];
    while (fgets(line, sizeof line, header)) {
        char name[64] = "";
        if (strncmp(line, "SLUICE_API", 10) != 0 || !strstr(line, "sluice_loop *"))
            continue;
        const char *end = strchr(line, '(');
        const char *begin = end;
        while (begin && begin[-1] != ' ' && begin[-1] != '*')
            begin--;
        if (begin)
            snprintf(name, sizeof name, "%.*s", (int)(end - begin), begin);
        bool found = false;
        for (size_t i = 0; i < answer_count; i++)
            found |= strcmp(answers[i].name, name) == 0;
        for (size_t i = 0; i < COUNT_OF(others); i++)
            found |= strcmp(others[i], name) == 0;
        if (!found)
            fail_msg("%s is not tried", name);
    }
    fclose(header);
}

int main(void) {
    static const struct test tests[] = {
        {"on another thread: SLUICE_ETHREAD", on_another_thread, NULL},
        {"without a loop: SLUICE_ENULL", without_a_loop, NULL},
        {"no call is left out", none_is_left_out, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

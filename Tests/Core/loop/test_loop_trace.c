/* test_loop_trace.c - SLUICE_TRACE=events: a line for each event that is pulled, and only then. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"

static int standard_error; /* while the number 2 is a pipe; or -1 */

static int said_from; /* the pipe's other end */
static volatile sig_atomic_t signals_raised;

static void note_signal(int number) {
    (void)number;
    signals_raised++;
}

static void restore_standard_error(void *unused) {
    (void)unused;
    if (standard_error < 0)
        return;
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    standard_error = -1;
}

/* What a loop that is opened, used by `use` and destroyed meanwhile says on standard error. */
static const char *said_by(const char *traces, void (*use)(sluice_loop *)) {
    static char said[4096];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    said_from = ends[0];
    standard_error = dup(STDERR_FILENO);
    defer(restore_standard_error, NULL);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    assert_int_equal(traces ? setenv("SLUICE_TRACE", traces, 1) : unsetenv("SLUICE_TRACE"), 0);
    sluice_loop *loop;
    int code = sluice_open(
        &loop, &(sluice_options){.size = sizeof(sluice_options), .backend = test_backend()});
    unsetenv("SLUICE_TRACE");
    if (code == 0) {
        use(loop);
        code = sluice_destroy(loop);
    }
    restore_standard_error(NULL);
    assert_int_equal(code, 0);
    /* Its end: nobody has the other one any more. */
    size_t length = 0;
    ssize_t count;
    while ((count = read(ends[0], said + length, sizeof said - 1 - length)) > 0)
        length += (size_t)count;
    close(ends[0]);
    said[length] = '\0';
    return said;
}

static void assert_matches(const char *said, const char *pattern) {
    regex_t compiled;
    assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int code = regexec(&compiled, said, 0, NULL, 0);
    regfree(&compiled);
    if (code != 0)
        fail_msg("%s\nis not of the form\n%s", said, pattern);
}

static void post_twice_and_pull(sluice_loop *loop) {
    sluice_event events[2];
    assert_int_equal(sluice_post(loop, 7), 0);
    assert_int_equal(sluice_next(loop, events, SLUICE_FOREVER), 1);
    assert_int_equal(sluice_post(loop, 8), 0);
    assert_int_equal(sluice_post(loop, 9), 0);
    assert_int_equal(sluice_next_many(loop, events, 2, SLUICE_FOREVER), 2);
    assert_int_equal(sluice_next(loop, events, 0), 0);
}

static void each_event_has_a_line(void) {
    assert_matches(said_by("events", post_twice_and_pull),
                   "^sluice\\[[0-9]+\\]: POSTED 0/0 user 0 length 0 value 7 error 0\n"
                   "sluice\\[[0-9]+\\]: POSTED 0/0 user 0 length 0 value 8 error 0\n"
                   "sluice\\[[0-9]+\\]: POSTED 0/0 user 0 length 0 value 9 error 0\n"
                   "sluice\\[[0-9]+\\]: NONE 0/0 user 0 length 0 value 0 error 0\n$");
}

static void without_it_nothing_is_said(void) {
    assert_string_equal(said_by(NULL, post_twice_and_pull), "");
    assert_string_equal(said_by("", post_twice_and_pull), "");
    assert_string_equal(said_by("event", post_twice_and_pull), "");
}

/* The number 2 is another file's from the moment the loop is open. */
static void give_the_number_away(sluice_loop *loop) {
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    post_twice_and_pull(loop);
    assert_int_equal(read(ends[0], &byte, 1), -1);
    close(ends[0]);
    close(ends[1]);
}

static void who_has_the_number_2_later_gets_nothing(void) {
    assert_matches(said_by("events", give_the_number_away), "value 7 error 0\n");
}

static void reset_a_connection(sluice_loop *loop) {
    struct line line = tcp_line(loop);
    reset_connection(line.peer);
    expect_closed(loop, line.id, -ECONNRESET, 0);
}

static void a_failure_has_its_number(void) {
    assert_matches(said_by("events", reset_a_connection), "CLOSED .* error -104\n");
}

static int pull_a_post(const char *traces) {
    sluice_event event;
    assert_int_equal(traces ? setenv("SLUICE_TRACE", traces, 1) : unsetenv("SLUICE_TRACE"), 0);
    sluice_loop *loop = make_loop();
    unsetenv("SLUICE_TRACE");
    assert_int_equal(sluice_post(loop, 7), 0);
    assert_int_equal(sluice_next(loop, &event, 0), 1);
    int descriptors = (int)open_fd_count();
    end_loop(loop);
    return descriptors;
}

static void put_standard_error_aside(void) {
    standard_error = dup(STDERR_FILENO);
    defer(restore_standard_error, NULL);
}

/* The number 2 is free, and so one of the loop's own: that is no standard error. */
static void without_a_standard_error_nothing_is_traced(void) {
    put_standard_error_aside();
    close(STDERR_FILENO);
    int traced = pull_a_post("events");
    int untraced = pull_a_post(NULL);
    restore_standard_error(NULL);
    assert_int_equal(traced, untraced);
}

static void a_reader_that_has_gone_raises_no_signal(void) {
    int ends[2];
    put_standard_error_aside();
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    signals_raised = 0;
    struct sigaction before;
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = note_signal}, &before);
    pull_a_post("events");
    sigaction(SIGPIPE, &before, NULL);
    restore_standard_error(NULL);
    assert_int_equal(signals_raised, 0);
}

/* Standard error is a pipe that is full for the first two events. */
static void fill_up_meanwhile(sluice_loop *loop) {
    static const char filling[4096];
    static char taken[65536];
    sluice_event event;
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
    while (write(STDERR_FILENO, filling, sizeof filling) > 0) {
    }
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(sluice_post(loop, i), 0);
        if (i == 2)
            assert_true(read(said_from, taken, sizeof taken) > 0);
        assert_int_equal(sluice_next(loop, &event, SLUICE_FOREVER), 1);
    }
}

static void lost_lines_are_counted(void) {
    assert_matches(said_by("events", fill_up_meanwhile),
                   "^sluice\\[[0-9]+\\]: POSTED .* value 2 error 0 \\(2 lines before are lost\\)\n"
                   "sluice\\[[0-9]+\\]: POSTED .* value 3 error 0\n$");
}

/* Whose environment is that of somebody with fewer rights. */
static void a_program_with_more_rights_is_not_traced(void) {
    pretend_more_rights(true);
    const char *said = said_by("events", post_twice_and_pull);
    pretend_more_rights(false);
    assert_string_equal(said, "");
}

int main(void) {
    static const struct test tests[] = {
        {"each event has a line", each_event_has_a_line, NULL},
        {"without SLUICE_TRACE nothing is said", without_it_nothing_is_said, NULL},
        {"who has the number 2 later gets nothing", who_has_the_number_2_later_gets_nothing, NULL},
        {"a failure has its number", a_failure_has_its_number, NULL},
        {"without a standard error nothing is traced", without_a_standard_error_nothing_is_traced,
         NULL},
        {"a reader that has gone raises no signal", a_reader_that_has_gone_raises_no_signal, NULL},
        {"lines that are lost are counted", lost_lines_are_counted, NULL},
        {"a program with more rights than its user's is not traced",
         a_program_with_more_rights_is_not_traced, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

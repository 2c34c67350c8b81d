/* filter.c - runs a command as a filter: standard input goes to it, and its output goes out.
 *
 *     filter sort <names >sorted-names
 *
 * Feeding and reading go on at the same time, each at its own pace. A program that wrote all of its
 * input first would wait for ever: the command stops reading when the pipe of its output is full.
 *
 * A child needs no call of Sluice's own. Its pipes are streams like any others. When it has ended,
 * its pidfd can be read from (pidfd_open(2)), and that is a watch.
 *
 *     cc -o filter filter.c $(pkg-config --cflags --libs sluice)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sluice.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The four streams, by their user words. Bytes are forwarded from each to the one behind it. */
enum { INPUT, TO_COMMAND, FROM_COMMAND, OUTPUT, STREAMS };

struct filter {
    sluice_loop *loop;
    sluice_id streams[STREAMS];
    int open;        /* how many streams have not ended */
    int pidfd;       /* the command, or -1 once it has ended */
    siginfo_t ended; /* how */
};

static void check(int code, const char *what) {
    if (code >= 0)
        return;
    fprintf(stderr, "filter: %s: %s\n", what, sluice_error_message(code));
    exit(1);
}

static int checked(int result, const char *what) {
    check(result < 0 ? -errno : 0, what);
    return result;
}

/* Starts the command with this input and this output. */
static pid_t begin_command(char **command, int input, int output) {
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    check(-posix_spawnp(&pid, command[0], &actions, NULL, command, environ), command[0]);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void begin(struct filter *filter, char **command) {
    int feed[2];
    int answer[2];
    sluice_id unneeded;
    /* Close-on-exec, so that the command does not get our ends. With them it would wait for
     * itself. */
    checked(pipe2(feed, O_CLOEXEC), "pipe");
    checked(pipe2(answer, O_CLOEXEC), "pipe");
    pid_t pid = begin_command(command, feed[0], answer[1]);
    close(feed[0]);
    close(answer[1]);
    filter->pidfd = checked((int)syscall(SYS_pidfd_open, pid, 0), "pidfd_open");
    check(sluice_watch(filter->loop, &unneeded, filter->pidfd, SLUICE_READ, 0), "watch");

    const int descriptors[STREAMS] = {STDIN_FILENO, feed[1], answer[0], STDOUT_FILENO};
    for (uint64_t i = 0; i < STREAMS; i++) {
        check(sluice_adopt(filter->loop, &filter->streams[i], descriptors[i], NULL), "adopt");
        check(sluice_set_user(filter->loop, filter->streams[i], i), "set_user");
        filter->open++;
    }
    /* A terminal can be read from by its output descriptor, too, and so can a file that is open for
     * both. */
    check(sluice_pause(filter->loop, filter->streams[OUTPUT]), "pause");
    for (int i = 0; i < STREAMS; i += 2)
        check(sluice_forward(filter->loop, filter->streams[i], filter->streams[i + 1]), "forward");
}

static void handle(struct filter *filter, const sluice_event *event) {
    if (event->kind == SLUICE_READY) {
        checked(waitid(P_PIDFD, (id_t)filter->pidfd, &filter->ended, WEXITED), "waitid");
        sluice_close(filter->loop, event->id);
        close(filter->pidfd);
        filter->pidfd = -1;
    } else if (event->kind == SLUICE_CLOSED) {
        filter->open--;
        /* Close the other stream of the pair, too. Either it has nothing more to send, or nobody
         * takes any more what comes from it, as after `filter head`. It may have ended already,
         * which does no harm. */
        sluice_close(filter->loop, filter->streams[event->user ^ 1]);
        if (event->error < 0 && event->error != -EPIPE)
            fprintf(stderr, "filter: %s\n", sluice_error_message(event->error));
    }
}

/* Says how the command has ended, and returns what a shell would. */
static int report(const char *name, const siginfo_t *ended) {
    if (ended->si_code == CLD_EXITED) {
        fprintf(stderr, "filter: %s ended with %d\n", name, ended->si_status);
        return ended->si_status;
    }
    fprintf(stderr, "filter: %s was ended by the signal %d\n", name, ended->si_status);
    return 128 + ended->si_status;
}

int main(int count, char **arguments) {
    struct filter filter = {.pidfd = -1};
    if (count < 2) {
        fprintf(stderr, "usage: filter COMMAND [ARGUMENT...]\n");
        return 2;
    }
    check(sluice_open(&filter.loop, NULL), "open");
    begin(&filter, arguments + 1);
    while (filter.open > 0 || filter.pidfd >= 0) {
        sluice_event event;
        check(sluice_next(filter.loop, &event, SLUICE_FOREVER), "next");
        handle(&filter, &event);
    }
    sluice_destroy(filter.loop);
    return report(arguments[1], &filter.ended);
}

/* 06-answer.c - sluice_select makes its sets as long as it needs. */
#include <sluice.h>
#include <sys/resource.h>

#include "tutorial.h"

int main(void) {
    int client, server, ready[1];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    connection(&client, &server);
    int fd = must(fcntl(server, F_DUPFD_CLOEXEC, 2000), "F_DUPFD");
    send(client, "hello", 5, 0);
    sluice_fd_list reading = {.fds = &fd, .count = 1, .ready = ready};
    int count = sluice_select(&reading, NULL, NULL, SLUICE_FOREVER);
    printf("%d can be read: number %d\n", count, ready[0]);
}

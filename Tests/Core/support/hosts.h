/* hosts.h - host names that are made up, for tests without a network. While there are some, the
 * core's calls of getaddrinfo come here (see faults.h), and no other name is known.
 */
#ifndef HOSTS_H
#define HOSTS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>

struct host {
    const char *name;
    const char *addresses[12]; /* numeric, without a port */
    int error;                 /* EAI_... instead of them */
    int system_error;          /* the errno of EAI_SYSTEM */
    bool slow;                 /* answers when let_host_answer says so */
};

/* What getaddrinfo was asked last. */
struct host_question {
    struct addrinfo hints;
    bool signals_are_blocked; /* in the thread that asked: all that can be */
};

/* There are these hosts from now on, and the count of questions begins anew. 0 of them: libc's. */
void make_up_hosts(const struct host *hosts, size_t count);

/* Waits until a slow host has been asked for, once for each time; lets one answer. */
void await_question(void);
void let_host_answer(void);

/* How often getaddrinfo was called, and with what. */
long question_count(void);
struct host_question last_question(void);

/* For the wrappers: whether the call was answered here. */
bool hosts_answer(const char *name, const struct addrinfo *hints, struct addrinfo **list,
                  int *error);
bool hosts_free(struct addrinfo *list);

#endif

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
    int error;                 /* EAI_... instead of addresses */
    int system_error;          /* the errno of EAI_SYSTEM */
    bool slow;                 /* answers when let_host_answer says so */
};

/* The last call of getaddrinfo. */
struct host_question {
    struct addrinfo hints;
    bool signals_are_blocked; /* in the thread that asked: all signals that can be blocked */
};

/* From now on there are these hosts, and the count of questions is 0 again. With `count` 0, libc's
 * getaddrinfo is used again. */
void make_up_hosts(const struct host *hosts, size_t count);

/* The first waits until somebody has asked for a slow host; call it once for each question. The
 * second lets one host answer. */
void await_question(void);
void let_host_answer(void);

/* How often getaddrinfo was called, and with what. */
long question_count(void);
struct host_question last_question(void);

/* For the wrappers. Both return whether the call was handled here. */
bool hosts_answer(const char *name, const struct addrinfo *hints, struct addrinfo **list,
                  int *error);
bool hosts_free(struct addrinfo *list);

#endif

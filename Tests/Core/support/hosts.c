/* hosts.c - see hosts.h. Slow hosts wait at semaphores, which a child of a fork can use. */
#include "hosts.h"

#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Tests count allocations, and make them fail by number. What replaces libc's must not count.
 */
void *__real_calloc(size_t count, size_t size);
void __real_free(void *block);

static struct {
    const struct host *hosts;
    size_t count;
    sem_t asked;
    sem_t answers;
    atomic_long questions;
    pthread_mutex_t lock; /* of `last` */
    struct host_question last;
} made_up = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* One node of a list, in one block. The mark tells it from one of libc's. */
struct node {
    struct addrinfo info;
    struct sockaddr_storage address;
};

static char mark[] = "made up";

static void forget_hosts(void *unused) {
    (void)unused;
    made_up.count = 0;
}

void make_up_hosts(const struct host *hosts, size_t count) {
    sem_init(&made_up.asked, 0, 0);
    sem_init(&made_up.answers, 0, 0);
    made_up.hosts = hosts;
    made_up.count = count;
    made_up.questions = 0;
    defer(forget_hosts, NULL);
}

static void wait_at(sem_t *semaphore) {
    while (sem_wait(semaphore) < 0 && errno == EINTR) {
    }
}

void await_question(void) {
    wait_at(&made_up.asked);
}

void let_host_answer(void) {
    sem_post(&made_up.answers);
}

long question_count(void) {
    return made_up.questions;
}

struct host_question last_question(void) {
    pthread_mutex_lock(&made_up.lock);
    struct host_question last = made_up.last;
    pthread_mutex_unlock(&made_up.lock);
    return last;
}

static void note_question(const struct addrinfo *hints) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    bool all = true;
    for (int signo = 1; signo < SIGRTMIN; signo++)
        all &= signo == SIGKILL || signo == SIGSTOP || signo >= 32 || sigismember(&blocked, signo);
    pthread_mutex_lock(&made_up.lock);
    made_up.last = (struct host_question){.hints = *hints, .signals_are_blocked = all};
    pthread_mutex_unlock(&made_up.lock);
    made_up.questions++;
}

static const struct host *find(const char *name) {
    for (size_t i = 0; i < made_up.count; i++)
        if (strcmp(made_up.hosts[i].name, name) == 0)
            return &made_up.hosts[i];
    return NULL;
}

static struct addrinfo *make_node(const char *text) {
    struct node *node = __real_calloc(1, sizeof *node);
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&node->address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&node->address;
    node->info.ai_addr = (struct sockaddr *)&node->address;
    node->info.ai_canonname = mark;
    node->info.ai_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    node->address.ss_family = (sa_family_t)node->info.ai_family;
    bool is_ipv4 = node->info.ai_family == AF_INET;
    node->info.ai_addrlen = is_ipv4 ? sizeof *ipv4 : sizeof *ipv6;
    if (is_ipv4)
        inet_pton(AF_INET, text, &ipv4->sin_addr);
    else
        inet_pton(AF_INET6, text, &ipv6->sin6_addr);
    return &node->info;
}

bool hosts_answer(const char *name, const struct addrinfo *hints, struct addrinfo **list,
                  int *error) {
    if (made_up.count == 0)
        return false;
    const struct host *host = find(name);
    note_question(hints);
    if (host && host->slow) {
        sem_post(&made_up.asked);
        wait_at(&made_up.answers);
    }
    *error = host ? host->error : EAI_NONAME;
    errno = host ? host->system_error : 0;
    if (*error != 0) {
        *list = (struct addrinfo *)mark; /* undefined: nobody may use it */
        return true;
    }
    *list = NULL;
    struct addrinfo **end = list;
    for (size_t i = 0; i < COUNT_OF(host->addresses) && host->addresses[i]; i++) {
        *end = make_node(host->addresses[i]);
        end = &(*end)->ai_next;
    }
    return true;
}

bool hosts_free(struct addrinfo *list) {
    if (!list || list->ai_canonname != mark)
        return false;
    while (list) {
        struct addrinfo *next = list->ai_next;
        __real_free(list); /* the node's first member */
        list = next;
    }
    return true;
}

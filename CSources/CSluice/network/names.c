/* names.c - see names.h.
 *
 * This is the one place in the core with something global: `names`, below. getaddrinfo blocks for
 * seconds and cannot be cancelled (pthread_cancel would leave libc's locks as they are). So a loop
 * cannot wait for a thread of its own when it ends. And a thread that outlives its loop cannot keep
 * its state in the loop.
 *
 * The memory of a lookup comes from libc, and not from the loop's allocator. The thread frees a
 * lookup that was ended while the thread worked on it, and only the loop's thread may call the
 * allocator.
 *
 * Fork. The lock is held over a fork (pthread_atfork), so that the child finds the queue whole and
 * the lock free. Nothing else can do that. Another thread of the parent may have held the lock at
 * the fork, and in the child nobody would ever unlock it. So the handlers are installed before the
 * lock is first taken (pthread_once). The child's lookups are LOST at first. They are not asked for
 * again by themselves, for this reason: a child has all loops of the parent and uses one of them,
 * and `done` of another loop would wait for locks that nobody unlocks.
 *
 * Decided against:
 * - Several threads, so that a slow name does not hold up the others. Their number needs a limit
 *   too, and then a few slow names hold up the others all the same. A program that looks up many
 *   names brings its own resolver, and gives Sluice addresses.
 * - A thread that stays for a while. Starting one costs the caller some 20 us, and a name in
 *   /etc/hosts then takes 60 us instead of 7. A name server takes longer than that. In return there
 *   is no time limit, no condition variable, and no thread left at exit.
 * - A small stack. The thread-local storage of the whole program is taken from it (pthread_create
 *   fails with EINVAL if that does not fit), and so is what the modules in nsswitch.conf(5) need.
 *   The usual size is only address space, and only what is touched becomes memory.
 * - AI_ADDRCONFIG. It does not count the loopback. So on a machine with no other network, even
 *   "localhost" is not found if a family is asked for. An address without a route fails as soon as
 *   it is tried, and then the next one is tried.
 * - getaddrinfo_a(3), which only glibc has, and which has threads of its own.
 */
#include "base/platform.h"

#include "network/names.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "network/attempts.h"
#include "sluice.h"

enum state {
    WAITING,  /* in the queue */
    AT_WORK,  /* the thread is working on it; it is not in the queue */
    ANSWERED, /* `error`, `system_error` and `list` are set */
    LOST      /* a fork has left it without a thread */
};

/* `state` and what depends on it change under the lock. host, port, family, done and context never
 * change. */
struct sluice_lookup {
    struct sluice_lookup *next; /* in the queue */
    sluice_lookup_done *done;
    void *context;
    struct addrinfo *list; /* getaddrinfo's; NULL if there is none */
    enum state state;
    int family;
    int error;        /* EAI_..., or 0 */
    int system_error; /* the errno of EAI_SYSTEM */
    bool is_ended;    /* its owner wants no more of it: the thread frees it */
    uint16_t port;
    char host[];
};

/* Invariants, whenever the lock is free:
 * - the queue has the lookups that are WAITING, the oldest first, and `waiting` is its length;
 * - there is a thread if `is_running`, and there is a queue only then;
 * - `at_work` is what is AT_WORK, or NULL. */
static struct {
    pthread_mutex_t lock;
    struct sluice_lookup *first;
    struct sluice_lookup **last; /* where the next goes */
    struct sluice_lookup *at_work;
    size_t waiting;
    bool is_running;
    pthread_once_t once; /* the lock does not guard these two */
    int fork_error;      /* why the fork handlers are not installed, or 0 */
} names = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &names.first, .once = PTHREAD_ONCE_INIT};

static void free_lookup(struct sluice_lookup *lookup) {
    if (lookup->list)
        freeaddrinfo(lookup->list);
    free(lookup);
}

/* ---- The queue ------------------------------------------------------------------------------ */

static void append_lookup(struct sluice_lookup *lookup) {
    lookup->state = WAITING;
    lookup->next = NULL;
    *names.last = lookup;
    names.last = &lookup->next;
    names.waiting++;
}

static void take_out_lookup(struct sluice_lookup *lookup) {
    struct sluice_lookup **place = &names.first;
    while (*place != lookup)
        place = &(*place)->next;
    *place = lookup->next;
    if (!lookup->next)
        names.last = place;
    names.waiting--;
}

/* ---- The thread ----------------------------------------------------------------------------- */

/* Runs without the lock, since this is what takes long. Only the thread uses the lookup now, except
 * for the members that never change. */
static void ask(struct sluice_lookup *lookup) {
    const struct addrinfo hints = {.ai_family = lookup->family, .ai_socktype = SOCK_STREAM};
    lookup->error = getaddrinfo(lookup->host, NULL, &hints, &lookup->list);
    lookup->system_error = errno;
    if (lookup->error != 0)
        lookup->list = NULL; /* libc leaves it undefined */
}

static void *look_up_all(void *unused) {
    (void)unused;
    pthread_mutex_lock(&names.lock);
    while (names.first) {
        struct sluice_lookup *lookup = names.first;
        take_out_lookup(lookup);
        lookup->state = AT_WORK;
        names.at_work = lookup;
        pthread_mutex_unlock(&names.lock);
        ask(lookup);
        pthread_mutex_lock(&names.lock);
        names.at_work = NULL;
        lookup->state = ANSWERED;
        if (lookup->is_ended)
            free_lookup(lookup);
        else
            lookup->done(lookup->context);
    }
    names.is_running = false;
    pthread_mutex_unlock(&names.lock);
    return NULL;
}

/* The thread is detached, since nobody waits for it. It takes no signals: those are for the
 * program's own threads. */
static int start_thread(void) {
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return -error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, look_up_all, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    names.is_running = error == 0;
    return -error;
}

/* ---- Fork ----------------------------------------------------------------------------------- */

static void before_fork(void) {
    pthread_mutex_lock(&names.lock);
}

static void in_parent(void) {
    pthread_mutex_unlock(&names.lock);
}

static void in_child(void) {
    for (struct sluice_lookup *lookup = names.first; lookup; lookup = lookup->next)
        lookup->state = LOST;
    names.first = NULL;
    names.last = &names.first;
    names.waiting = 0;
    if (names.at_work) {
        names.at_work->state = LOST;
        names.at_work->list = NULL; /* perhaps half written */
        /* It is nobody's now. POSIX does not promise that free(3) works here, but in glibc and musl
         * it does. */
        if (names.at_work->is_ended)
            free_lookup(names.at_work);
        names.at_work = NULL;
    }
    names.is_running = false;
    pthread_mutex_unlock(&names.lock);
}

static void heed_fork(void) {
    names.fork_error = pthread_atfork(before_fork, in_parent, in_child);
}

/* ---- Asking --------------------------------------------------------------------------------- */

static bool is_letter(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

/* Whether `text` is a number as inet_aton(3) reads one: decimal, octal or, after 0x, hexadecimal.
 */
static bool is_number_label(const char *text, size_t length) {
    static const char hexadecimal[] = "0123456789abcdefABCDEF";
    if (length >= 2 && text[0] == '0' && (text[1] | 0x20) == 'x')
        return 2 + strspn(text + 2, hexadecimal) >= length;
    return length > 0 && strspn(text, "0123456789") >= length;
}

/* The length of a host name, or SLUICE_EADDRESS. */
static int check_host(const char *host) {
    size_t length = strnlen(host, SLUICE_NAME_MAX + 1);
    if (length == 0 || length > SLUICE_NAME_MAX)
        return SLUICE_EADDRESS;
    size_t label = 0; /* where the last label begins; a dot at the end ends it */
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)host[i];
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_' && c != '.')
            return SLUICE_EADDRESS;
        if (c == '.' && i + 1 < length)
            label = i + 1;
    }
    size_t end = host[length - 1] == '.' ? length - 1 : length;
    if (end <= label || is_number_label(host + label, end - label))
        return SLUICE_EADDRESS;
    return (int)length;
}

/* Call it under the lock. On failure nothing has changed. */
static int enqueue(struct sluice_lookup *lookup) {
    if (names.waiting >= SLUICE_LOOKUPS_WAITING_MAX)
        return SLUICE_EFULL;
    int code = names.is_running ? 0 : start_thread();
    if (code == 0)
        append_lookup(lookup);
    return code;
}

int sluice_lookup_begin(struct sluice_lookup **result, const char *host, uint16_t port, int family,
                        sluice_lookup_done *done, void *context) {
    *result = NULL;
    int length = check_host(host);
    if (length < 0)
        return length;
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    pthread_once(&names.once, heed_fork);
    if (names.fork_error != 0)
        return -names.fork_error;
    struct sluice_lookup *lookup =
        (struct sluice_lookup *)malloc(sizeof *lookup + (size_t)length + 1);
    if (!lookup)
        return SLUICE_ENOMEM;
    *lookup =
        (struct sluice_lookup){.done = done, .context = context, .family = family, .port = port};
    memcpy(lookup->host, host, (size_t)length + 1);
    pthread_mutex_lock(&names.lock);
    int code = enqueue(lookup);
    pthread_mutex_unlock(&names.lock);
    if (code < 0)
        free(lookup);
    else
        *result = lookup;
    return code;
}

int sluice_lookup_after_fork(struct sluice_lookup *lookup) {
    pthread_mutex_lock(&names.lock);
    int code = lookup->state == LOST ? enqueue(lookup) : 0;
    pthread_mutex_unlock(&names.lock);
    return code;
}

/* ---- The answer ----------------------------------------------------------------------------- */

bool sluice_lookup_is_answered(struct sluice_lookup *lookup) {
    pthread_mutex_lock(&names.lock);
    bool answered = lookup->state == ANSWERED;
    pthread_mutex_unlock(&names.lock);
    return answered;
}

int sluice_lookup_addresses(struct sluice_lookup *lookup, struct sluice_address *addresses,
                            size_t capacity) {
    if (!sluice_lookup_is_answered(lookup))
        return SLUICE_EAGAIN;
    if (lookup->error == EAI_MEMORY)
        return SLUICE_ENOMEM;
    size_t count = sluice_attempts_order(lookup->list, lookup->port, addresses, capacity);
    return count > 0 ? (int)count : SLUICE_ENAME;
}

const char *sluice_lookup_words(struct sluice_lookup *lookup) {
    struct sluice_address one;
    if (sluice_lookup_addresses(lookup, &one, 1) > 0 || !sluice_lookup_is_answered(lookup))
        return NULL;
    const char *words =
        lookup->error == EAI_SYSTEM ? sluice_errno_message(lookup->system_error) : NULL;
    return words ? words : gai_strerror(lookup->error ? lookup->error : EAI_NONAME);
}

void sluice_lookup_end(struct sluice_lookup *lookup) {
    if (!lookup)
        return;
    pthread_mutex_lock(&names.lock);
    bool at_work = lookup->state == AT_WORK;
    if (lookup->state == WAITING)
        take_out_lookup(lookup);
    lookup->is_ended = true;
    pthread_mutex_unlock(&names.lock);
    if (!at_work)
        free_lookup(lookup);
}

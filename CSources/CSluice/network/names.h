/* names.h - host names looked up by getaddrinfo(3) on a thread of their own.
 *
 * One helper thread asks for one name after the other, in the order in which they were begun. It is
 * started when there is a name to look up, and ends when there is none left. So a program that
 * looks up no name has no such thread, and a program that has looked up its names has none any
 * more.
 *
 * One thread also means that a slow name keeps those behind it waiting. If the name server is dead,
 * each name takes 10 seconds or more (resolv.conf(5)). Whoever asks sets a time limit and ends the
 * lookup then. If getaddrinfo has not been asked for the name by that time, it never is.
 *
 * A library with this in it must not be unloaded (dlclose) while a lookup is under way, or just
 * after it: the thread would go on in code that is gone.
 */
#ifndef SLUICE_NAMES_H
#define SLUICE_NAMES_H

#include "base/platform.h"

#include <stddef.h>

#include "network/address.h"

enum {
    SLUICE_NAME_MAX = 255,            /* bytes in a host name; the limit of DNS is 253 */
    SLUICE_LOOKUPS_WAITING_MAX = 1024 /* in the whole process: those that the thread has not come to
                                       * yet */
};

/* A name that is being looked up. It belongs to whoever began it, and that one ends it. If the
 * thread is working on it at that time, the thread finishes, and throws the answer away. */
struct sluice_lookup;

/* The answer is there. Called on the helper thread, once, and never after sluice_lookup_end has
 * returned. A lock of the whole process is held: wake somebody, do not block, and call nothing of
 * this file. */
typedef void sluice_lookup_done(void *context);

/* Begins to look up `host`, which is copied. `family` is AF_UNSPEC, AF_INET or AF_INET6. `port` is
 * that of the addresses in the answer. Any thread. O(1).
 *
 * A host is refused as SLUICE_EADDRESS if it cannot be a name: if it is empty, too long, or has
 * characters other than letters, digits, '-', '_', '.' and those beyond ASCII. A host whose last
 * label is a number is refused too, as in 256.1.1.1, 127.1 or 0x7f000001: it is meant as an
 * address. getaddrinfo would read it as inet_aton(3) does. Then a program that forbids 127.0.0.1
 * would connect there by 127.1. Errors: SLUICE_EADDRESS, -EAFNOSUPPORT, SLUICE_ENOMEM, SLUICE_EFULL
 * (too many wait already), SLUICE_EAGAIN (no thread can be started). *lookup is NULL then. */
SLUICE_INTERNAL int sluice_lookup_begin(struct sluice_lookup **lookup, const char *host,
                                        uint16_t port, int family, sluice_lookup_done *done,
                                        void *context);

/* Whether the answer is there: the addresses, or why there are none. Lookups are answered in the
 * order in which they were begun or, after a fork, in which they were asked again. O(1). */
SLUICE_INTERNAL bool sluice_lookup_is_answered(struct sluice_lookup *lookup);

/* Writes the addresses in the order in which they are tried (sluice_attempts_order), at most
 * `capacity`, and returns how many. SLUICE_EAGAIN while the answer is not there. SLUICE_ENAME if
 * there is no address, and SLUICE_ENOMEM if memory for them ran out: sluice_lookup_words then says
 * more. May be called again. O(capacity * addresses). */
SLUICE_INTERNAL int sluice_lookup_addresses(struct sluice_lookup *lookup,
                                            struct sluice_address *addresses, size_t capacity);

/* Why there is no address: gai_strerror's words, or those of the errno that came with EAI_SYSTEM. A
 * static string, which outlives the lookup. NULL if there are addresses, or no answer yet. */
SLUICE_INTERNAL const char *sluice_lookup_words(struct sluice_lookup *lookup);

/* Ends a lookup, answered or not, and frees it. `done` is not running then, and is not called any
 * more. NULL is allowed. Does not wait for getaddrinfo. O(1), and O(waiting) for a lookup that
 * waits. */
SLUICE_INTERNAL void sluice_lookup_end(struct sluice_lookup *lookup);

/* For the child of a fork(2), in which the thread is gone and no answer would come any more. Asks
 * again if there is no answer. It may be called any number of times. Nobody promises that
 * getaddrinfo works in such a child. If the parent's getaddrinfo held a lock of libc at the fork,
 * the child's waits for that lock for ever. Then, too, the asker's time limit ends the lookup.
 * Errors: SLUICE_EFULL, SLUICE_EAGAIN. The lookup then never answers, and must still be ended. */
SLUICE_INTERNAL int sluice_lookup_after_fork(struct sluice_lookup *lookup);

#endif

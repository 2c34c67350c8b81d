/* names.h - host names looked up by getaddrinfo(3) on a thread of their own.
 *
 * One helper thread asks for one name after the other, in the order in which they were begun. It is
 * started when there is a name to look up, and ends when there is none left. So a program that
 * looks up no name has no thread, and one that does is left without one.
 *
 * One thread also means that a slow name keeps those behind it waiting: where the name server is
 * dead, 10 seconds or more each (resolv.conf(5)). Whoever asks sets a time limit and ends the
 * lookup then. One that getaddrinfo has not been asked for by that time never is.
 *
 * A library with this in it must not be unloaded (dlclose) while a lookup is under way, nor just
 * after it: the thread would go on in code that is gone.
 */
#ifndef SLUICE_NAMES_H
#define SLUICE_NAMES_H

#include "base/platform.h"

#include <stddef.h>

#include "network/address.h"

enum {
    SLUICE_NAME_MAX = 255,            /* bytes in a host name; the limit of DNS is 253 */
    SLUICE_LOOKUPS_WAITING_MAX = 1024 /* of the process, those that the thread has not come to */
};

/* A name that is being looked up. It belongs to whoever began it, who ends it. The thread that is
 * at it then finishes, and throws the answer away. */
struct sluice_lookup;

/* The answer is there. Called on the helper thread, once, and never after sluice_lookup_end has
 * returned. A lock of the whole process is held: wake somebody, do not block, and call nothing of
 * this file. */
typedef void sluice_lookup_done(void *context);

/* Begins to look up `host`, which is copied. `family` is AF_UNSPEC, AF_INET or AF_INET6. `port` is
 * that of the addresses in the answer. Any thread. O(1).
 *
 * A host is refused as SLUICE_EADDRESS where it cannot be a name: empty, too long, or with other
 * characters than letters, digits, '-', '_', '.' and those beyond ASCII. So is one whose last label
 * is a number, as in 256.1.1.1, 127.1 or 0x7f000001: it is meant as an address. getaddrinfo would
 * read it as inet_aton(3) does, and a program that forbids 127.0.0.1 would connect there by 127.1.
 * Errors: SLUICE_EADDRESS, -EAFNOSUPPORT, SLUICE_ENOMEM, SLUICE_EFULL (so many wait already),
 * SLUICE_EAGAIN (no thread can be started); *lookup is NULL then. */
SLUICE_INTERNAL int sluice_lookup_begin(struct sluice_lookup **lookup, const char *host,
                                        uint16_t port, int family, sluice_lookup_done *done,
                                        void *context);

/* Whether the answer is there: the addresses, or why there are none. They are answered in the order
 * in which they were begun, or after a fork asked anew. O(1). */
SLUICE_INTERNAL bool sluice_lookup_is_answered(struct sluice_lookup *lookup);

/* Writes the addresses in the order in which they are tried (sluice_attempts_order), at most
 * `capacity`, and returns how many. SLUICE_EAGAIN while the answer is not there. SLUICE_ENAME where
 * there is no address, and SLUICE_ENOMEM where the memory for them was lacking: sluice_lookup_words
 * then says more. May be called again. O(capacity * addresses). */
SLUICE_INTERNAL int sluice_lookup_addresses(struct sluice_lookup *lookup,
                                            struct sluice_address *addresses, size_t capacity);

/* Why there is no address: gai_strerror's words, or those of the errno that came with EAI_SYSTEM. A
 * static string, which outlives the lookup. NULL where there are addresses, or no answer yet. */
SLUICE_INTERNAL const char *sluice_lookup_words(struct sluice_lookup *lookup);

/* Ends a lookup, answered or not, and frees it. `done` is not running then, and is not called any
 * more. NULL is let pass. Does not wait for getaddrinfo. O(1), and O(waiting) for one that waits.
 */
SLUICE_INTERNAL void sluice_lookup_end(struct sluice_lookup *lookup);

/* In the child of a fork(2), where the thread is gone and no answer would come any more: asks anew
 * for one that is not there. Any number of times. Nobody promises that getaddrinfo works in such a
 * child: where the parent's held a lock of libc's at the fork, the child's waits for it for ever.
 * The asker's time limit ends the lookup then too. Errors: SLUICE_EFULL, SLUICE_EAGAIN; the lookup
 * then never answers, and is still to be ended. */
SLUICE_INTERNAL int sluice_lookup_after_fork(struct sluice_lookup *lookup);

#endif

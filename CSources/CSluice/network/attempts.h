/* attempts.h - which addresses of a name to connect to, and when: RFC 8305 without I/O.
 *
 * It has no clock and no socket. The caller asks for the next step, does it, and reports how each
 * attempt went.
 */
#ifndef SLUICE_ATTEMPTS_H
#define SLUICE_ATTEMPTS_H

#include "base/platform.h"

#include <netdb.h>
#include <stddef.h>

#include "network/address.h"

enum {
    SLUICE_ATTEMPTS_MOST = 64,   /* addresses that are tried */
    SLUICE_ATTEMPTS_AT_ONCE = 8, /* attempts in flight, and so descriptors */
};

#define SLUICE_ATTEMPT_DELAY_NS INT64_C(250000000)
#define SLUICE_NO_ATTEMPT UINT32_MAX

/* Writes the addresses of getaddrinfo's list in the order in which they are tried, and returns how
 * many, at most `capacity`. Each has the port `port`.
 *
 * The families alternate, as RFC 8305 section 4 says. The first is that of the first address in the
 * list: getaddrinfo has sorted it by RFC 6724 and gai.conf(5), so IPv6 comes first if it has a
 * route. Within a family the order stays. Duplicates are left out, and so are families other than
 * IPv4 and IPv6. O(capacity * list). */
SLUICE_INTERNAL size_t sluice_attempts_order(const struct addrinfo *list, uint16_t port,
                                             struct sluice_address *addresses, size_t capacity);

/* Invariants:
 * - the addresses before `begun` have been tried or are in flight; those from `begun` on have not
 *   been tried;
 * - bit i of `in_flight` is the attempt at address i; at most SLUICE_ATTEMPTS_AT_ONCE are set;
 * - if none is in flight and some are left, `next_ns` has passed. */
struct sluice_attempts {
    uint64_t in_flight;
    int64_t next_ns; /* when the next attempt is due; INT64_MIN for at once */
    uint32_t count;
    uint32_t begun;
    int error; /* of the attempt that failed last */
};

enum sluice_attempts_action {
    SLUICE_ATTEMPTS_BEGIN, /* connect to address `index`, then ask again */
    SLUICE_ATTEMPTS_WAIT,  /* until an attempt has an outcome, or until `until_ns` */
    SLUICE_ATTEMPTS_OVER   /* all have failed: `error` */
};

struct sluice_attempts_step {
    enum sluice_attempts_action action;
    uint32_t index;
    uint32_t given_up; /* BEGIN: close this attempt first; or SLUICE_NO_ATTEMPT */
    int64_t until_ns;  /* WAIT: INT64_MAX if only an outcome matters */
    int error;
};

/* For `count` addresses, from 1 to SLUICE_ATTEMPTS_MOST. */
SLUICE_INTERNAL void sluice_attempts_init(struct sluice_attempts *attempts, uint32_t count);

/* What to do now. A new attempt begins when one has failed, or 250 ms after the last began.
 *
 * If SLUICE_ATTEMPTS_AT_ONCE are in flight by then, the oldest is given up. It has had 2 seconds
 * without an answer. If we waited for it instead, eight dead addresses would keep a ninth one,
 * which answers, untried for the two minutes of a connect(2). The last eight are never given up
 * here: the caller's time limit ends them. */
SLUICE_INTERNAL struct sluice_attempts_step sluice_attempts_next(struct sluice_attempts *attempts,
                                                                 int64_t now_ns);

/* An attempt in flight has failed, at once or later. Ask for the next step then. */
SLUICE_INTERNAL void sluice_attempts_failed(struct sluice_attempts *attempts, uint32_t index,
                                            int error);

#endif

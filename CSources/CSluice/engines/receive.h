/* receive.h - one receive, as each kind of descriptor needs it.
 *
 * A read(2) from a TCP socket says everything: bytes, the end, an error, or nothing now. From other
 * files the same answer means other things. The differences are dealt with here, and not in an
 * engine.
 */
#ifndef SLUICE_RECEIVE_H
#define SLUICE_RECEIVE_H

#include "base/platform.h"

#include <stddef.h>

#include "engines/engine.h"

struct sluice_received {
    ptrdiff_t count; /* bytes; 0 at the end; SLUICE_EAGAIN if none are there now; an error */
    bool more;       /* a short count does not say that there is no more */
    bool again;      /* with SLUICE_EAGAIN: something is there, for another receive */
    bool no_room;    /* with SLUICE_EAGAIN: a packet is there that needs more room */
};

/* Receives up to `size` bytes, and tries again on EINTR. A packet that is longer waits for more
 * room. `most` is the largest room there ever is: a packet that is longer still is the error
 * -EMSGSIZE. */
SLUICE_INTERNAL struct sluice_received
sluice_receive(int fd, enum sluice_role role, unsigned char *bytes, size_t size, size_t most);

/* For a descriptor that has an error or a hang-up, and from which nothing is being received.
 * Returns the error that has broken it; 0 if there is none; or 1 if bytes that came before still
 * have to be received. *has_ended is set if the next receive would find the peer's end: a reset
 * does not take back an end that came before it. It takes a pending error (SO_ERROR), and no
 * bytes. */
SLUICE_INTERNAL int sluice_hangup_error(int fd, enum sluice_role role, bool has_input,
                                        bool *has_ended);

#endif

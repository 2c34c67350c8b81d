/* receive.h - one receive, as each kind of descriptor wants it.
 *
 * A read(2) of a TCP socket says all there is to say: bytes, the end, an error, or nothing now. Of
 * other files the same answer means other things. What differs stands here, and not in an engine.
 */
#ifndef SLUICE_RECEIVE_H
#define SLUICE_RECEIVE_H

#include "base/platform.h"

#include <stddef.h>

#include "engines/engine.h"

struct sluice_received {
    ptrdiff_t count; /* bytes; 0 at the end; SLUICE_EAGAIN where none are there now; an error */
    bool more;       /* a count that is short does not say that there is no more */
    bool again;      /* with SLUICE_EAGAIN: something is there, for another receive */
    bool no_room; /* with SLUICE_EAGAIN: a packet is there, for which there has to be more room */
};

/* Receives up to `size` bytes, EINTR passed over. A packet that is longer waits for more room;
 * `most` is the largest room there ever is, and one that is longer still is the error -EMSGSIZE. */
SLUICE_INTERNAL struct sluice_received
sluice_receive(int fd, enum sluice_role role, unsigned char *bytes, size_t size, size_t most);

/* Of a descriptor that has an error or a hang-up, and from which nothing is being received: the
 * error that has broken it; 0 where there is none; or 1 where bytes that came before are still to
 * be received. *has_ended is set where the next receive would find the peer's end: a reset takes
 * back no end that came before it. Takes a pending error (SO_ERROR), and no bytes. */
SLUICE_INTERNAL int sluice_hangup_error(int fd, enum sluice_role role, bool has_input,
                                        bool *has_ended);

#endif

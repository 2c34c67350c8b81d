/* errors.c - a code in words. The words for Sluice's own codes say what to do about it, and so do
 * those for an errno that the caller could have caused by the order of its calls. For all others
 * the words are the system's. */
#include "base/platform.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "sluice.h"

/* The highest that the kernel may give. Source: MAX_ERRNO, include/linux/err.h. */
#define ERRNO_MAX 4095

struct error_text {
    int code;
    int as_errno; /* see sluice_error_errno */
    const char *name;
    const char *message;
};

static const struct error_text texts[] = {
    {SLUICE_ENOMEM, ENOMEM, "SLUICE_ENOMEM", "out of memory; nothing was changed"},
    {SLUICE_EBADF, EBADF, "SLUICE_EBADF",
     "not an open descriptor; remove a descriptor from the poller before closing it"},
    {SLUICE_EEXIST, EEXIST, "SLUICE_EEXIST",
     "there already; modify the registration, or remove it first"},
    {SLUICE_ENOENT, ENOENT, "SLUICE_ENOENT",
     "not there; add the registration, or create the file, first"},
    {SLUICE_EAGAIN, EAGAIN, "SLUICE_EAGAIN", "would block; wait until the descriptor is ready"},
    {SLUICE_EINTR, EINTR, "SLUICE_EINTR",
     "a signal ended the wait; look at what it was about, and wait again"},
    {SLUICE_ENOTSUP, ENOTSUP, "SLUICE_ENOTSUP",
     "this backend cannot do that; ask sluice_poller_features, or use epoll"},
    {SLUICE_EBACKEND, EINVAL, "SLUICE_EBACKEND",
     "no such backend; name select, poll or epoll, or unset SLUICE_BACKEND"},
    {SLUICE_EINTEREST, EINVAL, "SLUICE_EINTEREST",
     "an interest with unknown bits; combine READ, WRITE, PRIORITY, HANGUP, EDGE, ONE_SHOT"},
    {SLUICE_ETIMEOUT, EINVAL, "SLUICE_ETIMEOUT",
     "a negative timeout; pass 0 to look without waiting, or SLUICE_FOREVER"},
    {SLUICE_ECAPACITY, ERANGE, "SLUICE_ECAPACITY", "no room for a result; pass a larger capacity"},
    {SLUICE_ENULL, EFAULT, "SLUICE_ENULL", "NULL where a pointer is needed"},
    {SLUICE_EADDRESS, EINVAL, "SLUICE_EADDRESS",
     "not an address; write 127.0.0.1:9999, [::1]:9999, localhost:9999, *:9999, unix:/path or "
     "unix:@name"},
    {SLUICE_EFULL, ENOBUFS, "SLUICE_EFULL",
     "over the limit, and nothing was taken; wait until there is room, or raise the limit"},
    {SLUICE_ESTALE, ESTALE, "SLUICE_ESTALE", "this handle has ended; forget its id"},
    {SLUICE_EKIND, EINVAL, "SLUICE_EKIND", "this handle is of another kind; ask sluice_kind_of"},
    {SLUICE_ETHREAD, EPERM, "SLUICE_ETHREAD",
     "called from another thread than the loop's; use sluice_post to reach it"},
    {SLUICE_ESTATE, EBADFD, "SLUICE_ESTATE", "not possible now; see what the call asks for"},
    {SLUICE_EOPTION, EINVAL, "SLUICE_EOPTION",
     "an option out of its range; set size, and marks in the order low, high, hard"},
    {SLUICE_ENAME, ENXIO, "SLUICE_ENAME",
     "the host name could not be looked up; check its spelling, and the network"},
    {SLUICE_ELISTENS, ENOTCONN, "SLUICE_ELISTENS",
     "a listening socket is no stream; give it to sluice_listen_fd, or adopt what it accepts"},
    {SLUICE_ENOLISTEN, EINVAL, "SLUICE_ENOLISTEN",
     "this socket does not listen; call listen(2) on it first, or sluice_adopt for a connection"},
    {SLUICE_EPORT, EINVAL, "SLUICE_EPORT",
     "the port is missing, or no number from 0 to 65535; write it behind the host, as in "
     "127.0.0.1:9999"},
    {SLUICE_EPATH, EINVAL, "SLUICE_EPATH",
     "the unix path is empty, or longer than 107 bytes; use a shorter one"},
    {SLUICE_ESCOPE, ENODEV, "SLUICE_ESCOPE",
     "the network interface behind % is not there; name one that ip link lists"},
    {SLUICE_ENUMERIC, EINVAL, "SLUICE_ENUMERIC",
     "* is an address to listen at only; name a host to connect to, and a numeric address where "
     "no name is taken"},
};

static const struct error_text *find_text(int code) {
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].code == code)
            return &texts[i];
    return NULL;
}

/* The errno that `code` negates. INT_MIN negates none, and INT_MAX is none. */
static int errno_of(int code) {
    return code == INT_MIN ? INT_MAX : -code;
}

const char *sluice_error_name(int code) {
    if (code >= 0)
        return "OK";
    const struct error_text *own = find_text(code);
    const char *name = own ? own->name : sluice_errno_name(errno_of(code));
    return name ? name : "UNKNOWN";
}

int sluice_error_errno(int code) {
    if (code >= 0)
        return 0;
    const struct error_text *own = find_text(code);
    if (own)
        return own->as_errno;
    return code >= -ERRNO_MAX ? -code : EIO;
}

const char *sluice_error_message(int code) {
    if (code >= 0)
        return "no error";
    const struct error_text *own = find_text(code);
    const char *message = own ? own->message : sluice_errno_message(errno_of(code));
    return message ? message : "an unknown error code";
}

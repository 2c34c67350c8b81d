/* begin.c - streams that the caller makes: to an address, or from a descriptor that it has.
 *
 * Everything can be adopted that bytes can be read from or written to without blocking: connected
 * sockets, pipes, terminals, files. What gives packets is taken too, and their boundaries are lost.
 * As far as the kernel can tell, a read or a write of a file never blocks, so a file is always
 * ready.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network/socket.h"

/* Makes a stream of a descriptor that is non-blocking by now, or without one. On failure the
 * descriptor stays the caller's. */
static int begin_with_settings(sluice_loop *loop, const struct sluice_stream_settings *settings,
                               struct sluice_stream_start *start, sluice_id *id) {
    int code = sluice_cohort_join(loop, settings, 0, &start->cohort);
    if (code < 0)
        return code;
    code = sluice_stream_begin(loop, start, id);
    if (code < 0)
        sluice_cohort_leave(loop, start->cohort);
    return code;
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

static int socket_option(int fd, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static int role_of_socket(int fd, enum sluice_role *role) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (socket_option(fd, SO_ACCEPTCONN) == 1)
        return SLUICE_ELISTENS;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) < 0)
        return -errno;
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM)
        *role = SLUICE_ROLE_PACKETS;
    else
        *role = sluice_socket_is_tcp(fd) ? SLUICE_ROLE_SOCKET : SLUICE_ROLE_LOCAL;
    return 0;
}

/* Whether the calls of a stream can be made on it, and how. `flags` are those of its open file. */
static int role_of(int fd, int flags, enum sluice_role *role) {
    struct stat status;
    if (flags & O_PATH)
        return SLUICE_EBADF;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (S_ISSOCK(status.st_mode))
        return role_of_socket(fd, role);
    *role = S_ISFIFO(status.st_mode) ? SLUICE_ROLE_PIPE : SLUICE_ROLE_OTHER;
    return 0;
}

/* A socket stays non-blocking afterwards: either nobody else has it, or the others use it in the
 * same way. */
static bool is_to_be_restored(int flags, enum sluice_role role) {
    return !(flags & O_NONBLOCK) && (role == SLUICE_ROLE_PIPE || role == SLUICE_ROLE_OTHER);
}

static uint32_t traits_of(int flags) {
    uint32_t traits = 0;
    if ((flags & O_ACCMODE) == O_WRONLY)
        traits |= STREAM_NO_INPUT;
    if ((flags & O_ACCMODE) == O_RDONLY)
        traits |= OUTPUT_FINISHED;
    return traits;
}

int sluice_adopt(sluice_loop *loop, sluice_id *id, int fd, const sluice_stream_options *options) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!id)
        return SLUICE_ENULL;
    struct sluice_stream_settings settings;
    code = sluice_stream_settings_of(loop, options, false, &settings);
    if (code < 0)
        return code;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    struct sluice_stream_start start = {
        .fd = fd, .origin = SLUICE_ORIGIN_CALLER, .traits = traits_of(flags)};
    code = role_of(fd, flags, &start.role);
    if (code < 0)
        return code;
    if (is_to_be_restored(flags, start.role))
        start.traits |= STREAM_UNBLOCKED;
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    code = start.role == SLUICE_ROLE_SOCKET ? sluice_stream_configure(fd, &settings) : 0;
    if (code == 0)
        code = begin_with_settings(loop, &settings, &start, id);
    if (code < 0)
        (void)fcntl(fd, F_SETFL, flags);
    return code;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

/* Makes a stream whose connect has failed already. It failed because of the peer or the network, or
 * because there are too many descriptors at the moment. That must not surprise a caller who has
 * other streams to look after. So CLOSED reports it, as for any connect. */
static int begin_in_vain(sluice_loop *loop, const struct sluice_stream_settings *settings,
                         int error, sluice_id *id) {
    struct sluice_stream_start start = {.fd = -1,
                                        .role = SLUICE_ROLE_CONNECTING,
                                        .origin = SLUICE_ORIGIN_NONE,
                                        .connect_timeout_ns = INT64_MAX};
    int code = begin_with_settings(loop, settings, &start, id);
    if (code == 0)
        sluice_stream_failed_to_connect(loop, sluice_stream_at(loop, sluice_id_index(*id)), error);
    return code;
}

static int connect_to(sluice_loop *loop, const struct sluice_stream_settings *settings,
                      const struct sluice_address *address, sluice_id *id) {
    int fd = sluice_stream_socket(address, settings);
    if (fd == -EMFILE || fd == -ENFILE)
        return begin_in_vain(loop, settings, fd, id);
    if (fd < 0)
        return fd;
    int error = sluice_socket_begin_connect(fd, address);
    if (error < 0) {
        close(fd);
        return begin_in_vain(loop, settings, error, id);
    }
    struct sluice_stream_start start = {.fd = fd,
                                        .role = SLUICE_ROLE_CONNECTING,
                                        .connect_timeout_ns = settings->connect_timeout_ns};
    int code = begin_with_settings(loop, settings, &start, id);
    if (code < 0)
        close(fd);
    return code;
}

int sluice_connect(sluice_loop *loop, sluice_id *id, const char *address,
                   const sluice_stream_options *options) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!id)
        return SLUICE_ENULL;
    struct sluice_stream_settings settings;
    code = sluice_stream_settings_of(loop, options, false, &settings);
    if (code < 0)
        return code;
    struct sluice_endpoint endpoint;
    code = sluice_address_split(&endpoint, address);
    if (code < 0)
        return code;
    if (endpoint.form == SLUICE_ENDPOINT_NAME)
        return sluice_connect_by_name(loop, &settings, &endpoint, id);
    if (endpoint.form == SLUICE_ENDPOINT_ANY)
        return SLUICE_ENUMERIC;
    return connect_to(loop, &settings, &endpoint.address, id);
}

/* listen.c - listeners that the caller makes: at an address, or from a socket that listens already.
 *
 * A socket that is given may be shared: with the service manager that made it, or with another
 * version of the same server. So it is made non-blocking and stays non-blocking. If that were
 * undone when the listener ends, a process that has taken the socket over meanwhile would block in
 * accept(2), and never return to its loop. The file of a unix socket is left to whoever made it.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "network/socket.h"

#define DEFAULT_BACKLOG 1024
#define DEFAULT_ACCEPT_BATCH 64

static int complete_listen_options(const sluice_listen_options *given,
                                   sluice_listen_options *options) {
    *options = (sluice_listen_options){.size = sizeof *options};
    if (given && !sluice_take_struct(options, sizeof *options, given, given->size))
        return SLUICE_EOPTION;
    if (options->backlog == 0)
        options->backlog = DEFAULT_BACKLOG;
    if (options->accept_batch == 0)
        options->accept_batch = DEFAULT_ACCEPT_BATCH;
    const uint32_t known = SLUICE_REUSE_PORT | SLUICE_ONLY_IPV6;
    if ((options->flags & ~known) || options->backlog > INT32_MAX || options->unix_mode > 0777)
        return SLUICE_EOPTION;
    return 0;
}

/* Both calls begin with this: it checks and completes the options. */
static SLUICE_COLD int prepare(const sluice_loop *loop, const sluice_listen_options *given,
                               sluice_listen_options *options,
                               struct sluice_stream_settings *settings) {
    int code = sluice_loop_check(loop);
    if (code == 0)
        code = complete_listen_options(given, options);
    return code < 0 ? code : sluice_stream_settings_of(loop, options->streams, true, settings);
}

SLUICE_COLD int sluice_listen(sluice_loop *loop, sluice_id *id, const char *address,
                              const sluice_listen_options *given) {
    sluice_listen_options options;
    struct sluice_stream_settings settings;
    int code = prepare(loop, given, &options, &settings);
    if (code < 0)
        return code;
    struct sluice_listener_start start = {.options = &options, .settings = &settings};
    const struct sluice_socket_options socket_options = {
        .backlog = (int)options.backlog,
        .reuse_port = (options.flags & SLUICE_REUSE_PORT) != 0,
        .only_ipv6 = (options.flags & SLUICE_ONLY_IPV6) != 0,
        .has_mode = options.unix_mode != 0,
        .mode = options.unix_mode};
    start.fd = sluice_socket_listen_with(address, &socket_options, &start.file);
    if (start.fd < 0)
        return start.fd;
    sluice_id unneeded;
    code = sluice_stream_configure(start.fd, &settings);
    if (code == 0)
        code = sluice_listener_begin(loop, &start, id ? id : &unneeded);
    if (code < 0) {
        sluice_socket_file_remove(&start.file, start.fd);
        close(start.fd);
    }
    return code;
}

/* Makes a listener's socket as the loop needs it. Returns 0, or an error with nothing changed. */
static int make_ours(int fd, const struct sluice_stream_settings *settings) {
    int status = fcntl(fd, F_GETFL);
    int flags = fcntl(fd, F_GETFD);
    if (status < 0 || flags < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0)
        return -errno;
    int code = fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? -errno : 0;
    if (code == 0)
        code = sluice_stream_configure(fd, settings);
    if (code < 0) {
        (void)fcntl(fd, F_SETFL, status);
        (void)fcntl(fd, F_SETFD, flags);
    }
    return code;
}

int sluice_listen_fd(sluice_loop *loop, sluice_id *id, int fd, const sluice_listen_options *given) {
    sluice_listen_options options;
    struct sluice_stream_settings settings;
    int code = prepare(loop, given, &options, &settings);
    if (code == 0)
        code = sluice_socket_check_listening(fd);
    if (code < 0)
        return code;
    const struct sluice_listener_start start = {
        .fd = fd, .is_given = true, .options = &options, .settings = &settings};
    sluice_id made;
    code = sluice_listener_begin(loop, &start, &made);
    if (code < 0)
        return code;
    /* This comes last, so that a socket that is refused stays as it was. */
    code = make_ours(fd, &settings);
    if (code < 0)
        sluice_listener_let_go(loop, sluice_find_listener(loop, made));
    else if (id)
        *id = made;
    return code;
}

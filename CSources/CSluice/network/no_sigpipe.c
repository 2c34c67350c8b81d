/* no_sigpipe.c - writev(2) and sendfile(2), which, unlike send(2), cannot be told not to raise
 * SIGPIPE.
 *
 * The signal is blocked in the thread during the call. If it was raised, it is taken back, unless
 * one was pending before.
 */
#include "base/platform.h"

#include <errno.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "network/socket.h"

struct guard {
    sigset_t pipe; /* SIGPIPE alone */
    sigset_t before;
    bool was_pending;
};

static SLUICE_COLD void begin_guard(struct guard *guard) {
    sigemptyset(&guard->pipe);
    sigaddset(&guard->pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &guard->pipe, &guard->before);
    /* A signal that was not blocked is not pending either. */
    sigset_t pending;
    guard->was_pending = sigismember(&guard->before, SIGPIPE) && sigpending(&pending) == 0 &&
                         sigismember(&pending, SIGPIPE);
}

static SLUICE_COLD void end_guard(const struct guard *guard, bool may_be_raised) {
    const struct timespec at_once = {0, 0};
    if (may_be_raised && !guard->was_pending)
        while (sigtimedwait(&guard->pipe, NULL, &at_once) < 0 && errno == EINTR) {
        }
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

SLUICE_COLD ptrdiff_t sluice_file_send_slices(int fd, const struct iovec *iov, int count) {
    struct guard guard;
    begin_guard(&guard);
    ptrdiff_t sent;
    do
        sent = writev(fd, iov, count);
    while (sent < 0 && errno == EINTR);
    int code = sent < 0 ? -errno : 0;
    end_guard(&guard, code == -EPIPE);
    return code < 0 ? code : sent;
}

/* After a short count it tries again. Only if the kernel says that it is full will it say later
 * that there is room. And only a count of 0 tells the end of the file apart from that. A send that
 * went in part may have raised the signal. */
SLUICE_COLD size_t sluice_send_file_some(int fd, int file, int64_t offset, size_t length,
                                         int *stopped) {
    off_t at = (off_t)offset;
    size_t sent = 0;
    *stopped = at == offset ? 0 : -EOVERFLOW;
    struct guard guard;
    begin_guard(&guard);
    while (*stopped == 0 && sent < length) {
        ptrdiff_t count = sendfile(fd, file, &at, length - sent);
        if (count == 0)
            break;
        if (count > 0)
            sent += (size_t)count;
        else if (errno != EINTR)
            *stopped = -errno;
    }
    end_guard(&guard, sent < length);
    return sent;
}

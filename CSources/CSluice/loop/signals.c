/* signals.c - signals as events, through one signalfd(2) of the loop.
 *
 * A signal that has a handle is blocked in the loop's thread, and the kernel hands it to the
 * descriptor. A signal handler may do hardly anything, and would have to reach the loop anyway.
 *
 * A signalfd is an open file, so a child shares it with its parent: what the child changes in its
 * set changes for the parent. A process that reads it gets its own signals. But an epoll instance
 * is told of the signals of the process that added the signalfd there. So a child opens one of its
 * own and adds that to its own epoll instance.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* A signalfd for loop->signal_set that the engine reports; or an error. */
static int open_descriptor(const sluice_loop *loop) {
    int fd = signalfd(-1, &loop->signal_set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int code =
        sluice_operations(loop)->attach(loop->engine, fd, 0, SLUICE_ROLE_SIGNALS, SLUICE_READ);
    if (code < 0) {
        close(fd);
        return code;
    }
    return fd;
}

/* Makes the descriptor stand for loop->signal_set. */
static int update_descriptor(sluice_loop *loop) {
    if (loop->signal_fd >= 0)
        return signalfd(loop->signal_fd, &loop->signal_set, 0) < 0 ? -errno : 0;
    int fd = open_descriptor(loop);
    if (fd < 0)
        return fd;
    loop->signal_fd = fd;
    return 0;
}

static sigset_t set_of(int signo) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    return set;
}

/* Blocks a signal in this thread, and says whether it was blocked before. */
static bool block(int signo) {
    sigset_t set = set_of(signo);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    return sigismember(&before, signo) == 1;
}

/* A signal that is pending was the handle's, and goes with it. If it were delivered, it might end
 * the process. */
static void unblock(int signo) {
    sigset_t set = set_of(signo);
    const struct timespec at_once = {0, 0};
    while (sigtimedwait(&set, NULL, &at_once) >= 0 || errno == EINTR) {
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int sluice_signal(sluice_loop *loop, sluice_id *id, int signo) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (signo < 1 || signo >= SLUICE_SIGNAL_COUNT || signo == SIGKILL || signo == SIGSTOP)
        return -EINVAL;
    if (loop->signal_index[signo] != SLUICE_NO_SLOT)
        return SLUICE_EEXIST;
    uint32_t index = sluice_slots_begin(&loop->signals, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    if (sigaddset(&loop->signal_set, signo) < 0)
        code = -errno; /* the C library keeps this one for itself */
    if (code == 0)
        code = update_descriptor(loop);
    if (code < 0) {
        sigdelset(&loop->signal_set, signo);
        sluice_slots_end(&loop->signals, index);
        return code;
    }
    struct sluice_signal *signal = sluice_signal_at(loop, index);
    signal->signo = signo;
    signal->was_blocked = block(signo);
    loop->signal_index[signo] = index;
    if (id)
        *id = sluice_id_of(SLUICE_KIND_SIGNAL, index, signal->slot.generation);
    return 0;
}

SLUICE_COLD bool sluice_signals_complete(sluice_loop *loop, sluice_event *event) {
    struct signalfd_siginfo info;
    ssize_t size;
    do
        size = read(loop->signal_fd, &info, sizeof info);
    while (size < 0 && errno == EINTR);
    if (size != (ssize_t)sizeof info || info.ssi_signo >= SLUICE_SIGNAL_COUNT)
        return false;
    uint32_t index = loop->signal_index[info.ssi_signo];
    if (index == SLUICE_NO_SLOT)
        return false;
    const struct sluice_signal *signal = sluice_signal_at(loop, index);
    *event = (sluice_event){.kind = SLUICE_SIGNAL,
                            .id = sluice_id_of(SLUICE_KIND_SIGNAL, index, signal->slot.generation),
                            .user = signal->slot.user,
                            .value = info.ssi_signo};
    return true;
}

void sluice_signal_end(sluice_loop *loop, struct sluice_signal *signal) {
    uint32_t index = loop->signal_index[signal->signo];
    loop->signal_index[signal->signo] = SLUICE_NO_SLOT;
    sigdelset(&loop->signal_set, signal->signo);
    (void)update_descriptor(loop);
    if (!signal->was_blocked)
        unblock(signal->signo);
    sluice_slots_end(&loop->signals, index);
}

void sluice_signals_block(sluice_loop *loop) {
    for (int signo = 1; signo < SLUICE_SIGNAL_COUNT; signo++) {
        uint32_t index = loop->signal_index[signo];
        if (index == SLUICE_NO_SLOT || block(signo))
            continue;
        struct sluice_signal *signal = sluice_signal_at(loop, index);
        signal->was_blocked = false;
    }
}

int sluice_signals_after_fork(sluice_loop *loop) {
    sluice_signals_block(loop);
    if (loop->signal_fd < 0)
        return 0;
    int fd = open_descriptor(loop);
    if (fd < 0)
        return fd;
    sluice_operations(loop)->detach(loop->engine, loop->signal_fd);
    close(loop->signal_fd);
    loop->signal_fd = fd;
    return 0;
}

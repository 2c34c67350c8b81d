/* connections.c - connecting, accepting and closing, interposed.
 *
 * If accept fails here, nobody leaves its queue. ECONNABORTED is about a caller that is gone, and
 * the next caller is behind it. This is right whether there is a next caller or not. A connect that
 * is interrupted goes on (signal(7)), and so does ours.
 */
#include "real.h"

#include <errno.h>

#include "plan.h"
#include "rearm.h"

static bool accept_fails(int fd) {
    static const int passing[] = {EINTR, EAGAIN, ECONNABORTED};
    static const int lacking[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    find_real();
    note_work();
    note_accept();
    enum fault fault;
    if (!suffers(1u << FAULT_ACCEPT | 1u << FAULT_EXHAUSTED, &fault))
        return false;
    note(fault);
    tell_again(fd);
    errno = fault == FAULT_ACCEPT ? passing[below(3)] : lacking[below(4)];
    return true;
}

int accept(int fd, struct sockaddr *address, socklen_t *length) {
    return accept_fails(fd) ? -1 : real_accept(fd, address, length);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    return accept_fails(fd) ? -1 : real_accept4(fd, address, length, flags);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    find_real();
    note_work();
    enum fault fault;
    bool interrupted = suffers(1u << FAULT_EINTR, &fault);
    int result = real_connect(fd, address, length);
    if (!interrupted || (result < 0 && errno != EINPROGRESS))
        return result;
    note(fault);
    errno = EINTR;
    return -1;
}

int close(int fd) {
    find_real();
    note_work();
    forget(fd);
    return real_close(fd);
}

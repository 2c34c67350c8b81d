/* rearm.h - makes an injected fault about readiness one that the kernel could also have.
 *
 * On an edge-triggered epoll, a receive may bring less than the program asked for, or EAGAIN. The
 * program may then assume that nothing more is there (epoll(7), question 9 and the one before), and
 * wait for the next edge. If we made a call say so although there is more, we arm the entry again
 * by EPOLL_CTL_MOD: the kernel looks again and reports what is there. To the program it is as if
 * the rest, or the room, had come right after the call. Level-triggered entries, poll and select
 * report it anyway. */
#ifndef REARM_H
#define REARM_H

void tell_again(int fd);

/* Forgets what is known about a number. */
void forget(int fd);

#endif

/* rearm.h - what makes a lie about readiness one that the kernel could have told.
 *
 * On an edge-triggered epoll a program may take a receive that brings less than it asked for, or
 * EAGAIN, to mean that nothing more is there (epoll(7), questions 9 and the one before), and waits
 * for the next edge. So where a call was made to say so although there is more, the entry is armed
 * anew by EPOLL_CTL_MOD: the kernel looks again and tells of what is there. To the program it is
 * as if the rest had come, or the room, right after the call had returned. Level-triggered entries,
 * poll and select tell of it anyway. */
#ifndef REARM_H
#define REARM_H

void tell_again(int fd);

/* Forgets what is known of a number. */
void forget(int fd);

#endif

/* plan.h - which calls are to suffer what, and how many have: what the interposer's calls share.
 *
 * The environment says what is done to the program:
 *   FAULTS_SEED   from which every choice follows, for each thread in the order of its calls; 1
 *   FAULTS_RATE   of 1,000 calls that may suffer something, how many do; 50
 *   FAULTS_KINDS  names of enum fault, with commas between; all
 *   FAULTS_TALLY  a file that is made to hold a struct tally, kept while the program runs
 *   FAULTS_START  "off": nothing happens until faults_inject says so; "accept": nothing until a
 *                 caller is let in, for a program whose threads wait before it listens
 * Otherwise faults begin at the first wait: who cannot even start has not been tested.
 */
#ifndef PLAN_H
#define PLAN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stdint.h>

enum fault {
    FAULT_EINTR,     /* a signal came before anything was done */
    FAULT_EAGAIN,    /* nothing there yet, or no room: and at once there is */
    FAULT_SHORT,     /* fewer bytes than there are, or events than there could be */
    FAULT_RESET,     /* the connection is reset, for its peer as well */
    FAULT_ACCEPT,    /* accept fails and the caller stays in the queue, or one is gone */
    FAULT_EXHAUSTED, /* accept finds no descriptor or no memory */
    FAULT_WATCH,     /* epoll_ctl finds no memory, or no more watches are allowed */
    FAULT_CLOCK,     /* CLOCK_REALTIME jumps */
    FAULT_DELAY,     /* a wait returns late */
    FAULT_KINDS
};

/* Kept in order with Tests/Faults/faults.py. */
struct tally {
    _Atomic uint64_t faults[FAULT_KINDS];
    _Atomic uint64_t calls; /* that could have suffered something */
    _Atomic uint64_t waits;
    _Atomic uint64_t idle;  /* waits that returned at once and after which nothing was done */
    _Atomic uint64_t spins; /* of these, those after the third in a row */
};

extern struct tally *tally;

/* From now on, in this thread: for a program that tests itself. Found by its name. */
void faults_inject(int on);

/* Whether a call that may suffer one of `kinds`, bits of 1 << enum fault, is to; and which. */
bool suffers(uint32_t kinds, enum fault *fault);

/* Notes that it did. */
void note(enum fault fault);

/* A number below `end`, of this thread's choices. */
uint32_t below(uint32_t end);

/* Somebody is about to be let in. */
void note_accept(void);

/* Between two waits: something was done, and a wait begins or has returned. `at_once` is whether
 * it did not have to sleep. */
void note_work(void);
void begin_wait(void);
void end_wait(bool at_once);

#endif

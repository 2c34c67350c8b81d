/* plan.h - which calls get which faults, and how many had one: what the interposer's calls share.
 *
 * The environment says what is done to the program. Defaults are after the semicolons:
 *   FAULTS_SEED   every choice follows from it, for each thread in the order of its calls; 1
 *   FAULTS_RATE   how many of 1,000 calls that may have a fault have one; 50
 *   FAULTS_KINDS  names of enum fault, with commas between; all
 *   FAULTS_TALLY  a file that is made, and has a struct tally while the program runs
 *   FAULTS_START  "off": no faults until faults_inject asks for them. "accept": no faults until a
 *                 caller is accepted, for a program whose threads wait before it listens
 * Without FAULTS_START, faults begin at the first wait. A program that cannot even start would not
 * be tested.
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

/* Faults begin now, in this thread: for a program that tests itself. It finds this by name. */
void faults_inject(int on);

/* Whether a call gets one of the faults `kinds`, bits of 1 << enum fault; and which one. */
bool suffers(uint32_t kinds, enum fault *fault);

/* Notes that the call has had the fault. */
void note(enum fault fault);

/* A number below `end`, from this thread's choices. */
uint32_t below(uint32_t end);

/* A caller is about to be accepted. */
void note_accept(void);

/* Called when something was done between two waits, and when a wait begins or has returned.
 * `at_once` says whether the wait did not have to sleep. */
void note_work(void);
void begin_wait(void);
void end_wait(bool at_once);

#endif

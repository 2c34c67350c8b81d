/* contract.h - the readiness contract: a row for each situation, with what every backend reports.
 *
 * A row's scene makes the situation, asks, and notes in words what it saw. So what is expected and
 * what is observed can be compared as text, and docs/readiness.md can show both. Rows are below
 * their scenes, with a file for each section: contract_sockets.c and others. contract.c plays the
 * rows and draws the table.
 */
#ifndef CONTRACT_H
#define CONTRACT_H

#include "support.h"

#include <stdio.h>

/* What a scene plays on, and what it has noted. */
struct stage {
    sluice_poller *poller;
    uint32_t interest; /* the row's */
    char text[256];    /* what was seen, step by step, joined by ", then " */
};

struct contract_row {
    const char *name;
    uint32_t interest;
    void (*scene)(struct stage *stage);

    /* What every backend reports. select reports the same without ERROR, HANGUP and READ_CLOSED,
     * which it cannot report. */
    const char *expected;

    /* If a backend differs beyond that, by nature: what it reports instead, and why. */
    const char *on_select;
    const char *on_poll;
    const char *on_epoll;
    const char *why;

    /* libevent reports what the call reports that it waits with, without ERROR and HANGUP, which it
     * cannot report. If it differs beyond that: what it reports over each call, or over one, and
     * why. */
    const char *on_libevent;
    const char *on_libevent_select;
    const char *on_libevent_poll;
    const char *on_libevent_epoll;
    const char *why_libevent;
};

struct contract_section {
    const char *title;
    const struct contract_row *rows;
    size_t count;
};

/* In the order of the table. NULL ends the list. */
extern const struct contract_section *const contract_sections[];
extern const struct contract_section contract_sockets;
extern const struct contract_section contract_files;
extern const struct contract_section contract_numbers;
extern const struct contract_section contract_calls;
extern const struct contract_section contract_modes;
extern const struct contract_section contract_waits;

/* For the rows that ask for edges, and for out-of-band data. */
#define EDGE_IS_EPOLLS "only epoll knows edges: ask sluice_poller_features"
#define NO_EDGE .on_select = "SLUICE_ENOTSUP", .on_poll = "SLUICE_ENOTSUP", .why = EDGE_IS_EPOLLS
#define NO_HANGUP                                                                                  \
    .on_select = "SLUICE_ENOTSUP", .why = "select tells no hang-up: ask sluice_poller_features",   \
    .on_libevent = "SLUICE_ENOTSUP",                                                               \
    .why_libevent = "libevent tells no hang-up: ask sluice_poller_features"
#define NO_PRIORITY                                                                                \
    .on_libevent = "SLUICE_ENOTSUP",                                                               \
    .why_libevent = "libevent has no event for it: ask sluice_poller_features"

#define CONTRACT_TEXT_SIZE sizeof(((struct stage *)0)->text)

/* What `backend` should report for `row`, and what the running test's backend does report. */
void contract_expect(const struct contract_row *row, const char *backend, char *text);
void contract_observe(const struct contract_row *row, char *text);

/* The flags that `backend` reports in some row: those that it can report at all. */
uint32_t contract_flags(const char *backend);

/* Whether exactly this is what `backend` reports in the row of that name. */
bool contract_says(const char *row_name, const char *backend, const char *answer);

/* Prints the table in Markdown, section by section, with what is expected or with what is observed.
 */
void contract_print(FILE *file, bool observed);

/* ---- For scenes ----------------------------------------------------------------------------- */

/* The user words of scenes with more than one descriptor. They name the events. */
enum { UNNAMED, FIRST, SECOND, THIRD, OLD, NEW, USER_WORD_COUNT };

/* Adds a step. The format is printf's. */
void note(struct stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note_code(struct stage *stage, int code);
void note_flags(struct stage *stage, uint32_t flags);

/* Looks without waiting, and notes the events: "READ", "first READ + second READ" or "nothing".
 * The situation must be there by now. */
void note_events(struct stage *stage);

/* Registers `fd` with the row's interest. If it is refused, the second notes this and returns
 * false.
 */
void add(struct stage *stage, int fd, uint64_t user);
bool add_if_supported(struct stage *stage, int fd, uint64_t user);

/* Registers `fd` and notes the events, or a refusal. */
void watch(struct stage *stage, int fd);

#endif

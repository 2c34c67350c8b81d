/* contract.c - plays a row, puts what it saw into words, and draws the tables. One table is for the
 * system calls, in the order of their age. The other has the rows in which libevent differs. */
#include "contract.h"

#include <string.h>

const struct contract_section *const contract_sections[] = {
    &contract_sockets,
    &contract_files,
    &contract_numbers,
    &contract_calls,
    &contract_modes,
    &contract_waits,
    NULL,
};

/* Who cannot say a flag. */
enum { NOBODY = 0, SELECT = 1, LIBEVENT = 2 };

struct flag_name {
    const char *name;
    uint32_t flag;
    unsigned unknown_to;
};

static const struct flag_name flag_names[] = {
    {"READ", SLUICE_READ, NOBODY},
    {"WRITE", SLUICE_WRITE, NOBODY},
    {"PRIORITY", SLUICE_PRIORITY, NOBODY},
    {"EDGE", SLUICE_EDGE, NOBODY},
    {"ONE_SHOT", SLUICE_ONE_SHOT, NOBODY},
    {"ERROR", SLUICE_ERROR, SELECT | LIBEVENT},
    {"HANGUP", SLUICE_HANGUP, SELECT | LIBEVENT},
    {"READ_CLOSED", SLUICE_READ_CLOSED, SELECT},
};

enum { CALL_COUNT = 3 };

static const char *const calls[CALL_COUNT] = {"select", "poll", "epoll"};
static const char *const libevent_methods[CALL_COUNT] = {"libevent:select", "libevent:poll",
                                                         "libevent:epoll"};

static const char *const user_names[USER_WORD_COUNT] = {"",       "first ", "second ",
                                                        "third ", "old ",   "new "};

/* ---- Noting -----------------------------------------------------------------------------------
 */

/* Appends the first `length` bytes of `more` to `text`, which has CONTRACT_TEXT_SIZE bytes. */
static void append(char *text, const char *more, size_t length) {
    size_t end = strlen(text);
    assert_true(end + length < CONTRACT_TEXT_SIZE);
    memcpy(text + end, more, length);
    text[end + length] = '\0';
}

static void append_text(char *text, const char *more) {
    append(text, more, strlen(more));
}

void note(struct stage *stage, const char *format, ...) {
    char step[CONTRACT_TEXT_SIZE];
    va_list list;
    va_start(list, format);
    vsnprintf(step, sizeof step, format, list);
    va_end(list);
    if (stage->text[0])
        append_text(stage->text, ", then ");
    append_text(stage->text, step);
}

void note_code(struct stage *stage, int code) {
    note(stage, "%s", sluice_error_name(code));
}

static void word_flags(uint32_t flags, char *text, size_t size) {
    text[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(flag_names); i++)
        if (flags & flag_names[i].flag)
            snprintf(text + strlen(text), size - strlen(text), "%s%s", *text ? " " : "",
                     flag_names[i].name);
}

void note_flags(struct stage *stage, uint32_t flags) {
    char text[128];
    word_flags(flags, text, sizeof text);
    note(stage, "%s", *text ? text : "none");
}

void note_events(struct stage *stage) {
    sluice_ready events[16];
    int count = sluice_poller_wait(stage->poller, events, COUNT_OF(events), 0);
    if (count <= 0) {
        note(stage, "%s", count == 0 ? "nothing" : sluice_error_name(count));
        return;
    }
    /* Sorted by user word, because the order within a batch is the backend's own. */
    char text[CONTRACT_TEXT_SIZE] = "";
    for (uint64_t user = 0; user < USER_WORD_COUNT; user++)
        for (int i = 0; i < count; i++) {
            if (events[i].user != user)
                continue;
            char flags[128];
            word_flags(events[i].flags, flags, sizeof flags);
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%s", *text ? " + " : "",
                     user_names[user], flags);
        }
    note(stage, "%s", text);
}

bool add_if_supported(struct stage *stage, int fd, uint64_t user) {
    int code = sluice_poller_add(stage->poller, fd, stage->interest, user);
    if (code != 0)
        note_code(stage, code);
    return code == 0;
}

void add(struct stage *stage, int fd, uint64_t user) {
    assert_int_equal(sluice_poller_add(stage->poller, fd, stage->interest, user), 0);
}

void watch(struct stage *stage, int fd) {
    if (add_if_supported(stage, fd, UNNAMED))
        note_events(stage);
}

/* ---- Expecting and observing ------------------------------------------------------------------
 */

static bool is_known(unsigned to, const char *word, size_t length) {
    for (size_t i = 0; i < COUNT_OF(flag_names); i++)
        if ((flag_names[i].unknown_to & to) && strlen(flag_names[i].name) == length &&
            memcmp(flag_names[i].name, word, length) == 0)
            return false;
    return true;
}

/* `text` without the flags that `who` cannot report. A step of which nothing is left is "nothing".
 */
static void reduce(unsigned who, const char *text, char *reduced) {
    reduced[0] = '\0';
    bool step_is_empty = true;
    while (*text) {
        size_t length = strcspn(text, " ,");
        if (is_known(who, text, length)) {
            if (*reduced)
                append_text(reduced, " ");
            append(reduced, text, length);
            step_is_empty = false;
        }
        text += length;
        if (step_is_empty && (*text == ',' || *text == '\0'))
            append_text(reduced, *reduced ? " nothing" : "nothing");
        if (*text == ',') {
            append_text(reduced, ", then");
            step_is_empty = true;
            text += strlen(", then");
        }
        text += *text == ' ';
    }
}

/* The call that `backend` waits with, as its place in `calls`. */
static size_t call_of(const char *backend) {
    const char *colon = strchr(backend, ':');
    const char *call = colon ? colon + 1 : backend;
    for (size_t i = 0; i < CALL_COUNT; i++)
        if (strcmp(calls[i], call) == 0)
            return i;
    fail_msg("the contract has no column for %s", backend);
    return 0;
}

static void expect_of_call(const struct contract_row *row, size_t call, char *text) {
    const char *const overrides[CALL_COUNT] = {row->on_select, row->on_poll, row->on_epoll};
    if (overrides[call])
        reduce(NOBODY, overrides[call], text);
    else
        reduce(call == 0 ? SELECT : NOBODY, row->expected, text);
}

void contract_expect(const struct contract_row *row, const char *backend, char *text) {
    size_t call = call_of(backend);
    if (!strchr(backend, ':')) {
        expect_of_call(row, call, text);
        return;
    }
    const char *const overrides[CALL_COUNT] = {row->on_libevent_select, row->on_libevent_poll,
                                               row->on_libevent_epoll};
    const char *override = overrides[call] ? overrides[call] : row->on_libevent;
    char of_call[CONTRACT_TEXT_SIZE];
    expect_of_call(row, call, of_call);
    reduce(override ? NOBODY : LIBEVENT, override ? override : of_call, text);
}

static uint32_t flags_in(const char *text) {
    uint32_t flags = 0;
    while (*text) {
        size_t length = strcspn(text, " ,");
        for (size_t i = 0; i < COUNT_OF(flag_names); i++)
            if (strlen(flag_names[i].name) == length &&
                memcmp(flag_names[i].name, text, length) == 0)
                flags |= flag_names[i].flag;
        text += length + (text[length] != '\0');
    }
    return flags;
}

uint32_t contract_flags(const char *backend) {
    uint32_t flags = 0;
    for (size_t s = 0; contract_sections[s]; s++)
        for (size_t i = 0; i < contract_sections[s]->count; i++) {
            char text[CONTRACT_TEXT_SIZE];
            contract_expect(&contract_sections[s]->rows[i], backend, text);
            flags |= flags_in(text);
        }
    return flags;
}

bool contract_says(const char *row_name, const char *backend, const char *answer) {
    for (size_t s = 0; contract_sections[s]; s++)
        for (size_t i = 0; i < contract_sections[s]->count; i++) {
            const struct contract_row *row = &contract_sections[s]->rows[i];
            char text[CONTRACT_TEXT_SIZE];
            if (strcmp(row->name, row_name) != 0)
                continue;
            contract_expect(row, backend, text);
            return strcmp(text, answer) == 0;
        }
    fail_msg("the contract has no row \"%s\"", row_name);
    return false;
}

void contract_observe(const struct contract_row *row, char *text) {
    struct stage stage = {.poller = make_poller(), .interest = row->interest};
    row->scene(&stage);
    memcpy(text, stage.text, sizeof stage.text);
}

/* ---- The tables -------------------------------------------------------------------------------
 */

/* A row of a table: what each backend answers. */
struct cells {
    char text[CALL_COUNT][CONTRACT_TEXT_SIZE];
};

static struct cells cells_of(const struct contract_row *row, const char *const *backends,
                             bool observed) {
    struct cells cells;
    for (size_t i = 0; i < CALL_COUNT; i++) {
        if (!observed) {
            contract_expect(row, backends[i], cells.text[i]);
            continue;
        }
        begin_test(backends[i]);
        contract_observe(row, cells.text[i]);
        end_test();
    }
    return cells;
}

static bool are_equal(const struct cells *left, const struct cells *right) {
    for (size_t i = 0; i < CALL_COUNT; i++)
        if (strcmp(left->text[i], right->text[i]) != 0)
            return false;
    return true;
}

static void print_head(FILE *file, const char *title, const char *const *backends) {
    fprintf(file, "### %s\n\n| situation | asked for |", title);
    for (size_t i = 0; i < CALL_COUNT; i++)
        fprintf(file, " %s |", backends[i]);
    fprintf(file, " why they differ |\n|---|---|---|---|---|---|\n");
}

static void print_row(FILE *file, const struct contract_row *row, const struct cells *cells,
                      const char *why) {
    char asked[128];
    word_flags(row->interest, asked, sizeof asked);
    fprintf(file, "| %s | %s |", row->name, *asked ? asked : "none");
    for (size_t i = 0; i < CALL_COUNT; i++)
        fprintf(file, " %s |", cells->text[i]);
    fprintf(file, " %s |\n", why);
}

#define DEPARTURE "**not what the contract says**"

static void print_calls(FILE *file, const struct contract_section *section, bool observed) {
    print_head(file, section->title, calls);
    for (size_t i = 0; i < section->count; i++) {
        const struct contract_row *row = &section->rows[i];
        const struct cells expected = cells_of(row, calls, false);
        const struct cells cells = observed ? cells_of(row, calls, true) : expected;
        const char *why = row->why ? row->why : "select cannot say more";
        if (!are_equal(&cells, &expected))
            why = DEPARTURE;
        else if (strcmp(cells.text[0], cells.text[1]) == 0 &&
                 strcmp(cells.text[1], cells.text[2]) == 0)
            why = "";
        print_row(file, row, &cells, why);
    }
    fprintf(file, "\n");
}

static void print_libevent_row(FILE *file, const struct contract_row *row, bool observed) {
    const struct cells of_calls = cells_of(row, calls, false);
    const struct cells expected = cells_of(row, libevent_methods, false);
    const struct cells cells = observed ? cells_of(row, libevent_methods, true) : expected;
    const char *why = row->why_libevent ? row->why_libevent : "libevent cannot say more";
    if (!are_equal(&cells, &expected))
        print_row(file, row, &cells, DEPARTURE);
    else if (!are_equal(&cells, &of_calls))
        print_row(file, row, &cells, why);
}

void contract_print(FILE *file, bool observed) {
    for (size_t s = 0; contract_sections[s]; s++)
        print_calls(file, contract_sections[s], observed);
    print_head(file, "Where libevent differs from the call that it waits with", libevent_methods);
    for (size_t s = 0; contract_sections[s]; s++)
        for (size_t i = 0; i < contract_sections[s]->count; i++)
            print_libevent_row(file, &contract_sections[s]->rows[i], observed);
    fprintf(file, "\n");
}

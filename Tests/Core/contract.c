/* contract.c - plays a row, words what it saw, and draws the table. The columns are the backends in
 * the order of their age, which is that of the core's table reversed. */
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

struct flag_name {
    const char *name;
    uint32_t flag;
    bool select_knows;
};

static const struct flag_name flag_names[] = {
    {"READ", SLUICE_READ, true},         {"WRITE", SLUICE_WRITE, true},
    {"PRIORITY", SLUICE_PRIORITY, true}, {"EDGE", SLUICE_EDGE, true},
    {"ONE_SHOT", SLUICE_ONE_SHOT, true}, {"ERROR", SLUICE_ERROR, false},
    {"HANGUP", SLUICE_HANGUP, false},    {"READ_CLOSED", SLUICE_READ_CLOSED, false},
};

static const char *const user_names[USER_WORD_COUNT] = {"",       "first ", "second ",
                                                        "third ", "old ",   "new "};

/* ---- Noting -----------------------------------------------------------------------------------
 */

/* Puts the first `length` bytes of `more` behind what stands in `text`, of CONTRACT_TEXT_SIZE. */
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
    /* By user word, since the order within a batch is the backend's own. */
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
    add(stage, fd, UNNAMED);
    note_events(stage);
}

/* ---- Expecting and observing ------------------------------------------------------------------
 */

static bool select_knows(const char *word, size_t length) {
    for (size_t i = 0; i < COUNT_OF(flag_names); i++)
        if (!flag_names[i].select_knows && strlen(flag_names[i].name) == length &&
            memcmp(flag_names[i].name, word, length) == 0)
            return false;
    return true;
}

/* `text` without the flags that select cannot tell; a step of which nothing is left is "nothing".
 */
static void reduce_for_select(const char *text, char *reduced) {
    bool step_is_empty = true;
    while (*text) {
        size_t length = strcspn(text, " ,");
        if (select_knows(text, length)) {
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

void contract_expect(const struct contract_row *row, const char *backend, char *text) {
    const char *override = NULL;
    if (strcmp(backend, "select") == 0)
        override = row->on_select;
    else if (strcmp(backend, "poll") == 0)
        override = row->on_poll;
    else if (strcmp(backend, "epoll") == 0)
        override = row->on_epoll;
    text[0] = '\0';
    if (!override && strcmp(backend, "select") == 0)
        reduce_for_select(row->expected, text);
    else
        append_text(text, override ? override : row->expected);
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

/* ---- The table --------------------------------------------------------------------------------
 */

static void print_row(FILE *file, const struct contract_row *row, bool observed,
                      size_t backend_count) {
    char asked[128];
    word_flags(row->interest, asked, sizeof asked);
    fprintf(file, "| %s | %s |", row->name, *asked ? asked : "none");
    char first[CONTRACT_TEXT_SIZE];
    bool differs = false;
    bool as_expected = true;
    for (size_t i = backend_count; i-- > 0;) {
        const char *backend = sluice_backend_name(i);
        char expected[CONTRACT_TEXT_SIZE];
        char text[CONTRACT_TEXT_SIZE];
        contract_expect(row, backend, expected);
        if (observed) {
            begin_test(backend);
            contract_observe(row, text);
            end_test();
        } else {
            memcpy(text, expected, sizeof text);
        }
        as_expected &= strcmp(text, expected) == 0;
        if (i == backend_count - 1)
            memcpy(first, text, sizeof first);
        differs |= strcmp(first, text) != 0;
        fprintf(file, " %s |", text);
    }
    const char *why = row->why ? row->why : "select cannot say more";
    if (!as_expected)
        why = "**not what the contract says**";
    fprintf(file, " %s |\n", differs || !as_expected ? why : "");
}

void contract_print(FILE *file, bool observed) {
    size_t backend_count = 0;
    while (sluice_backend_name(backend_count))
        backend_count++;
    for (size_t s = 0; contract_sections[s]; s++) {
        const struct contract_section *section = contract_sections[s];
        fprintf(file, "### %s\n\n| situation | asked for |", section->title);
        for (size_t i = backend_count; i-- > 0;)
            fprintf(file, " %s |", sluice_backend_name(i));
        fprintf(file, " why they differ |\n|---|---|");
        for (size_t i = 0; i < backend_count; i++)
            fprintf(file, "---|");
        fprintf(file, "---|\n");
        for (size_t i = 0; i < section->count; i++)
            print_row(file, &section->rows[i], observed, backend_count);
        fprintf(file, "\n");
    }
}

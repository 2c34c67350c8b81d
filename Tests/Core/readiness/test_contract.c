/* test_contract.c - the readiness contract, row by row over each backend. It also tests that
 * docs/readiness.md shows the same table. With --table, it prints what is observed here instead.
 */
#include "contract.h"

#include <stdlib.h>
#include <string.h>

#define PAGE "docs/readiness.md"
#define BEGIN "<!-- contract:begin -->\n\n"
#define END "<!-- contract:end -->"

static void row_holds(void) {
    const struct contract_row *row = test_data();
    char expected[CONTRACT_TEXT_SIZE];
    char observed[CONTRACT_TEXT_SIZE];
    contract_expect(row, test_backend(), expected);
    contract_observe(row, observed);
    assert_string_equal(observed, expected);
}

/* The text of a file, up to what a page of documentation may hold. */
static char *read_page(char *text, size_t size) {
    FILE *file = fopen(PAGE, "r");
    if (!file)
        fail_msg("%s: not found; run from the repository's root", PAGE);
    size_t length = fread(text, 1, size - 1, file);
    fclose(file);
    assert_true(length < size - 1);
    text[length] = '\0';
    return text;
}

static void page_shows_table(void) {
    static char page[65536];
    char *begin = strstr(read_page(page, sizeof page), BEGIN);
    char *end = strstr(page, END);
    assert_true(begin && end && begin < end);
    *end = '\0';
    static char table[65536];
    FILE *file = fmemopen(table, sizeof table, "w");
    assert_non_null(file);
    contract_print(file, false);
    fclose(file);
    assert_string_equal(begin + strlen(BEGIN), table);
}

/* The rows whose difference is more than what select cannot say have to give their reason. */
static void differences_have_reasons(void) {
    for (size_t s = 0; contract_sections[s]; s++)
        for (size_t i = 0; i < contract_sections[s]->count; i++) {
            const struct contract_row *row = &contract_sections[s]->rows[i];
            bool differs = row->on_select || row->on_poll || row->on_epoll;
            bool libevent_differs = row->on_libevent || row->on_libevent_select ||
                                    row->on_libevent_poll || row->on_libevent_epoll;
            if (differs != (row->why != NULL) || libevent_differs != (row->why_libevent != NULL))
                fail_msg("%s: a difference without a reason, or a reason without one", row->name);
        }
}

static int run_rows(void) {
    size_t count = 0;
    for (size_t s = 0; contract_sections[s]; s++)
        count += contract_sections[s]->count;
    struct test *tests = count > 0 ? calloc(count, sizeof *tests) : NULL;
    if (!tests)
        return EXIT_FAILURE;
    size_t at = 0;
    for (size_t s = 0; contract_sections[s]; s++)
        for (size_t i = 0; i < contract_sections[s]->count; i++, at++) {
            const struct contract_row *row = &contract_sections[s]->rows[i];
            tests[at] = (struct test){.name = row->name, .run = row_holds, .data = row};
        }
    int code = run_over_backends(tests, count);
    free(tests);
    return code;
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        {"docs/readiness.md shows the table", page_shows_table, NULL},
        {"differences have reasons", differences_have_reasons, NULL},
    };
    if (argc > 1 && strcmp(argv[1], "--table") == 0) {
        raise_fd_limit();
        contract_print(stdout, true);
        return EXIT_SUCCESS;
    }
    int rows = run_rows();
    int page = run_once(tests, COUNT_OF(tests));
    return rows != EXIT_SUCCESS ? rows : page;
}

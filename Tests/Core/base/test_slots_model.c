/* test_slots_model.c - random scripts of slots_model.c. */
#include "models.h"

static void scripts(void) {
    play_seeds(play_slots_script, 2000);
}

int main(void) {
    static const struct test tests[] = {
        {"random scripts: a table of handles against plain arrays", scripts, NULL}};
    return run_once(tests, COUNT_OF(tests));
}

/* test_timers_model.c - random scripts of timers_model.c. */
#include "models.h"

static void scripts(void) {
    play_seeds(play_timers_script, 20000);
}

int main(void) {
    static const struct test tests[] = {
        {"random scripts: timers against a plain array", scripts, NULL}};
    return run_once(tests, COUNT_OF(tests));
}

/* test_loop_model.c - random scripts of loop_model_script.c, over each backend. */
#include "models.h"

#include <signal.h>

static void scripts(void) {
    play_seeds(play_loop_script, 3400);
}

int main(void) {
    static const struct test tests[] = {{"random scripts on a loop", scripts, NULL}};
    signal(SIGPIPE, SIG_IGN); /* the peers', whose streams may be gone */
    return run_over_backends(tests, COUNT_OF(tests));
}

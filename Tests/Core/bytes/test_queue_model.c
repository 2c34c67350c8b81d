/* test_queue_model.c - random scripts of queue_model.c. */
#include "models.h"

static void scripts(void) {
    play_seeds(play_queue_script, 300);
}

int main(void) {
    static const struct test tests[] = {
        {"random scripts: public byte queues against plain arrays", scripts, NULL}};
    return run_once(tests, COUNT_OF(tests));
}

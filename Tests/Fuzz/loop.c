/* loop.c - fuzzes a whole loop, over each backend in turn. The peers of its streams are in the same
 * thread: Tests/Core/loop/loop_model_script.c. Each script must also leave as many descriptors open
 * as it found. */
#include "fuzz.h"

#include <signal.h>

static const char *any_backend(struct choices *choices) {
    uint32_t count = 0;
    while (sluice_backend_name(count))
        count++;
    return sluice_backend_name(choose_below(choices, count));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    signal(SIGPIPE, SIG_IGN); /* the peers', whose streams may be gone */
    struct choices choices = choices_of_bytes(bytes, length);
    begin_test(any_backend(&choices));
    play_loop_script(&choices);
    end_test();
    return 0;
}

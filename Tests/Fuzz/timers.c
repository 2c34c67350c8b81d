/* timers.c - fuzzes timers, against an array that is searched: Tests/Core/timers/timers_model.c. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct choices choices = choices_of_bytes(bytes, length);
    play_timers_script(&choices);
    return 0;
}

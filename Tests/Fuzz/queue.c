/* queue.c - fuzzes the byte queue: Tests/Core/bytes/queue_model.c. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct choices choices = choices_of_bytes(bytes, length);
    play_queue_script(&choices);
    return 0;
}

/* slots.c - fuzzes the table of handles: Tests/Core/base/slots_model.c. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct choices choices = choices_of_bytes(bytes, length);
    play_slots_script(&choices);
    return 0;
}

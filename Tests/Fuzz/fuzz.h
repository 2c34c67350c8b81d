/* fuzz.h - what libFuzzer calls: see docs/reliability.md. The targets play the models of Tests/Core
 * by the fuzzer's bytes in place of a generator's numbers. What does not hold ends the process,
 * which libFuzzer takes for a crash and keeps the bytes of. */
#ifndef FUZZ_H
#define FUZZ_H

#include "models.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#endif

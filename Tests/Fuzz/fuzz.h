/* fuzz.h - what libFuzzer calls: see docs/reliability.md. The targets play the models of Tests/Core
 * with the fuzzer's bytes in place of a generator's numbers. If a check fails, the process ends.
 * libFuzzer takes this for a crash, and keeps the bytes. */
#ifndef FUZZ_H
#define FUZZ_H

#include "models.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#endif

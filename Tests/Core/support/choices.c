/* choices.c - see choices.h. */
#include "choices.h"

#include <stdlib.h>

struct choices choices_of_seed(uint64_t seed) {
    struct choices choices = {.seed = seed, .random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1};
    /* Neighbours begin alike. */
    for (int i = 0; i < 4; i++)
        (void)choose(&choices);
    return choices;
}

struct choices choices_of_bytes(const unsigned char *bytes, size_t length) {
    return (struct choices){.bytes = bytes, .left = length};
}

static uint64_t take_bytes(struct choices *choices, size_t count) {
    uint64_t value = 0;
    for (; count > 0 && choices->left > 0; count--, choices->left--)
        value = value << 8 | *choices->bytes++;
    return value;
}

uint64_t choose(struct choices *choices) {
    if (choices->bytes)
        return take_bytes(choices, 8) >> 1;
    /* xorshift64*: small, and the same everywhere. */
    choices->random ^= choices->random >> 12;
    choices->random ^= choices->random << 25;
    choices->random ^= choices->random >> 27;
    return choices->random * UINT64_C(0x2545F4914F6CDD1D) >> 1;
}

uint32_t choose_below(struct choices *choices, uint32_t end) {
    /* No more bytes than it takes, so that each has a meaning. */
    if (choices->bytes)
        return (uint32_t)take_bytes(choices, end <= 0x100 ? 1 : end <= 0x10000 ? 2 : 4) % end;
    return (uint32_t)(choose(choices) >> 32) % end;
}

bool choices_are_over(const struct choices *choices) {
    return choices->bytes && choices->left == 0;
}

void (*on_failed_check)(const char *what);

void check_choices(const struct choices *choices, int step, bool holds, const char *what) {
    if (holds)
        return;
    if (on_failed_check)
        on_failed_check(what);
    if (choices->bytes)
        fail_msg("step %d: %s", step, what);
    fail_msg("SLUICE_SEED=%llu, step %d: %s", (unsigned long long)choices->seed, step, what);
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

void play_seeds(void (*play)(struct choices *choices), uint64_t count) {
    uint64_t first = from_environment("SLUICE_SEED", 1);
    uint64_t end = first + from_environment("SLUICE_SCRIPTS", count);
    for (uint64_t seed = first; seed < end; seed++) {
        struct choices choices = choices_of_seed(seed);
        play(&choices);
    }
}

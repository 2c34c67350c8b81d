/* choices.h - where a random script gets its choices from: a generator with a seed, or bytes from a
 * fuzzer (Tests/Fuzz), which steers the script with them. Both can play a model that takes its
 * choices from here.
 */
#ifndef CHOICES_H
#define CHOICES_H

#include "support.h"

struct choices {
    uint64_t seed;              /* 0 if bytes choose */
    uint64_t random;            /* the generator's state */
    const unsigned char *bytes; /* NULL if the generator chooses */
    size_t left;                /* how many bytes are left */
};

struct choices choices_of_seed(uint64_t seed);
struct choices choices_of_bytes(const unsigned char *bytes, size_t length);

/* Any number whose highest bit is 0, and a number below `end`, which is not 0. If no bytes are
 * left, both give 0. */
uint64_t choose(struct choices *choices);
uint32_t choose_below(struct choices *choices, uint32_t end);

/* Whether no bytes are left. A generator never ends. */
bool choices_are_over(const struct choices *choices);

/* If `holds` is false, this fails the test with the script's seed. Or it calls `on_failed_check`,
 * which leaves the script and does not return. */
extern void (*on_failed_check)(const char *what);
void check_choices(const struct choices *choices, int step, bool holds, const char *what);

/* Plays the scripts of `count` seeds, beginning with seed 1, or with SLUICE_SEED. SLUICE_SCRIPTS
 * replaces the count. */
void play_seeds(void (*play)(struct choices *choices), uint64_t count);

#endif

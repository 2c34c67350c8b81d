/* choices.h - where a random script gets its choices from: a generator with a seed, or bytes from a
 * fuzzer (Tests/Fuzz), which steers the script with them. Both can play a model that takes its
 * choices from here.
 */
#ifndef CHOICES_H
#define CHOICES_H

#include "support.h"

struct choices {
    uint64_t seed;              /* 0 where bytes choose */
    uint64_t random;            /* the generator's state */
    const unsigned char *bytes; /* NULL where the generator chooses */
    size_t left;                /* how many bytes there still are */
};

struct choices choices_of_seed(uint64_t seed);
struct choices choices_of_bytes(const unsigned char *bytes, size_t length);

/* Any number, the highest bit of it 0; and one below `end`, which is not 0. Where the bytes have
 * come to their end, 0. */
uint64_t choose(struct choices *choices);
uint32_t choose_below(struct choices *choices, uint32_t end);

/* Whether the bytes have come to their end. A generator never has. */
bool choices_are_over(const struct choices *choices);

/* Where `holds` is false, fails the test with the script's seed; or has whoever plays the script
 * leave it, through `on_failed_check`, which does not return. */
extern void (*on_failed_check)(const char *what);
void check_choices(const struct choices *choices, int step, bool holds, const char *what);

/* Plays the scripts of `count` seeds, from 1, or from SLUICE_SEED on; SLUICE_SCRIPTS is another
 * count. */
void play_seeds(void (*play)(struct choices *choices), uint64_t count);

#endif

/* differential.h - one random script played over several backends in lockstep, and what to do when
 * they disagree.
 *
 * A script is data: a row of numbers, one for each step. A step makes all its choices from its
 * number. So a step does the same whatever comes before it, and a script that fails can be shrunk:
 * steps are dropped, in smaller and smaller runs, as long as the script still fails. What is left
 * is printed in words. So steps must make sense in any state. A step that does not apply does
 * nothing.
 *
 * There is one script at a time.
 */
#ifndef DIFFERENTIAL_H
#define DIFFERENTIAL_H

#include "choices.h"

enum { MOST_STEPS = 64 };

struct script {
    uint64_t seed;
    size_t count;
    uint64_t steps[MOST_STEPS];
};

/* A player of scripts. `end` is called however far the script came, and gives back what `begin` and
 * the steps have made. */
struct player {
    size_t steps; /* in a script; at most MOST_STEPS */
    void (*begin)(struct choices *choices);
    void (*take_step)(struct choices *choices);
    void (*end)(void);
};

/* Leaves the script that is being played: it has failed. The format is printf's. */
void disagree(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Prints what a step does, if the script is being told. It prints nothing while `quiet` is set,
 * because another backend prints the same. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
void keep_quiet(bool quiet);

struct script script_of_seed(const struct player *player, uint64_t seed);
/* Whether it went well. */
bool play_script(const struct player *player, const struct script *script);
/* Drops steps from a script that fails, as long as it still fails. */
void shrink_script(const struct player *player, struct script *script);
/* Plays the script, and prints each step and what did not agree. */
void tell_script(const struct player *player, const struct script *script);

/* Plays the scripts of `count` seeds, as play_seeds does. A script that fails is shrunk, and
 * printed with the command that replays it. Then the test fails. */
void play_scripts(const struct player *player, uint64_t count);

/* Checks that a fault shows within a few scripts, and is shrunk to at most `most_steps` steps. */
void expect_found(const struct player *player, size_t most_steps);

#endif

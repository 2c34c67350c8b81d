/* differential.c - see differential.h. */
#include "differential.h"

#include <errno.h>
#include <stdio.h>

static struct {
    jmp_buf leave;
    bool telling;
    bool quiet;
    size_t step;
    char failure[512];
} playing;

void disagree(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(playing.failure, sizeof playing.failure, format, list);
    va_end(list);
    longjmp(playing.leave, 1);
}

void tell(const char *format, ...) {
    if (!playing.telling || playing.quiet)
        return;
    va_list list;
    va_start(list, format);
    printf("%4zu  ", playing.step);
    vprintf(format, list);
    printf("\n");
    va_end(list);
}

void keep_quiet(bool quiet) {
    playing.quiet = quiet;
}

struct script script_of_seed(const struct player *player, uint64_t seed) {
    struct script script = {.seed = seed, .count = player->steps};
    struct choices choices = choices_of_seed(seed);
    for (size_t i = 0; i < script.count; i++)
        script.steps[i] = choose(&choices);
    return script;
}

bool play_script(const struct player *player, const struct script *script) {
    /* Steps that leave come back here. */
    playing.quiet = false;
    bool went_well = setjmp(playing.leave) == 0;
    if (went_well) {
        struct choices choices = choices_of_seed(script->seed);
        player->begin(&choices);
        for (playing.step = 0; playing.step < script->count; playing.step++) {
            choices = choices_of_seed(script->steps[playing.step]);
            player->take_step(&choices);
        }
    }
    player->end();
    return went_well;
}

static struct script without(const struct script *script, size_t begin, size_t length) {
    struct script shorter = {.seed = script->seed};
    for (size_t i = 0; i < script->count; i++)
        if (i < begin || i >= begin + length)
            shorter.steps[shorter.count++] = script->steps[i];
    return shorter;
}

/* Tries to drop each run of `length` steps. Returns whether it has dropped one. */
static bool drop_runs(const struct player *player, struct script *script, size_t length) {
    bool dropped = false;
    for (size_t at = 0; at + length <= script->count;) {
        struct script shorter = without(script, at, length);
        if (play_script(player, &shorter)) {
            at++;
        } else {
            *script = shorter;
            dropped = true;
        }
    }
    return dropped;
}

void shrink_script(const struct player *player, struct script *script) {
    for (size_t length = script->count / 2; length > 0; length /= 2)
        while (drop_runs(player, script, length)) {
        }
}

void tell_script(const struct player *player, const struct script *script) {
    playing.telling = true;
    bool went_well = play_script(player, script);
    playing.telling = false;
    printf("      %s\n", went_well ? "and all agreed" : playing.failure);
}

static const struct player *current_player;

static void play_seed(struct choices *choices) {
    const struct player *player = current_player;
    struct script script = script_of_seed(player, choices->seed);
    if (play_script(player, &script))
        return;
    printf("seed %llu, step %zu: %s\n", (unsigned long long)script.seed, playing.step,
           playing.failure);
    shrink_script(player, &script);
    printf("The same in %zu steps:\n", script.count);
    tell_script(player, &script);
    printf("replay: SLUICE_SEED=%llu SLUICE_SCRIPTS=1 %s\n", (unsigned long long)script.seed,
           program_invocation_name);
    fail_msg("SLUICE_SEED=%llu", (unsigned long long)script.seed);
}

void expect_found(const struct player *player, size_t most_steps) {
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct script script = script_of_seed(player, seed);
        if (play_script(player, &script))
            continue;
        shrink_script(player, &script);
        tell_script(player, &script);
        assert_in_range(script.count, 1, most_steps);
        return;
    }
    fail_msg("200 scripts did not find it");
}

void play_scripts(const struct player *player, uint64_t count) {
    current_player = player;
    play_seeds(play_seed, count);
}

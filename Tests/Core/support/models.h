/* models.h - the random scripts that are compared with plain models. Each function plays one
 * script, from a seed (test_*_model.c) or from a fuzzer's bytes (Tests/Fuzz). If there are several
 * backends, it plays over the running test's backend. A failure names the seed. */
#ifndef MODELS_H
#define MODELS_H

#include "choices.h"

void play_queue_script(struct choices *choices);
void play_slots_script(struct choices *choices);
void play_timers_script(struct choices *choices);
void play_loop_script(struct choices *choices);

#endif

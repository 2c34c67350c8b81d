/* models.h - the random scripts that are compared with plain models. Each plays one script, of a
 * seed (test_*_model.c) or of a fuzzer's bytes (Tests/Fuzz), over the running test's backend where
 * there are several. A failure names the seed. */
#ifndef MODELS_H
#define MODELS_H

#include "choices.h"

void play_queue_script(struct choices *choices);
void play_slots_script(struct choices *choices);
void play_timers_script(struct choices *choices);
void play_loop_script(struct choices *choices);

#endif

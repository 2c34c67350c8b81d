/* slots_model.c - random scripts on a table of records whose names go stale, compared with plain
 * arrays. Every name that was ever given finds its own record while the record lives, and nothing
 * afterwards, however often the slot was used since. Some records start with a late generation, so
 * that slots run out of generations. In a third of the scripts allocations fail.
 */
#include "base/slots.h"

#include <string.h>

#include "faults.h"
#include "models.h"

enum { STEPS = 200, NAMES = 256 };

struct record {
    struct sluice_slot slot;
    uint64_t content;
};

/* What was given, alive or not. */
struct name {
    bool lives;
    uint32_t index;
    uint32_t generation;
    uint64_t content;
};

struct script {
    struct choices *choices;
    int step;
    bool fails;
    uint32_t limit;
    uint32_t living;
    uint32_t taken; /* slots that cannot be used: of those that live, or worn out */
    uint32_t most_taken;
    size_t name_count;
    struct name names[NAMES];
    struct sluice_slots slots;
};

static void check(const struct script *script, bool holds, const char *what) {
    check_choices(script->choices, script->step, holds, what);
}

static struct record *find(const struct script *script, const struct name *name) {
    return sluice_slots_find(&script->slots, name->index, name->generation);
}

static void begin_one(struct script *script) {
    int code = 1;
    if (script->name_count == NAMES)
        return;
    if (script->fails)
        fail_allocation((long)choose_below(script->choices, 2));
    uint32_t index = sluice_slots_begin(&script->slots, &sluice_libc_allocator, &code);
    bool refused_memory = allocation_has_failed();
    fail_allocation(0);
    if (index == SLUICE_NO_SLOT) {
        check(script, code == SLUICE_EFULL ? script->living == script->limit : refused_memory,
              "refused without need");
        check(script, code == SLUICE_EFULL || code == SLUICE_ENOMEM, "another code");
        return;
    }
    check(script, code == 0 && script->living < script->limit, "begun over the limit");
    struct record *record = sluice_slots_at(&script->slots, index);
    check(script, record->slot.user == 0 && record->slot.own == 0, "a slot that is not new");
    check(script, sluice_slots_index(&script->slots, record) == index, "the index of a record");
    record->content = choose(script->choices);
    script->names[script->name_count++] = (struct name){
        .lives = true,
        .index = index,
        .generation = record->slot.generation,
        .content = record->content,
    };
    script->living++;
    script->taken++;
    if (script->taken > script->most_taken)
        script->most_taken = script->taken;
}

/* A living name, or NULL where another one is met. */
static struct name *choose_name(struct script *script) {
    if (script->name_count == 0)
        return NULL;
    struct name *name = &script->names[choose_below(script->choices, (uint32_t)script->name_count)];
    return name->lives ? name : NULL;
}

/* The slot can be used again, unless that was the last of its generations. */
static void end_one(struct script *script) {
    struct name *name = choose_name(script);
    if (!name)
        return;
    sluice_slots_end(&script->slots, name->index);
    script->living--;
    name->lives = false;
    if (name->generation != UINT32_MAX)
        script->taken--;
}

/* Gives a living record one of the last generations, as if its slot had been used that often. */
static void age_one(struct script *script) {
    struct name *name = choose_name(script);
    uint32_t generation = UINT32_MAX - 2 * choose_below(script->choices, 3);
    if (!name || name->generation >= generation)
        return;
    struct sluice_slot *slot = sluice_slots_at(&script->slots, name->index);
    slot->generation = name->generation = generation;
}

/* A made-up name finds a record only if this name was given. */
static void look_up(struct script *script) {
    const struct name wild = {.index = choose_below(script->choices, script->limit + 2),
                              .generation = choose_below(script->choices, 8)};
    bool is_living = false;
    for (size_t i = 0; i < script->name_count; i++) {
        const struct name *name = &script->names[i];
        is_living |=
            name->lives && name->index == wild.index && name->generation == wild.generation;
    }
    check(script, (find(script, &wild) != NULL) == is_living, "a name that was not given");
}

static void check_all(const struct script *script) {
    for (size_t i = 0; i < script->name_count; i++) {
        const struct name *name = &script->names[i];
        const struct record *record = find(script, name);
        check(script, (record != NULL) == name->lives, "a name, stale or not");
        if (!record)
            continue;
        check(script, record->content == name->content, "another's record");
        check(script, sluice_slot_lives(&record->slot), "what lives");
    }
    check(script, script->slots.living == script->living, "how many live");
    check(script, script->slots.used == script->most_taken, "ended slots are used again");
}

void play_slots_script(struct choices *choices) {
    static struct script script;
    script = (struct script){.choices = choices};
    script.fails = choose_below(choices, 3) == 0;
    script.limit = 1 + choose_below(choices, 80);
    long live_before = live_allocation_count();
    sluice_slots_init(&script.slots, sizeof(struct record), script.limit);
    for (; script.step < STEPS && !choices_are_over(choices); script.step++) {
        uint32_t choice = choose_below(choices, 11);
        if (choice < 5)
            begin_one(&script);
        else if (choice < 9)
            end_one(&script);
        else if (choice < 10)
            age_one(&script);
        else
            look_up(&script);
        check_all(&script);
    }
    sluice_slots_deinit(&script.slots, &sluice_libc_allocator);
    check(&script, live_allocation_count() == live_before, "leak");
}

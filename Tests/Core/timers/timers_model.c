/* timers_model.c - random scripts of the timers, compared with a plain array.
 *
 * A script adds, cancels and resets timers, also from within a turn. It plays turns up to moments
 * of its own choice, and turns of a loop that sleeps until the next deadline. The model finds the
 * next timer to fire by looking at each timer. Each script has a scale of its own, from nanoseconds
 * to centuries.
 */
#include "timers/timers.h"

#include "checks.h"
#include "faults.h"
#include "models.h"

enum { STEPS = 50, PLACES = 24 };

struct model_timer {
    bool live;
    int64_t deadline;
    int64_t repeat;
    uint64_t set; /* when: by count */
    uint64_t user;
    uint32_t index;
    uint32_t generation;
};

struct script {
    struct choices *choices;
    int step;
    int64_t now;
    int64_t scale;
    int places; /* how many timers at most */
    uint64_t sets;
    struct model_timer model[PLACES];
    struct sluice_timers timers;
};

static void check(const struct script *script, bool holds, const char *what) {
    check_choices(script->choices, script->step, holds, what);
}

static uint64_t any(struct script *script) {
    return choose(script->choices);
}

static uint32_t below(struct script *script, uint32_t end) {
    return choose_below(script->choices, end);
}

static int64_t later(int64_t ns, int64_t by) {
    return ns > INT64_MAX - by ? INT64_MAX : ns + by;
}

/* Mostly ahead, often one that another timer has, at times in the past or at an end of time. */
static int64_t any_deadline(struct script *script) {
    const int64_t ends[] = {INT64_MIN, -1, 0, INT64_MAX - 1, INT64_MAX};
    int64_t away = (int64_t)any(script) % script->scale;
    switch (below(script, 16)) {
    case 0:
        return ends[below(script, COUNT_OF(ends))];
    case 1:
        return script->now;
    case 2:
        return script->now - away;
    case 3:
    case 4:
        return script->model[below(script, PLACES)].deadline;
    case 5:
    case 6:
        return later(script->now, away / 1000);
    default:
        return later(script->now, away);
    }
}

/* ---- Steps ------------------------------------------------------------------------------------
 */

static void set(struct script *script, struct model_timer *timer, int64_t deadline) {
    timer->deadline = deadline;
    timer->set = script->sets++;
}

static void add(struct script *script) {
    struct model_timer *timer = &script->model[below(script, (uint32_t)script->places)];
    if (timer->live)
        return;
    set(script, timer, any_deadline(script));
    timer->live = true;
    timer->user = any(script);
    timer->repeat = below(script, 4) ? 0 : 1 + (int64_t)any(script) % script->scale;
    timer->index = sluice_timers_add(&script->timers, timer->deadline, timer->repeat, timer->user);
    check(script, timer->index != SLUICE_NO_TIMER, "add");
    /* Now and then it is the last that its record can be used for. */
    if (below(script, 16) == 0)
        script->timers.records[timer->index].generation = UINT32_MAX;
    timer->generation = sluice_timers_generation(&script->timers, timer->index);
}

static void change(struct script *script) {
    struct model_timer *timer = &script->model[below(script, (uint32_t)script->places)];
    if (!timer->live)
        return;
    if (below(script, 3) == 0) {
        sluice_timers_cancel(&script->timers, timer->index);
        timer->live = false;
        return;
    }
    set(script, timer, any_deadline(script));
    sluice_timers_reset(&script->timers, timer->index, timer->deadline);
}

/* The first to fire of those that were set before `end`, or NULL. */
static struct model_timer *first(struct script *script, uint64_t end) {
    struct model_timer *found = NULL;
    for (size_t i = 0; i < PLACES; i++) {
        struct model_timer *timer = &script->model[i];
        if (timer->live && timer->set < end &&
            (!found || timer->deadline < found->deadline ||
             (timer->deadline == found->deadline && timer->set < found->set)))
            found = timer;
    }
    return found;
}

/* Tells the model that a timer has fired. */
static void fired(struct script *script, struct model_timer *timer) {
    if (timer->repeat == 0) {
        timer->live = false;
        return;
    }
    /* No further than 2^64 apart. */
    uint64_t behind = (uint64_t)script->now - (uint64_t)timer->deadline;
    int64_t last = (int64_t)((uint64_t)script->now - behind % (uint64_t)timer->repeat);
    set(script, timer, later(last, timer->repeat));
}

static void expect_alive(const struct script *script) {
    for (size_t i = 0; i < PLACES; i++) {
        const struct model_timer *timer = &script->model[i];
        check(script,
              timer->generation == 0 || sluice_timers_alive(&script->timers, timer->index,
                                                            timer->generation) == timer->live,
              "alive");
    }
}

/* Returns how many have fired. */
static int play_turn(struct script *script) {
    /* A timer set in the turn, by the caller or by being armed again, has to wait. */
    uint64_t end = script->sets;
    int count = 0;
    for (;; count++) {
        struct model_timer *due = first(script, end);
        bool is_due = due && due->deadline <= script->now && due->deadline < INT64_MAX;
        uint32_t index = sluice_timers_expire(&script->timers, script->now);
        check(script, (index != SLUICE_NO_TIMER) == is_due,
              is_due ? "what is due is not reported" : "reported too early");
        if (!is_due)
            return count;
        check(script, index == due->index, "another one is reported");
        check(script, sluice_timers_user(&script->timers, index) == due->user, "user word");
        fired(script, due);
        for (uint32_t i = below(script, 4); i > 1; i--)
            below(script, 2) ? add(script) : change(script);
    }
}

/* The next deadline is not after the earliest one, and is exact if few are live. */
static int64_t expect_next(struct script *script) {
    const struct model_timer *earliest = first(script, UINT64_MAX);
    int64_t expected = earliest ? earliest->deadline : INT64_MAX;
    int64_t next = sluice_timers_next_deadline(&script->timers);
    check(script, next <= expected, "the next deadline is too late");
    check(script, next == expected || script->places > SLUICE_TIMERS_WALK,
          "the next deadline is not exact");
    check(script, next > script->now || expected <= script->now, "the next deadline is past");
    return next;
}

/* Sleeps until the next deadline, and wakes too early no more than once for each level. */
static void sleep_once(struct script *script) {
    play_turn(script);
    for (int i = 0; i <= SLUICE_LEVELS; i++) {
        int64_t next = expect_next(script);
        if (next == INT64_MAX)
            return;
        if (next > script->now)
            script->now = next;
        if (play_turn(script) > 0)
            return;
    }
    check(script, false, "wakes too early again and again");
}

static void step(struct script *script) {
    switch (below(script, 10)) {
    case 0:
        change(script);
        break;
    case 1:
        script->now = later(script->now, (int64_t)any(script) % script->scale);
        play_turn(script);
        break;
    case 2:
        script->now = later(script->now, (int64_t)any(script) % script->scale / 1000);
        play_turn(script);
        break;
    case 3:
        sleep_once(script);
        break;
    case 4:
        play_turn(script);
        expect_next(script);
        break;
    case 5: /* A clock that goes back is nothing that timers rely on, but neither is it early. */
        if (below(script, 4) == 0)
            script->now -= (int64_t)any(script) % script->scale / 100;
        play_turn(script);
        break;
    default:
        add(script);
    }
    expect_alive(script);
    const char *broken = check_timers(&script->timers);
    check(script, !broken, broken);
}

void play_timers_script(struct choices *choices) {
    static struct script script;
    script = (struct script){.choices = choices};
    script.scale = INT64_C(1) << (1 + below(&script, 62));
    script.now = (int64_t)any(&script) >> below(&script, 63);
    script.places = below(&script, 2) ? PLACES : SLUICE_TIMERS_WALK;
    long live_before = live_allocation_count();
    sluice_timers_init(&script.timers, &sluice_libc_allocator, script.now);
    for (; script.step < STEPS && !choices_are_over(choices); script.step++)
        step(&script);
    sluice_timers_deinit(&script.timers);
    check(&script, live_allocation_count() == live_before, "leak");
}

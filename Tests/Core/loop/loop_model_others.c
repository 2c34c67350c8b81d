/* loop_model_others.c - the timers, watches and posts of the model: see loop_model.h. */
#include "loop_model.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

uint64_t turn(void) {
    sluice_statistics stats = {.size = sizeof stats};
    check(sluice_stats(model.loop, &stats) == 0, "stats");
    return stats.turns;
}

/* Longer than any test takes. */
#define NEVER_NS (INT64_C(3600000) * NS_PER_MS)

/* ---- Timers ------------------------------------------------------------------------------------
 */

static struct timer *timer_of(sluice_id id) {
    for (size_t i = 0; i < TIMERS; i++)
        if (model.timers[i].id == id && id != 0)
            return &model.timers[i];
    return NULL;
}

static bool comes_before(const struct timer *left, const struct timer *right) {
    if (left->deadline != right->deadline)
        return left->deadline < right->deadline;
    return left->order < right->order;
}

void timer_event(const sluice_event *event) {
    struct timer *timer = timer_of(event->id);
    check(timer != NULL, "TIMER of none");
    if (!timer)
        return;
    int64_t now = sluice_now(model.loop);
    check(timer->user == event->user, "the user word of TIMER");
    check(timer->deadline <= now && now <= monotonic_ns(), "TIMER early");
    uint64_t this_turn = turn();
    /* What was set within this turn waits for the next. */
    for (size_t i = 0; i < TIMERS; i++) {
        const struct timer *other = &model.timers[i];
        check(other == timer || other->id == 0 || other->turn >= this_turn ||
                  !comes_before(other, timer),
              "TIMER before an earlier one");
    }
    if (timer->repeat == 0) {
        check(sluice_kind_of(model.loop, timer->id) == SLUICE_ESTALE, "a timer fired and lives");
        timer->id = 0;
        return;
    }
    check(sluice_kind_of(model.loop, timer->id) == SLUICE_KIND_TIMER, "a repeating timer is gone");
    timer->deadline = now - (now - timer->deadline) % timer->repeat + timer->repeat;
    timer->order = ++model.last_order;
    timer->turn = this_turn;
}

static int64_t any_delay(void) {
    if (model.in_lockstep)
        return one_in(2) ? 0 : NEVER_NS;
    return one_in(4) ? 0 : (int64_t)below(one_in(3) ? 5000000 : 200000);
}

void set_timer(void) {
    struct timer *timer = &model.timers[below(TIMERS)];
    if (timer->id != 0)
        return;
    int64_t first = any_delay();
    int64_t repeat = one_in(3) ? 1 + (int64_t)below(300000) : 0;
    if (repeat > 0 && model.in_lockstep)
        repeat = NEVER_NS;
    tell("set a timer for %lld ns, then every %lld", (long long)first, (long long)repeat);
    timer->user = one_in(2) ? ++model.last_user : 0;
    check(sluice_timer(model.loop, &timer->id, first, repeat, timer->user) == 0, "timer");
    timer->deadline = sluice_now(model.loop) + first;
    timer->repeat = repeat;
    timer->order = ++model.last_order;
    timer->turn = turn();
    if (one_in(2)) {
        timer->user = ++model.last_user;
        check(sluice_set_user(model.loop, timer->id, timer->user) == 0, "set_user");
    }
}

void reset_timer(void) {
    struct timer *timer = &model.timers[below(TIMERS)];
    if (timer->id == 0)
        return;
    int64_t first = any_delay();
    tell("reset a timer to %lld ns", (long long)first);
    check(sluice_timer_reset(model.loop, timer->id, first) == 0, "timer_reset");
    timer->deadline = sluice_now(model.loop) + first;
    timer->order = ++model.last_order;
    timer->turn = turn();
}

void cancel_timer(void) {
    struct timer *timer = &model.timers[below(TIMERS)];
    if (timer->id == 0)
        return;
    int code =
        one_in(2) ? sluice_close(model.loop, timer->id) : sluice_abort(model.loop, timer->id);
    tell("cancel a timer");
    check(code == 0, "cancel");
    check(sluice_timer_reset(model.loop, timer->id, 0) == SLUICE_ESTALE, "a cancelled timer");
    timer->id = 0;
}

/* ---- Watches -----------------------------------------------------------------------------------
 */

static uint32_t any_interest(void) {
    uint32_t interest = one_in(2) ? SLUICE_READ : below(8);
    if (model.in_lockstep || strstr(model.backend, "libevent"))
        interest &= ~(uint32_t)SLUICE_PRIORITY; /* refused: see the contract */
    return one_in(4) ? interest | SLUICE_ONE_SHOT : interest;
}

void watch_event(const sluice_event *event) {
    struct watch *watch = NULL;
    for (size_t i = 0; i < WATCHES; i++)
        if (model.watches[i].id == event->id && event->id != 0)
            watch = &model.watches[i];
    check(watch != NULL, "READY of none");
    if (!watch)
        return;
    check(watch->user == event->user, "the user word of READY");
    check(watch->interest != SLUICE_NONE && event->value != 0 &&
              (event->value & (SLUICE_READ | SLUICE_WRITE | SLUICE_PRIORITY) &
               ~(uint64_t)watch->interest) == 0,
          "READY that was not asked for");
    /* One that was gathered before it was armed again leaves it armed. */
    if ((watch->interest & SLUICE_ONE_SHOT) && watch->turn < turn())
        watch->interest = SLUICE_NONE;
}

void start_watch(void) {
    struct watch *watch = &model.watches[below(WATCHES)];
    if (watch->id != 0)
        return;
    struct pair pair = unix_pair();
    watch->near = pair.near;
    watch->far = pair.far;
    watch->interest = any_interest();
    tell("watch %d with the interest %#x", pair.near, watch->interest);
    watch->user = ++model.last_user;
    check(sluice_watch(model.loop, &watch->id, pair.near, watch->interest, watch->user) == 0,
          "watch");
    watch->turn = turn();
    if (one_in(2)) {
        watch->user = ++model.last_user;
        check(sluice_set_user(model.loop, watch->id, watch->user) == 0, "set_user");
    }
}

void change_watch(void) {
    struct watch *watch = &model.watches[below(WATCHES)];
    char byte = 'x';
    if (watch->id == 0)
        return;
    if (one_in(2)) {
        watch->interest = any_interest();
        watch->turn = turn();
        tell("watch it with the interest %#x", watch->interest);
        check(sluice_rewatch(model.loop, watch->id, watch->interest) == 0, "rewatch");
    } else if (one_in(2)) {
        tell("a byte comes to a watched descriptor");
        check(write(watch->far, &byte, 1) == 1, "write");
    } else {
        (void)!read(watch->near, &byte, 1);
    }
}

void end_watch(struct watch *watch) {
    if (watch->id == 0)
        return;
    tell("end a watch");
    check(sluice_close(model.loop, watch->id) == 0, "unwatch");
    check(sluice_rewatch(model.loop, watch->id, SLUICE_READ) == SLUICE_ESTALE, "a stale watch");
    drop(watch->near);
    drop(watch->far);
    watch->id = 0;
}

/* ---- Posts, and what should have come ----------------------------------------------------------
 */

void post_some(void) {
    for (uint32_t count = 1 + below(3); count > 0; count--) {
        tell("post");
        check(sluice_post(model.loop, ++model.posted) == 0, "post");
    }
}

void posted_event(const sluice_event *event) {
    check(event->id == 0 && event->user == 0, "POSTED with an id");
    check(event->value == ++model.posts_seen, "POSTED out of order");
}

void check_others_idle(int64_t pulled_at, uint64_t turn_before) {
    check(model.posts_seen == model.posted, "a post did not come");
    uint64_t timers = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        const struct timer *timer = &model.timers[i];
        timers += timer->id != 0;
        check(timer->id == 0 || timer->turn > turn_before || timer->deadline > pulled_at,
              "a TIMER that was due did not come");
    }
    sluice_statistics stats = {.size = sizeof stats};
    check(sluice_stats(model.loop, &stats) == 0, "stats");
    check(stats.handles[SLUICE_KIND_TIMER] == timers, "the number of timers");
    for (size_t i = 0; i < WATCHES; i++) {
        const struct watch *watch = &model.watches[i];
        struct pollfd look = {.fd = watch->near};
        if (watch->id == 0)
            continue;
        look.events = (short)((watch->interest & SLUICE_READ ? POLLIN : 0) |
                              (watch->interest & SLUICE_WRITE ? POLLOUT : 0));
        check(look.events == 0 || poll(&look, 1, 0) == 0, "a READY did not come");
    }
}

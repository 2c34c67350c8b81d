/* watches.c - watches and timers: the handles to which the loop adds little. */
#include "base/platform.h"

#include "loop/loop.h"

#include "timers/timers_wheel.h"

/* ---- Watches -------------------------------------------------------------------------------- */

int sluice_watch(sluice_loop *loop, sluice_id *id, int fd, uint32_t interest, uint64_t user) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    uint32_t index = sluice_slots_begin(&loop->watches, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    struct sluice_watch *watch = sluice_watch_at(loop, index);
    watch->slot.user = user;
    watch->slot.fd = fd;
    sluice_id made = sluice_id_of(SLUICE_KIND_WATCH, index, watch->slot.generation);
    code = sluice_operations(loop)->attach(loop->engine, fd, made, SLUICE_ROLE_WATCH, interest);
    if (code < 0) {
        sluice_slots_end(&loop->watches, index);
        return code;
    }
    if (id)
        *id = made;
    return 0;
}

int sluice_rewatch(sluice_loop *loop, sluice_id id, uint32_t interest) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    const struct sluice_watch *watch = sluice_find_watch(loop, id);
    if (!watch)
        return sluice_id_refusal(loop, id);
    if (watch->slot.fd < 0)
        return SLUICE_EBADF;
    return sluice_operations(loop)->rewatch(loop->engine, watch->slot.fd, interest);
}

void sluice_watch_end(sluice_loop *loop, struct sluice_watch *watch) {
    if (watch->slot.fd >= 0)
        sluice_operations(loop)->detach(loop->engine, watch->slot.fd);
    sluice_slots_end(&loop->watches, sluice_slots_index(&loop->watches, watch));
}

/* ---- Timers --------------------------------------------------------------------------------- */

/* It is out of line so that sluice_timer, which calls nothing else, saves no registers. */
static SLUICE_NOINLINE int make_free_and_set(sluice_loop *loop, sluice_id *id, int64_t first_ns,
                                             int64_t repeat_ns, uint64_t user) {
    return sluice_timers_make_free(&loop->timers)
               ? sluice_timer(loop, id, first_ns, repeat_ns, user)
               : SLUICE_ENOMEM;
}

int sluice_timer(sluice_loop *loop, sluice_id *id, int64_t first_ns, int64_t repeat_ns,
                 uint64_t user) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (first_ns < 0 || repeat_ns < 0)
        return SLUICE_ETIMEOUT;
    if (loop->living_timers >= loop->handle_limit)
        return SLUICE_EFULL;
    if (sluice_unlikely(!has_free_record(&loop->timers)))
        return make_free_and_set(loop, id, first_ns, repeat_ns, user);
    uint32_t index = take_free_record(&loop->timers);
    loop->living_timers++;
    if (id)
        *id =
            sluice_id_of(SLUICE_KIND_TIMER, index, sluice_timers_generation(&loop->timers, index));
    begin_timer(&loop->timers, index, sluice_moment(loop, first_ns), repeat_ns, user);
    return 0;
}

int sluice_timer_reset(sluice_loop *loop, sluice_id id, int64_t first_ns) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    uint32_t index = sluice_id_index(id);
    if (sluice_id_kind(id) != SLUICE_KIND_TIMER ||
        !sluice_timers_alive(&loop->timers, index, sluice_id_generation(id)))
        return sluice_id_refusal(loop, id);
    if (first_ns < 0)
        return SLUICE_ETIMEOUT;
    reset_timer(&loop->timers, index, sluice_moment(loop, first_ns));
    return 0;
}

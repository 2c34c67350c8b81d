/* handles.c - what can be done with a handle of any kind.
 *
 * A descriptor may be closed behind the loop's back, and its number may come again with a new file.
 * Then the handle that had the number has lost it: it keeps its id, and its number is -1.
 */
#include "base/platform.h"

#include "loop/loop.h"

#include <errno.h>

#include "timers/timers_wheel.h"

/* Streams are found in another way: a stream that has ended keeps its slot until its CLOSED is
 * pulled. */
static const struct sluice_slots *slots_of(const sluice_loop *loop, uint32_t kind) {
    switch (kind) {
    case SLUICE_KIND_WATCH:
        return &loop->watches;
    case SLUICE_KIND_SIGNAL:
        return &loop->signals;
    case SLUICE_KIND_LISTENER:
        return &loop->listeners;
    case SLUICE_KIND_RESOLVE:
        return &loop->resolves;
    default:
        return NULL;
    }
}

static bool is_timer(const sluice_loop *loop, sluice_id id) {
    return sluice_id_kind(id) == SLUICE_KIND_TIMER &&
           sluice_timers_alive(&loop->timers, sluice_id_index(id), sluice_id_generation(id));
}

/* The slot of a living handle that is not a timer, or NULL. */
static struct sluice_slot *find_slot(const sluice_loop *loop, sluice_id id) {
    if (sluice_id_kind(id) == SLUICE_KIND_STREAM) {
        struct sluice_stream *stream = sluice_find_stream(loop, id);
        return stream ? &stream->slot : NULL;
    }
    const struct sluice_slots *slots = slots_of(loop, sluice_id_kind(id));
    if (!slots)
        return NULL;
    return (struct sluice_slot *)sluice_slots_find(slots, sluice_id_index(id),
                                                   sluice_id_generation(id));
}

/* The kind of a living handle, or SLUICE_ESTALE. */
static int kind_of(const sluice_loop *loop, sluice_id id) {
    return is_timer(loop, id) || find_slot(loop, id) ? (int)sluice_id_kind(id) : SLUICE_ESTALE;
}

SLUICE_COLD int sluice_id_refusal(const sluice_loop *loop, sluice_id id) {
    return kind_of(loop, id) < 0 ? SLUICE_ESTALE : SLUICE_EKIND;
}

int sluice_kind_of(const sluice_loop *loop, sluice_id id) {
    int code = sluice_loop_check(loop);
    return code < 0 ? code : kind_of(loop, id);
}

int sluice_user(const sluice_loop *loop, sluice_id id, uint64_t *user) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!user)
        return SLUICE_ENULL;
    if (is_timer(loop, id)) {
        *user = sluice_timers_user(&loop->timers, sluice_id_index(id));
        return 0;
    }
    const struct sluice_slot *slot = find_slot(loop, id);
    if (!slot)
        return SLUICE_ESTALE;
    *user = slot->user;
    return 0;
}

int sluice_set_user(sluice_loop *loop, sluice_id id, uint64_t user) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (is_timer(loop, id)) {
        sluice_timers_set_user(&loop->timers, sluice_id_index(id), user);
        return 0;
    }
    struct sluice_slot *slot = find_slot(loop, id);
    if (!slot)
        return SLUICE_ESTALE;
    slot->user = user;
    return 0;
}

/* Where a handle's record keeps its descriptor, or NULL if its kind has none. A slot is the first
 * member of each kind's record. */
static int *fd_of(void *record, int kind) {
    switch (kind) {
    case SLUICE_KIND_WATCH:
        return &((struct sluice_watch *)record)->slot.fd;
    case SLUICE_KIND_LISTENER:
        return &((struct sluice_listener *)record)->fd;
    case SLUICE_KIND_STREAM:
        return &((struct sluice_stream *)record)->fd;
    default:
        return NULL;
    }
}

int sluice_fd(const sluice_loop *loop, sluice_id id) {
    int kind = sluice_kind_of(loop, id);
    if (kind < 0)
        return kind;
    struct sluice_slot *slot = find_slot(loop, id);
    const int *fd = fd_of(slot, kind);
    if (!fd)
        return SLUICE_EKIND;
    if (*fd >= 0)
        return *fd;
    const struct sluice_stream *stream = (const struct sluice_stream *)(const void *)slot;
    bool has_none_yet = kind == SLUICE_KIND_STREAM && (stream->state & STREAM_CONNECTING);
    return has_none_yet ? SLUICE_ESTATE : SLUICE_EBADF;
}

static SLUICE_COLD void lose_descriptor(sluice_loop *loop, sluice_id id) {
    if (sluice_id_kind(id) == SLUICE_KIND_ATTEMPT) {
        loop->lookups->lose_attempt(loop, sluice_stream_at(loop, sluice_id_index(id)),
                                    sluice_id_generation(id));
        return;
    }
    struct sluice_slot *slot = find_slot(loop, id);
    if (!slot)
        return;
    if (sluice_id_kind(id) == SLUICE_KIND_STREAM)
        sluice_stream_lose_descriptor(loop, (struct sluice_stream *)(void *)slot);
    else if (sluice_id_kind(id) == SLUICE_KIND_LISTENER)
        sluice_listener_lose_descriptor(loop, (struct sluice_listener *)(void *)slot);
    else
        *fd_of(slot, (int)sluice_id_kind(id)) = -1;
}

SLUICE_COLD int sluice_attach_instead(sluice_loop *loop, int fd, sluice_id id,
                                      enum sluice_role role, uint32_t detail) {
    const struct sluice_engine_operations *engine = sluice_operations(loop);
    lose_descriptor(loop, engine->evict(loop->engine, fd));
    return engine->attach(loop->engine, fd, id, role, detail);
}

static int close_stream(sluice_loop *loop, struct sluice_stream *stream) {
    int code = sluice_output_settle(loop, stream);
    return code < 0 ? code : sluice_stream_close(loop, stream);
}

/* Closes anything except a living timer. */
static SLUICE_NOINLINE int close_other(sluice_loop *loop, sluice_id id) {
    void *record = find_slot(loop, id);
    if (!record)
        return SLUICE_ESTALE;
    switch (sluice_id_kind(id)) {
    case SLUICE_KIND_WATCH:
        sluice_watch_end(loop, (struct sluice_watch *)record);
        return 0;
    case SLUICE_KIND_SIGNAL:
        sluice_signal_end(loop, (struct sluice_signal *)record);
        return 0;
    case SLUICE_KIND_LISTENER:
        sluice_listener_end(loop, (struct sluice_listener *)record);
        return 0;
    case SLUICE_KIND_RESOLVE:
        loop->lookups->end_resolve(loop, (struct sluice_resolve *)record);
        return 0;
    default:
        return close_stream(loop, (struct sluice_stream *)record);
    }
}

int sluice_close(sluice_loop *loop, sluice_id id) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    if (!is_timer(loop, id))
        return close_other(loop, id);
    loop->living_timers--;
    cancel_timer(&loop->timers, sluice_id_index(id));
    return 0;
}

int sluice_shutdown(sluice_loop *loop, sluice_id id) {
    int kind = sluice_kind_of(loop, id);
    if (kind < 0)
        return kind;
    if (kind == SLUICE_KIND_STREAM)
        return sluice_output_shutdown(loop, sluice_find_stream(loop, id));
    struct sluice_listener *listener = sluice_find_listener(loop, id);
    return listener ? sluice_listener_drain(loop, listener) : SLUICE_EKIND;
}

int sluice_abort(sluice_loop *loop, sluice_id id) {
    return sluice_abort_with(loop, id, -ECONNABORTED);
}

int sluice_abort_with(sluice_loop *loop, sluice_id id, int error) {
    int kind = sluice_kind_of(loop, id);
    if (kind < 0)
        return kind;
    if (error >= 0)
        return SLUICE_EOPTION;
    if (kind != SLUICE_KIND_STREAM)
        return sluice_close(loop, id);
    sluice_stream_abort(loop, sluice_find_stream(loop, id), error);
    return 0;
}

static int address(const sluice_loop *loop, sluice_id id, char *text, size_t capacity,
                   int (*of_socket)(int, char *, size_t)) {
    int fd = sluice_fd(loop, id);
    if (fd < 0)
        return fd;
    if (sluice_id_kind(id) == SLUICE_KIND_WATCH)
        return SLUICE_EKIND;
    return of_socket(fd, text, capacity);
}

int sluice_local_address(const sluice_loop *loop, sluice_id id, char *text, size_t capacity) {
    return address(loop, id, text, capacity, sluice_socket_local_address);
}

int sluice_peer_address(const sluice_loop *loop, sluice_id id, char *text, size_t capacity) {
    return address(loop, id, text, capacity, sluice_socket_peer_address);
}

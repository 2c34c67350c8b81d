/* torture.c - what the two sides of the torture share: see torture.h. */
#include "torture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

uint32_t side_below(struct side *side, uint32_t end) {
    side->random ^= side->random >> 12;
    side->random ^= side->random << 25;
    side->random ^= side->random >> 27;
    return (uint32_t)((side->random * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % end;
}

static void set_clock(struct side *side, uint32_t index) {
    struct clock *clock = &side->clocks[index];
    int64_t first = side_below(side, 5000000);
    clock->repeat = side_below(side, 2) ? 1000000 + (int64_t)side_below(side, 5000000) : 0;
    uint64_t user = CLOCK_USER + index;
    EXPECT(side, sluice_timer(side->loop, &clock->id, first, clock->repeat, user) == 0);
    clock->deadline = sluice_now(side->loop) + first;
}

void side_open(struct side *side, uint64_t seed, const sluice_options *options) {
    *side = (struct side){.random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    EXPECT(side, sluice_open(&side->loop, options) == 0);
    for (uint32_t i = 0; i < CLOCKS && !side->problem; i++)
        set_clock(side, i);
}

/* Some clocks are set again by their event, and others are reset or replaced by it. */
static void clock_event(struct side *side, const sluice_event *event) {
    uint32_t index = (uint32_t)(event->user - CLOCK_USER);
    struct clock *clock = &side->clocks[index];
    int64_t now = sluice_now(side->loop);
    side->fired++;
    /* Cancelled or reset by an event before it in one batch. */
    if (event->id != clock->id || clock->deadline > now)
        return;
    if (clock->repeat == 0)
        set_clock(side, index);
    else
        clock->deadline = now - (now - clock->deadline) % clock->repeat + clock->repeat;
    uint32_t other = side_below(side, CLOCKS);
    if (other == index)
        return;
    EXPECT(side, sluice_close(side->loop, side->clocks[other].id) <= 0);
    set_clock(side, other);
}

static void post_event(struct side *side, uint64_t value) {
    if (value == STOP_WORD) {
        side->stopped = true;
        return;
    }
    uint64_t thread = value >> 32;
    EXPECT(side, thread < POSTERS);
    if (thread < POSTERS)
        EXPECT(side, (value & UINT32_MAX) == ++side->posts[thread]);
    side->post_count++;
    /* Any event may be what ends a connection, a post too. */
    if (side->count == 0 || side_below(side, 500) > 0)
        return;
    struct connection *connection = &side->connections[side_below(side, (uint32_t)side->count)];
    if (connection->wild && connection->alive)
        side_end(side, connection);
}

void side_pull(struct side *side, void (*handle)(struct side *, const sluice_event *)) {
    sluice_event events[BATCH_MOST];
    int capacity = side_below(side, 2) ? 1 : 1 + (int)side_below(side, BATCH_MOST);
    int count = sluice_next_many(side->loop, events, capacity, 100 * NS_PER_MS);
    EXPECT(side, count >= 0);
    for (int i = 0; i < count; i++) {
        const sluice_event *event = &events[i];
        if (event->kind == SLUICE_POSTED)
            post_event(side, event->value);
        else if (event->kind == SLUICE_TIMER && event->user >= CLOCK_USER)
            clock_event(side, event);
        else
            handle(side, event);
    }
}

void side_close(struct side *side) {
    sluice_statistics stats = {.size = sizeof stats};
    size_t written = 0;
    size_t received = 0;
    if (!side->loop)
        return;
    for (size_t i = 0; i < side->count; i++) {
        written += side->connections[i].written;
        received += side->connections[i].received;
    }
    EXPECT(side, sluice_stats(side->loop, &stats) == 0);
    EXPECT(side, stats.bytes_sent == written - side->unsent);
    EXPECT(side, stats.bytes_received >= received);
    EXPECT(side, stats.handles[SLUICE_KIND_STREAM] == 0);
    EXPECT(side, stats.handles[SLUICE_KIND_TIMER] >= CLOCKS);
    EXPECT(side, stats.queue_memory == 0);
    EXPECT(side, side->closed == side->count);
    EXPECT(side, side->fired >= CLOCKS / 2);
    EXPECT(side, sluice_destroy(side->loop) == 0);
}

/* What a batch still has of a stream that an event before it has ended goes into the void. */
void side_call(struct side *side, const struct connection *connection, int code) {
    EXPECT(side, code >= 0 ||
                     (code == SLUICE_ESTALE && (connection->aborted || connection->wild)) ||
                     (code == -EPIPE && connection->closing) ||
                     ((code == -EPIPE || code == -ECONNRESET) && connection->wild));
}

/* Closes, aborts or resets. */
void side_end(struct side *side, struct connection *connection) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    uint32_t choice = side_below(side, 3);
    if (choice == 0) {
        side_call(side, connection, sluice_close(side->loop, connection->id));
        connection->closing = true;
        return;
    }
    int fd = sluice_fd(side->loop, connection->id);
    if (fd < 0)
        return;
    if (choice == 1)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    side_call(side, connection, sluice_abort(side->loop, connection->id));
    connection->aborted = true;
}

void side_closed(struct side *side, struct connection *connection, const sluice_event *event) {
    EXPECT(side, connection->alive);
    connection->alive = false;
    side->closed++;
    side->unsent += event->length;
    EXPECT(side, event->length <= connection->written);
    EXPECT(side, event->error != -ECONNABORTED || connection->aborted);
    EXPECT(side, !connection->aborted || event->error == -ECONNABORTED);
    if (!connection->wild)
        EXPECT(side, event->error == 0 && event->length == 0);
    else
        EXPECT(side, event->error == 0 || event->error == -ECONNRESET || event->error == -EPIPE ||
                         event->error == -ECONNABORTED);
}

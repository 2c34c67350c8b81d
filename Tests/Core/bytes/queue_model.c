/* queue_model.c - random scripts on three public byte queues, compared with plain arrays after each
 * step, and their invariants checked. In a third of the scripts allocations fail. */
#include "bytes/queue.h"

#include "models.h"

#include <string.h>

#include "checks.h"
#include "faults.h"

#define CHUNK ((size_t)4096)
#define MOST (12 * CHUNK)

enum { QUEUES = 3, STEPS = 200 };

/* A queue and the bytes that it should have. */
struct modelled {
    sluice_queue *queue;
    size_t limit;
    size_t length;
    unsigned char bytes[2 * MOST];
};

struct script {
    struct choices *choices;
    int step;
    bool fails; /* allocations may */
    unsigned char next_byte;
    struct modelled queues[QUEUES];
};

static void check(const struct script *script, bool holds, const char *what) {
    check_choices(script->choices, script->step, holds, what);
}

static size_t below(struct script *script, size_t end) {
    return choose_below(script->choices, (uint32_t)end);
}

/* Lengths as they occur: small ones, those near the size of a chunk, and any. */
static size_t any_length(struct script *script) {
    switch (below(script, 4)) {
    case 0:
        return below(script, 100);
    case 1:
        return CHUNK * below(script, 4) + below(script, 3);
    case 2:
        return CHUNK * (1 + below(script, 3)) - below(script, 3);
    default:
        return below(script, 3 * CHUNK);
    }
}

/* Refused rightly: the limit is near, or memory was made to run out. */
static void check_refusal(const struct script *script, const struct modelled *to, size_t length,
                          ptrdiff_t code) {
    if (code == SLUICE_EFULL)
        check(script, to->limit > 0 && to->length + length + 2 * CHUNK > to->limit / 4,
              "refused without need");
    else
        check(script, code == SLUICE_ENOMEM && script->fails, "refused");
}

static void append_some(struct script *script, struct modelled *to) {
    size_t length = any_length(script);
    unsigned char *bytes = to->bytes + to->length;
    if (to->length + length > MOST)
        return;
    for (size_t i = 0; i < length; i++)
        bytes[i] = script->next_byte++;
    int code = sluice_queue_append(to->queue, bytes, length);
    if (code == 0)
        to->length += length;
    else
        check_refusal(script, to, length, code);
}

static void write_some(struct script *script, struct modelled *to) {
    size_t at_least = 1 + below(script, SLUICE_QUEUE_RESERVE_MAX);
    void *room;
    size_t size;
    if (to->length + CHUNK > MOST)
        return;
    int code = sluice_queue_reserve(to->queue, at_least, &room, &size);
    if (code < 0) {
        check_refusal(script, to, at_least, code);
        return;
    }
    check(script, size >= at_least, "reserved too little");
    if (below(script, 4) == 0)
        return; /* given up without a word */
    size_t length = below(script, at_least + 1);
    for (size_t i = 0; i < length; i++)
        to->bytes[to->length + i] = ((unsigned char *)room)[i] = script->next_byte++;
    to->length += length;
    check(script, sluice_queue_commit(to->queue, length) == 0, "commit");
}

static void take_away(struct modelled *from, size_t length) {
    from->length -= length;
    memmove(from->bytes, from->bytes + length, from->length);
}

static void consume_some(struct script *script, struct modelled *from) {
    size_t length = any_length(script);
    int code = sluice_queue_consume(from->queue, length);
    check(script, code == (length > from->length ? SLUICE_ECAPACITY : 0), "consume");
    if (code == 0)
        take_away(from, length);
}

static void move_some(struct script *script, struct modelled *to, struct modelled *from) {
    size_t most = below(script, 3) ? any_length(script) : SIZE_MAX;
    size_t length = most < from->length ? most : from->length;
    if (to != from && to->length + length > MOST)
        return;
    ptrdiff_t moved = sluice_queue_move(to->queue, from->queue, most);
    if (moved < 0) {
        check_refusal(script, to, length, moved);
        return;
    }
    check(script, moved == (to == from ? 0 : (ptrdiff_t)length), "moved another number");
    if (to == from)
        return;
    memcpy(to->bytes + to->length, from->bytes, length);
    to->length += length;
    take_away(from, length);
}

/* The queue's bytes, copied out slice by slice. */
static size_t read_out(const sluice_queue *queue, unsigned char *bytes) {
    static sluice_slice slices[512];
    int count = sluice_queue_peek(queue, slices, (int)COUNT_OF(slices));
    size_t length = 0;
    for (int i = 0; i < count && slices[i].length <= MOST - length; i++) {
        memcpy(bytes + length, slices[i].bytes, slices[i].length);
        length += slices[i].length;
    }
    return length;
}

static void check_all(const struct script *script) {
    static unsigned char bytes[MOST];
    for (size_t i = 0; i < QUEUES; i++) {
        const struct modelled *queue = &script->queues[i];
        check(script, check_queue(queue->queue), "an invariant");
        size_t length = read_out(queue->queue, bytes);
        check(script, length == queue->length, "length");
        check(script, memcmp(bytes, queue->bytes, length) == 0, "bytes");
    }
}

static void take_step(struct script *script) {
    struct modelled *queue = &script->queues[below(script, QUEUES)];
    if (script->fails)
        fail_allocation((long)below(script, 3));
    size_t choice = below(script, 10);
    if (choice < 3)
        append_some(script, queue);
    else if (choice < 5)
        write_some(script, queue);
    else if (choice < 7)
        consume_some(script, queue);
    else
        move_some(script, queue, &script->queues[below(script, QUEUES)]);
    fail_allocation(0);
}

void play_queue_script(struct choices *choices) {
    static struct script script;
    script.choices = choices;
    script.step = 0;
    script.fails = below(&script, 3) == 0;
    long live_before = live_allocation_count();
    for (size_t i = 0; i < QUEUES; i++) {
        struct modelled *queue = &script.queues[i];
        queue->length = 0;
        queue->limit = i == 0 ? 0 : (1 + below(&script, 12)) * CHUNK;
        assert_int_equal(sluice_queue_init(&queue->queue, queue->limit), 0);
    }
    for (; script.step < STEPS && !choices_are_over(choices); script.step++) {
        take_step(&script);
        check_all(&script);
    }
    for (size_t i = 0; i < QUEUES; i++)
        sluice_queue_destroy(script.queues[i].queue);
    check(&script, live_allocation_count() == live_before, "leak");
}

/* test_queue.c - the public byte queue: what it promises and what it refuses. */
#include "support.h"

#include <string.h>
#include <sys/uio.h>

#include "faults.h"

#define CHUNK ((size_t)4096)

static sluice_queue *make(size_t limit) {
    sluice_queue *queue;
    assert_int_equal(sluice_queue_init(&queue, limit), 0);
    return queue;
}

/* The queue's bytes, copied out by slices. */
static size_t read_out(const sluice_queue *queue, unsigned char *bytes, size_t capacity) {
    static sluice_slice slices[512];
    int count = sluice_queue_peek(queue, slices, (int)COUNT_OF(slices));
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        assert_true(slices[i].length > 0 && slices[i].length <= capacity - length);
        memcpy(bytes + length, slices[i].bytes, slices[i].length);
        length += slices[i].length;
    }
    assert_int_equal(length, sluice_queue_length(queue));
    return length;
}

static void expect_text(const sluice_queue *queue, const char *text) {
    unsigned char bytes[256];
    assert_int_equal(read_out(queue, bytes, sizeof bytes), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void bytes_in_order(void) {
    sluice_queue *queue = make(0);
    expect_text(queue, "");
    assert_int_equal(sluice_queue_append(queue, "one ", 4), 0);
    assert_int_equal(sluice_queue_append(queue, NULL, 0), 0);
    assert_int_equal(sluice_queue_append(queue, "two", 3), 0);
    expect_text(queue, "one two");
    assert_int_equal(sluice_queue_consume(queue, 4), 0);
    expect_text(queue, "two");
    assert_int_equal(sluice_queue_consume(queue, 3), 0);
    expect_text(queue, "");
    sluice_queue_destroy(queue);
}

static void own_bytes(void) {
    static unsigned char bytes[8 * CHUNK];
    sluice_queue *queue = make(0);
    sluice_slice slice;
    for (unsigned char i = 0; i < 250; i++)
        assert_int_equal(sluice_queue_append(queue, &i, 1), 0);
    for (size_t length = 250; length < CHUNK; length *= 2) {
        assert_int_equal(sluice_queue_peek(queue, &slice, 1), 1);
        assert_int_equal(sluice_queue_append(queue, slice.bytes, slice.length), 0);
    }
    size_t length = read_out(queue, bytes, sizeof bytes);
    assert_true(length > CHUNK);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(bytes[i], i % 250);
    sluice_queue_destroy(queue);
}

static void slices_are_iovecs(void) {
    sluice_queue *queue = make(0);
    sluice_slice slice;
    struct iovec iov;
    assert_int_equal(sluice_queue_append(queue, "bytes", 5), 0);
    assert_int_equal(sluice_queue_peek(queue, &slice, 1), 1);
    memcpy(&iov, &slice, sizeof iov);
    struct pair pair = pipe_pair();
    assert_int_equal(writev(pair.far, &iov, 1), 5);
    sluice_queue_destroy(queue);
}

static void reservations(void) {
    sluice_queue *queue = make(0);
    void *bytes;
    size_t room;
    assert_int_equal(sluice_queue_commit(queue, 0), 0);
    assert_int_equal(sluice_queue_commit(queue, 1), SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_reserve(queue, SLUICE_QUEUE_RESERVE_MAX, &bytes, &room), 0);
    assert_true(room >= SLUICE_QUEUE_RESERVE_MAX);
    assert_int_equal(sluice_queue_length(queue), 0);
    memcpy(bytes, "written", 7);
    assert_int_equal(sluice_queue_commit(queue, room + 1), SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_commit(queue, SIZE_MAX), SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_commit(queue, 7), 0);
    expect_text(queue, "written");
    /* It is over now, though there is room. */
    assert_int_equal(sluice_queue_commit(queue, 1), SLUICE_ECAPACITY);
    sluice_queue_destroy(queue);
}

/* Nothing that was never written can become bytes of the queue. */
static void other_calls_end_reservations(void) {
    sluice_queue *queue = make(0);
    sluice_queue *other = make(0);
    void *bytes;
    size_t room;
    for (int call = 0; call < 5; call++) {
        assert_int_equal(sluice_queue_append(queue, "ab", 2), 0);
        assert_int_equal(sluice_queue_append(other, "cd", 2), 0);
        assert_int_equal(sluice_queue_reserve(queue, 1, &bytes, &room), 0);
        if (call == 0)
            assert_int_equal(sluice_queue_append(queue, "x", 1), 0);
        else if (call == 1)
            assert_int_equal(sluice_queue_consume(queue, 1), 0);
        else if (call == 2)
            assert_int_equal(sluice_queue_move(queue, other, 1), 1);
        else if (call == 3)
            assert_int_equal(sluice_queue_move(other, queue, SIZE_MAX) > 0, 1);
        else
            assert_int_equal(sluice_queue_reserve(queue, 0, &bytes, &room), SLUICE_ECAPACITY);
        assert_int_equal(sluice_queue_commit(queue, 1), SLUICE_ECAPACITY);
    }
    sluice_queue_destroy(other);
    sluice_queue_destroy(queue);
}

static void the_limit(void) {
    static const char block[4 * CHUNK];
    sluice_queue *queue = make(3 * CHUNK);
    sluice_queue *other = make(0);
    void *bytes;
    size_t room;
    assert_int_equal(sluice_queue_append(queue, block, 3 * CHUNK + 1), SLUICE_EFULL);
    assert_int_equal(sluice_queue_length(queue), 0);
    assert_int_equal(sluice_queue_append(queue, block, 3 * CHUNK), 0);
    assert_int_equal(sluice_queue_append(queue, block, 1), SLUICE_EFULL);
    assert_int_equal(sluice_queue_reserve(queue, 1, &bytes, &room), SLUICE_EFULL);
    assert_null(bytes);
    assert_int_equal(room, 0);
    assert_int_equal(sluice_queue_append(other, block, 4 * CHUNK), 0);
    assert_int_equal(sluice_queue_move(queue, other, 1), SLUICE_EFULL);
    assert_int_equal(sluice_queue_consume(queue, CHUNK), 0);
    assert_int_equal(sluice_queue_move(queue, other, SIZE_MAX), SLUICE_EFULL);
    assert_int_equal(sluice_queue_move(queue, other, CHUNK + 1), SLUICE_EFULL);
    assert_int_equal(sluice_queue_length(queue), 2 * CHUNK);
    assert_int_equal(sluice_queue_length(other), 4 * CHUNK);
    assert_int_equal(sluice_queue_move(queue, other, CHUNK), CHUNK);
    assert_int_equal(sluice_queue_append(queue, block, 1), SLUICE_EFULL);
    /* What left `other` is no longer on its account, and the other way round. */
    assert_int_equal(sluice_queue_move(other, queue, SIZE_MAX), 3 * CHUNK);
    assert_int_equal(sluice_queue_append(queue, block, 3 * CHUNK), 0);
    sluice_queue_destroy(other);
    sluice_queue_destroy(queue);
}

static void refusals(void) {
    sluice_queue *queue = make(1);
    sluice_slice slice;
    void *bytes;
    size_t room;
    assert_int_equal(sluice_queue_init(NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_queue_append(NULL, "", 1), SLUICE_ENULL);
    assert_int_equal(sluice_queue_append(queue, NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_queue_append(queue, "", SIZE_MAX), SLUICE_ENOMEM);
    assert_int_equal(sluice_queue_append(queue, "", PTRDIFF_MAX), SLUICE_EFULL);
    assert_int_equal(sluice_queue_reserve(NULL, 1, &bytes, &room), SLUICE_ENULL);
    assert_int_equal(sluice_queue_reserve(queue, 1, NULL, &room), SLUICE_ENULL);
    assert_int_equal(sluice_queue_reserve(queue, 1, &bytes, NULL), SLUICE_ENULL);
    assert_int_equal(sluice_queue_reserve(queue, SLUICE_QUEUE_RESERVE_MAX + 1, &bytes, &room),
                     SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_reserve(queue, SIZE_MAX, &bytes, &room), SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_commit(NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_queue_peek(NULL, &slice, 1), SLUICE_ENULL);
    assert_int_equal(sluice_queue_peek(queue, NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_queue_peek(queue, &slice, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_consume(NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_queue_append(queue, "abc", 3), 0);
    assert_int_equal(sluice_queue_consume(queue, 4), SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_consume(queue, SIZE_MAX), SLUICE_ECAPACITY);
    assert_int_equal(sluice_queue_move(NULL, queue, 1), SLUICE_ENULL);
    assert_int_equal(sluice_queue_move(queue, NULL, 1), SLUICE_ENULL);
    assert_int_equal(sluice_queue_move(queue, queue, SIZE_MAX), 0);
    expect_text(queue, "abc");
    assert_int_equal(sluice_queue_length(NULL), 0);
    sluice_queue_destroy(NULL);
    sluice_queue_destroy(queue);
}

/* ---- Memory ------------------------------------------------------------------------------------
 */

static void no_memory_for_a_queue(void) {
    sluice_queue *queue = (sluice_queue *)&queue;
    long live_before = live_allocation_count();
    fail_allocation(1);
    assert_int_equal(sluice_queue_init(&queue, 0), SLUICE_ENOMEM);
    assert_null(queue);
    assert_int_equal(live_allocation_count(), live_before);
}

static void empty_queues_hold_little(void) {
    static const char block[32 * CHUNK];
    sluice_queue *queue = make(0);
    long live_before = live_allocation_count();
    assert_int_equal(sluice_queue_append(queue, block, sizeof block), 0);
    assert_int_equal(live_allocation_count() - live_before, 32);
    assert_int_equal(sluice_queue_consume(queue, sizeof block), 0);
    assert_int_equal(live_allocation_count() - live_before, 16);
    long count = allocation_count();
    assert_int_equal(sluice_queue_append(queue, block, 16 * CHUNK), 0);
    assert_int_equal(allocation_count(), count);
    sluice_queue_destroy(queue);
    assert_int_equal(live_allocation_count(), live_before - 1);
}

int main(void) {
    static const struct test tests[] = {
        {"bytes come out in the order they went in", bytes_in_order, NULL},
        {"a queue's own bytes can be appended to it", own_bytes, NULL},
        {"a slice is an iovec", slices_are_iovecs, NULL},
        {"a commit takes what was reserved and no more", reservations, NULL},
        {"other calls end a reservation", other_calls_end_reservations, NULL},
        {"over the limit nothing is taken", the_limit, NULL},
        {"refusals change nothing", refusals, NULL},
        {"no memory for a queue", no_memory_for_a_queue, NULL},
        {"a queue keeps 64 KiB for reuse, and all of it ends with it", empty_queues_hold_little,
         NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

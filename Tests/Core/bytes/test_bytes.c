/* test_bytes.c - the queue of chunks that each stream has, from inside. */
#include "bytes/queue.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "faults.h"

#define ROOM ((size_t)SLUICE_CHUNK_ROOM)

#define LONGEST (5 * ROOM)

enum { RETAINED = 4 };

static unsigned char pattern[2 * LONGEST];

static struct sluice_chunk_pool make_pool(size_t limit_chunks) {
    struct sluice_chunk_pool pool;
    sluice_chunk_pool_init(&pool, &sluice_libc_allocator, limit_chunks * ROOM, RETAINED);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)(i * 31 + i / 251);
    return pool;
}

/* As a public queue does. */
static ptrdiff_t move_bytes(struct sluice_chunk_pool *pool, struct sluice_bytes *to,
                            struct sluice_bytes *from, size_t most) {
    if (most < from->length)
        return sluice_bytes_move_part(pool, to, from, most);
    return from->length > 0 ? sluice_bytes_join(pool, to, from) : 0;
}

/* The queue has exactly `length` bytes from `bytes` on, in as many pieces as it likes. */
static void expect_bytes(const struct sluice_bytes *queue, const unsigned char *bytes,
                         size_t length) {
    static struct iovec iov[512];
    assert_true(check_bytes(queue));
    assert_int_equal(queue->length, length);
    int count = sluice_bytes_peek(queue, iov, (int)COUNT_OF(iov), SIZE_MAX);
    size_t seen = 0;
    for (int i = 0; i < count; i++) {
        assert_true(iov[i].iov_len > 0 && iov[i].iov_len <= length - seen);
        assert_memory_equal(iov[i].iov_base, bytes + seen, iov[i].iov_len);
        seen += iov[i].iov_len;
    }
    assert_int_equal(seen, length);
}

static void end_pool(struct sluice_chunk_pool *pool) {
    assert_int_equal(sluice_chunk_pool_in_use(pool), 0);
    sluice_chunk_pool_deinit(pool);
    assert_int_equal(pool->allocated, 0);
}

/* ---- The queue ---------------------------------------------------------------------------------
 */

static const size_t lengths[] = {
    0, 1, 2, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 1, 3 * ROOM - 1, LONGEST};

/* Appends in two parts, and consumes in two, of each pair of lengths. */
static void appends_and_consumes(void) {
    struct sluice_chunk_pool pool = make_pool(0);
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        for (size_t j = 0; j < COUNT_OF(lengths); j++) {
            struct sluice_bytes queue = {NULL, NULL, 0};
            size_t all = lengths[i] + lengths[j];
            assert_int_equal(sluice_bytes_append(&pool, &queue, pattern, lengths[i]), 0);
            assert_int_equal(sluice_bytes_append(&pool, &queue, pattern + lengths[i], lengths[j]),
                             0);
            expect_bytes(&queue, pattern, all);
            assert_int_equal(sluice_chunk_pool_in_use(&pool), (all + ROOM - 1) / ROOM);
            sluice_bytes_consume(&pool, &queue, lengths[j]);
            expect_bytes(&queue, pattern + lengths[j], lengths[i]);
            sluice_bytes_consume(&pool, &queue, lengths[i]);
            expect_bytes(&queue, pattern, 0);
            assert_int_equal(sluice_chunk_pool_in_use(&pool), 0);
        }
    end_pool(&pool);
}

static void peeks(void) {
    struct sluice_chunk_pool pool = make_pool(0);
    struct sluice_bytes queue = {NULL, NULL, 0};
    struct iovec iov[4];
    assert_int_equal(sluice_bytes_peek(&queue, iov, 4, SIZE_MAX), 0);
    assert_int_equal(sluice_bytes_append(&pool, &queue, pattern, 3 * ROOM), 0);
    assert_int_equal(sluice_bytes_peek(&queue, iov, 4, 0), 0);
    assert_int_equal(sluice_bytes_peek(&queue, iov, 0, SIZE_MAX), 0);
    assert_int_equal(sluice_bytes_peek(&queue, iov, 2, SIZE_MAX), 2);
    assert_int_equal(sluice_bytes_peek(&queue, iov, 4, SIZE_MAX), 3);
    assert_int_equal(sluice_bytes_peek(&queue, iov, 4, ROOM), 1);
    assert_int_equal(sluice_bytes_peek(&queue, iov, 4, ROOM + 1), 2);
    assert_int_equal(iov[0].iov_len, ROOM);
    assert_int_equal(iov[1].iov_len, 1);
    sluice_bytes_clear(&pool, &queue);
    end_pool(&pool);
}

static void reserves(void) {
    struct sluice_chunk_pool pool = make_pool(2);
    struct sluice_bytes queue = {NULL, NULL, 0};
    void *bytes;
    size_t room;
    assert_int_equal(sluice_bytes_reserve(&pool, &queue, 1, &bytes, &room), 0);
    assert_int_equal(room, ROOM);
    /* Empty in spite of its chunk, which a clear gives back. */
    expect_bytes(&queue, pattern, 0);
    sluice_bytes_clear(&pool, &queue);
    assert_null(queue.first);
    assert_int_equal(sluice_bytes_reserve(&pool, &queue, ROOM, &bytes, &room), 0);
    memcpy(bytes, pattern, 10);
    sluice_bytes_commit(&queue, 10);
    expect_bytes(&queue, pattern, 10);
    /* As little as is asked for comes from the chunk that there is. */
    assert_int_equal(sluice_bytes_reserve(&pool, &queue, ROOM - 10, &bytes, &room), 0);
    assert_int_equal(room, ROOM - 10);
    assert_int_equal(sluice_chunk_pool_in_use(&pool), 1);
    assert_int_equal(sluice_bytes_reserve(&pool, &queue, ROOM - 9, &bytes, &room), 0);
    assert_int_equal(room, ROOM);
    expect_bytes(&queue, pattern, 10);
    /* An append uses what was reserved in vain. */
    assert_int_equal(sluice_bytes_append(&pool, &queue, pattern + 10, 7), 0);
    expect_bytes(&queue, pattern, 17);
    assert_int_equal(sluice_bytes_reserve(&pool, &queue, ROOM, &bytes, &room), SLUICE_EFULL);
    expect_bytes(&queue, pattern, 17);
    sluice_bytes_clear(&pool, &queue);
    end_pool(&pool);
}

/* Every part of every length, moved behind every other length. */
static void moves(void) {
    struct sluice_chunk_pool pool = make_pool(0);
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        for (size_t j = 0; j < COUNT_OF(lengths); j++)
            for (size_t k = 0; k < COUNT_OF(lengths); k++) {
                struct sluice_bytes to = {NULL, NULL, 0};
                struct sluice_bytes from = {NULL, NULL, 0};
                size_t moved = lengths[k] < lengths[j] ? lengths[k] : lengths[j];
                const unsigned char *behind = pattern + lengths[i];
                assert_int_equal(sluice_bytes_append(&pool, &to, pattern, lengths[i]), 0);
                assert_int_equal(sluice_bytes_append(&pool, &from, behind, lengths[j]), 0);
                assert_int_equal(move_bytes(&pool, &to, &from, lengths[k]), moved);
                expect_bytes(&to, pattern, lengths[i] + moved);
                expect_bytes(&from, behind + moved, lengths[j] - moved);
                sluice_bytes_clear(&pool, &to);
                sluice_bytes_clear(&pool, &from);
            }
    end_pool(&pool);
}

static void moves_without_a_copy(void) {
    struct sluice_chunk_pool pool = make_pool(0);
    struct sluice_bytes to = {NULL, NULL, 0};
    struct sluice_bytes from = {NULL, NULL, 0};
    assert_int_equal(sluice_bytes_append(&pool, &to, pattern, 10), 0);
    assert_int_equal(sluice_bytes_append(&pool, &from, pattern + 10, 3 * ROOM), 0);
    struct iovec before[3];
    struct iovec after[4];
    assert_int_equal(sluice_bytes_peek(&from, before, 3, SIZE_MAX), 3);
    long count = allocation_count();
    assert_int_equal(move_bytes(&pool, &to, &from, 2 * ROOM), 2 * ROOM);
    assert_int_equal(move_bytes(&pool, &to, &from, SIZE_MAX), ROOM);
    assert_int_equal(allocation_count(), count);
    assert_int_equal(sluice_bytes_peek(&to, after, 4, SIZE_MAX), 4);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(after[i + 1].iov_base, before[i].iov_base);
    sluice_bytes_clear(&pool, &to);
    end_pool(&pool);
}

static void small_moves_share_chunks(void) {
    struct sluice_chunk_pool pool = make_pool(0);
    struct sluice_bytes to = {NULL, NULL, 0};
    struct sluice_bytes from = {NULL, NULL, 0};
    enum { SMALL = 64, COUNT = 10 * SLUICE_CHUNK_ROOM / SMALL };
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(sluice_bytes_append(&pool, &from, pattern, SMALL), 0);
        assert_int_equal(move_bytes(&pool, &to, &from, SIZE_MAX), SMALL);
    }
    assert_true(check_bytes(&to));
    assert_int_equal(sluice_chunk_pool_in_use(&pool), 10);
    sluice_bytes_clear(&pool, &to);
    end_pool(&pool);
}

static void moves_behind_a_reservation(void) {
    struct sluice_chunk_pool pool = make_pool(0);
    struct sluice_bytes to = {NULL, NULL, 0};
    struct sluice_bytes from = {NULL, NULL, 0};
    void *bytes;
    size_t room;
    for (size_t length = 0; length <= 3000; length += 3000) {
        assert_int_equal(sluice_bytes_append(&pool, &to, pattern, length), 0);
        assert_int_equal(sluice_bytes_reserve(&pool, &to, ROOM, &bytes, &room), 0);
        assert_int_equal(sluice_bytes_append(&pool, &from, pattern + length, ROOM + 7), 0);
        assert_int_equal(sluice_bytes_reserve(&pool, &from, ROOM, &bytes, &room), 0);
        assert_int_equal(move_bytes(&pool, &to, &from, SIZE_MAX), ROOM + 7);
        expect_bytes(&to, pattern, length + ROOM + 7);
        expect_bytes(&from, pattern, 0);
        sluice_bytes_clear(&pool, &to);
    }
    end_pool(&pool);
}

static void refuses_huge_lengths(void) {
    struct sluice_chunk_pool unbounded = make_pool(0);
    struct sluice_chunk_pool bounded = make_pool(3);
    struct sluice_bytes queue = {NULL, NULL, 0};
    const size_t huge[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - ROOM, (size_t)PTRDIFF_MAX + 1};
    for (size_t filled = 0; filled < 2; filled++) {
        for (size_t i = 0; i < COUNT_OF(huge); i++)
            assert_int_equal(sluice_bytes_append(&unbounded, &queue, pattern, huge[i]),
                             SLUICE_ENOMEM);
        expect_bytes(&queue, pattern, filled);
        sluice_bytes_clear(&unbounded, &queue);
        assert_int_equal(sluice_bytes_append(&unbounded, &queue, pattern, 1), 0);
    }
    sluice_bytes_clear(&unbounded, &queue);
    long count = allocation_count();
    assert_int_equal(sluice_bytes_append(&bounded, &queue, pattern, PTRDIFF_MAX), SLUICE_EFULL);
    assert_int_equal(sluice_bytes_append(&bounded, &queue, pattern, 3 * ROOM + 1), SLUICE_EFULL);
    assert_int_equal(allocation_count(), count);
    assert_int_equal(sluice_bytes_append(&bounded, &queue, pattern, 3 * ROOM), 0);
    sluice_bytes_clear(&bounded, &queue);
    end_pool(&unbounded);
    end_pool(&bounded);
}

/* ---- Out of memory -----------------------------------------------------------------------------
 */

/* One of each call that allocates, tried again where it fails. */
static void grow(struct sluice_chunk_pool *pool) {
    struct sluice_bytes to = {NULL, NULL, 0};
    struct sluice_bytes from = {NULL, NULL, 0};
    void *bytes;
    size_t room;
    if (sluice_bytes_append(pool, &from, pattern, LONGEST) != 0) {
        expect_bytes(&from, pattern, 0);
        assert_int_equal(sluice_chunk_pool_in_use(pool), 0);
        assert_int_equal(sluice_bytes_append(pool, &from, pattern, LONGEST), 0);
    }
    const size_t parts[] = {ROOM / 2, 2 * ROOM};
    size_t moved = 0;
    for (size_t i = 0; i < COUNT_OF(parts); moved += parts[i++])
        if (move_bytes(pool, &to, &from, parts[i]) != (ptrdiff_t)parts[i]) {
            expect_bytes(&to, pattern, moved);
            expect_bytes(&from, pattern + moved, LONGEST - moved);
            assert_int_equal(move_bytes(pool, &to, &from, parts[i]), parts[i]);
        }
    expect_bytes(&to, pattern, moved);
    expect_bytes(&from, pattern + moved, LONGEST - moved);
    if (sluice_bytes_reserve(pool, &from, ROOM, &bytes, &room) != 0)
        assert_int_equal(sluice_bytes_reserve(pool, &from, ROOM, &bytes, &room), 0);
    expect_bytes(&from, pattern + moved, LONGEST - moved);
    if (sluice_bytes_append(pool, &from, pattern + LONGEST, 2 * ROOM) != 0) {
        expect_bytes(&from, pattern + moved, LONGEST - moved);
        assert_int_equal(sluice_bytes_append(pool, &from, pattern + LONGEST, 2 * ROOM), 0);
    }
    expect_bytes(&from, pattern + moved, LONGEST - moved + 2 * ROOM);
    sluice_bytes_clear(pool, &from);
    sluice_bytes_clear(pool, &to);
}

static void each_allocation_fails(void) {
    long nth = 0;
    do {
        long live_before = live_allocation_count();
        struct sluice_chunk_pool pool = make_pool(0);
        fail_allocation(++nth);
        grow(&pool);
        end_pool(&pool);
        assert_int_equal(live_allocation_count(), live_before);
    } while (allocation_has_failed());
    assert_true(nth > 8);
}

int main(void) {
    static const struct test tests[] = {
        {"bytes go in and out around chunks' ends", appends_and_consumes, NULL},
        {"a peek has as many pieces and bytes as asked for", peeks, NULL},
        {"a reservation is in one piece and becomes bytes by a commit", reserves, NULL},
        {"a move of any part keeps all bytes in order", moves, NULL},
        {"a move of whole chunks copies and allocates nothing", moves_without_a_copy, NULL},
        {"small moves do not take a chunk each", small_moves_share_chunks, NULL},
        {"a move behind a reservation", moves_behind_a_reservation, NULL},
        {"lengths beyond all memory are refused", refuses_huge_lengths, NULL},
        {"each allocation fails", each_allocation_fails, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

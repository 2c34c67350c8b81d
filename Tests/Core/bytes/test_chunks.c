/* test_chunks.c - the pool of chunks. */
#include "bytes/queue.h"

#include "support.h"

#include "checks.h"
#include "faults.h"

#define ROOM ((size_t)SLUICE_CHUNK_ROOM)
#define LONGEST (5 * ROOM)

enum { RETAINED = 4 };

static const unsigned char block[LONGEST];

static struct sluice_chunk_pool make_pool(size_t limit_chunks) {
    struct sluice_chunk_pool pool;
    sluice_chunk_pool_init(&pool, &sluice_libc_allocator, limit_chunks * ROOM, RETAINED);
    return pool;
}

static void end_pool(struct sluice_chunk_pool *pool) {
    assert_true(check_chunk_pool(pool));
    assert_int_equal(sluice_chunk_pool_in_use(pool), 0);
    sluice_chunk_pool_deinit(pool);
    assert_int_equal(pool->allocated, 0);
}

static void pool_is_bounded(void) {
    struct sluice_chunk_pool pool = make_pool(3);
    struct sluice_chunk *chunks[3];
    for (size_t i = 0; i < 3; i++)
        assert_non_null(chunks[i] = sluice_chunk_take(&pool));
    assert_int_equal(sluice_chunk_pool_left(&pool), 0);
    assert_null(sluice_chunk_take(&pool));
    sluice_chunk_give(&pool, chunks[1]);
    assert_ptr_equal(sluice_chunk_take(&pool), chunks[1]);
    for (size_t i = 0; i < 3; i++)
        sluice_chunk_give(&pool, chunks[i]);
    end_pool(&pool);
}

static void pool_limits(void) {
    struct sluice_chunk_pool pool;
    const size_t limits[] = {1, ROOM - 1, ROOM, 2 * ROOM - 1, 2 * ROOM, SIZE_MAX, 0};
    const size_t chunks[] = {1, 1, 1, 1, 2, SIZE_MAX / ROOM, SIZE_MAX / ROOM};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        sluice_chunk_pool_init(&pool, &sluice_libc_allocator, limits[i], 0);
        assert_int_equal(sluice_chunk_pool_left(&pool), chunks[i]);
    }
}

static void pool_keeps_a_few(void) {
    struct sluice_chunk_pool pool = make_pool(0);
    struct sluice_chunk *chunks[RETAINED + 3];
    long live_before = live_allocation_count();
    for (size_t i = 0; i < COUNT_OF(chunks); i++)
        assert_non_null(chunks[i] = sluice_chunk_take(&pool));
    for (size_t i = 0; i < COUNT_OF(chunks); i++)
        sluice_chunk_give(&pool, chunks[i]);
    assert_int_equal(live_allocation_count() - live_before, RETAINED);
    assert_int_equal(pool.allocated, RETAINED);
    long count = allocation_count();
    for (size_t i = 0; i < RETAINED; i++)
        assert_non_null(chunks[i] = sluice_chunk_take(&pool));
    assert_int_equal(allocation_count(), count);
    for (size_t i = 0; i < RETAINED; i++)
        sluice_chunk_give(&pool, chunks[i]);
    end_pool(&pool);
    assert_int_equal(live_allocation_count(), live_before);
}

static void pool_adopts(void) {
    struct sluice_chunk_pool from = make_pool(0);
    struct sluice_chunk_pool to = make_pool(2);
    struct sluice_chunk *chunks[3];
    for (size_t i = 0; i < 3; i++)
        assert_non_null(chunks[i] = sluice_chunk_take(&from));
    /* A free chunk of the taker makes way. */
    sluice_chunk_give(&to, sluice_chunk_take(&to));
    assert_false(sluice_chunk_pool_adopt(&to, &from, 3));
    assert_int_equal(sluice_chunk_pool_in_use(&from), 3);
    assert_int_equal(sluice_chunk_pool_in_use(&to), 0);
    assert_true(sluice_chunk_pool_adopt(&to, &from, 2));
    assert_int_equal(to.allocated, 2);
    assert_null(sluice_chunk_take(&to));
    sluice_chunk_give(&to, chunks[0]);
    sluice_chunk_give(&to, chunks[1]);
    sluice_chunk_give(&from, chunks[2]);
    end_pool(&to);
    end_pool(&from);
}

/* What was prepared for cannot fail, however it is cut and whatever the queue holds. */
static void pool_prepares(void) {
    const size_t sizes[] = {0, 1, ROOM, ROOM + 1, 3 * ROOM + 5, LONGEST};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t held = 0; held <= ROOM; held += ROOM / 4) {
            struct sluice_chunk_pool pool = make_pool(0);
            struct sluice_bytes queue = {NULL, NULL, 0};
            size_t half = sizes[i] / 2;
            assert_int_equal(sluice_bytes_append(&pool, &queue, block, held), 0);
            assert_int_equal(sluice_chunk_pool_prepare(&pool, sizes[i]), 0);
            assert_true(check_chunk_pool(&pool));
            long count = allocation_count();
            assert_int_equal(sluice_bytes_append(&pool, &queue, block, half), 0);
            assert_int_equal(sluice_bytes_append(&pool, &queue, block, sizes[i] - half), 0);
            assert_int_equal(allocation_count(), count);
            assert_true(check_bytes(&queue));
            assert_int_equal(queue.length, held + sizes[i]);
            sluice_bytes_clear(&pool, &queue);
            assert_true(pool.free_count <= RETAINED);
            end_pool(&pool);
        }
}

static void pool_cannot_prepare(void) {
    struct sluice_chunk_pool pool = make_pool(LONGEST / ROOM);
    struct sluice_chunk *chunk = sluice_chunk_take(&pool);
    assert_int_equal(sluice_chunk_pool_prepare(&pool, SIZE_MAX), SLUICE_ENOMEM);
    assert_int_equal(sluice_chunk_pool_prepare(&pool, PTRDIFF_MAX), SLUICE_EFULL);
    assert_int_equal(sluice_chunk_pool_prepare(&pool, LONGEST), SLUICE_EFULL);
    assert_int_equal(pool.free_count, 0);
    fail_allocation(2);
    assert_int_equal(sluice_chunk_pool_prepare(&pool, 2 * ROOM), SLUICE_ENOMEM);
    assert_true(check_chunk_pool(&pool) && pool.free_count <= RETAINED);
    assert_int_equal(sluice_chunk_pool_prepare(&pool, LONGEST - ROOM), 0);
    sluice_chunk_give(&pool, chunk);
    assert_int_equal(pool.free_count, RETAINED);
    end_pool(&pool);
}

int main(void) {
    static const struct test tests[] = {
        {"a pool never has more than its limit", pool_is_bounded, NULL},
        {"a limit in bytes is one in whole chunks, and one at least", pool_limits, NULL},
        {"a pool keeps a few free chunks and no more", pool_keeps_a_few, NULL},
        {"a pool takes over what fits its limit", pool_adopts, NULL},
        {"what a pool has prepared for cannot fail", pool_prepares, NULL},
        {"a pool says when it cannot prepare", pool_cannot_prepare, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

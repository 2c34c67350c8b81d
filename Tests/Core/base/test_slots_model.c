/* test_slots_model.c - random scripts of slots_model.c, and what happens to a slot that has been
 * used as often as possible. */
#include "base/slots.h"
#include "models.h"

struct record {
    struct sluice_slot slot;
};

static uint32_t begin(struct sluice_slots *slots) {
    int code;
    uint32_t index = sluice_slots_begin(slots, &sluice_libc_allocator, &code);
    assert_int_equal(code, 0);
    return index;
}

/* Its place is lost, and no handle for that: as many can live as before. */
static void a_slot_without_generations_is_not_used_again(void) {
    struct sluice_slots slots;
    sluice_slots_init(&slots, sizeof(struct record), 2);
    uint32_t worn = begin(&slots);
    ((struct sluice_slot *)sluice_slots_at(&slots, worn))->generation = UINT32_MAX - 2;
    sluice_slots_end(&slots, worn);
    assert_int_equal(begin(&slots), worn);
    assert_non_null(sluice_slots_find(&slots, worn, UINT32_MAX));
    sluice_slots_end(&slots, worn);
    for (uint32_t generation = 0; generation < 4; generation++)
        assert_null(sluice_slots_find(&slots, worn, generation));
    assert_null(sluice_slots_find(&slots, worn, UINT32_MAX));
    for (int i = 0; i < 10; i++) {
        uint32_t first = begin(&slots);
        uint32_t second = begin(&slots);
        int code;
        assert_true(first != worn && second != worn && first != second);
        assert_int_equal(sluice_slots_begin(&slots, &sluice_libc_allocator, &code), SLUICE_NO_SLOT);
        assert_int_equal(code, SLUICE_EFULL);
        sluice_slots_end(&slots, first);
        sluice_slots_end(&slots, second);
    }
    sluice_slots_deinit(&slots, &sluice_libc_allocator);
}

static void scripts(void) {
    play_seeds(play_slots_script, 2000);
}

int main(void) {
    static const struct test tests[] = {
        {"random scripts: a table of handles against plain arrays", scripts, NULL},
        {"a slot without generations is not used again",
         a_slot_without_generations_is_not_used_again, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

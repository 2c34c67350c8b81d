/* atomics.h - what several threads, or a signal handler, share without a lock.
 *
 * It uses the compiler's builtins and not <stdatomic.h>: C++ has that header only since C++23, and
 * the core compiles as C++17 too. The value stands in a struct, so that only the macros below read
 * or write it. The plain macros are sequentially consistent. The relaxed ones order nothing.
 */
#ifndef SLUICE_ATOMICS_H
#define SLUICE_ATOMICS_H

#include "base/platform.h"

#include <stddef.h>

typedef struct sluice_atomic_bool {
    bool value;
} sluice_atomic_bool;

typedef struct sluice_atomic_size {
    size_t value;
} sluice_atomic_size;

#define sluice_atomic_load(atomic) __atomic_load_n(&(atomic)->value, __ATOMIC_SEQ_CST)
#define sluice_atomic_load_relaxed(atomic) __atomic_load_n(&(atomic)->value, __ATOMIC_RELAXED)
#define sluice_atomic_store(atomic, to) __atomic_store_n(&(atomic)->value, to, __ATOMIC_SEQ_CST)
#define sluice_atomic_store_relaxed(atomic, to)                                                    \
    __atomic_store_n(&(atomic)->value, to, __ATOMIC_RELAXED)

/* Stores, and returns what was there. */
#define sluice_atomic_exchange(atomic, to)                                                         \
    __atomic_exchange_n(&(atomic)->value, to, __ATOMIC_SEQ_CST)

/* Stores `to` if the value is *expected, and says whether it did. If not, the value goes to
 * *expected. */
#define sluice_atomic_replace(atomic, expected, to)                                                \
    __atomic_compare_exchange_n(&(atomic)->value, expected, to, false, __ATOMIC_SEQ_CST,           \
                                __ATOMIC_SEQ_CST)

#endif

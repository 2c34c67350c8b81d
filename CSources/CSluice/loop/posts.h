/* posts.h - words that other threads send to the loop, and wakes.
 *
 * Posting threads append to one array under a lock. At the start of a turn the loop takes the whole
 * array, and leaves the empty one of the turn before in its place. So the lock is held only for a
 * store, order is kept for each thread, and a word costs eight bytes.
 *
 * The array grows in the thread that posts. So its memory comes from libc, which any thread may
 * call, and not from the loop's allocator, which need not be thread-safe. Decided against:
 * - a block that the loop's thread allocates ahead: with room for post_limit words it costs 16 MiB
 *   from the start, and with less room a post would be refused below the limit, or would wait for
 *   the loop;
 * - a lock-free list, which needs an allocation for each post.
 *
 * A wake is a flag without a lock, so that a signal handler can set it. It stays set until a pull
 * has returned because of it, since the wait that the engine's wake ends may bring events first.
 */
#ifndef SLUICE_POSTS_H
#define SLUICE_POSTS_H

#include "base/platform.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>

#include "base/atomics.h"

struct sluice_words {
    uint64_t *words;
    size_t count;
    size_t capacity;
};

/* Invariants: `incoming` and `any` change only under the lock. `taken` is the loop's alone: its
 * words before `next` have been delivered, and `left` is how many have not. incoming.count and
 * `left` together are at most `limit`. */
struct sluice_posts {
    pthread_mutex_t lock;
    struct sluice_words incoming;
    sluice_atomic_bool any; /* incoming.count > 0; read without the lock, to save taking it */
    sluice_atomic_bool woken;
    size_t limit;
    struct sluice_words taken;
    size_t next;
    sluice_atomic_size left; /* posting threads read it; it grows only under the lock */
};

SLUICE_INTERNAL int sluice_posts_init(struct sluice_posts *posts, size_t limit);
SLUICE_INTERNAL void sluice_posts_deinit(struct sluice_posts *posts);

/* Any thread. Returns 1 if the loop must be woken, since it has not been woken for this array; 0;
 * or SLUICE_EFULL or SLUICE_ENOMEM. */
SLUICE_INTERNAL int sluice_posts_add(struct sluice_posts *posts, uint64_t word);

/* For the loop's thread. Takes what has come in, if everything taken before has been delivered. */
SLUICE_INTERNAL void sluice_posts_take(struct sluice_posts *posts);

/* Whether some have been taken and not delivered. */
static inline bool sluice_posts_left(const struct sluice_posts *posts) {
    return posts->next < posts->taken.count;
}

/* Any thread, and a signal handler. Wake the engine next. It is an exchange and not a store, so
 * that the loop's thread sees what each of several wakers wrote before. */
static inline void sluice_posts_wake(struct sluice_posts *posts) {
    static_assert(__GCC_ATOMIC_BOOL_LOCK_FREE == 2, "a signal handler may not take a lock");
    (void)sluice_atomic_exchange(&posts->woken, true);
}

/* Whether there was a wake since the last call. */
static inline bool sluice_posts_take_wake(struct sluice_posts *posts) {
    return sluice_atomic_load_relaxed(&posts->woken) &&
           sluice_atomic_exchange(&posts->woken, false);
}

/* Whether the loop must not sleep, because words have come in or it was woken. */
static inline bool sluice_posts_pending(struct sluice_posts *posts) {
    return sluice_atomic_load_relaxed(&posts->any) || sluice_atomic_load_relaxed(&posts->woken);
}

static inline bool sluice_posts_next(struct sluice_posts *posts, uint64_t *word) {
    if (!sluice_posts_left(posts))
        return false;
    *word = posts->taken.words[posts->next++];
    sluice_atomic_store_relaxed(&posts->left, posts->taken.count - posts->next);
    return true;
}

/* For the child of a fork. Another thread of the parent may have held the lock. What was posted and
 * not taken stays the parent's, and so does a wake. */
SLUICE_INTERNAL void sluice_posts_after_fork(struct sluice_posts *posts);

#endif

/* posts.c - see posts.h. */
#include "base/platform.h"

#include "loop/posts.h"

#include <stdlib.h>

#include "base/allocator.h"

#define FIRST_POST_CAPACITY 64
#define KEPT_CAPACITY 65536 /* an array larger than that is not kept for the next turn */

SLUICE_COLD int sluice_posts_init(struct sluice_posts *posts, size_t limit) {
    *posts = (struct sluice_posts){.limit = limit};
    return -pthread_mutex_init(&posts->lock, NULL);
}

SLUICE_COLD void sluice_posts_deinit(struct sluice_posts *posts) {
    free(posts->incoming.words);
    free(posts->taken.words);
    pthread_mutex_destroy(&posts->lock);
}

static int append_word(struct sluice_posts *posts, uint64_t word) {
    struct sluice_words *incoming = &posts->incoming;
    size_t left = sluice_atomic_load_relaxed(&posts->left);
    if (incoming->count >= posts->limit - left)
        return SLUICE_EFULL;
    if (incoming->count == incoming->capacity) {
        size_t capacity = incoming->capacity ? incoming->capacity * 2 : FIRST_POST_CAPACITY;
        uint64_t *words = SLUICE_RESIZE(&sluice_libc_allocator, incoming->words, capacity);
        if (!words)
            return SLUICE_ENOMEM;
        incoming->words = words;
        incoming->capacity = capacity;
    }
    incoming->words[incoming->count++] = word;
    return incoming->count == 1;
}

int sluice_posts_add(struct sluice_posts *posts, uint64_t word) {
    pthread_mutex_lock(&posts->lock);
    int code = append_word(posts, word);
    if (code > 0)
        sluice_atomic_store(&posts->any, true);
    pthread_mutex_unlock(&posts->lock);
    return code;
}

void sluice_posts_take(struct sluice_posts *posts) {
    if (sluice_posts_left(posts) || !sluice_atomic_load_relaxed(&posts->any))
        return;
    struct sluice_words empty = posts->taken;
    empty.count = 0;
    if (empty.capacity > KEPT_CAPACITY) {
        free(empty.words);
        empty = (struct sluice_words){NULL, 0, 0};
    }
    pthread_mutex_lock(&posts->lock);
    posts->taken = posts->incoming;
    sluice_atomic_store_relaxed(&posts->left, posts->taken.count);
    posts->incoming = empty;
    sluice_atomic_store(&posts->any, false);
    pthread_mutex_unlock(&posts->lock);
    posts->next = 0;
}

void sluice_posts_after_fork(struct sluice_posts *posts) {
    pthread_mutex_init(&posts->lock, NULL);
    posts->incoming.count = 0;
    sluice_atomic_store(&posts->any, false);
    sluice_atomic_store(&posts->woken, false);
}

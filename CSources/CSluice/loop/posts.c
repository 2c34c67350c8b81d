/* posts.c - see posts.h. */
#include "base/platform.h"

#include "loop/posts.h"

#include <stdlib.h>

#include "base/allocator.h"

#define FIRST_CAPACITY 64
#define KEPT_CAPACITY 65536 /* an array larger than that is not kept for the next turn */

int sluice_posts_init(struct sluice_posts *posts, size_t limit) {
    *posts = (struct sluice_posts){.limit = limit};
    return -pthread_mutex_init(&posts->lock, NULL);
}

void sluice_posts_deinit(struct sluice_posts *posts) {
    free(posts->incoming.words);
    free(posts->taken.words);
    pthread_mutex_destroy(&posts->lock);
}

static int append(struct sluice_posts *posts, uint64_t word) {
    struct sluice_words *incoming = &posts->incoming;
    size_t left = atomic_load_explicit(&posts->left, memory_order_relaxed);
    if (incoming->count >= posts->limit - left)
        return SLUICE_EFULL;
    if (incoming->count == incoming->capacity) {
        size_t capacity = incoming->capacity ? incoming->capacity * 2 : FIRST_CAPACITY;
        uint64_t *words =
            sluice_resize(&SLUICE_LIBC_ALLOCATOR, incoming->words, capacity, sizeof *words);
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
    int code = append(posts, word);
    if (code > 0)
        atomic_store(&posts->any, true);
    pthread_mutex_unlock(&posts->lock);
    return code;
}

void sluice_posts_take(struct sluice_posts *posts) {
    if (sluice_posts_left(posts) || !atomic_load_explicit(&posts->any, memory_order_relaxed))
        return;
    struct sluice_words empty = posts->taken;
    empty.count = 0;
    if (empty.capacity > KEPT_CAPACITY) {
        free(empty.words);
        empty = (struct sluice_words){NULL, 0, 0};
    }
    pthread_mutex_lock(&posts->lock);
    posts->taken = posts->incoming;
    atomic_store_explicit(&posts->left, posts->taken.count, memory_order_relaxed);
    posts->incoming = empty;
    atomic_store(&posts->any, false);
    pthread_mutex_unlock(&posts->lock);
    posts->next = 0;
}

void sluice_posts_after_fork(struct sluice_posts *posts) {
    pthread_mutex_init(&posts->lock, NULL);
    posts->incoming.count = 0;
    atomic_store(&posts->any, false);
    atomic_store(&posts->woken, false);
}

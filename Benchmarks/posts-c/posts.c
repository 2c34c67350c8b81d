/* posts.c - what a post costs: COUNT words from another thread as fast as it can, and ROUNDS that
 * each wake a loop that sleeps. Prints nanoseconds of wall time: they drift with the machine, so
 * compare runs only with others made at once. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluice.h"

enum { BATCH = 256 };

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct flood {
    sluice_loop *loop;
    long count;
    int64_t took_ns;
};

static void *post_all(void *argument) {
    struct flood *flood = argument;
    int64_t began = now_ns();
    for (long i = 0; i < flood->count; i++)
        while (sluice_post(flood->loop, (uint64_t)i) == SLUICE_EFULL) {
        }
    flood->took_ns = now_ns() - began;
    return NULL;
}

static int measure_flood(sluice_loop *loop, long count) {
    struct flood flood = {.loop = loop, .count = count};
    pthread_t thread;
    if (pthread_create(&thread, NULL, post_all, &flood) != 0)
        return 1;
    sluice_event events[BATCH];
    for (long seen = 0; seen < count;) {
        int taken = sluice_next_many(loop, events, BATCH, SLUICE_FOREVER);
        if (taken < 0)
            return 1;
        seen += taken;
    }
    pthread_join(thread, NULL);
    printf("flood: %.1f ns a post\n", (double)flood.took_ns / (double)count);
    return 0;
}

/* One word at a time: the poster waits for the answer, which is a word to its own loop. */
static void *answer_all(void *argument) {
    struct flood *flood = argument;
    sluice_loop *own;
    if (sluice_open(&own, NULL) < 0)
        return NULL;
    sluice_event event;
    sluice_post(flood->loop, (uint64_t)(uintptr_t)own);
    for (long i = 0; i < flood->count; i++) {
        sluice_next(own, &event, SLUICE_FOREVER);
        sluice_post(flood->loop, (uint64_t)now_ns());
    }
    sluice_destroy(own);
    return NULL;
}

static int compare(const void *left, const void *right) {
    int64_t l = *(const int64_t *)left;
    int64_t r = *(const int64_t *)right;
    return (l > r) - (l < r);
}

static int measure_wakes(sluice_loop *loop, long rounds) {
    struct flood flood = {.loop = loop, .count = rounds};
    int64_t *delays = calloc((size_t)rounds, sizeof *delays);
    pthread_t thread;
    if (!delays || pthread_create(&thread, NULL, answer_all, &flood) != 0) {
        free(delays);
        return 1;
    }
    sluice_event event;
    sluice_next(loop, &event, SLUICE_FOREVER);
    sluice_loop *other = (sluice_loop *)(uintptr_t)event.value;
    for (long i = 0; i < rounds; i++) {
        sluice_post(other, 0);
        sluice_next(loop, &event, SLUICE_FOREVER);
        delays[i] = now_ns() - (int64_t)event.value;
    }
    pthread_join(thread, NULL);
    qsort(delays, (size_t)rounds, sizeof *delays, compare);
    printf("wake: p50 %lld ns\n", (long long)delays[rounds / 2]);
    free(delays);
    return 0;
}

int main(void) {
    sluice_loop *loop;
    if (sluice_open(&loop, NULL) < 0)
        return 1;
    int failed = measure_flood(loop, 5000000) || measure_wakes(loop, 20000);
    sluice_destroy(loop);
    return failed;
}

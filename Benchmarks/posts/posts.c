/* posts.c - what it costs to post to a loop from another thread.
 *
 *     posts-LIBRARY flood COUNT    COUNT posts as fast as can be: wall nanoseconds of one
 *     posts-LIBRARY wake ROUNDS    to a loop that sleeps: nanoseconds from before the post until
 *                                  the loop has it, the median
 *
 * It is wall time, since two threads are at work. A flood prints how many posts the loop was told
 * of, too: a library may let many stand as one. One program for each library. */
#define _GNU_SOURCE
#include "posts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct work {
    struct mailbox *main, *other;
    long count;
    int64_t stamp; /* of the post under way */
    double took;
    atomic_int done;
};

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *post_all(void *argument) {
    struct work *work = argument;
    int64_t began = now_ns();
    for (long i = 0; i < work->count; i++)
        mailbox_post(work->main);
    work->took = (double)(now_ns() - began) / (double)work->count;
    atomic_store(&work->done, 1);
    mailbox_post(work->main);
    return NULL;
}

static void flood(struct work *work) {
    pthread_t thread;
    pthread_create(&thread, NULL, post_all, work);
    long seen = 0;
    while (mailbox_counts ? seen <= work->count : !atomic_load(&work->done))
        seen += mailbox_turn(work->main);
    pthread_join(thread, NULL);
    printf("%.1f %ld\n", work->took, seen - 1); /* one more says that it is done */
}

/* Answers each post to its own loop with one to the main thread's. */
static void *answer_all(void *argument) {
    struct work *work = argument;
    work->other = mailbox_open();
    mailbox_post(work->main);
    for (long i = 0; i < work->count; i++) {
        mailbox_turn(work->other);
        work->stamp = now_ns();
        mailbox_post(work->main);
    }
    return NULL;
}

static int compare(const void *left, const void *right) {
    int64_t l = *(const int64_t *)left;
    int64_t r = *(const int64_t *)right;
    return (l > r) - (l < r);
}

static void wake(struct work *work) {
    int64_t *delays = calloc((size_t)work->count, sizeof *delays);
    pthread_t thread;
    if (!delays || pthread_create(&thread, NULL, answer_all, work) != 0)
        exit(1);
    mailbox_turn(work->main);
    for (long i = 0; i < work->count; i++) {
        mailbox_post(work->other);
        mailbox_turn(work->main);
        delays[i] = now_ns() - work->stamp;
    }
    pthread_join(thread, NULL);
    qsort(delays, (size_t)work->count, sizeof *delays, compare);
    printf("%lld\n", (long long)delays[work->count / 2]);
    free(delays);
}

int main(int argc, char **argv) {
    struct work work = {.count = argc == 3 ? atol(argv[2]) : 0};
    if (work.count < 1 || (strcmp(argv[1], "flood") != 0 && strcmp(argv[1], "wake") != 0)) {
        fprintf(stderr, "usage: posts flood|wake COUNT\n");
        return 2;
    }
    work.main = mailbox_open();
    if (strcmp(argv[1], "flood") == 0)
        flood(&work);
    else
        wake(&work);
    return 0;
}

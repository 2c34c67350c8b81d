/* keys.c - two libraries on one loop: hiredis, and the program's own timer.
 *
 *     keys PORT COUNT    sets and gets so many keys, and compares what comes back
 *
 *     cc -o keys keys.c $(pkg-config --cflags --libs sluice hiredis)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice_hiredis.h"

#define TICK_NS 1000000

/* What is asked of redis, and what has come of it. */
static struct {
    unsigned long count;
    unsigned long answered;
    unsigned long wrong;
    unsigned long ticks;
    int ended;
} state;

/* The value of a key. Values have different lengths, up to some hundred bytes. */
static int value_of(unsigned long key, char *text, size_t size) {
    return snprintf(text, size, "%lu-%0*lu", key, (int)(key % 300 + 1), key * key);
}

static void set(redisAsyncContext *redis, void *reply, void *data) {
    (void)redis, (void)data;
    const redisReply *answer = reply;
    state.wrong += !answer || answer->type != REDIS_REPLY_STATUS;
}

static void got(redisAsyncContext *redis, void *reply, void *data) {
    const redisReply *answer = reply;
    char expected[400];
    int length = value_of((unsigned long)(uintptr_t)data, expected, sizeof expected);
    state.wrong += !answer || answer->type != REDIS_REPLY_STRING || answer->len != (size_t)length ||
                   memcmp(answer->str, expected, answer->len) != 0;
    if (++state.answered == state.count)
        redisAsyncDisconnect(redis);
}

static void connected(const redisAsyncContext *redis, int status) {
    if (status == REDIS_OK)
        return;
    printf("not connected: %s\n", redis->errstr);
    state.ended = 1;
}

static void disconnected(const redisAsyncContext *redis, int status) {
    (void)redis, (void)status;
    state.ended = 1;
}

/* The program's own part of the loop, by the same convention. */
static void tick(sluice_source *source, const sluice_event *event) {
    (void)source, (void)event;
    state.ticks++;
}

static void ask(redisAsyncContext *redis) {
    for (unsigned long key = 0; key < state.count; key++) {
        char value[400];
        int length = value_of(key, value, sizeof value);
        redisAsyncCommand(redis, set, NULL, "SET key:%lu %b", key, value, (size_t)length);
        redisAsyncCommand(redis, got, (void *)(uintptr_t)key, "GET key:%lu", key);
    }
}

static int run(sluice_loop *loop) {
    while (!state.ended) {
        sluice_event event;
        int code = sluice_next(loop, &event, SLUICE_FOREVER);
        if (code < 0) {
            fprintf(stderr, "keys: %s\n", sluice_error_message(code));
            return 1;
        }
        sluice_source_dispatch(&event);
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: keys PORT COUNT\n");
        return 2;
    }
    sluice_loop *loop;
    sluice_source ticking = {tick};
    redisAsyncContext *redis = redisAsyncConnect("127.0.0.1", atoi(arguments[1]));
    if (!redis || redis->err || sluice_open(&loop, NULL) < 0 ||
        sluice_hiredis_attach(redis, loop) < 0 ||
        sluice_timer(loop, NULL, TICK_NS, TICK_NS, sluice_source_user(&ticking)) < 0) {
        fprintf(stderr, "keys: could not begin\n");
        return 1;
    }
    redisAsyncSetConnectCallback(redis, connected);
    redisAsyncSetDisconnectCallback(redis, disconnected);
    state.count = strtoul(arguments[2], NULL, 10);
    ask(redis);
    int code = run(loop);
    printf("%lu answered, %lu wrong, %lu ticks meanwhile\n", state.answered, state.wrong,
           state.ticks);
    sluice_destroy(loop);
    return code || state.wrong > 0 || state.answered < state.count;
}

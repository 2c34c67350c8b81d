/* sluice_hiredis.h - hiredis's asynchronous client on a Sluice loop.
 *
 *     redisAsyncContext *redis = redisAsyncConnect("127.0.0.1", 6379);
 *     sluice_hiredis_attach(redis, loop);
 *
 * hiredis says which directions of its socket it waits for, and is told when one is ready. So its
 * socket has a watch, which is dispatched by the convention of sluice_source.h.
 */
#ifndef SLUICE_HIREDIS_H
#define SLUICE_HIREDIS_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <sluice_source.h>
#include <stddef.h>
#include <stdlib.h>

/* The source is the first member, so that this struct is found from it. */
typedef struct sluice_hiredis {
    sluice_source source;
    sluice_loop *loop;
    redisAsyncContext *redis; /* NULL once hiredis has let go of this */
    sluice_id watch;
    uint32_t interest;
    int entered; /* hiredis is being called, and may let go of this meanwhile */
} sluice_hiredis;

static inline void sluice_hiredis_want(void *data, uint32_t set, uint32_t clear) {
    sluice_hiredis *adapter = (sluice_hiredis *)data;
    adapter->interest = (adapter->interest | set) & ~clear;
    sluice_rewatch(adapter->loop, adapter->watch, adapter->interest);
}

static inline void sluice_hiredis_add_read(void *data) {
    sluice_hiredis_want(data, SLUICE_READ, 0);
}

static inline void sluice_hiredis_del_read(void *data) {
    sluice_hiredis_want(data, 0, SLUICE_READ);
}

static inline void sluice_hiredis_add_write(void *data) {
    sluice_hiredis_want(data, SLUICE_WRITE, 0);
}

static inline void sluice_hiredis_del_write(void *data) {
    sluice_hiredis_want(data, 0, SLUICE_WRITE);
}

/* hiredis lets go of this. It calls this before it closes its socket. */
static inline void sluice_hiredis_clean_up(void *data) {
    sluice_hiredis *adapter = (sluice_hiredis *)data;
    sluice_close(adapter->loop, adapter->watch);
    adapter->redis = NULL;
    if (!adapter->entered)
        free(adapter);
}

static inline void sluice_hiredis_dispatch(sluice_source *source, const sluice_event *event) {
    sluice_hiredis *adapter = (sluice_hiredis *)(void *)source;
    adapter->entered = 1;
    /* An error or a hang-up comes whatever is waited for. A read or a write will find it. */
    uint64_t broken = event->value & (SLUICE_ERROR | SLUICE_HANGUP);
    if ((adapter->interest & SLUICE_READ) && ((event->value & SLUICE_READ) || broken))
        redisAsyncHandleRead(adapter->redis);
    if (adapter->redis && (adapter->interest & SLUICE_WRITE) &&
        ((event->value & SLUICE_WRITE) || broken))
        redisAsyncHandleWrite(adapter->redis);
    adapter->entered = 0;
    if (!adapter->redis)
        free(adapter);
}

/* Makes `redis` use the loop until it is freed. Returns 0, or a negative code, and then `redis` is
 * as it was. */
static inline int sluice_hiredis_attach(redisAsyncContext *redis, sluice_loop *loop) {
    if (redis->ev.data)
        return SLUICE_EEXIST;
    sluice_hiredis *adapter = (sluice_hiredis *)calloc(1, sizeof *adapter);
    if (!adapter)
        return SLUICE_ENOMEM;
    adapter->source.dispatch = sluice_hiredis_dispatch;
    adapter->loop = loop;
    adapter->redis = redis;
    int code = sluice_watch(loop, &adapter->watch, redis->c.fd, SLUICE_NONE,
                            sluice_source_user(&adapter->source));
    if (code < 0) {
        free(adapter);
        return code;
    }
    redis->ev.data = adapter;
    redis->ev.addRead = sluice_hiredis_add_read;
    redis->ev.delRead = sluice_hiredis_del_read;
    redis->ev.addWrite = sluice_hiredis_add_write;
    redis->ev.delWrite = sluice_hiredis_del_write;
    redis->ev.cleanup = sluice_hiredis_clean_up;
    return 0;
}

#endif

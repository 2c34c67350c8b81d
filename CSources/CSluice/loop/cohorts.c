/* cohorts.c - how streams behave: their options, kept once for all that have the same.
 *
 * A stream names its cohort in four bytes. Otherwise it would need 28. A listener has a cohort of
 * its own, and the number of its users also says how many connections the listener has open. The
 * cohort outlives the listener as long as one of these connections does, so that closing a listener
 * need not look for them.
 */
#include "base/platform.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/deadline.h"
#include "loop/loop.h"
#include "network/socket.h"

#define DEFAULT_LINGER_NS (10 * NS_PER_SECOND)

/* Milliseconds, rounded up. 49 days at most, which is as good as never. */
static uint32_t to_ms(int64_t ns) {
    int64_t ms = ns / NS_PER_MILLISECOND + (ns % NS_PER_MILLISECOND != 0);
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* The flags in which THROTTLED alone says whether a stream is throttled. */
static uint32_t flags_of_cohort(uint32_t flags, bool accepted) {
    if (accepted && !(flags & SLUICE_UNTHROTTLED))
        flags |= SLUICE_THROTTLED;
    return flags & ~(uint32_t)SLUICE_UNTHROTTLED;
}

SLUICE_COLD int sluice_stream_settings_of(const sluice_loop *loop,
                                          const sluice_stream_options *given, bool accepted,
                                          struct sluice_stream_settings *settings) {
    sluice_stream_options options = {.size = sizeof options};
    const uint32_t either = SLUICE_THROTTLED | SLUICE_UNTHROTTLED;
    const uint32_t known = SLUICE_HALF_OPEN | SLUICE_DELAY | SLUICE_KEEPALIVE | either;
    if (given && !sluice_take_struct(&options, sizeof options, given, given->size))
        return SLUICE_EOPTION;
    if ((options.flags & ~known) || (options.flags & either) == either ||
        options.idle_timeout_ns < 0 || options.linger_ns < 0 || options.connect_timeout_ns < 0 ||
        options.keepalive_seconds > INT16_MAX)
        return SLUICE_EOPTION;
    *settings = (struct sluice_stream_settings){
        .flags = flags_of_cohort(options.flags, accepted),
        .idle_ms = to_ms(options.idle_timeout_ns),
        .linger_ms = to_ms(options.linger_ns ? options.linger_ns : DEFAULT_LINGER_NS),
        .keepalive_seconds = options.keepalive_seconds,
        .connect_timeout_ns = options.connect_timeout_ns ? options.connect_timeout_ns : INT64_MAX,
        .high_mark = options.high_mark ? options.high_mark : loop->high_mark,
        .low_mark = options.low_mark,
        .source = options.source};
    if (!settings->low_mark)
        settings->low_mark = options.high_mark ? options.high_mark / 4 : loop->low_mark;
    return settings->low_mark <= settings->high_mark && settings->high_mark <= loop->hard_limit
               ? 0
               : SLUICE_EOPTION;
}

SLUICE_COLD int sluice_stream_configure(int fd, const struct sluice_stream_settings *settings) {
    if (!sluice_socket_is_tcp(fd))
        return 0;
    const int at_once = !(settings->flags & SLUICE_DELAY);
    const int keep = (settings->flags & SLUICE_KEEPALIVE) != 0;
    const int idle = (int)settings->keepalive_seconds;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) < 0 ||
        (keep && setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep, sizeof keep) < 0) ||
        (keep && idle && setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) < 0))
        return -errno;
    return 0;
}

int sluice_stream_socket(const struct sluice_address *address,
                         const struct sluice_stream_settings *settings) {
    int fd = sluice_socket_open_from(address, settings->source);
    if (fd < 0)
        return fd;
    int code = sluice_stream_configure(fd, settings);
    if (code < 0) {
        close(fd);
        return code;
    }
    return fd;
}

static bool has(const struct sluice_cohort *cohort, const struct sluice_stream_settings *settings) {
    return cohort->listener == 0 && cohort->flags == settings->flags &&
           cohort->idle_ms == settings->idle_ms && cohort->linger_ms == settings->linger_ms &&
           cohort->high_mark == settings->high_mark && cohort->low_mark == settings->low_mark;
}

/* The default cohort or the newest one, if one of them has these settings; or SLUICE_NO_SLOT. Most
 * clients connect with the same options again and again. */
static uint32_t find_cohort(const sluice_loop *loop,
                            const struct sluice_stream_settings *settings) {
    if (loop->cohorts.used > 0 && has(sluice_cohort_at(loop, 0), settings))
        return 0;
    uint32_t newest = loop->newest_cohort;
    return newest != SLUICE_NO_SLOT && has(sluice_cohort_at(loop, newest), settings)
               ? newest
               : SLUICE_NO_SLOT;
}

/* What a stream with these settings is, as bits of its state. */
static uint32_t traits_of_cohort(const struct sluice_stream_settings *settings) {
    uint32_t traits = 0;
    if (settings->idle_ms)
        traits |= STREAM_TIMED;
    if (settings->flags & SLUICE_HALF_OPEN)
        traits |= STREAM_HALF_OPEN;
    if (settings->flags & SLUICE_THROTTLED)
        traits |= STREAM_THROTTLES;
    return traits;
}

static SLUICE_COLD uint32_t make(sluice_loop *loop, const struct sluice_stream_settings *settings,
                                 uint32_t listener, int *code) {
    uint32_t index = sluice_slots_begin(&loop->cohorts, &loop->allocator, code);
    if (index == SLUICE_NO_SLOT)
        return index;
    struct sluice_cohort *cohort = sluice_cohort_at(loop, index);
    *cohort = (struct sluice_cohort){.slot = cohort->slot,
                                     .listener = listener,
                                     .flags = settings->flags,
                                     .traits = traits_of_cohort(settings),
                                     .idle_ms = settings->idle_ms,
                                     .linger_ms = settings->linger_ms,
                                     .high_mark = settings->high_mark,
                                     .low_mark = settings->low_mark};
    if (loop->small_most > cohort->high_mark)
        loop->small_most = cohort->high_mark;
    if (!listener)
        loop->newest_cohort = index;
    return index;
}

SLUICE_COLD int sluice_cohort_join(sluice_loop *loop, const struct sluice_stream_settings *settings,
                                   uint32_t listener, uint32_t *cohort) {
    int code = 0;
    *cohort = listener ? SLUICE_NO_SLOT : find_cohort(loop, settings);
    if (*cohort == SLUICE_NO_SLOT)
        *cohort = make(loop, settings, listener, &code);
    if (*cohort == SLUICE_NO_SLOT)
        return code;
    sluice_cohort_at(loop, *cohort)->users++;
    return 0;
}

void sluice_cohort_end(sluice_loop *loop, uint32_t index) {
    if (loop->newest_cohort == index)
        loop->newest_cohort = SLUICE_NO_SLOT;
    sluice_slots_end(&loop->cohorts, index);
}

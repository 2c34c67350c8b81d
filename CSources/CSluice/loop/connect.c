/* connect.c - streams that connect by name.
 *
 * Such a stream has no descriptor at first, and is CONNECTING. Its extras point to what it has
 * instead: the name that is looked up and, once that is answered, the attempts at its addresses
 * (network/attempts.h). Each attempt in flight is a socket of its own. The engine gives back its
 * id, which names the stream and the attempt, and is not that of a handle. The first that connects
 * becomes the stream's descriptor. For that it need not be registered anew, only renamed, and that
 * cannot fail. From then on the stream is like any other that has connected, and all this is freed.
 *
 * The rule of stream.h holds here too. What happens to the lookup or to an attempt is noted, and
 * the stream is put on the agenda. sluice_connecting_go_on then does what is due.
 *
 * The timer of the attempts is made with the stream, while a call can still report a lack of
 * memory. It repeats, so that it exists until it is cancelled, and is set anew each time.
 */
#include "base/platform.h"

#include "loop/lookups.h"
#include "loop/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "network/attempts.h"
#include "network/socket.h"

struct attempt {
    struct sluice_address address;
    int fd; /* -1 while it is not in flight */
};

/* Invariants:
 * - `list` is NULL until the addresses are there. Then it has attempts.count elements;
 * - the attempts in flight have a descriptor that is attached, and only those. */
struct sluice_connecting {
    struct sluice_query query;
    struct sluice_stream_settings settings; /* its source is the text below */
    char source[SLUICE_ADDRESS_MAX];
    struct sluice_attempts attempts;
    struct attempt *list;
    const char *words; /* the resolver's words if it has no address; a static string */
    uint32_t timer;    /* its index in loop->deadlines */
};

static struct sluice_connecting *connecting_of(const struct sluice_stream *stream) {
    return stream->extras->connecting;
}

/* ---- Attempts -------------------------------------------------------------------------------- */

/* Closes the socket of an attempt, if it has one. */
static void close_attempt(sluice_loop *loop, struct attempt *attempt) {
    if (attempt->fd < 0)
        return;
    sluice_operations(loop)->detach(loop->engine, attempt->fd);
    close(attempt->fd);
    attempt->fd = -1;
}

static int begin_attempt(sluice_loop *loop, const struct sluice_stream *stream, uint32_t index) {
    const struct sluice_connecting *connecting = connecting_of(stream);
    struct attempt *attempt = &connecting->list[index];
    int fd = sluice_stream_socket(&attempt->address, &connecting->settings);
    if (fd < 0)
        return fd;
    sluice_id id = sluice_id_of(SLUICE_KIND_ATTEMPT, sluice_stream_index(loop, stream), index);
    int code = sluice_socket_begin_connect(fd, &attempt->address);
    if (code == 0)
        code = sluice_attach(loop, fd, id, SLUICE_ROLE_CONNECTING, SLUICE_OP_CONNECT);
    if (code < 0)
        close(fd);
    else
        attempt->fd = fd;
    return code;
}

static void begin_next(sluice_loop *loop, struct sluice_stream *stream,
                       const struct sluice_attempts_step *step) {
    struct sluice_connecting *connecting = connecting_of(stream);
    if (step->given_up != SLUICE_NO_ATTEMPT)
        close_attempt(loop, &connecting->list[step->given_up]);
    int code = begin_attempt(loop, stream, step->index);
    /* That an address has another family than the source does not say why the others failed. */
    if (code == SLUICE_EOPTION && connecting->attempts.error < 0)
        code = connecting->attempts.error;
    if (code < 0)
        sluice_attempts_failed(&connecting->attempts, step->index, code);
}

void sluice_connecting_go_on(sluice_loop *loop, struct sluice_stream *stream) {
    struct sluice_connecting *connecting = connecting_of(stream);
    if (!connecting->list)
        return;
    for (;;) {
        struct sluice_attempts_step step =
            sluice_attempts_next(&connecting->attempts, sluice_clock_ns());
        switch (step.action) {
        case SLUICE_ATTEMPTS_BEGIN:
            begin_next(loop, stream, &step);
            break;
        case SLUICE_ATTEMPTS_WAIT:
            sluice_timers_reset(&loop->deadlines, connecting->timer, step.until_ns);
            return;
        default:
            sluice_input_fail(loop, stream, step.error);
            return;
        }
    }
}

/* ---- What comes of it ------------------------------------------------------------------------ */

static int make_list(sluice_loop *loop, struct sluice_connecting *connecting) {
    struct sluice_address addresses[SLUICE_ATTEMPTS_MOST];
    int count = sluice_lookup_addresses(connecting->query.lookup, addresses, SLUICE_ATTEMPTS_MOST);
    if (count < 0)
        return count;
    struct attempt *list = SLUICE_NEW(&loop->allocator, (size_t)count, struct attempt);
    if (!list)
        return SLUICE_ENOMEM;
    for (int i = 0; i < count; i++)
        list[i] = (struct attempt){.address = addresses[i], .fd = -1};
    sluice_attempts_init(&connecting->attempts, (uint32_t)count);
    connecting->list = list;
    return 0;
}

void sluice_connecting_answered(sluice_loop *loop, struct sluice_stream *stream) {
    struct sluice_connecting *connecting = connecting_of(stream);
    int code = make_list(loop, connecting);
    connecting->words = sluice_lookup_words(connecting->query.lookup);
    sluice_query_end(&connecting->query);
    if (code < 0)
        sluice_input_fail(loop, stream, code);
    else
        sluice_stream_on_agenda(loop, stream);
}

/* The attempt is the stream from now on. */
static void take_attempt(sluice_loop *loop, struct sluice_stream *stream, uint32_t index) {
    struct sluice_connecting *connecting = connecting_of(stream);
    struct attempt *attempt = &connecting->list[index];
    sluice_operations(loop)->rename(loop->engine, attempt->fd, sluice_stream_id(loop, stream));
    stream->fd = attempt->fd;
    attempt->fd = -1;
    (void)sluice_connecting_end(loop, stream);
    sluice_stream_spare_extras(loop, stream);
    sluice_stream_connected(loop, stream, 0);
}

static void fail_attempt(sluice_loop *loop, struct sluice_stream *stream, uint32_t index,
                         int error) {
    sluice_attempts_failed(&connecting_of(stream)->attempts, index, error);
    sluice_stream_on_agenda(loop, stream);
}

void sluice_connecting_attempted(sluice_loop *loop, struct sluice_stream *stream, uint32_t index,
                                 int error) {
    if (error == 0) {
        take_attempt(loop, stream, index);
        return;
    }
    close_attempt(loop, &connecting_of(stream)->list[index]);
    fail_attempt(loop, stream, index, error);
}

void sluice_connecting_lose_attempt(sluice_loop *loop, struct sluice_stream *stream,
                                    uint32_t index) {
    connecting_of(stream)->list[index].fd = -1;
    fail_attempt(loop, stream, index, SLUICE_EBADF);
}

bool sluice_connecting_has_outcome(const struct sluice_stream *stream) {
    const struct sluice_connecting *connecting = connecting_of(stream);
    struct pollfd ready[SLUICE_ATTEMPTS_AT_ONCE];
    nfds_t count = 0;
    for (uint32_t i = 0; connecting->list && i < connecting->attempts.begun; i++)
        if (connecting->list[i].fd >= 0)
            ready[count++] = (struct pollfd){.fd = connecting->list[i].fd, .events = POLLOUT};
    return count > 0 && poll(ready, count, 0) > 0;
}

static void free_connecting(sluice_loop *loop, struct sluice_connecting *connecting) {
    sluice_query_end(&connecting->query);
    sluice_timers_cancel(&loop->deadlines, connecting->timer);
    sluice_free(&loop->allocator, connecting->list);
    sluice_free(&loop->allocator, connecting);
}

const char *sluice_connecting_end(sluice_loop *loop, struct sluice_stream *stream) {
    struct sluice_connecting *connecting = connecting_of(stream);
    const char *words = connecting->words;
    for (uint32_t i = 0; connecting->list && i < connecting->attempts.begun; i++)
        close_attempt(loop, &connecting->list[i]);
    free_connecting(loop, connecting);
    stream->extras->connecting = NULL;
    return words;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* Makes what a stream connects by; or returns NULL if memory ran out. */
static struct sluice_connecting *make_connecting(sluice_loop *loop,
                                                 const struct sluice_stream_settings *settings) {
    struct sluice_connecting *connecting =
        SLUICE_NEW(&loop->allocator, 1, struct sluice_connecting);
    if (!connecting)
        return NULL;
    *connecting = (struct sluice_connecting){.settings = *settings};
    if (settings->source) {
        memcpy(connecting->source, settings->source, strlen(settings->source) + 1);
        connecting->settings.source = connecting->source;
    }
    connecting->timer = sluice_timers_add(&loop->deadlines, INT64_MAX, SLUICE_ATTEMPT_DELAY_NS, 0);
    if (connecting->timer == SLUICE_NO_TIMER) {
        sluice_free(&loop->allocator, connecting);
        return NULL;
    }
    return connecting;
}

/* Makes the stream, and asks for the name last, so that no name is asked for without a stream. */
static int begin_stream(sluice_loop *loop, struct sluice_connecting *connecting,
                        const struct sluice_stream_start *start,
                        const struct sluice_endpoint *endpoint, sluice_id *id) {
    sluice_id made;
    int code = sluice_stream_begin(loop, start, &made);
    if (code < 0)
        return code;
    uint32_t index = sluice_id_index(made);
    struct sluice_stream *stream = sluice_stream_at(loop, index);
    struct sluice_extras *extras = sluice_stream_extras(loop, stream);
    code = extras ? sluice_query_begin(loop, &connecting->query, made, endpoint->name,
                                       endpoint->port, AF_UNSPEC)
                  : SLUICE_ENOMEM;
    if (code < 0) {
        sluice_stream_forget(loop, stream);
        return code;
    }
    extras->connecting = connecting;
    sluice_timers_set_user(&loop->deadlines, connecting->timer,
                           sluice_id_of(SLUICE_KIND_ATTEMPT, index, 0));
    *id = made;
    return 0;
}

/* Checks the address that the attempts come from. It is copied, so it must fit. Returns 0 or an
 * error. */
static int check_source(const char *text) {
    struct sluice_address source;
    if (!text)
        return 0;
    int code = sluice_address_parse(&source, text);
    return code == 0 && strlen(text) >= SLUICE_ADDRESS_MAX ? SLUICE_EOPTION : code;
}

int sluice_connect_by_name(sluice_loop *loop, const struct sluice_stream_settings *settings,
                           const struct sluice_endpoint *endpoint, sluice_id *id) {
    struct sluice_stream_start start = {.fd = -1,
                                        .role = SLUICE_ROLE_CONNECTING,
                                        .origin = SLUICE_ORIGIN_NONE,
                                        .connect_timeout_ns = settings->connect_timeout_ns};
    int code = check_source(settings->source);
    if (code == 0)
        code = sluice_cohort_join(loop, settings, 0, &start.cohort);
    if (code < 0)
        return code;
    sluice_lookups_begin(loop);
    struct sluice_connecting *connecting = make_connecting(loop, settings);
    code = connecting ? begin_stream(loop, connecting, &start, endpoint, id) : SLUICE_ENOMEM;
    if (code < 0 && connecting)
        free_connecting(loop, connecting);
    if (code < 0)
        sluice_cohort_leave(loop, start.cohort);
    return code;
}

const char *sluice_name_problem(const sluice_loop *loop, sluice_id id) {
    if (sluice_loop_check(loop) < 0)
        return NULL;
    if (id == loop->problem_id)
        return loop->problem;
    const struct sluice_stream *stream =
        (const struct sluice_stream *)sluice_find(&loop->streams, SLUICE_KIND_STREAM, id);
    return stream && stream->extras ? stream->extras->problem : NULL;
}

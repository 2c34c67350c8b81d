/* loops.c - see loops.h. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#define MOST_LOOPS 8

/* Before each block: its size, and bytes that nobody may write to. The distance keeps blocks
 * aligned. */
#define HEADER 32
#define GUARD 0xA5

/* A loop and what it has allocated. Only the thread that it belongs to may ask for memory. */
struct kept_loop {
    sluice_loop *loop;
    pthread_t thread;
    size_t live;
    bool written_before; /* to bytes before a block */
    atomic_bool asked_elsewhere;
};

static struct kept_loop kept[MOST_LOOPS];

static void *reallocate(void *context, void *block, size_t size) {
    struct kept_loop *owner = context;
    if (!pthread_equal(owner->thread, pthread_self()))
        atomic_store(&owner->asked_elsewhere, true);
    unsigned char *before = block ? (unsigned char *)block - HEADER : NULL;
    size_t old_size = 0;
    if (before)
        memcpy(&old_size, before, sizeof old_size);
    for (size_t i = sizeof old_size; before && i < HEADER; i++)
        owner->written_before |= before[i] != GUARD;
    if (size == 0) {
        free(before);
        owner->live -= old_size;
        return NULL;
    }
    unsigned char *after = realloc(before, size + HEADER);
    if (!after)
        return NULL;
    memset(after, GUARD, HEADER);
    memcpy(after, &size, sizeof size);
    owner->live += size - old_size;
    return after + HEADER;
}

static struct kept_loop *find_kept(const sluice_loop *loop) {
    for (size_t i = 0; i < MOST_LOOPS; i++)
        if (kept[i].loop == loop)
            return &kept[i];
    fail_msg("no loop of this test, or too many of them");
    return NULL;
}

/* After the test: of a loop that the test has destroyed already, nothing. */
static void destroy_kept(void *argument) {
    struct kept_loop *owner = argument;
    if (!owner->loop)
        return;
    sluice_loop *loop = owner->loop;
    owner->loop = NULL;
    assert_int_equal(sluice_destroy(loop), 0);
    assert_int_equal(owner->live, 0);
    assert_false(owner->written_before);
    assert_false(owner->asked_elsewhere);
}

sluice_loop *make_loop_with(sluice_options options) {
    struct kept_loop *owner = find_kept(NULL);
    options.size = sizeof options;
    options.backend = test_backend();
    options.reallocate = reallocate;
    options.allocation_context = owner;
    owner->thread = pthread_self();
    owner->live = 0;
    owner->written_before = false;
    atomic_store(&owner->asked_elsewhere, false);
    sluice_loop *loop;
    assert_int_equal(sluice_open(&loop, &options), 0);
    owner->loop = loop;
    defer(destroy_kept, owner);
    return loop;
}

sluice_loop *make_loop(void) {
    return make_loop_with((sluice_options){0});
}

static void destroy_plain(void *loop) {
    assert_int_equal(sluice_destroy(loop), 0);
}

sluice_loop *make_plain_loop(void) {
    const sluice_options options = {.size = sizeof options, .backend = test_backend()};
    sluice_loop *loop;
    assert_int_equal(sluice_open(&loop, &options), 0);
    defer(destroy_plain, loop);
    return loop;
}

void end_loop(sluice_loop *loop) {
    destroy_kept(find_kept(loop));
}

int take_over(sluice_loop *loop) {
    find_kept(loop)->thread = pthread_self();
    return sluice_take_over(loop);
}

size_t loop_memory(const sluice_loop *loop) {
    return find_kept(loop)->live;
}

/* ---- Pulling -------------------------------------------------------------------------------- */

static const char *kind_name(uint32_t kind) {
    static const char *const names[] = {"none",     "READY",      "TIMER",   "SIGNAL", "POSTED",
                                        "ACCEPTED", "CONNECTED",  "DATA",    "EOF",    "DRAINED",
                                        "CLOSED",   "OVERLOADED", "RESOLVED"};
    return kind < COUNT_OF(names) ? names[kind] : "no kind";
}

static void fail_event(const char *wanted, const sluice_event *event) {
    fail_msg("%s was expected, and there came %s of %#llx, error %d, length %zu", wanted,
             kind_name(event->kind), (unsigned long long)event->id, event->error, event->length);
}

sluice_event next_event(sluice_loop *loop) {
    sluice_event event = {0};
    int code = sluice_next(loop, &event, PATIENCE_NS);
    if (code != 1)
        fail_msg("no event came: %d", code);
    return event;
}

sluice_event expect_event(sluice_loop *loop, enum sluice_event_kind kind) {
    sluice_event event = {0};
    int code = sluice_next(loop, &event, PATIENCE_NS);
    if (code != 1)
        fail_msg("%s was expected, and none came: %d", kind_name(kind), code);
    if (event.kind != (uint32_t)kind)
        fail_event(kind_name(kind), &event);
    return event;
}

sluice_event expect_event_of(sluice_loop *loop, enum sluice_event_kind kind, sluice_id id) {
    sluice_event event = expect_event(loop, kind);
    assert_int_equal(event.id, id);
    return event;
}

void expect_closed(sluice_loop *loop, sluice_id id, int error, size_t unsent) {
    sluice_event event = expect_event_of(loop, SLUICE_CLOSED, id);
    assert_int_equal(event.error, error);
    assert_int_equal(event.length, unsent);
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_ESTALE);
}

void expect_text(sluice_loop *loop, sluice_id id, const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        sluice_event event = expect_event_of(loop, SLUICE_DATA, id);
        assert_in_range(event.length, 1, length);
        assert_memory_equal(event.data, text, event.length);
        text += event.length;
        length -= event.length;
    }
}

bool pull_now(sluice_loop *loop, sluice_event *event) {
    sluice_event next;
    int code = sluice_next(loop, &next, 0);
    assert_in_range(code, 0, 1);
    if (code == 1)
        *event = next;
    return code == 1;
}

void expect_no_event(sluice_loop *loop) {
    sluice_event event = {0};
    for (int turn = 0; turn < 5; turn++)
        if (pull_now(loop, &event))
            fail_event("no event", &event);
}

/* ---- Stories -------------------------------------------------------------------------------- */

struct story new_story(void) {
    return (struct story){.is_pattern = true};
}

void add_to_story(struct story *story, const sluice_event *event) {
    assert_int_equal(story->closed, 0);
    switch (event->kind) {
    case SLUICE_CONNECTED:
        story->connected++;
        break;
    case SLUICE_DATA:
        assert_int_equal(story->eof, 0);
        assert_true(event->length > 0);
        assert_false(story->has_last);
        assert_in_range(event->value >> 1, 0, event->length);
        story->has_last = (event->value & SLUICE_LAST) != 0;
        for (size_t i = 0; i < event->length; i++, story->length++) {
            unsigned char byte = ((const unsigned char *)event->data)[i];
            story->is_pattern &= byte == pattern_at(story->length);
            if (story->length < sizeof story->bytes)
                story->bytes[story->length] = byte;
        }
        story->data++;
        break;
    case SLUICE_EOF:
        story->eof++;
        break;
    case SLUICE_DRAINED:
        story->drained++;
        break;
    case SLUICE_CLOSED:
        story->closed++;
        story->error = event->error;
        story->unsent = event->length;
        assert_true(event->value == 0 || event->value == SLUICE_INPUT_ENDED);
        story->input_ended = event->value == SLUICE_INPUT_ENDED;
        assert_true(story->input_ended || story->eof == 0);
        break;
    default:
        fail_event("an event of a stream", event);
    }
    assert_true(story->eof <= 1);
}

static int add_events(sluice_loop *loop, sluice_id id, struct story *story, int capacity,
                      int64_t timeout_ns) {
    sluice_event events[64];
    assert_in_range(capacity, 1, COUNT_OF(events));
    int count = capacity == 1 ? sluice_next(loop, events, timeout_ns)
                              : sluice_next_many(loop, events, capacity, timeout_ns);
    assert_in_range(count, 0, capacity);
    for (int i = 0; i < count; i++) {
        if (events[i].id != id)
            fail_event("an event of one stream alone", &events[i]);
        add_to_story(story, &events[i]);
    }
    /* What was pulled last can be answered, and held. */
    if (count > 0 && events[count - 1].kind != SLUICE_CLOSED)
        assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_STREAM);
    return count;
}

void hear_now(sluice_loop *loop, sluice_id id, struct story *story, int capacity) {
    /* A turn without an event may still have moved something. */
    for (int quiet = 0; quiet < 4;)
        quiet = add_events(loop, id, story, capacity, 0) ? 0 : quiet + 1;
}

void hear_out(sluice_loop *loop, sluice_id id, struct story *story, int capacity) {
    while (story->closed == 0)
        if (add_events(loop, id, story, capacity, PATIENCE_NS) == 0)
            fail_msg("CLOSED was expected, and none came");
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_ESTALE);
    hear_now(loop, id, story, capacity);
}

bool story_is(const struct story *story, const char *text) {
    size_t length = strlen(text);
    assert_true(length <= sizeof story->bytes);
    return story->length == length && memcmp(story->bytes, text, length) == 0;
}

/* ---- Streams -------------------------------------------------------------------------------- */

void write_all(sluice_loop *loop, sluice_id id, const void *bytes, size_t length) {
    assert_in_range(sluice_write(loop, id, bytes, length), 0, 1);
}

sluice_stream_options stream_options(uint32_t flags) {
    return (sluice_stream_options){.size = sizeof(sluice_stream_options), .flags = flags};
}

sluice_listen_options listen_options(void) {
    return (sluice_listen_options){.size = sizeof(sluice_listen_options)};
}

sluice_statistics stats_of(const sluice_loop *loop) {
    sluice_statistics stats = {.size = sizeof stats};
    assert_int_equal(sluice_stats(loop, &stats), 0);
    return stats;
}

struct line line_of(sluice_loop *loop, struct pair pair, const sluice_stream_options *options) {
    struct line line = {.peer = pair.far};
    assert_int_equal(sluice_adopt(loop, &line.id, pair.near, options), 0);
    release(pair.near);
    return line;
}

struct line unix_line(sluice_loop *loop) {
    return line_of(loop, unix_pair(), NULL);
}

struct line tcp_line(sluice_loop *loop) {
    return line_of(loop, tcp_pair(), NULL);
}

sluice_id make_listener(sluice_loop *loop, const sluice_listen_options *options, char *address) {
    sluice_id id;
    assert_int_equal(sluice_listen(loop, &id, "127.0.0.1:0", options), 0);
    assert_true(sluice_local_address(loop, id, address, SLUICE_ADDRESS_MAX) > 0);
    return id;
}

int dial(const char *address) {
    return keep(sluice_socket_connect(address));
}

/* ---- Plain descriptors ---------------------------------------------------------------------- */

void put_text(int fd, const char *text) {
    size_t length = strlen(text);
    assert_int_equal(write(fd, text, length), length);
}

size_t take_some(int fd, void *bytes, size_t length) {
    ptrdiff_t count = read(fd, bytes, length);
    if (count < 0)
        assert_int_equal(errno, EAGAIN);
    return count < 0 ? 0 : (size_t)count;
}

void take_text(int fd, const char *text) {
    size_t length = strlen(text);
    char bytes[4096];
    assert_true(length <= sizeof bytes);
    for (size_t at = 0; at < length;) {
        await(fd, POLLIN);
        size_t count = take_some(fd, bytes + at, length - at);
        assert_true(count > 0);
        at += count;
    }
    assert_memory_equal(bytes, text, length);
}

void expect_end(int fd) {
    char byte;
    await(fd, POLLIN | POLLHUP);
    assert_int_equal(read(fd, &byte, 1), 0);
}

void await_bytes(int fd, size_t length) {
    const struct timespec moment = {.tv_nsec = 100000};
    int count = 0;
    /* Counted, since time may be made up. */
    for (int i = 0; i < PATIENCE_MS * 10; i++) {
        assert_int_equal(ioctl(fd, FIONREAD, &count), 0);
        if ((size_t)count >= length)
            return;
        nanosleep(&moment, NULL);
    }
    fail_msg("%zu bytes were awaited, and %d came", length, count);
}

void await_end(int fd) {
    await(fd, POLLRDHUP);
}

void await_hang_up(int fd) {
    await(fd, POLLHUP);
}

void reset_connection(int fd) {
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    drop(fd);
}

/* ---- Numbers -------------------------------------------------------------------------------- */

int lowest_number(void) {
    int lowest = dup(STDIN_FILENO);
    assert_true(lowest >= 0);
    assert_int_equal(close(lowest), 0);
    return lowest;
}

void close_number(int number) {
    while (lowest_number() < number)
        keep(dup(STDIN_FILENO));
    assert_int_equal(close(number), 0);
    assert_int_equal(lowest_number(), number);
}

static rlim_t limit_before;

static void set_fd_limit(rlim_t limit) {
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

void free_descriptors(void) {
    set_fd_limit(limit_before);
}

static void restore_fd_limit(void *unused) {
    (void)unused;
    free_descriptors();
}

void use_up_descriptors(void) {
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    limit_before = now.rlim_cur;
    defer(restore_fd_limit, NULL);
    int highest = 0;
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            highest = fd;
    set_fd_limit((rlim_t)highest + 1);
    for (int fd = dup(STDIN_FILENO); fd >= 0; fd = dup(STDIN_FILENO))
        keep(fd);
    assert_int_equal(errno, EMFILE);
}

/* ---- Made-up time and bytes ----------------------------------------------------------------- */

static void use_real_time(void *unused) {
    (void)unused;
    simulate_time(false);
}

void make_up_time(void) {
    simulate_time(true);
    defer(use_real_time, NULL);
}

unsigned char pattern_at(size_t place) {
    return (unsigned char)(place ^ place >> 8 ^ place >> 16);
}

void make_pattern(unsigned char *bytes, size_t place, size_t length) {
    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern_at(place + i);
}

void check_pattern(const unsigned char *bytes, size_t place, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != pattern_at(place + i))
            fail_msg("byte %zu is wrong", place + i);
}

uint32_t random_below(uint32_t limit) {
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % limit);
}

/* test_loop_keep.c - sluice_keep and sluice_return: bytes of an event that stay where they are. */
#include "loops.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define ROOM ((size_t)8192) /* receive_size of most loops here */
#define SPARES 8            /* buffers that a loop has ready */

static sluice_loop *small_loop(void) {
    return make_loop_with((sluice_options){.receive_size = ROOM});
}

static uint64_t memory_of(const sluice_loop *loop) {
    return stats_of(loop).queue_memory;
}

static void *keep_bytes(sluice_loop *loop, sluice_id id) {
    void *kept = NULL;
    assert_int_equal(sluice_keep(loop, id, &kept), 0);
    assert_non_null(kept);
    return kept;
}

static void give_back(sluice_loop *loop, void *kept) {
    assert_int_equal(sluice_return(loop, kept), 0);
}

static void is_refused(sluice_loop *loop, sluice_id id, int code) {
    void *kept = loop;
    assert_int_equal(sluice_keep(loop, id, &kept), code);
    assert_null(kept);
}

/* The peer says so much of the pattern, from `place` on, which comes as one event. */
static sluice_event receive_pattern(sluice_loop *loop, struct line line, size_t place,
                                    size_t length) {
    unsigned char bytes[1000];
    assert_true(length <= sizeof bytes);
    make_pattern(bytes, place, length);
    assert_int_equal(write(line.peer, bytes, length), length);
    return expect_event_of(loop, SLUICE_DATA, line.id);
}

static sluice_event receive_text(sluice_loop *loop, struct line line, const char *text) {
    put_text(line.peer, text);
    return expect_event_of(loop, SLUICE_DATA, line.id);
}

static void is_text(const sluice_event *event, const char *text) {
    assert_int_equal(event->length, strlen(text));
    assert_memory_equal(event->data, text, event->length);
}

/* ---- Of one event ------------------------------------------------------------------------------
 */

static void they_stay_until_returned(void) {
    sluice_loop *loop = small_loop();
    struct line line = unix_line(loop);
    sluice_event events[30];
    void *kept[COUNT_OF(events)];
    size_t places[COUNT_OF(events)];
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        places[i] = i * 1000;
        events[i] = receive_pattern(loop, line, i * 1000, 1000);
        kept[i] = keep_bytes(loop, line.id);
        assert_int_equal(memory_of(loop), (i + 1) * ROOM);
    }
    for (size_t left = COUNT_OF(events); left > 0; left--) {
        size_t i = random_below((uint32_t)left);
        give_back(loop, kept[i]);
        kept[i] = kept[left - 1];
        events[i] = events[left - 1];
        places[i] = places[left - 1];
        receive_text(loop, line, "another");
        for (size_t k = 0; k < left - 1; k++)
            check_pattern(events[k].data, places[k], 1000);
    }
    assert_int_equal(memory_of(loop), 0);
}

/* The first of them needs no more than a buffer and the place where it is noted. */
static void in_turn_they_allocate_nothing(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    void *kept[SPARES];
    long before = 0;
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < SPARES; i++) {
            receive_pattern(loop, line, i, 100);
            kept[i] = keep_bytes(loop, line.id);
        }
        for (size_t i = 0; i < SPARES; i++)
            give_back(loop, kept[i]);
        receive_pattern(loop, line, 0, 1);
        if (round == 0)
            before = allocation_count();
    }
    assert_int_equal(allocation_count(), before);
}

static void few_spares_are_left(void) {
    sluice_loop *loop = small_loop();
    struct line line = unix_line(loop);
    receive_text(loop, line, "first");
    give_back(loop, keep_bytes(loop, line.id));
    receive_text(loop, line, "second");
    size_t before = loop_memory(loop); /* with one that is spare */
    void *kept[16];
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        receive_text(loop, line, "more");
        kept[i] = keep_bytes(loop, line.id);
    }
    assert_true(loop_memory(loop) >= before + (COUNT_OF(kept) - 1) * ROOM);
    receive_text(loop, line, "last");
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        give_back(loop, kept[i]);
    assert_true(loop_memory(loop) < before + SPARES * ROOM);
    assert_int_equal(memory_of(loop), 0);
}

static void what_is_refused(void) {
    sluice_loop *loop = small_loop();
    struct line line = unix_line(loop);
    struct line other = unix_line(loop);
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, PATIENCE_NS, 0, 0), 0);
    void *kept = &kept;
    assert_int_equal(sluice_keep(NULL, line.id, &kept), SLUICE_ENULL);
    is_refused(loop, line.id, SLUICE_ESTATE);
    is_refused(loop, timer, SLUICE_EKIND);
    receive_text(loop, line, "text");
    assert_int_equal(sluice_keep(loop, line.id, NULL), SLUICE_ENULL);
    is_refused(loop, other.id, SLUICE_ESTATE);
    receive_text(loop, other, "text");
    is_refused(loop, line.id, SLUICE_ESTATE);
    kept = keep_bytes(loop, other.id);
    is_refused(loop, other.id, SLUICE_ESTATE); /* a second time */
    give_back(loop, kept);
    is_refused(loop, other.id, SLUICE_ESTATE);
    expect_no_event(loop);
    is_refused(loop, other.id, SLUICE_ESTATE);
    receive_text(loop, line, "text");
    assert_int_equal(sluice_abort(loop, line.id), 0);
    is_refused(loop, line.id, SLUICE_ESTALE);
    expect_closed(loop, line.id, -ECONNABORTED, 0);
    assert_int_equal(shutdown(other.peer, SHUT_WR), 0);
    expect_event_of(loop, SLUICE_EOF, other.id);
    is_refused(loop, other.id, SLUICE_ESTATE);
}

static void what_is_not_taken_back(void) {
    sluice_loop *loop = small_loop();
    struct line line = unix_line(loop);
    int unknown;
    assert_int_equal(sluice_return(NULL, &unknown), SLUICE_ENULL);
    assert_int_equal(sluice_return(loop, NULL), SLUICE_ENULL);
    assert_int_equal(sluice_return(loop, &unknown), SLUICE_ESTALE);
    sluice_event event = receive_text(loop, line, "text");
    void *first = keep_bytes(loop, line.id);
    assert_int_equal(sluice_return(loop, (void *)(uintptr_t)event.data), SLUICE_ESTALE);
    assert_int_equal(sluice_return(loop, &unknown), SLUICE_ESTALE);
    assert_int_equal(sluice_return(loop, (void *)UINTPTR_MAX), SLUICE_ESTALE);
    assert_int_equal(sluice_return(loop, (unsigned char *)first + 1), SLUICE_ESTALE);
    give_back(loop, first);
    assert_int_equal(sluice_return(loop, first), SLUICE_ESTALE);
    event = receive_text(loop, line, "second");
    void *second = keep_bytes(loop, line.id);
    assert_int_equal(sluice_return(loop, first), SLUICE_ESTALE);
    receive_text(loop, line, "third");
    is_text(&event, "second");
    give_back(loop, second);
}

/* ---- Of several that were pulled together ------------------------------------------------------
 */

#define TOGETHER 5

/* Events of as many streams: that of lines[i] is events[i]. */
static void receive_together(sluice_loop *loop, struct line *lines, sluice_event *events) {
    for (size_t i = 0; i < TOGETHER; i++) {
        unsigned char bytes[500];
        make_pattern(bytes, i, sizeof bytes);
        assert_int_equal(write(lines[i].peer, bytes, sizeof bytes), sizeof bytes);
    }
    sluice_event pulled[TOGETHER];
    int count = sluice_next_many(loop, pulled, TOGETHER, PATIENCE_NS);
    assert_int_equal(count, TOGETHER);
    for (size_t e = 0; e < TOGETHER; e++)
        for (size_t i = 0; i < TOGETHER; i++)
            if (pulled[e].id == lines[i].id)
                events[i] = pulled[e];
}

static void check_events(const sluice_event *events, size_t from) {
    for (size_t i = from; i < TOGETHER; i++) {
        assert_int_equal(events[i].length, 500);
        check_pattern(events[i].data, i, 500);
    }
}

static void several_share_a_buffer(void) {
    sluice_loop *loop = small_loop();
    struct line lines[TOGETHER];
    sluice_event events[TOGETHER];
    void *kept[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++)
        lines[i] = unix_line(loop);
    for (int round = 0; round < 20; round++) {
        receive_together(loop, lines, events);
        for (size_t i = 0; i < TOGETHER; i++) {
            kept[i] = keep_bytes(loop, lines[i].id);
            assert_int_equal(memory_of(loop), ROOM);
        }
        receive_text(loop, lines[0], "another");
        for (size_t i = 0; i < TOGETHER; i++) {
            assert_int_equal(memory_of(loop), ROOM);
            check_events(events, i);
            give_back(loop, kept[i]);
            receive_text(loop, lines[1], "another");
        }
        assert_int_equal(memory_of(loop), 0);
    }
}

/* One is returned at once, and the others stay valid: one of those is kept then. */
static void one_is_returned_and_others_are_kept(void) {
    sluice_loop *loop = small_loop();
    struct line lines[TOGETHER];
    sluice_event events[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++)
        lines[i] = unix_line(loop);
    receive_together(loop, lines, events);
    give_back(loop, keep_bytes(loop, lines[0].id));
    assert_int_equal(memory_of(loop), ROOM);
    check_events(events, 0);
    void *kept = keep_bytes(loop, lines[4].id);
    receive_text(loop, lines[0], "another");
    check_events(events, 4);
    assert_int_equal(memory_of(loop), ROOM);
    give_back(loop, kept);
    assert_int_equal(memory_of(loop), 0);
}

/* ---- Answers -----------------------------------------------------------------------------------
 */

/* With the bytes of the event, kept or not: nothing is queued. */
static void an_answer_within_the_event_is_not_copied(void) {
    sluice_loop *loop = small_loop();
    for (int how = 0; how < 4; how++) {
        struct line line = unix_line(loop);
        sluice_event event = receive_pattern(loop, line, 0, 1000);
        void *kept = NULL;
        if (how & 1)
            kept = keep_bytes(loop, line.id);
        assert_int_equal(sluice_write(loop, line.id, event.data, 1000), 0);
        if (!kept)
            kept = keep_bytes(loop, line.id);
        assert_int_equal(sluice_pending(loop, line.id), 1000);
        assert_int_equal(memory_of(loop), ROOM);
        if (how & 2)
            give_back(loop, kept);
        expect_no_event(loop);
        unsigned char echo[1000];
        assert_int_equal(take_some(line.peer, echo, sizeof echo), sizeof echo);
        check_pattern(echo, 0, sizeof echo);
        if (!(how & 2))
            give_back(loop, kept);
        assert_int_equal(memory_of(loop), 0);
    }
}

/* The buffer will be freed, because there are enough spare ones, but not before these bytes are
 * sent. */
static void an_answer_is_sent_though_its_bytes_were_returned(void) {
    sluice_loop *loop = make_plain_loop();
    struct line line = unix_line(loop);
    void *others[SPARES + 2];
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        receive_text(loop, line, "other");
        others[i] = keep_bytes(loop, line.id);
    }
    sluice_event event = receive_pattern(loop, line, 0, 1000);
    void *kept = keep_bytes(loop, line.id);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        give_back(loop, others[i]);
    assert_int_equal(sluice_write(loop, line.id, event.data, 1000), 0);
    give_back(loop, kept);
    expect_no_event(loop);
    unsigned char echo[1000];
    assert_int_equal(take_some(line.peer, echo, sizeof echo), sizeof echo);
    check_pattern(echo, 0, sizeof echo);
}

static void a_later_answer_is_copied(void) {
    sluice_loop *loop = small_loop();
    struct line line = unix_line(loop);
    sluice_event event = receive_pattern(loop, line, 0, 1000);
    void *kept = keep_bytes(loop, line.id);
    expect_no_event(loop);
    assert_int_equal(sluice_write(loop, line.id, event.data, 1000), 0);
    give_back(loop, kept);
    assert_int_equal(sluice_pending(loop, line.id), 1000);
    receive_text(loop, line, "what overwrites the buffer, or finds it free");
    give_back(loop, keep_bytes(loop, line.id));
    unsigned char echo[1000];
    expect_no_event(loop);
    assert_int_equal(take_some(line.peer, echo, sizeof echo), sizeof echo);
    check_pattern(echo, 0, sizeof echo);
}

/* ---- With bytes that are held ------------------------------------------------------------------
 */

static void held_bytes_are_kept_too(void) {
    sluice_loop *loop = small_loop();
    struct line line = unix_line(loop);
    receive_text(loop, line, "held ");
    assert_int_equal(sluice_hold(loop, line.id, 5), 0);
    sluice_event event = receive_text(loop, line, "and joined");
    uint64_t before = memory_of(loop);
    void *kept = keep_bytes(loop, line.id);
    is_refused(loop, line.id, SLUICE_ESTATE);
    assert_int_equal(memory_of(loop), before); /* it is that block */
    sluice_event next = receive_text(loop, line, "more");
    is_text(&next, "more");
    assert_int_equal(next.value, 0);
    is_text(&event, "held and joined");
    give_back(loop, kept);
    assert_int_equal(sluice_return(loop, kept), SLUICE_ESTALE);
    assert_int_equal(memory_of(loop), 0);
}

/* In any order, and whether the bytes are in the receive buffer or were joined: what is held comes
 * again, and what is kept stays. */
static void held_and_kept(void) {
    sluice_loop *loop = small_loop();
    for (int how = 0; how < 16; how++) {
        struct line line = unix_line(loop);
        const char *text = "joined";
        bool joined = how & 1;
        bool held_before = how & 2;
        bool held_after = how & 4;
        bool returned_at_once = how & 8;
        if (joined) {
            receive_text(loop, line, "is ");
            assert_int_equal(sluice_hold(loop, line.id, 3), 0);
            text = "is joined";
        }
        sluice_event event = receive_text(loop, line, "joined");
        if (held_before)
            assert_int_equal(sluice_hold(loop, line.id, 4), 0);
        void *kept = keep_bytes(loop, line.id);
        if (returned_at_once)
            give_back(loop, kept);
        if (held_after)
            assert_int_equal(sluice_hold(loop, line.id, 2), 0);
        is_text(&event, text);
        sluice_event next = receive_text(loop, line, " again");
        is_text(&next, held_after ? "ed again" : held_before ? "ined again" : " again");
        assert_int_equal(sluice_hold(loop, line.id, 0), 0);
        if (!returned_at_once) {
            is_text(&event, text);
            give_back(loop, kept);
        }
        expect_no_event(loop);
        assert_int_equal(memory_of(loop), 0);
    }
}

/* The bytes that come once more at the end are joined ones, too, and can be kept beyond CLOSED. */
static void the_last_are_kept(void) {
    sluice_loop *loop = small_loop();
    for (int holds_again = 0; holds_again < 2; holds_again++) {
        struct line line = unix_line(loop);
        receive_text(loop, line, "unfinished");
        assert_int_equal(sluice_hold(loop, line.id, 10), 0);
        assert_int_equal(shutdown(line.peer, SHUT_WR), 0);
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        if (holds_again)
            assert_int_equal(sluice_hold(loop, line.id, 10), 0);
        void *kept = keep_bytes(loop, line.id);
        expect_event_of(loop, SLUICE_EOF, line.id);
        expect_closed(loop, line.id, 0, 0);
        is_text(&event, "unfinished");
        give_back(loop, kept);
        assert_int_equal(memory_of(loop), 0);
    }
}

/* A forward passes on what is held, and leaves what is kept. What it has taken cannot be kept any
 * more. */
static void kept_and_forwarded(void) {
    sluice_loop *loop = small_loop();
    for (int how = 0; how < 3; how++) {
        struct line line = unix_line(loop);
        struct line other = unix_line(loop);
        receive_text(loop, line, "held ");
        assert_int_equal(sluice_hold(loop, line.id, 5), 0);
        sluice_event event = receive_text(loop, line, "text");
        void *kept = NULL;
        if (how == 1)
            assert_int_equal(sluice_hold(loop, line.id, 4), 0);
        if (how < 2)
            kept = keep_bytes(loop, line.id);
        assert_int_equal(sluice_forward(loop, line.id, other.id), 0);
        if (how == 2)
            is_refused(loop, line.id, SLUICE_ESTATE);
        is_text(&event, "held text");
        put_text(line.peer, "!");
        expect_no_event(loop);
        take_text(other.peer, how == 1 ? "text!" : "!");
        if (how < 2) {
            is_text(&event, "held text");
            give_back(loop, kept);
        }
        assert_int_equal(memory_of(loop), 0);
    }
}

/* ---- Limits and ends ---------------------------------------------------------------------------
 */

static void memory_limit_counts_them(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.receive_size = ROOM, .memory_limit = 3 * ROOM - 1});
    struct line line = unix_line(loop);
    receive_text(loop, line, "first");
    void *first = keep_bytes(loop, line.id);
    receive_text(loop, line, "second");
    void *second = keep_bytes(loop, line.id);
    static unsigned char much[2 * ROOM];
    fill(sluice_fd(loop, line.id));
    assert_int_equal(sluice_write(loop, line.id, much, ROOM), SLUICE_EFULL);
    sluice_event event = receive_text(loop, line, "third");
    is_refused(loop, line.id, SLUICE_EFULL);
    assert_int_equal(memory_of(loop), 2 * ROOM);
    is_text(&event, "third");
    assert_int_equal(sluice_hold(loop, line.id, 5), 0);
    event = receive_text(loop, line, " and fourth");
    is_text(&event, "third and fourth");
    give_back(loop, first);
    assert_int_equal(sluice_write(loop, line.id, much, ROOM), 0);
    expect_no_event(loop);
    give_back(loop, second);
    assert_int_equal(sluice_abort(loop, line.id), 0);
    expect_closed(loop, line.id, -ECONNABORTED, ROOM);
    assert_int_equal(memory_of(loop), 0);
}

/* If joined bytes are held again, they need a copy, for which there may be no room. Then the bytes
 * come again as if nothing had been asked. */
static void no_room_for_what_is_held_again(void) {
    sluice_loop *loop =
        make_loop_with((sluice_options){.receive_size = 4096, .memory_limit = 3000});
    struct line line = unix_line(loop);
    receive_pattern(loop, line, 0, 1000);
    assert_int_equal(sluice_hold(loop, line.id, 1000), 0);
    sluice_event event = receive_pattern(loop, line, 1000, 500);
    assert_int_equal(sluice_hold(loop, line.id, 1400), 0);
    uint64_t before = memory_of(loop);
    is_refused(loop, line.id, SLUICE_EFULL);
    assert_int_equal(memory_of(loop), before);
    check_pattern(event.data, 0, 1500);
    event = receive_pattern(loop, line, 1500, 100);
    assert_int_equal(event.length, 1500);
    check_pattern(event.data, 100, 1500);
    void *kept = keep_bytes(loop, line.id);
    give_back(loop, kept);
    expect_no_event(loop);
    assert_int_equal(memory_of(loop), 0);
}

static void they_outlive_their_stream(void) {
    sluice_loop *loop = small_loop();
    for (int how = 0; how < 3; how++) {
        struct line line = unix_line(loop);
        sluice_event event = receive_pattern(loop, line, 0, 1000);
        void *kept = keep_bytes(loop, line.id);
        if (how == 0)
            assert_int_equal(sluice_abort(loop, line.id), 0);
        if (how == 1)
            assert_int_equal(sluice_close(loop, line.id), 0);
        drop(line.peer);
        if (how == 2)
            expect_event_of(loop, SLUICE_EOF, line.id);
        expect_closed(loop, line.id, how == 0 ? -ECONNABORTED : 0, 0);
        struct line other = unix_line(loop); /* which may have its slot */
        receive_text(loop, other, "another");
        check_pattern(event.data, 0, 1000);
        give_back(loop, kept);
        assert_int_equal(memory_of(loop), 0);
    }
}

/* end_loop looks whether anything is left. */
static void the_loops_end_frees_them(void) {
    for (int how = 0; how < 4; how++) {
        sluice_loop *loop = small_loop();
        struct line line = unix_line(loop);
        receive_text(loop, line, "first");
        keep_bytes(loop, line.id);
        receive_text(loop, line, "second");
        assert_int_equal(sluice_hold(loop, line.id, 6), 0);
        receive_text(loop, line, " and third");
        void *joined = keep_bytes(loop, line.id);
        sluice_event event = receive_text(loop, line, "fourth");
        void *fourth = keep_bytes(loop, line.id);
        if (how & 1) {
            assert_int_equal(sluice_write(loop, line.id, event.data, event.length), 0);
            give_back(loop, fourth);
        }
        if (how & 2)
            give_back(loop, joined);
        end_loop(loop);
        if (how & 1)
            take_text(line.peer, "fourth");
    }
}

static void *add_up(void *bytes) {
    static long sum;
    sum = 0;
    for (size_t i = 0; i < 1000; i++)
        sum += ((const unsigned char *)bytes)[i];
    return &sum;
}

static void another_thread_reads_them(void) {
    sluice_loop *loop = small_loop();
    struct line line = unix_line(loop);
    sluice_event event = receive_pattern(loop, line, 0, 1000);
    void *kept = keep_bytes(loop, line.id);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, add_up, (void *)(uintptr_t)event.data), 0);
    for (int i = 0; i < 100; i++)
        receive_pattern(loop, line, 1, 1000);
    void *sum;
    assert_int_equal(pthread_join(thread, &sum), 0);
    long expected = 0;
    for (size_t i = 0; i < 1000; i++)
        expected += pattern_at(i);
    assert_int_equal(*(long *)sum, expected);
    give_back(loop, kept);
}

/* Each has them, and gives its own back. */
static void the_child_of_a_fork_has_them_too(void) {
    sluice_loop *loop = make_plain_loop();
    struct line line = unix_line(loop);
    sluice_event event = receive_pattern(loop, line, 0, 1000);
    void *kept = keep_bytes(loop, line.id);
    pid_t child = fork();
    if (child == 0) {
        bool right = sluice_after_fork(loop) == 0;
        for (size_t i = 0; i < 1000; i++)
            right &= ((const unsigned char *)event.data)[i] == pattern_at(i);
        right &= sluice_return(loop, kept) == 0;
        right &= sluice_return(loop, kept) == SLUICE_ESTALE;
        _exit(right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    receive_text(loop, line, "another");
    check_pattern(event.data, 0, 1000);
    give_back(loop, kept);
}

int main(void) {
    static const struct test tests[] = {
        {"kept bytes stay until they are returned", they_stay_until_returned, NULL},
        {"keep and return in turn allocate nothing", in_turn_they_allocate_nothing, NULL},
        {"few spare buffers are left", few_spares_are_left, NULL},
        {"what cannot be kept", what_is_refused, NULL},
        {"what was returned, or never kept, is refused", what_is_not_taken_back, NULL},
        {"several of one pull share a buffer", several_share_a_buffer, NULL},
        {"one is returned, and others of the pull are kept", one_is_returned_and_others_are_kept,
         NULL},
        {"an answer within the event is not copied", an_answer_within_the_event_is_not_copied,
         NULL},
        {"an answer is sent though its bytes were returned",
         an_answer_is_sent_though_its_bytes_were_returned, NULL},
        {"a later answer is copied", a_later_answer_is_copied, NULL},
        {"joined bytes are kept too", held_bytes_are_kept_too, NULL},
        {"held and kept, in any order", held_and_kept, NULL},
        {"the last bytes are kept beyond CLOSED", the_last_are_kept, NULL},
        {"kept and forwarded", kept_and_forwarded, NULL},
        {"memory_limit counts what is kept", memory_limit_counts_them, NULL},
        {"no room for what is held again", no_room_for_what_is_held_again, NULL},
        {"kept bytes outlive their stream", they_outlive_their_stream, NULL},
        {"the loop's end frees what was not returned", the_loops_end_frees_them, NULL},
        {"another thread reads what is kept", another_thread_reads_them, NULL},
        {"the child of a fork has kept bytes too", the_child_of_a_fork_has_them_too, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

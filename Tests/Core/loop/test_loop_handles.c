/* test_loop_handles.c - ids of handles and the calls that refuse them, user words, watches, options
 * out of range, and statistics. */
#include "loops.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each call that takes an id, made so that only the id can be wrong. */
enum call {
    CLOSE,
    ABORT,
    ABORT_WITH,
    USER,
    SET_USER,
    FD,
    KIND_OF,
    REWATCH,
    TIMER_RESET,
    LOCAL_ADDRESS,
    PEER_ADDRESS,
    WRITE,
    WRITEV,
    SEND_FILE,
    FLUSH,
    SHUTDOWN,
    PAUSE,
    RESUME,
    HOLD,
    HOLD_UNTIL,
    KEEP,
    PENDING,
    FORWARD_FROM,
    FORWARD_TO,
    CALLS
};

static sluice_id other_stream;

static int64_t call_of_stream(sluice_loop *loop, enum call call, sluice_id id) {
    const sluice_slice slice = {"x", 1};
    void *kept;
    switch (call) {
    case WRITE:
        return sluice_write(loop, id, "x", 1);
    case WRITEV:
        return sluice_writev(loop, id, &slice, 1);
    case SEND_FILE:
        return sluice_send_file(loop, id, -1, 0, 1);
    case FLUSH:
        return sluice_flush(loop, id);
    case SHUTDOWN:
        return sluice_shutdown(loop, id);
    case PAUSE:
        return sluice_pause(loop, id);
    case RESUME:
        return sluice_resume(loop, id);
    case HOLD:
        return sluice_hold(loop, id, 0);
    case HOLD_UNTIL:
        return sluice_hold_until(loop, id, 0, 1);
    case KEEP:
        return sluice_keep(loop, id, &kept);
    case PENDING:
        return sluice_pending(loop, id);
    case FORWARD_FROM:
        return sluice_forward(loop, id, other_stream);
    default:
        return sluice_forward(loop, other_stream, id);
    }
}

static int64_t call_with(sluice_loop *loop, enum call call, sluice_id id) {
    uint64_t user;
    char text[SLUICE_ADDRESS_MAX];
    switch (call) {
    case CLOSE:
        return sluice_close(loop, id);
    case ABORT:
        return sluice_abort(loop, id);
    case ABORT_WITH:
        return sluice_abort_with(loop, id, -EPROTO);
    case USER:
        return sluice_user(loop, id, &user);
    case SET_USER:
        return sluice_set_user(loop, id, 1);
    case FD:
        return sluice_fd(loop, id);
    case KIND_OF:
        return sluice_kind_of(loop, id);
    case REWATCH:
        return sluice_rewatch(loop, id, SLUICE_READ);
    case TIMER_RESET:
        return sluice_timer_reset(loop, id, PATIENCE_NS);
    case LOCAL_ADDRESS:
        return sluice_local_address(loop, id, text, sizeof text);
    case PEER_ADDRESS:
        return sluice_peer_address(loop, id, text, sizeof text);
    default:
        return call_of_stream(loop, call, id);
    }
}

static sluice_id make_handle(sluice_loop *loop, enum sluice_kind kind) {
    char address[SLUICE_ADDRESS_MAX];
    sluice_id id = 0;
    int code = 0;
    switch (kind) {
    case SLUICE_KIND_WATCH:
        code = sluice_watch(loop, &id, unix_pair().near, SLUICE_READ, 0);
        break;
    case SLUICE_KIND_TIMER:
        code = sluice_timer(loop, &id, PATIENCE_NS, 0, 0);
        break;
    case SLUICE_KIND_SIGNAL:
        code = sluice_signal(loop, &id, SIGUSR1);
        break;
    case SLUICE_KIND_LISTENER:
        return make_listener(loop, NULL, address);
    case SLUICE_KIND_RESOLVE:
        code = sluice_resolve(loop, &id, "127.0.0.1:80", SLUICE_ANY_FAMILY, 0);
        break;
    default:
        return tcp_line(loop).id;
    }
    assert_int_equal(code, 0);
    return id;
}

/* The call is one for that kind. 0 of sluice_forward is no id. */
static bool is_for(enum call call, enum sluice_kind kind) {
    if (call <= KIND_OF)
        return call != FD || (kind != SLUICE_KIND_TIMER && kind != SLUICE_KIND_SIGNAL &&
                              kind != SLUICE_KIND_RESOLVE);
    if (call == REWATCH)
        return kind == SLUICE_KIND_WATCH;
    if (call == TIMER_RESET)
        return kind == SLUICE_KIND_TIMER;
    if (call == LOCAL_ADDRESS || call == PEER_ADDRESS || call == SHUTDOWN)
        return kind == SLUICE_KIND_STREAM || kind == SLUICE_KIND_LISTENER;
    return kind == SLUICE_KIND_STREAM;
}

static void expect_refusals(sluice_loop *loop, sluice_id id, int code) {
    for (enum call call = CLOSE; call < CALLS; call++)
        if (call_with(loop, call, id) != code)
            fail_msg("call %d of %#llx", (int)call, (unsigned long long)id);
}

static void stale_for_every_call_and_kind(void) {
    sluice_loop *loop = make_loop();
    other_stream = tcp_line(loop).id;
    for (enum sluice_kind kind = SLUICE_KIND_WATCH; kind < SLUICE_KINDS; kind++) {
        sluice_id id = make_handle(loop, kind);
        assert_int_equal(sluice_kind_of(loop, id), kind);
        assert_int_equal(sluice_abort(loop, id), 0);
        expect_refusals(loop, id, SLUICE_ESTALE);
        sluice_event event;
        pull_now(loop, &event); /* a stream's CLOSED */
        expect_refusals(loop, id, SLUICE_ESTALE);
        sluice_id next = make_handle(loop, kind);
        assert_true(next != id);
        expect_refusals(loop, id, SLUICE_ESTALE);
        assert_int_equal(sluice_kind_of(loop, next), kind);
    }
    const sluice_id made_up[] = {UINT64_MAX, 1, (uint64_t)1 << 32, 0x150000000 + 999, 0x1F0000000};
    for (size_t i = 0; i < COUNT_OF(made_up); i++)
        expect_refusals(loop, made_up[i], SLUICE_ESTALE);
    assert_int_equal(sluice_kind_of(loop, 0), SLUICE_ESTALE);
    assert_int_equal(sluice_write(loop, 0, "x", 1), SLUICE_ESTALE);
    assert_int_equal(sluice_kind_of(loop, other_stream), SLUICE_KIND_STREAM);
}

static void wrong_kind_for_every_call(void) {
    sluice_loop *loop = make_loop();
    other_stream = tcp_line(loop).id;
    for (enum sluice_kind kind = SLUICE_KIND_WATCH; kind < SLUICE_KINDS; kind++) {
        sluice_id id = make_handle(loop, kind);
        for (enum call call = CLOSE; call < CALLS; call++)
            if (!is_for(call, kind) && call_with(loop, call, id) != SLUICE_EKIND)
                fail_msg("call %d of kind %d", (int)call, (int)kind);
        assert_int_equal(sluice_kind_of(loop, id), kind);
    }
}

/* However often a place is used again, an old name is not taken for a new one. */
static void a_name_is_never_used_again(void) {
    sluice_loop *loop = make_loop();
    static sluice_id names[3000];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(sluice_timer(loop, &names[i], PATIENCE_NS, 0, 0), 0);
        assert_true(names[i] != 0);
        assert_int_equal(sluice_close(loop, names[i]), 0);
        for (size_t j = 0; j < i; j += 97)
            assert_true(names[i] != names[j]);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_int_equal(sluice_kind_of(loop, names[i]), SLUICE_ESTALE);
}

static void user_words(void) {
    sluice_loop *loop = make_loop();
    for (enum sluice_kind kind = SLUICE_KIND_WATCH; kind < SLUICE_KINDS; kind++) {
        sluice_id id = make_handle(loop, kind);
        uint64_t user = 5;
        assert_int_equal(sluice_user(loop, id, &user), 0);
        assert_int_equal(user, 0);
        assert_int_equal(sluice_set_user(loop, id, UINT64_MAX - kind), 0);
        assert_int_equal(sluice_user(loop, id, &user), 0);
        assert_true(user == UINT64_MAX - kind);
        assert_int_equal(sluice_user(loop, id, NULL), SLUICE_ENULL);
        assert_int_equal(sluice_abort(loop, id), 0);
    }
    assert_true(expect_event(loop, SLUICE_CLOSED).user == UINT64_MAX - SLUICE_KIND_STREAM);
    sluice_id timer;
    assert_int_equal(sluice_timer(loop, &timer, 0, 0, 11), 0);
    assert_int_equal(sluice_set_user(loop, timer, 12), 0);
    assert_int_equal(expect_event(loop, SLUICE_TIMER).user, 12);
}

static void user_words_from_the_start(void) {
    sluice_loop *loop = make_loop();
    struct pair pair = unix_pair();
    sluice_id id;
    uint64_t user;
    put_byte(pair.far);
    assert_int_equal(sluice_watch(loop, &id, pair.near, SLUICE_READ, UINT64_MAX), 0);
    assert_int_equal(sluice_user(loop, id, &user), 0);
    assert_true(user == UINT64_MAX);
    assert_true(expect_event_of(loop, SLUICE_READY, id).user == UINT64_MAX);
    assert_int_equal(sluice_close(loop, id), 0);
    assert_int_equal(sluice_timer(loop, &id, 0, 1, UINT64_MAX - 1), 0);
    assert_int_equal(sluice_user(loop, id, &user), 0);
    assert_true(user == UINT64_MAX - 1);
    for (int i = 0; i < 2; i++)
        assert_true(expect_event_of(loop, SLUICE_TIMER, id).user == UINT64_MAX - 1);
}

/* Its events carry it, and it is as good as one that was asked for. */
static void an_id_need_not_be_asked_for(void) {
    static const uint64_t users[] = {[SLUICE_READY] = 1, [SLUICE_TIMER] = 2, [SLUICE_SIGNAL] = 0};
    sluice_loop *loop = make_loop();
    struct pair pair = unix_pair();
    put_byte(pair.far);
    assert_int_equal(sluice_watch(loop, NULL, pair.near, SLUICE_READ, 1), 0);
    assert_int_equal(sluice_timer(loop, NULL, 0, 1, 2), 0);
    assert_int_equal(sluice_signal(loop, NULL, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    bool seen[SLUICE_EVENT_KINDS] = {false};
    while (!seen[SLUICE_READY] || !seen[SLUICE_TIMER] || !seen[SLUICE_SIGNAL]) {
        sluice_event event = next_event(loop);
        assert_int_equal(event.user, seen[event.kind] ? 3 : users[event.kind]);
        if (!seen[event.kind])
            assert_int_equal(sluice_set_user(loop, event.id, 3), 0);
        else
            assert_int_equal(sluice_close(loop, event.id), 0);
        seen[event.kind] = true;
    }
}

/* On a failure nobody is told of a handle. */
static void a_failure_leaves_the_id_alone(void) {
    sluice_loop *loop = make_loop();
    struct pair pair = unix_pair();
    sluice_id id = 77;
    assert_true(sluice_watch(loop, &id, closed_number(), SLUICE_READ, 0) < 0);
    assert_true(sluice_watch(loop, &id, pair.near, 1U << 31, 0) < 0);
    assert_true(sluice_timer(loop, &id, -1, 0, 0) < 0);
    assert_true(sluice_signal(loop, &id, 0) < 0);
    assert_int_equal(id, 77);
}

/* The same if a stream or a listener is refused last, because its number has a handle. */
static void a_number_that_has_a_handle_leaves_the_id_alone(void) {
    sluice_loop *loop = make_loop();
    struct pair pair = unix_pair();
    int listening = keep(sluice_socket_listen("127.0.0.1:0", 1));
    sluice_id id = 77;
    assert_int_equal(sluice_watch(loop, NULL, pair.near, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_adopt(loop, &id, pair.near, NULL), SLUICE_EEXIST);
    assert_int_equal(sluice_watch(loop, NULL, listening, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_listen_fd(loop, &id, listening, NULL), SLUICE_EEXIST);
    assert_int_equal(id, 77);
}

/* ---- Watches -------------------------------------------------------------------------------- */

static void watch_reports_what_is_ready(void) {
    sluice_loop *loop = make_loop();
    struct pair pair = unix_pair();
    sluice_id id;
    assert_int_equal(sluice_watch(loop, &id, pair.near, SLUICE_READ, 4), 0);
    assert_int_equal(sluice_fd(loop, id), pair.near);
    expect_no_event(loop);
    put_byte(pair.far);
    for (int i = 0; i < 3; i++) { /* by level */
        sluice_event event = expect_event_of(loop, SLUICE_READY, id);
        assert_int_equal(event.value, SLUICE_READ);
        assert_int_equal(event.user, 4);
    }
    assert_int_equal(sluice_rewatch(loop, id, SLUICE_NONE), 0);
    expect_no_event(loop);
    assert_int_equal(sluice_rewatch(loop, id, SLUICE_READ | SLUICE_WRITE | SLUICE_ONE_SHOT), 0);
    assert_int_equal(expect_event(loop, SLUICE_READY).value, SLUICE_READ | SLUICE_WRITE);
    expect_no_event(loop);
    assert_int_equal(sluice_rewatch(loop, id, SLUICE_ERROR), SLUICE_EINTEREST);
    sluice_id twice;
    assert_int_equal(sluice_watch(loop, &twice, pair.near, SLUICE_READ, 0), SLUICE_EEXIST);
    assert_int_equal(sluice_watch(loop, &twice, -1, SLUICE_READ, 0), SLUICE_EBADF);
    assert_int_equal(sluice_watch(loop, &twice, pair.far, 1U << 31, 0), SLUICE_EINTEREST);
    assert_int_equal(stats_of(loop).handles[SLUICE_KIND_WATCH], 1);
}

static void watch_for_a_hang_up_alone(void) {
    sluice_loop *loop = make_loop();
    struct pair pair = unix_pair();
    sluice_id id;
    put_byte(pair.far);
    int code = sluice_watch(loop, &id, pair.near, SLUICE_HANGUP, 0);
    if (code == SLUICE_ENOTSUP)
        return; /* test_poller says where */
    assert_int_equal(code, 0);
    expect_no_event(loop);
    drop(pair.far);
    for (int i = 0; i < 2; i++)
        assert_int_equal(expect_event_of(loop, SLUICE_READY, id).value, SLUICE_HANGUP);
    assert_int_equal(sluice_rewatch(loop, id, (uint32_t)SLUICE_HANGUP | SLUICE_ONE_SHOT), 0);
    assert_int_equal(expect_event_of(loop, SLUICE_READY, id).value, SLUICE_HANGUP);
    expect_no_event(loop);
}

static void changed_watch_gives_no_event_gathered_for_what_it_was(void) {
    sluice_loop *loop = make_loop();
    sluice_id ids[6];
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct pair pair = unix_pair();
        put_byte(pair.far);
        assert_int_equal(sluice_watch(loop, &ids[i], pair.near, SLUICE_READ, 0), 0);
    }
    expect_event(loop, SLUICE_READY);
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        assert_int_equal(sluice_rewatch(loop, ids[i], i == 0 ? SLUICE_WRITE : SLUICE_NONE), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(expect_event_of(loop, SLUICE_READY, ids[0]).value, SLUICE_WRITE);
}

static void closed_watch_gives_no_event_gathered_already(void) {
    sluice_loop *loop = make_loop();
    sluice_id ids[6];
    int fds[6];
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct pair pair = unix_pair();
        fds[i] = pair.near;
        put_byte(pair.far);
        assert_int_equal(sluice_watch(loop, &ids[i], fds[i], SLUICE_READ, 0), 0);
    }
    expect_event(loop, SLUICE_READY);
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        assert_int_equal(sluice_close(loop, ids[i]), 0);
    expect_no_event(loop);
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        take_byte(fds[i]); /* the descriptor is the caller's still */
}

int main(void) {
    static const struct test tests[] = {
        {"SLUICE_ESTALE for every call and kind", stale_for_every_call_and_kind, NULL},
        {"SLUICE_EKIND for every call", wrong_kind_for_every_call, NULL},
        {"a name is never used again", a_name_is_never_used_again, NULL},
        {"user words", user_words, NULL},
        {"user words from the start", user_words_from_the_start, NULL},
        {"an id need not be asked for", an_id_need_not_be_asked_for, NULL},
        {"a failure leaves the id alone", a_failure_leaves_the_id_alone, NULL},
        {"a number that has a handle leaves the id alone",
         a_number_that_has_a_handle_leaves_the_id_alone, NULL},
        {"a watch reports what is ready", watch_reports_what_is_ready, NULL},
        {"a watch for a hang-up alone", watch_for_a_hang_up_alone, NULL},
        {"a changed watch: no event gathered for what it was",
         changed_watch_gives_no_event_gathered_for_what_it_was, NULL},
        {"a closed watch: no event gathered already", closed_watch_gives_no_event_gathered_already,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* test_loop_lost.c - the descriptor of a stream or listener is closed behind the loop's back, and
 * another handle of the loop gets its number. The old handle has lost the number. A stream ends,
 * and nothing of it reaches the new file. A listener is silent. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Streams --------------------------------------------------------------------------------- */

/* What the stream is doing when it loses its number. */
enum busy { QUIET, HAS_QUEUED, HAS_PUT_OFF, IS_BLOCKED, CLOSES, IS_PAUSED, BUSY };

struct lost {
    sluice_id id;
    int number;
    size_t unsent;
};

static const unsigned char zeros[1024 * 1024];

static void make_busy(sluice_loop *loop, struct line line, enum busy busy) {
    if (busy == HAS_PUT_OFF) {
        put_text(line.peer, "echo");
        sluice_event event = expect_event_of(loop, SLUICE_DATA, line.id);
        write_all(loop, line.id, event.data, event.length);
    }
    if (busy == IS_PAUSED)
        assert_int_equal(sluice_pause(loop, line.id), 0);
    if (busy == HAS_QUEUED || busy == IS_PAUSED)
        write_all(loop, line.id, "queued", 6);
    if (busy == IS_BLOCKED || busy == CLOSES)
        write_all(loop, line.id, zeros, sizeof zeros);
    if (busy == CLOSES)
        assert_int_equal(sluice_close(loop, line.id), 0);
    if (busy == IS_BLOCKED || busy == CLOSES)
        expect_no_event(loop);
}

/* A stream whose number will be closed. Its file lives on in a duplicate, or does not. */
static struct lost begin_to_lose(sluice_loop *loop, enum busy busy, bool lives_on) {
    struct line line = unix_line(loop);
    make_busy(loop, line, busy);
    struct lost lost = {.id = line.id,
                        .number = sluice_fd(loop, line.id),
                        .unsent = (size_t)sluice_pending(loop, line.id)};
    assert_int_equal(lost.unsent > 0, busy != QUIET);
    if (lives_on)
        duplicate(lost.number, 100);
    return lost;
}

/* Pulls until the old stream's CLOSED and an event of `kind` have come, in any order: that event's
 * id. */
static sluice_id expect_loss(sluice_loop *loop, struct lost lost, enum sluice_event_kind kind) {
    struct story story = new_story();
    sluice_id id = 0;
    while (story.closed == 0 || id == 0) {
        sluice_event event = next_event(loop);
        if (event.id == lost.id) {
            add_to_story(&story, &event);
            continue;
        }
        assert_int_equal(event.kind, kind);
        assert_int_equal(id, 0);
        id = event.id;
    }
    assert_int_equal(story.data + story.eof, 0);
    assert_int_equal(story.error, SLUICE_EBADF);
    assert_int_equal(story.unsent, lost.unsent);
    assert_int_equal(sluice_kind_of(loop, lost.id), SLUICE_ESTALE);
    return id;
}

/* The stream has the number, and works as any. */
static void expect_working(sluice_loop *loop, sluice_id id, int peer) {
    for (int i = 0; i < 3; i++) {
        put_text(peer, "question");
        expect_text(loop, id, "question");
        write_all(loop, id, "answer", 6);
        expect_no_event(loop);
        take_text(peer, "answer");
    }
    assert_true(fcntl(sluice_fd(loop, id), F_GETFD) >= 0);
}

static void expect_end_in_order(sluice_loop *loop, sluice_id id, int peer) {
    expect_working(loop, id, peer);
    drop(peer);
    expect_event_of(loop, SLUICE_EOF, id);
    expect_closed(loop, id, 0, 0);
    expect_no_event(loop);
}

typedef void comes_back(enum busy busy, bool lives_on);

static void comes_back_by_accept(enum busy busy, bool lives_on) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    expect_no_event(loop);
    struct lost lost = begin_to_lose(loop, busy, lives_on);
    int peer = dial(address);
    close_number(lost.number);
    sluice_id id = expect_loss(loop, lost, SLUICE_ACCEPTED);
    /* A stream with something to send has found out before. epoll may have a new instance then,
     * which frees another number. */
    if (busy == QUIET || busy == IS_BLOCKED || busy == CLOSES)
        assert_int_equal(sluice_fd(loop, id), lost.number);
    expect_end_in_order(loop, id, peer);
    end_loop(loop);
}

static void comes_back_by_connect(enum busy busy, bool lives_on) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    int listener = tcp_listener(4);
    assert_true(sluice_socket_local_address(listener, address, sizeof address) > 0);
    struct lost lost = begin_to_lose(loop, busy, lives_on);
    close_number(lost.number);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
    assert_int_equal(sluice_fd(loop, id), lost.number);
    /* Known at once, and told with a later pull. */
    assert_int_equal(sluice_fd(loop, lost.id), SLUICE_EBADF);
    assert_int_equal(sluice_write(loop, lost.id, "x", 1), -EPIPE);
    assert_int_equal(sluice_flush(loop, lost.id), -EPIPE);
    assert_int_equal(sluice_pending(loop, lost.id), lost.unsent);
    assert_int_equal(expect_loss(loop, lost, SLUICE_CONNECTED), id);
    await(listener, POLLIN);
    int peer = keep(sluice_socket_accept(listener));
    expect_end_in_order(loop, id, peer);
    end_loop(loop);
}

static void comes_back_by_listen(enum busy busy, bool lives_on) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    struct lost lost = begin_to_lose(loop, busy, lives_on);
    close_number(lost.number);
    sluice_id listener = make_listener(loop, NULL, address);
    assert_int_equal(sluice_fd(loop, listener), lost.number);
    int peer = dial(address);
    sluice_id id = expect_loss(loop, lost, SLUICE_ACCEPTED);
    expect_end_in_order(loop, id, peer);
    assert_int_equal(sluice_fd(loop, listener), lost.number);
    end_loop(loop);
}

static void lose_in_every_way(comes_back *back) {
    for (int busy = 0; busy < BUSY; busy++) {
        back((enum busy)busy, false);
        back((enum busy)busy, true);
    }
}

static void accept_gives_a_stream_s_number(void) {
    lose_in_every_way(comes_back_by_accept);
}

static void connect_gives_a_stream_s_number(void) {
    lose_in_every_way(comes_back_by_connect);
}

static void listen_gives_a_stream_s_number(void) {
    lose_in_every_way(comes_back_by_listen);
}

/* ---- Listeners ------------------------------------------------------------------------------- */

/* A stream of the loop that gets a listener's number by connecting elsewhere. */
static struct line take_number(sluice_loop *loop, int elsewhere, int number) {
    char address[SLUICE_ADDRESS_MAX];
    struct line line;
    assert_true(sluice_socket_local_address(elsewhere, address, sizeof address) > 0);
    close_number(number);
    assert_int_equal(sluice_connect(loop, &line.id, address, NULL), 0);
    assert_int_equal(sluice_fd(loop, line.id), number);
    expect_event_of(loop, SLUICE_CONNECTED, line.id);
    await(elsewhere, POLLIN);
    line.peer = keep(sluice_socket_accept(elsewhere));
    return line;
}

static void a_listener_loses_its_number(void) {
    for (int lives_on = 0; lives_on < 2; lives_on++) {
        sluice_loop *loop = make_loop();
        char address[SLUICE_ADDRESS_MAX];
        int elsewhere = tcp_listener(4);
        sluice_id listener = make_listener(loop, NULL, address);
        int number = sluice_fd(loop, listener);
        if (lives_on)
            duplicate(number, 100);
        struct line line = take_number(loop, elsewhere, number);
        dial(address);
        expect_no_event(loop);
        assert_int_equal(sluice_kind_of(loop, listener), SLUICE_KIND_LISTENER);
        assert_int_equal(sluice_fd(loop, listener), SLUICE_EBADF);
        expect_working(loop, line.id, line.peer);
        assert_int_equal(sluice_close(loop, listener), 0);
        assert_int_equal(sluice_kind_of(loop, listener), SLUICE_ESTALE);
        expect_end_in_order(loop, line.id, line.peer);
        end_loop(loop);
    }
}

/* It had stopped at its limit, and a stream of it ends. */
static void a_full_listener_loses_its_number(void) {
    sluice_loop *loop = make_plain_loop();
    char address[SLUICE_ADDRESS_MAX];
    int elsewhere = tcp_listener(4);
    sluice_listen_options options = listen_options();
    options.connection_limit = 1;
    sluice_id listener = make_listener(loop, &options, address);
    dial(address);
    sluice_id only = expect_event(loop, SLUICE_ACCEPTED).id;
    expect_event_of(loop, SLUICE_OVERLOADED, listener);
    struct line line = take_number(loop, elsewhere, sluice_fd(loop, listener));
    assert_int_equal(sluice_abort(loop, only), 0);
    expect_closed(loop, only, -ECONNABORTED, 0);
    expect_working(loop, line.id, line.peer);
    assert_int_equal(sluice_close(loop, listener), 0);
    expect_end_in_order(loop, line.id, line.peer);
}

/* It waits for a descriptor when it loses its own, and another waits behind it. */
static void a_waiting_listener_loses_its_number(void) {
    make_up_time();
    sluice_loop *loop = make_plain_loop();
    int elsewhere = tcp_listener(4);
    sluice_id listeners[2];
    char address[2][SLUICE_ADDRESS_MAX];
    for (size_t i = 0; i < COUNT_OF(listeners); i++) {
        listeners[i] = make_listener(loop, NULL, address[i]);
        for (size_t n = 0; n < 2; n++)
            dial(address[i]);
    }
    sluice_id spare = unix_line(loop).id;
    int file = keep(dup(STDIN_FILENO));
    use_up_descriptors();
    sluice_id first = expect_event(loop, SLUICE_OVERLOADED).id;
    sluice_id second = expect_event(loop, SLUICE_OVERLOADED).id;
    int number = sluice_fd(loop, first);
    assert_int_equal(close(number), 0);
    char there[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(elsewhere, there, sizeof there) > 0);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, there, NULL), 0);
    assert_int_equal(sluice_fd(loop, id), number);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    drop(file);
    int peer = keep(sluice_socket_accept(elsewhere));
    const int64_t begin = sluice_update_now(loop);
    assert_int_equal(sluice_abort(loop, spare), 0);
    expect_closed(loop, spare, -ECONNABORTED, 0);
    assert_int_equal(expect_event(loop, SLUICE_ACCEPTED).value, second);
    assert_int_equal(sluice_now(loop), begin);
    expect_no_event(loop);
    assert_int_equal(sluice_close(loop, first), 0);
    expect_working(loop, id, peer);
}

/* The folder that its file is in is not left open, as the count of descriptors shows. */
static void a_unix_listener_loses_its_number(void) {
    sluice_loop *loop = make_loop();
    int elsewhere = tcp_listener(4);
    char path[] = "/tmp/sluice-lost-XXXXXX";
    assert_non_null(mkdtemp(path));
    char address[64];
    snprintf(address, sizeof address, "unix:%s/socket", path);
    sluice_id listener;
    assert_int_equal(sluice_listen(loop, &listener, address, NULL), 0);
    struct line line = take_number(loop, elsewhere, sluice_fd(loop, listener));
    assert_int_equal(sluice_close(loop, listener), 0);
    expect_working(loop, line.id, line.peer);
    (void)unlink(address + strlen("unix:"));
    assert_int_equal(rmdir(path), 0);
}

int main(void) {
    static const struct test tests[] = {
        {"accept gives a stream's number: the old stream ends, the new one works",
         accept_gives_a_stream_s_number, NULL},
        {"connect gives a stream's number", connect_gives_a_stream_s_number, NULL},
        {"listen gives a stream's number", listen_gives_a_stream_s_number, NULL},
        {"a listener that loses its number is silent", a_listener_loses_its_number, NULL},
        {"the same of one that is full", a_full_listener_loses_its_number, NULL},
        {"the same of one that waits for a descriptor", a_waiting_listener_loses_its_number, NULL},
        {"the same of a unix socket's: its folder is closed", a_unix_listener_loses_its_number,
         NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

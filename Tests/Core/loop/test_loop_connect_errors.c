/* test_loop_connect_errors.c - a connect that fails at once: over a unix socket, without a route,
 * without a port or a descriptor. The stream's CLOSED says so, and never the call. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

/* ---- Addresses that fail ----------------------------------------------------------------------
 */

/* Where to connect to, and from where; NULL for anywhere. */
struct target {
    char address[SLUICE_ADDRESS_MAX];
    char source[SLUICE_ADDRESS_MAX];
};

/* Nobody listens at this name. */
static const char *nobody(void) {
    static char address[64];
    snprintf(address, sizeof address, "unix:@sluice-nobody-%d", (int)getpid());
    return address;
}

static void no_listener(struct target *target) {
    snprintf(target->address, sizeof target->address, "%s", nobody());
}

static void no_file(struct target *target) {
    snprintf(target->address, sizeof target->address, "unix:%s/nobody", test_folder());
}

static void make_file(struct target *target, const char *below) {
    char path[SLUICE_ADDRESS_MAX - 8];
    snprintf(path, sizeof path, "%s/f", test_folder());
    drop(keep(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    snprintf(target->address, sizeof target->address, "unix:%.140s%s", path, below);
}

static void no_socket(struct target *target) {
    make_file(target, "");
}

static void no_folder(struct target *target) {
    make_file(target, "/s");
}

static void packets(struct target *target) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = keep(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    snprintf(name.sun_path, sizeof name.sun_path, "%s/d", test_folder());
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    snprintf(target->address, sizeof target->address, "unix:%s", name.sun_path);
}

static void full_queue(struct target *target) {
    snprintf(target->address, sizeof target->address, "unix:@sluice-full-%d", (int)getpid());
    assert_int_equal(listen(keep(sluice_socket_listen(target->address, 1)), 0), 0);
    int fd;
    while ((fd = sluice_socket_connect(target->address)) >= 0)
        keep(fd);
    assert_int_equal(fd, SLUICE_EAGAIN);
}

/* TCP has no way to one that is many. */
static void no_way(struct target *target) {
    snprintf(target->address, sizeof target->address, "255.255.255.255:9");
}

/* The port can be bound, and not be used twice towards the same peer. */
static void no_port(struct target *target) {
    int listener = tcp_listener(4);
    assert_true(sluice_socket_local_address(listener, target->address, SLUICE_ADDRESS_MAX) > 0);
    int holder = tcp_bound();
    char port[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(holder, port, sizeof port) > 0);
    drop(holder);
    snprintf(target->source, sizeof target->source, "127.0.0.9%.20s", strrchr(port, ':'));
    sluice_loop *loop = make_loop();
    sluice_stream_options options = stream_options(0);
    options.source = target->source;
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, target->address, &options), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
}

static const struct failure {
    const char *name;
    void (*make)(struct target *target);
    int error;
} failures[] = {
    {"nobody listens", no_listener, -ECONNREFUSED},
    {"no such file", no_file, -ENOENT},
    {"a file that is no socket", no_socket, -ECONNREFUSED},
    {"below a file", no_folder, -ENOTDIR},
    {"a socket of packets", packets, -EPROTOTYPE},
    {"a queue that is full", full_queue, SLUICE_EAGAIN},
    {"no way there", no_way, -ENETUNREACH},
    {"a port in use", no_port, -EADDRNOTAVAIL},
};

static sluice_id connect_in_vain(sluice_loop *loop) {
    sluice_id id = 0;
    assert_int_equal(sluice_connect(loop, &id, nobody(), NULL), 0);
    return id;
}

/* ---- What is told, and where -------------------------------------------------------------------
 */

static void told_by_closed(void) {
    sluice_loop *loop = make_loop();
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        struct target target = {0};
        failures[i].make(&target);
        sluice_stream_options options = stream_options(0);
        options.source = *target.source ? target.source : NULL;
        size_t open_before = open_fd_count();
        sluice_id id = 0;
        int code = sluice_connect(loop, &id, target.address, &options);
        if (code != 0)
            printf("%s: %s\n", failures[i].name, sluice_error_name(code));
        assert_int_equal(code, 0);
        assert_int_equal(open_fd_count(), open_before);
        assert_int_equal(sluice_set_user(loop, id, 9), 0);
        assert_int_equal(sluice_until_next(loop), 0);
        sluice_event event = expect_event_of(loop, SLUICE_CLOSED, id);
        if (event.error != failures[i].error)
            printf("%s: %s\n", failures[i].name, sluice_error_name(event.error));
        assert_int_equal(event.error, failures[i].error);
        assert_int_equal(event.length, 0);
        assert_int_equal(event.user, 9);
        assert_int_equal(sluice_kind_of(loop, id), SLUICE_ESTALE);
        expect_no_event(loop);
    }
}

/* A proxy connects for each caller, and must not end because there are too many at the moment. */
static void without_a_descriptor(void) {
    char target[SLUICE_ADDRESS_MAX];
    sluice_loop *loop = make_loop();
    assert_true(sluice_socket_local_address(tcp_listener(4), target, sizeof target) > 0);
    const char *const addresses[] = {target, nobody()};
    for (int i = 0; i < 2; i++) {
        sluice_id id = 0;
        use_up_descriptors();
        assert_int_equal(sluice_connect(loop, &id, addresses[i], NULL), 0);
        assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
        assert_int_equal(sluice_until_next(loop), 0);
        expect_closed(loop, id, -EMFILE, 4);
        expect_no_event(loop);
        free_descriptors();
        const struct {
            int error, of_call, of_closed;
        } rows[] = {{EMFILE, 0, -EMFILE},
                    {ENFILE, 0, -ENFILE},
                    {ENOMEM, SLUICE_ENOMEM, 0},
                    {ENOBUFS, -ENOBUFS, 0},
                    {EAFNOSUPPORT, -EAFNOSUPPORT, 0}};
        for (size_t row = 0; row < COUNT_OF(rows); row++) {
            fail_sockets(rows[row].error);
            int code = sluice_connect(loop, &id, addresses[i], NULL);
            fail_sockets(0);
            assert_int_equal(code, rows[row].of_call);
            if (code == 0)
                expect_closed(loop, id, rows[row].of_closed, 0);
            expect_no_event(loop);
        }
        assert_int_equal(sluice_connect(loop, &id, target, NULL), 0);
        expect_event_of(loop, SLUICE_CONNECTED, id);
    }
}

/* What the caller has asked for wrongly, or the loop has no room for, shows at the call. */
static void told_by_the_call(void) {
    sluice_loop *loop = make_loop();
    char taken[SLUICE_ADDRESS_MAX];
    char target[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(tcp_listener(4), taken, sizeof taken) > 0);
    assert_true(sluice_socket_local_address(tcp_listener(4), target, sizeof target) > 0);
    const struct {
        const char *address;
        const char *source;
        int code;
    } rows[] = {{target, "203.0.113.1:0", -EADDRNOTAVAIL},
                {target, taken, -EADDRINUSE},
                {target, "[::1]:0", SLUICE_EOPTION},
                {nobody(), "unix:/s", SLUICE_EOPTION},
                {"nobody", NULL, SLUICE_EPORT},
                {"unix:", NULL, SLUICE_EPATH}};
    sluice_id id = 7;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        sluice_stream_options options = stream_options(0);
        options.source = rows[i].source;
        assert_int_equal(sluice_connect(loop, &id, rows[i].address, &options), rows[i].code);
    }
    assert_int_equal(id, 7);
    expect_no_event(loop);
}

static void counts_as_a_handle(void) {
    sluice_loop *loop = make_loop_with((sluice_options){.handle_limit = 1});
    sluice_id first = connect_in_vain(loop);
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, nobody(), NULL), SLUICE_EFULL);
    expect_closed(loop, first, -ECONNREFUSED, 0);
    expect_closed(loop, connect_in_vain(loop), -ECONNREFUSED, 0);
}

/* ---- Until then --------------------------------------------------------------------------------
 */

/* It is as one whose connect is under way. */
static void writes_are_queued(void) {
    sluice_loop *loop = make_loop();
    static unsigned char bytes[20000];
    char text[SLUICE_ADDRESS_MAX];
    sluice_stream_options options = stream_options(0);
    options.high_mark = 10000;
    options.connect_timeout_ns = options.idle_timeout_ns = 1;
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, nobody(), &options), 0);
    assert_int_equal(sluice_kind_of(loop, id), SLUICE_KIND_STREAM);
    assert_int_equal(sluice_fd(loop, id), SLUICE_ESTATE);
    assert_int_equal(sluice_local_address(loop, id, text, sizeof text), SLUICE_ESTATE);
    assert_int_equal(sluice_write(loop, id, bytes, 100), 0);
    assert_int_equal(sluice_flush(loop, id), 0);
    assert_int_equal(sluice_write(loop, id, bytes, sizeof bytes), 1);
    assert_int_equal(sluice_pending(loop, id), 100 + sizeof bytes);
    assert_int_equal(sluice_pause(loop, id), 0);
    assert_int_equal(sluice_shutdown(loop, id), 0);
    assert_int_equal(sluice_write(loop, id, bytes, 1), -EPIPE);
    expect_closed(loop, id, -ECONNREFUSED, 100 + sizeof bytes);
    expect_no_event(loop);
}

/* Also while the events of the turn are handled in which it was begun. */
static void writes_are_queued_all_turn_long(void) {
    sluice_loop *loop = make_loop();
    struct line lines[] = {unix_line(loop), unix_line(loop)};
    put_text(lines[0].peer, "go");
    put_text(lines[1].peer, "go");
    expect_event(loop, SLUICE_DATA);
    sluice_id id = connect_in_vain(loop);
    expect_event(loop, SLUICE_DATA);
    assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
    expect_closed(loop, id, -ECONNREFUSED, 4);
}

/* One CLOSED, whatever the caller has done with it before. */
static void ended_before(void) {
    sluice_loop *loop = make_loop();
    for (int with_bytes = 0; with_bytes < 2; with_bytes++)
        for (int ends = 0; ends < 3; ends++)
            for (int batch = 1; batch <= 8; batch += 7) {
                sluice_id id = connect_in_vain(loop);
                size_t length = with_bytes ? 4 : 0;
                assert_int_equal(sluice_write(loop, id, "lost", length), 0);
                if (ends == 1)
                    assert_int_equal(sluice_close(loop, id), 0);
                if (ends == 2)
                    assert_int_equal(sluice_abort(loop, id), 0);
                struct story story = new_story();
                hear_out(loop, id, &story, batch);
                assert_int_equal(story.closed, 1);
                assert_int_equal(story.error, ends == 2 ? -ECONNABORTED : -ECONNREFUSED);
                assert_int_equal(story.unsent, length);
                assert_int_equal(story.connected + story.data + story.eof + story.drained, 0);
            }
}

static void many_at_once(void) {
    enum { COUNT = 20 };
    sluice_loop *loop = make_loop();
    sluice_id ids[COUNT];
    sluice_event events[2 * COUNT];
    for (int i = 0; i < COUNT; i++)
        ids[i] = connect_in_vain(loop);
    assert_int_equal(sluice_next_many(loop, events, 2 * COUNT, 0), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(events[i].kind, SLUICE_CLOSED);
        assert_int_equal(events[i].id, ids[i]);
        assert_int_equal(events[i].error, -ECONNREFUSED);
    }
    expect_no_event(loop);
}

/* A caller who tries again at each CLOSED does not keep the turn from its end. */
static void another_try_keeps_nothing_waiting(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    put_text(line.peer, "go");
    sluice_id timer;
    assert_int_equal(sluice_post(loop, 1), 0);
    assert_int_equal(sluice_timer(loop, &timer, 0, 0, 0), 0);
    connect_in_vain(loop);
    unsigned others = 0;
    for (int i = 0; i < 20 && others < 3; i++) {
        if (next_event(loop).kind == SLUICE_CLOSED)
            connect_in_vain(loop);
        else
            others++;
    }
    assert_int_equal(others, 3);
}

/* A proxy connects for each client, and its upstream is away. */
static void a_client_outlives_its_upstream(void) {
    sluice_loop *loop = make_loop();
    char address[SLUICE_ADDRESS_MAX];
    make_listener(loop, NULL, address);
    int peer = dial(address);
    sluice_id client = expect_event(loop, SLUICE_ACCEPTED).id;
    sluice_id upstream = connect_in_vain(loop);
    assert_int_equal(sluice_forward(loop, client, upstream), 0);
    assert_int_equal(sluice_forward(loop, upstream, client), 0);
    put_text(peer, "hello");
    sluice_event event = expect_event_of(loop, SLUICE_CLOSED, upstream);
    assert_int_equal(event.error, -ECONNREFUSED);
    /* What came before the upstream had failed is lost with it. */
    if (event.length == 0)
        expect_text(loop, client, "hello");
    assert_int_equal(sluice_write(loop, client, "sorry", 5), 0);
    assert_int_equal(sluice_close(loop, client), 0);
    expect_no_event(loop);
    take_text(peer, "sorry");
    drop(peer);
    expect_closed(loop, client, 0, 0);
}

/* ---- Where CLOSED is not pulled ----------------------------------------------------------------
 */

static void never_pulled(void) {
    for (int ends = 0; ends < 3; ends++) {
        sluice_loop *loop = make_loop();
        sluice_id id = connect_in_vain(loop);
        assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
        if (ends == 1)
            assert_int_equal(sluice_close(loop, id), 0);
        if (ends == 2)
            assert_int_equal(sluice_abort(loop, id), 0);
        end_loop(loop);
    }
}

static int in_child(sluice_loop *loop, sluice_id id) {
    sluice_event event;
    if (sluice_after_fork(loop) < 0)
        return 1;
    if (sluice_next(loop, &event, PATIENCE_NS) != 1 || event.kind != SLUICE_CLOSED)
        return 2;
    if (event.id != id || event.error != -ECONNREFUSED)
        return 3;
    return sluice_next(loop, &event, 0) == 0 ? 0 : 4;
}

/* Parent and child have a loop each, and each is told. */
static void forked_before(void) {
    sluice_loop *loop = make_loop();
    sluice_id id = connect_in_vain(loop);
    assert_int_equal(sluice_write(loop, id, "lost", 4), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(in_child(loop, id));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    expect_closed(loop, id, -ECONNREFUSED, 4);
    expect_no_event(loop);
}

int main(void) {
    static const struct test tests[] = {
        {"what connect(2) says at once is CLOSED's error", told_by_closed, NULL},
        {"EMFILE and ENFILE are CLOSED's error, other lacks the call's", without_a_descriptor,
         NULL},
        {"the caller's errors are the call's", told_by_the_call, NULL},
        {"a connect that failed at once is a handle until CLOSED", counts_as_a_handle, NULL},
        {"writes before that CLOSED are queued, and unsent", writes_are_queued, NULL},
        {"the same for the rest of the turn", writes_are_queued_all_turn_long, NULL},
        {"closed or aborted before: one CLOSED", ended_before, NULL},
        {"many at once: one CLOSED each", many_at_once, NULL},
        {"another try at each CLOSED keeps nothing waiting", another_try_keeps_nothing_waiting,
         NULL},
        {"a proxy's client outlives an upstream that is away", a_client_outlives_its_upstream,
         NULL},
        {"destroyed before that CLOSED", never_pulled, NULL},
        {"forked before that CLOSED: told to both", forked_before, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

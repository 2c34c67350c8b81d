/* test_loop_passed.c - a peer that passes descriptors over a unix socket. A receive stops short of
 * the bytes after them. Bytes that are there must not wait until more bytes come. */
#include "loops.h"

#include <string.h>
#include <sys/socket.h>

#include "faults.h"

/* Sends a text with a descriptor, which nobody takes: the kernel closes it. */
static void pass(int peer, const char *text) {
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &peer, sizeof peer);
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    const struct msghdr message = {.msg_iov = &bytes,
                                   .msg_iovlen = 1,
                                   .msg_control = &control,
                                   .msg_controllen = sizeof control};
    assert_int_equal(sendmsg(peer, &message, 0), strlen(text));
}

static void expect_all(sluice_loop *loop, sluice_id id, int peer) {
    for (int round = 0; round < 3; round++) {
        pass(peer, "one");
        pass(peer, "two");
        put_text(peer, "three");
        expect_text(loop, id, "onetwothree");
        expect_no_event(loop);
        put_text(peer, "four");
        expect_text(loop, id, "four");
    }
}

static void adopted(void) {
    sluice_loop *loop = make_loop();
    struct line line = unix_line(loop);
    expect_all(loop, line.id, line.peer);
}

static const char *const address = "unix:@sluice-test-passed";

static void accepted(void) {
    sluice_loop *loop = make_loop();
    sluice_id listener;
    assert_int_equal(sluice_listen(loop, &listener, address, NULL), 0);
    int peer = dial(address);
    sluice_event event = expect_event(loop, SLUICE_ACCEPTED);
    expect_all(loop, event.id, peer);
}

static void connected(void) {
    sluice_loop *loop = make_loop();
    int listener = keep(sluice_socket_listen(address, 8));
    sluice_id id;
    assert_int_equal(sluice_connect(loop, &id, address, NULL), 0);
    expect_event_of(loop, SLUICE_CONNECTED, id);
    expect_all(loop, id, keep(sluice_socket_accept(listener)));
}

/* Those who pass none pay nothing for it. */
static void an_echo_costs_what_it_does_over_tcp(void) {
    sluice_loop *loop = make_loop();
    struct line lines[] = {tcp_line(loop), unix_line(loop)};
    long calls[COUNT_OF(lines)];
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        expect_no_event(loop);
        put_text(lines[i].peer, "x");
        long before = system_call_count();
        sluice_event event = expect_event_of(loop, SLUICE_DATA, lines[i].id);
        assert_int_equal(sluice_write(loop, lines[i].id, event.data, event.length), 0);
        assert_int_equal(sluice_next(loop, &event, 0), 0);
        calls[i] = system_call_count() - before;
        take_text(lines[i].peer, "x");
    }
    assert_int_equal(calls[1], calls[0]);
}

int main(void) {
    static const struct test tests[] = {
        {"bytes behind passed descriptors, adopted", adopted, NULL},
        {"bytes behind passed descriptors, accepted", accepted, NULL},
        {"bytes behind passed descriptors, connected", connected, NULL},
        {"an echo costs what it does over TCP", an_echo_costs_what_it_does_over_tcp, NULL},
    };
    return run_over_backends(tests, COUNT_OF(tests));
}

/* checks.c - misuse that is reported in C and never undefined: a stale id, the wrong thread, no
 * loop. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sluice.h>

static int failures;

static void check(const char *what, int code, int expected) {
    if (code != expected) {
        printf("%s: %s instead of %s\n", what, sluice_error_name(code),
               sluice_error_name(expected));
        failures++;
    }
}

static void *from_another_thread(void *loop) {
    sluice_event event;
    sluice_id timer;
    check("pull", sluice_next(loop, &event, 0), SLUICE_ETHREAD);
    check("timer", sluice_timer(loop, &timer, 1, 0, 0), SLUICE_ETHREAD);
    check("destroy", sluice_destroy(loop), SLUICE_ETHREAD);
    check("post", sluice_post(loop, 1), 0);
    check("wake", sluice_wake(loop), 0);
    return NULL;
}

/* Makes a listener, and returns the first stream that it accepts. */
static sluice_id accepted(sluice_loop *loop) {
    char address[SLUICE_ADDRESS_MAX];
    sluice_id listener, client;
    sluice_event event = {0};
    check("listen", sluice_listen(loop, &listener, "127.0.0.1:0", NULL), 0);
    sluice_local_address(loop, listener, address, sizeof address);
    check("connect", sluice_connect(loop, &client, address, NULL), 0);
    while (event.kind != SLUICE_ACCEPTED)
        check("pull", sluice_next(loop, &event, SLUICE_FOREVER), 1);
    return event.id;
}

static void passed(const char *what) {
    if (failures == 0)
        printf("ok %s\n", what);
}

/* The next event of this kind. */
static sluice_event pull(sluice_loop *loop, uint32_t kind) {
    sluice_event event = {0};
    while (event.kind != kind)
        check("pull", sluice_next(loop, &event, SLUICE_FOREVER), 1);
    return event;
}

static void names(sluice_loop *loop) {
    sluice_event event;
    sluice_id id;
    check("resolve", sluice_resolve(loop, &id, "localhost:443", SLUICE_IPV4, 0), 0);
    event = pull(loop, SLUICE_RESOLVED);
    check("the answer", event.error, 0);
    check("the address", strcmp(event.data, "127.0.0.1:443"), 0);
    /* Nobody has this name: RFC 6761. */
    check("connect by name", sluice_connect(loop, &id, "sluice.invalid:80", NULL), 0);
    do /* the stream that was written to may end first */
        event = pull(loop, SLUICE_CLOSED);
    while (event.id != id);
    check("no such name", event.error, SLUICE_ENAME);
    check("words", sluice_name_problem(loop, id) != NULL, 1);
    check("every address", sluice_connect(loop, &id, "*:80", NULL), SLUICE_ENUMERIC);
}

static void listener_from_elsewhere(sluice_loop *loop) {
    sluice_id listener;
    int fd = sluice_socket_listen("127.0.0.1:0", 5);
    check("listen_fd", sluice_listen_fd(loop, &listener, fd, NULL), 0);
    check("its descriptor", sluice_fd(loop, listener), fd);
    fd = sluice_socket_connect("127.0.0.1:1");
    if (fd >= 0)
        check("no listener", sluice_listen_fd(loop, &listener, fd, NULL), SLUICE_ENOLISTEN);
}

int main(void) {
    sluice_loop *loop;
    sluice_event event;
    sluice_id timer, other, listener;
    check("open", sluice_open(&loop, NULL), 0);
    check("timer", sluice_timer(loop, &timer, 1000, 0, 0), 0);
    check("close", sluice_close(loop, timer), 0);
    check("a timer in its place", sluice_timer(loop, &other, 1000, 0, 0), 0);
    check("close a stale id", sluice_close(loop, timer), SLUICE_ESTALE);
    check("write to a stale id", sluice_write(loop, timer, "x", 1), SLUICE_ESTALE);
    passed("stale id");
    check("write to a timer", sluice_write(loop, other, "x", 1), SLUICE_EKIND);
    passed("wrong kind");

    pthread_t thread;
    pthread_create(&thread, NULL, from_another_thread, loop);
    pthread_join(thread, NULL);
    /* The events of the post and the timer, which come before the wake. */
    for (int i = 0; i < 2; i++)
        check("the loop goes on", sluice_next(loop, &event, SLUICE_FOREVER), 1);
    passed("wrong thread");
    check("the wake", sluice_next(loop, &event, SLUICE_FOREVER), 0);
    passed("wake");

    check("an address", sluice_listen(loop, &listener, "no address", NULL), SLUICE_EADDRESS);
    check("a path", sluice_listen(loop, &listener, "unix:/no/such/folder/s", NULL), -ENOENT);
    passed("errors");

    static const char large[20000000];
    sluice_id stream = accepted(loop);
    check("write", sluice_write(loop, stream, "x", 1), 0);
    check("write over the high mark", sluice_write(loop, stream, large, sizeof large), 1);
    check("shut down", sluice_shutdown(loop, stream), 0);
    check("write to no one", sluice_write(loop, stream, "x", 1), -EPIPE);
    passed("what became of a write");

    names(loop);
    passed("names");
    listener_from_elsewhere(loop);
    passed("listener from elsewhere");

    check("destroy", sluice_destroy(loop), 0);
    loop = NULL;
    check("pull", sluice_next(loop, &event, 0), SLUICE_ENULL);
    check("post", sluice_post(loop, 1), SLUICE_ENULL);
    passed("use after close");
    return failures == 0 ? 0 : 1;
}

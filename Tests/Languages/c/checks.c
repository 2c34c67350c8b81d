/* checks.c - what is reported in C and never undefined: a stale id, the wrong thread, no loop. */
#include <pthread.h>
#include <stdio.h>

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
    return NULL;
}

static void passed(const char *what) {
    if (failures == 0)
        printf("ok %s\n", what);
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
    check("the loop goes on", sluice_next(loop, &event, SLUICE_FOREVER), 1);
    passed("wrong thread");

    check("an address", sluice_listen(loop, &listener, "no address", NULL), SLUICE_EADDRESS);
    check("a path", sluice_listen(loop, &listener, "unix:/no/such/folder/s", NULL), -ENOENT);
    passed("errors");

    check("destroy", sluice_destroy(loop), 0);
    loop = NULL;
    check("pull", sluice_next(loop, &event, 0), SLUICE_ENULL);
    check("post", sluice_post(loop, 1), SLUICE_ENULL);
    passed("use after close");
    return failures == 0 ? 0 : 1;
}

/* server.c [ADDRESS] - the echo server of echo.c. It says where it listens. On SIGTERM it ends in
 * an orderly way: it accepts no more, sends what is queued, and waits until each peer has it. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice.h>

/* What the server knows of a connection. The user word of its stream points here. */
struct connection {
    sluice_id stream;
    struct connection *next, **link;
};

static struct connection *connections;

static void add(sluice_loop *loop, sluice_id stream) {
    struct connection *added = malloc(sizeof *added);
    if (!added) {
        sluice_abort(loop, stream);
        return;
    }
    *added = (struct connection){stream, connections, &connections};
    if (connections)
        connections->link = &added->next;
    connections = added;
    sluice_set_user(loop, stream, (uintptr_t)added);
}

static void drop(struct connection *old) {
    if (!old)
        return; /* one that add could not take */
    *old->link = old->next;
    if (old->next)
        old->next->link = old->link;
    free(old);
}

static int serve(sluice_loop *loop, sluice_id listener) {
    sluice_event event;
    for (bool ending = false; !ending || connections;) {
        int code = sluice_next(loop, &event, SLUICE_FOREVER);
        if (code < 0)
            return code;
        switch (event.kind) {
        case SLUICE_ACCEPTED:
            add(loop, event.id);
            break;
        case SLUICE_DATA:
            sluice_write(loop, event.id, event.data, event.length);
            break;
        case SLUICE_CLOSED:
            drop((struct connection *)(uintptr_t)event.user);
            break;
        case SLUICE_SIGNAL:
            ending = true;
            sluice_close(loop, listener);
            for (struct connection *each = connections; each; each = each->next)
                sluice_close(loop, each->stream);
            break;
        }
    }
    return 0;
}

static int run(sluice_loop *loop, const char *address) {
    sluice_id terminate, listener;
    char text[SLUICE_ADDRESS_MAX];
    int code = sluice_signal(loop, &terminate, SIGTERM);
    if (code >= 0)
        code = sluice_listen(loop, &listener, address, NULL);
    if (code >= 0)
        code = sluice_local_address(loop, listener, text, sizeof text);
    if (code < 0)
        return code;
    printf("listening on %s\n", text);
    fflush(stdout);
    return serve(loop, listener);
}

int main(int argc, char **argv) {
    sluice_loop *loop;
    int code = sluice_open(&loop, NULL);
    if (code >= 0)
        code = run(loop, argc > 1 ? argv[1] : "127.0.0.1:9999");
    sluice_destroy(loop);
    if (code < 0)
        fprintf(stderr, "server: %s\n", sluice_error_message(code));
    return code < 0 ? 1 : 0;
}

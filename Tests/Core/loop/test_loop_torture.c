/* test_loop_torture.c - thousands of connections at once, over each backend: a loop that echoes in
 * one thread, a loop of clients in another, and four threads that post to both while timers run.
 *
 * Half of the connections are tame: everything that their clients send, in pieces of any size,
 * comes back, whatever is paused meanwhile. The others are wild: either end closes, aborts or
 * resets them in the middle of any kind of event. Every stream gives one CLOSED, every byte is
 * accounted for, and no descriptor and no memory is left. SLUICE_SEED sets the random choices.
 */
#include "torture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "faults.h"

#define MOST_CONNECTING 400
#define TORTURE_NS (INT64_C(120000) * NS_PER_MS)

static struct {
    const char *backend;
    uint64_t seed;
    size_t connections;
    int64_t deadline;
    pthread_barrier_t ready; /* the server listens; and nobody posts to it any more */
    char addresses[3][SLUICE_ADDRESS_MAX];
    struct side server;
    struct side client;
} torture;

static bool is_late(void) {
    return monotonic_ns() > torture.deadline;
}

/* ---- The server --------------------------------------------------------------------------------
 */

static void server_listen(struct side *side, uint32_t class) {
    const sluice_listen_options options = {.size = sizeof options, .backlog = 4096};
    sluice_id id;
    EXPECT(side, sluice_listen(side->loop, &id, "127.0.0.1:0", &options) == 0);
    EXPECT(side, sluice_set_user(side->loop, id, class) == 0);
    EXPECT(side, sluice_local_address(side->loop, id, torture.addresses[class],
                                      sizeof torture.addresses[class]) > 0);
}

static void server_echo(struct side *side, struct connection *connection,
                        const sluice_event *event) {
    size_t first = side_below(side, 4) ? event->length : side_below(side, (uint32_t)event->length);
    const unsigned char *bytes = event->data;
    const sluice_slice rest = {bytes + first, event->length - first};
    connection->received += event->length;
    int code = sluice_write(side->loop, connection->id, bytes, first);
    side_call(side, connection, code);
    if (code >= 0)
        connection->written += first;
    if (code < 0 || rest.length == 0)
        return;
    code = sluice_writev(side->loop, connection->id, &rest, 1);
    side_call(side, connection, code);
    if (code >= 0)
        connection->written += rest.length;
}

/* Pauses it until a timer fires, which names it. */
static void pause_a_while(struct side *side, const struct connection *connection) {
    uint64_t user = (uint64_t)(connection - side->connections) + 1;
    side_call(side, connection, sluice_pause(side->loop, connection->id));
    EXPECT(side, sluice_timer(side->loop, NULL, side_below(side, 3000000), 0, user) == 0);
}

static void server_accept(struct side *side, const sluice_event *event) {
    EXPECT(side, side->count < MOST_CONNECTIONS);
    if (side->count == MOST_CONNECTIONS)
        return;
    struct connection *connection = &side->connections[side->count++];
    *connection = (struct connection){.id = event->id, .alive = true, .wild = event->user == WILD};
    EXPECT(side, sluice_set_user(side->loop, event->id, side->count) == 0);
}

static void server_event(struct side *side, const sluice_event *event) {
    if (event->kind == SLUICE_ACCEPTED)
        server_accept(side, event);
    /* A batch may have events of one that it begins with. */
    uint64_t user = event->kind == SLUICE_ACCEPTED ? side->count : event->user;
    struct connection *connection = NULL;
    for (size_t i = side->count; event->kind != SLUICE_TIMER && i > 0 && !connection; i--)
        if (side->connections[i - 1].id == event->id && side->connections[i - 1].alive)
            connection = &side->connections[i - 1];
    if (event->kind == SLUICE_TIMER)
        connection = &side->connections[user - 1];
    EXPECT(side, connection != NULL);
    if (!connection)
        return;
    switch (event->kind) {
    case SLUICE_TIMER:
        if (connection->alive && !connection->aborted)
            side_call(side, connection, sluice_resume(side->loop, connection->id));
        break;
    case SLUICE_DATA:
        server_echo(side, connection, event);
        if (side_below(side, 16) == 0)
            pause_a_while(side, connection);
        break;
    case SLUICE_CLOSED:
        side_closed(side, connection, event);
        return;
    case SLUICE_ACCEPTED:
    case SLUICE_EOF:
        break;
    default:
        EXPECT(side, event->kind == SLUICE_DRAINED);
    }
    if (connection->wild && connection->alive && side_below(side, 20) == 0)
        side_end(side, connection);
}

static void *serve(void *argument) {
    struct side *side = &torture.server;
    const sluice_options options = {
        .size = sizeof options, .backend = torture.backend, .high_mark = (size_t)32 * 1024};
    (void)argument;
    side_open(side, torture.seed, &options);
    if (!side->problem) {
        server_listen(side, TAME);
        server_listen(side, WILD);
    }
    pthread_barrier_wait(&torture.ready);
    /* The clients have all ended when it is told to stop, and its streams follow. */
    while (!side->problem && (!side->stopped || side->closed < side->count)) {
        side_pull(side, server_event);
        EXPECT(side, !is_late());
    }
    /* The post that stopped it may still be under way. */
    pthread_barrier_wait(&torture.ready);
    side_close(side);
    return NULL;
}

/* ---- The clients -------------------------------------------------------------------------------
 */

static void client_connect(struct side *side) {
    size_t index = side->count++;
    struct connection *connection = &side->connections[index];
    const sluice_stream_options options = {.size = sizeof options, .flags = SLUICE_HALF_OPEN};
    *connection = (struct connection){
        .alive = true, .wild = index % 2 == 1, .total = 1 + side_below(side, MOST_SENT)};
    const char *address = torture.addresses[connection->wild ? WILD : TAME];
    EXPECT(side, sluice_connect(side->loop, &connection->id, address, &options) == 0);
    EXPECT(side, sluice_set_user(side->loop, connection->id, index + 1) == 0);
}

/* Writes some of what is left, and has a timer go on. After the last piece it ends its output. */
static void client_write(struct side *side, struct connection *connection) {
    uint64_t user = (uint64_t)(connection - side->connections) + 1;
    size_t most = connection->total - connection->written;
    if (!connection->alive || connection->aborted || connection->closing)
        return;
    size_t length = 1 + side_below(side, (uint32_t)most);
    int code = sluice_write(side->loop, connection->id, pattern(user, connection->written), length);
    side_call(side, connection, code);
    if (code < 0)
        return;
    connection->written += length;
    if (connection->written == connection->total) {
        side_call(side, connection, sluice_shutdown(side->loop, connection->id));
        return;
    }
    EXPECT(side, sluice_timer(side->loop, NULL, side_below(side, 2000000), 0, user) == 0);
}

static void client_data(struct side *side, struct connection *connection,
                        const sluice_event *event) {
    EXPECT(side, connection->received + event->length <= connection->written);
    EXPECT(side,
           memcmp(event->data, pattern(event->user, connection->received), event->length) == 0);
    connection->received += event->length;
}

static void client_closed(struct side *side, struct connection *connection,
                          const sluice_event *event) {
    side_closed(side, connection, event);
    if (!connection->wild)
        EXPECT(side, connection->eof && connection->received == connection->total &&
                         connection->written == connection->total);
}

static size_t connecting_count;

static void client_event(struct side *side, const sluice_event *event) {
    struct connection *connection = &side->connections[event->user - 1];
    bool was_connecting = !connection->connected && event->kind != SLUICE_TIMER;
    EXPECT(side, event->kind == SLUICE_TIMER || (connection->alive && event->id == connection->id));
    EXPECT(side, !connection->eof || (event->kind != SLUICE_DATA && event->kind != SLUICE_EOF));
    switch (event->kind) {
    case SLUICE_CONNECTED:
        EXPECT(side, !connection->connected);
        break;
    case SLUICE_TIMER:
        client_write(side, connection);
        break;
    case SLUICE_DATA:
        client_data(side, connection, event);
        break;
    case SLUICE_EOF:
        connection->eof = true;
        break;
    case SLUICE_CLOSED:
        client_closed(side, connection, event);
        break;
    default:
        EXPECT(side, event->kind == SLUICE_DRAINED);
    }
    if (was_connecting) {
        connection->connected = true;
        connecting_count--;
    }
    if (connection->wild && connection->alive && side_below(side, 40) == 0)
        side_end(side, connection);
}

/* All connect before any writes, so that all are there at once. */
static void run_clients(struct side *side) {
    const uint64_t posts = (uint64_t)POSTERS * POSTS;
    bool begun = false;
    connecting_count = 0;
    while (!side->problem && (side->closed < torture.connections || side->post_count < posts)) {
        for (; side->count < torture.connections && connecting_count < MOST_CONNECTING;
             connecting_count++)
            client_connect(side);
        if (!begun && side->count == torture.connections && connecting_count == 0) {
            begun = true;
            for (size_t i = 0; i < side->count; i++)
                client_write(side, &side->connections[i]);
        }
        side_pull(side, client_event);
        EXPECT(side, !is_late());
    }
}

/* ---- Together ----------------------------------------------------------------------------------
 */

static void *post(void *argument) {
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    for (uint64_t i = 1; i <= POSTS; i++) {
        EXPECT(&torture.server, sluice_post(torture.server.loop, thread << 32 | i) == 0);
        EXPECT(&torture.client, sluice_post(torture.client.loop, thread << 32 | i) == 0);
    }
    return NULL;
}

static size_t connection_count(void) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    size_t numbers = (size_t)number_up_to((int)limit.rlim_cur);
    size_t room = numbers > 200 ? (numbers - 200) / 2 : 0;
    assert_true(room > 10);
    return room < MOST_CONNECTIONS ? room : MOST_CONNECTIONS;
}

static void run_all(void) {
    pthread_t server;
    pthread_t posters[POSTERS];
    const sluice_options options = {.size = sizeof options, .backend = torture.backend};
    assert_int_equal(pthread_barrier_init(&torture.ready, NULL, 2), 0);
    side_open(&torture.client, torture.seed + 1, &options);
    assert_int_equal(pthread_create(&server, NULL, serve, NULL), 0);
    pthread_barrier_wait(&torture.ready);
    bool ready = !torture.server.problem && !torture.client.problem;
    for (uintptr_t i = 0; ready && i < POSTERS; i++)
        assert_int_equal(pthread_create(&posters[i], NULL, post, (void *)i), 0);
    if (ready)
        run_clients(&torture.client);
    for (size_t i = 0; ready && i < POSTERS; i++)
        pthread_join(posters[i], NULL);
    if (ready)
        (void)sluice_post(torture.server.loop, STOP_WORD);
    pthread_barrier_wait(&torture.ready);
    pthread_join(server, NULL);
    side_close(&torture.client);
    pthread_barrier_destroy(&torture.ready);
}

static void connections(void) {
    const char *variable = getenv("SLUICE_SEED");
    fill_noise();
    torture.backend = test_backend();
    torture.seed = variable ? strtoull(variable, NULL, 10) : 1;
    torture.connections = connection_count();
    torture.deadline = monotonic_ns() + TORTURE_NS;
    long live_before = live_allocation_count();
    run_all();
    if (torture.server.problem || torture.client.problem)
        fail_msg("SLUICE_SEED=%llu: server: %s, client: %s", (unsigned long long)torture.seed,
                 torture.server.problem ? torture.server.problem : "well",
                 torture.client.problem ? torture.client.problem : "well");
    assert_int_equal(live_allocation_count(), live_before);
}

int main(void) {
    static const struct test tests[] = {{"thousands of connections", connections, NULL}};
    return run_over_backends(tests, COUNT_OF(tests));
}

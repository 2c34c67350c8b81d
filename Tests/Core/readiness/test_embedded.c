/* test_embedded.c - a poller in somebody else's loop: what its backend descriptor reports, and that
 * it stays the same whatever happens to the epoll instance behind it. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

/* A poller with a backend descriptor, whatever the running test's backend. */
static sluice_poller *make_inner(void) {
    sluice_poller *poller = NULL;
    assert_int_equal(sluice_poller_create(&poller, "epoll"), 0);
    defer((void (*)(void *))sluice_poller_destroy, poller);
    return poller;
}

static bool is_readable(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    assert_true(poll(&entry, 1, 0) >= 0);
    return entry.revents == POLLIN;
}

static int backend_fd_of(sluice_poller *poller) {
    int fd = sluice_poller_backend_fd(poller);
    assert_true(fd >= 0);
    return fd;
}

static void add(sluice_poller *poller, int fd, uint32_t interest) {
    assert_int_equal(sluice_poller_add(poller, fd, interest, 0), 0);
}

/* ---- What it tells ----------------------------------------------------------------------------
 */

static void where_there_is_one(void) {
    sluice_poller *poller = make_poller();
    int fd = sluice_poller_backend_fd(poller);
    assert_int_equal(sluice_poller_backend_fd(NULL), SLUICE_ENULL);
    if (!backend_is("epoll")) {
        assert_int_equal(fd, SLUICE_ENOTSUP);
        return;
    }
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        add(poller, readable(), SLUICE_READ);
        assert_int_equal(sluice_poller_backend_fd(poller), fd);
    }
}

static void readable_while_there_is_something(void) {
    sluice_poller *poller = make_inner();
    struct pair first = unix_pair();
    struct pair second = unix_pair();
    add(poller, first.near, SLUICE_READ);
    int fd = backend_fd_of(poller);
    add(poller, second.near, SLUICE_READ);
    assert_false(is_readable(fd));
    put_byte(first.far);
    assert_true(is_readable(fd));
    put_byte(second.far);
    assert_int_equal(wait_one(poller, 0), 1);
    take_byte(first.near);
    assert_true(is_readable(fd));
    take_byte(second.near);
    assert_false(is_readable(fd));
    assert_int_equal(wait_one(poller, 0), 0);
    assert_false(is_readable(fd));
}

static void wakes_and_edges(void) {
    sluice_poller *poller = make_inner();
    int fd = backend_fd_of(poller);
    struct pair pair = unix_pair();
    add(poller, pair.near, SLUICE_READ | SLUICE_EDGE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sluice_poller_wake(poller), 0);
        assert_true(is_readable(fd));
        assert_int_equal(wait_one(poller, SLUICE_FOREVER), 0);
        assert_false(is_readable(fd));
        put_byte(pair.far);
        assert_true(is_readable(fd));
        assert_int_equal(wait_one(poller, 0), 1);
        assert_false(is_readable(fd));
    }
}

static void files_that_are_always_ready(void) {
    sluice_poller *poller = make_inner();
    int before = regular_file();
    add(poller, before, SLUICE_READ);
    int fd = backend_fd_of(poller);
    assert_true(is_readable(fd));
    assert_int_equal(wait_one(poller, 0), 1);
    assert_true(is_readable(fd));
    assert_int_equal(sluice_poller_modify(poller, before, SLUICE_NONE, 0), 0);
    assert_false(is_readable(fd));
    int after = regular_file();
    add(poller, after, SLUICE_READ | SLUICE_ONE_SHOT);
    assert_true(is_readable(fd));
    assert_int_equal(wait_one(poller, 0), 1);
    assert_false(is_readable(fd));
    assert_int_equal(sluice_poller_modify(poller, after, SLUICE_WRITE | SLUICE_EDGE, 0), 0);
    assert_int_equal(sluice_poller_modify(poller, before, SLUICE_READ, 0), 0);
    assert_int_equal(sluice_poller_remove(poller, after), 0);
    assert_true(is_readable(fd));
    assert_int_equal(sluice_poller_remove(poller, before), 0);
    assert_false(is_readable(fd));
}

/* ---- That it stays ----------------------------------------------------------------------------
 */

/* A number closed unremoved, whose file goes on reporting. Returns what keeps the file open. */
static int leave_stale_entry(sluice_poller *poller) {
    struct pair pair = unix_pair();
    int copy = duplicate(pair.near, 0);
    add(poller, pair.near, SLUICE_READ);
    drop(pair.near);
    assert_int_equal(sluice_poller_remove(poller, pair.near), 0);
    put_byte(pair.far);
    return copy;
}

/* An outer epoll instance knows the file that it was given. */
static int make_outer(int fd) {
    int outer = keep(epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event), 0);
    return outer;
}

static bool tells(int outer) {
    struct epoll_event event;
    int count = epoll_wait(outer, &event, 1, 0);
    assert_true(count >= 0);
    return count == 1;
}

static void the_same_through_every_move(void) {
    sluice_poller *poller = make_inner();
    struct pair pair = unix_pair();
    add(poller, pair.near, SLUICE_READ);
    int fd = backend_fd_of(poller);
    int outer = make_outer(fd);
    for (int i = 0; i < 5; i++) {
        leave_stale_entry(poller);
        assert_true(tells(outer)); /* for nothing, once */
        assert_int_equal(wait_one(poller, 0), 0);
        assert_false(tells(outer));
        assert_int_equal(sluice_poller_backend_fd(poller), fd);
        put_byte(pair.far);
        assert_true(tells(outer));
        assert_int_equal(wait_one(poller, 0), 1);
        take_byte(pair.near);
        assert_false(tells(outer));
    }
}

/* The wait that meets the stale entry beside an event also gets rid of it. */
static void quiet_after_one_wait(void) {
    sluice_poller *poller = make_inner();
    struct pair pair = unix_pair();
    add(poller, pair.near, SLUICE_READ);
    int outer = make_outer(backend_fd_of(poller));
    leave_stale_entry(poller);
    put_byte(pair.far);
    sluice_ready events[4];
    assert_int_equal(sluice_poller_wait(poller, events, 4, 0), 1);
    assert_int_equal(events[0].fd, pair.near);
    take_byte(pair.near);
    assert_false(tells(outer));
}

/* A child keeps the old instance open, in which the stale entry goes on reporting. */
static void quiet_though_a_child_has_the_old_one(void) {
    sluice_poller *poller = make_inner();
    int outer = make_outer(backend_fd_of(poller));
    struct pair life = pipe_pair();
    leave_stale_entry(poller);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        close(life.far);
        struct pollfd entry = {.fd = life.near, .events = POLLIN};
        (void)poll(&entry, 1, PATIENCE_MS);
        _exit(read(life.near, &byte, 1) == 0 ? 0 : 1);
    }
    int count = wait_one(poller, 0);
    bool told = tells(outer);
    drop(life.far);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(count, 0);
    assert_false(told);
}

static void an_outer_poller_of_any_backend(void) {
    sluice_poller *outer = make_poller();
    sluice_poller *inner = make_inner();
    struct pair pair = unix_pair();
    add(inner, pair.near, SLUICE_READ);
    add(outer, backend_fd_of(inner), SLUICE_READ);
    assert_int_equal(wait_one(outer, 0), 0);
    for (int i = 0; i < 3; i++) {
        leave_stale_entry(inner);
        assert_int_equal(wait_one(outer, PATIENCE_NS), 1);
        assert_int_equal(wait_one(inner, 0), 0);
        assert_int_equal(wait_one(outer, 0), 0);
        put_byte(pair.far);
        assert_int_equal(wait_one(outer, PATIENCE_NS), 1);
        assert_int_equal(wait_one(inner, 0), 1);
        take_byte(pair.near);
        assert_int_equal(wait_one(outer, 0), 0);
    }
    assert_int_equal(sluice_poller_remove(outer, backend_fd_of(inner)), 0);
}

/* ---- Out of descriptors, and others -----------------------------------------------------------
 */

static void refused_and_asked_for_again(void) {
    sluice_poller *poller = make_inner();
    int file = regular_file();
    add(poller, file, SLUICE_READ);
    size_t open_before = open_fd_count();
    fail_epoll_create(EMFILE);
    assert_int_equal(sluice_poller_backend_fd(poller), -EMFILE);
    fail_epoll_create(0);
    fail_eventfd(ENFILE);
    assert_int_equal(sluice_poller_backend_fd(poller), -ENFILE);
    fail_eventfd(0);
    for (int good = 0; good < 2; good++) {
        fail_epoll_adds(ENOSPC, good);
        assert_int_equal(sluice_poller_backend_fd(poller), -ENOSPC);
        fail_epoll_adds(0, 0);
    }
    assert_int_equal(open_fd_count(), open_before);
    assert_int_equal(wait_one(poller, 0), 1);
    assert_true(is_readable(backend_fd_of(poller)));
}

static void a_file_that_the_front_has_no_room_for(void) {
    sluice_poller *poller = make_inner();
    int fd = backend_fd_of(poller);
    int file = regular_file();
    add(poller, file, SLUICE_NONE);
    fail_epoll_adds(EPERM, 0); /* as of the file, too */
    assert_int_equal(sluice_poller_modify(poller, file, SLUICE_READ, 0), -EPERM);
    fail_epoll_adds(0, 0);
    assert_false(is_readable(fd));
    assert_int_equal(wait_one(poller, 0), 0);
    assert_int_equal(sluice_poller_modify(poller, file, SLUICE_READ, 0), 0);
    assert_true(is_readable(fd));
}

/* The new instance is filled, and the front cannot hold it. */
static void a_move_that_the_front_has_no_room_for(void) {
    sluice_poller *poller = make_inner();
    struct pair pair = unix_pair();
    add(poller, pair.near, SLUICE_READ);
    int outer = make_outer(backend_fd_of(poller));
    leave_stale_entry(poller);
    fail_epoll_adds(ENOSPC, 2); /* the socket and the wake descriptor */
    assert_int_equal(wait_one(poller, 0), 0);
    put_byte(pair.far);
    assert_true(tells(outer));
    assert_int_equal(wait_one(poller, PATIENCE_NS), 1);
    fail_epoll_adds(0, 0);
    take_byte(pair.near);
    assert_int_equal(wait_one(poller, 30 * NS_PER_MS), 0);
    assert_false(tells(outer));
    put_byte(pair.far);
    assert_true(tells(outer));
}

int main(void) {
    static const struct test tests[] = {
        {"where there is a backend descriptor", where_there_is_one, NULL},
        {"it stays the same for an outer poller of any backend", an_outer_poller_of_any_backend,
         NULL},
    };
    static const struct test epolls[] = {
        {"readable while there is something", readable_while_there_is_something, NULL},
        {"wakes and edges", wakes_and_edges, NULL},
        {"files that are always ready", files_that_are_always_ready, NULL},
        {"the same through every move", the_same_through_every_move, NULL},
        {"quiet after one wait", quiet_after_one_wait, NULL},
        {"quiet though a child has the old instance", quiet_though_a_child_has_the_old_one, NULL},
        {"refused, and asked for again", refused_and_asked_for_again, NULL},
        {"a file that the front has no room for", a_file_that_the_front_has_no_room_for, NULL},
        {"a move that the front has no room for", a_move_that_the_front_has_no_room_for, NULL},
    };
    int first = run_over_backends(tests, COUNT_OF(tests));
    int second = run_once(epolls, COUNT_OF(epolls));
    return first != 0 ? first : second;
}

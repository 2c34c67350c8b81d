/* test_socket_file.c - the file of a unix socket: who removes which file, and who has a path. */
#include "network/socket.h"

#include "faults.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDRESS "unix:socket"

/* The file's type, or 0 where there is none. */
static mode_t type_at(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

static size_t files_here(void) {
    DIR *list = opendir(".");
    assert_non_null(list);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(list));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(list);
    return count;
}

static void make_file(const char *path) {
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* A socket's file that nobody is bound to. */
static void make_dead_file(void) {
    int fd = sluice_socket_listen(ADDRESS, 1);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(type_at("socket"), S_IFSOCK);
}

/* ---- A listener with its file's record ------------------------------------------------------- */

static int listen_for(const char *address, struct sluice_socket_file *file) {
    const struct sluice_socket_options options = {.backlog = 4};
    return sluice_socket_listen_with(address, &options, file);
}

struct server {
    int fd;
    struct sluice_socket_file file;
};

static struct server listen_at(const char *address) {
    struct server server;
    server.fd = listen_for(address, &server.file);
    assert_true(server.fd >= 0);
    assert_true(server.file.exists);
    return server;
}

static void end(struct server *server) {
    sluice_socket_file_remove(&server->file, server->fd);
    close(server->fd);
    assert_false(server->file.exists);
}

static void expect_reached(int listener) {
    int caller = keep(sluice_socket_connect(ADDRESS));
    await(listener, POLLIN);
    drop(keep(sluice_socket_accept(listener)));
    drop(caller);
}

/* ---- Which file goes ------------------------------------------------------------------------- */

static void own_file_goes(void) {
    const char *folder = enter_test_folder();
    struct server server = listen_at(ADDRESS);
    assert_int_equal(type_at("socket"), S_IFSOCK);
    end(&server);
    assert_int_equal(files_here(), 0);
    char absolute[128];
    snprintf(absolute, sizeof absolute, "unix:%s/socket", folder);
    server = listen_at(absolute);
    end(&server);
    assert_int_equal(files_here(), 0);
}

static void own_file_goes_after_chdir(void) {
    (void)enter_test_folder();
    assert_true(mkdir("one", 0700) == 0 && mkdir("two", 0700) == 0);
    assert_int_equal(chdir("one"), 0);
    struct server server = listen_at(ADDRESS);
    assert_int_equal(chdir("../two"), 0);
    make_file("socket");
    end(&server);
    assert_int_equal(type_at("socket"), S_IFREG);
    assert_int_equal(type_at("../one/socket"), 0);
}

static void own_file_goes_after_its_folder_has_moved(void) {
    (void)enter_test_folder();
    assert_int_equal(mkdir("one", 0700), 0);
    struct server server = listen_at("unix:one/socket");
    assert_int_equal(rename("one", "two"), 0);
    assert_int_equal(mkdir("one", 0700), 0);
    make_file("one/socket");
    end(&server);
    assert_int_equal(type_at("one/socket"), S_IFREG);
    assert_int_equal(type_at("two/socket"), 0);
}

static void successors_file_stays(void) {
    (void)enter_test_folder();
    struct server first = listen_at(ADDRESS);
    assert_int_equal(unlink("socket"), 0);
    struct server second = listen_at(ADDRESS);
    end(&first);
    assert_int_equal(type_at("socket"), S_IFSOCK);
    expect_reached(second.fd);
    end(&second);
    assert_int_equal(files_here(), 0);
}

static void other_files_stay(void) {
    (void)enter_test_folder();
    struct server server = listen_at(ADDRESS);
    assert_int_equal(rename("socket", "renamed"), 0);
    make_file("socket");
    end(&server);
    assert_int_equal(type_at("socket"), S_IFREG);
    assert_int_equal(unlink("socket"), 0);
    server = listen_at(ADDRESS);
    assert_int_equal(unlink("socket"), 0);
    assert_int_equal(symlink("renamed", "socket"), 0);
    end(&server);
    assert_int_equal(type_at("socket"), S_IFLNK);
    assert_int_equal(type_at("renamed"), S_IFSOCK);
}

static void forgotten_file_stays(void) {
    (void)enter_test_folder();
    struct server server = listen_at(ADDRESS);
    sluice_socket_file_forget(&server.file);
    end(&server);
    assert_int_equal(type_at("socket"), S_IFSOCK);
}

/* What the caller of the public call has to remove. */
static void bare_sockets_file_stays(void) {
    (void)enter_test_folder();
    int fd = sluice_socket_listen(ADDRESS, 1);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(type_at("socket"), S_IFSOCK);
}

/* ---- What there is no file of ---------------------------------------------------------------- */

static void no_file_of_other_sockets(void) {
    static const char *const addresses[] = {"127.0.0.1:0", "unix:@sluice-test-file"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct sluice_socket_file file;
        int fd = keep(listen_for(addresses[i], &file));
        assert_false(file.exists);
        sluice_socket_file_remove(&file, fd);
    }
}

static void no_file_of_what_fails(void) {
    (void)enter_test_folder();
    make_file("file");
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* Room for the socket, and not for its folder. */
    struct rlimit one = {.rlim_cur = (rlim_t)closed_number() + 1, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &one);
    struct sluice_socket_file file;
    int code = listen_for(ADDRESS, &file);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(code, -EMFILE);
    assert_false(file.exists);
    assert_int_equal(listen_for("unix:nowhere/socket", &file), -ENOENT);
    assert_int_equal(listen_for("unix:file/socket", &file), -ENOTDIR);
    assert_int_equal(listen_for("unix:file", &file), -EADDRINUSE);
    assert_int_equal(listen_for("unix:.", &file), -EADDRINUSE);
    assert_int_equal(listen_for("unix:folder/", &file), -ENOENT);
    assert_false(file.exists);
    assert_int_equal(files_here(), 1);
}

static void path_asked_for_is_told(void) {
    (void)enter_test_folder();
    make_dead_file();
    struct server server = listen_at(ADDRESS);
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(server.fd, text, sizeof text) > 0);
    assert_string_equal(text, ADDRESS);
    int caller = keep(sluice_socket_connect(ADDRESS));
    assert_true(sluice_socket_peer_address(caller, text, sizeof text) > 0);
    assert_string_equal(text, ADDRESS);
    end(&server);
}

/* ---- Who has a path -------------------------------------------------------------------------- */

static void dead_file_is_replaced(void) {
    (void)enter_test_folder();
    make_dead_file();
    struct server server = listen_at(ADDRESS);
    assert_int_equal(files_here(), 1);
    expect_reached(server.fd);
    end(&server);
    assert_int_equal(files_here(), 0);
}

/* Also where a connection that was accepted there lives on. */
static void dead_file_with_connections_is_replaced(void) {
    (void)enter_test_folder();
    int listener = keep(sluice_socket_listen(ADDRESS, 1));
    int caller = keep(sluice_socket_connect(ADDRESS));
    await(listener, POLLIN);
    int accepted = keep(sluice_socket_accept(listener));
    drop(listener);
    struct server server = listen_at(ADDRESS);
    expect_reached(server.fd);
    end(&server);
    drop(accepted);
    drop(caller);
}

static void file_of_a_killed_process_is_replaced(void) {
    (void)enter_test_folder();
    struct pair pair = unix_pair();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (sluice_socket_listen(ADDRESS, 1) >= 0)
            put_byte(pair.far);
        for (;;)
            pause();
    }
    await(pair.near, POLLIN);
    struct sluice_socket_file file;
    assert_int_equal(listen_for(ADDRESS, &file), -EADDRINUSE);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(type_at("socket"), S_IFSOCK);
    struct server server = listen_at(ADDRESS);
    expect_reached(server.fd);
    end(&server);
    assert_int_equal(files_here(), 0);
}

/* Bound, whether it listens or not, and of whatever type: in use, and no caller is sent to it. */
static void file_of_a_living_socket_is_left(void) {
    (void)enter_test_folder();
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
        int fd = keep(socket(AF_UNIX, types[i] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(sluice_socket_listen(ADDRESS, 1), -EADDRINUSE);
        if (types[i] != SOCK_DGRAM) {
            assert_int_equal(listen(fd, 1), 0);
            assert_int_equal(sluice_socket_listen(ADDRESS, 1), -EADDRINUSE);
            assert_int_equal(sluice_socket_accept(fd), SLUICE_EAGAIN);
        }
        assert_int_equal(files_here(), 1);
        drop(fd);
        assert_int_equal(unlink("socket"), 0);
    }
}

static void other_file_is_left(void) {
    (void)enter_test_folder();
    make_file("socket");
    assert_int_equal(sluice_socket_listen(ADDRESS, 1), -EADDRINUSE);
    assert_int_equal(type_at("socket"), S_IFREG);
    assert_int_equal(unlink("socket"), 0);
    assert_int_equal(symlink("missing", "socket"), 0);
    assert_int_equal(sluice_socket_listen(ADDRESS, 1), -EADDRINUSE);
    assert_int_equal(type_at("socket"), S_IFLNK);
    assert_int_equal(files_here(), 1);
}

#define LOCK "socket.sluice-lock"

/* Another is about to be bound. It is not waited for. */
static void locked_path_is_in_use(void) {
    (void)enter_test_folder();
    make_dead_file();
    int lock = keep(open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(sluice_socket_listen(ADDRESS, 1), -EADDRINUSE);
    assert_int_equal(files_here(), 2);
    drop(lock);
    struct server server = listen_at(ADDRESS);
    assert_int_equal(files_here(), 1);
    end(&server);
}

/* As a crash leaves it. */
static void lock_that_nobody_holds_hinders_nobody(void) {
    (void)enter_test_folder();
    make_dead_file();
    make_file(LOCK);
    struct server server = listen_at(ADDRESS);
    assert_int_equal(files_here(), 1);
    end(&server);
}

/* The dead file stays, and nothing else is left, whichever step it is that has no descriptor. */
static void no_descriptors_to_replace_with(void) {
    (void)enter_test_folder();
    make_dead_file();
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t room = 0;
    struct sluice_socket_file file;
    for (int fd = -EMFILE; fd < 0; room++) {
        struct rlimit few = {.rlim_cur = (rlim_t)closed_number() + room,
                             .rlim_max = limit.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        fd = listen_for(ADDRESS, &file);
        setrlimit(RLIMIT_NOFILE, &limit);
        assert_int_equal(files_here(), 1);
        assert_int_equal(type_at("socket"), S_IFSOCK);
        if (fd < 0)
            assert_int_equal(fd, -EMFILE);
        else
            end(&(struct server){fd, file});
    }
    assert_true(room > 3);
    assert_int_equal(files_here(), 0);
}

static void be_root_again(void *unused) {
    (void)unused;
    assert_int_equal(seteuid(getuid()), 0);
}

/* Of a folder that may be read only. */
static void no_permission_to_replace(void) {
    (void)enter_test_folder();
    make_dead_file();
    assert_int_equal(chmod("socket", 0777), 0);
    assert_int_equal(chmod(".", 0755), 0);
    if (geteuid() != 0)
        skip();
    defer(be_root_again, NULL);
    assert_int_equal(seteuid(65534), 0);
    struct sluice_socket_file file;
    int code = listen_for(ADDRESS, &file);
    be_root_again(NULL);
    assert_int_equal(code, -EACCES);
    assert_int_equal(files_here(), 1);
}

/* ---- Two at once ----------------------------------------------------------------------------- */

static int second; /* what the others are told */
static int third;

static void begin_third(void) {
    third = sluice_socket_listen(ADDRESS, 1);
}

/* The second begins after the first has looked at the dead file, and before it has removed it. */
static void first_keeps_the_place_of_a_dead_file(void) {
    (void)enter_test_folder();
    make_dead_file();
    third = 0;
    before_unlink(begin_third);
    struct server first = listen_at(ADDRESS);
    assert_int_equal(third, -EADDRINUSE);
    expect_reached(first.fd);
    end(&first);
    assert_int_equal(files_here(), 0);
}

/* The second comes, replaces the file, removes the lock's file, and crashes: all between the
 * first's open of the lock's file and its lock. The third comes as above. */
static void come_and_go(void) {
    second = sluice_socket_listen(ADDRESS, 1);
    close(second);
    before_unlink(begin_third);
}

static void lock_is_of_the_file_that_is_there(void) {
    (void)enter_test_folder();
    make_dead_file();
    second = third = 0;
    before_flock(come_and_go);
    struct server first = listen_at(ADDRESS);
    assert_true(second > 0);
    assert_int_equal(third, -EADDRINUSE);
    expect_reached(first.fd);
    end(&first);
    assert_int_equal(files_here(), 0);
}

enum { RACERS = 4, ROUNDS = 500 };

struct race {
    pthread_barrier_t start;
    struct server servers[RACERS];
};

struct racer {
    struct race *race;
    size_t index;
};

static void *take_part(void *argument) {
    struct racer *racer = argument;
    struct server *server = &racer->race->servers[racer->index];
    pthread_barrier_wait(&racer->race->start);
    server->fd = listen_for(ADDRESS, &server->file);
    return NULL;
}

/* Several begin at one path at once: one gets it, and can be reached. The others are told. */
static void run_race(bool with_dead_file) {
    static struct race race;
    pthread_t threads[RACERS];
    struct racer racers[RACERS];
    if (with_dead_file)
        make_dead_file();
    pthread_barrier_init(&race.start, NULL, RACERS);
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){&race, i};
        assert_int_equal(pthread_create(&threads[i], NULL, take_part, &racers[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.start);
    struct server *winner = NULL;
    for (size_t i = 0; i < RACERS; i++) {
        if (race.servers[i].fd < 0) {
            assert_int_equal(race.servers[i].fd, -EADDRINUSE);
            continue;
        }
        assert_null(winner);
        winner = &race.servers[i];
    }
    assert_non_null(winner);
    assert_int_equal(files_here(), 1);
    expect_reached(winner->fd);
    end(winner);
    assert_int_equal(files_here(), 0);
}

static void race_for_a_free_path(void) {
    (void)enter_test_folder();
    for (int i = 0; i < ROUNDS / 4; i++)
        run_race(false);
}

static void race_for_a_dead_file(void) {
    (void)enter_test_folder();
    for (int i = 0; i < ROUNDS; i++)
        run_race(true);
}

int main(void) {
    static const struct test tests[] = {
        {"one's own file goes", own_file_goes, NULL},
        {"also after chdir", own_file_goes_after_chdir, NULL},
        {"also after its folder has moved", own_file_goes_after_its_folder_has_moved, NULL},
        {"a successor's stays", successors_file_stays, NULL},
        {"other files stay", other_files_stay, NULL},
        {"one that was forgotten stays", forgotten_file_stays, NULL},
        {"a bare socket's stays", bare_sockets_file_stays, NULL},
        {"other sockets have none", no_file_of_other_sockets, NULL},
        {"what fails leaves none", no_file_of_what_fails, NULL},
        {"the path that was asked for is told", path_asked_for_is_told, NULL},
        {"a dead file is replaced", dead_file_is_replaced, NULL},
        {"also while connections live", dead_file_with_connections_is_replaced, NULL},
        {"also a killed process's", file_of_a_killed_process_is_replaced, NULL},
        {"a living socket's is left", file_of_a_living_socket_is_left, NULL},
        {"another file is left", other_file_is_left, NULL},
        {"a locked path is in use", locked_path_is_in_use, NULL},
        {"a lock that nobody holds", lock_that_nobody_holds_hinders_nobody, NULL},
        {"no descriptors to replace with", no_descriptors_to_replace_with, NULL},
        {"no permission to replace", no_permission_to_replace, NULL},
        {"two at a dead file", first_keeps_the_place_of_a_dead_file, NULL},
        {"three, and a lock whose file has gone", lock_is_of_the_file_that_is_there, NULL},
        {"a race for a free path", race_for_a_free_path, NULL},
        {"a race for a dead file", race_for_a_dead_file, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

/* test_listen.c - listening by name, at every address, and with options that must be set before it.
 *
 * This file replaces lookups and IPv6 sockets. So names have the addresses that a test needs, and
 * the machine has the families.
 */
#include "network/socket.h"

#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Lookups, and families ------------------------------------------------------------------- */

enum { ADDRESSES_MAX = 4 };

static const char *answers[ADDRESSES_MAX]; /* what a lookup finds, in this order */
static int lookup_error;
static int lookup_errno;
static int lookups;
static int freed;
static bool has_no_ipv6;

static struct addrinfo infos[ADDRESSES_MAX];
static union {
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
} places[ADDRESSES_MAX];

static void fill_in(size_t i) {
    infos[i] = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_addr = (void *)&places[i]};
    if (strchr(answers[i], ':')) {
        places[i].ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        assert_int_equal(inet_pton(AF_INET6, answers[i], &places[i].ipv6.sin6_addr), 1);
        infos[i].ai_family = AF_INET6;
        infos[i].ai_addrlen = sizeof places[i].ipv6;
    } else {
        places[i].ipv4 = (struct sockaddr_in){.sin_family = AF_INET};
        assert_int_equal(inet_pton(AF_INET, answers[i], &places[i].ipv4.sin_addr), 1);
        infos[i].ai_family = AF_INET;
        infos[i].ai_addrlen = sizeof places[i].ipv4;
    }
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    (void)service;
    assert_int_equal(hints->ai_socktype, SOCK_STREAM);
    lookups++;
    assert_string_equal(name, "server.example");
    if (lookup_error) {
        errno = lookup_errno;
        return lookup_error;
    }
    for (size_t i = 0; i < ADDRESSES_MAX && answers[i]; i++) {
        fill_in(i);
        if (i > 0)
            infos[i - 1].ai_next = &infos[i];
    }
    *found = infos;
    return 0;
}

void freeaddrinfo(struct addrinfo *found) {
    assert_ptr_equal(found, infos);
    freed++;
}

int socket(int family, int type, int protocol) {
    if (family == AF_INET6 && has_no_ipv6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return (int)syscall(SYS_socket, family, type, protocol);
}

static mode_t mode_before; /* a file's, before it was changed */

int fchmodat(int folder, const char *path, mode_t mode, int flags) {
    struct stat status;
    assert_int_equal(fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW), 0);
    mode_before = status.st_mode & 07777;
    int file = openat(folder, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char same[32];
    snprintf(same, sizeof same, "/proc/self/fd/%d", file);
    assert_int_equal(flags, AT_SYMLINK_NOFOLLOW);
    int result = chmod(same, mode);
    close(file);
    return result;
}

static void reset(void *unused) {
    (void)unused;
    memset(answers, 0, sizeof answers);
    lookup_error = lookup_errno = lookups = freed = 0;
    has_no_ipv6 = false;
}

static void begin(void) {
    reset(NULL);
    defer(reset, NULL);
}

static int listen_by(const char *address, struct sluice_socket_options options) {
    struct sluice_socket_file file;
    options.backlog = 4;
    int fd = sluice_socket_listen_with(address, &options, &file);
    sluice_socket_file_forget(&file);
    return fd;
}

static void expect_at(int fd, const char *host) {
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(fd, text, sizeof text) > 0);
    *strrchr(text, ':') = '\0';
    assert_string_equal(text, host);
}

static uint16_t port_of(int fd) {
    char text[SLUICE_ADDRESS_MAX];
    assert_true(sluice_socket_local_address(fd, text, sizeof text) > 0);
    return (uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10);
}

static int dial(const char *host, uint16_t port) {
    char text[SLUICE_ADDRESS_MAX];
    snprintf(text, sizeof text, "%s:%u", host, port);
    return sluice_socket_connect(text);
}

static int accept_from(int listener, const char *host) {
    int caller = keep(dial(host, port_of(listener)));
    await(listener, POLLIN);
    int accepted = keep(sluice_socket_accept(listener));
    await(caller, POLLOUT);
    return accepted;
}

static int option_of(int fd, int level, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
    return value;
}

/* ---- By name --------------------------------------------------------------------------------- */

static void name_is_looked_up(void) {
    begin();
    answers[0] = "127.0.0.2";
    int fd = keep(sluice_socket_listen("server.example:0", 4));
    assert_int_equal(lookups, 1);
    assert_int_equal(freed, 1);
    expect_at(fd, "127.0.0.2");
    accept_from(fd, "127.0.0.2");
}

static void ipv4_is_before_ipv6(void) {
    begin();
    answers[0] = "::1";
    answers[1] = "127.0.0.3";
    answers[2] = "127.0.0.2";
    expect_at(keep(sluice_socket_listen("server.example:0", 4)), "127.0.0.3");
    answers[1] = NULL;
    expect_at(keep(sluice_socket_listen("server.example:0", 4)), "[::1]");
}

static void addresses_of_other_machines_are_passed_over(void) {
    begin();
    answers[0] = "203.0.113.1";
    answers[1] = "127.0.0.2";
    expect_at(keep(sluice_socket_listen("server.example:0", 4)), "127.0.0.2");
    answers[1] = "2001:db8::1";
    assert_int_equal(sluice_socket_listen("server.example:0", 4), -EADDRNOTAVAIL);
    answers[2] = "::1";
    expect_at(keep(sluice_socket_listen("server.example:0", 4)), "[::1]");
    has_no_ipv6 = true;
    assert_int_equal(sluice_socket_listen("server.example:0", 4), -EAFNOSUPPORT);
    assert_int_equal(freed, lookups);
}

/* Else two servers could be at one name. */
static void address_in_use_is_not_passed_over(void) {
    begin();
    char text[SLUICE_ADDRESS_MAX];
    int first = keep(sluice_socket_listen("127.0.0.1:0", 4));
    snprintf(text, sizeof text, "server.example:%u", port_of(first));
    answers[0] = "127.0.0.1";
    answers[1] = "127.0.0.2";
    answers[2] = "::1";
    assert_int_equal(sluice_socket_listen(text, 4), -EADDRINUSE);
}

static void lookup_that_fails(void) {
    static const int errors[][3] = {
        {EAI_NONAME, 0, SLUICE_ENAME}, {EAI_AGAIN, 0, SLUICE_ENAME},
        {EAI_FAIL, 0, SLUICE_ENAME},   {EAI_MEMORY, 0, SLUICE_ENOMEM},
        {EAI_SYSTEM, EMFILE, -EMFILE}, {EAI_SYSTEM, 0, SLUICE_ENAME},
    };
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        begin();
        lookup_error = errors[i][0];
        lookup_errno = errors[i][1];
        assert_int_equal(sluice_socket_listen("server.example:0", 4), errors[i][2]);
        assert_int_equal(freed, 0);
    }
}

static void nothing_else_is_looked_up(void) {
    begin();
    keep(sluice_socket_listen("127.0.0.1:0", 4));
    keep(sluice_socket_listen("*:0", 4));
    assert_int_equal(sluice_socket_listen("server.example", 4), SLUICE_EPORT);
    assert_int_equal(sluice_socket_listen("256.0.0.1:80", 4), SLUICE_EADDRESS);
    assert_int_equal(sluice_socket_listen("server.example:0", 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_socket_connect("server.example:80"), SLUICE_ENUMERIC);
    assert_int_equal(sluice_socket_connect("*:80"), SLUICE_ENUMERIC);
    assert_int_equal(lookups, 0);
}

/* ---- Everywhere ------------------------------------------------------------------------------ */

/* Both ends of it tell an IPv4 address. */
static void every_address(void) {
    begin();
    char text[SLUICE_ADDRESS_MAX];
    int fd = keep(sluice_socket_listen("*:0", 4));
    expect_at(fd, "[::]");
    int over_ipv6 = accept_from(fd, "[::1]");
    assert_true(sluice_socket_peer_address(over_ipv6, text, sizeof text) > 0);
    assert_true(strncmp(text, "[::1]:", 6) == 0);
    int over_ipv4 = accept_from(fd, "127.0.0.2");
    assert_true(sluice_socket_peer_address(over_ipv4, text, sizeof text) > 0);
    assert_true(strncmp(text, "127.0.0.1:", 10) == 0);
    expect_at(over_ipv4, "127.0.0.2");
}

static void every_address_without_ipv6(void) {
    begin();
    has_no_ipv6 = true;
    int fd = keep(sluice_socket_listen("*:0", 4));
    expect_at(fd, "0.0.0.0");
    accept_from(fd, "127.0.0.2");
    assert_int_equal(listen_by("*:0", (struct sluice_socket_options){.only_ipv6 = true}),
                     -EAFNOSUPPORT);
}

static void every_address_of_a_port_in_use(void) {
    begin();
    char text[SLUICE_ADDRESS_MAX];
    int first = keep(sluice_socket_listen("127.0.0.1:0", 4));
    snprintf(text, sizeof text, "*:%u", port_of(first));
    assert_int_equal(sluice_socket_listen(text, 4), -EADDRINUSE);
}

static void only_ipv6(void) {
    static const char *const addresses[] = {"*:0", "[::]:0"};
    begin();
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        int both = keep(listen_by(addresses[i], (struct sluice_socket_options){0}));
        assert_int_equal(option_of(both, IPPROTO_IPV6, IPV6_V6ONLY), 0);
        int one = keep(listen_by(addresses[i], (struct sluice_socket_options){.only_ipv6 = true}));
        assert_int_equal(option_of(one, IPPROTO_IPV6, IPV6_V6ONLY), 1);
        accept_from(one, "[::1]");
        int caller = keep(dial("127.0.0.1", port_of(one)));
        await(caller, POLLERR);
        assert_int_equal(sluice_socket_error(caller), -ECONNREFUSED);
    }
}

static void reuse_port(void) {
    begin();
    const struct sluice_socket_options options = {.reuse_port = true};
    char text[SLUICE_ADDRESS_MAX];
    int first = keep(listen_by("127.0.0.1:0", options));
    assert_true(sluice_socket_local_address(first, text, sizeof text) > 0);
    keep(listen_by(text, options));
    assert_int_equal(listen_by(text, (struct sluice_socket_options){0}), -EADDRINUSE);
}

/* ---- The mode of a unix socket's file -------------------------------------------------------- */

static mode_t mode_at(const char *path) {
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

/* Whatever the umask, and never a wider one, not even at first. */
static void mode_of_the_file(void) {
    static const mode_t modes[] = {0600, 0660, 0666, 0777, 0000};
    static const mode_t masks[] = {0000, 0022, 0077};
    begin();
    (void)enter_test_folder();
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        for (size_t j = 0; j < COUNT_OF(masks); j++) {
            const struct sluice_socket_options options = {.has_mode = true, .mode = modes[i]};
            mode_before = 0;
            mode_t before = umask(masks[j]);
            int fd = listen_by("unix:socket", options);
            umask(before);
            drop(keep(fd));
            assert_int_equal(mode_at("socket"), modes[i]);
            assert_int_equal(mode_before & ~modes[i], 0);
            assert_int_equal(unlink("socket"), 0);
        }
    mode_t before = umask(0027);
    int fd = listen_by("unix:socket", (struct sluice_socket_options){0});
    umask(before);
    drop(keep(fd));
    assert_int_equal(mode_at("socket"), 0750);
}

/* ---- Where a connect comes from -------------------------------------------------------------- */

static void source_of_a_connect(void) {
    begin();
    char target[SLUICE_ADDRESS_MAX];
    char text[SLUICE_ADDRESS_MAX];
    int listener = keep(sluice_socket_listen("127.0.0.1:0", 8));
    assert_true(sluice_socket_local_address(listener, target, sizeof target) > 0);
    int caller = keep(sluice_socket_connect_with(target, "127.0.0.9:0"));
    expect_at(caller, "127.0.0.9");
    assert_true(port_of(caller) != 0);
    /* A port that is free, and then a port that has just been used. */
    uint16_t port = port_of(caller);
    snprintf(text, sizeof text, "127.0.0.10:%u", port);
    for (int i = 0; i < 2; i++) {
        int again = keep(sluice_socket_connect_with(target, text));
        expect_at(again, "127.0.0.10");
        assert_int_equal(port_of(again), port);
        await(again, POLLOUT);
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        setsockopt(again, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        drop(again);
    }
    assert_int_equal(sluice_socket_connect_with(target, "203.0.113.1:0"), -EADDRNOTAVAIL);
    assert_int_equal(sluice_socket_connect_with(target, "[::1]:0"), SLUICE_EOPTION);
    assert_int_equal(sluice_socket_connect_with(target, "unix:@sluice-test"), SLUICE_EOPTION);
    assert_int_equal(sluice_socket_connect_with(target, "127.0.0.1"), SLUICE_EPORT);
    assert_int_equal(sluice_socket_connect_with(target, "localhost:0"), SLUICE_ENUMERIC);
}

static void source_of_a_connect_over_ipv6(void) {
    begin();
    char target[SLUICE_ADDRESS_MAX];
    int listener = keep(sluice_socket_listen("[::1]:0", 8));
    assert_true(sluice_socket_local_address(listener, target, sizeof target) > 0);
    int caller = keep(sluice_socket_connect_with(target, "[::1]:0"));
    expect_at(caller, "[::1]");
}

static void source_of_a_unix_connect(void) {
    begin();
    char text[SLUICE_ADDRESS_MAX];
    int listener = keep(sluice_socket_listen("unix:@sluice-test-target", 8));
    keep(sluice_socket_connect_with("unix:@sluice-test-target", "unix:@sluice-test-source"));
    int accepted = keep(sluice_socket_accept(listener));
    assert_true(sluice_socket_peer_address(accepted, text, sizeof text) > 0);
    assert_string_equal(text, "unix:@sluice-test-source");
    /* A file would be left of it. */
    assert_int_equal(sluice_socket_connect_with("unix:@sluice-test-target", "unix:source"),
                     SLUICE_EOPTION);
}

int main(void) {
    static const struct test tests[] = {
        {"a name is looked up", name_is_looked_up, NULL},
        {"IPv4 before IPv6", ipv4_is_before_ipv6, NULL},
        {"addresses of other machines", addresses_of_other_machines_are_passed_over, NULL},
        {"an address in use is told", address_in_use_is_not_passed_over, NULL},
        {"a lookup that fails", lookup_that_fails, NULL},
        {"nothing else is looked up", nothing_else_is_looked_up, NULL},
        {"every address", every_address, NULL},
        {"every address, without IPv6", every_address_without_ipv6, NULL},
        {"every address, in use", every_address_of_a_port_in_use, NULL},
        {"IPv6 only", only_ipv6, NULL},
        {"SO_REUSEPORT", reuse_port, NULL},
        {"the mode of a unix socket's file", mode_of_the_file, NULL},
        {"a connect's source", source_of_a_connect, NULL},
        {"a connect's source over IPv6", source_of_a_connect_over_ipv6, NULL},
        {"a unix connect's source", source_of_a_unix_connect, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

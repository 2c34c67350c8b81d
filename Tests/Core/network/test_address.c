/* test_address.c - addresses as text, both ways. */
#include "network/address.h"

#include "support.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest path that leaves room for its terminator. */
#define A_20 "aaaaaaaaaaaaaaaaaaaa"
#define PATH_107 "/" A_20 A_20 A_20 A_20 A_20 "aaaaaa"

struct round_trip {
    const char *text;
    const char *again; /* NULL: the same */
};

static const struct round_trip good[] = {
    {"127.0.0.1:9999", NULL},
    {"0.0.0.0:0", NULL},
    {"255.255.255.255:65535", NULL},
    {"127.0.0.1:080", "127.0.0.1:80"},
    {"127.0.0.1:0000000000000000000001", "127.0.0.1:1"},
    {"[::1]:9999", NULL},
    {"[::]:0", NULL},
    {"[2001:DB8:0:0:0:0:0:1]:1", "[2001:db8::1]:1"},
    {"[::ffff:127.0.0.1]:1", NULL},
    {"[fe80::1%1]:9999", NULL},
    {"[fe80::1%4294967295]:1", NULL},
    {"[fe80::1%lo]:9999", "[fe80::1%1]:9999"},
    {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535", NULL},
    {"unix:/run/echo.sock", NULL},
    {"unix:relative", NULL},
    {"unix::", NULL},
    {"unix:127.0.0.1:80", NULL},
    {"unix:" PATH_107, NULL},
    {"unix:@abstract", NULL},
    {"unix:@@", NULL},
    {"unix:@" PATH_107, NULL},
};

struct refused {
    const char *text;
    int code;
};

static const struct refused bad[] = {
    {"", SLUICE_EADDRESS},
    {":", SLUICE_EADDRESS},
    {"9999", SLUICE_EADDRESS},
    {":9999", SLUICE_EADDRESS},
    {"127.0.0.1", SLUICE_EPORT},
    {"127.0.0.1:", SLUICE_EPORT},
    {"127.0.0.1:65536", SLUICE_EPORT},
    {"127.0.0.1:99999999999", SLUICE_EPORT},
    {"127.0.0.1:-1", SLUICE_EPORT},
    {"127.0.0.1:+1", SLUICE_EPORT},
    {"127.0.0.1: 1", SLUICE_EPORT},
    {"127.0.0.1:1 ", SLUICE_EPORT},
    {"127.0.0.1:0x50", SLUICE_EPORT},
    {"127.0.0.1:http", SLUICE_EPORT},
    {" 127.0.0.1:1", SLUICE_EADDRESS},
    {"127.0.0.1 :1", SLUICE_EADDRESS},
    {"127.0.0:1", SLUICE_EADDRESS},
    {"127.1:1", SLUICE_EADDRESS},
    {"127.0.0.0.1:1", SLUICE_EADDRESS},
    {"256.0.0.1:1", SLUICE_EADDRESS},
    {"0x7f.0.0.1:1", SLUICE_EADDRESS},
    {"localhost:80", SLUICE_ENUMERIC},
    {"example.com:80", SLUICE_ENUMERIC},
    {"*:80", SLUICE_ENUMERIC},
    {"::1:9999", SLUICE_EADDRESS},
    {"[::1]", SLUICE_EPORT},
    {"[::1]9999", SLUICE_EPORT},
    {"[::1:9999", SLUICE_EADDRESS},
    {"::1]:9999", SLUICE_EADDRESS},
    {"[]:1", SLUICE_EADDRESS},
    {"[:1", SLUICE_EADDRESS},
    {"]:1", SLUICE_EADDRESS},
    {"[127.0.0.1]:1", SLUICE_EADDRESS},
    {"[::1]]:1", SLUICE_EPORT},
    {"[[::1]]:1", SLUICE_EADDRESS},
    {"[:::1]:1", SLUICE_EADDRESS},
    {"[1:2:3:4:5:6:7:8:9]:1", SLUICE_EADDRESS},
    {"[12345::]:1", SLUICE_EADDRESS},
    {"[::1] :1", SLUICE_EPORT},
    {"[fe80::1%]:1", SLUICE_ESCOPE},
    {"[fe80::1%0]:1", SLUICE_ESCOPE},
    {"[fe80::1%nosuch0]:1", SLUICE_ESCOPE},
    {"[fe80::1%4294967296]:1", SLUICE_ESCOPE},
    {"[%1]:1", SLUICE_EADDRESS},
    {"[fe80::1%1%1]:1", SLUICE_ESCOPE},
    {"unix:", SLUICE_EPATH},
    {"unix:@", SLUICE_EPATH},
    {"unix:" PATH_107 "a", SLUICE_EPATH},
    {"unix:@" PATH_107 "a", SLUICE_EPATH},
    {"UNIX:/run/echo.sock", SLUICE_EPORT},
    {"unix", SLUICE_EPORT},
    {"tcp://127.0.0.1:1", SLUICE_EADDRESS},
    {"*", SLUICE_EPORT},
    {"*:", SLUICE_EPORT},
    {"**:1", SLUICE_EADDRESS},
    {"localhost", SLUICE_EPORT},
    {"/run/echo.sock", SLUICE_EADDRESS},
    {"./echo.sock", SLUICE_EADDRESS},
    {"::1", SLUICE_EADDRESS},
    {"1.2.3.4.:1", SLUICE_EADDRESS},
    {"0x7f000001:1", SLUICE_EADDRESS},
    {"2130706433:1", SLUICE_EADDRESS},
    {"exa mple:1", SLUICE_EADDRESS},
};

static void good_texts(void) {
    assert_int_equal(if_nametoindex("lo"), 1);
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct sluice_address address;
        if (sluice_address_parse(&address, good[i].text) != 0)
            fail_msg("%s: refused", good[i].text);
        char text[SLUICE_ADDRESS_MAX];
        int length = sluice_address_format(&address, text, sizeof text);
        assert_string_equal(text, good[i].again ? good[i].again : good[i].text);
        assert_int_equal(length, strlen(text));
    }
}

static void bad_texts(void) {
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct sluice_address address;
        int code = sluice_address_parse(&address, bad[i].text);
        if (code != bad[i].code)
            fail_msg("%s: %s, and not %s", bad[i].text, sluice_error_name(code),
                     sluice_error_name(bad[i].code));
    }
    struct sluice_endpoint endpoint;
    assert_int_equal(sluice_address_split(&endpoint, NULL), SLUICE_ENULL);
}

static void very_long_texts(void) {
    static char text[5000];
    const struct refused begins[] = {{"", SLUICE_EADDRESS},    {"[", SLUICE_EADDRESS},
                                     {"a", SLUICE_EADDRESS},   {"unix:", SLUICE_EPATH},
                                     {"unix:@", SLUICE_EPATH}, {"[::1%", SLUICE_ESCOPE},
                                     {"a:", SLUICE_EADDRESS},  {"127.0.0.1:", SLUICE_EADDRESS}};
    for (size_t i = 0; i < COUNT_OF(begins); i++) {
        memset(text, '1', sizeof text);
        memcpy(text, begins[i].text, strlen(begins[i].text));
        memcpy(text + sizeof text - 4, "]:1", 4);
        struct sluice_address address;
        assert_int_equal(sluice_address_parse(&address, text), begins[i].code);
    }
}

#define A_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME_253 A_63 "." A_63 "." A_63 "." A_20 A_20 A_20 "a"

static const char *const names[] = {
    "localhost",   "example.com",  "a",      "x-1.y",   "_http._tcp.example",
    "EXAMPLE.com", "example.com.", "1a",     "1.2.3.a", "3com.example",
    "0xg",         A_63,           NAME_253,
};

static const char *const no_names[] = {
    "a..b",
    "..",
    "a b",
    "a/b",
    "a,b",
    "b\xc3\xbc"
    "cher.example",
    "a\n",
    "a:b",
    "a%1",
    "a[",
    A_63 "a",
    NAME_253 "a",
    NAME_253 ".",
    "-\x7f",
};

static void names_and_their_ports(void) {
    assert_int_equal(strlen(NAME_253), 253);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char text[300];
        struct sluice_endpoint endpoint;
        struct sluice_address address;
        snprintf(text, sizeof text, "%s:8080", names[i]);
        if (sluice_address_split(&endpoint, text) != 0)
            fail_msg("%s: refused", text);
        assert_int_equal(endpoint.form, SLUICE_ENDPOINT_NAME);
        assert_string_equal(endpoint.name, names[i]);
        assert_int_equal(endpoint.port, 8080);
        assert_int_equal(sluice_address_parse(&address, text), SLUICE_ENUMERIC);
        assert_int_equal(sluice_address_split(&endpoint, names[i]), SLUICE_EPORT);
    }
    for (size_t i = 0; i < COUNT_OF(no_names); i++) {
        char text[300];
        struct sluice_endpoint endpoint;
        snprintf(text, sizeof text, "%s:8080", no_names[i]);
        if (sluice_address_split(&endpoint, text) != SLUICE_EADDRESS)
            fail_msg("%s: taken", text);
    }
}

static void any_and_its_port(void) {
    struct sluice_endpoint endpoint;
    assert_int_equal(sluice_address_split(&endpoint, "*:65535"), 0);
    assert_int_equal(endpoint.form, SLUICE_ENDPOINT_ANY);
    assert_int_equal(endpoint.port, 65535);
    assert_int_equal(sluice_address_split(&endpoint, "*:0"), 0);
    assert_int_equal(endpoint.port, 0);
}

/* Every text without its last character, without its last two, and so on: no read past its end, and
 * an accepted text comes back the same. */
static void truncated_texts(void) {
    for (size_t i = 0; i < COUNT_OF(good); i++)
        for (size_t length = strlen(good[i].text); length-- > 0;) {
            char *cut = strndup(good[i].text, length);
            struct sluice_address address;
            char text[SLUICE_ADDRESS_MAX];
            if (sluice_address_parse(&address, cut) == 0) {
                struct sluice_address again;
                assert_true(sluice_address_format(&address, text, sizeof text) > 0);
                assert_int_equal(sluice_address_parse(&again, text), 0);
                assert_int_equal(again.length, address.length);
                assert_memory_equal(&again.any, &address.any, address.length);
            }
            free(cut);
        }
}

static void no_room_for_text(void) {
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct sluice_address address;
        char text[SLUICE_ADDRESS_MAX];
        assert_int_equal(sluice_address_parse(&address, good[i].text), 0);
        int length = sluice_address_format(&address, text, sizeof text);
        assert_int_equal(sluice_address_format(&address, text, (size_t)length), SLUICE_ECAPACITY);
        assert_int_equal(sluice_address_format(&address, text, 0), SLUICE_ECAPACITY);
        assert_int_equal(sluice_address_format(&address, text, (size_t)length + 1), length);
    }
}

static void other_family(void) {
    struct sluice_address address = {.any = {.sa_family = AF_NETLINK}, .length = 12};
    char text[SLUICE_ADDRESS_MAX];
    assert_int_equal(sluice_address_format(&address, text, sizeof text), -EAFNOSUPPORT);
}

/* A path may fill sun_path without a terminator. The kernel then reports a length of one more than
 * the structure's, and what follows is whatever was there. */
static void path_without_terminator(void) {
    struct sluice_address address;
    memset(&address, 'x', sizeof address);
    address.local.sun_family = AF_UNIX;
    memset(address.local.sun_path, 'p', sizeof address.local.sun_path);
    address.length = sizeof address.local + 1;
    char text[SLUICE_ADDRESS_MAX];
    char expected[SLUICE_ADDRESS_MAX] = "unix:";
    memset(expected + strlen("unix:"), 'p', sizeof address.local.sun_path);
    assert_int_equal(sluice_address_format(&address, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

static void longest_path_of_a_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[sizeof address.sun_path + 1];
    int length = snprintf(path, sizeof path, "%s/", test_folder());
    memset(path + length, 'p', sizeof path - 1 - (size_t)length);
    path[sizeof path - 1] = '\0';
    memcpy(address.sun_path, path, sizeof address.sun_path);
    int fd = keep(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    char text[SLUICE_ADDRESS_MAX];
    length = sluice_socket_local_address(fd, text, sizeof text);
    assert_int_equal(bound, 0);
    assert_int_equal(length, strlen("unix:") + strlen(path));
    assert_string_equal(text + strlen("unix:"), path);
}

int main(void) {
    static const struct test tests[] = {
        {"good texts, there and back", good_texts, NULL},
        {"bad texts", bad_texts, NULL},
        {"names and their ports", names_and_their_ports, NULL},
        {"any, and its port", any_and_its_port, NULL},
        {"very long texts", very_long_texts, NULL},
        {"truncated texts", truncated_texts, NULL},
        {"no room for the text", no_room_for_text, NULL},
        {"another family", other_family, NULL},
        {"a path without terminator", path_without_terminator, NULL},
        {"the longest path of a socket", longest_path_of_a_socket, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

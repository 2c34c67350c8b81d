/* test_address_problem.c - what a person is told about a wrong address. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A_50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME_261 A_50 "." A_50 "." A_50 "." A_50 "." A_50 ".aaaaaa"

struct told {
    const char *address;
    const char *sentence;
};

static void expect(const struct told *told, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char text[SLUICE_PROBLEM_MAX] = "not written";
        int length = sluice_address_problem(told[i].address, text, sizeof text);
        if (strcmp(text, told[i].sentence) != 0)
            fail_msg("%s: \"%s\", and not \"%s\"", told[i].address, text, told[i].sentence);
        assert_int_equal(length, strlen(told[i].sentence));
    }
}

static void problems_of_a_text(void) {
    static const struct told told[] = {
        {"", "the address is empty: write 127.0.0.1:9999 or unix:/run/echo.sock"},
        {"http://example.com:80/",
         "http://example.com:80/ is a URL: write a host and a port alone, as in example.com:443"},
        {"/run/echo.sock", "a path alone is no address: write unix:/run/echo.sock"},
        {"./a:b", "a path alone is no address: write unix:./a:b"},
        {"9999", "no host: write 127.0.0.1:9999"},
        {":9999", "no host: write 127.0.0.1:9999, or *:9999 to listen at all addresses"},
        {"::1", "an IPv6 address needs brackets: write [::1]:9999"},
        {"::1:80", "an IPv6 address needs brackets: write [::1]:9999"},
        {"fe80::1%eth0:80", "an IPv6 address needs brackets: write [fe80::1%eth0]:9999"},
        {"[::1:9999", "the bracket is not closed: write [::1]:9999"},
        {"256.0.0.1:80", "256.0.0.1 is no IPv4 address: that is four numbers from 0 to 255"},
        {"127.1:80", "127.1 is no IPv4 address: that is four numbers from 0 to 255"},
        {"[:::1]:80", "\":::1\" is no IPv6 address: one is written as in [::1]:9999"},
        {"[]:80", "\"\" is no IPv6 address: one is written as in [::1]:9999"},
        {"exa mple:80", "\"exa mple\" is no host name: that has letters, digits, '-' and '_', in "
                        "parts of 1 to 63 with a '.' between"},
        {"a:b:80", "\"a:b:80\" is no host name: that has letters, digits, '-' and '_', in parts of "
                   "1 to 63 with a '.' between"},
        {NAME_261 ":80", "the host name has 261 bytes, and 253 is the most"},
        {"[fe80::1%nosuch0]:80", "there is no network interface \"nosuch0\""},
        {"[fe80::1%]:80", "there is no network interface \"\""},
        {"127.0.0.1", "no port: write 127.0.0.1:9999"},
        {"localhost:", "no port: write localhost:9999"},
        {"[::1]", "no port: write [::1]:9999"},
        {"127.0.0.1:http", "the port \"http\" is no number from 0 to 65535"},
        {"127.0.0.1:-1", "the port \"-1\" is no number from 0 to 65535"},
        {"127.0.0.1:99999", "the port 99999 is out of range: 65535 is the highest"},
        {"unix:", "the unix path is empty: write unix:/run/echo.sock or unix:@echo"},
        {"unix:@", "the unix path is empty: write unix:/run/echo.sock or unix:@echo"},
        {"unix:/" A_50 A_50 "aaaaaaa", "the unix path has 108 bytes, and 107 is the most"},
        {"unix:@" A_50 A_50 "aaaaaaaa", "the unix path has 108 bytes, and 107 is the most"},
    };
    expect(told, COUNT_OF(told));
}

static void nothing_to_say(void) {
    static const struct told told[] = {
        {"127.0.0.1:9999", ""}, {"[::1]:9999", ""},       {"*:9999", ""},
        {"localhost:9999", ""}, {"example.com:443", ""},  {"unix:@abstract", ""},
        {"203.0.113.1:1", ""},  {"nosuch.invalid:1", ""}, {"unix:/tmp/sluice-nobody", ""},
    };
    expect(told, COUNT_OF(told));
}

/* What comes from elsewhere cannot break a line in a log, and is cut between two characters. */
static void strange_values(void) {
    static const struct told told[] = {
        {"127.0.0.1:\n\x1b[1m\x7f", "the port \"??[1m?\" is no number from 0 to 65535"},
        {"127.0.0.1:" A_50 A_50 "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc",
         "the port \"" A_50 A_50 "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\" is no number from 0 to 65535"},
        {"127.0.0.1:" A_50 A_50 "a\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc",
         "the port \"" A_50 A_50 "a\xc3\xbc\xc3\xbc\xc3\xbc...\" is no number from 0 to 65535"},
        {"127.0.0.1:" A_50 A_50 A_50 A_50 A_50 A_50,
         "the port \"" A_50 A_50 "aaaaaaaa...\" is no number from 0 to 65535"},
    };
    expect(told, COUNT_OF(told));
}

static void the_longest_sentence_fits(void) {
    char address[600];
    for (char c = ' '; c < 0x7f; c++) {
        memset(address, c, sizeof address - 1);
        address[sizeof address - 1] = '\0';
        for (size_t from = 0; from < sizeof address; from++) {
            char text[SLUICE_PROBLEM_MAX];
            assert_true(sluice_address_problem(address + from, text, sizeof text) > 0);
        }
    }
}

static void bad_arguments(void) {
    char text[SLUICE_PROBLEM_MAX];
    int length = sluice_address_problem("127.0.0.1", text, sizeof text);
    assert_int_equal(sluice_address_problem(NULL, text, sizeof text), SLUICE_ENULL);
    assert_int_equal(sluice_address_problem("127.0.0.1", NULL, 0), SLUICE_ENULL);
    assert_int_equal(sluice_address_problem("127.0.0.1", text, (size_t)length), SLUICE_ECAPACITY);
    assert_int_equal(sluice_address_problem("127.0.0.1", text, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_address_problem("127.0.0.1", text, (size_t)length + 1), length);
    assert_int_equal(sluice_address_problem("127.0.0.1:1", text, 0), SLUICE_ECAPACITY);
    assert_int_equal(sluice_address_problem("127.0.0.1:1", text, 1), 0);
}

/* ---- The file system ------------------------------------------------------------------------- */

static const uid_t nobody = 65534;

static void be_oneself_again(void *unused) {
    (void)unused;
    if (geteuid() != getuid())
        assert_int_equal(seteuid(getuid()), 0);
}

static void enter_folder(void) {
    (void)enter_test_folder();
    defer(be_oneself_again, NULL);
    assert_int_equal(chmod(".", 0755), 0);
}

static void make_socket(const char *address) {
    drop(keep(sluice_socket_listen(address, 1)));
}

static void files_in_the_way(void) {
    static const struct told told[] = {
        {"unix:file", "file is in the way: it is a file, and no socket"},
        {"unix:./file", "./file is in the way: it is a file, and no socket"},
        {"unix:empty", "empty is in the way: it is a folder, and no socket"},
        {"unix:empty/", "empty/ is in the way: it is a folder, and no socket"},
        {"unix:pipe", "pipe is in the way: it is no socket"},
        {"unix:dangling", "dangling is in the way: it is a symbolic link, and no socket"},
        {"unix:missing/socket", "the folder missing is not there"},
        {"unix:/sluice-nowhere/run/x", "the folder /sluice-nowhere/run is not there"},
        {"unix:file/socket", "file is in the way: it is no folder"},
        {"unix:file/x/socket", "the folder file/x is not there"},
        {"unix:socket", ""},
        {"unix:link", ""},
        {"unix:empty/new", ""},
        {"unix:new", ""},
        {"unix:/sluice-new", ""},
    };
    enter_folder();
    drop(keep(open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    assert_int_equal(mkdir("empty", 0700), 0);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_int_equal(symlink("socket", "link"), 0);
    make_socket("unix:socket");
    expect(told, COUNT_OF(told) - (geteuid() != 0)); /* the last needs a right to the root */
}

/* As another user sees it, if this one is root. Root itself may do everything. */
static void permissions(void) {
    static const struct told told[] = {
        {"unix:new", "no permission to make a file in the folder ."},
        {"unix:closed/socket", "no permission to enter the folder closed"},
        {"unix:closed/deeper/socket", "no permission to look at the folder closed/deeper"},
        {"unix:socket", "no permission to connect to socket"},
        {"unix:open/socket", ""},
    };
    enter_folder();
    assert_true(mkdir("closed", 0700) == 0 && mkdir("closed/deeper", 0700) == 0);
    assert_true(mkdir("open", 0777) == 0 && chmod("open", 0777) == 0);
    make_socket("unix:socket");
    assert_int_equal(chmod("socket", 0700), 0);
    if (geteuid() != 0)
        skip();
    assert_int_equal(seteuid(nobody), 0);
    expect(told, COUNT_OF(told));
}

int main(void) {
    static const struct test tests[] = {
        {"of a text", problems_of_a_text, NULL},
        {"nothing to say", nothing_to_say, NULL},
        {"strange values", strange_values, NULL},
        {"the longest sentence fits", the_longest_sentence_fits, NULL},
        {"bad arguments", bad_arguments, NULL},
        {"files in the way", files_in_the_way, NULL},
        {"permissions", permissions, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

/* address_problem.c - one sentence on what is wrong with an address, for the person who wrote it.
 *
 * The text is checked first. For a unix socket the file system is checked next: what is there now
 * that would keep a listen or a connect from working. A missing file is no problem, since a listen
 * makes it. No name is looked up and no connection is made: the call itself will find out about
 * those.
 *
 * A sentence has one value in it, which may come from anywhere. Control characters are shown as
 * '?', so that a sentence in a log is one line. A long value is cut.
 */
#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network/address.h"
#include "sluice.h"

/* How many bytes of a value are shown: as many as a path can have. With the longest words around
 * it, a sentence stays below SLUICE_PROBLEM_MAX. */
#define SHOWN_MAX 108

/* A sentence with a value in its middle. `before` is NULL if there is nothing to say, and `value`
 * is empty if the sentence has no value. */
struct sentence {
    const char *before;
    const char *after;
    char value[SHOWN_MAX + sizeof "..."];
};

static const struct sentence nothing = {.before = NULL};

static struct sentence say(const char *before, struct sluice_piece value, const char *after) {
    struct sentence sentence = {.before = before, .after = after};
    size_t length = value.length;
    if (length > SHOWN_MAX) {
        length = SHOWN_MAX;
        /* Do not cut within a character of UTF-8. */
        while (length > 0 && ((unsigned char)value.bytes[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(sentence.value, value.bytes, length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)sentence.value[i] < ' ' || sentence.value[i] == 0x7f)
            sentence.value[i] = '?';
    if (length < value.length)
        memcpy(sentence.value + length, "...", sizeof "...");
    return sentence;
}

static struct sentence say_of(const char *before, const char *value, const char *after) {
    return say(before, (struct sluice_piece){value, strlen(value)}, after);
}

/* ---- Of the text ----------------------------------------------------------------------------- */

static const struct fault_words {
    enum sluice_address_fault fault;
    const char *before;
    const char *after; /* NULL if the value is not shown */
} fault_words[] = {
    {SLUICE_FAULT_EMPTY, "the address is empty: write 127.0.0.1:9999 or unix:/run/echo.sock", NULL},
    {SLUICE_FAULT_URL, "", " is a URL: write a host and a port alone, as in example.com:443"},
    {SLUICE_FAULT_BARE_PATH, "a path alone is no address: write unix:", ""},
    {SLUICE_FAULT_BARE_PORT, "no host: write 127.0.0.1:", ""},
    {SLUICE_FAULT_NO_HOST, "no host: write 127.0.0.1:9999, or *:9999 to listen at all addresses",
     NULL},
    {SLUICE_FAULT_BRACKETS_MISSING, "an IPv6 address needs brackets: write [", "]:9999"},
    {SLUICE_FAULT_BRACKET_OPEN, "the bracket is not closed: write [::1]:9999", NULL},
    {SLUICE_FAULT_IPV4, "", " is no IPv4 address: that is four numbers from 0 to 255"},
    {SLUICE_FAULT_IPV6, "\"", "\" is no IPv6 address: one is written as in [::1]:9999"},
    {SLUICE_FAULT_NAME, "\"",
     "\" is no host name: that has letters, digits, '-' and '_', in "
     "parts of 1 to 63 with a '.' between"},
    {SLUICE_FAULT_NAME_LONG, "the host name has ", " bytes, and 253 is the most"},
    {SLUICE_FAULT_SCOPE, "there is no network interface \"", "\""},
    {SLUICE_FAULT_NO_PORT, "no port: write ", ":9999"},
    {SLUICE_FAULT_PORT_WORD, "the port \"", "\" is no number from 0 to 65535"},
    {SLUICE_FAULT_PORT_RANGE, "the port ", " is out of range: 65535 is the highest"},
    {SLUICE_FAULT_PATH_EMPTY, "the unix path is empty: write unix:/run/echo.sock or unix:@echo",
     NULL},
    {SLUICE_FAULT_PATH_LONG, "the unix path has ", " bytes, and 107 is the most"},
};

static const struct fault_words *words_of(enum sluice_address_fault fault) {
    size_t i = 0;
    while (i < sizeof fault_words / sizeof fault_words[0] - 1 && fault_words[i].fault != fault)
        i++;
    return &fault_words[i];
}

static struct sentence say_of_text(enum sluice_address_fault fault, struct sluice_piece culprit) {
    const struct fault_words *words = words_of(fault);
    char length[24];
    if (!words->after)
        return say_of(words->before, "", "");
    if (fault != SLUICE_FAULT_NAME_LONG && fault != SLUICE_FAULT_PATH_LONG)
        return say(words->before, culprit, words->after);
    snprintf(length, sizeof length, "%zu", culprit.length);
    return say_of(words->before, length, words->after);
}

/* ---- Of the file system ---------------------------------------------------------------------- */

/* Checks that the files of a folder can be reached. */
static struct sentence check_folder(const char *folder) {
    struct stat status;
    if (stat(folder, &status) < 0)
        return errno == EACCES ? say_of("no permission to look at the folder ", folder, "")
                               : say_of("the folder ", folder, " is not there");
    if (!S_ISDIR(status.st_mode))
        return say_of("", folder, " is in the way: it is no folder");
    if (faccessat(AT_FDCWD, folder, X_OK, AT_EACCESS) < 0)
        return say_of("no permission to enter the folder ", folder, "");
    return nothing;
}

/* Checks that a file can be made in the folder. */
static struct sentence check_making(const char *folder) {
    if (faccessat(AT_FDCWD, folder, W_OK, AT_EACCESS) == 0)
        return nothing;
    if (errno == EROFS)
        return say_of("the folder ", folder, " is in a file system that can only be read");
    return say_of("no permission to make a file in the folder ", folder, "");
}

static const char *in_the_way(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFREG:
        return " is in the way: it is a file, and no socket";
    case S_IFDIR:
        return " is in the way: it is a folder, and no socket";
    case S_IFLNK:
        return " is in the way: it is a symbolic link, and no socket";
    default:
        return " is in the way: it is no socket";
    }
}

static struct sentence say_of_path(const char *path) {
    char folder[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + (slash == path)) : 1,
             slash ? path : ".");
    struct sentence sentence = check_folder(folder);
    struct stat status;
    if (sentence.before)
        return sentence;
    if (lstat(path, &status) < 0)
        return check_making(folder);
    struct stat target;
    /* A connect goes through a symbolic link. */
    bool leads_to_one = stat(path, &target) == 0 && S_ISSOCK(target.st_mode);
    if (!leads_to_one)
        return say_of("", path, in_the_way(status.st_mode));
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
        return say_of("no permission to connect to ", path, "");
    return nothing;
}

int sluice_address_problem(const char *address, char *text, size_t capacity) {
    if (!address || !text)
        return SLUICE_ENULL;
    struct sluice_endpoint endpoint;
    struct sluice_piece culprit;
    enum sluice_address_fault fault = sluice_address_read(&endpoint, address, &culprit);
    struct sentence sentence = nothing;
    if (fault != SLUICE_FAULT_NONE)
        sentence = say_of_text(fault, culprit);
    else if (endpoint.form == SLUICE_ENDPOINT_ADDRESS && sluice_address_has_path(&endpoint.address))
        sentence = say_of_path(endpoint.address.local.sun_path);
    int length = snprintf(text, capacity, "%s%s%s", sentence.before ? sentence.before : "",
                          sentence.value, sentence.after ? sentence.after : "");
    return length < 0 || (size_t)length >= capacity ? SLUICE_ECAPACITY : length;
}

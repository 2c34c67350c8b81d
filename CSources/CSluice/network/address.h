/* address.h - addresses as text, both ways. docs/sockets.md has the forms. */
#ifndef SLUICE_ADDRESS_H
#define SLUICE_ADDRESS_H

#include "base/platform.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Invariant: the first `length` bytes of `any` are what bind(2) and connect(2) take. */
struct sluice_address {
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
        struct sockaddr_un local;
    };
    socklen_t length;
};

/* The longest host name is one byte shorter. Source: RFC 1035, 2.3.4, counted as text without the
 * last dot, which is mostly not written. */
#define SLUICE_HOST_SIZE 254

enum sluice_endpoint_form {
    SLUICE_ENDPOINT_ADDRESS, /* numeric, or a unix socket's: `address` is finished */
    SLUICE_ENDPOINT_NAME,    /* `name` has to be looked up */
    SLUICE_ENDPOINT_ANY      /* "*", every address of this machine */
};

/* What a text says. Only the members of its form are set. */
struct sluice_endpoint {
    enum sluice_endpoint_form form;
    struct sluice_address address; /* ADDRESS */
    uint16_t port;                 /* NAME, ANY: in the host's byte order */
    char name[SLUICE_HOST_SIZE];   /* NAME: letters, digits, '-', '_' and '.' only */
};

/* What is wrong with a text. */
enum sluice_address_fault {
    SLUICE_FAULT_NONE,
    SLUICE_FAULT_EMPTY,
    SLUICE_FAULT_URL,
    SLUICE_FAULT_BARE_PATH,
    SLUICE_FAULT_BARE_PORT,
    SLUICE_FAULT_NO_HOST,
    SLUICE_FAULT_BRACKETS_MISSING,
    SLUICE_FAULT_BRACKET_OPEN,
    SLUICE_FAULT_IPV4,
    SLUICE_FAULT_IPV6,
    SLUICE_FAULT_NAME,
    SLUICE_FAULT_NAME_LONG,
    SLUICE_FAULT_SCOPE,
    SLUICE_FAULT_NO_PORT,
    SLUICE_FAULT_PORT_WORD,
    SLUICE_FAULT_PORT_RANGE,
    SLUICE_FAULT_PATH_EMPTY,
    SLUICE_FAULT_PATH_LONG
};

/* A part of a text, without a terminator. */
struct sluice_piece {
    const char *bytes;
    size_t length;
};

/* Reads a text. If something is wrong, `culprit` is the part of the text that is wrong. No system
 * call, except to look up a scope's interface. */
SLUICE_INTERNAL enum sluice_address_fault sluice_address_read(struct sluice_endpoint *endpoint,
                                                              const char *text,
                                                              struct sluice_piece *culprit);

/* The same for callers that need only a code: 0, SLUICE_ENULL, SLUICE_EADDRESS, SLUICE_EPORT,
 * SLUICE_EPATH or SLUICE_ESCOPE. */
SLUICE_INTERNAL int sluice_address_split(struct sluice_endpoint *endpoint, const char *text);

/* The same for callers that need a finished address: also SLUICE_ENUMERIC. */
SLUICE_INTERNAL int sluice_address_parse(struct sluice_address *address, const char *text);

/* Whether this is a unix socket's address with a path, and not an abstract name. */
SLUICE_INTERNAL bool sluice_address_has_path(const struct sluice_address *address);

/* Writes the address as text. Returns the text's length, or SLUICE_ECAPACITY. */
SLUICE_INTERNAL int sluice_address_format(const struct sluice_address *address, char *text,
                                          size_t capacity);

#endif

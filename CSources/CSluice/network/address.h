/* address.h - socket addresses as text, both ways. See sluice.h for the forms. */
#ifndef SLUICE_ADDRESS_H
#define SLUICE_ADDRESS_H

#include "base/platform.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#pragma GCC visibility push(hidden)

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

/* 0 or SLUICE_EADDRESS. No system call but to look up a scope's interface. */
int sluice_address_parse(struct sluice_address *address, const char *text);

/* The text's length, or SLUICE_ECAPACITY. */
int sluice_address_format(const struct sluice_address *address, char *text, size_t capacity);

#pragma GCC visibility pop

#endif

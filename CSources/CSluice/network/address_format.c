/* address_format.c - addresses as text. */
#include "base/platform.h"

#include "network/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sluice.h"

#define UNIX_PREFIX "unix:"
#define UNIX_PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

static int format_unix(const struct sluice_address *address, char *text, size_t capacity) {
    const char *path = address->local.sun_path;
    size_t size = address->length > UNIX_PATH_OFFSET ? address->length - UNIX_PATH_OFFSET : 0;
    /* If a path fills the array, the kernel counts a terminator behind it. */
    if (size > sizeof address->local.sun_path)
        size = sizeof address->local.sun_path;
    bool abstract = size > 0 && path[0] == '\0';
    size_t length = abstract ? size - 1 : strnlen(path, size);
    return snprintf(text, capacity, UNIX_PREFIX "%s%.*s", abstract ? "@" : "", (int)length,
                    path + abstract);
}

static int format_ipv4(const struct sockaddr_in *ipv4, char *text, size_t capacity) {
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &ipv4->sin_addr, host, sizeof host);
    return snprintf(text, capacity, "%s:%u", host, ntohs(ipv4->sin_port));
}

static int format_ipv6(const struct sockaddr_in6 *ipv6, char *text, size_t capacity) {
    char host[INET6_ADDRSTRLEN];
    char scope[16] = "";
    inet_ntop(AF_INET6, &ipv6->sin6_addr, host, sizeof host);
    if (ipv6->sin6_scope_id != 0)
        snprintf(scope, sizeof scope, "%%%u", (unsigned)ipv6->sin6_scope_id);
    return snprintf(text, capacity, "[%s%s]:%u", host, scope, ntohs(ipv6->sin6_port));
}

int sluice_address_format(const struct sluice_address *address, char *text, size_t capacity) {
    int length;
    switch (address->any.sa_family) {
    case AF_INET:
        length = format_ipv4(&address->ipv4, text, capacity);
        break;
    case AF_INET6:
        length = format_ipv6(&address->ipv6, text, capacity);
        break;
    case AF_UNIX:
        length = format_unix(address, text, capacity);
        break;
    default:
        return -EAFNOSUPPORT;
    }
    return length < 0 || (size_t)length >= capacity ? SLUICE_ECAPACITY : length;
}

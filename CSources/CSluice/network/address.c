/* address.c - "127.0.0.1:9999", "[fe80::1%eth0]:9999", "unix:/path" and "unix:@name".
 *
 * Numeric only: to resolve a name is to block, or to bring a resolver along, and a caller who needs
 * one has getaddrinfo(3). The port is never guessed, so a forgotten one is an error and not port 0.
 */
#include "base/platform.h"

#include "network/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "sluice.h"

#define UNIX_PREFIX "unix:"
#define UNIX_PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

/* Decimal digits and nothing else, up to `most`; false otherwise. */
static bool parse_number(const char *text, unsigned long most, unsigned long *value) {
    *value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *value = *value * 10 + (unsigned long)(*text - '0');
        if (*value > most)
            return false;
    }
    return true;
}

static int parse_unix(struct sluice_address *address, const char *path) {
    size_t length = strlen(path);
    bool abstract = path[0] == '@';
    /* A path ends in a terminator; an abstract name's leading '@' stands for one. */
    size_t size = abstract ? length : length + 1;
    if (length < (abstract ? 2 : 1) || size > sizeof address->local.sun_path)
        return SLUICE_EADDRESS;
    address->local = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->local.sun_path, path, length);
    if (abstract)
        address->local.sun_path[0] = '\0';
    address->length = (socklen_t)(UNIX_PATH_OFFSET + size);
    return 0;
}

static int parse_ipv4(struct sluice_address *address, const char *host, in_port_t port) {
    address->ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    address->length = sizeof address->ipv4;
    return inet_pton(AF_INET, host, &address->ipv4.sin_addr) == 1 ? 0 : SLUICE_EADDRESS;
}

/* The scope is an interface's name or number. */
static int parse_ipv6(struct sluice_address *address, char *host, in_port_t port) {
    unsigned long scope = 0;
    char *percent = strchr(host, '%');
    if (percent) {
        *percent = '\0';
        if (!parse_number(percent + 1, UINT32_MAX, &scope))
            scope = if_nametoindex(percent + 1);
        if (scope == 0)
            return SLUICE_EADDRESS;
    }
    address->ipv6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = port, .sin6_scope_id = (uint32_t)scope};
    address->length = sizeof address->ipv6;
    return inet_pton(AF_INET6, host, &address->ipv6.sin6_addr) == 1 ? 0 : SLUICE_EADDRESS;
}

int sluice_address_parse(struct sluice_address *address, const char *text) {
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return parse_unix(address, text + strlen(UNIX_PREFIX));
    char host[SLUICE_ADDRESS_MAX];
    const char *colon = strrchr(text, ':');
    unsigned long port;
    if (!colon || !parse_number(colon + 1, UINT16_MAX, &port))
        return SLUICE_EADDRESS;
    size_t length = (size_t)(colon - text);
    if (length >= sizeof host)
        return SLUICE_EADDRESS;
    memcpy(host, text, length);
    host[length] = '\0';
    if (host[0] != '[')
        return parse_ipv4(address, host, htons((uint16_t)port));
    if (host[length - 1] != ']')
        return SLUICE_EADDRESS;
    host[length - 1] = '\0';
    return parse_ipv6(address, host + 1, htons((uint16_t)port));
}

static int format_unix(const struct sluice_address *address, char *text, size_t capacity) {
    const char *path = address->local.sun_path;
    size_t size = address->length > UNIX_PATH_OFFSET ? address->length - UNIX_PATH_OFFSET : 0;
    /* Of a path that fills the array the kernel counts a terminator behind it. */
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

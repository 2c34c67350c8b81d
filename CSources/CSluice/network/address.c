/* address.c - addresses from text.
 *
 * A text is read from the left, and the first thing that is wrong is reported. How a text begins
 * tells what it is: "unix:" begins a unix socket's address, "[" an IPv6 address, and anything else
 * is a host and a port. A host whose last part is a number is an IPv4 address or a mistake, and
 * never a name. So "256.0.0.1" is not looked up, and 0x7f.1 is not read as inet_aton(3) would read
 * it.
 *
 * A name is checked and copied here. It is looked up elsewhere, since that may block. The port is
 * never guessed: a forgotten one is an error, and not port 0.
 */
#include "base/platform.h"

#include "network/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <net/if.h>
#include <string.h>

#include "sluice.h"

#define UNIX_PREFIX "unix:"
#define LABEL_MAX 63 /* of a name's part between dots: RFC 1035, 2.3.4 */

static const char DIGITS[] = "0123456789";
static const char HEX_DIGITS[] = "0123456789abcdefABCDEF";

static struct sluice_piece piece(const char *from, const char *end) {
    return (struct sluice_piece){from, (size_t)(end - from)};
}

/* Makes a terminated copy. False if there is no room. */
static bool copy(char *text, size_t capacity, struct sluice_piece from) {
    if (from.length >= capacity)
        return false;
    memcpy(text, from.bytes, from.length);
    text[from.length] = '\0';
    return true;
}

static bool consists_of(struct sluice_piece all, const char *characters) {
    for (size_t i = 0; i < all.length; i++)
        if (!all.bytes[i] || !strchr(characters, all.bytes[i]))
            return false;
    return true;
}

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

/* ---- Unix sockets ---------------------------------------------------------------------------- */

static enum sluice_address_fault read_unix(struct sluice_address *address, const char *path,
                                           struct sluice_piece *culprit) {
    size_t length = strlen(path);
    bool abstract = path[0] == '@';
    *culprit = piece(path + abstract, path + length);
    if (culprit->length == 0)
        return SLUICE_FAULT_PATH_EMPTY;
    /* A path ends in a terminator. The '@' in front of an abstract name stands for a terminator,
     * too. */
    if (culprit->length >= sizeof address->local.sun_path)
        return SLUICE_FAULT_PATH_LONG;
    address->local = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->local.sun_path + abstract, culprit->bytes, culprit->length);
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + culprit->length + 1);
    return SLUICE_FAULT_NONE;
}

bool sluice_address_has_path(const struct sluice_address *address) {
    return address->any.sa_family == AF_UNIX && address->local.sun_path[0] != '\0';
}

/* ---- Hosts ----------------------------------------------------------------------------------- */

static enum sluice_address_fault read_ipv4(struct sluice_address *address,
                                           struct sluice_piece host) {
    char text[INET_ADDRSTRLEN];
    address->ipv4 = (struct sockaddr_in){.sin_family = AF_INET};
    address->length = sizeof address->ipv4;
    bool is_one =
        copy(text, sizeof text, host) && inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1;
    return is_one ? SLUICE_FAULT_NONE : SLUICE_FAULT_IPV4;
}

/* A scope is an interface's name or number. */
static bool read_scope(struct sluice_piece scope, uint32_t *index) {
    char text[32]; /* more than a number has, or a name: IF_NAMESIZE */
    unsigned long number = 0;
    if (copy(text, sizeof text, scope) && !parse_number(text, UINT32_MAX, &number))
        number = if_nametoindex(text);
    *index = (uint32_t)number;
    return number != 0;
}

/* What stands in the brackets. */
static SLUICE_COLD enum sluice_address_fault
read_ipv6(struct sluice_address *address, struct sluice_piece host, struct sluice_piece *culprit) {
    char text[INET6_ADDRSTRLEN];
    const char *end = host.bytes + host.length;
    const char *percent = (const char *)memchr(host.bytes, '%', host.length);
    *culprit = piece(host.bytes, percent ? percent : end);
    address->ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    address->length = sizeof address->ipv6;
    if (!copy(text, sizeof text, *culprit) ||
        inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) != 1)
        return SLUICE_FAULT_IPV6;
    if (!percent)
        return SLUICE_FAULT_NONE;
    *culprit = piece(percent + 1, end);
    return read_scope(*culprit, &address->ipv6.sin6_scope_id) ? SLUICE_FAULT_NONE
                                                              : SLUICE_FAULT_SCOPE;
}

/* Whether inet_aton(3) would take it for a number: decimal, octal or hexadecimal. */
static bool is_number(struct sluice_piece part) {
    if (part.length >= 2 && part.bytes[0] == '0' && (part.bytes[1] | 0x20) == 'x')
        return consists_of((struct sluice_piece){part.bytes + 2, part.length - 2}, HEX_DIGITS);
    return part.length > 0 && consists_of(part, DIGITS);
}

/* The last part between dots. A dot at the end does not count. */
static struct sluice_piece last_part(struct sluice_piece host) {
    if (host.length > 0 && host.bytes[host.length - 1] == '.')
        host.length--;
    const char *dot = (const char *)memrchr(host.bytes, '.', host.length);
    return dot ? piece(dot + 1, host.bytes + host.length) : host;
}

/* A name is parts of letters, digits, '-' and '_', with a dot between them. One dot may stand at
 * the end. */
static bool is_name(struct sluice_piece host) {
    size_t part = 0;
    for (size_t i = 0; i < host.length; i++) {
        char c = host.bytes[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (c == '.' ? part == 0 : !is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
        part = c == '.' ? 0 : part + 1;
        if (part > LABEL_MAX)
            return false;
    }
    return host.length > 0;
}

static enum sluice_address_fault read_name(struct sluice_endpoint *endpoint,
                                           struct sluice_piece host) {
    endpoint->form = SLUICE_ENDPOINT_NAME;
    if (!is_name(host))
        return SLUICE_FAULT_NAME;
    return copy(endpoint->name, sizeof endpoint->name, host) ? SLUICE_FAULT_NONE
                                                             : SLUICE_FAULT_NAME_LONG;
}

static bool is_ipv6(struct sluice_piece host) {
    struct sluice_address address;
    struct sluice_piece culprit;
    return read_ipv6(&address, host, &culprit) != SLUICE_FAULT_IPV6;
}

/* A host that does not stand in brackets. */
static SLUICE_COLD enum sluice_address_fault read_host(struct sluice_endpoint *endpoint,
                                                       const char *text, struct sluice_piece host,
                                                       struct sluice_piece *culprit) {
    const struct sluice_piece whole = piece(text, text + strlen(text));
    *culprit = whole;
    if (strstr(text, "://"))
        return SLUICE_FAULT_URL;
    if (text[0] == '/' || text[0] == '.')
        return SLUICE_FAULT_BARE_PATH;
    *culprit = host;
    if (host.length == 0)
        return SLUICE_FAULT_NO_HOST;
    if (host.length == 1 && host.bytes[0] == '*') {
        endpoint->form = SLUICE_ENDPOINT_ANY;
        return SLUICE_FAULT_NONE;
    }
    if (memchr(host.bytes, ':', host.length)) {
        /* "::1:9999" is an IPv6 address with and without its last part. It was meant as an address
         * and a port. */
        if (!is_ipv6(host))
            *culprit = whole;
        return is_ipv6(*culprit) ? SLUICE_FAULT_BRACKETS_MISSING : SLUICE_FAULT_NAME;
    }
    if (!is_number(last_part(host)))
        return read_name(endpoint, host);
    if (host.bytes[host.length] == '\0' && consists_of(host, DIGITS))
        return SLUICE_FAULT_BARE_PORT;
    return read_ipv4(&endpoint->address, host);
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* `colon` points behind the host. */
static enum sluice_address_fault read_port(struct sluice_endpoint *endpoint, const char *text,
                                           const char *colon, struct sluice_piece *culprit) {
    *culprit = piece(text, colon);
    if (colon[0] != ':' || !colon[1])
        return SLUICE_FAULT_NO_PORT;
    unsigned long port;
    bool is_port = parse_number(colon + 1, UINT16_MAX, &port);
    *culprit = piece(colon + 1, colon + strlen(colon));
    if (!is_port)
        return consists_of(*culprit, DIGITS) ? SLUICE_FAULT_PORT_RANGE : SLUICE_FAULT_PORT_WORD;
    endpoint->port = (uint16_t)port;
    if (endpoint->form != SLUICE_ENDPOINT_ADDRESS)
        return SLUICE_FAULT_NONE;
    static_assert(offsetof(struct sockaddr_in, sin_port) ==
                      offsetof(struct sockaddr_in6, sin6_port),
                  "both families have it at one place");
    endpoint->address.ipv4.sin_port = htons(endpoint->port);
    return SLUICE_FAULT_NONE;
}

SLUICE_COLD enum sluice_address_fault sluice_address_read(struct sluice_endpoint *endpoint,
                                                          const char *text,
                                                          struct sluice_piece *culprit) {
    endpoint->form = SLUICE_ENDPOINT_ADDRESS;
    *culprit = piece(text, text);
    if (!*text)
        return SLUICE_FAULT_EMPTY;
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return read_unix(&endpoint->address, text + strlen(UNIX_PREFIX), culprit);
    const char *behind;
    enum sluice_address_fault fault;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close)
            return SLUICE_FAULT_BRACKET_OPEN;
        behind = close + 1;
        fault = read_ipv6(&endpoint->address, piece(text + 1, close), culprit);
    } else {
        const char *colon = strrchr(text, ':');
        behind = colon ? colon : text + strlen(text);
        fault = read_host(endpoint, text, piece(text, behind), culprit);
    }
    return fault == SLUICE_FAULT_NONE ? read_port(endpoint, text, behind, culprit) : fault;
}

int sluice_address_split(struct sluice_endpoint *endpoint, const char *text) {
    struct sluice_piece culprit;
    if (!text)
        return SLUICE_ENULL;
    switch (sluice_address_read(endpoint, text, &culprit)) {
    case SLUICE_FAULT_NONE:
        return 0;
    case SLUICE_FAULT_NO_PORT:
    case SLUICE_FAULT_PORT_WORD:
    case SLUICE_FAULT_PORT_RANGE:
        return SLUICE_EPORT;
    case SLUICE_FAULT_PATH_EMPTY:
    case SLUICE_FAULT_PATH_LONG:
        return SLUICE_EPATH;
    case SLUICE_FAULT_SCOPE:
        return SLUICE_ESCOPE;
    default:
        return SLUICE_EADDRESS;
    }
}

int sluice_address_parse(struct sluice_address *address, const char *text) {
    struct sluice_endpoint endpoint;
    int code = sluice_address_split(&endpoint, text);
    if (code < 0)
        return code;
    if (endpoint.form != SLUICE_ENDPOINT_ADDRESS)
        return SLUICE_ENUMERIC;
    *address = endpoint.address;
    return 0;
}

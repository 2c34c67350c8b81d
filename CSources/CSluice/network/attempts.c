/* attempts.c - see attempts.h.
 *
 * RFC 8305 also begins with the first family's addresses before the second family's have arrived.
 * getaddrinfo gives both at once, so that part is left out here. Decided against: remembering which
 * family won the last time, since nothing is kept between two connects.
 */
#include "base/platform.h"

#include "network/attempts.h"

#include <string.h>

/* ---- The order ------------------------------------------------------------------------------ */

static bool is_usable(const struct addrinfo *info) {
    if (info->ai_family == AF_INET)
        return info->ai_addrlen == sizeof(struct sockaddr_in);
    return info->ai_family == AF_INET6 && info->ai_addrlen == sizeof(struct sockaddr_in6);
}

static const struct addrinfo *skip_to(const struct addrinfo *info, int family) {
    while (info && !(info->ai_family == family && is_usable(info)))
        info = info->ai_next;
    return info;
}

static struct sluice_address address_of(const struct addrinfo *info, uint16_t port) {
    struct sluice_address address;
    memset(&address, 0, sizeof address);
    memcpy(&address.any, info->ai_addr, info->ai_addrlen);
    address.length = info->ai_addrlen;
    if (info->ai_family == AF_INET)
        address.ipv4.sin_port = htons(port);
    else
        address.ipv6.sin6_port = htons(port);
    return address;
}

static bool contains(const struct sluice_address *addresses, size_t count,
                     const struct sluice_address *address) {
    for (size_t i = 0; i < count; i++)
        if (addresses[i].length == address->length &&
            memcmp(&addresses[i].any, &address->any, address->length) == 0)
            return true;
    return false;
}

size_t sluice_attempts_order(const struct addrinfo *list, uint16_t port,
                             struct sluice_address *addresses, size_t capacity) {
    while (list && !is_usable(list))
        list = list->ai_next;
    if (!list)
        return 0;
    /* One walk over the list for each family, and the families take turns. */
    const int families[] = {list->ai_family, list->ai_family == AF_INET ? AF_INET6 : AF_INET};
    const struct addrinfo *rest[] = {skip_to(list, families[0]), skip_to(list, families[1])};
    size_t count = 0;
    size_t turn = 0;
    while (count < capacity && (rest[0] || rest[1])) {
        if (!rest[turn])
            turn = !turn;
        struct sluice_address address = address_of(rest[turn], port);
        rest[turn] = skip_to(rest[turn]->ai_next, families[turn]);
        if (contains(addresses, count, &address))
            continue;
        addresses[count++] = address;
        turn = !turn;
    }
    return count;
}

/* ---- The attempts --------------------------------------------------------------------------- */

void sluice_attempts_init(struct sluice_attempts *attempts, uint32_t count) {
    *attempts = (struct sluice_attempts){.next_ns = INT64_MIN, .count = count};
}

static struct sluice_attempts_step begin_one(struct sluice_attempts *attempts, int64_t now_ns) {
    struct sluice_attempts_step step = {
        .action = SLUICE_ATTEMPTS_BEGIN, .index = attempts->begun++, .given_up = SLUICE_NO_ATTEMPT};
    if (__builtin_popcountll(attempts->in_flight) == SLUICE_ATTEMPTS_AT_ONCE) {
        step.given_up = (uint32_t)__builtin_ctzll(attempts->in_flight); /* they begin in order */
        attempts->in_flight &= attempts->in_flight - 1;
    }
    attempts->in_flight |= UINT64_C(1) << step.index;
    attempts->next_ns = now_ns + SLUICE_ATTEMPT_DELAY_NS;
    return step;
}

struct sluice_attempts_step sluice_attempts_next(struct sluice_attempts *attempts, int64_t now_ns) {
    bool some_left = attempts->begun < attempts->count;
    if (some_left && now_ns >= attempts->next_ns)
        return begin_one(attempts, now_ns);
    if (attempts->in_flight)
        return (struct sluice_attempts_step){.action = SLUICE_ATTEMPTS_WAIT,
                                             .until_ns = some_left ? attempts->next_ns : INT64_MAX};
    return (struct sluice_attempts_step){.action = SLUICE_ATTEMPTS_OVER, .error = attempts->error};
}

void sluice_attempts_failed(struct sluice_attempts *attempts, uint32_t index, int error) {
    attempts->in_flight &= ~(UINT64_C(1) << index);
    attempts->error = error;
    attempts->next_ns = INT64_MIN;
}

/* address.c - fuzzes addresses as text. Whatever is taken for one comes out of its own text again
 * as the same bytes, by a text that does not change any more, into a buffer that is no longer than
 * it says it needs; and so does an address that is made up of bytes. */
#include "network/address.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void require(bool holds, const char *what) {
    if (!holds)
        fail_msg("%s", what);
}

static char *block_of(size_t size) {
    char *block = malloc(size);
    if (!block)
        abort();
    return block;
}

/* In a buffer of its own size, so that to read or write past its end is found. */
static int format_exactly(const struct sluice_address *address, char **text) {
    char roomy[SLUICE_ADDRESS_MAX];
    int length = sluice_address_format(address, roomy, sizeof roomy);
    require(length > 0, "an address that has no text of SLUICE_ADDRESS_MAX");
    *text = block_of((size_t)length + 1);
    require(sluice_address_format(address, *text, (size_t)length) == SLUICE_ECAPACITY,
            "a text that does not fit");
    require(sluice_address_format(address, *text, (size_t)length + 1) == length, "its own length");
    require(strcmp(*text, roomy) == 0 && strlen(*text) == (size_t)length, "the same text");
    return length;
}

static void check_round_trip(const struct sluice_address *address) {
    char *text;
    struct sluice_address again;
    format_exactly(address, &text);
    require(sluice_address_parse(&again, text) == 0, "an address's own text is refused");
    require(again.length == address->length &&
                memcmp(&again.any, &address->any, address->length) == 0,
            "an address's own text is another address");
    free(text);
}

static void parse(const uint8_t *bytes, size_t length) {
    char *text = block_of(length + 1);
    memcpy(text, bytes, length);
    text[length] = '\0';
    struct sluice_address address;
    int code = sluice_address_parse(&address, text);
    require(code == 0 || code == SLUICE_EADDRESS, "another code");
    if (code == 0)
        check_round_trip(&address);
    free(text);
}

/* As accept(2) and getsockname(2) give them. */
static void format(struct choices *choices) {
    struct sluice_address address;
    if (choose_below(choices, 2)) {
        address.ipv4 = (struct sockaddr_in){.sin_family = AF_INET};
        address.ipv4.sin_port = (in_port_t)choose_below(choices, 0x10000);
        address.ipv4.sin_addr.s_addr = choose_below(choices, UINT32_MAX);
        address.length = sizeof address.ipv4;
    } else {
        address.ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        address.ipv6.sin6_port = (in_port_t)choose_below(choices, 0x10000);
        for (size_t i = 0; i < sizeof address.ipv6.sin6_addr; i++)
            address.ipv6.sin6_addr.s6_addr[i] = (uint8_t)choose_below(choices, 0x100);
        address.ipv6.sin6_scope_id = choose_below(choices, UINT32_MAX);
        address.length = sizeof address.ipv6;
    }
    check_round_trip(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct choices choices = choices_of_bytes(bytes, length);
    if (choose_below(&choices, 4) == 0)
        format(&choices);
    else if (length > 0)
        parse(bytes + 1, length - 1);
    return 0;
}

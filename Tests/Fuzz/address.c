/* address.c - fuzzes addresses as text. If a text is taken for an address, the address has a text
 * of its own. That text gives the same bytes again, does not change any more, and fits into a
 * buffer of the length that Sluice asks for. The same is true of an address that is made from
 * bytes. A name is the part of the text in which it is. If a text is refused, one line says why. */
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

/* In a buffer of its own size, so that a read or write past its end is found. */
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

/* One line that fits. Accepted texts are left out, because this looks at the file system. */
static void check_problem(const char *text) {
    char *sentence = block_of(SLUICE_PROBLEM_MAX);
    int length = sluice_address_problem(text, sentence, SLUICE_PROBLEM_MAX);
    require(length > 0 && strlen(sentence) == (size_t)length, "a refusal without a sentence");
    for (const char *c = sentence; *c; c++)
        require((unsigned char)*c >= ' ' && *c != 0x7f, "a control character");
    require(sluice_address_problem(text, sentence, (size_t)length) == SLUICE_ECAPACITY,
            "a sentence that does not fit");
    free(sentence);
}

static void check_host(const struct sluice_endpoint *endpoint, const char *text) {
    const char *host = endpoint->form == SLUICE_ENDPOINT_ANY ? "*" : endpoint->name;
    size_t length = strlen(host);
    require(length > 0 && strncmp(text, host, length) == 0 && text[length] == ':',
            "another name than the text's");
    require(strtoul(text + length + 1, NULL, 10) == endpoint->port, "another port");
    struct sluice_address address;
    require(sluice_address_parse(&address, text) == SLUICE_ENUMERIC, "a name that is numeric");
}

static void parse(const uint8_t *bytes, size_t length) {
    char *text = block_of(length + 1);
    memcpy(text, bytes, length);
    text[length] = '\0';
    struct sluice_endpoint endpoint;
    int code = sluice_address_split(&endpoint, text);
    if (code < 0) {
        require(code == SLUICE_EADDRESS || code == SLUICE_EPORT || code == SLUICE_EPATH ||
                    code == SLUICE_ESCOPE,
                "another code");
        check_problem(text);
    } else if (endpoint.form == SLUICE_ENDPOINT_ADDRESS) {
        check_round_trip(&endpoint.address);
    } else {
        check_host(&endpoint, text);
    }
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

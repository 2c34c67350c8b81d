/* test_attempts.c - which address of a name is tried when.
 *
 * The attempts are played in simulated time, over all fates that up to four addresses can have. The
 * result is compared with a second description of the same rules, which knows all fates beforehand.
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "network/attempts.h"

/* ---- The order ------------------------------------------------------------------------------ */

/* A list of getaddrinfo's, made of texts. */
struct list {
    struct addrinfo infos[160];
    struct sluice_address addresses[160];
    size_t count;
};

static void add(struct list *list, const char *host) {
    struct sluice_address *address = &list->addresses[list->count];
    struct addrinfo *info = &list->infos[list->count];
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->ipv4.sin_addr) == 1) {
        address->any.sa_family = AF_INET;
        address->length = sizeof address->ipv4;
    } else if (inet_pton(AF_INET6, host, &address->ipv6.sin6_addr) == 1) {
        address->any.sa_family = AF_INET6;
        address->length = sizeof address->ipv6;
    } else {
        address->any.sa_family = AF_UNIX; /* what nobody asked for */
        address->length = sizeof address->local;
    }
    *info = (struct addrinfo){.ai_family = address->any.sa_family,
                              .ai_addr = &address->any,
                              .ai_addrlen = address->length};
    if (list->count > 0)
        list->infos[list->count - 1].ai_next = info;
    list->count++;
}

struct order {
    const char *given[8];
    const char *tried[8];
};

static const struct order orders[] = {
    /* RFC 8305, section 4: the family of the first address begins, and the families alternate. */
    {{"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"},
     {"[2001:db8::1]:443", "192.0.2.1:443", "[2001:db8::2]:443", "192.0.2.2:443"}},
    {{"192.0.2.1", "192.0.2.2", "2001:db8::1"},
     {"192.0.2.1:443", "[2001:db8::1]:443", "192.0.2.2:443"}},
    {{"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"},
     {"[2001:db8::1]:443", "192.0.2.1:443", "[2001:db8::2]:443", "[2001:db8::3]:443"}},
    {{"192.0.2.2", "192.0.2.1"}, {"192.0.2.2:443", "192.0.2.1:443"}},
    {{"2001:db8::1"}, {"[2001:db8::1]:443"}},
    /* Twice the same, as for two types of socket or two lines of /etc/hosts. */
    {{"127.0.0.1", "127.0.0.1", "::1", "::1", "127.0.0.2"},
     {"127.0.0.1:443", "[::1]:443", "127.0.0.2:443"}},
    /* Other families. */
    {{"unix", "192.0.2.1", "unix"}, {"192.0.2.1:443"}},
    {{"unix"}, {NULL}},
    {{NULL}, {NULL}},
};

static void the_families_alternate(void) {
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct list list = {.count = 0};
        struct sluice_address tried[8];
        for (size_t j = 0; j < COUNT_OF(orders[i].given) && orders[i].given[j]; j++)
            add(&list, orders[i].given[j]);
        size_t count = sluice_attempts_order(list.count ? list.infos : NULL, 443, tried, 8);
        for (size_t j = 0; j < count; j++) {
            char text[SLUICE_ADDRESS_MAX];
            assert_non_null(orders[i].tried[j]);
            assert_true(sluice_address_format(&tried[j], text, sizeof text) > 0);
            assert_string_equal(text, orders[i].tried[j]);
        }
        assert_true(count == COUNT_OF(tried) || !orders[i].tried[count]);
    }
}

/* All orders of the families, for up to eight addresses. */
static void the_order_within_a_family_stays(void) {
    for (size_t length = 1; length <= 8; length++)
        for (unsigned families = 0; families < 1U << length; families++) {
            struct list list = {.count = 0};
            struct sluice_address tried[8];
            for (size_t i = 0; i < length; i++) {
                char host[INET6_ADDRSTRLEN];
                const char *form = families & 1U << i ? "2001:db8::%zu" : "192.0.2.%zu";
                snprintf(host, sizeof host, form, i + 1);
                add(&list, host);
            }
            assert_int_equal(sluice_attempts_order(list.infos, 1, tried, 8), length);
            assert_int_equal(tried[0].any.sa_family, list.infos[0].ai_family);
            int last[2] = {0, 0};
            size_t changes = 0;
            for (size_t i = 0; i < length; i++) {
                bool is_ipv6 = tried[i].any.sa_family == AF_INET6;
                int number = is_ipv6 ? tried[i].ipv6.sin6_addr.s6_addr[15]
                                     : (int)(ntohl(tried[i].ipv4.sin_addr.s_addr) & 0xff);
                assert_true(number > last[is_ipv6]);
                last[is_ipv6] = number;
                changes += i > 0 && tried[i].any.sa_family != tried[i - 1].any.sa_family;
            }
            /* The addresses of the smaller family are between those of the other, as far as they
             * go. */
            size_t sixes = (size_t)__builtin_popcount(families);
            size_t fewer = sixes < length - sixes ? sixes : length - sixes;
            size_t firsts = list.infos[0].ai_family == AF_INET6 ? sixes : length - sixes;
            size_t expected = 2 * fewer;
            if (firsts <= length - firsts && fewer > 0)
                expected--; /* no one of the first family behind the last of them */
            assert_int_equal(changes, expected);
        }
}

/* Whatever there is of the one family, the other has its share. */
static void too_many_are_cut_behind_both_families(void) {
    struct list list = {.count = 0};
    struct sluice_address tried[SLUICE_ATTEMPTS_MOST];
    for (unsigned i = 0; i < 150; i++) {
        char host[INET6_ADDRSTRLEN];
        snprintf(host, sizeof host, i < 100 ? "2001:db8::%u" : "192.0.2.%u", i + 1);
        add(&list, host);
    }
    assert_int_equal(sluice_attempts_order(list.infos, 1, tried, COUNT_OF(tried)), COUNT_OF(tried));
    for (size_t i = 0; i < COUNT_OF(tried); i++)
        assert_int_equal(tried[i].any.sa_family, i % 2 == 0 ? AF_INET6 : AF_INET);
}

/* ---- The attempts --------------------------------------------------------------------------- */

#define MS NS_PER_MS
#define NEVER INT64_MAX
#define MOST 4

/* What becomes of an attempt: after how long, and whether it connects. */
struct fate {
    int64_t after; /* 0: connect(2) fails at once; NEVER: no answer */
    bool connects;
};

static const struct fate fates[] = {
    {0, false},       {100 * MS, false}, {250 * MS, false}, {300 * MS, false}, {700 * MS, false},
    {100 * MS, true}, {250 * MS, true},  {300 * MS, true},  {700 * MS, true},  {NEVER, false},
};

/* How it all went: when each attempt began, NEVER for one that did not. */
struct course {
    int64_t began[MOST];
    int winner;   /* -1 for none */
    int error;    /* where all have failed */
    int64_t over; /* NEVER if an attempt is still in flight when nothing happens any more */
    uint64_t closed;
};

/* No two attempts end at the same moment: each fate is a little later than the table says. */
static int64_t end_of(const struct fate *fate, int index, int64_t began) {
    if (began == NEVER || fate->after == NEVER)
        return NEVER;
    return fate->after == 0 ? began : began + fate->after + (1 << index);
}

/* By the rules: the next attempt begins 250 ms after the last, or at the first failure since. */
static struct course foretell(const struct fate *const *given, int count) {
    struct course course = {.winner = -1, .over = NEVER};
    int64_t ends[MOST];
    int64_t won = NEVER;
    for (int i = 0; i < count; i++) {
        int64_t begins = i == 0 ? 0 : course.began[i - 1] + SLUICE_ATTEMPT_DELAY_NS;
        for (int j = 0; j < i; j++) {
            /* One before that was what the last began at. */
            int64_t since = course.began[i - 1] + (j < i - 1);
            if (!given[j]->connects && ends[j] >= since && ends[j] < begins)
                begins = ends[j];
        }
        course.began[i] = begins;
        ends[i] = end_of(given[i], i, begins);
        if (given[i]->connects && ends[i] < won) {
            won = ends[i];
            course.winner = i;
        }
    }
    int64_t last = 0;
    for (int i = 0; i < count; i++) {
        if (course.began[i] >= won)
            course.began[i] = NEVER;
        else if (i != course.winner && ends[i] > won)
            course.closed |= UINT64_C(1) << i;
        if (ends[i] >= last) {
            last = ends[i];
            course.error = -1 - i;
        }
    }
    course.over = course.winner < 0 ? last : won;
    if (course.winner >= 0 || course.over == NEVER)
        course.error = 0;
    return course;
}

/* The same by the attempts themselves. */
static struct course play(const struct fate *const *given, int count) {
    struct sluice_attempts attempts;
    struct course course = {.winner = -1, .over = NEVER};
    int64_t ends[MOST] = {NEVER, NEVER, NEVER, NEVER};
    int64_t now = 0;
    uint32_t begun = 0;
    for (int i = 0; i < count; i++)
        course.began[i] = NEVER;
    sluice_attempts_init(&attempts, (uint32_t)count);
    for (;;) {
        struct sluice_attempts_step step = sluice_attempts_next(&attempts, now);
        if (step.action == SLUICE_ATTEMPTS_OVER) {
            course.over = now;
            course.error = step.error;
            return course;
        }
        if (step.action == SLUICE_ATTEMPTS_BEGIN) {
            assert_int_equal(step.index, begun++);
            assert_int_equal(step.given_up, SLUICE_NO_ATTEMPT);
            course.began[step.index] = now;
            ends[step.index] = end_of(given[step.index], (int)step.index, now);
            if (ends[step.index] == now) {
                sluice_attempts_failed(&attempts, step.index, -1 - (int)step.index);
                ends[step.index] = NEVER;
            }
            continue;
        }
        int first = 0;
        for (int i = 1; i < count; i++)
            if (ends[i] < ends[first])
                first = i;
        int64_t until = ends[first] < step.until_ns ? ends[first] : step.until_ns;
        if (until == NEVER)
            return course;
        /* Who asks too early is told the same again. */
        struct sluice_attempts_step early = sluice_attempts_next(&attempts, until - 1);
        assert_int_equal(early.action, SLUICE_ATTEMPTS_WAIT);
        assert_int_equal(early.until_ns, step.until_ns);
        now = until;
        if (ends[first] != now)
            continue;
        if (given[first]->connects) {
            course.winner = first;
            course.over = now;
            course.closed = attempts.in_flight & ~(UINT64_C(1) << first);
            return course;
        }
        sluice_attempts_failed(&attempts, (uint32_t)first, -1 - first);
        ends[first] = NEVER;
    }
}

static void compare(const struct fate *const *given, int count) {
    struct course expected = foretell(given, count);
    struct course course = play(given, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(course.began[i], expected.began[i]);
    assert_int_equal(course.winner, expected.winner);
    assert_int_equal(course.over, expected.over);
    assert_int_equal(course.error, expected.error);
    assert_int_equal(course.closed, expected.closed);
}

static void every_course_of_up_to_four_addresses(void) {
    size_t courses = 1;
    for (int count = 1; count <= MOST; count++) {
        courses *= COUNT_OF(fates);
        for (size_t course = 0; course < courses; course++) {
            const struct fate *given[MOST];
            size_t rest = course;
            for (int i = 0; i < count; i++, rest /= COUNT_OF(fates))
                given[i] = &fates[rest % COUNT_OF(fates)];
            compare(given, count);
        }
    }
}

static void the_first_begins_at_once(void) {
    struct sluice_attempts attempts;
    sluice_attempts_init(&attempts, 2);
    struct sluice_attempts_step step = sluice_attempts_next(&attempts, 5000 * MS);
    assert_int_equal(step.action, SLUICE_ATTEMPTS_BEGIN);
    assert_int_equal(step.index, 0);
    step = sluice_attempts_next(&attempts, 5000 * MS);
    assert_int_equal(step.action, SLUICE_ATTEMPTS_WAIT);
    assert_int_equal(step.until_ns, 5250 * MS);
}

static void the_last_error_is_told(void) {
    struct sluice_attempts attempts;
    sluice_attempts_init(&attempts, 2);
    sluice_attempts_next(&attempts, 0);
    sluice_attempts_next(&attempts, 250 * MS);
    sluice_attempts_failed(&attempts, 1, -ECONNREFUSED);
    sluice_attempts_failed(&attempts, 0, -ENETUNREACH);
    struct sluice_attempts_step step = sluice_attempts_next(&attempts, 300 * MS);
    assert_int_equal(step.action, SLUICE_ATTEMPTS_OVER);
    assert_int_equal(step.error, -ENETUNREACH);
}

/* Where no address answers: the descriptors are bounded, and each address has its turn. */
static void eight_at_once_and_every_address_is_tried(void) {
    struct sluice_attempts attempts;
    sluice_attempts_init(&attempts, SLUICE_ATTEMPTS_MOST);
    int64_t now = 0;
    for (uint32_t i = 0; i < SLUICE_ATTEMPTS_MOST; i++, now += SLUICE_ATTEMPT_DELAY_NS) {
        struct sluice_attempts_step step = sluice_attempts_next(&attempts, now);
        assert_int_equal(step.action, SLUICE_ATTEMPTS_BEGIN);
        assert_int_equal(step.index, i);
        assert_int_equal(step.given_up, i < SLUICE_ATTEMPTS_AT_ONCE ? SLUICE_NO_ATTEMPT
                                                                    : i - SLUICE_ATTEMPTS_AT_ONCE);
        assert_true(__builtin_popcountll(attempts.in_flight) <= SLUICE_ATTEMPTS_AT_ONCE);
    }
    /* The last ones are left in peace. */
    struct sluice_attempts_step step = sluice_attempts_next(&attempts, now + 3600000 * MS);
    assert_int_equal(step.action, SLUICE_ATTEMPTS_WAIT);
    assert_int_equal(step.until_ns, INT64_MAX);
    uint32_t last = SLUICE_ATTEMPTS_MOST - 1;
    assert_int_equal(attempts.in_flight, UINT64_C(0xff) << (last - 7));
}

/* A failure makes room: then nothing is given up for the next. */
static void a_failure_makes_room(void) {
    struct sluice_attempts attempts;
    sluice_attempts_init(&attempts, 10);
    int64_t now = 0;
    for (uint32_t i = 0; i < SLUICE_ATTEMPTS_AT_ONCE; i++, now += SLUICE_ATTEMPT_DELAY_NS)
        sluice_attempts_next(&attempts, now);
    sluice_attempts_failed(&attempts, 3, -ECONNREFUSED);
    struct sluice_attempts_step step = sluice_attempts_next(&attempts, now);
    assert_int_equal(step.index, 8);
    assert_int_equal(step.given_up, SLUICE_NO_ATTEMPT);
    step = sluice_attempts_next(&attempts, now + SLUICE_ATTEMPT_DELAY_NS);
    assert_int_equal(step.index, 9);
    assert_int_equal(step.given_up, 0);
}

int main(void) {
    static const struct test tests[] = {
        {"the families alternate", the_families_alternate, NULL},
        {"the order within a family stays", the_order_within_a_family_stays, NULL},
        {"too many are cut behind both families", too_many_are_cut_behind_both_families, NULL},
        {"every course of up to four addresses", every_course_of_up_to_four_addresses, NULL},
        {"the first begins at once", the_first_begins_at_once, NULL},
        {"the last error is told", the_last_error_is_told, NULL},
        {"eight at once, and every address is tried", eight_at_once_and_every_address_is_tried,
         NULL},
        {"a failure makes room", a_failure_makes_room, NULL},
    };
    return run_once(tests, COUNT_OF(tests));
}

/* resolve.c - names that are looked up for a loop, and the resolve handles.
 *
 * The helper thread (network/names.h) sets a flag of the loop and wakes it, and does no more. The
 * loop looks at the flag when a turn begins, and takes the answers that are there by then. An
 * answer that comes later, or to what the caller asks meanwhile, belongs to the next turn. So a
 * caller who answers each RESOLVED with a new name to look up cannot keep a turn from ending.
 *
 * Names are answered in the order in which they are asked for. So the answered ones come first in
 * loop->asked, and none of the others is looked at.
 */
#include "base/platform.h"

#include "loop/lookups.h"
#include "loop/loop.h"

#include <string.h>

#include "network/attempts.h"

/* ---- Lists ----------------------------------------------------------------------------------- */

static void append_query(struct sluice_query_list *list, struct sluice_query *query) {
    query->list = list;
    query->next = NULL;
    query->previous = list->last;
    if (list->last)
        list->last->next = query;
    else
        list->first = query;
    list->last = query;
}

static void take_out_query(struct sluice_query *query) {
    struct sluice_query_list *list = query->list;
    if (!list)
        return;
    if (query->previous)
        query->previous->next = query->next;
    else
        list->first = query->next;
    if (query->next)
        query->next->previous = query->previous;
    else
        list->last = query->previous;
    query->list = NULL;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* The loop looks at the flag only when a wait has ended. The wake ends the next wait. Any
 * thread. */
static void tell_loop(void *context) {
    sluice_loop *loop = (sluice_loop *)context;
    sluice_atomic_store(&loop->has_answers, true);
    (void)sluice_operations(loop)->wake(loop->engine);
}

int sluice_query_begin(sluice_loop *loop, struct sluice_query *query, sluice_id id,
                       const char *host, uint16_t port, int family) {
    *query = (struct sluice_query){.id = id};
    int code = sluice_lookup_begin(&query->lookup, host, port, family, tell_loop, loop);
    if (code < 0)
        return code;
    append_query(&loop->asked, query);
    return 0;
}

void sluice_query_end(struct sluice_query *query) {
    take_out_query(query);
    sluice_lookup_end(query->lookup);
    query->lookup = NULL;
}

static void begin_answers(sluice_loop *loop) {
    sluice_atomic_store(&loop->has_answers, false);
    struct sluice_query *query = loop->asked.first;
    while (query && sluice_lookup_is_answered(query->lookup)) {
        struct sluice_query *next = query->next;
        take_out_query(query);
        append_query(&loop->answered, query);
        query = next;
    }
    loop->todo |= TODO(ANSWERS);
}

/* A wake before the fork was the parent's. If a lookup is refused, those behind it stay as they
 * are, so that the order is kept. */
static int after_lookups_fork(sluice_loop *loop) {
    if (sluice_atomic_load(&loop->has_answers))
        tell_loop(loop);
    for (struct sluice_query *query = loop->asked.first; query; query = query->next) {
        int code = sluice_lookup_after_fork(query->lookup);
        if (code < 0)
            return code;
    }
    return 0;
}

/* ---- Resolve handles ------------------------------------------------------------------------- */

static void free_query(sluice_loop *loop, struct sluice_query *query) {
    sluice_query_end(query);
    sluice_free(&loop->allocator, query->text);
    sluice_free(&loop->allocator, query);
}

static void end_resolve(sluice_loop *loop, struct sluice_resolve *resolve) {
    free_query(loop, resolve->query);
    sluice_slots_end(&loop->resolves, sluice_slots_index(&loop->resolves, resolve));
}

/* Addresses as text, one in each line; NULL if memory ran out. */
static char *text_of(sluice_loop *loop, const struct sluice_address *addresses, size_t count) {
    char *text = (char *)sluice_resize(&loop->allocator, NULL, count, SLUICE_ADDRESS_MAX);
    if (!text)
        return NULL;
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text[length++] = '\n';
        int written = sluice_address_format(&addresses[i], text + length, SLUICE_ADDRESS_MAX);
        length += written > 0 ? (size_t)written : 0;
    }
    text[length] = '\0';
    return text;
}

/* The answer's addresses; NULL with *code if there are none. */
static char *answer_of(sluice_loop *loop, struct sluice_query *query, int *code) {
    struct sluice_address addresses[SLUICE_ATTEMPTS_MOST];
    *code = 0;
    if (!query->lookup) {
        char *text = query->text;
        query->text = NULL;
        return text;
    }
    int count = sluice_lookup_addresses(query->lookup, addresses, SLUICE_ATTEMPTS_MOST);
    char *text = count > 0 ? text_of(loop, addresses, (size_t)count) : NULL;
    if (!text)
        *code = count < 0 ? count : SLUICE_ENOMEM;
    return text;
}

static void resolved(sluice_loop *loop, struct sluice_resolve *resolve, sluice_event *event) {
    struct sluice_query *query = resolve->query;
    *event = (sluice_event){.kind = SLUICE_RESOLVED, .id = query->id, .user = resolve->slot.user};
    char *text = answer_of(loop, query, &event->error);
    const char *said = text ? text : query->lookup ? sluice_lookup_words(query->lookup) : NULL;
    event->data = said;
    event->length = said ? strlen(said) : 0;
    if (text)
        sluice_lend_block(loop, text, event->length);
    end_resolve(loop, resolve);
}

static bool next_answer(sluice_loop *loop, sluice_event *event) {
    struct sluice_query *query = loop->answered.first;
    for (; query && query->turn < loop->stats.turns; query = loop->answered.first) {
        take_out_query(query);
        uint32_t index = sluice_id_index(query->id);
        if (sluice_id_kind(query->id) == SLUICE_KIND_RESOLVE) {
            resolved(loop, sluice_resolve_at(loop, index), event);
            return true;
        }
        sluice_connecting_answered(loop, sluice_stream_at(loop, index));
    }
    return false;
}

static const struct sluice_lookup_operations lookup_operations = {
    .begin_turn = begin_answers,
    .next = next_answer,
    .end_resolve = end_resolve,
    .after_fork = after_lookups_fork,
    .go_on = sluice_connecting_go_on,
    .attempted = sluice_connecting_attempted,
    .lose_attempt = sluice_connecting_lose_attempt,
    .has_outcome = sluice_connecting_has_outcome,
    .end_connecting = sluice_connecting_end,
};

void sluice_lookups_begin(sluice_loop *loop) {
    loop->lookups = &lookup_operations;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* The AF_ of an enum sluice_family, or -EAFNOSUPPORT. */
static int family_of(uint32_t family) {
    switch (family) {
    case SLUICE_ANY_FAMILY:
        return AF_UNSPEC;
    case SLUICE_IPV4:
        return AF_INET;
    case SLUICE_IPV6:
        return AF_INET6;
    default:
        return -EAFNOSUPPORT;
    }
}

/* A numeric address, or that of a unix socket, is its own answer. */
static int answer_at_once(sluice_loop *loop, struct sluice_query *query, sluice_id id,
                          const struct sluice_address *address, int family) {
    if (family != AF_UNSPEC && family != address->any.sa_family)
        return -EAFNOSUPPORT;
    *query = (struct sluice_query){.id = id, .turn = loop->stats.turns};
    query->text = text_of(loop, address, 1);
    if (!query->text)
        return SLUICE_ENOMEM;
    append_query(&loop->answered, query);
    tell_loop(loop);
    return 0;
}

static int begin_query(sluice_loop *loop, struct sluice_query *query, sluice_id id,
                       const struct sluice_endpoint *endpoint, int family) {
    if (endpoint->form == SLUICE_ENDPOINT_NAME)
        return sluice_query_begin(loop, query, id, endpoint->name, endpoint->port, family);
    return answer_at_once(loop, query, id, &endpoint->address, family);
}

static int begin_resolve(sluice_loop *loop, const struct sluice_endpoint *endpoint, int family,
                         uint64_t user, sluice_id *id) {
    int code;
    uint32_t index = sluice_slots_begin(&loop->resolves, &loop->allocator, &code);
    if (index == SLUICE_NO_SLOT)
        return code;
    struct sluice_resolve *resolve = sluice_resolve_at(loop, index);
    resolve->slot.user = user;
    resolve->query = SLUICE_NEW(&loop->allocator, 1, struct sluice_query);
    *id = sluice_id_of(SLUICE_KIND_RESOLVE, index, resolve->slot.generation);
    code =
        resolve->query ? begin_query(loop, resolve->query, *id, endpoint, family) : SLUICE_ENOMEM;
    if (code < 0) {
        sluice_free(&loop->allocator, resolve->query);
        sluice_slots_end(&loop->resolves, index);
    }
    return code;
}

int sluice_resolve(sluice_loop *loop, sluice_id *id, const char *address, uint32_t family,
                   uint64_t user) {
    int code = sluice_loop_check(loop);
    if (code < 0)
        return code;
    struct sluice_endpoint endpoint;
    code = sluice_address_split(&endpoint, address);
    if (code < 0)
        return code;
    int wanted = family_of(family);
    if (wanted < 0)
        return wanted;
    if (endpoint.form == SLUICE_ENDPOINT_ANY)
        return SLUICE_ENUMERIC;
    sluice_lookups_begin(loop);
    sluice_id made = 0;
    code = begin_resolve(loop, &endpoint, wanted, user, &made);
    if (code == 0 && id)
        *id = made;
    return code;
}

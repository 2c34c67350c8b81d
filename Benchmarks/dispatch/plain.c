/* plain.c - dispatch by the system's calls by hand: epoll, poll or select. */
#define _GNU_SOURCE
#include "dispatch.h"

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>

enum { WORDS = 2048 }; /* of 64 descriptors each */

static enum { BY_EPOLL, BY_POLL, BY_SELECT } method;
static int count, highest;

static int epoll;
static struct epoll_event *events;

static struct pollfd *polled;

static uint64_t asked[WORDS], answered[WORDS];
static int index_of[WORDS * 64];

int dispatch_open(const char *backend, int most) {
    if (backend && strcmp(backend, "epoll") != 0)
        method = strcmp(backend, "poll") == 0 ? BY_POLL : BY_SELECT;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    events = calloc((size_t)most, sizeof *events);
    polled = calloc((size_t)most, sizeof *polled);
    return epoll >= 0 && events && polled;
}

int dispatch_watch(int fd, int index) {
    if (fd >= WORDS * 64)
        return 0;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
    polled[index] = (struct pollfd){.fd = fd, .events = POLLIN};
    asked[fd / 64] |= UINT64_C(1) << (fd % 64);
    index_of[fd] = index;
    highest = fd > highest ? fd : highest;
    count++;
    return method != BY_EPOLL || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void wait_by_epoll(void) {
    int ready = epoll_wait(epoll, events, count, -1);
    for (int i = 0; i < ready; i++)
        on_ready((int)events[i].data.u32);
}

static void wait_by_poll(void) {
    int ready = poll(polled, (nfds_t)count, -1);
    for (int i = 0; ready > 0; i++)
        if (polled[i].revents != 0) {
            ready--;
            on_ready(i);
        }
}

static void wait_by_select(void) {
    int words = highest / 64 + 1;
    memcpy(answered, asked, (size_t)words * sizeof *asked);
    select(highest + 1, (fd_set *)answered, NULL, NULL, NULL);
    for (int word = 0; word < words; word++)
        for (uint64_t bits = answered[word]; bits != 0; bits &= bits - 1)
            on_ready(index_of[word * 64 + __builtin_ctzll(bits)]);
}

void dispatch_wait(void) {
    if (method == BY_EPOLL)
        wait_by_epoll();
    else if (method == BY_POLL)
        wait_by_poll();
    else
        wait_by_select();
}

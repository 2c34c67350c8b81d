/* table.c - the backends that there are, best first: a new one is a line here. */
#include "../poller.h"

const struct sluice_poller_backend *const sluice_poller_backends[] = {
    &sluice_epoll_backend,
    &sluice_poll_backend,
    &sluice_select_backend,
    NULL,
};

/* libevent.c - makes libevent a backend of a program that does not ask for it, so that
 * SLUICE_BACKEND can choose it. */
#include "sluice_libevent.h"

__attribute__((constructor)) static void make_libevent_a_backend(void) {
    (void)sluice_libevent_register();
}

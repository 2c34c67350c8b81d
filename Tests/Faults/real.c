/* real.c - see real.h. */
#include "real.h"

#include <dlfcn.h>

#define DEFINE(name) __typeof__(&(name)) real_##name;
REAL_CALLS(DEFINE)

/* If two threads look it up at once, both find the same. `time` is the last one. */
__attribute__((constructor)) void find_real(void) {
    if (real_time)
        return;
#define FIND(name) *(void **)(void *)&real_##name = dlsym(RTLD_NEXT, #name);
    REAL_CALLS(FIND)
}

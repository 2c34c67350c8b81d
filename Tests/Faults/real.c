/* real.c - see real.h. */
#include "real.h"

#include <dlfcn.h>

#define DEFINE(name) __typeof__(&(name)) real_##name;
REAL_CALLS(DEFINE)

/* Found twice by two threads at once, it is the same. `time` is the last. */
__attribute__((constructor)) void find_real(void) {
    if (real_time)
        return;
#define FIND(name) *(void **)(void *)&real_##name = dlsym(RTLD_NEXT, #name);
    REAL_CALLS(FIND)
}

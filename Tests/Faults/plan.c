/* plan.c - see plan.h. Each thread has a generator for its choices. So threads do not wait for each
 * other, and do not change each other's order. */
#include "plan.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SPIN_AFTER = 3, DEFAULT_RATE = 50 };

static const char *const names[FAULT_KINDS] = {"eintr",     "eagain", "short", "reset", "accept",
                                               "exhausted", "watch",  "clock", "delay"};

static struct tally unread;
struct tally *tally = &unread;

static uint64_t seed = 1;
static uint32_t rate = DEFAULT_RATE;
static uint32_t enabled = (1u << FAULT_KINDS) - 1;
static bool starts_off;
static bool starts_at_accept;
static _Atomic bool begun; /* a wait has been seen, or an accept */
static _Atomic uint64_t threads;

struct thread {
    uint64_t random;
    bool asked; /* of faults_inject */
    bool on;
    bool lets_in;   /* callers */
    bool worked;    /* since the last wait */
    bool was_awake; /* that wait returned at once */
    unsigned idle;  /* such waits in a row */
};
static _Thread_local struct thread thread;

static uint32_t kinds_of(const char *list) {
    uint32_t kinds = 0;
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        size_t length = strlen(names[kind]);
        for (const char *at = list; (at = strstr(at, names[kind])); at += length)
            if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
                kinds |= 1u << kind;
    }
    return kinds;
}

static void map_tally(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof *tally) == 0) {
        void *mapped = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED)
            tally = mapped;
    }
    close(fd);
}

__attribute__((constructor)) static void read_plan(void) {
    const char *text = getenv("FAULTS_SEED");
    if (text)
        seed = strtoull(text, NULL, 10);
    text = getenv("FAULTS_RATE");
    if (text)
        rate = (uint32_t)strtoul(text, NULL, 10);
    text = getenv("FAULTS_KINDS");
    if (text)
        enabled = kinds_of(text);
    text = getenv("FAULTS_START");
    starts_off = text && strcmp(text, "off") == 0;
    starts_at_accept = text && strcmp(text, "accept") == 0;
    text = getenv("FAULTS_TALLY");
    if (text)
        map_tally(text);
}

void faults_inject(int on) {
    thread.asked = true;
    thread.on = on;
}

static bool is_on(void) {
    return thread.asked ? thread.on : begun && !starts_off;
}

/* xorshift64*: small, and the same everywhere. */
uint32_t below(uint32_t end) {
    if (thread.random == 0)
        thread.random = (seed + ++threads * 1000003) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    thread.random ^= thread.random >> 12;
    thread.random ^= thread.random << 25;
    thread.random ^= thread.random >> 27;
    return (uint32_t)((thread.random * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % end;
}

/* One of so many chosen faults is done. A reset ends a connection, and the others take time. */
static const uint32_t one_in[FAULT_KINDS] = {
    [FAULT_RESET] = 20, [FAULT_EXHAUSTED] = 10, [FAULT_DELAY] = 20};

bool suffers(uint32_t kinds, enum fault *fault) {
    tally->calls++;
    kinds &= enabled;
    if (kinds == 0 || !is_on() || below(1000) >= rate)
        return false;
    uint32_t choice = below((uint32_t)__builtin_popcount(kinds));
    while (choice-- > 0)
        kinds &= kinds - 1;
    *fault = (enum fault)__builtin_ctz(kinds);
    return one_in[*fault] == 0 || below(one_in[*fault]) == 0;
}

void note(enum fault fault) {
    tally->faults[fault]++;
}

void note_work(void) {
    thread.worked = true;
}

void note_accept(void) {
    begun = thread.lets_in = true;
}

void begin_wait(void) {
    if (!starts_at_accept)
        begun = true;
    tally->waits++;
    /* Beside a loop of Swift's tasks there is libdispatch's thread, which wakes up each second. */
    bool is_loop = !starts_at_accept || thread.lets_in;
    bool idle = is_loop && thread.was_awake && !thread.worked;
    thread.idle = idle ? thread.idle + 1 : 0;
    if (idle)
        tally->idle++;
    if (thread.idle > SPIN_AFTER)
        tally->spins++;
    thread.worked = thread.was_awake = false;
}

void end_wait(bool at_once) {
    thread.was_awake = at_once;
}

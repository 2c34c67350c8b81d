/* signals.c - signals as events.
 *
 * The core blocks a signal in the loop's thread, and reads it there. But Node.js has threads of its
 * own, which do not block it: a signal for the process may come to one of them. So each signal that
 * a loop has gets a handler here, which passes it on to the loop's thread. It pends there until the
 * loop reads it. When the handle ends, what was done about the signal before is done again: a
 * listener of process.on, or its default.
 *
 * When process.on gets its first listener, Node.js replaces this handler by its own. When the last
 * listener is removed, it sets the default. `index.js` is told of both right afterwards, on the
 * main thread, and calls keepSignals, which puts this handler back. It also notes what Node.js had
 * set, and that is set again when the handle ends. If the main thread has not loaded the package,
 * nobody calls keepSignals. Then what Node.js has set stays, also when the handle ends.
 *
 * `taken` changes under the lock. The handler reads an entry while `is_taken` says that it stands.
 * An entry ends in three steps: the handler is taken away, `is_taken` is cleared, and handlers that
 * run already are waited for. A handler takes no lock, so that this takes no longer than they do.
 */
#include "addon.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

enum { SIGNALS = 65 }; /* one more than the last on Linux */

static struct {
    sluice_id id;
    const struct box *box;
    pthread_t thread;
    struct sigaction before;
} taken[SIGNALS];
static atomic_bool is_taken[SIGNALS];
static atomic_int handling;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void pass_on(int signo) {
    int before = errno;
    atomic_fetch_add(&handling, 1);
    if (atomic_load(&is_taken[signo]))
        pthread_kill(taken[signo].thread, signo);
    atomic_fetch_sub(&handling, 1);
    errno = before;
}

static bool is_there(int signo) {
    return signo > 0 && signo < SIGNALS && atomic_load(&is_taken[signo]);
}

/* Whether the handler is still the one of this file. */
static bool is_still_passed_on(int signo) {
    struct sigaction now;
    return sigaction(signo, NULL, &now) == 0 && now.sa_handler == pass_on;
}

/* Sets the handler, and notes what was set before. */
static void put_handler(int signo) {
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(signo, &action, &taken[signo].before);
}

/* Under the lock. */
static int take(struct box *box, int signo, sluice_id *id) {
    if (is_there(signo))
        return SLUICE_EEXIST;
    int code = sluice_signal(box->loop, id, signo); /* from here on it is blocked in this thread */
    if (code < 0)
        return code;
    taken[signo].id = *id;
    taken[signo].box = box;
    taken[signo].thread = pthread_self();
    atomic_store(&is_taken[signo], true);
    put_handler(signo);
    box->signal_count++;
    return code;
}

void give_signals_back(struct box *box, sluice_id id) {
    if (box->signal_count == 0)
        return;
    pthread_mutex_lock(&lock);
    for (int signo = 1; signo < SIGNALS; signo++)
        if (is_there(signo) && taken[signo].box == box && (id == 0 || taken[signo].id == id)) {
            if (is_still_passed_on(signo))
                sigaction(signo, &taken[signo].before, NULL);
            atomic_store(&is_taken[signo], false);
            while (atomic_load(&handling) > 0)
                sched_yield();
            box->signal_count--;
        }
    pthread_mutex_unlock(&lock);
}

/* (loop, signo) */
static napi_value signal_as_event(napi_env env, napi_callback_info info) {
    struct call call = begin(env, info);
    int signo = take_int(&call);
    sluice_id id = 0;
    if (call.failed)
        return NULL;
    pthread_mutex_lock(&lock);
    int code = take(call.box, signo, &id);
    pthread_mutex_unlock(&lock);
    return id_or_code(&call, code, &id);
}

/* (): to be called after Node.js may have changed the handler of a signal. */
static napi_value keep_signals(napi_env env, napi_callback_info info) {
    (void)env;
    (void)info;
    pthread_mutex_lock(&lock);
    for (int signo = 1; signo < SIGNALS; signo++)
        if (is_there(signo) && !is_still_passed_on(signo))
            put_handler(signo);
    pthread_mutex_unlock(&lock);
    return NULL;
}

const struct export exports_of_signals[] = {
    {"keepSignals", keep_signals},
    {"signal", signal_as_event},
    {0},
};

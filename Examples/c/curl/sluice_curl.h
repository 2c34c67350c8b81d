/* sluice_curl.h - libcurl's transfers on a Sluice loop, by its multi_socket interface.
 *
 *     sluice_curl *curl;
 *     sluice_curl_open(&curl, loop, done, context);
 *     curl_multi_add_handle(curl->multi, easy);
 *
 * libcurl says which of its sockets it waits for, and for how long. It is told when one is ready or
 * the time is up. So each socket has a watch, and there is one timer. They are dispatched by the
 * convention of sluice_source.h.
 */
#ifndef SLUICE_CURL_H
#define SLUICE_CURL_H

#include <curl/curl.h>
#include <sluice_source.h>
#include <stdlib.h>

/* A transfer is over. `easy` is no longer in the multi handle, and belongs to the caller again. */
typedef void sluice_curl_done(void *context, CURL *easy, CURLcode result);

/* The source of the timer is the first member, so that this struct is found from it. */
typedef struct sluice_curl {
    sluice_source source;
    sluice_loop *loop;
    CURLM *multi;
    sluice_id timer; /* 0 if there is none */
    sluice_curl_done *done;
    void *context;
} sluice_curl;

/* What libcurl keeps for a socket that it waits for. */
typedef struct sluice_curl_socket {
    sluice_source source;
    sluice_curl *curl;
    sluice_id watch;
    curl_socket_t fd;
} sluice_curl_socket;

/* libcurl does what it can do now. It may let go of any socket meanwhile. */
static inline void sluice_curl_act(sluice_curl *curl, curl_socket_t fd, int ready) {
    int running;
    int left;
    CURLMsg *message;
    curl_multi_socket_action(curl->multi, fd, ready, &running);
    while ((message = curl_multi_info_read(curl->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result; /* what follows frees `message` */
        curl_multi_remove_handle(curl->multi, easy);
        curl->done(curl->context, easy, result);
    }
}

static inline void sluice_curl_dispatch_timer(sluice_source *source, const sluice_event *event) {
    sluice_curl *curl = (sluice_curl *)(void *)source;
    (void)event;
    curl->timer = 0; /* it has ended with its event */
    sluice_curl_act(curl, CURL_SOCKET_TIMEOUT, 0);
}

static inline void sluice_curl_dispatch_socket(sluice_source *source, const sluice_event *event) {
    sluice_curl_socket *socket = (sluice_curl_socket *)(void *)source;
    int ready = 0;
    if (event->value & SLUICE_READ)
        ready |= CURL_CSELECT_IN;
    if (event->value & SLUICE_WRITE)
        ready |= CURL_CSELECT_OUT;
    if (event->value & (SLUICE_ERROR | SLUICE_HANGUP))
        ready |= CURL_CSELECT_ERR;
    sluice_curl_act(socket->curl, socket->fd, ready);
}

/* CURLMOPT_TIMERFUNCTION. libcurl must not be called from here, even if the time is up. */
static inline int sluice_curl_set_timer(CURLM *multi, long timeout_ms, void *context) {
    sluice_curl *curl = (sluice_curl *)context;
    (void)multi;
    if (curl->timer != 0)
        sluice_close(curl->loop, curl->timer);
    curl->timer = 0;
    if (timeout_ms < 0)
        return 0;
    sluice_update_now(curl->loop);
    return sluice_timer(curl->loop, &curl->timer, timeout_ms * INT64_C(1000000), 0,
                        sluice_source_user(&curl->source)) < 0
               ? -1
               : 0;
}

static inline int sluice_curl_forget_socket(sluice_curl *curl, sluice_curl_socket *socket) {
    if (!socket)
        return 0;
    curl_multi_assign(curl->multi, socket->fd, NULL);
    sluice_close(curl->loop, socket->watch);
    free(socket);
    return 0;
}

static inline int sluice_curl_new_socket(sluice_curl *curl, curl_socket_t fd, uint32_t interest) {
    sluice_curl_socket *socket = (sluice_curl_socket *)calloc(1, sizeof *socket);
    if (!socket)
        return -1;
    socket->source.dispatch = sluice_curl_dispatch_socket;
    socket->curl = curl;
    socket->fd = fd;
    if (sluice_watch(curl->loop, &socket->watch, fd, interest,
                     sluice_source_user(&socket->source)) < 0) {
        free(socket);
        return -1;
    }
    curl_multi_assign(curl->multi, fd, socket);
    return 0;
}

/* CURLMOPT_SOCKETFUNCTION. */
static inline int sluice_curl_set_socket(CURL *easy, curl_socket_t fd, int what, void *context,
                                         void *assigned) {
    sluice_curl *curl = (sluice_curl *)context;
    sluice_curl_socket *socket = (sluice_curl_socket *)assigned;
    (void)easy;
    if (what == CURL_POLL_REMOVE)
        return sluice_curl_forget_socket(curl, socket);
    uint32_t interest = SLUICE_NONE;
    if (what & CURL_POLL_IN)
        interest |= SLUICE_READ;
    if (what & CURL_POLL_OUT)
        interest |= SLUICE_WRITE;
    if (!socket)
        return sluice_curl_new_socket(curl, fd, interest);
    return sluice_rewatch(curl->loop, socket->watch, interest) < 0 ? -1 : 0;
}

/* Makes a multi handle on the loop. 0 or a negative code. */
static inline int sluice_curl_open(sluice_curl **result, sluice_loop *loop, sluice_curl_done *done,
                                   void *context) {
    sluice_curl *curl = (sluice_curl *)calloc(1, sizeof *curl);
    if (curl)
        curl->multi = curl_multi_init();
    if (!curl || !curl->multi) {
        free(curl);
        return SLUICE_ENOMEM;
    }
    curl->source.dispatch = sluice_curl_dispatch_timer;
    curl->loop = loop;
    curl->done = done;
    curl->context = context;
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, sluice_curl_set_socket);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, sluice_curl_set_timer);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    *result = curl;
    return 0;
}

/* Call it when no transfer is left, and not from `done`. */
static inline void sluice_curl_close(sluice_curl *curl) {
    curl_multi_cleanup(curl->multi); /* this lets go of its sockets */
    if (curl->timer != 0)
        sluice_close(curl->loop, curl->timer);
    free(curl);
}

#endif

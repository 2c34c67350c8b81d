/* engine.h - what asyncio's event loop and its transports have in common: see engine.c and
 * transport.h.
 */
#ifndef SLUICEIO_ENGINE_H
#define SLUICEIO_ENGINE_H

#include "core.h"

struct transport;

/* Invariants: `transports` has, at the slot of an open stream's id, its transport, with a
 * reference, and NULL elsewhere; `event` is a stream's that is still to be seen to, where its kind
 * is not 0; `reported` has, at the number of a watched descriptor, the last `batch` whose `ready`
 * it was put in, and is long enough for each of them. */
struct engine {
    PyObject base;
    sluice_loop *loop; /* NULL once it is closed */
    sluice_event event;
    PyObject *ready; /* a list of pairs, for the next select */
    struct transport **transports;
    size_t slots;
    PyObject *asyncio_loop; /* the event loop, which has this engine */
    PyObject *call_soon;    /* its method */
    PyObject *listeners;    /* a dict: an id, and what is called with each new stream's id */
    unsigned *reported;     /* by descriptor */
    size_t numbers;         /* how many `reported` has */
    unsigned batch;         /* the `ready` that is being filled */
    int empty_file;         /* see transport.c */
    bool selecting, woken, looked;
    unsigned turn, usual, dispatches;
    unsigned forks;
};

/* Why a transport does not do what it would. */
enum transport_state {
    STATE_PAUSED = 1,           /* pause_reading was called */
    STATE_CLOSING = 2,          /* close was called, or the stream has ended */
    STATE_LOST = 4,             /* connection_lost is called, or about to be; no stream any more */
    STATE_EOF = 8,              /* write_eof was called */
    STATE_SHUT = 16,            /* and nothing was queued any more, so that the peer is told */
    STATE_EOF_WAITS = 32,       /* the peer's end came while paused */
    STATE_PROTOCOL_PAUSED = 64, /* pause_writing was called */
    STATE_OWN_MARKS = 128,      /* set_write_buffer_limits was called */
    STATE_BUFFERED = 256,       /* a BufferedProtocol */
    STATE_STARTING = 512,       /* connection_made is still to be called: nothing is read */
    STATE_RESUMES = 1024,       /* _look_again is about to be called */
    STATE_FAILED = 2048         /* a write was refused, and CLOSED is still to come */
};

struct transport_part {
    struct engine *engine; /* with a reference; NULL before it begins */
    sluice_id id;
    uint32_t state, lost_writes, turn; /* the last dispatch that brought bytes */
    size_t high, low;
    PyObject *protocol;          /* or NULL */
    PyObject *received, *buffer; /* data_received; or buffer_updated and get_buffer */
    PyObject *run;               /* the method `run` of the context of this connection's events */
    PyObject *server, *sock, *extra, *waiter; /* or NULL */
};

/* The marks that asyncio has by default. */
enum { HIGH_MARK = 64 * 1024, LOW_MARK = 16 * 1024 };

/* Whether a call may go on: the core's loop, or NULL with an exception. While the event loop runs,
 * only its own thread may call. */
sluice_loop *engine_living(struct engine *engine);

/* Listeners: see engine_listen.c. An ACCEPTED, whose stream gets its transport. */
int engine_accept(struct engine *engine, const sluice_event *event);
extern PyMethodDef engine_listen_methods[];

/* What streams of transports are made with. */
sluice_stream_options engine_stream_options(void);

/* Where the part lies in a transport. */
extern size_t transport_offset;
static inline struct transport_part *transport_part(PyObject *transport) {
    return (struct transport_part *)(void *)((char *)transport + transport_offset);
}

int engine_add(struct engine *engine, PyObject *transport, sluice_id id);
void engine_remove(struct engine *engine, sluice_id id);

/* The transport of exactly this stream, as a borrowed reference, or NULL. */
PyObject *engine_transport_at(const struct engine *engine, sluice_id id);

/* What an event means for a transport. -1 with an exception that ends the loop. */
int transport_data(PyObject *transport, const sluice_event *event);
int transport_eof(PyObject *transport);
int transport_drained(PyObject *transport);
int transport_closed(PyObject *transport, const sluice_event *event);

PyObject *transport_make_type(PyObject *module, PyObject *arguments);

#endif

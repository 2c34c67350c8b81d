package sluice

// #include "sluice.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"
)

// An ID names a handle: a watch, timer, listener, stream or lookup. It can be kept anywhere. Once the
// handle has ended, a call that asks for something gives ErrStale. 0 is never an ID.
type ID uint64

// Slot is a small number that no other living handle of the kind has in its loop. Use it as an index
// for a table of your own.
func (id ID) Slot() int {
	return int(id & (1<<C.SLUICE_SLOT_BITS - 1))
}

// A Kind says what happened.
type Kind uint32

const (
	Ready      Kind = C.SLUICE_READY      // a watched descriptor is ready: Readiness says for what
	Timer      Kind = C.SLUICE_TIMER      // a timer's time has come
	Posted     Kind = C.SLUICE_POSTED     // Value was posted
	Accepted   Kind = C.SLUICE_ACCEPTED   // ID is the new stream, Value the listener's ID
	Connected  Kind = C.SLUICE_CONNECTED  // a connect is done
	Data       Kind = C.SLUICE_DATA       // Data was received
	EOF        Kind = C.SLUICE_EOF        // the peer will send no more
	Drained    Kind = C.SLUICE_DRAINED    // a stream's queue has fallen to its low mark
	Closed     Kind = C.SLUICE_CLOSED     // a stream's last: Err says why, and Unsent how much was not sent
	Overloaded Kind = C.SLUICE_OVERLOADED // a listener had to stop accepting: Err says why
	Resolved   Kind = C.SLUICE_RESOLVED   // a lookup's last: it has Addresses, or Err says why there are none
)

// An Event is what was pulled.
type Event struct {
	Kind      Kind
	ID        ID     // whose event it is
	Data      []byte // valid until the next pull, which fills the same array
	Seen      int    // how many of the first bytes of Data were held, and so were in an event before
	IsLast    bool   // Data was held when the input ended, and nothing follows it
	Addresses []string
	Unsent    int
	Value     uint64
	Err       error
	// InputEnded says of a Closed that the peer had ended its input before. Then all that it wanted to
	// send has come, whatever Err says.
	InputEnded bool
}

// Readiness is what the descriptor of a Ready event is ready for.
func (event *Event) Readiness() Readiness {
	if event.Kind != Ready {
		return 0
	}
	return Readiness(event.Value)
}

// An Interest is what a watch waits for. It is a set: combine by |.
type Interest uint32

const (
	Readable      Interest = C.SLUICE_READ
	Writable      Interest = C.SLUICE_WRITE
	Priority      Interest = C.SLUICE_PRIORITY // out-of-band data
	Hangup        Interest = C.SLUICE_HANGUP   // an error or a hang-up, and nothing else
	EdgeTriggered Interest = C.SLUICE_EDGE     // reports a change, not the state; only on epoll
	OneShot       Interest = C.SLUICE_ONE_SHOT // reports once, until Rewatch
)

// Readiness is what is true of a descriptor.
type Readiness uint32

// Has says whether everything in an interest is ready.
func (readiness Readiness) Has(interest Interest) bool {
	return Interest(readiness)&interest == interest
}

// HasError says that an error is pending, or that a pipe's reader is gone.
func (readiness Readiness) HasError() bool {
	return readiness&C.SLUICE_ERROR != 0
}

// IsReadClosed says that the peer will send no more.
func (readiness Readiness) IsReadClosed() bool {
	return readiness&C.SLUICE_READ_CLOSED != 0
}

// A Family says which addresses of a name are asked for.
type Family uint32

const (
	AnyFamily Family = C.SLUICE_ANY_FAMILY
	IPv4      Family = C.SLUICE_IPV4
	IPv6      Family = C.SLUICE_IPV6
)

// Written says what became of a write. You need not look at it. With Gone and Full nothing was taken.
type Written int

const (
	Queued       Written = iota
	OverHighMark         // queued too; wait for Drained before writing more
	Gone                 // the stream has ended, or takes no more: it is broken, or was shut down
	Full                 // it would exceed the stream's hard limit, or the loop's memory limit
)

// eventOf translates an event of C. Its data is copied into room, which is large enough.
func eventOf(loop *C.sluice_loop, raw *C.sluice_event, room []byte) Event {
	event := Event{
		Kind: Kind(raw.kind), ID: ID(raw.id), Value: uint64(raw.value), Err: errorOf(raw.error),
	}
	switch event.Kind {
	case Data:
		// A copy, since Go cannot stop anybody from using the loop's own memory after a pull.
		event.Data = room[:copy(room, bytesOf(raw))]
		event.Seen, event.IsLast = int(raw.value>>1), raw.value&C.SLUICE_LAST != 0
	case Closed:
		event.Unsent, event.InputEnded = int(raw.length), raw.value == C.SLUICE_INPUT_ENDED
		if words := C.sluice_name_problem(loop, raw.id); words != nil {
			event.Err = fmt.Errorf("%w: %s", event.Err, C.GoString(words))
		}
	case Resolved:
		text := C.GoStringN((*C.char)(raw.data), C.int(raw.length))
		if event.Err == nil {
			event.Addresses = strings.Split(text, "\n")
		} else if text != "" {
			event.Err = fmt.Errorf("%w: %s", event.Err, text)
		}
	}
	return event
}

// bytesOf is the bytes of a Data event, in C's memory.
func bytesOf(raw *C.sluice_event) []byte {
	if raw.kind != C.SLUICE_DATA {
		return nil
	}
	return unsafe.Slice((*byte)(raw.data), int(raw.length))
}

// Package sluice is Sluice's loop in Go.
//
//	loop, err := sluice.Open()
//	…
//	loop.Listen("127.0.0.1:9999")
//	for {
//		event, err := loop.Next()
//		…
//		if event.Kind == sluice.Data {
//			loop.Write(event.ID, event.Data)
//		}
//	}
//
// A loop belongs to the thread that opened it, so Open locks the goroutine to its thread, until
// Destroy. From any other goroutine only Post and Wake may be called; all else gives ErrWrongThread.
//
// Errors are a syscall.Errno where the kernel gave one, so that errors.Is(err, os.ErrNotExist) holds
// where it should, and a Code of this package otherwise.
//
// There is no call for signals: Go's runtime has handlers of its own, in threads of its own. Have
// os/signal notify a goroutine, and Post from there.
//
// What each call does is said in sluice.h; the names are the same.
package sluice

/*
#cgo pkg-config: sluice
#include <stdlib.h>
#include <sluice.h>
*/
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// An ID names a handle: a watch, timer, listener, stream or lookup. Once the handle has ended, calls with it
// give ErrStale. 0 is none.
type ID uint64

// A Kind says what happened.
type Kind uint32

const (
	Ready      Kind = C.SLUICE_READY      // a watched descriptor is ready: Value has the flags
	Timer      Kind = C.SLUICE_TIMER      // a timer's time has come
	Posted     Kind = C.SLUICE_POSTED     // Value was posted
	Accepted   Kind = C.SLUICE_ACCEPTED   // ID is the new stream, Value the listener's ID
	Connected  Kind = C.SLUICE_CONNECTED  // a connect is done
	Data       Kind = C.SLUICE_DATA       // Data was received
	EOF        Kind = C.SLUICE_EOF        // the peer will send no more
	Drained    Kind = C.SLUICE_DRAINED    // a stream's queue has fallen to its low mark
	Closed     Kind = C.SLUICE_CLOSED     // a stream's last: Err says why, Unsent how much was not sent
	Overloaded Kind = C.SLUICE_OVERLOADED // a listener had to stop accepting: Err says why
	Resolved   Kind = C.SLUICE_RESOLVED   // a lookup's last: Addresses, or Err says why there are none
)

// A Family says which addresses of a name are asked for.
type Family uint32

const (
	AnyFamily Family = C.SLUICE_ANY_FAMILY
	IPv4      Family = C.SLUICE_IPV4
	IPv6      Family = C.SLUICE_IPV6
)

// Written says what became of a write.
type Written int

const (
	Queued       Written = iota
	OverHighMark         // queued too; wait for Drained before writing more
	Broken               // not taken: the connection is broken, or was shut down; Closed says more
)

// What a watch waits for, and what Ready reports.
const (
	Read       = C.SLUICE_READ
	Priority   = C.SLUICE_PRIORITY
	Write      = C.SLUICE_WRITE
	Error      = C.SLUICE_ERROR
	Hangup     = C.SLUICE_HANGUP
	ReadClosed = C.SLUICE_READ_CLOSED
	Edge       = C.SLUICE_EDGE
	OneShot    = C.SLUICE_ONE_SHOT
)

// An Event is what was pulled.
type Event struct {
	Kind      Kind
	ID        ID     // whose event it is
	Data      []byte // valid until the next pull, which fills the same array
	Addresses []string
	Unsent    int
	Value     uint64
	Err       error
}

// A Code is an error that Sluice itself gives.
type Code int

const (
	ErrNotSupported Code = C.SLUICE_ENOTSUP
	ErrInterest     Code = C.SLUICE_EINTEREST
	ErrTimeout      Code = C.SLUICE_ETIMEOUT // a negative one
	ErrCapacity     Code = C.SLUICE_ECAPACITY
	ErrDestroyed    Code = C.SLUICE_ENULL
	ErrAddress      Code = C.SLUICE_EADDRESS
	ErrFull         Code = C.SLUICE_EFULL
	ErrStale        Code = C.SLUICE_ESTALE
	ErrWrongKind    Code = C.SLUICE_EKIND
	ErrWrongThread  Code = C.SLUICE_ETHREAD
	ErrState        Code = C.SLUICE_ESTATE
	ErrName         Code = C.SLUICE_ENAME // a host name has no address
	ErrNotListening Code = C.SLUICE_ENOLISTEN
	ErrPort         Code = C.SLUICE_EPORT
	ErrPath         Code = C.SLUICE_EPATH
	ErrScope        Code = C.SLUICE_ESCOPE
	ErrNumeric      Code = C.SLUICE_ENUMERIC
)

func (code Code) Error() string {
	if code == ErrDestroyed {
		return "sluice: the loop is destroyed"
	}
	return "sluice: " + C.GoString(C.sluice_error_message(C.int(code)))
}

// Is says whether target is the errno that comes nearest.
func (code Code) Is(target error) bool {
	errno, ok := target.(syscall.Errno)
	return ok && errno == syscall.Errno(C.sluice_error_errno(C.int(code)))
}

// errorOf is what a negative result stands for, and nil for any other.
func errorOf(result C.int) error {
	switch {
	case result >= 0:
		return nil
	case result > -10000:
		return syscall.Errno(-result)
	default:
		return Code(result)
	}
}

// A Loop looks after handles, and is pulled.
type Loop struct {
	raw     *C.sluice_loop // nil once it is destroyed
	event   C.sluice_event
	data    []byte
	posting sync.RWMutex // for what Post, Wake and Destroy do with raw
}

// Open opens a loop of this goroutine's, which is locked to its thread until Destroy.
func Open() (*Loop, error) {
	runtime.LockOSThread()
	loop := &Loop{}
	if err := errorOf(C.sluice_open(&loop.raw, nil)); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return loop, nil
}

// Destroy ends all handles and the loop. Later calls give ErrDestroyed.
func (loop *Loop) Destroy() error {
	loop.posting.Lock()
	defer loop.posting.Unlock()
	if loop.raw == nil {
		return nil
	}
	if err := errorOf(C.sluice_destroy(loop.raw)); err != nil {
		return err
	}
	loop.raw = nil
	runtime.UnlockOSThread()
	return nil
}

// Next waits for the next event and pulls it. After a Wake there is an Event of no Kind.
func (loop *Loop) Next() (Event, error) {
	return loop.next(math.MaxInt64)
}

// NextWithin waits no longer than timeout. An Event of no Kind says that there was none.
func (loop *Loop) NextWithin(timeout time.Duration) (Event, error) {
	return loop.next(C.int64_t(timeout))
}

func (loop *Loop) next(timeout C.int64_t) (Event, error) {
	if count := C.sluice_next(loop.raw, &loop.event, timeout); count != 1 {
		return Event{}, errorOf(count)
	}
	raw := &loop.event
	event := Event{
		Kind: Kind(raw.kind), ID: ID(raw.id), Value: uint64(raw.value), Err: errorOf(raw.error),
	}
	switch event.Kind {
	case Data:
		// A copy, since Go cannot keep anyone from using the loop's own memory after Destroy.
		received := unsafe.Slice((*byte)(raw.data), int(raw.length))
		loop.data = append(loop.data[:0], received...)
		event.Data = loop.data
	case Closed:
		event.Unsent = int(raw.length)
		if words := C.sluice_name_problem(loop.raw, raw.id); words != nil {
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
	return event, nil
}

// Post has value come as Posted. From any goroutine.
func (loop *Loop) Post(value uint64) error {
	loop.posting.RLock()
	defer loop.posting.RUnlock()
	return errorOf(C.sluice_post(loop.raw, C.uint64_t(value)))
}

// Wake ends the pull that is under way, or else the next. From any goroutine.
func (loop *Loop) Wake() error {
	loop.posting.RLock()
	defer loop.posting.RUnlock()
	return errorOf(C.sluice_wake(loop.raw))
}

// UpdateNow reads the clock, CLOCK_MONOTONIC, from which timers count; else it is read at each wait.
func (loop *Loop) UpdateNow() (time.Duration, error) {
	now := C.sluice_update_now(loop.raw)
	if now < 0 {
		return 0, errorOf(C.int(now))
	}
	return time.Duration(now), nil
}

// Close ends a handle; a stream after what is queued has been sent, and Closed tells when.
func (loop *Loop) Close(id ID) error {
	return errorOf(C.sluice_close(loop.raw, C.sluice_id(id)))
}

// Abort ends a handle at once.
func (loop *Loop) Abort(id ID) error {
	return errorOf(C.sluice_abort(loop.raw, C.sluice_id(id)))
}

// Fd is the descriptor of a watch, listener or stream, which stays whose it is.
func (loop *Loop) Fd(id ID) (int, error) {
	fd := C.sluice_fd(loop.raw, C.sluice_id(id))
	return int(fd), errorOf(fd)
}

// Watch reports Ready for a descriptor.
func (loop *Loop) Watch(fd int, interest uint32) (ID, error) {
	var id C.sluice_id
	err := errorOf(C.sluice_watch(loop.raw, &id, C.int(fd), C.uint32_t(interest), 0))
	return ID(id), err
}

// Rewatch changes what a watch waits for.
func (loop *Loop) Rewatch(id ID, interest uint32) error {
	return errorOf(C.sluice_rewatch(loop.raw, C.sluice_id(id), C.uint32_t(interest)))
}

// Timer reports Timer after first and, unless repeat is 0, every repeat after that.
func (loop *Loop) Timer(first, repeat time.Duration) (ID, error) {
	var id C.sluice_id
	err := errorOf(C.sluice_timer(loop.raw, &id, C.int64_t(first), C.int64_t(repeat), 0))
	return ID(id), err
}

// TimerReset has a timer begin anew.
func (loop *Loop) TimerReset(id ID, first time.Duration) error {
	return errorOf(C.sluice_timer_reset(loop.raw, C.sluice_id(id), C.int64_t(first)))
}

// Listen accepts connections at an address: 127.0.0.1:9999, [::1]:0, *:9999, unix:/run/echo.sock. At
// a name, such as localhost:9999, it may block for seconds to look that up.
func (loop *Loop) Listen(address string) (ID, error) {
	text := C.CString(address)
	defer C.free(unsafe.Pointer(text))
	var id C.sluice_id
	err := errorOf(C.sluice_listen(loop.raw, &id, text, nil))
	return ID(id), err
}

// ListenFd makes a listener of a socket that listens already, which is the loop's from then on.
func (loop *Loop) ListenFd(fd int) (ID, error) {
	var id C.sluice_id
	err := errorOf(C.sluice_listen_fd(loop.raw, &id, C.int(fd), nil))
	return ID(id), err
}

// Resolve looks up a name, such as example.com:443: Resolved brings its addresses.
func (loop *Loop) Resolve(address string, family Family) (ID, error) {
	text := C.CString(address)
	defer C.free(unsafe.Pointer(text))
	var id C.sluice_id
	err := errorOf(C.sluice_resolve(loop.raw, &id, text, C.uint32_t(family), 0))
	return ID(id), err
}

// Connect makes a stream to an address, or to a name, such as example.com:443. It will be Connected,
// or Closed with an error.
func (loop *Loop) Connect(address string) (ID, error) {
	text := C.CString(address)
	defer C.free(unsafe.Pointer(text))
	var id C.sluice_id
	err := errorOf(C.sluice_connect(loop.raw, &id, text, nil))
	return ID(id), err
}

// LocalAddress is where a listener or stream is.
func (loop *Loop) LocalAddress(id ID) (string, error) {
	var text [C.SLUICE_ADDRESS_MAX]C.char
	length := C.sluice_local_address(loop.raw, C.sluice_id(id), &text[0], C.SLUICE_ADDRESS_MAX)
	return C.GoString(&text[0]), errorOf(length)
}

// PeerAddress is where a stream's peer is.
func (loop *Loop) PeerAddress(id ID) (string, error) {
	var text [C.SLUICE_ADDRESS_MAX]C.char
	length := C.sluice_peer_address(loop.raw, C.sluice_id(id), &text[0], C.SLUICE_ADDRESS_MAX)
	return C.GoString(&text[0]), errorOf(length)
}

// Write queues bytes, whole or not at all, to be sent with all others at the next pull. A broken
// connection is no error of the call.
func (loop *Loop) Write(id ID, bytes []byte) (Written, error) {
	var first unsafe.Pointer
	if len(bytes) > 0 {
		first = unsafe.Pointer(&bytes[0])
	}
	return writtenOf(C.sluice_write(loop.raw, C.sluice_id(id), first, C.size_t(len(bytes))))
}

// Flush sends what is queued now: Queued or Broken.
func (loop *Loop) Flush(id ID) (Written, error) {
	return writtenOf(C.sluice_flush(loop.raw, C.sluice_id(id)))
}

// Shutdown sends what is queued, then tells the peer that no more comes: Queued or Broken.
func (loop *Loop) Shutdown(id ID) (Written, error) {
	return writtenOf(C.sluice_shutdown(loop.raw, C.sluice_id(id)))
}

// writtenOf is what a call that sends says. That a connection is broken is told in the kernel's words.
func writtenOf(result C.int) (Written, error) {
	switch {
	case result >= 0:
		return Written(result), nil
	case result > -10000 && result != C.SLUICE_ENOMEM:
		return Broken, nil
	default:
		return Broken, errorOf(result)
	}
}

// Pause stops Data and EOF.
func (loop *Loop) Pause(id ID) error {
	return errorOf(C.sluice_pause(loop.raw, C.sluice_id(id)))
}

// Resume has them come again.
func (loop *Loop) Resume(id ID) error {
	return errorOf(C.sluice_resume(loop.raw, C.sluice_id(id)))
}

// Hold has the last length bytes of the Data in hand come again, joined with what follows.
func (loop *Loop) Hold(id ID, length int) error {
	return errorOf(C.sluice_hold(loop.raw, C.sluice_id(id), C.size_t(length)))
}

// Pending is how many bytes are queued.
func (loop *Loop) Pending(id ID) (int, error) {
	bytes := C.sluice_pending(loop.raw, C.sluice_id(id))
	if bytes < 0 {
		return 0, errorOf(C.int(bytes))
	}
	return int(bytes), nil
}

// Forward writes what from receives to the stream to; 0 ends that.
func (loop *Loop) Forward(from, to ID) error {
	return errorOf(C.sluice_forward(loop.raw, C.sluice_id(from), C.sluice_id(to)))
}

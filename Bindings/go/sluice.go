// Package sluice is I/O multiplexing on Linux, over epoll, poll or select.
//
// There are two ways to use it. A Loop is pulled: the program asks for the next event, deals with it,
// and asks again. This costs least.
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
// A Runner pulls a loop on a goroutine of its own. Its Conns are an io.ReadWriteCloser, for goroutines
// that block.
//
// A loop belongs to the thread that opened it. So Open locks the goroutine to its thread, until Close.
// Other goroutines may call only Post and Wake. Any other call gives ErrWrongThread there. After Close
// every call gives ErrClosed.
//
// If the kernel gave an errno, the error is a syscall.Errno, and errors.Is(err, os.ErrNotExist) works.
// Otherwise it is a Code of this package.
//
// What happens to a connection is not an error of the call that you make. It is the Err of the
// connection's Closed.
//
// There is no call for signals, because Go's runtime handles them in threads of its own. Let os/signal
// notify a goroutine, and call Post there.
//
// sluice.h says in full what each call does. The names are the same. A name that ends in With takes
// options.
//
// The C core is part of the package, as one file: sluice.c, which cgo compiles. In Sluice's own
// repository `make go-module` writes it.
package sluice

// #cgo CFLAGS: -std=c11
// #include <stdlib.h>
// #include "sluice.h"
import "C"

import (
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// A Loop looks after handles, and is pulled.
type Loop struct {
	raw    *C.sluice_loop // nil once it is closed; under lock
	events []C.sluice_event
	data   []byte // the owner's

	// Each call holds it for reading, so that Close frees nothing that a call of another goroutine is
	// about to use. Close takes it for writing, and only in the loop's own thread. No pull can be
	// waiting then.
	lock sync.RWMutex
}

// mostEvents is how many events one call of C pulls at most.
const mostEvents = 256

// Open opens a loop for this goroutine, and locks the goroutine to its thread until Close.
func Open() (*Loop, error) {
	return OpenWith(Options{})
}

// OpenWith is Open with options.
func OpenWith(options Options) (*Loop, error) {
	given := C.sluice_options{
		size:         C.sizeof_sluice_options,
		backend:      textOf(options.Backend),
		receive_size: C.size_t(options.ReceiveSize),
		high_mark:    C.size_t(options.HighMark),
		low_mark:     C.size_t(options.LowMark),
		hard_limit:   C.size_t(options.HardLimit),
		memory_limit: C.size_t(options.MemoryLimit),
		post_limit:   C.size_t(options.PostLimit),
		handle_limit: countOf(options.HandleLimit),
	}
	defer C.free(unsafe.Pointer(given.backend))
	runtime.LockOSThread()
	loop := &Loop{events: make([]C.sluice_event, mostEvents)}
	open := func() C.int { return C.sluice_open(&loop.raw, &given) }
	if err := callWith(options, open); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	runtime.SetFinalizer(loop, (*Loop).abandoned)
	return loop, nil
}

// Close ends all handles and the loop. Later calls give ErrClosed. A second Close does nothing.
func (loop *Loop) Close() error {
	if code := loop.callOf(func(raw *C.sluice_loop) C.int { return isOf(raw) }); code != 0 {
		if Code(code) == ErrClosed {
			return nil
		}
		return errorOf(code)
	}
	loop.lock.Lock()
	defer loop.lock.Unlock()
	if err := errorOf(C.sluice_destroy(loop.raw)); err != nil {
		return err
	}
	loop.raw = nil
	runtime.SetFinalizer(loop, nil)
	runtime.UnlockOSThread()
	return nil
}

// isOf says whether a loop is this thread's: 0, or an error.
func isOf(raw *C.sluice_loop) C.int {
	if now := C.sluice_now(raw); now < 0 {
		return C.int(now)
	}
	return 0
}

// abandoned ends a loop that nothing refers to any more. So nobody else can be in a call of it.
func (loop *Loop) abandoned() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.sluice_take_over(loop.raw)
	C.sluice_destroy(loop.raw)
}

// callOf makes a call, and keeps Close waiting meanwhile.
func (loop *Loop) callOf(call func(raw *C.sluice_loop) C.int) C.int {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return call(loop.raw)
}

// Next waits for the next event and pulls it. After a Wake there is an Event of no Kind.
func (loop *Loop) Next() (Event, error) {
	return loop.next(math.MaxInt64)
}

// NextWithin waits no longer than timeout. If nothing came, it gives an Event of no Kind.
func (loop *Loop) NextWithin(timeout time.Duration) (Event, error) {
	return loop.next(C.int64_t(timeout))
}

func (loop *Loop) next(timeout C.int64_t) (Event, error) {
	var events [1]Event // only one, so that no event of a stream is left over when the program closes it
	_, err := loop.pull(events[:], timeout)
	return events[0], err
}

// NextMany waits for an event, and then pulls as many as there are and as fit, by one call of C. It says
// how many. The Data of each is valid until the next pull. A stream may have ended before the program
// looks at its event. After a Wake there is no event.
func (loop *Loop) NextMany(events []Event) (int, error) {
	return loop.pull(events, math.MaxInt64)
}

// NextManyWithin waits no longer than timeout.
func (loop *Loop) NextManyWithin(events []Event, timeout time.Duration) (int, error) {
	return loop.pull(events, C.int64_t(timeout))
}

func (loop *Loop) pull(events []Event, timeout C.int64_t) (int, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	if loop.raw == nil {
		return 0, ErrClosed
	}
	most := len(events)
	if most > len(loop.events) {
		most = len(loop.events)
	}
	count := C.sluice_next_many(loop.raw, &loop.events[0], C.int(most), timeout)
	if count <= 0 { // in another thread always: what follows is only the owner's to touch
		return 0, errorOf(count)
	}
	pulled := loop.events[:count]
	total := 0
	for i := range pulled {
		total += len(bytesOf(&pulled[i]))
	}
	if len(loop.data) < total {
		loop.data = make([]byte, total)
	}
	room := loop.data
	for i := range pulled {
		events[i] = eventOf(loop.raw, &pulled[i], room)
		used := len(events[i].Data)
		events[i].Data = events[i].Data[:used:used]
		room = room[used:]
	}
	return int(count), nil
}

// Post makes value come as a Posted. Any goroutine may call it.
func (loop *Loop) Post(value uint64) error {
	return errorOf(loop.callOf(func(raw *C.sluice_loop) C.int {
		return C.sluice_post(raw, C.uint64_t(value))
	}))
}

// Wake ends the pull that is under way, or else the next one. Any goroutine may call it.
func (loop *Loop) Wake() error {
	return errorOf(loop.callOf(func(raw *C.sluice_loop) C.int { return C.sluice_wake(raw) }))
}

// Now is CLOCK_MONOTONIC as of the last wait. Timers count from it.
func (loop *Loop) Now() (time.Duration, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return durationOf(C.sluice_now(loop.raw))
}

// UpdateNow reads that clock again.
func (loop *Loop) UpdateNow() (time.Duration, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return durationOf(C.sluice_update_now(loop.raw))
}

func durationOf(result C.int64_t) (time.Duration, error) {
	if result < 0 {
		return 0, errorOf(C.int(result))
	}
	return time.Duration(result), nil
}

// CloseHandle ends a handle. A stream first sends what is queued, and its Closed tells when it has
// ended. If the handle has ended already, the call does nothing.
func (loop *Loop) CloseHandle(id ID) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_close(raw, C.sluice_id(id))
	})
	return err
}

// Abort ends a handle at once. If it has ended already, the call does nothing.
func (loop *Loop) Abort(id ID) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_abort(raw, C.sluice_id(id))
	})
	return err
}

// AbortWith is Abort with a reason, which becomes the Err of the stream's Closed: a syscall.Errno, a
// Code, or an error that wraps one of them.
func (loop *Loop) AbortWith(id ID, reason error) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_abort_with(raw, C.sluice_id(id), codeOf(reason))
	})
	return err
}

// Fd is the descriptor of a watch, listener or stream. Its owner stays the same: do not close it.
func (loop *Loop) Fd(id ID) (int, error) {
	fd := loop.callOf(func(raw *C.sluice_loop) C.int { return C.sluice_fd(raw, C.sluice_id(id)) })
	return int(fd), errorOf(fd)
}

// Watch reports Ready for a descriptor. The descriptor stays the caller's: close the watch before it.
func (loop *Loop) Watch(fd int, interest Interest) (ID, error) {
	return loop.made(func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.sluice_watch(raw, id, C.int(fd), C.uint32_t(interest), 0)
	})
}

// Rewatch changes what a watch waits for.
func (loop *Loop) Rewatch(id ID, interest Interest) error {
	return errorOf(loop.callOf(func(raw *C.sluice_loop) C.int {
		return C.sluice_rewatch(raw, C.sluice_id(id), C.uint32_t(interest))
	}))
}

// Timer reports a Timer after first and, if repeat is not 0, every repeat after that.
func (loop *Loop) Timer(first, repeat time.Duration) (ID, error) {
	return loop.made(func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.sluice_timer(raw, id, C.int64_t(first), C.int64_t(repeat), 0)
	})
}

// TimerReset starts a timer again.
func (loop *Loop) TimerReset(id ID, first time.Duration) error {
	return errorOf(loop.callOf(func(raw *C.sluice_loop) C.int {
		return C.sluice_timer_reset(raw, C.sluice_id(id), C.int64_t(first))
	}))
}

// made is the handle that a call has made.
func (loop *Loop) made(call func(raw *C.sluice_loop, id *C.sluice_id) C.int) (ID, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	var id C.sluice_id
	err := errorOf(call(loop.raw, &id))
	return ID(id), err
}

// writtenOf translates what a call on a stream returns. An errno says that the stream is broken.
func writtenOf(result C.int) (Written, error) {
	switch {
	case result >= 0:
		return Written(result), nil
	case result == C.SLUICE_EFULL:
		return Full, nil
	case result == C.SLUICE_ESTALE, result > -10000 && result != C.SLUICE_ENOMEM:
		return Gone, nil
	default:
		return Gone, errorOf(result)
	}
}

// told makes a call on a stream, and ends the stream if there is no room for what the call adds.
func (loop *Loop) told(id ID, call func(raw *C.sluice_loop) C.int) (Written, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return toldBy(loop.raw, id, call(loop.raw))
}

func toldBy(raw *C.sluice_loop, id ID, result C.int) (Written, error) {
	written, err := writtenOf(result)
	if written == Full {
		err = errorOf(C.sluice_abort_with(raw, C.sluice_id(id), result))
	}
	return written, err
}

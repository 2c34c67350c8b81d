// Package sluice is I/O multiplexing on Linux, over epoll, poll or select.
//
// There are two ways to use it. A Loop is pulled: the program asks for the next event, deals with it,
// and asks again. That is the way of least cost.
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
// A loop belongs to the thread that opened it, so Open locks the goroutine to its thread, until Close.
// From any other goroutine only Post and Wake may be called; all else gives ErrWrongThread, and after
// Close ErrClosed.
//
// Errors are a syscall.Errno where the kernel gave one, so that errors.Is(err, os.ErrNotExist) holds
// where it should, and a Code of this package otherwise.
//
// What befalls a connection is no error of the call in hand: Closed says it.
//
// There is no call for signals: Go's runtime has handlers of its own, in threads of its own. Have
// os/signal notify a goroutine, and Post from there.
//
// What each call does is said in sluice.h; the names are the same. Those that end in With take options.
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
	// about to use. Close takes it only where the thread is the right one: no pull waits then.
	lock sync.RWMutex
}

// mostEvents are pulled in one call of C.
const mostEvents = 256

// Open opens a loop of this goroutine's, which is locked to its thread until Close.
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

// Close ends all handles and the loop. Later calls give ErrClosed, and a later Close nothing.
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

// abandoned ends a loop that nobody reaches any more, so that nobody else can be in a call of it.
func (loop *Loop) abandoned() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.sluice_take_over(loop.raw)
	C.sluice_destroy(loop.raw)
}

// callOf makes a call while nobody closes the loop.
func (loop *Loop) callOf(call func(raw *C.sluice_loop) C.int) C.int {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return call(loop.raw)
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
	var events [1]Event // C is asked for one, so that a program that closes a stream has no event of it
	_, err := loop.pull(events[:], timeout)
	return events[0], err
}

// NextMany waits for an event and pulls as many as there are and fit, for one call of C: how many. The
// Data of each is valid until the next pull. A stream may have ended before its event is looked at.
// After a Wake there is none.
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
	if count <= 0 { // as of another thread: what is below is the owner's
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

// Post has value come as Posted. From any goroutine.
func (loop *Loop) Post(value uint64) error {
	return errorOf(loop.callOf(func(raw *C.sluice_loop) C.int {
		return C.sluice_post(raw, C.uint64_t(value))
	}))
}

// Wake ends the pull that is under way, or else the next. From any goroutine.
func (loop *Loop) Wake() error {
	return errorOf(loop.callOf(func(raw *C.sluice_loop) C.int { return C.sluice_wake(raw) }))
}

// Now is the clock, CLOCK_MONOTONIC, as of the last wait: timers count from it.
func (loop *Loop) Now() (time.Duration, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return durationOf(C.sluice_now(loop.raw))
}

// UpdateNow is the same, read anew.
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

// CloseHandle ends a handle, unless it has ended; a stream after what is queued has been sent, and
// Closed tells when.
func (loop *Loop) CloseHandle(id ID) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_close(raw, C.sluice_id(id))
	})
	return err
}

// Abort ends a handle at once, unless it has ended.
func (loop *Loop) Abort(id ID) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_abort(raw, C.sluice_id(id))
	})
	return err
}

// AbortWith is Abort, but that the Err of a stream's Closed is reason: a syscall.Errno, a Code, or one
// that wraps such.
func (loop *Loop) AbortWith(id ID, reason error) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_abort_with(raw, C.sluice_id(id), codeOf(reason))
	})
	return err
}

// Fd is the descriptor of a watch, listener or stream, which stays whose it is.
func (loop *Loop) Fd(id ID) (int, error) {
	fd := loop.callOf(func(raw *C.sluice_loop) C.int { return C.sluice_fd(raw, C.sluice_id(id)) })
	return int(fd), errorOf(fd)
}

// Watch reports Ready for a descriptor, which stays the caller's: close the watch before it.
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

// Timer reports Timer after first and, unless repeat is 0, every repeat after that.
func (loop *Loop) Timer(first, repeat time.Duration) (ID, error) {
	return loop.made(func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.sluice_timer(raw, id, C.int64_t(first), C.int64_t(repeat), 0)
	})
}

// TimerReset has a timer begin anew.
func (loop *Loop) TimerReset(id ID, first time.Duration) error {
	return errorOf(loop.callOf(func(raw *C.sluice_loop) C.int {
		return C.sluice_timer_reset(raw, C.sluice_id(id), C.int64_t(first))
	}))
}

// made is the handle that a call makes.
func (loop *Loop) made(call func(raw *C.sluice_loop, id *C.sluice_id) C.int) (ID, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	var id C.sluice_id
	err := errorOf(call(loop.raw, &id))
	return ID(id), err
}

// writtenOf is what a call of a stream says. That it is broken is told in the kernel's words.
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

// told is what a call says whose bytes are lost where they are too many: that ends the stream.
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

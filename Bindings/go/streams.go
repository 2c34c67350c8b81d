package sluice

// #include <errno.h>
// #include "sluice.h"
import "C"

import (
	"os"
	"runtime"
	"unsafe"
)

// Write queues bytes, all or none. They are sent with all others at the next pull. If they would exceed
// a limit, Write says Full and ends the stream: its Closed has ErrFull.
func (loop *Loop) Write(id ID, bytes []byte) (Written, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return toldBy(loop.raw, id, write(loop.raw, id, bytes))
}

// TryWrite is Write, except that after Full the stream goes on as it was.
func (loop *Loop) TryWrite(id ID, bytes []byte) (Written, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	return writtenOf(write(loop.raw, id, bytes))
}

func write(raw *C.sluice_loop, id ID, bytes []byte) C.int {
	var first unsafe.Pointer
	if len(bytes) > 0 {
		first = unsafe.Pointer(&bytes[0])
	}
	return C.sluice_write(raw, C.sluice_id(id), first, C.size_t(len(bytes)))
}

// SendFile makes the kernel send bytes of a file, after everything that was written. It returns how
// many went. If they are fewer than length, Drained says when to go on with the rest. It returns
// false if the stream is gone. An error is about the file, such as syscall.ENODATA if it ends
// before offset. Then the stream goes on.
func (loop *Loop) SendFile(id ID, file *os.File, offset int64, length int) (int, bool, error) {
	if length < 0 {
		length = 0
	}
	fd := C.int(file.Fd())
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	sent := C.sluice_send_file(loop.raw, C.sluice_id(id), fd, C.int64_t(offset), C.size_t(length))
	runtime.KeepAlive(file)
	if sent >= 0 {
		return int(sent), true, nil
	}
	code := C.int(sent)
	if code > -10000 {
		if written, err := writtenOf(write(loop.raw, id, nil)); written != Gone || err != nil {
			return 0, true, errorOf(code) // it is not the stream that is broken
		}
	}
	_, err := toldBy(loop.raw, id, code)
	return 0, false, err
}

// Flush sends now what is queued. It says Queued, Gone or Full, as Write does.
func (loop *Loop) Flush(id ID) (Written, error) {
	return loop.told(id, func(raw *C.sluice_loop) C.int { return C.sluice_flush(raw, C.sluice_id(id)) })
}

// Shutdown sends what is queued, and then tells the peer that no more comes. A listener accepts those
// who wait already, lets no more in, and ends with a Closed.
func (loop *Loop) Shutdown(id ID) (Written, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	code := C.sluice_shutdown(loop.raw, C.sluice_id(id))
	if code > -10000 && code < 0 && code != -C.EPIPE {
		return Gone, errorOf(code) // of a listener: a stream has no other errno
	}
	return toldBy(loop.raw, id, code)
}

// Pause stops Data and EOF.
func (loop *Loop) Pause(id ID) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int { return C.sluice_pause(raw, C.sluice_id(id)) })
	return err
}

// Resume lets Data and EOF come again.
func (loop *Loop) Resume(id ID) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int { return C.sluice_resume(raw, C.sluice_id(id)) })
	return err
}

// Hold makes the last length bytes of the Data that was pulled last come again, joined with what
// follows. If they would exceed a limit, the stream ends, as with Write.
func (loop *Loop) Hold(id ID, length int) error {
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_hold(raw, C.sluice_id(id), C.size_t(length))
	})
	return err
}

// HoldUntil is Hold, and no Data comes before total bytes are there, or the stream ends. The bytes that
// are held count.
func (loop *Loop) HoldUntil(id ID, length, total int) error {
	if total < 0 {
		total = 0
	}
	_, err := loop.told(id, func(raw *C.sluice_loop) C.int {
		return C.sluice_hold_until(raw, C.sluice_id(id), C.size_t(length), C.size_t(total))
	})
	return err
}

// Pending is how many bytes are queued.
func (loop *Loop) Pending(id ID) (int, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	bytes := C.sluice_pending(loop.raw, C.sluice_id(id))
	if bytes < 0 {
		return 0, errorOf(C.int(bytes))
	}
	return int(bytes), nil
}

// Forward writes what the stream from receives to the stream to. 0 for to ends that.
func (loop *Loop) Forward(from, to ID) error {
	_, err := loop.told(from, func(raw *C.sluice_loop) C.int {
		return C.sluice_forward(raw, C.sluice_id(from), C.sluice_id(to))
	})
	return err
}

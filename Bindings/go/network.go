package sluice

/*
#include <stdlib.h>
#include "sluice.h"

// Go must not give C a pointer to memory of Go's that has such a pointer in it. So options go by value.
static int listen_with(sluice_loop *loop, sluice_id *id, const char *address,
                       sluice_listen_options options, sluice_stream_options streams) {
	options.streams = &streams;
	return sluice_listen(loop, id, address, &options);
}

static int listen_fd_with(sluice_loop *loop, sluice_id *id, int fd, sluice_listen_options options,
                          sluice_stream_options streams) {
	options.streams = &streams;
	return sluice_listen_fd(loop, id, fd, &options);
}
*/
import "C"

import "unsafe"

// Listen accepts connections at an address: 127.0.0.1:9999, [::1]:0, *:9999, unix:/run/echo.sock. A
// name, such as localhost:9999, is looked up first, which may block for seconds.
func (loop *Loop) Listen(address string) (ID, error) {
	return loop.ListenWith(address, ListenOptions{})
}

// ListenWith is Listen with options.
func (loop *Loop) ListenWith(address string, options ListenOptions) (ID, error) {
	text, err := addressOf(address)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(text))
	streams := options.Streams.toC()
	defer C.free(unsafe.Pointer(streams.source))
	return loop.madeWith(options, func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.listen_with(raw, id, text, options.toC(), streams)
	})
}

// ListenFd makes a listener of a socket that listens already. The loop owns the socket from then on. If
// the call fails, it stays the caller's.
func (loop *Loop) ListenFd(fd int) (ID, error) {
	return loop.ListenFdWith(fd, ListenOptions{})
}

// ListenFdWith is ListenFd with options.
func (loop *Loop) ListenFdWith(fd int, options ListenOptions) (ID, error) {
	streams := options.Streams.toC()
	defer C.free(unsafe.Pointer(streams.source))
	return loop.madeWith(options, func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.listen_fd_with(raw, id, C.int(fd), options.toC(), streams)
	})
}

// Resolve looks up a name, such as example.com:443: Resolved brings its addresses.
func (loop *Loop) Resolve(address string, family Family) (ID, error) {
	text, err := addressOf(address)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(text))
	return loop.made(func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.sluice_resolve(raw, id, text, C.uint32_t(family), 0)
	})
}

// Connect makes a stream to an address, or to a name such as example.com:443. Connected comes, or
// Closed with an error.
func (loop *Loop) Connect(address string) (ID, error) {
	return loop.ConnectWith(address, StreamOptions{})
}

// ConnectWith is Connect with options.
func (loop *Loop) ConnectWith(address string, options StreamOptions) (ID, error) {
	text, err := addressOf(address)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(text))
	given := options.toC()
	defer C.free(unsafe.Pointer(given.source))
	return loop.madeWith(options, func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.sluice_connect(raw, id, text, &given)
	})
}

// Adopt makes a stream of a connected descriptor. The loop owns it from then on. If the call fails, it
// stays the caller's. An os.File or a net.Conn closes its own descriptor: give a duplicate of it.
func (loop *Loop) Adopt(fd int) (ID, error) {
	return loop.AdoptWith(fd, StreamOptions{})
}

// AdoptWith is Adopt with options.
func (loop *Loop) AdoptWith(fd int, options StreamOptions) (ID, error) {
	given := options.toC()
	defer C.free(unsafe.Pointer(given.source))
	return loop.madeWith(options, func(raw *C.sluice_loop, id *C.sluice_id) C.int {
		return C.sluice_adopt(raw, id, C.int(fd), &given)
	})
}

// madeWith is made, for a call that takes options.
func (loop *Loop) madeWith(options any, call func(raw *C.sluice_loop, id *C.sluice_id) C.int) (ID, error) {
	loop.lock.RLock()
	defer loop.lock.RUnlock()
	var id C.sluice_id
	err := callWith(options, func() C.int { return call(loop.raw, &id) })
	return ID(id), err
}

// LocalAddress is the address of a stream's own end, or of a listener.
func (loop *Loop) LocalAddress(id ID) (string, error) {
	var text [C.SLUICE_ADDRESS_MAX]C.char
	length := loop.callOf(func(raw *C.sluice_loop) C.int {
		return C.sluice_local_address(raw, C.sluice_id(id), &text[0], C.SLUICE_ADDRESS_MAX)
	})
	return C.GoString(&text[0]), errorOf(length)
}

// PeerAddress is the address of a stream's peer.
func (loop *Loop) PeerAddress(id ID) (string, error) {
	var text [C.SLUICE_ADDRESS_MAX]C.char
	length := loop.callOf(func(raw *C.sluice_loop) C.int {
		return C.sluice_peer_address(raw, C.sluice_id(id), &text[0], C.SLUICE_ADDRESS_MAX)
	})
	return C.GoString(&text[0]), errorOf(length)
}

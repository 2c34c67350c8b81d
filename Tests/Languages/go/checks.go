// Command checks shows what is reported in Go and never undefined.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"sluice"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(err, expected error) {
	if !errors.Is(err, expected) {
		panic(fmt.Sprintf("%v, and not %v", err, expected))
	}
}

func expectWrite(loop *sluice.Loop, stream sluice.ID, length int, expected sluice.Written) {
	written, err := loop.Write(stream, make([]byte, length))
	must(err)
	if written != expected {
		panic(fmt.Sprintf("a write of %d bytes: %v, and not %v", length, written, expected))
	}
}

// accepted is a stream whose peer is one of the same loop's.
func accepted(loop *sluice.Loop) sluice.ID {
	listener, err := loop.Listen("127.0.0.1:0")
	must(err)
	address, err := loop.LocalAddress(listener)
	must(err)
	_, err = loop.Connect(address)
	must(err)
	for {
		event, err := loop.Next()
		must(err)
		if event.Kind == sluice.Accepted {
			return event.ID
		}
	}
}

// pull is the next event of a handle that is of a kind.
func pull(loop *sluice.Loop, kind sluice.Kind, id sluice.ID) sluice.Event {
	for {
		event, err := loop.Next()
		must(err)
		if event.Kind == kind && event.ID == id {
			return event
		}
	}
}

func checkNames(loop *sluice.Loop) {
	listener, err := loop.Listen("localhost:0")
	must(err)
	address, err := loop.LocalAddress(listener)
	must(err)
	stream, err := loop.Connect("localhost" + address[strings.LastIndex(address, ":"):])
	must(err)
	pull(loop, sluice.Connected, stream)
	lookup, err := loop.Resolve("localhost:443", sluice.IPv4)
	must(err)
	event := pull(loop, sluice.Resolved, lookup)
	must(event.Err)
	if len(event.Addresses) != 1 || event.Addresses[0] != "127.0.0.1:443" {
		panic(fmt.Sprint(event.Addresses))
	}
	const unknown = "sluice.invalid:80" // nobody has it: RFC 6761
	lookup, err = loop.Resolve(unknown, sluice.AnyFamily)
	must(err)
	event = pull(loop, sluice.Resolved, lookup)
	expect(event.Err, sluice.ErrName)
	stream, err = loop.Connect(unknown)
	must(err)
	closed := pull(loop, sluice.Closed, stream)
	expect(closed.Err, sluice.ErrName)
	if closed.Err.Error() != event.Err.Error() || closed.Err.Error() == sluice.ErrName.Error() {
		panic(fmt.Sprint(closed.Err, " and ", event.Err))
	}
}

func checkListener(loop *sluice.Loop) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	file, err := listening.(*net.TCPListener).File()
	must(err)
	fd, err := syscall.Dup(int(file.Fd()))
	must(err)
	must(file.Close())
	must(listening.Close())
	listener, err := loop.ListenFd(fd)
	must(err)
	address, err := loop.LocalAddress(listener)
	must(err)
	stream, err := loop.Connect(address)
	must(err)
	pull(loop, sluice.Connected, stream)
	fd, err = loop.Fd(stream)
	must(err)
	_, err = loop.ListenFd(fd)
	expect(err, sluice.ErrNotListening)
}

func main() {
	loop, err := sluice.Open()
	must(err)
	timer, err := loop.Timer(time.Second, 0)
	must(err)
	must(loop.Close(timer))
	other, err := loop.Timer(time.Second, 0)
	must(err)
	expect(loop.Close(timer), sluice.ErrStale)
	_, err = loop.Write(timer, []byte("x"))
	expect(err, sluice.ErrStale)
	fmt.Println("ok stale id")

	_, err = loop.Write(other, nil)
	expect(err, sluice.ErrWrongKind)
	fmt.Println("ok wrong kind")

	_, err = loop.Listen("no address")
	expect(err, sluice.ErrAddress)
	_, err = loop.Listen("unix:/no/such/folder/s")
	expect(err, os.ErrNotExist)
	expect(err, syscall.ENOENT)
	_, err = loop.NextWithin(-1)
	expect(err, sluice.ErrTimeout)
	event, err := loop.NextWithin(0)
	must(err)
	if event.Kind != 0 {
		panic("there was an event")
	}
	_, err = loop.Listen("127.0.0.1:99999")
	expect(err, sluice.ErrPort)
	_, err = loop.Connect("*:80")
	expect(err, sluice.ErrNumeric)
	expect(sluice.ErrStale, syscall.ESTALE)
	fmt.Println("ok errors")

	go func() { must(loop.Wake()) }()
	event, err = loop.Next()
	must(err)
	if event.Kind != 0 {
		panic("there was an event, and not a wake")
	}
	_, err = loop.UpdateNow()
	must(err)
	fmt.Println("ok wake")

	done := make(chan bool)
	go func() {
		_, err := loop.Next()
		expect(err, sluice.ErrWrongThread)
		_, err = loop.Timer(time.Second, 0)
		expect(err, sluice.ErrWrongThread)
		expect(loop.Destroy(), sluice.ErrWrongThread)
		must(loop.Post(7))
		close(done)
	}()
	<-done
	event, err = loop.Next()
	must(err)
	if event.Kind != sluice.Posted || event.Value != 7 {
		panic("the post did not come")
	}
	fmt.Println("ok wrong thread")

	stream := accepted(loop)
	expectWrite(loop, stream, 1, sluice.Queued)
	expectWrite(loop, stream, 20_000_000, sluice.OverHighMark)
	_, err = loop.Shutdown(stream)
	must(err)
	expectWrite(loop, stream, 1, sluice.Broken)
	fmt.Println("ok what became of a write")

	checkNames(loop)
	fmt.Println("ok names")
	checkListener(loop)
	fmt.Println("ok listener from elsewhere")

	must(loop.Destroy())
	must(loop.Destroy())
	expect(loop.Wake(), sluice.ErrDestroyed)
	expect(loop.Post(8), sluice.ErrDestroyed)
	_, err = loop.Next()
	expect(err, sluice.ErrDestroyed)
	_, err = loop.Listen("127.0.0.1:0")
	expect(err, sluice.ErrDestroyed)
	fmt.Println("ok use after close")
}

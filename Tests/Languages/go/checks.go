// Command checks shows what is reported in Go and never undefined.
package main

import (
	"errors"
	"fmt"
	"os"
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
	_, err = loop.Connect("localhost:80")
	expect(err, sluice.ErrNumeric)
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

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

func main() {
	loop, err := sluice.Open()
	must(err)
	timer, err := loop.Timer(time.Second, 0)
	must(err)
	must(loop.Close(timer))
	other, err := loop.Timer(time.Second, 0)
	must(err)
	expect(loop.Close(timer), sluice.ErrStale)
	expect(loop.Write(timer, []byte("x")), sluice.ErrStale)
	fmt.Println("ok stale id")

	expect(loop.Write(other, nil), sluice.ErrWrongKind)
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
	fmt.Println("ok errors")

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

	must(loop.Destroy())
	must(loop.Destroy())
	expect(loop.Post(8), sluice.ErrDestroyed)
	_, err = loop.Next()
	expect(err, sluice.ErrDestroyed)
	_, err = loop.Listen("127.0.0.1:0")
	expect(err, sluice.ErrDestroyed)
	fmt.Println("ok use after close")
}

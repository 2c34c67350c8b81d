// Command echo [ADDRESS] is an echo server that says where it listens, and on SIGTERM ends in order:
// it accepts no more, sends what is queued, and waits until each peer has it.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	sluice "example.com/sluice/Bindings/go"
)

func serve(loop *sluice.Loop, address string) error {
	listener, err := loop.Listen(address)
	if err != nil {
		return err
	}
	text, err := loop.LocalAddress(listener)
	if err != nil {
		return err
	}
	fmt.Println("listening on", text)
	streams := map[sluice.ID]bool{}
	for ending := false; !ending || len(streams) > 0; {
		event, err := loop.Next()
		if err != nil {
			return err
		}
		switch event.Kind {
		case sluice.Accepted:
			streams[event.ID] = true
		case sluice.Data:
			if _, err := loop.Write(event.ID, event.Data); err != nil {
				return err
			}
		case sluice.Closed:
			delete(streams, event.ID)
		case sluice.Posted:
			ending = true
			loop.CloseHandle(listener)
			for stream := range streams {
				loop.CloseHandle(stream)
			}
		}
	}
	return nil
}

func run(address string) error {
	loop, err := sluice.Open()
	if err != nil {
		return err
	}
	defer loop.Close()
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go func() {
		<-terminate
		loop.Post(0)
	}()
	return serve(loop, address)
}

func main() {
	address := "127.0.0.1:9999"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(address); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

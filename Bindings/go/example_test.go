package sluice_test

import (
	"bufio"
	"fmt"

	sluice "example.com/sluice/Bindings/go"
)

// A server that answers each line, and a client of it, with goroutines that block.
func ExampleRunner() {
	runner, err := sluice.Run(sluice.Options{})
	if err != nil {
		panic(err)
	}
	defer runner.Close()
	listener, err := runner.Listen("127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintf(conn, "you said %s\n", lines.Text())
				}
			}()
		}
	}()

	conn, err := runner.Dial(listener.Address())
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(answer, err)
	// Output:
	// you said hello
	// <nil>
}

// A loop that is pulled: it is told of a connection, of its bytes and of its end.
func ExampleLoop() {
	loop, err := sluice.Open()
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	listener, err := loop.Listen("127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	address, err := loop.LocalAddress(listener)
	if err != nil {
		panic(err)
	}
	client, err := loop.Connect(address)
	if err != nil {
		panic(err)
	}
	loop.Write(client, []byte("hello"))
	loop.Shutdown(client)
	for {
		event, err := loop.Next()
		if err != nil {
			panic(err)
		}
		switch {
		case event.Kind == sluice.Data && event.ID == client:
			fmt.Printf("back came %s\n", event.Data)
		case event.Kind == sluice.Data:
			loop.Write(event.ID, event.Data)
		case event.Kind == sluice.Closed && event.ID == client:
			fmt.Println("closed:", event.Err)
			return
		}
	}
	// Output:
	// back came hello
	// closed: <nil>
}

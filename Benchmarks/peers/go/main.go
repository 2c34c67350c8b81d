// An echo server on Go's net: a goroutine for each connection. Pinned to one core, Go runs them on one thread.
//
//	peer-go ADDRESS [answer]
//
// With "answer" it answers each 64 bytes with 1 KiB of its own memory.
package main

import (
	"fmt"
	"net"
	"os"
)

const (
	receivedAtOnce = 16 << 10
	request        = 64
	answer         = 1 << 10
)

func echo(connection net.Conn) {
	defer connection.Close()
	bytes := make([]byte, receivedAtOnce)
	for {
		length, err := connection.Read(bytes)
		if err != nil {
			return
		}
		if _, err := connection.Write(bytes[:length]); err != nil {
			return
		}
	}
}

func respond(connection net.Conn, answers []byte) {
	defer connection.Close()
	bytes := make([]byte, receivedAtOnce)
	begun := 0
	for {
		length, err := connection.Read(bytes)
		if err != nil {
			return
		}
		begun += length
		if _, err := connection.Write(answers[:begun/request*answer]); err != nil {
			return
		}
		begun %= request
	}
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: peer-go ADDRESS [answer]; an ADDRESS is as 127.0.0.1:0")
		os.Exit(2)
	}
	serve := echo
	if len(os.Args) > 2 && os.Args[2] == "answer" {
		answers := make([]byte, receivedAtOnce/request*answer)
		for i := range answers {
			answers[i] = byte(i % answer % 251)
		}
		serve = func(connection net.Conn) { respond(connection, answers) }
	}
	// Connections have TCP_NODELAY: Go sets it.
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go serve(connection)
	}
}

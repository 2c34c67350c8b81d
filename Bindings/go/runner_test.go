package sluice_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	sluice "example.com/sluice/Bindings/go"
)

func running(t *testing.T) *sluice.Runner {
	runner, err := sluice.Run(sluice.Options{})
	must(err)
	t.Cleanup(func() { must(runner.Close()) })
	return runner
}

// echo serves each connection on a goroutine of its own, until the listener is closed.
func echo(t *testing.T, runner *sluice.Runner) *sluice.Listener {
	listener, err := runner.Listen("127.0.0.1:0")
	must(err)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				expect(err, net.ErrClosed)
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return listener
}

func TestManyConnsBlockInReadAndGetTheirBytes(t *testing.T) {
	runner := running(t)
	listener := echo(t, runner)
	var all sync.WaitGroup
	for i := 0; i < 100; i++ {
		all.Add(1)
		go func(seed int64) {
			defer all.Done()
			conn, err := runner.Dial(listener.Address())
			must(err)
			sent := make([]byte, 1+rand.New(rand.NewSource(seed)).Intn(300_000))
			rand.New(rand.NewSource(seed)).Read(sent)
			go func() {
				count, err := conn.Write(sent)
				must(err)
				expectValue("how much was written", count, len(sent))
				must(conn.CloseWrite())
			}()
			received, err := io.ReadAll(conn)
			must(err)
			if !bytes.Equal(received, sent) {
				panic("other bytes came back")
			}
			must(conn.Close())
			<-conn.Done()
			must(conn.Err())
		}(int64(i))
	}
	all.Wait()
	must(listener.Close())
}

func TestAWriterWaitsForWhoDoesNotRead(t *testing.T) {
	runner := running(t)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(err)
	near, err := runner.Adopt(pair[0])
	must(err)
	far, err := runner.Adopt(pair[1])
	must(err)
	const length = 20 << 20 // more than the high marks and what the kernel takes
	written := make(chan bool)
	go func() {
		_, err := near.Write(make([]byte, length))
		must(err)
		must(near.CloseWrite())
		close(written)
	}()
	select {
	case <-written:
		t.Fatal("all was taken, and nobody has read")
	case <-time.After(50 * time.Millisecond):
	}
	count, err := io.Copy(io.Discard, far)
	must(err)
	expectValue("how much came", count, int64(length))
	<-written
}

func TestCloseEndsAReadThatWaits(t *testing.T) {
	runner := running(t)
	conn, err := runner.Dial(echo(t, runner).Address())
	must(err)
	started := make(chan bool)
	read := make(chan error)
	go func() {
		close(started)
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	<-started
	must(conn.Close())
	expect(<-read, net.ErrClosed)
	_, err = conn.Write([]byte("x"))
	expect(err, net.ErrClosed)
	expect(conn.Close(), net.ErrClosed)
}

func TestWhatBefallsAConnIsTheErrorOfItsReads(t *testing.T) {
	runner := running(t)
	listener, err := runner.Listen("127.0.0.1:0")
	must(err)
	client, err := net.Dial("tcp", listener.Address())
	must(err)
	conn, err := listener.Accept()
	must(err)
	peer, err := conn.PeerAddress()
	must(err)
	expectValue("the peer's address", peer, client.LocalAddr().String())
	must(client.(*net.TCPConn).SetLinger(0))
	must(client.Close())
	_, err = conn.Read(make([]byte, 1))
	expect(err, syscall.ECONNRESET)
	_, err = conn.Write([]byte("x"))
	expect(err, syscall.ECONNRESET)

	_, err = runner.Dial("unix:/no/such/socket")
	expect(err, syscall.ENOENT)
	_, err = runner.Listen("no address")
	expect(err, sluice.ErrAddress)
}

func TestTheEndOfARunnerEndsAllThatWaits(t *testing.T) {
	runner, err := sluice.Run(sluice.Options{})
	must(err)
	listener, err := runner.Listen("127.0.0.1:0")
	must(err)
	conn, err := runner.Dial(listener.Address())
	must(err)
	ended := make(chan error)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	go func() {
		for {
			if _, err := listener.Accept(); err != nil {
				ended <- err
				return
			}
		}
	}()
	must(runner.Close())
	must(runner.Close())
	for i := 0; i < 2; i++ {
		expect(<-ended, net.ErrClosed)
	}
	_, err = conn.Write([]byte("x"))
	expect(err, net.ErrClosed)
	_, err = runner.Dial(listener.Address())
	expect(err, net.ErrClosed)
	_, err = sluice.Run(sluice.Options{Backend: "none"})
	expect(err, sluice.ErrNoBackend)
	if errors.Is(err, net.ErrClosed) {
		t.Fatal("it was not closed")
	}
}

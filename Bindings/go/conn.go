package sluice

import (
	"io"
	"net"
	"sync"
)

// A Conn is a stream of a Runner. It is an io.ReadWriteCloser. Any number of goroutines may use it.
type Conn struct {
	runner  *Runner
	id      ID
	writing sync.Mutex // writes go one after the other, each whole
	done    chan struct{}

	mutex       sync.Mutex
	changed     sync.Cond
	received    []byte // not read yet
	isPaused    bool   // since too much waits
	isConnected bool
	isAtEnd     bool // the peer has ended
	isOver      bool // the high mark
	isClosed    bool // by Close
	hasEnded    bool
	err         error // why
}

var _ io.ReadWriteCloser = (*Conn)(nil)

func (conn *Conn) change(change func()) {
	conn.mutex.Lock()
	defer conn.mutex.Unlock()
	change()
	conn.changed.Broadcast()
}

// receive keeps data for a Read, and says whether there is enough for now.
func (conn *Conn) receive(data []byte) bool {
	conn.mutex.Lock()
	defer conn.mutex.Unlock()
	if conn.isClosed {
		return false
	}
	conn.received = append(conn.received, data...)
	conn.changed.Broadcast()
	conn.isPaused = len(conn.received) >= readLimit
	return conn.isPaused
}

func (conn *Conn) end(err error) {
	conn.change(func() { conn.hasEnded, conn.err = true, err })
	close(conn.done)
}

// Read waits until there is something to read. It gives io.EOF at the end of the stream, net.ErrClosed
// after Close, and otherwise the error that ended the connection.
func (conn *Conn) Read(bytes []byte) (int, error) {
	conn.mutex.Lock()
	defer conn.mutex.Unlock()
	if len(bytes) == 0 {
		return 0, nil
	}
	for len(conn.received) == 0 && !conn.isClosed && !conn.isAtEnd && !conn.hasEnded {
		conn.changed.Wait()
	}
	switch {
	case conn.isClosed:
		return 0, net.ErrClosed
	case len(conn.received) > 0:
		count := copy(bytes, conn.received)
		conn.received = conn.received[count:]
		if len(conn.received) == 0 {
			conn.received = nil // gives the array back
		}
		if conn.isPaused && len(conn.received) < readLimit/2 {
			conn.isPaused = false
			conn.runner.do(func() { conn.runner.loop.Resume(conn.id) })
		}
		return count, nil
	case conn.hasEnded && conn.err != nil:
		return 0, conn.err
	default:
		return 0, io.EOF
	}
}

// Write queues the bytes, and waits while the stream is over its high mark. When it returns, they are
// queued. They need not have arrived.
func (conn *Conn) Write(bytes []byte) (int, error) {
	conn.writing.Lock()
	defer conn.writing.Unlock()
	total := 0
	for {
		piece := bytes[total:]
		if len(piece) > writePiece {
			piece = piece[:writePiece]
		}
		if err := conn.write(piece); err != nil {
			return total, err
		}
		if total += len(piece); total == len(bytes) {
			return total, nil
		}
	}
}

func (conn *Conn) write(piece []byte) error {
	conn.mutex.Lock()
	for conn.isOver && !conn.isClosed && !conn.hasEnded {
		conn.changed.Wait()
	}
	err := conn.refusal()
	conn.mutex.Unlock()
	if err != nil {
		return err
	}
	return conn.runner.call(func() error {
		written, err := conn.runner.loop.TryWrite(conn.id, piece)
		switch {
		case err != nil:
			return err
		case written == Full:
			return ErrFull
		case written == OverHighMark:
			conn.change(func() { conn.isOver = true })
		case written == Gone:
			conn.mutex.Lock()
			defer conn.mutex.Unlock()
			if err = conn.refusal(); err == nil {
				err = io.ErrClosedPipe // it was shut down, or Closed has not been pulled yet
			}
		}
		return err
	})
}

// refusal says why nothing can be written, if that is known.
func (conn *Conn) refusal() error {
	switch {
	case conn.isClosed:
		return net.ErrClosed
	case conn.hasEnded && conn.err != nil:
		return conn.err
	case conn.hasEnded:
		return io.ErrClosedPipe
	default:
		return nil
	}
}

// CloseWrite sends what is queued and tells the peer that no more comes. Reading goes on.
func (conn *Conn) CloseWrite() error {
	return conn.runner.call(func() error {
		_, err := conn.runner.loop.Shutdown(conn.id)
		return err
	})
}

// Close sends what is queued and ends the stream. A Read that waits gives net.ErrClosed. Close does not
// wait for the end: Done tells it.
func (conn *Conn) Close() error {
	conn.mutex.Lock()
	if conn.isClosed {
		conn.mutex.Unlock()
		return net.ErrClosed
	}
	conn.isClosed, conn.received = true, nil
	conn.changed.Broadcast()
	conn.mutex.Unlock()
	return conn.runner.call(func() error { return conn.runner.loop.CloseHandle(conn.id) })
}

// Done is closed when the stream has ended. Err says how.
func (conn *Conn) Done() <-chan struct{} {
	return conn.done
}

// Err is why the stream has ended. It is nil before that, and after an orderly end.
func (conn *Conn) Err() error {
	conn.mutex.Lock()
	defer conn.mutex.Unlock()
	return conn.err
}

// LocalAddress is the address of this end.
func (conn *Conn) LocalAddress() (address string, err error) {
	err = conn.runner.call(func() (err error) {
		address, err = conn.runner.loop.LocalAddress(conn.id)
		return err
	})
	return address, err
}

// PeerAddress is the address of the other end.
func (conn *Conn) PeerAddress() (address string, err error) {
	err = conn.runner.call(func() (err error) {
		address, err = conn.runner.loop.PeerAddress(conn.id)
		return err
	})
	return address, err
}

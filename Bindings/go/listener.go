package sluice

import (
	"net"
	"sync"
)

// A Listener gives connections.
type Listener struct {
	runner  *Runner
	id      ID
	address string

	mutex   sync.Mutex
	changed sync.Cond
	waiting []*Conn
	err     error
}

// Accept waits for the next connection. After Close it gives net.ErrClosed.
func (listener *Listener) Accept() (*Conn, error) {
	listener.mutex.Lock()
	defer listener.mutex.Unlock()
	for len(listener.waiting) == 0 && listener.err == nil {
		listener.changed.Wait()
	}
	if listener.err != nil {
		return nil, listener.err
	}
	conn := listener.waiting[0]
	listener.waiting = listener.waiting[1:]
	return conn, nil
}

// Address is where it listens.
func (listener *Listener) Address() string {
	return listener.address
}

// Close accepts no more. Connections that were not accepted yet are aborted. The others live on.
func (listener *Listener) Close() error {
	return listener.runner.call(func() error {
		delete(listener.runner.listeners, listener.id)
		for _, conn := range listener.end(net.ErrClosed) {
			listener.runner.loop.Abort(conn.id)
		}
		return listener.runner.loop.CloseHandle(listener.id)
	})
}

func (listener *Listener) add(conn *Conn) {
	listener.mutex.Lock()
	listener.waiting = append(listener.waiting, conn)
	listener.mutex.Unlock()
	listener.changed.Signal()
}

func (listener *Listener) end(err error) []*Conn {
	listener.mutex.Lock()
	defer listener.mutex.Unlock()
	waiting := listener.waiting
	listener.waiting, listener.err = nil, err
	listener.changed.Broadcast()
	return waiting
}

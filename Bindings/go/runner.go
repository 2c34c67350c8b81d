package sluice

import (
	"net"
	"sync"
)

// How it works: only the loop's own goroutine calls the loop. Others leave it a job and wake it. What a
// stream has received waits in its Conn for a Read. When readLimit bytes wait, the stream is paused. So
// there are never more than that and what one receive brings.

const (
	readLimit  = 64 << 10 // bytes that wait to be read, at which a stream is paused
	writePiece = 64 << 10 // bytes that are written at once
)

// A Runner pulls a loop on a goroutine of its own, for programs whose goroutines block. Any goroutine
// may call its methods, and those of its Conns and Listeners.
//
// Each call changes goroutines, which costs some microseconds. A Loop that is pulled costs less.
type Runner struct {
	loop  *Loop
	ended chan struct{}

	mutex  sync.Mutex
	jobs   []func()
	closed bool
	err    error // why the loop has ended

	// Used only by the loop's goroutine.
	conns     map[ID]*Conn
	listeners map[ID]*Listener
}

// Run opens a loop and pulls it, until Close.
func Run(options Options) (*Runner, error) {
	runner := &Runner{
		ended: make(chan struct{}), conns: map[ID]*Conn{}, listeners: map[ID]*Listener{},
	}
	opened := make(chan error)
	go func() {
		loop, err := OpenWith(options)
		runner.loop = loop
		opened <- err
		if err == nil {
			runner.run()
		}
	}()
	if err := <-opened; err != nil {
		return nil, err
	}
	return runner, nil
}

// Close ends the loop and all that it looks after. What is queued is offered to the kernel once more. To
// be sure that it is sent, first close each Conn and wait for its Done.
func (runner *Runner) Close() error {
	runner.mutex.Lock()
	runner.closed = true
	runner.mutex.Unlock()
	err := runner.loop.Wake() // ErrClosed if it has ended already, which is fine
	<-runner.ended
	if err != nil && err != ErrClosed {
		return err
	}
	runner.mutex.Lock()
	defer runner.mutex.Unlock()
	return runner.err
}

func (runner *Runner) run() {
	events := make([]Event, mostEvents)
	for {
		count, err := runner.loop.NextMany(events)
		for i := 0; i < count; i++ {
			runner.deal(&events[i])
		}
		runner.mutex.Lock()
		jobs := runner.jobs
		runner.jobs = nil
		if err != nil {
			runner.closed, runner.err = true, err
		}
		closed := runner.closed
		runner.mutex.Unlock()
		for _, job := range jobs {
			job()
		}
		if closed {
			runner.end()
			return
		}
	}
}

func (runner *Runner) end() {
	runner.loop.Close()
	for _, conn := range runner.conns {
		conn.end(net.ErrClosed)
	}
	for _, listener := range runner.listeners {
		listener.end(net.ErrClosed)
	}
	close(runner.ended)
}

// do leaves a job to the loop's goroutine. It is false if that has ended.
func (runner *Runner) do(job func()) bool {
	runner.mutex.Lock()
	if runner.closed {
		runner.mutex.Unlock()
		return false
	}
	runner.jobs = append(runner.jobs, job)
	isFirst := len(runner.jobs) == 1
	runner.mutex.Unlock()
	if isFirst {
		runner.loop.Wake()
	}
	return true
}

// call lets the loop's goroutine make a call, and waits for it.
func (runner *Runner) call(call func() error) error {
	done := make(chan error, 1)
	if !runner.do(func() { done <- call() }) {
		return net.ErrClosed
	}
	return <-done // a job that was taken is done, even if the loop ends
}

func (runner *Runner) deal(event *Event) {
	if event.Kind == Accepted {
		if listener := runner.listeners[ID(event.Value)]; listener != nil {
			listener.add(runner.newConn(event.ID))
		} else {
			runner.loop.Abort(event.ID)
		}
		return
	}
	conn := runner.conns[event.ID]
	if conn == nil {
		return
	}
	switch event.Kind {
	case Connected:
		conn.change(func() { conn.isConnected = true })
	case Data:
		if conn.receive(event.Data) {
			runner.loop.Pause(event.ID)
		}
	case EOF:
		conn.change(func() { conn.isAtEnd = true })
	case Drained:
		conn.change(func() { conn.isOver = false })
	case Closed:
		delete(runner.conns, event.ID)
		conn.end(event.Err)
	}
}

// newConn is called on the loop's goroutine.
func (runner *Runner) newConn(id ID) *Conn {
	conn := &Conn{runner: runner, id: id, done: make(chan struct{})}
	conn.changed.L = &conn.mutex
	runner.conns[id] = conn
	return conn
}

// Dial connects to an address, or to a name such as example.com:443, and waits until that is done.
func (runner *Runner) Dial(address string) (*Conn, error) {
	return runner.DialWith(address, StreamOptions{})
}

// DialWith is Dial with options. A Conn is half-open in any case: Close ends it.
func (runner *Runner) DialWith(address string, options StreamOptions) (*Conn, error) {
	options.HalfOpen = true
	return runner.connOf(func() (ID, error) { return runner.loop.ConnectWith(address, options) })
}

// Adopt makes a Conn of a connected descriptor. The loop owns it from then on. If the call fails,
// it stays the caller's.
func (runner *Runner) Adopt(fd int) (*Conn, error) {
	return runner.made(func() (ID, error) {
		return runner.loop.AdoptWith(fd, StreamOptions{HalfOpen: true})
	})
}

func (runner *Runner) made(call func() (ID, error)) (conn *Conn, err error) {
	err = runner.call(func() error {
		id, err := call()
		if err == nil {
			conn = runner.newConn(id)
		}
		return err
	})
	return conn, err
}

func (runner *Runner) connOf(call func() (ID, error)) (*Conn, error) {
	conn, err := runner.made(call)
	if err != nil {
		return nil, err
	}
	conn.mutex.Lock()
	defer conn.mutex.Unlock()
	for !conn.isConnected && !conn.hasEnded {
		conn.changed.Wait()
	}
	if conn.hasEnded && !conn.isConnected {
		return nil, conn.err
	}
	return conn, nil
}

// Listen accepts connections at an address, as Loop.Listen takes it.
func (runner *Runner) Listen(address string) (*Listener, error) {
	return runner.ListenWith(address, ListenOptions{})
}

// ListenWith is Listen with options. Its Conns are half-open in any case.
func (runner *Runner) ListenWith(address string, options ListenOptions) (*Listener, error) {
	options.Streams.HalfOpen = true
	listener := &Listener{runner: runner}
	listener.changed.L = &listener.mutex
	err := runner.call(func() (err error) {
		if listener.id, err = runner.loop.ListenWith(address, options); err != nil {
			return err
		}
		runner.listeners[listener.id] = listener
		listener.address, err = runner.loop.LocalAddress(listener.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return listener, nil
}

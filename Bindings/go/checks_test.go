// Behaviour that is reported, and never undefined.
package sluice_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	sluice "example.com/sluice/Bindings/go"
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

// accepted is a stream whose peer is another stream of the same loop.
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

// pull is the next event of one kind that a handle has.
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

// listening is a listener, and the address where it listens.
func listening(loop *sluice.Loop, at string, options sluice.ListenOptions) (sluice.ID, string) {
	listener, err := loop.ListenWith(at, options)
	must(err)
	address, err := loop.LocalAddress(listener)
	must(err)
	return listener, address
}

// pullAccepted is the next stream of a listener.
func pullAccepted(loop *sluice.Loop, listener sluice.ID) sluice.ID {
	for {
		event, err := loop.Next()
		must(err)
		if event.Kind == sluice.Accepted && event.Value == uint64(listener) {
			return event.ID
		}
	}
}

// option is a socket option of a handle, as getsockopt(2) gives it.
func option(loop *sluice.Loop, id sluice.ID, level, name int) int {
	fd, err := loop.Fd(id)
	must(err)
	value, err := syscall.GetsockoptInt(fd, level, name)
	must(err)
	return value
}

func expectValue(what string, value, expected any) {
	if value != expected {
		panic(fmt.Sprintf("%s: %v, and not %v", what, value, expected))
	}
}

// connected makes that many clients, and gives them and their streams.
func connected(loop *sluice.Loop, count int) (clients []net.Conn, streams []sluice.ID) {
	listener, address := listening(loop, "127.0.0.1:0", sluice.ListenOptions{})
	for len(clients) < count {
		client, err := net.Dial("tcp", address)
		must(err)
		clients = append(clients, client)
		streams = append(streams, pullAccepted(loop, listener))
	}
	return clients, streams
}

// expectConversation says that a client receives what was written, and that its answer comes.
func expectConversation(loop *sluice.Loop, client net.Conn, stream sluice.ID, written string) {
	received := make([]byte, 100)
	length, err := client.Read(received)
	must(err)
	expectValue("what was received", string(received[:length]), written)
	_, err = client.Write([]byte("and back"))
	must(err)
	expectValue("the answer", string(pull(loop, sluice.Data, stream).Data), "and back")
	must(client.Close())
}

// useGone makes all calls that may be made on a stream that is gone.
func useGone(loop *sluice.Loop, gone, other sluice.ID) {
	must(loop.Pause(gone))
	must(loop.Resume(gone))
	must(loop.Hold(gone, 1))
	must(loop.HoldUntil(gone, 1, 2))
	must(loop.Forward(gone, other))
	must(loop.Forward(other, gone))
	for _, call := range []func(sluice.ID) (sluice.Written, error){loop.Flush, loop.Shutdown} {
		written, err := call(gone)
		must(err)
		expectValue("a stream that is gone", written, sluice.Gone)
	}
	written, err := loop.TryWrite(gone, nil)
	must(err)
	expectValue("a write to it", written, sluice.Gone)
	must(loop.CloseHandle(gone))
	must(loop.Abort(gone))
}

func checkGone() {
	loop, err := sluice.Open()
	must(err)
	clients, streams := connected(loop, 4)
	must(loop.CloseHandle(streams[0]))
	must(loop.Abort(streams[1]))
	_, err = loop.Shutdown(streams[2])
	must(err)
	for i, stream := range streams {
		written, err := loop.Write(stream, []byte("to all"))
		must(err)
		if (written == sluice.Queued) != (i == 3) || (written == sluice.Gone) != (i < 3) {
			panic(fmt.Sprintf("the write to stream %d: %v", i, written))
		}
	}
	useGone(loop, streams[1], streams[3])
	if pull(loop, sluice.Closed, streams[1]).Err == nil {
		panic("an abort without a reason")
	}
	useGone(loop, streams[1], streams[3])
	expectConversation(loop, clients[3], streams[3], "to all")
	must(loop.Close())
}

func checkOverHardLimit() {
	loop, err := sluice.OpenWith(sluice.Options{HardLimit: 20})
	must(err)
	clients, streams := connected(loop, 3)
	expectWrite(loop, streams[0], 20, sluice.Queued)
	expectWrite(loop, streams[0], 1, sluice.Full)
	expectWrite(loop, streams[0], 1, sluice.Gone)
	tried, err := loop.TryWrite(streams[1], make([]byte, 21))
	must(err)
	expectValue("a write that is tried", tried, sluice.Full)
	for _, stream := range streams[1:] {
		written, err := loop.Write(stream, []byte("as ever"))
		must(err)
		expectValue("a write", written, sluice.Queued)
	}
	expect(pull(loop, sluice.Closed, streams[0]).Err, sluice.ErrFull)
	expectConversation(loop, clients[1], streams[1], "as ever")
	expectConversation(loop, clients[2], streams[2], "as ever")
	must(loop.Close())
}

func checkAbortWith() {
	loop, err := sluice.Open()
	must(err)
	_, streams := connected(loop, 4)
	for i, reason := range []error{syscall.EMSGSIZE, sluice.ErrFull, sluice.ErrName} {
		must(loop.AbortWith(streams[i], fmt.Errorf("of such a kind: %w", reason)))
		expect(pull(loop, sluice.Closed, streams[i]).Err, reason)
	}
	for _, reason := range []error{nil, os.ErrExist, syscall.Errno(0), sluice.Code(1)} {
		expect(loop.AbortWith(streams[3], reason), sluice.ErrOption)
	}
	expectWrite(loop, streams[3], 1, sluice.Queued)
	timer, err := loop.Timer(time.Second, 0)
	must(err)
	must(loop.AbortWith(timer, syscall.EMSGSIZE))
	must(loop.AbortWith(streams[0], syscall.EMSGSIZE)) // it has ended
	must(loop.Close())
}

// adopted is a stream, and its other end.
func adopted(loop *sluice.Loop, options sluice.StreamOptions) (sluice.ID, int) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(err)
	stream, err := loop.AdoptWith(pair[0], options)
	must(err)
	return stream, pair[1]
}

func checkWhatComesAgain() {
	loop, err := sluice.OpenWith(sluice.Options{HardLimit: 20})
	must(err)
	stream, peer := adopted(loop, sluice.StreamOptions{})
	send := func(text string) {
		_, err := syscall.Write(peer, []byte(text))
		must(err)
	}
	expectData := func(text string, seen int, isLast bool) {
		event := pull(loop, sluice.Data, stream)
		expectValue("the data", string(event.Data), text)
		expectValue("how much came before", event.Seen, seen)
		expectValue("whether it is the last", event.IsLast, isLast)
	}
	send("ab")
	expectData("ab", 0, false)
	expect(loop.HoldUntil(stream, 3, 4), sluice.ErrCapacity)
	must(loop.HoldUntil(stream, 2, 4))
	send("c")
	event, err := loop.NextWithin(0)
	must(err)
	expectValue("what is there before the rest", event.Kind, sluice.Kind(0))
	send("d")
	expectData("abcd", 2, false)
	must(loop.HoldUntil(stream, 3, -1))
	must(syscall.Close(peer))
	expectData("bcd", 3, true)
	pull(loop, sluice.EOF, stream)
	expectValue("whether the input had ended", pull(loop, sluice.Closed, stream).InputEnded, true)

	stream, peer = adopted(loop, sluice.StreamOptions{})
	send("!")
	expectData("!", 0, false)
	must(loop.HoldUntil(stream, 1, 21))
	event = pull(loop, sluice.Closed, stream)
	expect(event.Err, sluice.ErrFull)
	expectValue("whether the input had ended", event.InputEnded, false)
	must(syscall.Close(peer))
	must(loop.Close())
}

func checkFile() {
	loop, err := sluice.Open()
	must(err)
	stream, peer := adopted(loop, sluice.StreamOptions{HighMark: 6})
	file, err := os.CreateTemp("", "sluice-checks")
	must(err)
	unread, err := os.OpenFile(file.Name(), os.O_WRONLY, 0)
	must(err)
	must(os.Remove(file.Name()))
	_, err = file.WriteString("0123456789")
	must(err)
	expectSent := func(offset int64, length, expected int, isThere bool) {
		sent, there, err := loop.SendFile(stream, file, offset, length)
		must(err)
		expectValue("how many bytes went", sent, expected)
		expectValue("whether the stream is there", there, isThere)
	}
	expectReceived := func(text string) {
		received := make([]byte, 100)
		length, _, err := syscall.Recvfrom(peer, received[:len(text)], syscall.MSG_WAITALL)
		must(err)
		expectValue("what was received", string(received[:length]), text)
	}
	_, err = loop.Write(stream, []byte("head "))
	must(err)
	expectSent(1, 100, 6, true) // the high mark
	pull(loop, sluice.Drained, stream)
	expectSent(7, 2, 2, true)
	expectSent(7, -1, 0, true)
	expectReceived("head 12345678")
	_, _, err = loop.SendFile(stream, file, 10, 1)
	expect(err, syscall.ENODATA)
	_, _, err = loop.SendFile(stream, file, -1, 1)
	expect(err, syscall.EINVAL)
	for _, other := range []*os.File{unread, nil} {
		_, _, err = loop.SendFile(stream, other, 0, 1)
		expect(err, syscall.EBADF)
	}
	expectSent(9, 1, 1, true)
	expectReceived("9")
	timer, err := loop.Timer(time.Second, 0)
	must(err)
	_, _, err = loop.SendFile(timer, file, 0, 1)
	expect(err, sluice.ErrWrongKind)
	must(syscall.Close(peer))
	expectSent(0, 1, 0, false)
	expect(pull(loop, sluice.Closed, stream).Err, syscall.EPIPE)
	expectSent(0, 1, 0, false)
	must(file.Close())
	must(unread.Close())
	must(loop.Close())
}

func checkOptionsOfLoop() {
	loop, err := sluice.OpenWith(sluice.Options{
		Backend: "poll", HighMark: 10, LowMark: 5, HardLimit: 20, MemoryLimit: 1 << 20,
		HandleLimit: 2, PostLimit: 1, ReceiveSize: 4096,
	})
	must(err)
	_, address := listening(loop, "127.0.0.1:0", sluice.ListenOptions{})
	stream, err := loop.Connect(address)
	must(err)
	expectWrite(loop, stream, 10, sluice.Queued)
	expectWrite(loop, stream, 10, sluice.OverHighMark)
	tried, err := loop.TryWrite(stream, []byte("x"))
	must(err)
	expectValue("one more", tried, sluice.Full)
	pull(loop, sluice.Drained, stream)
	must(loop.Post(1))
	expect(loop.Post(1), sluice.ErrFull)
	for range [2]int{} {
		_, err = loop.Timer(time.Second, 0)
		must(err)
	}
	_, err = loop.Timer(time.Second, 0)
	expect(err, sluice.ErrFull)
	must(loop.Close())
}

func checkOptionsOfListener(loop *sluice.Loop) {
	folder, err := os.MkdirTemp("", "sluice-checks")
	must(err)
	defer os.RemoveAll(folder)
	listener, _ := listening(loop, "unix:"+folder+"/s", sluice.ListenOptions{UnixMode: 0o620})
	status, err := os.Stat(folder + "/s")
	must(err)
	expectValue("the file's mode", status.Mode().Perm(), os.FileMode(0o620))
	must(loop.CloseHandle(listener))

	options := sluice.ListenOptions{
		OnlyIPv6: true, ReusePort: true, Backlog: 5, AcceptBatch: 1, ConnectionLimit: 1,
		Streams: sluice.StreamOptions{IdleTimeout: time.Millisecond},
	}
	listener, address := listening(loop, "[::]:0", options)
	expectValue("only IPv6", option(loop, listener, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY), 1)
	other, _ := listening(loop, address, options) // at the same port
	must(loop.CloseHandle(other))
	client, err := net.Dial("tcp", "[::1]"+address[strings.LastIndex(address, ":"):])
	must(err)
	closed := pull(loop, sluice.Closed, pullAccepted(loop, listener))
	expect(closed.Err, syscall.ETIMEDOUT)
	must(client.Close())
	must(loop.CloseHandle(listener))
}

func checkOptionsOfStream(loop *sluice.Loop) {
	_, address := listening(loop, "127.0.0.1:0", sluice.ListenOptions{})
	stream, err := loop.ConnectWith(address, sluice.StreamOptions{
		Source: "127.0.0.2:0", Delay: true, KeepAlive: true, KeepAliveAfter: 30500 * time.Millisecond,
		ConnectTimeout: time.Minute, Linger: time.Second, HighMark: 9, Unthrottled: true,
	})
	must(err)
	local, err := loop.LocalAddress(stream)
	must(err)
	expectValue("the source", local[:strings.Index(local, ":")], "127.0.0.2")
	expectValue("no delay", option(loop, stream, syscall.IPPROTO_TCP, syscall.TCP_NODELAY), 0)
	expectValue("keep-alive", option(loop, stream, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE), 1)
	expectValue("seconds", option(loop, stream, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE), 31)
	expectWrite(loop, stream, 10, sluice.OverHighMark)
}

func checkAdopt(loop *sluice.Loop) {
	stream, peer := adopted(loop, sluice.StreamOptions{HalfOpen: true, Throttled: true})
	_, err := syscall.Write(peer, []byte("hello"))
	must(err)
	must(syscall.Shutdown(peer, syscall.SHUT_WR))
	expectValue("the data", string(pull(loop, sluice.Data, stream).Data), "hello")
	pull(loop, sluice.EOF, stream)
	_, err = loop.Write(stream, []byte("half-open")) // or it would be closed by now
	must(err)
	must(loop.CloseHandle(stream))
	must(pull(loop, sluice.Closed, stream).Err)
	received := make([]byte, 100)
	length, err := syscall.Read(peer, received)
	must(err)
	expectValue("what was written", string(received[:length]), "half-open")
	must(syscall.Close(peer))

	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must(err)
	_, err = loop.Adopt(fd)
	expect(err, syscall.ENOTCONN)
	must(syscall.Close(fd)) // it is still ours
}

func checkOptionsOutOfRange(loop *sluice.Loop) {
	refused := func(err, expected error, words string) {
		expect(err, expected)
		if !strings.Contains(err.Error(), words) {
			panic(fmt.Sprintf("%v, and not %s", err, words))
		}
	}
	opened := func(options sluice.Options) error {
		_, err := sluice.OpenWith(options)
		return err
	}
	listened := func(options sluice.ListenOptions) error {
		_, err := loop.ListenWith("127.0.0.1:0", options)
		return err
	}
	connected := func(options sluice.StreamOptions) error {
		_, err := loop.ConnectWith("127.0.0.1:1", options)
		return err
	}
	marks := sluice.Options{HighMark: 10, LowMark: 20}
	refused(opened(marks), sluice.ErrOption, "(with HighMark: 10, LowMark: 20)")
	refused(opened(sluice.Options{PostLimit: -1}), sluice.ErrOption, "PostLimit: -1")
	refused(opened(sluice.Options{Backend: "none"}), sluice.ErrNoBackend, "Backend: none")
	refused(listened(sluice.ListenOptions{UnixMode: 0o1000}), sluice.ErrOption, "UnixMode: 01000")
	idle := sluice.StreamOptions{IdleTimeout: -time.Second}
	refused(listened(sluice.ListenOptions{Streams: idle}), sluice.ErrOption, "IdleTimeout: -1s")
	refused(connected(idle), sluice.ErrOption, "IdleTimeout: -1s")
	source := sluice.StreamOptions{Source: "[::1]:0"}
	refused(connected(source), sluice.ErrOption, "Source: [::1]:0")
	source.Source = "x"
	refused(connected(source), sluice.ErrPort, "Source: x")
	both := sluice.StreamOptions{Throttled: true, Unthrottled: true}
	_, err := loop.AdoptWith(0, both)
	refused(err, sluice.ErrOption, "Throttled: true, Unthrottled: true")
	_, err = loop.ListenFdWith(0, sluice.ListenOptions{Streams: both})
	refused(err, sluice.ErrOption, "Throttled: true, Unthrottled: true")
}

// open is a loop that ends with the test.
func open(t *testing.T) *sluice.Loop {
	loop, err := sluice.Open()
	must(err)
	t.Cleanup(func() { must(loop.Close()) })
	return loop
}

func checkStale(loop *sluice.Loop) {
	timer, err := loop.Timer(time.Second, 0)
	must(err)
	must(loop.CloseHandle(timer))
	other, err := loop.Timer(time.Second, 0)
	must(err)
	expectValue("the slot", other.Slot(), timer.Slot())
	expect(loop.TimerReset(timer, time.Second), sluice.ErrStale)
	_, err = loop.Fd(timer)
	expect(err, sluice.ErrStale)
	must(loop.CloseHandle(timer))
	expectWrite(loop, timer, 1, sluice.Gone)
}

func checkKind(loop *sluice.Loop) {
	timer, err := loop.Timer(time.Second, 0)
	must(err)
	_, err = loop.Write(timer, nil)
	expect(err, sluice.ErrWrongKind)
}

func checkErrors(loop *sluice.Loop) {
	_, err := loop.Listen("no address")
	expect(err, sluice.ErrAddress)
	const withNul = "127.0.0.1:0\x00"
	_, err = loop.Listen(withNul)
	expect(err, sluice.ErrAddress)
	_, err = loop.Connect(withNul)
	expect(err, sluice.ErrAddress)
	_, err = loop.Resolve(withNul, sluice.AnyFamily)
	expect(err, sluice.ErrAddress)
	_, err = loop.Listen("unix:/no/such/folder/s")
	expect(err, os.ErrNotExist)
	expect(err, syscall.ENOENT)
	_, err = loop.NextWithin(-1)
	expect(err, sluice.ErrTimeout)
	event, err := loop.NextWithin(0)
	must(err)
	expectValue("what is there", event.Kind, sluice.Kind(0))
	_, err = loop.Listen("127.0.0.1:99999")
	expect(err, sluice.ErrPort)
	_, err = loop.Connect("*:80")
	expect(err, sluice.ErrNumeric)
	expect(sluice.ErrStale, syscall.ESTALE)
}

func checkWake(loop *sluice.Loop) {
	go func() { must(loop.Wake()) }()
	event, err := loop.Next()
	must(err)
	expectValue("a wake", event.Kind, sluice.Kind(0))
	now, err := loop.Now()
	must(err)
	updated, err := loop.UpdateNow()
	must(err)
	expectValue("time passes", now <= updated, true)
}

func checkThread(loop *sluice.Loop) {
	done := make(chan bool)
	go func() {
		_, err := loop.Next()
		expect(err, sluice.ErrWrongThread)
		_, err = loop.NextMany(make([]sluice.Event, 3))
		expect(err, sluice.ErrWrongThread)
		_, err = loop.Timer(time.Second, 0)
		expect(err, sluice.ErrWrongThread)
		expect(loop.Close(), sluice.ErrWrongThread)
		must(loop.Post(7))
		close(done)
	}()
	<-done
	event, err := loop.Next()
	must(err)
	expectValue("what was posted", event.Value, uint64(7))
}

func checkWrite(loop *sluice.Loop) {
	stream := accepted(loop)
	expectWrite(loop, stream, 1, sluice.Queued)
	expectWrite(loop, stream, 20_000_000, sluice.OverHighMark)
	_, err := loop.Shutdown(stream)
	must(err)
	expectWrite(loop, stream, 1, sluice.Gone)
}

func checkHalfClose(loop *sluice.Loop) {
	stream, peer := adopted(loop, sluice.StreamOptions{HalfOpen: true})
	_, err := syscall.Write(peer, []byte("a question"))
	must(err)
	must(syscall.Shutdown(peer, syscall.SHUT_WR))
	expectValue("the question", string(pull(loop, sluice.Data, stream).Data), "a question")
	pull(loop, sluice.EOF, stream)
	expectWrite(loop, stream, 9, sluice.Queued)
	_, err = loop.Shutdown(stream)
	must(err)
	must(pull(loop, sluice.Closed, stream).Err)
	received := make([]byte, 100)
	length, err := syscall.Read(peer, received)
	must(err)
	expectValue("the answer's length", length, 9)
	must(syscall.Close(peer))
}

// checkFraming cuts lines that come in pieces of any size.
func checkFraming(loop *sluice.Loop) {
	stream, peer := adopted(loop, sluice.StreamOptions{})
	const sent = "first\nsecond\n\nand a long one at the end\n"
	var lines strings.Builder
	for at := 0; lines.Len() < len(sent); at += 3 {
		end := at + 3
		if end > len(sent) {
			end = len(sent)
		}
		_, err := syscall.Write(peer, []byte(sent[at:end]))
		must(err)
		rest := pull(loop, sluice.Data, stream).Data
		for {
			end := strings.IndexByte(string(rest), '\n')
			if end < 0 {
				break
			}
			lines.Write(rest[:end+1])
			rest = rest[end+1:]
		}
		must(loop.Hold(stream, len(rest)))
	}
	expectValue("the lines", lines.String(), sent)
	must(syscall.Close(peer))
}

func checkMany(loop *sluice.Loop) {
	for i := uint64(0); i < 5; i++ {
		must(loop.Post(i))
	}
	events := make([]sluice.Event, 3)
	for _, expected := range [][]uint64{{0, 1, 2}, {3, 4}} {
		count, err := loop.NextMany(events)
		must(err)
		expectValue("how many", count, len(expected))
		for i, value := range expected {
			expectValue("what was posted", events[i].Value, value)
		}
	}
	_, err := loop.NextMany(nil)
	expect(err, sluice.ErrCapacity)
	count, err := loop.NextManyWithin(events, 0)
	must(err)
	expectValue("how many are left", count, 0)
	a, first := adopted(loop, sluice.StreamOptions{})
	b, second := adopted(loop, sluice.StreamOptions{})
	for i, peer := range []int{first, second} {
		_, err = syscall.Write(peer, []byte(strings.Repeat(string(rune('a'+i)), 5000)))
		must(err)
		defer syscall.Close(peer)
	}
	for got := map[sluice.ID]string{}; len(got) < 2; {
		count, err = loop.NextMany(events)
		must(err)
		for _, event := range events[:count] {
			got[event.ID] = string(event.Data)
		}
		if len(got) == 2 {
			expectValue("the data of one", got[a], strings.Repeat("a", 5000))
			expectValue("the data of the other", got[b], strings.Repeat("b", 5000))
		}
	}
}

func checkWatch(loop *sluice.Loop) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(err)
	watch, err := loop.Watch(pair[0], sluice.Writable)
	must(err)
	event := pull(loop, sluice.Ready, watch)
	expectValue("it can be written to", event.Readiness().Has(sluice.Writable), true)
	expectValue("it cannot be read from", event.Readiness().Has(sluice.Readable), false)
	must(loop.Rewatch(watch, sluice.Readable))
	must(syscall.Close(pair[1]))
	event = pull(loop, sluice.Ready, watch)
	expectValue("its peer has ended", event.Readiness().IsReadClosed(), true)
	must(loop.CloseHandle(watch))
	must(syscall.Close(pair[0]))
}

func checkClosed() {
	loop, err := sluice.Open()
	must(err)
	must(loop.Close())
	must(loop.Close())
	for _, closed := range []*sluice.Loop{loop, {}} {
		expect(closed.Wake(), sluice.ErrClosed)
		expect(closed.Post(8), sluice.ErrClosed)
		_, err = closed.Next()
		expect(err, sluice.ErrClosed)
		_, err = closed.Listen("127.0.0.1:0")
		expect(err, sluice.ErrClosed)
		must(closed.Close())
	}
}

// checkRace makes calls from other goroutines while the loop is closed. They are refused, and that
// is all.
func checkRace() {
	for i := 0; i < 300; i++ {
		loop, err := sluice.Open()
		must(err)
		done := make(chan bool)
		for _, call := range []func(){
			func() { loop.Abort(1) }, func() { loop.Post(1) }, func() { loop.NextWithin(0) },
			func() { loop.Write(1, []byte("x")) }, func() { loop.Close() },
		} {
			call := call
			go func() {
				for k := 0; k < 20; k++ {
					call()
				}
				done <- true
			}()
		}
		runtime.Gosched()
		must(loop.Close())
		for k := 0; k < 5; k++ {
			<-done
		}
	}
}

// checkAbandoned leaves loops without Close: their descriptors go with them.
func checkAbandoned() {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(err)
		return len(entries)
	}
	before := count()
	for i := 0; i < 50; i++ {
		left := make(chan bool)
		go func() {
			loop, err := sluice.Open()
			must(err)
			_, err = loop.Listen("127.0.0.1:0")
			must(err)
			close(left)
		}()
		<-left
	}
	for end := time.Now().Add(time.Minute); count() > before; runtime.Gosched() {
		runtime.GC()
		if time.Now().After(end) {
			panic(fmt.Sprint(count()-before, " descriptors are left open"))
		}
	}
}

func TestChecks(t *testing.T) {
	withLoop := func(name string, check func(*sluice.Loop)) {
		t.Run(name, func(t *testing.T) { check(open(t)) })
	}
	without := func(name string, check func()) {
		t.Run(name, func(t *testing.T) { check() })
	}
	withLoop("stale id", checkStale)
	withLoop("wrong kind", checkKind)
	withLoop("errors", checkErrors)
	withLoop("wake", checkWake)
	withLoop("wrong thread", checkThread)
	withLoop("what became of a write", checkWrite)
	withLoop("names", checkNames)
	withLoop("listener from elsewhere", checkListener)
	without("a stream that is gone", checkGone)
	without("over the hard limit", checkOverHardLimit)
	without("abort with a reason", checkAbortWith)
	without("what comes again", checkWhatComesAgain)
	without("a file that is sent", checkFile)
	without("options of a loop", checkOptionsOfLoop)
	withLoop("options of a listener", checkOptionsOfListener)
	withLoop("options of a stream", checkOptionsOfStream)
	withLoop("adopt", checkAdopt)
	withLoop("options out of range", checkOptionsOutOfRange)
	withLoop("half-close", checkHalfClose)
	withLoop("framing", checkFraming)
	withLoop("many at once", checkMany)
	withLoop("a watch", checkWatch)
	without("use after close", checkClosed)
	without("calls that race a close", checkRace)
	without("loops that are left", checkAbandoned)
}

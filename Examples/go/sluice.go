// Package sluice is Sluice's loop in Go.
//
//	loop, err := sluice.Open()
//	…
//	loop.Listen("127.0.0.1:9999")
//	for {
//		event, err := loop.Next()
//		…
//		if event.Kind == sluice.Data {
//			loop.Write(event.ID, event.Data)
//		}
//	}
//
// A loop belongs to the thread that opened it, so Open locks the goroutine to its thread, until
// Destroy. From any other goroutine only Post and Wake may be called; all else gives ErrWrongThread.
//
// Errors are a syscall.Errno where the kernel gave one, so that errors.Is(err, os.ErrNotExist) holds
// where it should, and a Code of this package otherwise.
//
// What befalls a connection is no error of the call in hand: Closed says it.
//
// There is no call for signals: Go's runtime has handlers of its own, in threads of its own. Have
// os/signal notify a goroutine, and Post from there.
//
// What each call does is said in sluice.h; the names are the same. Those that end in With take options.
package sluice

/*
#cgo pkg-config: sluice
#include <errno.h>
#include <stdlib.h>
#include <sluice.h>

// Go may not hand C a pointer to memory of Go's that has such a pointer in it. So options go by value.
static int listen_with(sluice_loop *loop, sluice_id *id, const char *address,
                       sluice_listen_options options, sluice_stream_options streams) {
	options.streams = &streams;
	return sluice_listen(loop, id, address, &options);
}

static int listen_fd_with(sluice_loop *loop, sluice_id *id, int fd, sluice_listen_options options,
                          sluice_stream_options streams) {
	options.streams = &streams;
	return sluice_listen_fd(loop, id, fd, &options);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// An ID names a handle: a watch, timer, listener, stream or lookup. Once the handle has ended, calls
// that ask for something give ErrStale. 0 is none.
type ID uint64

// A Kind says what happened.
type Kind uint32

const (
	Ready      Kind = C.SLUICE_READY      // a watched descriptor is ready: Value has the flags
	Timer      Kind = C.SLUICE_TIMER      // a timer's time has come
	Posted     Kind = C.SLUICE_POSTED     // Value was posted
	Accepted   Kind = C.SLUICE_ACCEPTED   // ID is the new stream, Value the listener's ID
	Connected  Kind = C.SLUICE_CONNECTED  // a connect is done
	Data       Kind = C.SLUICE_DATA       // Data was received
	EOF        Kind = C.SLUICE_EOF        // the peer will send no more
	Drained    Kind = C.SLUICE_DRAINED    // a stream's queue has fallen to its low mark
	Closed     Kind = C.SLUICE_CLOSED     // a stream's last: Err says why, Unsent how much was not sent
	Overloaded Kind = C.SLUICE_OVERLOADED // a listener had to stop accepting: Err says why
	Resolved   Kind = C.SLUICE_RESOLVED   // a lookup's last: Addresses, or Err says why there are none
)

// A Family says which addresses of a name are asked for.
type Family uint32

const (
	AnyFamily Family = C.SLUICE_ANY_FAMILY
	IPv4      Family = C.SLUICE_IPV4
	IPv6      Family = C.SLUICE_IPV6
)

// Written says what became of a write. It need not be looked at. Gone and Full say that nothing was
// taken.
type Written int

const (
	Queued       Written = iota
	OverHighMark         // queued too; wait for Drained before writing more
	Gone                 // the stream has ended, or takes no more: it is broken, or was shut down
	Full                 // it would be over its hard limit, or the loop's memory limit
)

// What a watch waits for, and what Ready reports.
const (
	Read       = C.SLUICE_READ
	Priority   = C.SLUICE_PRIORITY
	Write      = C.SLUICE_WRITE
	Error      = C.SLUICE_ERROR
	Hangup     = C.SLUICE_HANGUP
	ReadClosed = C.SLUICE_READ_CLOSED
	Edge       = C.SLUICE_EDGE
	OneShot    = C.SLUICE_ONE_SHOT
)

// An Event is what was pulled.
type Event struct {
	Kind      Kind
	ID        ID     // whose event it is
	Data      []byte // valid until the next pull, which fills the same array
	Seen      int    // how many of the first of Data were in an event before, and were held
	IsLast    bool   // whether Data was held when the input ended, and nothing follows it
	Addresses []string
	Unsent    int
	Value     uint64
	Err       error
}

// Options are what a loop is opened with: all but where memory comes from, which is C's to say, and
// that a signal ends a wait, since signals are Go's. 0 is a member's default, here and below.
type Options struct {
	Backend     string
	ReceiveSize int // bytes that one receive brings at most
	HighMark    int // queued bytes over which a stream is to wait for Drained
	LowMark     int // queued bytes at which Drained comes
	HardLimit   int // queued bytes that a write may not go over
	MemoryLimit int // bytes of all that is queued and held
	PostLimit   int // posts that wait to be pulled
	HandleLimit int // handles of each kind
}

// StreamOptions say how a stream behaves.
type StreamOptions struct {
	HalfOpen       bool          // it stays when the peer has ended
	Delay          bool          // Nagle's algorithm is left on
	KeepAlive      bool          // a silent peer is probed
	KeepAliveAfter time.Duration // how long it is silent before; in whole seconds, rounded up
	Throttled      bool          // it is not read from over its high mark: as accepted streams are
	Unthrottled    bool          // it is read from all the same: as the others are
	IdleTimeout    time.Duration // without a byte for so long it ends
	Linger         time.Duration // how long a close may take
	ConnectTimeout time.Duration // of a connect alone
	HighMark       int           // as the loop's, for this stream
	LowMark        int
	Source         string // of a connect alone: the address that it comes from, numeric or unix:@name
}

// ListenOptions say how a listener behaves, and its streams.
type ListenOptions struct {
	ReusePort       bool // several loops accept at one address
	OnlyIPv6        bool // an IPv6 socket takes no IPv4 callers
	Backlog         int
	AcceptBatch     int // connections accepted in one turn
	ConnectionLimit int // connections open at once
	Streams         StreamOptions
	UnixMode        uint32 // who may call at a unix path, such as 0o600; as the umask says
}

// A Code is an error that Sluice itself gives.
type Code int

const (
	ErrNotSupported Code = C.SLUICE_ENOTSUP
	ErrNoBackend    Code = C.SLUICE_EBACKEND
	ErrInterest     Code = C.SLUICE_EINTEREST
	ErrTimeout      Code = C.SLUICE_ETIMEOUT // a negative one
	ErrCapacity     Code = C.SLUICE_ECAPACITY
	ErrDestroyed    Code = C.SLUICE_ENULL
	ErrAddress      Code = C.SLUICE_EADDRESS
	ErrFull         Code = C.SLUICE_EFULL
	ErrStale        Code = C.SLUICE_ESTALE
	ErrWrongKind    Code = C.SLUICE_EKIND
	ErrWrongThread  Code = C.SLUICE_ETHREAD
	ErrState        Code = C.SLUICE_ESTATE
	ErrOption       Code = C.SLUICE_EOPTION
	ErrName         Code = C.SLUICE_ENAME // a host name has no address
	ErrListens      Code = C.SLUICE_ELISTENS
	ErrNotListening Code = C.SLUICE_ENOLISTEN
	ErrPort         Code = C.SLUICE_EPORT
	ErrPath         Code = C.SLUICE_EPATH
	ErrScope        Code = C.SLUICE_ESCOPE
	ErrNumeric      Code = C.SLUICE_ENUMERIC
)

func (code Code) Error() string {
	if code == ErrDestroyed {
		return "sluice: the loop is destroyed"
	}
	return "sluice: " + C.GoString(C.sluice_error_message(C.int(code)))
}

// Is says whether target is the errno that comes nearest.
func (code Code) Is(target error) bool {
	errno, ok := target.(syscall.Errno)
	return ok && errno == syscall.Errno(C.sluice_error_errno(C.int(code)))
}

// errorOf is what a negative result stands for, and nil for any other.
func errorOf(result C.int) error {
	switch {
	case result >= 0:
		return nil
	case result > -10000:
		return syscall.Errno(-result)
	default:
		return Code(result)
	}
}

// codeOf is an error as C has it, and 0 for one that C has not.
func codeOf(err error) C.int {
	var errno syscall.Errno
	var code Code
	switch {
	case errors.As(err, &errno):
		return -C.int(errno)
	case errors.As(err, &code):
		return C.int(code)
	default:
		return 0
	}
}

// callWith makes a call that takes options. An error says those that are no defaults: one may be to
// blame.
func callWith(options any, call func() C.int) error {
	value := reflect.ValueOf(options)
	code := C.int(C.SLUICE_EOPTION)
	if fitsC(value) {
		code = call()
	}
	err := errorOf(code)
	if given := givenOf(value); err != nil && len(given) > 0 {
		return fmt.Errorf("%w (with %s)", err, strings.Join(given, ", "))
	}
	return err
}

// fitsC says whether C can be told the options: it has no negative sizes, nor a 0 byte in a text.
func fitsC(options reflect.Value) bool {
	for i := 0; i < options.NumField(); i++ {
		field := options.Field(i)
		switch field.Kind() {
		case reflect.Int, reflect.Int64:
			if field.Int() < 0 {
				return false
			}
		case reflect.String:
			if strings.Contains(field.String(), "\x00") {
				return false
			}
		case reflect.Struct:
			if !fitsC(field) {
				return false
			}
		}
	}
	return true
}

func givenOf(options reflect.Value) (given []string) {
	for i := 0; i < options.NumField(); i++ {
		field := options.Field(i)
		if field.IsZero() {
			continue
		}
		if field.Kind() == reflect.Struct {
			given = append(given, givenOf(field)...)
			continue
		}
		name, value := options.Type().Field(i).Name, field.Interface()
		if name == "UnixMode" {
			value = fmt.Sprintf("%#o", value)
		}
		given = append(given, fmt.Sprintf("%s: %v", name, value))
	}
	return given
}

// countOf is an option as C has it. What does not fit is more than there can be, as the highest is.
func countOf(value int) C.uint32_t {
	if value > math.MaxUint32 {
		return math.MaxUint32
	}
	return C.uint32_t(value)
}

// addressOf is an address as C has it, to be freed. In C a 0 byte would end it.
func addressOf(address string) (*C.char, error) {
	if strings.Contains(address, "\x00") {
		return nil, ErrAddress
	}
	return C.CString(address), nil
}

// textOf is an option as C has it, to be freed; nil for "".
func textOf(text string) *C.char {
	if text == "" {
		return nil
	}
	return C.CString(text)
}

func flagsOf(flags map[C.uint32_t]bool) (set C.uint32_t) {
	for flag, asked := range flags {
		if asked {
			set |= flag
		}
	}
	return set
}

// toC is what C takes. Its source is to be freed.
func (options StreamOptions) toC() C.sluice_stream_options {
	after := int(math.Ceil(options.KeepAliveAfter.Seconds()))
	return C.sluice_stream_options{
		size: C.sizeof_sluice_stream_options,
		flags: flagsOf(map[C.uint32_t]bool{
			C.SLUICE_HALF_OPEN:   options.HalfOpen,
			C.SLUICE_DELAY:       options.Delay,
			C.SLUICE_KEEPALIVE:   options.KeepAlive,
			C.SLUICE_THROTTLED:   options.Throttled,
			C.SLUICE_UNTHROTTLED: options.Unthrottled,
		}),
		keepalive_seconds:  countOf(after),
		idle_timeout_ns:    C.int64_t(options.IdleTimeout),
		linger_ns:          C.int64_t(options.Linger),
		connect_timeout_ns: C.int64_t(options.ConnectTimeout),
		high_mark:          C.size_t(options.HighMark),
		low_mark:           C.size_t(options.LowMark),
		source:             textOf(options.Source),
	}
}

func (options ListenOptions) toC() C.sluice_listen_options {
	return C.sluice_listen_options{
		size: C.sizeof_sluice_listen_options,
		flags: flagsOf(map[C.uint32_t]bool{
			C.SLUICE_REUSE_PORT: options.ReusePort,
			C.SLUICE_ONLY_IPV6:  options.OnlyIPv6,
		}),
		backlog:          countOf(options.Backlog),
		accept_batch:     countOf(options.AcceptBatch),
		connection_limit: countOf(options.ConnectionLimit),
		unix_mode:        C.uint32_t(options.UnixMode),
	}
}

// A Loop looks after handles, and is pulled.
type Loop struct {
	raw     *C.sluice_loop // nil once it is destroyed
	event   C.sluice_event
	data    []byte
	posting sync.RWMutex // for what Post, Wake and Destroy do with raw
}

// Open opens a loop of this goroutine's, which is locked to its thread until Destroy.
func Open() (*Loop, error) {
	return OpenWith(Options{})
}

func OpenWith(options Options) (*Loop, error) {
	given := C.sluice_options{
		size:         C.sizeof_sluice_options,
		backend:      textOf(options.Backend),
		receive_size: C.size_t(options.ReceiveSize),
		high_mark:    C.size_t(options.HighMark),
		low_mark:     C.size_t(options.LowMark),
		hard_limit:   C.size_t(options.HardLimit),
		memory_limit: C.size_t(options.MemoryLimit),
		post_limit:   C.size_t(options.PostLimit),
		handle_limit: countOf(options.HandleLimit),
	}
	defer C.free(unsafe.Pointer(given.backend))
	runtime.LockOSThread()
	loop := &Loop{}
	open := func() C.int { return C.sluice_open(&loop.raw, &given) }
	if err := callWith(options, open); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return loop, nil
}

// Destroy ends all handles and the loop. Later calls give ErrDestroyed.
func (loop *Loop) Destroy() error {
	loop.posting.Lock()
	defer loop.posting.Unlock()
	if loop.raw == nil {
		return nil
	}
	if err := errorOf(C.sluice_destroy(loop.raw)); err != nil {
		return err
	}
	loop.raw = nil
	runtime.UnlockOSThread()
	return nil
}

// Next waits for the next event and pulls it. After a Wake there is an Event of no Kind.
func (loop *Loop) Next() (Event, error) {
	return loop.next(math.MaxInt64)
}

// NextWithin waits no longer than timeout. An Event of no Kind says that there was none.
func (loop *Loop) NextWithin(timeout time.Duration) (Event, error) {
	return loop.next(C.int64_t(timeout))
}

func (loop *Loop) next(timeout C.int64_t) (Event, error) {
	if count := C.sluice_next(loop.raw, &loop.event, timeout); count != 1 {
		return Event{}, errorOf(count)
	}
	raw := &loop.event
	event := Event{
		Kind: Kind(raw.kind), ID: ID(raw.id), Value: uint64(raw.value), Err: errorOf(raw.error),
	}
	switch event.Kind {
	case Data:
		// A copy, since Go cannot keep anyone from using the loop's own memory after Destroy.
		received := unsafe.Slice((*byte)(raw.data), int(raw.length))
		loop.data = append(loop.data[:0], received...)
		event.Data = loop.data
		event.Seen, event.IsLast = int(raw.value>>1), raw.value&C.SLUICE_LAST != 0
	case Closed:
		event.Unsent = int(raw.length)
		if words := C.sluice_name_problem(loop.raw, raw.id); words != nil {
			event.Err = fmt.Errorf("%w: %s", event.Err, C.GoString(words))
		}
	case Resolved:
		text := C.GoStringN((*C.char)(raw.data), C.int(raw.length))
		if event.Err == nil {
			event.Addresses = strings.Split(text, "\n")
		} else if text != "" {
			event.Err = fmt.Errorf("%w: %s", event.Err, text)
		}
	}
	return event, nil
}

// Post has value come as Posted. From any goroutine.
func (loop *Loop) Post(value uint64) error {
	loop.posting.RLock()
	defer loop.posting.RUnlock()
	return errorOf(C.sluice_post(loop.raw, C.uint64_t(value)))
}

// Wake ends the pull that is under way, or else the next. From any goroutine.
func (loop *Loop) Wake() error {
	loop.posting.RLock()
	defer loop.posting.RUnlock()
	return errorOf(C.sluice_wake(loop.raw))
}

// UpdateNow reads the clock, CLOCK_MONOTONIC, from which timers count; else it is read at each wait.
func (loop *Loop) UpdateNow() (time.Duration, error) {
	now := C.sluice_update_now(loop.raw)
	if now < 0 {
		return 0, errorOf(C.int(now))
	}
	return time.Duration(now), nil
}

// Close ends a handle, unless it has ended; a stream after what is queued has been sent, and Closed
// tells when.
func (loop *Loop) Close(id ID) error {
	_, err := loop.told(id, C.sluice_close(loop.raw, C.sluice_id(id)))
	return err
}

// Abort ends a handle at once, unless it has ended.
func (loop *Loop) Abort(id ID) error {
	_, err := loop.told(id, C.sluice_abort(loop.raw, C.sluice_id(id)))
	return err
}

// AbortWith is Abort, but that the Err of a stream's Closed is reason: a syscall.Errno, a Code, or one
// that wraps such.
func (loop *Loop) AbortWith(id ID, reason error) error {
	_, err := loop.told(id, C.sluice_abort_with(loop.raw, C.sluice_id(id), codeOf(reason)))
	return err
}

// Fd is the descriptor of a watch, listener or stream, which stays whose it is.
func (loop *Loop) Fd(id ID) (int, error) {
	fd := C.sluice_fd(loop.raw, C.sluice_id(id))
	return int(fd), errorOf(fd)
}

// Watch reports Ready for a descriptor.
func (loop *Loop) Watch(fd int, interest uint32) (ID, error) {
	var id C.sluice_id
	err := errorOf(C.sluice_watch(loop.raw, &id, C.int(fd), C.uint32_t(interest), 0))
	return ID(id), err
}

// Rewatch changes what a watch waits for.
func (loop *Loop) Rewatch(id ID, interest uint32) error {
	return errorOf(C.sluice_rewatch(loop.raw, C.sluice_id(id), C.uint32_t(interest)))
}

// Timer reports Timer after first and, unless repeat is 0, every repeat after that.
func (loop *Loop) Timer(first, repeat time.Duration) (ID, error) {
	var id C.sluice_id
	err := errorOf(C.sluice_timer(loop.raw, &id, C.int64_t(first), C.int64_t(repeat), 0))
	return ID(id), err
}

// TimerReset has a timer begin anew.
func (loop *Loop) TimerReset(id ID, first time.Duration) error {
	return errorOf(C.sluice_timer_reset(loop.raw, C.sluice_id(id), C.int64_t(first)))
}

// Listen accepts connections at an address: 127.0.0.1:9999, [::1]:0, *:9999, unix:/run/echo.sock. At
// a name, such as localhost:9999, it may block for seconds to look that up.
func (loop *Loop) Listen(address string) (ID, error) {
	return loop.ListenWith(address, ListenOptions{})
}

func (loop *Loop) ListenWith(address string, options ListenOptions) (ID, error) {
	text, err := addressOf(address)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(text))
	streams := options.Streams.toC()
	defer C.free(unsafe.Pointer(streams.source))
	var id C.sluice_id
	err = callWith(options, func() C.int {
		return C.listen_with(loop.raw, &id, text, options.toC(), streams)
	})
	return ID(id), err
}

// ListenFd makes a listener of a socket that listens already, which is the loop's from then on. With
// an error it stays the caller's.
func (loop *Loop) ListenFd(fd int) (ID, error) {
	return loop.ListenFdWith(fd, ListenOptions{})
}

func (loop *Loop) ListenFdWith(fd int, options ListenOptions) (ID, error) {
	streams := options.Streams.toC()
	defer C.free(unsafe.Pointer(streams.source))
	var id C.sluice_id
	err := callWith(options, func() C.int {
		return C.listen_fd_with(loop.raw, &id, C.int(fd), options.toC(), streams)
	})
	return ID(id), err
}

// Resolve looks up a name, such as example.com:443: Resolved brings its addresses.
func (loop *Loop) Resolve(address string, family Family) (ID, error) {
	text, err := addressOf(address)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(text))
	var id C.sluice_id
	err = errorOf(C.sluice_resolve(loop.raw, &id, text, C.uint32_t(family), 0))
	return ID(id), err
}

// Connect makes a stream to an address, or to a name, such as example.com:443. It will be Connected,
// or Closed with an error.
func (loop *Loop) Connect(address string) (ID, error) {
	return loop.ConnectWith(address, StreamOptions{})
}

func (loop *Loop) ConnectWith(address string, options StreamOptions) (ID, error) {
	text, err := addressOf(address)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(text))
	given := options.toC()
	defer C.free(unsafe.Pointer(given.source))
	var id C.sluice_id
	err = callWith(options, func() C.int {
		return C.sluice_connect(loop.raw, &id, text, &given)
	})
	return ID(id), err
}

// Adopt makes a stream of a connected descriptor, which is the loop's from then on. With an error it
// stays the caller's. Of an os.File or a net.Conn, give a duplicate: those close their own.
func (loop *Loop) Adopt(fd int) (ID, error) {
	return loop.AdoptWith(fd, StreamOptions{})
}

func (loop *Loop) AdoptWith(fd int, options StreamOptions) (ID, error) {
	given := options.toC()
	defer C.free(unsafe.Pointer(given.source))
	var id C.sluice_id
	err := callWith(options, func() C.int {
		return C.sluice_adopt(loop.raw, &id, C.int(fd), &given)
	})
	return ID(id), err
}

// LocalAddress is where a listener or stream is.
func (loop *Loop) LocalAddress(id ID) (string, error) {
	var text [C.SLUICE_ADDRESS_MAX]C.char
	length := C.sluice_local_address(loop.raw, C.sluice_id(id), &text[0], C.SLUICE_ADDRESS_MAX)
	return C.GoString(&text[0]), errorOf(length)
}

// PeerAddress is where a stream's peer is.
func (loop *Loop) PeerAddress(id ID) (string, error) {
	var text [C.SLUICE_ADDRESS_MAX]C.char
	length := C.sluice_peer_address(loop.raw, C.sluice_id(id), &text[0], C.SLUICE_ADDRESS_MAX)
	return C.GoString(&text[0]), errorOf(length)
}

// Write queues bytes, whole or not at all, to be sent with all others at the next pull. A stream for
// which that is too much ends: Full, and ErrFull is the error of its Closed.
func (loop *Loop) Write(id ID, bytes []byte) (Written, error) {
	return loop.told(id, loop.write(id, bytes))
}

// TryWrite is Write, but where it says Full, the stream goes on as it was.
func (loop *Loop) TryWrite(id ID, bytes []byte) (Written, error) {
	return writtenOf(loop.write(id, bytes))
}

func (loop *Loop) write(id ID, bytes []byte) C.int {
	var first unsafe.Pointer
	if len(bytes) > 0 {
		first = unsafe.Pointer(&bytes[0])
	}
	return C.sluice_write(loop.raw, C.sluice_id(id), first, C.size_t(len(bytes)))
}

// SendFile has the kernel send bytes of a file, behind all that was written. It says how many went:
// where those are fewer than length, Drained says when to go on with the rest. For a stream that is
// gone, it says false. An error is the file's, such as syscall.ENODATA where it ends before offset, and
// the stream goes on.
func (loop *Loop) SendFile(id ID, file *os.File, offset int64, length int) (int, bool, error) {
	if length < 0 {
		length = 0
	}
	fd := C.int(file.Fd())
	sent := C.sluice_send_file(loop.raw, C.sluice_id(id), fd, C.int64_t(offset), C.size_t(length))
	runtime.KeepAlive(file)
	if sent >= 0 {
		return int(sent), true, nil
	}
	code := C.int(sent)
	if code > -10000 {
		if written, err := loop.TryWrite(id, nil); written != Gone || err != nil {
			return 0, true, errorOf(code) // it is not the stream that is broken
		}
	}
	_, err := loop.told(id, code)
	return 0, false, err
}

// Flush sends what is queued now: Queued, Gone or Full, as of Write.
func (loop *Loop) Flush(id ID) (Written, error) {
	return loop.told(id, C.sluice_flush(loop.raw, C.sluice_id(id)))
}

// Shutdown sends what is queued, then tells the peer that no more comes, as Flush. A listener lets no
// more callers in, and ends by a Closed.
func (loop *Loop) Shutdown(id ID) (Written, error) {
	code := C.sluice_shutdown(loop.raw, C.sluice_id(id))
	if code > -10000 && code < 0 && code != -C.EPIPE {
		return Gone, errorOf(code) // a listener's: no stream says so
	}
	return loop.told(id, code)
}

// writtenOf is what a call of a stream says. That it is broken is told in the kernel's words.
func writtenOf(result C.int) (Written, error) {
	switch {
	case result >= 0:
		return Written(result), nil
	case result == C.SLUICE_EFULL:
		return Full, nil
	case result == C.SLUICE_ESTALE, result > -10000 && result != C.SLUICE_ENOMEM:
		return Gone, nil
	default:
		return Gone, errorOf(result)
	}
}

// told is the same of a call whose bytes are lost where they are too many: that ends the stream.
func (loop *Loop) told(id ID, result C.int) (Written, error) {
	written, err := writtenOf(result)
	if written == Full {
		err = errorOf(C.sluice_abort_with(loop.raw, C.sluice_id(id), result))
	}
	return written, err
}

// Pause stops Data and EOF.
func (loop *Loop) Pause(id ID) error {
	_, err := loop.told(id, C.sluice_pause(loop.raw, C.sluice_id(id)))
	return err
}

// Resume has them come again.
func (loop *Loop) Resume(id ID) error {
	_, err := loop.told(id, C.sluice_resume(loop.raw, C.sluice_id(id)))
	return err
}

// Hold has the last length bytes of the Data in hand come again, joined with what follows. A stream
// for which that is too much ends, as of Write.
func (loop *Loop) Hold(id ID, length int) error {
	_, err := loop.told(id, C.sluice_hold(loop.raw, C.sluice_id(id), C.size_t(length)))
	return err
}

// HoldUntil is Hold, and no Data comes before total bytes are there together, those among them, or the
// stream ends.
func (loop *Loop) HoldUntil(id ID, length, total int) error {
	if total < 0 {
		total = 0
	}
	code := C.sluice_hold_until(loop.raw, C.sluice_id(id), C.size_t(length), C.size_t(total))
	_, err := loop.told(id, code)
	return err
}

// Pending is how many bytes are queued.
func (loop *Loop) Pending(id ID) (int, error) {
	bytes := C.sluice_pending(loop.raw, C.sluice_id(id))
	if bytes < 0 {
		return 0, errorOf(C.int(bytes))
	}
	return int(bytes), nil
}

// Forward writes what from receives to the stream to; 0 ends that.
func (loop *Loop) Forward(from, to ID) error {
	_, err := loop.told(from, C.sluice_forward(loop.raw, C.sluice_id(from), C.sluice_id(to)))
	return err
}

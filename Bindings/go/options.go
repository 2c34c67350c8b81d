package sluice

// #include "sluice.h"
import "C"

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// Options are what a loop is opened with: all but where memory comes from, which is C's to say, and
// whether a signal ends a wait, since signals are Go's. 0 is a member's default, here and below.
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

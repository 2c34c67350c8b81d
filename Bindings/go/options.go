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

// Options are what a loop is opened with. Two of C's are left out: where memory comes from, and whether
// a signal ends a wait. In all structs of options 0 means a member's default.
type Options struct {
	Backend     string
	ReceiveSize int // bytes that one receive brings at most
	HighMark    int // queued bytes over which a writer should wait for Drained
	LowMark     int // queued bytes at which Drained comes
	HardLimit   int // queued bytes that no write may exceed
	MemoryLimit int // bytes of everything that is queued or held
	PostLimit   int // posts that wait to be pulled
	HandleLimit int // handles of each kind
}

// StreamOptions say how a stream behaves.
type StreamOptions struct {
	HalfOpen       bool          // it stays open when the peer has ended
	Delay          bool          // Nagle's algorithm stays on
	KeepAlive      bool          // a silent peer is probed
	KeepAliveAfter time.Duration // after this long a silence; rounded up to whole seconds
	Throttled      bool          // no reading while over the high mark: the default of accepted streams
	Unthrottled    bool          // reading all the same: the default of others
	IdleTimeout    time.Duration // it ends after this long without a byte
	Linger         time.Duration // how long a close may take
	ConnectTimeout time.Duration // only for Connect
	HighMark       int           // as in Options, for this stream
	LowMark        int
	Source         string // only for Connect: the address that it comes from, numeric or unix:@name
}

// ListenOptions say how a listener and its streams behave.
type ListenOptions struct {
	ReusePort       bool // several loops accept at one address
	OnlyIPv6        bool // an IPv6 socket takes no IPv4 callers
	Backlog         int
	AcceptBatch     int // connections accepted in one turn
	ConnectionLimit int // connections open at once
	Streams         StreamOptions
	UnixMode        uint32 // who may connect to a unix path, such as 0o600; the default is the umask's
}

// callWith makes a call that takes options. An error lists the options that were given, since one of
// them may be the cause.
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

// fitsC says whether C can be given the options: it takes no negative sizes, and no 0 byte in a
// text.
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

// countOf is an option in C's form. A number that does not fit becomes the highest one.
func countOf(value int) C.uint32_t {
	if value > math.MaxUint32 {
		return math.MaxUint32
	}
	return C.uint32_t(value)
}

// addressOf is an address in C's form, to be freed. A 0 byte is refused, since it would end the
// address in C.
func addressOf(address string) (*C.char, error) {
	if strings.Contains(address, "\x00") {
		return nil, ErrAddress
	}
	return C.CString(address), nil
}

// textOf is an option in C's form, to be freed; nil for "".
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

// toC is what C takes. Its source must be freed.
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

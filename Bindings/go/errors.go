package sluice

// #include "sluice.h"
import "C"

import (
	"errors"
	"syscall"
)

// A Code is an error that Sluice itself gives.
type Code int

const (
	ErrNotSupported Code = C.SLUICE_ENOTSUP
	ErrNoBackend    Code = C.SLUICE_EBACKEND
	ErrInterest     Code = C.SLUICE_EINTEREST
	ErrTimeout      Code = C.SLUICE_ETIMEOUT // a negative one
	ErrCapacity     Code = C.SLUICE_ECAPACITY
	ErrClosed       Code = C.SLUICE_ENULL
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
	if code == ErrClosed {
		return "sluice: the loop is closed"
	}
	return "sluice: " + C.GoString(C.sluice_error_message(C.int(code)))
}

// Is says whether target is the errno that is nearest to the code.
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

// codeOf is an error as a code of C, and 0 for an error that C does not know.
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

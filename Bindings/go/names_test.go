package sluice_test

import . "example.com/sluice/Bindings/go"

// The package exports no name that a program has for something else. Such a name would not compile
// here: with the dot import, a name cannot be declared twice.
const (
	Error = iota
	Write
	Read
	Signal
)

var _ = Loop{}

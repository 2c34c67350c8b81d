//! I/O multiplexing over epoll, poll or select: a loop that is pulled. There are no callbacks and
//! no runtime: a program pulls the next event, deals with it, and pulls again.
//!
//! ```no_run
//! use sluice::{Event, Loop};
//!
//! # fn main() -> Result<(), sluice::Error> {
//! let mut server = Loop::open()?;
//! server.listen("127.0.0.1:9999")?;
//! loop {
//!     server.pull()?;
//!     if let Event::Data { stream, bytes, .. } = server.event() {
//!         server.write(stream, bytes)?;
//!     }
//! }
//! # }
//! ```
//!
//! That is a whole echo server, with write queues, backpressure and clean-up.
//!
//! # Bytes and borrows
//!
//! [`Loop::pull`] borrows the loop mutably. [`Loop::event`] shares it, as almost all other calls
//! do. So while you have an event's bytes, you can use the loop, but not pull from it. To keep
//! bytes, copy them, or [hold](Loop::hold) them until more has come:
//!
//! ```
//! use sluice::{Event, Loop};
//! use std::io::Write;
//! use std::os::unix::net::UnixStream;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut server = Loop::open()?;
//! let (mut peer, ours) = UnixStream::pair()?;
//! server.adopt(ours)?;
//! peer.write_all(b"one\ntwo\nth")?;
//! drop(peer);
//! let mut lines = Vec::new();
//! loop {
//!     server.pull()?;
//!     match server.event() {
//!         Event::Data { stream, bytes, is_last, .. } => {
//!             let mut rest = bytes;
//!             while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
//!                 lines.push(rest[..end].to_vec());
//!                 rest = &rest[end + 1..];
//!             }
//!             if is_last {
//!                 lines.push(rest.to_vec()); // a last line without its newline
//!             } else {
//!                 server.hold(stream, rest.len())?;
//!             }
//!         }
//!         Event::Closed { .. } => break,
//!         _ => {}
//!     }
//! }
//! assert_eq!(lines, [&b"one"[..], b"two", b"th"]);
//! # Ok(())
//! # }
//! ```
//!
//! What does not compile:
//!
//! Bytes that are used past the next pull:
//!
//! ```compile_fail,E0502
//! use sluice::{Event, Loop};
//!
//! # fn main() -> Result<(), sluice::Error> {
//! let mut server = Loop::open()?;
//! server.pull()?;
//! if let Event::Data { stream, bytes, .. } = server.event() {
//!     server.pull()?;
//!     server.write(stream, bytes)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Bytes that are collected over pulls:
//!
//! ```compile_fail,E0502
//! use sluice::{Event, Loop};
//!
//! # fn main() -> Result<(), sluice::Error> {
//! let mut server = Loop::open()?;
//! let mut kept = Vec::new();
//! loop {
//!     server.pull()?;
//!     if let Event::Data { bytes, .. } = server.event() {
//!         kept.push(bytes);
//!     }
//! }
//! # }
//! ```
//!
//! Bytes that outlive the loop:
//!
//! ```compile_fail,E0505
//! use sluice::{Event, Loop};
//!
//! # fn main() -> Result<(), sluice::Error> {
//! let mut server = Loop::open()?;
//! server.pull()?;
//! if let Event::Data { bytes, .. } = server.event() {
//!     drop(server);
//!     println!("{bytes:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A descriptor of a loop that is used after a call that may have closed it:
//!
//! ```compile_fail,E0502
//! use sluice::Loop;
//!
//! # fn main() -> Result<(), sluice::Error> {
//! let mut server = Loop::open()?;
//! let listener = server.listen("127.0.0.1:0")?;
//! let fd = server.fd(listener)?;
//! server.close(listener)?;
//! println!("{fd:?}");
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! A loop belongs to one thread. Other threads reach it through a [`Poster`]. To move a loop to
//! another thread, or to use it there, does not compile:
//!
//! ```compile_fail,E0277
//! # fn main() -> Result<(), sluice::Error> {
//! let mut server = sluice::Loop::open()?;
//! std::thread::spawn(move || server.pull());
//! # Ok(())
//! # }
//! ```
//!
//! ```compile_fail,E0277
//! # fn main() -> Result<(), sluice::Error> {
//! let server = sluice::Loop::open()?;
//! std::thread::scope(|scope| {
//!     scope.spawn(|| server.listen("127.0.0.1:0"));
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # Handles
//!
//! A loop's handles are small values: [`Stream`], [`Listener`], [`Timer`], [`Watch`], [`Signal`]
//! and [`Lookup`]. They can be copied, compared and kept anywhere. Once a handle has ended, calls
//! that ask for something say [`ErrorKind::Stale`]. A handle of another loop is refused with
//! [`ErrorKind::OtherLoop`]. A handle of the wrong kind does not compile:
//!
//! ```compile_fail,E0308
//! # fn main() -> Result<(), sluice::Error> {
//! let server = sluice::Loop::open()?;
//! let listener = server.listen("127.0.0.1:0")?;
//! server.write(listener, b"to whom?")?;
//! # Ok(())
//! # }
//! ```
//!
//! The use of a loop that is gone does not compile either:
//!
//! ```compile_fail,E0382
//! # fn main() -> Result<(), sluice::Error> {
//! let server = sluice::Loop::open()?;
//! drop(server);
//! server.listen("127.0.0.1:0")?;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! An [`Error`] comes from the program or the machine. What happens to a connection is not an
//! error: it is the reason in the connection's [`Event::Closed`]. A call on a stream that is gone
//! says so by its answer, [`Written`], which you need not look at. So a server can write to all its
//! streams:
//!
//! ```
//! use sluice::{Loop, Stream, Written};
//!
//! fn tell_all(server: &Loop, streams: &[Stream], words: &[u8]) -> Result<usize, sluice::Error> {
//!     let mut reached = 0;
//!     for &stream in streams {
//!         match server.write(stream, words)? {
//!             Written::Queued | Written::OverHighMark => reached += 1,
//!             _ => {} // its Closed is on its way
//!         }
//!     }
//!     Ok(reached)
//! }
//! ```
//!
//! sluice.h says in full what each call does. The names are the same.
//!
//! # Readiness alone
//!
//! [`Poller`] is epoll, poll or select by itself, in mio's shape.

#![warn(missing_docs)]

mod error;
mod event;
mod event_loop;
mod handle;
mod options;
mod poller;
mod poster;
mod readiness;
mod streams;
mod sys;

pub use error::{Error, ErrorKind};
pub use event::Event;
pub use event_loop::{Family, Loop, NotAdopted, Statistics};
pub use handle::{Handle, HasDescriptor, Listener, Lookup, Signal, Stream, Timer, Watch};
pub use options::{ListenOptions, Options, StreamOptions};
pub use poller::{Events, Iter, Poller, PollerEvent, Token, Waker};
pub use poster::Poster;
pub use readiness::{Interest, Readiness};
pub use streams::Written;

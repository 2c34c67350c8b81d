//! I/O multiplexing over epoll, poll or select: a loop that is pulled. It calls nothing back, and has
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
//! [`Loop::pull`] takes the loop mutably and [`Loop::event`] shares it, as all else does. So while an
//! event's bytes are in hand, the loop can be used and not pulled. What is to be kept is copied, or
//! [held](Loop::hold) until more has come:
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
//! A loop is of one thread. From others it is reached by a [`Poster`]. This does not compile, nor does
//! its use from another thread:
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
//! What a loop looks after is named by small values: [`Stream`], [`Listener`], [`Timer`], [`Watch`],
//! [`Signal`] and [`Lookup`]. They can be copied, compared and kept anywhere. Once their thing has
//! ended, calls that ask for something say [`ErrorKind::Stale`]; those of another loop are refused
//! with [`ErrorKind::OtherLoop`]. One kind for another does not compile:
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
//! Nor does the use of a loop after it is gone:
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
//! An [`Error`] is what the program or the machine did. What befalls a connection is none: it is the
//! reason in its [`Event::Closed`], and a call on a stream that is gone says so by its answer,
//! [`Written`], which need not be looked at. So a server can write to all its streams:
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
//! What each call does is said at length in sluice.h; the names are the same.
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

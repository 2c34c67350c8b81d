//! What a pull brings.

use crate::error::{check, Error};
use crate::handle::{Listener, Lookup, Raw, Signal, Stream, Timer, Watch};
use crate::readiness::Readiness;
use crate::sys::{self, RawEvent};
use std::num::NonZeroU64;
use std::os::raw::c_int;
use std::ptr;

/// What was pulled. It borrows the loop, which can be used meanwhile, but not pulled.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A watched descriptor is ready.
    Ready {
        /// Whose descriptor it is.
        watch: Watch,
        /// For what.
        readiness: Readiness,
    },
    /// A timer's time has come.
    Timer(Timer),
    /// A signal came.
    Signal {
        /// The handle that waits for it.
        signal: Signal,
        /// Its number.
        number: c_int,
    },
    /// This was posted.
    Posted(u64),
    /// A new connection.
    Accepted {
        /// The new stream.
        stream: Stream,
        /// The listener that accepted it.
        listener: Listener,
    },
    /// A connect is done. One that failed is a `Closed` instead.
    Connected(Stream),
    /// What a stream received.
    #[non_exhaustive]
    Data {
        /// The stream that received it.
        stream: Stream,
        /// Valid until the next pull, as the borrow says.
        bytes: &'a [u8],
        /// How many of the first bytes were in an event before, and were held.
        seen: usize,
        /// Whether the bytes were held when the input ended, and nothing follows them.
        is_last: bool,
    },
    /// The peer will send no more.
    Eof(Stream),
    /// A stream's queue was over its high mark, and has fallen to its low mark; or a file can go on.
    Drained(Stream),
    /// A stream's last event.
    #[non_exhaustive]
    Closed {
        /// Which stream it was.
        stream: Stream,
        /// Queued bytes that were not handed to the kernel.
        unsent: usize,
        /// Whether the peer had ended its input before. Then all that it wanted to send has come.
        input_ended: bool,
        /// Why: `Ok` for an orderly end.
        reason: Result<(), Error>,
    },
    /// A listener that was shut down has ended.
    Ended(Listener),
    /// A listener had to stop accepting. It resumes by itself.
    Overloaded {
        /// Which listener it is.
        listener: Listener,
        /// Why.
        reason: Error,
    },
    /// A name's addresses.
    #[non_exhaustive]
    Resolved {
        /// Which lookup it was.
        lookup: Lookup,
        /// The addresses, one on each line; or why there are none, in words.
        text: &'a str,
        /// `Ok` if there are addresses.
        reason: Result<(), Error>,
    },
    /// No event: nothing was pulled yet, the time was up, or the loop was woken.
    Nothing,
}

/// The four bits above an id's slot.
fn kind_of(id: u64) -> u64 {
    (id >> sys::SLUICE_SLOT_BITS) & 15
}

impl RawEvent {
    pub(crate) fn nothing() -> RawEvent {
        RawEvent {
            kind: 0,
            error: 0,
            id: 0,
            user: 0,
            data: ptr::null(),
            length: 0,
            value: 0,
        }
    }

    /// The event in Rust's form. `of` marks the handles of its loop.
    pub(crate) fn of(&self, of: usize) -> Event<'_> {
        if self.kind == sys::SLUICE_POSTED {
            return Event::Posted(self.value);
        }
        self.of_handle(of).unwrap_or(Event::Nothing)
    }

    fn of_handle(&self, of: usize) -> Option<Event<'_>> {
        let raw = |id| NonZeroU64::new(id).map(|id| Raw { id, of });
        let it = raw(self.id)?;
        Some(match self.kind {
            sys::SLUICE_READY => Event::Ready {
                watch: Watch(it),
                readiness: Readiness(self.value as u32),
            },
            sys::SLUICE_TIMER => Event::Timer(Timer(it)),
            sys::SLUICE_SIGNAL => Event::Signal {
                signal: Signal(it),
                number: self.value as c_int,
            },
            sys::SLUICE_ACCEPTED => Event::Accepted {
                stream: Stream(it),
                listener: Listener(raw(self.value)?),
            },
            sys::SLUICE_CONNECTED => Event::Connected(Stream(it)),
            sys::SLUICE_DATA => Event::Data {
                stream: Stream(it),
                bytes: self.bytes(),
                seen: (self.value >> 1) as usize,
                is_last: self.value & sys::SLUICE_LAST != 0,
            },
            sys::SLUICE_EOF => Event::Eof(Stream(it)),
            sys::SLUICE_DRAINED => Event::Drained(Stream(it)),
            sys::SLUICE_CLOSED if kind_of(self.id) == sys::SLUICE_KIND_LISTENER => {
                Event::Ended(Listener(it))
            }
            sys::SLUICE_CLOSED => Event::Closed {
                stream: Stream(it),
                unsent: self.length,
                input_ended: self.value == sys::SLUICE_INPUT_ENDED,
                reason: check(self.error).map(drop),
            },
            sys::SLUICE_OVERLOADED => Event::Overloaded {
                listener: Listener(it),
                reason: Error::of(self.error),
            },
            sys::SLUICE_RESOLVED => Event::Resolved {
                lookup: Lookup(it),
                text: std::str::from_utf8(self.bytes()).unwrap_or(""),
                reason: check(self.error).map(drop),
            },
            _ => return None,
        })
    }

    /// The loop's buffer. Only a pull fills it, and a pull needs the loop to itself.
    fn bytes(&self) -> &[u8] {
        if self.data.is_null() {
            return &[];
        }
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.length) }
    }
}

//! The loop: pulling, and what it looks after. The calls on streams are in `streams.rs`.

use crate::error::{check, check_long, Error};
use crate::event::Event;
use crate::handle::{Handle, HasDescriptor, Listener, Lookup, Raw, Signal, Stream, Timer, Watch};
use crate::options::{nanoseconds, ListenOptions, Options, StreamOptions};
use crate::poster::{Poster, Shared};
use crate::readiness::Interest;
use crate::sys::{self, RawEvent, RawLoop, RawStatistics};
use crate::ErrorKind;
use std::ffi::{CStr, CString};
use std::fmt;
use std::num::NonZeroU64;
use std::os::raw::{c_char, c_int};
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// A loop looks after streams, listeners, timers, signals, watches and lookups. It belongs to one
/// thread. When it is dropped, it ends them all.
pub struct Loop {
    pub(crate) raw: *mut RawLoop,
    event: RawEvent,
    shared: Arc<Shared>,
    /// The mark of its handles: no two loops of a process have the same.
    of: usize,
}

/// A descriptor that could not be made a stream or a listener, and why. It is open as before, and
/// is closed when this is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotAdopted {
    /// The descriptor.
    pub fd: OwnedFd,
    /// Why.
    pub error: Error,
}

impl From<NotAdopted> for Error {
    fn from(not: NotAdopted) -> Error {
        not.error
    }
}

impl fmt::Display for NotAdopted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for NotAdopted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Which addresses of a name are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Both kinds.
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Counted since the loop was opened, except where it says "now".
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Statistics {
    /// Waits.
    pub turns: u64,
    /// Events that were pulled.
    pub events: u64,
    /// Streams there are now.
    pub streams: u64,
    /// Bytes that streams have received.
    pub bytes_received: u64,
    /// Bytes that streams have sent.
    pub bytes_sent: u64,
    /// System calls that receive.
    pub receives: u64,
    /// System calls that send.
    pub sends: u64,
    /// System calls that accept.
    pub accepts: u64,
    /// Bytes of memory that queues and held data take now.
    pub queue_memory: u64,
    /// The longest time from one wait to the next.
    pub longest_gap: Duration,
}

impl Loop {
    /// Opens a loop with all defaults.
    pub fn open() -> Result<Loop, Error> {
        Loop::open_with(&Options::new())
    }

    /// Opens a loop with options.
    pub fn open_with(options: &Options) -> Result<Loop, Error> {
        static LOOPS: AtomicUsize = AtomicUsize::new(0);
        let mut raw = ptr::null_mut();
        options.in_c(|options| check(unsafe { sys::sluice_open(&mut raw, options) }))?;
        Ok(Loop {
            raw,
            event: RawEvent::nothing(),
            shared: Shared::new(raw),
            of: LOOPS.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Waits for the next event, or a wake.
    pub fn pull(&mut self) -> Result<(), Error> {
        self.pull_ns(sys::SLUICE_FOREVER).map(drop)
    }

    /// Waits for the next event no longer than `timeout`. Says whether there is one.
    pub fn pull_within(&mut self, timeout: Duration) -> Result<bool, Error> {
        self.pull_ns(nanoseconds(timeout))
    }

    fn pull_ns(&mut self, timeout_ns: i64) -> Result<bool, Error> {
        let called = unsafe { sys::sluice_next(self.raw, &mut self.event, timeout_ns) };
        if called <= 0 {
            self.event = RawEvent::nothing();
        }
        check(called).map(|count| count > 0)
    }

    /// What was pulled last.
    pub fn event(&self) -> Event<'_> {
        self.event.of(self.of)
    }

    /// A poster, which reaches the loop from any thread.
    pub fn poster(&self) -> Poster {
        Poster(Arc::clone(&self.shared))
    }

    /// The clock, CLOCK_MONOTONIC, as of the last wait: timers count from it.
    pub fn now(&self) -> Result<Duration, Error> {
        check_long(unsafe { sys::sluice_now(self.raw) }).map(Duration::from_nanos)
    }

    /// Reads that clock again.
    pub fn update_now(&self) -> Result<Duration, Error> {
        check_long(unsafe { sys::sluice_update_now(self.raw) }).map(Duration::from_nanos)
    }

    /// A descriptor that is readable while there are events, to wait for the loop in another one.
    /// Only epoll has one.
    pub fn backend_fd(&self) -> Result<BorrowedFd<'_>, Error> {
        let fd = check(unsafe { sys::sluice_backend_fd(self.raw) })?;
        Ok(unsafe { BorrowedFd::borrow_raw(fd) }) // open as long as the loop is
    }

    /// How long until a timer may be due, to wait for the loop in another one.
    pub fn until_next(&self) -> Result<Duration, Error> {
        check_long(unsafe { sys::sluice_until_next(self.raw) }).map(Duration::from_nanos)
    }

    /// Call it in the child of a fork, before anything else. Then parent and child have a loop
    /// each.
    pub fn after_fork(&mut self) -> Result<(), Error> {
        self.event = RawEvent::nothing();
        check(unsafe { sys::sluice_after_fork(self.raw) }).map(drop)
    }

    /// What was counted.
    pub fn stats(&self) -> Result<Statistics, Error> {
        let mut all = RawStatistics {
            size: std::mem::size_of::<RawStatistics>(),
            ..RawStatistics::default()
        };
        check(unsafe { sys::sluice_stats(self.raw, &mut all) })?;
        Ok(Statistics {
            turns: all.turns,
            events: all.events.iter().sum(),
            streams: all.handles[sys::SLUICE_KIND_STREAM],
            bytes_received: all.bytes_received,
            bytes_sent: all.bytes_sent,
            receives: all.receives,
            sends: all.sends,
            accepts: all.accepts,
            queue_memory: all.queue_memory,
            longest_gap: Duration::from_nanos(u64::try_from(all.longest_gap_ns).unwrap_or(0)),
        })
    }

    // ---- Handles ----

    /// Ends a handle. A stream first sends what is queued, and `Closed` says when it has ended. If
    /// the handle has ended already, this does nothing. So it is with `abort`.
    pub fn close(&self, handle: impl Handle) -> Result<(), Error> {
        let id = self.own(handle)?;
        self.told(id, unsafe { sys::sluice_close(self.raw, id) })
            .map(drop)
    }

    /// Ends a handle at once.
    pub fn abort(&self, handle: impl Handle) -> Result<(), Error> {
        let id = self.own(handle)?;
        self.told(id, unsafe { sys::sluice_abort(self.raw, id) })
            .map(drop)
    }

    /// The descriptor of a stream or a listener. The whole loop is borrowed, since it may close the
    /// descriptor.
    pub fn fd(&mut self, handle: impl HasDescriptor) -> Result<BorrowedFd<'_>, Error> {
        let fd = check(unsafe { sys::sluice_fd(self.raw, self.own(handle)?) })?;
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Reports `Ready` for a descriptor, which stays the caller's. Close the watch before the
    /// descriptor.
    pub fn watch(&self, fd: impl AsFd, interest: Interest) -> Result<Watch, Error> {
        let fd = fd.as_fd().as_raw_fd();
        let watch = |id: *mut u64| unsafe { sys::sluice_watch(self.raw, id, fd, interest.0, 0) };
        self.made(watch).map(Watch)
    }

    /// Changes what a watch waits for.
    pub fn rewatch(&self, watch: Watch, interest: Interest) -> Result<(), Error> {
        check(unsafe { sys::sluice_rewatch(self.raw, self.own(watch)?, interest.0) }).map(drop)
    }

    /// Reports `Timer` after `first` and, if `repeat` is not zero, every `repeat` after that.
    pub fn timer(&self, first: Duration, repeat: Duration) -> Result<Timer, Error> {
        let (first, repeat) = (nanoseconds(first), nanoseconds(repeat));
        let timer = |id: *mut u64| unsafe { sys::sluice_timer(self.raw, id, first, repeat, 0) };
        self.made(timer).map(Timer)
    }

    /// Starts a timer again.
    pub fn timer_reset(&self, timer: Timer, first: Duration) -> Result<(), Error> {
        let (id, first) = (self.own(timer)?, nanoseconds(first));
        check(unsafe { sys::sluice_timer_reset(self.raw, id, first) }).map(drop)
    }

    /// Reports `Signal` each time that the signal comes. The signal is blocked in this thread while
    /// the handle lives. Block it in other threads before they start.
    pub fn signal(&self, number: c_int) -> Result<Signal, Error> {
        self.made(|id| unsafe { sys::sluice_signal(self.raw, id, number) })
            .map(Signal)
    }

    // ---- Network ----

    /// Accepts connections at an address: `127.0.0.1:9999`, `[::1]:0`, `*:9999`,
    /// `unix:/run/echo.sock`. A name is looked up first, which may block for seconds.
    pub fn listen(&self, address: &str) -> Result<Listener, Error> {
        self.listen_with(address, &ListenOptions::new())
    }

    /// The same with options.
    pub fn listen_with(&self, address: &str, options: &ListenOptions) -> Result<Listener, Error> {
        let text = c_address(address)?;
        options.in_c(|options| {
            self.made(|id| unsafe { sys::sluice_listen(self.raw, id, text.as_ptr(), options) })
                .map(Listener)
        })
    }

    /// Makes a listener of a socket that listens already, such as a `TcpListener`. The loop owns it
    /// from then on.
    pub fn listen_fd(&self, fd: impl Into<OwnedFd>) -> Result<Listener, NotAdopted> {
        self.listen_fd_with(fd, &ListenOptions::new())
    }

    /// The same with options.
    pub fn listen_fd_with(
        &self,
        fd: impl Into<OwnedFd>,
        options: &ListenOptions,
    ) -> Result<Listener, NotAdopted> {
        taken(fd.into(), |fd| {
            options.in_c(|options| {
                self.made(|id| unsafe { sys::sluice_listen_fd(self.raw, id, fd, options) })
                    .map(Listener)
            })
        })
    }

    /// Connects to an address or to a name: `Connected`, or `Closed`, says how it went.
    pub fn connect(&self, address: &str) -> Result<Stream, Error> {
        self.connect_with(address, &StreamOptions::new())
    }

    /// The same with options.
    pub fn connect_with(&self, address: &str, options: &StreamOptions) -> Result<Stream, Error> {
        let text = c_address(address)?;
        options.in_c(|options| {
            self.made(|id| unsafe { sys::sluice_connect(self.raw, id, text.as_ptr(), options) })
                .map(Stream)
        })
    }

    /// Makes a stream of a connected descriptor, such as a `UnixStream`. The loop owns it from then
    /// on.
    pub fn adopt(&self, fd: impl Into<OwnedFd>) -> Result<Stream, NotAdopted> {
        self.adopt_with(fd, &StreamOptions::new())
    }

    /// The same with options.
    pub fn adopt_with(
        &self,
        fd: impl Into<OwnedFd>,
        options: &StreamOptions,
    ) -> Result<Stream, NotAdopted> {
        taken(fd.into(), |fd| {
            options.in_c(|options| {
                self.made(|id| unsafe { sys::sluice_adopt(self.raw, id, fd, options) })
                    .map(Stream)
            })
        })
    }

    /// Looks up a name, such as `example.com:443`: `Resolved` brings its addresses.
    pub fn resolve(&self, address: &str, family: Family) -> Result<Lookup, Error> {
        let text = c_address(address)?;
        let family = match family {
            Family::Any => sys::SLUICE_ANY_FAMILY,
            Family::V4 => sys::SLUICE_IPV4,
            Family::V6 => sys::SLUICE_IPV6,
        };
        self.made(|id| unsafe { sys::sluice_resolve(self.raw, id, text.as_ptr(), family, 0) })
            .map(Lookup)
    }

    /// Why the name of a stream that has ended was not found, in words.
    pub fn name_problem(&self, stream: Stream) -> Option<&'static str> {
        let id = self.own(stream).ok()?;
        let words = unsafe { sys::sluice_name_problem(self.raw, id) };
        if words.is_null() {
            return None;
        }
        unsafe { CStr::from_ptr(words) }.to_str().ok()
    }

    /// The address of a stream's own end, or of a listener.
    pub fn local_address(&self, handle: impl HasDescriptor) -> Result<String, Error> {
        let id = self.own(handle)?;
        address(|text, room| unsafe { sys::sluice_local_address(self.raw, id, text, room) })
    }

    /// The address of a stream's peer.
    pub fn peer_address(&self, stream: Stream) -> Result<String, Error> {
        let id = self.own(stream)?;
        address(|text, room| unsafe { sys::sluice_peer_address(self.raw, id, text, room) })
    }

    // ---- Within ----

    /// The id of a handle of this loop.
    pub(crate) fn own(&self, handle: impl Handle) -> Result<u64, Error> {
        let raw = handle.raw();
        if raw.of != self.of {
            return Err(ErrorKind::OtherLoop.into());
        }
        Ok(raw.id.get())
    }

    fn made(&self, call: impl FnOnce(*mut u64) -> c_int) -> Result<Raw, Error> {
        let mut id = 0;
        check(call(&mut id))?;
        let id = NonZeroU64::new(id).ok_or(Error::from(ErrorKind::Stale))?;
        Ok(Raw { id, of: self.of })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.shared.forget();
        unsafe { sys::sluice_destroy(self.raw) };
    }
}

impl fmt::Debug for Loop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Loop({:?})", self.event())
    }
}

/// Gives a descriptor to a call, which takes it or gives it back.
fn taken<T>(fd: OwnedFd, call: impl FnOnce(c_int) -> Result<T, Error>) -> Result<T, NotAdopted> {
    match call(fd.as_raw_fd()) {
        Ok(made) => {
            let _ = fd.into_raw_fd(); // the loop closes it
            Ok(made)
        }
        Err(error) => Err(NotAdopted { fd, error }),
    }
}

/// The address for C. A 0 byte is refused, since it would end the text there.
fn c_address(address: &str) -> Result<CString, Error> {
    CString::new(address).map_err(|_| ErrorKind::Address.into())
}

fn address(call: impl FnOnce(*mut c_char, usize) -> c_int) -> Result<String, Error> {
    let mut text = [0u8; sys::SLUICE_ADDRESS_MAX];
    let length = check(call(text.as_mut_ptr().cast(), text.len()))? as usize;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

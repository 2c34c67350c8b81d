//! Sluice's loop in Rust, of rustc alone.
//!
//! ```
//! let mut server = Loop::open()?;
//! server.listen("127.0.0.1:9999")?;
//! loop {
//!     server.pull()?;
//!     if let Event::Data { stream, bytes, .. } = server.event() {
//!         server.write(stream, bytes)?;
//!     }
//! }
//! ```
//!
//! Pulling takes the loop mutably and `event` shares it, as all else does: while an event's bytes
//! are in hand, the loop can be used and not pulled, and keeping them past the next pull does not
//! compile. Nor does using a loop from another thread, or after it is gone. An id can be kept
//! anywhere; once its handle has ended, calls that ask for something give `Error::STALE`.
//!
//! What befalls a connection is no error of the call in hand: `Closed` says it.
//!
//! What each call does is said in sluice.h; the names are the same.

#![allow(dead_code)] // a program need not use all of it

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::io::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Watches, timers, signals, listeners, streams and lookups, of one thread. Dropped, it ends them all.
pub struct Loop {
    raw: *mut RawLoop,
    event: RawEvent,
    shared: Arc<Shared>,
}

/// Names a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Id(u64);

#[derive(Debug)]
pub enum Event<'a> {
    Ready {
        watch: Id,
        flags: u32,
    },
    Timer(Id),
    Signal {
        signal: Id,
        number: c_int,
    },
    Posted(u64),
    Accepted {
        stream: Id,
        listener: Id,
    },
    Connected(Id),
    Data {
        stream: Id,
        bytes: &'a [u8],
        /// How many of the first bytes were in an event before, and were held.
        seen: usize,
        /// Whether these were held when the input ended, and nothing follows them.
        is_last: bool,
    },
    Eof(Id),
    Drained(Id),
    Closed {
        stream: Id,
        unsent: usize,
        reason: Result<(), Error>,
    },
    Overloaded {
        listener: Id,
        reason: Error,
    },
    /// `text` is the addresses, one a line; or why there are none, in words.
    Resolved {
        lookup: Id,
        text: &'a str,
        reason: Result<(), Error>,
    },
    /// There is none: nothing was pulled yet, the time was up, or the loop was woken.
    Nothing,
}

/// What became of a write; it need not be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Queued,
    /// Queued too; wait for `Drained` before writing more.
    OverHighMark,
    /// Not taken: the stream has ended, or takes no more, since its connection is broken or it was
    /// shut down. `Closed` says how it ended.
    Gone,
    /// Not taken: it would be over its hard limit, or the loop's memory limit.
    Full,
}

/// What a loop is opened with: all but where memory comes from, which is C's to say. 0, `None` and
/// `false` are the defaults, here and below.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    pub backend: Option<&'a str>,
    /// What one receive brings at most.
    pub receive_size: usize,
    /// Queued bytes over which a stream is to wait for `Drained`.
    pub high_mark: usize,
    /// Queued bytes at which `Drained` comes.
    pub low_mark: usize,
    /// Queued bytes that a write may not go over.
    pub hard_limit: usize,
    /// Bytes of all that is queued and held.
    pub memory_limit: usize,
    pub post_limit: usize,
    /// Handles of each kind.
    pub handle_limit: u32,
    /// Whether a signal that a handler took ends a pull, with the errno EINTR.
    pub interruptible: bool,
}

/// How a stream behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamOptions<'a> {
    /// Whether it stays when the peer has ended.
    pub half_open: bool,
    /// Whether Nagle's algorithm is left on.
    pub delay: bool,
    pub keepalive: bool,
    /// How long the peer is silent before the first probe; in whole seconds, rounded up.
    pub keepalive_after: Duration,
    /// Whether it is not read from over its high mark: by default accepted streams are not.
    pub throttled: Option<bool>,
    /// Without a byte for so long it ends.
    pub idle_timeout: Duration,
    /// How long a close may take.
    pub linger: Duration,
    /// Of a connect alone.
    pub connect_timeout: Duration,
    /// As the loop's, for this stream.
    pub high_mark: usize,
    pub low_mark: usize,
    /// Of a connect alone: the address that it comes from, numeric or unix:@name.
    pub source: Option<&'a str>,
}

/// How a listener behaves, and its streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListenOptions<'a> {
    /// Whether several loops accept at one address.
    pub reuse_port: bool,
    /// Whether an IPv6 socket takes no IPv4 callers.
    pub only_ipv6: bool,
    pub backlog: u32,
    /// Connections accepted in one turn.
    pub accept_batch: u32,
    /// Connections open at once.
    pub connection_limit: u32,
    pub streams: StreamOptions<'a>,
    /// Who may call at a unix path, such as 0o600; as the umask says.
    pub unix_mode: u32,
}

/// A descriptor that could not be adopted, and why. It is still open, and is closed with this.
#[derive(Debug)]
pub struct NotAdopted {
    pub fd: OwnedFd,
    pub error: Error,
}

impl From<NotAdopted> for Error {
    fn from(not: NotAdopted) -> Error {
        not.error
    }
}

/// Which addresses of a name are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Family {
    Any = SLUICE_ANY_FAMILY,
    V4 = SLUICE_IPV4,
    V6 = SLUICE_IPV6,
}

pub const READ: u32 = SLUICE_READ;
pub const PRIORITY: u32 = SLUICE_PRIORITY;
pub const WRITE: u32 = SLUICE_WRITE;
pub const ERROR: u32 = SLUICE_ERROR;
pub const HANGUP: u32 = SLUICE_HANGUP;
pub const READ_CLOSED: u32 = SLUICE_READ_CLOSED;
pub const EDGE: u32 = SLUICE_EDGE;
pub const ONE_SHOT: u32 = SLUICE_ONE_SHOT;

impl Loop {
    pub fn open() -> Result<Loop, Error> {
        Loop::open_with(&Options::default())
    }

    pub fn open_with(options: &Options) -> Result<Loop, Error> {
        let mut raw = ptr::null_mut();
        let backend = c_text(options.backend).map_err(|error| error.with(&options.given()))?;
        let c_options = options.to_c(pointer(&backend));
        check(unsafe { sluice_open(&mut raw, &c_options) })
            .map_err(|error| error.with(&options.given()))?;
        let shared = Arc::new(Shared(Mutex::new(raw)));
        Ok(Loop {
            raw,
            event: RawEvent::nothing(),
            shared,
        })
    }

    /// Waits for the next event, or a wake.
    pub fn pull(&mut self) -> Result<(), Error> {
        self.pull_ns(SLUICE_FOREVER).map(|_| ())
    }

    /// Waits for it no longer than `timeout`: whether there is one.
    pub fn pull_within(&mut self, timeout: Duration) -> Result<bool, Error> {
        self.pull_ns(nanoseconds(timeout))
    }

    fn pull_ns(&mut self, timeout_ns: i64) -> Result<bool, Error> {
        let count = check(unsafe { sluice_next(self.raw, &mut self.event, timeout_ns) })?;
        Ok(count > 0)
    }

    /// What was pulled last.
    pub fn event(&self) -> Event<'_> {
        let raw = &self.event;
        let id = Id(raw.id);
        match raw.kind {
            SLUICE_READY => Event::Ready {
                watch: id,
                flags: raw.value as u32,
            },
            SLUICE_TIMER => Event::Timer(id),
            SLUICE_SIGNAL => Event::Signal {
                signal: id,
                number: raw.value as c_int,
            },
            SLUICE_POSTED => Event::Posted(raw.value),
            SLUICE_ACCEPTED => Event::Accepted {
                stream: id,
                listener: Id(raw.value),
            },
            SLUICE_CONNECTED => Event::Connected(id),
            // The loop's buffer, which nothing fills but a pull, and that needs the loop to itself.
            SLUICE_DATA => Event::Data {
                stream: id,
                bytes: unsafe { std::slice::from_raw_parts(raw.data.cast(), raw.length) },
                seen: (raw.value >> 1) as usize,
                is_last: raw.value & SLUICE_LAST != 0,
            },
            SLUICE_EOF => Event::Eof(id),
            SLUICE_DRAINED => Event::Drained(id),
            SLUICE_CLOSED => Event::Closed {
                stream: id,
                unsent: raw.length,
                reason: check(raw.error).map(|_| ()),
            },
            SLUICE_OVERLOADED => Event::Overloaded {
                listener: id,
                reason: Error::of(raw.error),
            },
            SLUICE_RESOLVED => Event::Resolved {
                lookup: id,
                text: raw.text(),
                reason: check(raw.error).map(|_| ()),
            },
            _ => Event::Nothing,
        }
    }

    /// Reads the clock, CLOCK_MONOTONIC, from which timers count; else it is read at each wait.
    pub fn update_now(&self) -> Result<Duration, Error> {
        let now = unsafe { sluice_update_now(self.raw) };
        if now < 0 {
            Err(Error::of(now as c_int))
        } else {
            Ok(Duration::from_nanos(now as u64))
        }
    }

    /// Reaches the loop from any thread.
    pub fn poster(&self) -> Poster {
        Poster(Arc::clone(&self.shared))
    }

    /// Nothing where it has ended already, as of `abort`.
    pub fn close(&self, id: Id) -> Result<(), Error> {
        self.told(id, unsafe { sluice_close(self.raw, id) })
            .map(drop)
    }

    pub fn abort(&self, id: Id) -> Result<(), Error> {
        self.told(id, unsafe { sluice_abort(self.raw, id) })
            .map(drop)
    }

    /// The same, but a stream's `Closed` has this reason.
    pub fn abort_with(&self, id: Id, reason: &Error) -> Result<(), Error> {
        let code = unsafe { sluice_abort_with(self.raw, id, reason.code) };
        self.told(id, code).map(drop)
    }

    pub fn fd(&self, id: Id) -> Result<c_int, Error> {
        check(unsafe { sluice_fd(self.raw, id) })
    }

    pub fn watch(&self, fd: c_int, interest: u32) -> Result<Id, Error> {
        made(|id| unsafe { sluice_watch(self.raw, id, fd, interest, 0) })
    }

    pub fn rewatch(&self, watch: Id, interest: u32) -> Result<(), Error> {
        done(unsafe { sluice_rewatch(self.raw, watch, interest) })
    }

    /// A timer of one shot for a `repeat` of zero.
    pub fn timer(&self, first: Duration, repeat: Duration) -> Result<Id, Error> {
        let (first, repeat) = (nanoseconds(first), nanoseconds(repeat));
        made(|id| unsafe { sluice_timer(self.raw, id, first, repeat, 0) })
    }

    pub fn timer_reset(&self, timer: Id, first: Duration) -> Result<(), Error> {
        done(unsafe { sluice_timer_reset(self.raw, timer, nanoseconds(first)) })
    }

    pub fn signal(&self, number: c_int) -> Result<Id, Error> {
        made(|id| unsafe { sluice_signal(self.raw, id, number) })
    }

    pub fn listen(&self, address: &str) -> Result<Id, Error> {
        self.listen_with(address, &ListenOptions::default())
    }

    pub fn listen_with(&self, address: &str, options: &ListenOptions) -> Result<Id, Error> {
        let text = CString::new(address).map_err(|_| Error::ADDRESS)?;
        options.in_c(|c_options| {
            made(|id| unsafe { sluice_listen(self.raw, id, text.as_ptr(), c_options) })
        })
    }

    /// Makes a listener of a socket that listens already, which is the loop's from then on. Where
    /// that fails, it stays the caller's.
    pub fn listen_fd(&self, fd: c_int) -> Result<Id, Error> {
        self.listen_fd_with(fd, &ListenOptions::default())
    }

    pub fn listen_fd_with(&self, fd: c_int, options: &ListenOptions) -> Result<Id, Error> {
        options
            .in_c(|c_options| made(|id| unsafe { sluice_listen_fd(self.raw, id, fd, c_options) }))
    }

    /// Looks up a name, such as "example.com:443": `Resolved` brings its addresses.
    pub fn resolve(&self, address: &str, family: Family) -> Result<Id, Error> {
        let text = CString::new(address).map_err(|_| Error::ADDRESS)?;
        made(|id| unsafe { sluice_resolve(self.raw, id, text.as_ptr(), family as u32, 0) })
    }

    /// Why the name of a stream that has ended was not found, in words.
    pub fn name_problem(&self, stream: Id) -> Option<&'static str> {
        let words = unsafe { sluice_name_problem(self.raw, stream) };
        if words.is_null() {
            None
        } else {
            unsafe { CStr::from_ptr(words) }.to_str().ok()
        }
    }

    pub fn connect(&self, address: &str) -> Result<Id, Error> {
        self.connect_with(address, &StreamOptions::default())
    }

    pub fn connect_with(&self, address: &str, options: &StreamOptions) -> Result<Id, Error> {
        let text = CString::new(address).map_err(|_| Error::ADDRESS)?;
        options.in_c(|c_options| {
            made(|id| unsafe { sluice_connect(self.raw, id, text.as_ptr(), c_options) })
        })
    }

    /// Makes a stream of a connected descriptor, such as a `UnixStream`, which is the loop's from
    /// then on.
    pub fn adopt(&self, fd: impl Into<OwnedFd>) -> Result<Id, NotAdopted> {
        self.adopt_with(fd, &StreamOptions::default())
    }

    pub fn adopt_with(
        &self,
        fd: impl Into<OwnedFd>,
        options: &StreamOptions,
    ) -> Result<Id, NotAdopted> {
        let fd = fd.into();
        let number = fd.as_raw_fd();
        let adopted = options
            .in_c(|c_options| made(|id| unsafe { sluice_adopt(self.raw, id, number, c_options) }));
        match adopted {
            Ok(id) => {
                let _ = fd.into_raw_fd(); // the loop closes it
                Ok(id)
            }
            Err(error) => Err(NotAdopted { fd, error }),
        }
    }

    pub fn local_address(&self, id: Id) -> Result<String, Error> {
        address(|text, room| unsafe { sluice_local_address(self.raw, id, text, room) })
    }

    pub fn peer_address(&self, id: Id) -> Result<String, Error> {
        address(|text, room| unsafe { sluice_peer_address(self.raw, id, text, room) })
    }

    /// A stream for which that is too much ends: `Full`, which is also the reason of its `Closed`.
    pub fn write(&self, stream: Id, bytes: &[u8]) -> Result<Written, Error> {
        let first = bytes.as_ptr().cast();
        let code = unsafe { sluice_write(self.raw, stream, first, bytes.len()) };
        self.told(stream, code)
    }

    /// As `write`, but where the answer is `Full`, the stream goes on as it was.
    pub fn try_write(&self, stream: Id, bytes: &[u8]) -> Result<Written, Error> {
        let first = bytes.as_ptr().cast();
        written(unsafe { sluice_write(self.raw, stream, first, bytes.len()) })
    }

    /// Has the kernel send bytes of a file, behind all that was written. How many went: where those
    /// are fewer than `length`, `Drained` says when to go on with the rest. `None` for a stream that
    /// is gone. An error is the file's, and the stream goes on.
    pub fn send_file(
        &self,
        stream: Id,
        file: impl AsFd,
        offset: u64,
        length: usize,
    ) -> Result<Option<usize>, Error> {
        let fd = file.as_fd().as_raw_fd();
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let sent = unsafe { sluice_send_file(self.raw, stream, fd, offset, length) };
        if sent >= 0 {
            return Ok(Some(sent as usize));
        }
        let code = sent as c_int;
        if code > -10000 && self.try_write(stream, b"")? != Written::Gone {
            check(code)?; // it is not the stream that is broken
        }
        self.told(stream, code).map(|_| None)
    }

    /// `Queued`, `Gone` or `Full`, as of `write`.
    pub fn flush(&self, stream: Id) -> Result<Written, Error> {
        self.told(stream, unsafe { sluice_flush(self.raw, stream) })
    }

    /// As `flush`. Of a listener: lets no more callers in, and ends by a `Closed`.
    pub fn shutdown(&self, id: Id) -> Result<Written, Error> {
        let code = unsafe { sluice_shutdown(self.raw, id) };
        if code > -10000 && code != -EPIPE {
            check(code)?; // a listener's: no stream says so
        }
        self.told(id, code)
    }

    pub fn pause(&self, stream: Id) -> Result<(), Error> {
        let code = unsafe { sluice_pause(self.raw, stream) };
        self.told(stream, code).map(drop)
    }

    pub fn resume(&self, stream: Id) -> Result<(), Error> {
        let code = unsafe { sluice_resume(self.raw, stream) };
        self.told(stream, code).map(drop)
    }

    /// A stream for which that is too much ends, as of `write`.
    pub fn hold(&self, stream: Id, length: usize) -> Result<(), Error> {
        let code = unsafe { sluice_hold(self.raw, stream, length) };
        self.told(stream, code).map(drop)
    }

    /// The same, and no `Data` comes before `total` bytes are there together, those among them, or
    /// the stream ends.
    pub fn hold_until(&self, stream: Id, length: usize, total: usize) -> Result<(), Error> {
        let code = unsafe { sluice_hold_until(self.raw, stream, length, total) };
        self.told(stream, code).map(drop)
    }

    pub fn pending(&self, stream: Id) -> Result<usize, Error> {
        let bytes = unsafe { sluice_pending(self.raw, stream) };
        if bytes < 0 {
            Err(Error::of(bytes as c_int))
        } else {
            Ok(bytes as usize)
        }
    }

    /// `None` ends it.
    pub fn forward(&self, from: Id, to: Option<Id>) -> Result<(), Error> {
        let code = unsafe { sluice_forward(self.raw, from, to.unwrap_or(Id(0))) };
        self.told(from, code).map(drop)
    }

    /// What a call says whose bytes are lost where they are too many: that ends the stream.
    fn told(&self, stream: Id, code: c_int) -> Result<Written, Error> {
        let written = written(code)?;
        if written == Written::Full {
            done(unsafe { sluice_abort_with(self.raw, stream, SLUICE_EFULL) })?;
        }
        Ok(written)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let mut reached = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        *reached = ptr::null_mut();
        unsafe { sluice_destroy(self.raw) };
    }
}

/// Posts to a loop from any thread, for as long as one likes.
#[derive(Clone)]
pub struct Poster(Arc<Shared>);

/// The loop, or null once it is gone.
struct Shared(Mutex<*mut RawLoop>);

// The pointer is used under the lock alone, and for sluice_post and sluice_wake alone, which any
// thread may call.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Poster {
    /// Has `value` come as `Posted`. `Error::CLOSED` where the loop is gone.
    pub fn post(&self, value: u64) -> Result<(), Error> {
        let reached = self.0 .0.lock().unwrap_or_else(PoisonError::into_inner);
        done(unsafe { sluice_post(*reached, value) })
    }

    /// Ends the pull that is under way, or else the next. `Error::CLOSED` where the loop is gone.
    pub fn wake(&self) -> Result<(), Error> {
        let reached = self.0 .0.lock().unwrap_or_else(PoisonError::into_inner);
        done(unsafe { sluice_wake(*reached) })
    }
}

/// Why a call was refused: a code of Sluice's own, or an errno. Two of one code are equal.
#[derive(Clone)]
pub struct Error {
    code: c_int,
    /// The options that the call was given, which one of them may be to blame for.
    given: Option<Box<str>>,
}

impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        self.code == other.code
    }
}

impl Eq for Error {}

impl Error {
    pub const NOT_SUPPORTED: Error = Error::of(SLUICE_ENOTSUP);
    pub const NO_BACKEND: Error = Error::of(SLUICE_EBACKEND);
    pub const INTEREST: Error = Error::of(SLUICE_EINTEREST);
    pub const CAPACITY: Error = Error::of(SLUICE_ECAPACITY);
    pub const CLOSED: Error = Error::of(SLUICE_ENULL);
    pub const ADDRESS: Error = Error::of(SLUICE_EADDRESS);
    pub const FULL: Error = Error::of(SLUICE_EFULL);
    pub const STALE: Error = Error::of(SLUICE_ESTALE);
    pub const WRONG_KIND: Error = Error::of(SLUICE_EKIND);
    pub const STATE: Error = Error::of(SLUICE_ESTATE);
    pub const OPTION: Error = Error::of(SLUICE_EOPTION);
    pub const NAME: Error = Error::of(SLUICE_ENAME);
    pub const LISTENS: Error = Error::of(SLUICE_ELISTENS);
    pub const NOT_LISTENING: Error = Error::of(SLUICE_ENOLISTEN);
    pub const PORT: Error = Error::of(SLUICE_EPORT);
    pub const PATH: Error = Error::of(SLUICE_EPATH);
    pub const SCOPE: Error = Error::of(SLUICE_ESCOPE);
    pub const NUMERIC: Error = Error::of(SLUICE_ENUMERIC);

    const fn of(code: c_int) -> Error {
        Error { code, given: None }
    }

    /// The same, with the options that the call was given.
    fn with(self, given: &str) -> Error {
        Error {
            code: self.code,
            given: (!given.is_empty()).then(|| given.into()),
        }
    }

    /// An errno, for a reason of one's own.
    pub const fn from_raw_os_error(number: i32) -> Error {
        Error::of(-number)
    }

    /// The errno that comes nearest; the kernel's, where it gave one.
    pub fn errno(&self) -> i32 {
        unsafe { sluice_error_errno(self.code) }
    }

    /// The errno, where the kernel gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        if self.code > -10000 {
            Some(-self.code)
        } else {
            None
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Error::CLOSED {
            return formatter.write_str("the loop is gone");
        }
        let message = unsafe { CStr::from_ptr(sluice_error_message(self.code)) };
        formatter.write_str(&message.to_string_lossy())?;
        match &self.given {
            Some(given) => write!(formatter, " (with {given})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = unsafe { CStr::from_ptr(sluice_error_name(self.code)) };
        write!(formatter, "{}: {}", name.to_string_lossy(), self)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(io::ErrorKind::Other, error),
        }
    }
}

// ---- What C gives and takes ---------------------------------------------------------------------

fn check(code: c_int) -> Result<c_int, Error> {
    if code < 0 {
        Err(Error::of(code))
    } else {
        Ok(code)
    }
}

fn done(code: c_int) -> Result<(), Error> {
    check(code).map(|_| ())
}

/// That a connection is broken, in the kernel's words, is no error, nor that it has ended.
fn written(code: c_int) -> Result<Written, Error> {
    match code {
        0 => Ok(Written::Queued),
        code if code > 0 => Ok(Written::OverHighMark),
        SLUICE_EFULL => Ok(Written::Full),
        SLUICE_ESTALE => Ok(Written::Gone),
        code if code > -10000 && code != SLUICE_ENOMEM => Ok(Written::Gone),
        code => Err(Error::of(code)),
    }
}

fn made(call: impl FnOnce(*mut Id) -> c_int) -> Result<Id, Error> {
    let mut id = Id(0);
    check(call(&mut id)).map(|_| id)
}

/// An option that is text, for as long as C looks at it.
fn c_text(text: Option<&str>) -> Result<Option<CString>, Error> {
    text.map(CString::new)
        .transpose()
        .map_err(|_| Error::OPTION)
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// The options that are no defaults, as they stand in the program.
fn given(options: &[(&str, &dyn fmt::Debug)]) -> String {
    let defaults = ["0", "0o0", "0ns", "false", "None"];
    let all = options
        .iter()
        .map(|(name, value)| (name, format!("{value:?}")));
    all.filter(|(_, value)| !defaults.contains(&value.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn flags(of: &[(bool, u32)]) -> u32 {
    let asked = of.iter().filter(|(asked, _)| *asked);
    asked.fold(0, |all, (_, flag)| all | flag)
}

impl Options<'_> {
    fn to_c(self, backend: *const c_char) -> RawOptions {
        RawOptions {
            size: std::mem::size_of::<RawOptions>(),
            backend,
            reallocate: ptr::null(),
            allocation_context: ptr::null(),
            receive_size: self.receive_size,
            high_mark: self.high_mark,
            low_mark: self.low_mark,
            hard_limit: self.hard_limit,
            memory_limit: self.memory_limit,
            post_limit: self.post_limit,
            handle_limit: self.handle_limit,
            flags: flags(&[(self.interruptible, SLUICE_INTERRUPTIBLE)]),
        }
    }

    fn given(&self) -> String {
        given(&[
            ("backend", &self.backend),
            ("receive_size", &self.receive_size),
            ("high_mark", &self.high_mark),
            ("low_mark", &self.low_mark),
            ("hard_limit", &self.hard_limit),
            ("memory_limit", &self.memory_limit),
            ("post_limit", &self.post_limit),
            ("handle_limit", &self.handle_limit),
            ("interruptible", &self.interruptible),
        ])
    }
}

impl StreamOptions<'_> {
    /// Makes a call with these; an error says what they were.
    fn in_c(
        &self,
        call: impl FnOnce(*const RawStreamOptions) -> Result<Id, Error>,
    ) -> Result<Id, Error> {
        c_text(self.source)
            .and_then(|source| call(&self.to_c(pointer(&source))))
            .map_err(|error| error.with(&self.given()))
    }

    fn to_c(self, source: *const c_char) -> RawStreamOptions {
        let keepalive = self.keepalive_after;
        let seconds = keepalive.as_secs() + u64::from(keepalive.subsec_nanos() > 0);
        RawStreamOptions {
            size: std::mem::size_of::<RawStreamOptions>(),
            flags: flags(&[
                (self.half_open, SLUICE_HALF_OPEN),
                (self.delay, SLUICE_DELAY),
                (self.keepalive, SLUICE_KEEPALIVE),
                (self.throttled == Some(true), SLUICE_THROTTLED),
                (self.throttled == Some(false), SLUICE_UNTHROTTLED),
            ]),
            keepalive_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            idle_timeout_ns: nanoseconds(self.idle_timeout),
            linger_ns: nanoseconds(self.linger),
            connect_timeout_ns: nanoseconds(self.connect_timeout),
            high_mark: self.high_mark,
            low_mark: self.low_mark,
            source,
        }
    }

    fn given(&self) -> String {
        given(&[
            ("half_open", &self.half_open),
            ("delay", &self.delay),
            ("keepalive", &self.keepalive),
            ("keepalive_after", &self.keepalive_after),
            ("throttled", &self.throttled),
            ("idle_timeout", &self.idle_timeout),
            ("linger", &self.linger),
            ("connect_timeout", &self.connect_timeout),
            ("high_mark", &self.high_mark),
            ("low_mark", &self.low_mark),
            ("source", &self.source),
        ])
    }
}

impl ListenOptions<'_> {
    fn in_c(
        &self,
        call: impl FnOnce(*const RawListenOptions) -> Result<Id, Error>,
    ) -> Result<Id, Error> {
        self.streams
            .in_c(|streams| call(&self.to_c(streams)))
            .map_err(|error| {
                let streams = error.given.as_deref().unwrap_or("").to_owned();
                error.with(&self.given(&streams))
            })
    }

    fn to_c(self, streams: *const RawStreamOptions) -> RawListenOptions {
        RawListenOptions {
            size: std::mem::size_of::<RawListenOptions>(),
            flags: flags(&[
                (self.reuse_port, SLUICE_REUSE_PORT),
                (self.only_ipv6, SLUICE_ONLY_IPV6),
            ]),
            backlog: self.backlog,
            accept_batch: self.accept_batch,
            connection_limit: self.connection_limit,
            streams,
            unix_mode: self.unix_mode,
        }
    }

    fn given(&self, streams: &str) -> String {
        let own = given(&[
            ("reuse_port", &self.reuse_port),
            ("only_ipv6", &self.only_ipv6),
            ("backlog", &self.backlog),
            ("accept_batch", &self.accept_batch),
            ("connection_limit", &self.connection_limit),
            ("unix_mode", &format_args!("{:#o}", self.unix_mode)),
        ]);
        let both = [own.as_str(), streams];
        let told = both.into_iter().filter(|text| !text.is_empty());
        told.collect::<Vec<_>>().join(", ")
    }
}

fn address(call: impl FnOnce(*mut c_char, usize) -> c_int) -> Result<String, Error> {
    let mut text = [0u8; SLUICE_ADDRESS_MAX];
    let length = check(call(text.as_mut_ptr().cast(), text.len()))? as usize;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(SLUICE_FOREVER)
}

#[repr(C)]
struct RawLoop {
    _private: [u8; 0],
}

#[repr(C)]
struct RawEvent {
    kind: u32,
    error: i32,
    id: u64,
    user: u64,
    data: *const c_void,
    length: usize,
    value: u64,
}

const _: () = assert!(std::mem::size_of::<RawEvent>() == 48);

#[repr(C)]
struct RawOptions {
    size: usize,
    backend: *const c_char,
    reallocate: *const c_void,
    allocation_context: *const c_void,
    receive_size: usize,
    high_mark: usize,
    low_mark: usize,
    hard_limit: usize,
    memory_limit: usize,
    post_limit: usize,
    handle_limit: u32,
    flags: u32,
}

const _: () = assert!(std::mem::size_of::<RawOptions>() == 88);

#[repr(C)]
struct RawStreamOptions {
    size: usize,
    flags: u32,
    keepalive_seconds: u32,
    idle_timeout_ns: i64,
    linger_ns: i64,
    connect_timeout_ns: i64,
    high_mark: usize,
    low_mark: usize,
    source: *const c_char,
}

const _: () = assert!(std::mem::size_of::<RawStreamOptions>() == 64);

#[repr(C)]
struct RawListenOptions {
    size: usize,
    flags: u32,
    backlog: u32,
    accept_batch: u32,
    connection_limit: u32,
    streams: *const RawStreamOptions,
    unix_mode: u32,
}

const _: () = assert!(std::mem::size_of::<RawListenOptions>() == 40);

impl RawEvent {
    /// The data of an event that has text.
    fn text(&self) -> &str {
        if self.data.is_null() {
            return "";
        }
        let bytes = unsafe { std::slice::from_raw_parts(self.data.cast(), self.length) };
        std::str::from_utf8(bytes).unwrap_or("")
    }

    fn nothing() -> RawEvent {
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
}

const SLUICE_FOREVER: i64 = 9223372036854775807;
const SLUICE_ADDRESS_MAX: usize = 160;
const SLUICE_LAST: u64 = 1;

const SLUICE_READY: u32 = 1;
const SLUICE_TIMER: u32 = 2;
const SLUICE_SIGNAL: u32 = 3;
const SLUICE_POSTED: u32 = 4;
const SLUICE_ACCEPTED: u32 = 5;
const SLUICE_CONNECTED: u32 = 6;
const SLUICE_DATA: u32 = 7;
const SLUICE_EOF: u32 = 8;
const SLUICE_DRAINED: u32 = 9;
const SLUICE_CLOSED: u32 = 10;
const SLUICE_OVERLOADED: u32 = 11;
const SLUICE_RESOLVED: u32 = 12;

const SLUICE_ANY_FAMILY: u32 = 0;
const SLUICE_IPV4: u32 = 4;
const SLUICE_IPV6: u32 = 6;

const SLUICE_READ: u32 = 1;
const SLUICE_PRIORITY: u32 = 2;
const SLUICE_WRITE: u32 = 4;
const SLUICE_ERROR: u32 = 8;
const SLUICE_HANGUP: u32 = 16;
const SLUICE_EDGE: u32 = 256;
const SLUICE_ONE_SHOT: u32 = 512;
const SLUICE_READ_CLOSED: u32 = 8192;

const SLUICE_INTERRUPTIBLE: u32 = 1;

const SLUICE_HALF_OPEN: u32 = 1;
const SLUICE_DELAY: u32 = 2;
const SLUICE_KEEPALIVE: u32 = 4;
const SLUICE_THROTTLED: u32 = 8;
const SLUICE_UNTHROTTLED: u32 = 16;

const SLUICE_REUSE_PORT: u32 = 1;
const SLUICE_ONLY_IPV6: u32 = 2;

const SLUICE_ENOMEM: c_int = -12;
const EPIPE: c_int = 32;
const SLUICE_ENOTSUP: c_int = -10001;
const SLUICE_EBACKEND: c_int = -10002;
const SLUICE_EINTEREST: c_int = -10003;
const SLUICE_ECAPACITY: c_int = -10005;
const SLUICE_ENULL: c_int = -10006;
const SLUICE_EADDRESS: c_int = -10007;
const SLUICE_EFULL: c_int = -10008;
const SLUICE_ESTALE: c_int = -10009;
const SLUICE_EKIND: c_int = -10010;
const SLUICE_ESTATE: c_int = -10012;
const SLUICE_EOPTION: c_int = -10013;
const SLUICE_ENAME: c_int = -10014;
const SLUICE_ELISTENS: c_int = -10015;
const SLUICE_ENOLISTEN: c_int = -10016;
const SLUICE_EPORT: c_int = -10020;
const SLUICE_EPATH: c_int = -10021;
const SLUICE_ESCOPE: c_int = -10022;
const SLUICE_ENUMERIC: c_int = -10023;

#[link(name = "sluice")]
extern "C" {
    fn sluice_error_name(code: c_int) -> *const c_char;
    fn sluice_error_message(code: c_int) -> *const c_char;
    fn sluice_error_errno(code: c_int) -> c_int;
    fn sluice_open(raw: *mut *mut RawLoop, options: *const RawOptions) -> c_int;
    fn sluice_destroy(raw: *mut RawLoop) -> c_int;
    fn sluice_next(raw: *mut RawLoop, event: *mut RawEvent, timeout_ns: i64) -> c_int;
    fn sluice_post(raw: *mut RawLoop, value: u64) -> c_int;
    fn sluice_wake(raw: *mut RawLoop) -> c_int;
    fn sluice_update_now(raw: *mut RawLoop) -> i64;
    fn sluice_close(raw: *mut RawLoop, id: Id) -> c_int;
    fn sluice_abort(raw: *mut RawLoop, id: Id) -> c_int;
    fn sluice_abort_with(raw: *mut RawLoop, id: Id, error: c_int) -> c_int;
    fn sluice_fd(raw: *const RawLoop, id: Id) -> c_int;
    fn sluice_watch(raw: *mut RawLoop, id: *mut Id, fd: c_int, interest: u32, user: u64) -> c_int;
    fn sluice_rewatch(raw: *mut RawLoop, id: Id, interest: u32) -> c_int;
    fn sluice_timer(
        raw: *mut RawLoop,
        id: *mut Id,
        first_ns: i64,
        repeat_ns: i64,
        user: u64,
    ) -> c_int;
    fn sluice_timer_reset(raw: *mut RawLoop, id: Id, first_ns: i64) -> c_int;
    fn sluice_signal(raw: *mut RawLoop, id: *mut Id, signo: c_int) -> c_int;
    fn sluice_listen(
        raw: *mut RawLoop,
        id: *mut Id,
        address: *const c_char,
        options: *const RawListenOptions,
    ) -> c_int;
    fn sluice_listen_fd(
        raw: *mut RawLoop,
        id: *mut Id,
        fd: c_int,
        options: *const RawListenOptions,
    ) -> c_int;
    fn sluice_resolve(
        raw: *mut RawLoop,
        id: *mut Id,
        address: *const c_char,
        family: u32,
        user: u64,
    ) -> c_int;
    fn sluice_name_problem(raw: *const RawLoop, id: Id) -> *const c_char;
    fn sluice_connect(
        raw: *mut RawLoop,
        id: *mut Id,
        address: *const c_char,
        options: *const RawStreamOptions,
    ) -> c_int;
    fn sluice_adopt(
        raw: *mut RawLoop,
        id: *mut Id,
        fd: c_int,
        options: *const RawStreamOptions,
    ) -> c_int;
    fn sluice_local_address(
        raw: *const RawLoop,
        id: Id,
        text: *mut c_char,
        capacity: usize,
    ) -> c_int;
    fn sluice_peer_address(
        raw: *const RawLoop,
        id: Id,
        text: *mut c_char,
        capacity: usize,
    ) -> c_int;
    fn sluice_write(raw: *mut RawLoop, id: Id, bytes: *const c_void, length: usize) -> c_int;
    fn sluice_send_file(raw: *mut RawLoop, id: Id, fd: c_int, offset: i64, length: usize) -> isize;
    fn sluice_flush(raw: *mut RawLoop, id: Id) -> c_int;
    fn sluice_shutdown(raw: *mut RawLoop, id: Id) -> c_int;
    fn sluice_pause(raw: *mut RawLoop, id: Id) -> c_int;
    fn sluice_resume(raw: *mut RawLoop, id: Id) -> c_int;
    fn sluice_hold(raw: *mut RawLoop, id: Id, length: usize) -> c_int;
    fn sluice_hold_until(raw: *mut RawLoop, id: Id, length: usize, total: usize) -> c_int;
    fn sluice_pending(raw: *const RawLoop, id: Id) -> i64;
    fn sluice_forward(raw: *mut RawLoop, from: Id, to: Id) -> c_int;
}

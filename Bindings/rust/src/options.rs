//! The options of a loop, a listener and a stream. What is not set has its default.

use crate::error::Error;
use crate::sys::{self, RawListenOptions, RawOptions, RawStreamOptions};
use crate::ErrorKind;
use std::ffi::CString;
use std::fmt;
use std::os::raw::c_char;
use std::ptr;
use std::time::Duration;

/// A struct of options. Each option has a method that sets it, and `given` says which were set.
macro_rules! options {
    ($(#[$about:meta])* $name:ident {
        $($(#[$words:meta])* $field:ident: $stored:ty = $taken:ty,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        #[must_use]
        pub struct $name {
            $($field: Option<$stored>,)*
        }

        impl $name {
            /// All defaults.
            pub fn new() -> $name {
                $name::default()
            }

            $(
                $(#[$words])*
                pub fn $field(mut self, $field: $taken) -> $name {
                    self.$field = Some($field.into());
                    self
                }
            )*

            /// The options that were set, as they stand in the program.
            fn given(&self) -> String {
                let mut all = Vec::new();
                $(
                    if let Some(value) = &self.$field {
                        all.push(format!("{}: {:?}", stringify!($field), value));
                    }
                )*
                all.join(", ")
            }
        }
    };
}

options! {
    /// The options of a loop. After the semicolon is the default.
    Options {
        /// What the loop waits with: `epoll`, `poll` or `select`; the best there is.
        backend: String = impl Into<String>,
        /// Bytes that one receive brings at most; 64 KiB.
        receive_size: usize = usize,
        /// Queued bytes over which a writer should wait for `Drained`; 1 MiB.
        high_mark: usize = usize,
        /// Queued bytes at which `Drained` comes; a quarter of the high mark.
        low_mark: usize = usize,
        /// Queued bytes that a write may not go over; 64 MiB.
        hard_limit: usize = usize,
        /// Bytes of all that is queued and held; no limit.
        memory_limit: usize = usize,
        /// Posts that wait to be pulled; 1,048,576.
        post_limit: usize = usize,
        /// Handles of each kind; 16,777,216.
        handle_limit: u32 = u32,
        /// Whether a signal ends a pull, with the errno EINTR, after its handler has run.
        interruptible: bool = bool,
    }
}

options! {
    /// How a stream behaves. After the semicolon is the default.
    StreamOptions {
        /// Whether the stream stays open when the peer has ended.
        half_open: bool = bool,
        /// Whether Nagle's algorithm is left on.
        delay: bool = bool,
        /// Whether a silent peer is probed.
        keepalive: bool = bool,
        /// How long the peer must be silent before the first probe; in whole seconds, rounded up.
        keepalive_after: Duration = Duration,
        /// Whether the stream is not read from while it is over its high mark. By default this is
        /// so for accepted streams.
        throttled: bool = bool,
        /// The stream ends after this long without a byte; never.
        idle_timeout: Duration = Duration,
        /// How long a close may take after the last byte went; 10 seconds.
        linger: Duration = Duration,
        /// Only for a connect: how long it may take; no limit.
        connect_timeout: Duration = Duration,
        /// As the loop's, for this stream.
        high_mark: usize = usize,
        /// As the loop's, for this stream.
        low_mark: usize = usize,
        /// Only for a connect: the address that it comes from, numeric or `unix:@name`.
        source: String = impl Into<String>,
    }
}

options! {
    /// How a listener and its streams behave. After the semicolon is the default.
    ListenOptions {
        /// Whether several loops accept at one address.
        reuse_port: bool = bool,
        /// Whether an IPv6 socket takes no IPv4 callers.
        only_ipv6: bool = bool,
        /// Connections that wait to be accepted; 1,024.
        backlog: u32 = u32,
        /// Connections accepted in one turn; 64.
        accept_batch: u32 = u32,
        /// Connections open at once; no limit.
        connection_limit: u32 = u32,
        /// Its streams' options.
        streams: StreamOptions = StreamOptions,
        /// Who may connect at a unix path, such as 0o600; as the umask says.
        unix_mode: Mode = u32,
    }
}

/// Shown in octal, as it is written.
#[derive(Clone, Copy)]
struct Mode(u32);

impl From<u32> for Mode {
    fn from(mode: u32) -> Mode {
        Mode(mode)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#o}", self.0)
    }
}

fn flags(of: &[(Option<bool>, u32)]) -> u32 {
    let asked = of.iter().filter(|(asked, _)| *asked == Some(true));
    asked.fold(0, |all, (_, flag)| all | flag)
}

/// A text for as long as C looks at it. A 0 byte is refused, since it would end the text in C.
fn c_text(text: &Option<String>) -> Result<Option<CString>, Error> {
    let text = text.as_deref().map(CString::new).transpose();
    text.map_err(|_| ErrorKind::Option.into())
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(sys::SLUICE_FOREVER)
}

/// In C 0 means the default. Here it would mean "at once", and is refused.
fn limit(duration: Option<Duration>) -> Result<i64, Error> {
    match duration.map(nanoseconds) {
        None => Ok(0),
        Some(0) => Err(ErrorKind::Option.into()),
        Some(nanoseconds) => Ok(nanoseconds),
    }
}

impl Options {
    /// Makes a call with these options. An error says what they were.
    pub(crate) fn in_c<T>(
        &self,
        call: impl FnOnce(*const RawOptions) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let of = |size: Option<usize>| size.unwrap_or(0);
        let called = c_text(&self.backend).and_then(|backend| {
            call(&RawOptions {
                size: std::mem::size_of::<RawOptions>(),
                backend: pointer(&backend),
                reallocate: ptr::null(),
                allocation_context: ptr::null(),
                receive_size: of(self.receive_size),
                high_mark: of(self.high_mark),
                low_mark: of(self.low_mark),
                hard_limit: of(self.hard_limit),
                memory_limit: of(self.memory_limit),
                post_limit: of(self.post_limit),
                handle_limit: self.handle_limit.unwrap_or(0),
                flags: flags(&[(self.interruptible, sys::SLUICE_INTERRUPTIBLE)]),
            })
        });
        called.map_err(|error| error.with(&self.given()))
    }
}

impl StreamOptions {
    pub(crate) fn in_c<T>(
        &self,
        call: impl FnOnce(*const RawStreamOptions) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let called = c_text(&self.source)
            .and_then(|source| Ok((self.to_c(pointer(&source))?, source)))
            .and_then(|(options, _source)| call(&options));
        called.map_err(|error| error.with(&self.given()))
    }

    fn to_c(&self, source: *const c_char) -> Result<RawStreamOptions, Error> {
        let after = self.keepalive_after.unwrap_or_default();
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        Ok(RawStreamOptions {
            size: std::mem::size_of::<RawStreamOptions>(),
            flags: flags(&[
                (self.half_open, sys::SLUICE_HALF_OPEN),
                (self.delay, sys::SLUICE_DELAY),
                (self.keepalive, sys::SLUICE_KEEPALIVE),
                (self.throttled, sys::SLUICE_THROTTLED),
                (self.throttled.map(|is| !is), sys::SLUICE_UNTHROTTLED),
            ]),
            keepalive_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            idle_timeout_ns: limit(self.idle_timeout)?,
            linger_ns: limit(self.linger)?,
            connect_timeout_ns: limit(self.connect_timeout)?,
            high_mark: self.high_mark.unwrap_or(0),
            low_mark: self.low_mark.unwrap_or(0),
            source,
        })
    }
}

impl ListenOptions {
    pub(crate) fn in_c<T>(
        &self,
        call: impl FnOnce(*const RawListenOptions) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let defaults = StreamOptions::new();
        let streams = self.streams.as_ref().unwrap_or(&defaults);
        let called = streams.in_c(|streams| {
            call(&RawListenOptions {
                size: std::mem::size_of::<RawListenOptions>(),
                flags: flags(&[
                    (self.reuse_port, sys::SLUICE_REUSE_PORT),
                    (self.only_ipv6, sys::SLUICE_ONLY_IPV6),
                ]),
                backlog: self.backlog.unwrap_or(0),
                accept_batch: self.accept_batch.unwrap_or(0),
                connection_limit: self.connection_limit.unwrap_or(0),
                streams,
                unix_mode: self.unix_mode.map_or(0, |mode| mode.0),
            })
        });
        called.map_err(|error| {
            let streams = error.given().to_owned();
            let own = ListenOptions {
                streams: None,
                ..self.clone()
            };
            let both = [own.given(), streams];
            let told: Vec<_> = both.into_iter().filter(|text| !text.is_empty()).collect();
            error.with(&told.join(", "))
        })
    }
}

//! Why a call was refused.

use crate::sys;
use std::ffi::CStr;
use std::os::raw::c_int;
use std::{fmt, io};

/// Why a call was refused: a code of Sluice's own, or what the kernel said. Two errors of the same
/// code are equal, whatever else they say.
#[derive(Clone)]
pub struct Error {
    code: c_int,
    /// The options that the call was given. One of them may be the cause.
    given: Option<Box<str>>,
}

macro_rules! kinds {
    ($($(#[$words:meta])* $name:ident = $code:expr,)*) => {
        /// What kind of error it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$words])* $name,)*
            /// What the kernel said: [`Error::raw_os_error`] has its number.
            Os,
        }

        impl ErrorKind {
            fn of(code: c_int) -> ErrorKind {
                match code {
                    $(code if code == $code => ErrorKind::$name,)*
                    _ => ErrorKind::Os,
                }
            }

            const fn code(self) -> c_int {
                match self {
                    $(ErrorKind::$name => $code,)*
                    ErrorKind::Os => -5, // EIO
                }
            }
        }
    };
}

/// This is not one of C's codes. In C the ids of two loops may be the same number.
const OTHER_LOOP: c_int = -20001;

kinds! {
    /// Out of memory; nothing was changed.
    OutOfMemory = sys::SLUICE_ENOMEM,
    /// This backend cannot do that.
    NotSupported = sys::SLUICE_ENOTSUP,
    /// There is no backend of that name.
    NoBackend = sys::SLUICE_EBACKEND,
    /// An interest that cannot be asked for.
    Interest = sys::SLUICE_EINTEREST,
    /// A length or a count that is out of its range.
    Capacity = sys::SLUICE_ECAPACITY,
    /// The loop or the poller is gone.
    Closed = sys::SLUICE_ENULL,
    /// A text that is not an address.
    Address = sys::SLUICE_EADDRESS,
    /// A limit is reached; nothing was taken.
    Full = sys::SLUICE_EFULL,
    /// The handle has ended.
    Stale = sys::SLUICE_ESTALE,
    /// The handle is of another kind.
    WrongKind = sys::SLUICE_EKIND,
    /// The call was made on a thread that the loop does not belong to. Safe code can do this only
    /// after a fork.
    WrongThread = sys::SLUICE_ETHREAD,
    /// The call cannot be made now, such as a hold if the last event is not a `Data`.
    State = sys::SLUICE_ESTATE,
    /// An option is out of its range.
    Option = sys::SLUICE_EOPTION,
    /// A host name has no address.
    Name = sys::SLUICE_ENAME,
    /// A socket that listens: no stream can be made of it.
    Listens = sys::SLUICE_ELISTENS,
    /// A socket that does not listen.
    NotListening = sys::SLUICE_ENOLISTEN,
    /// An address without a port, or with one that is not a port.
    Port = sys::SLUICE_EPORT,
    /// A unix path that is empty or too long.
    Path = sys::SLUICE_EPATH,
    /// An IPv6 address whose interface does not exist.
    Scope = sys::SLUICE_ESCOPE,
    /// `*` to connect to, or a host name where only a numeric address is taken.
    Numeric = sys::SLUICE_ENUMERIC,
    /// A handle of another loop.
    OtherLoop = OTHER_LOOP,
}

impl Error {
    pub(crate) const fn of(code: c_int) -> Error {
        Error { code, given: None }
    }

    /// The same, with the options that the call was given.
    pub(crate) fn with(self, given: &str) -> Error {
        Error {
            code: self.code,
            given: (!given.is_empty()).then(|| given.into()),
        }
    }

    pub(crate) const fn code(&self) -> c_int {
        self.code
    }

    pub(crate) fn given(&self) -> &str {
        self.given.as_deref().unwrap_or("")
    }

    /// An error with this errno, for a reason of your own.
    pub const fn from_raw_os_error(number: i32) -> Error {
        Error::of(number.wrapping_neg())
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::of(self.code)
    }

    /// The errno, if the kernel gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        (self.code > -10000).then(|| self.code.wrapping_neg())
    }

    /// The nearest errno; the kernel's, if it gave one.
    pub fn errno(&self) -> i32 {
        if self.code == OTHER_LOOP {
            return 22; // EINVAL
        }
        unsafe { sys::sluice_error_errno(self.code) }
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        self.code == other.code
    }
}

impl Eq for Error {}

impl PartialEq<ErrorKind> for Error {
    fn eq(&self, kind: &ErrorKind) -> bool {
        self.kind() == *kind
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error::of(kind.code())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            ErrorKind::Closed => return formatter.write_str("it is gone"),
            ErrorKind::OtherLoop => return formatter.write_str("this handle is another loop's"),
            _ => {}
        }
        let message = unsafe { CStr::from_ptr(sys::sluice_error_message(self.code)) };
        formatter.write_str(&message.to_string_lossy())?;
        match self.given() {
            "" => Ok(()),
            given => write!(formatter, " (with {given})"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind() != ErrorKind::Os {
            return write!(formatter, "{:?}: {self}", self.kind());
        }
        let name = unsafe { CStr::from_ptr(sys::sluice_error_name(self.code)) };
        write!(formatter, "{}: {self}", name.to_string_lossy())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => {
                let nearest = io::Error::from_raw_os_error(error.errno()).kind();
                io::Error::new(nearest, error)
            }
        }
    }
}

pub(crate) fn check(code: c_int) -> Result<c_int, Error> {
    if code < 0 {
        Err(Error::of(code))
    } else {
        Ok(code)
    }
}

/// The same for a call that returns a larger number.
pub(crate) fn check_long(code: i64) -> Result<u64, Error> {
    u64::try_from(code).map_err(|_| Error::of(code as c_int))
}

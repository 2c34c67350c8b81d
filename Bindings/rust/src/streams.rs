//! The calls on streams. That a stream is gone, or cannot take more, is not an error. It is an
//! answer, and `Closed` says how the stream has ended.

use crate::error::{check, check_long, Error};
use crate::handle::{Listener, Stream};
use crate::sys;
use crate::{ErrorKind, Loop};
use std::io::IoSlice;
use std::os::raw::c_int;
use std::os::unix::io::{AsFd, AsRawFd};

/// What became of a write. You need not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Written {
    /// It will be sent with all others when the next event is pulled.
    Queued,
    /// Queued too; wait for `Drained` before writing more.
    OverHighMark,
    /// Not taken: the stream has ended, or takes no more, since its connection is broken or it was
    /// shut down. `Closed` says how it ended.
    Gone,
    /// Not taken: it would be over its hard limit, or the loop's memory limit.
    Full,
}

impl Loop {
    /// Queues bytes, all or none. If there is no room for them, the answer is `Full`, and the
    /// stream ends. Its `Closed` has the same reason.
    pub fn write(&self, stream: Stream, bytes: &[u8]) -> Result<Written, Error> {
        let id = self.own(stream)?;
        self.told(id, self.write_raw(id, bytes))
    }

    /// As `write`, except that after `Full` the stream goes on as it was.
    pub fn try_write(&self, stream: Stream, bytes: &[u8]) -> Result<Written, Error> {
        let id = self.own(stream)?;
        written(self.write_raw(id, bytes))
    }

    fn write_raw(&self, id: u64, bytes: &[u8]) -> c_int {
        unsafe { sys::sluice_write(self.raw, id, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// As `write`, for several pieces: all of them or none.
    pub fn write_vectored(&self, stream: Stream, pieces: &[IoSlice<'_>]) -> Result<Written, Error> {
        let id = self.own(stream)?;
        let count = c_int::try_from(pieces.len()).map_err(|_| ErrorKind::Capacity)?;
        if count == 0 {
            return self.write(stream, &[]);
        }
        // Both are laid out as struct iovec.
        let first = pieces.as_ptr().cast();
        self.told(id, unsafe {
            sys::sluice_writev(self.raw, id, first, count)
        })
    }

    /// Makes the kernel send bytes of a file, after all that was written. Returns how many went. If
    /// they are fewer than `length`, `Drained` says when to go on with the rest. `None` for a
    /// stream that is gone. An error is about the file, and the stream goes on.
    pub fn send_file(
        &self,
        stream: Stream,
        file: impl AsFd,
        offset: u64,
        length: usize,
    ) -> Result<Option<usize>, Error> {
        let id = self.own(stream)?;
        let fd = file.as_fd().as_raw_fd();
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let sent = unsafe { sys::sluice_send_file(self.raw, id, fd, offset, length) };
        if let Ok(sent) = usize::try_from(sent) {
            return Ok(Some(sent));
        }
        let code = sent as c_int;
        if code > -10000 && self.try_write(stream, b"")? != Written::Gone {
            check(code)?; // it is not the stream that is broken
        }
        self.told(id, code).map(|_| None)
    }

    /// Sends now what is queued. The answer is `Queued`, `Gone` or `Full`, as with `write`.
    pub fn flush(&self, stream: Stream) -> Result<Written, Error> {
        let id = self.own(stream)?;
        self.told(id, unsafe { sys::sluice_flush(self.raw, id) })
    }

    /// Sends what is queued, then tells the peer that no more comes. Receiving goes on. The answer
    /// is as with `flush`.
    pub fn shutdown(&self, stream: Stream) -> Result<Written, Error> {
        let id = self.own(stream)?;
        self.told(id, unsafe { sys::sluice_shutdown(self.raw, id) })
    }

    /// Lets no more callers in, accepts those who wait, and ends with an `Ended`.
    pub fn shutdown_listener(&self, listener: Listener) -> Result<(), Error> {
        check(unsafe { sys::sluice_shutdown(self.raw, self.own(listener)?) }).map(drop)
    }

    /// As [`abort`](Loop::abort), except that `Closed` has this reason.
    pub fn abort_with(&self, stream: Stream, reason: impl Into<Error>) -> Result<(), Error> {
        let (id, reason) = (self.own(stream)?, reason.into().code());
        self.told(id, unsafe { sys::sluice_abort_with(self.raw, id, reason) })
            .map(drop)
    }

    /// Stops `Data` and `Eof`.
    pub fn pause(&self, stream: Stream) -> Result<(), Error> {
        let id = self.own(stream)?;
        self.told(id, unsafe { sys::sluice_pause(self.raw, id) })
            .map(drop)
    }

    /// Lets `Data` and `Eof` come again.
    pub fn resume(&self, stream: Stream) -> Result<(), Error> {
        let id = self.own(stream)?;
        self.told(id, unsafe { sys::sluice_resume(self.raw, id) })
            .map(drop)
    }

    /// Makes the last `length` bytes of the `Data` that was pulled last come again, joined with
    /// what follows. If there is no room for them, the stream ends, as with `write`.
    pub fn hold(&self, stream: Stream, length: usize) -> Result<(), Error> {
        let id = self.own(stream)?;
        self.told(id, unsafe { sys::sluice_hold(self.raw, id, length) })
            .map(drop)
    }

    /// The same, and no `Data` comes before `total` bytes are there, counting those that are held,
    /// or the stream ends.
    pub fn hold_until(&self, stream: Stream, length: usize, total: usize) -> Result<(), Error> {
        let id = self.own(stream)?;
        self.told(id, unsafe {
            sys::sluice_hold_until(self.raw, id, length, total)
        })
        .map(drop)
    }

    /// How many bytes are queued.
    pub fn pending(&self, stream: Stream) -> Result<usize, Error> {
        let bytes = check_long(unsafe { sys::sluice_pending(self.raw, self.own(stream)?) })?;
        Ok(bytes as usize)
    }

    /// Writes what `from` receives to `to`, without an event. `None` ends that.
    pub fn forward(&self, from: Stream, to: Option<Stream>) -> Result<(), Error> {
        let id = self.own(from)?;
        let to = to.map_or(Ok(0), |to| self.own(to))?;
        self.told(id, unsafe { sys::sluice_forward(self.raw, id, to) })
            .map(drop)
    }

    /// The answer of a call whose bytes are lost if there is no room for them: that ends the
    /// stream.
    pub(crate) fn told(&self, id: u64, code: c_int) -> Result<Written, Error> {
        let written = written(code)?;
        if written == Written::Full {
            check(unsafe { sys::sluice_abort_with(self.raw, id, sys::SLUICE_EFULL) })?;
        }
        Ok(written)
    }
}

/// An errno says that a connection is broken. That is not an error here, and neither is an end.
fn written(code: c_int) -> Result<Written, Error> {
    match code {
        0 => Ok(Written::Queued),
        code if code > 0 => Ok(Written::OverHighMark),
        sys::SLUICE_EFULL => Ok(Written::Full),
        sys::SLUICE_ESTALE => Ok(Written::Gone),
        code if code > -10000 && code != sys::SLUICE_ENOMEM => Ok(Written::Gone),
        code => Err(Error::of(code)),
    }
}

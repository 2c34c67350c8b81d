//! The readiness layer by itself.

use crate::error::{check, Error};
use crate::options::nanoseconds;
use crate::readiness::{Interest, Readiness};
use crate::sys::{self, RawPoller, RawReady};
use crate::ErrorKind;
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Registered descriptors, and the kernel's call that waits until some are ready: epoll, poll or
/// select. It has mio's shape, with two differences: it is level-triggered unless
/// [`Interest::edge`] asks for more, and a wake has no token, but ends the wait.
///
/// ```
/// use sluice::{Events, Interest, Poller, Token};
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// let (mut near, far) = UnixStream::pair()?;
/// let mut poller = Poller::new()?;
/// let mut events = Events::with_capacity(128);
/// poller.register(&far, Token(7), Interest::READABLE)?;
/// near.write_all(b"hello")?;
/// poller.poll(&mut events, None)?;
/// for event in &events {
///     assert_eq!(event.token(), Token(7));
///     assert!(event.is_readable());
/// }
/// poller.deregister(&far)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// One thread at a time may use a poller, and it can be sent to another. Deregister a descriptor
/// before it is closed.
#[derive(Debug)]
pub struct Poller {
    shared: Arc<Shared>,
    raw: *mut RawPoller,
    one_thread_at_a_time: PhantomData<Cell<()>>,
}

// A poller belongs to no thread in particular.
unsafe impl Send for Poller {}

/// The number by which the program knows a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

/// Room for the events of a wait.
pub struct Events {
    ready: Vec<RawReady>,
    capacity: usize,
}

/// One descriptor that is ready.
#[derive(Clone, Copy)]
pub struct PollerEvent(RawReady);

/// Ends a poller's wait, from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Shared>);

/// The poller, or null once it is gone.
#[derive(Debug)]
struct Shared(Mutex<*mut RawPoller>);

// The pointer is used only under the lock, and only for sluice_poller_wake.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, *mut RawPoller> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Poller {
    /// Makes a poller over the best backend that there is, or over the one that `SLUICE_BACKEND`
    /// names in the environment.
    pub fn new() -> Result<Poller, Error> {
        Poller::create(ptr::null())
    }

    /// Makes a poller over `epoll`, `poll` or `select`.
    pub fn with_backend(name: &str) -> Result<Poller, Error> {
        let name = CString::new(name).map_err(|_| ErrorKind::NoBackend)?;
        Poller::create(name.as_ptr())
    }

    fn create(name: *const std::os::raw::c_char) -> Result<Poller, Error> {
        let mut raw = ptr::null_mut();
        check(unsafe { sys::sluice_poller_create(&mut raw, name) })?;
        Ok(Poller {
            shared: Arc::new(Shared(Mutex::new(raw))),
            raw,
            one_thread_at_a_time: PhantomData,
        })
    }

    /// Reports a descriptor's readiness from now on. One number can be registered once.
    pub fn register(&self, fd: impl AsFd, token: Token, interest: Interest) -> Result<(), Error> {
        let (fd, user) = (fd.as_fd().as_raw_fd(), token.0 as u64);
        check(unsafe { sys::sluice_poller_add(self.raw, fd, interest.0, user) }).map(drop)
    }

    /// Replaces a descriptor's token and interest, and arms it again after a one-shot event.
    pub fn reregister(&self, fd: impl AsFd, token: Token, interest: Interest) -> Result<(), Error> {
        let (fd, user) = (fd.as_fd().as_raw_fd(), token.0 as u64);
        check(unsafe { sys::sluice_poller_modify(self.raw, fd, interest.0, user) }).map(drop)
    }

    /// Reports a descriptor no more.
    pub fn deregister(&self, fd: impl AsFd) -> Result<(), Error> {
        self.deregister_raw(fd.as_fd().as_raw_fd())
    }

    /// The same for a descriptor that was closed already.
    pub fn deregister_raw(&self, fd: RawFd) -> Result<(), Error> {
        check(unsafe { sys::sluice_poller_remove(self.raw, fd) }).map(drop)
    }

    /// Waits until something is ready, the time is up, or a [`Waker`] ends the wait. `None` waits
    /// for ever. `events` gets what is ready: nothing in the other two cases.
    pub fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> Result<(), Error> {
        events.ready.clear();
        let capacity = i32::try_from(events.capacity).unwrap_or(i32::MAX);
        let timeout = timeout.map_or(sys::SLUICE_FOREVER, nanoseconds);
        // Room for `capacity` events, of which C fills in as many as it says.
        let room = events.ready.as_mut_ptr();
        let count = check(unsafe { sys::sluice_poller_wait(self.raw, room, capacity, timeout) })?;
        unsafe { events.ready.set_len(count as usize) };
        Ok(())
    }

    /// Whether the registration of an event still stands. The handling of an earlier event may have
    /// ended it.
    pub fn is_current(&self, event: &PollerEvent) -> bool {
        unsafe { sys::sluice_poller_is_current(self.raw, &event.0) == 1 }
    }

    /// A waker, which reaches the poller from any thread.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// A descriptor that is readable while there is something to poll. Only epoll has one.
    pub fn backend_fd(&self) -> Result<BorrowedFd<'_>, Error> {
        let fd = check(unsafe { sys::sluice_poller_backend_fd(self.raw) })?;
        Ok(unsafe { BorrowedFd::borrow_raw(fd) }) // open as long as the poller is
    }

    /// Call it in the child of a fork, before anything else. The registrations become the child's
    /// own.
    pub fn after_fork(&mut self) -> Result<(), Error> {
        check(unsafe { sys::sluice_poller_after_fork(self.raw) }).map(drop)
    }

    /// The name of what it waits with.
    pub fn backend_name(&self) -> &'static str {
        let name = unsafe { CStr::from_ptr(sys::sluice_poller_backend_name(self.raw)) };
        name.to_str().unwrap_or("")
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        *self.shared.lock() = ptr::null_mut();
        unsafe { sys::sluice_poller_destroy(self.raw) };
    }
}

impl Waker {
    /// Ends the wait that is under way, or else the next one. Once the poller is gone, it does
    /// nothing.
    pub fn wake(&self) -> Result<(), Error> {
        let reached = self.0.lock();
        if reached.is_null() {
            return Ok(());
        }
        check(unsafe { sys::sluice_poller_wake(*reached) }).map(drop)
    }
}

impl Events {
    /// Room for `capacity` events, which is the most that a wait brings.
    pub fn with_capacity(capacity: usize) -> Events {
        Events {
            ready: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// The events of the last wait.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.ready.iter())
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// How many events a wait brings at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets the events.
    pub fn clear(&mut self) {
        self.ready.clear();
    }
}

/// An iterator over the events of a wait.
pub struct Iter<'a>(std::slice::Iter<'a, RawReady>);

impl Iterator for Iter<'_> {
    type Item = PollerEvent;

    fn next(&mut self) -> Option<PollerEvent> {
        self.0.next().copied().map(PollerEvent)
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = PollerEvent;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl PollerEvent {
    /// The token that the descriptor was registered with.
    pub fn token(&self) -> Token {
        Token(self.0.user as usize)
    }

    /// What the descriptor is ready for.
    pub fn readiness(&self) -> Readiness {
        Readiness(self.0.flags)
    }

    /// The descriptor's number.
    pub fn raw_fd(&self) -> RawFd {
        self.0.fd
    }

    /// A read would not block.
    pub fn is_readable(&self) -> bool {
        self.readiness().is_readable()
    }

    /// A write would not block.
    pub fn is_writable(&self) -> bool {
        self.readiness().is_writable()
    }

    /// There is out-of-band data.
    pub fn is_priority(&self) -> bool {
        self.readiness().is_priority()
    }

    /// An error is pending, or a pipe's reader is gone.
    pub fn is_error(&self) -> bool {
        self.readiness().is_error()
    }

    /// The peer will send no more.
    pub fn is_read_closed(&self) -> bool {
        self.readiness().is_read_closed()
    }
}

impl std::fmt::Debug for PollerEvent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}: {:?}", self.token(), self.readiness())
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

//! How other threads reach a loop.

use crate::error::{check, Error};
use crate::sys::{self, RawLoop};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reaches a loop from any thread. It may outlive the loop: then calls say
/// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
///
/// Do not use it in a signal handler: it takes a lock.
#[derive(Clone, Debug)]
pub struct Poster(pub(crate) Arc<Shared>);

/// The loop, or null once it is gone.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<*mut RawLoop>);

// The pointer is used only under the lock, and only for sluice_post and sluice_wake, which any
// thread may call.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(raw: *mut RawLoop) -> Arc<Shared> {
        Arc::new(Shared(Mutex::new(raw)))
    }

    fn lock(&self) -> MutexGuard<'_, *mut RawLoop> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After this nobody reaches the loop any more, and nobody is about to.
    pub(crate) fn forget(&self) {
        *self.lock() = ptr::null_mut();
    }
}

impl Poster {
    /// Makes `value` come as [`Event::Posted`](crate::Event::Posted), once, and in order for each
    /// thread.
    pub fn post(&self, value: u64) -> Result<(), Error> {
        let reached = self.0.lock();
        check(unsafe { sys::sluice_post(*reached, value) }).map(drop)
    }

    /// Ends the pull that is under way, or else the next one.
    pub fn wake(&self) -> Result<(), Error> {
        let reached = self.0.lock();
        check(unsafe { sys::sluice_wake(*reached) }).map(drop)
    }
}

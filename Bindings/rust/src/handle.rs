//! Names of what a loop looks after.

use crate::sys::SLUICE_SLOT_BITS;
use std::num::NonZeroU64;

mod sealed {
    pub trait Sealed {
        fn raw(self) -> super::Raw;
    }
}
pub(crate) use sealed::Sealed;

/// An id, and which loop's. Two loops may have the same id for different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Raw {
    pub(crate) id: NonZeroU64,
    pub(crate) of: usize,
}

/// Any of the handles below, for calls that take each of them.
pub trait Handle: Copy + Sealed {}

/// A handle that has a descriptor which is the loop's.
pub trait HasDescriptor: Handle {}

macro_rules! handles {
    ($($(#[$words:meta])* $name:ident,)*) => {
        $(
            $(#[$words])*
            ///
            /// A value that can be kept anywhere. Once what it names has ended, calls that ask for
            /// something say [`ErrorKind::Stale`](crate::ErrorKind::Stale); of another loop, each
            /// says [`ErrorKind::OtherLoop`](crate::ErrorKind::OtherLoop).
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub(crate) Raw);

            impl $name {
                /// The number that the loop knows it by; another loop may have the same.
                pub fn id(self) -> NonZeroU64 {
                    self.0.id
                }

                /// A small number that no other living handle of the kind has in its loop: an index
                /// for a table of one's own.
                pub fn slot(self) -> usize {
                    (self.0.id.get() & ((1 << SLUICE_SLOT_BITS) - 1)) as usize
                }
            }

            impl Sealed for $name {
                fn raw(self) -> Raw {
                    self.0
                }
            }

            impl Handle for $name {}
        )*
    };
}

handles! {
    /// Names a stream: a connection, or a descriptor that was adopted.
    Stream,
    /// Names a listener.
    Listener,
    /// Names a timer.
    Timer,
    /// Names a watch over a descriptor of the program's.
    Watch,
    /// Names a signal that is waited for.
    Signal,
    /// Names a host name that is looked up.
    Lookup,
}

impl HasDescriptor for Stream {}
impl HasDescriptor for Listener {}

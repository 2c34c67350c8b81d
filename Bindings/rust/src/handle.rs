//! The ids of what a loop looks after.

use crate::sys::SLUICE_SLOT_BITS;
use std::num::NonZeroU64;

mod sealed {
    pub trait Sealed {
        fn raw(self) -> super::Raw;
    }
}
pub(crate) use sealed::Sealed;

/// An id, and the loop that it belongs to. Two loops may have the same id for different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Raw {
    pub(crate) id: NonZeroU64,
    pub(crate) of: usize,
}

/// Any of the handles below, for calls that take all of them.
pub trait Handle: Copy + Sealed {}

/// A handle whose descriptor belongs to the loop.
pub trait HasDescriptor: Handle {}

macro_rules! handles {
    ($($(#[$words:meta])* $name:ident,)*) => {
        $(
            $(#[$words])*
            ///
            /// A value that can be kept anywhere. Once the handle has ended, calls that ask for
            /// something say [`ErrorKind::Stale`](crate::ErrorKind::Stale). Each call of another
            /// loop says [`ErrorKind::OtherLoop`](crate::ErrorKind::OtherLoop).
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub(crate) Raw);

            impl $name {
                /// The number that the handle has in its loop. Another loop may have the same
                /// number.
                pub fn id(self) -> NonZeroU64 {
                    self.0.id
                }

                /// A small number that no other live handle of the kind has in its loop. Use it as
                /// an index for a table of your own.
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
    /// The id of a stream: of a connection, or of a descriptor that was adopted.
    Stream,
    /// The id of a listener.
    Listener,
    /// The id of a timer.
    Timer,
    /// The id of a watch on a descriptor of the program's.
    Watch,
    /// The id of a signal that is waited for.
    Signal,
    /// The id of a host name that is looked up.
    Lookup,
}

impl HasDescriptor for Stream {}
impl HasDescriptor for Listener {}

//! What to wait for, and what is ready.

use crate::sys;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What to wait for. By default it is reported as long as it is so (level-triggered), not only when
/// it becomes so.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(pub(crate) u32);

impl Interest {
    /// Nothing for now; the registration stays.
    pub const NONE: Interest = Interest(0);
    /// A read would not block: bytes, the end, an error, a caller.
    pub const READABLE: Interest = Interest(sys::SLUICE_READ);
    /// A write would not block: room, or an error.
    pub const WRITABLE: Interest = Interest(sys::SLUICE_WRITE);
    /// Out-of-band data.
    pub const PRIORITY: Interest = Interest(sys::SLUICE_PRIORITY);
    /// An error, or a hang-up of both directions, and nothing else.
    pub const HANGUP: Interest = Interest(sys::SLUICE_HANGUP);

    /// Both interests. The same as `|`, for use in a constant.
    #[must_use]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// Reports when it becomes so, and not again before it changes (edge-triggered). Only epoll has
    /// it.
    #[must_use]
    pub const fn edge(self) -> Interest {
        Interest(self.0 | sys::SLUICE_EDGE)
    }

    /// Reports once, and then not before it is asked for again.
    #[must_use]
    pub const fn one_shot(self) -> Interest {
        Interest(self.0 | sys::SLUICE_ONE_SHOT)
    }

    /// Whether `other` is part of it.
    pub const fn contains(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = self.add(other);
    }
}

/// What a descriptor is ready for. `select` tells only the first three.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Readiness(pub(crate) u32);

impl Readiness {
    /// A read would not block.
    pub const fn is_readable(self) -> bool {
        self.0 & sys::SLUICE_READ != 0
    }

    /// A write would not block.
    pub const fn is_writable(self) -> bool {
        self.0 & sys::SLUICE_WRITE != 0
    }

    /// There is out-of-band data.
    pub const fn is_priority(self) -> bool {
        self.0 & sys::SLUICE_PRIORITY != 0
    }

    /// An error is pending, or a pipe's reader is gone.
    pub const fn is_error(self) -> bool {
        self.0 & sys::SLUICE_ERROR != 0
    }

    /// Both directions are shut.
    pub const fn is_hangup(self) -> bool {
        self.0 & sys::SLUICE_HANGUP != 0
    }

    /// The peer will send no more.
    pub const fn is_read_closed(self) -> bool {
        self.0 & sys::SLUICE_READ_CLOSED != 0
    }
}

const NAMES: [(u32, &str); 8] = [
    (sys::SLUICE_READ, "READABLE"),
    (sys::SLUICE_WRITE, "WRITABLE"),
    (sys::SLUICE_PRIORITY, "PRIORITY"),
    (sys::SLUICE_ERROR, "ERROR"),
    (sys::SLUICE_HANGUP, "HANGUP"),
    (sys::SLUICE_READ_CLOSED, "READ_CLOSED"),
    (sys::SLUICE_EDGE, "EDGE"),
    (sys::SLUICE_ONE_SHOT, "ONE_SHOT"),
];

fn write_names(flags: u32, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let there = NAMES.iter().filter(|(flag, _)| flags & flag != 0);
    let names: Vec<&str> = there.map(|(_, name)| *name).collect();
    formatter.write_str(if names.is_empty() { "NONE" } else { "" })?;
    formatter.write_str(&names.join(" | "))
}

impl fmt::Debug for Interest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(self.0, formatter)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(self.0, formatter)
    }
}

//! The layouts, values and calls of sluice.h. If you change sluice.h, change this too. A test
//! compares the values and the sizes.

use std::os::raw::{c_char, c_int, c_void};

// `unsafe extern` if the compiler knows it: see build.rs. The tokens of a macro are parsed when it
// is expanded, so an older compiler never sees them.
#[cfg(unsafe_extern)]
macro_rules! foreign { ($($declarations:tt)*) => { unsafe extern "C" { $($declarations)* } }; }
#[cfg(not(unsafe_extern))]
macro_rules! foreign { ($($declarations:tt)*) => { extern "C" { $($declarations)* } }; }

#[repr(C)]
pub struct RawLoop {
    _private: [u8; 0],
}

#[repr(C)]
pub struct RawEvent {
    pub kind: u32,
    pub error: i32,
    pub id: u64,
    pub user: u64,
    pub data: *const c_void,
    pub length: usize,
    pub value: u64,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::size_of::<RawEvent>() == 48);

#[repr(C)]
pub struct RawOptions {
    pub size: usize,
    pub backend: *const c_char,
    pub reallocate: *const c_void,
    pub allocation_context: *const c_void,
    pub receive_size: usize,
    pub high_mark: usize,
    pub low_mark: usize,
    pub hard_limit: usize,
    pub memory_limit: usize,
    pub post_limit: usize,
    pub handle_limit: u32,
    pub flags: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::size_of::<RawOptions>() == 88);

#[repr(C)]
pub struct RawStreamOptions {
    pub size: usize,
    pub flags: u32,
    pub keepalive_seconds: u32,
    pub idle_timeout_ns: i64,
    pub linger_ns: i64,
    pub connect_timeout_ns: i64,
    pub high_mark: usize,
    pub low_mark: usize,
    pub source: *const c_char,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::size_of::<RawStreamOptions>() == 64);

#[repr(C)]
pub struct RawListenOptions {
    pub size: usize,
    pub flags: u32,
    pub backlog: u32,
    pub accept_batch: u32,
    pub connection_limit: u32,
    pub streams: *const RawStreamOptions,
    pub unix_mode: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::size_of::<RawListenOptions>() == 40);

#[repr(C)]
#[derive(Default)]
pub struct RawStatistics {
    pub size: usize,
    pub turns: u64,
    pub events: [u64; 16],
    pub handles: [u64; 8],
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub receives: u64,
    pub sends: u64,
    pub accepts: u64,
    pub queue_memory: u64,
    pub longest_gap_ns: i64,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::size_of::<RawStatistics>() == 264);

#[repr(C)]
pub struct RawPoller {
    _private: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawReady {
    pub user: u64,
    pub fd: i32,
    pub generation: u32,
    pub flags: u32,
}

const _: () = assert!(std::mem::size_of::<RawReady>() == 24);

pub const SLUICE_FOREVER: i64 = 9223372036854775807;
pub const SLUICE_ADDRESS_MAX: usize = 160;
pub const SLUICE_LAST: u64 = 1;
pub const SLUICE_INPUT_ENDED: u64 = 1;

pub const SLUICE_READY: u32 = 1;
pub const SLUICE_TIMER: u32 = 2;
pub const SLUICE_SIGNAL: u32 = 3;
pub const SLUICE_POSTED: u32 = 4;
pub const SLUICE_ACCEPTED: u32 = 5;
pub const SLUICE_CONNECTED: u32 = 6;
pub const SLUICE_DATA: u32 = 7;
pub const SLUICE_EOF: u32 = 8;
pub const SLUICE_DRAINED: u32 = 9;
pub const SLUICE_CLOSED: u32 = 10;
pub const SLUICE_OVERLOADED: u32 = 11;
pub const SLUICE_RESOLVED: u32 = 12;

pub const SLUICE_ANY_FAMILY: u32 = 0;
pub const SLUICE_IPV4: u32 = 4;
pub const SLUICE_IPV6: u32 = 6;

pub const SLUICE_READ: u32 = 1;
pub const SLUICE_PRIORITY: u32 = 2;
pub const SLUICE_WRITE: u32 = 4;
pub const SLUICE_ERROR: u32 = 8;
pub const SLUICE_HANGUP: u32 = 16;
pub const SLUICE_EDGE: u32 = 256;
pub const SLUICE_ONE_SHOT: u32 = 512;
pub const SLUICE_READ_CLOSED: u32 = 8192;

pub const SLUICE_INTERRUPTIBLE: u32 = 1;

pub const SLUICE_HALF_OPEN: u32 = 1;
pub const SLUICE_DELAY: u32 = 2;
pub const SLUICE_KEEPALIVE: u32 = 4;
pub const SLUICE_THROTTLED: u32 = 8;
pub const SLUICE_UNTHROTTLED: u32 = 16;

pub const SLUICE_REUSE_PORT: u32 = 1;
pub const SLUICE_ONLY_IPV6: u32 = 2;

pub const SLUICE_ENOMEM: c_int = -12;
pub const SLUICE_ENOTSUP: c_int = -10001;
pub const SLUICE_EBACKEND: c_int = -10002;
pub const SLUICE_EINTEREST: c_int = -10003;
pub const SLUICE_ECAPACITY: c_int = -10005;
pub const SLUICE_ENULL: c_int = -10006;
pub const SLUICE_EADDRESS: c_int = -10007;
pub const SLUICE_EFULL: c_int = -10008;
pub const SLUICE_ETHREAD: c_int = -10011;
pub const SLUICE_KIND_LISTENER: u64 = 4;
pub const SLUICE_KIND_STREAM: usize = 5;
pub const SLUICE_SLOT_BITS: u32 = 28;
pub const SLUICE_ESTALE: c_int = -10009;
pub const SLUICE_EKIND: c_int = -10010;
pub const SLUICE_ESTATE: c_int = -10012;
pub const SLUICE_EOPTION: c_int = -10013;
pub const SLUICE_ENAME: c_int = -10014;
pub const SLUICE_ELISTENS: c_int = -10015;
pub const SLUICE_ENOLISTEN: c_int = -10016;
pub const SLUICE_EPORT: c_int = -10020;
pub const SLUICE_EPATH: c_int = -10021;
pub const SLUICE_ESCOPE: c_int = -10022;
pub const SLUICE_ENUMERIC: c_int = -10023;

foreign! {
    pub fn sluice_error_name(code: c_int) -> *const c_char;
    pub fn sluice_error_message(code: c_int) -> *const c_char;
    pub fn sluice_error_errno(code: c_int) -> c_int;
    pub fn sluice_open(raw: *mut *mut RawLoop, options: *const RawOptions) -> c_int;
    pub fn sluice_destroy(raw: *mut RawLoop) -> c_int;
    pub fn sluice_next(raw: *mut RawLoop, event: *mut RawEvent, timeout_ns: i64) -> c_int;
    pub fn sluice_post(raw: *mut RawLoop, value: u64) -> c_int;
    pub fn sluice_wake(raw: *mut RawLoop) -> c_int;
    pub fn sluice_update_now(raw: *mut RawLoop) -> i64;
    pub fn sluice_close(raw: *mut RawLoop, id: u64) -> c_int;
    pub fn sluice_abort(raw: *mut RawLoop, id: u64) -> c_int;
    pub fn sluice_abort_with(raw: *mut RawLoop, id: u64, error: c_int) -> c_int;
    pub fn sluice_fd(raw: *const RawLoop, id: u64) -> c_int;
    pub fn sluice_watch(raw: *mut RawLoop, id: *mut u64, fd: c_int, interest: u32, user: u64) -> c_int;
    pub fn sluice_rewatch(raw: *mut RawLoop, id: u64, interest: u32) -> c_int;
    pub fn sluice_timer(
        raw: *mut RawLoop,
        id: *mut u64,
        first_ns: i64,
        repeat_ns: i64,
        user: u64,
    ) -> c_int;
    pub fn sluice_timer_reset(raw: *mut RawLoop, id: u64, first_ns: i64) -> c_int;
    pub fn sluice_signal(raw: *mut RawLoop, id: *mut u64, signo: c_int) -> c_int;
    pub fn sluice_listen(
        raw: *mut RawLoop,
        id: *mut u64,
        address: *const c_char,
        options: *const RawListenOptions,
    ) -> c_int;
    pub fn sluice_listen_fd(
        raw: *mut RawLoop,
        id: *mut u64,
        fd: c_int,
        options: *const RawListenOptions,
    ) -> c_int;
    pub fn sluice_resolve(
        raw: *mut RawLoop,
        id: *mut u64,
        address: *const c_char,
        family: u32,
        user: u64,
    ) -> c_int;
    pub fn sluice_name_problem(raw: *const RawLoop, id: u64) -> *const c_char;
    pub fn sluice_connect(
        raw: *mut RawLoop,
        id: *mut u64,
        address: *const c_char,
        options: *const RawStreamOptions,
    ) -> c_int;
    pub fn sluice_adopt(
        raw: *mut RawLoop,
        id: *mut u64,
        fd: c_int,
        options: *const RawStreamOptions,
    ) -> c_int;
    pub fn sluice_local_address(
        raw: *const RawLoop,
        id: u64,
        text: *mut c_char,
        capacity: usize,
    ) -> c_int;
    pub fn sluice_peer_address(
        raw: *const RawLoop,
        id: u64,
        text: *mut c_char,
        capacity: usize,
    ) -> c_int;
    pub fn sluice_write(raw: *mut RawLoop, id: u64, bytes: *const c_void, length: usize) -> c_int;
    pub fn sluice_send_file(raw: *mut RawLoop, id: u64, fd: c_int, offset: i64, length: usize) -> isize;
    pub fn sluice_flush(raw: *mut RawLoop, id: u64) -> c_int;
    pub fn sluice_shutdown(raw: *mut RawLoop, id: u64) -> c_int;
    pub fn sluice_pause(raw: *mut RawLoop, id: u64) -> c_int;
    pub fn sluice_resume(raw: *mut RawLoop, id: u64) -> c_int;
    pub fn sluice_hold(raw: *mut RawLoop, id: u64, length: usize) -> c_int;
    pub fn sluice_hold_until(raw: *mut RawLoop, id: u64, length: usize, total: usize) -> c_int;
    pub fn sluice_pending(raw: *const RawLoop, id: u64) -> i64;
    pub fn sluice_forward(raw: *mut RawLoop, from: u64, to: u64) -> c_int;
    pub fn sluice_now(raw: *const RawLoop) -> i64;
    pub fn sluice_backend_fd(raw: *mut RawLoop) -> c_int;
    pub fn sluice_until_next(raw: *mut RawLoop) -> i64;
    pub fn sluice_after_fork(raw: *mut RawLoop) -> c_int;
    pub fn sluice_stats(raw: *const RawLoop, stats: *mut RawStatistics) -> c_int;
    pub fn sluice_writev(raw: *mut RawLoop, id: u64, slices: *const c_void, count: c_int) -> c_int;
    pub fn sluice_poller_create(raw: *mut *mut RawPoller, backend: *const c_char) -> c_int;
    pub fn sluice_poller_destroy(raw: *mut RawPoller);
    pub fn sluice_poller_add(raw: *mut RawPoller, fd: c_int, interest: u32, user: u64) -> c_int;
    pub fn sluice_poller_modify(raw: *mut RawPoller, fd: c_int, interest: u32, user: u64) -> c_int;
    pub fn sluice_poller_remove(raw: *mut RawPoller, fd: c_int) -> c_int;
    pub fn sluice_poller_wait(
        raw: *mut RawPoller,
        events: *mut RawReady,
        capacity: c_int,
        timeout_ns: i64,
    ) -> c_int;
    pub fn sluice_poller_is_current(raw: *const RawPoller, event: *const RawReady) -> c_int;
    pub fn sluice_poller_wake(raw: *mut RawPoller) -> c_int;
    pub fn sluice_poller_backend_fd(raw: *mut RawPoller) -> c_int;
    pub fn sluice_poller_after_fork(raw: *mut RawPoller) -> c_int;
    pub fn sluice_poller_backend_name(raw: *const RawPoller) -> *const c_char;
}

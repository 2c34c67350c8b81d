//! checks.rs - what is reported in Rust while it runs. What does not compile stands in failures.

#[path = "../../../Examples/rust/sluice.rs"]
mod sluice;

use sluice::{Error, Event, Loop};
use std::io;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Error> {
    let mut server = Loop::open()?;
    assert!(matches!(server.event(), Event::Nothing));
    let timer = server.timer(SECOND, Duration::ZERO)?;
    server.close(timer)?;
    let other = server.timer(SECOND, Duration::ZERO)?;
    assert_ne!(timer, other);
    assert_eq!(server.close(timer), Err(Error::STALE));
    assert_eq!(server.write(timer, b"x"), Err(Error::STALE));
    println!("ok stale id");

    assert_eq!(server.write(other, b"x"), Err(Error::WRONG_KIND));
    println!("ok wrong kind");

    assert_eq!(server.listen("no address"), Err(Error::ADDRESS));
    assert_eq!(server.listen("unix:/with\0in"), Err(Error::ADDRESS));
    let refused = server.listen("unix:/no/such/folder/s").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(2));
    assert_eq!(Error::STALE.raw_os_error(), None);
    assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::NotFound);
    assert_eq!(
        Error::STALE.to_string(),
        "this handle has ended; forget its id"
    );
    println!("ok errors");

    let poster = server.poster();
    let from_afar = poster.clone();
    std::thread::spawn(move || from_afar.post(u64::MAX))
        .join()
        .unwrap()?;
    server.pull()?;
    assert!(matches!(server.event(), Event::Posted(u64::MAX)));
    println!("ok posting from another thread");

    assert!(!server.pull_within(Duration::from_millis(1))?);
    assert!(matches!(server.event(), Event::Nothing));
    drop(server);
    assert_eq!(poster.post(1), Err(Error::CLOSED));
    println!("ok use after close");
    Ok(())
}

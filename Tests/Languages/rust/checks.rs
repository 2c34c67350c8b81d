//! checks.rs - what is reported in Rust while it runs. What does not compile stands in failures.

#[path = "../../../Examples/rust/sluice.rs"]
mod sluice;

use sluice::{Error, Event, Family, Id, Loop, Written};
use std::io;
use std::net::TcpListener;
use std::os::unix::io::IntoRawFd;
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
    assert_eq!(server.listen("127.0.0.1:99999"), Err(Error::PORT));
    assert_eq!(server.connect("*:80"), Err(Error::NUMERIC));
    assert_eq!(Error::PORT.errno(), 22);
    let refused = server.listen("unix:/no/such/folder/s").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(2));
    assert_eq!(Error::STALE.raw_os_error(), None);
    assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::NotFound);
    assert_eq!(
        Error::STALE.to_string(),
        "this handle has ended; forget its id"
    );
    println!("ok errors");

    let listener = server.listen("127.0.0.1:0")?;
    let client = server.connect(&server.local_address(listener)?)?;
    let accepted = loop {
        server.pull()?;
        if let Event::Accepted { stream, .. } = server.event() {
            break stream;
        }
    };
    assert_eq!(server.write(accepted, b"x")?, Written::Queued);
    let large = vec![0; 20_000_000];
    assert_eq!(server.write(accepted, &large)?, Written::OverHighMark);
    server.shutdown(accepted)?;
    assert_eq!(server.write(accepted, b"x")?, Written::Broken);
    for stream in [accepted, client] {
        server.abort(stream)?;
    }
    server.close(listener)?;
    while server.pull_within(Duration::ZERO)? {}
    println!("ok what became of a write");

    names(&mut server)?;
    println!("ok names");
    listener_from_elsewhere(&mut server)?;
    println!("ok listener from elsewhere");

    let poster = server.poster();
    let waking = poster.clone();
    let thread = std::thread::spawn(move || waking.wake());
    server.pull()?;
    assert!(matches!(server.event(), Event::Nothing));
    thread.join().unwrap()?;
    assert!(server.update_now()? <= server.update_now()?);
    println!("ok wake");

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
    assert_eq!(poster.wake(), Err(Error::CLOSED));
    println!("ok use after close");
    Ok(())
}

fn connected(server: &mut Loop, stream: Id) -> Result<(), Error> {
    loop {
        server.pull()?;
        match server.event() {
            Event::Connected(id) if id == stream => return Ok(()),
            Event::Closed { reason, .. } => panic!("{:?}", reason),
            _ => {}
        }
    }
}

/// The answer to a lookup.
fn resolved(server: &mut Loop, name: &str) -> Result<(String, Result<(), Error>), Error> {
    let expected = server.resolve(name, Family::V4)?;
    loop {
        server.pull()?;
        if let Event::Resolved {
            lookup,
            text,
            reason,
        } = server.event()
        {
            assert_eq!(lookup, expected);
            return Ok((text.to_string(), reason));
        }
    }
}

fn names(server: &mut Loop) -> Result<(), Error> {
    let listener = server.listen("localhost:0")?;
    let address = server.local_address(listener)?;
    let port = address.rsplit(':').next().unwrap();
    let stream = server.connect(&format!("localhost:{port}"))?;
    connected(server, stream)?;
    assert_eq!(
        resolved(server, "localhost:443")?,
        ("127.0.0.1:443".to_string(), Ok(()))
    );
    let unknown = "sluice.invalid:80"; // nobody has it: RFC 6761
    let (words, reason) = resolved(server, unknown)?;
    assert_eq!(reason, Err(Error::NAME));
    let in_vain = server.connect(unknown)?;
    loop {
        server.pull()?;
        if let Event::Closed { stream, reason, .. } = server.event() {
            assert_eq!((stream, reason), (in_vain, Err(Error::NAME)));
            break;
        }
    }
    assert_eq!(server.name_problem(in_vain), Some(words.as_str()));
    server.close(listener)
}

fn listener_from_elsewhere(server: &mut Loop) -> Result<(), Error> {
    let fd = TcpListener::bind("127.0.0.1:0").unwrap().into_raw_fd();
    let listener = server.listen_fd(fd)?;
    let stream = server.connect(&server.local_address(listener)?)?;
    connected(server, stream)?;
    assert_eq!(
        server.listen_fd(server.fd(stream)?),
        Err(Error::NOT_LISTENING)
    );
    server.abort(stream)?;
    server.close(listener)?;
    while server.pull_within(Duration::ZERO)? {}
    Ok(())
}

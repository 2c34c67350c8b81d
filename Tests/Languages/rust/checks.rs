//! checks.rs - what is reported in Rust while it runs. What does not compile stands in failures.

#[path = "../../../Examples/rust/sluice.rs"]
mod sluice;

use sluice::{
    Error, Event, Family, Id, ListenOptions, Loop, NotAdopted, Options, StreamOptions, Written,
};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::io::{AsRawFd, BorrowedFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Error> {
    let mut server = Loop::open()?;
    assert!(matches!(server.event(), Event::Nothing));
    let timer = server.timer(SECOND, Duration::ZERO)?;
    server.close(timer)?;
    let other = server.timer(SECOND, Duration::ZERO)?;
    assert_ne!(timer, other);
    assert_eq!(server.timer_reset(timer, SECOND), Err(Error::STALE));
    assert_eq!(server.fd(timer), Err(Error::STALE));
    server.close(timer)?;
    assert_eq!(server.write(timer, b"x")?, Written::Gone);
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
    assert_eq!(server.write(accepted, b"x")?, Written::Gone);
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
    gone()?;
    println!("ok a stream that is gone");
    over_the_hard_limit()?;
    println!("ok over the hard limit");
    abort_with_a_reason()?;
    println!("ok abort with a reason");
    what_comes_again()?;
    println!("ok what comes again");
    a_file_that_is_sent()?;
    println!("ok a file that is sent");
    options_of_a_loop()?;
    println!("ok options of a loop");
    options_of_a_listener()?;
    println!("ok options of a listener");
    options_of_a_stream()?;
    println!("ok options of a stream");
    adopt()?;
    println!("ok adopt");
    options_out_of_range(&server);
    println!("ok options out of range");

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

/// The stream that is accepted next.
fn accepted(server: &mut Loop) -> Result<Id, Error> {
    loop {
        server.pull()?;
        if let Event::Accepted { stream, .. } = server.event() {
            return Ok(stream);
        }
    }
}

/// Why the stream that ends next has ended.
fn closed(server: &mut Loop, expected: Id) -> Result<Result<(), Error>, Error> {
    loop {
        server.pull()?;
        if let Event::Closed { stream, reason, .. } = server.event() {
            assert_eq!(stream, expected);
            return Ok(reason);
        }
    }
}

/// So many clients, and their streams.
fn clients(server: &mut Loop, count: usize) -> Result<(Vec<TcpStream>, Vec<Id>), Error> {
    let listener = server.listen("127.0.0.1:0")?;
    let address = server.local_address(listener)?;
    let mut streams = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(TcpStream::connect(&address).unwrap());
        streams.push(accepted(server)?);
    }
    Ok((clients, streams))
}

/// All calls that need not know that a stream is gone.
fn use_gone(server: &Loop, gone: Id, other: Id) -> Result<(), Error> {
    server.pause(gone)?;
    server.resume(gone)?;
    server.hold(gone, 1)?;
    server.hold_until(gone, 1, 2)?;
    server.forward(gone, Some(other))?;
    server.forward(other, Some(gone))?;
    assert_eq!(server.flush(gone)?, Written::Gone);
    assert_eq!(server.shutdown(gone)?, Written::Gone);
    assert_eq!(server.try_write(gone, b"x")?, Written::Gone);
    server.close(gone)?;
    server.abort(gone)
}

/// What a client sends comes as data of its stream.
fn expect_answer(server: &mut Loop, client: &mut TcpStream, expected: Id) -> Result<(), Error> {
    client.write_all(b"and back").unwrap();
    loop {
        server.pull()?;
        if let Event::Data { stream, bytes, .. } = server.event() {
            assert_eq!((stream, bytes), (expected, b"and back".as_slice()));
            return Ok(());
        }
    }
}

fn expect_received(client: &mut impl Read, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
}

fn gone() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (mut clients, streams) = clients(&mut server, 4)?;
    server.close(streams[0])?;
    server.abort(streams[1])?;
    server.shutdown(streams[2])?;
    let written: Result<Vec<_>, _> = streams
        .iter()
        .map(|&stream| server.write(stream, b"to all"))
        .collect();
    let gone = Written::Gone;
    assert_eq!(written?, [gone, gone, gone, Written::Queued]);
    use_gone(&server, streams[1], streams[3])?;
    assert!(closed(&mut server, streams[1])?.is_err());
    use_gone(&server, streams[1], streams[3])?;
    expect_received(&mut clients[3], b"to all");
    expect_answer(&mut server, &mut clients[3], streams[3])
}

fn over_the_hard_limit() -> Result<(), Error> {
    let mut server = Loop::open_with(&Options {
        hard_limit: 20,
        ..Options::default()
    })?;
    let (mut clients, streams) = clients(&mut server, 3)?;
    assert_eq!(server.write(streams[0], &[0; 20])?, Written::Queued);
    assert_eq!(server.write(streams[0], b"one more")?, Written::Full);
    assert_eq!(server.write(streams[0], b"one more")?, Written::Gone);
    assert_eq!(server.try_write(streams[1], &[0; 21])?, Written::Full);
    assert_eq!(server.try_write(streams[1], b"fits")?, Written::Queued);
    server.write(streams[2], b"as ever")?;
    assert_eq!(closed(&mut server, streams[0])?, Err(Error::FULL));
    expect_received(&mut clients[1], b"fits");
    expect_received(&mut clients[2], b"as ever");
    expect_answer(&mut server, &mut clients[1], streams[1])?;
    expect_answer(&mut server, &mut clients[2], streams[2])
}

fn abort_with_a_reason() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (_clients, streams) = clients(&mut server, 3)?;
    let too_long = Error::from_raw_os_error(90);
    server.abort_with(streams[0], &too_long)?;
    let told = closed(&mut server, streams[0])?.unwrap_err();
    assert_eq!(told, too_long);
    assert_eq!(told.raw_os_error(), Some(90));
    server.abort_with(streams[1], &Error::FULL)?;
    assert_eq!(closed(&mut server, streams[1])?, Err(Error::FULL));
    let none = Error::from_raw_os_error(0);
    assert_eq!(server.abort_with(streams[2], &none), Err(Error::OPTION));
    assert_eq!(server.write(streams[2], b"x")?, Written::Queued);
    server.abort_with(server.timer(SECOND, SECOND)?, &too_long)?;
    server.abort_with(streams[0], &too_long) // it has ended
}

/// The next data: how many of its bytes came before, and whether it is the last.
fn data(server: &mut Loop, expected: &[u8]) -> Result<(usize, bool), Error> {
    server.pull()?;
    match server.event() {
        Event::Data {
            bytes,
            seen,
            is_last,
            ..
        } => {
            assert_eq!(bytes, expected);
            Ok((seen, is_last))
        }
        other => panic!("{other:?}"),
    }
}

fn what_comes_again() -> Result<(), Error> {
    let mut server = Loop::open_with(&Options {
        hard_limit: 20,
        ..Options::default()
    })?;
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let stream = server.adopt(ours)?;
    peer.write_all(b"ab").unwrap();
    assert_eq!(data(&mut server, b"ab")?, (0, false));
    assert_eq!(server.hold_until(stream, 3, 4), Err(Error::CAPACITY));
    server.hold_until(stream, 2, 4)?;
    peer.write_all(b"c").unwrap();
    assert!(!server.pull_within(Duration::ZERO)?);
    peer.write_all(b"d").unwrap();
    assert_eq!(data(&mut server, b"abcd")?, (2, false));
    server.hold(stream, 3)?;
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(data(&mut server, b"bcd")?, (3, true));
    server.pull()?;
    assert!(matches!(server.event(), Event::Eof(id) if id == stream));

    let (ours, mut peer) = UnixStream::pair().unwrap();
    let stream = server.adopt(ours)?;
    peer.write_all(b"!").unwrap();
    while !matches!(server.event(), Event::Data { .. }) {
        server.pull()?;
    }
    server.hold_until(stream, 1, 21)?;
    assert_eq!(closed(&mut server, stream)?, Err(Error::FULL));
    Ok(())
}

fn a_file_that_is_sent() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let options = StreamOptions {
        high_mark: 6,
        ..StreamOptions::default()
    };
    let stream = server.adopt_with(ours, &options)?;
    let path = std::env::temp_dir().join(format!("sluice-file-{}", std::process::id()));
    std::fs::write(&path, b"0123456789").unwrap();
    let file = File::open(&path).unwrap();
    let unread = OpenOptions::new().write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    server.write(stream, b"head ")?;
    assert_eq!(server.send_file(stream, &file, 1, 100)?, Some(6)); // the high mark
    server.pull()?;
    assert!(matches!(server.event(), Event::Drained(id) if id == stream));
    assert_eq!(server.send_file(stream, &file, 7, 2)?, Some(2));
    expect_received(&mut peer, b"head 12345678");
    let errno = |result: Result<Option<usize>, Error>| result.unwrap_err().raw_os_error();
    assert_eq!(errno(server.send_file(stream, &file, 10, 1)), Some(61));
    assert_eq!(
        errno(server.send_file(stream, &file, u64::MAX, 1)),
        Some(22)
    );
    assert_eq!(errno(server.send_file(stream, &unread, 0, 1)), Some(9));
    assert_eq!(server.send_file(stream, &file, 9, 1)?, Some(1));
    expect_received(&mut peer, b"9");
    let timer = server.timer(SECOND, SECOND)?;
    let refused = server.send_file(timer, &file, 0, 1);
    assert_eq!(refused, Err(Error::WRONG_KIND));
    drop(peer);
    assert_eq!(server.send_file(stream, &file, 0, 1)?, None);
    let reason = closed(&mut server, stream)?.unwrap_err();
    assert_eq!(reason.raw_os_error(), Some(32));
    assert_eq!(server.send_file(stream, &file, 0, 1)?, None);
    Ok(())
}

fn options_of_a_loop() -> Result<(), Error> {
    let mut server = Loop::open_with(&Options {
        backend: Some("poll"),
        high_mark: 10,
        low_mark: 5,
        hard_limit: 20,
        interruptible: true,
        ..Options::default()
    })?;
    let listener = server.listen("127.0.0.1:0")?;
    let stream = server.connect(&server.local_address(listener)?)?;
    assert_eq!(server.write(stream, &[0; 10])?, Written::Queued);
    assert_eq!(server.write(stream, &[0; 10])?, Written::OverHighMark);
    assert_eq!(server.try_write(stream, &[0])?, Written::Full);
    loop {
        server.pull()?;
        if matches!(server.event(), Event::Drained(id) if id == stream) {
            break;
        }
    }
    let server = Loop::open_with(&Options {
        handle_limit: 1,
        post_limit: 1,
        memory_limit: 4096,
        receive_size: 4096,
        ..Options::default()
    })?;
    server.timer(SECOND, SECOND)?;
    assert_eq!(server.timer(SECOND, SECOND), Err(Error::FULL));
    server.poster().post(1)?;
    assert_eq!(server.poster().post(1), Err(Error::FULL));
    Ok(())
}

fn options_of_a_listener() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let path = std::env::temp_dir().join(format!("sluice-checks-{}", std::process::id()));
    let listener = server.listen_with(
        &format!("unix:{}", path.display()),
        &ListenOptions {
            unix_mode: 0o620,
            ..ListenOptions::default()
        },
    )?;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    server.close(listener)?;
    assert_eq!(mode & 0o777, 0o620);

    let options = ListenOptions {
        only_ipv6: true,
        reuse_port: true,
        backlog: 5,
        accept_batch: 1,
        connection_limit: 1,
        streams: StreamOptions {
            idle_timeout: Duration::from_millis(1),
            ..StreamOptions::default()
        },
        ..ListenOptions::default()
    };
    let listener = server.listen_with("[::]:0", &options)?;
    let address = server.local_address(listener)?;
    server.listen_with(&address, &options)?; // at the same port
    let port = address.rsplit(':').next().unwrap();
    let refused = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let _client = TcpStream::connect(format!("[::1]:{port}")).unwrap();
    let stream = accepted(&mut server)?;
    let reason = closed(&mut server, stream)?.unwrap_err();
    assert_eq!(io::Error::from(reason).kind(), io::ErrorKind::TimedOut);

    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
    let streams = StreamOptions {
        high_mark: 1,
        ..StreamOptions::default()
    };
    server.listen_fd_with(
        listening.into_raw_fd(),
        &ListenOptions {
            streams,
            ..ListenOptions::default()
        },
    )?;
    let stream = accepted(&mut server)?;
    assert_eq!(server.write(stream, b"ab")?, Written::OverHighMark);
    Ok(())
}

fn options_of_a_stream() -> Result<(), Error> {
    let server = Loop::open()?;
    let listener = server.listen("127.0.0.1:0")?;
    let stream = server.connect_with(
        &server.local_address(listener)?,
        &StreamOptions {
            source: Some("127.0.0.2:0"),
            delay: true,
            keepalive: true,
            keepalive_after: Duration::from_millis(30_500),
            connect_timeout: 60 * SECOND,
            linger: SECOND,
            high_mark: 9,
            ..StreamOptions::default()
        },
    )?;
    assert!(server.local_address(stream)?.starts_with("127.0.0.2:"));
    let fd = unsafe { BorrowedFd::borrow_raw(server.fd(stream)?) };
    let connection = TcpStream::from(fd.try_clone_to_owned().unwrap());
    assert!(!connection.nodelay().unwrap());
    assert_eq!(server.write(stream, &[0; 10])?, Written::OverHighMark);
    Ok(())
}

fn adopt() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let stream = server.adopt_with(
        ours,
        &StreamOptions {
            half_open: true,
            throttled: Some(true),
            ..StreamOptions::default()
        },
    )?;
    theirs.write_all(b"hello").unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    server.pull()?;
    assert!(
        matches!(server.event(), Event::Data { stream: id, bytes: b"hello", .. } if id == stream)
    );
    server.pull()?;
    assert!(matches!(server.event(), Event::Eof(id) if id == stream));
    server.write(stream, b"half-open")?; // or it would be closed by now
    server.close(stream)?;
    assert_eq!(closed(&mut server, stream)?, Ok(()));
    let mut received = String::new();
    theirs.read_to_string(&mut received).unwrap();
    assert_eq!(received, "half-open");

    // One that is refused is still there.
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = listening.as_raw_fd();
    let NotAdopted { fd, error } = server.adopt(listening).unwrap_err();
    assert_eq!((error, fd.as_raw_fd()), (Error::LISTENS, number));
    assert!(TcpListener::from(fd).local_addr().is_ok());
    Ok(())
}

fn options_out_of_range(server: &Loop) {
    fn refused<T>(result: Result<T, Error>, expected: Error, words: &str) {
        let error = result.err().unwrap();
        assert_eq!(error, expected);
        assert!(error.to_string().contains(words), "{error}");
    }
    let opened = |options| Loop::open_with(&options);
    let connected = |options| server.connect_with("127.0.0.1:1", &options);
    let marks = Options {
        high_mark: 10,
        low_mark: 20,
        ..Options::default()
    };
    let words = "(with high_mark: 10, low_mark: 20)";
    refused(opened(marks), Error::OPTION, words);
    let backend = |name| Options {
        backend: Some(name),
        ..Options::default()
    };
    let words = "backend: Some(\"none\")";
    refused(opened(backend("none")), Error::NO_BACKEND, words);
    refused(opened(backend("po\0ll")), Error::OPTION, "po\\0ll");
    let keepalive = StreamOptions {
        keepalive_after: 40_000 * SECOND,
        ..StreamOptions::default()
    };
    let words = "(with keepalive_after: 40000s)";
    refused(connected(keepalive), Error::OPTION, words);
    let source = |source| StreamOptions {
        source: Some(source),
        ..StreamOptions::default()
    };
    refused(connected(source("[::1]:0")), Error::OPTION, "[::1]:0");
    refused(connected(source("x")), Error::PORT, "Some(\"x\")");
    let listening = ListenOptions {
        unix_mode: 0o1000,
        streams: keepalive,
        ..ListenOptions::default()
    };
    let result = server.listen_with("127.0.0.1:0", &listening);
    let words = "(with unix_mode: 0o1000, keepalive_after: 40000s)";
    refused(result, Error::OPTION, words);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let refusal = server.adopt_with(ours, &keepalive).map_err(Error::from);
    refused(refusal, Error::OPTION, "keepalive_after: 40000s");
}

//! What is reported while a program runs. What does not compile stands in the documentation of the
//! crate.

use sluice::{
    Error, ErrorKind, Event, Events, Family, Interest, ListenOptions, Loop, NotAdopted, Options,
    Poller, Stream, StreamOptions, Token, Written,
};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::io::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Of errors one may look at the kind alone.
fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn stale_id() -> Result<(), Error> {
    let mut server = Loop::open()?;
    assert!(matches!(server.event(), Event::Nothing));
    let timer = server.timer(SECOND, Duration::ZERO)?;
    server.close(timer)?;
    let other = server.timer(SECOND, Duration::ZERO)?;
    assert_ne!(timer, other);
    assert_eq!(timer.slot(), other.slot());
    assert_eq!(kind(server.timer_reset(timer, SECOND)), ErrorKind::Stale);
    server.close(timer)?;
    let listener = server.listen("127.0.0.1:0")?;
    server.close(listener)?;
    assert_eq!(kind(server.fd(listener)), ErrorKind::Stale);
    assert_eq!(kind(server.local_address(listener)), ErrorKind::Stale);
    Ok(())
}

#[test]
fn id_of_another_loop() -> Result<(), Error> {
    let (mut one, mut two) = (Loop::open()?, Loop::open()?);
    let timer = one.timer(SECOND, SECOND)?;
    let same = two.timer(SECOND, SECOND)?;
    assert_eq!(timer.id(), same.id());
    assert_ne!(timer, same);
    let other = ErrorKind::OtherLoop;
    assert_eq!(kind(two.timer_reset(timer, SECOND)), other);
    assert_eq!(kind(two.close(timer)), other);
    two.timer_reset(same, SECOND)?;
    let pair = || UnixStream::pair().unwrap().0;
    let (here, there) = (one.adopt(pair())?, two.adopt(pair())?);
    assert_eq!(kind(two.write(here, b"x")), other);
    assert_eq!(kind(two.forward(there, Some(here))), other);
    assert_eq!(kind(two.fd(here)), other);
    assert_eq!(two.name_problem(here), None);
    assert_eq!(Error::from(other).errno(), 22);
    assert!(one.fd(here).is_ok() && one.write(here, b"x").is_ok());
    Ok(())
}

#[test]
fn errors() -> Result<(), Error> {
    let server = Loop::open()?;
    assert_eq!(kind(server.listen("no address")), ErrorKind::Address);
    assert_eq!(kind(server.listen("unix:/with\0in")), ErrorKind::Address);
    assert_eq!(kind(server.connect("127.0.0.1:1\0")), ErrorKind::Address);
    assert_eq!(
        kind(server.resolve("a\0:1", Family::Any)),
        ErrorKind::Address
    );
    assert_eq!(kind(server.listen("127.0.0.1:99999")), ErrorKind::Port);
    assert_eq!(kind(server.connect("*:80")), ErrorKind::Numeric);
    assert_eq!(Error::from(ErrorKind::Port).errno(), 22);
    let refused = server.listen("unix:/no/such/folder/s").unwrap_err();
    assert_eq!(
        (refused.kind(), refused.raw_os_error()),
        (ErrorKind::Os, Some(2))
    );
    assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::NotFound);
    let stale = Error::from(ErrorKind::Stale);
    assert_eq!(stale.raw_os_error(), None);
    assert_eq!(stale.to_string(), "this handle has ended; forget its id");
    assert_eq!(format!("{stale:?}"), format!("Stale: {stale}"));
    assert_eq!(
        io::Error::from(stale.clone()).to_string(),
        stale.to_string()
    );
    assert_eq!(
        io::Error::from(Error::from(ErrorKind::Port)).kind(),
        io::ErrorKind::InvalidInput
    );
    Ok(())
}

#[test]
fn what_became_of_a_write() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let listener = server.listen("127.0.0.1:0")?;
    let _client = server.connect(&server.local_address(listener)?)?;
    let accepted = accepted(&mut server)?;
    assert_eq!(server.write(accepted, b"x")?, Written::Queued);
    let large = vec![0; 20_000_000];
    assert_eq!(server.write(accepted, &large)?, Written::OverHighMark);
    assert!(server.pending(accepted)? > 0);
    server.shutdown(accepted)?;
    assert_eq!(server.write(accepted, b"x")?, Written::Gone);
    Ok(())
}

#[test]
fn wake() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let waking = server.poster();
    let thread = std::thread::spawn(move || waking.wake());
    server.pull()?;
    assert!(matches!(server.event(), Event::Nothing));
    thread.join().unwrap()?;
    assert!(server.update_now()? <= server.update_now()?);
    assert!(server.now()? <= server.update_now()?);
    assert!(!server.pull_within(Duration::from_millis(1))?);
    assert!(matches!(server.event(), Event::Nothing));
    Ok(())
}

#[test]
fn posting_from_another_thread() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let from_afar = server.poster();
    let posting = std::thread::spawn(move || from_afar.post(u64::MAX));
    posting.join().unwrap()?;
    server.pull()?;
    assert!(matches!(server.event(), Event::Posted(u64::MAX)));
    Ok(())
}

#[test]
fn use_after_close() -> Result<(), Error> {
    let server = Loop::open()?;
    let poster = server.poster();
    drop(server);
    assert_eq!(kind(poster.post(1)), ErrorKind::Closed);
    assert_eq!(kind(poster.wake()), ErrorKind::Closed);
    Ok(())
}

#[test]
fn half_close() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let stream = server.adopt_with(ours, &StreamOptions::new().half_open(true))?;
    peer.write_all(b"a question").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(data(&mut server, b"a question")?, (0, false));
    server.pull()?;
    assert!(matches!(server.event(), Event::Eof(id) if id == stream));
    let pieces = [IoSlice::new(b"an "), IoSlice::new(b"answer")];
    assert_eq!(server.write_vectored(stream, &pieces)?, Written::Queued);
    assert_eq!(server.write_vectored(stream, &[])?, Written::Queued);
    server.shutdown(stream)?;
    assert_eq!(closed(&mut server, stream)?, Ok(()));
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "an answer");
    let stats = server.stats()?;
    assert_eq!(
        (stats.bytes_received, stats.bytes_sent, stats.streams),
        (10, 9, 0)
    );
    Ok(())
}

/// Messages with their length in front, in pieces of any size.
#[test]
fn framing() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (ours, mut peer) = UnixStream::pair().unwrap();
    server.adopt(ours)?;
    let sent: Vec<Vec<u8>> = (0..200u8).map(|n| vec![n; usize::from(n)]).collect();
    let bytes: Vec<u8> = sent
        .iter()
        .flat_map(|message| [&[message.len() as u8][..], message].concat())
        .collect();
    let (mut received, mut pieces) = (Vec::new(), bytes.chunks(7));
    while received.len() < sent.len() {
        if !server.pull_within(Duration::ZERO)? {
            peer.write_all(pieces.next().unwrap()).unwrap();
            continue;
        }
        if let Event::Data { stream, bytes, .. } = server.event() {
            let mut rest = bytes;
            while let Some((&length, after)) = rest.split_first() {
                if after.len() < usize::from(length) {
                    break;
                }
                let (message, next) = after.split_at(usize::from(length));
                received.push(message.to_vec());
                rest = next;
            }
            let total = rest.first().map_or(1, |&length| usize::from(length) + 1);
            server.hold_until(stream, rest.len(), total)?;
        }
    }
    assert_eq!(received, sent);
    Ok(())
}

#[test]
fn a_listener_that_is_shut_down() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let listener = server.listen("127.0.0.1:0")?;
    server.shutdown_listener(listener)?;
    server.pull()?;
    assert!(matches!(server.event(), Event::Ended(id) if id == listener));
    Ok(())
}

#[test]
fn readiness() -> Result<(), Error> {
    for backend in ["epoll", "poll", "select"] {
        let mut poller = Poller::with_backend(backend)?;
        assert_eq!(poller.backend_name(), backend);
        let mut events = Events::with_capacity(4);
        let (mut near, far) = UnixStream::pair().unwrap();
        poller.register(&far, Token(7), Interest::READABLE)?;
        let twice = poller.register(&far, Token(7), Interest::READABLE);
        assert_eq!(twice.unwrap_err().raw_os_error(), Some(17));
        poller.poll(&mut events, Some(Duration::ZERO))?;
        assert!(events.is_empty());
        near.write_all(b"x").unwrap();
        poller.poll(&mut events, None)?;
        let event = events.iter().next().unwrap();
        assert_eq!((event.token(), event.is_writable()), (Token(7), false));
        assert!(event.is_readable() && event.raw_fd() == far.as_raw_fd());
        let both = Interest::READABLE | Interest::WRITABLE;
        poller.reregister(&far, Token(8), both.one_shot())?;
        poller.poll(&mut events, None)?;
        let event = events.iter().next().unwrap();
        assert!(event.is_writable() && poller.is_current(&event));
        poller.poll(&mut events, Some(Duration::ZERO))?;
        assert!(events.is_empty());
        poller.deregister(&far)?;
        assert!(!poller.is_current(&event));
        assert_eq!(poller.deregister(&far).unwrap_err().raw_os_error(), Some(2));
        let waker = poller.waker();
        let waking = waker.clone();
        let thread = std::thread::spawn(move || waking.wake());
        poller.poll(&mut events, None)?;
        assert!(events.is_empty());
        thread.join().unwrap()?;
        drop(poller);
        waker.wake()?;
    }
    assert_eq!(kind(Poller::with_backend("none")), ErrorKind::NoBackend);
    assert_eq!(kind(Poller::with_backend("po\0ll")), ErrorKind::NoBackend);
    assert_eq!(
        format!("{:?}", Interest::READABLE.edge()),
        "READABLE | EDGE"
    );
    Ok(())
}

#[test]
fn a_watch() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (near, far) = UnixStream::pair().unwrap();
    let watch = server.watch(&far, Interest::WRITABLE)?;
    server.pull()?;
    match server.event() {
        Event::Ready {
            watch: id,
            readiness,
        } => {
            assert!(id == watch && readiness.is_writable() && !readiness.is_readable());
        }
        other => panic!("{other:?}"),
    }
    server.rewatch(watch, Interest::NONE)?;
    assert!(!server.pull_within(Duration::ZERO)?);
    drop(near);
    server.close(watch)
}

fn connected(server: &mut Loop, stream: Stream) -> Result<(), Error> {
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
            ..
        } = server.event()
        {
            assert_eq!(lookup, expected);
            return Ok((text.to_string(), reason));
        }
    }
}

#[test]
fn names() -> Result<(), Error> {
    let server = &mut Loop::open()?;
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
    assert_eq!(reason, Err(ErrorKind::Name.into()));
    let in_vain = server.connect(unknown)?;
    loop {
        server.pull()?;
        if let Event::Closed { stream, reason, .. } = server.event() {
            assert_eq!((stream, reason), (in_vain, Err(ErrorKind::Name.into())));
            break;
        }
    }
    assert_eq!(server.name_problem(in_vain), Some(words.as_str()));
    server.close(listener)
}

#[test]
fn listener_from_elsewhere() -> Result<(), Error> {
    let server = &mut Loop::open()?;
    let listener = server.listen_fd(TcpListener::bind("127.0.0.1:0").unwrap())?;
    let stream = server.connect(&server.local_address(listener)?)?;
    connected(server, stream)?;
    let fd = server.fd(stream)?.try_clone_to_owned().unwrap();
    let number = fd.as_raw_fd();
    let NotAdopted { fd, error, .. } = server.listen_fd(fd).unwrap_err();
    assert_eq!(
        (error.kind(), fd.as_raw_fd()),
        (ErrorKind::NotListening, number)
    );
    server.abort(stream)?;
    server.close(listener)?;
    while server.pull_within(Duration::ZERO)? {}
    Ok(())
}

/// The stream that is accepted next.
fn accepted(server: &mut Loop) -> Result<Stream, Error> {
    loop {
        server.pull()?;
        if let Event::Accepted { stream, .. } = server.event() {
            return Ok(stream);
        }
    }
}

/// Why the stream that ends next has ended.
fn closed(server: &mut Loop, expected: Stream) -> Result<Result<(), Error>, Error> {
    loop {
        server.pull()?;
        if let Event::Closed { stream, reason, .. } = server.event() {
            assert_eq!(stream, expected);
            return Ok(reason);
        }
    }
}

/// What the end that was pulled last says of its peer.
fn input_had_ended(server: &Loop) -> bool {
    matches!(server.event(), Event::Closed { input_ended, .. } if input_ended)
}

/// So many clients, and their streams.
fn clients(server: &mut Loop, count: usize) -> Result<(Vec<TcpStream>, Vec<Stream>), Error> {
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
fn use_gone(server: &Loop, gone: Stream, other: Stream) -> Result<(), Error> {
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
fn expect_answer(server: &mut Loop, client: &mut TcpStream, expected: Stream) -> Result<(), Error> {
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

#[test]
fn a_stream_that_is_gone() -> Result<(), Error> {
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

#[test]
fn over_the_hard_limit() -> Result<(), Error> {
    let mut server = Loop::open_with(&Options::new().hard_limit(20))?;
    let (mut clients, streams) = clients(&mut server, 3)?;
    assert_eq!(server.write(streams[0], &[0; 20])?, Written::Queued);
    assert_eq!(server.write(streams[0], b"one more")?, Written::Full);
    assert_eq!(server.write(streams[0], b"one more")?, Written::Gone);
    assert_eq!(server.try_write(streams[1], &[0; 21])?, Written::Full);
    assert_eq!(server.try_write(streams[1], b"fits")?, Written::Queued);
    server.write(streams[2], b"as ever")?;
    assert_eq!(
        closed(&mut server, streams[0])?,
        Err(ErrorKind::Full.into())
    );
    expect_received(&mut clients[1], b"fits");
    expect_received(&mut clients[2], b"as ever");
    expect_answer(&mut server, &mut clients[1], streams[1])?;
    expect_answer(&mut server, &mut clients[2], streams[2])
}

#[test]
fn abort_with_a_reason() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (_clients, streams) = clients(&mut server, 3)?;
    let too_long = Error::from_raw_os_error(90);
    server.abort_with(streams[0], too_long.clone())?;
    let told = closed(&mut server, streams[0])?.unwrap_err();
    assert_eq!(told, too_long);
    assert_eq!(told.raw_os_error(), Some(90));
    server.abort_with(streams[1], ErrorKind::Full)?;
    assert_eq!(
        closed(&mut server, streams[1])?,
        Err(ErrorKind::Full.into())
    );
    let none = Error::from_raw_os_error(0);
    assert_eq!(
        server.abort_with(streams[2], none),
        Err(ErrorKind::Option.into())
    );
    assert_eq!(server.write(streams[2], b"x")?, Written::Queued);
    server.abort_with(streams[0], too_long.clone()) // it has ended
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

#[test]
fn what_comes_again() -> Result<(), Error> {
    let mut server = Loop::open_with(&Options::new().hard_limit(20))?;
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let stream = server.adopt(ours)?;
    peer.write_all(b"ab").unwrap();
    assert_eq!(data(&mut server, b"ab")?, (0, false));
    assert_eq!(
        server.hold_until(stream, 3, 4),
        Err(ErrorKind::Capacity.into())
    );
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
    assert_eq!(closed(&mut server, stream)?, Ok(()));
    assert!(input_had_ended(&server));

    let (ours, mut peer) = UnixStream::pair().unwrap();
    let stream = server.adopt(ours)?;
    peer.write_all(b"!").unwrap();
    while !matches!(server.event(), Event::Data { .. }) {
        server.pull()?;
    }
    server.hold_until(stream, 1, 21)?;
    assert_eq!(closed(&mut server, stream)?, Err(ErrorKind::Full.into()));
    assert!(!input_had_ended(&server));
    Ok(())
}

#[test]
fn a_file_that_is_sent() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let options = StreamOptions::new().high_mark(6);
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
    drop(peer);
    assert_eq!(server.send_file(stream, &file, 0, 1)?, None);
    let reason = closed(&mut server, stream)?.unwrap_err();
    assert_eq!(reason.raw_os_error(), Some(32));
    assert_eq!(server.send_file(stream, &file, 0, 1)?, None);
    Ok(())
}

#[test]
fn options_of_a_loop() -> Result<(), Error> {
    let mut server = Loop::open_with(
        &Options::new()
            .backend("poll")
            .high_mark(10)
            .low_mark(5)
            .hard_limit(20)
            .interruptible(true),
    )?;
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
    let server = Loop::open_with(
        &Options::new()
            .handle_limit(1)
            .post_limit(1)
            .memory_limit(4096)
            .receive_size(4096),
    )?;
    server.timer(SECOND, SECOND)?;
    assert_eq!(server.timer(SECOND, SECOND), Err(ErrorKind::Full.into()));
    server.poster().post(1)?;
    assert_eq!(server.poster().post(1), Err(ErrorKind::Full.into()));
    Ok(())
}

#[test]
fn options_of_a_listener() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let path = std::env::temp_dir().join(format!("sluice-checks-{}", std::process::id()));
    let listener = server.listen_with(
        &format!("unix:{}", path.display()),
        &ListenOptions::new().unix_mode(0o620),
    )?;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    server.close(listener)?;
    assert_eq!(mode & 0o777, 0o620);

    let options = ListenOptions::new()
        .only_ipv6(true)
        .reuse_port(true)
        .backlog(5)
        .accept_batch(1)
        .connection_limit(1)
        .streams(StreamOptions::new().idle_timeout(Duration::from_millis(1)));
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
    let streams = StreamOptions::new().high_mark(1);
    server.listen_fd_with(listening, &ListenOptions::new().streams(streams))?;
    let stream = accepted(&mut server)?;
    assert_eq!(server.write(stream, b"ab")?, Written::OverHighMark);
    Ok(())
}

#[test]
fn options_of_a_stream() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let listener = server.listen("127.0.0.1:0")?;
    let stream = server.connect_with(
        &server.local_address(listener)?,
        &StreamOptions::new()
            .source("127.0.0.2:0")
            .delay(true)
            .keepalive(true)
            .keepalive_after(Duration::from_millis(30_500))
            .connect_timeout(60 * SECOND)
            .linger(SECOND)
            .high_mark(9),
    )?;
    assert!(server.local_address(stream)?.starts_with("127.0.0.2:"));
    let fd = server.fd(stream)?;
    let connection = TcpStream::from(fd.try_clone_to_owned().unwrap());
    assert!(!connection.nodelay().unwrap());
    assert_eq!(server.write(stream, &[0; 10])?, Written::OverHighMark);
    Ok(())
}

#[test]
fn adopt() -> Result<(), Error> {
    let mut server = Loop::open()?;
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let stream = server.adopt_with(ours, &StreamOptions::new().half_open(true).throttled(true))?;
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
    let NotAdopted { fd, error, .. } = server.adopt(listening).unwrap_err();
    assert_eq!((error.kind(), fd.as_raw_fd()), (ErrorKind::Listens, number));
    assert!(TcpListener::from(fd).local_addr().is_ok());
    Ok(())
}

#[test]
fn options_out_of_range() {
    let server = Loop::open().unwrap();
    fn refused<T>(result: Result<T, Error>, expected: ErrorKind, words: &str) {
        let error = result.err().unwrap();
        assert_eq!(error, expected);
        assert!(error.to_string().contains(words), "{error}");
    }
    let opened = |options| Loop::open_with(&options);
    let connected = |options: &_| server.connect_with("127.0.0.1:1", options);
    let marks = Options::new().high_mark(10).low_mark(20);
    let words = "(with high_mark: 10, low_mark: 20)";
    refused(opened(marks), ErrorKind::Option, words);
    let backend = |name| Options::new().backend(name);
    let words = "(with backend: \"none\")";
    refused(opened(backend("none")), ErrorKind::NoBackend, words);
    refused(opened(backend("po\0ll")), ErrorKind::Option, "po\\0ll");
    let keepalive = StreamOptions::new().keepalive_after(40_000 * SECOND);
    let words = "(with keepalive_after: 40000s)";
    refused(connected(&keepalive), ErrorKind::Option, words);
    let source = |source| StreamOptions::new().source(source);
    refused(connected(&source("[::1]:0")), ErrorKind::Option, "[::1]:0");
    refused(connected(&source("x")), ErrorKind::Port, "source: \"x\"");
    let listening = ListenOptions::new()
        .unix_mode(0o1000)
        .streams(keepalive.clone());
    let result = server.listen_with("127.0.0.1:0", &listening);
    let words = "(with unix_mode: 0o1000, keepalive_after: 40000s)";
    refused(result, ErrorKind::Option, words);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let refusal = server.adopt_with(ours, &keepalive).map_err(Error::from);
    refused(refusal, ErrorKind::Option, "keepalive_after: 40000s");
    let at_once = StreamOptions::new().linger(Duration::ZERO);
    refused(connected(&at_once), ErrorKind::Option, "linger: 0ns");
}

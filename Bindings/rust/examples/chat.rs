//! chat [ADDRESS] - a chat room of lines: what one says all others hear. Try it with `nc`.

use sluice::{Error, ErrorKind, Event, Loop, Stream};
use std::collections::BTreeMap;

const LONGEST_LINE: usize = 1000;

/// Who is here, by stream. It stands beside the loop, and is lent it.
struct Room {
    names: BTreeMap<Stream, String>,
}

impl Room {
    fn enter(&mut self, server: &Loop, stream: Stream) -> Result<(), Error> {
        let name = format!("guest{}", stream.slot());
        server.write(stream, format!("you are {name}\n").as_bytes())?;
        self.names.insert(stream, name.clone());
        self.say(server, stream, format!("* {name} has come\n").as_bytes())
    }

    /// Cuts the bytes into lines. The loop brings the last part again, with what follows.
    fn hear(&self, server: &Loop, stream: Stream, bytes: &[u8]) -> Result<(), Error> {
        let name = &self.names[&stream];
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line = [name.as_bytes(), b": ", &rest[..=end]].concat();
            self.say(server, stream, &line)?;
            rest = &rest[end + 1..];
        }
        if rest.len() > LONGEST_LINE {
            return server.abort_with(stream, ErrorKind::Full);
        }
        server.hold(stream, rest.len())
    }

    /// One who does not read is dropped by the write that is too much, and the others go on.
    fn say(&self, server: &Loop, speaker: Stream, words: &[u8]) -> Result<(), Error> {
        for &stream in self.names.keys() {
            if stream != speaker {
                server.write(stream, words)?;
            }
        }
        Ok(())
    }

    fn leave(&mut self, server: &Loop, stream: Stream) -> Result<(), Error> {
        match self.names.remove(&stream) {
            Some(name) => self.say(server, stream, format!("* {name} has left\n").as_bytes()),
            None => Ok(()),
        }
    }
}

fn serve(address: &str) -> Result<(), Error> {
    let mut server = Loop::open()?;
    let listener = server.listen(address)?;
    println!("listening on {}", server.local_address(listener)?);
    let mut room = Room {
        names: BTreeMap::new(),
    };
    loop {
        server.pull()?;
        match server.event() {
            Event::Accepted { stream, .. } => room.enter(&server, stream)?,
            Event::Data { stream, bytes, .. } => room.hear(&server, stream, bytes)?,
            Event::Closed { stream, .. } => room.leave(&server, stream)?,
            _ => {}
        }
    }
}

fn main() {
    let address = std::env::args().nth(1);
    if let Err(error) = serve(address.as_deref().unwrap_or("127.0.0.1:9999")) {
        eprintln!("chat: {error}");
        std::process::exit(1);
    }
}

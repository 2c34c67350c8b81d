//! poller [ADDRESS] - an echo server over readiness alone, with the standard library's sockets. What a
//! peer does not read is kept, and the peer is not read from meanwhile.

use sluice::{Events, Interest, Poller, Token};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

const LISTENER: Token = Token(0);

struct Connection {
    socket: TcpStream,
    waiting: Vec<u8>,
}

impl Connection {
    /// Reads while nothing waits to be written: whether it goes on.
    fn step(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            while !self.waiting.is_empty() {
                let sent = self.socket.write(&self.waiting)?;
                self.waiting.drain(..sent);
            }
            match self.socket.read(&mut buffer)? {
                0 => return Ok(false),
                count => self.waiting.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn interest(&self) -> Interest {
        if self.waiting.is_empty() {
            Interest::READABLE
        } else {
            Interest::WRITABLE
        }
    }
}

fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let mut poller = Poller::new()?;
    poller.register(&listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(256);
    let mut connections = HashMap::new();
    let mut next = LISTENER.0;
    loop {
        poller.poll(&mut events, None)?;
        for event in &events {
            let token = event.token();
            if token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    next += 1;
                    poller.register(&socket, Token(next), Interest::READABLE)?;
                    let waiting = Vec::new();
                    connections.insert(Token(next), Connection { socket, waiting });
                }
                continue;
            }
            let connection = match connections.get_mut(&token) {
                Some(connection) => connection,
                None => continue,
            };
            let goes_on = match connection.step() {
                Ok(goes_on) => goes_on,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            };
            if goes_on {
                poller.reregister(&connection.socket, token, connection.interest())?;
            } else {
                poller.deregister(&connection.socket)?;
                connections.remove(&token);
            }
        }
    }
}

fn main() {
    let address = std::env::args().nth(1);
    if let Err(error) = serve(address.as_deref().unwrap_or("127.0.0.1:9999")) {
        eprintln!("poller: {error}");
        std::process::exit(1);
    }
}

//! echo [ADDRESS] - an echo server that says where it listens, and on SIGTERM ends in order: it
//! accepts no more, sends what is queued, and waits until each peer has it.

use sluice::{Error, Event, Loop};
use std::collections::HashSet;

const SIGTERM: i32 = 15;

fn serve(address: &str) -> Result<(), Error> {
    let mut server = Loop::open()?;
    let listener = server.listen(address)?;
    server.signal(SIGTERM)?;
    println!("listening on {}", server.local_address(listener)?);
    let mut streams = HashSet::new();
    let mut ending = false;
    while !ending || !streams.is_empty() {
        server.pull()?;
        match server.event() {
            Event::Accepted { stream, .. } => {
                streams.insert(stream);
            }
            Event::Data { stream, bytes, .. } => {
                server.write(stream, bytes)?;
            }
            Event::Closed { stream, .. } => {
                streams.remove(&stream);
            }
            Event::Signal { .. } => {
                ending = true;
                server.close(listener)?;
                for &stream in &streams {
                    server.close(stream)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn main() {
    let address = std::env::args().nth(1);
    if let Err(error) = serve(address.as_deref().unwrap_or("127.0.0.1:9999")) {
        eprintln!("echo: {}", error);
        std::process::exit(1);
    }
}

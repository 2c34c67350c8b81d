// expect: E0502
#[path = "../../../../Examples/rust/sluice.rs"]
mod sluice;

fn main() -> Result<(), sluice::Error> {
    let mut server = sluice::Loop::open()?;
    server.pull()?;
    if let sluice::Event::Data { stream, bytes, .. } = server.event() {
        server.pull()?;
        server.write(stream, bytes)?;
    }
    Ok(())
}

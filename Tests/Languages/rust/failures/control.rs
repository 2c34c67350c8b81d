// The control: what is copied can be kept.
#[path = "../../../../Examples/rust/sluice.rs"]
mod sluice;

fn main() -> Result<(), sluice::Error> {
    let mut server = sluice::Loop::open()?;
    let mut kept = Vec::new();
    loop {
        server.pull()?;
        if let sluice::Event::Data { stream, bytes, .. } = server.event() {
            kept.extend_from_slice(bytes);
            server.write(stream, bytes)?;
            server.close(stream)?;
        }
    }
}

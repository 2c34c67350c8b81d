// expect: E0502
#[path = "../../../../Examples/rust/sluice.rs"]
mod sluice;

fn main() -> Result<(), sluice::Error> {
    let mut server = sluice::Loop::open()?;
    let mut kept = Vec::new();
    loop {
        server.pull()?;
        if let sluice::Event::Data { bytes, .. } = server.event() {
            kept.push(bytes);
        }
    }
}

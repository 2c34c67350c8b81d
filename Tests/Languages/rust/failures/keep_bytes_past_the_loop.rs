// expect: E0505
#[path = "../../../../Examples/rust/sluice.rs"]
mod sluice;

fn main() -> Result<(), sluice::Error> {
    let mut server = sluice::Loop::open()?;
    server.pull()?;
    if let sluice::Event::Data { bytes, .. } = server.event() {
        drop(server);
        println!("{:?}", bytes);
    }
    Ok(())
}

// expect: E0277
#[path = "../../../../Examples/rust/sluice.rs"]
mod sluice;

fn main() -> Result<(), sluice::Error> {
    let mut server = sluice::Loop::open()?;
    std::thread::spawn(move || server.pull());
    Ok(())
}

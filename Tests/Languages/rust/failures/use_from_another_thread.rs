// expect: E0277
#[path = "../../../../Examples/rust/sluice.rs"]
mod sluice;

fn main() -> Result<(), sluice::Error> {
    let server = sluice::Loop::open()?;
    std::thread::scope(|scope| {
        scope.spawn(|| server.listen("127.0.0.1:0"));
    });
    Ok(())
}

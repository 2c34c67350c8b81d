// expect: E0382
#[path = "../../../../Examples/rust/sluice.rs"]
mod sluice;

fn main() -> Result<(), sluice::Error> {
    let server = sluice::Loop::open()?;
    drop(server);
    server.listen("127.0.0.1:0").map(|_| ())
}

//! Generates both sides of `bench.idol`.

use idol::server::{ServerStyle, build_server_support};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("bench.idol", "client_stub.rs")?;
    build_server_support("bench.idol", "server_stub.rs", ServerStyle::InOrder)
}

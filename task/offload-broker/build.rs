//! Generates the server side of `idl/offload_broker.idol`.

use idol::server::{ServerStyle, build_server_support};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    build_server_support("../../idl/offload_broker.idol", "server_stub.rs", ServerStyle::InOrder)
}

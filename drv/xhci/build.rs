//! Generates the server side of `idl/xhci.idol`.

use idol::server::{ServerStyle, build_server_support};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    build_server_support("../../idl/xhci.idol", "server_stub.rs", ServerStyle::InOrder)
}

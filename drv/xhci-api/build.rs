//! Generates the client of `idl/xhci.idol`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("../../idl/xhci.idol", "client_stub.rs")
}

//! Generates the client of `idl/usb_core.idol`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("../../idl/usb_core.idol", "client_stub.rs")
}

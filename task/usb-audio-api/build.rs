//! Generates the client of `idl/usb_audio.idol`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("../../idl/usb_audio.idol", "client_stub.rs")
}

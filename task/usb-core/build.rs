//! Generates the server's side of the interface.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::server::build_server_support(
        "../../idl/usb_core.idol",
        "server_stub.rs",
        idol::server::ServerStyle::InOrder,
    )
}

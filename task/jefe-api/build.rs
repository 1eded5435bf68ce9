//! Generates the client of `idl/jefe.idol`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("../../idl/jefe.idol", "client_stub.rs")
}

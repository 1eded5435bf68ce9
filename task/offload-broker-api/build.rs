//! Generates the client of `idl/offload_broker.idol`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("../../idl/offload_broker.idol", "client_stub.rs")
}

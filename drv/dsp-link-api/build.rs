//! Generates the client of `idl/dsp_link.idol`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("../../idl/dsp_link.idol", "client_stub.rs")
}

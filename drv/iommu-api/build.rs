//! Generates the client of `idl/iommu.idol`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    idol::client::build_client_stub("../../idl/iommu.idol", "client_stub.rs")
}

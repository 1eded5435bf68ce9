//! The interfaces of this project are in order.

use std::path::Path;

#[test]
fn every_interface_of_the_project_is_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../idl");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("idl/ is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "idol") {
            seen += 1;
            if let Err(diagnostics) = idol::check(&path) {
                panic!("{}", idol::Failure(diagnostics));
            }
        }
    }
    assert!(seen > 0, "idl/ has no interface");
}

//! The generator's output, as text and as code.
//!
//! `golden/` holds what the generator makes of `accept/everything.idol`. It is
//! compiled here under the lints of a task crate, and compared with what the
//! generator makes today; `BLESS=1 cargo test -p idol` renews it.

#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub, unused, clippy::all)]

use std::path::{Path, PathBuf};

use idol::server::ServerStyle;

mod types;

mod client {
    use crate::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

    include!("golden/client.rs");
}

mod server {
    use crate::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

    include!("golden/server.rs");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn compare(name: &str, text: &str) {
    let file = folder().join("golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, text).expect("golden file is writable");
    }
    let golden = std::fs::read_to_string(&file).expect("golden file is there");
    assert!(golden == text, "{name} differs from what is generated; BLESS=1 renews it");
}

#[test]
fn generated_client_is_the_one_that_is_tested() {
    let source = folder().join("accept/everything.idol");
    compare("client.rs", &idol::client::generate_client_stub(source).expect("in order"));
}

#[test]
fn generated_server_is_the_one_that_is_tested() {
    let source = folder().join("accept/everything.idol");
    let text = idol::server::generate_server_support(source, ServerStyle::InOrder);
    compare("server.rs", &text.expect("in order"));
}

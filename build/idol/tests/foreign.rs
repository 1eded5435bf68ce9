//! Interfaces of other projects.

use std::path::{Path, PathBuf};

use idol::{Encoding, Recv, Rule};

fn heater() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/heater.idol")
}

#[test]
fn an_interface_of_another_project_is_read_and_the_rules_it_breaks_are_named() {
    let (interface, remarks) = idol::check_foreign(heater()).expect("its notation is in order");
    let [set_target, temperatures, curve, age] = &interface.ops[..] else {
        panic!("{:?}", interface.ops)
    };
    assert_eq!(set_target.doc.as_deref(), Some("heat up to so much"));
    assert_eq!(set_target.args[0].value.recv, Recv::FromPrimitive("u32".into()));
    assert_eq!(temperatures.encoding, Encoding::Ssmarshal);
    assert_eq!((curve.encoding, age.number), (Encoding::Hubpack, 4));
    let named: Vec<_> = remarks.iter().map(|remark| (remark.line, &*remark.message)).collect();
    assert_eq!(
        named,
        [
            (19, "`set_target` is idempotent, but `set` changes something"),
            (22, "`temperatures` cannot say that its server died"),
        ]
    );
    assert!(remarks.iter().all(|remark| remark.rule == Rule::Project));
}

#[test]
fn in_this_project_the_same_file_is_refused() {
    let diagnostics = idol::check(heater()).expect_err("it breaks two rules");
    assert_eq!(diagnostics.len(), 2);
}

#[test]
fn what_breaks_the_notation_is_refused_whosever_it_is() {
    let reject = heater().with_file_name("../reject");
    let diagnostics = idol::check_foreign(reject.join("no_reply.idol")).expect_err("no reply");
    assert_eq!(diagnostics[0].rule, Rule::Notation);
}

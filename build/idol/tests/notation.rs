//! The reader against other readers, and against garbage.

use std::collections::BTreeMap;
use std::path::Path;

use idol::{Encoding, ErrorType, Interface, Recv, Reply, Typed, check_text};
use proptest::prelude::*;
use serde::Deserialize;

/// The notation as a debugger with the `ron` crate reads it.
mod stock {
    use super::{BTreeMap, Deserialize};

    #[derive(Deserialize)]
    #[serde(rename = "Interface")]
    pub(super) struct Interface {
        pub(super) name: String,
        pub(super) ops: BTreeMap<String, Operation>,
    }

    #[derive(Deserialize)]
    pub(super) struct Operation {
        #[serde(default)]
        pub(super) doc: String,
        #[serde(default)]
        pub(super) args: BTreeMap<String, Attributed>,
        #[serde(default)]
        pub(super) leases: BTreeMap<String, Lease>,
        pub(super) reply: Reply,
        #[serde(default)]
        pub(super) encoding: Encoding,
        #[serde(default)]
        pub(super) idempotent: bool,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    pub(super) enum Attributed {
        Plain(String),
        Full {
            #[serde(rename = "type")]
            ty: String,
            #[serde(default)]
            recv: Option<Recv>,
        },
    }

    #[derive(Deserialize, Debug)]
    #[allow(dead_code, reason = "compared as text")]
    pub(super) enum Recv {
        FromBytes,
        FromPrimitive(String),
        From(String, Option<String>),
    }

    #[derive(Deserialize)]
    pub(super) struct Lease {
        #[serde(rename = "type")]
        pub(super) ty: String,
        #[serde(default)]
        pub(super) read: bool,
        #[serde(default)]
        pub(super) write: bool,
        #[serde(default)]
        pub(super) max_len: Option<u32>,
    }

    #[derive(Deserialize)]
    pub(super) enum Reply {
        Simple(Attributed),
        Result { ok: Attributed, err: Error },
    }

    #[derive(Deserialize, Debug)]
    #[allow(dead_code, reason = "compared as text")]
    pub(super) enum Error {
        CLike(String),
        Complex(String),
        ServerDeath,
    }

    #[derive(Deserialize, Default, Debug)]
    pub(super) enum Encoding {
        #[default]
        Zerocopy,
        Hubpack,
        Ssmarshal,
    }
}

fn everything() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accept/everything.idol");
    std::fs::read_to_string(file).expect("file is there")
}

fn same_type(ours: &Typed, stock: &stock::Attributed) {
    let (ty, recv) = match stock {
        stock::Attributed::Plain(ty) => (ty, None),
        stock::Attributed::Full { ty, recv } => (ty, recv.as_ref()),
    };
    assert_eq!(&ours.text, ty);
    let recv = recv.map_or("FromBytes".into(), |recv| format!("{recv:?}"));
    let ours = match &ours.recv {
        Recv::FromBytes => "FromBytes".into(),
        Recv::FromPrimitive(raw) => format!("FromPrimitive({raw:?})"),
        Recv::From { raw, via } => format!("From({raw:?}, {via:?})"),
    };
    assert_eq!(ours, recv);
}

#[test]
fn reads_what_the_ron_crate_reads() {
    let text = everything();
    let ours = check_text(Path::new("everything.idol"), &text).expect("in order");
    let stock: stock::Interface = ron::from_str(&text).expect("RON");
    assert_eq!(ours.name.text, stock.name);
    assert_eq!(ours.ops.len(), stock.ops.len());
    for op in &ours.ops {
        let other = &stock.ops[&op.name.text];
        assert_eq!(op.doc.as_deref().unwrap_or(""), other.doc);
        assert_eq!(op.idempotent.is_some(), other.idempotent);
        assert_eq!(format!("{:?}", op.encoding), format!("{:?}", other.encoding));
        assert_eq!(op.args.len(), other.args.len());
        for arg in &op.args {
            same_type(&arg.value, &other.args[&arg.name.text]);
        }
        assert_eq!(op.leases.len(), other.leases.len());
        for lease in &op.leases {
            let stock = &other.leases[&lease.name.text];
            assert_eq!((&lease.text, lease.read), (&stock.ty, stock.read));
            assert_eq!((lease.write, lease.max_len), (stock.write, stock.max_len));
        }
        match (&op.reply, &other.reply) {
            (Reply::Simple(ours), stock::Reply::Simple(stock)) => same_type(ours, stock),
            (Reply::Result { ok, err }, stock::Reply::Result { ok: stock_ok, err: stock_err }) => {
                same_type(ok, stock_ok);
                let err = match err {
                    ErrorType::CLike(name) => format!("CLike({:?})", name.text),
                    ErrorType::Complex(name) => format!("Complex({:?})", name.text),
                    ErrorType::ServerDeath => "ServerDeath".into(),
                };
                assert_eq!(err, format!("{stock_err:?}"));
            }
            _ => panic!("{}: another kind of reply", op.name.text),
        }
    }
}

#[test]
fn operations_are_numbered_from_one_in_the_order_of_the_file() {
    let ours = check_text(Path::new("x"), &everything()).expect("in order");
    let numbered: Vec<_> = ours.ops.iter().map(|op| (op.number, &*op.name.text)).collect();
    assert_eq!(numbered[..3], [(1, "ping"), (2, "sum"), (3, "is_even")]);
    assert_eq!(numbered.last().map(|last| last.0), u16::try_from(numbered.len()).ok());
}

#[test]
fn ssmarshal_is_read_but_not_generated() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("old.idol");
    let text = "Interface(name: \"Old\", ops: {\n  \"ask\": (\n    \
                reply: Result(ok: \"u8\", err: ServerDeath),\n    encoding: Ssmarshal,\n  ),\n})";
    std::fs::write(&file, text).expect("writable");
    let read: Interface = idol::check(&file).expect("in order");
    assert_eq!(read.ops[0].encoding, Encoding::Ssmarshal);
    let style = idol::server::ServerStyle::InOrder;
    for refused in [
        idol::client::generate_client_stub(&file),
        idol::server::generate_server_support(&file, style),
    ] {
        let message = refused.expect_err("nothing is generated").to_string();
        assert!(message.contains("old.idol:2:3: `ask` uses Ssmarshal"), "{message}");
    }
    assert_eq!(idol::idolatry(&file).as_deref(), Ok(text));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in a file, the answer is an interface or places in it.
    #[test]
    fn garbage_is_reported_not_died_of(text in "(\\PC|\n){0,200}") {
        report_is_inside(&text)?;
    }

    /// The same for files that are nearly in order.
    #[test]
    fn damaged_file_is_reported_not_died_of(
        at in any::<prop::sample::Index>(),
        cut in 0_usize..12,
        insert in "[(){}\\[\\]:,\"#r!/*\\\\0-9a-z_]{0,4}",
    ) {
        let text: Vec<char> = everything().chars().collect();
        let start = at.index(text.len());
        let damaged: String = text[..start]
            .iter()
            .copied()
            .chain(insert.chars())
            .chain(text[start..].iter().copied().skip(cut))
            .collect();
        report_is_inside(&damaged)?;
    }
}

fn report_is_inside(text: &str) -> Result<(), TestCaseError> {
    let Err(diagnostics) = check_text(Path::new("x"), text) else { return Ok(()) };
    prop_assert!(!diagnostics.is_empty());
    let lines: Vec<_> = text.split('\n').collect();
    for diagnostic in diagnostics {
        let line = lines.get(diagnostic.line as usize - 1);
        let length = line.map(|line| line.chars().count());
        prop_assert!(length.is_some_and(|length| diagnostic.column as usize <= length + 1));
    }
    Ok(())
}

//! Values of every kind of type, there and back.

use super::{largest, pack, unpack};
use proptest::prelude::*;
use view::types::{
    Array, Base, CEnum, Encoding, Enum, Member, Struct, Type, TypeId, Types, Variant,
};
use view::{Inline, Value};

const BYTE: TypeId = TypeId(1);
const LONG: TypeId = TypeId(2);
const SIGNED: TypeId = TypeId(3);
const BOOL: TypeId = TypeId(4);
const DIRECTION: TypeId = TypeId(5);
const HANDLE: TypeId = TypeId(6);
const PORT: TypeId = TypeId(7);
const OPTION: TypeId = TypeId(8);
const NONE: TypeId = TypeId(9);
const SOME: TypeId = TypeId(10);
const THREE: TypeId = TypeId(11);

fn base(name: &str, encoding: Encoding, size: usize) -> Type {
    Type::Base(Base { name: name.into(), encoding, size })
}

fn structure(name: &str, members: &[(&str, TypeId)]) -> Type {
    // Where they are in memory does not matter to what travels.
    let members = members.iter().rev().enumerate();
    let mut members: Vec<_> = members
        .map(|(n, (name, of))| Member { name: (*name).into(), offset: 8 * n, of: *of })
        .collect();
    members.reverse();
    Type::Struct(Struct { name: name.into(), size: 64, members })
}

fn types() -> Types {
    let payload = |name: &str, of| Member { name: name.into(), offset: 0, of };
    Types::new([
        (BYTE, base("u8", Encoding::Unsigned, 1)),
        (LONG, base("u32", Encoding::Unsigned, 4)),
        (SIGNED, base("i16", Encoding::Signed, 2)),
        (BOOL, base("bool", Encoding::Bool, 1)),
        (
            DIRECTION,
            Type::CEnum(CEnum {
                name: "Direction".into(),
                size: 1,
                // What travels is the place in this list.
                variants: vec![("Out".into(), 7), ("In".into(), 3)],
            }),
        ),
        (HANDLE, structure("Handle", &[("index", BYTE), ("epoch", LONG)])),
        (PORT, structure("PortNumber", &[("__0", BYTE)])),
        (NONE, structure("None", &[])),
        (SOME, structure("Some", &[("__0", HANDLE)])),
        (
            OPTION,
            Type::Enum(Enum {
                name: "Option<Handle>".into(),
                size: 12,
                tag: None,
                variants: vec![
                    Variant { tag: Some(0), payload: payload("None", NONE) },
                    Variant { tag: Some(1), payload: payload("Some", SOME) },
                ],
            }),
        ),
        (THREE, Type::Array(Array { of: BYTE, count: 3 })),
    ])
}

fn packed(of: TypeId, text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    pack(&types(), of, &Value::from_debug(text).expect(text), &mut out).map(|()| out)
}

#[test]
fn values_travel_as_hubpack_has_them() {
    assert_eq!(packed(HANDLE, "Handle { epoch: 0x102, index: 9 }"), Ok(vec![9, 2, 1, 0, 0]));
    assert_eq!(packed(HANDLE, "(9, 258)"), Ok(vec![9, 2, 1, 0, 0]));
    assert_eq!(packed(DIRECTION, "In"), Ok(vec![1]));
    assert_eq!(packed(OPTION, "None"), Ok(vec![0]));
    assert_eq!(packed(OPTION, "Some(Handle { index: 1, epoch: 2 })"), Ok(vec![1, 1, 2, 0, 0, 0]));
    assert_eq!(packed(PORT, "4"), Ok(vec![4]));
    assert_eq!(packed(PORT, "PortNumber(4)"), Ok(vec![4]));
    assert_eq!(packed(SIGNED, "-2"), Ok(vec![0xFE, 0xFF]));
    assert_eq!(packed(THREE, "[1, 2, 3]"), Ok(vec![1, 2, 3]));
    assert_eq!(packed(BOOL, "true"), Ok(vec![1]));
}

#[test]
fn what_is_no_value_is_told_with_what_would_be() {
    let why = |of, text| packed(of, text).expect_err(text);
    assert_eq!(why(DIRECTION, "Up"), "no Direction; one of Out, In");
    assert_eq!(why(BYTE, "256"), "no u8");
    assert_eq!(why(SIGNED, "32768"), "no i16");
    assert_eq!(why(SIGNED, "-32769"), "no i16");
    assert_eq!(why(HANDLE, "Handle { index: 1 }"), "Handle lacks `epoch`");
    assert_eq!(
        why(HANDLE, "Handle { index: 1, epoch: 1, x: 1 }"),
        "Handle has no `x`; it has index, epoch"
    );
    assert_eq!(why(HANDLE, "7"), "no Handle; write Handle { index, epoch } with values");
    assert_eq!(why(THREE, "[1]"), "1 elements, and there are 3");
}

#[test]
fn a_reply_comes_back_in_words_and_the_longest_is_known() {
    let types = types();
    let value = |of, mut bytes: &[u8]| match unpack(&types, of, &mut bytes) {
        Ok(value) => Inline(&value).to_string(),
        Err(why) => why,
    };
    let handle = "Some(Handle { index: 0x1, epoch: 0x2 })";
    assert_eq!(value(OPTION, &[1, 1, 2, 0, 0, 0, 99]), handle);
    assert_eq!(value(OPTION, &[2]), "no variant 2 of Option<Handle>");
    assert_eq!(value(HANDLE, &[1, 2]), "the reply is too short");
    assert_eq!((largest(&types, OPTION), largest(&types, THREE)), (Some(6), Some(3)));
    assert_eq!(largest(&types, TypeId(99)), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_value_or_none(bytes: Vec<u8>, of in 0_usize..12) {
        let _ = unpack(&types(), TypeId(of), &mut bytes.as_slice());
    }

    #[test]
    fn handles_come_back(index: u8, epoch: u32) {
        let text = format!("Handle {{ index: {index}, epoch: {epoch} }}");
        let bytes = packed(HANDLE, &text).expect("a handle");
        let value = unpack(&types(), HANDLE, &mut bytes.as_slice()).expect("the same");
        prop_assert_eq!(Some(value), Value::from_debug(&text));
    }
}

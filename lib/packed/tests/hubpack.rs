//! `Packed`, derived, against the crate `hubpack`: the same bytes for every
//! value, and the same verdict on any bytes.

use hubpack::SerializedSize;
use packed::{Malformed, Packed};
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, SerializedSize, Packed)]
struct Numbers {
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    e: i8,
    f: i16,
    g: i32,
    h: i64,
    i: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, SerializedSize, Packed)]
struct Wrapped(u16);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, SerializedSize, Packed)]
struct Nothing;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, SerializedSize, Packed)]
enum Choice {
    None,
    // Its place travels, not its value.
    One(Wrapped, [u16; 3]),
    Named { maybe: Option<Numbers>, pair: (u8, bool), nothing: Nothing },
    Deep(Option<Option<u16>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, SerializedSize, Packed)]
enum Valued {
    Seven = 7,
    Nine = 9,
}

fn numbers() -> impl Strategy<Value = Numbers> {
    any::<(u8, u16, u32, u64, i8, i16, i32, i64, bool)>()
        .prop_map(|(a, b, c, d, e, f, g, h, i)| Numbers { a, b, c, d, e, f, g, h, i })
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        proptest::strategy::Just(Choice::None),
        any::<(u16, [u16; 3])>().prop_map(|(n, bytes)| Choice::One(Wrapped(n), bytes)),
        (proptest::option::of(numbers()), any::<(u8, bool)>())
            .prop_map(|(maybe, pair)| Choice::Named { maybe, pair, nothing: Nothing }),
        any::<Option<Option<u16>>>().prop_map(Choice::Deep),
    ]
}

fn hubpacked<T: Serialize + SerializedSize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; T::MAX_SIZE];
    let len = hubpack::serialize(&mut bytes, value).unwrap();
    bytes.truncate(len);
    bytes
}

fn packed<T: Packed>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; T::MAX_SIZE];
    let len = packed::pack(value, &mut bytes);
    bytes.truncate(len);
    bytes
}

/// hubpack's verdict in our words.
fn unhubpacked<T: for<'d> Deserialize<'d>>(bytes: &[u8]) -> Result<T, Malformed> {
    match hubpack::deserialize(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(hubpack::Error::Truncated) => Err(Malformed::Length),
        Err(_) => Err(Malformed::Contents),
    }
}

#[test]
fn sizes_are_hubpacks() {
    fn same<T: Packed + SerializedSize>() {
        assert_eq!(<T as Packed>::MAX_SIZE, <T as SerializedSize>::MAX_SIZE);
    }
    same::<Numbers>();
    same::<Wrapped>();
    same::<Nothing>();
    same::<Choice>();
    same::<Valued>();
    same::<(u8, u16, Option<u32>, [u8; 7])>();
}

#[test]
fn an_enum_travels_as_the_place_of_its_variant() {
    assert_eq!(packed(&Valued::Seven), [0]);
    assert_eq!(packed(&Valued::Nine), hubpacked(&Valued::Nine));
}

#[test]
fn a_type_that_only_serde_knows_travels_between_others() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, SerializedSize)]
    struct Theirs(u8, u16);
    packed::by_hubpack!(Theirs);

    let value = (1u8, Theirs(2, 3), 4u8);
    let bytes = packed(&value);
    assert_eq!(bytes, [1, 2, 3, 0, 4]);
    assert_eq!(packed::unpack(&bytes), Ok(value));
}

proptest! {
    #[test]
    fn values_travel_as_hubpack_packs_them(value in choice()) {
        let bytes = packed(&value);
        prop_assert_eq!(&bytes, &hubpacked(&value));
        prop_assert_eq!(packed::unpack::<Choice>(&bytes), Ok(value));
    }

    #[test]
    fn bytes_get_hubpacks_verdict(bytes: Vec<u8>, first in 0u8..6) {
        let bytes: Vec<u8> = std::iter::once(first).chain(bytes).collect();
        prop_assert_eq!(packed::unpack::<Choice>(&bytes), unhubpacked::<Choice>(&bytes));
        prop_assert_eq!(packed::unpack::<Numbers>(&bytes), unhubpacked::<Numbers>(&bytes));
    }
}

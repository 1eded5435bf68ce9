//! Values out of memory, by their types.

use crate::dwarf::cut;
use crate::types::{Base, CEnum, DEPTH, Encoding, Enum, Member, Struct, Type, TypeId, Types};
use crate::value::{self, Fields, Value};
use addr::Virt;
use dump::Memory;
use std::cell::Cell;

/// Most elements of an array that take no memory: a count of more is damaged.
const EMPTY_ELEMENTS: u64 = 1024;
/// Most values in a value: what has more is damaged, or holds itself twice.
const VALUES: u32 = 1 << 17;
/// Most bytes of a text; the rest is not shown.
const TEXT: u32 = 1024;

/// The value of type `of` in `bytes`. Texts that it refers to are read from
/// `memory`. Whatever the bytes are, there is a value: what is wrong in it is
/// [`Value::Invalid`] at its place.
#[must_use]
pub fn decode(types: &Types, of: TypeId, bytes: &[u8], memory: &Memory) -> Value {
    Decoder { types, memory, left: Cell::new(VALUES) }.value(of, bytes, DEPTH)
}

struct Decoder<'d> {
    types: &'d Types,
    memory: &'d Memory,
    /// How many values more there may be.
    left: Cell<u32>,
}

impl Decoder<'_> {
    fn value(&self, of: TypeId, bytes: &[u8], depth: usize) -> Value {
        let Some(depth) = depth.checked_sub(1) else {
            return invalid("a value inside itself");
        };
        let Some(left) = self.left.get().checked_sub(1) else {
            return invalid("more than any value holds");
        };
        self.left.set(left);
        let Some(found) = self.types.get(of) else {
            return invalid("type without description");
        };
        let size = self.types.size(of);
        let Some(bytes) = size.and_then(|size| bytes.get(..size)) else {
            return invalid("larger than what it is in");
        };
        match found {
            Type::Base(base) => scalar(base, bytes),
            Type::Struct(of) => self.structure(of, bytes, depth),
            Type::Union(of) => self.union(of, bytes, depth),
            Type::Enum(of) => self.variant(of, bytes, depth),
            Type::CEnum(of) => name(of, bytes),
            Type::Array(of) => self.array(of.of, of.count, bytes, depth),
            Type::Pointer(of) => Value::Pointer(unsigned(bytes) as u32, of.name.clone()),
            Type::Alias(_) => invalid("type without description"),
        }
    }

    fn structure(&self, of: &Struct, bytes: &[u8], depth: usize) -> Value {
        if of.name == "&str"
            && let Some(text) = self.text(of, bytes)
        {
            return Value::Text(text);
        }
        let value = |member: &Member| self.member(member, bytes, depth);
        // A tuple's name is its type's, `(u8, u8)`: its values do without.
        let name = if of.name.starts_with('(') { "" } else { plain(&of.name) };
        let fields = if of.members.is_empty() {
            Fields::None
        } else if of.is_tuple() {
            Fields::Positional(of.members.iter().map(value).collect())
        } else {
            let named = |member: &Member| (member.name.clone(), value(member));
            Fields::Named(of.members.iter().map(named).collect())
        };
        Value::Struct(value::Struct { name: name.into(), fields })
    }

    fn member(&self, member: &Member, bytes: &[u8], depth: usize) -> Value {
        match bytes.get(member.offset..) {
            Some(rest) => self.value(member.of, rest, depth),
            None => invalid("beyond the end of what it is in"),
        }
    }

    /// The text that a `&str` refers to, when it can be had.
    fn text(&self, of: &Struct, bytes: &[u8]) -> Option<String> {
        let word = |name| {
            let at = of.member(name)?.offset;
            Some(u32::from_le_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
        };
        let (at, len) = (word("data_ptr")?, word("length")?);
        let text = self.memory.read(Virt(at.into()), len.min(TEXT) as usize)?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// `MaybeUninit` is shown as if it were initialised; of another union nobody
    /// can say what is in it.
    fn union(&self, of: &Struct, bytes: &[u8], depth: usize) -> Value {
        match (of.name.starts_with("MaybeUninit"), of.member("value")) {
            (true, Some(inside)) => self.member(inside, bytes, depth),
            _ => invalid("a union"),
        }
    }

    fn variant(&self, of: &Enum, bytes: &[u8], depth: usize) -> Value {
        let tag = match &of.tag {
            None => None,
            Some(member) => {
                let Some(size) = self.types.size(member.of) else {
                    return invalid("tag without description");
                };
                let end = member.offset.saturating_add(size);
                let Some(tag) = bytes.get(member.offset..end) else {
                    return invalid("tag beyond its enum");
                };
                Some(cut(unsigned(tag), size))
            }
        };
        let size = of.tag.as_ref().and_then(|tag| self.types.size(tag.of)).unwrap_or(16);
        let tagged = |variant: &&_| {
            let crate::types::Variant { tag: of, .. } = variant;
            of.is_some_and(|of| Some(cut(of, size)) == tag)
        };
        let found = of.variants.iter().find(tagged);
        match found.or_else(|| of.variants.iter().find(|variant| variant.tag.is_none())) {
            Some(variant) => match self.member(&variant.payload, bytes, depth) {
                Value::Struct(mut of) => {
                    of.name.clone_from(&variant.payload.name);
                    Value::Struct(of)
                }
                other => other,
            },
            None => no_variant(&of.name, tag.unwrap_or(0)),
        }
    }

    fn array(&self, of: TypeId, count: u64, bytes: &[u8], depth: usize) -> Value {
        match self.types.size(of) {
            None => invalid("elements without description"),
            Some(0) => {
                let one = || self.value(of, &[], depth);
                Value::Array((0..count.min(EMPTY_ELEMENTS)).map(|_| one()).collect())
            }
            Some(size) => {
                Value::Array(bytes.chunks_exact(size).map(|b| self.value(of, b, depth)).collect())
            }
        }
    }
}

/// A name without its generic parameters: `AtomicU32`, `Option`.
fn plain(name: &str) -> &str {
    name.split('<').next().unwrap_or(name)
}

/// The number, or whatever else `base` is, that all of `bytes` are.
#[must_use]
pub fn scalar(base: &Base, bytes: &[u8]) -> Value {
    match (base.encoding, bytes.len()) {
        (_, 0) => Value::Struct(value::Struct { name: String::new(), fields: Fields::None }),
        (Encoding::Unsigned, 1..=16) => Value::Unsigned(unsigned(bytes)),
        (Encoding::Signed, len @ 1..=16) => {
            let unused = 128 - 8 * len as u32;
            Value::signed((unsigned(bytes) << unused).cast_signed() >> unused)
        }
        (Encoding::Bool, _) => match unsigned(bytes) {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            other => invalid(&format!("truth value {other:#x}")),
        },
        (Encoding::Char, 4) => {
            let code = unsigned(bytes) as u32;
            char::from_u32(code)
                .map_or_else(|| invalid(&format!("character {code:#x}")), Value::Char)
        }
        (Encoding::Float, 4) => Value::Float(f32::from_bits(unsigned(bytes) as u32).into()),
        (Encoding::Float, 8) => Value::Float(f64::from_bits(unsigned(bytes) as u64)),
        (_, len) => invalid(&format!("a {} of {len} bytes", base.name)),
    }
}

fn name(of: &CEnum, bytes: &[u8]) -> Value {
    let tag = unsigned(bytes);
    match of.variants.iter().find(|(_, value)| *value == tag) {
        Some((name, _)) => Value::unit(name),
        None => no_variant(&of.name, tag),
    }
}

/// The number in at most 16 bytes; of more, the lowest.
fn unsigned(bytes: &[u8]) -> u128 {
    bytes.iter().take(16).rev().fold(0, |number, &byte| number << 8 | u128::from(byte))
}

fn no_variant(name: &str, tag: u128) -> Value {
    invalid(&format!("no variant {tag:#x} of {name}"))
}

fn invalid(why: &str) -> Value {
    Value::Invalid(why.into())
}

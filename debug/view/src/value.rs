//! A value, whatever program it is of.
//!
//! The shape is that of Rust's `Debug`: a name with named fields, with fields
//! by position, or alone. A value of a board is decoded from memory
//! ([`decode`](crate::decode)); one of a simulated task is read from its `Debug`
//! text ([`Value::from_debug`]), so that both print in the same words.

mod json;
mod print;
mod read;

pub use print::{Inline, Lines};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number from 0 up.
    Unsigned(u128),
    /// A number below 0.
    Negative(i128),
    /// A number with a fraction.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A character.
    Char(char),
    /// Text.
    Text(String),
    /// A struct, a tuple, or a variant of an enum.
    Struct(Struct),
    /// An array.
    Array(Vec<Value>),
    /// A pointer or a reference: where to, and its type's name.
    Pointer(u32, String),
    /// Bits that are no value of their type; what is wrong.
    Invalid(String),
}

/// A struct, a tuple, or a variant of an enum.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// Its name; empty of a tuple without one.
    pub name: String,
    /// What it holds.
    pub fields: Fields,
}

/// What a [`Struct`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Fields {
    /// Nothing.
    None,
    /// Values by position.
    Positional(Vec<Value>),
    /// Values by name.
    Named(Vec<(String, Value)>),
}

impl Value {
    /// A name alone.
    #[must_use]
    pub fn unit(name: &str) -> Self {
        Self::Struct(Struct { name: name.into(), fields: Fields::None })
    }

    /// A number.
    #[must_use]
    pub fn signed(number: i128) -> Self {
        u128::try_from(number).map_or(Self::Negative(number), Self::Unsigned)
    }

    /// Its name, if it is a struct or a variant.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Struct(of) if !of.name.is_empty() => Some(&of.name),
            _ => None,
        }
    }

    /// The number that it is, or that a struct around nothing else is.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => u64::try_from(*number).ok(),
            Self::Struct(Struct { fields: Fields::Positional(fields), .. }) => match &fields[..] {
                [field] => field.number(),
                _ => None,
            },
            _ => None,
        }
    }

    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Struct(Struct { fields: Fields::Named(fields), .. }) => {
                fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The field at that position.
    #[must_use]
    pub fn at(&self, position: usize) -> Option<&Self> {
        match self {
            Self::Struct(Struct { fields: Fields::Positional(fields), .. })
            | Self::Array(fields) => fields.get(position),
            _ => None,
        }
    }

    /// Each value in it, with the name of its field where it has one.
    #[must_use]
    pub fn children(&self) -> Vec<(Option<&str>, &Self)> {
        match self {
            Self::Struct(Struct { fields: Fields::Named(fields), .. }) => {
                fields.iter().map(|(name, value)| (Some(name.as_str()), value)).collect()
            }
            Self::Struct(Struct { fields: Fields::Positional(fields), .. })
            | Self::Array(fields) => fields.iter().map(|value| (None, value)).collect(),
            _ => Vec::new(),
        }
    }
}

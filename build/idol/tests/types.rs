//! Types that `accept/everything.idol` names.

use idol_derive::IdolError;
use num_derive::FromPrimitive;
use packed::Packed;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Travels as a byte.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromPrimitive)]
pub enum Color {
    /// 0.
    Red = 0,
    /// 7.
    Blue = 7,
}

/// Travels as an `i16`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Celsius(pub i16);

impl From<i16> for Celsius {
    fn from(degrees: i16) -> Self {
        Self(degrees)
    }
}

impl From<Celsius> for i16 {
    fn from(celsius: Celsius) -> Self {
        celsius.0
    }
}

/// Travels as a `u32` and is rounded down.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Even(pub u32);

impl Even {
    /// The even number at or below `number`.
    #[must_use]
    pub fn round_down(number: u32) -> Self {
        Self(number & !1)
    }
}

impl From<Even> for u32 {
    fn from(even: Even) -> Self {
        even.0
    }
}

/// Lent as a whole.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Point {
    /// East.
    pub x: u32,
    /// North.
    pub y: u32,
}

/// Travels packed, in several sizes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum Shape {
    /// One byte.
    Dot,
    /// Five bytes.
    Circle(u32),
    /// Nine bytes.
    Box {
        /// Width.
        w: u32,
        /// Height.
        h: u32,
    },
}

/// An error that is a code.
#[derive(Copy, Clone, Debug, PartialEq, Eq, IdolError)]
#[repr(u32)]
pub enum Trouble {
    /// The server died.
    #[idol(server_death)]
    ServerDied = 1,
    /// It is too much.
    TooMuch,
    /// It is far too much.
    FarTooMuch = 65535,
}

/// An error that is more than a code.
#[derive(Copy, Clone, Debug, PartialEq, Eq, IdolError, Packed)]
pub enum Detail {
    /// The server died.
    #[idol(server_death)]
    ServerDied,
    /// It is this much too much.
    Excess(u64),
}

//! hubpack's format, written and read directly.
//!
//! What travels in a message is packed as the crate `hubpack` packs it, which
//! is what debuggers and other implementations of an interface expect: numbers
//! in little-endian order, fields in theirs, an enum as the number of its
//! variant in a byte with what the variant carries behind it. hubpack gets
//! there through serde's visitors, which cost every server and every client
//! several kilobytes; [`Packed`], derived, asks each field to write or read
//! itself. Tests hold each against the other.
//!
//! A type of which only serde knows how it travels becomes [`Packed`] through
//! [`by_hubpack!`].

#![no_std]

mod values;

pub use idol_derive::Packed;

/// A value that travels packed.
pub trait Packed: Sized {
    /// The most bytes that a value takes.
    const MAX_SIZE: usize;

    /// Writes the value.
    ///
    /// # Panics
    /// When there is no room; [`Packed::MAX_SIZE`] bytes are enough.
    fn pack(&self, to: &mut Writer<'_>);

    /// Reads a value; `None` when what is there is none. When there is too
    /// little the value is any, and [`unpack`] says so in the end.
    fn unpack(from: &mut Reader<'_>) -> Option<Self>;
}

/// Why bytes are no value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end before the value does, or go on behind it.
    Length,
    /// They are long enough and say something that the type does not have.
    Contents,
}

/// Packs `value` at the start of `bytes`; its length.
///
/// # Panics
/// When there is no room; `T::MAX_SIZE` bytes are enough.
pub fn pack<T: Packed>(value: &T, bytes: &mut [u8]) -> usize {
    let mut writer = Writer { bytes, len: 0 };
    value.pack(&mut writer);
    writer.len
}

/// The value that `bytes` are, all of them.
///
/// # Errors
/// See [`Malformed`].
pub fn unpack<T: Packed>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut reader = Reader { rest: bytes, short: false };
    let value = T::unpack(&mut reader);
    match value {
        Some(value) if reader.is_done() => Ok(value),
        value => Err(reader.malformed(value.is_some())),
    }
}

/// The largest of `sizes`; 0 of none.
#[must_use]
pub const fn largest(sizes: &[usize]) -> usize {
    let mut largest = 0;
    let mut i = 0;
    while i < sizes.len() {
        if sizes[i] > largest {
            largest = sizes[i];
        }
        i += 1;
    }
    largest
}

/// Where values are packed.
#[derive(Debug)]
pub struct Writer<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl Writer<'_> {
    /// Writes the low `len` bytes of `number`; 4 at most.
    #[inline(never)]
    pub fn number(&mut self, number: u32, len: usize) {
        let place = &mut self.bytes[self.len..][..len];
        place.copy_from_slice(&number.to_le_bytes()[..len]);
        self.len += len;
    }

    /// Has `write` fill the room that is left, as far as it says.
    pub fn with(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        self.len += write(&mut self.bytes[self.len..]);
    }
}

/// Where values are unpacked from.
#[derive(Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
    /// More was asked for than there is.
    short: bool,
}

impl<'b> Reader<'b> {
    /// A number of `len` bytes, 4 at most; 0 when there are fewer.
    #[inline(never)]
    pub fn number(&mut self, len: usize) -> u32 {
        self.bytes(len).iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
    }

    /// The next `len` bytes; none when there are fewer.
    #[inline(never)]
    fn bytes(&mut self, len: usize) -> &'b [u8] {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            self.short = true;
            self.rest = &[];
            return &[];
        };
        self.rest = rest;
        bytes
    }

    /// Has `read` take a value from the start of what is left, and say how many
    /// bytes it was.
    pub fn with<T>(&mut self, read: impl FnOnce(&[u8]) -> Option<(T, usize)>) -> Option<T> {
        let (value, len) = read(self.rest)?;
        self.bytes(len);
        Some(value)
    }

    /// Whether all was there and was read.
    const fn is_done(&self) -> bool {
        !self.short && self.rest.is_empty()
    }

    /// What is wrong, when it is not [done](Self::is_done) or what was read is
    /// no value.
    #[cold]
    const fn malformed(&self, is_value: bool) -> Malformed {
        if self.short || is_value { Malformed::Length } else { Malformed::Contents }
    }
}

/// Makes a type travel packed that says by serde and `hubpack` how.
///
/// ```
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, hubpack::SerializedSize)]
/// struct Theirs(u8, u16);
///
/// packed::by_hubpack!(Theirs);
///
/// let mut bytes = [0; 3];
/// assert_eq!(packed::pack(&Theirs(1, 2), &mut bytes), 3);
/// assert_eq!(packed::unpack(&bytes), Ok(Theirs(1, 2)));
/// ```
#[cfg(feature = "hubpack")]
#[macro_export]
macro_rules! by_hubpack {
    ($type:ty) => {
        impl $crate::Packed for $type {
            const MAX_SIZE: usize = <$type as $crate::hubpack::SerializedSize>::MAX_SIZE;

            fn pack(&self, to: &mut $crate::Writer<'_>) {
                to.with(|room| {
                    $crate::hubpack::serialize(room, self).expect("packs into its MAX_SIZE")
                });
            }

            fn unpack(from: &mut $crate::Reader<'_>) -> Option<Self> {
                from.with(|bytes| {
                    let (value, rest) = $crate::hubpack::deserialize(bytes).ok()?;
                    Some((value, bytes.len() - rest.len()))
                })
            }
        }
    };
}

#[cfg(feature = "hubpack")]
pub use hubpack;

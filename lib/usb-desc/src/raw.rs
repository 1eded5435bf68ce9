//! The outermost layer: a chain of length-prefixed descriptors.
//!
//! [`Chain`] cuts a blob into [`Raw`] descriptors (USB 2.0 section 9.5) and
//! ends at the first one whose `bLength` cannot be right, with the reason. It
//! moves forward by at least two bytes each time, so it always ends.

use crate::issue::{Issue, Rule};

/// Descriptor types (USB 2.0 table 9-5, USB 3.2 table 9-6, Audio 1.0 A.4).
pub mod kind {
    /// DEVICE.
    pub const DEVICE: u8 = 0x01;
    /// CONFIGURATION.
    pub const CONFIGURATION: u8 = 0x02;
    /// INTERFACE.
    pub const INTERFACE: u8 = 0x04;
    /// ENDPOINT.
    pub const ENDPOINT: u8 = 0x05;
    /// INTERFACE_ASSOCIATION.
    pub const ASSOCIATION: u8 = 0x0b;
    /// CS_INTERFACE: class-specific, about an interface.
    pub const CLASS_INTERFACE: u8 = 0x24;
    /// CS_ENDPOINT: class-specific, about an endpoint.
    pub const CLASS_ENDPOINT: u8 = 0x25;
    /// HUB (USB 2.0 section 11.23.2.1).
    pub const HUB: u8 = 0x29;
    /// Enhanced SuperSpeed HUB (USB 3.2 section 10.15.2.1).
    pub const SUPER_HUB: u8 = 0x2a;
    /// SUPERSPEED_USB_ENDPOINT_COMPANION.
    pub const COMPANION: u8 = 0x30;
}

/// One descriptor, not interpreted. It has at least its two header bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    offset: usize,
    bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    /// The descriptor that starts `blob`, which itself starts at `offset`.
    ///
    /// # Errors
    /// [`Rule::Empty`], [`Rule::LengthZero`] or [`Rule::RunsPastEnd`].
    pub fn first(blob: &'a [u8], offset: usize) -> Result<Self, Issue> {
        let &length = blob.first().ok_or(Issue::new(Rule::Empty, offset, 0))?;
        if length < 2 {
            return Err(Issue::new(Rule::LengthZero, offset, length.into()));
        }
        let bytes = blob.get(..length.into()).ok_or(Issue::new(
            Rule::RunsPastEnd,
            offset,
            length.into(),
        ))?;
        Ok(Self { offset, bytes })
    }

    /// Where the descriptor starts in its blob.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// All its bytes, `bLength` of them.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// `bDescriptorType`.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.bytes.get(1).copied().unwrap_or(0)
    }

    /// `bDescriptorSubtype` of a class-specific descriptor.
    #[must_use]
    pub fn subtype(&self) -> Option<u8> {
        self.bytes.get(2).copied()
    }

    /// An issue about this descriptor.
    #[must_use]
    pub const fn issue(&self, rule: Rule, value: u32) -> Issue {
        Issue::new(rule, self.offset, value)
    }

    /// The first `N` bytes, when the descriptor is of `kind` and has them.
    ///
    /// # Errors
    /// [`Rule::WrongType`] or [`Rule::TooShort`].
    pub fn fields<const N: usize>(&self, kind: u8) -> Result<&'a [u8; N], Issue> {
        if self.kind() != kind {
            return Err(self.issue(Rule::WrongType, self.kind().into()));
        }
        self.prefix().ok_or(self.issue(Rule::TooShort, self.bytes.len() as u32))
    }

    /// The first `N` bytes, when it has them.
    #[must_use]
    pub fn prefix<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.first_chunk()
    }
}

/// The descriptors of a blob, one after the other.
///
/// After an error there is nothing more: where the next descriptor would
/// start is not known.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Chain<'a> {
    /// The descriptors of `blob`, whose first byte is at `offset`.
    #[must_use]
    pub const fn new(blob: &'a [u8], offset: usize) -> Self {
        Self { rest: blob, offset }
    }

    /// Where the next descriptor starts.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Result<Raw<'a>, Issue>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let found = Raw::first(self.rest, self.offset);
        match found {
            Ok(raw) => {
                self.rest = self.rest.get(raw.bytes.len()..).unwrap_or(&[]);
                self.offset += raw.bytes.len();
            }
            Err(_) => self.rest = &[],
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_below_two_ends_the_chain_with_its_offset() {
        let mut chain = Chain::new(&[2, 9, 1, 7, 2, 2], 10);
        assert_eq!(chain.next().map(|raw| raw.map(|raw| raw.bytes().len())), Some(Ok(2)));
        assert_eq!(chain.next(), Some(Err(Issue::new(Rule::LengthZero, 12, 1))));
        assert_eq!(chain.next(), None);
    }

    #[test]
    fn a_length_past_the_end_ends_the_chain() {
        let mut chain = Chain::new(&[3, 9], 0);
        assert_eq!(chain.next(), Some(Err(Issue::new(Rule::RunsPastEnd, 0, 3))));
        assert_eq!(chain.next(), None);
    }
}

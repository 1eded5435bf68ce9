//! Type, length, value: the pieces a QMI payload is made of.
//!
//! [`Value`] is what has one fixed wire form; [`Tlvs`] walks a payload without
//! ever reading past what was declared and present; [`Writer`] appends to a
//! buffer whose room the caller has checked. The `message!` macro ties the two
//! to a struct, so that a message's table of types exists once.

use crate::DecodeError;

/// Bytes of a TLV's type and length.
pub(crate) const TLV_HEADER: usize = 3;
/// Types from here up may be skipped by who does not know them.
pub(crate) const FIRST_OPTIONAL: u8 = 0x10;

/// What has a fixed form on the wire.
pub(crate) trait Value: Sized {
    /// Bytes of that form.
    const SIZE: usize;
    /// Appends the wire form.
    fn put(&self, out: &mut Writer<'_>);
    /// Takes the value off the front of `from`, which holds enough.
    fn take(from: &mut Reader<'_>) -> Self;
}

/// Appends to a buffer that was checked to have room.
pub(crate) struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buffer[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn tlv<V: Value>(&mut self, tag: u8, value: &V) {
        self.bytes(&[tag]);
        // Every size is a constant of this crate, the largest 100.
        self.bytes(&(V::SIZE as u16).to_le_bytes());
        value.put(self);
    }
}

/// Takes values off a slice whose length was checked before.
pub(crate) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_first_chunk().expect("length checked against Value::SIZE");
        self.0 = tail;
        *head
    }

    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }
}

macro_rules! integer {
    ($($int:ty),*) => {$(
        impl Value for $int {
            const SIZE: usize = size_of::<$int>();
            fn put(&self, out: &mut Writer<'_>) {
                out.bytes(&self.to_le_bytes());
            }
            fn take(from: &mut Reader<'_>) -> Self {
                Self::from_le_bytes(from.array())
            }
        }
    )*};
}
integer!(u8, u16, u32, u64, i32);

/// Walks the TLVs of a payload.
pub(crate) struct Tlvs<'p> {
    payload: &'p [u8],
    at: usize,
}

impl<'p> Tlvs<'p> {
    pub(crate) fn new(payload: &'p [u8]) -> Self {
        Self { payload, at: 0 }
    }

    /// The next TLV's type and value; `None` at the payload's end.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, &'p [u8])>, DecodeError> {
        let left = &self.payload[self.at..];
        if left.is_empty() {
            return Ok(None);
        }
        let Some((&[tag, low, high], left)) = left.split_first_chunk::<TLV_HEADER>() else {
            return Err(DecodeError::TlvHeaderTruncated { at: self.at });
        };
        let declared = usize::from(u16::from_le_bytes([low, high]));
        let Some(value) = left.get(..declared) else {
            return Err(DecodeError::TlvOverrun { tag, declared, left: left.len() });
        };
        self.at += TLV_HEADER + declared;
        Ok(Some((tag, value)))
    }
}

/// Puts a decoded value into its slot, unless its length is wrong or the slot
/// is taken.
pub(crate) fn fill<V: Value>(
    slot: &mut Option<V>,
    tag: u8,
    value: &[u8],
) -> Result<(), DecodeError> {
    if value.len() != V::SIZE {
        return Err(DecodeError::TlvLength { tag, expected: V::SIZE, declared: value.len() });
    }
    if slot.is_some() {
        return Err(DecodeError::Duplicate { tag });
    }
    *slot = Some(V::take(&mut Reader::new(value)));
    Ok(())
}

/// Declares a struct whose fields follow one another on the wire.
macro_rules! packed {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $field: $ty,)* }

        impl From<[u8; <$name as Value>::SIZE]> for $name {
            /// Out of the wire form.
            fn from(bytes: [u8; <$name as Value>::SIZE]) -> Self {
                Self::take(&mut Reader::new(&bytes))
            }
        }

        impl Value for $name {
            const SIZE: usize = 0 $(+ <$ty as Value>::SIZE)*;
            fn put(&self, out: &mut Writer<'_>) {
                $(self.$field.put(out);)*
            }
            fn take(from: &mut Reader<'_>) -> Self {
                Self { $($field: Value::take(from),)* }
            }
        }
    };
}

/// Declares a message: its struct, and encoding and decoding of its payload.
macro_rules! message {
    (
        $(#[$meta:meta])*
        $name:ident {
            mandatory { $($(#[$m_doc:meta])* $m_tag:literal $m:ident: $m_ty:ty,)* }
            optional { $($(#[$o_doc:meta])* $o_tag:literal $o:ident: $o_ty:ty,)* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$m_doc])* pub $m: $m_ty,)*
            $($(#[$o_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $o: Option<$o_ty>,)*
        }

        impl $name {
            /// Bytes of the payload with every TLV.
            pub const MAX_PAYLOAD: usize = 0
                $(+ TLV_HEADER + <$m_ty as Value>::SIZE)*
                $(+ TLV_HEADER + <$o_ty as Value>::SIZE)*;

            /// Bytes of this message's payload.
            #[must_use]
            pub fn payload_len(&self) -> usize {
                0 $(+ TLV_HEADER + <$m_ty as Value>::SIZE)*
                    $(+ self.$o.map_or(0, |_| TLV_HEADER + <$o_ty as Value>::SIZE))*
            }

            fn put_payload(&self, out: &mut Writer<'_>) {
                $(out.tlv($m_tag, &self.$m);)*
                $(if let Some(value) = &self.$o { out.tlv($o_tag, value); })*
            }

            fn from_payload(payload: &[u8]) -> Result<Self, DecodeError> {
                $(let mut $m: Option<$m_ty> = None;)*
                $(let mut $o: Option<$o_ty> = None;)*
                let mut tlvs = Tlvs::new(payload);
                while let Some((tag, value)) = tlvs.next()? {
                    match tag {
                        $($m_tag => fill(&mut $m, tag, value)?,)*
                        $($o_tag => fill(&mut $o, tag, value)?,)*
                        unknown if unknown < FIRST_OPTIONAL => {
                            return Err(DecodeError::UnknownMandatory { tag: unknown });
                        }
                        _ => {}
                    }
                }
                Ok(Self {
                    $($m: $m.ok_or(DecodeError::Missing { tag: $m_tag })?,)*
                    $($o,)*
                })
            }
        }
    };
}

pub(crate) use {message, packed};

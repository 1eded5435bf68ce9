//! How the language's own types travel.

use crate::{Packed, Reader, Writer};

macro_rules! numbers {
    ($($number:ty)*) => { $(
        impl Packed for $number {
            const MAX_SIZE: usize = size_of::<Self>();

            #[inline]
            fn pack(&self, to: &mut Writer<'_>) {
                to.number(*self as u32, Self::MAX_SIZE);
            }

            #[inline]
            fn unpack(from: &mut Reader<'_>) -> Option<Self> {
                Some(from.number(Self::MAX_SIZE) as Self)
            }
        }
    )* };
}

numbers!(u8 u16 u32 i8 i16 i32);

impl Packed for u64 {
    const MAX_SIZE: usize = 8;

    fn pack(&self, to: &mut Writer<'_>) {
        to.number(*self as u32, 4);
        to.number((*self >> 32) as u32, 4);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let low = from.number(4);
        Some(u64::from(low) | u64::from(from.number(4)) << 32)
    }
}

impl Packed for i64 {
    const MAX_SIZE: usize = 8;

    fn pack(&self, to: &mut Writer<'_>) {
        self.cast_unsigned().pack(to);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        u64::unpack(from).map(u64::cast_signed)
    }
}

impl Packed for bool {
    const MAX_SIZE: usize = 1;

    #[inline]
    fn pack(&self, to: &mut Writer<'_>) {
        to.number((*self).into(), 1);
    }

    #[inline]
    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        match from.number(1) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Packed> Packed for Option<T> {
    const MAX_SIZE: usize = 1 + T::MAX_SIZE;

    fn pack(&self, to: &mut Writer<'_>) {
        to.number(self.is_some().into(), 1);
        if let Some(value) = self {
            value.pack(to);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some(if bool::unpack(from)? { Some(T::unpack(from)?) } else { None })
    }
}

impl<T: Packed, const N: usize> Packed for [T; N] {
    const MAX_SIZE: usize = N * T::MAX_SIZE;

    fn pack(&self, to: &mut Writer<'_>) {
        self.iter().for_each(|value| value.pack(to));
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let values = core::array::from_fn(|_| T::unpack(from));
        let whole = values.iter().all(Option::is_some);
        whole.then(|| values.map(|value| value.expect("each was looked at")))
    }
}

impl Packed for () {
    const MAX_SIZE: usize = 0;

    #[inline]
    fn pack(&self, _: &mut Writer<'_>) {}

    #[inline]
    fn unpack(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

macro_rules! tuples {
    ($(($($name:ident: $number:tt),+))*) => { $(
        impl<$($name: Packed),+> Packed for ($($name,)+) {
            const MAX_SIZE: usize = 0 $(+ $name::MAX_SIZE)+;

            fn pack(&self, to: &mut Writer<'_>) {
                $(self.$number.pack(to);)+
            }

            fn unpack(from: &mut Reader<'_>) -> Option<Self> {
                Some(($($name::unpack(from)?,)+))
            }
        }
    )* };
}

tuples! {
    (A: 0)
    (A: 0, B: 1)
    (A: 0, B: 1, C: 2)
    (A: 0, B: 1, C: 2, D: 3)
}

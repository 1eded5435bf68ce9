//! Memory that a client lends, as its server sees it.
//!
//! A [`Leased`] is made by the dispatcher after it checked the lease's
//! attributes and size, so what is left to go wrong is that the client is
//! gone: then each access says [`ClientError::WentAway`], which as the result
//! of the operation means that nobody is answered.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use userlib::{
    LeaseAttributes, RecvMessage, TaskId, sys_borrow_info, sys_borrow_read, sys_borrow_write,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::ClientError;

/// What a lease was given for.
pub trait Attributes {
    /// What the client must have allowed.
    const NEEDED: LeaseAttributes;
}

/// Attributes that let the server read.
pub trait AttributeRead: Attributes {}

/// Attributes that let the server write.
pub trait AttributeWrite: Attributes {}

/// The server may read.
#[derive(Copy, Clone, Debug)]
pub enum R {}

/// The server may write.
#[derive(Copy, Clone, Debug)]
pub enum W {}

/// The server may read and write.
#[derive(Copy, Clone, Debug)]
pub enum RW {}

impl Attributes for R {
    const NEEDED: LeaseAttributes = LeaseAttributes::READ;
}

impl Attributes for W {
    const NEEDED: LeaseAttributes = LeaseAttributes::WRITE;
}

impl Attributes for RW {
    const NEEDED: LeaseAttributes = LeaseAttributes::READ.with(LeaseAttributes::WRITE);
}

impl AttributeRead for R {}
impl AttributeRead for RW {}
impl AttributeWrite for W {}
impl AttributeWrite for RW {}

/// A `T`, or with `[T]` any number of them, in a client's memory.
pub struct Leased<A, T: ?Sized> {
    lender: TaskId,
    index: usize,
    len: usize,
    attributes: PhantomData<A>,
    elements: PhantomData<fn(&T)>,
}

impl<A, T: ?Sized> fmt::Debug for Leased<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased")
            .field("lender", &self.lender)
            .field("index", &self.index)
            .field("len", &self.len)
            .finish()
    }
}

impl<A: Attributes, T: ?Sized> Leased<A, T> {
    const fn new(message: &RecvMessage, index: usize, len: usize) -> Self {
        let lender = message.sender;
        Self { lender, index, len, attributes: PhantomData, elements: PhantomData }
    }

    /// The lease `index` of `message` when it allows what `A` says; its length
    /// in bytes.
    #[inline]
    fn ask(message: &RecvMessage, index: usize) -> Result<usize, ClientError> {
        // Naming a lease that was not given would be this server's fault.
        if index >= message.lease_count {
            return Err(ClientError::BadLease);
        }
        match sys_borrow_info(message.sender, index) {
            (0, attributes, len) if attributes.contains(A::NEEDED) => Ok(len),
            (0, ..) => Err(ClientError::BadLease),
            _ => Err(ClientError::WentAway),
        }
    }

    #[inline]
    fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), ClientError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let wanted = bytes.len();
        match sys_borrow_read(self.lender, self.index, offset, bytes) {
            (0, done) if done == wanted => Ok(()),
            _ => Err(ClientError::WentAway),
        }
    }

    #[inline]
    fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), ClientError> {
        if bytes.is_empty() {
            return Ok(());
        }
        match sys_borrow_write(self.lender, self.index, offset, bytes) {
            (0, done) if done == bytes.len() => Ok(()),
            _ => Err(ClientError::WentAway),
        }
    }
}

impl<A: Attributes, T> Leased<A, T> {
    /// Takes lease `index` of `message` for one `T`.
    ///
    /// # Errors
    /// When it is not there, does not allow what `A` says, or has another size.
    #[inline]
    pub fn validate(message: &RecvMessage, index: usize) -> Result<Self, ClientError> {
        if Self::ask(message, index)? != size_of::<T>() {
            return Err(ClientError::BadLease);
        }
        Ok(Self::new(message, index, 1))
    }
}

impl<A: AttributeRead, T: FromBytes + IntoBytes> Leased<A, T> {
    /// The value.
    ///
    /// # Errors
    /// When the client is gone.
    #[inline]
    pub fn read(&self) -> Result<T, ClientError> {
        let mut value = T::new_zeroed();
        self.copy_in(0, value.as_mut_bytes())?;
        Ok(value)
    }
}

impl<A: AttributeWrite, T: IntoBytes + Immutable> Leased<A, T> {
    /// Replaces the value.
    ///
    /// # Errors
    /// When the client is gone.
    #[inline]
    pub fn write(&self, value: T) -> Result<(), ClientError> {
        self.copy_out(0, value.as_bytes())
    }
}

impl<A: Attributes, T> Leased<A, [T]> {
    const SIZED: () = assert!(size_of::<T>() > 0, "a slice of nothing cannot be lent");

    /// Takes lease `index` of `message` for any number of `T`.
    ///
    /// # Errors
    /// When it is not there, does not allow what `A` says, or is no whole
    /// number of `T`.
    #[inline]
    pub fn validate(message: &RecvMessage, index: usize) -> Result<Self, ClientError> {
        let () = Self::SIZED;
        let len = Self::ask(message, index)?;
        if !len.is_multiple_of(size_of::<T>()) {
            return Err(ClientError::BadLease);
        }
        let len = len / size_of::<T>();
        Ok(Self::new(message, index, len))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `range` starts, in bytes. An index usually comes from the client,
    /// so one beyond the lease is the client's fault.
    #[inline]
    fn offset(&self, range: &Range<usize>) -> Result<usize, ClientError> {
        if range.start <= range.end && range.end <= self.len {
            Ok(range.start * size_of::<T>())
        } else {
            Err(ClientError::BadLease)
        }
    }
}

impl<A: AttributeRead, T: FromBytes + IntoBytes> Leased<A, [T]> {
    /// Element `index`.
    ///
    /// # Errors
    /// When there is none, or the client is gone.
    #[inline]
    pub fn read_at(&self, index: usize) -> Result<T, ClientError> {
        let offset = self.offset(&(index..index.saturating_add(1)))?;
        let mut value = T::new_zeroed();
        self.copy_in(offset, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies the elements in `range` to the start of `into`.
    ///
    /// # Errors
    /// When the lease has not all of them, or the client is gone.
    ///
    /// # Panics
    /// When `into` is shorter than `range`.
    #[inline]
    pub fn read_range(&self, range: Range<usize>, into: &mut [T]) -> Result<(), ClientError> {
        let offset = self.offset(&range)?;
        self.copy_in(offset, into[..range.len()].as_mut_bytes())
    }
}

impl<A: AttributeWrite, T: IntoBytes + Immutable> Leased<A, [T]> {
    /// Replaces element `index`.
    ///
    /// # Errors
    /// When there is none, or the client is gone.
    #[inline]
    pub fn write_at(&self, index: usize, value: T) -> Result<(), ClientError> {
        let offset = self.offset(&(index..index.saturating_add(1)))?;
        self.copy_out(offset, value.as_bytes())
    }

    /// Replaces the elements in `range` by the first of `from`.
    ///
    /// # Errors
    /// When the lease has not all of them, or the client is gone.
    ///
    /// # Panics
    /// When `from` is shorter than `range`.
    #[inline]
    pub fn write_range(&self, range: Range<usize>, from: &[T]) -> Result<(), ClientError> {
        let offset = self.offset(&range)?;
        self.copy_out(offset, from[..range.len()].as_bytes())
    }
}

/// A lease of a slice that has at most `N` elements.
#[derive(Debug)]
pub struct LenLimit<T, const N: usize>(T);

impl<A: Attributes, T, const N: usize> LenLimit<Leased<A, [T]>, N> {
    /// Takes lease `index` of `message` for at most `N` of `T`.
    ///
    /// # Errors
    /// As [`Leased::validate`], and when there are more.
    #[inline]
    pub fn validate(message: &RecvMessage, index: usize) -> Result<Self, ClientError> {
        let leased = Leased::<A, [T]>::validate(message, index)?;
        if leased.len > N {
            return Err(ClientError::BadLease);
        }
        Ok(Self(leased))
    }
}

impl<T, const N: usize> LenLimit<T, N> {
    /// The lease itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T, const N: usize> core::ops::Deref for LenLimit<T, N> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

//! Memory that a message lends to its receiver.
//!
//! A lease lasts as long as the SEND that carries it, which is why it borrows
//! the memory it describes.

use core::marker::PhantomData;

use abi::{LeaseAttributes, ULease};

/// Memory that one SEND lends to the task that receives its message.
#[derive(Debug)]
#[repr(transparent)]
pub struct Lease<'a> {
    row: ULease,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Lease<'a> {
    /// The borrower may read `memory`.
    #[must_use]
    pub fn read_only(memory: &'a [u8]) -> Self {
        Self::new(LeaseAttributes::READ, memory.as_ptr(), memory.len())
    }

    /// The borrower may read and write `memory`.
    #[must_use]
    pub fn read_write(memory: &'a mut [u8]) -> Self {
        let attributes = LeaseAttributes::READ.with(LeaseAttributes::WRITE);
        Self::new(attributes, memory.as_mut_ptr(), memory.len())
    }

    /// The borrower may write `memory`.
    #[must_use]
    pub fn write_only(memory: &'a mut [u8]) -> Self {
        Self::new(LeaseAttributes::WRITE, memory.as_mut_ptr(), memory.len())
    }

    fn new(attributes: LeaseAttributes, base: *const u8, length: usize) -> Self {
        let base_address = base.expose_provenance();
        Self { row: ULease { attributes, base_address, length }, memory: PhantomData }
    }

    /// Bytes that are lent.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.row.length
    }

    /// Whether nothing is lent.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.row.length == 0
    }
}

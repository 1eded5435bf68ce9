//! User memory: which of it a task may hand to the kernel.
//!
//! A slice that a system call names must lie in one region of the task, with
//! the right to read or write, and never in device or DMA memory, where another
//! master could change it under the kernel or a read could have effects. A
//! slice of no bytes is good anywhere. (Hubris lets a slice span adjacent
//! regions, because an MPU cuts RAM into several; an MMU does not.)
//!
//! Regions never change, so a slice that was good at the system call is good
//! until that incarnation ends. Every slice is therefore checked when its owner
//! names it and not again when it is used; the caller is who a bad one faults.

use abi::{FaultInfo, FaultSource, RegionAttributes, ULease, UsageError};

use crate::arch::{self, Address, SavedRegisters};
use crate::task::Task;

/// User memory that its task may read.
#[derive(Copy, Clone, Debug)]
pub struct Readable {
    base: Address,
    len: usize,
}

/// User memory that its task may write.
#[derive(Copy, Clone, Debug)]
pub struct Writable {
    base: Address,
    len: usize,
}

impl Readable {
    /// First byte.
    #[must_use]
    pub fn base(self) -> Address {
        self.base
    }

    /// Bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The same without its first `offset` bytes, at most `len` long.
    pub(crate) fn part(self, offset: usize, len: usize) -> Self {
        let offset = offset.min(self.len);
        Self { base: self.base + offset as Address, len: len.min(self.len - offset) }
    }
}

impl Writable {
    /// The same without its first `offset` bytes.
    #[cfg(target_os = "none")]
    pub(crate) fn behind(self, offset: usize) -> Self {
        let offset = offset.min(self.len);
        Self { base: self.base + offset as Address, len: self.len - offset }
    }

    /// First byte.
    #[must_use]
    pub fn base(self) -> Address {
        self.base
    }

    /// Bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The same without its first `offset` bytes, at most `len` long.
    pub(crate) fn part(self, offset: usize, len: usize) -> Self {
        let offset = offset.min(self.len);
        Self { base: self.base + offset as Address, len: len.min(self.len - offset) }
    }
}

impl Task {
    /// The memory that arguments `n` (base) and `n + 1` (length) of its system
    /// call describe, if it may read it.
    pub(crate) fn readable_argument(&self, n: usize) -> Result<Readable, FaultInfo> {
        self.readable(self.save.argument(n) as Address, self.save.argument(n + 1))
    }

    /// The same, if it may write it.
    pub(crate) fn writable_argument(&self, n: usize) -> Result<Writable, FaultInfo> {
        self.writable(self.save.argument(n) as Address, self.save.argument(n + 1))
    }

    /// As [`readable_argument`](Self::readable_argument), of a call that the
    /// task waits in and whose argument was checked when it began.
    #[inline(always)]
    pub(crate) fn checked_readable(&self, n: usize) -> Readable {
        Readable { base: self.save.argument(n) as Address, len: self.save.argument(n + 1) }
    }

    /// As [`checked_readable`](Self::checked_readable), to write.
    #[inline(always)]
    pub(crate) fn checked_writable(&self, n: usize) -> Writable {
        Writable { base: self.save.argument(n) as Address, len: self.save.argument(n + 1) }
    }

    pub(crate) fn readable(&self, base: Address, len: usize) -> Result<Readable, FaultInfo> {
        self.check(base, len, RegionAttributes::READ)?;
        Ok(Readable { base, len })
    }

    pub(crate) fn writable(&self, base: Address, len: usize) -> Result<Writable, FaultInfo> {
        self.check(base, len, RegionAttributes::WRITE)?;
        Ok(Writable { base, len })
    }

    /// Checks that its SEND brought a lease table that can be read.
    pub(crate) fn check_lease_table(&self, base: Address, count: usize) -> Result<(), FaultInfo> {
        if count == 0 {
            return Ok(());
        }
        let aligned = arch::word(base).is_multiple_of(align_of::<ULease>());
        if count > abi::MAX_LEASES || !aligned {
            return Err(UsageError::InvalidSlice.into());
        }
        self.check(base, count * size_of::<ULease>(), RegionAttributes::READ)
    }

    /// Lease `index` of the SEND it waits in; `None` when it gave fewer.
    pub(crate) fn lease(&self, index: usize) -> Option<ULease> {
        const WORD: usize = size_of::<usize>();
        const ROW: usize = size_of::<ULease>();
        const { assert!(core::mem::offset_of!(ULease, base_address) == ROW - 2 * WORD) };
        let table = self.checked_readable(5);
        if index >= table.len {
            return None;
        }
        // The row is copied once and only the copy is used.
        let mut row = [0; ROW];
        let source = Readable { base: table.base + (index * ROW) as Address, len: ROW };
        arch::read(source, &mut row);
        let (attributes, rest) = row.split_at(ROW - 2 * WORD);
        let (base, length) = rest.split_at(WORD);
        let word = |bytes: &[u8]| usize::from_ne_bytes(bytes.try_into().expect("a word's bytes"));
        let attributes = attributes[..4].try_into().expect("four bytes");
        Some(ULease {
            attributes: abi::LeaseAttributes(u32::from_ne_bytes(attributes)),
            base_address: word(base),
            length: word(length),
        })
    }

    /// Whether arguments `n` (base) and `n + 1` (length) describe part of its
    /// RAM, or nothing: then every check of them succeeds.
    #[inline(always)]
    pub(crate) fn has_in_ram(&self, n: usize) -> bool {
        self.is_in_ram(self.save.argument(n) as Address, self.save.argument(n + 1))
    }

    /// Whether its SEND brought a good lease table in its RAM, or none.
    #[inline(always)]
    pub(crate) fn has_leases_in_ram(&self) -> bool {
        let (base, count) = (self.save.argument(5) as Address, self.save.argument(6));
        count == 0
            || count <= abi::MAX_LEASES
                && arch::word(base).is_multiple_of(align_of::<ULease>())
                && self.is_in_ram(base, count * size_of::<ULease>())
    }

    #[inline(always)]
    fn is_in_ram(&self, base: Address, len: usize) -> bool {
        let offset = base.wrapping_sub(self.ram_base);
        len == 0 || offset < self.ram_size && len as Address <= self.ram_size - offset
    }

    fn check(&self, base: Address, len: usize, need: RegionAttributes) -> Result<(), FaultInfo> {
        if self.is_in_ram(base, len) {
            return Ok(());
        }
        let Some(end) = base.checked_add(len as Address) else {
            return Err(UsageError::InvalidSlice.into());
        };
        let shared = RegionAttributes::DEVICE.with(RegionAttributes::DMA);
        for region in &self.descriptor.regions {
            // Bases and sizes come from the build, which checks that they add up.
            let inside = base >= region.base && end <= region.base + region.size;
            if inside && region.attributes.0 & need.with(shared).0 == need.0 {
                return Ok(());
            }
        }
        Err(FaultInfo::MemoryAccess { address: arch::report(base), source: FaultSource::Kernel })
    }
}

//! Device registers: volatile on a board, the simulator's models on a host.
//!
//! A [`Registers`] is the right to one block of registers. The image's
//! description hands each block to the tasks it names; drivers get it as a
//! value and cannot make one.

#![cfg_attr(target_os = "none", no_std)]

pub use addr::Phys;

/// One block of device registers, `len` bytes from `base`.
#[derive(Debug, Hash)]
pub struct Registers {
    base: Phys,
    len: u32,
}

impl Registers {
    /// The block of `len` bytes at `base`.
    ///
    /// # Safety
    /// On a board the caller promises that `app.toml` gives the running task
    /// this block, that it is mapped as device memory, and that no other
    /// `Registers` covers the same registers with different meaning. A wrong
    /// block makes every later access undefined. On a host nothing can go
    /// wrong: the simulator checks each access.
    #[must_use]
    pub const unsafe fn new(base: Phys, len: u32) -> Self {
        Self { base, len }
    }

    /// As [`Registers::new`], on a host, where nothing can go wrong: the
    /// simulator knows which registers the running task may touch, and faults
    /// it for all others.
    #[cfg(not(target_os = "none"))]
    #[must_use]
    pub const fn simulated(base: Phys, len: u32) -> Self {
        Self { base, len }
    }

    /// Where the block starts.
    #[must_use]
    pub const fn base(&self) -> Phys {
        self.base
    }

    /// Bytes in the block.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether the block has no register at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the 32-bit register `offset` bytes into the block.
    #[must_use]
    pub fn read32(&self, offset: u32) -> u32 {
        access::read32(self.at(offset, 4))
    }

    /// Writes the 32-bit register `offset` bytes into the block.
    pub fn write32(&self, offset: u32, value: u32) {
        access::write32(self.at(offset, 4), value);
    }

    /// Reads the 8-bit register `offset` bytes into the block.
    #[must_use]
    pub fn read8(&self, offset: u32) -> u8 {
        access::read8(self.at(offset, 1))
    }

    /// Writes a 64-bit register as two words, low half first: the high half is
    /// what makes xHCI (5.1) and SMMUv3 take the value on a 32-bit bus.
    pub fn write64(&self, offset: u32, value: u64) {
        self.write32(offset, value as u32);
        self.write32(offset + 4, (value >> 32) as u32);
    }

    /// Reads a 64-bit register as two words, low half first.
    #[must_use]
    pub fn read64(&self, offset: u32) -> u64 {
        let low = self.read32(offset);
        u64::from(low) | u64::from(self.read32(offset + 4)) << 32
    }

    fn at(&self, offset: u32, width: u32) -> u64 {
        assert!(
            offset.is_multiple_of(width)
                && offset.checked_add(width).is_some_and(|end| end <= self.len),
            "register access outside its block or unaligned"
        );
        self.base.plus(u64::from(offset)).0
    }
}

/// The [`Registers`] of a generated constant, in the few lines of a task's
/// binary: `registers!(image::registers::UART0)`. What the generator wrote is
/// what the kernel maps for the task; any other address would fault it.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! registers {
    ($block:expr) => {
        // SAFETY: app.toml gives the task this block, and each block once; the
        // kernel maps it as device memory.
        unsafe { $crate::Registers::new($crate::Phys($block.0), $block.1) }
    };
}

#[cfg(not(target_os = "none"))]
mod access {
    use seam::Width;

    pub(crate) fn read32(address: u64) -> u32 {
        seam::with(|machine| machine.mmio_read(address, Width::Word))
    }

    pub(crate) fn write32(address: u64, value: u32) {
        seam::with(|machine| machine.mmio_write(address, Width::Word, value));
    }

    pub(crate) fn read8(address: u64) -> u8 {
        seam::with(|machine| machine.mmio_read(address, Width::Byte)) as u8
    }
}

#[cfg(target_os = "none")]
mod access {
    use core::ptr;

    pub(crate) fn read32(address: u64) -> u32 {
        // SAFETY: `Registers::new` promised that the block is this task's
        // device memory, and `at` checked bounds and alignment.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(address as usize)) }
    }

    pub(crate) fn write32(address: u64, value: u32) {
        // SAFETY: as in `read32`.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(address as usize), value) }
    }

    pub(crate) fn read8(address: u64) -> u8 {
        // SAFETY: as in `read32`.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(address as usize)) }
    }
}

//! The PCI function: configuration space and MSI-X.
//!
//! PCI 3.0 chapter 6, with the capabilities where `qemu-xhci` has them. BAR0 is
//! 64 bits wide and 16 KiB long; MSI-X has a vector per interrupter, its table
//! and its pending bits are in the last page of BAR0.

use fabric::Width;

/// Bytes of BAR0.
pub const BAR_SIZE: u64 = 0x4000;
/// Where BAR0 holds the MSI-X table, and the pending bits.
pub(crate) const TABLE: u32 = 0x3000;
pub(crate) const PENDING: u32 = 0x3800;

/// COMMAND: memory space, bus master.
const MEMORY: u16 = 1 << 1;
const MASTER: u16 = 1 << 2;
/// COMMAND bits that can be written: those, I/O space aside, and INTx disable.
const COMMAND_WRITABLE: u16 = MEMORY | MASTER | 1 << 8 | 1 << 10;

const MSIX_CAPABILITY: usize = 0x90;
const PCIE_CAPABILITY: usize = 0xA0;
/// Message control: enable, function mask.
const ENABLE: u16 = 1 << 15;
const FUNCTION_MASK: u16 = 1 << 14;

/// Where a function stands: bus, device, function.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PciAddress {
    /// Bus number.
    pub bus: u8,
    /// Device number.
    pub device: u8,
    /// Function number.
    pub function: u8,
}

impl PciAddress {
    /// Its page in the ECAM window.
    #[must_use]
    pub const fn ecam_offset(self) -> u32 {
        (self.bus as u32) << 20 | (self.device as u32) << 15 | (self.function as u32) << 12
    }

    /// Its requester id, which is its StreamID.
    #[must_use]
    pub const fn requester(self) -> u16 {
        (self.bus as u16) << 8 | (self.device as u16) << 3 | self.function as u16
    }
}

/// An MSI-X table entry (PCI 3.0, 6.8.2.9).
#[derive(Copy, Clone, Debug)]
pub(crate) struct Vector {
    address: [u32; 2],
    data: u32,
    masked: bool,
    pending: bool,
}

/// A message to send: an address on the bus, and a word.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) address: u64,
    pub(crate) data: u32,
}

/// Configuration space and MSI-X table of one function.
#[derive(Debug)]
pub(crate) struct Pci {
    command: u16,
    bar: u64,
    control: u16,
    vectors: Vec<Vector>,
}

impl Pci {
    pub(crate) fn new(vectors: u16) -> Self {
        let vector = Vector { address: [0; 2], data: 0, masked: true, pending: false };
        Self { command: 0, bar: 0, control: 0, vectors: vec![vector; usize::from(vectors)] }
    }

    pub(crate) fn bus_master(&self) -> bool {
        self.command & MASTER != 0
    }

    /// Where BAR0 is decoded, if it is.
    pub(crate) fn bar(&self) -> Option<u64> {
        (self.command & MEMORY != 0).then_some(self.bar)
    }

    pub(crate) fn msix_enabled(&self) -> bool {
        self.control & ENABLE != 0
    }

    /// Reads configuration space.
    pub(crate) fn config_read(&self, offset: u32, width: Width) -> u32 {
        let word = self.config_word(offset as usize & 0xFFC);
        let shifted = word >> (8 * (offset & 3));
        match width {
            Width::Byte => shifted & 0xFF,
            Width::Half => shifted & 0xFFFF,
            Width::Word => shifted,
        }
    }

    fn config_word(&self, offset: usize) -> u32 {
        match offset {
            0x00 => 0x000D_1B36,
            // STATUS says that there is a capability list.
            0x04 => 0x0010_0000 | u32::from(self.command),
            0x08 => 0x0C03_3001,
            // Memory, 64 bits, not prefetchable.
            0x10 => self.bar as u32 | 0x4,
            0x14 => (self.bar >> 32) as u32,
            0x2C => 0x1100_1AF4,
            0x34 => MSIX_CAPABILITY as u32,
            0x3C => 0x0000_0100,
            MSIX_CAPABILITY => {
                let size = self.vectors.len() as u32 - 1;
                0x11 | (PCIE_CAPABILITY as u32) << 8 | (size | u32::from(self.control)) << 16
            }
            0x94 => TABLE,
            0x98 => PENDING,
            // A root complex integrated endpoint, version 2.
            PCIE_CAPABILITY => 0x0092_0010,
            _ => 0,
        }
    }

    /// Writes configuration space. The messages that this lets out are sent by
    /// the caller; `false` when the register is not one to be written.
    pub(crate) fn config_write(&mut self, offset: u32, width: Width, value: u32) -> bool {
        let mask = match width {
            Width::Byte => 0xFF,
            Width::Half => 0xFFFF,
            Width::Word => u32::MAX,
        };
        let shift = 8 * (offset & 3);
        let place = offset as usize & 0xFFC;
        let old = self.config_word(place);
        let new = old & !(mask << shift) | (value & mask) << shift;
        match place {
            0x04 => self.command = new as u16 & COMMAND_WRITABLE,
            0x10 => self.bar = self.bar & !0xFFFF_FFFF | u64::from(new) & !(BAR_SIZE - 1),
            0x14 => self.bar = self.bar & 0xFFFF_FFFF | u64::from(new) << 32,
            MSIX_CAPABILITY => self.control = (new >> 16) as u16 & (ENABLE | FUNCTION_MASK),
            // Cache line size, latency timer, interrupt line: scratch for others.
            0x0C | 0x3C => {}
            _ => return false,
        }
        true
    }

    pub(crate) fn table_read(&self, offset: u32) -> u32 {
        let Some(vector) = self.vectors.get(offset as usize / 16) else { return 0 };
        match offset % 16 {
            0 => vector.address[0],
            4 => vector.address[1],
            8 => vector.data,
            _ => u32::from(vector.masked),
        }
    }

    pub(crate) fn pending_read(&self, offset: u32) -> u32 {
        let first = offset as usize * 8;
        let bits = self.vectors.iter().skip(first).take(32).enumerate();
        bits.fold(0, |word, (n, vector)| word | u32::from(vector.pending) << n)
    }

    /// Writes the table; `false` when there is no such entry.
    pub(crate) fn table_write(&mut self, offset: u32, value: u32) -> bool {
        let Some(vector) = self.vectors.get_mut(offset as usize / 16) else { return false };
        match offset % 16 {
            0 => vector.address[0] = value & !3,
            4 => vector.address[1] = value,
            8 => vector.data = value,
            _ => vector.masked = value & 1 == 1,
        }
        true
    }

    /// Vector `n` is to fire: the message, or a pending bit when it is masked.
    pub(crate) fn fire(&mut self, n: usize) -> Option<Message> {
        if !self.msix_enabled() {
            return None;
        }
        let held = self.control & FUNCTION_MASK != 0;
        let vector = self.vectors.get_mut(n)?;
        if held || vector.masked {
            vector.pending = true;
            return None;
        }
        let [low, high] = vector.address;
        Some(Message { address: u64::from(low) | u64::from(high) << 32, data: vector.data })
    }

    /// A message that was held back and may go now.
    pub(crate) fn release(&mut self) -> Option<Message> {
        if !self.msix_enabled() || self.control & FUNCTION_MASK != 0 {
            return None;
        }
        let ready = |vector: &Vector| vector.pending && !vector.masked;
        let n = self.vectors.iter().position(ready)?;
        self.vectors[n].pending = false;
        self.fire(n)
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Pci, PciAddress};
    use fabric::Width;

    #[test]
    fn bar0_answers_the_sizing_write_and_is_decoded_only_when_told_to() {
        let mut pci = Pci::new(16);
        assert_eq!(pci.config_read(0, Width::Word), 0x000D_1B36);
        assert!(pci.config_write(0x10, Width::Word, u32::MAX));
        assert_eq!(pci.config_read(0x10, Width::Word), 0xFFFF_C004);
        assert!(pci.config_write(0x10, Width::Word, 0x1000_0000));
        assert!(pci.config_write(0x14, Width::Word, 0));
        assert_eq!(pci.bar(), None);
        assert!(pci.config_write(4, Width::Half, 6));
        assert_eq!((pci.bar(), pci.bus_master()), (Some(0x1000_0000), true));
    }

    #[test]
    fn the_capability_list_is_msix_then_pcie() {
        let pci = Pci::new(16);
        assert_eq!(pci.config_read(0x34, Width::Byte), 0x90);
        assert_eq!(pci.config_read(0x90, Width::Half), 0xA011);
        assert_eq!(pci.config_read(0x92, Width::Half) & 0x7FF, 15);
        assert_eq!(pci.config_read(0xA0, Width::Half), 0x0010);
    }

    #[test]
    fn a_masked_vector_stays_pending_until_it_is_let_go() {
        let mut pci = Pci::new(4);
        assert!(pci.config_write(0x92, Width::Half, 0x8000));
        for (offset, value) in [(0x10, 0x0802_0040), (0x18, 81)] {
            assert!(pci.table_write(offset, value));
        }
        assert_eq!(pci.fire(1), None);
        assert_eq!((pci.pending_read(0), pci.release()), (2, None));
        assert!(pci.table_write(0x1C, 0));
        assert_eq!(pci.release(), Some(Message { address: 0x0802_0040, data: 81 }));
        assert_eq!((pci.pending_read(0), pci.release()), (0, None));
        assert!(!pci.table_write(0x40, 0), "there are four vectors");
    }

    #[test]
    fn the_requester_id_is_the_stream_of_the_smmu() {
        let address = PciAddress { bus: 0, device: 2, function: 0 };
        assert_eq!((address.requester(), address.ecam_offset()), (0x10, 0x1_0000));
    }
}

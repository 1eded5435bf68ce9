//! The controller's PCI function: BAR, bus mastering, MSI-X.
//!
//! Follows the PCI Local Bus 3.0 configuration header (6.1) and MSI-X
//! capability (6.8.2). No firmware runs before us, so the BAR is assigned here,
//! to where `app.toml` says that it is.

use addr::Bus;
use mmio::Registers;

const ID: u32 = 0x00;
const COMMAND: u32 = 0x04;
const CLASS: u32 = 0x08;
const BAR0: u32 = 0x10;
const CAPABILITIES: u32 = 0x34;

const COMMAND_MEMORY: u32 = 1 << 1;
const COMMAND_MASTER: u32 = 1 << 2;
const COMMAND_INTX_OFF: u32 = 1 << 10;
/// Class code of an xHCI controller, in bits 31:8 of its word.
const CLASS_XHCI: u32 = 0x0C_0330;
/// BAR type field: 64 bits.
const BAR_64: u32 = 2 << 1;

const CAPABILITY_MSIX: u8 = 0x11;
/// Capabilities that a list can have: a list that goes on is a circle.
const MAX_CAPABILITIES: u32 = 48;
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_MASK_ALL: u32 = 1 << 30;
const ENTRY: u32 = 16;
const ENTRY_MASKED: u32 = 1;

/// Why a function cannot be used; a defect of image or machine.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum PciError {
    /// Another kind of device.
    NotXhci,
    /// No MSI-X, or its table is not in BAR0.
    NoMsix,
}

/// A function with its registers reachable and its bus mastering off.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Function<'c> {
    config: &'c Registers,
    msix: u32,
    table: u32,
    /// Vectors in the MSI-X table.
    pub(crate) vectors: u16,
}

impl<'c> Function<'c> {
    /// Makes the function's registers reachable at `bar`. Bus mastering is left
    /// as it is: a controller of an earlier life must be able to halt.
    pub(crate) fn open(config: &'c Registers, bar: &Registers) -> Result<Self, PciError> {
        if config.read32(CLASS) >> 8 != CLASS_XHCI {
            return Err(PciError::NotXhci);
        }
        let low = bar.base().low();
        // A BAR is moved only while it decodes nothing.
        if config.read32(BAR0) & !0xF != low || config.read32(COMMAND) & COMMAND_MEMORY == 0 {
            config.write32(COMMAND, COMMAND_INTX_OFF);
            let wide = config.read32(BAR0) & 0b110 == BAR_64;
            config.write32(BAR0, low);
            if wide {
                config.write32(BAR0 + 4, bar.base().high());
            }
            config.write32(COMMAND, COMMAND_MEMORY | COMMAND_INTX_OFF);
        }
        let msix = find_capability(config, CAPABILITY_MSIX).ok_or(PciError::NoMsix)?;
        let table = config.read32(msix + 4);
        let vectors = (config.read32(msix) >> 16) as u16 % 0x800 + 1;
        let (bir, table) = (table & 7, table & !7);
        let inside = table
            .checked_add(u32::from(vectors) * ENTRY)
            .is_some_and(|end| bir == 0 && end <= bar.len());
        if !inside {
            return Err(PciError::NoMsix);
        }
        Ok(Self { config, msix, table, vectors })
    }

    /// Lets the controller reach memory, or not.
    pub(crate) fn set_master(&self, on: bool) {
        let master = if on { COMMAND_MASTER } else { 0 };
        self.config.write32(COMMAND, COMMAND_MEMORY | COMMAND_INTX_OFF | master);
    }

    /// Sets vector n to write `message(n)` to `doorbell`, masks those without a
    /// message, and enables MSI-X. Interrupters must not be enabled before:
    /// QEMU forgets vectors that were not in use when IMAN was written.
    pub(crate) fn enable_msix(
        &self,
        bar: &Registers,
        doorbell: Bus,
        message: impl Fn(u16) -> Option<u16>,
    ) {
        let control = self.config.read32(self.msix) & !(MSIX_ENABLE | MSIX_MASK_ALL);
        self.config.write32(self.msix, control | MSIX_ENABLE | MSIX_MASK_ALL);
        for vector in 0..self.vectors {
            let entry = self.table + u32::from(vector) * ENTRY;
            let mask = match message(vector) {
                Some(data) => {
                    bar.write32(entry, doorbell.low());
                    bar.write32(entry + 4, doorbell.high());
                    bar.write32(entry + 8, u32::from(data));
                    0
                }
                None => ENTRY_MASKED,
            };
            bar.write32(entry + 12, mask);
        }
        self.config.write32(self.msix, control | MSIX_ENABLE);
    }
}

/// Whether a function answers at all.
pub(crate) fn answers(config: &Registers) -> bool {
    config.read32(ID) as u16 != u16::MAX
}

fn find_capability(config: &Registers, wanted: u8) -> Option<u32> {
    let mut at = u32::from(config.read8(CAPABILITIES) & !3);
    for _ in 0..MAX_CAPABILITIES {
        if at < 0x40 || at + 4 > config.len() {
            return None;
        }
        let header = config.read32(at);
        if header as u8 == wanted {
            return Some(at);
        }
        at = header >> 8 & 0xFC;
    }
    None
}

//! Lines of text from a test task to the serial port.
//!
//! For images that test or measure; what ships has ring buffers. The port is a
//! PL011 as the emulator has it, which needs no set-up (ARM DDI 0183).

#![no_std]

use core::fmt;
use mmio::Registers;

/// UARTDR.
const DATA: u32 = 0x00;
/// UARTFR.
const FLAGS: u32 = 0x18;
/// UARTFR.TXFF: no room.
const FULL: u32 = 1 << 5;

/// The serial port.
#[derive(Debug)]
pub struct Serial {
    port: Registers,
}

impl Serial {
    /// The PL011 at `port`.
    #[must_use]
    pub const fn new(port: Registers) -> Self {
        Self { port }
    }
}

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while self.port.read32(FLAGS) & FULL != 0 {
                core::hint::spin_loop();
            }
            self.port.write32(DATA, u32::from(byte));
        }
        Ok(())
    }
}

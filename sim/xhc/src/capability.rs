//! Capability registers and extended capabilities: xHCI 1.2, 5.3 and 7.

use crate::flag;
use crate::personality::Personality;

/// Where the runtime registers and the doorbells are: a page each.
pub(crate) const RUNTIME: u32 = 0x1000;
pub(crate) const DOORBELLS: u32 = 0x2000;

/// USBLEGSUP (7.1.1): who owns the controller.
const BIOS_OWNED: u32 = 1 << 16;
const OS_OWNED: u32 = 1 << 24;

/// State of the legacy support capability.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Legacy {
    pub(crate) bios: bool,
    pub(crate) os: bool,
}

/// What the capability registers say at `offset`; `None` beyond them.
pub(crate) fn read(p: &Personality, offset: u32) -> Option<u32> {
    let value = match offset {
        0x00 => u32::from(p.version) << 16 | u32::from(p.caplength),
        0x04 => u32::from(p.slots) | u32::from(p.interrupters) << 8 | u32::from(p.ports()) << 24,
        0x08 => {
            let (high, low) = (u32::from(p.scratchpads) >> 5, u32::from(p.scratchpads) & 0x1F);
            let segments = u32::from(p.segments_log2) << 4;
            u32::from(p.ist_field) | segments | high << 21 | low << 27
        }
        0x0C | 0x1C => 0,
        0x10 => {
            u32::from(p.addresses_64)
                | u32::from(p.contexts_64) << 2
                | u32::from(p.port_power) << 3
                | u32::from(p.contiguous_frame_ids) << 11
                | 7 << 12
                | u32::from(p.extended / 4) << 16
        }
        0x14 => DOORBELLS,
        0x18 => RUNTIME,
        _ => return None,
    };
    Some(value)
}

/// The extended capabilities as words from their start on.
///
/// USB legacy support first, when there is a BIOS; then the supported
/// protocols, each with its ports (7.2): QEMU has USB2 first.
pub(crate) fn extended(p: &Personality, legacy: Legacy, offset: u32) -> Option<u32> {
    let mut word = offset.checked_sub(u32::from(p.extended))? / 4;
    if p.bios {
        if word < 4 {
            return Some(match word {
                0 => {
                    let owners = flag(legacy.bios, BIOS_OWNED) | flag(legacy.os, OS_OWNED);
                    1 | 4 << 8 | owners
                }
                _ => 0,
            });
        }
        word -= 4;
    }
    let (first2, first3) = p.offsets();
    let protocols = [(2u32, first2, p.usb2_ports), (3, first3, p.usb3_ports)];
    let last = protocols.iter().rposition(|&(_, _, count)| count > 0)?;
    let mut present = protocols.iter().enumerate().filter(|(_, protocol)| protocol.2 > 0);
    let (index, &(major, first, count)) = present.nth(word as usize / 4)?;
    Some(match word % 4 {
        0 => 2 | flag(index != last, 4 << 8) | major << 24,
        1 => u32::from_le_bytes(*b"USB "),
        2 => u32::from(first) | u32::from(count) << 8,
        _ => 0,
    })
}

/// Whether `offset` is USBLEGSUP of a controller that has it.
pub(crate) fn is_legacy(p: &Personality, offset: u32) -> bool {
    p.bios && offset == u32::from(p.extended)
}

/// The new owners after a write of `value` to USBLEGSUP: software asks with its
/// own semaphore, and the BIOS lets go in its own time.
pub(crate) fn claim(legacy: Legacy, value: u32) -> Legacy {
    Legacy { os: value & OS_OWNED != 0, ..legacy }
}

#[cfg(test)]
mod tests {
    use super::{Legacy, extended, read};
    use crate::personality::Personality;

    #[test]
    fn the_qemu_like_controller_reads_as_qemus() {
        let p = Personality::qemu();
        assert_eq!(read(&p, 0x00), Some(0x0100_0040));
        assert_eq!(read(&p, 0x04), Some(0x0800_1040));
        assert_eq!(read(&p, 0x08), Some(0xF));
        assert_eq!(read(&p, 0x10), Some(0x0008_7001));
        let none = Legacy::default();
        assert_eq!(extended(&p, none, 0x20), Some(0x0200_0402));
        assert_eq!(extended(&p, none, 0x28), Some(0x0000_0405));
        assert_eq!(extended(&p, none, 0x30), Some(0x0300_0002));
        assert_eq!(extended(&p, none, 0x38), Some(0x0000_0401));
        assert_eq!(extended(&p, none, 0x40), None);
    }

    #[test]
    fn every_list_of_capabilities_ends_and_covers_all_ports() {
        for seed in 0..200 {
            let p = Personality::seeded(seed);
            let (mut at, mut ports) = (u32::from(p.extended), 0);
            for _ in 0..4 {
                let word = extended(&p, Legacy::default(), at).unwrap();
                if word & 0xFF == 2 {
                    ports += extended(&p, Legacy::default(), at + 8).unwrap() >> 8 & 0xFF;
                }
                match word >> 8 & 0xFF {
                    0 => break,
                    next => at += next * 4,
                }
            }
            assert_eq!(ports, u32::from(p.ports()), "seed {seed}");
        }
    }
}

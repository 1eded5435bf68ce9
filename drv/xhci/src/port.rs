//! Root hub ports (4.19, 5.4.8) and the protocols that they speak (7.2).
//!
//! PORTSC mixes bits that a write of 1 changes with bits that keep what is
//! written, and writing PED as 1 disables the port: every write goes through
//! [`preserved`].

use crate::regs::Regs;
use trb::PortId;
use usb_types::Speed;
use xhci_api::PortStatus;

/// A device is there.
pub(crate) const CCS: u32 = 1 << 0;
/// Enabled; a 1 written disables.
pub(crate) const PED: u32 = 1 << 1;
/// Reset; a 1 written starts one.
const PR: u32 = 1 << 4;
/// Link state, bits 8:5; written only together with LWS.
const PLS_SHIFT: u32 = 5;
const LWS: u32 = 1 << 16;
/// Power.
const PP: u32 = 1 << 9;
/// Indicator control, bits 15:14.
const PIC: u32 = 3 << 14;
/// CSC, PEC, WRC, OCC, PRC, PLC, CEC.
const CHANGES: u32 = 0x7F << CHANGE_SHIFT;
const CHANGE_SHIFT: u32 = 17;
/// Reset ended.
pub(crate) const PRC: u32 = 1 << 21;
/// PLS: at work.
pub(crate) const PLS_U0: u8 = 0;
/// PLS: suspended.
pub(crate) const PLS_U3: u8 = 3;
/// PLS: resume is being signalled.
pub(crate) const PLS_RESUME: u8 = 15;

/// Wake enables, bits 27:25.
const WAKE: u32 = 7 << 25;

/// Supported Protocol capability.
const CAPABILITY_PROTOCOL: u8 = 2;
/// Capabilities that a list can have: a list that goes on is a circle.
pub(crate) const MAX_CAPABILITIES: u32 = 64;

/// What must be written back unchanged: power, indicator, wake enables. All
/// other bits do something when written as 1.
const fn preserved(portsc: u32) -> u32 {
    portsc & (PP | PIC | WAKE)
}

/// The write that clears the change bits `changes` (bit 0 = CSC).
pub(crate) const fn acknowledge(portsc: u32, changes: u8) -> u32 {
    preserved(portsc) | (changes as u32) << CHANGE_SHIFT & CHANGES
}

/// The write that resets the port.
pub(crate) const fn reset(portsc: u32) -> u32 {
    preserved(portsc) | PR
}

/// The write that asks for the link state `state`.
pub(crate) const fn set_link(portsc: u32, state: u8) -> u32 {
    preserved(portsc) | LWS | (state as u32) << PLS_SHIFT
}

/// PLS.
pub(crate) const fn link_state(portsc: u32) -> u8 {
    (portsc >> PLS_SHIFT) as u8 & 0xF
}

/// The write that switches the port's power on; `None` when it is on.
pub(crate) const fn power_on(portsc: u32) -> Option<u32> {
    if portsc & PP == 0 { Some(preserved(portsc) | PP) } else { None }
}

/// What PORTSC says of the port.
pub(crate) const fn status(portsc: u32, usb3: bool) -> PortStatus {
    let connected = portsc & CCS != 0;
    PortStatus {
        connected,
        enabled: portsc & PED != 0,
        link_state: link_state(portsc),
        speed: if connected { speed((portsc >> 10) as u8 & 0xF) } else { None },
        usb3,
        changes: ((portsc & CHANGES) >> CHANGE_SHIFT) as u8,
    }
}

/// The speed with a Protocol Speed ID, as without PSI words (7.2.2.1.1).
const fn speed(id: u8) -> Option<Speed> {
    Some(match id {
        1 => Speed::Full,
        2 => Speed::Low,
        3 => Speed::High,
        4 => Speed::Super,
        5..=7 => Speed::SuperPlus,
        _ => return None,
    })
}

/// The Protocol Speed ID of a speed.
pub(crate) const fn speed_id(speed: Speed) -> u8 {
    match speed {
        Speed::Full => 1,
        Speed::Low => 2,
        Speed::High => 3,
        Speed::Super => 4,
        Speed::SuperPlus => 5,
    }
}

/// Which ports speak USB 3; and the Slot Type of each protocol.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Protocols {
    usb3: [u32; 8],
    slot_type: [u8; 2],
}

impl Protocols {
    /// Reads the controller's Supported Protocol capabilities.
    pub(crate) fn read(regs: &Regs<'_>) -> Self {
        let mut found = Self::default();
        let mut at = regs.caps.extended;
        for _ in 0..MAX_CAPABILITIES {
            let Some(header) = regs.extended(at).filter(|_| at != 0) else { break };
            if header as u8 == CAPABILITY_PROTOCOL
                && let (Some(ports), Some(kind)) = (regs.extended(at + 8), regs.extended(at + 12))
            {
                found.note(
                    (header >> 24) as u8,
                    ports as u8,
                    (ports >> 8) as u8,
                    kind as u8 & 0x1F,
                );
            }
            match header >> 8 & 0xFF {
                0 => break,
                next => at += next * 4,
            }
        }
        found
    }

    fn note(&mut self, major: u8, first: u8, count: u8, slot_type: u8) {
        let usb3 = major >= 3;
        self.slot_type[usize::from(usb3)] = slot_type;
        if usb3 {
            for port in u32::from(first)..(u32::from(first) + u32::from(count)).min(256) {
                self.usb3[port as usize / 32] |= 1 << (port % 32);
            }
        }
    }

    /// Whether the port speaks USB 3.
    pub(crate) const fn is_usb3(&self, port: PortId) -> bool {
        self.usb3[port.number() as usize / 32] & 1 << (port.number() % 32) != 0
    }

    /// The Slot Type that Enable Slot wants for a device on the port.
    pub(crate) const fn slot_type(&self, port: PortId) -> u8 {
        self.slot_type[self.is_usb3(port) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::{Protocols, acknowledge, power_on, reset, set_link, status};
    use proptest::prelude::*;
    use trb::PortId;
    use usb_types::Speed;
    use xhci_api::{CHANGE_CONNECT, CHANGE_RESET};

    #[test]
    fn a_port_of_qemu_is_understood_before_and_after_its_reset() {
        let before = status(0x206E1, false);
        assert!(before.connected && !before.enabled && before.link_state == 7);
        assert_eq!((before.speed, before.changes), (Some(Speed::Full), CHANGE_CONNECT));
        let after = status(0x22_0603, false);
        assert!(after.enabled && after.link_state == 0);
        assert_eq!(after.changes, CHANGE_CONNECT | CHANGE_RESET);
        let gone = status(0x202A0, false);
        assert!(!gone.connected && gone.speed.is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_write_never_disables_the_port_or_clears_what_was_not_named(
            portsc: u32,
            changes in 0_u8..0x80,
        ) {
            let ped_pls_lws = 1 << 1 | 0xF << 5 | 1 << 16;
            let written = acknowledge(portsc, changes);
            prop_assert_eq!(written & ped_pls_lws, 0);
            prop_assert_eq!(written >> 17 & 0x7F, u32::from(changes));
            prop_assert_eq!((written ^ portsc) & (1 << 9 | 7 << 25), 0);
            prop_assert_eq!(reset(portsc) & (ped_pls_lws | 0x7F << 17 | 1 << 31), 0);
            prop_assert_eq!(reset(portsc) & 1 << 4, 1 << 4);
            let link = set_link(portsc, changes & 0xF);
            prop_assert_eq!(link & (1 << 1 | 1 << 4 | 0x7F << 17 | 1 << 31), 0);
            prop_assert_eq!(link & ped_pls_lws, u32::from(changes & 0xF) << 5 | 1 << 16);
            prop_assert_eq!((link ^ portsc) & (1 << 9 | 7 << 25), 0);
            prop_assert!(power_on(portsc | 1 << 9).is_none());
        }
    }

    #[test]
    fn protocols_say_which_ports_are_usb3() {
        let mut protocols = Protocols::default();
        protocols.note(3, 1, 4, 2);
        protocols.note(2, 5, 4, 1);
        let port = |n| PortId::new(n).expect("a port");
        assert!(protocols.is_usb3(port(1)) && protocols.is_usb3(port(4)));
        assert!(!protocols.is_usb3(port(5)));
        assert_eq!((protocols.slot_type(port(2)), protocols.slot_type(port(5))), (2, 1));
        protocols.note(3, 250, 255, 0);
        assert!(protocols.is_usb3(port(255)));
    }
}

//! The hub descriptor, of 2.0 and of SuperSpeed hubs.
//!
//! USB 2.0 section 11.23.2.1 (with a bitmap whose length depends on the number
//! of ports) and USB 3.2 section 10.15.2.1 (fixed length). What a hub driver
//! does with it is not here.

use crate::issue::{Issue, Rule};
use crate::raw::{Raw, kind};

/// Most ports a hub may have here: what a route string's four bits can name
/// (USB 3.2 section 8.9).
pub const MAX_HUB_PORTS: u8 = 15;

/// A hub descriptor.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Hub {
    /// `bNbrPorts`, 1 to [`MAX_HUB_PORTS`].
    pub ports: u8,
    /// `wHubCharacteristics`.
    pub characteristics: u16,
    /// From power on to power good at a port, in milliseconds.
    pub power_good_ms: u16,
    /// `bHubContrCurrent`, in mA (4 mA units are already multiplied).
    pub current_ma: u16,
    /// Bit n: the device at port n cannot be removed.
    pub fixed: u16,
}

impl Hub {
    /// Reads a hub descriptor of either kind.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, Issue> {
        let raw = Raw::first(bytes, 0)?;
        let short = raw.issue(Rule::TooShort, bytes.len() as u32);
        let ports_ok = |ports: u8| {
            let fine = (1..=MAX_HUB_PORTS).contains(&ports);
            if fine { Ok(ports) } else { Err(raw.issue(Rule::HubPorts, ports.into())) }
        };
        match raw.kind() {
            kind::HUB => {
                let f: &[u8; 7] = raw.fields(kind::HUB)?;
                let ports = ports_ok(f[2])?;
                // Bit 0 is reserved, so `ports` ports need `ports + 1` bits.
                let bitmap = raw.bytes().get(7..7 + usize::from(ports / 8) + 1).ok_or(short)?;
                let low = bitmap.first().copied().unwrap_or(0);
                let high = bitmap.get(1).copied().unwrap_or(0);
                Ok(Self {
                    ports,
                    characteristics: u16::from_le_bytes([f[3], f[4]]),
                    power_good_ms: u16::from(f[5]) * 2,
                    current_ma: f[6].into(),
                    fixed: u16::from_le_bytes([low, high]),
                })
            }
            kind::SUPER_HUB => {
                let f: &[u8; 12] = raw.fields(kind::SUPER_HUB)?;
                Ok(Self {
                    ports: ports_ok(f[2])?,
                    characteristics: u16::from_le_bytes([f[3], f[4]]),
                    power_good_ms: u16::from(f[5]) * 2,
                    current_ma: u16::from(f[6]) * 4,
                    fixed: u16::from_le_bytes([f[10], f[11]]),
                })
            }
            other => Err(raw.issue(Rule::WrongType, other.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usb_2_hub_is_read_with_its_bitmap() {
        let hub = Hub::parse(&[9, 0x29, 4, 0xe9, 0, 50, 100, 0b1_0010, 0xff]).unwrap();
        assert_eq!((hub.ports, hub.power_good_ms, hub.current_ma, hub.fixed), (4, 100, 100, 0x12));
    }

    #[test]
    fn a_super_speed_hub_is_read() {
        let bytes = [12, 0x2a, 4, 0x09, 0, 10, 25, 0, 0, 0, 2, 0];
        let hub = Hub::parse(&bytes).unwrap();
        assert_eq!((hub.ports, hub.power_good_ms, hub.current_ma, hub.fixed), (4, 20, 100, 2));
    }

    #[test]
    fn ports_beyond_a_route_string_are_refused() {
        for ports in [0, 16, 255] {
            let issue = Hub::parse(&[9, 0x29, ports, 0, 0, 0, 0, 0, 0xff]).unwrap_err();
            assert_eq!(issue.rule, Rule::HubPorts);
        }
    }

    #[test]
    fn every_truncation_of_a_hub_descriptor_is_refused() {
        // Of 7 ports, of 15, whose bitmaps have two bytes, and of SuperSpeed.
        let long: &[u8] = &[11, 0x29, 15, 0x29, 0, 50, 100, 0, 0, 0xff, 0xff];
        let fast = [12, 0x2a, 4, 0x09, 0, 10, 25, 0, 0, 0, 2, 0];
        for whole in [&[9, 0x29, 7, 0x29, 0, 50, 100, 0, 0xff], long, &fast] {
            assert!(Hub::parse(whole).is_ok());
            for len in 0..whole.len() {
                assert!(Hub::parse(&whole[..len]).is_err(), "{len} of {whole:x?}");
            }
        }
    }

    #[test]
    fn a_bitmap_that_is_too_short_is_refused() {
        let issue = Hub::parse(&[8, 0x29, 8, 0, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(issue.rule, Rule::TooShort);
    }
}

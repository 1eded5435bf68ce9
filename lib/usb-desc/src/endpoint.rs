//! Endpoints, with the corrections that are due before anyone uses them.
//!
//! USB 2.0 section 9.6.6 (seven bytes), Audio 1.0 section 4.6.1.1 (nine bytes:
//! `bRefresh` and `bSynchAddress`), USB 3.2 section 9.6.7 (companion). Devices
//! get these fields wrong often enough that a host corrects them in one place
//! and reports what it did; every reader after that, the DSP included, sees
//! the corrected values (A16 of the upstream inventory).

use crate::issue::{Issue, Rule};
use crate::list::List;
use crate::raw::{Raw, kind};
use usb_types::{EndpointAddress, Speed};

/// Most corrections one endpoint can need: address, interval, size, size bits.
pub const MAX_FIXES: usize = 4;

/// A number below 32 that is this address's own; reserved bits do not count.
#[must_use]
pub const fn address_index(address: EndpointAddress) -> usize {
    (address.number() | (address.0 & 0x80) >> 3) as usize
}

/// `bmAttributes` bits 1:0.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Control.
    Control,
    /// Isochronous.
    Isochronous,
    /// Bulk.
    Bulk,
    /// Interrupt.
    Interrupt,
}

/// `bmAttributes` bits 3:2 of an isochronous endpoint.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Synchronisation {
    /// No statement.
    None,
    /// The device's clock is its own; a feedback endpoint tells the rate.
    Asynchronous,
    /// The device follows the data rate.
    Adaptive,
    /// The device follows start-of-frame.
    Synchronous,
}

/// `bmAttributes` bits 5:4 of an isochronous endpoint.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Data.
    Data,
    /// Explicit feedback.
    Feedback,
    /// Data whose amount is also the feedback of another endpoint.
    ImplicitFeedback,
    /// Not defined.
    Reserved,
}

/// What a SuperSpeed endpoint adds (USB 3.2 section 9.6.7).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Companion {
    /// `bMaxBurst`: packets in a burst less one, 0 to 15.
    pub max_burst: u8,
    /// `bmAttributes`: streams (bulk) or Mult (isochronous).
    pub attributes: u8,
    /// `wBytesPerInterval`.
    pub bytes_per_interval: u16,
}

impl Companion {
    /// Reads a companion descriptor.
    ///
    /// # Errors
    /// [`Rule::WrongType`] or [`Rule::TooShort`].
    pub fn parse(raw: &Raw<'_>) -> Result<Self, Issue> {
        let f: &[u8; 6] = raw.fields(kind::COMPANION)?;
        Ok(Self {
            max_burst: f[2].min(15),
            attributes: f[3],
            bytes_per_interval: u16::from_le_bytes([f[4], f[5]]),
        })
    }
}

/// An endpoint descriptor, corrected.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `bEndpointAddress`.
    pub address: EndpointAddress,
    /// `bmAttributes`.
    pub attributes: u8,
    /// `wMaxPacketSize`: bytes in 10:0, further transactions in 12:11.
    pub max_packet: u16,
    /// `bInterval`.
    pub interval: u8,
    /// `bRefresh` and `bSynchAddress`, which only the nine-byte form has.
    pub audio: Option<AudioFields>,
    /// What follows at SuperSpeed.
    pub companion: Option<Companion>,
    /// `bLength` as the device sent it, for the QMI form.
    length: u8,
}

impl Default for Endpoint {
    /// An unused place of a table.
    fn default() -> Self {
        Self {
            address: EndpointAddress(0),
            attributes: 0,
            max_packet: 0,
            interval: 0,
            audio: None,
            companion: None,
            length: 0,
        }
    }
}

/// The two bytes that Audio 1.0 appends to an endpoint descriptor.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioFields {
    /// `bRefresh`: a feedback endpoint has new values every `2^n` ms.
    pub refresh: u8,
    /// `bSynchAddress`: the endpoint with this one's synchronisation, or 0.
    pub synch_address: u8,
}

impl Endpoint {
    /// Bytes of the shorter form.
    pub const LENGTH: usize = 7;

    /// Reads an endpoint descriptor and corrects it for `speed`.
    ///
    /// # Errors
    /// [`Rule::WrongType`], [`Rule::TooShort`] or [`Rule::EndpointZero`].
    pub fn parse(raw: &Raw<'_>, speed: Speed) -> Result<(Self, List<Issue, MAX_FIXES>), Issue> {
        let f: &[u8; Self::LENGTH] = raw.fields(kind::ENDPOINT)?;
        let address = EndpointAddress(f[2] & 0x8f);
        if address.number() == 0 {
            return Err(raw.issue(Rule::EndpointZero, f[2].into()));
        }
        let mut fixes = List::new();
        let mut fixed = |rule, value: u32| {
            // Four rules, each at most once, for MAX_FIXES places.
            let _ = fixes.push(raw.issue(rule, value));
        };
        if address.0 != f[2] {
            fixed(Rule::EndpointReservedBits, f[2].into());
        }
        let mut endpoint = Self {
            address,
            attributes: f[3],
            max_packet: u16::from_le_bytes([f[4], f[5]]),
            interval: f[6],
            audio: raw.prefix::<9>().map(|f| AudioFields { refresh: f[7], synch_address: f[8] }),
            companion: None,
            length: raw.bytes().len() as u8,
        };
        let interval = corrected_interval(endpoint.transfer(), speed, endpoint.interval);
        if interval != endpoint.interval {
            fixed(Rule::IntervalRange, endpoint.interval.into());
            endpoint.interval = interval;
        }
        let found = endpoint.max_packet;
        let bits = corrected_bits(endpoint.transfer(), speed, found);
        if bits != found {
            fixed(Rule::PacketBits, found.into());
        }
        let limit = packet_limit(endpoint.transfer(), speed);
        if bits & SIZE_MASK > limit {
            fixed(Rule::PacketSize, found.into());
        }
        endpoint.max_packet = bits & !SIZE_MASK | (bits & SIZE_MASK).min(limit);
        Ok((endpoint, fixes))
    }

    /// What kind of transfers it does.
    #[must_use]
    pub const fn transfer(&self) -> Transfer {
        match self.attributes & 3 {
            0 => Transfer::Control,
            1 => Transfer::Isochronous,
            2 => Transfer::Bulk,
            _ => Transfer::Interrupt,
        }
    }

    /// How an isochronous endpoint keeps time.
    #[must_use]
    pub const fn synchronisation(&self) -> Synchronisation {
        match self.attributes >> 2 & 3 {
            0 => Synchronisation::None,
            1 => Synchronisation::Asynchronous,
            2 => Synchronisation::Adaptive,
            _ => Synchronisation::Synchronous,
        }
    }

    /// What an isochronous endpoint's data is.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        match self.attributes >> 4 & 3 {
            0 => Usage::Data,
            1 => Usage::Feedback,
            2 => Usage::ImplicitFeedback,
            _ => Usage::Reserved,
        }
    }

    /// Bytes of one packet.
    #[must_use]
    pub const fn packet_bytes(&self) -> u16 {
        self.max_packet & SIZE_MASK
    }

    /// Packets in one service interval: 1 to 3 at high speed, with a companion
    /// its burst, else 1.
    #[must_use]
    pub fn packets_per_interval(&self) -> u16 {
        match self.companion {
            Some(companion) => {
                let mult = match self.transfer() {
                    Transfer::Isochronous => u16::from(companion.attributes & 3),
                    _ => 0,
                };
                (u16::from(companion.max_burst) + 1) * (mult + 1)
            }
            None => (self.max_packet >> 11 & 3) + 1,
        }
    }

    /// Most bytes in one service interval.
    #[must_use]
    pub fn interval_bytes(&self) -> u32 {
        match self.companion {
            Some(companion) if companion.bytes_per_interval != 0 => {
                companion.bytes_per_interval.into()
            }
            _ => u32::from(self.packet_bytes()) * u32::from(self.packets_per_interval()),
        }
    }

    /// The nine bytes in which QMI's response names an endpoint: `bLength` as
    /// the device sent it, corrected fields, and zeros for what a seven-byte
    /// descriptor lacks.
    #[must_use]
    pub fn qmi(&self) -> [u8; 9] {
        let [low, high] = self.max_packet.to_le_bytes();
        let AudioFields { refresh, synch_address } = self.audio.unwrap_or_default();
        [
            self.length,
            kind::ENDPOINT,
            self.address.0,
            self.attributes,
            low,
            high,
            self.interval,
            refresh,
            synch_address,
        ]
    }
}

/// Bits 10:0 of `wMaxPacketSize`: the size.
const SIZE_MASK: u16 = 0x07ff;

/// `bInterval` in its range (USB 2.0 table 9-13). Out of it, the value that
/// Linux hosts have always put there: eight milliseconds at high speed, and
/// for the rest 2^3 of their unit (A16).
fn corrected_interval(transfer: Transfer, speed: Speed, interval: u8) -> u8 {
    let exponent_range = match transfer {
        Transfer::Isochronous => true,
        Transfer::Interrupt => !matches!(speed, Speed::Low | Speed::Full),
        Transfer::Control | Transfer::Bulk => return interval,
    };
    match (exponent_range, interval) {
        (true, 1..=16) | (false, 1..) => interval,
        _ if speed == Speed::High => 7,
        _ => 4,
    }
}

/// `wMaxPacketSize` with its reserved bits cleared. Further transactions exist
/// at high speed for periodic endpoints only; 3 of them is reserved and taken
/// for the most that is legal, 2.
fn corrected_bits(transfer: Transfer, speed: Speed, found: u16) -> u16 {
    let periodic = matches!(transfer, Transfer::Isochronous | Transfer::Interrupt);
    let more = match (speed, periodic) {
        (Speed::High, true) => (found >> 11 & 3).min(2),
        _ => 0,
    };
    found & SIZE_MASK | more << 11
}

/// Most bytes in a packet (USB 2.0 sections 5.5.3, 5.6.3, 5.7.3, 5.8.3; USB 3.2
/// section 9.6.6).
const fn packet_limit(transfer: Transfer, speed: Speed) -> u16 {
    match (speed, transfer) {
        (Speed::Low, Transfer::Control | Transfer::Interrupt) => 8,
        (Speed::Low, Transfer::Isochronous | Transfer::Bulk) => 0,
        (Speed::Full, Transfer::Isochronous) => 1023,
        (Speed::Full, _) => 64,
        (Speed::High, Transfer::Control) => 64,
        (Speed::High | Speed::Super | Speed::SuperPlus, Transfer::Isochronous)
        | (Speed::High, Transfer::Interrupt) => 1024,
        (Speed::High, Transfer::Bulk) => 512,
        (Speed::Super | Speed::SuperPlus, Transfer::Control) => 512,
        (Speed::Super | Speed::SuperPlus, Transfer::Bulk | Transfer::Interrupt) => 1024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], speed: Speed) -> (Endpoint, List<Issue, MAX_FIXES>) {
        Endpoint::parse(&Raw::first(bytes, 0).unwrap(), speed).unwrap()
    }

    fn rules(fixes: &[Issue]) -> Vec<Rule> {
        fixes.iter().map(|issue| issue.rule).collect()
    }

    /// A16: bInterval out of 1..16 becomes 7 at high speed, 4 otherwise.
    #[test]
    fn a_interval_out_of_range_is_replaced_and_reported() {
        for (speed, interval, expect) in
            [(Speed::High, 0, 7), (Speed::High, 17, 7), (Speed::Full, 0, 4), (Speed::Full, 255, 4)]
        {
            let (endpoint, fixes) = parse(&[7, 5, 1, 1, 192, 0, interval], speed);
            assert_eq!(endpoint.interval, expect);
            assert_eq!(rules(&fixes), [Rule::IntervalRange]);
            assert_eq!(fixes[0].value, interval.into());
        }
        let (endpoint, fixes) = parse(&[7, 5, 0x81, 3, 8, 0, 255], Speed::Full);
        assert_eq!((endpoint.interval, fixes.len()), (255, 0), "a full-speed interrupt is linear");
    }

    /// A16: reserved address bits are cleared, oversize packets clamped.
    #[test]
    fn an_endpoint_needs_at_most_max_fixes() {
        let (endpoint, fixes) = parse(&[7, 5, 0xf1, 1, 0xff, 0xff, 0], Speed::High);
        assert_eq!(endpoint.address.0, 0x81);
        assert_eq!((endpoint.packet_bytes(), endpoint.packets_per_interval()), (1024, 3));
        assert_eq!(
            rules(&fixes),
            [Rule::EndpointReservedBits, Rule::IntervalRange, Rule::PacketBits, Rule::PacketSize]
        );
        assert_eq!(endpoint.interval_bytes(), 3072);
    }

    #[test]
    fn a_full_speed_isochronous_packet_ends_at_1023() {
        let (endpoint, fixes) = parse(&[7, 5, 1, 1, 0, 4, 1], Speed::Full);
        assert_eq!(endpoint.packet_bytes(), 1023);
        assert_eq!(rules(&fixes), [Rule::PacketSize]);
    }

    #[test]
    fn endpoint_zero_has_no_descriptor() {
        let raw = Raw::first(&[7, 5, 0x80, 1, 0, 4, 1], 0).unwrap();
        assert_eq!(Endpoint::parse(&raw, Speed::Full).unwrap_err().rule, Rule::EndpointZero);
    }

    #[test]
    fn the_qmi_form_has_fixed_values_and_zeros_for_absent_fields() {
        let (short, _) = parse(&[7, 5, 0x91, 5, 0xc8, 0, 0], Speed::High);
        assert_eq!(short.qmi(), [7, 5, 0x81, 5, 0xc8, 0, 7, 0, 0]);
        let (long, _) = parse(&[9, 5, 1, 5, 0xc8, 0, 1, 0, 0x83], Speed::Full);
        assert_eq!(long.qmi(), [9, 5, 1, 5, 0xc8, 0, 1, 0, 0x83]);
    }

    #[test]
    fn a_companion_decides_the_burst() {
        let (mut endpoint, _) = parse(&[7, 5, 1, 1, 0, 4, 1], Speed::Super);
        endpoint.companion = Some(Companion { max_burst: 1, attributes: 1, bytes_per_interval: 0 });
        assert_eq!((endpoint.packets_per_interval(), endpoint.interval_bytes()), (4, 4096));
    }

    #[test]
    fn address_indices_are_distinct_and_below_32() {
        let mut seen = 0u32;
        for raw in (1..16).chain(0x81..0x90) {
            let index = address_index(EndpointAddress(raw));
            assert_eq!(seen & 1 << index, 0);
            seen |= 1 << index;
        }
    }
}

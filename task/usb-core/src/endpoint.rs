//! From an endpoint's descriptor to what the controller is told of it.
//!
//! Isochronous endpoints, and a hub's status pipe: the driver below moves nothing
//! else but control data, so an endpoint of another kind would reserve bandwidth and
//! a ring for nothing. xHCI 1.2 section 6.2.3.

use trb::Dci;
use usb_desc::{Endpoint, List, Setting, Transfer};
use usb_types::{Direction, EndpointAddress, Speed};
use xhci_api::{EndpointSpec, MAX_ADD};

use crate::HUBS;

/// The endpoints of one alternate setting as the controller knows them.
pub(crate) type Specs = List<EndpointSpec, MAX_ADD>;

/// An alternate setting has more isochronous endpoints than one Configure
/// Endpoint can add; audio interfaces have two.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// The endpoints of `setting` that are used and can carry anything: one of packet
/// size 0 has no context at all.
pub(crate) fn specs(setting: &Setting<'_>, speed: Speed) -> Result<Specs, TooMany> {
    let mut specs = Specs::new();
    for endpoint in setting.endpoints.iter() {
        let isoch = endpoint.transfer() == Transfer::Isochronous;
        if (isoch || HUBS && is_pipe(setting, endpoint)) && endpoint.packet_bytes() > 0 {
            specs.push(spec(endpoint, speed)).map_err(|_| TooMany)?;
        }
    }
    Ok(specs)
}

/// Whether an endpoint is a hub's status pipe (USB 2.0 11.12.1).
fn is_pipe(setting: &Setting<'_>, endpoint: &Endpoint) -> bool {
    setting.interface.class() == crate::hubs::CLASS
        && endpoint.transfer() == Transfer::Interrupt
        && endpoint.address.direction() == Direction::In
}

/// The DCIs of `specs` as bits.
pub(crate) fn dcis(specs: &Specs) -> u32 {
    specs.iter().fold(0, |bits, spec| bits | 1 << spec.dci)
}

/// The DCI of an endpoint; `None` of endpoint 0, which has no direction.
pub(crate) fn dci(address: EndpointAddress) -> Option<Dci> {
    let dci = Dci::of_endpoint(address.number(), address.direction() == Direction::In).ok()?;
    (dci != Dci::EP0).then_some(dci)
}

/// The address of the endpoint with this DCI.
pub(crate) fn address(dci: u8) -> EndpointAddress {
    EndpointAddress(dci >> 1 & 0x0F | (dci & 1) << 7)
}

fn spec(endpoint: &Endpoint, speed: Speed) -> EndpointSpec {
    let (max_burst, mult) = match (endpoint.companion, speed) {
        (Some(companion), _) => (companion.max_burst, companion.attributes & 3),
        // At high speed the burst is what the packet size's upper bits say.
        (None, Speed::High) => ((endpoint.packets_per_interval() - 1) as u8, 0),
        (None, _) => (0, 0),
    };
    // As a power of two of 125 us: full speed counts in frames of eight.
    let in_frames = if matches!(speed, Speed::Low | Speed::Full) { 3 } else { 0 };
    let is_in = endpoint.address.direction() == Direction::In;
    let mut kind = if is_in { 5 } else { 1 };
    let mut interval = endpoint.interval.saturating_sub(1).saturating_add(in_frames);
    if HUBS && endpoint.transfer() == Transfer::Interrupt {
        kind = 7;
        if in_frames != 0 {
            // In milliseconds, not as a power of two; no longer than asked for.
            interval = endpoint.interval.checked_ilog2().unwrap_or(0) as u8 + in_frames;
        }
    }
    EndpointSpec {
        // The descriptor's reader refuses endpoint 0.
        dci: dci(endpoint.address).map_or(0, Dci::index),
        kind,
        interval,
        max_burst,
        mult,
        reserved: 0,
        max_packet: endpoint.packet_bytes(),
        esit_payload: endpoint.interval_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use usb_desc::{AlternateNumber, Config, InterfaceNumber};
    use usb_types::{EndpointAddress, Speed};

    use super::{address, dci, dcis, specs};

    /// A configuration with one interface whose alternate 1 has `endpoints`.
    fn config(endpoints: &[u8]) -> Vec<u8> {
        let count = endpoints.chunks(7).count() as u8;
        let mut bytes = vec![9, 2, 0, 0, 1, 1, 0, 0x80, 50];
        bytes.extend([9, 4, 0, 0, 0, 1, 2, 0, 0]);
        bytes.extend([9, 4, 0, 1, count, 1, 2, 0, 0]);
        bytes.extend(endpoints);
        bytes[2] = bytes.len() as u8;
        bytes
    }

    fn of(endpoints: &[u8], speed: Speed) -> super::Specs {
        let bytes = config(endpoints);
        let config = Config::parse(&bytes, speed).expect("in order");
        let setting = config.setting(InterfaceNumber(0), AlternateNumber(1)).expect("is there");
        specs(&setting, speed).expect("few enough")
    }

    /// Facts of the QEMU device: interval 3, type 1, 192 bytes, DCI 2.
    #[test]
    fn full_speed_interval_counts_in_frames() {
        let found = of(&[7, 5, 0x01, 0x0d, 0xc0, 0, 1], Speed::Full);
        let spec = found[0];
        assert_eq!((spec.dci, spec.kind, spec.interval), (2, 1, 3));
        assert_eq!((spec.max_packet, spec.esit_payload), (192, 192));
        assert_eq!((spec.max_burst, spec.mult), (0, 0));
    }

    #[test]
    fn high_speed_burst_is_taken_out_of_the_packet_size() {
        let found = of(&[7, 5, 0x82, 0x05, 0x00, 0x14, 4], Speed::High);
        let spec = found[0];
        assert_eq!((spec.dci, spec.kind, spec.interval), (5, 5, 3));
        assert_eq!((spec.max_packet, spec.max_burst, spec.esit_payload), (1024, 2, 3072));
    }

    #[test]
    fn only_isochronous_endpoints_with_room_are_configured() {
        let endpoints = [
            7, 5, 0x01, 0x05, 0xc0, 0, 1, // isochronous OUT
            7, 5, 0x83, 0x03, 0x08, 0, 8, // interrupt IN
            7, 5, 0x84, 0x05, 0x00, 0, 1, // isochronous IN of nothing
            7, 5, 0x85, 0x11, 0x03, 0, 1, // feedback IN
        ];
        assert_eq!(dcis(&of(&endpoints, Speed::Full)), 1 << 2 | 1 << 11);
    }

    /// QEMU's `usb-hub` is asked every 128 ms, though it would have 255; one of high
    /// speed counts in powers of two.
    #[test]
    fn status_pipe_of_a_hub_is_configured_and_of_nothing_else() {
        let hub = |interval| {
            let mut bytes = config(&[7, 5, 0x81, 0x03, 2, 0, interval]);
            (bytes[14], bytes[23]) = (9, 9);
            bytes
        };
        for (speed, given, interval) in
            [(Speed::Full, 255, 10), (Speed::Full, 1, 3), (Speed::High, 12, 11)]
        {
            let bytes = hub(given);
            let parsed = Config::parse(&bytes, speed).expect("in order");
            let setting = parsed.setting(InterfaceNumber(0), AlternateNumber(1)).expect("there");
            let found = specs(&setting, speed).expect("few enough");
            let spec = found[0];
            assert_eq!((spec.dci, spec.kind, spec.interval), (3, 7, interval));
            assert_eq!((spec.max_packet, spec.esit_payload), (2, 2));
        }
    }

    #[test]
    fn more_isochronous_endpoints_than_one_command_adds_are_refused() {
        let endpoints: Vec<u8> = (1..=9).flat_map(|n| [7, 5, n, 0x05, 0x10, 0, 1]).collect();
        let bytes = config(&endpoints);
        let config = Config::parse(&bytes, Speed::Full).expect("in order");
        let setting = config.setting(InterfaceNumber(0), AlternateNumber(1)).expect("is there");
        assert_eq!(specs(&setting, Speed::Full), Err(super::TooMany));
    }

    #[test]
    fn dci_and_address_lead_to_each_other() {
        for number in 1..16 {
            for raw in [number, number | 0x80] {
                let index = dci(EndpointAddress(raw)).expect("not endpoint 0").index();
                assert_eq!(address(index), EndpointAddress(raw));
            }
        }
        assert_eq!(dci(EndpointAddress(0)), None);
        assert_eq!(dci(EndpointAddress(0x80)), None);
    }
}

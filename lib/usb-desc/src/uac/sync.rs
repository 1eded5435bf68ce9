//! Which endpoint, if any, tells a stream how fast to go.
//!
//! Audio 1.0 sections 3.7.2.2 and 4.6.2, USB 2.0 section 5.12.4.2; the rule is
//! the generic one of Linux hosts (A9, A10), because devices were built to it.

use usb_types::{Direction, EndpointAddress, Speed};

use crate::endpoint::{AudioFields, Endpoint, Synchronisation, Transfer, Usage};
use crate::issue::Rule;
use crate::standard::unit_us;

/// The explicit feedback endpoint of an alternate with `endpoints`, of which
/// the first carries the data in `direction` (A9).
///
/// Only playback that is neither synchronous nor adaptive, and capture that is
/// adaptive, has one; it is the second endpoint, isochronous, and itself
/// without a sync address. A playback endpoint that claims no synchronisation
/// at all simply has none when the second endpoint does not fit.
pub(super) fn endpoint(
    endpoints: &[Endpoint],
    direction: Direction,
) -> Result<Option<Endpoint>, Rule> {
    let [data, second, ..] = endpoints else {
        return Ok(None);
    };
    let kind = data.synchronisation();
    let wanted = match direction {
        Direction::Out => !matches!(kind, Synchronisation::Synchronous | Synchronisation::Adaptive),
        Direction::In => kind == Synchronisation::Adaptive,
    };
    if !wanted {
        return Ok(None);
    }
    let synch_address = |endpoint: &Endpoint| {
        endpoint.audio.map_or(0, |AudioFields { synch_address, .. }| synch_address)
    };
    let named = synch_address(data);
    // The named address often lacks its direction bit, which is the opposite
    // of the data's and needs no telling.
    let expected = match direction {
        Direction::Out => EndpointAddress(named | 0x80),
        Direction::In => EndpointAddress(named & 0x7f),
    };
    let fits = second.transfer() == Transfer::Isochronous
        && synch_address(second) == 0
        && (named == 0 || expected == second.address);
    match (fits, second.usage()) {
        (true, Usage::ImplicitFeedback) => Err(Rule::ImplicitFeedback),
        (true, _) => Ok(Some(*second)),
        (false, _) if direction == Direction::Out && kind == Synchronisation::None => Ok(None),
        (false, _) => Err(Rule::SyncEndpoint),
    }
}

/// Microseconds between two values of the explicit feedback endpoint `sync`
/// (A14): `2^bRefresh` units when a nine-byte descriptor says 1 to 9; else two
/// units at full speed; else what `bInterval` says; else eight units.
#[must_use]
pub fn feedback_interval_us(sync: &Endpoint, speed: Speed) -> u32 {
    let exponent = match (sync.audio, speed, sync.interval) {
        (Some(AudioFields { refresh: refresh @ 1..=9, .. }), _, _) => refresh,
        (_, Speed::Low | Speed::Full, _) => 1,
        (_, _, interval @ 1..=16) => interval - 1,
        _ => 3,
    };
    unit_us(speed) << exponent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;

    fn parse(bytes: &[u8]) -> Endpoint {
        Endpoint::parse(&Raw::first(bytes, 0).unwrap(), Speed::Full).unwrap().0
    }

    const SYNC: [u8; 9] = [9, 5, 0x81, 1, 3, 0, 1, 4, 0];

    fn data(address: u8, attributes: u8, synch: u8) -> Endpoint {
        parse(&[9, 5, address, attributes, 0xc8, 0, 1, 0, synch])
    }

    /// A9, row by row.
    #[test]
    fn a9_the_second_endpoint_is_feedback_only_where_the_first_needs_it() {
        let sync = parse(&SYNC);
        let sync_out = parse(&[9, 5, 1, 1, 3, 0, 1, 4, 0]);
        for (first, second, direction, expect) in [
            (data(1, 5, 0x81), sync, Direction::Out, Ok(Some(sync))),
            (data(1, 5, 0x01), sync, Direction::Out, Ok(Some(sync))),
            (data(1, 5, 0), sync, Direction::Out, Ok(Some(sync))),
            (data(1, 1, 0x81), sync, Direction::Out, Ok(Some(sync))),
            (data(1, 0x09, 0x81), sync, Direction::Out, Ok(None)),
            (data(1, 0x0d, 0x81), sync, Direction::Out, Ok(None)),
            (data(0x82, 5, 0), sync, Direction::In, Ok(None)),
            (data(0x81, 0x09, 1), sync_out, Direction::In, Ok(Some(sync_out))),
            (data(1, 5, 0x82), sync, Direction::Out, Err(Rule::SyncEndpoint)),
            (data(1, 1, 0x82), sync, Direction::Out, Ok(None)),
            (data(0x82, 0x09, 3), sync_out, Direction::In, Err(Rule::SyncEndpoint)),
        ] {
            assert_eq!(endpoint(&[first, second], direction), expect, "{first:?}");
        }
        assert_eq!(endpoint(&[data(1, 5, 0x81)], Direction::Out), Ok(None));
    }

    #[test]
    fn a9_a_second_endpoint_that_is_not_isochronous_or_has_a_sync_address_is_no_feedback() {
        let bulk = parse(&[9, 5, 0x81, 2, 3, 0, 1, 4, 0]);
        let chained = parse(&[9, 5, 0x81, 1, 3, 0, 1, 4, 1]);
        for second in [bulk, chained] {
            let found = endpoint(&[data(1, 5, 0), second], Direction::Out);
            assert_eq!(found, Err(Rule::SyncEndpoint));
            assert_eq!(endpoint(&[data(1, 1, 0), second], Direction::Out), Ok(None));
        }
    }

    /// A10: usage bits make it implicit, which is refused by its own code.
    #[test]
    fn a10_implicit_feedback_is_recognised_and_refused() {
        let implicit = parse(&[7, 5, 0x81, 0x25, 0xc8, 0, 1]);
        let found = endpoint(&[data(1, 5, 0), implicit], Direction::Out);
        assert_eq!(found, Err(Rule::ImplicitFeedback));
    }

    /// A14.
    #[test]
    fn a14_the_feedback_interval_comes_from_refresh_then_speed_then_interval() {
        let mut sync = parse(&SYNC);
        assert_eq!(feedback_interval_us(&sync, Speed::Full), 16_000);
        sync.audio = Some(AudioFields { refresh: 10, synch_address: 0 });
        assert_eq!(feedback_interval_us(&sync, Speed::Full), 2000);
        sync.audio = None;
        sync.interval = 4;
        assert_eq!(feedback_interval_us(&sync, Speed::Full), 2000);
        assert_eq!(feedback_interval_us(&sync, Speed::High), 1000);
        sync.interval = 17;
        assert_eq!(feedback_interval_us(&sync, Speed::High), 1000);
    }
}

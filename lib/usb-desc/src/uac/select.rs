//! Which alternate setting carries a format (A3).
//!
//! A pure function of what a stream offers and what is wanted. When nothing
//! fits, the answer names the first property that no alternate has, given that
//! the ones before it fit: so a refusal tells what to change.

use usb_types::{Direction, Speed};

use crate::endpoint::Synchronisation;
use crate::standard::unit_us;
use crate::uac::packets::Sizing;
use crate::uac::stream::{Alternate, Encoding, SampleFormat};

/// What a stream shall carry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Sample layout.
    pub format: SampleFormat,
    /// Samples in a frame.
    pub channels: u8,
    /// Frames per second.
    pub rate: u32,
    /// Microseconds between two services of the stream; `None` leaves it to
    /// the device.
    pub interval_us: Option<u32>,
}

/// Why no alternate fits, in the order in which properties are looked at.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mismatch {
    /// The stream has no alternate at all.
    Nothing,
    /// None carries integer samples.
    Encoding,
    /// None has the sample layout.
    Format,
    /// None has the number of channels.
    Channels,
    /// None has the rate.
    Rate,
    /// One packet per interval cannot carry the rate.
    PacketTooSmall,
    /// The interval is no multiple of the bus unit by a power of two up to
    /// 2^15 (B9).
    IntervalMalformed,
    /// Every alternate that fits is served less often than wanted.
    IntervalTooShort,
}

/// The alternate that carries `wanted`.
///
/// Of several, in this order: the one whose data interval is nearest to the
/// wanted service interval; one that needs no feedback (playback that is not
/// asynchronous, capture that is not adaptive), because some devices offer the
/// other kind without being able to; the larger packet; the first.
///
/// # Errors
/// Why none fits.
pub fn select<'a>(
    alternates: impl Iterator<Item = &'a Alternate>,
    speed: Speed,
    wanted: &Wanted,
) -> Result<&'a Alternate, Mismatch> {
    let mut nearest = Mismatch::Nothing;
    let mut best: Option<(&Alternate, Rank)> = None;
    for alternate in alternates {
        match fit(alternate, speed, wanted) {
            Ok(rank) => {
                if best.is_none_or(|(_, top)| rank > top) {
                    best = Some((alternate, rank));
                }
            }
            Err(mismatch) => nearest = nearest.max(mismatch),
        }
    }
    best.map(|(alternate, _)| alternate).ok_or(nearest)
}

/// How good a fit is; the greater the better.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    interval: u8,
    unforced: bool,
    packet: u16,
}

fn fit(alternate: &Alternate, speed: Speed, wanted: &Wanted) -> Result<Rank, Mismatch> {
    match alternate.encoding {
        Encoding::Pcm(format) if format == wanted.format => {}
        Encoding::Pcm(_) => return Err(Mismatch::Format),
        _ => return Err(Mismatch::Encoding),
    }
    if alternate.channels != wanted.channels {
        return Err(Mismatch::Channels);
    }
    if !alternate.rates.contain(wanted.rate) {
        return Err(Mismatch::Rate);
    }
    if Sizing::new(alternate, speed, wanted.rate).is_none() {
        return Err(Mismatch::PacketTooSmall);
    }
    let data = alternate.data_interval(speed);
    let interval = match wanted.interval_us {
        None => 0,
        Some(us) => {
            let service = interval_exponent(us, speed).ok_or(Mismatch::IntervalMalformed)?;
            if data > service {
                return Err(Mismatch::IntervalTooShort);
            }
            data
        }
    };
    let forced = match alternate.direction() {
        Direction::Out => Synchronisation::Asynchronous,
        Direction::In => Synchronisation::Adaptive,
    };
    Ok(Rank {
        interval,
        unforced: alternate.data.synchronisation() != forced,
        packet: alternate.data.packet_bytes(),
    })
}

/// log2 of the bus units in a service interval (B9): a multiple of the unit,
/// the quotient a power of two of at most 2^15.
#[must_use]
pub const fn interval_exponent(us: u32, speed: Speed) -> Option<u8> {
    let unit = unit_us(speed);
    let units = us / unit;
    if !us.is_multiple_of(unit) || !units.is_power_of_two() || units.ilog2() > 15 {
        return None;
    }
    Some(units.ilog2() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::list::List;
    use crate::raw::Raw;
    use crate::uac::stream::Rates;

    fn alternate(channels: u8, subslot: u8, rate: u32, packet: u16, attributes: u8) -> Alternate {
        let [low, high] = packet.to_le_bytes();
        let bytes = [9, 5, 1, attributes, low, high, 1, 0, 0];
        let raw = Raw::first(&bytes, 0).unwrap();
        let mut rates = List::new();
        rates.push(rate).unwrap();
        Alternate {
            encoding: Encoding::Pcm(SampleFormat::of_subslot(subslot).unwrap()),
            channels,
            subslot,
            bits: subslot * 8,
            rates: Rates::Discrete(rates),
            data: Endpoint::parse(&raw, Speed::Full).unwrap().0,
            ..Alternate::default()
        }
    }

    const CD: Wanted =
        Wanted { format: SampleFormat::S16Le, channels: 2, rate: 44_100, interval_us: None };

    fn try_select(offered: &[Alternate], wanted: &Wanted) -> Result<usize, Mismatch> {
        let found = select(offered.iter(), Speed::Full, wanted)?;
        Ok(offered.iter().position(|alternate| core::ptr::eq(alternate, found)).unwrap())
    }

    /// A3: each refusal names the property that is missing.
    #[test]
    fn a3_a_refusal_names_the_first_property_that_nothing_has() {
        let offered = [alternate(2, 2, 44_100, 192, 9)];
        assert_eq!(try_select(&offered, &CD), Ok(0));
        assert_eq!(try_select(&[], &CD), Err(Mismatch::Nothing));
        let cases = [
            (Wanted { format: SampleFormat::S32Le, ..CD }, Mismatch::Format),
            (Wanted { channels: 1, ..CD }, Mismatch::Channels),
            (Wanted { rate: 48_000, ..CD }, Mismatch::Rate),
            (Wanted { interval_us: Some(1500), ..CD }, Mismatch::IntervalMalformed),
        ];
        for (wanted, expect) in cases {
            assert_eq!(try_select(&offered, &wanted), Err(expect));
        }
        let compressed = [Alternate { encoding: Encoding::Iec61937, ..offered[0] }];
        assert_eq!(try_select(&compressed, &CD), Err(Mismatch::Encoding));
        let narrow = [alternate(2, 2, 44_100, 176, 9)];
        assert_eq!(try_select(&narrow, &CD), Err(Mismatch::PacketTooSmall));
    }

    #[test]
    fn a3_the_refusal_is_the_one_of_the_alternate_that_came_nearest() {
        let offered = [alternate(2, 3, 44_100, 300, 9), alternate(2, 2, 48_000, 200, 9)];
        assert_eq!(try_select(&offered, &CD), Err(Mismatch::Rate));
    }

    /// A3: the preference order.
    #[test]
    fn a3_playback_without_feedback_wins_then_the_larger_packet_then_the_first() {
        let asynchronous = alternate(2, 2, 44_100, 400, 5);
        let adaptive = alternate(2, 2, 44_100, 192, 9);
        let larger = alternate(2, 2, 44_100, 200, 9);
        assert_eq!(try_select(&[asynchronous, adaptive], &CD), Ok(1));
        assert_eq!(try_select(&[adaptive, asynchronous], &CD), Ok(0));
        assert_eq!(try_select(&[adaptive, larger], &CD), Ok(1));
        assert_eq!(try_select(&[larger, larger], &CD), Ok(0));
    }

    /// D-8: the service interval decides the alternate.
    #[test]
    fn the_nearest_data_interval_not_longer_than_the_wanted_one_wins() {
        let with_interval = |interval| {
            let mut alternate = alternate(2, 2, 44_100, 400, 9);
            alternate.data.interval = interval;
            alternate
        };
        let offered = [with_interval(1), with_interval(3), with_interval(4)];
        let find = |us| {
            let wanted = Wanted { interval_us: Some(us), ..CD };
            select(offered.iter(), Speed::High, &wanted).map(|found| found.data.interval)
        };
        assert_eq!(find(125), Ok(1));
        assert_eq!(find(250), Ok(1));
        assert_eq!(find(500), Ok(3));
        assert_eq!(find(8000), Ok(4));
        let slow = [with_interval(4)];
        let wanted = Wanted { interval_us: Some(125), ..CD };
        assert_eq!(select(slow.iter(), Speed::High, &wanted), Err(Mismatch::IntervalTooShort));
    }

    /// B9.
    #[test]
    fn b9_a_service_interval_is_a_power_of_two_of_bus_units() {
        for (us, speed, expect) in [
            (0, Speed::High, None),
            (125, Speed::High, Some(0)),
            (1000, Speed::High, Some(3)),
            (375, Speed::High, None),
            (1000, Speed::Full, Some(0)),
            (125, Speed::Full, None),
            (2000, Speed::Full, Some(1)),
            (125 << 15, Speed::High, Some(15)),
            (125 << 16, Speed::High, None),
        ] {
            assert_eq!(interval_exponent(us, speed), expect, "{us}");
        }
    }
}

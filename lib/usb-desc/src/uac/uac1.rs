//! Audio 1.0: the control header and the alternates of a streaming interface.
//!
//! Audio 1.0 sections 4.3.2 (header), 4.5.2 (AS_GENERAL), 4.6.1.2 (endpoint);
//! Audio Data Formats 1.0 section 2.2.5 (type I) and 2.4 (type III).

use usb_types::Direction;

use crate::config::Setting;
use crate::endpoint::Transfer;
use crate::issue::{Issue, Rule};
use crate::list::List;
use crate::raw::{Raw, kind};
use crate::uac::stream::{Alternate, Encoding, EndpointControls, Rates, SampleFormat};
use crate::uac::{Version, codes, sync};

/// From this format tag on, type I data is PCM whatever the tag says (A4).
const FIRST_UNKNOWN_TAG: u16 = 64;

/// Reads the control header: the set of streaming interfaces it claims.
pub(super) fn header(setting: &Setting<'_>, report: &mut dyn FnMut(Issue)) -> Option<u32> {
    let missing = Issue::new(Rule::AudioHeaderMissing, setting.offset, 0);
    let Some(raw) =
        setting.body.class_descriptors().find(|raw| raw.subtype() == Some(codes::HEADER))
    else {
        report(missing);
        return None;
    };
    let Some(f) = raw.prefix::<8>() else {
        report(raw.issue(Rule::TooShort, raw.bytes().len() as u32));
        return None;
    };
    let total = u32::from(u16::from_le_bytes([f[5], f[6]]));
    let sum: usize = setting.body.class_descriptors().map(|raw| raw.bytes().len()).sum();
    if total != sum as u32 {
        report(raw.issue(Rule::AudioTotalLength, total));
    }
    let count = usize::from(f[7]);
    let listed = raw.bytes().get(8..).unwrap_or(&[]);
    if listed.len() < count {
        report(raw.issue(Rule::UnitShort, count as u32));
    }
    let numbers = listed.iter().take(count).filter(|&&number| number < 32);
    Some(numbers.fold(0, |claims, number| claims | 1 << number))
}

/// Reads a streaming alternate that has endpoints. `None` when it carries no
/// stream; why has been reported.
pub(super) fn alternate(setting: &Setting<'_>, report: &mut dyn FnMut(Issue)) -> Option<Alternate> {
    match read(setting, report) {
        Ok(alternate) => Some(alternate),
        Err(issue) => {
            report(issue);
            None
        }
    }
}

fn read(setting: &Setting<'_>, report: &mut dyn FnMut(Issue)) -> Result<Alternate, Issue> {
    let at = |rule, value: u32| Issue::new(rule, setting.offset, value);
    // A1: the first endpoint is isochronous and can carry something.
    let data = *setting.endpoints.first().ok_or(at(Rule::DataPacketZero, 0))?;
    if data.transfer() != Transfer::Isochronous {
        return Err(at(Rule::DataNotIsochronous, data.attributes.into()));
    }
    if data.packet_bytes() == 0 {
        return Err(at(Rule::DataPacketZero, 0));
    }
    let find =
        |subtype| setting.body.class_descriptors().find(move |raw| raw.subtype() == Some(subtype));
    let general = find(codes::GENERAL).ok_or(at(Rule::GeneralMissing, 0))?;
    let &[_, _, _, terminal, delay, tag_low, tag_high] = general
        .prefix()
        .ok_or(general.issue(Rule::GeneralMissing, general.bytes().len() as u32))?;
    let format = find(codes::FORMAT_TYPE).ok_or(at(Rule::FormatMissing, 0))?;
    let mut alternate = Alternate {
        version: Version::Uac1,
        interface: setting.interface,
        terminal,
        delay,
        data,
        ..Alternate::default()
    };
    read_format(&format, u16::from_le_bytes([tag_low, tag_high]), &mut alternate, report)?;
    if data.interval_bytes() < alternate.frame_bytes().into() {
        return Err(at(Rule::DataPacketSmall, data.interval_bytes()));
    }
    alternate.sync = sync::endpoint(&setting.endpoints, data.address.direction())
        .map_err(|rule| at(rule, setting.endpoints.get(1).map_or(0, |e| e.address.0.into())))?;
    alternate.controls = endpoint_controls(setting, report);
    Ok(alternate)
}

/// FORMAT_TYPE: eight bytes, then three for each rate (A4).
fn read_format(
    raw: &Raw<'_>,
    tag: u16,
    alternate: &mut Alternate,
    report: &mut dyn FnMut(Issue),
) -> Result<(), Issue> {
    let &[_, _, _, format_type, channels, subslot, bits, rate_type] =
        raw.prefix().ok_or(raw.issue(Rule::FormatShort, raw.bytes().len() as u32))?;
    if !matches!(format_type, codes::FORMAT_TYPE_I | codes::FORMAT_TYPE_III) {
        return Err(raw.issue(Rule::FormatType, format_type.into()));
    }
    if channels == 0 {
        return Err(raw.issue(Rule::ChannelsZero, 0));
    }
    let format =
        SampleFormat::of_subslot(subslot).ok_or(raw.issue(Rule::SubslotSize, subslot.into()))?;
    if bits == 0 || bits > subslot * 8 {
        report(raw.issue(Rule::BitResolution, bits.into()));
    }
    alternate.channels = channels;
    alternate.subslot = subslot;
    alternate.bits = bits;
    alternate.encoding = match (format_type, tag) {
        (codes::FORMAT_TYPE_III, _) => Encoding::Iec61937,
        (_, 1 | FIRST_UNKNOWN_TAG..) => Encoding::Pcm(format),
        (_, 2) if subslot == 1 => Encoding::Pcm(SampleFormat::U8),
        (_, 3) => Encoding::Float,
        (_, 4) => Encoding::ALaw,
        (_, 5) => Encoding::MuLaw,
        _ => Encoding::Undefined,
    };
    alternate.rates = rates(raw, rate_type, report)?;
    Ok(())
}

/// The rates behind FORMAT_TYPE's eighth byte: `count` of them, or a range
/// when `count` is 0.
fn rates(raw: &Raw<'_>, count: u8, report: &mut dyn FnMut(Issue)) -> Result<Rates, Issue> {
    let entries = if count == 0 { 2 } else { usize::from(count) };
    let bytes = raw
        .bytes()
        .get(8..8 + 3 * entries)
        .ok_or(raw.issue(Rule::FormatShort, raw.bytes().len() as u32))?;
    let (triples, _) = bytes.as_chunks::<3>();
    let mut values = triples.iter().map(|&[a, b, c]| u32::from_le_bytes([a, b, c, 0]));
    if count == 0 {
        let (min, max) = (values.next().unwrap_or(0), values.next().unwrap_or(0));
        return match (min, max) {
            (_, 0) => Err(raw.issue(Rule::RatesAllZero, 0)),
            (min, max) if min > max => Err(raw.issue(Rule::RateRange, min)),
            (min, max) => Ok(Rates::Continuous { min: min.max(1), max }),
        };
    }
    let mut rates = List::new();
    let mut zero = false;
    for (place, rate) in values.enumerate() {
        if rate == 0 {
            zero = true;
        } else if rates.push(rate).is_err() {
            report(raw.issue(Rule::TooManyRates, (entries - place) as u32));
            break;
        }
    }
    if rates.is_empty() {
        return Err(raw.issue(Rule::RatesAllZero, 0));
    }
    if zero {
        report(raw.issue(Rule::RateZero, 0));
    }
    Ok(Rates::Discrete(rates))
}

/// The class-specific endpoint descriptor, wherever in the alternate it
/// stands. One that is absent or too short is as one without controls.
fn endpoint_controls(setting: &Setting<'_>, report: &mut dyn FnMut(Issue)) -> EndpointControls {
    let general = setting.body.descriptors().find(|raw| {
        raw.kind() == kind::CLASS_ENDPOINT && raw.subtype() == Some(codes::ENDPOINT_GENERAL)
    });
    let Some(raw) = general else {
        return EndpointControls::default();
    };
    let Some(f) = raw.prefix::<4>() else {
        report(raw.issue(Rule::UnitShort, raw.bytes().len() as u32));
        return EndpointControls::default();
    };
    EndpointControls {
        sampling_frequency: f[3] & 0x01 != 0,
        pitch: f[3] & 0x02 != 0,
        // MaxPacketsOnly is about what the host sends.
        fill_max: f[3] & 0x80 != 0
            && setting.endpoints.first().is_some_and(|e| e.address.direction() == Direction::Out),
    }
}

//! The graph of terminals and units, as far as a stream needs it.
//!
//! Audio 1.0 section 4.3.2. A device may describe any graph, loops included:
//! the two questions asked here are answered by growing a set of ids until it
//! stops growing, which takes at most 256 rounds whatever the graph.

use crate::config::Body;
use crate::issue::{Issue, Rule};
use crate::list::List;
use crate::raw::Raw;
use crate::uac::codes;
use crate::uac::stream::{FeatureControls, MAX_STREAM_CONTROLS};
use usb_types::Direction;

/// Most channels a terminal can mean: what a full-speed packet of 1023 bytes
/// carries of the slowest, narrowest sound there is, 8 kHz of 8 bits.
const MAX_TERMINAL_CHANNELS: u8 = 127;

/// A set of unit and terminal ids.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
struct Ids([u128; 2]);

impl Ids {
    fn contains(&self, id: u8) -> bool {
        self.0[usize::from(id >> 7)] & 1 << (id & 127) != 0
    }

    fn insert(&mut self, id: u8) {
        self.0[usize::from(id >> 7)] |= 1 << (id & 127);
    }
}

/// A terminal or unit, its fields checked to be there.
#[derive(Copy, Clone)]
struct Unit<'a> {
    subtype: u8,
    id: u8,
    /// `wTerminalType`, of terminals.
    terminal_type: Option<u16>,
    /// Ids of what it takes its sound from.
    sources: &'a [u8],
}

impl<'a> Unit<'a> {
    /// `None` when it is no unit, or a field that is needed is missing.
    fn read(raw: &Raw<'a>) -> Option<Self> {
        let b = raw.bytes();
        let &[_, _, subtype, id] = b.first_chunk()?;
        let pins = |at: usize| {
            let count = usize::from(*b.get(at)?);
            b.get(at + 1..at + 1 + count)
        };
        let terminal_type = || Some(u16::from_le_bytes([*b.get(4)?, *b.get(5)?]));
        let (terminal_type, sources) = match subtype {
            codes::INPUT_TERMINAL => (Some(terminal_type()?), b.get(..0)?),
            codes::OUTPUT_TERMINAL => (Some(terminal_type()?), b.get(7..8)?),
            codes::MIXER_UNIT | codes::SELECTOR_UNIT => (None, pins(4)?),
            codes::FEATURE_UNIT => (None, b.get(4..5)?),
            codes::PROCESSING_UNIT | codes::EXTENSION_UNIT => (None, pins(6)?),
            _ => return None,
        };
        Some(Self { subtype, id, terminal_type, sources })
    }
}

fn units<'a>(body: Body<'a>) -> impl Iterator<Item = Unit<'a>> {
    body.class_descriptors().filter_map(|raw| Unit::read(&raw))
}

/// Grows `ids` by `step` until nothing is added.
fn close(mut ids: Ids, step: impl Fn(&mut Ids)) -> Ids {
    loop {
        let before = ids;
        step(&mut ids);
        if ids == before {
            return ids;
        }
    }
}

/// `ids`, and whatever takes its sound from one of them.
fn downstream(body: Body<'_>, ids: Ids) -> Ids {
    close(ids, |ids| {
        for unit in units(body) {
            if unit.sources.iter().any(|&source| ids.contains(source)) {
                ids.insert(unit.id);
            }
        }
    })
}

/// `ids`, and whatever gives its sound to one of them.
fn upstream(body: Body<'_>, ids: Ids) -> Ids {
    close(ids, |ids| {
        for unit in units(body) {
            if ids.contains(unit.id) {
                unit.sources.iter().for_each(|&source| ids.insert(source));
            }
        }
    })
}

/// Reports what is wrong with the units and terminals of `body`, none of which
/// keeps a stream from playing.
pub(super) fn check(body: Body<'_>, report: &mut dyn FnMut(Issue)) {
    let mut seen = Ids::default();
    let subtypes = codes::INPUT_TERMINAL..=codes::EXTENSION_UNIT;
    for raw in body.class_descriptors() {
        let Some(subtype) = raw.subtype().filter(|subtype| subtypes.contains(subtype)) else {
            continue;
        };
        let Some(unit) = Unit::read(&raw) else {
            report(raw.issue(Rule::UnitShort, subtype.into()));
            continue;
        };
        if unit.id == 0 || seen.contains(unit.id) {
            report(raw.issue(Rule::UnitId, unit.id.into()));
        }
        seen.insert(unit.id);
        let named = |source: u8| units(body).any(|other| other.id == source);
        if let Some(&source) = unit.sources.iter().find(|&&id| id == unit.id || !named(id)) {
            report(raw.issue(Rule::UnitSource, source.into()));
        }
        if let Some(found) = unit.terminal_type.filter(|found| found >> 8 == 0) {
            report(raw.issue(Rule::TerminalType, found.into()));
        }
        let channels = raw.bytes().get(7).copied().unwrap_or(0);
        if subtype == codes::INPUT_TERMINAL && !(1..=MAX_TERMINAL_CHANNELS).contains(&channels) {
            report(raw.issue(Rule::TerminalChannels, channels.into()));
        }
    }
}

/// Whether `id` is a terminal.
pub(super) fn has_terminal(body: Body<'_>, id: u8) -> bool {
    units(body).any(|unit| unit.id == id && unit.terminal_type.is_some())
}

/// The feature units that sound passes on its way between `terminal` and the
/// outside: from it to an output that is not USB again, or to it from an input
/// that is not.
pub(super) fn controls(
    body: Body<'_>,
    terminal: u8,
    direction: Direction,
    report: &mut dyn FnMut(Issue),
) -> List<FeatureControls, MAX_STREAM_CONTROLS> {
    let mut stream = Ids::default();
    stream.insert(terminal);
    let outside = |subtype: u8, of: Ids| {
        let mut ends = Ids::default();
        for unit in units(body) {
            let is_end =
                unit.subtype == subtype && unit.terminal_type != Some(codes::USB_STREAMING);
            if is_end && of.contains(unit.id) {
                ends.insert(unit.id);
            }
        }
        ends
    };
    let (reached, heard) = match direction {
        Direction::Out => {
            let reached = downstream(body, stream);
            (reached, upstream(body, outside(codes::OUTPUT_TERMINAL, reached)))
        }
        Direction::In => {
            let heard = upstream(body, stream);
            (downstream(body, outside(codes::INPUT_TERMINAL, heard)), heard)
        }
    };
    let mut controls = List::new();
    for raw in body.class_descriptors() {
        let Some(unit) = Unit::read(&raw).filter(|unit| unit.subtype == codes::FEATURE_UNIT) else {
            continue;
        };
        if !reached.contains(unit.id) || !heard.contains(unit.id) {
            continue;
        }
        match feature(&raw) {
            Ok(found) => {
                if controls.push(found).is_err() {
                    report(raw.issue(Rule::TooManyControls, unit.id.into()));
                }
            }
            Err(issue) => report(issue),
        }
    }
    controls
}

/// Which controls a feature unit has (Audio 1.0 table 4-7): `bControlSize`
/// bytes for the master channel and for each channel after it.
fn feature(raw: &Raw<'_>) -> Result<FeatureControls, Issue> {
    let &[_, _, _, unit, _, size] =
        raw.prefix().ok_or(raw.issue(Rule::UnitShort, raw.bytes().len() as u32))?;
    if size == 0 {
        return Err(raw.issue(Rule::FeatureControlSize, 0));
    }
    // The last byte is iFeature.
    let masks = raw.bytes().get(6..raw.bytes().len().saturating_sub(1)).unwrap_or(&[]);
    let mut controls = FeatureControls { unit, mute: 0, volume: 0 };
    for (channel, mask) in masks.chunks_exact(size.into()).take(16).enumerate() {
        let bits = mask.first().copied().unwrap_or(0);
        controls.mute |= u16::from(bits & 1) << channel;
        controls.volume |= u16::from(bits >> 1 & 1) << channel;
    }
    Ok(controls)
}

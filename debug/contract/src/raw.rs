//! Debug information entry by entry, with the limits of who reads it.
//!
//! Humility refuses an archive, or ends, over entries that are good DWARF but
//! none that rustc writes. Each kind of entry has its rule here.

use crate::image::Slice;
use gimli::{
    Attribute, AttributeValue, DebuggingInformationEntry, Dwarf, Operation, Unit, constants,
};
use std::collections::BTreeSet;

type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// What an entry can break.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Version,
    Names,
    Member,
    Enumeration,
    Array,
    Pointer,
    Inlined,
}

/// A static as its entry has it.
#[derive(Clone, Debug)]
pub(crate) struct Static {
    pub(crate) name: String,
    pub(crate) linkage: Option<String>,
    pub(crate) at: u64,
}

/// A struct with its members: what tells it from another of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) members: BTreeSet<(String, u64)>,
}

/// What there is in one program.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) broken: Vec<(Rule, String)>,
    pub(crate) statics: Vec<Static>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) units: usize,
}

/// Reads every entry.
pub(crate) fn read(dwarf: &Dwarf<Slice<'_>>) -> Result<Raw, gimli::Error> {
    let mut raw = Raw::default();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        let unit = dwarf.unit(header)?;
        raw.units += 1;
        if header.version() > 4 {
            raw.broken.push((Rule::Version, format!("DWARF {}", header.version())));
        }
        let mut reader = Reader { dwarf, unit: &unit, raw: &mut raw, structs: Vec::new() };
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            reader.take(entry)?;
        }
    }
    Ok(raw)
}

struct Reader<'r, 'a> {
    dwarf: &'r Dwarf<Slice<'a>>,
    unit: &'r Unit<Slice<'a>>,
    raw: &'r mut Raw,
    /// The structs around the entry: their depth, and their place in `shapes`.
    structs: Vec<(isize, usize)>,
}

impl<'a> Reader<'_, 'a> {
    fn take(&mut self, entry: &Entry<'a>) -> Result<(), gimli::Error> {
        let depth = entry.depth();
        while self.structs.last().is_some_and(|&(outer, _)| outer >= depth) {
            self.structs.pop();
        }
        let has = |name| entry.attr_value(name).is_some();
        let name = self.name(entry);
        let mut breaks = |rule, is: bool| {
            if !is {
                self.raw.broken.push((rule, format!("an entry at {:#x}", entry.offset().0)));
            }
        };
        let names = [constants::DW_AT_name, constants::DW_AT_linkage_name];
        let is_name = |attribute: &&Attribute<_>| names.contains(&attribute.name());
        for attribute in entry.attrs().iter().filter(is_name) {
            breaks(Rule::Names, attribute.form() == constants::DW_FORM_strp);
        }
        match entry.tag() {
            constants::DW_TAG_structure_type => {
                let size = number(entry, constants::DW_AT_byte_size).unwrap_or(0);
                self.structs.push((depth, self.raw.shapes.len()));
                let name = name.unwrap_or_default();
                self.raw.shapes.push(Shape { name, size, ..Shape::default() });
            }
            constants::DW_TAG_member => {
                let at = number(entry, constants::DW_AT_data_member_location);
                // What tells the variants of an enum apart has no name.
                let is_tag = entry.attr_value(constants::DW_AT_artificial).is_some();
                breaks(Rule::Member, has(constants::DW_AT_type) && at.is_some());
                breaks(Rule::Member, name.is_some() || is_tag);
                if let (Some(&(outer, of)), Some(name), Some(at)) = (self.structs.last(), name, at)
                    && depth == outer + 1
                {
                    self.raw.shapes[of].members.insert((name, at));
                }
            }
            constants::DW_TAG_enumeration_type => breaks(
                Rule::Enumeration,
                name.is_some() && has(constants::DW_AT_type) && has(constants::DW_AT_byte_size),
            ),
            constants::DW_TAG_subrange_type => {
                breaks(Rule::Array, number(entry, constants::DW_AT_count).is_some());
            }
            constants::DW_TAG_pointer_type => breaks(Rule::Pointer, has(constants::DW_AT_type)),
            constants::DW_TAG_inlined_subroutine => {
                let low = entry.attr_value(constants::DW_AT_low_pc);
                let run = matches!(low, Some(AttributeValue::Addr(_)))
                    && number(entry, constants::DW_AT_high_pc).is_some();
                let ranges = matches!(
                    entry.attr_value(constants::DW_AT_ranges),
                    Some(AttributeValue::RangeListsRef(_) | AttributeValue::SecOffset(_))
                );
                breaks(Rule::Inlined, run || ranges);
            }
            constants::DW_TAG_variable => self.variable(entry, name)?,
            _ => {}
        }
        Ok(())
    }

    fn variable(&mut self, entry: &Entry<'a>, name: Option<String>) -> Result<(), gimli::Error> {
        let linkage = entry.attr_value(constants::DW_AT_linkage_name);
        let linkage = linkage.and_then(|name| self.text(name));
        let external = entry.attr_value(constants::DW_AT_external);
        if linkage.is_none() && external != Some(AttributeValue::Flag(true)) {
            return Ok(());
        }
        let place = entry.attr_value(constants::DW_AT_location);
        let Some(place) = place.and_then(|place| place.exprloc_value()) else { return Ok(()) };
        let first = place.operations(self.unit.encoding()).next()?;
        if let (Some(Operation::Address { address: at }), Some(name)) = (first, name)
            && at != 0
        {
            self.raw.statics.push(Static { name, linkage, at });
        }
        Ok(())
    }

    fn name(&self, entry: &Entry<'a>) -> Option<String> {
        self.text(entry.attr_value(constants::DW_AT_name)?)
    }

    fn text(&self, value: AttributeValue<Slice<'a>>) -> Option<String> {
        let text = self.dwarf.attr_string(self.unit, value).ok()?;
        Some(String::from_utf8_lossy(text.slice()).into_owned())
    }
}

fn number(entry: &Entry<'_>, name: gimli::DwAt) -> Option<u64> {
    entry.attr_value(name)?.udata_value()
}

//! As much of a program's debug information as a dump needs: where a static is,
//! and where in a struct a field is (DWARF 4).

use addr::Virt;
use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, Unit};
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::HashMap;

type Slice<'e> = EndianSlice<'e, LittleEndian>;
type Entry<'e> = DebuggingInformationEntry<Slice<'e>>;

/// What a program's debug information says.
#[derive(Debug, Default)]
pub(crate) struct DebugInfo {
    /// Structs by their bare names.
    structs: HashMap<String, Struct>,
    /// Statics by their bare names.
    statics: HashMap<String, Static>,
}

/// A struct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Struct {
    /// Its bytes.
    pub(crate) size: u32,
    /// Where its fields are.
    fields: HashMap<String, u32>,
}

impl Struct {
    /// Where field `name` is.
    pub(crate) fn field(&self, name: &str) -> Option<u32> {
        self.fields.get(name).copied()
    }
}

/// A static.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Static {
    /// Where it is.
    pub(crate) address: Virt,
    /// Its bytes.
    pub(crate) size: u32,
}

impl DebugInfo {
    /// What the debug information in the ELF file `elf` says; `None` when it is
    /// damaged.
    pub(crate) fn read(elf: &[u8]) -> Option<Self> {
        let file = object::File::parse(elf).ok()?;
        let section = |id: gimli::SectionId| -> Result<Slice<'_>, gimli::Error> {
            let section = file.section_by_name(id.name());
            let bytes = section.and_then(|section| section.data().ok()).unwrap_or_default();
            Ok(EndianSlice::new(bytes, LittleEndian))
        };
        let dwarf = Dwarf::load(section).ok()?;
        // An array's bytes are in no entry, but every static has a symbol.
        let symbols = file.symbols().filter(|symbol| symbol.size() > 0);
        let sizes = symbols.map(|symbol| (Virt(symbol.address()), symbol.size() as u32)).collect();
        let mut info = Self::default();
        let mut units = dwarf.units();
        while let Some(header) = units.next().ok()? {
            let unit = dwarf.unit(header).ok()?;
            info.take(&dwarf, &unit, &sizes)?;
        }
        Some(info)
    }

    pub(crate) fn structure(&self, name: &str) -> Option<&Struct> {
        self.structs.get(name)
    }

    pub(crate) fn variable(&self, name: &str) -> Option<Static> {
        self.statics.get(name).copied()
    }

    fn take(
        &mut self,
        dwarf: &Dwarf<Slice<'_>>,
        unit: &Unit<Slice<'_>>,
        sizes: &HashMap<Virt, u32>,
    ) -> Option<()> {
        let mut entries = unit.entries();
        // The struct whose fields come now, and its depth.
        let mut around: Option<(String, isize)> = None;
        while let Some(entry) = entries.next_dfs().ok()? {
            let depth = entry.depth();
            if around.as_ref().is_some_and(|around| depth <= around.1) {
                around = None;
            }
            let Some(name) = name(dwarf, unit, entry) else { continue };
            match (entry.tag(), &around) {
                (gimli::DW_TAG_structure_type, _) => {
                    let size = unsigned(entry, gimli::DW_AT_byte_size).unwrap_or(0);
                    let of = Struct { size, fields: HashMap::new() };
                    self.structs.insert(name.clone(), of);
                    around = Some((name, depth));
                }
                (gimli::DW_TAG_member, Some((of, outer))) if depth == outer + 1 => {
                    let at = unsigned(entry, gimli::DW_AT_data_member_location);
                    if let (Some(at), Some(of)) = (at, self.structs.get_mut(of)) {
                        of.fields.insert(name, at);
                    }
                }
                (gimli::DW_TAG_variable, _) => {
                    let address = address(unit, entry);
                    if let Some((address, &size)) =
                        address.and_then(|at| Some((at, sizes.get(&at)?)))
                    {
                        self.statics.insert(name, Static { address, size });
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

fn name(dwarf: &Dwarf<Slice<'_>>, unit: &Unit<Slice<'_>>, entry: &Entry<'_>) -> Option<String> {
    let name = dwarf.attr_string(unit, entry.attr_value(gimli::DW_AT_name)?).ok()?;
    name.to_string().ok().map(str::to_owned)
}

fn unsigned(entry: &Entry<'_>, name: gimli::DwAt) -> Option<u32> {
    entry.attr_value(name)?.udata_value()?.try_into().ok()
}

/// Where a variable is, if that is a fixed address.
fn address(unit: &Unit<Slice<'_>>, entry: &Entry<'_>) -> Option<Virt> {
    let AttributeValue::Exprloc(place) = entry.attr_value(gimli::DW_AT_location)? else {
        return None;
    };
    let mut operations = place.operations(unit.encoding());
    match operations.next().ok()?? {
        gimli::Operation::Address { address } => Some(Virt(address)),
        _ => None,
    }
}

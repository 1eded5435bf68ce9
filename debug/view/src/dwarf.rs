//! Reads types and variables out of a program's debug information.
//!
//! What it makes of DWARF 4 as rustc writes it: an enum with payloads is a
//! structure with a variant part; tuples have members `__0`, `__1`; a static is
//! a variable whose place is one address, or one for each piece of it. What is not understood is left out,
//! and the one who asks for it finds nothing.

use crate::types::{
    Array, Base, CEnum, Encoding, Enum, Member, Piece, Pointer, Struct, Type, TypeId, Types,
    Variable, Variant,
};
use addr::Virt;
use gimli::{
    AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, Operation, Unit,
    UnitSectionOffset, constants,
};

pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// Reads them all. Variables come in the order of their names.
pub(crate) fn read(dwarf: &Dwarf<Slice<'_>>) -> Result<Types, gimli::Error> {
    let mut types = Types::default();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        let unit = dwarf.unit(header)?;
        let mut reader = Reader { dwarf, unit: &unit, types: &mut types, scopes: Vec::new() };
        let mut cursor = unit.entries();
        while let Some(entry) = cursor.next_dfs()? {
            reader.entry(entry);
        }
    }
    types.variables.sort_by(|a, b| a.name.cmp(&b.name));
    types.variables.dedup_by(|a, b| a.at == b.at && a.name == b.name);
    Ok(types)
}

/// What an entry is inside of.
enum Within {
    Struct(TypeId),
    /// The variant part of an enum.
    Variants(TypeId),
    /// One of its variants, and its tag.
    Variant(TypeId, Option<u128>),
    CEnum(TypeId),
    Array(TypeId),
    Other,
}

struct Reader<'r, 'a> {
    dwarf: &'r Dwarf<Slice<'a>>,
    unit: &'r Unit<Slice<'a>>,
    types: &'r mut Types,
    /// The entries around the one that is looked at, outermost first, each with
    /// its depth.
    scopes: Vec<(isize, Within)>,
}

impl<'a> Reader<'_, 'a> {
    fn entry(&mut self, entry: &Entry<'a>) {
        let depth = entry.depth();
        while self.scopes.last().is_some_and(|&(outer, _)| outer >= depth) {
            self.scopes.pop();
        }
        let within = self.take(entry);
        if entry.has_children() {
            self.scopes.push((depth, within));
        }
    }

    /// Takes in one entry; what its children are inside of.
    fn take(&mut self, entry: &Entry<'a>) -> Within {
        let id = id_of(entry.offset().to_unit_section_offset(&self.unit.header));
        match entry.tag() {
            constants::DW_TAG_base_type => self.base(id, entry),
            constants::DW_TAG_structure_type => {
                let of = self.structure(entry);
                self.add(id, Type::Struct(of));
                Within::Struct(id)
            }
            constants::DW_TAG_union_type => {
                let of = self.structure(entry);
                self.add(id, Type::Union(of));
                Within::Struct(id)
            }
            constants::DW_TAG_enumeration_type => {
                let Struct { name, size, .. } = self.structure(entry);
                self.add(id, Type::CEnum(CEnum { name, size, variants: Vec::new() }));
                Within::CEnum(id)
            }
            constants::DW_TAG_array_type => {
                if let Some(of) = self.of(entry) {
                    self.add(id, Type::Array(Array { of, count: 0 }));
                }
                Within::Array(id)
            }
            constants::DW_TAG_pointer_type => {
                let name = self.name(entry).unwrap_or_else(|| "pointer".into());
                self.add(id, Type::Pointer(Pointer { name, to: self.of(entry) }));
                Within::Other
            }
            constants::DW_TAG_typedef
            | constants::DW_TAG_const_type
            | constants::DW_TAG_volatile_type => {
                if let Some(of) = self.of(entry) {
                    self.add(id, Type::Alias(of));
                }
                Within::Other
            }
            constants::DW_TAG_variable => {
                self.variable(entry);
                Within::Other
            }
            _ => self.part(entry),
        }
    }

    /// Takes in an entry that is part of a type.
    fn part(&mut self, entry: &Entry<'a>) -> Within {
        match (entry.tag(), self.scopes.last()) {
            (constants::DW_TAG_member, Some(&(_, Within::Struct(of)))) => {
                if let (Some(member), Some(Type::Struct(of) | Type::Union(of))) =
                    (self.member(entry), self.types.types.get_mut(&of))
                {
                    of.members.push(member);
                }
            }
            (constants::DW_TAG_variant_part, Some(&(_, Within::Struct(of)))) => {
                self.make_enum(of);
                return Within::Variants(of);
            }
            (constants::DW_TAG_member, Some(&(_, Within::Variants(of)))) => {
                let tag = self.member(entry);
                if let Some(Type::Enum(of)) = self.types.types.get_mut(&of) {
                    of.tag = tag;
                }
            }
            (constants::DW_TAG_variant, Some(&(_, Within::Variants(of)))) => {
                let tag = entry.attr_value(constants::DW_AT_discr_value);
                return Within::Variant(of, tag.and_then(|tag| number(&tag)));
            }
            (constants::DW_TAG_member, Some(&(_, Within::Variant(of, tag)))) => {
                if let (Some(payload), Some(Type::Enum(of))) =
                    (self.member(entry), self.types.types.get_mut(&of))
                {
                    of.variants.push(Variant { tag, payload });
                }
            }
            (constants::DW_TAG_enumerator, Some(&(_, Within::CEnum(of)))) => {
                let name = self.name(entry);
                let value = entry.attr_value(constants::DW_AT_const_value);
                if let (Some(name), Some(value), Some(Type::CEnum(of))) =
                    (name, value.and_then(|v| number(&v)), self.types.types.get_mut(&of))
                {
                    of.variants.push((name, cut(value, of.size)));
                }
            }
            (constants::DW_TAG_subrange_type, Some(&(_, Within::Array(of)))) => {
                if let Some(Type::Array(of)) = self.types.types.get_mut(&of) {
                    of.count = count(entry).unwrap_or(0);
                }
            }
            _ => {}
        }
        Within::Other
    }

    /// The structure `id` turns out to be an enum.
    fn make_enum(&mut self, id: TypeId) {
        if let Some(Type::Struct(of)) = self.types.types.get_mut(&id) {
            let (name, size) = (std::mem::take(&mut of.name), of.size);
            self.add(id, Type::Enum(Enum { name, size, ..Enum::default() }));
        }
    }

    fn base(&mut self, id: TypeId, entry: &Entry<'a>) -> Within {
        let Struct { name, size, .. } = self.structure(entry);
        let encoding = match entry.attr_value(constants::DW_AT_encoding) {
            Some(AttributeValue::Encoding(constants::DW_ATE_boolean)) => Encoding::Bool,
            Some(AttributeValue::Encoding(constants::DW_ATE_UTF)) => Encoding::Char,
            Some(AttributeValue::Encoding(constants::DW_ATE_float)) => Encoding::Float,
            Some(AttributeValue::Encoding(
                constants::DW_ATE_signed | constants::DW_ATE_signed_char,
            )) => Encoding::Signed,
            _ => Encoding::Unsigned,
        };
        self.add(id, Type::Base(Base { name, encoding, size }));
        Within::Other
    }

    /// Name and size of a structure, without its members.
    fn structure(&self, entry: &Entry<'a>) -> Struct {
        let size = entry.attr_value(constants::DW_AT_byte_size);
        Struct {
            name: self.name(entry).unwrap_or_default(),
            size: size.and_then(|size| size.udata_value()).unwrap_or(0) as usize,
            members: Vec::new(),
        }
    }

    fn member(&self, entry: &Entry<'a>) -> Option<Member> {
        let offset = entry.attr_value(constants::DW_AT_data_member_location);
        Some(Member {
            name: self.name(entry).unwrap_or_default(),
            offset: offset.map_or(Some(0), |offset| offset.udata_value())? as usize,
            of: self.of(entry)?,
        })
    }

    fn variable(&mut self, entry: &Entry<'a>) {
        let linker_name = entry.attr_value(constants::DW_AT_linkage_name);
        let external = entry.attr_value(constants::DW_AT_external);
        if linker_name.is_none() && external != Some(AttributeValue::Flag(true)) {
            return;
        }
        let (Some(places), Some(of)) = (self.places(entry), self.of(entry)) else { return };
        let Some(&Piece { at, .. }) = places.first() else { return };
        let name = match linker_name.and_then(|name| self.text(name)) {
            Some(name) => format!("{:#}", rustc_demangle::demangle(&name)),
            None => self.name(entry).unwrap_or_default(),
        };
        self.types.variables.push(Variable { name, at, of, pieces: places });
    }

    /// Where a variable is. What was left out at linking has address 0; a piece of
    /// a variable that is nowhere was left out by the compiler.
    fn places(&self, entry: &Entry<'a>) -> Option<Vec<Piece>> {
        let place = entry.attr_value(constants::DW_AT_location)?.exprloc_value()?;
        let mut operations = place.operations(self.unit.encoding());
        let (mut pieces, mut at, mut offset) = (Vec::new(), None, 0);
        while let Some(operation) = operations.next().ok()? {
            match operation {
                Operation::Address { address: 0 } => return None,
                Operation::Address { address } => at = Some(Virt(address)),
                Operation::PlusConstant { value } => at = Some(at?.plus(value)),
                Operation::Piece { size_in_bits, bit_offset: None } => {
                    let size = size_in_bits / 8;
                    pieces.extend(at.take().map(|at| Piece { offset, size, at }));
                    offset += size;
                }
                _ => return None,
            }
        }
        pieces.extend(at.map(|at| Piece { offset, size: u64::MAX, at }));
        Some(pieces)
    }

    fn name(&self, entry: &Entry<'a>) -> Option<String> {
        self.text(entry.attr_value(constants::DW_AT_name)?)
    }

    fn text(&self, value: AttributeValue<Slice<'a>>) -> Option<String> {
        let text = self.dwarf.attr_string(self.unit, value).ok()?;
        Some(String::from_utf8_lossy(text.slice()).into_owned())
    }

    /// The type that an entry refers to.
    fn of(&self, entry: &Entry<'a>) -> Option<TypeId> {
        match entry.attr_value(constants::DW_AT_type)? {
            AttributeValue::UnitRef(offset) => {
                Some(id_of(offset.to_unit_section_offset(&self.unit.header)))
            }
            AttributeValue::DebugInfoRef(offset) => Some(TypeId(offset.0)),
            _ => None,
        }
    }

    fn add(&mut self, id: TypeId, of: Type) {
        self.types.types.insert(id, of);
    }
}

const fn id_of(offset: UnitSectionOffset) -> TypeId {
    TypeId(offset.0)
}

/// A number of any form.
fn number(value: &AttributeValue<Slice<'_>>) -> Option<u128> {
    match value {
        AttributeValue::Block(bytes) if bytes.len() == 16 => {
            Some(u128::from_le_bytes(bytes.slice().try_into().ok()?))
        }
        AttributeValue::Sdata(number) => Some(i128::from(*number) as u128),
        other => other.udata_value().map(u128::from),
    }
}

/// The lowest `size` bytes of a number.
pub(crate) const fn cut(number: u128, size: usize) -> u128 {
    if size >= 16 { number } else { number & ((1 << (8 * size)) - 1) }
}

/// How many elements an array has.
fn count(entry: &Entry<'_>) -> Option<u64> {
    let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
    let last = || number(constants::DW_AT_upper_bound).and_then(|last| last.checked_add(1));
    number(constants::DW_AT_count).or_else(last)
}

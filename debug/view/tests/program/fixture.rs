//! A small program with debug information as rustc writes it, made by hand: the
//! types that matter, three functions, and the memory it leaves behind.

use addr::Virt;
use dump::Memory;
use gimli::write::{
    Address, AttributeValue, CallFrameInstruction, CommonInformationEntry, DwarfUnit, EndianVec,
    Expression, FrameDescriptionEntry, FrameTable, Sections, UnitEntryId,
};
use gimli::{DwAt, DwAte, DwTag, Encoding, Format, LittleEndian, Register, constants};
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

/// Where the variables are.
pub(crate) const EVENTS: u64 = 0x1000;
pub(crate) const NAME: u64 = 0x1040;
pub(crate) const PAIR: u64 = 0x1050;
/// The text that `NAME` refers to.
pub(crate) const TEXT: u64 = 0x1080;

/// The functions: where they are, and their code. `outer` calls `middle`, which
/// calls `stub`, which is in the kernel.
pub(crate) const OUTER: u64 = 0x10;
pub(crate) const MIDDLE: u64 = 0x20;
pub(crate) const STUB: u64 = 0x30;
/// After the SVC of `stub`; after the calls in `middle` and in `outer`.
pub(crate) const IN_STUB: u32 = STUB as u32 + 8;
pub(crate) const IN_MIDDLE: u32 = MIDDLE as u32 + 8;
pub(crate) const IN_OUTER: u32 = OUTER as u32 + 8;

const CODE: [(&str, u64, [u16; 8]); 3] = [
    // push {r7, lr}; sub sp, #8; bl middle; …
    ("outer", OUTER, [0xB580, 0xB082, 0xF000, 0xF802, 0xB002, 0xBD80, 0xBF00, 0xBF00]),
    // push {r4, r5, r6, lr}; bl stub; …
    ("middle", MIDDLE, [0xB570, 0xBF00, 0xF000, 0xF802, 0xBD70, 0xBF00, 0xBF00, 0xBF00]),
    // push.w {r4-r11, lr}; mov r4, r0; svc 0; pop.w {r4-r11, pc}
    ("stub", STUB, [0xE92D, 0x4FF0, 0x4604, 0xDF00, 0xE8BD, 0x8FF0, 0xBF00, 0xBF00]),
];

/// What one describes of its types.
struct Describer {
    dwarf: DwarfUnit,
    module: UnitEntryId,
}

impl Describer {
    fn add(&mut self, parent: UnitEntryId, tag: DwTag, name: &str) -> UnitEntryId {
        let name = self.dwarf.strings.add(name);
        let id = self.dwarf.unit.add(parent, tag);
        self.set(id, constants::DW_AT_name, AttributeValue::StringRef(name));
        id
    }

    fn set(&mut self, id: UnitEntryId, name: DwAt, value: AttributeValue) {
        self.dwarf.unit.get_mut(id).set(name, value);
    }

    fn sized(&mut self, tag: DwTag, name: &str, size: u64) -> UnitEntryId {
        let id = self.add(self.module, tag, name);
        self.set(id, constants::DW_AT_byte_size, AttributeValue::Udata(size));
        id
    }

    fn base(&mut self, name: &str, encoding: DwAte, size: u64) -> UnitEntryId {
        let id = self.sized(constants::DW_TAG_base_type, name, size);
        self.set(id, constants::DW_AT_encoding, AttributeValue::Encoding(encoding));
        id
    }

    fn structure(&mut self, name: &str, size: u64, of: &[(&str, u64, UnitEntryId)]) -> UnitEntryId {
        let id = self.sized(constants::DW_TAG_structure_type, name, size);
        for &(name, offset, of) in of {
            self.member(id, name, offset, of);
        }
        id
    }

    fn member(&mut self, within: UnitEntryId, name: &str, offset: u64, of: UnitEntryId) {
        let id = self.add(within, constants::DW_TAG_member, name);
        self.set(id, constants::DW_AT_type, AttributeValue::UnitRef(of));
        self.set(id, constants::DW_AT_data_member_location, AttributeValue::Udata(offset));
    }

    /// An enum: its tag, and each variant's tag, name and payload.
    fn choice(
        &mut self,
        name: &str,
        size: u64,
        tag: UnitEntryId,
        variants: &[(Option<u64>, &str, UnitEntryId)],
    ) -> UnitEntryId {
        let id = self.sized(constants::DW_TAG_structure_type, name, size);
        let part = self.dwarf.unit.add(id, constants::DW_TAG_variant_part);
        self.member(part, "", 0, tag);
        for &(value, name, payload) in variants {
            let variant = self.dwarf.unit.add(part, constants::DW_TAG_variant);
            if let Some(value) = value {
                let value = AttributeValue::Udata(value);
                self.set(variant, constants::DW_AT_discr_value, value);
            }
            self.member(variant, name, 0, payload);
        }
        id
    }

    fn array(&mut self, of: UnitEntryId, count: u64) -> UnitEntryId {
        let id = self.dwarf.unit.add(self.module, constants::DW_TAG_array_type);
        self.set(id, constants::DW_AT_type, AttributeValue::UnitRef(of));
        let range = self.dwarf.unit.add(id, constants::DW_TAG_subrange_type);
        self.set(range, constants::DW_AT_count, AttributeValue::Udata(count));
        id
    }

    fn variable(&mut self, name: &str, at: u64, of: UnitEntryId) {
        let id = self.add(self.module, constants::DW_TAG_variable, name);
        let mut place = Expression::new();
        place.op_addr(Address::Constant(at));
        self.set(id, constants::DW_AT_location, AttributeValue::Exprloc(place));
        self.set(id, constants::DW_AT_type, AttributeValue::UnitRef(of));
        self.set(id, constants::DW_AT_external, AttributeValue::Flag(true));
    }
}

const ENCODING: Encoding = Encoding { format: Format::Dwarf32, version: 4, address_size: 4 };

fn describe() -> DwarfUnit {
    let mut dwarf = DwarfUnit::new(ENCODING);
    let root = dwarf.unit.root();
    let module = dwarf.unit.add(root, constants::DW_TAG_namespace);
    let mut d = Describer { dwarf, module };
    let u8 = d.base("u8", constants::DW_ATE_unsigned, 1);
    let u16 = d.base("u16", constants::DW_ATE_unsigned, 2);
    let u32 = d.base("u32", constants::DW_ATE_unsigned, 4);
    let i32 = d.base("i32", constants::DW_ATE_signed, 4);
    let bool = d.base("bool", constants::DW_ATE_boolean, 1);
    let pointer = d.add(module, constants::DW_TAG_pointer_type, "*const u8");
    d.set(pointer, constants::DW_AT_type, AttributeValue::UnitRef(u8));
    let text = d.structure("&str", 8, &[("data_ptr", 0, pointer), ("length", 4, u32)]);
    let color = d.sized(constants::DW_TAG_enumeration_type, "Color", 1);
    for (name, value) in [("Red", 0), ("Blue", -1)] {
        let id = d.add(color, constants::DW_TAG_enumerator, name);
        d.set(id, constants::DW_AT_const_value, AttributeValue::Sdata(value));
    }
    let id = d.structure("TaskId", 2, &[("__0", 0, u16)]);
    let none = d.structure("None", 8, &[]);
    let some = d.structure("Some", 8, &[("__0", 4, id)]);
    let option =
        d.choice("Option<TaskId>", 8, u32, &[(Some(0), "None", none), (None, "Some", some)]);
    let quiet = d.structure("Quiet", 8, &[]);
    let moved = d.structure("Moved", 8, &[("__0", 2, id), ("__1", 4, i32)]);
    let seen = d.structure("Seen", 8, &[("color", 2, color), ("new", 3, bool)]);
    let variants = [(Some(0), "Quiet", quiet), (Some(1), "Moved", moved), (Some(2), "Seen", seen)];
    let event = d.choice("Event", 8, u16, &variants);
    let events = d.array(event, 4);
    let twice = d.structure("Twice", 4, &[]);
    d.member(twice, "one", 0, twice);
    d.member(twice, "other", 0, twice);
    d.variable("TWICE", PAIR, twice);
    let pair = d.structure("Pair<u8>", 16, &[("one", 0, option), ("other", 8, option)]);
    d.variable("EVENTS", EVENTS, events);
    d.variable("NAME", NAME, text);
    d.variable("PAIR", PAIR, pair);
    d.dwarf
}

fn frames() -> FrameTable {
    const SP: Register = Register(13);
    const LR: Register = Register(14);
    let mut table = FrameTable::default();
    let mut cie = CommonInformationEntry::new(ENCODING, 1, -4, LR);
    cie.add_instruction(CallFrameInstruction::Cfa(SP, 0));
    let cie = table.add_cie(cie);
    for (at, size, saved) in [(OUTER, 16, &[(7, -8), (14, -4)][..]), (MIDDLE, 16, &[(14, -4)])] {
        let mut fde = FrameDescriptionEntry::new(Address::Constant(at), 16);
        fde.add_instruction(4, CallFrameInstruction::CfaOffset(size));
        for &(register, offset) in saved {
            let rule = CallFrameInstruction::Offset(Register(register), offset);
            fde.add_instruction(4, rule);
        }
        table.add_fde(cie, fde);
    }
    table
}

/// The program's ELF file.
pub(crate) fn elf() -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Arm, Endianness::Little);
    let text = object.section_id(StandardSection::Text);
    let mut code = vec![0; 0x40];
    for (name, at, halves) in CODE {
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        code[at as usize..][..16].copy_from_slice(&bytes);
        object.add_symbol(Symbol {
            name: name.into(),
            value: at | 1,
            size: 16,
            kind: SymbolKind::Text,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    object.append_section_data(text, &code, 4);
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    describe().write(&mut sections).expect("written");
    frames().write_debug_frame(&mut sections.debug_frame).expect("written");
    sections
        .for_each(|id, bytes| {
            if !bytes.slice().is_empty() {
                let name = id.name().as_bytes().to_vec();
                let section = object.add_section(Vec::new(), name, object::SectionKind::Debug);
                object.append_section_data(section, bytes.slice(), 1);
            }
            Ok::<(), gimli::write::Error>(())
        })
        .expect("each is added");
    object.write().expect("an ELF file")
}

/// The first address of the stack and the one past its end.
pub(crate) const STACK: (u32, u32) = (0x2000, 0x2100);

/// What the program left in memory while it was in `stub`.
pub(crate) fn memory() -> Memory {
    let mut data = vec![0; 0x100];
    let mut put = |at: u64, bytes: &[u8]| {
        data[(at - EVENTS) as usize..][..bytes.len()].copy_from_slice(bytes);
    };
    put(EVENTS, &[0, 0, 9, 9, 9, 9, 9, 9]);
    put(EVENTS + 8, &[1, 0, 0x16, 0, 0xFE, 0xFF, 0xFF, 0xFF]);
    put(EVENTS + 16, &[2, 0, 0xFF, 1, 0, 0, 0, 0]);
    put(EVENTS + 24, &[7, 0, 0, 0, 0, 0, 0, 0]);
    put(NAME, &[0x80, 0x10, 0, 0, 5, 0, 0, 0]);
    put(PAIR + 8, &[1, 0, 0, 0, 3, 0, 0, 0]);
    put(TEXT, b"sotto");
    let mut memory = Memory::default();
    memory.insert(Virt(EVENTS), data).expect("free");
    let mut stack: Vec<u8> = vec![0; (STACK.1 - STACK.0) as usize];
    let words: Vec<u32> = stack_words();
    let start = stack.len() - 4 * words.len();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    stack[start..].copy_from_slice(&bytes);
    memory.insert(Virt(STACK.0.into()), stack).expect("free");
    memory
}

/// The frames, innermost first: nine registers of `stub`, four of `middle`, and
/// two locals and two registers of `outer`.
fn stack_words() -> Vec<u32> {
    let mut words: Vec<u32> = (4..12).collect();
    words.push(IN_MIDDLE | 1);
    words.extend([40, 50, 60, IN_OUTER | 1]);
    words.extend([0, 0, 70, 0xFFFF_FFFF]);
    words
}

/// The registers in `stub`.
pub(crate) fn registers() -> [u32; 16] {
    let mut r = [0; 16];
    r[13] = STACK.1 - 4 * stack_words().len() as u32;
    r[14] = IN_MIDDLE | 1;
    r[15] = IN_STUB;
    r
}

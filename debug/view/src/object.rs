//! One linked program: its symbols, types, variables and unwinding tables.

use crate::Error;
use crate::dwarf::{self, Slice};
use crate::places::Lines;
use crate::types::Types;
use abi::RegionAttributes;
use addr::Virt;
use gimli::{DebugFrame, DwarfSections, LittleEndian};
use object::read::elf::{ElfFile32, ElfSymbol32};
use object::{Object as _, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

type Elf<'a> = ElfFile32<'a, object::LittleEndian>;

/// A function or a variable by its name for the linker.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Its name, in the words of its source.
    pub name: String,
    /// First byte; never odd.
    pub at: Virt,
    /// Bytes.
    pub size: u64,
}

impl Symbol {
    /// Whether `at` is in it.
    #[must_use]
    pub fn holds(&self, at: Virt) -> bool {
        at.offset_from(self.at).is_some_and(|offset| offset < self.size)
    }
}

/// A piece of memory that a program is loaded into.
#[derive(Copy, Clone, Debug)]
pub struct Segment {
    /// Its first byte.
    pub at: Virt,
    /// Bytes.
    pub size: u64,
    /// What may be done there.
    pub attributes: RegionAttributes,
}

/// A linked program.
pub struct Object<'a> {
    name: &'a str,
    bytes: &'a [u8],
    text: Range<u64>,
    code: &'a [u8],
    segments: Vec<Segment>,
    stack: Option<Segment>,
    functions: BTreeMap<u64, Symbol>,
    types: Types,
    dwarf: DwarfSections<Slice<'a>>,
    lines: OnceCell<Option<Lines<'a>>>,
    frames: DebugFrame<Slice<'a>>,
}

impl std::fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Object<'a> {
    /// Reads the ELF file of the program `name`.
    ///
    /// # Errors
    /// When it is none or its debug information is damaged.
    pub fn read(name: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        let damaged = |why: String| Error::Program(name.into(), why);
        let file = Elf::parse(bytes)
            .map_err(|error| damaged(format!("no ELF file of a 32-bit processor: {error}")))?;
        let section = |name: &str| -> &'a [u8] {
            let section = file.section_by_name(name);
            section.and_then(|section| section.data().ok()).unwrap_or_default()
        };
        let slice = |name| Slice::new(section(name), LittleEndian);
        let dwarf = DwarfSections::load(|id| Ok::<_, gimli::Error>(slice(id.name())))
            .and_then(|sections| Ok((dwarf::read(&sections.borrow(|slice| *slice))?, sections)));
        let (types, dwarf) =
            dwarf.map_err(|error| damaged(format!("its debug information: {error}")))?;
        let mut frames = DebugFrame::new(section(".debug_frame"), LittleEndian);
        frames.set_address_size(4);
        let (text, code) = match file.section_by_name(".text") {
            Some(text) => (
                text.address()..text.address().saturating_add(text.size()),
                text.data().unwrap_or_default(),
            ),
            None => (0..0, &[][..]),
        };
        let segments = file.segments().map(|found| segment(&found)).collect();
        let stack = stack(&file);
        let functions = functions(&file);
        Ok(Self {
            name,
            bytes,
            text,
            code,
            segments,
            stack,
            functions,
            types,
            dwarf,
            lines: OnceCell::new(),
            frames,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its ELF file.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its types and variables.
    #[must_use]
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// Addresses of its code.
    #[must_use]
    pub fn text(&self) -> Range<Virt> {
        Virt(self.text.start)..Virt(self.text.end)
    }

    /// Whether its code is at `at`.
    #[must_use]
    pub fn has_code(&self, at: Virt) -> bool {
        self.text.contains(&at.0)
    }

    /// Its code from `at` on, up to the end.
    #[must_use]
    pub fn code_from(&self, at: Virt) -> Option<&'a [u8]> {
        self.code.get(usize::try_from(at.0.checked_sub(self.text.start)?).ok()?..)
    }

    /// Its stack, when that is no part of what is loaded: the kernel's.
    #[must_use]
    pub fn stack(&self) -> Option<Segment> {
        self.stack
    }

    /// What is loaded of it.
    pub fn segments(&self) -> impl Iterator<Item = Segment> {
        self.segments.iter().copied()
    }

    /// The function at `at`.
    #[must_use]
    pub fn function(&self, at: Virt) -> Option<&Symbol> {
        let (_, symbol) = self.functions.range(..=at.0).next_back()?;
        symbol.holds(at).then_some(symbol)
    }

    /// Its unwinding table.
    pub(crate) fn frames(&self) -> &DebugFrame<Slice<'a>> {
        &self.frames
    }

    /// What its debug information says of its code, if that can be read.
    pub(crate) fn lines(&self) -> Option<&Lines<'a>> {
        let read = || Lines::from_dwarf(self.dwarf.borrow(|slice| *slice)).ok();
        self.lines.get_or_init(read).as_ref()
    }
}

fn segment<'a>(of: &impl ObjectSegment<'a>) -> Segment {
    let permissions = of.permissions();
    let rights = [
        (permissions.readable(), RegionAttributes::READ),
        (permissions.writable(), RegionAttributes::WRITE),
        (permissions.executable(), RegionAttributes::EXECUTE),
    ];
    let attributes = rights.into_iter().filter(|(given, _)| *given);
    let attributes = attributes.fold(RegionAttributes::EMPTY, |all, (_, right)| all.with(right));
    Segment { at: Virt(of.address()), size: of.size(), attributes }
}

/// The stack between `_stack_base` and `_stack_start`, of a program that has one
/// of its own: the kernel.
fn stack(file: &Elf<'_>) -> Option<Segment> {
    let symbol = |name| {
        let mut symbols = file.symbols();
        symbols.find(|symbol| symbol.name() == Ok(name)).map(|symbol| symbol.address())
    };
    let (base, top) = (symbol("_stack_base")?, symbol("_stack_start")?);
    let attributes = RegionAttributes::READ.with(RegionAttributes::WRITE);
    Some(Segment { at: Virt(base), size: top.checked_sub(base)?, attributes })
}

/// The functions by address. Of several names for one, any will do.
fn functions(file: &Elf<'_>) -> BTreeMap<u64, Symbol> {
    let functions = file.symbols().filter(|symbol| {
        symbol.kind() == SymbolKind::Text && symbol.size() > 0 && symbol.is_definition()
    });
    let symbol = |symbol: ElfSymbol32<'_, '_, object::LittleEndian>| {
        // Bit 0 says that it is Thumb code (ARM ELF, 5.5.3).
        let at = symbol.address() & !1;
        let name = demangled(symbol.name().unwrap_or("?")).into_owned();
        (at, Symbol { name, at: Virt(at), size: symbol.size() })
    };
    functions.map(symbol).collect()
}

/// A linker's name in the words of its source, without hashes.
pub(crate) fn demangled(name: &str) -> Cow<'_, str> {
    match rustc_demangle::try_demangle(name) {
        Ok(demangled) => format!("{demangled:#}").into(),
        Err(_) => name.into(),
    }
}

//! The programs as files: pieces, symbols, entries of debug information, frames
//! (sections 0 and 2, and 6.4 of how code is made).

use crate::image::{Elf, Image, Program, Slice};
use crate::raw::Rule;
use crate::table::Findings;
use gimli::{
    Arm, BaseAddresses, CfaRule, CieOrFde, DebugFrame, LittleEndian, RegisterRule, UnwindContext,
    UnwindSection,
};
use object::elf::{EM_ARM, PT_LOAD, SHN_ABS, SHT_PROGBITS, STT_FUNC};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Object as _, ObjectSection, ObjectSymbol, SectionKind};
use std::collections::BTreeMap;
use std::ops::Range;

const LE: object::LittleEndian = object::LittleEndian;

/// Notes each pair of runs of addresses that overlap.
fn apart(mut runs: Vec<(Range<u64>, String)>, found: &mut Findings) {
    runs.retain(|(run, _)| !run.is_empty());
    runs.sort_by_key(|(run, _)| run.start);
    for pair in runs.windows(2) {
        found.expect(pair[0].0.end <= pair[1].0.start, || {
            format!("{} and {} overlap at {:#x}", pair[0].1, pair[1].1, pair[1].0.start)
        });
    }
}

/// What is loaded of a program: addresses, and bytes with contents.
fn loaded(elf: &Elf<'_>) -> Vec<Range<u64>> {
    let headers = elf.elf_program_headers().iter();
    let headers = headers.filter(|header| header.p_type(LE) == PT_LOAD);
    headers
        .map(|header| {
            let start = u64::from(header.p_vaddr(LE));
            start..start + u64::from(header.p_memsz(LE))
        })
        .collect()
}

pub(crate) fn own_addresses(image: &Image<'_>, found: &mut Findings) {
    let runs = image.programs.iter().flat_map(|program| {
        loaded(&program.elf).into_iter().map(|run| (run, program.name.to_owned()))
    });
    apart(runs.collect(), found);
}

pub(crate) fn own_text(image: &Image<'_>, found: &mut Findings) {
    let text = |program: &Program<'_>| {
        let Range { start, end } = program.object.text();
        (start.0..end.0, program.name.to_owned())
    };
    apart(image.programs.iter().map(text).collect(), found);
}

pub(crate) fn machine(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        let header = program.elf.elf_header();
        let right = header.e_machine(LE) == EM_ARM && header.is_little_endian();
        found.expect(right, || program.name.into());
    }
}

pub(crate) fn sections(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        for name in [".text", ".symtab", ".debug_frame"] {
            let there = program.elf.section_by_name(name).is_some_and(|s| s.size() > 0);
            found.expect(there, || format!("{} has no {name}", program.name));
        }
    }
}

fn rule(image: &Image<'_>, found: &mut Findings, rule: Rule) {
    for program in &image.programs {
        for (_, what) in program.raw.broken.iter().filter(|(broken, _)| *broken == rule) {
            found.expect(false, || format!("{}: {what}", program.name));
        }
    }
}

pub(crate) fn version(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        found.expect(program.raw.units > 0, || format!("{} has none", program.name));
    }
    rule(image, found, Rule::Version);
}

pub(crate) fn names(image: &Image<'_>, found: &mut Findings) {
    rule(image, found, Rule::Names);
}

pub(crate) fn members(image: &Image<'_>, found: &mut Findings) {
    rule(image, found, Rule::Member);
}

pub(crate) fn enumerations(image: &Image<'_>, found: &mut Findings) {
    rule(image, found, Rule::Enumeration);
}

pub(crate) fn arrays(image: &Image<'_>, found: &mut Findings) {
    rule(image, found, Rule::Array);
}

pub(crate) fn pointers(image: &Image<'_>, found: &mut Findings) {
    rule(image, found, Rule::Pointer);
}

pub(crate) fn inlined(image: &Image<'_>, found: &mut Findings) {
    rule(image, found, Rule::Inlined);
}

pub(crate) fn image_sections(image: &Image<'_>, found: &mut Findings) {
    let file = Elf::parse(image.archive.image()).map_err(|error| error.to_string());
    let Some(file) = found.take(file) else { return };
    let contents =
        file.sections().filter(|section| section.elf_section_header().sh_type(LE) == SHT_PROGBITS);
    let run = |section: object::read::elf::ElfSection32<'_, '_, _>| {
        (section.address()..section.address() + section.size(), "a section".to_owned())
    };
    let runs: Vec<_> = contents.map(run).collect();
    found.expect(!runs.is_empty(), || "no section has contents".into());
    apart(runs, found);
}

pub(crate) fn text(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        let executable = |section: &object::read::elf::ElfSection32<'_, '_, _>| {
            section.kind() == SectionKind::Text
        };
        for section in program.elf.sections().filter(executable) {
            let name = section.name().unwrap_or("?").to_owned();
            found.expect(name == ".text", || format!("{}: code in {name}", program.name));
        }
    }
}

pub(crate) fn loads(image: &Image<'_>, found: &mut Findings) {
    let mut starts = BTreeMap::new();
    for program in &image.programs {
        for run in loaded(&program.elf).into_iter().filter(|run| !run.is_empty()) {
            let before = starts.insert(run.start, program.name);
            found.expect(before.is_none(), || format!("{} at {:#x}", program.name, run.start));
        }
    }
}

fn symbol<'p>(
    program: &'p Program<'_>,
    name: &str,
) -> Option<object::read::elf::ElfSymbol32<'p, 'p, object::LittleEndian>> {
    program.elf.symbols().find(|symbol| symbol.name() == Ok(name))
}

pub(crate) fn heap(image: &Image<'_>, found: &mut Findings) {
    let kernel = image.kernel();
    let [start, end] = ["__sbss", "__eheap"].map(|name| symbol(kernel, name).map(|s| s.address()));
    let (Some(start), Some(end)) = (start, end) else {
        return found.expect(false, || "they are not both there".into());
    };
    found.expect(start <= end, || format!("{start:#x} to {end:#x}"));
    // A piece that begins elsewhere and reaches in would be shown beside it.
    for run in loaded(&kernel.elf).into_iter().filter(|run| run.start != start) {
        let overlaps = run.start < end && start < run.end;
        found.expect(!overlaps, || format!("a piece at {:#x}", run.start));
    }
}

pub(crate) fn kernel_stack(image: &Image<'_>, found: &mut Findings) {
    for name in ["_stack_base", "_stack_start"] {
        let absolute = symbol(image.kernel(), name)
            .is_some_and(|symbol| symbol.elf_symbol().st_shndx(LE) == SHN_ABS);
        found.expect(absolute, || name.into());
    }
}

/// A function with a size.
struct Function<'p> {
    name: &'p str,
    run: Range<u64>,
    /// Whether its code is Thumb's.
    thumb: bool,
}

fn functions_of<'p>(program: &'p Program<'_>) -> Vec<Function<'p>> {
    let symbols = program.elf.symbols().filter(|symbol| {
        let raw = symbol.elf_symbol();
        raw.st_type() == STT_FUNC && raw.st_size(LE) != 0 && symbol.section_index().is_some()
    });
    let function = |symbol: object::read::elf::ElfSymbol32<'p, 'p, _>| {
        let at = symbol.address() & !1;
        Function {
            name: symbol.name().unwrap_or("?"),
            run: at..at + symbol.size(),
            thumb: symbol.address() & 1 == 1,
        }
    };
    symbols.map(function).collect()
}

pub(crate) fn functions(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        let text = program.object.text();
        for Function { name, run, thumb } in functions_of(program) {
            let inside = text.start.0 <= run.start && run.end <= text.end.0;
            found.expect(inside, || format!("{}: {name} is outside .text", program.name));
            // Thumb instructions are halfwords; the debugger's disassembler
            // takes A32 code for the same, or skips it halfword by halfword.
            let unit = if thumb { 2 } else { 4 };
            let whole = (run.end - run.start) % unit == 0;
            found.expect(whole, || format!("{}: {name} ends within a halfword", program.name));
        }
    }
}

/// Of the kernel's those that are looked for have rows of their own; what else
/// it has may be taken apart by the compiler.
pub(crate) fn statics(image: &Image<'_>, found: &mut Findings) {
    for program in image.tasks() {
        let sized: Vec<(String, u64)> = program
            .elf
            .symbols()
            .filter(|symbol| symbol.size() > 0)
            .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())))
            .collect();
        let types = program.types();
        for of in &program.raw.statics {
            // What has no bytes has nothing to show.
            let variable = types.variables().iter().find(|variable| variable.at.0 == of.at);
            if variable.is_some_and(|variable| types.size(variable.of) == Some(0)) {
                continue;
            }
            let name = of.linkage.as_ref().unwrap_or(&of.name);
            let there = sized.iter().any(|(known, at)| known == name && *at == of.at);
            found.expect(there, || format!("{}: {name} at {:#x}", program.name, of.at));
        }
    }
}

fn frame_section<'a>(program: &Program<'a>) -> DebugFrame<Slice<'a>> {
    let mut frames = DebugFrame::new(program.section(".debug_frame"), LittleEndian);
    frames.set_address_size(4);
    frames
}

/// Registers of a Cortex-M that the debugger has: r0 to r12, sp, lr, pc.
const MODELLED: u16 = 16;

pub(crate) fn frames(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        let checked = rows(program, |at, row| {
            let cfa = matches!(row.cfa(), CfaRule::RegisterAndOffset { register, .. }
                if register.0 < MODELLED);
            found.expect(cfa, || format!("{}: the frame at {at:#x}", program.name));
            for (register, rule) in row.registers() {
                let known = matches!(rule, RegisterRule::Offset(_)) || is_passing(register, row);
                found.expect(known, || format!("{}: r{} at {at:#x}", program.name, register.0));
            }
        });
        found.take(checked.map_err(|error| format!("{}: {error}", program.name)));
    }
}

/// Whether a function without a frame keeps its return address in a register for
/// the length of a piece that was outlined of it. It calls nothing else and never
/// waits: only a task that is cut off in those few instructions has a stack that
/// Humility cannot walk.
fn is_passing(register: &gimli::Register, row: &FrameRow) -> bool {
    let frameless = CfaRule::RegisterAndOffset { register: Arm::R13, offset: 0 };
    let alone = row.registers().count() == 1;
    *register == Arm::R14 && alone && *row.cfa() == frameless
}

type FrameRow = gimli::UnwindTableRow<usize>;

/// Runs `look` on each row of a program's unwinding table; the runs of code that
/// have one.
fn rows(
    program: &Program<'_>,
    mut look: impl FnMut(u64, &FrameRow),
) -> Result<Vec<Range<u64>>, gimli::Error> {
    let section = frame_section(program);
    let bases = BaseAddresses::default();
    let mut covered = Vec::new();
    let mut entries = section.entries(&bases);
    let mut context = UnwindContext::new();
    while let Some(entry) = entries.next()? {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(DebugFrame::cie_from_offset)?;
        // What was left out at linking has address 0.
        if fde.initial_address() == 0 {
            continue;
        }
        covered.push(fde.initial_address()..fde.end_address());
        let mut table = fde.rows(&section, &bases, &mut context)?;
        while let Some(row) = table.next_row()? {
            look(row.start_address(), row);
        }
    }
    Ok(covered)
}

pub(crate) fn interfaces(image: &Image<'_>, found: &mut Findings) {
    let mut some = false;
    for program in &image.programs {
        let text = program.section(".idolatry");
        if text.is_empty() {
            continue;
        }
        some = true;
        let read = std::str::from_utf8(text).map_err(|error| error.to_string());
        let read = read.and_then(|text| {
            let read = idol::check_text(program.name.as_ref(), text);
            read.map(drop).map_err(|wrong| {
                let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
                told.join(", ")
            })
        });
        found.take(read.map_err(|error| format!("{}: {error}", program.name)));
    }
    found.expect(some, || "no task has one".into());
}

pub(crate) fn stubs(image: &Image<'_>, found: &mut Findings) {
    for program in image.tasks() {
        let Some(covered) = found.take(rows(program, |_, _| {}).map_err(|e| e.to_string())) else {
            continue;
        };
        let mut any = false;
        for Function { name, run, .. } in functions_of(program) {
            let code = program.object.code_from(addr::Virt(run.start)).unwrap_or_default();
            let code = code.get(..(run.end - run.start) as usize).unwrap_or_default();
            let scan = crate::walk::Scan::of(code);
            if scan.calls.is_empty() {
                continue;
            }
            any = true;
            let framed = covered.iter().any(|known| known.contains(&run.start));
            let who = || format!("{}: {name}", program.name);
            found.expect(!framed, || format!("{} has an svc and a frame", who()));
            found.expect(!scan.moves_stack, || format!("{} moves sp but by push", who()));
            found.expect(!scan.loses_link, || format!("{} loses lr before the svc", who()));
        }
        found.expect(any, || format!("{} has no system call", program.name));
    }
}

pub(crate) fn start(image: &Image<'_>, found: &mut Findings) {
    for program in image.tasks() {
        let entry = u64::from(program.elf.elf_header().e_entry(LE)) & !1;
        let first = program.object.function(addr::Virt(entry));
        let Some(first) = first.filter(|first| first.at.0 == entry) else {
            found.expect(false, || format!("{}: nothing is at {entry:#x}", program.name));
            continue;
        };
        let code = program.object.code_from(first.at).unwrap_or_default();
        let code = code.get(..first.size as usize).unwrap_or_default();
        let scan = crate::walk::Scan::of(code);
        let clean = !scan.pushes && !scan.moves_stack;
        found.expect(clean, || format!("{}: {} touches the stack", program.name, first.name));
    }
}

pub(crate) fn covered(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        let Some(covered) = found.take(rows(program, |_, _| {}).map_err(|e| e.to_string())) else {
            continue;
        };
        let entry = u64::from(program.elf.elf_header().e_entry(LE)) & !1;
        for Function { name, run, thumb } in functions_of(program) {
            let code = program.object.code_from(addr::Virt(run.start)).unwrap_or_default();
            let code = code.get(..(run.end - run.start) as usize).unwrap_or_default();
            // Stubs have none (above); where a program begins nobody called; the
            // kernel's entry is in A32 code, which the debugger cannot walk; and
            // the division is the compiler's.
            let exempt = run.start == entry
                || program.task.is_none() && name == "__aeabi_uldivmod"
                || program.task.is_none() && !thumb
                || program.task.is_some() && !crate::walk::Scan::of(code).calls.is_empty();
            let framed = covered.iter().any(|known| known.contains(&run.start));
            found.expect(exempt || framed, || format!("{}: {name}", program.name));
        }
    }
}

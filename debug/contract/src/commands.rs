//! What single commands need (section 7, and 9 where it repeats them).

use crate::image::{Image, Program};
use crate::shapes::{is_unsigned, undecodable, variants};
use crate::table::{Findings, Taken};
use addr::Virt;
use dump::Register;
use idol::{ErrorType, Reply};
use object::{Object as _, ObjectSymbol};
use std::collections::BTreeSet;
use view::types::{Struct, Type, TypeId, Types, Variable};
use view::{Programs, System, Value, descriptor, margin};

/// Every variable of the tasks that `wanted` wants, with its program.
fn variables<'i, 'a>(
    image: &'i Image<'a>,
    wanted: impl Fn(&Types, &Variable) -> bool,
) -> impl Iterator<Item = (&'i Program<'a>, &'i Variable)> {
    let all = image.tasks().iter().flat_map(|program| {
        program.types().variables().iter().map(move |variable| (program, variable))
    });
    all.filter(move |(program, variable)| wanted(program.types(), variable))
}

pub(crate) fn hiffy(image: &Image<'_>, found: &mut Findings) {
    const WORDS: [&str; 4] = ["HIFFY_READY", "HIFFY_KICK", "HIFFY_REQUESTS", "HIFFY_ERRORS"];
    const OTHERS: [&str; 8] = [
        "HIFFY_TEXT",
        "HIFFY_DATA",
        "HIFFY_RSTACK",
        "HIFFY_FAILURE",
        "HIFFY_SCRATCH",
        "HIFFY_VERSION_MAJOR",
        "HIFFY_VERSION_MINOR",
        "HIFFY_VERSION_PATCH",
    ];
    let Some(task) = image.tasks().iter().find(|task| task.name == "hiffy") else { return };
    let size = |name| task.types().variable(name).and_then(|of| task.types().size(of.of));
    for name in WORDS {
        found.expect(size(name) == Some(4), || format!("{name} is no word"));
    }
    for name in OTHERS {
        found.expect(size(name).is_some_and(|size| size > 0), || format!("no {name}"));
    }
}

/// The struct in member `name`, if it goes by `of`.
fn inner<'t>(
    types: &'t Types,
    of: &Struct,
    name: &str,
    called: &str,
) -> Result<&'t Struct, String> {
    let member = of.member(name).ok_or_else(|| format!("{} has no {name}", of.name))?;
    let found = types.structure(member.of);
    let found = found.filter(|found| found.name.split('<').next() == Some(called));
    found.ok_or_else(|| format!("{}.{name} is no {called}", of.name))
}

/// What a cell of the name `StaticCell` holds.
fn in_cell(types: &Types, cell: &Struct) -> Result<TypeId, String> {
    let cell = inner(types, cell, "cell", "UnsafeCell")?;
    cell.member("value").map(|value| value.of).ok_or_else(|| "UnsafeCell has no value".into())
}

/// The ring in a variable of any of the shapes.
fn ring(types: &Types, of: TypeId) -> Result<TypeId, String> {
    let outer = types.structure(of).ok_or("no struct")?;
    if outer.name.starts_with("CountedRingbuf") {
        outer.member("counters").ok_or("no counters")?;
        return in_cell(types, inner(types, outer, "ringbuf", "StaticCell")?);
    }
    if outer.name.starts_with("StaticCell") { in_cell(types, outer) } else { Ok(of) }
}

fn is_ring(types: &Types, of: TypeId) -> Result<(), String> {
    let ring = types.structure(of).ok_or("no struct in the cell")?;
    let member = |of: &Struct, name: &str| {
        of.member(name).map(|member| member.of).ok_or_else(|| format!("{} has no {name}", of.name))
    };
    let last = member(ring, "last")?;
    let some = crate::shapes::payload(types, last, "Some").ok_or("last is no Option")?;
    if !some.members.first().is_some_and(|inside| is_unsigned(types, inside.of, 4)) {
        return Err("last is no Option of u32".into());
    }
    let Some(Type::Array(buffer)) = types.get(member(ring, "buffer")?) else {
        return Err("buffer is no array".into());
    };
    let entry = types.structure(buffer.of).ok_or("buffer has no structs")?;
    for name in ["line", "generation"] {
        if !is_unsigned(types, member(entry, name)?, 2) {
            return Err(format!("{name} is no u16"));
        }
    }
    let count = member(entry, "count")?;
    if ![0, 1, 2, 4, 8].iter().any(|bytes| is_unsigned(types, count, *bytes)) {
        return Err("count is no number".into());
    }
    undecodable(types, member(entry, "payload")?).map_or(Ok(()), Err)
}

pub(crate) fn ringbufs(image: &Image<'_>, found: &mut Findings) {
    let is_one = |types: &Types, variable: &Variable| {
        let of = types.structure(variable.of);
        of.is_some_and(|of| of.name.contains("Ringbuf"))
            || variable.short_name().ends_with("RINGBUF")
    };
    let mut any = false;
    for (program, variable) in variables(image, is_one) {
        any = true;
        let types = program.types();
        let right = ring(types, variable.of).and_then(|ring| is_ring(types, ring));
        found.take(right.map_err(|why| format!("{}: {why}", variable.name)));
    }
    found.expect(any, || "there is none".into());
}

/// Whether each leaf of `of` is a counter; which is not.
fn are_counters(types: &Types, of: TypeId, name: &str) -> Result<(), String> {
    match types.get(of) {
        Some(Type::Base(base)) if base.size == 0 => Ok(()),
        Some(Type::Struct(of)) if of.name.starts_with("AtomicU32") => {
            let cell = inner(types, of, "v", "UnsafeCell")?;
            let word = cell.member("value").is_some_and(|value| is_unsigned(types, value.of, 4));
            if word { Ok(()) } else { Err(format!("{name} is no word in a cell")) }
        }
        Some(Type::Struct(of)) => {
            of.members.iter().try_for_each(|member| are_counters(types, member.of, &member.name))
        }
        _ => Err(format!("{name} is a {}", types.name(of))),
    }
}

pub(crate) fn counters(image: &Image<'_>, found: &mut Findings) {
    let is_one = |types: &Types, variable: &Variable| {
        let of = types.structure(variable.of);
        of.is_some_and(|of| of.name.contains("Counts") || of.name.contains("CountedRingbuf"))
            || of.is_none() && variable.short_name().ends_with("COUNTERS")
    };
    let mut any = false;
    for (program, variable) in variables(image, is_one) {
        any = true;
        let types = program.types();
        let counted = types.structure(variable.of).filter(|of| of.name.contains("CountedRingbuf"));
        let of = counted.and_then(|of| of.member("counters")).map_or(variable.of, |of| of.of);
        let right = are_counters(types, of, "it");
        found.take(right.map_err(|why| format!("{}: {why}", variable.name)));
    }
    found.expect(any, || "there is none".into());
}

pub(crate) fn ipc(image: &Image<'_>, found: &mut Findings) {
    let is_one =
        |_: &Types, variable: &Variable| variable.short_name().ends_with("_CLIENT_COUNTERS");
    for (program, variable) in variables(image, is_one) {
        let types = program.types();
        let name = types.name(variable.of);
        let named = name.ends_with("Counts") || name.ends_with("Event");
        found.expect(named, || format!("{} is a {name}", variable.name));
        let right = are_counters(types, variable.of, "it");
        found.take(right.map_err(|why| format!("{}: {why}", variable.name)));
    }
}

pub(crate) fn statics(image: &Image<'_>, found: &mut Findings) {
    for program in &image.programs {
        let types = program.types();
        for variable in types.variables() {
            let sized = types.size(variable.of).is_some();
            found.expect(sized, || format!("{}: {}", program.name, variable.name));
        }
    }
}

pub(crate) fn replies(image: &Image<'_>, found: &mut Findings) {
    for program in image.tasks() {
        let Ok(text) = std::str::from_utf8(program.section(".idolatry")) else { continue };
        if text.is_empty() {
            continue;
        }
        let Ok(interface) = idol::check_text(program.name.as_ref(), text) else { continue };
        // An enum's payloads are of its own name space.
        let payloads: BTreeSet<_> =
            program.types().all().flat_map(|(_, of)| payloads(of)).collect();
        for op in &interface.ops {
            let of = format!("{}.{}", interface.name.text, op.name.text);
            let reply = format!("{}_{}_REPLY", interface.name.text, op.name.text);
            let value = op.reply.value().text.as_str();
            let there = has_type(program, value)
                || image.programs.iter().any(|other| has_type(other, &reply));
            found.expect(there, || format!("{of}: neither {value} nor {reply}"));
            let named = types_called(program, value).filter(|(id, _)| !payloads.contains(id));
            let shapes: BTreeSet<_> = named.filter_map(|(_, of)| shape(of)).collect();
            found.expect(shapes.len() < 2, || format!("{of}: {value} can be several"));
            if let Reply::Result {
                err: ErrorType::CLike(error) | ErrorType::Complex(error), ..
            } = &op.reply
            {
                let of_enum = program.types().all().any(|(id, _)| {
                    program.types().name(id) == error.text
                        && variants(program.types(), id).is_some()
                });
                found.expect(of_enum, || format!("{of}: no enum {}", error.text));
            }
        }
    }
}

/// A program's base types, enums and structs of that name.
fn types_called<'p>(
    program: &'p Program<'_>,
    name: &'p str,
) -> impl Iterator<Item = (TypeId, &'p Type)> {
    let types = program.types();
    types.all().filter(move |(id, _)| types.name(*id) == name)
}

/// The structs that an enum's variants are.
fn payloads(of: &Type) -> Vec<TypeId> {
    match of {
        Type::Enum(of) => of.variants.iter().map(|variant| variant.payload.of).collect(),
        _ => Vec::new(),
    }
}

/// What tells a struct or an enum from others of its name. A debugger knows that one
/// is there several times, once for each unit that it was compiled in.
fn shape(of: &Type) -> Option<(usize, Vec<&str>)> {
    match of {
        Type::Struct(of) => Some((of.size, of.members.iter().map(|m| &*m.name).collect())),
        Type::Enum(of) => Some((of.size, of.variants.iter().map(|v| &*v.payload.name).collect())),
        Type::CEnum(of) => Some((of.size, of.variants.iter().map(|v| &*v.0).collect())),
        _ => None,
    }
}

/// Whether there is one.
fn has_type(program: &Program<'_>, name: &str) -> bool {
    types_called(program, name).next().is_some()
}

/// Whether some of a value is none of its type.
fn invalid(value: &Value) -> Option<String> {
    if let Value::Invalid(why) = value {
        return Some(why.clone());
    }
    value.children().into_iter().find_map(|(_, child)| invalid(child))
}

pub(crate) fn tasks(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let system = System::of(taken.dump);
    for (index, task) in image.tasks().iter().enumerate() {
        if taken.dump.task.is_some_and(|one| one.task.index() != index) {
            continue;
        }
        let record = system.record(index).map_err(|error| error.to_string());
        let Some(record) = found.take(record) else { continue };
        let why = invalid(&record.value);
        found.expect(why.is_none(), || format!("{}: {}", task.name, why.unwrap_or_default()));
    }
}

pub(crate) fn stackmargin(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    if taken.dump.task.is_some() {
        return;
    }
    let system = System::of(taken.dump);
    for (index, task) in image.tasks().iter().enumerate() {
        let margin = margin(system.programs(), &taken.dump.memory, index);
        let margin = margin.map_err(|error| format!("{}: {error}", task.name));
        if let Some(margin) = found.take(margin) {
            let painted = 0 < margin.untouched && margin.untouched < margin.size;
            found.expect(painted, || {
                format!("{}: {} of {} untouched", task.name, margin.untouched, margin.size)
            });
        }
    }
}

pub(crate) fn stack_regions(image: &Image<'_>, found: &mut Findings) {
    let programs = Programs::of(image.archive);
    let all = view::regions(&programs, &image.loaded).map_err(|error| error.to_string());
    let Some(all) = found.take(all) else { return };
    for (index, task) in image.tasks().iter().enumerate() {
        let of = descriptor(&programs, &image.loaded, index).map_err(|error| error.to_string());
        let Some(of) = found.take(of) else { continue };
        let top = of.field("initial_stack").and_then(Value::number).unwrap_or(0);
        let first =
            all.iter().find(|region| region.base.0 < top && top <= region.base.0 + region.size);
        let own = first.is_some_and(|region| region.tasks == [index]);
        found.expect(own, || format!("that of {} below {top:#x}", task.name));
    }
}

pub(crate) fn registers(_: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let Some(known) = &taken.dump.registers else { return };
    let system = System::of(taken.dump);
    let regions = view::regions(system.programs(), &taken.dump.memory);
    let Some(regions) = found.take(regions.map_err(|error| error.to_string())) else { return };
    for register in [Register::SP, Register::PC] {
        let value = Virt(known.get(register).unwrap_or(0).into());
        // The stack is full when nothing is on it: its first word is below.
        let inside =
            regions.iter().any(|of| of.holds(value) || of.holds(Virt(value.0.saturating_sub(1))));
        found.expect(inside, || format!("{:#x} is in no region", value.0));
    }
}

pub(crate) fn entries(image: &Image<'_>, found: &mut Findings) {
    let programs = Programs::of(image.archive);
    for (index, task) in image.tasks().iter().enumerate() {
        let of = descriptor(&programs, &image.loaded, index).map_err(|error| error.to_string());
        let Some(of) = found.take(of) else { continue };
        let entry = of.field("entry_point").and_then(Value::number).unwrap_or(0) & !1;
        let inside = task.object.text().contains(&Virt(entry));
        found.expect(inside, || format!("{}: {entry:#x}", task.name));
        let named = task.elf.symbols().any(|symbol| symbol.address() & !1 == entry);
        found.expect(named, || format!("{}: nothing begins at {entry:#x}", task.name));
    }
}

pub(crate) fn one_task(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let Some(one) = taken.dump.task else { return };
    // The number is an index, without a generation.
    let there = usize::from(one.task.0) < image.tasks().len();
    found.expect(there, || format!("task {}", one.task.0));
}

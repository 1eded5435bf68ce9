//! What the kernel has by name: statics, symbols and types (sections 3 and 4).

use crate::image::{Image, Program};
use crate::shapes::{is_tuple_of, is_unsigned, member, payload, structure, undecodable, variants};
use crate::table::Findings;
use addr::Virt;
use object::{Object as _, ObjectSection, ObjectSymbol};
use std::collections::BTreeSet;
use view::types::{Type, TypeId, Types};
use view::{Value, descriptor};

/// Structs of which there is one shape in the whole archive.
const ONE_SHAPE: [&str; 4] = ["Task", "SavedState", "TaskDesc", "RegionDesc"];

pub(crate) fn one_shape(image: &Image<'_>, found: &mut Findings) {
    for name in ONE_SHAPE {
        let all = image.programs.iter().flat_map(|program| &program.raw.shapes);
        let shapes: BTreeSet<_> = all.filter(|shape| shape.name == name).collect();
        found.expect(shapes.len() == 1, || format!("{name} has {}", shapes.len()));
    }
}

/// Address and size of a static of the kernel's.
fn variable(image: &Image<'_>, name: &str) -> Result<(Virt, u64), String> {
    let kernel = image.kernel();
    let entry = kernel.raw.statics.iter().find(|of| of.name == name);
    let entry = entry.ok_or_else(|| format!("there is no {name}"))?;
    let linked = entry.linkage.as_deref().unwrap_or(name);
    let size = symbol(kernel, linked).filter(|symbol| symbol.0.0 == entry.at).map(|s| s.1);
    let size = size.filter(|size| *size > 0).ok_or_else(|| format!("{name} has no symbol"))?;
    Ok((Virt(entry.at), size))
}

fn symbol(program: &Program<'_>, name: &str) -> Option<(Virt, u64)> {
    let symbol = program.elf.symbols().find(|symbol| symbol.name() == Ok(name))?;
    Some((Virt(symbol.address()), symbol.size()))
}

fn sized(image: &Image<'_>, found: &mut Findings, name: &str, bytes: u64) {
    if let Some((_, size)) = found.take(variable(image, name)) {
        found.expect(size == bytes, || format!("{name} has {size} bytes"));
    }
}

pub(crate) fn image_id(image: &Image<'_>, found: &mut Findings) {
    let kernel = image.kernel();
    let id = kernel.elf.symbols().find(|symbol| symbol.name() == Ok("HUBRIS_IMAGE_ID"));
    let Some(id) = id else { return found.expect(false, || "there is none".into()) };
    found.expect(id.size() == 8, || format!("it has {} bytes", id.size()));
    let section = id.section_index().and_then(|at| kernel.elf.section_by_index(at).ok());
    let contents = section.and_then(|section| section.data_range(id.address(), 8).ok()?);
    found.expect(contents.is_some(), || "it has no contents".into());
}

pub(crate) fn current(image: &Image<'_>, found: &mut Findings) {
    let size = symbol(image.kernel(), "CURRENT_TASK_PTR").map(|symbol| symbol.1);
    found.expect(size == Some(4), || format!("its size is {size:?}"));
}

/// Bytes of each element of an array of structs `of`, and how many there are.
fn elements(image: &Image<'_>, name: &str, of: &str) -> Result<(Virt, u64, u64), String> {
    let (at, size) = variable(image, name)?;
    let each = structure(image.kernel(), of)?.size as u64;
    if each == 0 || size % each != 0 {
        return Err(format!("{size} bytes of {name} are no whole {of}"));
    }
    Ok((at, each, size / each))
}

pub(crate) fn task_table(image: &Image<'_>, found: &mut Findings) {
    let table = elements(image, "HUBRIS_TASK_TABLE_SPACE", "Task");
    if let Some((_, _, count)) = found.take(table) {
        let tasks = image.tasks().len() as u64;
        found.expect(count == tasks, || format!("room for {count} of {tasks} tasks"));
    }
    // It is looked for first, and means something else.
    for program in &image.programs {
        let older = symbol(program, "TASK_TABLE_BASE");
        found.expect(older.is_none(), || format!("{} has TASK_TABLE_BASE", program.name));
    }
}

pub(crate) fn descriptors(image: &Image<'_>, found: &mut Findings) {
    let tasks = image.tasks().len() as u64;
    if let Some((_, _, count)) = found.take(elements(image, "HUBRIS_TASK_DESCS", "TaskDesc")) {
        found.expect(count == tasks, || format!("{count} of {tasks} tasks"));
    }
    if let Some((_, _, count)) = found.take(elements(image, "HUBRIS_REGION_DESCS", "RegionDesc")) {
        found.expect(count > tasks, || format!("{count} regions"));
    }
}

pub(crate) fn in_image(image: &Image<'_>, found: &mut Findings) {
    for name in ["HUBRIS_TASK_DESCS", "HUBRIS_REGION_DESCS"] {
        if let Some((at, size)) = found.take(variable(image, name)) {
            let there = image.loaded.read(at, size as usize).is_some();
            found.expect(there, || format!("{name} is not in it"));
        }
    }
    let id = image.loaded.read(image.archive.image_id_address(), 8);
    let right = id.is_some_and(|id| id == image.archive.image_id().0.to_le_bytes());
    found.expect(right, || "the image's number is not in it".into());
}

pub(crate) fn ticks(image: &Image<'_>, found: &mut Findings) {
    sized(image, found, "TICKS", 8);
}

pub(crate) fn failed(image: &Image<'_>, found: &mut Findings) {
    sized(image, found, "KERNEL_HAS_FAILED", 1);
}

pub(crate) fn epitaph(image: &Image<'_>, found: &mut Findings) {
    let Some((_, size)) = found.take(variable(image, "KERNEL_EPITAPH")) else { return };
    let types = image.kernel().types();
    let of = types.variable("KERNEL_EPITAPH").and_then(|variable| types.array(variable.of));
    let bytes = of.is_some_and(|of| is_unsigned(types, of.of, 1) && of.count == size);
    found.expect(bytes, || format!("its {size} bytes are no array of u8"));
}

pub(crate) fn clock(image: &Image<'_>, found: &mut Findings) {
    if variable(image, "CLOCK_FREQ_KHZ").is_ok() {
        sized(image, found, "CLOCK_FREQ_KHZ", 4);
    }
}

pub(crate) fn reset(image: &Image<'_>, found: &mut Findings) {
    let size = symbol(image.kernel(), "Reset").map(|symbol| symbol.1);
    found.expect(size.is_some_and(|size| size > 0), || format!("its size is {size:?}"));
}

/// The type of a member of the kernel's struct `of`.
fn member_of(image: &Image<'_>, of: &str, name: &str) -> Result<TypeId, String> {
    member(structure(image.kernel(), of)?, name)
}

/// Notes member `name` of `of` unless it `is` right.
fn expect_member(
    image: &Image<'_>,
    found: &mut Findings,
    (of, name): (&str, &str),
    is: impl FnOnce(&Types, TypeId) -> bool,
) {
    if let Some(id) = found.take(member_of(image, of, name)) {
        let types = image.kernel().types();
        found.expect(is(types, id), || format!("{of}.{name} is a {}", types.name(id)));
    }
}

pub(crate) fn decodable(image: &Image<'_>, found: &mut Findings) {
    let types = image.kernel().types();
    let of = types.named("Task").ok_or_else(|| "there is no Task".to_owned());
    if let Some(of) = found.take(of) {
        let why = undecodable(types, of);
        found.expect(why.is_none(), || why.unwrap_or_default());
    }
}

pub(crate) fn task(image: &Image<'_>, found: &mut Findings) {
    let is_struct = |name: &'static str| {
        move |types: &Types, of| types.structure(of).is_some_and(|of| of.name == name)
    };
    expect_member(image, found, ("Task", "save"), is_struct("SavedState"));
    expect_member(image, found, ("Task", "state"), |types, of| variants(types, of).is_some());
    expect_member(image, found, ("Task", "generation"), |types, of| {
        is_tuple_of(types, of, 1) || is_unsigned(types, of, 4)
    });
    expect_member(image, found, ("Task", "priority"), |types, of| is_tuple_of(types, of, 1));
    expect_member(image, found, ("Task", "descriptor"), |types, of| {
        let Some(Type::Pointer(of)) = types.get(of) else { return false };
        of.to.and_then(|to| types.structure(to)).is_some_and(|to| to.name == "TaskDesc")
    });
    expect_member(image, found, ("Task", "timer"), |types, of| types.structure(of).is_some());
}

pub(crate) fn saved_state(image: &Image<'_>, found: &mut Findings) {
    let Some(save) = found.take(structure(image.kernel(), "SavedState")) else { return };
    let types = image.kernel().types();
    let registers = (4..12).map(|n| format!("r{n}"));
    let mut places = Vec::new();
    for name in registers.chain(["psp".to_owned()]) {
        let Some(of) = save.member(&name) else {
            found.expect(false, || format!("no {name}"));
            continue;
        };
        found.expect(is_unsigned(types, of.of, 4), || format!("{name} is no u32"));
        places.push(of.offset);
    }
    let in_a_row = matches!(places[..], [r4, r5, r6, ..] if r5 == r4 + 4 && r6 == r4 + 8);
    found.expect(in_a_row, || "r4, r5 and r6 are apart".into());
}

pub(crate) fn timer(image: &Image<'_>, found: &mut Findings) {
    let types = image.kernel().types();
    let timer = member_of(image, "Task", "timer");
    let timer = timer.and_then(|of| types.structure(of).ok_or_else(|| "no struct".to_owned()));
    let Some(timer) = found.take(timer) else { return };
    if let Some(deadline) = found.take(member(timer, "deadline")) {
        let some = payload(types, deadline, "Some");
        let right = some.is_some_and(|some| {
            some.members.len() == 1 && is_tuple_of(types, some.members[0].of, 8)
        });
        found.expect(right, || "deadline is no Option of a tuple of u64".into());
    }
    if let Some(to_post) = found.take(member(timer, "to_post")) {
        found.expect(is_tuple_of(types, to_post, 4), || "to_post is no tuple of u32".into());
    }
}

/// Enums of which Humility knows these variants; it ends where another occurs.
const STATES: [(&str, &[&str]); 6] = [
    ("TaskState", &["Healthy", "Faulted"]),
    ("SchedState", &["Stopped", "Runnable", "InSend", "InReply", "InRecv"]),
    (
        "FaultInfo",
        &[
            "MemoryAccess",
            "StackOverflow",
            "BusError",
            "DivideByZero",
            "IllegalText",
            "IllegalInstruction",
            "InvalidOperation",
            "SyscallUsage",
            "Panic",
            "Injected",
            "FromServer",
        ],
    ),
    ("FaultSource", &["User", "Kernel"]),
    (
        "UsageError",
        &[
            "BadSyscallNumber",
            "InvalidSlice",
            "TaskOutOfRange",
            "IllegalTask",
            "LeaseOutOfRange",
            "OffsetOutOfRange",
            "NoIrq",
            "BadKernelMessage",
        ],
    ),
    (
        "ReplyFaultReason",
        &[
            "UndefinedOperation",
            "BadMessageSize",
            "BadMessageContents",
            "BadLeases",
            "ReplyBufferTooSmall",
            "AccessViolation",
        ],
    ),
];

/// The fields of payloads that have some.
const PAYLOADS: [(&str, &str, &[&str]); 5] = [
    ("TaskState", "Faulted", &["fault", "original_state"]),
    ("TaskState", "Healthy", &["__0"]),
    ("FaultInfo", "MemoryAccess", &["address", "source"]),
    ("FaultInfo", "BusError", &["address", "source"]),
    ("FaultInfo", "StackOverflow", &["address"]),
];

pub(crate) fn states(image: &Image<'_>, found: &mut Findings) {
    let types = image.kernel().types();
    let mut reached = Vec::new();
    if let Ok(state) = member_of(image, "Task", "state") {
        reach(types, state, &mut reached);
    }
    let named = |name: &str| reached.iter().copied().find(|of| types.name(*of) == name);
    for (name, known) in STATES {
        let Some(all) = named(name).and_then(|of| variants(types, of)) else {
            found.expect(false, || format!("no enum {name}"));
            continue;
        };
        for variant in all {
            found.expect(known.contains(&variant), || format!("{name}::{variant}"));
        }
    }
    for (of, variant, fields) in PAYLOADS {
        let Some(payload) = named(of).and_then(|of| payload(types, of, variant)) else {
            // A subset of the faults is enough.
            found.expect(of == "FaultInfo", || format!("no {of}::{variant}"));
            continue;
        };
        for field in fields {
            let there = payload.member(field).is_some();
            found.expect(there, || format!("{of}::{variant} has no {field}"));
        }
    }
    let id = reached.iter().find(|of| types.name(**of) == "TaskId");
    let right = id.is_some_and(|id| is_tuple_of(types, *id, 2) || is_unsigned(types, *id, 2));
    found.expect(right, || "TaskId is no u16".into());
}

/// Adds the types that `of` is made of to `reached`.
fn reach(types: &Types, of: TypeId, reached: &mut Vec<TypeId>) {
    if reached.contains(&of) {
        return;
    }
    reached.push(of);
    match types.get(of) {
        Some(Type::Struct(of)) => of.members.iter().for_each(|m| reach(types, m.of, reached)),
        Some(Type::Enum(of)) => {
            of.variants.iter().for_each(|v| reach(types, v.payload.of, reached));
        }
        _ => {}
    }
}

pub(crate) fn task_desc(image: &Image<'_>, found: &mut Findings) {
    for name in ["entry_point", "initial_stack"] {
        expect_member(image, found, ("TaskDesc", name), |types, of| is_unsigned(types, of, 4));
    }
    expect_member(image, found, ("TaskDesc", "regions"), |types, of| {
        let Some(Type::Array(regions)) = types.get(of) else { return false };
        is_unsigned(types, regions.of, 1)
            || matches!(types.get(regions.of), Some(Type::Pointer(of)) if of.to
                .and_then(|to| types.structure(to))
                .is_some_and(|to| to.name == "RegionDesc"))
    });
}

pub(crate) fn region_desc(image: &Image<'_>, found: &mut Findings) {
    for name in ["base", "size"] {
        expect_member(image, found, ("RegionDesc", name), |types, of| is_unsigned(types, of, 4));
    }
    expect_member(image, found, ("RegionDesc", "attributes"), |types, of| {
        let Some(of) = types.structure(of) else { return false };
        let word = of.member("bits").or_else(|| of.member("__0"));
        word.is_some_and(|word| is_unsigned(types, word.of, 4))
    });
    /// Read, write, execute, device, DMA.
    const KNOWN: u64 = 0x1F;
    each_region(image, found, |_, region, found| {
        let attributes = region.attributes.0;
        found.expect(u64::from(attributes) & !KNOWN == 0, || format!("{attributes:#x}"));
    });
}

/// Runs `look` on each region of the image that is used.
fn each_region(
    image: &Image<'_>,
    found: &mut Findings,
    look: impl Fn(usize, &view::Region, &mut Findings),
) {
    let programs = view::Programs::of(image.archive);
    let regions = view::regions(&programs, &image.loaded).map_err(|error| error.to_string());
    for region in found.take(regions).into_iter().flatten() {
        for task in &region.tasks {
            look(*task, &region, found);
        }
    }
}

pub(crate) fn map(image: &Image<'_>, found: &mut Findings) {
    let mut any = BTreeSet::new();
    let programs = view::Programs::of(image.archive);
    let regions = view::regions(&programs, &image.loaded).map_err(|error| error.to_string());
    for region in found.take(regions).into_iter().flatten() {
        any.extend(region.tasks.iter().copied());
        let end = region.base.0 + region.size;
        found.expect(end <= 1 << 32, || format!("{:#x} past the space", region.base.0));
    }
    let tasks = image.tasks().len();
    found.expect(any.len() == tasks, || format!("{} of {tasks} tasks have regions", any.len()));
}

pub(crate) fn regions(image: &Image<'_>, found: &mut Findings) {
    let all = elements(image, "HUBRIS_REGION_DESCS", "RegionDesc");
    let Some((start, each, count)) = found.take(all) else { return };
    let programs = view::Programs::of(image.archive);
    for (index, task) in image.tasks().iter().enumerate() {
        let of = descriptor(&programs, &image.loaded, index).map_err(|error| error.to_string());
        let Some(of) = found.take(of) else { continue };
        for (_, region) in of.field("regions").map(Value::children).unwrap_or_default() {
            let at = match region {
                Value::Pointer(at, _) => Virt((*at).into()),
                _ => continue,
            };
            let offset = at.offset_from(start).filter(|offset| *offset < each * count);
            let right = offset.is_some_and(|offset| offset % each == 0);
            found.expect(right, || format!("{} has one at {:#x}", task.name, at.0));
        }
    }
}

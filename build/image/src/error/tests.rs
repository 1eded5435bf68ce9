//! One failing example per reason that an image cannot be built, each with the
//! message it gets. Those of app.toml itself are in `build/app/tests/bad`, the
//! ways to break the translation tables in `translation/tests.rs`.

use super::Error;
use crate::cargo::Binary;
use crate::elf::{Program, Segment};
use crate::layout::{self, SECTION};
use crate::{Folders, Stack, StackBound, Translation, core1, kernel, translation};
use app::{App, Panics};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use tables::{KernelMemory, Span};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn app() -> App {
    App::load(&root().join("app.toml")).unwrap_or_else(|refusals| panic!("{refusals}"))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

/// Builds from this workspace into that folder.
fn folders(workspace: &Path, output: &Path) -> Folders {
    let rustc = "rustc".into();
    Folders { workspace: workspace.to_owned(), output: output.to_owned(), rustc }
}

/// A program of one segment.
fn program(address: u32, size: u32, flags: u32) -> Program {
    let segment = Segment { address, bytes: Vec::new(), size, flags };
    Program { entry: address, segments: vec![segment], symbols: HashMap::new() }
}

const CODE: u32 = 5;
const DATA: u32 = 6;

/// Builds a binary that there is not, in `workspace`.
fn binary(workspace: &Path) -> Error {
    let output = folder();
    let binary = Binary {
        package: "nothing",
        binary: "nothing",
        features: &[],
        target: "thumbv7a-none-eabi",
        cpu: None,
        panics: Panics::Messages,
        generated: ("SOTTO_TASK", &workspace.join("nothing.rs")),
        script: "nothing.x",
        symbols: &[],
    };
    binary.build(&folders(workspace, output.path())).expect_err("it is not there")
}

fn build(description: &Path, output: &Path) -> Error {
    crate::build(description, &folders(&root(), output), |_| ()).expect_err("it is refused")
}

fn description() -> Error {
    build(&root().join("build/app/tests/bad/03-name.toml"), folder().path())
}

fn no_such_feature() -> Error {
    let mut app = app();
    app.kernel_features.push("turbo".to_owned());
    kernel::check_features(&app).expect_err("the kernel has no turbo")
}

fn file() -> Error {
    let folder = folder();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "no folder").expect("room for a file");
    build(&root().join("app.toml"), &taken)
}

fn no_cargo() -> Error {
    binary(&folder().path().join("gone"))
}

fn compile() -> Error {
    let workspace = folder();
    let manifest = "[workspace]\nmembers = []\nresolver = \"3\"\n";
    std::fs::write(workspace.path().join("Cargo.toml"), manifest).expect("room for a file");
    binary(workspace.path())
}

fn not_elf() -> Error {
    let folder = folder();
    let built = folder.path().join("built");
    std::fs::write(&built, "#!/bin/sh\n").expect("room for a file");
    Program::keep(&built, folder.path(), "jefe").expect_err("it is a script")
}

/// Task `iommu` with one byte more of `flags` than app.toml allows it.
fn too_large(flags: u32) -> Error {
    let app = app();
    let index = app.index("iommu").expect("there is one");
    let (task, place) = (app.task(index), layout::places(&app).tasks[usize::from(index.0)]);
    let (base, limit) =
        if flags == DATA { (place.ram.base, task.ram) } else { (place.flash.base, task.flash) };
    layout::check(task, place, &program(base, limit, flags)).expect("it just fits");
    layout::check(task, place, &program(base, limit + 1, flags)).expect_err("it is too large")
}

fn kernel_too_large() -> Error {
    let memory = |bytes| {
        let nothing = Span { base: layout::KERNEL, size: 0 };
        let data = Span { base: layout::KERNEL, size: bytes };
        KernelMemory { text: nothing, constants: nothing, tables: nothing, data }
    };
    kernel::check(&memory(SECTION)).expect("it just fits");
    kernel::check(&memory(SECTION + 1)).expect_err("it is too large")
}

fn core1_too_large() -> Error {
    let base = 0x4080_0000;
    let check =
        |bytes| core1::check("dsp-monitor", &program(base, bytes, CODE), |_| true, base, SECTION);
    check(SECTION).expect("it just fits");
    check(SECTION + 1).expect_err("it is too large")
}

fn stack_too_small() -> Error {
    let stack = |bytes| {
        let bound = StackBound { bytes: 8192, path: Vec::new(), gaps: Vec::new() };
        Stack { bytes, bound }
    };
    stack(8192).check("player").expect("it just fits");
    stack(8191).check("player").expect_err("it can be run over")
}

fn no_symbol() -> Error {
    let kernel = program(layout::KERNEL, 16, CODE);
    kernel::memory(&kernel).map(|_| ()).expect_err("it has no symbols")
}

fn tables() -> Error {
    let app = app();
    let places = layout::places(&app);
    let nothing = Span { base: layout::KERNEL, size: 0 };
    let memory = KernelMemory { text: nothing, constants: nothing, tables: nothing, data: nothing };
    // Each task has the next one's RAM.
    let regions: Vec<Vec<layout::Region>> = (1..=places.tasks.len())
        .map(|next| {
            let area = places.tasks[next % places.tasks.len()].ram;
            vec![layout::Region { area, attributes: abi::RegionAttributes::READ }]
        })
        .collect();
    let regions = || regions.iter().map(Vec::as_slice);
    let made = Translation::make(&memory, &places, regions());
    let findings = translation::check(&made, &app, &places, &memory, regions());
    Error::tables(findings).expect_err("they break a rule")
}

fn no_dsp() -> Error {
    let folder = folder();
    let suite = root().join("test/app-suite.toml");
    crate::build_hostile(&suite, &folders(&root(), folder.path()), |_| ())
        .expect_err("the suite has no DSP")
}

fn too_many_regions() -> Error {
    let mut app = app();
    let index = app.index("xhci").expect("there is one");
    let task = &mut app.tasks[usize::from(index.0)];
    let registers = task.uses[0].clone();
    task.uses.extend(vec![registers; kern::REGIONS_PER_TASK]);
    let place = layout::places(&app).tasks[usize::from(index.0)];
    let program = program(place.flash.base, 16, CODE);
    layout::regions(&app, index, place, &program).expect_err("the kernel keeps fewer")
}

/// An example, and what its message has to say.
type Example = (fn() -> Error, &'static str);

const EXAMPLES: [Example; 16] = [
    (description, "03-name.toml"),
    (no_such_feature, "no feature `turbo`; it has: slice, semihosting"),
    (file, "taken/"),
    (no_cargo, "cargo cannot be started"),
    (compile, "`nothing` does not compile"),
    (not_elf, "`jefe` is no ELF file for this target"),
    (|| too_large(CODE), "`iommu` needs 65537 bytes of flash; app.toml allows 65536"),
    (|| too_large(DATA), "`iommu` needs 65537 bytes of RAM; app.toml allows 65536"),
    (kernel_too_large, "`kernel` needs 1048577 bytes of memory; there are 1048576"),
    (core1_too_large, "`dsp-monitor` needs 1048577 bytes of memory; there are 1048576"),
    (stack_too_small, "`player`"),
    (no_symbol, "`kernel` was linked without `sotto_text`"),
    (tables, "the translation tables break a rule:\n  task `jefe` may"),
    (no_dsp, "has no DSP"),
    (too_many_regions, "`xhci` has 2"),
    (too_many_regions, "the kernel keeps 12 for a task"),
];

#[test]
fn each_example_is_refused_with_its_message() {
    for (example, message) in EXAMPLES {
        let told = example().to_string();
        assert!(told.contains(message), "{told:?} does not say {message:?}");
    }
}

/// The place of a reason in the list of all; a new one has to be added here.
const fn place(error: &Error) -> usize {
    match error {
        Error::Description(_) => 0,
        Error::NoSuchFeature(_) => 1,
        Error::File(..) => 2,
        Error::NoCargo(_) => 3,
        Error::Compile(_) => 4,
        Error::NotElf(_) => 5,
        Error::TooLarge(..) => 6,
        Error::PartTooLarge(..) => 7,
        Error::NoSymbol(..) => 8,
        Error::Tables(_) => 9,
        Error::NoDsp(_) => 10,
        Error::TooManyRegions(..) => 11,
        Error::StackTooSmall(..) => 12,
    }
}
const REASONS: usize = 13;

#[test]
fn every_reason_has_an_example() {
    let shown: BTreeSet<usize> = EXAMPLES.iter().map(|(example, _)| place(&example())).collect();
    assert_eq!(shown, (0..REASONS).collect());
}

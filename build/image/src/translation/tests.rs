//! The tables of app.toml keep the rules; each way to break one is found.

use super::check::{Finding, Who};
use super::walk::Mapped;
use super::{Rights, Translation, check, words};
use crate::elf::{Program, Segment};
use crate::layout::{self, Area, PAGE, Places, Region, SECTION};
use abi::RegionAttributes;
use app::App;
use proptest::prelude::*;
use std::collections::HashMap;
use std::path::Path;
use tables::{KernelMemory, Span, WINDOW};

/// app.toml's tasks, each with one page of code and one of constants.
struct Bench {
    app: App,
    places: Places,
    kernel: KernelMemory,
    regions: Vec<Vec<Region>>,
}

impl Bench {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../app.toml");
        let app = App::load(&path).unwrap_or_else(|refusals| panic!("{refusals}"));
        let places = layout::places(&app);
        let regions = app.indexed().map(|(index, _)| {
            let place = places.tasks[usize::from(index.0)];
            let segment = |page, flags| Segment {
                address: place.flash.base + page * PAGE,
                bytes: vec![0; 16],
                size: 16,
                flags,
            };
            let program = Program {
                entry: place.flash.base,
                segments: vec![segment(0, 5), segment(1, 4)],
                symbols: HashMap::new(),
            };
            layout::regions(&app, index, place, &program).unwrap()
        });
        let regions: Vec<_> = regions.collect();
        let span = |page, pages| Span { base: layout::KERNEL + page * PAGE, size: pages * PAGE };
        let kernel = KernelMemory {
            text: span(0, 6),
            constants: span(6, 2),
            tables: span(8, 32),
            // A page of nothing at 40.
            data: span(41, 3),
        };
        Self { app, places, kernel, regions }
    }

    fn make(&self) -> Translation {
        Translation::make(&self.kernel, &self.places, self.regions())
    }

    fn regions(&self) -> impl ExactSizeIterator<Item = &[Region]> {
        self.regions.iter().map(Vec::as_slice)
    }

    fn check(&self, translation: &Translation) -> Vec<Finding> {
        check(translation, &self.app, &self.places, &self.kernel, self.regions())
    }

    /// What is found when `task` is given `area` beside what it has.
    fn with(&mut self, task: &str, area: Area, attributes: RegionAttributes) -> Vec<Finding> {
        let index = self.app.index(task).unwrap();
        self.regions[usize::from(index.0)].push(Region { area, attributes });
        let translation = self.make();
        self.regions[usize::from(index.0)].pop();
        self.check(&translation)
    }

    fn ram(&self, task: &str) -> Area {
        self.places.tasks[usize::from(self.app.index(task).unwrap().0)].ram
    }
}

const READ: RegionAttributes = RegionAttributes::READ;
const WRITE: RegionAttributes = RegionAttributes::WRITE;
const EXECUTE: RegionAttributes = RegionAttributes::EXECUTE;

fn page(base: u32) -> Area {
    Area { base, size: PAGE }
}

fn task(name: &str) -> Who {
    Who::Task(name.to_owned())
}

/// R4: a task reaches its own memory, its pools and nothing that another can write.
#[test]
fn the_tables_of_the_image_keep_every_rule() {
    let bench = Bench::new();
    assert_eq!(bench.check(&bench.make()), []);
}

#[test]
fn the_room_is_as_large_as_the_tables_wherever_the_kernel_is() {
    let bench = Bench::new();
    let made = bench.make().words.len();
    assert_eq!(words(&bench.places, bench.regions()), made);
}

#[test]
fn a_task_that_reaches_anothers_memory_is_found() {
    let mut bench = Bench::new();
    let foreign = page(bench.ram("xhci").base);
    let found = bench.with("player", foreign, READ);
    assert_eq!(found, [Finding::Foreign(task("player"), foreign.base, Rights::READ)]);
}

#[test]
fn a_task_that_reaches_the_kernel_is_found() {
    let mut bench = Bench::new();
    let found = bench.with("player", page(layout::KERNEL + 42 * PAGE), READ.with(WRITE));
    let foreign = |found: &Finding| matches!(found, Finding::Foreign(Who::Task(_), ..));
    assert!(found.iter().any(foreign), "{found:?}");
}

#[test]
fn code_that_can_be_written_is_found_under_any_address() {
    let mut bench = Bench::new();
    let text = bench.places.tasks[1].flash.base;
    let found = bench.with("iommu", page(text), READ.with(WRITE).with(EXECUTE));
    assert!(found.contains(&Finding::WriteExecute(text)), "{found:?}");
    // Data that is executed: written through the same table.
    let data = bench.ram("iommu").base;
    let found = bench.with("iommu", page(data), READ.with(EXECUTE));
    assert!(found.contains(&Finding::WriteExecute(data)), "{found:?}");
}

#[test]
fn a_guard_page_that_is_mapped_is_found() {
    let mut bench = Bench::new();
    let guard = bench.ram("usb_core").base - PAGE;
    let found = bench.with("usb_core", page(guard), READ.with(WRITE));
    assert!(found.contains(&Finding::Guard(task("usb_core"), guard)), "{found:?}");
    bench.kernel.data = Span { base: bench.kernel.data.base - PAGE, ..bench.kernel.data };
    let translation = bench.make();
    bench.kernel.data.base += PAGE;
    let found = bench.check(&translation);
    let guard = bench.kernel.data.base - PAGE;
    assert!(found.contains(&Finding::Guard(task("jefe"), guard)), "{found:?}");
}

#[test]
fn a_region_that_is_not_mapped_is_found() {
    let mut bench = Bench::new();
    let translation = bench.make();
    let area = page(bench.ram("player").base + bench.ram("player").size);
    let player = usize::from(bench.app.index("player").unwrap().0);
    bench.regions[player].push(Region { area, attributes: READ });
    let found = bench.check(&translation);
    assert_eq!(found, [Finding::Lost(task("player"), area.base)]);
}

#[test]
fn a_page_that_is_elsewhere_is_found() {
    let bench = Bench::new();
    let mut translation = bench.make();
    // The first page of the first second-level table is the kernel's.
    let kernel = translation.words.len() - second_level_words(&bench);
    translation.words[kernel] += PAGE;
    let moved = Finding::Moved(task("jefe"), layout::KERNEL, layout::KERNEL + PAGE);
    assert!(bench.check(&translation).contains(&moved));
}

/// All that the hardware reads out of the tables.
fn meaning(bench: &Bench, translation: &Translation) -> Vec<Vec<Mapped>> {
    let tasks = (0..bench.app.tasks.len()).map(|task| translation.of_task(task));
    tasks.chain([translation.of_kernel()]).collect()
}

fn second_level_words(bench: &Bench) -> usize {
    let first_levels = 4096 + bench.app.tasks.len() * 2048;
    bench.make().words.len() - first_levels
}

#[test]
fn a_page_that_is_not_a_tasks_alone_is_found() {
    let bench = Bench::new();
    let mut translation = bench.make();
    let not_global = |word: &u32| word & 0b10 != 0 && word >> 11 & 1 != 0;
    let pages = translation.words.len() - second_level_words(&bench);
    let first = pages + translation.words[pages..].iter().position(not_global).unwrap();
    translation.words[first] ^= 1 << 11;
    let found = bench.check(&translation);
    assert!(matches!(found[..], [Finding::Global(Who::Task(_), _)]), "{found:?}");
}

#[test]
fn a_table_outside_of_the_tables_is_found() {
    let bench = Bench::new();
    let mut translation = bench.make();
    let unused = 4096 + 5;
    assert_eq!(translation.words[unused], 0);
    translation.words[unused] = 0x7000_0000 | 1;
    assert!(!bench.check(&translation).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A section where there was none that lets somebody do something: bit 10 is
    /// AP[0]. Of the kernel's table the hardware reads the upper half.
    #[test]
    fn a_section_too_many_is_found(entry in 2048usize..4096 + 8 * 2048, bits in 0u32..0x4_0000) {
        let bench = Bench::new();
        let mut translation = bench.make();
        let megabyte = if entry < 4096 { entry } else { (entry - 4096) % 2048 };
        prop_assume!(translation.words[entry] == 0);
        let at = (megabyte as u32 * SECTION) & !WINDOW;
        translation.words[entry] = at | 1 << 1 | 1 << 10 | bits & !0b11;
        prop_assert!(!bench.check(&translation).is_empty());
    }

    #[test]
    fn no_bit_that_means_something_can_flip_unnoticed(
        n in 0usize..100_000, bit in 0u32..32,
    ) {
        let bench = Bench::new();
        let mut translation = bench.make();
        let used: Vec<usize> = (2048..translation.words.len())
            .filter(|&n| translation.words[n] != 0)
            .collect();
        let n = used[n % used.len()];
        let word = translation.words[n];
        let before = meaning(&bench, &translation);
        translation.words[n] ^= 1 << bit;
        // Some bits mean nothing: those for others to define, and those about
        // who executes what nobody does.
        prop_assume!(meaning(&bench, &translation) != before);
        prop_assert!(!bench.check(&translation).is_empty(), "word {n}: {word:#x}, bit {bit}");
    }
}

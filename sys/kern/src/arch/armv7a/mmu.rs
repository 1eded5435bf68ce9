//! Translation tables, address spaces, and the kernel's window on user memory.
//!
//! Short descriptors (ARM ARM B3.5). The lower half of the address space is
//! identity-mapped through TTBR0: each task has a table with its own regions,
//! tagged with its ASID, and the kernel, global and privileged. The upper half
//! is the kernel's alone, through TTBR1: address `a` with the top bit set is
//! physical address `a` without it, for the memory of all tasks (code and
//! constants read-only) and the interrupt controller. A task's memory is never
//! both global and not under one address, so that no stale translation can be
//! met, and copying between tasks needs no switch.
//!
//! The tables are made once, before the MMU is on, and are read-only after.

use core::cell::UnsafeCell;

use abi::RegionAttributes;

use super::cp15;
use super::image::{Image, Span};
use crate::task::{RegionDesc, TaskIndex};

/// Bytes of a small page.
const PAGE: u32 = 0x1000;
/// Bytes that one entry of a first-level table covers.
const SECTION: u32 = 0x10_0000;

/// The kernel's window shows physical address `a` here.
const WINDOW: u32 = 0x8000_0000;

/// TTBCR: TTBR0 translates addresses below 2^31, TTBR1 the rest (B3.5.4).
const TTBCR_SPLIT: u32 = 1;
/// Entries of a first-level table for half of the address space.
const HALF: usize = 2048;
/// Table walks are cached, inner shareable: IRGN = RGN = write-back
/// write-allocate, S (B4.1.154).
const TTBR_CACHED: u32 = 0x4A;

/// Domain 0 as a client: permissions are checked.
const DACR_CLIENT: u32 = 1;

/// SCTLR: MMU, data cache, branch prediction, instruction cache.
const SCTLR_ON: u32 = 1 | 1 << 2 | 1 << 11 | 1 << 12;
/// SCTLR bits that must be clear: alignment faults, A32 of the vectors, TEX
/// remap, access flag.
const SCTLR_OFF: u32 = 1 << 1 | 1 << 28 | 1 << 29 | 1 << 30;
/// ACTLR.SMP: this core takes part in coherency (Cortex-A15 TRM 4.3.29).
const ACTLR_SMP: u32 = 1 << 6;

/// What a mapping allows, and of what memory it is; each value as the
/// descriptor of a small page (B3.5.1, B3.7, B3.8.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Mapping(u32);

impl Mapping {
    const XN: u32 = 1;
    const SMALL_PAGE: u32 = 1 << 1;
    const AP_KERNEL: u32 = 0b01 << 4;
    const AP_USER: u32 = 0b11 << 4;
    const READ_ONLY: u32 = 1 << 9;
    const NORMAL_CACHED: u32 = 0b001 << 6 | 1 << 3 | 1 << 2 | Self::SHAREABLE;
    const NORMAL_UNCACHED: u32 = 0b001 << 6 | Self::SHAREABLE;
    const DEVICE: u32 = 1 << 2;
    const SHAREABLE: u32 = 1 << 10;
    const NOT_GLOBAL: u32 = 1 << 11;

    const KERNEL_TEXT: Self = Self(Self::AP_KERNEL | Self::READ_ONLY | Self::NORMAL_CACHED);
    const KERNEL_CONSTANTS: Self = Self(Self::KERNEL_TEXT.0 | Self::XN);
    const KERNEL_DATA: Self = Self(Self::AP_KERNEL | Self::NORMAL_CACHED | Self::XN);
    const KERNEL_DEVICE: Self = Self(Self::AP_KERNEL | Self::DEVICE | Self::XN);

    /// What a task gets for one of its regions.
    fn of(attributes: RegionAttributes) -> Self {
        let mut bits = Self::AP_USER | Self::NOT_GLOBAL;
        if !attributes.contains(RegionAttributes::WRITE) {
            bits |= Self::READ_ONLY;
        }
        if !attributes.contains(RegionAttributes::EXECUTE) {
            bits |= Self::XN;
        }
        bits |= if attributes.contains(RegionAttributes::DEVICE) {
            Self::DEVICE
        } else if attributes.contains(RegionAttributes::DMA) {
            Self::NORMAL_UNCACHED
        } else {
            Self::NORMAL_CACHED
        };
        Self(bits)
    }

    /// The descriptor of the small page at `at`.
    fn page(self, at: u32) -> u32 {
        at | Self::SMALL_PAGE | self.0
    }

    /// The descriptor of the section at `at`: the same bits at other places.
    fn section(self, at: u32) -> u32 {
        const IS_SECTION: u32 = 1 << 1;
        let moved = |from: u32, to: u32, mask: u32| (self.0 >> from & mask) << to;
        at | IS_SECTION
            | moved(0, 4, 1)      // XN
            | moved(2, 2, 0b11)   // B, C
            | moved(4, 10, 0b11)  // AP[1:0]
            | moved(6, 12, 0b111) // TEX
            | moved(9, 15, 1)     // AP[2]
            | moved(10, 16, 1)    // S
            | moved(11, 17, 1)    // nG
            | self.no_kernel_execution()
    }

    /// PXN of a section: the kernel executes nothing of a task's (B3.7.2).
    fn no_kernel_execution(self) -> u32 {
        u32::from(self.0 & Self::NOT_GLOBAL != 0)
    }
}

/// First-level entry that points to a second-level table (domain 0).
const IS_TABLE: u32 = 1;

/// A second-level table: 256 small pages.
#[derive(Copy, Clone, Debug)]
#[repr(C, align(1024))]
pub struct SecondLevel([u32; 256]);

impl SecondLevel {
    const EMPTY: Self = Self([0; 256]);
}

/// A first-level table of half of the address space. TTBR1's has a whole one's
/// size, of which the hardware reads the upper half.
#[derive(Debug)]
#[repr(C, align(16384))]
struct UpperHalf([u32; 2 * HALF]);

#[derive(Debug)]
#[repr(C, align(8192))]
struct LowerHalf([u32; HALF]);

/// Room for the tables of `TASKS` tasks with `SECOND` second-level tables among
/// them.
#[derive(Debug)]
pub struct TranslationTables<const TASKS: usize, const SECOND: usize>(
    UnsafeCell<Room<TASKS, SECOND>>,
);

#[derive(Debug)]
#[repr(C)]
struct Room<const TASKS: usize, const SECOND: usize> {
    upper: UpperHalf,
    lower: [LowerHalf; TASKS],
    kernel: SecondLevel,
    second: [SecondLevel; SECOND],
}

// SAFETY: only `build` writes the contents, once, on the one core that runs the
// kernel, before the hardware reads them.
unsafe impl<const TASKS: usize, const SECOND: usize> Sync for TranslationTables<TASKS, SECOND> {}

impl<const TASKS: usize, const SECOND: usize> Default for TranslationTables<TASKS, SECOND> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const TASKS: usize, const SECOND: usize> TranslationTables<TASKS, SECOND> {
    /// Tables that map nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Room {
            upper: UpperHalf([0; 2 * HALF]),
            lower: [const { LowerHalf([0; HALF]) }; TASKS],
            kernel: SecondLevel::EMPTY,
            second: [SecondLevel::EMPTY; SECOND],
        }))
    }
}

/// Translation tables, whatever the number of tasks.
pub trait Tables: Sync + core::fmt::Debug {
    /// Pointers to the parts.
    #[doc(hidden)]
    fn parts(&self) -> Parts;
}

/// Where the parts of the tables are.
#[derive(Debug)]
pub struct Parts {
    upper: *mut UpperHalf,
    lower: *mut [LowerHalf],
    kernel: *mut SecondLevel,
    second: *mut [SecondLevel],
}

impl<const TASKS: usize, const SECOND: usize> Tables for TranslationTables<TASKS, SECOND> {
    fn parts(&self) -> Parts {
        let room = self.0.get();
        // SAFETY: only places are computed, inside the cell.
        unsafe {
            Parts {
                upper: &raw mut (*room).upper,
                lower: &raw mut (*room).lower,
                kernel: &raw mut (*room).kernel,
                second: &raw mut (*room).second,
            }
        }
    }
}

/// The kernel's own memory, as the linker script laid it out.
struct KernelLayout {
    text: Span,
    constants: Span,
    tables: Span,
    data: Span,
}

impl KernelLayout {
    fn get() -> Self {
        unsafe extern "C" {
            static sotto_text: u8;
            static sotto_constants: u8;
            static sotto_tables: u8;
            static sotto_guard: u8;
            static sotto_data: u8;
            static sotto_end: u8;
        }
        let between = |from: *const u8, to: *const u8| Span {
            base: from as u32,
            size: to as u32 - from as u32,
        };
        // The page at `sotto_guard`, below the stack, belongs to nothing.
        Self {
            text: between(&raw const sotto_text, &raw const sotto_constants),
            constants: between(&raw const sotto_constants, &raw const sotto_tables),
            tables: between(&raw const sotto_tables, &raw const sotto_guard),
            data: between(&raw const sotto_data, &raw const sotto_end),
        }
    }
}

/// The second-level tables not yet used.
struct Spare<'t>(core::slice::IterMut<'t, SecondLevel>);

impl<'t> Spare<'t> {
    fn take(&mut self) -> &'t mut SecondLevel {
        self.0.next().expect("image has fewer second-level tables than its regions need")
    }
}

/// Makes the tables of `image` and turns the MMU on.
///
/// # Safety
/// Once, at boot, with the MMU off and interrupts masked.
pub(super) unsafe fn start(image: &'static Image) -> AddressSpaces {
    let parts = image.tables.parts();
    // SAFETY: this is the only code that ever makes references to the tables,
    // once, and the hardware does not read them yet.
    let (upper, lower, kernel, second) =
        unsafe { (&mut *parts.upper, &mut *parts.lower, &mut *parts.kernel, &mut *parts.second) };
    build_upper(upper, image);
    build_kernel(kernel);
    let kernel_base = KernelLayout::get().text.base;
    let kernel_entry = core::ptr::from_ref(kernel) as u32 | IS_TABLE;
    let mut spare = Spare(second.iter_mut());
    for (table, task) in lower.iter_mut().zip(image.descriptors) {
        table.0[(kernel_base / SECTION) as usize] = kernel_entry;
        for region in task.regions {
            map_region(table, region, &mut spare);
        }
    }
    let (first, upper) =
        (core::ptr::from_ref(lower) as *const u8 as u32, core::ptr::from_ref(upper) as u32);
    let spaces = AddressSpaces { first: first | TTBR_CACHED };
    // SAFETY: the tables map the kernel where it runs, its stack among it. The
    // caches are empty: a reset invalidated the data cache (Cortex-A15 TRM
    // 2.3.1), and what was written since went to memory.
    unsafe {
        cp15::set_actlr(cp15::actlr() | ACTLR_SMP);
        cp15::invalidate_instructions(0);
        cp15::invalidate_branches(0);
        cp15::invalidate_tlb(0);
        cp15::set_dacr(DACR_CLIENT);
        cp15::set_ttbcr(TTBCR_SPLIT);
        cp15::set_ttbr1(upper | TTBR_CACHED);
        cp15::set_ttbr0(spaces.first);
        cp15::set_contextidr(asid(TaskIndex::SUPERVISOR));
        cp15::dsb();
        cp15::isb();
        cp15::set_sctlr(cp15::sctlr() & !SCTLR_OFF | SCTLR_ON);
        cp15::isb();
    }
    spaces
}

/// The address spaces of all tasks; made by [`start`], and with it the right to
/// switch.
#[derive(Debug)]
pub(super) struct AddressSpaces {
    /// TTBR0 of task 0; the others follow.
    first: u32,
}

impl AddressSpaces {
    /// Puts `task`'s address space under the processor (B3.10.4: a reserved
    /// ASID in between, so that no walk mixes the two).
    #[inline(always)]
    pub(super) fn switch_to(&self, task: TaskIndex) {
        let table = self.first + u32::from(task.0) * size_of::<LowerHalf>() as u32;
        // SAFETY: all tables map the kernel in the same way, and returning to
        // the task synchronises the last write.
        unsafe {
            cp15::set_contextidr(RESERVED_ASID);
            cp15::isb();
            cp15::set_ttbr0(table);
            cp15::isb();
            cp15::set_contextidr(asid(task));
        }
    }
}

/// No task's.
const RESERVED_ASID: u32 = 0;

#[inline(always)]
fn asid(task: TaskIndex) -> u32 {
    u32::from(task.0) + 1
}

/// Where the kernel sees the user's address `address`.
#[inline(always)]
pub(super) fn in_window(address: u32) -> usize {
    (address | WINDOW) as usize
}

fn build_upper(table: &mut UpperHalf, image: &Image) {
    let mut map = |span: Span, mapping: Mapping| {
        for at in (span.base..span.base + span.size).step_by(SECTION as usize) {
            table.0[((at | WINDOW) / SECTION) as usize] = mapping.section(at);
        }
    };
    map(image.flash, Mapping::KERNEL_CONSTANTS);
    map(image.ram, Mapping::KERNEL_DATA);
    map(super::gic::REGISTERS, Mapping::KERNEL_DEVICE);
}

fn build_kernel(table: &mut SecondLevel) {
    let layout = KernelLayout::get();
    let mut map = |span: Span, mapping: Mapping| {
        assert!(span.base / SECTION == layout.text.base / SECTION, "kernel is within a megabyte");
        for at in (span.base..span.base + span.size).step_by(PAGE as usize) {
            table.0[(at % SECTION / PAGE) as usize] = mapping.page(at);
        }
    };
    map(layout.text, Mapping::KERNEL_TEXT);
    map(layout.constants, Mapping::KERNEL_CONSTANTS);
    map(layout.tables, Mapping::KERNEL_CONSTANTS);
    map(layout.data, Mapping::KERNEL_DATA);
}

/// Maps `region`, whole megabytes of it as sections.
fn map_region(table: &mut LowerHalf, region: &RegionDesc, spare: &mut Spare<'_>) {
    let mapping = Mapping::of(region.attributes);
    let end = region.base + region.size;
    let mut at = region.base;
    while at < end {
        let entry = &mut table.0[(at / SECTION) as usize];
        if at.is_multiple_of(SECTION) && end - at >= SECTION {
            *entry = mapping.section(at);
            at += SECTION;
            continue;
        }
        if *entry == 0 {
            // PXN in bit 2: all pages of such a table are a task's.
            *entry = core::ptr::from_mut(spare.take()) as u32 | IS_TABLE | 1 << 2;
        }
        let second =
            core::ptr::with_exposed_provenance_mut::<SecondLevel>((*entry & !0x3FF) as usize);
        // SAFETY: the entry was made above out of a table that nobody else has.
        let second = unsafe { &mut *second };
        second.0[(at % SECTION / PAGE) as usize] = mapping.page(at);
        at += PAGE;
    }
}

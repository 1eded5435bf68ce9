//! Address spaces, and the kernel's window on user memory.
//!
//! What the tables say is in crate `tables`; they are made once, before the MMU
//! is on, and are read-only after.

use core::cell::UnsafeCell;

use tables::{KernelMemory, Plan, Region, Tables, WINDOW};

use super::cp15;
use super::image::{Image, Span};
use crate::task::TaskIndex;

/// TTBCR: TTBR0 translates addresses below 2^31, TTBR1 the rest (B3.5.4).
const TTBCR_SPLIT: u32 = 1;
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

/// Room for the translation tables of an image: `WORDS` words.
#[derive(Debug)]
#[repr(C, align(16384))]
pub struct TranslationTables<const WORDS: usize>(UnsafeCell<[u32; WORDS]>);

// SAFETY: only `start` writes the contents, once, on the one core that runs the
// kernel, before the hardware reads them.
unsafe impl<const WORDS: usize> Sync for TranslationTables<WORDS> {}

impl<const WORDS: usize> Default for TranslationTables<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> TranslationTables<WORDS> {
    /// Tables that map nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; WORDS]))
    }
}

/// Room for translation tables, whatever its size.
pub trait TableSpace: Sync + core::fmt::Debug {
    /// The words.
    fn get(&self) -> *mut [u32];
}

impl<const WORDS: usize> TableSpace for TranslationTables<WORDS> {
    fn get(&self) -> *mut [u32] {
        self.0.get()
    }
}

/// The kernel's own memory, as the linker script laid it out.
fn kernel_memory() -> KernelMemory {
    unsafe extern "C" {
        static sotto_text: u8;
        static sotto_constants: u8;
        static sotto_tables: u8;
        static sotto_guard: u8;
        static sotto_data: u8;
        static sotto_end: u8;
    }
    let between =
        |from: *const u8, to: *const u8| Span { base: from as u32, size: to as u32 - from as u32 };
    // The page at `sotto_guard`, below the stack, belongs to nothing.
    KernelMemory {
        text: between(&raw const sotto_text, &raw const sotto_constants),
        constants: between(&raw const sotto_constants, &raw const sotto_tables),
        tables: between(&raw const sotto_tables, &raw const sotto_guard),
        data: between(&raw const sotto_data, &raw const sotto_end),
    }
}

/// Makes the tables of `image` and turns the MMU on.
///
/// # Safety
/// Once, at boot, with the MMU off and interrupts masked.
pub(super) unsafe fn start(image: &'static Image) -> AddressSpaces {
    let words = image.tables.get();
    let base = words.cast::<u32>() as u32;
    // SAFETY: this is the only code that ever makes a reference to the tables,
    // once, and the hardware does not read them yet.
    let words = unsafe { &mut *words };
    let plan = Plan { kernel: kernel_memory(), flash: image.flash, ram: image.ram };
    let tasks = image.descriptors.iter().map(|task| {
        let used = task.regions.iter().filter(|region| region.size != 0);
        used.map(|region| Region {
            span: Span { base: region.base, size: region.size },
            attributes: region.attributes,
        })
    });
    let Tables { upper, lower, .. } = tables::build(words, base, &plan, tasks);
    let spaces = AddressSpaces { first: lower | TTBR_CACHED };
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
        let table = self.first + u32::from(task.0) * Tables::LOWER_BYTES;
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

//! The one address space of core 1.
//!
//! Short descriptors (ARM ARM B3.5), one table for all of it. What is the
//! monitor's is privileged and identity-mapped: its own memory, the shared pages
//! that it reads and writes, the registers that it needs, and nothing else. What
//! is the program's is unprivileged: its code, constants and RAM, likewise at
//! their own addresses; its page of datagrams; the media pool, read-only; the
//! recording pool; and in the first 16 MiB whatever `iommu` has in the second-level tables of the
//! `tables` pool, which the first level points at and the monitor never writes.
//!
//! Tables are walked without caches: `iommu` writes its own without them.

use super::epitaph::Global;
use super::{cp15, gic, image};
use addr::{PAGE, Peer, Phys};
use dsp_abi::bell;
use dsp_abi::control::PEER_TABLES_PAGE;
use dsp_abi::mailbox::{APP_PAGE, DSP_PAGE};
use dsp_abi::monitor::{MAIL_OUT, MEDIA, PEER_END, RECORDING, RECORDING_BYTES};
use monitor::Span;

/// Bytes that one entry of the first-level table covers.
const SECTION: u32 = 0x10_0000;
/// Bytes of a second-level table.
const TABLE: u32 = 0x400;
/// The GICv2m frame: where bells are rung.
pub(super) const FRAME: u32 = 0x0802_0000;

/// Domain 0 as a client: permissions are checked.
const DACR_CLIENT: u32 = 1;
/// TTBCR: TTBR0 translates everything (B3.5.4).
const TTBCR_WHOLE: u32 = 0;
/// The address space has one number: `iommu`'s pages are not global.
const ASID: u32 = 1;
/// SCTLR: MMU, data cache, branch prediction, instruction cache.
const SCTLR_ON: u32 = 1 | 1 << 2 | 1 << 11 | 1 << 12;
/// SCTLR bits that must be clear: alignment faults, A32 of the vectors, TEX
/// remap, access flag.
const SCTLR_OFF: u32 = 1 << 1 | 1 << 28 | 1 << 29 | 1 << 30;
/// ACTLR.SMP: this core takes part in coherency (Cortex-A15 TRM 4.3.29).
const ACTLR_SMP: u32 = 1 << 6;
/// PAR: there is no translation (B4.1.112).
const PAR_FAULT: u32 = 1;

/// What a mapping allows, and of what memory it is; each value as the
/// descriptor of a small page (B3.5.1, B3.7, B3.8.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Mapping(u32);

impl Mapping {
    const XN: u32 = 1;
    const SMALL_PAGE: u32 = 1 << 1;
    const AP_MONITOR: u32 = 0b01 << 4;
    const AP_PROGRAM: u32 = 0b11 << 4;
    const READ_ONLY: u32 = 1 << 9;
    const SHAREABLE: u32 = 1 << 10;
    const CACHED: u32 = 0b001 << 6 | 1 << 3 | 1 << 2 | Self::SHAREABLE;
    const UNCACHED: u32 = 0b001 << 6 | Self::SHAREABLE;
    const DEVICE: u32 = 1 << 2;

    const TEXT: Self = Self(Self::AP_MONITOR | Self::READ_ONLY | Self::CACHED);
    const CONSTANTS: Self = Self(Self::TEXT.0 | Self::XN);
    const DATA: Self = Self(Self::AP_MONITOR | Self::CACHED | Self::XN);
    const REGISTERS: Self = Self(Self::AP_MONITOR | Self::DEVICE | Self::XN);
    /// Pages that the other core or a controller also uses.
    const SHARED: Self = Self(Self::AP_MONITOR | Self::UNCACHED | Self::XN);
    const SHARED_CONSTANTS: Self = Self(Self::SHARED.0 | Self::READ_ONLY);

    const PROGRAM_TEXT: Self = Self(Self::AP_PROGRAM | Self::READ_ONLY | Self::CACHED);
    const PROGRAM_CONSTANTS: Self = Self(Self::PROGRAM_TEXT.0 | Self::XN);
    const PROGRAM_DATA: Self = Self(Self::AP_PROGRAM | Self::CACHED | Self::XN);
    const PROGRAM_MEDIA: Self =
        Self(Self::AP_PROGRAM | Self::READ_ONLY | Self::UNCACHED | Self::XN);
    /// Read from outside, so not cached.
    const PROGRAM_RECORDING: Self = Self(Self::AP_PROGRAM | Self::UNCACHED | Self::XN);

    /// The descriptor of the small page at `at`.
    const fn page(self, at: u32) -> u32 {
        at | Self::SMALL_PAGE | self.0
    }

    /// The descriptor of the section at `at`: the same bits at other places.
    const fn section(self, at: u32) -> u32 {
        const IS_SECTION: u32 = 1 << 1;
        let xn = (self.0 & 1) << 4;
        let kind = self.0 & 0b1100;
        let ap = (self.0 >> 4 & 0b11) << 10;
        let tex = (self.0 >> 6 & 0b111) << 12;
        let read_only = (self.0 >> 9 & 1) << 15;
        let shareable = (self.0 >> 10 & 1) << 16;
        at | IS_SECTION | xn | kind | ap | tex | read_only | shareable | self.is_program()
    }

    /// PXN, where a section has it: the monitor executes nothing of the
    /// program's (B3.7.2).
    const fn is_program(self) -> u32 {
        (self.0 & Self::AP_PROGRAM == Self::AP_PROGRAM) as u32
    }
}

/// First-level entry that points to a second-level table (domain 0), and its
/// PXN bit.
const IS_TABLE: u32 = 1;
const TABLE_PXN: u32 = 1 << 2;

/// Megabytes that are mapped page by page: the monitor's, the program's, the
/// program's page of datagrams, the program's recording, the interrupt
/// controller's, two of shared pools with a pool across a boundary, two of
/// controllers.
const SECOND_LEVEL: usize = 10;

/// The tables.
#[repr(C, align(16384))]
struct Tables {
    first: [u32; 4096],
    second: [[u32; 256]; SECOND_LEVEL],
    /// Second-level tables in use.
    used: usize,
}

static TABLES: Global<Tables> =
    Global::new(Tables { first: [0; 4096], second: [[0; 256]; SECOND_LEVEL], used: 0 });

/// A page of its own that the program shares with its monitor.
#[repr(C, align(4096))]
pub(super) struct Page(pub(super) [u8; PAGE as usize]);

/// The page of datagrams, at [`MAIL_OUT`] for the program.
pub(super) static OWN: Global<Page> = Global::new(Page([0; PAGE as usize]));

impl Tables {
    /// Maps `bytes` bytes at `from` to `to`, all multiples of a page.
    fn map(&mut self, from: u32, to: u32, bytes: u32, mapping: Mapping) {
        let mut done = 0;
        while done < bytes {
            let (at, target) = (from + done, to + done);
            let whole = at.is_multiple_of(SECTION)
                && target.is_multiple_of(SECTION)
                && bytes - done >= SECTION;
            if whole {
                self.first[(at / SECTION) as usize] = mapping.section(target);
                done += SECTION;
            } else {
                let pages = self.pages_of(at / SECTION, mapping);
                pages[(at % SECTION / PAGE) as usize] = mapping.page(target);
                done += PAGE;
            }
        }
    }

    /// The second-level table of a megabyte.
    fn pages_of(&mut self, megabyte: u32, mapping: Mapping) -> &mut [u32; 256] {
        let first = &mut self.first[megabyte as usize];
        let base = self.second.as_ptr() as u32;
        if *first == 0 {
            assert!(self.used < SECOND_LEVEL, "more megabytes than tables");
            let table = base + self.used as u32 * TABLE;
            self.used += 1;
            *first = table | IS_TABLE | (mapping.is_program() * TABLE_PXN);
        }
        let table = (*first & !(TABLE - 1)) - base;
        &mut self.second[(table / TABLE) as usize]
    }

    fn map_same(&mut self, span: Span, mapping: Mapping) {
        let bytes = (span.bytes as u32).next_multiple_of(PAGE);
        self.map(span.base.0 as u32, span.base.0 as u32, bytes, mapping);
    }

    /// The monitor's own memory, as the linker script laid it out.
    fn map_monitor(&mut self) {
        unsafe extern "C" {
            static core1_text: u8;
            static core1_constants: u8;
            static core1_guard: u8;
            static core1_data: u8;
            static core1_end: u8;
        }
        let mut map = |from: *const u8, to: *const u8, mapping| {
            let base = Phys(from as u64);
            self.map_same(Span { base, bytes: to as u64 - from as u64 }, mapping);
        };
        // The page at `core1_guard`, below the stack, belongs to nothing.
        map(&raw const core1_text, &raw const core1_constants, Mapping::TEXT);
        map(&raw const core1_constants, &raw const core1_guard, Mapping::CONSTANTS);
        map(&raw const core1_data, &raw const core1_end, Mapping::DATA);
    }

    /// The shared pages and registers that the monitor uses.
    fn map_shared(&mut self) {
        let places = &image::PLACES;
        let page = |base| Span { base, bytes: PAGE.into() };
        let mailbox = |n: u16| page(places.mailbox.plus(u64::from(n) * u64::from(PAGE)));
        for controller in places.controllers.iter().flatten() {
            self.map_same(page(controller.gate), Mapping::SHARED_CONSTANTS);
            self.map_same(controller.registers, Mapping::REGISTERS);
            self.map_same(controller.rings, Mapping::SHARED);
        }
        self.map_same(page(places.answers), Mapping::SHARED);
        self.map_same(page(places.windows), Mapping::SHARED_CONSTANTS);
        self.map_same(mailbox(APP_PAGE), Mapping::SHARED_CONSTANTS);
        self.map_same(mailbox(DSP_PAGE), Mapping::SHARED);
        let gic = [
            (gic::DISTRIBUTOR, gic::DISTRIBUTOR_BYTES),
            (gic::CPU_INTERFACE, gic::CPU_INTERFACE_BYTES),
            (FRAME, PAGE),
        ];
        for (base, bytes) in gic {
            self.map(base, base, bytes, Mapping::REGISTERS);
        }
    }

    /// What the program has.
    fn map_program(&mut self) {
        let program = &image::PROGRAM;
        self.map_same(program.text, Mapping::PROGRAM_TEXT);
        self.map_same(program.constants, Mapping::PROGRAM_CONSTANTS);
        self.map_same(program.ram, Mapping::PROGRAM_DATA);
        self.map(MAIL_OUT.0 as u32, OWN.get() as u32, PAGE, Mapping::PROGRAM_DATA);
        for (at, pool, mapping) in [
            (MEDIA, image::MEDIA, Mapping::PROGRAM_MEDIA),
            (RECORDING, image::RECORDING, Mapping::PROGRAM_RECORDING),
        ] {
            self.map(at.0 as u32, pool.base.0 as u32, pool.bytes as u32, mapping);
        }
        let tables = image::PLACES.windows.0 as u32 + u32::from(PEER_TABLES_PAGE) * PAGE;
        for n in 0..PEER_END.0 as u32 / SECTION {
            self.first[n as usize] = (tables + n * TABLE) | IS_TABLE | TABLE_PXN;
        }
    }
}

const _: () = assert!(image::RECORDING.bytes >= RECORDING_BYTES as u64);
const _: () = assert!(FRAME as u64 + bell::SETSPI as u64 + 4 <= FRAME as u64 + PAGE as u64);

/// Makes the tables and turns the MMU on.
///
/// # Safety
/// Once, at boot, with the MMU off and interrupts masked.
pub(super) unsafe fn start() {
    // SAFETY: this is the only code that ever makes a reference to the tables,
    // once, and the hardware does not read them yet.
    let tables = unsafe { &mut *TABLES.get() };
    tables.map_monitor();
    tables.map_shared();
    tables.map_program();
    let first = tables.first.as_ptr() as u32;
    // SAFETY: the tables map the monitor where it runs, its stack among it.
    // Caches are off and hold nothing of this core's, so that all of it is in
    // memory (PSCI CPU_ON starts a core as a reset does, Cortex-A15 TRM 2.3.1).
    unsafe {
        cp15::set_actlr(cp15::actlr() | ACTLR_SMP);
        cp15::invalidate_instructions(0);
        cp15::invalidate_branches(0);
        cp15::invalidate_tlb(0);
        cp15::set_dacr(DACR_CLIENT);
        cp15::set_ttbcr(TTBCR_WHOLE);
        cp15::set_ttbr0(first);
        cp15::set_contextidr(ASID);
        cp15::dsb();
        cp15::isb();
        cp15::set_sctlr(cp15::sctlr() & !SCTLR_OFF | SCTLR_ON);
        cp15::isb();
    }
}

/// Forgets every translation; when it returns no access is under way that used
/// an old one.
pub(super) fn forget_translations() {
    cp15::dsb();
    // SAFETY: what the tables say is right at any time; only copies go.
    unsafe { cp15::invalidate_tlb(0) };
    cp15::dsb();
    cp15::isb();
}

/// Where the program reads when it reads at `at`, if it may.
pub(super) fn translate(at: Peer) -> Option<Phys> {
    let at = u32::try_from(at.0).ok()?;
    // SAFETY: this writes PAR only, which the next line reads.
    unsafe { cp15::translate_unprivileged_read(at) };
    cp15::isb();
    let par = cp15::par();
    let page = par & !(PAGE - 1);
    (par & PAR_FAULT == 0).then(|| Phys(u64::from(page | (at % PAGE))))
}

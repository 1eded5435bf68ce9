//! The controller while it runs: registers, sizes, where things stand in
//! `dma_xhci`.
//!
//! The pool is divided once per start: what the controller only reads in front
//! (mapped read-only), then what it writes, then bounce pages for either way.

use crate::context::{Size, Words};
use crate::pages::{Page, RingAt};
use crate::pci::Function;
use crate::port::Protocols;
use crate::regs::Regs;
use addr::{Bus, PAGE};
use dma::Pool;
use dsp_abi::SESSIONS;
use trb::{Dci, InterrupterId, SlotId};

/// Slots in use at once; a device beyond that is refused with `NoSlots`.
pub(crate) const MAX_SLOTS: usize = 8;
/// Interrupters in use at once: the primary one, and one per session.
pub(crate) const MAX_INTERRUPTERS: usize = 1 + SESSIONS;
/// Scratchpad pages that the pool has room for; a controller that wants more is
/// not started.
pub(crate) const MAX_SCRATCHPADS: u16 = 40;

/// DCBAA, scratchpad array, ERSTs.
const TABLES: Page = Page(0);
/// The command ring.
const COMMANDS: Page = Page(1);
/// The input context of the one command under way.
const INPUT: Page = Page(2);
/// Pages that the controller only reads, from page 0.
pub(crate) const READ_PAGES: u16 = 3;
/// The primary event ring.
const EVENTS: Page = Page(3);
/// Device contexts, two to a page.
const CONTEXTS: Page = Page(4);
const CONTEXT_PAGES: u16 = MAX_SLOTS as u16 / 2;
/// The scratchpad, behind the contexts.
const SCRATCHPAD: Page = Page(CONTEXTS.0 + CONTEXT_PAGES);
const CONTEXT_PLACE: u32 = PAGE / 2;

/// Scratchpad Buffer Array in [`TABLES`], behind 256 DCBAA entries.
const SCRATCHPAD_ARRAY: u32 = 0x840;
/// ERST of interrupter n, one entry each, 64 bytes apart (table 6-1).
const SEGMENT_TABLES: u32 = 0xC00;
const SEGMENT_TABLE_STRIDE: u32 = 64;

const _: () = assert!(SCRATCHPAD_ARRAY + 8 * MAX_SCRATCHPADS as u32 <= SEGMENT_TABLES);
const _: () = assert!(SEGMENT_TABLES + SEGMENT_TABLE_STRIDE * MAX_INTERRUPTERS as u32 <= PAGE);

/// A place for a device context.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContextPlace(pub(crate) u8);

/// A controller that was set up.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Hw<'c> {
    pub(crate) regs: Regs<'c>,
    pub(crate) function: Function<'c>,
    pub(crate) protocols: Protocols,
    pub(crate) size: Size,
    /// Slots enabled.
    pub(crate) slots: u8,
    /// Interrupters usable.
    pub(crate) interrupters: u16,
    pub(crate) pool: &'c Pool,
    /// Where the controller sees page 0, and [`EVENTS`].
    pub(crate) read: Bus,
    pub(crate) written: Bus,
}

/// Pages from [`EVENTS`] that the controller writes.
pub(crate) const fn written_pages(scratchpads: u16) -> u16 {
    1 + CONTEXT_PAGES + scratchpads
}

/// The first page that is left for bounce buffers.
pub(crate) const fn bounce_start(scratchpads: u16) -> u16 {
    SCRATCHPAD.0 + scratchpads
}

impl<'c> Hw<'c> {
    fn bus_of(&self, page: Page) -> Bus {
        let (base, first) =
            if page.0 < READ_PAGES { (self.read, TABLES) } else { (self.written, EVENTS) };
        base.plus(u64::from(page.0 - first.0) * u64::from(PAGE))
    }

    /// Zeroes all that the controller will look at, and fills what never
    /// changes: the scratchpad array and the primary ERST.
    pub(crate) fn prepare(&self) {
        let pages = bounce_start(self.regs.caps.scratchpads);
        self.pool.hand_out(0, pages);
        self.pool.zero(0, u32::from(pages) * PAGE);
        for n in 0..self.regs.caps.scratchpads {
            let buffer = self.bus_of(Page(SCRATCHPAD.0 + n));
            self.write64(TABLES.offset() + SCRATCHPAD_ARRAY + 8 * u32::from(n), buffer.0);
        }
        if self.regs.caps.scratchpads > 0 {
            let array = self.bus_of(TABLES).plus(u64::from(SCRATCHPAD_ARRAY));
            self.write64(TABLES.offset(), array.0);
        }
        self.set_segment(InterrupterId::PRIMARY, self.bus_of(EVENTS));
        dma::publish();
    }

    /// DCBAA.
    pub(crate) fn contexts_bus(&self) -> Bus {
        self.bus_of(TABLES)
    }

    /// The command ring's memory, and where the controller sees it.
    pub(crate) fn commands(&self) -> (RingAt<'c>, Bus) {
        (RingAt::new(self.pool, COMMANDS), self.bus_of(COMMANDS))
    }

    /// Clears the command ring, which is stopped.
    pub(crate) fn clear_commands(&self) {
        self.pool.zero(COMMANDS.offset(), PAGE);
    }

    /// The primary event ring's memory, and where the controller sees it.
    pub(crate) fn events(&self) -> (RingAt<'c>, Bus) {
        (RingAt::new(self.pool, EVENTS), self.bus_of(EVENTS))
    }

    /// Writes the one entry of an interrupter's ERST, which is not in use.
    pub(crate) fn set_segment(&self, id: InterrupterId, ring: Bus) {
        let at = TABLES.offset() + Self::segment_table(id);
        self.write64(at, ring.0);
        self.pool.write32(at + 8, u32::from(trb::PER_PAGE));
        self.pool.write32(at + 12, 0);
        dma::publish();
    }

    /// Where the controller sees an interrupter's ERST.
    pub(crate) fn segment_table_bus(&self, id: InterrupterId) -> Bus {
        self.bus_of(TABLES).plus(u64::from(Self::segment_table(id)))
    }

    const fn segment_table(id: InterrupterId) -> u32 {
        SEGMENT_TABLES + id.number() as u32 * SEGMENT_TABLE_STRIDE
    }

    /// Gives a slot its zeroed device context, or takes it away.
    pub(crate) fn set_context(&self, slot: SlotId, place: Option<ContextPlace>) {
        let at = TABLES.offset() + 8 * u32::from(slot.number());
        let bus = match place {
            Some(place) => {
                self.pool.zero(Self::context(place), self.size.output_len());
                let offset = Self::context(place) - EVENTS.offset();
                self.bus_of(EVENTS).plus(u64::from(offset)).0
            }
            None => 0,
        };
        dma::publish();
        self.write64(at, bus);
        dma::publish();
    }

    const fn context(place: ContextPlace) -> u32 {
        CONTEXTS.offset() + place.0 as u32 * CONTEXT_PLACE
    }

    /// A context as the controller wrote it: 0 is the slot, endpoints their DCI.
    pub(crate) fn output(&self, place: ContextPlace, index: u8) -> Words {
        dma::acquire();
        self.words(Self::context(place) + self.size.output(index))
    }

    /// An endpoint's context as the controller wrote it.
    pub(crate) fn endpoint(&self, place: ContextPlace, dci: Dci) -> Words {
        self.output(place, dci.index())
    }

    /// Clears the input context and writes its control context.
    pub(crate) fn begin_input(&self, control: Words) {
        self.pool.zero(INPUT.offset(), self.size.input_len());
        self.put(INPUT.offset(), control);
    }

    /// Writes a context of the input context.
    pub(crate) fn input(&self, index: u8, words: Words) {
        self.put(INPUT.offset() + self.size.input(index), words);
    }

    /// Where the controller sees the input context.
    pub(crate) fn input_bus(&self) -> Bus {
        self.bus_of(INPUT)
    }

    fn put(&self, at: u32, words: Words) {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.pool.write(at, &bytes);
    }

    fn words(&self, at: u32) -> Words {
        let mut bytes = [0; 32];
        self.pool.read(at, &mut bytes);
        core::array::from_fn(|n| {
            u32::from_le_bytes([bytes[4 * n], bytes[4 * n + 1], bytes[4 * n + 2], bytes[4 * n + 3]])
        })
    }

    fn write64(&self, at: u32, value: u64) {
        self.pool.write(at, &value.to_le_bytes());
    }
}

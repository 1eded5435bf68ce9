//! The gate page: what the monitor lets the DSP program do.
//!
//! This driver writes the page and rings; the monitor brings itself into line
//! and says up to which sequence. Requests are levels (`dsp_abi::control`), so
//! a lost bell or a late answer costs time and nothing else.

use crate::Config;
use core::mem::offset_of;
use dsp_abi::SESSIONS;
use dsp_abi::bell::{GATE_TO_DSP, SETSPI};
use dsp_abi::control::{AnswerPage, GateEntry, GatePage};
use xhci_api::GateOpening;
use zerocopy::IntoBytes;

/// A session's place in the gate page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct GateIndex(u16);

impl GateIndex {
    /// The place of the sideband with this index.
    ///
    /// # Panics
    /// When the sideband table is larger than the page.
    pub(crate) fn new(index: u16) -> Self {
        assert!(usize::from(index) < SESSIONS, "a place in the gate page");
        Self(index)
    }
}

/// The gate page of this controller.
#[derive(Debug)]
pub(crate) struct Gate<'c> {
    config: &'c Config,
    /// The page of this controller in the pool.
    base: u32,
    sequence: u32,
    open: [Option<u32>; SESSIONS],
    generation: [u32; SESSIONS],
}

impl<'c> Gate<'c> {
    /// The page as an earlier life may have left it; [`void`](Self::void) is due.
    pub(crate) fn new(config: &'c Config) -> Self {
        let base = u32::from(config.controller) * addr::PAGE;
        let sequence = config.gate.read32(base + offset_of!(GatePage, sequence) as u32);
        let generation = core::array::from_fn(|index| {
            config.gate.read32(base + entry(index) + offset_of!(GateEntry, generation) as u32)
        });
        Self { config, base, sequence, open: [None; SESSIONS], generation }
    }

    /// Closes everything, of this life and of earlier ones; the sequence that
    /// confirms it.
    pub(crate) fn void(&mut self, epoch: u32) -> u32 {
        for index in 0..SESSIONS {
            self.set_open(index, 0);
        }
        self.open = [None; SESSIONS];
        self.set_primary(0);
        let at = self.base + offset_of!(GatePage, epoch) as u32;
        self.config.gate.write32(at, epoch);
        self.announce()
    }

    /// The controller runs: the monitor is to watch the primary interrupter,
    /// whose dequeue pointer register is at `register`.
    pub(crate) fn watch(&mut self, register: u32) {
        self.set_primary(register);
        self.announce();
    }

    fn set_primary(&self, register: u32) {
        let at = self.base + offset_of!(GatePage, primary) as u32;
        self.config.gate.write32(at, register);
    }

    /// What the next [`open`](Self::open) of a place will be.
    pub(crate) fn next_opening(&self, index: GateIndex) -> GateOpening {
        let generation = self.generation[usize::from(index.0)].wrapping_add(1);
        // Below SESSIONS.
        GateOpening { entry: index.0 as u8, generation }
    }

    /// Opens a place; the sequence that confirms it.
    pub(crate) fn open(&mut self, index: GateIndex, mut content: GateEntry) -> u32 {
        let index = usize::from(index.0);
        self.generation[index] = self.generation[index].wrapping_add(1);
        content.generation = self.generation[index];
        content.open = 0;
        self.config.gate.write(self.base + entry(index), content.as_bytes());
        dma::publish();
        self.set_open(index, 1);
        let sequence = self.announce();
        self.open[index] = Some(sequence);
        sequence
    }

    /// Closes a place; the sequence that confirms it, `None` when it was closed.
    pub(crate) fn close(&mut self, index: GateIndex) -> Option<u32> {
        let index = usize::from(index.0);
        self.open[index].take()?;
        self.set_open(index, 0);
        Some(self.announce())
    }

    /// Whether the monitor is in line with the page as of `sequence`.
    pub(crate) fn confirmed(&self, sequence: u32) -> bool {
        let at = offset_of!(AnswerPage, gate_done) + 4 * usize::from(self.config.controller);
        let done = self.config.answers.read32(at as u32);
        dma::acquire();
        reached(done, sequence)
    }

    /// Whether there is a monitor at all: without one nothing can be open.
    pub(crate) fn monitor_is_up(&self) -> bool {
        self.config.answers.read32(offset_of!(AnswerPage, monitor_epoch) as u32) != 0
    }

    fn set_open(&self, index: usize, open: u32) {
        let at = self.base + entry(index) + offset_of!(GateEntry, open) as u32;
        self.config.gate.write32(at, open);
    }

    fn announce(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        dma::publish();
        let at = self.base + offset_of!(GatePage, sequence) as u32;
        self.config.gate.write32(at, self.sequence);
        dma::publish();
        self.config.bells.write32(SETSPI, u32::from(GATE_TO_DSP));
        self.sequence
    }
}

/// Whether `done` is `sequence` or later; both wrap.
const fn reached(done: u32, sequence: u32) -> bool {
    done.wrapping_sub(sequence) < 1 << 31
}

const fn entry(index: usize) -> u32 {
    (offset_of!(GatePage, entries) + index * size_of::<GateEntry>()) as u32
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn a_sequence_is_reached_by_itself_and_later_ones_across_the_wrap() {
        assert!(reached(5, 5) && reached(6, 5) && !reached(4, 5));
        assert!(reached(2, u32::MAX) && !reached(u32::MAX, 2));
    }
}

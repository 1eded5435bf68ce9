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
pub struct GateIndex(u16);

impl GateIndex {
    /// The place of the sideband with this index.
    ///
    /// # Panics
    /// When the sideband table is larger than the page.
    #[must_use]
    pub fn new(index: u16) -> Self {
        assert!(usize::from(index) < SESSIONS, "a place in the gate page");
        Self(index)
    }
}

/// The gate page of this controller.
#[derive(Clone, Debug, Hash)]
pub struct Gate<'c> {
    config: &'c Config,
    sequence: u32,
    /// What may be open.
    open: [bool; SESSIONS],
    generation: [u32; SESSIONS],
    /// What confirms that all is closed that was open when it was voided.
    voided: u32,
    /// An earlier life of the driver may have opened it, and the monitor has not
    /// said since that nothing is open.
    inherited: bool,
}

/// Whether start-up can go on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Voided {
    /// It can.
    Yes,
    /// Not yet.
    NotYet,
    /// Not yet, and the monitor may not have heard.
    TellAgain,
}

impl<'c> Gate<'c> {
    /// The page as an earlier life may have left it; [`void`](Self::void) is due.
    #[must_use]
    pub fn new(config: &'c Config, epoch: u32) -> Self {
        let sequence = config.gate.read32(offset_of!(GatePage, sequence) as u32);
        let generation = core::array::from_fn(|index| {
            config.gate.read32(entry(index) + offset_of!(GateEntry, generation) as u32)
        });
        let open = [false; SESSIONS];
        // In its first life the driver has given nobody anything.
        let inherited = epoch != 0;
        Self { config, sequence, open, generation, voided: sequence, inherited }
    }

    /// Closes everything, of this life and of earlier ones.
    pub fn void(&mut self, epoch: u32) {
        for index in 0..SESSIONS {
            self.set_open(index, 0);
        }
        self.open = [false; SESSIONS];
        self.set_primary(0);
        let at = offset_of!(GatePage, epoch) as u32;
        self.config.gate.write32(at, epoch);
        self.voided = self.announce();
    }

    /// Whether start-up can go on after [`void`](Self::void), whose time may be
    /// up. What this life opened is waited for session by session; but which
    /// pages an earlier life gave away is not known, and none of them can be
    /// used before the monitor, if there is one, has taken all of it back.
    pub fn voided(&mut self, late: bool) -> Voided {
        let closed = self.confirmed(self.voided) || !self.monitor_is_up();
        self.inherited &= !closed;
        if closed || late && !self.inherited {
            Voided::Yes
        } else if late {
            Voided::TellAgain
        } else {
            Voided::NotYet
        }
    }

    /// The controller runs: the monitor is to watch the primary interrupter,
    /// whose dequeue pointer register is at `register`.
    pub fn watch(&mut self, register: u32) {
        self.set_primary(register);
        self.announce();
    }

    fn set_primary(&self, register: u32) {
        let at = offset_of!(GatePage, primary) as u32;
        self.config.gate.write32(at, register);
    }

    /// What the next [`open`](Self::open) of a place will be.
    #[must_use]
    pub fn next_opening(&self, index: GateIndex) -> GateOpening {
        let generation = self.generation[usize::from(index.0)].wrapping_add(1);
        // Below SESSIONS.
        GateOpening { entry: index.0 as u8, generation }
    }

    /// Opens a place; the sequence that confirms it.
    pub fn open(&mut self, index: GateIndex, mut content: GateEntry) -> u32 {
        let index = usize::from(index.0);
        self.generation[index] = self.generation[index].wrapping_add(1);
        content.generation = self.generation[index];
        content.open = 0;
        self.config.gate.write(entry(index), content.as_bytes());
        dma::publish();
        self.set_open(index, 1);
        self.open[index] = true;
        self.announce()
    }

    /// Closes a place; the sequence that confirms it, `None` when it was closed
    /// and the monitor has said so.
    pub fn close(&mut self, index: GateIndex) -> Option<u32> {
        let index = usize::from(index.0);
        if core::mem::take(&mut self.open[index]) {
            self.set_open(index, 0);
            return Some(self.announce());
        }
        (!self.confirmed(self.voided)).then_some(self.voided)
    }

    /// Whether the monitor is in line with the page as of `sequence`.
    #[must_use]
    pub fn confirmed(&self, sequence: u32) -> bool {
        let at = offset_of!(AnswerPage, gate_done) + 4 * usize::from(self.config.controller);
        let done = self.config.answers.read32(at as u32);
        dma::acquire();
        reached(done, sequence)
    }

    /// Whether there is a monitor at all: without one nothing can be open.
    #[must_use]
    pub fn monitor_is_up(&self) -> bool {
        self.monitor() != 0
    }

    /// The monitor's life; 0 before its first.
    #[must_use]
    pub fn monitor(&self) -> u32 {
        self.config.answers.read32(offset_of!(AnswerPage, monitor_epoch) as u32)
    }

    fn set_open(&self, index: usize, open: u32) {
        let at = entry(index) + offset_of!(GateEntry, open) as u32;
        self.config.gate.write32(at, open);
    }

    fn announce(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        dma::publish();
        let at = offset_of!(GatePage, sequence) as u32;
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

//! The peer's space: second-level tables for the DSP program, the window page,
//! and the monitor's confirmations.
//!
//! The monitor puts the tables under the program as they stand. It may hold a
//! translation for as long as it has not confirmed, so what is taken away counts
//! as reachable until [`PeerTables::done`] says otherwise. Requests are levels: the
//! page is brought up to date, `sequence` raised, the bell rung.

use addr::{PAGE, Peer, Phys};
use dma::Pool;
use dsp_abi::SESSIONS;
use dsp_abi::bell::{SETSPI, TLB_TO_DSP};
use dsp_abi::control::{AnswerPage, WindowEntry, WindowPage};
use iommu_api::Access;
use mmio::Registers;
use zerocopy::{FromBytes, IntoBytes};

use crate::descriptors::small_page;
use crate::layout::{EMPTY_PAGE, PEER, PEER_TABLES, WINDOW_PAGE};
use crate::smmu::page;

/// A request to the monitor; later ones are greater, in the sense of counters
/// that wrap.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(pub u32);

impl Sequence {
    /// Whether an answer up to `done` covers this request.
    #[must_use]
    pub const fn covered_by(self, done: Self) -> bool {
        done.0.wrapping_sub(self.0) as i32 >= 0
    }
}

/// The writer of the peer's tables.
#[derive(Clone, Debug, Hash)]
pub struct PeerTables<'c> {
    tables: &'c Pool,
    answers: &'c Pool,
    bells: &'c Registers,
    sequence: Sequence,
    /// What the window page says.
    windows: [WindowEntry; SESSIONS],
    /// The life of the monitor that was last seen; 0 before it came up.
    monitor: u32,
}

impl<'c> PeerTables<'c> {
    /// Empties the tables and the window page in life `epoch` of this task. When
    /// the monitor may hold something of an earlier life, the answer is the
    /// request to forget it.
    pub fn take_over(
        tables: &'c Pool,
        answers: &'c Pool,
        bells: &'c Registers,
        epoch: u32,
    ) -> (Self, Option<Sequence>) {
        let at = page(WINDOW_PAGE);
        // In the first life the page holds whatever memory holds.
        let old = if epoch == 0 { 0 } else { tables.read32(at) };
        let entries = PEER.buffers.limit / u64::from(PAGE);
        tables.zero(page(PEER_TABLES), entries as u32 * 4);
        tables.zero(at, size_of::<WindowPage>() as u32);
        tables.zero(page(EMPTY_PAGE), PAGE);
        tables.write32(at, old);
        tables.write32(at + 4, epoch);
        dma::publish();
        let mut peer = Self {
            tables,
            answers,
            bells,
            sequence: Sequence(old),
            windows: [WindowEntry::default(); SESSIONS],
            monitor: 0,
        };
        peer.monitor = peer.answer().monitor_epoch;
        let request = peer.request();
        let stale = epoch != 0 && peer.monitor != 0;
        (peer, stale.then_some(request))
    }

    /// Lets the peer see `count` pages from `to` at `at`.
    pub fn map(&self, at: Peer, to: Phys, count: u16, access: Access) {
        for n in 0..u64::from(count) {
            let offset = n * u64::from(PAGE);
            self.tables.write32(entry(at.plus(offset)), small_page(to.plus(offset), access));
        }
        dma::publish();
    }

    /// Takes `count` pages from `at` out of the tables, or puts the empty page in
    /// their place; the monitor has to be asked to forget them.
    #[inline(never)]
    pub fn unmap(&self, at: Peer, count: u16, leaves_empty: bool) {
        let empty = small_page(self.tables.phys(page(EMPTY_PAGE)), Access::ReadWrite);
        let left = if leaves_empty { empty } else { 0 };
        for n in 0..u64::from(count) {
            self.tables.write32(entry(at.plus(n * u64::from(PAGE))), left);
        }
        dma::publish();
    }

    /// Writes what the monitor may let TRBs of window `number` point at; whether
    /// that is a change, of which the monitor has to be told.
    pub fn write_window(&mut self, number: usize, window: &WindowEntry) -> bool {
        let written = &mut self.windows[number];
        if written == window {
            return false;
        }
        *written = *window;
        let at = page(WINDOW_PAGE) + 8 + (number * size_of::<WindowEntry>()) as u32;
        // Out of use while it is half written.
        self.tables.write32(at, 0);
        dma::publish();
        let bytes = window.as_bytes();
        self.tables.write(at + 4, &bytes[4..]);
        dma::publish();
        self.tables.write32(at, window.valid);
        dma::publish();
        true
    }

    /// The number that the next request will have.
    #[must_use]
    pub const fn next_request(&self) -> Sequence {
        Sequence(self.sequence.0.wrapping_add(1))
    }

    /// Asks the monitor to bring itself into line with tables and window page.
    pub fn request(&mut self) -> Sequence {
        self.sequence = self.next_request();
        dma::publish();
        self.tables.write32(page(WINDOW_PAGE), self.sequence.0);
        dma::publish();
        self.ring();
        self.sequence
    }

    /// Rings the monitor's bell, for what was asked already.
    pub fn ring(&self) {
        self.bells.write32(SETSPI, u32::from(TLB_TO_DSP));
    }

    /// Up to which request the monitor has confirmed (`None`: none of this life
    /// of the mapper), and whether it was reset, after which it has nothing of
    /// old to confirm.
    pub fn done(&mut self) -> (Option<Sequence>, Change) {
        let answer = self.answer();
        let change = if answer.monitor_epoch == self.monitor {
            Change::Same
        } else {
            self.monitor = answer.monitor_epoch;
            Change::Reset
        };
        let done = Sequence(answer.window_done);
        // Beyond what was asked is no answer to anything.
        (done.covered_by(self.sequence).then_some(done), change)
    }

    fn answer(&self) -> AnswerPage {
        let mut bytes = [0; size_of::<AnswerPage>()];
        self.answers.read(0, &mut bytes);
        dma::acquire();
        AnswerPage::read_from_bytes(&bytes).expect("as long as itself")
    }
}

/// Whether the monitor started over since it was last looked at.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// No.
    Same,
    /// It did: the DSP was reset and holds no translation.
    Reset,
}

const fn entry(at: Peer) -> u32 {
    page(PEER_TABLES) + (at.0 / PAGE as u64) as u32 * 4
}

const _: () = assert!(size_of::<WindowPage>() == 8 + SESSIONS * size_of::<WindowEntry>());

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn a_request_is_covered_by_its_own_answer_and_later_ones_also_past_the_wrap() {
        assert!(Sequence(5).covered_by(Sequence(5)));
        assert!(Sequence(5).covered_by(Sequence(6)));
        assert!(!Sequence(5).covered_by(Sequence(4)));
        assert!(Sequence(u32::MAX).covered_by(Sequence(1)));
        assert!(!Sequence(1).covered_by(Sequence(u32::MAX)));
    }
}

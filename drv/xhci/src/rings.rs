//! Pages of the pool of rings: which are in use, and which nobody uses and
//! still cannot be used again.
//!
//! The second kind are pages that the monitor or the DSP's program may still
//! reach, because one of them did not answer in time (DESIGN rule 6).

use crate::gate::Gate;
use crate::pages::{MAX_PAGES, Page, Pages};
use dma::Pool;
use iommu_api::IommuError;
use xhci_api::XhciError;

/// What keeps a page out of use although nobody has it any more.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// The monitor did not say in time that the gate is closed; this sequence
    /// would say it.
    UntilGate(u32),
    /// The DSP did not say in time that it forgot old translations: until the
    /// monitor is in another life than this.
    UntilReset(u32),
}

/// The pages.
#[derive(Clone, Debug, Hash)]
pub struct Rings<'p> {
    pages: Pages<'p>,
    held: [Option<(Page, Held)>; MAX_PAGES as usize],
}

impl<'p> Rings<'p> {
    /// All of `pool`, nothing in use.
    #[must_use]
    pub const fn new(pool: &'p Pool) -> Self {
        Self { pages: Pages::new(pool, 0, pool.pages()), held: [None; MAX_PAGES as usize] }
    }

    /// A page that nobody can reach, whatever is in it.
    pub fn take(&mut self, gate: &Gate<'_>) -> Option<Page> {
        for place in &mut self.held {
            let over = |why| match why {
                Held::UntilGate(sequence) => gate.confirmed(sequence),
                Held::UntilReset(life) => gate.monitor() != life,
            };
            if let Some((page, _)) = place.take_if(|(_, why)| over(*why)) {
                self.pages.give(page, 1);
            }
        }
        self.pages.take(1)
    }

    /// Takes a page back that nobody can reach.
    pub fn give(&mut self, page: Page) {
        self.pages.give(page, 1);
    }

    /// Keeps a page that nobody uses out of use.
    ///
    /// # Panics
    /// When there are more of them than pages: the driver lost count.
    pub fn hold(&mut self, page: Page, why: Held) {
        let place = self.held.iter_mut().find(|place| place.is_none());
        *place.expect("there is a place for each page") = Some((page, why));
    }

    /// The controller reaches nothing any more: all are free but those in `used`
    /// and those that are held.
    pub fn reset(&mut self, used: impl Iterator<Item = Page>) {
        let held = self.held.iter().flatten().map(|&(page, _)| page);
        self.pages.reset(used.chain(held));
    }
}

/// What `iommu`'s answer to `release` means for a page that was granted.
///
/// # Errors
/// While the peer may have the page.
pub const fn released(answer: Result<(), IommuError>) -> Result<(), XhciError> {
    match answer {
        Err(IommuError::StillMapped | IommuError::Quarantined) => Err(XhciError::StillMapped),
        Err(IommuError::ServerDied) => Err(XhciError::NotReady),
        // Released, or gone with an earlier life of `iommu`.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What `iommu`'s answer to `displace` means for a page that was placed.
///
/// # Errors
/// While the controller may have the page.
pub const fn displaced(answer: Result<(), IommuError>) -> Result<(), XhciError> {
    match answer {
        Err(IommuError::StillMapped) => Err(XhciError::StillMapped),
        Err(IommuError::SmmuTimeout) => Err(XhciError::MapFailed),
        // Until its next life begins, the SMMU lets through what it did.
        Err(IommuError::ServerDied) => Err(XhciError::NotReady),
        // Taken back, or gone with the window, an `attach` or a life of `iommu`.
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Rings};
    use crate::Config;
    use crate::gate::Gate;
    use core::mem::offset_of;
    use dma::Pool;
    use dsp_abi::control::{AnswerPage, GatePage};
    use mmio::{Phys, Registers};
    use seam::{Barrier, Bench, OnBench, Width};
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    const GATE: Phys = Phys(0x4400_0000);
    const ANSWERS: Phys = Phys(0x4400_1000);
    const RINGS: Phys = Phys(0x4401_0000);

    /// Words that are not zero.
    struct Words(RefCell<BTreeMap<u64, u8>>);

    impl Words {
        fn set(&self, at: Phys, value: u32) {
            self.dma_write(at.0, &value.to_le_bytes());
        }
    }

    impl Bench for Words {
        fn mmio_read(&self, _: u64, _: Width) -> u32 {
            0
        }

        fn mmio_write(&self, _: u64, _: Width, _: u32) {}

        fn dma_read(&self, address: u64, into: &mut [u8]) {
            let words = self.0.borrow();
            into.iter_mut().zip(address..).for_each(|(byte, at)| {
                *byte = words.get(&at).copied().unwrap_or(0);
            });
        }

        fn dma_write(&self, address: u64, from: &[u8]) {
            self.0.borrow_mut().extend((address..).zip(from.iter().copied()));
        }

        fn barrier(&self, _: Barrier) {}
    }

    fn config() -> Config {
        let registers = || Registers::simulated(Phys(0x0802_0000), 0x1000);
        Config {
            controller: 0,
            function: registers(),
            bar: registers(),
            bells: registers(),
            dma_xhci: Pool::simulated(1, RINGS, 0),
            dma_ring: Pool::simulated(2, RINGS, 2),
            gate: Pool::simulated(3, GATE, 1),
            answers: Pool::simulated(4, ANSWERS, 1),
            primary_vector: 80,
            dsp_vectors: 81,
            irq: 1,
            gate_bell: 2,
            iommu: 4,
            peer_changed: 8,
            usb_core: 5,
            offload_broker: 6,
            hubs: false,
        }
    }

    #[test]
    fn held_pages_come_back_with_the_word_or_the_reset_that_they_wait_for() {
        let machine = OnBench(Words(RefCell::default()));
        let _installed = seam::install(&machine);
        let answer = |at: usize, value| machine.0.set(ANSWERS.plus(at as u64), value);
        let config = config();
        let gate = Gate::new(&config, 0);
        let mut rings = Rings::new(&config.dma_ring);
        answer(offset_of!(AnswerPage, monitor_epoch), 3);
        let pages = [rings.take(&gate).unwrap(), rings.take(&gate).unwrap()];
        rings.hold(pages[0], Held::UntilGate(7));
        rings.hold(pages[1], Held::UntilReset(gate.monitor()));
        answer(offset_of!(AnswerPage, gate_done), 6);
        assert_eq!(rings.take(&gate), None);
        rings.reset(core::iter::empty());
        assert_eq!(rings.take(&gate), None, "the controller's reset is not what they wait for");
        answer(offset_of!(AnswerPage, gate_done), 7);
        assert_eq!(rings.take(&gate), Some(pages[0]));
        assert_eq!(rings.take(&gate), None);
        answer(offset_of!(AnswerPage, monitor_epoch), 4);
        assert_eq!(rings.take(&gate), Some(pages[1]));
    }

    #[test]
    fn what_was_voided_is_closed_with_the_monitors_word_and_not_before() {
        let machine = OnBench(Words(RefCell::default()));
        let _installed = seam::install(&machine);
        let answer = |at: usize, value| machine.0.set(ANSWERS.plus(at as u64), value);
        let config = config();
        answer(offset_of!(AnswerPage, monitor_epoch), 1);
        let mut gate = Gate::new(&config, 0);
        let index = crate::gate::GateIndex::new(0);
        let opened = gate.open(index, dsp_abi::control::GateEntry::default());
        gate.void(1);
        let sequence = gate.close(index).expect("it may be open");
        assert!(sequence > opened);
        answer(offset_of!(AnswerPage, gate_done), sequence);
        assert_eq!(gate.close(index), None);
        let mut sequence_of_page = [0; 4];
        machine.0.dma_read(GATE.0 + offset_of!(GatePage, sequence) as u64, &mut sequence_of_page);
        assert_eq!(u32::from_le_bytes(sequence_of_page), sequence);
    }

    #[test]
    fn a_next_life_waits_for_the_monitor_and_the_first_one_does_not() {
        use crate::gate::Voided;
        let machine = OnBench(Words(RefCell::default()));
        let _installed = seam::install(&machine);
        let answer = |at: usize, value| machine.0.set(ANSWERS.plus(at as u64), value);
        let config = config();
        let mut heir = Gate::new(&config, 1);
        heir.void(2);
        assert_eq!(heir.voided(false), Voided::Yes, "nobody is there to have anything");
        answer(offset_of!(AnswerPage, monitor_epoch), 1);
        let (mut first, mut heir) = (Gate::new(&config, 0), Gate::new(&config, 1));
        first.void(1);
        heir.void(2);
        assert_eq!([first.voided(false), first.voided(true)], [Voided::NotYet, Voided::Yes]);
        assert_eq!([heir.voided(false), heir.voided(true)], [Voided::NotYet, Voided::TellAgain]);
        answer(offset_of!(AnswerPage, gate_done), 9);
        assert_eq!(heir.voided(true), Voided::Yes);
        heir.void(2);
        answer(offset_of!(AnswerPage, gate_done), 0);
        assert_eq!(heir.voided(true), Voided::Yes, "its own it waits for session by session");
    }
}

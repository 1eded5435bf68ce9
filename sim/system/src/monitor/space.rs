//! The program's address space: what `iommu` mapped for the peer, the program's
//! own page, the media pool, read-only, and the recording pool.

use super::Span;
use addr::{PAGE, Peer, Phys};
use dsp_abi::control::PEER_TABLES_PAGE;
use dsp_abi::monitor::{MAIL_OUT, MEDIA, PEER_END, RECORDING};
use fabric::{Core, Fabric, PageLife};
use host::BusError;

/// Pages of the peer's space that `iommu` maps.
const PEER_PAGES: usize = (PEER_END.0 / PAGE as u64) as usize;

/// The space of one program.
#[derive(Debug)]
pub(super) struct Space {
    tables: Phys,
    media: Span,
    recording: Span,
    /// Second-level descriptors as they were when they were first used.
    tlb: Vec<Option<(u32, PageLife)>>,
    own: [u8; PAGE as usize],
}

/// Where a piece of the program's space is.
enum Place {
    /// In the program's own page.
    Own(usize),
    Ram(Phys),
}

impl Space {
    pub(super) fn new(tables: Phys, media: Span, recording: Span) -> Self {
        Self { tables, media, recording, tlb: vec![None; PEER_PAGES], own: [0; PAGE as usize] }
    }

    /// The program begins anew.
    pub(super) fn forget(&mut self) {
        self.own.fill(0);
    }

    /// The tables changed.
    pub(super) fn forget_translations(&mut self) {
        self.tlb.fill(None);
    }

    /// The program's own page from `at` on.
    pub(super) fn own(&mut self, at: Peer) -> &mut [u8] {
        let offset = at.offset_from(MAIL_OUT).expect("the mail places are in the program's page");
        &mut self.own[offset as usize..]
    }

    /// Reads for the program.
    ///
    /// # Errors
    /// Where its tables have no readable page.
    pub(super) fn read(
        &mut self,
        fabric: &mut Fabric,
        at: Peer,
        into: &mut [u8],
    ) -> Result<(), BusError> {
        self.pieces(fabric, at, into.len(), false, |own, fabric, place, range| match place {
            Place::Own(offset) => {
                let len = range.len();
                into[range].copy_from_slice(&own[offset..offset + len]);
                Ok(())
            }
            Place::Ram(phys) => {
                fabric.core_read(Core::Dsp, phys, &mut into[range]).map_err(|_| BusError)
            }
        })
    }

    /// Writes for the program.
    ///
    /// # Errors
    /// Where its tables have no writable page.
    pub(super) fn write(
        &mut self,
        fabric: &mut Fabric,
        at: Peer,
        from: &[u8],
    ) -> Result<(), BusError> {
        self.pieces(fabric, at, from.len(), true, |own, fabric, place, range| match place {
            Place::Own(offset) => {
                let len = range.len();
                own[offset..offset + len].copy_from_slice(&from[range]);
                Ok(())
            }
            Place::Ram(phys) => {
                fabric.core_write(Core::Dsp, phys, &from[range]).map_err(|_| BusError)
            }
        })
    }

    /// Cuts an access of the program at pages and hands each piece its place.
    fn pieces(
        &mut self,
        fabric: &mut Fabric,
        at: Peer,
        len: usize,
        write: bool,
        mut access: impl FnMut(
            &mut [u8],
            &mut Fabric,
            Place,
            std::ops::Range<usize>,
        ) -> Result<(), BusError>,
    ) -> Result<(), BusError> {
        let mut done = 0;
        while done < len {
            let here = at.checked_add(done as u64).ok_or(BusError)?;
            let room = PAGE as usize - (here.0 % u64::from(PAGE)) as usize;
            let step = room.min(len - done);
            let place = self.place(fabric, here, write).ok_or(BusError)?;
            access(&mut self.own, fabric, place, done..done + step)?;
            done += step;
        }
        Ok(())
    }

    fn place(&mut self, fabric: &mut Fabric, at: Peer, write: bool) -> Option<Place> {
        if at < PEER_END {
            return self.translate(fabric, at, write).map(Place::Ram);
        }
        if let Some(offset) = at.offset_from(RECORDING) {
            let Span { base, bytes } = self.recording;
            return (offset < bytes).then(|| Place::Ram(base.plus(offset)));
        }
        if let Some(offset) = at.offset_from(MEDIA) {
            let Span { base, bytes } = self.media;
            return (!write && offset < bytes).then(|| Place::Ram(base.plus(offset)));
        }
        let offset = at.offset_from(MAIL_OUT)?;
        (offset < u64::from(PAGE)).then_some(Place::Own(offset as usize))
    }

    /// Walks the peer's second-level tables: ARMv7 short descriptors, small
    /// pages (ARM ARM B3.5.1). Bits 5:4 and 9 are AP: 0b011 lets the program
    /// read and write, 0b010 and 0b111 only read.
    pub(super) fn translate(&mut self, fabric: &mut Fabric, at: Peer, write: bool) -> Option<Phys> {
        let page = (at.0 / u64::from(PAGE)) as usize;
        let cached = *self.tlb.get(page)?;
        let entry = match cached {
            Some((entry, shown)) => {
                fabric.reached_by_peer(at, base(entry), shown);
                entry
            }
            None => {
                let tables = self.tables.plus(u64::from(PEER_TABLES_PAGE) * u64::from(PAGE));
                let mut word = [0; 4];
                let at = tables.plus(page as u64 * 4);
                fabric.core_read(Core::Dsp, at, &mut word).expect("the peer's tables are RAM");
                let entry = u32::from_le_bytes(word);
                if entry & 2 != 0 {
                    self.tlb[page] = Some((entry, fabric.shown_to_peer(base(entry))));
                }
                entry
            }
        };
        let permission = (entry >> 4 & 3) | (entry >> 7 & 4);
        let allowed = match permission {
            0b011 => true,
            0b010 | 0b111 => !write,
            _ => false,
        };
        (entry & 2 != 0 && allowed).then(|| base(entry).plus(at.0 % u64::from(PAGE)))
    }
}

/// The page that a descriptor leads to.
const fn base(entry: u32) -> Phys {
    Phys((entry & !(PAGE - 1)) as u64)
}

#[cfg(test)]
mod tests {
    use super::Space;
    use addr::{Peer, Phys};
    use dsp_abi::control::PEER_TABLES_PAGE;
    use fabric::{Core, Fabric, Layout, Owner};

    const RAM: Phys = Phys(0x4000_0000);
    const PAGE: Phys = Phys(0x4000_F000);
    const AT: Peer = Peer(0x3000);

    /// A space whose one page, zeroed if that is wanted, has been handed out.
    fn shown(zeroed: bool) -> (Fabric, Space) {
        let mut fabric = Fabric::new(Layout::virt(16), 1);
        fabric.hand_out(PAGE, 1, Owner::AnyStream);
        if zeroed {
            fabric.core_write(Core::App, PAGE, &[0; 4096]).unwrap();
        }
        // AP = 0b011, normal memory: the program reads and writes.
        let entry = PAGE.0 as u32 | 3 << 4 | 2;
        let place = RAM.plus(u64::from(PEER_TABLES_PAGE) * 4096 + 3 * 4);
        fabric.core_write(Core::App, place, &entry.to_le_bytes()).unwrap();
        fabric.barrier(Core::App);
        let none = monitor::Span { base: PAGE, bytes: 0 };
        (fabric, Space::new(RAM, none, none))
    }

    #[test]
    fn the_program_is_shown_zeroed_pages_only() {
        for (zeroed, seen) in [(true, 0), (false, 1)] {
            let (mut fabric, mut space) = shown(zeroed);
            space.read(&mut fabric, AT, &mut [0; 4]).unwrap();
            space.write(&mut fabric, AT, &[7; 4]).unwrap();
            space.read(&mut fabric, AT, &mut [0; 4]).unwrap();
            assert_eq!(fabric.violations.count("PeerSawOldData"), seen);
            assert_eq!(fabric.violations.total(), u64::from(seen));
        }
    }

    #[test]
    fn a_page_that_was_freed_and_used_again_under_a_kept_translation_ends_the_run() {
        let (mut fabric, mut space) = shown(true);
        space.read(&mut fabric, AT, &mut [0; 4]).unwrap();
        fabric.take_back(Core::App, PAGE, 1);
        fabric.hand_out(PAGE, 1, Owner::AnyStream);
        space.read(&mut fabric, AT, &mut [0; 4]).unwrap();
        assert_eq!(fabric.violations.count("PeerStale"), 1);
        assert!(fabric.violations.fatal().is_some());
        // Forgotten in time it would have been the page's new owner's.
        let (mut fabric, mut space) = shown(true);
        space.read(&mut fabric, AT, &mut [0; 4]).unwrap();
        fabric.take_back(Core::App, PAGE, 1);
        space.forget_translations();
        fabric.hand_out(PAGE, 1, Owner::AnyStream);
        fabric.core_write(Core::App, PAGE, &[0; 4096]).unwrap();
        fabric.barrier(Core::App);
        space.read(&mut fabric, AT, &mut [0; 4]).unwrap();
        assert_eq!(fabric.violations.total(), 0);
    }
}

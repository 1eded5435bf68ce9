//! The program's address space: what `iommu` mapped for the peer, the program's
//! own page, and the media pool, read-only.

use addr::{PAGE, Peer, Phys};
use dsp_abi::control::PEER_TABLES_PAGE;
use dsp_abi::monitor::{MAIL_OUT, MEDIA, PEER_END};
use fabric::{Core, Fabric};
use host::BusError;

/// Pages of the peer's space that `iommu` maps.
const PEER_PAGES: usize = (PEER_END.0 / PAGE as u64) as usize;

/// The space of one program.
#[derive(Debug)]
pub(super) struct Space {
    tables: Phys,
    media: (Phys, u64),
    /// Second-level descriptors as they were when they were first used.
    tlb: Vec<Option<u32>>,
    own: [u8; PAGE as usize],
}

/// Where a piece of the program's space is.
enum Place {
    /// In the program's own page.
    Own(usize),
    Ram(Phys),
}

impl Space {
    pub(super) fn new(tables: Phys, media: (Phys, u64)) -> Self {
        Self { tables, media, tlb: vec![None; PEER_PAGES], own: [0; PAGE as usize] }
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
        if let Some(offset) = at.offset_from(MEDIA) {
            let (base, len) = self.media;
            return (!write && offset < len).then(|| Place::Ram(base.plus(offset)));
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
            Some(entry) => entry,
            None => {
                let tables = self.tables.plus(u64::from(PEER_TABLES_PAGE) * u64::from(PAGE));
                let mut word = [0; 4];
                let at = tables.plus(page as u64 * 4);
                fabric.core_read(Core::Dsp, at, &mut word).expect("the peer's tables are RAM");
                let entry = u32::from_le_bytes(word);
                if entry & 2 != 0 {
                    self.tlb[page] = Some(entry);
                    fabric.shown_to_peer(Phys(u64::from(entry & !(PAGE - 1))));
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
        let base = u64::from(entry & !(PAGE - 1));
        (entry & 2 != 0 && allowed).then(|| Phys(base | (at.0 % u64::from(PAGE))))
    }
}

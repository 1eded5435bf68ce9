//! The gate: which TRBs, doorbells and pointers the DSP may publish.
//!
//! The DSP's program writes a shadow ring; its monitor copies a TRB to the real
//! ring only after this crate found it legal, rings only the doorbells of the
//! session's own endpoints, and moves ERDP only within the session's own event
//! ring (DESIGN, "Handover"). Everything here is pure: words in, a verdict out.
//! The monitor on a board and the simulator's model of it call the same code.
//!
//! What passes can make the session's own sound wrong and nothing else. Not
//! here: whether the pages behind the addresses are mapped, which is the SMMU's
//! and the core's own tables'.

#![no_std]

use addr::Bus;
use dsp_abi::control::{GateEntry, GateRing, WindowEntry};
use trb::{CHAIN, Dci, IDT, IOC, PER_PAGE, TC, TRB_BYTES, Trb, TrbType};

/// Why the gate refuses. The number goes to the program and, in a notice, to
/// the broker, which revokes the session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Refusal {
    /// A ring number that is none, or a ring that the session does not have.
    NoRing = 1,
    /// Places outside the ring, or none.
    Places,
    /// Not where the last publication ended: TRBs that the controller may be
    /// reading are not written over.
    NotNext,
    /// A type that a session's ring never holds.
    Type,
    /// A bit that the specification reserves.
    Reserved,
    /// The cycle bit is not the producer's.
    Cycle,
    /// Immediate data in place of a pointer.
    Immediate,
    /// The buffer is not inside the session's transfer buffer.
    Buffer,
    /// The buffer crosses a 64 KiB boundary (6.4.1).
    Boundary,
    /// More bytes than the endpoint moves in a service interval.
    Length,
    /// Another interrupter's event ring.
    Interrupter,
    /// A Link elsewhere than in the last place, or anything else there.
    LinkPlace,
    /// A Link that does not lead back to the ring's beginning.
    LinkTarget,
    /// A chain that does not end within the publication, or that no descriptor
    /// of this type can have.
    Chain,
    /// An event ring place that is none.
    Dequeue,
}

/// Reserved bits of word 3 in Isoch TRBs (6.4.1.3): none but what is named
/// there; and of the others: 8:7 and 31:16, BEI and what follows apart.
const RESERVED_OTHER: u32 = 0xFFFF_0180;
/// Reserved bits of word 3 of a Link (6.4.4.1).
const RESERVED_LINK: u32 = 0xFFFF_03CC;
/// A TRB's buffer must not cross a boundary of this many bytes (6.4.1).
const BOUNDARY: u64 = 0x1_0000;
/// The last place of a ring page, where the Link is.
const LAST: u16 = PER_PAGE - 1;

/// One open ring of a session: what may be published on it, and where the
/// producer is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ring {
    /// Where the controller sees the ring.
    base: Bus,
    /// The session's transfer buffer, as the controller sees it.
    buffer: Bus,
    buffer_bytes: u32,
    interrupter: u16,
    max_payload: u32,
    next: u16,
    cycle: bool,
}

impl Ring {
    /// Ring `gate` of an entry whose window is `window`, empty as the handover
    /// left it.
    #[must_use]
    pub const fn new(gate: &GateRing, interrupter: u16, window: &WindowEntry) -> Self {
        let mut ring = Self {
            base: Bus(gate.bus as u64),
            buffer: Bus(0),
            buffer_bytes: 0,
            interrupter,
            max_payload: gate.max_payload,
            next: 0,
            cycle: true,
        };
        ring.set_window(window);
        ring
    }

    /// The window is another one from here on; one that is not valid has no
    /// buffer to point at.
    pub const fn set_window(&mut self, window: &WindowEntry) {
        self.buffer = Bus(window.buffer.bus as u64);
        self.buffer_bytes = if window.valid == 1 { window.buffer.len } else { 0 };
    }

    /// Checks a publication of `count` TRBs from place `first` on, which `trb`
    /// reads out of a copy that the program can no longer change. Nothing is
    /// published in part.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(
        &self,
        first: u32,
        count: u32,
        mut trb: impl FnMut(u16) -> Trb,
    ) -> Result<Checked, Refusal> {
        let in_ring = |n: &u16| *n < PER_PAGE;
        let first = u16::try_from(first).ok().filter(in_ring).ok_or(Refusal::Places)?;
        let count = u16::try_from(count).ok().filter(|&n| n != 0).ok_or(Refusal::Places)?;
        if count > PER_PAGE - first {
            return Err(Refusal::Places);
        }
        if first != self.next {
            return Err(Refusal::NotNext);
        }
        let mut chain: Option<u32> = None;
        for place in first..first + count {
            chain = self.check_one(place, trb(place), chain)?;
        }
        if chain.is_some() {
            return Err(Refusal::Chain);
        }
        let wraps = first + count == PER_PAGE;
        Ok(Checked { next: if wraps { 0 } else { first + count }, cycle: self.cycle != wraps })
    }

    /// The publication that was checked is in the real ring.
    pub const fn published(&mut self, checked: Checked) {
        self.next = checked.next;
        self.cycle = checked.cycle;
    }

    /// Checks one TRB. `chain` is the number of bytes so far of a descriptor
    /// that it must go on; the answer is the same for the next one.
    fn check_one(&self, place: u16, trb: Trb, chain: Option<u32>) -> Result<Option<u32>, Refusal> {
        if trb.cycle() != self.cycle {
            return Err(Refusal::Cycle);
        }
        let kind = trb.kind().ok_or(Refusal::Type)?;
        if (place == LAST) != (kind == TrbType::Link) {
            return Err(Refusal::LinkPlace);
        }
        if kind == TrbType::Link {
            return self.check_link(trb, chain);
        }
        match (kind, chain) {
            (TrbType::Isoch | TrbType::NoOp, None) | (TrbType::Normal, Some(_)) => {}
            (TrbType::Isoch | TrbType::NoOp | TrbType::Normal, _) => return Err(Refusal::Chain),
            _ => return Err(Refusal::Type),
        }
        if trb.interrupter().number() != self.interrupter {
            return Err(Refusal::Interrupter);
        }
        if kind != TrbType::Isoch && trb.0[3] & RESERVED_OTHER != 0 {
            return Err(Refusal::Reserved);
        }
        if trb.has(IDT) {
            return Err(Refusal::Immediate);
        }
        if kind == TrbType::NoOp {
            return if trb.has(CHAIN) { Err(Refusal::Chain) } else { Ok(None) };
        }
        self.check_buffer(trb)?;
        let bytes = chain.unwrap_or(0) + trb.length();
        if bytes > self.max_payload {
            return Err(Refusal::Length);
        }
        Ok(trb.has(CHAIN).then_some(bytes))
    }

    fn check_link(&self, trb: Trb, chain: Option<u32>) -> Result<Option<u32>, Refusal> {
        if trb.0[3] & RESERVED_LINK != 0 || trb.0[2] & 0x003F_FFFF != 0 {
            return Err(Refusal::Reserved);
        }
        if !trb.has(TC) || trb.pointer() != self.base {
            return Err(Refusal::LinkTarget);
        }
        if trb.has(IOC) && trb.interrupter().number() != self.interrupter {
            return Err(Refusal::Interrupter);
        }
        // A chained Link would carry a descriptor over into a publication that
        // is not checked yet.
        if trb.has(CHAIN) || chain.is_some() {
            return Err(Refusal::Chain);
        }
        Ok(None)
    }

    fn check_buffer(&self, trb: Trb) -> Result<(), Refusal> {
        let length = u64::from(trb.length());
        let offset = trb.pointer().offset_from(self.buffer).ok_or(Refusal::Buffer)?;
        match offset.checked_add(length) {
            Some(end) if end <= u64::from(self.buffer_bytes) => {}
            _ => return Err(Refusal::Buffer),
        }
        if trb.pointer().0 % BOUNDARY + length > BOUNDARY {
            return Err(Refusal::Boundary);
        }
        Ok(())
    }
}

/// A publication that was found legal, and where it leads.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    next: u16,
    cycle: bool,
}

/// What the doorbell register of the session's slot gets for ring `ring`.
///
/// # Errors
/// [`Refusal::NoRing`].
pub fn doorbell(entry: &GateEntry, ring: u32) -> Result<u32, Refusal> {
    let ring = entry.rings.get(ring as usize).filter(|ring| ring.dci != 0);
    let dci = ring.and_then(|ring| u8::try_from(ring.dci).ok()).ok_or(Refusal::NoRing)?;
    // The value of a doorbell without streams is the DCI (5.6).
    Dci::new(dci).map(|dci| u32::from(dci.index())).map_err(|_| Refusal::NoRing)
}

/// What ERDP gets when the program has consumed all events before `place`: the
/// pointer, and EHB to clear it (5.5.2.3.3).
///
/// # Errors
/// [`Refusal::Dequeue`].
pub fn dequeue(entry: &GateEntry, place: u32) -> Result<u64, Refusal> {
    const EHB: u64 = 1 << 3;
    if place >= u32::from(PER_PAGE) {
        return Err(Refusal::Dequeue);
    }
    let pointer = u64::from(entry.event_bus) + u64::from(place * TRB_BYTES);
    Ok(pointer | EHB)
}

#[cfg(test)]
mod tests {
    use super::{Checked, Refusal, Ring, dequeue, doorbell};
    use addr::Bus;
    use dsp_abi::control::{GateEntry, GateRing, WindowEntry, WindowExtent};
    use proptest::prelude::*;
    use trb::{CHAIN, IDT, IOC, InterrupterId, Isoch, PER_PAGE, Start, Trb};

    const BUS: u32 = 0x0002_2000;
    const BUFFER: u32 = 0x0042_F000;
    const BUFFER_BYTES: u32 = 0x3000;

    fn ring() -> Ring {
        let gate = GateRing { dci: 2, bus: BUS, max_payload: 192, ..GateRing::default() };
        let buffer = WindowExtent { bus: BUFFER, peer: 0, len: BUFFER_BYTES };
        Ring::new(&gate, 1, &WindowEntry { valid: 1, buffer })
    }

    fn packet(change: impl FnOnce(&mut Isoch)) -> Trb {
        let mut packet = Isoch {
            buffer: Bus(u64::from(BUFFER)),
            length: 192,
            max_packet: 192,
            max_burst: 0,
            start: Start::Asap,
            interrupter: InterrupterId::new(1).expect("a number"),
            flags: IOC,
        };
        change(&mut packet);
        packet.trb().with_cycle(true)
    }

    fn refused(trb: Trb) -> Refusal {
        ring().check(0, 1, |_| trb).expect_err("it is wrong")
    }

    #[test]
    fn a_packet_inside_the_window_passes_and_the_producer_moves_on() {
        let mut ring = ring();
        let checked = ring.check(0, 3, |_| packet(|_| ())).expect("it is right");
        ring.published(checked);
        assert_eq!(ring.check(0, 1, |_| packet(|_| ())), Err(Refusal::NotNext));
        assert!(ring.check(3, 1, |_| packet(|_| ())).is_ok());
    }

    #[test]
    fn a_window_that_is_taken_away_takes_the_buffer_with_it() {
        let mut ring = ring();
        let buffer = WindowExtent { bus: BUFFER, peer: 0, len: BUFFER_BYTES };
        ring.set_window(&WindowEntry { valid: 0, buffer });
        assert_eq!(ring.check(0, 1, |_| packet(|_| ())), Err(Refusal::Buffer));
        ring.set_window(&WindowEntry { valid: 1, buffer });
        assert!(ring.check(0, 1, |_| packet(|_| ())).is_ok());
    }

    #[test]
    fn the_round_ends_with_its_link_and_the_cycle_turns() {
        let mut ring = ring();
        let link = trb::link(Bus(u64::from(BUS)), true).with_cycle(true);
        let all = |place| if place == PER_PAGE - 1 { link } else { packet(|_| ()) };
        let checked = ring.check(0, 256, all).expect("a whole round");
        assert_eq!(checked, Checked { next: 0, cycle: false });
        ring.published(checked);
        assert_eq!(ring.check(0, 1, |_| packet(|_| ())), Err(Refusal::Cycle));
        assert!(ring.check(0, 1, |_| packet(|_| ()).with_cycle(false)).is_ok());
    }

    #[test]
    fn each_wrong_thing_has_its_code() {
        assert_eq!(refused(packet(|p| p.buffer = Bus(u64::from(BUFFER) - 1))), Refusal::Buffer);
        let end = u64::from(BUFFER + BUFFER_BYTES);
        assert_eq!(refused(packet(|p| p.buffer = Bus(end - 191))), Refusal::Buffer);
        assert_eq!(refused(packet(|p| p.buffer = Bus(u64::MAX - 3))), Refusal::Buffer);
        assert_eq!(refused(packet(|p| p.buffer = Bus(0x42_FFA0))), Refusal::Boundary);
        assert_eq!(refused(packet(|p| p.length = 193)), Refusal::Length);
        let other = InterrupterId::new(0).expect("a number");
        assert_eq!(refused(packet(|p| p.interrupter = other)), Refusal::Interrupter);
        assert_eq!(refused(packet(|p| p.flags = IDT)), Refusal::Immediate);
        assert_eq!(refused(packet(|p| p.flags = CHAIN)), Refusal::Chain);
        assert_eq!(refused(packet(|_| ()).with_cycle(false)), Refusal::Cycle);
        assert_eq!(refused(trb::Command::NoOp.trb().with_cycle(true)), Refusal::Type);
        assert_eq!(
            refused(trb::link(Bus(u64::from(BUS)), true).with_cycle(true)),
            Refusal::LinkPlace
        );
        assert_eq!(refused(Trb([0, 0, 1 << 22, 63 << 10 | 1])), Refusal::Type);
        let mut reserved = trb::no_op(InterrupterId::new(1).expect("a number"), 0);
        reserved.0[3] |= 1 << 20 | 1;
        assert_eq!(refused(reserved), Refusal::Reserved);
    }

    /// D-6: nor to a second segment that nobody mapped.
    #[test]
    fn a_link_leads_back_and_nowhere_else() {
        let mut ring = ring();
        ring.published(Checked { next: PER_PAGE - 1, cycle: true });
        let link = |target: u64, toggle| trb::link(Bus(target), toggle).with_cycle(true);
        let check = |trb: Trb| ring.check(255, 1, |_| trb);
        assert!(check(link(u64::from(BUS), true)).is_ok());
        assert_eq!(check(link(u64::from(BUS) + 16, true)), Err(Refusal::LinkTarget));
        assert_eq!(check(link(0x1000, true)), Err(Refusal::LinkTarget));
        assert_eq!(check(link(u64::from(BUS), false)), Err(Refusal::LinkTarget));
        assert_eq!(check(packet(|_| ())), Err(Refusal::LinkPlace));
        let mut chained = link(u64::from(BUS), true);
        chained.0[3] |= CHAIN;
        assert_eq!(check(chained), Err(Refusal::Chain));
    }

    #[test]
    fn a_chain_ends_within_the_publication_and_within_the_payload() {
        let first = packet(|p| {
            p.length = 100;
            p.flags = CHAIN;
        });
        let interrupter = InterrupterId::new(1).expect("a number");
        let rest = |length| {
            trb::normal(Bus(u64::from(BUFFER)), length, 0, interrupter, IOC).with_cycle(true)
        };
        let two = |length| move |place| if place == 0 { first } else { rest(length) };
        assert!(ring().check(0, 2, two(92)).is_ok());
        assert_eq!(ring().check(0, 2, two(93)), Err(Refusal::Length));
        assert_eq!(ring().check(0, 1, two(92)), Err(Refusal::Chain));
        assert_eq!(ring().check(0, 2, |_| first), Err(Refusal::Chain));
        assert_eq!(ring().check(0, 1, |_| rest(10)), Err(Refusal::Chain));
    }

    #[test]
    fn places_are_the_rings_own() {
        let check = |first, count| ring().check(first, count, |_| packet(|_| ()));
        assert_eq!(check(0, 0), Err(Refusal::Places));
        assert_eq!(check(0, 257), Err(Refusal::Places));
        assert_eq!(check(256, 1), Err(Refusal::Places));
        assert_eq!(check(u32::MAX, 2), Err(Refusal::Places));
        assert_eq!(check(1, 1), Err(Refusal::NotNext));
    }

    #[test]
    fn doorbell_and_dequeue_stay_within_the_session() {
        let mut entry = GateEntry { event_bus: 0x1000, ..GateEntry::default() };
        entry.rings[0].dci = 2;
        assert_eq!(doorbell(&entry, 0), Ok(2));
        assert_eq!(doorbell(&entry, 1), Err(Refusal::NoRing));
        assert_eq!(doorbell(&entry, 2), Err(Refusal::NoRing));
        assert_eq!(dequeue(&entry, 3), Ok(0x1038));
        assert_eq!(dequeue(&entry, 256), Err(Refusal::Dequeue));
    }

    proptest! {
        /// Whatever the program writes: what passes points into the window,
        /// targets the session's interrupter, and leads nowhere else.
        #[test]
        fn nothing_passes_that_could_reach_out(
            words in any::<[u32; 4]>(),
            near in any::<bool>(),
            place in 0_u16..256,
        ) {
            let mut trb = Trb(words);
            if near {
                trb.0[0] = BUFFER + trb.0[0] % (BUFFER_BYTES + 64);
                trb.0[1] = 0;
                trb.0[2] = (1 << 22) | (trb.0[2] % 256);
                trb.0[3] = (5 << 10) | (trb.0[3] & 0xFFFF_03FF);
            }
            let mut ring = ring();
            ring.published(Checked { next: place, cycle: true });
            if ring.check(u32::from(place), 1, |_| trb).is_ok() {
                let kind = trb.type_number();
                prop_assert!(matches!(kind, 5 | 6 | 8));
                if kind == 5 {
                    prop_assert!(trb.pointer().0 >= u64::from(BUFFER));
                    let end = trb.pointer().0 + u64::from(trb.length());
                    prop_assert!(end <= u64::from(BUFFER + BUFFER_BYTES));
                }
                if kind == 6 {
                    prop_assert_eq!(trb.pointer(), Bus(u64::from(BUS)));
                } else {
                    prop_assert_eq!(trb.interrupter().number(), 1);
                }
            }
        }
    }
}

//! Calls of the monitor, and what each must be answered.

use crate::listen::{Granted, Listening};
use crate::mail;
use crate::plan::Master;
use crate::tally::Attempt;
use addr::Bus;
use dsp_abi::mailbox::{DATAGRAM, DSP_NODE};
use dsp_abi::monitor::{Call, Status};
use gate::Refusal;
use program::core::Core;
use qmi::qrtr::{Address, Node, Port};
use rng::Rng;
use trb::{CHAIN, CYCLE, IDT, IOC, InterrupterId, Isoch, PER_PAGE, Start, TRB_BYTES, Trb};

/// Most TRBs that one attempt publishes.
const MOST: usize = 21;
/// Bytes of the shortest of our packets.
const PACKET: u32 = 64;

/// An address that is none of the session's business: contexts, command ring,
/// primary event ring, other sessions' rings, tables; the doorbell that MSIs
/// are rung with, the controllers' registers; anything at all.
fn foreign(rng: &mut Rng, granted: &Granted) -> u64 {
    let buffer = granted.memory.xfer_buff;
    loop {
        let at = match rng.below(9) {
            0 => 0x4000_0000 + u64::from(rng.below(0x0080_0000)),
            1 => 0x0802_0040,
            2 => 0x1000_0000 + u64::from(rng.below(0x2_0000)),
            3 => 0x0905_0000 + u64::from(rng.below(0x2_0000)),
            4 => u64::from(rng.below(0x0100_0000)),
            5 => rng.bits(),
            6 => granted.memory.tr_data.dma.0 + u64::from(rng.below(16)) * 0x1000,
            // Where `iommu` puts the doorbell's page and what drivers map.
            7 => 0x8000_0000 + u64::from(rng.below(0x7FFF_FFFF)),
            // Just before and just behind.
            _ if rng.one_in(2) => buffer.dma.0 - 1 - u64::from(rng.below(PACKET)),
            _ => buffer.dma.0 + u64::from(buffer.size) - u64::from(rng.below(PACKET)),
        };
        // Where a packet would fit, the gate rightly lets it be.
        let inside = at.wrapping_sub(buffer.dma.0) < u64::from(buffer.size);
        if !inside || at + u64::from(PACKET) > buffer.dma.0 + u64::from(buffer.size) {
            return at;
        }
    }
}

/// An attempt: what, the TRBs to publish, and the code that it must have.
struct Publication {
    attempt: Attempt,
    trbs: [Trb; MOST],
    count: usize,
    code: Option<Refusal>,
}

impl Publication {
    const fn one(attempt: Attempt, trb: Trb, code: Option<Refusal>) -> Self {
        Self { attempt, trbs: [trb; MOST], count: 1, code }
    }

    /// Publishes it from the place on where the ring goes on; not when that is
    /// nearer to the ring's end.
    fn publish<M: Master>(&self, core: &Listening<'_, M>, granted: &Granted) {
        let (next, _) = core.next.get();
        if self.count > usize::from(PER_PAGE - next) {
            return;
        }
        let trbs = self.trbs.iter().take(self.count);
        for (place, trb) in (u64::from(next)..).zip(trbs) {
            let mut bytes = [0; TRB_BYTES as usize];
            for (bytes, word) in bytes.chunks_exact_mut(4).zip(trb.0) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            core.write(granted.memory.tr_data.iova.plus(place * u64::from(TRB_BYTES)), &bytes);
        }
        let count = self.count as u32;
        let call = [Call::Publish as u32, granted.session, 0, u32::from(next), count, 0];
        core.note(self.attempt, core.master.raw(call), Status::Refused, self.code);
    }
}

/// One attempt that must be refused.
pub(crate) fn wrong<M: Master>(core: &Listening<'_, M>, granted: &Granted) {
    let kind = core.rng.borrow_mut().below(24);
    match kind {
        0..=13 => {
            let publication = wrong_trbs(core, granted, kind);
            publication.publish(core, granted);
        }
        _ => wrong_words(core, granted, kind),
    }
}

/// TRBs that are wrong in the way of `kind`, 0 to 13.
fn wrong_trbs<M: Master>(core: &Listening<'_, M>, granted: &Granted, kind: u32) -> Publication {
    let (next, cycle) = core.next.get();
    let mut rng = core.rng.borrow_mut();
    let own = u16::from(granted.interrupter);
    let packet = Isoch {
        buffer: granted.memory.xfer_buff.dma,
        length: PACKET,
        max_packet: granted.max_packet & 0x7FF,
        max_burst: 0,
        start: Start::Asap,
        interrupter: InterrupterId::new(own).expect("it was granted"),
        flags: IOC,
    };
    let right = packet.trb().with_cycle(cycle);
    let [body0, body1, status, control] = right.0;
    let last = next == PER_PAGE - 1;
    // Behind the last packet only a Link is in its place.
    let unless_last = |code| Some(if last { Refusal::LinkPlace } else { code });
    match kind {
        0..=3 => {
            let buffer = Bus(foreign(&mut rng, granted));
            let trb = Isoch { buffer, ..packet }.trb().with_cycle(cycle);
            Publication::one(Attempt::ForeignBuffer, trb, unless_last(Refusal::Buffer))
        }
        4 => {
            let mut other = own;
            while other == own {
                other = rng.below(1024) as u16;
            }
            let interrupter = InterrupterId::new(other).expect("ten bits");
            let trb = Isoch { interrupter, ..packet }.trb().with_cycle(cycle);
            Publication::one(Attempt::ForeignInterrupter, trb, unless_last(Refusal::Interrupter))
        }
        5 => {
            let kinds = [0, 2, 3, 4, 7, 9, 10, 12, 15, 23, 32, 33, 34, 39, 48, 63];
            let kind = kinds[rng.below(kinds.len() as u32) as usize];
            let trb = Trb([body0, body1, status, control & !(63 << 10) | kind << 10]);
            Publication::one(Attempt::ForeignType, trb, None)
        }
        6 => {
            let trb = Trb([body0, body1, status, control | IDT]);
            Publication::one(Attempt::ImmediateData, trb, unless_last(Refusal::Immediate))
        }
        7 => {
            let trb = Trb([body0, body1, status, control | CHAIN]);
            Publication::one(Attempt::ChainWithoutEnd, trb, unless_last(Refusal::Chain))
        }
        8 => {
            let trb = Trb([body0, body1, status, control ^ CYCLE]);
            Publication::one(Attempt::ForeignCycle, trb, Some(Refusal::Cycle))
        }
        9 => {
            let trb = Isoch { length: 0x1_0000, ..packet }.trb().with_cycle(cycle);
            let [body0, body1, status, control] = trb.0;
            let trb = Trb([body0, body1, status | 0xF000, control]);
            Publication::one(Attempt::TooMuch, trb, None)
        }
        10..=12 => {
            let target = match foreign(&mut rng, granted) {
                // The one place that a Link may lead to.
                at if at == granted.memory.tr_data.dma.0 => at + u64::from(TRB_BYTES),
                at => at,
            };
            let trb = trb::link(Bus(target), rng.one_in(2)).with_cycle(cycle);
            let code = if last { None } else { Some(Refusal::LinkPlace) };
            Publication::one(Attempt::LinkElsewhere, trb, code)
        }
        _ => {
            // Right ones in front do not help a wrong one.
            let count = 1 + rng.below(MOST as u32 - 1) as usize;
            let mut trbs = [right; MOST];
            trbs[count] = Trb([0xDEAD_BEE0, 0, status, control]);
            Publication { attempt: Attempt::WrongBehindRight, trbs, count: count + 1, code: None }
        }
    }
}

/// A call whose words are wrong in the way of `kind`, 14 to 23.
fn wrong_words<M: Master>(core: &Listening<'_, M>, granted: &Granted, kind: u32) {
    let next = u32::from(core.next.get().0);
    let rng = || core.rng.borrow_mut();
    let any = || core.rng.borrow_mut().bits() as u32;
    let (attempt, call, status, code) = match kind {
        14 => {
            let mut first = next;
            while first == next {
                first = any();
            }
            let count = 1 + rng().below(300);
            let call = [Call::Publish as u32, granted.session, 0, first, count, 0];
            (Attempt::PlacesElsewhere, call, Status::Refused, None)
        }
        15 => {
            let count = [0, 257, 300, u32::MAX][rng().below(4) as usize];
            let call = [Call::Publish as u32, granted.session, 0, next, count, 0];
            (Attempt::Counts, call, Status::Refused, Some(Refusal::Places))
        }
        16 => {
            let ring = 2 + any() % (u32::MAX - 2);
            let call = if rng().one_in(2) { Call::Doorbell } else { Call::Publish };
            let call = [call as u32, granted.session, ring, next, 1, 0];
            (Attempt::NoRing, call, Status::Refused, Some(Refusal::NoRing))
        }
        17 | 18 => {
            let calls = [Call::Doorbell, Call::Publish, Call::Dequeue];
            let call = calls[rng().below(3) as usize];
            let mut session = granted.session;
            while session == granted.session {
                session = if rng().one_in(2) { rng().below(16) } else { any() };
            }
            (Attempt::ForeignSession, [call as u32, session, 0, next, 1, 0], Status::Closed, None)
        }
        19 => {
            let place = u32::from(PER_PAGE) + any() % (u32::MAX - 256);
            let call = [Call::Dequeue as u32, granted.session, place, 0, 0, 0];
            (Attempt::DequeueOutside, call, Status::Refused, Some(Refusal::Dequeue))
        }
        20 => {
            let number = 8 + any() % (u32::MAX - 8);
            let call = [number, any(), granted.session, 0, 1, 2];
            (Attempt::NoSuchCall, call, Status::BadCall, None)
        }
        21 => {
            let len = DATAGRAM as u32 + 1 + any() % 0xFFFF_0000;
            let call = [Call::MailSend as u32, len, 0, 0, 0, 0];
            (Attempt::LongDatagram, call, Status::BadDatagram, None)
        }
        22 => {
            let mut node = DSP_NODE;
            while node == DSP_NODE {
                node = rng().below(9);
            }
            let from = Address { node: Node(node), port: Port(rng().below(0x20)) };
            let len = mail::put_foreign(core.master, from, granted.broker);
            let call = [Call::MailSend as u32, len, 0, 0, 0, 0];
            (Attempt::ForeignSource, call, Status::BadDatagram, None)
        }
        _ => {
            let ring = granted.memory.evt_ring.iova.low();
            let mut at = ring;
            while at & !0xFFF == ring {
                at = any();
            }
            let call = [Call::FindSession as u32, at, 0, 0, 0, 0];
            (Attempt::NoEventRing, call, Status::Closed, None)
        }
    };
    core.note(attempt, core.master.raw(call), status, code);
}

/// A call that may be made any number of times.
pub(crate) fn allowed<M: Master>(core: &Listening<'_, M>, granted: &Granted) {
    let kind = core.rng.borrow_mut().below(4);
    let call = match kind {
        0 => [Call::Now as u32, 0, 0, 0, 0, 0],
        1 => [Call::MailReceive as u32, 0, 0, 0, 0, 0],
        2 => [Call::FindSession as u32, granted.memory.evt_ring.iova.low(), 0, 0, 0, 0],
        _ => [Call::Doorbell as u32, granted.session, 0, 0, 0, 0],
    };
    core.note(Attempt::AllowedCall, core.master.raw(call), Status::Ok, None);
}

/// A dequeue pointer that is inside the event ring, wherever its events are.
pub(crate) fn dequeue<M: Master>(core: &Listening<'_, M>, granted: &Granted) {
    let place = core.rng.borrow_mut().below(u32::from(PER_PAGE));
    let call = [Call::Dequeue as u32, granted.session, place, 0, 0, 0];
    core.note(Attempt::DequeueInside, core.master.raw(call), Status::Ok, None);
}

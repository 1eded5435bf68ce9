//! What the program tries, and what it must be answered.

use crate::program::{Granted, Plan, Shared};
use addr::{Bus, Peer};
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_abi::monitor::{Call, MAIL_OUT, Status};
use fabric::Rng;
use gate::Refusal;
use program::core::{Core, Simulated};
use qmi::qrtr::{Address, CONTROL_PORT, Frame, FrameKind, Node, Port};
use std::collections::BTreeMap;
use trb::{CHAIN, CYCLE, IDT, IOC, InterrupterId, Isoch, PER_PAGE, Start, TRB_BYTES, Trb};

/// What was answered, by what was tried.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Attempts that must be refused, and were, by the gate's code.
    pub(crate) refused: BTreeMap<u32, u32>,
    /// The same, by the monitor's status.
    pub(crate) statuses: BTreeMap<u32, u32>,
    /// Attempts that had another end than they must have.
    pub(crate) surprises: Vec<String>,
    /// Attempts that the gate would have refused, had it not been closed.
    pub(crate) closed: u32,
    /// Datagrams that went out, and that found no room.
    pub(crate) sent: u32,
    pub(crate) full: u32,
    /// What was read by probes that were let through.
    pub(crate) probed: Vec<(u32, bool)>,
}

impl Tally {
    pub(crate) fn total(&self) -> u32 {
        self.statuses.values().sum()
    }

    fn note(&mut self, what: &str, answer: [u32; 4], status: Status, code: Option<Refusal>) {
        *self.statuses.entry(answer[0]).or_default() += 1;
        if answer[0] == Status::Refused as u32 {
            *self.refused.entry(answer[1]).or_default() += 1;
        }
        if answer[0] == Status::Closed as u32 && status == Status::Refused {
            self.closed += 1;
            return;
        }
        let expected = code.is_none_or(|code| answer[1] == code as u32);
        if answer[0] != status as u32 || !expected {
            self.surprises.push(format!("{what}: {answer:?}, not {status:?} {code:?}"));
        }
    }
}

/// Carries a plan out. It may end in the program's death.
pub(crate) fn carry_out(shared: &Shared, plan: Plan) {
    match plan {
        Plan::None => {}
        Plan::Calls(count) => {
            let granted = shared.granted.get().expect("the plan is for a program with a session");
            for _ in 0..count {
                wrong_call(shared, &granted);
            }
        }
        Plan::Mail(count) => (0..count).for_each(|_| datagram(shared)),
        Plan::Busy(count) => {
            let granted = shared.granted.get().expect("the plan is for a program with a session");
            for _ in 0..count {
                allowed_call(shared, &granted);
            }
        }
        Plan::Dequeue(count) => {
            let granted = shared.granted.get().expect("the plan is for a program with a session");
            for _ in 0..count {
                let place = shared.rng.borrow_mut().below(u32::from(PER_PAGE));
                let answer = raw([Call::Dequeue as u32, granted.session, place, 0, 0, 0]);
                shared.tally.borrow_mut().note("dequeue", answer, Status::Ok, None);
            }
        }
        Plan::Probe(at, write) => {
            let mut word = [0xEE; 4];
            if write {
                Simulated.write(Peer(u64::from(at)), &word);
            } else {
                Simulated.read(Peer(u64::from(at)), &mut word);
            }
            shared.tally.borrow_mut().probed.push((at, write));
        }
    }
}

/// Any call of the monitor, also one that it does not have.
fn raw(call: [u32; 6]) -> [u32; 4] {
    seam::with(|machine| machine.monitor(call))
}

/// An address that is none of the session's business: contexts, command ring,
/// primary event ring, other sessions' rings, tables; the doorbell that MSIs
/// are rung with, the controllers' registers; anything at all.
fn foreign(rng: &mut Rng, granted: &Granted) -> u64 {
    let buffer = granted.memory.xfer_buff;
    loop {
        let at = match rng.below(8) {
            0 => 0x4000_0000 + u64::from(rng.below(0x0080_0000)),
            1 => 0x0802_0040,
            2 => 0x1000_0000 + u64::from(rng.below(0x2_0000)),
            3 => 0x0905_0000 + u64::from(rng.below(0x2_0000)),
            4 => u64::from(rng.below(0x0100_0000)),
            5 => rng.bits(),
            6 => granted.memory.tr_data.dma.0 + u64::from(rng.below(16)) * 0x1000,
            // Just before and just behind.
            _ if rng.one_in(2) => buffer.dma.0 - 1 - u64::from(rng.below(64)),
            _ => buffer.dma.0 + u64::from(buffer.size) - u64::from(rng.below(64)),
        };
        // Where the shortest of our packets would fit, the gate rightly lets it be.
        let inside = at.wrapping_sub(buffer.dma.0) < u64::from(buffer.size);
        if !inside || at + 64 > buffer.dma.0 + u64::from(buffer.size) {
            return at;
        }
    }
}

/// Publishes `trbs` from the place on where the ring goes on.
fn publish(shared: &Shared, granted: &Granted, trbs: &[Trb]) -> [u32; 4] {
    let (next, _) = shared.next.get();
    for (n, trb) in trbs.iter().enumerate() {
        let place = (u64::from(next) + n as u64) % u64::from(PER_PAGE);
        let mut bytes = [0; TRB_BYTES as usize];
        for (n, word) in trb.0.iter().enumerate() {
            bytes[4 * n..4 * n + 4].copy_from_slice(&word.to_le_bytes());
        }
        Simulated.write(granted.memory.tr_data.iova.plus(place * u64::from(TRB_BYTES)), &bytes);
    }
    let count = trbs.len() as u32;
    raw([Call::Publish as u32, granted.session, 0, u32::from(next), count, 0])
}

/// One attempt that must be refused.
fn wrong_call(shared: &Shared, granted: &Granted) {
    let (next, cycle) = shared.next.get();
    let rng = || shared.rng.borrow_mut();
    let own = InterrupterId::new(u16::from(granted.interrupter)).expect("it was granted");
    let buffer = granted.memory.xfer_buff;
    let packet = Isoch {
        buffer: buffer.dma,
        length: 64,
        max_packet: granted.max_packet & 0x7FF,
        max_burst: 0,
        start: Start::Asap,
        interrupter: own,
        flags: IOC,
    };
    let right = packet.trb().with_cycle(cycle);
    let last = next == PER_PAGE - 1;
    // Behind the last packet only a Link is in its place.
    let unless_last = |code| Some(if last { Refusal::LinkPlace } else { code });
    let kind = rng().below(24);
    let (what, trbs, code): (&str, Vec<Trb>, Option<Refusal>) = match kind {
        0..=3 => {
            let at = Bus(foreign(&mut rng(), granted));
            let trb = Isoch { buffer: at, ..packet }.trb().with_cycle(cycle);
            ("a foreign buffer", vec![trb], unless_last(Refusal::Buffer))
        }
        4 => {
            let other = loop {
                let other = rng().below(1024) as u16;
                if other != u16::from(granted.interrupter) {
                    break InterrupterId::new(other).expect("ten bits");
                }
            };
            let trb = Isoch { interrupter: other, ..packet }.trb().with_cycle(cycle);
            ("a foreign interrupter", vec![trb], unless_last(Refusal::Interrupter))
        }
        5 => {
            let kinds = [0, 2, 3, 4, 7, 9, 10, 12, 15, 23, 32, 33, 34, 39, 48, 63];
            let kind = kinds[rng().below(kinds.len() as u32) as usize];
            let word = right.0[3] & !(63 << 10) | kind << 10;
            let trb = Trb([right.0[0], right.0[1], right.0[2], word]);
            ("a foreign type", vec![trb], None)
        }
        6 => ("immediate data", vec![set(right, IDT)], unless_last(Refusal::Immediate)),
        7 => ("a chain without an end", vec![set(right, CHAIN)], unless_last(Refusal::Chain)),
        8 => {
            let trb = Trb([right.0[0], right.0[1], right.0[2], right.0[3] ^ CYCLE]);
            ("a foreign cycle", vec![trb], Some(Refusal::Cycle))
        }
        9 => {
            let trb = Isoch { length: 0x1_0000, ..packet }.trb().with_cycle(cycle);
            let trb = Trb([trb.0[0], trb.0[1], trb.0[2] | 0xF000, trb.0[3]]);
            ("too much", vec![trb], None)
        }
        10..=12 => {
            let target = Bus(foreign(&mut rng(), granted));
            let toggle = rng().one_in(2);
            let trb = trb::link(target, toggle).with_cycle(cycle);
            let code = if last { None } else { Some(Refusal::LinkPlace) };
            ("a Link elsewhere", vec![trb], code)
        }
        13 => {
            // Right ones in front do not help a wrong one.
            let mut trbs = vec![right; 1 + rng().below(20) as usize];
            trbs.push(Trb([0xDEAD_BEE0, 0, right.0[2], right.0[3]]));
            ("a wrong one behind right ones", trbs, None)
        }
        14 => {
            let first = rng().bits() as u32;
            let count = 1 + rng().below(300);
            let free = first != u32::from(next);
            let answer = raw([Call::Publish as u32, granted.session, 0, first, count, 0]);
            if free {
                note(shared, "places elsewhere", answer, Status::Refused, None);
            }
            return;
        }
        15 => {
            let count = [0, 257, 300, u32::MAX][rng().below(4) as usize];
            let call = [Call::Publish as u32, granted.session, 0, u32::from(next), count, 0];
            return note(shared, "counts", raw(call), Status::Refused, Some(Refusal::Places));
        }
        16 => {
            let ring = 2 + rng().bits() as u32 % (u32::MAX - 2);
            let call = if rng().one_in(2) { Call::Doorbell } else { Call::Publish };
            let answer = raw([call as u32, granted.session, ring, u32::from(next), 1, 0]);
            return note(shared, "no ring", answer, Status::Refused, Some(Refusal::NoRing));
        }
        17 | 18 => {
            let calls = [Call::Doorbell, Call::Publish, Call::Dequeue];
            let call = calls[rng().below(3) as usize];
            let session = loop {
                let any = if rng().one_in(2) { rng().below(16) } else { rng().bits() as u32 };
                if any != granted.session {
                    break any;
                }
            };
            let answer = raw([call as u32, session, 0, u32::from(next), 1, 0]);
            return note(shared, "a foreign session", answer, Status::Closed, None);
        }
        19 => {
            let place = u32::from(PER_PAGE) + rng().bits() as u32 % (u32::MAX - 256);
            let answer = raw([Call::Dequeue as u32, granted.session, place, 0, 0, 0]);
            let code = Some(Refusal::Dequeue);
            return note(shared, "dequeue outside", answer, Status::Refused, code);
        }
        20 => {
            let number = 8 + rng().bits() as u32 % (u32::MAX - 8);
            let answer = raw([number, rng().bits() as u32, granted.session, 0, 1, 2]);
            return note(shared, "no such call", answer, Status::BadCall, None);
        }
        21 => {
            let len = DATAGRAM as u32 + 1 + rng().bits() as u32 % 0xFFFF_0000;
            let answer = raw([Call::MailSend as u32, len, 0, 0, 0, 0]);
            return note(shared, "a datagram too long", answer, Status::BadDatagram, None);
        }
        22 => {
            let node = loop {
                let node = rng().below(9);
                if node != DSP_NODE {
                    break node;
                }
            };
            let from = Address { node: Node(node), port: Port(rng().below(0x20)) };
            let len = put(from, granted.broker, FrameKind::Data, &[0; 40]);
            let answer = raw([Call::MailSend as u32, len, 0, 0, 0, 0]);
            return note(shared, "a foreign source", answer, Status::BadDatagram, None);
        }
        _ => {
            let at = loop {
                let at = rng().bits() as u32;
                if u64::from(at) & !0xFFF != granted.memory.evt_ring.iova.0 {
                    break at;
                }
            };
            let answer = raw([Call::FindSession as u32, at, 0, 0, 0, 0]);
            return note(shared, "no event ring", answer, Status::Closed, None);
        }
    };
    if trbs.len() > usize::from(PER_PAGE - next) {
        return;
    }
    note(shared, what, publish(shared, granted, &trbs), Status::Refused, code);
}

fn set(trb: Trb, flag: u32) -> Trb {
    Trb([trb.0[0], trb.0[1], trb.0[2], trb.0[3] | flag])
}

fn note(shared: &Shared, what: &str, answer: [u32; 4], status: Status, code: Option<Refusal>) {
    shared.tally.borrow_mut().note(what, answer, status, code);
}

/// A call that may be made any number of times.
fn allowed_call(shared: &Shared, granted: &Granted) {
    let kind = shared.rng.borrow_mut().below(4);
    let answer = match kind {
        0 => raw([Call::Now as u32, 0, 0, 0, 0, 0]),
        1 => raw([Call::MailReceive as u32, 0, 0, 0, 0, 0]),
        2 => raw([Call::FindSession as u32, granted.memory.evt_ring.iova.low(), 0, 0, 0, 0]),
        _ => raw([Call::Doorbell as u32, granted.session, 0, 0, 0, 0]),
    };
    note(shared, "an allowed call", answer, Status::Ok, None);
}

/// Writes a frame to where datagrams are sent from; its length.
fn put(from: Address, to: Address, kind: FrameKind, payload: &[u8]) -> u32 {
    let mut bytes = [0; DATAGRAM];
    let len = Frame { kind, from, to, confirm: false }
        .encode(payload, &mut bytes)
        .expect("the payload is short");
    Simulated.write(MAIL_OUT, &bytes[..len]);
    len as u32
}

/// A datagram that the monitor lets through: nonsense for the broker, for the
/// name service, for ports that nobody has.
fn datagram(shared: &Shared) {
    let mut payload = [0; 220];
    let (len, kind, to, port) = {
        let mut rng = shared.rng.borrow_mut();
        payload.iter_mut().for_each(|byte| *byte = rng.bits() as u8);
        let broker = shared.granted.get().map(|granted| granted.broker);
        let app = |port| Address { node: Node(APP_NODE), port: Port(port) };
        let (kind, to) = match rng.below(4) {
            0 | 1 => (FrameKind::Data, broker.unwrap_or(app(0x4000))),
            2 => (FrameKind::Data, app(rng.bits() as u32)),
            _ => {
                let kinds = [
                    FrameKind::NewServer,
                    FrameKind::DelServer,
                    FrameKind::DelClient,
                    FrameKind::ResumeTx,
                ];
                (kinds[rng.below(4) as usize], Address::control(Node(APP_NODE)))
            }
        };
        if kind == FrameKind::Data && rng.one_in(2) {
            // A request, as far as its header goes.
            payload[0] = 0;
            payload[3..5].copy_from_slice(&qmi::STREAM.to_le_bytes());
        }
        let control = kind != FrameKind::Data;
        let len = if control { 20 } else { rng.below(payload.len() as u32) as usize };
        if control {
            // The kind stands in the payload too.
            payload[..4].copy_from_slice(&(kind as u32).to_le_bytes());
        }
        let port = if control { CONTROL_PORT } else { Port(rng.below(0x40)) };
        (len, kind, to, port)
    };
    let from = Address { node: Node(DSP_NODE), port };
    let len = put(from, to, kind, &payload[..len]);
    let answer = raw([Call::MailSend as u32, len, 0, 0, 0, 0]);
    let mut tally = shared.tally.borrow_mut();
    match answer[0] {
        status if status == Status::Ok as u32 => tally.sent += 1,
        status if status == Status::MailFull as u32 => tally.full += 1,
        _ => tally.surprises.push(format!("a datagram: {answer:?}")),
    }
}

//! What runs on the DSP core: nothing, or a player of numbered packets.

use addr::{Bus, Peer};
use dsp_abi::monitor::{Call, Status};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use trb::{IOC, InterrupterId, Isoch, PER_PAGE, ProducerRing, RingMemory, Start};

/// Bytes of a packet.
pub(crate) const PACKET: u32 = 192;
/// Packets that are kept ahead.
const AHEAD: u16 = 24;

/// What the broker tells the program of a session.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) event: Peer,
    pub(crate) shadow: Peer,
    pub(crate) ring: Bus,
    pub(crate) buffer: Peer,
    pub(crate) buffer_bus: Bus,
    pub(crate) interrupter: u16,
}

/// Where the broker leaves it, and where the program counts what it published.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    pub(crate) ticket: Rc<Cell<Option<Ticket>>>,
    pub(crate) published: Rc<Cell<u32>>,
    pub(crate) denied: Rc<RefCell<Vec<u32>>>,
}

fn call(call: Call, a: u32, b: u32, c: u32, d: u32) -> [u32; 4] {
    seam::with(|machine| machine.monitor([call as u32, a, b, c, d, 0]))
}

fn now() -> u64 {
    let [_, low, high, _] = call(Call::Now, 0, 0, 0, 0);
    u64::from(low) | u64::from(high) << 32
}

fn sleep(ns: u64) {
    let until = now() + ns;
    while now() < until {
        call(Call::Wait, until as u32, (until >> 32) as u32, 0, 0);
    }
}

/// A program that does nothing.
pub(crate) fn idle() {
    loop {
        call(Call::Wait, u32::MAX, u32::MAX, 0, 0);
    }
}

struct Shadow(Peer);

impl Shadow {
    fn at(&self, place: u16, word: u64) -> u64 {
        self.0.0 + u64::from(place) * 16 + 4 * word
    }
}

impl RingMemory for Shadow {
    fn body(&self, at: u16) -> [u32; 3] {
        core::array::from_fn(|n| read32(self.at(at, n as u64)))
    }
    fn control(&self, at: u16) -> u32 {
        read32(self.at(at, 3))
    }
    fn set_body(&self, at: u16, words: [u32; 3]) {
        for (n, word) in words.into_iter().enumerate() {
            write(self.at(at, n as u64), &word.to_le_bytes());
        }
    }
    fn set_control(&self, at: u16, word: u32) {
        write(self.at(at, 3), &word.to_le_bytes());
    }
    fn publish(&self) {}
    fn acquire(&self) {}
}

fn read32(at: u64) -> u32 {
    let mut bytes = [0; 4];
    seam::with(|machine| machine.peer_read(at, &mut bytes));
    u32::from_le_bytes(bytes)
}

fn write(at: u64, bytes: &[u8]) {
    seam::with(|machine| machine.peer_write(at, bytes));
}

/// Plays packets filled with their numbers, session after session.
pub(crate) fn play(desk: &Desk) {
    loop {
        if let Some(ticket) = desk.ticket.get() {
            session(desk, &ticket);
        }
        sleep(1_000_000);
    }
}

fn session(desk: &Desk, ticket: &Ticket) {
    let [status, session, ..] = call(Call::FindSession, ticket.event.low(), 0, 0, 0);
    if status != Status::Ok as u32 {
        return;
    }
    desk.ticket.set(None);
    let shadow = Shadow(ticket.shadow);
    let mut ring = ProducerRing::new(PER_PAGE);
    ring.init(&shadow, ticket.ring);
    let mut consumer = trb::ConsumerRing::new(PER_PAGE);
    let events = Shadow(ticket.event);
    let interrupter = InterrupterId::new(ticket.interrupter).expect("in range");
    let mut number = 0_u32;
    loop {
        let first = ring.enqueue();
        while ring.used() < AHEAD {
            let place = number % 64;
            let at = u64::from(place * PACKET);
            write(ticket.buffer.0 + at, &[number as u8; PACKET as usize]);
            let td = Isoch {
                buffer: ticket.buffer_bus.plus(at),
                length: PACKET,
                max_packet: 388,
                max_burst: 0,
                start: Start::Asap,
                interrupter,
                flags: IOC,
            };
            ring.push(&shadow, &[td.trb()]).expect("there is room");
            number += 1;
        }
        let next = ring.enqueue();
        let runs = if next < first {
            [(first, PER_PAGE - first), (0, next)]
        } else {
            [(first, next - first), (0, 0)]
        };
        for (from, count) in runs.into_iter().filter(|&(_, count)| count > 0) {
            let answer = call(Call::Publish, session, 0, from.into(), count.into());
            if answer[0] != Status::Ok as u32 {
                desk.denied.borrow_mut().push(answer[0]);
                return;
            }
        }
        desk.published.set(number);
        if call(Call::Doorbell, session, 0, 0, 0)[0] != Status::Ok as u32 {
            return;
        }
        sleep(4_000_000);
        while let Some(event) = consumer.next(&events) {
            if let Some(at) = ring.index_of(ticket.ring, event.pointer()) {
                ring.completed(at);
            }
        }
        call(Call::Dequeue, session, consumer.dequeue().into(), 0, 0);
    }
}

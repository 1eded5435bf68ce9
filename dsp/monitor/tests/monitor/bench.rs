//! A board for the monitor that does nothing by itself and forgets nothing, with
//! the other sides' pens: `xhci`'s gate page, `iommu`'s window page, the
//! program's shadow ring, and `dsp_link`'s side of the mailbox.

use addr::{Bus, PAGE, Peer, Phys};
use dsp_abi::bell;
use dsp_abi::control::{AnswerPage, GateEntry, GatePage, GateRing, WindowEntry, WindowExtent};
use dsp_abi::mailbox::DATAGRAM;
use dsp_abi::monitor::{Call, MAIL_OUT};
use mailbox::{Change, Mailbox, Memory, Received};
use monitor::{Answer, Controller, Line, Monitor, Places, Platform, Span, Time};
use std::collections::HashMap;
use std::mem::offset_of;
use trb::{Isoch, Start, Trb};
use zerocopy::{FromBytes, IntoBytes};

pub(crate) const RAM: u64 = 0x4400_0000;
const PAGES: u64 = 32;
pub(crate) const REGISTERS: [u64; 2] = [0x1000_0000, 0x1000_4000];
pub(crate) const REAL: u32 = RAM as u32 + 0x8000;
pub(crate) const SHADOW: u32 = RAM as u32 + 0x9000;
pub(crate) const EVENTS: u32 = RAM as u32 + 0xA000;
/// The first page of the second controller's rings.
pub(crate) const OTHERS_RINGS: u32 = RAM as u32 + 0x1_0000;
/// Where the controller sees the real ring and the buffer.
pub(crate) const REAL_BUS: u32 = 0x2_2000;
pub(crate) const BUFFER_BUS: u32 = 0x42_F000;
pub(crate) const BUFFER_BYTES: u32 = 0x3000;
/// Where the program sees the event ring.
pub(crate) const EVENTS_PEER: Peer = Peer(0x1000);
pub(crate) const VECTOR: u16 = bell::CONTROLLER0_DSP;

const fn page(n: u64) -> Phys {
    Phys(RAM + n * PAGE as u64)
}

pub(crate) const GATES: [Phys; 2] = [page(0), page(1)];
pub(crate) const ANSWERS: Phys = page(2);
pub(crate) const WINDOWS: Phys = page(3);
pub(crate) const MAILBOX: Phys = page(4);

pub(crate) fn places() -> Places {
    let controller = |n: usize| {
        let registers = Span { base: Phys(REGISTERS[n]), bytes: 0x4000 };
        // The second one has its rings beyond the first one's.
        let rings = Span { base: page(8 + 8 * n as u64), bytes: 8 * u64::from(PAGE) };
        Some(Controller { gate: GATES[n], registers, rings })
    };
    Places {
        controllers: [controller(0), controller(1)],
        answers: ANSWERS,
        windows: WINDOWS,
        mailbox: MAILBOX,
    }
}

/// What the monitor did, in its order.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Write { at: Phys, len: usize },
    Publish,
    Register { at: Phys, value: u32 },
    Ring(u16),
    Listen(u16),
    Ignore(u16),
    ForgetTranslations,
    Start,
    Wake,
}

/// The platform.
pub(crate) struct Ground {
    pub(crate) now: Time,
    pub(crate) ram: Vec<u8>,
    pub(crate) deeds: Vec<Deed>,
    /// What was written, with `deeds`.
    pub(crate) written: Vec<Vec<u8>>,
    pub(crate) alarm: Option<Time>,
    pub(crate) own: Vec<u8>,
    pub(crate) mapped: HashMap<u64, Phys>,
    pub(crate) registers: HashMap<u64, u32>,
    /// Runs at each read, as the other core does.
    pub(crate) meanwhile: Option<fn(&mut Vec<u8>, usize)>,
    pub(crate) reads: usize,
}

impl Ground {
    fn at(&self, at: Phys, len: usize) -> std::ops::Range<usize> {
        let offset = at.offset_from(Phys(RAM)).expect("the monitor touches RAM only") as usize;
        assert!(offset + len <= self.ram.len(), "the monitor touches RAM only");
        offset..offset + len
    }

    pub(crate) fn peek<T: FromBytes>(&self, at: Phys) -> T {
        let bytes = &self.ram[self.at(at, size_of::<T>())];
        T::read_from_bytes(bytes).expect("as long as itself")
    }

    pub(crate) fn poke(
        &mut self,
        at: Phys,
        value: &(impl IntoBytes + zerocopy::Immutable + ?Sized),
    ) {
        let range = self.at(at, size_of_val(value));
        self.ram[range].copy_from_slice(value.as_bytes());
    }
}

impl Platform for Ground {
    fn now(&mut self) -> Time {
        self.now
    }

    fn read(&mut self, at: Phys, into: &mut [u8]) {
        let range = self.at(at, into.len());
        into.copy_from_slice(&self.ram[range]);
        self.reads += 1;
        if let Some(meanwhile) = self.meanwhile {
            meanwhile(&mut self.ram, self.reads);
        }
    }

    fn write(&mut self, at: Phys, from: &[u8]) {
        let range = self.at(at, from.len());
        let theirs = [GATES[0], GATES[1], WINDOWS, MAILBOX, Phys(SHADOW.into())];
        let page = Phys(at.0 & !u64::from(PAGE - 1));
        assert!(!theirs.contains(&page), "the monitor writes into another's page at {at:?}");
        self.ram[range].copy_from_slice(from);
        self.deeds.push(Deed::Write { at, len: from.len() });
        self.written.push(from.to_vec());
    }

    fn publish(&mut self) {
        self.deeds.push(Deed::Publish);
    }

    fn acquire(&mut self) {}

    fn read_register(&mut self, at: Phys) -> u32 {
        self.registers.get(&at.0).copied().unwrap_or(0)
    }

    fn write_register(&mut self, at: Phys, value: u32) {
        self.deeds.push(Deed::Register { at, value });
    }

    fn ring(&mut self, bell: Line) {
        self.deeds.push(Deed::Ring(bell.0));
    }

    fn listen(&mut self, line: Line) {
        self.deeds.push(Deed::Listen(line.0));
    }

    fn ignore(&mut self, line: Line) {
        self.deeds.push(Deed::Ignore(line.0));
    }

    fn wake_at(&mut self, at: Option<Time>) {
        self.alarm = at;
    }

    fn translate(&mut self, at: Peer) -> Option<Phys> {
        self.mapped.get(&at.0).copied()
    }

    fn forget_translations(&mut self) {
        self.deeds.push(Deed::ForgetTranslations);
    }

    fn read_own(&mut self, at: Peer, into: &mut [u8]) {
        let offset = at.offset_from(MAIL_OUT).expect("the program's page") as usize;
        into.copy_from_slice(&self.own[offset..offset + into.len()]);
    }

    fn write_own(&mut self, at: Peer, from: &[u8]) {
        let offset = at.offset_from(MAIL_OUT).expect("the program's page") as usize;
        self.own[offset..offset + from.len()].copy_from_slice(from);
    }

    fn start_program(&mut self) {
        self.own.fill(0);
        self.deeds.push(Deed::Start);
    }

    fn wake_program(&mut self) {
        self.deeds.push(Deed::Wake);
    }
}

/// `dsp_link`'s view of the mailbox.
impl Memory for Ground {
    fn read(&mut self, at: u32, into: &mut [u8]) {
        let range = self.at(MAILBOX.plus(at.into()), into.len());
        into.copy_from_slice(&self.ram[range]);
    }

    fn write(&mut self, at: u32, from: &[u8]) {
        assert!(at + from.len() as u32 <= PAGE, "dsp_link writes its own page");
        let range = self.at(MAILBOX.plus(at.into()), from.len());
        self.ram[range].copy_from_slice(from);
    }

    fn publish(&mut self) {}

    fn acquire(&mut self) {}
}

/// The monitor on its platform.
pub(crate) struct Bench {
    pub(crate) monitor: Monitor,
    pub(crate) ground: Ground,
    /// `dsp_link`, once [`Bench::link`] made it.
    link: Option<Mailbox>,
    sequence: u32,
}

impl Bench {
    /// A monitor that is up, and a program that runs.
    pub(crate) fn new() -> Self {
        let ground = Ground {
            now: Time::ms(5),
            ram: vec![0; (PAGES * u64::from(PAGE)) as usize],
            deeds: Vec::new(),
            written: Vec::new(),
            alarm: None,
            own: vec![0; PAGE as usize],
            mapped: HashMap::from([(EVENTS_PEER.0, Phys(EVENTS.into()))]),
            registers: HashMap::new(),
            meanwhile: None,
            reads: 0,
        };
        let mut bench = Self { monitor: Monitor::new(places()), ground, link: None, sequence: 0 };
        bench.monitor.begin(&mut bench.ground);
        bench.ground.deeds.clear();
        bench
    }

    /// One with session 0 open, window 0 valid.
    pub(crate) fn open() -> Self {
        let mut bench = Self::new();
        bench.window(0, true);
        bench.gate(0, 0, &entry());
        bench.ground.deeds.clear();
        bench
    }

    /// What was done since the last look.
    pub(crate) fn deeds(&mut self) -> Vec<Deed> {
        self.ground.written.clear();
        std::mem::take(&mut self.ground.deeds)
    }

    /// Rings of `bell` since the last look.
    pub(crate) fn rings(&mut self, bell: u16) -> usize {
        self.deeds().iter().filter(|deed| **deed == Deed::Ring(bell)).count()
    }

    pub(crate) fn call(&mut self, call: Call, arguments: [u32; 4]) -> [u32; 4] {
        let [a, b, c, d] = arguments;
        match self.monitor.call(&mut self.ground, [call as u32, a, b, c, d, 0]) {
            Answer::Return(words) => words,
            Answer::Wait => panic!("{call:?} waits"),
        }
    }

    /// The program waits; what it is answered, `None` while there is nothing.
    pub(crate) fn wait(&mut self, until: u64) -> Option<u32> {
        let call = [Call::Wait as u32, until as u32, (until >> 32) as u32, 0, 0, 0];
        match self.monitor.call(&mut self.ground, call) {
            Answer::Return([0, events, 0, 0]) => Some(events),
            Answer::Return(words) => panic!("{words:?}"),
            Answer::Wait => None,
        }
    }

    pub(crate) fn interrupt(&mut self, line: u16) {
        self.monitor.interrupt(&mut self.ground, Line(line));
    }

    /// Lets time pass; the alarm goes off when it is due.
    pub(crate) fn pass(&mut self, span: Time) {
        let until = self.ground.now + span;
        while let Some(at) = self.ground.alarm.filter(|&at| at <= until) {
            self.ground.now = self.ground.now.max(at);
            self.monitor.tick(&mut self.ground);
            assert!(self.ground.alarm != Some(at), "a time that has come is not asked for again");
        }
        self.ground.now = until;
    }

    pub(crate) fn answers(&self) -> AnswerPage {
        self.ground.peek(ANSWERS)
    }

    /// `xhci` writes an entry and rings.
    pub(crate) fn gate(&mut self, controller: usize, index: usize, entry: &GateEntry) {
        let at = offset_of!(GatePage, entries) + index * size_of::<GateEntry>();
        self.ground.poke(GATES[controller].plus(at as u64), entry.as_bytes());
        self.announce(controller);
    }

    /// `xhci` raises its sequence and rings.
    pub(crate) fn announce(&mut self, controller: usize) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.ground.poke(GATES[controller], &sequence);
        self.interrupt(bell::GATE_TO_DSP);
        assert_eq!(self.answers().gate_done[controller], sequence);
    }

    /// `iommu` opens or closes window `index` and rings.
    pub(crate) fn window(&mut self, index: usize, valid: bool) {
        let buffer = WindowExtent { bus: BUFFER_BUS, peer: 0, len: BUFFER_BYTES };
        let window = WindowEntry { valid: valid.into(), buffer };
        let at = 8 + index * size_of::<WindowEntry>();
        self.ground.poke(WINDOWS.plus(at as u64), window.as_bytes());
        self.sequence += 1;
        let sequence = self.sequence;
        self.ground.poke(WINDOWS, &sequence);
        self.interrupt(bell::TLB_TO_DSP);
        assert_eq!(self.answers().window_done, sequence);
    }

    /// The program writes a packet to a place of its shadow ring.
    pub(crate) fn shadow(&mut self, place: u32, trb: Trb) {
        let at = Phys(u64::from(SHADOW) + u64::from(place * 16));
        self.ground.poke(at, &trb.0);
    }

    /// What stands at a place of the real ring.
    pub(crate) fn real(&self, place: u32) -> [u32; 4] {
        self.ground.peek(Phys(u64::from(REAL) + u64::from(place * 16)))
    }

    /// `dsp_link` comes up with life `epoch`, until both sides know each other.
    pub(crate) fn link(&mut self, epoch: u32) {
        self.link = Some(Mailbox::new(&mut self.ground, epoch));
        self.settle_link();
    }

    /// `dsp_link` and the monitor look until nothing changes.
    pub(crate) fn settle_link(&mut self) {
        let link = self.link.as_mut().expect("the link was made");
        for _ in 0..4 {
            while link.look(&mut self.ground) != Change::None {}
            self.monitor.interrupt(&mut self.ground, Line(bell::MAIL_TO_DSP));
        }
        assert!(link.is_up());
    }

    /// `dsp_link` sends.
    pub(crate) fn link_sends(&mut self, datagram: &[u8]) {
        let link = self.link.as_mut().expect("the link was made");
        link.send(&mut self.ground, datagram).expect("there is room");
        self.interrupt(bell::MAIL_TO_DSP);
    }

    /// The same, and its bell is lost.
    pub(crate) fn link_sends_unheard(&mut self, datagram: &[u8]) {
        let link = self.link.as_mut().expect("the link was made");
        link.send(&mut self.ground, datagram).expect("there is room");
    }

    /// The next datagram that `dsp_link` gets.
    pub(crate) fn link_gets(&mut self) -> Option<Vec<u8>> {
        let mut bytes = [0; DATAGRAM];
        match self.link.as_mut().expect("the link was made").receive(&mut self.ground, &mut bytes) {
            Received::Datagram(len) => Some(bytes[..len].to_vec()),
            Received::Empty => None,
            strange => panic!("{strange:?}"),
        }
    }

    /// The program puts `datagram` down and has it sent; the status.
    pub(crate) fn send(&mut self, datagram: &[u8]) -> u32 {
        self.ground.own[..datagram.len()].copy_from_slice(datagram);
        self.call(Call::MailSend, [datagram.len() as u32, 0, 0, 0])[0]
    }
}

/// What `xhci` writes for a session with a data ring.
pub(crate) fn entry() -> GateEntry {
    let mut entry = GateEntry {
        open: 1,
        window: 0,
        generation: 1,
        slot: 1,
        interrupter: 1,
        vector: VECTOR.into(),
        event_ring: EVENTS,
        event_bus: 0x1000,
        erdp: REGISTERS[0] as u32 + 0x1058,
        doorbell: REGISTERS[0] as u32 + 0x2004,
        ..GateEntry::default()
    };
    entry.rings[0] =
        GateRing { dci: 2, is_in: 0, real: REAL, shadow: SHADOW, bus: REAL_BUS, max_payload: 192 };
    entry
}

/// A packet as the program writes it, with cycle bit 1.
pub(crate) fn packet() -> Trb {
    let packet = Isoch {
        buffer: Bus(BUFFER_BUS.into()),
        length: 192,
        max_packet: 192,
        max_burst: 0,
        start: Start::Asap,
        interrupter: trb::InterrupterId::new(1).expect("a number"),
        flags: 0,
    };
    packet.trb().with_cycle(true)
}

//! A core for the program: a monitor with the real gate, memory, a broker that
//! speaks QMI, and a controller that plays what was published.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use addr::{Bus, Peer};
use dsp_abi::control::{GateEntry, GateRing, WindowEntry, WindowExtent};
use dsp_abi::mailbox::{APP_NODE, DSP_NODE};
use dsp_abi::media::PCM;
use dsp_abi::monitor::{
    Call, MAIL_IN, MAIL_OUT, MEDIA, PEER_END, RECORDING, RECORDING_BYTES, Status,
};
use dsp_abi::port;
use program::Program;
use program::core::Core;
use qmi::qrtr::{Address, Control, Frame, FrameKind, Node, Port, Server};
use qmi::{
    EndpointDescriptor, MemoryInfo, QmiResult, Region, Speed, StreamRequest, StreamResponse, Txn,
};
use trb::{BEI, IOC, PER_PAGE, Trb};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Where session 0 has its parts; session n has them n times [`APART`] further.
const EVENT_RING: u64 = 0x1000;
const DATA_SHADOW: u64 = 0x2_2000;
const SYNC_SHADOW: u64 = 0x2_4000;
const BUFFER: u64 = 0x42_2000;
const DATA_BUS: u64 = 0x2_6000;
const SYNC_BUS: u64 = 0x2_8000;
/// Crosses a 64 KiB boundary in its fourth page.
const BUFFER_BUS: u64 = 0x42_D000;
const APART: u64 = 0x1_0000;
/// Sessions that can be open.
const SESSIONS: usize = 2;
const BUFFER_BYTES: u32 = 0x6000;
pub(crate) const SLOT: u32 = 3;
pub(crate) const BROKER: Address = Address { node: Node(APP_NODE), port: Port(0x4001) };
const PORT_SERVICE: Port = Port(0x11);
const QMI_PORT: Port = Port(0x10);

/// A packet that the controller took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) reported: bool,
}

#[derive(Debug)]
struct OneRing {
    gate: gate::Ring,
    shadow: Peer,
    bus: Bus,
    published: VecDeque<(u16, Trb)>,
    rung: bool,
}

/// What a program runs on in a test.
#[derive(Debug)]
pub(crate) struct TestCore {
    memory: RefCell<Vec<u8>>,
    recording: RefCell<Vec<u8>>,
    pub(crate) now: Cell<u64>,
    to_program: RefCell<VecDeque<Vec<u8>>>,
    from_program: RefCell<VecDeque<Vec<u8>>>,
    /// Datagrams that still fit into the mailbox.
    pub(crate) mail_room: Cell<usize>,
    /// The gate's two rings of each session; `None` = closed.
    rings: RefCell<[Option<[OneRing; 2]>; SESSIONS]>,
    events: [Cell<(u16, bool)>; SESSIONS],
    pub(crate) dequeue: Cell<u32>,
    pub(crate) doorbells: Cell<u32>,
    pub(crate) touched: Cell<u32>,
}

impl TestCore {
    pub(crate) fn new() -> Self {
        Self {
            memory: RefCell::new(vec![0; MEDIA.0 as usize + 0x80_0000]),
            recording: RefCell::new(vec![0; RECORDING_BYTES as usize]),
            now: Cell::new(1),
            to_program: RefCell::default(),
            from_program: RefCell::default(),
            mail_room: Cell::new(usize::MAX),
            rings: RefCell::default(),
            events: [const { Cell::new((0, true)) }; SESSIONS],
            dequeue: Cell::new(0),
            doorbells: Cell::new(0),
            touched: Cell::new(0),
        }
    }

    /// Opens the gate of session 0 with rings as a handover leaves them.
    pub(crate) fn open(&self, max_payload: u32) {
        self.open_nth(0, max_payload);
    }

    /// The same for any session.
    pub(crate) fn open_nth(&self, n: usize, max_payload: u32) {
        let (bus, peer) = (bus(n, BUFFER_BUS).low(), peer(n, BUFFER).low());
        let buffer = WindowExtent { bus, peer, len: BUFFER_BYTES };
        let window = WindowEntry { valid: 1, buffer };
        let ring = |dci, shadow: Peer, bus: Bus, max_payload| {
            let entry = GateRing { dci, bus: bus.low(), max_payload, ..GateRing::default() };
            OneRing {
                gate: gate::Ring::new(&entry, 1, &window),
                shadow,
                bus,
                published: VecDeque::new(),
                rung: false,
            }
        };
        self.rings.borrow_mut()[n] = Some([
            ring(2, self::peer(n, DATA_SHADOW), self::bus(n, DATA_BUS), max_payload),
            ring(3, self::peer(n, SYNC_SHADOW), self::bus(n, SYNC_BUS), 4),
        ]);
        for at in [EVENT_RING, DATA_SHADOW, SYNC_SHADOW] {
            let at = self::peer(n, at).0 as usize;
            self.memory.borrow_mut()[at..at + 0x1000].fill(0);
        }
        self.events[n].set((0, true));
    }

    pub(crate) fn close(&self) {
        self.rings.borrow_mut()[0] = None;
    }

    /// The first bytes of what was recorded.
    pub(crate) fn recorded(&self, bytes: usize) -> Vec<u8> {
        self.recording.borrow()[..bytes].to_vec()
    }

    pub(crate) fn load_pcm(&self, pcm: &[u8]) {
        let at = MEDIA.0 as usize + PCM as usize;
        self.memory.borrow_mut()[at..at + pcm.len()].copy_from_slice(pcm);
    }

    fn send(&self, kind: FrameKind, from: Address, to: Port, payload: &[u8]) {
        let to = Address { node: Node(DSP_NODE), port: to };
        let mut bytes = [0; 504];
        let frame = Frame { kind, from, to, confirm: false };
        let len = frame.encode(payload, &mut bytes).unwrap();
        self.to_program.borrow_mut().push_back(bytes[..len].to_vec());
    }

    pub(crate) fn control(&self, control: &Control) {
        let from = Address::control(Node(APP_NODE));
        self.send(control.kind(), from, Port(0xFFFF_FFFE), &control.encode());
    }

    pub(crate) fn announce_broker(&self) {
        let server = Server { service: qmi::SERVICE, instance: qmi::INSTANCE_WORD, at: BROKER };
        self.control(&Control::NewServer(server));
    }

    pub(crate) fn port(&self, kind: port::Kind, message: &port::Message) {
        let message = port::Message { kind: kind as u32, ..*message };
        let from = Address { node: Node(APP_NODE), port: Port(0x4002) };
        self.send(FrameKind::Data, from, PORT_SERVICE, message.as_bytes());
    }

    pub(crate) fn qmi(&self, from: Address, bytes: &[u8]) {
        self.send(FrameKind::Data, from, QMI_PORT, bytes);
    }

    pub(crate) fn respond(&self, txn: Txn, response: &StreamResponse) {
        let mut bytes = [0; 256];
        let len = response.encode(txn, &mut bytes).unwrap();
        self.qmi(BROKER, &bytes[..len]);
    }

    /// Everything that the program sent since it was asked last.
    pub(crate) fn sent(&self) -> Vec<Said> {
        self.from_program
            .borrow_mut()
            .drain(..)
            .map(|bytes| {
                let (frame, payload) = Frame::decode(&bytes).unwrap();
                assert_eq!(frame.from.node, Node(DSP_NODE));
                if frame.kind != FrameKind::Data {
                    return Said::Control(Control::decode(frame.kind, payload).unwrap());
                }
                if frame.from.port == PORT_SERVICE {
                    return Said::Port(port::Message::read_from_bytes(payload).unwrap());
                }
                assert_eq!(frame.to, BROKER);
                let (txn, request) = StreamRequest::decode(payload).unwrap();
                Said::Request(txn, request)
            })
            .collect()
    }

    /// The controller takes one packet of the OUT ring; `None` when the ring is
    /// dry. Events go where the packet's IOC says.
    pub(crate) fn take_packet(&self) -> Option<Packet> {
        let (place, trb) = self.next(0, 0)?;
        let at = trb.pointer().offset_from(bus(0, BUFFER_BUS)).unwrap() + BUFFER;
        let len = trb.length() as usize;
        let bytes = self.memory.borrow()[at as usize..at as usize + len].to_vec();
        let reported = trb.has(IOC);
        if reported {
            self.event(bus(0, DATA_BUS).plus(u64::from(place) * 16), 1, 2);
        }
        Some(Packet { bytes, reported })
    }

    /// The device answers one feedback packet.
    pub(crate) fn give_feedback(&self, value: &[u8]) -> bool {
        let Some((place, trb)) = self.next(0, 1) else { return false };
        let at = (trb.pointer().offset_from(bus(0, BUFFER_BUS)).unwrap() + BUFFER) as usize;
        assert!(value.len() <= trb.length() as usize);
        self.memory.borrow_mut()[at..at + value.len()].copy_from_slice(value);
        if trb.has(IOC) {
            self.event(bus(0, SYNC_BUS).plus(u64::from(place) * 16), 1, 3);
        }
        true
    }

    /// The device fills one packet of session `n`'s IN ring; whether it was
    /// asked for one, and whether that rang. What it did not fill is told.
    pub(crate) fn give_packet(&self, n: usize, data: &[u8], dci: u32) -> Option<bool> {
        let (place, trb) = self.next(n, 0)?;
        let at =
            (trb.pointer().offset_from(bus(n, BUFFER_BUS)).unwrap() + peer(n, BUFFER).0) as usize;
        let residual = trb.length() as usize - data.len();
        self.memory.borrow_mut()[at..at + data.len()].copy_from_slice(data);
        assert!(trb.has(IOC), "how much came is told by the event");
        let pointer = bus(n, DATA_BUS).plus(u64::from(place) * 16);
        self.event_in(n, pointer, 1 << 24 | residual as u32, SLOT, dci);
        Some(!trb.has(BEI))
    }

    /// Puts a transfer event on session 0's ring.
    pub(crate) fn event(&self, pointer: Bus, code: u32, dci: u32) {
        self.event_in(0, pointer, code << 24, SLOT, dci);
    }

    /// Puts one on any session's ring, about an endpoint of any slot.
    pub(crate) fn event_in(&self, n: usize, pointer: Bus, status: u32, slot: u32, dci: u32) {
        let (place, cycle) = self.events[n].get();
        let words = [
            pointer.low(),
            pointer.high(),
            status,
            slot << 24 | dci << 16 | 32 << 10 | u32::from(cycle),
        ];
        let at = peer(n, EVENT_RING).0 as usize + usize::from(place) * 16;
        self.memory.borrow_mut()[at..at + 16].copy_from_slice(words.as_bytes());
        let wraps = place + 1 == PER_PAGE;
        self.events[n].set((if wraps { 0 } else { place + 1 }, cycle != wraps));
    }

    fn next(&self, n: usize, ring: usize) -> Option<(u16, Trb)> {
        let mut rings = self.rings.borrow_mut();
        let ring = &mut rings[n].as_mut()?[ring];
        if !ring.rung {
            return None;
        }
        loop {
            let next = ring.published.pop_front();
            match next {
                Some((_, trb)) if trb.type_number() == 6 => {
                    assert_eq!(trb.pointer(), ring.bus);
                }
                Some(next) => return Some(next),
                None => {
                    ring.rung = false;
                    return None;
                }
            }
        }
    }

    fn publish(&self, n: usize, ring: usize, first: u32, count: u32) -> [u32; 4] {
        let mut rings = self.rings.borrow_mut();
        let Some(rings) = rings[n].as_mut() else {
            return [Status::Closed as u32, 0, 0, 0];
        };
        let ring = &mut rings[ring];
        let memory = self.memory.borrow();
        let trb = |place: u16| {
            let at = ring.shadow.0 as usize + usize::from(place) * 16;
            let mut words = [0_u32; 4];
            words.as_mut_bytes().copy_from_slice(&memory[at..at + 16]);
            Trb(words)
        };
        match ring.gate.check(first, count, trb) {
            Ok(checked) => {
                for place in first..first + count {
                    ring.published.push_back((place as u16, trb(place as u16)));
                }
                ring.gate.published(checked);
                [0; 4]
            }
            Err(refusal) => panic!("the gate refuses what the program wrote: {refusal:?}"),
        }
    }
}

/// Where session `n` has what session 0 has at `at`.
fn peer(n: usize, at: u64) -> Peer {
    Peer(at + n as u64 * APART)
}

/// The same as the controller sees it.
fn bus(n: usize, at: u64) -> Bus {
    Bus(at + n as u64 * APART)
}

/// A datagram of the program's.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Control(Control),
    Port(port::Message),
    Request(Txn, StreamRequest),
}

impl Core for TestCore {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        let [a, b, c, d, _] = arguments;
        match call {
            Call::Wait => panic!("a step does not wait"),
            Call::Now => [0, self.now.get() as u32, (self.now.get() >> 32) as u32, 0],
            Call::MailSend => {
                if self.mail_room.get() == 0 {
                    return [Status::MailFull as u32, 0, 0, 0];
                }
                self.mail_room.set(self.mail_room.get() - 1);
                let at = MAIL_OUT.0 as usize;
                let bytes = self.memory.borrow()[at..at + a as usize].to_vec();
                self.from_program.borrow_mut().push_back(bytes);
                [0; 4]
            }
            Call::MailReceive => match self.to_program.borrow_mut().pop_front() {
                Some(bytes) => {
                    let at = MAIL_IN.0 as usize;
                    self.memory.borrow_mut()[at..at + bytes.len()].copy_from_slice(&bytes);
                    [0, bytes.len() as u32, 0, 0]
                }
                None => [0; 4],
            },
            Call::Publish => self.publish(a as usize, b as usize, c, d),
            Call::Doorbell => {
                let mut rings = self.rings.borrow_mut();
                let Some(rings) = rings[a as usize].as_mut() else {
                    return [Status::Closed as u32, 0, 0, 0];
                };
                rings[b as usize].rung = true;
                self.doorbells.set(self.doorbells.get() + 1);
                [0; 4]
            }
            Call::Dequeue => {
                if self.rings.borrow()[a as usize].is_none() {
                    return [Status::Closed as u32, 0, 0, 0];
                }
                let mut entry = GateEntry::new_zeroed();
                entry.event_bus = 0x1000;
                gate::dequeue(&entry, b).expect("a place of the ring");
                if a == 0 {
                    self.dequeue.set(b);
                }
                [0; 4]
            }
            Call::FindSession => {
                let rings = self.rings.borrow();
                let is_it = |n: &usize| rings[*n].is_some() && peer(*n, EVENT_RING).low() == a;
                match (0..SESSIONS).find(is_it) {
                    Some(n) => [0, n as u32, 0, 0],
                    None => [Status::Closed as u32, 0, 0, 0],
                }
            }
        }
    }

    fn read(&self, at: Peer, into: &mut [u8]) {
        let at = at.0 as usize;
        into.copy_from_slice(&self.memory.borrow()[at..at + into.len()]);
    }

    fn write(&self, at: Peer, from: &[u8]) {
        if at < PEER_END {
            self.touched.set(self.touched.get() + 1);
        }
        if let Some(offset) = at.offset_from(RECORDING) {
            let at = offset as usize;
            return self.recording.borrow_mut()[at..at + from.len()].copy_from_slice(from);
        }
        assert!(at < MEDIA, "the media pool is read only");
        let at = at.0 as usize;
        self.memory.borrow_mut()[at..at + from.len()].copy_from_slice(from);
    }
}

/// A start for `frames` frames of stereo 16-bit sound.
pub(crate) fn start(cookie: u32, rate: u32, frames: u32) -> port::Message {
    port::Message {
        kind: port::Kind::Start as u32,
        cookie,
        token: 0x0001_0000,
        rate,
        format: 2,
        channels: 2,
        interval_us: 1000,
        frames,
        buffer_bytes: BUFFER_BYTES,
        ..port::Message::default()
    }
}

/// A response that grants the stream, in session 0.
pub(crate) fn granted(speed: Speed, max_packet: u16, interval: u8, sync: bool) -> StreamResponse {
    granted_nth(0, speed, max_packet, interval, sync)
}

/// The same in any session.
pub(crate) fn granted_nth(
    n: usize,
    speed: Speed,
    max_packet: u16,
    interval: u8,
    sync: bool,
) -> StreamResponse {
    // With a stream identifier, as the broker tags what it tells (I1).
    let region = |iova: Peer, dma, size| Region { iova: Peer(iova.0 | 0xF << 32), dma, size };
    let none = region(Peer(0), Bus(0), 0);
    let endpoint = EndpointDescriptor {
        length: 9,
        descriptor_type: 5,
        address: 1,
        attributes: if sync { 5 } else { 0x0D },
        max_packet,
        interval,
        refresh: 0,
        sync_address: 0,
    };
    StreamResponse {
        resp: QmiResult::OK,
        status: Some(qmi::Status::SUCCESS),
        internal_status: Some(0),
        slot_id: Some(SLOT),
        usb_token: Some(qmi::Token(0x0001_0000)),
        std_as_opr_intf_desc: None,
        std_as_data_ep_desc: Some(endpoint),
        std_as_sync_ep_desc: sync.then_some(EndpointDescriptor { address: 0x81, ..endpoint }),
        usb_audio_spec_revision: Some(0x0100),
        data_path_delay: Some(1),
        usb_audio_subslot_size: Some(2),
        xhci_mem_info: Some(MemoryInfo {
            evt_ring: region(peer(n, EVENT_RING), Bus(0x1000), 4096),
            tr_data: region(peer(n, DATA_SHADOW), bus(n, DATA_BUS), 4096),
            tr_sync: if sync { region(peer(n, SYNC_SHADOW), bus(n, SYNC_BUS), 4096) } else { none },
            xfer_buff: region(peer(n, BUFFER), bus(n, BUFFER_BUS), BUFFER_BYTES),
            dcba: none,
        }),
        interrupter_num: Some(1),
        speed_info: Some(speed),
        controller_num: Some(0),
    }
}

/// Runs `program` from a cold start to the packets of one stream.
pub(crate) fn playing(
    core: &TestCore,
    program: &mut Program,
    start: &port::Message,
    response: &StreamResponse,
    max_payload: u32,
) {
    core.announce_broker();
    begin(core, program, 0, start, response, max_payload);
}

/// Has `program` begin a stream in session `n`, up to its first packets.
pub(crate) fn begin(
    core: &TestCore,
    program: &mut Program,
    n: usize,
    start: &port::Message,
    response: &StreamResponse,
    max_payload: u32,
) {
    core.port(port::Kind::Start, start);
    program.step(core);
    let request = core.sent().into_iter().find_map(|said| match said {
        Said::Request(txn, request) => Some((txn, request)),
        _ => None,
    });
    let (txn, request) = request.expect("the program asks for the stream");
    assert_eq!((request.enable, request.usb_token.0), (1, start.token));
    core.open_nth(n, max_payload);
    core.respond(txn, response);
    let doorbells = core.doorbells.get();
    program.step(core);
    assert_eq!(core.doorbells.get(), doorbells, "not before two frames have passed");
    program.step(core);
    core.now.set(core.now.get() + 10_000_000);
    program.step(core);
}

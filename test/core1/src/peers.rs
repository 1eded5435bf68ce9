//! Everybody that core 1 knows: `dsp_link`, the broker, `xhci`, `iommu`, and the
//! controller's pen on the event ring.

use crate::image;
use crate::machine::until;
use addr::{Bus, PAGE, Peer, Phys};
use core::mem::offset_of;
use dma::Pool;
use dsp_abi::bell;
use dsp_abi::control::{
    AnswerPage, GateEntry, GatePage, GateRing, Notice, PEER_TABLES_PAGE, WindowEntry, WindowExtent,
    WindowPage,
};
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_abi::media::PCM;
use dsp_abi::port;
use mailbox::{Change, Mailbox, Memory, Received};
use mmio::Registers;
use qmi::qrtr::{Address, Control, Frame, FrameKind, Node, Port, Server};
use qmi::{
    EndpointDescriptor, MemoryInfo, QmiResult, Region, Speed, StreamRequest, StreamResponse, Txn,
};
use zerocopy::{FromBytes, IntoBytes};

/// Where the program and the controller see the session's pages.
const EVENTS: Peer = Peer(0x1000);
const SHADOW: Peer = Peer(0x2_2000);
pub(crate) const BUFFER: Peer = Peer(0x42_2000);
const RING_BUS: Bus = Bus(0x2_6000);
pub(crate) const BUFFER_BUS: Bus = Bus(0x43_0000);
/// Bytes of the transfer buffer.
pub(crate) const BUFFER_BYTES: u32 = 0x4000;
/// The session's pages in the pool of rings: events, shadow, real, buffer.
const EVENTS_AT: u32 = 0;
const SHADOW_AT: u32 = PAGE;
const REAL_AT: u32 = 2 * PAGE;
const BUFFER_AT: u32 = 3 * PAGE;
/// The data endpoint's device context index, and its slot.
const DCI: u32 = 2;
const SLOT: u32 = 1;

const BROKER: Address = Address { node: Node(APP_NODE), port: Port(0x4001) };
const BACKEND: Address = Address { node: Node(APP_NODE), port: Port(0x4002) };
const QMI_PORT: Port = Port(0x10);
const PORT_SERVICE: Port = Port(0x11);

const fn pool((base, pages): (u64, u16)) -> Pool {
    // SAFETY: RAM that nothing of this program's is in.
    unsafe { Pool::new(0, Phys(base), pages) }
}

/// The mailbox, this side's page first.
struct Pages(Pool);

impl Memory for Pages {
    fn read(&mut self, at: u32, into: &mut [u8]) {
        self.0.read(at, into);
    }

    fn write(&mut self, at: u32, from: &[u8]) {
        self.0.write(at, from);
    }

    fn publish(&mut self) {
        dma::publish();
    }

    fn acquire(&mut self) {
        dma::acquire();
    }
}

/// A datagram of the program's.
#[derive(Debug)]
pub(crate) enum Said {
    Control(Control),
    Port(port::Message),
    Request(Txn, StreamRequest),
}

/// Core 0's side of everything.
pub(crate) struct Peers {
    answers: Pool,
    gate: Pool,
    tables: Pool,
    rings: Pool,
    media: Pool,
    bells: Registers,
    pages: Pages,
    mailbox: Mailbox,
    sequence: u32,
    generation: u32,
    /// Place and cycle bit of the next event.
    events: (u32, u32),
}

impl Peers {
    pub(crate) fn new() -> Self {
        let mut pages = Pages(pool(image::MAILBOX));
        let (frame, len) = image::FRAME;
        Self {
            answers: pool(image::ANSWERS),
            gate: pool(image::GATE),
            tables: pool(image::TABLES),
            rings: pool(image::RINGS),
            media: pool(image::MEDIA),
            // SAFETY: the frame, and nothing else runs on this core.
            bells: unsafe { Registers::new(Phys(frame), len) },
            mailbox: Mailbox::new(&mut pages, 1),
            pages,
            sequence: 0,
            generation: 0,
            events: (0, 1),
        }
    }

    pub(crate) fn ring(&self, line: u16) {
        dma::publish();
        self.bells.write32(bell::SETSPI, line.into());
    }

    pub(crate) fn answer(&self) -> AnswerPage {
        let mut bytes = [0; size_of::<AnswerPage>()];
        self.answers.read(0, &mut bytes);
        AnswerPage::read_from_bytes(&bytes).expect("as long as itself")
    }

    pub(crate) fn notice(&self) -> Notice {
        self.answer().notices[0][0]
    }

    /// `dsp_link` looks and rings until both sides know each other.
    pub(crate) fn link_up(&mut self) {
        until("the link", || {
            while self.mailbox.look(&mut self.pages) != Change::None {
                self.ring(bell::MAIL_TO_DSP);
            }
            self.mailbox.is_up()
        });
    }

    fn next(&mut self) -> Option<Said> {
        let mut bytes = [0; DATAGRAM];
        let Received::Datagram(len) = self.mailbox.receive(&mut self.pages, &mut bytes) else {
            return None;
        };
        self.ring(bell::MAIL_TO_DSP);
        let (frame, payload) = Frame::decode(&bytes[..len]).expect("a frame");
        assert_eq!(frame.from.node, Node(DSP_NODE));
        Some(if frame.kind != FrameKind::Data {
            Said::Control(Control::decode(frame.kind, payload).expect("a control packet"))
        } else if frame.from.port == PORT_SERVICE {
            Said::Port(port::Message::read_from_bytes(payload).expect("a record"))
        } else {
            let (txn, request) = StreamRequest::decode(payload).expect("a request");
            Said::Request(txn, request)
        })
    }

    /// The next datagram of the program's.
    pub(crate) fn said(&mut self) -> Said {
        let mut said = None;
        until("a datagram", || {
            said = self.next();
            said.is_some()
        });
        said.expect("waited for")
    }

    /// Whether the program has said nothing more.
    pub(crate) fn silent(&mut self) -> bool {
        self.next().is_none()
    }

    fn send(&mut self, kind: FrameKind, from: Address, to: Port, payload: &[u8]) {
        let to = Address { node: Node(DSP_NODE), port: to };
        let mut bytes = [0; DATAGRAM];
        let frame = Frame { kind, from, to, confirm: false };
        let len = frame.encode(payload, &mut bytes).expect("it fits");
        self.mailbox.send(&mut self.pages, &bytes[..len]).expect("the mailbox has room");
        self.ring(bell::MAIL_TO_DSP);
    }

    /// The broker's service is there.
    pub(crate) fn announce_broker(&mut self) {
        let server = Server { service: qmi::SERVICE, instance: qmi::INSTANCE_WORD, at: BROKER };
        let control = Control::NewServer(server);
        let from = Address::control(Node(APP_NODE));
        self.send(control.kind(), from, qmi::qrtr::CONTROL_PORT, &control.encode());
    }

    /// The backend has the program play `frames` frames.
    pub(crate) fn start(&mut self, cookie: u32, frames: u32) {
        let message = port::Message {
            kind: port::Kind::Start as u32,
            cookie,
            token: 0x0001_0000,
            rate: 48_000,
            format: 2,
            channels: 2,
            interval_us: 1000,
            frames,
            buffer_bytes: BUFFER_BYTES,
            ..port::Message::default()
        };
        self.send(FrameKind::Data, BACKEND, PORT_SERVICE, message.as_bytes());
    }

    /// The broker grants the stream, with its shadow ring at `shadow`.
    pub(crate) fn grant(&mut self, txn: Txn, shadow: Peer) {
        // With the stream identifier of the DSP's bus.
        let region = |iova: Peer, dma, size| Region { iova: Peer(iova.0 | 0xF << 32), dma, size };
        let none = region(Peer(0), Bus(0), 0);
        let endpoint = EndpointDescriptor {
            length: 9,
            descriptor_type: 5,
            address: 1,
            attributes: 0x0D,
            max_packet: 192,
            interval: 1,
            refresh: 0,
            sync_address: 0,
        };
        let response = StreamResponse {
            resp: QmiResult::OK,
            status: Some(qmi::Status::SUCCESS),
            internal_status: Some(0),
            slot_id: Some(SLOT),
            usb_token: Some(qmi::Token(0x0001_0000)),
            std_as_opr_intf_desc: None,
            std_as_data_ep_desc: Some(endpoint),
            std_as_sync_ep_desc: None,
            usb_audio_spec_revision: Some(0x0100),
            data_path_delay: Some(1),
            usb_audio_subslot_size: Some(2),
            xhci_mem_info: Some(MemoryInfo {
                evt_ring: region(EVENTS, Bus(EVENTS.0), PAGE),
                tr_data: region(shadow, RING_BUS, PAGE),
                tr_sync: none,
                xfer_buff: region(BUFFER, BUFFER_BUS, BUFFER_BYTES),
                dcba: none,
            }),
            interrupter_num: Some(1),
            speed_info: Some(Speed::FULL),
            controller_num: Some(0),
        };
        self.respond(txn, &response);
    }

    /// The broker takes the stream back.
    pub(crate) fn take_back(&mut self, txn: Txn) {
        self.respond(
            txn,
            &StreamResponse {
                resp: QmiResult::OK,
                status: Some(qmi::Status::SUCCESS),
                internal_status: Some(0),
                slot_id: Some(SLOT),
                usb_token: Some(qmi::Token(0x0001_0000)),
                std_as_opr_intf_desc: None,
                std_as_data_ep_desc: None,
                std_as_sync_ep_desc: None,
                usb_audio_spec_revision: None,
                data_path_delay: None,
                usb_audio_subslot_size: None,
                xhci_mem_info: None,
                interrupter_num: None,
                speed_info: None,
                controller_num: None,
            },
        );
    }

    fn respond(&mut self, txn: Txn, response: &StreamResponse) {
        let mut bytes = [0; 256];
        let len = response.encode(txn, &mut bytes).expect("it fits");
        self.send(FrameKind::Data, BROKER, QMI_PORT, &bytes[..len]);
    }

    /// Where the shadow ring belongs.
    pub(crate) const fn shadow() -> Peer {
        SHADOW
    }

    /// `iommu` maps the session's pages for the program, or takes them away.
    pub(crate) fn map(&mut self, mapped: bool) {
        self.map_page(EVENTS, EVENTS_AT, mapped);
        self.map_page(SHADOW, SHADOW_AT, mapped);
        for n in 0..BUFFER_BYTES / PAGE {
            let offset = n * PAGE;
            self.map_page(BUFFER.plus(offset.into()), BUFFER_AT + offset, mapped);
        }
    }

    /// `iommu` maps the event ring alone.
    pub(crate) fn map_events(&mut self) {
        self.map_page(EVENTS, EVENTS_AT, true);
    }

    fn map_page(&mut self, at: Peer, page: u32, mapped: bool) {
        // Small page, XN, full access, normal uncached shareable, not global
        // (ARM ARM B3.5.1).
        const ATTRIBUTES: u32 = 0b11 | 0b11 << 4 | 0b001 << 6 | 1 << 10 | 1 << 11;
        let descriptor = if mapped { self.rings.phys(page).low() | ATTRIBUTES } else { 0 };
        let index = (at.0 / u64::from(PAGE)) as u32;
        self.tables.write32(u32::from(PEER_TABLES_PAGE) * PAGE + index * 4, descriptor);
    }

    /// `iommu` has the monitor forget old translations; the window is as said.
    pub(crate) fn confirm_tables(&mut self, valid: bool) {
        let buffer = WindowExtent { bus: BUFFER_BUS.low(), peer: BUFFER.low(), len: BUFFER_BYTES };
        let window = WindowEntry { valid: valid.into(), buffer };
        self.tables.write(offset_of!(WindowPage, windows) as u32, window.as_bytes());
        self.sequence += 1;
        self.tables.write32(0, self.sequence);
        self.ring(bell::TLB_TO_DSP);
        until("the tables", || self.answer().window_done == self.sequence);
    }

    /// `xhci` opens or closes the session, and the monitor confirms it.
    pub(crate) fn gate(&mut self, open: bool) {
        self.generation += u32::from(open);
        let mut entry = GateEntry {
            open: open.into(),
            generation: self.generation,
            slot: SLOT,
            interrupter: 1,
            vector: bell::CONTROLLER0_DSP.into(),
            event_ring: self.rings.phys(EVENTS_AT).low(),
            event_bus: EVENTS.low(),
            erdp: image::CONTROLLER as u32 + 0x1058,
            doorbell: image::CONTROLLER as u32 + 0x2004,
            ..GateEntry::default()
        };
        entry.rings[0] = GateRing {
            dci: DCI,
            is_in: 0,
            real: self.rings.phys(REAL_AT).low(),
            shadow: self.rings.phys(SHADOW_AT).low(),
            bus: RING_BUS.low(),
            max_payload: 192,
        };
        if open {
            for at in (EVENTS_AT..BUFFER_AT + BUFFER_BYTES).step_by(4) {
                self.rings.write32(at, 0);
            }
            self.events = (0, 1);
        }
        self.gate.write(offset_of!(GatePage, entries) as u32, entry.as_bytes());
        self.sequence += 1;
        self.gate.write32(0, self.sequence);
        self.ring(bell::GATE_TO_DSP);
        until("the gate", || self.answer().gate_done[0] == self.sequence);
    }

    /// What stands at a place of the real ring.
    pub(crate) fn real(&self, place: u32) -> trb::Trb {
        let mut words = [0_u32; 4];
        self.rings.read(REAL_AT + place * trb::TRB_BYTES, words.as_mut_bytes());
        trb::Trb(words)
    }

    /// A word of the transfer buffer.
    pub(crate) fn buffer(&self, at: u32) -> u32 {
        self.rings.read32(BUFFER_AT + at)
    }

    /// A word of the sound; whoever loads it writes it.
    pub(crate) fn load(&self, at: u32, word: u32) {
        self.media.write32(PCM + at, word);
    }

    /// The controller has sent the packet at `place`, and raises its vector.
    pub(crate) fn complete(&mut self, place: u32) {
        self.report(place);
        self.ring(bell::CONTROLLER0_DSP);
    }

    /// The controller has sent the packet at `place`, and only writes it down.
    pub(crate) fn report(&mut self, place: u32) {
        let (at, cycle) = self.events;
        let pointer = RING_BUS.low() + place * trb::TRB_BYTES;
        let words = [pointer, 0, 1 << 24, SLOT << 24 | DCI << 16 | 32 << 10 | cycle];
        self.rings.write(EVENTS_AT + at * trb::TRB_BYTES, words.as_bytes());
        self.events = (at + 1, cycle);
    }
}

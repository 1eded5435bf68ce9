//! A world for the broker's core: servers that hold it to their rules.
//!
//! Every operation is checked against what exists: one on a thing that is gone
//! or was never there, or one that comes too early, panics. Tests choose which
//! operations fail and which stay under way.

#![allow(dead_code, reason = "each test file uses its part of the world")]

use std::collections::{BTreeMap, BTreeSet};

use addr::{Bus, Peer};
use dsp_abi::port;
use dsp_link_api::Address;
use handles::{Epoch, Handle, Raw};
use iommu_api::{Access, GrantHandle, Part, WindowHandle};
use offload_broker::broker::{Broker, PEER_DEADLINE_MS, Settings};
use offload_broker::ops::{Ask, Effect, Input, Op, Reply, Server, Trouble};
use offload_broker::refusal::{Dialect, Failure, Refusal};
use offload_broker_api::SessionPhase;
use qmi::{Status, StreamIndication, StreamRequest, StreamResponse, Token, Txn};
use usb_audio_api::{CardInfo, StreamDescription, StreamHandle};
use usb_core_api::{DeviceHandle, DeviceInfo, PowerState, UsbCoreError};
use usb_types::{Direction, EndpointAddress, Speed};
use xhci_api::{GateOpening, PlacedRing, Placement, RevokeReason, SidebandHandle};

pub(crate) const PEER: Address = Address { node: 5, port: 0x10 };
pub(crate) const OTHER: Address = Address { node: 5, port: 0x12 };
pub(crate) const PORT_SERVICE: Address = Address { node: 5, port: 0x11 };
pub(crate) const SID: u8 = 0xF;

pub(crate) fn handle<H: Handle>(n: u32) -> H {
    H::from_raw(Raw { index: n as u16, seq: 1 + (n >> 16) as u16, epoch: 0 })
}

pub(crate) fn number(handle: impl Handle) -> u32 {
    let raw = handle.raw();
    u32::from(raw.index) | u32::from(raw.seq - 1) << 16
}

/// The opening of the gate that arming a sideband makes.
pub(crate) fn opening_of(sideband: u32) -> GateOpening {
    GateOpening { entry: (sideband % 8) as u8, generation: sideband }
}

/// An enable request that card 1's first stream can serve: the full vector.
pub(crate) fn enable(card: u16, pcm: u8) -> StreamRequest {
    StreamRequest {
        enable: 1,
        usb_token: Token::new(card, pcm, 0),
        audio_format: Some(2),
        number_of_ch: Some(2),
        bit_rate: Some(48000),
        xfer_buff_size: Some(24576),
        service_interval: Some(1000),
    }
}

pub(crate) fn disable(card: u16, pcm: u8) -> StreamRequest {
    StreamRequest { enable: 0, ..enable(card, pcm) }
}

/// The name of an operation.
pub(crate) fn name(op: Op) -> &'static str {
    match op {
        Op::Open(..) => "open",
        Op::Describe(_) => "describe",
        Op::Register(_) => "register",
        Op::AddEndpoint(..) => "add_endpoint",
        Op::Hold(_) => "hold",
        Op::CreateInterrupter(_) => "create_interrupter",
        Op::OpenWindow { .. } => "open_window",
        Op::Place(..) => "place",
        Op::MapPeer(_, Part::EventRing, ..) => "map_event",
        Op::MapPeer(_, Part::DataRing, ..) => "map_data",
        Op::MapPeer(_, Part::SyncRing, ..) => "map_sync",
        Op::MapPeer(_, Part::Buffer, ..) => "map_buffer",
        Op::PlaceBuffer(..) => "place_buffer",
        Op::GrantBuffer(_) => "grant_buffer",
        Op::Arm(_) => "arm",
        Op::CloseGate(_) => "close_gate",
        Op::Halt(_) => "halt",
        Op::Close(_) => "close",
        Op::Disarm(_) => "disarm",
        Op::UnmapPeer(_) => "unmap_peer",
        Op::Displace(_) => "displace",
        Op::DisplaceBuffer(_) => "displace_buffer",
        Op::ReleaseBuffer(_) => "release_buffer",
        Op::Scrub(_) => "scrub",
        Op::RemoveInterrupter(_) => "remove_interrupter",
        Op::RemoveEndpoint(..) => "remove_endpoint",
        Op::Unregister(_) => "unregister",
        Op::CloseWindow(_) => "close_window",
        Op::Unhold(_) => "unhold",
    }
}

/// What an enable with a sync endpoint asks for, in order.
pub(crate) const UP: [&str; 17] = [
    "open",
    "describe",
    "register",
    "add_endpoint",
    "add_endpoint",
    "hold",
    "create_interrupter",
    "open_window",
    "place",
    "map_event",
    "map_data",
    "map_sync",
    "place_buffer",
    "grant_buffer",
    "map_buffer",
    "arm",
    "",
];

/// What its end asks for, in order (DESIGN rule 6).
pub(crate) const DOWN: [&str; 16] = [
    "close_gate",
    "halt",
    "close",
    "disarm",
    "unmap_peer",
    "displace",
    "displace_buffer",
    "release_buffer",
    "scrub",
    "remove_interrupter",
    "remove_endpoint",
    "remove_endpoint",
    "unregister",
    "close_window",
    "unhold",
    "",
];

#[derive(Clone, Debug, Default)]
struct Sideband {
    /// Place of the session that has it.
    owner: u8,
    endpoints: BTreeSet<u8>,
    interrupter: Option<u16>,
    window: Option<u32>,
    /// 0 not armed, 1 armed, 2 gate closed, 3 halted.
    armed: u8,
}

#[derive(Clone, Debug, Default)]
struct Window {
    controller: u8,
    peer: BTreeSet<&'static str>,
    rings: bool,
    buffer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Ring { owner: u8, controller: u8 },
    Buffer { first: u16, count: u16 },
}

impl Grant {
    fn is_ring(self) -> bool {
        matches!(self, Self::Ring { .. })
    }
}

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) now: u64,
    /// Operations that fail from now on, by name.
    pub(crate) fail: BTreeMap<&'static str, Failure>,
    /// Operations that stay under way from now on.
    pub(crate) mute: BTreeSet<&'static str>,
    /// All operations stay under way.
    pub(crate) mute_all: bool,
    pub(crate) under_way: Vec<(Ask, Op)>,
    /// Names of the operations asked.
    pub(crate) log: Vec<&'static str>,
    pub(crate) responses: Vec<(Address, Txn, StreamResponse)>,
    pub(crate) indications: Vec<(Address, StreamIndication)>,
    pub(crate) port: Vec<(Address, port::Message)>,
    pub(crate) hints: usize,
    /// What the trace has of sessions, by their ids.
    pub(crate) phases: Vec<(u32, SessionPhase)>,
    pub(crate) forgotten: Vec<u8>,
    pub(crate) cancelled: usize,
    /// The device of the next described stream has a sync endpoint.
    pub(crate) sync: bool,
    /// Operations that were under way at the death of a server, and may speak of
    /// what died with it.
    excused: Vec<Ask>,
    next: u32,
    /// Open streams: the place of the session that has each, and which way it
    /// goes.
    streams: BTreeMap<u32, (u8, Direction)>,
    /// By controller and number: drivers count alike.
    sidebands: BTreeMap<(u8, u32), Sideband>,
    registered: [u32; 2],
    /// Whose driver each operation was asked of, as the executor finds it.
    asked_of: BTreeMap<(u32, u16), u8>,
    windows: BTreeMap<u32, Window>,
    grants: BTreeMap<u32, Grant>,
    holds: BTreeSet<u32>,
    /// By controller, window and first page.
    placed_buffers: BTreeSet<(u8, u32, u16)>,
    scrubbed: usize,
    taken: BTreeSet<u16>,
}

impl World {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self::waiting(dialect, PEER_DEADLINE_MS as u32)
    }

    /// One whose peer has so many milliseconds to let go.
    pub(crate) fn waiting(dialect: Dialect, peer_deadline_ms: u32) -> Self {
        let settings = Settings { dialect, sid: SID, peer_deadline_ms, buffer_pages: 64 };
        let mut world = Self {
            broker: Broker::new(settings, Epoch(0)),
            now: 0,
            fail: BTreeMap::new(),
            mute: BTreeSet::new(),
            mute_all: false,
            under_way: Vec::new(),
            log: Vec::new(),
            responses: Vec::new(),
            indications: Vec::new(),
            port: Vec::new(),
            hints: 0,
            phases: Vec::new(),
            forgotten: Vec::new(),
            cancelled: 0,
            sync: true,
            excused: Vec::new(),
            next: 0,
            streams: BTreeMap::new(),
            sidebands: BTreeMap::new(),
            registered: [0; 2],
            asked_of: BTreeMap::new(),
            windows: BTreeMap::new(),
            grants: BTreeMap::new(),
            holds: BTreeSet::new(),
            placed_buffers: BTreeSet::new(),
            scrubbed: 0,
            taken: BTreeSet::new(),
        };
        world.plug(1);
        world
    }

    /// With one stream running: card 1, first pcm, transaction 1.
    pub(crate) fn running(dialect: Dialect) -> Self {
        let mut world = Self::new(dialect);
        world.enable();
        world
    }

    /// The peer enables its stream.
    pub(crate) fn enable(&mut self) {
        self.request(PEER, 1, enable(1, 0));
        assert_eq!(self.last().status, Some(Status::SUCCESS));
        self.log.clear();
        self.responses.clear();
    }

    // ---- what the outside does ----

    pub(crate) fn plug(&mut self, card: u8) {
        self.plug_as(card, u32::from(card));
    }

    /// Card number `card` is device number `device`, at the first controller.
    pub(crate) fn plug_as(&mut self, card: u8, device: u32) {
        self.plug_at(0, card, device);
    }

    /// Card number `card` is device number `device`, at that controller.
    pub(crate) fn plug_at(&mut self, controller: u8, card: u8, device: u32) {
        let info = CardInfo {
            device: handle(device),
            controller,
            slot_number: device as u8,
            playback: 2,
            capture: 1,
            present: true,
        };
        let device = DeviceInfo {
            controller,
            slot: handle(device),
            slot_number: device as u8,
            port: 1,
            speed: Speed::Full,
            vendor: 1,
            product: 2,
            release: 3,
            configuration: 1,
            configuration_length: 100,
            power: PowerState::Active,
        };
        self.input(Input::CardAdded(card, info, device));
    }

    pub(crate) fn unplug(&mut self, card: u8) {
        self.input(Input::CardRemoved(card));
    }

    pub(crate) fn request(&mut self, from: Address, txn: u16, request: StreamRequest) {
        self.input(Input::Request { from, txn: Txn(txn), request });
    }

    pub(crate) fn input(&mut self, input: Input) {
        match input {
            // The one of the only controller, for most.
            Input::ServerDied(server) => return self.die(server, 0),
            Input::DriverDied(controller) => return self.die(Server::Xhci, controller),
            _ => {}
        }
        if let Input::ControllerSafe(ready) = input {
            let windows = &self.windows;
            self.placed_buffers.retain(|(controller, window, _)| {
                *controller != ready || windows.contains_key(window)
            });
        }
        self.broker.step(self.now, input);
        self.work();
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.broker.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    /// Ends the oldest operation under way as it should end.
    pub(crate) fn finish_one(&mut self) -> bool {
        if self.under_way.is_empty() {
            return false;
        }
        let (ask, op) = self.under_way.remove(0);
        let result = self.perform(ask, op);
        self.input(Input::Answer(ask, result));
        true
    }

    /// Ends every operation under way, and what comes of it.
    pub(crate) fn finish_all(&mut self) {
        self.mute.clear();
        self.mute_all = false;
        while self.finish_one() {}
    }

    pub(crate) fn has_sideband(&self) -> bool {
        !self.sidebands.is_empty()
    }

    /// The first sideband, and its controller.
    pub(crate) fn sideband(&self) -> (u8, SidebandHandle) {
        let (controller, number) = *self.sidebands.keys().next().expect("a sideband");
        (controller, handle(number))
    }

    /// The interrupters in use at a controller.
    pub(crate) fn interrupters(&self, controller: u8) -> Vec<u16> {
        let at = self.sidebands.iter().filter(|((at, _), _)| *at == controller);
        at.filter_map(|(_, sideband)| sideband.interrupter).collect()
    }

    /// The controllers of the windows that are open.
    pub(crate) fn windows(&self) -> Vec<u8> {
        self.windows.values().map(|window| window.controller).collect()
    }

    pub(crate) fn window(&self) -> WindowHandle {
        handle(*self.windows.keys().next().expect("a window"))
    }

    pub(crate) fn revoke(&mut self) {
        let (controller, sideband) = self.sideband();
        self.input(Input::Revoked { controller, sideband, reason: RevokeReason::DeviceReset });
    }

    /// The first sideband's device is about to be suspended.
    pub(crate) fn suspend(&mut self) {
        let (controller, sideband) = self.sideband();
        self.input(Input::Revoked { controller, sideband, reason: RevokeReason::DeviceSuspended });
    }

    /// The monitor says something about the first sideband's session.
    pub(crate) fn notice(&mut self, trouble: Trouble) {
        self.notice_of(self.opening(), trouble);
    }

    /// It says something about another opening of a gate.
    pub(crate) fn notice_of(&mut self, opening: GateOpening, trouble: Trouble) {
        let (controller, _) = self.sideband();
        self.input(Input::Notice { controller, opening, trouble });
    }

    /// The opening of the gate that is the first sideband's.
    pub(crate) fn opening(&self) -> GateOpening {
        opening_of(number(self.sideband().1))
    }

    /// The driver took every session down itself.
    pub(crate) fn disarmed(&mut self) {
        self.sidebands.values_mut().for_each(|sideband| sideband.armed = 0);
    }

    /// What a server gave is gone with it; a driver is that of one controller.
    fn die(&mut self, server: Server, dead: u8) {
        let of = |op: Op| match op {
            Op::Open(..) | Op::Describe(_) | Op::Close(_) => Server::UsbAudio,
            Op::Hold(_) | Op::Unhold(_) => Server::UsbCore,
            Op::OpenWindow { .. }
            | Op::MapPeer(..)
            | Op::PlaceBuffer(..)
            | Op::GrantBuffer(_)
            | Op::UnmapPeer(_)
            | Op::DisplaceBuffer(_)
            | Op::ReleaseBuffer(_)
            | Op::CloseWindow(_) => Server::Iommu,
            _ => Server::Xhci,
        };
        let asked_of = &self.asked_of;
        let lost = |ask: Ask, op: Op| {
            let is_there = asked_of[&(ask.session.id, ask.serial)] == dead;
            of(op) == server && (server != Server::Xhci || is_there)
        };
        let failure = match server {
            Server::Iommu => Failure::Iommu(iommu_api::IommuError::ServerDied),
            Server::Xhci => Failure::Xhci(xhci_api::XhciError::ServerDied),
            Server::UsbCore => Failure::Core(UsbCoreError::ServerDied),
            Server::UsbAudio => Failure::Audio(usb_audio_api::UsbAudioError::ServerDied),
        };
        let (ended, alive) =
            self.under_way.drain(..).partition::<Vec<_>, _>(|&(ask, op)| lost(ask, op));
        self.excused.extend(alive.iter().map(|&(ask, _)| ask));
        self.under_way = alive;
        match server {
            Server::UsbAudio => self.streams.clear(),
            Server::UsbCore => self.holds.clear(),
            Server::Xhci => {
                self.sidebands.retain(|(controller, _), _| *controller != dead);
                let windows = self.windows.values_mut();
                windows
                    .filter(|window| window.controller == dead)
                    .for_each(|window| window.rings = false);
                self.grants.retain(|_, grant| {
                    !matches!(grant, Grant::Ring { controller, .. } if *controller == dead)
                });
            }
            // What the SMMU let through it lets through until the mapper's next
            // life, which the controller's new beginning needs.
            Server::Iommu => {
                self.windows.clear();
                self.grants.clear();
            }
        }
        self.broker.step(
            self.now,
            match server {
                Server::Xhci => Input::DriverDied(dead),
                _ => Input::ServerDied(server),
            },
        );
        self.work();
        for (ask, _) in ended {
            self.broker.step(self.now, Input::Answer(ask, Err(failure)));
            self.work();
        }
    }

    // ---- what the broker wants done ----

    fn work(&mut self) {
        loop {
            while let Some(effect) = self.broker.next_effect() {
                self.effect(effect);
            }
            match self.broker.take_forgettable_card() {
                Some(card) => self.forgotten.push(card),
                None => return,
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Ask(ask, op) => {
                let name = name(op);
                self.log.push(name);
                let at = self.broker.controller_of(ask.session).expect("a live session asks");
                self.asked_of.insert((ask.session.id, ask.serial), at);
                if self.mute_all || self.mute.contains(name) {
                    self.under_way.push((ask, op));
                    return;
                }
                let result = self.perform(ask, op);
                self.broker.step(self.now, Input::Answer(ask, result));
            }
            Effect::Cancel(ask) => {
                self.cancelled += 1;
                let Some(index) = self.under_way.iter().position(|&(known, _)| known == ask) else {
                    return;
                };
                let (_, op) = self.under_way.remove(index);
                // An open is undone when it ends; all else ends by itself.
                if !matches!(op, Op::Open(..)) {
                    let _ = self.perform(ask, op);
                }
            }
            Effect::Respond(to, txn, response) => self.responses.push((to, txn, response)),
            Effect::Indicate(to, indication) => self.indications.push((to, indication)),
            Effect::Port(to, message) => self.port.push((to, message)),
            Effect::Hint(_) => self.hints += 1,
            Effect::Phase(session, phase) => self.phases.push((session.id, phase)),
        }
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn sideband_of(&mut self, at: u8, sideband: SidebandHandle) -> &mut Sideband {
        let known = self.sidebands.get_mut(&(at, number(sideband)));
        known.expect("an operation on a sideband that is gone, or another driver's")
    }

    fn window_of(&mut self, window: WindowHandle) -> &mut Window {
        self.windows.get_mut(&number(window)).expect("an operation on a window that is gone")
    }

    /// How a server refuses an operation on what is gone.
    fn gone(&self, at: u8, op: Op) -> Option<Failure> {
        let (mut sideband, mut window, mut grant) = (None, None, None);
        match op {
            Op::Place(side, to) => (sideband, window) = (Some(side), Some(to)),
            Op::AddEndpoint(side, _)
            | Op::CreateInterrupter(side)
            | Op::Arm(side)
            | Op::CloseGate(side)
            | Op::Halt(side)
            | Op::Disarm(side)
            | Op::Displace(side)
            | Op::RemoveInterrupter(side)
            | Op::RemoveEndpoint(side, _)
            | Op::Unregister(side) => sideband = Some(side),
            Op::MapPeer(of, _, right, _) => (window, grant) = (Some(of), Some(right)),
            Op::PlaceBuffer(of, ..)
            | Op::UnmapPeer(of)
            | Op::DisplaceBuffer(of)
            | Op::CloseWindow(of) => window = Some(of),
            Op::ReleaseBuffer(right) => grant = Some(right),
            _ => {}
        }
        if sideband.is_some_and(|it| !self.sidebands.contains_key(&(at, number(it)))) {
            return Some(Failure::Xhci(xhci_api::XhciError::StaleServer));
        }
        let window = window.is_some_and(|it| !self.windows.contains_key(&number(it)));
        let grant = grant.is_some_and(|it| !self.grants.contains_key(&number(it)));
        (window || grant).then_some(Failure::Iommu(iommu_api::IommuError::StaleServer))
    }

    /// Does an operation, or fails it as the test wants.
    pub(crate) fn perform(&mut self, ask: Ask, op: Op) -> Result<Reply, Failure> {
        let at = self.asked_of[&(ask.session.id, ask.serial)];
        if let Some(failure) = self.gone(at, op) {
            assert!(self.excused.contains(&ask), "{op:?} speaks of what is gone");
            return Err(failure);
        }
        if let Some(&failure) = self.fail.get(name(op)) {
            if let Op::Close(stream) = op
                && !failure.is_busy()
            {
                // Void at once, whatever becomes of it.
                self.streams.remove(&number(stream));
            }
            return Err(failure);
        }
        Ok(match op {
            Op::Open(id, _) => {
                let stream = self.fresh();
                self.streams.insert(stream, (ask.session.place, id.direction));
                Reply::Opened(handle::<StreamHandle>(stream))
            }
            Op::Describe(stream) => {
                let stream = self.streams.get(&number(stream));
                let (_, direction) = *stream.expect("describes a closed stream");
                Reply::Described(self.description(direction))
            }
            Op::Register(_) => {
                self.registered[usize::from(at)] += 1;
                let sideband = self.registered[usize::from(at)];
                let owner = ask.session.place;
                self.sidebands.insert((at, sideband), Sideband { owner, ..Sideband::default() });
                Reply::Registered(handle(sideband))
            }
            Op::AddEndpoint(sideband, dci) => {
                let added = self.sideband_of(at, sideband).endpoints.insert(dci);
                assert!(added, "an endpoint is added twice");
                Reply::Done
            }
            Op::Hold(device) => {
                if !self.holds.insert(number(device)) {
                    return Err(Failure::Core(UsbCoreError::AlreadyHeld));
                }
                Reply::Done
            }
            Op::CreateInterrupter(sideband) => {
                let used = self.interrupters(at);
                let free = (2..).find(|number| !used.contains(number));
                let sideband = self.sideband_of(at, sideband);
                assert!(sideband.interrupter.is_none() && !sideband.endpoints.is_empty());
                sideband.interrupter = free;
                Reply::Interrupter(free.expect("there is no end of them"))
            }
            Op::OpenWindow { controller } => {
                let window = self.fresh();
                self.windows.insert(window, Window { controller, ..Window::default() });
                Reply::Window(handle(window))
            }
            Op::Place(sideband, window) => {
                let sideband_number = number(sideband);
                assert_eq!(self.window_of(window).controller, at, "rings of another controller");
                self.window_of(window).rings = true;
                let sideband = self.sideband_of(at, sideband);
                let placeable = sideband.interrupter.is_some() && sideband.window.is_none();
                assert!(placeable, "nothing to place");
                sideband.window = Some(number(window));
                let (owner, with_sync) = (sideband.owner, sideband.endpoints.len() == 2);
                let mut ring = |bus| {
                    let grant = self.fresh();
                    self.grants.insert(grant, Grant::Ring { owner, controller: at });
                    PlacedRing { bus: Bus(bus), grant: handle::<GrantHandle>(grant) }
                };
                Reply::Placed(Placement {
                    event: ring(0x8_1000_0000),
                    data: ring(0x8_1000_1000),
                    sync: with_sync.then(|| ring(0x8_1000_2000)),
                    gate: opening_of(sideband_number),
                })
            }
            Op::MapPeer(window, part, grant, _) => {
                let granted = *self.grants.get(&number(grant)).expect("maps what is not granted");
                let (at, part, ring) = match part {
                    Part::EventRing => (0x1000, "event", true),
                    Part::DataRing => (0x2_2000, "data", true),
                    Part::SyncRing => (0x2_3000, "sync", true),
                    Part::Buffer => (0x42_2000, "buffer", false),
                };
                let window = self.window_of(window);
                assert_eq!(granted.is_ring(), ring, "the wrong pages for the part");
                assert!(if ring { window.rings } else { window.buffer }, "mapped, not placed");
                assert!(window.peer.insert(part), "a part is mapped twice");
                Reply::Mapped(Peer(at))
            }
            Op::PlaceBuffer(window, pages, access) => {
                let records = self.streams.values().any(|&(place, direction)| {
                    place == ask.session.place && direction == Direction::In
                });
                let written = self.sync || records;
                assert_eq!(access == Access::ReadWrite, written, "by feedback and recordings");
                let window_number = number(window);
                for page in pages.first..pages.first + pages.count {
                    assert!(self.taken.insert(page), "two sessions have one page");
                }
                let window = self.window_of(window);
                assert!(!window.buffer, "two buffers in one window");
                window.buffer = true;
                self.placed_buffers.insert((at, window_number, pages.first));
                Reply::BufferPlaced(Bus(0x8_2000_0000))
            }
            Op::GrantBuffer(pages) => {
                let grant = self.fresh();
                let granted = Grant::Buffer { first: pages.first, count: pages.count };
                self.grants.insert(grant, granted);
                Reply::BufferGranted(handle(grant))
            }
            Op::Arm(sideband) => {
                let sideband = self.sideband_of(at, sideband);
                assert!(sideband.armed == 0 && sideband.window.is_some(), "armed too early");
                sideband.armed = 1;
                Reply::Done
            }
            Op::CloseGate(sideband) => {
                let sideband = self.sideband_of(at, sideband);
                if sideband.armed != 1 {
                    return Err(Failure::Xhci(xhci_api::XhciError::WrongPhase));
                }
                sideband.armed = 2;
                Reply::Done
            }
            Op::Halt(sideband) => {
                let sideband = self.sideband_of(at, sideband);
                assert_ne!(sideband.armed, 1, "halted before the gate was closed");
                if sideband.armed != 2 {
                    return Err(Failure::Xhci(xhci_api::XhciError::WrongPhase));
                }
                sideband.armed = 3;
                Reply::Done
            }
            Op::Close(stream) => {
                let Some((owner, _)) = self.streams.remove(&number(stream)) else {
                    return Err(Failure::Audio(usb_audio_api::UsbAudioError::Stale));
                };
                let running = self
                    .sidebands
                    .values()
                    .any(|sideband| sideband.owner == owner && matches!(sideband.armed, 1 | 2));
                assert!(!running, "alternate 0 under a running ring");
                Reply::Done
            }
            Op::Disarm(sideband) => {
                let sideband = self.sideband_of(at, sideband);
                if sideband.armed == 0 {
                    return Err(Failure::Xhci(xhci_api::XhciError::WrongPhase));
                }
                assert_eq!(sideband.armed, 3, "disarmed before it was halted");
                sideband.armed = 0;
                Reply::Done
            }
            Op::UnmapPeer(window) => {
                let n = number(window);
                let open = self.sidebands.values().any(|s| s.window == Some(n) && s.armed == 1);
                assert!(!open, "unmapped under an open gate");
                let window = self.window_of(window);
                if window.peer.is_empty() {
                    return Err(Failure::Iommu(iommu_api::IommuError::NotMapped));
                }
                window.peer.clear();
                Reply::Done
            }
            Op::Displace(sideband) => {
                let side = self.sideband_of(at, sideband);
                assert_eq!(side.armed, 0, "rings taken from an armed sideband");
                let window = side.window.take().expect("nothing is placed");
                if let Some(window) = self.windows.get_mut(&window) {
                    assert!(window.peer.is_empty(), "the peer still has the rings");
                    window.rings = false;
                }
                let owner = ask.session.place;
                self.grants.retain(|_, grant| *grant != Grant::Ring { owner, controller: at });
                Reply::Done
            }
            Op::DisplaceBuffer(window) => {
                let window_number = number(window);
                let window = self.window_of(window);
                assert!(window.peer.is_empty() && window.buffer, "the peer still has the buffer");
                window.buffer = false;
                self.placed_buffers.retain(|(_, window, _)| *window != window_number);
                Reply::Done
            }
            Op::ReleaseBuffer(grant) => {
                let granted = self.grants.remove(&number(grant)).expect("released twice");
                assert!(!granted.is_ring());
                Reply::Done
            }
            Op::Scrub(pages) => {
                let granted = self.grants.values().any(
                    |grant| matches!(grant, Grant::Buffer { first, .. } if *first == pages.first),
                );
                let placed = self.placed_buffers.iter().any(|&(.., first)| first == pages.first);
                assert!(!granted && !placed, "pages are freed that someone sees");
                for page in pages.first..pages.first + pages.count {
                    self.taken.remove(&page);
                }
                self.scrubbed += 1;
                Reply::Done
            }
            Op::RemoveInterrupter(sideband) => {
                let sideband = self.sideband_of(at, sideband);
                let is_idle = sideband.window.is_none() && sideband.armed == 0;
                assert!(sideband.interrupter.is_some() && is_idle);
                sideband.interrupter = None;
                Reply::Done
            }
            Op::RemoveEndpoint(sideband, dci) => {
                if !self.sideband_of(at, sideband).endpoints.remove(&dci) {
                    return Err(Failure::Xhci(xhci_api::XhciError::EndpointNotOwned));
                }
                Reply::Done
            }
            Op::Unregister(sideband) => {
                let side = self.sideband_of(at, sideband);
                assert!(
                    side.endpoints.is_empty()
                        && side.interrupter.is_none()
                        && side.window.is_none()
                );
                self.sidebands.remove(&(at, number(sideband)));
                Reply::Done
            }
            Op::CloseWindow(window) => {
                let known = self.window_of(window);
                assert!(known.peer.is_empty() && !known.rings && !known.buffer, "still mapped");
                self.windows.remove(&number(window));
                Reply::Done
            }
            Op::Unhold(device) => {
                if !self.holds.remove(&number(device)) {
                    return Err(Failure::Core(UsbCoreError::NotHeld));
                }
                Reply::Done
            }
        })
    }

    fn description(&self, direction: Direction) -> StreamDescription {
        let data_address = match direction {
            Direction::Out => EndpointAddress(1),
            Direction::In => EndpointAddress(0x82),
        };
        StreamDescription {
            device: handle::<DeviceHandle>(1),
            speed: Speed::Full,
            interface: [9, 4, 1, 1, 1 + u8::from(self.sync), 1, 2, 0, 0],
            data_endpoint: [9, 5, data_address.0, 9, 192, 0, 1, 0, 0],
            sync_endpoint: self.sync.then_some([9, 5, 129, 17, 3, 0, 1, 5, 0]),
            data_address,
            sync_address: self.sync.then_some(EndpointAddress(129)),
            revision: 0x100,
            delay: Some(1),
            subslot: 2,
            interval_us: 1000,
            max_packet: 192,
            tail_ms: 3,
        }
    }

    // ---- what came of it ----

    /// The response that came last.
    pub(crate) fn last(&self) -> &StreamResponse {
        &self.responses.last().expect("a response").2
    }

    /// Takes the only response; it must be a refusal with this code.
    pub(crate) fn refused(&mut self) -> (Status, u32) {
        assert_eq!(self.responses.len(), 1, "one answer to one request");
        let (_, _, response) = self.responses.remove(0);
        (response.status.expect("a status"), response.internal_status.expect("a code"))
    }

    pub(crate) fn refused_with(&mut self, refusal: Refusal) {
        let got = self.refused();
        assert_eq!(got, refusal.on_wire(Dialect::Precise), "expected {refusal:?}");
    }

    /// Nothing is held by anyone, and nothing was released twice.
    pub(crate) fn assert_clean(&self) {
        assert!(self.streams.is_empty(), "a stream is left open");
        assert!(self.sidebands.is_empty(), "a sideband is left: {:?}", self.sidebands);
        assert!(self.windows.is_empty(), "a window is left: {:?}", self.windows);
        assert!(self.holds.is_empty(), "a hold is left");
        let buffers = self.grants.len();
        assert_eq!(buffers, 0, "a grant is left");
        assert_eq!(self.broker.buffer_pages(), 0, "a page is left");
        let status = self.broker.status();
        assert_eq!((status.sessions, status.votes, status.double_releases), (0, 0, 0));
        assert_eq!(status.begun, status.ended);
        assert_eq!(self.broker.next_deadline(), None, "something is still waited for");
    }

    pub(crate) fn holds(&self) -> usize {
        self.holds.len()
    }
}

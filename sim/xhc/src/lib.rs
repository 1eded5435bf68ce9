//! The model of an xHCI controller, at the level of its registers.
//!
//! A PCI function with a register window ([`Xhc`] is a [`Device`]), a
//! configuration space ([`Xhc::config`]), ports for [`usb_model`] devices, and
//! everything between them that xHCI 1.2 describes for control, isochronous and
//! interrupt-in endpoints, on the root hub and behind hubs. What the specification leaves to the
//! implementation is a [`Personality`], drawn from a seed.
//!
//! It is harsh. It fetches ahead and caches where hardware may; it reports what
//! software must not do as a [`Violation`] and then goes on as hardware would.
//!
//! The files follow the specification: `capability`, `operational`, `port`,
//! `link`, `place`, `runtime`, `event`, `deferred`, `doorbell` (5), `context` (6.2), `trb` (6.4), `command`,
//! `slots`, `endpoints` (4.6), `transfer`, `control`, `periodic`, `bandwidth`
//! (4.9 to 4.16), `pci`.
//!
//! Not modelled: translators of hubs (what they cost), SuperSpeed hubs, streams, bulk endpoints, U1, U2 and L1,
//! virtualisation, debug capability.

#![forbid(unsafe_code)]

mod bandwidth;
mod capability;
mod command;
mod context;
mod control;
mod deferred;
mod doorbell;
mod endpoints;
mod event;
mod ids;
mod link;
mod operational;
mod pci;
mod periodic;
mod personality;
mod place;
mod port;
mod runtime;
mod slots;
mod transfer;
mod trb;

pub use ids::{Dci, InterrupterId, Place, RootPort, Route, SlotId};
pub use operational::Death;
pub use pci::{BAR_SIZE, PciAddress};
pub use personality::{Personality, StoppedEvent};

use addr::{Bus, Phys};
use capability::{DOORBELLS, Legacy, RUNTIME};
use command::CommandRing;
use context::Slot;
use deferred::{DEFERRED, Deferred};
use endpoints::StopReport;
use fabric::{Device, DeviceId, Fabric, Rng, StreamId, Time, Violation, Width};
use operational::Operational;
use pci::{Message, Pci};
use port::Port;
use runtime::Interrupter;
use std::cell::Cell;
use usb_model::Wire;

/// What the controller did that software may not have noticed.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that found their ring full.
    pub events_lost: u64,
    /// Times a ring became full.
    pub rings_full: u64,
    /// Rings that were empty at a service opportunity.
    pub dry_rings: u64,
    /// Isochronous descriptors whose frame had passed.
    pub missed_services: u64,
}

/// What the controller asked to be woken for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wake {
    ResetDone,
    Halted,
    BiosLetsGo,
    Command(u8),
    PortReset(RootPort, u8),
    Moderation(InterrupterId),
    Control(SlotId, u8),
    Fetch(SlotId, Dci, u8),
    Transmit(SlotId, Dci, u8),
    Deliver(u16),
    Link(RootPort, u8),
}

/// A wake as a token: generation in the top byte, then the kind, then 20 bits.
impl Wake {
    const fn encode(self, generation: u8) -> u32 {
        const fn endpoint(slot: SlotId, dci: Dci, turn: u8) -> u32 {
            (slot.0 as u32) << 13 | (dci.0 as u32) << 8 | turn as u32
        }
        let (kind, payload) = match self {
            Self::ResetDone => (0, 0),
            Self::Halted => (1, 0),
            Self::BiosLetsGo => (2, 0),
            Self::Command(turn) => (3, turn as u32),
            Self::PortReset(port, turn) => (4, (port.0 as u32) << 8 | turn as u32),
            Self::Moderation(id) => (5, id.0 as u32),
            Self::Control(slot, turn) => (6, endpoint(slot, Dci::CONTROL, turn)),
            Self::Fetch(slot, dci, turn) => (7, endpoint(slot, dci, turn)),
            Self::Transmit(slot, dci, turn) => (8, endpoint(slot, dci, turn)),
            Self::Deliver(sequence) => (9, sequence as u32),
            Self::Link(port, turn) => (10, (port.0 as u32) << 8 | turn as u32),
        };
        (generation as u32) << 24 | kind << 20 | payload
    }

    fn decode(token: u32) -> (u8, Self) {
        let payload = token & 0xF_FFFF;
        let turn = payload as u8;
        let slot = SlotId((payload >> 13) as u8 & 0x7F);
        let dci = Dci((payload >> 8) as u8 & 0x1F);
        let wake = match token >> 20 & 0xF {
            0 => Self::ResetDone,
            1 => Self::Halted,
            2 => Self::BiosLetsGo,
            3 => Self::Command(turn),
            4 => Self::PortReset(RootPort((payload >> 8) as u8), turn),
            5 => Self::Moderation(InterrupterId(payload as u16)),
            6 => Self::Control(slot, turn),
            7 => Self::Fetch(slot, dci, turn),
            8 => Self::Transmit(slot, dci, turn),
            9 => Self::Deliver(payload as u16),
            10 => Self::Link(RootPort((payload >> 8) as u8), turn),
            _ => unreachable!("tokens are made by encode"),
        };
        ((token >> 24) as u8, wake)
    }
}

/// A controller.
#[derive(Debug)]
pub struct Xhc {
    device: DeviceId,
    number: u8,
    stream: StreamId,
    p: Personality,
    rng: Rng,
    pci: Pci,
    gone: bool,
    /// Where its registers were when it left its bus.
    left: Option<Phys>,
    /// It was kept from something that it wanted to read, since its reset.
    blind: Cell<bool>,
    generation: u8,
    legacy: Legacy,
    operational: Operational,
    interrupters: Vec<Interrupter>,
    ports: Vec<Port>,
    slots: Vec<Slot>,
    commands: CommandRing,
    stop_report: Option<StopReport>,
    deferred: Vec<Option<Deferred>>,
    sequence: u64,
    wire: Wire,
    stats: Stats,
}

impl Xhc {
    /// A controller that was just powered.
    ///
    /// `device` is what the board calls it, `number` what traces do; `stream` is
    /// what the SMMU sees, as a rule [`PciAddress::requester`].
    #[must_use]
    pub fn new(personality: Personality, device: DeviceId, number: u8, stream: StreamId) -> Self {
        let p = personality;
        Self {
            device,
            number,
            stream,
            rng: Rng::new(p.seed ^ u64::from(number) << 56),
            pci: Pci::new(p.interrupters),
            gone: false,
            left: None,
            blind: Cell::new(false),
            generation: 0,
            legacy: Legacy { bios: p.bios, os: false },
            operational: Operational::new(),
            interrupters: (0..p.interrupters).map(|_| Interrupter::new()).collect(),
            ports: (0..p.ports()).map(|_| Port::new()).collect(),
            slots: (0..p.slots).map(|_| Slot::new()).collect(),
            commands: CommandRing::new(),
            stop_report: None,
            deferred: Vec::with_capacity(DEFERRED),
            sequence: 0,
            wire: Wire::new(number),
            stats: Stats::default(),
            p,
        }
    }

    /// Its character.
    #[must_use]
    pub fn personality(&self) -> &Personality {
        &self.p
    }

    /// The wire to its devices, with the record of what went over it.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The wire, to capture from it or to harm it.
    pub fn wire_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// What it counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Where its registers are decoded, if they are. A bus on which nobody answers
    /// any more reads as ones there, and forgets what is written.
    #[must_use]
    pub fn bar(&self) -> Option<Phys> {
        self.decoded().or(self.left)
    }

    fn decoded(&self) -> Option<Phys> {
        self.pci.bar().filter(|&bar| bar != 0).map(Phys)
    }

    /// Whether interrupter `id` has an event ring: none of the secondary ones may
    /// have one when a scenario has cleaned up.
    #[must_use]
    pub fn interrupter_in_use(&self, id: InterrupterId) -> bool {
        self.has_ring(id)
    }

    /// Where the own events of slot `id` go, if it is enabled (6.2.2).
    #[must_use]
    pub fn slot_target(&self, id: SlotId) -> Option<InterrupterId> {
        self.slot(id).map(|slot| slot.interrupter)
    }

    /// Its configuration space.
    pub fn config(&mut self) -> Config<'_> {
        Config(self)
    }

    // Time.

    fn wake_at(&mut self, fabric: &mut Fabric, at: Time, wake: Wake) {
        fabric.events.schedule(at.max(fabric.now()), self.device, wake.encode(self.generation));
    }

    fn after(&mut self, fabric: &mut Fabric, span: Time, wake: Wake) {
        let at = fabric.now() + span;
        self.wake_at(fabric, at, wake);
    }

    // Memory.

    /// An address as this controller can put it on its bus.
    fn reach(&self, at: Bus) -> Bus {
        if self.p.addresses_64 { at } else { Bus(at.0 & 0xFFFF_FFFF) }
    }

    /// A pointer register's new value.
    fn pointer(&self, fabric: &mut Fabric, register: u32, value: u64) -> Bus {
        if !self.p.addresses_64 && value >> 32 != 0 {
            self.bad_access(fabric, register);
        }
        self.reach(Bus(value))
    }

    fn read_bytes(&self, fabric: &mut Fabric, at: Bus, into: &mut [u8]) -> bool {
        if !self.pci.bus_master() {
            into.fill(0);
            return false;
        }
        let read = fabric.dma_read(self.stream, self.reach(at), into).is_ok();
        self.blind.set(self.blind.get() || !read);
        read
    }

    fn write_bytes(&self, fabric: &mut Fabric, at: Bus, from: &[u8]) -> bool {
        from.is_empty()
            || self.pci.bus_master() && fabric.dma_write(self.stream, self.reach(at), from).is_ok()
    }

    fn read_words<const N: usize>(&self, fabric: &mut Fabric, at: Bus) -> Option<[u32; N]> {
        let mut bytes = [0; 32];
        let bytes = &mut bytes[..4 * N];
        if !self.read_bytes(fabric, at, bytes) {
            return None;
        }
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Some(words)
    }

    fn write_words<const N: usize>(&self, fabric: &mut Fabric, at: Bus, words: [u32; N]) -> bool {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.write_bytes(fabric, at, &bytes[..4 * N])
    }

    /// Sends an MSI. One that is blocked is lost, and nobody is told.
    fn message(&self, fabric: &mut Fabric, message: Message) {
        if self.pci.bus_master() {
            let _ = fabric.dma_write32(self.stream, self.reach(Bus(message.address)), message.data);
        }
    }

    // Violations.

    /// A controller that was kept from what it wanted to read makes what it likes
    /// of it; that it was kept is what is counted, with the SMMU.
    fn violation(&self, fabric: &mut Fabric, violation: Violation) {
        if !self.blind.get() {
            fabric.violation(violation);
        }
    }

    fn bad_access(&self, fabric: &mut Fabric, register: u32) {
        let controller = self.number;
        self.violation(fabric, Violation::XhcBadAccess { controller, register });
    }

    fn reserved_bits(&self, fabric: &mut Fabric, register: u32, value: u32) {
        let controller = self.number;
        self.violation(fabric, Violation::XhcReservedBits { controller, register, value });
    }

    fn misplaced(&self, fabric: &mut Fabric, at: Bus) {
        let controller = self.number;
        self.violation(fabric, Violation::XhcMisplaced { controller, at });
    }
}

impl Device for Xhc {
    fn read(&mut self, fabric: &mut Fabric, offset: u32, width: Width) -> u32 {
        if self.gone || self.decoded().is_none() {
            return u32::MAX;
        }
        let capabilities = u32::from(self.p.caplength);
        // Only the read-only registers can be read in pieces (5.3).
        if width != Width::Word && offset >= capabilities {
            self.bad_access(fabric, offset);
        }
        let word = offset & !3;
        let value = if let Some(value) = capability::extended(&self.p, self.legacy, word) {
            value
        } else if word < capabilities {
            capability::read(&self.p, word).unwrap_or(0)
        } else if word < RUNTIME {
            self.operational_read(fabric, word - capabilities)
        } else if word < DOORBELLS {
            self.runtime_read(fabric, word)
        } else if word < pci::TABLE {
            0
        } else if word < pci::PENDING {
            self.pci.table_read(word - pci::TABLE)
        } else {
            self.pci.pending_read(word - pci::PENDING)
        };
        let shifted = value >> (8 * (offset & 3));
        match width {
            Width::Byte => shifted & 0xFF,
            Width::Half => shifted & 0xFFFF,
            Width::Word => shifted,
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, width: Width, value: u32) {
        let silent = self.left.is_some() && self.decoded().is_none();
        if self.gone || silent {
            return;
        }
        let capabilities = u32::from(self.p.caplength);
        if self.decoded().is_none() || width != Width::Word || offset & 3 != 0 {
            self.bad_access(fabric, offset);
            return;
        }
        if capability::is_legacy(&self.p, offset) {
            self.legacy = capability::claim(self.legacy, value);
            if self.legacy.bios && self.legacy.os {
                self.after(fabric, BIOS, Wake::BiosLetsGo);
            }
        } else if offset < capabilities {
            self.bad_access(fabric, offset);
        } else if capability::extended(&self.p, self.legacy, offset).is_some() {
            // USBLEGCTLSTS: no SMI is modelled that could be disabled.
            if !(self.p.bios && offset == u32::from(self.p.extended) + 4) {
                self.bad_access(fabric, offset);
            }
        } else if offset < RUNTIME {
            self.operational_write(fabric, offset - capabilities, value);
        } else if offset < DOORBELLS {
            self.runtime_write(fabric, offset, value);
        } else if offset < pci::TABLE {
            self.doorbell_write(fabric, offset, value);
        } else {
            if offset >= pci::PENDING || !self.pci.table_write(offset - pci::TABLE, value) {
                self.bad_access(fabric, offset);
            }
            self.release_messages(fabric);
        }
    }

    fn wake(&mut self, fabric: &mut Fabric, token: u32) {
        let (generation, wake) = Wake::decode(token);
        if generation != self.generation || self.gone {
            return;
        }
        match wake {
            Wake::ResetDone => self.reset_done(fabric),
            Wake::Halted => self.halt(fabric),
            Wake::BiosLetsGo => self.legacy.bios = false,
            Wake::Command(turn) => self.command_done(fabric, turn),
            Wake::PortReset(port, turn) => self.port_reset_done(fabric, port, turn),
            Wake::Moderation(id) => self.moderation_over(fabric, id),
            Wake::Control(slot, turn) => self.control_stage(fabric, slot, turn),
            Wake::Fetch(slot, dci, turn) => self.fetch_due(fabric, slot, dci, turn),
            Wake::Transmit(slot, dci, turn) => self.transmit_due(fabric, slot, dci, turn),
            Wake::Deliver(sequence) => self.deliver_due(fabric, sequence),
            Wake::Link(port, turn) => self.link_changed(fabric, port, turn),
        }
    }
}

/// `bits` when `set`: a flag of a register.
const fn flag(set: bool, bits: u32) -> u32 {
    if set { bits } else { 0 }
}

/// How long the BIOS takes to let go.
const BIOS: Time = Time::ms(3);

impl Xhc {
    fn release_messages(&mut self, fabric: &mut Fabric) {
        while let Some(message) = self.pci.release() {
            self.message(fabric, message);
        }
    }
}

/// The configuration space of a controller: a page of the ECAM window.
#[derive(Debug)]
pub struct Config<'a>(&'a mut Xhc);

impl Device for Config<'_> {
    fn read(&mut self, _fabric: &mut Fabric, offset: u32, width: Width) -> u32 {
        if self.0.gone { u32::MAX } else { self.0.pci.config_read(offset, width) }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, width: Width, value: u32) {
        if self.0.gone {
            return;
        }
        if !self.0.pci.config_write(offset, width, value) {
            self.0.bad_access(fabric, offset);
        }
        self.0.release_messages(fabric);
    }

    fn wake(&mut self, fabric: &mut Fabric, token: u32) {
        self.0.wake(fabric, token);
    }
}

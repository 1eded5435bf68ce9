//! Device contexts: xHCI 1.2, 4.5, 4.8 and 6.2.
//!
//! The controller keeps its own copy of every context and writes it out when
//! something changes. Before it does, it compares what is in memory with what
//! it wrote last: output contexts are the controller's.

use crate::Xhc;
use crate::control::Control;
use crate::ids::{Dci, InterrupterId, Place, RootPort, Route, SlotId};
use crate::periodic::Service;
use crate::transfer::Ring;
use addr::Bus;
use fabric::{Fabric, Time, Violation};
use usb_model::{Address, Speed};

/// State of a slot, as its context encodes it; `Disabled` shares 0 with `Enabled`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SlotState {
    Disabled,
    Enabled,
    Default,
    Addressed,
    Configured,
}

impl SlotState {
    const fn encoded(self) -> u32 {
        match self {
            Self::Disabled | Self::Enabled => 0,
            Self::Default => 1,
            Self::Addressed => 2,
            Self::Configured => 3,
        }
    }
}

/// State of an endpoint, as its context encodes it; one that is disabled (0) does
/// not exist here.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum EndpointState {
    Running = 1,
    Halted = 2,
    Stopped = 3,
    Error = 4,
}

/// The endpoint types that this controller schedules. Bulk and interrupt OUT
/// are refused with a resource error: no device of this machine has them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndpointKind {
    IsochOut,
    Control,
    IsochIn,
    InterruptIn,
}

impl EndpointKind {
    /// From the EP Type field (table 6-9).
    pub(crate) const fn decode(field: u32) -> Option<Self> {
        match field {
            1 => Some(Self::IsochOut),
            4 => Some(Self::Control),
            5 => Some(Self::IsochIn),
            7 => Some(Self::InterruptIn),
            _ => None,
        }
    }

    pub(crate) const fn is_isoch(self) -> bool {
        matches!(self, Self::IsochOut | Self::IsochIn)
    }
}

/// A slot context or an endpoint context: the words that carry fields.
pub(crate) type Words = [u32; 8];

/// Fields of a slot context (6.2.2).
#[derive(Copy, Clone, Debug)]
pub(crate) struct SlotContext(pub(crate) Words);

impl SlotContext {
    pub(crate) fn route(self) -> u32 {
        self.0[0] & 0xF_FFFF
    }

    /// MTT.
    pub(crate) const MULTI: u32 = 1 << 25;

    pub(crate) fn is_hub(self) -> bool {
        self.0[0] & 1 << 26 != 0
    }

    pub(crate) fn hub_ports(self) -> u8 {
        (self.0[1] >> 24) as u8
    }

    /// TT Hub Slot ID and TT Port Number.
    pub(crate) fn translator(self) -> u32 {
        self.0[2] & 0xFFFF
    }

    /// TTT.
    pub(crate) fn think_time(self) -> u32 {
        self.0[2] >> 16 & 3
    }

    /// Takes over what `told` says of the device as a hub (4.6.6).
    pub(crate) fn learn_hub(&mut self, told: Self) {
        for (word, mask) in [(0, 1 << 26 | Self::MULTI), (1, 0xFF << 24), (2, 3 << 16)] {
            self.0[word] = self.0[word] & !mask | told.0[word] & mask;
        }
    }

    pub(crate) fn speed(self) -> u32 {
        self.0[0] >> 20 & 0xF
    }

    pub(crate) fn entries(self) -> u8 {
        (self.0[0] >> 27) as u8
    }

    pub(crate) fn max_exit_latency(self) -> u32 {
        self.0[1] & 0xFFFF
    }

    pub(crate) fn port(self) -> RootPort {
        RootPort((self.0[1] >> 16) as u8)
    }

    pub(crate) fn interrupter(self) -> InterrupterId {
        InterrupterId((self.0[2] >> 22) as u16)
    }

    /// Bits that are reserved. (The address and the state are the controller's
    /// to write, but software that starts from an output context hands them in.)
    pub(crate) fn has_reserved_bits(self) -> bool {
        self.0[0] & 1 << 24 != 0 || self.0[2] & 0x003C_0000 != 0 || self.0[4..] != [0; 4]
    }
}

/// Fields of an endpoint context (6.2.3).
#[derive(Copy, Clone, Debug)]
pub(crate) struct EndpointContext(pub(crate) Words);

impl EndpointContext {
    pub(crate) fn state(self) -> u32 {
        self.0[0] & 7
    }

    pub(crate) fn mult(self) -> u32 {
        self.0[0] >> 8 & 3
    }

    pub(crate) fn streams(self) -> u32 {
        self.0[0] >> 10 & 0x3F
    }

    pub(crate) fn interval(self) -> u32 {
        self.0[0] >> 16 & 0xFF
    }

    pub(crate) fn errors(self) -> u32 {
        self.0[1] >> 1 & 3
    }

    pub(crate) fn kind(self) -> u32 {
        self.0[1] >> 3 & 7
    }

    pub(crate) fn burst(self) -> u32 {
        self.0[1] >> 8 & 0xFF
    }

    pub(crate) fn max_packet(self) -> u32 {
        self.0[1] >> 16
    }

    pub(crate) fn dequeue(self) -> u64 {
        u64::from(self.0[2] & !0xF) | u64::from(self.0[3]) << 32
    }

    pub(crate) fn cycle(self) -> bool {
        self.0[2] & 1 == 1
    }

    pub(crate) fn average(self) -> u32 {
        self.0[4] & 0xFFFF
    }

    pub(crate) fn payload(self) -> u32 {
        self.0[4] >> 16 | self.0[0] >> 24 << 16
    }

    pub(crate) fn has_reserved_bits(self) -> bool {
        self.0[0] & 0xF8 != 0
            || self.0[1] & 0x41 != 0
            || self.0[2] & 0xE != 0
            || self.0[5..] != [0; 3]
    }
}

/// An endpoint that is configured.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) kind: EndpointKind,
    pub(crate) state: EndpointState,
    pub(crate) context: EndpointContext,
    pub(crate) ring: Ring,
    pub(crate) control: Control,
    pub(crate) service: Service,
    /// It was stopped last in order to suspend its device (SP of 6.4.3.8).
    pub(crate) for_suspend: bool,
    /// Tells wakes of an earlier life from those of this one.
    pub(crate) turn: u8,
}

impl Endpoint {
    pub(crate) fn new(
        kind: EndpointKind,
        context: EndpointContext,
        dequeue: Bus,
        turn: u8,
    ) -> Self {
        Self {
            kind,
            state: EndpointState::Running,
            context,
            ring: Ring::new(dequeue, context.cycle()),
            control: Control::default(),
            service: Service::new(context.interval()),
            for_suspend: false,
            turn,
        }
    }

    /// Whether it is being served now.
    pub(crate) fn busy(&self) -> bool {
        match self.kind {
            EndpointKind::Control => self.control.busy,
            _ => self.service.active,
        }
    }

    /// Stops serving it, without a word.
    pub(crate) fn quiesce(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.service.active = false;
        self.service.scheduled = 0;
        self.control.busy = false;
    }
}

/// A device slot.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: SlotState,
    pub(crate) context: SlotContext,
    pub(crate) output: Bus,
    pub(crate) port: Option<RootPort>,
    pub(crate) route: Route,
    pub(crate) address: Address,
    /// When SET_ADDRESS went over the wire.
    pub(crate) addressed_at: Option<Time>,
    pub(crate) interrupter: InterrupterId,
    endpoints: Vec<Option<Box<Endpoint>>>,
    /// What was written to each output context last.
    written: Vec<Option<Words>>,
    turn: u8,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            state: SlotState::Disabled,
            context: SlotContext([0; 8]),
            output: Bus(0),
            port: None,
            route: Route::ROOT,
            address: Address(0),
            addressed_at: None,
            interrupter: InterrupterId::PRIMARY,
            endpoints: (0..=Dci::LAST).map(|_| None).collect(),
            written: vec![None; usize::from(Dci::LAST) + 1],
            turn: 0,
        }
    }

    /// Where its device is, once it was said.
    pub(crate) fn place(&self) -> Option<Place> {
        Some(Place { port: self.port?, route: self.route })
    }

    pub(crate) fn endpoint(&self, dci: Dci) -> Option<&Endpoint> {
        self.endpoints.get(usize::from(dci.0))?.as_deref()
    }

    pub(crate) fn endpoint_mut(&mut self, dci: Dci) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(usize::from(dci.0))?.as_deref_mut()
    }

    /// Takes the endpoint out, to work on it and the controller at once.
    pub(crate) fn take_endpoint(&mut self, dci: Dci) -> Option<Box<Endpoint>> {
        self.endpoints.get_mut(usize::from(dci.0))?.take()
    }

    /// Puts back what [`Self::take_endpoint`] took.
    pub(crate) fn return_endpoint(&mut self, dci: Dci, endpoint: Box<Endpoint>) {
        self.endpoints[usize::from(dci.0)] = Some(endpoint);
    }

    pub(crate) fn set_endpoint(&mut self, dci: Dci, endpoint: Option<Endpoint>) {
        self.endpoints[usize::from(dci.0)] = endpoint.map(Box::new);
    }

    /// A number for the next life of one of its endpoints.
    pub(crate) fn next_turn(&mut self) -> u8 {
        self.turn = self.turn.wrapping_add(16);
        self.turn
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = (Dci, &Endpoint)> {
        self.endpoints
            .iter()
            .enumerate()
            .filter_map(|(n, endpoint)| Some((Dci(n as u8), endpoint.as_deref()?)))
    }

    pub(crate) fn endpoints_beyond_control(&self) -> usize {
        self.live().filter(|(dci, _)| *dci != Dci::CONTROL).count()
    }

    /// Whether a periodic endpoint is being served.
    pub(crate) fn streaming(&self) -> bool {
        self.live().any(|(dci, endpoint)| dci != Dci::CONTROL && endpoint.service.active)
    }

    pub(crate) fn quiesce(&mut self) {
        self.endpoints.iter_mut().flatten().for_each(|endpoint| endpoint.quiesce());
    }

    pub(crate) fn quiesce_periodic(&mut self) {
        self.endpoints.iter_mut().skip(2).flatten().for_each(|endpoint| endpoint.quiesce());
    }

    /// Back to nothing.
    pub(crate) fn forget(&mut self) {
        let turn = self.next_turn();
        *self = Self { turn, ..Self::new() };
    }
}

impl Xhc {
    /// Slot `id`, if it is enabled.
    pub(crate) fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(id.index()?).filter(|slot| slot.state != SlotState::Disabled)
    }

    pub(crate) fn slot_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index()?).filter(|slot| slot.state != SlotState::Disabled)
    }

    /// The entry of slot `id` in the device context base address array.
    pub(crate) fn array_entry(&self, fabric: &mut Fabric, id: SlotId) -> Bus {
        let at = self.operational.array.plus(8 * u64::from(id.0));
        let [low, high] = self.read_words::<2>(fabric, at).unwrap_or_default();
        self.reach(Bus(u64::from(low) | u64::from(high) << 32))
    }

    /// Context number `index` of the array of contexts at `base`.
    pub(crate) fn read_context(&self, fabric: &mut Fabric, base: Bus, index: u8) -> Words {
        let at = base.plus(self.p.context() * u64::from(index));
        self.read_words::<8>(fabric, at).unwrap_or_default()
    }

    pub(crate) fn malformed_context(&self, fabric: &mut Fabric, slot: SlotId, dci: u8) {
        let (controller, slot) = (self.number, slot.0);
        self.violation(fabric, Violation::ContextMalformed { controller, slot, dci });
    }

    /// Writes out the slot context.
    pub(crate) fn write_slot_context(&mut self, fabric: &mut Fabric, id: SlotId) {
        let Some(slot) = self.slot(id) else { return };
        let mut words = slot.context.0;
        words[2] = words[2] & 0x003F_FFFF | u32::from(slot.interrupter.0) << 22;
        words[3] = u32::from(slot.address.0) | slot.state.encoded() << 27;
        self.write_output(fabric, id, 0, words);
    }

    /// Writes out the context of an endpoint; zeros when it is disabled.
    pub(crate) fn write_endpoint_context(&mut self, fabric: &mut Fabric, id: SlotId, dci: Dci) {
        let Some(slot) = self.slot(id) else { return };
        let words = match slot.endpoint(dci) {
            None => [0; 8],
            Some(endpoint) => {
                let mut words = endpoint.context.0;
                words[0] = words[0] & !7 | endpoint.state as u32;
                let (at, cycle) = endpoint.ring.position();
                words[2] = at.low() | u32::from(cycle);
                words[3] = at.high();
                words
            }
        };
        self.write_output(fabric, id, dci.0, words);
    }

    fn write_output(&mut self, fabric: &mut Fabric, id: SlotId, index: u8, words: Words) {
        let Some(slot) = self.slot(id) else { return };
        let (output, last) = (slot.output, slot.written[usize::from(index)]);
        if output.0 == 0 {
            return;
        }
        let at = output.plus(self.p.context() * u64::from(index));
        // What was never written has to be zero: software cleared it (4.3.3).
        if self.read_words::<8>(fabric, at) != Some(last.unwrap_or_default()) {
            self.context_changed(fabric, id.0, index);
        }
        let _ = self.write_words(fabric, at, words);
        if let Some(slot) = self.slot_mut(id) {
            slot.written[usize::from(index)] = Some(words);
        }
    }

    /// Checks what is the same for every endpoint context. Broken rules are
    /// noted; `None` when the context cannot be used.
    pub(crate) fn decode_endpoint(
        &self,
        fabric: &mut Fabric,
        id: SlotId,
        dci: Dci,
        context: EndpointContext,
        speed: Speed,
    ) -> Option<EndpointKind> {
        let kind = EndpointKind::decode(context.kind());
        let Some(kind) = kind else {
            self.malformed_context(fabric, id, dci.0);
            return None;
        };
        let limit = match (kind, speed) {
            (EndpointKind::Control, Speed::Super) => 512..=512,
            (EndpointKind::Control, Speed::High) => 64..=64,
            (EndpointKind::Control, _) => 8..=64,
            (EndpointKind::InterruptIn, Speed::Full | Speed::Low) => 1..=64,
            (_, Speed::Full | Speed::Low) => 1..=1023,
            _ => 1..=1024,
        };
        let intervals = match (kind, speed) {
            (EndpointKind::Control, _) => 0..=15,
            (EndpointKind::InterruptIn, Speed::Full | Speed::Low) => 3..=10,
            (_, Speed::Full | Speed::Low) => 3..=18,
            _ => 0..=15,
        };
        let direction = match kind {
            EndpointKind::Control => dci == Dci::CONTROL,
            EndpointKind::IsochOut => !dci.is_in(),
            EndpointKind::IsochIn | EndpointKind::InterruptIn => dci.is_in() && dci.0 > 1,
        };
        let payload = context.max_packet() * (context.burst() + 1) * (context.mult() + 1);
        let bursts =
            speed == Speed::Super || context.burst() <= 2 * u32::from(speed == Speed::High);
        let rules = [
            direction,
            limit.contains(&context.max_packet()),
            kind != EndpointKind::Control || context.max_packet().is_power_of_two(),
            intervals.contains(&context.interval()),
            // Three tries, but isochronous transfers have none (6.2.3).
            context.errors() == if kind.is_isoch() { 0 } else { 3 },
            context.average() != 0,
            context.streams() == 0 && context.state() == 0,
            context.mult() == 0 || (kind.is_isoch() && speed == Speed::Super),
            bursts,
            kind == EndpointKind::Control || (1..=payload).contains(&context.payload()),
            context.dequeue() != 0,
            !context.has_reserved_bits(),
        ];
        if rules.contains(&false) {
            self.malformed_context(fabric, id, dci.0);
            // What the scheduler could not work with is refused.
            let usable = direction && context.max_packet() != 0 && context.dequeue() != 0;
            return usable.then_some(kind);
        }
        Some(kind)
    }
}

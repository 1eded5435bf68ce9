//! Operations under way.

use crate::hub::Place;
use crate::pages::Page;
use crate::steps::{self, Step};
use abi::TaskId;
use iommu_api::TicketHandle as IommuTicket;
use trb::{Dci, PortId};
use usb_types::{Setup, Speed};
use xhci_api::{Completed, SidebandHandle, SlotHandle, TicketHandle, XhciError};

/// Operations at once: every ticket of both clients, and the driver's own for
/// each sideband and each slot.
pub(crate) const MAX_OPS: usize = 48;

/// An operation's place.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpId(u8);

/// What an operation is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EnableSlot { place: Place, speed: Speed },
    Address { slot: SlotHandle, block: bool, max_packet0: u16 },
    Evaluate { slot: SlotHandle, max_packet0: u16 },
    Control { slot: SlotHandle, transfer: Transfer },
    Configure { slot: SlotHandle, drop: u32, add: u32 },
    ConfigureHub { slot: SlotHandle, ports: u8, think_time: u8 },
    Stop { slot: SlotHandle, dci: Dci },
    ResetDevice { slot: SlotHandle },
    DisableSlot { slot: SlotHandle },
    ResetPort { port: PortId },
    Suspend { slot: SlotHandle },
    Resume { slot: SlotHandle },
    Arm { sideband: SidebandHandle },
    CloseGate { sideband: SidebandHandle },
    Halt { sideband: SidebandHandle },
    Disarm { sideband: SidebandHandle },
    StopOf { sideband: SidebandHandle, dci: Dci },
    Remove { sideband: SidebandHandle, dci: Dci },
    TakeDown { sideband: SidebandHandle },
    Reclaim { sideband: SidebandHandle },
}

/// A control transfer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Its first eight bytes.
    pub(crate) setup: Setup,
    /// Where its data are.
    pub(crate) bounce: Option<Page>,
    /// Bytes that were not moved.
    pub(crate) residual: u32,
    /// Where its last TRB stands.
    pub(crate) last: u16,
}

/// What an operation waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing: the step at hand can begin, perhaps when it is its turn at the
    /// command ring.
    Nothing,
    /// Its command.
    Command,
    /// The controller's reset, which stands for what the step would do.
    Reset,
    /// Time that has to pass; then the step goes on.
    Pause { until: u64 },
    /// Something that an event brings.
    Event { deadline: u64 },
    /// The monitor's word on the gate page as of `sequence`.
    Gate { sequence: u32, deadline: u64 },
    /// The owners of sessions; after the deadline (once) they are not asked.
    Sessions { deadline: Option<u64> },
    /// Another operation on the same sideband.
    Own,
    /// The mapper.
    Iommu(IommuTicket),
}

impl Wait {
    pub(crate) const fn deadline(self) -> Option<u64> {
        match self {
            Self::Event { deadline } | Self::Gate { deadline, .. } => Some(deadline),
            Self::Sessions { deadline } => deadline,
            Self::Pause { until } => Some(until),
            Self::Nothing | Self::Command | Self::Reset | Self::Own | Self::Iommu(_) => None,
        }
    }
}

/// An operation.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    /// Who waits for it, and by which ticket; `None` for the driver's own and
    /// for cancelled ones.
    pub(crate) ticket: Option<(TaskId, TicketHandle)>,
    program: &'static [Step],
    at: usize,
    pub(crate) wait: Wait,
    /// Endpoints that the step at hand has still to deal with; `None` until it
    /// began.
    pub(crate) left: Option<u32>,
    /// How often the step at hand was tried in vain.
    pub(crate) tries: u8,
    /// Why it fails, once it does.
    pub(crate) failed: Option<XhciError>,
    /// How it ends well.
    pub(crate) value: Completed,
    /// Ops are served in this order.
    since: u32,
}

impl Op {
    fn new(kind: Kind, since: u32) -> Self {
        let program = match kind {
            Kind::EnableSlot { .. } => steps::ENABLE_SLOT,
            Kind::Address { .. } => steps::ADDRESS,
            Kind::Evaluate { .. } => steps::EVALUATE,
            Kind::Control { .. } => steps::CONTROL,
            Kind::Configure { .. } => steps::CONFIGURE,
            Kind::ConfigureHub { .. } => steps::CONFIGURE_HUB,
            Kind::Stop { .. } | Kind::StopOf { .. } | Kind::Remove { .. } => steps::STOP,
            Kind::ResetDevice { .. } => steps::RESET_DEVICE,
            Kind::DisableSlot { .. } => steps::DISABLE_SLOT,
            Kind::ResetPort { .. } => steps::RESET_PORT,
            Kind::Suspend { .. } => steps::SUSPEND,
            Kind::Resume { .. } => steps::RESUME,
            Kind::Arm { .. } => steps::ARM,
            Kind::CloseGate { .. } => steps::CLOSE_GATE,
            Kind::Halt { .. } => steps::HALT,
            Kind::Disarm { .. } => steps::DISARM,
            Kind::TakeDown { .. } => steps::TAKE_DOWN,
            Kind::Reclaim { .. } => steps::RECLAIM,
        };
        Self {
            kind,
            ticket: None,
            program,
            at: 0,
            wait: Wait::Nothing,
            left: None,
            tries: 0,
            failed: None,
            value: Completed::Done,
            since,
        }
    }

    /// The step at hand; `None` when all are done.
    pub(crate) fn step(&self) -> Option<Step> {
        self.program.get(self.at).copied()
    }

    /// Goes on to the next step.
    pub(crate) const fn advance(&mut self) {
        self.at += 1;
        self.begin_again();
    }

    /// Has the step at hand begin once more, from its start.
    pub(crate) const fn begin_again(&mut self) {
        self.wait = Wait::Nothing;
        self.left = None;
        self.tries = 0;
    }

    /// Whether it is on the way to hand a session over.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.program == steps::ARM
    }

    /// Ends with `error`: by way of what undoes the steps that were done, if
    /// there is something to undo.
    pub(crate) fn fail(&mut self, error: XhciError) {
        let first = self.failed.replace(self.failed.unwrap_or(error)).is_none();
        self.program = match self.kind {
            _ if self.is_handing_over() => steps::UNARM,
            // A device whose controller is gone is gone as well.
            Kind::Suspend { .. } if first && error != XhciError::ControllerDead => steps::RESUME,
            _ => &[],
        };
        self.at = 0;
        self.begin_again();
    }

    /// The slot that it is about, for operations that name one.
    pub(crate) const fn slot(&self) -> Option<SlotHandle> {
        match self.kind {
            Kind::Address { slot, .. }
            | Kind::Evaluate { slot, .. }
            | Kind::Control { slot, .. }
            | Kind::Configure { slot, .. }
            | Kind::ConfigureHub { slot, .. }
            | Kind::Stop { slot, .. }
            | Kind::ResetDevice { slot }
            | Kind::DisableSlot { slot }
            | Kind::Suspend { slot }
            | Kind::Resume { slot } => Some(slot),
            _ => None,
        }
    }

    /// The sideband that it is about.
    pub(crate) const fn sideband(&self) -> Option<SidebandHandle> {
        match self.kind {
            Kind::Arm { sideband }
            | Kind::CloseGate { sideband }
            | Kind::Halt { sideband }
            | Kind::Disarm { sideband }
            | Kind::StopOf { sideband, .. }
            | Kind::Remove { sideband, .. }
            | Kind::TakeDown { sideband }
            | Kind::Reclaim { sideband } => Some(sideband),
            _ => None,
        }
    }

    /// Whether it takes the whole slot down.
    pub(crate) const fn ends_slot(&self) -> bool {
        matches!(self.kind, Kind::ResetDevice { .. } | Kind::DisableSlot { .. })
    }
}

/// All operations under way.
#[derive(Debug)]
pub(crate) struct Ops {
    table: [Option<Op>; MAX_OPS],
    started: u32,
}

impl Ops {
    pub(crate) const fn new() -> Self {
        Self { table: [None; MAX_OPS], started: 0 }
    }

    /// Begins an operation.
    ///
    /// # Panics
    /// When there are more than tickets, sidebands and slots allow.
    pub(crate) fn start(&mut self, kind: Kind) -> OpId {
        let place = self.table.iter().position(Option::is_none);
        let place = place.expect("operations are bounded by tickets, sidebands and slots");
        self.started = self.started.wrapping_add(1);
        self.table[place] = Some(Op::new(kind, self.started));
        OpId(place as u8)
    }

    pub(crate) fn get(&self, id: OpId) -> Option<Op> {
        self.table[usize::from(id.0)]
    }

    pub(crate) fn put(&mut self, id: OpId, op: Op) {
        self.table[usize::from(id.0)] = Some(op);
    }

    pub(crate) fn remove(&mut self, id: OpId) -> Option<Op> {
        self.table[usize::from(id.0)].take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (OpId, &Op)> {
        self.table.iter().enumerate().filter_map(|(n, op)| Some((OpId(n as u8), op.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (OpId, &mut Op)> {
        self.table.iter_mut().enumerate().filter_map(|(n, op)| Some((OpId(n as u8), op.as_mut()?)))
    }

    /// Every place; [`get`](Self::get) tells what is there.
    pub(crate) fn places() -> impl Iterator<Item = OpId> {
        (0..MAX_OPS as u8).map(OpId)
    }

    /// The operation for which `pick` is true and that started first.
    pub(crate) fn oldest(&self, pick: impl Fn(&Op) -> bool) -> Option<OpId> {
        let started = self.started;
        self.iter()
            .filter(|(_, op)| pick(op))
            .max_by_key(|(_, op)| started.wrapping_sub(op.since))
            .map(|(id, _)| id)
    }

    /// Whether an operation for which `pick` is true is under way.
    pub(crate) fn any(&self, pick: impl Fn(&Op) -> bool) -> bool {
        self.iter().any(|(_, op)| pick(op))
    }

    /// The next point in time at which something is due.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.iter().filter_map(|(_, op)| op.wait.deadline()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Ops, Wait};
    use crate::steps::Step;
    use handles::{Handle, Raw};
    use trb::PortId;
    use xhci_api::{SidebandHandle, SlotHandle, XhciError};

    fn port(n: u8) -> Kind {
        Kind::ResetPort { port: PortId::new(n).expect("a port") }
    }

    #[test]
    fn operations_are_served_in_the_order_in_which_they_started() {
        let mut ops = Ops::new();
        let first = ops.start(port(1));
        let second = ops.start(port(2));
        assert_eq!(ops.oldest(|_| true), Some(first));
        ops.remove(first);
        let third = ops.start(port(3));
        assert_eq!(third, first, "the place is used again");
        assert_eq!(ops.oldest(|_| true), Some(second));
    }

    #[test]
    fn the_earliest_deadline_is_the_next_thing_due() {
        let mut ops = Ops::new();
        assert_eq!(ops.deadline(), None);
        for (n, wait) in [
            Wait::Event { deadline: 30 },
            Wait::Gate { sequence: 1, deadline: 20 },
            Wait::Sessions { deadline: None },
            Wait::Own,
        ]
        .into_iter()
        .enumerate()
        {
            let id = ops.start(port(n as u8 + 1));
            let mut op = ops.get(id).expect("there");
            op.wait = wait;
            ops.put(id, op);
        }
        assert_eq!(ops.deadline(), Some(20));
    }

    #[test]
    fn a_suspend_that_fails_is_taken_back_once_unless_the_controller_is_gone() {
        let slot = SlotHandle::from_raw(Raw { index: 0, seq: 1, epoch: 0 });
        for (error, back) in
            [(XhciError::TimedOut, Some(Step::LinkResume)), (XhciError::ControllerDead, None)]
        {
            let mut ops = Ops::new();
            let id = ops.start(Kind::Suspend { slot });
            let mut op = ops.get(id).expect("there");
            op.advance();
            op.fail(error);
            assert_eq!((op.step(), op.failed), (back, Some(error)));
            op.fail(XhciError::DeviceGone);
            assert_eq!((op.step(), op.failed), (None, Some(error)));
        }
    }

    #[test]
    fn a_failed_handover_is_undone_once_and_keeps_its_first_reason() {
        let mut ops = Ops::new();
        let sideband = SidebandHandle::from_raw(Raw { index: 0, seq: 1, epoch: 0 });
        let id = ops.start(Kind::Arm { sideband });
        let mut op = ops.get(id).expect("there");
        op.advance();
        op.fail(XhciError::Bandwidth);
        assert_eq!(op.step(), Some(Step::GateClose));
        op.fail(XhciError::ControllerDead);
        assert_eq!((op.step(), op.failed), (None, Some(XhciError::Bandwidth)));
        let other = ops.start(port(1));
        let mut other = ops.get(other).expect("there");
        other.fail(XhciError::TimedOut);
        assert_eq!(other.step(), None, "nothing to undo");
    }
}

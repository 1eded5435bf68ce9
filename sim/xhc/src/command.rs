//! The command ring: xHCI 1.2, 4.6.1, 4.9.3 and 5.4.5.
//!
//! One command at a time; each takes a while, and does what it does at the end
//! of it. What the commands do is in `slots` and `endpoints`.

use crate::ids::{Dci, InterrupterId, SlotId};
use crate::transfer::{Front, Ring, Whose};
use crate::trb::{self, Code, Trb, kind};
use crate::{Wake, Xhc};
use addr::Bus;
use fabric::{Fabric, Fault, Record, Site};

/// State of the command ring.
#[derive(Debug)]
pub(crate) struct CommandRing {
    ring: Ring,
    running: bool,
    /// The command that is being executed.
    current: Option<Trb>,
    stopping: bool,
    turn: u8,
}

const WHOSE: Whose = Whose { slot: SlotId(0), dci: Dci(0) };

impl CommandRing {
    pub(crate) fn new() -> Self {
        let ring = Ring::new(Bus(0), true);
        Self { ring, running: false, current: None, stopping: false, turn: 0 }
    }

    /// CRR.
    pub(crate) fn running(&self) -> bool {
        self.running
    }

    pub(crate) fn set(&mut self, base: Bus, cycle: bool) {
        self.ring = Ring::new(base, cycle);
    }

    pub(crate) fn stop(&mut self) {
        self.running = false;
        self.current = None;
        self.stopping = false;
        self.turn = self.turn.wrapping_add(1);
    }
}

/// What became of a command: a code, and the slot its event names.
pub(crate) type Outcome = (Code, SlotId);

impl Xhc {
    /// Doorbell 0.
    pub(crate) fn ring_commands(&mut self, fabric: &mut Fabric) {
        self.commands.running = true;
        self.commands.stopping = false;
        if self.commands.current.is_none() {
            self.next_command(fabric);
        }
    }

    fn next_command(&mut self, fabric: &mut Fabric) {
        let mut ring = std::mem::replace(&mut self.commands.ring, Ring::taken());
        let mut front = self.front(fabric, &mut ring, WHOSE);
        // A ring of links alone would keep it busy for ever: one is enough.
        if front == Front::Descriptor(1) && ring.get(0).is_some_and(|trb| trb.kind() == kind::LINK)
        {
            self.verify(fabric, &ring, 1);
            ring.pop();
            front = self.front(fabric, &mut ring, WHOSE);
        }
        let trb = ring.get(0);
        self.commands.ring = ring;
        let (Front::Descriptor(_), Some(trb)) = (front, trb) else { return };
        self.commands.current = Some(trb);
        let span = self.between(self.p.command);
        let turn = self.commands.turn;
        self.after(fabric, span, Wake::Command(turn));
    }

    /// The command that is under way has come to its end.
    pub(crate) fn command_done(&mut self, fabric: &mut Fabric, turn: u8) {
        if turn != self.commands.turn {
            return;
        }
        let Some(trb) = self.commands.current.take() else { return };
        let ring = std::mem::replace(&mut self.commands.ring, Ring::taken());
        self.verify(fabric, &ring, 1);
        self.commands.ring = ring;
        self.commands.ring.pop();
        match fabric.reach(Site::Command(self.number), trb.kind().into()) {
            Some(Fault::Code(code)) => self.complete_command(fabric, trb, code, trb.slot()),
            _ => {
                let (code, slot) = self.execute(fabric, trb);
                self.complete_command(fabric, trb, code as u8, slot);
            }
        }
        self.after_command(fabric, trb);
        if self.commands.stopping {
            self.stop_commands(fabric);
        } else if self.operational.running() {
            self.next_command(fabric);
        }
    }

    fn complete_command(&mut self, fabric: &mut Fabric, trb: Trb, code: u8, slot: SlotId) {
        let (controller, words) = (self.number, trb.words);
        fabric.record(Record::Command { controller, words, code });
        let event = trb::command_completion(trb.at, code, slot);
        self.post(fabric, InterrupterId::PRIMARY, event, false);
    }

    fn execute(&mut self, fabric: &mut Fabric, trb: Trb) -> Outcome {
        let slot = trb.slot();
        match trb.kind() {
            kind::NO_OP_COMMAND => (Code::Success, SlotId(0)),
            kind::ENABLE_SLOT => self.enable_slot(fabric),
            kind::DISABLE_SLOT => (self.disable_slot(fabric, slot), slot),
            kind::ADDRESS_DEVICE => (self.address_device(fabric, trb), slot),
            kind::CONFIGURE_ENDPOINT => (self.configure_endpoints(fabric, trb), slot),
            kind::EVALUATE_CONTEXT => (self.evaluate_context(fabric, trb), slot),
            kind::RESET_ENDPOINT => (self.reset_endpoint(fabric, slot, trb.endpoint()), slot),
            kind::STOP_ENDPOINT => (self.stop_endpoint(fabric, trb), slot),
            kind::SET_TR_DEQUEUE => (self.set_dequeue(fabric, trb), slot),
            kind::RESET_DEVICE => (self.reset_device(fabric, slot), slot),
            _ => {
                self.malformed_trb(fabric, trb);
                (Code::Trb, slot)
            }
        }
    }

    /// CRCR was written with CS or CA (4.6.1.1, 4.6.1.2).
    pub(crate) fn control_commands(&mut self, fabric: &mut Fabric, stop: bool, abort: bool) {
        if !(stop || abort) || !self.commands.running {
            return;
        }
        if abort && let Some(trb) = self.commands.current.take() {
            self.commands.turn = self.commands.turn.wrapping_add(1);
            self.commands.ring.pop();
            self.complete_command(fabric, trb, Code::CommandAborted as u8, trb.slot());
        }
        if self.commands.current.is_some() {
            self.commands.stopping = true;
        } else {
            self.stop_commands(fabric);
        }
    }

    fn stop_commands(&mut self, fabric: &mut Fabric) {
        self.commands.stop();
        let (at, _) = self.commands.ring.position();
        let event = trb::command_completion(at, Code::CommandRingStopped, SlotId(0));
        self.post(fabric, InterrupterId::PRIMARY, event, false);
    }
}

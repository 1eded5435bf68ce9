//! Slots (4.5): enabling, addressing, resetting, disabling.

use crate::command::command_error;
use crate::context;
use crate::driver::{Client, Driver, TransferRing};
use crate::engine::{After, Begin};
use crate::hub::Place;
use crate::hw::{ContextPlace, Hw};
use crate::op::{Kind, Op};
use crate::port;
use abi::TaskId;
use addr::Bus;
use trb::{Command, CompletionCode, Dci, PortId, SlotId, TRB_BYTES};
use usb_types::Speed;
use xhci_api::{Completed, SlotHandle, XhciError};

/// A device slot.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) place: Place,
    /// Its ports, once it is known as a hub; 0 before.
    pub(crate) hub_ports: u8,
    pub(crate) speed: Speed,
    pub(crate) context: ContextPlace,
    /// Endpoint 0's ring.
    pub(crate) ep0: TransferRing,
    /// Address Device was done, so that endpoint 0 works.
    pub(crate) addressed: bool,
    /// It is being reset or given up: nothing new begins on it.
    pub(crate) leaving: bool,
    /// Its owner died; it is given up.
    pub(crate) orphan: bool,
    /// Its device is suspended, or on its way there or back.
    pub(crate) asleep: bool,
    /// When its link was seen in U3 last.
    pub(crate) down_at: u64,
}

impl TransferRing {
    /// Where the controller goes on, with the cycle bit.
    pub(crate) fn next(&self) -> (Bus, bool) {
        let offset = u64::from(self.producer.enqueue()) * u64::from(TRB_BYTES);
        (self.bus.plus(offset), self.producer.cycle())
    }
}

impl Driver<'_> {
    /// The slot that an operation is about: named, or its sideband's.
    pub(crate) fn slot_of(&self, op: &Op) -> Option<SlotHandle> {
        op.slot().or_else(|| {
            let (_, sideband) = self.sidebands.find(op.sideband()?).ok()?;
            sideband.slot
        })
    }

    /// The slot with a number that an event names.
    pub(crate) fn slot_numbered(&self, id: SlotId) -> Option<SlotHandle> {
        self.slots.iter().find(|(_, _, slot)| slot.id == id).map(|(handle, _, _)| handle)
    }

    /// A slot of `caller`'s that is not being given up.
    ///
    /// # Errors
    /// For a bad handle; [`XhciError::DeviceGone`] on its way out.
    pub(crate) fn usable(&self, slot: SlotHandle, caller: TaskId) -> Result<&Slot, XhciError> {
        let slot = self.slots.get(slot, caller).map_err(crate::driver::handle_error)?;
        if slot.leaving { Err(XhciError::DeviceGone) } else { Ok(slot) }
    }

    pub(crate) fn begin_enable(&mut self, hw: &Hw<'_>, port: PortId) -> Begin {
        let room = self.contexts.iter().filter(|&&taken| !taken).count();
        if room == 0 || scarce::spent(scarce::Scarce::Slot) {
            return Begin::Fail(XhciError::NoSlots);
        }
        Begin::Command(Command::EnableSlot { slot_type: hw.protocols.slot_type(port) })
    }

    pub(crate) fn enabled(
        &mut self,
        hw: &Hw<'_>,
        op: &mut Op,
        code: CompletionCode,
        number: u8,
    ) -> After {
        let Kind::EnableSlot { place, speed } = op.kind else { return After::Next };
        if code != CompletionCode::Success {
            return After::Fail(command_error(code));
        }
        // More than CONFIG.MaxSlotsEn, or a slot twice: the controller is broken.
        let id = match SlotId::new(number) {
            Ok(id) if number <= hw.slots && self.slot_numbered(id).is_none() => id,
            _ => return After::Die(crate::death::Cause::Error),
        };
        let owner = self.peers.current(self.config.usb_core);
        let (Some(owner), Some(context)) = (owner, self.take_context()) else {
            return After::Fail(XhciError::NoContextMemory);
        };
        let ep0 = match self.take_ring() {
            Ok(ring) => ring,
            // Without memory for endpoint 0 the slot is of no use; `iommu` that
            // refuses is of no use to anybody.
            Err(_) => return After::Die(crate::death::Cause::Mapper),
        };
        hw.set_context(id, Some(context));
        let slot = Slot {
            id,
            place,
            hub_ports: 0,
            speed,
            context,
            ep0,
            addressed: false,
            leaving: false,
            orphan: false,
            asleep: false,
            down_at: 0,
        };
        match self.slots.put(owner, slot) {
            Ok(handle) => {
                op.value = Completed::Slot { slot: handle, number };
                After::Next
            }
            Err(_) => After::Die(crate::death::Cause::Error),
        }
    }

    pub(crate) fn begin_address(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Kind::Address { slot, block, max_packet0 } = op.kind else { return Begin::Next };
        let Ok((_, slot)) = self.slots.find(slot) else {
            return Begin::Fail(XhciError::DeviceGone);
        };
        let (next, cycle) = slot.ep0.next();
        hw.begin_input(context::control(0, 1 | Dci::EP0.bit()));
        let port = slot.place.port.number();
        hw.input(0, slot.place.enter(context::slot(port::speed_id(slot.speed), port)));
        hw.input(Dci::EP0.index(), context::endpoint0(max_packet0, next, cycle));
        Begin::Command(Command::AddressDevice { slot: slot.id, input: hw.input_bus(), block })
    }

    /// X16: after an error the slot stays, so that whoever refers to it can.
    pub(crate) fn addressed(&mut self, op: &Op, code: CompletionCode) -> After {
        let Kind::Address { slot, .. } = op.kind else { return After::Next };
        if code != CompletionCode::Success {
            return After::Fail(command_error(code));
        }
        if let Ok((_, slot)) = self.slots.find_mut(slot) {
            slot.addressed = true;
            slot.ep0.producer.abandon();
        }
        After::Next
    }

    pub(crate) fn begin_evaluate(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Kind::Evaluate { slot, max_packet0 } = op.kind else { return Begin::Next };
        let Ok((_, slot)) = self.slots.find(slot) else {
            return Begin::Fail(XhciError::DeviceGone);
        };
        let (next, cycle) = slot.ep0.next();
        hw.begin_input(context::control(0, Dci::EP0.bit()));
        hw.input(Dci::EP0.index(), context::endpoint0(max_packet0, next, cycle));
        Begin::Command(Command::EvaluateContext { slot: slot.id, input: hw.input_bus() })
    }

    pub(crate) fn begin_reset_device(&mut self, op: &Op) -> Begin {
        match op.slot().and_then(|slot| self.slots.find(slot).ok()) {
            Some((_, slot)) => Begin::Command(Command::ResetDevice(slot.id)),
            None => Begin::Fail(XhciError::DeviceGone),
        }
    }

    /// All endpoints but endpoint 0 are gone (fact 48). A slot that was not
    /// addressed yet is where the command would bring it.
    pub(crate) fn device_reset(&mut self, hw: &Hw<'_>, op: &Op, code: CompletionCode) -> After {
        let Some(handle) = op.slot() else { return After::Next };
        let is_addressed =
            |(_, slot): (_, &Slot)| context::is_addressed(hw.output(slot.context, 0));
        let stands = self.slots.find(handle).is_ok_and(is_addressed);
        match code {
            CompletionCode::ContextState if stands => After::Fail(command_error(code)),
            CompletionCode::Success | CompletionCode::ContextState => {
                self.forget_endpoints(handle, u32::MAX, false);
                if let Ok((_, slot)) = self.slots.find_mut(handle) {
                    slot.addressed = false;
                    slot.hub_ports = 0;
                    slot.ep0.producer.abandon();
                    // The port's reset woke it.
                    slot.asleep = false;
                }
                After::Next
            }
            code => After::Fail(command_error(code)),
        }
    }

    pub(crate) fn begin_disable(&mut self, op: &Op) -> Begin {
        match op.slot().and_then(|slot| self.slots.find(slot).ok()) {
            Some((_, slot)) => Begin::Command(Command::DisableSlot(slot.id)),
            None => Begin::Next,
        }
    }

    /// The slot is given up; a controller that says anything else may still have
    /// our contexts, whatever it says of the slot.
    pub(crate) fn disabled(&mut self, hw: &Hw<'_>, op: &Op, code: CompletionCode) -> After {
        if code != CompletionCode::Success {
            return After::Die(crate::death::Cause::Clings);
        }
        let Some(handle) = op.slot() else { return After::Next };
        self.forget_endpoints(handle, u32::MAX, false);
        self.forget_endpoints(handle, u32::MAX, true);
        for (_, _, sideband) in self.sidebands.iter_mut() {
            if sideband.slot == Some(handle) {
                sideband.slot = None;
            }
        }
        if let Ok(slot) = self.slots.take(handle) {
            hw.set_context(slot.id, None);
            self.contexts[usize::from(slot.context.0)] = false;
            self.give_ring(slot.ep0);
            // The next incarnation of its owner may have waited for this.
            if slot.orphan && !self.has_orphans() {
                self.hint(Client::UsbCore);
            }
        }
        After::Next
    }

    /// Whether slots of a dead owner are still to be given up.
    pub(crate) fn has_orphans(&self) -> bool {
        self.slots.iter().any(|(_, _, slot)| slot.orphan)
    }
}

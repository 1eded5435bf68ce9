//! Devices behind hubs (4.3.3, 6.2.2), and hubs' status pipes.
//!
//! What a slot context says of the way to a device is made here, from the slot of
//! the hub that it is plugged into: nobody else can make a route that leads
//! elsewhere. A hub's ports are not the controller's; who drives the hub resets,
//! suspends and resumes them.

use crate::command::command_error;
use crate::context::{self, EndpointState, Words};
use crate::driver::Driver;
use crate::engine::{After, Begin};
use crate::hw::Hw;
use crate::op::{Kind, Op};
use crate::requests::Answer;
use crate::slot::Slot;
use abi::TaskId;
use trb::{Command, CompletionCode, Dci, PortId};
use usb_types::Speed;
use userlib::RecvMessage;
use xhci_api::{EndpointSpec, SlotHandle, TicketHandle, XhciError};

/// Whether this driver was built for hubs.
pub(crate) const HUBS: bool = cfg!(feature = "hubs");

/// Hubs that a route string can name.
const TIERS: u32 = 5;
/// Ports of a hub that it can name.
const PORTS: u8 = 15;

/// Where a device is plugged in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The root port.
    pub(crate) port: PortId,
    /// The route string: a port in four bits per hub, the first hub's lowest.
    route: u32,
    /// TT Hub Slot ID, and TT Port Number above it: the translator that serves the
    /// device.
    translator: u16,
}

impl Place {
    /// At a root port.
    pub(crate) const fn root(port: PortId) -> Self {
        Self { port, route: 0, translator: 0 }
    }

    /// Whether it is behind a hub.
    pub(crate) const fn is_behind(&self) -> bool {
        HUBS && self.route != 0
    }

    /// Whether it is the same socket.
    pub(crate) const fn is(&self, other: &Self) -> bool {
        self.port.number() == other.port.number() && self.route == other.route
    }

    /// What a slot context says of it (6.2.2).
    pub(crate) const fn enter(&self, mut words: Words) -> Words {
        if HUBS {
            words[0] |= self.route;
            words[2] |= self.translator as u32;
        }
        words
    }

    /// The port `port` of the hub in `hub`, for a device of `speed`.
    ///
    /// # Errors
    /// [`XhciError::TooDeep`].
    fn behind(hub: &Slot, port: u8, speed: Speed) -> Result<Self, XhciError> {
        let above = hub.place;
        let tier = (32 - above.route.leading_zeros()).div_ceil(4);
        if tier >= TIERS {
            return Err(XhciError::TooDeep);
        }
        // The nearest hub of high speed splits the transactions of what is slower.
        let translator = match (speed, hub.speed) {
            (Speed::Low | Speed::Full, Speed::High) => {
                u16::from(hub.id.number()) | u16::from(port) << 8
            }
            (Speed::Low | Speed::Full, _) => above.translator,
            _ => 0,
        };
        let route = above.route | u32::from(port) << (4 * tier);
        Ok(Self { port: above.port, route, translator })
    }
}

/// Whether the endpoint is a hub's status pipe, which the host path reads as it
/// reads packets.
pub(crate) const fn is_pipe(spec: &EndpointSpec) -> bool {
    HUBS && spec.kind == 7
}

/// The slot context with what is said of a hub: that it is one, its ports, and how
/// long its translator thinks.
const fn told(mut words: Words, ports: u8, think_time: u8) -> Words {
    words[0] |= 1 << 26;
    words[1] = words[1] & 0xFF_FFFF | (ports as u32) << 24;
    words[2] = words[2] & !(3 << 16) | (think_time as u32) << 16;
    words
}

impl Driver<'_> {
    fn hubs(&self) -> Result<(), XhciError> {
        if HUBS && self.config.hubs { Ok(()) } else { Err(XhciError::HubsUnsupported) }
    }

    /// As `start_enable_slot_behind`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn start_enable_behind(
        &mut self,
        message: &RecvMessage,
        hub: SlotHandle,
        port: u8,
        speed: Speed,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.hubs()?;
        self.running()?;
        let found = self.usable(hub, caller)?;
        let ports = found.hub_ports;
        if ports == 0 {
            return Err(XhciError::NotAHub.into());
        }
        if !(1..=ports.min(PORTS)).contains(&port) {
            return Err(XhciError::BadPort.into());
        }
        let place = Place::behind(found, port, speed)?;
        self.start_enable_at(caller, place, speed)
    }

    /// Begins to enable a slot for the device at `place`, which has none yet.
    pub(crate) fn start_enable_at(
        &mut self,
        caller: TaskId,
        place: Place,
        speed: Speed,
    ) -> Answer<TicketHandle> {
        let enables =
            |op: &Op| matches!(op.kind, Kind::EnableSlot { place: other, .. } if other.is(&place));
        if self.slots.iter().any(|(_, _, slot)| slot.place.is(&place)) || self.ops.any(enables) {
            return Err(XhciError::Busy.into());
        }
        self.ticket(caller, Kind::EnableSlot { place, speed })
    }

    /// As `start_configure_hub`.
    ///
    /// # Errors
    /// As in `idl/xhci.idol`.
    pub(crate) fn start_hub_request(
        &mut self,
        message: &RecvMessage,
        slot: SlotHandle,
        ports: u8,
        think_time: u8,
    ) -> Answer<TicketHandle> {
        let caller = self.core(message)?;
        self.hubs()?;
        self.changeable(slot, caller)?;
        let found = self.awake(slot, caller)?;
        if !found.addressed {
            return Err(XhciError::SlotState.into());
        }
        if ports == 0 || think_time > 3 {
            return Err(XhciError::BadPort.into());
        }
        self.ticket(caller, Kind::ConfigureHub { slot, ports, think_time })
    }

    /// Step [`ConfigureHub`](crate::steps::Step::ConfigureHub).
    pub(crate) fn begin_hub(&mut self, hw: &Hw<'_>, op: &Op) -> Begin {
        let Kind::ConfigureHub { slot, ports, think_time } = op.kind else { return Begin::Next };
        let live = self.endpoints.mask(slot, false);
        let Ok((_, found)) = self.slots.find(slot) else {
            return Begin::Fail(XhciError::DeviceGone);
        };
        let (id, place) = (found.id, found.context);
        let words = self.write_configuration(hw, place, 0, 0, live);
        hw.input(0, told(words, ports, think_time));
        Begin::Command(Command::ConfigureEndpoint { slot: id, input: hw.input_bus() })
    }

    /// From here on devices behind it can have slots.
    pub(crate) fn hub_told(&mut self, op: &Op, code: CompletionCode) -> After {
        let Kind::ConfigureHub { slot, ports, .. } = op.kind else { return After::Next };
        if code != CompletionCode::Success {
            return After::Fail(command_error(code));
        }
        if let Ok((_, found)) = self.slots.find_mut(slot) {
            found.hub_ports = ports;
        }
        After::Next
    }

    /// Pipes that were stopped go on. Where the controller is behind what a pipe was
    /// stopped on, that is over without a word: it is asked for again.
    pub(crate) fn restart_pipes(&mut self, hw: &Hw<'_>, handle: SlotHandle) {
        let Ok((_, slot)) = self.slots.find(handle) else { return };
        let context = slot.context;
        for dci in Dci::in_mask(self.endpoints.mask(handle, false)) {
            let Some(endpoint) = self.endpoints.live(handle, dci) else { continue };
            let state = context::endpoint_state(hw.endpoint(context, dci));
            if is_pipe(&endpoint.spec)
                && state == EndpointState::Stopped
                && let Some(queue) = &mut endpoint.isoch
                && queue.oldest().is_some_and(|(_, len)| len == 0)
            {
                queue.take();
                queue.progress = false;
                self.supply(hw, handle, dci);
            }
        }
    }

    /// Whether the device that `op` is about is behind a hub.
    pub(crate) fn is_behind(&self, op: &Op) -> bool {
        let slot = op.slot().and_then(|slot| self.slots.find(slot).ok());
        slot.is_some_and(|(_, slot)| slot.place.is_behind())
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, told};
    use trb::PortId;

    #[test]
    fn a_slot_context_says_the_way_and_the_translator() {
        let port = PortId::new(5).expect("a port");
        let place = Place { port, route: 0x21, translator: 3 | 2 << 8 };
        let words = place.enter(crate::context::slot(1, 5));
        let expected = if super::HUBS { (0x21, 0x203) } else { (0, 0) };
        assert_eq!((words[0] & 0xF_FFFF, words[2]), expected);
        assert_eq!(words[1], 5 << 16);
        assert!(place.is(&Place { translator: 0, ..place }));
        assert!(!place.is(&Place::root(port)));
    }

    #[test]
    fn what_is_told_of_a_hub_replaces_what_was_told() {
        let words = told([1, 0xFF << 24 | 7, 3 << 16 | 5, 0, 0, 0, 0, 0], 4, 1);
        assert_eq!(words[..3], [1 | 1 << 26, 4 << 24 | 7, 1 << 16 | 5]);
    }
}

//! What an operation consists of, step by step.
//!
//! Every operation that waits for something is a program: a fixed sequence of
//! steps, each of which begins, perhaps waits, and ends. DESIGN rule 6, the one
//! order of taking down, is thereby a property of constants that a test looks
//! at; a step that the hardware can no longer do is skipped where it stands.

/// A step of an operation.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    // Taking a session down, in the order of rule 6.
    /// Tell the owners of sessions that are in the way, and wait until they let
    /// go; when they do not, take the sessions down.
    Sessions,
    /// Wait until no other operation is under way on the sideband.
    Own,
    /// Close the gate and wait for the monitor's word.
    GateClose,
    /// Stop Endpoint, for each endpoint that runs.
    StopEndpoints,
    /// Take the event ring's dequeue pointer over and consume what is there.
    Drain,
    /// Configure Endpoint, dropping what the session has.
    DropEndpoints,
    /// Evaluate Context: the slot's own events go to the session that listens
    /// next, or to the primary interrupter.
    TargetBack,
    /// The interrupter is off.
    InterrupterOff,
    /// What the peer was granted is taken from it.
    RevokeGrants,
    /// The controller sees the pages no more.
    Displace,
    /// The sideband is given back.
    Forget,

    // Setting one up.
    /// The interrupter has its event ring.
    EventRing,
    /// Configure Endpoint, dropping and adding the endpoints with fresh rings.
    HandOver,
    /// Evaluate Context: the slot's own events go to the session, unless another
    /// one has them.
    Target,
    /// The interrupter is on.
    InterrupterOn,
    /// Open the gate and wait for the monitor's word.
    GateOpen,

    // Devices.
    /// Enable Slot.
    EnableSlot,
    /// Address Device.
    Address,
    /// Evaluate Context for endpoint 0.
    EvaluateEndpoint0,
    /// A control transfer.
    Transfer,
    /// Bring endpoint 0 to Stopped, if the transfer left it elsewhere.
    Settle,
    /// Set TR Dequeue Pointer behind what is left of the transfer.
    Rewind,
    /// Configure Endpoint as the client asked.
    Configure,
    /// Configure Endpoint with what is said of a hub.
    ConfigureHub,
    /// Reset Device.
    ResetDevice,
    /// Disable Slot.
    DisableSlot,
    /// Port reset.
    ResetPort,
    /// The port's link to U3.
    LinkDown,
    /// Resume signalling.
    LinkResume,
    /// The link to U0.
    LinkUp,
    /// The device recovers from the resume.
    Recover,
    /// What was stopped on the host path goes on.
    Restart,
}

pub(crate) const ENABLE_SLOT: &[Step] = &[Step::EnableSlot];
pub(crate) const ADDRESS: &[Step] = &[Step::Address];
pub(crate) const EVALUATE: &[Step] = &[Step::EvaluateEndpoint0];
pub(crate) const CONTROL: &[Step] = &[Step::Transfer, Step::Settle, Step::Rewind];
pub(crate) const CONFIGURE: &[Step] = &[Step::Sessions, Step::StopEndpoints, Step::Configure];
pub(crate) const CONFIGURE_HUB: &[Step] = &[Step::ConfigureHub];
pub(crate) const STOP: &[Step] = &[Step::StopEndpoints];
/// The port's reset comes first, and the command says that it was (4.6.11). Behind
/// a hub the hub resets it afterwards: in between nothing is sent to the device.
pub(crate) const RESET_DEVICE: &[Step] =
    &[Step::Sessions, Step::StopEndpoints, Step::ResetPort, Step::ResetDevice];
pub(crate) const DISABLE_SLOT: &[Step] = &[Step::Sessions, Step::StopEndpoints, Step::DisableSlot];
pub(crate) const RESET_PORT: &[Step] = &[Step::ResetPort];
pub(crate) const SUSPEND: &[Step] = &[Step::Sessions, Step::StopEndpoints, Step::LinkDown];
/// Also the way back from a suspend that came to nothing.
pub(crate) const RESUME: &[Step] = &[Step::LinkResume, Step::LinkUp, Step::Recover, Step::Restart];

/// The handover (DESIGN "Handover").
pub(crate) const ARM: &[Step] = &[
    Step::StopEndpoints,
    Step::EventRing,
    Step::HandOver,
    Step::Target,
    Step::InterrupterOn,
    Step::GateOpen,
];
/// What a failed handover leaves is taken down like a session.
pub(crate) const UNARM: &[Step] = &[
    Step::GateClose,
    Step::StopEndpoints,
    Step::Drain,
    Step::DropEndpoints,
    Step::TargetBack,
    Step::InterrupterOff,
];
pub(crate) const CLOSE_GATE: &[Step] = &[Step::GateClose];
pub(crate) const HALT: &[Step] = &[Step::StopEndpoints, Step::Drain];
pub(crate) const DISARM: &[Step] = &[Step::DropEndpoints, Step::TargetBack, Step::InterrupterOff];
/// A session whose owner did not let go in time.
pub(crate) const TAKE_DOWN: &[Step] = &[
    Step::Own,
    Step::GateClose,
    Step::StopEndpoints,
    Step::Drain,
    Step::DropEndpoints,
    Step::TargetBack,
    Step::InterrupterOff,
];
/// A session whose owner died.
pub(crate) const RECLAIM: &[Step] = &[
    Step::Own,
    Step::GateClose,
    Step::StopEndpoints,
    Step::Drain,
    Step::DropEndpoints,
    Step::TargetBack,
    Step::InterrupterOff,
    Step::RevokeGrants,
    Step::Displace,
    Step::Forget,
];

impl Step {
    /// Whether it is a command or touches registers, so that without the
    /// controller it waits for the reset to be confirmed, which stands for it.
    pub(crate) const fn needs_controller(self) -> bool {
        !matches!(
            self,
            Self::Sessions
                | Self::Own
                | Self::GateClose
                | Self::GateOpen
                | Self::RevokeGrants
                | Self::Displace
                | Self::Forget
        )
    }

    /// Whether it issues commands and therefore waits for its turn at the ring.
    pub(crate) const fn commands(self) -> bool {
        matches!(
            self,
            Self::StopEndpoints
                | Self::DropEndpoints
                | Self::TargetBack
                | Self::HandOver
                | Self::Target
                | Self::EnableSlot
                | Self::Address
                | Self::EvaluateEndpoint0
                | Self::Settle
                | Self::Rewind
                | Self::Configure
                | Self::ConfigureHub
                | Self::ResetDevice
                | Self::DisableSlot
        )
    }

    /// Whether it takes something down: then no refusal by the hardware ends
    /// the operation, since what follows is due all the same.
    pub(crate) const fn takes_down(self) -> bool {
        matches!(
            self,
            Self::Sessions
                | Self::Own
                | Self::GateClose
                | Self::StopEndpoints
                | Self::Drain
                | Self::DropEndpoints
                | Self::TargetBack
                | Self::InterrupterOff
                | Self::RevokeGrants
                | Self::Displace
                | Self::Forget
                | Self::ResetDevice
                | Self::DisableSlot
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ARM, CLOSE_GATE, CONFIGURE, DISABLE_SLOT, DISARM, HALT, RECLAIM, RESET_DEVICE, SUSPEND,
        Step, TAKE_DOWN, UNARM,
    };

    #[test]
    fn everything_that_takes_down_does_so_in_the_order_of_rule_6() {
        for program in [UNARM, TAKE_DOWN, RECLAIM, CLOSE_GATE, HALT, DISARM] {
            assert!(program.is_sorted_by(|a, b| a < b), "{program:?}");
            assert!(program.iter().all(|step| step.takes_down()), "{program:?}");
        }
    }

    #[test]
    fn the_brokers_three_steps_are_the_drivers_own_way_down() {
        let steps: Vec<Step> = [CLOSE_GATE, HALT, DISARM].concat();
        assert_eq!(UNARM, steps);
        assert_eq!(TAKE_DOWN[1..], steps);
        assert_eq!(RECLAIM[1..7], steps);
    }

    #[test]
    fn a_ring_changes_hands_only_while_its_endpoint_is_stopped() {
        let at = |step| ARM.iter().position(|&s| s == step).expect("part of the handover");
        assert!(at(Step::StopEndpoints) < at(Step::HandOver));
        // The event ring stands before anything can write to it, and the peer
        // gets nothing before all else stands.
        assert!(at(Step::EventRing) < at(Step::HandOver));
        assert!(at(Step::HandOver) < at(Step::Target));
        assert_eq!(at(Step::GateOpen), ARM.len() - 1);
    }

    #[test]
    fn sessions_end_before_a_slot_is_touched() {
        for program in [CONFIGURE, RESET_DEVICE, DISABLE_SLOT, SUSPEND] {
            assert_eq!(program[..2], [Step::Sessions, Step::StopEndpoints]);
        }
    }
}

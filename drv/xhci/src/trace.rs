//! What went on, for whoever looks in with a debugger.

use trb::CompletionCode;

/// Something that happened.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
pub(crate) enum Trace {
    #[count(skip)]
    None,
    /// Start-up came this far.
    Startup(crate::startup::Stage),
    /// A step for the session in this place of the sideband table.
    Session(u16, crate::steps::Step),
    /// The controller is unusable, and why.
    Died(crate::death::Cause),
    /// A command ended otherwise than well.
    Command(CompletionCode),
    /// A command did not end in time.
    CommandTimeout,
    /// The monitor did not confirm a gate change in time.
    GateTimeout,
    /// The owner of a session did not let go in time.
    OwnerTooSlow,
    /// An event that names what is not there.
    StrayEvent,
    /// The primary event ring was full.
    EventRingFull,
    /// A neighbour died.
    PeerDied(abi::TaskId),
    /// `iommu` reports that the controller went where it may not.
    ControllerFault,
    /// A client was refused, and for what.
    #[count(children)]
    Refused(xhci_api::XhciError),
}

ringbuf::counted_ringbuf!(Trace, 48, Trace::None);

/// Notes `event`.
pub(crate) fn note(event: Trace) {
    ringbuf::ringbuf_entry!(event);
}

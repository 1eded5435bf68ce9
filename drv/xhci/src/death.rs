//! The end of the controller, and of clients.
//!
//! A controller that reports an error (HCE, HSE), hangs, or answers with ones
//! is of no more use: whatever was under way has failed, every slot is gone,
//! sessions are revoked, and start-up begins anew. Until its reset is confirmed
//! it may still write to memory, so nothing of ours is reused before.

use crate::driver::{Client, Driver};
use crate::op::Wait;
use crate::trace::{Trace, note};
use xhci_api::RevokeReason;

/// Why the controller is of no more use.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It answers with ones.
    Gone,
    /// USBSTS.HCE or HSE.
    Error,
    /// A command could not be aborted.
    AbortHung,
    /// A command that depends on nobody else did not end.
    CommandHung,
    /// An endpoint does not stop.
    StuckEndpoint,
    /// It does not let go of a slot, an endpoint or a ring.
    Clings,
    /// A slot's interrupter target cannot be taken from a session that ends.
    StuckTarget,
    /// `iommu` died, refused, or saw the controller go astray.
    Mapper,
    /// Not an xHCI function with MSI-X, or one beyond our limits.
    BadFunction,
    /// The pool is too small or out of reach.
    Pool,
    /// CNR did not clear.
    NotReady,
    /// The reset did not end.
    NoReset,
    /// It does not run.
    DoesNotRun,
}

impl Driver<'_> {
    /// The controller is of no more use.
    pub(crate) fn die(&mut self, cause: Cause) {
        if self.hw.take().is_none() {
            return;
        }
        note(Trace::Died(cause));
        self.safe = false;
        self.deaths = self.deaths.wrapping_add(1);
        self.commands = crate::command::Commands::new();
        for (_, op) in self.ops.iter_mut() {
            let going_down = op.sideband().is_some() && !op.is_handing_over();
            if !going_down {
                op.fail(xhci_api::XhciError::ControllerDead);
            } else if matches!(op.wait, Wait::Command | Wait::Event { .. }) {
                op.begin_again();
            }
        }
        for (_, _, sideband) in self.sidebands.iter_mut() {
            sideband.slot = None;
            sideband.live = false;
            sideband.listens = None;
            if sideband.revoked.is_none() {
                sideband.revoked = Some(RevokeReason::ControllerDied);
            }
            sideband.told = false;
        }
        self.slots.retain(|_, _, _| false);
        for news in &mut self.news {
            news.controller_died();
        }
        self.hint(Client::UsbCore);
        self.hint(Client::Broker);
        self.startup.begin(Self::now());
    }

    /// The controller was reset, or kept from memory: nothing of ours is in its
    /// reach, whatever was mapped is not any more.
    pub(crate) fn after_reset(&mut self) {
        self.safe = true;
        while let Some(endpoint) = self.endpoints.take(|_| true) {
            self.give_bounce(endpoint.isoch);
        }
        self.bounce_out.after_reset();
        self.bounce_in.after_reset();
        self.contexts = Default::default();
        let placed = self.sidebands.iter().flat_map(|(_, _, sideband)| sideband.held_pages());
        self.rings.reset(placed);
    }
}

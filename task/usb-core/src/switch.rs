//! How an interface gets from one alternate setting to another.
//!
//! Upwards, bandwidth first: the controller reserves it (Configure Endpoint),
//! then the device is told (SET_INTERFACE); if the device refuses, the
//! controller is configured back. To alternate 0 the other way round: the
//! device is told to be quiet, then its endpoints are dropped, and they are
//! dropped also when the device would not listen, because whoever stops a
//! stream must get rid of it. xHCI 1.2 section 4.3.6, DESIGN rule 6.

use usb_types::Setup;
use xhci_api::XhciError;

use crate::endpoint::{Specs, dcis};

/// bRequest of SET_INTERFACE (USB 2.0 table 9-4).
const SET_INTERFACE: u8 = 11;

/// One alternate setting and its endpoints.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// bAlternateSetting.
    pub(crate) alternate: u8,
    /// What of it is configured.
    pub(crate) specs: Specs,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Configure Endpoint, old ones out, new ones in.
    Reserve,
    /// SET_INTERFACE after that.
    Tell,
    /// Configure Endpoint the other way, because of this error.
    Back(XhciError),
    /// SET_INTERFACE to alternate 0.
    Quieten,
    /// Configure Endpoint after that; the device may have refused.
    Drop(Option<XhciError>),
}

/// What to ask for next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Configure Endpoint with these DCI bits out and these endpoints in.
    Configure {
        /// DCI bits.
        drop: u32,
        /// Endpoints.
        add: Specs,
    },
    /// This control transfer.
    Tell(Setup),
    /// It is over: what stands now, and how it ended.
    Over(Standing, Result<(), XhciError>),
}

/// One switch on its way.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Switch {
    interface: u8,
    from: Standing,
    to: Standing,
    phase: Phase,
}

impl Switch {
    /// Begins to switch `interface`.
    #[must_use]
    pub(crate) fn new(interface: u8, from: Standing, to: Standing) -> Self {
        let mut switch = Self { interface, from, to, phase: Phase::Quieten };
        if to.alternate != 0 {
            switch.phase = if switch.reserves() { Phase::Reserve } else { Phase::Tell };
        }
        switch
    }

    /// Which interface.
    #[must_use]
    pub(crate) const fn interface(&self) -> u8 {
        self.interface
    }

    /// Whether the first step is behind it.
    pub(crate) fn has_begun(&self) -> bool {
        match self.phase {
            Phase::Reserve | Phase::Quieten => false,
            Phase::Tell => self.reserves(),
            Phase::Back(_) | Phase::Drop(_) => true,
        }
    }

    /// Whether what is next needs the device to be up. To lose endpoints it need
    /// not be.
    pub(crate) const fn needs_device(&self) -> bool {
        !matches!(self.phase, Phase::Drop(_))
    }

    /// The device cannot be told of alternate 0 now: whether that is all that is
    /// left to do; what else there is, is for the controller alone. `None` for
    /// any other switch, which cannot do without the device.
    pub(crate) fn skip_telling(&mut self) -> Option<Next> {
        if self.phase != Phase::Quieten {
            return None;
        }
        if !self.reserves() {
            return Some(Next::Over(self.to, Ok(())));
        }
        self.phase = Phase::Drop(None);
        Some(self.next())
    }

    /// Where it leads from.
    pub(crate) const fn from(&self) -> &Standing {
        &self.from
    }

    /// What to ask for now.
    #[must_use]
    pub(crate) fn next(&self) -> Next {
        match self.phase {
            Phase::Reserve | Phase::Drop(_) => configure(&self.from, &self.to),
            Phase::Back(_) => configure(&self.to, &self.from),
            Phase::Tell | Phase::Quieten => {
                Next::Tell(set_interface(self.interface, self.to.alternate))
            }
        }
    }

    /// Takes the answer to what [`next`](Self::next) asked for.
    pub(crate) fn advance(&mut self, answer: Result<(), XhciError>) -> Next {
        self.phase = match (self.phase, answer) {
            (Phase::Reserve, Ok(())) => Phase::Tell,
            // Refused: the old configuration stands.
            (Phase::Reserve, Err(error)) => return Next::Over(self.from, Err(error)),
            (Phase::Tell, Ok(())) => return Next::Over(self.to, Ok(())),
            (Phase::Tell, Err(error)) if self.reserves() => Phase::Back(error),
            (Phase::Tell, Err(error)) => return Next::Over(self.from, Err(error)),
            (Phase::Back(error), Ok(())) => return Next::Over(self.from, Err(error)),
            // What was there before cannot be had back: nothing is configured.
            (Phase::Back(error), Err(_)) => {
                let bare = Standing { specs: Specs::new(), ..self.from };
                return Next::Over(bare, Err(error));
            }
            (Phase::Quieten, answer) if self.reserves() => Phase::Drop(answer.err()),
            (Phase::Quieten, answer) => return Next::Over(self.to, answer),
            (Phase::Drop(refusal), answer) => return Next::Over(self.to, dropped(refusal, answer)),
        };
        self.next()
    }

    /// Whether the controller has anything to do.
    fn reserves(&self) -> bool {
        !(self.from.specs.is_empty() && self.to.specs.is_empty())
    }
}

/// SET_INTERFACE (USB 2.0 9.4.10).
pub(crate) const fn set_interface(interface: u8, alternate: u8) -> Setup {
    Setup {
        request_type: 0x01,
        request: SET_INTERFACE,
        value: alternate as u16,
        index: interface as u16,
        length: 0,
    }
}

fn configure(out: &Standing, new: &Standing) -> Next {
    Next::Configure { drop: dcis(&out.specs), add: new.specs }
}

/// How a switch to alternate 0 ended. An endpoint that a sideband still owns
/// is dropped by the sideband's owner, later.
fn dropped(refusal: Option<XhciError>, answer: Result<(), XhciError>) -> Result<(), XhciError> {
    match (refusal, answer) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(()) | Err(XhciError::EndpointBusy)) => Ok(()),
        (None, Err(error)) => Err(error),
    }
}

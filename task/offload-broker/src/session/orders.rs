//! Why and how a session ends.

use dsp_link_api::Address;
use qmi::Txn;
use usb_audio_api::StreamDescription;

use super::Held;
use crate::refusal::Refusal;

/// A refusal, and what was known when it fell (B13).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The data endpoint was the sideband's, so the sync endpoint's turn had come.
    pub data_added: bool,
    /// All endpoints were the sideband's.
    pub endpoints_added: bool,
    /// The interrupter.
    pub interrupter: Option<u8>,
    /// What was known of the stream.
    pub description: Option<StreamDescription>,
}

impl Refused {
    /// A refusal that falls now.
    #[must_use]
    pub fn new(refusal: Refusal, held: &Held) -> Self {
        let wants_sync = held.description.is_some_and(|d| d.sync_address.is_some());
        Self {
            refusal,
            data_added: held.data.is_some(),
            endpoints_added: held.data.is_some() && held.sync.is_some() == wants_sync,
            interrupter: held.interrupter,
            description: held.description,
        }
    }
}

/// Why and how a session ends.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The enable request is still to be refused with this.
    pub refuse: Option<Refused>,
    /// A disable request that is still to be confirmed.
    pub confirm: Option<(Address, Txn)>,
    /// The peer has let go of the stream, or never had it.
    pub let_go: bool,
    /// Wait until then for the peer to let go.
    pub await_peer: Option<u64>,
    /// The device is there and the peer ended in good order: what it queued is
    /// played out, and the device's tail with it.
    pub play_out: bool,
}

impl Orders {
    /// The enable request is refused; its peer never had the stream.
    #[must_use]
    pub fn refuse(refusal: Refusal, held: &Held) -> Self {
        let refuse = Some(Refused::new(refusal, held));
        Self { refuse, let_go: true, ..Self::default() }
    }
}

//! What the peer is answered and told.

use addr::{Bus, PAGE, Peer};
use qmi::{
    EndpointDescriptor, Event, InterfaceDescriptor, MemoryInfo, QmiResult, Region, Speed, Status,
    StreamIndication, StreamResponse, Token,
};
use usb_audio_api::StreamDescription;

use crate::refusal::{Dialect, Refusal};
use crate::session::{Complete, Facts, Refused};

/// Where the stream identifier of the peer's bus stands in the addresses that
/// the peer is given (I1); it exists in messages only.
const SID_SHIFT: u32 = 32;

/// A response that says only how it went.
#[must_use]
fn outcome(token: Token, status: Status, internal: u32) -> StreamResponse {
    StreamResponse {
        resp: QmiResult::OK,
        status: Some(status),
        internal_status: Some(internal),
        usb_token: Some(token),
        ..StreamResponse::default()
    }
}

/// A stream was disabled.
#[must_use]
pub fn disabled(token: Token) -> StreamResponse {
    outcome(token, Status::SUCCESS, 0)
}

/// A request was refused before anything was done for it.
#[must_use]
pub fn refused(dialect: Dialect, token: Token, refusal: Refusal) -> StreamResponse {
    let (status, internal) = refusal.on_wire(dialect);
    outcome(token, status, internal)
}

/// An enable request was refused on the way. The Linux service sends what it
/// had filled in by then, and so does its dialect: descriptors with the step
/// that was about to use them, the interrupter as number 0 until there is one
/// (B13).
#[must_use]
pub fn broken_off(dialect: Dialect, facts: &Facts, refused: &Refused) -> StreamResponse {
    let bare = self::refused(dialect, facts.token(), refused.refusal);
    let (Dialect::Upstream, Some(description)) = (dialect, &refused.description) else {
        return bare;
    };
    let known = describe(bare, facts, description);
    StreamResponse {
        std_as_sync_ep_desc: known.std_as_sync_ep_desc.filter(|_| refused.data_added),
        interrupter_num: Some(refused.interrupter.unwrap_or(0)),
        controller_num: known.controller_num.filter(|_| refused.endpoints_added),
        speed_info: known.speed_info.filter(|_| refused.interrupter.is_some()),
        ..known
    }
}

/// A stream was enabled: everything that its driver needs.
#[must_use]
pub fn enabled(facts: &Facts, complete: &Complete, sid: u8) -> StreamResponse {
    let region = |iova: Peer, dma: Bus, size: u32| Region {
        iova: Peer(iova.0 | u64::from(sid & 0xF) << SID_SHIFT),
        dma,
        size,
    };
    let rings = &complete.rings;
    let sync = match (complete.sync, &rings.sync) {
        (Some(peer), Some(ring)) => region(peer, ring.bus, PAGE),
        _ => Region::default(),
    };
    let memory = MemoryInfo {
        evt_ring: region(complete.event, rings.event.bus, PAGE),
        tr_data: region(complete.data, rings.data.bus, PAGE),
        tr_sync: sync,
        xfer_buff: region(complete.buffer, complete.buffer_bus, facts.wanted.buffer_bytes),
        dcba: Region::default(),
    };
    let response = describe(disabled(facts.token()), facts, &complete.description);
    StreamResponse {
        xhci_mem_info: Some(memory),
        interrupter_num: Some(complete.interrupter),
        ..response
    }
}

fn describe(
    response: StreamResponse,
    facts: &Facts,
    description: &StreamDescription,
) -> StreamResponse {
    let device = &facts.wanted.device;
    StreamResponse {
        slot_id: Some(u32::from(device.slot_number)),
        std_as_opr_intf_desc: Some(InterfaceDescriptor::from(description.interface)),
        std_as_data_ep_desc: Some(EndpointDescriptor::from(description.data_endpoint)),
        std_as_sync_ep_desc: description.sync_endpoint.map(EndpointDescriptor::from),
        usb_audio_spec_revision: Some(description.revision),
        data_path_delay: description.delay,
        usb_audio_subslot_size: Some(description.subslot),
        speed_info: Some(match description.speed {
            usb_types::Speed::Low => Speed::LOW,
            usb_types::Speed::Full => Speed::FULL,
            usb_types::Speed::High => Speed::HIGH,
            usb_types::Speed::Super => Speed::SUPER,
            usb_types::Speed::SuperPlus => Speed::SUPER_PLUS,
        }),
        controller_num: Some(device.controller),
        ..response
    }
}

/// What an indication calls a stream.
#[derive(Copy, Clone, Debug)]
pub struct Named {
    /// As the peer asked for it.
    pub token: Token,
    /// Its device's slot.
    pub slot: u8,
    /// And that slot's controller.
    pub controller: u8,
}

impl Facts {
    /// What an indication calls the stream.
    #[must_use]
    pub const fn named(&self) -> Named {
        let device = &self.wanted.device;
        Named { token: self.token(), slot: device.slot_number, controller: device.controller }
    }
}

/// Something became of a stream's device. The Linux service names the slot only,
/// and its dialect does so too.
#[must_use]
pub fn indication(dialect: Dialect, event: Event, named: Named) -> StreamIndication {
    StreamIndication {
        dev_event: event,
        slot_id: u32::from(named.slot),
        usb_token: (dialect == Dialect::Precise).then_some(named.token),
        controller_num: Some(named.controller),
        ..StreamIndication::default()
    }
}
